"""False doubts are bugs, too: ordinary pages and the demo's repaired site have none."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from producer.contract import ScanRequest
from producer.contract.rules import LINT_RULES
from tests.support.ordinary import ORDINARY, serve_ordinary
from tests.support.site import Site
from worker.scan.engine import ScanEngine

DEMO = Path(__file__).parents[2] / "ops" / "demo" / "site"


@pytest.fixture(scope="module")
def ordinary() -> Generator[Site]:
    with Site() as site:
        serve_ordinary(site)
        yield site


@pytest.mark.parametrize("path", ORDINARY)
async def test_an_ordinary_page_is_in_no_doubt(engine: ScanEngine, ordinary: Site, path: str) -> None:
    result = (await engine.audit(ScanRequest(url=ordinary.url(path), deadline_s=30))).result

    doubts = [doubt for doubt in result.doubts if doubt.kind != "missing-glyphs"]  # of the machine, not of the page
    assert (result.status, doubts) == ("scanned", [])
    assert [one.rule for one in result.incomplete if one.rule in LINT_RULES] == []


@pytest.mark.parametrize("page", sorted(path.name for path in (DEMO / "repaired").glob("*.html")))
async def test_a_repaired_page_of_the_demo_is_in_no_doubt(engine: ScanEngine, page: str) -> None:
    with Site(DEMO) as demo:
        result = (await engine.audit(ScanRequest(url=demo.url(f"/repaired/{page}"), deadline_s=30))).result

    assert (result.status, result.doubts) == ("scanned", ())
    assert [one.rule for one in result.incomplete if one.rule in LINT_RULES] == []
