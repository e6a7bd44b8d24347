"""``sightline scan``: its arguments and its help. Next: ``run.py``, imported when the command runs."""

from __future__ import annotations

from typing import Any, Final, TextIO

import click

from producer.cli.scan.journeys import journey_options
from producer.cli.scan.options import LANES, STANDARDS, ScanOptions, page_options
from producer.cli.scan.report_options import report_options

_SECTIONS: Final = {
    "What to scan": (
        "file",
        "sitemaps",
        "match",
        "exclude",
        "sitemap_replace",
        "ignore_robots",
        "crawl",
        "max_pages",
        "per_pattern",
        *("config", "sites", "no_config", "start", "start_url"),
        "batch",
        "job_id",
        "lane",
        "local",
    ),
    "Logging in": ("login", "header_file", "cookie_file", "storage_state"),
    "The page": (
        *("standard", "groups", "within", "without", "disabled_rules", "enabled_rules", "blocked_hosts"),
        *("checks", "live", "allow_partial", "wait_for", "wait_until", "deadline_s", "insecure", "ca"),
        *("steps", "no_assess", "try_fixes", "screenshot", "no_scroll"),
    ),
    "How pages are shown (an option given twice makes two states)": (
        *("device", "viewport", "color_scheme", "forced_colors", "reduced_motion", "zoom", "text_size"),
    ),
    "Waiting and the gate": (
        "wait",
        *("timeout_s", "assess_wait_s", "max_new"),
        "resume",
        "fail_on",
        "strict",
        "only_new",
        "run",
        "baseline",
        "write_baseline",
    ),
    "Reports": ("formats", "output", "sarif_category", "as_json"),
}
_DEFAULT: Final = click.core.ParameterSource.DEFAULT


class _InSections(click.Command):
    """A command whose help groups the options into sections; the rest come last."""

    sections = _SECTIONS

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of each of ``_SECTIONS``, then the rest."""
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        left = {option.name: row for option in options if (row := option.get_help_record(ctx)) is not None}
        for title, names in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([left.pop(name) for name in names])
        with formatter.section("Other"):
            formatter.write_dl(list(left.values()))


@click.command(cls=_InSections)
@click.argument("urls", nargs=-1, metavar="[URL]...")
@click.option("--file", "-f", type=click.File("r", encoding="utf-8"), help="Addresses, one per line; '-' is stdin.")
@click.option("--sitemap", "sitemaps", multiple=True, metavar="URL", help="Pages of a sitemap or a site; repeatable.")
@click.option("--crawl", multiple=True, metavar="URL", help="Crawl the site from URL by its links; repeatable.")
@click.option(
    "--max-pages", type=click.IntRange(1, 10_000), metavar="N", help="Maximum pages per crawl.  [default: 100]"
)
@click.option(
    "--per-pattern",
    type=click.IntRange(1, 10_000),
    metavar="N",
    help="Maximum pages per crawl of one pattern, such as /product/*.  [default: 20]",
)
@click.option(
    "--match",
    multiple=True,
    metavar="GLOB",
    help="Only pages of sitemaps and crawls that match, such as '/shop/*'; repeatable.",
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="GLOB",
    help="Skip pages of sitemaps and crawls that match, such as '*/print/*'; repeatable.",
)
@click.option(
    "--sitemap-replace",
    multiple=True,
    metavar="FROM=TO",
    help="Replace FROM with TO in sitemap addresses, for a preview; repeatable.",
)
@click.option("--ignore-robots", is_flag=True, help="Ignore robots.txt and its delay.")
@click.option(
    "--config",
    type=click.Path(),
    metavar="F",
    help="Settings file.  [default: sightline.toml, here or in a parent folder]",
)
@click.option(
    "--site", "sites", multiple=True, metavar="NAME", help="Scan only this site of the settings file; repeatable."
)
@click.option("--no-config", is_flag=True, help="Read no settings file.")
@click.option(
    "--start",
    metavar="CMD",
    help="Serve the site with this command, such as 'npm run preview'.",
)
@click.option("--start-url", metavar="URL", help="Wait until this address answers.  [default: the first to scan]")
@click.option("--local", is_flag=True, help="Start a Redis and a worker for this run; localhost may be scanned.")
@click.option("--standard", type=click.Choice(STANDARDS), default="wcag22aa", show_default=True, help="Rules to apply.")
@click.option(
    "--wait", is_flag=True, help="Wait for results (implied by the options below, --format, --output, --local)."
)
@click.option("--only-new", is_flag=True, help="Fail only on component barriers that the site did not have before.")
@click.option(
    "--max-new",
    type=click.IntRange(0),
    metavar="N",
    help="Fail only if more than N component barriers are new; needs --only-new or --baseline.",
)
@click.option(
    "--run",
    metavar="ID",
    help="Id of the pipeline run: --only-new compares with what was known before it.  [default: the CI system's]",
)
@click.option(
    "--baseline",
    type=click.Path(),
    metavar="F",
    help="Fail only on barriers that are not in this file of known barriers.",
)
@click.option("--write-baseline", type=click.Path(), metavar="F", help="Write the barriers found to this file.")
@click.option("--resume", is_flag=True, help="Resume --batch NAME: submit its missing pages and wait for all.")
@click.option("--batch", metavar="NAME", help="Name of the batch; generated for several pages.")
@click.option("--id", "job_id", metavar="ID", help="Id of the job, for one page.")
@click.option("--lane", type=click.Choice(LANES), help="Lane to queue the jobs in.  [default: batch]")
@click.option("--no-assess", is_flag=True, help="Report findings only, without a model's assessment.")
@click.option("--screenshot", is_flag=True, help="Take screenshots: the HTML report shows the failing elements.")
@page_options
@journey_options
@report_options
@click.option("--header-file", type=click.Path(), metavar="F", help="HTTP headers: lines of 'Name: value', or JSON.")
@click.option("--cookie-file", type=click.Path(), metavar="F", help="Cookies: JSON or Netscape format.")
@click.option(
    "--storage-state", type=click.Path(), metavar="F", help="Cookies and local storage as saved by Playwright."
)
@click.option(
    "--sarif-category",
    metavar="NAME",
    help="Category of the SARIF file and the comment.  [default: from site and state]",
)
@click.option(
    "--json", "as_json", is_flag=True, help="One line of JSON per job as it ends. Default in a pipe outside CI."
)
def scan(urls: tuple[str, ...], file: TextIO | None, **options: Any) -> int:
    """Scan web pages for accessibility barriers.

    \b
    sightline scan https://example.org/ --wait
    sightline scan http://localhost:3000/ --local
    sightline scan --local
    sightline scan --file urls.txt --format html=report.html --format junit=junit.xml
    cat urls.txt | sightline scan --file - --batch nightly-2026-11-23
    sightline scan https://example.org/ --wait --fail-on critical --json | jq .counts
    sightline scan --file urls.txt --only-new --fail-on serious
    sightline scan --file urls.txt --baseline known.json --write-baseline known.json
    sightline scan --crawl http://localhost:3000/ --max-pages 50 --local
    sightline scan --sitemap https://example.org/ --match '/shop/*' --exclude '*/print/*' --batch shop
    sightline scan https://example.org/cart --steps dialog.json --local
    sightline scan --file urls.txt --group '/shop/*=shop' --without '#chat' --device 'iPhone 14'
    sightline scan --file urls.txt --color-scheme light --color-scheme dark --format html=report.html

    Without an address, scans the sites of sightline.toml (docs/config.md) and waits. Its options also apply to
    addresses given here; options given here take precedence. 'sightline config init' creates the file.

    Formats: table, json, jsonl, csv, markdown, junit, sarif, html, gitlab. Without --wait, jobs are only queued and
    listed.

    A barrier that is known (--only-new, --baseline) or waived (see 'sightline waive') is reported but does not count.
    Credentials for pages behind a login come from files, or from SIGHTLINE_HEADERS (JSON); they are deleted when the
    job ends.

    Exits 0 if the gate passes, 1 for findings at or above --fail-on, 2 if a page could not be scanned (with --strict:
    or is in doubt), 3 if the service is unreachable or time ran out, 4 if a result is no longer kept, 64 for a
    usage error, 70 for a fault in Sightline, 74 if stdout or a disk is full.
    """
    from producer.cli.scan.run import run

    context = click.get_current_context()
    given = {name: value for name, value in options.items() if context.get_parameter_source(name) is not _DEFAULT}
    return run(urls, file, ScanOptions(**options), context.command, given)
