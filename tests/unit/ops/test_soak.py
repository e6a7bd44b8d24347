"""The rounds of ``make soak``: each leaves the same amount in Redis, or noise would hide a drift."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "ops" / "chaos"))

from soak import LIMITS, Samples, a_round, show  # pyright: ignore[reportMissingImports]  # a program's own folder, no package
from stage import PAGES  # pyright: ignore[reportMissingImports]

URLS = [f"http://site.example/page-{n}" for n in range(PAGES)]


def test_every_round_visits_all_pages_alike_and_asks_as_many_first_second_and_last_questions() -> None:
    rounds = [a_round(number, URLS) for number in range(20)]
    asked: Counter[str] = Counter()
    turns: list[Counter[int]] = []
    for jobs in rounds:
        threads = [str(payload["thread_id"]) for kind, payload in jobs if kind == "query"]
        turns.append(Counter[int]())
        for thread in threads:
            asked[thread] += 1
            turns[-1][asked[thread]] += 1

    visits = [Counter(payload["url"] for kind, payload in jobs if kind == "scan") for jobs in rounds]

    assert all(set(counts) == set(URLS) and len(set(counts.values())) == 1 for counts in visits)
    assert len({len(jobs) for jobs in rounds}) == 1
    assert all(counts == turns[10] for counts in turns[10:])
    assert len(turns[10]) > 1


def test_a_row_with_too_few_samples_is_unclear_not_level() -> None:
    samples = Samples()
    samples.add("workers, resident MB", 236.0)

    assert show(samples) == 2


def test_all_is_level_only_if_every_row_was_read_and_no_worker_ended() -> None:
    samples = Samples()
    samples.began -= 100
    missing, *others = LIMITS
    for name in others:
        samples.rows[name] = ([float(at) for at in range(100)], [236.0] * 100)

    assert show(samples) == 2

    samples.rows[missing] = samples.rows[others[0]]
    assert show(samples) == 0

    samples.ends[-9] += 1
    assert show(samples) == 1
