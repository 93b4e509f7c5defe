"""``imc`` of a sandbox without the start of an interpreter: forked off a process that has everything imported.

The program on the path of a page is a small client (`CLIENT`): it hands over its arguments, its folder, its environment
and its standard files, and ends with the status that it is told. The rest is `tests.daemon`.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.daemon import _forks, _run

CLIENT = """\
import json, os, socket, sys
at = socket.socket(socket.AF_UNIX)
at.connect(sys.argv[1])
call = json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(at, [len(call).to_bytes(4, "big")], [0, 1, 2])
at.sendall(call)
sys.exit(int(at.recv(16)))
"""


@contextmanager
def serving(place: Path) -> Iterator[None]:
    """Answers clients that connect to ``place``, until the end of the block."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen()
        threading.Thread(target=_accept, args=(listener,), daemon=True).start()
        try:
            yield
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket) -> None:
    with suppress(OSError):  # it was closed
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_answer, args=(client,), daemon=True).start()


def _answer(client: socket.socket) -> None:
    with client:
        size, files, _, _ = socket.recv_fds(client, 4, 3)
        try:
            call = b""
            while len(call) < int.from_bytes(size, "big"):
                call += client.recv(65_536)
            arguments, folder, env = json.loads(call)
            paths = [Path(f"/proc/{os.getpid()}/fd/{number}") for number in files]
            process = _forks.Process(target=_run, args=(arguments, Path(folder), paths, env), daemon=True)
            process.start()
            process.join()
            status = process.exitcode or 0
            process.close()
        finally:
            for number in files:
                os.close(number)
        with suppress(OSError):  # nobody waits any more
            client.sendall(str(status if status >= 0 else 128 - status).encode())
