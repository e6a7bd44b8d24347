"""Options for scanning a page: the group by pattern, and the fields of a request."""

from __future__ import annotations

from pathlib import Path

import pytest

from producer.cli.main import run
from producer.cli.scan.appearance import states_of
from producer.cli.scan.options import ScanOptions, groups_of, request_options
from producer.cli.scan.submit import ScanPlan
from producer.contract import ScanRequest
from producer.contract.certificates import check_certificates
from tests.support.site import VOUCHED

CART, TEA, HOME = (f"https://shop.example/{path}" for path in ("shop/cart?x=1", "blog/tea", ""))


def test_a_page_is_of_the_first_group_that_fits_it_and_else_of_none() -> None:
    groups = groups_of([CART, TEA, HOME], ["/shop/*=shop", "*/blog/*=blog", "/shop/cart*=never"])

    assert groups == {CART: "shop", TEA: "blog"}


def test_a_plain_name_is_the_group_of_the_rest() -> None:
    assert groups_of([CART, HOME], ["/shop/*=shop", "rest"]) == {CART: "shop", HOME: "rest"}
    assert groups_of([CART], []) == {}


def test_only_options_that_were_given_become_fields_of_the_request() -> None:
    size = {"width": 390, "height": 844}
    asked = ScanOptions(without=("#chat",), disabled_rules=("color-contrast",), viewport=(size,))
    fields = {**request_options(asked), **states_of(asked)[0]}

    request = ScanRequest.model_validate({"url": HOME, **fields})
    assert fields.keys() == {"exclude", "disabled_rules", "viewport"}
    assert (request.exclude, request.disabled_rules, request.viewport.width) == (("#chat",), ("color-contrast",), 390)


def test_pages_are_scrolled_through_unless_that_is_switched_off() -> None:
    fields = request_options(ScanOptions(no_scroll=True))

    assert fields == {"scroll": False}
    assert not ScanRequest.model_validate({"url": HOME, **fields}).scroll
    assert ScanRequest(url=HOME).scroll


@pytest.mark.parametrize("wanted", [True, False, None])
def test_changes_are_tried_as_asked_and_else_as_the_page_is_assessed(wanted: bool | None) -> None:
    fields = request_options(ScanOptions(try_fixes=wanted))

    assert fields == ({} if wanted is None else {"try_fixes": wanted})
    assert ScanRequest.model_validate({"url": HOME, **fields}).try_fixes is wanted


def test_a_group_is_in_the_payload_of_its_page_alone_and_in_the_name_of_its_job() -> None:
    plan = ScanPlan((CART, HOME), {}, "b", groups={CART: "shop"})

    assert list(plan.payloads()) == [{"url": CART, "group": "shop"}, {"url": HOME}]
    assert len({*plan.job_ids(), *ScanPlan((CART, HOME), {}, "b").job_ids()}) == 3


def test_every_option_for_third_party_content_becomes_a_field_of_the_request() -> None:
    given = ScanOptions(
        enabled_rules=("css-orientation-lock",),
        blocked_hosts=("Ads.Example", "*.tracker.example"),
        allow_partial=("unread-frame",),
        wait_until="domcontentloaded",
        deadline_s=300.0,
        insecure=True,
    )

    request = ScanRequest.model_validate({"url": HOME, **request_options(given)})

    assert request.enabled_rules == ("css-orientation-lock",)
    assert request.blocked_hosts == ("ads.example", "*.tracker.example")
    assert (request.allow_partial, request.wait_until) == (("unread-frame",), "domcontentloaded")
    assert (request.deadline_s, request.insecure) == (300.0, True)
    assert request_options(ScanOptions()) == {}, "the ids of a batch's jobs are made of what is given"


def test_a_file_of_authorities_is_read_for_its_certificates_alone() -> None:
    key_and_certificate = VOUCHED.read_text()

    kept = check_certificates(f"subject=staging\r\n{key_and_certificate}")
    request = ScanRequest(url=HOME, ca=kept)

    assert "PRIVATE KEY" in key_and_certificate
    assert kept.startswith("-----BEGIN CERTIFICATE-----\nMII")
    assert kept.count("-----") == 4
    assert request.ca == kept
    with pytest.raises(ValueError, match="expected ca or insecure, not both"):
        ScanRequest(url=HOME, ca=kept, insecure=True)
    with pytest.raises(ValueError, match="expected at most 65,536"):
        ScanRequest(url=HOME, ca=kept * 200)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"-----BEGIN PRIVATE KEY-----", "no certificate: expected PEM text"),
        (b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", "the certificate is broken"),
        (b"0\x82\xff\xfe", "is not text: expected PEM"),
        (None, "No such file or directory; expected a file with certificates"),
    ],
)
def test_a_file_without_authorities_is_refused_by_name(
    content: bytes | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)

    code = run(["scan", HOME, "--ca", str(file)])  # no Redis is there to be asked

    heard = capsys.readouterr().err
    assert code == 64
    assert "ca.pem" in heard
    assert said in heard


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--within", "##main"], "'##main' is not a CSS selector"),
        (["--without", "div["], "'div[' is not a CSS selector"),
        (["--wait-for", "a >"], "'a >' is not a CSS selector"),
        (["--enable", "colour-contrast"], "did you mean color-contrast?"),
        (["--disable", "no-rule"], "axe-core has no rule 'no-rule'"),
        (["--block", "https://ads.example/"], "is not a host"),
        (["--allow-partial", "everything"], "'everything' is not one of"),
        (["--deadline", "601"], "0<x<=600"),
        (["--wait-until", "idle"], "'idle' is not one of"),
        (["--block", "*.example", "--block", "shop.example"], "is the host of"),
    ],
)
@pytest.mark.parametrize("command", [["scan"], ["schedule", "add", "nightly", "0 3 * * *"]])
def test_a_wrong_value_is_refused_before_anything_is_queued(
    command: list[str], arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run([*command, HOME, *arguments])  # no Redis is there to be asked

    assert code == 64
    assert said in capsys.readouterr().err


def test_pages_that_differ_have_fields_and_secrets_of_their_own() -> None:
    own, secrets = {CART: {"standard": "wcag2a"}}, {CART: {"headers": {"A": "1"}}}
    plan = ScanPlan((CART, TEA, HOME), {"assess": False}, "b", own=own, own_secrets=secrets)

    assert [(payload.get("standard"), payload.get("assess")) for payload in plan.payloads()] == [
        ("wcag2a", None), (None, False), (None, False)
    ]  # fmt: skip
    assert list(plan.by_secrets()) == [({"headers": {"A": "1"}}, 1), (None, 2)]
    assert "headers" not in repr(plan)
