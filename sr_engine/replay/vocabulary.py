"""The words of a fixture: what can be done in a step, by whom, and what can be said of what comes of it."""

from __future__ import annotations

from dataclasses import dataclass

OF_A_STEP = frozenset({"number", "at", "says"})
EXPECTATIONS = frozenset(
    {
        "answer",
        "status",
        "detail",
        "body",
        "as_before",
        "responses",
        "refused",
        "refusal",
        "devices",
        "compared",
        "told",
        "listed",
        "listed_again",
        "state",
        "runs",
        "shows",
    }
)
"""What a step may say of its outcome."""


@dataclass(frozen=True, slots=True)
class Verb:
    """Who does it, and what else a step may say of it."""

    actor: str
    details: frozenset[str] = frozenset()


SUPPLIER, DCC, CSP, REGISTRATION = "supplier", "dcc", "csp", "registration"
_OF_A_RELEASE = frozenset({"regions", "may_break"})
_OF_ITS_PHASES = frozenset({"pilot_limit", "soak_hours", "gate", "failure_percent", "minimum_sample"})
_OF_A_MESSAGE = frozenset({"with", "service", "signed_by", "signed", "altered", "media_type"})
VERBS = {
    "request": Verb(SUPPLIER, _OF_A_MESSAGE),
    "again": Verb(SUPPLIER, frozenset({"service", "media_type"})),
    "schedules": Verb(SUPPLIER, frozenset({"window", "phase", "accepts_han_impact", "replaces", "named"})),
    "approves": Verb(SUPPLIER, frozenset({"accepts_han_impact"})),
    "declines": Verb(SUPPLIER),
    "defers": Verb(SUPPLIER, frozenset({"until"})),
    "deletes": Verb(SUPPLIER, frozenset({"hubs"})),
    "excludes": Verb(SUPPLIER, frozenset({"until"})),
    "includes": Verb(SUPPLIER),
    "reads_inventory": Verb(SUPPLIER),
    "opens": Verb(DCC, _OF_A_RELEASE | _OF_ITS_PHASES),
    "opens_gate": Verb(DCC),
    "halts": Verb(DCC, frozenset({"because"})),
    "resumes": Verb(DCC),
    "closes": Verb(DCC),
    "withdraws": Verb(DCC),
    "announces": Verb(DCC, frozenset({"comply_by", "takes_effect", "consultation", "consulted_on"})),
    "compares": Verb(DCC, frozenset({"comply_by"})),
    "confirms_exclusions": Verb(DCC),
    "imports": Verb(DCC),
    "limits": Verb(DCC, frozenset({"most_requests", "most_devices"})),
    "releases_request": Verb(DCC),
    "deletes_request": Verb(DCC),
    "registration": Verb(REGISTRATION, frozenset({"electricity", "gas", "from", "cancelled"})),
    "accepts": Verb(CSP, frozenset({"refuses"})),
    "refuses": Verb(CSP, frozenset({"accepts"})),
    "reports": Verb(CSP, frozenset({"happened", "found"})),
    "brings": Verb(CSP),
    "refuses_devices": Verb(CSP),
}
"""By the key that says what is done."""
OF_EVERY_HOME = frozenset({"opens", "announces", "withdraws", "imports"})
"""What concerns homes of which nothing is said."""
