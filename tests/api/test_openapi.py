"""The document that describes the interface: checked in, served, and kept to."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import checks
from schemathesis.core.result import Ok

from sr_engine.api.app import application
from sr_engine.store.api_tokens import Scope
from tests.api.conftest import SOLE, ApiWorld
from tests.requests.conftest import schedule_id
from tests.world import A

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"


def test_the_document_that_is_checked_in_is_the_one_that_is_served(api: ApiWorld) -> None:
    """`python -m tests.api.write_openapi` writes it anew."""
    served = api.client(A).get("/openapi.json")

    assert served == application().openapi()
    assert json.loads(DOCUMENT.read_text(encoding="utf-8")) == served
    assert served["openapi"].startswith("3.1")


def fuzzed(api: ApiWorld, examples: int) -> Counter[str]:
    """Send to every operation so many requests that its schema allows, or just not; count what came back."""
    token, feed = api.token(A), api.token(None, frozenset({Scope.REGISTRATIONS}))
    schema = schemathesis.openapi.from_dict(_without_stream(application().openapi()))
    base = f"http://127.0.0.1:{api.port}/api/v2"
    counted: Counter[str] = Counter()
    known = _known(api)

    def send(case: Any) -> None:
        whose = feed if case.path == "/registrations" else token
        if counted.total() % 2 and case.path_parameters:
            # No chance draws an id that there is.
            case.path_parameters = {name: known[name] for name in case.path_parameters}
        if str((case.query or {}).get("wait", "")).isdecimal():
            # How long nothing happens need not be waited for each time.
            case.query["wait"] = 0
        answer = case.call(base_url=base, headers={"Authorization": f"Bearer {whose}"})
        counted[f"{case.method} {case.path} {answer.status_code}"] += 1
        assert answer.status_code < 500, (case, answer.text)
        case.validate_response(
            answer,
            checks=[
                checks.not_a_server_error,
                checks.status_code_conformance,
                checks.content_type_conformance,
                checks.response_schema_conformance,
                checks.response_headers_conformance,
            ],
        )

    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()
        for mode in schemathesis.GenerationMode:
            strategy = operation.as_strategy(generation_mode=mode)
            _run(strategy, send, examples)
    return counted


def _known(api: ApiWorld) -> dict[str, Any]:
    """Something that there is, for each name that stands in an address."""
    number = schedule_id(api.suppliers.schedule(A, SOLE.chf))
    hook = api.client(A).do("/webhooks", {"url": "http://127.0.0.1:9/"})["webhook_id"]
    return {"device_id": SOLE.chf, "release_id": api.release_id, "schedule_id": number, "webhook_id": hook}


def _without_stream(document: dict[str, Any]) -> dict[str, Any]:
    """A stream has no end; what it streams is tested by itself."""
    return {**document, "paths": {path: one for path, one in document["paths"].items() if "stream" not in path}}


def _run(strategy: Any, send: Any, examples: int) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def run(case: Any) -> None:
        send(case)

    run()


@pytest.mark.slow
def test_whatever_is_sent_is_answered_as_the_document_says(api: ApiWorld) -> None:
    """To be seen with -s: how many requests there were, and what came back."""
    counted = fuzzed(api, 10)

    by_answer = [f"{key}: {number}" for key, number in sorted(counted.items())]
    print(f"\n{counted.total()} requests:", *by_answer, sep="\n  ")
    assert {key.rpartition(" ")[0] for key in counted} == {
        f"{method.upper()} {path}"
        for path, methods in _without_stream(application().openapi())["paths"].items()
        for method in methods
    }
