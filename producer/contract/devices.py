"""Phones and tablets by name, with the properties that pages can see; read from devices.toml on first use."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Final

DESKTOP: Final = "desktop"
"""The name for no device: the default window, without touch."""
LANDSCAPE: Final = " landscape"


@dataclass(frozen=True, slots=True)
class Device:
    """``window`` and ``screen`` are width and height in CSS pixels; ``model`` and ``android`` are '' for Apple's."""

    name: str
    window: tuple[int, int]
    screen: tuple[int, int]
    pixel_ratio: float
    platform: str
    user_agent: str
    model: str = ""
    android: str = ""
    is_landscape: bool = False

    def turned(self) -> Device:
        """Return the device in landscape; its browser's bars keep their height."""
        width, height = self.screen
        taken = height - self.window[1]
        screen, window = (height, width), (height, max(200, width - taken))
        return replace(self, name=self.name + LANDSCAPE, screen=screen, window=window, is_landscape=True)


@cache
def all_devices() -> dict[str, Device]:
    """Return the devices by name, upright."""
    import tomllib  # noqa: PLC0415  needed only for named devices

    read = tomllib.loads((files(__package__ or "") / "devices.toml").read_text("utf-8"))
    return {
        name: Device(name, tuple(fields.pop("window")), tuple(fields.pop("screen")), **fields)
        for name, fields in read.items()
    }


def find_device(name: str) -> Device:
    """Return the device called ``name``, case-insensitively; ``… landscape`` turns it. Raises ``ValueError``."""
    text = " ".join(name.split())
    upright = text[: -len(LANDSCAPE)] if text.casefold().endswith(LANDSCAPE) else text
    found = {known.casefold(): device for known, device in all_devices().items()}.get(upright.casefold())
    if found is None:
        known = {one.casefold(): one for one in all_devices()}
        near = [known[one] for one in difflib.get_close_matches(upright.casefold()[:100], known, n=1)]
        hint = f"did you mean {near[0]!r}?" if near else f"expected {DESKTOP} or one of {', '.join(known.values())}"
        msg = f"no device is called {name[:100]!r}: {hint}"
        raise ValueError(msg)
    return found.turned() if upright != text else found
