"""What is done with the audit trail: playing the attempts from it, and pruning what is old."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from signing import Certificate, SigningKey
from sr_engine.domain.states import AttemptState
from sr_engine.operations.audit_verification import ChainReport, walk
from sr_engine.store import audit, audit_chain
from sr_engine.store.units_of_work import UnitOfWork

PRUNED_AT_ONCE = 10_000
"""Links that one transaction prunes of a chain, at most: nobody else writes while it lasts."""


def replay(connection: Connection) -> Mapping[tuple[str, str], AttemptState]:
    """By hub and release, the state of the newest attempt, from the audit records alone.

    Of attempts whose records have been pruned nothing is known.
    """
    newest: dict[tuple[str, str], tuple[int, AttemptState]] = {}
    for transition in audit.transitions_recorded(connection):
        now = transition.attempt_number, transition.state
        for hub_id in transition.hubs:
            key = hub_id, transition.release_id
            # A report that comes late may be of an attempt that another has followed.
            if key not in newest or newest[key][0] <= transition.attempt_number:
                newest[key] = now
    return {key: state for key, (_, state) in newest.items()}


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one transaction has pruned; nothing if there was nothing left."""

    links: int
    records: int


def prune(unit_of_work: UnitOfWork, before: datetime, key: SigningKey, certificates: Collection[Certificate]) -> Pruned:
    """Delete the oldest links all of whose records are older than `before`, and sign where the chain begins now.

    At most PRUNED_AT_ONCE links of each chain, and never the newest one. They are verified first, from the checkpoint
    on that one of `certificates` signed; raises ChainBroken, having changed nothing, if they are not what was written.
    """
    connection, now = unit_of_work.connection, unit_of_work.now
    links = records = 0
    for chain_id, writer in audit_chain.chains(connection):
        last = audit_chain.prunable(connection, chain_id, before, PRUNED_AT_ONCE)
        if last is None:
            continue
        report = ChainReport(chain_id, writer)
        walk(connection, report, certificates, up_to=last.number)
        checkpoint = audit_chain.unsigned_checkpoint(last, now)
        checkpoint = replace(checkpoint, signature=key.sign(checkpoint.text(chain_id)))
        audit_chain.prune(connection, chain_id, checkpoint, now)
        first = last.number - report.links + 1
        detail = (
            f"chain {chain_id}: links {first} to {last.number}, {report.records} records up to {last.last_audit_id}, "
            f"all before {before:%Y-%m-%dT%H:%M:%SZ}; the hash of the last is {last.hash.hex()}"
        )
        audit.record(connection, [audit.Entry(now, "operator", "audit pruned", detail)])
        links += report.links
        records += report.records
    return Pruned(links, records)
