"""Where a recipient is reached: the outbound proxy, else their registered contacts, else where their address leads.

*Source* §1.3.6: the outbound proxy is the "next hop when sending the message. If not set, the message will be sent to
the address in destination URI". A user of a served domain who is not registered cannot be reached: their address leads
here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from imc.aor import Aor
from imc.delivery.hops import Contact
from imc.registrar.bindings import Binding, Bindings, next_hop
from imc.sip.flow import Flow
from imc.sip.headers import NameAddr
from imc.sip.uri import SipUri, parse_uri


class Location:
    """``domains`` are the served ones; ``outbound_proxy`` is a SIP URI or None; ``wall`` gives unix seconds.

    ``is_open`` says whether a flow still is.
    """

    def __init__(
        self,
        bindings: Bindings,
        *,
        domains: Callable[[], tuple[str, ...]],
        outbound_proxy: str | None,
        wall: Callable[[], float],
        is_open: Callable[[Flow], bool],
    ) -> None:
        self._bindings = bindings
        self._domains = domains
        self._proxy = outbound_proxy
        self._proxy_route: tuple[str, ...] = ()
        self._wall = wall
        self._is_open = is_open
        if outbound_proxy is not None:
            uri = parse_uri(outbound_proxy)
            if isinstance(uri, SipUri) and uri.is_lr:  # RFC 3261 §8.1.2: a loose router stands in a Route header
                self._proxy_route = (str(NameAddr(None, uri, ())),)

    def contacts(self, recipient: Aor) -> list[Contact]:
        """Best first; none where there is no way now."""
        # spec S-HOP-1
        if self._proxy is not None:
            return [Contact(str(recipient), next_hop=self._proxy, routes=self._proxy_route)]
        found = self._registered(recipient)
        # spec S-HOP-2
        if not found and recipient.host not in self._domains():
            found.append(Contact(str(recipient), next_hop=str(recipient)))
        return found

    # spec S-OUT-4
    def _registered(self, recipient: Aor) -> list[Contact]:
        """One contact for each instance of RFC 5626, its other flows behind the newest; those without a way not."""
        found: list[Contact] = []
        instances: dict[str, int] = {}  # to their place
        for binding in self._with_way(recipient):
            hop = next_hop(binding)
            key = binding.instance if binding.reg_id else ""
            contact = Contact(hop.uri, next_hop=hop.next_hop, q=hop.q, routes=hop.routes, flow=hop.flow, key=key)
            place = instances.setdefault(key, len(found)) if key else len(found)
            if place < len(found):
                first = found[place]
                found[place] = replace(first, others=(*first.others, contact))
            else:
                found.append(contact)
        return found

    def _with_way(self, user: Aor) -> Sequence[Binding]:
        """The bindings of a user, without those whose only way is a connection that has ended."""
        bindings = self._bindings.lookup(user, self._wall())
        for binding in bindings:
            if binding.needs_flow:
                return [each for each in bindings if not each.needs_flow or self._has_flow(each)]
        return bindings

    def _has_flow(self, binding: Binding) -> bool:
        return binding.flow is not None and self._is_open(binding.flow)

    def is_ours(self, recipient: Aor) -> bool:
        """Whether it is heard of here when somebody registers."""
        return self._proxy is None and recipient.host in self._domains()

    def is_registered(self, user: Aor) -> bool:
        return bool(self._with_way(user))
