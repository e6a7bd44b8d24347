"""Compensation for missing abilities of a model or its server, and the doctor's lines about them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from producer.client.gpu_view import LoadedModel
from producer.contract import JsonObject, Usage
from producer.errors import ModelRefused
from worker.doctor.abilities import host_lines
from worker.models.ollama.abilities import NO_TOOLS, AbleChat
from worker.models.ollama.host_abilities import HostAbilities, drops_schema, lacking
from worker.models.ollama.http import ModelFacts
from worker.models.ollama.turnover import Turnover
from worker.models.protocols import ChatReply, Message, Tool, ToolCall, sees
from worker.settings import WorkerSettings

SEARCH = Tool("search_scans", "Search.", {"type": "object"})
ASKED = [Message("system", "You answer."), Message("user", "Which page has the worst barriers?")]


class Says:
    """A model that records its calls and refuses tools if it lacks them."""

    name = "small:1b"

    def __init__(self, *, refuses: bool = False) -> None:
        self.refuses = refuses
        self.asked: list[tuple[Sequence[Message], JsonObject | None, Sequence[Tool]]] = []

    async def chat(
        self, messages: Sequence[Message], *, schema: JsonObject | None = None, tools: Sequence[Tool] = ()
    ) -> ChatReply:
        self.asked.append((messages, schema, tools))
        if tools and self.refuses:
            msg = "model 'small:1b' on 'h' refuses the request (400): library/small:1b does not support tools"
            raise ModelRefused(msg)
        return ChatReply("It is /cart.", self.name, Usage(calls=1))


def able(
    chat: Says, *capabilities: str, said: Collection[str] = (), version: str = "0.40.0", thinks: bool = False
) -> AbleChat:
    async def facts(_: str) -> ModelFacts:
        return ModelFacts(capabilities=frozenset({*capabilities, *said}))

    async def told() -> str:
        return version

    fleet = SimpleNamespace(facts=facts, clients={"h": SimpleNamespace(version=told)})
    return AbleChat(chat, cast("Any", fleet), thinks=thinks)


@pytest.mark.parametrize("refuses", [False, True])
async def test_a_model_without_tools_answers_from_look_ups_that_were_made_for_it(*, refuses: bool) -> None:
    chat = Says(refuses=refuses)
    model = able(chat, *(() if refuses else ("completion",)))

    first = await model.chat(ASKED, tools=[SEARCH])
    looked_up = [
        Message("assistant", "", first.calls),
        Message("tool", '{"pages": []}', call_id="1", tool="search_scans"),
    ]
    last = await model.chat([*ASKED, *looked_up], tools=[SEARCH])

    assert [call.name for call in first.calls] == ["search_scans"]
    assert (last.text, last.calls, last.reason) == ("It is /cart.", (), NO_TOOLS)
    messages, _, tools = chat.asked[-1]
    assert [message.role for message in messages] == ["system", "user", "user"]
    assert '{"pages": []}' in messages[-1].content
    assert not tools
    assert len(chat.asked) == 1 + refuses, "it is offered tools once, and not again"


async def test_a_model_that_was_replaced_by_one_with_tools_is_offered_them() -> None:
    chat, said = Says(refuses=True), set[str]()
    model = able(chat, said=said)
    await model.chat(ASKED, tools=[SEARCH])
    chat.refuses = False
    said |= {"completion", "tools"}

    reply = await model.chat(ASKED, tools=[SEARCH])

    assert (reply.text, reply.reason) == ("It is /cart.", "")


async def test_a_question_that_no_rule_understands_is_searched_for_by_meaning() -> None:
    question = [Message("user", "Wo fehlen Beschriftungen an Feldern?")]

    reply = await able(Says(), "completion").chat(question, tools=[SEARCH])

    assert reply.calls == (ToolCall("search_scans", {"text": question[0].content, "limit": 5}, "looked-up"),)


async def test_a_demand_for_an_answer_is_not_taken_for_the_question() -> None:
    chat = Says()
    looked_up = [
        Message("assistant", "", (ToolCall("search_scans", {}, "1"),)),
        Message("tool", '{"pages": []}', call_id="1", tool="search_scans"),
    ]
    demand = [Message("assistant", "{"), Message("user", "That is no answer.", by_user=False)]

    reply = await able(chat, "completion").chat([*ASKED, *looked_up, *demand], tools=[SEARCH])

    assert (reply.text, reply.calls) == ("It is /cart.", ())
    assert [message.content for message in chat.asked[-1][0]][-1] == "That is no answer."


async def test_a_model_with_tools_is_handed_them() -> None:
    chat = Says()

    reply = await able(chat, "completion", "tools").chat(ASKED, tools=[SEARCH])

    assert (reply.reason, chat.asked[0][2]) == ("", [SEARCH])


@pytest.mark.parametrize(
    ("version", "capability", "thinks", "is_told"),
    [
        ("0.22.0", "thinking", False, True),
        ("0.31.2", "thinking", False, False),
        ("0.22.0", "thinking", True, False),
        ("0.22.0", "tools", False, False),
        ("0.0.0", "thinking", False, False),
    ],
)
async def test_a_server_that_drops_the_schema_gets_it_in_the_prompt(
    version: str, capability: str, *, thinks: bool, is_told: bool
) -> None:
    chat = Says()

    await able(chat, capability, version=version, thinks=thinks).chat(ASKED, schema={"type": "object"})

    messages, schema, _ = chat.asked[0]
    assert schema == {"type": "object"}
    assert ('{"type": "object"}' in messages[0].content) is is_told


@pytest.mark.parametrize(("version", "drops"), [("0.31.1", True), ("0.16.9", False), ("1.0", False), ("", False)])
def test_versions_that_drop_the_schema(version: str, *, drops: bool) -> None:
    assert drops_schema(version, can_think=True, thinks=False) is drops


def lines_of(
    version: str = "0.40.0", *loaded: LoadedModel, chat: ModelFacts | None = None, embed: ModelFacts | None = None
) -> dict[str, tuple[str, str]]:
    models = {
        "CHAT_MODEL": ("c:1b", chat or ModelFacts(40_960, 0, frozenset({"completion", "tools", "vision"}))),
        "EMBEDDING_MODEL": ("e", embed or ModelFacts(8_192, 768, frozenset({"embedding"}))),
    }
    lines = host_lines(HostAbilities("gpu1", version, loaded, models), WorkerSettings())
    return {line.subject: (line.level.value, line.text) for line in lines}


def test_doctor_says_what_models_can_and_whether_both_fit_the_card() -> None:
    both = (LoadedModel("c:1b", 3_000_000_000, 3_000_000_000, 8_192), LoadedModel("e:latest", 10**9, 10**9, 2_048))

    lines = lines_of("0.40.0", *both)

    assert {level for level, _ in lines.values()} == {"ok"}
    assert "completion, tools, vision; context" in lines["chat abilities"][1]
    assert lines["models' memory"][1] == "both models fit on the card of gpu1: 4.0 GB"
    assert "is not yet known" in lines_of("0.40.0", both[0])["models' memory"][1]


def test_doctor_warns_of_what_is_lacking() -> None:
    halved = (LoadedModel("c:1b", 3 * 10**9, 10**9, 8_192), LoadedModel("e:latest", 10**9, 10**9, 2_048))
    thinker = ModelFacts(512, 0, frozenset({"completion", "thinking"}))

    lines = lines_of("0.22.0", *halved, chat=thinker, embed=ModelFacts(512, 0, frozenset({"completion"})))

    levels = {subject: level for subject, (level, _) in lines.items()}
    assert levels == {
        "ollama version": "warning",
        "chat abilities": "warning",
        "embed abilities": "error",
        "models' memory": "warning",
    }
    assert "drops the schema" in lines["ollama version"][1]
    assert "does not support tools" in lines["chat abilities"][1]
    assert "only 2.0 of 4.0 GB on the card" in lines["models' memory"][1]
    (said,) = lacking(HostAbilities("gpu1", "0.40.0", (), {"CHAT_MODEL": ("c:1b", thinker)}), WorkerSettings())
    assert said.startswith("'c:1b' on gpu1 does not support tools: fixed rules")
    assert said.endswith("for better answers, name a model with tools in CHAT_MODEL")
    little = ModelFacts(512, 0, frozenset({"completion", "tools"}))
    assert "has a context of 512" in lines_of(chat=little)["chat abilities"][1]


@pytest.mark.parametrize(("capability", "is_shown"), [("vision", True), ("tools", False)])
async def test_only_a_model_with_vision_is_shown_pictures(capability: str, *, is_shown: bool) -> None:
    assert await sees(able(Says(), capability)) is is_shown
    assert not await sees(Says())


def test_doctor_warns_where_pictures_are_to_be_judged_by_a_model_that_does_not_see() -> None:
    blind = ModelFacts(40_960, 0, frozenset({"completion", "tools"}))
    host = HostAbilities("gpu1", "0.40.0", (), {"CHAT_MODEL": ("c:1b", blind)})

    (said,) = lacking(host, WorkerSettings(pictures_judged=4))

    assert "does not support vision" in said


def test_models_that_evict_each_other_are_reported_and_a_restart_or_an_expiry_is_not() -> None:
    turnover, c, e = Turnover(), {"c:1b"}, {"e:latest"}

    def seen(*checks: set[str], after_s: float = 5.0) -> bool:
        found = [turnover.is_seen(loaded, now=number * after_s) for number, loaded in enumerate(checks)]
        return found[-1]

    assert not seen(c, c, e, set(), e, c)  # two changes: a restart, or a keep-alive that ended
    assert seen(c, e, c, e, set())
    assert not seen(c, c | e, c, e)
    assert not seen(c, e, c, e, after_s=400.0)
    one = LoadedModel("c:1b", 3_000_000_000, 3_000_000_000, 8_192)
    models = {"CHAT_MODEL": ("c:1b", ModelFacts(40_960)), "EMBEDDING_MODEL": ("e", ModelFacts(8_192))}
    (said,) = lacking(HostAbilities("gpu1", "0.40.0", (one,), models, take_turns=True), WorkerSettings())
    assert said.startswith("the models on gpu1 displace each other from its memory")
