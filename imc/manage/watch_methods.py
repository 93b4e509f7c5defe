"""Methods for looking on: figures of the last hour, who sends how much, which limits were hit."""

from __future__ import annotations

import math

from imc.manage.paging import limit_of
from imc.manage.ports import Manager
from imc.manage.registry import Kind, Param, invalid, method
from imc.manage.samples import COUNTERS, GAUGES, INTERVAL, NAMES, Samples

_MOST_MINUTES = 60


class WatchMethods:
    """What `imc.manage.methods.Methods` takes over from here."""

    _manager: Manager
    samples: Samples

    @method(
        "imc.find_rooms",
        Param("text", Kind.TEXT, "What the address has; `` for all.", default=""),
        Param("after", Kind.TEXT, "The next page: `next` of the page before.", default=""),
        Param("limit", Kind.TEXT, "Rooms in a page, 1000 at most.", default="100"),
        returns=(
            '`{"rooms": [{"room": uri, "members": number, "owner": uri, "private": boolean}, …], "next": text}`, '
            "sorted; `next` is empty on the last page; a page may have less than `limit` rooms, or none, and a next one"
        ),
        errors=((500, "`after` is no page's `next`"),),
        role="viewer",
    )
    async def _find_rooms(self, text: str, after: str, limit: str) -> object:
        """List the live rooms, private ones too, whose address has a text. Capital letters do not matter."""
        rooms, more = await self._manager.find_rooms(text, after, limit_of(limit))
        rows = [
            {
                "room": str(one.room),
                "members": one.members,
                "owner": "" if one.owner is None else str(one.owner),
                "private": one.is_private,
            }
            for one in rooms
        ]
        return {"rooms": rows, "next": more}

    @method(
        "imc.samples",
        Param("since", Kind.TEXT, "Only samples after this time, in unix seconds.", default="0"),
        returns=(
            '`{"interval": seconds, "counters": [name, …], "gauges": [name, …], "names": [name, …], "rows": [[unix '
            "seconds, number, …], …]}`: a row has a value for each of `names`, the oldest is first, and the last one "
            "is of now and not kept; counters only grow, but for a restart; `latency_*` are milliseconds, or null"
        ),
        role="viewer",
    )
    async def _samples(self, since: str) -> object:
        """Give the statistics of the last hour that are worth a plot, one sample each five seconds."""
        try:
            when = float(since)
        except ValueError:
            when = math.nan
        if not math.isfinite(when):
            raise invalid("since: unix seconds")
        return {
            "interval": INTERVAL,
            "counters": COUNTERS,
            "gauges": GAUGES,
            "names": NAMES,
            "rows": self.samples.since(when),
        }

    @method(
        "imc.traffic",
        Param("minutes", Kind.TEXT, f"Of the last so many, {_MOST_MINUTES} at most.", default="10"),
        Param("limit", Kind.TEXT, "So many senders and rooms.", default="20"),
        returns=(
            '`{"senders": [{"name": uri, "messages": number, "copies": number, "bytes": number, "refused": number}, '
            '…], "rooms": […]}`, the busiest first; a name is empty for those that came when the tables were full'
        ),
        role="viewer",
    )
    async def _traffic(self, minutes: str, limit: str) -> object:
        """List the busiest senders and rooms of late: counts, never what was said."""
        if not (minutes.isascii() and minutes.isdigit()):
            raise invalid("minutes: a number")
        found = self._manager.traffic.talkers(min(max(1, int(minutes[:9])), _MOST_MINUTES), limit_of(limit))
        senders, rooms = (
            [
                {
                    "name": one.name,
                    "messages": one.messages,
                    "copies": one.copies,
                    "bytes": one.octets,
                    "refused": one.refused,
                }
                for one in talkers
            ]
            for talkers in found
        )
        return {"senders": senders, "rooms": rooms}

    @method(
        "imc.hits",
        Param("limit", Kind.TEXT, "So many, 1000 at most.", default="100"),
        returns=(
            '`{"hits": [{"limit": name, "who": text, "count": number, "first": unix seconds, "last": unix seconds}, '
            '…], "totals": {name: number, …}}`, the latest first; `who` is a user, a room, or an IP address'
        ),
        role="viewer",
    )
    async def _hits(self, limit: str) -> object:
        """List which limits of `[limits]` were hit, by whom, how often, and when last."""
        traffic = self._manager.traffic
        hits = [
            {"limit": hit.limit, "who": hit.who, "count": hit.times, "first": hit.first, "last": hit.last}
            for hit in traffic.hits(limit_of(limit))
        ]
        return {"hits": hits, "totals": dict(traffic.totals())}
