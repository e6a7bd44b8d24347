"""One random mutant: a line of one file, replaced by another line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LineChange:
    """Replaces line ``line`` (from 1) of ``path``, relative to the project's folder, from ``before`` to ``after``."""

    path: str
    line: int
    before: str
    after: str

    def changed(self, text: str) -> str:
        """Return the file's ``text`` with the line replaced. Raises ``ValueError`` if the line is not ``before``."""
        lines = text.split("\n")
        if lines[self.line - 1] != self.before:
            msg = f"{self.path}:{self.line} is {lines[self.line - 1]!r}, not {self.before!r}"
            raise ValueError(msg)
        lines[self.line - 1] = self.after
        return "\n".join(lines)

    def write(self, folder: Path) -> None:
        """Change the file below ``folder``."""
        file = folder / self.path
        file.write_text(self.changed(file.read_text("utf-8")), "utf-8")

    def undo(self, folder: Path) -> None:
        """Restore the file below ``folder``."""
        LineChange(self.path, self.line, self.after, self.before).write(folder)
