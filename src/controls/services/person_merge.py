"""Two persons of the directory found to be one human being.

What each of them did was decided as if the other were somebody else, so the duties of every chain that both
have acted on may be broken by the one person that they are. From the entry of the merge on there is one:
whatever either did counts for the one who stays, in every duty; what aggregates counted of the one who goes
is not added to what they count of the other.

Guarantees: neither of the two has a hand in the merge; entries keep the person under whom each act was
recorded, and the merge is one of them; the one who goes has nothing in force any more, and the logins are
those of the one who stays; of two votes of theirs on one step the later is void; for every open chain on
which the two together break a constraint a case is opened, for a supervisor who is no party, and so for every
line of chains that is not finished (`controls.duties.lineage`), and for every open chain among those of one
account, instrument, desk or conflict class on which the two together do too much (`merged_places`). A
constraint with a condition is told of unless the facts on record say that it did not apply; of a line, whose
chains have facts of their own, always. Roles, and what the one who goes delegated, are not taken over:
whoever stays keeps his or her own, so that no constraint over roles is broken by it. What others delegated
to the one who goes goes on, but for what could not be delegated to the one who stays (`merged_delegations`).
A conflict that one of the two answers for and the other one has is accepted no longer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, Final, TypeVar

from controls.duties.breaches import Breach, Breaches
from controls.duties.breaches_across import Crossing
from controls.duties.lineage import Joined, broken_together
from controls.duties.material import baseline
from controls.ledger.envelope import EntryKind
from controls.model.chain import AMEND, Act, ActState, ChainHistory, ChainKind, Repeats
from controls.model.condition import Facts, Truth
from controls.model.duty import Constraint, ConstraintKind
from controls.model.errors import FieldError, InvalidInput
from controls.model.lineage import ChainKey
from controls.model.people import Attribute
from controls.model.trail import TrailAct
from controls.model.values import Json
from controls.rules.release import Release
from controls.rules.values_on_record import values_on_record
from controls.services.commands import Context
from controls.services.directory_changes import record_people
from controls.services.directory_checks import check_administrators
from controls.services.lineage import line_acts
from controls.services.merge_cases import Broken, at_places, case_of_merge, on_line
from controls.services.merged_delegations import delegations_over, without
from controls.services.merged_places import broken_at_places
from controls.store.directory import Directory, replace_people
from controls.store.merging import unite
from controls.store.people import (
    Absence,
    AccountRecord,
    Assignment,
    AttributeRecord,
    DelegationRecord,
    PersonRecord,
    holds,
)
from controls.store.workspace import NEAR_AT_MOST

_R = TypeVar("_R", AccountRecord, Assignment, AttributeRecord, Absence)

# How many cases one merge opens: the other chains are in the analysis of duties.
CASES_AT_MOST: Final = 500
# Told of whoever acted last, whoever of them are too few.
_OF_EVERYBODY: Final = frozenset({ConstraintKind.AT_LEAST, ConstraintKind.COALITION})


@dataclass(slots=True)
class PersonMerge:
    """Make of two persons the one that they are: `person` is found to be `into`, who stays."""

    person: str
    into: str
    kind: ClassVar[str] = "merge"
    scope: ClassVar[str] = "directory"
    _broken: list[Broken] = field(default_factory=list, init=False)

    @property
    def persons(self) -> tuple[str, str]:
        return self.person, self.into

    def check(self, context: Context) -> str:
        directory, release, at = context.directory, context.active.release, context.work.at
        errors, over = list(_errors(self, directory)), list[DelegationRecord]()
        if not errors:
            records, over = self._records(context)
            changed = {record.id: record for record in records}
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
        told = f"{self.person} is the same person as {self.into}, who stays"
        if over:
            ends = ", ".join(f"{item.id} ({', '.join(item.steps)} for {item.person})" for item in over)
            told += f"; these delegations end, which could not be given to one person: {ends}"
        if len(context.work.near) > NEAR_AT_MOST:
            told += (
                "; of the chains of accounts, instruments, desks and conflict classes of both only the "
                f"newest {NEAR_AT_MOST:,} are looked at: `controls duties analyse` tells of the others"
            )
        return told

    def apply(self, context: Context, *, index: int) -> tuple[dict[str, Json], dict[str, str]]:
        work, tenant = context.work, context.work.head.tenant
        records, over = self._records(context)
        self._broken = list(self._found(context))
        self._broken += self._found_on_lines(context)
        self._broken += self._found_at_places(context)
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
        if voided:
            fields["voids"] = list[Json](voided)
        if over:
            fields["ended"] = [item.id for item in over]
        if len(work.near) > NEAR_AT_MOST:
            fields["newest"] = NEAR_AT_MOST
        return fields, opened

    def follow_up(self, context: Context, *, entry: str) -> None:
        """Open the cases, each with an entry of its own, after that of the merge, whose id is `entry`."""
        for broken in self._broken[:CASES_AT_MOST]:
            case = context.new_id("rev")
            context.work.append(
                EntryKind.REVIEW,
                context.new_id("rvw"),
                {
                    "review": case,
                    "chain": {"kind": broken.kind.id, "id": broken.chain},
                    "person": self.into,
                    "constraints": list[Json](sorted({item.id for item, _ in broken.constraints})),
                    "opened_by": entry,
                },
                chain=f"{broken.kind.id}:{broken.chain}",
                person=self.into,
            )
            context.work.add_review(
                case_of_merge(
                    case, broken, person=self.person, into=self.into, entry=entry, at=context.work.at
                )
            )

    def payload(self) -> dict[str, Json]:
        return {"person": self.person, "into": self.into}

    @classmethod
    def from_payload(cls, payload: dict[str, Any]) -> PersonMerge:
        return cls(payload["person"], payload["into"])

    def _records(self, context: Context) -> tuple[list[PersonRecord], list[DelegationRecord]]:
        """Both persons as they are afterwards, and whoever delegated to the one who goes what ends with that,
        which is told beside."""
        directory, at = context.directory, context.work.at
        goes, stays = (directory.people[person] for person in self.persons)
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
        # A superior who was found to be oneself is none, and nobody answers for the own conflict.
        attributes = tuple(
            replace(item, valid_to=at)
            if item.attribute is Attribute.REPORTS_TO
            and directory.survivor(item.value) == goes.id
            and holds(item, at)
            else item
            for item in stays.attributes
        )
        mitigations = tuple(
            item.ended(at) if directory.survivor(item.owner) == goes.id else item
            for item in stays.mitigations
        )
        both = [
            PersonRecord(
                goes.id,
                goes.name,
                _ended(goes.accounts, at),
                _ended(goes.roles, at),
                _ended(goes.attributes, at),
                _ended(goes.absences, at),
                tuple(item.ended(at) for item in goes.delegations if item.valid_from < at),
                tuple(item.ended(at) for item in goes.mitigations if item.valid_from < at),
                merged_into=stays.id,
            ),
            replace(
                stays,
                accounts=(*stays.accounts, *logins),
                attributes=_begun(attributes),
                mitigations=tuple(item for item in mitigations if item.valid_from < item.valid_to),
            ),
        ]
        over = delegations_over(directory.people, goes=both[0], stays=both[1], active=context.active, at=at)
        givers = dict.fromkeys(item.person for item in over)
        return [*both, *(without(directory.people[giver], over, at=at) for giver in givers)], over

    def _double_votes(self, context: Context) -> Iterator[str]:
        """The later of each two votes that both have on a step now, by their own acts or by what somebody
        did for them. What may be repeated, as an amendment may, is no vote."""
        for place in sorted(context.work.shared):
            history, kind = context.work.history(*place), context.active.kinds.get(place[0])
            for step in dict.fromkeys(act.step for act in history.acts):
                known = None if kind is None else kind.step(step)
                if step == AMEND or (known is not None and known.repeats is not Repeats.NEVER):
                    continue
                standing = [act for act in history.standing(step) if act.hands.intersection(self.persons)]
                yield from (
                    act.claim
                    for act in standing[1:]
                    if not act.hands.intersection(standing[0].hands, self.persons)
                )

    def _found(self, context: Context) -> Iterator[Broken]:
        """Open chains on which the two, taken for one, break what neither broke alone."""
        release = context.active.release
        for place in sorted(context.work.shared):
            before, kind = context.work.history(*place), context.active.kinds.get(place[0])
            if kind is None or _finished(before, kind):
                continue
            united = ChainHistory(before.kind, before.chain, tuple(map(self._as_one, before.acts)))
            known = {breach.constraint.id for breach in self._breaches(before, release)}
            new = [breach for breach in self._breaches(united, release) if breach.constraint.id not in known]
            truths = {breach.constraint.id: _applied(breach, united, context) for breach in new}
            new = [breach for breach in new if truths[breach.constraint.id] is not Truth.FALSE]
            if new:
                last = next(act.step for act in reversed(united.acts) if act.person == self.into)
                untold = frozenset(rule for rule, truth in truths.items() if truth is Truth.UNKNOWN)
                yield Broken(kind, before.chain, last, tuple(map(self._steps_of, new)), untold=untold)

    def _found_on_lines(self, context: Context) -> Iterator[Broken]:
        """Open chains on whose lines the two do that, unless a chain of the line tells it by itself."""
        work, active = context.work, context.active
        told = self._told()
        constraints = active.release.constraints
        facts = Facts({}, ChainHistory("", ""), work.now)
        rules = Joined(constraints, active.kinds, facts, context.directory.profiles(at=work.at))
        lines = {
            frozenset(line | {place})
            for place in work.shared
            if work.lineage.linked(place)
            for line in work.lineage.lines(place)
        }
        for line in sorted(lines, key=sorted):
            acts = line_acts(context, line)
            united = tuple(replace(item, act=self._as_one(item.act)) for item in acts)
            numbers = self._broken_together(rules, united) - self._broken_together(rules, acts)
            new = [constraints[number] for number in sorted(numbers)]
            new = [rule for rule in new if not any((place, rule.id) in told for place in line)]
            open_ones = [
                place for place in line if not _finished(work.history(*place), active.kinds.get(place[0]))
            ]
            if not new or not open_ones:
                continue
            mine = tuple(item.step for item in united if item.act.person == self.into)
            kind, chain = max(open_ones, key=lambda place: work.history(*place).acts[0].index)
            told |= {((kind, chain), rule.id) for rule in new}
            steps = [(rule, _of_steps(rule, mine)) for rule in new]
            untold = frozenset(rule.id for rule in new if rule.when is not None)
            where = on_line(chain)
            yield Broken(active.kinds[kind], chain, mine[-1], tuple(steps), where=where, untold=untold)

    def _found_at_places(self, context: Context) -> Iterator[Broken]:
        """Open chains on which the two break what is counted over an account, an instrument, a desk or a
        conflict class, unless the chain tells it by itself."""
        work, kinds, told = context.work, context.active.kinds, self._told()
        near = [place for place in work.near[:NEAR_AT_MOST] if place[0] in kinds]
        histories = {place: work.history(*place) for place in near}
        chain_of = {act.claim: history for history in histories.values() for act in history.acts}
        open_of = {
            act.claim: place
            for place, history in histories.items()
            if not _finished(history, kinds[place[0]])
            for act in history.acts
        }
        found: dict[ChainKey, list[tuple[Act, tuple[Constraint, tuple[str, ...]], Truth]]] = {}
        for crossing in broken_at_places(
            context.active.release.constraints,
            [*histories.values()] if open_of else (),
            kinds=kinds,
            as_one=self._as_one,
            person=self.into,
        ):
            act = next((act for act in reversed(crossing.acts) if act.claim in open_of), None)
            if act is None or (open_of[act.claim], crossing.constraint.id) in told:
                continue
            truth = _applied(crossing, chain_of[crossing.acts[-1].claim], context)
            if truth is not Truth.FALSE:
                told.add((open_of[act.claim], crossing.constraint.id))
                found.setdefault(open_of[act.claim], []).append((act, self._steps_of(crossing), truth))
        for place, broken in sorted(found.items()):
            yield Broken(
                kinds[place[0]],
                place[1],
                max((act for act, _, _ in broken), key=lambda act: act.index).step,
                tuple(item for _, item, _ in broken),
                where=at_places(place[1]),
                untold=frozenset(rule.id for _, (rule, _), truth in broken if truth is Truth.UNKNOWN),
            )

    def _told(self) -> set[tuple[ChainKey, str]]:
        """The constraints of which a case is opened already, each with its chain."""
        return {
            ((item.kind.id, item.chain), rule.id) for item in self._broken for rule, _ in item.constraints
        }

    def _broken_together(self, rules: Joined, acts: Sequence[TrailAct]) -> set[int]:
        """The constraints, by number, that the two break on a line, or that it breaks by too few persons."""
        return {
            number
            for number, person in broken_together(rules, acts)
            if person in self.persons or rules.constraints[number].kind in _OF_EVERYBODY
        }

    def _steps_of(self, breach: Breach | Crossing) -> tuple[Constraint, tuple[str, ...]]:
        steps = dict.fromkeys(act.step for act in breach.acts if act.person == self.into)
        return breach.constraint, tuple(steps)

    def _as_one(self, act: Act) -> Act:
        """The act as the survivor's; two who were one beside the other are one now."""
        person = self.into if act.person == self.person else act.person
        beside = self.into if act.beside == self.person else act.beside
        return replace(act, person=person, beside="" if beside == person else beside)

    def _breaches(self, history: ChainHistory, release: Release) -> list[Breach]:
        """What the two break on one chain, or it breaks by too few persons, whatever the conditions."""
        looked = Breaches(
            (item for item in release.constraints if not item.excludes_roles),
            kinds={kind.id: kind for kind in release.chains.values()},
            grants=(),
            closure={},
            roles_at=lambda _person, _at: frozenset(),
        )
        looked.add(history)
        return [
            breach
            for breach in looked.found()
            if breach.person in self.persons or breach.constraint.kind in _OF_EVERYBODY
        ]


def _applied(breach: Breach | Crossing, history: ChainHistory, context: Context) -> Truth:
    """Whether the condition of a constraint held by the facts on record when it was broken."""
    when, last = breach.constraint.when, breach.acts[-1]
    if when is None:
        return Truth.TRUE
    before = tuple(act for act in history.acts if act.index <= last.index)
    chain = ChainHistory(history.kind, history.chain, before)
    values = values_on_record(context.active.release.vocabulary, baseline(chain))
    return when.evaluate(Facts(values, chain, last.at)).truth


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


def _finished(history: ChainHistory, kind: ChainKind | None) -> bool:
    """Whether nothing can be done about it any more; nor about what the rules know no more."""
    return kind is None or all(history.performed(step) for step in kind.mandatory)


def _of_steps(constraint: Constraint, taken: tuple[str, ...]) -> tuple[str, ...]:
    """Of the steps taken, those that the constraint is about."""
    named = {*constraint.steps, *constraint.distinct_from}
    return tuple(dict.fromkeys(step for step in taken if step in named or not named))
