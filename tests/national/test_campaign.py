"""A small country plays a release through the real processor, and the report says what is in its database."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from lxml import etree
from sqlalchemy import Connection, func, select

from sr_engine.bootstrap import open_instance
from sr_engine.national.comparison import Regime
from sr_engine.national.figures import Figures
from sr_engine.national.outcome import Simulation
from sr_engine.national.parameters import load
from sr_engine.national.report import as_json, write
from sr_engine.national.running import Forecast
from sr_engine.national.simulation import disk_needed, simulate
from sr_engine.national.sites import Site
from sr_engine.store.database import DatabaseError, check_tables, open_engine
from sr_engine.store.spare import beside, create
from sr_engine.store.tables import attempts, devices, exclusions, off_lists, outbox, upgrade_lists
from tests.databases import server
from tests.national.conftest import small_file

HUBS = 250
SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True)
class Seen:
    """A simulation that was played, and its database."""

    simulation: Simulation
    connection: Connection

    @property
    def figures(self) -> Figures:
        return self.simulation.played[0]

    def count(self, *conditions: object) -> int:
        statement = select(func.count()).select_from(attempts).where(*conditions)  # type: ignore[arg-type]
        return self.connection.scalar(statement) or 0


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    folder = tmp_path_factory.mktemp("national")
    parameters = load(small_file(folder))
    said: list[str] = []
    played = simulate(
        parameters,
        hubs=HUBS,
        seed=1,
        regimes=[Regime.VOLUNTARY],
        site=Site(folder / "instance"),
        say=said.append,
        keep=True,
    )
    assert any("hubs upgraded" in words for words in said)
    instance = open_instance(folder / "instance" / "Voluntary")
    with instance.reading_engine.connect() as connection:
        yield Seen(played, connection)
    instance.engine.dispose()
    instance.reading_engine.dispose()


def test_every_hub_ends_in_exactly_one_state(seen: Seen) -> None:
    assert seen.figures.problems() == []
    newest: dict[str, tuple[int, str]] = {}
    for hub_id, number, state in seen.connection.execute(
        select(attempts.c.hub_id, attempts.c.number, attempts.c.state)
    ):
        newest[hub_id] = max(newest.get(hub_id, (0, "")), (number, state))
    counted = Counter(state for _, state in newest.values())
    reported: Counter[str] = Counter()
    for states in seen.figures.states.values():
        reported.update(states)
    without = reported.pop("no attempt")
    assert {state: hubs for state, hubs in reported.items() if hubs} == counted
    assert without + len(newest) == HUBS == seen.figures.result.hubs


def test_no_attempt_is_left_open(seen: Seen) -> None:
    assert seen.count(attempts.c.is_open) == 0


def test_no_night_is_above_its_capacity_and_the_sums_of_nights_are_those_of_the_database(seen: Seen) -> None:
    assert seen.figures.capacity == {"Central": 30, "4G South": 50}
    assert all(0 < night.listed <= seen.figures.capacity[night.region] for night in seen.figures.nights)
    listed = seen.connection.scalar(select(func.sum(upgrade_lists.c.hub_count)))
    assert sum(night.listed for night in seen.figures.nights) == listed
    assert sum(night.activated for night in seen.figures.nights) == seen.count(attempts.c.state == "Activated")


def test_whoever_was_listed_is_on_a_list_or_was_taken_off_one(seen: Seen) -> None:
    figures = seen.figures
    taken_off = seen.connection.scalar(select(func.count()).select_from(off_lists)) or 0
    assert (figures.on_lists, figures.off_lists) == (seen.count(attempts.c.list_id.is_not(None)), taken_off)
    assert 0 < taken_off == sum(night.listed for night in figures.nights) - figures.on_lists
    assert sum(figures.attempts.values()) == seen.count()


def test_sums_that_do_not_agree_are_named(seen: Seen) -> None:
    for wrong, said in (
        ({"on_lists": 7}, "hubs were listed: 7 are on lists"),
        ({"answers": {"11.5 I0": 1}}, "requests were taken, and Suppliers have had 1 answers"),
        ({"alerts_taken": 3}, "alerts were queued, and Suppliers have had 3"),
        ({"capacity": dict.fromkeys(seen.figures.capacity, 1)}, "hubs listed, more than 1"),
        ({"states": {"Central": {"Activated": 9}}}, "9 hubs have a state, and there are 250"),
    ):
        problems = replace(seen.figures, **wrong).problems()
        assert any(said in problem for problem in problems), (said, problems)


def test_an_upgraded_hub_runs_the_firmware_and_no_other_does(seen: Seen) -> None:
    running = seen.connection.scalar(
        select(func.count())
        .select_from(devices)
        .where(devices.c.device_type == "CHF", devices.c.firmware_version == "9002")
    )
    assert running == seen.figures.result.upgraded == seen.figures.result.by_day.total() > HUBS / 2


def test_hubs_that_a_supplier_keeps_out_are_never_listed(seen: Seen) -> None:
    excluded = set(seen.connection.scalars(select(exclusions.c.hub_id)))
    listed = set(seen.connection.scalars(select(attempts.c.hub_id).where(attempts.c.list_id.is_not(None))))
    assert excluded
    assert not excluded & listed


def test_the_campaign_had_all_that_campaigns_have(seen: Seen) -> None:
    figures = seen.figures
    assert {"11.5 I0", "11.6 I99", "11.9 I99"} <= figures.answers.keys()
    events = {event for kind, event in figures.sent if kind == "alert"}
    assert {"release_opened", "hub_listed", "hub_activated", "hub_failed", "hub_missed"} <= events
    assert {"hub_returned", "hub_scheduled", "change_of_supplier"} <= events
    assert seen.count(attempts.c.pilot, attempts.c.state == "Activated") > 0
    assert seen.count(attempts.c.number == 2, attempts.c.state == "Activated") > 0, "some were scheduled again"


def test_a_supplier_that_gains_a_home_schedules_it_anew(seen: Seen) -> None:
    again = attempts.alias("again")
    after = select(func.count()).where(
        attempts.c.hub_id == again.c.hub_id,
        attempts.c.state == "Voided",
        again.c.number > attempts.c.number,
        again.c.state == "Activated",
        again.c.organisation != attempts.c.organisation,
    )
    assert (seen.connection.scalar(after) or 0) > 0


def test_every_message_was_delivered(seen: Seen) -> None:
    states = seen.connection.execute(select(outbox.c.state, func.count()).group_by(outbox.c.state)).all()
    assert [state for state, _ in states] == ["Delivered"]
    assert sum(seen.figures.sent.values()) == states[0][1]


def test_messages_are_those_in_the_store_with_the_answers_to_requests(seen: Seen) -> None:
    figures = seen.figures
    requests = sum(count for (interface, _), count in figures.taken.items() if interface == "DUIS")
    assert requests == figures.result.items == sum(figures.answers.values())
    assert figures.messages == requests + sum(figures.taken.values()) + sum(figures.sent.values())


def test_waits_are_those_of_the_hubs_that_were_upgraded(seen: Seen) -> None:
    for one in seen.figures.suppliers:
        assert seen.figures.result.waits[one.name].total() == one.upgraded
        assert 0 < one.median_days <= one.percentile_90_days < 40
    assert sum(one.hubs for one in seen.figures.suppliers) == HUBS - sum(
        states["no attempt"] for states in seen.figures.states.values()
    )


def test_the_model_of_the_same_campaign_comes_close_to_what_was_played(seen: Seen) -> None:
    played, modelled = seen.simulation.compared[0], seen.simulation.compared[1]
    assert (played.played, modelled.played) == (True, False)
    assert played.name == modelled.name == "Service Requests, Voluntary"
    assert played.hubs == modelled.hubs == HUBS
    assert modelled.upgraded == pytest.approx(played.upgraded, rel=0.1)
    assert modelled.messages == pytest.approx(played.messages, rel=0.5)


def test_other_ways_stand_beside_it_with_their_cost(seen: Seen) -> None:
    names = [one.name for one in seen.simulation.compared]
    assert names[2:] == [
        "Service Requests, Mandatory",
        "Service Requests, DCCManaged",
        "portal only, Voluntary",
        "spreadsheets by e-mail, Voluntary",
    ]
    voluntary, mandatory, _, portal, spreadsheets = seen.simulation.compared[1:]
    assert mandatory.upgraded > voluntary.upgraded > spreadsheets.upgraded
    assert spreadsheets.wait_days(95) > portal.wait_days(95) >= voluntary.wait_days(95)
    assert all(one.costs.total > 0 and one.cost_per_hub > 0 for one in seen.simulation.compared)


def test_the_report_needs_nothing_else_and_prints_every_assumption(seen: Seen, tmp_path: Path) -> None:
    page = write(seen.simulation, tmp_path / "report")
    text = page.read_text(encoding="utf-8")
    assert "href=" not in text
    assert "src=" not in text
    assert "Every hub is in exactly one state" in text
    assert "minimum_sample = 50" in text, "the parameters are printed"
    assert text.count("<svg") == 2
    side_by_side = text[text.index("<h2>Side by side") : text.index("What it costs")]
    assert side_by_side.count("<tr><td>") == 5, "each way once"
    assert side_by_side.count("<td>played</td>") == 1
    assert "CSP UpgradeListAcknowledgement, taken" in text
    for name in ("nights-voluntary.svg", "comparison.svg"):
        chart = etree.parse(tmp_path / "report" / name).getroot()
        assert chart.findtext(f"{SVG}title")
        assert "Central: " in (chart.findtext(f"{SVG}desc") or "") or name == "comparison.svg"
    figures = json.loads((tmp_path / "report" / "figures.json").read_text(encoding="utf-8"))
    assert figures["played"]["Voluntary"]["problems"] == []
    assert (tmp_path / "report" / "nights-voluntary.csv").read_text(encoding="utf-8").count("\n") == 1 + len(
        seen.figures.nights
    )


def quiet(words: str) -> None:
    """Says nothing; other processes can be given it."""


def figures_without_the_machine(simulation: Simulation) -> dict[str, object]:
    figures = as_json(simulation)
    del figures["machine"]
    return figures


@pytest.mark.slow
def test_the_same_seed_gives_the_same_figures_on_either_database(tmp_path: Path) -> None:
    parameters = load(small_file(tmp_path, longest_days="19", comply_by_days="18"))
    postgresql = server().new_database()
    found = []
    for site in (Site(tmp_path / "sqlite"), Site(tmp_path / "postgresql", postgresql)):
        played = simulate(parameters, hubs=25, seed=5, regimes=[Regime.VOLUNTARY], site=site, say=quiet)
        assert played.compared[0].upgraded > 0
        assert not any(site.directory.iterdir()), "nothing is left of the instances"
        found.append(figures_without_the_machine(played))
    assert found[0] == found[1]
    for name in ("start", "voluntary"):
        engine = open_engine(f"{postgresql}_{name}")
        with pytest.raises(DatabaseError, match="does not exist"):
            check_tables(engine)
        engine.dispose()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_figures_however_many_processes_play(tmp_path: Path) -> None:
    parameters = load(small_file(tmp_path))
    found = [
        figures_without_the_machine(
            simulate(
                parameters,
                hubs=25,
                seed=5,
                regimes=list(Regime),
                site=Site(tmp_path / str(processes)),
                say=quiet,
                processes=processes,
            )
        )
        for processes in (1, 3)
    ]
    assert found[0] == found[1]


def test_a_database_that_is_there_is_neither_overwritten_nor_dropped(tmp_path: Path) -> None:
    site = Site(tmp_path, server().new_database())
    create(site.database or "", site.url("Voluntary"))
    with pytest.raises(DatabaseError, match=r"_voluntary: there is such a database already"):
        simulate(load(), hubs=25, seed=5, regimes=[Regime.VOLUNTARY], site=site, say=quiet)
    with pytest.raises(DatabaseError, match=r"_voluntary cannot be created: .* already exists"):
        create(site.database or "", site.url("Voluntary"))
    site.remove("Voluntary")
    site.remove("Voluntary")


def test_only_a_postgresql_database_has_others_beside_it() -> None:
    for url in ("sqlite:///sr-engine.db", "postgresql://somebody@somewhere", "nonsense"):
        with pytest.raises(DatabaseError, match="postgresql://"):
            beside(url, "start")
    assert beside("postgresql://me:word@host:5432/one", "DCCManaged") == "postgresql://me:word@host:5432/one_dccmanaged"


def test_a_forecast_is_made_from_what_was_done_since_the_first_of_it() -> None:
    time = [1_000.0]
    forecast = Forecast(lambda: time[0])
    assert forecast(1, 1_000) == "", "too little to tell"
    time[0] = 5_000
    assert forecast(100, 1_000) == ""
    time[0] += 200
    assert forecast(200, 1_000) == "; about 27 min left"
    time[0] += 1_500
    assert forecast(950, 1_000) == "; about 2 min left"
    assert forecast(1_000, 1_000) == "; about 0 s left"


def test_what_takes_up_the_disk_is_known_beforehand() -> None:
    one = disk_needed(1_000_000, 1, 1, keep=False)
    assert 10e9 < one < 30e9
    assert one < disk_needed(1_000_000, 3, 2, keep=False) < disk_needed(1_000_000, 3, 2, keep=True)


@pytest.mark.slow
@pytest.mark.parametrize("regime", [Regime.MANDATORY, Regime.DCC_MANAGED])
def test_a_compulsory_release_upgrades_all_but_what_is_kept_out(tmp_path: Path, regime: Regime) -> None:
    parameters = load(small_file(tmp_path, fail_percent="0", lose_percent="0", refuse_percent="0"))
    played = simulate(
        parameters,
        hubs=60,
        seed=3,
        regimes=[regime],
        site=Site(tmp_path / "instance"),
        say=lambda words: None,
        keep=True,
    )
    figures, result = played.played[0], played.compared[0]
    assert figures.problems() == []
    model_of_it = next(one for one in played.compared if one.name == result.name and not one.played)
    instance = open_instance(tmp_path / "instance" / regime.value)
    with instance.reading_engine.connect() as connection:
        excluded = connection.scalar(select(func.count()).select_from(exclusions))
    instance.engine.dispose()
    instance.reading_engine.dispose()
    assert excluded is not None
    assert result.upgraded == model_of_it.upgraded == 60 - excluded
    assert result.days <= 105
    if regime is Regime.DCC_MANAGED:
        assert min(result.by_day) >= 90, "not before its notice has run out"
        assert not any(answer.startswith("11.5") for answer in figures.answers)
