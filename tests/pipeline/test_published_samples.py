"""Every published sample, signed by a User of this instance and posted: `published_samples.toml` says what is answered.

`pytest -s tests/pipeline/test_published_samples.py` prints what was answered as a table.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from signing import DocumentRefused, KeyUnavailable
from sr_engine.configuration import UserRole
from sr_engine.counters import RunCounters
from sr_engine.instance import SupplierSeed
from sr_engine.messages.schema import Schema
from sr_engine.pipeline.answer import Answer
from sr_engine.resources import data_directory
from sr_engine.signservice.keys import KeyRing
from sr_engine.signservice.permissions import EVERYTHING
from sr_engine.signservice.service import AcceptedRoles, SignService
from sr_engine.store import inventory
from tests.world import BROKER, TestHub, World, edit, make_world

pytestmark = pytest.mark.reference

TABLE: Mapping[str, Mapping[str, Any]] = tomllib.loads(
    Path(__file__).with_name("published_samples.toml").read_text(encoding="utf-8")
)
USER = SupplierSeed("user", "90-B3-D5-1F-30-01-00-00", "http://127.0.0.1:9/", (UserRole.IS, UserRole.GS))
"""The originator of all samples but one."""
HUB_OF_SAMPLES = "00-DB-12-34-56-78-90-A2"
SERVICES = ("serviceD", "serviceS", "serviceT")


@dataclass
class Bench:
    """A world that has the official schema, and the signing service of its User."""

    world: World
    service: SignService
    official: etree.XMLSchema
    folder: Path
    lines: list[str] = field(default_factory=list)

    def signed(self, name: str) -> bytes:
        """A sample as its User sends it: what `/sign` makes of it, once it holds what /sign accepts."""
        data = (self.folder / name).read_bytes()
        row = TABLE[name]
        if row.get("comment_in_header", False):
            with pytest.raises(DocumentRefused, match="a comment"):
                self.service.sign(data, EVERYTHING)
            data = re.sub(rb"<!--.*?-->", b"", data, flags=re.DOTALL)
        if row.get("originator_replaced", False):
            with pytest.raises(KeyUnavailable, match=f"no key here to sign for {BROKER}"):
                self.service.sign(data, EVERYTHING)
            data = data.replace(f"RequestID>{BROKER}:".encode(), f"RequestID>{USER.eui}:".encode())
        return self.service.sign(data, EVERYTHING)

    def answered(self, data: bytes, service: str) -> Answer:
        """What is answered; a Response has to be valid by the official schema and signed."""
        answer = self.world.post(data, service)
        if answer.status == 200:
            self.official.assertValid(etree.fromstring(answer.body))
            assert self.world.decoded(answer).code == answer.code
        return answer


@pytest.fixture(scope="module")
def bench(duis_reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    schema = duis_reference / "schema" / "DUIS-5.4.xsd"

    def official(directory: Path) -> None:
        key = 'users_file = "users.toml"\n'
        edit(directory / "sr-engine.toml", key, f'official_schema = "{schema}"\n{key}')

    world = make_world(tmp_path_factory.mktemp("samples") / "instance", suppliers=[USER], prepare=official)
    hub = TestHub(1).rows()[0] | {"device_id": HUB_OF_SAMPLES, "hub_id": HUB_OF_SAMPLES}
    world.run(lambda uow: inventory.put_devices(uow.connection, [hub]))
    service = SignService(
        schema=Schema(data_directory("xsd") / "duis.xsd", signature_apart=True),
        verifier=world.instance.verifier,
        keys=KeyRing(world.directory / "pki", roles={"87"}),
        counters=RunCounters(),
        clock=world.clock,
        roles=AcceptedRoles({"87"}, {"89"}),
    )
    bench = Bench(world, service, etree.XMLSchema(etree.parse(schema)), duis_reference / "messages" / "published")
    yield bench
    heading = f"{'sample, signed by a User in roles IS and GS':<75} service  there else words"
    print("", heading, *sorted(bench.lines), sep="\n")
    world.close()


def test_every_published_sample_is_in_the_table(duis_reference: Path) -> None:
    files = {path.name for path in (duis_reference / "messages" / "published").iterdir()}

    assert files
    assert files == set(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_a_sample_is_answered_as_the_table_says(bench: Bench, name: str) -> None:
    row = TABLE[name]
    data = bench.signed(name)
    wrong = [service for service in SERVICES if service != row["service"]]

    as_published = bench.answered((bench.folder / name).read_bytes(), row["service"])
    elsewhere = [bench.answered(data, service) for service in wrong]
    here = bench.answered(data, row["service"])
    again = bench.answered(data, row["service"])

    bench.lines.append(
        f"{name:<75} {row['service']} {here.code or here.status:<5} {elsewhere[0].code:<4} {here.detail}"
    )
    assert (as_published.status, "holds a comment" in as_published.detail) == (400, True)
    assert [answer.code for answer in elsewhere] == ["E13", "E13"]
    assert here.code == row["answer"]
    assert row["because"] in here.detail
    assert again.body == here.body
