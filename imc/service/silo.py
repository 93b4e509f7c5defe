"""Messages of Kamailio's module msilo, as copies of imc's that wait for their recipient, and back.

msilo keeps a message for each recipient by itself; so does a job of one dispatch, of the kind ``message``.
"""

from __future__ import annotations

from imc.aor import Aor
from imc.delivery.job import Dispatch, Job, lane_tag, restore
from imc.sip.values import render_date
from imc.store.kamailio.mapping import Copy, Misfit
from imc.store.kamailio.read import WaitingRow


class Silo:
    """See `imc.store.kamailio.read.Codec`."""

    def pack(self, copy: Copy) -> bytes:
        """The payload of its row in the outbox."""
        dispatch = Dispatch(
            kind="message",
            sender=copy.sender,
            display=None,
            recipients=(),
            content_type=copy.content_type,
            body=copy.body,
            headers=(("Date", render_date(copy.created)), *copy.headers),
        )
        return Job(copy.id, copy.created, (dispatch,)).payload()

    def unpack(self, row: WaitingRow) -> Copy:
        """The copy of one recipient. Misfit for a row that cannot be read."""
        try:
            dispatch = restore(row.id, row.created, row.payload, row.recipients).dispatches[row.part]
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise Misfit(f"it cannot be read: {error}") from error
        return Copy(
            id=row.id,
            call_id=self.call_id(row.id, row.part, row.recipient),
            recipient=row.recipient,
            sender=dispatch.sender,
            created=row.created,
            expires=row.expires,
            content_type=dispatch.content_type,
            body=dispatch.body,
            headers=tuple((name, value) for name, value in dispatch.headers if name != "Date"),
        )

    def call_id(self, job: str, part: int, recipient: Aor) -> str:
        """As a `Dispatch` makes it for its copies."""
        return f"{job}.{part}.{lane_tag(recipient).decode('ascii')}"
