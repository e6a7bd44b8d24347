"""What travels between producers and workers: requests, results, events. No I/O.

JSON on the wire, ``v`` = 1, unknown fields kept, so that a release can read what its neighbour wrote. Nothing
here executes or imports what Redis holds. Times are Redis times in ms since the epoch unless a name ends in
``_s``. Keys are in ``producer/keys.py``; the life of a job is drawn in ``ops/state_machine.md``.

Import from here, not from the parts. ``terms.py``, ``addresses.py`` and ``payloads.py`` are plain Python. The models
come when they are asked for: pydantic would be a third of the time that a command needs which has no use for it. A
module that uses them in few places writes ``contract.Event`` there.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from producer.contract.addresses import check_url, normal_url, page_id, public_url
from producer.contract.doubts import DOUBTS
from producer.contract.payloads import (
    JOB_ID,
    KINDS_WITH_MODELS,
    MAX_KIND_CHARS,
    MAX_PAYLOAD_BYTES,
    MAX_RESULT_BYTES,
    check_job_id,
    decode_payload,
    encode_payload,
    request_fields,
)
from producer.contract.terms import (
    FINAL_STATES,
    IMPACTS,
    PAGE_SHOT,
    WIRE_VERSION,
    Impact,
    JobState,
    JsonObject,
    Lane,
    ScanStatus,
    Standard,
)

if TYPE_CHECKING:
    from producer.contract.assessment import Assessment, Priority, ReviewProposal
    from producer.contract.event import Event
    from producer.contract.findings import Changes, Counts, Doubt, Finding, Node
    from producer.contract.message import Message, describe_invalid
    from producer.contract.requests import REQUESTS, QueryRequest, ScanRequest, Viewport
    from producer.contract.results import (
        RESULTS,
        ErrorInfo,
        FunctionResult,
        QueryResult,
        Result,
        ScanResult,
        Usage,
        decode_result,
    )

__all__ = [
    "DOUBTS",
    "FINAL_STATES",
    "IMPACTS",
    "JOB_ID",
    "KINDS_WITH_MODELS",
    "MAX_KIND_CHARS",
    "MAX_PAYLOAD_BYTES",
    "MAX_RESULT_BYTES",
    "PAGE_SHOT",
    "REQUESTS",
    "RESULTS",
    "WIRE_VERSION",
    "Assessment",
    "Changes",
    "Counts",
    "Doubt",
    "ErrorInfo",
    "Event",
    "Finding",
    "FunctionResult",
    "Impact",
    "JobState",
    "JsonObject",
    "Lane",
    "Message",
    "Node",
    "Priority",
    "QueryRequest",
    "QueryResult",
    "Result",
    "ReviewProposal",
    "ScanRequest",
    "ScanResult",
    "ScanStatus",
    "Standard",
    "Usage",
    "Viewport",
    "check_job_id",
    "check_url",
    "decode_payload",
    "decode_result",
    "describe_invalid",
    "encode_payload",
    "normal_url",
    "page_id",
    "public_url",
    "request_fields",
]

_WITH_MODELS: Final = {
    "assessment": ("Assessment", "Priority", "ReviewProposal"),
    "event": ("Event",),
    "findings": ("Changes", "Counts", "Doubt", "Finding", "Node"),
    "message": ("Message", "describe_invalid"),
    "requests": ("REQUESTS", "QueryRequest", "ScanRequest", "Viewport"),
    "results": (
        "RESULTS",
        "ErrorInfo",
        "FunctionResult",
        "QueryResult",
        "Result",
        "ScanResult",
        "Usage",
        "decode_result",
    ),
}
_PART_OF: Final = {name: part for part, names in _WITH_MODELS.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import the part that has ``name``, and keep what was asked for."""
    if (part := _PART_OF.get(name)) is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    found = globals()[name] = getattr(import_module(f"{__name__}.{part}"), name)
    return found
