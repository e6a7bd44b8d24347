"""The pipelines in ops/ci, as users copy them: valid by their owners' schemas, and every command of them run for real.

Left out are the installation (the project is installed) and the comment on a pull request: ops/not-run.md.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from producer.keys import Keys
from tests.support.published_schemas import faults, junit_faults
from tests.support.scan_worker import ROOT, environment_for, need_browser
from worker.own_redis.server import free_port

EXAMPLES = ROOT / "ops" / "ci"
GITHUB: Any = yaml.safe_load((EXAMPLES / "github-actions.yml").read_text())
GITLAB: Any = yaml.safe_load((EXAMPLES / "gitlab-ci.yml").read_text())
GITHUB_JOB: Any = GITHUB["jobs"]["accessibility"]
GITLAB_JOB: Any = GITLAB["accessibility"]
NOT_RUN = ("pip install", "apt-get", "gh pr comment")
COMMANDS: list[str] = [step["run"] for step in GITHUB_JOB["steps"] if "run" in step]
LINES: list[str] = [*GITLAB_JOB["before_script"], *GITLAB_JOB["script"]]
SHOP = "<!doctype html><html lang=en><title>Shop</title><main><h1>Shop</h1>{}</main></html>"
OLD, NEW = "<img src='cup.png'>", "<button id=pay></button>"


def test_the_workflow_is_valid_by_the_schema_of_workflows() -> None:
    named_on = {"on" if key is True else key: value for key, value in GITHUB.items()}  # YAML 1.1 reads on as a boolean

    assert faults("github-workflows.json", named_on) == []


def test_the_gitlab_pipeline_is_valid_by_gitlabs_schema() -> None:
    assert faults("gitlab-ci.json", GITLAB) == []


@pytest.mark.parametrize("command", [*COMMANDS, "\n".join(LINES)])
def test_every_command_passes_shellcheck(command: str) -> None:
    shellcheck = Path(sys.executable).parent / "shellcheck"
    # GitLab's lines may be run by a shell without arrays: there $known is one option or nothing, on purpose.
    options = ["--shell=bash", *(["--exclude=SC2086"] if "${known:-}" in command else [])]

    done = subprocess.run([shellcheck, *options, "-"], input=command, text=True, capture_output=True, check=False)

    assert (done.returncode, done.stdout) == (0, "")


@dataclass
class Machine:
    """A machine of a CI system: a folder with a site, and shells that run one command after the other."""

    folder: Path
    environment: dict[str, str]
    port: int
    groups: list[int] = field(default_factory=list[int])

    def write(self, body: str) -> None:
        """Change the site under test."""
        (self.folder / "public").mkdir(exist_ok=True)
        (self.folder / "public" / "index.html").write_text(SHOP.format(body))
        (self.folder / "accessibility-urls.txt").write_text(f"http://127.0.0.1:{self.port}/index.html\n")

    def run(self, command: str) -> tuple[int, str]:
        """Run a command as GitHub does, its processes in the background live on; return exit code and output."""
        out = self.folder / "step.log"
        with out.open("w") as log:
            shell = subprocess.Popen(
                [
                    "bash",
                    "--noprofile",
                    "--norc",
                    "-e",
                    "-o",
                    "pipefail",
                    "-c",
                    command.replace("8000", str(self.port)),
                ],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            self.groups.append(shell.pid)
            code = shell.wait(timeout=100)
        return code, out.read_text()

    def end(self) -> None:
        """End all that was left in the background."""
        for group in self.groups:
            try:
                os.killpg(group, signal.SIGKILL)
            except ProcessLookupError:
                continue


@pytest.fixture
def machine(tmp_path: Path, redis_url: str, keys: Keys) -> Generator[Machine]:
    need_browser()
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = environment_for(redis_url, keys, PATH=programs, GITHUB_STEP_SUMMARY=str(tmp_path / "summary.md"))
    made = Machine(tmp_path, environment, free_port())
    yield made
    made.end()


def is_run(command: str) -> bool:
    return not any(word in command for word in NOT_RUN)


def test_the_workflow_fails_on_a_new_barrier_and_leaves_its_reports(machine: Machine) -> None:
    serve, work, scan, summary = [command for command in COMMANDS if is_run(command)]
    machine.write(OLD)
    started = [machine.run(serve), machine.run(work)]
    first = machine.run(scan)
    accepted = machine.run(
        "sightline scan --file accessibility-urls.txt --write-baseline accessibility-known.json --fail-on never"
    )
    same = machine.run(scan)
    machine.write(OLD + NEW)

    worse = machine.run(scan)
    shown = machine.run(summary)

    assert [code for code, _ in (*started, first, accepted, same, worse, shown)] == [0, 0, 1, 0, 0, 1, 0], worse
    text = (machine.folder / "summary.md").read_text()
    assert "1 page with new findings that are serious or worse" in text
    assert "button-name" in text
    assert sorted(path.name for path in (machine.folder / "reports").iterdir()) == [
        "junit.xml",
        "report.html",
        "report.md",
        "report.sarif",
    ]


def test_the_gitlab_pipeline_fails_on_barriers_and_leaves_its_reports(machine: Machine) -> None:
    machine.write(OLD + NEW)

    code, said = machine.run("\n".join(line for line in LINES if is_run(line)))

    junit = (machine.folder / "reports" / "junit.xml").read_text()
    assert code == 1, said
    assert junit_faults(junit) == []
    assert ET.fromstring(junit).get("failures") == "2"  # noqa: S314  our own output
    assert GITLAB_JOB["artifacts"]["reports"]["junit"] == "reports/junit.xml"


def test_all_settings_of_the_examples_are_settings(machine: Machine) -> None:
    for job in (GITHUB_JOB["env"], GITLAB_JOB["variables"]):
        settings = {name: value for name, value in job.items() if name not in {"SIGHTLINE", "REDIS_URL"}}
        machine.environment |= settings
        code, said = machine.run("sightline status --json")
        assert code == 0, said
