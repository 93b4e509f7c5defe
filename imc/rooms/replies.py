"""All words that imc says in a room, and the form of what members say (spec §13, §14).

Invariants
    Every event id has words: for the sender's answer, for others, or for both.
    No notice begins with ``[``, and none holds text of a user's but addresses of the grammar (spec R-NOTICE-3). Only
    `history` repeats what members wrote, in lines of `imc.rooms.history` (R-HISTORY-5).
    Each line of a member's text begins with ``[label]: `` or ``| `` (spec R-MSG-5, R-MSG-7).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from imc.aor import Aor
from imc.rooms.commands import ALIASES, USAGE
from imc.rooms.history import CONTINUATION
from imc.rooms.model import Role, Room
from imc.rooms.outcome import Notice, Refused
from imc.rooms.policy import Policy
from imc.rooms.settings import DEFAULT, RoomSettings, kept, replayed

# What programs may show as a line's end: CR LF, LF, CR, VT, FF, FS, GS, RS, NEL, U+2028, U+2029. Not at the text's end.
# The group is atomic, or the CR of a last CR LF would be taken alone.
_LINE_END = re.compile("(?>\r\n|[\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029])(?!\\Z)")

# What the sender of a command is told. {c}: start character; {room}, {user}, {by}: user@host
_ANSWERS = {
    "room-created": "The{private} room {room} is open, and you are its owner. Invite people with {c}invite.",
    "room-destroyed": "The room {room} is closed.",
    "already-joined": "You are in the room {room} already.",
    "member-left": "You have left the room {room}.",
    "invitation-waiting": "{user} cannot be reached now; the invitation to the room {room} waits for them.",
    "invitation-sent": "{user} has been invited to the room {room}.",
    "invitation-rejected": "You have declined the invitation to the room {room}.",
    "invitation-withdrawn": "The invitation of {user} to the room {room} is withdrawn.",
    "role-changed": "{user} now has the role {role} in the room {room}.",
    "role-unchanged": "{user} has the role {role} in the room {room} already.",
}
# What others are told
_NOTICES = {
    "room-created": "{by} has opened the{private} room {room}, and you are its owner. Invite people with {c}invite.",
    "privacy-changed": "{by} has made the room {room} {kind}.",
    "room-destroyed": "The room {room} has been closed by {by}.",
    "member-left": "{user} has left the room {room}.",
    "join-attempted": "{user} tried to join the private room {room}. To let them in: {c}invite {user}",
    "you-were-removed": "{by} has removed you from the room {room}.",
    "invitation": "{by} invites you to the{private} room {room}. Answer {c}accept or {c}reject.",
    "invitation-rejected": "{user} has declined the invitation to the room {room}.",
    "invitation-withdrawn": "The invitation of {user} to the room {room} has been withdrawn by {by}.",
    "invitation-failed": "{user} could not be reached; the invitation to the room {room} is withdrawn.",
    "role-changed": "{by} has given {user} the role {role} in the room {room}.",
}
# Why a command was refused; the Warning of its response as well
_REFUSALS = {
    "empty-command": "There is no command behind {c}. For a list of them: {c}help",
    "unknown-command": "Unknown command{detail}. For a list of them: {c}help",
    "missing-parameter": "Something is missing. Usage: {usage}",
    "too-many-parameters": "Too many parameters. Usage: {usage}",
    "bad-parameter": "{parameter}",
    "bad-address": "That is not an address. Write name, name@host or sip:name@host.",
    "bad-role": "That is not a role. Roles are: owner, admin, member",
    "name-too-long": "That name is too long.",
    "command-too-long": "That command is too long.",
    "room-needed": "Which room? Name it in the command, or send the command to the room itself.",
    "not-permitted": "You do not have the right to do that in the room {room}.",
    "not-a-member": "You are not a member of the room {room}.",
    "not-invited": "You have no invitation to the room {room}.",
    "private-room": "The room {room} is private: only those invited can join.",
    "room-exists": "There is a room {room} already.",
    "room-full": "The room {room} is full.",
    "too-many-rooms": "You own as many rooms as one person may have.",
    "too-many-invitations": "Too many invitations. Try again later.",
    "room-name-not-allowed": "A room cannot be named {room} here.{names}",
    "already-member": "That person is in the room {room} already.",
    "rank-too-low": "Only someone of a higher rank can remove that person.",
    "use-leave": "To leave a room yourself: {c}leave",
    "last-owner": "A room needs an owner. Make someone else owner first, or close the room: {c}destroy",
    "invited-has-no-role": "That person is only invited, and has no role yet.",
    "address-is-a-room": "That is the address of a room, not of a person.",
    "sender-is-a-room": "This request comes from the address of a room.",
    "room-not-found": "There is no room {room}.",
    "user-not-in-room": "That person is not in the room {room}.",
    "manager-takes-commands": "Rooms are made here. For a list of commands: {c}help",
    "text-too-long": "That text is too long.",
    "server-full": "No more rooms can be made for now.",
    "try-later": "Too much at once. Try again later.",
}
# Spec R-CMD-3, R-HISTORY-3, R-SET-2
_PARAMETERS = {
    "private": "The last parameter can only be: private",
    "history": "How many messages? Write a number from 1 on. Usage: {usage}",
    "set": "That cannot be set. {options} Usage: {usage}",
}
_HELP = {
    "create": "make a room of your own",
    "join": "go into a room",
    "invite": "ask someone into a room",
    "add": "bring someone into a room",
    "accept": "take up an invitation",
    "reject": "decline an invitation",
    "remove": "put someone out of a room",
    "leave": "go out of a room",
    "destroy": "close a room of your own",
    "members": "see who is in a room",
    "rooms": "see which rooms there are",
    "history": "see what was said in a room, times in UTC",
    "set": "see, or change, what a room keeps of what is said",
    "modify": "change a role: owner, admin or member",
    "help": "see this",
}
_ROLES = {Role.INVITED: "invited", Role.MEMBER: "member", Role.ADMIN: "admin", Role.OWNER: "owner"}
_MARKS = {Role.OWNER: "*", Role.ADMIN: "~"}  # spec R-LIST-2


def address(aor: Aor | None) -> str:
    """How people and rooms are named in a text: whole, so that nobody is taken for another."""
    return "" if aor is None else f"{aor.user}@{aor.host}"


def text(notice: Notice, policy: Policy) -> str:
    """The words of a notice, whole. KeyError for an event id that has none."""
    head, lines = _head_and_lines(notice, policy)
    return "\r\n".join((head, *lines))


def texts(notice: Notice, policy: Policy, max_bytes: int) -> list[str]:
    """The words of a notice, a list cut into pages of at most so many bytes (spec R-LIST-4)."""
    if notice.is_replay and not notice.lines:  # nothing to repeat, and nobody asked
        return []
    head, lines = _head_and_lines(notice, policy)
    return pages(head, lines, max_bytes)


def pages(head: str, lines: list[str], max_bytes: int) -> list[str]:
    """Lines under a head, which each page repeats with its number; cut between lines. Too long a line stands alone."""
    room = max_bytes - len(head.encode()) - len(" (999/999)")
    groups: list[list[str]] = [[]]
    size = 0
    for line in lines:
        needed = len(line.encode()) + 2
        if groups[-1] and size + needed > room:
            groups.append([])
            size = 0
        groups[-1].append(line)
        size += needed
    if len(groups) == 1:
        return ["\r\n".join((head, *lines))]
    return ["\r\n".join((f"{head} ({number}/{len(groups)})", *group)) for number, group in enumerate(groups, 1)]


def warning(refused: Refused, address_to: Aor, policy: Policy) -> str:
    """A refusal's words for a Warning header: one line of ASCII without quotes (spec R-ANSWER-7)."""
    return _REFUSALS[refused.event].format_map(_refusal_data(refused.detail, address_to, policy))


def format_room_text(label: str, body: str) -> str:
    """A member's text as the others get it. Linear in its length."""
    return f"[{label}]: {_LINE_END.sub(_mark, body)}"


def _mark(match: re.Match[str]) -> str:
    return match[0] + CONTINUATION


def display_name(room: Room, sender: Aor) -> str:
    """What stands before a room message, and in its From, for the sender (spec R-MSG-4, R-MSG-6)."""
    return room.label(sender)


def _head_and_lines(notice: Notice, policy: Policy) -> tuple[str, list[str]]:
    special = _SPECIAL.get(notice.event)
    if special is not None:
        return special(notice, policy)
    if notice.event in _REFUSALS:
        return _REFUSALS[notice.event].format_map(_refusal_data(notice.detail, notice.room, policy)), []
    template = (_ANSWERS if notice.is_answer else _NOTICES)[notice.event]
    if notice.event == "member-left" and notice.by is not None:
        template = "{by} has removed {user} from the room {room}."
    elif notice.event == "you-were-removed" and notice.role is Role.INVITED:
        template = "{by} has withdrawn your invitation to the room {room}."
    return template.format_map(_data(notice, policy)), []


def _data(notice: Notice, policy: Policy) -> dict[str, str]:
    return {
        "c": policy.start_char,
        "room": address(notice.room),
        "user": address(notice.user),
        "by": address(notice.by),
        "role": "" if notice.role is None else _ROLES[notice.role],
        "private": " private" if notice.is_private else "",
        "kind": "private: only those invited can join" if notice.is_private else "public: everybody can join",
    }


def _refusal_data(detail: str, room: Aor, policy: Policy) -> dict[str, str]:
    parameter = _PARAMETERS.get(detail, "A parameter is not what it should be. Usage: {usage}")
    data = {"usage": _usage(detail, policy), "options": _options(policy)}
    return {
        "c": policy.start_char,
        "parameter": parameter.format_map(data),
        "room": address(room),
        "names": "" if policy.may_be_room(room) else f" Names of rooms are: {policy.room_pattern}",
        "detail": f": {detail}" if detail else "",
        "usage": _usage(detail, policy),
    }


def _options(policy: Policy) -> str:
    """What can be set to what (spec R-SET-2)."""
    limits = policy.limits
    bounds = (
        ("replay", 0, limits.max_history),
        ("keep", 0, limits.max_keep_messages),
        ("days", 1, limits.max_keep_days),
    )
    parts = [f"{name} from {least} {'on' if most is None else f'to {most}'}" for name, least, most in bounds]
    return f"Options are: {', '.join(parts)}; keep and days also default."


def _usage(name: str, policy: Policy) -> str:
    return " ".join((policy.start_char + name, *USAGE.get(name, ())))


def _joined(notice: Notice, policy: Policy) -> tuple[str, list[str]]:
    data = _data(notice, policy)
    if notice.is_answer and notice.by is None:
        return "You are now in the room {room}.".format_map(data), []
    if notice.by is None:
        return "{user} has joined the room {room}.".format_map(data), []
    return "{by} has brought {user} into the room {room}.".format_map(data), []


def _member_list(notice: Notice, _policy: Policy) -> tuple[str, list[str]]:
    lines = [
        f"{_MARKS[role]}{address(user)} ({_ROLES[role]})" if role in _MARKS else address(user)
        for user, role in notice.members
    ]
    return f"In the room {address(notice.room)}:", [*lines, *_left_off(notice)]


def _room_list(notice: Notice, _policy: Policy) -> tuple[str, list[str]]:
    if not notice.rooms:
        return "There are no rooms to see.", []
    lines = []
    for room, is_private, role in notice.rooms:
        words = [word for word in ("private" if is_private else "", "" if role is None else _ROLES[role]) if word]
        lines.append(f"{address(room)} ({', '.join(words)})" if words else address(room))
    return "Rooms:", [*lines, *(["and more"] if notice.left_off else [])]


def history_head(room: Aor) -> str:
    return f"What was said in the room {address(room)}:"


def _history(notice: Notice, _policy: Policy) -> tuple[str, list[str]]:
    if not notice.lines:
        return f"Nothing that was said in the room {address(notice.room)} is kept.", []
    left_off = ["(more is left off here)"] if notice.left_off else []
    return history_head(notice.room), [*left_off, *notice.lines]


def _settings(notice: Notice, policy: Policy) -> tuple[str, list[str]]:
    """Spec R-SET-1, R-SET-4: what is kept and repeated, in words."""
    settings = notice.settings or RoomSettings()
    room, by, option = address(notice.room), address(notice.by), notice.option
    value = getattr(settings, option) if option else 0
    said = "default" if value == DEFAULT else value
    heads = {
        "room-settings": f"In the room {room}:",
        "setting-unchanged": f"{option} is {said} in the room {room} already.",
        "setting-changed": f"{option} is now {said} in the room {room}."
        if notice.is_answer
        else f"{by} has set {option} to {said} in the room {room}.",
    }
    what, number = kept(settings, policy), replayed(settings, policy)
    if not what.messages:
        lines = ["Nothing that is said is kept, or repeated to whoever joins."]
    else:
        repeated = f"the newest {number} are" if number else "nothing is"
        lines = [
            f"What is said is kept for {what.days} days, the newest {what.messages} messages at most.",
            f"Of that, {repeated} repeated to whoever joins.",
        ]
    if notice.event == "room-settings":
        values = (f"{name} {'default' if each == DEFAULT else each}" for name, each in settings._asdict().items())
        lines.append(f"Settings: {', '.join(values)}")
    return heads[notice.event], lines


def _left_off(notice: Notice) -> list[str]:
    return [f"and {notice.left_off} more"] if notice.left_off else []


def _help(_notice: Notice, policy: Policy) -> tuple[str, list[str]]:
    also = {name: f" (or {policy.start_char}{alias})" for alias, name in ALIASES.items()}
    lines = [f"{_usage(name, policy)} - {words}{also.get(name, '')}" for name, words in _HELP.items()]
    return "Commands:", lines


_SPECIAL: dict[str, Callable[[Notice, Policy], tuple[str, list[str]]]] = {
    "member-joined": _joined,
    "member-list": _member_list,
    "room-list": _room_list,
    "help": _help,
    "history": _history,
    "setting-changed": _settings,
    "setting-unchanged": _settings,
    "room-settings": _settings,
}
EVENTS = frozenset((*_ANSWERS, *_NOTICES, *_REFUSALS, *_SPECIAL))
