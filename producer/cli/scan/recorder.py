"""Reads a recording that Chrome DevTools' Recorder exports as JSON into steps. Pure.

Each step is converted, left out if it has no effect here (the window's size, keys going up), or named in an error.
Format: https://github.com/puppeteer/replay/blob/main/docs/api/modules/Schema.md
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from producer.contract.step_selectors import read_step_selector
from producer.errors import InputError

_LEFT_OUT: Final = frozenset({"setViewport", "keyUp", "close", "emulateNetworkConditions"})
_MODIFIERS: Final = frozenset({"Control", "Shift", "Alt", "Meta"})
"""Keys that have no effect by themselves."""
_PREFIXES: Final = ("css/", "pierce/")


def is_recording(fields: Mapping[str, Any]) -> bool:
    """Return whether a JSON object is a recording: its steps have a type."""
    steps = fields.get("steps")
    return isinstance(steps, list) and bool(steps) and all(isinstance(one, dict) and "type" in one for one in steps)


def steps_of_recording(fields: Mapping[str, Any], *, where: str) -> list[dict[str, Any]]:
    """Return the steps in Sightline's form; raises ``InputError`` naming one that cannot be converted."""
    steps: list[dict[str, Any]] = []
    for number, given in enumerate(cast("list[dict[str, Any]]", fields["steps"]), 1):
        kind = str(given["type"])
        if kind in _LEFT_OUT or given.get("key") in _MODIFIERS:
            continue
        try:
            step = _step(kind, given)
        except ValueError as error:
            raise InputError(f"{where}, step {number} of the recording ({kind}): {error}") from None
        if isinstance(given.get("timeout"), int | float) and given["timeout"] > 0:
            step["timeout_s"] = min(given["timeout"] / 1000, 120)
        steps.append(step)
    return steps


def _step(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    match kind:
        case "navigate":
            return {"goto": str(given.get("url", ""))}
        case "click":
            return {"click": _selector(given)}
        case "doubleClick":
            raise ValueError("double clicks are not supported: use a click")
        case "hover":
            return {"hover": _selector(given)}
        case "change":
            return {"fill": _selector(given), "value": str(given.get("value", ""))}
        case "keyDown":
            return {"press": "Space" if given.get("key") == " " else str(given.get("key", ""))}
        case "waitForElement":
            return {"wait_for": {"selector": _selector(given)}}
        case "scroll":
            return {"scroll": _selector(given) if given.get("selectors") else "bottom"}
        case "waitForExpression":
            raise ValueError("steps cannot run JavaScript: wait for a selector, text or address instead")
        case _:
            raise ValueError("this step is not supported: remove it, or use one from docs/journeys.md")


def _selector(given: Mapping[str, Any]) -> str:
    """Return the first selector that can be converted: an accessible name is best, an XPath cannot be used.

    A selector through frames or shadow roots is a list; its last part is used, and only for shadow roots.
    """
    if given.get("frame"):
        raise ValueError("it is in a frame, which steps cannot reach")
    listed = cast("list[Any]", given.get("selectors") or [])
    found = [_ours(one[-1] if isinstance(one, list) and one else one) for one in listed]
    css = next((one for one in found if one and not one.startswith(("text=", "role="))), None)
    chosen = css or next((one for one in found if one), None)
    if chosen is None:
        raise ValueError("it has no usable CSS selector, text or name: record it again, or write the step by hand")
    return chosen


def _ours(text: object) -> str:
    """Return the Recorder's selector in Sightline's form, '' if there is no equivalent."""
    if not isinstance(text, str) or text.startswith(("xpath/", "//")):
        return ""
    if text.startswith("aria/"):
        return ""  # a name without a role: the CSS or text selector beside it is equivalent
    if text.startswith("text/"):
        return f'text="{text[5:]}"'
    for prefix in _PREFIXES:
        text = text.removeprefix(prefix)
    try:
        read_step_selector(text)
    except ValueError:
        return ""
    return text
