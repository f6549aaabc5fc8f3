"""Loads the configuration as a whole and checks its files against each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from sr_engine.configuration.alerts import ALERTS, AlertDefinition, AlertEvent
from sr_engine.configuration.catalogue import CATALOGUE, Catalogue
from sr_engine.configuration.lifecycle import LIFECYCLE, Lifecycle
from sr_engine.configuration.policy import POLICY, Policy
from sr_engine.configuration.reader import ConfigurationError, Place, read_file
from sr_engine.configuration.regions import REGIONS, Region
from sr_engine.configuration.response_codes import RESPONSE_CODES, ResponseCode


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything that is data rather than code, checked."""

    regions: Mapping[str, Region]
    """By CSPRegion; only those whose hubs can be upgraded."""
    not_upgradable_regions: frozenset[str]
    catalogue: Catalogue
    response_codes: Mapping[str, ResponseCode]
    alerts: Mapping[AlertEvent, AlertDefinition]
    """Complete: every AlertEvent is in it."""
    lifecycle: Lifecycle
    policy: Policy

    def expressed(self, code: str, version: Decimal) -> str:
        """The ResponseCode that answers a request of a DUIS version where `code` would be the answer."""
        known = self.response_codes.get(code)
        if known is None or known.since is None or known.before is None or version >= known.since:
            return code
        return known.before


def load(directory: Path) -> Configuration:
    """Read the six configuration files of a folder.

    Raises ConfigurationError naming every problem in all of them.
    """
    problems: list[str] = []
    regions = read_file(directory / "regions.toml", REGIONS, problems)
    catalogue = read_file(directory / "service_requests.toml", CATALOGUE, problems)
    codes = read_file(directory / "response_codes.toml", RESPONSE_CODES, problems)
    alerts = read_file(directory / "alerts.toml", ALERTS, problems)
    lifecycle = read_file(directory / "lifecycle.toml", LIFECYCLE, problems)
    policy = read_file(directory / "policy.toml", POLICY, problems)
    if codes is not None and catalogue is not None:
        _check_codes(codes.response_code, catalogue, Place("response_codes.toml", problems).inside("response_code"))
    if (
        problems
        or regions is None
        or catalogue is None
        or codes is None
        or alerts is None
        or lifecycle is None
        or policy is None
    ):
        raise ConfigurationError(tuple(problems))
    return Configuration(
        regions=regions.region,
        not_upgradable_regions=regions.not_upgradable,
        catalogue=catalogue,
        response_codes=codes.response_code,
        alerts=alerts.alert,
        lifecycle=lifecycle,
        policy=policy,
    )


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
