"""The documentation's site has every page that its pages link to; ``make docs`` would fail."""

from __future__ import annotations

import re
from typing import Final

from ops.docs.build import pages, wrong_in_menu

PAGE: Final = re.compile(r"\]\((?!https?:)([^)#\s]+\.md)")


def test_the_site_has_every_page_that_one_of_its_pages_links_to() -> None:
    of_site = set(pages())

    linked = {(page.parent / name).resolve() for page in of_site for name in PAGE.findall(page.read_text("utf-8"))}

    assert len(linked) > 50
    assert linked - of_site == set()
    assert list(wrong_in_menu()) == []
