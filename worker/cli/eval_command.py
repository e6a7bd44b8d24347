"""What ``sightline eval`` does: opens the models as a worker does, runs the labelled sets, prints the scores."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import asdict, replace

import click

from producer.cli.terminal import is_terminal
from producer.contract import JsonObject
from producer.keys import Keys
from producer.redis.connection import open_redis, redis_errors
from producer.reports.jsonl import line_of
from producer.reports.plain_text import one_line
from worker.agent.evaluation.fixture_history import fill, throwaway
from worker.agent.evaluation.labels import load_findings, load_questions
from worker.agent.evaluation.run import run_findings, run_questions
from worker.agent.evaluation.scores import Scores
from worker.memory.vectors.embeddings import Embeddings
from worker.models.routing import open_models
from worker.resources import query_graph
from worker.settings import WorkerSettings
from worker.telemetry import configure_logging

COLUMNS = (
    "model",
    "prompts",
    "form",
    "at once",
    "grounded",
    "fixes",
    "who",
    "order",
    "answers",
    "tokens in / out",
    "seconds",
)


def run(*, misses: bool, as_json: bool) -> None:
    """Print the scores of the configured models. Raises ``SettingsError``, ``RedisUnreachable`` and ``ModelError``."""
    settings = WorkerSettings.from_env(os.environ)
    configure_logging(level="error", form="console")
    scores = asyncio.run(score(settings))
    if as_json:
        click.echo(line_of(document(scores)))
        return
    click.echo(table(scores))
    if misses:
        for line in scores.missed:
            click.echo(f"- {one_line(line, limit=600)}")


async def score(settings: WorkerSettings) -> Scores:
    """Return the scores; the models share the GPU with the workers of the settings' environment."""
    findings, questions = load_findings(), load_questions()
    with redis_errors(settings):
        async with open_redis(settings) as redis, open_models(settings, redis, Keys(settings.environment)) as models:
            assessed = await run_findings(models.chat, findings, tell=_tell)
            async with throwaway(redis) as keys:
                vectors = Embeddings(redis, keys, models.embedder, models.open_embedder)
                history = await fill(vectors, questions)
                apart = replace(settings, environment=keys.environment)
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
