"""8.2 Read Inventory (published): devices by device id, UPRN, MPxN or address."""

from __future__ import annotations

from sr_engine.messages.model import Inventory, ReadInventory
from sr_engine.requests.outcome import Facts, Outcome, Rules, Sender


def decide(request: ReadInventory, _sender: Sender, facts: Facts, rules: Rules) -> Outcome:
    """Answer with the devices that match; all seven roles may ask about any device (FACTS DM3)."""
    most = rules.inventory_max_devices
    found = facts.inventory(request, most + 1)
    if not found:
        return Outcome("E080201", "no device in the inventory matches the request")
    devices = tuple(found[:most])
    more = f"; more than {most} match, ask for the others by their hub or their own id" if len(found) > most else ""
    return Outcome("I0", f"{len(devices)} device(s) read{more}", Inventory(devices))
