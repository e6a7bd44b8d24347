"""The pool as shown to people: the session in ``ops/gpu.md`` on a real redis-cli, and ``sightline status``."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import subprocess
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from redis.asyncio import Redis

from producer.client.gpu_view import LoadedModel
from producer.keys import Keys
from tests.support.command_line import Call, drawn_by_sightline
from tests.support.gpu import hold, waiting
from tests.support.ollama_models import OpenPool
from tests.support.scan_worker import environment_for
from worker.gpu.health import HostReport
from worker.gpu.hosts import Host, parse_hosts
from worker.own_redis.build import fetch

PAGE = Path(__file__).parents[3] / "ops/gpu.md"
HOSTS = parse_hosts("http://gpu1:11434")


async def healthy(_: Host) -> HostReport:
    return HostReport((LoadedModel("qwen3.5:4b", 3_300_000_000, 2_200_000_000, 8192),), ("nomic-embed-text",))


@asynccontextmanager
async def holder_and_waiter(open_pool: OpenPool) -> AsyncGenerator[None]:
    """The moment that ops/gpu.md shows."""
    first = await open_pool("box1-812", hosts=HOSTS, probe=healthy)
    second = await open_pool("box2-344", hosts=HOSTS)
    async with first.acquire("chat", job="home-page"):
        waiter = asyncio.create_task(hold(second, priority="interactive", job="question-7"))
        await waiting(first, 1)
        yield
    await waiter


def session() -> Iterator[tuple[str, list[str]]]:
    """Each command of the page with the lines it answers."""
    lines = [line.removeprefix("    ") for line in PAGE.read_text("utf-8").splitlines() if line.startswith("    ")]
    for number, line in enumerate(lines):
        if line.startswith("> "):
            told: list[str] = []
            for after in lines[number + 1 :]:
                if after.startswith(("> ", "$ ")):
                    break
                told.append(after)
            yield line.removeprefix("> "), told


def shape(line: str) -> str:
    """Return a line without its varying parts: the random ends of tokens, and times."""
    return re.sub(r"\d{13}", "TIME", re.sub(r"(box\d-\d+)-[0-9a-f]{12}", r"\1-TOKEN", line))


def fields_of(line: str) -> dict[str, object] | None:
    """The JSON object in a line of redis-cli; '…' stands for fields that are left out."""
    found = re.search(r'"(\{.*\})"$', line)
    return json.loads(found[1].replace('\\"', '"').replace("\\\\/", "/").replace(", …", "")) if found else None


async def test_the_redis_cli_session_in_the_docs_is_what_redis_answers(
    open_pool: OpenPool, redis: Redis, redis_url: str, keys: Keys
):
    program = fetch() / "bin/redis-cli"
    commands = list(session())
    async with holder_and_waiter(open_pool):
        known = [token.decode() for token in await cast("Any", redis).hkeys(keys.gpu_calls)]
        tokens: dict[str, str] = {token.rpartition("-")[0]: token for token in known}

        for command, told in commands:
            real = command.replace("sightline:dev:", keys.prefix)
            real = re.sub(r"(box\d-\d+)-[0-9a-f]{12}", lambda match: tokens[match[1]], real)
            arguments = [str(program), "-u", redis_url, "--no-raw", *shlex.split(real)]
            ran = await asyncio.to_thread(subprocess.run, arguments, capture_output=True, text=True, check=True)
            answered = ran.stdout.splitlines()

            assert len(answered) == len(told), command
            for shown, line in zip(told, answered, strict=True):
                documented = fields_of(shown)
                if documented is None:
                    assert shape(line) == shape(shown)
                else:
                    assert documented.items() <= (fields_of(line) or {}).items()
    assert len(commands) == 5


async def test_status_says_the_same_in_words(open_pool: OpenPool, redis_url: str, keys: Keys):
    async with holder_and_waiter(open_pool):
        printed = await drawn_status(redis_url, keys)

    lines = printed[printed.index("gpu http://gpu1:11434: up; chat 1 of 1, embed 0 of 1 slots in use") :]
    shown = PAGE.read_text("utf-8").partition("$ sightline status\n")[2].partition("\n\n")[0].splitlines()
    assert lines[1] == "  loaded   qwen3.5:4b, 2.2 of 3.3 GB on the card"
    assert lines[2] == "  missing  nomic-embed-text: run there: ollama pull nomic-embed-text"
    assert [seconds_aside(line) for line in [lines[0], *lines[3:]]] == [
        seconds_aside(line.removeprefix("    ")) for line in shown
    ]


async def test_status_in_a_pipe_has_the_whole_pool(open_pool: OpenPool, call: Call):
    async with holder_and_waiter(open_pool):
        done = await asyncio.to_thread(call, "status")

    gpu = json.loads(done.stdout)["gpu"]
    assert [holder["job"] for holder in gpu["holders"]] == ["home-page"]
    assert [(waiter["job"], waiter["position"]) for waiter in gpu["waiters"]] == [("question-7", 1)]
    assert [host["name"] for host in gpu["hosts"]] == ["http://gpu1:11434"]


async def test_status_of_a_running_job_says_that_it_waits_for_the_gpu(
    open_pool: OpenPool, redis: Redis, redis_url: str, keys: Keys
):
    fields = {"kind": "query", "lane": "interactive", "state": "running", "attempt": "1", "worker": "box2-344"}
    await cast("Any", redis).hset(keys.job("question-7"), mapping=fields)
    async with holder_and_waiter(open_pool):
        printed = await drawn_status(redis_url, keys, "question-7")

    (told,) = [line for line in printed if "chat" in line]
    assert told.startswith("  waits    job question-7 on box2-344: chat, number 1 (interactive), for ")


async def drawn_status(redis_url: str, keys: Keys, *arguments: str) -> list[str]:
    """The lines that a terminal shows."""
    environment = environment_for(redis_url, keys)
    code, drawn = await asyncio.to_thread(drawn_by_sightline, environment, "status", *arguments)
    assert code == 0
    return drawn.splitlines()


def seconds_aside(line: str) -> str:
    return re.sub(r"\d+\.\d s", "N s", line)


async def test_status_says_what_a_host_and_its_models_lack(open_pool: OpenPool, redis_url: str, keys: Keys):
    async def old(_: Host) -> HostReport:
        return HostReport(notes=("gpu1 is 0.22.0: update Ollama",))

    await open_pool("box1-812", hosts=HOSTS, probe=old)

    assert "  lacking  gpu1 is 0.22.0: update Ollama" in await drawn_status(redis_url, keys)
