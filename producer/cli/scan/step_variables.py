"""Reads the value of ``${NAME}`` in a step, from the variable or from the file named by ``NAME_FILE``."""

from __future__ import annotations

from collections.abc import Mapping

from producer.errors import InputError
from producer.text_file import read_text


def read_variable(name: str, environ: Mapping[str, str], where: str) -> str:
    """Return the value of a variable used in steps; raises ``InputError`` naming it if it is not set."""
    if environ.get(name):
        return environ[name]
    file = environ.get(f"{name}_FILE")
    if not file:
        raise InputError(
            f"{where} needs ${{{name}}}: set the variable {name}, or {name}_FILE to a file that contains it"
        )
    try:
        value = read_text(file).strip("\r\n")
    except OSError as error:
        raise InputError(f"{name}_FILE: cannot read {file!r}: {error.strerror}") from None
    if not value:
        raise InputError(f"{name}_FILE: {file!r} is empty: expected the value of ${{{name}}}")
    return value
