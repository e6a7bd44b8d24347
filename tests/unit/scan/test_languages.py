"""Languages are recognised where that is certain, and nowhere else."""

from __future__ import annotations

import time

import pytest

from worker.scan.live.language import PAGE, PART, judge
from worker.scan.live.languages import MARKED, UNMARKED, other_language

DUTCH = "De winkel is op zondag gesloten, maar u kunt altijd een bericht achterlaten."
ENGLISH = "The shop is closed on Sundays, but you can always leave us a message."
FRENCH = "Le magasin est fermé le dimanche, mais vous pouvez toujours laisser un message."


def text(said: str, lang: str, *, holder: int = 0, block: int = 0) -> dict[str, object]:
    return {"text": said, "lang": lang, "holder": holder, "block": block, "isPage": holder == 0}


def found(page: str, *texts: dict[str, object]) -> list[tuple[str, int, str]]:
    read = {"page": page, "root": 0, "texts": list(texts)}
    return [(one.rule, one.numbers[0], one.measured["recognised as"]) for one in judge(read)]


def test_a_long_text_without_spaces_takes_no_longer_than_any_other() -> None:
    started = time.process_time()

    assert other_language(["\u7684\u4e00\u662f\u4e0d\u4e86" * 20_000], "en", MARKED) == "zh"

    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("said", "marked", "other"),
    [
        (ENGLISH, "nl", "en"),
        ("A bowl of soup", "fr", ""),
        ("Boats along the harbour", "sv", "en"),
        ("ようこそ、私たちのお店へ", "en-GB", "ja"),
        ("Добро пожаловать в наш магазин", "en", "ru"),
        (DUTCH, "nl-BE", ""),
        (DUTCH, "af", ""),
        (ENGLISH, "tlh", ""),
        (ENGLISH, "", ""),
        ("Peter Müller, Anna Schmidt, Klaus Becker, Petra Wagner", "en", ""),
        ("POST /api/v2/orders user@example.com 2026-11-29 a.b.c", "de", ""),
        ("Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt", "en", ""),
        ("nuqneH tlhIngan maH jay' Qapla' batlh je", "en", ""),
    ],
)
def test_only_a_certain_language_is_said_to_be_another(said: str, marked: str, other: str) -> None:
    assert other_language([said], marked, MARKED) == other


def test_an_unmarked_text_needs_more_evidence() -> None:
    assert other_language(["Boats along the harbour"], "sv", UNMARKED) == ""
    assert other_language([FRENCH], "sv", UNMARKED) == "fr"


def test_a_page_in_another_language_is_one_finding_and_not_one_a_block() -> None:
    assert found("nl", text(ENGLISH, "nl"), text(ENGLISH * 2, "nl", block=2)) == [(PAGE, 0, "English (en)")]


def test_a_part_in_another_language_is_found_whether_its_mark_is_wrong_or_missing() -> None:
    page = text(ENGLISH, "en", block=1)

    assert found("en", page, text(FRENCH, "en", block=2)) == [(PART, 2, "French (fr)")]
    assert found("en", page, text(FRENCH, "fr", holder=3, block=3)) == []
    assert found("en", page, text(FRENCH, "nl", holder=3, block=3)) == [(PART, 3, "French (fr)")]
    assert found("en", page, text(DUTCH, "nl", holder=3, block=3), text(FRENCH, "nl", holder=3, block=4)) == [
        (PART, 4, "French (fr)")
    ]
