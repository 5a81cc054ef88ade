"""One question heard: what each grant and each constraint says about it, asked once and remembered.

Guarantees: no grant with a condition that is false or unknown permits; a person of no record is granted
nothing. This is the direct evaluation of grants and constraints; `controls.duties.enforcement` puts Casbin
in front of it and compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, TypeAlias, TypeVar

from controls.duties.constraints import (
    FORMULAS,
    Asked,
    Formula,
    Past,
    Violation,
    applied,
    exclusive_roles,
    needed_past,
    past_of,
)
from controls.duties.findings import constraint_finding, denial, mitigated_finding
from controls.duties.wording import names
from controls.model.chain import ChainHistory, ChainKind, Step
from controls.model.condition import Facts, Truth, Verdict
from controls.model.duty import Constraint, ConstraintKind, Grant
from controls.model.finding import Cause, Effect, Finding, Origin, Text
from controls.model.people import Person, Profile
from controls.model.record import record
from controls.model.trail import TrailAct, TrailReading

ANYONE: Final = "anyone"  # the role of every person of record
NO_ROLES: Final[frozenset[str]] = frozenset()
_T = TypeVar("_T")
# A constraint by its number, and its formula.
Speaking: TypeAlias = tuple[int, Constraint, Formula]
Said: TypeAlias = tuple[frozenset[str] | None, bool, tuple[int, ...]]
# Of how many sets of roles it is kept what they come to; then all are forgotten.
KEPT_ROLE_SETS: Final = 10_000


@dataclass(slots=True, eq=False, repr=False)  # not frozen, as `model.record` has it
class Question:
    """May `person` take `action` on a resource of type `resource_type`, now?

    `person` is None for a subject that belongs to no person of record. `step` is the action as a step of
    `kind` (of an amendment the first one, which it changes), and None for an action that is no step;
    `history` is that chain's, empty for a new one, and `lines` are the acts on other chains of each line that
    the chain is part of. `trails` and `profiles` are what constraints read beyond
    the chain (see `controls.duties.asked`). It has no text of its own: libraries that log their arguments
    must not log requests.

    `mitigated` are the constraints with which the person's conflict is accepted, each with the mitigation.
    Where somebody acts for `person`, `actor` is the same question about whoever acts: the person's grants
    authorise, and the duties of both are asked.
    """

    person: Person | None
    action: str
    resource_type: str
    facts: Facts
    history: ChainHistory
    now: datetime
    kind: ChainKind | None = None
    step: Step | None = None
    trails: Mapping[str, TrailReading] = field(default_factory=dict)
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    lines: tuple[tuple[TrailAct, ...], ...] = ()
    actor: Question | None = None
    mitigated: Mapping[str, str] = field(default_factory=dict)


@record
class EnforcementAnswer:
    """Whether grants and duty constraints allow it, and every finding, those that do not deny included."""

    allowed: bool
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class ActionRules:
    """All that a release says about one action on one resource type.

    `eligible` are the roles that could: those granted and those that inherit one of them.
    """

    action: str
    resource_type: str
    kind: ChainKind | None
    grants: tuple[Grant, ...]
    constraints: tuple[Constraint, ...]
    # What may have anything to say given that past, and whether the person's roles exclude one another.
    speaking: Mapping[tuple[Past, bool], tuple[Speaking, ...]]
    denials: tuple[int, ...]  # which constraints deny
    eligible: tuple[str, ...]
    exclusions: tuple[Constraint, ...]  # those of roles that may not be held together
    closure: Mapping[str, frozenset[str]]  # each role's, itself included
    _held: dict[frozenset[str], frozenset[str]] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )
    _harmless: dict[frozenset[str], bool] = field(default_factory=dict, init=False, compare=False, repr=False)

    def held(self, person: Person | None) -> frozenset[str]:
        """The roles that a person holds with all they inherit; an unknown role is held and grants nothing."""
        if person is None:
            return NO_ROLES
        known = self._held.get(person.roles)
        if known is None:
            inherited = (self.closure.get(role, NO_ROLES) for role in person.roles)
            known = frozenset({ANYONE}).union(person.roles, *inherited)
            _keep(self._held, person.roles, known)
        return known

    def harmless(self, roles: frozenset[str]) -> bool:
        """Whether no roles among these exclude one another; found once for each set that somebody holds."""
        known = self._harmless.get(roles)
        if known is None:
            known = all(exclusive_roles(constraint, roles=roles) is None for constraint in self.exclusions)
            _keep(self._harmless, roles, known)
        return known

    @classmethod
    def of(
        cls,
        action: str,
        *,
        resource_type: str,
        kind: ChainKind | None,
        grants: tuple[Grant, ...],
        constraints: tuple[Constraint, ...],
        closure: Mapping[str, frozenset[str]],
    ) -> ActionRules:
        granted = {grant.role for grant in grants}
        needed = [Past.NONE if kind is None else needed_past(item, kind=kind) for item in constraints]
        speaking = [
            (index, constraint, FORMULAS[constraint.kind]) for index, constraint in enumerate(constraints)
        ]
        return cls(
            action=action,
            resource_type=resource_type,
            kind=kind,
            grants=grants,
            constraints=constraints,
            speaking={
                (past, exclusive): tuple(
                    item
                    for item in speaking
                    if needed[item[0]] <= past and (exclusive or not item[1].excludes_roles)
                )
                for past in Past
                for exclusive in (False, True)
            },
            denials=tuple(index for index, item in enumerate(constraints) if item.then is Effect.DENY),
            eligible=tuple(sorted(granted | {role for role, held in closure.items() if held & granted})),
            exclusions=tuple(item for item in constraints if item.excludes_roles),
            closure=closure,
        )


def _keep(known: dict[frozenset[str], _T], roles: frozenset[str], found: _T) -> None:
    if len(known) >= KEPT_ROLE_SETS:
        known.clear()
    known[roles] = found


class Hearing:
    """What the rules say about one question. Not shared between threads, and used for one question only."""

    __slots__ = ("_granted", "_violated", "actor", "asked", "held", "question", "rules")

    def __init__(
        self,
        question: Question,
        *,
        rules: ActionRules,
        principal: Hearing | None = None,
    ) -> None:
        """Hear `question`; `principal`: that of the person for whom its person acts, by that one's roles."""
        self.question = question
        self.rules = rules
        self.held = rules.held(question.person)
        if principal is not None:
            self.held |= principal.held.intersection(rules.eligible)
        self.asked: tuple[Asked, ...] = ()  # the question on each line that the chain is part of
        if question.person is not None and question.kind is not None and question.step is not None:
            first = Asked(
                person=question.person.id,
                step=question.step.id,
                kind=question.kind,
                history=question.history,
                roles=self.held,
                now=question.now,
                trails=question.trails,
                profiles=question.profiles,
                lineage=question.lines[0] if question.lines else (),
                beside=_other(question, principal),
                principal=question.actor is not None,
            )
            self.asked = (first, *(replace(first, lineage=line) for line in question.lines[1:]))
        self._granted: dict[int, bool] = {}
        self._violated: tuple[Violation | None, ...] | None = None
        self.actor: Hearing | None = None
        if question.actor is not None:
            self.actor = Hearing(question.actor, rules=rules, principal=self)

    def grants(self, index: int) -> bool:
        """Whether the condition of the grant with this index is true, whoever holds its role."""
        known = self._granted.get(index)
        if known is None:
            condition = self.rules.grants[index].when
            known = condition is None or condition.test(self.question.facts) == Truth.TRUE
            self._granted[index] = known
        return known

    def forbidden(self) -> bool:
        """Whether taking the step would violate a constraint that denies, for the person or whoever acts."""
        if self.actor is not None and self.actor.forbidden():
            return True
        violated = self.violated()
        return any(violated) and any(self._stands(index) for index in self.rules.denials)

    def _stands(self, index: int) -> bool:
        """Whether the constraint speaks and the person's conflict with it is not accepted."""
        found = self.violated()[index]
        return found is not None and not self._mitigation(self.rules.constraints[index], found)

    def _mitigation(self, constraint: Constraint, found: Violation) -> str:
        """The mitigation by which the person's conflict is accepted; empty where there is none, or the
        constraint is absolute, or not known to apply."""
        accepted = self.question.mitigated
        if not accepted or constraint.absolute or found.missing or found.error:
            return ""
        if not constraint.excludes_roles and constraint.kind is not ConstraintKind.COALITION:
            return ""
        return accepted.get(constraint.id, "")

    def said(self) -> Said:
        """All that Casbin's rows can say of the question: the person's roles, None for nobody, by which it
        is told whose rows they are; whether a duty forbids; and which grants to those roles are in force."""
        person = self.question.person
        if person is None:
            return None, False, ()
        held, grants = self.held, self.rules.grants
        given = tuple([i for i, grant in enumerate(grants) if grant.role in held and self.grants(i)])
        return person.roles, self.forbidden(), given

    def duty_findings(self) -> list[Finding]:
        """The findings of all violated constraints, whatever they ask for, in the order of the release."""
        if not self.asked:
            return []
        findings = []
        for constraint, found in zip(self.rules.constraints, self.violated(), strict=True):
            if found is not None:
                told = constraint_finding(constraint, found=found, asked=self.asked[0])
                mitigation = self._mitigation(constraint, found)
                findings.append(mitigated_finding(told, mitigation) if mitigation else told)
        if self.actor is not None:
            findings += [item for item in self.actor.duty_findings() if item not in findings]
        return findings

    def refusal(self) -> Finding:
        """Why nothing is granted: no grant at all, or one whose condition is not known to be true."""
        unmet: list[Grant] = []
        unknown: list[Verdict] = []
        for grant in self.rules.grants:
            if grant.when is None or grant.role not in self.held:
                continue
            verdict = grant.when.evaluate(self.question.facts)
            if verdict.truth is Truth.UNKNOWN:
                unknown.append(verdict)
            else:
                unmet.append(grant)
        if unknown:
            return grant_unknown(self.question, verdicts=unknown)
        return no_grant(self.question, eligible=self.rules.eligible, unmet=unmet)

    def violated(self) -> tuple[Violation | None, ...]:
        """Why each constraint of the action speaks, None where it does not; found once."""
        if self._violated is None:
            self._violated = self._violations()
        return self._violated

    def _violations(self) -> tuple[Violation | None, ...]:
        lines, rules = self.asked, self.rules
        violations: list[Violation | None] = [None] * len(rules.constraints)
        if not lines:
            return tuple(violations)
        # Most people hold no roles that exclude one another, and take their first step on a chain, which most
        # constraints say nothing about.
        exclusive = not rules.harmless(lines[0].roles)
        for index, constraint, formula in rules.speaking[max(map(past_of, lines)), exclusive]:
            for asked in lines:
                found = formula(constraint, asked=asked)
                if found is not None:
                    violations[index] = applied(constraint, found=found, facts=self.question.facts)
                    break
        return tuple(violations)


def _other(question: Question, principal: Hearing | None) -> str:
    """The other one of the two persons where one acts for the other; else nobody."""
    other = question.actor if principal is None else principal.question
    return "" if other is None or other.person is None else other.person.id


def no_grant(question: Question, *, eligible: tuple[str, ...], unmet: list[Grant] | None = None) -> Finding:
    """Nothing grants the action: says to which roles something would."""
    action, resource = question.action, question.resource_type
    roles = names(eligible)
    if question.person is None:
        message = Text(
            f"The subject belongs to no person of record, so {action} on {resource} is granted to nobody.",
            f"El sujeto no corresponde a ninguna persona registrada; {action} sobre {resource} no se concede "
            "a nadie.",
        )
    elif unmet:
        conditions = "; ".join(grant.when.source for grant in unmet if grant.when is not None)
        message = Text(
            f"{action} on {resource} is granted to roles of {question.person.id} only on a condition "
            f"that is not met: {conditions}.",
            f"{action} sobre {resource} se concede a los roles de {question.person.id} sólo con una "
            f"condición que no se cumple: {conditions}.",
        )
    elif eligible:
        message = Text(
            f"No role of {question.person.id} allows {action} on {resource}. Roles that could: {roles.en}.",
            f"Ningún rol de {question.person.id} permite {action} sobre {resource}. Roles que podrían: "
            f"{roles.es}.",
        )
    else:
        message = Text(
            f"No role allows {action} on {resource}: the rules in force grant it to nobody.",
            f"Ningún rol permite {action} sobre {resource}: las reglas vigentes no lo conceden a nadie.",
        )
    return denial(
        "no_grant",
        origin=Origin.GRANT,
        title=Text("Not granted", "Sin autorización"),
        message=message,
        values={"action": action, "resource_type": resource, "roles": eligible},
    )


def grant_unknown(question: Question, *, verdicts: list[Verdict]) -> Finding:
    """There is a grant, but it could not be told whether its condition holds."""
    missing = tuple(sorted({name for verdict in verdicts for name in verdict.missing}))
    errors = tuple(dict.fromkeys(verdict.error for verdict in verdicts if verdict.error))
    why = names(missing or errors)
    return denial(
        "grant_unknown",
        origin=Origin.GRANT,
        title=Text("The grant's condition is unknown", "No se conoce la condición de la autorización"),
        message=Text(
            f"{question.action} on {question.resource_type} is granted on a condition that could not be "
            f"told: {why.en}. State what is missing and ask again.",
            f"{question.action} sobre {question.resource_type} se concede con una condición que no se ha "
            f"podido comprobar: {why.es}. Indique lo que falta y vuelva a preguntar.",
        ),
        values={"action": question.action, "resource_type": question.resource_type},
        missing=missing,
        cause=Cause.ERROR if errors else Cause.MISSING,
    )
