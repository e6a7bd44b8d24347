"""A scripted model for explanations, and the pages of a shop whose templates share barriers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from producer.contract import Finding, Node, ScanRequest, ScanResult
from tests.support.ollama_protocol import Body
from tests.support.scans import finding, scan_result
from worker.scan.component import component_of
from worker.scan.settings import Audit, BeforeLoad, Secrets

TEMPLATES = ("home", "list", "product", "help")
SHARED = (
    ("image-alt", '<img class="logo" src="/logo.png?v={n}">', "header"),
    ("link-name", '<a class="cart-link" href="/cart?from={n}"></a>', "nav"),
    ("label", '<input class="search-field" name="q" value="{n}">', "header"),
    ("button-name", '<button class="subscribe"><svg></svg></button>', "footer"),
)
"""Rule, markup and place of the barriers on every page."""
OWN = {
    "home": (("image-alt", '<img class="hero" src="/h{n}.jpg">'), ("link-name", '<a class="teaser" href="/t/{n}"></a>')),  # noqa: E501  a table
    "list": (("image-alt", '<img class="card-image" src="/c{n}.jpg">'), ("label", '<select class="sort" id="s{n}">')),
    "product": (("image-alt", '<img class="gallery" src="/g{n}.jpg">'), ("button-name", '<button class="buy" value="{n}">')),  # noqa: E501  a table
    "help": (("link-name", '<a class="article-link" href="/a/{n}"></a>'), ("label", '<textarea class="message" id="m{n}">')),  # noqa: E501  a table
}  # fmt: skip
"""… and of those in each template's main part: twelve component barriers in all."""


def explains(body: Body) -> str:
    """Explain every requested barrier, as a model bound by the schema does; otherwise refuse."""
    fields = (body.get("format") or {}).get("properties", {})
    if "order" in fields:
        return json.dumps({"order": "Mend the header first."})
    if "proposals" in fields:
        shown = [one["element"] for one in json.loads(body["messages"][1]["content"])["elements"]]
        return json.dumps(
            {"proposals": [{"element": one, "verdict": "cannot_tell", "why": "w", "look_at": "l"} for one in shown]}
        )
    if "explanations" not in fields:
        return "No explanations were asked for."
    barriers = json.loads(body["messages"][1]["content"])["barriers"]
    entries = [
        {
            "barrier": one["barrier"],
            "who": "People who use a screen reader",
            "why": "It says nothing.",
            "fix": one["rule"],
        }
        for one in barriers
    ]
    return json.dumps({"explanations": entries})


def page_of(number: int, template: str) -> ScanResult:
    """Return the page with that number: it has its template's barriers, but its own texts and addresses."""
    url = f"https://shop.example/{template}/{number}"
    placed = [*SHARED, *((rule, markup, "main") for rule, markup in OWN[template])]
    by_rule: dict[str, list[Node]] = {}
    for at, (rule, markup, place) in enumerate(placed):
        snippet = markup.format(n=number)
        component = component_of(rule, [[(place, "", "", "")]], snippet, page=url)
        node = Node(
            selector=(f"#n{at}",),
            snippet=snippet,
            fingerprint=f"{number}-{at}",
            issue_id=component.issue_id,
            component=component.name,
        )
        by_rule.setdefault(rule, []).append(node)
    found = scan_result(*(_failed(rule, nodes) for rule, nodes in by_rule.items()), url=url, title=f"Page {number}")
    return found.model_copy(update={"incomplete": tuple(_undecided(number, url, template))})


def _undecided(number: int, url: str, template: str) -> Iterator[Finding]:
    """Return the undecided findings: the contrast of the header's name, and of each template's teaser."""
    for at, (markup, place) in enumerate((("<p class=brand>", "header"), (f"<p class=teaser-{template}>", "main"))):
        component = component_of("color-contrast", [[(place, "", "", "")]], markup, page=url)
        node = Node(selector=(f"#u{at}",), snippet=markup, fingerprint=f"u{number}-{at}", issue_id=component.issue_id)
        undecided = finding(f"color-contrast{'-enhanced' * at}")
        yield undecided.model_copy(update={"nodes": (node,), "node_count": 1, "outcome": "incomplete"})


def _failed(rule: str, nodes: list[Node]) -> Finding:
    return finding(rule).model_copy(update={"nodes": tuple(nodes), "node_count": len(nodes)})


@dataclass
class ShopEngine:
    """Scans pages ``…/<template>/<number>`` of the shop."""

    async def audit(
        self,
        request: ScanRequest,
        *,
        secrets: Secrets | None = None,
        on_progress: Callable[[str], None] | None = None,
        before_load: BeforeLoad | None = None,
    ) -> Audit:
        del secrets, on_progress, before_load
        _, template, number = str(request.url).rsplit("/", 2)
        return Audit(page_of(int(number), template), {})
