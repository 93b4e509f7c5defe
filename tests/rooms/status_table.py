"""The status table of the specification as data: who sends what, what comes of it, and who is told (spec §12).

Import `CELLS`, `VARIANTS` and `setup`; nothing here knows how a request is made, so the same cells serve the pure core
and a daemon behind a socket. Cells are written by hand from spec/room.md, not computed by the code under test.

The room: alice is its owner, adam admin, mary member, ivan invited, rita was removed; otto and john have no part in it.
Every text is sent to the room's own address. ``told`` is everyone who gets a MESSAGE from the room, the sender's answer
included, with its event id; a copy of a room message counts as the event `MESSAGE`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

Kind = Literal["public", "private", "none"]
MESSAGE = "message"

OWNER, ADMIN, MEMBER, INVITED, REMOVED, OUTSIDER = "alice", "adam", "mary", "ivan", "rita", "otto"
SENDERS = {
    "owner": OWNER,
    "admin": ADMIN,
    "member": MEMBER,
    "invited": INVITED,
    "removed": REMOVED,
    "outsider": OUTSIDER,
}
NEW = "john"
USERS = (*SENDERS.values(), NEW, "olga")
_AUDIENCE = frozenset((OWNER, ADMIN, MEMBER))
_STAFF = frozenset((OWNER, ADMIN))


class Outcome(NamedTuple):
    """A status, the event of the sender's answer ('' for none), the clause ('': the line's), who else is told of which.

    ``now``: whose standing is another afterwards, and which; None for the whole: the room is gone.
    """

    status: int
    answer: str
    clause: str
    others: dict[str, str]
    now: dict[str, str] | None


class Cell(NamedTuple):
    """One case.

    ``clause`` is the rule behind it, ``code`` what imc_manager() returns. ``now`` holds the standings that it changes
    (owner, admin, member, invited, outsider), None where the room is gone; {} where nothing changes. ``before`` is sent
    first, as (sender, text); ``policy`` are settings other than the defaults.
    """

    id: str
    kind: Kind
    role: str
    sender: str
    body: str
    status: int
    clause: str
    told: dict[str, str]
    now: dict[str, str] | None
    code: int
    before: tuple[tuple[str, str], ...] = ()
    policy: dict[str, Any] = {}  # noqa: RUF012 - read only


def setup(kind: Kind) -> tuple[tuple[str, str], ...]:
    """What to send to the room's address, in this order, for the room of the cells to be there."""
    if kind == "none":
        return ()
    return (
        (OWNER, "#create private" if kind == "private" else "#create"),
        (OWNER, f"#invite {ADMIN}"),
        (ADMIN, "#accept"),
        (OWNER, f"#modify {ADMIN} admin"),
        (OWNER, f"#invite {MEMBER}"),
        (MEMBER, "#accept"),
        (OWNER, f"#invite {REMOVED}"),
        (REMOVED, "#accept"),
        (OWNER, f"#remove {REMOVED}"),
        (OWNER, f"#invite {INVITED}"),
    )


_KEPT: dict[str, str] = {}


def _ok(answer: str, clause: str, now: dict[str, str] | None = _KEPT, *, status: int = 200, **others: str) -> Outcome:
    return Outcome(status, answer, clause, others, now)


def _no(answer: str, clause: str = "", status: int = 403, **others: str) -> Outcome:
    return Outcome(status, answer, clause, others, _KEPT)


_GROUPS = {"room": _AUDIENCE, "staff": _STAFF, "everyone": _AUDIENCE | {INVITED}}


def _told(outcome: Outcome, sender: str) -> dict[str, str]:
    """Names instead of groups. A name given for itself has its own event; the sender has the answer only."""
    told: dict[str, str] = {}
    for group, event in outcome.others.items():
        for name in _GROUPS.get(group, frozenset((group,))):
            told.setdefault(name, event)
    told.pop(sender, None)
    if outcome.answer:
        told[sender] = outcome.answer
    return told


def _now(outcome: Outcome, sender: str) -> dict[str, str] | None:
    return outcome.now and {sender if name == "sender" else name: standing for name, standing in outcome.now.items()}


_NO_ROOM = _no("room-not-found", "R-HIDE-1", 404)
_RIGHT = _no("not-permitted")
_PART = _no("not-a-member")
_UNINVITED = _no("not-invited")


class _Line(NamedTuple):
    """One line of the table, its outcomes by role; `outsider` for public rooms, `hidden` for private ones.

    ``denied`` is the clause of who may not.
    """

    id: str
    body: str
    code: int
    denied: str
    owner: Outcome
    admin: Outcome
    member: Outcome
    invited: Outcome
    outsider: Outcome
    hidden: Outcome = _NO_ROOM
    none: Outcome = _NO_ROOM


def _all(name: str, body: str, code: int, outcome: Outcome) -> _Line:
    return _Line(name, body, code, "", *[outcome] * 7)


def _bad(name: str, body: str, code: int, event: str, clause: str = "R-CMD-3") -> _Line:
    return _all(name, body, code, _no(event, clause, 400))


def _staff(name: str, body: str, code: int, denied: str, outcome: Outcome) -> _Line:
    """Owner and admin alike; nobody else may."""
    return _Line(name, body, code, denied, outcome, outcome, _RIGHT, _RIGHT, _PART)


_ALREADY = _ok("already-joined", "R-JOIN-5")
_ATTEMPT = _no("private-room", "R-JOIN-4", staff="join-attempted")
_FOUNDED = _ok("room-created", "R-CREATE-1", {"sender": "owner"})
_IN = _no("already-member", "R-INVITE-3")
_REMOVED_MEMBER = _ok("member-left", "R-REMOVE-1", {"mary": "outsider"}, mary="you-were-removed", room="member-left")
_REMOVED_ADMIN = _ok("member-left", "R-REMOVE-1", {"adam": "outsider"}, adam="you-were-removed", room="member-left")
_WITHDRAWN = _ok(
    "invitation-withdrawn", "R-REMOVE-2", {"ivan": "outsider"}, ivan="you-were-removed", room="invitation-withdrawn"
)
_SELF = _no("use-leave", "R-REMOVE-5")
_LOW = _no("rank-too-low", "R-REMOVE-3")
_GONE = _no("user-not-in-room", "R-REMOVE-4", 404)
_LEFT = _ok("member-left", "R-LEAVE-1", {"sender": "outsider"}, room="member-left")
_LISTED = _ok("member-list", "R-LIST-1")
_LAST = _no("last-owner", "R-MODIFY-2")
_ONLY_INVITED = _no("invited-has-no-role", "R-MODIFY-3")
_NOBODY = _no("user-not-in-room", "R-MODIFY-4", 404)
_SAME = _ok("role-unchanged", "R-MODIFY-5")
_REJECTED = _ok("invitation-rejected", "R-REJECT-1", {"sender": "outsider"}, alice="invitation-rejected")
_SAID = _ok("", "R-MSG-1", status=202, room=MESSAGE)
_UNHEARD = _no("", "R-MSG-2")


def _joined(clause: str) -> Outcome:
    return _ok("member-joined", clause, {"sender": "member"}, room="member-joined")


def _closed(clause: str) -> Outcome:
    return _ok("room-destroyed", clause, None, everyone="room-destroyed")


def _invited(name: str, clause: str) -> Outcome:
    return Outcome(200, "invitation-sent", clause, {name: "invitation"}, {name: "invited"})


def _role(name: str, role: str) -> Outcome:
    return _ok("role-changed", "R-MODIFY-1", {name: role}, room="role-changed")


def _joining(name: str, body: str, code: int) -> _Line:
    coming = _joined("R-JOIN-1")
    return _Line(name, body, code, "", _ALREADY, _ALREADY, _ALREADY, _joined("R-JOIN-2"), coming, _ATTEMPT, _FOUNDED)


def _invitees(name: str, body: str, code: int, outcome: Outcome, denied: str) -> _Line:
    """Only the invited may: accept, reject."""
    return _Line(name, body, code, denied, _UNINVITED, _UNINVITED, _UNINVITED, outcome, _UNINVITED)


def _members(name: str, body: str, code: int, outcome: Outcome, denied: str, by_owner: Outcome | None = None) -> _Line:
    """Members and up may."""
    return _Line(name, body, code, denied, by_owner or outcome, outcome, outcome, _PART, _PART)


def _owners(name: str, body: str, outcome: Outcome, denied: str = "R-MODIFY-6", code: int = -120) -> _Line:
    """Only an owner may: modify, destroy."""
    return _Line(name, body, code, denied, outcome, _RIGHT, _RIGHT, _RIGHT, _PART)


LINES: tuple[_Line, ...] = (
    _joining("create", "#create", -30),
    _joining("create-private", "#create private", -30),
    _joining("join", "#join", -40),
    _staff("invite-new", "#invite john", -50, "R-INVITE-6", _invited("john", "R-INVITE-1")),
    _staff("invite-invited", "#invite ivan", -50, "R-INVITE-6", _invited("ivan", "R-INVITE-2")),
    _staff("invite-member", "#invite mary", -50, "R-INVITE-6", _IN),
    _staff("invite-admin", "#invite adam", -50, "R-INVITE-6", _IN),
    _staff("invite-owner", "#invite alice", -50, "R-INVITE-6", _IN),
    _staff("add-new", "#add john", -50, "R-ADD-3", _invited("john", "R-ADD-1")),
    _staff("add-invited", "#add ivan", -50, "R-ADD-3", _invited("ivan", "R-ADD-1")),
    _staff("add-member", "#add mary", -50, "R-ADD-3", _IN),
    _staff("add-admin", "#add adam", -50, "R-ADD-3", _IN),
    _staff("add-owner", "#add alice", -50, "R-ADD-3", _IN),
    _invitees("accept", "#accept", -60, _joined("R-ACCEPT-1"), "R-ACCEPT-2"),
    _invitees("reject", "#reject", -70, _REJECTED, "R-REJECT-2"),
    _invitees("deny", "#deny", -70, _REJECTED, "R-REJECT-2"),
    _staff("remove-member", "#remove mary", -80, "R-REMOVE-6", _REMOVED_MEMBER),
    _staff("remove-invited", "#remove ivan", -80, "R-REMOVE-6", _WITHDRAWN),
    _Line("remove-admin", "#remove adam", -80, "R-REMOVE-6", _REMOVED_ADMIN, _SELF, _RIGHT, _RIGHT, _PART),
    _Line("remove-owner", "#remove alice", -80, "R-REMOVE-6", _SELF, _LOW, _RIGHT, _RIGHT, _PART),
    _staff("remove-nobody", "#remove john", -80, "R-REMOVE-6", _GONE),
    _members("leave", "#leave", -90, _LEFT, "R-LEAVE-4", _closed("R-LEAVE-2")),
    _members("exit", "#exit", -90, _LEFT, "R-LEAVE-4", _closed("R-LEAVE-2")),
    _owners("destroy", "#destroy", _closed("R-DESTROY-1"), "R-DESTROY-2", -110),
    _members("members", "#members", -100, _LISTED, "R-LIST-3"),
    _members("list", "#list", -100, _LISTED, "R-LIST-3"),
    _members("history", "#history", -100, _ok("history", "R-HISTORY-3"), "R-HISTORY-4"),
    _members("settings", "#set", -120, _ok("room-settings", "R-SET-4"), "R-SET-5"),
    _owners("set-changed", "#set replay 5", _ok("setting-changed", "R-SET-1", room="setting-changed"), "R-SET-5"),
    _owners("set-unchanged", "#set replay 0", _ok("setting-unchanged", "R-SET-3"), "R-SET-5"),
    _owners("modify-member-owner", "#modify mary owner", _role("mary", "owner")),
    _owners("modify-member-admin", "#modify mary admin", _role("mary", "admin")),
    _owners("modify-member-member", "#modify mary member", _SAME),
    _owners("modify-admin-owner", "#modify adam owner", _role("adam", "owner")),
    _owners("modify-admin-admin", "#modify adam admin", _SAME),
    _owners("modify-admin-member", "#modify adam member", _role("adam", "member")),
    _owners("modify-owner-owner", "#modify alice owner", _SAME),
    _owners("modify-owner-admin", "#modify alice admin", _LAST),
    _owners("modify-owner-member", "#modify alice member", _LAST),
    _owners("modify-invited-owner", "#modify ivan owner", _ONLY_INVITED),
    _owners("modify-invited-admin", "#modify ivan admin", _ONLY_INVITED),
    _owners("modify-invited-member", "#modify ivan member", _ONLY_INVITED),
    _owners("modify-nobody-owner", "#modify john owner", _NOBODY),
    _owners("modify-nobody-admin", "#modify john admin", _NOBODY),
    _owners("modify-nobody-member", "#modify john member", _NOBODY),
    _all("rooms", "#rooms", -100, _ok("room-list", "R-ROOMS-1")),
    _all("help", "#help", -120, _ok("help", "R-HELP-1")),
    _bad("unknown", "#frobnicate", -130, "unknown-command", "R-CMD-4"),
    _bad("empty", "#", -20, "empty-command", "R-CMD-4"),
    _bad("history-nothing", "#history 0", -100, "bad-parameter", "R-HISTORY-3"),
    _bad("history-bad-number", "#history chat-x 5", -100, "bad-parameter", "R-HISTORY-3"),
    _bad("set-no-value", "#set keep", -120, "missing-parameter"),
    _bad("set-bad-option", "#set colour 5", -120, "bad-parameter", "R-SET-2"),
    _bad("set-bad-value", "#set days 0", -120, "bad-parameter", "R-SET-2"),
    _bad("set-too-much", "#set keep 5 chat-x now", -120, "too-many-parameters"),
    _bad("invite-nothing", "#invite", -50, "missing-parameter"),
    _bad("add-nothing", "#add", -50, "missing-parameter"),
    _bad("remove-nothing", "#remove", -80, "missing-parameter"),
    _bad("modify-nothing", "#modify", -120, "missing-parameter"),
    _bad("modify-no-role", "#modify mary", -120, "missing-parameter"),
    _bad("modify-bad-role", "#modify mary king", -120, "bad-role"),
    _bad("create-bad-word", "#create chat-x foo", -30, "bad-parameter"),
    _bad("invite-bad-address", "#invite tel:+123456", -50, "bad-address", "R-ADDR-2"),
    _bad("invite-hidden-break", "#invite john%0d%0a", -50, "bad-address", "R-ADDR-9"),
    _bad("invite-long", "#invite " + "u" * 65, -50, "name-too-long", "R-ADDR-4"),
    _bad("join-too-much", "#join chat-x chat-y", -40, "too-many-parameters"),
    _Line(
        "message", "hello", -200, "R-MSG-2", _SAID, _SAID, _SAID, _UNHEARD, _UNHEARD,
        _no("", "R-HIDE-1", 404), _no("", "R-HIDE-1", 404),
    ),
)  # fmt: skip


def _cells(line: _Line) -> Iterator[Cell]:
    kinds: tuple[Kind, ...] = ("public", "private")
    for kind in kinds:
        for role, sender in SENDERS.items():
            if role in ("removed", "outsider"):
                outcome = line.hidden if kind == "private" else line.outsider
            else:
                outcome = getattr(line, role)
            yield _cell(line, kind, role, sender, outcome)
    yield _cell(line, "none", "outsider", OUTSIDER, line.none)


def _cell(line: _Line, kind: Kind, role: str, sender: str, outcome: Outcome) -> Cell:
    return Cell(
        id=f"{line.id}/{role}/{kind}",
        kind=kind,
        role=role,
        sender=sender,
        body=line.body,
        status=outcome.status,
        clause=outcome.clause or line.denied,
        told=_told(outcome, sender),
        now=_now(outcome, sender),
        code=1 if outcome.status < 300 else line.code,
    )


CELLS: tuple[Cell, ...] = tuple(cell for line in LINES for cell in _cells(line))


def _variant(
    name: str,
    kind: Kind,
    sender: str,
    body: str,
    outcome: Outcome,
    code: int = 1,
    before: tuple[tuple[str, str], ...] = (),
    **policy: Any,
) -> Cell:
    return Cell(
        id=name,
        kind=kind,
        role="",
        sender=sender,
        body=body,
        status=outcome.status,
        clause=outcome.clause,
        told=_told(outcome, sender),
        now=_now(outcome, sender),
        code=code,
        before=before,
        policy=policy,
    )


_TWO_OWNERS = ((OWNER, f"#modify {ADMIN} owner"),)
_EXISTS = _no("room-exists", "R-CREATE-2")
_KEPT_OWNER = _no("last-owner", "R-LEAVE-3")

# What the table leaves to a setting, or to a second owner
VARIANTS: tuple[Cell, ...] = (
    *(
        _variant(f"strict-create/{role}/{kind}", kind, sender, "#create", _EXISTS, -30, check_on_create=True)
        for kind in ("public", "private")
        for role, sender in SENDERS.items()
    ),
    _variant("strict-create/new", "none", OUTSIDER, "#create private", _FOUNDED, check_on_create=True),
    _variant("strict-create/join", "public", OUTSIDER, "#join", _joined("R-JOIN-1"), check_on_create=True),
    _variant(
        "strict-join/new", "none", OUTSIDER, "#join", _no("room-not-found", "R-JOIN-3", 404), -40,
        create_on_join=False,
    ),
    _variant("strict-join/create", "none", OUTSIDER, "#create", _FOUNDED, create_on_join=False),
    _variant("strict-join/public", "public", OUTSIDER, "#join", _joined("R-JOIN-1"), create_on_join=False),
    _variant("owner-kept/leave", "public", OWNER, "#leave", _KEPT_OWNER, -90, owner_leave="refuse"),
    _variant("owner-kept/member", "public", MEMBER, "#leave", _LEFT, owner_leave="refuse"),
    _variant("owner-kept/two", "public", OWNER, "#leave", _LEFT, before=_TWO_OWNERS, owner_leave="refuse"),
    _variant("owner-kept/destroy", "public", OWNER, "#destroy", _closed("R-DESTROY-1"), owner_leave="refuse"),
    _variant(
        "no-consent/new", "private", OWNER, "#add john",
        _ok("member-joined", "R-ADD-2", {"john": "member"}, room="member-joined", john="member-joined"),
        add_requires_consent=False,
    ),
    _variant(
        "no-consent/invited", "public", ADMIN, "#add ivan",
        _ok("member-joined", "R-ADD-2", {"ivan": "member"}, room="member-joined", ivan="member-joined"),
        add_requires_consent=False,
    ),
    _variant("no-consent/member", "public", ADMIN, "#add mary", _IN, -50, add_requires_consent=False),
    _variant(
        "no-consent/by-member", "public", MEMBER, "#add john", _no("not-permitted", "R-ADD-3"), -50,
        add_requires_consent=False,
    ),
    _variant(
        "no-consent/invite", "public", OWNER, "#invite john", _invited("john", "R-INVITE-1"),
        add_requires_consent=False,
    ),
    _variant("two-owners/leave", "private", OWNER, "#leave", _LEFT, before=_TWO_OWNERS),
    _variant("two-owners/remove", "private", OWNER, "#remove adam", _LOW, -80, before=_TWO_OWNERS),
    _variant("two-owners/member", "private", OWNER, "#modify adam member", _role("adam", "member"), before=_TWO_OWNERS),
    _variant("two-owners/admin", "private", OWNER, "#modify adam admin", _role("adam", "admin"), before=_TWO_OWNERS),
    _variant("two-owners/self", "private", OWNER, "#modify alice member", _role("alice", "member"), before=_TWO_OWNERS),
    _variant("two-owners/self-a", "private", OWNER, "#modify alice admin", _role("alice", "admin"), before=_TWO_OWNERS),
    _variant("two-owners/destroy", "private", ADMIN, "#destroy", _closed("R-DESTROY-1"), before=_TWO_OWNERS),
    _variant(
        "reinvited/newest-inviter", "private", INVITED, "#reject",
        _ok("invitation-rejected", "R-REJECT-1", {"ivan": "outsider"}, adam="invitation-rejected"),
        before=((ADMIN, "#invite ivan"),),
    ),
    _variant(
        "inviter-gone/owners-told", "private", INVITED, "#reject", _REJECTED,
        before=((ADMIN, "#invite ivan"), (ADMIN, "#leave")),
    ),
    _variant("two-admins/remove", "public", ADMIN, "#remove mary", _LOW, -80, before=((OWNER, "#modify mary admin"),)),
    _variant("removed/comes-back", "public", REMOVED, "#join", _joined("R-JOIN-1")),
)  # fmt: skip
