"""The query graph: ``begin → (think ⇄ act) → finish``. One run is one turn of one conversation.

``begin`` looks into the cache, ``think`` asks the model, ``act`` runs the requested tools, ``finish`` checks the answer
and stores it. Every step is stored under the conversation's thread: a killed worker's turn continues where it stopped,
and a complete turn is answered from the thread and never repeated. The cache and side effects are written before the
job's commit, under keys that a repetition overwrites (``side_effects.py``). Only one question at a time runs in a
thread (``limits/conversation_hold.py``). ``decisions.py`` decides the step after a reply.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from time import monotonic
from typing import Final, cast

import structlog
from langchain_core.runnables import RunnableConfig
from langgraph.errors import EmptyInputError
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from producer.contract import QueryRequest, QueryResult, Usage
from producer.errors import ContextExceeded
from worker.agent.conversation.cached_answers import AnswerStore
from worker.agent.conversation.decisions import (
    MAX_ROUNDS,
    after_begin,
    after_think,
    grounded,
    heard,
    reason_to_refuse,
    result_of,
    told,
)
from worker.agent.conversation.prompt import BUDGET_TOKENS, Prompt, prompt_of
from worker.agent.conversation.state import (
    ConversationState,
    FinishedTurn,
    Turn,
    asker_of,
    known_scans,
    pack_turns,
    parse_turns,
)
from worker.agent.conversation.tool_args import TOOLS
from worker.agent.conversation.tools import Toolbox, refused
from worker.agent.state import QueryContext
from worker.limits.conversation_hold import Threads, thread_lost, thread_tag
from worker.memory.checkpoints import ConversationSaver
from worker.models.builtin.models import NAME
from worker.models.protocols import ChatModel, ChatReply, ToolCall, add_usage, spent_on
from worker.queue.outcome import FieldNeeded

RECURSION_LIMIT: Final = 2 * MAX_ROUNDS + 10

Update = dict[str, str]
log = structlog.get_logger()


class QueryGraph:
    """Answers questions with the resources passed in. Safe for concurrent conversations."""

    def __init__(
        self,
        *,
        chat: ChatModel,
        tools: Toolbox,
        answers: AnswerStore,
        threads: Threads,
        checkpointer: ConversationSaver,
        environment: str,
    ) -> None:
        self._chat = chat
        self._tools = tools
        self._answers = answers
        self._threads = threads
        self._checkpointer = checkpointer
        self._environment = environment
        graph = StateGraph(ConversationState, context_schema=QueryContext)
        graph.add_node("begin", self.begin)
        graph.add_node("think", self.think)
        graph.add_node("act", self.act)
        graph.add_node("finish", self.finish)
        graph.add_edge(START, "begin")
        graph.add_conditional_edges("begin", after_begin)
        graph.add_conditional_edges("think", after_think)
        graph.add_edge("act", "think")
        graph.add_edge("finish", END)
        self._graph = graph.compile(checkpointer=checkpointer)

    async def run(self, job_id: str, request: QueryRequest, context: QueryContext) -> QueryResult:
        """Return the answer to the job's question, continuing an interrupted run.

        Without a thread, the question starts one named after the job. Raises ``ThreadBusy`` and the model's errors.
        """
        thread_id = request.thread_id or job_id
        tag = thread_tag(thread_id)
        async with self._threads.hold(tag, job_id, submitted_ms=context.submitted_ms) as hold:
            context = replace(context, check=hold.check)
            name = f"{self._environment}:talk:{tag}"
            turn = Turn(
                job_id=job_id,
                question=request.question,
                submitted_ms=context.submitted_ms,
                site=request.site,
                use_cache=request.use_cache,
            )
            with self._checkpointer.held(hold):
                finished = await self._speak(name, turn, context)
                if finished is None or not hold.steps:
                    raise thread_lost()  # between two reads a failover has changed what is stored
                context.needs.extend(await self._tools.effects.ensure(job_id, finished.effects))
                await self._checkpointer.keep_newest(name)
                context.needs.extend(FieldNeeded(key, "step", step) for key in hold.job_keys for step in hold.steps)
        return finished.result.revised(thread_id=thread_id)

    async def _speak(self, name: str, turn: Turn, context: QueryContext) -> FinishedTurn | None:
        """Return ``turn`` finished: from the thread if it is complete there, else by running the remaining steps.

        None if these are gone or were of another turn. The graph reads the thread again, perhaps from another server if
        a failover is under way, so it is given only the turn: finished turns are those of the step that it continues.

        Only what is in a stored step counts: ``aget_state`` adds what a node has returned before its step is stored, so
        a turn could look complete that a failover can still lose.
        """
        config: RunnableConfig = {"configurable": {"thread_id": name}, "recursion_limit": RECURSION_LIMIT}
        known = await self._checkpointer.aget_tuple(config)
        stored = known.checkpoint["channel_values"] if known else {}
        spoken = cast("ConversationState", {"turn": "", **stored})
        done = _finished(spoken, turn)
        if known is not None and done is not None:
            await self._checkpointer.confirm(known.config)
            return done
        is_begun = _is_same(spoken["turn"], turn)
        given = None if is_begun else ConversationState(turn=turn.model_dump_json())
        try:
            spoken = await self._graph.ainvoke(given, config, context=context, durability="sync")
        except EmptyInputError:  # nothing given, and now there is no step to continue
            return None
        return _finished(cast("ConversationState", spoken), turn)

    # ------------------------------------------------------------------------------------------ nodes

    async def begin(self, state: ConversationState, runtime: Runtime[QueryContext]) -> Update:
        """Set the turn's time and scope, and look for a cached answer."""
        runtime.context.step("looking for a cached answer")
        began = monotonic()
        turn = Turn.model_validate_json(state["turn"])
        if _finished(state, turn) is not None:
            raise thread_lost()  # the thread was read from a replaced primary, and is complete
        turn = await self._answers.look_up(turn, _turns_of(state))
        return self._kept(turn, "cache", began, runtime)

    async def think(self, state: ConversationState, runtime: Runtime[QueryContext]) -> Update:
        """Ask the model for tool calls or for the answer."""
        runtime.context.step("thinking")
        began = monotonic()
        turn = Turn.model_validate_json(state["turn"])
        is_last = turn.rounds + 1 >= MAX_ROUNDS
        turns = _turns_of(state)
        prompt, reply = await self._asked(turn, turns, is_last=is_last)
        # The built-in model's answers are fixed sentences about what was looked up or what it cannot do.
        known = None if self._chat.name == NAME else known_scans(turn, turns)
        turn = heard(turn, reply, is_last=is_last, notes=prompt.notes, known=known)
        return self._kept(turn, "think", began, runtime)

    async def _asked(self, turn: Turn, turns: Sequence[FinishedTurn], *, is_last: bool) -> tuple[Prompt, ChatReply]:
        """Return the model's reply and its prompt, which is shortened if it has more tokens than estimated."""
        budget, spent = BUDGET_TOKENS, Usage()
        prompt = prompt_of(turn, turns, is_last=is_last)
        while True:
            try:
                reply = await self._chat.chat(prompt.messages, tools=() if is_last else TOOLS)
                return prompt, replace(reply, usage=add_usage(spent, reply.usage))
            except ContextExceeded as error:
                budget, spent = budget // 2, add_usage(spent, spent_on(error))
                with suppress(ContextExceeded):
                    shorter = prompt_of(turn, turns, is_last=is_last, budget_tokens=budget)
                    if shorter.messages != prompt.messages:
                        log.info("query.shortened", job_id=turn.job_id, error=str(error))
                        prompt = shorter
                        continue
                error.spent = spent
                raise

    async def act(self, state: ConversationState, runtime: Runtime[QueryContext]) -> Update:
        """Run the requested tools one after the other."""
        runtime.context.step("looking things up")
        began = monotonic()
        turn = Turn.model_validate_json(state["turn"])
        asker = asker_of(turn, _turns_of(state))
        for place, (name, arguments, call_id) in enumerate(turn.said[-1].calls):
            call = ToolCall(name, arguments, call_id)
            reason = reason_to_refuse(turn, call, place)
            answer = refused(call, asker, reason) if reason else await self._tools.run(call, asker)
            turn = told(turn, call, answer)
        return self._kept(turn, "act", began, runtime)

    async def finish(self, state: ConversationState, runtime: Runtime[QueryContext]) -> Update:
        """Check the answer's citations, cache it, and close the turn."""
        runtime.context.step("answering")
        turn, turns = Turn.model_validate_json(state["turn"]), _turns_of(state)
        if not turn.cached:
            turn = await self._answers.keep(grounded(turn, known_scans(turn, turns)))
        result = result_of(turn)
        log.info(
            "query.answered",
            job_id=turn.job_id,
            model=result.model,
            cached=result.cached,
            rounds=turn.rounds,
            tools=turn.calls,
            sources=len(result.sources),
            notes=len(result.notes),
        )
        finished = FinishedTurn(
            job_id=turn.job_id,
            question=turn.question,
            result=result,
            submitted_ms=turn.submitted_ms,
            effects=turn.effects,
        )
        others = [one for one in turns if (one.job_id, one.question) != (turn.job_id, turn.question)]
        runtime.context.check()
        return {"turns": pack_turns((*others, finished)), "turn": ""}

    def _kept(self, turn: Turn, step: str, began: float, runtime: Runtime[QueryContext]) -> Update:
        """Return the turn as stored, unless the conversation was lost meanwhile."""
        runtime.context.check()
        turn = turn.model_copy()
        spent_ms = turn.timings_ms.get(step, 0) + round((monotonic() - began) * 1000)
        turn.timings_ms = {**turn.timings_ms, step: spent_ms}
        return {"turn": turn.model_dump_json()}


def _is_same(text: str, turn: Turn) -> bool:
    """Return whether the unfinished turn of a killed worker is this one; a later question discards it."""
    if not text:
        return False
    left = Turn.model_validate_json(text)
    return _is_of(left, turn) and left.site == turn.site


def _turns_of(state: ConversationState) -> tuple[FinishedTurn, ...]:
    return parse_turns(state.get("turns", ""))


def _finished(state: ConversationState, turn: Turn) -> FinishedTurn | None:
    return next((one for one in _turns_of(state) if _is_of(one, turn)), None)


def _is_of(kept: Turn | FinishedTurn, turn: Turn) -> bool:
    """Return whether the stored turn belongs to this job; earlier releases did not store its submission time."""
    is_named = (kept.job_id, kept.question) == (turn.job_id, turn.question)
    return is_named and kept.submitted_ms in {0, turn.submitted_ms}
