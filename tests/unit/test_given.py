"""A caller's arguments are checked before the submit: one error that names the field, nothing sent."""

from __future__ import annotations

from typing import Any

import pytest

from producer.cli.main import run
from producer.client.client import Client
from producer.client.submission import prepare
from producer.errors import InputError, InvalidJob
from producer.settings import ClientSettings
from producer.stored.schedules import Schedule, Schedules

NOTHING_THERE = ClientSettings(redis_url="redis://127.0.0.1:1/0")
NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"defer_s": -1}, "defer_s=-1: expected seconds, a number from 0 to 31,622,400"),
        ({"defer_s": NAN}, "defer_s=nan: expected seconds"),
        ({"defer_s": INF}, "defer_s=inf: expected seconds"),
        ({"defer_s": 10**400}, r"defer_s=10+…: expected seconds"),
        ({"defer_s": "5"}, "defer_s='5': expected seconds"),
        ({"defer_s": True}, "defer_s=True: expected seconds"),
        ({"tries": -1}, "tries=-1: expected a whole number from 1 to 1,000, or None"),
        ({"tries": 2.5}, "tries=2.5: expected a whole number"),
        ({"tries": 10**9}, "tries=1000000000: expected a whole number"),
        ({"tries": NAN}, "tries=nan: expected a whole number"),
        ({"job_id": 7}, "job_id=7: expected a string, not int"),
        ({"batch": ["b"]}, r"batch=\['b'\]: expected a string, not list"),
        ({"args": "abc"}, "args='abc': expected a list or tuple"),
        ({"lane": 3}, "lane 3: expected one of"),
        ({"secrets": {"headers": "X: s3cret"}}, "secrets headers: expected a dict, not str$"),
        (
            {"secrets": ["s3cret"]},
            "secrets: expected a dict with some of headers, cookies, storage_state, variables, not list$",
        ),
        ({"secrets": {5: 1}}, "secrets 5: expected some of"),
    ],
)
async def test_an_impossible_argument_is_named_before_anything_is_sent(given: dict[str, Any], said: str) -> None:
    async with Client(NOTHING_THERE) as client:
        with pytest.raises(InvalidJob, match=said) as refused:
            await client.submit("add", {"a": 1}, **given)

    assert "s3cret" not in str(refused.value)


def test_a_possible_argument_is_accepted_unchanged() -> None:
    job = prepare("add", {"a": 1}, defer_s=1.5, tries=3, args=(1, "b"))

    assert (job.delay_ms, job.tries, job.args) == (1500, 3, '[1,"b"]')
    assert (prepare("add", {}, tries=0).tries, prepare("add", {}).tries) == (0, 0)


async def test_a_kind_that_is_not_text_is_refused() -> None:
    wrong: Any = 5
    with pytest.raises(InvalidJob, match="kind=5: expected a string"):
        prepare(wrong, {})


@pytest.mark.parametrize("timeout_s", [-1, NAN, "5", 10**400])
async def test_a_wait_without_a_sensible_end_is_refused(timeout_s: Any) -> None:
    async with Client(NOTHING_THERE) as client:
        with pytest.raises(InputError, match=r"timeout_s=.*: expected seconds"):
            await client.wait("job", timeout_s=timeout_s)


@pytest.mark.parametrize("since", ["yesterday", "", None, 5, "1-1-1", "9" * 20])
async def test_events_after_nothing_that_is_an_event_are_refused(since: Any) -> None:
    async with Client(NOTHING_THERE) as client:
        with pytest.raises(InputError, match="expected the id of an event such as"):
            await anext(client.events(since=since))


@pytest.mark.parametrize("name", ["", "a b/c:d", "assess.one", None])
async def test_an_empty_batch_has_a_name_that_jobs_can_name(name: Any) -> None:
    async with Client(NOTHING_THERE) as client:
        with pytest.raises(InvalidJob, match="batch"):
            await client.seal_batch(name, create=True)


def test_a_payload_nested_too_deeply_is_refused() -> None:
    payload: Any = 1
    for _ in range(100_000):
        payload = [payload]

    with pytest.raises(InvalidJob, match="cannot be sent as JSON: maximum recursion depth"):
        prepare("add", {"a": payload})


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"cron": 5}, "cron=5: expected a string"), ({"name": None}, "schedule name=None"), ({"kind": ""}, "kind ''")],
)
async def test_a_schedule_that_could_never_fire_is_refused(changed: dict[str, Any], said: str) -> None:
    fields: dict[str, Any] = {"name": "n", "cron": "0 3 * * *", "kind": "add", "payloads": ({"a": 1},), **changed}
    async with Client(NOTHING_THERE) as client:
        with pytest.raises(InvalidJob, match=said):
            await Schedules(client).add(Schedule(**fields))


@pytest.mark.parametrize(
    "words", [("--timeout", "nan"), ("--timeout", "inf"), ("--timeout", "1e12"), ("--deadline", "nan")]
)
def test_no_option_accepts_an_invalid_time(words: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["scan", "https://shop.example/", *words]) == 64
    assert f"Invalid value for '{words[0]}'" in capsys.readouterr().err
