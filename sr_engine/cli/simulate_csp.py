"""A CSP for trials and tests: `simulate-csp`."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import click

from sr_engine import configuration
from sr_engine.cli.failures import Failure
from sr_engine.cli.opening import instance_option, settings_of
from sr_engine.cli.regions import chosen_regions
from sr_engine.configuration import Region
from sr_engine.configuration.duis import CSP_REGIONS
from sr_engine.instance import folder_name
from sr_engine.simulator.behaviour import Behaviour
from sr_engine.simulator.csp import SimulatedCsp
from sr_engine.simulator.party import Party, application, serve_until_told, stats_of

_PERCENT = click.FloatRange(0, 100)


@click.command("simulate-csp", short_help="Be the CSP of one region or more, for trials and tests.")
@instance_option
@click.option("--region", "names", multiple=True, help="A CSP region; may be repeated. All, if none is named.")
@click.option("--processor", metavar="URL", help="Where the processor listens, if not where its settings say.")
@click.option(
    "--capacity", type=click.IntRange(0), help="Hubs accepted for one night in a region; the rest is refused."
)
@click.option("--refuse", type=_PERCENT, default=0, help="Per cent of hubs refused whatever the capacity.")
@click.option("--fail", type=_PERCENT, default=0, help="Per cent of hubs whose upgrade fails.")
@click.option("--mismatch", type=_PERCENT, default=0, help="Per cent of hubs that run another firmware afterwards.")
@click.option("--lose", type=_PERCENT, default=0, help="Per cent of hubs whose outcome is never reported.")
@click.option("--late", type=_PERCENT, default=0, help="Per cent of hubs whose outcome is reported late.")
@click.option("--late-by", type=click.FloatRange(0), default=72, show_default=True, help="How many hours late.")
@click.option("--out-of-order", type=_PERCENT, default=0, help="Per cent of hubs reported done before Delivered.")
@click.option("--duplicate", type=_PERCENT, default=0, help="Per cent of reports sent twice, half of them re-signed.")
@click.option(
    "--lose-acknowledgement",
    type=_PERCENT,
    default=0,
    help="Per cent of acknowledgements of lists that never arrive, until the list is sent again.",
)
@click.option(
    "--delay", type=click.FloatRange(0), default=0, help="Seconds, on the instance's clock, before each message."
)
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed does the same to the same hubs.")
def simulate_csp(
    directory: Path, names: tuple[str, ...], processor: str | None, late_by: float, delay: float, **habits: float
) -> None:
    """Take upgrade lists at the endpoints of regions.toml, acknowledge them, and report on every hub, signed.

    It uses the CSPs' keys in the instance's pki/ and the instance's clock. Firmware is on a hub after a third of its
    night and active after two thirds, unless an option says otherwise. A list that arrives during its night is carried
    out in what is left of it, the hubs of one that arrives later are refused. A list that comes again is answered as it
    was, and not carried out twice. When it ends, it forgets its lists.

    Prints a line once it listens and, when it is told to stop, what it has counted as JSON, which it also tells at
    /stats.
    """
    settings = settings_of(directory)
    loaded = configuration.load(settings.config_directory)
    chosen = {region.name: region for region in chosen_regions(loaded.regions, names)}
    ports = _ports(chosen)
    base_url = processor or f"http://{settings.listen.host}:{settings.listen.port}"
    behaviour = Behaviour(
        **habits,  # type: ignore[arg-type]  # the options are named as its fields
        late_by=timedelta(hours=late_by),
        delay=timedelta(seconds=delay),
    )
    parties = {name: _party(directory, region, base_url) for name, region in chosen.items()}
    broker = loaded.policy.access_control_broker_eui
    csps = {name: SimulatedCsp(party, broker, name, behaviour) for name, party in parties.items()}
    routes = [
        parties[name].receives(urlsplit(region.endpoint).path or "/", csps[name].handle, csps[name].again)
        for name, region in chosen.items()
    ]
    listening = f"ready: {', '.join(f'{name} at {region.endpoint}' for name, region in chosen.items())}"
    app = application(routes, list(parties.values()))
    try:
        asyncio.run(serve_until_told(app, ports, [one.act for one in csps.values()], lambda: click.echo(listening)))
    except OSError as error:
        raise Failure(f"cannot listen on {', '.join(map(str, ports))}: {error.strerror}") from None
    click.echo(json.dumps(stats_of(parties.values()), sort_keys=True))


def _ports(regions: Mapping[str, Region]) -> list[int]:
    """The ports of the endpoints, which have to be on this computer and each of one region."""
    ports: set[int] = set()
    places: set[tuple[int, str]] = set()
    for name, region in regions.items():
        parts = urlsplit(region.endpoint)
        if parts.scheme != "http" or parts.hostname not in {"127.0.0.1", "localhost"}:
            raise Failure(f"regions.toml: region.{name}.endpoint: {region.endpoint} is not http on this computer")
        port = parts.port or 80
        if (port, parts.path) in places:
            raise Failure(f"regions.toml: region.{name}.endpoint: {region.endpoint} is that of another region too")
        places.add((port, parts.path))
        ports.add(port)
    return sorted(ports)


def _party(directory: Path, region: Region, base_url: str) -> Party:
    party = Party.load(directory, folder_name(region.csp_name), base_url)
    # Regions may share one CSP and its EUI, and it may have been simulated before: no number is used twice.
    party.step = len(CSP_REGIONS)
    party.counter = time.time_ns() // 1_000_000 * party.step + list(CSP_REGIONS).index(region.name)
    return party
