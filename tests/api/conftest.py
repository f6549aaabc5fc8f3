"""A served instance with Suppliers' tokens, and a client that speaks JSON to it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sr_engine.bootstrap import supplier_changes_of
from sr_engine.instance import SAMPLE_SUPPLIERS, SupplierSeed
from sr_engine.operations import registrations as operations
from sr_engine.operations.api_tokens import TokenDesk
from sr_engine.store.api_tokens import Scope
from tests.gateway.conftest import WAIT, serving, still
from tests.requests.conftest import Suppliers
from tests.world import FIRMWARE, A, B, TestHub, World, edit, make_world

C = SupplierSeed("supplier-c", "00-00-5E-EF-10-00-00-A3", "http://127.0.0.1:9/")
HOMES = (
    TestHub(1, electricity=A.name, gas=B.name),
    TestHub(2),
    TestHub(3, region="North"),
    TestHub(4, electricity=B.name, gas=B.name),
)
SPLIT, SOLE, NORTH, THEIRS = HOMES
NO_HUB = "00-00-5E-EF-C0-FF-FF-FF"
FIRMWARE_NAME = {"manufacturer": FIRMWARE.manufacturer, "model": FIRMWARE.model, "version": FIRMWARE.version}
ALL_SCOPES = frozenset({Scope.READ, Scope.ACT, Scope.WEBHOOKS})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def is_problem(self) -> bool:
        """It is a problem document that says its own status."""
        if self.headers["content-type"] != "application/problem+json":
            return False
        found = self.json
        return bool(found) and {"type", "title", "status", "detail"} <= found.keys() and found["status"] == self.status


@dataclass
class Client:
    """Somebody with a token."""

    port: int
    token: str
    keys: int = field(default=0)

    def __call__(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = None,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask; what is sent gets a key of its own if none is given."""
        sent: dict[str, str] = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if method in {"POST", "PUT", "PATCH"}:
            self.keys += 1
            sent |= {"Content-Type": "application/json", "Idempotency-Key": key or f"key-{self.keys}"}
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT)
        try:
            connection.request(method, f"/api/v2{path}", data, {**sent, **(headers or {})})
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, named, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Any:
        """What is there."""
        answer = self("GET", path, headers=headers)
        assert answer.status == 200, answer
        return answer.json

    def do(self, path: str, body: object, *, key: str | None = None) -> Any:
        """Do it, which has to succeed."""
        answer = self("POST", path, body, key=key)
        assert answer.status in {200, 201}, answer
        return answer.json


@dataclass
class ApiWorld:
    """A world that is served, with tokens."""

    world: World
    port: int
    release_id: str
    made: int = field(default=0)

    def token(self, supplier: SupplierSeed | None, scopes: frozenset[Scope] = ALL_SCOPES, name: str = "") -> str:
        desk = TokenDesk(self.world.instance.draw_id, self.world.instance.randbelow)
        self.made += 1
        eui = None if supplier is None else supplier.eui
        called = name or f"token-{self.made}"
        return self.world.run(lambda uow: desk.create(uow, called, eui, scopes)).secret

    def client(self, supplier: SupplierSeed | None, scopes: frozenset[Scope] = ALL_SCOPES, name: str = "") -> Client:
        return Client(self.port, self.token(supplier, scopes, name))

    @property
    def suppliers(self) -> Suppliers:
        return Suppliers(self.world)

    def move(self, hub: TestHub, to: SupplierSeed) -> None:
        """Both fuels of a home go to another Supplier, as of now."""
        now = self.world.clock.now()
        rows = [
            {"mpxn": mpxn, "role": role, "effective_from": now, "organisation": to.name}
            for mpxn, role in ((hub.mpan, "IS"), (hub.mprn, "GS"))
        ]
        self.world.run(lambda uow: operations.receive(uow, rows))
        chore = supplier_changes_of(self.world.instance)
        while self.world.run(chore):
            pass


def prepare(directory: Path) -> None:
    """Nothing happens by itself, nobody on this computer receives anything, and tests need not wait for their turn."""
    still(directory)
    for port in (8091, 8092):
        edit(directory / "users.toml", f"http://127.0.0.1:{port}/", "http://127.0.0.1:9/")
    api = directory / "config" / "api.toml"
    edit(api, "burst = 120", "burst = 100000")
    edit(api, "longest_wait_seconds = 60", "longest_wait_seconds = 3")
    edit(api, "look_milliseconds = 500", "look_milliseconds = 50")
    edit(api, "poll_seconds = 2", "poll_seconds = 1")
    edit(api, "max_tries = 30", "max_tries = 3")


@contextmanager
def served_api(folder: Path, *changes: Callable[[Path], None]) -> Iterator[ApiWorld]:
    """A world whose configuration `changes` have changed, served until the end of the block."""

    def change(directory: Path) -> None:
        for one in (prepare, *changes):
            one(directory)

    world = make_world(folder, suppliers=(*SAMPLE_SUPPLIERS, C), prepare=change)
    world.add_hubs(HOMES)
    release_id = world.open_release()
    with serving(world) as served:
        yield ApiWorld(world, served.port, release_id)
    world.close()


@pytest.fixture
def api(tmp_path: Path, quiet_logs: None) -> Iterator[ApiWorld]:
    with served_api(tmp_path / "instance") as served:
        yield served


@pytest.fixture
def quiet_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")
