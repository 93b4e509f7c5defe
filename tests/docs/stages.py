"""What each page of the documentation needs so that its blocks can be run, and which of them cannot be, and why.

A page without an entry here is run on an empty stage. A block is named by its first line, or by the beginning of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.docs import scenes
from tests.docs.sandbox import Sandbox

ROOT_ONLY = "changes the system, as root"
IN_KAMAILIO = "tests/e2e/test_behind_kamailio.py runs it, against Kamailio"
IN_HOW_TO = "tests/conformance/drivers/test_how_to.py uses it"
LONG_AGO = "2000-01-01"


@dataclass(frozen=True, slots=True)
class Stage:
    """``config`` is of a daemon that runs meanwhile, in the folder of the page's commands, as imc.toml; ``users`` are
    its accounts, with passwords. ``setup`` is a script that runs first, ``prepare`` is called after it. ``files`` are
    there beforehand, ``save`` are those that toml blocks become. ``replace`` is as in `Sandbox`; @SIP@, @HTTP@ and
    @OTHER@ are free ports, @DIR@ is the folder, @ROOT@ that of the source.
    """

    not_run: Mapping[str, str] = field(default_factory=dict)
    replace: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    save: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    config: str = ""
    users: Mapping[str, str] = field(default_factory=dict)
    setup: str = ""
    prepare: Callable[[Sandbox], None] | None = None
    needs: tuple[str, ...] = ()


_CONFIG = """\
[imc]
domains = ["example.com"]
db_url = "sqlite:///imc.db"
[sip]
listen = ["udp:127.0.0.1:@SIP@", "tcp:127.0.0.1:@SIP@"]
[manage]
listen = "127.0.0.1:@HTTP@"
socket = "@DIR@/imc.sock"
ctl = "@DIR@/ctl"
fifos = ["@DIR@/fifo"]
fifo_reply_dir = "@DIR@"
"""
_ANYBODY = _CONFIG + '[auth]\nmode = "none"\n[limits]\nenabled = false\n'
_ALICE, _BOB, _LOBBY = "sip:alice@example.com", "sip:bob@example.com", "sip:chat-lobby@example.com"
_USERS = {_ALICE: "hers", _BOB: "his"}
_LOBBY_OF_TWO = f"""
say() {{ imc rpc imc.manager "$1" {_LOBBY} "$2" -c imc.toml > said; test "$(cat said)" = 1; }}
say {_ALICE} '#create'; say {_BOB} '#join'; say {_ALICE} hello; say {_ALICE} 'hello again'
"""
_NO_RPC = {"IMC_MANAGE__LISTEN": ""}
_TLS = """\
[imc]
domains = ["chat.example.com"]
[sip]
listen = ["tls:127.0.0.1:@HTTP@"]
[tls]
certificate = "@DIR@/imc.pem"
key = "@DIR@/imc.key"
[manage]
listen = ""
"""
_SMALL_LOAD = {"--repeat 3": "--repeat 1 --users 10 --messages 5"}

STAGES: dict[str, Stage] = {
    "README.md": Stage(
        not_run={"git clone": "the reader's own address; `make run` is tried with the tutorial"},
        replace={
            "udp:192.0.2.10:5060": "udp:127.0.0.1:@SIP@",
            "tcp:192.0.2.10:5060": "tcp:127.0.0.1:@SIP@",
            "user add sip:alice@chat.example.com -c imc.toml": (
                "user add sip:alice@chat.example.com --password-stdin -c imc.toml <<< secret"
            ),
            "run --target imc ": "run --target imc source/create-private ",
            "sip:192.0.2.1:5060 --users users.toml": (
                "sip:127.0.0.1:@OTHER@ --domain example.com --manager chat-manager@example.com source/create-private"
            ),
            # Measuring takes its time: the page on it does it.
            "load --vs kamailio": "load --works",
            "scale rooms --plots plots": "scale --axes",
        },
        save={"[imc]": "imc.toml"},
        env=_NO_RPC,
        config=_ANYBODY.replace("@SIP@", "@OTHER@").replace("imc.db", "other.db"),
        prepare=scenes.a_capture,
        needs=("kamailio",),
    ),
    "docs/package.md": Stage(
        not_run={"pipx install": "from an index; the tests of the package install what is built"},
        replace={
            "user add sip:alice@chat.example.com -c imc.toml": (
                "user add sip:alice@chat.example.com --password-stdin -c imc.toml <<< secret"
            ),
            "run --target imc\n": "run --target imc source/create-private\n",
        },
        env=_NO_RPC,
        files={"imc.toml": _CONFIG.replace("example.com", "chat.example.com")},
        prepare=scenes.a_capture,
    ),
    "docs/tutorial/first-room.md": Stage(
        not_run={
            "make run": "tests/docs/test_tutorial.py does it",
            "baresip": "tests/docs/test_tutorial.py types it",
            "mkdir": "tests/docs/test_tutorial.py types it",
        },
    ),
    "docs/how-to/absent-members.md": Stage(
        config=_ANYBODY + "[delivery]\nmax_waiting = 1\n",
        setup=_LOBBY_OF_TWO,
        prepare=scenes.dead_letters,
        replace={"2026-11-23 07:49:31  480": "…", "sip:chat-1@": "sip:chat-lobby@"},
    ),
    "docs/how-to/behind-kamailio.md": Stage(
        not_run={
            "apt install": ROOT_ONLY,
            "for part in": IN_KAMAILIO,
            "kamctl add": IN_KAMAILIO,
            "sipsak": IN_KAMAILIO,
        },
    ),
    "docs/how-to/behind-opensips.md": Stage(
        not_run={"opensips -C": "Debian has no package of OpenSIPS"},
        replace={"behind-kamailio.toml": "@ROOT@/docs/how-to/behind-kamailio.toml"},
    ),
    "docs/how-to/chat-page.md": Stage(
        replace={
            "/etc/imc/fullchain.pem": "@DIR@/imc.pem",
            "/etc/imc/privkey.pem": "@DIR@/imc.key",
        },
        prepare=scenes.certificates,
        needs=("openssl",),
    ),
    "docs/how-to/databases.md": Stage(
        not_run={"createuser": "tests/docs/test_databases.py runs it, on a server of its own"},
        config=_CONFIG,
        users=_USERS,
        setup=f"imc rpc imc.manager {_ALICE} {_LOBBY} '#create' -c imc.toml",
        replace={
            "/var/backups/": "@DIR@/",
            "imc db restore": "IMC_IMC__DB_URL=sqlite:///other.db imc db restore",
        },
    ),
    "docs/how-to/embed.md": Stage(
        not_run={"pip install": "from an index; the tests of the package install what is built"},
    ),
    "docs/how-to/install.md": Stage(
        not_run={
            "python3 -m venv": ROOT_ONLY + "; the tests of the package install what is built",
            "cp /opt": ROOT_ONLY,
            "podman build": "fetches images",
        },
        replace={
            "/var/lib/imc/": "@DIR@/",
            "runuser -u imc -- /opt/imc/bin/imc": "imc",
            "user add sip:alice@chat.example.com -c /etc/imc.toml": (
                "user add sip:alice@chat.example.com --password-stdin -c imc.toml <<< secret"
            ),
        },
        save={"[imc]": "imc.toml"},
    ),
    "docs/how-to/manage.md": Stage(
        config=_CONFIG,
        users={**_USERS, "sip:carol@example.com": "hers", "sip:dora@example.com": "hers"},
        setup=_LOBBY_OF_TWO,
        replace={
            "127.0.0.1:8060": "127.0.0.1:@HTTP@",
            "/tmp/reply": "@DIR@/reply",
            "/run/imc/fifo": "@DIR@/fifo",
            "/run/imc/ctl": "@DIR@/ctl",
            "2026-11-30": LONG_AGO,
            "#invite sip:bob@example.com": "#invite sip:carol@example.com",
            # Each of these stands for itself: what one of them ends, the next one needs.
            "imc forget sip:alice@": "imc forget sip:dora@",
            "room create chat-lobby": "room create chat-other",
            "room add chat-lobby bob": "room add chat-lobby carol",
            "room destroy chat-lobby": "room destroy chat-other --yes",
        },
        needs=("curl", "kamcmd"),
    ),
    "docs/how-to/measure.md": Stage(
        not_run={
            "apt-get": ROOT_ONLY,
            "imc-conformance scale": "takes its time: tests/conformance/load/test_scale_command.py",
            "imc-conformance load small-rooms --messages 50000": "py-spy is not among what tests install",
        },
        replace={
            **_SMALL_LOAD,
            "load --vs kamailio": "load fan-out-1000 --users 10 --messages 5 --repeat 1 --vs kamailio",
            "load commands small-rooms": "load commands --users 2 --messages 4 --repeat 1",
            "127.0.0.1:5060": "127.0.0.1:@SIP@",
        },
        save={"[imc]": "imc.toml"},
        env={"IMC_DOCS_STAY": "1", **_NO_RPC},
    ),
    "docs/how-to/migrate.md": Stage(
        replace={"mysql://kamailio:SECRET@localhost/kamailio": "sqlite:///@DIR@/kamailio.db"},
        files={"imc.toml": _ANYBODY},
        prepare=scenes.a_kamailio,
    ),
    "docs/how-to/monitor.md": Stage(
        config=_CONFIG,
        users=_USERS,
        replace={"127.0.0.1:8060": "127.0.0.1:@HTTP@"},
        needs=("curl",),
    ),
    "docs/how-to/operators-page.md": Stage(
        not_run={"ssh": "there is no other machine"},
        config=_CONFIG,
        replace={
            "add olga --role admin -c imc.toml": "add olga --role admin --password-stdin -c imc.toml <<< 'long secret'",
            "password olga -c imc.toml": "password olga --password-stdin -c imc.toml <<< 'longer one'",
        },
    ),
    "docs/how-to/prove-a-run.md": Stage(
        files={"imc.toml": _ANYBODY},
        env={"IMC_DOCS_SAY": _LOBBY_OF_TWO},
        replace={
            "/var/log/imc/": "@DIR@/",
            "1431 decisions on 6 rooms": "… decisions on … rooms",
            "52 clauses": "… clauses",
            "5 of 11": "… of …",
        },
    ),
    "docs/how-to/replay-a-trace.md": Stage(
        not_run={
            "tshark": "captures on all interfaces, as root",
            "imc-replay record": "runs until Ctrl-C: tests/conformance/replay/test_cli.py",
        },
        replace={
            "sip:192.0.2.9:5060 --domain test.example": "sip:127.0.0.1:@SIP@ --domain example.com",
            "talk.pcapng --target kamailio": "talk.pcapng --target kamailio --quiet --ignore body || test $? = 1",
        },
        config=_ANYBODY,
        prepare=scenes.a_capture,
        needs=("kamailio",),
    ),
    "docs/how-to/test-your-own-server.md": Stage(
        not_run={
            "pip install": "from an index; the tests of the package install what is built",
            "# users.toml": IN_HOW_TO,
            "# yourserver.toml": IN_HOW_TO,
            "lacks = [": IN_HOW_TO,
            "[[deviation]]": IN_HOW_TO,
            "# yourserver.py": IN_HOW_TO,
            "imc-conformance run --target ./yourserver.py": IN_HOW_TO,
            "imc-conformance run --target sip:192.0.2.7:5060 --as-outbound-proxy": (
                "the server must have the run as its proxy: tests/conformance/drivers"
            ),
            "imc-conformance run --target sip:192.0.2.7 --users": "plays all cases, one at a time; its options: "
            + IN_HOW_TO,
        },
        replace={
            "192.0.2.7:5060": "127.0.0.1:@SIP@",
            "--not slow source": "--not slow source/create-private --manager chat-manager@example.com",
            "--json run.json": "source/create-private --manager chat-manager@example.com --json run.json",
            "'invite/*' R-JOIN-4": "invite/newest-inviter-is-told",
        },
        config=_ANYBODY,
    ),
    "docs/how-to/tls.md": Stage(
        not_run={"#!/bin/sh": "a hook of certbot: " + ROOT_ONLY},
        replace={
            "openssl s_client": "IMC_DOCS_SAY='openssl s_client",
            "-verify_return_error": "-verify_return_error < /dev/null' imc serve -c tls.toml",
            "192.0.2.10:5061": "127.0.0.1:@HTTP@",
            "/etc/letsencrypt/live/chat.example.com/fullchain.pem": "@DIR@/imc.pem",
            "/etc/letsencrypt/live/chat.example.com/privkey.pem": "@DIR@/imc.key",
            "/etc/imc/ca.pem": "@DIR@/ca.pem",
        },
        files={"tls.toml": _TLS},
        prepare=scenes.certificates,
        needs=("openssl",),
    ),
}
