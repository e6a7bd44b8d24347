"""Finds where a comment goes: the CI job's pull request on GitHub, or merge request on GitLab.

Also serves Gitea and Forgejo, which have GitHub's variables and API paths.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, cast
from urllib.parse import quote

from producer.cli.ci import ci_system
from producer.errors import InputError
from producer.text_file import read_text
from producer.trackers.api import Api, ApiFault, base_of
from producer.trackers.tokens import token_of

_PULL_REF: Final = re.compile(r"refs/pull/(\d+)/")
_REPOSITORY: Final = re.compile(r"[\w.-]+/[\w.-]+")


class Place(Protocol):
    """A pull request with its comments."""

    @property
    def name(self) -> str:
        """The pull request's name in messages."""
        ...

    def ours(self, marker: str) -> list[str]:
        """Return the ids of the comments that begin with ``marker`` and are this account's, oldest first."""
        ...

    def create(self, text: str) -> None:
        """Add a comment, which begins with its marker, once: also if the host's first reply is unclear."""
        ...

    def update(self, comment_id: str, text: str) -> None:
        """Replace a comment's text."""
        ...

    def delete(self, comment_id: str) -> None:
        """Remove a comment."""
        ...


class NoPullRequest(Exception):
    """There is no pull request, or no token for it; the message says which."""


def place_of(variables: Mapping[str, str]) -> Place:
    """Return the place named by the job's variables; raises ``NoPullRequest``, and ``InputError`` for a bad address."""
    system = ci_system(variables)
    if system == "github":
        return _github(variables)
    if system == "gitlab":
        return _gitlab(variables)
    raise NoPullRequest("this is not a job of GitHub or GitLab")


def _github(variables: Mapping[str, str]) -> Place:
    number = _pull_request(variables)
    if not number:
        raise NoPullRequest("this run does not belong to a pull request")
    repository = variables.get("GITHUB_REPOSITORY", "")
    if not _REPOSITORY.fullmatch(repository):
        raise InputError(f"GITHUB_REPOSITORY {repository!r}: expected owner/name")
    token = token_of(variables, "GITHUB_TOKEN", "GH_TOKEN", file="GITHUB_TOKEN_FILE")
    if not token:
        raise NoPullRequest("there is no GITHUB_TOKEN: add it to the step's env, as GITHUB_TOKEN: ${{ github.token }}")
    base = base_of(variables.get("GITHUB_API_URL") or "https://api.github.com", "GITHUB_API_URL")
    headers = {"Authorization": f"Bearer {token}", "X-GitHub-Api-Version": "2022-11-28"}
    return GitHub(Api(base, headers), repository, number)


def _gitlab(variables: Mapping[str, str]) -> Place:
    number = variables.get("CI_MERGE_REQUEST_IID", "")
    if not number.isdecimal():
        raise NoPullRequest("this pipeline does not belong to a merge request")
    token = token_of(variables, "GITLAB_TOKEN", file="GITLAB_TOKEN_FILE")
    if not token:
        raise NoPullRequest(
            "there is no GITLAB_TOKEN: set it to a project access token with the scope api (a job token cannot comment)"
        )
    base = base_of(variables.get("CI_API_V4_URL", ""), "CI_API_V4_URL")
    project = quote(variables.get("CI_MERGE_REQUEST_PROJECT_ID") or variables.get("CI_PROJECT_ID", ""), safe="")
    return GitLab(Api(base, {"PRIVATE-TOKEN": token}), project, number)


def _pull_request(variables: Mapping[str, str]) -> str:
    """Return the number of a run's pull request; '' for a branch."""
    event: Any = {}
    if path := variables.get("GITHUB_EVENT_PATH"):
        try:
            event = json.loads(read_text(Path(path)))
        except (OSError, ValueError, RecursionError):
            event = {}
    about = cast("dict[str, Any]", event).get("pull_request") if isinstance(event, dict) else None
    number = cast("dict[str, Any]", about).get("number") if isinstance(about, dict) else None
    if isinstance(number, int):
        return str(number)
    found = _PULL_REF.match(variables.get("GITHUB_REF", ""))
    return found[1] if found else ""


@dataclass(frozen=True, slots=True)
class GitHub:
    """Comments of a pull request on GitHub, whose API has them under issues."""

    api: Api
    repository: str
    number: str

    @property
    def name(self) -> str:
        """The pull request, for people."""
        return f"{self.repository}#{self.number}"

    def ours(self, marker: str) -> list[str]:
        """Return the ids of Sightline's comments; a job's token has no user, so any bot's comments count."""
        login = self._login()
        path = f"repos/{self.repository}/issues/{self.number}/comments?per_page=100"
        return [
            str(one["id"])
            for one in self.api.listed(path, whole=True)
            if _begins(one.get("body"), marker) and _is_of(one.get("user"), login)
        ]

    def create(self, text: str) -> None:
        """Add a comment."""
        path = f"repos/{self.repository}/issues/{self.number}/comments"
        self.api.call("POST", path, {"body": text}, is_done=lambda: _has_ours(self, text))

    def update(self, comment_id: str, text: str) -> None:
        """Replace a comment's text."""
        self.api.call("PATCH", f"repos/{self.repository}/issues/comments/{comment_id}", {"body": text})

    def delete(self, comment_id: str) -> None:
        """Remove a comment."""
        self.api.call("DELETE", f"repos/{self.repository}/issues/comments/{comment_id}")

    def _login(self) -> str:
        try:
            user = self.api.call("GET", "user").value
        except ApiFault as fault:
            if fault.status in {401, 403, 404}:
                return ""
            raise
        return str(user.get("login") or "") if isinstance(user, dict) else ""


@dataclass(frozen=True, slots=True)
class GitLab:
    """Comments of a merge request on GitLab, which calls them notes."""

    api: Api
    project: str
    number: str

    @property
    def name(self) -> str:
        """The merge request's name in messages."""
        return f"!{self.number}"

    @property
    def _notes(self) -> str:
        return f"projects/{self.project}/merge_requests/{self.number}/notes"

    def ours(self, marker: str) -> list[str]:
        """Return the ids of Sightline's notes, oldest first."""
        user = self.api.call("GET", "user").value
        own = user.get("id") if isinstance(user, dict) else None
        return [
            str(one["id"])
            for one in self.api.listed(f"{self._notes}?per_page=100&sort=asc&order_by=created_at", whole=True)
            if _begins(one.get("body"), marker) and own is not None and (one.get("author") or {}).get("id") == own
        ]

    def create(self, text: str) -> None:
        """Add a note."""
        self.api.call("POST", self._notes, {"body": text}, is_done=lambda: _has_ours(self, text))

    def update(self, comment_id: str, text: str) -> None:
        """Replace a note's text."""
        self.api.call("PUT", f"{self._notes}/{comment_id}", {"body": text})

    def delete(self, comment_id: str) -> None:
        """Remove a note."""
        self.api.call("DELETE", f"{self._notes}/{comment_id}")


def _has_ours(place: Place, text: str) -> bool:
    return bool(place.ours(text.partition("\n")[0]))


def _begins(body: object, marker: str) -> bool:
    return isinstance(body, str) and body.lstrip().startswith(marker)


def _is_of(user: object, login: str) -> bool:
    fields: dict[str, Any] = cast("dict[str, Any]", user) if isinstance(user, dict) else {}
    return fields.get("login") == login if login else fields.get("type") == "Bot"
