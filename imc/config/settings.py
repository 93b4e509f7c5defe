"""All settings, with their defaults: the names are the file's tables and keys, `imc config reference` prints them.

Invariants: a setting that nothing uses does not stand here; every bound of a queue or table has one; what holds between
settings (who may speak on which address) is checked here, once.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, model_validator
from pydantic_core import PydanticCustomError

from imc.aor import Aor
from imc.config import checks
from imc.config.base import Section, Texts, setting
from imc.errors import ConfigError
from imc.store.options import StoreOptions
from imc.transport.addresses import OVER_TLS, ListenAddress, parse_listen


class Imc(Section):
    """Rooms and where they are kept: the parameters of Kamailio's imc module under their own names, and a few more."""

    db_url: Annotated[str, AfterValidator(checks.db_url)] = setting(
        "The database: sqlite:///FILE, mysql://USER:PASSWORD@HOST/DB or postgres://USER:PASSWORD@HOST/DB. A relative "
        "FILE is taken from the folder in which imc is started.",
        "sqlite:///imc.db",
        secret=True,
    )
    db_timeout: float = setting("Seconds for one statement, and for a row that is locked.", 10.0, ge=0.1, le=300)
    db_connect_timeout: float = setting("Seconds for the way to a database server.", 5.0, ge=0.1, le=300)
    db_readers: int = setting("Connections for reading; one more is for writing.", 4, ge=1, le=64)
    rooms_table: str = setting("The table of rooms.", "imc_rooms")
    members_table: str = setting("The table of members.", "imc_members")
    hash_size: int = setting(
        "Rooms are spread over 2**hash_size shards; the rooms of one shard are served one after the other.",
        4,
        ge=0,
        le=16,
    )
    max_rooms_in_memory: int = setting(
        "Rooms kept in memory; beyond that the ones unused for longest are read again when they are needed.",
        100_000,
        ge=16,
    )
    max_members_in_memory: int = setting(
        "Members of all rooms in memory, 50 to 200 bytes each; beyond that the rooms unused for longest leave it.",
        1_000_000,
        ge=1_000,
    )
    room_idle_limit: float = setting(
        "Seconds after which a room that nobody uses leaves memory, give or take a sixteenth.", 3_600.0, ge=1
    )
    imc_cmd_start_char: Annotated[str, AfterValidator(checks.start_char)] = setting(
        "The character with which a command begins.", "#", reload=True
    )
    outbound_proxy: Annotated[str | None, AfterValidator(checks.outbound_proxy)] = setting(
        "The SIP URI to which every MESSAGE is sent, whoever it is for. Without it: to the recipient's registered "
        "contact, or to where its address leads.",
        None,
    )
    extra_hdrs: Annotated[str, AfterValidator(checks.extra_hdrs)] = setting(
        r'Header lines added to every MESSAGE that imc sends, each ended by CRLF: "X-Room: yes\r\n".', "", reload=True
    )
    create_on_join: bool = setting("join of a room that does not exist creates it.", True, reload=True)
    check_on_create: bool = setting("create of a room that exists is refused; else it is as join.", False, reload=True)
    owner_leave: Literal["destroy", "refuse"] = setting(
        "What the last owner's leave does: destroy the room, or be refused.", "destroy", reload=True
    )
    add_requires_consent: bool = setting("add makes an invitation; else a membership at once.", True, reload=True)
    domains: Annotated[Texts, AfterValidator(checks.domains)] = setting(
        "The domains whose users and rooms are served here: the part after @ in their addresses.",
        ("127.0.0.1", "localhost"),
    )
    manager_uri: Annotated[str, AfterValidator(checks.address)] = setting(
        "The conference manager: whoever does not know a room yet sends commands here. Without it, chat-manager in the "
        "first of domains.",
        default_factory=lambda data: f"sip:chat-manager@{data['domains'][0]}" if "domains" in data else "",
        reload=True,
    )
    room_pattern: str = setting(
        "User parts that may be rooms, as a pattern with * and ?; all other addresses are users'.",
        "chat-*",
        min_length=1,
        reload=True,
    )

    @property
    def manager(self) -> Aor:
        return Aor.parse(self.manager_uri)

    @property
    def extra_headers(self) -> tuple[tuple[str, str], ...]:
        """``extra_hdrs`` as (name, value) pairs."""
        return checks.extra_headers(self.extra_hdrs)


class Sip(Section):
    """Where imc listens, and the bounds of what it takes. Times are in seconds, sizes in bytes."""

    listen: Annotated[Texts, AfterValidator(checks.listen_addresses)] = setting(
        "Where to listen, as TRANSPORT:IP:PORT; udp, tcp, tls, ws (WebSocket) or wss; an IPv6 address in []; 0.0.0.0 "
        "and [::] for all addresses. tls and wss need a certificate.",
        ("udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"),
    )
    advertise: Annotated[str | None, AfterValidator(checks.advertise)] = setting(
        "HOST or HOST:PORT that others reach this daemon by, where it is not the address it listens on: before a NAT, "
        "or a name. The port is that of udp and tcp; the other transports keep that on which they listen.",
        None,
    )
    max_head: int = setting(
        "Start line and headers of a request; a larger one gets 513.", 32_768, ge=2_048, le=1_048_576
    )
    max_body: int = setting("Body of a request; a larger one gets 413.", 65_536, ge=600, le=16_777_216)
    max_server_transactions: int = setting(
        "Requests remembered, 32 s each, so that a repeated one is answered alike; beyond that many, 503.",
        200_000,
        ge=100,
    )
    max_client_transactions: int = setting("Requests of imc itself that wait for an answer.", 65_536, ge=100)
    force_rport: bool = setting("Answer over UDP to where a request came from, also without rport (RFC 3581).", False)
    udp_buffer: int = setting(
        "Of each UDP socket, for receiving and for sending; the kernel may give less.", 4_194_304, ge=65_536
    )
    udp_queue: int = setting("What waits for a UDP socket that takes no more for now.", 4_194_304, ge=65_536)
    max_connections: int = setting("Connections in all.", 4_096, ge=1)
    max_connections_per_address: int = setting("Connections from one address.", 1_024, ge=1)
    max_connecting: int = setting("Connections being made at a time.", 256, ge=1)
    message_deadline: float = setting(
        "From the first byte of a message on a connection to its last.", 30.0, ge=1, le=60
    )
    handshake_deadline: float = setting("For the handshakes of TLS and WebSocket.", 10.0, ge=0.5, le=60)
    idle_limit: float = setting("A connection on which nothing was heard for so long is closed.", 3_900.0, ge=1)
    connect_timeout: float = setting("For making a connection.", 5.0, ge=0.1, le=60)
    write_buffer: int = setting(
        "What waits for a slow reader; a connection that needs more is closed.", 262_144, ge=65_536
    )
    write_deadline: float = setting("For a slow reader to take anything; then the connection is closed.", 30.0, ge=1)
    nameservers: Annotated[Texts, AfterValidator(checks.nameservers)] = setting(
        "DNS servers, as IP or IP:PORT. Without: those of /etc/resolv.conf.", ()
    )
    dns_deadline: float = setting("For finding where an address leads (RFC 3263).", 8.0, ge=0.1, le=32)

    @property
    def listen_addresses(self) -> tuple[ListenAddress, ...]:
        return tuple(parse_listen(text) for text in self.listen)


class Tls(Section):
    """TLS: of listeners tls and wss, and of connections that imc opens for sips: and transport=tls.

    The files are read again at each reload; what is connected stays.
    """

    certificate: Annotated[str | None, AfterValidator(checks.file)] = setting(
        "PEM file of the certificate, those of the authorities between it and the root behind it.", None, reload=True
    )
    key: Annotated[str | None, AfterValidator(checks.file)] = setting(
        "PEM file of its key, not encrypted. Without: in the same file as the certificate.", None, reload=True
    )
    ca: Annotated[str | None, AfterValidator(checks.file)] = setting(
        "PEM file of the authorities that are believed, for servers and for clients. Without: the system's, for "
        "servers.",
        None,
        reload=True,
    )
    client_certificates: Literal["off", "optional"] = setting(
        "optional: clients of tls may show a certificate, of one of ca; see [auth] trusted_certificates.",
        "off",
        reload=True,
    )
    min_version: Literal["1.2", "1.3"] = setting("No older version of TLS is spoken.", "1.2", reload=True)


class Websocket(Section):
    """WebSocket (RFC 7118), for listeners ws and wss. Times are in seconds."""

    allowed_origins: Annotated[Texts, AfterValidator(checks.origins)] = setting(
        'Web origins (https://chat.example.com) whose pages may connect; ["*"] for all. A client that is no browser '
        "sends no Origin, and may connect in any case.",
        (),
    )
    ping_interval: float = setting("After so long a silence a client is pinged.", 30.0, ge=1, le=3_600)
    ping_deadline: float = setting("For the answer to a ping; then the connection is closed.", 20.0, ge=1, le=600)


class Page(Section):
    """The chat page, which listeners ws and wss serve to browsers: docs/how-to/chat-page.md."""

    chat: bool = setting(
        "Whether there is one. There is none in any case where nobody could log in by it: [auth] mode trusted, or "
        "[registrar] enabled false, and no server.",
        True,
    )
    server: Annotated[str | None, AfterValidator(checks.page_server)] = setting(
        "ws: or wss: URL of another SIP server (a Kamailio) that the page talks to, with the users and rooms of "
        "domains; [imc] manager_uri and room_pattern are told to the page too. Without it: this daemon.",
        None,
    )


class Auth(Section):
    """Who may speak as whom."""

    mode: Literal["digest", "trusted", "none"] = setting(
        "digest: users show that they know their password; trusted: only trusted_peers are heard, and vouch for users; "
        "none: whoever sends is taken at their word, which is allowed on loopback only.",
        "digest",
    )
    algorithms: Annotated[Texts, AfterValidator(checks.algorithms)] = setting(
        "Digest algorithms that are offered, each in a challenge of its own, in this order. MD5 stands first because "
        "many clients look at the first challenge only, and know MD5 only; where all know SHA-256, leave MD5 out.",
        ("MD5", "SHA-256", "SHA-512-256"),
    )
    qop: Annotated[Texts, AfterValidator(checks.qop)] = setting("Qualities of protection.", ("auth", "auth-int"))
    nonce_lifetime: int = setting("Seconds for which a digest nonce may be used.", 300, ge=1, le=86_400)
    max_nonces: int = setting("Nonces in use at a time; the oldest give way.", 65_536, ge=1)
    trusted_peers: Annotated[Texts, AfterValidator(checks.networks)] = setting(
        "Addresses and networks whose word for who sends is taken: P-Asserted-Identity, else From. In mode digest they "
        "are believed where they send P-Asserted-Identity, and challenged like everyone else where they do not.",
        (),
        reload=True,
    )
    trusted_certificates: Annotated[Texts, AfterValidator(checks.certificate_names)] = setting(
        "Names (SIP domains, hosts, IP addresses) of peers that are trusted as trusted_peers are, wherever they come "
        "from: those in the subjectAltName of the certificate that they show. Needs [tls] client_certificates.",
        (),
        reload=True,
    )
    i_know_anyone_can_speak_as_anyone: bool = setting(
        "Allows mode none, and a daemon without accounts, on other addresses than loopback.", False
    )

    @property
    def has_peers(self) -> bool:
        """Whether anyone is trusted to vouch for users."""
        return bool(self.trusted_peers or self.trusted_certificates)


class Registrar(Section):
    """REGISTER: where users can be reached. Times are in seconds."""

    enabled: bool = setting("Whether REGISTER is answered here; else 405.", True)
    min_expires: int = setting("A shorter registration is refused with 423.", 60, ge=0, le=3_600)
    max_expires: int = setting("A longer registration is shortened to it.", 7_200, ge=1)
    default_expires: int = setting(
        "Of a registration that does not say how long. Without it 3600, as far as the other two allow.",
        default_factory=lambda data: max(data.get("min_expires", 0), min(3_600, data.get("max_expires", 3_600))),
        ge=1,
    )
    max_contacts: int = setting("Contacts of one user; more are refused with 403.", 10, ge=1, le=1_000)
    max_bindings: int = setting("Contacts of all users; more are refused with 503.", 100_000, ge=1)
    flow_timer: int = setting(
        "Within what time clients with RFC 5626 are asked (Flow-Timer) to be heard of on their connections; 0: they "
        "are not asked.",
        120,
        ge=0,
        le=3_600,
    )


class Log(Section):
    """What is logged, to stderr: for people on a terminal, as JSON elsewhere."""

    level: Literal["debug", "info", "warning", "error"] = setting("From which level up is logged.", "info", reload=True)


class Limits(Section):
    """Rate limits and quotas. What they refuse is answered with 403, 413 or 503, as spec/room.md says."""

    enabled: bool = setting("False: no rate limit and no quota at all.", True, reload=True)
    max_members: int = setting("People in one room, the invited counted.", 10_000, ge=1, reload=True)
    max_rooms_per_owner: int = setting("Rooms that one user owns.", 1_000, ge=1, reload=True)
    max_rooms: int = setting("Rooms in all.", 1_000_000, ge=1, reload=True)
    max_command_line: int = setting("Characters of a command.", 1_024, ge=64, reload=True)
    max_text: int = setting("Bytes of a message to a room.", 65_536, ge=600, reload=True)
    max_list_entries: int = setting(
        "Entries that a list names; how many more there are is said.", 1_000, ge=1, reload=True
    )
    max_history: int = setting(
        "Messages that one history repeats, or that are repeated to whoever joins.", 100, ge=1, le=1_000, reload=True
    )
    max_keep_messages: int = setting("Messages that the owners of a room may have kept.", 10_000, ge=0, reload=True)
    max_keep_days: int = setting(
        "Days for which the owners of a room may have messages kept.", 365, ge=1, le=36_500, reload=True
    )
    max_list_recipients: int = setting(
        "Recipients of one message to a list (RFC 5365); 0: there are no such messages.", 20, ge=0
    )
    sender_burst: int = setting("Requests that one user may make at once.", 10_000, ge=1, reload=True)
    sender_rate: float = setting("Requests of one user a second, in the long run.", 500.0, gt=0, reload=True)
    room_burst: int = setting("Messages that one room takes at once.", 3_000, ge=1, reload=True)
    room_rate: float = setting("Messages of one room a second, in the long run.", 200.0, gt=0, reload=True)
    inviter_burst: int = setting("People whom one user may invite for the first time at once.", 200, ge=1, reload=True)
    inviter_rate: float = setting(
        "People whom one user may invite for the first time a second, in the long run.", 0.05, gt=0, reload=True
    )
    invitee_burst: int = setting("Invitations that one user may get at once.", 2_000, ge=1, reload=True)
    invitee_rate: float = setting("Invitations to one user a second, in the long run.", 1.0, gt=0, reload=True)
    invitation_burst: int = setting("Invitations of one user to one room at once.", 20, ge=1, reload=True)
    invitation_rate: float = setting(
        "Invitations of one user to one room a second, in the long run.", 0.01, gt=0, reload=True
    )
    max_rejections: int = setting(
        "How often one user may decline to come to one room before there are no more invitations.", 3, ge=1, reload=True
    )
    rejections_last: float = setting(
        "Seconds for which a declined invitation is remembered.", 86_400.0, ge=1, reload=True
    )
    founding_burst: int = setting(
        "How often one user may create, join, set and modify at once.", 2_000, ge=1, reload=True
    )
    founding_rate: float = setting(
        "How often one user may create, join, set and modify a second, in the long run.", 10.0, gt=0, reload=True
    )
    unproven_burst: int = setting(
        "Requests from one address that come to nothing (no password, malformed, refused) that are looked at at once; "
        "what comes beyond is dropped unread. An IPv6 /64 counts as one address; trusted_peers are not counted.",
        2_000,
        ge=1,
        reload=True,
    )
    unproven_rate: float = setting("Such requests a second, in the long run.", 200.0, gt=0, reload=True)
    strangers_burst: int = setting(
        "The same for all addresses together that have shown no password, over UDP, where they can be forged: what "
        "comes beyond from such is dropped unread; users who have shown theirs go on.",
        5_000, ge=1, reload=True,
    )  # fmt: skip
    strangers_rate: float = setting("Such requests a second, in the long run.", 1_000.0, gt=0, reload=True)
    guess_burst: int = setting(
        "Wrong passwords for one account, from whatever addresses, that are looked at at once; beyond that, no "
        "password for it is looked at but from where it was logged in within the last week, or is registered.",
        30, ge=1, reload=True,
    )  # fmt: skip
    guess_rate: float = setting(
        "Such passwords a second, in the long run: 0.0167 is one a minute.", 0.0167, gt=0, reload=True
    )
    unproven_byte_burst: int = setting(
        "Bytes of answers over UDP that one address gets at once, beyond the bytes that came from it, for requests "
        "without a password.",
        65_536,
        ge=2_048,
        reload=True,
    )
    unproven_byte_rate: float = setting("Such bytes a second, in the long run.", 8_192.0, gt=0, reload=True)


class History(Section):
    """The log of what is said in rooms. Owners of a room may set it otherwise (`#set`), within `[limits]`."""

    enabled: bool = setting("False: nothing that is said is kept, in no room.", True, reload=True)
    keep_messages: int = setting(
        "Messages of a room that are kept, the newest; 0: none, where the room has not set it.",
        1_000,
        ge=0,
        reload=True,
    )
    keep_days: int = setting("Days for which they are kept.", 30, ge=1, le=36_500, reload=True)


class Audit(Section):
    """The audit: who did what to which room, and what operators did (spec/room.md §22)."""

    enabled: bool = setting(
        "False: nothing is written down; what is there stays until it is too old.", True, reload=True
    )
    keep_days: int = setting("Days after which a row is deleted.", 365, ge=1, le=36_500, reload=True)
    max_rows: int = setting("Rows; of more the oldest are deleted.", 1_000_000, ge=1_000, reload=True)


class Manage(Section):
    """Interfaces for programs and operators: JSON-RPC, BINRPC and the MI FIFO. Times are in seconds, sizes in bytes."""

    listen: Annotated[str, AfterValidator(checks.manage_listen)] = setting(
        'HOST:PORT of the HTTP server (POST /RPC); "" for none.', "127.0.0.1:8060"
    )
    token: str | None = setting(
        "Bearer token that HTTP callers must show. Without it HTTP is served on loopback only.", None, secret=True
    )
    metrics_token: str | None = setting(
        "Bearer token that is good for GET /metrics alone, where `token` is set as well.", None, secret=True
    )
    allowed_origins: Texts = setting(
        "Web origins (https://chat.example.com) whose pages may call; a request with another Origin is refused.", ()
    )
    socket: str | None = setting("Path of the Unix socket.", None)
    ctl: str | None = setting("Path of the Unix socket for Kamailio's `kamcmd` (`-s unix:PATH`): BINRPC.", None)
    fifos: Texts = setting(
        "Paths of FIFOs. Each takes JSON-RPC and the line format of 2008, told apart by a call's first character.", ()
    )
    fifo_reply_dir: str = setting("Folder of the reply FIFOs, which callers make and name.", "/tmp")  # noqa: S108
    file_mode: Annotated[str, AfterValidator(checks.file_mode)] = setting(
        "Permissions of the sockets and the FIFOs, in octal.", "0600"
    )
    max_request: int = setting("The largest call.", 65_536, ge=1_024)
    max_batch: int = setting("Calls in one batch.", 50, ge=1)
    max_connections: int = setting("Connections of HTTP and of each Unix socket.", 32, ge=1)
    call_timeout: float = setting("For a call that only reads.", 10.0, ge=0.1)

    session_idle: float = setting(
        "Of the operators' page: after so long without anything done the operator is logged out.", 1_800.0, ge=10
    )
    session_lasts: float = setting("Likewise, however much was done.", 43_200.0, ge=10)

    @property
    def file_mode_bits(self) -> int:
        return int(self.file_mode, 8)


class Delivery(Section):
    """Sending copies to members: bounds, and what is kept for those who cannot be reached. Times are in seconds."""

    lane_queue: int = setting(
        "Copies that wait in memory for one contact of a recipient; what is beyond waits in the database.", 1_000, ge=1
    )
    total_queue: int = setting("Copies that wait in memory in all; beyond that, 503.", 1_000_000, ge=1)
    max_hops: int = setting("Next hops remembered.", 50_000, ge=1)
    max_recipients: int = setting("Recipients remembered that nothing waits for.", 200_000, ge=1)
    keep_for: float = setting(
        "How long a copy waits for a recipient who cannot be reached; then it is a dead letter. 0: nothing is kept, "
        "and a copy that cannot be delivered at once is lost.",
        604_800.0,
        ge=0,
    )
    retry_first: float = setting(
        "From a try in vain to the next one; doubled each time. Who registers gets everything at once.", 30.0, ge=1
    )
    retry_longest: float = setting("The longest time from try to try, and of a Retry-After.", 3_600.0, ge=1)
    max_waiting: int = setting(
        "Copies that wait for one recipient; more are dead letters at once. Where more than half of max_waiting_total "
        "is used, it shrinks with what is left.",
        1_000,
        ge=1,
    )
    max_waiting_total: int = setting("Copies that wait in all; more are dead letters at once.", 1_000_000, ge=1)
    max_dead_letters: int = setting("Dead letters; of more the oldest are deleted.", 100_000, ge=0)
    dead_letters_for: float = setting("How long a dead letter stays.", 2_592_000.0, ge=0)


class Roster(Section):
    """SUBSCRIBE to a room (Event: conference, RFC 4575): who is in it, told as it changes. Times are in seconds."""

    max_subscriptions: int = setting(
        "Subscriptions in all; more are refused with 503. 0: SUBSCRIBE is not answered here (405).", 10_000, ge=0
    )
    max_subscriptions_per_user: int = setting("Subscriptions of one user; more are refused with 403.", 20, ge=1)
    max_entries: int = setting("People whom a document names; how many there are is said.", 500, ge=1)
    interval: float = setting("The changes of one room are told at most once in so long.", 5.0, ge=0.1)
    min_expires: int = setting("A shorter subscription is refused with 423.", 60, ge=1, le=3_600)
    max_expires: int = setting("A longer subscription is shortened to it.", 3_600, ge=1)


class Settings(Section):
    """Every setting. Build it with `imc.config.load`, which knows where each value came from."""

    imc: Imc = Imc()
    sip: Sip = Sip()
    tls: Tls = Tls()
    websocket: Websocket = Websocket()
    page: Page = Page()
    auth: Auth = Auth()
    registrar: Registrar = Registrar()
    log: Log = Log()
    limits: Limits = Limits()
    history: History = History()
    audit: Audit = Audit()
    manage: Manage = Manage()
    delivery: Delivery = Delivery()
    roster: Roster = Roster()

    @property
    def is_loopback_only(self) -> bool:
        return all(address.is_loopback for address in self.sip.listen_addresses)

    @model_validator(mode="after")
    def _check_together(self) -> Settings:
        imc, auth = self.imc, self.auth
        try:
            StoreOptions(url=imc.db_url, rooms_table=imc.rooms_table, members_table=imc.members_table)
        except ConfigError as error:
            key, _, message = str(error).partition(": ")
            raise _wrong(f"imc.{key}" if message else "imc.members_table", message or str(error)) from None
        if imc.manager.host not in imc.domains:
            raise _wrong("imc.manager_uri", f"{imc.manager.host} is none of domains: {', '.join(imc.domains)}")
        registrar = self.registrar
        if not registrar.min_expires <= registrar.default_expires <= registrar.max_expires:
            raise _wrong("registrar.default_expires", "must be between min_expires and max_expires")
        if self.delivery.retry_first > self.delivery.retry_longest:
            raise _wrong("delivery.retry_first", "must not be longer than retry_longest")
        if self.roster.min_expires > self.roster.max_expires:
            raise _wrong("roster.min_expires", "must be at most max_expires")
        if not (self.manage.token or checks.is_loopback_listen(self.manage.listen)):
            raise _wrong("manage.listen", f"{self.manage.listen} is not loopback: that needs token")
        if auth.mode == "trusted" and not auth.has_peers:
            raise _wrong("auth.mode", "trusted needs at least one of trusted_peers or trusted_certificates")
        self._check_tls()
        if auth.mode == "none" and not (self.is_loopback_only or auth.i_know_anyone_can_speak_as_anyone):
            raise _wrong(
                "auth.mode",
                f"none lets anyone who can reach {self._open_to()} speak as anyone; listen on "
                "loopback only, or set i_know_anyone_can_speak_as_anyone = true",
            )
        return self

    def _check_tls(self) -> None:
        tls = self.tls
        over_tls = [str(address) for address in self.sip.listen_addresses if address.transport in OVER_TLS]
        if over_tls and not tls.certificate:
            raise _wrong("tls.certificate", f"{', '.join(over_tls)} needs one")
        if tls.key and not tls.certificate:
            raise _wrong("tls.key", "is of no use without certificate")
        if tls.client_certificates != "off" and not tls.ca:
            raise _wrong("tls.client_certificates", "needs ca: the authorities that vouch for clients")
        if self.auth.trusted_certificates and tls.client_certificates == "off":
            raise _wrong("auth.trusted_certificates", 'needs [tls] client_certificates = "optional"')

    def check_exposure(self, *, has_accounts: bool) -> None:
        """ConfigError where others than this machine could reach a daemon that knows nobody yet."""
        auth = self.auth
        if auth.mode == "digest" and not (
            has_accounts or auth.has_peers or self.is_loopback_only or auth.i_know_anyone_can_speak_as_anyone
        ):
            raise ConfigError(
                f"no accounts and no trusted peers, but {self._open_to()} can be reached from elsewhere: add an "
                "account (imc user add ADDRESS), or set [auth] trusted_peers, or listen on loopback only"
            )

    def _open_to(self) -> str:
        return ", ".join(str(address) for address in self.sip.listen_addresses if not address.is_loopback)


def _wrong(name: str, message: str) -> PydanticCustomError:
    """An error of several settings, reported at the one of them that ``name`` (section.key) tells."""
    return PydanticCustomError("settings", "{message}", {"name": name, "message": message})
