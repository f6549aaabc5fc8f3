"""Memory that is used no more is the system's again."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sr_engine import heap

_PAGE = os.sysconf("SC_PAGE_SIZE")
_BLOCKS, _BYTES, _KEPT = 40_000, 2_000, 50
"""80 MB, of which every fiftieth block stays: what lies between them the C library keeps by itself."""


def resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE


def full_of_holes() -> list[bytearray]:
    """What is left of many blocks."""
    return [bytearray(_BYTES) for _ in range(_BLOCKS)][::_KEPT]


@pytest.mark.skipif(os.confstr("CS_GNU_LIBC_VERSION") is None, reason="needs the GNU C library")
def test_what_was_freed_between_what_is_still_used_is_given_back() -> None:
    kept = full_of_holes()
    before = resident()

    heap.give_back()

    assert before - resident() > _BLOCKS * _BYTES / 2
    assert len(kept) == _BLOCKS // _KEPT


@pytest.mark.skipif(os.confstr("CS_GNU_LIBC_VERSION") is None, reason="needs the GNU C library")
def test_it_is_given_back_in_the_background_until_the_end() -> None:
    async def run() -> int:
        kept = full_of_holes()
        before = resident()
        async with heap.giving_back(0.01), asyncio.timeout(30):
            while before - resident() < _BLOCKS * _BYTES / 2:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        assert len(asyncio.all_tasks()) == 1
        return len(kept)

    assert asyncio.run(run()) == _BLOCKS // _KEPT


def test_what_is_there_is_not_looked_through_for_cycles_any_more_and_what_comes_is() -> None:
    program = """
import gc, weakref
from sr_engine.heap import keep_what_is_there

class Node: pass

keep_what_is_there()
print(gc.get_freeze_count() > 10_000, len(gc.get_objects()) < 1_000)
node = Node()
node.itself, gone = node, weakref.ref(node)
del node
kept = []
while gone() is not None and len(kept) < 1_000_000:
    kept.append([])
print(gone() is None)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "True True\nTrue\n"
