"""What is said of messages that are kept: whether they are still what was signed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sr_engine.messages.model import ApproveCommsHubFirmware, Decision
from sr_engine.operations.message_view import MessageView, Side, Standing
from tests.world import BROKER, FIRMWARE, NOW, A, B, TestHub, World

BODY = ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (TestHub(1).chf,))


@pytest.fixture
def view(world: World) -> MessageView:
    return MessageView(world.instance.verifier, world.instance.configuration.policy.certificate_roles)


def test_a_request_and_its_answer_are_good_as_of_when_they_were_received(world: World, view: MessageView) -> None:
    data = world.signed(A, BODY, "11.6")
    answer = world.post(data)

    request = view.verdict(data, Side.USER, NOW, originator=A.eui)
    answered = view.verdict(answer.body, Side.PROCESSOR, NOW)

    assert (request.standing, request.signer_eui, request.signer_role) == (Standing.GOOD, A.eui, "87")
    assert (answered.standing, answered.signer_eui, answered.signer_role) == (Standing.GOOD, BROKER, "89")
    assert request.said == f"signed by {A.eui}, and not changed since"


def test_a_message_that_was_changed_says_so(world: World, view: MessageView) -> None:
    data = world.signed(A, BODY, "11.6").replace(b"Approve<", b"Decline<")

    found = view.verdict(data, Side.USER, NOW)

    assert found.standing is Standing.REFUSED
    assert "changed after it was signed" in found.said


def test_a_certificate_is_judged_as_of_the_time_of_the_message(world: World, view: MessageView) -> None:
    data = world.signed(A, BODY, "11.6")
    good = view.verdict(data, Side.USER, NOW)
    assert good.valid_until is not None

    late = view.verdict(data, Side.USER, good.valid_until + timedelta(seconds=1))

    assert (late.standing, "expired at" in late.said) == (Standing.REFUSED, True)


def test_another_sender_than_the_originator_is_refused(world: World, view: MessageView) -> None:
    found = view.verdict(world.signed(A, BODY, "11.6"), Side.USER, NOW, originator=B.eui)

    assert found.standing is Standing.REFUSED
    assert found.said == f"it is signed by {A.eui}, which is not its originator, {B.eui}"


def test_whoever_signed_in_another_role_is_refused(world: World, view: MessageView) -> None:
    assert "accepted here: 06" in view.verdict(world.signed(A, BODY, "11.6"), Side.CSP, NOW).said


@pytest.mark.parametrize(
    ("data", "standing"), [(b"", Standing.GONE), (b"<a/>", Standing.UNSIGNED), (b"<a", Standing.REFUSED)]
)
def test_what_cannot_be_verified_is_said(view: MessageView, data: bytes, standing: Standing) -> None:
    assert view.verdict(data, Side.USER, NOW).standing is standing
