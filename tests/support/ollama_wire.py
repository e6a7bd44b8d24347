"""Responses of an Ollama 0.22: status, content type, body.

Values are invented; fields, their order and types, the pieces of a stream and the texts of errors are the server's.
``tests/unit/models/test_ollama_wire.py`` compares the stub with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

JSON: Final = "application/json; charset=utf-8"
LINES: Final = "application/x-ndjson"
AT: Final = "2026-11-23T02:00:00.123456789Z"
DETAILS: Final = {
    "parent_model": "",
    "format": "gguf",
    "family": "llama",
    "families": ["llama"],
    "parameter_size": "134.52M",
    "quantization_level": "Q4_1",
}
COUNTS: Final = {
    "total_duration": 2_000_000_000,
    "load_duration": 800_000_000,
    "prompt_eval_count": 12,
    "prompt_eval_duration": 170_000_000,
    "eval_count": 3,
    "eval_duration": 900_000_000,
}


@dataclass(frozen=True)
class Answer:
    """``body`` is the whole body, or one entry per line of a stream; in a list, one item stands for all."""

    status: int
    kind: str
    body: tuple[dict[str, Any], ...]


def _piece(text: str) -> dict[str, Any]:
    return {"model": "s1", "created_at": AT, "message": {"role": "assistant", "content": text}, "done": False}


def _last(reason: str) -> dict[str, Any]:
    return {**_piece(""), "done": True, "done_reason": reason, **COUNTS}


def _show(architecture: str, tokenizer: str, *able: str) -> dict[str, Any]:
    return {
        "parameters": 'stop "<|im_end|>"',
        "template": "{{ .Prompt }}",
        "details": DETAILS,
        "model_info": {
            "general.architecture": architecture,
            f"{architecture}.context_length": 512,
            f"{architecture}.embedding_length": 384,
            "tokenizer.ggml.model": tokenizer,
        },
        "tensors": [{"name": "blk.0.attn_k.bias", "type": "F32", "shape": [384]}],
        "capabilities": list(able),
        "modified_at": AT,
    }


LISTED: Final = {
    "name": "s1:latest",
    "model": "s1:latest",
    "modified_at": AT,
    "size": 9,
    "digest": "9b",
    "details": DETAILS,
}
LOADED: Final = {
    "name": "s1:latest",
    "model": "s1:latest",
    "size": 9,
    "digest": "9b",
    "details": DETAILS,
    "expires_at": AT,
    "size_vram": 0,
    "context_length": 4096,
}
RECORDED: Final = {
    "version": Answer(200, JSON, ({"version": "0.22.0"},)),
    "tags": Answer(200, JSON, ({"models": [LISTED]},)),
    "ps": Answer(200, JSON, ({"models": [LOADED]},)),
    "ps of nothing": Answer(200, JSON, ({"models": []},)),
    "show of a chat model": Answer(200, JSON, (_show("llama", "gpt2", "completion", "tools"),)),
    "show of an embedder": Answer(200, JSON, (_show("bert", "bert", "embedding"),)),
    "show of no model": Answer(404, JSON, ({"error": "model 'nope:1b' not found"},)),
    "chat": Answer(200, LINES, (_piece("Yes"), _piece(","), _piece(" I"), _last("stop"))),
    "chat cut": Answer(200, LINES, (_piece("In"), _piece(" the"), _last("length"))),
    "chat with no model": Answer(404, JSON, ({"error": "model 'nope:1b' not found"},)),
    "chat with tools it lacks": Answer(400, JSON, ({"error": "library/s1:latest does not support tools"},)),
    "embed": Answer(
        200,
        JSON,
        (
            {
                "model": "m1",
                "embeddings": [[-0.015140716, 0.0021456028]],
                "total_duration": 395_000_000,
                "load_duration": 362_000_000,
                "prompt_eval_count": 14,
            },
        ),
    ),
    "embed of too long a text": Answer(400, JSON, ({"error": "the input length exceeds the context length"},)),
}
