"""The pictures of terminals in the docs show what the program draws today, to the letter where that can be told."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import pytest

from producer.cli.top_board import board_lines
from producer.client.gpu_view import GpuView
from producer.client.queue_view import LaneInfo, QueueInfo
from producer.views.board import WINDOW_MS, Board, Recent

FOLDER = Path(__file__).resolve().parents[3] / "ops/captures"
WIDTHS = (80, 120)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_picture_of_the_board_begins_as_the_board_does(width: int) -> None:
    picture = (FOLDER / f"top-{width}.txt").read_text().splitlines()
    lanes = {name: LaneInfo(*map(int, re.findall(r"\d+", "".join(picture[n].split(",")))))
             for n, name in ((2, "interactive"), (3, "batch"))}  # fmt: skip
    scheduled, dead = map(int, re.findall(r"\d+", picture[4]))
    clock = datetime.strptime(picture[0].split()[-1], "%H:%M:%S")  # noqa: DTZ007  the wall clock of the machine it was taken on
    at_ms = int(clock.replace(year=2026).timestamp() * 1000)
    rate = int(re.findall(r"\d+", picture[6])[0])
    board = Board(
        at_ms,
        "dev",
        QueueInfo(lanes, scheduled, dead, ()),
        (),
        (),
        GpuView(at_ms),
        Recent(WINDOW_MS, {"succeeded": rate}),
        (),
        (),
    )

    assert [line.plain for line in board_lines(board, width=width)][:7] == picture[:7]
    assert max(map(len, picture)) <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_the_pictures_of_bar_and_table_fit_and_have_what_they_are_for(width: int) -> None:
    bar = (FOLDER / f"progress-{width}.txt").read_text()
    table = (FOLDER / f"table-{width}.txt").read_text()

    assert re.fullmatch(r"Scanning: \d+ with barriers ━+[╺╸]?━* \d+/44 \d\d:\d\d\n", bar)
    assert re.search(r"^Page +Status +Crit\w* +Ser\w* +Mod\w* +Min\w* +Worst rule$", table, re.MULTILINE)
    assert max(map(len, [*bar.splitlines(), *table.splitlines()])) <= width


def test_a_picture_loads_nothing_from_elsewhere() -> None:
    for picture in FOLDER.glob("*.svg"):
        assert not re.search(r"url\(.?http|href=|<script|@import", picture.read_text()), picture.name
