"""Recipients as they can be reached now: the lanes to their contacts, remembered while they are of use.

Bounded: beyond ``max_recipients`` those with nothing to send are forgotten; they are found again when needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from imc.aor import Aor
from imc.delivery.hops import Contact, Hops
from imc.delivery.job import Dispatch, Job
from imc.delivery.lanes import Copy, Lane


class Recipient:
    """A recipient's lanes, grouped by q, highest first. ``only``: there is one, and copies may go straight to it."""

    __slots__ = ("groups", "only")

    def __init__(self, groups: list[list[Lane]], *, is_direct: bool) -> None:
        self.groups = groups
        self.only = groups[0][0] if is_direct and len(groups) == 1 and len(groups[0]) == 1 else None

    def lanes(self) -> list[Lane]:
        return [lane for group in self.groups for lane in group]


class Recipients(dict[Aor, Recipient]):
    """``locate`` gives somebody's contacts, ``has_backlog`` whether copies wait for them (`imc.delivery.backlog`).

    ``host`` and ``longest_sent_by`` are those of `imc.delivery.engine.DeliveryOptions`.
    """

    def __init__(
        self,
        hops: Hops,
        *,
        locate: Callable[[Aor], Sequence[Contact]],
        has_backlog: Callable[[Aor], bool],
        host: str,
        longest_sent_by: int,
        bound: int,
    ) -> None:
        super().__init__()
        self._hops = hops
        self._locate = locate
        self._has_backlog = has_backlog
        self._host = host
        self._longest_sent_by = longest_sent_by
        self._bound = self._sweep_at = bound

    def find(self, aor: Aor, known: Iterable[Lane] = ()) -> Recipient:
        """The recipient's lanes as their contacts are now; lanes of contacts that are still there are kept."""
        by_name = {lane.contact.name: lane for lane in known}
        groups: list[list[Lane]] = []
        q = -1
        for contact in sorted(self._locate(aor), key=lambda c: -c.q):
            hop = self._hops.get(contact.next_hop)
            lane = by_name.pop(contact.name, None)
            if lane is None:
                lane = Lane(aor, contact, hop, self._host, self._longest_sent_by)
            else:
                lane.point_to(contact, hop)
            if contact.q != q:
                groups.append([])
                q = contact.q
            groups[-1].append(lane)
        recipient = Recipient(groups, is_direct=not self._has_backlog(aor))
        if groups:
            if len(self) >= self._sweep_at:
                self._forget_idle()
            self[aor] = recipient
        else:
            self.pop(aor, None)
        return recipient

    def lanes(self, aor: Aor) -> list[Lane]:
        """Those that are remembered."""
        recipient = self.get(aor)
        return [] if recipient is None else recipient.lanes()

    def set_direct(self, aor: Aor) -> None:
        """Whether copies may go straight to the lane has changed."""
        recipient = self.get(aor)
        if recipient is not None:
            self[aor] = Recipient(recipient.groups, is_direct=not self._has_backlog(aor))

    def _forget_idle(self) -> None:
        idle = [aor for aor, recipient in self.items() if not any(lane.is_busy for lane in recipient.lanes())]
        for aor in idle:
            del self[aor]
        self._sweep_at = max(self._bound, 2 * len(self))

    def unload(self, aor: Aor, is_promised: Callable[[Dispatch], bool]) -> tuple[list[Dispatch], int, int]:
        """Take what waits in somebody's lanes and has a row, or can have one.

        What other contacts are being asked, or have refused, stays. Returns the copies without a row in the order of
        their decisions, how many had one, and by how many copies the queues are shorter.
        """
        taken: list[Dispatch] = []
        held = count = 0
        lanes = self.lanes(aor)
        asked = {id(lane.current.fork) for lane in lanes if lane.current is not None}
        for lane in lanes:
            stay: list[Copy] = []
            for copy in lane.queue:
                dispatch, fork = copy
                is_begun = fork is not None and (id(fork) in asked or fork.kept is not None or fork.is_refused)
                if is_begun or not is_promised(dispatch):
                    stay.append(copy)
                    continue
                count += 1
                if fork is not None:
                    if fork.is_settled:
                        continue
                    fork.is_settled = True
                if dispatch.kept is not None:
                    held += 1
                else:
                    taken.append(dispatch)
            lane.queue = stay
        taken.sort(key=lambda dispatch: (dispatch.job.seq if dispatch.job is not None else 0, dispatch.part))
        return taken, held, count

    def dispatches(self) -> list[Dispatch]:
        """What is in the lanes: of copies that other contacts are asked for, those with rows as well."""
        lanes = [lane for recipient in self.values() for lane in recipient.lanes()]
        copies = [copy for lane in lanes for copy in (lane.current, *lane.queue) if copy is not None]
        kept = [copy.fork.kept for copy in copies if copy.fork is not None and copy.fork.kept is not None]
        return [copy.dispatch for copy in copies] + kept

    def left_of(self, jobs: Iterable[Job]) -> dict[str, list[list[Aor]]]:
        """Who has not been reached, by the id of the job: a list for each of its dispatches."""
        left: dict[str, list[list[Aor]]] = {job.id: [[] for _ in job.dispatches] for job in jobs}
        for recipient in self.values():
            for lane in recipient.lanes():
                copies = [lane.current, *lane.queue] if lane.current is not None else list(lane.queue)
                for copy in copies:
                    _note_left(left, copy, lane.aor)
        return left


def _note_left(left: dict[str, list[list[Aor]]], copy: Copy, aor: Aor) -> None:
    job, fork = copy.dispatch.job, copy.fork
    if (
        copy.dispatch.is_withdrawn
        or job is None
        or job.id not in left
        or (fork is not None and (fork.is_settled or fork.kept is not None))
    ):
        return
    row = left[job.id][copy.dispatch.part]
    if aor not in row:
        row.append(aor)
