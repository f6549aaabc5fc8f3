"""The comparison finds what it looks for: leaks put in on purpose, one line each, are told from what is right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from typing import Any

import pytest
from sqlalchemy import Connection

from sr_engine.domain.eligibility import refusal
from sr_engine.domain.status import upgrade_status
from sr_engine.messages.model import RefusalReason, UpgradeStatus
from sr_engine.pipeline.process import Processor
from sr_engine.requests import read_schedule, schedule_firmware
from sr_engine.requests.lists import Judgement
from sr_engine.store import counters, outbox
from tests.interference import histories
from tests.interference.conftest import ALL, BASE, CAUSES, ENDINGS, FUTURES, PASTS
from tests.interference.play import History
from tests.interference.test_interference import leak
from tests.interference.variations import Cause, Ending, Future, Past, Variation
from tests.interference.worlds import Worlds


def name_the_responsible(monkeypatch: pytest.MonkeyPatch) -> None:
    words = Judgement.words
    monkeypatch.setattr(
        Judgement, "words", lambda self: f"{words(self)} {[one.hub.responsible for one, _ in self.accepted]}"
    )


def number_schedules(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = count(5_000)
    monkeypatch.setattr(Processor, "_free_schedule_id", lambda _self, _unit_of_work: next(numbers))


def number_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = count(1)
    put = outbox.put

    def put_numbered(connection: Connection, messages: Sequence[outbox.Outgoing], now: datetime) -> None:
        put(connection, [one._replace(message_id=f"{next(numbers):032x}") for one in messages], now)

    monkeypatch.setattr(outbox, "put", put_numbered)


def share_the_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = counters.draw

    def draw_for_all(connection: Connection, _name: str) -> int:
        return draw(connection, "message")

    monkeypatch.setattr(counters, "draw", draw_for_all)


def show_every_exclusion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        read_schedule,
        "upgrade_status",
        lambda upgrade, *rest: UpgradeStatus.EXCLUDED if upgrade.exclusions else upgrade_status(upgrade, *rest),
    )


def tell_quiet_days(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(upgrade: Any, **rest: Any) -> RefusalReason | None:
        reason = refusal(upgrade, **rest)
        return RefusalReason.WINDOW_NOT_AVAILABLE if reason is RefusalReason.NOT_AVAILABLE and upgrade.quiet else reason

    monkeypatch.setattr(schedule_firmware, "refusal", refuse)


def show_all_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_schedule, "seen_by", lambda upgrade, *_rest: upgrade)


def thaw_what_was_left(monkeypatch: pytest.MonkeyPatch) -> None:
    frozen = read_schedule.frozen_view
    monkeypatch.setattr(
        read_schedule,
        "frozen_view",
        lambda release, hub, departure: replace(frozen(release, hub, departure), status_reason=hub.version),
    )


@dataclass(frozen=True, slots=True)
class Planted:
    """A leak, and a history in two worlds by which it comes out."""

    plant: Callable[[pytest.MonkeyPatch], None]
    history: History
    other: Variation
    one: Variation = BASE


EVERYTHING = ALL["all, first"]
LEAKS: Sequence[Planted] = (
    Planted(name_the_responsible, histories.in_the_way, EVERYTHING),
    Planted(number_schedules, histories.agreement, EVERYTHING),
    Planted(number_messages, histories.agreement, EVERYTHING),
    Planted(share_the_counter, histories.outcomes, EVERYTHING),
    Planted(show_every_exclusion, histories.in_the_way, CAUSES[Cause.QUIET]),
    Planted(tell_quiet_days, histories.in_the_way, CAUSES[Cause.QUIET]),
    Planted(show_all_attempts, histories.gone_back, ENDINGS[Ending.LEFT]),
    Planted(show_all_attempts, histories.gained, PASTS[Past.FAILED]),
    Planted(thaw_what_was_left, histories.lost, FUTURES[Future.UPGRADED]),
)


@pytest.mark.parametrize("planted", LEAKS, ids=[f"{one.plant.__name__} in {one.history.__name__}" for one in LEAKS])
def test_a_leak_is_found(worlds: Worlds, monkeypatch: pytest.MonkeyPatch, planted: Planted) -> None:
    planted.plant(monkeypatch)

    assert leak(worlds.play(planted.history, planted.one), worlds.play(planted.history, planted.other)) != ""
