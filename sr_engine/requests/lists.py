"""What requests that name a list of hubs have in common: judging each hub, and saying what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sr_engine.domain.eligibility import already_with_csp
from sr_engine.domain.upgrades import HubUpgrade, Release
from sr_engine.messages.model import CommsHubFirmwareResult, Firmware, RefusalReason
from sr_engine.requests.outcome import Facts, Outcome

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


@dataclass(slots=True)
class Judgement:
    """Each hub of a list, accepted or with the reason it was not; refused ids are as received."""

    accepted: list[HubUpgrade] = field(default_factory=list)
    refused: dict[RefusalReason, list[str]] = field(default_factory=dict)
    all_with_csp: bool = True

    def result(self, schedule_id: int | None = None) -> CommsHubFirmwareResult:
        return CommsHubFirmwareResult(
            len(self.accepted),
            schedule_id,
            {reason: tuple(self.refused[reason]) for reason in RefusalReason if reason in self.refused},
        )

    def words(self) -> str:
        """How many were accepted, and how many refused for what."""
        reasons = "; ".join(
            f"{len(self.refused[reason])} x {reason.value.removesuffix('DeviceIDList')}: {WORDS[reason]}"
            for reason in RefusalReason
            if reason in self.refused
        )
        accepted = f"{len(self.accepted):,} hub(s) accepted"
        return f"{accepted}; refused {reasons}" if reasons else accepted


def judge(
    facts: Facts,
    release: Release,
    device_ids: Sequence[str],
    refusal: Callable[[HubUpgrade | None], RefusalReason | None],
    *,
    with_overlays: bool = False,
) -> Judgement:
    """Judge each hub once, whether it was named by its CHF, its GPF, or both."""
    judgement = Judgement()
    canonical = [device_id.upper() for device_id in device_ids]
    known = facts.hub_upgrades(canonical, release, with_overlays=with_overlays)
    judged: set[str] = set()
    for as_received, device_id in zip(device_ids, canonical, strict=True):
        upgrade = known.get(device_id)
        hub_id = device_id if upgrade is None else upgrade.hub.hub_id
        if hub_id in judged:
            continue
        judged.add(hub_id)
        reason = refusal(upgrade)
        if reason is not None:
            judgement.refused.setdefault(reason, []).append(as_received)
            # Only the reason given counts: that a hub of somebody else's is listed is not for this Supplier to know.
            judgement.all_with_csp &= reason is RefusalReason.OTHER_REQUEST_IN_PROGRESS and _with_csp(upgrade)
        elif upgrade is not None:
            judgement.accepted.append(upgrade)
    return judgement


def _with_csp(upgrade: HubUpgrade | None) -> bool:
    return upgrade is not None and already_with_csp(upgrade)


def release_refusal(release: Release | None, firmware: Firmware, family: str) -> Outcome | None:
    """Refuse a request for a release that is unknown, not open, off the CPL (nn01) or managed by the DCC (nn06)."""
    named = f"{firmware.manufacturer} {firmware.model} {firmware.version}"
    if release is None:
        return Outcome(f"E{family}01", f"no release of firmware {named} is known here")
    if release.status != "Open":
        return Outcome(f"E{family}01", f"the release of firmware {named} is {release.status.lower()}, not open")
    if release.cpl_status != "Active":
        return Outcome(f"E{family}01", f"firmware {named} is {release.cpl_status} on the Certified Products List")
    if release.management == "DCCManaged":
        return Outcome(
            f"E{family}06", f"the DCC manages the upgrade to {named}: Suppliers neither schedule nor approve it"
        )
    return None


def none_accepted(judgement: Judgement, family: str) -> Outcome:
    """The refusal of a list of which no hub was accepted (nn08, nn04 or nn03)."""
    if judgement.all_with_csp:
        code = "08"
    elif RefusalReason.WINDOW_NOT_AVAILABLE in judgement.refused:
        code = "04"
    else:
        code = "03"
    return Outcome(f"E{family}{code}", judgement.words(), judgement.result())
