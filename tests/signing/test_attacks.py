"""The attacks of `fixtures/attacks`: every one is refused, for its own reason, with and without a schema before it."""

from __future__ import annotations

import resource
import time
import tomllib
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from fixtures.attacking.craft import EVIL, mallory, sign
from fixtures.attacking.large import LARGE, LargeAttack
from fixtures.attacking.model import Item
from fixtures.attacking.pki import ALICE, MALLORY
from fixtures.write_attacks import ATTACKS, contents
from signing import SigningError, Trust, VerifiedDocument, Verifier, parse
from signing.canonical import inclusive
from sr_engine.messages.decode import decode_request
from sr_engine.messages.schema import Schema, SchemaRefused
from sr_engine.pipeline import checks
from sr_engine.resources import data_directory

EXPECTED: dict[str, Any] = tomllib.loads((ATTACKS / "expected.toml").read_text(encoding="utf-8"))
CPU_SECONDS = 5.0
"""What judging one attack may take on a slow machine."""


@dataclass(frozen=True, slots=True)
class Judge:
    """The parser, the schemas and the verifier, at the time of the attacks."""

    verifier: Verifier
    schemas: dict[str, Schema]
    at: datetime

    def alone(self, data: bytes, *roles: str) -> VerifiedDocument:
        """Judge as signing/ does when it is used without the rest."""
        return self.verifier.verify(parse(data), roles=roles or EXPECTED["roles"], at=self.at)

    def whole(self, data: bytes, *roles: str, schema: str = "duis.xsd") -> VerifiedDocument:
        """Judge in the order of the processor."""
        document = parse(data)
        self.schemas[schema].check(document)
        return self.verifier.verify(document, roles=roles or EXPECTED["roles"], at=self.at)


@pytest.fixture(scope="module")
def judge() -> Judge:
    xsd = data_directory("xsd")
    schemas = {"duis.xsd": Schema(xsd / "duis.xsd"), "csp.xsd": Schema(xsd / "csp.xsd")}
    schemas["request"] = Schema(xsd / "duis.xsd", roots=["Request"])
    return Judge(Verifier(Trust.from_directory(ATTACKS / "pki" / "trust")), schemas, EXPECTED["at"])


def named(entries: list[dict[str, str]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("entry", entries, ids=[Path(entry["file"]).stem for entry in entries])


def assert_refused(error: Exception, kind: str, phrase: str) -> None:
    assert type(error).__name__ == kind, error
    assert phrase in error.reason  # type: ignore[attr-defined]  # every refusal has one


@named(EXPECTED["attack"])
def test_an_attack_is_refused_with_its_reason(judge: Judge, entry: dict[str, str]) -> None:
    data = (ATTACKS / entry["file"]).read_bytes()

    with pytest.raises((SigningError, SchemaRefused)) as caught:
        judge.whole(data, schema="request")

    assert_refused(caught.value, entry["refusal"], entry["reason"])


@named(EXPECTED["attack"])
def test_an_attack_is_refused_where_no_schema_stands_before_the_verifier(judge: Judge, entry: dict[str, str]) -> None:
    data = (ATTACKS / entry["file"]).read_bytes()
    kind = entry.get("alone", entry["refusal"])
    if kind == "none":
        # Authentic, though no message: what is verified is all that was signed, and its signer is known.
        assert judge.alone(data).signer.eui == (MALLORY if entry["signer"] == "mallory" else ALICE)
        return

    with pytest.raises(SigningError) as caught:
        judge.alone(data)

    assert_refused(caught.value, kind, entry.get("alone_reason", entry["reason"]))


@named(EXPECTED["control"])
def test_a_good_message_is_accepted_however_it_is_written(judge: Judge, entry: dict[str, str]) -> None:
    data = (ATTACKS / entry["file"]).read_bytes()

    verified = judge.whole(data, entry["role"], schema=entry["schema"])

    assert inclusive(verified.root) == inclusive(judge.alone(data, entry["role"]).root)
    assert verified.signer.role == entry["role"]


def test_good_messages_that_are_written_differently_say_the_same(judge: Judge) -> None:
    plain = decode_request(judge.whole((ATTACKS / "good" / "schedule.xml").read_bytes()))
    rewritten = [
        entry["file"]
        for entry in EXPECTED["control"]
        if entry["role"] == "87" and decode_request(judge.whole((ATTACKS / entry["file"]).read_bytes())) == plain
    ]

    assert len(rewritten) > 20


def test_every_kind_of_attack_has_its_fixtures() -> None:
    count = Counter(entry["item"] for entry in EXPECTED["attack"])

    assert {item for item in Item if count[item.value] < 5} == {Item.SIZE}  # made when a test wants them


def test_the_files_are_those_that_the_script_writes() -> None:
    made = contents()
    kept = {
        path.relative_to(ATTACKS).as_posix(): path.read_bytes()
        for path in ATTACKS.rglob("*")
        if path.is_file() and path.name not in {".gitattributes", "laxer.toml"}
    }

    assert [name for name in made.keys() | kept.keys() if made.get(name) != kept.get(name)] == []
    assert sum(map(len, kept.values())) < 1_000_000


def test_a_message_of_another_user_is_that_users_whatever_its_originator_says(judge: Judge) -> None:
    verified = judge.whole(sign(EVIL, mallory()).encode())
    header = decode_request(verified).header

    assert (verified.signer.eui, header.request_id.originator) == (MALLORY, ALICE)
    with pytest.raises(checks.Refusal, match="was signed by"):
        checks.check_originator(header, verified.signer)


@pytest.mark.parametrize("attack", LARGE, ids=[attack.name for attack in LARGE])
def test_a_large_attack_is_refused_soon_and_in_little_memory(judge: Judge, attack: LargeAttack) -> None:
    data = attack.make()
    started, most = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    if attack.alone is not None:
        with pytest.raises(SigningError) as alone:
            judge.alone(data)
        assert_refused(alone.value, attack.alone.kind, attack.alone.phrase)
    with pytest.raises((SigningError, SchemaRefused)) as whole:
        judge.whole(data)

    if attack.schema is not None:
        assert_refused(whole.value, "SchemaRefused", attack.schema)
    assert time.process_time() - started < CPU_SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most < 1024 * 1024  # KiB
