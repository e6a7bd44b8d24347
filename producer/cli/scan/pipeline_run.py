"""Identifies the pipeline run from the variables of common CI systems. Pure.

A variable counts if it stays the same when a job of the run is repeated, and differs between runs. Counters that
start at 1 in each repository are joined with its name. Sources: each system's list of predefined variables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from producer.contract.terms import MAX_RUN_CHARS

_SYSTEMS: Final[tuple[tuple[str, ...], ...]] = (
    ("GITHUB_REPOSITORY", "GITHUB_RUN_ID"),  # Gitea and Forgejo set both, too
    ("CI_SERVER_HOST", "CI_PIPELINE_ID"),  # GitLab
    ("BUILDKITE_BUILD_ID",),
    ("CIRCLE_WORKFLOW_WORKSPACE_ID",),  # a workflow repeated from its failed job has a new CIRCLE_WORKFLOW_ID
    ("BITBUCKET_PIPELINE_UUID",),
    ("SYSTEM_COLLECTIONID", "BUILD_BUILDID"),  # Azure Pipelines
    ("TRAVIS_BUILD_ID",),
    ("APPVEYOR_PROJECT_SLUG", "APPVEYOR_BUILD_ID"),
    ("SEMAPHORE_WORKFLOW_ID",),
    ("DRONE_REPO", "DRONE_BUILD_NUMBER"),
    ("CI_REPO", "CI_PIPELINE_NUMBER"),  # Woodpecker
    ("CODEBUILD_BUILD_ID",),
    ("CIRRUS_BUILD_ID",),
    ("CF_BUILD_ID",),  # Codefresh
    ("HARNESS_EXECUTION_ID",),
    ("bamboo_buildResultKey",),
    ("GO_PIPELINE_NAME", "GO_PIPELINE_COUNTER"),  # GoCD
    ("TEAMCITY_PROJECT_NAME", "TEAMCITY_BUILDCONF_NAME", "BUILD_NUMBER"),
    ("BUILD_TAG",),  # Jenkins
)
"""Variables of a system; the last identifies the run, the others may be missing unless it is a counter."""
_COUNTERS: Final = frozenset({"DRONE_BUILD_NUMBER", "CI_PIPELINE_NUMBER", "GO_PIPELINE_COUNTER", "BUILD_NUMBER"})


def pipeline_run(variables: Mapping[str, str]) -> str:
    """Return the name of the pipeline run in ``variables``, '' if there is none."""
    for names in _SYSTEMS:
        values = [variables.get(name, "").strip() for name in names]
        if values[-1] and (all(values) or names[-1] not in _COUNTERS):
            text = "/".join(value for value in values if value)
            return "".join(char if char.isprintable() else "?" for char in text)[-MAX_RUN_CHARS:]
    return ""
