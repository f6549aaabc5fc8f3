"""Lists for the CSPs: how they are cut, what is on them, and how well they were kept."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table, Text

from sr_engine.store.tables.columns import BY_KEY, EUI, ORGANISATION, UtcDateTime, metadata, row_number

# Lists, or some hubs of them, that the processor has asked a CSP not to carry out.
list_withdrawals = Table(
    "list_withdrawals",
    metadata,
    # The MessageID, in canonical form.
    Column("message_key", String(70), primary_key=True),
    Column("list_id", ForeignKey("upgrade_lists.list_id"), nullable=False, index=True),
    Column("reason", Text, nullable=False),
    # Whether what the CSP takes off is to stand on a new list, as far as it still may.
    Column("replacing", Boolean, nullable=False),
    # A JSON array of CHF ids; none: all that are on the list.
    Column("hub_ids", Text),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("answered_at", UtcDateTime),
)

# Hubs that a CSP has refused or taken off a list while their attempt goes on: it may report on them all the same.
off_lists = Table(
    "off_lists",
    metadata,
    Column("list_id", ForeignKey("upgrade_lists.list_id"), primary_key=True),
    Column("hub_id", EUI, primary_key=True),
    Column("attempt_id", ForeignKey("attempts.attempt_id"), nullable=False),
    **BY_KEY,
)

upgrade_lists = Table(
    "upgrade_lists",
    metadata,
    Column("list_id", String(32), primary_key=True),
    Column("region", String(16), nullable=False),
    Column("release_id", ForeignKey("releases.release_id"), nullable=False),
    Column("period_start", UtcDateTime, nullable=False),
    Column("period_end", UtcDateTime, nullable=False),
    # When the last of the windows that were agreed for its hubs ends.
    Column("windows_end", UtcDateTime, nullable=False),
    Column("hub_count", Integer, nullable=False),
    Column("cut_at", UtcDateTime, nullable=False),
    Column("acknowledged_at", UtcDateTime),
    # When the CSP was last asked for the acknowledgement that has not come.
    Column("chased_at", UtcDateTime),
    Column("message_id", String(32), nullable=False),
    # The list on which its hubs stood before, if they did.
    Column("replaces", ForeignKey("upgrade_lists.list_id"), index=True),
    Index("ix_upgrade_lists_acknowledged_at", "acknowledged_at"),
    Index("ix_upgrade_lists_windows_end", "region", "windows_end"),
    Index("ix_upgrade_lists_message_id", "message_id"),
)

# The hubs that a list was cut with, in one value: a row for each of a million would take longer than to cut the lists.
# Whether one stands there still is said by its attempt.
listed_hubs = Table(
    "listed_hubs",
    metadata,
    Column("list_id", ForeignKey("upgrade_lists.list_id"), primary_key=True),
    # A JSON array of CHF ids.
    Column("hub_ids", Text, nullable=False),
)

# Breaches of service levels, in the portions in which they were found; each list and hub is in one of each measure.
sla_breaches = Table(
    "sla_breaches",
    metadata,
    row_number("breach_id"),
    Column("region", String(16), nullable=False),
    Column("measure", String(16), nullable=False),
    Column("found_at", UtcDateTime, nullable=False),
    # How many lists or hubs.
    Column("number", Integer, nullable=False),
    # What was delivered, missed or reported up to then has been judged.
    Column("judged_up_to", UtcDateTime, nullable=False),
    Index("ix_sla_breaches_region_measure", "region", "measure", "judged_up_to"),
)

trigger_runs = Table(
    "trigger_runs",
    metadata,
    Column("region", String(16), primary_key=True),
    Column("trigger", String(16), primary_key=True),
    # The start of the open period it was for; for the first look of an instance, its time.
    Column("period_start", UtcDateTime, primary_key=True),
    Column("done_at", UtcDateTime, nullable=False),
)

# What the rounding of shares in a region's lists has cost a Supplier so far (`regions.planner`), where that is not
# nothing; below 0, what it has brought it.
owed_hubs = Table(
    "owed_hubs",
    metadata,
    Column("region", String(16), primary_key=True),
    Column("organisation", ORGANISATION, primary_key=True),
    # In parts of a hub, `planner.PARTS`.
    Column("parts", BigInteger, nullable=False),
)

# The cutting of the lists of a region for a period: planned, cut list by list, and done once it is in trigger_runs.
list_runs = Table(
    "list_runs",
    metadata,
    Column("region", String(16), primary_key=True),
    Column("period_start", UtcDateTime, primary_key=True),
    # None: what is left of the places is still to be given away.
    Column("planned_at", UtcDateTime),
    # JSON of the groups of hubs chosen, each with the last of them; in each, all that are eligible up to that one are.
    Column("plan", Text),
    # The places that are left.
    Column("places", Integer, nullable=False),
    # How many hubs were chosen, and for how many there was no place.
    Column("chosen", Integer, nullable=False),
    Column("left_out", Integer, nullable=False),
    # Lists cut so far, the hubs on them, and the last of these hubs: lists are cut by release and hub.
    Column("lists", Integer, nullable=False),
    Column("hubs", Integer, nullable=False),
    Column("after_release", String(32)),
    Column("after_hub", EUI),
    # Places that were lost when lists were cut have been given away once more.
    Column("filling", Boolean, nullable=False),
)
