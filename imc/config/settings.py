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
from imc.transport.addresses import ListenAddress, parse_listen

TableName = Annotated[str, AfterValidator(checks.table_name)]


class Imc(Section):
    """Rooms and where they are kept: the parameters of Kamailio's imc module under their own names, and a few more."""

    db_url: Annotated[str, AfterValidator(checks.db_url)] = setting(
        "The database: sqlite:///FILE, mysql://USER:PASSWORD@HOST/DB or postgres://USER:PASSWORD@HOST/DB. A relative "
        "FILE is taken from the folder in which imc is started.",
        "sqlite:///imc.db",
        secret=True,
    )
    rooms_table: TableName = setting("The table of rooms.", "imc_rooms")
    members_table: TableName = setting("The table of members.", "imc_members")
    hash_size: int = setting(
        "Rooms are spread over 2**hash_size shards; the rooms of one shard are served one after the other.",
        4,
        ge=0,
        le=16,
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
        reload=True,
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
    """Where imc listens, and the bounds of what it takes."""

    listen: Annotated[Texts, AfterValidator(checks.listen_addresses)] = setting(
        "Where to listen, as TRANSPORT:IP:PORT; udp or tcp; an IPv6 address in []; 0.0.0.0 and [::] for all addresses.",
        ("udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"),
    )

    @property
    def listen_addresses(self) -> tuple[ListenAddress, ...]:
        return tuple(parse_listen(text) for text in self.listen)


class Auth(Section):
    """Who may speak as whom."""

    mode: Literal["digest", "trusted", "none"] = setting(
        "digest: users show that they know their password; trusted: only trusted_peers are heard, and vouch for users; "
        "none: whoever sends is taken at their word, which is allowed on loopback only.",
        "digest",
    )
    nonce_lifetime: int = setting("Seconds for which a digest nonce may be used.", 300, ge=1, le=86_400)
    trusted_peers: Annotated[Texts, AfterValidator(checks.networks)] = setting(
        "Addresses and networks whose word for who sends is taken: P-Asserted-Identity, else From. In mode digest they "
        "are not challenged.",
        (),
        reload=True,
    )
    i_know_anyone_can_speak_as_anyone: bool = setting(
        "Allows mode none, and a daemon without accounts, on other addresses than loopback.", False
    )


class Registrar(Section):
    """REGISTER: where users can be reached."""

    enabled: bool = setting("Whether REGISTER is answered here; else 405.", True)


class Log(Section):
    """What is logged, to stderr: for people on a terminal, as JSON elsewhere."""

    level: Literal["debug", "info", "warning", "error"] = setting("From which level up is logged.", "info", reload=True)


class Limits(Section):
    """Rate limits and quotas."""

    enabled: bool = setting("False: no rate limit and no quota at all.", True, reload=True)


class Manage(Section):
    """Interfaces for programs and operators."""


class Delivery(Section):
    """Sending copies to members."""


class Settings(Section):
    """Every setting. Build it with `imc.config.load`, which knows where each value came from."""

    imc: Imc = Imc()
    sip: Sip = Sip()
    auth: Auth = Auth()
    registrar: Registrar = Registrar()
    log: Log = Log()
    limits: Limits = Limits()
    manage: Manage = Manage()
    delivery: Delivery = Delivery()

    @property
    def is_loopback_only(self) -> bool:
        return all(address.is_loopback for address in self.sip.listen_addresses)

    @model_validator(mode="after")
    def _check_together(self) -> Settings:
        imc, auth = self.imc, self.auth
        if imc.rooms_table == imc.members_table:
            raise _wrong("imc.members_table", "must differ from rooms_table")
        if imc.manager.host not in imc.domains:
            raise _wrong("imc.manager_uri", f"{imc.manager.host} is none of domains: {', '.join(imc.domains)}")
        if auth.mode == "trusted" and not auth.trusted_peers:
            raise _wrong("auth.mode", "trusted needs at least one of trusted_peers")
        if auth.mode == "none" and not (self.is_loopback_only or auth.i_know_anyone_can_speak_as_anyone):
            raise _wrong(
                "auth.mode",
                f"none lets anyone who can reach {self._open_to()} speak as anyone; listen on "
                "loopback only, or set i_know_anyone_can_speak_as_anyone = true",
            )
        return self

    def check_exposure(self, *, has_accounts: bool) -> None:
        """ConfigError where others than this machine could reach a daemon that knows nobody yet."""
        auth = self.auth
        if auth.mode == "digest" and not (
            has_accounts or auth.trusted_peers or self.is_loopback_only or auth.i_know_anyone_can_speak_as_anyone
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
