"""Two Suppliers in one home: the windows are intersected, each hears of the other's answer, not its name."""

from __future__ import annotations

import re
from base64 import b64decode

import pytest
from lxml import etree

from sr_engine.instance import SupplierSeed
from sr_engine.messages.model import Decision, Period, ReadCommsHubFirmwareSchedule
from sr_engine.store.tables import exchanges
from tests.requests.conftest import ANSWER_CHANGED, CONFLICT, SPLIT, Suppliers, days, schedule_id
from tests.world import WINDOW, A, B

ORDERS = pytest.mark.parametrize(("first", "second"), [(A, B), (B, A)], ids=["electricity first", "gas first"])


@ORDERS
def test_two_schedules_agree_on_what_their_windows_share(
    suppliers: Suppliers, first: SupplierSeed, second: SupplierSeed
) -> None:
    one = schedule_id(suppliers.schedule(first, window=days(5, 20)))
    other = schedule_id(suppliers.schedule(second, window=days(10, 30)))

    views = suppliers.view(first), suppliers.view(second)
    assert [view.status for view in views] == ["Scheduled", "Scheduled"]
    assert [view.window for view in views] == [days(10, 20), days(10, 20)]
    assert [view.schedule_id for view in views] == [one, other]
    assert [view.attempt for view in views] == [1, 1]


@ORDERS
@pytest.mark.parametrize(
    ("window", "other_window"),
    [(days(5, 10), days(12, 20)), (days(5, 10), days(10, 20)), (days(5, 10.1), days(9.9, 20))],
    ids=["apart", "touching", "sharing no night"],
)
def test_windows_without_a_common_night_schedule_nothing_and_both_are_alerted(
    suppliers: Suppliers, first: SupplierSeed, second: SupplierSeed, window: Period, other_window: Period
) -> None:
    suppliers.schedule(first, window=window)

    answer = suppliers.schedule(second, window=other_window)

    assert answer.code == "I0"
    for supplier, own in ((first, window), (second, other_window)):
        shown = suppliers.view(supplier)
        assert (shown.status, shown.own_approval, shown.other_approval) == ("AwaitingApproval", "Approved", "Approved")
        assert shown.window == own, "the other's window is not for it to see"
        assert suppliers.alerts(supplier).count((CONFLICT, SPLIT.chf)) == 1
    assert suppliers.cut_lists(window) == 0


@ORDERS
def test_a_new_window_that_still_shares_no_night_is_a_conflict_again_and_one_that_does_is_agreed(
    suppliers: Suppliers, first: SupplierSeed, second: SupplierSeed
) -> None:
    suppliers.schedule(first, window=days(5, 10))
    number = schedule_id(suppliers.schedule(second, window=days(12, 20)))

    number = schedule_id(suppliers.schedule(second, window=days(14, 22), replaces=number))

    for supplier in (first, second):
        assert suppliers.alerts(supplier).count((CONFLICT, SPLIT.chf)) == 2
    suppliers.schedule(second, window=days(6, 22), replaces=number)
    shown = suppliers.view(first)
    assert (shown.status, shown.window, shown.attempt) == ("Scheduled", days(6, 10), 1)
    assert suppliers.alerts(first).count((CONFLICT, SPLIT.chf)) == 2


@ORDERS
def test_each_change_of_an_answer_is_told_to_the_other_side_once(
    suppliers: Suppliers, first: SupplierSeed, second: SupplierSeed
) -> None:
    def told() -> tuple[int, int]:
        return tuple(suppliers.alerts(one).count((ANSWER_CHANGED, SPLIT.chf)) for one in (first, second))  # type: ignore[return-value]  # of two

    suppliers.schedule(first)
    assert told() == (0, 1)
    suppliers.decide(second, Decision.DECLINE)
    assert told() == (1, 1)
    suppliers.decide(second, Decision.DECLINE)
    assert told() == (1, 1), "no news"
    suppliers.decide(second, Decision.APPROVE)
    assert told() == (2, 1)
    suppliers.decide(first, Decision.APPROVE)
    assert told() == (2, 1), "approved it was, and approved it is"
    suppliers.decide(first, Decision.DEFER, until_days=3)
    assert told() == (2, 2)


def test_a_supplier_of_both_fuels_hears_nothing_of_itself(suppliers: Suppliers) -> None:
    from tests.requests.conftest import SOLE

    suppliers.schedule(A, SOLE.chf)

    assert suppliers.view(A, SOLE.chf).other_approval == "None"
    assert suppliers.alerts(A) == []


def test_a_reason_to_wait_says_nothing_of_who_is_waited_for(suppliers: Suppliers) -> None:
    suppliers.schedule(A)

    assert (
        suppliers.view(A).status_reason
        == suppliers.view(B).status_reason
        == ("not all responsible Suppliers have approved")
    )


def _texts(document: bytes) -> str:
    """All text of a message, signature values aside, and what is base64 in it decoded too."""
    root = etree.fromstring(document)
    for signature in root.iter("{*}Signature"):
        for opaque in (*signature.iter("{*}DigestValue"), *signature.iter("{*}SignatureValue")):
            assert b64decode(opaque.text or "")
            opaque.text = ""
    return etree.tostring(root, encoding="unicode")


@ORDERS
def test_nothing_that_a_supplier_is_sent_names_the_other(
    suppliers: Suppliers, first: SupplierSeed, second: SupplierSeed
) -> None:
    """Every answer and every alert of a whole life: conflict, agreement, listing."""
    hub_id, read = SPLIT.chf, ReadCommsHubFirmwareSchedule(device_id=SPLIT.chf)
    one = schedule_id(suppliers.schedule(first, window=days(5, 10)))
    other = schedule_id(suppliers.schedule(second, window=days(12, 20)))
    suppliers.world.send(second, ReadCommsHubFirmwareSchedule(schedule_id=one), "11.7")
    suppliers.schedule(second, hub_id, eui_of_nothing, window=WINDOW, replaces=other)
    suppliers.schedule(second, hub_id, window=WINDOW, replaces=one)
    suppliers.decide(second, Decision.DEFER, until_days=1)
    suppliers.decide(second, Decision.APPROVE, hub_id, eui_of_nothing)
    for supplier in (first, second):
        suppliers.world.send(supplier, read, "11.7")
    assert suppliers.cut_lists(days(5, 10)) == 1
    for supplier in (first, second):
        suppliers.world.send(supplier, read, "11.7")
        suppliers.decide(supplier, Decision.DECLINE)

    for supplier, stranger in ((first, second), (second, first)):
        schedules = {first: [one], second: [other]}[stranger]
        answers = _answers_to(suppliers, supplier)
        alerts = suppliers.alert_bodies(supplier)
        assert len(answers) >= 4
        assert len(alerts) >= 4
        for text in map(_texts, (*answers, *alerts)):
            assert stranger.eui.lower() not in text.lower()
            assert stranger.name not in text
            for number in schedules:
                assert re.search(rf"\b{number}\b", text) is None


eui_of_nothing = "00-00-5E-EF-C0-00-00-99"


def _answers_to(suppliers: Suppliers, supplier: SupplierSeed) -> list[bytes]:
    with suppliers.world.instance.reading_engine.connect() as connection:
        kept = connection.execute(exchanges.select().where(exchanges.c.sender_eui == supplier.eui)).all()
    return [row.answer for row in kept]


@ORDERS
def test_that_the_other_side_has_set_another_window_cannot_be_seen_before_it_is_agreed(
    suppliers: Suppliers, first: SupplierSeed, second: SupplierSeed
) -> None:
    old = schedule_id(suppliers.schedule(first, window=days(5, 20)))
    before = suppliers.view(second)
    suppliers.pass_days(1)

    suppliers.schedule(first, window=days(6, 12), replaces=old)

    assert suppliers.view(second) == before
