"""What travels between producers and workers: requests, results, events. No I/O.

JSON on the wire, ``v`` = 1, unknown fields kept, so that a release can read what its neighbour wrote. Nothing
here executes or imports what Redis holds. Times are Redis times in ms since the epoch unless a name ends in
``_s``. Keys are in ``producer/keys.py``; the life of a job is drawn in ``ops/state_machine.md``.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, cast
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from producer.errors import InvalidJob, JobTooLarge, RedisUnsuitable

WIRE_VERSION: Final = 1
MAX_PAYLOAD_BYTES: Final = 1_000_000
"""Payloads are kept in Redis memory until 7 days after the end; a page's HTML fits, a video does not."""
MAX_RESULT_BYTES: Final = 4_000_000
"""Over it findings are trimmed node by node, and the result says so."""
MAX_KIND_CHARS: Final = 100
PAGE_SHOT: Final = "page"
"""The picture of the whole page, among a scan's pictures; the others are named by node fingerprint."""
JOB_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
"""Job ids are parts of key names, file names and URLs: no colon, space or slash."""

JsonObject = dict[str, Any]


class JobState(StrEnum):
    """State of a job in its hash; the last three are final."""

    QUEUED = "queued"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"
    DEAD = "dead"

    @property
    def is_final(self) -> bool:
        """Whether nothing follows this state, short of a replay."""
        return self in FINAL_STATES


FINAL_STATES: Final = frozenset({JobState.SUCCEEDED, JobState.CANCELLED, JobState.DEAD})


class Lane(StrEnum):
    """One stream each; interactive is served first."""

    INTERACTIVE = "interactive"
    BATCH = "batch"


class Impact(StrEnum):
    """Impact of a finding, in axe-core's words, from least to worst."""

    MINOR = "minor"
    MODERATE = "moderate"
    SERIOUS = "serious"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for minor to 3 for critical."""
        return IMPACTS.index(self)


IMPACTS: Final = tuple(Impact)

Standard = Literal["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]
ScanStatus = Literal["scanned", "partial", "unreachable", "blocked"]


class Wire(BaseModel):
    """Base of all that is sent: unknown fields are kept and sent on."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    v: int = WIRE_VERSION


# ---------------------------------------------------------------------------------------------- requests


class Viewport(BaseModel):
    """Size of the page's window in CSS pixels."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    width: Annotated[int, Field(ge=200, le=4000)] = 1280
    height: Annotated[int, Field(ge=200, le=4000)] = 800


class ScanRequest(Wire):
    """One page to scan.

    Exactly one of ``url`` and ``html``. ``wait_until`` is the load event waited for; ``wait_for`` a CSS selector
    that must appear besides. ``deadline_s`` bounds the whole scan. ``screenshot`` asks for pictures of the page and of
    each finding's first few elements. ``group`` names the template or section that the page belongs to. Scans of the
    page's host begin ``host_gap_ms`` apart, where its robots.txt asks for that (Crawl-delay), or as HOST_GAP_MS says if
    that is more. Secrets (headers, storage state) are not part of it: see ``Keys.secret``.
    """

    url: str | None = None
    html: str | None = None
    standard: Standard = "wcag22aa"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    disabled_rules: tuple[str, ...] = ()
    viewport: Viewport = Viewport()
    wait_until: Literal["load", "domcontentloaded"] = "load"
    wait_for: str | None = None
    deadline_s: Annotated[float, Field(gt=0, le=600)] = 60.0
    screenshot: bool = False
    assess: bool = True
    group: Annotated[str, Field(max_length=200)] = ""
    host_gap_ms: Annotated[int, Field(ge=0, le=60_000)] = 0

    @field_validator("url")
    @classmethod
    def _url_is_http(cls, url: str | None) -> str | None:
        return None if url is None else check_url(url)

    @model_validator(mode="after")
    def _one_source(self) -> ScanRequest:
        if (self.url is None) == (self.html is None):
            msg = "expected exactly one of url and html"
            raise ValueError(msg)
        return self


class QueryRequest(Wire):
    """One question about what was found; ``site`` limits it to one host."""

    question: Annotated[str, Field(min_length=1, max_length=20_000)]
    thread_id: Annotated[str, Field(max_length=200)] = ""
    site: Annotated[str, Field(max_length=255)] = ""
    use_cache: bool = True


# ---------------------------------------------------------------------------------------------- results


class Node(BaseModel):
    """One element that fails a rule: one barrier.

    ``selector`` is axe's target: a CSS selector a frame (and a list of them a shadow root), outermost first. In a scan
    with pictures, nodes outside of frames also have ``box``: left, top, width, height in the page's pixels.
    """

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    selector: tuple[str | tuple[str, ...], ...]
    snippet: str
    failure_summary: str = ""
    fingerprint: str


class Finding(BaseModel):
    """One axe rule that failed (``violation``) or needs review (``incomplete``) on one page.

    ``node_count`` counts all nodes found, also those that were trimmed from ``nodes`` to keep the result small.
    ``criteria`` are WCAG success criteria such as ``1.4.3``.
    """

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    rule: str
    outcome: Literal["violation", "incomplete"] = "violation"
    impact: Impact | None = None
    criteria: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    help: str = ""
    help_url: str = ""
    description: str = ""
    nodes: tuple[Node, ...] = ()
    node_count: int = 0
    fingerprint: str

    @property
    def is_trimmed(self) -> bool:
        """Whether nodes were left out."""
        return self.node_count > len(self.nodes)


class Counts(BaseModel):
    """A number for each impact."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    critical: int = 0
    serious: int = 0
    moderate: int = 0
    minor: int = 0

    @property
    def total(self) -> int:
        """Sum over the impacts."""
        return self.critical + self.serious + self.moderate + self.minor


class Priority(BaseModel):
    """One step of the order in which the model would mend the page."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    fingerprint: str
    who: str = ""
    why: str = ""
    fix: str = ""


class ReviewProposal(BaseModel):
    """What a model proposes about one element that axe-core left for a person to judge. It still needs review.

    Neither a finding nor the absence of one: it is in no count, and no gate, baseline or trend may read it. A report
    shows it beside the node of ``ScanResult.incomplete`` with this ``fingerprint``, as a proposal of ``source``, the
    model's name; ``look_at`` is what a person should look at to decide.
    """

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    fingerprint: str
    rule: str
    area: str
    verdict: Literal["barrier", "no_barrier", "cannot_tell"]
    why: str = ""
    look_at: str = ""
    source: str = ""


class Assessment(BaseModel):
    """What the model wrote about the findings. Never the gate.

    ``prompt`` is the version of the prompt, ``dropped`` counts statements about no finding of this page, ``left_out``
    the findings that the model was not shown for want of room. ``model_reason`` says why this model answered, '' where
    it is simply the one of CHAT_MODEL. ``summary`` is empty where there was nothing but ``reviews`` to write.

    ``reviews`` are proposals about what needs review, ``reviewed`` the version of the prompt by area that was asked
    about, ``unreviewed`` the elements that need review and about which nothing is proposed.
    """

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    summary: str
    priorities: tuple[Priority, ...] = ()
    prompt: str = ""
    dropped: int = 0
    left_out: int = 0
    model_reason: str = ""
    reviews: tuple[ReviewProposal, ...] = ()
    reviewed: dict[str, str] = {}
    unreviewed: int = 0


class Changes(BaseModel):
    """Barriers against the previous scan of the same URL, by node fingerprint.

    ``uncertain`` names the rules of which not every element was known in both scans.
    """

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    previous: str | None = None
    new: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    unchanged: int = 0
    uncertain: tuple[str, ...] = ()


class Usage(BaseModel):
    """Tokens and times of the model calls of one job."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    prompt_tokens: int = 0
    output_tokens: int = 0
    calls: int = 0
    gpu_wait_ms: int = 0
    gpu_ms: int = 0
    cache_hit: bool = False


class ErrorInfo(BaseModel):
    """Why a job ended without a result: the error's class name and its message, no traceback."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    type: str
    message: str


class Result(Wire):
    """What ``result:<id>`` holds; every kind of job adds its fields. ``error`` is set unless it succeeded."""

    job_id: str = ""
    kind: str = ""
    state: JobState = JobState.SUCCEEDED
    error: ErrorInfo | None = None


class FunctionResult(Result):
    """Result of a job that is neither a scan nor a query: the function's JSON-able return value."""

    value: Any = None


class ScanResult(Result):
    """One scan of one page.

    ``status``: ``scanned`` (whole), ``partial`` (read in part: ``reason`` says which), ``unreachable``, ``blocked``
    (by the guard). Only ``scanned`` with no findings is a pass. ``counts`` counts violated rules by impact,
    ``barriers`` the elements that violate them; what needs review is in ``incomplete`` and in neither. ``screenshot``
    is the key of the pictures, where there are any. ``notes`` says in words what is missing from the result, and why.
    """

    kind: str = "scan"
    scan_id: str = ""
    url: str = ""
    final_url: str = ""
    title: str = ""
    group: str = ""
    status: ScanStatus
    reason: str = ""
    standard: str = "wcag22aa"
    http_status: int | None = None
    engine: dict[str, str] = {}
    findings: tuple[Finding, ...] = ()
    incomplete: tuple[Finding, ...] = ()
    counts: Counts = Counts()
    barriers: Counts = Counts()
    screenshot: str | None = None
    assessment: Assessment | None = None
    assessment_source: str = "none: not asked for"
    changes: Changes | None = None
    notes: tuple[str, ...] = ()
    usage: Usage = Usage()
    timings_ms: dict[str, int] = {}

    @property
    def is_pass(self) -> bool:
        """Whether the whole page was read and no rule is violated."""
        return self.status == "scanned" and not self.findings


class QueryResult(Result):
    """One answer; ``sources`` are the ids of the scans it rests on.

    ``model`` is what answered, by the prompt of version ``prompt``; ``model_reason`` says why that one, '' where it is
    simply the one of CHAT_MODEL. ``notes`` says in words what the answer lacks: what was left out for want of room,
    which tools failed or were refused, that it rests on no scan.
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
    timings_ms: dict[str, int] = {}


RESULTS: Final[dict[str, type[Result]]] = {"scan": ScanResult, "query": QueryResult}


# ---------------------------------------------------------------------------------------------- events


class Event(Wire):
    """One line of the event stream: ``job.succeeded``, ``job.retried``, ``batch.finished`` and others.

    ``id`` is the stream entry's id, from which a reader resumes; it is not part of the line itself.
    """

    event: str
    at_ms: int = 0
    job_id: str | None = None
    kind: str | None = None
    lane: str | None = None
    state: JobState | None = None
    batch: str | None = None
    attempt: int | None = None
    worker: str | None = None
    id: str | None = None


# ---------------------------------------------------------------------------------------------- functions


def check_url(url: str) -> str:
    """Return ``url`` stripped; raise ``ValueError`` unless it is an absolute http or https URL with a host."""
    url = url.strip()
    if any(unicodedata.category(c) == "Cc" for c in url):
        msg = "the URL contains a control character"
        raise ValueError(msg)
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        msg = f"{url!r} is not a URL: {error}"
        raise ValueError(msg) from None
    if parts.scheme not in {"http", "https"}:
        what = f"has the scheme {parts.scheme!r}" if parts.scheme else "has no scheme"
        msg = f"{url!r} {what}: expected an address that starts with http:// or https://"
        raise ValueError(msg)
    if not host:
        msg = f"{url!r} names no host: expected something like https://example.org/page"
        raise ValueError(msg)
    return url


def public_url(url: str) -> str:
    """Return ``url`` without user name, password and fragment: what may be logged and stored."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, parts.query, ""))


def check_job_id(job_id: str) -> str:
    """Return ``job_id``; raise ``InvalidJob`` unless it matches ``JOB_ID``."""
    if not JOB_ID.fullmatch(job_id):
        msg = (
            f"job id {job_id[:140]!r}: expected 1 to 128 letters, digits, '_', '-' or '.', "
            f"beginning with a letter or digit"
        )
        raise InvalidJob(msg)
    return job_id


def describe_invalid(error: ValidationError) -> str:
    """Say in one line which fields are wrong and what was expected, without pydantic's links or inputs."""
    parts: list[str] = []
    for item in error.errors(include_url=False, include_input=False):
        where = ".".join(str(p) for p in item["loc"])
        message = item["msg"].removeprefix("Value error, ")
        parts.append(f"{where}: {message}" if where else message)
    return "; ".join(parts)


_COMPACT: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
"""Made once: json.dumps makes an encoder for each call, which costs more than a small payload."""


def encode_payload(payload: JsonObject) -> str:
    """Return the payload's JSON.

    Raises ``InvalidJob`` for what JSON cannot carry, ``JobTooLarge`` over ``MAX_PAYLOAD_BYTES``.
    """
    try:
        text = _COMPACT.encode(payload)
        size = len(text) if text.isascii() else len(text.encode())
    except (TypeError, ValueError) as error:
        msg = f"the payload cannot be sent as JSON: {error}"
        raise InvalidJob(msg) from None
    if size > MAX_PAYLOAD_BYTES:
        msg = f"the payload has {size} bytes: at most {MAX_PAYLOAD_BYTES} are accepted; send a URL instead of a page"
        raise JobTooLarge(msg)
    return text


def decode_payload(text: str | bytes) -> JsonObject:
    """Return the payload's fields; raise ``InvalidJob`` for all that is not one JSON object within the limit."""
    if len(text) > MAX_PAYLOAD_BYTES:
        msg = f"the payload has {len(text)} bytes: at most {MAX_PAYLOAD_BYTES} are accepted"
        raise InvalidJob(msg)
    try:
        value: object = json.loads(text if isinstance(text, str) else text.decode())
    except (ValueError, RecursionError) as error:
        msg = f"the payload is not JSON: {error}"
        raise InvalidJob(msg) from None
    if not isinstance(value, dict):
        msg = f'the payload is a JSON {type(value).__name__}: expected an object such as {{"url": "https://…"}}'
        raise InvalidJob(msg)
    return cast("JsonObject", value)


def decode_result(text: str | bytes) -> Result:
    """Return the result in the class of its kind (``RESULTS``); a job without a result stays a plain ``Result``.

    Raises ``RedisUnsuitable`` for what is no result of ours.
    """
    try:
        fields = json.loads(text)
        if isinstance(fields, dict) and cast("JsonObject", fields).get("error") is None:
            return RESULTS.get(str(cast("JsonObject", fields).get("kind")), FunctionResult).model_validate(fields)
        return Result.model_validate(fields)
    except ValidationError as error:
        why = describe_invalid(error)
    except (ValueError, RecursionError) as error:
        why = str(error)
    msg = (
        f"what is kept as the job's result is none ({why[:300]}): another program wrote to this key, or a newer release"
    )
    raise RedisUnsuitable(msg)


def page_id(url: str) -> str:
    """Return the stable id of a page: 24 hex digits of the SHA-256 of its URL without user info and fragment."""
    return hashlib.sha256(public_url(url).encode()).hexdigest()[:24]
