"""``sightline eval``: its options. What it does is in ``eval_command.py``."""

from __future__ import annotations

import click


@click.command("eval")
@click.option("--misses", is_flag=True, help="List what was answered wrong, and what was expected.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def evaluate(*, misses: bool, as_json: bool) -> None:
    """Put 40 findings and 20 questions with known answers to the models in use, and print a row of scores.

    CHAT_MODEL and EMBEDDING_MODEL say which; calls wait for the GPU as those of questions do, and are counted. The
    questions are about a history made for them, in an environment of its own that is deleted at the end: nothing of
    yours is read or changed. What the columns mean, and a table to fill in, is in ops/eval.md.

    \b
    sightline eval
    CHAT_MODEL=qwen3.5:9b sightline eval --misses
    """  # noqa: D301  \b is click's mark for lines to keep
    from worker.cli import eval_command  # noqa: PLC0415  --help needs none of it

    eval_command.run(misses=misses, as_json=as_json)
