"""The contents of ``result:<id>``, by kind of job."""

from __future__ import annotations

import json
from collections.abc import Callable
from operator import not_
from typing import Annotated, Any, Final, Self, TypedDict, Unpack, cast

from pydantic import Field, ValidationError
from pydantic_core import from_json

from producer.contract.assessment import Assessment, AssessmentSource
from producer.contract.findings import Changes, Counts, Doubt, Finding
from producer.contract.fixes import FIRST, PENDING, TriedFix
from producer.contract.live import LiveReport
from producer.contract.meaning import NamedElement
from producer.contract.message import Message, Part, describe_invalid
from producer.contract.terms import JobState, JsonObject, ScanStatus
from producer.errors import RedisUnsuitable

_RARE: Final = Field(exclude_if=not_)
"""Omitted from the JSON while empty, as in every release: most pages have none of these."""


class Usage(Part):
    """Tokens and times of the model calls of one job."""

    prompt_tokens: int = 0
    output_tokens: int = 0
    calls: int = 0
    gpu_wait_ms: int = 0
    gpu_ms: int = 0
    cache_hit: bool = False


class ErrorInfo(Part):
    """The reason why a job ended without a result: the error's class name and message, without traceback."""

    type: str
    message: str


class JobFacts(TypedDict):
    """The fields that the queue adds to any result: its job and how it ended."""

    job_id: str
    kind: str
    state: JobState


class Result(Message):
    """The contents of ``result:<id>``; every kind of job adds its fields. ``error`` is set unless it succeeded."""

    job_id: str = ""
    kind: str = ""
    state: JobState = JobState.SUCCEEDED
    error: ErrorInfo | None = None

    @classmethod
    def expired(cls, job_id: str, *, kind: str, state: JobState) -> Self:
        """Return a placeholder for the result of an ended job that is no longer kept."""
        message = f"job {job_id!r} ended as {state}, but its result is no longer kept (RESULT_TTL_S): submit it again"
        return cls(job_id=job_id, kind=kind, state=state, error=ErrorInfo(type="ResultExpired", message=message))

    @property
    def is_expired(self) -> bool:
        """Whether this is a placeholder for a result that is no longer kept."""
        return self.error is not None and self.error.type == "ResultExpired"

    def of_job(self, **facts: Unpack[JobFacts]) -> Self:
        """Return a copy with its job."""
        return self.model_copy(update=facts)


class FunctionResult(Result):
    """Result of a job that is neither a scan nor a query: the function's return value, as JSON."""

    value: Any = None


class ScanRevision(TypedDict, total=False):
    """The fields of a scan's result that are set or cut after ``worker/scan/result.py`` created it, and where.

    The journey sets ``reached_by``; the agent the fields ``assessment`` to ``names``; the live checks ``doubts`` and
    ``live``; the commit ``scan_id`` and ``screenshot``; the host's gate ``reason``. The size limit cuts ``findings``
    and ``incomplete``; a report's marks and decisions change these two, ``counts`` and ``barriers``.
    """

    reason: str
    reached_by: str
    scan_id: str
    findings: tuple[Finding, ...]
    incomplete: tuple[Finding, ...]
    counts: Counts
    barriers: Counts
    screenshot: str | None
    assessment: Assessment | None
    assessment_source: str
    changes: Changes | None
    notes: tuple[str, ...]
    usage: Usage
    timings_ms: dict[str, int]
    fixes: tuple[TriedFix, ...]
    fixes_state: str
    names: tuple[NamedElement, ...]
    doubts: tuple[Doubt, ...]
    live: LiveReport | None


class ScanResult(Result):
    """One scan of one page.

    ``status``: ``scanned`` (completely), ``partial`` (in part: ``reason`` says which), ``unreachable``, ``blocked`` (by
    the guard). Only ``scanned`` without findings is a pass. ``counts`` counts failed rules by impact, ``barriers`` the
    elements that fail them; findings that need review are in ``incomplete`` and counted in neither. ``screenshot`` is
    the key of the screenshots, if any. ``notes`` are sentences about what is missing from the result, and why.
    ``assessment_source`` is ``assessed_by`` as a string.

    ``page_state`` names the state that the page was in (``states.py``); '', the default state, is omitted from the
    JSON.

    ``reached_by`` is the last step before the scan of a page that steps led to; it is also omitted while empty.

    The last eighteen fields are omitted from the JSON while empty. ``waited`` maps ``load``, ``network``, ``dom`` and
    ``selector`` to ``reached`` or to what happened instead; ``redirects`` are the hops before ``final_url``
    (``status``, ``url``); ``refused`` are the guard's refusals; ``unread_frames`` maps a frame's URL or selector to the
    reason why it could not be read. ``doubts`` are parts that were not scanned (the page is then ``partial``, unless
    the request allows the kind, as ``allow_partial`` repeats) and remarks. The ``…_left_out`` fields count entries
    beyond these lists' limits. ``soft_404``: the page is an error page served as a success; ``sign_in``: it asks for a
    sign-in. ``fixes`` are changes of markup that were tried on the page, ``fixes_state`` is ``pending``, ``tried``, or
    ``none: `` and the reason. ``names`` are those that a model has yet to judge. ``live`` is the report of the live
    checks, if requested.
    """

    kind: str = "scan"
    scan_id: str = ""
    url: str = ""
    final_url: str = ""
    title: str = ""
    group: str = ""
    page_state: Annotated[str, _RARE] = ""
    reached_by: Annotated[str, _RARE] = ""
    status: ScanStatus
    reason: str = ""
    standard: str = "wcag22aa"
    http_status: int | None = None
    engine: dict[str, str] = Field(default_factory=dict[str, str])
    findings: tuple[Finding, ...] = ()
    incomplete: tuple[Finding, ...] = ()
    counts: Counts = Counts()
    barriers: Counts = Counts()
    screenshot: str | None = None
    assessment: Assessment | None = None
    assessment_source: str = str(AssessmentSource(reason="not requested"))
    changes: Changes | None = None
    notes: tuple[str, ...] = ()
    usage: Usage = Usage()
    timings_ms: dict[str, int] = Field(default_factory=dict[str, int])
    waited: Annotated[dict[str, str], _RARE] = Field(default_factory=dict[str, str])
    redirects: Annotated[tuple[dict[str, str | int], ...], _RARE] = ()
    refused: Annotated[tuple[str, ...], _RARE] = ()
    refused_left_out: Annotated[int, _RARE] = 0
    unread_frames: Annotated[dict[str, str], _RARE] = Field(default_factory=dict[str, str])
    unread_frames_left_out: Annotated[int, _RARE] = 0
    soft_404: Annotated[bool, _RARE] = False
    sign_in: Annotated[bool, _RARE] = False
    failed_requests: Annotated[int, _RARE] = 0
    popups_closed: Annotated[int, _RARE] = 0
    dialogs_dismissed: Annotated[int, _RARE] = 0
    doubts: Annotated[tuple[Doubt, ...], _RARE] = ()
    doubts_left_out: Annotated[int, _RARE] = 0
    allow_partial: Annotated[tuple[str, ...], _RARE] = ()
    fixes: Annotated[tuple[TriedFix, ...], _RARE] = ()
    fixes_state: Annotated[str, _RARE] = ""
    names: Annotated[tuple[NamedElement, ...], _RARE] = ()
    live: Annotated[LiveReport | None, _RARE] = None

    @property
    def is_awaited(self) -> bool:
        """Whether an assessment or tried changes are still pending."""
        return self.assessed_by.is_pending or self.fixes_state.startswith(PENDING)

    @property
    def awaits_tries(self) -> bool:
        """Whether a result that ``is_awaited`` waits for tried changes next."""
        return self.fixes_state == FIRST or not self.assessed_by.is_pending

    @property
    def assessed_by(self) -> AssessmentSource:
        """The model that wrote the assessment, or why there is none."""
        return AssessmentSource.parse(self.assessment_source)

    def revised(self, **changes: Unpack[ScanRevision]) -> Self:
        """Return a copy with ``changes``."""
        return self.model_copy(update=changes)


class QueryRevision(TypedDict, total=False):
    """The fields of an answer known only to its conversation."""

    thread_id: str


class QueryResult(Result):
    """One answer; ``sources`` are the ids of the scans it is based on.

    ``model`` answered, with version ``prompt`` of the prompt; ``model_reason`` says why this model, '' if it is
    CHAT_MODEL. ``notes`` are sentences about shortcomings of the answer: omissions due to limits, tools that failed or
    were refused, no scan as its basis.
    """

    kind: str = "query"
    answer: str = ""
    sources: tuple[str, ...] = ()
    cached: bool = False
    thread_id: str = ""
    model: str = ""
    model_reason: str = ""
    prompt: str = ""
    notes: tuple[str, ...] = ()
    usage: Usage = Usage()
    timings_ms: dict[str, int] = Field(default_factory=dict[str, int])

    def revised(self, **changes: Unpack[QueryRevision]) -> Self:
        """Return a copy with ``changes``."""
        return self.model_copy(update=changes)


RESULTS: Final[dict[str, type[Result]]] = {"scan": ScanResult, "query": QueryResult}


def decode_result(text: str | bytes, *, narrow: Callable[[JsonObject], None] | None = None) -> Result:
    """Return the result in the class of its kind (``RESULTS``); a job without a result stays a plain ``Result``.

    ``narrow`` may drop stored fields that its caller does not need: checking them takes four times as long as reading.
    pydantic's reader takes half the time of ``json``, but refuses lone surrogates, which functions may return.
    Raises ``RedisUnsuitable`` for anything but a result.
    """
    try:
        fields = json.loads(text) if narrow is None else from_json(text)
        if narrow is not None and isinstance(fields, dict):
            narrow(cast("JsonObject", fields))
        if isinstance(fields, dict) and cast("JsonObject", fields).get("error") is None:
            return RESULTS.get(str(cast("JsonObject", fields).get("kind")), FunctionResult).model_validate(fields)
        return Result.model_validate(fields)
    except ValidationError as error:
        why = describe_invalid(error)
    except (ValueError, RecursionError) as error:
        why = str(error)
    raise RedisUnsuitable(
        f"the stored result of the job cannot be read ({why[:300]}): another program or a newer release wrote it"
    )
