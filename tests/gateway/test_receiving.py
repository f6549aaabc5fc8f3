"""What the upstream DCC sends to a User reaches it byte for byte, and only what upstream has signed for it."""

from __future__ import annotations

import shutil
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from lxml import etree
from sqlalchemy import select

from signing import Participant, Signer, SoftwareKey, make_pki
from signing.canonical import inclusive
from signing.compact import signature_around, signed_info_of
from sr_engine.messages.build import build_alert, build_response, serialise_unsigned
from sr_engine.messages.model import CommsHubAlert, ReadInventory, UnofferedBody
from sr_engine.store.outbox import sendable
from sr_engine.store.tables import audit
from tests.gateway.conftest import WAIT, XML_HEADERS, HttpAnswer, Served, serving
from tests.gateway.upstream import ANSWER, Upstream, upstream
from tests.outbox import messages
from tests.world import BROKER, NOW, A, B, TestHub, make_world

HUB = TestHub(1)
TOKEN = "let-me-in"
DS = "http://www.w3.org/2000/09/xmldsig#"
ANSWER_SECONDS = timedelta(seconds=3)
"""`answer_seconds` of policy.toml."""


@pytest.fixture
def dcc() -> Iterator[Upstream]:
    with upstream() as running:
        yield running


@pytest.fixture
def key(tmp_path: Path) -> SoftwareKey:
    """The key with which upstream signs: another one than this processor's, for the same EUI."""
    make_pki(tmp_path / "upstream", [Participant("dcc", BROKER, "89")], now=NOW)
    return SoftwareKey.load(
        tmp_path / "upstream" / "dcc" / "key.pem", tmp_path / "upstream" / "dcc" / "certificate.pem"
    )


def _trusting(tmp_path: Path, dcc: Upstream, *lines: str) -> Callable[[Path], None]:
    """An instance that relays to `dcc` and knows its certificate; `lines` are further settings of [relay]."""
    change = dcc.prepare(*lines)

    def prepare(directory: Path) -> None:
        change(directory)
        pinned = directory / "pki" / "trust" / "pinned"
        pinned.mkdir()
        shutil.copy(tmp_path / "upstream" / "dcc" / "certificate.pem", pinned / "dcc.pem")

    return prepare


@pytest.fixture
def served(tmp_path: Path, dcc: Upstream, key: SoftwareKey) -> Iterator[Served]:
    world = make_world(tmp_path / "instance", prepare=_trusting(tmp_path, dcc))
    with serving(world) as running:
        yield running
    world.close()


def _response(originator: str = A.eui) -> etree._Element:
    return build_response(
        schema_version="5.4",
        request_id=f"{originator}:{HUB.chf}:7",
        response_id=f"{HUB.chf}:{originator}:7",
        code="I0",
        at=NOW,
        service_reference="4.1",
        service_reference_variant="4.1.1",
        result=None,
    )


def _signed(key: SoftwareKey, *, originator: str = A.eui) -> bytes:
    return Signer(key).sign(_response(originator))


def _signed_around(key: SoftwareKey, root: etree._Element) -> bytes:
    """Signed as a whole, though it holds a Signature already, which a Signer does not do."""
    document = inclusive(root)
    digest, end = b64encode(sha256(document).digest()), document.rindex(b"</")
    value = b64encode(key.sign(signed_info_of(digest)))
    to_digest, to_value, to_end = signature_around(key.issuer_name.encode(), str(key.serial).encode())
    return document[:end] + to_digest + digest + to_value + value + to_end + document[end:]


def _alert(key: SoftwareKey) -> bytes:
    return Signer(key).sign(
        build_alert(schema_version="5.4", alert_code="N55", body=CommsHubAlert(HUB.chf, "8F01", NOW), at=NOW)
    )


def _send(served: Served, data: bytes, to: str = A.eui, **headers: str) -> HttpAnswer:
    return served.post(data, f"/api/v1/receive/{to}", headers={**XML_HEADERS, **headers})


def _queued(served: Served) -> list[tuple[object, ...]]:
    with served.world.instance.reading_engine.connect() as connection:
        return [(one.kind, one.destination, one.body) for one in messages(connection)]


def _due(served: Served, now: datetime) -> list[bytes]:
    """What could be sent to A now."""
    with served.world.instance.reading_engine.connect() as connection:
        return [one.body for one in sendable(connection, f"user:{A.eui}", now, 10)]


def _trail(served: Served) -> list[tuple[str, str, str | None]]:
    with served.world.instance.reading_engine.connect() as connection:
        rows = connection.execute(select(audit).where(audit.c.actor == "upstream").order_by(audit.c.audit_id))
        return [(row.action, row.detail, row.message_key) for row in rows]


def test_a_response_and_an_alert_reach_their_user_byte_for_byte_once_each(
    served: Served, dcc: Upstream, key: SoftwareKey
) -> None:
    sent = [b"\xef\xbb\xbf" + _signed(key) + b"\r\n", _alert(key)]

    answers = [_send(served, data, to) for data in sent for to in (A.eui, A.eui.lower())]

    assert [(one.status, one.body) for one in answers] == [(204, b"")] * 4
    assert _queued(served) == [("response", f"user:{A.eui}", data) for data in sent]
    served.world.clock.set(NOW + ANSWER_SECONDS)
    for _ in sent:
        assert dcc.came.acquire(timeout=WAIT), "nothing was delivered"
    assert sorted(dcc.delivered) == sorted(sent)
    relayed, alert = _trail(served)
    assert (relayed[0], relayed[2]) == ("relayed", f"{A.eui}:{HUB.chf}:7")
    assert relayed[1].startswith(f"I0, passed on to User {A.eui} as message ")
    assert alert[0] == "relayed"


def test_a_response_does_not_overtake_the_answer_to_its_request(
    served: Served, dcc: Upstream, key: SoftwareKey
) -> None:
    world = served.world
    request_id = f"{A.eui}:{HUB.chf}:7"
    request = world.signed(A, UnofferedBody("UpdatePaymentMode"), "1.6", request_id=request_id, command_variant=4)
    dcc.handler = dcc.holding
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(served.post, request, "serviceT")
        dcc.wait_until_asked()
        before_the_answer, alert = _signed(key), _alert(key)
        assert [_send(served, data).status for data in (before_the_answer, alert)] == [204, 204]
        assert dcc.came.acquire(timeout=WAIT), "the alert, which answers nothing, was not delivered"
        assert before_the_answer not in _due(served, NOW)
        world.clock.set(NOW + timedelta(seconds=2))
        dcc.go.set()
        assert asked.result().body == ANSWER
    root = _response()
    root[0][-2].text = "I99"
    after_the_answer = Signer(key).sign(root)

    assert _send(served, after_the_answer).status == 204
    assert after_the_answer not in _due(served, NOW + timedelta(seconds=2))
    assert dcc.delivered == [alert]
    world.clock.set(NOW + timedelta(seconds=2) + ANSWER_SECONDS)
    for _ in range(2):
        assert dcc.came.acquire(timeout=WAIT), "it was never delivered"
    assert sorted(dcc.delivered) == sorted([alert, before_the_answer, after_the_answer])
    root[0][-2].text = "E21"
    assert _send(served, Signer(key).sign(root)).status == 204
    assert dcc.came.acquire(timeout=WAIT), "what is late waits for nothing"


def test_a_response_of_a_kind_that_is_not_known_here_is_passed_on_all_the_same(
    served: Served, key: SoftwareKey
) -> None:
    root = _response()
    body = root[1]
    body.remove(body[0])
    etree.SubElement(body, f"{{{etree.QName(root).namespace}}}DeviceAlertMessage").text = "81 8F 1E"
    header = root[0]
    header[-1].text = "2026-11-23T09:00:00"  # a time without a zone, which is valid
    data = Signer(key).sign(root)

    assert _send(served, data).status == 204
    assert _queued(served) == [("response", f"user:{A.eui}", data)]


def test_a_message_that_says_the_same_is_delivered_once_whoever_changes_what_is_not_signed(
    served: Served, key: SoftwareKey
) -> None:
    data, alert = _signed(key), _alert(key)
    copies = [
        data + b"\n",
        b"\xef\xbb\xbf" + data,
        data.replace(b'<?xml version="1.0" encoding="UTF-8"?>', b""),
        data.replace(b"<sr:ResponseCode>", b"<sr:ResponseCode >"),
        _signed(key),
    ]

    assert [_send(served, one).status for one in (data, *copies, alert, _alert(key))] == [204] * 8
    assert len({data, *copies}) == 6
    assert [body for *_, body in _queued(served)] == [data, alert]


def test_a_response_of_a_smets1_device_holds_the_signature_of_its_provider_and_is_passed_on(
    served: Served, key: SoftwareKey
) -> None:
    """`SMETS1SignedResponse` is signed in itself; the whole is signed by upstream besides."""
    root = _response()
    namespace, body = etree.QName(root).namespace, root[1]
    body.remove(body[0])
    carried = etree.SubElement(
        etree.SubElement(body, f"{{{namespace}}}SMETS1ResponseMessage"), f"{{{namespace}}}SMETS1SignedResponse"
    )
    etree.SubElement(carried, f"{{{namespace}}}SMETS1Response").text = "of another profile"
    etree.SubElement(carried, f"{{{DS}}}Signature").text = "of another profile, too"
    data = _signed_around(key, root)
    elsewhere = _response()
    etree.SubElement(elsewhere[1][0], f"{{{namespace}}}GBCSPayload").append(etree.Element(f"{{{DS}}}Signature"))

    assert _send(served, data).status == 204
    assert _queued(served) == [("response", f"user:{A.eui}", data)]
    assert _send(served, data.replace(b"another profile,", b"no profile,")).status == 403
    assert _send(served, _signed_around(key, elsewhere)).status == 400


def test_nobody_learns_whom_there_is_by_sending_what_upstream_has_not_signed(served: Served, key: SoftwareKey) -> None:
    nobody = "00-00-5E-EF-10-00-00-FF"
    for data in (b"", serialise_unsigned(_response()), _signed(served.world.key(A.name))):
        known, unknown = (_send(served, data, eui) for eui in (B.eui, nobody))
        assert (known.status, known.detail) == (unknown.status, unknown.detail)
    of_a = _signed(key)
    known, unknown = (_send(served, of_a, eui) for eui in (B.eui, nobody))
    assert (known.status, known.detail.replace(B.eui, nobody)) == (unknown.status, unknown.detail)


def test_the_same_bytes_to_another_user_are_another_message(served: Served, key: SoftwareKey) -> None:
    data = _alert(key)

    assert [_send(served, data, to).status for to in (A.eui, B.eui)] == [204, 204]
    assert [destination for _, destination, _ in _queued(served)] == [f"user:{A.eui}", f"user:{B.eui}"]


def test_a_response_to_somebody_else_s_request_is_refused_and_that_is_in_the_trail(
    served: Served, key: SoftwareKey
) -> None:
    answer = _send(served, _signed(key, originator=B.eui))

    assert (answer.status, answer.headers["Content-Type"]) == (403, "application/problem+xml")
    assert B.eui not in answer.detail
    assert _queued(served) == []
    assert [(action, detail) for action, detail, _ in _trail(served)] == [
        ("refused", f"the message answers a request that User {A.eui} has not sent")
    ]


def test_what_upstream_has_not_signed_goes_to_nobody(served: Served, tmp_path: Path, key: SoftwareKey) -> None:
    world = served.world
    stranger = make_pki(tmp_path / "stranger", [Participant("dcc", BROKER, "89")], now=NOW)
    assert stranger.trust_directory.is_dir()
    folder = tmp_path / "stranger" / "dcc"
    request = world.signed(A, ReadInventory(device_id=HUB.chf), "8.2")
    good = _signed(key)
    refused = {
        403: [
            _signed(world.key(A.name)),
            _signed(world.key("broker")),
            _signed(SoftwareKey.load(folder / "key.pem", folder / "certificate.pem")),
            good.replace(b">I0<", b">I99<"),
        ],
        400: [
            b"",
            good[:-1],
            good.replace(b"ResponseCode", b"ResponseKode"),
            good.replace(b"</sr:Header>", b"</sr:Header><!-- -->"),
            serialise_unsigned(_response()),
            request,
        ],
    }

    for status, letters in refused.items():
        for data in letters:
            answer = _send(served, data)
            assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+xml"), data
    assert _queued(served) == []


@pytest.mark.parametrize("eui", ["00-00-5E-EF-10-00-00-FF", "nobody", BROKER])
def test_a_message_to_nobody_known_is_not_found(served: Served, key: SoftwareKey, eui: str) -> None:
    assert _send(served, _alert(key), eui).status == 404


def test_upstream_may_be_asked_for_a_token_besides(tmp_path: Path, dcc: Upstream, key: SoftwareKey) -> None:
    token = f'token_sha256 = "{sha256(TOKEN.encode()).hexdigest()}"'

    world = make_world(tmp_path / "instance", prepare=_trusting(tmp_path, dcc, token))
    with serving(world) as served:
        data = _alert(key)
        without = _send(served, data)

        assert (without.status, without.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert _send(served, data, Authorization="Bearer wrong").status == 401
        assert _queued(served) == []
        assert _send(served, data, Authorization=f"Bearer {TOKEN}").status == 204
    world.close()
