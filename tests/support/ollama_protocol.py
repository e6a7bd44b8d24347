"""Ollama's messages as JSON objects, for the stub server. Pure; compared with recordings (``ollama_wire.py``)."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

CHARS_PER_TOKEN = 4
CREATED = "2026-11-23T02:00:00.000000Z"
Body = dict[str, Any]
REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 500: "Internal Server Error", 503: "Service Unavailable"}


@dataclass(frozen=True)
class StubModel:
    """One model that was pulled."""

    name: str
    family: str = "qwen3"
    context: int = 32_768
    dims: int = 2560
    size: int = 3_300_000_000
    capabilities: tuple[str, ...] = ()

    @property
    def details(self) -> Body:
        about = {"format": "gguf", "family": self.family, "families": [self.family]}
        return {"parent_model": "", **about, "parameter_size": "4B", "quantization_level": "Q4_K_M"}

    @property
    def can(self) -> tuple[str, ...]:
        """The reported capabilities; by default those of its family."""
        is_embedder = "bert" in self.family
        return self.capabilities or (("embedding",) if is_embedder else ("completion", "tools", "thinking"))


CHAT = StubModel("qwen3.5:4b")
EMBED = StubModel("nomic-embed-text:latest", family="nomic-bert", context=2048, dims=768, size=300_000_000)


def head(status: int, kind: str, length: str) -> bytes:
    """Return the head of an HTTP response; ``length`` is the header that delimits the body."""
    return f"HTTP/1.1 {status} {REASONS.get(status, 'Other')}\r\nContent-Type: {kind}\r\n{length}\r\n\r\n".encode()


def full(name: str) -> str:
    return name if ":" in name else f"{name}:latest"


def count_tokens(texts: list[str]) -> int:
    return sum(len(text) // CHARS_PER_TOKEN + 1 for text in texts)


def version() -> Body:
    return {"version": "0.40.12"}


def tags(models: Mapping[str, StubModel]) -> Body:
    return {
        "models": [
            {
                "name": m.name,
                "model": m.name,
                "modified_at": CREATED,
                "size": m.size,
                "digest": "0" * 64,
                "details": m.details,
            }
            for m in models.values()
        ]
    }


def show(model: StubModel) -> Body:
    return {
        "parameters": "",
        "template": "{{ .Prompt }}",
        "details": model.details,
        "model_info": {
            "general.architecture": model.family,
            f"{model.family}.context_length": model.context,
            f"{model.family}.embedding_length": model.dims,
            "tokenizer.ggml.model": "bert" if "bert" in model.family else "gpt2",
        },
        "tensors": [{"name": "output_norm.weight", "type": "F32", "shape": [model.dims]}],
        "capabilities": list(model.can),
        "modified_at": CREATED,
    }


def ps(loaded: Mapping[str, int], models: Mapping[str, StubModel]) -> Body:
    """``loaded``: model → the context it was loaded with."""
    return {
        "models": [
            {
                "name": name,
                "model": name,
                "size": models[name].size,
                "digest": "0" * 64,
                "details": models[name].details,
                "expires_at": CREATED,
                "size_vram": models[name].size,
                "context_length": context,
            }
            for name, context in loaded.items()
        ]
    }


def piece(model: str, text: str, *, thinking: str = "", tool_calls: list[Any] | None = None) -> Body:
    message: Body = {"role": "assistant", "content": text}
    if thinking:
        message["thinking"] = thinking
    if tool_calls:
        message["tool_calls"] = tool_calls
    return {"model": model, "created_at": CREATED, "message": message, "done": False}


def last_piece(model: str, *, reason: str, prompt_tokens: int, output_tokens: int) -> Body:
    return {
        "model": model,
        "created_at": CREATED,
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": reason,
        "total_duration": 200_000_000,
        "load_duration": 1_000_000,
        "prompt_eval_count": prompt_tokens,
        "prompt_eval_duration": 50_000_000,
        "eval_count": output_tokens,
        "eval_duration": 150_000_000,
    }


def answer_pieces(body: Body, text: str, *, token_chars: int = 0) -> Iterator[Body]:
    """Yield ``text`` word by word, or ``token_chars`` characters at a time, then the final piece.

    A prompt longer than ``num_ctx`` is truncated silently, as by Ollama.
    """
    model = str(body["model"])
    words = [word if index == 0 else f" {word}" for index, word in enumerate(text.split(" "))]
    if token_chars:
        words = [text[start : start + token_chars] for start in range(0, len(text), token_chars)]
    for word in words:
        yield piece(model, word)
    sent = count_tokens([str(message.get("content", "")) for message in body["messages"]])
    context = int((body.get("options") or {}).get("num_ctx") or 4096)
    yield last_piece(model, reason="stop", prompt_tokens=min(sent, context), output_tokens=len(words))


def damaged(pieces: list[Body], fault: str, tokens: int) -> list[Body]:
    """Return the answer as damaged by ``fault``."""
    last = pieces[-1]
    model = str(last["model"])
    match fault:
        case "silence":
            return []
        case "loaded_only":
            return [{**last, "done_reason": "load"}]
        case "stall" | "drop" | "half_line" | "mid_error" | "nonsense":
            return pieces[:1]
        case "no_done":
            return pieces[:-1]
        case "length":
            return [*pieces[: tokens or max(1, len(pieces) // 2)], {**last, "done_reason": "length"}]
        case "only_thinks":
            return [piece(model, "", thinking="hm"), {**last, "done_reason": "length"}]
        case "cut_prompt":
            return [*pieces[:-1], {**last, "prompt_eval_count": tokens}]
        case _:
            return pieces


def embeddings(body: Body, dims: int, meanings: Mapping[str, list[float]] | None = None) -> Body:
    given = body["input"]
    texts = [given] if isinstance(given, str) else cast("list[str]", given)
    return {
        "model": body["model"],
        "embeddings": [scripted(text, dims, meanings or {}) for text in texts],
        "total_duration": 10_000_000,
        "load_duration": 1_000_000,
        "prompt_eval_count": count_tokens(texts),
    }


def scripted(text: str, dims: int, meanings: Mapping[str, list[float]]) -> list[float]:
    """Return the vector planted for the meaning with which ``text`` ends, or else ``vector(text)``."""
    numbers = next((numbers for words, numbers in meanings.items() if text.endswith(words)), None)
    return vector(text, dims) if numbers is None else [*numbers, *[0.0] * (dims - len(numbers))]


def pieces_of(text: str) -> int:
    """Return the WordPiece tokens of ``text``: few for words, many for ids and non-Latin scripts."""
    words = re.findall(r"[a-zA-Z]+|[0-9]|[^\sa-zA-Z0-9]", text)
    return 2 + sum(-(-len(word) // 5) if word.isalpha() and word.isascii() else 1 for word in words)


def vector(text: str, dims: int) -> list[float]:
    """Return a unit vector that depends on the text alone."""
    chance = random.Random(hashlib.sha256(text.encode()).digest())  # noqa: S311  no secret
    numbers = [chance.gauss(0, 1) for _ in range(dims)]
    length = sum(number * number for number in numbers) ** 0.5
    return [number / length for number in numbers]


def instance_of(schema: Body, root: Body | None = None) -> Any:
    """Return the smallest value that satisfies a JSON Schema, as a model bound by ``format`` may answer."""
    root = root or schema
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return instance_of(root["$defs"][name], root)
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        fields = cast("dict[str, Body]", schema.get("properties") or {})
        return {name: instance_of(field, root) for name, field in fields.items()}
    if kind == "array":
        return [instance_of(schema["items"], root)] if schema.get("maxItems", 1) else []
    return {"string": "text", "integer": 1, "number": 1.0, "boolean": True}.get(str(kind))
