"""The file that ``sightline config init`` writes."""

from __future__ import annotations

from typing import Final

from producer.config.toml_text import string_text

_TEXT: Final = """\
# What `sightline scan` checks, and how strictly. Keys: docs/config.md; `sightline config check` looks for faults.

{start}
[scan]                          # options of every page: those of `sightline scan`, with underscores
standard = "wcag22aa"
# checks = ["axe", "live"]      # live: the page in use (keyboard, zoom), for a person to review; docs/live.md

[[site]]
url = {url}                     # takes ${{NAME}} and ${{NAME:-otherwise}} from the environment
pages = ["/"]
# sitemaps = ["/sitemap.xml"]

# [[page]]                      # options of the pages that fit a pattern
# match = "/legacy/*"
# standard = "wcag21aa"

[gate]
fail_on = "serious"             # minor, moderate, serious, critical, never
# baseline = "known.json"       # fail only on what is not in it; `--write-baseline known.json` makes it

[reports]
html = "report.html"            # also json, jsonl, csv, markdown, junit, sarif, gitlab, table

# [[waiver]]
# rule = "color-contrast"
# match = "/legacy/*"
# reason = "replaced in March"
# until = 2027-03-31
"""


def starter(url: str, start: str = "") -> str:
    """Return the text for a site, and the command that serves it."""
    line = f"start = {string_text(start)}" if start else '# start = "npm run preview"     # serves the site for the run'
    return _TEXT.format(url=string_text(url), start=f"{line}\n")
