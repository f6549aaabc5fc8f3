"""Messages as JSON: what is exported is what the schema says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from jsonschema_rs import Draft202012Validator, meta

from sr_engine.messages.model import AlertBody, CommsHubAlert, Result
from sr_engine.parsing import json_schema, parse_alert, parse_message, parse_response, to_json
from tests.cli.conftest import Run, run
from tests.conftest import ROOT
from tests.messages import strategies
from tests.parsing.conftest import HUB, NOW, REQUEST_ID, Dcc

__all__ = ["run"]

CHECKED_IN = ROOT / "docs" / "messages.schema.json"


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json.loads(CHECKED_IN.read_text(encoding="utf-8"))
    meta.validate(schema)
    return Draft202012Validator(schema)


def test_the_schema_that_is_checked_in_is_the_one_that_the_code_says() -> None:
    assert json.loads(CHECKED_IN.read_text(encoding="utf-8")) == json_schema()


@settings(deadline=None, max_examples=25)
@given(result=strategies.results)
def test_every_response_that_is_exported_is_valid(
    dcc: Dcc, validator: Draft202012Validator, result: Result | None
) -> None:
    exported = json.loads(json.dumps(to_json(parse_response(dcc.response(result), dcc.trust, at=NOW))))

    validator.validate(exported)
    assert exported["request_id"] == REQUEST_ID


@settings(deadline=None, max_examples=25)
@given(body=strategies.alerts)
def test_every_alert_that_is_exported_is_valid(dcc: Dcc, validator: Draft202012Validator, body: AlertBody) -> None:
    exported = json.loads(json.dumps(to_json(parse_alert(dcc.alert(body), dcc.trust, at=NOW))))

    validator.validate(exported)
    assert exported["body"]["type"] == type(body).__name__


@pytest.mark.parametrize(
    "made",
    [
        lambda dcc: dcc.dcc_alert("<sr:PowerOutageEvent>?</sr:PowerOutageEvent>"),
        lambda dcc: dcc.changed(dcc.alert(CommsHubAlert(HUB, "A501")), "</sr:Header>", "<sr:New/></sr:Header>"),
        lambda dcc: dcc.message("<sr:SMETS1ResponseMessage>?</sr:SMETS1ResponseMessage>", request_id=True),
        lambda dcc: dcc.message("<sr:SMETS1ResponseMessage>?</sr:SMETS1ResponseMessage>"),
        lambda dcc: dcc.message(
            "<sr:ResponseMessage><sr:ServiceReference>11.2</sr:ServiceReference><sr:ServiceReferenceVariant>11.2"
            "</sr:ServiceReferenceVariant><sr:GBCSPayload>AA==</sr:GBCSPayload></sr:ResponseMessage>",
            request_id=True,
        ),
    ],
    ids=["unknown alert", "unknown element", "SMETS1 Response", "SMETS1 alert", "payload"],
)
def test_what_is_not_known_or_not_ours_is_exported_too(
    dcc: Dcc, validator: Draft202012Validator, made: Callable[[Dcc], bytes]
) -> None:
    validator.validate(json.loads(json.dumps(to_json(parse_message(made(dcc), dcc.trust, at=NOW)))))


@pytest.mark.parametrize(
    "change", [{"code": 1}, {"body": None}, {"more": 1}, {"type": "Letter"}, {"device_ids": []}], ids=str
)
def test_the_schema_does_not_let_everything_pass(
    dcc: Dcc, validator: Draft202012Validator, change: dict[str, Any]
) -> None:
    exported = to_json(parse_alert(dcc.alert(CommsHubAlert(HUB, "A501")), dcc.trust, at=NOW))

    assert validator.is_valid(exported)
    assert not validator.is_valid(exported | change)


def test_the_command_prints_messages_and_the_schema(
    dcc: Dcc, validator: Draft202012Validator, run: Run, tmp_path: Path
) -> None:
    alert = dcc.alert(CommsHubAlert(HUB, "A501"))
    (tmp_path / "alert.xml").write_bytes(alert)
    (tmp_path / "wrong.xml").write_bytes(alert.replace(b"A501", b"A502"))
    trust = ["--trust", dcc.pki.trust_directory, "--at", "2026-11-23T09:00:00Z"]

    good = run("parse", tmp_path / "alert.xml", *trust)
    mixed = run("parse", tmp_path / "wrong.xml", "-", *trust, stdin=alert)
    schema = run("parse", "--schema")

    assert (good.exit_code, mixed.exit_code, schema.exit_code) == (0, 10, 0)
    assert json.loads(good.stdout)["event"] == "SCHEDULED"
    validator.validate(json.loads(good.stdout))
    assert mixed.stdout == good.stdout
    assert "wrong.xml: the document was changed after it was signed" in mixed.stderr
    assert json.loads(schema.stdout) == json_schema()
