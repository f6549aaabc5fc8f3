"""Puts together the faces of an instance beside DUIS: the interface for CRM systems and the console."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import httpx
from starlette.routing import BaseRoute

from signing import Certificate
from sr_engine.apart import Apart
from sr_engine.bootstrap import (
    Instance,
    acting_of,
    phases_of,
    registration_desk_of,
    supplier_answers_of,
    supplier_hubs_of,
)
from sr_engine.clock import Clock, SystemClock
from sr_engine.configuration import SETTINGS_FILE, ConfigurationError
from sr_engine.configuration.advice import load_advice
from sr_engine.configuration.console import load_console
from sr_engine.configuration.operator_pages import load_operator_rules
from sr_engine.console.app import console_routes
from sr_engine.console.assets import own_assets
from sr_engine.console.counting import Counting
from sr_engine.console.crowding import Hashing, Streams
from sr_engine.console.desk import Desk
from sr_engine.console.openid import OpenIdPages, Provider
from sr_engine.console.operator.long_looks import LongLooks, Run
from sr_engine.console.operator.looks import Place
from sr_engine.console.operator.office import Office
from sr_engine.console.operator.section import sections as operator_sections
from sr_engine.console.rendering import templates
from sr_engine.console.supplier.desk import SupplierDesk
from sr_engine.console.supplier.section import section as supplier_section
from sr_engine.console.supplier.taking_up import TakingUp
from sr_engine.console.supplier.working_out import Proposing
from sr_engine.operations.certificates import Certificates
from sr_engine.operations.changes import Changes
from sr_engine.operations.message_view import MessageView
from sr_engine.operations.passwords import Passwords
from sr_engine.operations.signing_in import SigningIn
from sr_engine.sealing import SealingKeyUnusable, load_sealer
from sr_engine.store.reading import Reading

if TYPE_CHECKING:
    from sr_engine.api.desk import Desk as ApiDesk

PAGES_AT_ONCE = 8
"""Threads in which a process makes pages and sheets."""
OPENID_SECONDS = 10.0
"""For how long an OpenID provider is waited for."""


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
        preparing=ThreadPoolExecutor(1, "api-acts"),
        waiting=Waiting(policy.limits.waiting_at_once, policy.limits.waiting_of_one),
    )


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


@dataclass(frozen=True, slots=True)
class Console:
    """Its addresses, and what goes on beside them."""

    routes: Sequence[BaseRoute]
    taking_up: TakingUp


def console_of(
    instance: Instance,
    after_work: Callable[[], None],
    *,
    real: Clock | None = None,
    office: Office | None = None,
) -> Console:
    """The console of an instance; `real` stands in for the real time by which people sign in.

    Without an `office`, which operators work with, nobody is woken by what they decide.
    """
    rules = load_console(instance.settings.config_directory)
    passwords, assets = Passwords(rules.sign_in), own_assets()
    reading, threads = Reading(instance.reading_engine), ThreadPoolExecutor(PAGES_AT_ONCE, "console")
    desk = Desk(
        environment_name=instance.settings.environment,
        configuration=instance.configuration,
        users=instance.users,
        clock=instance.clock,
        rules=rules,
        reading=reading,
        transactions=instance.transactions,
        passwords=passwords,
        signing_in=SigningIn(rules, passwords, instance.randbelow, real or SystemClock()),
        draw_id=instance.draw_id,
        randbelow=instance.randbelow,
        templates=templates(rules.pages.time_zone, assets),
        assets=assets,
        after_work=after_work,
        threads=threads,
        hashing=Hashing(
            ThreadPoolExecutor(rules.sign_in.hashes_at_once, "passwords"),
            rules.sign_in.hashes_at_once + rules.sign_in.hashes_waiting,
        ),
        streams=Streams(rules.pages.streams_at_once, rules.pages.streams_of_one),
        counting=Counting(reading, rules.pages, threads),
    )
    supplier = SupplierDesk(
        supplier_hubs_of(instance),
        supplier_answers_of(instance),
        acting_of(instance),
        load_advice(instance.settings.config_directory, instance.configuration.response_codes),
    )
    openid = None if instance.settings.console is None else instance.settings.console.openid
    office = office or office_of(instance, lambda: None, Apart())
    proposing = Proposing(desk, supplier)
    taking_up = TakingUp(proposing, time.monotonic, instance.randbelow)
    pages = supplier_section(supplier, proposing, upload_bytes=rules.pages.upload_bytes)
    sections = (pages, *operator_sections(office))
    if openid is None:
        return Console(console_routes(desk, sections), taking_up)
    desk = replace(desk, provider_name=openid.name)
    provider = Provider(openid, partial(httpx.AsyncClient, timeout=OPENID_SECONDS))
    return Console(console_routes(desk, sections, OpenIdPages(desk, provider).routes()), taking_up)
