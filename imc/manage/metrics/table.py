"""Every metric: its name, kind, meaning, and where its numbers come from. The reference page is made from here.

Names are Prometheus' way: base units, ``_total`` for what only grows. A figure of `imc.app.Daemon.statistics` that
has no row here fails a test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Metric:
    """``name`` is without ``_total``. ``sources``: the figures, each with its value of the one label; or the name of a
    tally or histogram of `imc.measures.Measures`, with the names of its labels in ``labels``."""

    name: str
    kind: Kind
    help: str
    sources: tuple[tuple[str, str], ...] = ()
    labels: tuple[str, ...] = ()
    measure: str = ""

    @property
    def shown(self) -> str:
        return f"{self.name}_total" if self.kind == "counter" else self.name


def _counter(name: str, figure: str, text: str) -> Metric:
    return Metric(name, "counter", text, ((figure, ""),))


def _gauge(name: str, figure: str, text: str) -> Metric:
    return Metric(name, "gauge", text, ((figure, ""),))


def _by(kind: Kind, name: str, label: str, text: str, **figures: str) -> Metric:
    """One metric of several figures, told apart by a label."""
    return Metric(name, kind, text, tuple((figure, value) for value, figure in figures.items()), (label,))


def _tally(name: str, measure: str, text: str, *labels: str) -> Metric:
    return Metric(name, "counter", text, labels=labels, measure=measure)


def _histogram(name: str, measure: str, text: str) -> Metric:
    return Metric(name, "histogram", text, measure=measure)


_ENDS = (
    "eof", "reset", "bad_stream", "bad_tls", "no_handshake", "too_slow", "idle", "write_overflow", "evicted", "stopped",
)  # fmt: skip
_VERDICTS = ("ok", "stale", "replay", "wrong", "malformed", "challenge", "forbidden", "unheard")

METRICS: tuple[Metric, ...] = (
    # Rooms
    _gauge("imc_rooms", "active_rooms", "Rooms that exist."),
    _gauge("imc_rooms_in_memory", "rooms_in_memory", "Rooms that are in memory, since they were used of late."),
    _gauge("imc_members_in_memory", "members_in_memory", "Members of the rooms that are in memory."),
    _tally(
        "imc_room_requests",
        "judged",
        "What was asked of rooms: the command, or message; and the status it got.",
        "kind",
        "status",
    ),
    _tally("imc_refusals", "refusals", "What rooms refused, by clause of spec/room.md and event.", "clause", "event"),
    _by(
        "counter", "imc_room_traffic", "kind", "Texts that rooms took, copies of them, and commands that were obeyed.",
        message="room_messages", copy="room_copies", command="room_commands",
    ),
    _tally("imc_limit_hits", "limits", "Requests refused or dropped for a limit of [limits], by its name.", "limit"),
    # Requests
    _tally(
        "imc_sip_requests",
        "requests",
        "Requests that got a final answer from imc's services, by method and status.",
        "method",
        "status",
    ),
    _histogram(
        "imc_answer_seconds", "answer_seconds", "From a request that was accepted to its final answer, commit included."
    ),
    _counter("imc_sip_messages_received", "received", "SIP messages that came in, requests and responses."),
    _counter("imc_sip_bad_messages", "bad_messages", "Messages that are no SIP, or break it."),
    _by(
        "counter", "imc_sip_stray_messages", "kind", "Messages that belong to nothing: dropped.",
        response="stray_responses", request="stray_requests", merged="merged", unanswerable="unanswerable",
    ),
    _counter("imc_sip_overloaded", "overloaded", "Requests refused since a bound of the SIP stack was reached."),
    _counter("imc_sip_stateless_answers", "stateless_answers", "Answers without a transaction: 401, and what is bad."),
    _counter("imc_source_messages_muted", "messages_muted", "Messages dropped unread, of sources that are muted."),
    _counter("imc_source_answers_withheld", "answers_withheld", "Answers kept back: the source had not paid for them."),
    _gauge("imc_sources_known", "sources_known", "Sources that are counted at the moment."),
    # Transactions
    _by(
        "gauge", "imc_sip_transactions", "side", "SIP transactions in memory.",
        server="server_transactions", client="client_transactions",
    ),
    _gauge(
        "imc_sip_client_transactions_absorbing", "client_transactions_absorbing",
        "Client transactions that are answered, and wait for repeats.",
    ),
    _by(
        "counter", "imc_sip_server_requests", "event", "Server transactions: what became of requests.",
        accepted="requests_accepted", answered="requests_answered", absorbed="requests_absorbed",
        given_up="requests_given_up",
    ),
    _by(
        "counter", "imc_sip_server_answers", "event", "Final answers sent again, and those that came too late to send.",
        repeated="answers_repeated", discarded="answers_discarded",
    ),
    _by(
        "counter", "imc_sip_client_requests", "event", "Client transactions: what became of requests that imc sent.",
        started="requests_started", retransmitted="requests_retransmitted", timed_out="requests_timed_out",
        failed="requests_failed", abandoned="requests_abandoned",
    ),
    _by(
        "counter", "imc_sip_client_responses", "event", "Responses to requests that imc sent.",
        final="responses_final", absorbed="responses_absorbed",
    ),
    _gauge("imc_sip_timers", "timers", "Timers that run."),
    # Delivery
    _by(
        "counter", "imc_deliveries", "result",
        "Copies for one recipient: confirmed with a 2xx; refused for good; silent; beyond a bound; expired.",
        delivered="delivered", failed="failed", timed_out="timed_out", overflowed="overflowed", lapsed="lapsed",
    ),
    _counter("imc_deliveries_put_off", "put_off", "Copies put off, since their recipient could not take them now."),
    _histogram(
        "imc_delivery_seconds", "delivery_seconds",
        "From a decision to the moment at which all its copies were confirmed, had failed, or had to wait.",
    ),
    _gauge("imc_delivery_jobs", "jobs", "Decisions of which some copies are not settled."),
    _gauge("imc_delivery_queued", "queued", "Copies in memory that are not settled."),
    _gauge("imc_delivery_lanes_ready", "ready", "Lanes that could send, and wait for their turn or for a window."),
    _gauge("imc_waiting_copies", "waiting", "Copies in the database that wait for a recipient who is away."),
    _gauge("imc_waiting_recipients", "backlogs", "Recipients for whom copies wait."),
    _counter("imc_waiting_kept", "kept", "Copies that got a row of their own in the database, to wait."),
    _counter("imc_dead_letters", "dead_letters", "Copies that became dead letters."),
    _counter("imc_waiting_expired", "expired", "Copies whose sender's Expires ended while they waited."),
    _gauge("imc_withdrawals", "withdrawals", "Decisions that failed, whose outbox row is to be removed."),
    _counter(
        "imc_withdrawals_lost", "withdrawals_lost",
        "Such decisions beyond the bound: a start may deliver what its sender was told had failed.",
    ),
    # Registrations, identity
    _gauge("imc_bindings", "bindings", "Contacts that are registered."),
    _by(
        "counter", "imc_authentications", "verdict", "Verdicts on who a request is from.",
        **{verdict: f"auth_{verdict}" for verdict in _VERDICTS},
    ),
    _gauge("imc_accounts_guessed", "accounts_guessed", "Names for which wrong passwords came of late, bounded."),
    _by(
        "gauge", "imc_accounts_cached", "kind", "Accounts in the cache: known, known to be none, being read.",
        known="accounts_known", unknown="accounts_unknown", loading="accounts_loading",
    ),
    _gauge("imc_accounts_reachable", "accounts_reachable", "1 where accounts could be read at the last try, else 0."),
    # Rosters and reports
    _gauge("imc_subscriptions", "subscriptions", "Subscriptions to who is in a room."),
    _gauge("imc_rooms_watched", "rooms_watched", "Rooms that somebody is subscribed to."),
    _by(
        "counter", "imc_notifies", "result", "NOTIFY requests, and those that nobody took.",
        sent="notifies_sent", failed="notifies_failed",
    ),
    _gauge("imc_messages_with_reports", "messages_with_reports", "Messages whose delivery reports are gathered."),
    # Database
    _counter("imc_commits", "commits", "Transactions that were tried, each with all that had come meanwhile."),
    _histogram("imc_commit_seconds", "commit_seconds", "How long a transaction took, on its way to the disk and back."),
    _histogram("imc_commit_size", "commit_size", "Decisions in one transaction."),
    _counter("imc_commit_submissions", "submissions", "Decisions that were committed, or failed to be."),
    _counter("imc_commit_failures", "failures", "Decisions that could not be committed."),
    _counter("imc_commit_refused", "refused", "Decisions refused, since too many waited for the database."),
    _gauge("imc_commit_largest", "largest_batch", "Decisions in the largest transaction since the start."),
    _gauge("imc_commit_waiting", "writes_waiting", "Decisions that wait for a transaction."),
    _gauge("imc_commit_in_flight", "in_flight", "Decisions in the transaction that is under way."),
    _counter("imc_history_removed", "messages_removed", "Messages removed from the log, beyond its bounds."),
    # Transports
    _by(
        "counter", "imc_udp_datagrams", "direction", "Datagrams received, and sent.",
        received="udp_received", sent="udp_sent",
    ),
    _counter("imc_udp_keep_alives", "udp_keep_alives", "Keep-alives among them, STUN and CRLF."),
    _counter("imc_udp_held", "udp_held", "Datagrams that waited, since the socket's buffer was full."),
    _by(
        "counter", "imc_udp_dropped", "why", "Datagrams that could not be sent.",
        failure="udp_send_failures", queue="udp_queue_drops",
    ),
    _gauge("imc_udp_queued", "udp_queued", "Datagrams that wait for the socket."),
    _gauge("imc_stream_connections", "tcp_connections", "Connections that are open: TCP, TLS, WebSocket."),
    _by(
        "counter", "imc_stream_connections_begun", "how", "Connections accepted, opened by imc, and refused.",
        accepted="tcp_accepted", opened="tcp_opened", refused="tcp_refused",
    ),
    _by(
        "counter", "imc_stream_bytes", "direction", "Bytes over connections.", received="tcp_received", sent="tcp_sent"
    ),
    _by(
        "counter", "imc_stream_connections_ended", "why", "How connections ended.",
        **{end: f"tcp_ended_{end}" for end in _ENDS},
    ),
    _counter("imc_callback_failures", "callback_failures", "Errors of imc itself, caught by a transport: report them."),
    # Management
    _counter("imc_audit_rows", "audit_rows", "Rows of the audit that were to be written."),
    _counter("imc_audit_removed", "audit_removed", "Rows of the audit removed, beyond its bounds."),
    _counter("imc_audit_lost", "audit_lost", "Rows of the audit that could not be written."),
    _tally("imc_rpc_calls", "calls", "Calls of RPC methods, by method and whether they went well.", "method", "result"),
)  # fmt: skip

SUMS = frozenset({"refusals", "limits_hit"})
"""Figures that the tallies above tell in parts."""

INFO = Metric("imc_build", "gauge", "Always 1; the version is in its labels.", labels=("version", "python"))
START = Metric("imc_start_time_seconds", "gauge", "When the daemon started, in unix seconds.")
LAG = Metric("imc_loop_lag_seconds", "gauge", "How long this scrape waited for the event loop.")
OWN: tuple[Metric, ...] = (INFO, START, LAG)
"""What is not in a snapshot."""


def page() -> str:
    """docs/reference/metrics.md."""
    lines = [
        "# Metrics",
        "",
        "This page is made from the code by `imc reference metrics`; a test fails where it is stale.",
        "",
        "`GET /metrics` of the [management's HTTP](../how-to/monitor.md) gives these, and those of the process",
        "(`process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_open_fds` …). A counter begins at 0",
        "when the daemon starts. No label names a user, a room or an address.",
        "",
        "| Metric | Kind | Labels | What it is |",
        "| --- | --- | --- | --- |",
    ]
    for metric in (*METRICS, *OWN):
        labels = ", ".join(f"`{label}`{_values(metric)}" for label in metric.labels)
        lines.append(f"| `{metric.shown}` | {metric.kind} | {labels} | {metric.help} |")
    return "\n".join(lines) + "\n"


def _values(metric: Metric) -> str:
    return f": {', '.join(value for _, value in metric.sources)}" if metric.sources else ""
