#!/usr/bin/env python3
"""Stands in for the program ``ollama`` as called by Compose: serve, list, show, pull.

A pulled model is a file in OLLAMA_MODELS; if the file ``offline`` exists, every pull fails as without a network.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import urllib.request
from pathlib import Path
from typing import Any, Self

sys.path.insert(0, "/opt/stub")

ADDRESS = "http://" + os.environ["OLLAMA_HOST"].replace("0.0.0.0", "127.0.0.1")  # noqa: S104  the stub's own default
STORE = Path(os.environ.get("OLLAMA_MODELS", "/models"))
REPLY_S = 30


def call(path: str, body: dict[str, str] | None = None) -> dict[str, Any]:
    """Return the running server's reply."""
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(ADDRESS + path, data=data)  # noqa: S310  http, our own
    with urllib.request.urlopen(request, timeout=REPLY_S) as reply:  # noqa: S310
        return json.loads(reply.read())


async def serve() -> None:
    """Serve the stored models until killed."""
    from tests.support import ollama_protocol as protocol  # noqa: PLC0415  only the server has them
    from tests.support import ollama_server as server  # noqa: PLC0415

    known = {model.name: model for model in (protocol.CHAT, protocol.EMBED)}

    class Stub(server.OllamaServer):
        async def __aenter__(self) -> Self:
            loop = asyncio.get_running_loop()
            self.models = {name: known[name] for name in known if _file(name).exists()}

            def connection() -> asyncio.StreamReaderProtocol:
                return asyncio.StreamReaderProtocol(server._Reader(loop=loop), self._connected)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # it binds loopback itself

            self._server = await loop.create_server(connection, "0.0.0.0", 11434)  # noqa: S104  in a container
            return self

        def _look_up(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
            if path != "/api/pull":
                return super()._look_up(method, path, body)
            name = protocol.full(str(body["model"]))
            if (STORE / "offline").exists():
                return 500, {"error": "pull model manifest: dial tcp: lookup registry: no such host"}
            if name not in known:
                return 500, {"error": "pull model manifest: file does not exist"}
            _file(name).touch()
            self.models[name] = known[name]
            return 200, {"status": "success"}

    STORE.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240  before the server runs
    async with Stub(call_s=0.5):
        print("listening", flush=True)
        await asyncio.Event().wait()


def _file(name: str) -> Path:
    return STORE / name.replace(":", "_")


def main(command: str, *models: str) -> None:
    """Run one command."""
    if command == "serve":
        asyncio.run(serve())
    elif command == "list":
        for model in call("/api/tags")["models"]:
            print(model["name"], model["size"])
    else:
        for model in models:
            print(json.dumps(call(f"/api/{command}", {"model": model})))


if __name__ == "__main__":
    main(*sys.argv[1:])
