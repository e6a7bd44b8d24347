"""``--steps`` and ``--login``: files are read and checked, and variables found, before anything runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from producer.cli.main import run
from producer.cli.scan.journeys import Journeys, read_journeys, read_variable
from producer.cli.scan.options import ScanOptions
from producer.cli.scan.submit import ScanPlan
from producer.client.submission import prepare
from producer.contract import ScanRequest
from producer.contract.addresses import state_url
from producer.errors import InputError, InvalidJob

URL = "https://shop.example/cart"
STEPS = [{"fill": "#user", "value": "${SHOP_USER}"}, {"scan": "filled"}, {"click": "#go"}, {"scan": "sent"}]
RECORDING = {
    "title": "Buy tea",
    "steps": [
        {"type": "setViewport", "width": 800, "height": 600},
        {"type": "navigate", "url": URL, "assertedEvents": []},
        {"type": "click", "selectors": [["aria/Tea"], ["#tea > a"], ["xpath///a"], ["text/Tea"]], "offsetX": 1},
        {"type": "change", "selectors": [["aria/Name"], ["#name"]], "value": "Anna"},
        {"type": "keyDown", "key": "Enter"},
        {"type": "keyUp", "key": "Enter"},
        {"type": "waitForElement", "selectors": [["text/Thank you"]], "timeout": 5000},
    ],
}


def write(folder: Path, content: Any, name: str = "steps.json") -> str:
    file = folder / name
    file.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return str(file)


def read(file: str, **environ: str) -> tuple[Journeys, dict[str, Any]]:
    secrets: dict[str, Any] = {}
    return read_journeys(ScanOptions(steps=file), environ, secrets), secrets


def test_each_state_of_a_page_is_a_page_with_the_steps_that_lead_there(tmp_path: Path) -> None:
    journeys, secrets = read(write(tmp_path, STEPS), SHOP_USER="anna")

    plan = ScanPlan(tuple(journeys.of([URL])), {}, "b", steps=journeys.of([URL]), secrets=secrets)

    requests = [ScanRequest.model_validate(payload) for payload in plan.payloads()]
    assert [request.page_url for request in requests] == [state_url(URL, "filled"), state_url(URL, "sent")]
    assert [len(request.steps) for request in requests] == [2, 4]
    assert secrets == {"variables": {"SHOP_USER": "anna"}}
    assert "anna" not in json.dumps(list(plan.payloads()))


def test_steps_are_read_from_toml_too(tmp_path: Path) -> None:
    text = '[[steps]]\nclick = "text=Sign in"\ntimeout_s = 3\n[[steps]]\nwait_for = { text = "Welcome" }\n'

    journeys, _ = read(write(tmp_path, text, "steps.toml"))

    assert list(journeys.states.values()) == [
        [{"click": "text=Sign in", "timeout_s": 3.0}, {"wait_for": {"text": "Welcome"}}]
    ]


def test_a_recording_of_the_browsers_tools_is_read(tmp_path: Path) -> None:
    journeys, _ = read(write(tmp_path, RECORDING))

    assert journeys.states[""] == [
        {"goto": URL},
        {"click": "#tea > a"},
        {"fill": "#name", "value": "Anna"},
        {"press": "Enter"},
        {"wait_for": {"selector": 'text="Thank you"'}, "timeout_s": 5.0},
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is not JSON"),
        ([], "has no steps: expected a list of steps"),
        ({"pages": 1}, "expected a list of steps"),
        (
            [{"clik": "#a"}, {"click": "#b"}, {"fill": "#c"}],
            "step 1: unknown step 'clik'.*; step 3: fill needs a value",
        ),
        ([{"click": "#a"}] * 101, "has 101 steps: expected at most 100"),
        ([{"scan": "a"}, {"scan": "a"}], "steps 1 and 2 scan two states called 'a'"),
        (
            {"steps": [{"type": "waitForExpression", "expression": "x"}]},
            "step 1 of the recording .*cannot run JavaScript",
        ),
        ({"steps": [{"type": "click", "selectors": [["xpath///a"]]}]}, "no usable CSS selector, text or name"),
    ],
)
def test_a_file_other_than_a_journey_is_refused(tmp_path: Path, content: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read(write(tmp_path, content))


def test_a_missing_secret_is_named_before_anything_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["scan", URL, "--steps", write(tmp_path, STEPS)])

    assert code == 64
    assert "needs ${SHOP_USER}: set the variable SHOP_USER, or SHOP_USER_FILE" in capsys.readouterr().err


def test_a_secret_is_read_from_the_file_that_is_mounted_for_it(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("anna\n")

    assert read_variable("SHOP_USER", {"SHOP_USER_FILE": str(tmp_path / "secret")}, "x") == "anna"
    with pytest.raises(InputError, match="SHOP_USER_FILE: cannot read"):
        read_variable("SHOP_USER", {"SHOP_USER_FILE": str(tmp_path / "none")}, "x")


def test_a_client_is_not_sent_steps_without_their_secrets() -> None:
    with pytest.raises(InvalidJob, match=r"the steps need \$\{SHOP_USER\}"):
        prepare("scan", {"url": URL, "steps": STEPS})

    submission = prepare("scan", {"url": URL, "steps": STEPS}, secrets={"variables": {"SHOP_USER": "anna"}})
    assert "anna" not in submission.payload
    assert submission.secrets == ("variables", '{"SHOP_USER":"anna"}')


def test_a_login_is_one_for_all_pages_of_a_run(tmp_path: Path) -> None:
    file = write(tmp_path, [{"goto": "/login"}, {"fill": "#user", "value": "${SHOP_USER}"}])
    secrets: dict[str, Any] = {}

    journeys = read_journeys(ScanOptions(login=file), {"SHOP_USER": "anna"}, secrets)

    login = journeys.login_for([URL])
    assert login == {"url": "https://shop.example/login", "steps": [{"fill": "#user", "value": "${SHOP_USER}"}]}
    assert secrets == {"variables": {"SHOP_USER": "anna"}}
    with pytest.raises(InputError, match="the pages are on several sites"):
        journeys.login_for([URL, "https://other.example/"])
    with pytest.raises(InputError, match="expected a goto to the login page first"):
        read_journeys(ScanOptions(login=write(tmp_path, [{"click": "#a"}])), {}, {})


def test_five_hundred_journeys_are_five_hundred_jobs(tmp_path: Path) -> None:
    journeys, secrets = read(write(tmp_path, STEPS), SHOP_USER="anna")
    steps = journeys.of([f"https://shop.example/{number}" for number in range(250)])
    plan = ScanPlan(tuple(steps), {}, "b", steps=steps, secrets=secrets)

    sent = [prepare("scan", payload, secrets=plan.secrets) for payload in plan.payloads()]

    assert len(set(plan.job_ids())) == len(sent) == 500
