"""Pages with thousands of barriers keep their findings: unlisted nodes cost little, a late rule only itself."""

from __future__ import annotations

import pytest

from producer.contract import ScanRequest, ScanResult
from worker.scan import axe_source
from worker.scan.engine import ScanEngine


async def scan(engine: ScanEngine, body: str, **more: object) -> ScanResult:
    html = f"<!doctype html><html lang=en><title>x</title><main><h1>x</h1><img src=data:>{body}</main>"
    return (await engine.audit(ScanRequest.model_validate({"html": html, "deadline_s": 60, **more}))).result


async def test_of_many_failing_elements_all_are_counted_and_the_first_are_named(
    engine: ScanEngine,
) -> None:
    links = "".join(f'<p><a href="/{n}"></a></p>' for n in range(1_200))

    result = await scan(engine, links, disabled_rules=["target-size"])

    (finding,) = (one for one in result.findings if one.rule == "link-name")
    assert (finding.node_count, len(finding.nodes)) == (1_200, 500)
    assert [node.selector for node in finding.nodes[::499]] == [('a[href="/0"]',), ('a[href="/499"]',)]
    assert len({node.fingerprint for node in finding.nodes}) == 500


READS_ARE_COUNTED = """;{
  const { get } = Object.getOwnPropertyDescriptor(Node.prototype, "nodeValue");
  let left = 50000;
  const read = function () { if (--left < 0) throw new Error("too many reads"); return get.call(this); };
  Object.defineProperty(Node.prototype, "nodeValue", { get: read, configurable: true });
}"""


def in_audits(monkeypatch: pytest.MonkeyPatch, added: str) -> None:
    monkeypatch.setattr("worker.scan.axe.audit_script", lambda: f"{axe_source.audit_script()}{added}")


async def test_a_line_of_text_is_not_read_again_for_each_link_in_it(
    engine: ScanEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_audits(monkeypatch, READS_ARE_COUNTED)
    links = "".join(f'<a href="/{n}"></a> and ' for n in range(500))

    result = await scan(engine, f"<p>Here {links}</p>")

    assert not result.incomplete, "axe-core says so of a rule that threw"
    assert {one.rule: one.node_count for one in result.findings}["link-name"] == 500


SEARCHES_ARE_COUNTED = """;{
  const find = Document.prototype.querySelectorAll;
  let left = 20;
  Document.prototype.querySelectorAll = function (selector) {
    if (selector.includes('"same"') && --left < 0) throw new Error("too many searches");
    return find.call(this, selector);
  };
}"""


async def test_what_shares_an_id_is_not_searched_for_again_for_each(
    engine: ScanEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_audits(monkeypatch, SEARCHES_ARE_COUNTED)
    fields = "".join(f"<p><label for=same>Label {n}</label><input id=same></p>" for n in range(100))

    result = await scan(engine, f"{fields}<div id=named role=region aria-labelledby=same>x</div>")

    assert {one.rule: one.node_count for one in result.incomplete} == {
        "form-field-multiple-labels": 100,
        "duplicate-id-aria": 1,
    }


STYLES_ARE_COUNTED = """;{
  const read = window.getComputedStyle;
  let left = 1500;
  window.getComputedStyle = (...given) => {
    if (--left < 0) throw new Error("too many styles");
    return read(...given);
  };
}"""
CLOSED = "<details><summary>More</summary><x-part><p>{}</p></x-part></details>"


async def test_the_style_of_what_is_within_something_hidden_is_not_read(
    engine: ScanEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_audits(monkeypatch, STYLES_ARE_COUNTED)
    links = "".join(f'<b>text <a href="/{n}"></a></b>' for n in range(200))

    result = await scan(engine, CLOSED.format(links) * 10 + "<p>and <a href=/></a></p>", disabled_rules=["target-size"])

    assert not result.incomplete, "axe-core says so of a rule that threw"
    assert {one.rule: one.node_count for one in result.findings} == {"image-alt": 1, "link-name": 1}


async def test_what_no_slot_shows_in_something_hidden_breaks_no_rule(engine: ScanEngine) -> None:
    attach = (
        "<script>for (const part of document.querySelectorAll('x-part')) part.attachShadow({mode: 'open'})</script>"
    )
    grey = '<p style="color: #bbb; background: #fff">grey</p>'

    result = await scan(engine, f"{CLOSED.format('<i><b>deep</b></i>')}{attach}{grey}")

    assert not result.incomplete
    assert {one.rule: one.node_count for one in result.findings} == {"image-alt": 1, "color-contrast": 1}


A_CHECK_IS_SLOW = """;{
  const check = axe._audit.checks["CHECK"], { evaluate } = check;
  const wait = (end) => { while (performance.now() < end); };
  check.evaluate = function (...given) { wait(performance.now() + 200); return evaluate.apply(this, given); };
}"""


async def test_a_rule_that_is_cut_short_keeps_what_it_has_found(
    engine: ScanEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_audits(monkeypatch, A_CHECK_IS_SLOW.replace("CHECK", "has-alt"))

    result = await scan(engine, '<img src=data:><p><a href="/"></a></p>' * 50, deadline_s=8)

    counts = {one.rule: one.node_count for one in result.findings}
    assert 0 < counts["image-alt"] < 51
    assert counts["link-name"] == 50
    (doubt,) = (one for one in result.doubts if one.kind == "rules-left-out")
    assert doubt.what == "there was no time to finish 1 rule: image-alt"
    assert result.status == "partial"


SELECTORS_ARE_SLOW = """;{
  const { prototype } = axe.utils.DqElement, { get } = Object.getOwnPropertyDescriptor(prototype, "selector");
  const wait = (end) => { while (performance.now() < end); };
  const slow = function () { wait(performance.now() + 50); return get.call(this); };
  Object.defineProperty(prototype, "selector", { get: slow });
}"""


async def test_elements_that_there_is_no_time_to_name_are_named_by_their_path(
    engine: ScanEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_audits(monkeypatch, SELECTORS_ARE_SLOW)

    result = await scan(engine, "".join(f'<p><a href="/{n}"></a></p>' for n in range(300)), deadline_s=8)

    (finding,) = (one for one in result.findings if one.rule == "link-name")
    assert (result.status, finding.node_count, len(finding.nodes)) == ("scanned", 300, 300)
    assert finding.nodes[-1].selector == ("html > body > main > p:nth-child(302) > a",)
    assert len({node.fingerprint for node in finding.nodes}) == 300


MERGING_IS_LATE = """;{
  const { finishRun } = axe;
  axe.finishRun = (...given) => new Promise((done) => setTimeout(done, 6000)).then(() => finishRun(...given));
}"""


async def test_what_rules_have_found_in_time_is_kept_although_it_is_merged_late(
    engine: ScanEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_audits(monkeypatch, A_CHECK_IS_SLOW.replace("CHECK", "has-alt") + MERGING_IS_LATE)

    result = await scan(engine, '<img src=data:><p><a href="/"></a></p>' * 50, deadline_s=5)

    assert {one.rule: one.node_count for one in result.findings}["link-name"] == 50
    assert [doubt.what for doubt in result.doubts if doubt.kind == "rules-left-out"] == [
        "there was no time to finish 1 rule: image-alt"
    ]


async def test_a_rule_that_takes_too_long_costs_itself_alone_and_is_named(
    engine: ScanEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_audits(monkeypatch, A_CHECK_IS_SLOW.replace("CHECK", "target-size"))

    result = await scan(engine, '<p><a href="/">text</a></p>' * 100, deadline_s=8)

    assert "image-alt" in {one.rule for one in result.findings}
    (doubt,) = (one for one in result.doubts if one.kind == "rules-left-out")
    assert doubt.what == "there was no time for 1 rule: target-size"
    assert result.status == "partial"
