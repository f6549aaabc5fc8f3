"""Puts the parts of one instance together; the only place that knows them all."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from ssl import SSLContext
from typing import TYPE_CHECKING

import httpx
from sqlalchemy import Engine
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route

from signing import Certificate, Signer, SoftwareKey, Trust, Verifier
from sr_engine import configuration
from sr_engine.apart import Apart
from sr_engine.claims import Claims, Terms
from sr_engine.clock import Clock, ScaledClock, SystemClock
from sr_engine.configuration import (
    Configuration,
    ConfigurationError,
    Metrics,
    Policy,
    Region,
    Settings,
    UserDirectory,
)
from sr_engine.configuration.advice import load_advice
from sr_engine.configuration.console import load_console
from sr_engine.configuration.operator_pages import load_operator_rules
from sr_engine.console.app import console_routes
from sr_engine.console.assets import Assets
from sr_engine.console.counting import Counting as HubCounting
from sr_engine.console.desk import Desk
from sr_engine.console.openid import OpenIdPages, Provider
from sr_engine.console.operator.long_looks import LongLooks, Run
from sr_engine.console.operator.looks import Place
from sr_engine.console.operator.office import Office
from sr_engine.console.operator.section import sections as operator_sections
from sr_engine.console.rendering import templates
from sr_engine.console.supplier.desk import SupplierDesk
from sr_engine.console.supplier.section import section as supplier_section
from sr_engine.delivery.alerts import Alerts
from sr_engine.delivery.dispatch import Dispatcher
from sr_engine.delivery.firmware_alerts import FirmwareAlerts
from sr_engine.delivery.overtaken import Overtaken
from sr_engine.delivery.telling import Telling, remind
from sr_engine.gateway.app import CSP_SHARE, REGISTRATION_SHARE, UPSTREAM_SHARE, Gateway
from sr_engine.gateway.binding import Binding
from sr_engine.gateway.csp import MESSAGES_OF_CSPS, CspDesk
from sr_engine.gateway.fairness import Gate, Shares
from sr_engine.gateway.operator import OperatorDesk
from sr_engine.gateway.pull import PullDesk
from sr_engine.gateway.receiving import ReceivingDesk
from sr_engine.gateway.registrations import RegistrationDesk
from sr_engine.gateway.relay import Relay, Upstream
from sr_engine.gateway.resumer import Resumer
from sr_engine.gateway.working import TELL_WITHIN_SECONDS, Role, Working
from sr_engine.messages.official import OfficialSchema
from sr_engine.messages.schema import Schema
from sr_engine.messages.schema_files import SchemaUnusable
from sr_engine.observing.cells import Cells
from sr_engine.observing.counting import Counting, Layout
from sr_engine.observing.exchanges import Note, Observer
from sr_engine.observing.exposition import Health, MetricsDesk, monitoring_app
from sr_engine.observing.standing import Standing
from sr_engine.operations.candidates import LookingThrough
from sr_engine.operations.certificates import Certificates
from sr_engine.operations.changes import Changes
from sr_engine.operations.expiries import expiries
from sr_engine.operations.lists import Withdrawing
from sr_engine.operations.message_view import MessageView
from sr_engine.operations.passwords import Passwords
from sr_engine.operations.pruning import Pruning
from sr_engine.operations.registrations import SupplierChanges
from sr_engine.operations.retaining import DailyPruning
from sr_engine.operations.signing_in import SigningIn
from sr_engine.operations.supplier_answers import SupplierAnswers
from sr_engine.operations.supplier_hubs import SupplierHubs
from sr_engine.peers import Forwarded
from sr_engine.pipeline.acting import Acting
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
from sr_engine.regions.triggers import Chore, Housekeeping, Leased, RegionTriggers, Ticker
from sr_engine.regions.undelivered import UndeliveredLists
from sr_engine.resources import data_directory
from sr_engine.sealing import SealingKeyUnusable, load_sealer
from sr_engine.store.database import DatabaseError, check_tables, open_engine
from sr_engine.store.notices import Left, Listener
from sr_engine.store.overlays import QuietDays
from sr_engine.store.reading import Reading
from sr_engine.store.transactions import Transactions
from sr_engine.transport import outgoing_tls, peers_of, watched_tls
from sr_engine.watching import Watched, Watcher

if TYPE_CHECKING:
    from sr_engine.api.desk import Desk as ApiDesk

SETTINGS_FILE = "sr-engine.toml"
OPENID_SECONDS = 10.0
"""For how long an OpenID provider is waited for."""


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
    telling: Telling
    randbelow: Callable[[int], int]
    """The only source of what is drawn by chance: a whole number from 0 and below its argument."""
    official_schema: OfficialSchema | None

    def draw_id(self) -> str:
        """A random identifier of 32 hexadecimal digits."""
        return identifier(self.randbelow)


def identifier(randbelow: Callable[[int], int]) -> str:
    """A random identifier of 32 hexadecimal digits."""
    return f"{randbelow(1 << 128):032x}"


def identifiers(randbelow: Callable[[int], int], how_many: int) -> Sequence[str]:
    """So many random identifiers, drawn at once."""
    digits = f"{randbelow(1 << 128 * how_many):0{32 * how_many}x}"
    return [digits[start : start + 32] for start in range(0, len(digits), 32)]


def clock_of(settings: Settings) -> Clock:
    """The clock an instance's settings ask for."""
    if settings.clock is None:
        return SystemClock()
    return ScaledClock(settings.clock.anchored_at, settings.clock.starts_at, settings.clock.rate)


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
) -> Instance:
    """Read and check everything an instance needs; `clock` and `randbelow` stand in for real time and chance.

    One that is not `durable` does not wait for the disk, and may be lost with the computer's power.

    Raises ConfigurationError, signing.KeyUnavailable or DatabaseError, each naming the file and what to do.
    """
    settings = configuration.load_settings(directory / SETTINGS_FILE)
    loaded = configuration.load(settings.config_directory)
    users = configuration.load_users(settings.users_file)
    key = SoftwareKey.load(settings.signing.key, settings.signing.certificate)
    policy = loaded.policy
    _check_tokens(settings, loaded, users)
    if key.eui != policy.access_control_broker_eui:
        problem = (
            f"{SETTINGS_FILE}: signing.certificate: is for {key.eui}, but policy.toml says that "
            f"access_control_broker_eui is {policy.access_control_broker_eui}"
        )
        raise ConfigurationError((problem,))
    official_schema = official_schema_of(settings)
    clock = clock or clock_of(settings)
    signer = Signer(key)
    alerts = Alerts(
        definitions=loaded.alerts,
        users=users,
        signer=signer,
        access_control_broker=policy.access_control_broker_eui,
        max_devices=policy.limits.alert_max_devices,
        draw_ids=partial(identifiers, randbelow),
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
    return Instance(
        settings=settings,
        configuration=loaded,
        users=users,
        clock=clock,
        engine=engine,
        reading_engine=reading_engine,
        transactions=Transactions(engine, clock, follow_up=telling),
        trust=trust,
        verifier=Verifier(trust),
        signer=signer,
        duis_schema=Schema(schemas / "duis.xsd", roots={"Request"}, signature_apart=True),
        csp_schema=Schema(schemas / "csp.xsd", roots=MESSAGES_OF_CSPS, signature_apart=True),
        alerts=alerts,
        firmware_alerts=firmware_alerts,
        telling=telling,
        randbelow=randbelow,
        official_schema=official_schema,
    )


def _check_tokens(settings: Settings, loaded: Configuration, users: UserDirectory) -> None:
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
        instance.alerts,
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


def api_desk_of(instance: Instance, reading: Reading, after_work: Callable[[], None]) -> ApiDesk | None:
    """What the interface for CRM systems works with, if there is to be one; raises ConfigurationError."""
    settings, policy = instance.settings.api, instance.configuration.api
    if settings is None:
        return None
    # What it stands on takes a second to load, which commands need not wait for.
    from sr_engine.api.desk import Desk as ApiDesk  # noqa: PLC0415 - see above
    from sr_engine.api.limits import Reads, Waiting  # noqa: PLC0415

    try:
        sealer = load_sealer(settings.key_file)
    except SealingKeyUnusable as unusable:
        raise ConfigurationError((f"{SETTINGS_FILE}: api.key_file: {unusable}",)) from None
    return ApiDesk(
        users=instance.users,
        reading=reading,
        transactions=instance.transactions,
        clock=instance.clock,
        policy=policy,
        sealer=sealer,
        hubs=supplier_hubs_of(instance),
        answers=supplier_answers_of(instance),
        changes=Changes(instance.users),
        acting=acting_of(instance),
        registrations=registration_desk_of(instance),
        after_work=after_work,
        body_within=instance.configuration.policy.overload.body,
        reads=Reads(policy.limits.reads_at_once),
        threads=ThreadPoolExecutor(policy.limits.reads_at_once + 1, "api"),
        waiting=Waiting(policy.limits.waiting_at_once, policy.limits.waiting_of_one),
    )


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
        holder=instance.draw_id(),
        terms=Terms(policy.length, policy.heartbeat, 1.0 if clock is None else clock.rate),
    )


def layout_of(loaded: Configuration) -> Layout:
    """What is counted of an instance with this configuration."""
    return Layout.of(loaded, (CSP_SHARE, REGISTRATION_SHARE, UPSTREAM_SHARE))


def counting_of(instance: Instance, cells: Cells | None = None, row: int = 0) -> Counting:
    """What one process counts: in a row of memory that it shares with others, or alone."""
    layout = layout_of(instance.configuration)
    return Counting(layout, cells or Cells(layout.columns, 1), row)


def metrics_desk_of(instance: Instance, counting: Counting) -> MetricsDesk:
    """What shows the metrics of an instance."""
    settings = instance.settings
    metrics = settings.monitoring.metrics or Metrics()
    standing = Standing(
        Reading(instance.reading_engine),
        instance.clock,
        instance.configuration.regions,
        lambda: expiries(settings, instance.trust),
    )
    return MetricsDesk(counting, standing, settings.environment, metrics.addresses, peers_of(settings))


def metrics_routes(instance: Instance, counting: Counting) -> Sequence[Route]:
    """Where metrics can be fetched beside requests, if settings say that they can be there."""
    metrics = instance.settings.monitoring.metrics
    return [] if metrics is None or metrics.port is not None else metrics_desk_of(instance, counting).routes()


def health_of(instance: Instance, live: Callable[[], str] = lambda: "alive") -> Health:
    """What says whether an instance can take requests."""
    until = Certificate.from_file(instance.settings.signing.certificate).not_after
    return Health(Reading(instance.reading_engine), instance.clock, until, live=live)


def tracing_of(settings: Settings) -> Note | None:
    """What traces exchanges, if settings ask for it; raises ConfigurationError where it is not installed."""
    if not settings.monitoring.tracing.enabled:
        return None
    try:
        # An extra: whoever wants no traces need not have it.
        from sr_engine.observing.tracing import tracing  # noqa: PLC0415 - see above
    except ImportError:
        problem = f"{SETTINGS_FILE}: monitoring.tracing.enabled: needs the extra: pip install 'sr-engine[tracing]'"
        raise ConfigurationError((problem,)) from None
    return tracing()


def monitoring_of(instance: Instance, counting: Counting) -> Starlette:
    """What is served at the listener for monitoring alone."""
    return monitoring_app(metrics_desk_of(instance, counting), health_of(instance))


def office_of(instance: Instance, after_decision: Callable[[], None], run_apart: Run) -> Office:
    """What the pages of an operator work with; `run_apart` does what takes long beside everything else."""
    settings, loaded = instance.settings, instance.configuration
    rules = load_operator_rules(settings.config_directory)
    own = Certificate.from_file(settings.signing.certificate)
    return Office(
        rules=rules,
        users=instance.users,
        regions=loaded.regions,
        phases=phases_of(instance),
        certificates=Certificates(instance.trust, own, instance.users, loaded.regions),
        messages=MessageView(instance.verifier, loaded.policy.certificate_roles),
        looks=LongLooks(run_apart, instance.clock, rules.looks.keep),
        place=Place(settings.database_url, settings.config_directory, settings.signing.certificate),
        spreadsheets=loaded.spreadsheets,
        monotonic=time.monotonic,
        after_decision=after_decision,
    )


def console_of(
    instance: Instance,
    after_work: Callable[[], None],
    *,
    real: Clock | None = None,
    office: Office | None = None,
) -> Sequence[BaseRoute]:
    """The console of an instance; `real` stands in for the real time by which people sign in.

    Without an `office`, which operators work with, nobody is woken by what they decide.
    """
    rules = load_console(instance.settings.config_directory)
    passwords, assets = Passwords(rules.sign_in), Assets()
    desk = Desk(
        environment_name=instance.settings.environment,
        configuration=instance.configuration,
        users=instance.users,
        clock=instance.clock,
        rules=rules,
        reading=Reading(instance.reading_engine),
        transactions=instance.transactions,
        passwords=passwords,
        signing_in=SigningIn(rules, passwords, instance.randbelow, real or SystemClock()),
        draw_id=instance.draw_id,
        randbelow=instance.randbelow,
        templates=templates(rules.pages.time_zone, assets),
        assets=assets,
        after_work=after_work,
    )
    supplier = SupplierDesk(
        supplier_hubs_of(instance),
        supplier_answers_of(instance),
        acting_of(instance),
        load_advice(instance.settings.config_directory, instance.configuration.response_codes),
        HubCounting(desk.reading, rules.pages),
    )
    office = office or office_of(instance, lambda: None, Apart())
    sections = (supplier_section(desk, supplier), *operator_sections(office))
    openid = None if instance.settings.console is None else instance.settings.console.openid
    if openid is None:
        return console_routes(desk, sections)
    desk = replace(desk, provider_name=openid.name)
    provider = Provider(openid, partial(httpx.AsyncClient, timeout=OPENID_SECONDS))
    return console_routes(desk, sections, OpenIdPages(desk, provider).routes())


def application(
    instance: Instance,
    *,
    role: Role = Role.ALL,
    monotonic: Callable[[], float] = time.monotonic,
    watched: Sequence[Watched] = (),
    counting: Counting | None = None,
) -> Starlette:
    """A process of the processor as an ASGI application: the gateway, the region triggers and delivery, or a part.

    `monotonic` tells the time, in seconds, by which the gateway judges how much each User sends, and this process
    whether it may still act on its leases. `watched` is read again, beside what the process knows of itself, when it
    changes. `counting` counts beside other processes.
    """
    counting = counting or counting_of(instance)
    policy = instance.configuration.policy
    outgoing = outgoing_tls(instance.settings)
    reading = Reading(instance.reading_engine)
    claims = claims_of(instance, reading, monotonic)
    dispatcher = Dispatcher(
        engine=instance.reading_engine,
        clock=instance.clock,
        policy=policy.delivery,
        resolve=lambda destination: destination_url(instance, destination),
        claims=claims,
        randbelow=instance.randbelow,
        tls=outgoing,
        count=counting.delivery,
    )
    instance.transactions.after_follow_up = dispatcher.wake
    resumer = Resumer(
        resuming=resuming_of(instance),
        transactions=instance.transactions,
        reading=reading,
        clock=instance.clock,
        monotonic=monotonic,
        grace=policy.held.answer_grace,
        after_work=dispatcher.wake,
        claims=claims,
    )
    processor = processor_of(instance)
    relay = relay_of(instance, processor, outgoing.get("relay"))
    leased = [Leased(one, claims) for one in triggers(instance, dispatcher.wake)]
    daily = DailyPruning(pruning_of(instance), claims, instance.clock)
    ticker = Ticker([*leased, daily], policy.triggers.tick)

    def woken(left: Collection[Left]) -> None:
        if Left.OUTBOX in left:
            dispatcher.wake()
        if Left.TIDINGS in left:
            instance.transactions.follow()
        if Left.HELD in left:
            resumer.wake()

    listener = Listener(instance.reading_engine, woken)
    api = api_desk_of(instance, reading, dispatcher.wake)
    parts = [dispatcher.run, resumer.run, listener.run]
    if api is not None:
        from sr_engine.api.sending import Sending  # noqa: PLC0415 - as in api_desk_of

        parts.append(Sending(api, claims, instance.randbelow).run)
    working = Working(claims, ticker, parts, instance.transactions)
    trusted = Watched("the trusted certificates", instance.settings.trust_directory, instance.trust.reload)
    apart = Apart()

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        try:
            async with (
                working.running() if role is not Role.GATEWAY else nullcontext(),
                Watcher([trusted, *watched, *watched_tls(instance.settings, outgoing)]).running(),
                relay.running() if relay and role is not Role.WORKER else nullcontext(),
            ):
                yield
        finally:
            apart.stop()
            if api is not None:
                api.threads.shutdown(wait=False)
            await instance.transactions.close(within=TELL_WITHIN_SECONDS)

    if role is Role.WORKER:
        return Starlette(
            routes=[*metrics_routes(instance, counting), *health_of(instance, working.alive).routes()],
            lifespan=lifespan,
        )
    feed = instance.settings.registration_feed
    desk = None if feed is None else registration_desk_of(instance, feed.token_sha256)
    peers = peers_of(instance.settings)
    gateway = Gateway(
        processor=processor,
        csp_desk=csp_desk_of(instance),
        transactions=instance.transactions,
        clock=instance.clock,
        gate=Gate(shares_of(instance), monotonic),
        retry_after=policy.overload.retry_after,
        after_work=dispatcher.wake,
        resumer=resumer,
        registration_desk=desk,
        peers=peers,
        binding=Binding(policy.connections.bound_to, instance.users),
        observer=Observer(counting, trace=tracing_of(instance.settings)),
        health=health_of(instance),
        more_routes=[
            *metrics_routes(instance, counting),
            *_faces(
                instance,
                reading=reading,
                api=api,
                apart=apart,
                after_decision=resumer.wake,
                after_work=dispatcher.wake,
                monotonic=monotonic,
            ),
        ],
        relay=relay,
        receiving_desk=receiving_desk_of(instance),
    )
    app = gateway.app(lifespan)
    if instance.settings.proxy is not None:
        app.add_middleware(Forwarded, peers=peers)
    return app


def _faces(
    instance: Instance,
    *,
    reading: Reading,
    api: ApiDesk | None,
    apart: Apart,
    after_decision: Callable[[], None],
    after_work: Callable[[], None],
    monotonic: Callable[[], float],
) -> Sequence[BaseRoute]:
    """The addresses beside those of the gateway, as far as the settings ask for them."""
    routes: list[BaseRoute] = [*PullDesk(instance.users, instance.configuration.regions, reading).routes()]
    if api is not None:
        from sr_engine.api.app import mounted  # noqa: PLC0415 - as in api_desk_of

        routes.append(mounted(api, monotonic))
    operator = instance.settings.operator
    if operator is not None:
        operators = OperatorDesk(operator.token_sha256, reading, instance.transactions, after_decision)
        routes += operators.routes()
    if instance.settings.console is not None:
        routes += console_of(instance, after_work, office=office_of(instance, after_decision, apart))
    return routes
