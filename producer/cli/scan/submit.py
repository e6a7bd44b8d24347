"""One run of ``sightline scan``: submits the pages and waits for their results. Reads no options and prints nothing.

The ids of a batch's jobs are derived from the batch's name and the request, so that repeating an interrupted run finds
its jobs and resumes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import TYPE_CHECKING

from producer.cli.scan.appearance import state_names
from producer.client.client import Client
from producer.contract import JsonObject, Lane, encode_payload
from producer.contract.addresses import stateless
from producer.errors import InvalidJob, UnknownJob, WaitTimeout

if TYPE_CHECKING:
    from producer.reports.page import Page


@dataclass(frozen=True, slots=True, eq=False)
class ScanPlan:
    """The jobs to submit: a batch, or one page as ``job_id``. ``options`` are its requests' fields, without URL.

    Each page is scanned in each of ``states``, which are sets of such fields; ``{}`` is the default state.

    ``gaps_ms`` are the pages' ``host_gap_ms``. Ids depend neither on them nor on the pipeline run ``run``, so that a
    resumed batch has the same ids. ``groups`` and ``steps`` are by page; a state reached by steps has its own address
    in ``urls`` (``addresses.state_url``). ``secrets`` are the credentials for pages behind a login; they are in no
    payload and no repr. ``with_login`` restores the user info of an address, which the client turns into a secret.
    ``own``, ``own_secrets`` and ``own_states`` replace ``options``, ``secrets`` and ``states`` for pages that differ
    (``sightline.toml``).
    """

    urls: Sequence[str]
    options: JsonObject
    batch: str = ""
    job_id: str = ""
    lane: Lane | None = None
    resume: bool = False
    secrets: JsonObject | None = field(default=None, repr=False)
    gaps_ms: Mapping[str, int] = field(default_factory=dict[str, int])
    groups: Mapping[str, str] = field(default_factory=dict[str, str])
    run: str = ""
    steps: Mapping[str, Sequence[JsonObject]] = field(default_factory=dict[str, Sequence[JsonObject]])
    with_login: Callable[[str], str] = field(default=str, repr=False)
    states: Sequence[JsonObject] = ({},)
    own: Mapping[str, JsonObject] = field(default_factory=dict[str, JsonObject])
    own_secrets: Mapping[str, JsonObject] = field(default_factory=dict[str, JsonObject], repr=False)
    own_states: Mapping[str, Sequence[JsonObject]] = field(default_factory=dict[str, Sequence[JsonObject]])

    @property
    def jobs(self) -> int:
        """The number of jobs."""
        return sum(len(self.states_of(url)) for url in self.urls)

    def states_of(self, url: str) -> Sequence[JsonObject]:
        """Return the states in which a page is scanned."""
        return self.own_states.get(url, self.states)

    def places(self) -> Iterator[tuple[str, JsonObject]]:
        """Yield page and state of each job."""
        return ((url, state) for url in self.urls for state in self.states_of(url))

    def _asked(self, url: str, state: JsonObject) -> JsonObject:
        group: JsonObject = {"group": self.groups[url]} if url in self.groups else {}
        steps: JsonObject = {"steps": list(self.steps[url])} if url in self.steps else {}
        return {"url": stateless(url), **self.own.get(url, self.options), **state, **group, **steps}

    def asked(self) -> Iterator[JsonObject]:
        """Yield the request of each job, without the fields that only the submission needs."""
        return (self._asked(url, state) for url, state in self.places())

    def payloads(self) -> Iterator[JsonObject]:
        """Yield the payload of each job."""
        for url, state in self.places():
            page = stateless(url)
            gap: JsonObject = {"host_gap_ms": self.gaps_ms[page]} if page in self.gaps_ms else {}
            run: JsonObject = {"run": self.run} if self.run else {}
            yield {**self._asked(url, state), "url": self.with_login(page), **gap, **run}

    def job_ids(self) -> Iterator[str]:
        """Yield the id of each job of a batch."""
        for url, state in self.places():
            digest = hashlib.sha256(encode_payload(self._asked(url, state)).encode()).hexdigest()
            yield f"{self.batch}-{digest[:16]}"

    def by_secrets(self) -> Iterator[tuple[JsonObject | None, int]]:
        """Yield the secrets with the number of consecutive jobs that use them."""
        for secrets, alike in groupby(self.secrets_of(url) for url, _ in self.places()):
            yield secrets, sum(1 for _ in alike)

    def secrets_of(self, url: str) -> JsonObject | None:
        """Return the secrets of a page."""
        return self.own_secrets.get(url, self.secrets) or None


@dataclass(slots=True, eq=False)
class Queued:
    """The jobs of a run, in the order of the pages; ``found`` counts those that existed before.

    ``states`` has the state of each job's page. Until ``is_complete``, Redis may have more jobs: an interrupted submit
    does not report them.
    """

    batch: str
    is_complete: bool = False
    urls: dict[str, str] = field(default_factory=dict[str, str])
    states: dict[str, str] = field(default_factory=dict[str, str])
    found: int = 0


async def submit(client: Client, plan: ScanPlan, *, on_job: Callable[[str, str, bool], None], queued: Queued) -> None:
    """Submit the plan's pages, add them to ``queued`` (even if interrupted), and close the batch.

    Calls ``on_job`` with each job's id, URL and whether it is new. Raises ``InvalidJob`` for the name of a complete
    batch, unless the plan resumes it.
    """
    if not plan.batch:
        payload, secrets = next(plan.payloads()), plan.secrets_of(plan.urls[0])
        submitted = await client.submit("scan", payload, job_id=plan.job_id, lane=plan.lane, secrets=secrets)
        if not submitted.created:
            msg = f"job {submitted.job_id!r} exists: choose another --id, or see 'sightline result {submitted.job_id}'"
            raise InvalidJob(msg)
        queued.urls[submitted.job_id] = plan.urls[0]
        queued.states[submitted.job_id] = state_names(plan.states_of(plan.urls[0]))[0]
        queued.is_complete = True
        on_job(submitted.job_id, plan.urls[0], True)  # noqa: FBT003  a callback
        return
    if not plan.resume:
        await _refuse_complete_batch(client, plan.batch)
    payloads, job_ids = plan.payloads(), plan.job_ids()
    places = ((url, state) for url in plan.urls for state in state_names(plan.states_of(url)))
    for secrets, number in plan.by_secrets():
        some, ids = islice(payloads, number), islice(job_ids, number)
        jobs = client.submit_many("scan", some, lane=plan.lane, batch=plan.batch, job_ids=ids, secrets=secrets)
        async for submitted in jobs:
            url, queued.states[submitted.job_id] = next(places)
            queued.urls[submitted.job_id] = url
            queued.found += not submitted.created
            on_job(submitted.job_id, url, submitted.created)
    await client.seal_batch(plan.batch)
    queued.is_complete = True


async def pages_as_completed(
    client: Client, queued: Queued, *, timeout_s: float | None, left_s: float | None
) -> AsyncIterator[Page]:
    """Yield the pages as their jobs end; after ``left_s`` seconds, yield the rest as not done within ``timeout_s``."""
    from producer.reports.page import page_of, waiting_page

    left = dict(queued.urls)
    try:
        async for result in client.as_completed(list(left), timeout_s=left_s):
            state = queued.states.get(result.job_id, "")
            yield page_of(result, url=left.pop(result.job_id), state=state)
    except WaitTimeout:
        for job_id, url in left.items():
            late = f"within {timeout_s:g} s" if timeout_s else "yet"
            problem = f"no result {late}; the job continues: sightline result {job_id}"
            yield waiting_page(url, job_id=job_id, problem=problem, state=queued.states.get(job_id, ""))


async def _refuse_complete_batch(client: Client, name: str) -> None:
    try:
        batch = await client.batch(name)
    except UnknownJob:
        return
    if batch.sealed:
        msg = f"batch {name!r} is complete: choose another --batch, or add --resume to wait for it and report it again"
        raise InvalidJob(msg)
