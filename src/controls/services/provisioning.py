"""What an identity provider changes in the directory, over SCIM.

A provider cannot bring a second administrator for each of its changes. They are authorised once instead: two
administrators give out a key with the scope `scim` that names the roles it may give and the logins it may
keep, and every change is an entry under that key. So the four eyes are on the reach of the key, and what they
allowed is all that whoever holds it (or steals it) can do:

- only roles that the key names are given or taken, and never one that administers or supervises, itself or by
  what it implies: else the key could make its own second administrator;
- a person who holds such a role is not touched at all, neither renamed nor deactivated: a stolen key could
  otherwise shut out everybody who can revoke it. Two administrators take leave of an administrator;
- a grant that breaks a constraint over roles is refused like any other, and so are logins of somebody else;
- bots, desks, households, absences and validity periods stay with the administrators.

Guarantees: the directory is changed and its entry written in one transaction, or neither; what changes
nothing leaves no entry; a user that is deleted ends, with its account and roles, and stays on record; one
that comes back under the same login, or with the same `externalId`, is the same person again, with the same
history of acts; and no two persons have users with one `externalId`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import ClassVar, Final, Protocol

from controls.ledger.envelope import EntryKind
from controls.model.errors import Forbidden
from controls.model.values import Json
from controls.rules.release import Release
from controls.services.answers import encode
from controls.services.commands import Context, Render
from controls.services.directory_changes import record_people
from controls.services.directory_checks import check_people
from controls.services.directory_difference import difference
from controls.services.directory_merge import merge_people
from controls.services.directory_plans import PersonPlan
from controls.services.identifiers import NewId
from controls.services.keys import provided_roles
from controls.services.privileged_roles import privileged_roles
from controls.services.scim_resources import View
from controls.store.directory import Directory, replace_people, replace_provisioned
from controls.store.people import PersonRecord, Provisioned
from controls.store.rows import ApiKey
from controls.store.workspace import Needs

PROVISION: Final = "provision"


@dataclass(frozen=True, slots=True)
class Told:
    """What becomes of the resource: what the provider calls it, and how it is shown (None: not at all)."""

    known: Provisioned
    shown: Json


class Act(Protocol):
    """One thing that a provider asks for."""

    name: ClassVar[str]  # such as create_user

    def plans(self, view: View, new_id: NewId) -> tuple[PersonPlan, ...]:
        """What it wants of persons; raises a ControlsError when it may not be done."""
        ...

    def told(self, view: View) -> Told:
        """What became of the resource, in the view after the change."""
        ...


@dataclass(slots=True)
class Provision:
    """Do what a provider asks for, under the lock, and record it."""

    id: str
    key: str
    act: Act
    base: str
    alone: bool = True
    weight: int = field(default=1, init=False)
    location: str = field(default="", init=False)  # of what was made or changed

    def prepare(self, context: Context, needs: Needs) -> None:
        """Nothing is read but the directory."""

    def execute(self, context: Context) -> Render:
        work, directory, release = context.work, context.directory, context.active.release
        view = view_of(directory, release, context.keys[self.key], base=self.base, at=work.at)
        plans = self.act.plans(view, context.new_id)
        records = merge_people(plans, people=directory.people, at=work.at, new_id=context.new_id)
        changed = {one.person for one in difference(directory.people, records, at=work.at)}
        records = [record for record in records if record.id in changed]
        _check_reach(records, directory.people, roles=view.roles, release=release, at=work.at)
        if plans:
            check_people(plans, directory=directory, release=release, at=work.at)
        told = self.act.told(view.after({record.id: record for record in records}))
        before = directory.provisioned.get((told.known.sort, told.known.id))
        self.location = f"{self.base}/{told.known.sort}s/{told.known.id}"
        if records or before is None or replace(told.known, changed_at=before.changed_at) != before:
            self._record(context, records, told)
        return lambda _sealed: b"" if told.shown is None else encode(told.shown)

    def _record(self, context: Context, records: list[PersonRecord], told: Told) -> None:
        work, tenant = context.work, context.work.head.tenant
        work.later(partial(replace_people, tenant=tenant, people=records))
        work.later(partial(replace_provisioned, tenant=tenant, known=[told.known]))
        digest, opened = record_people(work, records)
        index = work.next_index
        work.set_head(directory_index=index)
        fields: dict[str, Json] = {
            "key": self.key,
            PROVISION: self.act.name,
            "resource": told.known.id,
            "blob": digest,
            "persons": len(records),
        }
        work.append(EntryKind.DIRECTORY, self.id, fields, disclosure=opened)

    def refused_act(self) -> dict[str, Json]:
        return {"act": PROVISION, PROVISION: self.act.name}


def view_of(directory: Directory, release: Release, key: ApiKey, *, base: str, at: int) -> View:
    """What a provider's key sees now."""
    roles = (provided_roles(key) & release.roles.keys()) - privileged_roles(release)
    return View(directory, key, frozenset(roles), base, at, directory.people)


def _check_reach(
    records: list[PersonRecord],
    people: Mapping[str, PersonRecord],
    *,
    roles: frozenset[str],
    release: Release,
    at: int,
) -> None:
    """Refuse a change of who is above the key, or of roles that it does not name.

    Raises:
        Forbidden: it names the person or the roles.
    """
    above = privileged_roles(release)
    for record in records:
        before = people.get(record.id)
        held = before.roles if before else ()
        if any(item.role in above and (item.valid_to is None or item.valid_to > at) for item in held):
            raise Forbidden(
                "person_privileged",
                "This person administers or supervises the service",
                detail=f"{record.id} is changed by two administrators, not by a provider's key.",
                help="Propose the change: controls directory import, or POST /v1/directory/changes.",
            )
        others = {item.role for item in set(held) ^ set(record.roles)} - roles
        if others:
            raise Forbidden(
                "role_not_covered",
                "The API key may not give or take this role",
                detail=f"{', '.join(sorted(others))} of {record.id}.",
                help="Ask two administrators for a key that names the role, or for the change itself.",
            )
