"""Who may give which command: one table (spec §12).

A cell is ``YES``, or the event id of the refusal. The subject's standing, its rank and the limits are judged later, by
the rows of `imc.rooms.machine`. That a refusal to an outsider of a private room becomes "no such room" is not in the
table: it holds for the whole last column (spec R-HIDE-1). That only owners promote, demote and destroy is the lines of
modify and destroy (spec R-INV-4). `settings` is set without an option.
"""

from __future__ import annotations

from typing import NamedTuple

from imc.rooms.model import Role

YES = ""
_RIGHT = "not-permitted"
_PART = "not-a-member"
_INVITATION = "not-invited"


class Permission(NamedTuple):
    """One line of the table. ``clause`` is the one that a refusal by it rests on."""

    clause: str
    owner: str
    admin: str
    member: str
    invited: str
    outsider: str

    def of(self, role: Role | None) -> str:
        """The cell of a sender with this role; None is an outsider."""
        match role:
            case Role.OWNER:
                return self.owner
            case Role.ADMIN:
                return self.admin
            case Role.MEMBER:
                return self.member
            case Role.INVITED:
                return self.invited
        return self.outsider


# fmt: off
PERMISSIONS: dict[str, Permission] = {
    #                         clause         owner        admin        member       invited      outsider
    "create":     Permission("R-CREATE-3",  YES,         YES,         YES,         YES,         YES),
    "join":       Permission("R-JOIN-1",    YES,         YES,         YES,         YES,         YES),
    "invite":     Permission("R-INVITE-6",  YES,         YES,         _RIGHT,      _RIGHT,      _PART),
    "add":        Permission("R-ADD-3",     YES,         YES,         _RIGHT,      _RIGHT,      _PART),
    "accept":     Permission("R-ACCEPT-2",  _INVITATION, _INVITATION, _INVITATION, YES,         _INVITATION),
    "reject":     Permission("R-REJECT-2",  _INVITATION, _INVITATION, _INVITATION, YES,         _INVITATION),
    "remove":     Permission("R-REMOVE-6",  YES,         YES,         _RIGHT,      _RIGHT,      _PART),
    "leave":      Permission("R-LEAVE-4",   YES,         YES,         YES,         _PART,       _PART),
    "destroy":    Permission("R-DESTROY-2", YES,         _RIGHT,      _RIGHT,      _RIGHT,      _PART),
    "members":    Permission("R-LIST-3",    YES,         YES,         YES,         _PART,       _PART),
    "history":    Permission("R-HISTORY-4", YES,         YES,         YES,         _PART,       _PART),
    "settings":   Permission("R-SET-5",     YES,         YES,         YES,         _PART,       _PART),
    "set":        Permission("R-SET-5",     YES,         _RIGHT,      _RIGHT,      _RIGHT,      _PART),
    "modify":     Permission("R-MODIFY-6",  YES,         _RIGHT,      _RIGHT,      _RIGHT,      _PART),
    "message":    Permission("R-MSG-2",     YES,         YES,         YES,         _PART,       _PART),
}
# fmt: on
