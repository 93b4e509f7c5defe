"""Two databases side by side, in a temporary SQLite file of this process: what the source has, what the target has.

Rows are put here in canonical form, whatever database they are from, and compared here: so one dialect, one order and
one way to compare (character by character) hold, and memory does not grow with the tables. The file has no name, is
in the folder for temporary files, and is gone with the process.

``uri`` is a room's; ``gone`` holds rooms of which a side has rows that mean nothing: it is marked as deleted, or a
member is, or there are members without a room. The steps, in this order: fill both sides, `drop_rooms_among_members`,
`drop_look_alikes` where the target wants it, `drop_orphans`, `remark`, `compare`, `count`; then ask.
"""

# Names of tables and columns alone are put into statements, and they all stand in this file.
# ruff: noqa: S608

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

from imc.aor import Aor
from imc.store.kamailio.mapping import AccountRecord, Copy, MemberRecord, RoomRecord, secret_of
from imc.store.kamailio.report import Report
from imc.store.schema import MEMBER_OWNER

SOURCE = 0
TARGET = 1
_TABLES = """
CREATE TABLE room (side INT, uri TEXT, name TEXT, host TEXT, flag INT, PRIMARY KEY (side, uri)) WITHOUT ROWID;
CREATE TABLE member (side INT, uri TEXT, name TEXT, host TEXT, flag INT,
    PRIMARY KEY (side, uri, name, host)) WITHOUT ROWID;
CREATE TABLE account (side INT, name TEXT, host TEXT, secret TEXT, password TEXT, ha1 TEXT, ha1b TEXT, sha256 TEXT,
    sha512 TEXT, PRIMARY KEY (side, name, host)) WITHOUT ROWID;
CREATE TABLE copy (side INT, id TEXT, call_id TEXT, name TEXT, host TEXT, sender TEXT, sender_host TEXT, created REAL,
    expires REAL, type TEXT, headers TEXT, body BLOB);
CREATE UNIQUE INDEX copy_id ON copy (side, id);
CREATE INDEX copy_call_id ON copy (side, call_id, name, host);
CREATE TABLE gone (uri TEXT, side INT, PRIMARY KEY (uri, side)) WITHOUT ROWID;
CREATE TABLE clash (uri TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_KEYS = {"room": ("uri",), "member": ("uri", "name", "host"), "account": ("name", "host")}
_NAMES = {"room": "rooms", "member": "members", "account": "accounts"}


class Stage:
    """Closed by `close`, or at the end of a ``with``."""

    def __init__(self) -> None:
        self.db = sqlite3.connect("", isolation_level=None)
        self.db.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;" + _TABLES + "BEGIN;")

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.db.close()

    # --- filling ----------------------------------------------------------------------------------------------------

    def add_room(self, side: int, record: RoomRecord) -> bool:
        """False where that side has it already; likewise below."""
        return self._add("room", side, str(record.room), *record.room, record.flag)

    def add_gone(self, side: int, room: Aor) -> None:
        self.db.execute("INSERT OR IGNORE INTO gone VALUES (?, ?)", (str(room), side))

    def add_member(self, side: int, record: MemberRecord) -> bool:
        return self._add("member", side, str(record.room), *record.user, record.flag)

    def add_account(self, side: int, record: AccountRecord) -> bool:
        digests = record.password, record.ha1, record.ha1b, record.ha1_sha256, record.ha1_sha512_256
        return self._add("account", side, *record.aor, secret_of(record), *digests)

    def add_copy(self, side: int, copy: Copy) -> bool:
        times = copy.created, copy.expires
        said = copy.content_type, json.dumps(copy.headers), copy.body
        return self._add("copy", side, copy.id, copy.call_id, *copy.recipient, *copy.sender, *times, *said)

    def add_known_copy(self, side: int, id_: str, call_id: str = "", recipient: Aor | None = None) -> None:
        """One of which only the names count."""
        self._add("copy", side, id_, call_id, *(recipient or ("", "")), *([None] * 7))

    def _add(self, table: str, *values: Any) -> bool:
        places = ", ".join("?" * len(values))
        return self.db.execute(f"INSERT OR IGNORE INTO {table} VALUES ({places})", values).rowcount > 0

    # --- what cannot be, though each row by itself fits -------------------------------------------------------------

    # spec R-ADDR-8
    def drop_rooms_among_members(self, report: Report) -> None:
        """A room is no member of a room."""
        where = "side = ? AND 'sip:' || name || '@' || host IN (SELECT uri FROM room)"
        self._drop("member", where, "this member is a room (R-ADDR-8)", report)

    def drop_look_alikes(self, table: str, why: str, report: Report) -> None:
        """For a target that does not tell upper from lower case: the first stands, the target's own before any."""
        key = _KEYS[table]
        index = ", ".join(f"{column} COLLATE NOCASE" for column in key)
        self.db.execute(f"CREATE INDEX {table}_like ON {table} ({index})")
        mine, other = (", ".join(f"{name}.{column}" for column in key) for name in (table, "o"))
        is_like = " AND ".join(f"o.{column} = {table}.{column} COLLATE NOCASE" for column in key)
        known = f"SELECT {', '.join(key)} FROM {table} WHERE side = {TARGET}"
        self._drop(
            table,
            f"side = ? AND ({', '.join(key)}) NOT IN ({known}) AND EXISTS (SELECT 1 FROM {table} o WHERE {is_like} "
            f"AND ((o.side = {TARGET} AND ({other}) <> ({mine})) OR (o.side = {SOURCE} AND "
            f"(({other}) < ({mine}) OR (({other}) <> ({mine}) AND ({other}) IN ({known}))))))",
            why,
            report,
        )

    def drop_orphans(self, report: Report) -> None:
        """Members without a room: of a deleted one they are nothing any more, else they do not fit."""
        where = f"side = ? AND uri NOT IN (SELECT uri FROM room WHERE side = {SOURCE})"
        is_gone = f"uri IN (SELECT uri FROM gone WHERE side = {SOURCE})"
        for uri, name, host in self.rows(f"SELECT uri, name, host FROM member WHERE {where} AND {is_gone}", SOURCE):
            report.gone("members", _words("member", (uri, name, host)), "its room is marked as deleted")
        self.db.execute(f"DELETE FROM member WHERE {where} AND {is_gone}", (SOURCE,))
        self._drop("member", where, "there is no such room, or it did not fit", report)
        # Of the target's it is to be known that they are in the way.
        lost = f"FROM member WHERE side = {TARGET} AND uri NOT IN (SELECT uri FROM room WHERE side = {TARGET})"
        self.db.execute(f"INSERT OR IGNORE INTO gone SELECT DISTINCT uri, {TARGET} {lost}")
        self.db.execute(f"DELETE {lost}")

    def _drop(self, table: str, where: str, why: str, report: Report) -> None:
        key = ", ".join(_KEYS[table])
        self.db.execute(f"CREATE TEMP TABLE dropped AS SELECT {key} FROM {table} WHERE {where}", (SOURCE,))
        for row in self.rows("SELECT * FROM dropped"):
            report.misfit(_NAMES[table], _words(table, row), why)
        self.db.execute(f"DELETE FROM {table} WHERE side = ? AND ({key}) IN (SELECT * FROM dropped)", (SOURCE,))
        self.db.execute("DROP TABLE dropped")

    # --- what is odd, and stays -------------------------------------------------------------------------------------

    def remark(self, report: Report) -> None:
        """Tell of rooms that come as they are, and that this imc would not have let come about."""
        owned = f"SELECT uri FROM member WHERE side = {SOURCE} AND flag = {MEMBER_OWNER}"
        for (uri,) in self.rows(f"SELECT uri FROM room WHERE side = {SOURCE} AND uri NOT IN ({owned})"):
            report.remark("rooms", uri, "nobody owns it (R-INV-1)")
        taken = f"SELECT 1 FROM account a WHERE a.side = {SOURCE} AND a.name = room.name AND a.host = room.host"
        for (uri,) in self.rows(f"SELECT uri FROM room WHERE side = {SOURCE} AND EXISTS ({taken})"):
            report.remark("rooms", uri, "an account has the same address (R-ADDR-10)")

    def note_domains(self, report: Report, domains: tuple[str, ...]) -> None:
        """Tell of rooms and accounts in domains that are not served, where any are named."""
        marks = ", ".join("?" * len(domains))
        for table in ("room", "account") if domains else ():
            for host, number in self.rows(
                f"SELECT host, COUNT(*) FROM {table} WHERE side = {SOURCE} AND host NOT IN ({marks}) GROUP BY host",
                *domains,
            ):
                report.note(f"{number} {_NAMES[table]} are in {host}, which is no served domain ([imc] domains)")

    # --- comparing --------------------------------------------------------------------------------------------------

    def compare(self) -> None:
        """Find the rooms that both have, and not alike."""
        both = "(SELECT uri FROM room GROUP BY uri HAVING COUNT(*) = 2)"
        self.db.execute(
            "INSERT INTO clash SELECT uri FROM room GROUP BY uri HAVING COUNT(*) = 2 AND MIN(flag) <> MAX(flag)"
        )
        # A member that both have alike is one group of two.
        self.db.execute(
            f"INSERT OR IGNORE INTO clash SELECT uri FROM member WHERE uri IN {both} "
            "GROUP BY uri, name, host, flag HAVING COUNT(*) <> 2"
        )

    def count(self, report: Report) -> None:
        """What is new, the same, or in conflict, of the rows of the source that are left."""
        rooms, members, messages = (report.counts[name] for name in ("rooms", "members", "messages"))
        rooms.new = self._one(f"SELECT COUNT(*) FROM room WHERE side = {SOURCE} AND uri NOT IN ({_THERE})")
        rooms.same = self._one(
            f"SELECT COUNT(*) FROM room WHERE side = {SOURCE} AND uri IN ({_THERE}) AND uri NOT IN clash"
        )
        for uri, mine, yours in self.rows(
            "SELECT uri, s.flag, t.flag FROM clash JOIN room s USING (uri) JOIN room t USING (uri) "
            f"WHERE s.side = {SOURCE} AND t.side = {TARGET}"
        ):
            report.conflict("rooms", uri, self._difference(uri, mine, yours))
        of = f"SELECT COUNT(*) FROM member s WHERE side = {SOURCE} AND uri"
        members.new = self._one(f"{of} NOT IN ({_THERE})")
        members.same = self._one(f"{of} IN ({_THERE}) AND {_EQUAL_MEMBER}")
        members.conflicting = self._one(f"{of} IN clash AND NOT {_EQUAL_MEMBER}")
        accounts = report.counts["accounts"]
        accounts.new = self._one(f"SELECT COUNT(*) {_NEW_ACCOUNTS}")
        accounts.same = self._one(f"SELECT COUNT(*) {_BOTH_ACCOUNTS} AND {_SAME_SECRET}")
        for name, host in self.rows(f"SELECT name, host {_BOTH_ACCOUNTS} AND NOT {_SAME_SECRET}"):
            report.conflict("accounts", f"sip:{name}@{host}", "it is there already, with another secret")
        messages.new = self._one(f"SELECT COUNT(*) FROM copy c WHERE {_NEW_COPY}")
        messages.same = self._one(f"SELECT COUNT(*) FROM copy WHERE side = {SOURCE}") - messages.new

    def _difference(self, uri: str, mine: int, yours: int) -> str:
        parts = []
        if mine != yours:
            parts.append(f"{'private' if mine else 'public'} in the source, {'private' if yours else 'public'} there")
        ours, theirs = (
            self._one("SELECT COUNT(*) FROM member WHERE side = ? AND uri = ?", side, uri) for side in (SOURCE, TARGET)
        )
        pairs = (
            "SELECT COUNT(*) FROM member s JOIN member t USING (uri, name, host) "
            f"WHERE s.side = {SOURCE} AND t.side = {TARGET} AND uri = ?"
        )
        both = self._one(pairs, uri)
        for number, words in (
            (ours - both, "only in the source"),
            (theirs - both, "only there"),
            (self._one(f"{pairs} AND s.flag <> t.flag", uri), "with another role"),
        ):
            if number:
                parts.append(f"{number} members {words}")
        return "it is there already: " + "; ".join(parts)

    # --- what is to be written --------------------------------------------------------------------------------------

    def rooms_to_put(self, *, is_forced: bool) -> Iterator[tuple[str, str, str, int]]:
        """(uri, name, host, flag) of rooms that are new; of those in conflict, where they are to be as the source's."""
        which = "uri IN clash" if is_forced else f"uri NOT IN ({_THERE})"
        return self.rows(f"SELECT uri, name, host, flag FROM room WHERE side = {SOURCE} AND {which} ORDER BY uri")

    def rooms_in_the_way(self) -> Iterator[tuple[str]]:
        """URIs of new rooms of which the target has rows that mean nothing."""
        return self.rows(
            f"SELECT uri FROM gone WHERE side = {TARGET} AND uri IN (SELECT uri FROM room WHERE side = {SOURCE}) "
            f"AND uri NOT IN ({_THERE})"
        )

    def members_to_put(self, *, is_forced: bool) -> Iterator[tuple[str, str, str, int]]:
        """(name, host, uri, flag), as `rooms_to_put`; of rooms in conflict those only that differ."""
        which = f"uri IN clash AND NOT {_EQUAL_MEMBER}" if is_forced else f"uri NOT IN ({_THERE})"
        return self.rows(f"SELECT name, host, uri, flag FROM member s WHERE side = {SOURCE} AND {which}")

    def members_of(self, *, is_forced: bool) -> Iterator[tuple[str, str, str, int]]:
        """Likewise, but all of each of the rooms."""
        which = "uri IN clash" if is_forced else f"uri NOT IN ({_THERE})"
        return self.rows(f"SELECT name, host, uri, flag FROM member WHERE side = {SOURCE} AND {which}")

    def members_to_delete(self) -> Iterator[tuple[str, str, str]]:
        """(name, host, uri) of those whom only the target has in a room in conflict."""
        return self.rows(
            f"SELECT name, host, uri FROM member t WHERE side = {TARGET} AND uri IN clash AND NOT EXISTS (SELECT 1 "
            f"FROM member s WHERE s.side = {SOURCE} AND s.uri = t.uri AND s.name = t.name AND s.host = t.host)"
        )

    def accounts_to_put(self, *, is_forced: bool) -> Iterator[tuple[str, ...]]:
        """(name, host, password, ha1, ha1b, ha1_sha256, ha1_sha512_256)."""
        columns = "SELECT name, host, s.password, s.ha1, s.ha1b, s.sha256, s.sha512"
        return self.rows(
            f"{columns} {_BOTH_ACCOUNTS} AND NOT {_SAME_SECRET}" if is_forced else f"{columns} {_NEW_ACCOUNTS}"
        )

    def copies_to_put(self) -> Iterator[Copy]:
        """In the order in which they came."""
        for id_, call_id, name, host, sender, sender_host, created, expires, type_, headers, body in self.rows(
            "SELECT id, call_id, name, host, sender, sender_host, created, expires, type, headers, body "
            f"FROM copy c WHERE {_NEW_COPY} ORDER BY created, rowid"
        ):
            yield Copy(
                id=id_,
                call_id=call_id,
                recipient=Aor(name, host),
                sender=Aor(sender, sender_host),
                created=created,
                expires=expires,
                content_type=type_,
                body=body,
                headers=tuple((one, value) for one, value in json.loads(headers)),
            )

    # --- asking -----------------------------------------------------------------------------------------------------

    def is_gone(self, uri: str) -> bool:
        return bool(self._one(f"SELECT COUNT(*) FROM gone WHERE side = {SOURCE} AND uri = ?", uri))

    def rows(self, query: str, *values: object) -> Iterator[Any]:
        yield from self.db.execute(query, values)

    def _one(self, query: str, *values: object) -> int:
        return int(self.db.execute(query, values).fetchone()[0])


def _words(table: str, key: tuple[str, ...]) -> str:
    """How a report names a row."""
    if table == "room":
        return key[0]
    if table == "account":
        return f"sip:{key[0]}@{key[1]}"
    return f"sip:{key[1]}@{key[2]} in {key[0]}"


_THERE = f"SELECT uri FROM room WHERE side = {TARGET}"
_EQUAL_MEMBER = (
    f"EXISTS (SELECT 1 FROM member t WHERE t.side = {TARGET} AND t.uri = s.uri AND t.name = s.name "
    "AND t.host = s.host AND t.flag = s.flag)"
)
_NEW_ACCOUNTS = (
    f"FROM account s WHERE s.side = {SOURCE} AND (s.name, s.host) NOT IN "
    f"(SELECT name, host FROM account WHERE side = {TARGET})"
)
_BOTH_ACCOUNTS = f"FROM account s JOIN account t USING (name, host) WHERE s.side = {SOURCE} AND t.side = {TARGET}"
# ha1b is compared where both have one.
_SAME_SECRET = "(s.secret = t.secret AND (s.ha1b = t.ha1b OR s.ha1b = '' OR t.ha1b = ''))"  # noqa: S105 - a condition
# A copy is known by its name, or by the Call-ID that it had when it went the other way.
_NEW_COPY = (
    f"c.side = {SOURCE} AND NOT EXISTS (SELECT 1 FROM copy o WHERE o.side = {TARGET} AND o.id = c.id) AND NOT EXISTS "
    f"(SELECT 1 FROM copy o WHERE o.side = {TARGET} AND o.call_id = c.call_id AND o.call_id <> '' "
    "AND o.name = c.name AND o.host = c.host)"
)
