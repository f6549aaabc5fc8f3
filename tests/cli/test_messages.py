"""Signing, verifying and validating, with every exit code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
from sr_engine.counters import Counters
from sr_engine.messages.build import build_alert, build_response, serialise_unsigned
from sr_engine.messages.compose import build_request
from sr_engine.messages.csp import build_csp_message
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import CommsHubFirmwareActivation, ReadInventory, UpgradeListAcknowledgement
from tests.cli.conftest import Run
from tests.world import BROKER, NOW, A, B, World, eui, make_world

REQUEST_ID = f"{A.eui}:{BROKER}:7"
AT = NOW.isoformat()
VERIFY = ("verify", "-", "--at", AT)
NOW_MS = int(NOW.timestamp() * 1000)


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


def response(code: str) -> etree._Element:
    return build_response(
        schema_version="5.4",
        request_id=REQUEST_ID,
        code=code,
        at=NOW,
        service_reference="11.6",
        service_reference_variant="11.6",
        result=None,
    )


def message() -> etree._Element:
    message_id = RequestId.make("00-00-5E-EF-10-00-00-C2", BROKER, 5)
    return build_csp_message(UpgradeListAcknowledgement(message_id, NOW, "l1", "Central", (eui(0xC0, 1),)))


def counter_of(data: bytes) -> int:
    return int(data.partition(b"</sr:RequestID>")[0].rpartition(b":")[2])


def verified(world: World, data: bytes) -> ParsedDocument:
    document = parse(data)
    world.instance.verifier.verify(document, roles={"87"}, at=NOW)
    return document


class TestSign:
    def test_a_document_from_a_file_is_signed_to_stdout(self, run: Run, world: World, unsigned: Path) -> None:
        done = run("sign", unsigned, "--as", "supplier-a", "--dir", world.directory, "--at", AT)

        assert (done.exit_code, done.stderr) == (0, "")
        verified(world, done.stdout_bytes)

    def test_a_document_from_stdin_is_signed_to_a_file(self, run: Run, world: World, unsigned: Path) -> None:
        folder, out = world.directory / "pki" / "supplier-b", unsigned.parent / "out.xml"

        done = run(
            *("sign", "-", "--key", folder / "key.pem", "--cert", folder / "certificate.pem", "--at", AT),
            *("--out", out),
            stdin=unsigned.read_bytes(),
        )

        assert (done.exit_code, done.stdout) == (0, "")
        verified(world, out.read_bytes())

    def test_a_signature_it_has_is_replaced(self, run: Run, world: World, signed: Path) -> None:
        done = run("sign", signed, "--as", "supplier-a", "--dir", world.directory, "--at", AT, "--out", signed)

        assert done.exit_code == 0
        verified(world, signed.read_bytes())

    def test_several_files_go_to_a_folder_under_their_names(
        self, run: Run, world: World, unsigned: Path, signed: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        out.mkdir()

        done = run("sign", unsigned, signed, "--as", "supplier-a", "--dir", world.directory, "--at", AT, "--out", out)

        assert done.exit_code == 0
        assert {path.name for path in out.iterdir()} == {"request.xml", "signed.xml"}

    def test_white_space_between_elements_is_dropped(self, run: Run, world: World, unsigned: Path) -> None:
        unsigned.write_bytes(unsigned.read_bytes().replace(b"><", b">\n <"))

        done = run("sign", unsigned, "--as", "supplier-a", "--dir", world.directory, "--at", AT)

        assert b">\n" not in done.stdout_bytes
        verified(world, done.stdout_bytes)

    @pytest.mark.parametrize("days", [-36500, 36500])
    def test_a_certificate_that_is_not_valid_at_the_time_is_exit_code_3(
        self, run: Run, world: World, unsigned: Path, days: int
    ) -> None:
        at = (NOW + timedelta(days=days)).isoformat()

        done = run("sign", unsigned, "--as", "supplier-a", "--dir", world.directory, "--at", at)

        assert (done.exit_code, done.stdout) == (3, "")
        assert "is not valid at" in done.stderr

    def test_files_of_one_name_are_not_written_over_each_other(
        self, run: Run, world: World, unsigned: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        out.mkdir()

        done = run("sign", unsigned, unsigned, "--as", "supplier-a", "--dir", world.directory, "--out", out)

        assert (done.exit_code, list(out.iterdir())) == (2, [])
        assert "files of the same name" in done.stderr

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
        arguments = ("sign", unsigned, "--key", locked, "--cert", folder / "certificate.pem", "--at", AT)

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
        assert "there are no keys of 'nobody' in " in unknown.stderr
        assert "the instance with --dir or SR_ENGINE_DIR" in unknown.stderr

    def test_a_key_is_named_in_one_way_only(self, run: Run, world: World, unsigned: Path) -> None:
        done = run("sign", unsigned, "--as", "supplier-a", "--key", "key.pem", "--dir", world.directory)

        assert done.exit_code == 2

    def test_nothing_is_written_unless_every_document_is_valid(
        self, run: Run, world: World, unsigned: Path, wrong: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        out.mkdir()

        done = run("sign", unsigned, wrong, "--as", "supplier-a", "--dir", world.directory, "--at", AT, "--out", out)

        assert (done.exit_code, list(out.iterdir())) == (10, [])
        assert done.stderr.startswith(f"{wrong}:1: Head is not expected at this place in Request; Header is expected")

    def test_a_file_that_cannot_be_read_is_exit_code_2(self, run: Run, world: World, tmp_path: Path) -> None:
        done = run("sign", tmp_path / "none.xml", "--as", "supplier-a", "--dir", world.directory, "--at", AT)

        assert (done.exit_code, done.stderr) == (2, f"{tmp_path / 'none.xml'}: No such file or directory\n")


class TestCounters:
    """Of signed Requests."""

    @pytest.fixture
    def by_key(self, world: World) -> tuple[object, ...]:
        """Names key, certificate and time, and no instance."""
        folder = world.directory / "pki" / "supplier-a"
        return ("--key", folder / "key.pem", "--cert", folder / "certificate.pem", "--at", AT)

    def test_over_the_files_of_a_run_they_begin_at_the_time_and_increase(
        self, run: Run, unsigned: Path, signed: Path, tmp_path: Path, by_key: tuple[object, ...]
    ) -> None:
        out = tmp_path / "out"
        out.mkdir()

        done = run("sign", unsigned, signed, *by_key, "--out", out)

        assert done.exit_code == 0
        assert [counter_of((out / path.name).read_bytes()) for path in (unsigned, signed)] == [NOW_MS, NOW_MS + 1]

    def test_without_an_instance_or_a_file_nothing_is_kept_of_them(
        self, run: Run, unsigned: Path, by_key: tuple[object, ...]
    ) -> None:
        assert {counter_of(run("sign", unsigned, *by_key).stdout_bytes) for _ in range(2)} == {NOW_MS}

    def test_with_a_file_a_later_run_goes_on_above_them(
        self, run: Run, unsigned: Path, tmp_path: Path, by_key: tuple[object, ...]
    ) -> None:
        file = tmp_path / "counters"

        first, second = (counter_of(run("sign", unsigned, *by_key, "--counters", file).stdout_bytes) for _ in range(2))

        assert NOW_MS == first < second
        counters = Counters(file)
        assert counters.draw(A.eui, 0) > second
        counters.close()

    def test_in_an_instance_they_are_those_of_its_sign_server(self, run: Run, tmp_path: Path, unsigned: Path) -> None:
        made = make_world(tmp_path / "instance")
        arguments = ("sign", unsigned, "--as", A.name, "--dir", made.directory, "--at", AT)
        counters = Counters(made.directory / "sign-counters")
        before = counters.draw(A.eui, NOW_MS)

        first, second = (counter_of(run(*arguments).stdout_bytes) for _ in range(2))

        assert before < first < second < counters.draw(A.eui, NOW_MS)
        counters.close()
        made.close()

    def test_they_stay_if_they_are_to_be_preserved(
        self, run: Run, world: World, unsigned: Path, by_key: tuple[object, ...]
    ) -> None:
        done = run("sign", unsigned, *by_key, "--preserve-counter")

        assert done.exit_code == 0
        assert REQUEST_ID.encode() in verified(world, done.stdout_bytes).data

    def test_a_missing_counter_is_put_in(self, run: Run, unsigned: Path, by_key: tuple[object, ...]) -> None:
        unsigned.write_bytes(unsigned.read_bytes().replace(b":7<", b":<"))

        kept = run("sign", unsigned, *by_key, "--preserve-counter")

        assert kept.exit_code == 10
        assert "RequestID" in kept.stderr
        assert counter_of(run("sign", unsigned, *by_key).stdout_bytes) == NOW_MS

    def test_a_request_without_originator_is_refused(
        self, run: Run, unsigned: Path, by_key: tuple[object, ...]
    ) -> None:
        unsigned.write_bytes(unsigned.read_bytes().replace(REQUEST_ID.encode(), b"nobody"))

        done = run("sign", unsigned, *by_key)

        assert (done.exit_code, done.stdout) == (10, "")
        assert done.stderr.startswith(f"{unsigned}:1: ")

    @pytest.mark.parametrize("make", [lambda: response("I99"), message])
    def test_other_messages_keep_their_ids(
        self, run: Run, make: Callable[[], etree._Element], by_key: tuple[object, ...]
    ) -> None:
        compact = serialise_unsigned(make())

        done = run("sign", "-", *by_key, stdin=compact)

        assert done.exit_code == 0
        start = compact.index(b"?>") + 2
        end = compact.rindex(b"</")
        assert compact[start:end] in done.stdout_bytes

    def test_a_file_that_is_none_is_named(
        self, run: Run, unsigned: Path, tmp_path: Path, by_key: tuple[object, ...]
    ) -> None:
        (tmp_path / "counters").write_text("something else, and more of it than a header has")

        done = run("sign", unsigned, *by_key, "--counters", tmp_path / "counters")

        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr.startswith(f"sr-engine: {tmp_path / 'counters'} is not a file of counters")

    def test_a_folder_named_must_be_an_instance(
        self, run: Run, unsigned: Path, tmp_path: Path, by_key: tuple[object, ...]
    ) -> None:
        done = run("sign", unsigned, *by_key, "--dir", tmp_path)

        assert (done.exit_code, done.stdout) == (2, "")
        assert "is not an instance" in done.stderr

    def test_they_are_preserved_or_renewed_but_not_both(
        self, run: Run, unsigned: Path, by_key: tuple[object, ...]
    ) -> None:
        assert run("sign", unsigned, *by_key, "--preserve-counter", "--counters", "c").exit_code == 2


class TestVerify:
    def test_it_says_who_signed_what(self, run: Run, world: World, signed: Path) -> None:
        done = run("verify", signed, "--dir", world.directory, "--at", AT)

        serial = world.key(A.name).serial
        assert done.exit_code == 0
        assert done.stdout == f"{signed}: signed by {A.eui}, role 87, serial {serial}; RequestID {REQUEST_ID}\n"

    def test_answers_alerts_and_csp_messages_are_known_too(self, run: Run, world: World, tmp_path: Path) -> None:
        alert = build_alert(
            schema_version="5.4", alert_code="N64", body=CommsHubFirmwareActivation(eui(0xC0, 1), "9002"), at=NOW
        )
        said = []
        for signer, root in (
            (world.instance.signer, response("I99")),
            (world.instance.signer, alert),
            (Signer(world.csp_key("Central")), message()),
        ):
            done = run("verify", "-", "--dir", world.directory, "--at", AT, stdin=signer.sign(root))
            said.append(done.stdout.rpartition("; ")[2].strip())

        assert said == [
            f"RequestID {REQUEST_ID}, ResponseCode I99",
            "DCCAlertCode N64",
            f"MessageID 00-00-5E-EF-10-00-00-C2:{BROKER}:5",
        ]

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

    def test_one_certificate_may_be_trusted_by_itself(self, run: Run, world: World, signed: Path) -> None:
        pki = world.directory / "pki"

        good = run("verify", signed, "--cert", pki / "supplier-a" / "certificate.pem", "--at", AT)
        other = run("verify", signed, "--cert", pki / "supplier-b" / "certificate.pem", "--at", AT)
        missing = run("verify", signed, "--cert", pki / "none.pem", "--at", AT)
        both = run("verify", signed, "--cert", pki / "none.pem", "--trust", pki / "trust")

        assert [done.exit_code for done in (good, other, missing, both)] == [0, 10, 3, 2]
        assert missing.stderr == f"sr-engine: {pki / 'none.pem'} cannot be read: No such file or directory\n"

    def test_an_unsigned_refusal_passes_and_is_said_to_be_unsigned(self, run: Run, world: World) -> None:
        passed = run(*VERIFY, "--dir", world.directory, stdin=serialise_unsigned(response("E100")))
        other = run(*VERIFY, "--dir", world.directory, stdin=serialise_unsigned(response("I99")))

        assert passed.exit_code == 0
        assert passed.stdout == "-: not signed, and passes as a refusal without a result: E100\n"
        assert (other.exit_code, other.stdout) == (10, "")
        assert "the Response is not signed" in other.stderr

    def test_each_kind_of_message_is_signed_in_its_own_role_and_a_request_by_its_originator(
        self, run: Run, world: World
    ) -> None:
        supplier, other = (Signer(world.key(one.name)) for one in (A, B))
        answer, list_answer = supplier.sign(response("I0")), supplier.sign(message())

        said = [
            run(*VERIFY, "--dir", world.directory, stdin=data).stderr
            for data in (answer, list_answer, other.sign(request()))
        ]

        assert "has role 87; accepted here: 89" in said[0]
        assert "has role 87; accepted here: 06, 89" in said[1]
        assert f"the Request is signed by {B.eui}, which is not the originator" in said[2]

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
