"""Where a recipient is reached: the outbound proxy, else their registered contacts, else where their address leads.

*Source* §1.3.6: the outbound proxy is the "next hop when sending the message. If not set, the message will be sent to
the address in destination URI". A user of a served domain who is not registered cannot be reached: their address leads
here.
"""

from __future__ import annotations

from collections.abc import Callable

from imc.aor import Aor
from imc.delivery.hops import Contact
from imc.registrar.bindings import Bindings, next_hop
from imc.sip.headers import NameAddr
from imc.sip.uri import SipUri, parse_uri


class Location:
    """``domains`` are the served ones; ``outbound_proxy`` is a SIP URI or None; ``wall`` gives unix seconds."""

    def __init__(
        self,
        bindings: Bindings,
        *,
        domains: Callable[[], tuple[str, ...]],
        outbound_proxy: str | None,
        wall: Callable[[], float],
    ) -> None:
        self._bindings = bindings
        self._domains = domains
        self._proxy = outbound_proxy
        self._proxy_route: tuple[str, ...] = ()
        self._wall = wall
        if outbound_proxy is not None:
            uri = parse_uri(outbound_proxy)
            if isinstance(uri, SipUri) and uri.is_lr:  # RFC 3261 §8.1.2: a loose router stands in a Route header
                self._proxy_route = (str(NameAddr(None, uri, ())),)

    def contacts(self, recipient: Aor) -> list[Contact]:
        """Best first; none where there is no way now."""
        # spec S-HOP-1
        if self._proxy is not None:
            return [Contact(str(recipient), next_hop=self._proxy, routes=self._proxy_route)]
        found = []
        for binding in self._bindings.lookup(recipient, self._wall()):
            hop = next_hop(binding)
            found.append(Contact(hop.uri, next_hop=hop.next_hop, q=hop.q, routes=hop.routes, flow=hop.flow))
        # spec S-HOP-2
        if not found and recipient.host not in self._domains():
            found.append(Contact(str(recipient), next_hop=str(recipient)))
        return found

    def is_registered(self, user: Aor) -> bool:
        return bool(self._bindings.lookup(user, self._wall()))
