"""Configurations of Lighthouse CI: ``ci.collect``, ``ci.assert`` and ``ci.upload``, as documented."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit, urlunsplit

from producer.config.importing.draft import Draft, JsonMap, Source
from producer.contract.rules import AXE_RULES

_MOBILE: Final = "412x823"
_DESKTOP: Final = "1350x940"
"""Window sizes of Lighthouse's two form factors."""
_STATIC_PORT: Final = 9080
_READY_MS: Final = 10_000
_AUTODISCOVERED: Final = 5
_DEPTH: Final = 2
_NOT_ACCESSIBILITY: Final = "not about accessibility, and nothing else is tested here"
_NO_PLACE: Final = {
    "method": "pages are loaded by the worker's browser",
    "headful": "the browser is the worker's",
    "additive": "runs are independent; the history has the earlier ones",
    "numberOfRuns": "one scan of a page at rest is enough: findings do not vary like timings",
    "startServerReadyPattern": "the run waits until the address answers",
    "isSinglePageApplication": "the static server answers 404 for a missing file: write another start command",
    "chromePath": "the browser is the worker's",
    "puppeteerScript": "JavaScript: write the steps as a [[journey]], docs/config.md",
    "puppeteerLaunchOptions": "the browser is the worker's",
    "puppeteerLaunchOptionsPath": "the browser is the worker's",
    "extraHeaders": "write them to a file, one 'Name: value' per line, and set header_file to it: they may be secrets",
    "psiApiKey": "pages are loaded by the worker's browser",
    "emulatedUserAgent": "pages see the browser's own",
    "budgetsFile": _NOT_ACCESSIBILITY,
    "budgets": _NOT_ACCESSIBILITY,
    "includePassedAssertions": "reports list failures and totals",
    "target": "[reports] writes files; Sightline's history is in its Redis",
    "token": "no Lighthouse CI server is used",
    "serverBaseUrl": "no Lighthouse CI server is used",
    "githubAppToken": "'sightline comment' posts the Markdown report",
    "githubToken": "'sightline comment' posts the Markdown report",
    "locale": "axe-core's texts are in English",
}


def import_lighthouse(config: Mapping[str, Any], folder: Path) -> Draft:
    """Return the draft of a configuration; ``folder`` is the file's, for ``staticDistDir``."""
    draft, whole = Draft(), Source(config)
    source = whole.table("ci") if isinstance(config.get("ci"), dict) else whole
    collect = source.table("collect")
    _settings(collect.table("settings"), draft)
    _pages(collect, draft, folder)
    _leave_rest(collect, draft)
    assertions = source.table("assert")
    _assert(assertions, draft)
    _leave_rest(assertions, draft)
    upload = source.table("upload")
    _upload(upload, draft)
    _leave_rest(upload, draft)
    for part in (source, whole) if source is not whole else (whole,):
        for name in part.rest():
            draft.leave(part.named(name), "of Lighthouse CI's own commands")
    return draft


def _pages(collect: Source, draft: Draft, folder: Path) -> None:
    given = collect.take("url", (str, list))
    urls = [given] if isinstance(given, str) else [str(url) for url in cast("list[Any]", given or [])]
    static = collect.take("staticDistDir", str)
    most, depth = collect.take("maxAutodiscoverUrls", int), collect.take("staticDirFileDiscoveryDepth", int)
    blocked = [str(one) for one in cast("list[Any]", collect.take("autodiscoverUrlBlocklist", list) or [])]
    if static:
        limits = (_AUTODISCOVERED if most is None else most, _DEPTH if depth is None else depth)
        urls = urls or _discovered(folder / static, blocked, *limits)
        urls = [_at_port(url) for url in urls]
        draft.start = {
            "run": f"python3 -m http.server {_STATIC_PORT} --bind 127.0.0.1 --directory {shlex.quote(static)}",
            "url": f"http://localhost:{_STATIC_PORT}/",
        }
        if not urls:
            draft.leave(
                collect.named("staticDistDir"), f"{static!r} has no pages yet: build the site, then import again"
            )
    if command := collect.take("startServerCommand", str):
        draft.start = {"run": command, **({"url": urls[0]} if urls else {})}
    timeout_ms = collect.take("startServerReadyTimeout", (int, float))
    if draft.start:
        draft.start["timeout"] = (timeout_ms or _READY_MS) / 1000
    if urls:
        draft.site = {"pages": urls}


def _discovered(folder: Path, blocked: list[str], most: int, depth: int) -> list[str]:
    """Return the pages that Lighthouse CI would find in a folder."""
    files = sorted(file.relative_to(folder) for file in folder.rglob("*.html")) if folder.is_dir() else []
    paths = [f"/{file.as_posix()}" for file in files if len(file.parts) <= depth + 1]
    wanted = [path for path in paths if path not in blocked and f"http://localhost{path}" not in blocked]
    return [f"http://localhost{path}" for path in (wanted[:most] if most else wanted)]


def _at_port(url: str) -> str:
    """Return the address with the static server's port."""
    parts = urlsplit(url if "://" in url else f"http://localhost/{url.lstrip('/')}")
    return urlunsplit(parts._replace(netloc=f"{parts.hostname}:{_STATIC_PORT}"))


def _settings(settings: Source, draft: Draft) -> None:
    preset, form = settings.take("preset", str), settings.take("formFactor", str)
    screen = settings.table("screenEmulation")
    width, height = screen.take("width", int), screen.take("height", int)
    is_desktop = preset == "desktop" or form == "desktop"
    draft.scan["viewport"] = f"{width}x{height}" if width and height else _DESKTOP if is_desktop else _MOBILE
    for name in screen.rest():
        draft.leave(screen.named(name), "only the window size is carried over")
    if (wait_ms := settings.take("maxWaitForLoad", (int, float))) is not None:
        draft.scan["deadline"] = min(max(wait_ms / 1000, 1.0), 600.0)
    for category in _texts(settings.take("onlyCategories", (str, list))):
        if category != "accessibility":
            draft.leave(f"{settings.named('onlyCategories')} {category}", _NOT_ACCESSIBILITY)
    if only := _axe(settings, "onlyAudits", draft):
        draft.gate["rules"] = only
    if skipped := _axe(settings, "skipAudits", draft):
        draft.scan["disable"] = skipped
    _blocked(settings, draft)
    _flags(settings, draft)
    for name in settings.rest():
        draft.leave(settings.named(name), _NO_PLACE.get(name, "a Lighthouse setting without an equivalent"))


def _flags(settings: Source, draft: Draft) -> None:
    flags = settings.take("chromeFlags", (str, list))
    for flag in flags.split() if isinstance(flags, str) else _texts(flags):
        if flag.lstrip("-") == "ignore-certificate-errors":
            draft.scan["insecure"] = True
        elif flag.lstrip("-").partition("=")[0] not in {
            "no-sandbox",
            "headless",
            "disable-dev-shm-usage",
            "disable-gpu",
        }:
            draft.leave(f"{settings.named('chromeFlags')} {flag[:80]}", "the browser is the worker's")


def _axe(settings: Source, name: str, draft: Draft) -> list[str]:
    audits = _texts(settings.take(name, (str, list)))
    for audit in audits:
        if audit not in AXE_RULES:
            draft.leave(f"{settings.named(name)} {audit}", _NOT_ACCESSIBILITY)
    return [audit for audit in audits if audit in AXE_RULES]


def _blocked(settings: Source, draft: Draft) -> None:
    hosts: list[str] = []
    for pattern in _texts(settings.take("blockedUrlPatterns", (str, list))):
        host = re.sub(r"^(?:\*|https?:)?//|/\**$", "", pattern)
        if re.fullmatch(r"(?:\*\.)?[a-z0-9-]+(?:\.[a-z0-9-]+)+", host):
            hosts.append(host)
        else:
            draft.leave(f"{settings.named('blockedUrlPatterns')} {pattern[:120]}", "block takes hosts, not paths")
    if hosts:
        draft.scan["block"] = hosts


def _assert(source: Source, draft: Draft) -> None:
    preset = source.take("preset", str)
    assertions = source.table("assertions")
    level: dict[str, list[str]] = {"off": [], "warn": [], "error": []}
    _assertions(assertions, draft, level)
    for number, entry in enumerate(cast("list[Any]", source.take("assertMatrix", list) or [])):
        one = Source(cast("JsonMap", entry) if isinstance(entry, dict) else {}, source.named(f"assertMatrix[{number}]"))
        _matrix(one, draft, level)
    if preset:
        draft.gate["fail_on"] = "minor"
    elif level["error"] and "rules" not in draft.gate:
        draft.gate |= {"fail_on": "minor", "rules": level["error"]}
    if level["off"]:
        draft.scan["disable"] = [*draft.scan.get("disable", []), *level["off"]]
    for page in draft.pages:  # a page's list replaces the one for all pages
        page["disable"] = [*draft.scan.get("disable", []), *page["disable"]]
    if level["warn"]:
        draft.gate["report_only"] = level["warn"]


def _assertions(source: Source, draft: Draft, level: dict[str, list[str]]) -> None:
    for name in list(source.rest()):
        value = source.take(name)
        word, options = (value[0], cast("list[Any]", value)[1:]) if isinstance(value, list) and value else (value, [])
        if name == "categories:accessibility":
            draft.leave(
                source.named(name), "a score hides what is new; [gate] counts barriers, max and max_new allow some"
            )
        elif name not in AXE_RULES:
            draft.leave(source.named(name), _NOT_ACCESSIBILITY)
        elif not isinstance(word, str) or word not in level:
            draft.leave(source.named(name), "expected off, warn or error")
        else:
            level[word].append(name)
            if options and word == "error":
                for option in cast("JsonMap", options[0]) if isinstance(options[0], dict) else ():
                    if option != "minScore":
                        draft.leave(
                            f"{source.named(name)}.{option}", "a rule fails or passes; [gate.max.rules] allows a number"
                        )


def _matrix(one: Source, draft: Draft, level: dict[str, list[str]]) -> None:
    regex = str(one.take("matchingUrlPattern", str) or "")
    assertions = one.table("assertions")
    pattern = _glob(regex)
    if regex in {"", ".*", "^.*$"}:
        _assertions(assertions, draft, level)
    elif pattern is None:
        why = f"{regex[:120]!r} is not a pattern of paths: write its rules as a [[page]]"
        draft.leave(one.named("matchingUrlPattern"), why)
        for name in assertions.rest():
            draft.leave(assertions.named(name), "its pattern is not carried over")
    else:
        here: dict[str, list[str]] = {"off": [], "warn": [], "error": []}
        _assertions(assertions, draft, here)
        if here["off"]:
            draft.pages.append({"match": pattern, "disable": here["off"]})
        for rule in here["warn"]:
            draft.leave(
                f"{one.named('assertions')}.{rule}", "is report_only for all pages or none: use a [[waiver]] with match"
            )
        level["error"] += [rule for rule in here["error"] if rule not in level["error"]]
    _leave_rest(one, draft)


def _glob(regex: str) -> str | None:
    """Return a pattern that matches the same addresses, or None."""
    plain = re.sub(r"\\([./:?#&=-])", lambda found: found[1] if found[1] != "?" else "[?]", regex)
    text = plain.replace(".*", "\0").replace(".+", "\0?")
    if re.search(r"[()|*+{}^$\\]", text.removeprefix("^").removesuffix("$")) or re.search(
        r"(?<!\[)\?(?!\])", text.replace("\0?", "")
    ):
        return None
    head = "" if text.startswith(("^", "\0")) else "*"
    tail = "" if text.endswith(("$", "\0")) else "*"
    return head + text.removeprefix("^").removesuffix("$").replace("\0", "*") + tail


def _upload(upload: Source, draft: Draft) -> None:
    folder = upload.take("outputDir", str)
    if folder:
        upload.take("target")
        draft.reports = {"html": f"{folder.rstrip('/')}/report.html", "json": f"{folder.rstrip('/')}/report.json"}


def _texts(value: object) -> list[str]:
    return [value] if isinstance(value, str) else [str(one) for one in cast("list[Any]", value or [])]


def _leave_rest(source: Source, draft: Draft) -> None:
    for name in source.rest():
        draft.leave(source.named(name), _NO_PLACE.get(name, "no equivalent"))
