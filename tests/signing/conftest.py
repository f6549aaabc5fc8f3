"""A synthetic PKI, and one participant who signs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from signing import Participant, Signer, SoftwareKey, Trust, VerifiedDocument, Verifier, make_pki, parse
from signing.pki import Pki

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
EUI = "90-B3-D5-1F-30-01-00-00"


@dataclass(frozen=True, slots=True)
class World:
    """Everything a message needs to be signed and verified."""

    pki: Pki
    key: SoftwareKey
    signer: Signer
    verifier: Verifier
    now: datetime

    def verify(self, data: bytes, *, role: str = "87", at: datetime | None = None) -> VerifiedDocument:
        return self.verifier.verify(parse(data), roles={role}, at=at or self.now)

    def sign(self, text: str) -> bytes:
        return self.signer.sign(parse(text.encode()).root)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    pki = make_pki(tmp_path_factory.mktemp("pki"), [Participant("supplier", EUI, "87")], now=NOW)
    folder = pki.directory / "supplier"
    key = SoftwareKey.load(folder / "key.pem", folder / "certificate.pem")
    return World(pki, key, Signer(key), Verifier(Trust.from_directory(pki.trust_directory)), NOW)


@pytest.fixture
def fresh_pki(tmp_path: Path) -> Callable[..., Pki]:
    """Make a PKI of its own for a test that changes it."""

    def make(*participants: Participant) -> Pki:
        return make_pki(tmp_path / "pki", participants, now=NOW)

    return make


@pytest.fixture(scope="session")
def jdk(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[str]]:
    """Run the Java program beside this file; skips where there is no JDK."""
    compiler, machine = shutil.which("javac"), shutil.which("java")
    if compiler is None or machine is None:
        pytest.skip("no JDK (javac and java) is installed here")
    classes = tmp_path_factory.mktemp("classes")
    source = Path(__file__).with_name("XmlDsig.java")
    subprocess.run([compiler, "-d", str(classes), str(source)], check=True, capture_output=True, timeout=300)

    def run(*arguments: object) -> list[str]:
        command = [machine, "-XX:TieredStopAtLevel=1", "-cp", str(classes), "XmlDsig", *map(str, arguments)]
        # What a document makes the JDK say goes to standard error and is of no interest.
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
        return done.stdout.splitlines()

    return run
