"""The barriers of a page to be explained: each component barrier once, without any content of the page. Pure.

An explanation is requested once and shown on every page and site with the same barrier, so no content of a page may
influence it: no text, address, number or free word. The model gets the rule, the component's name in words of a closed
list, and markup reduced to tags, attributes and keywords defined by HTML and ARIA. So instructions in a page's markup
cannot affect other explanations requested in the same call. Next: ``explain.py``, which asks.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from hashlib import sha256
from html.parser import HTMLParser
from typing import Final

from producer.contract import Finding, JsonObject, Node, ScanResult
from producer.contract.advice import problem_of
from producer.contract.component_name import without_example
from worker.agent.prompts import REPAIR, clip, load_prompt, version_of, worst_first
from worker.scan.words import is_of_templates

EXPLAIN_SYSTEM: Final = load_prompt("explain")
EXPLAIN_VERSION: Final = version_of("explain", EXPLAIN_SYSTEM, REPAIR)
LANGUAGE: Final = "en"
"""Language of explanations; another one needs its own prompt."""

MAX_SNIPPET: Final = 4_000
MAX_INNER: Final = 4
ELIDED: Final = "…"

_NAMES: Final = frozenset(
    """
    header navigation main sidebar footer search dialog page area audio button cell checkbox definition
    disclosure element field frame heading image item link list map menuitem object radio selection tab term
    text video
    """.split()  # noqa: SIM905  a line per word is no clearer
)
_TAGS: Final = frozenset(
    """
    a abbr acronym address area article aside audio b base bdi bdo big blink blockquote body br button canvas
    caption center cite code col colgroup data datalist dd del details dfn dialog dir div dl dt em embed
    fieldset figcaption figure font footer form frame frameset g h1 h2 h3 h4 h5 h6 head header hgroup hr html i
    iframe img input ins kbd label legend li link main map mark marquee math menu meta meter nav noscript object
    ol optgroup option output p param path picture pre progress q rp rt ruby s samp script search section select
    slot small source span strike strong style sub summary sup svg symbol table tbody td template text textarea
    tfoot th thead time title tr track tt u ul use var video wbr
    """.split()  # noqa: SIM905  a line a word says no more
)
_ATTRIBUTES: Final = frozenset(
    """
    accesskey action alt autocomplete autoplay checked colspan content contenteditable controls dir disabled for
    headers hidden href hreflang http-equiv inert kind label lang loop method multiple muted name onclick
    onkeydown open placeholder poster readonly required role rowspan scope selected src srclang srcdoc summary
    tabindex target title type usemap value xlink:href xml:lang aria-activedescendant aria-atomic
    aria-autocomplete aria-braillelabel aria-busy aria-checked aria-colcount aria-colindex aria-colspan
    aria-controls aria-current aria-describedby aria-description aria-details aria-disabled aria-errormessage
    aria-expanded aria-flowto aria-haspopup aria-hidden aria-invalid aria-keyshortcuts aria-label
    aria-labelledby aria-level aria-live aria-modal aria-multiline aria-multiselectable aria-orientation
    aria-owns aria-placeholder aria-posinset aria-pressed aria-readonly aria-relevant aria-required
    aria-roledescription aria-rowcount aria-rowindex aria-rowspan aria-selected aria-setsize aria-sort
    aria-valuemax aria-valuemin aria-valuenow aria-valuetext
    """.split()  # noqa: SIM905  a line a word says no more
)
_WRITTEN: Final = frozenset(
    """
    alt aria-description aria-label aria-placeholder aria-roledescription aria-valuetext content href label name
    placeholder src summary title value
    """.split()  # noqa: SIM905  as above
)
"""Attributes whose values are an author's words, even if they are keywords elsewhere: ``value="0"``."""
_KEYWORDS: Final = frozenset(
    """
    true false mixed page polite assertive off on -1 0 _blank _self col row colgroup rowgroup ltr rtl auto post
    get refresh viewport description captions subtitles ascending descending horizontal vertical grammar
    spelling step alert alertdialog application article banner blockquote button caption cell checkbox code
    columnheader combobox complementary contentinfo definition deletion dialog directory document emphasis feed
    figure form generic grid gridcell group heading img image insertion link list listbox listitem log main
    marquee math menu menubar menuitem menuitemcheckbox menuitemradio meter navigation none note option
    paragraph presentation progressbar radio radiogroup region row rowgroup rowheader scrollbar search searchbox
    separator slider spinbutton status strong subscript superscript switch tab table tablist tabpanel term text
    textbox time timer toolbar tooltip tree treegrid treeitem hidden tel url email password date month week
    datetime-local number range color file submit image reset name given-name family-name username
    current-password new-password one-time-code street-address postal-code country bday sex
    """.split()  # noqa: SIM905  a line a word says no more
)


@dataclass(frozen=True, slots=True)
class Barrier:
    """One component barrier of a page.

    ``digest`` identifies the question: model, prompt, language, component, and ``shown``, the content for the model.
    ``about`` is the fingerprint of its finding, or for a finding's further barriers that of their first element.
    """

    digest: str
    about: str
    issue_id: str
    shown: JsonObject
    elements: int


def barriers_of(result: ScanResult, *, model: str) -> list[Barrier]:
    """Return the component barriers of ``result``: the most frequent of each finding, worst first, then the others.

    Barriers that look the same to a model are one.
    """
    by_finding = [_barriers(finding, model) for finding in sorted(result.findings, key=worst_first)]
    ranks = max(map(len, by_finding), default=0)
    return [barriers[rank] for rank in range(ranks) for barriers in by_finding if rank < len(barriers)]


def markup(snippet: str) -> str:
    """Return the tags of ``snippet`` as far as HTML and ARIA define them; the rest is elided, repeats are dropped."""
    reader = _Skeleton()
    # Raw text of a page such as <xmp><![x[ makes Python's parser (python/cpython issue 77057) assert.
    with contextlib.suppress(AssertionError):
        reader.feed(snippet[:MAX_SNIPPET])
    first, *inner = reader.tags or [""]
    return first + "".join(dict.fromkeys(inner)) + (ELIDED if reader.has_text else "")


def name_shown(name: str, rule: str) -> str:
    """Return a component's name reduced to known landmarks, nouns and template words."""
    parts = without_example(name.removesuffix(problem_of(rule))).split(" › ")
    known = (" ".join(word for word in part.split() if is_known(word.lower())) for part in parts)
    return clip(" › ".join(filter(None, known)), 80)


def is_known(word: str) -> bool:
    """Return whether ``word`` may be shown."""
    return word in _NAMES or is_of_templates(word)


def _barriers(finding: Finding, model: str) -> list[Barrier]:
    groups: dict[str, list[Node | None]] = {}
    shown: dict[str, JsonObject] = {}
    for node in finding.nodes or (None,):
        entry = _entry(finding, node)
        kind = node.issue_id.partition("-")[0] if node else ""
        digest = _digest(model, EXPLAIN_VERSION, LANGUAGE, kind, entry)
        shown[digest] = entry
        groups.setdefault(digest, []).append(node)
    found: list[Barrier] = []
    for digest, nodes in sorted(groups.items(), key=lambda item: -len(item[1])):
        first = nodes[0]
        about = first.fingerprint if found and first else finding.fingerprint
        found.append(Barrier(digest, about, first.issue_id if first else "", shown[digest], len(nodes)))
    return found


def _entry(finding: Finding, node: Node | None) -> JsonObject:
    entry: JsonObject = {
        "rule": finding.rule,
        "help": clip(finding.help),
        "criteria": list(finding.criteria),
        "areas": [tag.removeprefix("cat.") for tag in finding.tags if tag.startswith("cat.")],
    }
    if node is not None:
        entry |= {"component": name_shown(node.component, finding.rule), "markup": clip(markup(node.snippet))}
    return entry


def _digest(*parts: object) -> str:
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:40]


class _Skeleton(HTMLParser):
    """Rewrites the start tags of the first element and of the first few different elements inside."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.has_text = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        written = self._written(tag, attrs)
        if len(self.tags) <= MAX_INNER and written not in self.tags[1:]:
            self.tags.append(written)

    def handle_data(self, data: str) -> None:
        self.has_text |= bool(self.tags and data.strip())

    @staticmethod
    def _written(tag: str, attrs: list[tuple[str, str | None]]) -> str:
        name = tag if tag in _TAGS else "custom-element"
        kept = {key: _keyword(key, value or "") for key, value in reversed(attrs) if key in _ATTRIBUTES}
        return f"<{' '.join([name, *(f'{key}={kept[key]}' for key in sorted(kept))])}>"


def _keyword(name: str, value: str) -> str:
    plain = value.strip().lower()
    if plain and name in _WRITTEN:
        return f'"{ELIDED}"'
    return f'"{plain if not plain or plain in _KEYWORDS else ELIDED}"'
