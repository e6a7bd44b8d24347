"""Jobs, batches, lanes, workers and the GPU pool as lines for a person. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from producer.client.controls_view import WORKER
from producer.reports.plain_text import counted, one_line

if TYPE_CHECKING:
    from producer.client.controls_view import Control
    from producer.client.gpu_view import GpuHolder, GpuView, GpuWaiter
    from producer.client.queue_info import BatchInfo, JobInfo, QueueInfo
    from producer.contract.page_counts import PageCounts

MAX_WAITERS_SHOWN: Final = 20
"""Maximum number listed, about a screenful; the rest are counted."""
MAX_BATCHES_SHOWN: Final = 4


def job_lines(job: JobInfo, *, gpu: Iterable[str] = ()) -> Iterator[str]:
    """Yield the lines about one job; ``gpu`` has the state of its model calls."""
    yield f"job {job.job_id}: {job.state}"
    if job.position is not None:
        yield f"  position    {job.position} in lane {job.lane}"
    yield f"  kind        {one_line(job.kind)}"
    yield f"  lane        {one_line(job.lane)}"
    yield f"  attempt     {job.attempt}"
    if job.batch:
        yield f"  batch       {one_line(job.batch)}"
    if job.worker:
        yield f"  worker      {one_line(job.worker)}"
    for name, at_ms in (("queued", job.enqueued_ms), ("started", job.started_ms), ("ended", job.finished_ms)):
        if at_ms:
            yield f"  {name:<11} {clock(at_ms)}"
    if job.progress and not job.state.is_final:
        yield f"  progress    {one_line(job.progress, limit=200)}"
    yield from gpu
    if job.error:
        yield f"  last error  {one_line(job.error, limit=500)}"
    if job.state.is_final:
        yield f"Next: sightline result {job.job_id}"


def batch_lines(batch: BatchInfo) -> Iterator[str]:
    """Yield the lines about one batch."""
    if batch.finished_ms:
        state = f"finished {clock(batch.finished_ms)}"
    elif batch.sealed:
        state = "running"
    else:
        state = "open: its submitter may still add jobs"
    yield f"batch {batch.batch_id}: {state}"
    yield f"  {batch.done:,} of {counted(batch.total, 'job')} ended"
    yield f"  {batch.succeeded:,} succeeded, {batch.dead:,} dead, {batch.cancelled:,} cancelled"
    if batch.pages.total:
        yield f"  pages: {pages_text(batch.pages)}"
    if batch.missed:
        of_all = batch.pages.total + batch.dead
        yield f"  NOT SCANNED: {batch.missed:,} of {counted(of_all, 'page')} ({batch.missed / of_all:.0%})"
    if batch.finished_ms:
        yield f"Next: sightline result {batch.batch_id}"
    if not batch.sealed:
        yield f"If its submitter is gone: sightline batch close {batch.batch_id}"


def pages_text(pages: PageCounts) -> str:
    """Return the pages by outcome; ``scanned`` is always named, the others if there are any."""
    others = (
        f"{getattr(pages, name):,} {name}" for name in ("partial", "unreachable", "blocked") if getattr(pages, name)
    )
    return ", ".join((f"{pages.scanned:,} scanned", *others))


def queue_lines(queue: QueueInfo, *, now_ms: int) -> Iterator[str]:
    """Yield the lanes and the workers; ``now_ms`` is this machine's clock; heartbeats carry their worker's."""
    for name, lane in queue.lanes.items():
        yield f"{name:<12} {lane.queued:>7,} queued  {lane.running:>5,} running{_sharing(queue.turns.get(name, ()))}"
    yield f"{'scheduled':<12} {queue.scheduled:>7,}"
    yield f"{'dead':<12} {queue.dead:>7,}"
    for control in queue.controls:
        yield control_line(control)
    yield ""
    if not queue.workers:
        yield "No worker is alive. Start one: sightline worker"
        return
    yield f"{counted(len(queue.workers), 'worker')}:"
    for worker in queue.workers:
        age_s = max(0, now_ms - worker.at_ms) // 1000
        load = f"{len(worker.jobs)}/{worker.max_jobs} jobs"
        sandbox = f"  sandbox {one_line(worker.sandbox)}" if worker.sandbox else ""
        who = f"{one_line(worker.name)}  {one_line(worker.host)}:{worker.pid}"
        draining = "  draining" if queue.is_draining(worker.name) else ""
        yield f"  {who}  {load}  last heartbeat {age_s} s ago{sandbox}{draining}"
    newest = max(queue.workers, key=lambda worker: (bool(worker.notices), worker.at_ms))
    if newest.notices:
        yield f"notices: {one_line(newest.notices, limit=400)}"


def control_line(control: Control) -> str:
    """Return a line about a pause, drain or limit, with when and by whom it was set."""
    since = f" since {clock(control.at_ms)}" if control.at_ms else ""
    by = f" by {one_line(control.by, limit=60)}" if control.by else ""
    if control.limits is not None:
        return f"{'limited':<12} host {one_line(control.name)}: {control.limits}{since}{by}"
    word = "draining" if control.kind == WORKER else "paused"
    return f"{word:<12} {control.kind} {one_line(control.name)}{since}{by}"


def _sharing(batches: Sequence[str]) -> str:
    """Return the batches that take turns in the lane; nothing if there is only one."""
    if len(batches) < 2:  # noqa: PLR2004  two share
        return ""
    names = [one_line(batch, limit=40) if batch else "jobs without a batch" for batch in batches]
    more = f" and {len(names) - MAX_BATCHES_SHOWN} more" if len(names) > MAX_BATCHES_SHOWN else ""
    return f"  in turn: {', '.join(names[:MAX_BATCHES_SHOWN])}{more}"


def gpu_lines(view: GpuView) -> Iterator[str]:
    """Yield the hosts with holders of slots and waiters; nothing if no worker has opened the pool."""
    for host in view.hosts:
        slots = f"chat {host.chat_used} of {host.chat}, embed {host.embed_used} of {host.embed} slots in use"
        down = f"unhealthy for {_seconds(view.at_ms - host.since_ms)}: {one_line(host.reason, limit=200)}"
        yield f"gpu {one_line(host.name)}: {'up' if host.is_up else down}; {slots}"
        for model in host.loaded:
            on_card = f"{model.vram_bytes / 1e9:.1f} of {model.size_bytes / 1e9:.1f} GB on the card"
            yield f"  loaded   {one_line(model.name)}, {on_card}"
        for name in host.missing:
            yield f"  missing  {one_line(name)}: run there: ollama pull {one_line(name)}"
        for note in host.notes:
            yield f"  lacking  {one_line(note, limit=300)}"
    yield from call_lines(view)


def call_lines(view: GpuView) -> Iterator[str]:
    """Yield only the calls: holders of slots, and waiters with their expected wait."""
    for holder in view.holders:
        yield (
            f"  holds    {_caller(holder)}: {holder.kind} on {one_line(holder.host)} for {_seconds(holder.held_ms)}"
            f"{'' if holder.confirmed else ', just granted'}"
        )
    for waiter in view.waiters[:MAX_WAITERS_SHOWN]:
        expected = "unknown" if waiter.expected_ms is None else f"about {_seconds(waiter.expected_ms)}"
        yield (
            f"  waits    {_caller(waiter)}: {waiter.kind}, number {waiter.position} ({waiter.priority}), "
            f"for {_seconds(waiter.waited_ms)}; expected wait {expected}"
        )
    if len(view.waiters) > MAX_WAITERS_SHOWN:
        yield f"  waits    {len(view.waiters) - MAX_WAITERS_SHOWN} more"


def _caller(call: GpuHolder | GpuWaiter) -> str:
    worker = one_line(call.worker)
    return f"job {one_line(call.job)} on {worker}" if call.job else worker


def _seconds(ms: int) -> str:
    return f"{ms / 1000:.1f} s"


def clock(at_ms: int, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Return a Redis time as local date and time."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone().strftime(form)


def duration(ms: float) -> str:
    """Return a duration in words: ``850 ms``, ``12 s``, ``4 min``, ``3 h 20 min``."""
    seconds = ms / 1000
    if seconds < 1:
        return f"{ms:.0f} ms"
    if seconds < 100:  # noqa: PLR2004  so that 90 s stays in seconds
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:  # noqa: PLR2004  the same
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 6_000 else f"{minutes // 1440} days"  # noqa: PLR2004  100 h
