"""What examples and scenarios make rules do: which fired and kept silent, which branches went both ways.

Guarantees: measured beside the engines, never inside them, by Kleene's tables over the same leaves. A
branch is one leaf of a condition: it is covered once it was seen true and once it was seen false, whatever
the rest of the condition made of it. What is unknown, or could not be computed, covers nothing. An example
counts for its own rule alone; a scenario for every rule in force that watches what is asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from controls.model.chain import ChainKind
from controls.model.condition import Facts, Truth
from controls.model.duty import Constraint, ConstraintKind
from controls.model.finding import Finding, Origin, Source
from controls.rules.condition import WholeCondition
from controls.rules.examples import facts_of_example
from controls.rules.formula import Leaf
from controls.rules.hits import hits, ranks_of
from controls.rules.lowering import leaves_of
from controls.rules.reference import Kleene, kleene
from controls.rules.release import Release
from controls.rules.rule import CompiledCondition, DecisionTable, Rule
from controls.rules.system import ADMINISTRATION_RESOURCE, REVIEW_RESOURCE

_SYSTEM: Final = frozenset({ADMINISTRATION_RESOURCE, REVIEW_RESOURCE})


@dataclass(frozen=True, slots=True)
class Branch:
    """One leaf of a condition, by its text, and whether it was seen to be true and to be false."""

    text: str
    seen_true: bool
    seen_false: bool


@dataclass(slots=True)
class Watched:
    """A rule, a duty constraint or a grant's condition, and what was seen of it.

    `fired` and `silent` hold the cases in which it did: names of its examples, ids of scenarios. A grant
    fires when its condition holds.
    """

    kind: str  # rule | duty | grant
    id: str
    sources: tuple[Source, ...] = ()
    file: str = ""
    line: int = 0
    conditions: tuple[CompiledCondition, ...] = ()  # one, or those of a decision table's rows
    table: DecisionTable | None = None
    fired_examples: set[str] = field(default_factory=set)
    silent_examples: set[str] = field(default_factory=set)
    fired_scenarios: set[str] = field(default_factory=set)
    silent_scenarios: set[str] = field(default_factory=set)
    _leaves: tuple[Leaf, ...] = ()
    _truths: tuple[Kleene, ...] = ()
    _seen_true: set[int] = field(default_factory=set)
    _seen_false: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        formulas = [condition.formula for condition in self.conditions]
        self._leaves = leaves_of(formulas)
        index = {leaf.key: number for number, leaf in enumerate(self._leaves)}
        self._truths = tuple(kleene(formula, index=index) for formula in formulas)

    @property
    def fired(self) -> bool:
        return bool(self.fired_examples or self.fired_scenarios)

    @property
    def silent(self) -> bool:
        return bool(self.silent_examples or self.silent_scenarios)

    @property
    def branches(self) -> tuple[Branch, ...]:
        """The leaves of the condition. One that is the whole condition is told by `fired` and `silent`."""
        if self.kind != "duty" and len(self._leaves) == 1:
            return ()
        return tuple(
            Branch(leaf.key, number in self._seen_true, number in self._seen_false)
            for number, leaf in enumerate(self._leaves)
        )

    def look(self, facts: Facts) -> Truth:
        """Note what the facts make of each leaf; whether the condition holds, or the table speaks."""
        leaves = bytes([leaf.condition.test(facts) for leaf in self._leaves])
        for number, truth in enumerate(leaves):
            if truth == Truth.TRUE:
                self._seen_true.add(number)
            elif truth == Truth.FALSE:
                self._seen_false.add(number)
        truths = [truth(leaves) for truth in self._truths]
        if self.table is None:
            return Truth(truths[0])
        found = hits(self.table.hit, truths, ranks_of(self.table))
        return Truth.TRUE if found.certain else Truth.UNKNOWN if found.doubtful else Truth.FALSE

    def counted(self) -> tuple[int, int]:
        """How many of its ways were seen, and how many there are: fired, silent, and each branch twice."""
        seen = [self.fired, self.silent]
        for branch in self.branches:
            seen += [branch.seen_true, branch.seen_false]
        return sum(seen), len(seen)

    def unseen(self) -> tuple[str, ...]:
        """What no case has shown, in words."""
        words = [word for word, seen in (("fired", self.fired), ("silent", self.silent)) if not seen]
        for branch in self.branches:
            words += [f"true: {branch.text}"] * (not branch.seen_true)
            words += [f"false: {branch.text}"] * (not branch.seen_false)
        return tuple(words)


class Coverage:
    """What the cases of one release have shown so far."""

    def __init__(self, release: Release) -> None:
        self._release = release
        self._rules = {
            (rule.id, rule.version): Watched(
                "rule", rule.id, rule.sources, rule.file, rule.line, rule.conditions, rule.table
            )
            for rule in release.rules
        }
        system = {kind.id for name, kind in release.chains.items() if name in _SYSTEM}
        duties: dict[str, Watched] = {}  # one for all chain kinds that it stands for
        self._duties = [
            (
                item,
                duties.setdefault(
                    item.id, Watched("duty", item.id, item.sources, conditions=_whole(item.when))
                ),
            )
            for item in release.constraints
            if item.chain not in system
        ]
        self._grants = [
            (grant, Watched("grant", grant.id, conditions=_whole(grant.when)))
            for grant in release.grants
            if grant.when is not None
        ]
        self._watching: dict[str, list[tuple[Rule, Watched]]] = {}
        for rule in release.rules:
            for action in dict.fromkeys(rule.on):
                watched = self._rules[(rule.id, rule.version)]
                self._watching.setdefault(action, []).append((rule, watched))

    @property
    def watched(self) -> tuple[Watched, ...]:
        """Rules, then duties, then conditions of grants, each by id."""
        rules = sorted(self._rules.values(), key=lambda item: (item.id, item.file, item.line))
        duties = sorted({item.id: item for _, item in self._duties}.values(), key=lambda item: item.id)
        grants = sorted((item for _, item in self._grants), key=lambda item: item.id)
        return (*rules, *duties, *grants)

    @property
    def percent(self) -> int:
        """The share of all ways that was seen, rounded down; 100 where there is nothing to see."""
        counts = [item.counted() for item in self.watched]
        total = sum(whole for _, whole in counts)
        return 100 if not total else 100 * sum(seen for seen, _ in counts) // total

    def examples(self) -> None:
        """Look at every example, each with its own rule."""
        for rule in self._release.rules:
            watched = self._rules[(rule.id, rule.version)]
            for example in rule.examples:
                truth = watched.look(facts_of_example(self._release, rule, example))
                _note(truth, example.name, fired=watched.fired_examples, silent=watched.silent_examples)

    def duty_example(self, constraint: str, example: str, facts: Facts, *, spoke: bool) -> None:
        """Note what a constraint made of one of its examples."""
        watched = next(watched for item, watched in self._duties if item.id == constraint)
        if watched.conditions:
            watched.look(facts)
        (watched.fired_examples if spoke else watched.silent_examples).add(example)

    def asked(self, scenario: str, action: str, facts: Facts) -> None:
        """Look at what a scenario's step lets conditions read; `action` is `resource.action`."""
        for rule, watched in self._watching.get(action, ()):
            if any(period.holds(facts.now) for period in rule.periods):
                truth = watched.look(facts)
                _note(truth, scenario, fired=watched.fired_scenarios, silent=watched.silent_scenarios)
        resource, _, name = action.partition(".")
        kind = self._release.chains.get(resource)
        for constraint, watched in self._duties:
            if watched.conditions and _concerns(constraint, kind, name):
                watched.look(facts)
        for grant, watched in self._grants:
            if grant.resource == resource and name in grant.actions:
                truth = watched.look(facts)
                _note(truth, scenario, fired=watched.fired_scenarios, silent=watched.silent_scenarios)

    def answered(self, scenario: str, action: str, findings: Iterable[Finding]) -> None:
        """Note which duties spoke at a scenario's step, and which of those asked did not."""
        spoke: set[str] = set()
        for item in findings:
            if item.origin is Origin.DUTY:
                spoke.add(item.rule)
                behind = item.values.get("rules", ())  # the constraints for which a step waits for votes
                spoke |= {str(name) for name in behind} if isinstance(behind, tuple) else set()
        resource, _, name = action.partition(".")
        kind = self._release.chains.get(resource)
        for constraint, watched in self._duties:
            if _concerns(constraint, kind, name):
                spoken = constraint.id in spoke
                (watched.fired_scenarios if spoken else watched.silent_scenarios).add(scenario)


def _whole(condition: object) -> tuple[WholeCondition, ...]:
    return (condition,) if isinstance(condition, WholeCondition) else ()


def _concerns(constraint: Constraint, kind: ChainKind | None, action: str) -> bool:
    counted = (*constraint.steps, *constraint.distinct_from)
    if constraint.dynamic:
        counted = tuple(step for group in constraint.groups for step in group.steps)
    elif constraint.kind is ConstraintKind.VOTES and kind is not None:
        counted = (*counted, *kind.following(*constraint.steps))  # which wait for the votes
    return (
        kind is not None
        and constraint.chain in ("", kind.id)
        and kind.step(action) is not None
        and (not counted or action in counted)
    )


def _note(truth: Truth, case: str, *, fired: set[str], silent: set[str]) -> None:
    if truth is Truth.TRUE:
        fired.add(case)
    elif truth is Truth.FALSE:
        silent.add(case)
