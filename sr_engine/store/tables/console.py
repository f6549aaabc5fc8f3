"""Who signs in to the console, and what they want done."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

from sr_engine.store.tables.columns import BY_KEY, EUI, ORGANISATION, UtcDateTime, metadata, row_number

# Who may sign in to the console; an account without an organisation is an operator's.
console_accounts = Table(
    "console_accounts",
    metadata,
    row_number("account_id"),
    # Also the second half of `account:<login>` in the audit trail.
    Column("login", String(48), nullable=False, unique=True),
    Column("organisation", ORGANISATION),
    # The User in whose name it acts; none: the first of its organisation.
    Column("user_eui", EUI),
    # Names of roles joined by commas.
    Column("roles", String(64), nullable=False),
    # An encoded argon2id hash; none: it signs in elsewhere.
    Column("password_hash", String(256)),
    Column("must_change", Boolean, nullable=False),
    # What the second factor is computed from, and the last step of time for which one was taken.
    Column("totp_secret", String(64)),
    Column("totp_step", BigInteger),
    # How an OpenID provider calls the account.
    Column("oidc_subject", String(255), unique=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("disabled_at", UtcDateTime),
)

# Each is good once, in place of a second factor.
console_recovery_codes = Table(
    "console_recovery_codes",
    metadata,
    Column("account_id", ForeignKey("console_accounts.account_id"), primary_key=True),
    Column("code_sha256", String(64), primary_key=True),
    **BY_KEY,
)

console_sessions = Table(
    "console_sessions",
    metadata,
    # Of the token in the cookie, which stands nowhere.
    Column("token_sha256", String(64), primary_key=True),
    Column("account_id", ForeignKey("console_accounts.account_id"), nullable=False, index=True),
    Column("began_at", UtcDateTime, nullable=False),
    # To the minute or so.
    Column("seen_at", UtcDateTime, nullable=False),
    Column("second_factor", Boolean, nullable=False),
    # A second factor that is being set up.
    Column("pending_secret", String(64)),
    **BY_KEY,
)

# Failed attempts to sign in, by `account:<login>` and `address:<address>`.
console_tries = Table(
    "console_tries",
    metadata,
    Column("subject", String(80), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last_at", UtcDateTime, nullable=False, index=True),
    Column("locked_until", UtcDateTime),
    **BY_KEY,
)

# What somebody wants done in the console: shown first, then done once, or left to another to confirm.
console_proposals = Table(
    "console_proposals",
    metadata,
    Column("proposal_id", String(32), primary_key=True),
    Column("organisation", ORGANISATION, nullable=False),
    # Logins: of who wants it, and of who confirmed it or turned it down.
    Column("author", String(48), nullable=False),
    Column("decided_by", String(48)),
    Column("made_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("decided_at", UtcDateTime),
    Column("state", String(12), nullable=False),
    Column("title", String(200), nullable=False),
    Column("hub_count", Integer, nullable=False),
    # How many requests it takes, and how many of them are answered.
    Column("acts", Integer, nullable=False),
    Column("acts_done", Integer, nullable=False),
    # JSON: what is to be done, to which hubs, by which selection they were found.
    Column("content", Text, nullable=False),
    # JSON: what it would come to, or has come to, in short; and the hubs refused, by reason.
    Column("summary", Text, nullable=False),
    Column("refused", Text, nullable=False),
    # A sheet that was uploaded, and the same with what became of each row.
    Column("file_name", String(200)),
    Column("file", LargeBinary),
    Column("report", LargeBinary),
    Index("ix_console_proposals_organisation", "organisation", "made_at"),
)
