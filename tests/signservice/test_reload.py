"""Keys, certificates and tokens that change are taken up without a restart, and bad ones leave the old in force."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import timedelta
from pathlib import Path

import pytest

from signing import KeyUnavailable, Participant, Signer, SigningError, Trust, parse
from sr_engine.application import application
from sr_engine.signservice.keys import KeyRing
from sr_engine.signservice.permissions import Tokens
from sr_engine.watching import Watched
from tests.world import A, World, make_world

from .conftest import BROKER, NOW, OTHER, SUPPLIER, WAIT, Bench, request, response, until

NEW = "90-B3-D5-1F-30-03-00-00"


def test_a_new_key_and_its_certificate_are_taken_up_by_a_running_service(bench: Bench) -> None:
    api = bench.serve()
    assert api.sign(request(originator=NEW)).refusal == (400, "3")

    key = bench.pki.issue(Participant("new", NEW, "87"))

    until(lambda: api.sign(request(originator=NEW)).status == 200)
    until(lambda: api.verify(Signer(key).sign(parse(request(originator=NEW)).root)).status == 200)


def test_a_revocation_takes_effect_in_a_running_service(bench: Bench) -> None:
    api = bench.serve()
    signed = Signer(bench.key("broker")).sign_bytes(response())
    assert api.verify(signed).status == 200

    bench.pki.write_crl([bench.key("broker").serial], this_update=NOW, next_update=NOW + timedelta(days=1))

    until(lambda: api.verify(signed).status == 400)
    assert "is revoked" in api.verify(signed).content["error"]


def test_files_that_have_not_changed_are_read_once(bench: Bench) -> None:
    ring = KeyRing(bench.pki.directory, roles={"87"})
    watched = Watched("the keys", bench.pki.directory, ring.reload, pattern="*.pem")

    assert [watched.look() for _ in range(3)] == [True, False, False]
    assert watched.look(always=True)
    (bench.pki.directory / "notes.txt").write_text("not a key")
    assert not watched.look()


def test_a_key_that_cannot_be_used_leaves_the_old_ones_and_is_named_once_in_the_log(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    ring = KeyRing(bench.pki.directory, roles={"87"})
    watched = Watched("the keys", bench.pki.directory, ring.reload, pattern="*.pem")
    assert watched.look()
    path = bench.pki.directory / "other" / "key.pem"
    good = path.read_bytes()

    path.write_bytes((bench.pki.directory / "supplier" / "key.pem").read_bytes())
    assert [watched.look() for _ in range(3)] == [False] * 3
    assert ring.signer_of(OTHER, NOW)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "the old stays in force" in caplog.text

    path.write_bytes(good)
    assert watched.look()
    assert "read again: the keys" in caplog.text


def test_a_key_that_is_taken_away_no_longer_signs(bench: Bench) -> None:
    ring = KeyRing(bench.pki.directory, roles={"87"})

    (bench.pki.directory / "other" / "key.pem").unlink()
    ring.reload()

    assert ring.signer_of(SUPPLIER, NOW)
    with pytest.raises(KeyUnavailable, match="there is no key here to sign for"):
        ring.signer_of(OTHER, NOW)


def test_keys_of_other_roles_are_not_even_read(bench: Bench) -> None:
    (bench.pki.directory / "broker" / "key.pem").write_text("not a key at all")

    ring = KeyRing(bench.pki.directory, roles={"87"})

    with pytest.raises(KeyUnavailable):
        ring.signer_of(BROKER, NOW)


@pytest.mark.parametrize("roles", [{"88"}, {"87"}])
def test_a_folder_without_a_key_is_said_to_have_none(tmp_path: Path, bench: Bench, roles: set[str]) -> None:
    folder = bench.pki.directory if roles == {"88"} else tmp_path / "pki" / "trust"

    with pytest.raises(KeyUnavailable, match="holds no key to sign Requests with"):
        KeyRing(folder, roles=roles)
    with pytest.raises(KeyUnavailable, match="there is no folder of keys"):
        KeyRing(tmp_path / "nowhere", roles=roles)


def test_a_bad_certificate_leaves_the_old_ones_and_is_named(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    trust = Trust.from_directory(bench.pki.trust_directory)
    watched = Watched("the trusted certificates", bench.pki.trust_directory, trust.reload)
    known = trust.certificates
    bad = bench.pki.trust_directory / "certificates" / "bad.pem"

    bad.write_text("-----BEGIN CERTIFICATE-----\n")

    assert not watched.look()
    assert trust.certificates == known
    assert str(bad) in caplog.text


def test_a_token_that_is_taken_away_is_no_longer_let_in(tmp_path: Path, bench: Bench) -> None:
    path = tmp_path / "tokens"
    path.write_text(f"first-token-0123456789 {SUPPLIER}\n")
    api = bench.serve(tokens=path).with_headers(Authorization="Bearer first-token-0123456789")
    assert api.verify(response()).status == 200

    path.write_text(f"other-token-0123456789 {SUPPLIER}\n")

    until(lambda: api.verify(response()).status == 401)


def test_a_file_of_tokens_that_went_wrong_leaves_the_old_ones(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text(f"first-token-0123456789 {SUPPLIER}\n")
    tokens = Tokens(path)
    watched = Watched("the tokens", path, tokens.reload)
    before = dict(tokens._known)

    path.unlink()

    assert not watched.look()
    assert dict(tokens._known) == before


def test_the_processor_takes_up_a_change_of_its_trusted_certificates_while_it_runs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = make_world(tmp_path / "instance")
    certificates = world.instance.settings.trust_directory / "certificates"
    own = next(path for path in certificates.iterdir() if path.name.startswith(A.name))
    signed = Signer(world.key(A.name)).sign(parse(request(originator=A.eui)).root)

    async def run() -> None:
        app = application(world.instance)
        async with app.router.lifespan_context(app):
            assert _accepts(world, signed)
            (certificates / "bad.pem").write_text("not a certificate")
            own.unlink()
            await _until_logged(caplog, f"{certificates / 'bad.pem'}")
            assert _accepts(world, signed)
            (certificates / "bad.pem").unlink()
            await _until_logged(caplog, "read again: the trusted certificates")
            assert not _accepts(world, signed)

    asyncio.run(run())
    world.close()


def _accepts(world: World, message: bytes) -> bool:
    try:
        world.instance.verifier.verify(parse(message), roles={"87"}, at=world.clock.now())
    except SigningError:
        return False
    return True


async def _until_logged(caplog: pytest.LogCaptureFixture, text: str) -> None:
    deadline = time.monotonic() + WAIT
    while text not in caplog.text:
        assert time.monotonic() < deadline, f"{text!r} was never logged"
        await asyncio.sleep(0)
