"""Which tests one process of several runs: all of a file whose fixture takes many seconds; any other test is free.

pytest-xdist's own ``loadgroup`` does it by a mark, which is without effect on pytest 9.2 (pytest-xdist #1386). Once a
release mends that, mark ``TOGETHER`` with ``xdist_group`` and remove this module.
"""

from __future__ import annotations

from typing import Final

from xdist.scheduler import LoadGroupScheduling

TOGETHER: Final = ("tests/crash/test_failover.py", "tests/e2e/test_demo_site.py")


class FileScheduling(LoadGroupScheduling):
    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return path if path in TOGETHER else nodeid
