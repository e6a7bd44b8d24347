"""A site for each test, for HTTP downloads, and no deadline for generated examples."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from hypothesis import settings

from tests.support.small_site import SmallSite, small_site

# Usually 200 ms an example, or what the folder collected before has set: a busy machine takes longer now and then.
settings.register_profile("unit", settings.get_profile("default"), deadline=None)
settings.load_profile("unit")


@pytest.fixture
def site() -> Generator[SmallSite]:
    with small_site() as site:
        yield site
