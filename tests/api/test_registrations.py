"""Registrations and changes of Supplier that come in by the interface."""

from __future__ import annotations

import pytest

from sr_engine.store.api_tokens import Scope
from tests.api.conftest import SOLE, ApiWorld, C
from tests.world import A

FEED = frozenset({Scope.REGISTRATIONS})


def moved(api: ApiWorld, **other: object) -> list[dict[str, object]]:
    now = api.world.clock.now().isoformat()
    return [
        {"mpxn": mpxn, "role": role, "organisation": C.name, "effective_from": now, **other}
        for mpxn, role in ((SOLE.mpan, "IS"), (SOLE.mprn, "GS"))
    ]


def test_a_change_of_supplier_is_carried_out_once_it_is_taken(api: ApiWorld) -> None:
    api.suppliers.schedule(A, SOLE.chf)
    feed = api.client(None, FEED)

    answer = feed("POST", "/registrations", moved(api))
    again = feed("POST", "/registrations", moved(api))

    assert (answer.status, answer.body, again.status) == (204, b"", 204)
    assert api.client(A)("GET", f"/hubs/{SOLE.chf}").status == 404
    assert api.client(C).get(f"/hubs/{SOLE.chf}")["hub"]["upgrade"]["own_approval"] == "Pending"


@pytest.mark.parametrize(
    "wrong", [{"role": "XX"}, {"organisation": "nobody"}, {"effective_from": "soon"}, {"mpxn": "x"}, {"more": 1}]
)
def test_of_what_is_not_valid_nothing_is_taken(api: ApiWorld, wrong: dict[str, object]) -> None:
    answer = api.client(None, FEED)("POST", "/registrations", [moved(api)[0], {**moved(api)[1], **wrong}])

    assert (answer.status, answer.is_problem) == (422, True)
    assert api.client(C).get("/hubs")["hubs"] == []


def test_a_token_of_the_feed_sees_no_hub_and_a_suppliers_registers_nothing(api: ApiWorld) -> None:
    assert api.client(None, FEED)("GET", "/hubs").status == 403
    assert api.client(A)("POST", "/registrations", moved(api)).status == 403
