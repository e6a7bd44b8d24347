"""No model output breaks the worker, or passes an invented source or finding through the checks."""

from __future__ import annotations

import contextlib
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.fuzz.strange import JSON, TEXT, as_json, objects_with
from worker.agent.assessment.assess import AssessmentDraft
from worker.agent.assessment.review import ReviewDraft
from worker.agent.conversation.citations import ground, is_unusable
from worker.agent.conversation.tool_args import ARGS
from worker.agent.conversation.user_words import urls_in
from worker.agent.structured_reply import parse

DRAFTS = objects_with("summary", "priorities", "proposals", "fingerprint", "who", "why", "fix")
IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,12}", fullmatch=True)
CITED = re.compile(r"\[scans? ([^\]]+)\]", re.IGNORECASE)


@given(
    st.one_of(TEXT, DRAFTS.map(as_json), DRAFTS.map(lambda d: f"Sure!\n```json\n{as_json(d)}\n```")),
    st.sampled_from([AssessmentDraft, ReviewDraft]),
)
def test_an_assessment_is_of_the_form_or_refused(text: str, form: type[AssessmentDraft | ReviewDraft]):
    with contextlib.suppress(ValidationError):
        assert isinstance(parse(text, form), form)


@given(text=st.one_of(TEXT, JSON.map(as_json)), known=st.frozensets(IDS, max_size=3), made_up=st.lists(IDS, max_size=3))
def test_only_known_scans_are_sources(text: str, known: frozenset[str], made_up: list[str]):
    said = f"{text} [scan {', '.join([*known, *made_up])}] {text}" if known or made_up else text

    grounded = ground(said, known)

    assert set(grounded.sources) <= known
    invented = set(made_up) - known
    cited = {one.strip() for match in CITED.findall(grounded.text) for one in match.split(",")}
    assert not invented & cited


@given(st.one_of(TEXT, JSON.map(as_json)))
def test_whether_an_answer_can_be_shown_is_always_known(text: str):
    assert is_unusable(text) in {True, False}


@given(st.sampled_from(sorted(ARGS)), JSON | objects_with("text", "scan", "url", "rule", "limit", "since", "words"))
def test_arguments_of_tools_are_of_the_form_or_refused(tool: str, arguments: Any):
    with contextlib.suppress(ValidationError):
        assert ARGS[tool].model_validate(arguments)


@given(st.lists(st.one_of(TEXT, TEXT.map(lambda text: f"see http://{text}")), max_size=3))
def test_addresses_are_found_in_any_words(words: list[str]):
    assert all(url.startswith(("http://", "https://")) for url in urls_in(words))
