"""Random decision tables with an interpreter of their own: row by row, cell by cell, in plain Python.

It shares nothing with the product: a cell is made together with the predicate that it stands for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import product
from typing import Any

from hypothesis import strategies as st

from controls.model.values import Money
from controls.rules.types import BOOL, DATE, DECIMAL, INT, MONEY, STRING, ValueType
from tests.rules.rule_sets import desk_files

OUTCOMES = ("permit", "oblige", "flag", "review", "deny")  # in rising strictness
VOCABULARY = desk_files()["vocabulary.yaml"]
ROLES = "roles: {clerk: {}}\ngrants:\n  - {role: clerk, actions: [capture], resource: order}\n"
POLICIES = ("unique", "any", "first", "priority", "collect")


@dataclass(frozen=True)
class ColumnCase:
    """A fact of the desk. `domain` has a value of every piece into which the constants cut it."""

    fact: str
    type: ValueType
    values: tuple[str, ...]
    constants: tuple[tuple[str, Any], ...]  # as written, and as the value that is compared
    domain: tuple[Any, ...]

    @property
    def ordered(self) -> bool:
        return self.type not in (STRING, BOOL)


def _euros(amount: str) -> Money:
    return Money(Decimal(amount), "EUR")


_FIRST = date(2026, 3, 2)
COLUMNS = (
    ColumnCase("order.side", STRING, ("buy", "sell"), (("buy", "buy"), ("sell", "sell")), ("buy", "sell")),
    ColumnCase("order.state", STRING, (), (("new", "new"), ('"a, b"', "a, b")), ("new", "a, b", "else")),
    ColumnCase("order.solicited", BOOL, (), (("true", True), ("false", False)), (True, False)),
    ColumnCase(
        "order.legs", INT, (), (("1", 1), ("2", 2), ("4", 4)), (0, 1, 2, 3, 4, 5)
    ),
    ColumnCase(
        "order.quantity",
        DECIMAL,
        (),
        (("10", Decimal(10)), ("10.50", Decimal("10.5"))),
        tuple(map(Decimal, ("-3", "10", "10.25", "10.5", "11"))),
    ),
    ColumnCase(
        "order.notional",
        MONEY,
        (),
        (("1000.00 EUR", Decimal(1000)), ("5000 EUR", Decimal(5000))),
        tuple(map(_euros, ("999.99", "1000", "2000", "5000", "6000"))),
    ),
    ColumnCase(
        "order.traded_on",
        DATE,
        (),
        (("2026-03-02", _FIRST), ("2026-03-03", _FIRST + timedelta(1))),
        tuple(_FIRST + timedelta(days) for days in (-1, 0, 1, 2)),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class CellCase:
    column: int
    text: str
    takes: Callable[[Any], bool]


def _plain(value: Any) -> Any:
    return value.amount if isinstance(value, Money) else value


@st.composite
def _items(draw: st.DrawFn, column: ColumnCase) -> tuple[str, Callable[[Any], bool]]:
    text, one = draw(st.sampled_from(column.constants))
    form = draw(st.sampled_from(("=", "<", "<=", ">", ">=", "..") if column.ordered else ("=",)))
    if form == "=":
        return text, lambda value: _plain(value) == one
    if form == "..":
        upper = [(word, other) for word, other in column.constants if other > one]
        if not upper:
            return f"[{text}..{text}]", lambda value: _plain(value) == one
        word, other = draw(st.sampled_from(upper))
        left, right = draw(st.sampled_from("[(")), draw(st.sampled_from("])"))
        return (
            f"{left}{text}..{word}{right}",
            lambda value: (
                (_plain(value) >= one if left == "[" else _plain(value) > one)
                and (_plain(value) <= other if right == "]" else _plain(value) < other)
            ),
        )
    compare: dict[str, Callable[[Any], bool]] = {
        "<": lambda value: _plain(value) < one,
        "<=": lambda value: _plain(value) <= one,
        ">": lambda value: _plain(value) > one,
        ">=": lambda value: _plain(value) >= one,
    }
    return f"{form} {text}", compare[form]


@st.composite
def cells(draw: st.DrawFn, column: int | None = None) -> CellCase:
    """A cell that some value of its column's domain passes."""
    number = draw(st.integers(0, len(COLUMNS) - 1)) if column is None else column
    if draw(st.integers(0, 3)) == 0:
        return CellCase(number, "-", lambda value: True)
    made = draw(st.lists(_items(COLUMNS[number]), min_size=1, max_size=3))
    text = ", ".join(text for text, _ in made)
    tests = [test for _, test in made]
    if draw(st.integers(0, 4)) == 0:
        cell = CellCase(number, f"not({text})", lambda value: not any(test(value) for test in tests))
    else:
        cell = CellCase(number, text, lambda value: any(test(value) for test in tests))
    if not any(cell.takes(value) for value in COLUMNS[number].domain):
        return CellCase(number, "-", lambda value: True)
    return cell


@dataclass(frozen=True)
class TableCase:
    """A table as text, with its rows as predicates."""

    columns: tuple[int, ...]
    rows: tuple[tuple[tuple[CellCase, ...], str], ...]
    hit: str
    default: str
    missing: str

    def inputs(self) -> Iterator[tuple[Any, ...]]:
        """Every combination of one value of each piece."""
        return product(*(COLUMNS[column].domain for column in self.columns))

    def matching(self, values: tuple[Any, ...]) -> list[int]:
        return [
            number
            for number, (tests, _) in enumerate(self.rows)
            if all(cell.takes(value) for cell, value in zip(tests, values, strict=True))
        ]

    def spoken(self, values: tuple[Any, ...]) -> set[tuple[int, str]]:
        """The rows that speak with their outcomes, for inputs that are all known; row 0 when none matches."""
        rows = [(number + 1, self.rows[number][1]) for number in self.matching(values)]
        if not rows:
            rows = [(0, self.default or "review")]
        elif self.hit == "priority":
            strictest = max(OUTCOMES.index(outcome) for _, outcome in rows)
            rows = [next(row for row in rows if OUTCOMES.index(row[1]) == strictest)]
        elif self.hit != "collect":
            rows = rows[:1]
        return {row for row in rows if row[1] != "permit"}

    def outcome(self, values: tuple[Any, ...]) -> str:
        """The strictest of what is said."""
        return max((said for _, said in self.spoken(values)), default="permit", key=OUTCOMES.index)

    def csv(self) -> str:
        header = ",".join([*(COLUMNS[column].fact for column in self.columns), "then"])
        lines = [
            ",".join('"' + cell.text.replace('"', '""') + '"' for cell in tests) + f",{outcome}"
            for tests, outcome in self.rows
        ]
        return "\n".join([header, *lines]) + "\n"

    def files(self) -> dict[str, str]:
        """A rule set with nothing but this table. Its examples are not run."""
        inputs = ", ".join(COLUMNS[column].fact for column in self.columns)
        obligation = "obligation: {what: report}\n" if "oblige" in self.outcomes() else ""
        missing = (
            "missing: skip\nbecause: A test.\n" if self.missing == "skip" else f"missing: {self.missing}\n"
        )
        examples = "".join(f"  - {{name: {word}, expect: {word}}}\n" for word in OUTCOMES)
        rule = (
            "id: test.table\ntitle: {en: A, es: B}\nsource: {law: Policy, basis: policy}\non: order.capture\n"
            f"table:\n  hit: {self.hit}\n  inputs: [{inputs}]\n  rows: decisions/test.csv\n"
            + (f"  default: {self.default}\n" if self.default else "")
            + obligation
            + missing
            + f"message: {{en: E, es: S}}\nexamples:\n{examples}"
        )
        return {
            "vocabulary.yaml": VOCABULARY,
            "roles.yaml": ROLES,
            "regulatory/test/table.yaml": rule,
            "decisions/test.csv": self.csv(),
        }

    def outcomes(self) -> set[str]:
        return {outcome for _, outcome in self.rows} | {self.default}


@st.composite
def tables(
    draw: st.DrawFn, hits: tuple[str, ...] = POLICIES, defaults: tuple[str, ...] = OUTCOMES
) -> TableCase:
    """A table whose rows may overlap and leave gaps; each input is tested by some row, some row speaks."""
    columns = tuple(draw(st.lists(st.integers(0, len(COLUMNS) - 1), min_size=1, max_size=3, unique=True)))
    rows = draw(
        st.lists(
            st.tuples(st.tuples(*(cells(column=column) for column in columns)), st.sampled_from(OUTCOMES)),
            min_size=1,
            max_size=6,
        )
    )
    used = [place for place in range(len(columns)) if any(tests[place].text != "-" for tests, _ in rows)]
    if not used or all(outcome == "permit" for _, outcome in rows):
        column = columns[0]
        text, value = COLUMNS[column].constants[0]
        only = CellCase(column, text, lambda other: bool(_plain(other) == value))
        return TableCase((column,), (((only,), "deny"),), draw(st.sampled_from(hits)), defaults[0], "review")
    return TableCase(
        tuple(columns[place] for place in used),
        tuple((tuple(tests[place] for place in used), outcome) for tests, outcome in rows),
        draw(st.sampled_from(hits)),
        draw(st.sampled_from(defaults)),
        draw(st.sampled_from(("review", "deny", "skip"))),
    )


def known(table: TableCase, values: tuple[Any, ...], absent: frozenset[int]) -> Mapping[str, Any]:
    """The facts of a request in which the inputs at the given places are absent."""
    return {
        COLUMNS[column].fact: value
        for place, (column, value) in enumerate(zip(table.columns, values, strict=True))
        if place not in absent
    }
