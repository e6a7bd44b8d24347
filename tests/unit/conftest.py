"""A site for each test, for HTTP downloads."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.support.small_site import SmallSite, small_site


@pytest.fixture
def site() -> Generator[SmallSite]:
    with small_site() as site:
        yield site
