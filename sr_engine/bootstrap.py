"""Puts the parts of one instance together; the only place that knows them all."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from ssl import SSLContext
from typing import Protocol

from sqlalchemy import Engine

from signing import Certificate, Signer, SoftwareKey, Trust, Verifier
from sr_engine import configuration
from sr_engine.claims import Claims, Terms
from sr_engine.clock import Clock
from sr_engine.configuration import (
    SETTINGS_FILE,
    Configuration,
    ConfigurationError,
    Policy,
    Region,
    Settings,
    UserDirectory,
    clock_of,
)
from sr_engine.delivery.alerts import Alerts
from sr_engine.delivery.firmware_alerts import FirmwareAlerts
from sr_engine.delivery.overtaken import Overtaken
from sr_engine.delivery.telling import Telling, remind
from sr_engine.drawing import identifier, identifiers
from sr_engine.gateway.app import CSP_SHARE, REGISTRATION_SHARE, UPSTREAM_SHARE
from sr_engine.gateway.csp import MESSAGES_OF_CSPS, CspDesk
from sr_engine.gateway.fairness import Shares
from sr_engine.gateway.receiving import ReceivingDesk
from sr_engine.gateway.registrations import RegistrationDesk
from sr_engine.gateway.relay import Relay, Upstream
from sr_engine.messages.official import OfficialSchema
from sr_engine.messages.schema import Schema
from sr_engine.messages.schema_files import SchemaUnusable
from sr_engine.operations.candidates import LookingThrough
from sr_engine.operations.lists import Withdrawing
from sr_engine.operations.pruning import Pruning
from sr_engine.operations.registrations import SupplierChanges
from sr_engine.operations.supplier_answers import SupplierAnswers
from sr_engine.operations.supplier_hubs import SupplierHubs
from sr_engine.pipeline.acting import Acting
from sr_engine.pipeline.changing import Changing
from sr_engine.pipeline.holding import Holding
from sr_engine.pipeline.process import SCHEDULE_ID_MAX, Processor
from sr_engine.pipeline.relaying import Relaying
from sr_engine.pipeline.resuming import Resuming
from sr_engine.regions.compulsion import Enlisting, TermsTakingEffect
from sr_engine.regions.deferrals import DeferralsRunOut
from sr_engine.regions.issuing import Issuing
from sr_engine.regions.lists import ListCutter
from sr_engine.regions.meter_lists import MeterLists
from sr_engine.regions.meter_outcomes import MeterOutcomes
from sr_engine.regions.outcomes import Outcomes
from sr_engine.regions.phases import Phases
from sr_engine.regions.replacing import Replacing
from sr_engine.regions.sla import SlaWatch
from sr_engine.regions.triggers import Chore, Housekeeping, RegionTriggers
from sr_engine.regions.undelivered import UndeliveredLists
from sr_engine.resources import data_directory
from sr_engine.store.database import DatabaseError, check_tables, open_engine
from sr_engine.store.leases import name_of_process
from sr_engine.store.mixed import Mixed
from sr_engine.store.overlays import QuietDays
from sr_engine.store.reading import Reading
from sr_engine.store.schema import known_revisions
from sr_engine.store.transactions import Transactions


class LoadSchema(Protocol):
    """Loads a schema as `Schema` itself does."""

    def __call__(self, path: Path, *, roots: Collection[str], signature_apart: bool) -> Schema: ...


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
    changing: Changing
    firmware_alerts: FirmwareAlerts
    telling: Telling
    randbelow: Callable[[int], int]
    """The only source of what is drawn by chance: a whole number from 0 and below its argument."""
    official_schema: OfficialSchema | None

    def draw_id(self) -> str:
        """A random identifier of 32 hexadecimal digits."""
        return identifier(self.randbelow)


def official_schema_of(settings: Settings) -> OfficialSchema | None:
    """The official DUIS schema that an instance's settings name; raises ConfigurationError if it is not usable."""
    if settings.official_schema is None:
        return None
    try:
        return OfficialSchema.load(settings.official_schema)
    except SchemaUnusable as unusable:
        raise ConfigurationError((f"{SETTINGS_FILE}: official_schema: {unusable}",)) from None


def open_instance(
    directory: Path,
    *,
    clock: Clock | None = None,
    randbelow: Callable[[int], int] = secrets.randbelow,
    durable: bool = True,
    load_configuration: Callable[[Path], Configuration] = configuration.load,
    load_schema: LoadSchema = Schema,
) -> Instance:
    """Read and check everything an instance needs; `clock` and `randbelow` stand in for real time and chance.

    One that is not `durable` does not wait for the disk, and may be lost with the computer's power. Whoever opens many
    instances may have read configuration and schemas before: neither changes once it is loaded.

    Raises ConfigurationError, signing.KeyUnavailable or DatabaseError, each naming the file and what to do.
    """
    settings = configuration.load_settings(directory / SETTINGS_FILE)
    loaded = load_configuration(settings.config_directory)
    users = configuration.load_users(settings.users_file)
    key = SoftwareKey.load(settings.signing.key, settings.signing.certificate)
    policy = loaded.policy
    check_tokens(settings, loaded, users)
    if key.eui != policy.access_control_broker_eui:
        problem = (
            f"{SETTINGS_FILE}: signing.certificate: is for {key.eui}, but policy.toml says that "
            f"access_control_broker_eui is {policy.access_control_broker_eui}"
        )
        raise ConfigurationError((problem,))
    official_schema = official_schema_of(settings)
    clock = clock or clock_of(settings)
    signer = Signer(key)
    mixed = Mixed()
    alerts = Alerts(
        definitions=loaded.alerts,
        users=users,
        signer=signer,
        access_control_broker=policy.access_control_broker_eui,
        max_devices=policy.limits.alert_max_devices,
        draw_ids=partial(identifiers, clock, randbelow),
        mixed=mixed,
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
    engine = open_engine(settings.database_url, durable=durable)
    try:
        check_tables(engine)
    except DatabaseError:
        engine.dispose()
        raise
    reading_engine = open_engine(settings.database_url, read_only=True)
    telling = Telling(alerts, firmware_alerts, reading_engine)
    changing = Changing(alerts, policy.limits.portion_devices, policy.limits.kept_portions, mixed)
    return Instance(
        settings=settings,
        configuration=loaded,
        users=users,
        clock=clock,
        engine=engine,
        reading_engine=reading_engine,
        transactions=Transactions(engine, clock, follow_up=telling, keeping=changing),
        trust=trust,
        verifier=Verifier(trust),
        signer=signer,
        duis_schema=load_schema(schemas / "duis.xsd", roots={"Request"}, signature_apart=True),
        csp_schema=load_schema(schemas / "csp.xsd", roots=MESSAGES_OF_CSPS, signature_apart=True),
        alerts=alerts,
        changing=changing,
        firmware_alerts=firmware_alerts,
        telling=telling,
        randbelow=randbelow,
        official_schema=official_schema,
    )


def check_tokens(settings: Settings, loaded: Configuration, users: UserDirectory) -> None:
    """Every token opens one thing; raises ConfigurationError where one would open two."""
    feed, operator, relay = settings.registration_feed, settings.operator, settings.relay
    owners: list[tuple[str, str | None]] = [
        ("registration_feed", None if feed is None else feed.token_sha256),
        ("operator", None if operator is None else operator.token_sha256),
        ("relay", None if relay is None else relay.token_sha256),
    ]
    owners += [(f"region {region.name}", region.token_sha256) for region in loaded.regions.values()]
    owners += [
        (f"User {user.eui}", user.token_sha256) for one in users.organisations() for user in users.users_of(one.id)
    ]
    seen: dict[str, str] = {}
    for owner, token in owners:
        if token is not None and seen.setdefault(token, owner) != owner:
            problem = f"{SETTINGS_FILE}: token_sha256: {seen[token]} and {owner} have the same; each needs its own"
            raise ConfigurationError((problem,))


def processor_of(instance: Instance) -> Processor:
    """The pipeline of an instance."""
    return Processor(
        instance.configuration,
        instance.users,
        instance.duis_schema,
        instance.verifier,
        instance.signer,
        instance.changing,
        Holding(
            instance.configuration.policy,
            instance.users,
            instance.signer,
            instance.configuration.alerts,
            instance.randbelow,
            instance.draw_id,
        ),
        lambda: 1 + instance.randbelow(SCHEDULE_ID_MAX),
        meter_lists_of(instance),
        official_schema=instance.official_schema,
    )


def acting_of(instance: Instance) -> Acting:
    """What carries out what Users ask for who are signed in to another face of an instance."""
    return Acting(processor_of(instance))


def resuming_of(instance: Instance) -> Resuming:
    """What takes up the held requests of an instance."""
    return Resuming(processor_of(instance), instance.draw_id)


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


def shares_of(instance: Instance) -> Shares:
    """How the gateway's capacity is shared out."""
    overload = instance.configuration.policy.overload
    allocations = dict.fromkeys((CSP_SHARE, REGISTRATION_SHARE, UPSTREAM_SHARE), overload.allocation_per_second)
    for user in instance.users.users():
        allocations[user.eui] = user.allocation_per_second or overload.allocation_per_second
    return Shares(
        overload.requests_in_flight,
        overload.worked_on_at_once,
        overload.operating_threshold_per_second,
        overload.allocation_per_second,
        allocations,
    )


def relay_of(instance: Instance, processor: Processor, tls: SSLContext | None = None) -> Relay | None:
    """What asks the upstream DCC for what is not offered here, if one is configured."""
    settings, policy = instance.settings.relay, instance.configuration.policy
    if settings is None:
        return None
    upstream = Upstream(
        settings.url,
        settings.timeout,
        policy.overload.retry_after,
        policy.limits.max_body_bytes,
        settings.requests_at_once,
    )
    return Relay(upstream, Relaying(processor), instance.transactions, tls)


def receiving_desk_of(instance: Instance) -> ReceivingDesk | None:
    """What takes the messages of the upstream DCC to Users, if one is configured."""
    settings = instance.settings
    if settings.relay is None:
        return None
    return ReceivingDesk(
        Schema(data_directory("xsd") / "duis.xsd", roots={"Response"}, signature_apart=True),
        instance.verifier,
        Certificate.from_pem(settings.signing.certificate.read_bytes()),
        instance.users,
        instance.configuration.policy,
        settings.relay.token_sha256,
    )


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
        Reading(instance.reading_engine),
    )


def withdrawing_of(instance: Instance) -> Withdrawing:
    """What asks the CSPs of an instance to withdraw lists."""
    return Withdrawing(instance.signer, instance.configuration.policy.access_control_broker_eui, instance.draw_id)


def outcomes_of(instance: Instance) -> Outcomes:
    """What takes in the outcomes of the upgrade lists of an instance."""
    configuration = instance.configuration
    policy = configuration.policy
    issuing = Issuing(instance.signer, policy.access_control_broker_eui, instance.draw_id)
    lifecycle, regions = configuration.lifecycle, configuration.regions
    replacing = Replacing(issuing, instance.alerts, lifecycle, quiet_days_of(policy), regions)
    return Outcomes(instance.alerts, lifecycle, replacing)


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
        Reading(instance.reading_engine),
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


def overtaken_of(instance: Instance) -> Overtaken:
    """What lets go what a clock that was ahead has put off."""
    loaded = instance.configuration
    destinations = [f"user:{user.eui}" for user in instance.users.users()]
    destinations += [f"csp:{name}" for name in loaded.regions]
    waits = (*loaded.policy.delivery.back_off, loaded.policy.held.answer + loaded.policy.held.answer_grace)
    # By a lease's length no two clocks differ that may be trusted.
    return Overtaken(destinations, max(waits) + loaded.policy.leases.length)


def supplier_hubs_of(instance: Instance) -> SupplierHubs:
    """What Suppliers read of their hubs."""
    return SupplierHubs(quiet_days_of(instance.configuration.policy))


def supplier_answers_of(instance: Instance) -> SupplierAnswers:
    """What Suppliers look up of what they have set themselves."""
    return SupplierAnswers(quiet_days_of(instance.configuration.policy))


def registration_desk_of(instance: Instance, token_sha256: str = "") -> RegistrationDesk:
    """What takes registrations; without a hash of a token it lets in nobody itself."""
    organisations = frozenset(one.id for one in instance.users.organisations())
    return RegistrationDesk(token_sha256, organisations, supplier_changes_of(instance))


def chores(instance: Instance) -> tuple[Chore, ...]:
    """What is done at its time whatever the region, in this order."""
    return (
        # What a stop has left to be told; otherwise that is done as soon as it is committed.
        remind,
        overtaken_of(instance),
        DeferralsRunOut(instance.alerts, instance.configuration.lifecycle),
        supplier_changes_of(instance),
        TermsTakingEffect(instance.alerts, instance.configuration.policy.compulsion.lead),
        partial(meter_outcomes_of(instance).give_up_elsewhere, served=instance.configuration.regions.keys()),
        LookingThrough(),
    )


def region_chores(instance: Instance, region: Region) -> tuple[Chore, ...]:
    """What is done in a region before its lists are cut, in this order."""
    return (
        partial(phases_of(instance).advance, region=region.name),
        UndeliveredLists(region, instance.alerts, instance.configuration.lifecycle),
        Enlisting(
            region, instance.alerts, instance.configuration.lifecycle, quiet_days_of(instance.configuration.policy)
        ),
    )


def region_watch(instance: Instance, region: Region) -> tuple[Chore, ...]:
    """What is done in a region beside the lists of hubs, in this order."""
    return (
        partial(meter_outcomes_of(instance).time_out, region=region),
        partial(meter_outcomes_of(instance).chase, region=region),
        SlaWatch(region, instance.configuration.lifecycle),
    )


def triggers(instance: Instance, after_work: Callable[[], None]) -> list[Housekeeping | RegionTriggers]:
    """All that looks for due work: what concerns every region first, then each region."""
    outcomes = outcomes_of(instance)
    cutter = list_cutter(instance)
    transactions = instance.transactions
    return [
        Housekeeping("every region", transactions, chores(instance), after_work),
        *(
            RegionTriggers(
                region,
                transactions,
                cutter,
                outcomes,
                after_work,
                region_chores(instance, region),
                region_watch(instance, region),
            )
            for region in instance.configuration.regions.values()
        ),
    ]


def pruning_of(instance: Instance) -> Pruning:
    """What takes what is old out of the database of an instance."""
    signing = instance.settings.signing
    return Pruning(
        Reading(instance.reading_engine),
        instance.settings.archive_directory,
        instance.configuration.policy.retention,
        SoftwareKey.load(signing.key, signing.certificate),
        [Certificate.from_file(signing.certificate)],
        instance.draw_id,
    )


def claims_of(instance: Instance, reading: Reading, monotonic: Callable[[], float]) -> Claims:
    """What holds the leases of a process that works on an instance, under an id drawn for it."""
    policy, clock = instance.configuration.policy.leases, instance.settings.clock
    return Claims(
        transactions=instance.transactions,
        reading=reading,
        clock=instance.clock,
        monotonic=monotonic,
        holder=name_of_process(known_revisions()[-1], instance.draw_id()),
        terms=Terms(policy.length, policy.heartbeat, 1.0 if clock is None else clock.rate),
    )
