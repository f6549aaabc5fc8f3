"""The parameters of a national simulation, read from `config/national.toml` or a file like it, and checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from sr_engine.configuration import ConfigurationError, values
from sr_engine.configuration.duis import CSP_REGIONS
from sr_engine.configuration.reader import Array, Key, Place, Scalar, Table, Unusable, read_file
from sr_engine.resources import data_directory

FILE = "national.toml"
_MOST_SUPPLIERS = 250


@dataclass(frozen=True, slots=True)
class CountryParameters:
    """What homes there are; shares are in per cent of homes unless said otherwise."""

    gas: float
    split: float
    """Of homes with gas."""
    excluded: float
    declined: float
    silent: float
    """Of split homes."""
    moves_a_year: float
    moves_known: timedelta
    region_percent: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class SupplierParameters:
    """A Supplier: its size and its habits."""

    name: str
    """As reports call it."""
    market_percent: float
    """Its share of electricity and of gas; all together 100."""
    schedules_after_days: int
    waves: int


@dataclass(frozen=True, slots=True)
class CampaignParameters:
    """How the release is played; days are counted from its opening."""

    starts_at: datetime
    capacity_for_hubs: int
    hubs_per_request: int
    pilot: float
    pilot_from_days: int
    pilot_days: int
    soak: timedelta
    first_wave_days: int
    wave_days: int
    retry_after_days: int
    attempts: int
    failure_percent: int
    minimum_sample: int
    resumes_after_days: int
    verify_one_alert_in: int
    longest_days: int


@dataclass(frozen=True, slots=True)
class TermsParameters:
    """What is announced under Mandatory and DCCManaged."""

    comply_by_days: int
    """From the opening to ComplyBy."""


@dataclass(frozen=True, slots=True)
class CspParameters:
    """How CSPs carry lists out; shares are in per cent."""

    refuse: float
    """Hubs that a CSP refuses when it gets the list."""
    fail: float
    """Hubs whose upgrade fails."""
    lose: float
    """Hubs whose outcome is never reported."""
    late: float
    """Hubs whose outcome is reported late."""
    late_by: timedelta
    """How late."""
    out_of_order: float
    """Hubs reported Activated before Delivered."""
    duplicate: float
    """Reports that are sent twice."""
    delay_minutes: int
    report_size: int


@dataclass(frozen=True, slots=True)
class Channel:
    """A way for Suppliers and the DCC to work together: how fast it is and what it costs."""

    name: str
    hubs_per_item: int
    items_per_day: int
    days_to_plan: int
    days_to_match: int
    unmatched: float
    wrong: float
    days_to_hear: int
    messages_per_item: int
    messages_per_hub: int
    messages_per_split_hub: int
    summary_every_days: int
    supplier_minutes: float
    dcc_minutes: float
    exception_minutes: float
    message_cost: float
    set_up_cost: float


@dataclass(frozen=True, slots=True)
class Channels:
    """The three ways that are compared."""

    service_requests: Channel
    portal: Channel
    spreadsheets: Channel


@dataclass(frozen=True, slots=True)
class CostParameters:
    """Prices that are the same in every way of working, in pounds."""

    hour: float


@dataclass(frozen=True, slots=True)
class Parameters:
    """Everything that a simulation assumes."""

    country: CountryParameters
    suppliers: Sequence[SupplierParameters]
    campaign: CampaignParameters
    terms: TermsParameters
    csp: CspParameters
    channels: Channels
    costs: CostParameters
    text: str = ""
    """The file, for the report."""


def load(path: Path | None = None) -> Parameters:
    """Read a file of parameters, that of the product unless another is named.

    Raises ConfigurationError naming every problem with its file and key.
    """
    path = path or data_directory("config") / FILE
    problems: list[str] = []
    found = read_file(path, PARAMETERS, problems)
    if found is None:
        raise ConfigurationError(tuple(problems))
    return Parameters(
        found.country,
        found.suppliers,
        found.campaign,
        found.terms,
        found.csp,
        found.channels,
        found.costs,
        path.read_text(encoding="utf-8"),
    )


def _number(wants: str, minimum: float, maximum: float) -> Scalar[float]:
    def convert(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise TypeError
        if not Decimal(value).is_finite() or not minimum <= value <= maximum:
            raise ValueError
        return float(value)

    return Scalar(wants, convert)


def _percent() -> Scalar[float]:
    return _number("a percentage from 0 to 100", 0, 100)


def _amount(unit: str) -> Scalar[float]:
    return _number(f"a number of {unit} from 0 to 1000000000", 0, 1_000_000_000)


class _RegionShares:
    """Percentages by region, 100 together."""

    wants = "a table of regions and their percentages, 100 together"

    def read(self, value: object, place: Place) -> Mapping[str, float]:
        if not isinstance(value, dict) or not value:
            place.refuse(f"must be {self.wants}")
        shares: dict[str, float] = {}
        usable = True
        for name, share in value.items():
            if name not in CSP_REGIONS:
                place.inside(name).report(f"is no CSPRegion; there are {', '.join(CSP_REGIONS)}")
                usable = False
                continue
            try:
                shares[name] = _percent().read(share, place.inside(name))
            except Unusable:
                usable = False
        if not usable:
            raise Unusable
        _check_hundred(shares.values(), place)
        return shares


def _check_hundred(shares: Iterable[float], place: Place) -> None:
    total = sum(shares)
    if abs(total - 100) > 1e-6:
        place.report(f"must be 100 together, not {total:g}")


def _check_campaign(campaign: CampaignParameters, place: Place) -> None:
    if campaign.first_wave_days < campaign.pilot_from_days:
        place.inside("first_wave_days").report("must not be before pilot_from_days")


def _check_parameters(parameters: Parameters, place: Place) -> None:
    if parameters.campaign.longest_days <= parameters.terms.comply_by_days:
        place.inside("campaign").inside("longest_days").report(
            f"must be more than terms.comply_by_days, which is {parameters.terms.comply_by_days}"
        )
    here = place.inside("supplier")
    if len(parameters.suppliers) > _MOST_SUPPLIERS:
        here.report(f"must be {_MOST_SUPPLIERS} at most, not {len(parameters.suppliers)}")
    _check_hundred([one.market_percent for one in parameters.suppliers], here)
    names: set[str] = set()
    for number, one in enumerate(parameters.suppliers, 1):
        if one.name in names:
            here.item(number).inside("name").report(f"{one.name} stands in the list already")
        names.add(one.name)


_DAYS = values.whole_number(0, 365)
_CHANNEL_KEYS = (
    Key("hubs_per_item", values.whole_number(1, 1_000_000)),
    Key("items_per_day", values.whole_number(1, 1_000_000)),
    Key("days_to_plan", _DAYS),
    Key("days_to_match", _DAYS),
    Key("unmatched_percent", _percent(), field="unmatched"),
    Key("wrong_percent", _percent(), field="wrong"),
    Key("days_to_hear", _DAYS),
    Key("messages_per_item", values.whole_number(0, 1_000)),
    Key("messages_per_hub", values.whole_number(0, 1_000)),
    Key("messages_per_split_hub", values.whole_number(0, 1_000)),
    Key("summary_every_days", _DAYS),
    Key("supplier_minutes", _amount("minutes")),
    Key("dcc_minutes", _amount("minutes")),
    Key("exception_minutes", _amount("minutes")),
    Key("message_cost", _amount("pounds")),
    Key("set_up_cost", _amount("pounds")),
)


class _ChannelReader:
    """A channel, which knows its own name."""

    wants = "a table"

    def __init__(self, name: str) -> None:
        self._name = name
        self.table = Table(Channel, *_CHANNEL_KEYS)

    def read(self, value: object, place: Place) -> Channel:
        return self.table.read(value, place, name=self._name)


_COUNTRY = Table(
    CountryParameters,
    Key("gas_percent", _percent(), field="gas"),
    Key("split_percent", _percent(), field="split"),
    Key("excluded_percent", _percent(), field="excluded"),
    Key("declined_percent", _percent(), field="declined"),
    Key("silent_percent", _percent(), field="silent"),
    Key("moves_percent_a_year", _percent(), field="moves_a_year"),
    Key("moves_known_days", values.days(0, 90), field="moves_known"),
    Key("region_percent", _RegionShares()),
)
_SUPPLIER = Table(
    SupplierParameters,
    Key("name", values.pattern("letters, digits and hyphens, as in supplier-1", r"[A-Za-z0-9][A-Za-z0-9-]{0,40}")),
    Key("market_percent", _percent()),
    Key("schedules_after_days", values.whole_number(2, 365)),
    Key("waves", values.whole_number(1, 20)),
)
_CAMPAIGN = Table(
    CampaignParameters,
    Key("starts_at", values.moment()),
    Key("capacity_for_hubs", values.whole_number(1)),
    Key("hubs_per_request", values.whole_number(1, 50_000)),
    Key("pilot_percent", _percent(), field="pilot"),
    Key("pilot_from_days", values.whole_number(0, 365)),
    Key("pilot_days", values.whole_number(1, 365)),
    Key("soak_hours", values.hours(0, 8760), field="soak"),
    Key("first_wave_days", values.whole_number(0, 365)),
    Key("wave_days", values.whole_number(1, 365)),
    Key("retry_after_days", values.whole_number(1, 365)),
    Key("attempts", values.whole_number(1, 10)),
    Key("failure_percent", values.whole_number(0, 100)),
    Key("minimum_sample", values.whole_number(1)),
    Key("resumes_after_days", values.whole_number(1, 365)),
    Key("verify_one_alert_in", values.whole_number(1)),
    Key("longest_days", values.whole_number(1, 1000)),
    check=_check_campaign,
)
_CSP = Table(
    CspParameters,
    Key("refuse_percent", _percent(), field="refuse"),
    Key("fail_percent", _percent(), field="fail"),
    Key("lose_percent", _percent(), field="lose"),
    Key("late_percent", _percent(), field="late"),
    Key("late_by_hours", values.hours(0, 8760), field="late_by"),
    Key("out_of_order_percent", _percent(), field="out_of_order"),
    Key("duplicate_percent", _percent(), field="duplicate"),
    Key("delay_minutes", values.whole_number(0, 1440)),
    Key("report_size", values.whole_number(1, 50_000)),
)
PARAMETERS = Table(
    Parameters,
    Key("country", _COUNTRY),
    Key("supplier", Array(_SUPPLIER, may_be_empty=False), field="suppliers"),
    Key("campaign", _CAMPAIGN),
    Key("terms", Table(TermsParameters, Key("comply_by_days", values.whole_number(1, 1000)))),
    Key("csp", _CSP),
    Key(
        "channel",
        Table(Channels, *(Key(name, _ChannelReader(name)) for name in ("service_requests", "portal", "spreadsheets"))),
        field="channels",
    ),
    Key("costs", Table(CostParameters, Key("hour", _amount("pounds")))),
    check=_check_parameters,
)
