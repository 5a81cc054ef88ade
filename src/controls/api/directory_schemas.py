"""Bodies of the routes over the directory."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from controls.api.schemas import Asked, Told
from controls.model.people import AccountKind, Attribute
from controls.model.values import microseconds
from controls.services.delegations import MAX_REASON
from controls.services.directory_file import is_id, is_text
from controls.services.directory_plans import AbsenceLine, AccountLine, PersonPlan, RoleLine
from controls.services.mitigations import MAX_TEXT

MAX_PERSONS: Final = 1_000
MAX_RECORDS: Final = 200  # accounts, roles or absences of one person in one request
ID_SCHEMA: Final = {"type": "string", "minLength": 1, "maxLength": 128}


def _check_id(text: str) -> str:
    if not is_id(text):
        raise PydanticCustomError(
            "bad_id",
            "is empty, too long, begins or ends with a blank, or holds one of , ; : ( ) [ ] # \" ' \\",
        )
    return text


def _check_text(text: str) -> str:
    if text and not is_text(text):
        raise PydanticCustomError("bad_text", "is too long or holds control characters")
    return text


def _check_time(text: str) -> str:
    if read_time(text) is None:
        raise PydanticCustomError("bad_time", "must be a time with a zone, such as 2026-03-02T09:30:00Z")
    return text


def read_time(text: str) -> int | None:
    """Microseconds of a time with a zone; None when it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None or not 1990 <= moment.year <= 2200:
        return None
    return microseconds(moment)


Id = Annotated[str, AfterValidator(_check_id), WithJsonSchema(ID_SCHEMA)]
Text = Annotated[str, AfterValidator(_check_text), WithJsonSchema({"type": "string", "maxLength": 128})]
Time = Annotated[str, AfterValidator(_check_time), WithJsonSchema({"type": "string", "format": "date-time"})]


class PeriodAsked(Asked):
    """From when until when; left out: from the confirmation on, or without end."""

    from_: Time | None = Field(default=None, alias="from")
    to: Time | None = None

    def times(self) -> tuple[int | None, int | None]:
        """Both in microseconds."""
        begin, end = (None if said is None else read_time(said) for said in (self.from_, self.to))
        return begin, end


class AccountAsked(PeriodAsked):
    """A login; of its kind, left out is as it is."""

    login: Id
    kind: Literal["person", "bot"] | None = None


class RoleAsked(PeriodAsked):
    """A role of the release in force."""

    role: Id


class PersonAsked(Asked):
    """What one person is to have. What is left out stays as it is.

    `accounts` are those that change, whatever others the person has. `roles` and `absences` are all that the
    person is to have from now on. An empty department, desk, household or superior ends it.
    """

    person: Id
    name: Text = ""
    accounts: Annotated[list[AccountAsked], Field(max_length=MAX_RECORDS)] = Field(default_factory=list)
    roles: Annotated[list[RoleAsked], Field(max_length=MAX_RECORDS)] | None = None
    department: Text | None = None
    desk: Text | None = None
    household: Text | None = None
    reports_to: Text | None = None
    absences: Annotated[list[PeriodAsked], Field(max_length=MAX_RECORDS)] | None = None

    def plan(self, where: str) -> PersonPlan:
        """The same as a plan; `where` is its pointer."""
        said: dict[Attribute, str | None] = {item: getattr(self, item.value) for item in Attribute}
        return PersonPlan(
            id=self.person,
            name=self.name,
            where=where,
            accounts=[
                AccountLine(
                    item.login,
                    *item.times(),
                    where=f"{where}/accounts/{number}",
                    kind=None if item.kind is None else AccountKind(item.kind),
                )
                for number, item in enumerate(self.accounts)
            ],
            roles=None if self.roles is None else {RoleLine(item.role, *item.times()) for item in self.roles},
            attributes={attribute: value for attribute, value in said.items() if value is not None},
            absences=None
            if self.absences is None
            else [AbsenceLine(*item.times()) for item in self.absences],
        )


class DirectoryChangeRequest(Asked):
    """Persons to be changed together, once another administrator confirms."""

    persons: Annotated[list[PersonAsked], Field(min_length=1, max_length=MAX_PERSONS)]


class MergeRequest(Asked):
    """That `person` is the same human being as `into`, who stays."""

    person: Id
    into: Id


class DelegationRequest(Asked):
    """That `delegate` may take `steps` of chains of a kind for `person` until a moment, at most 92 days away.

    `reason` is recorded as a commitment.
    """

    person: Id
    delegate: Id
    chain: Id
    steps: Annotated[list[Id], Field(min_length=1, max_length=100)]
    until: Time
    reason: Annotated[str, StringConstraints(min_length=1, max_length=MAX_REASON, pattern=r"\S")]


class DelegationEndRequest(Asked):
    """That a delegation is revoked."""

    delegation: Id


class MitigationRequest(Asked):
    """That `owner` accepts a person's conflict with a constraint until a moment, at most 366 days away.

    `control` says what is done instead, `evidence` where that can be seen; both are recorded as commitments.
    """

    person: Id
    constraint: Id
    owner: Id
    control: Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT, pattern=r"\S")]
    evidence: Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT, pattern=r"\S")]
    until: Time


class MitigationEndRequest(Asked):
    """That a conflict is accepted no longer."""

    mitigation: Id


class PeriodTold(Told):
    """Half-open: `to` is the first moment after it, or null."""

    from_: str = Field(alias="from")
    to: str | None


class AccountTold(PeriodTold):
    """An account by its pseudonym; `login` only for who administers the directory."""

    account: str
    kind: Literal["person", "bot"]
    login: str | None = None


class RoleTold(PeriodTold):
    role: str


class AttributeTold(PeriodTold):
    attribute: Literal["department", "desk", "household", "reports_to"]
    value: str


class DelegationTold(PeriodTold):
    """Who may take which steps for the person."""

    delegation: str
    delegate: str
    chain: str
    steps: list[str]


class MitigationTold(PeriodTold):
    """With which constraint a conflict is accepted, and by whom; what is done about it only for who
    administers the directory."""

    mitigation: str
    constraint: str
    owner: str
    control: str | None = None
    evidence: str | None = None


class PersonTold(Told):
    """A person with all records; name, absences and household only for who administers the directory.
    `merged_into` is who this person was found to be; of a `concealed` one the private records were erased."""

    person: str
    name: str | None = None
    accounts: list[AccountTold]
    roles: list[RoleTold]
    attributes: list[AttributeTold]
    absences: list[PeriodTold] | None = None
    delegations: list[DelegationTold] | None = None
    mitigations: list[MitigationTold] | None = None
    merged_into: str | None = None
    concealed: bool | None = None


class PersonPage(Told):
    """Persons by id; `next` is the cursor of the following page."""

    persons: list[PersonTold]
    next: str | None = None


class PersonDifference(Told):
    """What would become of one person: records that begin, change their end, or end."""

    person: str
    name: str
    change: Literal["added", "changed"]
    name_before: str | None = None
    added: list[dict[str, Any]]
    changed: list[dict[str, Any]]
    ended: list[dict[str, Any]]
