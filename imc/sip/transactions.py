"""The non-INVITE transactions of RFC 3261 §17, as tables.

Theory. A transaction is one request and its answers between two neighbours. Its state machine is a table: for each
state, for each event that can happen in it, one `Row`: what to do, and which state is next. The state changes first,
then the actions run, in order. An event without a row cannot happen in that state. `imc.sip.client` and
`imc.sip.server` are the only interpreters of these tables; diagrams and tests read the same rows.

Client (§17.1.2, Figure 6)                       Server (§17.2.2, Figure 8)

    NEW -started-> TRYING -1xx-> PROCEEDING          NEW -request-> TRYING -100 due-> PROCEEDING
                     |               |                                |                |    |
                     +--- 2xx-6xx ---+-> COMPLETED                    +---- final -----+-> COMPLETED
                     |               |       | K                                       |    | J
                     +- F, failure --+-> TERMINATED                        give up     +-> TERMINATED

Timers (§17.1.2.2, §17.2.2, Table 4). Each transaction waits for one instant at most, so it is itself the one entry it
has in the wheel:

    E   repeats the request over an unreliable transport: T1, then twice as long each time up to T2; T2 in PROCEEDING
    F   64*T1 after the start: the client gives up
    K   T4 unreliable, 0 reliable: how long a client transaction absorbs repeated answers
    J   64*T1: how long a server transaction answers repeated requests. RFC 3261 has 0 for reliable transports, which
        repeat nothing; but a client whose connection broke sends its request again on another one

RFC 4320 changes §17.2 for the server: no provisional answer but 100, and that one not before a client's timer E has
grown to T2, yet then without fail (§4.1); no 408, and no answer at all once the client has given up (§4.2). So the
100 and the giving up are timers of the table, and the transaction user has only final answers to give.

Left out, since imc neither sends nor accepts INVITE: §17.1.1 and §17.2.1. An INVITE is answered 405 by the stateless
UAS of §8.2.7, which also ignores its ACK. A transport error (§17.2.4) is no event of the server: a stream that is gone
cannot be answered, and J ends the transaction after the attempt; a datagram's fate is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum, IntEnum
from typing import Any, NamedTuple, TypeAlias

T1 = 0.5  # seconds; estimate of the round trip
T2 = 4.0  # seconds; longest interval between two copies of a non-INVITE request
T4 = 5.0  # seconds; how long a message may stay in the network

TIMER_F = 64 * T1
# spec S-TXS-5
TIMER_J = 64 * T1
TIMER_K = T4
# RFC 4320 §4.1: "the amount of time it takes a client transaction's Timer E to be reset to T2": 0.5 + 1 + 2 s
# spec S-TXS-3
TIMER_100 = T1 + 2 * T1 + 4 * T1
# RFC 4320 §4.2: counted from the request, as the client's timer F is
# spec S-TXS-4
TIMER_GIVE_UP = TIMER_F


class ClientState(IntEnum):
    NEW = 0
    TRYING = 1
    PROCEEDING = 2
    COMPLETED = 3
    TERMINATED = 4


class ClientEvent(IntEnum):
    STARTED = 0
    PROVISIONAL = 1  # 100-199 received
    FINAL = 2  # 200-699 received
    TIMER_E = 3
    TIMER_F = 4
    TIMER_K = 5
    FLOW_FAILED = 6  # the stream was closed under it (§17.1.4)
    ABANDONED = 7  # the transaction user no longer waits for the answer


class ClientAction(Enum):
    SEND_REQUEST = "pass the request to the transport"
    SET_F = "let timer F fire in 64*T1"
    SET_E = "let timer E fire in T1; never over a reliable transport"
    DOUBLE_E = "let timer E fire in min(2 * its last interval, T2)"
    SET_E_TO_T2 = "let timer E fire in T2"
    SET_K = "let timer K fire in T4; at once over a reliable transport"
    DELIVER_RESPONSE = "pass the response to the transaction user"
    ABSORB_RESPONSE = "count and drop a repeated or late answer"
    REPORT_TIMEOUT = "tell the transaction user that no final answer came"
    REPORT_FAILURE = "tell the transaction user that the transport failed"
    FORGET = "destroy the transaction"


class ServerState(IntEnum):
    NEW = 0
    TRYING = 1
    PROCEEDING = 2
    COMPLETED = 3
    TERMINATED = 4


class ServerEvent(IntEnum):
    REQUEST = 0  # the request, or a copy of it, received
    FINAL = 1  # a 200-699 from the transaction user
    TIMER_100 = 2
    TIMER_GIVE_UP = 3
    TIMER_J = 4


class ServerAction(Enum):
    SET_100 = "let timer 100 fire when a client's timer E has grown to T2"
    SET_GIVE_UP = "let the transaction end when the client's timer F has fired"
    SET_J = "let timer J fire in 64*T1"
    SEND_TRYING = "send 100 (Trying)"
    SEND_FINAL = "send the answer and keep its bytes"
    SEND_AGAIN = "send the last answer again"
    ABSORB_REQUEST = "count and drop a copy of the request"
    DISCARD_RESPONSE = "count and drop a further answer of the transaction user"
    FORGET = "destroy the transaction"


class ClientRow(NamedTuple):
    actions: tuple[ClientAction, ...]
    next: ClientState


class ServerRow(NamedTuple):
    actions: tuple[ServerAction, ...]
    next: ServerState


def _client_rows() -> dict[ClientState, dict[ClientEvent, ClientRow]]:
    state, event, do, row = ClientState, ClientEvent, ClientAction, ClientRow
    return {
        state.NEW: {
            event.STARTED: row((do.SEND_REQUEST, do.SET_F, do.SET_E), state.TRYING),
        },
        state.TRYING: {
            event.PROVISIONAL: row((do.DELIVER_RESPONSE,), state.PROCEEDING),
            event.FINAL: row((do.DELIVER_RESPONSE, do.SET_K), state.COMPLETED),
            event.TIMER_E: row((do.SEND_REQUEST, do.DOUBLE_E), state.TRYING),
            event.TIMER_F: row((do.REPORT_TIMEOUT, do.FORGET), state.TERMINATED),
            event.FLOW_FAILED: row((do.REPORT_FAILURE, do.FORGET), state.TERMINATED),
            event.ABANDONED: row((do.FORGET,), state.TERMINATED),
        },
        state.PROCEEDING: {
            event.PROVISIONAL: row((do.DELIVER_RESPONSE,), state.PROCEEDING),
            event.FINAL: row((do.DELIVER_RESPONSE, do.SET_K), state.COMPLETED),
            event.TIMER_E: row((do.SEND_REQUEST, do.SET_E_TO_T2), state.PROCEEDING),
            event.TIMER_F: row((do.REPORT_TIMEOUT, do.FORGET), state.TERMINATED),
            event.FLOW_FAILED: row((do.REPORT_FAILURE, do.FORGET), state.TERMINATED),
            event.ABANDONED: row((do.FORGET,), state.TERMINATED),
        },
        state.COMPLETED: {
            event.PROVISIONAL: row((do.ABSORB_RESPONSE,), state.COMPLETED),
            event.FINAL: row((do.ABSORB_RESPONSE,), state.COMPLETED),
            event.TIMER_K: row((do.FORGET,), state.TERMINATED),
        },
        state.TERMINATED: {},
    }


def _server_rows() -> dict[ServerState, dict[ServerEvent, ServerRow]]:
    state, event, do, row = ServerState, ServerEvent, ServerAction, ServerRow
    return {
        state.NEW: {
            event.REQUEST: row((do.SET_100,), state.TRYING),
        },
        state.TRYING: {
            event.REQUEST: row((do.ABSORB_REQUEST,), state.TRYING),
            event.FINAL: row((do.SEND_FINAL, do.SET_J), state.COMPLETED),
            event.TIMER_100: row((do.SEND_TRYING, do.SET_GIVE_UP), state.PROCEEDING),
        },
        state.PROCEEDING: {
            event.REQUEST: row((do.SEND_AGAIN,), state.PROCEEDING),
            event.FINAL: row((do.SEND_FINAL, do.SET_J), state.COMPLETED),
            event.TIMER_GIVE_UP: row((do.FORGET,), state.TERMINATED),
        },
        state.COMPLETED: {
            event.REQUEST: row((do.SEND_AGAIN,), state.COMPLETED),
            event.FINAL: row((do.DISCARD_RESPONSE,), state.COMPLETED),
            event.TIMER_J: row((do.FORGET,), state.TERMINATED),
        },
        state.TERMINATED: {},
    }


CLIENT = _client_rows()
SERVER = _server_rows()

Handler: TypeAlias = Callable[[Any, float, Any], None]  # (transaction, now, what the event carries)
Compiled: TypeAlias = dict[int, dict[int, tuple[tuple[Handler, ...], Any]]]


def bind(table: Mapping[Any, Mapping[Any, tuple[tuple[Any, ...], Any]]], handlers: Mapping[Any, Handler]) -> Compiled:
    """The table with its actions replaced by what does them. KeyError when an action has no handler."""
    return {
        state: {
            event: (tuple(handlers[action] for action in actions), after) for event, (actions, after) in rows.items()
        }
        for state, rows in table.items()
    }
