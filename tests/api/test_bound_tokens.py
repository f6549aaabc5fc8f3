"""Tokens that are good only over connections that have shown their certificate."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.parse
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from sr_engine.cli.main import commands
from tests.authority import unique_identifier
from tests.gateway.conftest import WAIT
from tests.gateway.guarded import guarded
from tests.gateway.test_tls import Site, behind_a_proxy, site
from tests.world import A, edit, reopen


def token(here: Site, *more: object) -> str:
    """One for Supplier A, made as an operator makes it."""
    arguments = ["api-token", *map(str, more), "--dir", str(here.world.directory)]
    done = CliRunner().invoke(commands, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


def created(here: Site, name: str, *more: object) -> str:
    return token(here, "create", name, "--user", A.eui, "--scope", "read", *more)


def asked(
    here: Site, secret: str, tls: ssl.SSLContext | None, headers: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """The status, and what is said if it is a problem."""
    connection = (
        http.client.HTTPConnection("127.0.0.1", here.served.port, timeout=WAIT)
        if tls is None
        else http.client.HTTPSConnection("127.0.0.1", here.served.port, timeout=WAIT, context=tls)
    )
    try:
        connection.request(
            "GET", "/api/v2/exclusions", headers={"Authorization": f"Bearer {secret}", **(headers or {})}
        )
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read()).get("detail", "")
    finally:
        connection.close()


def test_a_bound_token_is_good_over_connections_of_its_certificate_alone(tmp_path: Path) -> None:
    with site(tmp_path, 'client_certificate = "optional"') as here:
        own, other = (here.clients.issue(name, unique_identifier(A.eui)) for name in ("own", "other"))
        bound, free = created(here, "bound", "--certificate", own[0]), created(here, "free")
        seen = {
            name: [asked(here, secret, here.context(shown))[0] for shown in (own, other, None)]
            for name, secret in (("bound", bound), ("free", free))
        }
        said = asked(here, bound, here.context(other))

    assert seen == {"bound": [200, 401, 401], "free": [200, 200, 200]}, "the same EUI is not the same certificate"
    assert "bound to a certificate" in said[1]


def test_where_tokens_have_to_be_bound_no_other_is_made_or_good(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        own = here.clients.issue("own", unique_identifier(A.eui))
        free = created(here, "free")
        assert asked(here, free, here.context(own))[0] == 200
    edit(here.world.directory / "config" / "api.toml", "must_be_bound = false", "must_be_bound = true")
    world = reopen(here.world)
    with guarded(world) as here.served:
        arguments = ["api-token", "create", "crm", "--user", A.eui, "--scope", "read", "--dir", str(world.directory)]
        refused = [
            CliRunner().invoke(commands, some) for some in (arguments, ["api-token", "rotate", "free", *arguments[-2:]])
        ]
        bound = created(here, "bound", "--certificate", own[0])
        seen = [asked(here, secret, here.context(own))[0] for secret in (free, bound)]
    world.close()

    assert seen == [401, 200]
    assert {(one.exit_code, "name a file by --certificate" in one.stderr) for one in refused} == {(2, True)}


def test_a_token_that_is_rotated_is_bound_as_before_or_to_the_renewed_certificate(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        old, new = (here.clients.issue(name, unique_identifier(A.eui)) for name in ("old", "new"))
        created(here, "crm", "--certificate", old[0])
        as_before = token(here, "rotate", "crm")
        renewed = token(here, "rotate", "crm", "--certificate", new[0])
        seen = [
            [asked(here, secret, here.context(shown))[0] for shown in (old, new)] for secret in (as_before, renewed)
        ]

    assert seen == [[200, 401], [401, 200]]


def test_what_a_known_proxy_says_of_the_certificate_counts(tmp_path: Path) -> None:
    with behind_a_proxy(tmp_path) as here:
        own, other = (here.clients.issue(name, unique_identifier(A.eui))[0] for name in ("own", "other"))
        bound = created(here, "bound", "--certificate", own)

        def over(shown: Path, verdict: str = "SUCCESS") -> int:
            certificate = urllib.parse.quote(shown.read_text())
            return asked(here, bound, None, {"X-Client-Certificate": certificate, "X-Client-Verified": verdict})[0]

        assert [over(own), over(other), over(own, "FAILED:expired"), asked(here, bound, None)[0]] == [
            200,
            401,
            401,
            401,
        ]


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_a_file_that_is_no_certificate_is_named_and_no_token_made(tmp_path: Path, text: str | None) -> None:
    with site(tmp_path) as here:
        path = tmp_path / "file.pem"
        if text is not None:
            path.write_text(text)
        arguments = ["api-token", "create", "crm", "--user", A.eui, "--scope", "read", "--certificate", str(path)]
        done = CliRunner().invoke(commands, [*arguments, "--dir", str(here.world.directory)])
        listed = token(here, "list")

    assert done.exit_code == 2
    assert f"{path} is no certificate in PEM that can be read" in done.stderr
    assert "crm" not in listed
