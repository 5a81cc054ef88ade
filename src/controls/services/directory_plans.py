"""What is wanted of the directory, person by person, wherever it was said: in a file, over HTTP or by SCIM.

Guarantees: what a plan does not name stays as it is; a plan survives being stored and read again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from controls.model.people import AccountKind, Attribute
from controls.model.values import Json


@dataclass(frozen=True, slots=True)
class AccountLine:
    """A login for a time; None is from the moment of the change, or without end."""

    login: str
    valid_from: int | None
    valid_to: int | None
    where: str  # it was said, for messages
    kind: AccountKind | None = None  # None: as it is; a new one is a person's


@dataclass(frozen=True, slots=True)
class RoleLine:
    """A role for a time, as with accounts."""

    role: str
    valid_from: int | None = None
    valid_to: int | None = None


@dataclass(frozen=True, slots=True)
class AbsenceLine:
    """A time away; None is from the moment of the change, or without a known end."""

    valid_from: int | None
    valid_to: int | None


@dataclass(slots=True)
class PersonPlan:
    """What one person is to have.

    `accounts` names the logins that change, whatever else the person has; `roles` and `absences` are all
    that the person is to have from now on (None: as they are); of `attributes` an empty text ends one.
    """

    id: str
    name: str = ""  # empty: as it is
    where: str = ""  # it was said, for messages
    accounts: list[AccountLine] = field(default_factory=list)
    roles: set[RoleLine] | None = None
    attributes: dict[Attribute, str] = field(default_factory=dict)
    absences: list[AbsenceLine] | None = None
    renamed: dict[str, str] = field(default_factory=dict)  # login -> its new one, past records included

    def payload(self) -> dict[str, Json]:
        """The plan as JSON."""
        roles = None if self.roles is None else sorted(map(_as_json, self.roles), key=str)
        return {
            "id": self.id,
            "name": self.name,
            "where": self.where,
            "accounts": [_as_json(line) for line in self.accounts],
            "roles": None if roles is None else list[Json](roles),
            "attributes": {attribute.value: value for attribute, value in self.attributes.items()},
            "absences": None if self.absences is None else [_as_json(line) for line in self.absences],
            "renamed": dict[str, Json](self.renamed),
        }

    @classmethod
    def from_payload(cls, payload: dict[str, Any]) -> PersonPlan:
        """The plan that `payload` was made of."""
        roles, absences = payload["roles"], payload["absences"]
        return cls(
            id=payload["id"],
            name=payload["name"],
            where=payload["where"],
            accounts=[_account(line) for line in payload["accounts"]],
            roles=None if roles is None else {RoleLine(**line) for line in roles},
            attributes={Attribute(name): value for name, value in payload["attributes"].items()},
            absences=None if absences is None else [AbsenceLine(**line) for line in absences],
            renamed=payload["renamed"],
        )


def open_roles(roles: Iterable[str]) -> set[RoleLine]:
    """Roles from now on and without end."""
    return {RoleLine(role) for role in roles}


def _as_json(line: AccountLine | RoleLine | AbsenceLine) -> Json:
    return asdict(line)


def _account(line: dict[str, Any]) -> AccountLine:
    kind = line["kind"]
    return AccountLine(**line | {"kind": None if kind is None else AccountKind(kind)})
