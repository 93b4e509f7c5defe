"""Reading settings: what goes before what, and what is said of a wrong one: file, line and key."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imc.config import Loader, Settings, differences, find_file, load
from imc.config.load import line_of
from imc.errors import ConfigError


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("imc.toml")


def complaint(file: Path, text: str, *flags: str) -> str:
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file, flags)
    return str(caught.value)


def test_without_a_file_the_defaults_hold(file: Path) -> None:
    assert find_file(None) is None
    assert load() == Settings()


def test_the_file_of_this_folder_is_found(file: Path) -> None:
    file.write_text("")
    assert find_file(None) == file
    assert find_file(Path("other.toml")) == Path("other.toml")


def test_flags_go_before_the_environment_and_that_before_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("[imc]\nhash_size = 1\nrooms_table = 'one'\nmembers_table = 'm1'\n")
    monkeypatch.setenv("IMC_IMC__HASH_SIZE", "2")
    monkeypatch.setenv("IMC_IMC__ROOMS_TABLE", "two")
    imc = load(file, ["imc.hash_size=3"]).imc
    assert (imc.hash_size, imc.rooms_table, imc.members_table) == (3, "two", "m1")


@pytest.mark.parametrize("text", ["udp:127.0.0.1:1,tcp:[::1]:2", ' ["udp:127.0.0.1:1", "tcp:[::1]:2"]'])
def test_a_list_in_the_environment_is_json_or_parted_by_commas(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMC_SIP__LISTEN", text)
    assert load().sip.listen == ("udp:127.0.0.1:1", "tcp:[::1]:2")


def test_every_setting_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for section in Settings.model_fields:
        for key, value in getattr(Settings(), section).model_dump(mode="json").items():
            text = ",".join(value) if isinstance(value, list) else "" if value is None else str(value)
            monkeypatch.setenv(f"IMC_{section}__{key}".upper(), text)
    # An empty text is "not set" for those whose default is that; a token is a text of its own.
    monkeypatch.setenv("IMC_MANAGE__SOCKET", "/tmp/s")
    monkeypatch.setenv("IMC_MANAGE__TOKEN", "t")
    settings = load()
    assert settings.model_copy(update={"manage": Settings().manage}) == Settings()
    assert (settings.manage.socket, settings.manage.token) == ("/tmp/s", "t")


WRONG = {
    "value": ("[imc]\n# hash_size\nhash_size = 17\n", "imc.toml:3: [imc] hash_size: must be less than or equal to 16"),
    "kind": ("[imc]\nhash_size = 'x'", "imc.toml:2: [imc] hash_size: must be a whole number"),
    "choice": ("[auth]\nmode = 'md5'", "imc.toml:2: [auth] mode: must be 'digest', 'trusted' or 'none'"),
    "key": ("[imc]\n\nhash_sice = 4", "imc.toml:3: [imc] hash_sice: unknown setting, did you mean 'hash_size'?"),
    "section": ("[imc]\n[sipp]\na=1", "imc.toml:2: unknown section 'sipp', did you mean 'sip'?"),
    "top": ("imc = 4", "imc.toml:1: imc is a table: write [imc] on a line of its own"),
    "dotted": (
        "imc.hash_size = true\nimc.db_readers = 0",
        "imc.toml:2: [imc] db_readers: must be greater than or equal to 1",
    ),
    "inline": ("\nimc = { hash_size = 17 }", "imc.toml:2: [imc] hash_size: must be less than or equal to 16"),
    "lines": (
        "[sip]\nlisten = [\n  'udp:127.0.0.1',\n  'sctp:127.0.0.1',\n]",
        "imc.toml:2: [sip] listen: 'sctp:127.0.0.1': transport 'sctp' is none of udp, tcp",
    ),
    "in text": (
        '[imc]\nextra_hdrs = """\nX-A: hash_size\n"""\nhash_size = -1',
        "imc.toml:5: [imc] hash_size: must be greater than or equal to 0",
    ),
    "syntax": ("[imc]\nhash_size =\n", "imc.toml:2: is not TOML: Invalid value (at line 2, column 12)"),
    "open": ("[imc]\nroom_pattern = '''", "imc.toml:2: is not TOML: "),
    "between": (
        "[imc]\nmanager_uri = 'sip:m@example.com'",
        "imc.toml:2: [imc] manager_uri: example.com is none of domains: 127.0.0.1, localhost",
    ),
}


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG)
def test_a_wrong_file_is_named_with_line_and_key(file: Path, text: str, said: str) -> None:
    assert complaint(file, text).startswith(said)


def test_all_that_is_wrong_is_said_at_once(file: Path) -> None:
    text = "[imc]\nhash_size=-1\nfoo=1\n[log]\nlevel=2\n[sipp]\na=1"
    lines = [line.partition(" ")[0] for line in complaint(file, text).splitlines()]
    assert sorted(lines) == ["imc.toml:2:", "imc.toml:3:", "imc.toml:5:", "imc.toml:6:"]


def test_a_file_that_cannot_be_read(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"^imc.toml: cannot be read: No such file"):
        load(file)
    file.write_bytes(b"[imc]\n# \xff\n")
    with pytest.raises(ConfigError, match=r"^imc.toml:2: is not UTF-8$"):
        load(file)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("IMC_LOG__LEVEL", "loud", "IMC_LOG__LEVEL: must be 'debug', "),
        ("IMC_LOG__LEVL", "info", "IMC_LOG__LEVL: unknown setting, did you mean 'level'?"),
        ("IMC_LGO__LEVEL", "info", "IMC_LGO__LEVEL: unknown section 'lgo', did you mean 'log'?"),
        ("IMC_SIP__LISTEN", "", "IMC_SIP__LISTEN: at least one address"),
        ("IMC_SIP__LISTEN", '["udp:127.0.0.1"', "IMC_SIP__LISTEN: "),
    ],
)
def test_a_wrong_variable_is_named(name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        load()
    assert str(caught.value).startswith(said)


def test_a_variable_that_is_no_setting_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMC_TEST_NO_SKIP", "1")
    assert load() == Settings()


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("imc.hash_size=x", "--set imc.hash_size: must be a whole number"),
        ("imc.hash_syze=1", "--set imc.hash_syze: unknown setting, did you mean 'hash_size'?"),
        ("limit.max_text=1", "--set limit.max_text: unknown section 'limit', did you mean 'limits'?"),
        ("hash_size=1", "--set hash_size: write it as section.key=value"),
        ("imc.hash_size", "--set imc.hash_size: write it as section.key=value"),
        ("imc.db_url=mysql://u:p@h/d", "--set imc.db_url: everyone on this machine could read it"),
    ],
)
def test_a_wrong_flag_is_named(file: Path, flag: str, said: str) -> None:
    assert complaint(file, "", flag).startswith(said)


def test_no_password_is_repeated(file: Path) -> None:
    said = complaint(file, "[imc]\ndb_url = 'oracle://imc:geheim@db/imc'\n[manage]\ntoken = 3")
    assert said.startswith("imc.toml:2: [imc] db_url: unknown kind of database 'oracle'")
    assert "geheim" not in said


def test_the_source_of_each_value_is_known(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("[imc]\n\nhash_size = 1\nrooms_table = 'r'\n[log]\nlevel = 'debug'")
    monkeypatch.setenv("IMC_IMC__ROOMS_TABLE", "x")
    loader = Loader(file, ["log.level=info"])
    keys = [("imc", "hash_size"), ("imc", "rooms_table"), ("log", "level"), ("imc", "db_url")]
    assert [loader.source_of(*key) for key in keys] == ["imc.toml:3", "IMC_IMC__ROOMS_TABLE", "--set", "default"]


def test_differences_tell_what_a_reload_can_take(file: Path) -> None:
    new = load(None, ["log.level=debug", "imc.hash_size=5", "limits.enabled=false", "sip.listen=udp:127.0.0.1:7"])
    assert differences(Settings(), new) == (["log.level", "limits.enabled"], ["imc.hash_size", "sip.listen"])
    assert differences(new, new) == ([], [])


KEYS = st.sampled_from(["a", "b", "a-b", "'a b'", '"a"', "ab"])
VALUES = st.sampled_from(["1", "'x'", "'''\na = 1\n[s]\n'''", "[\n1,\n\n2]", "{a = 1, b = 2}", '"a = 1"'])
STATEMENTS = st.one_of(
    st.tuples(KEYS, VALUES).map(lambda pair: f"{pair[0]} = {pair[1]}"),
    st.sampled_from(["", "# a = 1", "[s]", "[t]", "[s.a]", "[ 's' ]"]),
)


@given(st.lists(STATEMENTS, max_size=8), st.sampled_from(["a", "b", "a b", "s"]), st.sampled_from([(), ("s",), ("t",)]))
def test_line_of_finds_the_statement(statements: list[str], key: str, table: tuple[str, ...]) -> None:
    """The statement on the line found is the one without which the document lacks the key."""
    text = "\n".join(statements)
    names = (*table, key)
    try:
        whole = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    line = line_of(text, names)
    starts = [1 + sum(part.count("\n") + 1 for part in statements[:index]) for index in range(len(statements))]
    holds = [has(tomllib.loads("\n".join(statements[: index + 1])), names) for index in range(len(statements))]
    assert line == (starts[holds.index(True)] if has(whole, names) else 0)


def has(table: object, names: tuple[str, ...]) -> bool:
    for name in names:
        if not isinstance(table, dict) or name not in table:
            return False
        table = table[name]
    return True
