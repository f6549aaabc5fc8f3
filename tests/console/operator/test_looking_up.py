"""Messages and the audit trail on an operator's pages: found by what is known of them, shown as they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from sr_engine.messages.model import ApproveCommsHubFirmware, Decision
from sr_engine.pipeline.acting import Act, Channel
from sr_engine.store import tables
from tests.console.desk import Somebody, console_world
from tests.console.operator.busy import HUBS, LOST, SPLIT, Busy, make_busy
from tests.console.operator.office import OperatorFront, found_out
from tests.world import FIRMWARE, NOW, A, B


@dataclass
class Looking:
    """An operator who looks at a busy world."""

    front: OperatorFront
    olga: Somebody
    busy: Busy

    def rows(self, path: str) -> list[str]:
        """The rows of the first table of a page."""
        assert self.olga.open(path).status_code == 200
        tables_of_page = self.olga.tree.xpath("//main//table")
        if not tables_of_page:
            return []
        rows = tables_of_page[0].xpath(".//tbody/tr")
        return [" ".join(" ".join(cell.text_content() for cell in row).split()) for row in rows]


@pytest.fixture(scope="module")
def looking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looking]:
    front = OperatorFront(console_world(tmp_path_factory.mktemp("busy") / "instance"))
    busy = make_busy(front)
    yield Looking(front, front.olga(), busy)
    front.close()


def test_a_request_id_leads_to_its_message(looking: Looking) -> None:
    looking.olga.open("/operator/messages")
    looking.olga.send("Search", q=looking.busy.request_id.lower())

    assert looking.olga.heading == f"Message {looking.busy.request_id}"
    assert "The signature is good" in looking.olga.main
    assert f"signed by {A.eui}, and not changed since" in looking.olga.main
    assert "<sr:ApproveCommsHubFirmware>" in looking.olga.tree.xpath("//pre")[0].text_content()
    assert looking.olga.main.count("The signature is good") == 2


def test_a_hub_leads_to_what_was_taken_and_sent_about_it_by_its_gpf_too(looking: Looking) -> None:
    for device_id in (LOST.chf, LOST.gpf, LOST.chf.lower()):
        sent = looking.rows(f"/operator/messages?q={device_id}")
        assert [row for row in sent if "hub_failed" in row and "Parked" in row], device_id
        assert "11.5" in looking.olga.main


def test_the_id_of_a_message_that_was_sent_leads_to_it(looking: Looking) -> None:
    looking.olga.open(f"/operator/messages?q={looking.busy.lost_message_id}")

    assert looking.olga.path == f"/console/operator/messages/sent/{looking.busy.lost_message_id}"


@pytest.mark.parametrize(
    ("query", "codes"),
    [
        ("code=i99", ["I99", "I99"]),
        (f"supplier={B.name}", []),
        (f"supplier={A.name}&variant=11.5", ["I0", "I0"]),
        ("interface=CSP", []),
        ("since=2026-11-27T00:00", ["I99", "I0"]),
        ("until=2026-11-27T00:00", ["I99", "I0"]),
    ],
)
def test_messages_are_found_by_supplier_code_kind_and_time(looking: Looking, query: str, codes: list[str]) -> None:
    rows = looking.rows(f"/operator/messages?{query}")

    assert [next(word for word in row.split() if word in {"I99", "I0"}) for row in rows] == codes


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("q=garbage", "is neither a RequestID"),
        ("q=" + "0" * 32, "There is no message"),
        ("supplier=nobody", "There is no Supplier nobody"),
        ("since=yesterday", "is not a date and time"),
        ("since=2026-10-25T01:30", "comes twice"),
    ],
)
def test_what_cannot_be_looked_for_is_said(looking: Looking, query: str, said: str) -> None:
    assert looking.olga.open(f"/operator/messages?{query}").status_code == 422
    assert said in looking.olga.main


def test_a_message_is_had_byte_for_byte(looking: Looking) -> None:
    looking.olga.open(f"/operator/messages?q={looking.busy.request_id}")
    with looking.front.world.instance.reading_engine.connect() as connection:
        kept = connection.execute(
            tables.exchanges.select().where(tables.exchanges.c.message_key == looking.busy.request_id)
        ).one()
    page = looking.olga.path.removeprefix("/console")

    for part, data in (("received", kept.received), ("answer", kept.answer)):
        whole = looking.olga.open(f"{page}/{part}")
        assert whole.content == data
        assert whole.headers["content-disposition"].startswith("attachment")
        assert whole.headers["x-content-type-options"] == "nosniff"
    assert looking.olga.open(f"{page}/final").status_code == 404
    assert looking.olga.open("/operator/messages/9999").status_code == 404


def test_what_a_supplier_does_by_another_face_needs_no_signature(looking: Looking) -> None:
    from sr_engine.bootstrap import acting_of

    body = ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (SPLIT.chf,))
    act = Act(Channel.CONSOLE, "account:ann", B.eui, "k1", body)
    acting = acting_of(looking.front.world.instance)
    prepared = acting.prepare(act)
    answer = looking.front.world.run(lambda uow: acting.execute(uow, prepared))
    looking.olga.open(f"/operator/messages?q={answer.request_id}")

    assert "whoever is signed in there needs no signature" in looking.olga.main
    assert "The signature is good" in looking.olga.main


def test_a_message_that_was_changed_in_the_database_says_so(looking: Looking) -> None:
    world, key = looking.front.world, looking.busy.request_id
    row = tables.exchanges.update().where(tables.exchanges.c.message_key == key)
    with world.instance.reading_engine.connect() as connection:
        kept = connection.scalar(
            tables.exchanges.select()
            .with_only_columns(tables.exchanges.c.received)
            .where(tables.exchanges.c.message_key == key)
        )
    assert kept is not None
    changed = kept.replace(b">Decline<", b">Approve<").replace(FIRMWARE.version.encode(), b"&lt;b&gt;")
    assert changed != kept
    world.run(lambda uow: uow.connection.execute(row.values(received=changed)))
    try:
        looking.olga.open(f"/operator/messages?q={key}")
        assert "The signature is refused" in looking.olga.main
        assert "changed after it was signed" in looking.olga.main
        # As it stands in XML, and so escaped twice on the page.
        assert "&amp;lt;b&amp;gt;" in looking.olga.page.text
    finally:
        world.run(lambda uow: uow.connection.execute(row.values(received=kept)))


# --- the audit trail ---


@pytest.mark.parametrize(
    ("query", "at_least", "word"),
    [
        (f"hub={LOST.gpf}", 3, "attempt failed"),
        (f"supplier={A.name}&action=request", 3, "request"),
        ("who=operator&action=halted", 1, "smoke in Leeds"),
        ("action=REQUEST&until=2026-11-24T00:00", 2, "request"),
    ],
)
def test_records_are_found(looking: Looking, query: str, at_least: int, word: str) -> None:
    rows = looking.rows(f"/operator/audit?{query}")

    assert len(rows) >= at_least
    assert any(word in row for row in rows)


def test_records_are_found_by_request_id_and_lead_to_the_message(looking: Looking) -> None:
    (row,) = [one for one in looking.rows(f"/operator/audit?message={looking.busy.request_id}") if "request" in one]
    assert "11.6" in row
    looking.olga.follow("request")
    assert looking.olga.heading.endswith(": request")
    looking.olga.follow(looking.busy.request_id)
    assert looking.olga.heading == f"Message {looking.busy.request_id}"


@pytest.mark.parametrize(("query", "said"), [("hub=x", "is not an EUI-64"), ("supplier=x", "There is no Supplier x")])
def test_what_cannot_be_looked_for_on_record_is_said(looking: Looking, query: str, said: str) -> None:
    assert looking.olga.open(f"/operator/audit?{query}").status_code == 422
    assert said in looking.olga.main


def test_a_record_names_its_hubs(looking: Looking) -> None:
    looking.rows(f"/operator/audit?hub={HUBS[0].chf}&action=attempt%20listed")
    looking.olga.follow("attempt listed")

    assert HUBS[0].chf in looking.olga.main
    assert "Scheduled" in looking.olga.main


def test_the_chain_is_verified_when_it_is_asked_for(looking: Looking) -> None:
    looking.olga.open("/operator/audit/chain")
    assert "It has not been verified since this process was started" in looking.olga.main

    looking.olga.send("Verify all of it now")
    found_out(looking.olga, "/operator/audit/chain")

    assert "Every record is what was written" in looking.olga.main
    looking.olga.open("/operator/audit")
    assert "Every record is what was written" in looking.olga.main


def test_a_trail_that_was_changed_says_where(looking: Looking) -> None:
    world = looking.front.world
    change = tables.audit.update().where(tables.audit.c.audit_id == 2)
    with world.instance.engine.begin() as connection:
        detail = connection.scalar(
            tables.audit.select().with_only_columns(tables.audit.c.detail).where(tables.audit.c.audit_id == 2)
        )
        connection.execute(change.values(detail="nothing to see here"))
    try:
        looking.olga.open("/operator/audit/chain")
        looking.olga.send("Verify all of it now")
        found_out(looking.olga, "/operator/audit/chain")
        assert "The trail is not what was written" in looking.olga.main
        assert "record 2" in looking.olga.main or "records" in looking.olga.main
    finally:
        with world.instance.engine.begin() as connection:
            connection.execute(change.values(detail=detail))


def test_times_that_are_sought_are_of_the_zone_of_the_console(looking: Looking) -> None:
    local = (NOW + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M")

    assert len(looking.rows(f"/operator/audit?until={local}")) > 0
