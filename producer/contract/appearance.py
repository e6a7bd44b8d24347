"""How a page is shown: device or window, colours, motion, zoom. Differences from the default form a state's name.

States: ``states.py``. Devices: ``devices.toml``. Browser settings: ``worker/scan/emulation.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from producer.contract.message import Message
from producer.contract.states import check_state, join_states

if TYPE_CHECKING:
    from producer.contract.devices import Device

_LEAST_PX: Final = 200
APPEARANCE: Final = ("device", "color_scheme", "forced_colors", "reduced_motion", "zoom", "text_size", "page_state")
"""The fields that belong to a scan's terms unless they have their default; ``viewport`` always does."""


class Viewport(BaseModel):
    """Size of the page's window in CSS pixels."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    width: Annotated[int, Field(ge=_LEAST_PX, le=4000)] = 1280
    height: Annotated[int, Field(ge=_LEAST_PX, le=4000)] = 800


class Appearance(Message):
    """How a page is shown.

    ``device`` names a phone or tablet (``devices.toml``): window, pixel ratio, touch, User-Agent; '' and ``desktop``
    mean none. ``viewport`` is the window of a desktop browser. ``zoom`` is the browser's zoom in percent: at 400, a
    window of 1280 is 320 CSS pixels wide, as in WCAG 1.4.10 (reflow). ``text_size`` is the browser's default font size
    in percent: text in relative units grows, everything else stays. Without ``reduced_motion``, the page shows its
    animations; it is audited at rest nevertheless. ``page_state`` names the state that a step leads to, such as
    ``dialog open``; '' is the page as it loads.

    A worker of a release before these fields ignores all but ``viewport``, and its result names no state.
    """

    viewport: Viewport = Viewport()
    device: Annotated[str, Field(max_length=100)] = ""
    color_scheme: Literal["light", "dark"] = "light"
    forced_colors: bool = False
    reduced_motion: bool = True
    zoom: Annotated[int, Field(ge=100, le=400)] = 100
    text_size: Annotated[int, Field(ge=100, le=300)] = 100
    page_state: str = ""

    @field_validator("device")
    @classmethod
    def _device_is_known(cls, name: str) -> str:
        from producer.contract.devices import DESKTOP  # noqa: PLC0415  lazy: most pages are shown on no device

        return "" if name.strip().casefold() in {"", DESKTOP} else _device(name).name

    @field_validator("page_state")
    @classmethod
    def _state_has_a_name(cls, state: str) -> str:
        return check_state(state)

    @model_validator(mode="after")
    def _window_is_one(self) -> Appearance:
        if self.device and self.viewport != Viewport():
            raise ValueError(f"device {self.device!r} already defines the window: expected no viewport")
        if self.device and self.zoom != 100:  # noqa: PLR2004  percent
            raise ValueError(f"only desktop windows have a zoom: expected none with the device {self.device!r}")
        width, height = _zoomed(self.viewport, self.zoom)
        if min(width, height) < _LEAST_PX:
            was = f"{self.viewport.width}x{self.viewport.height}"
            raise ValueError(
                f"zoom {self.zoom} leaves {width}x{height} CSS pixels of a window of {was}: "
                f"expected at least {_LEAST_PX}x{_LEAST_PX}"
            )
        return self

    @property
    def emulated(self) -> Device | None:
        """The device whose browser is emulated; None for a desktop browser."""
        return _device(self.device) if self.device else None

    @property
    def window(self) -> Viewport:
        """The window as the page sees it."""
        width, height = _device(self.device).window if self.device else _zoomed(self.viewport, self.zoom)
        return Viewport(width=width, height=height)

    @property
    def pixel_ratio(self) -> float:
        """Device pixels per CSS pixel."""
        return _device(self.device).pixel_ratio if self.device else self.zoom / 100

    @property
    def state(self) -> str:
        """The name of the state that the page is in: ``dialog open, 390 px, dark``; '' for the default one."""
        return join_states(
            self.page_state,
            self.device or _size_name(self.viewport),
            f"zoom {self.zoom} %" if self.zoom != 100 else "",  # noqa: PLR2004  percent
            f"text {self.text_size} %" if self.text_size != 100 else "",  # noqa: PLR2004
            "dark" if self.color_scheme == "dark" else "",
            "forced colours" if self.forced_colors else "",
            "" if self.reduced_motion else "full motion",
        )


def _device(name: str) -> Device:
    from producer.contract.devices import find_device  # noqa: PLC0415  as above

    return find_device(name)


def _zoomed(window: Viewport, zoom: int) -> tuple[int, int]:
    return round(window.width * 100 / zoom), round(window.height * 100 / zoom)


def _size_name(window: Viewport) -> str:
    """Return the width, and the height unless it is the default; '' for the default window."""
    usual = Viewport()
    if window == usual:
        return ""
    return f"{window.width} px" if window.height == usual.height else f"{window.width}x{window.height} px"
