"""Which hubs something is to be done to: some by their ids, a filter, or a schedule, always evaluated anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sr_engine.console.pages import number_of
from sr_engine.console.supplier.desk import SupplierDesk
from sr_engine.domain.eligibility import Applicant
from sr_engine.messages.identifiers import canonical_eui
from sr_engine.messages.model import Approval, UpgradeStatus
from sr_engine.store import supplier_hubs
from sr_engine.store.reading import Connection
from sr_engine.store.supplier_hubs import Sought

_AT_ONCE = 5_000


class SelectionRefused(Exception):
    """A selection cannot be made so, and why."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What is selected; without anything, all hubs of the Supplier."""

    release_id: str | None = None
    region: str | None = None
    status: UpgradeStatus | None = None
    own_approval: Approval | None = None
    waiting: bool = False
    prefix: str = ""
    hub_ids: tuple[str, ...] = ()
    schedule_id: int | None = None

    @staticmethod
    def of(values: Mapping[str, str]) -> Selection:
        """What an address or a form says; raises SelectionRefused."""
        try:
            return Selection(
                release_id=values.get("release") or None,
                region=values.get("region") or None,
                status=UpgradeStatus(values["state"]) if values.get("state") else None,
                own_approval=Approval(values["answer"]) if values.get("answer") else None,
                waiting=values.get("waiting") == "yes",
                prefix=prefix_of(values.get("id", "")),
                hub_ids=tuple(canonical_eui(one) for one in values.get("hubs", "").replace(",", " ").split()),
                schedule_id=number_of(values["schedule"]) if values.get("schedule") else None,
            )
        except ValueError as error:
            raise SelectionRefused(f"that is not a filter: {error}") from None

    def query(self) -> dict[str, str]:
        """The same for an address or a form."""
        found = {
            "release": self.release_id,
            "region": self.region,
            "state": None if self.status is None else self.status.value,
            "answer": None if self.own_approval is None else self.own_approval.value,
            "waiting": "yes" if self.waiting else None,
            "id": self.prefix,
            "hubs": " ".join(self.hub_ids),
            "schedule": None if self.schedule_id is None else str(self.schedule_id),
        }
        return {name: value for name, value in found.items() if value}

    @property
    def is_filter(self) -> bool:
        """Whether other hubs may be in it later."""
        return not self.hub_ids and self.schedule_id is None

    @property
    def needs_release(self) -> bool:
        """Whether it asks for a state or an answer, and does not say at which release."""
        return self.release_id is None and bool(self.status or self.own_approval or self.waiting)

    @property
    def sought(self) -> Sought:
        return Sought(self.region, self.prefix, self.status, self.own_approval, self.waiting)

    def words(self, release: str | None) -> str:
        """In words; `release` is what the release is called."""
        if self.hub_ids:
            return self.hub_ids[0] if len(self.hub_ids) == 1 else f"{len(self.hub_ids):,} hubs by their ids"
        if self.schedule_id is not None:
            return f"the hubs of schedule {self.schedule_id}"
        parts = ["all hubs that wait for your answer" if self.waiting else "all your hubs"]
        if self.region is not None:
            parts.append(f"in region {self.region}")
        if self.status is not None:
            parts.append(f"in state {self.status}")
        if self.own_approval is not None:
            parts.append(f"for which your answer is {self.own_approval}")
        if self.prefix:
            parts.append(f"whose ids begin with {self.prefix}")
        if release is not None:
            parts.append(f"of the model of {release}")
        return " ".join(parts)

    def hubs(
        self, connection: Connection, desk: SupplierDesk, viewer: Applicant, now: datetime, *, most: int
    ) -> tuple[str, ...]:
        """The ids of the hubs in it now, ascending; raises SelectionRefused if there are more than `most`."""
        if self.hub_ids:
            return self.hub_ids
        if self.schedule_id is not None:
            return self._of_schedule(connection, desk, viewer, now, most)
        release = None if self.release_id is None else desk.hubs.release(connection, viewer, self.release_id, now)
        found: list[str] = []
        after: str | None = ""
        while after is not None:
            part = supplier_hubs.search(
                connection, viewer, release, self.sought, now, after=after, limit=_AT_ONCE, scan=4 * _AT_ONCE
            )
            found += part.hub_ids
            after = part.reached
            if len(found) > most:
                raise SelectionRefused(f"more than {most:,} hubs are selected: narrow the filter, or use a sheet")
        return tuple(found)

    def _of_schedule(
        self, connection: Connection, desk: SupplierDesk, viewer: Applicant, now: datetime, most: int
    ) -> tuple[str, ...]:
        found: list[str] = []
        after: str | None = None
        while True:
            part = desk.answers.hubs_of_schedule(
                connection, viewer, self.schedule_id or 0, now, after=after, limit=_AT_ONCE
            )
            found += [one.device_id for one in part]
            if len(found) > most:
                raise SelectionRefused(f"more than {most:,} hubs are selected: use a sheet")
            if len(part) < _AT_ONCE:
                return tuple(found)
            after = part[-1].device_id


def prefix_of(typed: str) -> str:
    """How an id begins, however it is written: 00 00 5e, 00005E, 00:00:5E become 00-00-5E; raises ValueError."""
    digits = "".join(one for one in typed if one not in "-: .")
    if not digits:
        return ""
    if len(digits) > 16 or any(one not in "0123456789abcdefABCDEF" for one in digits):
        raise ValueError(f"an id has 16 hexadecimal digits, or fewer of its beginning, not “{typed}”")
    pairs = [digits[start : start + 2] for start in range(0, len(digits), 2)]
    return "-".join(pairs).upper()
