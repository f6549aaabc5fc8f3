"""Tokens of the interface for CRM systems, from the command line."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest

from sr_engine.operations.api_tokens import find
from sr_engine.store.api_tokens import Token
from sr_engine.store.tables import api_tokens
from tests.cli.conftest import Run
from tests.world import A, World

MAKE = ("api-token", "create", "crm", "--user", A.eui, "--scope", "read", "--scope", "act")


def good(world: World, secret: str, *, in_hours: float = 0) -> Token | None:
    """The token, as of the time of the command line."""
    with world.instance.reading_engine.connect() as connection:
        found = connection.execute(api_tokens.select()).all()
        newest = max(row.created_at for row in found)
        return find(connection, secret, newest + timedelta(hours=in_hours, seconds=1))


def test_a_token_is_printed_once_and_only_its_hash_is_kept(world: World, run: Run) -> None:
    secret = run(*MAKE, "--dir", world.directory).stdout.strip()

    token = good(world, secret)

    assert token is not None
    assert (token.name, token.user_eui, token.scopes) == ("crm", A.eui, {"read", "act"})
    assert secret not in run("api-token", "list", "--dir", world.directory).stdout
    with world.instance.reading_engine.connect() as connection:
        (row,) = connection.execute(api_tokens.select()).all()
    assert row.secret_sha256 == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in str(row)


def test_after_a_rotation_the_former_secret_is_good_for_the_overlap_and_no_longer(world: World, run: Run) -> None:
    old = run(*MAKE, "--dir", world.directory).stdout.strip()
    new = run("api-token", "rotate", "crm", "--overlap-hours", "2", "--dir", world.directory).stdout.strip()

    assert old != new
    assert good(world, old, in_hours=1) is not None
    assert good(world, old, in_hours=2) is None
    assert good(world, new, in_hours=10_000) is not None


def test_a_token_that_is_revoked_is_good_no_more_nor_are_those_it_took_the_place_of(world: World, run: Run) -> None:
    old = run(*MAKE, "--dir", world.directory).stdout.strip()
    new = run("api-token", "rotate", "crm", "--dir", world.directory).stdout.strip()

    assert run("api-token", "revoke", "crm", "--dir", world.directory).stdout == "2 revoked\n"

    assert good(world, old) is None
    assert good(world, new) is None
    trail = run("audit", "show", "--dir", world.directory).stdout
    assert "api token created" in trail
    assert "api token rotated" in trail
    assert "api token revoked" in trail


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("create", "crm", "--user", "00-00-00-00-00-00-00-00", "--scope", "read"), "there is no User"),
        (("create", "crm", "--user", A.eui, "--scope", "registrations"), "no User's"),
        (("create", "feed", "--scope", "registrations", "--scope", "read"), "no User's"),
        (("create", "feed", "--scope", "read"), "all others are a User's"),
        (("create", "Mr CRM", "--user", A.eui, "--scope", "read"), "lower-case letters"),
        (("rotate", "crm"), "there is no token crm"),
        (("revoke", "crm"), "there is no token crm"),
    ],
)
def test_what_cannot_be_done_says_why(world: World, run: Run, arguments: tuple[str, ...], why: str) -> None:
    result = run("api-token", *arguments, "--dir", world.directory)

    assert result.exit_code != 0
    assert why in " ".join(result.stderr.split())


def test_two_tokens_that_are_good_have_not_one_name(world: World, run: Run) -> None:
    run(*MAKE, "--dir", world.directory)

    assert "rotate it, or revoke it" in " ".join(run(*MAKE, "--dir", world.directory).stderr.split())
