"""Runs the labelled sets on a model, one item after the other, as a worker's jobs do."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import add
from time import monotonic

from producer.contract import Lane, QueryRequest
from producer.errors import ModelError
from worker.agent.assessment.assess import assess
from worker.agent.assessment.explain import explain_page
from worker.agent.assessment.shared_answers import OwnAnswers
from worker.agent.conversation.complexity import complexity
from worker.agent.conversation.graph import QueryGraph
from worker.agent.evaluation.labels import FindingSet, LabelledQuestion, QuestionSet
from worker.agent.evaluation.scores import Scores, score_answer, score_assessment
from worker.agent.state import QueryContext
from worker.models.builtin.models import NAME
from worker.models.job_context import serving
from worker.models.protocols import ChatModel

Tell = Callable[[str], None]
"""Called with a description of the next item."""


async def run_findings(chat: ChatModel, labelled: FindingSet, *, tell: Tell) -> Scores:
    """Return the scores of ``chat`` on the findings."""
    scores: list[Scores] = []
    for number, page in enumerate(labelled.pages, 1):
        tell(f"page {number} of {len(labelled.pages)}")
        began = monotonic()
        with serving(f"eval-page-{number}", Lane.INTERACTIVE):
            if chat.name == NAME:
                verdict = await assess(chat, page.result())
            else:
                verdict = await explain_page(chat, page.result(), OwnAnswers())
        scores.append(score_assessment(page, verdict, seconds=monotonic() - began))
    return reduce(add, scores, Scores())


async def run_questions(graph: QueryGraph, labelled: QuestionSet, *, tell: Tell) -> Scores:
    """Return the scores of ``graph`` on the questions; its history is created by ``fixture_history.py``."""
    scores: list[Scores] = []
    for number, label in enumerate(labelled.questions, 1):
        tell(f"question {number} of {len(labelled.questions)}")
        scores.append(await _ask(graph, label, job_id=f"eval-question-{number}"))
    return reduce(add, scores, Scores())


async def _ask(graph: QueryGraph, label: LabelledQuestion, *, job_id: str) -> Scores:
    began = monotonic()
    request = QueryRequest(question=label.question, thread_id=label.thread, site=label.site, use_cache=False)
    try:
        with serving(job_id, Lane.INTERACTIVE, complex_because=complexity(label.question)):
            result = await graph.run(job_id, request, QueryContext(submitted_ms=1))
    except ModelError as error:
        return score_answer(label, f"{type(error).__name__}: {error}", seconds=monotonic() - began)
    return score_answer(label, result, seconds=monotonic() - began)
