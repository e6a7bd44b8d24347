"""Steps of a journey: actions on a page before it is scanned. One action per step, in the form used in files.

::

    {"goto": "/login"}
    {"fill": "label=E-mail", "value": "${SHOP_USER}"}      ${NAME}: a variable, read where the scan is submitted
    {"click": "role=button[name='Sign in']", "name": "sign in", "timeout_s": 20}
    {"wait_for": {"address": "/account*"}}
    {"scan": "signed in"}

No step runs JavaScript or leaves the page's origin. ``worker/scan/journey`` runs steps in a browser.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, cast
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from producer.contract.addresses import normal_url
from producer.contract.nearest import nearest
from producer.contract.step_selectors import read_step_selector
from producer.contract.variables import VARIABLE, names_in

MAX_STEPS: Final = 100
MAX_STEPS_BYTES: Final = 100_000
MAX_TEXT_CHARS: Final = 2_000
"""Maximum characters of an address, a text to wait for, or a value."""
MAX_NAME_CHARS: Final = 100
MAX_STEP_S: Final = 120.0
STEP_LIMIT_S: Final = 10.0
"""Default of ``timeout_s``."""

ACTIONS: Final = (
    *("goto", "click", "fill", "select", "check", "uncheck", "press", "hover"),
    *("wait_for", "scroll", "consent", "scan"),
)
_HALF_VARIABLE: Final = re.compile(r"\$\{[^}]*\}?")
_MODIFIERS: Final = ("Control", "Alt", "Shift", "Meta")
_KEYS: Final = (
    *("Enter", "Tab", "Escape", "Backspace", "Delete", "Space", "Home", "End", "PageUp", "PageDown"),
    *("ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8", "F9", "F10"),
    *("F11", "F12"),
)
_HAVE_SELECTORS: Final = ("click", "fill", "select", "check", "uncheck", "hover")

ActionName = Literal[
    "goto", "click", "fill", "select", "check", "uncheck", "press", "hover", "wait_for", "scroll", "consent", "scan"
]


class WaitFor(BaseModel):
    """The condition that a step waits for, one of these; ``address`` is a pattern such as ``/account*``."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    selector: str | None = None
    text: str | None = None
    address: str | None = None
    idle: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_one(cls, given: Any) -> Any:
        if isinstance(given, BaseModel):
            return given
        fields = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
        names = sorted(str(name) for name, value in fields.items() if value is not None)
        if len(names) != 1 or names[0] not in cls.model_fields:
            shown = f", not {' and '.join(map(repr, names))}" if names else ""
            raise ValueError(f"expected one of selector, text, address and idle{shown}")
        return fields

    @model_validator(mode="after")
    def _is_usable(self) -> WaitFor:
        if self.selector is not None:
            read_step_selector(self.selector)
        for name in ("text", "address"):
            _check_text(name, getattr(self, name))
        if self.idle is False:
            raise ValueError("idle: expected true, which waits until network and page are idle")
        return self


def _wait_for(given: object) -> object:
    return {"selector": given} if isinstance(given, str) else given


def _consent(given: object) -> object:
    if given is not None and given is not True and not isinstance(given, str):
        raise ValueError("expected true, or the selector of a button")
    return given


class Step(BaseModel):
    """One action. ``value`` belongs to ``fill`` and ``select``, ``on`` (a selector) to ``press``.

    ``scroll`` is ``"bottom"``, ``"top"`` or a selector; ``consent`` is true for known banners, or the selector of a
    button; neither fails if there is nothing to do. ``scan`` names the state that the page has reached. Selectors are
    CSS, ``role=…``, ``label=…`` or ``text=…`` (``step_selectors.py``).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    goto: str | None = None
    click: str | None = None
    fill: str | None = None
    select: str | None = None
    check: str | None = None
    uncheck: str | None = None
    press: str | None = None
    hover: str | None = None
    wait_for: Annotated[WaitFor | None, BeforeValidator(_wait_for, json_schema_input_type=WaitFor | str | None)] = None
    scroll: str | None = None
    consent: Annotated[str | Literal[True] | None, BeforeValidator(_consent)] = None
    scan: str | None = None
    value: str | None = None
    on: str | None = None
    name: Annotated[str, Field(max_length=MAX_NAME_CHARS)] = ""
    timeout_s: Annotated[float, Field(gt=0, le=MAX_STEP_S)] | None = None

    @property
    def action(self) -> ActionName:
        """Return the step's action."""
        return cast("ActionName", next(name for name in ACTIONS if getattr(self, name) is not None))

    @property
    def selector(self) -> str:
        """The selector of the step's element; '' if it acts on the page."""
        if self.action in _HAVE_SELECTORS:
            return str(getattr(self, self.action))
        if self.wait_for is not None:
            return self.wait_for.selector or ""
        if isinstance(self.consent, str):
            return self.consent
        return self.on or (self.scroll if self.scroll not in {None, "top", "bottom"} else "") or ""

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables in the step's value."""
        return names_in(self.value or "")

    @model_validator(mode="before")
    @classmethod
    def _has_one_action(cls, given: Any) -> Any:
        if isinstance(given, BaseModel):
            return given
        if not isinstance(given, dict):
            msg = f'a step is a {type(given).__name__}: expected an object such as {{"click": "text=Save"}}'
            raise ValueError(msg)  # noqa: TRY004  pydantic takes no other
        fields = cast("dict[str, Any]", given)
        unknown = next((str(name) for name in fields if name not in cls.model_fields), None)
        if unknown is not None:
            near = nearest(unknown, cls.model_fields, cutoff=0.8)
            hint = f"did you mean {near!r}?" if near else f"expected one of {', '.join(ACTIONS)}"
            raise ValueError(f"unknown step {unknown[:100]!r}: {hint}")
        actions = [name for name in ACTIONS if fields.get(name) is not None]
        if len(actions) != 1:
            found = f"the step has {' and '.join(map(repr, actions))}" if actions else "the step has no action"
            raise ValueError(f"{found}: expected one of {', '.join(ACTIONS)}")
        return fields

    @model_validator(mode="after")
    def _is_usable(self) -> Step:
        action = self.action
        for name in (*_HAVE_SELECTORS, "on", "scroll", "consent"):
            text = getattr(self, name)
            if isinstance(text, str) and not (name == "scroll" and text in {"top", "bottom"}):
                _named(name, read_step_selector, text)
        for name in ("goto", "press"):
            _check_text(name, getattr(self, name))
        if self.goto is not None:
            _check_goto(self.goto)
        if self.press is not None:
            check_keys(self.press)
        if self.scan is not None:
            check_state_name(self.scan)
        if not self.name.isprintable():
            raise ValueError("name: expected one line of printable text")
        self._check_value(action)
        return self

    def _check_value(self, action: str) -> None:
        if (self.value is not None) != (action in {"fill", "select"}):
            raise ValueError(f"{action} has no value" if self.value is not None else f"{action} needs a value")
        if self.on is not None and action != "press":
            raise ValueError(f"{action} has no 'on': only press takes this selector")
        if self.value is not None and len(self.value) > MAX_TEXT_CHARS:
            raise ValueError(f"value: expected at most {MAX_TEXT_CHARS:,} characters")
        half = next((one for one in _HALF_VARIABLE.findall(self.value or "") if not VARIABLE.fullmatch(one)), None)
        if half is not None:
            raise ValueError("value: expected variables as ${NAME}, with letters, digits and '_'")
        if action == "select" and self.variables:
            raise ValueError("select: variables are allowed only in the value of fill")


class Login(BaseModel):
    """The login of a batch, done once: the page and the steps."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    url: str
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=MAX_STEPS)]

    @model_validator(mode="after")
    def _is_usable(self) -> Login:
        object.__setattr__(self, "url", normal_url(self.url))
        if any(step.scan is not None for step in self.steps):
            raise ValueError("a login has no scan step: move it to the steps of the page")
        check_steps(self.steps)
        return self


def check_steps(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Return ``steps``; raises ``ValueError`` for steps after the last scan, repeated names, and too many bytes."""
    size = sum(len(step.model_dump_json(exclude_defaults=True)) for step in steps)
    if size > MAX_STEPS_BYTES:
        raise ValueError(f"the steps have {size:,} bytes: expected at most {MAX_STEPS_BYTES:,}")
    states = [(number, step.scan) for number, step in enumerate(steps, 1) if step.scan is not None]
    first: dict[str, int] = {}
    for number, state in states:
        if state in first:
            msg = f"steps {first[state]} and {number} scan two states called {state!r}: states need different names"
            raise ValueError(msg)
        first[state] = number
    if states and states[-1][0] != len(steps):
        msg = f"step {states[-1][0] + 1} comes after the last scan, {states[-1][1]!r}: end with a scan, or remove it"
        raise ValueError(msg)
    return steps


def states_of(steps: Sequence[Step]) -> list[tuple[Step, ...]]:
    """Return the steps of each request of a journey: one per ``scan``, or one for the page at its end.

    Each state is reached from the start, independently of the others. Earlier ``scan`` steps are kept but skipped, so
    that a step has the same number in file and message.
    """
    ends = [end for end, step in enumerate(steps, 1) if step.scan is not None]
    return [tuple(steps[:end]) for end in ends or [len(steps)]]


def state_of_steps(steps: Sequence[Step]) -> str:
    """Return the name of the state that is scanned, '' for the page itself."""
    return (steps[-1].scan or "") if steps else ""


def check_state_name(text: str) -> str:
    """Return ``text``; raises ``ValueError`` for an invalid name of a state."""
    if not text.strip() or text != text.strip() or len(text) > MAX_NAME_CHARS or not text.isprintable():
        msg = f"scan: {text[:120]!r}: expected the name of the state, one line of up to {MAX_NAME_CHARS} characters"
        raise ValueError(msg)
    return text


def check_keys(text: str) -> tuple[tuple[str, ...], str]:
    """Return modifiers and key of ``Control+A``, ``Enter``; raises ``ValueError`` for an unknown key."""
    *modifiers, key = text.split("+") if text != "+" and not text.endswith("++") else [*text[:-1].split("+")[:-1], "+"]
    wrong = next((name for name in modifiers if name not in _MODIFIERS), None)
    if wrong is not None:
        raise ValueError(f"press: {wrong!r} is not a modifier: expected {', '.join(_MODIFIERS)}")
    if key not in _KEYS and not (len(key) == 1 and key.isprintable()):
        near = nearest(key, _KEYS, cutoff=0.5)
        raise ValueError(f"press: {key[:50]!r} is not a key: " + (f"did you mean {near}?" if near else "such as Enter"))
    return tuple(modifiers), key


def _check_goto(text: str) -> None:
    if "${" in text:
        raise ValueError("goto: variables are allowed only in the value of fill, since addresses are stored and shown")
    _named("goto", normal_url if ":" in text.partition("/")[0] else urlsplit, text)


def _check_text(name: str, text: str | None) -> None:
    if text is not None and (not text.strip() or len(text) > MAX_TEXT_CHARS):
        raise ValueError(f"{name}: expected a text of 1 to {MAX_TEXT_CHARS:,} characters")


def _named(name: str, check: Any, text: str) -> None:
    try:
        check(text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
