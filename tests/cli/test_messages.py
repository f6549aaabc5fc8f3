"""Signing, verifying and validating, with every exit code."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from lxml import etree

from signing import ParsedDocument, Signer, parse
from sr_engine.messages.build import build_alert, build_response, serialise_unsigned
from sr_engine.messages.compose import build_request
from sr_engine.messages.csp import build_csp_message
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import CommsHubFirmwareActivation, ReadInventory, UpgradeListAcknowledgement
from tests.cli.conftest import Run
from tests.world import BROKER, NOW, A, World, eui, make_world

REQUEST_ID = f"{A.eui}:{BROKER}:7"
AT = NOW.isoformat()


def request() -> etree._Element:
    return build_request(
        schema_version="5.4",
        request_id=REQUEST_ID,
        command_variant=8,
        service_reference="8.2",
        service_reference_variant="8.2",
        body=ReadInventory(device_id=eui(0xC0, 1)),
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Keys and certificates, which no test here changes."""
    world = make_world(tmp_path_factory.mktemp("messages") / "instance")
    yield world
    world.close()


@pytest.fixture
def unsigned(tmp_path: Path) -> Path:
    path = tmp_path / "request.xml"
    path.write_bytes(serialise_unsigned(request()))
    return path


@pytest.fixture
def signed(tmp_path: Path, world: World) -> Path:
    path = tmp_path / "signed.xml"
    path.write_bytes(Signer(world.key(A.name)).sign(request()))
    return path


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "wrong.xml"
    path.write_bytes(serialise_unsigned(request()).replace(b"sr:Header>", b"sr:Head>"))
    return path


def verified(world: World, data: bytes) -> ParsedDocument:
    document = parse(data)
    world.instance.verifier.verify(document, roles={"87"}, at=NOW)
    return document


class TestSign:
    def test_a_document_from_a_file_is_signed_to_stdout(self, run: Run, world: World, unsigned: Path) -> None:
        done = run("sign", unsigned, "--as", "supplier-a", "--dir", world.directory)

        assert (done.exit_code, done.stderr) == (0, "")
        verified(world, done.stdout_bytes)

    def test_a_document_from_stdin_is_signed_to_a_file(self, run: Run, world: World, unsigned: Path) -> None:
        folder, out = world.directory / "pki" / "supplier-b", unsigned.parent / "out.xml"

        done = run(
            *("sign", "-", "--key", folder / "key.pem", "--cert", folder / "certificate.pem", "--out", out),
            stdin=unsigned.read_bytes(),
        )

        assert (done.exit_code, done.stdout) == (0, "")
        verified(world, out.read_bytes())

    def test_a_signature_it_has_is_replaced(self, run: Run, world: World, signed: Path) -> None:
        done = run("sign", signed, "--as", "supplier-a", "--dir", world.directory, "--out", signed)

        assert done.exit_code == 0
        verified(world, signed.read_bytes())

    def test_several_files_go_to_a_folder_under_their_names(
        self, run: Run, world: World, unsigned: Path, signed: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        out.mkdir()

        done = run("sign", unsigned, signed, "--as", "supplier-a", "--dir", world.directory, "--out", out)

        assert done.exit_code == 0
        assert {path.name for path in out.iterdir()} == {"request.xml", "signed.xml"}

    def test_several_files_without_a_folder_are_not_mixed(self, run: Run, world: World, unsigned: Path) -> None:
        done = run("sign", unsigned, unsigned, "--as", "supplier-a", "--dir", world.directory)

        assert (done.exit_code, done.stdout) == (2, "")
        assert "several files need --out" in done.stderr

    def test_an_encrypted_key_is_opened_by_the_password_in_the_environment(
        self, run: Run, world: World, unsigned: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = world.directory / "pki" / "supplier-a"
        key = load_pem_private_key((folder / "key.pem").read_bytes(), None)
        locked = unsigned.parent / "locked.pem"
        locked.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
        arguments = ("sign", unsigned, "--key", locked, "--cert", folder / "certificate.pem")

        without = run(*arguments)
        monkeypatch.setenv("SR_ENGINE_KEY_PASSWORD", "secret")

        assert without.exit_code == 3
        assert "it needs a password" in without.stderr
        assert run(*arguments).exit_code == 0

    def test_without_a_key_there_is_exit_code_3(self, run: Run, world: World, unsigned: Path) -> None:
        unnamed = run("sign", unsigned)
        unknown = run("sign", unsigned, "--as", "nobody", "--dir", world.directory)

        assert (unnamed.exit_code, unknown.exit_code) == (3, 3)
        assert unnamed.stderr.startswith("sr-engine: no key is named")
        assert unknown.stderr.endswith("pki/nobody/key.pem cannot be read: No such file or directory\n")

    def test_a_key_is_named_in_one_way_only(self, run: Run, world: World, unsigned: Path) -> None:
        done = run("sign", unsigned, "--as", "supplier-a", "--key", "key.pem", "--dir", world.directory)

        assert done.exit_code == 2

    def test_nothing_is_written_unless_every_document_is_valid(
        self, run: Run, world: World, unsigned: Path, wrong: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        out.mkdir()

        done = run("sign", unsigned, wrong, "--as", "supplier-a", "--dir", world.directory, "--out", out)

        assert (done.exit_code, list(out.iterdir())) == (10, [])
        assert done.stderr.startswith(f"{wrong}:1: Head is not expected at this place in Request; Header is expected")

    def test_a_file_that_cannot_be_read_is_exit_code_2(self, run: Run, world: World, tmp_path: Path) -> None:
        done = run("sign", tmp_path / "none.xml", "--as", "supplier-a", "--dir", world.directory)

        assert (done.exit_code, done.stderr) == (2, f"{tmp_path / 'none.xml'}: No such file or directory\n")


class TestVerify:
    def test_it_says_who_signed_what(self, run: Run, world: World, signed: Path) -> None:
        done = run("verify", signed, "--dir", world.directory, "--at", AT)

        serial = world.key(A.name).serial
        assert done.exit_code == 0
        assert done.stdout == f"{signed}: signed by {A.eui}, role 87, serial {serial}; RequestID {REQUEST_ID}\n"

    def test_answers_alerts_and_csp_messages_are_known_too(self, run: Run, world: World, tmp_path: Path) -> None:
        response = build_response(
            schema_version="5.4",
            request_id=REQUEST_ID,
            code="I99",
            at=NOW,
            service_reference="11.6",
            service_reference_variant="11.6",
            result=None,
        )
        alert = build_alert(
            schema_version="5.4", alert_code="N64", body=CommsHubFirmwareActivation(eui(0xC0, 1), "9002"), at=NOW
        )
        message_id = RequestId.make("00-00-5E-EF-10-00-00-C2", BROKER, 5)
        message = build_csp_message(UpgradeListAcknowledgement(message_id, NOW, "l1", "Central", (eui(0xC0, 1),)))
        said = []
        for signer, root in (
            (world.instance.signer, response),
            (world.instance.signer, alert),
            (Signer(world.csp_key("Central")), message),
        ):
            done = run("verify", "-", "--dir", world.directory, "--at", AT, stdin=signer.sign(root))
            said.append(done.stdout.rpartition("; ")[2].strip())

        assert said == [f"RequestID {REQUEST_ID}, ResponseCode I99", "DCCAlertCode N64", f"MessageID {message_id.text}"]

    def test_trust_may_be_named_without_an_instance(self, run: Run, world: World, signed: Path) -> None:
        trust = world.directory / "pki" / "trust"

        assert run("verify", signed, "--trust", trust, "--at", AT).exit_code == 0

    @pytest.mark.parametrize(
        ("options", "says"),
        [
            (("--at", AT, "--role", "89"), "has role 87; accepted here: 89"),
            (("--at", (NOW + timedelta(days=36500)).isoformat()), "expired at"),
        ],
    )
    def test_a_signature_not_to_act_on_is_exit_code_10(
        self, run: Run, world: World, signed: Path, options: tuple[str, ...], says: str
    ) -> None:
        done = run("verify", signed, "--dir", world.directory, *options)

        assert (done.exit_code, done.stdout) == (10, "")
        assert says in done.stderr

    def test_changed_unsigned_and_invalid_documents_are_exit_code_10(
        self, run: Run, world: World, signed: Path, unsigned: Path, wrong: Path
    ) -> None:
        signed.write_bytes(signed.read_bytes().replace(b":7<", b":8<"))

        done = run("verify", signed, unsigned, wrong, "--dir", world.directory, "--at", AT)

        assert done.exit_code == 10
        changed, without, invalid = done.stderr.splitlines()
        assert changed.startswith(f"{signed}: the document was changed after it was signed")
        assert without.startswith(f"{unsigned}: the document is not signed")
        assert invalid.startswith(f"{wrong}:1: Head is not expected")

    def test_good_documents_are_named_even_if_others_are_not(self, run: Run, world: World, signed: Path) -> None:
        done = run("verify", "none.xml", signed, "--dir", world.directory, "--at", AT)

        assert done.exit_code == 2
        assert done.stdout.startswith(f"{signed}: signed by")
        assert done.stderr == "none.xml: No such file or directory\n"

    def test_missing_certificates_are_exit_code_3(self, run: Run, signed: Path, tmp_path: Path) -> None:
        done = run("verify", signed, "--trust", tmp_path / "none")

        assert (done.exit_code, done.stderr) == (3, f"sr-engine: there is no trust directory {tmp_path / 'none'}\n")

    def test_a_time_needs_its_zone(self, run: Run, world: World, signed: Path) -> None:
        for text in ("2026-11-23T09:00:00", "noon"):
            done = run("verify", signed, "--dir", world.directory, "--at", text)

            assert done.exit_code == 2
            assert "is not a time with a zone" in done.stderr


class TestValidate:
    def test_valid_documents_are_named(self, run: Run, unsigned: Path, signed: Path) -> None:
        done = run("validate", unsigned, signed)

        assert (done.exit_code, done.stdout) == (0, f"{unsigned}: valid\n{signed}: valid\n")

    def test_what_is_wrong_is_said_with_file_line_and_path(self, run: Run, wrong: Path) -> None:
        done = run("validate", wrong)

        assert (done.exit_code, done.stdout) == (10, "")
        assert done.stderr == (
            f"{wrong}:1: Head is not expected at this place in Request; Header is expected (/sr:Request)\n"
        )

    def test_what_is_no_xml_is_exit_code_10(self, run: Run) -> None:
        done = run("validate", "-", stdin=b"<a>\n<!-- b --></a>")

        assert (done.exit_code, done.stderr.partition(": ")[0]) == (10, "-:2")

    def test_a_file_that_cannot_be_read_is_exit_code_2(self, run: Run, tmp_path: Path) -> None:
        done = run("validate", tmp_path)

        assert (done.exit_code, done.stderr) == (2, f"{tmp_path}: Is a directory\n")
