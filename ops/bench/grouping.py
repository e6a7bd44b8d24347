"""Measures the grouping of barriers by component: precision and recall over generated sites with planted components.

Run it: ``.venv/bin/python -m ops.bench.grouping``. A site has four templates and one style of generated class names;
each element names its true component in ``data-planted``, which the grouping ignores. A pair of elements of one rule is
grouped correctly if their ``issue_id`` are equal exactly when their ``data-planted`` are. Precision is the share of
grouped pairs that belong together, recall the share of pairs that belong together and are grouped. No browser:
``place_of`` reimplements ``worker/scan/js/place.js``, and a test compares the two.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final

from worker.scan.component import Step, component_of

STYLES: Final = (
    "semantic", "bem", "modules", "next", "vite", "styled", "emotion", "svelte", "utility", "tailwind", "random",
    "bare", "div",
)  # fmt: skip
TEMPLATES: Final = ("home", "category", "product", "article")
_WORDS: Final = ("green", "black", "white", "kettle", "spring", "summer", "farm", "river", "leaf", "mountain", "blend")
_LANDMARKS: Final = frozenset(
    {"header", "nav", "main", "aside", "footer", "search", "form", "dialog", "article", "section"}
)
_PARTS: Final = frozenset(
    {
        "li", "tr", "th", "td", "dt", "dd", "table", "ul", "ol", "dl", "fieldset", "figure", "label", "a", "button",
        "summary", "details", "h1", "h2", "h3", "h4", "h5", "h6",
    }
)  # fmt: skip
_UTILITIES: Final = (
    "translate-x-1", "select-none", "animate-pulse", "place-items-center", "line-clamp-2", "hover:underline", "size-4",
    "from-blue-500", "backdrop-blur", "outline-none", "pointer-events-none", "[&>svg]:size-3", "basis-1/2", "px-4",
)  # fmt: skip
_VOID: Final = frozenset({"img", "input", "br", "hr", "meta", "link"})


@dataclass(frozen=True, slots=True)
class Planted:
    """An element that fails ``rule``: its true component, its surroundings, its markup."""

    rule: str
    component: str
    place: list[Step]
    snippet: str
    page: str


class Renderer:
    """Writes the pages of one site, each as its template and build would."""

    def __init__(self, style: str, *, seed: int, site: str) -> None:
        self.style = style
        self.site = site
        self.random = random.Random(f"{style} {seed}")  # noqa: S311  a corpus, no secret

    def classes(self, name: str, *, further: bool = True) -> str:
        """Return the class attribute of a component called ``name``, as the site's build writes it on this page."""
        made, letters = self.made(), self.letters()
        block, _, part = name.replace("-", "_").partition("__")
        some = " ".join(self.random.sample(_UTILITIES, 3))
        names = {
            "semantic": name.replace("__", "-"), "div": name.replace("__", "-"), "bem": name,
            "modules": f"{block}_{part or 'root'}__{made}", "random": made, "bare": "",
            "next": f"{block.title()}_{part or 'root'}__{letters[:5]}",
            "vite": f"_{part or block}_{made[:5]}_{self.random.randrange(90)}",
            "styled": f"sc-{letters} {self.letters()}", "emotion": f"css-{letters.lower()}",
            "svelte": f"{name} svelte-{letters.lower()}",
            "utility": "mt-4 flex text-sm md:grid", "tailwind": f"mt-4 {some}",
        }[self.style]  # fmt: skip
        variants = {
            "bem": f"{name}--{self.word()}", "utility": "px-2", "tailwind": "italic", "random": self.made(), "bare": "",
            "emotion": "is-active", "styled": self.letters(),
        }  # fmt: skip
        if further and self.random.random() < 0.4:  # noqa: PLR2004
            extra = variants.get(self.style, self.random.choice(["is-active", self.word(), "wide"]))
            names = f"{names} {extra}"
        return f' class="{names}"' if names else ""

    def made(self) -> str:
        """Return a hash-like string, as builds put into class names."""
        return "".join(self.random.choices("bcdfghjkmnpqrstvwxzaeiou0123456789", k=6))

    def letters(self) -> str:
        """Return letters only, as some build tools do; they occasionally form a word."""
        return "".join(self.random.choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", k=6))

    def word(self) -> str:
        """Return a word for running text."""
        return self.random.choice(_WORDS)

    def tag(self, name: str, inside: str, *, role: str = "", of: str = "", planted: str = "", more: str = "") -> str:
        """Return an element; ``of`` is its component's name in classes, ``planted`` its rule and component."""
        if self.style == "div" and name in {"header", "footer", "nav", "main", "aside"}:
            kind = {"nav": "main-nav", "aside": "sidebar", "main": "main"}.get(name, f"site-{name}")
            name, more = "div", f'{more} id="{kind}"'
        mark = f' data-planted="{planted}"' if planted else ""
        start = f"<{name}{f' role={role}' if role else ''}{self.classes(of) if of else ''}{more}{mark}>"
        return start if name in _VOID else f"{start}{inside}</{name}>"

    def page(self, template: str, number: int) -> str:
        """Return a page of the template."""
        return f"<body>{self.header(number)}{self.body(template, number)}{self.footer()}{self.banner(number)}</body>"

    def banner(self, number: int) -> str:
        """Return a cookie banner, at the end of most pages."""
        close = self.tag("button", "<svg></svg>", of="consent__close", planted="button-name|consent-close",
                         more=f' id="b-{self.made()}"')  # fmt: skip
        note = self.tag("p", self.word(), of="consent__note", planted="color-contrast|consent-note")
        return self.tag("div", note + close, role="dialog", of="consent") if number % 3 else ""

    def header(self, number: int) -> str:
        """Return the header, the same on every page except for its variable parts."""
        field_ = self.tag("input", "", of="search__input", planted="label|header-search",
                          more=f' type=search name=q id="f{self.made()}"')  # fmt: skip
        search = self.tag("form", field_, role="search", more=" action=/find")
        logo = self.tag("a", self.tag("img", "", of="logo__image", planted="image-alt|logo",
                                      more=' src="/img/logo.png"'), more=" href=/")  # fmt: skip
        cart = self.tag("a", "<svg></svg>", of="cart-link", planted="link-name|cart", more=' href="/cart"')
        account = self.tag("a", "<svg></svg>", of="account-link", planted="link-name|account", more=' href="/account"')
        entries = [
            f"<li>{self.tag('a', self.word(), of='menu__link', planted='color-contrast|menu-link', more=f' href=/{w}')}</li>"  # noqa: E501
            for w in self.random.sample(_WORDS, 4)
        ]
        menu = self.tag("nav", f"<ul>{''.join(entries)}</ul>", of="menu")
        promo = f"<p>{self.word()}</p>" if number % 3 == 0 else ""
        return self.tag("header", promo + logo + search + menu + cart + account, of="site-header")

    def cards(self, count: int) -> str:
        """Return cards of a list; templates share them."""
        shown: list[str] = []
        for _ in range(count):
            address = f"/img/{self.word()}-{self.random.randrange(900)}.jpg"
            image = self.tag("img", "", of="card__image", planted="image-alt|card-image", more=f' src="{address}"')
            price = self.tag(
                "span", str(self.random.randrange(99)), of="card__price", planted="color-contrast|card-price"
            )
            like = self.tag("button", "<i class=icon-heart></i>", of="card__like", planted="button-name|card-like")
            shown.append(self.tag("article", f"{image}{price}{like}", of="card"))
        return f"<div>{''.join(shown)}</div>"

    def body(self, template: str, number: int) -> str:
        """Return the main part of a template."""
        title = f"<h1>{self.word()} {number}</h1>"
        parts = {
            "home": lambda: self.cards(2) + self.newsletter(),
            "category": lambda: self.tag("form", self.tag("select", "", of="sort__select", planted="select-name|sort",
                                                          more=" name=sort")) + self.cards(4),
            "product": lambda: self.tag("form", self.tag("input", "", of="amount__input", planted="label|amount",
                                        more=" type=number name=amount")) + f"<section>{self.cards(2)}</section>",
            "article": lambda: self.tag("figure", self.tag("img", "", of="story__image", planted="image-alt|story",
                                        more=f' src="/img/{self.word()}.jpg"')) + self.newsletter(),
        }  # fmt: skip
        blocks = [title, parts[template]()]
        if number % 2:
            blocks.insert(0, f"<div><p>{self.word()}</p></div>")
        return self.tag("main", "".join(blocks), more=f' class="page-{template}"')

    def newsletter(self) -> str:
        """Return a form shared by two templates."""
        entry = self.tag("input", "", of="newsletter__input", planted="label|newsletter", more=" type=email name=email")
        return self.tag("form", entry, of="newsletter")

    def footer(self) -> str:
        """Return the footer."""
        note = self.tag("p", f"2026 {self.word()}", of="legal", planted="color-contrast|legal")
        seal = self.tag("img", "", of="seal", planted="image-alt|seal", more=' src="/img/seal.png"')
        links = [
            f"<li>{self.tag('a', '<svg></svg>', of='social__link', planted='link-name|social', more=f' href={w}')}</li>"
            for w in self.random.sample(_WORDS, 3)
        ]
        return self.tag("footer", f"<ul>{''.join(links)}</ul>{note}{seal}", of="site-footer")


@dataclass(slots=True)
class _Reader(HTMLParser):
    """Finds the planted elements of a page, with their surroundings as ``place.js`` would report them."""

    page: str
    found: list[Planted] = field(default_factory=list[Planted])
    around: list[Step] = field(default_factory=list[Step])

    def __post_init__(self) -> None:
        HTMLParser.__init__(self)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect a planted element, and track the ancestors of the next ones."""
        values = {name: value or "" for name, value in attrs}
        if planted := values.get("data-planted"):
            rule, component = planted.split("|")
            start = (self.get_starttag_text() or "").replace(f' data-planted="{planted}"', "")
            inside = self.rawdata[self.rawdata.find(start[-1], self._at()) + 1 :][:60] if tag not in _VOID else ""
            self.found.append(Planted(rule, component, place_of(self.around), start + inside, self.page))
        if tag not in _VOID:
            self.around.append((tag, values.get("role", ""), values.get("class", ""), values.get("id", "")))

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002  our own pages are well formed
        """Leave an element."""
        self.around.pop()

    def _at(self) -> int:
        _, column = self.getpos()
        return column + len(self.get_starttag_text() or "") - 1


def place_of(around: Sequence[Step]) -> list[Step]:
    """Return the ancestors that ``place.js`` would report."""
    kept: list[Step] = []
    others = 0
    for step in reversed(around):
        tag, role, classes, name = step
        if tag in {"html", "body"}:
            continue
        if tag in _LANDMARKS or role:
            kept.append(step)
        elif tag in _PARTS or "-" in tag or classes or name:
            others += 1
            if others <= 6:  # noqa: PLR2004  MAX_OTHERS
                kept.append(step)
    return kept[::-1]


def planted_site(style: str, *, pages: int, seed: int = 1) -> Iterator[Planted]:
    """Yield the planted elements of a site's pages."""
    renderer = Renderer(style, seed=seed, site=f"https://{style}.example")
    for number in range(pages):
        address = f"{renderer.site}/{TEMPLATES[number % 4]}/{number}"
        reader = _Reader(address)
        reader.feed(renderer.page(TEMPLATES[number % 4], number))
        yield from reader.found


def measure(planted: Sequence[Planted]) -> tuple[float, float, Counter[tuple[str, str]]]:
    """Return precision and recall over pairs, and how many elements each (name, component) has."""
    together: Counter[tuple[str, str]] = Counter()
    names: Counter[tuple[str, str]] = Counter()
    for one in planted:
        found = component_of(one.rule, [one.place], one.snippet, page=one.page)
        together[found.issue_id, f"{one.rule} {one.component}"] += 1
        names[found.name, one.component] += 1
    groups: Counter[str] = Counter()
    components: Counter[str] = Counter()
    for (issue, component), number in together.items():
        groups[issue] += number
        components[component] += number
    right = sum(_pairs(number) for number in together.values())
    return right / sum(map(_pairs, groups.values())), right / sum(map(_pairs, components.values())), names


def _pairs(number: int) -> int:
    return number * (number - 1) // 2


def main() -> None:
    """Print the figures of each kind of site."""
    for style in STYLES:
        precision, recall, names = measure(list(planted_site(style, pages=48)))
        print(f"{style:9} precision {precision:.3f}  recall {recall:.3f}")
        for (name, component), number in names.most_common(16):
            print(f"    {component:14} {number:4}  {name}")


if __name__ == "__main__":
    main()
