"""Mitigations: a person's conflict with a constraint over roles or coalitions, accepted for a time.

Guarantees: two administrators make one, neither of them the person; a named owner, who is somebody else,
answers for it; it has an end, at most `LONGEST` away, and says what is done instead and where that can be
seen. While it is in force, a grant of roles that the constraint would refuse can be made, and where the
constraint speaks when the person acts, the act goes ahead with a case that somebody must look at by a
deadline. A constraint that is marked `absolute` is never mitigated, nor one that is not known to apply.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, ClassVar, Final

from controls.model.duty import ConstraintKind
from controls.model.errors import Conflict, FieldError, InvalidInput, NotFound
from controls.model.values import Json, from_microseconds, utc_text
from controls.services.commands import Context
from controls.services.delegations import bad_end, of_record
from controls.services.directory_changes import put_person
from controls.store.people import MitigationRecord, PersonRecord, holds

# A year: then it is looked at anew.
LONGEST: Final = timedelta(days=366)
MAX_TEXT: Final = 500


@dataclass(slots=True)
class Mitigation:
    """Accept a person's conflict with a constraint until a moment (microseconds).

    What is done instead (`control`) and where that can be seen (`evidence`) are free text: the ledger only
    commits to them.
    """

    person: str
    constraint: str
    owner: str
    control: str
    evidence: str
    until: int
    kind: ClassVar[str] = "mitigation"
    scope: ClassVar[str] = "directory"

    def check(self, context: Context) -> str:
        errors = list(self._errors(context))
        if errors:
            raise InvalidInput(
                "mitigation_invalid",
                "This conflict cannot be accepted; nothing was changed",
                detail="; ".join(error.message for error in errors),
                help="Mend what is listed and try again.",
                errors=tuple(errors),
            )
        until = utc_text(from_microseconds(self.until))
        return f"{self.owner} accepts that {self.person} is in conflict with {self.constraint} until {until}"

    def apply(self, context: Context, *, index: int) -> tuple[dict[str, Json], dict[str, str]]:
        known = context.directory.people[self.person]
        made = MitigationRecord(
            context.new_id("mit"),
            self.person,
            self.constraint,
            self.owner,
            self.control,
            self.evidence,
            context.work.at,
            self.until,
        )
        record = replace(known, mitigations=(*known.mitigations, made))
        return put_person(context, record, index=index, about={"mitigation": made.id})

    def payload(self) -> dict[str, Json]:
        return {
            "person": self.person,
            "constraint": self.constraint,
            "owner": self.owner,
            "control": self.control,
            "evidence": self.evidence,
            "until": self.until,
        }

    @classmethod
    def from_payload(cls, payload: dict[str, Any]) -> Mitigation:
        return cls(**payload)

    def _errors(self, context: Context) -> Iterator[FieldError]:
        at = context.work.at
        yield from of_record(self.person, "/person", context.directory, at)
        yield from of_record(self.owner, "/owner", context.directory, at)
        if self.owner == self.person:
            yield FieldError("/owner", "same_person", f"{self.person} cannot answer for the own conflict")
        yield from self._not_mitigated(context)
        for name, text in (("control", self.control), ("evidence", self.evidence)):
            if not text.strip() or len(text) > MAX_TEXT:
                yield FieldError(f"/{name}", "bad_text", f"{name} needs 1 to {MAX_TEXT} characters")
        yield from bad_end(self.until, at=at, longest=LONGEST)

    def _not_mitigated(self, context: Context) -> Iterator[FieldError]:
        known = [item for item in context.active.release.constraints if item.id == self.constraint]
        if not known:
            told = f"{self.constraint} is no constraint of the release in force"
            yield FieldError("/constraint", "unknown_constraint", told)
        for item in known:
            if not (item.excludes_roles or item.kind is ConstraintKind.COALITION):
                told = (
                    f"{item.id} is of kind {item.kind.value}; exclusive_roles and coalition can be mitigated"
                )
                yield FieldError("/constraint", "not_mitigable", told)
            elif item.absolute:
                told = f"{item.id} is absolute: no exception ever relaxes it"
                yield FieldError("/constraint", "absolute", told)


@dataclass(slots=True)
class MitigationEnd:
    """End the mitigation `id` with the entry of the confirmation."""

    id: str
    kind: ClassVar[str] = "mitigation_end"
    scope: ClassVar[str] = "directory"

    def check(self, context: Context) -> str:
        record, made = self._found(context)
        if not holds(made, context.work.at):
            raise Conflict(
                "mitigation_over",
                "This mitigation is over already",
                detail=f"It ended at {utc_text(from_microseconds(made.valid_to))}.",
                help="Nothing is left to do.",
            )
        return f"{record.id}'s conflict with {made.constraint} is accepted no longer"

    def apply(self, context: Context, *, index: int) -> tuple[dict[str, Json], dict[str, str]]:
        record, made = self._found(context)
        at = context.work.at
        left = tuple(item.ended(at) if item.id == made.id else item for item in record.mitigations)
        return put_person(
            context, replace(record, mitigations=left), index=index, about={"mitigation": made.id}
        )

    def payload(self) -> dict[str, Json]:
        return {"id": self.id}

    @classmethod
    def from_payload(cls, payload: dict[str, Any]) -> MitigationEnd:
        return cls(payload["id"])

    def _found(self, context: Context) -> tuple[PersonRecord, MitigationRecord]:
        for record in context.directory.people.values():
            for item in record.mitigations:
                if item.id == self.id:
                    return record, item
        raise NotFound(
            "mitigation_unknown",
            "There is no such mitigation",
            help="A person's mitigations are in GET /v1/directory/persons/{person}.",
        )
