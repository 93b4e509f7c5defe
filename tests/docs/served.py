"""``imc serve`` for a page: it runs until it says that it is ready, is ended by SIGTERM, and its status is the page's.

``IMC_DOCS_SAY`` is a script for while it runs.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

_WITHIN = 60.0


def main() -> int:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        path = Path(folder) / "notify"
        notices.bind(str(path))
        notices.settimeout(0.2)
        env = {**os.environ, "NOTIFY_SOCKET": str(path)}
        process = subprocess.Popen([sys.executable, "-m", "imc", *sys.argv[1:]], env=env)
        for _ in range(int(_WITHIN / 0.2)):
            try:
                if b"READY=1" in notices.recv(4096).split(b"\n"):
                    said = subprocess.run(["bash", "-euc", os.environ.get("IMC_DOCS_SAY", "")], check=False)
                    process.send_signal(signal.SIGTERM)
                    return process.wait(_WITHIN) or said.returncode
            except TimeoutError:
                if process.poll() is not None:
                    break
        return process.wait(_WITHIN)


if __name__ == "__main__":
    sys.exit(main())
