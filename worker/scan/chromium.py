"""Runs one Chromium process: start, contexts, memory, exit. ``warm.py`` assigns browsers to scans.

The browser is controlled over a pipe, so it exits with this process, even after SIGKILL. Host names do not resolve in
it and every context has a proxy (``proxy.py``), so it cannot open connections itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from producer.errors import DependencyMissing, os_reason
from worker.scan.browser_output import BrowserOutput, most_telling
from worker.scan.cdp import MAX_MESSAGE_BYTES, BrowserGone, CallFailed, Connection, EventHandler, JsonObject, Session
from worker.scan.flags import FLAGS
from worker.scan.memory_watch import resident_mb_of, watch_memory
from worker.scan.sandbox import ON, REFUSED, STARTS, off_from_the_start, refusal, says_none
from worker.scan.settings import Fonts, ScanSettings
from worker.telemetry import in_background

START_LIMIT_S: Final = 20.0
END_LIMIT_S: Final = 5.0
_YOUNG_MB: Final = 16
"""V8's space for new objects, from the start: growing to it costs a tenth of the time that axe-core takes."""
_PROFILE_PREFIX: Final = "sightline-browser-"

# Redirections instead of inherited descriptors: Chromium expects its pipe at 3 and 4, wherever this process's are.
_PIPE_SHELL: Final = ("/bin/sh", "-c", 'exec "$@" 3<&0 4>&1 </dev/null >/dev/null', "sh")

log = structlog.get_logger("sightline.scan")


class _NotStarted(BrowserGone):
    """A failed start, with the browser's output."""

    def __init__(self, program: Path, failure: str, words: str) -> None:
        telling = most_telling(words)
        super().__init__(f"{str(program)!r} does not start: {failure}" + (f" (it said: {telling})" if telling else ""))
        self.words = words


class Chromium:
    """One running browser.

    ``users`` counts the scans using it, ``scans`` those it has served. ``sandbox`` is ``on``, or the reason why it is
    off; ``end_reason`` is the reason why it was killed during scans.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        connection: Connection,
        words: BrowserOutput,
        *,
        profile: Path,
        sandbox: str,
    ) -> None:
        self._process = process
        self._words = words
        self._profile = profile
        self._watch: asyncio.Task[None] | None = None
        self.connection = connection
        self.sandbox = sandbox
        self.version = ""
        self.user_agent = ""
        self.users = 0
        self.scans = 0
        self.is_broken = False
        self.end_reason = ""
        self.fonts = Fonts()
        self._listeners: dict[str, EventHandler] = {}
        connection.listen("", self._route)

    @classmethod
    async def launch(cls, program: Path, settings: ScanSettings, *, had_sandbox: bool = False) -> Chromium:
        """Return a running browser; raises ``BrowserGone`` if it does not answer.

        It runs without a sandbox only as root, if the settings say so, or if the browser reports twice that there is
        none, but never after it ``had_sandbox``. Raises ``DependencyMissing`` if a sandbox is required and missing.
        """
        script_flag = f"--js-flags=--max-old-space-size={settings.max_script_mb} --min-semi-space-size={_YOUNG_MB}"
        browser = None
        if not (off := off_from_the_start(settings.sandbox)):
            browser, none_here = await cls._start_in_sandbox(program, (script_flag,))
            if browser is None and (had_sandbox or settings.sandbox == "require"):
                if not had_sandbox:
                    raise DependencyMissing(refusal(none_here))
                raise BrowserGone(f"the browser has lost the sandbox that it had before: {none_here}")
            off = REFUSED
        elif settings.sandbox == "require":
            raise DependencyMissing(refusal(off))
        if browser is None:
            log.warning("browser.sandbox_off", reason=off.removeprefix("off: "))
            browser = await cls._start(program, (script_flag, "--no-sandbox"), sandbox=off)
        browser.begin_watch(max_renderer_mb=settings.max_renderer_mb, max_browser_mb=settings.max_browser_mb)
        log.info("browser.started", version=browser.version, sandbox=browser.sandbox, pid=browser.pid)
        return browser

    @classmethod
    async def _start_in_sandbox(cls, program: Path, flags: tuple[str, ...]) -> tuple[Chromium | None, str]:
        """Return a browser in its sandbox, or None and its messages if it has none."""
        failures: list[_NotStarted] = []
        for _ in range(STARTS):
            try:
                return await cls._start(program, flags, sandbox=ON), ""
            except _NotStarted as error:
                failures.append(error)
        said = [says_none(failure.words) for failure in failures]
        if all(said):
            return None, most_telling(said[-1])
        raise failures[-1]

    @classmethod
    async def _start(cls, program: Path, flags: tuple[str, ...], *, sandbox: str) -> Chromium:
        try:
            profile = Path(tempfile.mkdtemp(prefix=f"{_PROFILE_PREFIX}{os.getpid()}-"))
        except OSError as error:
            msg = f"no temporary folder for its profile ({os_reason(error)}): free some space, or set TMPDIR"
            raise _NotStarted(program, msg, "") from None
        try:
            process, words = await cls._run(program, (*flags, f"--user-data-dir={profile}"))
        except BaseException as error:  # such as a cancellation: nothing else knows the folder
            shutil.rmtree(profile, ignore_errors=True)
            if isinstance(error, OSError):
                raise _NotStarted(program, os_reason(error), "") from None
            raise
        assert process.stdin is not None  # noqa: S101  asked for above
        assert process.stdout is not None  # noqa: S101  asked for above
        connection = Connection(process.stdout, process.stdin)
        browser = cls(process, connection, words, profile=profile, sandbox=sandbox)
        try:
            about = await connection.call("Browser.getVersion", timeout_s=START_LIMIT_S)
            await browser._prepare()
        except (BrowserGone, CallFailed) as error:
            await browser.close()
            raise _NotStarted(program, str(error), words.text) from None
        except BaseException:
            await browser.close()
            raise
        browser.version = str(about["product"]).replace("HeadlessChrome/", "Chromium ").replace("Chrome/", "Chromium ")
        browser.user_agent = str(about["userAgent"])
        return browser

    @staticmethod
    async def _run(program: Path, flags: tuple[str, ...]) -> tuple[asyncio.subprocess.Process, BrowserOutput]:
        """Return the browser's process, and its output."""
        words = await BrowserOutput.listen()
        try:
            process = await asyncio.create_subprocess_exec(
                *_PIPE_SHELL,
                str(program),
                *FLAGS,
                *flags,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=words.write_end,
                start_new_session=True,
                limit=MAX_MESSAGE_BYTES,
            )
        except BaseException:
            await words.close()
            raise
        words.started()
        return process, words

    async def _prepare(self) -> None:
        """Intercept every new page and shared worker before its first line runs, and learn why a page crashed."""
        kinds = [{"type": kind} for kind in ("page", "service_worker", "shared_worker")]
        await self.connection.call(
            "Target.setAutoAttach",
            {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True, "filter": kinds},
        )
        await self.connection.call("Target.setDiscoverTargets", {"discover": True, "filter": [{"type": "page"}]})

    def _route(self, method: str, params: JsonObject) -> None:
        """Pass events of targets to their context; events without a context go to all."""
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

    @property
    def last_output(self) -> str:
        """Why it exited: the reason for killing it, or its most informative line of output, or ''."""
        return self.end_reason or most_telling(self._words.text)

    async def new_context(self, handler: EventHandler, *, proxy_port: int) -> str:
        """Return the id of a new context whose traffic all goes through the proxy at ``proxy_port``.

        ``handler`` receives the events of its targets: new pages and workers, crashes. Not to be cancelled: the browser
        would keep a context that nobody knows.
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
        denied = {"behavior": "deny", "browserContextId": context_id, "eventsEnabled": False}
        try:
            await self.connection.call("Browser.setDownloadBehavior", denied)
        except CallFailed:
            await self.dispose(context_id)
            raise
        return context_id

    async def dispose(self, context_id: str) -> None:
        """Close the context and all its pages. A browser that fails to do so is marked broken."""
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

    def begin_watch(self, *, max_renderer_mb: int, max_browser_mb: int) -> None:
        """Start watching memory; ``close`` stops it."""
        watching = partial(watch_memory, self, max_renderer_mb=max_renderer_mb, max_browser_mb=max_browser_mb)
        self._watch = in_background(watching, name="browser-memory")

    async def resident_mb(self) -> int:
        """Return the resident memory of all its processes; 0 where ``/proc`` is missing."""
        return sum(resident_mb for _, _, resident_mb in await resident_mb_of(self))

    async def close(self) -> None:
        """Stop the browser and remove its profile; safe to call twice and on a dead one."""
        if self._watch is not None:
            self._watch.cancel()
        await self.connection.close()
        try:
            async with asyncio.timeout(END_LIMIT_S):
                await self._process.wait()
        except TimeoutError:
            log.warning("browser.killed", pid=self.pid, reason="it did not exit when its pipe closed")
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        await self._process.wait()
        await self._words.close()
        await asyncio.to_thread(shutil.rmtree, self._profile, ignore_errors=True)


def remove_stale_profiles() -> None:
    """Delete the profiles left behind by killed workers, but not those of running processes."""
    try:
        place = Path(tempfile.gettempdir())
    except OSError:  # no writable folder: reported where one is needed
        return
    for folder in place.glob(f"{_PROFILE_PREFIX}*"):
        owner = folder.name.removeprefix(_PROFILE_PREFIX).partition("-")[0]
        if owner.isdecimal() and not _is_running(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):  # the number is too large for any process
        return False
    except PermissionError:
        return True
    return True
