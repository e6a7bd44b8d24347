"""The baseline file: barriers known when it was written, for pipelines whose Redis is thrown away.

JSON, one barrier a line, sorted, so that a change is a line of a diff. The last entry is empty: every line above it
ends alike, and two branches that each add one merge without a conflict over a comma. A barrier is known by its page's
path, query and route, without host and port, and its fingerprint: staging and production share a file.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from producer.contract.addresses import normal_url, path_of
from producer.errors import InputError
from producer.reports.page import Page
from producer.text_file import read_text

_VERSION: Final = 1
_EXPECTED: Final = "expected a file that 'sightline scan --write-baseline' wrote"


@dataclass(frozen=True, slots=True, order=True)
class Barrier:
    """One element that breaks a rule on one page."""

    path: str
    rule: str
    fingerprint: str


def barriers_of(page: Page) -> set[Barrier]:
    """Return the barriers of a page that are listed in its result."""
    path = path_of(page.url)
    return {Barrier(path, finding.rule, node.fingerprint) for finding in page.findings for node in finding.nodes}


def read_baseline(file: Path) -> frozenset[Barrier]:
    """Return the barriers in ``file``; raises ``InputError``."""
    try:
        document: object = json.loads(read_text(file))
    except OSError as error:
        msg = f"cannot read the baseline {str(file)!r}: {error.strerror}; --write-baseline makes one"
        raise InputError(msg) from None
    except (ValueError, RecursionError):
        msg = f"the baseline {str(file)!r} is not JSON: {_EXPECTED}; a merge may have left its marks in it"
        raise InputError(msg) from None
    fields = cast("dict[str, Any]", document) if isinstance(document, dict) else {}
    entries = fields.get("barriers")
    if fields.get("v") != _VERSION or not isinstance(entries, list):
        raise InputError(f"the baseline {str(file)!r} has no barriers of version {_VERSION}: {_EXPECTED}")
    return frozenset(_barrier(file, entry) for entry in cast("list[Any]", entries) if entry != {})


def _barrier(file: Path, entry: object) -> Barrier:
    fields = cast("dict[str, Any]", entry) if isinstance(entry, dict) else {}
    values = [fields.get(name) for name in ("path", "rule", "fingerprint")]
    if not all(isinstance(value, str) and value for value in values):
        raise InputError(f"the baseline {str(file)!r} has an entry without path, rule and fingerprint: {_EXPECTED}")
    path, rule, fingerprint = cast("list[str]", values)
    with contextlib.suppress(ValueError):  # what is no path of an address is the name of a page without one
        path = path_of(normal_url(f"http://host{path}")) if path.startswith("/") else path
    return Barrier(path, rule, fingerprint)


def fixed_in(baseline: Iterable[Barrier], pages: Iterable[Page]) -> list[Barrier]:
    """Return the barriers of the baseline that are gone, sorted.

    Only pages read whole tell, and rules of which every element is listed; where several hosts have a page of one path,
    all of them must.
    """
    seen: dict[str, list[Page]] = {}
    for page in pages:
        seen.setdefault(path_of(page.url), []).append(page)
    read = {path for path, alike in seen.items() if all(page.is_scanned for page in alike)}
    found = {barrier for path in read for page in seen[path] for barrier in barriers_of(page)}
    trimmed = {
        (path, finding.rule) for path in read for page in seen[path] for finding in page.findings if finding.is_trimmed
    }
    gone = (barrier for barrier in set(baseline) - found if barrier.path in read)
    return sorted(barrier for barrier in gone if (barrier.path, barrier.rule) not in trimmed)


def renewed(baseline: Iterable[Barrier], pages: Iterable[Page]) -> set[Barrier]:
    """Return the baseline after a run: its pages read whole as they are now, all others as they were.

    What is waived is left out: it has an end and a reason of its own.
    """
    pages = list(pages)
    kept = set(baseline) - set(fixed_in(baseline, pages))
    for page in pages:
        if not page.is_scanned:
            continue
        path = path_of(page.url)
        for finding in page.findings:
            for node, mark, _ in page.marks.each(finding):
                if node is None:
                    continue
                barrier = Barrier(path, finding.rule, node.fingerprint)
                if mark == "waived":
                    kept.discard(barrier)
                else:
                    kept.add(barrier)
    return kept


def baseline_text(barriers: Iterable[Barrier]) -> str:
    """Return the file's text: the same for the same barriers, whatever their order."""
    lines = [
        json.dumps({"path": barrier.path, "rule": barrier.rule, "fingerprint": barrier.fingerprint}, ensure_ascii=False)
        for barrier in sorted(set(barriers))
    ]
    return "\n".join([f'{{"v": {_VERSION}, "barriers": [', *(f"{line}," for line in lines), "{}", "]}", ""])
