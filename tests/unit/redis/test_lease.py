"""The common parts of all leases: the schedule of renewals, outages, losses, and the release."""

from __future__ import annotations

import asyncio

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from producer.redis.lease import Lease, Renewals, keep, kept

DEADLINE_S = 60.0


class Lost(Exception):
    """A lease was lost."""


async def renewed() -> None:
    """A renewal that Redis answers."""


def raised(error: Exception) -> None:
    raise error


def lease_for(seconds: float) -> Lease:
    return Lease(asyncio.get_running_loop().time() + seconds, loss=Lost)


def aged(renewals: Renewals) -> float:
    """Let Redis have answered for long; return since when."""
    renewals.up_since -= 1_000
    return renewals.up_since


def test_renewals_that_fail_are_repeated_soon_and_then_twice_within_their_time():
    renewals = Renewals(2.0)

    pauses = [renewals.failed() for _ in range(4)]
    renewals.answered(renewals.up_since)

    assert pauses == [0.25, 0.5, 1.0, 1.0]
    assert renewals.failed() == 0.25


def test_an_outage_lasts_until_the_first_reply_after_it():
    renewals = Renewals(2.0)
    long_ago = aged(renewals)
    renewals.answered(asked_at=renewals.up_since + 1_000)
    assert renewals.up_since == long_ago

    renewals.failed()
    during = aged(renewals)
    renewals.answered(asked_at=during + 1_000)
    after = renewals.up_since
    renewals.answered(asked_at=after)

    assert after > during + 999
    assert renewals.up_since == after


def test_a_reply_that_took_longer_than_a_renewal_is_an_outage():
    renewals = Renewals(2.0)
    long_ago = aged(renewals)

    renewals.answered(asked_at=long_ago)

    assert renewals.up_since > long_ago


async def test_a_lease_that_was_not_renewed_in_time_is_lost_whatever_comes_later():
    lease = lease_for(-0.001)

    lease.extend(asyncio.get_running_loop().time() + 60)

    assert not lease.is_held
    with pytest.raises(Lost, match="could not be renewed"):
        lease.check()


async def test_an_extended_lease_keeps_its_body_running():
    lease = lease_for(60)
    later = asyncio.get_running_loop().time() + 600

    async with lease.guard():
        lease.extend(later)

        assert lease._body is not None
        assert lease._body.when() == later


async def test_a_lost_lease_ends_its_body_and_says_why():
    lease = lease_for(60)

    async def body() -> None:
        async with lease.guard():
            lease.lose("another has it")
            lease.lose("a later reason")
            await asyncio.sleep(DEADLINE_S)

    with pytest.raises(Lost, match="another has it"):
        await body()


async def test_a_time_out_of_the_body_is_no_loss():
    lease = lease_for(60)

    async def body() -> None:
        async with lease.guard():
            msg = "the body's own"
            raise TimeoutError(msg)

    with pytest.raises(TimeoutError, match="the body's own"):
        await body()

    assert lease.is_held


async def test_a_renewal_that_hangs_does_not_shorten_the_next_one():
    begun = asyncio.Semaphore(0)
    released: list[str] = []

    async def hang() -> None:
        begun.release()
        await asyncio.Event().wait()

    async def release() -> None:
        released.append("lease")

    async with asyncio.timeout(DEADLINE_S), kept(hang, every_s=0.02, release=release, on_error=raised):
        for _ in range(3):
            await begun.acquire()

    assert released == ["lease"]


async def test_a_holder_cancelled_during_its_release_has_released_the_lease():
    releasing, go_on, released = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def release() -> None:
        releasing.set()
        await go_on.wait()
        released.set()

    async def hold() -> None:
        async with kept(renewed, every_s=60, release=release, on_error=raised):
            pass

    holder = asyncio.create_task(hold())
    async with asyncio.timeout(DEADLINE_S):
        await releasing.wait()
        holder.cancel()
        await asyncio.gather(holder, return_exceptions=True)
        go_on.set()
        await released.wait()

    assert holder.cancelled()


async def test_renewal_goes_on_after_missing_replies_and_errors_and_is_immediate_on_request():
    outcomes: list[Exception | None] = [RedisConnectionError("away"), OSError("away"), ValueError("bug"), None, None]
    silent: list[Exception] = []
    bugs: list[Exception] = []
    is_done = asyncio.Event()
    soon = asyncio.Event()

    async def renew() -> float | None:
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome
        if outcomes:
            soon.set()
            return 600.0
        is_done.set()
        return None

    keeping = asyncio.create_task(keep(renew, every_s=0.02, soon=soon, on_silent=silent.append, on_error=bugs.append))
    async with asyncio.timeout(DEADLINE_S):
        await is_done.wait()
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)

    assert [str(error) for error in silent] == ["away", "away"]
    assert [str(error) for error in bugs] == ["bug"]
