"""Text without glyphs is drawn as boxes: the log says so once, and so does each result of such a page."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from producer.contract import ScanRequest
from tests.support.missing import not_tested
from worker.doctor.browser import started_browser_lines
from worker.scan.engine import ScanEngine, ScanSettings

WITHOUT = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd"><fontconfig>
<include>/etc/fonts/fonts.conf</include><selectfont><rejectfont>{}</rejectfont></selectfont></fontconfig>"""
LANGUAGES = ("ja", "zh-cn", "zh-tw", "ko")
PAGE = "<!doctype html><html lang={}><title>T</title><main><h1>T</h1><p>{}</p></main>"


@pytest.fixture
def without_cjk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform != "linux":
        not_tested("fonts can be taken away by fontconfig alone")
    rejected = "".join(
        f'<pattern><patelt name="lang"><string>{language}</string></patelt></pattern>' for language in LANGUAGES
    )
    (tmp_path / "fonts.conf").write_text(WITHOUT.format(rejected))
    monkeypatch.setenv("FONTCONFIG_FILE", str(tmp_path / "fonts.conf"))


@pytest.mark.usefixtures("without_cjk")
async def test_a_page_in_a_script_without_glyphs_is_doubtful_and_no_other(settings: ScanSettings) -> None:
    async with ScanEngine(settings) as engine:

        async def doubts(language: str, text: str) -> list[str]:
            result = (await engine.audit(ScanRequest(html=PAGE.format(language, text)))).result
            assert result.status == "scanned"
            assert len(result.engine["fonts"]) == 12
            return [doubt.what for doubt in result.doubts if doubt.kind == "missing-glyphs"]

        [han] = await doubts("ja", "次頁")
        [both] = await doubts("ja", "あの <b>한국</b>")
        [framed] = await doubts("en", "<iframe title=Part srcdoc='<!doctype html><p>次頁'></iframe>")
        plain = await doubts("en", "Tea → “cup” ✓ é <span hidden>次頁</span><script>'次頁'</script>")

    assert han == "has text in Han (Chinese, Japanese), drawn as boxes because fonts are missing: its sizes are wrong"
    assert framed == han
    assert "kana (Japanese), Korean" in both
    assert plain == []


@pytest.mark.usefixtures("without_cjk")
async def test_the_doctor_names_the_scripts_without_glyphs(browser_path: str) -> None:
    _, line = await started_browser_lines(browser_path)

    assert (line.level, line.subject) == ("warning", "fonts")
    assert "Han (Chinese, Japanese)" in line.text
    assert "Greek" not in line.text
    assert "fonts-noto-cjk" in line.todo
