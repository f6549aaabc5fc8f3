"""Which messages may be handled now: those about one device in the order in which they came."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable


class Order:
    """Messages by number, each about some devices; one is free once it is the first of all its devices."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[int]] = {}
        self._devices: dict[int, tuple[str, ...]] = {}
        self._waits_for: dict[int, int] = {}
        """Of how many devices a message is not the first."""
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self._devices)

    def add(self, number: int, device_ids: Iterable[str]) -> None:
        """A message comes after all that came before."""
        ids = tuple(dict.fromkeys(device_ids))
        waits = 0
        for device_id in ids:
            queue = self._queues.setdefault(device_id, deque())
            waits += bool(queue)
            queue.append(number)
        self._devices[number] = ids
        if waits:
            self._waits_for[number] = waits
        else:
            heapq.heappush(self._free, number)

    def take(self) -> int | None:
        """The first message that is free, which then is in hand until it is put back or done; None if there is none."""
        return heapq.heappop(self._free) if self._free else None

    def put_back(self, number: int) -> None:
        """It was not handled, and stays in its places."""
        heapq.heappush(self._free, number)

    def done(self, number: int) -> None:
        """It is out of the way of those that come after."""
        for device_id in self._devices.pop(number):
            queue = self._queues[device_id]
            queue.popleft()
            if not queue:
                del self._queues[device_id]
                continue
            behind = queue[0]
            self._waits_for[behind] -= 1
            if not self._waits_for[behind]:
                del self._waits_for[behind]
                heapq.heappush(self._free, behind)
