"""Detection of pages by their wording, on plain values, and its limits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from worker.scan.content import Content
from worker.scan.looks import is_soft_404, looks_like
from worker.scan.nothing import is_loading

SMALL = Content(title="Shop", headings=("Shop",), elements=20, text="Shop\n")
ASKED = "https://shop.example/page"


@pytest.mark.parametrize(
    "title",
    [
        *("404", "Page not found - Shop", "Error 404", "This page does not exist", "Seite nicht gefunden", "Not found"),
        *("Shop | Página no encontrada", "Stránka nenalezena", "Sivua ei löytynyt - Kauppa", "Erreur 404: introuvable"),
    ],
)
def test_a_page_that_says_it_is_missing_is_a_soft_404(title: str) -> None:
    assert is_soft_404(title)
    assert looks_like(replace(SMALL, title=title), asked=ASKED)[0] == "soft-404"
    assert looks_like(replace(SMALL, headings=(title,)), asked=ASKED)[0] == "soft-404"


@pytest.mark.parametrize("title", ["Shop", "Lost and found", "Page 4 of 40", "Peugeot 4045", "Nothing found for 'axe'"])
def test_other_pages_are_not(title: str) -> None:
    assert looks_like(replace(SMALL, title=title, headings=(title,), text=title), asked=ASKED) == ("", "")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("bot-wall", "Bitte bestätigen Sie, dass Sie ein Mensch sind."),
        ("bot-wall", "Nous devons vérifier que vous n'êtes pas un robot"),
        ("access-denied", "Toegang geweigerd"),
        ("access-denied", "Nimate dovoljenja za ogled te strani."),
        ("maintenance", "Shop: εργασίες συντήρησης"),
        ("maintenance", "Teeme hooldustööd"),
        ("access-denied", "Relace vypršela"),
        ("interstitial", "Du står i kö"),
        ("interstitial", "Zostaniesz przekierowany za 5 sekund."),
        ("placeholder", "Webová stránka je vo výstavbe"),
        ("placeholder", "La pagina è vuota: sito in costruzione"),
        ("server-error", "Ceva nu a mers bine"),
        ("server-error", "Nešto je pošlo po zlu"),
        ("soft-404", "Няма такава страница"),
        ("soft-404", "Il-paġna ma nstabitx"),
    ],
)
def test_a_short_page_is_what_it_says_in_any_language_of_the_eu(kind: str, text: str) -> None:
    assert looks_like(replace(SMALL, text=f"Shop\n{text}\n"), asked=ASKED)[0] == kind


@pytest.mark.parametrize(
    "title", ["OperationalError at /", "DoesNotExist at /teas/4/", "Action Controller: Exception caught"]
)
def test_a_debug_page_of_a_framework_is_a_server_error(title: str) -> None:
    assert looks_like(replace(SMALL, title=title), asked=ASKED)[0] == "server-error"


@pytest.mark.parametrize(
    "content",
    [
        replace(SMALL, title="Page not found: how to write a good 404", prose=2_000, text="404" * 1_000),
        replace(SMALL, text=f"{'We sell axes. ' * 50}\nScheduled maintenance is on Monday"),
        replace(SMALL, text="All systems operational. Scheduled maintenance: Sunday"),
        replace(SMALL, text="Down for maintenance on Monday", elements=900),
        replace(SMALL, text="Contact us\nI'm not a robot", entries=3),
        replace(SMALL, text="You will be redirected to your bank to pay.", entries=1),
        replace(SMALL, text="You will be redirected to your bank to pay.", controls=3),
        replace(SMALL, title="Waiting room | City hospital", text="The waiting room is on the second floor."),
        replace(SMALL, title="This domain is for sale | Names", links=40),
        replace(SMALL, title="Bridges under construction", text="Two of them open in May. Coming soon: a tunnel."),
        replace(SMALL, title="Access denied and other stories we told at the campfire last night", links=80),
    ],
)
def test_an_article_about_error_pages_is_no_error_page(content: Content) -> None:
    assert looks_like(content, asked=ASKED) == ("", "")


def test_a_page_requested_as_an_error_page_is_no_soft_404() -> None:
    missing = replace(SMALL, title="Page not found")

    assert looks_like(missing, asked="https://shop.example/404.html") == ("", "")


@pytest.mark.parametrize(
    "text",
    [
        *("Loading…", "Loading... 45 %", "Wird geladen …", "Φόρτωση", "Proszę czekać, trwa ładowanie"),
        *("Bitte warten: Laden", "Loading your basket…", "Chargement de votre panier..."),
    ],
)
def test_a_text_that_only_says_loading_is_a_loading_indicator(text: str) -> None:
    assert is_loading(text)


@pytest.mark.parametrize(
    "text", ["", "…", "Loading docks for sale", "Loading\nOur offers", "Loading, unloading and storage"]
)
def test_a_longer_text_is_no_loading_indicator(text: str) -> None:
    assert not is_loading(text)
