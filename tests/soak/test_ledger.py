"""The ledger itself: what it calls lost, repeated, out of order, leaked, and what excuses."""

from __future__ import annotations

from imc.sip.message import Headers, Request
from tests.soak.ledger import Ledger, Record


class Books:
    """A ledger whose clock moves by one with whatever happens."""

    def __init__(self) -> None:
        self.now = 0.0
        self.ledger = Ledger(self._tick)

    def _tick(self) -> float:
        self.now += 1.0
        return self.now

    def sent(self, status: int | None = 202, audience: tuple[int, ...] = (1,)) -> Record:
        record = self.ledger.send("text", audience)
        if status is not None:
            self.ledger.answer(record, status)
        return record

    def comes(self, record: Record, user: int = 1, call_id: str = "a") -> None:
        headers = Headers([("Call-ID", call_id)])
        self.ledger.arrive(user, Request("MESSAGE", "sip:x@example.com", headers, b"hello ~%08d" % record.number))

    def counts(self) -> tuple[int, int, int, int, dict[str, int]]:
        verdict = self.ledger.close()
        return verdict.lost, verdict.repeated, verdict.disordered, verdict.leaked, dict(verdict.excused)


def test_what_arrived_is_not_lost() -> None:
    books = Books()
    books.comes(books.sent())
    assert books.counts() == (0, 0, 0, 0, {})
    assert books.ledger.verdict.is_good


def test_acknowledged_and_missing_is_lost_for_each() -> None:
    books = Books()
    books.comes(books.sent(audience=(1, 2, 3)))
    books.sent(status=503)
    books.sent(status=0)
    assert books.counts()[0] == 2
    assert not books.ledger.verdict.is_good
    assert books.counts()[0] == 2  # each is counted once


def test_a_notice_names_its_command() -> None:
    books = Books()
    record = books.sent(status=200)
    named = Headers([("Call-ID", "b"), ("In-Reply-To", books.ledger.call_id(record))])
    books.ledger.arrive(1, Request("MESSAGE", "sip:x@example.com", named, b"you were removed"))
    assert books.counts() == (0, 0, 0, 0, {})


def test_twice_is_repeated_unless_something_lay_between() -> None:
    books = Books()
    record = books.sent()
    books.comes(record)
    books.comes(record)
    assert books.counts()[1] == 1
    crash = books.ledger.excuse("crash")
    books.ledger.pardon(crash)
    books.comes(record)
    assert books.counts()[1] == 1
    assert books.ledger.verdict.excused == {"crash": 1}
    books.comes(record)  # the crash is before the last time
    assert books.ledger.verdict.repeated == 2


def test_a_request_that_is_judged_anew_after_a_crash_is_excused() -> None:
    """It was under way at the crash; both of its messages, with two Call-IDs, come after it."""
    books = Books()
    record = books.sent(status=None)
    books.ledger.pardon(books.ledger.excuse("crash"))
    books.comes(record, call_id="a")
    books.comes(record, call_id="b")
    books.ledger.answer(record, 202)
    assert books.counts() == (0, 0, 0, 0, {"crash": 1})


def test_the_silence_of_one_excuses_no_other() -> None:
    books = Books()
    record = books.sent(audience=(1, 2))
    for user in (1, 2):
        books.comes(record, user)
    books.ledger.pardon(books.ledger.excuse("silence", 1))
    for user in (1, 2):
        books.comes(record, user)
    assert books.counts() == (0, 1, 0, 0, {"silence": 1})


def test_answered_before_the_other_was_sent_comes_first() -> None:
    books = Books()
    first, second = books.sent(), books.sent()
    books.comes(second)
    books.comes(first)
    assert books.counts()[2] == 1


def test_under_way_together_may_come_in_any_order() -> None:
    books = Books()
    first, second = books.sent(status=None), books.sent(status=None)
    books.ledger.answer(first, 202)
    books.ledger.answer(second, 202)
    books.comes(second)
    books.comes(first)
    assert books.counts() == (0, 0, 0, 0, {})


def test_refused_and_heard_of_is_leaked() -> None:
    books = Books()
    books.comes(books.sent(status=503))
    early = books.sent(status=None)
    books.comes(early)
    books.ledger.answer(early, 503)
    assert books.counts()[3] == 2


def test_what_comes_after_its_books_were_closed_is_known_once_more() -> None:
    books = Books()
    record = books.sent()
    books.comes(record)
    books.ledger.close()
    books.comes(record)
    assert books.ledger.verdict.repeated == 1
    books.ledger.close()
    books.comes(record)
    assert "long after" in books.ledger.verdict.examples[-1]


def test_recovery_is_until_the_next_2xx() -> None:
    books = Books()
    books.ledger.fault_ends()
    books.sent(status=503)
    books.sent(status=202)
    books.sent(status=202)
    assert len(books.ledger.recoveries) == 1
