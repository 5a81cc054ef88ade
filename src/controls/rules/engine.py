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

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from controls.model.condition import Facts, Truth
from controls.model.finding import Finding
from controls.rules.durable import DurableEvaluator
from controls.rules.engine_errors import EngineClosed, EngineDisagreement, EngineFailure
from controls.rules.findings import finding_of
from controls.rules.generated import GeneratedEvaluator
from controls.rules.hits import findings_of_table
from controls.rules.lowering import leaves_of
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


# How many combinations of truths are remembered for an action, each of them a byte a leaf and a byte a rule.
_MAX_AGREED: Final = 4_096


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


class _Both:
    """Both ways of evaluating, over the same truths of leaves; they must agree.

    What durable-rules answers depends on those truths alone, so it is asked once for each combination of
    them: its answer, once both agreed on it, is what the reference is held against the next time.
    """

    def __init__(
        self, durable: DurableEvaluator, reference: GeneratedEvaluator, *, rules: Sequence[Rule]
    ) -> None:
        self._durable = durable
        self._reference = reference
        self._ids = tuple(rule.id for rule in rules for _ in rule.conditions)
        self._agreed: dict[bytes, bytes] = {}

    def truths(self, facts: Facts) -> bytes:
        reference, leaves = self._reference.evaluate(facts)
        durable = self._agreed.get(leaves)
        if durable is None:
            durable = self._durable.truths(leaves)
        if durable != reference:
            self._agreed.clear()
            with suppress(EngineFailure):  # a shard that cannot be rebuilt fails the next request by itself
                self._durable.rebuild()
            differing = [
                name for name, one, other in zip(self._ids, durable, reference, strict=True) if one != other
            ]
            raise EngineDisagreement(differing, detail="durable-rules and the reference engine differ on")
        if len(self._agreed) >= _MAX_AGREED:
            self._agreed.clear()
        self._agreed[leaves] = durable
        return durable


@dataclass(frozen=True, slots=True)
class _Program:
    """The rules of one action, and what evaluates them.

    The truths are those of `rules`, by id, and then of the rows of each rule of `tables`.
    """

    rules: tuple[Rule, ...]
    tables: tuple[Rule, ...]
    places: Mapping[int, range]  # of each rule, by its identity: where its truths stand
    truths: Callable[[Facts], bytes]
    truths_of: Callable[[range, Facts], bytes]
    durable: DurableEvaluator | None
    silent: bytes | None  # the truths when no rule has anything to say; a table may always have


class ReleaseEngine:
    """An `Engine` that can also say what one rule finds, as the examples beside rules ask."""

    def __init__(self, name: str, rules: Sequence[Rule]) -> None:
        self.name = name
        self._closed = False
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
            _close(shared.values())
            raise

    def evaluate(self, action: str, facts: Facts) -> tuple[Finding, ...]:
        return self._found(action, facts, _evaluate)

    def evaluate_rule(self, rule: Rule, action: str, facts: Facts) -> tuple[Finding, ...]:
        """The findings of `rule` alone among those of `evaluate`.

        durable-rules is asked where the rule stands among the others, which are told nothing: so that the
        cost does not grow with their number.
        """
        return self._found(action, facts, lambda program, facts: _evaluate_rule(program, rule, facts))

    def _found(
        self, action: str, facts: Facts, evaluate: Callable[[_Program, Facts], tuple[Finding, ...]]
    ) -> tuple[Finding, ...]:
        program = self._programs.get(action)
        if self._closed:
            raise EngineClosed
        if program is None:
            return ()
        try:
            return evaluate(program, facts)
        except EngineFailure:
            raise
        except Exception as error:
            raise EngineFailure(f"the rules of {action} raised {type(error).__name__}: {error}") from error

    def close(self) -> None:
        self._closed = True
        _close(self._programs.values())


def _close(programs: Iterable[_Program]) -> None:
    for program in programs:
        if program.durable is not None:
            program.durable.close()


def _program(name: str, watching: tuple[Rule, ...]) -> _Program:
    tables = tuple(rule for rule in watching if rule.table is not None)
    rules = (*(rule for rule in watching if rule.table is None), *tables)
    formulas = tuple(condition.formula for rule in rules for condition in rule.conditions)
    leaves = leaves_of(formulas)
    truths: Callable[[Facts], bytes]
    truths_of: Callable[[range, Facts], bytes]
    durable = None if name == "reference" else DurableEvaluator(formulas, leaves=leaves)
    if durable is None:
        reference = GeneratedEvaluator(formulas, leaves=leaves)

        def truths(facts: Facts) -> bytes:
            return reference.evaluate(facts)[0]

        truths_of = _part_of(truths)
    elif name == "durable":
        tests = tuple(leaf.condition.test for leaf in leaves)
        numbers = {leaf.key: number for number, leaf in enumerate(leaves)}

        def truths(facts: Facts) -> bytes:
            return durable.truths(_checked([test(facts) for test in tests]))

        def truths_of(rules: range, facts: Facts) -> bytes:
            told = [0] * len(tests)
            for leaf in leaves_of(formulas[rules.start : rules.stop]):
                told[numbers[leaf.key]] = leaf.condition.test(facts)
            return durable.truths_of(rules, _checked(told))

    else:
        truths = _Both(durable, GeneratedEvaluator(formulas, leaves=leaves), rules=rules).truths
        truths_of = _part_of(truths)
    silent = None if tables else bytes(len(formulas))
    return _Program(
        rules[: len(rules) - len(tables)], tables, _places(rules), truths, truths_of, durable, silent
    )


def _part_of(truths: Callable[[Facts], bytes]) -> Callable[[range, Facts], bytes]:
    return lambda rules, facts: truths(facts)[rules.start : rules.stop]


def _places(rules: Iterable[Rule]) -> Mapping[int, range]:
    """Where the truths of each rule stand; those of a rule with a table are those of its rows."""
    places: dict[int, range] = {}
    first = 0
    for rule in rules:
        places[id(rule)] = range(first, first + len(rule.conditions))
        first += len(rule.conditions)
    return places


def _checked(truths: list[int]) -> bytes:
    if truths and max(truths) > Truth.TRUE:
        raise EngineFailure("a condition is neither false, unknown nor true")
    return bytes(truths)


def _evaluate(program: _Program, facts: Facts) -> tuple[Finding, ...]:
    truths = program.truths(facts)
    if truths == program.silent:
        return ()
    findings: list[Finding] = []
    for rule, truth in zip(program.rules, truths, strict=not program.tables):
        if truth and _in_force(rule, facts):
            finding = _finding(rule, truth, facts)
            if finding is not None:
                findings.append(finding)
    if program.tables:
        for rule in program.tables:
            if _in_force(rule, facts):
                place = program.places[id(rule)]
                findings += findings_of_table(rule, truths[place.start : place.stop], facts=facts)
        findings.sort(key=lambda finding: finding.rule)
    return tuple(findings)


def _evaluate_rule(program: _Program, rule: Rule, facts: Facts) -> tuple[Finding, ...]:
    place = program.places.get(id(rule))
    if place is None:
        return ()
    truths = program.truths_of(place, facts)
    if not _in_force(rule, facts):
        return ()
    if rule.table is not None:
        return tuple(findings_of_table(rule, truths, facts=facts))
    finding = _finding(rule, truths[0], facts) if truths[0] else None
    return () if finding is None else (finding,)


def _finding(rule: Rule, truth: int, facts: Facts) -> Finding | None:
    """What a rule that is true or unknown finds."""
    verdict = rule.condition.evaluate(facts)
    if verdict.truth != truth:
        raise EngineDisagreement([rule.id], detail="the condition as a whole and its parts differ on")
    return finding_of(rule, verdict=verdict, facts=facts)


def _in_force(rule: Rule, facts: Facts) -> bool:
    return any(period.holds(facts.now) for period in rule.periods)
