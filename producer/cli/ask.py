"""``sightline ask``: submits the question, waits for its answer, prints it with its sources."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from producer import contract
from producer.cli.terminal import folded, is_terminal
from producer.contract import JobState
from producer.errors import JobCancelled, JobDead, WaitTimeout
from producer.reports.jsonl import line_of
from producer.reports.plain_text import one_line, printable

if TYPE_CHECKING:
    from producer.client.client import Client
    from producer.contract import JsonObject, QueryResult, Result

EXIT_INTERRUPTED: Final = 130
_HOST: Final = re.compile(r"[^\s/:@?#]{1,255}|\[[0-9A-Fa-f:.]+\]")


@dataclass(frozen=True, slots=True)
class AskOptions:
    """The options as given; ``None`` and empty are not given."""

    thread: str
    site: str
    no_cache: bool
    wait: bool
    timeout_s: float | None
    as_json: bool

    @property
    def waits(self) -> bool:
        """Whether the answer is waited for: asked for, or bounded."""
        return self.wait or self.timeout_s is not None


@click.command()
@click.argument("question")
@click.option("--thread", default="", metavar="T", help="Conversation to continue, or to start under this name.")
@click.option("--site", default="", metavar="HOST", help="Ask about this host only.")
@click.option("--no-cache", is_flag=True, help="Do not answer from the cache.")
@click.option("--wait", is_flag=True, help="Wait for the answer (implied by --timeout).")
@click.option("--timeout", "timeout_s", type=click.FloatRange(0, min_open=True), metavar="S", help="Seconds to wait.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON. Default in a pipe.")
@click.pass_context
def ask(context: click.Context, question: str, **options: Any) -> None:
    """Ask about what scans have found; the answer names the scans it rests on.

    \b
    sightline ask "Which page has the worst barriers?" --wait
    sightline ask "What is wrong with that page?" --thread audit --wait
    sightline ask "What changed since Monday?" --site shop.example --wait --json | jq -r .answer

    Without --wait the question is queued and its job printed. Questions of one thread are answered in order.

    Exits 0 with an answer, 2 if there is none, 3 if the service is unreachable or the time ran out, 64 for a usage
    error.
    """  # noqa: D301  \b is click's mark for lines to keep
    context.exit(run(question, AskOptions(**options)))


def run(question: str, options: AskOptions) -> int:
    """Ask, print what came of it, and return the exit code.

    Raises ``WaitTimeout``, and ``JobDead`` or ``JobCancelled`` where there is no answer.
    """
    from producer.cli.connect import with_client  # noqa: PLC0415  redis and asyncio, which --help does not need
    from producer.cli.scan.unattended import told_if_unattended  # noqa: PLC0415  the same

    payload = _payload(question, options)
    as_line = options.as_json or not is_terminal()
    job_id = ""

    async def act(client: Client) -> Result | None:
        nonlocal job_id
        job_id = (await client.submit("query", payload)).job_id
        if not options.waits:
            return None
        async with told_if_unattended(client):
            return await client.wait(job_id, timeout_s=options.timeout_s)

    try:
        result = with_client(act)
    except KeyboardInterrupt:
        how = f"the question goes on: sightline result {job_id} --wait" if job_id else "nothing was asked"
        click.echo(f"sightline: stopped waiting; {how}", err=True)
        return EXIT_INTERRUPTED
    except WaitTimeout:
        if as_line:
            click.echo(line_of({"job_id": job_id, "state": "waiting"}))
        raise
    if result is None:
        click.echo(line_of({"job_id": job_id}) if as_line else f"Asked. Next: sightline result {job_id} --wait")
        return 0
    _show(result, as_line=as_line)
    return 0


def _payload(question: str, options: AskOptions) -> JsonObject:
    """Return the request's fields; raises ``UsageError`` for an empty question, and a site that is no host."""
    if not question.strip():
        msg = 'the question is empty: write it in quotes, such as "Which page has the worst barriers?"'
        raise click.UsageError(msg)
    if options.site and not _HOST.fullmatch(options.site):
        msg = f"--site {options.site!r}: expected a host such as shop.example"
        raise click.UsageError(msg)
    fields = {"question": question, "thread_id": options.thread, "site": options.site}
    return {**{name: value for name, value in fields.items() if value}, "use_cache": not options.no_cache}


def _show(result: Result, *, as_line: bool) -> None:
    """Print the answer; raises ``JobDead`` or ``JobCancelled`` where there is none."""
    if as_line:
        status = {"status": status_of(result)} if isinstance(result, contract.QueryResult) else {}
        click.echo(line_of({**result.model_dump(mode="json"), **status}))
    if not isinstance(result, contract.QueryResult):
        reason = one_line(result.error.message if result.error else "it ended without an answer", limit=1000)
        if result.state == JobState.CANCELLED:
            raise JobCancelled(f"question {result.job_id!r} was cancelled: {reason}")
        raise JobDead(f"question {result.job_id!r} has no answer: {reason}; see 'sightline dead show {result.job_id}'")
    if not as_line:
        click.echo(folded(plain_answer(result)))


def status_of(result: QueryResult) -> str:
    """Return ``cached`` for an answer that was given before, ``answered`` for a new one."""
    return "cached" if result.cached else "answered"


def plain_answer(result: QueryResult) -> str:
    """Return the answer as a person reads it: text, sources, notes, and how to go on."""
    lines = [printable(result.answer), ""]
    if result.sources:
        lines += ["Sources:", *(f"  scan {one_line(source)}" for source in result.sources)]
    lines += [f"Note: {one_line(note)}" for note in result.notes]
    if result.model_reason:
        lines.append(f"Answered by {one_line(result.model)}: {one_line(result.model_reason)}")
    about = f"status: {status_of(result)}   model: {one_line(result.model)}   prompt: {one_line(result.prompt)}"
    return "\n".join([*lines, about, f"Go on with: --thread {one_line(result.thread_id)}"])
