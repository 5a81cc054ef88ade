"""The directory as an identity provider sees it: accounts are SCIM users, roles are SCIM groups (RFC 7643).

Guarantees: a key sees the users whose logins fit its pattern, and the groups that it created of its roles;
bots and administrators' own arrangements are not among them. A user's id is the first reference under which
the ledger knows the account, so it stays when the account is renamed, ended or begun again, and when its
person is found to be another one, whose account it is then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from controls.model.errors import NotFound
from controls.model.people import AccountKind, Attribute
from controls.model.values import Json
from controls.services.keys import may_speak_for
from controls.services.scim_messages import ENTERPRISE, GROUP, USER, Filter, refused
from controls.store.directory import Directory
from controls.store.people import AccountRecord, PersonRecord, Provisioned, holds, time_text
from controls.store.rows import ApiKey

LIST: Final = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
USERS: Final = "User"
GROUPS: Final = "Group"


@dataclass(frozen=True, slots=True)
class User:
    """One person's account under one login."""

    id: str
    login: str
    person: PersonRecord
    known: Provisioned | None  # to the provider

    @property
    def accounts(self) -> list[AccountRecord]:
        """Its records, first ones first."""
        return accounts_of(self.person, self.login)

    @property
    def deleted(self) -> bool:
        return self.known is not None and self.known.deleted

    def active(self, at: int) -> bool:
        """Whether the account is in force."""
        return any(holds(record, at) for record in self.accounts)


def accounts_of(person: PersonRecord, login: str) -> list[AccountRecord]:
    """The records of a person's own account (no bot's), first ones first."""
    found = [item for item in person.accounts if item.login == login and item.kind is AccountKind.PERSON]
    return sorted(found, key=lambda item: item.valid_from)


@dataclass(frozen=True, slots=True)
class View:
    """What one key sees.

    `people` is everybody as of now or as after a change in hand; `roles` are those that the key may give;
    `base` is the address of the service's SCIM routes, and `at` the moment, in microseconds.
    """

    directory: Directory
    key: ApiKey
    roles: frozenset[str]
    base: str
    at: int
    people: Mapping[str, PersonRecord]

    # -- users -----------------------------------------------------------------------------------------

    def users(self) -> list[User]:
        """All users that the provider knows or may know, by id."""
        found = (user for person in self.people.values() for user in self.users_of(person))
        return sorted((user for user in found if not user.deleted), key=lambda user: user.id)

    def users_of(self, person: PersonRecord) -> Iterator[User]:
        """A person's accounts, deleted ones too."""
        for login in dict.fromkeys(item.login for item in person.accounts):
            accounts = accounts_of(person, login)
            if accounts and may_speak_for(self.key, login) and self._is_owner(person.id, login, accounts[-1]):
                name = self._first(person.id, accounts[0])
                yield User(name, login, person, self.directory.provisioned.get((USERS, name)))

    def _first(self, person: str, own: AccountRecord) -> str:
        """The first reference of an account: of somebody who was found to be the person, where it ended with
        that and this one began."""
        merged = (self.people[other] for other, last in self.directory.survivors.items() if last == person)
        ended = [
            item
            for other in merged
            for item in other.accounts
            if item.kind is AccountKind.PERSON and item.valid_to == own.valid_from
        ]
        before = [item for item in ended if item.login == own.login] or ended
        return self._first(person, before[0]) if len(before) == 1 else own.ref

    def _is_owner(self, person: str, login: str, last: AccountRecord) -> bool:
        """Whether the login was not given to somebody else since."""
        others = (item for item in self.directory.accounts.get(login, ()) if item.person != person)
        return last.valid_to is None or all(item.valid_from < last.valid_from for item in others)

    def user(self, id: str) -> User:
        """The user with this id.

        Raises:
            NotFound: there is none that this key sees.
        """
        record = self.directory.references.get(id)
        owners = dict.fromkeys((self.directory.survivor(record.person), record.person)) if record else ()
        for user in (user for person in owners for user in self.users_of(self.people[person])):
            if user.id == id and not user.deleted:
                return user
        raise NotFound("user_unknown", f"There is no user {id[:64]}", help="Look it up: GET /scim/v2/Users.")

    def named(self, login: str) -> Iterator[User | None]:
        """Users with this login in any case, deleted ones too; None for one that this key does not see."""
        same = [name for name in self.directory.accounts if name.casefold() == login.casefold()]
        for name in same:
            owner = max(self.directory.accounts[name], key=lambda item: item.valid_from).person
            yield next((user for user in self.users_of(self.people[owner]) if user.login == name), None)

    def with_external_id(self, external_id: str) -> Iterator[User]:
        """Users whom the provider calls so, deleted ones too."""
        for known in self.directory.provisioned.values():
            if known.sort == USERS and known.external_id == external_id:
                owner = self.directory.survivor(self.directory.references[known.id].person)
                yield from (user for user in self.users_of(self.people[owner]) if user.id == known.id)

    def user_json(self, user: User) -> dict[str, Json]:
        """A user as SCIM shows it (RFC 7643, 4.1 and 4.3)."""
        first, known = user.accounts[0], user.known
        told: dict[str, Json] = {
            "schemas": [USER, ENTERPRISE],
            "id": user.id,
            "userName": user.login,
            "active": user.active(self.at),
            "groups": [
                {"value": role, "display": role, "type": "direct", "$ref": f"{self.base}/Groups/{role}"}
                for role in sorted(self.held(user.person))
                if self.is_group(role)
            ],
            "meta": self._meta("User", f"Users/{user.id}", known, created=first.valid_from),
        }
        if known is not None and known.external_id:
            told["externalId"] = known.external_id
        if user.person.name:
            told["displayName"] = user.person.name
            told["name"] = {"formatted": user.person.name}
        enterprise: dict[str, Json] = {}
        department = self._attribute(user.person, Attribute.DEPARTMENT)
        if department:
            enterprise["department"] = department
        superior = self.people.get(self._attribute(user.person, Attribute.REPORTS_TO))
        for manager in list(self.users_of(superior) if superior else ())[:1]:
            enterprise["manager"] = {"value": manager.id, "$ref": f"{self.base}/Users/{manager.id}"}
        if enterprise:
            told[ENTERPRISE] = enterprise
        return told

    def _attribute(self, person: PersonRecord, attribute: Attribute) -> str:
        known = (item for item in person.attributes if item.attribute is attribute and holds(item, self.at))
        return next((item.value for item in known), "")

    # -- groups ----------------------------------------------------------------------------------------

    def is_group(self, role: str) -> bool:
        """Whether this role is a group that was created and not deleted since."""
        known = self.directory.provisioned.get((GROUPS, role))
        return role in self.roles and known is not None and not known.deleted

    def group(self, id: str) -> str:
        """The role that is the group with this id.

        Raises:
            NotFound: there is none that this key sees.
        """
        if not self.is_group(id):
            raise NotFound(
                "group_unknown", f"There is no group {id[:64]}", help="Look it up: GET /scim/v2/Groups."
            )
        return id

    def groups(self) -> list[str]:
        """All groups that the key sees."""
        return sorted(role for role in self.roles if self.is_group(role))

    def members(self, role: str) -> list[User]:
        """The users whose persons hold a role now."""
        return [
            user
            for person in self.people.values()
            if role in self.held(person)
            for user in self.users_of(person)
            if not user.deleted
        ]

    def held(self, person: PersonRecord) -> set[str]:
        """The roles that a person holds now."""
        return {item.role for item in person.roles if holds(item, self.at)}

    def group_json(self, role: str, known: Provisioned) -> dict[str, Json]:
        """A group as SCIM shows it (RFC 7643, 4.2)."""
        told: dict[str, Json] = {
            "schemas": [GROUP],
            "id": role,
            "displayName": role,
            "members": [self._member(user) for user in sorted(self.members(role), key=lambda user: user.id)],
            "meta": self._meta("Group", f"Groups/{role}", known, created=known.created_at),
        }
        if known.external_id:
            told["externalId"] = known.external_id
        return told

    def _member(self, user: User) -> dict[str, Json]:
        told: dict[str, Json] = {"value": user.id, "type": "User", "$ref": f"{self.base}/Users/{user.id}"}
        return told | ({"display": user.person.name} if user.person.name else {})

    def _meta(self, sort: str, path: str, known: Provisioned | None, *, created: int) -> dict[str, Json]:
        return {
            "resourceType": sort,
            "created": time_text(known.created_at if known else created),
            "lastModified": time_text(known.changed_at if known else created),
            "location": f"{self.base}/{path}",
        }

    @property
    def before(self) -> View:
        """The view without a change in hand."""
        return replace(self, people=self.directory.people)

    def after(self, records: Mapping[str, PersonRecord]) -> View:
        """The view with these persons as they will be."""
        return replace(self, people={**self.people, **records})

    # -- lists -----------------------------------------------------------------------------------------

    def found_users(self, wanted: Filter | None) -> list[User]:
        """The users that a filter asks for."""
        if wanted is None:
            return self.users()
        if wanted.attribute == "username":
            named = self.named(wanted.value) if isinstance(wanted.value, str) else ()
            return [user for user in named if user is not None and not user.deleted]
        if wanted.attribute not in ("id", "externalid", "displayname", "active"):
            raise refused("scim_filter", f"Users cannot be filtered by {wanted.attribute[:64]}.")
        return [user for user in self.users() if self._value(user, wanted.attribute) == wanted.value]

    def _value(self, user: User, attribute: str) -> str | bool:
        match attribute:
            case "id":
                return user.id
            case "externalid":
                return user.known.external_id if user.known else ""
            case "displayname":
                return user.person.name
        return user.active(self.at)

    def found_groups(self, wanted: Filter | None) -> list[str]:
        """The groups that a filter asks for."""
        if wanted is None:
            return self.groups()
        if wanted.attribute in ("id", "displayname"):
            return [role for role in self.groups() if role == wanted.value]
        if wanted.attribute == "externalid":
            known = self.directory.provisioned
            return [role for role in self.groups() if known[GROUPS, role].external_id == wanted.value]
        raise refused("scim_filter", f"Groups cannot be filtered by {wanted.attribute[:64]}.")


def page_json(resources: Sequence[Json], *, total: int, start: int) -> dict[str, Json]:
    """A ListResponse (RFC 7644, 3.4.2); `start` counts from 1."""
    return {
        "schemas": [LIST],
        "totalResults": total,
        "startIndex": start,
        "itemsPerPage": len(resources),
        "Resources": list(resources),
    }
