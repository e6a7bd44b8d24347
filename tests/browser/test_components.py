"""A component has the same id on every page, regardless of its surroundings."""

from __future__ import annotations

from producer.contract import Node, ScanRequest
from tests.support.site import Site
from worker.scan.engine import ScanEngine

HEADER = """<div class=topline><header class="site-header site-header--{page}"><form role=search action=/find>
<input class="search__input {page}" type=search name=q id=f{page}7>
</form></header></div>"""
CARD = (
    "<tea-card></tea-card><template id=card><article class=card><img class=card__image src=/a.jpg></article></template>"
)
SCRIPT = """<script>for (const host of document.querySelectorAll('tea-card'))
host.attachShadow({mode: 'open'}).append(document.querySelector('#card').content.cloneNode(true));</script>"""


def page_with(name: str, before: str) -> str:
    header = HEADER.format(page=name)
    return f"<!doctype html><html lang=en><title>{name}</title>{before}{header}<main>{before}{CARD}</main>{SCRIPT}"


async def nodes_of(engine: ScanEngine, url: str) -> dict[str, Node]:
    result = (await engine.audit(ScanRequest(url=url))).result
    return {finding.rule: finding.nodes[0] for finding in result.findings if finding.rule in {"label", "image-alt"}}


async def test_a_component_is_known_again_on_another_page_and_in_shadow_trees(engine: ScanEngine, site: Site) -> None:
    urls = site.add("/one", page_with("one", "")), site.add("/two", page_with("two", "<p>Spring</p>"))

    one, two = [await nodes_of(engine, url) for url in urls]

    assert one["label"].issue_id == two["label"].issue_id != ""
    assert one["image-alt"].issue_id == two["image-alt"].issue_id != one["label"].issue_id
    assert one["label"].component == "Header › search field has no label"
    assert one["image-alt"].component == "Main › card image has no text alternative"
