"""The tools a model may call: names, what they do, what they take. The doing is in ``tools.py``. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from producer.contract import Impact, JsonObject
from worker.models.protocols import Tool

Text = Annotated[str, Field(max_length=2_000)]
WHEN: Final = "a date such as 2026-11-01, or words such as yesterday, Monday, May, 3 days ago"


class Args(BaseModel):
    """Base of a tool's arguments: what a model adds is ignored, what it leaves empty has its default."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: Any) -> Any:
        return {name: value for name, value in given.items() if value is not None} if isinstance(given, dict) else given


class Pages(Args):
    """Which pages are meant; all that are given must fit."""

    site: Text = Field(default="", description="host, such as shop.example")
    group: Text = Field(default="", description="exact name of a template or section")
    url: Text = Field(default="", description="address of one page")
    words: Text = Field(default="", description="words of the page's address or title")


class SearchScans(Pages):
    """Look through the newest recorded state of each page."""

    text: Text = Field(default="", description="what the page or its barriers are about; found by meaning")
    rule: Text = Field(default="", description="axe-core rule that fails, such as color-contrast")
    impact: Impact | None = Field(default=None, description="pages with a barrier of this impact")
    since: Text = Field(default="", description=f"seen since: {WHEN}")
    until: Text = Field(default="", description=f"as the pages were then: {WHEN}")
    order: Literal["worst", "newest"] = Field(default="newest", description="worst: most harmful barriers first")
    every: bool = Field(default=False, description="every recorded state of the pages, not only the newest")
    limit: Annotated[int, Field(ge=1, le=20)] = 5


class GetScan(Args):
    """Look at one scan as a whole."""

    scan: Text = Field(default="", description="id of a scan")
    url: Text = Field(default="", description="or the address of a page, for its newest scan")
    rule: Text = Field(default="", description="show examples of this rule's barriers")


class CompareScans(Pages):
    """Tell what changed."""

    before: Text = Field(default="", description="id of the earlier scan")
    after: Text = Field(default="", description="id of the later scan of the same page")
    since: Text = Field(default="", description=f"or compare all pages with how they were at: {WHEN}")
    limit: Annotated[int, Field(ge=1, le=20)] = 5


class Remember(Args):
    """Keep a sentence of the user's."""

    words: Annotated[str, Field(min_length=1, max_length=1_000, description="copied exactly from the user's message")]


class Recall(Args):
    """Look through what users asked to be remembered."""

    text: Text = Field(default="", description="what it is about; empty for the newest")


class RequestScan(Args):
    """Ask for a page to be scanned."""

    url: Annotated[str, Field(min_length=1, max_length=4_000, description="address that the user wrote")]
    group: Annotated[str, Field(max_length=200)] = ""


ARGS: Final[dict[str, type[Args]]] = {
    "search_scans": SearchScans,
    "get_scan": GetScan,
    "compare_scans": CompareScans,
    "remember": Remember,
    "recall": Recall,
    "request_scan": RequestScan,
}
WRITERS: Final = frozenset({"remember", "request_scan"})

_DESCRIPTIONS: Final = {
    "search_scans": "List pages with their barriers and the sums over all that fit: the worst, the newest, those with "
    "a rule, an impact, a group, a word, a meaning.",
    "get_scan": "Show one scan: each failed rule with its impact, WCAG criteria and number of elements.",
    "compare_scans": "Tell which barriers are new and which are fixed: between two scans of a page, or on all pages "
    "since a time.",
    "remember": "Remember a sentence that the user asked you to remember.",
    "recall": "Look up what users asked you to remember.",
    "request_scan": "Queue a scan of one page. The result comes later.",
}


def _parameters(args: type[Args]) -> JsonObject:
    """Return the JSON Schema of ``args`` without titles: each of them costs tokens at every call."""
    schema = args.model_json_schema()
    impacts = [impact.value for impact in Impact]
    properties: JsonObject = {}
    for name, about in schema["properties"].items():
        kept = {key: value for key, value in about.items() if key in {"type", "description", "enum"}}
        properties[name] = kept if "type" in kept else {"type": "string", "enum": impacts, **kept}
    return {"type": "object", "properties": properties, "required": schema.get("required", [])}


TOOLS: Final = tuple(Tool(name, _DESCRIPTIONS[name], _parameters(args)) for name, args in ARGS.items())
