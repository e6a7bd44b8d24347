"""Each barrier is explained once; cut-off ones are requested again, and every omission is counted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from producer.contract import JsonObject, ScanResult, Usage
from producer.errors import AnswerTruncated, ContextExceeded, ModelError, ModelUnreachable
from tests.support.scans import finding, scan_result
from worker.agent.assessment.barriers import EXPLAIN_VERSION
from worker.agent.assessment.explain import MAX_BARRIERS, MAX_CALLS, Explanation, explain_page
from worker.agent.assessment.shared_answers import OwnAnswers
from worker.agent.assessment.verdict import Verdict
from worker.models.protocols import ChatReply, Message, Tool

FORTY = [f"rule-{number:02}" for number in range(40)]
PAGE = scan_result(finding("image-alt", "a", "b"), finding("label", "c"))


class Explains:
    """A model that explains all it is asked about; ``skips`` none of these rules, ``says`` what it answers instead."""

    name = "explains"

    def __init__(self, *says: str | Exception, skips: Sequence[str] = (), cut_at: int | None = None) -> None:
        self.says = list(says)
        self.skips = skips
        self.cut_at = cut_at
        self.asked: list[list[str]] = []
        self.messages: list[Sequence[Message]] = []

    async def chat(
        self, messages: Sequence[Message], *, schema: JsonObject | None = None, tools: Sequence[Tool] = ()
    ) -> ChatReply:
        assert schema is not None
        assert not tools
        barriers = json.loads(messages[1].content)["barriers"]
        self.asked.append([one["rule"] for one in barriers])
        self.messages.append(messages)
        if self.says:
            said = self.says.pop(0)
            if isinstance(said, Exception):
                raise said
            return self._reply(said)
        text = answer(*((one["barrier"], one["rule"]) for one in barriers if one["rule"] not in self.skips))
        if self.cut_at is not None and len(text) > self.cut_at:
            raise AnswerTruncated("cut", text=text[: self.cut_at])
        return self._reply(text)

    def _reply(self, text: str) -> ChatReply:
        return ChatReply(text, "explains:1b", Usage(calls=1, output_tokens=2))


def answer(*said: tuple[str, str]) -> str:
    entries = [{"barrier": name, "who": "w", "why": "y", "fix": f"mend {rule}"} for name, rule in said]
    return json.dumps({"explanations": entries})


def fixes(verdict: Verdict) -> dict[str, str]:
    return {one.fingerprint: one.fix for one in verdict.assessment.priorities} if verdict.assessment else {}


async def test_a_page_is_explained_in_one_call_and_its_summary_costs_none():
    model = Explains()

    verdict = await explain_page(model, PAGE, OwnAnswers[Explanation]())

    assert fixes(verdict) == {"f-image-alt": "mend image-alt", "f-label": "mend label"}
    assert verdict.assessment is not None
    assert verdict.assessment.summary.startswith("2 rules failed on 3 elements: 3 critical. Fix first: ")
    assert "mend image-alt" in verdict.assessment.summary
    assert (verdict.assessment.prompt, verdict.assessment.left_out) == (EXPLAIN_VERSION, 0)
    assert (verdict.source.model, verdict.usage.calls, verdict.saved) == ("explains:1b", 1, 0)


async def test_what_was_explained_for_a_page_costs_the_next_one_no_call():
    model, explanations = Explains(), OwnAnswers[Explanation]()
    await explain_page(model, PAGE, explanations)

    known = await explain_page(model, PAGE, explanations)
    more = await explain_page(model, scan_result(*PAGE.findings, finding("list", "x")), explanations)

    assert fixes(known) == {"f-image-alt": "mend image-alt", "f-label": "mend label"}
    assert (known.usage.calls, known.saved) == (0, 1)
    assert model.asked == [["image-alt", "label"], ["list"]]
    assert len(fixes(more)) == 3


async def test_a_page_of_forty_kinds_is_explained_whole_in_calls_whose_answers_fit():
    model = Explains()

    verdict = await explain_page(model, of(FORTY), OwnAnswers[Explanation]())

    assert fixes(verdict) == {f"f-{rule}": f"mend {rule}" for rule in FORTY}
    assert verdict.assessment is not None
    assert verdict.assessment.left_out == 0
    assert [len(rules) for rules in model.asked] == [MAX_BARRIERS] * 5


def of(rules: Sequence[str]) -> ScanResult:
    return scan_result(*(finding(rule, "a") for rule in rules))


async def test_barriers_lost_in_answers_that_a_model_cuts_are_all_counted():
    whole = len(answer(*((f"b{number}", rule) for number, rule in enumerate(FORTY[:MAX_BARRIERS], 1))))
    for cut_at in range(0, whole + 1, 7):
        verdict = await explain_page(Explains(cut_at=cut_at), of(FORTY), OwnAnswers[Explanation]())

        told = fixes(verdict)
        assert all(fix == f"mend {name.removeprefix('f-')}" for name, fix in told.items())
        if verdict.assessment is not None:
            assert len(told) + verdict.assessment.left_out == 40
            assert len(told) >= MAX_CALLS
        else:
            assert (cut_at < len(answer(("b1", FORTY[0]))), verdict.failure) == (True, None)
            assert "cut" in verdict.source.reason


async def test_barriers_are_requested_one_by_one_once_an_answer_is_known_to_hold_only_one():
    fits_two = len(answer(("b1", FORTY[0]), ("b2", FORTY[1])))
    model = Explains(cut_at=fits_two)

    verdict = await explain_page(model, of(FORTY[:10]), OwnAnswers[Explanation]())

    assert [len(rules) for rules in model.asked] == [8, 2, 2, 2, 2]
    assert len(fixes(verdict)) == 10


async def test_a_barrier_whose_explanation_fits_no_answer_is_left_out_and_the_others_are_explained():
    class Verbose(Explains):
        """A model that writes endlessly about one rule, before all others."""

        async def chat(self, messages: Sequence[Message], **options: Any) -> ChatReply:
            rules = [one["rule"] for one in json.loads(messages[1].content)["barriers"]]
            if "list" in rules:
                self.asked.append(rules)
                raise AnswerTruncated("cut", text='{"explanations": [{"barrier": "b1", "who": "' + "w" * 500)
            return await super().chat(messages, **options)

    model = Verbose()
    verdict = await explain_page(model, of([*FORTY[:6], "list"]), OwnAnswers[Explanation]())

    assert verdict.assessment is not None
    assert (len(fixes(verdict)), verdict.assessment.left_out, verdict.failure) == (6, 1, None)


async def test_more_barriers_than_the_calls_carry_are_counted_as_left_out():
    rules = [f"rule-{number:03}" for number in range(MAX_BARRIERS * MAX_CALLS + 5)]

    verdict = await explain_page(model := Explains(), of(rules), OwnAnswers[Explanation]())

    assert verdict.assessment is not None
    assert (verdict.assessment.left_out, len(fixes(verdict)), len(model.asked)) == (5, len(rules) - 5, MAX_CALLS)


async def test_what_a_model_leaves_out_is_counted_and_not_asked_for_on_every_page():
    model, explanations = Explains(skips=["label"]), OwnAnswers[Explanation]()

    first = await explain_page(model, PAGE, explanations)
    second = await explain_page(model, PAGE, explanations)

    assert first.assessment is not None
    assert second.assessment is not None
    assert (first.assessment.left_out, second.assessment.left_out) == (1, 1)
    assert model.asked == [["image-alt", "label"]]


@pytest.mark.parametrize(
    "said",
    [
        answer(("b9", "invented"), ("b1", "image-alt"), ("b1", "again"), ("", "none")),
        json.dumps({"explanations": [{"barrier": "b2", "who": "w", "why": " ", "fix": ""}] * 4 + json.loads(answer(("b1", "image-alt")))["explanations"][:1]}),  # noqa: E501  a table
    ],
)  # fmt: skip
async def test_statements_about_no_barrier_twice_about_one_or_without_a_word_are_dropped_and_counted(said: str):
    verdict = await explain_page(Explains(said), PAGE, OwnAnswers[Explanation]())

    assert fixes(verdict) == {"f-image-alt": "mend image-alt"}
    assert verdict.assessment is not None
    assert verdict.assessment.left_out == 1
    assert verdict.assessment.dropped >= 3


async def test_prose_is_repaired_once_and_then_the_page_has_no_explanations_and_the_model_no_further_calls():
    model, explanations = (
        Explains("I would mend", "Still prose", answer(("b1", "image-alt"))),
        OwnAnswers[Explanation](),
    )

    first = await explain_page(model, PAGE, explanations)
    second = await explain_page(model, PAGE, explanations)

    assert first.assessment is None
    assert first.failure is None
    assert first.source.reason.startswith("explains did not answer in the required form: ")
    assert "in the last hour" in second.source.reason
    assert len(model.asked) == 2


@pytest.mark.parametrize("error", [ModelUnreachable("gone"), ModelError("broke")])
async def test_a_failed_call_keeps_known_explanations_reports_missing_ones_and_is_repeated(error: ModelError):
    explanations = OwnAnswers[Explanation]()
    await explain_page(Explains(), scan_result(PAGE.findings[0]), explanations)

    verdict = await explain_page(Explains(error), PAGE, explanations)
    again = await explain_page(Explains(), PAGE, explanations)

    assert fixes(verdict) == {"f-image-alt": "mend image-alt"}
    assert verdict.assessment is not None
    assert verdict.assessment.left_out == 1
    assert verdict.failure is error
    assert verdict.notes == (f"not all barriers are explained: explains: {error}",)
    assert len(fixes(again)) == 2


async def test_a_model_sees_nothing_specific_to_this_page():
    page = PAGE.model_copy(update={"title": "Secret title", "url": "https://secret.example/x"})
    model = Explains()

    await explain_page(model, page, OwnAnswers[Explanation]())

    shown: Any = json.loads(model.messages[0][1].content)
    assert set(shown) == {"task", "barriers"}
    assert "ecret" not in model.messages[0][1].content


async def test_a_question_that_the_tokenizer_makes_too_long_is_asked_in_parts():
    model = Explains(ContextExceeded("the server cut it"))
    page = scan_result(*(finding(rule, "a") for rule in FORTY[:8]))

    verdict = await explain_page(model, page, OwnAnswers[Explanation]())

    assert [len(rules) for rules in model.asked] == [8, 4, 4]
    assert verdict.assessment is not None
    assert (len(verdict.assessment.priorities), verdict.assessment.left_out, verdict.failure) == (8, 0, None)


async def test_a_barrier_too_long_for_the_context_is_left_out_alone():
    model = Explains(*[ContextExceeded("the server cut it")] * 2)
    page = scan_result(finding("image-alt", "a"), finding("label", "b"))

    verdict = await explain_page(model, page, OwnAnswers[Explanation]())

    assert [len(rules) for rules in model.asked] == [2, 1, 1]
    assert verdict.assessment is not None
    assert (len(verdict.assessment.priorities), verdict.assessment.left_out) == (1, 1)
    assert "the server cut it" in verdict.notes[0]
