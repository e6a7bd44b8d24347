"""``sightline scan``: its options. What they do is in ``run.py``, imported when they are to be done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TextIO

import click

from producer.cli.scan.page_options import page_options

if TYPE_CHECKING:
    from producer.contract import JsonObject

STANDARDS: Final = ("wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice")
FAIL_ON: Final = ("minor", "moderate", "serious", "critical", "never")
LANES: Final = ("interactive", "batch")


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """The options as given; ``None`` and empty are not given."""

    standard: str = "wcag22aa"
    wait: bool = False
    timeout_s: float | None = None
    fail_on: str | None = None
    formats: tuple[str, ...] = ()
    output: str | None = None
    resume: bool = False
    batch: str | None = None
    job_id: str | None = None
    lane: str | None = None
    no_assess: bool = False
    as_json: bool = False
    screenshot: bool = False
    only_new: bool = False
    baseline: str | None = None
    write_baseline: str | None = None
    header_file: str | None = None
    cookie_file: str | None = None
    storage_state: str | None = None
    sitemaps: tuple[str, ...] = ()
    match: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    ignore_robots: bool = False
    local: bool = False
    groups: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    disabled_rules: tuple[str, ...] = ()
    viewport: JsonObject | None = None
    wait_for: str | None = None

    @property
    def waits(self) -> bool:
        """Whether results are waited for: asked for, or needed by another option."""
        implied = (self.timeout_s, self.fail_on, self.formats, self.output, self.resume)
        return self.wait or any(map(bool, (*implied, self.only_new, self.baseline, self.write_baseline, self.local)))


@click.command(short_help="Scan pages, and with --wait report what was found.")
@click.argument("urls", nargs=-1, metavar="[URL]...")
@click.option("--file", "-f", type=click.File("r", encoding="utf-8"), help="Addresses, one a line; '-' is stdin.")
@click.option("--sitemap", "sitemaps", multiple=True, metavar="URL", help="Pages of a sitemap or a site; repeatable.")
@click.option("--match", multiple=True, metavar="GLOB", help="Of sitemaps, only pages such as '/shop/*'; repeatable.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Of sitemaps, no pages such as '*/print/*'; repeatable.")
@click.option(
    "--ignore-robots", is_flag=True, help="Of sitemaps, also pages that robots.txt forbids, and without its delay."
)
@click.option("--local", is_flag=True, help="Use a Redis and a worker of this run's own; localhost may be scanned.")
@click.option("--standard", type=click.Choice(STANDARDS), default="wcag22aa", show_default=True, help="Rules to apply.")
@click.option("--wait", is_flag=True, help="Wait for the results. The next eight options imply it.")
@click.option("--timeout", "timeout_s", type=click.FloatRange(0, min_open=True), metavar="S", help="Seconds to wait.")
@click.option("--fail-on", type=click.Choice(FAIL_ON), help="Exit 1 from this impact on.  [default: serious]")
@click.option("--only-new", is_flag=True, help="Count what the page's previous scan did not have; show the rest.")
@click.option("--baseline", type=click.Path(), metavar="F", help="Count what is not in this file of known barriers.")
@click.option("--write-baseline", type=click.Path(), metavar="F", help="Write the barriers found to this file.")
@click.option("--format", "formats", multiple=True, metavar="FORMAT[=PATH]", help="Report to write; may be repeated.")
@click.option("--output", "-o", type=click.Path(), metavar="PATH", help="File of the report, or folder of several.")
@click.option("--resume", is_flag=True, help="Go on with --batch NAME: submit what it lacks, wait for all of it.")
@click.option("--batch", metavar="NAME", help="Name of the batch; made up for several pages.")
@click.option("--id", "job_id", metavar="ID", help="Id of the job, for one page.")
@click.option("--lane", type=click.Choice(LANES), help="Queue to wait in.  [default: batch]")
@click.option("--no-assess", is_flag=True, help="Findings only: ask no model what they mean.")
@click.option("--screenshot", is_flag=True, help="Take pictures: the HTML report shows the failing elements.")
@page_options
@click.option("--header-file", type=click.Path(), metavar="F", help="Login: lines of 'Name: value', or JSON.")
@click.option("--cookie-file", type=click.Path(), metavar="F", help="Login: cookies, JSON or Netscape.")
@click.option("--storage-state", type=click.Path(), metavar="F", help="Login: what Playwright saved.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON a job, as it is done. Default in a pipe.")
@click.pass_context
def scan(context: click.Context, urls: tuple[str, ...], file: TextIO | None, **options: Any) -> None:
    """Scan web pages for accessibility barriers.

    \b
    sightline scan https://example.org/ --wait
    sightline scan http://localhost:3000/ --local
    sightline scan --file urls.txt --format html=report.html --format junit=junit.xml
    cat urls.txt | sightline scan --file - --batch nightly-2026-11-23
    sightline scan https://example.org/ --wait --fail-on critical --json | jq .counts
    sightline scan --file urls.txt --only-new --fail-on serious
    sightline scan --file urls.txt --baseline known.json --write-baseline known.json
    sightline scan --sitemap https://example.org/ --match '/shop/*' --exclude '*/print/*' --batch shop
    sightline scan --file urls.txt --group '/shop/*=shop' --group rest --without '#chat' --viewport 390x844

    Formats: table, json, jsonl, csv, markdown, junit, sarif, html. Without --wait the jobs are queued and listed.

    A barrier that is known (--only-new, --baseline) or waived (see 'sightline waive') is reported, and fails nothing.
    What opens pages behind a login comes from files, or from SIGHTLINE_HEADERS (JSON), and is kept until the job's end.

    Exits 0 if all is fine, 1 for findings at or over --fail-on, 2 if a page could not be scanned, 3 if the service
    is unreachable or the time ran out, 64 for a wrong call.
    """  # noqa: D301  \b is click's mark for lines to keep
    from producer.cli.scan.run import run  # noqa: PLC0415  --help needs none of it

    context.exit(run(urls, file, ScanOptions(**options)))
