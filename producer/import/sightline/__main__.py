"""``sightline`` and ``python -m sightline``: runs ``producer.cli.main`` from any folder."""

from __future__ import annotations

import sys
from pathlib import Path

from sightline import names


def main() -> None:
    """Run the program, even if the current folder has modules such as ``worker.py`` that would hide Sightline's."""
    names.look_for_hidden(folder=Path.cwd())
    names.load("producer.cli.main").main()


if __name__ == "__main__":
    sys.exit(main())
