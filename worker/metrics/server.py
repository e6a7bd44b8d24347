"""Serves a worker's metrics over HTTP, in threads of its own, for as long as the worker runs."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import structlog
from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server

from producer.errors import SettingsError
from worker.metrics.events import EventCounts
from worker.metrics.shared import StateCollector

log = structlog.get_logger()


class Metrics:
    """The registry of one worker's metrics; ``events`` counts from the first log line on."""

    def __init__(self, environment: str) -> None:
        self.environment = environment
        self.registry = CollectorRegistry()
        self.events = EventCounts(environment, self.registry)
        ProcessCollector(registry=self.registry)

    @contextmanager
    def serving(self, collector: StateCollector, *, host: str, port: int) -> Generator[int]:
        """Answer on ``host``:``port`` inside the block; gives the port. Raises ``SettingsError`` if it is taken."""
        self.registry.register(collector)
        try:
            server, thread = start_http_server(port, addr=host, registry=self.registry)
        except OSError as error:
            self.registry.unregister(collector)
            msg = (
                f"METRICS_PORT is {port}: {host}:{port} cannot be listened on ({error.strerror}): "
                f"give each worker of a machine a port of its own, or leave it unset"
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
