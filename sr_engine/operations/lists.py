"""What an operator asks of a CSP about a list that was cut: not to carry it out (section 5, CSP messages)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from signing import Signer
from sr_engine.configuration import Region
from sr_engine.delivery.alerts import broker_message_id
from sr_engine.messages.csp import build_csp_message
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import UpgradeListWithdrawal
from sr_engine.store import audit, lists, outbox, withdrawals
from sr_engine.store.lists import CutList
from sr_engine.store.units_of_work import UnitOfWork

OPERATOR = "operator"


class NotWithdrawable(Exception):
    """The list, or a hub of it, cannot be withdrawn; the text says why."""


@dataclass(frozen=True, slots=True)
class Withdrawing:
    """Asks CSPs to withdraw lists."""

    signer: Signer
    access_control_broker: str
    draw_id: Callable[[], str]

    def __call__(
        self,
        unit_of_work: UnitOfWork,
        region: Region,
        cut: CutList,
        hub_ids: Collection[str],
        reason: str,
        *,
        replacing: bool = False,
    ) -> int:
        """Ask for a list, or some hubs of it, to be withdrawn before it starts; return how many hubs that are.

        Nothing is cancelled before the CSP has acknowledged it; with `replacing`, what it then takes off the list is
        not cancelled but stands on a new one, as far as it still may. Raises NotWithdrawable.
        """
        connection, now = unit_of_work.connection, unit_of_work.now
        if now >= cut.period.start:
            raise NotWithdrawable(f"list {cut.list_id} has started: {cut.period.start:%Y-%m-%dT%H:%MZ} has passed")
        # A CSP that fetches its lists has those that it has acknowledged.
        if not cut.delivered and not cut.acknowledged:
            raise NotWithdrawable(
                f"list {cut.list_id} has not reached its CSP yet; `sr-engine phase halt` keeps it from being sent"
            )
        on_list = lists.with_csp(connection, cut.list_id)
        strangers = sorted({hub_id.upper() for hub_id in hub_ids} - set(on_list))
        if strangers:
            raise NotWithdrawable(f"not on list {cut.list_id}, or further than accepted: {', '.join(strangers)}")
        chosen = sorted({hub_id.upper() for hub_id in hub_ids}) or on_list
        if not chosen:
            raise NotWithdrawable(f"nothing on list {cut.list_id} can be withdrawn any more")
        message_id = broker_message_id(
            unit_of_work, self.access_control_broker, region.csp_eui, recipient=region.csp_eui
        )
        message = UpgradeListWithdrawal(
            RequestId.parse(message_id), now, cut.list_id, region.name, reason, tuple(chosen) if hub_ids else ()
        )
        body = self.signer.sign(build_csp_message(message))
        destination = f"csp:{region.name}"
        outgoing = outbox.Outgoing(self.draw_id(), outbox.UPGRADE_LIST, destination, "upgrade_list_withdrawal", body)
        outbox.put(connection, [outgoing], now)
        asked = withdrawals.Withdrawal(cut.list_id, reason, replacing, tuple(chosen) if hub_ids else None)
        withdrawals.add(connection, message.message_id.key, asked, now)
        detail = f"{region.name}: list {cut.list_id}, {len(chosen)} hubs: {reason}"
        action = f"list {'replacement' if replacing else 'withdrawal'} asked for"
        entry = audit.Entry(now, OPERATOR, action, detail, message.message_id.key, cut.release_id)
        audit.record(connection, [entry])
        return len(chosen)


def find_list(unit_of_work: UnitOfWork, list_id: str) -> CutList:
    """One list; raises NotWithdrawable for an unknown one."""
    found = lists.cut_list(unit_of_work.connection, list_id)
    if found is None:
        raise NotWithdrawable(f"there is no upgrade list {list_id}")
    return found
