"""TLS, WebSocket and flows with a whole daemon: clients of all transports in one room, and what happens when they go.

The user agents speak TLS by Python's `ssl`, and WebSocket by `websockets.trio`.
"""

from __future__ import annotations

import os
import signal
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from websockets.exceptions import InvalidStatus

from conformance.agent.client import NoAnswer, SipClient
from conformance.suite.wire_websocket import Opcode
from imc.app import Daemon
from tests.e2e.process import served
from tests.e2e.program import Program, need
from tests.e2e.stage import Stage, settings, stage
from tests.transport.secure import Authority, fragment, handshake, masked

ROOM = "sip:chat-x@example.com"
INSTANCE = '+sip.instance="<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>"'
OUTBOUND = [("Supported", "path, outbound")]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("ca"))
    made.issue("localhost", "example.com", "127.0.0.1")
    return made


def flags(authority: Authority, *more: str, listen: str = "tls wss ws") -> list[str]:
    transports = ["udp", "tcp", *listen.split()]
    addresses = ",".join(f"{transport}:127.0.0.1:0" for transport in transports)
    return [f"sip.listen={addresses}", f"tls.certificate={authority.path.parent}/server.pem", *more]


async def client(on: Stage, authority: Authority, user: str, transport: str, **more: Any) -> SipClient:
    if transport in ("tls", "wss"):
        more["tls"] = authority.client_context()
    return await on.client(user, transport=transport, **more)


async def test_all_transports_in_one_room(tmp_path: Path, authority: Authority) -> None:
    """Each hears each, over the connection on which it registered; none is opened."""
    # spec S-WS-6
    # spec S-HOP-6
    async with stage(settings(tmp_path, *flags(authority))) as on:
        people = {name: await client(on, authority, name, name) for name in ("tcp", "tls", "ws", "wss")}
        people["udp"] = await on.client("udp", takes_tcp=True)
        for one in people.values():
            assert (await one.message(ROOM, "#join")).status == 200
        await on.settle(people)
        for name, one in people.items():
            text = f"grüße über {name} " + "x" * 1400 * (name != "udp")
            assert (await one.message(ROOM, text)).status == 202
            for other in people.values():
                if other is not one:
                    heard = await other.wait_message(text=f"[{name}]: {text}")
                    if not (other.transport == "udp" and len(text) > 1000):
                        assert heard.request.via.transport == other.transport.upper()
        opened = on.daemon.statistics()["tcp_opened"]
        assert opened <= 1  # the large copies to the UDP client


async def test_digest_over_tls_and_websocket(tmp_path: Path, authority: Authority) -> None:
    async with stage(settings(tmp_path, *flags(authority), mode="digest"), {"tls": "a", "wss": "b"}) as on:
        for name, password in (("tls", "a"), ("wss", "b")):
            one = await client(on, authority, name, name, password=password)
            assert (await one.message(ROOM, "#join")).status == 200


async def test_a_page_of_another_origin_may_not(tmp_path: Path, authority: Authority) -> None:
    # spec S-WS-2
    allowed = "websocket.allowed_origins=https://chat.example.com"
    async with stage(settings(tmp_path, *flags(authority, allowed))) as on:
        one = await client(on, authority, "alice", "wss", origin="https://chat.example.com")
        assert (await one.message(ROOM, "#join")).status == 200
        with pytest.raises(BaseExceptionGroup) as caught:
            async with trio.open_nursery() as nursery:
                await SipClient.open(
                    nursery, "sip:eve@example.com", on.addresses["ws"], transport="ws", origin="https://evil.example"
                )
        assert caught.group_contains(InvalidStatus, match="403")


async def test_a_browser_that_is_gone_is_no_contact_any_more(tmp_path: Path, authority: Authority) -> None:
    # spec S-OUT-3
    async with stage(settings(tmp_path, *flags(authority))) as on:
        alice = await client(on, authority, "alice", "udp")
        bob = await client(on, authority, "bob", "ws")
        assert (await alice.message("sip:bob@example.com", "here?")).status == 200
        bob.close()
        await gone(on.daemon, "bindings", 1)
        assert (await alice.message("sip:bob@example.com", "still?")).status == 404
        again = await client(on, authority, "bob", "wss")  # another tab: its old contact is in nobody's way
        assert len((await again.request("REGISTER", "sip:example.com", to=again.address)).headers.all("Contact")) == 1
        assert (await alice.message("sip:bob@example.com", "back?")).status == 200


async def gone(daemon: Daemon, figure: str, until: int) -> None:
    with trio.fail_after(10):
        while daemon.statistics()[figure] != until:
            await trio.lowlevel.checkpoint()


async def test_the_next_flow_of_a_phone_takes_over_at_once(tmp_path: Path, authority: Authority) -> None:
    """Two flows of one instance: one copy; and none is lost, or comes twice, when the first one breaks."""
    # spec S-OUT-2
    # spec S-OUT-4
    async with stage(settings(tmp_path, *flags(authority))) as on:
        alice = await client(on, authority, "alice", "udp")
        flows = []
        for number, transport in enumerate(("tls", "tcp"), 1):
            flow = await client(on, authority, "bob", transport, is_registered=False)
            contact = f"<{flow.contact}>;{INSTANCE};reg-id={number}"
            response = await flow.register(contact=contact, headers=OUTBOUND)
            assert (response.status, response.headers.get("Require")) == (200, "outbound")
            assert response.headers.get("Flow-Timer") == "120"
            flows.append(flow)
        assert len(response.headers.all("Contact")) == 2
        older, newer = flows
        assert (await alice.message("sip:bob@example.com", "one")).status == 200
        await newer.wait_message(text="one")
        newer.answer = None  # it takes the next one, and is gone before it answers
        async with trio.open_nursery() as nursery:
            statuses: list[int] = []

            async def say(text: str) -> None:
                statuses.append((await alice.message("sip:bob@example.com", text)).status)

            nursery.start_soon(say, "two")
            await newer.wait_message(text="two")
            newer.close()
        assert statuses == [200]
        await older.wait_message(text="two")
        assert older.messages[0].text == "two"  # "one" never came there
        assert (await alice.message("sip:bob@example.com", "three")).status == 200
        await older.wait_message(text="three")


async def test_sips_all_the_way(tmp_path: Path, authority: Authority) -> None:
    # spec S-TLS-6
    # spec S-TLS-8
    async with stage(settings(tmp_path, *flags(authority))) as on:
        alice = await client(on, authority, "alice", "udp")
        bob = await client(on, authority, "bob", "tls", is_registered=False)
        sips = f"<sips:bob@127.0.0.1:{bob.local[1]}>"
        refused = await bob.register(contact=sips)  # to sip:example.com
        assert refused.status == 400
        taken = await bob.request("REGISTER", "sips:example.com", to=bob.address, headers=[("Contact", sips)])
        assert taken.status == 200
        assert (await alice.message("sip:bob@example.com", "over TLS")).status == 200
        heard = await bob.wait_message(text="over TLS")
        assert (heard.request.request_uri.scheme, heard.request.via.transport) == ("sips", "TLS")
        answer = await bob.request(
            "MESSAGE", "sips:alice@example.com", headers=[("Content-Type", "text/plain")], body=b"hi"
        )
        assert (answer.status, answer.headers.get("IMC-Event")) == (480, "sips-not-allowed")
        create = [("Content-Type", "text/plain")]
        assert (await bob.request("MESSAGE", "sips:chat-x@example.com", headers=create, body=b"#create")).status == 200


async def test_a_peer_is_trusted_by_its_certificate(tmp_path: Path, authority: Authority) -> None:
    # spec S-AUTH-13
    proxy = authority.issue("proxy.example.com", file="proxy.pem")
    other = authority.issue("other.example.com", file="other.pem")
    trust = [
        f"tls.ca={authority.path}",
        "tls.client_certificates=optional",
        "auth.trusted_certificates=Proxy.example.com",
    ]
    async with stage(settings(tmp_path, *flags(authority, *trust), mode="trusted")) as on:
        asserted = [("P-Asserted-Identity", "<sip:carol@example.com>"), ("Content-Type", "text/plain")]
        for certificate, status in ((proxy, 200), (other, 403), (None, 403)):
            one = await on.client(
                "proxy", transport="tls", tls=authority.client_context(certificate), is_registered=False
            )
            answer = await one.request("MESSAGE", ROOM, headers=asserted, body=b"#join")
            assert answer.status == status
            one.close()


async def test_an_outbound_proxy_over_tls_is_verified(tmp_path: Path, authority: Authority) -> None:
    """Everything goes to a proxy by sips: the copy is there when the certificate names it, and nowhere else."""
    # spec S-TLS-5
    # spec S-DNS-2
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.path.parent / "server.pem")
    (listener,) = await trio.open_ssl_over_tcp_listeners(0, context, host="127.0.0.1", https_compatible=True)
    port = listener.transport_listener.socket.getsockname()[1]  # type: ignore[attr-defined]
    proxy = [f"tls.ca={authority.path}", f"imc.outbound_proxy=sips:127.0.0.1:{port}"]
    async with stage(settings(tmp_path, *flags(authority, *proxy))) as on, listener:
        alice = await on.client("alice", is_registered=False)
        assert (await alice.message(ROOM, "#create")).status == 200
        stream = await listener.accept()
        data = b""
        while b"\r\n\r\n" not in data:
            data += await stream.receive_some()
        assert data.startswith(b"MESSAGE sip:alice@example.com SIP/2.0\r\nVia: SIP/2.0/TLS ")
        await trio.aclose_forcefully(stream)


async def test_certificates_are_read_again_by_a_signal(tmp_path: Path) -> None:
    # spec S-TLS-3
    old = Authority(tmp_path)
    certificate = old.issue("localhost")
    config = f"""
[imc]
domains = ["example.com"]
[sip]
listen = ["udp:127.0.0.1:0", "tcp:127.0.0.1:0", "tls:127.0.0.1:0"]
[tls]
certificate = "{certificate}"
[auth]
mode = "none"
[manage]
listen = ""
"""
    async with served(tmp_path, config) as on:
        on.addresses["tls"] = on.daemon.address("tls")
        alice = await on.client("alice", transport="tls", tls=old.client_context())
        fresh = tmp_path / "fresh"
        fresh.mkdir()
        new = Authority(fresh)
        os.replace(new.issue("localhost"), certificate)
        await reload(on)
        with pytest.raises(BaseExceptionGroup) as caught:
            async with trio.open_nursery() as nursery:
                await SipClient.open(
                    nursery, "sip:bob@example.com", on.addresses["tls"], transport="tls", tls=old.client_context()
                )
        assert caught.group_contains(ssl.SSLCertVerificationError)
        bob = await on.client("bob", transport="tls", tls=new.client_context())
        assert (await alice.message("sip:bob@example.com", "the old connection lives")).status == 200
        certificate.write_text("no certificate")
        await reload(on)
        assert "certificates-not-reloaded" in on.daemon.log.read_text()
        carol = await on.client("carol", transport="tls", tls=new.client_context())
        assert (await carol.message("sip:alice@example.com", "still")).status == 200
        bob.close()


async def reload(on: Any) -> None:
    on.daemon.send(signal.SIGHUP)
    await on.wait_notice("READY=1")


async def test_a_server_without_a_certificate_does_not_start(tmp_path: Path, authority: Authority) -> None:
    # spec S-TLS-3
    broken = settings(tmp_path, *flags(authority, f"tls.key={authority.path}"))
    with pytest.raises(BaseExceptionGroup) as caught:
        async with stage(broken):
            pass
    assert "TLS certificate" in repr(caught.value.exceptions)


async def test_an_answer_for_a_browser_that_is_gone_is_lost(tmp_path: Path, authority: Authority) -> None:
    # spec S-WS-6
    async with stage(settings(tmp_path, *flags(authority))) as on:
        bob = await client(on, authority, "bob", "udp")
        bob.answer = None
        alice = await client(on, authority, "alice", "ws", is_registered=False)
        async with trio.open_nursery() as nursery:

            async def say() -> None:
                with pytest.raises(NoAnswer):
                    await alice.message("sip:bob@example.com", "hello")

            nursery.start_soon(say)
            heard = await bob.wait_message(text="hello")
            alice.close()
        await gone(on.daemon, "tcp_connections", 0)
        bob.send_raw(_answer(heard.request))
        carol = await client(on, authority, "carol", "ws")
        assert (await carol.message("sip:carol@example.com", "the daemon lives")).status == 200


def _answer(request: Any) -> bytes:
    from imc.sip.uas import build_response

    return build_response(request, 200, to_tag="t").render()


async def test_fifteen_hundred_connections_beside_udp(tmp_path: Path, authority: Authority) -> None:
    """A third says nothing to TLS, a third is silent after its handshake, a third are WebSockets: others go on."""
    # spec S-NET-3
    # spec S-TLS-2
    many = [f"sip.{name}=2000" for name in ("max_connections", "max_connections_per_address")]
    context = authority.client_context()
    async with stage(settings(tmp_path, *flags(authority, *many))) as on, trio.open_nursery() as nursery:
        at = on.addresses
        alice = await client(on, authority, "alice", "udp")
        bob = await client(on, authority, "bob", "tls")
        streams: list[trio.abc.Stream] = []

        async def open_some(kind: str) -> None:
            for _ in range(50):
                stream: trio.abc.Stream = await trio.open_tcp_stream(*at["ws" if kind == "ws" else "tls"])
                streams.append(stream)
                if kind == "ws":
                    await stream.send_all(handshake())
                    assert b" 101 " in await stream.receive_some()
                elif kind == "tls":
                    stream = trio.SSLStream(stream, context, server_hostname="localhost")
                    streams[-1] = stream
                    await stream.do_handshake()

        async with trio.open_nursery() as opening:
            for kind in ("silent", "tls", "ws"):
                for _ in range(10):
                    opening.start_soon(open_some, kind)
        with trio.fail_after(20):
            while on.daemon.statistics()["tcp_connections"] < 1501:
                await trio.lowlevel.checkpoint()
        for one, other in ((alice, bob), (bob, alice)):
            assert (await one.message(other.address, "through the crowd")).status == 200
        assert (await (await client(on, authority, "carol", "wss")).message(ROOM, "#create")).status == 200
        assert on.daemon.statistics()["tcp_connections"] == 1502
        for stream in streams:
            await trio.aclose_forcefully(stream)
        nursery.cancel_scope.cancel()


async def test_hostile_connections_end_nothing(tmp_path: Path, authority: Authority) -> None:
    """What is no TLS, no WebSocket, or breaks off anywhere: the listeners go on, and nothing is logged as a failure."""
    # spec S-TLS-4
    # spec S-NET-6
    hello = handshake() + masked(b"OPTIONS sip:example.com SIP/2.0\r\n\r\n")
    endless = handshake() + fragment(b"", Opcode.TEXT) + fragment(b"") * 5_000
    attacks = {
        "tls": [b"\x16\x03\x01\x02\x00\x01" + b"\xff" * 600, b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 70_000],
        "ws": [b"\x16\x03\x01\x02\x00", hello[:90], hello[:-5], handshake(protocol="xmpp"), hello * 2, endless],
    }
    attacks["ws"] += [handshake() + frame for frame in (b"\x81\xff" + b"\xff" * 12, b"\x81\x05hello")]
    async with stage(settings(tmp_path, *flags(authority))) as on:
        for transport, octets in attacks.items():
            for data in octets:
                stream = await trio.open_tcp_stream(*on.addresses[transport])
                with suppress(trio.BrokenResourceError):
                    await stream.send_all(data)
                    await stream.send_eof()
                    while await stream.receive_some():
                        pass
                await trio.aclose_forcefully(stream)
        await gone(on.daemon, "tcp_connections", 0)
        assert on.daemon.statistics()["callback_failures"] == 0
        for name in ("tls", "ws", "wss"):
            one = await client(on, authority, name, name)
            assert (await one.message(ROOM, "#join")).status == 200


async def test_openssl_s_client_is_a_client(tmp_path: Path, authority: Authority) -> None:
    """Another implementation's word on what is spoken; renegotiation (TLS 1.2, "R") is refused."""
    # spec S-TLS-1
    need("openssl")
    async with stage(settings(tmp_path, *flags(authority))) as on:
        port = on.addresses["tls"][1]
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost"]
        command += ["-CAfile", str(authority.path), "-verify_return_error", "-verify_hostname", "localhost", "-tls1_2"]
        env = {"PATH": os.environ["PATH"]}
        async with Program.running(command, env=env, cwd=tmp_path) as program:
            await program.wait_output(r"Verify return code: 0 \(ok\)")
            assert "Secure Renegotiation IS supported" in program.output
            assert "Compression: NONE" in program.output
            await program.type("R\n")
            await program.wait_end()
        assert on.daemon.statistics()["callback_failures"] == 0
