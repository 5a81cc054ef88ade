"""Delegations: that one person may take some steps of a chain for another, by the other one's grants.

Guarantees: two administrators make a delegation, neither of them the delegate; it has an end, at most
`LONGEST` away; it gives only steps that the delegator's own roles may take, so that nobody passes on what was
delegated to him or her; it is refused if the delegate could break a constraint with it
(`delegation_conflicts`). It is a record of the directory, in force from the entry of its confirmation on, and
over with the entry that revokes it, for every decision after that entry.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, ClassVar, Final

from controls.model.chain import AMEND, ChainKind
from controls.model.errors import Conflict, FieldError, InvalidInput, NotFound
from controls.model.values import Json, from_microseconds, utc_text
from controls.rules.system import ADMINISTRATION_RESOURCE
from controls.services.commands import Context
from controls.services.delegation_conflicts import DelegationConflicts
from controls.services.directory_changes import put_person
from controls.store.directory import Directory
from controls.store.people import DelegationRecord, PersonRecord, holds

# A quarter: whoever is away for longer has a successor.
LONGEST: Final = timedelta(days=92)
MAX_REASON: Final = 500


@dataclass(slots=True)
class DelegationGrant:
    """Let `delegate` take `steps` of chains of `chain` for `person` until a moment (microseconds).

    The reason is free text: the entry only commits to it.
    """

    person: str
    delegate: str
    chain: str
    steps: tuple[str, ...]
    until: int
    reason: str
    kind: ClassVar[str] = "delegation"
    scope: ClassVar[str] = "directory"

    def check(self, context: Context) -> str:
        errors = list(self._errors(context))
        if errors:
            raise InvalidInput(
                "delegation_invalid",
                "This delegation cannot be made; nothing was changed",
                detail="; ".join(error.message for error in errors),
                help="Mend what is listed, or delegate to somebody else.",
                errors=tuple(errors),
            )
        until = utc_text(from_microseconds(self.until))
        return f"{self.delegate} takes {', '.join(self.steps)} ({self.chain}) for {self.person} until {until}"

    def apply(self, context: Context, *, index: int) -> tuple[dict[str, Json], dict[str, str]]:
        known = context.directory.people[self.person]
        given = self._record(context, context.new_id("dlg"))
        record = replace(known, delegations=(*known.delegations, given))
        return put_person(context, record, index=index, about={"delegation": given.id})

    def payload(self) -> dict[str, Json]:
        return {
            "person": self.person,
            "delegate": self.delegate,
            "chain": self.chain,
            "steps": list[Json](self.steps),
            "until": self.until,
            "reason": self.reason,
        }

    @classmethod
    def from_payload(cls, payload: dict[str, Any]) -> DelegationGrant:
        return cls(**payload | {"steps": tuple(payload["steps"])})

    def _record(self, context: Context, id: str) -> DelegationRecord:
        return DelegationRecord(
            id, self.person, self.delegate, self.chain, self.steps, context.work.at, self.until
        )

    def _errors(self, context: Context) -> Iterator[FieldError]:
        directory, at = context.directory, context.work.at
        chains = context.active.release.chains.items()
        kinds = {kind.id: kind for resource, kind in chains if resource != ADMINISTRATION_RESOURCE}
        kind = kinds.get(self.chain)
        before = list(of_record(self.person, "/person", directory, at))
        before += of_record(self.delegate, "/delegate", directory, at)
        if self.person == self.delegate:
            before.append(FieldError("/delegate", "same_person", f"{self.person} is named twice"))
        if kind is None:
            told = f"{self.chain} is no chain kind of the release in force: {', '.join(sorted(kinds))}"
            before.append(FieldError("/chain", "unknown_chain_kind", told))
        else:
            before += self._unknown_steps(kind)
        if not self.reason.strip() or len(self.reason) > MAX_REASON:
            told = f"a reason of 1 to {MAX_REASON} characters is needed"
            before.append(FieldError("/reason", "bad_reason", told))
        before += bad_end(self.until, at=at, longest=LONGEST)
        yield from before
        if before or kind is None:
            return
        conflicts = DelegationConflicts(directory.people, context.active, at)
        beyond = [step for step in self.steps if step not in conflicts.steps_of(self.person, kind)]
        if beyond:
            told = (
                f"no role of {self.person} may take {', '.join(beyond)}; what was delegated to somebody is "
                "not delegated further"
            )
            yield FieldError("/steps", "not_own", told)
            return
        for found in conflicts.of(self._record(context, ""), kind):
            yield FieldError("/delegate", found.kind.value, found.reason)

    def _unknown_steps(self, kind: ChainKind) -> Iterator[FieldError]:
        known = [step.id for step in kind.steps]
        if not self.steps or len(set(self.steps)) != len(self.steps):
            yield FieldError("/steps", "bad_steps", "name at least one step, and each once")
        for step in self.steps:
            if step not in known and step != AMEND:
                told = f"{step} is no step of {kind.id}: {', '.join(known)}, and {AMEND}"
                yield FieldError("/steps", "unknown_step", told)


def bad_end(until: int, *, at: int, longest: timedelta) -> Iterator[FieldError]:
    """What is wrong with the end of an exception: it lies ahead, and not further than `longest`."""
    latest = from_microseconds(at) + longest
    if until <= at:
        yield FieldError("/until", "until_passed", "must lie in the future")
    elif from_microseconds(until) > latest:
        told = f"must be within {longest.days} days, that is by {utc_text(latest)}"
        yield FieldError("/until", "until_too_late", told)


@dataclass(slots=True)
class DelegationEnd:
    """Revoke the delegation `id`: it ends with the entry of the confirmation."""

    id: str
    kind: ClassVar[str] = "delegation_end"
    scope: ClassVar[str] = "directory"

    def check(self, context: Context) -> str:
        record, given = self._found(context)
        if not holds(given, context.work.at):
            raise Conflict(
                "delegation_over",
                "This delegation is over already",
                detail=f"It ended at {utc_text(from_microseconds(given.valid_to))}.",
                help="Nothing is left to do.",
            )
        return f"{given.delegate} takes {', '.join(given.steps)} ({given.kind}) for {record.id} no longer"

    def apply(self, context: Context, *, index: int) -> tuple[dict[str, Json], dict[str, str]]:
        record, given = self._found(context)
        left = tuple(
            item.ended(context.work.at) if item.id == given.id else item for item in record.delegations
        )
        return put_person(
            context, replace(record, delegations=left), index=index, about={"delegation": self.id}
        )

    def payload(self) -> dict[str, Json]:
        return {"id": self.id}

    @classmethod
    def from_payload(cls, payload: dict[str, Any]) -> DelegationEnd:
        return cls(payload["id"])

    def _found(self, context: Context) -> tuple[PersonRecord, DelegationRecord]:
        for record in context.directory.people.values():
            for item in record.delegations:
                if item.id == self.id:
                    return record, item
        raise NotFound(
            "delegation_unknown",
            "There is no such delegation",
            help="A person's delegations are in GET /v1/directory/persons/{person}.",
        )


def of_record(person: str, where: str, directory: Directory, at: int) -> Iterator[FieldError]:
    """Why this is no person of record now; nothing where it is one."""
    known = directory.people.get(person)
    if known is None:
        yield FieldError(where, "person_unknown", f"there is no person {person}")
    elif known.merged_into:
        told = f"{person} was found to be {directory.survivor(person)}: name that person"
        yield FieldError(where, "person_merged", told)
    elif not any(holds(item, at) for item in known.accounts):
        yield FieldError(where, "no_account", f"{person} has no account in force")
