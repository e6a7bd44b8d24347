"""The baseline: a file that merges, is independent of hosts, and shrinks when barriers are fixed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from producer.cli.scan.baseline import (
    Barrier,
    Baseline,
    Component,
    baseline_text,
    fixed_in,
    kind_of,
    read_baseline,
    renewed,
)
from producer.cli.scan.gate import Gate
from producer.cli.scan.options import ScanOptions
from producer.cli.scan.wait import _baselines
from producer.contract.waiver import Waiver
from producer.errors import InputError
from producer.reports.marks import Marks
from producer.reports.page import Page, page_of, refused_page
from tests.unit.reports import component_pages as components
from tests.unit.reports import sample_pages as sample
from tests.unit.reports.component_pages import pages

HEADER = Component(kind_of(components.HEADER), "label", "Header › search field", frozenset({"/tea.html"}))
EVERYWHERE = Component(kind_of(components.CARD), "image-alt", "Main › card image")
TEA = [Barrier("/tea.html", "image-alt", f"image-alt-n{number}") for number in range(3)]


def known(*elements: Barrier, components: Sequence[Component] = ()) -> Baseline:
    return Baseline(frozenset(elements), {one.kind: one for one in components})


def tea(nodes: int = 2, *, trimmed: int = 0, url: str = "https://shop.example") -> Page:
    result = sample.scan_result("/tea.html", sample.finding(nodes=nodes, trimmed=trimmed))
    return page_of(result, url=f"{url}/tea.html")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "known.json"
    barriers = known(*TEA, Barrier("/a%22b?q=%C3%B6#/pay", "label", "x"), components=[HEADER, EVERYWHERE])

    file.write_text(baseline_text(barriers), "utf-8")

    assert read_baseline(file) == barriers

    file.write_text(baseline_text(barriers), "utf-8-sig")
    assert read_baseline(file) == barriers


def test_one_barrier_is_one_line_in_an_order_of_its_own() -> None:
    text, reverse = baseline_text(known(*TEA)), baseline_text(known(*reversed(TEA)))

    lines = text.splitlines()
    assert text == reverse
    assert [json.loads(line.rstrip(","))["fingerprint"] for line in lines[3:-2]] == [b.fingerprint for b in TEA]
    assert set(baseline_text(known(TEA[0])).splitlines()) <= set(lines), (
        "one more barrier is one more line, no other changed"
    )


def test_two_files_merged_line_by_line_are_a_baseline(tmp_path: Path) -> None:
    elsewhere = replace(HEADER, paths=frozenset({"/a"}))
    ours = baseline_text(known(TEA[0], components=[HEADER])).splitlines()
    theirs = baseline_text(known(TEA[1], components=[elsewhere])).splitlines()
    file = tmp_path / "known.json"

    file.write_text("\n".join([*ours[:2], theirs[1], *ours[2:5], theirs[4], theirs[4], *ours[5:]]))

    both = replace(HEADER, paths=frozenset({"/a", "/tea.html"}))
    assert read_baseline(file) == known(*TEA[:2], components=[both])


@pytest.mark.parametrize("url", ["https://shop.example", "http://localhost:3000", "http://me:secret@10.0.0.1"])
def test_a_barrier_is_the_same_on_every_host(url: str) -> None:
    assert renewed(known(), [tea(1, url=url)]) == known(TEA[0])


def test_a_barrier_missing_from_a_completely_read_page_is_fixed() -> None:
    other = Barrier("/other.html", "label", "x")

    assert fixed_in(known(*TEA, other), [tea(1)]) == TEA[1:]


def test_nothing_is_fixed_on_a_page_not_read_whole_or_among_elements_left_out() -> None:
    half = page_of(sample.scan_result("/tea.html", status="partial", reason="cut off"))

    assert fixed_in(known(*TEA), [half]) == []
    assert fixed_in(known(*TEA), [tea(1, trimmed=2)]) == []


def test_barriers_of_a_rule_that_did_not_run_are_kept_and_not_fixed() -> None:
    before = known(*TEA, components=[replace(HEADER, rule="image-alt")])

    assert fixed_in(before, [tea(1)], disabled=["image-alt"]) == []
    assert renewed(before, [tea(1)], disabled=["image-alt"]) == before
    assert len(fixed_in(before, [tea(1)], disabled=["label"])) == 3


def test_a_barrier_is_fixed_once_it_is_gone_from_every_host_of_the_run() -> None:
    assert fixed_in(known(*TEA[:2]), [tea(1), tea(2, url="https://other.example")]) == []
    assert fixed_in(known(*TEA[:2]), [tea(1), tea(1, url="https://other.example")]) == [TEA[1]]


def test_what_is_waived_leaves_the_baseline_so_that_it_counts_when_the_waiver_ends() -> None:
    waived = replace(tea(2), marks=Marks(waivers={"image-alt-n0": Waiver("image-alt-n0", "until May")}))

    assert renewed(known(TEA[0]), [waived]) == known(TEA[1])


def test_an_invalid_address_disturbs_nothing() -> None:
    refused = refused_page("http://[::1/tea.html", "not a URL")

    assert fixed_in(known(*TEA), [refused]) == []
    assert renewed(known(*TEA), [refused]) == known(*TEA)


def test_renewing_drops_what_is_fixed_adds_what_is_new_and_keeps_other_pages() -> None:
    other = Barrier("/other.html", "label", "x")

    assert renewed(known(TEA[2], other), [tea(2)]) == known(*TEA[:2], other)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<<<<<<< ours", "is not JSON"),
        ("[]", "has no barriers of version 1"),
        ('{"v": 3, "barriers": []}', "has no barriers of version 1 or 2"),
        ('{"v": [], "barriers": []}', "has no barriers of version 1 or 2"),
        ('{"v": 2, "barriers": [], "components": {}}', "has no barriers of version 1 or 2"),
        ('{"v": 2, "barriers": [], "components": [{"kind": "x"}]}', "a component without a kind, rule or name"),
        ('{"v": 2, "barriers": [], "components": [{"kind": "x", "rule": "r", "name": "n", "paths": "/"}]}', "paths"),
        ('{"v": 1, "barriers": [{"path": "/"}]}', "without a path, rule or fingerprint"),
    ],
)
def test_a_file_other_than_a_baseline_is_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "known.json"
    file.write_text(text)

    with pytest.raises(InputError, match=said):
        read_baseline(file)


def test_a_missing_baseline_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--write-baseline creates one"):
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

    assert {barrier.path for barrier in read_baseline(file).elements} == {"/tea.html", "/~u?q=%27^"}


def test_a_barrier_known_on_one_route_is_new_on_another() -> None:
    result = sample.scan_result("/tea.html", sample.finding(nodes=1))
    pay, cart = (page_of(result, url=f"https://shop.example/tea.html#/{route}") for route in ("pay", "cart"))

    assert {one.path for one in renewed(known(), [pay, cart]).elements} == {"/tea.html#/pay", "/tea.html#/cart"}


def test_a_file_of_5e536ef_is_read_and_renewed_by_component_page_by_page(tmp_path: Path) -> None:
    file = tmp_path / "known.json"
    file.write_text(
        """{"v": 1, "barriers": [
{"path": "/0.html", "rule": "label", "fingerprint": "label-n0"},
{"path": "/elsewhere", "rule": "label", "fingerprint": "label-n0"},
{}
]}
"""
    )

    after = renewed(read_baseline(file), pages(2))

    assert after.elements == {Barrier("/elsewhere", "label", "label-n0")}
    assert {one.name: one.paths for one in after.components.values()} == {
        components.NAMES[components.HEADER]: {"/0.html", "/1.html"}, components.NAMES[components.CARD]: {"/1.html"},
    }  # fmt: skip


def test_150_pages_are_a_line_for_each_component() -> None:
    text = baseline_text(renewed(known(), pages(150)))

    assert [json.loads(line.rstrip(","))["rule"] for line in text.splitlines()[1:-4]] == ["image-alt", "label"]
    assert len(text) < 5_000


def test_a_component_is_fixed_once_it_is_gone_from_every_page_that_had_it() -> None:
    before = renewed(known(), pages(3))
    clean = [page_of(sample.scan_result(f"/{number}.html")) for number in range(3)]
    card, header = fixed_in(before, clean)

    assert (card.rule, header.rule) == ("image-alt", "label")
    assert fixed_in(before, clean[1:]) == [card], "the header may be on the first page still"
    assert fixed_in(before, [*clean[:2], *pages(3)[2:]]) == [card]
    assert fixed_in(before, [page_of(sample.scan_result(f"/{n}.html", status="partial")) for n in range(3)]) == []
    assert renewed(before, clean[1:]).components.keys() == {kind_of(components.HEADER)}
    assert renewed(before, clean) == known()


def test_a_component_without_paths_stays_until_it_is_removed() -> None:
    clean = page_of(sample.scan_result("/tea.html"))

    assert fixed_in(known(components=[EVERYWHERE]), [clean]) == []
    assert renewed(known(components=[EVERYWHERE]), [clean, *pages(2)]).components[EVERYWHERE.kind] == EVERYWHERE


def test_a_waived_component_leaves_the_baseline() -> None:
    waiver = Waiver(components.HEADER, "until May")
    waived = [replace(page, marks=Marks(waivers={components.HEADER: waiver})) for page in pages(2)]

    assert [one.rule for one in renewed(renewed(known(), pages(2)), waived).components.values()] == ["image-alt"]


def test_a_run_without_a_state_fixes_nothing_in_it(tmp_path: Path) -> None:
    light, dark = (
        page_of(sample.scan_result("/tea.html", *some).model_copy(update={"page_state": state}))
        for state, some in (("", ()), ("dark", (sample.finding(),)))
    )
    before = renewed(Baseline(), [light, dark])
    file = tmp_path / "known.json"
    file.write_text(baseline_text(before), "utf-8")

    known = read_baseline(file)

    assert {one.path for one in known.elements} == {"/tea.html [dark]"}
    assert fixed_in(known, [light]) == []
    assert renewed(known, [light]) == known
    clean = page_of(sample.scan_result("/tea.html").model_copy(update={"page_state": "dark"}))
    assert len(fixed_in(known, [light, clean])) == 1


def test_a_barrier_known_in_one_state_is_known_in_all() -> None:
    light, dark = (
        page_of(sample.scan_result("/tea.html", sample.finding()).model_copy(update={"page_state": state}))
        for state in ("", "dark")
    )
    known = renewed(Baseline(), [light])

    assert len(renewed(known, [light, dark])) == len(known) == 1
    assert Gate(baseline=known).mark(dark).counted.findings == ()


def test_the_first_run_writes_the_baseline_that_the_file_names(tmp_path: Path) -> None:
    file = str(tmp_path / "known.json")

    gate, before = _baselines(ScanOptions(baseline=file, write_baseline=file))

    assert (gate.baseline, before) == (None, Baseline())
    with pytest.raises(InputError, match="--write-baseline creates one"):
        _baselines(ScanOptions(baseline=file, write_baseline=str(tmp_path / "other.json")))
