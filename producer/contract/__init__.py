"""The messages between producers and workers: requests, results, events. No I/O.

JSON, ``v`` = 1; unknown fields are kept, so that neighbouring releases can read each other's messages. Nothing here
executes or imports data from Redis. Times are Redis times in ms since the epoch unless a name ends in ``_s``. Keys are
in ``producer/keys.py``; how a job lives is drawn in ``docs/state-machine.md``.

Import from here, not from the parts. ``terms.py``, ``addresses.py`` and ``payloads.py`` are plain Python. Addresses and
models are imported on demand: pydantic would take a third of the run time of a command that does not need it. A module
that uses them in few places writes ``contract.Event``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from producer.contract.payloads import (
    JOB_ID,
    KINDS_WITH_MODELS,
    MAX_KIND_CHARS,
    MAX_PAYLOAD_BYTES,
    MAX_RESULT_BYTES,
    assess_job_id,
    check_job_id,
    check_own_job_id,
    decode_payload,
    encode_payload,
    fix_job_id,
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
    from producer.contract.addresses import check_url, normal_url, page_id, public_url
    from producer.contract.appearance import Viewport
    from producer.contract.assessment import Assessment, AssessmentSource, Priority, ReviewProposal, SiteOrder
    from producer.contract.doubts import DOUBTS
    from producer.contract.findings import Changes, Counts, Doubt, Finding, MeasuredContrast, Node
    from producer.contract.fixes import Replacement, TriedFix
    from producer.contract.meaning import NamedElement
    from producer.contract.message import Event, Message, describe_invalid
    from producer.contract.requests import REQUESTS, QueryRequest, ScanRequest
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
    "AssessmentSource",
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
    "MeasuredContrast",
    "Message",
    "NamedElement",
    "Node",
    "Priority",
    "QueryRequest",
    "QueryResult",
    "Replacement",
    "Result",
    "ReviewProposal",
    "ScanRequest",
    "ScanResult",
    "ScanStatus",
    "SiteOrder",
    "Standard",
    "TriedFix",
    "Usage",
    "Viewport",
    "assess_job_id",
    "check_job_id",
    "check_own_job_id",
    "check_url",
    "decode_payload",
    "decode_result",
    "describe_invalid",
    "encode_payload",
    "fix_job_id",
    "normal_url",
    "page_id",
    "public_url",
    "request_fields",
]

_ON_DEMAND: Final = (
    "addresses",
    "doubts",
    "message",
    "findings",
    "assessment",
    "fixes",
    "meaning",
    "appearance",
    "requests",
    "results",
)
"""The modules imported on demand, each after its own imports."""


def __getattr__(name: str) -> Any:
    """Import the modules up to the one with ``name``, and cache the name."""
    for part in _ON_DEMAND if name in __all__ else ():
        module = import_module(f"{__name__}.{part}")
        if hasattr(module, name):
            found = globals()[name] = getattr(module, name)
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
