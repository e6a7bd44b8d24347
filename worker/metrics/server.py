"""Counts the activity of one worker, and serves its metrics over HTTP from separate threads while it runs.

The counts come from logged events: the catalogue of ``telemetry.py`` is the only hook, so that queue, agent and scan
engine are independent of metrics. Durations are in seconds, as is usual in Prometheus. A label's values are a closed
set, so that a hostile job cannot create new ones.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, MutableMapping
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, start_http_server

from producer.errors import SettingsError
from worker.metrics.shared import StateCollector

PICKUP_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600)
RUN_BUCKETS_S: Final = (0.001, 0.01, 0.1, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 900)
CALL_BUCKETS_S: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600)
KINDS: Final = frozenset({"scan", "query"})
ALERTED: Final = ("job.lease_lost", "job.no_function", "background.failed", "upkeep.failed")
"""Events that alerts read. They are counted from 0: ``increase()`` ignores the first value of a new series."""

Event = MutableMapping[str, Any]

log = structlog.get_logger()


class EventCounts:
    """The counters and histograms of one worker of ``environment``; ``count`` is a structlog processor."""

    def __init__(self, environment: str, registry: CollectorRegistry) -> None:
        def counter(name: str, about: str, *labels: str) -> Callable[..., Counter]:
            family = Counter(f"sightline_{name}", about, ("environment", *labels), registry=registry)
            return cache(lambda *values: family.labels(environment, *values))

        def histogram(name: str, about: str, buckets: tuple[float, ...], *labels: str) -> Callable[..., Histogram]:
            labelnames = ("environment", *labels)
            family = Histogram(f"sightline_{name}", about, labelnames, registry=registry, buckets=buckets)
            return cache(lambda *values: family.labels(environment, *values))

        self._events = counter("events", "Events logged, by name; the catalogue is in worker/telemetry.py", "event")
        for event in ALERTED:
            self._events(event)
        self._ended = counter("deliveries", "Deliveries that ended", "kind", "lane", "outcome")
        self._pickup = histogram("job_pickup_seconds", "Time from a job's entry to its start", PICKUP_BUCKETS_S, "lane")
        self._run = histogram("job_run_seconds", "Time from a delivery's start to its commit", RUN_BUCKETS_S, "kind")
        self._calls = counter("model_calls", "Model calls", "kind", "host", "result")
        self._wait = histogram("model_wait_seconds", "Wait of a model call for its slot", CALL_BUCKETS_S, "kind")
        self._held = histogram("model_run_seconds", "Time that a call held its slot", CALL_BUCKETS_S, "kind", "host")
        self._tokens = counter("model_tokens", "Tokens of model calls", "model", "direction")
        self._saved = counter("model_calls_saved", "Model calls avoided by known explanations")
        self._scans = counter("scans", "Pages scanned, by status", "status")
        self._queries = counter("queries", "Questions answered", "cached")
        self._acts: dict[str, Callable[[Event], None]] = {
            "job.finished": self._job_finished,
            "model.answered": self._model_answered,
            "model.failed": self._model_failed,
            "scan.assessed": lambda event: self._saved().inc(event["saved"]),
            "scan.finished": lambda event: self._scans(event["status"]).inc(),
            "query.answered": lambda event: self._queries("yes" if event["cached"] else "no").inc(),
        }

    def count(self, _logger: object, _method: str, event: Event) -> Event:
        """Count ``event`` and return it unchanged."""
        name = event["event"]
        self._events(name).inc()
        act = self._acts.get(name)
        if act is not None:
            act(event)
        return event

    def _job_finished(self, event: Event) -> None:
        kind = event["kind"] if event["kind"] in KINDS else "other"
        outcome = "lost" if event["standing"] == "lost" else event["outcome"]
        self._ended(kind, event["lane"], outcome).inc()
        self._pickup(event["lane"]).observe(event["waited_ms"] / 1000)
        self._run(kind).observe(event["run_ms"] / 1000)

    def _model_answered(self, event: Event) -> None:
        self._model_called(event, "answered")
        self._tokens(event["model"], "prompt").inc(event["prompt_tokens"])
        self._tokens(event["model"], "output").inc(event["output_tokens"])

    def _model_failed(self, event: Event) -> None:
        self._model_called(event, "failed")

    def _model_called(self, event: Event, result: str) -> None:
        self._calls(event["kind"], event["host"], result).inc()
        self._wait(event["kind"]).observe(event["wait_ms"] / 1000)
        self._held(event["kind"], event["host"]).observe(event["run_ms"] / 1000)


class Metrics:
    """The registry of one worker's metrics; ``events`` counts from the first log line."""

    def __init__(self, environment: str) -> None:
        self.environment = environment
        self.registry = CollectorRegistry()
        self.events = EventCounts(environment, self.registry)
        ProcessCollector(registry=self.registry)

    @contextmanager
    def serving(self, collector: StateCollector, *, host: str, port: int) -> Generator[int]:
        """Answer on ``host``:``port`` inside the block; yields the port. Raises ``SettingsError`` if it is taken."""
        self.registry.register(collector)
        try:
            server, thread = start_http_server(port, addr=host, registry=self.registry)
        except OSError as error:
            self.registry.unregister(collector)
            msg = (
                f"METRICS_PORT is {port}: {host}:{port} cannot be used ({error.strerror}): "
                f"give each worker on a machine a different port, or unset it"
            )
            raise SettingsError(msg) from None
        log.info("metrics.served", host=host, port=server.server_port)
        try:
            yield server.server_port
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
            self.registry.unregister(collector)
