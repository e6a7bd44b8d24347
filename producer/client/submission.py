"""A submission in Redis's terms: the keys and arguments of submit.lua, and the meaning of its replies.

Shared by the client and the worker's ``StreamPool``, so that all jobs have the same shape.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final, cast

from producer import contract
from producer.client.given import check_arguments, check_seconds, check_secrets, check_text, check_tries
from producer.contract import MAX_KIND_CHARS, JsonObject, Lane, check_own_job_id, encode_payload
from producer.contract.terms import SUBMITTED
from producer.contract.variables import check_variables
from producer.errors import BatchClosed, InvalidJob, QueueFull, RedisUnsuitable
from producer.keys import Keys
from producer.redis.scripts import Arg, load_script

if TYPE_CHECKING:
    from pydantic import BaseModel

SUBMIT: Final = load_script("producer.client", "submit")
SECRETS: Final[dict[str, tuple[type, ...]]] = {
    "headers": (dict,),
    "cookies": (list, tuple),
    "storage_state": (dict,),
    "variables": (dict,),
}
"""Secrets of a scan behind a login and the values of its steps' variables; stored separately until the job ends."""
LANES: Final = {"query": Lane.INTERACTIVE}
"""Default lane of a kind; all others default to batch."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """A queued job; ``created`` is False if a job with that id already existed."""

    job_id: str
    created: bool


@dataclass(slots=True, eq=False)
class Submission:
    """A job to be submitted; ``nonce`` distinguishes a repetition of this call from another job with the same id."""

    job_id: str
    kind: str
    lane: Lane
    payload: str
    args: str = ""
    delay_ms: int = 0
    """Negative if it is overdue."""
    due_ms: int = 0
    """When it is due, Redis ms, instead of ``delay_ms``."""
    tries: int = 0
    batch: str = ""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    nonce: str = ""
    expires_ms: int = 0
    attempts: int = 0
    frees_id: bool = False
    """Whether to replace an ended job with this id whose result has expired; not with a batch or secrets."""

    def keys(self, keys: Keys) -> list[str]:
        """Return KEYS of submit.lua."""
        named = [keys.job(self.job_id), keys.lane(self.lane), keys.scheduled]
        named += [keys.batch(self.batch)] if self.batch else []
        named += [keys.result(self.job_id)] if self.frees_id else []
        return [*named, keys.secret(self.job_id)] if self.secrets else named

    def doubt(self) -> str:
        """Return the message for a submission that Redis did not confirm."""
        return f"job {self.job_id!r} may have been added; submit it again under that id to be sure"

    def args_of(self, *, backlog_limit: int, memory_share: float) -> list[Arg]:
        """Return ARGV of submit.lua."""
        due = f"@{self.due_ms}" if self.due_ms else self.delay_ms
        job = (self.job_id, self.kind, self.lane, self.payload, self.args, due, self.tries, self.batch)
        tail = (self.expires_ms, self.attempts, int(self.frees_id), *self.secrets)
        return [*job, self.nonce, backlog_limit, memory_share, *tail]


def doubt_of_many(jobs: Sequence[Submission]) -> str:
    """Return the message for ``jobs`` that Redis did not confirm."""
    which = f"jobs {jobs[0].job_id!r} to {jobs[-1].job_id!r}" if len(jobs) > 1 else f"job {jobs[0].job_id!r}"
    return f"{which} may have been added; submit them again with the same job_ids to be sure"


def prepare(
    kind: str,
    payload: BaseModel | JsonObject,
    *,
    job_id: str | None = None,
    lane: Lane | str | None = None,
    batch: str | None = None,
    defer_s: float = 0.0,
    tries: int | None = None,
    args: Sequence[Any] = (),
    secrets: JsonObject | None = None,
) -> Submission:
    """Check and encode one job.

    Raises ``InvalidJob`` for a payload that does not match its kind and for an invalid id, lane, batch, time or number
    of tries, and ``JobTooLarge``. Custom kinds accept any JSON object. User info in a page's address becomes a secret.
    """
    fields = contract.request_fields(check_text("kind", kind), payload)
    if kind == "scan" and "@" in str(fields.get("url", "")):
        fields, secrets = _without_user_info(fields, secrets or {})
    secrets = check_secrets(secrets, SECRETS) if secrets else None
    if kind == "scan" and ("steps" in fields or "login" in fields):
        check_variables(fields, (secrets or {}).get("variables") or {})
    arguments = check_arguments(args) if args else None
    chance = token_hex(20)
    return Submission(
        job_id=check_own_job_id(check_text("job_id", job_id)) if job_id is not None else chance[:32],
        kind=_check_kind(kind),
        lane=_lane(kind, lane),
        payload=encode_payload(fields),
        args=encode_payload({"args": arguments})[8:-1] if arguments else "",
        delay_ms=int(check_seconds("defer_s", defer_s) * 1000) if defer_s != 0 else 0,
        tries=check_tries(tries) if tries is not None else 0,
        batch=check_own_job_id(check_text("batch", batch), what="batch") if batch else "",
        secrets=_encoded_secrets(secrets) if secrets else (),
        nonce=chance[32:],
    )


def _without_user_info(fields: JsonObject, secrets: JsonObject) -> tuple[JsonObject, JsonObject]:
    """Move user info from a page's address to the secrets: a job is kept for days, its secrets are not."""
    from producer.contract.addresses import split_user_info  # noqa: PLC0415  lazy: few addresses have user info

    url, login = split_user_info(str(fields["url"]))
    return {**fields, "url": url}, with_basic_login(secrets, login) if login else secrets


def with_basic_login(secrets: JsonObject, login: tuple[str, str]) -> JsonObject:
    """Return ``secrets`` with a Basic Authorization header (RFC 7617), unless they have an Authorization header."""
    headers = cast("JsonObject", secrets.get("headers") or {})
    if any(name.lower() == "authorization" for name in headers):
        return secrets
    return {**secrets, "headers": {**headers, "Authorization": f"Basic {b64encode(':'.join(login).encode()).decode()}"}}


def _encoded_secrets(secrets: JsonObject) -> tuple[str, ...]:
    """Return field names and their JSON values alternately."""
    return tuple(text for name, value in secrets.items() for text in (name, encode_payload({"value": value})[9:-1]))


def read_answer(submission: Submission, reply: Sequence[Any], keys: Keys) -> Submitted:
    """Decode submit.lua's reply; raises ``QueueFull``, ``BatchClosed``, ``RedisUnsuitable``."""
    match reply[0]:
        case b"created":
            return Submitted(submission.job_id, created=True)
        case b"duplicate":
            return Submitted(submission.job_id, created=False)
        case b"sealed":
            msg = f"batch {submission.batch!r} is closed and takes no more jobs; choose another batch name"
            raise BatchClosed(msg)
        case b"last_id":
            lane = keys.lane(submission.lane)
            msg = (
                f"{lane!r} accepts no more entries, since one was added by hand with the highest possible id: delete "
                f"the lane "
                f"(redis-cli DEL {lane}); the workers queue its jobs again"
            )
            raise RedisUnsuitable(msg)
        case _:
            raise _full(reply, keys.lane(submission.lane))


def _full(reply: Sequence[Any], lane_key: str) -> QueueFull:
    have, limit = int(reply[2]), int(reply[3])
    if reply[1] == b"backlog":
        return QueueFull(
            f"{lane_key!r} holds {have} jobs, and the limit is {limit}: add workers, or raise BACKLOG_LIMIT"
        )
    share = f"{have / limit:.0%}"
    return QueueFull(
        f"Redis uses {share} of its maxmemory ({have} of {limit} bytes): nothing was queued; raise maxmemory"
    )


def _check_kind(kind: str) -> str:
    if not kind or len(kind) > MAX_KIND_CHARS:
        msg = f"kind {kind[:100]!r}: expected a function name of 1 to 100 characters, such as 'scan'"
        raise InvalidJob(msg)
    return kind


def _lane(kind: str, lane: Lane | str | None) -> Lane:
    if lane is None:
        return LANES.get(kind, Lane.BATCH)
    try:
        return SUBMITTED[SUBMITTED.index(Lane(lane))]
    except ValueError:
        msg = f"lane {lane!r}: expected one of {', '.join(SUBMITTED)}"
        raise InvalidJob(msg) from None
