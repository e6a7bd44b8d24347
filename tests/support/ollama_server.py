"""Stands in for an Ollama: real HTTP, its protocol, a journal of the model calls, and faults on demand.

In a test's own loop (``async with OllamaServer() as ollama``), or as a process to kill and freeze: ``python -m
tests.support.ollama_server --call-ms 200`` prints its address; the process is controlled by ``/stub/journal`` and
``/stub/faults``. The product never imports this. Journal times are ``time.monotonic``, one clock per machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from tests.support import ollama_protocol as protocol
from tests.support.ollama_protocol import CHAT, EMBED, Body, StubModel


@dataclass(frozen=True)
class Fault:
    """The fault of one model call.

    ``status`` (``status``, ``text``), ``stall`` or ``drop`` after a piece, ``half_line``, ``silence`` (an empty 200),
    ``no_done``, ``length`` (after ``tokens`` pieces, by default half of them), ``mid_error``, ``nonsense``,
    ``only_thinks``, ``cut_prompt`` (``tokens``), ``load`` (waits ``seconds`` before the first byte), ``loaded_only``,
    ``dims`` (``tokens`` numbers a vector), ``too_few`` vectors.
    """

    name: str
    status: int = 500
    text: str = "something went wrong"
    seconds: float = 0.0
    tokens: int = 0


@dataclass
class Call:
    """One model call as the server saw it; ``ended`` is when its last byte was sent or the client disconnected."""

    path: str
    model: str
    arrived: float
    ended: float = 0.0
    end: str = "open"
    body: Body = field(default_factory=dict[str, Any])

    @property
    def seconds(self) -> float:
        return self.ended - self.arrived


class _Reader(asyncio.StreamReader):
    """A reader that detects a disconnected client without reading ahead, which would consume the next request."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.gone = asyncio.Event()

    def feed_eof(self) -> None:
        self.gone.set()
        super().feed_eof()

    def set_exception(self, exc: Exception) -> None:
        self.gone.set()
        super().set_exception(exc)


class OllamaServer:
    """The stub. ``call_s`` is how long a chat call takes; ``answers`` are given in order, then ``answer`` each time.

    ``answer_of``, if given, computes the answer from the request's body. ``tool_calls`` (name and arguments) are
    requested in order, one per call, if the request offers tools. A text that ends with one of ``meanings`` gets the
    vector that begins with its numbers; one longer than the model's context is refused. Answers are sent word by word,
    or ``token_chars`` characters at a time.
    """

    def __init__(self, *models: StubModel, call_s: float = 0.0, port: int = 0) -> None:
        self.models = {model.name: model for model in models or (CHAT, EMBED)}
        self.call_s = call_s
        self.port = port
        self.journal: list[Call] = []
        self.faults: deque[Fault] = deque()
        self.answers: deque[str] = deque()
        self.tool_calls: deque[dict[str, Any]] = deque()
        self.meanings: dict[str, list[float]] = {}
        self.most_chars = 0
        self.token_chars = 0
        self.answer_of: Callable[[Body], str] | None = None
        self.answer = "These images need alternative text."
        self.loaded: dict[str, int] = {}
        self.arrived = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()

        def connection() -> asyncio.StreamReaderProtocol:
            return asyncio.StreamReaderProtocol(_Reader(loop=loop), self._connected)

        from worker.own_redis.server import free_port  # noqa: PLC0415  the stand-in of `make containers` has no worker

        self.port = self.port or free_port()  # below the ephemeral ports: free for its return while it is stopped
        self._server = await loop.create_server(connection, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Refuse new connections and drop open ones, as a killed server does."""
        if self._server is not None:
            self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._server = None

    def calls(self, path: str = "/api/chat") -> list[Call]:
        return [call for call in self.journal if call.path == path]

    async def wait_for_calls(self, count: int, path: str = "/api/chat", *, timeout_s: float = 60.0) -> list[Call]:
        """Return the calls once ``count`` have arrived."""
        async with asyncio.timeout(timeout_s), self.arrived:
            await self.arrived.wait_for(lambda: len(self.calls(path)) >= count)
        return self.calls(path)

    async def all_ended(self) -> None:
        """Wait until no model call is running."""
        async with self.arrived:
            await self.arrived.wait_for(lambda: all(call.ended for call in self.journal))

    # ------------------------------------------------------------------------------------------ HTTP

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self._serve_one(reader, writer):
                pass
        writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether the connection stays open."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        body: Body = json.loads(raw) if raw else {}
        if path not in {"/api/chat", "/api/embed"}:
            await _send_json(writer, *self._look_up(method, path, body))
            return True
        call = Call(path, str(body.get("model")), time.monotonic(), body=body)
        self.journal.append(call)
        async with self.arrived:
            self.arrived.notify_all()
        answering = asyncio.ensure_future(self._answer(writer, body, path))
        assert isinstance(reader, _Reader)
        leaving = asyncio.ensure_future(reader.gone.wait())
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            stays = answering.done() and answering.result()
            call.end = "answered" if stays else "broken" if answering.done() else "left"
            return stays and not leaving.done()
        finally:
            call.ended = time.monotonic()
            for task in (answering, leaving):
                task.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)
            async with self.arrived:
                self.arrived.notify_all()

    def _look_up(self, method: str, path: str, body: Body) -> tuple[int, Any]:
        if path == "/stub/journal":
            return 200, [asdict(call) for call in self.journal]
        if path == "/stub/faults":
            self.faults.extend(Fault(**fault) for fault in body["faults"])
            return 200, {}
        if path == "/api/show":
            model = self.models.get(protocol.full(str(body.get("model"))))
            return (200, protocol.show(model)) if model else _not_found(body)
        plain = {
            "/api/version": protocol.version(),
            "/api/tags": protocol.tags(self.models),
            "/api/ps": protocol.ps(self.loaded, self.models),
        }
        return (200, plain[path]) if path in plain and method == "GET" else (404, {"error": "404 page not found"})

    # ------------------------------------------------------------------------------------------ model calls

    async def _answer(self, writer: asyncio.StreamWriter, body: Body, path: str) -> bool:
        """Answer a model call; return whether the answer was complete."""
        fault = self.faults.popleft() if self.faults else Fault("none")
        name = protocol.full(str(body["model"]))
        if name not in self.models:
            await _send_json(writer, *_not_found(body))
            return True
        if fault.name == "status":
            await _send_json(writer, fault.status, {"error": fault.text})
            return True
        if fault.name == "load":
            await asyncio.sleep(fault.seconds)
        if any(message.get("images") for message in body.get("messages", ())) and "vision" not in self.models[name].can:
            await _send_json(writer, 400, {"error": "this model is missing data required for image input"})
            return True
        if body.get("tools") and "tools" not in self.models[name].can:
            await _send_json(writer, 400, {"error": f"library/{name} does not support tools"})
            return True
        self.loaded[name] = int((body.get("options") or {}).get("num_ctx") or 4096)
        if path == "/api/embed":
            return await self._embed(writer, body, fault)
        writer.write(protocol.head(200, "application/x-ndjson", "Transfer-Encoding: chunked"))
        async with contextlib.aclosing(self._lines(body, fault)) as lines:
            async for line in lines:
                writer.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
                await writer.drain()
        if fault.name in {"drop", "half_line"}:
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    async def _lines(self, body: Body, fault: Fault) -> AsyncGenerator[bytes]:
        """Yield the lines of a chat answer, as far as ``fault`` permits."""
        text = self._text(body)
        whole = list(protocol.answer_pieces(body, text, token_chars=self.token_chars))
        if body.get("tools") and self.tool_calls:
            whole[:-1] = [protocol.piece(str(body["model"]), "", tool_calls=[{"function": self.tool_calls.popleft()}])]
        pieces = protocol.damaged(whole, fault.name, fault.tokens)
        await asyncio.sleep(self.call_s / 2)
        for number, piece in enumerate(pieces):
            if number == len(pieces) - 1:
                await asyncio.sleep(self.call_s / 2)
            yield json.dumps(piece).encode() + b"\n"
        if fault.name == "stall":
            await asyncio.Event().wait()
        ends = {
            "half_line": b'{"model": "qwen',
            "mid_error": b'{"error": "llama runner process has terminated"}\n',
            "nonsense": b'["not", "the", "protocol"]\n',
        }
        if fault.name in ends:
            yield ends[fault.name]

    def _text(self, body: Body) -> str:
        if self.answers:
            return self.answers.popleft()
        if self.answer_of is not None:
            return self.answer_of(body)
        schema = body.get("format")
        return json.dumps(protocol.instance_of(schema)) if isinstance(schema, dict) else self.answer

    async def _embed(self, writer: asyncio.StreamWriter, body: Body, fault: Fault) -> bool:
        dims = fault.tokens if fault.name == "dims" else self.models[protocol.full(str(body["model"]))].dims
        model = self.models[protocol.full(str(body["model"]))]
        context = min(model.context, int((body.get("options") or {}).get("num_ctx") or model.context))
        is_over = any(protocol.pieces_of(text) > context for text in body["input"])
        if is_over or (self.most_chars and any(len(text) > self.most_chars for text in body["input"])):
            await _send_json(writer, 400, {"error": "the input length exceeds the context length"})
            return True
        answer = protocol.embeddings(body, dims, self.meanings)
        if fault.name == "too_few":
            answer["embeddings"] = answer["embeddings"][:-1]
        raw = json.dumps(answer).encode()
        if fault.name == "stall":
            await asyncio.Event().wait()
        if fault.name in {"drop", "half_line"}:
            writer.write(protocol.head(200, "application/json", f"Content-Length: {len(raw)}") + raw[:20])
            await writer.drain()
            return False
        await _send_json(writer, 200, answer)
        return True


def most_at_once(calls: Iterable[Call]) -> int:
    """Return the maximum number of overlapping ``calls``."""
    edges = sorted([(call.arrived, 1) for call in calls] + [(call.ended, -1) for call in calls])
    now = most = 0
    for _, step in edges:
        now += step
        most = max(most, now)
    return most


async def _send_json(writer: asyncio.StreamWriter, status: int, answer: Any) -> None:
    raw = json.dumps(answer).encode()
    writer.write(protocol.head(status, "application/json; charset=utf-8", f"Content-Length: {len(raw)}") + raw)
    await writer.drain()


def _not_found(body: Body) -> tuple[int, Body]:
    return 404, {"error": f"model '{body.get('model')}' not found"}


async def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--call-ms", type=float, default=0.0)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    async with OllamaServer(call_s=options.call_ms / 1000, port=options.port) as server:
        print(server.url, flush=True)  # noqa: T201  the parent reads it
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main())
