"""The stage of chaos runs: two overlapping faults of one part."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "ops" / "chaos"))

from stage import OllamaProcess  # pyright: ignore[reportMissingImports]  # a program's own folder, no package


async def test_an_ollama_killed_while_it_is_started_ends_and_can_be_started_again():
    async with OllamaProcess() as ollama:
        await ollama.kill()

        await asyncio.gather(ollama.start(), ollama.kill(), ollama.start(), ollama.start())

        await _answers(ollama.port)
        await ollama.kill()
        assert await _refuses(ollama.port)


async def test_an_ollama_whose_port_was_taken_meanwhile_takes_another():
    ollama = OllamaProcess()
    with socket.create_server(("127.0.0.1", taken := ollama.port)):
        async with ollama:
            await _answers(ollama.port)
            assert ollama.port != taken


async def _answers(port: int) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()


async def _refuses(port: int) -> bool:
    try:
        await _answers(port)
    except ConnectionRefusedError:
        return True
    return False
