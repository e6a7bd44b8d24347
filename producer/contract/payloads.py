"""A job as submitted: its id, its payload as JSON, and their limits. Needs no pydantic itself.

The models in ``requests.py`` check a payload's fields, for kinds that have a model.
"""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import TYPE_CHECKING, Final, cast

from producer.contract.terms import JsonObject
from producer.errors import InvalidJob, JobTooLarge

if TYPE_CHECKING:
    from pydantic import BaseModel

MAX_PAYLOAD_BYTES: Final = 1_000_000
"""Payloads are kept in Redis memory until 7 days after the end; a page's HTML fits, a video does not."""
MAX_RESULT_BYTES: Final = 4_000_000
"""Above this size findings are trimmed node by node, and the result says so."""
MAX_KIND_CHARS: Final = 100
KINDS_WITH_MODELS: Final = frozenset({"scan", "query"})
"""Kinds whose payloads ``requests.py`` checks; custom kinds take any JSON object."""
JOB_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
"""Job ids are parts of key names, file names and URLs: no colon, space or slash."""
ASSESS: Final = "assess"
"""Kind of the job that assesses a finished scan, and the start of its id."""
FIX: Final = "fix"
"""Kind of the job that tries changes on a scanned page, and the start of its id."""

FIND_PAGES: Final = "find_pages"
"""Kind of the job that finds the pages of a batch when it is due, and submits their scans."""
PAGES: Final = ".pages"
"""End of that job's id, after the name of its batch."""

RESERVED: Final = (f"{ASSESS}.", f"{FIX}.")
"""Reserved prefixes of job ids."""

_COMPACT: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
"""Created once: json.dumps creates an encoder per call, which costs more than a small payload."""


def check_job_id(job_id: str, *, what: str = "job id") -> str:
    """Return ``job_id``; raise ``InvalidJob``, naming ``what`` it is, unless it matches ``JOB_ID``."""
    if not JOB_ID.fullmatch(job_id):
        raise InvalidJob(
            f"{what} {job_id[:140]!r}: expected 1 to 128 letters, digits, '_', '-' or '.', "
            f"beginning with a letter or digit"
        )
    return job_id


def check_own_job_id(job_id: str, *, what: str = "job id") -> str:
    """Return ``job_id``; raise ``InvalidJob``, naming ``what`` it is, unless it may name a new job or batch."""
    if check_job_id(job_id, what=what).startswith(RESERVED):
        raise InvalidJob(
            f"{what} {job_id!r}: ids that begin with 'assess.' or 'fix.' are reserved for jobs that follow a scan: "
            f"choose another id"
        )
    return job_id


def assess_job_id(scan: str) -> str:
    """Return the id of the job that assesses the scan of job ``scan``."""
    return _job_id_of(ASSESS, scan)


def fix_job_id(scan: str) -> str:
    """Return the id of the job that tries changes on the page of the scan of job ``scan``."""
    return _job_id_of(FIX, scan)


def _job_id_of(kind: str, scan: str) -> str:
    own_id = f"{kind}.{scan}"
    return own_id if JOB_ID.fullmatch(own_id) else f"{kind}.{sha256(scan.encode()).hexdigest()}"


def request_fields(kind: str, payload: BaseModel | JsonObject) -> JsonObject:
    """Return the payload to send; raises ``InvalidJob`` if it does not match ``kind``.

    The models are imported for the first payload that needs one; custom kinds need no pydantic.
    """
    if kind not in KINDS_WITH_MODELS and isinstance(payload, dict):
        return payload
    from producer.contract.requests import checked_fields  # noqa: PLC0415  it imports pydantic

    return checked_fields(kind, payload)


def encode_payload(payload: JsonObject) -> str:
    """Return the payload's JSON.

    Raises ``InvalidJob`` for values that JSON cannot represent, ``JobTooLarge`` above ``MAX_PAYLOAD_BYTES``.
    """
    try:
        text = _COMPACT.encode(payload)
        size = len(text) if text.isascii() else len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidJob(f"the payload cannot be sent as JSON: {error}") from None
    if size > MAX_PAYLOAD_BYTES:
        msg = f"the payload has {size} bytes: at most {MAX_PAYLOAD_BYTES} are accepted; send a URL instead of a page"
        raise JobTooLarge(msg)
    return text


def decode_payload(text: str | bytes) -> JsonObject:
    """Return the payload's fields; raise ``InvalidJob`` unless it is one JSON object within the limit."""
    if len(text) > MAX_PAYLOAD_BYTES:
        raise InvalidJob(f"the payload has {len(text)} bytes: at most {MAX_PAYLOAD_BYTES} are accepted")
    try:
        value: object = json.loads(text if isinstance(text, str) else text.decode())
    except (ValueError, RecursionError) as error:
        raise InvalidJob(f"the payload is not JSON: {error}") from None
    if not isinstance(value, dict):
        msg = f'the payload is a JSON {type(value).__name__}: expected an object such as {{"url": "https://…"}}'
        raise InvalidJob(msg)
    return cast("JsonObject", value)
