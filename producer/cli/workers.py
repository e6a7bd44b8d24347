"""``sightline workers``: lists workers with their models, sandbox and browser."""

from __future__ import annotations

import time
from dataclasses import asdict

import click

from producer.cli.connect import with_client
from producer.cli.terminal import json_option, print_each
from producer.client.queue_info import WorkerInfo
from producer.contract import JsonObject
from producer.reports.plain_text import one_line


@click.command()
@json_option("One line of JSON each. Default in a pipe.")
def workers(*, as_json: bool) -> None:
    """List the workers seen in the last 30 s: host, release, slots, models, sandbox, browser, last heartbeat.

    \b
    sightline workers
    """
    queue = with_client(lambda client: client.queue())
    now_ms = int(time.time() * 1000)
    listed = [(worker, queue.is_draining(worker.name)) for worker in queue.workers]

    def line(one: tuple[WorkerInfo, bool]) -> str:
        return worker_line(one[0], draining=one[1], now_ms=now_ms)

    print_each(listed, as_json=as_json, document=_document, line=line, nothing="No worker. Start one: sightline worker")


def worker_line(worker: WorkerInfo, *, draining: bool, now_ms: int) -> str:
    """Return two lines about a worker: its jobs, then its release, models, sandbox and browser."""
    age_s = max(0, now_ms - worker.at_ms) // 1000
    load = f"{len(worker.jobs)}/{worker.max_jobs} slots"
    does = f"{one_line(worker.name)}  {one_line(worker.host)}:{worker.pid}  {load}  {age_s} s ago"
    has = {
        "release": worker.release or "older than this one",
        "models": ", ".join(worker.models),
        "model hosts": ", ".join(worker.hosts),
        "sandbox": worker.sandbox,
        "browser": worker.browser,
    }
    about = "; ".join(f"{name} {one_line(text, limit=120)}" for name, text in has.items() if text)
    return f"{does}{'  draining' if draining else ''}\n  {about}"


def _document(one: tuple[WorkerInfo, bool]) -> JsonObject:
    return {**asdict(one[0]), "draining": one[1]}
