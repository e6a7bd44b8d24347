"""``sightline eval`` on a real Redis: the rows of the built-in model and of a stub, with nothing left behind."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import cast

import pytest
from redis.asyncio import Redis

from producer.errors import ModelTimeout
from producer.keys import Keys
from tests.support.command_line import Call
from tests.support.ollama_server import Fault, OllamaServer
from worker.agent.evaluation.fixture_history import DAY_S, delete_environment, fill, throwaway
from worker.agent.evaluation.labels import load_questions
from worker.agent.evaluation.scores import Share
from worker.cli.eval import NO_BROWSER, score, table
from worker.memory.vectors.embeddings import Embeddings
from worker.models.builtin.models import BuiltinEmbedder
from worker.settings import WorkerSettings


async def left_of_evaluations(redis: Redis) -> list[str]:
    indexes: list[bytes] = await cast("Awaitable[list[bytes]]", redis.execute_command("FT._LIST"))
    keys = [key async for key in redis.scan_iter(match="*eval-[0-9]*", count=1000)]
    return [name.decode() for name in (*keys, *indexes) if b"eval-" in name]


async def test_the_builtin_models_get_a_row_of_the_table_and_nothing_is_left(redis: Redis, call: Call):
    done = call("eval", "--misses", BROWSER_PATH="/nowhere/chromium")

    assert done.returncode == 0, done.stderr
    head, _, row, _, names, *missed = done.stdout.splitlines()
    cells = dict(zip(map(str.strip, head.split("|")), map(str.strip, row.split("|")), strict=True))
    assert names == NO_BROWSER
    assert cells["model"] == "builtin"
    assert cells["form"] == cells["at once"] == "100 % (8/8)"
    assert cells["order"] == "100 % (8/8)"
    answered = int(cells["answers"].partition("(")[2].partition("/")[0])
    assert answered >= 13
    assert len(missed) >= 20 - answered
    assert await left_of_evaluations(redis) == []


async def test_a_model_on_ollama_gets_one_and_its_calls_wait_for_and_count_as_ours(
    redis: Redis, redis_url: str, keys: Keys
):
    async with OllamaServer() as ollama:
        ollama.faults.append(Fault("length"))
        ollama.answers.extend(["cut off", "I would begin with the labels."])
        settings = WorkerSettings(
            redis_url=redis_url, environment=keys.environment, embedding_model="builtin", ollama_base_url=ollama.url
        )
        scores = await score(settings, redis, keys)

    assert (scores.form, scores.at_once) == (Share(8, 8), Share(7, 8))  # the cut one was asked for in parts
    assert (scores.fixes.of, scores.answers) == (40, Share(0, 20))
    assert scores.models == ("qwen3.5:4b",)
    assert scores.usage.prompt_tokens > 1_000
    assert "| qwen3.5:4b |" in table(scores)
    names = [name async for name in redis.scan_iter(match=f"{keys.prefix}usage:*")]
    counted = await cast("Awaitable[dict[bytes, bytes]]", redis.hgetall(names[0]))
    assert int(counted[b"chat:calls:qwen3.5:4b"]) == len(ollama.calls())
    assert await left_of_evaluations(redis) == []


async def test_an_evaluation_that_fails_deletes_what_it_wrote_and_nothing_else(redis: Redis, keys: Keys):
    await redis.set(keys.job("evidence"), "x", ex=600)

    async def fail_in_it() -> None:
        async with throwaway(redis) as ground:
            await fill(Embeddings(redis, ground, BuiltinEmbedder()), load_questions())
            assert len(await left_of_evaluations(redis)) > 10
            raise ModelTimeout

    with pytest.raises(ModelTimeout):
        await fail_in_it()

    assert await left_of_evaluations(redis) == []
    assert await redis.get(keys.job("evidence")) == b"x"


async def test_what_a_killed_run_left_is_deleted_by_a_run_of_the_next_day_alone(redis: Redis):
    now = int((await redis.time())[0])
    old, new = (Keys(f"eval-{at}-0123abcd") for at in (now - DAY_S - 1, now - 60))
    for left in (old, new):
        await redis.set(left.job("q"), "x", ex=600)

    async with throwaway(redis):
        pass

    assert await redis.exists(old.job("q"), new.job("q")) == 1
    assert await redis.get(new.job("q")) == b"x"
    await delete_environment(redis, new)


@pytest.mark.parametrize("name", ["dev", "eval", "eval-1-2", "prod-eu"])
async def test_no_other_environment_can_be_deleted(redis: Redis, name: str):
    with pytest.raises(ValueError, match="not deleted"):
        await delete_environment(redis, Keys(name))
