"""Genuine messages, where they are at hand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from sr_engine.signservice.service import AcceptedRoles

from .conftest import BROKER, NOW, Api, Bench, a_bench, counter_of

pytestmark = pytest.mark.reference

GENUINE = (
    "readfw-response.xml",
    "readfw-response-2022.xml",
    "readfw-response-resigned.xml",
    "read-inventory-response-4g.xml",
    "read-inventory-response-5.4.xml",
)
COMMENTED = {"CS03CCritical_8.7.1_SUCCESS_REQUEST_DUIS.XML", "CS07_8.9_SUCCESS_REQUEST_DUIS.XML"}
"""Two published requests hold a comment in their Header, which stays where it is and is refused."""


@pytest.fixture(scope="module")
def genuine(duis_reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A service that trusts the genuine certificates by pinning them."""
    with a_bench(tmp_path_factory.mktemp("genuine")) as bench:
        pinned = bench.pki.trust_directory / "pinned"
        pinned.mkdir()
        for path in (duis_reference / "certificates").glob("*.pem"):
            (pinned / path.name).write_bytes(path.read_bytes())
        yield bench


@pytest.fixture(scope="module", params=["ours", "official"])
def api(request: pytest.FixtureRequest, genuine: Bench, duis_reference: Path) -> Api:
    roles = AcceptedRoles({"87"}, {"89", "04", "137"})
    if request.param == "ours":
        return genuine.serve(roles=roles)
    return genuine.serve(roles=roles, schema=duis_reference / "schema" / "DUIS-5.4.xsd")


@pytest.mark.parametrize("name", GENUINE)
def test_a_genuine_response_passes_at_its_own_time(duis_reference: Path, genuine: Bench, api: Api, name: str) -> None:
    data = (duis_reference / "messages" / "signed" / name).read_bytes()
    sent = re.search(rb"ResponseDateTime>([^<]+)<", data)
    assert sent is not None
    genuine.clock.set(datetime.fromisoformat(sent[1].decode()))

    answer = api.verify(data)

    assert answer.status == 200
    assert b"Signature" not in answer.message
    assert sent[1] in answer.message


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("readfw-response-badsignature.xml", "signature value is not by the key"),
        ("readfw-response-no-signature.xml", "not signed"),
        ("message2.xml", "not signed"),
        ("duis-xxe.xml", "DOCTYPE"),
    ],
)
def test_what_is_not_genuine_does_not_pass(
    duis_reference: Path, genuine: Bench, api: Api, name: str, reason: str
) -> None:
    genuine.clock.set(NOW.replace(year=2025))
    refused = api.verify((duis_reference / "messages" / "signed" / name).read_bytes())

    assert refused.refusal == (400, "10")
    assert reason in refused.content["error"]


def test_a_genuine_unsigned_refusal_passes(duis_reference: Path, api: Api) -> None:
    data = (duis_reference / "messages" / "signed" / "acknowledgement-error.xml").read_bytes()

    assert api.verify(data).message == data


def test_every_published_request_is_signed_in_place_of_its_placeholder(
    duis_reference: Path, genuine: Bench, api: Api
) -> None:
    genuine.clock.set(NOW)
    files = sorted((duis_reference / "messages" / "published").glob("*.XML"))
    for path in files:
        answer = api.sign(path.read_bytes())
        if path.name in COMMENTED:
            assert answer.refusal == (400, "10")
            assert "a comment" in answer.content["error"]
        elif answer.content.get("errorCode") == "3":
            assert f"there is no key here to sign for {BROKER}" in answer.content["error"]
        else:
            assert counter_of(answer.message) >= int(NOW.timestamp() * 1000)
            assert re.search(rb">\s+<", answer.message) is None
            assert api.verify(answer.message).status == 200

    assert len(files) > 20
