"""Users that an identity provider creates, changes and deletes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from controls.model.errors import Conflict, Forbidden, NotFound
from controls.model.people import Attribute
from controls.services.directory_plans import AccountLine, PersonPlan, RoleLine
from controls.services.identifiers import NewId
from controls.services.keys import may_speak_for
from controls.services.provisioning import Told
from controls.services.scim_messages import UserWanted, refused
from controls.services.scim_resources import USERS, User, View, accounts_of
from controls.store.people import PersonRecord, Provisioned

_USER_NAME = "userName"


@dataclass(slots=True)
class CreateUser:
    """A new person with an account, or one that was deleted, come back: under the login of then, or under
    another one with the `externalId` of then, by which the provider says that it is the same."""

    wanted: UserWanted
    name: ClassVar[str] = "create_user"
    person: str = field(default="", init=False)
    user: str = field(default="", init=False)  # who comes back

    def plans(self, view: View, new_id: NewId) -> tuple[PersonPlan, ...]:
        self.user = ""  # afresh on every attempt
        login = self.wanted.login
        assert login is not None  # `read_user` demands it
        _check_login(view, login)
        active = self.wanted.active is not False
        for user in view.named(login):
            if user is None or not user.deleted:
                raise _taken(login)
            assert user.known is not None  # deleted ones are known
            before, now = user.known.external_id, self.wanted.external_id
            if before and now and before != now:
                raise Conflict(
                    "scim_uniqueness",
                    f"The login {login} belonged to somebody else",
                    detail=f"A user {login} with another externalId was deleted here.",
                    help="Two administrators give a login to another person: controls directory import.",
                )
            self.person, self.user = user.person.id, user.id
            return (_plan(view, user, self.wanted, active=active),)
        gone = _with_external_id(view, self.wanted.external_id)
        self.person = gone.person.id if gone else new_id("per")
        # An account must have been, to be a user: one that is created inactive ended just now.
        begin, end = (None, None) if active else (view.at - 1, view.at)
        return (
            PersonPlan(
                self.person,
                name=self.wanted.name or "",
                where=_USER_NAME,
                accounts=[AccountLine(login, begin, end, where=_USER_NAME)],
                roles=None if gone else set(),
                attributes=_attributes(view, self.wanted),
            ),
        )

    def told(self, view: View) -> Told:
        login = self.wanted.login
        assert login is not None
        person = view.people[self.person]
        found = next(item for item in person.accounts if item.login.casefold() == login.casefold())
        name = self.user or accounts_of(person, found.login)[0].ref
        return _told(view, name, person, found.login, self.wanted.external_id, created=True)


@dataclass(slots=True)
class ChangeUser:
    """Bring a user to what is wanted of it."""

    user: str
    wanted: UserWanted
    name: ClassVar[str] = "change_user"

    def plans(self, view: View, _new_id: NewId) -> tuple[PersonPlan, ...]:
        user = view.user(self.user)
        wanted = self.wanted
        if wanted.login is not None and wanted.login != user.login:
            _check_login(view, wanted.login)
            if any(other is None or other.id != user.id for other in view.named(wanted.login)):
                raise _taken(wanted.login)
        gone = _with_external_id(view, wanted.external_id, but=user.person.id)
        if gone is not None:
            raise Conflict(
                "scim_uniqueness",
                "This externalId was another user's",
                detail=f"The user {gone.login}, who was deleted here, is another person than {user.login}.",
                help="If they are one human being, two administrators say so: controls directory merge.",
            )
        return (_plan(view, user, wanted, active=wanted.active),)

    def told(self, view: View) -> Told:
        before = view.before.user(self.user)
        person, login = view.people[before.person.id], self.wanted.login or before.login
        return _told(view, self.user, person, login, self.wanted.external_id)


@dataclass(slots=True)
class DeleteUser:
    """End a user: the account, and the roles that the key may take, unless another account still has them."""

    user: str
    name: ClassVar[str] = "delete_user"

    def plans(self, view: View, _new_id: NewId) -> tuple[PersonPlan, ...]:
        user = view.user(self.user)
        plan = _plan(view, user, UserWanted(), active=False)
        others = (other for other in view.users_of(user.person) if other.id != user.id)
        if not any(other.active(view.at) for other in others):
            plan.roles = {line for line in roles_of(user.person, view.at) if line.role not in view.roles}
        return (plan,)

    def told(self, view: View) -> Told:
        before = view.before.user(self.user)
        person = view.people[before.person.id]
        found = _told(view, self.user, person, before.login, None, deleted=True)
        return Told(found.known, None)


def roles_of(person: PersonRecord, at: int) -> set[RoleLine]:
    """The roles that a person holds or is to hold, as lines that keep them."""
    return {
        RoleLine(item.role, item.valid_from, item.valid_to)
        for item in person.roles
        if item.valid_to is None or item.valid_to > at
    }


def _plan(view: View, user: User, wanted: UserWanted, *, active: bool | None) -> PersonPlan:
    login = wanted.login or user.login
    accounts = []
    if active is not None and active is not user.active(view.at):
        accounts = [AccountLine(login, None, None if active else view.at, where="active")]
    return PersonPlan(
        user.person.id,
        name=wanted.name or "",
        where=_USER_NAME,
        accounts=accounts,
        attributes=_attributes(view, wanted),
        renamed={user.login: login} if login != user.login else {},
    )


def _attributes(view: View, wanted: UserWanted) -> dict[Attribute, str]:
    said: dict[Attribute, str] = {}
    if wanted.department is not None:
        said[Attribute.DEPARTMENT] = wanted.department
    if wanted.manager is not None:
        try:
            said[Attribute.REPORTS_TO] = view.user(wanted.manager).person.id if wanted.manager else ""
        except NotFound:
            raise refused("scim_value", f"The manager {wanted.manager[:64]} is no user here.") from None
    return said


def _told(
    view: View,
    user: str,
    person: PersonRecord,
    login: str,
    external_id: str | None,
    *,
    created: bool = False,
    deleted: bool = False,
) -> Told:
    accounts = accounts_of(person, login)
    before = view.directory.provisioned.get((USERS, user))
    since = view.at if created and before is None else accounts[0].valid_from
    known = Provisioned(
        USERS,
        user,
        external_id=external_id if external_id is not None else before.external_id if before else "",
        created_at=before.created_at if before else since,
        changed_at=view.at,
        deleted=deleted,
    )
    return Told(known, view.user_json(User(known.id, login, person, known)))


def _check_login(view: View, login: str) -> None:
    if not may_speak_for(view.key, login):
        raise Forbidden(
            "login_not_covered",
            "The API key may not keep this user",
            detail=f"userName must be like {view.key.speaks_for}.",
            help="Ask two administrators for a key that covers it.",
        )


def _with_external_id(view: View, external_id: str | None, *, but: str = "") -> User | None:
    """The user with this externalId, who was deleted; None where there is none but those of the person `but`.

    Raises:
        Conflict: there is one who was not deleted, or there were several persons.
    """
    if not external_id:
        return None
    found = [user for user in view.with_external_id(external_id) if user.person.id != but]
    for user in found:
        if not user.deleted or user.person.id != found[0].person.id:
            raise Conflict(
                "scim_uniqueness",
                "The externalId is in use",
                detail=f"The user {user.login} has it.",
                help='Find it: GET /scim/v2/Users?filter=externalId eq "...". A second account of the same '
                "person is given by two administrators: controls directory import.",
            )
    return found[0] if found else None


def _taken(login: str) -> Conflict:
    return Conflict(
        "scim_uniqueness",
        f"The login {login} is in use",
        help=f'Find it: GET /scim/v2/Users?filter=userName eq "{login}".',
    )
