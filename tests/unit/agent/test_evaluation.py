"""The labelled sets are complete, and the scores are counted correctly."""

from __future__ import annotations

import json

import pytest

from producer.contract import Assessment, AssessmentSource, Priority, QueryResult, Usage
from producer.reports.jsonl import line_of
from worker.agent.assessment.assess import Verdict
from worker.agent.evaluation.labels import has, load_findings, load_questions
from worker.agent.evaluation.scores import Scores, Share, score_answer, score_assessment
from worker.cli.eval import document

FINDINGS, QUESTIONS = load_findings(), load_questions()
PAGE = FINDINGS.pages[0]
QUESTION = QUESTIONS.questions[0]


def test_there_are_forty_findings_and_twenty_questions_each_with_its_justification():
    findings = [one for page in FINDINGS.pages for one in page.findings]

    assert (len(findings), len({one.rule for one in findings})) == (40, 40)
    assert len(QUESTIONS.questions) == 20
    assert all(one.because.endswith(".") for one in (*FINDINGS.pages, *findings, *QUESTIONS.questions))


def test_labels_name_only_existing_rules_and_scans():
    scans = {one.scan for one in QUESTIONS.scans}

    assert all(set(page.first) <= {one.rule for one in page.findings} for page in FINDINGS.pages)
    assert all(set(one.sources) <= scans for one in QUESTIONS.questions)
    assert {rule for one in QUESTIONS.scans for rule in one.rules} <= set(QUESTIONS.impact_of)


@pytest.mark.parametrize("text", ["", "Fix it.", "Consult an expert about accessibility."])
def test_empty_phrases_meet_no_label(text: str):
    labels = [one for page in FINDINGS.pages for one in page.findings]

    assert [one.rule for one in labels if has(one.fix, text)] == []
    assert [one.question for one in QUESTIONS.questions if one.says and all(has(says, text) for says in one.says)] == []


def verdict(*said: tuple[str, str], dropped: int = 0, repaired: bool = False) -> Verdict:
    priorities = tuple(Priority(fingerprint=f"f-{rule}", who="screen reader users", fix=fix) for rule, fix in said)
    assessment = Assessment(summary="s", priorities=priorities, prompt="assess-1", dropped=dropped)
    return Verdict(assessment, AssessmentSource(model="m:1b"), Usage(prompt_tokens=7), repaired)


def test_an_assessment_is_scored_by_its_fixes_its_first_step_and_its_grounds():
    scores = score_assessment(
        PAGE, verdict(("label", "Add a label."), ("heading-order", "Cheer up."), dropped=1, repaired=True), seconds=2.0
    )

    assert (scores.form, scores.at_once, scores.order) == (Share(1, 1), Share(0, 1), Share(1, 1))
    assert (scores.grounded, scores.fixes, scores.who) == (Share(2, 3), Share(1, 5), Share(2, 5))
    assert (scores.usage.prompt_tokens, scores.seconds, scores.models) == (7, 2.0, ("m:1b",))
    assert len(scores.missed) == 4
    assert scores.missed[-1].startswith(f"{PAGE.url}: heading-order: the fix should have /")


def test_a_wrong_first_step_and_no_assessment_are_misses():
    wrong = score_assessment(PAGE, verdict(("heading-order", "Use h2.")), seconds=0)
    none = score_assessment(PAGE, Verdict(None, AssessmentSource(reason="broken")), seconds=0)

    assert wrong.order == Share(0, 1)
    assert (none.form, none.fixes, none.order) == (Share(0, 1), Share(0, 5), Share(0, 1))
    assert none.missed == (f"{PAGE.url}: no assessment (none: broken)",)


@pytest.mark.parametrize(
    ("answer", "sources", "notes", "right", "grounded"),
    [
        ("The checkout page.", ("checkout-2",), (), 1, 1),
        ("The checkout page.", (), ("the answer is not based on a scan",), 0, 0),
        ("The home page.", ("checkout-2",), (), 0, 1),
        ("The checkout.", ("checkout-2",), ("the model cited 1 scan that no tool returned: removed",), 1, 0),
    ],
)
def test_an_answer_is_right_if_it_says_what_it_must_and_rests_on_the_right_scans(
    answer: str, sources: tuple[str, ...], notes: tuple[str, ...], right: int, grounded: int
):
    result = QueryResult(answer=answer, sources=sources, notes=notes, model="m:1b")

    scores = score_answer(QUESTION, result, seconds=1.0)

    assert (scores.answers, scores.grounded) == (Share(right, 1), Share(grounded, 1))
    assert len(scores.missed) == (not (right and grounded))


def test_scores_are_added_up():
    total = score_assessment(PAGE, verdict(("label", "label")), seconds=1.0) + score_answer(
        QUESTION, "ModelUnreachable: gone", seconds=2.0
    )

    assert (total.answers, total.form, total.seconds) == (Share(0, 1), Share(1, 1), 3.0)
    assert str(total.form) == "100 % (1/1)"
    assert str(Scores().form) == "-"
    assert "no answer (ModelUnreachable: gone)" in total.missed[-1]


def test_every_score_is_in_the_json():
    told = json.loads(line_of(document(Scores(form=Share(7, 8), models=("m:1b",)))))

    assert (told["v"], told["form"], told["models"]) == (1, {"got": 7, "of": 8}, ["m:1b"])
    assert set(told) >= {"at_once", "grounded", "fixes", "who", "order", "answers", "usage", "seconds", "missed"}
