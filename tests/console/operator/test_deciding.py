"""What an operator decides beside releases: sending again, and quarantine; each once, after a second look."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from sr_engine.operations import outbox as operations
from sr_engine.store import message_search, quarantined, tables
from tests.console.operator.busy import Busy, make_busy
from tests.console.operator.office import OperatorFront
from tests.world import A, B

HOW = "(console, account:olga)"


@pytest.fixture
def busy(front: OperatorFront) -> Busy:
    return make_busy(front)


def state_of(front: OperatorFront, message_id: str) -> str:
    with front.world.instance.reading_engine.connect() as connection:
        line = message_search.sent(connection, message_id)
    assert line is not None
    return line.state


def parked(front: OperatorFront) -> int:
    with front.world.instance.reading_engine.connect() as connection:
        statement = select(func.count()).select_from(tables.outbox).where(tables.outbox.c.state == "Parked")
        return connection.scalar(statement) or 0


def test_a_parked_message_is_sent_again_once(front: OperatorFront, busy: Busy) -> None:
    olga = front.olga()
    olga.open("/operator/deliveries")
    assert "hub_failed" in olga.main
    olga.open(f"/operator/messages/sent/{busy.lost_message_id}")
    olga.follow("Send it again")
    form = olga.page
    assert state_of(front, busy.lost_message_id) == "Parked"

    olga.send("Send again now")
    assert "It is queued again" in olga.main
    assert "delivery" in front.woken
    olga.page = form
    olga.send("Send again now")

    assert "It was not parked any more: nothing changed" in olga.main
    assert state_of(front, busy.lost_message_id) == "Pending"
    said = f"message {busy.lost_message_id} sent again after it was parked {HOW}"
    assert [one for one in front.trail(9) if one[1] == "resend"] == [("operator", "resend", said)]


def test_all_that_is_parked_for_a_receiver_is_sent_again_portion_by_portion(
    front: OperatorFront, busy: Busy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (operations, __import__("sr_engine.console.operator.deliveries", fromlist=["deliveries"])):
        monkeypatch.setattr(module, "RESENT_AT_ONCE", 2)
    change = tables.outbox.update().where(tables.outbox.c.destination == f"user:{A.eui}").values(state="Parked")
    front.world.run(lambda uow: uow.connection.execute(change))
    before = parked(front)
    assert before > 4
    olga = front.olga()
    olga.open(f"/operator/deliveries?to=user:{A.eui}&state=Parked")
    olga.follow("Send all of them again")
    assert f"{before} parked messages are queued once more" in olga.main

    olga.send("Send again now")
    assert "The first 2 messages are queued again; the others follow" in olga.main
    for _ in range(2_000):
        # What follows goes on while the next page is asked for.
        olga.open("/operator/deliveries")
        if not parked(front):
            break

    assert parked(front) == 0
    assert len([one for one in front.trail(99) if one[1] == "resend"]) == before


def test_nothing_parked_is_nothing_to_send_again(front: OperatorFront, busy: Busy) -> None:
    olga = front.olga()
    olga.open(f"/operator/deliveries/resend?to=user:{B.eui}")

    assert "Nothing is parked for this receiver" in olga.main
    assert not olga.tree.xpath("//main//form")


def test_a_receiver_that_fails_is_named_with_its_error(front: OperatorFront, busy: Busy) -> None:
    front.world.run(
        lambda uow: uow.connection.execute(
            tables.outbox.update().where(tables.outbox.c.destination == f"user:{B.eui}").values(state="Pending")
        )
    )
    olga = front.olga()
    olga.open("/operator/deliveries")

    assert B.name in olga.main
    assert "failing" in olga.main
    assert "connection refused" in olga.main


@pytest.mark.parametrize(
    ("word", "said", "done"),
    [("Release", "Released: ", "released from quarantine"), ("Delete", "Deleted: ", "deleted from quarantine")],
)
def test_a_request_in_quarantine_is_decided_about_once(
    front: OperatorFront, busy: Busy, word: str, said: str, done: str
) -> None:
    olga = front.olga()
    olga.open("/operator/quarantine")
    olga.follow(busy.event_ref)
    assert "ApproveCommsHubFirmware" in olga.main
    olga.open(f"/operator/quarantine/{busy.event_ref}/{word.lower()}")
    form = olga.page
    with front.world.instance.reading_engine.connect() as connection:
        line = quarantined.find(connection, busy.event_ref)
    assert line is not None
    assert line.decided is None

    olga.send(f"{word} now")
    assert f"{said}{busy.event_ref}" in olga.main
    olga.page = form
    olga.send(f"{word} now")

    assert "It was decided about before, or has ended: nothing changed" in olga.main
    assert "held requests" in front.woken
    assert [one for one in front.trail(9) if "quarantine" in one[1]] == [
        ("operator", done, f"QuarantineEventRef {busy.event_ref} {HOW}")
    ]


def test_what_is_not_in_quarantine_is_not_found(front: OperatorFront, busy: Busy) -> None:
    olga = front.olga()

    assert olga.open("/operator/quarantine/nothing").status_code == 404
    assert olga.open(f"/operator/quarantine/{busy.event_ref}/keep").status_code == 404
