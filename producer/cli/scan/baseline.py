"""The baseline file: component barriers known when it was written, for pipelines whose Redis is thrown away.

JSON, one component a line, sorted, so that a change is a line of a diff. The last entry is empty: every line above it
ends alike, and two branches that each add one merge without a conflict over a comma. A component is known by its kind,
the part of its id that is the same on all sites (``worker/scan/component.py``): staging and production share a file. It
is known on every page; its paths say where it was, so that it is fixed once it is gone from all of them. One without
paths is known until somebody takes it out.

A page in a state has the state's name behind its path (``/cart [dark]``): a run that leaves the state out mends nothing
of it.

Elements of no component, or of an unnamed one (``Node.unnamed``), are known by their page's path, query and route,
without host and port, and their fingerprint. So are all barriers in files of version 1, which are read, and renewed
page by page as pages are read whole.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
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
_EXPECTED: Final = "expected a file that 'sightline scan --write-baseline' wrote"


@dataclass(frozen=True, slots=True, order=True)
class Barrier:
    """One element that breaks a rule on one page."""

    path: str
    rule: str
    fingerprint: str

    @property
    def text(self) -> str:
        """The barrier in one line."""
        return f"{one_line(self.path)} {one_line(self.rule)} {one_line(self.fingerprint)}"


@dataclass(frozen=True, slots=True)
class Component:
    """One component barrier on all sites; ``paths`` are the pages that had it, None where they do not matter."""

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
    """What is known: elements, and components by their kind."""

    elements: frozenset[Barrier] = frozenset()
    components: Mapping[str, Component] = field(default_factory=dict[str, Component])

    def __len__(self) -> int:
        elements = {(split_state(one.path)[0], one.rule, one.fingerprint) for one in self.elements}
        return len(elements) + len(self.components)

    def has(self, issue_id: str) -> bool:
        """Whether the component barrier is known; an element of none is not."""
        return kind_of(issue_id) in self.components


def kind_of(issue_id: str) -> str:
    """Return the part of a component barrier's id that is the same on all sites."""
    return issue_id.partition("-")[0]


# ---------------------------------------------------------------------------------------------- what pages have


class _Seen:
    """What the pages of a run have. Only pages read whole tell, and rules of which every element is listed.

    Where several hosts have a page of one path, all of them must.
    """

    def __init__(self, pages: Iterable[Page]) -> None:
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
        """Whether what was not found of ``rule`` on the page is not there."""
        return path in self._read and (path, rule) not in self._trimmed


def add_path(components: dict[str, Component], one: Component, path: str) -> None:
    """Add a page that has a component; one whose pages do not matter stays so."""
    held = components.get(one.kind)
    if held is None or held.paths is not None:
        paths = (held.paths or frozenset()) if held else frozenset[str]()
        components[one.kind] = Component(one.kind, one.rule, one.name, paths | {path})


def fixed_in(baseline: Baseline, pages: Iterable[Page]) -> Sequence[Barrier | Component]:
    """Return what of the baseline is gone, components first, sorted: from every page that had it."""
    seen = _Seen(pages)
    components = [
        one
        for kind, one in baseline.components.items()
        if one.paths and kind not in seen.components and all(seen.can_tell(path, one.rule) for path in one.paths)
    ]
    gone = baseline.elements - seen.elements
    elements = (barrier for barrier in gone if seen.can_tell(barrier.path, barrier.rule))
    return [*sorted(components, key=_order), *sorted(elements)]


def renewed(baseline: Baseline, pages: Iterable[Page]) -> Baseline:
    """Return the baseline after a run: its pages read whole as they are now, all others as they were.

    What is waived is left out: it has an end and a reason of its own.
    """
    pages = list(pages)
    seen = _Seen(pages)
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
    """Return what is known by ``file``, of either version; raises ``InputError``."""
    try:
        document: object = json.loads(read_text(file))
    except OSError as error:
        msg = f"cannot read the baseline {str(file)!r}: {error.strerror}; --write-baseline makes one"
        raise InputError(msg) from None
    except (ValueError, RecursionError):
        msg = f"the baseline {str(file)!r} is not JSON: {_EXPECTED}; a merge may have left its marks in it"
        raise InputError(msg) from None
    fields = cast("dict[str, Any]", document) if isinstance(document, dict) else {}
    version = fields.get("v")
    barriers, components = fields.get("barriers"), fields.get("components", [])
    if version not in {1, _VERSION} or not isinstance(barriers, list) or not isinstance(components, list):
        raise InputError(f"the baseline {str(file)!r} has no barriers of version 1 or {_VERSION}: {_EXPECTED}")
    elements = (_barrier(file, entry) for entry in cast("list[Any]", barriers) if entry != {})
    known = (_component(file, entry) for entry in cast("list[Any]", components) if entry != {})
    merged: dict[str, Component] = {}
    for one in known:  # two branches that added one component differ in their paths: a merge keeps both lines
        for path in one.paths or ():
            add_path(merged, one, path)
        if one.paths is None:
            merged[one.kind] = one
    return Baseline(frozenset(elements), merged)


def _barrier(file: Path, entry: object) -> Barrier:
    fields = cast("dict[str, Any]", entry) if isinstance(entry, dict) else {}
    values = [fields.get(name) for name in ("path", "rule", "fingerprint")]
    if not _are_texts(values):
        raise InputError(f"the baseline {str(file)!r} has an entry without path, rule and fingerprint: {_EXPECTED}")
    path, rule, fingerprint = values
    return Barrier(_path(path), rule, fingerprint)


def _component(file: Path, entry: object) -> Component:
    fields = cast("dict[str, Any]", entry) if isinstance(entry, dict) else {}
    values, paths = [fields.get(name) for name in ("kind", "rule", "name")], fields.get("paths")
    is_list = isinstance(paths, list) and _are_texts(cast("list[Any]", paths))
    if not _are_texts(values) or not (paths is None or is_list):
        what = "a component without kind, rule and name, or with paths that are no list of texts"
        raise InputError(f"the baseline {str(file)!r} has {what}: {_EXPECTED}")
    kind, rule, name = values
    return Component(kind, rule, name, frozenset(map(_path, cast("list[str]", paths or ()))) or None)


def _are_texts(values: Sequence[object]) -> TypeGuard[Sequence[str]]:
    return all(isinstance(value, str) and value for value in values)


def _path(path: str) -> str:
    """Return a path in the one spelling of addresses; what is none is the name of a page without an address."""
    if path.startswith("/"):
        with contextlib.suppress(ValueError):
            address, state = split_state(path)
            return with_state(path_of(normal_url(f"http://host{address}")), state)
    return path


def baseline_text(baseline: Baseline) -> str:
    """Return the file's text: the same for the same barriers, whatever their order."""
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
