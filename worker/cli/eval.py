"""``sightline eval``: opens the models as a worker does, runs the labelled sets, prints the scores."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import click

from producer.cli.terminal import is_terminal
from producer.reports.jsonl import line_of
from producer.reports.plain_text import one_line
from worker.cli.connect import read_settings, with_redis

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from producer.contract import JsonObject
    from producer.keys import Keys
    from worker.agent.evaluation.scores import Scores
    from worker.settings import WorkerSettings

COLUMNS = (
    *("model", "prompts", "form", "at once", "grounded", "fixes", "who", "order", "answers"),
    *("tokens in / out", "seconds"),
)


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
    """
    scores = with_redis(read_settings(level="error"), score)
    if as_json:
        click.echo(line_of(document(scores)))
        return
    click.echo(table(scores))
    if misses:
        for line in scores.missed:
            click.echo(f"- {one_line(line, limit=600)}")


async def score(settings: WorkerSettings, redis: Redis, keys: Keys) -> Scores:
    """Return the scores; the models share the GPU with the workers of ``keys``' environment.

    Raises ``RedisUnreachable`` and ``ModelError``.
    """
    from worker.agent.evaluation.fixture_history import fill, throwaway
    from worker.agent.evaluation.labels import load_findings, load_questions
    from worker.agent.evaluation.run import run_findings, run_questions
    from worker.memory.vectors.embeddings import Embeddings
    from worker.models.routing import open_models
    from worker.resources import query_graph

    findings, questions = load_findings(), load_questions()
    async with open_models(settings, redis, keys) as models:
        assessed = await run_findings(models.chat, findings, tell=_tell)
        async with throwaway(redis) as own_keys:
            vectors = Embeddings(redis, own_keys, models.embedder, models.open_embedder)
            history = await fill(vectors, questions)
            apart = replace(settings, environment=own_keys.environment)
            graph = await query_graph(apart, models.chat, vectors, history)
            return assessed + await run_questions(graph, questions, tell=_tell)


def document(scores: Scores) -> JsonObject:
    """Return the scores as JSON."""
    return {"v": 1, **asdict(scores), "usage": scores.usage.model_dump()}


def table(scores: Scores) -> str:
    """Return the scores as a row of the table in ``ops/eval.md``, with its head."""
    cells = (
        " + ".join(scores.models) or "none",
        " ".join(scores.prompts),
        *(scores.form, scores.at_once, scores.grounded, scores.fixes, scores.who, scores.order, scores.answers),
        f"{scores.usage.prompt_tokens:,} / {scores.usage.output_tokens:,}",
        f"{scores.seconds:.1f}",
    )
    lines = (COLUMNS, ["---"] * len(COLUMNS), [one_line(str(cell)).replace("|", "\\|") for cell in cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _tell(step: str) -> None:
    if is_terminal():
        click.echo(f"\r{step:<30}\r", nl=False, err=True)
        sys.stderr.flush()
