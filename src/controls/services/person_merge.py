"""Two persons of the directory found to be one human being.

What each of them did was decided as if the other were somebody else, so the duties of every chain that both
have acted on may be broken by the one person that they are. From the entry of the merge on there is one:
whatever either did counts for the one who stays, everywhere.

Guarantees: neither of the two has a hand in the merge; entries keep the person under whom each act was
recorded, and the merge is one of them; the one who goes has nothing in force any more, and the logins are
those of the one who stays; of two votes of theirs on one step the later is void; for every open chain on
which the two together break a constraint a case is opened, for a supervisor who is no party. Roles and what
was delegated are not taken over: whoever stays keeps his or her own, so that no constraint over roles is
broken by it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, Final, TypeVar

from controls.duties.breaches import Breach, Breaches
from controls.ledger.envelope import EntryKind
from controls.model.chain import Act, ActState, ChainHistory, ChainKind
from controls.model.errors import FieldError, InvalidInput
from controls.model.people import Attribute
from controls.model.values import Json
from controls.rules.release import Release
from controls.services.commands import Context
from controls.services.directory_changes import record_people
from controls.services.directory_checks import check_administrators
from controls.store.directory import Directory, replace_people
from controls.store.merging import unite
from controls.store.people import (
    Absence,
    AccountRecord,
    Assignment,
    AttributeRecord,
    PersonRecord,
    holds,
)
from controls.store.rows import ReviewCase

_R = TypeVar("_R", AccountRecord, Assignment, AttributeRecord, Absence)

# How many cases one merge opens: the other chains are in the analysis of duties.
CASES_AT_MOST: Final = 500


@dataclass(slots=True)
class PersonMerge:
    """Make of two persons the one that they are: `person` is found to be `into`, who stays."""

    person: str
    into: str
    kind: ClassVar[str] = "merge"
    scope: ClassVar[str] = "directory"
    _broken: list[tuple[ChainHistory, ChainKind, list[Breach]]] = field(default_factory=list, init=False)

    @property
    def persons(self) -> tuple[str, str]:
        return self.person, self.into

    def check(self, context: Context) -> str:
        directory, release, at = context.directory, context.active.release, context.work.at
        errors = list(_errors(self, directory))
        if not errors:
            changed = {record.id: record for record in self._records(context)}
            people = dict(directory.people) | changed
            errors += check_administrators(
                people, directory.people, changed, release=release, at=at, where="/person"
            )
        if errors:
            raise InvalidInput(
                "merge_invalid",
                "These two persons cannot be merged",
                detail="; ".join(error.message for error in errors),
                help="Name two persons of the directory: GET /v1/directory/persons.",
                errors=tuple(errors),
            )
        return f"{self.person} is the same person as {self.into}, who stays"

    def apply(self, context: Context, *, index: int) -> tuple[dict[str, Json], dict[str, Json]]:
        work, tenant = context.work, context.work.head.tenant
        records = self._records(context)
        self._broken = list(self._found(context))
        voided = sorted(self._double_votes(context))
        for claim in voided:
            work.change_act(claim, state=ActState.VOID)
        work.later(partial(replace_people, tenant=tenant, people=records))
        work.later(partial(unite, tenant=tenant, merged=self.person, survivor=self.into))
        digest, opened = record_people(work, records)
        work.set_head(directory_index=index)
        fields: dict[str, Json] = {
            "blob": digest,
            "persons": len(records),
            "merges": {"person": self.person, "into": self.into},
            "chains": len(self._broken),
        }
        return fields | ({"voids": list[Json](voided)} if voided else {}), opened

    def follow_up(self, context: Context, *, entry: str) -> None:
        """Open the cases, each with an entry of its own, after that of the merge, whose id is `entry`."""
        for history, kind, breaches in self._broken[:CASES_AT_MOST]:
            case = context.new_id("rev")
            last = next(act for act in reversed(history.acts) if act.person == self.into)
            context.work.append(
                EntryKind.REVIEW,
                context.new_id("rvw"),
                {
                    "review": case,
                    "chain": {"kind": history.kind, "id": history.chain},
                    "person": self.into,
                    "constraints": list[Json](sorted({breach.constraint.id for breach in breaches})),
                    "opened_by": entry,
                },
                chain=f"{history.kind}:{history.chain}",
                person=self.into,
            )
            context.work.add_review(
                _case(case, last, kind, breaches, merge=self, entry=entry, at=context.work.at)
            )

    def payload(self) -> dict[str, Json]:
        return {"person": self.person, "into": self.into}

    @classmethod
    def from_payload(cls, payload: dict[str, Any]) -> PersonMerge:
        return cls(payload["person"], payload["into"])

    def _records(self, context: Context) -> list[PersonRecord]:
        """Both persons as they are afterwards."""
        people, at = context.directory.people, context.work.at
        goes, stays = people[self.person], people[self.into]
        logins = [
            AccountRecord(
                item.login,
                context.new_id("acc"),
                stays.id,
                max(at, item.valid_from),
                item.valid_to,
                item.kind,
            )
            for item in goes.accounts
            if item.valid_to is None or item.valid_to > at
        ]
        # A superior who was found to be oneself is none.
        attributes = tuple(
            replace(item, valid_to=at)
            if item.attribute is Attribute.REPORTS_TO and item.value == goes.id and holds(item, at)
            else item
            for item in stays.attributes
        )
        return [
            PersonRecord(
                goes.id,
                goes.name,
                _ended(goes.accounts, at),
                _ended(goes.roles, at),
                _ended(goes.attributes, at),
                _ended(goes.absences, at),
                tuple(item.ended(at) for item in goes.delegations if item.valid_from < at),
                merged_into=stays.id,
            ),
            replace(stays, accounts=(*stays.accounts, *logins), attributes=_begun(attributes)),
        ]

    def _double_votes(self, context: Context) -> Iterator[str]:
        """The later of each two votes that both have on a step now."""
        for place in sorted(context.work.shared):
            history = context.work.history(*place)
            for step in dict.fromkeys(act.step for act in history.acts):
                standing = [act for act in history.standing(step) if act.person in self.persons]
                if len({act.person for act in standing}) == 2:
                    yield from (act.claim for act in standing if act.person != standing[0].person)

    def _found(self, context: Context) -> Iterator[tuple[ChainHistory, ChainKind, list[Breach]]]:
        """Open chains on which the two, taken for one, break what neither broke alone."""
        release = context.active.release
        kinds = {kind.id: kind for kind in release.chains.values()}
        for place in sorted(context.work.shared):
            before, kind = context.work.history(*place), kinds.get(place[0])
            if kind is None or all(before.performed(step) for step in kind.mandatory):
                continue
            united = ChainHistory(before.kind, before.chain, tuple(map(self._as_one, before.acts)))
            known = {breach.constraint.id for breach in self._breaches(before, release)}
            new = [breach for breach in self._breaches(united, release) if breach.constraint.id not in known]
            if new:
                yield united, kind, new

    def _as_one(self, act: Act) -> Act:
        """The act as the survivor's; two who were one beside the other are one now."""
        person = self.into if act.person == self.person else act.person
        beside = self.into if act.beside == self.person else act.beside
        return replace(act, person=person, beside="" if beside == person else beside)

    def _breaches(self, history: ChainHistory, release: Release) -> list[Breach]:
        """What the two break on one chain; a condition is not evaluated, for its facts are not at hand."""
        looked = Breaches(
            (item for item in release.constraints if item.when is None and not item.excludes_roles),
            kinds={kind.id: kind for kind in release.chains.values()},
            grants=(),
            closure={},
            roles_at=lambda _person, _at: frozenset(),
        )
        looked.add(history)
        return [breach for breach in looked.found() if breach.person in self.persons]


def _errors(merge: PersonMerge, directory: Directory) -> Iterator[FieldError]:
    for place, person in (("/person", merge.person), ("/into", merge.into)):
        known = directory.people.get(person)
        if known is None:
            yield FieldError(place, "person_unknown", f"there is no person {person}")
        elif known.merged_into:
            told = f"{person} was found to be {directory.survivor(person)} already"
            yield FieldError(place, "person_merged", told)
    if merge.person == merge.into:
        yield FieldError("/into", "same_person", f"{merge.person} is named twice")


def _ended(records: tuple[_R, ...], at: int) -> tuple[_R, ...]:
    """Records with nothing in force from now on; what has not begun never was."""
    return tuple(
        replace(item, valid_to=at) if item.valid_to is None or item.valid_to > at else item
        for item in records
        if item.valid_from < at
    )


def _begun(records: tuple[_R, ...]) -> tuple[_R, ...]:
    """Records without those that ended when they began."""
    return tuple(item for item in records if item.valid_to is None or item.valid_from < item.valid_to)


def _case(
    case: str, last: Act, kind: ChainKind, breaches: list[Breach], *, merge: PersonMerge, entry: str, at: int
) -> ReviewCase:
    return ReviewCase(
        id=case,
        kind="merge",
        state="open",
        decision=entry,
        claim="",
        person=merge.into,
        action=last.step,
        resource_type=kind.resource,
        resource_id=last.chain,
        chain_kind=kind.id,
        material="",
        findings=(),
        reasons=tuple(_reason(breach, merge) for breach in breaches),
        opened_at=at,
    )


def _reason(breach: Breach, merge: PersonMerge) -> dict[str, Json]:
    steps = ", ".join(dict.fromkeys(act.step for act in breach.acts if act.person == merge.into))
    rule = breach.constraint.id
    return {
        "rule": rule,
        "effect": breach.constraint.then.value,
        "title": dict(breach.constraint.title.as_json()),
        "message": {
            "en": f"{merge.person} was found to be {merge.into}, who with that has acted on {steps}: {rule} "
            "does not allow it of one person. Either resolution closes the case; say in the reason what was "
            "done.",
            "es": f"Se ha visto que {merge.person} es {merge.into}, que con ello ha actuado en {steps}: "
            f"{rule} no lo permite a una sola persona. Cualquier resolución cierra el caso; indique en el "
            "motivo lo que se ha hecho.",
        },
    }
