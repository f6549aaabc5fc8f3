"""Sending a Service Request to a processor."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import click

from signing import DocumentRefused, parse
from sr_engine.cli.failures import ANSWERED_WITH_ERROR, ANYTHING_ELSE, Failure
from sr_engine.client.blocking import BlockingTransport
from sr_engine.client.exchange import XML, Call, NoReply, Reply
from sr_engine.messages.elements import DUIS

_TIMEOUT_SECONDS = 60
_OK = 200


@click.command(short_help="Post a signed Service Request, print the answer.")
@click.argument("file", metavar="FILE")
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="Address of the processor.")
@click.option("--service", default="serviceD", show_default=True, help="serviceD, serviceS or serviceT.")
def submit(file: str, url: str, service: str) -> None:
    """POST a signed Service Request (`-` is stdin) and print the answer.

    The answer goes to stdout; HTTP status, response code and DUIS-Response-Detail go to stderr. The answer's signature
    is not checked here: see verify.

    Exit codes: 0 for I and W codes, 1 for E codes, 2 if the request was not taken or could not be sent.
    """
    data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    reply = _post(url.rstrip("/") + f"/api/v1/{service}", data)
    status, detail, answer = reply.status, reply.headers.get("duis-response-detail", ""), reply.body
    code = _response_code(answer) if status == _OK else None
    click.echo(f"HTTP {status}{'' if code is None else f', {code}'}: {detail}", err=True)
    out = sys.stdout.buffer
    out.write(answer + (b"" if answer.endswith(b"\n") or not answer else b"\n"))
    out.flush()
    if code is None:
        click.get_current_context().exit(ANYTHING_ELSE)
    if code.startswith("E"):
        click.get_current_context().exit(ANSWERED_WITH_ERROR)


def _post(url: str, data: bytes) -> Reply:
    """The answer, whatever it is."""
    with closing(BlockingTransport()) as transport:
        try:
            reply = transport.call(Call("POST", url, {"Content-Type": XML}, data, _TIMEOUT_SECONDS))
        except ValueError:
            raise click.BadParameter(f"{url!r} is not an http or https address", param_hint="--url") from None
    if isinstance(reply, NoReply):
        raise Failure(f"{url} did not answer: {reply.reason}")
    return reply


def _response_code(answer: bytes) -> str | None:
    try:
        root = parse(answer).root
    except DocumentRefused:
        return None
    return root.findtext(f"{DUIS}Header/{DUIS}ResponseCode")
