"""Alertmanager's configuration is made from variables: mail, a webhook, both or neither."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

START = Path(__file__).parents[3] / "ops/alertmanager/start.sh"
MAIL = {"ALERT_MAIL_TO": "o'brien@shop.example", "ALERT_MAIL_FROM": "s@shop.example", "ALERT_SMTP": "mail:587"}


def printed(**variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(["sh", START, "--print"], env=environment, capture_output=True, text=True, check=False)


def test_receivers_are_those_that_are_set() -> None:
    neither, both = printed(), printed(**MAIL, ALERT_WEBHOOK="https://chat.example/hook", ALERT_SMTP_USER="s")

    assert yaml.safe_load(neither.stdout)["receivers"] == [{"name": "operators"}]
    [receiver] = yaml.safe_load(both.stdout)["receivers"]
    assert receiver["webhook_configs"] == [{"url": "https://chat.example/hook", "send_resolved": True}]
    [mail] = receiver["email_configs"]
    assert (mail["to"], mail["require_tls"]) == ("o'brien@shop.example", True)
    assert mail["auth_password_file"].endswith("/alert_smtp_password")


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({"ALERT_MAIL_TO": "a@shop.example"}, "set ALERT_MAIL_FROM and ALERT_SMTP"),
        ({"ALERT_WEBHOOK": "https://x.example\nroute: {}"}, "a setting holds a line break"),
    ],
)
def test_what_would_send_nothing_or_something_else_is_refused(variables: dict[str, str], why: str) -> None:
    done = printed(**variables)

    assert done.returncode == 64
    assert why in done.stderr
