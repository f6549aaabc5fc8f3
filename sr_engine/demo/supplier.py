"""A Supplier of the demonstration: hears of a release, schedules it by 11.5 or approves it by 11.6, takes alerts."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import aiohttp

from signing import VerifiedDocument
from sr_engine.client import AsyncClient, ListRequest, approve, decline, schedule
from sr_engine.configuration import AlertEvent, load
from sr_engine.demo.country import FIRMWARE
from sr_engine.messages.decode import decode_response
from sr_engine.messages.model import (
    CommsHubAlert,
    CommsHubFirmwareActivation,
    FirmwareDistributionFailure,
    FirmwareUpgradeRequested,
)
from sr_engine.simulator.party import Party, application, serve_until_told

RECEIVING_PATH = "/smartdcc/duis"
DECLINE_EVERY = 11
_POLL_SECONDS = 0.2
_QUIET_POLLS = 4
_WINDOW = timedelta(days=60)
"""Longer than the demonstration: hubs that nobody approves still wait when it ends."""


class DemoSupplier:
    """Either the one that schedules, or the one that waits for the other side and then approves most."""

    def __init__(self, party: Party, directory: Path, *, schedules: bool) -> None:
        configuration = load(directory / "config")
        self._party = party
        self._client = AsyncClient(
            party.base_url,
            key=party.key,
            trust=directory / "pki" / "trust",
            counters=directory / f"{party.name}.counters",
            clock=party.clock,
            broker=configuration.policy.access_control_broker_eui,
        )
        self._answer_changed = configuration.alerts[AlertEvent.OTHER_SUPPLIER_ANSWER_CHANGED].hub_alert_code
        self._hub_event = {
            definition.hub_alert_code: event.value.removeprefix("hub_").replace("_", " ")
            for event, definition in configuration.alerts.items()
        }
        self._schedules = schedules
        self._release_hubs: list[str] = []
        self._other_side_answered = 0

    async def handle(self, document: VerifiedDocument) -> None:
        """Take one alert."""
        alert = decode_response(document).alert
        match alert:
            case FirmwareUpgradeRequested():
                self._release_hubs += alert.device_ids
                self._count("release opened", len(alert.device_ids))
            case CommsHubFirmwareActivation():
                self._count("activated")
            case FirmwareDistributionFailure():
                self._count("failed or missed", len(alert.device_ids))
            case CommsHubAlert():
                self._count(self._hub_event.get(alert.alert_code, alert.alert_code))
                if alert.alert_code == self._answer_changed:
                    self._other_side_answered += 1
            case _:
                self._count("other")

    def _count(self, what: str, hubs: int = 1) -> None:
        self._party.stats["alerts"] += 1
        self._party.stats[f"hubs: {what}"] += hubs

    async def act(self, _session: aiohttp.ClientSession) -> None:
        """Wait for the news, then send the requests."""
        async with self._client:
            await self._play()

    async def _play(self) -> None:
        await self._settled(lambda: len(self._release_hubs))
        if self._schedules:
            start = self._party.clock.now() + timedelta(hours=12)
            await self._send(schedule(FIRMWARE, self._release_hubs, start=start, end=start + _WINDOW))
            return
        # The other side schedules all its hubs in one request: the first word of it is enough.
        while not self._other_side_answered:  # noqa: ASYNC110 - what arrives is counted, and looked at now and then
            await asyncio.sleep(_POLL_SECONDS)
        # By the hub's own number rather than its place in the list, so that every region has some.
        declined = [hub for hub in self._release_hubs if int(hub[-8:].replace("-", ""), 16) % DECLINE_EVERY == 0]
        approved = sorted(set(self._release_hubs) - set(declined))
        await self._send(approve(FIRMWARE, approved))
        await self._send(decline(FIRMWARE, declined))

    async def _settled(self, count: Callable[[], int]) -> None:
        """Return when something has arrived and no more came for a while."""
        last, quiet = 0, 0
        while quiet < _QUIET_POLLS:
            await asyncio.sleep(_POLL_SECONDS)
            now = count()
            quiet = quiet + 1 if now and now == last else 0
            last = now

    async def _send(self, body: ListRequest) -> None:
        result = await self._client.send(body)
        (answer,) = result.answers
        words = f"{answer.request.service_reference_variant}, answered {answer.response.code}: {answer.detail}"
        print(f"{self._party.name} sent {words}", flush=True)


def main() -> None:
    """`python -m sr_engine.demo.supplier DIR NAME PORT PROCESSOR_URL schedules|approves`."""
    directory, name, port, url, part = sys.argv[1:]
    party = Party.load(Path(directory), name, url)
    supplier = DemoSupplier(party, Path(directory), schedules=part == "schedules")
    app = application([party.receives(RECEIVING_PATH, supplier.handle)], [party])
    asyncio.run(serve_until_told(app, [int(port)], [supplier.act]))


if __name__ == "__main__":
    main()
