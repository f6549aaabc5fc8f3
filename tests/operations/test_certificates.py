"""Certificates and how long they are still good for."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from signing import Certificate
from sr_engine.operations.certificates import Certificates, Validity, to_be_renewed
from tests.world import BROKER, NOW, A, World

SOON = timedelta(days=30)


@pytest.fixture
def certificates(world: World) -> Certificates:
    instance = world.instance
    own = Certificate.from_file(instance.settings.signing.certificate)
    return Certificates(instance.trust, own, instance.users, instance.configuration.regions)


def test_every_certificate_says_whose_it_is(certificates: Certificates) -> None:
    lines = {line.eui: line for line in certificates.lines(NOW, SOON) if line.eui is not None}

    assert lines[A.eui].whose == f"User of {A.name}"
    assert lines[BROKER].whose == "this processor"
    csps = sorted(line.whose for line in lines.values() if line.whose.startswith("CSP"))
    assert "CSP of North" in csps
    assert any(line.whose.startswith("authority ") for line in certificates.lines(NOW, SOON))


def test_what_ends_first_comes_first_and_expires_before_it_has_expired(certificates: Certificates) -> None:
    lines = certificates.lines(NOW, SOON)
    ends = lines[0].not_after
    assert [line.not_after for line in lines] == sorted(line.not_after for line in lines)

    def standing(at: object) -> Validity:
        return next(line for line in certificates.lines(at, SOON) if line.serial == lines[0].serial).validity  # type: ignore[arg-type]  # a time

    assert standing(ends - SOON) is Validity.VALID
    assert standing(ends - SOON + timedelta(seconds=1)) is Validity.EXPIRING
    assert standing(ends) is Validity.EXPIRING
    assert standing(ends + timedelta(seconds=1)) is Validity.EXPIRED
    assert lines[0].days_left(ends - timedelta(days=3, hours=1)) == 3
    assert standing(lines[0].not_before - timedelta(seconds=1)) is Validity.NOT_YET


def test_nothing_is_to_be_done_before_a_certificate_ends_soon(certificates: Certificates) -> None:
    ends = min(line.not_after for line in certificates.lines(NOW, SOON) if line.eui == A.eui)

    assert to_be_renewed(certificates.lines(NOW, SOON)) == []
    assert A.eui in {line.eui for line in to_be_renewed(certificates.lines(ends, SOON))}


def test_a_certificate_that_ends_is_no_matter_if_its_owner_has_another(certificates: Certificates) -> None:
    line = next(line for line in certificates.lines(NOW, SOON) if line.eui == A.eui)
    old = replace(line, validity=Validity.EXPIRING)
    renewed = replace(line, serial=1, not_after=line.not_after + timedelta(days=900))

    assert to_be_renewed([old]) == [old]
    assert to_be_renewed([old, renewed]) == []
    assert to_be_renewed([old, replace(renewed, eui=BROKER)]) == [old]


def test_a_user_without_a_certificate_in_its_role_is_named(certificates: Certificates) -> None:
    assert certificates.without(NOW, {"87"}) == []
    assert A.eui in certificates.without(NOW, {"88"})
