"""What becomes of listed hubs: acknowledgements, reports and windows that end (section 5)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from sr_engine.configuration import Region
from sr_engine.delivery.alerts import Alerts
from sr_engine.delivery.having import note_had
from sr_engine.domain.agreement import NO_COMMON_NIGHT, TOO_LATE, AttemptChange
from sr_engine.domain.changes import Changes, add_change
from sr_engine.domain.states import AttemptEvent, AttemptState, Lifecycle
from sr_engine.domain.upgrades import Attempt, Release
from sr_engine.messages.model import ReportEntry, ReportStatus, UpgradeListAcknowledgement, UpgradeReport
from sr_engine.regions.cancelling import Cancelling
from sr_engine.regions.moving import Moving
from sr_engine.regions.replacing import Replacing
from sr_engine.regions.running import Running, read_from
from sr_engine.store import audit, inventory, lists, moves, off_lists, outbox, releases, upgrade_writing, withdrawals
from sr_engine.store.lists import StoredAttempt
from sr_engine.store.moves import Move
from sr_engine.store.suppliers import Responsibility
from sr_engine.store.units_of_work import UnitOfWork

MISSED_AT_ONCE = 5_000
"""Hubs that one transaction marks as Missed, at most."""

_REPORTED = {
    ReportStatus.DELIVERED: AttemptEvent.DELIVERED,
    ReportStatus.ACTIVATED: AttemptEvent.ACTIVATED,
    ReportStatus.FAILED: AttemptEvent.FAILED,
}


class UnknownList(Exception):
    """The list named is not one that was sent to this region."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Takes in what CSPs say about listed hubs, and what they did not say in time."""

    alerts: Alerts
    lifecycle: Lifecycle
    replacing: Replacing

    def acknowledge(self, unit_of_work: UnitOfWork, message: UpgradeListAcknowledgement) -> str:
        """Accepted hubs are Accepted; refused ones go back to planning with the CSP's reason. Returns a summary."""
        connection, now = unit_of_work.connection, unit_of_work.now
        release_id = _spoken_of(unit_of_work, message.list_id, message.region).release_id
        if message.withdrawal is not None:
            return self._withdrawn(unit_of_work, message, message.withdrawal.key, release_id)
        reasons = {hub_id.upper(): refused.reason for refused in message.refused for hub_id in refused.device_ids}
        accepted = {hub_id.upper() for hub_id in message.accepted} - reasons.keys()
        known = lists.on_list(connection, message.list_id, accepted | reasons.keys())
        changes = []
        too_late = 0
        for hub_id, stored in known.items():
            event = AttemptEvent.ACCEPTED if hub_id in accepted else AttemptEvent.REFUSED
            after = self.lifecycle.after(event, stored.attempt.state)
            if after is None:
                too_late += event is AttemptEvent.REFUSED
                continue
            moved = replace(stored.attempt, state=after, state_at=now)
            if event is AttemptEvent.REFUSED:
                moved = replace(moved, list_id=None, period=None, reason=f"refused by the CSP: {reasons[hub_id]}")
            changes.append(_change(stored, event, moved))
        release = releases.by_id(connection, release_id)
        refused = {one.hub_id: one.attempt.attempt_id for one in changes if one.event is AttemptEvent.REFUSED}
        off_lists.add(connection, message.list_id, refused)
        self._write(unit_of_work, changes, release, actor=f"csp:{message.region}", key=message.message_id.key)
        lists.acknowledged(connection, message.list_id, now)
        strangers = len(accepted) + len(reasons) - len(known)
        said = f"{len(changes)} hubs acknowledged"
        said += f"; {too_late} not refused, for they were accepted before or have had an outcome" if too_late else ""
        return said + (f"; {strangers} not on the list" if strangers else "")

    def _withdrawn(
        self, unit_of_work: UnitOfWork, message: UpgradeListAcknowledgement, withdrawal: str, release_id: str
    ) -> str:
        """Hubs that the CSP has taken off the list are Cancelled, or listed anew if that was the purpose.

        What it could not stop goes on.
        """
        connection = unit_of_work.connection
        asked = withdrawals.find(connection, withdrawal, message.list_id)
        if asked is None:
            raise UnknownList(f"upgrade list {message.list_id} was not withdrawn by message {withdrawal}")
        kept = {hub_id.upper() for refused in message.refused for hub_id in refused.device_ids}
        taken_off = {hub_id.upper() for hub_id in message.accepted} - kept
        if asked.replacing:
            said = self._replaced(unit_of_work, message, asked.reason, taken_off, release_id)
        else:
            said = self._cancelled(unit_of_work, message, asked.reason, taken_off, release_id)
        withdrawals.answered(connection, withdrawal, unit_of_work.now)
        # Who has taken a hub off a list need not say any more whether it accepts it.
        lists.acknowledged(connection, message.list_id, unit_of_work.now)
        return f"{said}, {len(kept)} not"

    def _cancelled(
        self,
        unit_of_work: UnitOfWork,
        message: UpgradeListAcknowledgement,
        reason: str,
        taken_off: Collection[str],
        release_id: str,
    ) -> str:
        connection = unit_of_work.connection
        on_list = lists.on_list(connection, message.list_id, taken_off)
        cancelled = Cancelling(self.alerts, self.lifecycle)(
            unit_of_work,
            releases.by_id(connection, release_id),
            # One that a CSP has refused, or that has had its outcome, may stand on another list by now.
            [hub_id for hub_id, stored in on_list.items() if stored.attempt.with_csp],
            AttemptEvent.LIST_WITHDRAWN,
            f"withdrawn from its CSP: {reason}",
            actor=f"csp:{message.region}",
            key=message.message_id.key,
        )
        return f"{cancelled} hubs withdrawn"

    def _replaced(
        self,
        unit_of_work: UnitOfWork,
        message: UpgradeListAcknowledgement,
        reason: str,
        taken_off: Collection[str],
        release_id: str,
    ) -> str:
        # What is to be withdrawn besides is off the list too, and is not to stand on another.
        for_good: dict[str, list[str]] = defaultdict(list)
        asked = withdrawals.for_good(unit_of_work.connection, message.list_id, taken_off)
        for hub_id, why in asked.items():
            for_good[why].append(hub_id)
        for why, hub_ids in for_good.items():
            self._cancelled(unit_of_work, message, why, hub_ids, release_id)
        taken_off = [hub_id for hub_id in taken_off if hub_id not in asked]
        old = lists.cut_list(unit_of_work.connection, message.list_id)
        if old is None:
            raise UnknownList(f"there is no upgrade list {message.list_id}")
        actor, key = f"csp:{message.region}", message.message_id.key
        moved, back = self.replacing(unit_of_work, old, taken_off, reason, actor=actor, key=key)
        return f"{moved + back} hubs withdrawn, {moved} of them listed anew"

    def report(self, unit_of_work: UnitOfWork, message: UpgradeReport, foreseen: Responsibility | None = None) -> str:
        """Bring attempts forward to what is reported, whatever the order of reports; nothing lowers one.

        `foreseen` says who is responsible for the hubs that it names, if that was looked up before.

        What hubs are said to run is held against the inventory, which follows it. A hub reported Activated that runs
        something else than the list asked for is Failed.
        """
        connection, now = unit_of_work.connection, unit_of_work.now
        named = _spoken_of(unit_of_work, message.list_id, message.region)
        hub_ids = {entry.device_id.upper() for entry in message.entries}
        known = moves.on_list_or_replacement(connection, message.list_id, hub_ids)
        # What the CSP had refused or taken off and then activated all the same is the truth; nothing else is heeded.
        off = {
            hub_id: moves.standing_of(hub_id, stored.attempt)
            for hub_id, stored in off_lists.were_on(connection, message.list_id, hub_ids - known.keys()).items()
        }
        release = releases.by_id(connection, named.release_id)
        moved: dict[str, Move] = {}
        strangers = 0
        for entry in message.entries:
            hub_id = entry.device_id.upper()
            standing = known.get(hub_id) or off.get(hub_id)
            if standing is None:
                strangers += 1
                continue
            event, reason = _outcome(entry, release)
            if hub_id in off and event is not AttemptEvent.ACTIVATED:
                continue
            before = moved[hub_id].state if hub_id in moved else standing.state
            after = self.lifecycle.after(event, before)
            if after is not None:
                # A CSP's clock may be wrong: nothing happens later than it is reported, or before the list was cut.
                moved[hub_id] = Move(standing, event, after, max(named.cut_at, min(entry.at, now)), reason)
        actor, key = f"csp:{message.region}", message.message_id.key
        self._move(
            unit_of_work, list(moved.values()), release, actor=actor, key=key, reported_at=now, foreseen=foreseen
        )
        mine = known.keys() | off.keys()
        read = read_from([entry for entry in message.entries if entry.device_id.upper() in mine], named.cut_at, now)
        contradicting = Running(self.alerts)(unit_of_work, release, read, actor=actor, key=key)
        said = f"{len(moved)} hubs brought forward"
        said += f"; {contradicting} run another version than the inventory said" if contradicting else ""
        return said + (f"; {strangers} not on the list" if strangers else "")

    def time_out(self, unit_of_work: UnitOfWork, region: Region) -> int:
        """Mark as Missed what was not approved or listed by the end of its window, or not done by the completion SLA.

        At most MISSED_AT_ONCE hubs; returns how many.
        """
        connection, now = unit_of_work.connection, unit_of_work.now
        found = lists.overdue(
            connection, region.name, now=now, listed_before=now - region.completion_sla, limit=MISSED_AT_ONCE
        )
        by_release: dict[str, list[Move]] = defaultdict(list)
        for stored in found:
            event = AttemptEvent.OVERDUE if stored.attempt.with_csp else AttemptEvent.WINDOW_ENDED
            standing = moves.standing_of(stored.hub_id, stored.attempt)
            missed = Move(standing, event, AttemptState.MISSED, now, _why_missed(stored.attempt))
            by_release[stored.release_id].append(missed)
        for release_id, missing in by_release.items():
            self._move(unit_of_work, missing, releases.by_id(connection, release_id), actor="processor")
        return len(found)

    def chase(self, unit_of_work: UnitOfWork, region: Region) -> int:
        """Send lists again that were not acknowledged within the SLA: same list id, same bytes. Returns how many.

        Their night is not over, and nobody has asked for all of them to be withdrawn.
        """
        connection, now = unit_of_work.connection, unit_of_work.now
        late = lists.unacknowledged(connection, region.name, now - region.acknowledgement_sla, now)
        for list_id, message_id in late:
            outbox.send_again(connection, message_id, now)
            lists.chased(connection, list_id, now)
        detail = f"{region.name}: {len(late)} list(s) not acknowledged within the SLA, sent again"
        audit.record(connection, [audit.Entry(now, "processor", "chase", detail)] if late else [])
        return len(late)

    @property
    def _move(self) -> Moving:
        return Moving(self.alerts, self.lifecycle)

    def _write(
        self,
        unit_of_work: UnitOfWork,
        changes: Sequence[AttemptChange],
        release: Release,
        *,
        actor: str,
        key: str | None,
    ) -> None:
        """Write changes of attempts, tell the Suppliers that are responsible now, and record it."""
        connection, now = unit_of_work.connection, unit_of_work.now
        written = Changes(release, self.lifecycle)
        known = inventory.hubs(connection, {change.hub_id for change in changes}, now, with_han=False)
        for change in changes:
            add_change(written, known[change.hub_id], change, now)
        upgrade_writing.write(connection, written, now)
        self.alerts.post(unit_of_work, written.events)
        transitions = audit.transitions(changes, at=now, actor=actor, release_id=release.release_id, message_key=key)
        audit.record(connection, transitions)


def _outcome(entry: ReportEntry, release: Release) -> tuple[AttemptEvent, str | None]:
    """What has happened to a hub by a report, and why."""
    wanted = release.firmware.version
    if entry.status is ReportStatus.ACTIVATED and entry.version not in {None, wanted}:
        return AttemptEvent.FAILED, f"reported as activated, but the hub runs {entry.version} and not {wanted}"
    return _REPORTED[entry.status], entry.reason


def _spoken_of(unit_of_work: UnitOfWork, list_id: str, region: str) -> lists.Named:
    """A list, which whoever speaks of it has."""
    found = lists.named(unit_of_work.connection, list_id)
    if found is None or found.region != region:
        raise UnknownList(f"upgrade list {list_id} was not sent to region {region}")
    if not found.taken:
        note_had(unit_of_work, found.message_id)
    return found


def _change(stored: StoredAttempt, event: AttemptEvent, after: Attempt) -> AttemptChange:
    return AttemptChange(stored.hub_id, stored.region, event, stored.attempt.state, after)


def _why_missed(attempt: Attempt) -> str:
    match attempt.state:
        case AttemptState.AWAITING_APPROVAL if attempt.reason in {NO_COMMON_NIGHT, TOO_LATE}:
            return f"the window ended and nothing could be planned: {attempt.reason}"
        case AttemptState.AWAITING_APPROVAL:
            return "the window ended before all responsible Suppliers had approved"
        case AttemptState.SCHEDULED if attempt.reason is not None:
            return f"the window ended before the hub could be listed again: {attempt.reason}"
        case AttemptState.SCHEDULED:
            return "the window ended before the hub could be listed"
        case _:
            return "the CSP reported no activation within the completion SLA"
