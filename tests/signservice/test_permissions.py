"""Who is let in, by token or TLS certificate, and for whom each may sign."""

from __future__ import annotations

import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509

from sr_engine.signservice.permissions import Tokens, TokensUnusable
from sr_engine.signservice.server import Tls
from tests.authority import Authority, common_name, unique_identifier

from .conftest import OTHER, SUPPLIER, Api, Bench, request, response

FIRST, SECOND = "first-token-0123456789", "second-token-012345678"


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(f"# who may sign for whom\n\n{FIRST} {SUPPLIER.lower()}\n{SECOND} {SUPPLIER},{OTHER}\n")
    return path


def test_a_token_signs_for_its_originators_and_no_other(bench: Bench, token_file: Path) -> None:
    api = bench.serve(tokens=token_file)
    first = api.with_headers(Authorization=f"Bearer {FIRST}")
    second = api.with_headers(Authorization=f"bearer {SECOND}")

    assert first.sign(request()).status == 200
    refused = first.sign(request(originator=OTHER.lower()))
    assert refused.refusal == (403, "2")
    assert refused.content["error"] == f"you may not sign for {OTHER}"
    assert [second.sign(request(originator=eui)).status for eui in (SUPPLIER, OTHER)] == [200, 200]


@pytest.mark.parametrize(
    "authorization", [None, "Bearer", "Bearer wrong-token-0123456789", f"Basic {FIRST}", FIRST, f"Bearer {FIRST}x"]
)
def test_nobody_is_let_in_without_a_token_that_is_known(
    bench: Bench, token_file: Path, authorization: str | None
) -> None:
    api = bench.serve(tokens=token_file)
    caller = api if authorization is None else api.with_headers(Authorization=authorization)

    for answer in (caller.sign(request()), caller.verify(response())):
        assert answer.refusal == (401, "2")
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_every_token_may_verify(bench: Bench, token_file: Path) -> None:
    api = bench.serve(tokens=token_file).with_headers(Authorization=f"Bearer {FIRST}")

    assert api.verify(response()).status == 200


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "holds no token"),
        ("short 90-B3-D5-1F-30-01-00-00", ":1: expected a token of 16 or more"),
        (f"{FIRST}", ":1: expected a token"),
        (f"{FIRST} {SUPPLIER}, {OTHER}", ":1: expected a token"),
        (f"# one\n{FIRST} 90-B3", ":2: not an EUI-64"),
        (f"{FIRST} {SUPPLIER}\n{FIRST} {OTHER}", ":2: this token stands in an earlier line"),
    ],
)
def test_a_file_of_tokens_that_is_wrong_is_refused_without_quoting_it(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "tokens"
    path.write_text(text)

    with pytest.raises(TokensUnusable, match=reason) as caught:
        Tokens(path)

    assert FIRST not in str(caught.value)


def test_tokens_that_are_held_cannot_be_read_back(token_file: Path) -> None:
    tokens = Tokens(token_file)

    assert FIRST not in repr(vars(tokens))


# --- Mutual TLS ---------------------------------------------------------------------------------------------------


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "issuer")


@pytest.fixture
def https(bench: Bench, authority: Authority) -> Api:
    certificate, key = authority.issue("server", common_name("127.0.0.1"))
    api = bench.serve(tls=Tls(certificate, key, authority.path))
    return replace(api, tls=ssl.create_default_context(cafile=str(authority.path)))


def _as(https: Api, paths: tuple[Path, Path], authority: Authority) -> Api:
    context = ssl.create_default_context(cafile=str(authority.path))
    context.load_cert_chain(*paths)
    return replace(https, tls=context)


@pytest.mark.parametrize(
    "subject",
    [
        (unique_identifier(SUPPLIER),),
        (common_name(SUPPLIER),),
        (common_name(SUPPLIER.replace("-", "").lower()),),
        (common_name(OTHER), unique_identifier(SUPPLIER)),
    ],
)
def test_a_client_certificate_signs_for_the_eui_it_names(
    https: Api, authority: Authority, subject: tuple[x509.NameAttribute[str], ...]
) -> None:
    client = _as(https, authority.issue("client", *subject), authority)

    assert client.sign(request()).status == 200
    assert client.sign(request(originator=OTHER)).refusal == (403, "2")
    assert client.verify(response()).status == 200


def test_a_client_certificate_without_an_eui_is_not_let_in(https: Api, authority: Authority) -> None:
    client = _as(https, authority.issue("client", common_name("somebody")), authority)

    assert client.verify(response()).refusal == (401, "2")


def test_a_client_without_a_certificate_of_the_authority_gets_no_connection(
    https: Api, authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "stranger")

    for client in (https, _as(https, stranger.issue("other", common_name(SUPPLIER)), authority)):
        with pytest.raises(OSError):  # the handshake or the first read fails, as TLS has it
            client.verify(response())


def test_tls_and_tokens_go_together(bench: Bench, authority: Authority, token_file: Path) -> None:
    certificate, key = authority.issue("server", common_name("127.0.0.1"))
    api = replace(
        bench.serve(tls=Tls(certificate, key, None), tokens=token_file),
        tls=ssl.create_default_context(cafile=str(authority.path)),
    )

    assert api.sign(request()).refusal == (401, "2")
    assert api.with_headers(Authorization=f"Bearer {FIRST}").sign(request()).status == 200
