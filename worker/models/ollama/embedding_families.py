"""Requirements of embedding models by family: prefixes by task, and the vectors' length. No model, no network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class EmbeddingFamily:
    """The prefixes that a family of models needs, by task; ``dims`` of its vectors, 0 if its sizes differ.

    Sources: the models' cards. Other models get no prefix.
    """

    document: str = ""
    query: str = ""
    dims: int = 0


_RETRIEVE: Final = "Represent this sentence for searching relevant passages: "

FAMILIES: Final[dict[str, EmbeddingFamily]] = {
    "nomic-embed-text": EmbeddingFamily("search_document: ", "search_query: ", 768),
    "mxbai-embed-large": EmbeddingFamily(query=_RETRIEVE, dims=1024),
    "snowflake-arctic-embed2": EmbeddingFamily(query="query: ", dims=1024),
    "snowflake-arctic-embed": EmbeddingFamily(query=_RETRIEVE),
    "embeddinggemma": EmbeddingFamily("title: none | text: ", "task: search result | query: ", 768),
    "all-minilm": EmbeddingFamily(dims=384),
    "bge-m3": EmbeddingFamily(dims=1024),
}


def family_of(model: str) -> EmbeddingFamily:
    """Return the family of ``model``, Ollama's name with or without namespace and tag."""
    return FAMILIES.get(model.rpartition("/")[2].partition(":")[0], EmbeddingFamily())
