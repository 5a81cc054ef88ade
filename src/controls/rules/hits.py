"""What a decision table's rows lead to: its hit policy over their truths, in three-valued logic.

Guarantees: a finding that is certain holds whatever the absent inputs are; where absent inputs could lead to
something else, and to more than a permit, the rule's `missing` policy speaks, and at least as strictly as the
mildest outcome that is possible (each row taken by itself, as everywhere in Kleene's logic); when no row
matches, what the table says about that is said. So nothing is permitted because an input was missing, unless
the rule itself says `missing: skip`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from controls.model.condition import Facts, Truth, Verdict
from controls.model.finding import Effect, Finding
from controls.model.values import Value
from controls.rules.engine_errors import EngineDisagreement
from controls.rules.findings import finding_of
from controls.rules.rule import DecisionTable, HitPolicy, MissingPolicy, Row, Rule

ROW: Final = "table.row"  # under which name a finding's values say which row spoke; no fact can be called so

_PERMIT: Final = 0
_EFFECTS: Final = tuple(Effect)  # in rising strictness
_RANKS: Final = {effect: rank for rank, effect in enumerate(_EFFECTS, start=1)}


@dataclass(frozen=True, slots=True)
class Hits:
    """Rows by their index from 0; one past the last stands for "no row matches".

    `certain` speak. `doubtful` are rows of which it is not known whether they match and on which it depends
    what else is said; `floor` is the rank of the least that is said in any case.
    """

    certain: tuple[int, ...] = ()
    doubtful: tuple[int, ...] = ()
    floor: int = _PERMIT


def hits(policy: HitPolicy, truths: Sequence[int], ranks: Sequence[int]) -> Hits:
    """The rows that speak.

    Args:
        policy: the hit policy. `unique` and `any` rest on what was proven when the table was loaded.
        truths: 0 (false), 1 (unknown) or 2 (true) of each row.
        ranks: the strictness of each row's outcome, 0 for `permit`, and last that of "no row matches".
    """
    true = [row for row, truth in enumerate(truths) if truth == Truth.TRUE]
    maybe = [row for row, truth in enumerate(truths) if truth == Truth.UNKNOWN]
    if not true:
        last = len(truths)
    elif policy is HitPolicy.COLLECT:
        return Hits(
            tuple(row for row in true if ranks[row]), doubtful=tuple(row for row in maybe if ranks[row])
        )
    elif policy is HitPolicy.PRIORITY:
        last = max(true, key=lambda row: ranks[row])
        maybe = [row for row in maybe if ranks[row] > ranks[last]]
    elif policy is HitPolicy.FIRST:
        last = true[0]
        maybe = [row for row in maybe if row < last]
    else:
        last = true[0]
        maybe = []
    possible = [ranks[row] for row in (*maybe, last)]
    floor, most = min(possible), max(possible)
    if most == _PERMIT:
        return Hits()
    if not maybe or (true and ranks[last] == floor):  # what may come before it is no milder
        certain = (last,) if ranks[last] else ()
        return Hits(certain, doubtful=tuple(maybe) if most > floor else ())
    return Hits(doubtful=tuple(maybe), floor=floor)


def findings_of_table(rule: Rule, truths: bytes, *, facts: Facts) -> Iterator[Finding]:
    """The findings of a rule with a table, in force.

    Args:
        rule: the rule; `truths` are those of its rows.
        truths: as the engine found them.
        facts: what the rows read.

    Raises:
        EngineDisagreement: a row's own verdict differs from the engine's.
    """
    table = rule.table
    assert table is not None
    found = hits(table.hit, truths, ranks_of(table))
    for row in found.certain:
        if row == len(table.rows):
            yield from _unmatched(table, facts)
        else:
            yield from _hit(rule, table.rows[row], row, facts=facts)
    if found.doubtful:
        verdicts = [
            _verdict(rule, table.rows[row], row, Truth.UNKNOWN, facts=facts) for row in found.doubtful
        ]
        yield from _doubt(rule, verdicts, floor=found.floor, facts=facts)


def ranks_of(table: DecisionTable) -> list[int]:
    """The strictness of each row's outcome, 0 for `permit`, and last that of "no row matches"."""
    return [*(_rank(row.speaks) for row in table.rows), _rank(table.unmatched)]


def _rank(speaks: Rule | None) -> int:
    return _PERMIT if speaks is None else _RANKS[speaks.then]


def _verdict(rule: Rule, row: Row, number: int, truth: Truth, *, facts: Facts) -> Verdict:
    verdict = row.condition.evaluate(facts)
    if verdict.truth != truth:
        name = f"{rule.id}, row {number + 1}"
        raise EngineDisagreement([name], detail="the condition as a whole and its parts differ on")
    return verdict


def _hit(rule: Rule, row: Row, number: int, *, facts: Facts) -> Iterator[Finding]:
    verdict = _verdict(rule, row, number, Truth.TRUE, facts=facts)
    assert row.speaks is not None
    finding = finding_of(row.speaks, verdict=verdict, facts=facts)
    assert finding is not None
    yield replace(finding, values={**finding.values, ROW: number + 1})


def _unmatched(table: DecisionTable, facts: Facts) -> Iterator[Finding]:
    assert table.unmatched is not None
    names = sorted(table.unmatched.condition.names)
    read: dict[str, Value] = {name: facts.values[name] for name in names if name in facts.values}
    finding = finding_of(table.unmatched, verdict=Verdict(Truth.TRUE, read=read), facts=facts)
    assert finding is not None
    yield finding


def _doubt(rule: Rule, verdicts: Sequence[Verdict], *, floor: int, facts: Facts) -> Iterator[Finding]:
    """One finding for all rows that could not be decided."""
    read = {name: value for verdict in verdicts for name, value in verdict.read.items()}
    missing = tuple(dict.fromkeys(name for verdict in verdicts for name in verdict.missing))
    errors = dict.fromkeys(verdict.error for verdict in verdicts if verdict.error)
    verdict = Verdict(Truth.UNKNOWN, read=read, missing=missing, error="; ".join(errors))
    finding = finding_of(rule, verdict=verdict, facts=facts)
    skipped = finding is None
    if skipped and floor:  # an absent input may be skipped, but not what is said whatever it is
        finding = finding_of(replace(rule, missing=MissingPolicy.REVIEW), verdict=verdict, facts=facts)
    if finding is not None:
        milder = skipped or _RANKS[finding.effect] < floor
        yield replace(finding, effect=_EFFECTS[floor - 1]) if milder else finding
