"""Converts an arq program's ids, arguments, values and errors to and from the contract. Pure: no I/O.

The default is JSON. The output of a custom ``job_serializer`` is stored as base64 under ``SERIALIZED``, so that readers
without the deserializer recognise it. Nothing is pickled unless the user passes pickle's functions. Error classes are
looked up in loaded modules; nothing named in Redis is ever imported.
"""

from __future__ import annotations

import builtins
import hashlib
import json
import re
import sys
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final, cast

from arq.constants import default_queue_name
from arq.jobs import DeserializationError, SerializationError
from arq.worker import JobExecutionFailed, Retry
from pydantic import ValidationError
from redis.exceptions import ConnectionError as RedisConnectionError

from producer.contract import JOB_ID, ErrorInfo
from producer.errors import InvalidJob, RedisUnreachable, SettingsError, Unconfirmed
from worker.queue.outcome import describe

Serializer = Callable[[dict[str, Any]], Any]
Deserializer = Callable[[bytes], dict[str, Any]]

SERIALIZED: Final = "$arq"
"""Marks the base64 output of ``job_serializer``; it cannot be the name of a Python keyword argument."""
RETURNED: Final = "$error"
"""Marks an exception that a function returned instead of raising it."""
CURE: Final = (
    "send JSON (an ISO text, a list, model_dump(mode='json')), or pass "
    "job_serializer=typed_json.dumps and job_deserializer=typed_json.loads of sightline.arq to pool and worker"
)
SCANNERS: Final = ("scan", "query")
"""Sightline's own kinds, whose jobs wait for a worker that knows them."""
OWN_KIND: Final = "; a kind of Sightline: give your function another name with func(name=…)"
MAX_MS: Final = 10**14
"""3,000 years, which Lua's numbers represent exactly."""
_ENCODED: Final = "arq.."
"""Prefix of an encoded id."""
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]")
_ESCAPE: Final = re.compile(rb"\.([0-9a-f]{2})")
_QUEUE: Final = re.compile(r"[a-z0-9_-]+")
_MAX_ENVIRONMENT: Final = 32

# ------------------------------------------------------------------------------------------ ids and queues


def stream_job_id(given: str) -> str:
    """Encode ``given`` as a job id of Sightline; arq's may contain anything, such as the colons of cron jobs.

    Different ids stay different, and ``given_job_id`` decodes them. Only ids that are too long become a digest, which
    no job has, since ``enqueue_job`` refuses them.
    """
    if JOB_ID.fullmatch(given) and not given.startswith(_ENCODED):
        return given
    escaped = (chr(byte) if _PLAIN.match(chr(byte)) else f".{byte:02x}" for byte in given.encode("utf-8", "replace"))
    encoded = _ENCODED + "".join(escaped)
    return encoded if JOB_ID.fullmatch(encoded) else hashlib.sha256(given.encode("utf-8", "replace")).hexdigest()


def given_job_id(job_id: str) -> str:
    """Return the program's id of a job."""
    if not job_id.startswith(_ENCODED):
        return job_id
    raw = _ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), job_id[len(_ENCODED) :].encode())
    return raw.decode("utf-8", "replace")


def environment_of(environment: str, queue_name: str) -> str:
    """Return the environment of ``queue_name``, which shares no keys with other queues.

    arq's default queue is the environment itself; ``mail`` in ``prod`` is ``prod-q-mail``. A name that is too long or
    has other characters is shortened and gets a digest as its suffix.
    """
    if queue_name == default_queue_name:
        return environment
    made = f"{environment}-q-{queue_name}"
    if _QUEUE.fullmatch(queue_name) and len(made) <= _MAX_ENVIRONMENT:
        return made
    digest = hashlib.sha256(queue_name.encode()).hexdigest()[:8]
    room = _MAX_ENVIRONMENT - len(environment) - len(digest) - 4
    if room < 0:
        msg = f"environment {environment!r} leaves no room for queue {queue_name!r}: expected at most 20 characters"
        raise SettingsError(msg)
    slug = re.sub(r"[^a-z0-9_-]+", "-", queue_name.lower())[:room]
    return f"{environment}-q-{slug}-{digest}"


def milliseconds(name: str, given: float | timedelta | None) -> int:
    """Return arq's ``SecondsTimedelta`` in ms; raises ``InvalidJob`` with the option's ``name``."""
    try:
        ms = int((given.total_seconds() if isinstance(given, timedelta) else float(given or 0)) * 1000)
    except (TypeError, ValueError, OverflowError):
        ms = MAX_MS
    if abs(ms) < MAX_MS:
        return ms
    msg = f"{name}={given!r:.80}: expected seconds or a timedelta, at most 3,000 years"
    raise InvalidJob(msg)


# ------------------------------------------------------------------------------------------ arguments and values


def pack(serializer: Serializer, about: dict[str, Any], *, what: str) -> dict[str, str]:
    """Return the marked output of ``serializer``; raises arq's ``SerializationError``."""
    try:
        made: object = serializer(about)  # should be bytes
    except Exception as error:
        msg = f"unable to serialize {what}: job_serializer raised {type(error).__name__}: {error}"
        raise SerializationError(msg) from error
    if not isinstance(made, bytes):
        msg = f"unable to serialize {what}: job_serializer returned {type(made).__name__}; expected bytes"
        raise SerializationError(msg)
    return {SERIALIZED: b64encode(made).decode()}


def is_packed(value: object) -> bool:
    """Return whether ``value`` is an output of ``pack``."""
    return isinstance(value, dict) and list(cast("dict[Any, Any]", value)) == [SERIALIZED]


def unpack(packed: Mapping[str, Any], deserializer: Deserializer | None, *, what: str) -> dict[str, Any]:
    """Decode the output of ``pack``; raises ``DeserializationError``."""
    if deserializer is None:
        msg = (
            f"unable to deserialize {what}: it was written by a job_serializer; pass the matching job_deserializer here"
        )
        raise DeserializationError(msg)
    try:
        return deserializer(b64decode(cast("str", packed[SERIALIZED]), validate=True))
    except (Base64Error, TypeError) as error:
        msg = f"unable to deserialize {what}: its bytes are not base64"
        raise DeserializationError(msg) from error
    except Exception as error:
        msg = f"unable to deserialize {what}: job_deserializer raised {type(error).__name__}: {error}"
        raise DeserializationError(msg) from error


@contextmanager
def own_kind_named(function: str) -> Generator[None]:
    """Add to ``InvalidJob`` that the function has the name of a kind of Sightline, if it has."""
    try:
        yield
    except InvalidJob as error:
        raise InvalidJob(f"{error}{OWN_KIND if function in SCANNERS else ''}") from None


def check_arguments(function: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Raise ``SerializationError`` with the function, the first argument JSON cannot represent, and a remedy."""
    named = [(f"argument {n}", value) for n, value in enumerate(args, start=1)]
    named += [(f"argument {name!r}", value) for name, value in kwargs.items()]
    for name, value in named:
        try:
            json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            msg = f'unable to serialize job "{function}": {name} is not JSON ({error}); {CURE}'
            raise SerializationError(msg) from error


# ------------------------------------------------------------------------------------------ errors


class NoRedis(RedisUnreachable, RedisConnectionError):
    """``RedisUnreachable``, also for programs that catch redis-py's error."""


class NoReply(Unconfirmed, RedisConnectionError):
    """``Unconfirmed``, also for programs that catch redis-py's error."""


@contextmanager
def outages_of_redis() -> Generator[None]:
    """Raise redis-py's ``ConnectionError`` for outages, as arq does."""
    try:
        yield
    except Unconfirmed as error:
        raise NoReply(str(error)) from error
    except RedisUnreachable as error:
        raise NoRedis(str(error)) from error


def error_info(error: BaseException) -> ErrorInfo:
    """Return the error with its class and, if they are valid JSON, its arguments and attributes, to rebuild it."""
    about: dict[str, Any] = {"module": type(error).__module__, "qualname": type(error).__qualname__}
    args, attributes = _state_of(error)
    if _is_json(args):
        about["args"] = args
    if attributes and _is_json(attributes):
        about["attributes"] = attributes
    return ErrorInfo.model_validate({**describe(error).model_dump(), **about})


def _state_of(error: BaseException) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments and attributes by which pickle rebuilds the error."""
    if isinstance(error, Retry):
        return [(error.defer_score or 0) / 1000], {}
    try:
        reduced: Any = error.__reduce__()
        kind, args, attributes = (*reduced, {})[:3]
    except Exception:  # noqa: BLE001  the user's code
        return list(error.args), {}
    return (list(args), attributes or {}) if kind is type(error) else (list(error.args), {})


def _is_json(value: object) -> bool:
    try:
        return json.loads(json.dumps(value, allow_nan=False)) == value
    except (TypeError, ValueError, RecursionError):
        return False


def error_of(info: ErrorInfo) -> Exception:
    """Rebuild the exception of a failure if its class is loaded and accepts its arguments.

    Otherwise returns a ``JobExecutionFailed`` that names it.
    """
    if info.type == JobExecutionFailed.__name__:
        return JobExecutionFailed(info.message)
    about = info.model_extra or {}
    kind = _class_of(about) or getattr(builtins, info.type, None)
    args = about.get("args", [info.message])
    if isinstance(kind, type) and issubclass(kind, Exception) and isinstance(args, list):
        try:
            error = kind(*cast("list[Any]", args))
            error.__dict__.update(about.get("attributes") or {})
        except Exception:  # noqa: BLE001, S110  the user's constructor may need values that JSON lacks
            pass
        else:
            return error
    return JobExecutionFailed(f"{info.type}: {info.message}")


def pack_error(error: Exception) -> dict[str, Any]:
    """Return an exception that a function returned, as JSON."""
    return {RETURNED: error_info(error).model_dump()}


def returned_error(value: object) -> Exception | None:
    """Rebuild an exception that a function returned; None for other values."""
    if not isinstance(value, dict) or list(cast("dict[Any, Any]", value)) != [RETURNED]:
        return None
    try:
        return error_of(ErrorInfo.model_validate(value[RETURNED]))
    except ValidationError:
        return None


def _class_of(about: Mapping[str, Any]) -> object:
    found: object = sys.modules.get(str(about.get("module", "")))
    for name in str(about.get("qualname", "")).split("."):
        found = getattr(found, name, None)
    return found
