"""Renders the pages: the templates of ``assets/`` and the report's macros, everything escaped."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final, cast

from jinja2 import Environment, FunctionLoader, StrictUndefined
from starlette.requests import Request

from producer.cli.status_text import duration, pages_text
from producer.contract.distribution import VERSION
from producer.contract.states import with_state
from producer.reports.component_dates import day_of
from producer.reports.html import FUNCTIONS, asset
from producer.reports.page import Page
from producer.web.desk import Desk, Shown, visitor_of

MAX_NODES: Final = 6
"""Maximum number of elements shown per finding; all are in the reports."""
TITLE_CHARS: Final = 200
PAGES: Final = tuple(one.name for one in (files(__package__ or "") / "assets").iterdir() if one.name.endswith(".jinja"))
DONE: Final = {
    "waived": "Waived: the barrier no longer counts.",
    "counts": "The waiver was removed: the barrier counts again.",
    "cancelled": "Cancelled: running scans end within 5 seconds.",
    "replayed": "Queued again.",
    "dropped": "Dropped.",
    "scheduled": "The schedule was added.",
    "removed": "The schedule was removed.",
}
"""The message on the page after a change."""


class Templates:
    """The environment of the templates, compiled once per process."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._environment = Environment(
            loader=FunctionLoader(source),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        own: dict[str, Any] = {
            "picture": self._picture,
            "max_nodes": MAX_NODES,
            "duration": duration,
            "pages_text": pages_text,
            "day_of": day_of,
            "with_state": with_state,
            "when": when,
            "iso": iso,
            "style_name": style_name(),
            "script_name": script_name(),
            "version": VERSION,
            "TITLE_CHARS": TITLE_CHARS,
        }
        cast("dict[str, Any]", self._environment.globals).update({**FUNCTIONS, **own})

    def compile(self) -> None:
        """Compile all templates, so that no visitor waits for one."""
        for name in PAGES:
            self._environment.get_template(name)

    def page(self, request: Request, desk: Desk, shown: Shown) -> str:
        """Return the page as HTML."""
        visitor = visitor_of(request)
        here = request.scope["path"] + (f"?{request.url.query}" if request.url.query else "")
        common = {
            "title": shown.title,
            "about": shown.about,
            "link": desk.link,
            "visitor": visitor,
            "here": here,
            "environment": desk.client.keys.environment,
            "done": DONE.get(request.query_params.get("done", ""), ""),
            "signs_in": bool(desk.settings.auth),
        }
        return self._environment.get_template(shown.template).render(**common, **shown.facts)

    def part(self, template: str, facts: dict[str, Any]) -> str:
        """Return a part of a page, such as one that live updates replace."""
        return self._environment.get_template(template).render(**facts)

    def _picture(self, page: Page, fingerprint: str) -> str:
        """Return the address of an element's screenshot; '' if there is none."""
        return f"{self._prefix}/shots/{page.job_id}/{fingerprint}" if fingerprint in page.pictures else ""


@cache
def templates_at(prefix: str) -> Templates:
    """Return the templates for pages below ``prefix``."""
    return Templates(prefix)


def source(name: str) -> str:
    """Return the text of a template: of this package, else of the reports."""
    own = files(__package__ or "") / "assets" / name
    return own.read_text("utf-8") if own.is_file() else asset(name)


@cache
def style() -> str:
    """Return the style sheet: the report's, with the pages' additions."""
    return asset("report.css") + source("web.css")


@cache
def style_name() -> str:
    """Return the style sheet's name, which changes with its content."""
    return f"style-{hashlib.sha256(style().encode()).hexdigest()[:12]}.css"


@cache
def script_name() -> str:
    """Return the script's name, which changes with its content."""
    return f"live-{hashlib.sha256(source('live.js').encode()).hexdigest()[:12]}.js"


def when(at_ms: int) -> str:
    """Return a Redis time as ``29 Nov 2026, 03:12 UTC``."""
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC).strftime("%-d %b %Y, %H:%M UTC")


def iso(at_ms: int) -> str:
    """Return a Redis time in ISO 8601."""
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC).isoformat(timespec="seconds")
