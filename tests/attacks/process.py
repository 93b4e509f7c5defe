"""A daemon in a process of its own, for what can be seen of a process: its memory and its descriptors."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

from imc.sip.message import Response, parse_message
from tests.attacks.attacker import request
from tests.daemon import Daemon

MIB = 1 << 20


def process_config(folder: Path, *more: str) -> str:
    lines = "\n".join(more)
    return f"""
[imc]
domains = ["example.com"]
manager_uri = "sip:chat-manager@example.com"
db_url = "sqlite:///{folder}/imc.db"
[manage]
listen = ""
[sip]
listen = ["udp:127.0.0.1:0", "tcp:127.0.0.1:0"]
{lines}
"""


def resident(daemon: Daemon) -> int:
    """Bytes of memory."""
    for line in Path(f"/proc/{daemon.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def descriptors(daemon: Daemon) -> int:
    return len(list(Path(f"/proc/{daemon.pid}/fd").iterdir()))


class Peer:
    """A blocking UDP socket; each `ask` is a barrier for what was sent before it."""

    def __init__(self, daemon: Daemon, ip: str = "127.0.0.1") -> None:
        self.sock = socket.socket(type=socket.SOCK_DGRAM)
        self.sock.bind((ip, 0))
        self.sock.settimeout(30)
        self.sock.connect(daemon.address("udp"))

    def ask(self, data: bytes) -> Response:
        self.sock.send(data)
        sent = parse_message(data, is_datagram=True)
        while True:
            answer = self.sock.recv(65_535)
            if f"Call-ID: {sent.call_id}\r\n".encode() in answer:
                response = parse_message(answer, is_datagram=True)
                assert isinstance(response, Response)
                return response

    def options(self) -> Response:
        return self.ask(request("OPTIONS", "sip:example.com"))

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Until it holds. The daemon is asked something in between: it has had its turn, and nothing sleeps."""
        for _ in range(5_000):
            if condition():
                return
            self.options()
        raise AssertionError("it did not come to pass")

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()
