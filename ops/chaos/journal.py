"""Records for the auditor the replies that producers got: a JSON object per line, written before anything else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self


class Journal:
    """A file of facts, each of one kind.

    Kinds: jobs ``acknowledged``, ``refused``, ``doubted``, ``denied`` or ``cancelled``; batches ``sealed``;
    ``garbage``; calls ``called`` and ``returned``; the ``window`` of a failover. ``began`` and ``at`` are times of this
    process's monotonic clock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._out = path.open("a", encoding="utf-8", buffering=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._out.close()

    def note(self, what: str, **facts: Any) -> None:
        """Write one fact."""
        self._out.write(json.dumps({"what": what, **facts}) + "\n")

    def facts(self, what: str) -> Iterator[dict[str, Any]]:
        """Yield the facts of one kind, in order."""
        for line in self._path.read_text(encoding="utf-8").splitlines():
            fact = json.loads(line)
            if fact["what"] == what:
                yield fact
