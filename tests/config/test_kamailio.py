"""A kamailio.cfg becomes settings: what can be taken is, what cannot is said with its line."""

from __future__ import annotations

import tomllib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imc.config import load
from imc.config.kamailio import Translation, translate
from imc.errors import ConfigError

CFG = """\
#!KAMAILIO
#!define WITH_IMC
#!define DBURL "mysql://kam:rw@localhost/kamailio"
#!substdef "!TABLE!chatrooms!g"
listen=udp:192.0.2.1:5060   # modparam("imc", "hash_size", 9)
loadmodule "imc.so"
/* modparam("imc", "hash_size", 8)
*/
#!ifdef WITH_IMC
modparam("imc|msilo", "db_url", DBURL)
modparam("imc", "rooms_table", "TABLE")   // the rooms
modparam("imc", "hash_size", 6)
modparam("imc", "imc_cmd_start_char", "/")
modparam("imc", "outbound_proxy", "sip:127.0.0.1;transport=tcp")
modparam("imc", "extra_hdrs", "X-Room: yes\\r\\n")
modparam("imc", "create_on_join", 0)
modparam("imc", "check_on_create", 1)
#!else
modparam("imc", "hash_size", 7)
#!endif
modparam("usrloc", "hash_size", 14)
request_route { if (uri =~ "sip:chat-[0-9]+@") { imc_manager(); } }
"""


def values(found: Translation) -> dict[str, object]:
    return {name: value for name, (value, _) in found.settings.items()}


def test_every_parameter_of_the_module() -> None:
    found = translate(CFG)
    assert values(found) == {
        "db_url": "mysql://kam:rw@localhost/kamailio",
        "rooms_table": "chatrooms",
        "hash_size": 6,
        "imc_cmd_start_char": "/",
        "outbound_proxy": "sip:127.0.0.1;transport=tcp",
        "extra_hdrs": "X-Room: yes\r\n",
        "create_on_join": False,
        "check_on_create": True,
    }
    assert found.notes == []
    assert found.settings["hash_size"][1] == 12


def test_what_is_printed_can_be_read_again(tmp_path: Path) -> None:
    found = translate(CFG)
    file = tmp_path / "imc.toml"
    file.write_text(found.toml("kamailio.cfg"))
    assert tomllib.loads(file.read_text())["imc"] == values(found)
    assert load(file).imc.extra_headers == (("X-Room", "yes"),)


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ('modparam("imc", "db_mode", 2)', "1: db_mode: imc always writes before it answers; it has no other mode"),
        ('modparam("imc", "colour", "red")', "1: colour: imc has no such parameter"),
        ('modparam("imc", "hash_size", "4")', '1: hash_size: "4" is not a number'),
        ('modparam("imc", "hash_size", 40)', "1: hash_size: must be less than or equal to 16"),
        ('modparam("imc", "rooms_table", 4)', "1: rooms_table: 4 is not a text"),
        ('modparam("imc", "db_url", URL)', "1: db_url: URL is defined nowhere in this file"),
        ('\nmodparam("imc", "db_url", "oracle://x")', "2: db_url: "),
        ('include_file "rooms.cfg"', '1: "rooms.cfg" is not read: translate it too'),
        ('#!import_file "rooms.cfg"', '1: "rooms.cfg" is not read: translate it too'),
        ("#!defenv DBURL", "1: #!defenv is not followed"),
    ],
)
def test_what_cannot_be_taken_is_said(line: str, note: str) -> None:
    found = translate(line)
    assert found.settings == {}
    assert len(found.notes) == 1
    assert found.notes[0].startswith(note)


def test_the_last_of_two_counts() -> None:
    found = translate('modparam("imc", "hash_size", 3)\nmodparam("imc", "hash_size", 5)')
    assert values(found) == {"hash_size": 5}
    assert found.notes == ["2: hash_size: stands there again; the last one counts"]


def test_definitions_from_the_command_line() -> None:
    text = '#!ifndef SMALL\nmodparam("imc", "hash_size", 8)\n#!endif\nmodparam("imc", "members_table", T)'
    assert values(translate(text, defines=["SMALL", 'T="people"'])) == {"members_table": "people"}
    with pytest.raises(ConfigError, match="is not NAME"):
        translate(text, defines=["=3"])


@pytest.mark.parametrize("text", ["#!ifdef A", "#!endif", "#!else"])
def test_conditions_that_do_not_pair(text: str) -> None:
    with pytest.raises(ConfigError, match="#!"):
        translate(text)


@given(st.text(alphabet="modparam(\",imc)#!/*'\\| 0A\nifdef") | st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(ConfigError):
        translate(text, defines=["A"])
