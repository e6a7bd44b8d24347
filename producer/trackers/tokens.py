"""The token of a code host's API: from a variable, or from a file named by one. No message quotes a token."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from producer.errors import InputError
from producer.text_file import read_text

_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,1000}")


def token_of(variables: Mapping[str, str], *names: str, file: str) -> str:
    """Return the token of the first of ``names`` that is set, or in the file that ``file`` names; '' for none.

    Raises ``InputError`` for a file that cannot be read, and for an invalid token.
    """
    for name in names:
        if token := variables.get(name, "").strip():
            return _checked(token, name)
    if path := variables.get(file, "").strip():
        try:
            token = read_text(path).strip()
        except OSError as error:
            raise InputError(f"cannot read the file named by {file}: {error.strerror}") from None
        return _checked(token, file)
    return ""


def _checked(token: str, name: str) -> str:
    if not _TOKEN.fullmatch(token):
        raise InputError(f"{name} is not a token: expected one word of ASCII characters")
    return token
