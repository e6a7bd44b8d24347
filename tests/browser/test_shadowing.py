"""A field named like a DOM property hides no barrier of its form, and the page is left unchanged."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

from producer.contract import ScanRequest, ScanResult
from tests.support.site import Site
from worker.scan.axe import AxeRun
from worker.scan.axe_source import script
from worker.scan.chromium import Chromium
from worker.scan.deadline import Deadline
from worker.scan.engine import ScanEngine, ScanSettings
from worker.scan.guard import Guard
from worker.scan.page import Page
from worker.scan.proxy import ScanProxy

# Each changes what axe-core 4.14 finds in its form, or stops it; by trying all of HTMLFormElement's properties.
NAMES: list[str] = [
    "ariaLabel",
    "assignedSlot",
    "childNodes",
    "children",
    "classList",
    "compareDocumentPosition",
    "getAttribute",
    "getBoundingClientRect",
    "getClientRects",
    "getRootNode",
    "hasAttribute",
    "hasAttributes",
    "nodeName",
    "nodeType",
    "parentElement",
    "parentNode",
    "style",
]
FIELDS = {
    "name": "<input type=hidden name={0}>",
    "id": "<input type=hidden id={0}>",
    "select": "<select name={0} aria-label=x><option>x</select>",
    "radios": "<input type=radio name={0} aria-label=x><input type=radio name={0} checked aria-label=y>",
    "other elements": "<fieldset name={0}></fieldset><output name={0}></output><object name={0} data=data:></object>",
    "image": "<img name={0} alt=x src=data:>",
    "of another place": "</form><input type=hidden form=f-{1} name={0}><form>",
    "shadow root": "<template shadowrootmode=open><form><img src=data:><input name={0} aria-label=x></form></template>",
}


def page_of(names: list[str], *fields: str) -> str:
    forms = "".join(
        f"<form id=f-{n}><div><img src=data:>{field.format(name, n)}</div><b class=low>low</b></form>"
        for n, (field, name) in enumerate(product(fields, names))
    )
    style = "<style>.low { color: #ccc }</style>"
    return f"<!doctype html><html lang=en><title>x</title>{style}<main><h1>x</h1>{forms}</main>"


async def findings_of(engine: ScanEngine, names: list[str], *fields: str) -> list[tuple[str, str, str, str]]:
    result = (await engine.audit(ScanRequest(html=page_of(names, *fields), standard="best-practice"))).result
    assert result.status == "scanned", result.reason
    plain = re.compile(rf"\b(?:{'|'.join(names)})\b")
    return [
        (one.rule, plain.sub("NAME", str(node.selector)), plain.sub("NAME", node.snippet), node.failure_summary)
        for one in (*result.findings, *result.incomplete)
        for node in one.nodes
    ]


@pytest.mark.parametrize("kinds", [[*FIELDS][:4], [*FIELDS][4:]], ids=", ".join)
async def test_a_field_named_like_a_property_hides_nothing_of_its_form(engine: ScanEngine, kinds: list[str]) -> None:
    # All forms of four kinds on one page, as each scan costs a second; a form that differs is named by its number.
    twins, fields = [f"plain{n:02}" for n in range(len(NAMES))], [FIELDS[kind] for kind in kinds]

    found = await findings_of(engine, NAMES, *fields)

    assert sum(rule == "image-alt" for rule, *_ in found) == len(NAMES) * len(fields)
    assert found == await findings_of(engine, twins, *fields)


async def test_the_page_is_the_same_before_and_after(browser_path: str, settings: ScanSettings, site: Site) -> None:
    everything = "".join(field for kind, field in FIELDS.items() if kind != "shadow root")
    url = site.add("/shadowing", page_of(NAMES, everything))
    whole = "document.documentElement.outerHTML + [...document.querySelectorAll('input')].map((one) => one.checked)"
    browser = await Chromium.launch(Path(browser_path), settings)
    try:
        async with ScanProxy(Guard(settings), max_bytes=10**7) as proxy:
            page = await Page.open(
                browser,
                proxy_port=proxy.port,
                viewport=ScanRequest(url=url).viewport,
                user_agent="test",
                start_script=script("document_start"),
            )
            await page.session.call("Page.navigate", {"url": url})
            assert await page.until(lambda: page.watch.is_loaded, timeout_s=30)
            world = await page.world(page.session, page.watch.frame_id, timeout_s=10)
            before = await page.evaluate(page.session, world, whole, timeout_s=10)
            run = AxeRun(page, ScanRequest(url=url), deadline=Deadline(60), frame_limit_s=10, max_frames=10)

            report = await run.run(max_nodes=500, with_boxes=True)

            after = await page.evaluate(page.session, world, whole, timeout_s=10)
            await page.close()
    finally:
        await browser.close()
    assert "image-alt" in {rule["id"] for rule in report.violations}
    assert after == before


async def test_a_form_that_cannot_be_helped_is_named_with_its_field(engine: ScanEngine) -> None:
    html = page_of(["childNodes"], "<img id={0} alt=x src=data:>")

    result: ScanResult = (await engine.audit(ScanRequest(html=html))).result

    assert result.status == "partial"
    (doubt,) = (one for one in result.doubts if one.kind == "shadowed-names")
    assert "'form#f-0'" in doubt.what
    assert "'childNodes'" in doubt.what
