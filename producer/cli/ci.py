"""Detects the CI system from its environment variables, and makes text safe for its log.

Text from a page may contain a CI command, which ``harmless`` breaks. Remarks for people go to stderr by ``say``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal

import click

CiSystem = Literal["", "github", "gitlab", "other"]

_SIGNS: Final = ("TF_BUILD", "JENKINS_URL", "TEAMCITY_VERSION", "CODEBUILD_BUILD_ID", "bamboo_buildKey")
"""Variables of CI systems that do not set ``CI``."""
_NO: Final = frozenset({"", "0", "false", "no"})
_WORD_JOINER: Final = "\u2060"
_COMMAND: Final = r"(?m)^(\s*)(?=::)|(?<=#)(?=#\w*\[)"
"""``::error::`` at the beginning of a line (GitHub), ``##[error]``, ``##vso[…]`` and ``##teamcity[…]`` anywhere."""


def ci_system(variables: Mapping[str, str]) -> CiSystem:
    """Return the CI system; '' elsewhere. Gitea and Forgejo set GitHub's variables and count as GitHub."""
    if _is_set(variables, "GITHUB_ACTIONS"):
        return "github"
    if _is_set(variables, "GITLAB_CI"):
        return "gitlab"
    return "other" if any(_is_set(variables, name) for name in ("CI", *_SIGNS)) else ""


def harmless(text: str) -> str:
    """Return ``text`` for a job's log, with an invisible character in anything that looks like a command."""
    return re.sub(_COMMAND, rf"\1{_WORD_JOINER}", text)


def say(text: str) -> None:
    """Print a remark to stderr: stdout is for results."""
    click.echo(f"sightline: {harmless(text)}", err=True)


def _is_set(variables: Mapping[str, str], name: str) -> bool:
    return variables.get(name, "").strip().lower() not in _NO
