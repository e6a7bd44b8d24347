"""Runs ``make truth PAGES=…``: compares the product's findings with unmodified axe-core's, page by page.

PAGES is a folder, whose HTML and XHTML documents are served at the root of a loopback server, or a file with one
address per line. Each page is audited by the product and, in the same state, by axe-core as it is on disk: nodes that
only one has are ``lost`` or ``invented``, nodes described differently are ``changed``. Then axe-core runs on a plain
load of the page, without scrolling and with its animations and scripts running: those differences are ``at rest``, or
the page ``changed between``. Exits 1 on any difference without a reason, 64 for bad input.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final

import structlog
from pydantic import ValidationError

sys.path.insert(0, str(Path(__file__).parent))

from bare import Beside, audit_beside, nodes_of, run_on_plain_load, with_bare_axe
from compare import Circumstances, Difference, against_bare, against_plain_load, bare_findings, count, cut_rules
from compare import product_findings as findings_of

from producer.contract import ScanRequest, ScanResult
from producer.errors import DependencyMissing
from worker.scan.browser import find_browser
from worker.scan.cdp import CallFailed
from worker.scan.chromium import Chromium
from worker.scan.engine import ScanEngine, ScanSettings
from worker.scan.page import ScriptFailed

_DOCUMENTS: Final = {".html", ".htm", ".xhtml", ".xht"}
_TYPES: Final = {".xhtml": "application/xhtml+xml", ".xht": "application/xhtml+xml", ".vtt": "text/vtt"}
_BAD_INPUT: Final = 64
_AT_A_TIME: Final = 2
_SHOWN_A_PAGE: Final = 5
_NOT_SCANNED: Final = "not scanned"


@dataclass(frozen=True, slots=True)
class PageTruth:
    """The result for one page; ``nodes`` counts bare axe-core's on the page that the product audited."""

    url: str
    nodes: int
    differences: Sequence[Difference]
    note: str = ""
    """Why the page could not be compared, or only in part."""

    @property
    def is_true(self) -> bool:
        """Whether each difference has a reason."""
        return all(one.reason for one in self.differences)


class _Handler(SimpleHTTPRequestHandler):
    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, **_TYPES}  # noqa: RUF012  as the base class has it

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class names it so
        """Log nothing: the terminal is for the table."""


@contextmanager
def addresses_of(pages: Path) -> Generator[list[str]]:
    """Yield the addresses of the pages; a folder is served meanwhile. Raises ``SystemExit`` for bad input."""
    if pages.is_file():
        lines = (line.strip() for line in pages.read_text(encoding="utf-8-sig").splitlines())
        yield [line for line in lines if line and not line.startswith("#")]
        return
    if not pages.is_dir():
        print(
            f"truth: {str(pages)!r} is no folder and no file: expected pages, or a list of addresses", file=sys.stderr
        )
        raise SystemExit(_BAD_INPUT)
    found = sorted(path for path in pages.rglob("*") if path.suffix.lower() in _DOCUMENTS and path.is_file())
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(pages))) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield [f"http://127.0.0.1:{server.server_port}/{path.relative_to(pages).as_posix()}" for path in found]
        finally:
            server.shutdown()
            thread.join()


async def look_at(engine: ScanEngine, browser: Chromium, request: ScanRequest, settings: ScanSettings) -> PageTruth:
    """Return the reports of the product, and of bare axe-core on the same page and on a plain load, for one page."""
    url = str(request.url)
    result, beside = await audit_beside(engine, request)
    if result.status == "unreachable":
        return PageTruth(url, 0, (), f"{_NOT_SCANNED}: {result.reason}")
    at_rest = bare_findings(nodes_of(beside.bare))
    differences = against_bare(findings_of(result), at_rest, _circumstances(result, beside))
    note = f"{result.status}: {result.reason}" if result.reason else ""
    if beside.failure:
        return PageTruth(url, 0, differences, note)
    try:
        first = bare_findings(nodes_of(await run_on_plain_load(browser, request, settings)))
        if first != at_rest:
            second = bare_findings(nodes_of(await run_on_plain_load(browser, request, settings)))
            differences += against_plain_load(at_rest, first, second)
    except (ScriptFailed, CallFailed) as error:
        note = f"{note}; no plain load to compare with: {error}".removeprefix("; ")
    return PageTruth(url, len(at_rest), differences, note)


def _circumstances(result: ScanResult, beside: Beside) -> Circumstances:
    return Circumstances(
        bare_failure=beside.failure,
        rules_left_out=frozenset(beside.report.rules_left_out | beside.report.rules_cut_short),
        has_unread_frames=bool(beside.report.unread_frames),
        has_shadowed_names=beside.has_shadowed_names,
        cut_rules=cut_rules(result, bare_findings(nodes_of(beside.bare))),
    )


async def look_at_all(urls: Sequence[str], *, standard: str) -> list[PageTruth]:
    """Return the result for each page, in order; print those that differ as they arrive."""
    settings = ScanSettings(allow_private=True, max_concurrent=_AT_A_TIME)
    requests = [ScanRequest.model_validate({"url": url, "standard": standard}) for url in urls]
    places = asyncio.Semaphore(_AT_A_TIME)
    browser = await Chromium.launch(find_browser(), settings)
    try:
        with with_bare_axe():
            async with ScanEngine(settings) as engine:

                async def look(request: ScanRequest) -> PageTruth:
                    async with places:
                        truth = await look_at(engine, browser, request, settings)
                    _print_page(truth)
                    return truth

                return await asyncio.gather(*map(look, requests))
    finally:
        await browser.close()


def _print_page(truth: PageTruth) -> None:
    if not truth.differences and not truth.note.startswith(_NOT_SCANNED):
        return
    mark = "differs" if truth.differences else "-"
    print(
        f"{'' if truth.is_true else 'FALSE '}{mark:8}{truth.nodes:5} nodes  {truth.url}  {truth.note[:200]}", flush=True
    )
    shown = sorted(truth.differences, key=lambda one: bool(one.reason))[:_SHOWN_A_PAGE]
    for one in shown:
        print(f"    {str(one)[:300]}", flush=True)
    if len(truth.differences) > len(shown):
        print(f"    and {len(truth.differences) - len(shown)} more", flush=True)


def _print_totals(truths: Sequence[PageTruth]) -> None:
    differences = [one for truth in truths for one in truth.differences]
    print(f"\npages {len(truths)}, nodes {sum(truth.nodes for truth in truths)}")
    print(f"pages not scanned: {sum(truth.note.startswith(_NOT_SCANNED) for truth in truths)}")
    for kind in ("lost", "invented", "changed"):
        without = count(differences, kind, explained=False)
        print(f"{kind:9}{without} without a reason, {count(differences, kind, explained=True)} with one")
    for reason in sorted({one.reason.partition(":")[0] for one in differences if one.reason}):
        print(f"    {sum(one.reason.startswith(reason) for one in differences)}: {reason}")


def main() -> int:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description="Compare the product's findings with bare axe-core's.")
    parser.add_argument("pages", type=Path, help="a folder of pages, or a file with one address a line")
    parser.add_argument("--standard", default="wcag22aa", help="wcag2a to wcag22aaa, or best-practice")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with addresses_of(given.pages) as urls:
        if not urls:
            print(f"truth: {str(given.pages)!r} has no pages", file=sys.stderr)
            return _BAD_INPUT
        try:
            truths = asyncio.run(look_at_all(urls, standard=given.standard))
        except (ValidationError, DependencyMissing) as error:
            print(f"truth: {error}", file=sys.stderr)
            return _BAD_INPUT
    _print_totals(truths)
    return 0 if all(truth.is_true for truth in truths) else 1


if __name__ == "__main__":
    sys.exit(main())
