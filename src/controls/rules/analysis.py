"""What compiles and still cannot be meant: conditions that never change, rules without effect, idle examples.

Guarantees: pure; every finding is proved (by `satisfiable`) or can be seen in the files, so that none is a
guess; what could not be decided is not reported. The time grows with the number of rules, not with its
square.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from controls.model.condition import Facts, Truth
from controls.model.errors import Diagnostic, Level
from controls.rules.condition import WholeCondition
from controls.rules.diagnostics import Place, closest, quoted
from controls.rules.domains import Domain, domains_of
from controls.rules.evaluate import compiled
from controls.rules.examples import PERMIT, facts_of_example
from controls.rules.folding import Folder
from controls.rules.idle_declarations import ungranted_steps, unholdable_roles, unread_declarations
from controls.rules.impossible_texts import impossible_texts
from controls.rules.nodes import MappingNode, Scalar, mappings_of
from controls.rules.release import Compiled, Release
from controls.rules.rule import Rule
from controls.rules.satisfiable import Impossible, Wanted, Witness, find
from controls.rules.shadows import shadows_of
from controls.rules.sources import Sources
from controls.rules.structure import FileKind
from controls.rules.system import SYSTEM_PREFIX
from controls.rules.tree import Constant, Logic, Typed
from controls.rules.vocabulary import SERVICE_FACTS

MAX_SOLVED: Final = 25  # questions for the solver in one analysis: each may take tenths of a second


@dataclass(frozen=True, slots=True)
class Analysis:
    """What was found, in the order of the files.

    `uncompared`: pairs of rules left out, because there were too many to look for shadows among them.
    """

    diagnostics: tuple[Diagnostic, ...]
    uncompared: int = 0

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        return tuple(item for item in self.diagnostics if item.level is Level.ERROR)


def analyse(files: Compiled) -> Analysis:
    """Everything that the static checks find in rule files that compile."""
    analyst = _Analyst(files.release, files.sources, domains_of(files.release.vocabulary))
    places = {id(condition): scalar for scalar, condition in files.conditions}
    nodes = {
        (file.path, node.place.line, node.text("id")): node
        for file in files.sources.of(FileKind.RULE)
        for node in mappings_of(file.node)
    }
    seen: set[int] = set()
    usable: list[Rule] = []
    for rule in files.release.rules:
        condition = rule.condition
        assert isinstance(condition, WholeCondition)
        if rule.table is not None:
            continue  # gaps and overlaps of rows are found where tables are read
        seen.add(id(condition))
        if analyst.check_rule(rule, condition, places[id(condition)], nodes[rule.file, rule.line, rule.id]):
            usable.append(rule)
    for scalar, condition in files.conditions:
        if id(condition) not in seen and not scalar.place.file.startswith(SYSTEM_PREFIX):
            analyst.check_condition(condition, scalar, analyst.domains, known=())
    analyst.check_facts(condition for _, condition in files.conditions)
    for place, message in unread_declarations(files):
        analyst.add(place, "unread_declaration", message)
    for place, message in ungranted_steps(files):
        analyst.add(place, "ungranted_step", message)
    for place, message in unholdable_roles(files):
        analyst.add(place, "unholdable_role", message)
    shadows = shadows_of(usable, domains=analyst.domains, witnesses=analyst.firing, solving=analyst.solving)
    for shadow in shadows.found:
        place = nodes[shadow.rule.file, shadow.rule.line, shadow.rule.id].place_of("id")
        analyst.add(place, "shadowed_rule", shadow.message)
    return Analysis(tuple(sorted(analyst.found)), shadows.uncompared)


class _Solving:
    """Allows a limited number of questions to the solver."""

    def __init__(self) -> None:
        self.left = MAX_SOLVED

    def __call__(self) -> bool:
        self.left -= 1
        return self.left >= 0


@dataclass(slots=True)
class _Analyst:
    release: Release
    sources: Sources
    domains: Mapping[str, Domain]
    found: list[Diagnostic] = field(default_factory=list)
    firing: dict[int, list[Facts]] = field(default_factory=dict)  # by the condition's identity
    solving: _Solving = field(default_factory=_Solving)

    def add(self, place: Place, code: str, message: str, *, level: Level = Level.WARNING) -> None:
        self.found.append(Diagnostic(*place, code, message, level))

    # Rules

    def check_rule(self, rule: Rule, condition: WholeCondition, when: Scalar, node: MappingNode) -> bool:
        """Note what is wrong with one rule; whether its condition can be true at all."""
        known = [facts_of_example(self.release, rule, example) for example in rule.examples]
        truths = [condition.test(facts) for facts in known]
        firing = [facts for facts, truth in zip(known, truths, strict=True) if truth == Truth.TRUE]
        self._check_examples(rule, node, truths)
        domains = self._domains_of(rule)
        if not self.check_condition(condition, when, domains, known=truths):
            return False
        if not firing:
            answer = self._find((Wanted(condition.tree, _TRUE),), domains)
            firing = [answer.facts] if isinstance(answer, Witness) else []
        self.firing[id(condition)] = firing
        self._check_branches(condition, when, domains, firing)
        self._check_actions(rule, condition, node)
        return True

    def _domains_of(self, rule: Rule) -> Mapping[str, Domain]:
        """The domains when only the rule's own actions are asked about."""
        return self._domains_on(rule.on)

    def _domains_on(self, actions: Iterable[str]) -> Mapping[str, Domain]:
        pairs = [action.partition(".")[::2] for action in actions]
        return {
            **self.domains,
            "action.name": _one_of(self.domains["action.name"], [name for _, name in pairs]),
            "resource.type": _one_of(self.domains["resource.type"], [resource for resource, _ in pairs]),
        }

    def _check_examples(self, rule: Rule, node: MappingNode, truths: list[int]) -> None:
        place = node.entries["examples"].key.place
        expected = {(example.expect, truth) for example, truth in zip(rule.examples, truths, strict=True)}
        if (rule.then.value, Truth.TRUE) not in expected:
            message = (
                f"no example that expects {rule.then.value} makes `when` true (facts are missing in them, "
                "or it is false): add one that gives every fact it needs"
            )
            self.add(place, "idle_example", message)
        if (PERMIT, Truth.FALSE) not in expected:
            message = (
                "no example that expects permit makes `when` false (facts are missing in them): add one that "
                "gives every fact it needs"
            )
            self.add(place, "idle_example", message)
        read = rule.condition.names | _of_due(rule)
        for item in node.items("examples"):
            given = item.mapping("given") if isinstance(item, MappingNode) else None
            for name, entry in given.entries.items() if given is not None else ():
                if name not in read and name not in SERVICE_FACTS:
                    self.add(
                        entry.key.place,
                        "unread_fact",
                        f"`when` does not read {quoted(name)}, so it changes nothing in this example"
                        f"{closest(name, read)}",
                    )

    def _check_branches(
        self,
        condition: WholeCondition,
        when: Scalar,
        domains: Mapping[str, Domain],
        firing: Iterable[Facts],
    ) -> None:
        """Note the alternatives that never make the condition true."""
        for branch in _branches(condition.tree):
            folded = Folder().fold(branch)
            if isinstance(folded, Constant):
                continue  # parameters switch it on or off
            run = compiled(folded)
            if any(run(facts, ()) is True for facts in firing):
                continue
            answer = self._find((Wanted(condition.tree, _TRUE), Wanted(branch, _TRUE)), domains)
            if isinstance(answer, Impossible):
                text = condition.source[branch.start : branch.end]
                self.add(
                    when.locate(branch.start),
                    "dead_branch",
                    f"{quoted(text)} is never true where the rest of `when` allows it: mend or remove it",
                )

    def _check_actions(self, rule: Rule, condition: WholeCondition, node: MappingNode) -> None:
        if condition.names.isdisjoint(("action.name", "resource.type")):
            return
        for action in node.scalars("on"):
            name = str(action.value)
            answer = self._find((Wanted(condition.tree, _TRUE),), self._domains_on((name,)))
            if isinstance(answer, Impossible):
                self.add(
                    action.place,
                    "unreachable_action",
                    f"`when` is never true on {quoted(name)}: remove it from `on`, or mend `when`",
                )

    # Conditions, those of grants and duties included

    def check_condition(
        self,
        condition: WholeCondition,
        when: Scalar,
        domains: Mapping[str, Domain],
        known: Iterable[int],
    ) -> bool:
        """Note a condition that never changes; whether it can be true. `known`: truths already seen."""
        if self._check_texts(condition, when):
            return False
        seen = frozenset(known)
        for truth, code, message in _CONSTANT:
            if truth in seen:
                continue
            answer = self._find((Wanted(condition.tree, frozenset({truth})),), domains)
            if isinstance(answer, Impossible):
                self.add(when.place, code, message, level=Level.ERROR)
                return truth != Truth.TRUE
        return True

    def _check_texts(self, condition: WholeCondition, when: Scalar) -> bool:
        """Note what facts are compared with and never are; whether there is any."""
        found = list(impossible_texts(condition.tree, domains=self.domains, roles=self.release.roles))
        for constant, message in found:
            self.add(when.locate(constant.start), "unknown_value", message, level=Level.ERROR)
        return bool(found)

    def _find(self, wanted: tuple[Wanted, ...], domains: Mapping[str, Domain]) -> object:
        answer = find(wanted, domains=domains, solve=False)
        if isinstance(answer, Witness | Impossible) or not self.solving():
            return answer
        return find(wanted, domains=domains)

    # Facts

    def check_facts(self, conditions: Iterable[WholeCondition]) -> None:
        """Note the declared facts that nothing reads."""
        used = {name for condition in conditions for name in condition.names}
        for rule in self.release.rules:
            used |= rule.condition.names | _of_due(rule)
        for aggregate in self.release.aggregates.values():
            used.update((*aggregate.by, aggregate.amount))
        for kind in self.release.chains.values():
            used.update((*kind.material, *kind.if_stated))
            for step in kind.steps:
                used.update(step.material or ())
                used.add(step.lines)
        for file in self.sources.of(FileKind.VOCABULARY):
            declared = file.node.mapping("facts") if isinstance(file.node, MappingNode) else None
            for name, entry in declared.entries.items() if declared is not None else ():
                if name not in used:
                    self.add(
                        entry.key.place,
                        "unused_fact",
                        f"no rule, grant, duty or chain reads {quoted(name)}: use it or remove it",
                    )


_TRUE: Final = frozenset({Truth.TRUE})
_CONSTANT: Final = (
    (
        Truth.TRUE,
        "never_true",
        "this can never be true, whatever the facts are: what it demands excludes itself",
    ),
    (Truth.FALSE, "always_true", "this is never false: it is true whenever the facts it needs are there"),
)


def _of_due(rule: Rule) -> frozenset[str]:
    """The fact that a due time counts from."""
    return frozenset((rule.due.start,)) if rule.due is not None and rule.due.start else frozenset()


def _one_of(domain: Domain, values: Iterable[str]) -> Domain:
    return replace(domain, values=tuple(sorted(set(values))))


def _branches(node: Typed) -> Iterator[Typed]:
    """The parts of every `||` that can help to make the whole true."""
    if isinstance(node, Logic):
        for part in node.parts:
            if not node.every:
                yield part
            yield from _branches(part)
