"""Closed sets of the published interface which the configuration must keep to (FACTS RC2, DM1, DM9, AL1, RQ9)."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

COMMAND_VARIANTS: Final = frozenset(range(1, 10))
"""All the schema knows; 9 is internal to the DCC (FACTS RQ9)."""

CSP_REGIONS: Final = ("North", "Central", "South", "4G North", "4G Central", "4G South", "Unknown", "SMETS1")
"""Every value of CSPRegion (FACTS DM9)."""

DCC_ALERT_CODES: Final = frozenset({"AD1", "N999", *(f"N{number}" for number in range(1, 66) if number != 32)})
"""Every DCCAlertCode; N32 does not exist (FACTS AL1)."""


class UserRole(StrEnum):
    """User Roles, in the order in which they are preferred when one User of an organisation has to be chosen."""

    IS = "IS"
    GS = "GS"
    ES = "ES"
    RSA = "RSA"
    ED = "ED"
    GT = "GT"
    OU = "OU"


class AlertBodyElement(StrEnum):
    """Bodies of DCC Alerts that the product sends, by the name of their element (section 5 of the domain
    description, Alerts out)."""

    FIRMWARE_UPGRADE_REQUESTED = "FirmwareUpgradeRequested"
    COMMS_HUB_FIRMWARE_ACTIVATION = "CommsHubFirmwareActivation"
    FIRMWARE_DISTRIBUTION_FAILURE = "FirmwareDistributionFailure"
    CSP_FIRMWARE_DELIVERY_STATUS = "CSPFirmwareDeliveryStatus"
    FIRMWARE_VERSION_MISMATCH = "FirmwareVersionMismatch"
    CHANGE_OF_SUPPLIER = "ChangeOfSupplier"
    QUARANTINED_REQUEST = "QuarantinedRequest"
    DUIS_VERSION_MISMATCH = "DUISVersionMismatch"
    COMMS_HUB_ALERT = "CommsHubAlert"
