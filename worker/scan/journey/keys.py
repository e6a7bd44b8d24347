"""Keys in the form of the browser's input: name, code and Windows' virtual key code. Pure.

https://chromedevtools.github.io/devtools-protocol/tot/Input/#method-dispatchKeyEvent
"""

from __future__ import annotations

from typing import Final

from producer.contract.steps import check_keys
from worker.scan.cdp import JsonObject

_MODIFIERS: Final = {"Alt": 1, "Control": 2, "Meta": 4, "Shift": 8}
_MODIFIER_CODES: Final = {"Alt": 18, "Control": 17, "Meta": 91, "Shift": 16}
_NAMED: Final[dict[str, tuple[str, int, str]]] = {
    "Enter": ("Enter", 13, "\r"),
    "Tab": ("Tab", 9, ""),
    "Escape": ("Escape", 27, ""),
    "Backspace": ("Backspace", 8, ""),
    "Delete": ("Delete", 46, ""),
    "Space": ("Space", 32, " "),
    "Home": ("Home", 36, ""),
    "End": ("End", 35, ""),
    "PageUp": ("PageUp", 33, ""),
    "PageDown": ("PageDown", 34, ""),
    "ArrowLeft": ("ArrowLeft", 37, ""),
    "ArrowUp": ("ArrowUp", 38, ""),
    "ArrowRight": ("ArrowRight", 39, ""),
    "ArrowDown": ("ArrowDown", 40, ""),
    **{f"F{number}": (f"F{number}", 111 + number, "") for number in range(1, 13)},
}


def key_events(text: str) -> list[JsonObject]:
    """Return the events of ``Enter`` or ``Control+A``: modifiers down, the key, modifiers up."""
    names, key = check_keys(text)
    mask = sum(_MODIFIERS[name] for name in names)
    held = [{"key": name, "code": f"{name}Left", "windowsVirtualKeyCode": _MODIFIER_CODES[name]} for name in names]
    pressed = _key(key, types=not mask & ~_MODIFIERS["Shift"])
    up = {name: value for name, value in pressed.items() if name != "text"}
    return [
        *({"type": "rawKeyDown", "modifiers": mask, **one} for one in held),
        {"type": "keyDown" if "text" in pressed else "rawKeyDown", "modifiers": mask, **pressed},
        {"type": "keyUp", "modifiers": mask, **up},
        *({"type": "keyUp", **one} for one in reversed(held)),
    ]


def _key(key: str, *, types: bool) -> JsonObject:
    if key in _NAMED:
        code, number, text = _NAMED[key]
        pressed: JsonObject = {"key": " " if key == "Space" else key, "code": code, "windowsVirtualKeyCode": number}
        return {**pressed, "text": text} if text and types else pressed
    upper = key.upper()
    number = ord(upper) if upper.isascii() and upper.isalnum() else 0
    code = f"Key{upper}" if number and upper.isalpha() else f"Digit{upper}" if number else ""
    pressed = {"key": key, "code": code, "windowsVirtualKeyCode": number}
    return {**pressed, "text": key} if types else pressed
