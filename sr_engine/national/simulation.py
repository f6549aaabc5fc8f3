"""A simulation from its parameters to its report: the country, the campaigns that are played, and the models beside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sr_engine.configuration import Policy, Region
from sr_engine.national.campaign import Campaign, Say
from sr_engine.national.comparison import Case, Regime, Result, model
from sr_engine.national.country import make_country
from sr_engine.national.figures import Figures, case_of, figures_of
from sr_engine.national.parameters import Parameters
from sr_engine.national.report import Simulation
from sr_engine.national.setting_up import regions_of, set_up


def simulate(
    parameters: Parameters, *, hubs: int, seed: int, regimes: Sequence[Regime], directory: Path, say: Say
) -> Simulation:
    """Play the campaign under each of `regimes`, in instances below an empty folder, and model the rest.

    The same parameters, hubs and seed give the same figures, wall time apart. Raises ConfigurationError for parameters
    that do not fit the configuration, CampaignFailed if the processor does what it must not.
    """
    played: list[Figures] = []
    compared: list[Result] = []
    case: Case | None = None
    regions: dict[str, Region] = {}
    for regime in regimes:
        # Homes move in the course of a campaign: each begins with the country as it was.
        country = make_country(parameters, hubs, seed)
        stage = set_up(directory / regime.value, parameters, hubs, seed)
        try:
            regions = regions_of(stage, parameters)
            policy: Policy = stage.instance.configuration.policy
            case = case or case_of(country, parameters, regions, policy)
            say(f"{regime}: {hubs:,} hubs, {len(regions)} regions, {len(country.suppliers)} Suppliers")
            outcome = Campaign(stage, parameters, country, regime, seed, say).play()
            with stage.instance.reading_engine.connect() as connection:
                played.append(figures_of(connection, outcome, parameters, regions, regime.value))
        finally:
            stage.close()
        compared.append(played[-1].result)
    if case is None:
        raise ValueError("name one regime at least that is to be played")
    compared += models(case, parameters)
    return Simulation(hubs, seed, parameters, regions, played, compared)


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
