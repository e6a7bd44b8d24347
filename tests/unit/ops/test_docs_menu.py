"""The documentation's site has every page that its pages link to; ``make docs`` would fail."""

from __future__ import annotations

import importlib.util
import re
from types import ModuleType
from typing import Final

from tests.support.scan_worker import ROOT

PAGE: Final = re.compile(r"\]\((?!https?:)([^)#\s]+\.md)")


def load_build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_docs", ROOT / "ops/docs/build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_site_has_every_page_that_one_of_its_pages_links_to() -> None:
    build = load_build()
    pages = set(build.pages())

    linked = {(page.parent / name).resolve() for page in pages for name in PAGE.findall(page.read_text())}

    assert len(linked) > 50
    assert linked - pages == set()
    assert list(build.wrong_in_menu()) == []
