"""Looking into an instance."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sr_engine.messages.model import Phase, ScheduleCommsHubFirmware
from sr_engine.store import circuits, summaries
from sr_engine.store.circuits import OpenCircuit
from sr_engine.store.outbox import PARKED, PENDING
from sr_engine.store.schema import known_revisions
from sr_engine.store.tables import outbox, pilot_shares
from tests.cli.conftest import Run
from tests.databases import only_sqlite
from tests.official import with_official, write_official
from tests.operations.test_stuck_lists import answer_and_stop, cannot_be_read, in_which_lists_are_long
from tests.world import FIRMWARE, WINDOW, A, B, TestHub, World, edit

HUB = TestHub(1, gas=B.name)
WAITS = "waits for approval of firmware 9002: supplier-b has not answered, while supplier-a has approved."


@pytest.fixture
def busy(world: World) -> World:
    """A world in which one Supplier has scheduled a hub and another has not answered."""
    world.add_hubs([HUB])
    world.open_release()
    world.send(A, ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, (HUB.chf,)), "11.5")
    return world


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[World]:
    """A world in which a long list was answered, and the process stopped right after."""
    world = in_which_lists_are_long(tmp_path / "instance")
    answer_and_stop(world)
    yield world
    world.close()


def test_status_shows_releases_regions_answers_lists_and_messages(run: Run, busy: World) -> None:
    done = run("status", "--dir", busy.directory)

    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert done.exit_code == 0
    assert lines[0].startswith("trial, ")
    assert "Firmware 9002 for 2B7E C1A20001: Open, CPL Active" in lines
    assert "Central open no 1 0 AwaitingApproval 1" in lines
    assert "North open no 0 0 none" in lines
    assert "Answers: Approved 1" in lines
    assert "Upgrade lists: none" in lines
    assert "alert release_opened Pending 2" in lines


def test_status_as_json_says_the_same(run: Run, busy: World) -> None:
    found = json.loads(run("status", "--json", "--dir", busy.directory).stdout)

    (release,) = found["releases"]
    assert (found["environment"], found["lists"]) == ("trial", {})
    assert release["version"] == "9002"
    assert (release["status"], release["cpl_status"]) == ("Open", "Active")
    assert release["answers"] == {"Approved": 1}
    assert release["regions"]["Central"] == {
        "general_open": True,
        "halted": False,
        "hubs": 1,
        "on_version": 0,
        "attempts": {"AwaitingApproval": 1},
    }
    assert {"kind": "alert", "event": "release_opened", "state": "Pending", "number": 2} in found["messages"]


def test_status_tells_which_official_schema_is_used(run: Run, world: World) -> None:
    path = write_official(world.directory / "official")
    assert json.loads(run("status", "--json", "--dir", world.directory).stdout)["official_schema"] is None
    with_official(world.directory)

    lines = run("status", "--dir", world.directory).stdout.splitlines()
    found = json.loads(run("status", "--json", "--dir", world.directory).stdout)

    assert lines[1] == f"official DUIS schema 9.7, from {path}"
    assert found["official_schema"] == {"version": "9.7", "path": str(path)}


def test_status_tells_of_halts_and_of_the_products_list(run: Run, busy: World) -> None:
    named = ("--manufacturer", "2B7E", "--model", "C1A20001", "--version", "9002", "--dir", busy.directory)
    run("phase", "halt", *named, "--region", "Central", "--reason", "smoke")
    run("release", "cpl", *named, "Suspended")

    lines = [" ".join(line.split()) for line in run("status", "--dir", busy.directory).stdout.splitlines()]
    (release,) = json.loads(run("status", "--json", "--dir", busy.directory).stdout)["releases"]

    assert "Firmware 9002 for 2B7E C1A20001: Open, CPL Suspended" in lines
    assert "Central open halted 1 0 AwaitingApproval 1" in lines
    assert release["cpl_status"] == "Suspended"
    assert [region for region, one in release["regions"].items() if one["halted"]] == ["Central"]


def test_status_names_the_long_list_that_has_waited_longest(run: Run, waiting: World) -> None:
    shown = run("status", "--dir", waiting.directory).stdout
    told = json.loads(run("status", "--json", "--dir", waiting.directory).stdout)["unfinished"]

    assert told["oldest"]["message_key"].startswith(A.eui)
    assert told["oldest"]["message_key"] in shown

    cannot_be_read(waiting)
    assert "cannot be read" in run("status", "--dir", waiting.directory).stdout
    again = json.loads(run("status", "--json", "--dir", waiting.directory).stdout)["unfinished"]
    assert again == {"portions": told["portions"], "oldest": None}


def test_looking_changes_nothing(run: Run, busy: World) -> None:
    before = busy.snapshot()

    for command in (("status",), ("why", HUB.chf), ("audit",), ("outbox", "list"), ("release", "list")):
        assert run(*command, "--dir", busy.directory).exit_code == 0

    assert busy.snapshot() == before


@pytest.mark.parametrize("device_id", [HUB.chf, HUB.chf.replace("-", "").lower()])
def test_why_answers_in_one_sentence_however_the_id_is_written(run: Run, busy: World, device_id: str) -> None:
    done = run("why", device_id, "--dir", busy.directory)

    assert (done.exit_code, done.stdout) == (
        0,
        f"Hub {HUB.chf} {WAITS}\n",
    )


def test_why_of_a_device_that_nobody_knows_is_exit_code_2(run: Run, shared_instance: Path) -> None:
    done = run("why", HUB.chf, "--dir", shared_instance)

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == f"sr-engine: no such device: {HUB.chf} is not in the inventory\n"


def test_why_takes_a_device_id_only(run: Run, shared_instance: Path) -> None:
    done = run("why", "hub-1", "--dir", shared_instance)

    assert done.exit_code == 2
    assert "'hub-1' is not an EUI-64, such as" in done.stderr


def test_the_audit_trail_is_shown_newest_first(run: Run, busy: World) -> None:
    done = run("audit", "--limit", 2, "--dir", busy.directory)

    rows = [line for line in done.stdout.splitlines() if "2026-11-23 09:00:00Z" in line]
    assert len(rows) == 2
    assert run("audit", "--dir", busy.directory).stdout.count("release opened") == 1


def test_an_empty_audit_trail_is_said_to_be_empty(run: Run, shared_instance: Path) -> None:
    assert run("audit", "--dir", shared_instance).stdout == "Audit trail: none\n"


def test_a_receiver_that_fails_stands_in_the_status(run: Run, busy: World) -> None:
    now = datetime.now(UTC)
    opened = OpenCircuit("user:A", now, now + timedelta(minutes=1), 3, "HTTP 503")
    assert "Receivers that fail" not in run("status", "--dir", busy.directory).stdout
    busy.run(lambda uow: circuits.keep(uow.connection, opened))

    shown = run("status", "--dir", busy.directory).stdout
    (circuit,) = json.loads(run("status", "--json", "--dir", busy.directory).stdout)["circuits"]

    assert "Receivers that fail: their circuits are open" in shown
    assert "HTTP 503" in shown
    assert (circuit["destination"], circuit["state"], circuit["probes"]) == ("user:A", "open", 3)


class TestOutbox:
    def park(self, world: World) -> str:
        with world.instance.reading_engine.connect() as connection:
            message_id = summaries.messages(connection, PENDING, 1)[0].message_id
        parked = outbox.update().where(outbox.c.message_id == message_id)
        parked = parked.values(state=PARKED, tries=30, last_error="HTTP 500 [bold]")
        world.run(lambda uow: uow.connection.execute(parked))
        return message_id

    def test_parked_messages_are_listed_and_sent_again(self, run: Run, busy: World) -> None:
        message_id = self.park(busy)

        listed = run("outbox", "list", "--dir", busy.directory)
        sent = run("outbox", "resend", message_id, "--dir", busy.directory)

        assert message_id in listed.stdout
        assert "HTTP 500 [bold]" in listed.stdout
        assert (sent.exit_code, sent.stdout) == (0, f"message {message_id} is queued again\n")
        assert run("outbox", "list", "--dir", busy.directory).stdout == "Parked messages: none\n"
        assert message_id in run("outbox", "list", "--state", "pending", "--dir", busy.directory).stdout

    def test_of_one_message_everything_is_shown_and_its_body_only_on_request(self, run: Run, busy: World) -> None:
        message_id = self.park(busy)
        shown = run("outbox", "show", message_id, "--dir", busy.directory)
        as_json = json.loads(run("outbox", "show", message_id, "--json", "--dir", busy.directory).stdout)
        body = run("outbox", "show", message_id, "--body", "--dir", busy.directory)

        assert re.search(r"^State: +Parked$", shown.stdout, flags=re.MULTILINE)
        assert re.search(r"^Last error: +HTTP 500 \[bold\]$", shown.stdout, flags=re.MULTILINE)
        assert (as_json["message"], as_json["tries"], as_json["next_try"]) == (message_id, 30, None)
        assert "<" not in shown.stdout
        assert as_json["sha256"] == hashlib.sha256(body.stdout_bytes).hexdigest()
        assert run("outbox", "show", "m1", "--dir", busy.directory).stderr == (
            "sr-engine: there is no message m1 in the outbox\n"
        )

    def test_all_that_is_parked_for_one_receiver_is_sent_again(self, run: Run, busy: World) -> None:
        message_id = self.park(busy)
        with busy.instance.reading_engine.connect() as connection:
            (parked,) = summaries.messages(connection, PARKED, 2)

        assert message_id in run("outbox", "list", "--to", parked.destination, "--dir", busy.directory).stdout
        nobody = run("outbox", "resend", "--to", "csp:North", "--dir", busy.directory)
        sent = run("outbox", "resend", "--to", parked.destination, "--dir", busy.directory)
        unsaid = run("outbox", "resend", "--dir", busy.directory)

        assert nobody.stdout == "0 message(s) to csp:North are queued again\n"
        assert sent.stdout == f"1 message(s) to {parked.destination} are queued again\n"
        assert (unsaid.exit_code, "name messages, or a receiver by --to" in unsaid.stderr) == (2, True)

    @pytest.mark.parametrize("command", ["list", "resend"])
    @pytest.mark.parametrize("destination", ["nonsense", "user:nobody", "csp:Nowhere", "user:", ""])
    def test_what_is_no_receiver_is_refused(self, run: Run, busy: World, command: str, destination: str) -> None:
        done = run("outbox", command, "--to", destination, "--dir", busy.directory)

        assert (done.exit_code, done.stdout) == (2, "")
        assert f"there is no receiver {destination}, and no message to it" in done.stderr
        assert "user:EUI" in done.stderr
        assert "csp:Central" in done.stderr

    def test_only_parked_messages_are_sent_again(self, run: Run, busy: World) -> None:
        done = run("outbox", "resend", "m1", "--dir", busy.directory)

        assert (done.exit_code, done.stderr) == (2, "sr-engine: there is no message m1 in the outbox\n")


class TestBrokenInstances:
    def test_every_mistake_in_the_settings_is_named_on_its_own_line(self, run: Run, world: World) -> None:
        edit(world.directory / "sr-engine.toml", "users_file", "user_file")
        edit(world.directory / "sr-engine.toml", "port = 8080", 'port = "high"')

        done = run("status", "--dir", world.directory)

        assert done.exit_code == 2
        assert done.stderr.splitlines() == [
            "sr-engine: sr-engine.toml: user_file: is not a known key; is users_file meant?",
            "sr-engine: sr-engine.toml: listen.port: must be a whole number from 1 to 65535, not 'high'",
            "sr-engine: sr-engine.toml: users_file: is missing; it must be a path, relative to the folder of this file",
        ]

    @only_sqlite
    def test_a_missing_database_is_said_to_be_missing_and_not_made_anew(self, run: Run, world: World) -> None:
        world.close()
        for path in world.directory.glob("sr-engine.db*"):
            path.unlink()

        done = run("status", "--dir", world.directory)

        assert done.exit_code == 2
        assert done.stderr.startswith(f"sr-engine: there is no database {world.directory / 'sr-engine.db'}: ")
        assert list(world.directory.glob("sr-engine.db*")) == []

    def test_a_database_that_was_tampered_with_is_refused_saying_what_it_lacks(self, run: Run, world: World) -> None:
        world.run(lambda uow: uow.connection.exec_driver_sql("ALTER TABLE attempts RENAME COLUMN compulsory TO other"))
        world.run(lambda uow: uow.connection.exec_driver_sql("DROP TABLE pilot_shares"))

        done = run("status", "--dir", world.directory)

        assert (done.exit_code, done.stdout) == (2, "")
        shares = ", ".join(sorted(f"pilot_shares.{column.name}" for column in pilot_shares.columns))
        assert done.stderr == (
            f"sr-engine: the database has the schema of revision {known_revisions()[-1]}, but lacks "
            f"attempts.compulsory, {shares}: somebody has changed it; restore a backup with `sr-engine restore`\n"
        )

    @only_sqlite
    def test_a_database_of_something_else_is_refused(self, run: Run, world: World) -> None:
        world.close()
        for path in world.directory.glob("sr-engine.db*"):
            path.unlink()
        (world.directory / "sr-engine.db").write_bytes(b"")
        lacking = run("status", "--dir", world.directory)
        (world.directory / "sr-engine.db").write_bytes(b"no database" * 1000)
        garbage = run("status", "--dir", world.directory)

        assert (lacking.exit_code, garbage.exit_code) == (2, 2)
        assert "the database lacks all tables: `sr-engine init` did not make it" in lacking.stderr
        assert garbage.stderr.endswith("sr-engine.db cannot be used: file is not a database\n")
