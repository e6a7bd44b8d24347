"""The assignment of barriers to components, and the components' names."""

from __future__ import annotations

import time

import pytest

from ops.bench.grouping import STYLES, measure, planted_site
from producer.contract.component_name import plain_name
from worker.scan.component import Step, component_of
from worker.scan.fingerprint import node_fingerprints
from worker.scan.words import base_class, words_of

PAGE = "https://shop.example/tea/1"
HEADER: list[Step] = [("header", "", "site-header", "")]
MAIN: list[Step] = [("main", "", "", "")]
CARD: list[Step] = [("main", "", "page-home", ""), ("article", "", "card", "")]


def issue(snippet: str, place: list[Step], *, rule: str = "image-alt", page: str = PAGE) -> str:
    return component_of(rule, [place], snippet, page=page).issue_id


@pytest.mark.parametrize("style", STYLES)
def test_planted_components_are_found_again_whatever_a_site_does_with_its_classes(style: str) -> None:
    planted = list(planted_site(style, pages=24, seed=7))
    precision, recall, _ = measure(planted)
    issues = {(one.component, component_of(one.rule, [one.place], one.snippet, page=one.page)[0]) for one in planted}

    assert precision >= 0.95
    assert recall >= 0.95
    assert len(issues) == len({one.component for one in planted}), "a row each, not one more"


@pytest.mark.parametrize(
    "variant",
    [
        '<img class="card__image is-new" src="b.jpg">',
        '<img class="is-new card__image" src="b.jpg">',
        '<img class="card__image card__image--wide" src="b.jpg" alt-text="x" style="x">',
        '<img src="b.jpg" class="mt-4 card__image">',
        '<img class="card__image css-1q2w3e" id="img-42" src="b.jpg">',
        "<IMG CLASS=card__image SRC=b.jpg>",
    ],
)
def test_a_near_variant_is_the_same_component(variant: str) -> None:
    assert issue(variant, CARD) == issue('<img class="card__image" src="a.jpg">', CARD)


@pytest.mark.parametrize(
    "other",
    [
        ('<img class="card__avatar" src="a.jpg">', CARD),
        ('<img class="card__image" src="a.jpg">', HEADER),
        ('<input type="image" class="card__image" src="a.jpg">', CARD),
    ],
)
def test_another_component_of_the_same_look_is_another(other: tuple[str, list[Step]]) -> None:
    assert issue(*other) != issue('<img class="card__image" src="a.jpg">', CARD)


def test_fields_of_one_form_are_told_apart_by_their_names() -> None:
    form: list[Step] = [("main", "", "", ""), ("form", "", "checkout", "")]

    ids = {issue(f'<input class="form-control" name="{name}">', form, rule="label") for name in ("street", "city")}

    assert len(ids) == 2
    assert issue('<input name="firstname">', form) != issue('<input name="plzort">', form)
    assert issue('<input name="q" id="upleef">', form) == issue('<input name="q" id="rdougs">', form)
    assert issue('<input name="items[3][count]">', form) == issue('<input name="items[12][count]">', form)


def test_links_without_classes_differ_by_target_in_a_header_and_not_in_a_list() -> None:
    entry: list[Step] = [("nav", "", "", ""), ("ul", "", "", ""), ("li", "", "", "")]

    assert issue('<a href="/cart"></a>', HEADER) != issue('<a href="/account"></a>', HEADER)
    assert issue('<a href="/tea"></a>', entry) == issue('<a href="/cups"></a>', entry)


def test_a_landmark_is_known_by_role_and_by_its_name_too() -> None:
    ids = {
        issue('<img class="logo">', [step])
        for step in [("header", "", "", ""), ("div", "banner", "", ""), ("div", "", "site-header", "")]
    }

    assert len(ids) == 1


def test_parts_of_the_content_are_no_landmarks_of_the_site() -> None:
    main: Step = ("main", "", "", "")
    for part in (("div", "", "card-header", ""), ("header", "", "", ""), ("div", "", "footer", "")):
        assert component_of("image-alt", [[main, part]], "<img class=avatar>").name.startswith("Main › avatar image")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("div", "", "", "login"), ("div", "", "", "newsletter")),
        (("tea-card", "", "", ""), ("tea-hero", "", "", "")),
        (("section", "", "hero", ""), ("section", "", "gallery", "")),
    ],
)
def test_elements_without_classes_are_told_apart_by_what_is_around_them(one: Step, other: Step) -> None:
    main: Step = ("main", "", "", "")

    assert issue("<img src=a.jpg>", [main, one]) != issue("<img src=a.jpg>", [main, other])
    assert issue("<img src=a.jpg>", [main, one]) == issue("<img src=b.jpg alt>", [main, ("div", "", "", "x9"), one])


def test_buttons_of_one_look_are_told_apart_by_what_they_are_called_beside_it() -> None:
    ids = {issue(f'<button class="btn {name}">', CARD) for name in ("btn-buy", "btn-share", "btn-primary", "")}

    assert len(ids) == 3, "primary is a look"


def test_two_sites_share_the_kind_and_never_the_id() -> None:
    one, other = (issue("<img class=logo>", HEADER, page=f"https://{host}/") for host in ("a.example", "b.example"))

    assert one != other
    assert one.partition("-")[0] == other.partition("-")[0]
    assert issue("<img class=logo>", HEADER, page="http://www.a.example/x") == one


def test_what_is_wrong_with_the_page_itself_is_one_component_of_the_site() -> None:
    first = component_of("document-title", [[]], '<html lang="en" class="x">', page=PAGE)

    assert first == component_of("document-title", [[]], '<html lang="de">', page="https://shop.example/2")
    assert first.name == "Page has no title"


@pytest.mark.parametrize(
    ("rule", "place", "snippet", "name"),
    [
        ("label", [*HEADER, ("form", "search", "", "")], "<input name=q>", "Header › search field has no label"),
        ("image-alt", CARD, "<img class=card__image>", "Main › card image has no text alternative"),
        ("button-name", CARD, "<button class=btn><i class=icon-heart></i></button>", "Main › heart button has no name"),
        ("link-name", HEADER, '<a href="/cart"></a>', "Header › cart link has no name"),
        ("image-alt", [], '<img src="/img/logo.gif">', "Page › logo.gif image has no text alternative"),
        ("image-alt", [], '<img src="img/teaser7.jpg?v=2">', "Page › teaser7.jpg image has no text alternative"),
        ("image-alt", [], '<img src="/a/logo-B_kAbanX.svg">', "Page › logo.svg image has no text alternative"),
        ("image-alt", MAIN, '<img src="/7/offer2.gif">', "Main › image “offer2.gif” has no text alternative"),
        ("image-alt", MAIN, '<img src="data:image/gif;base64,R0" title="Two">',
         "Main › image “Two” has no text alternative"),
        ("color-contrast", MAIN, "<p>©\n 2026</p>", "Main › text “© 2026” has too little contrast"),
        ("color-contrast", CARD, "<b>12 “new”</b>", 'Main › card text “12 "new"” has too little contrast'),
        ("color-contrast", MAIN, f"<p><style>p {{}}</style>{'tea ' * 30}</p>",
         "Main › text “tea tea tea tea tea tea tea tea tea tea…” has too little contrast"),
        ("label", MAIN, "<input type=text name=n value=Jane>", "Main › text field “n” has no label"),
        ("label", MAIN, "<textarea name=n>Jane</textarea>", "Main › text field “n” has no label"),
        ("label", MAIN, "<input type=radio name=t value=mrs>", "Main › radio button “mrs” has no label"),
        ("link-name", MAIN, '<a href="/tea/7/?q=1#x"></a>', "Main › link “7” has no name"),
        ("link-name", HEADER, '<a href="/#top"></a>', "Header › home link has no name"),
        ("link-name", HEADER, '<a href="./"></a>', "Header › tea link has no name"),
        ("link-name", MAIN, '<a href="javascript:go(1)"></a>', "Main › link has no name"),
        ("new-rule", [("footer", "", "", "")], "<p></p>", "Footer › text fails the rule new-rule"),
    ],
)  # fmt: skip
def test_a_component_has_a_name_that_people_recognise(rule: str, place: list[Step], snippet: str, name: str) -> None:
    assert component_of(rule, [place], snippet, page=PAGE).name == name


def test_a_name_shows_another_example_of_the_same_component() -> None:
    one, other = (
        component_of("image-alt", [MAIN], f'<img src="/tea{n}.jpg">', page=PAGE) for n in ("1", "-green-cup 22")
    )

    assert one.issue_id == other.issue_id
    assert one.name != other.name
    assert plain_name(one.name) == plain_name(other.name) == "Main › image has no text alternative"


@pytest.mark.parametrize(
    ("classes", "base"),
    [
        ("Card_image__hAban", "card image"),
        ("_cardImage_hince_12", "card image"),
        ("card-module--image--rnodX", "card image"),
        ("sc-bdVaJa otelad", ""),
        ("Header__MenuButton-sc-kabane-0 niager", "header menu button"),
        ("css-aptupt-Image", "image"),
        ("svelte-unless card-image", "card image"),
        ("MuiButton-root css-ansave", "button root"),
        ("upleef", ""),
        ("idLnF", ""),
        ("xrifete xcosung", ""),
        ("translate-x-1 select-none [&>svg]:size-3 from-blue-500 ms-auto", ""),
        ("top-bar", "top bar"),
        ("addToCart", "add cart"),
        ("card__saline", "card saline"),
        ("provider", "provider"),
    ],
)
def test_a_generated_name_is_no_name_even_if_it_reads_like_a_word(classes: str, base: str) -> None:
    assert base_class(classes) == base


def test_a_file_of_another_build_is_the_same_image() -> None:
    ids = {issue(f'<img src="/assets/logo-{made}.svg?v=2">', HEADER) for made in ("B_kAbanX", "KQXZTBBA", "aZ3-x9Kd")}

    assert ids == {issue('<img src="/assets/logo.svg">', HEADER)}
    assert issue('<img src="/assets/logo-sideways.svg">', HEADER) not in ids


def test_generated_names_are_no_words() -> None:
    assert words_of("Card_image__x7Gh2") == ("card", "image")
    assert words_of("css-1q2w3e sc-bdVaJa svelte-xyzzkq") == ()
    assert base_class("mt-4 md:flex is-active btn-primary btn") == "btn"


def test_one_component_in_200_variants_is_one() -> None:
    classes = [f"teaser teaser--v{i} {'promo' if i % 3 else ''} x{i}q" for i in range(200)]

    assert len({issue(f'<img class="{names}" src="/{i}.jpg">', CARD) for i, names in enumerate(classes)}) == 1


def test_hundreds_of_components_and_markup_of_a_megabyte_take_two_seconds_at_most() -> None:
    started = time.process_time()

    ids = {
        issue(f'<img class="card-{a}{b}{c}ing" src="x">', CARD) for a in "abcdefghij" for b in "aeiou" for c in "lmnrst"
    }
    issue('<div class="' + "x" * 1_000_000 + '">' + "<b>" * 300_000, CARD)
    component_of("label", [[("d" * 200, "r" * 200, "c " * 100, "i" * 200)] * 14], "<input \x00", page="http://[")

    assert len(ids) > 100
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    "snippet",
    [
        f'<a class="a{"_" * 1_900}!" href="#">',
        f'<a class="{"a-module--" * 190}!" href="#">',
        f'<a class="{"[" * 1_900}" href="#">',
        f'<a href="{"z" * 1_900}">',
        f'<img src="{"a-" * 950}">',
    ],
    ids=["underscores", "modules", "brackets", "a long word", "dashes"],
)
def test_names_that_nobody_writes_take_no_longer_than_others(snippet: str) -> None:
    started = time.process_time()

    for number in range(200):
        component_of("link-name", [HEADER], snippet.replace("a", "ab", 1) + str(number), page=PAGE)
        node_fingerprints("link-name", [(("a",), snippet)], page=PAGE)

    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("snippet", "place", "is_unnamed"),
    [
        ('<a href="/pay"></a>', [("main", "", "", "")], True),
        ('<img src="/a.png">', [("main", "", "", ""), ("ul", "", "", ""), ("li", "", "", "")], True),
        ('<a class="cart" href="/pay"></a>', [("main", "", "", "")], False),
        ('<a href="/pay"></a>', [("main", "", "", ""), ("div", "", "teaser", "")], False),
        ('<a href="/pay"></a>', [("header", "", "", "")], False),
        ('<input name="email">', [("main", "", "", "")], False),
        ("<html>", [], False),
    ],
)
def test_an_element_that_nothing_names_is_of_an_unnamed_component(
    snippet: str, place: list[Step], is_unnamed: bool
) -> None:
    assert component_of("link-name", [place], snippet, page=PAGE).is_unnamed is is_unnamed
