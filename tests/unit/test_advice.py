"""Advice for each rule, in plain words."""

from __future__ import annotations

import re

import pytest

from producer.contract.advice import advice_on, all_advice, problem_of
from producer.contract.rules import AXE_RULES, LINT_RULES


def test_every_rule_has_advice_and_nothing_else_has() -> None:
    assert set(all_advice()) == AXE_RULES | LINT_RULES


@pytest.mark.parametrize("rule", sorted(AXE_RULES | LINT_RULES))
def test_advice_is_two_sentences_with_an_example_that_changes(rule: str) -> None:
    advice = advice_on(rule)

    assert advice is not None
    assert len(re.findall(r"[.](?= |$)", advice.do)) == 2, advice.do
    assert len(advice.do) < 260
    assert re.fullmatch(r"[a-z][^.]+[^.]", advice.problem)
    assert advice.before
    assert advice.after != advice.before or rule == "frame-tested"


def test_a_rule_of_a_newer_axe_core_is_named() -> None:
    assert advice_on("brand-new") is None
    assert problem_of("brand-new") == "fails the rule brand-new"
