"""What the pages of Suppliers work with."""

from __future__ import annotations

from dataclasses import dataclass

from sr_engine.configuration import User
from sr_engine.configuration.advice import Advice
from sr_engine.configuration.duis import UserRole
from sr_engine.console.pages import Visit
from sr_engine.domain.eligibility import Applicant
from sr_engine.operations.supplier_answers import SupplierAnswers
from sr_engine.operations.supplier_hubs import SupplierHubs
from sr_engine.pipeline.acting import Acting

SUPPLYING = (UserRole.IS, UserRole.GS)


@dataclass(frozen=True, slots=True)
class SupplierDesk:
    """The use cases of Suppliers, and the texts that go with them."""

    hubs: SupplierHubs
    answers: SupplierAnswers
    acting: Acting
    advice: Advice


def viewer_of(visit: Visit) -> Applicant:
    """As whom somebody looks: the organisation, in the roles that its Users have."""
    return viewer(visit.desk.users.users_of(visit.organisation), visit.organisation)


def viewer(users: tuple[User, ...], organisation: str) -> Applicant:
    """An organisation in the roles that its Users have."""
    held = {role for user in users for role in user.roles}
    return Applicant(organisation, frozenset(str(role) for role in SUPPLYING if role in held))


def acting_user(visit: Visit) -> User | None:
    """The User in whose name somebody acts: the account's own, else the first that supplies; None: there is none."""
    if visit.account.user_eui is not None:
        user = visit.desk.users.by_eui(visit.account.user_eui)
        # A User may have become another organisation's since the account was made.
        return user if user is not None and user.organisation_id == visit.organisation else None
    return visit.desk.users.receiving_user(visit.organisation, SUPPLYING)
