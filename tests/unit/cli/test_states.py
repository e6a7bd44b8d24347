"""The options about how pages are shown: which states they make, and what is refused before anything is queued."""

from __future__ import annotations

from typing import Any

import click
import pytest

from producer.cli.scan.appearance import MAX_STATES, state_names, states_of
from producer.cli.scan.options import ScanOptions
from producer.cli.scan.submit import ScanPlan

NARROW = {"width": 390, "height": 844}


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({}, [""]),
        ({"color_scheme": ("light",)}, [""]),
        ({"color_scheme": ("light", "dark")}, ["", "dark"]),
        ({"viewport": ({"width": 390}, NARROW)}, ["390 px", "390x844 px"]),
        ({"viewport": (NARROW, NARROW), "device": ("iPhone 14",)}, ["390x844 px", "iPhone 14"]),
        (
            {"viewport": ({"width": 1280}, {"width": 390}), "color_scheme": ("light", "dark")},
            ["", "dark", "390 px", "390 px, dark"],
        ),
        ({"device": ("Pixel 9",), "zoom": (100, 400), "viewport": ({"width": 1280},)}, ["", "zoom 400 %", "Pixel 9"]),
        ({"device": ("desktop", "Pixel 9")}, ["", "Pixel 9"]),
        ({"forced_colors": ("active",), "reduced_motion": ("no-preference",)}, ["forced colours, full motion"]),
    ],
)
def test_an_option_given_twice_is_two_states(given: dict[str, Any], names: list[str]) -> None:
    states = states_of(ScanOptions(**given))

    assert state_names(states) == names
    if "" in names:
        assert states[names.index("")] == {}  # so that the page keeps the job id and the history that it had


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"zoom": (400,), "viewport": ({"width": 390},)}, "leaves 98x200 CSS pixels"),
        ({"zoom": (400,), "device": ("iPhone 14",)}, "only desktop windows have a zoom"),
        ({"viewport": ({"width": 90},)}, "viewport.width"),
        ({"viewport": tuple({"width": 300 + n} for n in range(MAX_STATES + 1))}, "give 25 states per page"),
    ],
)
def test_a_state_that_no_browser_can_be_in_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(click.UsageError, match=said):
        states_of(ScanOptions(**given))


def test_each_page_is_a_job_in_each_state() -> None:
    states = states_of(ScanOptions(color_scheme=("light", "dark")))
    plan = ScanPlan(("https://a.example/", "https://b.example/"), {}, "b", states=states)

    assert [(one["url"][8], one.get("color_scheme")) for one in plan.payloads()] == [
        ("a", None), ("a", "dark"), ("b", None), ("b", "dark"),
    ]  # fmt: skip
    assert len(set(plan.job_ids())) == plan.jobs == 4
    assert list(plan.job_ids())[::2] == list(ScanPlan(plan.urls, {}, "b").job_ids())
