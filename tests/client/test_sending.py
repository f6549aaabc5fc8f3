"""Requests of every kind, from plain values to typed results, against a served processor."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from datetime import timedelta
from pathlib import Path

import pytest

from signing import Participant, SoftwareKey, make_pki
from sr_engine.client import (
    AsyncClient,
    Client,
    ClientError,
    ListResult,
    NotTaken,
    Outcome,
    PartlyRefused,
    RequestNotSent,
    RequestRefused,
    SenderNotAuthenticated,
    SigningFailed,
    SigningServer,
    Verdict,
    approve,
    cancellation,
    decline,
    defer,
    delete_schedule,
    exclude,
    include,
    read_hub,
    read_inventory,
    read_schedule,
    schedule,
    update_meter_firmware,
)
from sr_engine.messages.model import FirmwareRefusal, RefusalReason, UpgradeStatus
from sr_engine.parsing import to_json
from sr_engine.resources import data_directory
from sr_engine.signservice.server import Options, parts_of
from sr_engine.signservice.service import AcceptedRoles
from tests.client.conftest import HUBS, OF_OTHERS, SPLIT, TOKEN, UNCOMMISSIONED, Said, options, standing_in
from tests.firmware import IMAGE, VERSION
from tests.gateway.conftest import Served
from tests.signservice.conftest import serving as signing
from tests.world import FIRMWARE, NOW, WINDOW, A, B, eui

IDS = [hub.chf for hub in HUBS]
NOWHERE = eui(0xEE, 9)


def _scheduled(client: Client, *ids: str) -> ListResult:
    return client.send(schedule(FIRMWARE, ids, start=WINDOW.start, end=WINDOW.end))


def _taken_back(client: Client, result: ListResult) -> None:
    for schedule_id in result.schedule_ids:
        client.send(delete_schedule(schedule_id)).raise_for_refusal()


def test_a_list_that_is_accepted_is_accepted_device_by_device(client: Client) -> None:
    result = _scheduled(client, *IDS)

    assert result.outcome is Outcome.ACCEPTED
    assert result.accepted == tuple(IDS)
    assert (dict(result.refused), result.held, result.unclear) == ({}, (), ())
    assert result.schedule_id is not None
    result.raise_for_refusal()
    _taken_back(client, result)


def test_a_partly_accepted_list_is_neither_accepted_nor_refused(client: Client) -> None:
    result = _scheduled(client, IDS[0], UNCOMMISSIONED.chf, OF_OTHERS.chf.lower(), NOWHERE)

    assert result.outcome is Outcome.PARTLY_ACCEPTED
    assert result.accepted == (IDS[0],)
    assert {one: outcome.reason for one, outcome in result.refused.items()} == {
        UNCOMMISSIONED.chf: RefusalReason.NOT_COMMISSIONED,
        OF_OTHERS.chf: RefusalReason.NOT_RESPONSIBLE,
        NOWHERE: RefusalReason.INVALID,
    }
    with pytest.raises(PartlyRefused, match=r"W110501.*NotCommissionedDeviceIDList 1") as raised:
        result.raise_for_refusal()
    assert raised.value.result is result
    assert not isinstance(raised.value, RequestRefused)
    with pytest.raises(TypeError, match="neither true nor false"):
        assert result
    _taken_back(client, result)


def test_a_list_of_which_nothing_is_accepted_is_refused_with_the_reason_of_each(client: Client) -> None:
    result = _scheduled(client, UNCOMMISSIONED.chf, NOWHERE)

    assert (result.outcome, result.accepted, result.schedule_ids) == (Outcome.REFUSED, (), ())
    assert result.devices[NOWHERE].reason is RefusalReason.INVALID
    with pytest.raises(RequestRefused, match="E110503"):
        result.raise_for_refusal()


def test_a_request_that_is_refused_as_a_whole_gives_its_code_for_every_device(client: Client) -> None:
    unknown = client.send(approve(FIRMWARE.__class__("2B7E", "C1A20001", "1234"), IDS))

    assert unknown.outcome is Outcome.REFUSED
    assert {(one.verdict, one.code, one.reason) for one in unknown.devices.values()} == {
        (Verdict.REFUSED, "E110601", None)
    }


def test_a_hub_named_by_both_its_ids_is_unclear_where_the_answer_does_not_tell(client: Client) -> None:
    result = _scheduled(client, IDS[0], HUBS[0].gpf, UNCOMMISSIONED.chf, UNCOMMISSIONED.gpf)

    assert result.outcome is Outcome.PARTLY_ACCEPTED
    assert set(result.refused) == {UNCOMMISSIONED.chf}
    assert result.unclear == (IDS[0], HUBS[0].gpf, UNCOMMISSIONED.gpf)
    with pytest.raises(PartlyRefused):
        result.raise_for_refusal()
    _taken_back(client, result)


def test_every_answer_to_a_release_is_sent_by_its_own_function(client: Client, served: Served) -> None:
    result = _scheduled(client, SPLIT.chf)
    with Client(f"http://127.0.0.1:{served.port}", **options(served.world, B)) as other:
        for body in (
            defer(FIRMWARE, [SPLIT.chf], until=NOW + timedelta(days=2)),
            decline(FIRMWARE, [SPLIT.chf]),
            approve(FIRMWARE, [SPLIT.chf]),
        ):
            assert other.send(body).outcome is Outcome.ACCEPTED

    (upgrade,) = client.send(read_hub(SPLIT.chf)).upgrades
    assert upgrade.status is UpgradeStatus.SCHEDULED
    _taken_back(client, result)


def test_hubs_are_kept_out_and_let_in_again(client: Client) -> None:
    assert client.send(exclude([IDS[3]], until=NOW + timedelta(days=9))).accepted == (IDS[3],)
    assert client.send(include([IDS[3]])).accepted == (IDS[3],)


def test_the_inventory_is_read_and_nothing_found_is_a_refusal(client: Client) -> None:
    found = client.send(read_inventory(device_id=IDS[0].lower()))
    nothing = client.send(read_inventory(uprn=1))

    assert (found.outcome, found.devices[0].device_id) == (Outcome.ACCEPTED, IDS[0])
    assert (nothing.outcome, nothing.devices) == (Outcome.REFUSED, ())
    with pytest.raises(RequestRefused, match="E080201"):
        nothing.raise_for_refusal()


def test_a_schedule_is_read_page_by_page(client: Client) -> None:
    result = _scheduled(client, *IDS)
    odd = _scheduled(client, SPLIT.chf)
    assert result.schedule_id is not None
    assert odd.schedule_id is not None

    whole = client.read_whole_schedule(result.schedule_id)
    first = client.send(read_schedule(result.schedule_id))
    after = client.send(read_schedule(result.schedule_id, after=IDS[1]))

    assert [one.device_id for one in whole.upgrades] == IDS
    assert whole.schedule is not None
    assert whole.schedule.window == WINDOW
    assert not whole.more_devices
    assert ([one.device_id for one in first.upgrades], first.more_devices) == (IDS[:2], True)
    assert [one.device_id for one in client.read_whole_schedule(odd.schedule_id).upgrades] == [SPLIT.chf]
    assert [one.device_id for one in after.upgrades] == IDS[2:]
    assert client.read_whole_schedule(4711).outcome is Outcome.REFUSED
    _taken_back(client, result)
    _taken_back(client, odd)


def test_meters_are_refused_by_their_own_reasons(client: Client) -> None:
    result = client.send(update_meter_firmware(IMAGE, VERSION, [NOWHERE]))

    assert result.outcome is Outcome.REFUSED
    assert {one.reason for one in result.devices.values()} <= {None, *FirmwareRefusal}


def test_what_is_to_be_carried_out_later_is_held_and_can_be_cancelled(client: Client) -> None:
    later = approve(FIRMWARE, IDS[:2], execute_at=NOW + timedelta(days=1))

    held = client.send(later)
    again = client.submit(held.answers[0].request)
    waits = client.fetch_response(held.answers[0].request.request_id)
    cancelled = client.send(cancellation(later))

    assert (held.outcome, held.held, held.accepted) == (Outcome.HELD, tuple(IDS[:2]), ())
    held.raise_for_refusal()
    assert again.follows
    assert waits is None
    assert cancelled.outcome is Outcome.ACCEPTED


def test_a_response_is_given_out_to_who_has_the_token_and_to_nobody_else(served: Served) -> None:
    url = f"http://127.0.0.1:{served.port}"
    with Client(url, **options(served.world)) as client, pytest.raises(RequestNotSent, match="needs the token"):
        client.fetch_response(served.world.request_id(A))
    with (
        Client(url, token="of somebody", **options(served.world)) as client,
        pytest.raises(ClientError, match="HTTP 401"),
    ):
        client.fetch_response(served.world.request_id(A))


def test_a_request_in_a_sequence_is_held_for_the_one_before(client: Client) -> None:
    first = client.sign(read_inventory(device_id=IDS[0]), first_in_sequence=True)
    second = client.send(read_inventory(device_id=IDS[1]), preceding=first.request_id)

    assert second.outcome is Outcome.HELD
    assert client.submit(first).outcome is Outcome.ACCEPTED


def test_a_list_that_is_too_long_is_split_and_its_results_are_merged(served: Served) -> None:
    with Client(f"http://127.0.0.1:{served.port}", most_devices=3, **options(served.world)) as client:
        result = _scheduled(client, *IDS, UNCOMMISSIONED.chf, OF_OTHERS.chf, NOWHERE)

        assert [len(one.request.device_ids) for one in result.answers] == [3, 3, 1]
        assert [one.outcome for one in result.answers] == [
            Outcome.ACCEPTED,
            Outcome.PARTLY_ACCEPTED,
            Outcome.REFUSED,
        ]
        assert result.outcome is Outcome.PARTLY_ACCEPTED
        assert result.accepted == tuple(IDS)
        assert len(result.refused) == 3
        assert len(result.schedule_ids) == 2
        with pytest.raises(ValueError, match="there are 2 schedules"):
            assert result.schedule_id
        _taken_back(client, result)
        replacing = schedule(FIRMWARE, IDS, start=WINDOW.start, end=WINDOW.end, replaces=1)
        with pytest.raises(RequestNotSent, match="cannot replace another"):
            client.send(replacing)
        with pytest.raises(RequestNotSent, match="only one part can be first"):
            client.send(exclude(IDS), first_in_sequence=True)


def test_the_async_client_does_the_same(served: Served) -> None:
    async def story() -> None:
        url = f"http://127.0.0.1:{served.port}"
        async with AsyncClient(url, token=TOKEN, **options(served.world)) as client:
            results = await asyncio.gather(*(client.send(read_inventory(device_id=one)) for one in IDS))
            result = await client.send(schedule(FIRMWARE, [*IDS, NOWHERE], start=WINDOW.start, end=WINDOW.end))
            signed = await client.sign(read_hub(IDS[0]))
            answer = await client.submit(signed)
            assert result.schedule_id is not None
            whole = await client.read_whole_schedule(result.schedule_id)
            response = await client.fetch_response(signed.request_id)
            await client.send(delete_schedule(result.schedule_id))

        assert [one.devices[0].device_id for one in results] == IDS
        assert (result.accepted, set(result.refused)) == (tuple(IDS), {NOWHERE})
        assert answer.request is signed
        assert [one.device_id for one in whole.upgrades] == IDS
        assert response is None

    asyncio.run(story())


def test_a_client_whose_key_is_not_trusted_learns_that_it_was_not_authenticated(served: Served, tmp_path: Path) -> None:
    stranger = make_pki(tmp_path / "pki", [], now=NOW).issue(Participant("stranger", A.eui, "87"))
    keyed = options(served.world, key=stranger)
    with (
        Client(f"http://127.0.0.1:{served.port}", **keyed) as client,
        pytest.raises(SenderNotAuthenticated, match="E100: no certificate"),
    ):
        client.send(read_inventory(uprn=1))


def test_what_is_not_taken_says_why(served: Served) -> None:
    versioned = options(served.world, schema_version="4.0")
    with (
        Client(f"http://127.0.0.1:{served.port}", **versioned) as client,
        pytest.raises(NotTaken, match=r"HTTP 400: .*4\.0") as raised,
    ):
        client.send(read_inventory(uprn=1))
    assert raised.value.status == 400


class Token:
    """A key that shows nothing but what a signature takes."""

    def __init__(self, key: SoftwareKey) -> None:
        self.eui, self.issuer_name, self.serial = key.eui, key.issuer_name, key.serial
        self._key = key
        self.signed = 0

    def sign(self, data: bytes) -> bytes:
        self.signed += 1
        return self._key.sign(data)


def test_whatever_signs_may_be_the_key(served: Served) -> None:
    token = Token(served.world.key(A.name))
    with Client(f"http://127.0.0.1:{served.port}", **options(served.world, key=token)) as client:
        assert client.send(read_inventory(device_id=IDS[0])).outcome is Outcome.ACCEPTED
    assert token.signed == 1


def test_a_signing_server_may_hold_the_key(served: Served) -> None:
    world = served.world
    offered = Options(
        keys=world.directory / "pki",
        trust=world.directory / "pki" / "trust",
        counters=world.directory / "sign-counters",
        schema=data_directory("xsd") / "duis.xsd",
        roles=AcceptedRoles({"87"}, {"89"}),
        crl_grace=timedelta(hours=24),
        clock=world.clock,
    )
    url = f"http://127.0.0.1:{served.port}"
    with parts_of(offered) as parts, signing(offered, parts) as api:
        key = SigningServer(f"http://127.0.0.1:{api.port}/", A.eui.lower())
        with Client(url, **options(world, key=key)) as client:
            assert client.send(read_inventory(device_id=IDS[0])).outcome is Outcome.ACCEPTED
        of_nobody = SigningServer(key.url, eui(0xEE, 1))
        with Client(url, **options(world, key=of_nobody)) as client, pytest.raises(SigningFailed, match="HTTP 400"):
            client.send(read_inventory(device_id=IDS[0]))


def test_a_signing_server_that_signs_something_else_is_found_out(served: Served) -> None:
    world = served.world
    other = world.signed(A, read_inventory(uprn=1), "8.2")
    body = json.dumps({"message": b64encode(other).decode()}).encode()
    with standing_in(Said(200, body), Said(200, b"[]"), Said(None)) as stand_in:
        key = SigningServer(stand_in.url, A.eui)
        with Client(f"http://127.0.0.1:{served.port}", **options(world, key=key)) as client:
            for why in ("something else than it was given", "not in the form of its API", "did not answer"):
                with pytest.raises(SigningFailed, match=why):
                    client.send(read_inventory(uprn=2))


def test_what_cannot_be_sent_is_said_before_it_is() -> None:
    naive = NOW.replace(tzinfo=None)
    for wrong, why in (
        (lambda: exclude("00-00-5E-EF-C0-00-00-01"), "one text"),
        (lambda: exclude([]), "is empty"),
        (lambda: delete_schedule(1, []), "is empty"),
        (lambda: exclude(["hub"]), "not an EUI-64"),
        (lambda: exclude(IDS, until=naive), "until needs a time zone"),
        (lambda: schedule(FIRMWARE, IDS, start=WINDOW.end, end=WINDOW.start), "not after its start"),
        (lambda: schedule(FIRMWARE, IDS, start=WINDOW.start, end=WINDOW.end, phase="Later"), "Later"),
        (read_inventory, "name one of"),
        (lambda: read_inventory(postcode="AB1 2CD"), "go together"),
        (lambda: cancellation(exclude(IDS)), "execute_at"),
    ):
        with pytest.raises(ValueError, match=why):
            wrong()


def test_an_address_that_is_none_is_said_at_once(served: Served) -> None:
    with pytest.raises(ValueError, match="not an http or https address"):
        Client("dcc.example", **options(served.world))


def test_the_result_of_a_request_can_be_written_as_json(client: Client) -> None:
    result = client.send(read_inventory(device_id=IDS[0]))

    assert json.loads(json.dumps(to_json(result.answer.response)))["body"]["devices"][0]["device_id"] == IDS[0]
