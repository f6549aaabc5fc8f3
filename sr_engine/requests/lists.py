"""What requests that name a list of hubs have in common: judging each hub, and saying what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from sr_engine.domain.upgrades import Hub, Listed, Release
from sr_engine.messages.model import CommsHubFirmwareResult, Firmware, RefusalReason
from sr_engine.requests.outcome import Outcome

WORDS = {
    RefusalReason.INVALID: "not a Communications Hub known here",
    RefusalReason.NOT_RESPONSIBLE: "you are not its responsible Supplier in a role of this User",
    RefusalReason.NOT_COMMISSIONED: "the CHF's status rules out an upgrade",
    RefusalReason.NOT_APPLICABLE_FIRMWARE: "the firmware does not apply to its model, version or region",
    RefusalReason.OTHER_REQUEST_IN_PROGRESS: "another request for it is in progress",
    RefusalReason.HAN_INCOMPATIBLE: "a HAN device behind it may break and AcceptHANImpact is not true",
    RefusalReason.WINDOW_NOT_AVAILABLE: "no complete nightly open period of its region in the window can be listed",
    RefusalReason.NOT_AVAILABLE: "not available at present",
}


class OfHub(Protocol):
    """What is known of a hub, as far as every request needs it."""

    @property
    def hub(self) -> Hub: ...

    @property
    def with_csp(self) -> bool:
        """It stands on a list that was cut: nothing can be changed any more."""


T = TypeVar("T", bound=OfHub)


@dataclass(slots=True)
class Judgement(Generic[T]):
    """Each hub of a list, accepted or with the reason it was not; refused ids are as received."""

    wording: Mapping[RefusalReason, str]
    accepted: list[tuple[T, list[str]]] = field(default_factory=list)
    """What is known of hubs, and the CHF ids of all that share it."""
    refused: dict[RefusalReason, list[str]] = field(default_factory=dict)
    all_with_csp: bool = True

    @property
    def accepted_ids(self) -> list[str]:
        """The CHF ids of those that were accepted."""
        return [hub_id for _, hub_ids in self.accepted for hub_id in hub_ids]

    @property
    def _how_many(self) -> int:
        return sum(len(hub_ids) for _, hub_ids in self.accepted)

    def result(self, schedule_id: int | None = None) -> CommsHubFirmwareResult:
        return CommsHubFirmwareResult(
            self._how_many,
            schedule_id,
            {reason: tuple(self.refused[reason]) for reason in RefusalReason if reason in self.refused},
        )

    def place(self, found: T | None, reason: RefusalReason | None) -> tuple[list[str], bool]:
        """Where hubs of which the same is known are to be added, and whether that is among those refused."""
        if found is not None and reason is None:
            accepted: list[str] = []
            self.accepted.append((found, accepted))
            return accepted, False
        if reason is None:
            raise ValueError("a hub of which nothing is known cannot be accepted")
        # Only the reason given counts: that a hub of somebody else's is listed is not for this Supplier to know.
        with_csp = found is not None and found.with_csp
        self.all_with_csp &= reason is RefusalReason.OTHER_REQUEST_IN_PROGRESS and with_csp
        return self.refused.setdefault(reason, []), True

    def words(self) -> str:
        """How many were accepted, and how many refused for what."""
        accepted = f"{self._how_many:,} hub(s) accepted"
        if not self.refused:
            return accepted
        reasons = "; ".join(
            f"{len(self.refused[reason])} x {reason.value.removesuffix('DeviceIDList')}: {self.wording[reason]}"
            for reason in RefusalReason
            if reason in self.refused
        )
        return f"{accepted}; refused {reasons}"


def judge(
    device_ids: Sequence[str],
    listed: Listed[T],
    refusal: Callable[[T | None], RefusalReason | None],
    *,
    wording: Mapping[RefusalReason, str] = WORDS,
) -> Judgement[T]:
    """Judge each hub once, whether it was named by its CHF, its GPF, or both; those that share what is known as one."""
    judgement: Judgement[T] = Judgement(wording)
    judged: set[str] = set()
    # By what is known of them, where the next hub is to be added, and whether as it was named.
    places: dict[int, tuple[list[str], bool]] = {}
    for as_received, device_id in zip(device_ids, canonical(device_ids), strict=True):
        hub_id = listed.hub_ids.get(device_id, device_id)
        if hub_id in judged:
            continue
        judged.add(hub_id)
        found = listed.known.get(hub_id)
        place = places.get(id(found))
        if place is None:
            place = places[id(found)] = judgement.place(found, refusal(found))
        some, is_refused = place
        some.append(as_received if is_refused else hub_id)
    return judgement


def canonical(device_ids: Sequence[str]) -> list[str]:
    """The ids of a list as the inventory has them."""
    return [device_id.upper() for device_id in device_ids]


def release_refusal(
    release: Release | None, firmware: Firmware, family: str, *, taking_back: bool = False
) -> Outcome | None:
    """Refuse a request for a release that is unknown, not open, off the CPL (nn01) or managed by the DCC (nn06).

    An approval can be taken back as long as something may come of it, so also while the release is closed.
    """
    named = f"{firmware.manufacturer} {firmware.model} {firmware.version}"
    if release is None:
        return Outcome(f"E{family}01", f"no release of firmware {named} is known here")
    if release.status != "Open" and not (taking_back and release.status == "Closed"):
        return Outcome(f"E{family}01", f"the release of firmware {named} is {release.status.lower()}, not open")
    if release.cpl_status != "Active" and not taking_back:
        return Outcome(f"E{family}01", f"firmware {named} is {release.cpl_status} on the Certified Products List")
    if release.management == "DCCManaged":
        return Outcome(
            f"E{family}06", f"the DCC manages the upgrade to {named}: Suppliers neither schedule nor approve it"
        )
    return None


def none_accepted(judgement: Judgement[T], family: str, too_late: str, *, not_available: str = "03") -> Outcome:
    """The refusal of a list of which no hub was accepted: `too_late` if all are with the CSP, else the most useful.

    That is nn04 if one was acceptable but for the window, the code `not_available` if one but for that, and else nn03.
    """
    if judgement.all_with_csp:
        code = too_late
    elif RefusalReason.WINDOW_NOT_AVAILABLE in judgement.refused:
        code = "04"
    elif RefusalReason.NOT_AVAILABLE in judgement.refused:
        code = not_available
    else:
        code = "03"
    return Outcome(f"E{family}{code}", judgement.words(), judgement.result())
