"""Every kind of mistake in the regions and the catalogue is named, with its key and what to do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Edit = Callable[[str, str, str], None]
Problems = Callable[[], tuple[str, ...]]

# What is replaced in the shipped file, by what, and what is said then.
IN_REGIONS = [
    (
        "list_size = 5000\n",
        'list_size = 5000\ntoken_sha256 = "AB"\n',
        "region.North.token_sha256: must be a SHA-256 of 64 lower-case hexadecimal digits in quotes, not 'AB'",
    ),
    (
        '[region."4G North"] ... hubs_per_night = 20000',
        "hubs_per_night = 'x'",
        "region.\"4G North\".hubs_per_night: must be a whole number of at least 1, not 'x'",
    ),
    (
        "hubs_per_night = 6000",
        "hubs_per_night = 0",
        "region.North.hubs_per_night: must be a whole number of at least 1, not 0",
    ),
    (
        "hubs_per_night = 6000",
        "hubs_per_night = true",
        "region.North.hubs_per_night: must be a whole number of at least 1, not true",
    ),
    (
        "hubs_per_night = 6000\n",
        "",
        "region.North.hubs_per_night: is missing; it must be a whole number of at least 1",
    ),
    (
        "list_size = 5000\n",
        "list_size = 5000\nhubs_per_nigth = 2\n",
        "region.North.hubs_per_nigth: is not a known key; is hubs_per_night meant?",
    ),
    (
        "list_size = 5000\n",
        "list_size = 5000\ncolour = 2\n",
        "region.North.colour: is not a known key; take it out",
    ),
    (
        '"00-00-5E-EF-10-00-00-C1"',
        '"00-00-5E"',
        ("region.North.csp_eui: must be an EUI-64 (eight hexadecimal octets joined by hyphens), not '00-00-5E'"),
    ),
    (
        'endpoint = "http://127.0.0.1:8090/north"',
        'endpoint = "ftp://csp.example/north"',
        "region.North.endpoint: must be an http or https address, no user in it, not 'ftp://csp.example/north'",
    ),
    (
        "open_until = 05:30:00",
        "open_until = 00:00:00",
        "region.North.open_until: must differ from open_from, which is 00:00:00 too",
    ),
    (
        "open_until = 05:30:00",
        'open_until = "05:30"',
        "region.North.open_until: must be a time of day such as 22:00:00, without quotes, not '05:30'",
    ),
    (
        '"Thursday"]',
        '"Thorsday"]',
        (
            "region.North.weekdays[4]: must be one of Monday, Tuesday, Wednesday, Thursday, Friday, "
            "Saturday, Sunday, not 'Thorsday'"
        ),
    ),
    (
        '"Thursday"]',
        '"Monday"]',
        "region.North.weekdays[4]: stands in the list already; take it out",
    ),
    (
        'weekdays = ["Monday", "Tuesday", "Wednesday", "Thursday"]',
        "weekdays = []",
        "region.North.weekdays: must be a list of at least one, not []",
    ),
    (
        "blackout_dates = [2026-12-24, 2026-12-25",
        "blackout_dates = [2026-12-24, 2026-12-25T00:00:00",
        ("region.North.blackout_dates[2]: must be a date such as 2026-12-25, without quotes, not 2026-12-25 00:00:00"),
    ),
    (
        'time_zone = "Europe/London"',
        'time_zone = "Europe/Lundon"',
        ("region.North.time_zone: must be the name of a time zone such as Europe/London, not 'Europe/Lundon'"),
    ),
    (
        "lead_time_hours = 72",
        "lead_time_hours = -1",
        "region.North.lead_time_hours: must be a whole number of hours from 0 to 2160, not -1",
    ),
    (
        "[region.North]",
        "[region.Nord]",
        (
            "region.Nord: must be one of North, Central, South, 4G North, 4G Central, 4G South, Unknown, "
            "SMETS1, not 'Nord'"
        ),
    ),
    (
        'not_upgradable = ["Unknown", "SMETS1"]',
        'not_upgradable = ["Unknown"]',
        "SMETS1 is missing; give it a table of its own or name it in not_upgradable",
    ),
    (
        'not_upgradable = ["Unknown", "SMETS1"]',
        'not_upgradable = ["Unknown", "SMETS1", "North"]',
        "not_upgradable: names North, which also has a table of its own",
    ),
]

IN_REQUESTS = [
    (
        '[service_request."8.2"] ... roles = ["IS", "GS"',
        'roles = ["IS", "XX"',
        "service_request.\"8.2\".roles[2]: must be one of IS, GS, ES, RSA, ED, GT, OU, not 'XX'",
    ),
    (
        '[service_request."8.2"] ... command_variants = [8]',
        "command_variants = [9]",
        'service_request."8.2".command_variants[1]: must be a whole number from 1 to 8, not 9',
    ),
    (
        '[service_request."8.2"] ... command_variants = [8]',
        "command_variants = [1]",
        ('service_request."8.2".command_variants: must be among 8 for a Service Request that is Non-Device, not [1]'),
    ),
    (
        '[service_request."11.3"] ... command_variants = [4, 5, 6, 7]',
        "command_variants = [1, 4]",
        (
            'service_request."11.3".command_variants: must be among 4, 5, 6, 7 for a Service '
            "Request that is critical, not [1, 4]"
        ),
    ),
    (
        '[service_request."8.2"] ... critical = false',
        "critical = true",
        ('service_request."8.2".critical: must be false: a Non-Device Service Request is never critical'),
    ),
    (
        '[service_request."11.7"] ... reference = "11.7"',
        'reference = "11.6"',
        "service_request.\"11.7\".reference: must be the beginning of 11.7, not '11.6'",
    ),
    (
        'body_element = "ApproveCommsHubFirmware"',
        'body_element = "ScheduleCommsHubFirmware"',
        (
            'service_request."11.6".body_element: ScheduleCommsHubFirmware already belongs to 11.5; '
            "every Service Request has a body element of its own"
        ),
    ),
    (
        '[service_request."11.7"]',
        '[service_request."11.07"]',
        ("service_request.\"11.07\": must be a ServiceReferenceVariant such as 6.2.4, not '11.07'"),
    ),
    (
        "[service.serviceT] ... command_variants = [4]",
        "command_variants = [4, 5]",
        "service: Command Variant 5 is taken by serviceS and serviceT; keep one",
    ),
    (
        "command_variants = [2, 6, 8]",
        "command_variants = [2, 6]",
        ('service_request."11.5".command_variants: no service takes Command Variant 8; add it to a [service] table'),
    ),
    (
        "offered = true",
        'offered = "yes"',
        "service_request.\"8.2\".offered: must be true or false, not 'yes'",
    ),
]


@pytest.mark.parametrize(("old", "new", "message"), IN_REGIONS, ids=[mistake[2][:60] for mistake in IN_REGIONS])
def test_a_mistake_in_the_regions_is_named(edit: Edit, problems: Problems, old: str, new: str, message: str) -> None:
    edit("regions.toml", old, new)
    assert f"regions.toml: {message}" in problems()


@pytest.mark.parametrize(("old", "new", "message"), IN_REQUESTS, ids=[mistake[2][:60] for mistake in IN_REQUESTS])
def test_a_mistake_in_the_catalogue_is_named(edit: Edit, problems: Problems, old: str, new: str, message: str) -> None:
    edit("service_requests.toml", old, new)
    assert f"service_requests.toml: {message}" in problems()


def test_two_regions_with_the_same_token_are_named(edit: Edit, problems: Problems) -> None:
    token = f'token_sha256 = "{"ab" * 32}"\n'
    for region in ("North", "Central"):
        edit("regions.toml", f"[region.{region}]\n", f"[region.{region}]\n{token}")

    assert problems() == (
        "regions.toml: region.Central.token_sha256: is that of North too; every region has a token of its own",
    )
