"""`conformance.load.sheets` and `conformance.load.plots`: the same figures as tables and as drawings."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from rich.console import Console

from conformance.load import sheets
from conformance.load.plots import draw
from conformance.load.scale import Growth, Series
from conformance.load.sheets import Sheet
from tests.conformance.load.test_scale import found, growth

SVG = "{http://www.w3.org/2000/svg}"


def made() -> Growth:
    return growth(
        Series("rooms", 100, 100, 500, 0, {"imc": [found(start_seconds=2.0)]}),
        Series("rooms", 10, 10, 50, 0, {"imc": [found()]}),
    )


def test_a_sheet_has_a_row_for_each_size_in_order() -> None:
    by_name = {sheet.name: sheet for sheet in sheets.sheets(made())}
    assert list(by_name) == ["rooms-cpu", "rooms-answer", "rooms-slow", "rooms-memory", "rooms-start"]
    assert by_name["rooms-start"].sizes == [10, 100]
    assert by_name["rooms-start"].columns == [("time", [1.0, 2.0]), ("CPU time", [0.5, 0.5])]
    assert by_name["rooms-cpu"].columns == [("first", [100.0, 100.0]), ("texts", [50.0, 50.0])]


def test_two_servers_stand_side_by_side() -> None:
    both = made()
    both.versions["kamailio"] = "kamailio 5.6"
    both.series[0].found["kamailio"] = [found(start_seconds=9.0)]
    start = next(sheet for sheet in sheets.sheets(both) if sheet.name == "rooms-start")
    assert start.columns[::2] == [("imc: time", [1.0, 2.0]), ("kamailio: time", [None, 9.0])]


def test_a_delivery_counts_where_all_of_a_room_are_told() -> None:
    members = growth(Series("members", 10, 1, 10, 0, {"imc": [found()]}))
    by_name = {sheet.name: sheet for sheet in sheets.sheets(members)}
    assert by_name["members-cpu"].columns == [("texts, a delivery", [10.0]), ("first", [100.0])]
    assert by_name["members-bytes"].columns == [("each member", [2 * 2**20 / 10])]


@pytest.mark.parametrize(
    ("value", "expected"), [(None, "–"), (0.123, "0.12"), (12.34, "12.3"), (1234.5, "1,234"), (99.96, "100.0")]
)
def test_three_digits_that_count(value: float | None, expected: str) -> None:
    assert sheets.text(value) == expected


def test_page_and_terminal_say_the_same() -> None:
    page = sheets.page(made())
    assert "imc 1.0; 2 cores, Linux, Python 3.11" in page
    assert "## Rooms of five: CPU time of each request, µs\n\n| rooms | first | texts |\n| ---: | ---: | ---: |" in page
    assert "| 100 | 100 | 50.0 |" in page
    console = Console(file=io.StringIO(), width=120)
    console.print(sheets.terminal(made()))
    assert isinstance(console.file, io.StringIO)
    assert ["100", "100", "50.0"] in [line.split() for line in console.file.getvalue().splitlines()]


def test_doubts() -> None:
    odd = made()
    odd.series[0].failures["imc"] = ["it ended", "it ended"]
    again = replace(found().costs["first"], resent=7)
    odd.series[1].found["imc"] = [found(foreign_cores=1.5, costs={"first": again})]
    assert sheets.doubts(odd) == [
        "rooms 100 on imc: it ended",
        "rooms 10 on imc: 7 deliveries were sent again, though each was answered at once; the CPU time has that in it.",
        "Other programs used up to 1.5 cores meanwhile: times until an answer mean little.",
    ]
    assert sheets.doubts(made()) == []


def sheet(*columns: tuple[str, list[float | None]]) -> Sheet:
    return Sheet("rooms-cpu", "Rooms <of> five", "rooms", "µs", [10, 100, 1_000], columns)


def test_a_drawing_has_a_line_for_each_column_and_a_point_for_each_figure() -> None:
    text = draw(sheet(("texts", [20.0, 200.0, 20.0]), ("lists & more", [None, 5.0, 0.0])))
    root = ET.fromstring(text)
    assert root.findtext(f"{SVG}title") == "Rooms <of> five, µs"
    lines = [line.attrib["points"].split() for line in root.iter(f"{SVG}polyline")]
    assert [len(points) for points in lines] == [3, 1]
    xs = [float(point.split(",")[0]) for point in lines[0]]
    ys = [float(point.split(",")[1]) for point in lines[0]]
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.1)  # decades are equally far apart
    assert ys[0] == ys[2] > ys[1]
    assert len(list(root.iter(f"{SVG}circle"))) == 4
    words = [each.text for each in root.iter(f"{SVG}text")]
    assert {"texts", "lists & more", "10", "100", "1,000", "µs"} <= set(words)
    assert draw(sheet(("texts", [20.0, 200.0, 20.0]), ("lists & more", [None, 5.0, 0.0]))) == text


def test_one_figure_can_be_drawn_and_none_cannot() -> None:
    ET.fromstring(draw(sheet(("texts", [None, 1.0, None]))))
    with pytest.raises(ValueError, match="rooms-cpu: no figures"):
        draw(sheet(("texts", [None, 0.0, None])))
