"""The CSP endpoint over real HTTP: what is taken, what is refused, and that a refusal changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from lxml import etree

from signing import Signer, SoftwareKey
from sr_engine.messages.csp import build_csp_message
from sr_engine.messages.elements import CSP
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import (
    CspMessage,
    ReportStatus,
    UpgradeList,
    UpgradeListAcknowledgement,
    UpgradeListWithdrawal,
    UpgradeReport,
)
from tests.gateway.conftest import HttpAnswer, Served, serving, still
from tests.regions.conftest import Nights, hubs
from tests.world import BROKER, A, TestHub, make_world

ENDPOINT = "/api/v1/csp"


@dataclass
class Csp:
    """The CSP of region Central, with two hubs on one list."""

    served: Served
    nights: Nights
    members: list[TestHub]
    list_id: str

    @property
    def key(self) -> SoftwareKey:
        return self.served.world.csp_key("Central")

    def post(self, data: bytes) -> HttpAnswer:
        return self.served.post(data, ENDPOINT)

    def sign(self, message: CspMessage, key: SoftwareKey | None = None) -> bytes:
        return Signer(key or self.key).sign(build_csp_message(message))

    def report(
        self,
        status: ReportStatus = ReportStatus.ACTIVATED,
        *,
        counter: int = 1,
        originator: str | None = None,
        list_id: str | None = None,
        region: str = "Central",
    ) -> UpgradeReport:
        return UpgradeReport(
            RequestId.make(originator or self.nights.region.csp_eui, BROKER, counter),
            self.served.world.clock.now(),
            list_id or self.list_id,
            region,
            tuple(self.nights.saw(hub, status) for hub in self.members),
        )

    def acknowledgement(self, *, counter: int = 1) -> UpgradeListAcknowledgement:
        return UpgradeListAcknowledgement(
            RequestId.make(self.nights.region.csp_eui, BROKER, counter),
            self.served.world.clock.now(),
            self.list_id,
            "Central",
            tuple(hub.chf for hub in self.members),
        )

    def states(self) -> list[str]:
        return self.nights.states(self.members)


@pytest.fixture
def csp(tmp_path: Path) -> Iterator[Csp]:
    world = make_world(tmp_path / "instance", prepare=still)
    world.open_release()
    nights = Nights(world, world.instance.configuration.regions["Central"])
    members = hubs(2)
    world.add_hubs(members)
    nights.schedule(members)
    nights.cut()
    (list_id,) = nights.list_ids()
    # Nothing is left to deliver: a snapshot then changes only by what a test does.
    nights.deliver_all()
    with serving(world) as served:
        yield Csp(served, nights, members, list_id)
    world.close()


def refused(csp: Csp, data: bytes, status: int, *words: str) -> None:
    """The message is refused with this status and these words, and changes nothing."""
    before = csp.served.world.snapshot()

    answer = csp.post(data)

    assert answer.status == status
    assert answer.headers.get_content_type() == "application/problem+xml"
    detail = etree.fromstring(answer.body).findtext("{urn:ietf:rfc:7807}detail") or ""
    for word in words:
        assert word in detail
    assert csp.served.world.snapshot() == before


# --- taken -----------------------------------------------------------------------------------------------------------


def test_an_acknowledgement_and_a_report_are_taken_with_204_and_no_body(csp: Csp) -> None:
    first = csp.post(csp.sign(csp.acknowledgement(counter=1)))
    assert (first.status, first.body, first.detail) == (204, b"", "2 hubs acknowledged")
    assert csp.states() == ["Accepted", "Accepted"]

    second = csp.post(csp.sign(csp.report(counter=2)))
    assert (second.status, second.body, second.detail) == (204, b"", "2 hubs brought forward")
    assert csp.states() == ["Activated", "Activated"]
    assert csp.nights.told("hub_activated") == [(hub.chf, A.name) for hub in csp.members]


def test_the_same_message_again_is_204_and_does_nothing_signed_anew_or_not(csp: Csp) -> None:
    message = csp.report(ReportStatus.DELIVERED)
    data = csp.sign(message)
    csp.post(data)
    before = csp.served.world.snapshot()

    for again in (data, csp.sign(message)):
        answer = csp.post(again)
        assert (answer.status, answer.detail) == (204, "2 hubs brought forward")

    assert csp.served.world.snapshot() == before


def test_a_message_that_is_written_in_lower_case_is_the_same_message(csp: Csp) -> None:
    csp.post(csp.sign(csp.report(ReportStatus.DELIVERED)))
    lower = csp.report(ReportStatus.ACTIVATED)
    shouted = RequestId.parse(lower.message_id.text.lower())
    root = build_csp_message(lower)
    root[0][0].text = shouted.text

    assert csp.post(Signer(csp.key).sign(root)).status == 409


def test_what_was_taken_stands_in_the_audit_trail(csp: Csp) -> None:
    csp.post(csp.sign(csp.report()))

    assert csp.nights.said("UpgradeReport") == ["2 hubs brought forward"]


# --- refused ---------------------------------------------------------------------------------------------------------


def test_another_content_under_the_same_message_id_is_a_conflict(csp: Csp) -> None:
    csp.post(csp.sign(csp.report(ReportStatus.DELIVERED)))

    refused(csp, csp.sign(csp.report(ReportStatus.ACTIVATED)), 409, "MessageID was used before")


def test_a_suppliers_certificate_is_of_the_wrong_role(csp: Csp) -> None:
    data = csp.sign(csp.report(originator=A.eui), csp.served.world.key(A.name))

    refused(csp, data, 403, "87")


def test_the_csp_of_another_region_may_not_speak_for_this_one(csp: Csp) -> None:
    north = csp.served.world.instance.configuration.regions["North"]
    data = csp.sign(csp.report(originator=north.csp_eui), csp.served.world.csp_key("North"))

    refused(csp, data, 403, north.csp_eui, "Central")


def test_the_signer_must_be_the_originator(csp: Csp) -> None:
    other = csp.served.world.instance.configuration.regions["North"].csp_eui

    refused(csp, csp.sign(csp.report(originator=other)), 403, "originator of its MessageID")


def test_a_signature_by_a_key_that_is_not_its_certificates_is_refused(csp: Csp) -> None:
    good = csp.sign(csp.report())
    start = good.index(b"<ds:SignatureValue>") + len(b"<ds:SignatureValue>")
    value = b"A" * 86 + b"=="

    refused(csp, good[:start] + value + good[start + len(value) :], 403)


def test_a_report_that_was_changed_after_it_was_signed_is_refused(csp: Csp) -> None:
    data = csp.sign(csp.report(ReportStatus.FAILED)).replace(b"Failed", b"Activated")

    refused(csp, data, 403)


def test_an_unsigned_message_is_refused(csp: Csp) -> None:
    data = etree.tostring(build_csp_message(csp.report()), encoding="UTF-8", xml_declaration=True)

    refused(csp, data, 400, "Signature")


def test_a_message_that_is_not_valid_is_refused_with_its_place(csp: Csp) -> None:
    root = build_csp_message(csp.report())
    (status, *_) = root.iter(f"{CSP}Status")
    status.text = "Exploded"
    data = Signer(csp.key).sign(root)

    refused(csp, data, 400, "Exploded")
    answer = csp.post(data)
    problem = etree.fromstring(answer.body)
    assert (problem.findtext("{urn:ietf:rfc:7807}path") or "").endswith("Status")


@pytest.mark.parametrize("data", [b"", b"not XML", b"<a", b"<!DOCTYPE a><a/>", b"<a/>"])
def test_what_is_no_message_at_all_is_refused(csp: Csp, data: bytes) -> None:
    refused(csp, data, 400)


def test_a_list_nobody_sent_is_not_found_and_the_message_id_stays_free(csp: Csp) -> None:
    refused(csp, csp.sign(csp.report(list_id="nobody-sent-this")), 404, "nobody-sent-this")

    assert csp.post(csp.sign(csp.report())).status == 204


def test_what_a_csp_was_refused_by_the_records_stands_in_the_audit_trail(csp: Csp) -> None:
    csp.post(csp.sign(csp.report(list_id="nobody-sent-this")))
    csp.post(csp.sign(csp.report(ReportStatus.DELIVERED)))
    csp.post(csp.sign(csp.report(ReportStatus.ACTIVATED)))

    assert csp.nights.said("refused") == [
        "upgrade list nobody-sent-this was not sent to region Central",
        "this MessageID was used before for a message with other content",
    ]


def test_a_list_of_another_region_of_the_same_csp_is_not_found(csp: Csp) -> None:
    refused(csp, csp.sign(csp.report(region="South")), 404, csp.list_id, "South")


def test_a_region_that_is_not_upgraded_here_is_refused(csp: Csp) -> None:
    refused(csp, csp.sign(csp.report(region="SMETS1")), 400, "SMETS1")


def test_a_message_that_only_the_processor_sends_is_refused(csp: Csp) -> None:
    (upgrade_list,) = csp.nights.lists()
    back = UpgradeList(
        RequestId.make(csp.nights.region.csp_eui, BROKER, 1),
        upgrade_list.created,
        upgrade_list.list_id,
        "Central",
        upgrade_list.firmware,
        upgrade_list.image_hash,
        upgrade_list.entries,
    )
    withdrawal = UpgradeListWithdrawal(back.message_id, back.created, back.list_id, "Central", "not ours to say")

    refused(csp, csp.sign(back), 400, "UpgradeList")
    refused(csp, csp.sign(withdrawal), 400, "UpgradeListWithdrawal")
