"""Whether a process lives, and whether it can take requests."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from tests.observing.test_metrics import fetch, served
from tests.world import NOW


def test_a_processor_with_its_database_and_key_is_ready(tmp_path: Path) -> None:
    with served(tmp_path, "") as here:
        assert fetch(here.port, "/health/live") == (200, b"alive\n")
        assert fetch(here.port, "/health/ready") == (200, b"ready\n")


def test_with_a_certificate_that_has_expired_it_lives_and_is_not_ready(tmp_path: Path) -> None:
    with served(tmp_path, "") as here:
        here.world.clock.set(NOW + timedelta(days=365 * 20))

        status, said = fetch(here.port, "/health/ready")

        assert (status, said) == (503, b"the certificate of the key that signs answers has expired\n")
        assert fetch(here.port, "/health/live")[0] == 200
