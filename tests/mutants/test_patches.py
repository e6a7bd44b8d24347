"""Every mutant still applies to the code, so that ``make mutants`` can run at any time."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.mutants import run
from tests.mutants.run import NO_END, ROOT, Mutant, all_mutants, apply


@pytest.mark.parametrize("mutant", all_mutants(), ids=lambda mutant: mutant.path.stem)
def test_a_mutant_fits_the_code_and_names_tests_there_are(mutant: Mutant):
    if shutil.which("git") is None:
        pytest.fail("git is needed to check the patches")

    try:
        apply(mutant, ROOT, only_check=True)
    except subprocess.CalledProcessError as error:
        pytest.fail(f"{mutant.path.name} does not fit: {error.stderr}")
    files = [ROOT / argument.partition("::")[0] for argument in mutant.caught_by if argument.startswith("tests/")]
    assert files
    assert all(file.exists() for file in files)


def test_tests_that_do_not_end_are_named_and_end_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "test_hangs.py").write_text("import time\n\ndef test_hangs(): time.sleep(60)\n")
    monkeypatch.setattr(run, "LIMIT_S", 0.1)

    assert run.run_tests(tmp_path, ("test_hangs.py",)) == (NO_END, "no end within 0.1 s")
