"""A simulation from its parameters to its report: the country, the campaigns that are played, and the models beside."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import active_children, get_context

from sr_engine.configuration import Region
from sr_engine.national.campaign import Campaign
from sr_engine.national.comparison import Case, Regime, model
from sr_engine.national.country import Country, make_country
from sr_engine.national.figures import Figures, case_of, figures_of
from sr_engine.national.outcome import Simulation
from sr_engine.national.parameters import Parameters
from sr_engine.national.populating import populate
from sr_engine.national.results import Result
from sr_engine.national.running import Say
from sr_engine.national.setting_up import open_stage, regions_of, set_up
from sr_engine.national.sites import Site

START = "start"
"""The instance that every campaign begins with a copy of."""

_BYTES_PER_HUB = 20_000
"""That a campaign takes up at most, with messages, answers and indexes; about a third less was measured."""


@dataclass(frozen=True, slots=True)
class Job:
    """A campaign that is to be played."""

    parameters: Parameters
    hubs: int
    seed: int
    regime: Regime
    site: Site
    keep: bool
    say: Say


def simulate(
    parameters: Parameters,
    *,
    hubs: int,
    seed: int,
    regimes: Sequence[Regime],
    site: Site,
    say: Say,
    processes: int = 1,
    keep: bool = False,
) -> Simulation:
    """Play the campaign under each of `regimes`, in instances at an empty site, and model the rest.

    The same parameters, hubs and seed give the same figures, whatever the database and the number of `processes` that
    play, wall time apart; `say` is pickled for them. Raises ConfigurationError for parameters that do not fit the
    configuration, DatabaseError, and CampaignFailed if the processor does what it must not.
    """
    if not regimes:
        raise ValueError("name one regime at least that is to be played")
    jobs = [Job(parameters, hubs, seed, regime, site, keep, say) for regime in regimes]
    started = time.perf_counter()
    site.check_free([START, *regimes])
    with _quietly():
        try:
            regions, case = _prepare(jobs[0])
            prepared = time.perf_counter() - started
            played = _play_all(jobs, processes)
        finally:
            # Also of campaigns that were broken off.
            for name in (START, *([] if keep else regimes)):
                site.remove(name)
    compared = [one.result for one in played] + models(case, parameters)
    return Simulation(hubs, seed, parameters, regions, played, compared, prepared)


def disk_needed(hubs: int, campaigns: int, processes: int, *, keep: bool) -> int:
    """Bytes that a simulation takes up at most: the instances that are there at a time, and the one they begin with."""
    return hubs * _BYTES_PER_HUB * (campaigns if keep else min(campaigns, processes)) + hubs * _BYTES_PER_HUB // 8


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _prepare(job: Job) -> tuple[dict[str, Region], Case]:
    """The country in an instance of its own, as all campaigns find it."""
    country = _country_of(job)
    job.site.prepare(START)
    set_up(job.site.folder(START), job.parameters, job.hubs, job.site.url(START))
    stage = open_stage(job.site.folder(START), job.parameters, f"{job.seed} {START}")
    try:
        regions = regions_of(stage, job.parameters)
        job.say(f"{job.hubs:,} hubs, {len(regions)} regions, {len(country.suppliers)} Suppliers")
        populate(stage, country, job.say)
        return regions, case_of(country, job.parameters, regions, stage.instance.configuration.policy)
    finally:
        stage.close()


def _play_all(jobs: Sequence[Job], processes: int) -> list[Figures]:
    """In the order of the jobs, however many are played side by side."""
    if min(processes, len(jobs)) == 1:
        return list(map(play, jobs))
    with ProcessPoolExecutor(min(processes, len(jobs)), mp_context=get_context("spawn")) as pool:
        try:
            return list(pool.map(play, jobs))
        except BaseException:
            # What the others still play is of no use to anybody.
            pool.shutdown(wait=False, cancel_futures=True)
            for process in active_children():
                process.terminate()
            raise


def play(job: Job) -> Figures:
    """Play one campaign, in a copy of the instance in which its country is."""
    name, site = job.regime.value, job.site
    site.copy(START, name)
    # Homes move in the course of a campaign: each begins with the country as it was.
    country = _country_of(job)
    stage = open_stage(site.folder(name), job.parameters, f"{job.seed} {name}")
    try:
        with _quietly():
            say = partial(_say_of, job.say, name)
            outcome = Campaign(stage, job.parameters, country, job.regime, job.seed, say).play()
        regions = regions_of(stage, job.parameters)
        with stage.instance.reading_engine.connect() as connection:
            found = figures_of(connection, outcome, job.parameters, regions, name)
    finally:
        stage.close()
    if not job.keep:
        # The next campaign may need the room.
        site.remove(name)
    return found


def _country_of(job: Job) -> Country:
    return make_country(job.parameters, job.hubs, job.seed)


def _say_of(say: Say, name: str, words: str) -> None:
    say(f"{name}: {words}")


@contextmanager
def _quietly() -> Iterator[None]:
    """Breaches of service levels are figures here, not news."""
    log = logging.getLogger("sr_engine")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def models(case: Case, parameters: Parameters) -> list[Result]:
    """The three regimes by Service Requests, and what is voluntary by a portal and by spreadsheets."""
    channels = parameters.channels
    return [
        *(
            model(f"Service Requests, {regime}", case, parameters, regime, channels.service_requests)
            for regime in Regime
        ),
        model("portal only, Voluntary", case, parameters, Regime.VOLUNTARY, channels.portal),
        model("spreadsheets by e-mail, Voluntary", case, parameters, Regime.VOLUNTARY, channels.spreadsheets),
    ]
