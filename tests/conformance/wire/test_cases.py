"""The byte-exact cases themselves: all situations are there, in our own words, and imc does as each must-case says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.suite.features import FEATURES
from conformance.suite.wire_case import WireCase, load_wire
from conformance.suite.wire_player import WirePlace, play_wire, render_step
from conformance.suite.wire_text import Names, cut
from tests.daemon import Daemon

CASES = load_wire()
CONFIG = """
[imc]
domains = ["example.com"]
manager_uri = "sip:chat-manager@example.com"
[sip]
listen = ["udp:{ip}:0", "tcp:{ip}:0", "ws:{ip}:0"]
[auth]
mode = "{mode}"
[manage]
listen = ""
"""
IP = "127.0.0.1"
ACCOUNTS = {"alice": ("alice", "secret of alice"), "mary": ("mary", "secret of mary")}
DEPARTURES = {  # should-cases in which imc departs from the RFC, and its clause says why
    "rfc3261/9.2-stray-cancel": "S-READ-5",
    "rfc8760/2.3-strongest-first": "S-AUTH-3",
}
SECTIONS = {
    4475: {
        **{f"3.1.1.{number}": 1 for number in range(1, 14)},
        **{f"3.1.2.{number}": 1 for number in range(1, 20)},
        "3.2.1": 1,
        **{f"3.3.{number}": 1 for number in range(1, 16)},
        "3.4.1": 1,
    },
    5118: {**{f"4.{number}": 1 for number in (1, 2, 3, 4, 6, 7, 8, 9)}, "4.5": 2, "4.10": 2},
}


def names(case: WireCase, transport: str) -> Names:
    return Names(
        server=("192.0.2.9", 5060), domain="example.com", user="alice", mate="mary", token="t0k3n",
        transport=transport.upper(), socket="first", local=lambda name: ("192.0.2.1", 5070),
        authorization="Authorization: x",
    )  # fmt: skip


@pytest.mark.parametrize("rfc", SECTIONS)
def test_all_situations_are_there(rfc: int) -> None:
    sections = [case.section for case in CASES if case.rfc == rfc]
    assert {section: sections.count(section) for section in sections} == SECTIONS[rfc]


def test_the_family_is_the_rfc() -> None:
    assert all(case.family == f"rfc{case.rfc}" for case in CASES)
    assert all(case.id.startswith(f"rfc{case.rfc}/{case.section}-") for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_it_can_be_rendered(case: WireCase) -> None:
    for transport, split in case.variants:
        for step in case.step:
            if step.again is None:
                data = render_step(step, names(case, transport))
                assert b"".join(cut(data, split)) == data


def test_a_request_that_is_answered_says_where_to() -> None:
    """Without our port in the topmost Via, or rport, an answer over UDP would go elsewhere."""
    for case in CASES:
        for step in case.step if "udp" in case.transport else ():
            head = re.sub(r"\n[ \t]+", " ", (step.message or "")) if step.is_whole else ""
            head = head.replace("{usual", "Via: {local}\n{usual")
            via = re.search(r"^(?:via|v) *: *(.*)$", head, re.MULTILINE | re.IGNORECASE)
            if via is not None and not head.startswith("SIP/"):
                assert re.search(r"rport|\{local", via[1], re.IGNORECASE), case.id


def test_they_are_renderings_of_our_own() -> None:
    """None of the names and addresses that the RFCs' own messages have."""
    theirs = (
        "vivekg|jdrosen|chair-dnrc|biloxi|atlanta|watson|kumiko|fluffy|j.?user@|example\\.(com|net|org)|mhandley|hlau"
    )
    for case in CASES:
        for step in case.step:
            assert not re.search(theirs, step.message or "", re.IGNORECASE), case.id


# --- imc


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, WirePlace]]:
    """imc that believes From, imc that asks for passwords, and the former over IPv6."""
    daemons: list[Daemon] = []
    found: dict[str, WirePlace] = {}
    try:
        for name, mode, ip in (("none", "none", IP), ("digest", "digest", IP), ("ipv6", "none", "[::1]")):
            folder: Path = tmp_path_factory.mktemp(name)
            daemon = Daemon(folder, CONFIG.format(mode=mode, ip=ip))
            daemons.append(daemon)
            accounts = ACCOUNTS if mode == "digest" else {}
            for user, password in accounts.values():
                daemon.add_user(f"{user}@example.com", password)
            daemon.start()
            found[name] = WirePlace(
                domain="example.com",
                addresses={transport: daemon.address(transport) for transport in ("udp", "tcp", "ws")},
                features=frozenset(FEATURES),
                accounts=accounts,
            )
        yield found
        for daemon in daemons:
            assert [each for each in daemon.records() if each.get("level") in ("error", "critical")] == []
    finally:
        for daemon in daemons:
            daemon.kill()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
async def test_imc(case: WireCase, places: dict[str, WirePlace]) -> None:
    place = places["digest" if "digest" in case.requires else "none"]
    verdict = await play_wire(case, place, patience=2 if case.id in DEPARTURES else 10)
    if case.id in DEPARTURES:
        assert (verdict.level, verdict.outcome) == ("should", "failed")
    else:
        assert (verdict.outcome, verdict.why) == ("passed", "")


OVER_IPV6 = [case for case in CASES if case.rfc in (3581, 5118, 5626, 7118) or case.section.startswith("18.2")]


@pytest.mark.parametrize("case", OVER_IPV6, ids=lambda case: case.id)
async def test_imc_over_ipv6(case: WireCase, places: dict[str, WirePlace]) -> None:
    verdict = await play_wire(case, places["ipv6"])
    assert (verdict.outcome, verdict.why) == ("passed", "")
