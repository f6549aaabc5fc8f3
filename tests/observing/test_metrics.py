"""What monitoring sees: counts over all processes, how things stand, and nothing of what was sent."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sr_engine.messages.model import ReadInventory
from sr_engine.monitoring import counting_of, layout_of, metrics_desk_of
from sr_engine.observing.cells import Cells
from sr_engine.observing.counting import Stage
from sr_engine.observing.standing import LOOK_EVERY_SECONDS, Standing
from sr_engine.store.reading import Reading
from tests.authority import Authority, common_name
from tests.gateway.conftest import WAIT, still
from tests.gateway.guarded import Guarded, append, guarded
from tests.world import NOW, A, TestHub, World, make_world

HUB = TestHub(1)
OPERATIONS = Path(__file__).parents[2] / "docs" / "operations"
Numbers = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read(text: bytes) -> Numbers:
    """Each number by name and labels."""
    families = text_string_to_metric_families(text.decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value for one in families for sample in one.samples
    }


def number(found: Numbers, name: str, **labels: str) -> float:
    return found[name, tuple(sorted(labels.items()))]


def fetch(port: int, path: str = "/metrics", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@contextmanager
def served(tmp_path: Path, settings: str) -> Iterator[Guarded]:
    def prepare(directory: Path) -> None:
        still(directory)
        append(directory, settings)

    world = make_world(tmp_path / "instance", prepare=prepare)
    world.add_hubs([HUB])
    with guarded(world) as found:
        yield found
    world.close()


def test_exchanges_are_counted_by_service_request_and_code_and_timed_by_stage(tmp_path: Path) -> None:
    with served(tmp_path, "[monitoring.metrics]") as here:
        for device in (HUB.chf, HUB.chf, "00-00-5E-EF-FF-FF-FF-FF"):
            here.post(here.world.signed(A, ReadInventory(device_id=device), "8.2"))
        here.post(b"<a/>")
        here.post(b"<a/>", path="/api/v1/csp")

        status, text = fetch(here.port)

    found = read(text)
    assert status == 200
    assert number(found, "sr_engine_exchanges_total", srv="8.2", code="I0") == 2
    assert (
        sum(
            v for (name, labels), v in found.items() if name == "sr_engine_exchanges_total" and ("srv", "8.2") in labels
        )
        == 3
    )
    assert number(found, "sr_engine_exchanges_total", srv="other", code="400") == 1
    assert number(found, "sr_engine_exchanges_total", srv="csp", code="400") == 1
    assert number(found, "sr_engine_exchange_seconds_count", stage="whole") == 5
    assert number(found, "sr_engine_exchange_seconds_count", stage="transaction") == 3
    assert number(found, "sr_engine_exchange_seconds_bucket", stage="checks", le="+Inf") == 5
    assert A.eui.encode() not in re.sub(rb".*certificate_expires.*", b"", text)
    assert HUB.chf.encode() not in text


def test_metrics_are_for_allowed_addresses_alone(tmp_path: Path) -> None:
    with served(tmp_path, '[monitoring.metrics]\naddresses = ["10.0.0.0/8"]') as here:
        assert fetch(here.port) == (404, b"not found\n")
        # Whoever claims to come from there comes through a proxy that nobody knows.
        assert fetch(here.port, **{"X-Forwarded-For": "10.0.0.1"})[0] == 404


def test_behind_a_known_proxy_it_is_the_address_of_its_client_that_counts(tmp_path: Path) -> None:
    known = '[proxy]\naddresses = ["127.0.0.1"]\n[monitoring.metrics]\naddresses = ["10.0.0.0/8"]'
    with served(tmp_path, known) as here:
        assert fetch(here.port)[0] == 404
        assert fetch(here.port, **{"X-Forwarded-For": "10.0.0.1"})[0] == 200
        assert fetch(here.port, **{"X-Forwarded-For": "10.0.0.1, 192.0.2.1"})[0] == 404


def test_without_settings_there_is_no_such_address(tmp_path: Path) -> None:
    with served(tmp_path, "") as here:
        assert fetch(here.port)[0] == 404


def test_what_several_processes_count_is_added_up_and_survives_one_of_them(world: World) -> None:
    layout = layout_of(world.instance.configuration)
    cells = Cells(layout.columns, 2)
    first, second = (counting_of(world.instance, cells, row) for row in (0, 1))
    first.exchange("8.2", "I0")
    second.exchange("8.2", "I0")
    second.took(Stage.WHOLE, 0.3)
    second.delivery("user", "failed")
    # As when another is started in the place of the second.
    again = counting_of(world.instance, cells, 1)
    again.exchange("8.2", "I0")
    again.exchange("no such thing", "nor this")

    found = read(metrics_desk_of(world.instance, first).text())

    assert number(found, "sr_engine_exchanges_total", srv="8.2", code="I0") == 3
    assert number(found, "sr_engine_exchanges_total", srv="other", code="other") == 1
    assert number(found, "sr_engine_exchange_seconds_bucket", stage="whole", le="0.25") == 0
    assert number(found, "sr_engine_exchange_seconds_bucket", stage="whole", le="0.5") == 1
    assert number(found, "sr_engine_exchange_seconds_sum", stage="whole") == 0.3
    assert number(found, "sr_engine_deliveries_total", receiver="user", result="failed") == 1


def test_what_waits_is_shown_by_region_with_its_age(world: World) -> None:
    world.add_hubs([HUB])
    world.open_release()
    world.clock.set(NOW + timedelta(minutes=5))

    found = read(metrics_desk_of(world.instance, counting_of(world.instance)).text())

    assert number(found, "sr_engine_queue_messages", region="users") >= 1
    assert number(found, "sr_engine_queue_oldest_seconds", region="users") == 300
    assert number(found, "sr_engine_queue_messages", region="Central") == 0
    assert number(found, "sr_engine_sla_breaches", region="North", measure="completion") == 0
    assert number(found, "sr_engine_database_up") == 1


def test_certificates_are_shown_with_their_end(tmp_path: Path) -> None:
    pki = tmp_path / "tls"
    authority = Authority(pki, "clients")
    until = NOW + timedelta(days=400)
    certificate, key = authority.issue("server", common_name("x"), not_after=until)
    tls = f'[tls]\ncertificate = "{certificate}"\nkey = "{key}"\nclient_certificate = "none"'
    world = make_world(tmp_path / "instance", prepare=lambda directory: append(directory, tls))

    found = read(metrics_desk_of(world.instance, counting_of(world.instance)).text())

    name = "sr_engine_certificate_expires_timestamp_seconds"
    assert number(found, name, of="tls") == until.timestamp()
    assert number(found, name, of="signing") == world.key("broker").certificate.not_after.timestamp()
    assert number(found, name, of=f"{A.eui} role 87") == world.key(A.name).certificate.not_after.timestamp()
    world.close()


def test_the_database_is_not_asked_more_often_than_it_has_to_be(world: World) -> None:
    asked, now = 0, 0.0

    class Counted(Reading):
        def __call__(self, look):  # type: ignore[no-untyped-def]
            nonlocal asked
            asked += 1
            return super().__call__(look)

    standing = Standing(
        Counted(world.instance.reading_engine),
        world.clock,
        world.instance.configuration.regions,
        dict,
        monotonic=lambda: now,
    )
    standing.families()
    standing.families()
    assert asked == 1
    now += LOOK_EVERY_SECONDS
    standing.families()
    assert asked == 2


def test_without_its_database_it_says_so_and_shows_what_it_counts(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    def away(_look: Callable[..., object]) -> object:
        raise OSError("no such host")

    counting = counting_of(world.instance)
    counting.exchange("8.2", "I0")
    desk = metrics_desk_of(world.instance, counting)
    object.__setattr__(desk.standing, "_reading", away)

    found = read(desk.text())

    assert number(found, "sr_engine_database_up") == 0
    assert number(found, "sr_engine_exchanges_total", srv="8.2", code="I0") == 1
    assert "metrics are without what the database knows" in caplog.text


def test_every_metric_that_dashboard_and_alerts_name_exists(world: World) -> None:
    counting = counting_of(world.instance)
    counting.exchange("8.2", "I0")
    known = {name for name, _ in read(metrics_desk_of(world.instance, counting).text())}
    dashboard = json.loads((OPERATIONS / "grafana-dashboard.json").read_text())
    alerts = (OPERATIONS / "prometheus-alerts.yml").read_text()

    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked += [line.partition("expr:")[2] for line in alerts.splitlines() if "expr:" in line]
    named = {name for expression in asked for name in re.findall(r"sr_engine_[a-z_]+", expression)}

    assert len(asked) > 20
    assert named - known == set()
    # And each is looked at by somebody.
    assert {re.sub("_(bucket|sum|count)$", "", one) for one in known} <= {
        re.sub("_(bucket|sum|count)$", "", one) for one in named
    }


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = make_world(tmp_path)
    yield world
    world.close()
