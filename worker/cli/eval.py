"""``sightline eval``: opens the models as a worker does, runs the labelled sets, prints the scores."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING

import click

from producer.cli.terminal import is_terminal
from producer.errors import DependencyMissing
from producer.reports.jsonl import line_of
from producer.reports.plain_text import one_line
from worker.cli.connect import read_settings, with_redis

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from producer.contract import JsonObject
    from producer.keys import Keys
    from worker.agent.evaluation.names import NameScores
    from worker.agent.evaluation.scores import Scores
    from worker.settings import WorkerSettings

COLUMNS = (
    *("model", "prompts", "form", "at once", "grounded", "fixes", "who", "order", "answers"),
    *("tokens in / out", "seconds"),
)
NO_BROWSER = "Names were not tested: no browser was found (sightline doctor says what to do)."


@click.command("eval")
@click.option("--misses", is_flag=True, help="List the wrong answers and what was expected.")
@click.option("--names", "only_names", is_flag=True, help="Test names only.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def evaluate(*, misses: bool, only_names: bool, as_json: bool) -> None:
    """Test the models on 40 findings and 20 questions with known answers, and print a row of scores.

    Then test names of links, pictures, headings, fields and pages: what the lint finds alone, and with the model. A
    model with vision also gets the pictures.

    CHAT_MODEL and EMBEDDING_MODEL select the models. Calls wait for model slots with the priority of questions and
    count towards usage. The questions use a history created in a separate environment and deleted at the end: your data
    is neither read nor changed. ops/eval.md explains the columns.

    \b
    sightline eval
    CHAT_MODEL=qwen3.5:9b sightline eval --misses
    """
    scores, names = with_redis(read_settings(level="error"), partial(score_all, only_names=only_names))
    if as_json:
        click.echo(line_of({**(document(scores) if scores else {"v": 1}), "names": names and asdict(names)}))
        return
    tables = [table(scores)] if scores else []
    tables.append(names_table(names) if names else NO_BROWSER)
    click.echo("\n\n".join(tables))
    if misses:
        for line in (*(scores.missed if scores else ()), *(names.missed if names else ())):
            click.echo(f"- {one_line(line, limit=600)}")


async def score_all(
    settings: WorkerSettings, redis: Redis, keys: Keys, *, only_names: bool
) -> tuple[Scores | None, NameScores | None]:
    """Return the scores of both sets; None for the names without a browser."""
    scores = None if only_names else await score(settings, redis, keys)
    return scores, await score_names(settings, redis, keys)


async def score_names(settings: WorkerSettings, redis: Redis, keys: Keys) -> NameScores | None:
    """Return what the lint and the model find in the labelled names; None without a browser."""
    from worker.agent.evaluation.names import NAMES_A_CALL, load_names, run_names
    from worker.agent.evaluation.pictures import load_pictures
    from worker.models.builtin.models import NAME
    from worker.models.routing import open_models
    from worker.resources import scan_settings
    from worker.scan.engine import ScanEngine

    limits = replace(scan_settings(settings), max_names=NAMES_A_CALL, max_pictures=1)
    try:
        async with ScanEngine(limits) as engine, open_models(settings, redis, keys) as models:
            chat = None if models.chat.name == NAME else models.chat
            cases = (*load_names().cases, *load_pictures())
            return await run_names(engine, chat, cases, tell=_tell)
    except DependencyMissing:
        return None


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
    """Return the scores as a row of the table in ``ops/eval.md``, with its header."""
    cells = (
        " + ".join(scores.models) or "none",
        " ".join(scores.prompts),
        *(scores.form, scores.at_once, scores.grounded, scores.fixes, scores.who, scores.order, scores.answers),
        f"{scores.usage.prompt_tokens:,} / {scores.usage.output_tokens:,}",
        f"{scores.seconds:.1f}",
    )
    lines = (COLUMNS, ["---"] * len(COLUMNS), [one_line(str(cell)).replace("|", "\\|") for cell in cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def names_table(scores: NameScores) -> str:
    """Return the results for names, a row per kind, and their cost."""
    head = ("names", "bad", "good", "lint: recall", "lint: precision")
    with_model = (f"with {scores.model}: recall", "precision") if scores.model else ()
    lines = [[*head, *with_model], ["---"] * len((*head, *with_model))]
    for kind, bad, good, lint, both in scores.rows:
        cells = [kind, bad, good, lint.recall, lint.precision]
        lines.append([str(cell) for cell in (*cells, *((both.recall, both.precision) if scores.model else ()))])
    rows = "\n".join(f"| {' | '.join(one_line(cell).replace('|', ' ') for cell in line)} |" for line in lines)
    tokens = f"{scores.usage.prompt_tokens:,} / {scores.usage.output_tokens:,} tokens"
    model = f"; the model {scores.model_s:.1f} s, {scores.usage.calls} calls, {tokens}" if scores.model else ""
    return f"{rows}\n\nThe lint took {scores.lint_s:.1f} s, pages and browser included{model}."


def _tell(step: str) -> None:
    if is_terminal():
        click.echo(f"\r{step:<30}\r", nl=False, err=True)
        sys.stderr.flush()
