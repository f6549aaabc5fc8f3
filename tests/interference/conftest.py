"""Worlds for the comparison, and the ways in which they are made to differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from sr_engine.instance import SAMPLE_SUPPLIERS, SupplierSeed
from tests.interference.variations import Cause, Ending, Future, Past, Traffic, Variation
from tests.interference.worlds import Worlds


def _supplier(name: str, octets: str, url: str) -> SupplierSeed:
    return SupplierSeed(name, f"00-00-5E-EF-10-00-{octets}", url)


_NEXT = _supplier("supplier-c", "00-A6", "http://127.0.0.1:8093/smartdcc/duis")
BASE = Variation(SAMPLE_SUPPLIERS[1], _NEXT)
# Names, EUIs and addresses that come before and after THIS Supplier's in every order.
FIRST = _supplier("aa-energy", "00-12", "http://127.0.0.1:9001/first")
LAST = _supplier("zz-a-very-long-name-for-a-small-supplier", "FE-30", "http://127.0.0.1:9002/last")

SINGLE = {
    "who": replace(BASE, other=FIRST, next=LAST),
    "users": replace(BASE, two_users=True),
    "version": replace(BASE, duis_version="5.1"),
    "counters": replace(BASE, first_counter=2**63),
    "portfolio": replace(BASE, portfolio=7),
    "message sizes": replace(BASE, portfolio=6, longer_lists=6),
    "traffic before": replace(BASE, portfolio=4, traffic=Traffic.BEFORE),
    "traffic after": replace(BASE, portfolio=4, traffic=Traffic.AFTER),
}
"""One thing at a time."""

ALL = {
    "all, first": Variation(FIRST, LAST, True, "5.0", 7, 9, 5, Traffic.BEFORE),
    "all, last": Variation(LAST, FIRST, False, "5.2", 2**64 - 10_000, 5, 3, Traffic.AFTER),
}
"""Everything at once, in two ways."""

CAUSES = {f"{cause}": replace(ALL["all, first"], cause=cause) for cause in Cause}
ENDINGS = {f"{ending}": replace(ALL["all, last"], ending=ending) for ending in Ending}
PASTS = {f"{past}": replace(ALL["all, first"], past=past) for past in Past}
FUTURES = {f"{future}": replace(ALL["all, last"], future=future) for future in Future}


@pytest.fixture(scope="session")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    worlds = Worlds(tmp_path_factory.mktemp("interference"))
    yield worlds
    worlds.close()
