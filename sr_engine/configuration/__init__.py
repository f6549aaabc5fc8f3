"""Configuration: regions, Service Requests, response codes, alerts, policy, Users and settings, checked at start-up."""

from sr_engine.configuration.alerts import AlertDefinition, AlertEvent, AlertSource
from sr_engine.configuration.api import Api, Webhooks
from sr_engine.configuration.catalogue import Catalogue, CatalogueSource, FutureDating, ServiceReferenceVariant
from sr_engine.configuration.duis import AlertBodyElement, UserRole
from sr_engine.configuration.lifecycle import AttemptEvent, AttemptState, Lifecycle
from sr_engine.configuration.loading import Configuration, load
from sr_engine.configuration.monitoring import LogFormat, Metrics, Monitoring
from sr_engine.configuration.policy import (
    Bound,
    CertificateRoles,
    ChangeOfSupplier,
    Compulsion,
    Connections,
    Delivery,
    Horizon,
    Leases,
    Limits,
    Overload,
    Phases,
    Policy,
    Retention,
    SchemaVersions,
    Triggers,
    Trust,
)
from sr_engine.configuration.reader import ConfigurationError
from sr_engine.configuration.regions import Region
from sr_engine.configuration.response_codes import ResponseCode, ResponseCodeSource
from sr_engine.configuration.settings import (
    ApiSettings,
    ClockSettings,
    Listen,
    RegistrationFeed,
    RelaySettings,
    Settings,
    Signing,
    load_settings,
)
from sr_engine.configuration.spreadsheets import (
    SheetColumn,
    SheetDecision,
    SheetLimits,
    Spreadsheets,
    YesNo,
    load_spreadsheets,
)
from sr_engine.configuration.transport import Demand, Network, Outgoing, OutgoingTls, ProxySettings, TlsSettings
from sr_engine.configuration.users import Organisation, Status, User, UserDirectory, load_users

__all__ = [
    "AlertBodyElement",
    "AlertDefinition",
    "AlertEvent",
    "AlertSource",
    "Api",
    "ApiSettings",
    "AttemptEvent",
    "AttemptState",
    "Bound",
    "Catalogue",
    "CatalogueSource",
    "CertificateRoles",
    "ChangeOfSupplier",
    "ClockSettings",
    "Compulsion",
    "Configuration",
    "ConfigurationError",
    "Connections",
    "Delivery",
    "Demand",
    "FutureDating",
    "Horizon",
    "Leases",
    "Lifecycle",
    "Limits",
    "Listen",
    "LogFormat",
    "Metrics",
    "Monitoring",
    "Network",
    "Organisation",
    "Outgoing",
    "OutgoingTls",
    "Overload",
    "Phases",
    "Policy",
    "ProxySettings",
    "Region",
    "RegistrationFeed",
    "RelaySettings",
    "ResponseCode",
    "ResponseCodeSource",
    "Retention",
    "SchemaVersions",
    "ServiceReferenceVariant",
    "Settings",
    "SheetColumn",
    "SheetDecision",
    "SheetLimits",
    "Signing",
    "Spreadsheets",
    "Status",
    "TlsSettings",
    "Triggers",
    "Trust",
    "User",
    "UserDirectory",
    "UserRole",
    "Webhooks",
    "YesNo",
    "load",
    "load_settings",
    "load_spreadsheets",
    "load_users",
]
