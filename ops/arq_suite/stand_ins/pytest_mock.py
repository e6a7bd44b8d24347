"""What arq's tests need of pytest-mock: the class of its fixture, with ``patch``, ``patch.object`` and ``spy``."""

from __future__ import annotations

import inspect
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import pytest


class Patch:
    """Puts something in the place of an attribute, until the test has ended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.object = monkeypatch.setattr
        self._set = monkeypatch.setattr

    def __call__(self, path: str, new: object) -> None:
        """Do so for what ``path`` names."""
        self._set(path, new)


class MockerFixture:
    """The fixture ``mocker``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.patch = Patch(monkeypatch)

    def spy(self, owner: Any, name: str) -> MagicMock:
        """Record the calls of a method that goes on working, and in ``spy_exception`` what the last one raised."""
        method = getattr(owner, name)
        spy: Any = AsyncMock() if inspect.iscoroutinefunction(method) else MagicMock()
        spy.spy_exception = None

        def called(*args: Any, **options: Any) -> Any:
            spy.spy_exception = None
            try:
                return method(*args, **options)
            except BaseException as error:
                spy.spy_exception = error
                raise

        async def awaited(*args: Any, **options: Any) -> Any:
            spy.spy_exception = None
            try:
                return await method(*args, **options)
            except BaseException as error:
                spy.spy_exception = error
                raise

        spy.side_effect = awaited if isinstance(spy, AsyncMock) else called
        self.patch.object(owner, name, spy)
        return spy
