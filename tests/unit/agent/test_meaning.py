"""A model's judgement of names: the question, the accepted answers, and their use."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from producer.contract import JsonObject, NamedElement, Node, ScanResult, Usage
from producer.errors import ContextExceeded, ModelRefused, ModelUnreachable
from tests.support.scans import finding, scan_result
from worker.agent.assessment.assess import appraise, reason_not_to_ask
from worker.agent.assessment.meaning import NAMES_VERSION, PICTURES_VERSION, judge_names, names_task
from worker.models.protocols import ChatReply, Message, Tool
from worker.scan.lint.rules import with_nodes


def named(number: int, rule: str = "heading-meaning", name: str = "Weather", context: str = 'then "Open at nine"'):
    node = Node(selector=(f"h{number}",), snippet="<h2>", fingerprint=f"n{number}")
    return NamedElement(rule=rule, name=name, context=context, language="de", node=node)


def page(*names: NamedElement) -> ScanResult:
    return scan_result().model_copy(update={"names": names})


class Judges:
    """A model that gives one answer to every question."""

    name = "judges"

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[JsonObject] = []
        self.schemas: list[JsonObject] = []
        self.images: list[tuple[bytes, ...]] = []

    async def chat(
        self, messages: Sequence[Message], *, schema: JsonObject | None = None, tools: Sequence[Tool] = ()
    ) -> ChatReply:
        assert not tools
        self.asked.append(json.loads(messages[1].content))
        self.schemas.append(schema or {})
        self.images.append(messages[1].images)
        if isinstance(self.answer, Exception):
            raise self.answer
        return ChatReply(json.dumps({"judgements": self.answer}), "m:1b", Usage(calls=1, prompt_tokens=9))


def says(element: str, verdict: str = "barrier", confidence: str = "high") -> JsonObject:
    return {"element": element, "verdict": verdict, "confidence": confidence, "why": "It opens at nine."}


async def judged(chat: Judges, result: ScanResult):
    return await appraise(chat, result, changes=None, elsewhere={}, review_areas=0)


async def test_all_names_of_a_page_are_one_call_in_its_language() -> None:
    chat = Judges([])

    await judged(chat, page(named(1), named(2, name="気温")))

    (asked,) = chat.asked
    assert (asked["task"], asked["language"]) == ("names", "de")
    assert [one["name"] for one in asked["elements"]] == ["Weather", "気温"]
    entry = chat.schemas[0]["$defs"]["JudgementDraft"]["properties"]
    assert entry["element"]["enum"] == ["e1", "e2"]


async def test_a_barrier_that_the_model_is_sure_of_needs_review_with_its_reason() -> None:
    chat = Judges([says("e1"), says("e2", confidence="low"), says("e3", "no_barrier"), says("e9"), says("e1")])
    result = page(named(1), named(2), named(3))

    verdict = await judged(chat, result)

    assert verdict.assessment is not None
    (proposal,) = verdict.assessment.reviews
    assert (proposal.fingerprint, proposal.verdict, proposal.confidence) == ("n1", "barrier", "high")
    assert verdict.assessment.reviewed == {"names": NAMES_VERSION}
    assert str(verdict.source) == "m:1b"
    (one,) = with_nodes(result.incomplete, verdict.named)
    assert (one.rule, one.outcome, one.criteria, one.node_count) == ("heading-meaning", "incomplete", ("2.4.6",), 1)
    assert one.nodes[0].failure_summary == "By m:1b: It opens at nine."


def test_a_judged_element_joins_what_the_lint_found_by_that_rule_once() -> None:
    lint = finding("heading-meaning", "n1").model_copy(update={"outcome": "incomplete"})

    joined = with_nodes((lint,), [("heading-meaning", named(1).node), ("heading-meaning", named(2).node)])

    assert [[node.fingerprint for node in one.nodes] for one in joined] == [["n1", "n2"]]
    assert joined[0].node_count == lint.node_count + 1


async def test_a_model_that_is_away_is_waited_for_and_prose_costs_only_the_judgements() -> None:
    away = await judged(Judges(ModelUnreachable("nobody there")), page(named(1)))
    prose = await judged(Judges("All is well."), page(named(1)))

    assert isinstance(away.failure, ModelUnreachable)
    assert (prose.failure, prose.named, prose.usage.calls) == (None, (), 2)
    assert "names were not judged" in prose.notes[0]


async def test_a_page_without_names_is_no_call() -> None:
    chat = Judges([])

    await judged(chat, page())

    assert chat.asked == []
    assert reason_not_to_ask(page(), wanted=True) == "no findings to assess"
    assert reason_not_to_ask(page(named(1)), wanted=True) == ""


def test_what_does_not_fit_the_budget_is_not_asked() -> None:
    task = names_task(page(*(named(number, name="x" * 150) for number in range(40))), budget_tokens=1_000)

    assert 5 < len(task.shown) < 12


async def test_names_that_the_tokenizer_makes_too_long_are_judged_as_far_as_they_fit() -> None:
    chat = Narrow([says("e1")], most=3)

    verdict = await judged(chat, page(*(named(number) for number in range(12))))

    assert [len(one["elements"]) for one in chat.asked] == [12, 6, 3]
    assert verdict.assessment is not None
    assert [one.fingerprint for one in verdict.assessment.reviews] == ["n0"]
    assert (verdict.failure, verdict.notes) == (None, ())


class Narrow(Judges):
    """A model with a context for this number of names."""

    def __init__(self, answer: Any, *, most: int) -> None:
        super().__init__(answer)
        self.most = most

    async def chat(
        self, messages: Sequence[Message], *, schema: JsonObject | None = None, tools: Sequence[Tool] = ()
    ) -> ChatReply:
        reply = await super().chat(messages, schema=schema, tools=tools)
        if len(self.asked[-1]["elements"]) > self.most:
            raise ContextExceeded("the server cut it")
        return reply


class Blind(Judges):
    """A model that refuses images, as a server does whose model lacks vision after all."""

    async def chat(
        self, messages: Sequence[Message], *, schema: JsonObject | None = None, tools: Sequence[Tool] = ()
    ) -> ChatReply:
        if messages[1].images:
            self.images.append(messages[1].images)
            raise ModelRefused("this model is missing data required for image input")
        return await super().chat(messages, schema=schema, tools=tools)


async def test_pictures_are_shown_beside_their_texts_in_a_call_of_their_own() -> None:
    chat = Judges([says("e1")])
    names = page(named(1), named(2, "alt-meaning", "A dog"), named(3, "alt-meaning", "A cat"))

    judged = await judge_names(chat, names, {"n3": b"cat.jpg", "n2": b"dog.jpg"})

    assert chat.images == [(b"dog.jpg", b"cat.jpg"), ()]
    assert [[one["name"] for one in asked["elements"]] for asked in chat.asked] == [["A dog", "A cat"], ["Weather"]]
    assert [element.name for element, _ in judged.barriers] == ["A dog", "Weather"]
    assert judged.prompts == {"pictures": PICTURES_VERSION, "names": NAMES_VERSION}
    assert judged.usage.calls == 2


async def test_a_model_that_does_not_see_after_all_judges_the_texts_by_their_words() -> None:
    chat = Blind([])

    judged = await judge_names(chat, page(named(1), named(2, "alt-meaning", "A dog")), {"n2": b"dog.jpg"})

    assert chat.images == [(b"dog.jpg",), ()]
    assert [one["name"] for one in chat.asked[0]["elements"]] == ["Weather", "A dog"]
    assert (judged.failure, len(judged.notes), judged.prompts) == (None, 1, {"names": NAMES_VERSION})
    assert "pictures were not judged" in judged.notes[0]
