"""The live board as lines of text that fit the screen. Pure: a ``Board``, a width and a height in, ``Text`` out.

The order follows the questions people ask: is work waiting, is it being done, does it finish. Sections shrink before
they disappear: on a narrow screen, details shown elsewhere are left out; on a short one, items are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, get_args

from rich.text import Text

from producer.cli import top_lists
from producer.cli.status_text import clock, control_line, duration
from producer.cli.top_lists import NARROW, ROOMY, Row, row
from producer.client.gpu_view import GpuHost
from producer.client.queue_info import BatchInfo, WorkerInfo
from producer.contract import public_url
from producer.reports.plain_text import counted, middle_cut, one_line
from producer.views.board import Board, RunningJob

BAR: Final = 20
_QUIET_S: Final = 21
"""Workers send a heartbeat every 10 s; after this time, two are missing."""
STEPS: Final = (2, 4)
"""Lines that each list gets before any gets more; a heading alone would be useless."""
Sort = Literal["worker", "longest", "batch"]
SORTS: Final[tuple[Sort, ...]] = get_args(Sort)
OUTCOMES: Final = (
    ("unreachable", "red"),
    ("blocked", "red"),
    ("retried", "yellow"),
    ("dead", "red"),
    ("cancelled", "default"),
)
"""Outcomes shown beside the rate, if any."""

_TIME: Final = "%H:%M:%S"

Section = list[Text]


def board_lines(
    board: Board, *, width: int, height: int | None = None, sort: Sort = SORTS[0], chosen: str = ""
) -> list[Text]:
    """Return the board in at most ``width`` columns, and ``height`` lines where there is a limit.

    ``chosen`` is the ``row_id`` of the line that is marked.
    """
    fixed = [_lanes(board, width), _rates(board, width), _batches(board, width), _gpu(board, width)]
    lists = [
        _workers(board, width, sort),
        top_lists.failing(board.failing, board.at_ms, width),
        top_lists.troubles(board.troubles, board.at_ms, width),
        top_lists.ended(board.ended, board.at_ms, width),
        top_lists.activity(board.events, board.at_ms),
    ]
    if height is not None:
        lists = shortened(lists, height - sum(len(section) + 1 for section in fixed if section))
    sections = [*fixed[:3], lists[0], fixed[3], *lists[1:]]
    lines: list[Text] = []
    for section in filter(None, sections):
        lines += [Text(), *section] if lines else section
    for line in lines:
        line.truncate(width, overflow="ellipsis")
        if chosen and isinstance(line, Row) and line.row_id == chosen:
            line.stylize("reverse")
    return lines


def shortened(lists: Sequence[Section], room: int) -> list[Section]:
    """Return the lists cut to ``room`` lines in total, including the blank lines between them. Pure.

    In order, and while there is room, each gets a heading and a line, then three lines; the remaining lines go to the
    first list that needs them. A cut list ends with the number of missing lines.
    """
    sizes = [0] * len(lists)
    for most in (*STEPS, max(map(len, lists), default=0)):
        for place, section in enumerate(lists):
            free = room - sum(size + 1 for size in sizes if size) - (not sizes[place])
            size = min(len(section), most, sizes[place] + free)
            if size > sizes[place] and size >= min(len(section), STEPS[0]):
                sizes[place] = size
    return [_cut(section, size) for section, size in zip(lists, sizes, strict=True)]


def _cut(section: Section, room: int) -> Section:
    """Return the section in ``room`` lines: headings and workers first, then as many of their rows as fit."""
    if len(section) <= room:
        return section
    by_rank = sorted(range(len(section)), key=lambda place: isinstance(section[place], Row))
    kept = [section[place] for place in sorted(by_rank[: max(0, room - 1)])]
    return [*kept, Text(f"  … {len(section) - len(kept)} more lines", style="dim")] if room else []


# ---------------------------------------------------------------------------------------------- queue


def _lanes(board: Board, width: int) -> Section:
    heading = Text("Sightline", style="bold").append(f"  {board.environment}", style="not bold")
    when = clock(board.at_ms, _TIME)
    heading.append(" " * max(2, width - heading.cell_len - len(when))).append(when, style="not bold dim")
    lines = [heading, Text()]
    for name, lane in board.queue.lanes.items():
        line = Text(f"{name:<11}")
        line.append(f"{lane.queued:>8,}", style="bold" if lane.queued else "dim").append(" queued", style="dim")
        line.append(f"{lane.running:>6,}", style="bold green" if lane.running else "dim").append(
            " running", style="dim"
        )
        lines.append(line)
    last = Text("scheduled  ").append(f"{board.queue.scheduled:>8,}", style="" if board.queue.scheduled else "dim")
    last.append(f"{board.queue.dead:>13,}", style="bold red" if board.queue.dead else "dim")
    lines.append(last.append(" dead", style="dim"))
    return [*lines, *(Text(control_line(control), style="bold yellow") for control in board.queue.controls)]


def _rates(board: Board, width: int) -> Section:
    recent = board.recent
    rate = recent.per_minute("succeeded")
    line = (
        Text("Rate       ").append(f"{rate:>8,.0f}", style="bold" if rate else "dim").append(" a minute", style="dim")
    )
    for outcome, style in OUTCOMES:
        if number := recent.counts.get(outcome, 0):
            line.append(f"  {number:,} {outcome}", style=style)
    lines = [line]
    for use in board.models:
        tokens = f"{use.prompt_tokens:,} in, {use.output_tokens:,} out"
        who = one_line(use.model, limit=max(10, width - 52)) if width >= NARROW else ""
        line = Text(f"{'Tokens' if use.kind == 'chat' else 'Embedding':<11}").append(f"{tokens} ")
        line.append(f"today, {counted(use.calls, 'call')}" if width >= NARROW else "today", style="dim")
        if who:
            line.append(f", {who}", style="dim")
        if use.failed:
            line.append(f", {use.failed:,} failed", style="red")
        lines.append(line)
    return lines


def _batches(board: Board, width: int) -> Section:
    """Return a bar per batch with the least time left, at the current rate of all jobs."""
    rate = board.recent.per_minute("succeeded")
    longest = max((len(batch.batch_id) for batch in board.batches), default=0)
    return [_batch(batch, rate, longest, width) for batch in board.batches]


def _batch(batch: BatchInfo, rate: float, longest: int, width: int) -> Text:
    share = batch.done / batch.total if batch.total else 0.0
    size = BAR if width >= NARROW else 0
    counts = f" {batch.done:,}/{batch.total:,}" + ("" if batch.sealed else "+")
    left_min = (batch.total - batch.done) / rate if rate else None
    tail = f", {duration(left_min * 60_000)} left" if left_min is not None and batch.sealed else ""
    failed = f", {batch.dead:,} dead" if batch.dead else ""
    failed += f", {batch.pages.missed:,} not scanned" if batch.pages.missed else ""
    name_width = max(8, min(longest, width - size - len(counts) - len(tail) - len(failed) - 2))
    line = row(f"batch:{batch.batch_id}").append(f"{middle_cut(one_line(batch.batch_id), name_width):<{name_width}} ")
    filled = round(share * size)
    line.append("━" * filled, style="green").append("━" * (size - filled), style="dim")
    return line.append(counts, style="bold").append(tail, style="dim").append(failed, style="red")


# ---------------------------------------------------------------------------------------------- workers


def _workers(board: Board, width: int, sort: Sort) -> Section:
    workers = board.queue.workers
    if not workers:
        waits = any(lane.queued for lane in board.queue.lanes.values())
        style = "bold red" if waits else "bold yellow"
        lines: Section = [Text("No worker. Start one: sightline worker", style=style)]
    elif sort == "worker":
        lines = [Text(counted(len(workers), "worker"), style="bold")]
        for worker in workers:
            jobs = [job for job in board.jobs if job.worker == worker.name]
            lines += [_worker(board, worker, len(jobs), width), *(_job(job, width) for job in jobs)]
    else:
        heading = f"{counted(len(workers), 'worker')}, {counted(len(board.jobs), 'job')} by {sort}"
        jobs = sorted(board.jobs, key=lambda job: ("" if sort == "longest" else job.batch, -job.running_ms))
        return [Text(heading, style="bold"), *(_job(job, width) for job in jobs)]
    known = {worker.name for worker in workers}
    left = [job for job in board.jobs if job.worker not in known]
    if left:
        lines.append(Text("of workers that have gone silent: others take over when the lease ends", style="yellow"))
    return [*lines, *(_job(job, width) for job in left)]


def _worker(board: Board, worker: WorkerInfo, running: int, width: int) -> Text:
    load = f"{running}/{worker.max_jobs}"
    sums = f"{worker.complete:,} done" + (f", {worker.failed:,} failed" if worker.failed else "")
    silent_s = max(0, board.at_ms - worker.at_ms) // 1000
    where = f"{one_line(worker.host)}:{worker.pid}" if width >= ROOMY else ""
    name = middle_cut(one_line(worker.name), max(12, min(40, width - len(load) - len(sums) - len(where) - 6)))
    line = Text(f"{name}  ").append(load, style="green" if running else "dim").append(f"  {sums}", style="dim")
    if where:
        line.append(f"  {where}", style="dim")
    if board.queue.is_draining(worker.name):
        line.append("  draining", style="bold yellow")
    if silent_s > _QUIET_S:
        line.append(f"  silent for {silent_s} s", style="bold yellow")
    return line


def _job(job: RunningJob, width: int) -> Text:
    step = one_line(job.step, limit=20)
    attempt = f" attempt {job.attempt}" if job.attempt > 1 else ""
    tail = f"  {step}{attempt}  {duration(job.running_ms)}" if width >= NARROW else f" {duration(job.running_ms)}"
    about = public_url(job.about) if job.kind == "scan" else job.about
    about = about.partition("://")[2] or about if width < ROOMY else about
    room = width - 2 - len(job.kind) - 1 - len(tail)
    line = row(f"job:{job.job_id}").append("  ").append(one_line(job.kind), style="cyan")
    return line.append(f" {middle_cut(one_line(about or job.job_id), max(8, room))}").append(tail, style="dim")


# ---------------------------------------------------------------------------------------------- GPU


def _gpu(board: Board, width: int) -> Section:
    if not board.gpu.hosts:
        return []
    lines = [_host(host, width) for host in board.gpu.hosts]
    waiting = board.gpu.waiters
    if waiting:
        longest = max(waiter.waited_ms for waiter in waiting)
        known = [waiter.expected_ms for waiter in waiting if waiter.expected_ms is not None]
        line = Text("  ").append(f"{counted(len(waiting), 'call')} waiting", style="yellow")
        line.append(f", the longest for {duration(longest)}", style="dim")
        lines.append(line.append(f", the last for {duration(max(known))} more", style="dim") if known else line)
    return [Text("GPU slots", style="bold"), *lines]


def _host(host: GpuHost, width: int) -> Text:
    used = f"chat {host.chat_used}/{host.chat}, embed {host.embed_used}/{host.embed}"
    line = Text(middle_cut(one_line(host.name), max(12, width - len(used) - 20))).append("  ")
    if not host.is_up:
        return line.append(f"unhealthy: {one_line(host.reason, limit=200)}", style="red")
    line.append(used, style="green" if host.chat_used or host.embed_used else "dim")
    if host.loaded and width >= NARROW:
        models = ", ".join(one_line(model.name) for model in host.loaded)
        line.append(f"  {models}, {host.vram_bytes / 1e9:.1f} GB", style="dim")
    return line
