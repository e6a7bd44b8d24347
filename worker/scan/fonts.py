"""The browser's fonts: a fingerprint, and the writing systems without glyphs.

Text without glyphs is drawn as boxes of equal width, so links in it are smaller than with their readers' fonts. The
browser draws samples, once per start: the list of installed fonts does not say which ones it uses.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any, Final, cast

import structlog

from producer.contract import Doubt, Viewport
from worker.scan.axe import World
from worker.scan.axe_source import script
from worker.scan.cdp import CallFailed
from worker.scan.chromium import Chromium
from worker.scan.page import Page, ScriptFailed, literal
from worker.scan.settings import Fonts

_LIMIT_S: Final = 10.0
_NO_PORT: Final = 9
"""A port where nothing listens: the page of the samples loads nothing."""
_SAMPLES: Final = {
    "Arabic": ("سلام", r"\p{Script=Arabic}"),
    "Armenian": ("Բարև", r"\p{Script=Armenian}"),
    "Bengali": ("বাংলা", r"\p{Script=Bengali}"),
    "Han (Chinese, Japanese)": ("漢语頁网", r"\p{Script=Han}"),
    "Cyrillic": ("Жизнь", r"\p{Script=Cyrillic}"),
    "Devanagari": ("हमन", r"\p{Script=Devanagari}"),
    "Georgian": ("ქართ", r"\p{Script=Georgian}"),
    "Greek": ("Ωκεα", r"\p{Script=Greek}"),
    "Hebrew": ("שלום", r"\p{Script=Hebrew}"),
    "kana (Japanese)": ("あのカナ", r"[\p{Script=Hiragana}\p{Script=Katakana}]"),
    "Khmer": ("កខគ", r"\p{Script=Khmer}"),
    "Korean": ("한국말", r"\p{Script=Hangul}"),
    "Tamil": ("தமழ", r"\p{Script=Tamil}"),
    "Telugu": ("తలగ", r"\p{Script=Telugu}"),
    "Thai": ("ไทย", r"\p{Script=Thai}"),
}
"""By common name: sample characters, and a JavaScript pattern for all of them."""

log = structlog.get_logger("sightline.scan")


async def read_fonts(browser: Chromium) -> Fonts:
    """Return the fonts of a newly started browser, or unknown."""
    try:
        found = await _draw_samples(browser)
    except (CallFailed, ScriptFailed) as error:
        log.warning("browser.fonts_unknown", error=str(error))
        return Fonts()
    fonts = Fonts(hashlib.sha256(str(found["drawn"]).encode()).hexdigest()[:12], tuple(map(str, found["missing"])))
    if fonts.missing:
        log.warning("browser.glyphs_missing", scripts=list(fonts.missing), fonts=fonts.fingerprint)
    return fonts


async def _draw_samples(browser: Chromium) -> dict[str, Any]:
    """Return the script's answer in a page that is closed again: it would keep 120 MB."""
    samples = {name: text for name, (text, _) in _SAMPLES.items()}
    agent, size = browser.user_agent, Viewport(width=200, height=200)
    page = await Page.open(browser, proxy_port=_NO_PORT, viewport=size, user_agent=agent, start_script="")
    try:
        world = await page.world(page.session, page.watch.frame_id, timeout_s=_LIMIT_S)
        found = await page.evaluate(page.session, world, _call({}, samples), timeout_s=_LIMIT_S)
        return cast("dict[str, Any]", found)
    finally:
        await asyncio.shield(page.close())


async def missing_glyphs(page: Page, fonts: Fonts, *, worlds: Sequence[World]) -> list[Doubt]:
    """Return the doubt about a page whose text is drawn as boxes; includes the page's own fonts and its frames.

    ``worlds`` are those of the documents that axe-core has read.
    """
    scripts = {name: _SAMPLES[name][1] for name in fonts.missing}
    if not scripts:
        return []
    answers = await asyncio.gather(*(_missing_in(page, world, scripts) for world in worlds))
    found = {name for answer in answers for name in answer}
    names = [name for name in scripts if name in found]
    if not names:
        return []
    what = f"has text in {', '.join(names)}, drawn as boxes because fonts are missing: its sizes are wrong"
    return [Doubt(kind="missing-glyphs", what=what)]


async def _missing_in(page: Page, world: World, scripts: dict[str, str]) -> Sequence[str]:
    try:
        found = await page.evaluate(world.session, world.context, _call(scripts, None), timeout_s=_LIMIT_S)
    except (CallFailed, ScriptFailed):
        return ()
    return cast("Sequence[str]", found)


def _call(scripts: dict[str, str], samples: dict[str, str] | None) -> str:
    return f"({script('fonts').rstrip().rstrip(';')})({literal(scripts)}, {literal(samples)})"
