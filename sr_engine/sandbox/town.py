"""What there is in a sandbox that was told nothing else: two Suppliers, 5,000 hubs in six regions, an open release."""

from __future__ import annotations

from sr_engine.configuration import ConfigurationError
from sr_engine.configuration.reader import Place, Unusable
from sr_engine.instance import SAMPLE_SUPPLIERS
from sr_engine.replay.given import Given, read_given
from sr_engine.replay.homes import MODEL

VERSION = "9002"
_SHARES = {"Central": 1_400, "North": 1_000, "South": 1_100, "4G North": 400, "4G Central": 600, "4G South": 500}
"""Hubs of each region."""
_A, _B = (one.name for one in SAMPLE_SUPPLIERS)
_SPLIT = ((_A, _A, 0.5), (_A, _B, 0.25), (_B, _B, 0.25))
"""Electricity and gas, and of how many homes."""


def town() -> Given:
    """The homes of a region by the name of the region and the letters of its Suppliers: `North AB 17`."""
    hubs = {}
    for region, number in _SHARES.items():
        for electricity, gas, share in _SPLIT:
            name = f"{region} {electricity[-1]}{gas[-1]}".upper().replace(region.upper(), region)
            hubs[name] = {
                "homes": round(number * share),
                "region": region,
                "electricity": electricity,
                "gas": gas,
            }
    content = {
        "supplier": {one.name: {"roles": ["IS", "GS"], "eui": one.eui} for one in SAMPLE_SUPPLIERS},
        "hub": hubs,
        "release": {VERSION: {}},
    }
    problems: list[str] = []
    try:
        return read_given(content, Place("the sandbox", problems), key="sandbox")
    except Unusable:
        raise ConfigurationError(tuple(problems)) from None


def firmware_in_words() -> str:
    """The firmware that is open, as people name it."""
    return f"{MODEL} {VERSION}"
