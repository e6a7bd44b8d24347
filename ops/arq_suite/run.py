"""Runs arq's own tests on ``StreamPool`` and ``ArqWorker``: ``python ops/arq_suite/run.py``, or ``make arq-suite``.

pip fetches arq's sdist, checked against the hashes in requirements.lock, into ``.cache/arq-suite``. Its tests are
unchanged: ``overlay.py`` replaces their ``conftest.py`` and names that they import from arq (classes, and names of
keys); ``stand_ins`` replaces the parts of missing libraries that they need. They run on a separate Redis. The exit code
is 1 unless exactly the tests in ``expected.toml`` fail, each for a reason documented in ``docs/arq.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from worker.own_redis.server import EmbeddedRedis  # noqa: E402  the project's root comes first

CACHE: Final = ROOT / ".cache" / "arq-suite"
MUST_PASS: Final = 75
"""Out of 98 tests that use Sightline's code."""
TESTED: Final = ("__init__.py", "test_cron.py", "test_jobs.py", "test_main.py", "test_worker.py")
"""test_cli.py and test_utils.py use none of Sightline's code."""
FETCH_WITHIN_S: Final = 300
RUN_WITHIN_S: Final = 600


class NoSuite(Exception):
    """arq's tests could not be fetched or run."""


@dataclass(frozen=True)
class Expected:
    """The contents of ``expected.toml``: why tests fail, where that is documented, and which use no Sightline code."""

    why: Mapping[str, str]
    headings: Mapping[str, str]
    untouched: tuple[str, ...]
    either: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Expected:
        """Read the list; raises ``KeyError`` or ``TOMLDecodeError`` for an invalid one."""
        told = tomllib.loads(path.read_text("utf-8"))
        why = {test: about["why"] for about in told["difference"] for test in about["tests"]}
        headings = {test: about["documented"] for about in told["difference"] for test in about["tests"]}
        return cls(why, headings, tuple(told["untouched"]["tests"]), tuple(told["either"]["tests"]))

    def is_untouched(self, test: str) -> bool:
        """Whether the test uses none of Sightline's code; a pattern that ends with ``*`` matches by prefix."""
        return any(test == name or (name.endswith("*") and test.startswith(name[:-1])) for name in self.untouched)


def differences(outcomes: Mapping[str, str], expected: Expected) -> list[str]:
    """Return a line for each difference from the list."""
    failed = {test for test, outcome in outcomes.items() if outcome == "failed"} - {*expected.either}
    found = [f"{test} fails, for a reason said nowhere" for test in sorted(failed - expected.why.keys())]
    found += [
        f"{test} was to fail ({expected.why[test]}): it {outcomes.get(test, 'does not exist')}"
        for test in sorted(expected.why.keys() - failed)
    ]
    counted = {test for test, outcome in outcomes.items() if outcome == "passed"} | {*expected.either}
    passed = sum(not expected.is_untouched(test) for test in counted)
    if passed < MUST_PASS:
        found.append(f"{passed} tests that touch our code pass, must be ≥ {MUST_PASS}")
    return found


def locked(package: str) -> str:
    """Return the lines of requirements.lock that pin ``package``, hashes included."""
    lines = (ROOT / "requirements.lock").read_text("utf-8").splitlines()
    first = next((n for n, line in enumerate(lines) if line.startswith(f"{package}==")), None)
    if first is None:
        msg = f"requirements.lock pins no {package}: expected a line that begins with '{package}=='"
        raise NoSuite(msg)
    last = next(n for n in range(first, len(lines)) if not lines[n].endswith("\\"))
    return "\n".join(lines[first : last + 1]) + "\n"


def fetch() -> Path:
    """Return the folder of the pinned arq's sources, fetched once."""
    pin = locked("arq")
    home = CACHE / pin.split()[0].replace("==", "-")
    if home.is_dir():
        return home
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        wanted = Path(folder, "wanted.txt")
        wanted.write_text(pin, "utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
        command += ["--no-deps", "--no-binary=arq", "--require-hashes", f"--dest={folder}", f"--requirement={wanted}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_WITHIN_S, check=False)
        found = list(Path(folder).glob("*.tar.gz"))
        if done.returncode or len(found) != 1:
            said = (done.stderr.strip() or "nothing").splitlines()[-1]
            msg = f"pip could not fetch arq's sources (it said: {said}): is there a network?"
            raise NoSuite(msg)
        with tarfile.open(found[0]) as archive:
            archive.extractall(folder, filter="data")
        Path(folder, home.name).rename(home)
    return home


def run_tests(sources: Path, folder: Path, options: list[str]) -> tuple[dict[str, str], str]:
    """Run arq's tests in ``folder`` on a separate Redis.

    Returns the outcome by test, as ``file::test[parameters]``, and pytest's output: empty with ``options``, as it is
    shown at once then.
    """
    (folder / "tests").mkdir()
    for name in TESTED:
        shutil.copy(sources / "tests" / name, folder / "tests")
    shutil.copy(HERE / "overlay.py", folder / "tests" / "conftest.py")
    shutil.copy(HERE / "pytest.ini", folder)
    outcomes = folder / "outcomes.jsonl"
    with EmbeddedRedis(folder / "redis", config={"appendonly": "no"}) as server:
        env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "producer/import"), str(HERE / "stand_ins"))),
            "ARQ_SUITE_REDIS_PORT": str(server.port),
            "ARQ_SUITE_OUTCOMES": str(outcomes),
        }
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *(options or ["-q"]), "tests"]
        shown = None if options else subprocess.PIPE
        done = subprocess.run(
            command,
            cwd=folder,
            env=env,
            check=False,
            timeout=RUN_WITHIN_S,
            stdout=shown,
            stderr=shown and subprocess.STDOUT,
        )
    output = (done.stdout or b"").decode(errors="replace")
    if done.returncode > 1 or not outcomes.exists():
        msg = f"pytest ended with {done.returncode}: it did not run arq's tests\n{output}".rstrip()
        raise NoSuite(msg)
    return dict(json.loads(line) for line in outcomes.read_text("utf-8").splitlines()), output


def main() -> int:
    """Fetch, run, compare, print; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("options", nargs="*", help="options of pytest, after --; with any, nothing is compared")
    options = parser.parse_args().options
    began = time.monotonic()
    try:
        sources = fetch()
        with tempfile.TemporaryDirectory() as folder:
            outcomes, output = run_tests(sources, Path(folder), options)
    except NoSuite as error:
        print(f"arq-suite: {error}", file=sys.stderr)
        return 3
    if options:
        return 0
    expected = Expected.read(HERE / "expected.toml")
    touching = {test: end for test, end in outcomes.items() if not expected.is_untouched(test) and end != "skipped"}
    ours = list(touching.values())
    passed, took_s = ours.count("passed"), time.monotonic() - began
    print(f"arq-suite: {passed} of {len(ours)} tests that touch our code pass; {len(outcomes)} in all, {took_s:.0f} s")
    found = differences(outcomes, expected)
    if found:
        print(output)
    for line in found:
        print(f"arq-suite: {line}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
