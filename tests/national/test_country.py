"""The synthetic country: the same for a seed, in the proportions asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sr_engine.national.country import (
    EXCLUDED,
    NO_GAS,
    chf,
    device_rows,
    make_country,
    number_of,
    registration_rows,
)
from sr_engine.national.parameters import Parameters
from sr_engine.national.setting_up import scaled


def test_the_same_seed_gives_the_same_country_and_another_seed_another(parameters: Parameters) -> None:
    first, second, other = (make_country(parameters, 500, seed) for seed in (7, 7, 8))
    assert first == second
    assert first.electricity != other.electricity


def test_homes_come_in_the_proportions_asked_for(parameters: Parameters) -> None:
    country = make_country(parameters, 20_000, 1)
    with_gas = [number for number in range(20_000) if country.gas[number] != NO_GAS]
    assert len(with_gas) / 20_000 == pytest.approx(0.83, abs=0.02)
    # Of those drawn to be split some get the same Supplier twice: 1 - (0.6² + 0.3² + 0.1²) do not.
    assert sum(map(country.is_split, with_gas)) / len(with_gas) == pytest.approx(0.4 * 0.54, abs=0.02)
    assert sum(1 for one in country.attitude if one & EXCLUDED) / 20_000 == pytest.approx(0.04, abs=0.01)
    assert country.region.count(0) / 20_000 == pytest.approx(0.6, abs=0.02)
    assert country.electricity.count(2) / 20_000 == pytest.approx(0.1, abs=0.02)
    assert len(country.moves) / 20_000 == pytest.approx(0.6 * 120 / 365, abs=0.02)


def test_nobody_moves_to_the_supplier_it_leaves_and_nothing_moves_before_it_can_be_known(
    parameters: Parameters,
) -> None:
    country = make_country(parameters, 2_000, 1)
    for move in country.moves:
        leaving = country.electricity[move.number] if move.electricity else country.gas[move.number]
        assert move.supplier != leaving
        assert parameters.country.moves_known.days < move.day <= parameters.campaign.longest_days


def test_every_home_has_its_devices_and_a_registration_for_each_meter(parameters: Parameters) -> None:
    country = make_country(parameters, 50, 1)
    devices = list(device_rows(country, range(50)))
    homes_with_gas = 50 - country.gas.count(NO_GAS)
    assert len(devices) == 150 + homes_with_gas
    assert len({row["device_id"] for row in devices}) == len(devices)
    registered = list(registration_rows(country, range(50), parameters.campaign.starts_at))
    assert {row["mpxn"] for row in registered} == {row["import_mpxn"] for row in devices if row["import_mpxn"]}
    assert [number_of(chf(number)) for number in (0, 255, 70_000)] == [0, 255, 70_000]


def test_a_country_of_one_supplier_has_no_split_homes_and_no_moves(parameters: Parameters) -> None:
    alone = replace(parameters, suppliers=[replace(parameters.suppliers[0], market_percent=100.0)])
    country = make_country(alone, 300, 1)
    assert not any(map(country.is_split, range(300)))
    assert country.moves == []


def test_a_smaller_country_has_its_share_of_a_night_rounded_up() -> None:
    assert [scaled(6000, share) for share in (1.0, 0.5, 0.0003, 0.00001)] == [6000, 3000, 2, 1]
