"""The HTTP side: addresses, methods, bodies, sizes, and what is said of what went wrong."""

from __future__ import annotations

import base64
import http.client
import json
from pathlib import Path

import pytest

from sr_engine.signservice.app import HEAVY_BYTES, MAX_BODY_BYTES

from .conftest import WAIT, Api, Bench, request, response


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["/sign", "/verify"])
def test_other_methods_are_not_allowed(api: Api, path: str, method: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=WAIT)
    connection.request(method, path)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()

    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert method == "HEAD" or set(json.loads(content)) == {"error", "errorCode"}


@pytest.mark.parametrize("path", ["/", "/sign/", "/Sign", "/verify/x", "/health", "//sign"])
def test_there_is_nothing_elsewhere(api: Api, path: str) -> None:
    assert api.post(path, request()).refusal == (404, "2")


def test_a_query_changes_nothing(api: Api) -> None:
    assert api.post("/sign?x=1", request()).status == 200


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 200_000, "not JSON"),
        (b"9" * 5_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"{}", "no message"),
        (b'{"message": 1}', "no message"),
        (b'{"message": null}', "no message"),
        (b'{"message": "*"}', "not base64"),
        (b'{"message": "AAAAA"}', "not base64"),
        (b'{"message": "AA AA"}', "not base64"),
        ('{"message": "ÄÄÄÄ"}'.encode(), "not base64"),
        (b'{"message": "", "preserveCounter": "true"}', "neither true nor false"),
        (b'{"message": "", "preserveCounter": null}', "neither true nor false"),
    ],
)
@pytest.mark.parametrize("path", ["/sign", "/verify"])
def test_a_body_that_is_not_the_json_of_the_api_is_refused(api: Api, path: str, body: bytes, reason: str) -> None:
    refused = api.send(path, body)

    assert refused.refusal == (400, "2")
    assert reason in refused.content["error"]


def test_base64_may_lack_its_padding(api: Api) -> None:
    messages = [response() + b"\n" * number for number in range(3)]

    for message in messages:
        text = base64.b64encode(message).decode().rstrip("=")
        assert api.send("/verify", json.dumps({"message": text}).encode()).message == message


def test_verify_takes_no_notice_of_preserve_counter(api: Api) -> None:
    assert api.post("/verify", response(), preserveCounter=True).message == response()


def test_a_large_message_is_signed_and_verified(api: Api) -> None:
    ids = ",".join(f"00-00-5E-EF-10-{n >> 16:02X}-{n >> 8 & 255:02X}-{n & 255:02X}" for n in range(50_000))
    image = base64.b64encode(bytes(2_000_000)).decode()
    version = "<sr:FirmwareVersion>00000001</sr:FirmwareVersion>"
    body = f"<sr:FirmwareImage>{image}</sr:FirmwareImage>{version}<sr:DeviceIDList>{ids}</sr:DeviceIDList>"
    message = (
        request()
        .replace(b">8.2<", b">11.1<")
        .replace(b"ReadInventory", b"UpdateFirmware")
        .replace(b"<sr:DeviceID>00-00-5E-EF-10-00-00-01</sr:DeviceID>", body.encode())
    )
    assert len(message) > HEAVY_BYTES

    signed = api.sign(message)

    assert signed.status == 200
    assert ids.encode() in api.verify(signed.message).message


def test_a_body_of_the_largest_size_is_read_and_one_byte_more_is_not(api: Api) -> None:
    largest = b'{"message": "' + b"A" * (MAX_BODY_BYTES - 16) + b'"} '
    assert len(largest) == MAX_BODY_BYTES == 17 * 1024 * 1024

    # All of it was decoded: zeros, which are no XML.
    assert api.send("/verify", largest).refusal == (400, "10")
    refused = api.send("/verify", largest + b" ")
    assert refused.refusal == (413, "2")
    assert "17825792 bytes" in refused.content["error"]
    assert api.verify(response()).status == 200


def test_a_body_that_does_not_tell_its_size_is_cut_off_as_well(api: Api) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=WAIT)
    connection.request("POST", "/sign", body=iter([b" " * 1_000_000] * 18), encode_chunked=True)

    assert connection.getresponse().status == 413
    connection.close()


def test_a_web_page_is_not_served(api: Api) -> None:
    page = api.with_headers(Origin="http://127.0.0.1:8100")
    pretending = api.with_headers(Origin="http://127.0.0.1:8100", Authorization="Bearer anything")

    assert pretending.sign(request()).refusal == (403, "2")
    assert page.sign(request()).refusal == (403, "2")
    assert page.verify(response()).refusal == (403, "2")


def test_a_counter_that_cannot_be_kept_gives_no_signature(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    api = bench.serve()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fdatasync", full)
        refused = [api.sign(request()) for _ in range(2)]

    assert [one.refusal for one in refused] == [(500, "2")] * 2
    assert "No space left on device" not in refused[0].content["error"]
    assert "No space left on device" in caplog.text
    assert api.sign(request()).status == 200


def test_no_answer_and_no_log_line_shows_a_private_key(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    pems = [path.read_text() for path in Path(bench.pki.directory).rglob("key.pem")]
    secrets = {line for pem in pems for line in pem.splitlines() if "-" not in line}
    parts = bench.parts()
    api = bench.serve()

    answers = [
        api.sign(request()),
        api.sign(request(originator="00-00-5E-EF-10-00-00-A1")),
        api.sign(b"<x/>"),
        api.verify(request()),
        api.send("/sign", b"{"),
    ]

    said = caplog.text + repr([answer.content for answer in answers]) + repr(parts) + repr(bench.options)
    assert secrets
    assert not [secret for secret in secrets if secret in said]
