"""The synthetic country: which homes there are, who supplies them, and who moves; the same for the same seed."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate
from random import Random

from sr_engine.messages.model import Firmware
from sr_engine.national.parameters import Parameters
from sr_engine.store.tables import devices

FIRMWARE = Firmware("2B7E", "C1A20001", "9002")
OLD_VERSION = "9001"
IMAGE_HASH = "5EC0" * 16
MOST_HUBS = 15_000_000
"""As many as the numbers of a documentation EUI tell apart, rounded down."""

EXCLUDED, ELECTRICITY_DECLINES, GAS_DECLINES, SILENT = 1, 2, 4, 8
"""What Suppliers think of a home, as bits: first its electricity Supplier's two, then its gas Supplier's."""
NO_GAS = 255
PILOT = 0
"""The wave of pilot hubs."""

_CHF, _GPF, _ESME, _GSME = 0xC0, 0xD0, 0xE0, 0xF0
_REGISTERED_BEFORE = timedelta(days=400)
_YEAR_DAYS = 365


@dataclass(frozen=True, slots=True)
class Move:
    """A home changes Supplier, at the first moment of a UTC day, counted from the day of the opening."""

    day: int
    number: int
    electricity: bool
    gas: bool
    supplier: int


@dataclass(slots=True)
class Country:
    """All homes, by number from 0; one hub each. Suppliers and regions are numbers of their lists."""

    suppliers: Sequence[str]
    regions: Sequence[str]
    region: bytearray = field(repr=False)
    electricity: bytearray = field(repr=False)
    gas: bytearray = field(repr=False)
    """NO_GAS for a home without."""
    attitude: bytearray = field(repr=False)
    wave: bytearray = field(repr=False)
    """Of its electricity Supplier: PILOT, or its General wave from 1 on."""
    moves: Sequence[Move] = field(repr=False)
    """By day."""

    def __len__(self) -> int:
        return len(self.region)

    def is_split(self, number: int) -> bool:
        """Whether two Suppliers have to agree."""
        return self.gas[number] not in (NO_GAS, self.electricity[number])

    def is_agreed(self, number: int) -> bool:
        """Whether everybody concerned wants the upgrade and says so."""
        attitude = self.attitude[number]
        if attitude & (EXCLUDED | ELECTRICITY_DECLINES):
            return False
        return not (self.is_split(number) and attitude & (GAS_DECLINES | SILENT))

    def move(self, move: Move) -> None:
        """Let a home change Supplier."""
        if move.electricity:
            self.electricity[move.number] = move.supplier
        if move.gas:
            self.gas[move.number] = move.supplier


def make_country(parameters: Parameters, hubs: int, seed: int) -> Country:
    """Draw a country; raises ValueError for a number of hubs that has no ids."""
    if not 1 <= hubs <= MOST_HUBS:
        raise ValueError(f"a country has 1 to {MOST_HUBS:,} hubs, not {hubs:,}")
    draw = Random(f"{seed} country").random  # noqa: S311 - chance here is of no use to anybody
    assumed, campaign = parameters.country, parameters.campaign
    regions = list(assumed.region_percent)
    region_of = _wheel(list(assumed.region_percent.values()))
    supplier_of = _wheel([one.market_percent for one in parameters.suppliers])
    waves = [one.waves for one in parameters.suppliers]
    country = Country(
        [one.name for one in parameters.suppliers],
        regions,
        region=bytearray(hubs),
        electricity=bytearray(hubs),
        gas=bytearray(hubs),
        attitude=bytearray(hubs),
        wave=bytearray(hubs),
        moves=(),
    )
    for number in range(hubs):
        electricity = supplier_of(draw())
        country.region[number] = region_of(draw())
        country.electricity[number] = electricity
        gas = NO_GAS
        if draw() * 100 < assumed.gas:
            gas = supplier_of(draw()) if draw() * 100 < assumed.split else electricity
        country.gas[number] = gas
        country.attitude[number] = (
            (EXCLUDED if draw() * 100 < assumed.excluded else 0)
            | (ELECTRICITY_DECLINES if draw() * 100 < assumed.declined else 0)
            | (GAS_DECLINES if draw() * 100 < assumed.declined else 0)
            | (SILENT if draw() * 100 < assumed.silent else 0)
        )
        chosen = draw()
        in_pilot = draw() * 100 < campaign.pilot
        country.wave[number] = PILOT if in_pilot else 1 + int(chosen * waves[electricity])
    country.moves = _moves(parameters, country, seed)
    return country


def hubs_to_upgrade(country: Country, *, compulsory: bool) -> int:
    """Hubs that are upgraded if all goes well: those that everybody wants to be, or all that nobody keeps out."""
    if compulsory:
        return sum(1 for attitude in country.attitude if not attitude & EXCLUDED)
    return sum(map(country.is_agreed, range(len(country))))


def _wheel(percentages: Sequence[float]) -> Wheel:
    return Wheel(list(accumulate(percentages)))


@dataclass(frozen=True, slots=True)
class Wheel:
    """Turns a number from 0 to below 1 into one of several, by their shares."""

    bounds: Sequence[float]

    def __call__(self, drawn: float) -> int:
        return min(bisect(self.bounds, drawn * self.bounds[-1]), len(self.bounds) - 1)


def _moves(parameters: Parameters, country: Country, seed: int) -> list[Move]:
    """Each home moves once at most: a second move in a campaign is rare and would say nothing new."""
    draw = Random(f"{seed} moves").random  # noqa: S311 - see above
    days = parameters.campaign.longest_days
    chance = parameters.country.moves_a_year / 100 * days / _YEAR_DAYS
    first = parameters.country.moves_known.days + 1
    supplier_of = _wheel([one.market_percent for one in parameters.suppliers])
    found: list[Move] = []
    if len(country.suppliers) < 2:
        return found
    for number in range(len(country)):
        if draw() >= chance:
            continue
        day = first + int(draw() * max(days - first, 1))
        electricity, gas = country.electricity[number], country.gas[number]
        of_gas = country.is_split(number) and draw() < 0.5
        to = supplier_of(draw())
        leaving = gas if of_gas else electricity
        if to == leaving:
            to = (to + 1) % len(country.suppliers)
        found.append(Move(day, number, not of_gas, of_gas or gas == electricity, to))
    return sorted(found, key=lambda move: (move.day, move.number))


def chf(number: int) -> str:
    """The Device ID of a home's hub, from the range set aside for documentation."""
    return _eui(_CHF, number)


def number_of(device_id: str) -> int:
    """The number of the home that a device is in."""
    return int(device_id[-8:].replace("-", ""), 16)


def device_rows(country: Country, numbers: Sequence[int]) -> Iterator[dict[str, object]]:
    """Rows of the inventory: hub, GPF and meters of homes."""
    empty: dict[str, object] = dict.fromkeys(column.name for column in devices.columns)
    commissioned = empty | {"device_status": "Commissioned", "cpl_status": "Active"}
    hub = commissioned | {
        "manufacturer": FIRMWARE.manufacturer,
        "model": FIRMWARE.model,
        "firmware_version": OLD_VERSION,
        "firmware_version_status": "Active",
        "smets_chts_version": "CHTS V1.4",
    }
    esme = commissioned | {"manufacturer": "1A2B", "device_type": "ESME", "model": "00000001", "esme_variant": "A"}
    gsme = commissioned | {"manufacturer": "1A2B", "device_type": "GSME", "model": "00000002"}
    for number in numbers:
        here = {"hub_id": chf(number), "csp_region": country.regions[country.region[number]]}
        yield hub | here | {"device_id": here["hub_id"], "device_type": "CHF"}
        yield hub | here | {"device_id": _eui(_GPF, number), "device_type": "GPF"}
        yield esme | here | {"device_id": _eui(_ESME, number), "import_mpxn": _mpan(number)}
        if country.gas[number] != NO_GAS:
            yield gsme | here | {"device_id": _eui(_GSME, number), "import_mpxn": _mprn(number)}


def registration_rows(country: Country, numbers: Sequence[int], opened_at: datetime) -> Iterator[dict[str, object]]:
    """Who supplies homes, since long before the opening."""
    since = opened_at - _REGISTERED_BEFORE
    for number in numbers:
        yield _registration(_mpan(number), "IS", since, country.suppliers[country.electricity[number]])
        if country.gas[number] != NO_GAS:
            yield _registration(_mprn(number), "GS", since, country.suppliers[country.gas[number]])


def move_rows(country: Country, move: Move, effective_from: datetime) -> Iterator[dict[str, object]]:
    """What the registration feed says of a move."""
    gainer = country.suppliers[move.supplier]
    if move.electricity:
        yield _registration(_mpan(move.number), "IS", effective_from, gainer)
    if move.gas:
        yield _registration(_mprn(move.number), "GS", effective_from, gainer)


def _registration(mpxn: str, role: str, effective_from: datetime, organisation: str) -> dict[str, object]:
    return {"mpxn": mpxn, "role": role, "effective_from": effective_from, "organisation": organisation}


def _mpan(number: int) -> str:
    return str(1_000_000_000_000 + number)


def _mprn(number: int) -> str:
    return str(2_000_000_000 + number)


def _eui(kind: int, number: int) -> str:
    octets = bytes.fromhex("00005EEF") + bytes([kind]) + number.to_bytes(3)
    return octets.hex("-").upper()
