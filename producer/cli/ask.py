"""``sightline ask``: submits a question, waits for its answer, and prints it with its sources."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import click

from producer import contract
from producer.cli.connect import warning_without_worker, with_client
from producer.cli.terminal import Seconds, folded, json_option
from producer.contract import JobState
from producer.errors import JobCancelled, JobDead, WaitTimeout
from producer.reports.jsonl import line_of
from producer.reports.plain_text import one_line, printable

if TYPE_CHECKING:
    from producer.client.client import Client
    from producer.contract import JsonObject, QueryResult, Result

_HOST: Final = re.compile(r"(?:[^\s/:@?#]{1,255}|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")


@click.command()
@click.argument("question")
@click.option("--thread", default="", metavar="T", help="Conversation to continue, or to start under this name.")
@click.option("--site", default="", metavar="HOST", help="Ask only about this site, such as localhost:3000.")
@click.option("--no-cache", is_flag=True, help="Do not answer from the cache.")
@click.option("--wait", is_flag=True, help="Wait for the answer (implied by --timeout).")
@click.option("--timeout", "timeout_s", type=Seconds(), metavar="S", help="Seconds to wait.")
@json_option()
def ask(
    question: str, *, thread: str, site: str, no_cache: bool, wait: bool, timeout_s: float | None, as_json: bool
) -> None:
    """Ask about scan results. The answer names the scans it is based on.

    \b
    sightline ask "Which page has the worst barriers?" --wait
    sightline ask "What is wrong with that page?" --thread audit --wait
    sightline ask "What changed since Monday?" --site shop.example --wait --json | jq -r .answer

    Without --wait, the question is queued and its job printed. Questions in one thread are answered in order.

    Exits 0 with an answer, 2 without one, 3 if the service is unreachable or time ran out, 64 for a usage
    error.
    """
    if not question.strip():
        msg = 'the question is empty: write it in quotes, such as "Which page has the worst barriers?"'
        raise click.UsageError(msg)
    if site and not _HOST.fullmatch(site):
        raise click.UsageError(f"--site {site!r}: expected a site such as shop.example or localhost:3000")
    fields = {"question": question, "thread_id": thread, "site": site}
    payload: JsonObject = {**{name: value for name, value in fields.items() if value}, "use_cache": not no_cache}
    if wait or timeout_s is not None:
        _show(_answer(payload, timeout_s, as_json=as_json), as_json=as_json)
        return
    job_id = with_client(lambda client: client.submit("query", payload)).job_id
    click.echo(line_of({"job_id": job_id}) if as_json else f"Asked. Next: sightline result {job_id} --wait")


def _answer(payload: JsonObject, timeout_s: float | None, *, as_json: bool) -> Result:
    from producer.client.submission import prepare

    job = prepare("query", payload)  # its id is known even if Redis never confirms it
    job_id, is_asked = job.job_id, False
    doubt = f"the question may have been asked: see 'sightline status {job_id}'"

    async def act(client: Client) -> Result:
        nonlocal is_asked
        await client.submit_prepared(job)
        is_asked = True
        async with warning_without_worker(client):
            return await client.wait(job_id, timeout_s=timeout_s)

    try:
        return with_client(act, timeout_s=timeout_s, doubt=doubt)
    except KeyboardInterrupt:
        how = f"the question is still queued or running: sightline result {job_id} --wait" if is_asked else doubt
        raise click.Abort(f"stopped waiting; {how}") from None
    except WaitTimeout:
        if as_json:
            click.echo(line_of({"job_id": job_id, "state": "waiting"}))
        raise


def _show(result: Result, *, as_json: bool) -> None:
    if as_json:
        status = {"status": _status(result)} if isinstance(result, contract.QueryResult) else {}
        click.echo(line_of({**result.model_dump(mode="json"), **status}))
    raise_for_end(result, "question")
    if not isinstance(result, contract.QueryResult):
        raise JobDead(f"question {result.job_id!r} ended without an answer")
    if not as_json:
        click.echo(folded(plain_answer(result)))


def raise_for_end(result: Result, noun: str) -> None:
    """Raise ``JobDead`` or ``JobCancelled`` for a job that ended without a value; messages call it a ``noun``."""
    reason = one_line(result.error.message if result.error else "", limit=1000)
    if result.state == JobState.DEAD:
        raise JobDead(f"{noun} {result.job_id!r} is dead: {reason}; see 'sightline dead show {result.job_id}'")
    if result.state == JobState.CANCELLED:
        raise JobCancelled(f"{noun} {result.job_id!r} was cancelled: {reason}")


def _status(result: QueryResult) -> str:
    return "cached" if result.cached else "answered"


def plain_answer(result: QueryResult) -> str:
    """Return the answer as text: the answer, its sources, notes, and how to continue the conversation."""
    lines = [printable(result.answer), ""]
    if result.sources:
        lines += ["Sources:", *(f"  scan {one_line(source)}" for source in result.sources)]
    lines += [f"Note: {one_line(note)}" for note in result.notes]
    if result.model_reason:
        lines.append(f"Answered by {one_line(result.model)}: {one_line(result.model_reason)}")
    about = f"status: {_status(result)}   model: {one_line(result.model)}   prompt: {one_line(result.prompt)}"
    return "\n".join([*lines, about, f"Continue with: --thread {one_line(result.thread_id)}"])
