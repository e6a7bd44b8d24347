"""The part of pytest-mock that arq's tests need: its fixture's class, with ``patch``, ``patch.object`` and ``spy``."""

from __future__ import annotations

import inspect
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import pytest


class Patch:
    """Replaces an attribute until the test ends."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.object = monkeypatch.setattr
        self._set = monkeypatch.setattr

    def __call__(self, path: str, new: object) -> None:
        """Replace the attribute named by ``path``."""
        self._set(path, new)


class MockerFixture:
    """The fixture ``mocker``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.patch = Patch(monkeypatch)

    def spy(self, owner: Any, name: str) -> MagicMock:
        """Record the calls of a method without replacing it, and the last error in ``spy_exception``."""
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
