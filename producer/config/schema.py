"""The JSON Schema of ``sightline.toml`` for editors, derived from the models and the options of ``sightline scan``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from producer.config.model import document_model
from producer.config.options import Option

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema(options: Sequence[Option]) -> dict[str, Any]:
    """Return the schema."""
    made = document_model(options).model_json_schema(by_alias=True, mode="validation")
    return {"$schema": DIALECT, "title": "sightline.toml", **{key: made[key] for key in made if key != "title"}}


def schema_text(options: Sequence[Option]) -> str:
    """Return the schema as in ``ops/schemas/sightline.schema.json``."""
    return json.dumps(schema(options), indent=1, ensure_ascii=False, sort_keys=False) + "\n"
