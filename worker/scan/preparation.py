"""Prepares a page before its first navigation: blocked hosts, certificates, selectors.

Logins are in ``login.py``, which is called after this.
"""

from __future__ import annotations

from typing import Final

from producer.contract import ScanRequest
from producer.errors import InvalidJob
from worker.scan.page import Page, literal

_LIMIT_S: Final = 5.0
_FIRST_WRONG: Final = """
SELECTORS.findIndex((css) => { try { document.querySelector(css); return false; } catch { return true; } })
"""


async def prepare(page: Page, request: ScanRequest) -> None:
    """Prepare the blank page; raises ``InvalidJob`` for a selector that the browser does not know."""
    await _check_selectors(page, request)
    if request.insecure or request.ca:  # with the request's own authority, the proxy checks them (tls.py)
        await page.ignore_certificates()
    if request.blocked_hosts:
        await page.block_hosts(request.blocked_hosts)


async def _check_selectors(page: Page, request: ScanRequest) -> None:
    given = [("include", css) for css in request.include] + [("exclude", css) for css in request.exclude]
    given += [("wait_for", request.wait_for)] if request.wait_for else []
    if not given:
        return
    world = await page.world(page.session, page.watch.frame_id, timeout_s=_LIMIT_S)
    call = _FIRST_WRONG.replace("SELECTORS", literal([css for _, css in given]))
    first = int(await page.evaluate(page.session, world, call, timeout_s=_LIMIT_S))
    if first >= 0:
        field, css = given[first]
        msg = f"{field}: {css!r} is not a CSS selector known to the browser; expected one such as 'main' or '#chat'"
        raise InvalidJob(msg)
