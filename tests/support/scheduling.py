"""Assigns tests to processes: tests that share a slow fixture run in one process; the others are distributed freely.

Half of the processes begin with tests that mostly wait, the others at the end of the list, with those that compute;
otherwise the processor would be idle at first and overloaded later.

pytest-xdist's own ``loadgroup`` does it by a mark, which has no effect on pytest 9.2 (pytest-xdist #1386). Once a
release fixes that, mark ``TOGETHER`` with ``xdist_group`` and remove this module.
"""

from __future__ import annotations

from typing import Final

import pytest
from xdist.scheduler import LoadGroupScheduling
from xdist.workermanage import WorkerController

TOGETHER: Final = ("tests/crash/test_failover.py", "tests/e2e/test_demo_site.py", "tests/e2e/test_install.py")
WAITING: Final = ("tests/crash/", "tests/e2e/")
"""Folders whose tests mostly wait: for leases, restarts, workers and programs."""


def waiting_first(items: list[pytest.Item]) -> None:
    """Sort tests that mostly wait before all others; each file's tests stay together."""
    items.sort(key=lambda item: not item.nodeid.startswith(WAITING))


class FileScheduling(LoadGroupScheduling):
    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return path if path in TOGETHER else nodeid

    def _assign_work_unit(self, node: WorkerController) -> None:
        if self.nodes.index(node) % 2:
            self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
        super()._assign_work_unit(node)
