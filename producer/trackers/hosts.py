"""Issues on GitHub (also Gitea and Forgejo, which have its API) and on GitLab.

https://docs.github.com/en/rest/issues/issues and https://docs.gitlab.com/api/issues/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast
from urllib.parse import quote

from producer.trackers.api import UNCLEAR, Api, ApiFault, Reply
from producer.trackers.body import hidden_of
from producer.trackers.tracker import Issue

WRITE_GAP_S: Final = 1.0
"""Seconds between writes, as GitHub asks for; faster writes run into its secondary limits."""
_GITEA: Final = "/api/v1"
"""How the API's address of Gitea and Forgejo ends. They take labels of a new issue by number, GitHub takes names."""
_COLOUR: Final = "#1d76db"
"""The colour of a label that Gitea does not have yet: it needs one."""


@dataclass(frozen=True, slots=True)
class GitHubIssues:
    """The issues of a repository, ``owner/name``."""

    api: Api
    repository: str
    label: str

    @property
    def name(self) -> str:
        """The repository."""
        return self.repository

    def issues(self) -> list[Issue]:
        """Return all issues with the label, without pull requests, which GitHub also lists."""
        path = f"{self._path}?labels={quote(self.label, safe='')}&state=all&per_page=100&direction=asc"
        listed = self.api.listed(path, whole=True)
        return _issues(self, (one for one in listed if one.get("pull_request") is None))  # Gitea: null for an issue

    def create(self, title: str, body: str) -> Issue:
        """Open an issue. Raises ``ApiFault`` also if the label was dropped, as for accounts that may not set labels."""
        labels = [self._label_number() if self.api.base.endswith(_GITEA) else self.label]
        asked = {"title": title, "body": body, "labels": labels}
        issue = _created(self, lambda: self.api.call("POST", self._path, asked, once=True), body)
        self.api.pause(WRITE_GAP_S)
        return issue

    def update(
        self, number: int, *, body: str | None = None, is_open: bool | None = None, refused: bool = False
    ) -> None:
        """Set the body, and open or close the issue."""
        asked: dict[str, Any] = {} if body is None else {"body": body}
        if is_open is not None:
            reason = "reopened" if is_open else "not_planned" if refused else "completed"
            asked |= {"state": "open" if is_open else "closed", "state_reason": reason}
        self.api.call("PATCH", f"{self._path}/{number}", asked)
        self.api.pause(WRITE_GAP_S)

    @property
    def _path(self) -> str:
        return f"repos/{self.repository}/issues"

    def _label_number(self) -> int:
        """Return the number of the label, which is created if the repository has none: Gitea ignores unknown ones."""
        path = f"repos/{self.repository}/labels"
        for one in self.api.listed(path, whole=True):
            if _is_named(str(one.get("name")), self.label):
                return int(one["id"])
        made = self.api.call("POST", path, {"name": self.label, "color": _COLOUR}, once=True).value
        if not isinstance(made, dict):
            raise ApiFault(f"{self.name}: the reply to a new label is not a label")
        return int(cast("dict[str, Any]", made)["id"])

    @staticmethod
    def issue_of(one: Mapping[str, Any]) -> Issue:
        """Return an issue from the API's JSON."""
        labels = (label.get("name") if isinstance(label, dict) else label for label in one.get("labels") or ())
        return Issue(
            int(one["number"]),
            str(one.get("title") or ""),
            str(one.get("body") or ""),
            frozenset(map(str, labels)),
            one.get("state") != "closed",
            str(one.get("html_url") or ""),
            _time_ms(one.get("closed_at")),
            is_refused=one.get("state_reason") in {"not_planned", "duplicate"},
        )


@dataclass(frozen=True, slots=True)
class GitLabIssues:
    """The issues of a project, by its number or its path."""

    api: Api
    project: str
    label: str

    @property
    def name(self) -> str:
        """The project."""
        return self.project

    def issues(self) -> list[Issue]:
        """Return all issues with the label."""
        path = f"{self._path}?labels={quote(self.label, safe='')}&state=all&per_page=100&order_by=created_at&sort=asc"
        return _issues(self, self.api.listed(path, whole=True))

    def create(self, title: str, body: str) -> Issue:
        """Open an issue. Raises ``ApiFault`` also if the label was dropped, as for accounts that may not set labels."""
        asked = {"title": title, "description": body, "labels": self.label}
        return _created(self, lambda: self.api.call("POST", self._path, asked, once=True), body)

    def update(
        self, number: int, *, body: str | None = None, is_open: bool | None = None, refused: bool = False
    ) -> None:
        """Set the description, and open or close the issue; GitLab keeps no reason."""
        del refused
        asked: dict[str, Any] = {} if body is None else {"description": body}
        if is_open is not None:
            asked["state_event"] = "reopen" if is_open else "close"
        self.api.call("PUT", f"{self._path}/{number}", asked)

    @property
    def _path(self) -> str:
        return f"projects/{quote(self.project, safe='')}/issues"

    @staticmethod
    def issue_of(one: Mapping[str, Any]) -> Issue:
        """Return an issue from the API's JSON."""
        return Issue(
            int(one["iid"]),
            str(one.get("title") or ""),
            str(one.get("description") or ""),
            frozenset(map(str, one.get("labels") or ())),
            one.get("state") != "closed",
            str(one.get("web_url") or ""),
            _time_ms(one.get("closed_at")),
        )


def _issues(tracker: GitHubIssues | GitLabIssues, listed: Iterable[Mapping[str, Any]]) -> list[Issue]:
    """Return the issues; raises ``ApiFault`` for objects that are none, as behind the address of another API."""
    try:
        return [tracker.issue_of(one) for one in listed]
    except (KeyError, TypeError, ValueError) as error:
        what = f"the reply has objects that are not issues ({type(error).__name__}: {error})"
        raise ApiFault(f"{tracker.name}: {what}: is the API's address that of this host?") from None


def _created(tracker: GitHubIssues | GitLabIssues, post: Callable[[], Reply], body: str) -> Issue:
    """Return the new issue; after an unclear reply, search for it before raising an error."""
    wanted = hidden_of(body)
    try:
        value = post().value
    except ApiFault as fault:
        if fault.status and fault.status not in UNCLEAR:
            raise
        for one in tracker.issues():
            if wanted and (has := hidden_of(one.body)) and has.issue_id == wanted.issue_id:
                return one
        raise
    if not isinstance(value, dict):
        raise ApiFault(f"{tracker.name}: the reply to a new issue is not an issue")
    issue, *_ = _issues(tracker, [cast("dict[str, Any]", value)])
    if not any(_is_named(label, tracker.label) for label in issue.labels):
        raise ApiFault(
            f"{tracker.name}: issue {issue.number} was opened without the label {tracker.label!r}, so a sync would not "
            f"recognise it: let the token's account set labels, label issue {issue.number} by hand, then sync again"
        )
    return issue


def _is_named(label: str, wanted: str) -> bool:
    """Return whether they are one label: hosts give a new issue an existing label that differs in case only."""
    return label.casefold() == wanted.casefold()


def _time_ms(text: object) -> int:
    try:
        return int(datetime.fromisoformat(str(text)).timestamp() * 1000) if text else 0
    except ValueError:
        return 0
