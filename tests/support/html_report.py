"""Uses the HTML report in a browser as a person does, also with a preference for dark pages."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

from tests.support.open_page import OpenPage

SHOWN = """({
  said: document.getElementById('shown').textContent,
  pages: [...document.querySelectorAll('details.page')].filter((page) => page.checkVisibility())
    .map((page) => page.querySelector('h3, h4').textContent),
  rules: [...document.querySelectorAll('article.finding')].filter((one) => one.checkVisibility())
    .map((one) => one.dataset.rule),
})"""
"""JavaScript that returns the visible report: its status line, the pages, and the rules of the open ones."""


async def select(report: OpenPage, name: str, value: str) -> Any:
    """Choose an option of a list, and return the visible report."""
    choose = f"document.getElementById('{name}').value = '{value}';"
    await report.run(f"{choose} document.getElementById('{name}').dispatchEvent(new Event('change')); 1")
    return await report.run(SHOWN)


async def search(report: OpenPage, words: str) -> Any:
    """Type into the search field, and return the visible report."""
    before = await report.run("document.getElementById('shown').textContent")
    await report.run("(() => { const field = document.getElementById('search'); field.value = ''; field.focus(); })()")
    await report.write(words)
    await report.until(f"document.getElementById('shown').textContent !== {before!r}")
    return await report.run(SHOWN)


def in_dark(text: str) -> str:
    """Return the report as shown to a person who prefers dark pages, by making its dark colours unconditional."""
    [style] = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    dark = style.replace("(prefers-color-scheme: dark)", "all", 1)
    assert dark != style
    old, new = (base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in (style, dark))
    assert old in text
    return text.replace(style, dark).replace(old, new)
