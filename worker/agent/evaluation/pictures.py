"""Pictures with known answers (``pictures.json``): small drawings, each with right and wrong texts.

Only a model with vision can distinguish them; any other judges only the words. ``names.py`` asks the model about them.
"""

from __future__ import annotations

from html import escape
from importlib.resources import files
from urllib.parse import quote

from pydantic import Field

from worker.agent.evaluation.labels import Because, Labelled
from worker.agent.evaluation.names import NameCase


class PictureCase(Labelled):
    """One drawing with its text ``alt``, in the markup ``around``, where ``{img}`` stands for it."""

    drawing: str
    bad: bool
    language: str
    alt: str
    around: str
    because: Because

    def name_case(self, svg: str) -> NameCase:
        """Return the case as a page whose name to judge is the drawing's text."""
        source = f"data:image/svg+xml,{quote(svg)}"
        img = f'<img data-case alt="{escape(self.alt)}" width=240 height=160 src="{source}">'
        return NameCase(
            kind="picture",
            bad=self.bad,
            language=self.language,
            body=self.around.replace("{img}", img),
            shown=f"{self.drawing!r} with the text {self.alt!r}",
            because=self.because,
        )


class PictureSet(Labelled):
    """``pictures.json``; ``drawings`` are SVG, by name."""

    about: str
    drawings: dict[str, str]
    cases: tuple[PictureCase, ...] = Field(min_length=1)


def load_pictures() -> tuple[NameCase, ...]:
    """Return the cases."""
    text = (files(__package__ or "") / "pictures.json").read_text("utf-8")
    labelled = PictureSet.model_validate_json(text)
    return tuple(case.name_case(labelled.drawings[case.drawing]) for case in labelled.cases)
