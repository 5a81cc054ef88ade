"""Groups that an identity provider keeps: each is a role that its key may give, and its members hold it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from controls.model.errors import Conflict, NotFound
from controls.services.directory_plans import PersonPlan, RoleLine
from controls.services.identifiers import NewId
from controls.services.provisioned_users import roles_of
from controls.services.provisioning import Told
from controls.services.scim_messages import GroupWanted, refused
from controls.services.scim_resources import GROUPS, View
from controls.store.people import PersonRecord, Provisioned


@dataclass(slots=True)
class CreateGroup:
    """Take a role into the provider's care; who holds it already keeps it."""

    wanted: GroupWanted
    name: ClassVar[str] = "create_group"

    def plans(self, view: View, _new_id: NewId) -> tuple[PersonPlan, ...]:
        role = self.wanted.name or ""
        if role not in view.roles:
            known = ", ".join(sorted(view.roles)) or "none"
            raise refused("scim_value", f"A group is a role that this key may give: {known}.")
        if view.is_group(role):
            raise Conflict(
                "scim_uniqueness",
                f"The group {role} exists",
                help=f'Find it: GET /scim/v2/Groups?filter=displayName eq "{role}".',
            )
        return _changes(view, role, added=_persons(view, self.wanted.members or ()), removed=())

    def told(self, view: View) -> Told:
        return _told(view, self.wanted.name or "", self.wanted.external_id or "")


@dataclass(slots=True)
class ChangeGroup:
    """Bring a group to what is wanted of it; the answer shows it, or not when it `patches`."""

    group: str
    wanted: GroupWanted
    patches: bool
    name: ClassVar[str] = "change_group"

    def plans(self, view: View, _new_id: NewId) -> tuple[PersonPlan, ...]:
        role, wanted = view.group(self.group), self.wanted
        if wanted.name not in (None, role):
            raise refused("scim_mutability", f"A group is a role of the rules and keeps its name, {role}.")
        if wanted.members is None:
            removed = list(_known_persons(view, wanted.removed))
            return _changes(view, role, added=_persons(view, wanted.added), removed=removed)
        members = _persons(view, wanted.members)
        left = {person.id for person in members}
        removed = [user.person for user in view.members(role) if user.person.id not in left]
        return _changes(view, role, added=members, removed=removed)

    def told(self, view: View) -> Told:
        found = _told(view, self.group, self.wanted.external_id)
        return Told(found.known, None) if self.patches else found


@dataclass(slots=True)
class DeleteGroup:
    """Take the role from all members and out of the provider's care."""

    group: str
    name: ClassVar[str] = "delete_group"

    def plans(self, view: View, _new_id: NewId) -> tuple[PersonPlan, ...]:
        role = view.group(self.group)
        return _changes(view, role, added=(), removed=[user.person for user in view.members(role)])

    def told(self, view: View) -> Told:
        return Told(_known(view, self.group, None, deleted=True), None)


def _persons(view: View, members: Iterable[str]) -> list[PersonRecord]:
    """The persons behind members to be added."""
    found = []
    for member in sorted(members):
        try:
            found.append(view.user(member).person)
        except NotFound:
            raise refused("scim_value", f"The member {member[:64]} is no user here.") from None
    return found


def _known_persons(view: View, members: Iterable[str]) -> Iterable[PersonRecord]:
    """The persons behind members to be removed: who is no user is no member either."""
    for member in members:
        try:
            yield view.user(member).person
        except NotFound:
            continue


def _changes(
    view: View, role: str, *, added: Iterable[PersonRecord], removed: Iterable[PersonRecord]
) -> tuple[PersonPlan, ...]:
    """Who is to hold the role and who no longer, but for those of whom that is true already."""
    plans: dict[str, PersonPlan] = {}
    for person in added:
        if role not in view.held(person):
            others = {line for line in roles_of(person, view.at) if line.role != role}
            plans[person.id] = PersonPlan(person.id, where="members", roles=others | {RoleLine(role)})
    for person in removed:
        kept = roles_of(person, view.at)
        others = {line for line in kept if line.role != role}
        if others != kept:
            plans[person.id] = PersonPlan(person.id, where="members", roles=others)
    return tuple(plans.values())


def _told(view: View, role: str, external_id: str | None) -> Told:
    known = _known(view, role, external_id)
    return Told(known, view.group_json(role, known))


def _known(view: View, role: str, external_id: str | None, *, deleted: bool = False) -> Provisioned:
    before = view.directory.provisioned.get((GROUPS, role))
    return Provisioned(
        GROUPS,
        role,
        external_id=external_id if external_id is not None else before.external_id if before else "",
        created_at=before.created_at if before and not before.deleted else view.at,
        changed_at=view.at,
        deleted=deleted,
    )
