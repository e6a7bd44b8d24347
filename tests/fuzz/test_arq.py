"""Whatever another arq program left in Redis is decoded or refused, without running anything."""

from __future__ import annotations

import pickle
from base64 import b64encode
from typing import Any

import pytest
from arq.jobs import DeserializationError
from hypothesis import given
from hypothesis import strategies as st
from sightline.arq import typed_json

from producer.contract import JOB_ID, ErrorInfo
from tests.fuzz.strange import BYTES, DEEP, JSON, TEXT, as_json
from worker.queue.arq_wire import error_of, given_job_id, pack, returned_error, stream_job_id, unpack

TYPES = (
    "datetime",
    "date",
    "timedelta",
    "UUID",
    "Decimal",
    "bytes",
    "tuple",
    "set",
    "dict",
    "arq.worker:Retry",
    "os:system",
)
TYPED: st.SearchStrategy[Any] = st.recursive(
    JSON,
    lambda inner: st.fixed_dictionaries({"$type": st.sampled_from(TYPES) | TEXT, "value": inner}),
    max_leaves=5,
)
ERRORS = st.dictionaries(
    st.sampled_from(["module", "qualname", "args", "attributes"]),
    JSON
    | st.sampled_from(["builtins", "os", "sys", "system", "exit", "SystemExit", "KeyError", "arq.worker", "Retry"]),
)


@given(TYPED.map(as_json).map(str.encode) | BYTES)
def test_typed_json_is_a_value_or_refused(raw: bytes):
    try:
        typed_json.loads(raw)
    except ValueError as error:
        assert str(error)


@given(TEXT)
def test_ids_of_any_program_are_job_ids_and_come_back(given_id: str):
    sent = stream_job_id(given_id)

    assert JOB_ID.fullmatch(sent)
    if sent.startswith("arq..") or sent == given_id:
        assert given_job_id(sent) == given_id.encode("utf-8", "replace").decode()


@given(st.one_of(BYTES.map(lambda raw: {"$arq": b64encode(raw).decode()}), JSON.map(lambda value: {"$arq": value})))
def test_bytes_of_another_serializer_are_refused(packed: dict[str, Any]):
    with pytest.raises(DeserializationError, match="job 'x'"):
        unpack(packed, None, what="job 'x'")
    try:
        unpack(packed, typed_json.loads, what="job 'x'")
    except DeserializationError as error:
        assert "job 'x'" in str(error)


@given(JSON.map(lambda value: {"f": value}))
def test_a_pickle_comes_back_only_with_pickles_own_reader(about: dict[str, Any]):
    packed = pack(pickle.dumps, about, what="job 'x'")

    assert repr(unpack(packed, pickle.loads, what="job 'x'")) == repr(about)
    for deserializer in (None, typed_json.loads):
        with pytest.raises(DeserializationError, match="job_deserializer"):
            unpack(packed, deserializer, what="job 'x'")


@given(TEXT, TEXT, ERRORS)
def test_a_failure_comes_back_as_an_error(name: str, message: str, about: dict[str, Any]):
    kind = name.encode("utf-8", "ignore").decode()
    info = ErrorInfo.model_construct(type=kind, message=message, **about)

    assert isinstance(error_of(info), Exception)


@given(JSON | JSON.map(lambda value: {"$error": value}))
def test_a_returned_error_is_one_or_none(value: object):
    assert returned_error(value) is None or isinstance(returned_error(value), Exception)


@given(DEEP)
def test_deep_json_is_refused(text: str):
    with pytest.raises(ValueError, match=r"\S"):
        typed_json.loads(text.encode())
