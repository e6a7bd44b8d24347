"""``sightline.arq.typed_json`` restores its input, and builds only classes that the program has imported."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from pydantic import BaseModel, Field
from sightline.arq import typed_json


@dataclass(frozen=True)
class Order:
    number: int
    due: date


class Invoice(BaseModel):
    order: Any
    total: Decimal


class Customer(BaseModel, extra="allow"):
    number: int = Field(alias="customerNumber")


class Point(NamedTuple):
    x: int
    y: int


class Moment(datetime):
    """A date of another library."""


class OutOfStock(Exception):
    """An error of the program's own."""


EVERYTHING = {
    "plain": [1, 2.5, True, None, "Grüße"],
    "when": datetime(2026, 11, 28, 12, tzinfo=UTC),
    "pause": timedelta(days=-1, microseconds=7),
    "id": UUID(int=7),
    "raw": b"\x00\xff",
    "pair": (1, (2,)),
    "few": {1, 2},
    "by number": {1: "one", None: date(2026, 1, 1)},
    "marked": {"$type": "datetime", "value": "not one"},
    "customer": Customer(customerNumber=7, since="2020"),  # pyright: ignore[reportCallIssue]  an extra field
    "invoice": Invoice(order=Order(7, date(2026, 12, 1)), total=Decimal("1.10")),
}


def test_everything_comes_back_as_it_was():
    assert typed_json.loads(typed_json.dumps(EVERYTHING)) == EVERYTHING


def test_an_error_comes_back_as_it_was():
    back = typed_json.loads(typed_json.dumps(OutOfStock("book", Decimal(3))))

    assert (type(back), back.args) == (OutOfStock, ("book", Decimal(3)))


def test_what_it_cannot_carry_is_named():
    for value, name in ((object(), "object"), (Point(1, 2), "Point"), (Moment(2026, 1, 1), "Moment")):
        with pytest.raises(TypeError, match=f"cannot carry a {name}"):
            typed_json.dumps([value])


@pytest.mark.parametrize("name", ["os:system", "subprocess:Popen", "nobody:Knows", "builtins:eval", "x"])
def test_a_name_out_of_redis_runs_nothing(name: str):
    with pytest.raises(ValueError, match="is not a class of this program"):
        typed_json.loads(json.dumps({"$type": name, "value": {}}).encode())
