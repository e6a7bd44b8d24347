"""Jobs, batches, lanes and workers as lines for a person. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from producer.client.records import BatchInfo, JobInfo, QueueInfo
from producer.reports.plain_text import counted, one_line


def job_lines(job: JobInfo, *, gpu: Iterable[str] = ()) -> Iterator[str]:
    """Yield what is known of one job; ``gpu`` says how its model calls stand."""
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
    """Yield what is known of one batch."""
    if batch.finished_ms:
        state = f"finished {clock(batch.finished_ms)}"
    elif batch.sealed:
        state = "running"
    else:
        state = "open: its submitter has not said that all jobs are in"
    yield f"batch {batch.batch_id}: {state}"
    yield f"  {batch.done:,} of {counted(batch.total, 'job')} ended"
    yield f"  {batch.succeeded:,} succeeded, {batch.dead:,} dead, {batch.cancelled:,} cancelled"
    if batch.finished_ms:
        yield f"Next: sightline result {batch.batch_id}"
    if not batch.sealed:
        yield f"If its submitter is gone: sightline batch close {batch.batch_id}"


def queue_lines(queue: QueueInfo, *, now_ms: int) -> Iterator[str]:
    """Yield the lanes and the workers; ``now_ms`` is this machine's time, as a heartbeat's is its worker's."""
    for name, lane in queue.lanes.items():
        yield f"{name:<12} {lane.queued:>7,} queued  {lane.running:>5,} running"
    yield f"{'scheduled':<12} {queue.scheduled:>7,}"
    yield f"{'dead':<12} {queue.dead:>7,}"
    yield ""
    if not queue.workers:
        yield "No worker lives. Start one: sightline worker"
        return
    yield f"{counted(len(queue.workers), 'worker')}:"
    for worker in queue.workers:
        age_s = max(0, now_ms - worker.at_ms) // 1000
        load = f"{len(worker.jobs)}/{worker.max_jobs} jobs"
        yield f"  {one_line(worker.name)}  {one_line(worker.host)}:{worker.pid}  {load}  heard of {age_s} s ago"


def clock(at_ms: int) -> str:
    """Return a Redis time as local date and time."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
