"""Gates, halts and resumptions of a release in a region, as an operator asks for them.

Whatever is done twice is done once: the second time nothing changes, nobody is told, and nothing is recorded.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from sr_engine.domain.phases import OutcomeCounts, PilotCounts, RegionPhase, gate_opens_at
from sr_engine.messages.model import Firmware
from sr_engine.operations.releases import OPERATOR, ReleaseRefused, find
from sr_engine.regions.phases import Phases
from sr_engine.regions.phases import open_gate as open_gate_of
from sr_engine.store import phases
from sr_engine.store.units_of_work import UnitOfWork

_LONGEST_REASON = 500


@dataclass(frozen=True, slots=True)
class RegionReport:
    """Where a release stands in a region."""

    phase: RegionPhase
    pilot: PilotCounts
    outcomes: OutcomeCounts
    """Since it was last resumed."""
    gate_opens_at: datetime | None
    """When the gate opens by itself, as things stand; None: it is open, or the operator opens it, or not known yet."""
    shares: tuple[tuple[str, int], ...]
    """How many pilot hubs each organisation may name; empty without a limit."""


def open_gate(unit_of_work: UnitOfWork, firmware: Firmware, region: str, *, how: str = "") -> bool:
    """Let hubs of the General phase be listed in a region; False if the gate was open. Raises ReleaseRefused.

    Here as below, `how` says in the audit trail by which face, and by whom, it was asked for.
    """
    return open_gate_of(unit_of_work, _phase(unit_of_work.connection, firmware, region), actor=OPERATOR, how=how)


def halt(
    unit_of_work: UnitOfWork, machinery: Phases, firmware: Firmware, region: str, reason: str, *, how: str = ""
) -> bool:
    """List nothing more of a release in a region and tell the Suppliers of hubs that wait; False if it was halted.

    Suppliers of very many hubs are told by `tell`, or by a processor that runs. Raises ReleaseRefused.
    """
    if not reason.strip():
        raise ReleaseRefused("say why it is halted: whoever is to resume it has to know")
    if len(reason.strip()) > _LONGEST_REASON:
        raise ReleaseRefused(f"the reason may have {_LONGEST_REASON} characters: it has {len(reason.strip()):,}")
    phase = _phase(unit_of_work.connection, firmware, region)
    if phase.halted_at is not None:
        return False
    machinery.halt(unit_of_work, phase, reason.strip(), actor=OPERATOR, how=how)
    return True


def resume(unit_of_work: UnitOfWork, machinery: Phases, firmware: Firmware, region: str, *, how: str = "") -> bool:
    """List the release again and tell the Suppliers of hubs that wait; False if it was not halted.

    What failed before is not judged again. The rest as for `halt`.
    """
    phase = _phase(unit_of_work.connection, firmware, region)
    if phase.halted_at is None:
        return False
    machinery.resume(unit_of_work, phase, actor=OPERATOR, how=how)
    return True


def tell(unit_of_work: UnitOfWork, machinery: Phases, firmware: Firmware, region: str) -> bool:
    """Go on telling Suppliers of a halt or resumption; True if there are others, for the next transaction."""
    return machinery.tell(unit_of_work, _phase(unit_of_work.connection, firmware, region))


def report(connection: Connection, firmware: Firmware, now: datetime) -> list[RegionReport]:
    """Where a release stands in each of its regions, by name. Raises ReleaseRefused."""
    release = find(connection, firmware)
    shares = phases.shares_of(connection, release.release_id)
    found = []
    for region, phase in phases.of_release(connection, release.release_id).items():
        pilot = phases.pilot_counts(connection, phase, now)
        found.append(
            RegionReport(
                phase,
                pilot,
                phases.outcome_counts(connection, phase),
                None if phase.general_open else gate_opens_at(phase.plan, pilot),
                tuple((organisation, hubs) for where, organisation, hubs in shares if where == region),
            )
        )
    return found


def _phase(connection: Connection, firmware: Firmware, region: str) -> RegionPhase:
    release = find(connection, firmware)
    phase = phases.of_release(connection, release.release_id).get(region)
    if phase is None:
        regions = ", ".join(sorted(release.regions))
        raise ReleaseRefused(f"firmware {firmware.version} is not released in region {region} but in {regions}")
    if release.status == "Withdrawn":
        raise ReleaseRefused(f"firmware {firmware.version} is withdrawn: nothing more of it is listed anywhere")
    return phase
