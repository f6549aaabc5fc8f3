"""What follows from one answer for many hubs is what follows for each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sr_engine import configuration
from sr_engine.domain.changes import Changes, answer_all
from sr_engine.domain.states import AttemptState, Lifecycle
from sr_engine.domain.upgrades import Alike, Answer, Attempt, Hub, HubUpgrade, Release, Schedule
from sr_engine.messages.model import Approval, Firmware, Period, Phase
from sr_engine.resources import data_directory
from tests.pipeline.hub_by_hub import of_each_hub

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
WINDOW = Period(NOW + timedelta(days=5), NOW + timedelta(days=20))
OTHER_WINDOW = Period(NOW + timedelta(days=30), NOW + timedelta(days=40))
RELEASE = Release(
    "r" * 32,
    Firmware("2B7E", "C1A20001", "9002"),
    "AB" * 32,
    "Open",
    "Active",
    "SupplierManaged",
    frozenset({"North", "South"}),
    frozenset({"North", "South"}),
    frozenset({"9001"}),
    frozenset(),
)
COMPULSORY = replace(RELEASE, comply_by=NOW + timedelta(days=60), compulsory_from=NOW - timedelta(days=1))


@pytest.fixture(scope="module")
def lifecycle() -> Lifecycle:
    return configuration.load(data_directory("config")).lifecycle


def approval(organisation: str, window: Period | None) -> Answer:
    schedule = None if window is None else Schedule(7, organisation, window, Phase.GENERAL, "request")
    return Answer(Approval.APPROVED, "earlier request", schedule)


SOLE = Hub("", "Commissioned", "North", "2B7E", "C1A20001", "9001", "a", None)
HUBS = [
    *(SOLE, replace(SOLE, gas="a"), replace(SOLE, gas="b"), replace(SOLE, electricity="b", gas="a")),
    *(replace(SOLE, device_status="Decommissioned"), replace(SOLE, device_status=None)),
    *(replace(SOLE, region="South"), replace(SOLE, region=None), replace(SOLE, region="South", gas="b")),
    *(replace(SOLE, version="8000"), replace(SOLE, model="C1A20002"), replace(SOLE, manufacturer="2B7F")),
]
ANSWERS = st.dictionaries(
    st.sampled_from("ab"),
    st.sampled_from([approval("b", None), approval("b", WINDOW), approval("a", OTHER_WINDOW)]),
    max_size=2,
)
ATTEMPTS = st.none() | st.builds(
    Attempt,
    number=st.integers(1, 3),
    state=st.sampled_from([AttemptState.SCHEDULED, AttemptState.AWAITING_APPROVAL, AttemptState.MISSED]),
    window=st.just(WINDOW),
    pilot=st.booleans(),
    organisation=st.just("a"),
    state_at=st.just(NOW - timedelta(days=1)),
    attempt_id=st.just(7),
)
WITHOUT_PAST = 2 * [*(HubUpgrade(hub) for hub in HUBS), HubUpgrade(SOLE, other_release_open=True)]
WITH_PAST = st.lists(st.builds(HubUpgrade, st.sampled_from(HUBS), ANSWERS, ATTEMPTS, st.booleans()), max_size=15)
# So that of each kind there are two at least, in any order.
UPGRADES = WITH_PAST.flatmap(lambda some: st.permutations(WITHOUT_PAST + some))
GIVEN = st.sampled_from(
    [
        Answer(Approval.APPROVED, "request", Schedule(8, "a", WINDOW, Phase.GENERAL, "request")),
        Answer(Approval.APPROVED, "request", Schedule(8, "a", OTHER_WINDOW, Phase.PILOT, "request")),
        Answer(Approval.APPROVED, "request"),
        Answer(Approval.DECLINED, "request"),
    ]
)


@given(UPGRADES, GIVEN, st.sampled_from([RELEASE, COMPULSORY]), st.booleans())
def test_an_answer_for_many_hubs_does_for_each_what_it_does_for_it_alone(
    lifecycle: Lifecycle, upgrades: list[HubUpgrade], answer: Answer, release: Release, north_has_a_night: bool
) -> None:
    named = [one.of(f"hub {number:02}") for number, one in enumerate(upgrades)]
    kinds: dict[object, tuple[HubUpgrade, list[str]]] = {}
    for one in named:
        # Whatever is known of a hub but its id, and none of its own with a past.
        kind = one.hub.hub_id if one.answers or one.attempt is not None else (one.of("").hub, one.other_release_open)
        kinds.setdefault(kind, (one, []))[1].append(one.hub.hub_id)

    def changes_of(some: Sequence[Alike]) -> Changes:
        changes = Changes(release, lifecycle, "a")
        answer_all(
            changes,
            some,
            organisation="a",
            answer=answer,
            cause="cause",
            now=NOW,
            has_period=lambda region, _window: region == "South" or north_has_a_night,
        )
        return changes

    together = changes_of(list(kinds.values()))

    alone = [changes_of([(one, (one.hub.hub_id,))]) for one in named]
    said = of_each_hub(together)
    assert said.answers == [change for one in alone for change in one.answers]
    assert said.attempts == [change for one in alone for change in one.attempts]
    assert said.events == [event for one in alone for event in one.events]
    assert said.unsuited == [hub_id for one in alone for hub_id in one.unsuited]
    assert said.ended_schedules == sorted(ended for one in alone for ended in one.ended_schedules)
    assert together.concerned() == {known.hub.hub_id for known in named}
    assert len(together.answers) == len(kinds)
