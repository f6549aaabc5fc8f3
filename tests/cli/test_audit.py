"""The audit trail from the command line: shown, verified, pruned."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Executable, create_engine, select

from sr_engine.configuration import SETTINGS_FILE, load_settings
from sr_engine.messages.model import ApproveCommsHubFirmware, Decision, Phase, ScheduleCommsHubFirmware
from sr_engine.store.dialects import POSTGRESQL
from sr_engine.store.tables import audit, audit_links
from tests.cli.conftest import Run
from tests.databases import KIND, give_a_copy_of_its_database, server
from tests.world import FIRMWARE, NOW, WINDOW, A, B, TestHub, make_world

DAY = timedelta(days=1)
HUB, OTHER = TestHub(1, gas=B.name), TestHub(2)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An instance in which something was done on three days; for commands it is the fourth. No test changes it."""
    world = make_world(tmp_path_factory.mktemp("written") / "instance")
    world.add_hubs([HUB, OTHER])
    world.open_release()
    world.clock.set(NOW + DAY)
    world.send(A, ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, (HUB.chf, OTHER.chf)), "11.5")
    world.clock.set(NOW + 2 * DAY)
    world.send(B, ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (HUB.gpf,)), "11.6")
    world.close()
    anchored, starts = datetime.now(UTC).replace(microsecond=0).isoformat(), (NOW + 3 * DAY).isoformat()
    with (world.directory / "sr-engine.toml").open("a", encoding="utf-8") as settings:
        settings.write(f"\n[clock]\nanchored_at = {anchored}\nstarts_at = {starts}\nrate = 1.0\n")
    return world.directory


@pytest.fixture
def instance(written: Path, tmp_path: Path) -> Path:
    """A copy of it, to do with as one likes."""
    copy = shutil.copytree(written, tmp_path / "instance")
    if KIND != "sqlite":
        give_a_copy_of_its_database(copy, server())
    return copy


def tamper(instance: Path, *statements: Executable) -> None:
    """Past the product, as whoever has the database can: he has it look at no reference either."""
    engine = create_engine(load_settings(instance / SETTINGS_FILE).database_url)
    with engine.begin() as connection:
        if connection.dialect.name == POSTGRESQL:
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        for statement in statements:
            connection.execute(statement)
    engine.dispose()


def head_of(line: str) -> str:
    return line.strip().rpartition(" ")[2]


@pytest.mark.parametrize("options", [(), ("--limit", 1)])
def test_without_the_name_of_a_command_it_is_shown(run: Run, written: Path, options: tuple[object, ...]) -> None:
    shown = run("audit", "show", *options, "--dir", written)

    assert shown.exit_code == 0
    assert shown.stdout.count("2026-11-25 09:00:00Z") == (1 if options else 3)
    assert run("audit", *options, "--dir", written).stdout == shown.stdout
    assert run("audit", "--dir", written, *options).stdout == shown.stdout


def test_it_says_which_firmware_and_is_filtered_by_it_and_by_hub(run: Run, written: Path) -> None:
    def shown(*options: object) -> list[str]:
        done = run("audit", "show", *options, "--dir", written)
        assert done.exit_code == 0
        return [" ".join(line.split()) for line in done.stdout.splitlines() if line.strip().startswith("2026-")]

    of_version, of_gpf, of_other = (
        shown("--release-version", "9002"),
        shown("--hub", HUB.gpf),
        shown("--hub", OTHER.chf),
    )

    assert any(" operator release opened 9002 " in line for line in of_version)
    assert all(" 9002 " in line for line in of_version)
    assert (len(of_gpf), len(of_other)) == (4, 2)
    assert len(shown("--hub", HUB.chf, "--release-version", "9002", "--limit", 3)) == 3


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            ("--release-version", "1"),
            "sr-engine: there is no release of firmware 1: `sr-engine release list` shows all",
        ),
        (("--hub", TestHub(99).chf), f"sr-engine: no such device: {TestHub(99).chf} is not in the inventory"),
        (("--hub", "hub-1"), "'hub-1' is not an EUI-64"),
    ],
)
def test_what_is_not_there_is_not_filtered_by(run: Run, written: Path, options: tuple[str, ...], says: str) -> None:
    done = run("audit", "show", *options, "--dir", written)

    assert (done.exit_code, done.stdout) == (2, "")
    assert says in done.stderr


def test_its_help_names_the_commands(run: Run) -> None:
    for option in ("--help", "-h"):
        said = run("audit", option)
        assert said.exit_code == 0
        assert all(f"\n  {name} " in said.stdout for name in ("prune", "show", "verify"))


def test_verification_prints_what_it_covered_and_the_head(run: Run, written: Path) -> None:
    done = run("audit", "verify", "--dir", written)

    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("chain 1 (processor): 3 links, 8 records, head ")
    assert len(bytes.fromhex(head_of(done.stdout))) == 32


def test_a_head_noted_earlier_has_to_be_there_still(run: Run, instance: Path) -> None:
    head = head_of(run("audit", "verify", "--dir", instance).stdout)
    assert run("audit", "verify", "--head", head, "--head", head.upper(), "--dir", instance).exit_code == 0
    last = select(audit_links.c.last_audit_id).where(audit_links.c.number == 2).scalar_subquery()
    tamper(
        instance, audit.delete().where(audit.c.audit_id > last), audit_links.delete().where(audit_links.c.number == 3)
    )

    assert run("audit", "verify", "--dir", instance).exit_code == 0
    cut_off = run("audit", "verify", "--head", head, "--dir", instance)

    assert cut_off.exit_code == 10
    assert cut_off.stderr == (
        f"sr-engine: no chain holds the hash {head}: the trail was cut off or written anew since, or pruned beyond it\n"
    )


def test_the_first_break_is_said_and_ends_with_exit_code_10(run: Run, instance: Path) -> None:
    tamper(
        instance,
        audit.update().where(audit.c.audit_id == 3).values(actor="operator"),
        audit_links.insert().values(chain_id=7, number=1, last_audit_id=1, hash=b"\0"),
    )

    done = run("audit", "verify", "--dir", instance)

    assert (done.exit_code, done.stdout) == (10, "")
    first, second = done.stderr.splitlines()
    assert first.startswith("sr-engine: chain 1 (processor): link 2, 2026-11-24 09:00:00Z, records 2 to ")
    assert first.endswith(": record changed: one of them is not what was linked")
    assert second == "sr-engine: chain not registered: a link or checkpoint is in none of the chains above"


def test_a_trail_without_anything_is_said_to_be_without(run: Run, shared_instance: Path) -> None:
    done = run("audit", "verify", "--dir", shared_instance)

    assert (done.exit_code, done.stdout) == (
        0,
        "the audit trail has no chain: nothing was ever recorded, or all of it was taken away\n",
    )


def test_old_records_are_pruned_and_the_rest_verifies_from_there(run: Run, instance: Path) -> None:
    before = (NOW + DAY).isoformat()

    done = run("audit", "prune", "--before", before, "--dir", instance)
    again = run("audit", "prune", "--before", before, "--dir", instance)
    verified = run("audit", "verify", "--dir", instance)

    assert (done.exit_code, done.stdout) == (0, "pruned 1 records in 1 links\n")
    assert (again.exit_code, again.stdout) == (0, "there is nothing to prune\n")
    assert verified.exit_code == 0
    assert verified.stdout.startswith(
        "chain 1 (processor): 3 links, 8 records since it was pruned up to link 1 at 2026-11-26 "
    )
    assert "audit pruned" in run("audit", "--limit", 1, "--dir", instance).stdout


def test_what_was_tampered_with_is_not_pruned(run: Run, instance: Path) -> None:
    tamper(instance, audit.update().where(audit.c.audit_id == 1).values(detail=""))

    done = run("audit", "prune", "--before", (NOW + DAY).isoformat(), "--dir", instance)

    assert done.exit_code == 10
    assert done.stderr.startswith("sr-engine: link 1, 2026-11-23 09:00:00Z, record 1: record changed: ")


def test_the_key_that_has_signed_is_the_instances_or_one_that_is_named(run: Run, instance: Path) -> None:
    run("audit", "prune", "--before", (NOW + DAY).isoformat(), "--dir", instance)
    own = (instance / "pki/broker/certificate.pem").read_bytes()
    (instance / "earlier.pem").write_bytes(own)
    (instance / "pki/broker/certificate.pem").write_bytes((instance / "pki" / A.name / "certificate.pem").read_bytes())

    other = run("audit", "verify", "--dir", instance)
    named = run("audit", "verify", "--certificate", instance / "earlier.pem", "--dir", instance)

    assert other.exit_code == 10
    assert (
        "checkpoint not ours: the signature of the newest checkpoint is not by the key of this instance" in other.stderr
    )
    assert named.exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("verify", "--head", "abc"), "'abc' is not a hash of 64 hexadecimal digits"),
        (("verify", "--head", "ab"), "'ab' is not a hash of 64 hexadecimal digits"),
        (("prune",), "Missing option '--before'"),
        (("prune", "--before", "yesterday"), "'yesterday' is not a time with a zone, such as 2026-11-23T09:00:00Z"),
        (("prune", "--before", "2020-01-01T00:00:00"), "is not a time with a zone"),
        (("prune", "--before", "2999-01-01T00:00:00+01:00"), "2998-12-31 23:00:00Z has not come yet"),
        (("forget",), "unexpected extra argument"),
    ],
)
def test_mistakes_are_named(run: Run, shared_instance: Path, arguments: tuple[str, ...], says: str) -> None:
    done = run("audit", *arguments, "--dir", shared_instance)

    assert done.exit_code == 2
    assert says in done.stderr


class TestHistory:
    """`why --history`: what is on record about one hub."""

    def rows(self, run: Run, written: Path, device_id: str) -> list[str]:
        done = run("why", device_id, "--history", "--dir", written)
        assert done.exit_code == 0
        return [" ".join(line.split()) for line in done.stdout.splitlines() if line.strip().startswith("2026-")]

    def test_everything_that_names_the_hub_is_listed_oldest_first(self, run: Run, written: Path) -> None:
        first, second = f"{at(1)} user:{A.eui}", f"{at(2)} user:{B.eui}"

        assert self.rows(run, written, HUB.chf) == [
            f"{first} answer 9002 Approved",
            f"{first} attempt requested 9002 1 AwaitingApproval not all responsible Suppliers have approved",
            f"{second} answer 9002 Approved",
            f"{second} attempt agreed 9002 1 AwaitingApproval Scheduled",
        ]

    def test_a_gpf_stands_for_its_hub_and_another_hub_has_another_history(self, run: Run, written: Path) -> None:
        assert self.rows(run, written, HUB.gpf) == self.rows(run, written, HUB.chf)
        assert len(self.rows(run, written, OTHER.chf)) == 2

    def test_there_is_none_of_a_hub_that_nobody_knows(self, run: Run, written: Path) -> None:
        done = run("why", TestHub(99).chf, "--history", "--dir", written)

        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr == f"sr-engine: no such device: {TestHub(99).chf} is not in the inventory\n"

    def test_where_the_trail_begins_is_said_once_it_was_pruned(self, run: Run, instance: Path) -> None:
        before = run("why", HUB.chf, "--history", "--dir", instance)
        run("audit", "prune", "--before", at(2).replace(" ", "T"), "--dir", instance)

        after = run("why", HUB.chf, "--history", "--dir", instance)

        assert "pruned" not in before.stdout
        assert after.stdout.startswith(f"the trail begins at {at(2)}; what was before has been pruned\n")


def at(days: int) -> str:
    return f"{NOW + days * DAY:%Y-%m-%d %H:%M:%S}Z"
