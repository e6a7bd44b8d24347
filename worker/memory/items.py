"""What a memory is in Redis, and which memories a search means. Pure: no connection, no clock.

Namespaces are paths. A memory's document carries one TAG for each prefix of its path, a digest of the path and of
nothing else, so that a search below ``("user", "1")`` can meet neither ``("user", "10")`` nor ``("User", "1")``.
``memories.py`` is the store.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final, cast

from langgraph.store.base import Item, ListNamespacesOp, MatchCondition, PutOp, SearchItem, get_text_at_path
from redisvl.query.filter import FilterExpression, Tag
from redisvl.schema import IndexSchema

from producer.keys import Keys
from worker.memory.vectors.documents import index_schema
from worker.memory.vectors.embeddings import Embedded
from worker.memory.vectors.generations import EMBEDDED, NEVER, Generation
from worker.memory.vectors.indexes import as_text

MAX_FACETS: Final = 64
"""Texts of one memory by which it can be found in the index; one that has more is found by reading it."""
MAX_TEXTS: Final = 32
"""Embedded texts of one memory. Their keys are cleared with every write, so there must be a bound."""
OVERFLOW: Final = "~all"
"""Facet of a memory with more texts than that."""
MAX_TTL_S: Final = 100 * 366 * 86_400
"""A century; Redis refuses times that it cannot add to its clock."""
FIELDS: Final[tuple[str, ...]] = ("ns", "key", "value", "created_us", "updated_us", "ttl_s")
_OPERATORS: Final = frozenset({"$eq", "$ne", "$gt", "$gte", "$lt", "$lte"})

Namespace = tuple[str, ...]


def schema(keys: Keys, generation: Generation) -> IndexSchema:
    """Return the schema of the memories' index in one generation. FLAT: exact below any filter; memories are few."""
    fields: list[dict[str, Any]] = [
        *({"name": name, "type": "tag"} for name in ("kind", "prefixes", "facets")),
        {"name": "updated_us", "type": "numeric", "attrs": {"sortable": True}},
    ]
    name = keys.index_of(keys.memories_index, generation.number)
    return index_schema(name, keys.memory_prefix, fields, generation, {"algorithm": "flat"})


def item_id(namespace: Namespace, key: str) -> str:
    """Return the id of one memory: no other namespace and key have it."""
    return _digest([list(namespace), key])


def prefix_tag(namespace: Namespace) -> str:
    """Return the tag that all memories at and below ``namespace`` carry."""
    return _digest(list(namespace))


def prefix_tags(namespace: Namespace) -> str:
    """Return the tags of all prefixes of ``namespace``, itself included, but the empty one."""
    return ",".join(prefix_tag(namespace[:depth]) for depth in range(1, len(namespace) + 1))


def facet(name: str, text: str) -> str:
    """Return the tag of memories whose value has ``text`` under ``name``."""
    return _digest([name, text])


def facets(value: Mapping[str, Any]) -> str:
    """Return the tags of the texts at the top of ``value``."""
    texts = [(name, text) for name, text in value.items() if isinstance(text, str)]
    if len(texts) > MAX_FACETS:
        return OVERFLOW
    return ",".join(facet(name, text) for name, text in texts)


def facet_tags(wanted: Mapping[str, Any]) -> list[str]:
    """Return the facets that every memory matching ``wanted`` has, unless it has ``OVERFLOW``."""
    tags: list[str] = []
    for name, condition in wanted.items():
        equal = condition.get("$eq") if isinstance(condition, dict) else condition
        if isinstance(equal, str):
            tags.append(facet(name, equal))
    return tags


def scope(prefix: Namespace, wanted: Mapping[str, Any]) -> FilterExpression:
    """Return what the index can tell of a namespace prefix and a filter."""
    within = FilterExpression("*") if not prefix else Tag("prefixes") == prefix_tag(prefix)
    for tag in facet_tags(wanted):
        within = within & (Tag("facets") == [tag, OVERFLOW])
    return within


def pack_item(namespace: Namespace, key: str, value: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields of a memory that don't change with time; raises ``ValueError`` for what JSON cannot hold."""
    try:
        packed = json.dumps(value)
    except (TypeError, ValueError) as error:
        msg = f"the memory {key!r} in {namespace!r} cannot be kept as JSON: {error}"
        raise ValueError(msg) from None
    return {
        "ns": json.dumps(list(namespace)),
        "key": json.dumps(key),
        "value": packed,
        "prefixes": prefix_tags(namespace),
        "facets": facets(value),
    }


def texts_of(op: PutOp, fields: Sequence[str]) -> list[str]:
    """Return the texts of a put that are embedded: those at its own paths, or else at ``fields``.

    Raises ``ValueError`` over ``MAX_TEXTS``.
    """
    if op.value is None or op.index is False:
        return []
    paths = fields if op.index is None else op.index
    texts = [text for path in paths for text in get_text_at_path(dict(op.value), path)]
    if len(texts) > MAX_TEXTS:
        msg = f"the memory {op.key!r} has {len(texts)} texts to embed: at most {MAX_TEXTS}; name fewer in index"
        raise ValueError(msg)
    return texts


def document_keys(key: str) -> list[str]:
    """Return every key that the memory at ``key`` may have."""
    return [key, *(f"{key}:{number}" for number in range(1, MAX_TEXTS))]


def documents(key: str, fields: Mapping[str, str], texts: Sequence[Embedded]) -> dict[str, dict[str, str | bytes]]:
    """Return the hashes of the memory at ``key``, by key: its own, and one for each further text."""
    if not texts:
        return {key: {**fields, "kind": "unembedded", EMBEDDED: NEVER}}
    first, *others = texts
    found: dict[str, dict[str, str | bytes]] = {key: {**fields, "kind": "item", **first.fields()}}
    about = {"kind": "text", "prefixes": fields["prefixes"], "facets": fields["facets"]}
    for further, text in zip(document_keys(key)[1:], others, strict=False):
        found[further] = {**about, **text.fields()}
    return found


def ttl_seconds(op: PutOp) -> int:
    """Return the TTL of a put in s, at least one; 0 for none."""
    return 0 if op.ttl is None else max(1, round(min(op.ttl * 60, MAX_TTL_S)))


def parse_item(values: Sequence[object]) -> tuple[Item, int] | None:
    """Return the memory whose ``FIELDS`` are ``values``, and its TTL in s (0 for none); None if there is none."""
    ns, key, value, created_us, updated_us, ttl_s = (as_text(one) for one in values)
    if not (ns and value):
        return None
    item = Item(
        namespace=parse_namespace(ns),
        key=cast("str", json.loads(key)),
        value=json.loads(value),
        created_at=datetime.fromtimestamp(int(created_us) / 1_000_000, tz=UTC),
        updated_at=datetime.fromtimestamp(int(updated_us) / 1_000_000, tz=UTC),
    )
    return item, int(ttl_s or 0)


def search_item(item: Item, score: float | None) -> SearchItem:
    """Return ``item`` as a search answers it."""
    return SearchItem(
        namespace=item.namespace,
        key=item.key,
        value=item.value,
        created_at=item.created_at,
        updated_at=item.updated_at,
        score=score,
    )


def parse_namespace(text: str) -> Namespace:
    """Return the namespace that ``pack_item`` wrote."""
    return tuple(cast("list[str]", json.loads(text)))


def check_filter(wanted: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` for an operator that stores don't have."""
    for name, condition in wanted.items():
        for operator in _operators(condition):
            if operator not in _OPERATORS:
                msg = f"the filter of {name!r} has {operator!r}: expected one of {', '.join(sorted(_OPERATORS))}"
                raise ValueError(msg)


def matches(value: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether ``value`` fits the filter: equal, or as the operators say; nested mappings are compared in part."""
    return all(_fits(value.get(name), condition) for name, condition in wanted.items())


def list_matching(namespaces: Iterable[Namespace], op: ListNamespacesOp) -> list[Namespace]:
    """Return the page of ``namespaces`` that ``op`` asks for, sorted, cut at its depth."""
    conditions = op.match_conditions or ()
    found = {namespace for namespace in namespaces if all(_meets(namespace, one) for one in conditions)}
    if op.max_depth is not None:
        found = {namespace[: op.max_depth] for namespace in found}
    return sorted(found)[op.offset : op.offset + op.limit]


def _digest(value: object) -> str:
    return sha256(json.dumps(value).encode()).hexdigest()[:40]


def _operators(condition: object) -> list[str]:
    if not isinstance(condition, dict):
        return []
    return [name for name in cast("dict[str, Any]", condition) if name.startswith("$")]


def _fits(value: Any, condition: Any) -> bool:
    if _operators(condition):
        return all(_compare(value, operator, other) for operator, other in condition.items())
    if isinstance(condition, dict):
        parts = cast("dict[str, Any]", condition)
        return isinstance(value, dict) and matches(cast("dict[str, Any]", value), parts)
    if isinstance(condition, list | tuple):
        wanted = cast("Sequence[Any]", condition)
        if not isinstance(value, list | tuple):
            return False
        held = cast("Sequence[Any]", value)
        return len(held) == len(wanted) and all(map(_fits, held, wanted))
    return value == condition


def _compare(value: Any, operator: str, other: Any) -> bool:
    if operator == "$eq":
        return value == other
    if operator == "$ne":
        return value != other
    try:
        left, right = float(value), float(other)
    except (TypeError, ValueError):
        # Neither greater nor less: a memory without the field is no match, and no error either.
        return False
    return {"$gt": left > right, "$gte": left >= right, "$lt": left < right, "$lte": left <= right}[operator]


def _meets(namespace: Namespace, condition: MatchCondition) -> bool:
    path = condition.path
    if len(namespace) < len(path):
        return False
    part = namespace[: len(path)] if condition.match_type == "prefix" else namespace[len(namespace) - len(path) :]
    return all(wanted in ("*", label) for label, wanted in zip(part, path, strict=True))
