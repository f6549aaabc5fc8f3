"""The tables, as SQLAlchemy Core sees them; every time is stored in UTC.

Device ids and MPxNs are text, in canonical form. Identifiers that leave the product (schedule and list ids, message
ids) are random; those that never leave it are plain row numbers.
"""

from __future__ import annotations

from sr_engine.store.tables.columns import BY_KEY, EUI, ORGANISATION, UtcDateTime, metadata
from sr_engine.store.tables.console import (
    console_accounts,
    console_proposals,
    console_recovery_codes,
    console_sessions,
    console_tries,
)
from sr_engine.store.tables.homes import (
    changed_hubs,
    devices,
    due_hubs,
    due_registrations,
    read_versions,
    registrations,
    settled_registrations,
    supplier_hubs,
)
from sr_engine.store.tables.interfaces import api_tokens, webhooks
from sr_engine.store.tables.lists import (
    list_runs,
    list_withdrawals,
    listed_hubs,
    off_lists,
    owed_hubs,
    sla_breaches,
    trigger_runs,
    upgrade_lists,
)
from sr_engine.store.tables.messages import alerted_hubs, delivery_circuits, outbox, outbox_forms, tidings
from sr_engine.store.tables.meters import (
    cpl_entries,
    firmware_alerted,
    firmware_deliveries,
    firmware_image_messages,
    firmware_images,
    firmware_lists,
    firmware_requests,
    firmware_tidings,
)
from sr_engine.store.tables.releases import (
    pilot_shares,
    release_han_models,
    release_paths,
    release_regions,
    release_terms,
    releases,
)
from sr_engine.store.tables.requests import anomaly_counts, anomaly_thresholds, exchanges, held_requests
from sr_engine.store.tables.running import counters, leases, schema_support
from sr_engine.store.tables.trail import archives, audit, audit_chains, audit_checkpoints, audit_links, retention_marks
from sr_engine.store.tables.upgrades import (
    arrivals,
    attempts,
    decisions,
    departures,
    exclusions,
    kept_changes,
    schedule_hubs,
    scheduled_hubs,
    schedules,
)

__all__ = [
    "BY_KEY",
    "EUI",
    "ORGANISATION",
    "UtcDateTime",
    "alerted_hubs",
    "anomaly_counts",
    "anomaly_thresholds",
    "api_tokens",
    "archives",
    "arrivals",
    "attempts",
    "audit",
    "audit_chains",
    "audit_checkpoints",
    "audit_links",
    "changed_hubs",
    "console_accounts",
    "console_proposals",
    "console_recovery_codes",
    "console_sessions",
    "console_tries",
    "counters",
    "cpl_entries",
    "decisions",
    "delivery_circuits",
    "departures",
    "devices",
    "due_hubs",
    "due_registrations",
    "exchanges",
    "exclusions",
    "firmware_alerted",
    "firmware_deliveries",
    "firmware_image_messages",
    "firmware_images",
    "firmware_lists",
    "firmware_requests",
    "firmware_tidings",
    "held_requests",
    "kept_changes",
    "leases",
    "list_runs",
    "list_withdrawals",
    "listed_hubs",
    "metadata",
    "off_lists",
    "outbox",
    "outbox_forms",
    "owed_hubs",
    "pilot_shares",
    "read_versions",
    "registrations",
    "release_han_models",
    "release_paths",
    "release_regions",
    "release_terms",
    "releases",
    "retention_marks",
    "schedule_hubs",
    "scheduled_hubs",
    "schedules",
    "schema_support",
    "settled_registrations",
    "sla_breaches",
    "supplier_hubs",
    "tidings",
    "trigger_runs",
    "upgrade_lists",
    "webhooks",
]
