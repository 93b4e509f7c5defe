"""`imc-replay record`."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import Annotated, BinaryIO

import trio
import typer

from conformance.replay import trace
from conformance.replay.cli.common import NOT_REACHABLE, address, fail, run_trio
from conformance.replay.clients import NotReachable
from conformance.replay.forwarder import Forwarder
from conformance.replay.people import People
from conformance.replay.recording import Address, Recorded
from conformance.replay.targets import SPAWNED, BadTarget, opened


def record(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The trace to write; it must not exist.")],
    target: Annotated[str, typer.Option("--target", metavar="sip:HOST:PORT", help="The server.")],
    listen: Annotated[
        str,
        typer.Option(
            "--listen", metavar="IP:PORT", help="Where clients reach it, over UDP and TCP: their outbound proxy."
        ),
    ] = "127.0.0.1:5070",
) -> None:
    """Stand between clients and a server, and write down what passes, until SIGINT or SIGTERM.

    Exit status: 0 ended by a signal, 2 cannot listen or write, 3 the target's name is not known.
    """
    place = address(listen, "--listen")
    assert place is not None
    if place.ip in ("0.0.0.0", "::"):  # noqa: S104
        fail("--listen: name one address, by which clients and server reach it")
    if target in SPAWNED:
        fail(f"--target: {target}: give the URI of a server that runs")
    try:
        with file.open("xb") as out:
            run_trio(_record, place, target, out)
    except OSError as error:
        fail(f"{file if error.filename else listen}: {error.strerror or error}")
    except BadTarget as error:
        fail(str(error))
    except NotReachable as error:
        fail(str(error), NOT_REACHABLE)


async def _record(listen: Address, target: str, out: BinaryIO) -> None:
    count = 0

    def tell(transport: str, source: Address, to: Address, data: bytes) -> None:
        nonlocal count
        count += 1
        out.write(trace.render(Recorded(time.time(), transport, source, to, data, "")))
        out.flush()

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with opened(target, People()) as place, trio.open_nursery() as nursery:
            forwarder = Forwarder(listen, place.address, place.transport, tell)
            bound = await nursery.start(forwarder.run)
            out.write(trace.head(server=bound))
            out.flush()
            print(f"imc-replay: listening on {bound}, udp and tcp; end it with Ctrl-C", file=sys.stderr, flush=True)
            async for _ in signals:
                break
            nursery.cancel_scope.cancel()
    dropped = f", {forwarder.dropped} dropped" if forwarder.dropped else ""
    print(f"imc-replay: {count} messages written{dropped}", file=sys.stderr)
