"""``sightline`` and ``python -m sightline``: the program of ``producer.cli.main``, in any folder."""

from __future__ import annotations

import sys
from pathlib import Path

from sightline import names


def main() -> None:
    """Run the program; modules of the folder it runs in, such as a ``worker.py``, hide nothing of ours."""
    names.look_for_hidden(folder=Path.cwd())
    names.load("producer.cli.main").main()


if __name__ == "__main__":
    sys.exit(main())
