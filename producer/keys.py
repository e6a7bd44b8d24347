"""Every Redis key that Sightline uses; no other module spells one.

A ``Keys`` belongs to one environment; environments sharing a server are isolated from each other. Lua scripts get their
keys from here, except for three that ``docs/state-machine.md`` names. It has the table of keys and their lifetimes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from producer.errors import SettingsError

GROUP: Final = "workers"
"""Consumer group of all lanes."""

_ENVIRONMENT: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


class _Key:
    """A key that an environment has once."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, keys: Keys, _: type[Keys]) -> str:
        return keys.prefix + self._name


@dataclass(frozen=True, slots=True)
class Keys:
    """Key names of one environment.

    Raises ``SettingsError`` for an environment that is not 1 to 32 of ``a-z 0-9 _ -``: a colon or a glob
    character would reach into another environment's keys.
    """

    environment: str = "dev"
    prefix: str = field(init=False, repr=False, compare=False)
    """Start of every key, including the colon."""

    def __post_init__(self) -> None:
        if not _ENVIRONMENT.fullmatch(self.environment):
            msg = (
                f"ENVIRONMENT is {self.environment!r}: expected 1 to 32 characters of a-z, 0-9, '_' and '-', "
                f"such as 'dev' or 'prod-eu'"
            )
            raise SettingsError(msg)
        object.__setattr__(self, "prefix", f"sightline:{self.environment}:")

    def lane(self, lane: str) -> str:
        """Stream of the jobs that wait or run in ``lane``."""
        return f"{self.prefix}jobs:{lane}"

    def waiting(self, lane: str) -> str:
        """Sorted set: id of a waiting entry → its turn; entries without a turn are missing."""
        return f"{self.lane(lane)}:waiting"

    def turns(self, lane: str) -> str:
        """Hash: the turn served last, the latest turn of a job without a batch, counts of added and deleted entries.

        Scripts that add or delete entries also spell this name (``producer/redis/lua/_lane.lua``).
        """
        return f"{self.lane(lane)}:turns"

    scheduled = _Key("scheduled")
    """Sorted set: job id → due time, Redis ms."""

    def scheduled_in(self, lane: str) -> str:
        """Sorted set of a lane's scheduled jobs.

        Assessments have a separate one, since workers of an earlier release would queue them as batch jobs.
        """
        return f"{self.lane(lane)}:scheduled" if lane == "assess" else self.scheduled

    def waiting_for(self, kind: str) -> str:
        """Sorted set: scheduled job that waits for a worker with this ``kind`` → its due time, Redis ms."""
        return f"{self.prefix}kind:{kind}"

    def job(self, job_id: str) -> str:
        """Hash of one job."""
        return f"{self.prefix}job:{job_id}"

    def result(self, job_id: str) -> str:
        """String: the result's JSON; what a caller polls with GET."""
        return f"{self.prefix}result:{job_id}"

    def batch(self, batch_id: str) -> str:
        """Hash of one batch's counters."""
        return f"{self.prefix}batch:{batch_id}"

    batches = _Key("batch:-sealed")
    """Sorted set: the last 200 sealed batches → when, Redis ms. Named like a batch, so that ACLs allow it; no batch has
    this id."""
    controls = _Key("controls")
    """Hash of JSON: pauses (``host:shop.example``), drains (``worker:NAME``) and limits, with time and user."""

    def parked(self, control: str) -> str:
        """Sorted set: scheduled job that waits for the end of this pause → its due time, Redis ms."""
        return f"{self.prefix}parked:{control}"

    backup = _Key("backup")
    """Hash: when the newest backup was made (``made_ms``, Redis ms), and its size."""

    events = _Key("events")
    """Stream of events, capped."""
    events_live = _Key("events:live")
    """Pub/sub channel that carries the same lines as ``events``."""
    dead = _Key("dead")
    """Dead-letter stream."""

    def secret(self, job_id: str) -> str:
        """Hash of the headers, cookies and storage state of a scan behind a login."""
        return f"{self.prefix}secret:{job_id}"

    def audit(self, job_id: str) -> str:
        """String, JSON: what a scan has read from its page, until the scan is committed."""
        return f"{self.prefix}audit:{job_id}"

    def shot(self, job_id: str) -> str:
        """Hash: JPEGs of a scan's page (field ``page``) and of failing elements (field: the node's fingerprint)."""
        return f"{self.prefix}shot:{job_id}"

    def site(self, host: str) -> str:
        """Hash of a site's generation and its counts by day."""
        return f"{self.prefix}site:{host}"

    scans_index = _Key("scans")
    """RediSearch index of the scan history."""
    scan_prefix = _Key("scan:")
    """Start of the history documents' keys."""

    def scan(self, scan_id: str) -> str:
        """Hash of one history document, with its vector."""
        return f"{self.scan_prefix}{scan_id}"

    barriers_index = _Key("barriers")
    """RediSearch index of the component barriers."""
    barrier_prefix = _Key("barrier:")
    """Start of the component barriers' keys."""

    def barrier(self, issue_id: str) -> str:
        """Hash of one component barrier: description, pages and dates."""
        return f"{self.barrier_prefix}{issue_id}"

    def components(self, page: str) -> str:
        """Hash: terms → JSON of the component barriers that a page now has under these terms."""
        return f"{self.prefix}components:{page}"

    def explanation(self, digest: str) -> str:
        """String: JSON of one barrier's explanation, or the token of the job that asks for it."""
        return f"{self.prefix}explanation:{digest}"

    def site_order(self, host: str) -> str:
        """Hash: a model's advice on what to fix first on a site, and the job that asks for it, with the time."""
        return f"{self.prefix}order:{host}"

    def run_began(self, run: str) -> str:
        """String: when the first scan of pipeline run ``run`` was submitted, Redis ms."""
        return f"{self.prefix}run:{sha256(run.encode()).hexdigest()[:32]}"

    period_prefix = _Key("period:")
    """Start of the keys of periods."""

    def period(self, kind: str, name: str) -> str:
        """Hash: host → begin and end there (Redis ms) of a batch or pipeline run, by ``kind``; outlives the batch."""
        return f"{self.period_prefix}{kind}:{sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"

    embedding = _Key("embedding")
    """Hash: the generations of vectors, each with its model and dimensions."""
    backfill = _Key("backfill")
    """String: lock of the worker that backfills vectors; a minute."""
    retired = _Key("retired")
    """String: mark that vectors of retired generations were deleted; a day."""
    respelled = _Key("respelled")
    """String: mark that addresses in records of earlier releases were normalised; an hour."""

    @staticmethod
    def index_of(index: str, generation: int) -> str:
        """Return the name of a generation's index; the first one's is ``index``."""
        return index if generation == 1 else f"{index}:{generation}"

    memories_index = _Key("memories")
    """RediSearch index of the long-term memories."""
    memory_prefix = _Key("memory:")
    """Start of the memories' keys."""

    def memory(self, memory_id: str) -> str:
        """Hash of one memory, with its vector."""
        return f"{self.memory_prefix}{memory_id}"

    def cache(self, name: str) -> str:
        """RediSearch index of one model's cached answers, and the start of their keys."""
        return f"{self.prefix}cache:{name}:answers"

    cache_stats = _Key("cache:stats")
    """Hash: number of lookups in the cache, by outcome."""
    checkpoints = _Key("checkpoint")
    """Start of the keys of conversations' checkpoints, without the colon, which the saver adds."""
    checkpoint_writes = _Key("checkpoint_write")
    """Start of the keys of graph nodes' return values, without the colon."""

    def tried_fix(self, digest: str) -> str:
        """String: JSON of the outcome of a tried change to a component's markup; kept for a week."""
        return f"{self.prefix}fix:{digest}"

    def thread(self, thread: str) -> str:
        """Hash: the running question of a conversation, and the waiting ones."""
        return f"{self.prefix}thread:{thread}"

    def worker(self, name: str) -> str:
        """String: JSON heartbeat of one worker."""
        return f"{self.prefix}worker:{name}"

    def host_slots(self, host: str) -> str:
        """Sorted set: token of a scan → end of its lease, Redis ms."""
        return f"{self.prefix}polite:{host}"

    def host_began(self, host: str) -> str:
        """String: when the last scan of the host began, Redis ms."""
        return f"{self.prefix}polite:{host}:began"

    def host_away(self, host: str) -> str:
        """Sorted set: token of a scan requeued because of the host → its due time, Redis ms."""
        return f"{self.prefix}polite:{host}:away"

    def host_closed(self, host: str) -> str:
        """String that expires when a host that sent Retry-After may be requested again."""
        return f"{self.prefix}polite:{host}:closed"

    def host_waited(self, host: str, page: str) -> str:
        """String: total time that scans of a page (a digest of its address) have waited for Retry-After, ms."""
        return f"{self.prefix}polite:{host}:waited:{page}"

    schedules = _Key("schedules")
    """Hash of JSON: schedules by name, and when each fired last."""
    waivers = _Key("waivers")
    """Hash of JSON: waivers by fingerprint or component."""
    decisions = _Key("decisions")
    """Hash of JSON: people's decisions on undecided findings, by component."""

    # ------------------------------------------------------------------------------------------ notices

    notices = _Key("notices")
    """Hash: the last event processed for notices, and counts of notices sent, abandoned and dropped."""
    notices_due = _Key("notices:due")
    """Sorted set: notice → when to send it, Redis ms; while it is being sent, when it may be sent again."""
    notices_open = _Key("notices:open")
    """Hash: notice → its JSON; with ``#`` after its name, how often it was claimed."""
    notices_failed = _Key("notices:failed")
    """List of JSON: the last abandoned notices, with reasons; a week."""

    # ------------------------------------------------------------------------------------------ the GPU pool

    gpu_hosts = _Key("gpu:hosts")
    """Hash: Ollama host → JSON of its slots and health."""
    gpu_loaded = _Key("gpu:loaded")
    """Hash: Ollama host → JSON of the models in its memory."""
    gpu_state = _Key("gpu:state")
    """Hash of the pool's counters: arrivals, turns, smoothed durations."""
    gpu_calls = _Key("gpu:calls")
    """Hash: token → JSON of a waiting or running model call."""
    gpu_holders = _Key("gpu:holders")
    """Sorted set: token → end of its lease, Redis ms."""
    gpu_waiters = _Key("gpu:waiters")
    """Sorted set: token → when it counts as dead, Redis ms."""

    def gpu_wake(self, worker: str) -> str:
        """Pub/sub channel on which one worker receives its grants."""
        return f"{self.prefix}gpu:wake:{worker}"

    @property
    def gpu_pool(self) -> tuple[str, ...]:
        """KEYS of the pool's scripts, in the order of ``worker/gpu/lua/_gpu.lua``.

        The last four are sorted sets: token → number of its arrival.
        """
        queues = (f"{kind}:{priority}" for kind in ("chat", "embed") for priority in ("interactive", "batch"))
        waiting = (f"{self.prefix}gpu:waiting:{queue}" for queue in queues)
        return (self.gpu_hosts, self.gpu_state, self.gpu_calls, self.gpu_holders, self.gpu_waiters, *waiting)

    def usage(self, day: str) -> str:
        """Hash of one day's (``yyyy-mm-dd``, UTC) model calls: ``<kind>:<what>:<model>`` → sum; kept 400 days.

        ``kind`` is ``chat``, ``embed`` or ``cloud``. ``what`` is one of ``calls``, ``failed`` (of these),
        ``prompt_tokens``, ``output_tokens``, ``wait_ms`` (for a slot) and ``gpu_ms`` (from the slot to the closed
        response), and for ``chat`` also ``saved`` (calls avoided by known explanations); sums of 0 are omitted.
        ``model`` comes last and may contain colons: split at the first two.
        """
        return f"{self.prefix}usage:{day}"

    cloud_share = _Key("cloud")
    """Hash: today's chat calls, and the number of them sent to the cloud."""

    def counted(self, call_id: str) -> str:
        """String: marks a model call as counted in its day's usage; kept for two minutes."""
        return f"{self.prefix}counted:{call_id}"
