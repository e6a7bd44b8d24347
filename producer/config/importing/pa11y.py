"""Configurations of pa11y-ci. Its options are documented in the README files of pa11y and pa11y-ci 3 and 4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from producer.config.importing.draft import Draft, JsonMap, Source
from producer.contract.rules import AXE_RULES

_STANDARDS: Final = {"WCAG2A": "wcag2a", "WCAG2AA": "wcag21aa", "WCAG2AAA": "wcag22aaa"}
_REPORTERS: Final = {"cli": ("table", "-"), "json": ("json", "-"), "csv": ("csv", "-")}
_SAID_ANYWAY: Final = frozenset({"notice", "warning", "error"})
_MAX_DEADLINE_S: Final = 600
_SATISFIED: Final[tuple[tuple[object, ...], ...]] = (
    ("includeNotices", False),
    ("includeWarnings", False),
    ("useIncognitoBrowserContext", True),
    ("level", "error"),
    ("threshold", 0),
    ("method", "GET"),
    ("wait", 0),
)
"""Options whose values are Sightline's default behaviour."""
_NO_PLACE: Final = {
    "actions": "write the steps as a [[journey]], docs/config.md",
    "browser": "an object of a program, not an option of a file",
    "page": "an object of a program, not an option of a file",
    "log": "an object of a program, not an option of a file",
    "concurrency": "the workers' settings MAX_JOBS and HOST_PLACES limit concurrent scans",
    "headers": "write them to a file, one 'Name: value' per line, and set header_file to it: they may be secrets",
    "ignoreUrl": "has no equivalent",
    "includeNotices": "axe-core has no notices",
    "includeWarnings": "findings that need review are in every report; with [gate.max] review = 0 they fail the run",
    "level": "[gate] fail_on sets the lowest impact that counts",
    "method": "pages are loaded by GET",
    "postData": "pages are loaded by GET",
    "threshold": "it counts a page's messages; [gate.max] total counts the run's component barriers",
    "userAgent": "pages see the browser's own",
    "wait": "a page is scanned when it is at rest; wait_for waits for an element",
    "chromeLaunchConfig": "the browser is the worker's",
    "useIncognitoBrowserContext": "every page has its own browser profile",
    "reporter": "see [reports]",
}


def import_pa11y(config: Mapping[str, Any]) -> Draft:
    """Return the draft of a configuration."""
    draft, source = Draft(), Source(config)
    defaults = source.table("defaults")
    _reporters(defaults, draft)
    draft.scan |= _options(defaults, draft)
    _leave_rest(defaults, draft)
    urls = source.take("urls", list) or []
    pages: list[str] = []
    for number, entry in enumerate(cast("list[Any]", urls)):
        if isinstance(entry, str):
            pages.append(_address(entry))
        elif isinstance(entry, dict) and isinstance(cast("JsonMap", entry).get("url"), str):
            own = Source(cast("JsonMap", entry), f"urls[{number}]")
            address = _address(str(own.take("url")))
            pages.append(address)
            if options := _options(own, draft):
                draft.pages.append({"match": _literal(address), **options})
            _leave_rest(own, draft)
        else:
            draft.leave(f"urls[{number}]", "is not an address")
    draft.site = {"pages": pages} if pages else {}
    _leave_rest(source, draft)
    return draft


def _options(source: Source, draft: Draft) -> JsonMap:
    """Return the options of a page as keys of the file."""
    found: JsonMap = {}
    for name, *satisfied in _SATISFIED:
        source.drop(str(name), *satisfied)
    _take_standard(source, found, draft)
    if (timeout := source.take("timeout", (int, float))) is not None:
        found["deadline"] = min(max(timeout / 1000, 1.0), _MAX_DEADLINE_S)
    if hidden := source.take("hideElements", str):
        found["without"] = selectors(hidden)
    if root := source.take("rootElement", str):
        found["within"] = [root]
    if source.take("screenCapture", str):
        found["screenshot"] = True
    _take_viewport(source, found, draft)
    _take_rules(source, found, draft)
    _take_launch(source, found, draft)
    return found


def _take_standard(source: Source, found: JsonMap, draft: Draft) -> None:
    standard = source.take("standard", str)
    if standard in _STANDARDS:
        found["standard"] = _STANDARDS[standard]
    elif standard:
        draft.leave(source.named("standard"), f"{standard} is not a standard of axe-core's rules: see `standard`")


def _take_viewport(source: Source, found: JsonMap, draft: Draft) -> None:
    viewport = source.table("viewport")
    width, height = viewport.take("width", int), viewport.take("height", int)
    if width and height:
        found["viewport"] = f"{width}x{height}"
    for name in viewport.rest():
        draft.leave(viewport.named(name), "only the window size is carried over")


def _take_rules(source: Source, found: JsonMap, draft: Draft) -> None:
    for name, key in (("ignore", "disable"), ("rules", "enable")):
        rules = list(map(str, source.take(name, list) or []))
        if known := [rule for rule in rules if rule in AXE_RULES]:
            found[key] = known
        for rule in rules:
            if rule not in AXE_RULES and rule.lower() not in _SAID_ANYWAY:
                draft.leave(
                    f"{source.named(name)} {rule[:120]}", "not a rule of axe-core; HTML CodeSniffer's are not run"
                )
    for runner in cast("list[Any]", source.take("runners", list) or []):
        if runner != "axe":
            draft.leave(
                f"{source.named('runners')} {str(runner)[:60]}",
                "only axe-core's and Sightline's own rules are run",
            )


def _take_launch(source: Source, found: JsonMap, draft: Draft) -> None:
    launch = source.table("chromeLaunchConfig")
    if launch.take("ignoreHTTPSErrors", bool):
        found["insecure"] = True
    for argument in map(str, launch.take("args", list) or []):
        if argument == "--ignore-certificate-errors":
            found["insecure"] = True
        elif argument not in {"--no-sandbox", "--disable-setuid-sandbox", "--disable-dev-shm-usage"}:
            draft.leave(f"{launch.named('args')} {argument[:80]}", "the browser is the worker's")
    for name in launch.rest():
        draft.leave(launch.named(name), "the browser is the worker's")


def _reporters(source: Source, draft: Draft) -> None:
    for entry in cast("list[Any]", source.take("reporters", list) or []):
        parts = cast("list[Any]", entry) if isinstance(entry, list) else [entry]
        name = str(parts[0]) if parts else ""
        options = cast("JsonMap", parts[1]) if len(parts) > 1 and isinstance(parts[1], dict) else {}
        if name in _REPORTERS:
            key, place = _REPORTERS[name]
            file = options.get("fileName")
            taken = "-" in draft.reports.values()
            draft.reports[key] = str(file) if file else f"report.{key}" if taken else place
        else:
            draft.leave(f"{source.named('reporters')} {name[:80]}", "see [reports] for the available formats")


def _leave_rest(source: Source, draft: Draft) -> None:
    for name in source.rest():
        draft.leave(source.named(name), _NO_PLACE.get(name, "not a documented option, or of an unexpected type"))


def selectors(text: str) -> list[str]:
    """Return the selectors of a list; commas within brackets, parentheses or quotes do not separate."""
    parts, depth, quote = [""], 0, ""
    for char in text:
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "([":
            depth += 1
        elif char in ")]":
            depth -= 1
        if char == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts if part.strip()]


def _address(text: str) -> str:
    return text if "://" in text else f"http://{text}"


def _literal(address: str) -> str:
    """Return a pattern that matches only the address."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in address)
