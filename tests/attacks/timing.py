"""What an outsider could tell by time: `python -m tests.attacks.timing` (rows 2 and 18).

Two kinds of request in turn, thousands of times: to a private room and to no room; with a wrong password for an account
and for none. Printed are the medians, and how often the one of a pair took longer than the other: 50 % says nothing.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.attacks.attacker import request
from tests.attacks.process import Peer, process_config
from tests.daemon import running

_UNLIMITED = "[limits]\nenabled = false"


def to_room(name: str) -> bytes:
    return request("MESSAGE", f"sip:chat-{name}@example.com", "c:text/plain", body=b"#accept")


def with_password(user: str) -> bytes:
    uri = "sip:example.com"
    value = (
        f'Digest username="{user}",realm="example.com",nonce="AAAA",uri="{uri}",response="{"0" * 32}",qop=auth,'
        'nc=00000001,cnonce="x"'
    )
    return request("MESSAGE", uri, f"Authorization:{value}", "c:text/plain", user=user)


def compare(what: str, peer: Peer, makers: tuple[Callable[[], bytes], Callable[[], bytes]], pairs: int) -> None:
    """Ask both kinds in turn; the first ones, for which something is read, do not count."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(pairs + 50):
        for kind in ((0, 1), (1, 0))[number % 2]:  # else the one that comes second is always the one that is warm
            data = makers[kind]()
            start = time.perf_counter()
            peer.ask(data)
            if number >= 50:
                times[kind].append(time.perf_counter() - start)
    longer = sum(one > other for one, other in zip(*times, strict=True)) / pairs
    medians = [1e6 * statistics.median(each) for each in times]
    print(f"{what}: medians {medians[0]:.0f} and {medians[1]:.0f} us, the first took longer in {100 * longer:.1f} %")


def main() -> None:
    parser = argparse.ArgumentParser(description="Times that an outsider could compare.")
    parser.add_argument("--pairs", type=int, default=3_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = process_config(folder, '[auth]\nmode = "none"', _UNLIMITED)
        with running(folder, config) as daemon, Peer(daemon) as peer:
            create = request("MESSAGE", "sip:chat-a@example.com", "c:text/plain", user="alice", body=b"#create private")
            assert peer.ask(create).status == 200
            makers = lambda: to_room("a"), lambda: to_room("b")
            compare("a private room, and none", peer, makers, options.pairs)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        users = {"sip:alice@example.com": "secret"}
        with running(folder, process_config(folder, _UNLIMITED), users) as daemon, Peer(daemon) as peer:
            makers = lambda: with_password("alice"), lambda: with_password("nobod")
            compare("an account, and none", peer, makers, options.pairs)


if __name__ == "__main__":
    main()
