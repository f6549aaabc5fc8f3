"""What the interface takes and gives, as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from sr_engine.messages.model import Approval, CommsHubUpgrade, Decision, ExclusionAction, Period, Phase, UpgradeStatus
from sr_engine.operations.changes import Change, ChangeKind
from sr_engine.operations.supplier_hubs import HubDetails, ReleaseAtSupplier, SupplierHub
from sr_engine.store.supplier_answers import OwnSchedule
from sr_engine.store.supplier_history import Event, EventKind
from sr_engine.store.supplier_hubs import Counted

EUI_PATTERN = r"^[0-9A-Fa-f]{2}([-:]?[0-9A-Fa-f]{2}){7}$"
DeviceId = Annotated[
    str,
    Field(pattern=EUI_PATTERN, description="An EUI-64, its octets apart or not", examples=["00-00-5E-EF-C0-00-00-01"]),
]
DeviceIds = Annotated[list[DeviceId], Field(min_length=1, max_length=50_000)]
ReleaseId = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
_YEARS = (1970, 9998)


def _within_years(at: datetime) -> datetime:
    if not _YEARS[0] <= at.year <= _YEARS[1]:
        raise ValueError(f"the year must be from {_YEARS[0]} to {_YEARS[1]}")
    return at


def _in_words(at: object) -> object:
    """Not a number, of which nobody can tell whether it counts seconds or milliseconds."""
    if isinstance(at, int | float):
        raise ValueError("a time is a text, such as 2026-12-01T22:00:00Z")  # noqa: TRY004 - pydantic takes no TypeError
    if isinstance(at, str) and at.replace(".", "", 1).lstrip("+-").isdecimal():
        raise ValueError("a time is written as 2026-12-01T22:00:00Z")
    return at


Moment = Annotated[AwareDatetime, BeforeValidator(_in_words), AfterValidator(_within_years)]


class Given(BaseModel):
    """What a client sends: nothing beside what is known."""

    model_config = ConfigDict(extra="forbid")


class Shown(BaseModel):
    """What a client is given."""

    model_config = ConfigDict(frozen=True)


class FirmwareName(Given):
    """A firmware version of one hub model."""

    manufacturer: Annotated[str, Field(min_length=1, max_length=30, pattern="^[ -~]+$")]
    model: Annotated[str, Field(min_length=1, max_length=30, pattern="^[ -~]+$")]
    version: Annotated[str, Field(min_length=1, max_length=8, pattern="^[ -~]+$")]


class Window(Given):
    """A stretch of time, from `start` up to but not including `end`."""

    start: Moment
    end: Moment

    @classmethod
    def of(cls, period: Period | None) -> Window | None:
        return None if period is None else cls(start=period.start, end=period.end)


class Upgrade(Shown):
    """What 11.7 shows of a hub and a release."""

    release_id: str
    firmware: FirmwareName
    status: UpgradeStatus
    own_approval: Approval
    other_supplier_approval: Approval
    schedule_id: int | None
    attempt: int | None
    defer_until: datetime | None
    window: Window | None
    period: Window | None
    status_at: datetime | None
    reason: str | None

    @classmethod
    def of(cls, release_id: str, shown: CommsHubUpgrade) -> Upgrade:
        firmware = shown.firmware
        return cls(
            release_id=release_id,
            firmware=FirmwareName(manufacturer=firmware.manufacturer, model=firmware.model, version=firmware.version),
            status=shown.status,
            own_approval=shown.own_approval,
            other_supplier_approval=shown.other_approval,
            schedule_id=shown.schedule_id,
            attempt=shown.attempt,
            defer_until=shown.defer_until,
            window=Window.of(shown.window),
            period=Window.of(shown.period),
            status_at=shown.status_at,
            reason=shown.status_reason,
        )


class Hub(Shown):
    """A hub that the Supplier is responsible for, and one release of it."""

    device_id: str
    gpf_id: str | None
    region: str
    device_status: str | None
    manufacturer: str
    model: str
    firmware_version: str | None
    roles: list[str]
    upgrade: Upgrade | None

    @classmethod
    def of(cls, hub: SupplierHub) -> Hub:
        return cls(
            device_id=hub.hub_id,
            gpf_id=hub.gpf_id,
            region=hub.region,
            device_status=hub.device_status,
            manufacturer=hub.manufacturer,
            model=hub.model,
            firmware_version=hub.version,
            roles=list(hub.roles),
            upgrade=None if hub.upgrade is None or hub.release_id is None else Upgrade.of(hub.release_id, hub.upgrade),
        )


class Hubs(Shown):
    """A page; it may be short, or empty, though there are more: `next` says so."""

    hubs: list[Hub]
    next: str | None


class HubEvent(Shown):
    """One event of the history of a hub."""

    at: datetime
    kind: EventKind
    what: str
    release_id: str | None
    attempt: int | None
    window: Window | None
    until: datetime | None
    schedule_id: int | None
    message_id: str | None
    reason: str | None

    @classmethod
    def of(cls, event: Event) -> HubEvent:
        return cls(
            at=event.at,
            kind=event.kind,
            what=event.what,
            release_id=event.release_id,
            attempt=event.attempt,
            window=Window.of(event.window),
            until=event.until,
            schedule_id=event.schedule_id,
            message_id=event.message_id,
            reason=event.reason,
        )


class HubWithHistory(Shown):
    """One hub with all that its Supplier may know of it."""

    hub: Hub
    upgrades: list[Upgrade]
    why: str
    history: list[HubEvent]

    @classmethod
    def of(cls, details: HubDetails) -> HubWithHistory:
        return cls(
            hub=Hub.of(details.hub),
            upgrades=[Upgrade.of(release_id, one) for release_id, one in details.upgrades],
            why=details.why,
            history=[HubEvent.of(one) for one in details.history],
        )


class LookUp(Given):
    """Which hubs are looked up, by the ids of their CHFs or GPFs."""

    device_ids: DeviceIds
    release_id: ReleaseId | None = None


class LookedUp(Shown):
    """Those that are the Supplier's, and the ids of which nothing is known to it."""

    hubs: list[Hub]
    unknown: list[str]


class Count(Shown):
    """How many hubs of a region have a status."""

    region: str
    status: UpgradeStatus
    waiting: bool
    hubs: int

    @classmethod
    def of(cls, counted: Counted) -> Count:
        return cls(region=counted.region, status=counted.status, waiting=counted.waiting, hubs=counted.hubs)


class Release(Shown):
    """A firmware release, and how many of the Supplier's hubs it concerns."""

    release_id: str
    firmware: FirmwareName
    image_hash: str
    status: str
    cpl_status: str
    management: str
    obligation: str
    comply_by: datetime | None
    regions: list[str]
    general_open: list[str]
    halted: list[str]
    reachable_from: list[str]
    hubs: int
    waiting: int
    counts: list[Count]

    @classmethod
    def of(cls, one: ReleaseAtSupplier) -> Release:
        release = one.release
        firmware = release.firmware
        return cls(
            release_id=release.release_id,
            firmware=FirmwareName(manufacturer=firmware.manufacturer, model=firmware.model, version=firmware.version),
            image_hash=release.image_hash,
            status=release.status,
            cpl_status=release.cpl_status,
            management=release.management,
            obligation=release.obligation,
            comply_by=release.comply_by,
            regions=sorted(release.regions),
            general_open=sorted(release.general_open),
            halted=sorted(release.halted),
            reachable_from=sorted(release.reachable_from),
            hubs=one.hubs,
            waiting=one.waiting,
            counts=[Count.of(count) for count in one.counts],
        )


class Releases(Shown):
    """All releases, newest first."""

    releases: list[Release]


class Approve(Given):
    """11.6: what the Supplier answers to a release for some hubs."""

    firmware: FirmwareName
    decision: Decision
    device_ids: DeviceIds
    defer_until: Moment | None = None
    accept_han_impact: bool = False


class Answered(Shown):
    """The Supplier's answer for a hub."""

    device_id: str
    approval: Approval
    defer_until: datetime | None
    schedule_id: int | None


class Approvals(Shown):
    """The Supplier's answers to a release, hub by hub."""

    approvals: list[Answered]
    next: str | None


class NewSchedule(Given):
    """11.5: when hubs may be upgraded, which is the Supplier's approval."""

    firmware: FirmwareName
    window: Window
    phase: Phase = Phase.GENERAL
    device_ids: DeviceIds
    accept_han_impact: bool = False
    replaces_schedule_id: Annotated[int, Field(ge=1, le=10**12)] | None = None


class Schedule(Shown):
    """A schedule as the Supplier set it."""

    schedule_id: int
    release_id: str
    firmware: FirmwareName
    window: Window
    phase: Phase
    accept_han_impact: bool
    created_at: datetime

    @classmethod
    def values(cls, one: OwnSchedule) -> dict[str, Any]:
        firmware = one.firmware
        return {
            "schedule_id": one.schedule_id,
            "release_id": one.release_id,
            "firmware": FirmwareName(
                manufacturer=firmware.manufacturer, model=firmware.model, version=firmware.version
            ),
            "window": Window.of(one.window),
            "phase": one.phase,
            "accept_han_impact": one.accept_han_impact,
            "created_at": one.created_at,
        }


class ScheduleInForce(Schedule):
    """The same, with for how many hubs it is in force."""

    hubs_in_force: int


class Schedules(Shown):
    """A page of the Supplier's schedules, newest first."""

    schedules: list[Schedule]
    next: str | None


class ScheduleHub(Shown):
    """A hub of a schedule; of one that the Supplier has left, what it saw last."""

    device_id: str
    region: str
    upgrade: Upgrade


class ScheduleHubs(Shown):
    """A page of the hubs of a schedule."""

    hubs: list[ScheduleHub]
    next: str | None


class TakeBack(Given):
    """11.8: a schedule is taken back, for all of its hubs or for some."""

    device_ids: Annotated[list[DeviceId], Field(max_length=50_000)] = []


class Exclude(Given):
    """11.9: hubs are kept out of pilots and voluntary waves, or let in again. Why is never said."""

    action: ExclusionAction
    device_ids: DeviceIds
    exclude_until: Moment | None = None


class Excluded(Shown):
    """A hub that the Supplier keeps out; `responsible` tells whether it is still its own."""

    device_id: str
    until: datetime | None
    set_at: datetime
    responsible: bool


class Exclusions(Shown):
    """A page of the hubs that the Supplier keeps out."""

    exclusions: list[Excluded]
    next: str | None


class Refused(Shown):
    """Hubs that were not accepted, as they were named, and why: the reason is that of the Service Requests."""

    reason: str
    meaning: str
    device_ids: list[str]


class Done(Shown):
    """What came of it: the response code of the Service Request that says the same."""

    code: str
    detail: str
    request_id: str
    repeated: bool
    schedule_id: int | None
    accepted: int | None
    refused: list[Refused]


class ChangeSeen(Shown):
    """One change; `id` is the same whenever it is read."""

    id: str
    at: datetime
    kind: ChangeKind
    what: str
    device_id: str | None
    release_id: str | None
    attempt: int | None

    @classmethod
    def of(cls, change: Change, mark: str) -> ChangeSeen:
        return cls(
            id=mark,
            at=change.at,
            kind=change.kind,
            what=change.what,
            device_id=change.hub_id,
            release_id=change.release_id,
            attempt=change.attempt,
        )


class ChangesSeen(Shown):
    """Changes in the order of their commits; `next` is where to read on, also if there are none yet."""

    changes: list[ChangeSeen]
    next: str
    more: bool


class Hook(Given):
    """Where changes are to be sent, and which; without `kinds`, all."""

    url: Annotated[str, Field(min_length=8, max_length=2000, pattern=r"^https?://[!-~]+$")]
    kinds: list[ChangeKind] | None = None
    after: Annotated[str, Field(max_length=200)] | None = None


class HookSeen(Shown):
    """A webhook, without its secret."""

    webhook_id: str
    url: str
    kinds: list[ChangeKind] | None
    created_at: datetime
    state: Literal["Active", "Failing", "Parked"]
    failures: int
    last_error: str | None
    delivered_at: datetime | None


class HookMade(HookSeen):
    """A new webhook, and the secret with which its messages are signed: it is shown this once."""

    secret: str


class Hooks(Shown):
    """The Supplier's webhooks."""

    webhooks: list[HookSeen]


class Registration(Given):
    """Who supplies a meter point from when on; `cancelled` takes a registration back."""

    mpxn: Annotated[str, Field(pattern="^[0-9]{1,13}$")]
    role: Annotated[str, Field(max_length=3)]
    organisation: Annotated[str, Field(max_length=64)] | None
    effective_from: Annotated[str, Field(max_length=40)]
    cancelled: bool = False


class ProblemSeen(BaseModel):
    """Problem details (RFC 9457)."""

    model_config = ConfigDict(extra="allow", title="Problem")

    type: str
    title: str
    status: int
    detail: str
