"""What the pages of Suppliers work with."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.exceptions import HTTPException

from sr_engine.configuration import User, UserDirectory
from sr_engine.configuration.advice import Advice
from sr_engine.configuration.duis import UserRole
from sr_engine.console.pages import Visit
from sr_engine.domain.eligibility import Applicant
from sr_engine.operations.supplier_answers import SupplierAnswers
from sr_engine.operations.supplier_hubs import SupplierHubs
from sr_engine.pipeline.acting import Acting

SUPPLYING = (UserRole.IS, UserRole.GS)
_SUSPENDED = "Your organisation is suspended, or all of its Users are. Ask the DCC. What you are sent is under Alerts."


@dataclass(frozen=True, slots=True)
class SupplierDesk:
    """The use cases of Suppliers, and the texts that go with them."""

    hubs: SupplierHubs
    answers: SupplierAnswers
    acting: Acting
    advice: Advice


def viewer_of(visit: Visit) -> Applicant:
    """As whom somebody looks: the organisation, in the roles that its Users have.

    Raises HTTPException for one that is suspended: a Service Request of it would be refused, too.
    """
    users = visit.desk.users
    if not any(users.is_active(user) for user in users.users_of(visit.organisation)):
        raise HTTPException(403, _SUSPENDED)
    return viewer(users, visit.organisation)


def viewer(users: UserDirectory, organisation: str) -> Applicant:
    """An organisation in the roles that its Users have, but for those that are suspended."""
    held = {role for user in users.users_of(organisation) if users.is_active(user) for role in user.roles}
    return Applicant(organisation, frozenset(str(role) for role in SUPPLYING if role in held))


def acting_user(visit: Visit) -> User | None:
    """The User in whose name somebody acts: the account's own, else the first that supplies; None: there is none."""
    users = visit.desk.users
    if visit.account.user_eui is not None:
        user = users.by_eui(visit.account.user_eui)
        # A User may have become another organisation's since the account was made.
        return user if user is not None and user.organisation_id == visit.organisation else None
    supplying = (
        user
        for role in SUPPLYING
        for user in users.users_of(visit.organisation)
        if role in user.roles and users.is_active(user)
    )
    return next(supplying, None) or users.receiving_user(visit.organisation, SUPPLYING)
