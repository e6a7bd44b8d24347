"""The program of ``make fuzz``: repeats the fuzz tests with new seeds until the time is over or one fails."""

from __future__ import annotations

import argparse
import secrets
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    """Return 0 when nothing failed; the seed of the round that did is printed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    options = parser.parse_args()
    until = time.monotonic() + options.minutes * 60
    rounds = 0
    while time.monotonic() < until:
        rounds += 1
        seed = secrets.randbelow(2**31)
        command = [sys.executable, "-m", "pytest", "-q", "-x", "--timeout=0", str(HERE)]
        command += ["--hypothesis-profile=fuzz", f"--hypothesis-seed={seed}"]
        if (status := subprocess.run(command, check=False).returncode) != 0:
            print(f"fuzz: round {rounds} failed; again with --hypothesis-seed={seed}")  # noqa: T201  a program
            return status
    print(f"fuzz: {rounds} rounds, nothing failed")  # noqa: T201  a program
    return 0


if __name__ == "__main__":
    sys.exit(main())
