"""Reads the names on an audited page that no rule can decide, for a model to judge."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final

from producer.contract import NamedElement
from worker.scan.axe import AxeReport
from worker.scan.cdp import CallFailed, JsonObject
from worker.scan.lint.rules import finding_of
from worker.scan.page import Page, ScriptFailed

_LIMIT_S: Final = 2.0


async def read_names(page: Page, report: AxeReport, *, most: int, url: str, left_s: float) -> tuple[NamedElement, ...]:
    """Return up to ``most`` elements of the top document; none if the page no longer answers.

    ``url`` is the current address of the page.
    """
    if not most or not report.worlds:
        return ()
    top = report.worlds[0]
    call = f"sightlineAudit.undecided({most})"
    try:
        text = await page.evaluate(top.session, top.context, call, timeout_s=min(_LIMIT_S, left_s))
    except (CallFailed, ScriptFailed):
        return ()
    return tuple(_elements(json.loads(str(text)), url))


def _elements(read: JsonObject, url: str) -> Iterator[NamedElement]:
    names: dict[int, Any] = dict(read["names"])
    for rule, found in groupby(read["found"], key=lambda one: one["rule"]):
        listed = list(found)
        parts = [names[one["number"]] for one in listed]
        nodes = [
            {
                "html": one["html"],
                "summary": "",
                "box": one.get("box"),
                **{key: [part[key]] for key in ("target", "ancestry", "place")},
            }
            for one, part in zip(listed, parts, strict=True)
        ]
        for one, node in zip(listed, finding_of(rule, nodes, page=url).nodes, strict=True):
            yield NamedElement(
                rule=rule, name=one["name"], context=one["context"], language=read["language"], node=node
            )
