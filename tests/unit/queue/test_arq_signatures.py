"""Each option of arq is in the table of docs/arq.md, has a test, and is taken by ours under the same name."""

from __future__ import annotations

import ast
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
HOOKS = "test_hooks_run_in_arqs_order_at_every_try"
CRON = "test_a_cron_line_is_queued_for_its_time"
CRON_OPTIONS = "test_a_cron_line_has_a_functions_options"
ARGUMENTS = "test_arguments_and_values_are_the_same"
OWN_POOL = "test_a_workers_own_pool_has_its_options"
SERIALIZERS = "test_serializers_carry_what_json_cannot"
FREE = "test_an_id_is_free_again_once_its_job_has_ended_and_nothing_is_kept"
TAKEN = "test_an_id_stays_taken_while_its_result_is_kept"
TESTS: dict[str, dict[str, str]] = {
    "Worker": {
        "functions": "test_every_slot_is_the_programs",
        "queue_name": "test_workers_of_one_queue_leave_another_alone",
        "cron_jobs": "test_two_workers_run_a_cron_job_once",
        "redis_settings": OWN_POOL,
        "redis_pool": "test_a_job_can_enqueue_another_through_its_ctx",
        "burst": "test_burst_ends_when_nothing_is_left_and_counts_what_it_did",
        "on_startup": HOOKS,
        "on_shutdown": HOOKS,
        "on_job_start": HOOKS,
        "on_job_end": HOOKS,
        "after_job_end": HOOKS,
        "handle_signals": "test_the_end_of_a_worker_without_signals_is_logged",
        "job_completion_wait": "test_a_running_job_has_its_time_after_a_signal",
        "max_jobs": "test_every_slot_is_the_programs",
        "job_timeout": "test_the_worker_has_a_default_timeout",
        "keep_result": "test_a_worker_says_how_long_results_are_kept",
        "keep_result_forever": "test_a_worker_says_how_long_results_are_kept",
        "poll_delay": "test_an_abort_takes_effect_within_half_a_second",
        "queue_read_limit": "test_a_small_read_count_still_reads_all_jobs",
        "max_tries": "test_the_last_retry_fails_with_arqs_message",
        "health_check_interval": "test_the_health_check_sees_a_running_worker_and_misses_a_closed_one",
        "health_check_key": "test_the_health_check_sees_a_running_worker_and_misses_a_closed_one",
        "ctx": HOOKS,
        "retry_jobs": "test_retry_jobs_off_runs_nothing_again",
        "allow_abort_jobs": "test_an_abort_that_is_not_allowed_has_no_effect",
        "max_burst_jobs": "test_a_burst_can_be_limited",
        "job_serializer": SERIALIZERS,
        "job_deserializer": SERIALIZERS,
        "expires_extra_ms": OWN_POOL,
        "timezone": "test_cron_lines_are_read_in_the_workers_timezone",
        "log_results": "test_values_can_be_kept_out_of_the_log",
    },
    "enqueue_job": {
        "function": ARGUMENTS,
        "args": ARGUMENTS,
        "_job_id": "test_an_id_is_taken_once",
        "_queue_name": "test_workers_of_one_queue_leave_another_alone",
        "_defer_until": "test_a_job_can_be_put_off_until_a_time",
        "_defer_by": "test_burst_ends_when_nothing_is_left_and_counts_what_it_did",
        "_expires": "test_a_job_expires",
        "_job_try": "test_a_job_can_begin_with_a_later_try",
        "kwargs": ARGUMENTS,
    },
    "create_pool": {
        "settings_": "test_a_pool_counts_the_tries_to_connect",
        "retry": "test_a_pool_counts_the_tries_to_connect",
        "job_serializer": SERIALIZERS,
        "job_deserializer": SERIALIZERS,
        "default_queue_name": OWN_POOL,
        "expires_extra_ms": "test_a_pool_says_how_long_its_jobs_may_start",
    },
    "func": {
        "coroutine": FREE,
        "name": "test_a_result_that_is_not_kept_is_not_found",
        "keep_result": FREE,
        "timeout": "test_a_function_can_have_its_own_timeout",
        "keep_result_forever": TAKEN,
        "max_tries": "test_a_function_can_have_its_own_tries",
    },
    "cron": {
        "coroutine": CRON,
        "name": CRON,
        **dict.fromkeys(("month", "day", "weekday", "hour", "minute", "second", "microsecond"), CRON),
        "run_at_startup": "test_a_burst_waits_for_jobs_of_its_start_up",
        "unique": "test_a_cron_job_that_is_not_unique_runs_on_every_worker",
        **dict.fromkeys(("job_id", "timeout", "keep_result", "keep_result_forever", "max_tries"), CRON_OPTIONS),
    },
}
"""The test of each option's behaviour, which runs on arq's worker, or pool, and on ours."""
ON_BOTH = {"flavour", "pool", "create"}


def documented(section: str) -> dict[str, str]:
    """Option → what the table of this section says of it."""
    text = (ROOT / "docs/arq.md").read_text().partition(f"\n### {section}\n")[2].partition("\n#")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (as in arq|differs|refused) \|", text, re.MULTILINE))


@pytest.mark.parametrize("name", OF_ARQ)
def test_the_table_has_every_option_of_arq_and_no_other(name: str):
    expected = [option for of, option in OPTIONS if of == name]

    assert list(documented(name)) == expected


@pytest.mark.parametrize("name", [name for name, (arqs, ours) in OF_ARQ.items() if ours is not arqs])
def test_ours_takes_arqs_options_with_arqs_defaults(name: str):
    arqs, ours = (signature(call).parameters for call in OF_ARQ[name])

    taken = {option: ours[option].default for option in arqs if option in ours}

    assert taken == {option: parameter.default for option, parameter in arqs.items()}


@pytest.mark.parametrize("name", OF_ARQ)
def test_every_option_has_a_test_on_both_flavours(name: str):
    expected = [option for of, option in OPTIONS if of == name]
    written = names_on_both()

    assert list(TESTS[name]) == expected
    assert set(TESTS[name].values()) - written == set()


def names_on_both() -> set[str]:
    """The tests that take a fixture or a parameter for both flavours, and are not marked as ours alone."""
    nodes = [
        node
        for path in (ROOT / "tests/redis/queue").glob("test_arq_*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.AsyncFunctionDef)
    ]
    return {
        node.name
        for node in nodes
        if ON_BOTH & {argument.arg for argument in node.args.args}
        and not any("ONLY_OURS" in ast.unparse(decorator) for decorator in node.decorator_list)
    }
