"""Limits, permissions and results of scans: plain frozen records, no I/O.

The worker's settings (``worker/settings.py``) are read elsewhere and passed in as ``ScanSettings``. ``engine.py`` uses
these records.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from producer.contract import ScanRequest, ScanResult
from worker.scan.journey.kept_login import LoginKeeper
from worker.scan.sandbox import SandboxMode


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanSettings:
    """Limits of every scan of one engine.

    ``allow_private`` opens loopback, private and carrier-grade NAT addresses; metadata, link-local and multicast
    addresses stay closed. ``allow_hosts`` opens them for single hosts: ``name``, ``*.name``, ``name:port`` or a CIDR
    range; ``loopback`` opens this machine's other ports for pages on it. ``closed_ports`` stay closed even on such
    addresses (those of Redis and Ollama). ``browser_path`` skips the search for a browser.
    """

    allow_private: bool = False
    allow_hosts: tuple[str, ...] = ()
    closed_ports: tuple[int, ...] = ()
    browser_path: str | None = None
    max_concurrent: int = 2
    """Concurrent scans. On two cores, four gain 9 % over two and take twice the memory."""
    load_limit_s: float = 30.0
    """Timeout of the load event. A slower page is audited as it is, and is ``partial``."""
    start_limit_s: float = 10.0
    """Seconds to wait for a server that is not up yet: it refuses connections, or closes them without an answer."""
    quiet_ms: int = 200
    """Time for which network and DOM must both have been still."""
    settle_limit_s: float = 5.0
    """Timeout of becoming quiet; carousels and tickers never do. The result says so."""
    frame_limit_s: float = 10.0
    """Timeout of one child frame: a hanging advertisement must not cost the page its result."""
    max_frames: int = 100
    max_frame_processes: int = 40
    """Concurrent frames of other sites, each in a separate process. Beyond it the page is stopped."""
    max_bytes: int = 100_000_000
    """Maximum bytes received, compressed and uncompressed."""
    max_elements: int = 50_000
    """Maximum elements: axe-core's time grows faster than the page."""
    max_script_mb: int = 512
    """V8's heap limit per page."""
    max_renderer_mb: int = 1_024
    """Resident memory of one page's process, watched from outside. Linux only."""
    max_navigations: int = 8
    """Number of navigations of the main frame by the page itself before it counts as a reload loop."""
    max_nodes_per_finding: int = 500
    """Maximum nodes kept with their snippets; ``node_count`` counts all."""
    max_names: int = 0
    """Maximum names of a page read for a model to judge (``lint/undecided.py``)."""
    max_pictures: int = 0
    """Maximum images among them that are kept for a model to look at."""
    max_browser_mb: int = 1_024
    """Resident memory of any other process of the browser, which holds blobs and caches of all pages. Linux only."""
    sandbox: SandboxMode = "auto"
    """``require`` scans only in the browser's sandbox; ``off`` never uses it; see ``sandbox.py``."""
    recycle_after_scans: int = 200
    recycle_above_mb: int = 1_500
    """Resident memory of all the browser's processes after a scan. Linux only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """The credentials for a page behind a login. Sent only to the origin of the requested URL; never logged.

    ``variables`` are the values of ``${NAME}`` in steps, which are entered into fields on any page.
    ``keeper`` keeps the login of the scan's batch.
    ``cookies`` and ``storage_state`` have Playwright's shape: ``{"cookies": […], "origins": [{"origin": …,
    "localStorage": [{"name": …, "value": …}]}]}``.
    """

    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    cookies: tuple[Mapping[str, Any], ...] = ()
    storage_state: Mapping[str, Any] = field(default_factory=dict[str, Any])
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    keeper: LoginKeeper | None = None

    def __repr__(self) -> str:
        counts = f"headers={len(self.headers)}, cookies={len(self.cookies)}, storage_state={bool(self.storage_state)}"
        return f"Secrets({counts}, variables={len(self.variables)}, values hidden)"


@dataclass(frozen=True, slots=True)
class Fonts:
    """The fonts of a browser: a ``fingerprint``, '' if unknown, and the scripts without glyphs."""

    fingerprint: str = ""
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Audit:
    """One scan: the result, and JPEGs by name (``Keys.shot``) if requested.

    Images whose text a model may judge are also JPEGs, by node fingerprint, if ``max_pictures`` is set. With
    screenshots, nodes of the top document have ``box``: x, y, width, height in the page's pixels. ``come_again_s`` is
    the server's Retry-After (429, 503) in place of the page.
    """

    result: ScanResult
    shots: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    come_again_s: float | None = None


class BeforeLoad(Protocol):
    """Called right before a page is loaded; what it raises ends the scan."""

    def __call__(self, *controls: str) -> None:
        """Raise ``Paused`` if the job, or one of ``controls``, is paused."""
        ...


def no_pause(*controls: str) -> None:
    """Let every page be loaded: the ``BeforeLoad`` of a scan without a queue."""


class Engine(Protocol):
    """Scans pages; implemented in ``engine.py``."""

    async def audit(
        self,
        request: ScanRequest,
        *,
        secrets: Secrets | None = None,
        on_progress: Callable[[str], None] | None = None,
        before_load: BeforeLoad | None = None,
    ) -> Audit:
        """Return the audit of the page.

        A page that cannot be loaded also gives a result. Raises ``ScanFailed`` and ``DependencyMissing``.
        """
        ...
