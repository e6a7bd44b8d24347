"""Identifies the component of a barrier, so that one broken header on 150 pages is one problem to fix. Pure.

The identity (``ops/decisions/0024-component-barriers.md`` has the reasons and the measurements) depends on one page
only: the same component gets the same ``issue_id`` on every page, regardless of the scanner, without any look-up.

1. the rule;
2. the landmarks around the element, by tag, role or, if a template has neither, by a word in class or id;
3. the element: tag, role, type, and the class that describes it (``words.base_class``); a field's name and an id that
   is a word; the icon in a button or link without a class;
4. only without such a class: the nearest classed part around it, or the tags from the nearest repeated part (``li``,
   ``article``, ``tr`` …) down; and outside ``main`` and lists, the file of an image or the path of a link, which are
   the same on every page there.

Text, numbers, positions, further classes and the page's address are not part of it. ``issue_id`` is ``KIND-SITE``: the
same component of the same framework has the same kind on every site, and a separate id on each. A name shows what the
page says: where neither class nor field name tells an element from others, also the file or text of one of them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from producer.contract.addresses import site_name
from producer.contract.advice import problem_of
from producer.contract.component_name import MAX_EXAMPLE, example
from worker.scan.fingerprint import Ancestry, normal_address
from worker.scan.markup import first_elements
from worker.scan.words import GENERIC, base_class, sure_words_of, words_of

Step = Sequence[str]
"""Tag, role, classes and id of an ancestor, as written by ``js/place.js``."""

_KIND_DIGITS: Final = 16
_SITE_DIGITS: Final = 8
MAX_NAME: Final = 120
_SHORT_NAME: Final = 3
_ROLES: Final = {
    "banner": "header", "navigation": "nav", "main": "main", "complementary": "aside", "contentinfo": "footer",
    "search": "search", "form": "form", "dialog": "dialog", "alertdialog": "dialog", "article": "article",
}  # fmt: skip
_LANDMARK_TAGS: Final = frozenset({"header", "nav", "main", "aside", "footer", "search", "dialog"})
_HINTS: Final = {
    "header": "header", "masthead": "header", "banner": "header", "topbar": "header", "footer": "footer", "nav": "nav",
    "navigation": "nav", "navbar": "nav", "menu": "nav", "breadcrumb": "nav", "breadcrumbs": "nav", "sidebar": "aside",
    "aside": "aside", "search": "search", "searchform": "search", "searchbox": "search", "dialog": "dialog",
    "modal": "dialog", "main": "main",
}  # fmt: skip
_BESIDE_HINTS: Final = frozenset(
    {"site", "page", "global", "top", "app", "primary", "secondary", "wrapper", "container", "inner", "bar", "box"}
)
"""Words that keep a landmark hint valid: ``site-header`` is the site's, ``card-header`` is a card's."""
_SITEWIDE: Final = frozenset({"header", "nav", "aside", "footer", "search", "dialog"})
_SHOWN: Final = {
    "header": "Header", "nav": "Navigation", "main": "Main", "aside": "Sidebar", "footer": "Footer",
    "search": "Search", "dialog": "Dialog",
}  # fmt: skip
_REPEATED: Final = frozenset({"li", "article", "tr", "figure", "fieldset", "dl", "details", "section", "form"})
_FIELDS: Final = frozenset({"input", "select", "textarea", "button", "img", "iframe", "map", "area", "object"})
_PICTURES: Final = frozenset({"img", "area", "object", "iframe"})
_SHOWN_VALUES: Final = frozenset({"radio", "checkbox", "submit", "button", "reset"})
"""Types of fields whose value is the author's, not the user's; a text area's text is the user's, too."""
_WHOLE: Final = frozenset({"html", "head", "title", "meta", "body"})
_NOUNS: Final = {
    "a": "link", "button": "button", "img": "image", "svg": "image", "input": "field", "select": "selection",
    "textarea": "text field", "iframe": "frame", "frame": "frame", "ul": "list", "ol": "list", "dl": "list",
    "li": "list item", "td": "cell", "th": "header cell", "video": "video", "audio": "audio", "p": "text",
    "span": "text", "summary": "disclosure", "area": "map area", "object": "object", "dt": "term", "dd": "definition",
    "b": "text", "strong": "text", "em": "text", "font": "text", "small": "text", "div": "text", "i": "text",
    **{f"h{level}": "heading" for level in range(1, 7)},
}  # fmt: skip
_SAME: Final = GENERIC | {"select", "area"}
"""Class words omitted from a name because its noun already says the same."""
_TAGS: Final = _REPEATED | {"table", "label"}
_BUILD_HASH: Final = re.compile(
    r"(?<=\w)[-.](?=[\w-]{8}\.)(?=[\w-]*(?:\d|[a-z][A-Z]|[A-Z]{2}))[\w-]{8}(?=\.[a-z\d]+(?:\?|$))"
)
"""Letters that a build adds to a file's name, such as ``logo-B_kAbanX.svg``; the first condition bounds the second."""
_ICON: Final = re.compile(r"icon|glyph|(?:^|\s)(?:fa|bi|mdi)-", re.IGNORECASE)


class Component(NamedTuple):
    """The component barrier an element belongs to: its id, and a name people recognise.

    ``is_unnamed``: no class, name or address identifies it, so similar elements in the same place are one component.
    """

    issue_id: str
    name: str
    is_unnamed: bool = False


def component_of(rule: str, places: Sequence[Sequence[Step]], snippet: str, *, page: str = "") -> Component:
    """Return the component of an element; ``places`` are its ancestors, frame by frame, outermost first."""
    element = _Element(snippet, page)
    steps = [step for place in places for step in place]
    landmarks = _landmarks(steps)
    identity = _identity(element, steps, landmarks)
    parts = (rule, len(places) > 1 and "frame", *landmarks, *identity)
    kind = _digest(map(str, parts), _KIND_DIGITS)
    issue_id = f"{kind}-{_digest((site_name(page),), _SITE_DIGITS)}"
    is_unnamed = _is_unnamed(element, steps, icon=element.icon in identity, address=identity[-1])
    return Component(issue_id, _name(rule, element, steps, landmarks), is_unnamed)


def places_of(ancestry: Ancestry) -> list[list[Step]]:
    """Return the places known from axe-core's ancestry only: the tags around an element, frame by frame."""
    places: list[list[Step]] = []
    for frame in ancestry:
        path = frame if isinstance(frame, str) else " > ".join(frame)
        tags = [re.sub(r":nth-child\(\d+\)", "", step).strip().lower() for step in path.split(" > ")]
        places.append([(tag, "", "", "") for tag in tags[:-1] if tag not in {"html", "body", "div", "span"}])
    return places


class _Element:
    """The parts of an element's markup that identify its component."""

    def __init__(self, snippet: str, page: str) -> None:
        found, self.text = first_elements(snippet)
        self.tag, attributes = found[0] if found else ("", {})
        self.attributes = attributes
        self.role = attributes.get("role", "").split(" ")[0].lower()
        self.type = attributes.get("type", "").lower() if self.tag in {"input", "button"} else ""
        self.base = base_class(attributes.get("class", ""))
        self.id = " ".join(sure_words_of(attributes.get("id", "")))
        self.field = _field_name(attributes.get("name", "")) if self.tag in _FIELDS else ""
        self.icon = _icon(found[1:])
        address = attributes.get("src") or attributes.get("href") or ""
        is_file = bool(address) and not address.startswith("data:")
        self.address = normal_address(_BUILD_HASH.sub("", address), page=page) if is_file else ""
        self.file = _file_of(address) if is_file else ""

    @property
    def is_named(self) -> bool:
        """Whether its classes or names distinguish it from others of its tag."""
        return bool(set(self.base.split()) - GENERIC or self.id or self.field)

    @property
    def example(self) -> str:
        """The page's own words for this one element: its file, its text or its value."""
        own = self.attributes
        value = own.get("value", "") if self.type in _SHOWN_VALUES else ""
        text = "" if self.tag == "textarea" else self.text
        written = [own.get("aria-label"), own.get("alt"), text, value]
        written += [own.get(name) for name in ("placeholder", "title", "name")]
        said = next((text for text in written if text and text.strip()), "")
        return (self.file or said) if self.tag in _PICTURES else (said or self.file)


def _file_of(address: str) -> str:
    """Return the last part of an address as the page has it, without a build's letters; '' if it has none."""
    path = _BUILD_HASH.sub("", address.strip()).partition("#")[0].partition("?")[0].rstrip("/")
    name = path.rpartition("/")[2]
    return "" if name in {".", ".."} or path.lower().startswith("javascript:") else name


def _field_name(name: str) -> str:
    """Return the words of a field's name; short ones such as ``q`` are never generated by a build."""
    return name.lower() if name.isalpha() and len(name) <= _SHORT_NAME else " ".join(words_of(name))


def _icon(inside: Sequence[tuple[str, dict[str, str]]]) -> str:
    for tag, attributes in inside[:6]:
        classes = attributes.get("class", "")
        reference = attributes.get("href") or attributes.get("xlink:href") or ""
        if tag == "use" and reference:
            return " ".join(words_of(reference.rpartition("#")[2]))
        if tag in {"i", "svg", "span"} and _ICON.search(classes):
            return " ".join(sorted({word for name in classes.split() for word in words_of(name)}))
        if tag == "img":
            return " ".join(words_of(attributes.get("src", "").rpartition("/")[2].partition(".")[0]))
    return ""


def _landmark(step: Step) -> str:
    tag, role, classes, name = step
    if (first := role.split(" ")[0].lower()) in _ROLES:
        return _ROLES[first]
    if tag in _LANDMARK_TAGS:
        return tag
    if role or tag in {"a", "button", "li", "tr", "label", "h1", "h2", "h3", "article", "section", "figure"}:
        return ""
    for text in (name, *classes.split()[:3]):
        words = words_of("" if "__" in text else text)
        hits = [_HINTS[word] for word in words if word in _HINTS]
        if hits and all(word in _HINTS or word in _BESIDE_HINTS for word in words):
            return hits[-1]
    return ""


def _landmarks(steps: Sequence[Step]) -> tuple[str, ...]:
    """Return the outermost landmark and the innermost within it; landmarks inside an article belong to the article."""
    found: list[str] = []
    for step in steps:
        mark = _landmark(step)
        if mark == "article" or (step[0] in {"section", "li"} and found and found[0] == "main"):
            break
        if mark in {"header", "footer"} and "main" in found:
            continue  # it belongs to part of the content, not to the site
        if mark and mark != "form" and (not found or found[-1] != mark):
            found.append(mark)
    outer = [mark for mark in found if mark != "main"] or found
    return tuple(dict.fromkeys((outer[0], outer[-1]))) if outer else ()


def _identity(element: _Element, steps: Sequence[Step], landmarks: Sequence[str]) -> list[str]:
    if element.tag in _WHOLE:
        name = element.attributes.get("name", "") or element.attributes.get("http-equiv", "")
        return ["page", element.tag, name.lower()]
    parts = [element.tag, element.role, element.type, element.base, element.field]
    if element.is_named:
        # An id counts only without a class: several elements of one class have different ids.
        return parts if element.base else [*parts, element.id]
    if element.tag in {"a", "button", "svg", "i"}:
        parts.append(element.icon)
    around, is_repeated, _ = _around(steps, has_landmarks=bool(landmarks))
    parts += around
    return [*parts, _sitewide_address(element, landmarks, is_repeated=is_repeated)]


def _is_unnamed(element: _Element, steps: Sequence[Step], *, icon: bool, address: str) -> bool:
    if element.tag in _WHOLE or element.is_named:
        return False
    has_sign = (icon and bool(element.icon)) or bool(element.address and address == element.address)
    return not has_sign and not _around(steps, has_landmarks=True).is_named


class _Around(NamedTuple):
    """The surroundings of an element: the nearest part with a class, or tags; whether it repeats and has a class."""

    parts: list[str]
    is_repeated: bool
    is_named: bool


def _sitewide_address(element: _Element, landmarks: Sequence[str], *, is_repeated: bool) -> str:
    """Return the element's image or link target, if that is the same on every page."""
    is_sitewide = not landmarks or landmarks[0] in _SITEWIDE
    has_address = element.tag in {"a", "img", "input", "area", "iframe"}
    return element.address if is_sitewide and has_address and not is_repeated else ""


def _around(steps: Sequence[Step], *, has_landmarks: bool) -> _Around:
    """Return the nearest classed part around, or the tags from the nearest repeated part down, and whether it repeats.

    Pages without landmarks are laid out with tables, whose rows are not repeated parts.
    """
    tags: list[str] = []
    is_repeated = False
    for tag, role, classes, name in reversed(steps):
        if tag in {"main", "body"} or _ROLES.get(role) in {"main", "header", "footer"} or tag in {"header", "footer"}:
            break
        named = base_class(classes, is_container=True) or (
            "" if tag in _REPEATED else base_class(name, is_container=True)
        )
        if base := named or (tag if "-" in tag else ""):
            repeats = is_repeated or tag in {"li", "article", "figure"} or (tag == "tr" and has_landmarks)
            return _Around([base], repeats, is_named=True)
        if not is_repeated and tag not in {"div", "span"}:
            tags.append(tag)
        is_repeated |= tag in _REPEATED - {"section", "form"} and (tag != "tr" or has_landmarks)
    return _Around(tags[::-1], is_repeated, is_named=False)


def _name(rule: str, element: _Element, steps: Sequence[Step], landmarks: Sequence[str]) -> str:
    if element.tag in _WHOLE:
        return f"Page {problem_of(rule)}"[:MAX_NAME]
    what = _what(element, steps, landmarks)
    said = [mark for mark in landmarks if mark != "search" or not what.endswith("search field")]
    where = [_SHOWN[mark] for mark in said if mark in _SHOWN] or ["Page"]
    return f"{' › '.join([*where, what])} {problem_of(rule)}"[:MAX_NAME]


def _what(element: _Element, steps: Sequence[Step], landmarks: Sequence[str]) -> str:
    noun = _NOUNS.get(element.tag, element.role or element.tag or "element")
    if element.tag == "input":
        kind = element.type or "text"
        noun = {"submit": "button", "button": "button", "image": "image button", "checkbox": "checkbox"}.get(kind, noun)
        noun = {"radio": "radio button", "text": "text field"}.get(kind, f"{kind} field" if noun == "field" else noun)
    if element.role in {"button", "link", "img", "checkbox", "tab", "menuitem", "textbox"}:
        noun = {"img": "image", "textbox": "text field"}.get(element.role, element.role)
    if "search" in landmarks and noun == "text field":
        noun = "search field"
    own = element.base if element.is_named and element.base else element.field or element.id or element.icon
    around = _Around([], is_repeated=True, is_named=True)
    tags, is_repeated, _ = around if element.is_named else _around(steps, has_landmarks=bool(landmarks))
    label = own or next((part for part in tags if part not in _NOUNS and part not in _TAGS), "")
    if not label and (address := _sitewide_address(element, landmarks, is_repeated=is_repeated)):
        return f"{(element.file or address.rstrip('/').rpartition('/')[2])[:MAX_EXAMPLE] or 'home'} {noun}"
    kept = [word for word in label.split() if word not in noun.split() and word not in _SAME and len(word) > 1]
    what = " ".join([*kept, noun])
    return what if (own and kept) or noun == "search field" else what + example(element.example)


def _digest(parts: Sequence[str] | map[str], digits: int) -> str:
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:digits]
