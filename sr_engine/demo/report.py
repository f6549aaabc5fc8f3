"""What came of the demonstration: the story in figures, and whether everything is as it should be."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, func, select

from sr_engine.bootstrap import Instance, quiet_days_of
from sr_engine.demo.cast import Cast
from sr_engine.demo.country import FIRMWARE, REGIONS, homes
from sr_engine.operations.why import explain
from sr_engine.store import outbox
from sr_engine.store.tables import attempts, decisions, devices, upgrade_lists
from sr_engine.store.tables import outbox as outbox_table

Stats = dict[str, dict[str, int]]
_EXPLAINED = ("Activated", "Failed", "AwaitingApproval")


def states_by_region(engine: Engine) -> dict[str, dict[str, int]]:
    with engine.connect() as connection:
        found = connection.execute(
            select(attempts.c.region, attempts.c.state, func.count()).group_by(attempts.c.region, attempts.c.state)
        ).all()
    by_region: dict[str, dict[str, int]] = {region: {} for region in REGIONS}
    for region, state, count in found:
        by_region[region][state] = count
    return by_region


def waiting(engine: Engine) -> int:
    """Messages that their receivers have not taken yet."""
    with engine.connect() as connection:
        counts = outbox.counts(connection)
    return sum(number for (_, _, state), number in counts.items() if state == outbox.PENDING)


def tell(instance: Instance, console: Console, stats: Stats, csp_stats: Stats) -> None:
    """Say what happened, region by region and Supplier by Supplier."""
    table = Table(title="What happened, region by region", title_justify="left")
    for heading in ("region", "hubs", "lists", "night of", "listed", "activated", "failed", "declined", "verified"):
        text = heading in {"region", "night of"}
        table.add_column(heading, justify="left" if text else "right", no_wrap=True)
    with instance.reading_engine.connect() as connection:
        total: dict[str | None, int] = dict(
            connection.execute(
                select(devices.c.csp_region, func.count()).where(devices.c.device_type == "CHF").group_by("csp_region")
            )
            .tuples()
            .all()
        )
        nights = connection.execute(
            select(upgrade_lists.c.region, upgrade_lists.c.period_start, upgrade_lists.c.hub_count)
        ).all()
    for region, states in states_by_region(instance.reading_engine).items():
        own = [row for row in nights if row.region == region]
        table.add_row(
            region,
            f"{total[region]:,}",
            str(len(own)),
            ", ".join(sorted({f"{row.period_start:%a %d}" for row in own})),
            f"{sum(row.hub_count for row in own):,}",
            f"{states.get('Activated', 0):,}",
            f"{states.get('Failed', 0):,}",
            f"{states.get('AwaitingApproval', 0):,}",
            f"{csp_stats[region].get('signatures verified', 0)} of {csp_stats[region].get('lists', 0)}",
        )
    console.print(table)
    for name, one in stats.items():
        hubs = ", ".join(
            f"{key.removeprefix('hubs: ')} {count:,}" for key, count in sorted(one.items()) if key.startswith("hubs: ")
        )
        console.print(
            f"{name}: {one['alerts']:,} alerts, {one['signatures verified']:,} signatures verified, "
            f"{one.get('signatures refused', 0)} refused; hubs by alert: {hubs}"
        )
    console.print("Why one hub or another has not been upgraded (`sr-engine why`):")
    now, regions = instance.clock.now(), instance.configuration.regions
    quiet_days = quiet_days_of(instance.configuration.policy)
    with instance.reading_engine.connect() as connection:
        for state in _EXPLAINED:
            hub = connection.scalar(select(attempts.c.hub_id).where(attempts.c.state == state).limit(1))
            if hub is not None:
                console.print(f"  {explain(connection, hub, now, regions, quiet_days)}")


def problems(instance: Instance, cast: Cast, stats: Stats, csp_stats: Stats) -> list[str]:
    """Compare what the parties received with what the processor holds."""
    found: list[str] = []
    with instance.reading_engine.connect() as connection:
        for one in (cast.first, cast.second):
            stored = connection.scalar(
                select(func.count()).where(
                    outbox_table.c.destination == f"user:{one.eui}", outbox_table.c.state == outbox.DELIVERED
                )
            )
            if stored != stats[one.name]["alerts"]:
                found.append(f"{one.name} took {stats[one.name]['alerts']} alerts, but {stored} were delivered")
        parked = connection.scalar(
            select(func.count()).select_from(outbox_table).where(outbox_table.c.state != outbox.DELIVERED)
        )
        if parked:
            found.append(f"{parked} messages were not delivered")
        declined_and_listed = connection.scalar(
            select(func.count())
            .select_from(decisions.join(attempts, attempts.c.hub_id == decisions.c.hub_id))
            .where(decisions.c.approval == "Declined", attempts.c.list_id.is_not(None))
        )
        if declined_and_listed:
            found.append(f"{declined_and_listed} hubs were listed although a Supplier declined")
        upgraded = connection.scalar(
            select(func.count()).select_from(devices).where(devices.c.firmware_version == FIRMWARE.version)
        )
        activated = sum(states.get("Activated", 0) for states in states_by_region(instance.reading_engine).values())
        if upgraded != 2 * activated:
            found.append(f"{activated} hubs were activated, but {upgraded} CHFs and GPFs have the new version")
    found += [
        f"{name} refused {counted['signatures refused']} signatures"
        for name, counted in {**stats, **csp_stats}.items()
        if counted.get("signatures refused", 0)
    ]
    found += [
        f"{counted['messages refused']} messages of the CSP of {region} were refused"
        for region, counted in csp_stats.items()
        if counted.get("messages refused", 0)
    ]
    split = sum(1 for home in homes(cast.first, cast.second) if home.electricity != home.gas)
    if stats[cast.second.name].get("hubs: release opened") != split:
        found.append(f"{cast.second.name} was not told of each of its {split} hubs")
    return found
