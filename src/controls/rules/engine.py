"""Engines: the rules of a release, asked by action.

Guarantees:
- the cost of a request depends on the rules of its action only; every leaf is computed once at most, and in
  `both` and `reference` not at all where no rule's truth depends on it (Kleene's "and" stops at a false part,
  "or" at a true one). To durable-rules such a leaf is told as unknown, so that it proves for itself that what
  was computed suffices: were a truth to depend on the leaf after all, the two would disagree;
- `durable` and `reference` give the same findings, and `both` compares the truth of every rule first: a
  difference raises `EngineDisagreement`, which names the rules;
- the findings come from the condition's own verdict, which must agree with the engine's, or else that is a
  disagreement too;
- an engine answers for all rules of an action or raises an `EngineFailure`. Callers deny then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from controls.model.condition import Facts, Truth
from controls.model.finding import Finding
from controls.rules.durable import DurableEvaluator
from controls.rules.engine_errors import EngineClosed, EngineDisagreement, EngineFailure
from controls.rules.findings import finding_of
from controls.rules.hits import findings_of_table
from controls.rules.lowering import leaves_of
from controls.rules.reference import ReferenceEvaluator
from controls.rules.rule import Rule

__all__ = [
    "ENGINES",
    "Engine",
    "EngineClosed",
    "EngineDisagreement",
    "EngineFailure",
    "build_engine",
]

ENGINES: Final = ("both", "durable", "reference")

_NOT_ASKED: Final = 3  # beside the three truths
_NOBODY_ASKED: Final = bytes([_NOT_ASKED])


class Engine(Protocol):
    """The rules of one release under one way of evaluating them."""

    name: str  # "durable" | "reference" | "both"

    def evaluate(self, action: str, facts: Facts) -> tuple[Finding, ...]:
        """The findings of all rules that watch `action` and are in force at `facts.now`, by rule id.

        Args:
            action: `resource.action`, such as `order.approve`.
            facts: what conditions may read.

        Raises:
            EngineFailure: no answer can be given; deny, and record the error.
        """
        ...

    def close(self) -> None:
        """Free the memory of the engine, once another release has taken its place."""
        ...


def build_engine(name: str, rules: Sequence[Rule]) -> ReleaseEngine:
    """The engine called `name` ("durable", "reference" or "both") over `rules`.

    It must be closed when it is no longer needed: C memory is freed by nothing else.

    Raises:
        EngineFailure: durable-rules does not take the rules.
        ValueError: there is no such engine.
    """
    if name not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(ENGINES)}, not {name!r}")
    return ReleaseEngine(name, rules)


class _Leaves:
    """The truths of an action's leaves for one request, each computed when somebody asks for it."""

    __slots__ = ("_facts", "_tests", "_truths")

    def __init__(self, tests: tuple[Callable[[Facts], int], ...], facts: Facts) -> None:
        self._tests = tests
        self._facts = facts
        self._truths = bytearray(_NOBODY_ASKED * len(tests))

    def __getitem__(self, number: int) -> int:
        truth = self._truths[number]
        if truth == _NOT_ASKED:
            truth = self._truths[number] = self._tests[number](self._facts)
            if truth > Truth.TRUE:
                raise EngineFailure("a condition is neither false, unknown nor true")
        return truth

    def all(self) -> bytes:
        """All of them, computed."""
        return bytes([self[number] for number in range(len(self._tests))])

    def known(self) -> bytes:
        """Those computed so far, the others as unknown."""
        return bytes(self._truths.replace(_NOBODY_ASKED, b"\1"))


class _Both:
    """Both evaluators over the same truths of leaves; they must agree."""

    def __init__(
        self, durable: DurableEvaluator, reference: ReferenceEvaluator, *, rules: Sequence[Rule]
    ) -> None:
        self._durable = durable
        self._reference = reference
        self._ids = tuple(rule.id for rule in rules for _ in rule.conditions)

    def truths(self, leaves: _Leaves) -> bytes:
        reference = self._reference.truths(leaves)
        durable = self._durable.truths(leaves.known())
        if durable != reference:
            with suppress(EngineFailure):  # a shard that cannot be rebuilt fails the next request by itself
                self._durable.rebuild()
            differing = [
                name for name, one, other in zip(self._ids, durable, reference, strict=True) if one != other
            ]
            raise EngineDisagreement(differing, detail="durable-rules and the reference engine differ on")
        return durable

    def close(self) -> None:
        self._durable.close()
        self._reference.close()


@dataclass(frozen=True, slots=True)
class _Program:
    """The rules of one action, with the tests of their leaves and what evaluates them.

    The truths are those of `rules`, by id, and then of the rows of each rule of `tables`.
    """

    rules: tuple[Rule, ...]
    tables: tuple[Rule, ...]
    tests: tuple[Callable[[Facts], int], ...]
    truths: Callable[[_Leaves], bytes]
    close: Callable[[], None]
    silent: bytes | None  # the truths when no rule has anything to say; a table may always have


class ReleaseEngine:
    """An `Engine` that can also say what one rule finds, as the examples beside rules ask."""

    def __init__(self, name: str, rules: Sequence[Rule]) -> None:
        self.name = name
        self._programs: dict[str, _Program] = {}
        by_action: dict[str, list[Rule]] = {}
        for rule in sorted(rules, key=lambda rule: (rule.id, rule.version)):
            for action in dict.fromkeys(rule.on):
                by_action.setdefault(action, []).append(rule)
        # Actions watched by the very same rules share one program.
        shared: dict[tuple[int, ...], _Program] = {}
        try:
            for action, watching in by_action.items():
                identity = tuple(id(rule) for rule in watching)
                if identity not in shared:
                    shared[identity] = _program(name, tuple(watching))
                self._programs[action] = shared[identity]
        except BaseException:
            for program in shared.values():
                program.close()
            raise

    def evaluate(self, action: str, facts: Facts) -> tuple[Finding, ...]:
        return self._found(action, facts, only=None)

    def evaluate_rule(self, rule: Rule, action: str, facts: Facts) -> tuple[Finding, ...]:
        """The findings of `rule` alone among those of `evaluate`; others are evaluated, and say nothing."""
        return self._found(action, facts, only=rule)

    def _found(self, action: str, facts: Facts, *, only: Rule | None) -> tuple[Finding, ...]:
        program = self._programs.get(action)
        if program is None:
            return ()
        try:
            return _evaluate(program, facts, only=only)
        except EngineFailure:
            raise
        except Exception as error:
            raise EngineFailure(f"the rules of {action} raised {type(error).__name__}: {error}") from error

    def close(self) -> None:
        for program in self._programs.values():
            program.close()


def _program(name: str, watching: tuple[Rule, ...]) -> _Program:
    tables = tuple(rule for rule in watching if rule.table is not None)
    rules = (*(rule for rule in watching if rule.table is None), *tables)
    formulas = tuple(condition.formula for rule in rules for condition in rule.conditions)
    leaves = leaves_of(formulas)
    index = {leaf.key: number for number, leaf in enumerate(leaves)}
    truths: Callable[[_Leaves], bytes]
    evaluator: DurableEvaluator | ReferenceEvaluator | _Both
    if name == "durable":
        durable = evaluator = DurableEvaluator(formulas, leaves=leaves)

        def truths(leaves: _Leaves) -> bytes:
            return durable.truths(leaves.all())

    elif name == "reference":
        evaluator = ReferenceEvaluator(formulas, index=index)
        truths = evaluator.truths
    else:
        reference = ReferenceEvaluator(formulas, index=index)
        evaluator = _Both(DurableEvaluator(formulas, leaves=leaves), reference, rules=rules)
        truths = evaluator.truths
    tests = tuple(leaf.condition.test for leaf in leaves)
    silent = None if tables else bytes(len(formulas))
    return _Program(rules[: len(rules) - len(tables)], tables, tests, truths, evaluator.close, silent)


def _evaluate(program: _Program, facts: Facts, *, only: Rule | None) -> tuple[Finding, ...]:
    truths = program.truths(_Leaves(program.tests, facts))
    if truths == program.silent:
        return ()
    findings: list[Finding] = []
    for rule, truth in zip(program.rules, truths, strict=not program.tables):
        if truth and (only is None or rule is only) and _in_force(rule, facts):
            verdict = rule.condition.evaluate(facts)
            if verdict.truth != truth:
                raise EngineDisagreement([rule.id], detail="the condition as a whole and its parts differ on")
            finding = finding_of(rule, verdict=verdict, facts=facts)
            if finding is not None:
                findings.append(finding)
    if program.tables:
        findings += _of_tables(program, truths, facts, only=only)
        findings.sort(key=lambda finding: finding.rule)
    return tuple(findings)


def _of_tables(program: _Program, truths: bytes, facts: Facts, *, only: Rule | None) -> Iterator[Finding]:
    first = len(program.rules)
    for rule in program.tables:
        last = first + len(rule.conditions)
        if (only is None or rule is only) and _in_force(rule, facts):
            yield from findings_of_table(rule, truths[first:last], facts=facts)
        first = last


def _in_force(rule: Rule, facts: Facts) -> bool:
    return any(period.holds(facts.now) for period in rule.periods)
