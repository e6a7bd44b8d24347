from __future__ import annotations

import re

import pytest

from producer.errors import SettingsError
from producer.settings import Variable, variables_of
from worker.settings import WorkerSettings


def test_retention_is_what_the_design_says_until_somebody_says_otherwise():
    usual = WorkerSettings()
    own = WorkerSettings.from_env(
        {
            "CACHE_TTL_S": "60",
            "CACHE_DISTANCE_THRESHOLD": "0.25",
            "CONVERSATION_TTL_S": "3600",
            "MEMORY_TTL_S": "90",
            "SCREENSHOT_TTL_S": "120",
        }
    )

    assert (usual.cache_ttl_s, usual.cache_distance_threshold, usual.conversation_ttl_s) == (3_600, 0.1, 604_800)
    assert (usual.result_ttl_s, usual.screenshot_ttl_s, usual.memory_ttl_s) == (604_800, 604_800, 0)
    assert (own.cache_ttl_s, own.cache_distance_threshold, own.conversation_ttl_s) == (60, 0.25, 3_600)
    assert own.screenshot_ttl_s == 120


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("CACHE_TTL_S", "0", "expected at least 1"),
        ("CACHE_DISTANCE_THRESHOLD", "1.5", "expected at most 1"),
        ("CACHE_DISTANCE_THRESHOLD", "near", "expected a number"),
        ("CONVERSATION_TTL_S", "1h", "expected a whole number"),
        ("MEMORY_TTL_S", "-1", "expected at least 0"),
        ("SCREENSHOT_TTL_S", "5", "expected at least 60"),
        ("RESULT_TTL_S", "9" * 16, "expected at most 1000000000000"),
    ],
)
def test_a_bad_retention_is_refused_in_words(name: str, value: str, expected: str):
    with pytest.raises(SettingsError, match=f"{name} is '{value}': {expected}"):
        WorkerSettings.from_env({name: value})


@pytest.mark.parametrize("variable", [one for one in variables_of(WorkerSettings) if one.kind in {int, float}])
def test_no_number_is_larger_than_redis_and_timers_accept(variable: Variable):
    largest = "inf" if variable.kind is float else str(10**16)

    with pytest.raises(SettingsError, match="expected at most"):
        WorkerSettings.from_env({variable.name.upper(): largest})


@pytest.mark.parametrize("name", ["SCAN_ALLOW_HOSTS", "NOTIFY_ALLOW_HOSTS"])
@pytest.mark.parametrize(
    "entry", ["http://intranet.example", "intranet.example/app", "10.1.0.0/99", "a b", "*", "a*.b"]
)
def test_an_allowed_host_that_none_matches_is_refused(name: str, entry: str):
    with pytest.raises(SettingsError, match=f"{re.escape(repr(entry))} is not a host: expected intranet.example"):
        WorkerSettings.from_env({name: f"localhost:3000,{entry}"})


def test_hosts_and_networks_are_allowed_in_each_form():
    hosts = "localhost:3000,*.intranet.example,10.1.0.0/16,fd00::/8,::1/128,[::1]:80,127.0.0.1,bücher.example,loopback"

    assert WorkerSettings.from_env({"SCAN_ALLOW_HOSTS": hosts}).scan_allow_hosts == hosts
