"""Settings in, the small frozen options of each part out: the one place that knows both.

Invariant: every setting is read here, or by `imc.app` or a command; `tests/test_options.py` holds that.
"""

from __future__ import annotations

import json
from dataclasses import replace

from imc import __version__
from imc.aor import Aor
from imc.config import Settings
from imc.delivery.backlog import BacklogOptions
from imc.delivery.engine import DeliveryOptions
from imc.errors import AccountError
from imc.manage.options import ManageOptions
from imc.page.files import File
from imc.page.files import load as load_page
from imc.page.site import Site
from imc.registrar.registrar import RegistrarOptions
from imc.rooms.names import is_visible
from imc.rooms.policy import UNLIMITED, Limits, Policy
from imc.service.audit import AuditOptions
from imc.service.rates import Rate, RateOptions
from imc.service.recipient_list import OPTION_TAG
from imc.service.roster import PACKAGE, RosterOptions
from imc.service.waiting import DeadLetterOptions
from imc.sip.digest import DigestOptions
from imc.sip.sources import SourceOptions
from imc.sip.stack import StackConfig
from imc.sip.subscriptions import Intervals
from imc.sip.uas import UasPolicy
from imc.store.options import StoreOptions
from imc.transport.addresses import ListenAddress, parse_advertise
from imc.transport.connection import TcpOptions
from imc.transport.names import NameOptions
from imc.transport.resolver import ResolverOptions
from imc.transport.tls import TlsOptions
from imc.transport.transports import TransportOptions
from imc.transport.udp import UdpOptions
from imc.transport.websocket import WebSocketOptions

_UNLIMITED_LIST = 10_000


def store_options(settings: Settings, *, is_exclusive: bool = False, may_create: bool = True) -> StoreOptions:
    """``is_exclusive`` is for the one daemon of a database; commands beside it do without. Without ``may_create`` a
    SQLite file must be there."""
    imc = settings.imc
    return StoreOptions(
        url=imc.db_url,
        rooms_table=imc.rooms_table,
        members_table=imc.members_table,
        is_exclusive=is_exclusive,
        may_create=may_create,
        timeout=imc.db_timeout,
        connect_timeout=imc.db_connect_timeout,
        readers=imc.db_readers,
    )


def transport_options(settings: Settings) -> TransportOptions:
    sip = settings.sip
    return TransportOptions(
        listen=sip.listen_addresses,
        advertise=sip.advertise,
        udp=UdpOptions(receive_buffer=sip.udp_buffer, send_buffer=sip.udp_buffer, queue_bytes=sip.udp_queue),
        tcp=TcpOptions(
            max_message=sip.max_head + sip.max_body,
            max_connections=sip.max_connections,
            max_per_address=sip.max_connections_per_address,
            max_connecting=sip.max_connecting,
            message_deadline=sip.message_deadline,
            handshake_deadline=sip.handshake_deadline,
            idle_limit=sip.idle_limit,
            connect_timeout=sip.connect_timeout,
            write_buffer=sip.write_buffer,
            write_deadline=sip.write_deadline,
            websocket=WebSocketOptions(
                allowed_origins=settings.websocket.allowed_origins,
                ping_interval=settings.websocket.ping_interval,
                ping_deadline=settings.websocket.ping_deadline,
            ),
        ),
        tls=tls_options(settings),
    )


def tls_options(settings: Settings) -> TlsOptions:
    tls = settings.tls
    return TlsOptions(
        certificate=tls.certificate,
        key=tls.key,
        ca=tls.ca,
        client_certificates=tls.client_certificates,
        min_version=tls.min_version,
    )


def chat_site(settings: Settings) -> Site | None:
    """The chat page, None where there is none."""
    page = settings.page
    if not page.chat or not (page.server or (settings.registrar.enabled and settings.auth.mode != "trusted")):
        return None
    advertise = settings.sip.advertise
    hosts = {*settings.imc.domains, *([parse_advertise(advertise)[0]] if advertise else [])}
    site = Site(load_page("chat"), hosts=hosts, connect=[_origin(page.server)] if page.server else [])
    site.put(chat_config(settings))
    return site


def chat_config(settings: Settings) -> File:
    """What the chat page has to know of this server: nothing that a user may not know before they log in."""
    imc = settings.imc
    known = {
        "server": settings.page.server,
        "domains": imc.domains,
        "manager": f"{imc.manager.user}@{imc.manager.host}",
        "start": imc.imc_cmd_start_char,
        "rooms": imc.room_pattern,
        "longest": settings.limits.max_text,
    }
    return File.of("/config.json", json.dumps(known).encode(), "application/json")


def _origin(url: str) -> str:
    """``wss://host:port`` of a URL."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def stack_config(settings: Settings) -> StackConfig:
    sip = settings.sip
    return StackConfig(
        max_server_transactions=sip.max_server_transactions,
        max_client_transactions=sip.max_client_transactions,
        max_head=sip.max_head,
        max_body=sip.max_body,
        is_rport_assumed=sip.force_rport,
    )


def resolver_options(settings: Settings) -> ResolverOptions:
    """Only address families are looked up that there is a listener for; connections need no listener."""
    sip = settings.sip
    listeners = sip.listen_addresses
    servers = [parse_advertise(text) for text in sip.nameservers]
    return ResolverOptions(
        transports=("udp", "tcp", "tls"),
        families=tuple(family for family in (6, 4) if any(family == one.family for one in listeners)),
        deadline=sip.dns_deadline,
        names=NameOptions(nameservers=tuple((ip, port or 53) for ip, port in servers)),
    )


def digest_options(settings: Settings, bound: tuple[ListenAddress, ...]) -> DigestOptions:
    auth = settings.auth
    return DigestOptions(
        algorithms=auth.algorithms,
        qop=auth.qop,
        nonce_lifetime=auth.nonce_lifetime,
        max_nonces=auth.max_nonces,
        hosts=own_hosts(settings, bound),
    )


def registrar_options(settings: Settings, bound: tuple[ListenAddress, ...]) -> RegistrarOptions:
    registrar = settings.registrar
    advertised = parse_advertise(settings.sip.advertise) if settings.sip.advertise else None
    addresses = {(one.ip, one.port) for one in bound}
    if advertised is not None:
        ports = {advertised[1] or one.port for one in bound if one.transport in ("udp", "tcp")}
        ports |= {one.port for one in bound if one.transport not in ("udp", "tcp")}
        addresses |= {(advertised[0], port) for port in ports}
    return RegistrarOptions(
        domains=settings.imc.domains,
        own_hosts=own_hosts(settings, bound),
        own_addresses=frozenset(addresses),
        min_expires=registrar.min_expires,
        max_expires=registrar.max_expires,
        default_expires=registrar.default_expires,
        max_contacts=registrar.max_contacts,
        max_bindings=registrar.max_bindings,
        flow_timer=registrar.flow_timer,
    )


def own_hosts(settings: Settings, bound: tuple[ListenAddress, ...]) -> frozenset[str]:
    """Names and addresses of this server that a Request-URI may carry in place of a domain."""
    hosts = {one.ip for one in bound if not one.is_wildcard}
    if settings.sip.advertise:
        hosts.add(parse_advertise(settings.sip.advertise)[0])
    # as a URI writes them (RFC 3261 §25.1, IPv6reference)
    return frozenset(f"[{host}]" if ":" in host else host for host in hosts)


def room_policy(settings: Settings) -> Policy:
    imc = settings.imc
    return Policy(
        create_on_join=imc.create_on_join,
        check_on_create=imc.check_on_create,
        owner_leave=imc.owner_leave,
        add_requires_consent=imc.add_requires_consent,
        start_char=imc.imc_cmd_start_char,
        room_pattern=imc.room_pattern,
        domains=imc.domains,
        manager=imc.manager,
        is_log_kept=settings.history.enabled,
        keep_messages=settings.history.keep_messages,
        keep_days=settings.history.keep_days,
        limits=room_limits(settings),
    )


def room_limits(settings: Settings) -> Limits:
    limits = settings.limits
    if not limits.enabled:
        return UNLIMITED
    return Limits(
        max_members=limits.max_members,
        max_rooms_per_owner=limits.max_rooms_per_owner,
        max_rooms=limits.max_rooms,
        max_command_line=limits.max_command_line,
        max_text=limits.max_text,
        max_list_entries=limits.max_list_entries,
        max_history=limits.max_history,
        max_keep_messages=limits.max_keep_messages,
        max_keep_days=limits.max_keep_days,
    )


def rate_options(settings: Settings) -> RateOptions | None:
    limits = settings.limits
    if not limits.enabled:
        return None
    return RateOptions(
        per_sender=Rate(limits.sender_burst, limits.sender_rate),
        per_room=Rate(limits.room_burst, limits.room_rate),
        per_inviter=Rate(limits.inviter_burst, limits.inviter_rate),
        per_invitee=Rate(limits.invitee_burst, limits.invitee_rate),
        per_invitation=Rate(limits.invitation_burst, limits.invitation_rate),
        max_rejections=limits.max_rejections,
        rejections_last=limits.rejections_last,
        per_founder=Rate(limits.founding_burst, limits.founding_rate),
    )


def guess_rate(settings: Settings) -> Rate | None:
    limits = settings.limits
    return Rate(limits.guess_burst, limits.guess_rate) if limits.enabled else None


def source_options(settings: Settings) -> SourceOptions | None:
    limits = settings.limits
    if not limits.enabled:
        return None
    return SourceOptions(
        burst=limits.unproven_burst,
        rate=limits.unproven_rate,
        strangers_burst=limits.strangers_burst,
        strangers_rate=limits.strangers_rate,
        byte_burst=limits.unproven_byte_burst,
        byte_rate=limits.unproven_byte_rate,
    )


def manage_options(settings: Settings) -> ManageOptions:
    manage = settings.manage
    return ManageOptions(
        listen=manage.listen,
        token=manage.token,
        metrics_token=manage.metrics_token,
        allowed_origins=manage.allowed_origins,
        socket=manage.socket,
        ctl=manage.ctl,
        fifos=manage.fifos,
        fifo_reply_dir=manage.fifo_reply_dir,
        file_mode=manage.file_mode_bits,
        default_domain=settings.imc.domains[0],
        version=f"imc {__version__}",
        max_request=manage.max_request,
        max_batch=manage.max_batch,
        max_connections=manage.max_connections,
        call_timeout=manage.call_timeout,
        session_idle=manage.session_idle,
        session_lasts=manage.session_lasts,
    )


def delivery_options(settings: Settings) -> DeliveryOptions:
    delivery = settings.delivery
    return DeliveryOptions(
        host=settings.imc.domains[0],
        longest_sent_by=max(DeliveryOptions().longest_sent_by, len(settings.sip.advertise or "") + len(":65535")),
        lane_queue=delivery.lane_queue,
        total_queue=delivery.total_queue,
        max_hops=delivery.max_hops,
        max_recipients=delivery.max_recipients,
        backlog=BacklogOptions(
            retry_first=delivery.retry_first,
            retry_longest=delivery.retry_longest,
            keep_for=delivery.keep_for,
            per_recipient=delivery.max_waiting,
            total=delivery.max_waiting_total,
        ),
    )


def dead_letter_options(settings: Settings) -> DeadLetterOptions:
    delivery = settings.delivery
    return DeadLetterOptions(keep=delivery.max_dead_letters, keep_for=delivery.dead_letters_for)


def roster_options(settings: Settings) -> RosterOptions:
    roster = settings.roster
    return RosterOptions(
        max_subscriptions=roster.max_subscriptions,
        max_subscriptions_per_user=roster.max_subscriptions_per_user,
        max_entries=roster.max_entries,
        interval=roster.interval,
        intervals=Intervals(
            shortest=roster.min_expires,
            longest=roster.max_expires,
            default=min(Intervals().default, roster.max_expires),
        ),
    )


def list_limit(settings: Settings) -> int:
    """Recipients of a message to a list; where nothing is limited, as many as a list can hold."""
    limits = settings.limits
    return limits.max_list_recipients if limits.enabled else _UNLIMITED_LIST * bool(limits.max_list_recipients)


def uas_policy(settings: Settings) -> UasPolicy:
    """SUBSCRIBE is understood where there may be subscriptions (spec S-EVT-1), lists where there may be recipients."""
    policy = UasPolicy()
    if settings.roster.max_subscriptions:
        policy = replace(policy, methods=(*policy.methods, "SUBSCRIBE"), events=(PACKAGE,))
    if settings.limits.max_list_recipients:
        policy = replace(policy, extensions=(*policy.extensions, OPTION_TAG))
    return policy


def audit_options(settings: Settings) -> AuditOptions:
    audit = settings.audit
    return AuditOptions(is_enabled=audit.enabled, keep_days=audit.keep_days, max_rows=audit.max_rows)


def check_account(settings: Settings, user: Aor) -> bool:
    """Whether its domain is served. AccountError for an address that can only be a room's, or is the manager's: nobody
    could speak to that user."""
    if not is_visible(user.user):  # spec R-ADDR-9
        raise AccountError(f"{user} has characters that cannot be seen")
    if user == settings.imc.manager:
        raise AccountError(f"{user} is the conference manager ([imc] manager_uri)")
    if room_policy(settings).is_reserved(user):
        raise AccountError(f"{user} is a room's name ([imc] room_pattern = {settings.imc.room_pattern!r})")
    return user.host in settings.imc.domains
