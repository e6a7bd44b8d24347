from __future__ import annotations

import json
import time
from typing import Any

import pytest

from producer.contract import JsonObject
from worker.agent.conversation.tool_args import ARGS, TOOLS
from worker.models.builtin.answers import CAN, answer
from worker.models.builtin.models import BuiltinChat
from worker.models.protocols import Message, ToolCall


def page(scan: str, **fields: Any) -> JsonObject:
    about = {"scan": scan, "url": f"https://shop.example/{scan}", "title": scan.title(), "status": "scanned"}
    barriers = {"total": 3, "critical": 2, "minor": 1}
    return {**about, "seen": "2026-11-23T10:00Z", "barriers": barriers, "rules": {"label": 3}, **fields}


def listing(*scans: JsonObject, **fields: Any) -> JsonObject:
    total = sum(one["barriers"]["total"] for one in scans)
    sums = {"pages": len(scans), "barriers_of_all_pages": {"total": total, "critical": 2}, "rules": {}}
    return {**sums, "scans": list(scans), "left_out": 0, **fields}


def asked(question: str, *told: JsonObject, before: str = "") -> list[Message]:
    """The messages of a turn in which the tools have told ``told``."""
    messages = [Message("system", "…")]
    if before:
        messages += [Message("user", "Before?"), Message("assistant", before)]
    messages.append(Message("user", question))
    for number, document in enumerate(told):
        messages.append(Message("assistant", "", calls=(ToolCall("x", {}, f"c{number}"),)))
        messages.append(Message("tool", json.dumps(document), call_id=f"c{number}"))
    return messages


@pytest.mark.parametrize(
    ("question", "tool", "arguments"),
    [
        ("Which page has the worst barriers?", "search_scans", {"order": "worst"}),
        ("Where are the most accessibility problems on shop.example?", "search_scans", {"site": "shop.example"}),
        ('worst page of group "check out"', "search_scans", {"group": "check out"}),
        ("What changed since Monday?", "compare_scans", {"since": "Monday"}),
        ("Did anything get worse since 2026-11-01?", "compare_scans", {"since": "2026-11-01"}),
        ("Which barriers are new in the last 3 days?", "compare_scans", {"since": "the last 3 days"}),
        ("What got better yesterday?", "compare_scans", {"since": "yesterday"}),
        ("Which templates got worse since May?", "compare_scans", {"since": "May"}),
        ("Which sections got worse since the 12th of May 2026?", "compare_scans", {"since": "the 12th of May 2026"}),
        ("Since May 12, 2026, what has changed?", "compare_scans", {"since": "May 12, 2026"}),
        ("What is new in October?", "compare_scans", {"since": "October"}),
        ("What changed since Monday on shop.example?", "compare_scans", {"since": "Monday", "site": "shop.example"}),
        ("What changed since Monday in group teas?", "compare_scans", {"since": "Monday", "group": "teas"}),
        ("Which barriers are new in the checkout?", "compare_scans", {"since": "last week", "words": "checkout"}),
        ("Did the checkout get worse since last week?", "compare_scans", {"since": "last week", "words": "checkout"}),
        ("What changed on /cart since Monday?", "compare_scans", {"since": "Monday", "url": "/cart"}),
        ("What changed since Monday on the cart page?", "compare_scans", {"since": "Monday", "words": "cart"}),
        ("Which group got worse since May?", "compare_scans", {"since": "May", "group": None}),
        ("Which barriers are worst on /category/8.html?", "search_scans", {"url": "/category/8.html"}),
        ("Which page of https://shop.example/ is the worst?", "search_scans", {"site": "https://shop.example/"}),
        (
            "How many image-alt barriers are on /category/8.html?",
            "search_scans",
            {"rule": "image-alt", "url": "/category/8.html"},
        ),
        ("How many barriers are there?", "search_scans", {"rule": None, "url": None}),
        ("How many pages have critical barriers on shop.example?", "search_scans", {"impact": "critical"}),
        ("How many label barriers did /cart have on 2026-11-01?", "search_scans", {"rule": "label", "url": "/cart"}),
        ("How many barriers did the checkout page have last week?", "search_scans", {"until": "last week"}),
        ("How many color-contrast issues are in group teas?", "search_scans", {"group": "teas"}),
        ('Number of label errors on "tea shop" since May', "search_scans", {"since": "May", "words": "tea shop"}),
        ("What about /cart?", "search_scans", {"url": "/cart"}),
        (
            "What changed between nightly-1 and nightly-2?",
            "compare_scans",
            {"before": "nightly-1", "after": "nightly-2"},
        ),
        (
            "Compare the batches nightly-1 and nightly-2.",
            "compare_scans",
            {"before": "nightly-1", "after": "nightly-2"},
        ),
        ("What got worse from 1 May to last week on /cart?", "compare_scans", {"before": "1 May", "url": "/cart"}),
        ("What is new between 2 weeks ago and now?", "compare_scans", {"before": "2 weeks ago", "after": "now"}),
        ("What's new between nightly-1 and nightly-2?", "compare_scans", {"before": "nightly-1", "after": "nightly-2"}),
        ("What is new in nightly-2 compared to nightly-1?", "compare_scans", {"before": "nightly-1"}),
        ("Which component should we fix first?", "list_components", {"words": None}),
        ("Which component barrier should be fixed first?", "list_components", {"words": None}),
        ("Where should we start?", "list_components", {"words": None}),
        (
            "Since when does the search field in the header have a barrier?",
            "list_components",
            {"words": "search field header"},
        ),
        ("How many component barriers are on /cart?", "search_scans", {"url": "/cart"}),
        ("How many barriers are in the category group?", "search_scans", {"group": "category", "words": None}),
        ("What are the barriers of /cart?", "search_scans", {"url": "/cart"}),
        ("What should we fix first on shop.example?", "list_components", {"site": "shop.example"}),
        ("Which component barrier should we mend first in the header?", "list_components", {"words": "header"}),
        ("Since when is the header broken?", "list_components", {"words": "header"}),
        ("Since when has the search field been broken?", "list_components", {"words": "search field"}),
        ("When did color-contrast break?", "list_components", {"rule": "color-contrast"}),
        ("What about https://shop.example/cart?", "get_scan", {"url": "https://shop.example/cart"}),
        ("What about the checkout page?", "search_scans", {"words": "checkout"}),
        ("Tell me about group teas", "search_scans", {"words": "teas"}),
        ("Remember that the shop is rebuilt in May.", "remember", {"words": "the shop is rebuilt in May."}),
    ],
)
def test_a_question_of_a_known_shape_asks_its_tool_in_a_form_that_the_tool_takes(
    question: str, tool: str, arguments: JsonObject
):
    step = answer(asked(question))

    assert step.call is not None
    assert step.call.name == tool
    assert {name: step.call.arguments.get(name) for name in arguments} == arguments
    ARGS[tool].model_validate(step.call.arguments)


@pytest.mark.parametrize(
    "question",
    ["Who are you?", "", "Scan https://shop.example/tea", "What do you remember?"],
)
def test_any_other_question_gets_the_settings_to_make(question: str):
    step = answer(asked(question))

    assert (step.text, step.call) == (CAN, None)
    assert "set CHAT_MODEL to a language model and OLLAMA_BASE_URL" in CAN


@pytest.mark.parametrize(
    "words", ["do ", "does the a ", "fix ", "first ", ".", "on . ", "since a ", "template \u201ca "]
)
def test_a_question_of_any_spelling_is_read_in_milliseconds(words: str):
    started = time.process_time()

    for start in ("", "How many barriers ", "Tell me about ", "Since when is x ", "What changed on "):
        answer(asked(f"{start}{words * 20_000}"[:19_900] + "("))

    assert time.process_time() - started < 3


@pytest.mark.parametrize(
    ("question", "word"),
    [
        ("How many image-alt barriers are on /cart by colour?", "colour"),
        ("How many alt-text barriers are there?", "alt-text"),
        ("How many label and image-alt barriers are there?", "image-alt"),
        ("Which page has the worst barriers caused by vendors?", "caused vendors"),
        ("What changed between Monday, Tuesday?", "Monday Tuesday"),
        ("Which component should we mend first on /cart?", "/cart"),
    ],
)
def test_a_question_understood_in_part_is_not_answered_for_the_whole_site(question: str, word: str):
    step = answer(asked(question))

    assert step.call is None
    assert step.text.startswith("The built-in model does not understand")
    assert word in step.text


def test_a_count_is_of_its_page_with_its_source():
    question = "How many image-alt barriers are on /category/8.html?"
    cart = page("p8", url="https://shop.example/category/8.html")
    found = listing(cart, barriers_of_all_pages={"total": 24, "critical": 24}, pages_looked_at=1)
    none = {"pages": 0, "pages_looked_at": 1, "barriers_of_all_pages": {"total": 0}, "looked_at": [cart], "scans": []}

    some, clean, gone = (
        answer(asked(question, told)).text for told in (found, none, {"error": "no recorded page has the path '/x'"})
    )

    assert some == "24 elements with image-alt barriers on https://shop.example/category/8.html [scan p8]."
    assert clean == (
        "No machine-detectable image-alt barrier was found on https://shop.example/category/8.html, "
        "of 1 page looked at [scan p8]."
    )
    assert gone == "That cannot be answered: no recorded page has the path '/x'"


def test_a_name_that_no_page_has_is_looked_up_as_a_component_s():
    step = answer(asked("How many barriers are in the header?", {"pages": 0, "pages_looked_at": 0, "scans": []}))

    assert step.call is not None
    assert (step.call.arguments["component"], "words" in step.call.arguments) == ("header", False)


def test_a_count_over_pages_names_the_worst_and_what_could_not_be_read():
    found = listing(page("a", status="partial"), page("b"), left_out=3, pages=5, pages_looked_at=9)
    question = "How many barriers are on shop.example?"

    said = answer(asked(question, found)).text
    pages = answer(asked("How many pages have critical barriers?", found)).text

    assert said.startswith("6 elements with barriers on 5 pages of 9 pages looked at, the worst first: “A” (https://")
    assert said.endswith("3 further pages not listed. 1 page of these could be read only in part: there may be more.")
    assert pages.startswith("5 pages of 9 pages looked at have critical barriers")


def test_the_worst_page_is_named_with_its_numbers_and_its_scan():
    told = listing(page("cart"), page("home", barriers={"total": 1, "minor": 1}))

    said = answer(asked("Which page has the worst barriers?", told)).text

    assert said.startswith("The worst barriers are on \u201cCart\u201d (https://shop.example/cart): 3 elements")
    assert "(2 critical, 1 minor), most of label (3) [scan cart]" in said
    assert "Then come \u201cHome\u201d (https://shop.example/home) with 1 [scan home]" in said


@pytest.mark.parametrize("question", ["Which template is the worst?", "What is the worst group of shop.example?"])
def test_a_page_is_no_answer_to_which_group_is_the_worst(question: str):
    step = answer(asked(question))

    assert step.call is None
    assert step.text.startswith("The built-in model does not understand")


def test_a_follow_up_refers_to_the_page_named_before():
    before = "The worst barriers are on Cart [scan cart]. Then come Home [scan home]."

    wrong = answer(asked("What is wrong with that page?", before=before)).call
    second = answer(asked("And the second worst?", listing(page("cart"), page("home")), before=before)).text

    assert wrong == ToolCall("get_scan", {"scan": "cart"}, "builtin-0")
    assert second.startswith("The second worst barriers are on \u201cHome\u201d")


def test_an_unclear_pronoun_is_answered_with_a_question():
    assert "Which page do you mean?" in answer(asked("What is wrong with it?")).text


def test_changes_are_listed_by_page_with_uncertain_ones_marked():
    cart = {**page("cart"), "new": {"total": 2, "label": 2}, "fixed": {"total": 0}, "uncertain": ["region"]}
    told = {
        "since": "2026-11-16T00:00Z", "pages": 3, "new_barriers": 2, "fixed_barriers": 0, "changed": [cart],
        "left_out": 1, "first_scanned_since": 1, "first_scanned": [page("new")],
    }  # fmt: skip

    said = answer(asked("What changed since Monday?", told)).text

    assert said.startswith("Since Monday (2026-11-16T00:00Z): 2 new failing elements, 0 fixed, on 2 of 3 pages.")
    assert "2 new (label 2), 0 fixed, uncertain for region [scan cart]" in said
    assert "1 further changed page not listed" in said
    assert "not compared: 1, such as https://shop.example/new [scan new]" in said


def component(scan: str, **fields: Any) -> JsonObject:
    about = {"id": "4a1f", "name": "Header \u203a search field has no label", "rule": "label", "impact": "critical"}
    counts = {"pages": 150, "elements": 150, "since": "2026-11-01T02:00Z", "scan": scan}
    return {**about, **counts, **fields}


def test_changes_between_two_batches_are_listed_by_component_barrier_as_worse_and_better():
    gone = component("s2", change="mended", where="gone from 150 pages", name="Footer \u203a link has no text")
    new = component("s1", change="new", where="on 150 pages")
    told = {
        "between": ["batch nightly-1", "batch nightly-2"], "pages": 150, "verdict": "worse and better",
        "component_barriers": {"new": 1, "mended": 1, "moved": 0}, "components": [new, gone], "first_scanned_since": 0,
    }  # fmt: skip

    said = answer(asked("What changed between nightly-1 and nightly-2?", told)).text

    assert said.startswith(
        "Between batch nightly-1 and batch nightly-2: worse and better. 1 new component barrier, 1 fixed"
    )
    assert "New: \u201cHeader \u203a search field has no label\u201d (label, 4a1f), on 150 pages [scan s1]." in said
    assert "Fixed: \u201cFooter \u203a link has no text\u201d (label, 4a1f), gone from 150 pages [scan s2]." in said


def test_the_component_to_fix_first_and_since_when_it_is_broken_have_sources():
    told = {"component_barriers": 2, "components": [component("s1"), component("s2", name="Main \u203a card")]}

    first = answer(asked("Which component should we fix first?", told)).text
    since = answer(asked("Since when is the header broken?", {**told, "components": [component("s1")]})).text
    nothing = {"component_barriers": 0, "components": []}
    none = answer(asked("Since when is the footer broken?", nothing))
    gone = {**component("s3"), "mended_on": "2026-11-09T02:00Z", "pages": 0}
    mended = answer(asked("Since when is the footer broken?", nothing, {"component_barriers": 1, "components": [gone]}))
    never = answer(asked("Since when is the footer broken?", nothing, nothing))

    assert first.startswith(
        "Fix first: \u201cHeader \u203a search field has no label\u201d (label, 4a1f): it is critical"
    )
    assert "[scan s1]" in first
    assert "since 2026-11-01 02:00 UTC, on 150 pages with 150 elements [scan s1]." in since
    assert none.call is not None
    assert none.call.arguments["mended"] is True
    assert "fixed on 2026-11-09 02:00 UTC; there since 2026-11-01 02:00 UTC [scan s3]" in mended.text
    assert never.text == "No component barrier whose name contains 'footer' is recorded, and none was fixed."


@pytest.mark.parametrize(
    ("question", "tool", "arguments"),
    [
        ("Where should we start fixing?", "list_components", {}),
        ("Which component has the highest priority?", "list_components", {}),
        ("Which barrier would bring the most if we fixed it?", "list_components", {}),
        ("When was the menu button first seen without a name?", "list_components", {"words": "menu button"}),
        ("Since when does the search field in the header lack a label?", "list_components",
         {"words": "search field header"}),
        ("How long has the email field been missing a label?", "list_components", {"words": "email field"}),
        ("Which barriers are new since nightly-1 in nightly-2, and which were fixed?", "compare_scans",
         {"before": "nightly-1", "after": "nightly-2"}),
        ("What changed since May in the shop?", "compare_scans", {"since": "May", "words": "shop"}),
        ("On how many pages is the header search field broken?", "search_scans", {"component": "header search field"}),
        ('How many elements does the component "card price" have?', "search_scans", {"component": "card price"}),
        ("How many image-alt barriers does the card image component have?", "search_scans",
         {"component": "card image", "rule": "image-alt"}),
    ],
)  # fmt: skip
def test_the_same_question_in_other_words_looks_up_the_same(
    question: str, tool: str, arguments: dict[str, str]
) -> None:
    step = answer(asked(question))

    assert step.call is not None, step.text
    assert step.call.name == tool
    given = {name: value for name, value in step.call.arguments.items() if name not in {"limit", "order"}}
    assert given == arguments


def test_a_count_of_one_rule_lists_the_pages_with_that_rule_alone():
    page = {"url": "/8", "title": "", "barriers": {"total": 51}, "rules": {"image-alt": 24, "label": 27}, "scan": "s1"}
    told = {"pages_looked_at": 2, "pages": 1, "barriers_of_all_pages": {"total": 24}, "scans": [page]}

    said = answer(asked("How many image-alt barriers are there?", told)).text

    assert "24 elements with image-alt barriers" in said
    assert "with 24 [scan s1]" in said


def test_a_group_named_in_place_of_a_component_is_searched_as_a_group():
    step = answer(asked("What should we mend first in the checkout?", {"component_barriers": 0, "components": []}))

    assert step.call is not None
    assert (step.call.arguments["group"], step.call.arguments.get("words")) == ("checkout", None)


def test_groups_are_worse_or_better_by_their_changes_and_not_by_their_sums():
    group = {"group": "shop", "new": 300, "fixed": 300, "pages": 150, "scan": "s1"}
    named = {**group, "new_components": ["Header \u203a logo"], "mended_components": ["Footer \u203a link"]}
    told = {"since": "2026-11-16T00:00Z", "pages": 150, "groups": [named], "first_scanned_since": 0}

    said = answer(asked("Which groups got worse since Monday?", told)).text
    sums = answer(asked("Which groups got worse since Monday?", {**told, "groups": [group]})).text

    assert (
        "Worse since Monday (2026-11-16T00:00Z): \u201cshop\u201d (300 new, 300 fixed; new: Header \u203a logo" in said
    )
    assert "Better: \u201cshop\u201d" in said
    assert "No group got worse" not in sums


def test_pages_that_are_all_new_are_not_called_unchanged():
    told = {"since": "2026-11-16T00:00Z", "pages": 3, "new_barriers": 0, "fixed_barriers": 0, "first_scanned_since": 3}

    some, all_new = (answer(asked("What changed since Monday?", one)).text for one in ({**told, "pages": 4}, told))

    assert some == "Since Monday (2026-11-16T00:00Z): 0 new failing elements, 0 fixed, on 1 of 4 pages."
    assert all_new == "Nothing can be compared since Monday (2026-11-16T00:00Z): no page was scanned before."


def test_groups_that_were_not_there_before_are_not_called_unchanged():
    told = {"since": "2026-11-16T00:00Z", "pages": 4, "groups": [], "first_scanned_since": 3}
    question = "Which groups got worse since Monday?"

    some, all_new, none = (
        answer(asked(question, one)).text
        for one in (told, {**told, "pages": 3}, {**told, "pages": 0, "first_scanned_since": 0})
    )

    assert some.startswith("No group got worse since Monday (2026-11-16T00:00Z). Not compared")
    assert some.endswith("first scanned since then: 3 pages.")
    assert all_new.startswith("Nothing can be compared since Monday (2026-11-16T00:00Z): 3 pages scanned")
    assert none == "No page has been scanned yet that fits the question."


def test_without_a_time_the_last_seven_days_are_meant_and_named():
    told = {"since": "2026-11-16T00:00Z", "pages": 1, "new_barriers": 0, "fixed_barriers": 0}

    assert answer(asked("What changed?", told)).text.startswith("In the last seven days (since 2026-11-16T00:00Z)")


def test_one_page_of_that_name_is_shown_several_are_listed_and_none_is_reported():
    one = answer(asked("What about the cart page?", listing(page("cart"))))
    brand = listing(page("home", title="Cart & Co"), page("cart", title="Cart & Co"))
    named = answer(asked("What about the cart page?", brand))
    several = answer(asked("What about Co?", brand))
    group = answer(asked("What about teas?", listing()))
    nothing = answer(asked("What about teas?", listing(), listing()))

    assert one.call == ToolCall("get_scan", {"scan": "cart"}, "builtin-1")
    assert named.call == one.call
    assert several.text.startswith("2 pages fit 'Co', with 6 failing elements")
    assert group.call is not None
    assert group.call.arguments["group"] == "teas"
    assert nothing.text.startswith("No scanned page has 'teas'")


def test_a_scan_is_described_by_its_failed_rules():
    findings = [{"rule": "label", "impact": "critical", "elements": 2}, {"rule": "x", "impact": None, "elements": 1}]

    said = answer(asked("What about https://shop.example/cart?", page("cart", findings=findings, left_out=3))).text

    assert "Failed rules, worst first: label (critical, 2 elements), x (unrated, 1 element)" in said
    assert "and 3 further rules" in said


def test_a_page_without_barriers_is_not_called_accessible():
    clean = page("cart", barriers={"total": 0}, findings=[])

    assert (
        "no machine-detectable barrier was found" in answer(asked("What about https://shop.example/cart?", clean)).text
    )
    assert "no machine-detectable barrier was found" in answer(asked("Which page is the worst?", listing(clean))).text


@pytest.mark.parametrize("told", [{"error": "the index is away"}, {}, {"scans": "x", "pages": "y"}, {"scans": [1]}])
def test_a_failed_or_odd_tool_result_is_reported_and_nothing_is_invented(told: JsonObject):
    said = answer(asked("Which page has the worst barriers?", told)).text

    assert said.startswith(("That cannot be answered: the index is away", "No page has been scanned yet"))


async def test_the_builtin_model_asks_its_tools_and_then_answers():
    chat = BuiltinChat()

    first = await chat.chat(asked("Which page has the worst barriers?"), tools=TOOLS)
    second = await chat.chat(asked("Which page has the worst barriers?", listing(page("cart"))), tools=TOOLS)

    assert [one.name for one in first.calls] == ["search_scans"]
    assert first.text == ""
    assert second.calls == ()
    assert "[scan cart]" in second.text
