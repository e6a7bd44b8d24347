from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from producer.contract import MAX_RESULT_BYTES, Finding, Impact, Node, ScanResult
from tests.support.scans import finding, scan_result
from worker.agent.assessment.trim import AUDIT_BYTES, json_bytes, trim


def heavy(rule: str, nodes: int, *, impact: Impact | None = Impact.SERIOUS, each: int = 1_000) -> Finding:
    """A finding of ``nodes`` nodes, each of about ``each`` bytes."""
    listed = tuple(Node(selector=("a",), snippet="x" * each, fingerprint=f"{rule}-{n}") for n in range(nodes))
    return finding(rule, impact=impact).model_copy(update={"nodes": listed, "node_count": nodes})


def counts(result: ScanResult) -> dict[str, int]:
    return {one.rule: len(one.nodes) for one in (*result.findings, *result.incomplete)}


def test_a_result_that_fits_is_left_as_it_is():
    result = scan_result(heavy("label", 3))

    assert trim(result, json_bytes(result)) is result


def test_the_least_harmful_nodes_go_first_and_every_count_stays():
    result = scan_result(
        heavy("image-alt", 10, impact=Impact.CRITICAL),
        heavy("region", 10, impact=Impact.MINOR),
        heavy("label", 10, impact=Impact.MODERATE),
    )

    trimmed = trim(result, json_bytes(result) - 12_000)

    assert counts(trimmed)["image-alt"] == 10
    assert counts(trimmed)["region"] == 1
    assert 5 <= counts(trimmed)["label"] <= 7
    assert [one.node_count for one in trimmed.findings] == [10, 10, 10]
    assert [one.is_trimmed for one in trimmed.findings] == [False, True, True]
    assert trimmed.counts == result.counts
    assert trimmed.barriers == result.barriers


def test_what_needs_review_goes_before_what_is_certain_of_the_same_impact():
    doubt = heavy("color-contrast", 10).model_copy(update={"outcome": "incomplete"})
    result = scan_result(heavy("label", 10)).model_copy(update={"incomplete": (doubt,)})

    trimmed = trim(result, json_bytes(result) - 5_000)

    assert counts(trimmed)["label"] == 10
    assert counts(trimmed)["color-contrast"] < 10
    assert trimmed.incomplete[0].is_trimmed


def test_of_one_impact_the_longest_finding_gives_first():
    result = scan_result(heavy("label", 4), heavy("region", 40))

    trimmed = trim(result, json_bytes(result) - 20_000)

    assert counts(trimmed)["label"] == 4


def test_each_finding_keeps_an_example_for_as_long_as_others_can_go():
    result = scan_result(*(heavy(f"rule-{n}", 20) for n in range(5)))

    trimmed = trim(result, 8_000)

    assert set(counts(trimmed).values()) == {1}
    assert json_bytes(trimmed) <= 8_000


def test_the_result_says_in_words_how_many_elements_it_does_not_list():
    result = scan_result(heavy("label", 20))

    trimmed = trim(result, json_bytes(result) - 5_500)

    listed = counts(trimmed)["label"]
    assert trimmed.notes[-1].startswith(f"{20 - listed} elements are counted but not listed")


def test_a_page_with_thousands_of_barriers_fits_the_limit_with_room_for_what_is_added():
    result = scan_result(*(heavy(f"rule-{n}", 500, each=300) for n in range(60)))

    trimmed = trim(result, AUDIT_BYTES)

    assert json_bytes(result) > MAX_RESULT_BYTES
    assert AUDIT_BYTES * 0.99 < json_bytes(trimmed) <= AUDIT_BYTES


@settings(max_examples=60)
@given(
    sizes=st.lists(
        st.tuples(st.integers(0, 12), st.sampled_from([None, *Impact]), st.integers(1, 3_000)), min_size=1, max_size=6
    ),
    share=st.floats(0.2, 1.0),
)
def test_a_trimmed_result_fits_or_has_no_node_left(sizes: list[tuple[int, Impact | None, int]], share: float):
    findings = (heavy(f"rule-{n}", nodes, impact=impact, each=each) for n, (nodes, impact, each) in enumerate(sizes))
    result = scan_result(*findings)
    limit = round(json_bytes(result) * share)

    trimmed = trim(result, limit)

    assert json_bytes(trimmed) <= limit or sum(counts(trimmed).values()) == 0
    for before, after in zip(result.findings, trimmed.findings, strict=True):
        assert after.nodes == before.nodes[: len(after.nodes)]
        assert after.node_count == before.node_count
