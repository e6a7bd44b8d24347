"""Ids of jobs that follow a scan are reserved."""

from __future__ import annotations

import pytest

from producer.cli.main import run
from producer.client.submission import prepare
from producer.errors import InvalidJob


@pytest.mark.parametrize("job_id", ["assess.home", "fix.home"])
def test_a_job_id_that_sightline_makes_itself_is_refused_when_it_is_submitted(job_id: str):
    with pytest.raises(InvalidJob, match=f"job id '{job_id}'.*are reserved for jobs that follow a scan"):
        prepare("scan", {"url": "https://shop.example/"}, job_id=job_id)
    with pytest.raises(InvalidJob, match="are reserved for jobs that follow a scan"):
        prepare("scan", {"url": "https://shop.example/"}, batch=job_id)


def test_an_id_that_only_looks_like_it_is_taken():
    assert prepare("scan", {"url": "https://shop.example/"}, job_id="fixed.home").job_id == "fixed.home"


def test_the_command_says_so_before_it_asks_for_a_redis(capsys: pytest.CaptureFixture[str]):
    code = run(["scan", "https://shop.example/", "--id", "assess.home"])

    assert code == 64
    assert "are reserved for jobs that follow a scan" in capsys.readouterr().err
