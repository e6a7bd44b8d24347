"""The same barrier keeps its fingerprint; different ones have different fingerprints."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from worker.scan.fingerprint import finding_fingerprint, meaningful_path, node_fingerprints

Seen = tuple[tuple[str, ...], str]


def one(path: str, snippet: str, rule: str = "image-alt") -> str:
    return node_fingerprints(rule, [((path,), snippet)])[0]


BEFORE = ("html > body > div:nth-child(2) > main > ul > li:nth-child(3) > img", '<img class="a1" src="/img/tin.png">')


@pytest.mark.parametrize(
    ("path", "snippet"),
    [
        pytest.param("html > body > div:nth-child(9) > main > ul > li:nth-child(1) > img", BEFORE[1], id="reordered"),
        pytest.param(
            "html > body > main > div > div > ul > li:nth-child(3) > span > img", BEFORE[1], id="wrapped anew"
        ),
        pytest.param(BEFORE[0], '<img src="/img/tin.png" class="css-9x8y7z wide">', id="other classes"),
        pytest.param(BEFORE[0], '<img id=":r7:" data-v-9a8b7c src="/img/tin.png" style="x">', id="generated ids"),
        pytest.param(BEFORE[0], '<IMG   SRC="/img/tin.png"  />', id="other spelling"),
        pytest.param(BEFORE[0], '<img src="/img/tin.png?v=20261123#x">', id="cache busted"),
    ],
)
def test_the_same_barrier_keeps_its_name(path: str, snippet: str) -> None:
    assert one(path, snippet) == one(*BEFORE)


@pytest.mark.parametrize(
    ("path", "snippet"),
    [
        pytest.param(BEFORE[0], '<img class="a1" src="/img/kettle.png">', id="other picture"),
        pytest.param(BEFORE[0], '<img src="/img/tin.png" alt="tin">', id="other alt"),
        pytest.param("html > body > footer > img", BEFORE[1], id="elsewhere"),
        pytest.param(BEFORE[0].replace("> img", "> input"), '<input type="image" src="/img/tin.png">', id="other tag"),
    ],
)
def test_another_barrier_has_another_name(path: str, snippet: str) -> None:
    assert one(path, snippet) != one(*BEFORE)


def test_another_rule_is_another_barrier() -> None:
    assert one(*BEFORE, rule="image-redundant-alt") != one(*BEFORE)


def test_texts_tell_barriers_apart_but_counters_do_not() -> None:
    path = "html > body > main > p:nth-child(2)"

    assert one(path, "<p>Read on</p>") != one(path, "<p>Read more</p>")
    assert one(path, "<p>7 left, £9.50</p>") == one(path, "<p>12 left, £11.00</p>")


def test_hashes_in_file_names_do_not_count_but_numbers_do() -> None:
    def at(name: str) -> str:
        return one("html > body > img", f'<img src="/assets/{name}">')

    assert at("hero.3f9ab2c1d4.png") == at("hero.77ab01ffe2.png")
    assert at("photo1.png") != at("photo2.png")


def test_equal_barriers_are_numbered_in_page_order() -> None:
    nodes: list[Seen] = [
        (("html > body > input:nth-child(1)",), "<input>"),
        (("html > body > input:nth-child(2)",), "<input>"),
    ]

    names = node_fingerprints("label", nodes)

    assert len(set(names)) == 2
    assert node_fingerprints("label", nodes[:1]) == names[:1]


def test_frames_are_part_of_the_name() -> None:
    inside = node_fingerprints("image-alt", [(("html > body > main > iframe", "html > body > img"), "<img>")])
    outside = node_fingerprints("image-alt", [(("html > body > img",), "<img>")])

    assert inside != outside


def test_shadow_roots_are_part_of_the_path() -> None:
    assert meaningful_path(("html > body > tea-tin", "div > img:nth-child(2)")) == "tea-tin > img"


def test_a_finding_is_named_by_rule_and_outcome() -> None:
    assert finding_fingerprint("label", "violation") != finding_fingerprint("label", "incomplete")
    assert finding_fingerprint("label", "violation") == finding_fingerprint("label", "violation")


@given(st.lists(st.sampled_from(["<img src=a>", "<img src=b>", "<input name=x>", "<a href=/>go</a>"]), max_size=12))
def test_names_are_unique_on_a_page_and_do_not_depend_on_order(snippets: list[str]) -> None:
    nodes: list[Seen] = [(("html > body > main > *",), snippet) for snippet in snippets]

    names = node_fingerprints("rule", nodes)

    assert len(set(names)) == len(names)
    assert set(node_fingerprints("rule", list(reversed(nodes)))) == set(names)


@example("<div><xmp><![foo[ bar</xmp></div>")
@example("<div><noscript><![if x")
@given(st.text(max_size=200))
def test_any_snippet_has_a_name(snippet: str) -> None:
    assert len(one("html > body", snippet)) == 24


@pytest.mark.parametrize(
    ("page", "src"),
    [
        ("https://shop.example/teas", "https://shop.example/img/tin.png"),
        ("https://SHOP.example:443/", "https://shop.example/img/tin.png"),
        ("https://pr-7.preview.example/teas", "https://pr-7.preview.example/img/tin.png"),
        ("http://127.0.0.1:8000/teas", "http://127.0.0.1:8000/img/tin.png?v=2"),
        ("http://[::1]:8000/", "//[::1]:8000/img/tin.png"),
        ("https://shop.example/", "/img/tin.png"),
        ("about:blank", "/img/tin.png"),
    ],
)
def test_a_barrier_has_one_name_on_every_host_that_serves_the_page(page: str, src: str) -> None:
    assert node_fingerprints("image-alt", [((BEFORE[0],), f'<img src="{src}">')], page=page) == [one(*BEFORE)]


@pytest.mark.parametrize(
    "src",
    [
        "https://cdn.example/img/tin.png",
        "http://shop.example/img/tin.png",
        "https://shop.example.evil/img/tin.png",
        "https://shop.example:8443/img/tin.png",
        "//cdn.example/img/tin.png",
        "https://[broken/img/tin.png",
        "/redirect/https://shop.example/img/tin.png",
    ],
)
def test_an_address_elsewhere_keeps_its_host(src: str) -> None:
    found = node_fingerprints("image-alt", [((BEFORE[0],), f'<img src="{src}">')], page="https://shop.example/")

    assert found != [one(*BEFORE)]
    assert found == [one(BEFORE[0], f'<img src="{src}">')]


def test_a_link_to_the_front_page_is_one_however_it_is_written() -> None:
    page = "https://shop.example/teas"
    nodes = [(("a",), f'<a href="{href}"></a>') for href in ("/", "https://shop.example", "https://shop.example/")]

    assert len({node_fingerprints("link-name", [node], page=page)[0] for node in nodes}) == 1
