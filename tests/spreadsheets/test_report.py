"""The workbook that comes back: the same rows, with what became of each beside it."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import openpyxl
from openpyxl.workbook import Workbook

from sr_engine.configuration import SheetDecision, Spreadsheets
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    CommsHubFirmwareResult,
    Decision,
    ExclusionAction,
    Firmware,
    Period,
    Phase,
    RefusalReason,
    ScheduleCommsHubFirmware,
    UpdateCommsHubFirmwareExclusion,
)
from sr_engine.pipeline.acting import Act, ActAnswer, Channel, NotTaken
from sr_engine.spreadsheets.carrying_out import acted
from sr_engine.spreadsheets.groups import grouped
from sr_engine.spreadsheets.moments import Moments
from sr_engine.spreadsheets.outcomes import Outcomes, RowOutcome, RowVerdict, outcomes_of_act
from sr_engine.spreadsheets.reading import Sheet, open_sheet
from sr_engine.spreadsheets.report import all_outcomes, counted, write_report
from sr_engine.spreadsheets.rows import Reading, Wish, read_rows
from tests.spreadsheets.test_reading import HEADER, HUB, NAMED, OTHER, csv, xlsx

FIRMWARE = Firmware("2B7E", "C1A20001", "9002")
WINDOW = Period(datetime(2026, 7, 1, 21, 0, tzinfo=UTC), datetime(2026, 12, 9, 6, 0, tzinfo=UTC))
IDS = [f"00-DB-12-34-56-78-90-{number:02X}" for number in range(5)]


def reported(sheet: Sheet, outcomes: Outcomes, spreadsheets: Spreadsheets) -> Workbook:
    data = io.BytesIO()
    write_report(data, sheet, outcomes, spreadsheets)
    return openpyxl.load_workbook(io.BytesIO(data.getvalue()))


def reading_of(*wishes: tuple[str, Wish]) -> Reading:
    return Reading(accepted=dict(enumerate(wishes, 2)))


def test_rows_come_back_as_they_were_with_the_result_beside(spreadsheets: Spreadsheets) -> None:
    data = csv(
        ("Customer", "Hub ID", "Decision", "", "Reason"),
        ("=1+1", HUB, "Exclude", "x", "old"),
        (),
        ("Zoë", "bad", "Exclude", "", "old"),
    )
    sheet = open_sheet("hubs.csv", data, spreadsheets)
    reading = read_rows(sheet, spreadsheets)
    done = {2: RowOutcome(RowVerdict.ACCEPTED, "Exclude until they are included again.")}

    book = reported(sheet, all_outcomes(reading, done), spreadsheets)

    first, summary = book.worksheets
    rows = [[cell.value or None for cell in row] for row in first.iter_rows()]
    assert rows[0] == ["Customer", "Hub ID", "Decision", None, "Result", "Reason / what to do"]
    assert rows[1] == ["=1+1", HUB, "Exclude", "x", "Accepted", "Exclude until they are included again."]
    assert rows[2] == [None] * 6
    assert rows[3][:5] == ["Zoë", "bad", "Exclude", None, "Refused"]
    assert all(cell.data_type != "f" for row in first.iter_rows() for cell in row)
    assert first["B2"].fill.fgColor.rgb == "FFE3F1E4"
    assert first["B4"].fill.fgColor.rgb == "FFF9DCDC"
    assert first.auto_filter.ref == "A1:F4"
    said = [(row[0], row[1]) for row in summary.iter_rows(values_only=True)]
    assert ("hubs.csv", None) in said
    assert ("Times are UK time (Europe/London) unless a zone is named", None) in said
    assert ("Accepted", 1) in said
    assert ("Refused", 1) in said


def test_a_report_of_a_macintosh_workbook_shows_the_same_dates(spreadsheets: Spreadsheets) -> None:
    start = datetime(2026, 12, 1, 22, 0)  # noqa: DTZ001 - as cells have it
    serial = (datetime(2026, 12, 9, 6) - datetime(1904, 1, 1)).total_seconds() / 86_400  # noqa: DTZ001
    data = xlsx(HEADER, (HUB, "Schedule", NAMED, start, serial), date_1904=True)
    sheet = open_sheet("hubs.xlsx", data, spreadsheets)
    reading = read_rows(sheet, spreadsheets)
    again = io.BytesIO()

    write_report(again, sheet, all_outcomes(reading, {}), spreadsheets)

    read_again = read_rows(open_sheet("r.xlsx", again.getvalue(), spreadsheets), spreadsheets)
    assert read_again.accepted == reading.accepted
    assert len(reading.accepted) == 1


def test_rows_that_ask_for_the_same_become_as_few_requests_as_may_be() -> None:
    scheduled = Wish(SheetDecision.SCHEDULE, FIRMWARE, WINDOW, phase=Phase.PILOT, accept_han_impact=True)
    until = datetime(2027, 1, 1, tzinfo=UTC)
    reading = reading_of(
        (IDS[0], scheduled),
        (IDS[1], Wish(SheetDecision.DEFER, FIRMWARE, until=until)),
        (IDS[2], scheduled),
        (IDS[3], scheduled),
        (IDS[4], Wish(SheetDecision.INCLUDE)),
    )

    groups = grouped(reading, b"digest", most=2)

    assert [group.body for group in groups] == [
        ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.PILOT, (IDS[0], IDS[2]), True),
        ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.PILOT, (IDS[3],), True),
        ApproveCommsHubFirmware(FIRMWARE, Decision.DEFER, (IDS[1],), until),
        UpdateCommsHubFirmwareExclusion(ExclusionAction.INCLUDE, (IDS[4],)),
    ]
    assert [list(group.rows.values()) for group in groups] == [[2, 4], [5], [3], [6]]
    assert len({group.key for group in groups}) == 4
    assert all(len(group.key) == 64 for group in groups)
    assert [group.key for group in grouped(reading, b"digest", most=2)] == [group.key for group in groups]
    assert not {group.key for group in grouped(reading, b"other", most=2)} & {group.key for group in groups}
    assert not {group.key for group in grouped(reading, b"digest", most=2, again="now")} & {
        group.key for group in groups
    }


def test_a_group_says_what_it_asks_in_local_time(spreadsheets: Spreadsheets) -> None:
    (group,) = grouped(reading_of((IDS[0], Wish(SheetDecision.SCHEDULE, FIRMWARE, WINDOW))), b"", most=9)

    assert group.in_words(Moments(spreadsheets.time_zone)) == (
        "Schedule 1 hub for 2B7E C1A20001 9002 between 01/07/2026 22:00 BST and 09/12/2026 06:00 GMT (General)"
    )


def test_hubs_that_the_answer_refuses_are_told_what_to_do(spreadsheets: Spreadsheets) -> None:
    wish = Wish(SheetDecision.APPROVE, FIRMWARE)
    (group,) = grouped(reading_of(*((one, wish) for one in IDS[:3])), b"", most=9)
    refused = {RefusalReason.HAN_INCOMPATIBLE: (IDS[1].lower(),), RefusalReason.NOT_AVAILABLE: (IDS[2],)}
    answer = ActAnswer("W110601", "in part", CommsHubFirmwareResult(1, None, refused), "request")

    rows = outcomes_of_act(group, answer, spreadsheets)

    assert [(number, one.verdict) for number, one in rows.items()] == [
        (2, RowVerdict.ACCEPTED),
        (3, RowVerdict.REFUSED),
        (4, RowVerdict.REFUSED),
    ]
    assert "write Yes under Accept HAN impact" in rows[3].words
    assert rows[4].words.startswith("The hub cannot be taken for now, for a reason that does not lie with you.")
    assert counted(rows) == [(RowVerdict.ACCEPTED, 1), (RowVerdict.REFUSED, 2)]


def test_a_hub_that_is_named_by_both_its_ids_is_unclear_where_others_were_refused(spreadsheets: Spreadsheets) -> None:
    wish = Wish(SheetDecision.APPROVE, FIRMWARE)
    (group,) = grouped(reading_of(*((one, wish) for one in IDS[:3])), b"", most=9)
    refused = {RefusalReason.INVALID: (IDS[1],)}

    partly = outcomes_of_act(
        group, ActAnswer("W110601", "in part", CommsHubFirmwareResult(1, None, refused), "request"), spreadsheets
    )
    wholly = outcomes_of_act(group, ActAnswer("I0", "done", CommsHubFirmwareResult(2, 7), "request"), spreadsheets)

    assert [one.verdict for one in partly.values()] == [RowVerdict.UNCLEAR, RowVerdict.REFUSED, RowVerdict.UNCLEAR]
    assert {one.verdict for one in wholly.values()} == {RowVerdict.ACCEPTED}


def test_a_group_that_cannot_be_asked_for_stops_no_other(spreadsheets: Spreadsheets) -> None:
    reading = reading_of((IDS[0], Wish(SheetDecision.EXCLUDE)), (OTHER, Wish(SheetDecision.INCLUDE)))
    asked: list[Act] = []

    def do(act: Act) -> ActAnswer:
        asked.append(act)
        if len(asked) == 1:
            raise NotTaken("the list is too long")
        return ActAnswer("I99", "done", None, "request", repeated=True)

    groups = grouped(reading, b"", most=9)
    done = list(acted(groups, do, spreadsheets, account="account:ann", user_eui="EUI"))

    assert [one.rows for one in done] == [
        {2: RowOutcome(RowVerdict.NOT_SENT, "the list is too long")},
        {
            3: RowOutcome(
                RowVerdict.ACCEPTED,
                "Include. This file was imported before: nothing was done now, and the answer is that of then.",
            )
        },
    ]
    assert asked[0] == Act(Channel.SHEET, "account:ann", "EUI", groups[0].key, groups[0].body)
