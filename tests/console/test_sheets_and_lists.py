"""Sheets brought to the console and taken from it, schedules, the calendar and the inbox."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from sqlalchemy import select

from sr_engine.bootstrap import acting_of, supplier_changes_of
from sr_engine.console.supplier.taking_up import STILL
from sr_engine.messages.model import DeleteCommsHubFirmwareSchedule, ExclusionAction, UpdateCommsHubFirmwareExclusion
from sr_engine.operations import registrations
from sr_engine.pipeline.acting import Act, Channel
from sr_engine.store import audit, outbox
from sr_engine.store.outbox import Outgoing
from sr_engine.store.tables import console_proposals, decisions, exchanges, schedules
from tests.console.desk import Front, Somebody
from tests.console.test_supplier import HOMES, WINDOW, compose, count, opened
from tests.requests.conftest import Suppliers
from tests.world import A, B, TestHub, World, edit, on_connection, reopen

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@pytest.fixture
def front(fronts: Callable[..., Front]) -> Front:
    return opened(fronts())


def sheet(*rows: tuple[Any, ...]) -> bytes:
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    page.append(["Hub ID", "Decision", "Window start", "Window end"])
    for row in rows:
        page.append(row)
    data = io.BytesIO()
    book.save(data)
    return data.getvalue()


def bring(browser: Somebody, data: bytes, name: str = "plan.xlsx") -> None:
    browser.open(f"/sheets?release={browser.front.release_id}")
    browser.send("Show what will happen", files={"sheet": (name, data, XLSX)}, release=browser.front.release_id)


def plan() -> bytes:
    return sheet(
        (HOMES[0].chf, "Schedule", "28/11/2026 00:00", "13/12/2026 00:00"),
        (HOMES[1].chf.replace("-", ""), "schedule", "28/11/2026 00:00", "13/12/2026 00:00"),
        (HOMES[2].chf, "Decline", None, None),
        (HOMES[4].chf, "Approve", None, None),
        ("nonsense", "Approve", None, None),
    )


def test_a_sheet_is_shown_row_by_row_then_done_and_comes_back_with_the_results(front: Front) -> None:
    browser = front.signed_in()
    bring(browser, plan())
    assert "3 would be accepted" in browser.text
    assert "2 rows to put right" in browser.text
    assert "Row 6" in browser.text
    assert (count(front, schedules), count(front, decisions)) == (0, 0)
    browser.send("Do it for 3 hubs")
    assert "3 accepted" in browser.text
    assert (count(front, schedules), count(front, decisions)) == (1, 3)
    browser.follow("Get the sheet back")
    book = openpyxl.load_workbook(io.BytesIO(browser.page.content))
    rows = [[cell.value for cell in row] for row in book.worksheets[0].iter_rows(min_row=2)]
    assert [row[-2] for row in rows] == ["Accepted", "Accepted", "Accepted", "Refused", "Refused"]


def test_the_same_sheet_brought_twice_is_done_once(front: Front) -> None:
    browser = front.signed_in()
    data = plan()
    bring(browser, data)
    browser.send("Do it for 3 hubs")
    before = count(front, exchanges)
    bring(browser, data)
    if "Do it for" in browser.text:
        browser.send("Do it for")
        assert "nothing was done twice" in browser.text
    assert count(front, exchanges) == before
    assert count(front, schedules) == 1


def test_what_ends_in_the_midst_of_it_says_how_much_was_done(fronts: Callable[..., Front]) -> None:
    front = opened(
        fronts(lambda place: edit(place / "config" / "policy.toml", "max_devices = 50_000", "max_devices = 1"))
    )
    browser = front.signed_in()
    bring(browser, sheet(*((home.chf, "Decline", None, None) for home in HOMES[:3])))
    with front.world.instance.reading_engine.connect() as connection:
        keys = json.loads(str(connection.scalar(select(console_proposals.c.content))))["keys"]
    other = UpdateCommsHubFirmwareExclusion(ExclusionAction.EXCLUDE, (HOMES[0].chf,))
    acting = acting_of(front.world.instance)
    front.world.run(
        lambda uow: acting.execute(uow, acting.prepare(Act(Channel.SHEET, "account:ann", A.eui, keys[2], other)))
    )
    browser.send("Do it for 3 hubs")
    assert "It could not be done" in browser.text
    assert "2 of its 3 requests had been done, and stay so" in browser.text
    assert count(front, decisions) == 2


def test_rows_that_name_one_hub_by_both_its_ids_are_refused_both(front: Front) -> None:
    browser = front.signed_in()
    own, theirs = HOMES[0], HOMES[4]
    assert own.gpf is not None
    rows = [(own.chf, "Approve"), (own.gpf, "Decline"), (theirs.chf, "Approve"), (str(theirs.gpf), "Decline")]
    bring(browser, sheet(*((hub, decision, None, None) for hub, decision in (*rows, (HOMES[1].chf, "Decline")))))
    assert "1 would be accepted" in browser.text
    assert f"Row 2: {own.chf} is the hub of row 3, by its other id" in browser.text
    assert f"Row 3: {own.gpf} is the hub of row 2, by its other id" in browser.text
    assert "row 5" not in browser.text, "of another's hub nobody learns which ids belong together"
    browser.send("Do it for 1 hub")
    assert "1 accepted" in browser.text
    assert count(front, decisions) == 1


def test_a_sheet_says_before_it_is_confirmed_what_of_it_was_done_before_and_is_not_done_again(front: Front) -> None:
    browser = front.signed_in()
    data = sheet((HOMES[0].chf, "Decline", None, None))
    bring(browser, data)
    browser.send("Do it for 1 hub")
    compose(browser, f"hubs={HOMES[0].chf}&release={front.release_id}", deed="approve")
    browser.send("Do it for 1 hub")
    bring(browser, data)
    assert "1 hub was done before by this same sheet" in browser.text
    assert "0 would be accepted" in browser.text
    assert "Do it for" not in browser.text
    bring(browser, sheet((HOMES[0].chf, "Decline", None, None), (HOMES[1].chf, "Decline", None, None)))
    assert "done before" not in browser.text, "another sheet is another matter"


def test_a_sheet_that_was_refused_can_be_brought_again_and_is_done_once(front: Front) -> None:
    browser = front.signed_in()
    data = sheet((HOMES[0].chf, "Schedule", "28/11/2026 00:00", "13/12/2026 00:00"))
    bring(browser, data)
    suppliers = Suppliers(front.world)
    suppliers.schedule(A, HOMES[0].chf)
    browser.send("Do it for 1 hub")
    assert "0 accepted" in browser.text
    with front.world.instance.reading_engine.connect() as connection:
        (number,) = connection.scalars(select(schedules.c.schedule_id)).all()
    front.world.send(A, DeleteCommsHubFirmwareSchedule(number), "11.8")
    for _ in range(2):
        bring(browser, data)
        if "Do it for" in browser.text:
            browser.send("Do it for 1 hub")
            assert "1 accepted" in browser.text
    assert count(front, schedules) == 2


def lose_what_it_did_not_keep(world: World) -> None:
    with world.instance.reading_engine.connect() as connection:
        (content,) = connection.scalars(select(console_proposals.c.content))
    kept = {name: value for name, value in json.loads(content).items() if name != "same"}
    world.execute(console_proposals.update().values(content=json.dumps(kept)))


def leave_one_that_nobody_can_read(world: World) -> None:
    """It is looked at before the other."""
    with world.instance.reading_engine.connect() as connection:
        row = dict(connection.execute(select(console_proposals)).mappings().one())
    earlier = row["decided_at"] - timedelta(minutes=1)
    unreadable = row | {"proposal_id": "0" * 32, "decided_at": earlier, "content": "{}"}
    world.execute(console_proposals.insert().values(unreadable))


def one_hub_a_request(directory: Path) -> None:
    edit(directory / "config" / "policy.toml", "list_max_devices = 50_000", "list_max_devices = 1")
    edit(directory / "config" / "console.toml", "milliseconds = 60000", "milliseconds = 10")


@pytest.mark.parametrize("of_the_first_release", [False, True])
def test_what_a_process_that_ended_has_left_half_done_goes_on_by_itself_and_is_done_once(
    fronts: Callable[..., Front], caplog: pytest.LogCaptureFixture, *, of_the_first_release: bool
) -> None:
    front = fronts(one_hub_a_request)
    homes = [TestHub(number) for number in range(1, 61)]
    front.world.add_hubs(homes)
    front.release_id = front.world.open_release()
    front.add()
    browser = front.signed_in()
    bring(browser, sheet(*((home.chf, "Decline", None, None) for home in homes)))
    path = browser.path.removeprefix("/console")
    while "60 would be accepted" not in browser.text:
        browser.open(path)
    browser.send("Do it for 60 hubs")
    while count(front, decisions) == 0:
        front.runner.run(asyncio.sleep(0))
    if of_the_first_release:
        lose_what_it_did_not_keep(front.world)
    later = Front(reopen(front.world))
    leave_one_that_nobody_can_read(later.world)
    seconds = iter(range(0, 1_000_000, 2 * round(STILL.total_seconds())))
    later.taking_up.monotonic = lambda: next(seconds)
    later.runner.run(later.taking_up.look())
    assert 0 < count(later, decisions) < 60, "another process may still be at it"
    while count(later, decisions) < 60:
        later.runner.run(later.taking_up.look())
    again = later.signed_in()
    while "60 accepted" not in again.main:
        again.open(path)
    with later.world.instance.reading_engine.connect() as connection:
        done = [one for one in audit.newest(connection, 1_000) if one.action == "answer"]
    assert sorted(hub for one in done for hub in one.hubs) == sorted(home.chf for home in homes)
    assert {one.getMessage() for one in caplog.records if one.levelname == "ERROR"} == {
        f"proposal {'0' * 32} cannot go on; it is tried again, after the others"
    }
    later.close()


@pytest.mark.parametrize(
    ("data", "why"),
    [(b"", "empty"), (b"PK\x03\x04 no zip at all", "It could not be done"), (b"a,b\n1,2\n", "column")],
    ids=["nothing", "no zip", "other columns"],
)
def test_a_file_that_is_no_sheet_is_refused_in_words(front: Front, data: bytes, why: str) -> None:
    browser = front.signed_in()
    bring(browser, data, "plan.csv")
    assert "It could not be done" in browser.text
    assert why in browser.text


def test_a_sheet_that_is_too_large_is_refused_before_it_is_read(front: Front) -> None:
    browser = front.signed_in()
    browser.open("/sheets")
    answer = browser.send("Show what will happen", files={"sheet": ("big.csv", b"x" * 34_000_000, "text/csv")})
    assert answer.status_code == 413


def test_the_template_holds_the_hubs_that_wait(front: Front) -> None:
    browser = front.signed_in()
    browser.open("/sheets")
    browser.send("Get the template", release=front.release_id, kind="xlsx")
    book = openpyxl.load_workbook(io.BytesIO(browser.page.content))
    found = {row[0].value for row in book.worksheets[0].iter_rows(min_row=2)}
    assert found == {home.chf for home in HOMES[:4]}


def test_a_list_is_had_as_a_sheet(front: Front) -> None:
    browser = front.signed_in()
    browser.open("/hubs?region=North")
    browser.follow("CSV")
    assert browser.page.headers["content-type"].startswith("text/csv")
    lines = browser.page.text.splitlines()
    assert len(lines) == 2
    assert HOMES[2].chf in lines[1]
    browser.open("/hubs")
    browser.follow("Excel sheet")
    assert openpyxl.load_workbook(io.BytesIO(browser.page.content)).worksheets[0].max_row == 6


def test_every_list_of_a_supplier_is_had_as_a_sheet_that_holds_what_the_page_shows(front: Front) -> None:
    browser = front.signed_in()
    compose(browser, f"release={front.release_id}&region=North", deed="schedule", **WINDOW)
    browser.send("Do it for 1 hub")
    compose(browser, f"hubs={HOMES[0].chf}", deed="exclude")
    browser.send("Do it for 1 hub")
    browser.open("/schedules")
    (schedule,) = {one for one in browser.tree.xpath("//main//td//a/@href") if "/schedules/" in one}
    for path in ("/hubs", "/schedules", schedule.removeprefix("/console"), "/exclusions", "/calendar", "/proposals"):
        browser.open(path)
        table = browser.tree.xpath("//main//table[.//tbody/tr]")[-2 if path == "/calendar" else -1]
        ids = [row.xpath("string(./*[1])").strip() for row in table.xpath(".//tbody/tr")]
        browser.follow("CSV")
        assert browser.page.headers["content-type"].startswith("text/csv")
        rows = list(csv.reader(io.StringIO(browser.page.text.removeprefix("\ufeff"))))
        assert len(rows) == 1 + len(ids)
        assert len({len(row) for row in rows}) == 1
        if path != "/calendar":
            assert [row[0] for row in rows[1:]] == ids
    other = front.add("bert", B.name)
    assert front.signed_in("bert", other).open(f"/export{schedule.removeprefix('/console')}").status_code == 404


def test_refused_hubs_are_had_as_a_sheet_with_what_to_do(front: Front) -> None:
    browser = front.signed_in()
    compose(browser, f"release={front.release_id}", deed="schedule", **WINDOW)
    browser.follow("CSV")
    assert HOMES[5].chf in browser.page.text
    assert "come back to it once it is commissioned" in browser.page.text


def test_a_schedule_is_moved_to_another_window_and_hubs_are_taken_off_it(front: Front) -> None:
    browser = front.signed_in()
    compose(browser, f"release={front.release_id}&waiting=yes", deed="schedule", **WINDOW)
    browser.send("Do it for 4 hubs")
    browser.follow("Show schedule")
    assert "In force for 4 hubs" in browser.text
    browser.follow("Move it to another window")
    browser.send(
        "Show what will happen", deed="schedule", window_start="2026-12-01T00:00", window_end="2026-12-20T00:00"
    )
    browser.send("Do it for 4 hubs")
    browser.follow("Show schedule")
    browser.follow("Take hubs off it")
    browser.send("Show what will happen", deed="cancel")
    browser.send("Do it for 4 hubs")
    browser.open("/schedules")
    assert len(browser.tree.xpath("//tbody/tr")) == 2


def test_what_is_kept_out_is_listed_and_had_as_a_sheet_and_so_are_schedules(front: Front) -> None:
    browser = front.signed_in()
    browser.open("/exclusions")
    assert "You keep no hub out" in browser.text
    compose(browser, f"hubs={HOMES[0].chf}", deed="exclude")
    browser.send("Do it for 1 hub")
    browser.open("/exclusions")
    assert f"{HOMES[0].chf} 23 Nov 2026, 09:00 GMT you include it again yes" in browser.text
    browser.follow("CSV")
    assert HOMES[0].chf in browser.page.text
    compose(browser, f"hubs={HOMES[1].chf}&release={front.release_id}", deed="schedule", **WINDOW)
    browser.send("Do it for 1 hub")
    browser.open("/schedules")
    browser.follow("CSV")
    assert len(browser.page.text.splitlines()) == 2


def test_a_schedule_of_somebody_else_is_not_there(front: Front) -> None:
    front.add("bert", B.name)
    ann, bert = front.signed_in(), front.signed_in("bert")
    compose(ann, f"hubs={HOMES[0].chf}&release={front.release_id}", deed="schedule", **WINDOW)
    ann.send("Do it for 1 hub")
    ann.follow("Show schedule")
    path = ann.path.removeprefix("/console")
    assert bert.open(path).status_code == 404
    assert bert.open(f"/act?schedule={path.rpartition('/')[2]}").status_code == 404
    assert bert.open("/schedules/1").status_code == 404


def test_the_calendar_shows_ones_own_hubs_and_share_and_nothing_that_others_do_changes_it(front: Front) -> None:
    browser = front.signed_in()
    compose(browser, f"release={front.release_id}&region=Central&waiting=yes", deed="schedule", **WINDOW)
    browser.send("Do it for 3 hubs")
    browser.open("/calendar?region=Central")
    before = browser.main
    assert "Your even share" in before
    assert " 3 0 " in before
    front.add("bert", B.name)
    other = front.signed_in("bert")
    compose(other, f"hubs={HOMES[4].chf}&release={front.release_id}", deed="schedule", **WINDOW)
    other.send("Do it for 1 hub")
    fresh = Front(front.world)
    again = fresh.signed_in()
    again.open("/calendar?region=Central")
    assert again.main == before
    fresh.runner.close()


def test_the_inbox_shows_what_was_sent_to_oneself(front: Front) -> None:
    front.add("bert", B.name)
    ann, bert = front.signed_in(), front.signed_in("bert")
    ann.open("/alerts")
    ann.follow("Release opened")
    assert HOMES[0].chf in ann.text
    assert "On its way" in ann.text
    path = ann.path.removeprefix("/console")
    assert (
        bert.open(path).status_code == bert.open(f"{path}/xml").status_code == bert.open("/alerts/nothing").status_code
    )
    ann.follow("Fetch the message as it was sent")
    assert ann.page.content.startswith(b"<")
    bert.open("/alerts")
    assert HOMES[0].chf not in bert.text


def test_the_inbox_is_read_page_by_page_without_a_number_that_counts_what_others_are_sent(
    fronts: Callable[..., Front],
) -> None:
    front = opened(fronts(lambda place: edit(place / "config" / "console.toml", "rows = 50 ", "rows = 10 ")))
    body = b"<x/>"
    letters = [Outgoing(f"{number:032x}", "Alert", f"user:{A.eui}", "listed", body) for number in range(12)]
    for letter in letters:
        others = Outgoing(letter.message_id.replace("0", "f"), "Alert", f"user:{B.eui}", "listed", body)
        front.world.run(on_connection(outbox.put, (letter, others), front.world.clock.now()))
    browser = front.signed_in()
    browser.open("/alerts?about=listed")
    (following,) = [one for one in browser.tree.xpath("//a/@href") if "before=" in one]
    assert following.endswith(f"before={letters[2].message_id}")
    browser.page = browser.client.get(following)
    shown = [f"/alerts/{letter.message_id}" in browser.page.text for letter in letters]
    assert shown == [True, True, *[False] * 10]
    exported = browser.open("/export/alerts?about=listed&kind=csv").text
    assert [letter.message_id in exported for letter in letters] == [True] * 12


def test_after_a_change_of_supplier_exports_and_pages_show_the_loser_nothing_more(front: Front) -> None:
    gone = HOMES[0]
    now = front.world.clock.now()
    rows = [
        {"mpxn": mpxn, "role": role, "effective_from": now, "organisation": B.name}
        for mpxn, role in ((gone.mpan, "IS"), (gone.mprn, "GS"))
    ]
    front.world.run(lambda uow: registrations.receive(uow, rows))
    chore = supplier_changes_of(front.world.instance)
    while front.world.run(chore):
        pass
    browser = front.signed_in()
    for path in ("/hubs", "/export/hubs?kind=csv", f"/sheets/template?release={front.release_id}&kind=csv"):
        assert gone.chf not in browser.open(path).text
    assert A.name in browser.open("/account").text
