"""The tables by themselves. What their rows do is tested with their interpreters, in test_client and test_server."""

from __future__ import annotations

import pytest

from imc.sip import transactions
from imc.sip.transactions import (
    CLIENT,
    SERVER,
    ClientAction,
    ClientEvent,
    ClientState,
    ServerAction,
    ServerEvent,
    ServerState,
    bind,
)


def test_every_state_has_its_rows_and_every_action_and_event_is_used() -> None:
    assert set(CLIENT) == set(ClientState)
    assert set(SERVER) == set(ServerState)
    assert {action for rows in CLIENT.values() for row in rows.values() for action in row.actions} == set(ClientAction)
    assert {action for rows in SERVER.values() for row in rows.values() for action in row.actions} == set(ServerAction)
    assert {event for rows in CLIENT.values() for event in rows} == set(ClientEvent)
    assert {event for rows in SERVER.values() for event in rows} == set(ServerEvent)


def test_what_ends_is_forgotten_and_nothing_leaves_the_end() -> None:
    for row in (row for rows in CLIENT.values() for row in rows.values()):
        assert (row.next is ClientState.TERMINATED) == (ClientAction.FORGET in row.actions)
    for answer in (row for rows in SERVER.values() for row in rows.values()):
        assert (answer.next is ServerState.TERMINATED) == (ServerAction.FORGET in answer.actions)
    assert CLIENT[ClientState.TERMINATED] == {}
    assert SERVER[ServerState.TERMINATED] == {}


def test_every_state_but_the_ends_has_a_timer_that_leads_to_the_end() -> None:
    for state in (ClientState.TRYING, ClientState.PROCEEDING):
        assert CLIENT[state][ClientEvent.TIMER_F].next is ClientState.TERMINATED
    assert CLIENT[ClientState.COMPLETED][ClientEvent.TIMER_K].next is ClientState.TERMINATED
    assert SERVER[ServerState.TRYING][ServerEvent.TIMER_100].next is ServerState.PROCEEDING
    assert SERVER[ServerState.PROCEEDING][ServerEvent.TIMER_GIVE_UP].next is ServerState.TERMINATED
    assert SERVER[ServerState.COMPLETED][ServerEvent.TIMER_J].next is ServerState.TERMINATED


def test_what_the_network_may_send_has_a_row_in_every_living_state() -> None:
    for state in (ClientState.TRYING, ClientState.PROCEEDING, ClientState.COMPLETED):
        assert {ClientEvent.PROVISIONAL, ClientEvent.FINAL} <= set(CLIENT[state])
    for answering in (ServerState.TRYING, ServerState.PROCEEDING, ServerState.COMPLETED):
        assert {ServerEvent.REQUEST, ServerEvent.FINAL} <= set(SERVER[answering])


def test_timer_values_are_those_of_table_4() -> None:
    assert (transactions.T1, transactions.T2, transactions.T4) == (0.5, 4.0, 5.0)
    assert transactions.TIMER_F == transactions.TIMER_J == transactions.TIMER_GIVE_UP == 32.0
    assert transactions.TIMER_K == 5.0
    assert transactions.TIMER_100 == 3.5


def test_a_table_with_an_action_that_nobody_does_cannot_be_bound() -> None:
    with pytest.raises(KeyError):
        bind(CLIENT, {})
