"""``sightline comment``: posts a report as its category's comment on the pull request, or as the job's summary."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from producer.cli.ci import say
from producer.cli.connect import environment
from producer.errors import InputError

if TYPE_CHECKING:
    from producer.cli.hosting.places import Place

_MARKER: Final = re.compile(r"<!-- sightline: [^<>\n]{1,200} -->")
_PLAIN_MARKER: Final = "<!-- sightline: report -->"
MAX_CHARS: Final = 65_400
"""Slightly below GitHub's limit for a comment."""


@click.command()
@click.argument("file", type=click.Path(), default="reports/report.md", metavar="[FILE]")
def comment(file: str) -> None:
    """Post a Markdown report to this CI job's pull request: one comment per site and state, kept up to date.

    \b
    sightline scan --file urls.txt --baseline known.json --format markdown=reports/report.md
    sightline comment reports/report.md

    A comment is recognised by its first line and changed only if this job's account wrote it. GitHub needs a
    GITHUB_TOKEN with the permission pull-requests: write, GitLab a GITLAB_TOKEN with the scope api; GITHUB_TOKEN_FILE
    and GITLAB_TOKEN_FILE name files that hold them. If there is no pull request, no token or no permission
    (forks, Dependabot), the report goes to the job's summary.

    Exits 0 in these cases too, and if FILE is missing: a comment is not a gate.
    """
    variables = environment()
    text = _report(Path(file))
    if text is None:
        say(f"no comment: there is no {file!r}; the scan ended before it was written")
        return
    from producer.cli.hosting.places import NoPullRequest, place_of
    from producer.trackers.api import ApiFault

    try:
        place = place_of(variables)
        done = write_comment(place, text)
    except (NoPullRequest, ApiFault) as error:
        where = _summarise(variables, file, text)
        say(f"no comment: {error}; the report is in {where}")
        return
    say(f"{done} the comment on {place.name}")


def write_comment(place: Place, text: str) -> str:
    """Create or update the comment whose marker is the first line of ``text``; return what was done.

    If two simultaneous jobs created several, the oldest is updated and the others are deleted. Raises ``ApiFault``.
    """
    from producer.trackers.api import NOT_FOUND, ApiFault

    ours = place.ours(text.partition("\n")[0])
    if not ours:
        place.create(text)
        return "created"
    place.update(ours[0], text)
    for extra in ours[1:]:
        try:
            place.delete(extra)
        except ApiFault as fault:
            if fault.status != NOT_FOUND:  # another job has deleted it
                raise
    return "updated"


def _report(file: Path) -> str | None:
    """Return the report, starting with its marker, or None. Raises ``InputError`` for an unreadable file."""
    from producer.text_file import read_text

    try:
        text = read_text(file).lstrip()
    except FileNotFoundError:
        return None
    except OSError as error:
        msg = f"cannot read the report {str(file)!r}: {error.strerror}; expected Markdown of 'sightline scan'"
        raise InputError(msg) from None
    if not text:
        return None
    if not _MARKER.fullmatch(text.partition("\n")[0].rstrip()):
        text = f"{_PLAIN_MARKER}\n{text}"
    return text if len(text) <= MAX_CHARS else f"{text[:MAX_CHARS]}\n\n… cut: the report is longer than a comment.\n"


def _summarise(variables: Mapping[str, str], file: str, text: str) -> str:
    """Append the report to the job's summary, if the system has one; return where the report is."""
    path = variables.get("GITHUB_STEP_SUMMARY")
    if not path:
        return file
    try:
        with Path(path).open("a", encoding="utf-8") as summary:
            summary.write(text)
    except OSError:
        return file
    return "the job's summary"
