"""Settings to options: none is left unused, and those that change a unit or a form arrive as they should."""

from __future__ import annotations

import ast
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from imc import options
from imc.aor import Aor
from imc.config import Settings
from imc.rooms.policy import UNLIMITED, Limits
from imc.transport.addresses import parse_listen

IMC = Path(options.__file__).parent
READERS = [IMC / "options.py", IMC / "app.py", IMC / "config" / "settings.py", *(IMC / "cli").glob("*.py")]


def settings(**tables: dict[str, Any]) -> Settings:
    return Settings.model_validate(tables)


def test_no_setting_is_unused() -> None:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in READERS]
    read = {node.attr for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    keys = {key for name in Settings.model_fields for key in type(getattr(Settings(), name)).model_fields}
    assert keys - read == set()


@pytest.mark.parametrize(
    "made",
    [
        options.store_options(Settings()),
        options.stack_config(Settings()),
        options.transport_options(Settings()).tcp,
        options.transport_options(Settings()).udp,
        options.tls_options(Settings()),
        options.transport_options(Settings()).tcp.websocket,
        options.resolver_options(Settings()),
        options.registrar_options(Settings(), ()),
        options.digest_options(Settings(), ()),
        options.manage_options(Settings()),
        options.delivery_options(Settings()),
        options.delivery_options(Settings()).backlog,
        options.dead_letter_options(Settings()),
        options.room_limits(Settings()),
    ],
    ids=lambda made: type(made).__name__,
)
def test_the_defaults_of_settings_are_those_of_the_parts(made: Any) -> None:
    """Where a part has a default of its own, a setting must not say otherwise: one of the two would be a lie."""
    given = {"url", "listen", "families", "domains", "default_domain", "version", "host", "hosts", "max_message"}
    for field in fields(made):
        if field.name not in given:
            default = field.default_factory() if callable(field.default_factory) else field.default
            assert getattr(made, field.name) == default, field.name


def test_a_stream_takes_what_the_stack_takes() -> None:
    made = settings(sip={"max_head": 3_000, "max_body": 5_000})
    assert options.transport_options(made).tcp.max_message == 8_000
    assert (options.stack_config(made).max_head, options.stack_config(made).max_body) == (3_000, 5_000)


@pytest.mark.parametrize(
    ("listen", "families"),
    [(["udp:127.0.0.1"], (4,)), (["tcp:[::1]"], (6,)), (["tcp:127.0.0.1", "udp:[::1]"], (6, 4))],
)
def test_names_are_looked_up_for_what_can_be_spoken(listen: list[str], families: tuple[int, ...]) -> None:
    made = options.resolver_options(settings(sip={"listen": listen, "nameservers": ["127.0.0.53", "[::1]:5353"]}))
    assert (made.transports, made.families) == (("udp", "tcp", "tls"), families)  # a connection needs no listener
    assert made.names.nameservers == (("127.0.0.53", 53), ("::1", 5353))


def test_the_registrar_knows_its_own_addresses() -> None:
    bound = (parse_listen("udp:10.0.0.1:5070"), parse_listen("tcp:0.0.0.0:5080"))
    made = options.registrar_options(settings(sip={"advertise": "sip.example.com"}), bound)
    assert made.own_hosts == {"10.0.0.1", "sip.example.com"}
    v6 = options.own_hosts(settings(sip={"listen": ["udp:[::1]"]}), (parse_listen("udp:[::1]"),))
    assert v6 == {"[::1]"}
    assert made.own_addresses == {
        ("10.0.0.1", 5070),
        ("0.0.0.0", 5080),
        ("sip.example.com", 5070),
        ("sip.example.com", 5080),
    }


def test_the_port_that_is_advertised_is_that_of_udp_and_tcp() -> None:
    bound = (parse_listen("udp:10.0.0.1:5070"), parse_listen("tls:10.0.0.1:5061"))
    made = options.registrar_options(settings(sip={"advertise": "sip.example.com:5060"}), bound)
    assert made.own_addresses >= {("sip.example.com", 5060), ("sip.example.com", 5061)}
    assert ("sip.example.com", 5070) not in made.own_addresses


def test_the_policy_of_rooms() -> None:
    made = options.room_policy(
        settings(
            imc={"domains": ["A.example"], "imc_cmd_start_char": "!", "owner_leave": "refuse"}, limits={"max_rooms": 7}
        )
    )
    assert (made.domains, made.manager) == (("a.example",), Aor("chat-manager", "a.example"))
    assert (made.start_char, made.owner_leave, made.room_pattern) == ("!", "refuse", "chat-*")
    assert made.limits == Limits(max_rooms=7)


def test_without_limits_there_are_none() -> None:
    assert options.room_limits(settings(limits={"enabled": False, "max_rooms": 7})) == UNLIMITED


def test_what_the_chat_page_is_told() -> None:
    imc = {"domains": ["a.example", "b.example"], "imc_cmd_start_char": "!", "room_pattern": "r-*"}
    assert json.loads(options.chat_config(settings(imc=imc, limits={"max_text": 700})).content) == {
        "server": None,
        "domains": ["a.example", "b.example"],
        "manager": "chat-manager@a.example",
        "start": "!",
        "rooms": "r-*",
        "longest": 700,
    }


@pytest.mark.parametrize(
    ("tables", "is_served"),
    [
        ({}, True),
        ({"page": {"chat": False}}, False),
        ({"registrar": {"enabled": False}}, False),
        ({"auth": {"mode": "trusted", "trusted_peers": ["10.0.0.1"]}}, False),
        ({"auth": {"mode": "trusted", "trusted_peers": ["10.0.0.1"]}, "page": {"server": "wss://p.example/ws"}}, True),
        ({"registrar": {"enabled": False}, "page": {"server": "wss://p.example", "chat": False}}, False),
    ],
)
def test_there_is_a_page_where_somebody_can_log_in_by_it(tables: dict[str, Any], is_served: bool) -> None:
    assert (options.chat_site(settings(**tables)) is not None) == is_served


def test_the_page_may_connect_to_the_server_that_is_set() -> None:
    site = options.chat_site(settings(page={"server": "wss://p.example:8443/ws"}))
    assert site is not None
    policy = dict(site.reply("GET", "/", {}).headers)["Content-Security-Policy"]
    assert "connect-src 'self' wss://p.example:8443;" in policy
    assert json.loads(site.reply("GET", "/config.json", {}).body)["server"] == "wss://p.example:8443/ws"


def test_the_page_of_our_names_is_our_own() -> None:
    site = options.chat_site(settings(imc={"domains": ["a.example"]}, sip={"advertise": "sip.example.net:5060"}))
    assert site is not None
    for host in ("a.example", "sip.example.net:5080", "127.0.0.1:5080"):
        assert site.is_own(f"https://{host}", host, is_secure=True)
    assert not site.is_own("https://b.example", "b.example", is_secure=True)
