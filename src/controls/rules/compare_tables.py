"""Two decision tables with the same conditions, compared row by row: however many rows there are, and
whatever their conditions ask. What comparing all requests decides is in `compare_rules`.

Guarantees: a class other than `not proved` is claimed only where the same rows are tried in the same order
under the same hit policy, from what `controls.rules.hits` makes of their truths, absent inputs included. For
`first` and `priority` that takes care: where absent inputs leave two rows open, `missing` speaks, and a row
that becomes stricter may end the doubt; so its new outcome must be at least what `missing` asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from controls.model.finding import Effect
from controls.rules.changed_data import changed_data, differs, listed
from controls.rules.changes import ChangeClass, by_rank
from controls.rules.compare_conditions import Comparison
from controls.rules.condition import WholeCondition
from controls.rules.hits import ranks_of
from controls.rules.rule import DecisionTable, HitPolicy, MissingPolicy, Row, Rule
from controls.rules.tree import Typed, key_of
from controls.rules.versions import condition_text

_RANKS: Final = {effect: rank for rank, effect in enumerate(Effect, start=1)}  # as in `ranks_of`
# The least that makes an end of doubt no milder than the doubt. What is skipped is still reviewed when a
# value cannot be computed.
_DOUBT: Final = {
    MissingPolicy.SKIP: _RANKS[Effect.REVIEW],
    MissingPolicy.REVIEW: _RANKS[Effect.REVIEW],
    MissingPolicy.DENY: _RANKS[Effect.DENY],
}
_MISSING: Final = {MissingPolicy.SKIP: 0, MissingPolicy.REVIEW: 1, MissingPolicy.DENY: 2}
_OTHER_ROWS: Final = "the rows are not the same, and rows are not compared one against several"


def compared_tables(before: Rule, after: Rule) -> Comparison:
    """How `after` answers where `before` answered; at least one of them has a table."""
    if before.observe is not after.observe:  # one of them says nothing
        return Comparison(ChangeClass.TIGHTENING if before.observe else ChangeClass.LOOSENING)
    rows = _compared_rows(before, after)
    missing = by_rank(_MISSING[before.missing], _MISSING[after.missing], more=ChangeClass.TIGHTENING)
    if ChangeClass.NEUTRAL in (rows.kind, missing) or rows.kind is missing:
        return rows if missing is ChangeClass.NEUTRAL else Comparison(missing)
    return _not_proved(rows.why or "the rows and `missing` changed in opposite directions")


def rows_text(rule: Rule, other: Rule) -> str:
    """The rows that the table of `other` has not, in words; the condition of a rule without a table."""
    if rule.table is None:
        return condition_text(rule.condition.source)
    table, known = rule.table, set() if other.table is None else set(_cases(other.table))
    texts = [
        f"row {number}: {_source(row)} -> {_outcome(row.speaks)}"
        for number, (row, case) in enumerate(zip(table.rows, _cases(table), strict=False), start=1)
        if case not in known
    ]
    if _cases(table)[-1] not in known:
        texts.append(f"no row: {_outcome(table.unmatched)}")
    if other.table is None or table.hit is not other.table.hit:
        texts.insert(0, f"hit {table.hit.value}")
    if not texts:  # the same rows in another order
        texts = [f"row {number}: {_source(row)}" for number, row in enumerate(table.rows, start=1)]
    return listed(texts)


def same_rows(one: DecisionTable | None, other: DecisionTable | None) -> bool:
    """Whether these are two tables with the same rows and outcomes, under one hit policy."""
    if one is None or other is None:
        return False
    return one.hit is other.hit and _ordered(one) == _ordered(other)


def _compared_rows(before: Rule, after: Rule) -> Comparison:
    one, other = before.table, after.table
    if one is None or other is None:
        return _not_proved("one is a condition and the other a decision table")
    changed = changed_data(_tree(before), _tree(after))
    if changed:
        return _not_proved(differs(item.name for item in changed))
    if one.hit is not other.hit:
        return _not_proved("the hit policy is another one")
    old, new = _ordered(one), _ordered(other)
    if [key for key, _ in old] != [key for key, _ in new]:
        return _not_proved(_OTHER_ROWS)
    return _by_outcomes(one.hit, [rank for _, rank in old], [rank for _, rank in new], before.missing)


def _by_outcomes(
    policy: HitPolicy, before: Sequence[int], after: Sequence[int], missing: MissingPolicy
) -> Comparison:
    """The same rows with other outcomes, by their ranks."""
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    if not changed:
        return Comparison(ChangeClass.NEUTRAL)
    if _RANKS[Effect.OBLIGE] in (*before, *after):
        return _not_proved("an obligation asks for something else than the outcomes that are stricter")
    stricter = all(old < new for old, new in changed)
    if not stricter and any(old < new for old, new in changed):
        return _not_proved("some rows are stricter and others milder")
    ends = [max(pair) for pair in changed]
    if policy in (HitPolicy.FIRST, HitPolicy.PRIORITY) and min(ends) < _DOUBT[missing]:
        return _not_proved(
            f"where an input is absent, `missing: {missing.value}` may be stricter than the row"
        )
    return Comparison(ChangeClass.TIGHTENING if stricter else ChangeClass.LOOSENING)


def _cases(table: DecisionTable) -> list[tuple[str, int]]:
    """The rows by meaning, each with the rank of its outcome; the last is "no row matches"."""
    keys = [key_of(_whole(row.condition).tree) for row in table.rows]
    return list(zip([*keys, "\x7f"], ranks_of(table), strict=True))


def _ordered(table: DecisionTable) -> list[tuple[str, int]]:
    """The same in an order that means something: that of the file for `first` only."""
    return _cases(table) if table.hit is HitPolicy.FIRST else sorted(_cases(table))


def _source(row: Row) -> str:
    return condition_text(_whole(row.condition).source)


def _outcome(speaks: Rule | None) -> str:
    return "permit" if speaks is None else speaks.then.value


def _tree(rule: Rule) -> Typed:
    return _whole(rule.condition).tree


def _whole(condition: object) -> WholeCondition:
    return cast(WholeCondition, condition)


def _not_proved(why: str) -> Comparison:
    return Comparison(ChangeClass.NOT_PROVED, (), why)
