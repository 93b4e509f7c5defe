"""What `check_lanes.py` runs: the searches, the mistakes that must be found, and the promises that nobody makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import lane_rows
from lane_rows import Row

TRANSACTION, LANE = "transaction.pml", "lane.pml"
Files = dict[str, str]
Change = Callable[[Files], None]

# What each property means, and the clause of spec/sip.md that it stands for.
PROPERTIES = {
    "once": ("S-TXS-2", "a service is given a request once; a member has a message once, but for what S-LANE-8 allows"),
    "one_end": ("S-TXC-2", "a client transaction reports one end, and nothing after it"),
    "true_end": ("S-TXC-2", "it reports an answer only if that was given"),
    "timer": ("S-TXC-2", "it gives up 64*T1 after its start, not earlier, not later"),
    "sparing": ("S-TXC-1", "at most 11 copies of a request leave"),
    "quiet": ("S-TXC-2", "after the end no copy leaves, and who does not wait any more hears nothing"),
    "served": ("S-TXC-1", "three lost packets do no harm"),
    "early_100": ("S-TXS-3", "no 100 before a client's timer E has grown to T2"),
    "late_100": ("S-TXS-3", "a 100 when it has, if there is no answer yet"),
    "late_answer": ("S-TXS-4", "no first answer later than 64*T1 after the request"),
    "repeated": ("S-TXS-2", "a copy that comes after an answer gets that answer"),
    "prompt": ("S-TXC-1", "the first copy leaves at once"),
    "told": ("S-TXC-2", "what arrives before the end is passed on"),
    "ends": ("S-TXS-5", "everything ends, and is forgotten"),
    "row": ("S-TXC-2", "nothing happens for which its state has no row"),
    "one": ("S-LANE-1", "one MESSAGE of a lane is in flight"),
    "order": ("S-LANE-12", "no message reaches its recipient for the first time after a later one"),
    "raised": ("S-LANE-9", "a try after a final answer has a higher CSeq"),
    "kept": ("S-LANE-6", "what was promised is on the disk until its recipient has it, or has refused it"),
    "uncommitted": ("S-LANE-6", "nothing leaves that was not committed"),
    "progress": ("S-LANE-4", "after the last trouble every message comes to its end"),
}


@dataclass(frozen=True)
class Run:
    """An exhaustive search of one model. ``is_live``: for an endless run that is fair and makes no progress."""

    name: str
    model: str
    options: tuple[tuple[str, int], ...] = ()
    is_live: bool = False

    @property
    def flags(self) -> list[str]:
        return [f"-D{name}={value}" for name, value in self.options] + ["-DLIVE"] * self.is_live


@dataclass(frozen=True)
class Mutant:
    """A model with one mistake; ``by`` is the property that refutes it in ``run``."""

    name: str
    why: str
    run: Run
    by: str
    changes: tuple[Change, ...] = field(repr=False)


def text(file: str, old: str, new: str) -> Change:
    """Put ``new`` in place of the one ``old``."""

    def change(files: Files) -> None:
        if files[file].count(old) != 1:
            raise ValueError(f"{file} has {files[file].count(old)} times {old!r}")
        files[file] = files[file].replace(old, new)

    return change


def row(side: str, state: str, event: str, actions: str, after: str) -> Change:
    """Another row in its place; ``actions`` are parted by blanks."""
    new = Row(side, state, event, tuple(actions.split()), after)

    def change(files: Files) -> None:
        rows = lane_rows.read_rows()
        if new.key not in {old.key for old in rows}:
            raise ValueError(f"no row {new.key}")
        changed = [new if old.key == new.key else old for old in rows]
        files[lane_rows.FILE] = lane_rows.render(changed, lane_rows.read_durations())

    return change


def no_row(side: str, state: str, event: str) -> Change:
    def change(files: Files) -> None:
        rows = lane_rows.read_rows()
        kept = [row for row in rows if row.key != (side, state, event)]
        if len(kept) == len(rows):
            raise ValueError(f"no row {side} {state} {event}")
        files[lane_rows.FILE] = lane_rows.render(kept, lane_rows.read_durations())

    return change


def duration(name: str, ticks: int) -> Change:
    def change(files: Files) -> None:
        files[lane_rows.FILE] = lane_rows.render(lane_rows.read_rows(), lane_rows.read_durations() | {name: ticks})

    return change


def _lane(*, messages: int, troubles: int, keeps: bool = True, is_exact: bool = True, is_live: bool = False) -> Run:
    options = (("KEEPS", int(keeps)), ("N", messages), ("TROUBLES", troubles), ("EXACT", int(is_exact)))
    return Run(f"lane, {'fair' if is_live else 'keeps' if keeps else 'gives up'}", LANE, options, is_live)


EXCHANGE = Run("transaction", TRANSACTION)
FAIR = _lane(messages=2, troubles=1, is_live=True)
ONE = _lane(messages=1, troubles=3)
PACKETS = _lane(messages=2, troubles=1)
TWO = _lane(messages=2, troubles=2, is_exact=False)
THREE = _lane(messages=3, troubles=1, is_exact=False)
WHOLE = _lane(messages=3, troubles=2, is_exact=False)
TWO_GIVEN_UP = _lane(keeps=False, messages=2, troubles=2)
# The longest first: two run at a time.
RUNS = (
    EXCHANGE,
    WHOLE,
    ONE,
    PACKETS,
    TWO,
    THREE,
    _lane(keeps=False, messages=1, troubles=3),
    TWO_GIVEN_UP,
    _lane(keeps=False, messages=3, troubles=1),
    FAIR,
    _lane(keeps=False, messages=2, troubles=1, is_live=True),
)
LARGE = {EXCHANGE, WHOLE}  # worth a compiler that optimizes
DEEP_RUNS = (
    _lane(messages=2, troubles=2),
    _lane(messages=2, troubles=3, is_exact=False),
    _lane(messages=2, troubles=2, is_exact=False, is_live=True),
)

_COMMIT_LATE = "payload[next_message] = true; listed[next_message] = true;\n\t\tcommitted[next_message] = true"
_COMMIT = "is_committed = true; " + _COMMIT_LATE + " }"
_RELEASE = ":: atomic { is_committed -> release(next_message); next_message++; is_committed = false }"
_PROMISE = "promised[next_message] = true"
_RESTORE = "inline restore(m) { hand_over_to_lane(m) }"
_RESTORED = ":: listed[other] && !row[other] -> restore(other)"
_TRIED = '	printf("message %d is sent, try %d\\n", m, tries[m]);\n'
_MAY_UNLIST = "(listed[m] && !to_write[m] && (is_settled[m] || row[m]))"
_READING = ":: atomic { is_awake && !is_reading && HAS_WAITING && !HAS_HELD &&"
_AHEAD = "(to_write[m] || (is_settled[m] && row[m]))"
_SERVED = ":: client_state[x] == C_COMPLETED && answer[x] == OK ->"

MUTANTS = (
    # -- transactions -------------------------------------------------------------------------------------------------
    Mutant(
        "timer-j-zero-on-streams",
        "RFC 3261's own value; but a client sends again by a new connection",
        EXCHANGE,
        "once",
        (text(TRANSACTION, "s_at = now + TIMER_J", "s_at = (IS_STREAM -> now : now + TIMER_J)"),),
    ),
    Mutant("timer-j-zero", "the server forgets what it has answered", EXCHANGE, "once", (duration("TIMER_J", 0),)),
    Mutant("timer-j-short", "it forgets before the client's last copy", EXCHANGE, "once", (duration("TIMER_J", 62),)),
    Mutant(
        "no-completed-state",
        "the server ends with its answer",
        EXCHANGE,
        "once",
        (row("server", "TRYING", "FINAL", "SEND_FINAL FORGET", "TERMINATED"),),
    ),
    Mutant(
        "timer-e-not-doubled",
        "copies every T1",
        EXCHANGE,
        "sparing",
        (text(TRANSACTION, "e_interval = (2 * e_interval < T2 -> 2 * e_interval : T2)", "e_interval = T1"),),
    ),
    Mutant(
        "timer-e-from-the-start-after-100",
        "a provisional answer makes copies more frequent",
        EXCHANGE,
        "sparing",
        (row("client", "PROCEEDING", "TIMER_E", "SEND_REQUEST SET_E", "PROCEEDING"),),
    ),
    Mutant(
        "100-ends-retransmission",
        "the client waits, and does not hear that the answer was lost",
        EXCHANGE,
        "served",
        (row("client", "PROCEEDING", "TIMER_E", "SET_E_TO_T2", "PROCEEDING"),),
    ),
    Mutant("timer-f-early", "32*T1", EXCHANGE, "timer", (duration("TIMER_F", 32),)),
    Mutant("timer-f-late", "128*T1", EXCHANGE, "timer", (duration("TIMER_F", 128),)),
    Mutant("100-at-once", "what RFC 4320 forbids", EXCHANGE, "early_100", (duration("TIMER_100", 0),)),
    Mutant("100-late", "copies go on meanwhile", EXCHANGE, "late_100", (duration("TIMER_100", 8),)),
    Mutant("answer-after-timer-f", "nobody waits for it", EXCHANGE, "late_answer", (duration("TIMER_GIVE_UP", 72),)),
    Mutant(
        "408",
        "the server answers where its service said nothing",
        EXCHANGE,
        "true_end",
        (row("server", "PROCEEDING", "TIMER_GIVE_UP", "SEND_FINAL SET_J", "COMPLETED"),),
    ),
    Mutant(
        "repeated-answer-reported",
        "an answered client passes a second answer on",
        EXCHANGE,
        "one_end",
        (row("client", "COMPLETED", "FINAL", "DELIVER_RESPONSE", "COMPLETED"),),
    ),
    Mutant(
        "late-100-reported",
        "an answered client passes a 100 on",
        EXCHANGE,
        "one_end",
        (row("client", "COMPLETED", "PROVISIONAL", "DELIVER_RESPONSE", "COMPLETED"),),
    ),
    Mutant(
        "late-answer-forgotten",
        "an answered client has no row for a late 100",
        EXCHANGE,
        "row",
        (no_row("client", "COMPLETED", "PROVISIONAL"),),
    ),
    Mutant(
        "first-copy-late",
        "the first copy leaves with timer E",
        EXCHANGE,
        "prompt",
        (row("client", "NEW", "STARTED", "SET_F SET_E", "TRYING"),),
    ),
    Mutant(
        "100-kept-back",
        "its user does not hear of a provisional answer",
        EXCHANGE,
        "told",
        (row("client", "TRYING", "PROVISIONAL", "", "PROCEEDING"),),
    ),
    Mutant(
        "abandoned-goes-on",
        "copies leave though nobody waits",
        EXCHANGE,
        "quiet",
        (row("client", "TRYING", "ABANDONED", "", "TRYING"),),
    ),
    Mutant(
        "answer-once",
        "a copy of an answered request is dropped",
        EXCHANGE,
        "repeated",
        (row("server", "COMPLETED", "REQUEST", "ABSORB_REQUEST", "COMPLETED"),),
    ),
    Mutant(
        "given-up-not-forgotten",
        "what nobody answers stays",
        EXCHANGE,
        "ends",
        (row("server", "PROCEEDING", "TIMER_GIVE_UP", "", "TERMINATED"),),
    ),
    # -- the lane -----------------------------------------------------------------------------------------------------
    Mutant(
        "no-retransmission",
        "timer E sends nothing",
        FAIR,
        "progress",
        (row("client", "TRYING", "TIMER_E", "DOUBLE_E", "TRYING"),),
    ),
    Mutant(
        "two-in-flight",
        "the lane does not wait for the answer",
        TWO,
        "one",
        (text(LANE, "current == NOBODY && len(queue) > 0", "len(queue) > 0"),),
    ),
    Mutant(
        "100-frees-the-lane",
        "a provisional answer counts as the end",
        ONE,
        "once",
        (
            text(
                LANE,
                "== C_PROCEEDING -> skip\n	:: client",
                "== C_PROCEEDING -> settle(MESSAGE_OF(x))\n	:: client",
            ),
        ),
    ),
    Mutant(
        "row-deleted-when-sent",
        "the outbox row goes before the answer",
        ONE,
        "kept",
        (text(LANE, _TRIED, _TRIED + "	listed[m] = false; payload[m] = row[m]; assert(!LOST(m) || p_kept);\n"),),
    ),
    Mutant(
        "answer-before-commit",
        "202, then the row",
        TWO,
        "kept",
        (
            text(LANE, _COMMIT, "is_committed = true; promised[next_message] = true }"),
            text(LANE, _RELEASE, _RELEASE.replace("release(", _COMMIT_LATE + "; hand_over_to_lane(")),
        ),
    ),
    Mutant(
        "sent-before-commit",
        "into the lane, then the row",
        TWO,
        "uncommitted",
        (
            text(LANE, _COMMIT, "is_committed = true; hand_over_to_lane(next_message) }"),
            text(
                LANE,
                _RELEASE,
                _RELEASE.replace("release(", _COMMIT_LATE + "; promised[").replace("); n", "] = true; n"),
            ),
        ),
    ),
    Mutant(
        "failed-commit-ignored",
        "202 though the row is not there",
        TWO,
        "kept",
        (text(LANE, "-> troubles++; next_message++ }", "-> troubles++; release(next_message); next_message++ }"),),
    ),
    Mutant(
        "absorption-forgotten",
        "the recipient takes each copy for a new request",
        PACKETS,
        "once",
        (
            text(
                LANE,
                ":: IS_KNOWN(branch) -> server_request(branch)",
                ":: IS_KNOWN(branch) -> hand_over(branch, MESSAGE_OF(branch))",
            ),
        ),
    ),
    Mutant(
        "restart-newest-first",
        "the rows are read in another order",
        TWO,
        "order",
        (text(LANE, _RESTORED, _RESTORED.replace("other", "N - 1 - other")),),
    ),
    Mutant(
        "restart-behind-new-ones",
        "new messages are taken before the rows are read",
        TWO,
        "order",
        (
            text(
                LANE,
                _RESTORE,
                "bool is_late[3];\ninline restore(m) { is_late[m] = true }\nactive proctype Late() {\nend:	do\n"
                "	:: atomic { is_late[0] -> is_late[0] = false; hand_over_to_lane(0) }\n"
                "	:: atomic { is_late[1] -> is_late[1] = false; hand_over_to_lane(1) }\n	od\n}",
            ),
        ),
    ),
    Mutant(
        "restart-without-rows",
        "the outbox is not read",
        TWO,
        "progress",
        (text(LANE, _RESTORE, "inline restore(m) { skip }"),),
    ),
    Mutant(
        "to-the-tail",
        "what must be sent again goes behind what came later",
        TWO_GIVEN_UP,
        "order",
        (text(LANE, ":: true -> skip   ", ":: true -> where[m] = IN_LANE; queue ! m; current = NOBODY   "),),
    ),
    Mutant(
        "silence-settles",
        "who does not answer is taken for served",
        TWO,
        "kept",
        (text(LANE, "	:: true -> put_off(m, why)", "	:: true -> settle(m)"),),
    ),
    Mutant(
        "refusal-settles",
        "480 and 503 are taken for the end",
        TWO,
        "kept",
        (text(LANE, _SERVED, _SERVED.replace("answer[x] == OK", "(answer[x] == OK || answer[x] == TEMPORARY)")),),
    ),
    Mutant(
        "482-settles",
        "482 to a repeat is taken for 'it has it', but it may have refused the first copy",
        ONE,
        "kept",
        (text(LANE, _SERVED, _SERVED.replace("answer[x] == OK", "(answer[x] == OK || answer[x] == MERGED)")),),
    ),
    Mutant(
        "any-branch",
        "an answer to an earlier try counts for the one in flight",
        TWO,
        "kept",
        (
            text(
                LANE,
                "	:: IS_LIVE(x) -> answer[x] = verdict[x]     /* to a branch that is over it would be a stray */\n",
                "	:: IS_LIVE(x) -> answer[x] = verdict[x]\n"
                "	:: !IS_LIVE(x) && in_flight == 1 -> answer[current * TRIES + tries[current] - 1] = verdict[x]\n",
            ),
        ),
    ),
    Mutant(
        "lane-stuck",
        "what has another way is never sent by it",
        TWO,
        "progress",
        (text(LANE, "	:: atomic { current != NOBODY && in_flight == 0 -> begin(current) }\n", ""),),
    ),
    Mutant(
        "lost-contact-lost-copy",
        "a copy in flight to a contact that is gone goes with it",
        TWO,
        "kept",
        (text(LANE, "lost_sight_of(MESSAGE_OF(branch), REFUSED);", "settle(MESSAGE_OF(branch));"),),
    ),
    # -- the backlog --------------------------------------------------------------------------------------------------
    Mutant(
        "past-the-backlog",
        "a new copy goes to the lane though rows wait",
        TWO,
        "order",
        (text(LANE, ":: HAS_BACKLOG -> unload(m)", ":: HAS_BACKLOG -> where[m] = IN_LANE; queue ! m"),),
    ),
    Mutant(
        "past-the-backlog-when-awake",
        "a new copy goes to the lane once the backlog is being sent",
        THREE,
        "order",
        (
            text(
                LANE,
                ":: HAS_BACKLOG -> unload(m)",
                ":: HAS_BACKLOG && is_awake && len(queue) < N -> where[m] = IN_LANE; queue ! m\n"
                "	:: HAS_BACKLOG && !is_awake -> unload(m)",
            ),
        ),
    ),
    Mutant(
        "past-rows-at-restart",
        "outbox rows go to the lanes before it is known who has waiting rows",
        TWO,
        "order",
        (text(LANE, _RESTORE, "inline restore(m) { where[m] = IN_LANE; queue ! m }"),),
    ),
    Mutant(
        "backlog-forgotten-at-restart",
        "nobody looks who has waiting rows",
        TWO,
        "progress",
        (text(LANE, "where[other] = (row[other] -> WAITING : NOWHERE);", "where[other] = NOWHERE;"),),
    ),
    Mutant(
        "written-twice-at-restart",
        "a copy that has its waiting row goes to the lane, from the outbox row that lists it still",
        TWO,
        "once",
        (text(LANE, _RESTORED, ":: listed[other] -> where[other] = IN_LANE; queue ! other"),),
    ),
    Mutant(
        "emptied-before-the-rows",
        "the outbox row's list is emptied when the waiting rows are under way to the disk",
        TWO,
        "kept",
        (
            text(
                LANE,
                _MAY_UNLIST,
                "(listed[m] && (to_write[m] -> !is_settled[m] : (is_settled[m] || row[m])))",
            ),
        ),
    ),
    Mutant(
        "payload-deleted",
        "the outbox row goes when its list is empty, though a waiting row refers to it",
        TWO,
        "kept",
        (text(LANE, "payload[m] = row[m];\n	forget(m)", "payload[m] = false;\n	forget(m)"),),
    ),
    Mutant(
        "row-deleted-at-480",
        "an end for now is taken for an end of the row",
        TWO,
        "kept",
        (
            text(
                LANE, "	to_write[m] = true;             /* with its CSeq of now */\n", "	is_settled[m] = true;\n"
            ),
        ),
    ),
    Mutant(
        "written-again-after-it-went",
        "a write of a row that failed is done again, behind the deletion of the same row",
        TWO,
        "once",
        (text(LANE, _MAY_UNLIST, "(listed[m] && (is_settled[m] || (row[m] && !to_write[m])))"),),
    ),
    Mutant(
        "page-out-of-order",
        "a page goes into the lane with its last row first",
        THREE,
        "order",
        (
            text(
                LANE,
                ":: page[other] && len(queue) < PAGE -> load(other)",
                ":: page[N - 1 - other] && len(queue) < PAGE -> load(N - 1 - other)",
            ),
        ),
    ),
    Mutant(
        "rest-of-the-page-stays",
        "when a copy ends for now, those behind it stay in the lane",
        THREE,
        "order",
        (text(LANE, "/* with its CSeq of now */\n		unload_queue();\n", "/* with its CSeq of now */\n"),),
    ),
    Mutant(
        "page-read-twice",
        "the next page is read while copies of the last one are in the lane",
        TWO,
        "once",
        (text(LANE, _READING, _READING.replace(" && !HAS_HELD", "").replace("HAS_WAITING", "HAS_BACKLOG")),),
    ),
    Mutant(
        "held-copy-read",
        "what is slow counts as waiting, and is read while it is in flight",
        TWO,
        "once",
        (text(LANE, "	where[m] = HELD;\n	unload_queue();", "	where[m] = WAITING;\n	unload_queue();"),),
    ),
    Mutant(
        "settled-read-again",
        "rows are read before those of what is settled are deleted",
        TWO,
        "once",
        (text(LANE, _AHEAD, "(to_write[m])"),),
    ),
    Mutant(
        "unwritten-passed-over",
        "rows are read while an earlier one is on its way to the disk",
        TWO,
        "order",
        (text(LANE, _AHEAD, "(is_settled[m] && row[m])"),),
    ),
    Mutant(
        "stale-page",
        "a page counts though an earlier copy left the lane for its row while it was read",
        WHOLE,
        "order",
        (text(LANE, ":: is_awake && !is_stale ->", ":: is_awake ->"),),
    ),
    Mutant(
        "last-row-race",
        "a page that is not full ends the backlog, though a copy went behind it while it was read",
        TWO,
        "progress",
        (
            text(
                LANE,
                "-> load(other)\n",
                "-> load(other)\n			:: !page[other] && where[other] == WAITING -> where[other] = NOWHERE\n",
            ),
        ),
    ),
    Mutant(
        "ended-as-it-was-seen",
        "a row that was seen waiting is made a dead letter, though it was delivered and deleted since",
        TWO,
        "progress",
        (
            text(LANE, "!is_awake && where[m] == WAITING && row[m] &&", "!is_awake && got[m] &&"),
            text(
                LANE, "	failed[m] = REFUSED;\n	is_settled[m] = true;\n	where", "	row[m] = true;\n	where"
            ),
        ),
    ),
    Mutant(
        "counted-out",
        "the end of one row from outside ends the backlog, though others wait",
        TWO,
        "progress",
        (
            text(
                LANE,
                "	is_settled[m] = true;\n	where[m] = NOWHERE;\n	rest",
                "	is_settled[m] = true;\n	where[0] = NOWHERE; where[1] = NOWHERE;\n	rest",
            ),
        ),
    ),
    Mutant(
        "never-woken",
        "a backlog that rests is not tried again",
        TWO,
        "progress",
        (text(LANE, "	:: atomic { !is_awake && HAS_WAITING && !HAS_HELD -> is_awake = true }\n", ""),),
    ),
    Mutant(
        "cseq-not-raised",
        "a try after 480 has the CSeq of before",
        ONE,
        "raised",
        (text(LANE, "	cseq[m]++\n", "	skip\n"),),
    ),
    Mutant(
        "cseq-not-written",
        "the waiting row does not keep it",
        ONE,
        "raised",
        (text(LANE, "cseq[m] = row_cseq[m];", "cseq[m] = 0;"),),
    ),
    Mutant(
        "cseq-written-late",
        "the row is read before its last try is noted in it",
        ONE,
        "raised",
        (text(LANE, "	to_write[m] = true;             /* with its CSeq of now */\n", ""),),
    ),
)

LIMITS = (
    Mutant(
        "slow-network",
        "a packet of up to T4: the client's last copy leaves 63*T1 after the first, and can outlive timer J",
        EXCHANGE,
        "once",
        (text(TRANSACTION, " || mode == FAR || p_once", " || p_once"),),
    ),
    Mutant(
        "given-up-then-crash",
        "what was given up, and whose row was still there, is sent again after a crash, behind later ones",
        TWO_GIVEN_UP,
        "order",
        (text(LANE, "(failed[m] -> REFUSED : 0)", "failed[m]"),),
    ),
    Mutant(
        "exactly-once",
        "a member has each message once, whatever happens",
        TWO,
        "once",
        (text(LANE, "(got[m] > 1 + unknown[m])", "(got[m] > 1)"),),
    ),
    Mutant(
        "repeats-in-their-place",
        "what comes once more comes before what is later",
        TWO,
        "order",
        (text(LANE, "assert(got[m] > 0 || failed[m]", "assert(failed[m]"),),
    ),
)

# Actions that can be left out of a row with no property noticing, and why.
_COUNTS = "it only counts"
HARMLESS = {
    ("client", "COMPLETED", "PROVISIONAL", "ABSORB_RESPONSE"): _COUNTS,
    ("client", "COMPLETED", "FINAL", "ABSORB_RESPONSE"): _COUNTS,
    ("server", "TRYING", "REQUEST", "ABSORB_REQUEST"): _COUNTS,
    ("server", "COMPLETED", "FINAL", "DISCARD_RESPONSE"): _COUNTS,
    ("server", "PROCEEDING", "FINAL", "SET_J"): "J is then counted from the request: as long as its client repeats it",
}
