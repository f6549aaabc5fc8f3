"""Counters: strictly increasing per originator, whatever the number of threads, processes, kills and restarts."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sr_engine.counters import MARGIN, Counters, CountersUnusable

from .conftest import NOW_MS, OTHER, SUPPLIER, WAIT

_DRAWING = """
import sys, time
from pathlib import Path
from sr_engine.counters import Counters
counters = Counters(Path(sys.argv[1]))
while True:
    before = time.monotonic_ns()
    value = counters.draw(sys.argv[2], int(sys.argv[3]))
    print(before, value, time.monotonic_ns(), flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "counters"


def test_a_counter_is_the_time_or_one_more_than_the_last(path: Path) -> None:
    with closing(Counters(path)) as counters:
        drawn = [counters.draw(SUPPLIER, now) for now in (NOW_MS, NOW_MS, NOW_MS + 5, NOW_MS - 9_000, NOW_MS + 6)]

    assert drawn == [NOW_MS, NOW_MS + 1, NOW_MS + 5, NOW_MS + 6, NOW_MS + 7]


def test_each_originator_has_its_own(path: Path) -> None:
    with closing(Counters(path)) as counters:
        assert [counters.draw(eui, NOW_MS) for eui in (SUPPLIER, OTHER, SUPPLIER, OTHER)] == [
            NOW_MS,
            NOW_MS,
            NOW_MS + 1,
            NOW_MS + 1,
        ]


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from([SUPPLIER, OTHER]), st.integers(-5_000, 5_000), st.booleans()),
        max_size=40,
    )
)
def test_counters_increase_whoever_draws_and_whatever_the_clock_does(
    steps: list[tuple[int, str, int, bool]],
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "counters"
        holders = [Counters(path) for _ in range(3)]
        last = {SUPPLIER: 0, OTHER: 0}
        for holder, eui, offset, restart in steps:
            if restart:
                holders[holder].close()
                holders[holder] = Counters(path)
            value = holders[holder].draw(eui, NOW_MS + offset)
            assert value > last[eui]
            last[eui] = value
        for one in holders:
            one.close()


def test_threads_never_draw_the_same(path: Path) -> None:
    drawn: list[list[int]] = [[] for _ in range(4)]
    with closing(Counters(path)) as counters:

        def draw(into: list[int]) -> None:
            into.extend(counters.draw(SUPPLIER, NOW_MS) for _ in range(300))

        threads = [threading.Thread(target=draw, args=(into,)) for into in drawn]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT)

    assert all(one == sorted(one) for one in drawn)
    assert sorted(value for one in drawn for value in one) == list(range(NOW_MS, NOW_MS + 1_200))


def test_processes_killed_while_they_draw_leave_nothing_that_is_given_out_twice(path: Path) -> None:
    seen: list[tuple[int, int, int]] = []
    for _ in range(2):
        running = [_drawing(path) for _ in range(2)]
        lines = [_take(process, 700) for process in running]
        for process in running:
            process.kill()
        for process, some in zip(running, lines, strict=True):
            # The last line may have been cut short by the kill.
            rest = process.communicate()[0].splitlines()[:-1]
            seen += [_numbers(line) for line in [*some, *rest] if len(line.split()) == 3]

    values = [value for _, value, _ in seen]
    assert len(values) >= 2_800
    assert len(set(values)) == len(values)
    with closing(Counters(path)) as counters:
        assert counters.draw(SUPPLIER, NOW_MS) > max(values)
    # Whoever began after another had its answer got the higher number, in whichever process.
    highest_answered = _highest_before(seen)
    assert all(value > earlier for (_, value, _), earlier in highest_answered)


def test_a_lost_page_cache_gives_nothing_out_twice(path: Path) -> None:
    with closing(Counters(path)) as counters:
        first = counters.draw(SUPPLIER, NOW_MS)
        on_disk = path.read_bytes()
        later = [counters.draw(SUPPLIER, NOW_MS) for _ in range(MARGIN - 1)]
    # What was not forced to the disk is as it was before.
    path.write_bytes(on_disk)

    with closing(Counters(path)) as counters:
        assert counters.draw(SUPPLIER, NOW_MS) > max(first, *later)


def test_half_a_record_at_the_end_is_written_over(path: Path) -> None:
    with closing(Counters(path)) as counters:
        counters.draw(SUPPLIER, NOW_MS)
    with path.open("ab") as file:
        file.write(b"\x90\xb3\xd5")

    with closing(Counters(path)) as counters:
        assert counters.draw(OTHER, NOW_MS) == NOW_MS
        assert counters.draw(SUPPLIER, NOW_MS) > NOW_MS


def test_another_file_is_not_taken_for_counters(path: Path, tmp_path: Path) -> None:
    path.write_text("important notes, which must not be written over\n")

    with pytest.raises(CountersUnusable, match="is not a file of counters"):
        Counters(path)
    with pytest.raises(CountersUnusable, match="cannot be opened"):
        Counters(tmp_path / "nowhere" / "counters")

    assert path.read_text().startswith("important notes")


def _drawing(path: Path) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", _DRAWING, str(path), SUPPLIER, str(NOW_MS)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def _take(process: subprocess.Popen[str], number: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline().strip() for _ in range(number)]


def _numbers(line: str) -> tuple[int, int, int]:
    before, value, after = (int(part) for part in line.split())
    return before, value, after


def _highest_before(seen: list[tuple[int, int, int]]) -> Iterator[tuple[tuple[int, int, int], int]]:
    """Each draw, and the highest number that had been answered when it began."""
    answered = sorted((after, value) for _, value, after in seen)
    highest = position = 0
    for draw in sorted(seen):
        while position < len(answered) and answered[position][0] < draw[0]:
            highest = max(highest, answered[position][1])
            position += 1
        yield draw, highest


_FORKING = """
import os, sys
from pathlib import Path
from sr_engine.counters import Counters
counters = Counters(Path(sys.argv[1]))
counters.draw(sys.argv[2], 1)
children = [os.fork() for _ in range(2)]
for _ in range(2_000):
    os.write(1, b"%d\\n" % counters.draw(sys.argv[2], 1))
for child in filter(None, children):
    os.waitpid(child, 0)
"""


def test_processes_that_were_forked_never_repeat_a_counter(path: Path) -> None:
    command = [sys.executable, "-c", _FORKING, str(path), SUPPLIER]
    drawn = subprocess.run(command, capture_output=True, check=True, timeout=WAIT).stdout.split()

    assert (len(drawn), len(set(drawn))) == (8_000, 8_000)


@pytest.mark.parametrize("anew", [False, True], ids=["removed", "replaced"])
def test_nothing_is_given_out_once_the_file_was_removed_or_replaced(path: Path, anew: bool) -> None:
    with closing(Counters(path)) as first:
        first.draw(SUPPLIER, NOW_MS)
        path.unlink()
        if anew:
            with closing(Counters(path)) as second:
                second.draw(SUPPLIER, NOW_MS)

        with pytest.raises(CountersUnusable, match="counters was removed or replaced"):
            first.draw(SUPPLIER, NOW_MS)


def test_counters_that_were_closed_write_to_no_other_file(path: Path, tmp_path: Path) -> None:
    counters = Counters(path)
    counters.draw(SUPPLIER, NOW_MS)
    counters.close()
    with (tmp_path / "ledger").open("w+b") as other:
        other.write(bytes(200))
        other.flush()
        with pytest.raises(OSError, match="was closed"):
            counters.draw(SUPPLIER, NOW_MS)
        counters.close()
        other.seek(0)
        assert other.read() == bytes(200)
