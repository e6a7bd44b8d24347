"""A worker's settings: the client's, and its own. Read once in ``__main__``, frozen, passed down."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import SecretStr

from producer.errors import SettingsError
from producer.settings import DAY_S, Within
from worker.gpu.hosts import Host, parse_hosts
from worker.notices.settings import NoticeSettings

NO_KEY: Final = SecretStr("")
REVIEW_AREAS: Final = 2
"""Beside the one call of the assessment: a page has undecided elements in two or three areas as a rule."""


def _check_endpoint(text: str) -> None:
    """Raise ``ValueError`` unless ``text`` is empty, or an address and nothing more."""
    parts = urlsplit(text)
    if text and (parts.scheme not in {"http", "https"} or not parts.hostname):
        msg = "expected an address such as https://api.openai.com/v1 or http://vllm:8000/v1"
        raise ValueError(msg)
    if parts.username or parts.password or parts.query or parts.fragment:
        msg = "expected an address without key or query: put the key into FALLBACK_API_KEY or a file"
        raise ValueError(msg)


@dataclass(frozen=True, kw_only=True, repr=False)
class WorkerSettings(NoticeSettings):
    """What a worker needs to know; ``WorkerSettings.from_env(os.environ)`` reads it."""

    max_jobs: Annotated[int, Within(ge=1, le=1000)] = 3
    """Jobs one worker runs at a time: two scans on two cores, and a slot reserved for a question.

    Too high, and concurrent pages overload the CPU and miss deadlines; 1 reserves no slot.
    """

    lease_s: Annotated[float, Within(ge=1, le=600)] = 10.0
    """Seconds a job stays its worker's without a renewal; renewed every third of it.

    Shorter, and a slow network loses jobs to other workers; longer, and a killed worker's jobs wait as long.
    """

    kind_wait_s: Annotated[float, Within(ge=0)] = 300.0
    """Seconds a job waits for a worker with a function for its kind, when one without it has claimed it; 0: it dies.

    Longer than it takes to start the other program's workers, or its jobs land on the dead-letter list.
    """

    job_timeout_s: Annotated[float, Within(ge=1)] = 900.0
    """Seconds a job may run before it is ended as dead; scans have a shorter deadline of their own."""

    max_tries: Annotated[int, Within(ge=1, le=100)] = 3
    """How often a job is tried before it goes to the dead-letter stream."""

    shutdown_grace_s: Annotated[float, Within(ge=0)] = 30.0
    """Seconds running jobs get to end after SIGTERM before they are requeued.

    Keep it under the orchestrator's own grace (Compose: stop_grace_period), or jobs are killed instead.
    """

    scan_allow_private: bool = False
    """Whether loopback and private addresses may be scanned: 1 on a developer's machine, 0 on a server."""

    scan_allow_hosts: str = ""
    """Hosts that may be scanned although their addresses are private, comma-separated; others stay closed.

    ``intranet.example``, ``*.intranet.example``, ``localhost:3000`` or a network such as ``10.1.0.0/16``; ``loopback``
    opens this machine's other ports for pages on it (``scan --local`` sets it), but Redis' and Ollama's.
    """

    host_places: Annotated[int, Within(ge=1, le=100)] = 4
    """Scans of one host at a time, over all workers.

    Too high, and a small site is brought down by its own examination; too low, and workers wait.
    """

    host_gap_ms: Annotated[int, Within(ge=0, le=600_000)] = 0
    """Least milliseconds between the beginnings of two scans of one host, over all workers."""

    browser_path: str = ""
    """Chromium to use; empty finds an installed one."""

    scan_sandbox: Literal["auto", "require", "off"] = "auto"
    """Whether pages are kept in the browser's sandbox: ``auto``, ``require`` or ``off``.

    ``auto`` leaves it out as root and where the browser says that the machine has none; ``require`` does not start
    then. Off, a page that breaks out of the browser is the worker's user.
    """

    chat_model: str = "qwen3.5:4b"
    """Ollama's name of the chat model, or ``builtin`` for the deterministic one that needs no Ollama."""

    embedding_model: str = "nomic-embed-text"
    """Ollama's name of the embedding model, or ``builtin``. The history remembers which model it was made with."""

    ollama_base_url: Annotated[str, parse_hosts] = "http://127.0.0.1:11434"
    """Where Ollama answers: one or more addresses, comma-separated, each with its slots if they are not 1 and 1.

    ``http://gpu1:11434#chat=1,embed=1,http://gpu2:11434#chat=2,embed=0``. All workers must give a host the same
    address: slots are counted by it. More slots than the card serves at once, and calls queue where nobody sees them.
    """

    ollama_token_file: str = ""
    """File that holds a bearer token for the https:// hosts of OLLAMA_BASE_URL: their reverse proxies ask for it.

    Read for each call, so that one which expires is replaced without a restart. Sent by TLS only.
    """

    metrics_port: Annotated[int, Within(ge=0, le=65535)] = 0
    """Port on which Prometheus may ask this worker; 0 is none. Each worker of a machine needs one of its own."""

    metrics_host: str = "127.0.0.1"
    """Address that port is on. The metrics name hosts and models: beyond loopback, in a network of your own only."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe event that is logged."""

    log_format: Literal["json", "console"] = "json"
    """One JSON object a line, or text for eyes."""

    log_tracebacks: bool = True
    """Whether ``job.finished`` of a function that failed has its traceback. Errors of your own functions may quote what
    they were given."""

    # ------------------------------------------------------------------------------------------ memory

    cache_ttl_s: Annotated[int, Within(ge=1, le=30 * DAY_S)] = 3_600
    """Seconds an answer may be given again to nearly the same question, counted from when it was first given.

    A new scan of its site ends it at once, whatever this says.
    """

    cache_distance_threshold: Annotated[float, Within(ge=0, le=1)] = 0.1
    """Cosine distance up to which two questions count as the same one; 0 takes the same words only.

    Too high, and questions get the answers of others; too low, and the model is asked again and again. It depends on
    the embedding model: ``sightline doctor --cache`` shows what it would do.
    """

    conversation_ttl_s: Annotated[int, Within(ge=60)] = 7 * DAY_S
    """Seconds a conversation is remembered after its last question."""

    memory_ttl_s: Annotated[int, Within(ge=0)] = 0
    """Seconds a memory is kept after it was last written or read; 0 does not expire it."""

    memory_most: Annotated[int, Within(ge=0, le=1_000_000)] = 1_000
    """Memories kept of one site, and of all sites together; then each new one takes the place of the oldest. 0 for all.

    Searches among them are exact, so their time grows with their number.
    """

    usage_ttl_s: Annotated[int, Within(ge=DAY_S)] = 400 * DAY_S
    """Seconds a day's sums of model calls are kept: a year and a month, to set a month beside that of the year before.

    All workers should have the same: whoever counts a call of a day says how long that day is kept.
    """

    screenshot_ttl_s: Annotated[int, Within(ge=60)] = 7 * DAY_S
    """Seconds a screenshot is kept; with many of them, this is what fills the memory first."""

    # ------------------------------------------------------------------------------------------ a model in the cloud

    fallback_model: str = ""
    """A model at FALLBACK_BASE_URL for complex questions and while no Ollama answers; empty for none.

    What pages say is then sent there. Needs the extra ``cloud``.
    """

    fallback_base_url: Annotated[str, _check_endpoint] = ""
    """Where that model is: the address of any endpoint that speaks OpenAI's protocol, such as http://vllm:8000/v1."""

    fallback_api_key: SecretStr = NO_KEY
    """The endpoint's key; never logged, nor in a result. Empty for an endpoint that wants none."""

    fallback_api_key_file: str = ""
    """File that holds the key, instead of FALLBACK_API_KEY."""

    fallback_share: Annotated[float, Within(ge=0, le=1)] = 0.1
    """Share of a day's chat calls (UTC, over all workers) that may go to the cloud; 1 for all that the rule sends.

    Too low, and a long outage leaves scans without assessments; too high, and an outage costs what it costs. Questions
    that wait while no Ollama answers go there beyond it; 0 sends nothing there.
    """

    # ------------------------------------------------------------------------------------------ models on Ollama

    chat_num_ctx: Annotated[int, Within(ge=1024)] = 8192
    """Tokens of context the chat model is loaded with, prompt and answer together; the same for every call.

    Larger takes memory of the card; smaller, and prompts are refused as too long. Other programs that use the model
    with another context make Ollama load it anew at every turn.
    """

    chat_max_output: Annotated[int, Within(ge=64)] = 2048
    """Tokens an answer may have; it is part of the context. An answer that needs more is a failed one."""

    chat_think: bool = False
    """Whether a thinking model thinks before it answers; its thoughts take time and count as output."""

    chat_timeout_s: Annotated[float, Within(gt=0)] = 300.0
    """Seconds from the slot to the first piece of an answer: loading the model and reading the prompt are in it."""

    chat_stall_s: Annotated[float, Within(gt=0)] = 60.0
    """Seconds between two pieces of an answer after which it is given up."""

    embed_num_ctx: Annotated[int, Within(ge=256)] = 2048
    """Tokens of one text that the embedding model reads; longer texts are cut, and the log says so."""

    embed_timeout_s: Annotated[float, Within(gt=0)] = 120.0
    """Seconds one embedding call may take from the moment it has a slot, loading the model included."""

    embedding_dims: Annotated[int, Within(ge=0)] = 0
    """Length of the embedding model's vectors; 0 asks Ollama.

    Needed only where Ollama may be away at the start and the model is not one of those known here.
    """

    names_judged: Annotated[int, Within(ge=0, le=40)] = 0
    """Names of one page (links, headings, labels, its title) that the model judges where no rule can; 0 for none.

    One more model call per page; 24 names take about 2,500 tokens.
    """

    pictures_judged: Annotated[int, Within(ge=0, le=8)] = 0
    """Pictures of one page, among NAMES_JUDGED, that the model looks at to judge their text; 0 for none.

    Only where the model has the capability ``vision`` and there is no FALLBACK_MODEL: pictures go to no cloud. It is
    one more call a page, with up to 600 tokens a picture.
    """

    review_areas: Annotated[int, Within(ge=0, le=20)] = REVIEW_AREAS
    """Areas of one page in which the model proposes verdicts on what axe-core left undecided; 0 for none.

    Each is one more call of the model, so it is what makes scans of large sites wait for the GPU.
    """

    try_fixes: bool = True
    """Try changes of markup on scanned pages; each page with a component that was not tried yet is loaded once more."""

    model_keep_alive_s: Annotated[int, Within(ge=-1)] = 1800
    """Seconds Ollama keeps a model in the card's memory after a call; -1 keeps it loaded. 0 reloads it for every
    call."""

    gpu_wait_s: Annotated[float, Within(gt=0)] = 600.0
    """Seconds a model call waits for the GPU before it is given up."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.chat_max_output >= self.chat_num_ctx:
            msg = (
                f"CHAT_MAX_OUTPUT is {self.chat_max_output} and CHAT_NUM_CTX {self.chat_num_ctx}: an answer is part of "
                f"the context, and no room is left for a prompt; lower the first or raise the second"
            )
            raise SettingsError(msg)
        if self.ollama_token_file and not any(host.token_file for host in self.ollama_hosts):
            msg = "OLLAMA_TOKEN_FILE is set, and OLLAMA_BASE_URL names no https:// host: a token is sent by TLS only"
            raise SettingsError(msg)

    @property
    def ollama_hosts(self) -> tuple[Host, ...]:
        """The hosts in ``ollama_base_url``; their names hold no password. Those reached by TLS get the token."""
        hosts = parse_hosts(self.ollama_base_url)
        file = self.ollama_token_file
        return tuple(replace(host, token_file=file) if host.name.startswith("https://") else host for host in hosts)

    def __repr__(self) -> str:
        shown = ",".join(f"{host.name}#chat={host.chat},embed={host.embed}" for host in self.ollama_hosts)
        return super().__repr__().replace(repr(self.ollama_base_url), repr(shown))

    __str__ = __repr__
