"""``sightline config``: writes, checks, shows and imports ``sightline.toml``. Its schema is in ``producer/config``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from producer.cli.connect import environment
from producer.cli.terminal import NamingGroup, json_option
from producer.errors import InputError
from producer.reports.plain_text import counted, one_line
from producer.text_file import is_unicode, replace_text

if TYPE_CHECKING:
    from producer.config.importing.draft import Draft
    from producer.config.options import Option
    from producer.config.reading import Config

NAME: Final = "sightline.toml"


@click.group(cls=NamingGroup)
def config() -> None:
    """Write, check, show and import sightline.toml, the settings file of 'sightline scan'."""


@config.command()
@click.argument("url", default="http://localhost:3000/", metavar="[URL]")
@click.option("--start", metavar="CMD", default="", help="Command that serves the site, such as 'npm run preview'.")
@click.option("--output", "-o", type=click.Path(), default=NAME, metavar="F", show_default=True, help="File to write.")
def init(url: str, *, start: str, output: str) -> None:
    """Write a sightline.toml to start from.

    \b
    sightline config init http://localhost:4173/ --start 'npm run preview'
    """
    from producer.config.starter import starter
    from producer.contract.addresses import normal_url

    try:
        url = normal_url(url)
    except ValueError as error:
        raise InputError(str(error)) from None
    _write(output, starter(url, start))
    click.echo(f"wrote {output}. Next: sightline scan --local")


@config.command()
@click.argument("file", required=False, type=click.Path())
def check(file: str | None) -> None:
    """List all errors in a settings file with their lines. Exits 64 if there are any.

    \b
    sightline config check
    sightline config check ci/sightline.toml
    """
    read = _read(file)
    document = read.document
    sites = counted(len(document.site), "site")
    click.echo(f"{read.shown}: no errors; {sites}, {counted(len(document.waiver), 'waiver')}")


@config.command()
@click.argument("url", required=False)
@click.option(
    "--config",
    "file",
    type=click.Path(),
    metavar="F",
    help=f"Settings file.  [default: {NAME}, here or in a parent folder]",
)
@json_option("One line of JSON. Default in a pipe.")
def show(url: str | None, *, file: str | None, as_json: bool) -> None:
    """Show the settings, or the options that apply to one page, each with its line.

    \b
    sightline config show
    sightline config show https://shop.example/cart
    """
    read = _read(file)
    rows = _rows_of_page(read, url) if url else _rows(read)
    if as_json:
        from producer.reports.jsonl import line_of

        options = [{"key": key, "value": value, "at": place} for key, value, place in rows]
        click.echo(line_of({"v": 1, "file": read.shown, "url": url, "options": options}))
        return
    from producer.config.toml_text import value_text

    texts = [(f"{key} = {one_line(value_text(value), limit=200)}", place) for key, value, place in rows]
    width = max((len(text) for text, _ in texts), default=0)
    for text, place in texts:
        click.echo(f"{text:<{min(width, 80)}}  # {place}")


@config.command()
def schema() -> None:
    """Print the JSON Schema of sightline.toml, for editors.

    \b
    sightline config schema
    """
    from producer.config.schema import schema_text

    click.echo(schema_text(_options()), nl=False)


@config.command("import")
@click.argument("file", type=click.Path())
@click.option("--output", "-o", type=click.Path(), default=NAME, metavar="F", show_default=True, help="File to write.")
def import_(file: str, *, output: str) -> None:
    """Convert a configuration of pa11y-ci or Lighthouse CI. Options without a counterpart are named.

    \b
    sightline config import .pa11yci
    sightline config import lighthouserc.yml -o ci/sightline.toml
    """
    from producer.config.importing.files import draft_of

    draft = draft_of(Path(file))
    text = draft.text(Path(file).name)
    if not is_unicode(text):
        raise InputError(f"{file!r} has text that is no Unicode, such as half of a surrogate pair: correct it by hand")
    _check_text(text, draft)
    _write(output, text)
    for one in draft.left:
        click.echo(f"not carried over: {one_line(one.text, limit=400)}", err=True)
    pages = counted(len(draft.site.get("pages", ())), "page")
    click.echo(f"wrote {output}: {pages}; {counted(len(draft.left), 'option')} not carried over")


def _options() -> list[Option]:
    from producer.cli.scan.command import scan
    from producer.cli.scan.option_keys import option_keys

    return option_keys(scan)


def _read(file: str | None) -> Config:
    from producer.cli.scan.by_file import without_faults
    from producer.config.finding import find_config
    from producer.config.reading import read_config

    path = Path(file) if file else find_config(Path.cwd())
    if path is None:
        raise InputError(f"no {NAME} here or in a parent folder: 'sightline config init' writes one")
    return without_faults(read_config(path, _options(), environment()), err=False)


def _rows(read: Config) -> list[tuple[str, Any, str]]:
    """Return every key of the file with its value and its place."""
    rows: list[tuple[str, Any, str]] = []

    def walk(value: Any, path: tuple[str | int, ...]) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, (*path, str(key)))
        elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            for number, inner in enumerate(value):
                walk(inner, (*path, number))
        else:
            from producer.config.faults import name_of

            rows.append((name_of(path), value, read.place(*path)))

    walk(read.raw, ())
    return rows


def _rows_of_page(read: Config, url: str) -> list[tuple[str, Any, str]]:
    from producer.config.layers import layers, site_of

    try:
        site = site_of(read, url)
        found = list(layers(read, url, site))
    except ValueError as error:
        raise InputError(str(error)) from None
    keys = {option.name: option.key for option in _options()}
    rows: dict[str, tuple[str, Any, str]] = {}
    for layer in found:
        for name in layer.options:
            key = keys[name]
            rows[key] = (key, read.raw_value(*layer.path, key), read.place(*layer.path, key))
    return [rows[key] for key in sorted(rows)]


def _check_text(text: str, draft: Draft) -> None:
    """Report the values that the settings file does not allow, though the other tool does."""
    from producer.config.reading import checked_text

    for fault in checked_text(text, _options(), environment()):
        draft.leave("the file made of it", f"{fault}: correct it by hand")


def _write(output: str, text: str) -> None:
    file = Path(output)
    if file.exists():
        raise InputError(f"{output!r} exists and is not overwritten: remove it, or name another file with -o")
    try:
        replace_text(file, text)
    except OSError as error:
        raise InputError(f"cannot write {output!r}: {error.strerror}") from None
