"""Serves the parts of GitHub's and GitLab's REST APIs for issues that a sync needs: real HTTP on loopback.

https://docs.github.com/en/rest/issues/issues and https://docs.gitlab.com/api/issues/
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from tests.support.hosting import served

Answer = tuple[int, dict[str, str]]


class TrackerStub:
    """``issues`` as the API shows them. ``refuse`` may answer instead of the host; with ``after``, once the request
    took effect.

    ``may_label``: whether the token's account may set labels; if not, both hosts drop them silently. ``recase`` is
    what became of a label's case when it was first made. ``is_gitea``: as Gitea and Forgejo answer, whose API is under
    /api/v1: a new issue's labels are numbers of ``labels``, and an issue's ``pull_request`` is null.
    https://docs.gitea.com/api/ ``drip_s`` is the pause before each byte of a reply.
    """

    def __init__(self, kind: Literal["github", "gitlab"]) -> None:
        self.kind = kind
        self.issues: list[dict[str, Any]] = []
        self.refuse: Callable[[str], Answer | None] = lambda _method: None
        self.after = False
        self.may_label = True
        self.recase: Callable[[str], str] = str
        self.is_gitea = False
        self.labels = ["bug"]
        self.asked: list[tuple[str, str]] = []
        self.per_page = 2
        self.drip_s = 0.0
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    @property
    def text(self) -> str:
        """The field that contains an issue's text."""
        return "body" if self.kind == "github" else "description"

    @property
    def writes(self) -> list[str]:
        """Return the methods of all writes."""
        return [method for method, _ in self.asked if method != "GET"]

    def states(self) -> list[str]:
        """Return every issue's state, with GitLab's ``opened`` as ``open``."""
        return [one["state"].removesuffix("ed") if one["state"] == "opened" else one["state"] for one in self.issues]

    def close(self, number: int, *, reason: str = "completed") -> None:
        """Close an issue, as a person does, in the year 2001."""
        self.issues[number - 1] |= {"state": "closed", "closed_at": "2001-01-01T00:00:00Z"}
        if self.kind == "github":
            self.issues[number - 1]["state_reason"] = reason

    def label(self, number: int, *names: str) -> None:
        """Set the labels of an issue, as a person does."""
        self.issues[number - 1]["labels"] = [self.shown(name) for name in names]

    def shown(self, label: str) -> Any:
        """Return a label as the API shows it."""
        return {"name": label} if self.kind == "github" else label

    def add(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Open an issue."""
        number = len(self.issues) + 1
        given = asked.get("labels") or []
        names: list[Any] = given.split(",") if isinstance(given, str) else given
        if self.is_gitea:
            names = [self.labels[number - 1] for number in names]
        one = {
            "number" if self.kind == "github" else "iid": number,
            "title": asked["title"],
            self.text: asked[self.text],
            "state": "open" if self.kind == "github" else "opened",
            "labels": [self.shown(self.recase(name)) for name in names] if self.may_label else [],
            "html_url" if self.kind == "github" else "web_url": f"{self.url}/shop/web/issues/{number}",
            "closed_at": None,
            **({"pull_request": None} if self.is_gitea else {}),
        }
        self.issues.append(one)
        return one


@contextmanager
def tracker_stub(kind: Literal["github", "gitlab"]) -> Generator[TrackerStub]:
    """Serve a stub until the block ends."""
    stub = TrackerStub(kind)
    with served(stub.server):
        yield stub


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, stub: TrackerStub, *args: Any) -> None:
        self._stub = stub
        super().__init__(*args)

    def do_GET(self) -> None:
        stub, parts = self._stub, urlsplit(self.path)
        if self._is_refused():
            return
        if parts.path.endswith("/labels"):
            self._reply(200, [{"id": number, "name": name} for number, name in enumerate(stub.labels, 1)])
            return
        query = parse_qs(parts.query)
        assert query["state"] == ["all"]
        label = stub.shown(stub.recase(query["labels"][0]))
        listed = [one for one in stub.issues if label in one["labels"]]
        page = int(query.get("page", ["1"])[0])
        end = page * stub.per_page
        following = f"{stub.url}{parts.path}?{parts.query.partition('&page=')[0]}&page={page + 1}"
        more = {"Link": f'<{following}>; rel="next"'} if end < len(listed) else {}
        self._reply(200, listed[end - stub.per_page : end], more)

    def do_POST(self) -> None:
        asked = self._read()
        if self.path.endswith("/labels"):
            self._stub.labels.append(asked["name"])
            self._reply(201, {"id": len(self._stub.labels), "name": asked["name"]})
            return
        if self._stub.after:
            self._stub.add(asked)
        if not self._is_refused():
            self._reply(201, self._stub.add(asked))

    def do_PATCH(self) -> None:
        asked = self._read()
        if self._is_refused():
            return
        stub = self._stub
        one = stub.issues[int(self.path.rpartition("/")[2]) - 1]
        state = {"close": "closed", "reopen": "opened"}.get(asked.pop("state_event", ""), asked.get("state"))
        one |= asked | ({"state": state} if state else {})
        if state:
            one["closed_at"] = "2001-01-01T00:00:00Z" if state == "closed" else None
        self._reply(200, one)

    do_PUT = do_PATCH  # noqa: N815  http.server names methods so

    def _read(self) -> dict[str, Any]:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _is_refused(self) -> bool:
        self._stub.asked.append((self.command, self.path))
        answer = self._stub.refuse(self.command)
        if answer:
            self._reply(answer[0], {"message": "the host says no"}, answer[1])
        return answer is not None

    def _reply(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, text)
        self.end_headers()
        size = 1 if self._stub.drip_s else len(body)
        with contextlib.suppress(OSError):  # the client has given up
            for at in range(0, len(body), size):
                time.sleep(self._stub.drip_s)
                self.wfile.write(body[at : at + size])

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  http.server's name
        """Say nothing."""
