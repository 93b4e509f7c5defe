"""Rosters as documents of application/conference-info+xml (RFC 4575 §4, §5).

A document differs from subscription to subscription in its version alone, so it is made once for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement, tostring

from imc.aor import Aor
from imc.rooms.roster import Person, Roster, difference

CONFERENCE_INFO = "application/conference-info+xml"
_NAMESPACE = "urn:ietf:params:xml:ns:conference-info"
# No value can hold a bare quotation mark: this stands for the attribute alone.
_VERSION = b' version="0"'


class Document(NamedTuple):
    """A document without its version."""

    head: bytes
    tail: bytes

    def at(self, version: int) -> bytes:
        return b'%s version="%d"%s' % (self.head, version, self.tail)


def full(room: Aor, roster: Roster) -> Document:
    """All that there is to say."""
    root = _root(room, "full", roster)
    _add_people(SubElement(root, "users"), roster.people)
    return _document(root)


# spec S-EVT-6
def partial(room: Aor, before: Roster, after: Roster) -> Document:
    """What changed: each user who did as a whole, and who left as deleted (RFC 4575 §4.4, §4.6)."""
    root = _root(room, "partial", after)
    changed, gone = difference(before, after)
    if changed or gone:
        users = SubElement(root, "users", state="partial")
        _add_people(users, changed)
        for user in gone:
            SubElement(users, "user", entity=str(user), state="deleted")
    return _document(root)


def _root(room: Aor, state: str, roster: Roster) -> Element:
    root = Element("conference-info", xmlns=_NAMESPACE, entity=str(room), state=state, version="0")
    if state == "full":
        description = SubElement(root, "conference-description")
        SubElement(description, "display-text").text = room.user
    SubElement(SubElement(root, "conference-state"), "user-count").text = str(roster.total)
    return root


# spec S-EVT-7
def _add_people(users: Element, people: Mapping[Aor, Person]) -> None:
    for user, person in people.items():
        element = SubElement(users, "user", entity=str(user), state="full")
        SubElement(element, "display-text").text = person.label
        SubElement(SubElement(element, "roles"), "entry").text = person.role.name.lower()


def _document(root: Element) -> Document:
    data = tostring(root, encoding="utf-8", xml_declaration=True)
    head, _, tail = data.partition(_VERSION)
    return Document(head, tail)
