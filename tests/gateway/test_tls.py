"""HTTPS with mutual authentication, and requests bound to the connections of their Users."""

from __future__ import annotations

import base64
import http.client
import shutil
import ssl
import subprocess
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from signing import Signer
from sr_engine.configuration import ConfigurationError, load_settings
from sr_engine.connections import ConnectionLimits, Crowd
from sr_engine.messages.csp import build_csp_message
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import ReadInventory, UpgradeListAcknowledgement
from sr_engine.peers import Forwarded, Peers, ProxyHeaders
from sr_engine.pipeline.answer import Answer
from sr_engine.serving import Door
from sr_engine.store.tables import audit as audit_records
from sr_engine.transport import incoming_tls, outgoing_tls
from tests.authority import Authority, common_name, unique_identifier
from tests.gateway.conftest import WAIT, HttpAnswer, still
from tests.gateway.guarded import Guarded, append, guarded, guarded_app
from tests.world import BROKER, A, B, TestHub, World, edit, make_world

HUB = TestHub(1)
OVER = "the connection that it came over is of"
INVENTORY = ReadInventory(device_id=HUB.chf)


@dataclass
class Site:
    """Authorities for servers and clients, and a served world."""

    servers: Authority
    clients: Authority
    folder: Path
    served: Guarded = field(init=False)

    @property
    def world(self) -> World:
        return self.served.world

    def context(self, certificate: tuple[Path, Path] | None, trusted: Path | None = None) -> ssl.SSLContext:
        """As a client has it, with a certificate or none."""
        context = ssl.create_default_context(cafile=str(trusted or self.servers.path))
        if certificate is not None:
            context.load_cert_chain(*certificate)
        return context

    def as_user(self, eui: str) -> ssl.SSLContext:
        return self.context(self.clients.issue(eui, unique_identifier(eui)))

    def inventory(self, tls: ssl.SSLContext | None, of: object = A) -> HttpAnswer:
        data = self.world.signed(of, INVENTORY, "8.2")  # type: ignore[arg-type]
        return self.served.post(data, tls)

    def refusals(self) -> list[tuple[str, str]]:
        statement = select(audit_records.c.actor, audit_records.c.detail).where(audit_records.c.action == "refused")
        with self.world.instance.reading_engine.connect() as connection:
            return [(row.actor, row.detail) for row in connection.execute(statement)]


@contextmanager
def site(tmp_path: Path, settings: str = "", prepare: Callable[[Path], None] = lambda _: None) -> Iterator[Site]:
    """A world at an https address; `settings` are added to those of `[tls]`."""
    pki = tmp_path / "tls"
    found = Site(Authority(pki, "servers"), Authority(pki, "clients"), pki)
    found.servers.issue("server", common_name("127.0.0.1"))
    found.clients.revoke([])

    def prepared(directory: Path) -> None:
        still(directory)
        own = f'certificate = "{pki}/server.crt"\nkey = "{pki}/server.key"\nclient_ca = "{pki}/clients.pem"'
        append(directory, f"[tls]\n{own}\n{settings}")
        prepare(directory)

    world = make_world(tmp_path / "instance", prepare=prepared)
    world.add_hubs([HUB])
    with guarded(world) as found.served:
        yield found
    world.close()


def _rsa(pki: Path) -> None:
    _put(Authority(pki / "rsa", "x").issue("s", common_name("x"), with_rsa=True), pki)


def _put(certificate_and_key: tuple[Path, Path], folder: Path) -> None:
    """In the place of the server's."""
    for source, name in zip(certificate_and_key, ("server.crt", "server.key"), strict=True):
        shutil.copy(source, folder / name)


def one_organisation(directory: Path) -> None:
    """Supplier A has a second User, which has B's EUI."""
    path = directory / "users.toml"
    first, _, second = path.read_text().partition("[[organisation]]\n")[2].partition("[[organisation]]\n")
    second = second[second.index("[[organisation.user]]") :]
    path.write_text(f"[[organisation]]\n{first}{second}")


def test_a_user_is_served_over_a_connection_of_its_own_and_nobody_without_a_certificate(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        answer = here.inventory(here.as_user(A.eui))
        assert here.world.decoded(Answer(answer.status, answer.body, answer.detail)).code == "I0"
        with pytest.raises((ssl.SSLError, ConnectionError)):
            here.inventory(here.context(None))
        stranger = Authority(tmp_path / "strangers", "strangers").issue("a", unique_identifier(A.eui))
        with pytest.raises((ssl.SSLError, ConnectionError)):
            here.inventory(here.context(stranger))


def test_a_request_over_the_connection_of_another_user_is_refused_before_anything_acts(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        data = here.world.signed(A, INVENTORY, "8.2")
        own = here.served.post(data, here.as_user(A.eui))
        before = here.world.snapshot()

        # New, and one that was answered before: its answer is for A alone.
        answers = [here.served.post(data, here.as_user(B.eui)), here.inventory(here.as_user(B.eui))]

        assert here.world.snapshot() == before
        for answer in answers:
            assert answer.status == 200
            assert b"<sr:ResponseCode>E100<" in answer.body or b"ResponseCode>E100<" in answer.body
            assert b"Signature" not in answer.body
            assert HUB.chf.encode() not in answer.body
            assert answer.detail == f"the message is of {A.eui}, and {OVER} {B.eui}"
        assert own.body not in [answer.body for answer in answers]
        assert here.refusals() == [("unauthenticated", f"E100: {answer.detail}") for answer in answers]


@pytest.mark.parametrize(("bound_to", "code"), [("organisation", "I0"), ("off", "I0"), ("user", "E100")])
def test_whose_certificate_is_enough_is_for_the_policy_to_say(tmp_path: Path, bound_to: str, code: str) -> None:
    def prepare(directory: Path) -> None:
        one_organisation(directory)
        edit(directory / "config" / "policy.toml", 'bound_to = "user"', f'bound_to = "{bound_to}"')

    with site(tmp_path, prepare=prepare) as here:
        answer = here.inventory(here.as_user(B.eui))

        assert f"ResponseCode>{code}<".encode() in answer.body


def test_a_certificate_that_names_no_eui_stands_for_nobody(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        answer = here.inventory(here.context(here.clients.issue("nobody", common_name("adapter.example"))))

        assert b"ResponseCode>E100<" in answer.body
        assert "names no EUI-64" in answer.detail


def test_a_message_of_a_csp_comes_over_a_connection_of_that_csp(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        region = here.world.instance.configuration.regions["North"]
        message = UpgradeListAcknowledgement(
            RequestId.make(region.csp_eui, BROKER, 1), here.world.clock.now(), "AB" * 16, "North", (HUB.chf,)
        )
        data = Signer(here.world.csp_key("North")).sign(build_csp_message(message))

        refused = here.served.post(data, here.as_user(A.eui), path="/api/v1/csp")
        taken = here.served.post(data, here.as_user(region.csp_eui), path="/api/v1/csp")

        assert (refused.status, taken.status) == (403, 404)
        assert refused.detail == f"the message is of {region.csp_eui}, and {OVER} {A.eui}"
        assert ("csp:North", refused.detail) in here.refusals()
        assert "was not sent to region North" in taken.detail


def test_where_certificates_are_optional_those_that_are_shown_bind(tmp_path: Path) -> None:
    with site(tmp_path, 'client_certificate = "optional"') as here:
        assert b"ResponseCode>I0<" in here.inventory(here.context(None)).body
        assert b"ResponseCode>E100<" in here.inventory(here.as_user(B.eui)).body


@pytest.mark.parametrize(
    ("version", "suites"),
    [
        (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-CHACHA20-POLY1305"),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA256"),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-AES128-GCM-SHA256"),
    ],
)
def test_other_suites_than_aes_gcm_with_ecdsa_are_not_spoken(
    tmp_path: Path, version: ssl.TLSVersion, suites: str
) -> None:
    with site(tmp_path) as here:
        context = here.as_user(A.eui)
        context.maximum_version = version
        context.set_ciphers(suites)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            here.inventory(context)

        context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
        assert here.inventory(context).status == 200


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl program chooses the suites of TLS 1.3")
@pytest.mark.parametrize(
    ("options", "served"),
    [
        (["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"], False),
        (["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384"], True),
        (["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], False),
    ],
)
def test_versions_and_suites_that_python_cannot_choose(tmp_path: Path, options: list[str], *, served: bool) -> None:
    with site(tmp_path) as here:
        certificate, key = here.clients.issue("a", unique_identifier(A.eui))
        to = ["-connect", f"127.0.0.1:{here.served.port}", "-cert", str(certificate), "-key", str(key), "-CAfile"]
        done = subprocess.run(
            ["openssl", "s_client", "-quiet", *to, str(here.servers.path), *options],
            input=b"GET /health/live HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n",
            capture_output=True,
            timeout=WAIT,
            check=False,
        )

        assert (b"alive" in done.stdout) is served


def test_with_a_revocation_list_that_is_overdue_nobody_is_let_in_until_there_is_a_newer_one(tmp_path: Path) -> None:
    pki = tmp_path / "tls"
    with site(tmp_path, f'client_crl = "{pki}/revoked.crl"') as here:
        own = here.as_user(A.eui)
        assert here.inventory(own).status == 200
        here.clients.revoke([], until=timedelta(hours=-1))
        _until(lambda: _is_refused(lambda: here.inventory(own)))
        here.clients.revoke([])
        _until(lambda: not _is_refused(lambda: here.inventory(own)))


def test_a_revoked_certificate_is_not_taken_and_others_are(tmp_path: Path) -> None:
    pki = tmp_path / "tls"
    with site(tmp_path, f'client_crl = "{pki}/revoked.crl"') as here:
        revoked = here.clients.issue("revoked", unique_identifier(A.eui))
        assert here.inventory(here.context(revoked)).status == 200

        here.clients.revoke([revoked[0]])

        _until(lambda: _is_refused(lambda: here.inventory(here.context(revoked))))
        assert here.inventory(here.as_user(A.eui)).status == 200


def test_certificates_are_renewed_while_it_serves(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        before = here.as_user(A.eui)
        kept = here.clients.issue("kept", unique_identifier(A.eui))
        new_servers, new_clients = (Authority(tmp_path / "new", name) for name in ("servers", "clients"))
        assert here.inventory(before).status == 200

        for source, name in zip(
            new_servers.issue("server", common_name("x")), ("server.crt", "server.key"), strict=True
        ):
            shutil.copy(source, here.folder / name)
        shutil.copy(new_clients.path, here.folder / "clients.pem")

        after = here.context(new_clients.issue("a", unique_identifier(A.eui)), new_servers.path)
        _until(lambda: not _is_refused(lambda: here.inventory(after)))
        # A client of the old authority is not let in any more.
        assert _is_refused(lambda: here.inventory(here.context(kept, new_servers.path)))


def test_files_that_do_not_belong_together_leave_the_old_ones_in_force(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with site(tmp_path) as here:
        (here.folder / "server.key").write_text("no key")

        _until(lambda: "so the old stays in force: TLS, where requests arrive" in caplog.text)

        assert here.inventory(here.as_user(A.eui)).status == 200


@pytest.mark.parametrize(
    ("break_", "said"),
    [
        (lambda pki: (pki / "server.crt").unlink(), "server.crt cannot be read"),
        (lambda pki: (pki / "server.key").write_text("x"), "are not the PEM files of a certificate and its key"),
        (lambda pki: (pki / "clients.pem").write_text("x"), "clients.pem holds no certificates or revocation lists"),
        (_rsa, "is not for an elliptic-curve key: only ECDHE-ECDSA is offered"),
    ],
)
def test_what_tls_cannot_use_is_named_at_start_up(tmp_path: Path, break_: Callable[[Path], object], said: str) -> None:
    with site(tmp_path) as here:
        settings = here.world.instance.settings
    break_(tmp_path / "tls")

    with pytest.raises(ConfigurationError) as caught:
        incoming_tls(settings)

    assert caught.value.problems[0].startswith("sr-engine.toml: tls: ")
    assert said in caught.value.problems[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[tls]\ncertificate = "a"\nkey = "b"', "tls.client_ca: is missing; without it client_certificate must be"),
        (
            '[tls]\ncertificate = "a"\nkey = "b"\nclient_ca = "c"\nclient_crl = "d"\nclient_certificate = "none"',
            'tls.client_crl: must be left out: client_certificate is "none"',
        ),
        ('[outgoing_tls.csps]\nkey = "b"', "outgoing_tls.csps.certificate: is missing; certificate and key belong"),
        ('[proxy]\naddresses = ["10.0.0.1/8"]', "proxy.addresses[1]: must be an address such as 10.0.0.7"),
    ],
)
def test_settings_that_contradict_one_another_are_named(tmp_path: Path, text: str, said: str) -> None:
    world = make_world(tmp_path)
    world.close()
    append(tmp_path, text)

    with pytest.raises(ConfigurationError) as caught:
        load_settings(tmp_path / "sr-engine.toml")

    assert said in "\n".join(caught.value.problems)


# --- Behind a reverse proxy ---------------------------------------------------------------------------------------


@contextmanager
def behind_a_proxy(tmp_path: Path, address: str = "127.0.0.1") -> Iterator[Site]:
    """A world that believes what is said by a proxy at an address."""
    pki = tmp_path / "tls"
    found = Site(Authority(pki, "servers"), Authority(pki, "clients"), pki)

    def prepare(directory: Path) -> None:
        still(directory)
        append(directory, f'[proxy]\naddresses = ["{address}"]')

    world = make_world(tmp_path / "instance", prepare=prepare)
    world.add_hubs([HUB])
    with guarded(world) as found.served:
        yield found
    world.close()


def _pem(path: Path) -> str:
    return urllib.parse.quote(path.read_text())


def _rfc_9440(path: Path) -> str:
    return f":{base64.b64encode(ssl.PEM_cert_to_DER_cert(path.read_text())).decode()}:"


@pytest.mark.parametrize("written", [_pem, _rfc_9440])
def test_what_a_known_proxy_has_verified_counts_as_shown(tmp_path: Path, written: Callable[[Path], str]) -> None:
    with behind_a_proxy(tmp_path) as here:

        def answer(eui: str) -> HttpAnswer:
            shown = written(here.clients.issue(eui, unique_identifier(eui))[0])
            headers = {"X-Client-Certificate": shown, "X-Client-Verified": "SUCCESS"}
            return here.served.post(here.world.signed(A, INVENTORY, "8.2"), headers=headers)

        assert b"ResponseCode>I0<" in answer(A.eui).body
        assert b"ResponseCode>E100<" in answer(B.eui).body


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, "show a certificate"),
        ({"X-Client-Certificate": "", "X-Client-Verified": "NONE"}, "show a certificate"),
        ({"X-Client-Certificate": "{}", "X-Client-Verified": "FAILED:expired"}, "the proxy has not verified"),
        ({"X-Client-Certificate": "{}"}, "the proxy has not verified"),
        ({"X-Client-Certificate": "rubbish", "X-Client-Verified": "SUCCESS"}, "is no certificate"),
        ({"X-Client-Certificate": "{}", "x-client-certificate": "{}", "X-Client-Verified": "SUCCESS"}, "stands twice"),
    ],
)
def test_what_is_not_verified_by_the_proxy_is_not_taken(tmp_path: Path, headers: dict[str, str], said: str) -> None:
    with behind_a_proxy(tmp_path) as here:
        shown = _pem(here.clients.issue("a", unique_identifier(A.eui))[0])
        before = here.world.snapshot()

        answer = here.served.post(
            here.world.signed(A, INVENTORY, "8.2"),
            headers={name: value.replace("{}", shown) for name, value in headers.items()},
        )

        assert answer.status == 403
        assert said in answer.detail
        assert here.world.snapshot() == before


def test_headers_of_whoever_is_no_known_proxy_count_for_nothing(tmp_path: Path) -> None:
    with behind_a_proxy(tmp_path, "10.1.2.3") as here:
        shown = _pem(here.clients.issue("a", unique_identifier(A.eui))[0])
        headers = {"X-Client-Certificate": shown, "X-Client-Verified": "SUCCESS", "X-Forwarded-For": "10.1.2.3"}

        answer = here.served.post(here.world.signed(A, INVENTORY, "8.2"), headers=headers)

        assert (answer.status, answer.detail[:18]) == (403, "show a certificate")


def test_pages_see_the_client_of_a_known_proxy_and_nobody_else_can_say_who_it_is(tmp_path: Path) -> None:
    seen: list[tuple[str, str]] = []

    async def page(scope: Any, _receive: Any, send: Any) -> None:
        seen.append((scope["client"][0], scope["scheme"]))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    limits = ConnectionLimits(9, 9, 9, 9, 9, 9999, 9, 9999, 9, 9)
    for proxy in ("127.0.0.1", "10.9.9.9"):
        known = ProxyHeaders([ip_network(proxy)], "C", "V", "X-Forwarded-For", "X-Forwarded-Proto", must_show=False)
        with guarded_app(Forwarded(page, Peers(known)), lambda listener: Door([listener], Crowd(limits))) as port:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
            said = {"X-Forwarded-For": "192.0.2.1, 203.0.113.7", "X-Forwarded-Proto": "https"}
            connection.request("GET", "/", headers=said)
            assert connection.getresponse().status == 204
            connection.close()

    assert seen == [("203.0.113.7", "https"), ("127.0.0.1", "http")]


# --- Outgoing -----------------------------------------------------------------------------------------------------


def test_outgoing_files_that_cannot_be_used_are_named_at_start_up(tmp_path: Path) -> None:
    world = make_world(
        tmp_path, prepare=lambda directory: append(directory, '[outgoing_tls.relay]\ntrusted = "no.pem"')
    )
    world.close()

    with pytest.raises(ConfigurationError) as caught:
        outgoing_tls(world.instance.settings)

    assert caught.value.problems[0].startswith("sr-engine.toml: outgoing_tls.relay: ")


def _is_refused(ask: Callable[[], HttpAnswer]) -> bool:
    try:
        return ask().status != 200
    except (ssl.SSLError, ConnectionError):
        return True


def _until(true: Callable[[], bool]) -> None:
    for _ in range(WAIT * 10):
        if true():
            return
        time.sleep(0.1)
    raise TimeoutError(f"it did not come true within {WAIT} s")
