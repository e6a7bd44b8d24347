"""No page can fool a scan, stall it or harm the next one: all of them, most twice over, two at a time."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import pytest
import pytest_asyncio

from producer.contract import ScanRequest, ScanResult
from tests.support.hostile import HOSTILE, SCANNED, Hostile
from tests.support.processes_of import descendants, resident_mb, settled
from tests.support.scans import passes
from tests.support.site import Site
from worker.scan.engine import ScanEngine, ScanSettings

# Alone: whether a page is too slow is a matter of a processor that nobody else uses.
pytestmark = [pytest.mark.timeout(300), pytest.mark.alone]

ROUNDS = 2
PROCESSES = 5
"""Of a browser at rest: itself, its two zygotes, network and drawing."""
HONEST = Hostile("/pages/guilty.html", SCANNED, is_guilty=True, deadline_s=20)


@dataclass(frozen=True)
class Ended:
    """How one scan of a hostile page ended, and the honest page scanned right after it."""

    result: ScanResult
    spent_s: float
    next_result: ScanResult | None


@dataclass(frozen=True)
class Rounds:
    ended: dict[str, list[Ended]]
    processes: tuple[int, int]
    errors: list[str]
    resident_mb: tuple[float, float]


def rules_of(result: ScanResult) -> set[str]:
    return {finding.rule for finding in result.findings}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def rounds(settings: ScanSettings, site: Site) -> Rounds:
    ended: dict[str, list[Ended]] = {page.path: [] for page in HOSTILE}
    errors: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(str(context)))
    async with ScanEngine(settings) as engine:

        async def scan(page: Hostile) -> tuple[ScanResult, float]:
            start_s = time.monotonic()
            audit = await engine.audit(ScanRequest(url=site.url(page.path), deadline_s=page.deadline_s))
            return audit.result, time.monotonic() - start_s

        async def take(pages: list[Hostile], *, and_honest: bool) -> None:
            while pages:
                page = pages.pop(0)
                result, spent_s = await scan(page)
                ended[page.path].append(Ended(result, spent_s, (await scan(HONEST))[0] if and_honest else None))

        await asyncio.gather(*(scan(HONEST) for _ in range(4)))
        await settled(lambda: len(descendants()) <= PROCESSES)
        before = len(descendants()), resident_mb(descendants())
        for number in range(ROUNDS):
            pages = [page for page in HOSTILE if number == 0 or not page.is_slow]
            await asyncio.gather(*(take(pages, and_honest=number == 0) for _ in range(2)))
        await asyncio.gather(*(scan(HONEST) for _ in range(4)))
        await settled(lambda: len(descendants()) <= before[0])
        after = len(descendants()), resident_mb(descendants())
    return Rounds(ended, (before[0], after[0]), errors, (before[1], after[1]))


@pytest.mark.parametrize("page", HOSTILE, ids=lambda page: page.path)
async def test_a_hostile_page_ends_in_its_status_within_its_deadline(rounds: Rounds, page: Hostile) -> None:
    ended = rounds.ended[page.path]

    assert len(ended) == (1 if page.is_slow else ROUNDS)
    for one in ended:
        assert one.result.status in page.statuses, one.result.reason
        assert page.reason in one.result.reason
        assert page.is_guilty in {None, "image-alt" in rules_of(one.result)}
        assert not passes(one.result)
        assert len(one.result.model_dump_json().encode()) < 100_000
        assert one.spent_s < page.deadline_s + 2


@pytest.mark.parametrize("page", HOSTILE, ids=lambda page: page.path)
async def test_the_next_scan_is_unharmed(rounds: Rounds, page: Hostile) -> None:
    result = rounds.ended[page.path][0].next_result

    assert result is not None
    assert result.status == "scanned", result.reason
    assert rules_of(result) == {"image-alt"}


async def test_no_process_is_left_over(rounds: Rounds) -> None:
    before, after = rounds.processes

    assert after <= before


async def test_no_error_goes_unseen(rounds: Rounds) -> None:
    assert rounds.errors == []


async def test_memory_comes_back(rounds: Rounds) -> None:
    before, after = rounds.resident_mb

    assert after <= before * 1.15


async def test_no_popup_of_a_page_ever_ran(rounds: Rounds, site: Site) -> None:
    assert rounds.ended["/pages/popups.html"]
    assert site.seen("/popup-ran") == []
