"""What a server may lack, so that a case that requires it is skipped by that name. Kept here alone, a line each."""

from __future__ import annotations

from typing import Literal, get_args

Feature = Literal[
    "modify", "private", "add", "rooms", "help", "history", "room-settings",
    "list", "destroy", "remove", "reject", "admins", "owners",
    "messages-typed", "long-text", "cpim", "automatic", "settings", "restart", "register", "relay", "digest",
    "invitations-fail", "manager", "events", "event-header", "in-reply-to", "warning-header", "tcp", "udp",
    "ws", "outbound", "retransmission", "lists-pages", "display-name", "kamailio-tables", "keeps",
    "conference-event", "cpim-from", "imdn", "recipient-list",
]  # fmt: skip

FEATURES: dict[Feature, str] = {
    "modify": "the command that changes a role",
    "private": "private rooms",
    "add": "the command add",
    "rooms": "the command that lists rooms",
    "help": "the command help",
    "history": "a log of what was said, and the command that repeats it",
    "room-settings": "the command set, for what a room keeps and repeats",
    "list": "the command that lists the members of a room",
    "destroy": "the command destroy",
    "remove": "the command remove",
    "reject": "the command reject",
    "admins": "a room that stands beforehand with admins",
    "owners": "a room that stands beforehand with several owners",
    "messages-typed": "room messages of other types than text/plain",
    "long-text": "room messages beyond what a datagram takes",
    "cpim": "message/cpim that passes unread",
    "automatic": "Auto-Submitted, isComposing and IMDN that are known to be automatic",
    "settings": "a driver that can start it with the settings of the case",
    "restart": "a driver that can end it, also by kill -9, and start it again",
    "register": "a registrar",
    "relay": "a server that relays messages from one user to another",
    "digest": "a server that asks for passwords, with accounts for the driver",
    "invitations-fail": "invitations that could not be delivered, and are noticed",
    "manager": "an address of a conference manager",
    "events": "notices that can be told apart, by IMC-Event or by the patterns of a profile",
    "event-header": "notices and refusals that carry IMC-Event",
    "in-reply-to": "notices that carry In-Reply-To",
    "warning-header": "refusals that carry Warning",
    "tcp": "SIP over TCP",
    "udp": "SIP over UDP",
    "ws": "SIP over WebSocket",
    "outbound": "a registrar that knows flows (RFC 5626)",
    "retransmission": "a transaction layer below it, so that a request can be repeated",
    "lists-pages": "long lists that are sent in several messages",
    "display-name": "copies that tell the speaker in the display name of From",
    "keeps": "messages and invitations that are kept for who is away, and come when they register",
    "cpim-from": "message/cpim whose From and To are looked at",
    "imdn": "notifications (IMDN) that go to the one whose message they are about",
    "recipient-list": "messages to a list of recipients, at the manager's address",
    "conference-event": "SUBSCRIBE to a room, Event: conference",
    "kamailio-tables": "rooms that are kept in the tables of Kamailio's module",
}
assert set(FEATURES) == set(get_args(Feature))
