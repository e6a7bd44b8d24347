"""The scan graph: ``audit → recall → assess → record``. One run is one scan of one page.

``audit`` scans the page, ``recall`` looks it up in the history, ``assess`` assesses the findings or leaves that to a
later job (``job.py``), ``record`` assembles the result. ``handlers.py`` turns the final state into finish.lua's commit.
A killed run continues after ``audit`` if that was complete (``worker/memory/audits.py``): no page is loaded again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from time import monotonic
from typing import Final, Literal, cast

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from producer.contract import AssessmentSource, Changes, ScanRequest, ScanResult, Usage
from producer.contract.scan_terms import terms_of
from producer.errors import ModelError, ModelTimeout
from worker.agent.assessment.assess import appraise, reason_not_to_ask
from worker.agent.assessment.trim import AUDIT_BYTES, RECORD_BYTES, trim
from worker.agent.assessment.verdict import Verdict
from worker.agent.prompts import clip
from worker.agent.state import Recalled, RecalledComponents, ScanContext, ScanState, new_state, pack_shots
from worker.memory.audits import Audit, Audits
from worker.memory.history.components import Began, compare_components, wanted_ids
from worker.memory.history.history import History, Run, ScanFilter
from worker.memory.history.scan_record import (
    ScanRecord,
    compare,
    page_of,
    recorded_findings,
    search_text,
)
from worker.memory.vectors.embeddings import Embedded
from worker.models.protocols import ChatModel, add_usage, spent_on
from worker.scan.settings import Engine
from worker.settings import REVIEW_AREAS

Update = dict[str, str | int]
"""The fields of ``ScanState`` that a node changes."""
EMBED_S: Final = 5.0
"""Seconds that a page's findings wait for a vector."""
NEIGHBOURS: Final = 15
"""Records searched for pages that fail the same rules; a page may have several."""
NEAR: Final = 0.6
"""Cosine distance up to which a page counts as similar; unrelated texts have 0.8 or more."""


class ScanGraph:
    """Runs scans with the resources passed in. Safe for concurrent jobs.

    ``chat`` assesses immediately, by rules. None: a separate job asks a model (``job.py``).
    """

    def __init__(
        self,
        *,
        engine: Engine,
        chat: ChatModel | None,
        history: History,
        audits: Audits,
        review_areas: int = REVIEW_AREAS,
    ) -> None:
        self._engine = engine
        self._chat = chat
        self._history = history
        self._audits = audits
        self._review_areas = review_areas
        graph = StateGraph(ScanState, context_schema=ScanContext)
        graph.add_sequence([self.audit, self.recall, self.assess, self.record])
        graph.add_conditional_edges(START, _first_node, ["audit", "recall"])
        graph.add_edge("record", END)
        self._graph = graph.compile()

    async def run(self, job_id: str, request: ScanRequest, context: ScanContext) -> ScanState:
        """Return the final state of the job's scan, continuing an interrupted run.

        Raises the engine's errors.
        """
        state = new_state(job_id, request.model_dump_json())
        if known := await self._audits.find(job_id, _submission(state, context)):
            state["result"], state["shots"] = known
        return cast("ScanState", await self._graph.ainvoke(state, context=context))

    async def forget(self, job_id: str) -> None:
        """Delete the audit of the job's run. Call it after the job's end; safe to call twice."""
        await self._audits.drop(job_id)

    # ------------------------------------------------------------------------------------------ nodes

    async def audit(self, state: ScanState, runtime: Runtime[ScanContext]) -> Update:
        """Scan the page."""
        context = runtime.context
        request = ScanRequest.model_validate_json(state["request"])
        async with context.turn:
            audit = await self._engine.audit(
                request, secrets=context.secrets, on_progress=context.on_progress, before_load=context.before_load
            )
        kept = Audit(trim(audit.result, AUDIT_BYTES).model_dump_json(), pack_shots(audit.shots))
        await self._audits.keep(state["job_id"], _submission(state, context), kept)
        return {"result": kept.result, "shots": kept.shots}

    async def recall(self, state: ScanState, runtime: Runtime[ScanContext]) -> Update:
        """Find the page's previous scan, the changes since, and similar pages that fail the same rules."""
        runtime.context.step("recalling")
        began = monotonic()
        result = ScanResult.model_validate_json(state["result"])
        request = ScanRequest.model_validate_json(state["request"])
        embedded, usage, note = await self._embed(result)
        run = await self._history.run_of(request.run, submitted_ms=runtime.context.submitted_ms)
        last, changes, whole = await self._look_back(result, request, state["job_id"], run)
        changes, components = await self._look_at_components(
            result, request, changes, previous=whole, run=run, context=runtime.context
        )
        recalled = Recalled(
            last_id=last.scan_id if last else "",
            last_signature=last.signature if last else "",
            last_at_ms=last.at_ms if last else 0,
            changes=changes,
            elsewhere=await self._look_around(result, page_of(request), embedded),
            components=components,
        )
        result = result.revised(
            usage=add_usage(result.usage, usage),
            notes=(*result.notes, *note),
            timings_ms=_timings(result, "recall", began),
        )
        update = {"result": result.model_dump_json(), "recalled": recalled.model_dump_json()}
        # HTML without an address is not recorded: it could not be found again.
        kept = embedded if request.url is not None else Embedded("", {})
        return {**update, "embedded": kept.pack()}

    async def assess(self, state: ScanState, runtime: Runtime[ScanContext]) -> Update:
        """Assess the findings, or mark the assessment as pending, since findings do not wait for a model."""
        result = ScanResult.model_validate_json(state["result"])
        recalled = Recalled.model_validate_json(state["recalled"])
        wanted = ScanRequest.model_validate_json(state["request"]).assess
        why_not = reason_not_to_ask(result, wanted=wanted)
        if why_not:
            verdict = Verdict(None, AssessmentSource(reason=why_not))
        elif self._chat is None:
            verdict = Verdict(None, AssessmentSource.pending())
        else:
            runtime.context.step("assessing")
            began = monotonic()
            verdict = await appraise(
                self._chat,
                result,
                changes=recalled.changes,
                elsewhere=recalled.elsewhere,
                review_areas=self._review_areas,
            )
            result = result.revised(timings_ms=_timings(result, "assess", began))
        result = result.revised(
            assessment=verdict.assessment,
            assessment_source=str(verdict.source),
            usage=add_usage(result.usage, verdict.usage),
            notes=(*result.notes, *verdict.notes),
        )
        return {"result": result.model_dump_json()}

    async def record(self, state: ScanState) -> Update:
        """Add the changes and the time to the result."""
        result = ScanResult.model_validate_json(state["result"])
        recalled = Recalled.model_validate_json(state["recalled"])
        seen_ms = await self._history.now_ms()
        result = trim(result.revised(changes=recalled.changes), RECORD_BYTES)
        return {"result": result.model_dump_json(), "seen_ms": seen_ms}

    # ------------------------------------------------------------------------------------------ steps

    async def _embed(self, result: ScanResult) -> tuple[Embedded, Usage, tuple[str, ...]]:
        """Return the result's text and vectors.

        If the model fails or takes long, there is a note instead: the findings do not wait, and the vector is
        backfilled (``memory/vectors/backfill.py``).
        """
        text = search_text(result)
        try:
            async with asyncio.timeout(EMBED_S):
                (embedded,), usage = await self._history.vectors.documents([text])
        except (ModelError, TimeoutError) as raised:
            error = raised if isinstance(raised, ModelError) else ModelTimeout(f"no vector within {EMBED_S:g} s")
            note = f"not yet searchable by meaning, and not compared with similar pages: {clip(str(error))}"
            return Embedded(text, {}), spent_on(error), (note,)
        return embedded, usage, ()

    async def _look_back(
        self, result: ScanResult, request: ScanRequest, job_id: str, run: Run | None
    ) -> tuple[ScanRecord | None, Changes | None, ScanRecord | None]:
        """Return the page's newest scan under the same terms, and the changes since its newest complete one.

        The third value is that complete scan, if possible the newest before ``run`` began. A page that was not scanned
        is not compared.
        """
        page, terms = page_of(request), terms_of(request)
        last = whole = await self._history.previous(page, terms=terms, before_job=job_id)
        if last is None or result.status not in {"scanned", "partial"}:
            return last, None, None
        if last.status != "scanned" or run is not None:
            whole = await self._history.previous(page, terms=terms, before_job=job_id, status="scanned", before_run=run)
        if whole is None:
            return last, None, None
        is_whole = result.status == "scanned"
        return last, compare(whole, recorded_findings(result.findings), is_whole=is_whole), whole

    async def _look_at_components(
        self,
        result: ScanResult,
        request: ScanRequest,
        changes: Changes | None,
        *,
        previous: ScanRecord | None,
        run: Run | None,
        context: ScanContext,
    ) -> tuple[Changes | None, RecalledComponents]:
        """Return ``changes`` with those of component barriers, and the commit's data; one round trip."""
        if result.status not in {"scanned", "partial"}:
            return changes, RecalledComponents()
        wanted = wanted_ids(result, previous)
        before = await self._history.barriers.before(
            page_of(request), terms_of(request), wanted, batch=context.batch if run is None else ""
        )
        began_ms = (
            run.began_ms if run else before.batch_began_ms or context.submitted_ms or await self._history.now_ms()
        )
        began = Began(began_ms, request.run)
        compared = compare_components(result, changes, previous=previous, before=before, began=began)
        held = {issue_id: one.rule if (one := before.known.get(issue_id)) else "" for issue_id in before.held}
        is_first = previous is None
        return compared.changes, RecalledComponents(
            held=held, state=before.state, known_ms=compared.known_ms, began_ms=began_ms, is_first=is_first
        )

    async def _look_around(self, result: ScanResult, page: str, embedded: Embedded) -> dict[str, int]:
        """Count, for each rule of ``result``, the similar pages that fail it too."""
        placed = embedded.placed((await self._history.vectors.record()).active)
        if placed is None or not result.findings:
            return {}
        wanted = ScanFilter(not_page=page, status="scanned")
        names = ("page", "components", "findings")
        near = await self._history.similar(placed, wanted, limit=NEIGHBOURS, names=names)
        nearest = {one.record.page: one.record for one in reversed(near) if one.distance <= NEAR}
        rules = {finding.rule for finding in result.findings}
        shared = [rules & {finding.rule for finding in record.findings} for record in nearest.values()]
        return dict(Counter(rule for both in shared for rule in both))


def _submission(state: ScanState, context: ScanContext) -> str:
    """Return what identifies a submission: a replay loads the page, even if a killed worker left the scan's audit."""
    return f"{context.submitted_ms} {state['request']}"


def _first_node(state: ScanState) -> Literal["audit", "recall"]:
    return "recall" if state["result"] else "audit"


def _timings(result: ScanResult, step: str, began: float) -> dict[str, int]:
    return {**result.timings_ms, step: round((monotonic() - began) * 1000)}
