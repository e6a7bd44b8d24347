"""Each option of arq is in the table of docs/arq.md, has a test, and is taken by ours under the same name."""

from __future__ import annotations

import re
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from arq.connections import ArqRedis
from arq.connections import create_pool as arq_create_pool
from arq.cron import cron
from arq.worker import Worker, func

from worker.queue.arq_pool import StreamPool, create_pool
from worker.queue.arq_worker import ArqWorker

ROOT = Path(__file__).resolve().parents[3]
OF_ARQ: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "Worker": (Worker, ArqWorker),
    "enqueue_job": (ArqRedis.enqueue_job, StreamPool.enqueue_job),
    "create_pool": (arq_create_pool, create_pool),
    "func": (func, func),
    "cron": (cron, cron),
}
OPTIONS = [
    (name, option) for name, (arqs, _) in OF_ARQ.items() for option in signature(arqs).parameters if option != "self"
]
BEHAVIOUR = "\n".join(
    path.read_text()
    for path in (*(ROOT / "tests/redis/queue").glob("test_arq_*.py"), *(ROOT / "tests/support").glob("arq_*.py"))
)
UNTOUCHED = {
    "month",
    "day",
    "weekday",
    "minute",
    "microsecond",
    "args",
    "kwargs",
    "function",
    "coroutine",
    "settings_",
    "retry",
}
"""Words of every call, and parts of arq's own arithmetic of dates, which runs unchanged."""


def documented(section: str) -> dict[str, str]:
    """Option → what the table of this section says of it."""
    text = (ROOT / "docs/arq.md").read_text().partition(f"\n### {section}\n")[2].partition("\n#")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (as in arq|differs|refused) \|", text, re.MULTILINE))


@pytest.mark.parametrize("name", OF_ARQ)
def test_the_table_has_every_option_of_arq_and_no_other(name: str):
    expected = [option for of, option in OPTIONS if of == name]

    assert list(documented(name)) == expected


@pytest.mark.parametrize("name", OF_ARQ)
def test_ours_takes_arqs_options_with_arqs_defaults(name: str):
    arqs, ours = (signature(call).parameters for call in OF_ARQ[name])

    taken = {option: ours[option].default for option in arqs if option in ours}

    assert taken == {option: parameter.default for option, parameter in arqs.items()}


def test_every_option_is_tried_on_both_flavours():
    tried = {option for _, option in OPTIONS if re.search(rf"\b{option}(\s*=|\")", BEHAVIOUR)}

    assert {option for _, option in OPTIONS} - tried - UNTOUCHED == set()
