"""Facts about an element to be changed, read by ``js/fixes.js``."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class Icon(TypedDict):
    """An image, or part of one, inside a button or link."""

    tag: str
    text: str
    classes: str
    title: str
    reference: str


class Facts(TypedDict):
    """``markup`` is the element's, or its opening tag if it is long; ``near`` the words right beside a field.

    ``in_named``: an image in a link or button that has text; ``in_hidden``: under aria-hidden; ``is_spacer``: at most
    two pixels. ``frame_title`` is the title of the page in a frame of the same site, ``heading`` the page's first,
    ``language`` the root's, ``text`` a sample of the element's text (for the root: the page's), ``same_ids`` the number
    of elements with its id.
    """

    markup: str
    opening: str
    near: str
    icons: list[Icon]
    in_named: bool
    in_hidden: bool
    is_spacer: bool
    frame_title: str
    heading: str
    language: str
    text: str
    same_ids: NotRequired[int]
