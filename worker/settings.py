"""A worker's settings: the client's, and its own. Read once in ``__main__``, frozen, passed down."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import SecretStr

from producer.errors import SettingsError
from producer.settings import DAY_S, Within
from worker.gpu.hosts import Host, parse_hosts
from worker.notices.settings import NoticeSettings, check_hosts

NO_KEY: Final = SecretStr("")
REVIEW_AREAS: Final = 2
"""In addition to the one call of the assessment: a page usually has undecided elements in two or three areas."""


def _check_endpoint(text: str) -> None:
    """Raise ``ValueError`` unless ``text`` is empty or just an address."""
    parts = urlsplit(text)
    _ = parts.port  # raises ``ValueError`` for an invalid one
    if text and (parts.scheme not in {"http", "https"} or not parts.hostname):
        msg = "expected an address such as https://api.openai.com/v1 or http://vllm:8000/v1"
        raise ValueError(msg)
    if parts.username or parts.password or parts.query or parts.fragment:
        msg = "expected an address without key or query: put the key into FALLBACK_API_KEY or a file"
        raise ValueError(msg)


@dataclass(frozen=True, kw_only=True, repr=False)
class WorkerSettings(NoticeSettings):
    """The settings of a worker; ``WorkerSettings.from_env(os.environ)`` reads them."""

    max_jobs: Annotated[int, Within(ge=1, le=1000)] = 4
    """Jobs that one worker runs at a time: two scans on two cores, the next scan, and a slot reserved for questions.

    If too high, concurrent pages overload the CPU and miss deadlines. With fewer than 4, no scan is ready when another
    ends; with 1, no slot is reserved.
    """

    lease_s: Annotated[float, Within(ge=1, le=600)] = 10.0
    """Seconds for which a worker holds a job without a renewal; renewed after every third of it.

    If shorter, slow networks lose jobs to other workers; if longer, a killed worker's jobs wait as long.
    """

    kind_wait_s: Annotated[float, Within(ge=0)] = 300.0
    """Seconds a job waits for a worker with a function for its kind, after one without it has claimed it; 0: none.

    Choose more than starting the other program's workers takes, or its jobs are dead-lettered.
    """

    job_timeout_s: Annotated[float, Within(ge=1)] = 900.0
    """Seconds a job may run before it is stopped and dead-lettered; scans have a separate, shorter deadline."""

    max_tries: Annotated[int, Within(ge=1, le=100)] = 3
    """Number of attempts before a job is dead-lettered."""

    shutdown_grace_s: Annotated[float, Within(ge=0)] = 30.0
    """Seconds that running jobs get to finish after SIGTERM before they are requeued.

    Keep it below the orchestrator's grace period (Compose: stop_grace_period), or jobs are killed instead.
    """

    scan_allow_private: bool = False
    """Whether loopback and private addresses may be scanned: 1 on a developer's machine, 0 on a server."""

    scan_allow_hosts: Annotated[str, check_hosts] = ""
    """Hosts that may be scanned although their addresses are private, comma-separated; others stay blocked.

    ``intranet.example``, ``*.intranet.example``, ``localhost:3000`` or a network such as ``10.1.0.0/16``; ``loopback``
    opens this machine's other ports, except those of Redis and Ollama, for pages on it (``scan --local`` sets it).
    """

    host_places: Annotated[int, Within(ge=1, le=100)] = 4
    """Concurrent scans of one host, over all workers.

    If too high, scans may bring a small site down; if too low, workers wait.
    """

    host_gap_ms: Annotated[int, Within(ge=0, le=600_000)] = 0
    """Minimum milliseconds between the starts of two scans of one host, over all workers."""

    browser_path: str = ""
    """Chromium to use; empty finds an installed one."""

    scan_sandbox: Literal["auto", "require", "off"] = "auto"
    """Whether pages run in the browser's sandbox: ``auto``, ``require`` or ``off``.

    ``auto`` omits it as root and if the browser says that the machine has none; with ``require`` the worker does not
    start then. Without it, a page that breaks out of the browser has the rights of the worker's user.
    """

    chat_model: str = "qwen3.5:4b"
    """Ollama's name of the chat model, or ``builtin`` for the deterministic one, which needs no Ollama."""

    embedding_model: str = "nomic-embed-text"
    """Ollama's name of the embedding model, or ``builtin``. The history records which model it was built with."""

    ollama_base_url: Annotated[str, parse_hosts] = "http://127.0.0.1:11434"
    """Ollama's addresses: one or more, comma-separated, each with its slots unless they are 1 and 1.

    ``http://gpu1:11434#chat=1,embed=1,http://gpu2:11434#chat=2,embed=0``. All workers must give a host the same
    address: slots are counted by it. With more slots than the card serves at once, calls queue in Ollama, where
    ``status`` does not see them.
    """

    ollama_token_file: str = ""
    """File that holds a bearer token for the https:// hosts of OLLAMA_BASE_URL: their reverse proxies require it.

    Read for each call, so that an expired one can be replaced without a restart. Sent only over TLS.
    """

    metrics_port: Annotated[int, Within(ge=0, le=65535)] = 0
    """Port on which this worker serves Prometheus; 0: none. Each worker on a machine needs its own."""

    metrics_host: str = "127.0.0.1"
    """Address to serve that port on. The metrics name hosts and models: beyond loopback, use only a private network."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level of events that are logged."""

    log_format: Literal["json", "console"] = "json"
    """One JSON object per line, or text for people."""

    log_tracebacks: bool = True
    """Whether ``job.finished`` of a failed function has its traceback. Errors of your functions may quote data."""

    # ------------------------------------------------------------------------------------------ memory

    cache_ttl_s: Annotated[int, Within(ge=1, le=30 * DAY_S)] = 3_600
    """Seconds for which an answer is reused for nearly the same question, counted from the first time.

    A new scan of its site ends this at once.
    """

    cache_distance_threshold: Annotated[float, Within(ge=0, le=1)] = 0.1
    """Cosine distance up to which two questions count as the same; 0 accepts only the same words.

    If too high, questions get the answers of others; if too low, the model is asked more often. It depends on the
    embedding model: ``sightline doctor --cache`` shows the effect.
    """

    conversation_ttl_s: Annotated[int, Within(ge=60)] = 7 * DAY_S
    """Seconds a conversation is kept after its last question."""

    memory_ttl_s: Annotated[int, Within(ge=0)] = 0
    """Seconds a memory is kept after it was last written or read; 0: forever."""

    memory_most: Annotated[int, Within(ge=0, le=1_000_000)] = 1_000
    """Memories kept per site, and for all sites together; beyond it, each new one replaces the oldest. 0: all.

    Searches are exact, so their time grows with the number of memories.
    """

    usage_ttl_s: Annotated[int, Within(ge=DAY_S)] = 400 * DAY_S
    """Seconds a day's sums of model calls are kept: a year and a month, to compare a month with the previous year's.

    All workers should have the same value: each call counted on a day sets how long that day is kept.
    """

    screenshot_ttl_s: Annotated[int, Within(ge=60)] = 7 * DAY_S
    """Seconds a screenshot is kept; screenshots use the most memory."""

    # ------------------------------------------------------------------------------------------ a model in the cloud

    fallback_model: str = ""
    """A model at FALLBACK_BASE_URL for complex questions and while no Ollama answers; empty: none.

    Texts from pages are then sent there. Needs the extra ``cloud``.
    """

    fallback_base_url: Annotated[str, _check_endpoint] = ""
    """Address of that model: any endpoint that speaks OpenAI's protocol, such as http://vllm:8000/v1."""

    fallback_api_key: SecretStr = NO_KEY
    """The endpoint's key; never in a log or result. Empty for an endpoint that needs none."""

    fallback_api_key_file: str = ""
    """File that holds the key, instead of FALLBACK_API_KEY."""

    fallback_share: Annotated[float, Within(ge=0, le=1)] = 0.1
    """Share of a day's chat calls (UTC, over all workers) that may go to the cloud; 1: no limit.

    If too low, a long outage leaves scans without assessments; if too high, an outage may be expensive. Questions asked
    while no Ollama answers may exceed it; 0 sends nothing there.
    """

    # ------------------------------------------------------------------------------------------ models on Ollama

    chat_num_ctx: Annotated[int, Within(ge=1024)] = 8192
    """Context of the chat model in tokens, prompt and answer together; the same for every call.

    A larger context takes more GPU memory; with a smaller one, prompts may be refused as too long. If other programs
    use the model with another context, Ollama reloads it at every change.
    """

    chat_max_output: Annotated[int, Within(ge=64)] = 2048
    """Maximum tokens of an answer, as part of the context. An answer that needs more fails."""

    chat_think: bool = False
    """Whether a thinking model thinks before it answers; thinking takes time and counts as output."""

    chat_timeout_s: Annotated[float, Within(gt=0)] = 300.0
    """Maximum seconds from the slot to the first piece of an answer, including loading the model."""

    chat_stall_s: Annotated[float, Within(gt=0)] = 60.0
    """Maximum seconds between two pieces of an answer."""

    embed_num_ctx: Annotated[int, Within(ge=256)] = 2048
    """Maximum tokens of one text for the embedding model; longer texts are cut, which is logged."""

    embed_timeout_s: Annotated[float, Within(gt=0)] = 120.0
    """Maximum seconds of one embedding call from the moment it has a slot, including loading the model."""

    embedding_dims: Annotated[int, Within(ge=0)] = 0
    """Length of the embedding model's vectors; 0 asks Ollama.

    Needed only if Ollama may be unreachable at the start and Sightline does not know the model.
    """

    names_judged: Annotated[int, Within(ge=0, le=40)] = 0
    """Names of one page (links, headings, labels, its title) that the model judges if no rule can; 0: none.

    One more model call per page; 24 names take about 2,500 tokens.
    """

    pictures_judged: Annotated[int, Within(ge=0, le=8)] = 0
    """Images of one page, among NAMES_JUDGED, that the model sees to judge their text alternatives; 0: none.

    Only if the model has the capability ``vision`` and there is no FALLBACK_MODEL: images are not sent to a cloud. One
    more call per page, with up to 600 tokens per image.
    """

    review_areas: Annotated[int, Within(ge=0, le=20)] = REVIEW_AREAS
    """Areas of one page in which the model proposes verdicts on what axe-core left undecided; 0: none.

    Each is one more model call, so scans of large sites may have to wait for the GPU.
    """

    try_fixes: bool = True
    """Whether to try markup changes on scanned pages; a page with an untried component is loaded once more."""

    model_keep_alive_s: Annotated[int, Within(ge=-1)] = 1800
    """Seconds Ollama keeps a model in GPU memory after a call; -1 keeps it loaded. 0 reloads it for every call."""

    gpu_wait_s: Annotated[float, Within(gt=0)] = 600.0
    """Maximum seconds a model call waits for the GPU."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.chat_max_output >= self.chat_num_ctx:
            msg = (
                f"CHAT_MAX_OUTPUT is {self.chat_max_output} and CHAT_NUM_CTX {self.chat_num_ctx}: an answer is part "
                f"of "
                f"the context, which leaves no room for a prompt; lower the first or raise the second"
            )
            raise SettingsError(msg)
        if self.ollama_token_file and not any(host.token_file for host in self.ollama_hosts):
            msg = "OLLAMA_TOKEN_FILE is set, but OLLAMA_BASE_URL has no https:// host: the token needs TLS"
            raise SettingsError(msg)

    @property
    def ollama_hosts(self) -> tuple[Host, ...]:
        """The hosts in ``ollama_base_url``; their names contain no password. Those reached over TLS get the token."""
        hosts = parse_hosts(self.ollama_base_url)
        file = self.ollama_token_file
        return tuple(replace(host, token_file=file) if host.name.startswith("https://") else host for host in hosts)

    def __repr__(self) -> str:
        shown = ",".join(f"{host.name}#chat={host.chat},embed={host.embed}" for host in self.ollama_hosts)
        return super().__repr__().replace(repr(self.ollama_base_url), repr(shown))

    __str__ = __repr__
