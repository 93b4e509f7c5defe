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
    """A status, the event of the sender's answer ('' for none), and who else is told of which."""

    status: int
    answer: str
    others: dict[str, str]


class Cell(NamedTuple):
    """One case. ``code`` is what imc_manager() returns. ``before``: (sender, text) sent first; ``policy``: settings."""

    id: str
    kind: Kind
    role: str
    sender: str
    body: str
    status: int
    told: dict[str, str]
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


def _ok(answer: str, status: int = 200, **others: str) -> Outcome:
    return Outcome(status, answer, others)


def _no(answer: str, status: int = 403, **others: str) -> Outcome:
    return Outcome(status, answer, others)


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


_NO_ROOM = _no("room-not-found", 404)
_RIGHT = _no("not-permitted")
_PART = _no("not-a-member")
_UNINVITED = _no("not-invited")


class _Line(NamedTuple):
    """One line of the table, its outcomes by role; `outsider` for public rooms, `hidden` for private ones."""

    id: str
    body: str
    code: int
    owner: Outcome
    admin: Outcome
    member: Outcome
    invited: Outcome
    outsider: Outcome
    hidden: Outcome = _NO_ROOM
    none: Outcome = _NO_ROOM


def _all(name: str, body: str, code: int, outcome: Outcome) -> _Line:
    return _Line(name, body, code, *[outcome] * 7)


def _staff(name: str, body: str, code: int, outcome: Outcome) -> _Line:
    """Owner and admin alike; nobody else may."""
    return _Line(name, body, code, outcome, outcome, _RIGHT, _RIGHT, _PART)


_JOINED = _ok("member-joined", room="member-joined")
_ALREADY = _ok("already-joined")
_ATTEMPT = _no("private-room", staff="join-attempted")
_FOUNDED = _ok("room-created")
_INVITE = _ok("invitation-sent", john="invitation")
_IN = _no("already-member")
_REMOVED_MEMBER = _ok("member-left", mary="you-were-removed", room="member-left")
_REMOVED_ADMIN = _ok("member-left", adam="you-were-removed", room="member-left")
_WITHDRAWN = _ok("invitation-withdrawn", ivan="you-were-removed", room="invitation-withdrawn")
_ROLE = _ok("role-changed", room="role-changed")
_CLOSED = _ok("room-destroyed", everyone="room-destroyed")
_LEFT = _ok("member-left", room="member-left")
_LOW = _no("rank-too-low")
_GONE = _no("user-not-in-room", 404)
_LISTED = _ok("member-list")
_SAID = _ok("", 202, room=MESSAGE)


def _joining(name: str, body: str, code: int) -> _Line:
    return _Line(name, body, code, _ALREADY, _ALREADY, _ALREADY, _JOINED, _JOINED, _ATTEMPT, _FOUNDED)


def _owners(name: str, body: str, outcome: Outcome) -> _Line:
    """Only an owner may: the modify lines."""
    return _Line(name, body, -120, outcome, _RIGHT, _RIGHT, _RIGHT, _PART)


LINES: tuple[_Line, ...] = (
    _joining("create", "#create", -30),
    _joining("create-private", "#create private", -30),
    _joining("join", "#join", -40),
    _staff("invite-new", "#invite john", -50, _INVITE),
    _staff("invite-invited", "#invite ivan", -50, _ok("invitation-sent", ivan="invitation")),
    _staff("invite-member", "#invite mary", -50, _IN),
    _staff("invite-admin", "#invite adam", -50, _IN),
    _staff("invite-owner", "#invite alice", -50, _IN),
    _staff("add-new", "#add john", -50, _INVITE),
    _staff("add-invited", "#add ivan", -50, _ok("invitation-sent", ivan="invitation")),
    _staff("add-member", "#add mary", -50, _IN),
    _staff("add-admin", "#add adam", -50, _IN),
    _staff("add-owner", "#add alice", -50, _IN),
    _Line("accept", "#accept", -60, _UNINVITED, _UNINVITED, _UNINVITED, _JOINED, _UNINVITED),
    _Line(
        "reject", "#reject", -70, _UNINVITED, _UNINVITED, _UNINVITED,
        _ok("invitation-rejected", alice="invitation-rejected"), _UNINVITED,
    ),
    _Line(
        "deny", "#deny", -70, _UNINVITED, _UNINVITED, _UNINVITED,
        _ok("invitation-rejected", alice="invitation-rejected"), _UNINVITED,
    ),
    _staff("remove-member", "#remove mary", -80, _REMOVED_MEMBER),
    _staff("remove-invited", "#remove ivan", -80, _WITHDRAWN),
    _Line("remove-admin", "#remove adam", -80, _REMOVED_ADMIN, _no("use-leave"), _RIGHT, _RIGHT, _PART),
    _Line("remove-owner", "#remove alice", -80, _no("use-leave"), _LOW, _RIGHT, _RIGHT, _PART),
    _staff("remove-nobody", "#remove john", -80, _GONE),
    _Line("leave", "#leave", -90, _CLOSED, _LEFT, _LEFT, _PART, _PART),
    _Line("exit", "#exit", -90, _CLOSED, _LEFT, _LEFT, _PART, _PART),
    _Line("destroy", "#destroy", -110, _CLOSED, _RIGHT, _RIGHT, _RIGHT, _PART),
    _Line("members", "#members", -100, _LISTED, _LISTED, _LISTED, _PART, _PART),
    _Line("list", "#list", -100, _LISTED, _LISTED, _LISTED, _PART, _PART),
    _owners("modify-member-owner", "#modify mary owner", _ROLE),
    _owners("modify-member-admin", "#modify mary admin", _ROLE),
    _owners("modify-member-member", "#modify mary member", _ok("role-unchanged")),
    _owners("modify-admin-owner", "#modify adam owner", _ROLE),
    _owners("modify-admin-member", "#modify adam member", _ROLE),
    _owners("modify-admin-admin", "#modify adam admin", _ok("role-unchanged")),
    _owners("modify-owner-owner", "#modify alice owner", _ok("role-unchanged")),
    _owners("modify-owner-admin", "#modify alice admin", _no("last-owner")),
    _owners("modify-owner-member", "#modify alice member", _no("last-owner")),
    _owners("modify-invited", "#modify ivan member", _no("invited-has-no-role")),
    _owners("modify-nobody", "#modify john admin", _GONE),
    _all("rooms", "#rooms", -100, _ok("room-list")),
    _all("help", "#help", -120, _ok("help")),
    _all("unknown", "#frobnicate", -130, _no("unknown-command", 400)),
    _all("empty", "#", -20, _no("empty-command", 400)),
    _all("invite-nothing", "#invite", -50, _no("missing-parameter", 400)),
    _all("add-nothing", "#add", -50, _no("missing-parameter", 400)),
    _all("remove-nothing", "#remove", -80, _no("missing-parameter", 400)),
    _all("modify-nothing", "#modify", -120, _no("missing-parameter", 400)),
    _all("modify-no-role", "#modify mary", -120, _no("missing-parameter", 400)),
    _all("modify-bad-role", "#modify mary king", -120, _no("bad-role", 400)),
    _all("create-bad-word", "#create chat-x foo", -30, _no("bad-parameter", 400)),
    _all("invite-bad-address", "#invite tel:+123456", -50, _no("bad-address", 400)),
    _all("join-too-much", "#join chat-x chat-y", -40, _no("too-many-parameters", 400)),
    _Line(
        "message", "hello", -200, _SAID, _SAID, _SAID,
        Outcome(403, "", {}), Outcome(403, "", {}), Outcome(404, "", {}), Outcome(404, "", {}),
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
    code = 1 if outcome.status < 300 else line.code
    return Cell(f"{line.id}/{role}/{kind}", kind, role, sender, line.body, outcome.status, _told(outcome, sender), code)


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
    told = _told(outcome, sender)
    return Cell(name, kind, "", sender, body, outcome.status, told, code, before, policy)


_TWO_OWNERS = ((OWNER, f"#modify {ADMIN} owner"),)

# What the table leaves to a setting, or to a second owner
VARIANTS: tuple[Cell, ...] = (
    _variant("strict-create/owner", "public", OWNER, "#create", _no("room-exists"), -30, check_on_create=True),
    _variant("strict-create/invited", "private", INVITED, "#create", _no("room-exists"), -30, check_on_create=True),
    _variant("strict-create/outsider", "public", OUTSIDER, "#create", _no("room-exists"), -30, check_on_create=True),
    _variant("strict-create/hidden", "private", OUTSIDER, "#create", _no("room-exists"), -30, check_on_create=True),
    _variant("strict-create/new", "none", OUTSIDER, "#create private", _FOUNDED, check_on_create=True),
    _variant("strict-create/join", "public", OUTSIDER, "#join", _JOINED, check_on_create=True),
    _variant("strict-join/new", "none", OUTSIDER, "#join", _NO_ROOM, -40, create_on_join=False),
    _variant("strict-join/create", "none", OUTSIDER, "#create", _FOUNDED, create_on_join=False),
    _variant("strict-join/public", "public", OUTSIDER, "#join", _JOINED, create_on_join=False),
    _variant("owner-kept/leave", "public", OWNER, "#leave", _no("last-owner"), -90, owner_leave="refuse"),
    _variant("owner-kept/member", "public", MEMBER, "#leave", _LEFT, owner_leave="refuse"),
    _variant("owner-kept/two", "public", OWNER, "#leave", _LEFT, before=_TWO_OWNERS, owner_leave="refuse"),
    _variant(
        "no-consent/new", "private", OWNER, "#add john",
        _ok("member-joined", room="member-joined", john="member-joined"), add_requires_consent=False,
    ),
    _variant(
        "no-consent/invited", "public", ADMIN, "#add ivan",
        _ok("member-joined", room="member-joined", ivan="member-joined"), add_requires_consent=False,
    ),
    _variant("no-consent/member", "public", ADMIN, "#add mary", _IN, -50, add_requires_consent=False),
    _variant("no-consent/by-member", "public", MEMBER, "#add john", _RIGHT, -50, add_requires_consent=False),
    _variant("no-consent/invite", "public", OWNER, "#invite john", _INVITE, add_requires_consent=False),
    _variant("two-owners/leave", "private", OWNER, "#leave", _LEFT, before=_TWO_OWNERS),
    _variant("two-owners/remove", "private", OWNER, "#remove adam", _LOW, -80, before=_TWO_OWNERS),
    _variant("two-owners/demote-other", "private", OWNER, "#modify adam member", _ROLE, before=_TWO_OWNERS),
    _variant("two-owners/demote-self", "private", OWNER, "#modify alice member", _ROLE, before=_TWO_OWNERS),
    _variant("two-owners/second-destroys", "private", ADMIN, "#destroy", _CLOSED, before=_TWO_OWNERS),
    _variant(
        "reinvited/newest-inviter", "private", INVITED, "#reject",
        _ok("invitation-rejected", adam="invitation-rejected"), before=((ADMIN, "#invite ivan"),),
    ),
    _variant(
        "inviter-gone/owners-told", "private", INVITED, "#reject",
        _ok("invitation-rejected", alice="invitation-rejected"),
        before=((ADMIN, "#invite ivan"), (ADMIN, "#leave")),
    ),
    _variant(
        "removed-admin/two-admins", "public", ADMIN, "#remove mary", _LOW, -80,
        before=((OWNER, "#modify mary admin"),),
    ),
)  # fmt: skip
