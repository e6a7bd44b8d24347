"""Each component has its own explanation in the reports, and a site its order of fixes."""

from __future__ import annotations

from producer.contract import Assessment, Priority, SiteOrder
from producer.reports.components import by_component
from producer.reports.page import Page, page_of
from tests.unit.reports import sample_pages as sample
from tests.unit.reports.component_pages import CARD, HEADER, finding


def explained(*priorities: Priority, order: SiteOrder | None = None) -> Page:
    """A page whose rule ``label`` fails in two components."""
    nodes = finding("label", HEADER).nodes + finding("label", CARD, nodes=2).nodes
    broken = finding("label", HEADER).revised(nodes=nodes, node_count=3)
    result = sample.scan_result("/x", broken).model_copy(
        update={
            "assessment": Assessment(summary="s", priorities=priorities, site_order=order),
            "assessment_source": "m:1b",
        }
    )
    return page_of(result)


def test_two_components_of_one_rule_have_each_its_own_explanation() -> None:
    page = explained(
        Priority(fingerprint="fp-label", issue_id=CARD, fix="Label the card"),
        Priority(fingerprint="n", issue_id=HEADER, fix="Label the header"),
    )

    by_id = {one.issue_id: one.advice for one in by_component([page])}
    made = sample.render("html", [page])

    assert {issue: said and (said[0].fix, said[1]) for issue, said in by_id.items()} == {
        HEADER: ("Label the header", "m:1b"),
        CARD: ("Label the card", "m:1b"),
    }
    assert "Label the card" in made
    assert "Label the header" in made


def test_a_component_without_an_explanation_gets_none_of_another_but_that_of_its_whole_finding() -> None:
    alone = explained(Priority(fingerprint="fp-label", issue_id=CARD, fix="Label the card"))
    whole = explained(Priority(fingerprint="fp-label", fix="Label it"))

    assert {one.issue_id: one.advice is not None for one in by_component([alone])} == {HEADER: False, CARD: True}
    assert all(one.advice and one.advice[0].fix == "Label it" for one in by_component([whole]))


def test_what_to_fix_first_on_the_site_is_shown_once_and_escaped() -> None:
    order = SiteOrder(site="shop.example", text="Mend the <b>header</b> first.", model="m:1b", pages=40)
    pages = [explained(order=order), explained(order=order), explained()]

    for form in ("html", "markdown"):
        made = sample.render(form, pages)
        assert made.count("What to fix first") == 1
        assert "<b>header</b>" not in made
        assert "Mend the " in made
    assert "What to fix first" not in sample.render("html", [explained()])
