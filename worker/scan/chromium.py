"""Runs one Chromium process: start, contexts, memory, end. Which one a scan gets is decided in ``warm.py``.

The browser is steered over a pipe, so it ends by itself when this process does, SIGKILL included. All names resolve to
nothing inside it and every context has a proxy (``proxy.py``): it can open no connection of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Final

import structlog

from worker.scan.cdp import MAX_MESSAGE_BYTES, BrowserGone, CallFailed, Connection, EventHandler, JsonObject, Session
from worker.scan.settings import Fonts

START_LIMIT_S: Final = 20.0
END_LIMIT_S: Final = 5.0
WATCH_EVERY_S: Final = 0.5
_PROFILE_PREFIX: Final = "sightline-browser-"

# Redirections instead of inherited descriptors: Chromium wants its pipe at 3 and 4, wherever ours are.
_PIPE_SHELL: Final = ("/bin/sh", "-c", 'exec "$@" 3<&0 4>&1 </dev/null >/dev/null', "sh")

_FEATURES_OFF: Final = (
    "Translate",
    "OptimizationHints",
    "MediaRouter",
    "AutofillServerCommunication",
    "DialMediaRouteProvider",
    # It starts a second process in every context, in advance of a second site that a scan never visits.
    "SpareRendererForSitePerProcess",
)
_FLAGS: Final = (
    "--headless",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-startup-window",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--disable-breakpad",
    "--disable-extensions",
    "--disable-domain-reliability",
    "--disable-client-side-phishing-detection",
    "--metrics-recording-only",
    "--password-store=basic",
    "--use-mock-keychain",
    # Pages of two scans are loaded at once and none is in front.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    # The same picture and the same colours everywhere.
    "--disable-gpu",
    "--hide-scrollbars",
    "--mute-audio",
    "--force-color-profile=srgb",
    "--disable-dev-shm-usage",
    # The headless shell puts frames of all sites into one process: an advertisement that hangs or eats memory would
    # take the page with it. Costs 0.03 s a page.
    "--site-per-process",
    # No way out but the proxy.
    "--disable-quic",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--dns-prefetch-disable",
    f"--disable-features={','.join(_FEATURES_OFF)}",
    "--block-new-web-contents",
)

log = structlog.get_logger("sightline.scan")


class Chromium:
    """One running browser.

    ``users`` counts the scans that hold it; ``scans`` those it has served. ``sandbox`` says ``on``, or why it is off.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, connection: Connection, *, profile: Path, sandbox: str
    ) -> None:
        self._process = process
        self._profile = profile
        self._watch: asyncio.Task[None] | None = None
        self.connection = connection
        self.sandbox = sandbox
        self.version = ""
        self.user_agent = ""
        self.users = 0
        self.scans = 0
        self.is_broken = False
        self.fonts = Fonts()
        self._listeners: dict[str, EventHandler] = {}
        connection.listen("", self._route)

    @classmethod
    async def launch(cls, program: Path, *, max_script_mb: int, max_renderer_mb: int) -> Chromium:
        """Return a browser that answers; raise ``BrowserGone`` when it does not.

        As root there is no sandbox; elsewhere it is on, and only left out, loudly, where the kernel refuses it.
        """
        script_flag = f"--js-flags=--max-old-space-size={max_script_mb}"
        if os.geteuid() == 0:
            log.warning("browser.sandbox_off", reason="the worker runs as root")
            browser = await cls._start(program, (script_flag, "--no-sandbox"), sandbox="off: root")
        else:
            try:
                browser = await cls._start(program, (script_flag,), sandbox="on")
            except BrowserGone as error:
                log.warning("browser.sandbox_off", reason="it does not start with one", error=str(error))
                browser = await cls._start(program, (script_flag, "--no-sandbox"), sandbox="off: refused by the kernel")
        browser.watch_memory(max_renderer_mb)
        log.info("browser.started", version=browser.version, sandbox=browser.sandbox, pid=browser.pid)
        return browser

    @classmethod
    async def _start(cls, program: Path, flags: tuple[str, ...], *, sandbox: str) -> Chromium:
        profile = Path(tempfile.mkdtemp(prefix=f"{_PROFILE_PREFIX}{os.getpid()}-"))
        process = await asyncio.create_subprocess_exec(
            *_PIPE_SHELL,
            str(program),
            *_FLAGS,
            *flags,
            f"--user-data-dir={profile}",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            limit=MAX_MESSAGE_BYTES,
        )
        assert process.stdin is not None  # noqa: S101  asked for above
        assert process.stdout is not None  # noqa: S101  asked for above
        connection = Connection(process.stdout, process.stdin)
        browser = cls(process, connection, profile=profile, sandbox=sandbox)
        try:
            about = await connection.call("Browser.getVersion", timeout_s=START_LIMIT_S)
            await browser._prepare()
        except (BrowserGone, CallFailed) as error:
            await browser.close()
            msg = f"{str(program)!r} does not start: {error}"
            raise BrowserGone(msg) from None
        except BaseException:
            await browser.close()
            raise
        browser.version = str(about["product"]).replace("HeadlessChrome/", "Chromium ").replace("Chrome/", "Chromium ")
        browser.user_agent = str(about["userAgent"])
        return browser

    async def _prepare(self) -> None:
        """See every new page and shared worker before its first line runs, and why a page died."""
        kinds = [{"type": kind} for kind in ("page", "service_worker", "shared_worker")]
        await self.connection.call(
            "Target.setAutoAttach",
            {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True, "filter": kinds},
        )
        await self.connection.call("Target.setDiscoverTargets", {"discover": True, "filter": [{"type": "page"}]})

    def _route(self, method: str, params: JsonObject) -> None:
        """Hand events of targets to the context they belong to; those that name no context to all."""
        context_id = params.get("targetInfo", {}).get("browserContextId")
        for listener in [self._listeners.get(context_id)] if context_id else list(self._listeners.values()):
            if listener is not None:
                listener(method, params)

    @property
    def pid(self) -> int:
        """Process id of the browser, which also leads its process group."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it can be given to a scan."""
        return not (self.is_broken or self.connection.closed.is_set() or self._process.returncode is not None)

    async def new_context(self, handler: EventHandler, *, proxy_port: int) -> str:
        """Return the id of a fresh context whose whole traffic goes through the proxy at ``proxy_port``.

        ``handler`` gets the events of its targets: pages and workers that appear, pages that crash.
        """
        made = await self.connection.call(
            "Target.createBrowserContext",
            {
                "disposeOnDetach": True,
                "proxyServer": f"http://127.0.0.1:{proxy_port}",
                "proxyBypassList": "<-loopback>",
            },
        )
        context_id = str(made["browserContextId"])
        self._listeners[context_id] = handler
        await self.connection.call(
            "Browser.setDownloadBehavior", {"behavior": "deny", "browserContextId": context_id, "eventsEnabled": False}
        )
        return context_id

    async def dispose(self, context_id: str) -> None:
        """End the context and all its pages. A browser that cannot even do that is marked broken."""
        self._listeners.pop(context_id, None)
        try:
            await self.connection.call(
                "Target.disposeBrowserContext", {"browserContextId": context_id}, timeout_s=END_LIMIT_S
            )
        except (CallFailed, BrowserGone):
            self.is_broken = True

    async def check(self) -> None:
        """Raise ``BrowserGone`` unless the browser still answers."""
        try:
            await self.connection.call("Browser.getVersion", timeout_s=END_LIMIT_S)
        except CallFailed as error:
            self.is_broken = True
            msg = f"the browser does not answer: {error}"
            raise BrowserGone(msg) from None

    def session(self, session_id: str) -> Session:
        """Return the session of an attached target."""
        return Session(self.connection, session_id)

    async def resident_mb(self) -> int:
        """Return the resident memory of all its processes; 0 where ``/proc`` is missing."""
        return sum((await self._resident_mb_by_pid()).values())

    async def close(self) -> None:
        """End the browser and remove its profile; safe to call twice and on a dead one."""
        if self._watch is not None:
            self._watch.cancel()
        await self.connection.close()
        try:
            async with asyncio.timeout(END_LIMIT_S):
                await self._process.wait()
        except TimeoutError:
            log.warning("browser.killed", pid=self.pid, reason="it did not end when its pipe closed")
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        await self._process.wait()
        await asyncio.to_thread(shutil.rmtree, self._profile, ignore_errors=True)

    def watch_memory(self, max_renderer_mb: int) -> None:
        """Begin to end pages that eat more resident memory than this; ``close`` stops it."""
        self._watch = asyncio.create_task(self._end_eaters(max_renderer_mb), name="browser-memory")

    async def _end_eaters(self, max_renderer_mb: int) -> None:
        """Kill the process of a page that eats memory; the page's crash is then seen like any other."""
        with contextlib.suppress(BrowserGone):
            while True:
                await asyncio.sleep(WATCH_EVERY_S)
                if self.users == 0:
                    continue
                for pid, resident_mb in (await self._resident_mb_by_pid(kind="renderer")).items():
                    if resident_mb > max_renderer_mb:
                        log.warning("browser.page_killed", resident_mb=resident_mb, max_mb=max_renderer_mb)
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)

    async def _resident_mb_by_pid(self, kind: str | None = None) -> dict[int, int]:
        try:
            info = await self.connection.call("SystemInfo.getProcessInfo")
        except CallFailed:
            return {}
        processes: list[JsonObject] = info["processInfo"]
        return {int(p["id"]): _resident_mb(int(p["id"])) for p in processes if kind in {None, p["type"]}}


def remove_stale_profiles() -> None:
    """Delete the profiles that killed workers left behind; those of living processes stay."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PROFILE_PREFIX}*"):
        owner = folder.name.removeprefix(_PROFILE_PREFIX).partition("-")[0]
        if owner.isdecimal() and not _is_running(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _resident_mb(pid: int) -> int:
    if sys.platform != "linux":
        return 0
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20
