"""Loads the configuration as a whole and checks its files against each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType

from sr_engine.configuration.advice import read_refusals
from sr_engine.configuration.alerts import ALERTS, AlertDefinition, AlertEvent
from sr_engine.configuration.api import API, Api
from sr_engine.configuration.bank_holidays import BANK_HOLIDAYS, BankHolidays, with_holidays
from sr_engine.configuration.catalogue import CATALOGUE, Catalogue
from sr_engine.configuration.lifecycle import LIFECYCLE, Lifecycle
from sr_engine.configuration.policy import POLICY, Policy
from sr_engine.configuration.reader import ConfigurationError, Place, read_file
from sr_engine.configuration.regions import REGIONS, Region
from sr_engine.configuration.response_codes import RESPONSE_CODES, ResponseCode
from sr_engine.configuration.shipped import own_or_shipped
from sr_engine.configuration.spreadsheets import SPREADSHEETS, Spreadsheets, advised


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything that is data rather than code, checked."""

    regions: Mapping[str, Region]
    """By CSPRegion; only those whose hubs can be upgraded."""
    not_upgradable_regions: frozenset[str]
    holidays_complete_until: date
    """The last date up to which the calendars of the regions know every bank holiday."""
    catalogue: Catalogue
    response_codes: Mapping[str, ResponseCode]
    alerts: Mapping[AlertEvent, AlertDefinition]
    """Complete: every AlertEvent is in it."""
    lifecycle: Lifecycle
    policy: Policy
    spreadsheets: Spreadsheets
    api: Api

    def expressed(self, code: str, version: Decimal) -> str:
        """The ResponseCode that answers a request of a DUIS version where `code` would be the answer."""
        known = self.response_codes.get(code)
        if known is None or known.since is None or known.before is None or version >= known.since:
            return code
        return known.before


def load(directory: Path) -> Configuration:
    """Read the configuration files of a folder; for a face that it says nothing of, the product's own.

    Raises ConfigurationError naming every problem in all of them.
    """
    problems: list[str] = []
    regions = read_file(directory / "regions.toml", REGIONS, problems)
    holidays = read_file(directory / "bank_holidays.toml", BANK_HOLIDAYS, problems)
    catalogue = read_file(directory / "service_requests.toml", CATALOGUE, problems)
    codes = read_file(directory / "response_codes.toml", RESPONSE_CODES, problems)
    alerts = read_file(directory / "alerts.toml", ALERTS, problems)
    lifecycle = read_file(directory / "lifecycle.toml", LIFECYCLE, problems)
    policy = read_file(directory / "policy.toml", POLICY, problems)
    spreadsheets = read_file(own_or_shipped(directory, "spreadsheets.toml"), SPREADSHEETS, problems)
    advice = read_refusals(directory, problems)
    api = read_file(own_or_shipped(directory, "api.toml"), API, problems)
    by_name: dict[str, Region] = {}
    if regions is not None and holidays is not None:
        by_name = _with_holidays(regions.region, holidays, Place("regions.toml", problems).inside("region"))
    if codes is not None and catalogue is not None:
        _check_codes(codes.response_code, catalogue, Place("response_codes.toml", problems).inside("response_code"))
    if (
        problems
        or regions is None
        or holidays is None
        or catalogue is None
        or codes is None
        or alerts is None
        or lifecycle is None
        or policy is None
        or spreadsheets is None
        or advice is None
        or api is None
    ):
        raise ConfigurationError(tuple(problems))
    return Configuration(
        regions=MappingProxyType(by_name),
        not_upgradable_regions=regions.not_upgradable,
        holidays_complete_until=holidays.complete_until,
        catalogue=catalogue,
        response_codes=codes.response_code,
        alerts=alerts.alert,
        lifecycle=lifecycle,
        policy=policy,
        spreadsheets=advised(spreadsheets, advice),
        api=api,
    )


def _with_holidays(regions: Mapping[str, Region], holidays: BankHolidays, place: Place) -> dict[str, Region]:
    return {name: with_holidays(region, holidays, place.inside(name)) for name, region in regions.items()}


def _check_codes(codes: Mapping[str, ResponseCode], catalogue: Catalogue, place: Place) -> None:
    for code in codes.values():
        for variant in sorted(code.sr):
            if catalogue.by_variant(variant) is None:
                place.inside(code.code).inside("sr").report(f"{variant} is not in service_requests.toml")
        before = place.inside(code.code).inside("before")
        if code.since is not None and code.before is None:
            before.report("must say which code older versions are answered, since `since` is there")
        elif code.before is not None and (code.before not in codes or codes[code.before].since is not None):
            before.report(f"{code.before} must be a code of this file that every version has")
