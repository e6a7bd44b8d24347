"""Stands in for an endpoint of OpenAI's chat completions: real HTTP, with faults on demand.

It refuses what the protocol refuses: a wrong key, an unknown model, messages out of order. It runs in separate threads,
so that workers in other processes can use it too. The product never imports this.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.support.ollama_protocol import count_tokens, instance_of

Body = dict[str, Any]
KEY = "sk-test-7f3d9a1c"
MODEL = "big-model"
NO_CALL: Body = {}


@dataclass(frozen=True)
class CloudFault:
    """The fault of one request.

    ``status`` (``status``, ``text``, ``retry_after``), ``silence`` (nothing is sent); after the first piece:
    ``stall``, ``drop``, ``mid_error``, ``nonsense``; ``no_finish``, ``length``, ``content_filter``, ``no_usage``,
    ``bad_arguments``.
    """

    name: str
    status: int = 500
    text: str = "something went wrong"
    retry_after: str = ""


@dataclass
class CloudCall:
    """One request as the endpoint saw it."""

    body: Body
    headers: dict[str, str] = field(default_factory=dict[str, str])


class OpenAIServer:
    """The endpoint. ``answers`` are given in order, then ``answer`` each time; ``tool_calls`` if tools are offered."""

    def __init__(self) -> None:
        self.answer = "These images need alternative text."
        self.answers: deque[str] = deque()
        self.tool_calls: deque[Body] = deque()
        self.faults: deque[CloudFault] = deque()
        self.calls: list[CloudCall] = []
        self.arrived = threading.Event()
        self.closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # ------------------------------------------------------------------------------------------ words

    def refusal(self, path: str, headers: dict[str, str], body: Body) -> tuple[int, Body] | None:
        """Return the protocol's error for an invalid request."""
        if path != "/v1/chat/completions":
            return 404, _error(f"Invalid URL (POST {path})", None)
        if headers.get("authorization") != f"Bearer {KEY}":
            given = headers.get("authorization", "").removeprefix("Bearer ")
            return 401, _error(f"Incorrect API key provided: {given}", "invalid_api_key")
        if body.get("model") != MODEL:
            return 404, _error(f"The model `{body.get('model')}` does not exist", "model_not_found")
        return _message_refusal(body["messages"])

    def chunks(self, body: Body, fault: CloudFault) -> Iterator[Body | str]:
        """Yield the events of one streamed answer."""
        asked = self.tool_calls.popleft() if body.get("tools") and self.tool_calls else NO_CALL
        yield _chunk({"role": "assistant", "content": "" if not asked else None})
        if fault.name in {"stall", "drop", "mid_error", "nonsense"}:
            ends = {"mid_error": {"error": {"message": "the server had an error"}}, "nonsense": '["not", "protocol"]'}
            if fault.name in ends:
                yield ends[fault.name]
            return
        text = "" if asked else self._text(body)
        if asked:
            yield from _call_chunks(asked, is_broken=fault.name == "bad_arguments")
        for number, word in enumerate(text.split(" ")):
            yield _chunk({"content": word if number == 0 else f" {word}"})
        if fault.name != "no_finish":
            reasons = {"length": "length", "content_filter": "content_filter"}
            yield _chunk({}, finish=reasons.get(fault.name, "tool_calls" if asked else "stop"))
        if (body.get("stream_options") or {}).get("include_usage") and fault.name != "no_usage":
            prompt = count_tokens([str(message.get("content") or "") for message in body["messages"]])
            output = len(text.split(" "))
            usage = {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}
            yield {**_chunk({}), "choices": [], "usage": usage}
        yield "[DONE]"

    def _text(self, body: Body) -> str:
        if self.answers:
            return self.answers.popleft()
        form = body.get("response_format")
        return json.dumps(instance_of(form["json_schema"]["schema"])) if form else self.answer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, endpoint: OpenAIServer, *args: object) -> None:
        self._endpoint = endpoint
        super().__init__(*args)  # pyright: ignore[reportArgumentType]  # request, address and server, as the server gives them

    def do_GET(self) -> None:
        """Return the list of models if the key is valid; a fault's status also applies here."""
        endpoint = self._endpoint
        fault = endpoint.faults.popleft() if endpoint.faults else CloudFault("none")
        if fault.name == "status":
            self._send(fault.status, _error(fault.text, None))
        elif self.headers.get("Authorization") != f"Bearer {KEY}":
            self._send(401, _error("Incorrect API key provided", "invalid_api_key"))
        else:
            self._send(200, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})

    def do_POST(self) -> None:
        endpoint = self._endpoint
        body: Body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        endpoint.calls.append(CloudCall(body, headers))
        endpoint.arrived.set()
        fault = endpoint.faults.popleft() if endpoint.faults else CloudFault("none")
        refused = endpoint.refusal(self.path, headers, body)
        if fault.name == "silence":
            endpoint.closing.wait(60)
            self.close_connection = True
        elif refused is not None:
            self._send(*refused)
        elif fault.name == "status":
            self._send(fault.status, _error(fault.text, None), retry_after=fault.retry_after)
        else:
            assert body["stream"] is True, "the product streams"
            self._stream(body, fault)

    def _stream(self, body: Body, fault: CloudFault) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in self._endpoint.chunks(body, fault):
            text = event if isinstance(event, str) else json.dumps(event)
            raw = f"data: {text}\n\n".encode()
            self.wfile.write(f"{len(raw):x}\r\n".encode() + raw + b"\r\n")
            self.wfile.flush()
        if fault.name == "stall":
            self._endpoint.closing.wait(60)
        if fault.name not in {"stall", "drop"}:
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    def _send(self, status: int, body: Body, *, retry_after: str = "") -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class names it so
        """Say nothing."""


def _error(message: str, code: str | None) -> Body:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


def _message_refusal(messages: list[Body]) -> tuple[int, Body] | None:
    """Return the protocol's error for a tool result without a call."""
    asked: set[str] = set()
    for message in messages:
        if message["role"] == "tool" and message["tool_call_id"] not in asked:
            return 400, _error("messages with role 'tool' must be a response to a preceding 'tool_calls'", None)
        asked |= {call["id"] for call in message.get("tool_calls") or []}
    return None


def _chunk(delta: Body, *, finish: str | None = None) -> Body:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    about = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": int(time.time()), "model": MODEL}
    return {**about, "choices": [choice]}


def _call_chunks(asked: Body, *, is_broken: bool) -> Iterator[Body]:
    """Stream a call as endpoints do: its name first, then its arguments in pieces."""
    head = {"index": 0, "id": "call_abc", "type": "function", "function": {"name": asked["name"], "arguments": ""}}
    yield _chunk({"tool_calls": [head]})
    text = '{"words": ' if is_broken else json.dumps(asked["arguments"])
    for part in (text[:5], text[5:]):
        yield _chunk({"tool_calls": [{"index": 0, "function": {"arguments": part}}]})
