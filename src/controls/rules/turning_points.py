"""What would have to be otherwise for parts of a condition to come out otherwise: facts, the time, steps.

Guarantees: proposals only, of which nothing is claimed before somebody decides with them. For a comparison
by size that is linear in a fact, the proposed values are the nearest ones on either side of where it turns,
in whole cents, days or seconds; of texts only what the vocabulary lists or the condition itself names, never
what a list or a table of the rule files holds. What is proposed for one condition is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import islice
from math import floor
from typing import Final, TypeAlias, cast

from babel.numbers import get_currency_precision

from controls.model.condition import Facts
from controls.model.values import (
    MISSING,
    Missing,
    Money,
    Value,
    decimal_text,
    from_microseconds,
    microseconds,
)
from controls.rules.condition import BAD_FACTS
from controls.rules.domains import Domain, is_ordered, number_of, samples_of, value_at
from controls.rules.evaluate import compiled
from controls.rules.reading import Unknown
from controls.rules.tree import (
    ChainRead,
    Comparison,
    Constant,
    FactRead,
    ListOf,
    Membership,
    Now,
    Presence,
    Typed,
    VariableRead,
    facts_of,
    walk,
)
from controls.rules.types import Kind

MAX_TESTS: Final = 64  # comparisons and the like that are looked at in one condition
MAX_CHOICES: Final = 8  # texts proposed for one fact by one of them
# How far ahead and how densely it is looked for a moment at which a test by the clock turns.
LOOKED_AHEAD: Final = timedelta(days=10)
_STRIDE: Final = timedelta(minutes=15)
_SECOND: Final = 1_000_000
_STEPS: Final = 8  # of the search for a root; one is enough where the comparison is linear

# A value that a fact may be given instead, MISSING for leaving it out.
Proposed: TypeAlias = "Value | Missing"


@dataclass(slots=True)
class TurningPoints:
    """Proposals, each fact's values in the order in which they were found."""

    values: dict[str, dict[Proposed, None]] = field(default_factory=dict)
    moments: set[datetime] = field(default_factory=set)
    steps: dict[str, None] = field(default_factory=dict)


def turning_points(tree: Typed, facts: Facts, domains: Mapping[str, Domain]) -> TurningPoints:
    """What could make a part of the condition `tree` come out otherwise than it does for `facts`.

    Args:
        tree: the checked tree of the condition.
        facts: what holds now.
        domains: the facts that may be proposed for, each with what it may be.
    """
    found = TurningPoints()
    for node in islice(_tests(tree), MAX_TESTS):
        for name in sorted(facts_of(node) & domains.keys()):
            proposed = _values(node, name, facts=facts, domain=domains[name])
            found.values.setdefault(name, {}).update(dict.fromkeys(_hashable(proposed)))
        if any(isinstance(part, Now) for part in walk(node)):
            found.moments.update(_moments(node, facts))
        for step in _steps(node):
            if not facts.chain.performed(step):
                found.steps[step] = None
    return found


def sample(domain: Domain) -> Value | None:
    """Some value that the fact may have, for where any will do; None where only a caller knows one."""
    if domain.type.kind in (Kind.LIST, Kind.RECORD):
        return None
    return next((item for item in samples_of(domain, ()) if item is not MISSING), None)


def by_distance(values: Iterable[Proposed], current: Proposed, *, kind: Kind) -> list[Proposed]:
    """Values of an ordered kind, the nearest to the present one first; as they are where there is none."""
    if isinstance(current, Missing):
        return list(values)
    here = _number(current, kind)

    def distance(value: Proposed) -> tuple[bool, Fraction]:
        missing = isinstance(value, Missing)
        return missing, Fraction(0) if isinstance(value, Missing) else abs(_number(value, kind) - here)

    return sorted(values, key=distance)


def _tests(tree: Typed) -> Iterator[Typed]:
    """The parts that are true or false by themselves, outside of macros."""
    for node in walk(tree):
        tests = isinstance(node, Comparison | Membership | Presence) or (
            isinstance(node, FactRead | ChainRead) and node.type.kind is Kind.BOOL
        )
        if tests and not any(isinstance(part, VariableRead) for part in walk(node)):
            yield node


def _told(node: Typed) -> Callable[[Facts], object]:
    """What `node` gives; unknown where the facts are not what they should be."""
    run = compiled(node)

    def told(facts: Facts) -> object:
        try:
            return run(facts, ())
        except BAD_FACTS as problem:
            return Unknown((), str(problem))

    return told


def _hashable(values: Iterator[Proposed]) -> Iterator[Proposed]:
    return (value for value in values if not isinstance(value, Mapping))


def _values(node: Typed, name: str, *, facts: Facts, domain: Domain) -> Iterator[Proposed]:
    """Other values of one fact under which `node` may come out otherwise."""
    current = facts.values.get(name)
    kind = domain.type.kind
    if isinstance(node, Presence):
        some = sample(domain) if current is None else MISSING
        yield from () if some is None else (some,)
    elif kind is Kind.BOOL:
        yield from (value for value in (True, False) if value is not current)
    elif kind is Kind.STRING:
        yield from islice(
            (text for text in _texts(node, name, facts, domain) if text != current), MAX_CHOICES
        )
    elif kind is Kind.LIST:
        yield from _lists(node, current)
    elif is_ordered(kind) and isinstance(node, Comparison):
        yield from _nearest(node, name, facts=facts, kind=kind)
    elif isinstance(node, Membership):
        yield from islice(_members(node), MAX_CHOICES)


def _texts(node: Typed, name: str, facts: Facts, domain: Domain) -> Iterator[str]:
    if domain.values:
        yield from domain.values
        return
    if isinstance(node, Membership):
        yield from cast("Iterator[str]", _members(node))
    elif isinstance(node, Comparison):
        for side, other in ((node.left, node.right), (node.right, node.left)):
            value = _told(other)(facts)
            if isinstance(side, FactRead) and side.name == name and isinstance(value, str):
                yield value
    if name not in facts.values:
        yield from cast("tuple[str, ...]", (sample(domain),))


def _members(node: Membership) -> Iterator[Value]:
    """The values that a fact is looked for among, where the condition itself names them."""
    if isinstance(node.source, ListOf):
        yield from (item.value for item in node.source.items if isinstance(item, Constant))
    elif isinstance(node.source, Constant) and isinstance(node.source.value, tuple):
        yield from node.source.value


def _lists(node: Typed, current: Value | None) -> Iterator[Value]:
    """The list with the element that is looked for in it, or without."""
    if isinstance(node, Membership) and isinstance(node.item, Constant) and isinstance(node.source, FactRead):
        held = current if isinstance(current, tuple) else ()
        wanted = node.item.value
        rest = tuple(item for item in held if item != wanted)
        yield rest if wanted in held else (*held, wanted)


def _steps(node: Typed) -> Iterator[str]:
    """The steps of the chain that a test asks for."""
    for part in walk(node):
        if isinstance(part, ChainRead) and part.step:
            yield part.step
    if (
        isinstance(node, Membership)
        and isinstance(node.item, Constant)
        and isinstance(node.source, ChainRead)
    ):
        yield str(node.item.value)


# -- comparisons by size ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Grid:
    """The values that are proposed for one fact, numbered: `unit` is the distance of two neighbours."""

    kind: Kind
    unit: Fraction
    currency: str = ""

    def value(self, number: int) -> Value | None:
        try:
            value = value_at(number * self.unit, Kind.DECIMAL if self.currency else self.kind)
        except (ValueError, OverflowError):
            return None
        if value is None or not self.currency:
            return value
        return Money(value, self.currency)  # type: ignore[arg-type]

    def number(self, value: Value) -> int:
        """The number of the value, or of the next one below it."""
        return floor(_number(value, self.kind) / self.unit)


def _number(value: Value, kind: Kind) -> Fraction:
    if isinstance(value, Money):
        return Fraction(value.amount)
    return Fraction(value) if kind in (Kind.INT, Kind.DECIMAL) else number_of(value, kind)  # type: ignore[arg-type]


def _nearest(node: Comparison, name: str, *, facts: Facts, kind: Kind) -> Iterator[Value]:
    """The values next to where the comparison turns under which it comes out otherwise, the nearest first."""
    current = facts.values.get(name)
    grid = _grid(node, current, facts=facts, kind=kind)

    def given(number: int) -> Facts | None:
        value = grid.value(number)
        return None if value is None else replace(facts, values={**facts.values, name: value})

    start = grid.number(current) if current is not None else _start(facts, grid)
    root = _root(_difference(node, given), start)
    if root is None:
        return
    told = _told(node)
    before = told(facts)
    seen = {before} if isinstance(before, bool) else set()
    nearest = root if current is None else start
    for number in sorted((root - 1, root, root + 1), key=lambda number: (abs(number - nearest), number)):
        at = given(number)
        found = None if at is None else told(at)
        if at is not None and isinstance(found, bool) and found not in seen:
            seen.add(found)
            yield at.values[name]


def _grid(node: Comparison, current: Value | None, *, facts: Facts, kind: Kind) -> _Grid:
    if kind is Kind.MONEY:
        currency = current.currency if isinstance(current, Money) else _currency(node, facts)
        amount = current.amount if isinstance(current, Money) else 0
        return _Grid(kind, _places(amount, at_least=get_currency_precision(currency)), currency)
    if kind is Kind.DECIMAL:
        return _Grid(kind, _places(current or 0, at_least=2))
    return _Grid(kind, Fraction(_SECOND if kind in (Kind.TIMESTAMP, Kind.DURATION) else 1))


def _places(number: object, *, at_least: int) -> Fraction:
    """One unit of the last place of a number."""
    fraction = decimal_text(number).partition(".")[2] if number else ""  # type: ignore[arg-type]
    return Fraction(1, 10 ** max(at_least, len(fraction)))


def _currency(node: Comparison, facts: Facts) -> str:
    """The currency that the comparison speaks of: of one side, of an amount in it, or the euro."""
    sides = [_told(side)(facts) for side in (node.left, node.right)]
    constants = [part.value for part in walk(node) if isinstance(part, Constant)]
    stated = [facts.values.get(name) for name in sorted(facts_of(node))]
    return next((item.currency for item in (*sides, *constants, *stated) if isinstance(item, Money)), "EUR")


def _start(facts: Facts, grid: _Grid) -> int:
    """Where the search begins for a fact that is not stated."""
    if grid.kind is Kind.DATE:
        return grid.number(facts.now.date())
    return grid.number(facts.now) if grid.kind is Kind.TIMESTAMP else 0


def _difference(node: Comparison, given: Callable[[int], Facts | None]) -> Callable[[int], Fraction | None]:
    """How far the left side is above the right one, by the number of a value; None where nobody can tell."""
    sides = _told(node.left), _told(node.right)

    def difference(number: int) -> Fraction | None:
        facts = given(number)
        if facts is None:
            return None
        left, right = (told(facts) for told in sides)
        if isinstance(left, Unknown) or isinstance(right, Unknown):
            return None
        if isinstance(left, Money) and isinstance(right, Money) and left.currency != right.currency:
            return None
        if not is_ordered(node.left.type.kind):
            return None
        return _number(cast(Value, left), node.left.type.kind) - _number(
            cast(Value, right), node.right.type.kind
        )

    return difference


def _root(difference: Callable[[int], Fraction | None], start: int) -> int | None:
    """The number at or next below which the difference is nothing, by Newton's method on whole numbers."""
    at = start
    for _ in range(_STEPS):
        here, there = difference(at), difference(at + 1)
        if here is None or there is None or here == there:
            return None
        step = floor(here / (here - there))
        if step == 0:
            return at
        at += step
    return None


# -- the clock ----------------------------------------------------------------------------------------------


def _moments(node: Typed, facts: Facts) -> Iterator[datetime]:
    """Moments to come, in whole seconds, at which a test by the clock first comes out otherwise."""
    start = -(-microseconds(facts.now) // _SECOND)

    def given(number: int) -> Facts | None:
        try:
            return replace(facts, now=from_microseconds(number * _SECOND))
        except OverflowError:
            return None

    told = _told(node)
    before = told(facts)

    def turned(number: int) -> bool:
        at = given(number)
        return at is not None and told(at) != before

    root = _root(_difference(node, given), start) if isinstance(node, Comparison) else None
    if root is not None:
        at_root = (number for number in (root - 1, root, root + 1) if number >= start and turned(number))
        yield from (from_microseconds(number * _SECOND) for number in islice(at_root, 1))
    stride, ahead = _STRIDE // timedelta(seconds=1), LOOKED_AHEAD // timedelta(seconds=1)
    marks = range(start - start % stride + stride, start + ahead, stride)
    first = next((number for number in marks if turned(number)), None)
    if first is not None:
        yield from_microseconds(_first_turned(turned, first - stride, first) * _SECOND)


def _first_turned(turned: Callable[[int], bool], before: int, after: int) -> int:
    """The number from which it has turned, between one at which it has not and one at which it has."""
    while after - before > 1:
        middle = (before + after) // 2
        if turned(middle):
            after = middle
        else:
            before = middle
    return after
