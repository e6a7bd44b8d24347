"""The terminal pictures in the docs match the program's current output, exactly where possible."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import pytest

from producer.cli.top_board import board_lines
from producer.cli.top_keys import HINT
from producer.client.gpu_view import GpuView
from producer.client.lane_view import LaneInfo
from producer.client.queue_info import QueueInfo
from producer.contract import Lane
from producer.views.board import WINDOW_MS, Board, Recent

FOLDER = Path(__file__).resolve().parents[3] / "ops/captures"
DOCS = FOLDER.parents[1] / "docs/captures"
WIDTHS = (80, 120)
SCREENS = ((80, 24), (120, 40))


@pytest.mark.parametrize(("width", "height"), SCREENS)
def test_the_picture_of_the_board_begins_and_ends_as_the_board_does(width: int, height: int) -> None:
    picture = (DOCS / f"top-{width}x{height}.txt").read_text().splitlines()
    lanes: dict[str, LaneInfo] = {
        name: LaneInfo(*map(int, re.findall(r"\d+", picture[number].replace(",", ""))))
        for number, name in enumerate(Lane, start=2)
    }
    scheduled, dead = map(int, re.findall(r"\d+", picture[5]))
    clock = datetime.strptime(picture[0].split()[-1], "%H:%M:%S")  # noqa: DTZ007  the wall clock of the machine it was taken on
    at_ms = int(clock.replace(year=2026).timestamp() * 1000)
    queue = QueueInfo(lanes, scheduled, dead, ())
    board = Board(at_ms, "dev", queue, (), (), GpuView(at_ms), Recent(WINDOW_MS, {}), (), ())

    assert [line.plain.rstrip() for line in board_lines(board, width=width)][:6] == picture[:6]
    assert picture[-1].strip() == HINT
    assert (len(picture), max(map(len, picture)) <= width) == (height, True)


@pytest.mark.parametrize(("width", "height"), SCREENS)
def test_the_counts_on_the_picture_of_the_board_agree(width: int, height: int) -> None:
    picture = (DOCS / f"top-{width}x{height}.txt").read_text()

    running = sum(map(int, re.findall(r"(\d+) running", picture)))
    assert running == sum(map(int, re.findall(r"(\d+)/\d+  [\d,]+ done", picture)))


@pytest.mark.parametrize("width", WIDTHS)
def test_the_pictures_of_progress_bar_and_table_fit_and_show_both(width: int) -> None:
    bar = (FOLDER / f"progress-{width}.txt").read_text()
    table = (FOLDER / f"table-{width}.txt").read_text()

    assert re.fullmatch(r"Scanning: \d+ with barriers ━+[╺╸]?━* \d+/44 \d\d:\d\d\n", bar)
    assert re.search(r"^Page +Status +Crit\w* +Ser\w* +Mod\w* +Min\w* +Worst rule$", table, re.MULTILINE)
    assert max(map(len, [*bar.splitlines(), *table.splitlines()])) <= width


@pytest.mark.parametrize("folder", [FOLDER, DOCS])
def test_a_picture_loads_nothing_from_elsewhere(folder: Path) -> None:
    pictures = {picture.name: picture.read_text() for picture in folder.glob("*.svg")}

    assert pictures
    assert [name for name, text in pictures.items() if re.search(r"url\(.?http|href=|<script|@import", text)] == []
