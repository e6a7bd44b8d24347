"""Issues in a JSON file, for trackers without an adapter: a script copies them there, and sets state and labels."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from producer.errors import InputError
from producer.text_file import read_text, replace_text
from producer.trackers.tracker import Issue


@dataclass(frozen=True, slots=True)
class JsonIssues:
    """The issues in ``path``, which need not exist; raises ``InputError`` for any other file."""

    path: Path
    label: str

    @property
    def name(self) -> str:
        """The file's name in messages."""
        return str(self.path)

    def issues(self) -> list[Issue]:
        """Return the issues with the label."""
        return [one for one in self._all() if self.label in one.labels]

    def create(self, title: str, body: str) -> Issue:
        """Add an issue."""
        listed = self._all()
        number = max((one.number for one in listed), default=0) + 1
        issue = Issue(number, title, body, frozenset({self.label}), is_open=True)
        self._write([*listed, issue])
        return issue

    def update(
        self, number: int, *, body: str | None = None, is_open: bool | None = None, refused: bool = False
    ) -> None:
        """Set the body, and open or close the issue."""
        listed = self._all()
        at = next(place for place, one in enumerate(listed) if one.number == number)
        issue = listed[at] if body is None else replace(listed[at], body=body)
        if is_open is not None:
            closed_ms = 0 if is_open else int(datetime.now(UTC).timestamp() * 1000)
            issue = replace(issue, is_open=is_open, closed_ms=closed_ms, is_refused=refused and not is_open)
        listed[at] = issue
        self._write(listed)

    def _all(self) -> list[Issue]:
        try:
            read: Any = json.loads(read_text(self.path))
            return [_issue(one) for one in read["issues"]]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
            what = "a file written by 'sightline issues sync --to json'"
            raise InputError(
                f"cannot use {str(self.path)!r}: {type(error).__name__}: {error}; expected {what}"
            ) from None

    def _write(self, issues: list[Issue]) -> None:
        text = json.dumps({"v": 1, "issues": [_document(one) for one in issues]}, indent=1, ensure_ascii=False)
        try:
            replace_text(self.path, f"{text}\n")
        except OSError as error:
            raise InputError(f"cannot write {str(self.path)!r}: {error.strerror}") from None


def _issue(one: dict[str, Any]) -> Issue:
    return Issue(
        int(one["number"]),
        str(one["title"]),
        str(one["body"]),
        frozenset(map(str, one["labels"])),
        one["state"] == "open",
        str(one.get("url") or ""),
        int(one.get("closed_ms") or 0),
        bool(one.get("not_planned")),
    )


def _document(one: Issue) -> dict[str, Any]:
    state = "open" if one.is_open else "closed"
    about = {"number": one.number, "title": one.title, "state": state, "labels": sorted(one.labels), "url": one.url}
    return {**about, "closed_ms": one.closed_ms, "not_planned": one.is_refused, "body": one.body}
