"""No hostile page can deceive or stall a scan or harm the next one: two at a time, an honest page after each."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio

from producer.contract import ScanRequest, ScanResult
from tests.support.hostile import HOSTILE, SCANNED, Hostile
from tests.support.processes_of import descendants, resident_mb, settled
from tests.support.scans import passes
from tests.support.site import Site
from worker.scan.engine import ScanEngine, ScanSettings

# Alone, since whether a page is too slow depends on an idle processor.
pytestmark = [pytest.mark.timeout(300), pytest.mark.alone]

AT_ONCE = 2
"""At three, and a load of ten beside it, endless dialogs kept their page from being read."""
SILENT = ("/drip", "/drip-head", "/hang")
"""These use no processor time until their deadline: scanned in parallel with others."""
PROCESSES = 5
"""Of a browser at rest: itself, its two zygotes, network and drawing."""
HONEST = Hostile("/pages/guilty.html", SCANNED, is_guilty=True, deadline_s=20)


@dataclass(frozen=True)
class Ended:
    """How one scan of a hostile page ended, and the honest page scanned right after it."""

    result: ScanResult
    spent_s: float
    next_result: ScanResult


@dataclass(frozen=True)
class Round:
    ended: dict[str, Ended]
    processes: tuple[int, int]
    errors: list[str]
    resident_mb: tuple[float, float]


def rules_of(result: ScanResult) -> set[str]:
    return {finding.rule for finding in result.findings}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def seen(settings: ScanSettings, site: Site) -> Round:
    ended: dict[str, Ended] = {}
    errors: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(str(context)))
    async with ScanEngine(replace(settings, max_concurrent=AT_ONCE + 1, frame_limit_s=20.0)) as engine:

        async def scan(page: Hostile) -> tuple[ScanResult, float]:
            start_s = time.monotonic()
            audit = await engine.audit(ScanRequest(url=site.url(page.path), deadline_s=page.deadline_s))
            return audit.result, time.monotonic() - start_s

        async def take(pages: list[Hostile]) -> None:
            while pages:
                page = pages.pop(0)
                result, spent_s = await scan(page)
                ended[page.path] = Ended(result, spent_s, (await scan(HONEST))[0])

        await asyncio.gather(*(scan(HONEST) for _ in range(4)))
        await settled(lambda: len(descendants()) <= PROCESSES)
        before = len(descendants()), resident_mb(descendants())
        silent = [page for page in HOSTILE if page.path in SILENT]
        pages = [page for page in HOSTILE if page.path not in SILENT]
        await asyncio.gather(take(silent), *(take(pages) for _ in range(AT_ONCE)))
        await asyncio.gather(*(scan(HONEST) for _ in range(4)))
        await settled(lambda: len(descendants()) <= before[0])
        after = len(descendants()), resident_mb(descendants())
    return Round(ended, (before[0], after[0]), errors, (before[1], after[1]))


@pytest.mark.parametrize("page", HOSTILE, ids=lambda page: page.path)
async def test_a_hostile_page_ends_in_its_status_within_its_deadline(seen: Round, page: Hostile) -> None:
    one = seen.ended[page.path]

    assert one.result.status in page.statuses, one.result.reason
    assert page.reason in one.result.reason
    assert page.is_guilty in {None, "image-alt" in rules_of(one.result)}
    assert not passes(one.result)
    assert len(one.result.model_dump_json().encode()) < 100_000
    assert one.spent_s < page.deadline_s + 2


@pytest.mark.parametrize("page", HOSTILE, ids=lambda page: page.path)
async def test_the_next_scan_is_unharmed(seen: Round, page: Hostile) -> None:
    result = seen.ended[page.path].next_result

    assert result.status == "scanned", result.reason
    assert rules_of(result) == {"image-alt"}


async def test_no_process_is_left_over(seen: Round) -> None:
    before, after = seen.processes

    assert after <= before


async def test_every_error_is_noticed(seen: Round) -> None:
    assert seen.errors == []


async def test_memory_comes_back(seen: Round) -> None:
    before, after = seen.resident_mb

    assert after <= before * 1.15


async def test_no_popup_of_a_page_ever_ran(seen: Round, site: Site) -> None:
    assert seen.ended["/pages/popups.html"]
    assert site.seen("/popup-ran") == []
