"""Text of files that people edit: editors on Windows begin UTF-8 with a byte order mark, PowerShell writes UTF-16."""

from __future__ import annotations

import codecs
import contextlib
import errno
import os
import re
from pathlib import Path
from typing import Final

_COMMENT: Final = re.compile(r"(?:^|\s)#")
_BLANK: Final = "\ufeff \t\r\n\v\f"


class NotText(OSError):
    """A file that is not text, or a path that cannot be one."""


def read_text(file: str | Path) -> str:
    """Return the file's text without its byte order mark; raises ``OSError``, whose ``strerror`` is the reason."""
    try:
        return decoded(Path(file).read_bytes())
    except UnicodeDecodeError:
        raise NotText(errno.EILSEQ, "it is not a text file in UTF-8") from None
    except ValueError as error:  # a null character in the path
        raise NotText(errno.EINVAL, str(error)) from None


def decoded(content: bytes) -> str:
    """Decode UTF-8, or UTF-16 with a byte order mark; raises ``UnicodeDecodeError``."""
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if is_utf16 else "utf-8-sig")


def without_comment(line: str) -> str:
    """Return the address in a line of a list; '' if there is none. A comment follows a space, a fragment does not."""
    return _COMMENT.split(line.strip(_BLANK), maxsplit=1)[0].rstrip()


def is_unicode(text: str) -> bool:
    """Return whether the text can be written as UTF-8: bytes of another encoding in an argument cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def replace_text(file: Path, text: str) -> None:
    """Write the file atomically, even if the program is killed; keeps its mode and a link to it. Raises ``OSError``."""
    file = file.resolve()
    beside = file.with_name(f".{file.name}.{os.getpid()}.new")
    try:
        beside.write_bytes(text.encode())
        with contextlib.suppress(FileNotFoundError):
            beside.chmod(file.stat().st_mode)
        beside.replace(file)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
