"""The files in ops/ci as users copy them: valid by official schemas, shellchecked, and run with a real browser.

Left out are installations (the project is installed) and what only the hosts have: ops/not-run.md. The comment goes to
a stub of GitHub's API.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from producer.cli.main import cli
from tests.support.hosting import hosting_stub
from tests.support.published_schemas import faults, junit_faults
from tests.support.scan_worker import ROOT, need_browser
from worker.own_redis.server import free_port

EXAMPLES = ROOT / "ops" / "ci"
ACTION: Any = yaml.safe_load((EXAMPLES / "action.yml").read_text())
WORKFLOW: Any = yaml.safe_load((EXAMPLES / "github-actions.yml").read_text())
PIPELINE: Any = yaml.safe_load((EXAMPLES / "gitlab-ci.yml").read_text())
COMPONENT = (ROOT / "templates" / "accessibility.yml").read_text()
SPEC: Any = yaml.safe_load(COMPONENT.partition("\n---\n")[0])["spec"]["inputs"]
STEPS: dict[str, Any] = {step["name"]: step for step in ACTION["runs"]["steps"]}
SERVE: str = WORKFLOW["jobs"]["accessibility"]["steps"][1]["with"]["start"]
JENKINS = re.findall(r"sh '''\n(.*?)'''", (EXAMPLES / "Jenkinsfile").read_text(), re.DOTALL)
SHOP = "<!doctype html>\n<html lang=en><title>Shop</title>\n<main><h1>Shop</h1>\n{}\n</main></html>"
TOKEN = "t0ken"  # noqa: S105  of a stub
OLD, NEW = "<img src='cup.png'>", "<button id=pay></button>"


def component(**inputs: str) -> Any:
    """The component as GitLab includes it, its inputs filled in."""
    values = {name: str(one.get("default", "")) for name, one in SPEC.items()} | inputs
    return yaml.safe_load(
        re.sub(r"\$\[\[ inputs\.([\w-]+) \]\]", lambda found: values[found[1]], COMPONENT.partition("\n---\n")[2])
    )


def action_environment(step: Mapping[str, Any], **inputs: str) -> dict[str, str]:
    """The variables of a step of the action, its inputs filled in."""
    values = {name: one["default"] for name, one in ACTION["inputs"].items()} | inputs
    return {
        name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda found: values[found[1]], str(text))
        for name, text in step.get("env", {}).items()
    }


GITLAB_JOB: Any = component(install="x")["accessibility"]
LINES = "\n".join([*GITLAB_JOB["before_script"], *GITLAB_JOB["script"]])


def test_workflow_and_action_are_valid_by_their_schemas() -> None:
    named_on = {
        "on" if key is True else key: value for key, value in WORKFLOW.items()
    }  # YAML 1.1 reads on as a boolean

    assert faults("github-workflows.json", named_on) == []
    assert faults("github-actions.json", ACTION) == []


def test_component_and_pipeline_are_valid_by_gitlabs_schema() -> None:
    assert faults("gitlab-ci.json", yaml.safe_load(COMPONENT.partition("\n---\n")[0])) == []
    assert faults("gitlab-ci.json", component(install="x")) == []
    assert faults("gitlab-ci.json", PIPELINE) == []


def test_the_examples_give_inputs_that_there_are_and_all_that_are_needed() -> None:
    given: Any = PIPELINE["include"][0]["inputs"]
    [used] = [step["with"] for step in WORKFLOW["jobs"]["accessibility"]["steps"] if "with" in step]

    assert set(given) <= set(SPEC)
    assert {name for name, one in SPEC.items() if "default" not in one} <= set(given)
    assert set(used) <= set(ACTION["inputs"])


def test_no_input_is_put_into_a_command() -> None:
    # An input may be made of a pull request's title: in an expression inside of `run` it would be a command.
    assert not any("${{" in step.get("run", "") for step in STEPS.values())


def test_no_step_after_the_scan_fails_a_job_for_a_missing_permission() -> None:
    later = list(STEPS.values())[2:]

    assert len(later) == 3
    for step in later:
        assert "always()" in step["if"]
        assert step.get("continue-on-error"), step["name"]


@pytest.mark.parametrize("command", [*(s["run"] for s in STEPS.values() if "run" in s), SERVE, LINES, *JENKINS])
def test_every_command_passes_shellcheck(command: str) -> None:
    shellcheck = Path(sys.executable).parent / "shellcheck"
    # Shells without arrays: there $known is one option or nothing, and options are split at spaces, on purpose.
    options = ["--shell=bash", *(["--exclude=SC2086"] if "${known:-}" in command else [])]

    done = subprocess.run([shellcheck, *options, "-"], input=command, text=True, capture_output=True, check=False)

    assert (done.returncode, done.stdout) == (0, "")


def test_the_pipeline_for_jenkins_calls_the_program_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "accessibility-urls.txt").touch()
    [call] = re.findall(r"sightline (scan .*)", JENKINS[1].replace("\\\n", " "))
    words = shlex.split(call.replace("${known:-}", ""))

    cli.make_context("sightline", words)  # raises a UsageError for what it does not know


def test_the_threshold_of_the_settings_file_applies_unless_the_pipeline_names_one(tmp_path: Path) -> None:
    (tmp_path / "sightline").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "sightline").chmod(0o755)
    path = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}

    def said(command: str, variables: Mapping[str, str]) -> str:
        environment = {**path, **variables}
        return subprocess.check_output(["bash", "-c", command], cwd=tmp_path, env=environment, text=True)

    for given in ("", "minor"):
        job = component(install="x", **{"fail-on": given})["accessibility"]
        by_action = said(str(EXAMPLES / "scan.sh"), action_environment(STEPS["Scan"], **{"fail-on": given}))
        for called in (by_action, said("\n".join(job["script"]), job["variables"])):
            assert re.findall(r"--fail-on (\S+)", called) == ([given] if given else []), called


@dataclass
class Machine:
    """A machine of a CI system: a folder with a site, and shells that run one command after the other."""

    folder: Path
    environment: dict[str, str]
    port: int
    groups: list[int] = field(default_factory=list[int])

    def write(self, body: str) -> None:
        """Change the site under test, and keep it in git."""
        (self.folder / "public").mkdir(exist_ok=True)
        (self.folder / "public" / "index.html").write_text(SHOP.format(body))
        git = ["git", "-C", str(self.folder)]
        subprocess.run([*git, "init", "-q"], check=True)
        subprocess.run([*git, "add", "public"], check=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/index.html"

    def run(self, command: str, **variables: str) -> tuple[int, str]:
        """Run a command as GitHub does, its processes in the background live on; return exit code and output."""
        out = self.folder / "step.log"
        shell = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", command.replace("8000", str(self.port))]
        with out.open("w") as log:
            process = subprocess.Popen(
                shell,
                cwd=self.folder,
                env={**self.environment, **variables},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            self.groups.append(process.pid)
            code = process.wait(timeout=100)
        return code, out.read_text()

    def step(self, name: str, variables: Mapping[str, str] | None = None, **inputs: str) -> tuple[int, str]:
        """Run a step of the action."""
        return self.run(STEPS[name]["run"], **action_environment(STEPS[name], **inputs), **(variables or {}))

    def end(self) -> None:
        """Stop all background processes."""
        for group in self.groups:
            try:
                os.killpg(group, signal.SIGKILL)
            except ProcessLookupError:
                continue


@pytest.fixture
def machine(tmp_path: Path) -> Generator[Machine]:
    need_browser()
    programs = tmp_path / "runner" / "sightline" / "bin"
    programs.mkdir(parents=True)
    (programs / "sightline").write_text(f'#!/bin/sh\nexec {sys.executable} -m producer.cli.main "$@"\n')
    (programs / "sightline").chmod(0o755)
    folder = tmp_path / "web"
    folder.mkdir()
    environment = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ} | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "CI": "true",
        "RUNNER_TEMP": str(tmp_path / "runner"),
        "GITHUB_ACTION_PATH": str(EXAMPLES),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    }
    made = Machine(folder, environment, free_port())
    yield made
    made.end()


def test_the_action_fails_on_a_new_barrier_says_so_everywhere_and_stays_green_where_it_may_not(
    machine: Machine, tmp_path: Path
) -> None:
    github = {"GITHUB_ACTIONS": "true"}
    machine.write(OLD)
    site = {"start": SERVE.replace("8000", str(machine.port)), "urls": machine.url}
    accepted = machine.step(
        "Scan", github, **site, **{"fail-on": "never", "write-baseline": "accessibility-known.json"}
    )
    machine.write(OLD + NEW)

    worse = machine.step("Scan", github, **site)

    assert [code for code, _ in (accepted, worse)] == [0, 1], worse
    assert re.search(r"^sightline: failed: critical: .*\(button-name\): #pay on http", worse[1], re.MULTILINE), worse[1]
    [annotation] = [line for line in worse[1].splitlines() if line.startswith("::error ")]
    assert annotation.startswith("::error file=public/index.html,line=4,title=Sightline%3A ")
    reports = machine.folder / "reports"
    sarif = json.loads((reports / "report.sarif").read_text())["runs"][0]
    assert sarif["automationDetails"]["id"] == f"sightline/127.0.0.1:{machine.port}/"
    assert (reports / "report.csv").read_bytes().startswith(b"\xef\xbb\xbfpage,")

    with hosting_stub() as host:
        (tmp_path / "event.json").write_text('{"pull_request": {"number": 7}}')
        pull_request = github | {
            "GITHUB_API_URL": host.url,
            "GITHUB_REPOSITORY": "shop/web",
            "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
        }
        commented = machine.step("Comment on the pull request", pull_request, token=TOKEN)
        [comment] = host.comments
        host.refuse = lambda method, _: (403, {}) if method == "PATCH" else None
        fork = machine.step("Comment on the pull request", pull_request, token=TOKEN)
        (reports / "report.md").unlink()
        missing = machine.step("Comment on the pull request", pull_request, token=TOKEN)

    assert [code for code, _ in (commented, fork, missing)] == [0, 0, 0], fork
    fresh, _, known = comment["body"].partition("Known: 1 component barrier")
    assert "button-name" in fresh
    assert "image-alt" not in fresh.partition("| Page |")[0]
    assert "image-alt" in known
    assert (tmp_path / "summary.md").read_text() == comment["body"]


def test_a_site_that_never_comes_up_ends_the_job_with_its_last_lines(machine: Machine) -> None:
    start = {"start": "echo no script called preview; exit 5", "urls": machine.url}

    scanned = machine.step("Scan", {"GITHUB_ACTIONS": "true"}, **start)
    commented = machine.step("Comment on the pull request", {"GITHUB_ACTIONS": "true"}, token=TOKEN)

    assert (scanned[0], commented[0]) == (3, 0), commented
    assert "has ended with 5; its last lines: no script called preview; http://127.0.0.1:" in scanned[1]
    assert not (machine.folder / "reports").exists()


def test_the_gitlab_component_fails_on_barriers_and_leaves_its_reports(machine: Machine) -> None:
    machine.write(OLD + NEW)
    serve = PIPELINE["include"][0]["inputs"]["serve"].replace("8000", str(machine.port))
    job = component(install="x", serve=serve, urls=machine.url)["accessibility"]

    code, said = machine.run("\n".join(job["script"]), GITLAB_CI="true", **job["variables"])
    after, told = machine.run("\n".join(job["after_script"]), GITLAB_CI="true")

    assert (code, after) == (1, 0), said
    assert said.count("sightline: failed: critical: ") == 2
    assert "does not belong to a merge request" in told
    reports: Any = job["artifacts"]["reports"]
    junit = (machine.folder / reports["junit"]).read_text()
    assert junit_faults(junit) == []
    assert ET.fromstring(junit).get("failures") == "2"  # noqa: S314  our own output
    quality = json.loads((machine.folder / reports["codequality"]).read_text())
    assert {entry["location"]["path"] for entry in quality} == {"public/index.html"}
