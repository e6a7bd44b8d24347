"""The lint of names: what it reports and what it ignores; the labelled cases are in ``names.json``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from producer.contract import JsonObject, ScanRequest, ScanResult, Usage
from producer.contract.rules import LINT_RULES
from worker.agent.evaluation.names import load_names, run_names
from worker.agent.evaluation.pictures import load_pictures
from worker.agent.evaluation.scores import Share
from worker.models.protocols import ChatReply, Message, Tool
from worker.scan.engine import ScanEngine, ScanSettings
from worker.scan.lint.source import read_table

WRONG = """<h1>Title</h1><main>
<p><a href=/a>Click here</a></p><div><a href=/b>Mehr erfahren</a></div>
<div><div role=link tabindex=0>Weiterlesen</div></div><svg width=9 height=9><a href=/c><text>here</text></a></svg>
<button>Button</button>
<img src=/i/IMG_2041.jpg alt=IMG_2041.jpg><img src=/i/a.png alt=image>
<a href=/k><img src=/i/k.png alt="Green kettle"><span>Green kettle</span></a>
<h2>Prices</h2><p>All of March.</p><h2>Prices</h2><p>All of April.</p>
<form><label>Field 1 <input></label><input placeholder=Street><span class=error>Invalid</span><button>Send</button>
</form><x-card></x-card></main><script>
customElements.define("x-card", class extends HTMLElement {
  connectedCallback() { this.attachShadow({ mode: "open" }).innerHTML = "<p><a href=/d>read more</a></p>" }
})</script>"""
RIGHT = """<h1>Teas</h1><main>
<p><a href=/a>Prices of all teas</a></p><article><h2>Assam</h2><a href=/b>Read more</a></article>
<nav aria-label=Main><ul><li><a href=/m>More</a></ul></nav><p>Alt om <a href=/her lang=en>Her</a>.</p>
<button>Send the letter</button><button aria-haspopup=true>More</button>
<img src=/i/IMG_2041.jpg alt="Green leaves in a bowl"><img src=/i/t-shirt.jpg alt=T-shirt><img src=/e.svg alt=🙂>
<h2>open()</h2><h3>Parameters</h3><p>path</p><h2>close()</h2><h3>Parameters</h3><p>none</p>
<form role=search><input type=search placeholder=Search><button>Search</button></form>
<form><label>Street <input aria-describedby=e></label><span class=error id=e>Invalid</span><button>Send</button></form>
</main>"""


async def lint(engine: ScanEngine, body: str, *, title: str = "Teas", **more: object) -> dict[str, list[str]]:
    """Return the snippets that each rule of the lint asks to have reviewed."""
    result = await scan(engine, body, title=title, **more)
    assert result.status == "scanned", result.reason
    assert not {one.rule for one in result.findings} & LINT_RULES
    return {one.rule: [node.snippet for node in one.nodes] for one in result.incomplete if one.rule in LINT_RULES}


async def scan(engine: ScanEngine, body: str, *, title: str = "Teas", **more: object) -> ScanResult:
    head = f"<head><meta charset=utf-8><title>{title}</title></head>"
    html = f"<!doctype html><html lang=en>{head}<body>{body}</body></html>"
    return (await engine.audit(ScanRequest.model_validate({"html": html, "deadline_s": 30, **more}))).result


async def test_names_that_say_nothing_need_review_and_fail_no_page(engine: ScanEngine) -> None:
    found = await lint(engine, WRONG, title="Untitled document")

    counts = {rule: len(snippets) for rule, snippets in found.items()}
    assert counts == {
        "link-meaning": 5,
        "button-meaning": 1,
        "alt-meaning": 3,
        "heading-meaning": 2,
        "label-meaning": 2,
        "error-meaning": 1,
        "title-meaning": 1,
    }


async def test_correct_names_need_no_review(engine: ScanEngine) -> None:
    assert await lint(engine, RIGHT) == {}


async def test_a_rule_of_the_lint_is_left_out_and_asked_for_like_any_other(engine: ScanEngine) -> None:
    context = "<p>Our teas in May. <a href=/a>Read more</a></p><p><a href=/b>click here</a></p>"

    assert list(await lint(engine, context)) == ["link-meaning"]
    assert await lint(engine, context, disabled_rules=["link-meaning"]) == {}
    assert list(await lint(engine, context, enabled_rules=["link-meaning-alone"])) == [
        "link-meaning",
        "link-meaning-alone",
    ]
    assert await lint(engine, context, exclude=["p"]) == {}


async def test_a_short_word_counts_in_its_own_language_alone(engine: ScanEngine) -> None:
    words = [("da", "her"), ("en", "her"), ("fr", "plus"), ("en", "plus"), ("ja", "click here")]
    links = [f'<a href="/{language}/{number}">{word}</a>' for number, (language, word) in enumerate(words)]
    body = "".join(f'<div lang="{language}">{link}</div>' for (language, _), link in zip(words, links, strict=True))

    found = await lint(engine, body)

    assert found == {"link-meaning": [links[0], links[2], links[4]]}


async def test_a_finding_says_which_criterion_and_why(engine: ScanEngine) -> None:
    result = await scan(engine, "<p><a href=/a>Click here</a></p>")

    (finding,) = (one for one in result.incomplete if one.rule in LINT_RULES)
    assert (finding.criteria, finding.outcome, str(finding.impact)) == (("2.4.4",), "incomplete", "moderate")
    assert finding.help_url == "https://www.w3.org/WAI/WCAG22/Understanding/link-purpose-in-context"
    assert 'The name "Click here" does not say where the link leads' in finding.nodes[0].failure_summary
    assert finding.nodes[0].issue_id
    assert result.counts.total == 0


async def test_a_page_cannot_break_the_lint(engine: ScanEngine) -> None:
    names = [
        "localName",
        "parentElement",
        "textContent",
        "children",
        "nextSibling",
        "getRootNode",
        "labels",
        "matches",
        "closest",
    ]
    fields = "".join(f"<input name={name} placeholder={name}>" for name in names)
    body = f"<form>{fields}<button>$&amp; ${{data.why}}</button></form><p><a href=/a>Click here</a></p>" + "<b>" * 300

    assert set(await lint(engine, body)) == {"link-meaning", "label-meaning"}


@pytest.mark.parametrize("name", ["a" + "-" * 200_000 + "b", "img" + "1" * 200_000 + "x", "a.jpg?" * 40_000 + " x"])
async def test_a_name_of_any_length_is_judged_in_time(engine: ScanEngine, name: str) -> None:
    result = await scan(engine, f"<main><h1>Teas</h1><img src=/i.png alt='{name}'></main>", deadline_s=10)

    assert result.status == "scanned", result.reason


async def test_names_that_no_rule_decides_are_read_for_a_model_with_what_is_around_them(settings: ScanSettings) -> None:
    body = """<h1>Weather</h1><p>We open at nine.</p><p>Our prices rose. <a href=/jobs/gardener>Prices</a></p>
    <form><label>Menu <input type=email name=mail></label><button>Send</button></form>"""

    async with ScanEngine(replace(settings, max_names=24)) as engine:
        result = await scan(engine, body)
        unasked = await scan(engine, body, assess=False)

    said = {one.rule: (one.name, one.context) for one in result.names}
    assert said["heading-meaning"] == ("Weather", 'then "We open at nine. Our prices rose. Prices Menu Send"')
    assert said["link-meaning"] == (
        "Prices",
        'in "Our prices rose. Prices"; under the heading "Weather"; to jobs/gardener',
    )
    assert said["label-meaning"] == ("Menu", 'type=email; name=mail; under the heading "Weather"')
    assert said["title-meaning"][0] == "Teas"
    assert {one.language for one in result.names} == {"en"}
    assert all(one.node.fingerprint and one.node.issue_id for one in result.names)
    assert unasked.names == ()


def test_the_contract_knows_the_rules_of_the_lint() -> None:
    assert set(read_table("rules")) == LINT_RULES


class SaysBarrier:
    """A model that confidently calls every name a barrier."""

    name = "stub"

    def __init__(self) -> None:
        self.asked: list[JsonObject] = []
        self.images: list[bytes] = []

    async def chat(
        self, messages: Sequence[Message], *, schema: JsonObject | None = None, tools: Sequence[Tool] = ()
    ) -> ChatReply:
        assert schema is not None
        assert not tools
        asked = json.loads(messages[1].content)
        self.asked.append(asked)
        said = [{"element": one["element"], "verdict": "barrier", "confidence": "high"} for one in asked["elements"]]
        return ChatReply(json.dumps({"judgements": said}), "stub", Usage(calls=1, prompt_tokens=100))


async def test_the_evaluation_scores_the_lint_alone_and_with_a_model(settings: ScanSettings) -> None:
    cases = [case for case in load_names().cases if case.kind in {"heading", "button"} and case.language == "en"]
    chat = SaysBarrier()

    async with ScanEngine(replace(settings, max_names=24)) as engine:
        scores = await run_names(engine, chat, cases, tell=lambda _: None)

    rows = {kind: (lint, both) for kind, _, _, lint, both in scores.rows}
    lint, both = rows["heading"]
    assert (lint.recall, lint.precision) == (Share(4, 5), Share(4, 4))
    assert (both.recall, both.precision) == (Share(5, 5), Share(5, 9))
    assert rows["button"][0].recall == Share(2, 2)
    assert len(chat.asked) == scores.usage.calls == 1
    assert len(scores.missed) == 4


class Sees(SaysBarrier):
    """A model that calls the texts of all pictures but the first barriers."""

    async def sees(self) -> bool:
        return True

    async def chat(
        self, messages: Sequence[Message], *, schema: JsonObject | None = None, tools: Sequence[Tool] = ()
    ) -> ChatReply:
        assert schema is not None
        assert not tools
        asked = json.loads(messages[1].content)
        self.asked.append(asked)
        assert len(messages[1].images) == len(asked["elements"])
        self.images += messages[1].images
        said = [
            {"element": one["element"], "verdict": "barrier", "confidence": "high"} for one in asked["elements"][1:]
        ]
        return ChatReply(json.dumps({"judgements": said}), "stub", Usage(calls=1, prompt_tokens=100))


async def test_a_model_that_sees_is_evaluated_on_drawings_beside_right_and_wrong_texts(settings: ScanSettings) -> None:
    cases = [case for case in load_pictures() if "clock" in case.shown]
    chat = Sees()

    async with ScanEngine(replace(settings, max_names=24, max_pictures=1)) as engine:
        scores = await run_names(engine, chat, cases, tell=lambda _: None)

    ((kind, bad, good, lint, both), _) = scores.rows
    assert (kind, bad, good, lint.recall, both.recall) == ("picture", 1, 1, Share(0, 1), Share(1, 1))
    assert (both.precision, scores.missed) == (Share(1, 1), ())
    assert [picture[:3] for picture in chat.images] == [b"\xff\xd8\xff"] * 2
