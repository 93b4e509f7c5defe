"""TLS: what a certificate says, whom it is believed for, and the layer between a socket and the SIP messages.

Invariants

- Nothing older than TLS 1.2 is spoken, no cipher without forward secrecy and authenticated encryption, no compression,
  no renegotiation (RFC 9325).
- A connection that imc opens is used only after the server's certificate was verified by an authority that is trusted
  here, and names the domain that was asked for, before DNS: RFC 5922 §7.
- `TlsLayer` does no I/O: octets in, octets out. So the bounds and deadlines of `imc.transport.connection` hold for the
  handshake, and for what it makes us send, as for all else.
- Files are read by `TlsContexts.load`: all of the new ones come into force, or none does.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from imc.errors import ListenError, Unreachable
from imc.transport.addresses import canonical_ip

_READ_SIZE = 65536
# TLS 1.2: ephemeral keys and AEAD only. The ciphers of TLS 1.3 all are so.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
_OPTIONS = ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_SINGLE_ECDH_USE | ssl.OP_CIPHER_SERVER_PREFERENCE
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOptions:
    """Paths of PEM files. ``certificate`` and ``key`` are ours, None where there are none.

    ``ca`` are the authorities that are believed, for servers and clients; None: the system's, and no clients.
    """

    certificate: str | None = None
    key: str | None = None
    ca: str | None = None
    client_certificates: Literal["off", "optional"] = "off"
    min_version: Literal["1.2", "1.3"] = "1.2"


class TlsContexts:
    """The present contexts, for listeners and for connections that imc opens."""

    def __init__(self, options: TlsOptions) -> None:
        self._options = options
        self._servers: dict[str, ssl.SSLContext] = {}
        self._client: ssl.SSLContext | None = None

    # spec S-TLS-3
    def load(self, options: TlsOptions) -> None:
        """Read all files anew, for connections to come. ListenError where one cannot be used: then nothing changes."""
        servers: dict[str, ssl.SSLContext] = {}
        if options.certificate is not None:
            servers = {"tls": _server_context(options), "wss": _server_context(options, for_browsers=True)}
        client = None
        if self._client is not None or options.ca is not None:
            client = _client_context(options)
        self._options, self._servers, self._client = options, servers, client

    def server_layer(self, transport: str) -> TlsLayer:
        """For a connection that a listener of ``transport`` (tls, wss) accepted. KeyError without a certificate."""
        return TlsLayer(self._servers[transport])

    def client_layer(self, name: str) -> TlsLayer:
        """For a connection to a server that is to show that it is ``name``. Unreachable."""
        if self._client is None:
            try:
                self._client = _client_context(self._options)  # the system's authorities take 10 ms: when first needed
            except ListenError as error:
                raise Unreachable(str(error)) from None
        return TlsLayer(self._client, name)


def _context(protocol: int, options: TlsOptions) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = _VERSIONS[options.min_version]  # spec S-TLS-1
    context.options |= _OPTIONS
    context.set_ciphers(_CIPHERS)
    if options.certificate is not None:
        try:
            context.load_cert_chain(options.certificate, options.key, password=_no_password)
        except (OSError, ValueError) as error:
            raise ListenError(f"TLS certificate {options.certificate}, key {options.key}: {_why(error)}") from error
    return context


def _load_ca(context: ssl.SSLContext, options: TlsOptions) -> None:
    try:
        if options.ca is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(options.ca)
    except OSError as error:
        raise ListenError(f"TLS authorities {options.ca}: {_why(error)}") from error


def _server_context(options: TlsOptions, *, for_browsers: bool = False) -> ssl.SSLContext:
    context = _context(ssl.PROTOCOL_TLS_SERVER, options)
    # spec S-TLS-7
    # A browser that is asked for a certificate asks its user; so pages are not.
    if options.client_certificates == "optional" and not for_browsers:
        context.verify_mode = ssl.CERT_OPTIONAL
        _load_ca(context, options)
    return context


def _client_context(options: TlsOptions) -> ssl.SSLContext:
    context = _context(ssl.PROTOCOL_TLS_CLIENT, options)
    context.check_hostname = False  # `TlsLayer.check_server` does, by the rules of SIP
    context.verify_mode = ssl.CERT_REQUIRED
    _load_ca(context, options)
    return context


def _no_password() -> str:
    raise ValueError("the key is encrypted: imc has nobody to ask for the password")


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"not a PEM file of what belongs together ({error.reason})"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


class TlsLayer:
    """One connection's TLS. ``name`` is the server's that imc connects to; "" for one that it accepted.

    ssl.SSLError, from each method, where the peer does not speak TLS as it must: `output` then has the alert for it.
    """

    __slots__ = ("_in", "_name", "_object", "_out", "is_at_end", "is_ready")

    def __init__(self, context: ssl.SSLContext, name: str = "") -> None:
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._name = name
        # RFC 6066 §3: only host names are indicated
        indicated = name if name and canonical_ip(name) is None else None
        self._object = context.wrap_bio(self._in, self._out, server_side=not name, server_hostname=indicated)
        self.is_ready = False
        self.is_at_end = False

    def start(self) -> bytes:
        """What a client says first."""
        self._shake_hands()
        return self.output()

    def decrypt(self, data: bytes) -> bytes:
        """What is whole with these octets. `output` may have something afterwards."""
        self._in.write(data)
        if not self.is_ready:
            self._shake_hands()
            if not self.is_ready:
                return b""
        pieces = []
        try:
            while piece := self._object.read(_READ_SIZE):
                pieces.append(piece)
            self.is_at_end = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:  # close_notify
            self.is_at_end = True
        return b"".join(pieces)

    def _shake_hands(self) -> None:
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return
        if self._name:
            self.check_server()
        self.is_ready = True

    def encrypt(self, data: bytes) -> bytes:
        """The octets to be sent for these, with whatever TLS itself has to say."""
        self._object.write(data)
        return self._out.read()

    def output(self) -> bytes:
        """What TLS itself has to say: handshake, alerts."""
        return self._out.read()

    def close(self) -> bytes:
        """close_notify, with which our direction ends."""
        with contextlib.suppress(ssl.SSLError, OSError, ValueError):  # the peer's own is not waited for
            self._object.unwrap()
        return self._out.read()

    # spec S-TLS-5
    def check_server(self) -> None:
        """ssl.SSLCertVerificationError where the peer's certificate is not the server's that was asked for."""
        names = certificate_names(self._object.getpeercert())
        if not is_named(names, self._name):
            known = ", ".join(sorted(names)) or "nobody"
            raise ssl.SSLCertVerificationError(f"the certificate is for {known}, not for {self._name}")

    def peer_names(self) -> frozenset[str]:
        """Who the peer has shown to be, by a certificate that was verified; empty where it showed none."""
        return certificate_names(self._object.getpeercert())

    def description(self) -> str:
        """Version and cipher, for logs and tests."""
        cipher = self._object.cipher()
        return f"{self._object.version()} {cipher[0] if cipher else ''}"


def certificate_names(certificate: Mapping[str, object] | None) -> frozenset[str]:
    """Whom a certificate, as `ssl` decodes it, stands for (RFC 5922 §7.1): SIP domains, or hosts, and IP addresses.

    Where its subjectAltName has a SIP URI, host names do not count. The common name never does.
    """
    entries = cast("tuple[tuple[str, str], ...]", (certificate or {}).get("subjectAltName", ()))
    domains = {_sip_domain(value) for kind, value in entries if kind == "URI"} - {""}
    if not domains:
        domains = {_lower(value) for kind, value in entries if kind == "DNS"}
    ips = {canonical_ip(value) or "" for kind, value in entries if kind == "IP Address"} - {""}
    return frozenset(domains | ips)


def _sip_domain(uri: str) -> str:
    """The host of a SIP URI without user part; "" for all else: that is no domain's identity (RFC 5922 §7.1)."""
    scheme, colon, rest = uri.partition(":")
    if not colon or scheme.lower() not in ("sip", "sips") or "@" in rest or not rest:
        return ""
    return _lower(rest.partition(";")[0])


def is_named(names: frozenset[str], name: str) -> bool:
    """Whether ``name`` is one of these, letter by letter: RFC 5922 §7.2 knows no wildcards."""
    return (canonical_ip(name) or _lower(name)) in names


def _lower(host: str) -> str:
    return host.rstrip(".").lower()


def why_no_tls(error: ssl.SSLError) -> str:
    """In words, for whoever looks after a server that cannot be reached."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return getattr(error, "verify_message", "") or str(error.args[-1])
    return (error.reason or str(error)).lower().replace("_", " ")
