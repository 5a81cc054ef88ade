"""Natural persons, the accounts that belong to them, their roles, and how they stand to each other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from controls.model.record import record


@record
class Person:
    """A natural person under a stable pseudonym, with the roles assigned now (without inheritance)."""

    id: str
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class Profile:
    """What the directory knows of a person besides roles, at one moment; an empty text is not known.

    `reports_to` is the pseudonym of the person's superior, and of the person himself or herself at the top of
    the line. `household` names people who live together.
    """

    person: str
    department: str = ""
    desk: str = ""
    household: str = ""
    reports_to: str = ""


class Attribute(StrEnum):
    """What a `Profile` holds, by the name of its field."""

    DEPARTMENT = "department"
    DESK = "desk"
    HOUSEHOLD = "household"
    REPORTS_TO = "reports_to"


class AccountKind(StrEnum):
    """Whose hands are on an account. A bot's acts are those of the person it belongs to."""

    PERSON = "person"
    BOT = "bot"


@record
class Account:
    """A login, known in records by its pseudonym `ref`, and the one person it belongs to now."""

    login: str
    ref: str
    person: Person
    kind: AccountKind = AccountKind.PERSON


@record
class Delegation:
    """That `delegate` may take some steps by the grants of the person who gave it, `until` then."""

    id: str
    delegate: str
    until: datetime


@record
class Principal:
    """Whom a request is made for: the account that it names, and the delegation that covers it.

    `account` is None where nobody is known under that name. `delegation` is None where there is none in force
    that covers the step; whoever acts for himself or herself (a bot for the person it belongs to) needs none.
    """

    account: Account | None
    delegation: Delegation | None = None
