"""How SQLite finds the hubs of one Supplier where there are a million: along its own, in order, and no further."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from sr_engine.domain.eligibility import Applicant
from sr_engine.domain.upgrades import Release
from sr_engine.messages.model import Firmware, UpgradeStatus
from sr_engine.store import supplier_answers, supplier_history, supplier_hubs
from sr_engine.store.database import create_tables, open_engine
from sr_engine.store.supplier_hubs import Sought
from tests.store.test_plans import plans_of
from tests.world import NOW

VIEWER = Applicant("supplier", frozenset({"IS", "GS"}))
RELEASE = Release(
    release_id="release",
    firmware=Firmware("2B7E", "C1A20001", "9002"),
    image_hash="AB" * 32,
    status="Open",
    cpl_status="Active",
    management="SupplierManaged",
    regions=frozenset({"Central"}),
    general_open=frozenset({"Central"}),
    reachable_from=frozenset({"9001"}),
    han_models=frozenset(),
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder: Path = tmp_path_factory.mktemp("plans")
    engine = open_engine(f"sqlite:///{folder}/plans.db")
    create_tables(engine)
    return engine


def _searched(engine: Engine, sought: Sought, release: Release | None) -> str:
    _, plan = plans_of(
        engine,
        lambda one: supplier_hubs.search(one, VIEWER, release, sought, NOW, after="", limit=200, scan=20_000),
    )
    return plan


@pytest.mark.parametrize(
    ("sought", "release"),
    [
        (Sought(), None),
        (Sought(region="Central", prefix="00-00-5E"), None),
        (Sought(), RELEASE),
        (Sought(status=UpgradeStatus.FAILED), RELEASE),
        (Sought(waiting=True, region="Central"), RELEASE),
    ],
)
def test_a_page_is_read_along_the_suppliers_own_hubs_without_sorting_them(
    engine: Engine, sought: Sought, release: Release | None
) -> None:
    plan = _searched(engine, sought, release)

    assert "SEARCH supplier_hubs USING PRIMARY KEY (organisation=? AND hub_id>? AND hub_id<?)" in plan
    assert "SEARCH devices USING PRIMARY KEY (device_id=?)" in plan
    # Who is registered last is sorted for, hub by hub; the hubs are not.
    assert plan.count("TEMP B-TREE") == plan.count("SEARCH registrations")
    assert "SCAN" not in plan.replace("SCAN json_each", "")


def test_hubs_are_counted_by_looking_at_the_suppliers_own_and_no_others(engine: Engine) -> None:
    (plan,) = plans_of(engine, lambda one: supplier_hubs.count(one, VIEWER, RELEASE, NOW))

    assert "SEARCH supplier_hubs USING PRIMARY KEY (organisation=?)" in plan
    assert "SEARCH devices USING PRIMARY KEY (device_id=?)" in plan
    assert "SCAN" not in plan.replace("SCAN json_each", "")


def test_whether_a_release_concerns_a_supplier_is_told_by_its_own_schedules_and_hubs(engine: Engine) -> None:
    scheduled, responsible = plans_of(engine, lambda one: supplier_hubs.concerned(one, VIEWER, RELEASE, NOW))

    assert "ix_schedules_of_organisation (organisation=?)" in scheduled
    assert "SEARCH supplier_hubs USING PRIMARY KEY (organisation=?)" in responsible
    assert "SEARCH devices USING PRIMARY KEY (device_id=?)" in responsible
    assert "SEARCH decisions USING PRIMARY KEY (hub_id=? AND release_id=? AND organisation=?)" in responsible
    assert "SCAN" not in (scheduled + responsible).replace("SCAN CONSTANT ROW", "")


def test_the_history_of_a_hub_is_found_by_the_hub(engine: Engine) -> None:
    for plan in plans_of(engine, lambda one: supplier_history.of_hub(one, "hub", "supplier", NOW, [])):
        assert "SCAN" not in plan


def test_schedules_and_exclusions_of_a_supplier_are_found_in_their_order(engine: Engine) -> None:
    first, second, kept_out = plans_of(
        engine,
        lambda one: (
            supplier_answers.schedules_of(one, "supplier", before=None, limit=10),
            supplier_answers.schedules_of(one, "supplier", before=(NOW, 1), limit=10),
            supplier_answers.exclusions_of(one, "supplier", NOW, after="", limit=10),
        ),
    )

    assert "ix_schedules_of_organisation (organisation=?)" in first
    assert "ix_schedules_of_organisation (organisation=? AND created_at<?)" in second
    assert "ix_exclusions_of_organisation (organisation=? AND hub_id>?)" in kept_out
    assert "TEMP B-TREE" not in first + second + kept_out
