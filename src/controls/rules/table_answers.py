"""When a decision table gives each of its answers: goals over the truths of its rows.

Guarantees: every combination of truths belongs to exactly one answer, which is what `hits` and the rule's
`missing` policy make of it, the strictest where several things are said. Rows are told apart only as far as
the hit policy does, so that there are few goals for many rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Final, TypeAlias

from controls.model.condition import Truth
from controls.model.finding import Effect
from controls.rules.hits import hits, ranks_of
from controls.rules.rule import HitPolicy, MissingPolicy, Rule
from controls.rules.satisfiable import Asked, Together, Wanted
from controls.rules.tree import Typed

MAX_PARTS: Final = 4_000  # of all goals of one table

Truths: TypeAlias = "frozenset[Truth]"

_EFFECTS: Final = tuple(Effect)  # in rising strictness, as ranks from 1
_POLICIES: Final = {
    MissingPolicy.SKIP: 0,
    MissingPolicy.REVIEW: 1 + _EFFECTS.index(Effect.REVIEW),
    MissingPolicy.DENY: 1 + _EFFECTS.index(Effect.DENY),
}
_UNLIKE: Final = {1 + _EFFECTS.index(effect) for effect in (Effect.OBLIGE, Effect.FLAG)}
_FALSE: Final = frozenset({Truth.FALSE})
_UNKNOWN: Final = frozenset({Truth.UNKNOWN})
_TRUE: Final = frozenset({Truth.TRUE})
_NOT_TRUE: Final = _FALSE | _UNKNOWN
_NOT_UNKNOWN: Final = _FALSE | _TRUE


class NotComparable(ValueError):
    """The answers of a table cannot be written out; the message says why."""


@dataclass(frozen=True, slots=True)
class _Case:
    """Combinations that the hit policy does not tell apart: the truths that rows may have, those not named
    any, and for some groups the truth that one row of the group has at least.
    """

    rows: dict[int, Truths]
    some: tuple[tuple[tuple[int, ...], Truth], ...] = ()

    def example(self, count: int) -> list[int] | None:
        """Truths of all rows that belong to the case; None when there are none."""
        found: dict[int, Truth] = {}
        for group, truth in self.some:
            free = next((row for row in group if row not in found), None)
            if free is None:
                return None
            found[free] = truth
        return [found.get(row, min(self.rows.get(row, _FALSE))) for row in range(count)]

    def asked(self, trees: Sequence[Typed]) -> Together:
        each: list[Asked] = [Wanted(trees[row], truths) for row, truths in self.rows.items()]
        for group, truth in self.some:
            options = tuple(Wanted(trees[row], frozenset({truth})) for row in group)
            each.append(Together(every=False, parts=options))
        return Together(every=True, parts=tuple(each))


def answers_of_table(rule: Rule, trees: Sequence[Typed]) -> list[tuple[Asked, Effect | None]]:
    """What must hold for each answer of a rule with a table, observed or not.

    Args:
        rule: the rule; `missing` and the outcomes are its own.
        trees: the conditions of its rows.

    Raises:
        NotComparable: there would be more than MAX_PARTS, or an obligation may come with a flag, and neither
            of the two is the stricter one.
    """
    assert rule.table is not None
    ranks = ranks_of(rule.table)
    if rule.table.hit is HitPolicy.COLLECT and set(ranks) >= _UNLIKE:
        raise NotComparable("it may oblige and flag at once, and neither of the two is the stricter one")
    found: dict[Effect | None, list[Asked]] = {}
    parts = 0
    for case in _cases(rule.table.hit, ranks):
        example = case.example(len(trees))
        if example is None:
            continue
        parts += len(case.rows) + sum(len(group) for group, _ in case.some)
        if parts > MAX_PARTS:
            raise NotComparable("its rows are too many to be compared one against several")
        said = hits(rule.table.hit, example, ranks)
        rank = max((ranks[row] for row in said.certain), default=0)
        if said.doubtful:
            rank = max(rank, said.floor, _POLICIES[rule.missing])
        found.setdefault(_EFFECTS[rank - 1] if rank else None, []).append(case.asked(trees))
    return [(Together(every=False, parts=tuple(cases)), effect) for effect, cases in found.items()]


def _cases(policy: HitPolicy, ranks: Sequence[int]) -> Iterator[_Case]:
    """All combinations of truths. `ranks`: of each row, and last of "no row matches"."""
    rows = range(len(ranks) - 1)
    yield from _with_doubts(dict.fromkeys(rows, _FALSE), (), ranks)  # no row is true
    match policy:
        case HitPolicy.FIRST:
            for row in rows:
                yield from _with_doubts({**dict.fromkeys(range(row), _FALSE), row: _TRUE}, (), ranks)
        case HitPolicy.UNIQUE | HitPolicy.ANY:
            for row in rows:
                yield _Case({**dict.fromkeys(range(row), _NOT_TRUE), row: _TRUE})
        case HitPolicy.PRIORITY:
            for rank in sorted({ranks[row] for row in rows}):
                true = tuple(row for row in rows if ranks[row] == rank)
                above = {row: _FALSE for row in rows if ranks[row] > rank}
                yield from _with_doubts(above, ((true, Truth.TRUE),), ranks)
        case HitPolicy.COLLECT:
            for rank in sorted({ranks[row] for row in rows}):
                true = tuple(row for row in rows if ranks[row] == rank)
                speaking = tuple(row for row in rows if ranks[row])
                allowed = {row: _NOT_UNKNOWN if ranks[row] <= rank else _FALSE for row in speaking}
                yield _Case(allowed, ((true, Truth.TRUE),))
                above = {row: _NOT_TRUE for row in rows if ranks[row] > rank}
                yield _Case(above, ((true, Truth.TRUE), (speaking, Truth.UNKNOWN)))


def _with_doubts(
    rows: dict[int, Truths], some: tuple[tuple[tuple[int, ...], Truth], ...], ranks: Sequence[int]
) -> Iterator[_Case]:
    """Cases in which rows that must be false may be unknown instead, by the ranks of the unknown ones."""
    groups: dict[int, list[int]] = {}
    for row, truths in rows.items():
        if truths is _FALSE:
            groups.setdefault(ranks[row], []).append(row)
    for doubted in _subsets(sorted(groups)):
        loose = {row: _NOT_TRUE for rank in doubted for row in groups[rank]}
        unknown = tuple((tuple(groups[rank]), Truth.UNKNOWN) for rank in doubted)
        yield _Case({**rows, **loose}, (*some, *unknown))


def _subsets(items: Sequence[int]) -> Iterable[tuple[int, ...]]:
    return chain.from_iterable(combinations(items, size) for size in range(len(items) + 1))
