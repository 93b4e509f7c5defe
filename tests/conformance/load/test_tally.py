"""`conformance.load.tally`: each delivery once; repeated, told twice, lost and unexpected ones apart."""

from __future__ import annotations

from array import array

from conformance.load.message import UNKNOWN
from conformance.load.sink import Seen
from conformance.load.tally import Tally, heard
from conformance.load.works import Ask


def seen(*rows: tuple[float, int, int, int]) -> Seen:
    """Rows of time, user, number, Via."""
    times, users, numbers, vias = zip(*rows, strict=True)
    return Seen(array("d", times), array("q", users), array("q", numbers), array("q", vias))


TEXT = Ask(0, 0, audience=(1, 2))
JOIN = Ask(3, 0, "#join", None)


def test_all_heard() -> None:
    tally = Tally()
    tally.add([seen((1.0, 1, 7, 100)), seen((2.5, 2, 7, 101))])
    found = heard(tally, {7: TEXT}, 0)
    assert (found.deliveries, found.lost, found.unexpected, found.duplicates) == (2, 0, 0, 0)
    assert found.last == {7: 2.5}


def test_one_lost() -> None:
    tally = Tally()
    tally.add([seen((1.0, 1, 7, 100))])
    found = heard(tally, {7: TEXT, 8: TEXT}, 0)
    assert (found.deliveries, found.lost) == (1, 3)
    assert found.last == {}


def test_a_retransmission_is_not_a_duplicate() -> None:
    tally = Tally()
    tally.add([seen((1.0, 1, 7, 100), (1.5, 1, 7, 100), (1.6, 1, 7, 102)), seen((1.7, 1, 7, 100), (2.0, 2, 7, 101))])
    found = heard(tally, {7: TEXT}, 0)
    assert tally.repeated == 2
    assert (found.deliveries, found.lost, found.duplicates) == (2, 0, 1)


def test_a_text_to_somebody_else_is_unexpected() -> None:
    tally = Tally()
    tally.add([seen((1.0, 1, 7, 100), (1.0, 2, 7, 101), (1.0, 0, 7, 102), (1.0, 9, 7, 103))])
    assert heard(tally, {7: TEXT}, 0).unexpected == 2


def test_joins_are_counted_without_who_joined() -> None:
    tally = Tally()
    tally.add([seen((1.0, 0, 7, 100), (1.0, 3, 7, 101), (2.0, 0, 8, 102), (2.0, 3, 8, 103), (3.0, 4, 8, 104))])
    found = heard(tally, {7: JOIN, 8: Ask(4, 0, "#join", None)}, 3)
    assert (found.deliveries, found.lost) == (5, 0)
    assert heard(tally, {7: JOIN, 8: Ask(4, 0, "#join", None)}, 4).lost == 1


def test_notices_that_name_no_command_count_where_only_their_number_matters() -> None:
    tally = Tally()
    tally.add([seen((1.0, 0, UNKNOWN, 100), (1.0, 0, UNKNOWN, 100), (1.0, 1, UNKNOWN, 101))])
    found = heard(tally, {7: JOIN}, 3)
    assert (found.deliveries, found.lost) == (2, 1)


def test_a_command_that_was_answered_without_its_name_is_not_lost() -> None:
    tally = Tally()
    tally.add([seen((1.0, 3, UNKNOWN, 100))])
    asked = {7: Ask(3, 0, "#members", (3,)), 8: Ask(4, 0, "#members", (4,)), 9: TEXT}
    assert heard(tally, asked, 0).lost == 1 + len(TEXT.audience or ())


def test_a_list_in_pages_is_no_duplicate() -> None:
    tally = Tally()
    tally.add([seen((1.0, 3, 7, 100), (1.1, 3, 7, 101))])
    assert heard(tally, {7: Ask(3, 0, "#members", (3,))}, 0).duplicates == 0


def test_what_was_forgotten_is_still_a_retransmission() -> None:
    tally = Tally()
    tally.add([seen((1.0, 1, 7, 100))])
    tally.forget()
    tally.add([seen((2.0, 1, 7, 100))])
    assert tally.repeated == 1
    assert heard(tally, {7: TEXT}, 0).deliveries == 0
