"""What the `CommsHubAlert`s of this processor tell of a hub."""

from __future__ import annotations

from enum import StrEnum


class HubEvent(StrEnum):
    """The event by the AlertCode of a CommsHubAlert, as the processor is shipped (`config/alerts.toml`)."""

    SCHEDULED = "A501"
    """All responsible Suppliers have approved, and a window is agreed."""
    LISTED = "A502"
    """The hub is on its CSP's list: from now on its schedule cannot be changed."""
    DELIVERED = "A503"
    """The firmware is on the hub, and not yet active."""
    CANCELLED = "A504"
    VOIDED = "A505"
    """A change of Supplier has made void what was decided."""
    WINDOW_CONFLICT = "A506"
    """The windows of both Suppliers have no time in common."""
    OTHER_SUPPLIER_ANSWER_CHANGED = "A507"
    """11.7 tells to what."""
    RETURNED = "A508"
    """The hub is off its list, and scheduled as before."""
    HALTED = "A509"
    """The release is halted in the hub's region."""
    RESUMED = "A50A"

    @classmethod
    def of(cls, alert_code: str) -> HubEvent | None:
        """The event of an AlertCode; None for one of a device, or of a processor that is set up with other codes."""
        return cls._value2member_map_.get(alert_code.upper())  # type: ignore[return-value]  # a map of members
