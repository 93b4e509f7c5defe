"""The page of a listener: its files, and whether a WebSocket is opened by it.

Invariant: a page is this server's own where its origin is the very host and port that the request names, and that name
is one that only this server can have: an IP address, localhost, or one of ``hosts``. So a page of somebody else whose
name in the DNS was turned to our address (DNS rebinding) is a stranger's, though origin and Host agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address

from imc.page.files import File, Reply, reply


class Site:
    """``hosts`` are names of this server in small letters; ``connect`` as in `imc.page.files.security_headers`."""

    __slots__ = ("_connect", "_files", "_hosts")

    def __init__(self, files: Mapping[str, File], *, hosts: Iterable[str] = (), connect: Iterable[str] = ()) -> None:
        self._files = dict(files)
        self._hosts = frozenset(hosts)
        self._connect = tuple(connect)

    def put(self, file: File) -> None:
        """Add a file, or put it in the place of the one of its path."""
        self._files[file.path] = file

    def reply(self, method: str, target: str, headers: Mapping[str, str]) -> Reply:
        """As `imc.page.files.reply`."""
        return reply(self._files, method, target, headers, connect=self._connect)

    def is_own(self, origin: str, host: str, *, is_secure: bool) -> bool:
        """Whether a page with this Origin is the one that is served here; ``host`` is the Host of its request.

        A page of https may come by a listener without TLS: what stands before it has the TLS.
        """
        scheme, separator, place = origin.lower().partition("://")
        if not separator or scheme not in (("https",) if is_secure else ("http", "https")):
            return False
        return place == host.lower() and self._is_known(place)

    def _is_known(self, place: str) -> bool:
        name, colon, port = place.rpartition(":")
        if not colon or place.endswith("]"):
            name = place
        elif not (port.isascii() and port.isdigit()):
            return False
        if name == "localhost" or name in self._hosts:
            return True
        try:
            ip_address(name[1:-1] if name.startswith("[") and name.endswith("]") else name)
        except ValueError:
            return False
        return True
