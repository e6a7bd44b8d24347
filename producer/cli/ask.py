"""``sightline ask``: its options. What it does is in ``ask_command.py``, imported when it is to be done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click


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


@click.command(short_help="Ask about what scans have found.")
@click.argument("question")
@click.option("--thread", default="", metavar="T", help="Conversation to go on with, or to begin under this name.")
@click.option("--site", default="", metavar="HOST", help="Ask about this host alone.")
@click.option("--no-cache", is_flag=True, help="Take no answer that was given before.")
@click.option("--wait", is_flag=True, help="Wait for the answer. The next option implies it.")
@click.option("--timeout", "timeout_s", type=click.FloatRange(0, min_open=True), metavar="S", help="Seconds to wait.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON. Default in a pipe.")
@click.pass_context
def ask(context: click.Context, question: str, **options: Any) -> None:
    """Ask about what scans have found; the answer names the scans it rests on.

    \b
    sightline ask "Which page has the worst barriers?" --wait
    sightline ask "What is wrong with that page?" --thread audit --wait
    sightline ask "What changed since Monday?" --site shop.example --wait --json | jq -r .answer

    Without --wait the question is queued, and its job printed. Questions of one thread are answered in their order.

    Exits 0 with an answer, 2 if there is none, 3 if the service is unreachable or the time ran out, 64 for a wrong
    call.
    """  # noqa: D301  \b is click's mark for lines to keep
    from producer.cli.ask_command import run  # noqa: PLC0415  --help needs none of it

    context.exit(run(question, AskOptions(**options)))
