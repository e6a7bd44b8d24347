"""Data of one environment, site, group or conversation is never read, found, listed or deleted in another.

Namespaces of memories are in ``test_namespaces.py``, scopes of the cache in ``test_cache.py``.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from redis.asyncio import Redis
from typing_extensions import TypedDict

from producer.keys import Keys
from tests.support.redis_server import delete_environment
from tests.support.scans import embedded, finding, placed, scan_result, write_scan
from worker.doctor.lifetimes import take_sample
from worker.limits.conversation_hold import Threads, thread_tag
from worker.memory.cache import AnswerCache, Scope
from worker.memory.checkpoints import conversation_saver
from worker.memory.history.history import History, ScanFilter
from worker.memory.history.prune import prune
from worker.memory.memories import Memories
from worker.memory.vectors.embeddings import Embeddings
from worker.models.builtin.models import BuiltinEmbedder

EXAMPLES = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FORMS = BuiltinEmbedder()
QUESTION = "Which page is worst?"
SCOPE = Scope(site="", generation=0, model="m", prompt="p")
AWKWARD = ["a", "A", "a,b", "a|b", "a b", " a", "a*", "*", "{a}", "a:b", "a:", "ä", "a\x00", "x" * 10_000, "x" * 10_001]
NAMES = st.one_of(st.sampled_from(AWKWARD), st.text(min_size=1, max_size=40))


def several(names: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(names, min_size=2, max_size=3, unique=True)


async def keep_scan(redis: Redis, keys: Keys, scan_id: str, *, group: str = "", host: str = "a.example") -> None:
    result = scan_result(finding("label", "n"), scan_id=scan_id, group=group, url=f"https://{host}/")
    await write_scan(redis, keys, result, text=embedded("forms"))


# ------------------------------------------------------------------------------------------ environments


@EXAMPLES
@given(suffixes=several(st.from_regex(r"[a-z0-9_-]{0,6}", fullmatch=True)), first=st.booleans())
@example(suffixes=["", "-x"], first=True)
@example(suffixes=["", "-x"], first=False)
@example(suffixes=["_", "-"], first=True)
@example(suffixes=["1", "10"], first=True)
async def test_environments_share_nothing(redis_url: str, keys: Keys, suffixes: list[str], first: bool):
    environments = [Keys(keys.environment + suffix) for suffix in suffixes]
    async with Redis.from_url(redis_url, protocol=2) as redis:
        for number, own in enumerate(environments):
            await fill(redis, own, str(number))

        told = [await look(redis, own) for own in environments]
        emptied = environments[0 if first else -1]
        await empty(redis, emptied)
        left = [await look(redis, own) for own in environments]
    delete_environment(redis_url, keys)

    whole = [{"scans": [n], "like": [n], "memories": [n], "found": [n], "answer": n} for n in "012"]
    assert told == whole[: len(environments)]
    assert [one for own, one in zip(environments, left, strict=True) if own != emptied] == [
        one for own, one in zip(environments, told, strict=True) if own != emptied
    ]
    assert left[environments.index(emptied)]["memories"] == []


async def fill(redis: Redis, keys: Keys, mark: str) -> None:
    """Write the same names to each memory of an environment, with its mark."""
    store, cache = Memories(Embeddings(redis, keys, FORMS)), AnswerCache(Embeddings(redis, keys, FORMS))
    await History(Embeddings(redis, keys, FORMS)).ensure_index()
    await store.ensure_index()
    await cache.ensure_index()
    await keep_scan(redis, keys, f"job-{mark}")
    await store.put(("user",), "key", {"text": mark})
    await cache.keep(QUESTION, mark, placed(QUESTION), SCOPE)


async def look(redis: Redis, keys: Keys) -> dict[str, Any]:
    """Return an environment's data through each kind of access."""
    store, history = Memories(Embeddings(redis, keys, FORMS)), History(Embeddings(redis, keys, FORMS))
    answer = (await AnswerCache(Embeddings(redis, keys, FORMS)).look_up(QUESTION, SCOPE)).found
    near = await history.similar(placed("forms"))
    return {
        "scans": [record.scan_id.removeprefix("job-") for record in await history.find()],
        "like": [one.record.scan_id.removeprefix("job-") for one in near],
        "memories": [item.value["text"] for item in await store.search(())],
        "found": [item.value["text"] for item in await store.search((), query="a")],
        "answer": answer and answer.answer,
    }


async def empty(redis: Redis, keys: Keys) -> None:
    """Delete everything that can be deleted."""
    await redis.unlink(*[key async for key in redis.scan_iter(match=f"{keys.memory_prefix}*")])
    await redis.unlink(keys.scan("job-0"), keys.scan("job-1"), keys.scan("job-2"))
    await prune(redis, keys, older_than_ms=10**15)


# ------------------------------------------------------------------------------------------ groups and sites


@EXAMPLES
@given(groups=several(NAMES))
@example(groups=["a", "A", "a,b"])
@example(groups=["x" * 10_000, "x" * 10_001])
async def test_scans_are_found_in_their_own_group_alone(redis: Redis, keys: Keys, history: History, groups: list[str]):
    for number, group in enumerate(groups):
        await keep_scan(redis, keys, str(number), group=group)

    found = [await history.find(ScanFilter(group=group)) for group in groups]
    near = [await history.similar(placed("forms"), ScanFilter(group=group)) for group in groups]
    await redis.unlink(*(keys.scan(str(number)) for number in range(len(groups))))

    own = [[str(number)] for number in range(len(groups))]
    assert [[record.scan_id for record in records] for records in found] == own
    assert [[one.record.scan_id for one in ones] for ones in near] == own


HOSTS = st.from_regex(r"[a-zA-Z0-9-]{1,8}(\.[a-z]{1,4}){0,2}", fullmatch=True).map(str.lower)


@EXAMPLES
@given(hosts=several(HOSTS), asked=NAMES)
@example(hosts=["a.example", "b.a.example", "a.exampl"], asked="example")
@example(hosts=["a-b.example", "a.example"], asked="a,b")
async def test_scans_are_found_on_their_own_site_alone(
    redis: Redis, keys: Keys, history: History, hosts: list[str], asked: str
):
    for host in hosts:
        await keep_scan(redis, keys, host, host=host)

    found = {host: await history.find(ScanFilter(host=host)) for host in [*hosts, asked]}
    await redis.unlink(*(keys.scan(host) for host in hosts))

    for host, records in found.items():
        assert [record.scan_id for record in records] == ([host] if host in hosts else [])


@EXAMPLES
@given(sites=several(NAMES))
@example(sites=["a", "a:generation"])
async def test_a_scan_makes_the_answers_of_its_own_site_old_and_no_other_s(
    redis_url: str, keys: Keys, sites: list[str]
):
    async with Redis.from_url(redis_url, protocol=2) as redis:
        cache = AnswerCache(Embeddings(redis, keys, FORMS))
        await redis.execute_command("HINCRBY", keys.site(sites[0]), "generation", 1)

        generations = [await cache.generation(site) for site in sites]
        await redis.unlink(keys.site(sites[0]))

    assert generations == [1] + [0] * (len(sites) - 1)


# ------------------------------------------------------------------------------------------ conversations


class Conversation(TypedDict):
    said: str


def talk_on(saver: Any) -> Any:
    """A graph that keeps what was said."""
    graph = StateGraph(Conversation)
    graph.add_node("hear", lambda state: state)
    graph.add_edge(START, "hear")
    graph.add_edge("hear", END)
    return graph.compile(checkpointer=saver)


def config_of(keys: Keys, thread_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": f"{keys.environment}:talk:{thread_tag(thread_id)}"}}


@EXAMPLES
@given(threads=several(NAMES))
@example(threads=["a", "A", "a,b"])
@example(threads=["a|b", "a", "b"])
@example(threads=["t-a", "a", "h-a"])
@example(threads=["1", "10"])
async def test_conversations_share_nothing(redis_url: str, keys: Keys, threads: list[str]):
    async with Redis.from_url(redis_url, protocol=2) as redis:
        saver = await conversation_saver(redis, keys, ttl_s=600)
        talk = talk_on(saver)
        for thread_id in threads:
            await talk.ainvoke({"said": thread_id}, config_of(keys, thread_id), durability="sync")

        heard = [(await talk.aget_state(config_of(keys, one))).values.get("said") for one in threads]
        steps = [[step async for step in saver.alist(config_of(keys, one))] for one in threads]
        lasting = (await take_sample(redis, keys)).lasting
        await saver.adelete_thread(str(config_of(keys, threads[0]).get("configurable", {})["thread_id"]))
        left = [(await talk.aget_state(config_of(keys, one))).values.get("said") for one in threads]
        for one in threads:
            await saver.adelete_thread(str(config_of(keys, one).get("configurable", {})["thread_id"]))

    assert heard == threads
    for own, listed in zip(threads, steps, strict=True):
        assert {step.checkpoint["channel_values"].get("said", own) for step in listed} == {own}
    assert not lasting
    assert left == [None, *threads[1:]]


@EXAMPLES
@given(threads=several(NAMES))
@example(threads=["a", "A", "a,b"])
async def test_a_query_in_one_conversation_delays_no_other(redis_url: str, keys: Keys, threads: list[str]):
    async with Redis.from_url(redis_url, protocol=2) as redis:
        held = Threads(redis, keys)

        async with held.hold(thread_tag(threads[0]), "q1", submitted_ms=1):
            for other in threads[1:]:
                async with held.hold(thread_tag(other), "q2", submitted_ms=2) as hold:
                    hold.check()
