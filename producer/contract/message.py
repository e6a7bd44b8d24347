"""The base of requests, results and events, and the events themselves."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from producer.contract.terms import WIRE_VERSION, JobState


class Part(BaseModel):
    """Base of messages' parts: unknown fields are preserved."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    def encoded(self) -> bytes:
        """Return its JSON in UTF-8.

        ``model_dump_json`` would decode it: a text with one character beyond Latin-1 takes twice the memory, and both
        decoding it and encoding it again for Redis take longer than the serialisation.
        """
        return self.__pydantic_serializer__.to_json(self)


class Message(Part):
    """Base of all messages."""

    v: int = WIRE_VERSION


class Event(Message):
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


def describe_invalid(error: ValidationError) -> str:
    """Return one line naming the wrong fields and what was expected, without pydantic's links or inputs."""
    parts: list[str] = []
    for item in error.errors(include_url=False, include_input=False):
        where = ".".join(str(p) for p in item["loc"])
        message = item["msg"].removeprefix("Value error, ")
        parts.append(f"{where}: {message}" if where else message)
    return "; ".join(parts)
