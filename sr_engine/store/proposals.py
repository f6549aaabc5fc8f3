"""What people of Suppliers want done in the console, from the first look at what it would come to up to its end."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, func, or_, select, tuple_

from sr_engine.store.tables import console_proposals

_ROW = console_proposals.c


class ProposalState(StrEnum):
    """Where a proposal is."""

    PREPARING = "Preparing"
    """What it would come to is being worked out."""
    DRAFT = "Draft"
    """Its author looks at that."""
    WAITING = "Waiting"
    """For a second person."""
    WORKING = "Working"
    DONE = "Done"
    TURNED_DOWN = "TurnedDown"
    FAILED = "Failed"
    """It could not be worked out, or not be done to its end."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposal without what is large in it."""

    proposal_id: str
    organisation: str
    author: str
    decided_by: str | None
    made_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    state: ProposalState
    title: str
    hub_count: int
    acts: int
    acts_done: int
    summary: str
    """JSON."""
    file_name: str | None

    def is_over(self, now: datetime) -> bool:
        """Whether it was left for too long to be confirmed."""
        return self.state in {ProposalState.DRAFT, ProposalState.WAITING} and now >= self.expires_at


_COLUMNS = (
    _ROW.proposal_id,
    _ROW.organisation,
    _ROW.author,
    _ROW.decided_by,
    _ROW.made_at,
    _ROW.expires_at,
    _ROW.decided_at,
    _ROW.state,
    _ROW.title,
    _ROW.hub_count,
    _ROW.acts,
    _ROW.acts_done,
    _ROW.summary,
    _ROW.file_name,
)


def add(
    connection: Connection,
    *,
    proposal_id: str,
    organisation: str,
    author: str,
    now: datetime,
    expires_at: datetime,
    title: str,
    content: str,
    file_name: str | None = None,
    file: bytes | None = None,
) -> None:
    """Record a proposal that is to be worked out."""
    connection.execute(
        console_proposals.insert().values(
            proposal_id=proposal_id,
            organisation=organisation,
            author=author,
            made_at=now,
            expires_at=expires_at,
            state=ProposalState.PREPARING.value,
            title=title,
            hub_count=0,
            acts=0,
            acts_done=0,
            content=content,
            summary="{}",
            refused="{}",
            file_name=file_name,
            file=file,
        )
    )


def find(connection: Connection, organisation: str, proposal_id: str) -> Proposal | None:
    """A proposal of an organisation; None if it has no such one."""
    row = connection.execute(
        select(*_COLUMNS).where(_ROW.proposal_id == proposal_id, _ROW.organisation == organisation)
    ).one_or_none()
    return None if row is None else _proposal_of(row)


def listed(
    connection: Connection, organisation: str, *, before: tuple[datetime, str] | None, limit: int
) -> list[Proposal]:
    """Proposals of an organisation, newest first, beginning after the one of that time and id."""
    statement = select(*_COLUMNS).where(_ROW.organisation == organisation)
    if before is not None:
        statement = statement.where(tuple_(_ROW.made_at, _ROW.proposal_id) < tuple_(*before))
    found = connection.execute(statement.order_by(_ROW.made_at.desc(), _ROW.proposal_id.desc()).limit(limit))
    return [_proposal_of(row) for row in found]


def waiting(connection: Connection, organisation: str, now: datetime) -> int:
    """How many proposals of an organisation wait for a second person."""
    statement = select(func.count()).where(
        _ROW.organisation == organisation, _ROW.state == ProposalState.WAITING.value, _ROW.expires_at > now
    )
    return int(connection.scalar(statement) or 0)


def working(connection: Connection, since: datetime) -> list[Proposal]:
    """What was confirmed since then and is not done to its end, of all organisations, the oldest first."""
    found = connection.execute(
        select(*_COLUMNS)
        .where(_ROW.state == ProposalState.WORKING.value, _ROW.decided_at >= since)
        .order_by(_ROW.decided_at, _ROW.proposal_id)
    )
    return [_proposal_of(row) for row in found]


def stamp(connection: Connection, organisation: str, proposal_id: str) -> str:
    """A text that changes with what is shown of a proposal."""
    row = connection.execute(
        select(_ROW.state, _ROW.acts_done, _ROW.decided_at, _ROW.hub_count).where(
            _ROW.proposal_id == proposal_id, _ROW.organisation == organisation
        )
    ).one_or_none()
    return "" if row is None else "|".join(map(str, row))


def content(connection: Connection, proposal_id: str) -> str:
    """What is to be done."""
    return str(connection.scalar(select(_ROW.content).where(_ROW.proposal_id == proposal_id)))


def seen(connection: Connection, proposal_id: str) -> str:
    """What tells whether the same would be done as when somebody looked: the SHA-256 of what is to be done."""
    return hashlib.sha256(content(connection, proposal_id).encode()).hexdigest()


def refused(connection: Connection, organisation: str, proposal_id: str) -> str:
    """The hubs refused, by reason; `{}` where there are none."""
    found = connection.scalar(
        select(_ROW.refused).where(_ROW.proposal_id == proposal_id, _ROW.organisation == organisation)
    )
    return "{}" if found is None else str(found)


def file(connection: Connection, proposal_id: str) -> tuple[str, bytes]:
    """The sheet it came from, with the name of its file; empty where it is kept no longer."""
    row = connection.execute(select(_ROW.file_name, _ROW.file).where(_ROW.proposal_id == proposal_id)).one()
    return row.file_name or "", row.file or b""


def report(connection: Connection, organisation: str, proposal_id: str) -> bytes | None:
    """The sheet with what became of each row."""
    found: bytes | None = connection.scalar(
        select(_ROW.report).where(_ROW.proposal_id == proposal_id, _ROW.organisation == organisation)
    )
    return found


def change(connection: Connection, proposal_id: str, *, in_states: Sequence[ProposalState], **values: object) -> bool:
    """Change columns of a proposal that is in one of these states; False if it is not."""
    changed = connection.execute(
        console_proposals.update()
        .where(_ROW.proposal_id == proposal_id, _ROW.state.in_([state.value for state in in_states]))
        .values(**values)
    )
    return changed.rowcount == 1


def forget(connection: Connection, now: datetime, *, kept: timedelta) -> None:
    """Remove proposals that nobody confirmed in time, and what is large of those that ended long ago."""
    left = (ProposalState.PREPARING.value, ProposalState.DRAFT.value, ProposalState.FAILED.value)
    connection.execute(
        console_proposals.delete().where(_ROW.state.in_(left), _ROW.expires_at < now - timedelta(days=1))
    )
    connection.execute(
        console_proposals.update()
        .where(_ROW.made_at < now - kept, or_(_ROW.file.is_not(None), _ROW.report.is_not(None)))
        .values(file=None, report=None)
    )


def _proposal_of(row: Any) -> Proposal:
    values = row._asdict()
    return Proposal(**{**values, "state": ProposalState(values["state"])})
