"""Writes what is installed beside the commands, from their code: man pages here, shell completion in docs/completion.

`make reference` runs it; tests/package/test_manual.py fails where a file is stale. It is no part of imc: a wheel takes
the files as they are, so that nothing has to be imported where one is built.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer
from typer.completion import get_completion_script  # type: ignore[attr-defined]  # not in its __all__

import conformance.cli
import conformance.replay.cli
import imc.cli
from imc import __version__
from imc.config.load import is_reloadable, section_type
from imc.config.render import toml_value
from imc.config.settings import Settings

DOCS = Path(__file__).parents[1]
_DATE = "2026-12-01"  # of the version
_PROGRAMS = {"imc": imc.cli, "imc-conformance": conformance.cli, "imc-replay": conformance.replay.cli}

_ABOUT = {
    "imc": """\
.SH DESCRIPTION
People with ordinary SIP programs send text (SIP MESSAGE) to the address of a room, and everybody in the room gets it.
Rooms are made and looked after by commands in the text;
.B #help
lists them.
.B imc serve
is the daemon. The other commands look after its accounts, settings, database and rooms; those that need a running
daemon find it by its configuration.
""",
    "imc-conformance": """\
.SH DESCRIPTION
Plays cases, each with the clause it rests on, against imc, Kamailio's imc module or any other chat-room server, and
says what is not as the specification says; and measures what a server costs.
""",
    "imc-replay": """\
.SH DESCRIPTION
Takes traces of imc and captures of a network (pcap, pcapng), plays what clients sent in them to a server again, and
marks what the server does otherwise.
""",
}
_IMC = """\
.SH SIGNALS
.TP
.B SIGTERM\\fR, \\fBSIGINT
No new requests are taken, what was begun is finished, and what is not delivered is stored for the next start; within
five seconds.
.TP
.B SIGHUP
The configuration is read again. What can be changed while running takes effect; the log names the settings that need a
restart. A faulty file changes nothing.
.SH ENVIRONMENT
.TP
.B IMC_SECTION__KEY
A setting, which goes before the file: \\fBIMC_LOG__LEVEL=debug\\fR.
.TP
.B NOTIFY_SOCKET\\fR, \\fBWATCHDOG_USEC
Set by
.BR systemd (1),
which is told when the daemon is ready, reloads, ends and is alive.
.SH FILES
.TP
.I imc.toml
The configuration, where no
.B \\-c
names another; from the folder in which the command runs. See
.BR imc.toml (5).
"""
_EXIT = {"imc": "Exit status: 0 done, 1 an error, told in a line on standard error, 2 wrong usage."}

_TOML = """\
.SH NAME
imc.toml \\- settings of imc, chat rooms over SIP
.SH DESCRIPTION
A file in TOML. Every setting has a default, and an unknown one is an error.
.B imc serve \\-c
.I FILE
reads it; without
.B \\-c
it is
.I imc.toml
in the folder in which imc is started, if there is one. The environment goes before the file, as
.BR IMC_SECTION__KEY ,
and
.B \\-\\-set
.I SECTION.KEY=VALUE
before the environment.
.B imc config check
says what is wrong, with file, line and key;
.B imc config show
prints the values in force and where each comes from.
.PP
What is marked \\(lqreload\\(rq is taken over by SIGHUP; the rest needs a restart.
.SH EXAMPLE
.EX
[imc]
domains = ["chat.example.com"]
db_url = "sqlite:////var/lib/imc/imc.db"

[sip]
listen = ["udp:192.0.2.10:5060", "tcp:192.0.2.10:5060"]
.EE
"""


def files() -> dict[Path, str]:
    """What is to stand where, by path."""
    found = {DOCS / "man" / f"{name}.1": _page(name, module) for name, module in _PROGRAMS.items()}
    found[DOCS / "man" / "imc.toml.5"] = _settings()
    for name in _PROGRAMS:
        for shell, file in (("bash", name), ("zsh", f"_{name}"), ("fish", f"{name}.fish")):
            found[DOCS / "completion" / shell / file] = _completion(name, shell)
    return found


# --- man pages --------------------------------------------------------------------------------------------------------


def _page(name: str, module: Any) -> str:
    command = typer.main.get_command(module.app)
    title = (command.help or "").partition(".")[0]
    parts = [_head(name, 1), f".SH NAME\n{_text(name)} \\- {_text(title[:1].lower() + title[1:])}\n"]
    commands = list(_walk(name, command))
    parts.append(".SH SYNOPSIS\n" + "\n.br\n".join(_usage(path, each) for path, each in commands) + "\n")
    parts.append(_ABOUT.get(name, ""))
    parts += [".SH OPTIONS\n", *_parameters(command, "option", is_top=True)]
    parts.append(".SH COMMANDS\n")
    for path, each in commands:
        parts.append(f".SS {_text(path.removeprefix(name + ' '))}\n{_text(each.help or '')}\n")
        parts += [*_parameters(each, "argument"), *_parameters(each, "option")]
    parts.append(_IMC if name == "imc" else "")
    # A sentence of the module's that begins so, to the end of its paragraph.
    status = re.search(r"Exit status: (.+?)(\n\n|$)", _EXIT.get(name) or module.__doc__ or "", re.DOTALL)
    if status is not None:
        parts.append(f".SH EXIT STATUS\n{_text(status[1][:1].upper() + status[1][1:])}\n")
    others = [f".BR {_text(other)} (1)" for other in _PROGRAMS if other != name]
    parts.append(".SH SEE ALSO\n" + ",\n".join([*others, ".BR imc.toml (5)"]) + "\n")
    return "".join(parts)


def _settings() -> str:
    parts = [_head("imc.toml", 5), _TOML]
    for name, field in Settings.model_fields.items():
        section = section_type(field.annotation)
        parts.append(f".SH [{_text(name)}]\n{_text(section.__doc__ or '')}\n")
        for key, info in section.model_fields.items():
            default = getattr(Settings.model_fields[name].get_default(), key)
            notes = [] if default is None else [f"default: {_text(toml_value(default))}"]
            notes += ["reload"] if is_reloadable(info) else []
            values = [one for one in get_args(info.annotation) if get_origin(info.annotation) is Literal]
            notes += ["one of " + ", ".join(map(_text, values))] if values else []
            parts.append(f".TP\n\\fB{_text(key)}\\fR" + (f" ({'; '.join(notes)})" if notes else "") + "\n")
            parts.append(f"{_text(info.description or '')}\n")
    return "".join([*parts, ".SH SEE ALSO\n.BR imc (1)\n"])


def _head(name: str, section: int) -> str:
    made = '.\\" Made from the code by make reference; a test fails where it is stale.\n'
    return f'{made}.TH {_text(name.upper())} {section} {_DATE} "imc {__version__}" "Chat rooms over SIP"\n'


def _walk(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Every command that does something and is not hidden, with the words that call it."""
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
    for name, child in sorted((children or {}).items()):
        if not child.hidden:
            yield from _walk(f"{path} {name}", child)


def _usage(path: str, command: Any) -> str:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    words = "".join(
        f" \\fI{_text(name)}\\fR" if one.required or name.startswith("[") else f" [\\fI{_text(name)}\\fR]"
        for one in arguments
        for name in [_metavar(one)]
    )
    return f"\\fB{_text(path)}\\fR [\\fIoptions\\fR]{words}"


def _parameters(command: Any, kind: str, *, is_top: bool = False) -> Iterator[str]:
    """The options or arguments of a command, those that say something."""
    for one in command.params:
        if one.param_type_name != kind or getattr(one, "hidden", False) or not one.help:
            continue
        if one.name == "help" and not is_top:
            continue
        if kind == "argument":
            title = f"\\fI{_text(_metavar(one).strip('[]'))}\\fR"
        else:
            names = sorted([*one.opts, *one.secondary_opts], key=len)
            title = ", ".join(f"\\fB{_text(name)}\\fR" for name in names)
            title += "" if one.is_flag else f" \\fI{_text(_metavar(one))}\\fR"
        yield f".TP\n{title}\n{_text(one.help)}\n"


def _metavar(parameter: Any) -> str:
    return str(parameter.metavar or ("VALUE" if parameter.param_type_name == "option" else parameter.name.upper()))


def _text(text: str) -> str:
    """As roff has it: nothing in it is a request, hyphens are those that are typed, what is in ` is bold."""
    text = " ".join(text.split())
    # The escape character first, then what becomes an escape.
    for plain, escaped in (("\\", "\\e"), ("-", "\\-"), ("^", "\\(ha"), ("~", "\\(ti"), ("'", "\\(aq"), ("…", "...")):
        text = text.replace(plain, escaped)
    text = re.sub(r"`([^`]*)`", r"\\fB\1\\fR", text)
    return f"\\&{text}" if text.startswith(".") else text


# --- completion -------------------------------------------------------------------------------------------------------


def _completion(name: str, shell: str) -> str:
    """Typer's script, which asks the command itself what fits."""
    variable = f"_{name.replace('-', '_').upper()}_COMPLETE"
    script = get_completion_script(prog_name=name, complete_var=variable, shell=shell).strip() + "\n"
    if shell != "zsh":
        return script
    # Typer's is for .zshrc. What zsh loads from its path, on the first TAB, has to complete as well.
    function = f"_{name.replace('-', '_')}_completion"
    before, registers, after = script.partition(f"compdef {function} {name}")
    assert registers, script
    return f'{before}{function} "$@"{after}'


def main() -> None:
    """Write all of them anew."""
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
