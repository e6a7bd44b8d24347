"""The bound of a text's tokens, against counts of real tokenizers."""

from __future__ import annotations

import hashlib
import json
from typing import Final

import pytest

from worker.models.context_budget import most_tokens

HEX: Final = "".join(hashlib.sha256(str(n).encode()).hexdigest() for n in range(4))
NUMBERS: Final = [int(HEX[start : start + 4], 16) for start in range(0, 240, 4)]
MARKUP: Final = (
    '<div class="card card--wide" data-id="4711" aria-labelledby="t1"><a href="/tea/2024/cups?ref=home" '
    'class="btn btn-primary"><svg viewBox="0 0 24 24"><path d="M12 2l3 7h7l-6 4 2 7-6-4-6 4 2-7-6-4h7z"/></svg></a>'
    "</div>"
)
ENTRY: Final = {
    "element": "e1",
    "rule": "image-alt",
    "criteria": ["1.1.1"],
    "markup": '<img class="logo" src="/logo.png?v=3">',
}

COUNTED: Final = {
    "hex": (HEX, 225),
    "upper-case hex": (HEX.upper(), 227),
    "ids": ("-".join(HEX[start : start + 8] for start in range(0, 256, 8)), 260),
    "digits": ("".join(map(str, NUMBERS)), 290),
    "numbers": (" ".join(map(str, NUMBERS)), 349),
    "a path": ("M" + "".join(f"{'lcLCz'[n % 5]}{n / 700:.2f} {n / 999:.3f}," for n in NUMBERS), 826),
    "addresses": (
        " ".join(f"https://shop.example/p/{n}?utm_source=a1&ref=%C4%85{n:x}" for n in NUMBERS[:20]),
        632,
    ),
    "markup": (MARKUP * 3, 324),
    "JSON": (json.dumps(ENTRY) * 5, 234),
    "English": ("Barriers keep people from buying what they need, and nobody tells the shop. " * 4, 65),
    "German": ("Die Barrierefreiheitsstärkungsverordnung verpflichtet Dienstleistungserbringer. " * 4, 97),
    "Polish": ("Zażółć gęślą jaźń, wciśnij przycisk „Wyślij” i źdźbło trawy. " * 4, 145),
    "Finnish": ("Saavutettavuusvaatimukset koskevat verkkokauppapalveluita. " * 4, 101),
    "Russian": ("Изображения должны иметь альтернативный текст. " * 4, 54),
    "Greek": ("Οι εικόνες χρειάζονται εναλλακτικό κείμενο. " * 4, 160),  # noqa: RUF001  Greek
    "Hebrew": ("תמונות צריכות טקסט חלופי עבור קוראי מסך. " * 4, 180),
    "Hindi": ("छवियों को वैकल्पिक पाठ की आवश्यकता होती है। " * 4, 164),
    "Tamil": ("படங்களுக்கு திரை வாசிப்பான்களுக்கான மாற்று உரை தேவை " * 4, 289),
    "Japanese": ("画像には代替テキストがありません。購入する商品を選んでください。" * 4, 76),
    "Chinese": ("图像需要为屏幕阅读器提供替代文本，视障人士才能购买所需的商品。" * 4, 100),  # noqa: RUF001  Chinese
    "Korean": ("이미지에는 스크린 리더를 위한 대체 텍스트가 필요합니다. " * 4, 86),
    "emoji": ("🛒👩🏽‍🦯♿️ " * 20, 321),
    "signs": ("∑∫√≈≠≤≥∞∂∆πΩµ→←⇒" * 6, 138),
}
"""Texts, and the most tokens that the tokenizers of Qwen 3, Gemma 3 and Llama 3 make of each (29 November 2026)."""


@pytest.mark.parametrize("kind", COUNTED)
def test_no_tokenizer_makes_more_of_a_text_than_its_bound(kind: str):
    text, counted = COUNTED[kind]

    assert counted <= most_tokens(text)


@pytest.mark.parametrize("kind", ["markup", "JSON", "English", "German", "Japanese", "Chinese", "Korean"])
def test_the_bound_of_ordinary_text_leaves_no_more_than_half_of_the_room_unused(kind: str):
    text, counted = COUNTED[kind]

    assert most_tokens(text) <= 2.2 * counted


def test_the_bound_takes_any_text():
    assert most_tokens("") == 0
    assert most_tokens("\ud800 ٣ \x00") > 0  # half a character, a digit of another script, a control character
