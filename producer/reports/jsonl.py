"""Report as JSON lines: each page as soon as it is scanned, as stored in Redis; for pipes and large runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:  # commands that print a line of JSON need only ``line_of``
    from producer.contract import JsonObject
    from producer.reports.formats import ReportContext
    from producer.reports.page import Page

_UNSAFE: Final = re.compile(r"[\x7f-\x9f\u2028\u2029]|(?<=#)#")
"""What JSON allows unescaped, but controls terminals, ends lines for some readers, or begins a CI command.

``##vso[…]`` and ``##[error]`` are commands anywhere in a log's line.
"""


def write(pages: Iterable[Page], context: ReportContext, out: TextIO) -> None:  # noqa: ARG001  fits ``Report``
    """Write one line per page, each immediately; holds one page in memory."""
    for page in pages:
        out.write(line_of(page.document()) + "\n")
        out.flush()


def line_of(document: JsonObject) -> str:
    """Return ``document`` as one line of JSON that is safe to print."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
