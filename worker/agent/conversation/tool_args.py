"""The tools that a model may call: names, arguments, and descriptions as docstrings. ``tools.py`` runs them. Pure.

The docstrings of the tools' arguments are part of the prompt (``ASK_VERSION``).
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from producer.contract import Impact, JsonObject
from worker.models.protocols import Tool

Text = Annotated[str, Field(max_length=2_000)]
WHEN: Final = "a date such as 2026-11-01, or words such as yesterday, Monday, May, 3 days ago"


class Args(BaseModel):
    """Base of a tool's arguments: unknown ones are ignored, empty ones have their default."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: Any) -> Any:
        return {name: value for name, value in given.items() if value is not None} if isinstance(given, dict) else given


class Pages(Args):
    """Which pages are meant; all that are given must fit."""

    site: Text = Field(default="", description="host, such as shop.example")
    group: Text = Field(default="", description="exact name of a template or section")
    url: Text = Field(default="", description="address of one page, or its path such as /cart")
    words: Text = Field(default="", description="words of the page's address, title or group")


class SearchScans(Pages):
    """Count barriers, and list pages with theirs: the worst, the newest, those with a rule, an impact, a group,
    a word, a meaning. Sums are of what is asked for alone, over all pages that fit.
    """  # noqa: D205  one sentence, as the model reads it

    text: Text = Field(default="", description="what the page or its barriers are about; found by meaning")
    rule: Text = Field(default="", description="axe-core rule that fails, such as color-contrast")
    component: Text = Field(default="", description="id of a component barrier, or words of its name")
    impact: Impact | None = Field(default=None, description="pages with a barrier of this impact")
    since: Text = Field(default="", description=f"seen since: {WHEN}")
    until: Text = Field(default="", description="as the pages were then")
    order: Literal["worst", "newest"] = Field(default="newest", description="worst: most harmful barriers first")
    every: bool = Field(default=False, description="every recorded state of the pages, not only the newest")
    limit: Annotated[int, Field(ge=1, le=20)] = 5


class GetScan(Args):
    """Show one scan: each failed rule with its impact, WCAG criteria and number of elements."""

    scan: Text = Field(default="", description="id of a scan")
    url: Text = Field(default="", description="or the address or path of a page, for its newest scan")
    rule: Text = Field(default="", description="show examples of this rule's barriers")


class CompareScans(Pages):
    """Tell which barriers are new, mended or on other pages: between two batches, runs, times or scans of a page."""

    before: Text = Field(default="", description=f"earlier batch, run or scan id, or {WHEN}")
    after: Text = Field(default="", description="later one; empty for now")
    since: Text = Field(default="", description="same as before")
    limit: Annotated[int, Field(ge=1, le=20)] = 5


class ListComponents(Args):
    """List component barriers (one rule on one component of a site): what to mend first, since when each is there."""

    site: Text = ""
    group: Text = ""
    words: Text = Field(default="", description="of its name, such as header")
    rule: Text = ""
    impact: Impact | None = None
    mended: bool = Field(default=False, description="those on no page any more")
    since: Text = Field(default="", description="new or mended since")
    limit: Annotated[int, Field(ge=1, le=20)] = 5


class Remember(Args):
    """Remember a sentence that the user asked you to remember."""

    words: Annotated[str, Field(min_length=1, max_length=1_000, description="copied exactly from the user's message")]


class Recall(Args):
    """Look up what users asked you to remember."""

    text: Text = Field(default="", description="what it is about; empty for the newest")


class RequestScan(Args):
    """Queue a scan of one page. The result comes later."""

    url: Annotated[str, Field(min_length=1, max_length=4_000, description="address that the user wrote")]
    group: Annotated[str, Field(max_length=200)] = ""


ARGS: Final[dict[str, type[Args]]] = {
    "search_scans": SearchScans,
    "get_scan": GetScan,
    "compare_scans": CompareScans,
    "list_components": ListComponents,
    "remember": Remember,
    "recall": Recall,
    "request_scan": RequestScan,
}
WRITERS: Final = frozenset({"remember", "request_scan"})


def _tool(name: str, args: type[Args]) -> Tool:
    """Return the tool with the JSON Schema of ``args``, without titles, which would cost tokens at every call."""
    schema = args.model_json_schema()
    impacts = [impact.value for impact in Impact]
    properties: JsonObject = {}
    for parameter, about in schema["properties"].items():
        kept = {key: value for key, value in about.items() if key in {"type", "description", "enum"}}
        properties[parameter] = kept if "type" in kept else {"type": "string", "enum": impacts, **kept}
    parameters: JsonObject = {"type": "object", "properties": properties, "required": schema.get("required", [])}
    return Tool(name, " ".join((args.__doc__ or "").split()), parameters)


TOOLS: Final = tuple(_tool(name, args) for name, args in ARGS.items())
