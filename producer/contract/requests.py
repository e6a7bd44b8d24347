"""Requests, to scan a page or answer a question, and their validation."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from producer.contract.addresses import host_of, normal_url, site_of, state_of, state_url
from producer.contract.appearance import Appearance
from producer.contract.certificates import check_certificates
from producer.contract.checks import AXE, checked_checks
from producer.contract.doubts import DOUBTS
from producer.contract.hosts import check_host_pattern, fits_host
from producer.contract.message import Message, describe_invalid
from producer.contract.rules import check_rule
from producer.contract.selectors import check_selector
from producer.contract.steps import MAX_STEPS, Login, Step, check_steps, state_of_steps
from producer.contract.terms import MAX_RUN_CHARS, JsonObject, Standard
from producer.errors import InvalidJob


class ScanRequest(Appearance):
    """One page to scan.

    Exactly one of ``url`` and ``html``. ``wait_until`` is the load event to wait for; ``wait_for`` a CSS selector that
    must also appear. ``scroll``: the page is scrolled through once before the audit. ``deadline_s`` bounds the whole
    scan. ``screenshot`` requests screenshots of the page and of each finding's first few elements. ``group`` names the
    template or section that the page belongs to. Scans of the page's host begin at least ``host_gap_ms`` apart, the
    Crawl-delay of its robots.txt, or HOST_GAP_MS if that is more. Secrets (headers, storage state) are not part of the
    request: see ``Keys.secret``.

    ``enabled_rules`` run in addition to those of the standard; findings of experimental ones need review. Requests to
    ``blocked_hosts`` (``name`` or ``*.name``) are blocked. ``allow_partial`` names kinds of doubt that leave the page
    ``scanned``. ``insecure`` ignores certificate errors, and the result says so. ``ca`` has certificates (PEM text) of
    authorities to trust in addition to those of the worker's machine. A worker of a release before these five fields
    ignores them (consequences: ``docs/scan-options.md``).

    ``run`` names the submitting pipeline run: the page is compared with its last state before that run began, so that a
    repeated run finds the same barriers new. A worker of a release before this field compares with the last state.

    ``appearance.py`` has the fields that set how the page is shown, and so its state.

    ``try_fixes``: changes of markup are tried on the page, which is loaded again for this; None means only if it is
    assessed.

    ``steps`` run once the page has loaded, and their outcome is scanned. If the last step is a ``scan``, the outcome is
    a separate page, the state of that name (``page_url``). ``login`` runs before, once per batch. Both may have
    variables, whose values are secrets (``variables``). A worker of a release before these two fields ignores them and
    scans the page without login and steps.

    ``checks`` are ``axe``, and ``live`` for checks of the page in use, whose findings need review (``docs/live.md``). A
    worker of a release before this field runs only axe-core, and its result has no ``live``.
    """

    url: str | None = None
    html: str | None = None
    standard: Standard = "wcag22aa"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    disabled_rules: tuple[str, ...] = ()
    enabled_rules: tuple[str, ...] = ()
    wait_until: Literal["load", "domcontentloaded"] = "load"
    wait_for: str | None = None
    scroll: bool = True
    deadline_s: Annotated[float, Field(gt=0, le=600)] = 60.0
    screenshot: bool = False
    assess: bool = True
    try_fixes: bool | None = None
    group: Annotated[str, Field(max_length=200)] = ""
    host_gap_ms: Annotated[int, Field(ge=0, le=60_000)] = 0
    allow_partial: tuple[str, ...] = ()
    blocked_hosts: Annotated[tuple[str, ...], Field(max_length=100)] = ()
    insecure: bool = False
    ca: str = ""
    run: Annotated[str, Field(max_length=MAX_RUN_CHARS)] = ""
    steps: Annotated[tuple[Step, ...], Field(max_length=MAX_STEPS)] = ()
    login: Login | None = None
    checks: tuple[str, ...] = (AXE,)

    @property
    def page_url(self) -> str:
        """The page's address in history and reports: its own, or that of its state; '' for HTML."""
        return state_url(self.url or "", state_of_steps(self.steps))

    @field_validator("url")
    @classmethod
    def _url_has_one_spelling(cls, url: str | None) -> str | None:
        if url is not None and state_of(url):
            raise ValueError(
                f"{url[:200]!r} is a state of a page: expected the page's address, and the steps that lead to the state"
            )
        return None if url is None else normal_url(url)

    @field_validator("steps")
    @classmethod
    def _steps_end_in_one_state(cls, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        return check_steps(steps)

    @field_validator("include", "exclude")
    @classmethod
    def _selectors_are_css(cls, selectors: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(check_selector, selectors))

    @field_validator("wait_for")
    @classmethod
    def _wait_for_is_css(cls, selector: str | None) -> str | None:
        return check_selector(selector) if selector else selector

    @field_validator("disabled_rules", "enabled_rules")
    @classmethod
    def _rules_are_known(cls, rules: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(check_rule, rules))

    @field_validator("checks")
    @classmethod
    def _checks_are_known(cls, checks: tuple[str, ...]) -> tuple[str, ...]:
        return checked_checks(checks)

    @field_validator("blocked_hosts")
    @classmethod
    def _hosts_are_names(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(check_host_pattern, hosts))

    @field_validator("ca")
    @classmethod
    def _ca_is_certificates(cls, text: str) -> str:
        return check_certificates(text) if text else text

    @field_validator("run")
    @classmethod
    def _run_is_one_line(cls, run: str) -> str:
        if not run.isprintable():
            raise ValueError(f"{run!r} is not one line of printable text: expected the id of a pipeline run")
        return run

    @field_validator("allow_partial")
    @classmethod
    def _kinds_are_known(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [kind for kind in kinds if kind not in DOUBTS]
        if unknown:
            msg = f"unknown kind of doubt {unknown[0]!r}: expected {', '.join(sorted(DOUBTS))}"
            raise ValueError(msg)
        return kinds

    @model_validator(mode="after")
    def _one_source(self) -> ScanRequest:
        if (self.url is None) == (self.html is None):
            raise ValueError("expected exactly one of url and html")
        for what, url in (("page itself", self.url), ("login", self.login.url if self.login else None)):
            if url is not None and fits_host(host_of(url), self.blocked_hosts):
                raise ValueError(f"blocked_hosts: {host_of(url)!r} is the host of the {what}")
        if self.ca and self.insecure:
            raise ValueError("expected ca or insecure, not both: one checks certificates, the other does not")
        if self.url is None and (self.steps or self.login):
            raise ValueError("steps and login are for a page with an address: give url, not html")
        return self


class QueryRequest(Message):
    """A question about scan results; ``site``, a host or an address on it, limits it to one site."""

    question: Annotated[str, Field(min_length=1, max_length=20_000)]
    thread_id: Annotated[str, Field(max_length=200)] = ""
    site: Annotated[str, Field(max_length=255)] = ""
    use_cache: bool = True

    @field_validator("question")
    @classmethod
    def _question_has_words(cls, question: str) -> str:
        if not question.strip():
            raise ValueError("the question is empty")
        return question

    @field_validator("site")
    @classmethod
    def _site_is_a_host(cls, site: str) -> str:
        name = site_of(site if "://" in site else f"//{site}")
        if site.strip() and (not name or any(char.isspace() for char in name)):
            raise ValueError(f"{site[:100]!r} is not a host: expected one such as shop.example or localhost:3000")
        return name


REQUESTS: Final[dict[str, type[Message]]] = {"scan": ScanRequest, "query": QueryRequest}


def checked_fields(kind: str, payload: BaseModel | JsonObject) -> JsonObject:
    """Return the payload to send, without defaults; raises ``InvalidJob`` if it does not match ``kind``."""
    if isinstance(payload, BaseModel):
        return payload.model_dump(mode="json", exclude_defaults=True)
    model = REQUESTS.get(kind)
    if model is None:
        msg = f"{kind}: the payload is a {type(payload).__name__}: expected a dict such as {{'url': 'https://…'}}"
        raise InvalidJob(msg)
    try:
        return model.model_validate(payload).model_dump(mode="json", exclude_defaults=True)
    except ValidationError as error:
        raise InvalidJob(f"{kind}: {describe_invalid(error)}") from None
