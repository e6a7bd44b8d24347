"""Ten kinds of pages that differ in dark mode, forced colours or at 390 px, with their failures by state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

DEFAULT: Final = ""
DARK: Final = "dark"
FORCED: Final = "forced colours"
NARROW: Final = "390x844 px"
EVERYWHERE: Final = frozenset({DEFAULT, DARK, FORCED, NARROW})
REQUESTS: Final[dict[str, dict[str, Any]]] = {
    DEFAULT: {},
    DARK: {"color_scheme": "dark"},
    FORCED: {"forced_colors": True},
    NARROW: {"viewport": {"width": 390, "height": 844}},
}
_IMAGE: Final = "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' width='40' height='40'/>"


@dataclass(frozen=True)
class Kind:
    """A part of a page with one barrier, only in ``states``."""

    name: str
    rule: str
    states: frozenset[str]
    html: str


KINDS: Final = (
    Kind(
        "dark-promo",
        "color-contrast",
        frozenset({DARK}),
        "<style>.dark-promo{color:#111;background:#fff}"
        "@media (prefers-color-scheme:dark){.dark-promo{color:#555;background:#222}}</style>"
        "<p class='dark-promo'>Grey on black in the dark</p>",
    ),
    Kind(
        "light-hint",
        "color-contrast",
        frozenset({DEFAULT, NARROW}),
        "<style>.light-hint{color:#bbb;background:#fff}"
        "@media (prefers-color-scheme:dark){.light-hint{color:#fff;background:#000}}</style>"
        "<p class='light-hint'>Grey on white in the light</p>",
    ),
    Kind(
        "burger",
        "button-name",
        frozenset({NARROW}),
        "<style>.burger{display:none;width:48px;height:48px}@media (max-width:600px){.burger{display:block}}</style>"
        "<button class='burger'></button>",
    ),
    Kind(
        "wide-banner",
        "image-alt",
        EVERYWHERE - {NARROW},
        "<style>@media (max-width:600px){.wide-banner{display:none}}</style>"
        f'<img class="wide-banner" src="{_IMAGE}">',
    ),
    Kind(
        "kept-colours",
        "color-contrast",
        frozenset({FORCED}),
        "<style>.kept-colours{color:#000;background:#fff}"
        "@media (forced-colors:active){.kept-colours{forced-color-adjust:none;color:#777;background:#888}}</style>"
        "<p class='kept-colours'>Keeps its own colours</p>",
    ),
    Kind(
        "pale-note",
        "color-contrast",
        EVERYWHERE - {FORCED},
        "<style>.pale-note{color:#aaa;background:#fff}</style>"
        "<p class='pale-note'>Pale wherever colours are the page's</p>",
    ),
    Kind(
        "theme-icon",
        "image-alt",
        frozenset({DARK}),
        "<div class='theme-icon'></div><script>if (matchMedia('(prefers-color-scheme: dark)').matches)"
        f'document.querySelector(".theme-icon").innerHTML = `<img class="theme-moon" src="{_IMAGE}">`;</script>',
    ),
    Kind(
        "narrow-link",
        "link-name",
        frozenset({NARROW}),
        "<style>.narrow-link{display:none;width:48px;height:48px}@media (max-width:600px){.narrow-link{display:block}}"
        "</style><a class='narrow-link' href='#top'></a>",
    ),
    Kind(
        "search-field",
        "label",
        EVERYWHERE,
        "<input class='search-field' name='q'>",
    ),
    Kind(
        "short-menu",
        "select-name",
        frozenset({NARROW}),
        "<div class='short-menu'></div><script>if (innerWidth < 600)"
        'document.querySelector(".short-menu").innerHTML = '
        "\"<select class='menu-choice' style='height:48px'><option>Home</select>\";</script>",
    ),
)


def page_of(*kinds: Kind) -> str:
    """Return a page of these parts, with no other barriers."""
    parts = "".join(f"<section>{kind.html}</section>" for kind in kinds)
    head = (
        "<meta charset='utf-8'><meta name='viewport' content='width=device-width'><meta name='color-scheme' "
        "content='light dark'><title>States</title>"
    )
    return f"<!doctype html><html lang='en'><head>{head}</head><body><main><h1>States</h1>{parts}</main></body></html>"
