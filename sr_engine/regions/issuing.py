"""Queueing a signed upgrade list for its CSP (section 5, CSP messages)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from signing import Signer
from sr_engine.configuration import Region
from sr_engine.delivery.alerts import broker_message_id
from sr_engine.domain.upgrades import Release
from sr_engine.messages.csp import build_csp_message
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import ListEntry, UpgradeList
from sr_engine.store import lists, outbox
from sr_engine.store.units_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Issuing:
    """Signs lists and puts them into the outbox."""

    signer: Signer
    access_control_broker: str
    draw_id: Callable[[], str]

    def __call__(
        self,
        unit_of_work: UnitOfWork,
        region: Region,
        release: Release,
        entry: ListEntry,
        *,
        windows_end: datetime,
        list_id: str | None = None,
        replaces: str | None = None,
    ) -> tuple[str, str]:
        """Queue a list of hubs of one release for one period; return its list id and the key of its message.

        `windows_end` is when the last of the windows that were agreed for its hubs ends. `list_id` is the id that was
        drawn for it, if one was; `replaces` that of the list from which its hubs come, if they stood on one.
        """
        connection, now = unit_of_work.connection, unit_of_work.now
        list_id = list_id or self.draw_id()
        message_id = self.draw_id()
        message = UpgradeList(
            message_id=RequestId.parse(
                broker_message_id(unit_of_work, self.access_control_broker, region.csp_eui, recipient=region.csp_eui)
            ),
            created=now,
            list_id=list_id,
            region=region.name,
            firmware=release.firmware,
            image_hash=release.image_hash,
            entries=(entry,),
            replaces=replaces,
        )
        body = self.signer.sign(build_csp_message(message))
        outgoing = outbox.Outgoing(message_id, outbox.UPGRADE_LIST, f"csp:{region.name}", "upgrade_list", body)
        outbox.put(connection, [outgoing], now)
        period, hub_ids = entry.period, entry.device_ids
        new = lists.NewList(
            list_id, region.name, release.release_id, period, hub_ids, message_id, windows_end, replaces
        )
        lists.add_list(connection, new, now)
        return list_id, message.message_id.key
