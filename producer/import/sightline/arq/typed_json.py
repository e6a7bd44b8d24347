"""JSON with types: dates, timedelta, UUID, Decimal, bytes, tuple, set, dataclasses, pydantic models, errors.

Optional; set both arq's ``job_serializer`` and ``job_deserializer``::

    await create_pool(settings, job_serializer=typed_json.dumps, job_deserializer=typed_json.loads)

Unlike pickle it cannot run arbitrary code: dataclasses, models and errors are built only from classes whose modules the
program has imported; any other name is an error.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, cast
from uuid import UUID

from pydantic import BaseModel

MARK: Final = "$type"


def _timedelta(given: list[int]) -> timedelta:
    return timedelta(*given)


def _bytes(given: str) -> bytes:
    return b64decode(given, validate=True)


def _dict(pairs: list[list[Any]]) -> dict[Any, Any]:
    return {key: value for key, value in pairs}  # noqa: C416  dict() wants its pairs as tuples to be typed


_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "timedelta": _timedelta,
    "UUID": UUID,
    "Decimal": Decimal,
    "bytes": _bytes,
    "tuple": tuple,
    "set": set,
    "dict": _dict,
}


def dumps(value: object) -> bytes:
    """Return ``value`` as JSON; raises ``TypeError`` that names an unsupported type."""
    return json.dumps(_to_json(value), allow_nan=False, ensure_ascii=False).encode()


def loads(text: bytes) -> Any:
    """Decode the output of ``dumps``; raises ``ValueError`` for anything else."""
    try:
        return _from_json(json.loads(text))
    except RecursionError:
        msg = "typed_json: the JSON is nested too deep: expected the output of dumps"
        raise ValueError(msg) from None


def _to_json(value: object) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) is list:
        return [_to_json(item) for item in cast("list[object]", value)]
    if type(value) is dict:
        pairs = cast("dict[object, object]", value)
        if all(type(key) is str for key in pairs) and MARK not in pairs:
            return {key: _to_json(item) for key, item in pairs.items()}
        return _marked("dict", [[_to_json(key), _to_json(item)] for key, item in pairs.items()])
    return _typed(value)


def _typed(value: object) -> Any:
    is_read = type(value).__name__ in _READERS  # a named tuple or another subclass would be refused by the reader
    match value:
        case datetime() | date() if is_read:
            return _marked(type(value).__name__, value.isoformat())
        case timedelta():
            return _marked("timedelta", [value.days, value.seconds, value.microseconds])
        case UUID() | Decimal() if is_read:
            return _marked(type(value).__name__, str(value))
        case bytes():
            return _marked("bytes", b64encode(value).decode())
        case tuple() | set() if is_read:
            return _marked(type(value).__name__, [_to_json(item) for item in cast("tuple[object]", value)])
        case BaseModel():
            fields = {name: getattr(value, name) for name in type(value).model_fields} | (value.model_extra or {})
            return _marked(_name_of(value), {name: _to_json(item) for name, item in fields.items()})
        case Exception():
            return _marked(_name_of(value), [_to_json(item) for item in value.args])
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}
            return _marked(_name_of(value), {name: _to_json(item) for name, item in fields.items()})
        case _:
            msg = f"typed_json cannot carry a {type(value).__name__}: give it as JSON, a dataclass or a pydantic model"
            raise TypeError(msg)


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_from_json(item) for item in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    fields = cast("dict[str, Any]", value)
    if MARK not in fields:
        return {key: _from_json(item) for key, item in fields.items()}
    name, given = str(fields[MARK]), _from_json(fields.get("value"))
    try:
        return _READERS[name](given) if name in _READERS else _built(_class_of(name), given)
    except (TypeError, AttributeError, ArithmeticError) as error:
        msg = f"typed_json: {name!r} cannot be built from what was sent: {error}"
        raise ValueError(msg) from error


def _built(found: type, given: Any) -> Any:
    if issubclass(found, BaseModel):
        return found.model_validate(given, by_name=True, by_alias=True)
    return found(*given) if issubclass(found, Exception) else found(**given)


def _class_of(name: str) -> type:
    module, _, qualname = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    is_known = isinstance(found, type) and (issubclass(found, BaseModel | Exception) or dataclasses.is_dataclass(found))
    if not is_known:
        msg = f"typed_json: {name!r} is not a class of this program: import its module before reading jobs and results"
        raise ValueError(msg)
    return found


def _marked(name: str, value: Any) -> dict[str, Any]:
    return {MARK: name, "value": value}


def _name_of(value: object) -> str:
    return f"{type(value).__module__}:{type(value).__qualname__}"
