"""An option of ``sightline scan`` as a key of the file, and pydantic models built from a table of such options.

The table is derived from the command's options (``producer/cli/scan/option_keys.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationInfo, create_model

Scope = Literal["page", "login", "run", "gate"]
Kind = Literal["flag", "number", "whole", "text"]
Model = TypeVar("Model", bound=BaseModel)
_OWN: Final = "option_"
"""Prefix of a field's name, since an option may be named like a method of pydantic."""


@dataclass(frozen=True, slots=True)
class Option:
    """``key`` is its name in the file, ``name`` the field of ``ScanOptions``; ``scope`` lists the tables that allow it.

    ``is_list`` takes one value or several. ``is_path`` is a file, relative to the settings file. ``convert`` converts a
    value as the command does, and raises ``ValueError``.
    """

    key: str
    name: str
    scope: Scope
    kind: Kind
    help: str
    convert: Callable[[Any], Any]
    is_list: bool = False
    is_path: bool = False
    choices: tuple[str, ...] = ()


TABLES: Final[Mapping[str, tuple[Scope, ...]]] = {
    "scan": ("page", "login", "run"),
    "site": ("page", "login"),
    "page": ("page",),
    "gate": ("gate",),
}
"""The scopes that each table allows."""


def with_options(base: type[Model], table: str, options: Iterable[Option]) -> type[Model]:
    """Return ``base`` extended by the options of ``table``."""
    fields: dict[str, Any] = {
        _OWN + option.name: (_annotation(option), Field(None, alias=option.key, description=option.help))
        for option in options
        if option.scope in TABLES[table]
    }
    return create_model(base.__name__, __base__=base, __doc__=base.__doc__, **fields)


def given(table: BaseModel) -> dict[str, Any]:
    """Return the options in the table, converted as for the command, by their names in ``ScanOptions``."""
    return {
        name.removeprefix(_OWN): getattr(table, name)
        for name in sorted(table.model_fields_set)
        if name.startswith(_OWN)
    }


def listed(value: object) -> object:
    """Return a single text as a list: where a list is expected, ``"/"`` means ``["/"]``."""
    return [value] if isinstance(value, str) else value


Texts: TypeAlias = Annotated[list[str], BeforeValidator(listed, json_schema_input_type=str | list[str])]


def _annotation(option: Option) -> Any:
    kinds: dict[Kind, Any] = {"flag": bool, "number": float, "whole": int, "text": str}
    one = kinds[option.kind]
    if option.choices:
        one = cast("Any", Literal)[option.choices]
    if option.is_list:
        one = Annotated[list[one], BeforeValidator(listed, json_schema_input_type=one | list[one])]

    def convert(value: Any, info: ValidationInfo) -> Any:
        if option.is_path and info.context:
            value = str(Path(info.context["folder"]) / value)
        return option.convert(value)

    return Annotated[one, AfterValidator(convert)]
