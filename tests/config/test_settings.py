"""What settings must be, one by one and together."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from imc.aor import Aor
from imc.config import Settings, load
from imc.config.checks import extra_headers, mask_password
from imc.errors import ConfigError

OPEN = {"listen": ["udp:0.0.0.0:5060"]}


def settings(**tables: dict[str, Any]) -> Settings:
    return Settings.model_validate(tables)


def wrong(**tables: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        settings(**tables)
    return str(caught.value.errors()[0]["msg"])


def test_the_defaults_are_those_of_the_source_and_loopback_only() -> None:
    default = Settings()
    assert (default.imc.db_url, default.imc.rooms_table, default.imc.members_table) == (
        "sqlite:///imc.db",
        "imc_rooms",
        "imc_members",
    )
    assert (default.imc.hash_size, default.imc.imc_cmd_start_char, default.imc.outbound_proxy) == (4, "#", None)
    assert (default.imc.create_on_join, default.imc.check_on_create) == (True, False)
    assert (default.imc.owner_leave, default.imc.add_requires_consent) == ("destroy", True)
    assert default.sip.listen == ("udp:127.0.0.1:5060", "tcp:127.0.0.1:5060")
    assert (default.auth.mode, default.auth.trusted_peers) == ("digest", ())
    assert default.is_loopback_only
    assert default.manage.listen == "127.0.0.1:8060"


def test_the_manager_is_of_the_first_domain_where_nobody_says_otherwise() -> None:
    assert settings(imc={"domains": ["Chat.Example.COM", "b"]}).imc.manager == Aor("chat-manager", "chat.example.com")
    assert settings(imc={"domains": ["a", "b"], "manager_uri": "sips:boss@B"}).imc.manager_uri == "sip:boss@b"


@pytest.mark.parametrize("value", ["", "##", " ", "\t", "\x07", "\u200b", "\u00a0"])
def test_a_start_character_is_one_and_visible(value: str) -> None:
    assert "is not one visible character" in wrong(imc={"imc_cmd_start_char": value})


@pytest.mark.parametrize("value", ["#", "/", "!", "§"])
def test_start_characters(value: str) -> None:
    assert settings(imc={"imc_cmd_start_char": value}).imc.imc_cmd_start_char == value


@pytest.mark.parametrize("value", ["", "1rooms", "imc-rooms", "rooms; drop table x", "ä", "x" * 64])
def test_a_table_name_is_an_identifier(value: str) -> None:
    assert "is not a name of letters" in wrong(imc={"members_table": value})


def test_a_table_is_nobody_elses() -> None:
    assert wrong(imc={"rooms_table": "subscriber"}) == "'subscriber' is the name of another table"
    assert "have the same name" in wrong(imc={"rooms_table": "x", "members_table": "X"})


@pytest.mark.parametrize(
    "value", ["127.0.0.1", "sips:a.example.com;transport=udp", "sip:a.example.com;transport=ws", "tel:1", "sip:"]
)
def test_an_outbound_proxy_is_a_sip_uri(value: str) -> None:
    assert wrong(imc={"outbound_proxy": value})


@pytest.mark.parametrize(
    "value", ["sip:127.0.0.1:5090", "sips:a.example.com", "sip:proxy.example.com;transport=tcp;lr", "sip:[::1]"]
)
def test_outbound_proxies(value: str) -> None:
    assert settings(imc={"outbound_proxy": value}).imc.outbound_proxy == value


def test_extra_headers_are_lines() -> None:
    value = "X-Room: yes\r\nX-Empty:\r\nSubject:  a b \n"
    assert settings(imc={"extra_hdrs": value}).imc.extra_headers == (
        ("X-Room", "yes"),
        ("X-Empty", ""),
        ("Subject", "a b"),
    )


@pytest.mark.parametrize("value", ["X-Room", "X Room: a", "X: a\x00", "X: a\rY: b", ": a", "\r\n X: a"])
def test_what_is_no_header_line(value: str) -> None:
    with pytest.raises(ValueError, match="is not a header"):
        extra_headers(value)


@pytest.mark.parametrize("name", ["From", "t", "CONTENT-LENGTH", "l", "IMC-Event", "via", "Route"])
def test_headers_that_are_imcs_own(name: str) -> None:
    assert "is a header that imc sets itself" in wrong(imc={"extra_hdrs": f"{name}: x\r\n"})


@pytest.mark.parametrize("value", [[], ["example..com"], ["a b"], ["sip:a"], ["a@b"], ["*"]])
def test_domains_are_hosts(value: list[str]) -> None:
    assert wrong(imc={"domains": value})


@pytest.mark.parametrize(
    "value",
    [
        [],
        ["127.0.0.1:5060"],
        ["udp:localhost:5060"],
        ["udp:::1:5060"],
        ["udp:127.0.0.1:65536"],
        ["udp:127.0.0.1:5060", "UDP:127.0.0.1"],
    ],
)
def test_listen_addresses(value: list[str]) -> None:
    assert wrong(sip={"listen": value})


def test_port_0_may_stand_there_twice() -> None:
    assert len(settings(sip={"listen": ["udp:127.0.0.1:0"] * 2}).sip.listen_addresses) == 2


@pytest.mark.parametrize("value", ["10.0.0.1/8", "example.com", "10.0.0.0/33", "fe80::/129"])
def test_trusted_peers_are_networks(value: str) -> None:
    assert "is neither an IP address nor a network" in wrong(auth={"trusted_peers": [value]})


def test_a_trusted_address_is_a_network_of_one() -> None:
    assert settings(auth={"trusted_peers": ["127.0.0.1", "::1", "10.0.0.0/8"]}).auth.trusted_peers == (
        "127.0.0.1/32",
        "::1/128",
        "10.0.0.0/8",
    )


@pytest.mark.parametrize("value", [[], ["MD5", "MD5"], ["SHA-1"], ["md5"]])
def test_algorithms(value: list[str]) -> None:
    assert wrong(auth={"algorithms": value}) == "Value error, must be some of MD5, SHA-256, SHA-512-256, each once"


def test_mode_none_is_for_loopback_or_those_who_say_so() -> None:
    assert settings(auth={"mode": "none"}).auth.mode == "none"
    assert wrong(auth={"mode": "none"}, sip=OPEN).startswith("none lets anyone who can reach udp:0.0.0.0:5060")
    assert settings(auth={"mode": "none", "i_know_anyone_can_speak_as_anyone": True}, sip=OPEN).auth.mode == "none"


def test_mode_trusted_needs_somebody_to_trust() -> None:
    assert wrong(auth={"mode": "trusted"}) == "trusted needs at least one of trusted_peers or trusted_certificates"


@pytest.mark.parametrize(
    ("tables", "has_accounts", "may_start"),
    [
        ({}, False, True),
        ({"sip": OPEN}, False, False),
        ({"sip": OPEN}, True, True),
        ({"sip": OPEN, "auth": {"trusted_peers": ["10.0.0.1"]}}, False, True),
        ({"sip": OPEN, "auth": {"mode": "trusted", "trusted_peers": ["10.0.0.1"]}}, False, True),
        ({"sip": OPEN, "auth": {"i_know_anyone_can_speak_as_anyone": True}}, False, True),
        ({"sip": {"listen": ["udp:127.0.0.1", "tcp:[::]"]}}, False, False),
        ({"sip": {"listen": ["udp:127.0.0.2", "tcp:[::1]"]}}, False, True),
    ],
)
def test_who_knows_nobody_listens_on_loopback_only(tables: dict[str, Any], has_accounts: bool, may_start: bool) -> None:
    subject = settings(**tables)
    if may_start:
        subject.check_exposure(has_accounts=has_accounts)
    else:
        with pytest.raises(ConfigError, match="imc user add"):
            subject.check_exposure(has_accounts=has_accounts)


@pytest.mark.parametrize("value", ["8060", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:65536", ":8060"])
def test_where_management_listens(value: str) -> None:
    assert "is not HOST:PORT" in wrong(manage={"listen": value})


def test_management_beyond_loopback_needs_a_token() -> None:
    assert wrong(manage={"listen": "0.0.0.0:8060"}) == "0.0.0.0:8060 is not loopback: that needs token"
    assert settings(manage={"listen": "[::]:8060", "token": "t"}).manage.token == "t"
    for local in ("", "localhost:1", "[::1]:1", "127.1.2.3:0"):
        assert settings(manage={"listen": local}).manage.listen == local


def test_the_mode_of_files_is_octal() -> None:
    assert settings(manage={"file_mode": "660"}).manage.file_mode_bits == 0o660
    assert "is not three octal digits" in wrong(manage={"file_mode": "0888"})


def test_the_default_expiry_follows_the_bounds_of_it() -> None:
    assert settings(registrar={"max_expires": 600}).registrar.default_expires == 600
    assert (
        wrong(registrar={"max_expires": 600, "default_expires": 601}) == "must be between min_expires and max_expires"
    )
    assert wrong(registrar={"max_expires": 600, "min_expires": 601})


def test_a_back_off_does_not_begin_beyond_its_end() -> None:
    assert wrong(delivery={"retry_first": 7200, "retry_longest": 3600}) == "must not be longer than retry_longest"


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        load().imc.hash_size = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///imc.db", "sqlite:///imc.db"),
        ("mysql://u:p@h/d", "mysql://u:***@h/d"),
        ("mysql://u:p@:/x@h:3306/d", "mysql://u:***@h:3306/d"),
        ("postgres://u@h/d", "postgres://u@h/d"),
    ],
)
def test_a_password_is_masked(url: str, shown: str) -> None:
    assert mask_password(url) == shown


# -- TLS and WebSocket ----

OVER_TLS = {"listen": ["tls:127.0.0.1", "wss:127.0.0.1:8443"]}
PEM = {"certificate": "server.pem"}


@pytest.mark.parametrize(
    ("tables", "why"),
    [
        ({"sip": OVER_TLS}, "tls:127.0.0.1:5061, wss:127.0.0.1:8443 needs one"),
        ({"tls": {"key": "k.pem"}}, "is of no use without certificate"),
        ({"tls": {**PEM, "client_certificates": "optional"}}, "needs ca: the authorities that vouch for clients"),
        ({"auth": {"trusted_certificates": ["a.example"]}}, 'needs [tls] client_certificates = "optional"'),
        ({"websocket": {"allowed_origins": ["chat.example.com"]}}, "'chat.example.com' is not an origin"),
        ({"websocket": {"allowed_origins": ["https://chat.example.com/"]}}, "is not an origin"),
        ({"page": {"server": "https://sip.example.com"}}, "is not a URL as wss://sip.example.com:8443/ws"),
        ({"page": {"server": "wss://sip.example.com/; script-src *"}}, "is not a URL"),
        ({"page": {"server": "wss://user@sip.example.com"}}, "is not a URL"),
        ({"auth": {"trusted_certificates": ["*.example.com"]}}, "not a host: '*.example.com'"),
    ],
)
def test_what_does_not_fit_together(tables: dict[str, Any], why: str) -> None:
    assert why in wrong(**tables)


def test_tls_and_origins_that_do() -> None:
    made = settings(
        sip=OVER_TLS,
        tls={**PEM, "ca": "ca.pem", "client_certificates": "optional"},
        auth={"mode": "trusted", "trusted_certificates": ["Proxy.Example.com", "192.0.2.1"]},
        websocket={"allowed_origins": ["https://Chat.example.com", "http://localhost:8000", "*"]},
    )
    assert made.auth.trusted_certificates == ("proxy.example.com", "192.0.2.1")
    assert made.auth.has_peers
    assert made.websocket.allowed_origins == ("https://chat.example.com", "http://localhost:8000", "*")
    assert made.sip.listen == ("tls:127.0.0.1:5061", "wss:127.0.0.1:8443")


def test_who_trusts_a_certificate_may_listen_to_the_world() -> None:
    tls = {**PEM, "ca": "ca.pem", "client_certificates": "optional"}
    settings(sip=OPEN, tls=tls, auth={"trusted_certificates": ["p.example"]}).check_exposure(has_accounts=False)
