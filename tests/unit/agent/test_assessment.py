from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from producer.contract import AssessmentSource, JsonObject, Usage
from producer.errors import AnswerTruncated, ModelError, ModelUnreachable
from tests.support.scans import finding, scan_result
from worker.agent.assessment.assess import MAX_CALLS, MAX_FINDINGS, AssessmentDraft, assess, reason_not_to_ask
from worker.agent.prompts import ASSESS_VERSION
from worker.agent.structured_reply import MAX_WRITTEN, salvage, schema_about
from worker.models.protocols import ChatReply, Message, Tool


class Scripted:
    """A model that returns these answers in turn and raises exceptions among them."""

    name = "scripted"

    def __init__(self, *answers: str | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[list[Message]] = []

    async def chat(
        self, messages: Sequence[Message], *, schema: JsonObject | None = None, tools: Sequence[Tool] = ()
    ) -> ChatReply:
        assert schema is not None
        assert not tools
        self.asked.append(list(messages))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return ChatReply(answer, "scripted:1b", Usage(prompt_tokens=10, output_tokens=2, calls=1, gpu_ms=7))


def answer(*fingerprints: str, **more: Any) -> str:
    priorities = [{"fingerprint": one, "who": "w", "why": "y", "fix": "f"} for one in fingerprints]
    return json.dumps({"summary": "Mend it.", "priorities": priorities, **more})


PAGE = scan_result(finding("image-alt", "a"), finding("label", "b"))


async def test_a_good_answer_is_taken_in_the_model_s_order():
    verdict = await assess(Scripted(answer("f-label", "f-image-alt")), PAGE)

    assert verdict.assessment is not None
    assert [one.fingerprint for one in verdict.assessment.priorities] == ["f-label", "f-image-alt"]
    assert verdict.source == AssessmentSource(model="scripted:1b")
    assert verdict.usage.output_tokens == 2
    assert verdict.assessment.prompt == ASSESS_VERSION
    assert (verdict.assessment.dropped, verdict.assessment.left_out) == (0, 0)


async def test_statements_about_no_finding_or_about_one_twice_are_dropped_and_counted():
    verdict = await assess(Scripted(answer("f-invented", "f-label", "f-label", "")), PAGE)

    assert verdict.assessment is not None
    assert [one.fingerprint for one in verdict.assessment.priorities] == ["f-label"]
    assert verdict.assessment.dropped == 3


@pytest.mark.parametrize(
    "wrong", ["I would mend the images.", "", "[]", '{"summary": 1}', '{"summary": "x"}', "{" * 5000]
)
async def test_an_answer_of_the_wrong_form_is_repaired_once(wrong: str):
    model = Scripted(wrong, answer("f-label"))

    verdict = await assess(model, PAGE)

    assert verdict.assessment is not None
    assert verdict.usage.calls == 2
    assert model.asked[1][2].content == wrong
    assert "could not be used" in model.asked[1][3].content


async def test_two_answers_of_the_wrong_form_leave_the_findings_without_an_assessment():
    verdict = await assess(Scripted("no", "still no", answer("f-label")), PAGE)

    assert verdict.assessment is None
    assert verdict.source.reason.startswith("scripted did not answer in the required form: ")
    assert verdict.usage.prompt_tokens == 20


async def test_a_model_that_fails_leaves_the_findings_without_an_assessment():
    verdict = await assess(Scripted("no", ModelError("the model ran out of tokens")), PAGE)

    assert verdict.assessment is None
    assert verdict.source == AssessmentSource(reason="scripted: the model ran out of tokens")
    assert verdict.usage.calls == 1


async def test_an_answer_in_a_markdown_fence_is_read():
    verdict = await assess(Scripted(f"Here you are:\n```json\n{answer('f-label')}\n```"), PAGE)

    assert verdict.assessment is not None


async def test_extra_fields_of_an_answer_are_not_kept():
    verdict = await assess(Scripted(answer("f-label", findings=[], status="scanned", dropped=-1)), PAGE)

    assert verdict.assessment is not None
    assert "findings" not in verdict.assessment.model_dump()
    assert verdict.assessment.model_dump()["dropped"] == 0


def test_the_schema_allows_no_fingerprint_but_the_page_s():
    schema = schema_about(AssessmentDraft, "priorities", key="fingerprint", known=("f-1", "f-2"))

    assert schema["$defs"]["PriorityDraft"]["properties"]["fingerprint"]["enum"] == ["f-1", "f-2"]
    assert schema["$defs"]["PriorityDraft"]["required"] == ["fingerprint", "who", "why", "fix"]
    assert schema["properties"]["priorities"]["maxItems"] == 2


def test_no_model_is_asked_about_nothing():
    assert reason_not_to_ask(PAGE, wanted=True) == ""
    assert reason_not_to_ask(PAGE, wanted=False) == "not requested"
    assert reason_not_to_ask(scan_result(), wanted=True) == "no findings to assess"
    assert reason_not_to_ask(scan_result(status="unreachable"), wanted=True) == "the page is unreachable"


FORTY = [f"rule-{number:02}" for number in range(40)]


async def test_many_findings_are_split_over_calls_whose_answers_fit():
    parts = [FORTY[at : at + MAX_FINDINGS] for at in range(0, 40, MAX_FINDINGS)]
    model = Scripted(*(answer(*(f"f-{rule}" for rule in part)) for part in parts))

    verdict = await assess(model, scan_result(*(finding(rule, "a") for rule in FORTY)))

    assert verdict.assessment is not None
    assert [one.fingerprint for one in verdict.assessment.priorities] == [f"f-{rule}" for rule in FORTY]
    assert (verdict.assessment.left_out, verdict.usage.calls) == (0, 5)
    assert json.loads(model.asked[0][1].content)["findings_left_out"] == 32


async def test_complete_entries_of_a_cut_answer_are_kept_and_the_others_requested_again():
    whole = answer("f-a", "f-b", "f-c")
    model = Scripted(AnswerTruncated("cut", text=whole[: whole.index("f-c")]), answer("f-c", summary="Another."))

    verdict = await assess(model, scan_result(*(finding(rule, "x") for rule in "abc")))

    assert verdict.assessment is not None
    assert verdict.failure is None
    assert [one.fingerprint for one in verdict.assessment.priorities] == ["f-a", "f-b", "f-c"]
    assert verdict.assessment.summary == json.loads(whole)["summary"]
    assert [one["fingerprint"] for one in json.loads(model.asked[1][1].content)["findings"]] == ["f-c"]


async def test_findings_of_a_further_call_that_fails_are_left_out_and_the_assessment_says_so():
    whole = answer("f-a", "f-b")
    model = Scripted(AnswerTruncated("cut", text=whole[: whole.index("f-b")]), ModelUnreachable("gone"))

    verdict = await assess(model, scan_result(finding("a", "x"), finding("b", "y")))

    assert verdict.assessment is not None
    assert [one.fingerprint for one in verdict.assessment.priorities] == ["f-a"]
    assert verdict.assessment.left_out == 1
    assert verdict.notes == ("not all findings are assessed: scripted: gone",)
    assert isinstance(verdict.failure, ModelUnreachable)


async def test_calls_to_a_model_that_always_fills_its_limit_are_bounded():
    cut = [AnswerTruncated("cut", text=answer(f"f-{rule}")[:-2]) for rule in FORTY]
    model = Scripted(*cut)

    verdict = await assess(model, scan_result(*(finding(rule, "a") for rule in FORTY)))

    assert verdict.assessment is not None
    assert (len(model.asked), len(verdict.assessment.priorities)) == (MAX_CALLS, MAX_CALLS)
    assert verdict.assessment.left_out == 40 - MAX_CALLS


def test_an_answer_cut_at_any_place_gives_its_complete_entries_and_no_other():
    entries = [{"fingerprint": f"f-{n}", "who": 'a } and "', "why": "]}", "fix": "<b>{x}</b>"} for n in range(3)]
    whole = json.dumps({"summary": "Of {three}.", "priorities": entries})
    ends = [whole.index(json.dumps(entry)) + len(json.dumps(entry)) for entry in entries]

    for end in range(len(whole)):
        kept = salvage(whole[:end], AssessmentDraft, "priorities")

        assert (0 if kept is None else len(kept.priorities)) == sum(end >= at for at in ends)


def test_the_schema_bounds_what_a_model_may_write():
    schema = schema_about(AssessmentDraft, "priorities", key="fingerprint", known=["f-a"])

    written = schema["$defs"]["PriorityDraft"]["properties"]
    assert {name: field["maxLength"] for name, field in written.items() if name != "fingerprint"} == {
        name: MAX_WRITTEN[name] for name in ("who", "why", "fix")
    }
    assert schema["properties"]["summary"]["maxLength"] == MAX_WRITTEN["summary"]
