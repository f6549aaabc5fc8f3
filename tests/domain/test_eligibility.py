"""Which reason a hub is refused for, when several apply; and windows that are wrong in themselves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sr_engine.domain.eligibility import Applicant, refusal, window_error
from sr_engine.domain.upgrades import Hub, HubUpgrade, Release
from sr_engine.messages.model import Firmware, Period, RefusalReason

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
HORIZON = NOW + timedelta(days=180)
IHD = ("0F0F", "IHD9000")
HUB = Hub("00-00-5E-EF-C0-00-00-01", "Commissioned", "North", "2B7E", "C1A20001", "9001", "a", "b")
RELEASE = Release(
    release_id="r",
    firmware=Firmware("2B7E", "C1A20001", "9002"),
    image_hash="AB" * 32,
    status="Open",
    cpl_status="Active",
    management="SupplierManaged",
    regions=frozenset({"North"}),
    general_open=frozenset(),
    reachable_from=frozenset({"9001"}),
    han_models=frozenset({IHD}),
)
APPLICANT = Applicant("a", frozenset({"IS", "GS"}))
FAULTS = tuple(reason for reason in RefusalReason if reason is not RefusalReason.NOT_AVAILABLE)


def judged(faults: set[RefusalReason]) -> RefusalReason | None:
    """What is said of a hub that has exactly these faults."""
    hub = HUB
    if RefusalReason.NOT_RESPONSIBLE in faults:
        hub = replace(hub, electricity="c")
    if RefusalReason.NOT_COMMISSIONED in faults:
        hub = replace(hub, device_status="Pending")
    if RefusalReason.NOT_APPLICABLE_FIRMWARE in faults:
        hub = replace(hub, version="8000")
    if RefusalReason.HAN_INCOMPATIBLE in faults:
        hub = replace(hub, han_models=frozenset({IHD}))
    return refusal(
        None if RefusalReason.INVALID in faults else HubUpgrade(hub),
        applicant=APPLICANT,
        release=RELEASE,
        in_progress=lambda _: RefusalReason.OTHER_REQUEST_IN_PROGRESS in faults,
        accept_han_impact=False,
        window_available=lambda _: RefusalReason.WINDOW_NOT_AVAILABLE not in faults,
    )


@given(st.sets(st.sampled_from(FAULTS)))
def test_the_first_reason_in_the_order_of_the_result_body_is_given(faults: set[RefusalReason]) -> None:
    expected = next((reason for reason in FAULTS if reason in faults), None)

    assert judged(faults) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"manufacturer": "other"},
        {"model": "433100AD"},
        {"model": "433100ac"},
        {"region": "South"},
        {"region": None},
        {"version": None},
        {"version": "9002"},
    ],
)
def test_firmware_applies_to_the_very_model_a_reachable_version_and_the_regions_it_is_for(
    changes: dict[str, str | None],
) -> None:
    hub = replace(HUB, **changes)  # type: ignore[arg-type]  # names and values stand together in the table

    reason = refusal(
        HubUpgrade(hub),
        applicant=APPLICANT,
        release=RELEASE,
        in_progress=lambda _: False,
        accept_han_impact=False,
    )

    assert reason is RefusalReason.NOT_APPLICABLE_FIRMWARE


@pytest.mark.parametrize(
    ("organisation", "roles", "responsible"),
    [
        ("a", {"IS"}, True),
        ("a", {"GS"}, False),
        ("b", {"IS"}, False),
        ("b", {"GS"}, True),
        ("b", {"IS", "GS"}, True),
        ("c", {"IS", "GS"}, False),
        ("a", set(), False),
        ("a", {"ED"}, False),
    ],
)
def test_a_supplier_is_responsible_in_the_role_of_its_registration(
    organisation: str, roles: set[str], responsible: bool
) -> None:
    assert HUB.is_responsible(organisation, frozenset(roles)) is responsible


@pytest.mark.parametrize(
    ("electricity", "gas", "responsible"),
    [("a", "b", ("a", "b")), ("a", "a", ("a",)), ("a", None, ("a",)), (None, "b", ("b",)), (None, None, ())],
)
def test_each_responsible_supplier_counts_once_electricity_first(
    electricity: str | None, gas: str | None, responsible: tuple[str, ...]
) -> None:
    assert replace(HUB, electricity=electricity, gas=gas).responsible == responsible


_moments = st.timedeltas(timedelta(days=-400), timedelta(days=400)).map(lambda distance: NOW + distance)


@given(_moments, _moments)
def test_a_window_is_right_in_itself_if_it_has_a_length_and_ends_between_now_and_the_horizon(
    start: datetime, end: datetime
) -> None:
    right = start < end and NOW < end <= HORIZON

    assert (window_error(Period(start, end), NOW, HORIZON) is None) is right


@pytest.mark.parametrize(
    ("start", "end", "says"),
    [
        (1, 1, "ends before it starts"),
        (2, 1, "ends before it starts"),
        (-2, -1, "in the past"),
        (-2, 0, "in the past"),
        (-2, 1, None),
        (1, 180, None),
        (1, 180.001, "beyond the planning horizon, 2027-05-22T09:00:00Z"),
    ],
)
def test_the_edges_of_a_window_are_named_in_words(start: float, end: float, says: str | None) -> None:
    found = window_error(Period(NOW + timedelta(days=start), NOW + timedelta(days=end)), NOW, HORIZON)

    assert (found is None) if says is None else (found is not None and says in found)
