"""Keeps the leases of running deliveries, from a thread.

A busy event loop must not lose its jobs, so renewal does not run on it. A loop that has not ticked for a minute is
hung; then the thread stops, so that another worker gets the jobs. Redis decides which worker holds a job (renew.lua);
this thread only reports that a job is lost or to be cancelled. The schedule of renewals and the rules for outages are
those of all leases (``producer/redis/lease.py``); the outage rule of the reclaim (``loop.py``) protects leases that
could not be renewed meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final, Protocol, cast

import redis
import structlog

from producer.contract import Lane
from producer.keys import GROUP, Keys
from producer.redis.lease import Renewals
from producer.redis.scripts import load_script
from worker.telemetry import note_failure

LOOP_HUNG_S: Final = 60.0
"""A loop without a tick for this long is considered hung."""

FROZEN_S: Final = 2.5
"""A loop without a tick (one per second) for this long was frozen: its jobs may have been reclaimed."""
WAKING_S: Final = 1.0
"""After that, its unread replies are read within this time."""

RENEW: Final = load_script("worker.queue", "renew")
_LOST, _CANCEL = 0, 2

log = structlog.get_logger()


class Leased(Protocol):
    """The part of a delivery that the thread needs."""

    job_id: str
    lane: Lane
    entry: str
    fence: int


class LeaseKeeper(Renewals):
    """Renews every ``renew_s`` the deliveries it holds, until they are released.

    ``on_lost`` and ``on_cancel`` are called from the thread: hand over with ``loop.call_soon_threadsafe``.
    """

    def __init__(
        self,
        connect: Callable[[], redis.Redis],
        keys: Keys,
        *,
        consumer: str,
        renew_s: float,
        on_lost: Callable[[Leased], None],
        on_cancel: Callable[[Leased], None],
    ) -> None:
        super().__init__(renew_s)
        self._connect = connect
        self._keys = keys
        self._consumer = consumer
        self._on_verdict = {_LOST: on_lost, _CANCEL: on_cancel}
        self._held: dict[int, Leased] = {}  # by identity: after a rollback, Redis may issue an entry and fence again
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._ticked_at = time.monotonic()
        self._woke_at = -WAKING_S
        self._thread = threading.Thread(target=self._run, name="lease-keeper", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread and wait for it, at most for one renewal."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(self.every_s + 5)

    def hold(self, delivery: Leased) -> None:
        """Renew ``delivery`` from now on."""
        with self._lock:
            self._held[id(delivery)] = delivery

    def release(self, delivery: Leased) -> None:
        """Stop renewing ``delivery``; safe to call twice."""
        with self._lock:
            self._held.pop(id(delivery), None)

    def tick(self) -> None:
        """Record that the event loop is alive; to be called from the loop every second."""
        now = time.monotonic()
        if now - self._ticked_at > FROZEN_S:
            self._woke_at = now
        self._ticked_at = now

    @property
    def loop_was_frozen(self) -> bool:
        """Whether the event loop was frozen until just now, so that the replies it reads may be outdated."""
        now = time.monotonic()
        return now - self._ticked_at > FROZEN_S or now - self._woke_at < WAKING_S

    def _run(self) -> None:
        client: redis.Redis | None = None
        pause_s = self.every_s
        while True:
            waits_since = time.monotonic()
            if self._stop.wait(pause_s):
                break
            if time.monotonic() - waits_since > pause_s + FROZEN_S:
                self.note_outage()  # this process was frozen, perhaps together with Redis and the other workers
            pause_s = self.every_s
            if time.monotonic() - self._ticked_at > LOOP_HUNG_S:
                log.error("lease.loop_hung", silent_s=LOOP_HUNG_S)
                self.note_outage()  # when it wakes, the loop must not reclaim what is renewed a moment later
                continue
            try:
                client = client or self._connect()
                asked_at = time.monotonic()
                client.ping()
                self._renew(client)
                self.answered(asked_at)
            except Exception as error:  # noqa: BLE001  such as one of a credential provider: leases must not end in silence
                pause_s = self.failed()
                if isinstance(error, redis.RedisError | OSError):
                    log.warning("lease.renewal_failed", error=str(error) or type(error).__name__)
                else:
                    note_failure("lease-keeper", error)
                if client is not None:
                    client.close()
                client = None
        if client is not None:
            client.close()

    def _renew(self, client: redis.Redis) -> None:
        with self._lock:
            held = list(self._held.values())
        for lane in Lane:
            mine = [delivery for delivery in held if delivery.lane == lane]
            if not mine:
                continue
            keys = [self._keys.lane(lane), *(self._keys.job(delivery.job_id) for delivery in mine)]
            args = [GROUP, self._consumer, *(item for d in mine for item in (d.entry, d.fence))]
            verdicts = cast("Any", client.register_script(RENEW.text))(keys, args)
            for delivery, verdict in zip(mine, verdicts, strict=True):
                if verdict in self._on_verdict:
                    self._on_verdict[verdict](delivery)
