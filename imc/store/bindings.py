"""Bindings of the registrar, between their rows and `imc.registrar.bindings`.

A binding's flow is kept where it is a datagram's: the same addresses work after a restart. A connection does not
outlive the process, and its number may by then be another's.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from imc.registrar.bindings import Binding, split_key
from imc.sip.flow import Flow
from imc.store.addresses import Addresses
from imc.store.batch import Batch
from imc.store.database import Database
from imc.store.sql import Cursor
from imc.store.statements import Statements


class BindingStore:
    """The bindings' part of `imc.store.store.Store`."""

    database: Database
    sql: Statements
    addresses: Addresses

    def load_bindings(self) -> list[Binding]:
        """All bindings, expired ones too, in no order. A row that cannot be read is left out: users register anew."""
        rows = self.database.read(self.sql.load_bindings.rows)
        return [binding for row in rows if (binding := _binding(row, self.addresses)) is not None]


def apply_bindings(sql: Statements, cursor: Cursor, batch: Batch) -> None:
    """Write the bindings of a batch: what goes, then what comes."""
    sql.delete_bindings.many(cursor, list(batch.cleared_aors))
    gone = [(*aor, contact) for aor, group in batch.bindings.items() for contact, one in group.items() if one is None]
    sql.delete_binding.many(cursor, gone)
    put = [_row(one) for group in batch.bindings.values() for one in group.values() if one is not None]
    sql.put_binding.many(cursor, put)
    if batch.expired_before is not None:
        sql.delete_expired_bindings.one(cursor, batch.expired_before)


def _row(binding: Binding) -> Sequence[Any]:
    """In the order of `imc.store.statements.BINDING_COLUMNS`."""
    flow = binding.flow
    is_kept = flow is not None and not flow.is_reliable
    return (
        *binding.aor,
        binding.key,
        binding.q,
        binding.expires_wall,
        binding.call_id,
        binding.cseq,
        json.dumps(binding.path),
        binding.received,
        json.dumps([flow.transport, flow.local, flow.remote]) if is_kept and flow else "",
        binding.instance,
        binding.user_agent,
        binding.registered_wall,
    )


def _binding(row: Sequence[Any], addresses: Addresses) -> Binding | None:
    username, domain, key, q, expires, call_id, cseq, path, received, flow, instance, user_agent, registered = row
    aor = addresses.get(username, domain)
    if aor is None:
        return None
    try:
        contact, reg_id = split_key(key)
        return Binding(
            aor=aor,
            contact=contact,
            q=q,
            expires_wall=expires,
            call_id=call_id,
            cseq=cseq,
            path=() if path == "[]" else tuple(str(value) for value in json.loads(path)),
            received=received,
            flow=_flow(flow) if flow else None,
            instance=instance,
            reg_id=reg_id,
            user_agent=user_agent,
            registered_wall=registered,
        )
    except (ValueError, TypeError):
        return None


def _flow(text: str) -> Flow:
    transport, (local_ip, local_port), (remote_ip, remote_port) = json.loads(text)
    return Flow(str(transport), (str(local_ip), int(local_port)), (str(remote_ip), int(remote_port)))
