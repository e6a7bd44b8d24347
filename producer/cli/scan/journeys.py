"""``--steps FILE`` and ``--login FILE``: reads and checks them, with their variables, before anything runs.

A file is a list of steps as JSON, ``[[steps]]`` as TOML, or what Chrome DevTools' Recorder exports as JSON
(``recorder.py``). ``${NAME}`` is read from the environment variable ``NAME``, or from the file named by ``NAME_FILE``,
as for mounted secrets. The values join the job's secrets and appear in no message. In ``sightline.toml`` both options
may name a journey of that file (``file_journeys.py``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import click

from producer.cli.ci import say
from producer.cli.scan.step_variables import read_variable
from producer.contract.variables import names_of
from producer.errors import InputError
from producer.text_file import read_text

if TYPE_CHECKING:
    from producer.cli.scan.file_journeys import Named
    from producer.cli.scan.options import ScanOptions
    from producer.cli.scan.pages import Asked
    from producer.contract import JsonObject
    from producer.contract.steps import Step

_EXPECTED: Final = 'expected a list of steps, such as [{"click": "text=Sign in"}, {"scan": "signed in"}]'
_HIDDEN_FIELD: Final = r"(?i)pass(word|wd|wort|code)|kennwort|contrase|mot.de.passe|\bpin\b|secret|token"

_STEPS = click.option(
    "--steps",
    type=click.Path(),
    metavar="F",
    help="Run the steps in this JSON or TOML file first, and scan the states that they name.",
)
_LOGIN = click.option(
    "--login", type=click.Path(), metavar="F", help="Log in with the steps in this file, once for all pages."
)


def journey_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command."""
    return _STEPS(_LOGIN(command))


class Journeys(NamedTuple):
    """The steps of each state by name; '' is the page at the end of steps without a named state."""

    states: Mapping[str, Sequence[JsonObject]]
    login: Sequence[JsonObject] = ()

    def login_for(self, urls: Sequence[str]) -> JsonObject | None:
        """Return the login of a request or None; raises ``InputError`` if its page is ambiguous."""
        if not self.login:
            return None
        from urllib.parse import urljoin

        from producer.contract.addresses import origin_of

        address = str(self.login[0]["goto"])
        if not origin_of(address) and len(set(map(origin_of, urls))) > 1:
            msg = f"--login goes to {address!r}, but the pages are on several sites: write the full address of its page"
            raise InputError(msg)
        return {"url": urljoin(urls[0], address), "steps": list(self.login[1:])}

    def of(self, urls: Iterable[str]) -> dict[str, Sequence[JsonObject]]:
        """Return, by address, the steps to each state that replaces one of ``urls``; empty without steps."""
        from producer.contract.addresses import state_url

        return {state_url(url, name): steps for url in urls for name, steps in self.states.items()}


def led(
    pages: Sequence[Asked], environ: Mapping[str, str], named: Named
) -> tuple[list[Asked], dict[str, Sequence[JsonObject]], dict[str, JsonObject]]:
    """Return the states that replace their pages, with the steps and the login of each.

    ``named`` are the journeys of ``sightline.toml``. Variables' values join the secrets of their pages. Raises
    ``InputError``.
    """
    journeys: dict[tuple[str | None, str | None, int], Journeys] = {}
    urls: dict[tuple[str | None, str | None, int], list[str]] = {}
    for page in pages:
        key = _way_of(page)
        if key not in journeys:
            journeys[key] = read_journeys(page.options, environ, page.secrets, named)
        urls.setdefault(key, []).append(page.url)
    of_all = {key: one.login_for(urls[key]) for key, one in journeys.items()}
    asked: list[Asked] = []
    steps: dict[str, Sequence[JsonObject]] = {}
    logins: dict[str, JsonObject] = {}
    for page in pages:
        key = _way_of(page)
        states = journeys[key].of([page.url])
        if twice := [url for url, way in states.items() if steps.setdefault(url, way) is not way]:
            raise InputError(f"two journeys scan a state with the same name, {twice[0]}: states need different names")
        login = of_all[key]
        for url in states or [page.url]:
            asked.append(replace(page, url=url))
            logins |= {} if login is None else {url: login}
    return asked, steps, logins


def _way_of(page: Asked) -> tuple[str | None, str | None, int]:
    return page.options.steps, page.options.login, id(page.secrets)


def read_journeys(
    options: ScanOptions, environ: Mapping[str, str], secrets: JsonObject, named: Named | None = None
) -> Journeys:
    """Return the states of --steps; adds the variables' values to ``secrets``. Raises ``InputError``."""
    states: dict[str, list[JsonObject]] = {}
    login: list[JsonObject] = []
    if options.steps:
        from producer.contract.steps import state_of_steps, states_of

        steps = _read("--steps", options.steps, environ, secrets, named or {})
        states = {state_of_steps(part): list(map(_sent, part)) for part in states_of(steps)}
    if options.login:
        login = list(map(_sent, _read("--login", options.login, environ, secrets, named or {})))
        if len(login) < 2 or "goto" not in login[0] or "scan" in login[-1]:  # noqa: PLR2004  its page, and a step there
            msg = f"--login {options.login!r}: expected a goto to the login page first, then its steps"
            raise InputError(msg)
    return Journeys(states, login)


def _read(option: str, file: str, environ: Mapping[str, str], secrets: JsonObject, named: Named) -> tuple[Step, ...]:
    """Return the steps of a file or of a journey of ``named``; adds the variables' values to ``secrets``."""
    from producer.contract.steps import check_steps

    if (journey := named.get(file)) is not None:
        where, steps, places = journey.where, journey.steps, journey.places
    else:
        where = f"{option} {file!r}"
        steps = read_steps(file, where)
        places = [f"{where}, step {number}" for number in range(1, len(steps) + 1)]
        try:
            check_steps(steps)
        except ValueError as error:
            raise InputError(f"{where}: {error}") from None
    names = names_of({"steps": list(map(_sent, steps))})
    if names:
        values = {name: read_variable(name, environ, where) for name in names}
        secrets["variables"] = {**secrets.get("variables", {}), **values}
    for place, step in zip(places, steps, strict=True):
        if step.fill and step.value and not step.variables and re.search(_HIDDEN_FIELD, step.fill):
            what = f"{place}: the value for {step.fill!r} is stored with the job"
            say(f"{what}: if it is a secret, write ${{NAME}} and set NAME")
    return steps


def read_steps(file: str, where: str) -> tuple[Step, ...]:
    """Return the steps of a file, called ``where`` in messages; raises ``InputError`` naming every wrong step."""
    from pydantic import ValidationError

    from producer.contract.message import describe_invalid
    from producer.contract.steps import MAX_STEPS, Step

    listed = _list_in(file, where)
    if not listed:
        raise InputError(f"{where} has no steps: {_EXPECTED}")
    if len(listed) > MAX_STEPS:
        raise InputError(f"{where} has {len(listed):,} steps: expected at most {MAX_STEPS}")
    steps: list[Step] = []
    wrong: list[str] = []
    for number, given in enumerate(listed, 1):
        try:
            steps.append(Step.model_validate(given))
        except ValidationError as error:
            wrong.append(f"step {number}: {describe_invalid(error)}")
    if wrong:
        raise InputError(f"{where}: {'; '.join(wrong)}")
    return tuple(steps)


def check_without_variables(options: ScanOptions) -> None:
    """Raise ``InputError`` for steps that need secrets, which a schedule does not keep."""
    for option, file in (("--steps", options.steps), ("--login", options.login)):
        where = f"{option} {file!r}"
        if file and (names := [name for step in read_steps(file, where) for name in step.variables]):
            msg = f"{where} needs ${{{names[0]}}}, but a schedule keeps no secrets: let cron run 'sightline scan'"
            raise InputError(msg)


def _list_in(file: str, where: str) -> list[Any]:
    try:
        text = read_text(file)
    except OSError as error:
        raise InputError(f"{where} cannot be read: {error.strerror}") from None
    try:
        if file.lower().endswith(".toml"):
            import tomllib

            value: object = tomllib.loads(text)
        else:
            value = json.loads(text)
    except (ValueError, RecursionError) as error:
        kind = "TOML" if file.lower().endswith(".toml") else "JSON"
        raise InputError(f"{where} is not {kind}: {error}") from None
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        from producer.cli.scan.recorder import is_recording, steps_of_recording

        if is_recording(fields):
            return steps_of_recording(fields, where=where)
        value = fields.get("steps")
    if not isinstance(value, list):
        raise InputError(f"{where}: {_EXPECTED}")
    return cast("list[Any]", value)


def _sent(step: Step) -> JsonObject:
    return step.model_dump(mode="json", exclude_defaults=True)
