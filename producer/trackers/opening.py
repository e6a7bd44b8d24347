"""Opens the requested tracker; tokens come only from environment variables or files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from producer.errors import InputError
from producer.trackers.api import Api, base_of
from producer.trackers.hosts import GitHubIssues, GitLabIssues
from producer.trackers.json_file import JsonIssues
from producer.trackers.tokens import token_of
from producer.trackers.tracker import Tracker

_REPOSITORY: Final = re.compile(r"[\w.-]+/[\w.-]+")
_PROJECT: Final = re.compile(r"\d+|[\w.-]+(/[\w.-]+)+")


def open_tracker(to: str, variables: Mapping[str, str], *, project: str, output: str, label: str) -> Tracker:
    """Return the tracker; raises ``InputError`` for a missing setting, saying where to set it."""
    if not label.strip() or "," in label or len(label) > 50 or not label.isprintable():  # noqa: PLR2004  GitHub's limit
        raise InputError(f"--label {label!r}: expected one name of up to 50 characters, without a comma")
    if to == "github":
        project = project or variables.get("GITHUB_REPOSITORY", "")
        if not _REPOSITORY.fullmatch(project):
            raise InputError(f"the repository is {project!r}: expected --project or GITHUB_REPOSITORY as owner/name")
        token = _token(
            variables, "GITHUB_TOKEN", "GH_TOKEN", file="GITHUB_TOKEN_FILE", scope="permission issues: write"
        )
        base = base_of(variables.get("GITHUB_API_URL", "").strip() or "https://api.github.com", "GITHUB_API_URL")
        headers = {"Authorization": f"Bearer {token}", "X-GitHub-Api-Version": "2022-11-28"}
        return GitHubIssues(Api(base, headers), project, label)
    if to == "gitlab":
        project = project or variables.get("CI_PROJECT_ID", "")
        if not _PROJECT.fullmatch(project):
            raise InputError(
                f"the project is {project!r}: expected --project or CI_PROJECT_ID as its number or group/name"
            )
        token = _token(variables, "GITLAB_TOKEN", file="GITLAB_TOKEN_FILE", scope="scope api")
        base = base_of(variables.get("CI_API_V4_URL", "").strip() or "https://gitlab.com/api/v4", "CI_API_V4_URL")
        return GitLabIssues(Api(base, {"PRIVATE-TOKEN": token}), project, label)
    return JsonIssues(Path(output), label)


def _token(variables: Mapping[str, str], *names: str, file: str, scope: str) -> str:
    token = token_of(variables, *names, file=file)
    if not token:
        raise InputError(
            f"there is no token: set {names[0]}, or {file} to the name of a file that contains it; the token needs "
            f"the {scope}"
        )
    return token
