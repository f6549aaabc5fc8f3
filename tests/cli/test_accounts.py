"""`sr-engine account`: who may sign in to the console."""

from __future__ import annotations

import pyotp

from tests.cli.conftest import Run
from tests.world import A, World


def test_an_account_is_added_listed_disabled_and_let_in_again(run: Run, world: World) -> None:
    here = ("--dir", world.directory)
    added = run("account", "add", "ann", "--organisation", A.name, "--role", "act", *here)
    assert added.exit_code == 0
    assert "its first password is" in added.stdout
    assert run("account", "add", "olga", "--operator", *here).exit_code == 0
    listed = run("account", "list", *here).stdout
    assert "act, view" in listed
    assert "(operator)" in listed
    assert "shut out" in run("account", "disable", "ann", *here).stdout
    assert "disabled" in run("account", "list", *here).stdout
    assert "may sign in" in run("account", "disable", "ann", "--undo", *here).stdout
    trail = run("audit", "show", *here).stdout
    for action in ("account added", "account disabled", "account enabled"):
        assert action in trail


def test_a_new_first_password_is_another_one(run: Run, world: World) -> None:
    first = run("account", "add", "ann", "--organisation", A.name, "--dir", world.directory).stdout.split()[-1]
    second = run("account", "password", "ann", "--dir", world.directory).stdout.split()[-1]
    assert len(first) == len(second) == 23
    assert first != second


def test_a_second_factor_is_given_and_taken_away(run: Run, world: World) -> None:
    here = ("--dir", world.directory)
    run("account", "add", "olga", "--operator", *here)
    given = run("account", "totp", "olga", *here).stdout
    (key,) = [line.removeprefix("key: ") for line in given.splitlines() if line.startswith("key: ")]
    assert len(pyotp.TOTP(key).now()) == 6
    assert "yes" in run("account", "list", *here).stdout
    assert "no second factor now" in run("account", "totp", "olga", "--remove", *here).stdout
    assert "had no failures" in run("account", "unlock", "olga", *here).stdout


def test_what_cannot_be_is_said_in_words(run: Run, world: World) -> None:
    here = ("--dir", world.directory)
    nobody = run("account", "password", "nobody", *here)
    assert nobody.exit_code == 2
    assert "there is no account nobody" in nobody.stderr
    assert "no organisation elsewhere" in run("account", "add", "ann", "--organisation", "elsewhere", *here).stderr
    assert "small letters" in run("account", "add", "Ann!", "--operator", *here).stderr
    assert run("account", "add", "ann", *here).exit_code == 2
