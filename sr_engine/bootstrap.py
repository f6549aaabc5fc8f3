"""Puts the parts of one instance together; the only place that knows them all."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import Engine
from starlette.applications import Starlette

from signing import Signer, SoftwareKey, Trust, Verifier
from sr_engine import configuration
from sr_engine.clock import Clock, ScaledClock, SystemClock
from sr_engine.configuration import Configuration, ConfigurationError, Policy, Region, Settings, UserDirectory
from sr_engine.delivery.alerts import Alerts
from sr_engine.delivery.dispatch import Dispatcher
from sr_engine.delivery.firmware_alerts import FirmwareAlerts
from sr_engine.gateway.app import Gateway
from sr_engine.gateway.csp import MESSAGES_OF_CSPS, CspDesk
from sr_engine.gateway.registrations import RegistrationDesk
from sr_engine.messages.schema import Schema
from sr_engine.operations.registrations import SupplierChanges
from sr_engine.pipeline.process import SCHEDULE_ID_MAX, Processor
from sr_engine.regions.compulsion import Enlisting, TermsTakingEffect
from sr_engine.regions.deferrals import DeferralsRunOut
from sr_engine.regions.lists import ListCutter
from sr_engine.regions.meter_lists import MeterLists
from sr_engine.regions.meter_outcomes import MeterOutcomes
from sr_engine.regions.outcomes import Outcomes
from sr_engine.regions.phases import Phases
from sr_engine.regions.triggers import Chore, Housekeeping, RegionTriggers, Ticker, Trigger
from sr_engine.resources import data_directory
from sr_engine.store.database import check_tables, open_engine
from sr_engine.store.overlays import QuietDays
from sr_engine.store.transactions import Transactions
from sr_engine.watching import Watched, Watcher

SETTINGS_FILE = "sr-engine.toml"


@dataclass(frozen=True, slots=True)
class Instance:
    """The parts of an instance that every face of it needs."""

    settings: Settings
    configuration: Configuration
    users: UserDirectory
    clock: Clock
    engine: Engine
    reading_engine: Engine
    transactions: Transactions
    trust: Trust
    verifier: Verifier
    signer: Signer
    duis_schema: Schema
    csp_schema: Schema
    alerts: Alerts
    firmware_alerts: FirmwareAlerts
    randbelow: Callable[[int], int]
    """The only source of what is drawn by chance: a whole number from 0 and below its argument."""

    def draw_id(self) -> str:
        """A random identifier of 32 hexadecimal digits."""
        return identifier(self.randbelow)


def identifier(randbelow: Callable[[int], int]) -> str:
    """A random identifier of 32 hexadecimal digits."""
    return f"{randbelow(1 << 128):032x}"


def clock_of(settings: Settings) -> Clock:
    """The clock an instance's settings ask for."""
    if settings.clock is None:
        return SystemClock()
    return ScaledClock(settings.clock.anchored_at, settings.clock.starts_at, settings.clock.rate)


def open_instance(
    directory: Path, *, clock: Clock | None = None, randbelow: Callable[[int], int] = secrets.randbelow
) -> Instance:
    """Read and check everything an instance needs; `clock` and `randbelow` stand in for real time and chance.

    Raises ConfigurationError, signing.KeyUnavailable or DatabaseError, each naming the file and what to do.
    """
    settings = configuration.load_settings(directory / SETTINGS_FILE)
    loaded = configuration.load(settings.config_directory)
    users = configuration.load_users(settings.users_file)
    key = SoftwareKey.load(settings.signing.key, settings.signing.certificate)
    policy = loaded.policy
    if key.eui != policy.access_control_broker_eui:
        problem = (
            f"{SETTINGS_FILE}: signing.certificate: is for {key.eui}, but policy.toml says that "
            f"access_control_broker_eui is {policy.access_control_broker_eui}"
        )
        raise ConfigurationError((problem,))
    clock = clock or clock_of(settings)
    engine = open_engine(settings.database_url)
    check_tables(engine)
    signer = Signer(key)
    alerts = Alerts(
        definitions=loaded.alerts,
        users=users,
        signer=signer,
        access_control_broker=policy.access_control_broker_eui,
        max_devices=policy.limits.alert_max_devices,
        draw_id=partial(identifier, randbelow),
    )
    firmware_alerts = FirmwareAlerts(
        definitions=loaded.alerts,
        users=users,
        signer=signer,
        max_devices=policy.limits.alert_max_devices,
        draw_id=partial(identifier, randbelow),
    )
    schemas = data_directory("xsd")
    trust = Trust.from_directory(settings.trust_directory, crl_grace=policy.trust.crl_grace)
    return Instance(
        settings=settings,
        configuration=loaded,
        users=users,
        clock=clock,
        engine=engine,
        reading_engine=open_engine(settings.database_url, read_only=True),
        transactions=Transactions(
            engine, clock, follow_up=lambda work: alerts.write(work) or firmware_alerts.write(work)
        ),
        trust=trust,
        verifier=Verifier(trust),
        signer=signer,
        duis_schema=Schema(schemas / "duis.xsd", roots={"Request"}, signature_apart=True),
        csp_schema=Schema(schemas / "csp.xsd", roots=MESSAGES_OF_CSPS, signature_apart=True),
        alerts=alerts,
        firmware_alerts=firmware_alerts,
        randbelow=randbelow,
    )


def processor_of(instance: Instance) -> Processor:
    """The pipeline of an instance."""
    return Processor(
        instance.configuration,
        instance.users,
        instance.duis_schema,
        instance.verifier,
        instance.signer,
        instance.alerts,
        lambda: 1 + instance.randbelow(SCHEDULE_ID_MAX),
        meter_lists_of(instance),
    )


def destination_url(instance: Instance, destination: str) -> str | None:
    """Where `user:<EUI>` or `csp:<region>` receives messages, as configured now."""
    kind, _, name = destination.partition(":")
    if kind == "csp":
        region = instance.configuration.regions.get(name)
        return None if region is None else region.endpoint
    user = instance.users.by_eui(name)
    return None if user is None else user.receiving_url


def quiet_days_of(policy: Policy) -> QuietDays:
    """The quiet days around a change of Supplier."""
    return QuietDays(policy.change_of_supplier.quiet_before, policy.change_of_supplier.quiet_after)


def list_cutter(instance: Instance) -> ListCutter:
    """What cuts the upgrade lists of an instance."""
    configuration = instance.configuration
    policy = configuration.policy
    return ListCutter(
        instance.signer,
        instance.alerts,
        policy.access_control_broker_eui,
        instance.draw_id,
        configuration.lifecycle,
        quiet_days_of(policy),
    )


def outcomes_of(instance: Instance) -> Outcomes:
    """What takes in the outcomes of the upgrade lists of an instance."""
    return Outcomes(instance.alerts, instance.configuration.lifecycle)


def meter_lists_of(instance: Instance) -> MeterLists:
    """What issues the lists of the firmware requests of an instance."""
    loaded = instance.configuration
    return MeterLists(instance.signer, loaded.policy.access_control_broker_eui, loaded.regions, instance.draw_id)


def meter_outcomes_of(instance: Instance) -> MeterOutcomes:
    """What takes in the outcomes of the firmware requests of an instance."""
    return MeterOutcomes(instance.firmware_alerts)


def csp_desk_of(instance: Instance) -> CspDesk:
    """What takes the messages of CSPs for an instance."""
    loaded = instance.configuration
    return CspDesk(
        instance.csp_schema,
        instance.verifier,
        loaded.regions,
        loaded.policy,
        outcomes_of(instance),
        meter_outcomes_of(instance),
    )


def phases_of(instance: Instance) -> Phases:
    """What carries out the phases of the releases of an instance."""
    return Phases(instance.alerts, instance.configuration.lifecycle)


def supplier_changes_of(instance: Instance) -> SupplierChanges:
    """What carries out the changes of Supplier of an instance."""
    configuration = instance.configuration
    return SupplierChanges(
        instance.alerts,
        configuration.lifecycle,
        configuration.regions,
        configuration.policy.change_of_supplier.exclusion_kept,
    )


def chores(instance: Instance) -> tuple[Chore, ...]:
    """What is done at its time whatever the region, in this order."""
    return (
        # What a stop has left to be told; otherwise that is done as soon as it is committed.
        instance.alerts.write,
        instance.firmware_alerts.write,
        DeferralsRunOut(instance.alerts, instance.configuration.lifecycle),
        supplier_changes_of(instance),
        TermsTakingEffect(instance.alerts, instance.configuration.policy.compulsion.lead),
    )


def region_chores(instance: Instance, region: Region) -> tuple[Chore, ...]:
    """What is done in a region before its lists are cut, in this order."""
    return (
        partial(phases_of(instance).advance, region=region.name),
        Enlisting(region, instance.alerts, instance.configuration.lifecycle),
        partial(meter_outcomes_of(instance).time_out, region=region),
        partial(meter_outcomes_of(instance).chase, region=region),
    )


def triggers(instance: Instance, after_work: Callable[[], None]) -> list[Trigger]:
    """All that looks for due work: what concerns every region first, then each region."""
    outcomes = outcomes_of(instance)
    cutter = list_cutter(instance)
    transactions = instance.transactions
    return [
        Housekeeping("every region", transactions, chores(instance), after_work),
        *(
            RegionTriggers(region, transactions, cutter, outcomes, after_work, region_chores(instance, region))
            for region in instance.configuration.regions.values()
        ),
    ]


def application(instance: Instance) -> Starlette:
    """The whole processor as an ASGI application: gateway, region triggers and delivery."""
    policy = instance.configuration.policy
    dispatcher = Dispatcher(
        engine=instance.reading_engine,
        transactions=instance.transactions,
        clock=instance.clock,
        policy=policy.delivery,
        resolve=lambda destination: destination_url(instance, destination),
    )
    instance.transactions.after_follow_up = dispatcher.wake
    feed = instance.settings.registration_feed
    organisations = frozenset(one.id for one in instance.users.organisations())
    desk = None if feed is None else RegistrationDesk(feed.token_sha256, organisations, supplier_changes_of(instance))
    gateway = Gateway(
        processor=processor_of(instance),
        csp_desk=csp_desk_of(instance),
        transactions=instance.transactions,
        clock=instance.clock,
        in_flight_limit=policy.overload.requests_in_flight,
        retry_after=policy.overload.retry_after,
        after_work=dispatcher.wake,
        registration_desk=desk,
    )

    trusted = Watched("the trusted certificates", instance.settings.trust_directory, instance.trust.reload)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        ticker = Ticker(triggers(instance, dispatcher.wake), policy.triggers.tick)
        sending = asyncio.create_task(dispatcher.run())
        ticker.start()
        try:
            async with Watcher([trusted]).running():
                yield
        finally:
            ticker.stop()
            sending.cancel()
            with suppress(asyncio.CancelledError):
                await sending
            await instance.transactions.close()

    return gateway.app(lifespan)
