"""The baseline file: the component barriers known when it was written, for pipelines without a persistent Redis.

JSON with one sorted component per line, for readable diffs. The last entry is empty, so that every line above it ends
in a comma and branches that each add a line merge without a conflict. A component is identified by its kind, the part
of its id that is the same on all sites (``worker/scan/component.py``), so staging and production can share a file. It
counts as known on every page, and as fixed once it is absent from all of its paths. A component without paths stays
known until it is removed by hand.

Paths of pages in a state end with its name (``/cart [dark]``), so that a run without the state does not count as a fix.

Elements without a component, or of an unnamed one (``Node.unnamed``), are identified by their page's path, query and
route, without host and port, and their fingerprint. So are all barriers in files of version 1, which are still read,
and converted page by page as pages are scanned completely.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeGuard, cast

from producer.contract.addresses import normal_url, path_of
from producer.contract.states import split_state, with_state
from producer.errors import InputError
from producer.reports.page import Page
from producer.reports.plain_text import one_line
from producer.text_file import read_text

_VERSION: Final = 2
_EXPECTED: Final = "expected a file written by 'sightline scan --write-baseline'"


@dataclass(frozen=True, slots=True, order=True)
class Barrier:
    """An element that fails a rule on a page."""

    path: str
    rule: str
    fingerprint: str

    @property
    def text(self) -> str:
        """The barrier in one line."""
        return f"{one_line(self.path)} {one_line(self.rule)} {one_line(self.fingerprint)}"


@dataclass(frozen=True, slots=True)
class Component:
    """A component barrier on all sites; ``paths`` are the pages that had it, None for any page."""

    kind: str
    rule: str
    name: str
    paths: frozenset[str] | None = None

    @property
    def text(self) -> str:
        """The component barrier in one line."""
        return f"{one_line(self.name, limit=200)} ({one_line(self.rule)}, {one_line(self.kind)})"


@dataclass(frozen=True, slots=True)
class Baseline:
    """The known barriers: elements, and components by kind."""

    elements: frozenset[Barrier] = frozenset()
    components: Mapping[str, Component] = field(default_factory=dict[str, Component])

    def __len__(self) -> int:
        elements = {(split_state(one.path)[0], one.rule, one.fingerprint) for one in self.elements}
        return len(elements) + len(self.components)

    def has(self, issue_id: str) -> bool:
        """Return whether the component barrier is known; False for an element without one."""
        return kind_of(issue_id) in self.components


def kind_of(issue_id: str) -> str:
    """Return the part of a component barrier's id that is the same on all sites."""
    return issue_id.partition("-")[0]


# ---------------------------------------------------------------------------------------------- findings of a run


class _Seen:
    """The findings of a run, from complete scans and rules whose elements are all listed.

    If several hosts have a page with the same path, the scans of all must be complete. ``disabled`` rules did not run.
    """

    def __init__(self, pages: Iterable[Page], disabled: Collection[str]) -> None:
        self._disabled = disabled
        by_path: dict[str, list[Page]] = {}
        for page in pages:
            by_path.setdefault(page.path, []).append(page)
        self._read = {path for path, alike in by_path.items() if all(page.is_scanned for page in alike)}
        self.elements: set[Barrier] = set()
        self.components: dict[str, Component] = {}
        self._trimmed: set[tuple[str, str]] = set()
        for path, alike in by_path.items():
            for page in alike:
                self._look(path, page)

    def _look(self, path: str, page: Page) -> None:
        for finding in page.findings:
            if finding.is_trimmed:
                self._trimmed.add((path, finding.rule))
            for node in finding.nodes:
                self.elements.add(Barrier(path, finding.rule, node.fingerprint))
                if node.issue_id and not node.unnamed:
                    add_path(self.components, Component(kind_of(node.issue_id), finding.rule, node.component), path)

    def can_tell(self, path: str, rule: str) -> bool:
        """Return whether the absence of a finding of ``rule`` on the page is reliable."""
        return path in self._read and rule not in self._disabled and (path, rule) not in self._trimmed


def add_path(components: dict[str, Component], one: Component, path: str) -> None:
    """Add a page to a component, unless the component covers any page."""
    held = components.get(one.kind)
    if held is None or held.paths is not None:
        paths = (held.paths or frozenset()) if held else frozenset[str]()
        components[one.kind] = Component(one.kind, one.rule, one.name, paths | {path})


def fixed_in(
    baseline: Baseline, pages: Iterable[Page], *, disabled: Collection[str] = ()
) -> Sequence[Barrier | Component]:
    """Return the baseline's barriers that are gone from all of their pages, sorted, components first.

    Those of ``disabled`` rules are not: they were not looked for.
    """
    seen = _Seen(pages, disabled)
    components = [
        one
        for kind, one in baseline.components.items()
        if one.paths and kind not in seen.components and all(seen.can_tell(path, one.rule) for path in one.paths)
    ]
    gone = baseline.elements - seen.elements
    elements = (barrier for barrier in gone if seen.can_tell(barrier.path, barrier.rule))
    return [*sorted(components, key=_order), *sorted(elements)]


def renewed(baseline: Baseline, pages: Iterable[Page], *, disabled: Collection[str] = ()) -> Baseline:
    """Return the baseline after a run: completely scanned pages are updated, all others are unchanged.

    Waived barriers are left out, since a waiver has its own expiry date and reason. Barriers of ``disabled`` rules are
    kept.
    """
    pages = list(pages)
    seen = _Seen(pages, disabled)
    elements = {barrier for barrier in baseline.elements if not seen.can_tell(barrier.path, barrier.rule)}
    components: dict[str, Component] = {}
    for kind, one in baseline.components.items():
        if one.paths is None:
            components[kind] = one
            continue
        paths = frozenset(path for path in one.paths if not seen.can_tell(path, one.rule))
        if paths:
            components[kind] = Component(kind, one.rule, one.name, paths)
    for page in pages:
        if page.is_scanned:
            _add(page, elements, components)
    return Baseline(frozenset(elements), components)


def _add(page: Page, elements: set[Barrier], components: dict[str, Component]) -> None:
    path = page.path
    for finding in page.findings:
        for node, mark, _ in page.marks.each(finding):
            if node is None:
                continue
            barrier = Barrier(path, finding.rule, node.fingerprint)
            elements.discard(barrier)
            if mark == "waived":
                continue
            if node.issue_id and not node.unnamed:
                add_path(components, Component(kind_of(node.issue_id), finding.rule, node.component), path)
            else:
                elements.add(barrier)


# ---------------------------------------------------------------------------------------------- the file


def read_baseline(file: Path) -> Baseline:
    """Read ``file``, of either version; raises ``InputError``."""
    try:
        document: object = json.loads(read_text(file))
    except OSError as error:
        msg = f"cannot read the baseline {str(file)!r}: {error.strerror}; --write-baseline creates one"
        raise InputError(msg) from None
    except (ValueError, RecursionError):
        msg = f"the baseline {str(file)!r} is not JSON: {_EXPECTED}; a merge may have left conflict markers in it"
        raise InputError(msg) from None
    fields = cast("dict[str, Any]", document) if isinstance(document, dict) else {}
    version = fields.get("v")
    barriers, components = fields.get("barriers"), fields.get("components", [])
    if version not in (1, _VERSION) or not isinstance(barriers, list) or not isinstance(components, list):
        raise InputError(f"the baseline {str(file)!r} has no barriers of version 1 or {_VERSION}: {_EXPECTED}")
    elements = (_barrier(file, entry) for entry in cast("list[Any]", barriers) if entry != {})
    known = (_component(file, entry) for entry in cast("list[Any]", components) if entry != {})
    merged: dict[str, Component] = {}
    for one in known:  # a merge of branches that added the same component with different paths keeps both lines
        for path in one.paths or ():
            add_path(merged, one, path)
        if one.paths is None:
            merged[one.kind] = one
    return Baseline(frozenset(elements), merged)


def _barrier(file: Path, entry: object) -> Barrier:
    fields = cast("dict[str, Any]", entry) if isinstance(entry, dict) else {}
    values = [fields.get(name) for name in ("path", "rule", "fingerprint")]
    if not _are_texts(values):
        raise InputError(f"the baseline {str(file)!r} has an entry without a path, rule or fingerprint: {_EXPECTED}")
    path, rule, fingerprint = values
    return Barrier(_path(path), rule, fingerprint)


def _component(file: Path, entry: object) -> Component:
    fields = cast("dict[str, Any]", entry) if isinstance(entry, dict) else {}
    values, paths = [fields.get(name) for name in ("kind", "rule", "name")], fields.get("paths")
    is_list = isinstance(paths, list) and _are_texts(cast("list[Any]", paths))
    if not _are_texts(values) or not (paths is None or is_list):
        what = "a component without a kind, rule or name, or with paths that are not a list of strings"
        raise InputError(f"the baseline {str(file)!r} has {what}: {_EXPECTED}")
    kind, rule, name = values
    return Component(kind, rule, name, frozenset(map(_path, cast("list[str]", paths or ()))) or None)


def _are_texts(values: Sequence[object]) -> TypeGuard[Sequence[str]]:
    return all(isinstance(value, str) and value for value in values)


def _path(path: str) -> str:
    """Return a path normalised; the name of a page without an address is unchanged."""
    if path.startswith("/"):
        with contextlib.suppress(ValueError):
            address, state = split_state(path)
            return with_state(path_of(normal_url(f"http://host{address}")), state)
    return path


def baseline_text(baseline: Baseline) -> str:
    """Return the file's text, independent of the order of the barriers."""
    components = [_component_line(one) for one in sorted(baseline.components.values(), key=_order)]
    elements = [
        {"path": barrier.path, "rule": barrier.rule, "fingerprint": barrier.fingerprint}
        for barrier in sorted(baseline.elements)
    ]
    lines = [f'{{"v": {_VERSION}, "components": [', *_lines(components), '], "barriers": [', *_lines(elements)]
    return "\n".join([*lines, "]}", ""])


def _component_line(one: Component) -> dict[str, Any]:
    paths = {} if one.paths is None else {"paths": sorted(one.paths)}
    return {"rule": one.rule, "kind": one.kind, "name": one.name or one.rule, **paths}


def _lines(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    return [*(f"{json.dumps(entry, ensure_ascii=False)}," for entry in entries), "{}"]


def _order(one: Component) -> tuple[str, str]:
    return (one.rule, one.kind)
