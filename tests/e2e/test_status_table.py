"""Every cell of the specification's status table over real UDP, with exactly who received what (spec §12)."""

from __future__ import annotations

from pathlib import Path

import pytest

from imc.config import Settings
from tests.e2e.stage import DOMAIN, Stage, settings, stage
from tests.rooms.status_table import CELLS, USERS, VARIANTS, Cell, setup

_FLAGS = {
    "create_on_join": "imc.create_on_join",
    "check_on_create": "imc.check_on_create",
    "owner_leave": "imc.owner_leave",
    "add_requires_consent": "imc.add_requires_consent",
    "start_char": "imc.imc_cmd_start_char",
    "room_pattern": "imc.room_pattern",
}


def flags_of(cell: Cell) -> tuple[str, ...]:
    return tuple(
        f"{_FLAGS[name]}={str(value).lower() if isinstance(value, bool) else value}"
        for name, value in cell.policy.items()
    )


async def play(on: Stage, cell: Cell, room: str) -> None:
    """Set the room up, give the command of the cell, and compare with what each user got."""
    for sender, body in (*setup(cell.kind), *cell.before):
        assert (await on.clients[sender].message(room, body)).status in (200, 202), body
    await on.settle(USERS)
    response = await on.clients[cell.sender].message(room, cell.body)
    received = await on.settle(USERS)
    assert response.status == cell.status, cell.id
    events = {user: [one.event for one in messages] for user, messages in received.items() if messages}
    pages = {user: list(dict.fromkeys(found)) for user, found in events.items()}
    assert pages == {user: [event] for user, event in cell.told.items()}, cell.id
    for messages in received.values():
        assert {one.sender for one in messages} <= {room}
        assert all("IMC-Hop" in one.request.headers for one in messages)
        commands = [one for one in messages if one.event != "message"]
        assert all(one.request.headers.get("In-Reply-To") for one in commands)
    if response.status >= 300:
        assert (
            response.headers.get(
                "Warning",
            )
            is not None
        )
        assert response.headers.get("IMC-Event") is not None


def groups() -> dict[tuple[str, ...], list[Cell]]:
    """Cells by the settings that they need; a daemon for each."""
    found: dict[tuple[str, ...], list[Cell]] = {}
    for cell in (*CELLS, *VARIANTS):
        found.setdefault(flags_of(cell), []).append(cell)
    return found


@pytest.mark.parametrize(
    ("flags", "cells"),
    groups().items(),
    ids=lambda value: " ".join(value) if value and isinstance(value[0], str) else "",
)
async def test_cells(tmp_path: Path, flags: tuple[str, ...], cells: list[Cell]) -> None:
    config: Settings = settings(tmp_path, *flags)
    async with stage(config) as on:
        for user in USERS:
            await on.client(user)
        for number, cell in enumerate(cells):
            await play(on, cell, f"sip:chat-{number}@{DOMAIN}")
