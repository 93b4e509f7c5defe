"""Telling systemd how the daemon is (``Type=notify``, sd_notify(3)), without a library of its own.

Nothing happens where no service manager asked for it (``NOTIFY_SOCKET`` is unset), and a service manager that cannot
be reached never troubles the daemon.
"""

from __future__ import annotations

import os
import socket
import time


def notify(*assignments: str) -> bool:
    """Send ``KEY=value`` assignments in one datagram. True when the service manager took it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    # sd_notify(3): a leading @ stands for the NUL of the abstract namespace.
    name = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sock:
            sock.sendto("\n".join(assignments).encode(), name)
    except OSError:
        return False
    return True


def ready(status: str) -> bool:
    """Start-up, or a reload, is done; ``status`` is one line for ``systemctl status``."""
    return notify("READY=1", f"STATUS={status}")


def reloading() -> bool:
    """A reload has begun; `ready` ends it. ``Type=notify-reload`` needs the monotonic time in microseconds."""
    return notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def stopping(status: str) -> bool:
    """The daemon drains and will end."""
    return notify("STOPPING=1", f"STATUS={status}")


def alive() -> bool:
    """Still so; to be said more often than every `watchdog_seconds`."""
    return notify("WATCHDOG=1")


def watchdog_seconds() -> float | None:
    """What may pass between two signs of life, or the service manager ends us. None: it does not watch.

    sd_watchdog_enabled(3): ``WATCHDOG_USEC`` in microseconds, and ``WATCHDOG_PID``, where it is set, has to be ours.
    """
    text, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not (text.isascii() and text.isdigit() and int(text)) or pid not in ("", str(os.getpid())):
        return None
    return int(text) / 1e6
