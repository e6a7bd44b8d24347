"""axe-core's options, and that it is the shipped version."""

from __future__ import annotations

from pathlib import Path

import pytest

from producer.contract import ScanRequest, Standard
from producer.errors import ScanFailed
from worker.scan.axe import context_for, options_for, tags_of
from worker.scan.axe_source import ascii_only, audit_script, load_axe, quick_axe

SHIPPED = Path(load_axe.__wrapped__.__code__.co_filename).parent / "vendor" / "axe-core"


def test_the_shipped_axe_core_is_the_one_its_version_file_names() -> None:
    axe = load_axe()

    assert axe.version == "4.14.1"
    assert axe.text.startswith("/*! axe v4.14.1")


def test_the_script_sent_to_pages_is_ascii_and_equivalent() -> None:
    assert audit_script().isascii()
    assert ascii_only("this.ε = '…🎉'") == r"this.\u03b5 = '\u2026\ud83c\udf89'"


def test_no_replacement_is_defined_for_functions_the_browser_has() -> None:
    shipped, sent = load_axe().text, quick_axe()

    assert "var r=tn();t.exports=r" in shipped
    assert "var r=tn();t.exports=r" not in sent
    assert "rn=e(function(e,t){t.exports=Array.from})" in sent


def test_a_changed_axe_core_is_refused(tmp_path: Path) -> None:
    (tmp_path / "VERSION").write_text((SHIPPED / "VERSION").read_text())
    (tmp_path / "axe.min.js").write_text("window.axe = {};")

    with pytest.raises(ScanFailed, match="expected 29348999"):
        load_axe(tmp_path)


def test_every_piece_of_axe_core_that_is_replaced_is_there_once() -> None:
    assert "sightlineMemoize(e)" in quick_axe()
    assert "sightlineClock.check()" in quick_axe()


def test_axe_core_comes_with_its_licences() -> None:
    assert "Mozilla Public License" in (SHIPPED / "LICENSE").read_text()
    assert (SHIPPED / "LICENSE-3RD-PARTY.txt").stat().st_size > 0


@pytest.mark.parametrize(
    ("standard", "tags"),
    [
        ("wcag2a", {"wcag2a"}),
        ("wcag2aa", {"wcag2a", "wcag2aa"}),
        ("wcag21aa", {"wcag2a", "wcag2aa", "wcag21a", "wcag21aa"}),
        ("wcag22aa", {"wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"}),
        ("best-practice", {"wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"}),
    ],
)
def test_a_standard_includes_those_below_it(standard: Standard, tags: set[str]) -> None:
    assert set(tags_of(standard)) == tags


def test_included_parts_and_rules_reach_axe_core() -> None:
    request = ScanRequest(html="<p>", include=("main",), exclude=(".ad", "#x"), disabled_rules=("label",))

    assert context_for(request) == {"include": [["main"]], "exclude": [[".ad"], ["#x"]]}
    assert options_for(request)["rules"] == {"label": {"enabled": False}}


def test_without_parts_the_whole_page_is_audited() -> None:
    assert "include" not in context_for(ScanRequest(html="<p>"))
