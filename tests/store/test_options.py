"""imc.store.options"""

from __future__ import annotations

import pytest

from imc.errors import ConfigError
from imc.store.options import StoreOptions


def test_the_defaults_are_kamailios_names() -> None:
    options = StoreOptions(url="sqlite:///imc.db")
    assert (options.rooms_table, options.members_table) == ("imc_rooms", "imc_members")
    assert not options.is_exclusive


@pytest.mark.parametrize(
    ("rooms", "members"),
    [
        ("", "imc_members"),
        ("rooms; DROP TABLE x", "imc_members"),
        ("a.b", "imc_members"),
        ("x" * 64, "imc_members"),
        ("1rooms", "imc_members"),
        ("imc_rooms", "imc_rooms"),
        ("imc_rooms", "IMC_ROOMS"),
        ("imc_outbox", "imc_members"),
        ("imc_rooms", "subscriber"),
        ("version", "imc_members"),
    ],
)
def test_a_bad_or_taken_table_name_is_refused(rooms: str, members: str) -> None:
    with pytest.raises(ConfigError):
        StoreOptions(url="sqlite:///imc.db", rooms_table=rooms, members_table=members)
