"""The blocking client behaves like the async client."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import producer.redis.connection
from producer import BlockingClient, Client
from producer.contract import FunctionResult, JobState
from producer.errors import InputError, RedisUnreachable, ServiceError, SettingsError, UnknownJob, WaitTimeout
from producer.keys import Keys
from producer.settings import ClientSettings
from tests.support.queue import DEADLINE_S, running_worker, settings_for, until


async def double(_: object, n: int) -> int:
    return 2 * n


async def test_it_submits_waits_and_iterates_while_a_worker_runs(redis_url: str, keys: Keys):
    def script() -> tuple[int, list[str], JobState]:
        with BlockingClient(settings_for(redis_url, keys)) as client:
            job = client.submit("double", {"n": 21})
            result = client.wait(job.job_id, timeout_s=DEADLINE_S)
            assert isinstance(result, FunctionResult)
            many = [job.job_id for job in client.submit_many("double", ({"n": n} for n in range(5)))]
            ended = [result.job_id for result in client.as_completed(many, timeout_s=DEADLINE_S)]
            return result.value, ended, client.job(job.job_id).state

    async with running_worker(redis_url, keys, [double]):
        value, ended, state = await asyncio.to_thread(script)

    assert value == 42
    assert len(set(ended)) == 5
    assert state is JobState.SUCCEEDED


def test_its_errors_are_those_of_the_async_client(redis_url: str, keys: Keys):
    with BlockingClient(settings_for(redis_url, keys)) as client:
        job = client.submit("double", {"n": 1})

        with pytest.raises(WaitTimeout, match="it continues"):
            client.wait(job.job_id, timeout_s=0.05)
        with pytest.raises(UnknownJob, match="nobody"):
            client.wait("nobody", timeout_s=DEADLINE_S)


def test_a_redis_that_is_not_there_is_one_clear_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(producer.redis.connection, "ATTEMPTS", 1)
    with (
        BlockingClient(ClientSettings(redis_url="redis://127.0.0.1:1/0")) as client,
        pytest.raises(RedisUnreachable, match=r"nothing answers at REDIS_URL 'redis://127\.0\.0\.1:1/0'"),
    ):
        client.submit("double", {"n": 1})


def test_it_closes_twice_without_complaint(redis_url: str, keys: Keys):
    client = BlockingClient(settings_for(redis_url, keys))

    client.close()
    client.close()

    assert not client._thread.is_alive()


def test_closing_it_ends_the_calls_of_other_threads(redis_url: str, keys: Keys):
    client = BlockingClient(settings_for(redis_url, keys))
    job = client.submit("double", {"n": 1}, defer_s=600)
    started = threading.Event()

    async def silence() -> None:
        started.set()
        await asyncio.Event().wait()

    with ThreadPoolExecutor() as others:
        calls = [others.submit(client.wait, job.job_id), others.submit(client.run, silence())]
        assert started.wait(DEADLINE_S)
        client.run(until(lambda: job.job_id in client.client._waiters._waiting, what="a waiting thread"))
        client.close()
        errors = [call.exception(timeout=DEADLINE_S) for call in calls]

    assert [type(error) for error in errors] == [ServiceError, ServiceError]
    assert all("the client was closed" in str(error) for error in errors)


@pytest.mark.filterwarnings("error")
def test_a_closed_one_says_so(redis_url: str, keys: Keys):
    client = BlockingClient(settings_for(redis_url, keys))
    client.submit("double", {"n": 1})
    events = client.events(since="0", follow_new=False)
    client.close()

    with pytest.raises(InputError, match="this client is closed"):
        client.submit("double", {"n": 1})
    with pytest.raises(InputError, match="this client is closed"):
        list(events)


def test_a_forked_process_gets_an_error_and_does_not_wait_for_ever(redis_url: str, keys: Keys):
    with BlockingClient(settings_for(redis_url, keys)) as client:
        child = os.fork()
        if child == 0:
            try:
                client.queue()
            except InputError as error:
                client.close()
                os._exit(7 if "fork" in str(error) else 1)
            finally:
                os._exit(1)

        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert code == 7


def test_one_that_cannot_be_made_leaves_no_thread(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("REDIS_URL", "nowhere")
    before = set(threading.enumerate())

    with pytest.raises(SettingsError):
        BlockingClient()

    assert set(threading.enumerate()) <= before


def test_an_iterator_that_is_collected_while_a_call_begins_ends(
    redis_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch
):
    """Python may collect one of an earlier error's frames at any allocation, in the thread of the call."""
    client = BlockingClient(settings_for(redis_url, keys))
    left = [client.submit_many("double", ({"n": n} for n in range(2)))]
    next(left[0])
    begin = asyncio.run_coroutine_threadsafe

    def collecting(*call: Any) -> Any:
        left.clear()
        return begin(*call)

    monkeypatch.setattr("producer.client.blocking.asyncio.run_coroutine_threadsafe", collecting)
    states = list[int]()
    calling = threading.Thread(target=lambda: states.append(client.queue().lanes["batch"].queued), daemon=True)
    calling.start()
    calling.join(DEADLINE_S / 4)

    assert states == [2]
    client.close()


def test_it_has_every_method_of_the_async_client():
    methods = {name for name in vars(Client) if not name.startswith("_")} - {"redis"}

    assert methods - set(dir(BlockingClient)) == set()
