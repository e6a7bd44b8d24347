"""Derives the doubts about a page from the facts of a visit. Pure.

The kinds are in ``producer/contract/doubts.py``, their triggers in ``docs/doubts.md``. Doubts that arise during the
visit (a wait that ended early, a frame that did not answer) are recorded by ``load.py`` and ``visit.py``; all others
are derived here, at most one of each kind. ``looks.py`` judges a page's wording.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from producer.contract import Doubt, ScanRequest, public_url
from producer.contract.addresses import state_of
from producer.reports.plain_text import one_line
from worker.scan.content import Content, Embedded
from worker.scan.guard import Refusal
from worker.scan.looks import describe_look, looks_like
from worker.scan.losses import FrameDocument, Loss
from worker.scan.nothing import shows_nothing
from worker.scan.proxy import origin_of
from worker.scan.verdict import is_sign_in_page
from worker.scan.waiting import Facts
from worker.scan.watch import Watch

_PART_STATUS: Final = {202: "202 Accepted: the page is not there yet", 206: "206 Partial Content: a part of the page"}
_FIRST_ERROR: Final = 400
_SHOWN: Final = 3
"""Maximum number of things named in a doubt; the rest are counted."""
MAX_CHARS: Final = 300
"""Of a text of a doubt."""
_MOST_SIGN_IN_CHARS: Final = 400
_PICTURES: Final = ("image/", "video/", "audio/", "font/")
_PICTURE_FILES: Final = (".svg", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".avif", ".mp4", ".webm", ".mp3", ".swf")
_COUNTRY_LEVELS: Final = frozenset({"co", "com", "org", "net", "gov", "gob", "ac", "edu"})


@dataclass(frozen=True, slots=True)
class Evidence:
    """The facts from which doubts are derived. ``content`` is missing if the page could not be read."""

    facts: Facts
    content: Content | None
    watch: Watch
    refusals: Sequence[Refusal] = ()
    is_page_local: bool = False
    """Whether the page itself is on an address that is not public."""


def doubts_about(request: ScanRequest, seen: Evidence) -> Iterator[Doubt]:
    """Yield the doubts about the page."""
    if request.insecure:
        yield Doubt(kind="insecure", what="certificate errors were ignored, as the request asks")
    yield from _of_document(seen)
    if seen.content is not None:
        yield from _of_looks(request, seen.facts, seen.content, seen.watch)
        # In a state reached by steps, an open dialog is wanted; the page behind it is a different page.
        is_state = bool(state_of(request.page_url))
        doubts = _not_looked_into(seen.content, seen.watch)
        yield from (doubt for doubt in doubts if not (is_state and doubt.kind == "behind-modal"))
    yield from _kept_from(seen)


def unseen(doubts: Iterable[Doubt], request: ScanRequest) -> list[Doubt]:
    """Return the doubts that make the page ``partial``: unscanned parts that the request does not allow."""
    return [doubt for doubt in doubts if doubt.is_unseen and doubt.kind not in request.allow_partial]


def _of_document(seen: Evidence) -> Iterator[Doubt]:
    document, shown = seen.watch.document, seen.facts.href
    if document is not None and document.challenge:
        yield _doubt("bot-wall", f"the page is a bot check (header {document.challenge})")
    elif document is not None and document.status in _PART_STATUS:
        yield _doubt("partial-document", f"the server answered {_PART_STATUS[document.status]}")
    left = seen.watch.moved_from
    if left and document is not None and not _is_same_site(left, document.url):
        what = f"the page moved from {public_url(left)} to another host after it had loaded: {public_url(shown)}"
        yield _doubt("moved-host", what, where=public_url(shown))


def _of_looks(request: ScanRequest, facts: Facts, content: Content, watch: Watch) -> Iterator[Doubt]:
    """Yield at most one doubt: an empty page has no wording, and a bot wall does not ask for a sign-in."""
    if (nothing := shows_nothing(content, watch.losses, is_state=bool(state_of(request.page_url)))) is not None:
        kind, what, certainty = nothing
        yield Doubt(kind=kind, what=one_line(what, limit=MAX_CHARS), certainty=certainty)
        return
    kind, words = looks_like(content, asked=request.url or "")
    if kind and not (kind == "bot-wall" and watch.document is not None and watch.document.challenge):
        yield Doubt(kind=kind, what=one_line(describe_look(kind, words), limit=MAX_CHARS), certainty="likely")
    elif not kind and _asks_to_sign_in(request, facts, content):
        yield Doubt(
            kind="sign-in", what="the page asks for a sign-in: content behind it was not scanned", certainty="likely"
        )


def _asks_to_sign_in(request: ScanRequest, facts: Facts, content: Content) -> bool:
    if not facts.asks_who:
        return False
    if is_sign_in_page(asked=request.url or "", title=content.title, heading=" ".join(content.headings[:1])):
        return True
    is_all = len(content.text) <= _MOST_SIGN_IN_CHARS and content.passwords == 1 and not content.new_passwords
    return is_all and content.entries <= _SHOWN and is_sign_in_page(asked=request.url or "", title="login", heading="")


def _not_looked_into(content: Content, watch: Watch) -> Iterator[Doubt]:
    frames = {document.url: document for document in watch.losses.frames.values()}
    failed = [
        (frame.url, f"the frame {public_url(frame.url)} answered {frames[frame.url].status}")
        for frame in content.frames
        if frame.url in frames and frames[frame.url].status >= _FIRST_ERROR
    ]
    if failed:
        yield _doubt("unread-frame", _several([why for _, why in failed]), where=public_url(failed[0][0]))
    if empty := [frame for frame in content.frames if frame.is_empty and frame.url not in watch.unread_frames]:
        names = [f"the frame {public_url(frame.url)} never loaded" for frame in empty]
        yield _doubt("lazy-frame", _several(names), where=empty[0].where)
    if content.silent_frames:
        number = "a frame shows" if content.silent_frames == 1 else f"{content.silent_frames} frames show"
        yield _doubt("audit-failed", f"what {number} could not be read after the rules had run")
    if content.closed_roots:
        names = [
            f"<{name}> holds content in a closed shadow root, which no rule can read" for name in content.closed_roots
        ]
        yield _doubt("closed-shadow-root", _several(names), where=content.closed_roots[0])
    if embedded := [one for one in content.embedded if _is_document(one, frames)]:
        names = [f"<{one.where}> embeds {public_url(one.url)}, which no rule can check" for one in embedded]
        yield _doubt("embedded-document", _several(names), where=embedded[0].where)
    if content.shadowed:
        names = [f"the form {one.form!r} has a field named {one.field!r}" for one in content.shadowed]
        yield _doubt("shadowed-names", f"{_several(names)}: axe-core cannot read it", where=content.shadowed[0].form)
    if content.modal and content.has_more_than_modal:
        what = f"only the modal dialog {content.modal!r} was scanned: rules ignore the rest while it is open"
        yield _doubt("behind-modal", what, where=content.modal)
    elif content.inert:
        what = f"the content of {content.inert!r} is inert or hidden from assistive technology: rules ignore it"
        yield _doubt("behind-modal", what, where=content.inert)
    if content.parse_error:
        yield _doubt("parse-error", f"the document is XML with an error, and ends there: {content.parse_error}")


def _is_document(one: Embedded, frames: dict[str, FrameDocument]) -> bool:
    """Return whether an ``object`` or ``embed`` contains a text document rather than an image."""
    answered = frames.get(one.url)
    kind = one.type or (answered.content_type if answered else "")
    path = one.url.partition("?")[0].lower()
    if kind.startswith(_PICTURES) or (not kind and path.endswith(_PICTURE_FILES)):
        return False
    if kind in {"text/html", "application/xhtml+xml", "application/pdf", "text/plain"}:
        return True
    return one.has_window or one.url.startswith("data:text/html") or path.endswith((".html", ".htm", ".pdf"))


def _kept_from(seen: Evidence) -> Iterator[Doubt]:
    refused = {(refusal.host, refusal.port) for refusal in seen.refusals}
    if seen.refusals:
        first, names = seen.refusals[0], [refusal.describe() for refusal in seen.refusals]
        kind = "refused-request" if seen.is_page_local else "refused-local"
        yield _doubt(kind, _several(names), where=f"{first.host}:{first.port}")
    lost = [loss for loss in seen.watch.losses.failed if origin_of(loss.url) not in refused]
    own = [loss for loss in lost if loss.kind == "stylesheet" and _is_same_site(loss.url, seen.facts.href)]
    others = [loss for loss in lost if loss not in own]
    if own:
        yield _doubt("failed-stylesheet", _losses(own), where=public_url(own[0].url))
    if others:
        yield _doubt("failed-request", _losses(others), where=public_url(others[0].url))


def _losses(lost: Sequence[Loss]) -> str:
    return _several([f"the {loss.kind} {public_url(loss.url)} {loss.why}" for loss in lost])


def _several(things: Sequence[str]) -> str:
    """Return the first few things in one line, with the number of others."""
    more = f"; and {len(things) - _SHOWN} more" if len(things) > _SHOWN else ""
    limit = (MAX_CHARS - len(more)) // min(len(things), _SHOWN) - len("; ")
    return "; ".join(one_line(thing, limit=limit) for thing in things[:_SHOWN]) + more


def _is_same_site(url: str, other: str) -> bool:
    return _site_of(url) == _site_of(other)


def _site_of(url: str) -> str:
    """Return the approximate registrable domain of an address (without the public suffix list); an IP's host."""
    host = origin_of(url)[0].rstrip(".")
    labels = host.split(".")
    if ":" in host or labels[-1].isdigit():
        return host
    is_longer = len(labels) > 2 and labels[-2] in _COUNTRY_LEVELS  # noqa: PLR2004  shop.co.uk
    return ".".join(labels[-3 if is_longer else -2 :])


def _doubt(kind: str, what: str, *, where: str = "") -> Doubt:
    return Doubt(kind=kind, what=one_line(what, limit=MAX_CHARS), where=one_line(where, limit=MAX_CHARS))
