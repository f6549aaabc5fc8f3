"""Every kind of mistake in the response codes, the alerts and the policy is named, with its key and what to do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Edit = Callable[[str, str, str], None]
Problems = Callable[[], tuple[str, ...]]

# What is replaced in the shipped file, by what, and what is said then.
IN_CODES = [
    (
        "[response_code.E110501]",
        "[response_code.E11051]",
        "response_code.E11051: must be a response code such as I0, E4 or W110501, not 'E11051'",
    ),
    (
        '[response_code.E110501] ... sr = ["11.5"]',
        'sr = ["11.05"]',
        "response_code.E110501.sr: 11.05 is not in service_requests.toml",
    ),
    (
        '[response_code.E110501] ... source = "ours"',
        'source = "hearsay"',
        "response_code.E110501.source: must be one of published, unofficial, ours, not 'hearsay'",
    ),
    (
        '[response_code.E110501] ... meaning = "The firmware',
        'meaning = "" # "The firmware',
        "response_code.E110501.meaning: must be text that is not empty, not ''",
    ),
    (
        "[response_code.E5] ... reserved = true",
        'reserved = "yes"',
        "response_code.E5.reserved: must be true or false, not 'yes'",
    ),
    (
        'before = "E110103"',
        "",
        "response_code.E110106.before: must say which code older versions are answered, since `since` is there",
    ),
    (
        'before = "E110103"',
        'before = "E110104"',
        "response_code.E110106.before: E110104 must be a code of this file that every version has",
    ),
]

IN_ALERTS = [
    (
        'code = "N59"',
        'code = "N32"',
        "alert.release_opened.code: must be a DCCAlertCode of DUIS (AD1, N1 to N31, N33 to N65, N999), not 'N32'",
    ),
    (
        'body = "FirmwareUpgradeRequested"',
        'body = "FirmwareUpdateRequested"',
        (
            "alert.release_opened.body: must be one of FirmwareUpgradeRequested, CommsHubFirmwareActivation, "
            "FirmwareDistributionFailure, CSPFirmwareDeliveryStatus, FirmwareVersionMismatch, ChangeOfSupplier, "
            "QuarantinedRequest, DUISVersionMismatch, CommsHubAlert, not 'FirmwareUpdateRequested'"
        ),
    ),
    (
        'hub_alert_code = "A501"',
        'hub_alert_code = "8F72"',
        "alert.hub_scheduled.hub_alert_code: must be in the reserved range A500 to A5FF, not 8F72",
    ),
    (
        'hub_alert_code = "A502"',
        'hub_alert_code = "A501"',
        "alert.hub_listed.hub_alert_code: A501 already belongs to hub_scheduled; give each event its own",
    ),
    (
        'hub_alert_code = "A501"\n',
        "",
        (
            "alert.hub_scheduled.hub_alert_code: is missing; a CommsHubAlert needs four upper-case "
            "hexadecimal digits such as A501"
        ),
    ),
    (
        'code = "N64"',
        'code = "N64"\nhub_alert_code = "A510"',
        ("alert.hub_activated.hub_alert_code: must be left out: CommsHubFirmwareActivation has no place for it"),
    ),
    (
        'code = "N64"',
        'code = "N59"',
        (
            "alert.hub_activated.code: N59 already stands for FirmwareUpgradeRequested at release_opened; one "
            "number has one body"
        ),
    ),
    (
        "since = 5.1",
        'since = "5.1"',
        "alert.hub_activated.since: must be a schemaVersion such as 5.4, not '5.1'",
    ),
    (
        'body = "DUISVersionMismatch"',
        'body = "DUISVersionMismatch"\nsince = 5.1',
        (
            "alert.duis_version_mismatch.since: must be left out: DUISVersionMismatch is what older versions are sent "
            "instead"
        ),
    ),
    (
        'body = "DUISVersionMismatch"',
        'body = "QuarantinedRequest"',
        "alert.duis_version_mismatch.body: must be DUISVersionMismatch, not QuarantinedRequest",
    ),
    (
        'code = "N60"\nbody = "CSPFirmwareDeliveryStatus"',
        'code = "N60"\nbody = "CommsHubFirmwareActivation"',
        (
            "alert.firmware_delivered.body: must be CSPFirmwareDeliveryStatus or FirmwareDistributionFailure, not "
            "CommsHubFirmwareActivation: others have no place for a firmware request and its devices"
        ),
    ),
    (
        'last = "A5FF"',
        'last = "A4FF"',
        "hub_alert_codes.last: must not be below first, which is A500",
    ),
    (
        'first = "A500"',
        'first = "8F00"',
        "hub_alert_codes: 8F00 to A5FF touches 8000 to 8FFF, where devices have their codes",
    ),
]

IN_POLICY = [
    (
        '"90-B3-D5-1F-30-00-00-02"',
        "2",
        "access_control_broker_eui: must be an EUI-64 (eight hexadecimal octets joined by hyphens), not 2",
    ),
    (
        'requests = ["87"]',
        "requests = [135]",
        ("certificate_roles.requests[1]: must be two upper-case hexadecimal digits in quotes such as '87', not 135"),
    ),
    (
        "uplift = 5.4",
        "uplift = nan",
        "schema_versions.uplift: must be a schemaVersion such as 5.4, not NaN",
    ),
    (
        "inventory_max_devices = 17",
        "inventory_max_devices = 18",
        "limits.inventory_max_devices: must be a whole number from 1 to 17, not 18",
    ),
    (
        "worked_on_at_once = 32",
        "worked_on_at_once = 0",
        "overload.worked_on_at_once: must be a whole number of at least 1, not 0",
    ),
    (
        "unauthenticated_per_second = 10",
        "unauthenticated_per_second = 0",
        "overload.unauthenticated_per_second: must be a whole number of at least 1, not 0",
    ),
    (
        "unauthenticated_recorded_per_minute = 30",
        "unauthenticated_recorded_per_minute = 0",
        "overload.unauthenticated_recorded_per_minute: must be a whole number of at least 1, not 0",
    ),
    (
        "new_of_one_address_per_second = 100",
        "new_of_one_address_per_second = 0",
        "connections.new_of_one_address_per_second: must be a whole number of at least 1, not 0",
    ),
    (
        "operating_threshold_per_second = 2_000",
        "operating_threshold_per_second = 99",
        "overload.allocation_per_second: must not be above operating_threshold_per_second, which is 99",
    ),
    (
        "back_off_seconds = [5, 30",
        "back_off_seconds = [5, 1.5",
        "delivery.back_off_seconds[2]: must be a whole number of seconds from 1 to 604800, not 1.5",
    ),
    (
        "max_tries = 30",
        "max_tries = 7",
        (
            "delivery.max_tries: must be more than the 7 waits of back_off_seconds, not 7; otherwise some of "
            "them never happen"
        ),
    ),
    (
        "total_timeout_seconds = 30",
        "total_timeout_seconds = 4",
        "delivery.total_timeout_seconds: must not be shorter than connect_timeout_seconds",
    ),
    (
        "length_seconds = 20",
        "length_seconds = 3_600",
        "leases.length_seconds: must be a number of seconds from 0.01 and below 3600, not 3600",
    ),
    (
        "heartbeat_seconds = 5",
        "heartbeat_seconds = 6.7",
        (
            "leases.heartbeat_seconds: must be at most a third of length_seconds; otherwise one late renewal "
            "loses a lease"
        ),
    ),
    (
        "requests_days = 400",
        "requests_days = 61",
        "retention.requests_days: must be a whole number of days from 62 to 36500, not 61",
    ),
    (
        "[triggers]\n",
        "[trigger]\n",
        "triggers: is missing; it must be a table",
    ),
]


@pytest.mark.parametrize(("old", "new", "message"), IN_CODES, ids=[mistake[2][:60] for mistake in IN_CODES])
def test_a_mistake_in_the_response_codes_is_named(
    edit: Edit, problems: Problems, old: str, new: str, message: str
) -> None:
    edit("response_codes.toml", old, new)
    assert f"response_codes.toml: {message}" in problems()


@pytest.mark.parametrize(("old", "new", "message"), IN_ALERTS, ids=[mistake[2][:60] for mistake in IN_ALERTS])
def test_a_mistake_in_the_alerts_is_named(edit: Edit, problems: Problems, old: str, new: str, message: str) -> None:
    edit("alerts.toml", old, new)
    assert f"alerts.toml: {message}" in problems()


@pytest.mark.parametrize(("old", "new", "message"), IN_POLICY, ids=[mistake[2][:60] for mistake in IN_POLICY])
def test_a_mistake_in_the_policy_is_named(edit: Edit, problems: Problems, old: str, new: str, message: str) -> None:
    edit("policy.toml", old, new)
    assert f"policy.toml: {message}" in problems()
