"""Where the parts of a ladder stand on a page."""

from __future__ import annotations

from itertools import pairwise

from conformance.report.drawing import lay_out
from conformance.suite.conversation import Arrow
from tests.conformance.report.samples import LADDER, hostile


def test_arrows_end_at_their_lanes() -> None:
    drawing = lay_out(LADDER)
    assert drawing is not None
    alice, server = drawing.lanes
    invite, killed, refused = drawing.rows
    assert (invite.x1, invite.head.split(",")[0]) == (alice.x, str(server.x))
    assert (killed.x1, killed.head) == (server.x, "")
    assert (refused.x1, refused.head.split(",")[0]) == (server.x, str(alice.x))
    assert [row.time for row in drawing.rows] == ["0.000", "0.010", "0.020"]
    assert invite.y < killed.y < refused.y < drawing.height
    assert refused.label == "0.020 s, server → alice: 403 Forbidden"
    assert killed.label == "0.010 s, server: killed"


def test_no_arrows_no_drawing() -> None:
    assert lay_out([]) is None


def test_long_names_keep_their_distance_and_all_is_within_the_width() -> None:
    people = [f"[2001:db8::{number:x}]:5060" for number in range(12)]
    arrows = [Arrow(at=0, source=name, target="server", summary="x" * 60) for name in people]
    drawing = lay_out(arrows)
    assert drawing is not None
    xs = [lane.x for lane in drawing.lanes]
    assert all(second - first > 17 * 7.3 for first, second in pairwise(xs[2:]))
    assert all(row.text_x + 60 * 7.3 < drawing.width for row in drawing.rows)


def test_what_is_too_long_is_cut_and_what_is_hostile_an_escape() -> None:
    drawing = lay_out(hostile().cases[0].ladder)
    assert drawing is not None
    assert [len(lane.shown) for lane in drawing.lanes] == [30, 6, 30]
    assert all(lane.shown.isprintable() for lane in drawing.lanes)
    assert drawing.rows[1].shown.endswith("…")
    assert all(row.shown.isprintable() and len(row.shown) <= 88 for row in drawing.rows)
