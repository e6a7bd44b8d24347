"""Collects the output and the loaded modules of each command's help, in processes that have loaded nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_FORKS = """
import json, os, sys
from producer.cli.main import run
for arguments in json.loads(sys.argv[1]):
    if pid := os.fork():
        assert os.waitpid(pid, 0)[1] == 0, arguments
        continue
    assert run([*arguments, "--help"]) == 0
    print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), flush=True)
    os._exit(0)
"""


@dataclass(frozen=True)
class Help:
    said: str
    packages: set[str]


def helps_of(commands: Iterable[list[str]]) -> Iterator[tuple[str, Help]]:
    """Return each command's help; all are forked from one process, as each start costs a quarter of a second."""
    names = [*commands]
    script = [sys.executable, "-c", _FORKS, json.dumps(names)]
    said = subprocess.run(script, capture_output=True, text=True, check=True, timeout=100).stdout
    for name in names:
        text, _, rest = said.partition('\n["')
        line, _, said = rest.partition("\n")
        yield " ".join(name), Help(text, set(json.loads(f'["{line}')))
    assert not said
