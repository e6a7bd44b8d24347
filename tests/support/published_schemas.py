"""Checks documents against published schemas, kept in ``schemas/`` with source and licence."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import xmlschema
from jsonschema import Draft7Validator

SCHEMAS = Path(__file__).parent / "schemas"


def faults(schema: str, document: Any) -> list[str]:
    """Return the violations of the JSON schema ``schema`` in a document."""
    return sorted(f"{error.json_path}: {error.message[:300]}" for error in _validator(schema).iter_errors(document))


def junit_faults(text: str) -> list[str]:
    """Return the violations of Jenkins' XSD in a JUnit report."""
    return [f"{error.path}: {error.reason}" for error in _xsd().iter_errors(text)]


@cache
def _validator(schema: str) -> Draft7Validator:
    return Draft7Validator(json.loads((SCHEMAS / schema).read_text("utf-8")))


@cache
def _xsd() -> xmlschema.XMLSchema:
    return xmlschema.XMLSchema(str(SCHEMAS / "junit-10.xsd"))
