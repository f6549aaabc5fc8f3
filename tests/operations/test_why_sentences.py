"""Every answer to 'why has this hub not been upgraded yet?', from facts alone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sr_engine.domain.agreement import NO_COMMON_NIGHT, NOT_APPROVED, TOO_LATE
from sr_engine.domain.states import AttemptState
from sr_engine.domain.upgrades import Answer, Attempt, Exclusion, Hub, HubUpgrade, Release, Schedule
from sr_engine.domain.why import Inquiry, Night, why
from sr_engine.messages.model import Approval, Firmware, Period, Phase

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
CHF, GPF = "00-00-5E-EF-C0-00-00-01", "00-00-5E-EF-D0-00-00-01"
WINDOW = Period(NOW + timedelta(days=5), NOW + timedelta(days=20))
OTHER_WINDOW = Period(NOW + timedelta(days=30), NOW + timedelta(days=40))
NIGHT = Period(datetime(2026, 11, 29, 22, 0, tzinfo=UTC), datetime(2026, 11, 30, 6, 0, tzinfo=UTC))
HUB = Hub(CHF, "Commissioned", "Central", "2B7E", "C1A20001", "9001", "supplier-a", "supplier-b", GPF)
RELEASE = Release(
    release_id="1",
    firmware=Firmware("2B7E", "C1A20001", "9002"),
    image_hash="AB" * 32,
    status="Open",
    cpl_status="Active",
    management="SupplierManaged",
    regions=frozenset({"Central", "South"}),
    general_open=frozenset({"Central", "South"}),
    reachable_from=frozenset({"9001", "9000"}),
    han_models=frozenset(),
)
PENDING = Answer(Approval.PENDING, "r")
APPROVED = Answer(Approval.APPROVED, "r")
DECLINED = Answer(Approval.DECLINED, "r")
FOR_EVER = Answer(Approval.DEFERRED, "r")
DEFERRED = Answer(Approval.DEFERRED, "r", defer_until=datetime(2026, 12, 3, 8, 30, tzinfo=UTC))
RUN_OUT = Answer(Approval.DEFERRED, "r", defer_until=NOW)


def scheduled_by(organisation: str, window: Period = WINDOW) -> Answer:
    return Answer(Approval.APPROVED, "r", Schedule(1, organisation, window, Phase.GENERAL, "r"))


def attempt(state: AttemptState, *, reason: str | None = None, period: Period | None = None) -> Attempt:
    return Attempt(2, state, WINDOW, False, "supplier-a", NOW - timedelta(days=1), 7, period=period, reason=reason)


BOTH = {"supplier-a": scheduled_by("supplier-a"), "supplier-b": APPROVED}


@dataclass
class Case:
    """What is known, and what is said of it after `Hub <id> `."""

    says: str
    hub: Hub = HUB
    release: Release = RELEASE
    answers: dict[str, Answer] = field(default_factory=dict)
    attempt: Attempt | None = None
    next_night: Night | None = None
    exclusions: tuple[Exclusion, ...] = ()
    quiet: tuple[Period, ...] = ()
    halts: dict[str, str] = field(default_factory=dict)

    def ask(self, device_id: str = CHF) -> str:
        upgrade = HubUpgrade(self.hub, self.answers, self.attempt, exclusions=self.exclusions, quiet=self.quiet)
        return why(Inquiry(device_id, "CHF", self.hub, [(self.release, upgrade)], NOW, self.next_night, self.halts))


S = AttemptState
CASES = {
    "the release was withdrawn while the hub waited": Case(
        "cannot be upgraded to firmware 9002: the release is withdrawn",
        release=replace(RELEASE, status="Withdrawn"),
        answers=BOTH,
        attempt=attempt(S.SCHEDULED),
    ),
    "the firmware is off the products list": Case(
        "cannot be upgraded to firmware 9002: it is Expired on the Certified Products List",
        release=replace(RELEASE, cpl_status="Expired"),
    ),
    "the hub is in another region": Case(
        "is in region Unknown, and firmware 9002 is released for Central and South only",
        hub=replace(HUB, region="Unknown"),
    ),
    "the region of the hub is not known": Case(
        "is in no region that is known, and firmware 9002 is released for Central and South only",
        hub=replace(HUB, region=None),
    ),
    "there is no path from its version": Case(
        "runs firmware 8000, and 9002 can be installed on 9000 or 9001 only", hub=replace(HUB, version="8000")
    ),
    "its version is not known": Case(
        "runs firmware of an unknown version, and 9002 can be installed on 9000 or 9001 only",
        hub=replace(HUB, version=None),
    ),
    "it is not commissioned": Case(
        "is not commissioned: its status is Whitelisted", hub=replace(HUB, device_status="Whitelisted")
    ),
    "its status is not known": Case("is not commissioned: its status is unknown", hub=replace(HUB, device_status=None)),
    "nobody is responsible": Case(
        "has no responsible Supplier: nobody is registered for a meter behind it",
        hub=replace(HUB, electricity=None, gas=None),
    ),
    "nobody has answered": Case(
        "is not scheduled for firmware 9002: supplier-a has not answered and supplier-b has not answered"
    ),
    "an answer was taken back": Case(
        "is not scheduled for firmware 9002: supplier-a has not answered",
        hub=replace(HUB, gas="supplier-a"),
        answers={"supplier-a": PENDING},
    ),
    "one has declined": Case(
        "is not scheduled for firmware 9002: supplier-b has declined, while supplier-a has approved",
        answers={"supplier-a": APPROVED, "supplier-b": DECLINED},
    ),
    "one has deferred": Case(
        "is not scheduled for firmware 9002: supplier-a has deferred its answer until 3 December 2026, 08:30 UTC and "
        "supplier-b has not answered",
        answers={"supplier-a": DEFERRED},
    ),
    "one has deferred without an end": Case(
        "is not scheduled for firmware 9002: supplier-a has deferred its answer",
        hub=replace(HUB, gas=None),
        answers={"supplier-a": FOR_EVER},
    ),
    "a deferral has run out": Case(
        "is not scheduled for firmware 9002: supplier-a has not answered",
        hub=replace(HUB, gas=None),
        answers={"supplier-a": RUN_OUT},
    ),
    "the release may break a device in the home": Case(
        "is not scheduled for firmware 9002: supplier-a has not answered; whoever approves has to accept that HAN "
        "devices may break (1234 DISPLAY)",
        hub=replace(HUB, gas=None, han_models=frozenset({("1234", "DISPLAY"), ("1234", "OTHER")})),
        release=replace(RELEASE, han_models=frozenset({("1234", "DISPLAY")})),
    ),
    "all have approved and nobody has scheduled": Case(
        "is approved for firmware 9002 by supplier-a and supplier-b, but nobody has scheduled it",
        answers={"supplier-a": APPROVED, "supplier-b": APPROVED},
    ),
    "the only schedule was cancelled": Case(
        "is approved for firmware 9002 by supplier-a and supplier-b, but nobody has scheduled it",
        answers={"supplier-a": APPROVED, "supplier-b": APPROVED},
        attempt=attempt(S.CANCELLED),
    ),
    "one has scheduled and the other has not answered": Case(
        "waits for approval of firmware 9002: supplier-b has not answered, while supplier-a has approved",
        answers={"supplier-a": scheduled_by("supplier-a")},
        attempt=attempt(S.AWAITING_APPROVAL, reason=NOT_APPROVED),
    ),
    "the windows have no night in common": Case(
        "is approved for firmware 9002, but the windows of supplier-a (28 November 2026, 09:00 UTC to 13 December "
        "2026, 09:00 UTC) and supplier-b (23 December 2026, 09:00 UTC to 2 January 2027, 09:00 UTC) have no night in "
        "common",
        answers={"supplier-a": scheduled_by("supplier-a"), "supplier-b": scheduled_by("supplier-b", OTHER_WINDOW)},
        attempt=attempt(S.AWAITING_APPROVAL, reason=NO_COMMON_NIGHT),
    ),
    "the schedule was that of a Supplier no longer responsible": Case(
        "is approved for firmware 9002, but no schedule of a responsible Supplier is in force",
        hub=replace(HUB, electricity=None),
        answers=BOTH,
        attempt=attempt(S.AWAITING_APPROVAL, reason=NOT_APPROVED),
    ),
    "approval came too late for the window": Case(
        "is approved for firmware 9002, but not planned for the window of supplier-a (28 November 2026, 09:00 UTC to "
        f"13 December 2026, 09:00 UTC): {TOO_LATE}",
        answers=BOTH,
        attempt=attempt(S.AWAITING_APPROVAL, reason=TOO_LATE),
    ),
    "the gate is closed": Case(
        "is scheduled for firmware 9002 and approved, but the gate of region Central is closed: only pilot hubs are "
        "listed until it is opened",
        release=replace(RELEASE, general_open=frozenset({"South"})),
        answers=BOTH,
        attempt=attempt(S.SCHEDULED),
        next_night=Night(NIGHT, NOW + timedelta(days=3)),
    ),
    "a pilot hub does not wait for the gate": Case(
        "is scheduled for firmware 9002 and waits for the night of 29 to 30 November 2026 (22:00 to 06:00 UTC), the "
        "first it can have; lists for it go to the CSP on 26 November 2026, 09:00 UTC",
        release=replace(RELEASE, general_open=frozenset()),
        answers=BOTH,
        attempt=replace(attempt(S.SCHEDULED), pilot=True),
        next_night=Night(NIGHT, NOW + timedelta(days=3)),
    ),
    "it waits for its night after the CSP refused it once": Case(
        "is scheduled for firmware 9002 and waits for the night of 29 to 30 November 2026 (22:00 to 06:00 UTC), the "
        "first it can have; lists for it go to the CSP on 26 November 2026, 09:00 UTC; refused by the CSP: no capacity",
        answers=BOTH,
        attempt=attempt(S.SCHEDULED, reason="refused by the CSP: no capacity"),
        next_night=Night(NIGHT, NOW + timedelta(days=3)),
    ),
    "no night is left in its window": Case(
        "is scheduled for firmware 9002, but its window (28 November 2026, 09:00 UTC to 13 December 2026, 09:00 UTC) "
        "has no night left that can still be listed",
        answers=BOTH,
        attempt=attempt(S.SCHEDULED),
    ),
    "it was listed": Case(
        "was listed on 22 November 2026, 09:00 UTC to be given firmware 9002 in the night of 29 to 30 November 2026 "
        "(22:00 to 06:00 UTC), and the CSP has not acknowledged the list",
        answers=BOTH,
        attempt=attempt(S.LISTED, period=NIGHT),
    ),
    "the CSP has accepted it": Case(
        "will be given firmware 9002 in the night of 29 to 30 November 2026 (22:00 to 06:00 UTC): the CSP accepted it "
        "on 22 November 2026, 09:00 UTC",
        answers=BOTH,
        attempt=attempt(S.ACCEPTED, period=NIGHT),
    ),
    "the night is over and nothing was reported": Case(
        "was to be given firmware 9002 in the night of 22 November 2026 (00:00 to 05:30 UTC), and the CSP has not "
        "reported what became of it",
        answers=BOTH,
        attempt=attempt(
            S.ACCEPTED,
            period=Period(datetime(2026, 11, 22, 0, 0, tzinfo=UTC), datetime(2026, 11, 22, 5, 30, tzinfo=UTC)),
        ),
    ),
    "the firmware is on the hub": Case(
        "has firmware 9002 since 22 November 2026, 09:00 UTC, but the CSP has not reported it active",
        answers=BOTH,
        attempt=attempt(S.DELIVERED, period=NIGHT),
    ),
    "it is with the CSP and its Supplier has changed": Case(
        "has firmware 9002 since 22 November 2026, 09:00 UTC, but the CSP has not reported it active",
        hub=replace(HUB, electricity=None, gas=None),
        attempt=attempt(S.DELIVERED, period=NIGHT),
    ),
    "the upgrade failed": Case(
        "has no new schedule for firmware 9002 since attempt 2 failed on 22 November 2026, 09:00 UTC: image rejected",
        answers={"supplier-a": APPROVED, "supplier-b": APPROVED},
        attempt=attempt(S.FAILED, reason="image rejected"),
    ),
    "the upgrade failed and nobody said why": Case(
        "has no new schedule for firmware 9002 since attempt 2 failed on 22 November 2026, 09:00 UTC",
        answers={"supplier-a": APPROVED, "supplier-b": APPROVED},
        attempt=attempt(S.FAILED),
    ),
    "the window passed without approval": Case(
        "has no new schedule for firmware 9002 since attempt 2 was missed on 22 November 2026, 09:00 UTC: the window "
        "ended before all responsible Suppliers had approved; supplier-b has not answered, while supplier-a has "
        "approved",
        answers={"supplier-a": APPROVED},
        attempt=attempt(S.MISSED, reason="the window ended before all responsible Suppliers had approved"),
    ),
    "it was activated": Case(
        "has been upgraded: it runs firmware 9002, activated on 22 November 2026, 09:00 UTC",
        hub=replace(HUB, version="9002"),
        attempt=attempt(S.ACTIVATED, period=NIGHT),
    ),
    "the release was withdrawn and the upgrade cancelled": Case(
        "cannot be upgraded to firmware 9002: the release is withdrawn",
        release=replace(RELEASE, status="Withdrawn"),
        answers=BOTH,
        attempt=attempt(S.CANCELLED),
    ),
    "the release was closed before anybody scheduled the hub": Case(
        "cannot be upgraded to firmware 9002: the release is closed", release=replace(RELEASE, status="Closed")
    ),
    "the release was closed before the other side approved": Case(
        "waits for approval of firmware 9002, which nobody can give since the release is closed: supplier-b has not "
        "answered, while supplier-a has approved",
        release=replace(RELEASE, status="Closed"),
        answers={"supplier-a": scheduled_by("supplier-a")},
        attempt=attempt(S.AWAITING_APPROVAL, reason=NOT_APPROVED),
    ),
    "the release was closed after all was agreed": Case(
        "is scheduled for firmware 9002 and waits for the night of 29 to 30 November 2026 (22:00 to 06:00 UTC), the "
        "first it can have; lists for it go to the CSP on 26 November 2026, 09:00 UTC",
        release=replace(RELEASE, status="Closed"),
        answers=BOTH,
        attempt=attempt(S.SCHEDULED),
        next_night=Night(NIGHT, NOW + timedelta(days=3)),
    ),
    "the release is halted": Case(
        "is scheduled for firmware 9002 and approved, but the release is halted in region Central: smoke in Leeds",
        release=replace(RELEASE, halted=frozenset({"Central"})),
        answers=BOTH,
        attempt=attempt(S.SCHEDULED),
        next_night=Night(NIGHT, NOW + timedelta(days=3)),
        halts={"1": "smoke in Leeds"},
    ),
    "nobody has accepted what the release may break": Case(
        "is scheduled for firmware 9002 and approved, but HAN devices may break (1234 DISPLAY), which supplier-a and "
        "supplier-b have not accepted",
        hub=replace(HUB, han_models=frozenset({("1234", "DISPLAY")})),
        release=replace(RELEASE, han_models=frozenset({("1234", "DISPLAY")})),
        answers=BOTH,
        attempt=attempt(S.SCHEDULED),
        next_night=Night(NIGHT, NOW + timedelta(days=3)),
    ),
    "one side has not accepted what the release may break": Case(
        "is scheduled for firmware 9002 and approved, but HAN devices may break (1234 DISPLAY), which supplier-b has "
        "not accepted",
        hub=replace(HUB, han_models=frozenset({("1234", "DISPLAY")})),
        release=replace(RELEASE, han_models=frozenset({("1234", "DISPLAY")})),
        answers=BOTH | {"supplier-a": replace(scheduled_by("supplier-a"), accepts_han_impact=True)},
        attempt=attempt(S.SCHEDULED),
    ),
    "it is excluded for good": Case(
        "is kept off lists, for supplier-b excludes the hub until further notice; it is scheduled for firmware 9002, "
        "but its window (28 November 2026, 09:00 UTC to 13 December 2026, 09:00 UTC) has no other night that can still "
        "be listed",
        answers=BOTH,
        attempt=attempt(S.SCHEDULED),
        exclusions=(Exclusion("supplier-b", None),),
    ),
    "it is excluded for a time": Case(
        "is kept off lists, for supplier-a excludes the hub until 25 November 2026, 09:00 UTC; it is scheduled for "
        "firmware 9002 and waits for the night of 29 to 30 November 2026 (22:00 to 06:00 UTC), the first it can have; "
        "lists for it go to the CSP on 26 November 2026, 09:00 UTC",
        answers=BOTH,
        attempt=attempt(S.SCHEDULED),
        next_night=Night(NIGHT, NOW + timedelta(days=3)),
        exclusions=(Exclusion("supplier-a", NOW + timedelta(days=2)),),
    ),
    "it is excluded and nobody has scheduled it": Case(
        "is not scheduled for firmware 9002: supplier-a has not answered; supplier-a excludes the hub until further "
        "notice",
        hub=replace(HUB, gas=None),
        exclusions=(Exclusion("supplier-a", None),),
    ),
    "a Supplier changes within the window": Case(
        "is scheduled for firmware 9002, but its window (28 November 2026, 09:00 UTC to 13 December 2026, 09:00 UTC) "
        "has no night left that can still be listed; no upgrade takes place in the quiet days around a change of "
        "Supplier (27 November 2026, 09:00 UTC to 15 December 2026, 09:00 UTC)",
        answers=BOTH,
        attempt=attempt(S.SCHEDULED),
        quiet=(Period(NOW + timedelta(days=4), NOW + timedelta(days=22)),),
    ),
    "a Supplier changes after the window": Case(
        "is scheduled for firmware 9002 and waits for the night of 29 to 30 November 2026 (22:00 to 06:00 UTC), the "
        "first it can have; lists for it go to the CSP on 26 November 2026, 09:00 UTC",
        answers=BOTH,
        attempt=attempt(S.SCHEDULED),
        next_night=Night(NIGHT, NOW + timedelta(days=3)),
        quiet=(Period(NOW + timedelta(days=24), NOW + timedelta(days=30)),),
    ),
    "it is compulsory, whatever its Suppliers say": Case(
        "is scheduled for firmware 9002 and waits for the night of 29 to 30 November 2026 (22:00 to 06:00 UTC), the "
        "first it can have; lists for it go to the CSP on 26 November 2026, 09:00 UTC",
        release=replace(RELEASE, general_open=frozenset()),
        answers={"supplier-a": DECLINED},
        attempt=replace(attempt(S.SCHEDULED), compulsory=True),
        next_night=Night(NIGHT, NOW + timedelta(days=3)),
        exclusions=(Exclusion("supplier-a", None, overridden=True),),
    ),
    "it is compulsory and halted": Case(
        "is scheduled for firmware 9002, but the release is halted in region Central: smoke in Leeds",
        hub=replace(HUB, electricity=None, gas=None),
        release=replace(RELEASE, halted=frozenset({"Central"})),
        attempt=replace(attempt(S.SCHEDULED), compulsory=True),
        halts={"1": "smoke in Leeds"},
    ),
    "it came with this version": Case("has been upgraded: it runs firmware 9002", hub=replace(HUB, version="9002")),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_operator_is_told_in_one_sentence(case: Case) -> None:
    assert case.ask() == f"Hub {CHF} {case.says}."


def test_a_gpf_stands_for_its_hub() -> None:
    assert CASES["it came with this version"].ask(GPF) == (
        f"Hub {CHF} (the hub of GPF {GPF}) has been upgraded: it runs firmware 9002."
    )


def test_an_unknown_device_is_named_as_such() -> None:
    assert why(Inquiry(CHF, None, None, [], NOW)) == f"{CHF} is not in the inventory."


def test_a_meter_is_not_a_hub() -> None:
    assert why(Inquiry(CHF, "ESME", None, [], NOW)) == (
        f"{CHF} is not a Communications Hub but a device behind one (ESME)."
    )


def test_a_gpf_whose_chf_was_never_imported_is_named_as_such() -> None:
    assert why(Inquiry(GPF, "GPF", None, [], NOW)) == f"{GPF} is a GPF whose hub (CHF) is not in the inventory."


def test_a_model_without_an_open_release_has_nothing_to_wait_for() -> None:
    says = f"Hub {CHF}: no firmware release is open for its model, 2B7E C1A20001."

    assert why(Inquiry(CHF, "CHF", HUB, [], NOW)) == says


def test_an_open_release_is_spoken_of_before_a_newer_one_that_is_closed() -> None:
    newer = replace(RELEASE, release_id="2", firmware=Firmware("2B7E", "C1A20001", "9003"), status="Closed")

    answer = why(Inquiry(CHF, "CHF", HUB, [(newer, HubUpgrade(HUB)), (RELEASE, HubUpgrade(HUB))], NOW))

    assert "is not scheduled for firmware 9002" in answer


def test_without_a_reason_a_halt_is_still_named() -> None:
    halted = replace(CASES["the release is halted"], halts={})

    assert halted.ask().endswith("but the release is halted in region Central.")


def test_the_release_under_way_is_spoken_of_before_a_newer_one() -> None:
    newer = replace(RELEASE, release_id="2", firmware=Firmware("2B7E", "C1A20001", "9003"))
    under_way = HubUpgrade(HUB, BOTH, attempt(S.DELIVERED, period=NIGHT))

    answer = why(Inquiry(CHF, "CHF", HUB, [(newer, HubUpgrade(HUB)), (RELEASE, under_way)], NOW))

    assert "has firmware 9002 since" in answer


def test_a_newer_release_that_cannot_be_installed_yet_is_passed_over() -> None:
    newer = replace(
        RELEASE, release_id="2", firmware=Firmware("2B7E", "C1A20001", "9003"), reachable_from=frozenset({"9002"})
    )

    answer = why(Inquiry(CHF, "CHF", HUB, [(newer, HubUpgrade(HUB)), (RELEASE, HubUpgrade(HUB))], NOW))

    assert "is not scheduled for firmware 9002" in answer


ATTEMPTS = st.none() | st.builds(
    attempt,
    st.sampled_from(AttemptState),
    reason=st.sampled_from([None, NOT_APPROVED, NO_COMMON_NIGHT, TOO_LATE, "a reason"]),
    period=st.sampled_from([None, NIGHT]),
)
ANSWERS = st.dictionaries(
    st.sampled_from(["supplier-a", "supplier-b"]),
    st.sampled_from([PENDING, APPROVED, DECLINED, FOR_EVER, DEFERRED, RUN_OUT, scheduled_by("supplier-a")]),
)


@settings(max_examples=300, deadline=None)
@given(
    attempts=ATTEMPTS,
    answers=ANSWERS,
    electricity=st.sampled_from(["supplier-a", None]),
    gas=st.sampled_from([None, "supplier-a", "supplier-b"]),
    status=st.sampled_from(["Commissioned", None]),
    version=st.sampled_from(["9001", "9002", None]),
    night=st.sampled_from([None, Night(NIGHT, NOW)]),
)
def test_whatever_the_facts_the_answer_is_one_sentence_about_the_hub(
    *,
    attempts: Attempt | None,
    answers: dict[str, Answer],
    electricity: str | None,
    gas: str | None,
    status: str | None,
    version: str | None,
    night: Night | None,
) -> None:
    hub = replace(HUB, electricity=electricity, gas=gas, device_status=status, version=version)

    answer = Case("", hub=hub, answers=answers, attempt=attempts, next_night=night).ask()

    assert answer.startswith(f"Hub {CHF} ")
    assert answer.endswith(".")
    assert "\n" not in answer
    assert "None" not in answer
