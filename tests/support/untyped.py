"""Finds the parts of a result without a field in the contract's models."""

from __future__ import annotations

from pydantic import BaseModel


def untyped(value: object) -> list[str]:
    """Return ``Class.field`` for everything in ``value``, at any depth, that has no field in its model."""
    if isinstance(value, BaseModel):
        own = [f"{type(value).__name__}.{name}" for name in value.model_extra or {}]
        return own + [found for _, inner in value for found in untyped(inner)]
    if isinstance(value, tuple):
        items: tuple[object, ...] = value
        return [found for inner in items for found in untyped(inner)]
    return []
