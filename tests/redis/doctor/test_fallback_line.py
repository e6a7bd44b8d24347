"""The doctor's line about a cloud model, from a real endpoint."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from tests.support.openai_server import KEY, MODEL, CloudFault, OpenAIServer
from worker.doctor.fallback import fallback_lines
from worker.doctor.line import Level
from worker.settings import WorkerSettings


async def told(**settings: Any) -> tuple[Level, str]:
    given: dict[str, Any] = {"fallback_model": MODEL, "fallback_api_key": KEY, **settings}
    given["fallback_api_key"] = SecretStr(given["fallback_api_key"])
    [line] = await fallback_lines(WorkerSettings(**given))
    assert KEY not in f"{line.text} {line.todo}"
    return line.level, f"{line.text} → {line.todo}"


async def test_an_available_model_is_ok_and_its_share_is_shown():
    with OpenAIServer() as cloud:
        level, text = await told(fallback_base_url=cloud.url, fallback_share=0.25)

    assert level is Level.OK
    assert "up to 25% of a day's chat calls" in text


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"fallback_api_key": "sk-wrong"}, "refuses the key → correct FALLBACK_API_KEY"),
        ({"fallback_model": "bigger-model"}, "'bigger-model' is not among the 1 models of"),
        ({"fallback_share": 0.0}, "no call may go there → raise FALLBACK_SHARE"),
        ({"fallback_base_url": "http://127.0.0.1:9/v1"}, "does not answer (ConnectError) → check FALLBACK_BASE_URL"),
        ({"fallback_base_url": "http://xn--/v1"}, "does not answer (IDNAError) → check FALLBACK_BASE_URL"),
        ({"fallback_base_url": f"http://{'ä' * 70}/v1"}, "does not answer (InvalidURL) → check FALLBACK_BASE_URL"),
    ],
)
async def test_what_would_make_each_call_fail_is_a_warning(settings: dict[str, Any], said: str):
    with OpenAIServer() as cloud:
        level, text = await told(**{"fallback_base_url": cloud.url, **settings})

    assert level is Level.WARNING
    assert said in text


async def test_an_endpoint_that_lists_no_models_proves_nothing():
    with OpenAIServer() as cloud:
        cloud.faults.append(CloudFault("status", status=405, text=f"no such method; your key is {KEY}"))
        level, text = await told(fallback_base_url=cloud.url)

    assert level is Level.WARNING
    assert "does not list its models (HTTP 405)" in text


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "FALLBACK_BASE_URL is not set"),
        ({"fallback_base_url": "http://127.0.0.1:9", "fallback_api_key_file": "/nowhere"}, "are both set"),
    ],
)
async def test_what_keeps_workers_from_starting_is_an_error(settings: dict[str, Any], said: str):
    level, text = await told(**settings)

    assert level is Level.ERROR
    assert said in text


async def test_without_a_fallback_nothing_is_said():
    assert await fallback_lines(WorkerSettings()) == ()
