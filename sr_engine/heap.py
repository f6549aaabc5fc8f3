"""Memory: what was freed goes back to the system every so often, and what lives long is not looked through for cycles.

The C library keeps what lies between what is still used: a process would seem to grow until it has met its largest
burst in every part of its heap, and stay so large.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sr_engine.background import in_background

GIVE_BACK_EVERY_SECONDS = 60.0
"""It takes some milliseconds, in which threads wait that ask for memory."""

_M_ARENA_MAX, _ARENAS = -8, 2
_LOOK_FOR_CYCLES_AFTER = (10_000, 20, 10)
"""So many objects more than were freed, and so many looks at younger ones; with Python's own 700 lists of many hubs
are looked through again and again while they are made."""


def share_arenas() -> None:
    """Have all threads take memory from two parts of the heap: each further one keeps what its threads have freed.

    To be called before there are threads; does nothing where the C library cannot.
    """
    limit = getattr(ctypes.CDLL(None), "mallopt", None)
    if limit is not None:
        limit(_M_ARENA_MAX, _ARENAS)


def keep_what_is_there() -> None:
    """Have Python never look for cycles in all there is by now, which lives as long as the process; to be called once.

    Code, schemas and configuration are most of the objects of a process, and each full look through them would hold up
    everything else for a tenth of a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_LOOK_FOR_CYCLES_AFTER)


def give_back() -> None:
    """Give back to the system all pages of the heap that hold nothing; does nothing where the C library cannot."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


@asynccontextmanager
async def giving_back(every_seconds: float = GIVE_BACK_EVERY_SECONDS) -> AsyncIterator[None]:
    """Give back in the background until the end of the block."""
    async with in_background(_run(every_seconds)):
        yield


async def _run(every_seconds: float) -> None:
    while True:
        await asyncio.sleep(every_seconds)
        await asyncio.to_thread(give_back)
