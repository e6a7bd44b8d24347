"""Which model answers: the one place that turns the names in CHAT_MODEL and EMBEDDING_MODEL into adapters."""

from __future__ import annotations

from producer.errors import SettingsError
from worker.models.builtin import NAME, BuiltinChat, BuiltinEmbedder
from worker.models.protocols import ChatModel, Embedder


def chat_model(name: str) -> ChatModel:
    """Return the chat model that CHAT_MODEL names; raise ``SettingsError`` for one that cannot be had."""
    if name == NAME:
        return BuiltinChat()
    raise _unavailable("CHAT_MODEL", name)


def embedder(name: str) -> Embedder:
    """Return the embedder that EMBEDDING_MODEL names; raise ``SettingsError`` for one that cannot be had."""
    if name == NAME:
        return BuiltinEmbedder()
    raise _unavailable("EMBEDDING_MODEL", name)


def _unavailable(setting: str, name: str) -> SettingsError:
    msg = (
        f"{setting} is {name!r}: this release has no adapter for it; expected {NAME!r}, "
        f"which needs no model server: set {setting}={NAME}"
    )
    return SettingsError(msg)
