"""`sr-engine serve --workers` over HTTPS, and a listener for metrics: one address tells of all processes."""

from __future__ import annotations

import http.client
import re
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from sr_engine.instance import create_instance
from tests.authority import Authority, common_name
from tests.databases import url_of_instance
from tests.gateway.conftest import WAIT, XML_HEADERS
from tests.gateway.guarded import append
from tests.observing.test_metrics import fetch, number, read

_MAIN = "from sr_engine.cli.main import main; main()"
EXCHANGES = 12


def test_whichever_process_is_asked_tells_of_all_of_them(tmp_path: Path) -> None:
    directory = tmp_path / "instance"
    create_instance(directory, now=datetime.now(UTC), database_url=url_of_instance())
    servers, clients = Authority(tmp_path, "servers"), Authority(tmp_path, "clients")
    certificate, key = servers.issue("server", common_name("server"))
    own = f'certificate = "{certificate}"\nkey = "{key}"\nclient_ca = "{clients.path}"'
    append(directory, f'[tls]\n{own}\n[monitoring.metrics]\nhost = "127.0.0.1"\nport = 0')
    context = ssl.create_default_context(cafile=str(servers.path))
    context.load_cert_chain(*clients.issue("somebody", common_name("somebody")))
    log = tmp_path / "log.txt"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", _MAIN, "serve", "--dir", directory, "--port", "0", "--workers", "2"],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    try:
        assert process.stdout is not None
        ready = process.stdout.readline()
        found = re.match(r"ready: https://127\.0\.0\.1:(\d+) ", ready)
        assert found is not None, log.read_text()
        for _ in range(EXCHANGES):
            connection = http.client.HTTPSConnection("127.0.0.1", int(found[1]), timeout=WAIT, context=context)
            connection.request("POST", "/api/v1/csp", body=b"<a/>", headers=dict(XML_HEADERS))
            assert connection.getresponse().status == 400
            connection.close()
        metrics = re.search(r"metrics: http://127\.0\.0\.1:(\d+)/metrics", log.read_text())
        assert metrics is not None, log.read_text()

        told = [read(fetch(int(metrics[1]))[1]) for _ in range(6)]

        assert [number(one, "sr_engine_exchanges_total", srv="csp", code="400") for one in told] == [EXCHANGES] * 6
        assert _ready(int(metrics[1])) == (200, b"ready\n")
        assert log.read_text().count("csp answered 400") == EXCHANGES
    finally:
        process.terminate()
        said, _ = process.communicate(timeout=WAIT)
    assert (process.returncode, said) == (0, "stopped\n")


def _ready(port: int) -> tuple[int, bytes]:
    for _ in range(50):
        status, said = fetch(port, "/health/ready")
        if status == 200:
            break
        time.sleep(0.1)
    return status, said
