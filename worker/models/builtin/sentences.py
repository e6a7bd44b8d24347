"""The sentences of the built-in model: tools' documents in words, with nothing added. Pure.

Each takes one document of ``worker/agent/conversation/history_tools.py`` or ``compare_tool.py``, and cites the scans it
mentions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

from producer.contract import IMPACTS, JsonObject
from producer.reports.plain_text import counted

RANKS: Final = ("The worst", "The second worst", "The third worst", "The fourth worst", "The fifth worst")
MAX_LISTED: Final = 5
FIRST_LATER: Final = "first scanned later"
"""Part of a remark (``producer/reports/comparison.py``) that most answers make in their own words."""


def worst(told: JsonObject, rank: int, about: str = "") -> str:
    """Say which page in the scope ``about`` is the worst, or the ``rank``-th after it, and which come next."""
    scans = [one for one in objects(told.get("scans")) if _total(one) > 0]
    looked = counted(number_of(told, "pages"), "page")
    if not scans:
        return (
            f"{looked} looked at, and no machine-detectable barrier was found."
            if number_of(told, "pages")
            else none_of(about)
        )
    if rank >= len(scans):
        return f"There is none: {looked} looked at, and only {counted(len(scans), 'page')} with barriers."
    page = scans[rank]
    said = f"{RANKS[rank]} barriers are on {_named(page)}: {_barriers(page)}{_mostly(page)} {cite([page])}."
    following = scans[rank + 1 : rank + 3]
    if following:
        said += f" Then come {list_of(following)}."
    return " ".join([f"{said} {looked} looked at.", *gaps(told)])


def changes(told: JsonObject, since: str, about: str = "", *, is_assumed: bool) -> str:
    """Say what is new and what is fixed since a time, page by page."""
    when = (
        f"since {since} ({told.get('since')})"
        if not is_assumed
        else f"in the last seven days (since {told.get('since')})"
    )
    looked = number_of(told, "pages")
    if not looked:
        return none_of(about)
    new, fixed, later = (number_of(told, name) for name in ("new_barriers", "fixed_barriers", "first_scanned_since"))
    both = pages_at_both(told)
    compared = f"{both} of {counted(looked, 'page')}" if both < looked else counted(looked, "page")
    said = [f"{when[0].upper()}{when[1:]}: {counted(new, 'new failing element')}, {fixed} fixed, on {compared}."]
    if not both:
        said = [f"Nothing can be compared {when}: {_why_not(told)}."]
    else:
        said += component_sentences(told)
    for one in objects(told.get("changed")):
        doubt = f", uncertain for {', '.join(map(str, one['uncertain']))}" if one.get("uncertain") else ""
        parts = f"{_side(one, 'new')}, {_side(one, 'fixed')}{doubt}"
        said.append(f"{_named(one)}: {parts} {cite([one])}.")
    if number_of(told, "left_out"):
        said.append(f"{counted(number_of(told, 'left_out'), 'further changed page')} not listed.")
    first = objects(told.get("first_scanned"))
    if first:
        listed = ", ".join(f"{one.get('url')} {cite([one])}" for one in first)
        said.append(f"First scanned in that period, so not compared: {later}, such as {listed}.")
    if number_of(told, "pages_not_compared"):
        said.append(
            f"{counted(number_of(told, 'pages_not_compared'), 'page')} could not be compared: too many at once."
        )
    return " ".join([*said, *gaps(told)])


def pages_at_both(told: JsonObject) -> int:
    """Return the number of pages that could be compared."""
    return (
        number_of(told, "pages") - number_of(told, "first_scanned_since") - number_of(told, "pages_scanned_otherwise")
    )


def _why_not(told: JsonObject) -> str:
    if not number_of(told, "pages_scanned_otherwise"):
        return "no page was scanned before"
    return "no page was scanned before completely and with the same rules, parts and width"


def gaps(told: JsonObject) -> list[str]:
    """Return a sentence for each reason why an answer does not cover all pages; new pages are named elsewhere."""
    lines = [str(line) for line in cast("list[object]", told.get("not_compared") or [])]
    said = [f"Not compared: {line}." for line in lines if FIRST_LATER not in line]
    if otherwise := number_of(told, "pages_scanned_otherwise"):
        pages = counted(otherwise, "page was", "pages were")
        said.append(f"Not compared: {pages} scanned before only in part, or with other rules, parts or widths.")
    if told.get("shortened"):
        said.append("Not everything that changed is listed: ask about one site, group or page.")
    if number_of(told, "more_pages_than"):
        said.append(f"Only the {number_of(told, 'more_pages_than'):,} pages seen last were looked at: name a site.")
    if number_of(told, "only_looked_at"):
        said.append(f"Only {number_of(told, 'only_looked_at'):,} component barriers were looked at: name a site.")
    return said


def component_sentences(told: JsonObject) -> list[str]:
    """Return a sentence for each component barrier that changed: by name, with its pages and a scan."""
    words = {"new": "New", "mended": "Fixed", "moved": "On other pages", "uncertain": "Uncertain"}
    listed = objects(told.get("components"))
    said = [
        f"{words.get(str(one.get('change')), 'Changed')}: "
        f"{named_component(one)}, {one.get('where')} {cite_one(one)}".rstrip()
        + "."
        for one in listed
    ]
    counts = cast("JsonObject", told.get("component_barriers") or {})
    left = sum(number_of(counts, change) for change in words) - len(listed)
    return [*said, f"{counted(left, 'further component barrier')} changed and not listed."] if left > 0 else said


def cite_one(one: JsonObject) -> str:
    """Return the scan of an entry as cited in an answer; '' if none is kept."""
    return cite([one]) if one.get("scan") else ""


def named_component(one: JsonObject) -> str:
    """Return a component barrier by name, rule and id."""
    return f"\u201c{one.get('name')}\u201d ({one.get('rule')}, {one.get('id')})"


def groups(told: JsonObject, since: str) -> str:
    """Say which groups got worse and which got better since a time, each with the scan of its most changed page."""
    if not number_of(told, "pages"):
        return NONE
    listed = objects(told.get("groups"))
    when = f"since {since} ({told.get('since')})"
    parts = ["; ".join(_group(one) for one in listed if _is(one, is_worse=is_worse)) for is_worse in (True, False)]
    first = number_of(told, "first_scanned_since")
    if first == number_of(told, "pages"):
        return f"Nothing can be compared {when}: {counted(first, 'page')} scanned, all for the first time."
    if not pages_at_both(told):
        return f"Nothing can be compared {when}: {_why_not(told)}."
    said = [f"Worse {when}: {parts[0]}." if parts[0] else f"No group got worse {when}."]
    if parts[1]:
        said.append(f"Better: {parts[1]}.")
    if first:
        said.append(f"Not compared because first scanned since then: {counted(first, 'page')}.")
    return " ".join([*said, *gaps(told)])


def _is(group: JsonObject, *, is_worse: bool) -> bool:
    """Return whether a group got worse, or better: by component barriers if any changed, else by elements."""
    gained, lost = bool(group.get("new_components")), bool(group.get("mended_components"))
    step = number_of(group, "new") - number_of(group, "fixed")
    if gained or lost:
        return gained if is_worse else lost
    if step == 0:
        return number_of(group, "new") > 0  # as many were fixed: both worse and better
    return step > 0 if is_worse else step < 0


def _group(group: JsonObject) -> str:
    names = [
        f"{word} {', '.join(map(str, cast('list[object]', group[field])))}"
        for word, field in (("new:", "new_components"), ("fixed:", "mended_components"))
        if group.get(field)
    ]
    about = "; ".join([f"{group.get('new')} new, {group.get('fixed')} fixed", *names])
    return f"\u201c{group.get('group')}\u201d ({about}) {cite([group])}"


def about_scan(told: JsonObject) -> str:
    """Say what one scan found."""
    findings = objects(told.get("findings"))
    head = f"{_named(told)}, last seen in this state on {told.get('seen')}"
    if told.get("status") == "partial":
        head += ", read only in part"
    if not findings:
        return f"{head}: no machine-detectable barrier was found {cite([told])}."
    listed = [
        f"{one.get('rule')} ({one.get('impact') or 'unrated'}, {counted(number_of(one, 'elements'), 'element')})"
        for one in findings
    ]
    more = f", and {counted(number_of(told, 'left_out'), 'further rule')}" if number_of(told, "left_out") else ""
    return f"{head}: {_barriers(told)} {cite([told])}. Failed rules, worst first: {', '.join(listed)}{more}."


def pages(told: JsonObject, name: str) -> str:
    """List the pages of a name or group."""
    scans = objects(told.get("scans"))
    total = number_of(cast("JsonObject", told.get("barriers_of_all_pages") or {}), "total")
    fitting, failing = counted(number_of(told, "pages"), "page"), counted(total, "failing element")
    said = f"{fitting} fit {name!r}, with {failing}: {list_of(scans)}."
    left = number_of(told, "left_out")
    more = [f"{counted(left, 'further page')} not listed."] if left else []
    return " ".join([said, *more, *gaps(told)])


def no_page(name: str) -> str:
    """Say that no page or group has that name."""
    return f"No scanned page has {name!r} in its address or title, and no group has that name."


def remembered(told: JsonObject) -> str:
    """Say what is remembered."""
    return f"Remembered: {told.get('remembered')}"


NONE: Final = "No page has been scanned yet that fits the question."


def none_of(about: str) -> str:
    """Say that no page fits, and which scope was asked for."""
    return f"{NONE[:-1]}: {about}." if about else NONE


def _named(page: JsonObject) -> str:
    title, url = str(page.get("title") or ""), str(page.get("url") or "a page without an address")
    named = f"\u201c{title}\u201d ({url})" if title else url
    return f"{named} in the state {page['state']!r}" if page.get("state") else named


def _barriers(page: JsonObject) -> str:
    counts = cast("JsonObject", page.get("barriers") or {})
    shares = [f"{counts[impact.value]} {impact.value}" for impact in reversed(IMPACTS) if counts.get(impact.value)]
    said = counted(_total(page), "element")
    return f"{said} ({', '.join(shares)})" if shares else said


def _mostly(page: JsonObject) -> str:
    rules = list(cast("JsonObject", page.get("rules") or {}).items())[:3]
    return f", most of {', '.join(f'{rule} ({number})' for rule, number in rules)}" if rules else ""


def list_of(scans: Sequence[JsonObject], rule: str = "", *, of_all: str = "") -> str:
    """Return the first pages with their barriers, of one rule if given, and scans; ``of_all`` follows each number."""
    return ", ".join(f"{_named(one)} with {_total(one, rule)}{of_all} {cite([one])}" for one in scans[:MAX_LISTED])


def _side(change: JsonObject, name: str) -> str:
    sums = cast("JsonObject", change.get(name) or {})
    rules = ", ".join(f"{rule} {number}" for rule, number in sums.items() if rule != "total")
    return f"{number_of(sums, 'total')} {name}" + (f" ({rules})" if rules else "")


def _total(page: JsonObject, rule: str = "") -> int:
    of_rules = cast("JsonObject", page.get("rules") or {})
    if rule in of_rules:
        return number_of(of_rules, rule)
    return number_of(cast("JsonObject", page.get("barriers") or {}), "total")


def cite(scans: Iterable[JsonObject]) -> str:
    """Return the scans as cited in an answer."""
    ids = [str(one.get("scan")) for one in scans]
    return f"[scan {', '.join(ids)}]" if ids else "(no scan)"


def number_of(fields: JsonObject, name: str) -> int:
    """Return the number of that name in ``fields``; 0 if there is none."""
    value = fields.get(name)
    return value if isinstance(value, int) else 0


def objects(value: Any) -> list[JsonObject]:
    """Return the objects of a list; none of anything else."""
    listed = cast("Iterable[object]", value) if isinstance(value, list) else ()
    return [cast("JsonObject", one) for one in listed if isinstance(one, dict)]
