"""Which scripts the browser has no glyphs for: it is started and asked, as a worker does at its start."""

from __future__ import annotations

from producer.errors import DependencyMissing
from worker.doctor.line import Line, ok, warning
from worker.scan.browser import find_browser
from worker.scan.cdp import BrowserGone
from worker.scan.chromium import Chromium
from worker.scan.fonts import read_fonts
from worker.scan.settings import Fonts, ScanSettings

SUBJECT = "fonts"


async def fonts_lines(browser_path: str) -> list[Line]:
    """Return the line of the fonts; none where there is no browser, which is said elsewhere."""
    limits = ScanSettings()
    try:
        browser = await Chromium.launch(
            find_browser(browser_path or None),
            max_script_mb=limits.max_script_mb,
            max_renderer_mb=limits.max_renderer_mb,
        )
    except DependencyMissing:
        return []
    except BrowserGone as gone:
        return [warning(SUBJECT, str(gone), "start it by hand to see why, or name another one with BROWSER_PATH")]
    try:
        return [fonts_line(await read_fonts(browser))]
    finally:
        await browser.close()


def fonts_line(fonts: Fonts) -> Line:
    """Return what the browser's fonts mean. Pure."""
    if not fonts.fingerprint:
        return warning(SUBJECT, "the browser did not say what it draws text with", "try again when the machine is idle")
    if fonts.missing:
        names = ", ".join(fonts.missing)
        text = f"no glyphs for {names}: text is boxes there, sizes are wrong (fonts {fonts.fingerprint})"
        return warning(
            SUBJECT, text, "if you scan such pages: on Debian, apt-get install fonts-noto-core fonts-noto-cjk"
        )
    return ok(SUBJECT, f"glyphs for all scripts tried (fonts {fonts.fingerprint})")
