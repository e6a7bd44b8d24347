"""What requests, results and events have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from producer.contract.terms import WIRE_VERSION


class Message(BaseModel):
    """Base of all that is sent: unknown fields are kept and sent on."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    v: int = WIRE_VERSION


def describe_invalid(error: ValidationError) -> str:
    """Say in one line which fields are wrong and what was expected, without pydantic's links or inputs."""
    parts: list[str] = []
    for item in error.errors(include_url=False, include_input=False):
        where = ".".join(str(p) for p in item["loc"])
        message = item["msg"].removeprefix("Value error, ")
        parts.append(f"{where}: {message}" if where else message)
    return "; ".join(parts)
