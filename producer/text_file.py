"""Text of files that people edit: Windows' editors begin UTF-8 with a byte order mark, PowerShell writes UTF-16."""

from __future__ import annotations

import codecs
from pathlib import Path


def read_text(file: str | Path) -> str:
    """Return the file's text without its byte order mark; raises ``OSError``, ``UnicodeDecodeError``."""
    return decoded(Path(file).read_bytes())


def decoded(content: bytes) -> str:
    """Return the text of UTF-8, or of UTF-16 that begins with its mark; raises ``UnicodeDecodeError``."""
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if is_utf16 else "utf-8-sig")
