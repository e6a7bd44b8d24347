"""The options of ``sightline scan`` as keys of ``sightline.toml``, derived from click's table.

A key is the option's long name with underscores. Options of the section "What to scan" belong to the run, those of
"Waiting and the gate" to the gate; those about the page, and those without a section, may differ from page to page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import click

from producer.config.options import Kind, Option, Scope
from producer.errors import InputError

_SCOPES: Final[dict[str, Scope]] = {
    "What to scan": "run",
    "Logging in": "login",
    "Waiting and the gate": "gate",
}
_OF_THE_COMMAND_LINE: Final = frozenset(
    {
        *("file", "sitemaps", "match", "exclude", "sitemap_replace", "ignore_robots"),
        *("crawl", "max_pages", "per_pattern"),  # keys of a [[site]]
        *("config", "no_config", "sites", "start", "start_url", "help"),
        *("job_id", "batch", "resume", "run"),  # of one run
        "live",  # `checks` in the file
    }
)


def option_keys(command: click.Command) -> list[Option]:
    """Return the options that a file may set."""
    sections: Mapping[str, Sequence[str]] = getattr(command, "sections", {})
    scopes: dict[str, Scope] = {name: _SCOPES.get(title, "page") for title, names in sections.items() for name in names}
    left_out = {*_OF_THE_COMMAND_LINE, *sections.get("Reports", ())}  # [reports] has these
    return [
        _option(param, scopes.get(param.name or "", "page"))
        for param in command.params
        if isinstance(param, click.Option) and param.name not in left_out
    ]


def key_of(option: click.Option) -> str:
    """Return the option's name in the file."""
    return max(option.opts, key=len).removeprefix("--").replace("-", "_")


def _option(param: click.Option, scope: Scope) -> Option:
    choices = param.type.choices if isinstance(param.type, click.Choice) else ()
    return Option(
        key=key_of(param),
        name=param.name or "",
        scope=scope,
        kind=_kind(param),
        help=param.help or "",
        convert=_converting(param),
        is_list=param.multiple,
        is_path=isinstance(param.type, click.Path),
        choices=_texts(choices),
    )


def _texts(choices: Iterable[Any]) -> tuple[str, ...]:
    return tuple(map(str, choices))


def _kind(param: click.Option) -> Kind:
    if param.is_flag:
        return "flag"
    if isinstance(param.type, click.types.FloatParamType):
        return "number"
    return "whole" if isinstance(param.type, click.types.IntParamType) else "text"


def _converting(param: click.Option) -> Callable[[Any], Any]:
    context = click.Context(click.Command("scan"))

    def convert(value: Any) -> Any:
        """Return the value as the command converts it; raises ``ValueError`` with the command's message."""
        try:
            return param.process_value(context, tuple(value) if param.multiple else value)
        except click.BadParameter as error:
            raise ValueError(error.message.rstrip(".")) from None
        except (click.ClickException, InputError) as error:
            raise ValueError(str(error)) from None

    return convert
