"""What the configuration that comes with the product says."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from sr_engine.configuration import (
    AlertBodyElement,
    AlertEvent,
    AlertSource,
    CatalogueSource,
    Configuration,
    FutureDating,
    ResponseCodeSource,
    UserRole,
)
from sr_engine.configuration.duis import CSP_REGIONS


def test_six_regions_can_be_upgraded_and_two_cannot(shipped: Configuration) -> None:
    assert tuple(shipped.regions) == CSP_REGIONS[:6]
    assert shipped.not_upgradable_regions == {"Unknown", "SMETS1"}
    assert all(name == region.name for name, region in shipped.regions.items())


def test_nothing_leaves_this_computer_until_an_operator_says_so(shipped: Configuration) -> None:
    assert all(region.endpoint.startswith("http://127.0.0.1:") for region in shipped.regions.values())


def test_a_region_keeps_british_local_time(shipped: Configuration) -> None:
    assert {region.time_zone.key for region in shipped.regions.values()} == {"Europe/London"}
    assert shipped.regions["Central"].open_until < shipped.regions["Central"].open_from, "it crosses midnight"
    assert shipped.regions["North"].lead_time == timedelta(hours=72)


def test_the_catalogue_holds_all_published_requests_and_our_five(shipped: Configuration) -> None:
    entries = shipped.catalogue.service_request.values()
    assert sum(entry.source is CatalogueSource.PUBLISHED for entry in entries) == 129
    ours = {entry.variant: entry for entry in entries if entry.source is CatalogueSource.OURS}
    assert {variant: entry.body_element for variant, entry in ours.items()} == {
        "11.5": "ScheduleCommsHubFirmware",
        "11.6": "ApproveCommsHubFirmware",
        "11.7": "ReadCommsHubFirmwareSchedule",
        "11.8": "DeleteCommsHubFirmwareSchedule",
        "11.9": "UpdateCommsHubFirmwareExclusion",
    }
    assert {entry.roles for entry in ours.values()} == {frozenset({UserRole.IS, UserRole.GS})}
    assert {entry.command_variants for entry in ours.values()} == {frozenset({8})}
    assert {entry.variant for entry in ours.values() if FutureDating.DSP in entry.future_dated_by} == {
        "11.5",
        "11.6",
        "11.9",
    }


def test_what_is_reserved_is_about_what_is_not_offered_yet(shipped: Configuration) -> None:
    reserved = {code for code, entry in shipped.response_codes.items() if entry.reserved}
    offered = {entry.variant for entry in shipped.catalogue.service_request.values() if entry.offered}

    assert not {code for code in reserved if shipped.response_codes[code].sr & offered}
    assert {code for code in reserved if not shipped.response_codes[code].sr} == {"E5"}
    assert {code for code, entry in shipped.response_codes.items() if entry.sr and not entry.sr & offered} <= reserved


def test_eight_service_requests_are_offered(shipped: Configuration) -> None:
    entries = shipped.catalogue.service_request.values()
    offered = {entry.variant for entry in entries if entry.offered}
    assert offered == {"8.2", "11.1", "11.4", "11.5", "11.6", "11.7", "11.8", "11.9"}


@pytest.mark.parametrize(
    ("command_variant", "service"),
    [
        (1, "serviceS"),
        (2, "serviceD"),
        (3, "serviceS"),
        (4, "serviceT"),
        (5, "serviceS"),
        (6, "serviceD"),
        (7, "serviceS"),
        (8, "serviceD"),
        (9, None),
    ],
)
def test_each_command_variant_has_its_service(
    shipped: Configuration, command_variant: int, service: str | None
) -> None:
    assert shipped.catalogue.service_for(command_variant) == service


def test_a_request_is_found_by_its_variant(shipped: Configuration) -> None:
    schedule = shipped.catalogue.by_variant("11.5")
    assert schedule is not None
    assert schedule.body_element == "ScheduleCommsHubFirmware"
    assert shipped.catalogue.by_variant("11.50") is None


def test_a_signed_pre_command_stands_in_for_the_body_of_a_critical_request(shipped: Configuration) -> None:
    activate = shipped.catalogue.by_variant("11.3")
    assert activate is not None
    bodies = {number: shipped.catalogue.body_element(activate, number) for number in sorted(activate.command_variants)}
    assert bodies == {4: "ActivateFirmware", 5: "SignedPreCommand", 6: "SignedPreCommand", 7: "SignedPreCommand"}


def test_the_same_ending_of_our_codes_has_the_same_meaning_everywhere(shipped: Configuration) -> None:
    meanings: dict[str, set[str]] = {}
    for code in shipped.response_codes.values():
        if code.code[:5] in {"E1105", "E1106", "E1107", "E1108", "E1109"}:
            meanings.setdefault(code.code[5:], set()).add(code.meaning)
            assert code.sr == {f"11.{code.code[4]}"}
            assert code.source is ResponseCodeSource.OURS
    assert sorted(meanings) == [f"0{number}" for number in range(1, 10)]
    assert all(len(words) == 1 for words in meanings.values())


def test_codes_that_cannot_occur_are_left_out(shipped: Configuration) -> None:
    reading = {code.code for code in shipped.response_codes.values() if "11.7" in code.sr}
    assert reading == {"I0", "E4", "E11", "E19", "E110707"}
    scheduling = {code.code for code in shipped.response_codes.values() if "11.5" in code.sr}
    assert scheduling == {"I0", "W110501"} | {f"E11050{number}" for number in range(1, 10)}


def test_general_codes_answer_any_request(shipped: Configuration) -> None:
    general = {code.code for code in shipped.response_codes.values() if not code.sr}
    assert general == {"I99", "E100"} | {f"E{number}" for number in (1, 2, 3, 5, 12, 13, 40, 41, 42)}


def test_every_event_has_an_alert_and_says_how_sure_its_number_is(shipped: Configuration) -> None:
    assert set(shipped.alerts) == set(AlertEvent)
    assert shipped.alerts[AlertEvent.HUB_ACTIVATED].body is AlertBodyElement.COMMS_HUB_FIRMWARE_ACTIVATION
    published = {event for event, alert in shipped.alerts.items() if alert.source is AlertSource.PUBLISHED}
    assert published == {AlertEvent.FIRMWARE_DELIVERED, AlertEvent.DELIVERY_FAILED}


def test_what_a_hub_runs_can_be_told_since_5_1_and_all_else_to_everybody(shipped: Configuration) -> None:
    since = {event: alert.since for event, alert in shipped.alerts.items() if alert.since is not None}
    assert since == {AlertEvent.HUB_ACTIVATED: Decimal("5.1")}
    activated = shipped.alerts[AlertEvent.HUB_ACTIVATED]
    assert [activated.can_be_expressed_in(Decimal(version)) for version in ("5.0", "5.10", "5.4")] == [
        False,
        True,
        True,
    ]


def test_policy_values_come_in_the_units_that_the_code_uses(shipped: Configuration) -> None:
    policy = shipped.policy
    assert policy.access_control_broker_eui == "90-B3-D5-1F-30-00-00-02"
    assert policy.certificate_roles.requests == {"87"}
    assert Decimal("5.40") in policy.schema_versions.published, "versions are compared as numbers"
    assert policy.schema_versions.uplift == Decimal("5.4")
    assert policy.limits.max_body_bytes == 16 * 1024 * 1024
    assert policy.trust.crl_grace == timedelta(hours=24)
    assert policy.delivery.back_off[0] == timedelta(seconds=5)
