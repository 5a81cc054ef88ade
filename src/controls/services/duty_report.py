"""What an analysis of duties found, in the order in which it is told: the same rows for every form of output.

Guarantees: deterministic; persons are pseudonyms, and names are there only when they were asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from controls.duties.access import Item
from controls.duties.analysis import Collusion, Conflict, GrantEffect, Matrix, RoleTally, Separation
from controls.duties.breaches import Breach
from controls.model.chain import Act
from controls.model.finding import Effect, Outcome, Text, strictest
from controls.model.values import Json, utc_text
from controls.services.duty_analysis import Examined, Key


@dataclass(frozen=True, slots=True)
class ConstraintRow:
    """One constraint with what was found; None where it could not be looked at.

    `could` and `unconditionally` count persons, `did` persons with breaches; `unchecked` says why the
    directory tells nothing about it; `unknown` are items that nobody holds or could be given.
    """

    id: str
    chain: str
    kind: str
    then: Effect
    title: Text
    could: int | None = None
    unconditionally: int | None = None
    did: int | None = None
    separation: Separation | None = None
    collusion: Collusion | None = None
    unchecked: Text | None = None
    unknown: tuple[Item, ...] = ()
    when: str = ""


@dataclass(frozen=True, slots=True)
class PersonRow:
    """One person with any finding."""

    person: str
    conflicts: int
    breaches: int


@dataclass(frozen=True)
class Report:
    """All that was found. `with_names` shows the names of persons, for whoever may see them."""

    examined: Examined
    with_names: bool = False

    @cached_property
    def constraints(self) -> tuple[ConstraintRow, ...]:
        """One row a constraint, in the order of the rules, those that are not checked last."""
        analysis = self.examined.analysis
        tallies = {id(tally.separation): tally for tally in analysis.tallies}
        groups = {id(item.separation): item for item in analysis.collusion}
        rows: list[ConstraintRow] = []
        for separation in analysis.separations:
            tally = tallies.get(id(separation))
            rows.append(
                ConstraintRow(
                    id=separation.id,
                    chain=separation.chain,
                    kind=separation.kind,
                    then=separation.then,
                    title=separation.title,
                    could=None if tally is None else tally.people.bit_count(),
                    unconditionally=None if tally is None else tally.unconditionally.bit_count(),
                    did=self._did((separation.id, separation.chain)),
                    separation=separation,
                    collusion=groups.get(id(separation)),
                    unknown=tuple(item for item in separation.items if not analysis.access.knows(item)),
                    when=separation.when,
                )
            )
        for item in self.examined.unchecked:
            constraint = item.constraint
            rows.append(
                ConstraintRow(
                    id=constraint.id,
                    chain=constraint.chain,
                    kind=constraint.kind.value,
                    then=constraint.then,
                    title=constraint.title,
                    did=self._did((constraint.id, constraint.chain)),
                    unchecked=item.reason,
                    when="" if constraint.when is None else constraint.when.source,
                )
            )
        return tuple(rows)

    @cached_property
    def people(self) -> tuple[PersonRow, ...]:
        """Persons with findings: most breaches first, then most conflicts, then by pseudonym."""
        could = self.examined.analysis.conflicts_by_person
        did = Counter(breach.person for breach in self.breaches)
        rows = [PersonRow(person, could.get(person, 0), did[person]) for person in could.keys() | did.keys()]
        return tuple(sorted(rows, key=lambda row: (-row.breaches, -row.conflicts, row.person)))

    @cached_property
    def roles(self) -> tuple[RoleTally, ...]:
        return self.examined.analysis.roles()

    @cached_property
    def matrices(self) -> tuple[Matrix, ...]:
        return tuple(self.examined.analysis.matrix(item.title, item.items) for item in self.examined.matrices)

    @property
    def breaches(self) -> tuple[Breach, ...]:
        return self.examined.breaches or ()

    @property
    def standing_conflicts(self) -> bool:
        """Whether the directory breaks what it must keep itself, or could for all that is proved."""
        analysis = self.examined.analysis
        return any(tally.people and tally.separation.standing for tally in analysis.tallies) or any(
            (item.conflict or item.open) and item.separation.standing for item in analysis.collusion
        )

    @property
    def grants_outcome(self) -> Outcome:
        """What the standing separations say of the grants asked about."""
        return strictest(effect for grant in self.examined.grants for effect in grant.effects)

    def conflicts(self) -> Iterator[Conflict]:
        """Every conflict, by constraint and person."""
        return self.examined.analysis.conflicts()

    def through(self, index: int, item: Item) -> tuple[str, ...]:
        """The assigned roles by which a person holds the item; none where it is assigned itself."""
        return tuple(held.name for held in self.examined.analysis.access.through(index, item) if held != item)

    def name(self, person: str) -> str:
        """The person's name, if it may be shown and is known."""
        return self.examined.names.get(person, "") if self.with_names else ""

    def _did(self, key: Key) -> int | None:
        """Persons whose acts break the constraint; None where acts were not looked at for it."""
        return self._persons_by_constraint[key] if key in self.examined.looked_at else None

    @cached_property
    def _persons_by_constraint(self) -> Counter[Key]:
        pairs = {(item.constraint.id, item.constraint.chain, item.person) for item in self.breaches}
        return Counter((id_, chain) for id_, chain, _ in pairs)

    def as_json(self) -> dict[str, Json]:
        """The whole report as one document."""
        told: dict[str, Json] = {
            "source": dict(self.examined.source),
            "acts_read": self.examined.breaches is not None,
            "constraints": [self._constraint(row) for row in self.constraints],
            "people": [
                self._who(row.person) | {"conflicts": row.conflicts, "violations": row.breaches}
                for row in self.people
            ],
            "roles": [
                {
                    "role": row.role,
                    "alone": [item.id for item in row.alone],
                    "people": row.holders,
                    "people_in_conflict": row.in_conflict,
                }
                for row in self.roles
            ],
            "conflicts": [self._conflict(item) for item in self.conflicts()],
            "violations": [self._breach(item) for item in self.breaches],
            "matrices": [
                {
                    "title": matrix.title.en,
                    "items": [item.name for item in matrix.items],
                    "people": [list[Json](row) for row in matrix.counts],
                    "apart": [[matrix.items[a].name, matrix.items[b].name] for a, b in sorted(matrix.apart)],
                }
                for matrix in self.matrices
            ],
            "notes": [note.en for note in self.examined.notes],
        }
        if self.examined.grants:
            told["grants"] = [self._grant(item) for item in self.examined.grants]
            told["grants_outcome"] = self.grants_outcome.value
        return told

    def _who(self, person: str) -> dict[str, Json]:
        name = self.name(person)
        return {"person": person, "name": name} if name else {"person": person}

    def _conflict(self, conflict: Conflict) -> dict[str, Json]:
        return {
            "constraint": conflict.separation.id,
            "chain": conflict.separation.chain,
            **self._who(conflict.person),
            "holds": [
                {"item": item.name, "through": list[Json](self.through(conflict.index, item))}
                for item in conflict.items
            ],
            "conditional": conflict.conditional,
        }

    def _breach(self, breach: Breach) -> dict[str, Json]:
        return {
            "constraint": breach.constraint.id,
            **self._who(breach.person),
            "chain": {"kind": breach.kind, "id": breach.chain},
            "acts": [act_json(act) for act in breach.acts],
            "conditional": breach.conditional,
        }

    def _grant(self, grant: GrantEffect) -> dict[str, Json]:
        return {
            **self._who(grant.person),
            "role": grant.item.name,
            "already_held": grant.already,
            "outcome": strictest(grant.effects).value,
            "conflicts": [
                {
                    "constraint": item.separation.id,
                    "chain": item.separation.chain,
                    "then": item.separation.then.value,
                    "kept_by": kept_by(item.separation),
                    "holds": [held.name for held in item.items],
                    "conditional": item.conditional,
                }
                for item in grant.conflicts
            ],
            "collusion": [
                {
                    "constraint": after.separation.id,
                    "chain": after.separation.chain,
                    "before": self._group(before),
                    "after": self._group(after),
                }
                for before, after in grant.collusion
            ],
        }

    def _group(self, collusion: Collusion) -> dict[str, Json]:
        group, unconditional = collusion.group, collusion.unconditional
        return {
            "people": None if group.nobody else len(group.members),
            "people_unconditionally": None if unconditional.nobody else len(unconditional.members),
            "at_least": group.at_least,
            "proved": group.proved,
            "group": [
                self._who(member.person) | {"items": [item.name for item in member.items]}
                for member in group.members
            ],
            "nobody": [item.name for item in group.nobody],
            "wanted": collusion.separation.people or 1,
            "conflict": collusion.conflict,
        }

    def _constraint(self, row: ConstraintRow) -> dict[str, Json]:
        told: dict[str, Json] = {
            "id": row.id,
            "chain": row.chain,
            "kind": row.kind,
            "then": row.then.value,
            "title": {"en": row.title.en, "es": row.title.es},
            "could": row.could,
            "could_unconditionally": row.unconditionally,
            "did": row.did,
        }
        if row.when:
            told["when"] = row.when
        if row.unchecked is not None:
            told["not_checked"] = row.unchecked.en
        if row.unknown:
            told["unknown"] = [item.name for item in row.unknown]
        if row.separation is not None:
            told |= {
                "items": [item.name for item in row.separation.items],
                "max": row.separation.most,
                "kept_by": kept_by(row.separation),
            }
            if row.separation.severity:
                told["severity"] = row.separation.severity
        if row.collusion is not None:
            told["collusion"] = self._group(row.collusion)
        return told


def kept_by(separation: Separation) -> str:
    """Who must keep it: the directory itself, or each chain as it goes."""
    return "directory" if separation.standing else "chain"


def act_json(act: Act) -> dict[str, Json]:
    """An act as a report tells it: where it stands in the ledger, and no private value."""
    return {
        "step": act.step,
        "chain": act.chain,
        "at": utc_text(act.at),
        "done_at": None if act.done_at is None else utc_text(act.done_at),
        "capacity": act.capacity.value,
        "state": act.state.value,
        "decision": act.decision,
        "index": act.index,
    }
