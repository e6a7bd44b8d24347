"""No text within its limit costs a parser more than a second: a worker's event loop waits for each of them."""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Callable, Generator

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from producer.contract.addresses import normal_url
from producer.contract.hosts import check_host_pattern
from producer.contract.selectors import MAX_SELECTOR_CHARS, check_selector
from producer.contract.step_selectors import read_step_selector
from producer.redis_address import check_redis_url
from producer.reports.markdown import code, text
from producer.sitemaps.links import links_of
from producer.sitemaps.patterns import Patterns
from tests.fuzz.strange import MARKUP
from worker.agent.conversation.citations import ground, is_unusable
from worker.agent.conversation.user_words import deciding_words, urls_in
from worker.models.builtin.components import is_first, since_when_of, two_times_of
from worker.models.context_budget import likely_tokens
from worker.models.thoughts import without_thoughts
from worker.scan.fingerprint import signature
from worker.scan.fixes.markup import attributes
from worker.scan.looks import is_soft_404

MOST_S = 1.0
"""Of CPU time; the longest texts here take a hundredth of it."""
CHARS = 4_000
QUESTION_CHARS = 20_000

PARSERS: dict[str, tuple[Callable[[str], object], int]] = {
    "selector": (check_selector, MAX_SELECTOR_CHARS),
    "step": (read_step_selector, MAX_SELECTOR_CHARS),
    "address": (lambda given: normal_url(f"http://shop.example/{given}"), CHARS),
    "host": (lambda given: normal_url(f"http://{given}"), CHARS),
    "host pattern": (check_host_pattern, CHARS),
    "redis": (lambda given: check_redis_url(f"redis://{given}"), CHARS),
    "markdown": (text, CHARS),
    "code": (code, CHARS),
    "links": (lambda given: list(links_of([given.encode("utf-8", "ignore")], "http://shop.example/")), CHARS),
    "pattern": (lambda given: Patterns().pattern_of(f"http://shop.example/#/{given}"), CHARS),
    "signature": (signature, CHARS),
    "attributes": (lambda given: attributes(f"<a {given}"), CHARS),
    "title": (is_soft_404, CHARS),
    "thoughts": (without_thoughts, QUESTION_CHARS),
    "unusable": (is_unusable, QUESTION_CHARS),
    "citations": (lambda given: ground(given, frozenset()), QUESTION_CHARS),
    "addresses": (lambda given: urls_in([given]), QUESTION_CHARS),
    "deciding words": (deciding_words, QUESTION_CHARS),
    "since when": (since_when_of, QUESTION_CHARS),
    "two times": (two_times_of, QUESTION_CHARS),
    "first": (is_first, QUESTION_CHARS),
    "tokens": (likely_tokens, QUESTION_CHARS),
}
BEGIN = st.sampled_from(
    ["", "[a=", "#", ":not(", "since ", "compare ", "http://", "role=button[name='", "error", "<a ", "{"]
)
AGAIN = st.lists(
    st.one_of(MARKUP, st.sampled_from(["a", "A1", "\u00e9", "\\a", ".", "-", " ", "0", "and ", "error", "x=", "/"])),
    min_size=1,
    max_size=3,
).map("".join)
END = st.sampled_from(["", "!", "!]", "\n", " in ", "\x00"])


@contextlib.contextmanager
def within_cpu(most_s: float) -> Generator[None]:
    """Raise ``TimeoutError`` in the block after ``most_s`` of this process's CPU time."""

    def late(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGVTALRM, late)
    signal.setitimer(signal.ITIMER_VIRTUAL, most_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@pytest.mark.parametrize("name", PARSERS)
@settings(phases=[Phase.explicit, Phase.reuse, Phase.generate])  # to shorten a slow text takes minutes
@given(begin=BEGIN, again=AGAIN, end=END)
def test_repetition_costs_little(name: str, begin: str, again: str, end: str):
    parser, chars = PARSERS[name]
    whole = begin + again * ((chars - len(begin) - len(end)) // len(again)) + end

    with within_cpu(MOST_S), contextlib.suppress(ValueError, re.error):
        parser(whole)
