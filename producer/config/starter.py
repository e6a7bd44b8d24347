"""The file that ``sightline config init`` writes."""

from __future__ import annotations

from typing import Final

from producer.config.toml_text import string_text

_TEXT: Final = """\
# Settings of `sightline scan`. Keys: docs/config.md; `sightline config check` finds errors.

{start}
[scan]                          # options of every page, as in `sightline scan`, with underscores
standard = "wcag22aa"
# checks = ["axe", "live"]      # live: the page in use (keyboard, zoom); needs review; docs/live.md

[[site]]
url = {url}                     # takes ${{NAME}} and ${{NAME:-default}} from the environment
pages = ["/"]
# sitemaps = ["/sitemap.xml"]

# [[page]]                      # options of the pages that match a pattern
# match = "/legacy/*"
# standard = "wcag21aa"

[gate]
fail_on = "serious"             # minor, moderate, serious, critical, never
# baseline = "known.json"       # fail only on barriers not in it; `--write-baseline known.json` creates it

[reports]
html = "report.html"            # also json, jsonl, csv, markdown, junit, sarif, gitlab, table

# [[waiver]]
# rule = "color-contrast"
# match = "/legacy/*"
# reason = "replaced in March"
# until = 2027-03-31
"""


def starter(url: str, start: str = "") -> str:
    """Return the file's text for a site and for the command that serves it, if any."""
    line = f"start = {string_text(start)}" if start else '# start = "npm run preview"     # serves the site for the run'
    return _TEXT.format(url=string_text(url), start=f"{line}\n")
