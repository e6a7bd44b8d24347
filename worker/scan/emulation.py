"""Shows a page as requested: on a device, in a zoomed window, with dark or forced colours, larger text, motion.

Called on the blank page, before its first navigation. A page in the default state needs no call: ``page.py`` sets that.
The browser stays Chromium: a device has its window, touch, pixel ratio and User-Agent, not another engine.
"""

from __future__ import annotations

from typing import Final

from producer.contract.appearance import Appearance
from producer.contract.devices import Device
from producer.contract.distribution import VERSION
from worker.scan.cdp import JsonObject
from worker.scan.page import Page

_OUR_NAME: Final = f"Sightline/{VERSION} (accessibility scan)"
_TOUCH_POINTS: Final = 5
_FONT_PX: Final = {"standard": 16, "fixed": 13}
"""Chromium's default text sizes; ``text_size`` is a percentage of them."""


def user_agent(browsers: str, device: Device | None = None) -> str:
    """Return the browser's or the device's User-Agent with Sightline's name appended, for the site's owner."""
    shown = browsers.replace("HeadlessChrome", "Chrome")
    if device is not None:
        shown = device.user_agent.replace("{chrome}", _major(browsers))
    return f"{shown} {_OUR_NAME}"


async def emulate(page: Page, wanted: Appearance, *, browsers_agent: str) -> None:
    """Apply ``wanted`` to the blank page and to its frames in separate processes."""
    if not wanted.state:
        return
    device = wanted.emulated
    features = {
        "prefers-reduced-motion": "reduce" if wanted.reduced_motion else "no-preference",
        "prefers-color-scheme": wanted.color_scheme,
        **({"forced-colors": "active"} if wanted.forced_colors else {}),
    }
    media = {"features": [{"name": name, "value": value} for name, value in features.items()]}
    await page.prepare_all("Emulation.setEmulatedMedia", media)
    if device is not None:
        await page.prepare_all("Emulation.setUserAgentOverride", _agent(browsers_agent, device))
        await page.prepare_all("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": _TOUCH_POINTS})
    if device is not None or wanted.zoom != 100:  # noqa: PLR2004  percent
        await page.session.call("Emulation.setDeviceMetricsOverride", window_metrics(wanted))
    if wanted.text_size != 100:  # noqa: PLR2004  percent
        sizes = {name: round(px * wanted.text_size / 100) for name, px in _FONT_PX.items()}
        await page.prepare_all("Page.setFontSizes", {"fontSizes": sizes})


def window_metrics(wanted: Appearance) -> JsonObject:
    """Return the browser's parameters for the window of ``wanted``."""
    window, device = wanted.window, wanted.emulated
    metrics: JsonObject = {
        "width": window.width,
        "height": window.height,
        "deviceScaleFactor": wanted.pixel_ratio,
        "mobile": device is not None,
    }
    if device is None:
        return metrics
    turn = {"type": "landscapePrimary", "angle": 90} if device.is_landscape else {"type": "portraitPrimary", "angle": 0}
    width, height = device.screen
    return metrics | {"screenWidth": width, "screenHeight": height, "screenOrientation": turn}


def _agent(browsers: str, device: Device) -> JsonObject:
    """Return the replacement for the browser's User-Agent; without client hints if the device's browser has none."""
    override: JsonObject = {"userAgent": user_agent(browsers, device), "platform": device.platform}
    if not device.android:
        return override
    major = _major(browsers)
    brands = [{"brand": name, "version": major} for name in ("Chromium", "Google Chrome")]
    return override | {
        "userAgentMetadata": {
            "brands": [*brands, {"brand": "Not_A Brand", "version": "24"}],
            "fullVersion": f"{major}.0.0.0",
            "platform": "Android",
            "platformVersion": device.android,
            "architecture": "",
            "model": device.model,
            "mobile": "Mobile" in device.user_agent,
        }
    }


def _major(browsers: str) -> str:
    """Return the major version in a Chromium's User-Agent."""
    return browsers.partition("Chrome/")[2].partition(".")[0]
