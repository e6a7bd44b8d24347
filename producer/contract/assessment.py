"""What a model wrote about a page: never the gate, always with its source."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Priority(BaseModel):
    """One step of the order in which the model would mend the page."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    fingerprint: str
    who: str = ""
    why: str = ""
    fix: str = ""


class ReviewProposal(BaseModel):
    """What a model proposes about one element that axe-core left for a person to judge. It still needs review.

    Neither a finding nor the absence of one: it is in no count, and no gate, baseline or trend may read it. A report
    shows it beside the node of ``ScanResult.incomplete`` with this ``fingerprint``, as a proposal of ``source``, the
    model's name; ``look_at`` is what a person should look at to decide.
    """

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    fingerprint: str
    rule: str
    area: str
    verdict: Literal["barrier", "no_barrier", "cannot_tell"]
    why: str = ""
    look_at: str = ""
    source: str = ""


class Assessment(BaseModel):
    """What the model wrote about the findings. Never the gate.

    ``prompt`` is the version of the prompt, ``dropped`` counts statements about no finding of this page, ``left_out``
    the findings that the model was not shown for want of room. ``model_reason`` says why this model answered, '' where
    it is simply the one of CHAT_MODEL. ``summary`` is empty where there was nothing but ``reviews`` to write.

    ``reviews`` are proposals about what needs review, ``reviewed`` the version of the prompt by area that was asked
    about, ``unreviewed`` the elements that need review and about which nothing is proposed.
    """

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    summary: str
    priorities: tuple[Priority, ...] = ()
    prompt: str = ""
    dropped: int = 0
    left_out: int = 0
    model_reason: str = ""
    reviews: tuple[ReviewProposal, ...] = ()
    reviewed: dict[str, str] = {}
    unreviewed: int = 0
