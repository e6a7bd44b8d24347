"""The baseline: a file that merges, knows no host, and shrinks when barriers are fixed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from producer.cli.scan.baseline import Barrier, barriers_of, baseline_text, fixed_in, read_baseline, renewed
from producer.contract.waiver import Waiver
from producer.errors import InputError
from producer.reports.marks import Marks
from producer.reports.page import Page, page_of, refused_page
from tests.unit.reports import sample_pages as sample

TEA = [Barrier("/tea.html", "image-alt", f"image-alt-n{number}") for number in range(3)]


def tea(nodes: int = 2, *, trimmed: int = 0, url: str = "https://shop.example") -> Page:
    result = sample.scan_result("/tea.html", sample.finding(nodes=nodes, trimmed=trimmed))
    return page_of(result, url=f"{url}/tea.html")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "known.json"
    barriers = {*TEA, Barrier("/a%22b?q=%C3%B6#/pay", "label", "x")}

    file.write_text(baseline_text(barriers), "utf-8")

    assert read_baseline(file) == barriers

    file.write_text(baseline_text(barriers), "utf-8-sig")
    assert read_baseline(file) == barriers


def test_one_barrier_is_one_line_in_an_order_of_its_own() -> None:
    text, reverse = baseline_text(TEA), baseline_text(reversed(TEA))

    lines = text.splitlines()
    assert text == reverse
    assert [json.loads(line.rstrip(","))["fingerprint"] for line in lines[1:-2]] == [b.fingerprint for b in TEA]
    assert set(baseline_text(TEA[:1]).splitlines()) <= set(lines), "one more barrier is one more line, no other changed"


def test_two_files_merged_line_by_line_are_a_baseline(tmp_path: Path) -> None:
    ours, theirs = (baseline_text([barrier]).splitlines() for barrier in TEA[:2])
    file = tmp_path / "known.json"

    file.write_text("\n".join([*ours[:2], theirs[1], theirs[1], *ours[2:]]))

    assert read_baseline(file) == frozenset(TEA[:2])


@pytest.mark.parametrize("url", ["https://shop.example", "http://localhost:3000", "http://me:secret@10.0.0.1"])
def test_a_barrier_is_the_same_on_every_host(url: str) -> None:
    assert barriers_of(tea(1, url=url)) == {TEA[0]}


def test_what_is_gone_from_a_page_read_whole_is_fixed() -> None:
    other = Barrier("/other.html", "label", "x")

    assert fixed_in([*TEA, other], [tea(1)]) == TEA[1:]


def test_nothing_is_fixed_on_a_page_not_read_whole_or_among_elements_left_out() -> None:
    half = page_of(sample.scan_result("/tea.html", status="partial", reason="cut off"))

    assert fixed_in(TEA, [half]) == []
    assert fixed_in(TEA, [tea(1, trimmed=2)]) == []


def test_a_barrier_is_fixed_once_it_is_gone_from_every_host_of_the_run() -> None:
    assert fixed_in(TEA[:2], [tea(1), tea(2, url="https://other.example")]) == []
    assert fixed_in(TEA[:2], [tea(1), tea(1, url="https://other.example")]) == [TEA[1]]


def test_what_is_waived_leaves_the_baseline_so_that_it_counts_when_the_waiver_ends() -> None:
    waived = replace(tea(2), marks=Marks(waivers={"image-alt-n0": Waiver("image-alt-n0", "until May")}))

    assert renewed(TEA[:1], [waived]) == {TEA[1]}


def test_an_address_that_is_none_disturbs_nothing() -> None:
    refused = refused_page("http://[::1/tea.html", "not a URL")

    assert fixed_in(TEA, [refused]) == []
    assert renewed(TEA, [refused]) == set(TEA)


def test_renewing_drops_what_is_fixed_adds_what_is_new_and_keeps_other_pages() -> None:
    other = Barrier("/other.html", "label", "x")

    assert renewed([TEA[2], other], [tea(2)]) == {*TEA[:2], other}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<<<<<<< ours", "is not JSON"),
        ("[]", "has no barriers of version 1"),
        ('{"v": 2, "barriers": []}', "has no barriers of version 1"),
        ('{"v": 1, "barriers": [{"path": "/"}]}', "without path, rule and fingerprint"),
    ],
)
def test_a_file_that_is_no_baseline_is_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "known.json"
    file.write_text(text)

    with pytest.raises(InputError, match=said):
        read_baseline(file)


def test_a_missing_baseline_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--write-baseline makes one"):
        read_baseline(tmp_path / "known.json")


def test_a_path_in_the_spelling_of_the_release_before_is_read_in_today_s(tmp_path: Path) -> None:
    file = tmp_path / "known.json"
    file.write_text(
        """{"v": 1, "barriers": [
{"path": "/a/../tea.html", "rule": "image-alt", "fingerprint": "image-alt-n0"},
{"path": "/%7Eu?q='^", "rule": "image-alt", "fingerprint": "image-alt-n1"},
{}
]}
""",
        "utf-8",
    )

    assert {barrier.path for barrier in read_baseline(file)} == {"/tea.html", "/~u?q=%27^"}


def test_a_barrier_known_on_one_route_is_new_on_another() -> None:
    result = sample.scan_result("/tea.html", sample.finding(nodes=1))
    pay, cart = (page_of(result, url=f"https://shop.example/tea.html#/{route}") for route in ("pay", "cart"))

    assert barriers_of(pay).isdisjoint(barriers_of(cart))
