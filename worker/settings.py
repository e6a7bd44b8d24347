"""A worker's settings: the client's, and its own. Read once in ``__main__``, frozen, passed down."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from producer.settings import ClientSettings


class WorkerSettings(ClientSettings):
    """What a worker needs to know; ``WorkerSettings.from_env(os.environ)`` reads it."""

    max_jobs: Annotated[int, Field(ge=1, le=1000)] = 3
    """Jobs one worker runs at a time: two scans on two cores, and a place kept for a question.

    Higher, and pages load at the same time until the CPU is short and deadlines pass; 1 keeps no place.
    """

    lease_s: Annotated[float, Field(ge=1, le=600)] = 10.0
    """Seconds a job stays its worker's without a renewal; renewed every third of it.

    Shorter, and a slow network loses jobs to other workers; longer, and a killed worker's jobs wait as long.
    """

    job_timeout_s: Annotated[float, Field(ge=1)] = 900.0
    """Seconds a job may run before it is ended as dead; scans have a shorter deadline of their own."""

    max_tries: Annotated[int, Field(ge=1, le=100)] = 3
    """How often a job is tried before it goes to the dead-letter stream."""

    shutdown_grace_s: Annotated[float, Field(ge=0)] = 30.0
    """Seconds running jobs get to end after SIGTERM before they are handed back.

    Keep it under the orchestrator's own grace (Compose: stop_grace_period), or jobs are killed instead.
    """

    scan_allow_private: bool = False
    """Whether loopback and private addresses may be scanned: 1 on a developer's machine, 0 on a server."""

    browser_path: str = ""
    """Chromium to use; empty finds an installed one."""

    chat_model: str = "qwen3.5:4b"
    """Ollama's name of the chat model, or ``builtin`` for the deterministic one that needs no Ollama."""

    embedding_model: str = "nomic-embed-text"
    """Ollama's name of the embedding model, or ``builtin``. The history remembers which model it was made with."""

    ollama_base_url: str = "http://127.0.0.1:11434"
    """Where Ollama answers."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe event that is logged."""

    log_format: Literal["json", "console"] = "json"
    """One JSON object a line, or text for eyes."""

    renewals_per_lease: ClassVar[float] = 3.3
    """Three renewals may fail before the lease is lost."""

    @property
    def renew_s(self) -> float:
        """Seconds between renewals."""
        return self.lease_s / self.renewals_per_lease
