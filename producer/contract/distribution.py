"""The distribution: its name in package indexes, its version, and how to install one of its extras.

The name differs from that of the command and the packages (``ops/decisions/0030``): in the public index, ``sightline``
and ``sightline-a11y`` belong to others. Until a release is published there, a hint names the source of this
installation (PEP 610), else the wheel that ``make wheel`` builds.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import Any, Final

NAME: Final = "sightline-scan"
VERSION: Final = "0.1.0"
OF_THE_WORKER: Final = "structlog"
"""A package that the extra ``worker`` installs and the client does not need."""
_WHEEL: Final = f"dist/{NAME.replace('-', '_')}-{VERSION}-py3-none-any.whl"


def has_worker() -> bool:
    """Return whether the extra ``worker`` is installed: its code is in every wheel, its dependencies are not."""
    return find_spec(OF_THE_WORKER) is not None


def install_hint(*extras: str) -> str:
    """Return the command that adds ``extras``, from this installation's source; never a name from an index."""
    named = ",".join(extras)
    source = _source(_direct_url())
    if source:
        return f"pip install '{NAME}[{named}] @ {source}'"
    return f"pip install './{_WHEEL}[{named}]', the wheel that 'make wheel' builds from the source"


def _source(direct_url: dict[str, Any]) -> str:
    """Return the requirement's address of a direct_url.json; '' if there is none."""
    url = str(direct_url.get("url") or "")
    if not url or "'" in url:
        return ""
    vcs: dict[str, str] = direct_url.get("vcs_info") or {}
    if not vcs:
        return url
    commit = vcs.get("commit_id", "")
    return f"{vcs.get('vcs', 'git')}+{url}{f'@{commit}' if commit else ''}"


def _direct_url() -> dict[str, Any]:
    from importlib.metadata import PackageNotFoundError, distribution  # noqa: PLC0415  15 ms, only if something is missing

    try:
        text = distribution(NAME).read_text("direct_url.json")
        read: object = json.loads(text or "{}")
    except (PackageNotFoundError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}  # pyright: ignore[reportUnknownVariableType]  JSON
