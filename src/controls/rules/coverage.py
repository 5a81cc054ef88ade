"""Which inputs the rows of a decision table share, and which ones none of them takes.

Guarantees: exact for inputs that vary freely and independently of each other. Each column is cut at every
bound that a cell names, so that no cell tells two values of one piece apart; a row is then a box of pieces
(bits of an integer). Where inputs depend on each other (two expressions over one fact), what is found may be
unreachable, but nothing is overlooked. Every step of the analysis is paid from a budget; when it is used up
the answer is `Undecided` and never "there is none".
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Context, Decimal
from functools import reduce
from operator import or_
from typing import Final, TypeAlias, cast

from controls.model.values import Money, Value
from controls.rules.cells import Cell, Ordered, Span, order_of
from controls.rules.types import Kind, ValueType

TABLE_STEPS: Final = 1_000_000  # of one table: about two seconds
RELEASE_STEPS: Final = 5_000_000  # of all tables of a release

Example: TypeAlias = tuple[Value, ...]  # one value for each column

_WIDE: Final = Context(prec=80)  # halves of 34 digits are exact
_STEPS: Final[dict[Kind, timedelta]] = {
    Kind.DATE: timedelta(days=1),
    Kind.TIMESTAMP: timedelta(microseconds=1),
    Kind.DURATION: timedelta(microseconds=1),
}


class Undecided(Exception):
    """The analysis of a table took more steps than it may."""


@dataclass(slots=True)
class Budget:
    """The steps that are left for all tables of a release, and for the table at hand."""

    release: int = RELEASE_STEPS
    table: int = TABLE_STEPS

    def next_table(self) -> None:
        self.table = TABLE_STEPS

    def spend(self, steps: int = 1) -> None:
        """Take steps.

        Raises:
            Undecided: there are not so many left.
        """
        self.release -= steps
        self.table -= steps
        if self.release < 0 or self.table < 0:
            raise Undecided


@dataclass(frozen=True, slots=True)
class Column:
    """One input: a value of each piece (None: the piece is empty), and the pieces that each row takes."""

    examples: tuple[Value | None, ...]
    boxes: tuple[int, ...]


def column_of(cells: Sequence[Cell], *, type_: ValueType, values: Sequence[str] = ()) -> Column:
    """The pieces of an input's values.

    Args:
        cells: the input's cell in each row. Money is of one currency throughout.
        type_: the input's type.
        values: the only values there are, when the vocabulary lists them.
    """
    constants = [constant for cell in cells for constant in cell.constants()]
    if type_.kind is Kind.BOOL:
        return _of_pieces(cells, (False, True))
    if type_.kind is Kind.STRING:
        named = tuple(dict.fromkeys(str(constant) for constant in constants))
        return _of_pieces(cells, tuple(values) or (*named, _other(named)))
    return _of_order(cells, constants, type_)


def overlaps(columns: Sequence[Column], budget: Budget) -> Iterator[tuple[int, int, Example]]:
    """Every pair of rows (counted from 0) that one input satisfies both of, with such an input.

    Raises:
        Undecided: while iterated, after too many steps.
    """
    boxes = list(zip(*(_real_boxes(column) for column in columns), strict=True))
    taking = [_taking(column, _real(column), budget) for column in columns]
    meeting: list[dict[int, int]] = [
        {} for _ in columns
    ]  # of each column: box -> the rows that share a piece
    for later, row in enumerate(boxes):
        together = (1 << later) - 1
        for number, box in enumerate(row):
            if box not in meeting[number]:
                pieces = list(_bits(box))
                budget.spend(len(pieces))
                meeting[number][box] = reduce(or_, (taking[number][piece] for piece in pieces), 0)
            together &= meeting[number][box]
        budget.spend(len(columns))
        for earlier in _bits(together):
            shared = [one & other for one, other in zip(boxes[earlier], row, strict=True)]
            yield earlier, later, _example(columns, [_lowest(piece) for piece in shared])


def gaps(columns: Sequence[Column], budget: Budget) -> Iterator[Example]:
    """Inputs that no row takes.

    Raises:
        Undecided: while iterated, after too many steps.
    """
    rows = (1 << len(columns[0].boxes)) - 1
    search = _Search(columns, within=[_real(column) for column in columns], budget=budget)
    return search.uncovered(rows)


def hidden(columns: Sequence[Column], row: int, budget: Budget) -> bool:
    """Whether the rows before `row` together take every input that it takes.

    Raises:
        Undecided: after too many steps.
    """
    within = [_real_boxes(column)[row] for column in columns]
    search = _Search(columns, within=within, budget=budget)
    return next(search.uncovered((1 << row) - 1), None) is None


class _Search:
    """A search, column by column, for pieces that no row of a set takes. Sets of rows are integers."""

    def __init__(self, columns: Sequence[Column], *, within: Sequence[int], budget: Budget) -> None:
        self._columns = columns
        self._budget = budget
        self._choices = [
            _choices(column, allowed, budget) for column, allowed in zip(columns, within, strict=True)
        ]
        # Rows that take all there is from a column on: with one of them left, nothing is uncovered.
        self._full = [0] * (len(columns) + 1)
        self._full[-1] = -1
        for number in range(len(columns) - 1, -1, -1):
            whole = sum(
                1 << row
                for row, box in enumerate(columns[number].boxes)
                if box & within[number] == within[number]
            )
            self._full[number] = self._full[number + 1] & whole
        self._covered: set[tuple[int, int]] = set()

    def uncovered(self, rows: int) -> Iterator[Example]:
        for pieces in self._from(0, rows):
            yield _example(self._columns, pieces)

    def _from(self, number: int, rows: int) -> Iterator[list[int]]:
        self._budget.spend()
        if rows & self._full[number] or (number, rows) in self._covered:
            return
        if number == len(self._columns):
            yield []
            return
        found = False
        tried: set[int] = set()
        for taking, piece in self._choices[number]:
            left = rows & taking
            if left in tried:
                continue
            tried.add(left)
            for rest in self._from(number + 1, left):
                found = True
                yield [piece, *rest]
        if not found:
            self._covered.add((number, rows))


def _choices(column: Column, allowed: int, budget: Budget) -> list[tuple[int, int]]:
    """The allowed pieces that rows tell apart: the set of rows that take each, and the piece."""
    found: dict[int, int] = {}
    for piece, rows in enumerate(_taking(column, allowed, budget)):
        if allowed >> piece & 1:
            found.setdefault(rows, piece)
    return list(found.items())


def _taking(column: Column, allowed: int, budget: Budget) -> list[int]:
    """The set of rows that take each piece, for the allowed ones."""
    taking = [0] * len(column.examples)
    for row, box in enumerate(column.boxes):
        pieces = box & allowed
        budget.spend(1 + pieces.bit_count())
        for piece in _bits(pieces):
            taking[piece] |= 1 << row
    return taking


def _bits(number: int) -> Iterator[int]:
    while number:
        yield _lowest(number)
        number &= number - 1


def _lowest(bits: int) -> int:
    return (bits & -bits).bit_length() - 1


def _real(column: Column) -> int:
    return sum(1 << piece for piece, value in enumerate(column.examples) if value is not None)


def _real_boxes(column: Column) -> list[int]:
    real = _real(column)
    return [box & real for box in column.boxes]


def _example(columns: Sequence[Column], pieces: Sequence[int]) -> Example:
    found = [column.examples[piece] for column, piece in zip(columns, pieces, strict=True)]
    return tuple(cast(Value, value) for value in found)


def _of_pieces(cells: Sequence[Cell], pieces: tuple[Value, ...]) -> Column:
    """Values that are only told apart by equality: each is a piece."""
    where = {value: 1 << index for index, value in enumerate(pieces)}
    whole = (1 << len(pieces)) - 1
    boxes = (sum({where[constant] for constant in cell.constants()}) for cell in cells)
    return Column(
        pieces,
        tuple(
            whole if cell.any else whole ^ box if cell.negated else box
            for cell, box in zip(cells, boxes, strict=True)
        ),
    )


def _other(named: Sequence[str]) -> str:
    """A text that no cell names."""
    text = "another value"
    while text in named:
        text += "."
    return text


def _of_order(cells: Sequence[Cell], constants: Sequence[Value], type_: ValueType) -> Column:
    """Pieces 0, 2, 4, ... are what lies before, between and behind the constants; 1, 3, ... are those."""
    points = sorted({order_of(constant) for constant in constants})
    currency = next((item.currency for item in constants if isinstance(item, Money)), "EUR")
    examples: list[Value | None] = []
    for index in range(len(points) + 1):
        low = points[index - 1] if index else None
        high = points[index] if index < len(points) else None
        examples.append(_shown(_between(low, high, type_), type_, currency))
        if high is not None:
            examples.append(_shown(high, type_, currency))
    whole = (1 << len(examples)) - 1

    def box(cell: Cell) -> int:
        if cell.any:
            return whole
        taken = 0
        for span in cell.spans:
            taken |= _box(span, points, len(examples))
        return whole ^ taken if cell.negated else taken

    return Column(tuple(examples), tuple(box(cell) for cell in cells))


def _box(span: Span, points: Sequence[Ordered], count: int) -> int:
    first, behind = 0, count
    if span.low is not None:
        first = 2 * bisect_left(points, order_of(span.low)) + (1 if span.low_closed else 2)
    if span.high is not None:
        behind = 2 * bisect_right(points, order_of(span.high)) - (0 if span.high_closed else 1)
    return (1 << behind) - (1 << min(first, behind))


def _between(low: Ordered | None, high: Ordered | None, type_: ValueType) -> Ordered | None:
    """A value strictly between two bounds; None when there is none."""
    try:
        if type_.kind in (Kind.DECIMAL, Kind.MONEY):
            return _decimal_between(cast("Decimal | None", low), cast("Decimal | None", high))
        if type_.kind is Kind.INT:
            return _whole_between(cast("int | None", low), cast("int | None", high))
        return _moment_between(low, high, type_)
    except OverflowError:  # before the first or behind the last day there is
        return None


def _decimal_between(low: Decimal | None, high: Decimal | None) -> Decimal:
    if low is None:
        return Decimal(0) if high is None else _WIDE.subtract(high, Decimal(1))
    if high is None:
        return _WIDE.add(low, Decimal(1))
    return _WIDE.divide(_WIDE.add(low, high), Decimal(2))


def _whole_between(low: int | None, high: int | None) -> int | None:
    if low is None:
        return 0 if high is None else high - 1
    return low + 1 if high is None or low + 1 < high else None


def _moment_between(low: Ordered | None, high: Ordered | None, type_: ValueType) -> Ordered | None:
    step = _STEPS[type_.kind]
    if low is None and high is None:
        return {
            Kind.DATE: date(2026, 3, 2),
            Kind.TIMESTAMP: datetime.fromisoformat("2026-03-02T09:30:00+00:00"),
        }.get(type_.kind, timedelta(0))
    if low is None:
        return cast(date, high) - step
    after = cast(date, low) + step
    return after if high is None or after < cast(date, high) else None


def _shown(value: Ordered | None, type_: ValueType, currency: str) -> Value | None:
    if value is None or type_.kind is not Kind.MONEY:
        return value
    return Money(cast(Decimal, value), currency)
