"""Targets: one bad address does not affect others, and none is scanned twice."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from producer.cli.scan.targets import first_address, read_targets


def test_addresses_come_in_order_and_once() -> None:
    file = io.StringIO("https://b.example/\n# not this\n\n  https://a.example/  \nhttps://b.example/\n")

    targets = read_targets(["https://a.example/"], file)

    assert targets.urls == ("https://a.example/", "https://b.example/")


def test_a_comment_after_an_address_is_no_part_of_it() -> None:
    file = io.StringIO(
        "https://a.example/cart  # the new one\nhttps://a.example/#/pay\t#/shop\n  # https://b.example/\n"
    )

    assert read_targets([], file).urls == ("https://a.example/cart", "https://a.example/#/pay")


def test_an_invalid_address_among_valid_ones_is_skipped_with_its_reason() -> None:
    targets = read_targets(["nonsense", "https://a.example/"], None)

    assert targets.urls == ("https://a.example/",)
    assert [(page.url, page.outcome) for page in targets.refused] == [("nonsense", "refused")]
    assert "http:// or https://" in targets.refused[0].problem


def test_an_address_with_another_fragment_is_another_page() -> None:
    targets = read_targets(["https://a.example/#/cart", "https://a.example/#/shop"], None)

    assert len(targets.urls) == 2


def test_international_and_percent_encoded_addresses_are_spelled_one_way() -> None:
    given = ["https://bücher.example/ü", "https://xn--bcher-kva.example/%c3%bc", "https://a.example/%C3%BC?q=%20"]

    expected = ("https://xn--bcher-kva.example/%C3%BC", "https://a.example/%C3%BC?q=%20")
    assert read_targets(given, None).urls == expected


def test_a_byte_order_mark_is_not_part_of_the_first_address() -> None:
    assert read_targets([], io.StringIO("\ufeffhttps://a.example/\n")).urls == ("https://a.example/",)


def test_a_hundred_thousand_addresses_are_read() -> None:
    file = io.StringIO("".join(f"https://a.example/{number}\n" for number in range(100_000)))

    assert len(read_targets([], file).urls) == 100_000


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_list_that_an_editor_of_windows_wrote_is_read(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "urls.txt"
    file.write_bytes("https://a.example/ü\r\nhttps://b.example/\r\n".encode(encoding))

    with file.open(encoding="utf-8") as given:
        assert read_targets([], given).urls == ("https://a.example/%C3%BC", "https://b.example/")


def test_the_first_address_of_a_list_is_seen_and_all_are_read_later(tmp_path: Path) -> None:
    file = tmp_path / "urls.txt"
    file.write_text("\ufeff# ours\n\nhttps://shop.example/\nhttps://shop.example/cart\n")

    with file.open() as listed:
        assert first_address(listed) == "https://shop.example/"
        assert len(read_targets((), listed).urls) == 2
