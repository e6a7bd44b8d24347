"""The user's view of a failed model call: the scan's findings, and the reason for the missing assessment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from producer.contract import ScanResult
from producer.keys import Keys
from tests.redis.agent.scanning import BARRIERS, graph, run
from tests.support.gpu import holders, view_of
from tests.support.ollama_models import Open, pool_of
from tests.support.ollama_protocol import CHAT
from tests.support.ollama_server import Fault, OllamaServer
from tests.support.scans import FixedEngine
from worker.memory.history.history import History
from worker.memory.vectors.embeddings import Embeddings
from worker.models.builtin.models import BuiltinEmbedder
from worker.models.routing import Models


async def scanned(models: Models, redis: Redis, keys: Keys) -> ScanResult:
    history = History(Embeddings(redis, keys, BuiltinEmbedder()))
    await history.ensure_index()
    result, _ = await run(keys, graph(FixedEngine([BARRIERS]), history, keys, chat=models.chat), "job-1")
    return result


def not_pulled(server: OllamaServer) -> None:
    del server.models[CHAT.name]


def fails(*faults: Fault) -> Callable[[OllamaServer], None]:
    return lambda server: server.faults.extend(faults * 3)


@pytest.mark.parametrize(
    ("prepare", "settings", "why"),
    [
        pytest.param(not_pulled, {}, "run there: ollama pull qwen3.5:4b", id="not_pulled"),
        pytest.param(
            fails(Fault("status", status=503, text="server busy")), {}, "overloaded (503): server busy", id="503"
        ),
        pytest.param(
            fails(Fault("stall")),
            {"chat_stall_s": 0.2},
            "did not answer within 300 s, or was silent for 0.2 s after that",
            id="stall",
        ),
        pytest.param(fails(Fault("drop")), {}, "dropped the connection before its answer was complete", id="drop"),
        pytest.param(fails(Fault("half_line")), {}, "before its answer was complete", id="half_line"),
        pytest.param(
            fails(Fault("silence")), {}, "stopped in the middle of its answer after 0 characters", id="silence"
        ),
        pytest.param(fails(Fault("no_done")), {}, "stopped in the middle of its answer after ", id="no_done"),
        pytest.param(
            fails(Fault("load", seconds=60)), {"chat_timeout_s": 0.3}, "did not answer within 0.3 s", id="load"
        ),
        pytest.param(fails(Fault("length")), {}, "raise CHAT_MAX_OUTPUT", id="length"),
        pytest.param(fails(Fault("cut_prompt", tokens=3)), {}, "the server cut it", id="cut_prompt"),
        pytest.param(fails(), {"chat_num_ctx": 1024, "chat_max_output": 1000}, "raise CHAT_NUM_CTX", id="over_context"),
    ],
)
async def test_a_scan_whose_model_fails_keeps_its_findings_and_says_why(
    open_with: Open,
    ollama: OllamaServer,
    redis: Redis,
    keys: Keys,
    prepare: Callable[[OllamaServer], None],
    settings: dict[str, Any],
    why: str,
):
    prepare(ollama)
    models = await open_with(ollama.url, embedding_model="builtin", **settings)

    result = await scanned(models, redis, keys)

    assert (result.status, result.findings) == ("scanned", BARRIERS.findings)
    assert result.assessment is None
    assert result.assessment_source.startswith("none: qwen3.5:4b: ")
    assert why in result.assessment_source
    view = await view_of(pool_of(models))
    assert (await holders(redis, keys), view.waiters) == ({}, ())


async def test_a_scan_without_any_ollama_keeps_its_findings_and_says_what_to_start(
    open_with: Open, redis: Redis, keys: Keys
):
    gone = OllamaServer()
    async with gone:
        pass
    models = await open_with(gone.url, embedding_model="builtin")

    result = await scanned(models, redis, keys)

    assert result.findings == BARRIERS.findings
    assert "no model host answers" in result.assessment_source
    assert "start Ollama there" in result.assessment_source
    assert await holders(redis, keys) == {}


@pytest.mark.parametrize(("fault", "calls"), [("length", 1), ("drop", 3)])
async def test_what_failed_calls_cost_is_in_the_scans_usage(
    open_with: Open, ollama: OllamaServer, redis: Redis, keys: Keys, fault: str, calls: int
):
    fails(Fault(fault))(ollama)
    models = await open_with(ollama.url, embedding_model="builtin")

    usage = (await scanned(models, redis, keys)).usage

    # And one call of the builtin embedder.
    assert usage.calls == calls + 1
    assert usage.output_tokens > 0  # of a stream that broke, the pieces that came
    (day,) = [key async for key in redis.scan_iter(keys.usage("*"))]
    sums = await cast("Any", redis).hgetall(day)
    assert int(sums.get(b"chat:output_tokens:qwen3.5:4b", 0)) == usage.output_tokens
