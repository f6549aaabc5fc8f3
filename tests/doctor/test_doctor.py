"""What `sr-engine doctor` says of an instance that is in order, and of ten that are not."""

from __future__ import annotations

import json
import random
import socket
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from signing import Participant, make_pki
from sr_engine.cli.main import commands
from sr_engine.doctor.examining import examine
from sr_engine.doctor.findings import Verdict
from sr_engine.instance import create_instance
from tests.authority import Authority, common_name
from tests.gateway.guarded import append
from tests.world import BROKER, A, edit

PASSED = datetime.now(UTC)
_NOT_GIVEN_OUT = (20_000, 32_000)


def free_port() -> int:
    """Of those that the system gives to nobody who has not asked for it: it has to stay free, at every address."""
    while True:
        port = random.SystemRandom().randrange(*_NOT_GIVEN_OUT)
        with suppress(OSError), socket.create_server(("0.0.0.0", port)):
            return port


@pytest.fixture
def instance(tmp_path: Path) -> Path:
    """A new one at a free port; with a database in a file, which is what some of these break."""
    port = free_port()
    directory = tmp_path / "instance"
    create_instance(directory, now=PASSED, port=port)
    holidays = directory / "config" / "bank_holidays.toml"
    holidays.write_text(holidays.read_text().replace("complete_until = 2", "complete_until = 3", 1))
    return directory


def said(directory: Path, *options: str) -> tuple[int, list[dict[str, str]]]:
    done = CliRunner().invoke(commands, ["doctor", "--dir", str(directory), "--json", *options])
    return done.exit_code, json.loads(done.stdout)


def found(directory: Path) -> set[tuple[str, str, str, str]]:
    """What is not in order."""
    _, all_of_it = said(directory, "--offline")
    return {
        (
            one["verdict"],
            one["of"],
            one["says"].replace(str(directory), "HERE"),
            one["to_do"].replace(str(directory), "HERE"),
        )
        for one in all_of_it
        if one["verdict"] != "ok"
    }


def test_of_a_new_instance_there_is_nothing_to_say_but_that_it_is_a_trial(instance: Path) -> None:
    trial = CliRunner().invoke(commands, ["doctor", "--dir", str(instance), "--offline"])
    assert [one for one in trial.stdout.splitlines() if one.startswith("WARNING")] == [
        "WARNING webhooks: Suppliers can have messages sent into networks that are not public: 127.0.0.0/8, ::1/128",
        "WARNING webhooks: Suppliers can have messages sent without TLS: http://127.0.0.1:",
    ]
    edit(instance / "config" / "api.toml", 'networks = ["127.0.0.0/8", "::1/128"]', "networks = []")
    edit(instance / "config" / "api.toml", '"https://", "http://127.0.0.1:"', '"https://"')
    done = CliRunner().invoke(commands, ["doctor", "--dir", str(instance), "--offline"])

    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1] == "all is in order"
    assert "OK      database: sqlite, schema of revision " in done.stdout
    assert "OK      signing key: of " in done.stdout
    assert "->" not in done.stdout


def _no_settings(directory: Path) -> None:
    (directory / "sr-engine.toml").unlink()


def _wrong_values(directory: Path) -> None:
    edit(directory / "config" / "policy.toml", "requests_in_flight = 64", "requests_in_flight = 0")
    edit(directory / "users.toml", 'id = "supplier-a"', 'id = "Supplier A"')


def _console_of_before(directory: Path) -> None:
    edit(directory / "config" / "console.toml", "failures_anywhere", "# failures_anywhere")


def _pages_of_before(directory: Path) -> None:
    edit(directory / "config" / "operator.toml", "[attention]\n", "[attention]\nno_more = 1\n")


def _no_key(directory: Path) -> None:
    (directory / "pki" / "broker" / "key.pem").unlink()


def _key_of_somebody_else(directory: Path) -> None:
    edit(directory / "sr-engine.toml", "pki/broker/key.pem", f"pki/{A.name}/key.pem")
    edit(directory / "sr-engine.toml", "pki/broker/certificate.pem", f"pki/{A.name}/certificate.pem")


def _open_to_all(directory: Path) -> None:
    (directory / "pki" / "broker" / "key.pem").chmod(0o644)
    (directory / "sr-engine.toml").chmod(0o640)


def _no_database(directory: Path) -> None:
    (directory / "sr-engine.db").unlink()


def _older_schema(directory: Path) -> None:
    with sqlite3.connect(directory / "sr-engine.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    connection.close()


def _expiring(directory: Path) -> None:
    pki = directory / "pki" / "again"
    old = Participant("broker", BROKER, "89", PASSED - timedelta(days=400), PASSED + timedelta(days=10))
    make_pki(pki, [old], now=PASSED)
    edit(directory / "sr-engine.toml", "pki/broker/key.pem", "pki/again/broker/key.pem")
    edit(directory / "sr-engine.toml", "pki/broker/certificate.pem", "pki/again/broker/certificate.pem")


def _no_trust_in_a_user(directory: Path) -> None:
    for one in (directory / "pki" / "trust" / "certificates").glob(f"{A.name}-*.pem"):
        one.unlink()


def _tls_that_does_not_match(directory: Path) -> None:
    authority = Authority(directory / "tls", "clients")
    authority.issue("a", common_name("a"))
    authority.issue("b", common_name("b"))
    append(directory, '[tls]\ncertificate = "tls/a.crt"\nkey = "tls/b.key"\nclient_certificate = "none"')


def _revocations(directory: Path, until: timedelta) -> None:
    authority = Authority(directory / "tls", "clients")
    authority.issue("a", common_name("a"))
    authority.revoke([], until=until)
    own = 'certificate = "tls/a.crt"\nkey = "tls/a.key"\nclient_ca = "tls/clients.pem"'
    append(directory, f'[tls]\n{own}\nclient_crl = "tls/revoked.crl"')


def _overdue_revocations(directory: Path) -> None:
    _revocations(directory, timedelta(hours=-1))


def _revocations_soon_overdue(directory: Path) -> None:
    _revocations(directory, timedelta(hours=1))


def _no_sealing_key(directory: Path) -> None:
    (directory / "api.key").unlink()


def _a_token_for_two(directory: Path) -> None:
    users, token = directory / "users.toml", "ab" * 32
    append(directory, f'[registration_feed]\ntoken_sha256 = "{token}"')
    edit(users, f'eui = "{A.eui}"', f'eui = "{A.eui}"\ntoken_sha256 = "{token}"')


def _to_the_world(directory: Path) -> None:
    edit(directory / "sr-engine.toml", 'host = "127.0.0.1"', 'host = "0.0.0.0"')


@pytest.mark.parametrize(
    ("break_", "expected"),
    [
        (_no_settings, ("error", "instance", "HERE has no sr-engine.toml", "or make one with `sr-engine init`")),
        (
            _wrong_values,
            (
                "error",
                "configuration",
                "policy.toml: overload.requests_in_flight: must be a whole number of at least 1, not 0",
                "put it right in that file",
            ),
        ),
        (
            _console_of_before,
            (
                "error",
                "configuration",
                "console.toml: sign_in.failures_anywhere: is missing",
                "put it right in that file",
            ),
        ),
        (
            _pages_of_before,
            ("error", "configuration", "operator.toml: attention.no_more: is not a known key", "put it right"),
        ),
        (_no_key, ("error", "signing key", "HERE/pki/broker/key.pem", "where [signing] of sr-engine.toml says")),
        (
            _key_of_somebody_else,
            ("error", "signing key", f"its certificate is for {A.eui}", "use the certificate of that EUI"),
        ),
        (
            _open_to_all,
            (
                "error",
                "permissions",
                "others may use the key HERE/pki/broker/key.pem (mode 644)",
                "chmod 600 HERE/pki/broker/key.pem",
            ),
        ),
        (_no_database, ("error", "database", "there is no database HERE/sr-engine.db", "")),
        (
            _older_schema,
            ("error", "database", "is of revision 0001, and this version of sr-engine needs", "do as it says"),
        ),
        (_expiring, ("warning", "certificates", "signing: expires on ", "renew it before")),
        (
            _no_trust_in_a_user,
            (
                "warning",
                "trust",
                f"no valid certificate of {A.eui} is known: nothing that it signs is taken",
                "put its certificate into HERE/pki/trust/certificates",
            ),
        ),
        (
            _tls_that_does_not_match,
            ("error", "TLS", "are not the PEM files of a certificate and its key", "belong together"),
        ),
        (_overdue_revocations, ("error", "TLS", "a newer revocation list was due", "read without a restart")),
        (_revocations_soon_overdue, ("warning", "TLS", "the revocation list is overdue at", "put a newer one")),
        (_no_sealing_key, ("error", "sealing key", "HERE/api.key: No such file", "put back the one")),
        (_a_token_for_two, ("error", "configuration", "registration_feed and User", "put it right in that file")),
        (_to_the_world, ("warning", "TLS", "requests arrive at 0.0.0.0 over HTTP", "add [tls] to sr-engine.toml")),
    ],
)
def test_what_is_broken_is_named_and_what_to_do(
    instance: Path, break_: Callable[[Path], None], expected: tuple[str, str, str, str]
) -> None:
    verdict, of, says, to_do = expected
    break_(instance)

    assert [one for one in found(instance) if one[:2] == (verdict, of) and says in one[2] and to_do in one[3]], found(
        instance
    )
    assert said(instance, "--offline")[0] == (2 if verdict == "error" else 0)


def test_every_problem_is_named_in_one_go(instance: Path) -> None:
    _wrong_values(instance)
    _open_to_all(instance)

    assert [of for _, of, *_ in sorted(found(instance))] == [
        "configuration",
        "configuration",
        "permissions",
        "permissions",
    ]


def test_receivers_that_cannot_be_reached_are_named(instance: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as there:
        edit(instance / "users.toml", "http://127.0.0.1:8091/", f"http://127.0.0.1:{there.getsockname()[1]}/")
        edit(instance / "users.toml", "http://127.0.0.1:8092/", "http://127.0.0.1:9/")

        code, all_of_it = said(instance)

    receivers = [one for one in all_of_it if one["of"] == "receivers"]
    assert code == 0
    assert not [one for one in receivers if A.eui in one["says"]]
    assert [
        one
        for one in receivers
        if "at http://127.0.0.1:9/smartdcc/duis cannot be reached: Connection refused" in one["says"]
    ]


def test_a_receiver_whose_name_can_be_none_is_named_and_what_follows_is_looked_at(instance: Path) -> None:
    edit(instance / "users.toml", "http://127.0.0.1:8091/", f"http://{'a' * 70}.example/")

    _, all_of_it = said(instance)

    unreached = [one["says"] for one in all_of_it if one["of"] == "receivers" and one["verdict"] == "warning"]
    assert [one for one in unreached if A.eui in one and "cannot be reached: " in one]
    assert len(unreached) > 1


def test_an_address_that_somebody_else_has_is_an_error(instance: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = (instance / "sr-engine.toml").read_text()
        mine = next(line for line in text.splitlines() if line.startswith("port = "))
        edit(instance / "sr-engine.toml", mine, f"port = {port}")
        taken.settimeout(0)

        assert ("error", "address") in {one[:2] for one in found(instance)}


@pytest.mark.parametrize(("left", "verdict"), [(2**40, Verdict.OK), (2**30, Verdict.WARNING), (2**20, Verdict.ERROR)])
def test_a_disk_that_fills_is_named_before_it_is_full(instance: Path, left: int, verdict: Verdict) -> None:
    disks = [one for one in examine(instance, PASSED, offline=True, free=lambda _: left) if one.of == "disk"]

    assert [one.verdict for one in disks] == [verdict] * 2
    assert "GiB are left for the archive" in disks[0].says
