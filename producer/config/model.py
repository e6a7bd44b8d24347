"""The tables of ``sightline.toml``, without the scan options in them (``options.py``)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Annotated, Any, Final
from urllib.parse import urljoin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    create_model,
    model_validator,
)

from producer.config.options import Option, Texts, listed, with_options
from producer.contract.addresses import normal_url
from producer.contract.rules import check_rule
from producer.contract.steps import MAX_STEPS, Step, check_steps
from producer.contract.waiver import FINGERPRINT, MAX_REASON_CHARS

FORMATS: Final = ("table", "json", "jsonl", "csv", "markdown", "junit", "sarif", "html", "gitlab")
"""The formats of ``producer/reports/formats.py``; a test compares them. The file STDOUT is standard output."""
STDOUT: Final = "-"
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")

Rule = Annotated[str, AfterValidator(check_rule)]
Rules = Annotated[Texts, AfterValidator(lambda rules: [check_rule(rule) for rule in rules])]


def filled_in(text: str, variables: Mapping[str, str]) -> str:
    """Expand ``${NAME}`` and ``${NAME:-default}`` in ``text``; raises ``ValueError`` for an unset variable."""

    def value(found: re.Match[str]) -> str:
        text = variables.get(found[1]) or found[2]
        if text is None:
            msg = (
                f"the environment variable {found[1]} is not set; ${{{found[1]}:-http://localhost:3000/}} has a default"
            )
            raise ValueError(msg)
        return text

    return _VARIABLE.sub(value, text)


def _variables(info: ValidationInfo) -> Mapping[str, str]:
    return info.context["variables"] if info.context else {}


def _address(text: str, info: ValidationInfo) -> str:
    return normal_url(filled_in(text, _variables(info)))


def _site_address(text: str, info: ValidationInfo) -> str:
    """Return an address of a site, which may be a path under the site's ``url``."""
    text = filled_in(text, _variables(info))
    if "url" not in info.data:  # `url` itself is invalid
        return text
    if info.data["url"] is None and "://" not in text:
        raise ValueError(f"{text!r} is a path: expected `url` in the same [[site]]")
    return normal_url(urljoin(info.data["url"] or "", text))


Address = Annotated[str, AfterValidator(_address)]
Addresses = Annotated[
    list[Annotated[str, AfterValidator(_site_address)]],
    BeforeValidator(listed, json_schema_input_type=str | list[str]),
]


class Table(BaseModel):
    """Base of all tables: unknown keys are errors, and ``"5"`` is not a number."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)


class Start(Table):
    """The application to start before the run and to stop after it."""

    run: Annotated[str, Field(min_length=1, description="Shell command, run in this file's folder.")]
    url: Annotated[Address | None, Field(description="Address to wait for. [default: the first to scan]")] = None
    timeout: Annotated[float, Field(gt=0, le=3600, description="Seconds to wait for an answer.")] = 60.0


class Scan(Table):
    """Options of every page and of the run."""


class Site(Table):
    """Pages of one site, and their options."""

    name: Annotated[str, Field(description="Name of the site, for `--site`.")] = ""
    url: Annotated[
        Address | None, Field(description="Address of the site, the base of relative ones. Takes ${NAME}.")
    ] = None
    pages: Annotated[Addresses, Field(description="Addresses, or paths under `url`.")] = []
    file: Annotated[str, Field(description="File of addresses, one per line.")] = ""
    sitemaps: Annotated[Addresses, Field(description="Sitemaps, or sites whose robots.txt names them.")] = []
    crawl: Annotated[Addresses, Field(description="Addresses whose links are followed within their site.")] = []
    max_pages: Annotated[int | None, Field(ge=1, le=10_000, description="Maximum pages per crawl.")] = None
    per_pattern: Annotated[
        int | None, Field(ge=1, le=10_000, description="Maximum pages per crawl of one pattern.")
    ] = None
    match: Annotated[Texts, Field(description="Only pages of sitemaps and crawls that match, such as '/shop/*'.")] = []
    exclude: Annotated[
        Texts, Field(description="Skip pages of sitemaps and crawls that match, such as '*/print/*'.")
    ] = []
    replace: Annotated[dict[Address, Address], Field(description="Prefixes to replace in addresses of sitemaps.")] = {}
    ignore_robots: Annotated[
        bool, Field(description="Include pages of sitemaps and crawls that robots.txt forbids.")
    ] = False

    @model_validator(mode="after")
    def _has_pages(self) -> Site:
        if not (self.url or self.pages or self.sitemaps or self.crawl or self.file):
            raise ValueError("nothing to scan: expected url, pages, sitemaps, crawl or file")
        if not (self.sitemaps or self.crawl) and (self.match or self.exclude or self.ignore_robots):
            raise ValueError("match, exclude and ignore_robots select pages of sitemaps and crawls, but none is given")
        if self.replace and not self.sitemaps:
            raise ValueError("replace is for addresses of sitemaps, but none is given")
        if not self.crawl and (self.max_pages or self.per_pattern):
            raise ValueError("max_pages and per_pattern limit a crawl, but none is given")
        return self

    @property
    def addresses(self) -> list[str]:
        """The pages to scan, in addition to those of sitemaps and ``file``."""
        if not (self.pages or self.sitemaps or self.crawl or self.file):
            return [self.url or ""]
        return self.pages


class PageRule(Table):
    """Options of pages that match a pattern, on any site; later entries take precedence."""

    match: Annotated[Texts, Field(min_length=1, description="Patterns of a path ('/shop/*') or a whole address.")]


class Limits(Table):
    """Limits on the component barriers of a run, including known ones but not waived ones."""

    total: Annotated[int | None, Field(ge=0, description="Maximum in total.")] = None
    review: Annotated[int | None, Field(ge=0, description="Maximum of findings that need review.")] = None
    groups: Annotated[dict[str, Annotated[int, Field(ge=0)]], Field(description="Maximum per group of pages.")] = {}
    rules: Annotated[dict[Rule, Annotated[int, Field(ge=0)]], Field(description="Maximum per rule.")] = {}

    @property
    def is_set(self) -> bool:
        """Whether there is any limit."""
        return self.total is not None or self.review is not None or bool(self.groups or self.rules)


class Gate(Table):
    """The gate: what fails the run."""

    rules: Annotated[Rules, Field(description="Only findings of these rules count.")] = []
    report_only: Annotated[Rules, Field(description="Findings of these rules are only reported.")] = []
    count_review: Annotated[Rules, Field(description="Findings of these rules count although they need review.")] = []
    max: Annotated[Limits, Field(description="Component barriers allowed.")] = Limits()


class Reports(Table):
    """Format and file of each report; ``-`` is standard output."""


class FileWaiver(Table):
    """An accepted barrier, with reason and last day."""

    fingerprint: Annotated[str, Field(description="Fingerprint of an element, a component barrier or a finding.")] = ""
    rule: Annotated[Rule | None, Field(description="A rule, instead of `fingerprint`.")] = None
    match: Annotated[Texts, Field(description="With `rule`, only on these pages.")] = []
    reason: Annotated[str, Field(max_length=MAX_REASON_CHARS, description="Reason, shown in every report.")]
    until: Annotated[date | None, Field(description="Last day (UTC).")] = None

    @model_validator(mode="after")
    def _names_one(self) -> FileWaiver:
        if bool(self.fingerprint) == bool(self.rule):
            raise ValueError("expected one of fingerprint and rule")
        if self.fingerprint and not FINGERPRINT.fullmatch(self.fingerprint):
            shown = self.fingerprint[:60]
            raise ValueError(f"fingerprint {shown!r}: expected 24 hex digits, or 16-8 for a component barrier")
        if self.match and not self.rule:
            raise ValueError("match needs rule: a fingerprint is the same on every page that has it")
        if not self.reason.strip():
            raise ValueError("reason is empty: state why the barrier is accepted")
        return self


def _steps(steps: list[Step]) -> list[Step]:
    return list(check_steps(tuple(steps)))


def _filled_in(text: str, info: ValidationInfo) -> str:
    return filled_in(text, _variables(info))


class Journey(Table):
    """Named steps: run from the journey's own start page, or where `login` or `steps` of another table name it."""

    name: Annotated[str, Field(min_length=1, description="Name of the journey, for `login`, `steps` and messages.")]
    page: Annotated[
        str, AfterValidator(_filled_in), Field(description="Start page: an address, or a path under `site`.")
    ] = ""
    site: Annotated[str, Field(description="Name of the start page's site.  [default: the first with a `url`]")] = ""
    steps: Annotated[
        list[Step], AfterValidator(_steps), Field(min_length=1, max_length=MAX_STEPS, description="docs/journeys.md")
    ]


class Document(Table):
    """The whole of ``sightline.toml``."""

    start: Start | None = None
    scan: Scan = Scan()
    site: list[Site] = []
    page: list[PageRule] = []
    gate: Gate = Gate()
    reports: Reports = Reports()
    waiver: list[FileWaiver] = []
    journey: list[Journey] = []


def _start(value: object) -> object:
    return {"run": value} if isinstance(value, str) else value


def document_model(options: Sequence[Option]) -> type[Document]:
    """Return ``Document`` with the options of ``sightline scan`` in its tables; cached by options."""
    return _document_model(tuple(options))


@lru_cache(maxsize=1)
def _document_model(options: tuple[Option, ...]) -> type[Document]:
    sites = with_options(Site, "site", options)
    rules = with_options(PageRule, "page", options)
    scan, gate = with_options(Scan, "scan", options), with_options(Gate, "gate", options)
    reports = reports_model(FORMATS)
    start = Annotated[Start | None, BeforeValidator(_start, json_schema_input_type=str | Start)]
    fields: dict[str, Any] = {
        "start": (start, Field(None, description="Command that serves the site, or a table.")),
        "scan": (scan, Field(default_factory=scan)),
        "site": (list[sites], []),
        "page": (list[rules], []),
        "gate": (gate, Field(default_factory=gate)),
        "reports": (reports, Field(default_factory=reports)),
    }
    return create_model("Document", __base__=Document, __doc__=Document.__doc__, **fields)


def reports_model(formats: Iterable[str]) -> type[Reports]:
    """Return ``Reports`` with a key for each format."""
    fields: dict[str, Any] = {
        f"format_{name}": (str, Field("", alias=name, min_length=1, description=f"File of the {name} report."))
        for name in formats
    }
    return create_model("Reports", __base__=Reports, __doc__=Reports.__doc__, **fields)


def tables_of(model: type[Document]) -> dict[tuple[str, ...], type[BaseModel]]:
    """Return the model of each table by its path without numbers, to look up its keys."""
    parts = {name: field.annotation for name, field in model.model_fields.items()}

    def inner(annotation: Any) -> Any:
        return next((one for one in getattr(annotation, "__args__", ()) if isinstance(one, type)), annotation)

    return {
        (): model,
        ("start",): Start,
        ("scan",): inner(parts["scan"]),
        ("site",): inner(parts["site"]),
        ("page",): inner(parts["page"]),
        ("gate",): inner(parts["gate"]),
        ("gate", "max"): Limits,
        ("reports",): inner(parts["reports"]),
        ("waiver",): FileWaiver,
        ("journey",): Journey,
    }
