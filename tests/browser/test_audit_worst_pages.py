"""Pages with thousands of barriers keep their findings: what is not shown costs little, a late rule only itself."""

from __future__ import annotations

from producer.contract import ScanRequest, ScanResult
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


async def test_links_in_one_line_of_text_cost_no_rule(engine: ScanEngine) -> None:
    links = "".join(f'<a href="/{n}"></a> and ' for n in range(2_000))

    result = await scan(engine, f"<p>Here {links}</p>")

    assert not [one for one in result.doubts if one.kind == "rules-left-out"]
    assert {one.rule: one.node_count for one in result.findings}["link-name"] == 2_000


async def test_a_rule_that_takes_too_long_costs_itself_alone_and_is_named(engine: ScanEngine) -> None:
    # Each has hundreds of neighbours, which target-size looks at in turn.
    targets = "<button style='width:3px;height:3px;padding:0;border:0' aria-label=x></button>" * 4_000

    result = await scan(engine, targets, deadline_s=60)

    assert "image-alt" in {one.rule for one in result.findings}
    (doubt,) = (one for one in result.doubts if one.kind == "rules-left-out")
    assert "target-size" in doubt.what
    assert result.status == "partial"
