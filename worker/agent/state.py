"""Context of the graphs, and the scan graph's state: JSON, since a part of it is kept in Redis while a scan runs.

Headers, cookies and storage state are never part of the state: they are in ``ScanContext``, which is not stored.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TypedDict

from pydantic import BaseModel, ConfigDict

from producer.contract import Changes
from worker.queue.outcome import FieldNeeded
from worker.scan.settings import BeforeLoad, Secrets


class ScanState(TypedDict):
    """State of one scan; a node returns the fields it changes.

    ``request``, ``result`` and ``recalled`` are JSON of their models, ``embedded`` is the output of ``Embedded.pack``,
    ``shots`` JSON of base64; '' means none. There are screenshots only on request.
    """

    job_id: str
    request: str
    result: str
    shots: str
    embedded: str
    recalled: str
    seen_ms: int


def new_state(job_id: str, request: str) -> ScanState:
    """Return the initial state of a scan."""
    return ScanState(job_id=job_id, request=request, result="", shots="", embedded="", recalled="", seen_ms=0)


class RecalledComponents(BaseModel):
    """The history of the page's component barriers.

    ``held`` are the page's current ones under its terms, with their rules, '' if unknown, and ``state`` is their stored
    text; ``known_ms`` is when elements of an unrecorded one were first seen there. ``began_ms`` is when the run or the
    batch began. ``is_first``: the page has no earlier scan to compare with.
    """

    model_config = ConfigDict(frozen=True)

    held: dict[str, str] = {}
    state: str = ""
    known_ms: dict[str, int] = {}
    began_ms: int = 0
    is_first: bool = True


class Recalled(BaseModel):
    """The history of the page.

    ``last_*`` describe the newest record of the page, '' and 0 if there is none. ``elsewhere`` counts, by rule, the
    similar pages that also fail it.
    """

    model_config = ConfigDict(frozen=True)

    last_id: str = ""
    last_signature: str = ""
    last_at_ms: int = 0
    changes: Changes | None = None
    elsewhere: dict[str, int] = {}
    components: RecalledComponents = RecalledComponents()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """The context of one run of a graph, besides its state; never stored.

    ``on_progress`` takes a step's name. ``check`` raises once another worker may run the job.
    """

    on_progress: Callable[[str], None] | None = None
    check: Callable[[], None] = lambda: None

    def step(self, name: str) -> None:
        """Report the start of a step, unless another worker may have the job."""
        self.check()
        if self.on_progress is not None:
            self.on_progress(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanContext(RunContext):
    """The secrets of a page behind a login, never logged; the job's submission time (Redis time) and batch.

    ``before_load`` raises ``Paused`` once the job is paused. The page is loaded within ``turn``.
    """

    secrets: Secrets | None = None
    before_load: BeforeLoad | None = None
    submitted_ms: int = 0
    batch: str = ""
    turn: AbstractAsyncContextManager[None] = field(default_factory=nullcontext)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryContext(RunContext):
    """One turn of a conversation, with the submission time of its job (Redis time).

    A run adds to ``needs`` the fields that must exist when its job commits: a failover may lose the turn's last step.
    """

    submitted_ms: int = 0
    needs: list[FieldNeeded] = field(default_factory=list[FieldNeeded])


def pack_shots(shots: Mapping[str, bytes]) -> str:
    """Return the screenshots as JSON; '' for none."""
    return json.dumps({name: b64encode(picture).decode() for name, picture in shots.items()}) if shots else ""


def unpack_shots(text: str) -> dict[str, bytes]:
    """Decode the output of ``pack_shots``."""
    return {name: b64decode(picture) for name, picture in json.loads(text).items()} if text else {}
