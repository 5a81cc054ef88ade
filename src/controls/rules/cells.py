"""Cells of decision tables: DMN's unary tests in a small form that a spreadsheet keeps as it is.

    -                            any value (also DMN 1.x, clause 7.3.10: irrelevant)
    retail     5     true        this value; text with a comma, a quote or a sign goes in "..."
    buy, sell                    one of these (a comma and a blank: 1,000 is not taken for two numbers)
    < 1000000.00 EUR    >= 5     a bound
    [1000..5000)                 a range; [ and ] include the bound, ( and ) leave it out
    not(retail, professional)    none of these

Guarantees: a cell has one reading or is refused with what to write; equal cells are equal conditions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Final, TypeAlias

from controls.model.values import Money, Value
from controls.rules.common_shapes import DEFAULT_LIST, MAX_STRING
from controls.rules.diagnostics import closest, listed, quoted
from controls.rules.readers import MalformedValue, reader_of
from controls.rules.tree import constant_text
from controls.rules.types import Kind, ValueType

ANY: Final = "-"

# What has an order, as Python compares it: money by its amount, since a column has one currency.
Ordered: TypeAlias = "int | Decimal | date | timedelta"

_NEGATION: Final = re.compile(r"not\((.*)\)\Z", re.DOTALL)
_BOUND: Final = re.compile(r"(<=|>=|<|>)\s*(.*)\Z", re.DOTALL)
_SLIPS: Final = {"=>": ">=", "=<": "<=", "≥": ">=", "≤": "<=", "==": "", "=": ""}
_SLIP: Final = re.compile(f"({'|'.join(_SLIPS)})\\s*(.*)\\Z", re.DOTALL)
_RANGE: Final = re.compile(r"([\[(])(.*?)\.\.(.*)([\])])\Z", re.DOTALL)
_SIGNS: Final = "<>=![](){}-\"'"  # text that begins with one of them is meant as something else, or quoted
_BOOLEANS: Final = {"true": True, "TRUE": True, "false": False, "FALSE": False}  # spreadsheets shout


class CellError(Exception):
    """What is wrong with a cell: where (0-based offset into its text), a stable code, what to write."""

    def __init__(self, offset: int, code: str, message: str) -> None:
        super().__init__(message)
        self.offset, self.code, self.message = offset, code, message


@dataclass(frozen=True, slots=True)
class Span:
    """The values between two bounds; None: no bound on that side. A single value is both bounds, closed."""

    low: Value | None
    high: Value | None
    low_closed: bool = True
    high_closed: bool = True

    @property
    def single(self) -> bool:
        return self.low is not None and self.low == self.high

    def condition(self, operand: str) -> str:
        """The span in the language of conditions."""
        if self.low is not None and self.single:
            return f"{operand} == {_written(self.low)}"
        parts: list[str] = []
        if self.low is not None:
            parts.append(f"{operand} {'>=' if self.low_closed else '>'} {_written(self.low)}")
        if self.high is not None:
            parts.append(f"{operand} {'<=' if self.high_closed else '<'} {_written(self.high)}")
        return " && ".join(parts)


@dataclass(frozen=True, slots=True)
class Cell:
    """One test: no spans hold any value; `negated`: none of the spans."""

    spans: tuple[Span, ...] = ()
    negated: bool = False

    @property
    def any(self) -> bool:
        return not self.spans

    def constants(self) -> Iterator[Value]:
        for span in self.spans:
            for bound in (span.low, span.high):
                if bound is not None:
                    yield bound

    def condition(self, operand: str) -> str:
        """The test of `operand` in the language of conditions; empty for any value."""
        if self.any:
            return ""
        singles = [_written(span.low) for span in self.spans if span.low is not None and span.single]
        if len(singles) == len(self.spans) > 1:
            text = f"{operand} in [{', '.join(singles)}]"
        else:
            text = " || ".join(span.condition(operand) for span in self.spans)
        if self.negated:
            return f"!({text})"
        return f"({text})" if len(self.spans) > 1 else text


def _written(value: Value) -> str:
    """A constant in the language of conditions, where text beside money is money."""
    return f'"{value}"' if isinstance(value, Money) else constant_text(value)


def order_of(value: Value) -> Ordered:
    """What a value of an ordered type is compared by."""
    if isinstance(value, Money):
        return value.amount
    assert isinstance(value, int | Decimal | date | timedelta)
    return value


def parse_cell(text: str, *, type_: ValueType, values: Sequence[str] = ()) -> Cell:
    """The test that a cell says.

    Args:
        text: the cell as written.
        type_: the type of the input that it is about, a scalar.
        values: the only values that the input may have, when the vocabulary lists them.

    Raises:
        CellError: no such test, or a value that is not of the type.
    """
    stripped = text.strip()
    start = len(text) - len(text.lstrip())
    if stripped == ANY:
        return Cell()
    if not stripped:
        raise CellError(start, "empty_cell", "write - for any value: an empty cell may be a slip")
    negation = _NEGATION.match(stripped)
    if negation:
        stripped, start = negation[1], start + negation.start(1)
    reader = _Constants(type_, tuple(values))
    spans = tuple(reader.span(item, offset) for item, offset in _items(stripped, start))
    return Cell(spans, negated=negation is not None)


def _items(text: str, start: int) -> Iterator[tuple[str, int]]:
    """The parts between commas that stand outside quotes, each with its offset."""
    begin, within = 0, False
    for index, letter in enumerate(f"{text},"):
        if letter == '"':
            within = not within
        elif letter == "," and (not within or index == len(text)):
            item = text[begin:index]
            offset = start + begin + len(item) - len(item.lstrip())
            if not item.strip():
                raise CellError(offset, "bad_cell", "a value is missing here")
            if index + 1 < len(text) and not text[index + 1].isspace():
                raise CellError(
                    start + index,
                    "bad_cell",
                    "write lists with a comma and a blank (a, b), and numbers with a point and without "
                    "thousands marks (1000.50)",
                )
            yield item.strip(), offset
            begin = index + 1


@dataclass(frozen=True, slots=True)
class _Constants:
    """Reads the values of one column."""

    type: ValueType
    values: tuple[str, ...]

    def span(self, item: str, offset: int) -> Span:
        if self.type.kind in (Kind.STRING, Kind.BOOL):
            word = self._text(item, offset) if self.type.kind is Kind.STRING else self._bool(item, offset)
            return Span(word, word)
        bound = _BOUND.match(item)
        if bound:
            value = self._ordered(bound[2], offset + bound.start(2))
            closed = bound[1].endswith("=")
            if bound[1].startswith("<"):
                return Span(None, value, high_closed=closed)
            return Span(value, None, low_closed=closed)
        if item[0] in "[(":
            return self._range(item, offset)
        slip = _SLIP.match(item)
        if slip:
            written = f"{_SLIPS[slip[1]]} {slip[2]}".strip()
            raise CellError(offset, "bad_cell", f"write {quoted(written)} instead of {quoted(item)}")
        value = self._ordered(item, offset)
        return Span(value, value)

    def _range(self, item: str, offset: int) -> Span:
        found = _RANGE.match(item)
        if not found:
            raise CellError(offset, "bad_cell", "write a range as [1000..5000): both bounds, and two points")
        low = self._ordered(found[2], offset + found.start(2))
        high = self._ordered(found[3], offset + found.start(3))
        if isinstance(low, Money) and isinstance(high, Money) and low.currency != high.currency:
            raise CellError(offset, "mixed_currencies", "the bounds of a range have one currency")
        span = Span(low, high, low_closed=found[1] == "[", high_closed=found[4] == "]")
        one, other = order_of(low), order_of(high)
        if one > other or (one == other and not (span.low_closed and span.high_closed)):  # type: ignore[operator]
            raise CellError(offset, "empty_range", "nothing lies in this range: the lower bound goes first")
        return span

    def _ordered(self, text: str, offset: int) -> Value:
        text = text.strip()
        try:
            return reader_of(self.type, max_length=MAX_STRING, max_items=DEFAULT_LIST)(text)
        except MalformedValue as problem:
            message = problem.message.en.replace("send ", "write ", 1).replace("as a string ", "", 1)
            raise CellError(offset, "bad_value", f"{quoted(text)}: {message}") from None

    def _bool(self, text: str, offset: int) -> bool:
        if text not in _BOOLEANS:
            raise CellError(offset, "bad_value", f"{quoted(text)}: write true or false")
        return _BOOLEANS[text]

    def _text(self, text: str, offset: int) -> str:
        if text[0] == '"':
            if len(text) < 3 or text[-1] != '"' or '"' in text[1:-1]:
                raise CellError(offset, "bad_cell", 'close the quotes, and write no " inside them')
            text = text[1:-1]
        elif text[0] in _SIGNS or '"' in text:
            raise CellError(
                offset,
                "bad_cell",
                f"texts are listed (a, b) or excluded (not(a, b)); where {quoted(text)} is meant, "
                'quote it: "..."',
            )
        if self.values and text not in self.values:
            raise CellError(
                offset,
                "unknown_value",
                f"{quoted(text)} is not one of {listed(self.values)}{closest(text, self.values)}",
            )
        if len(text) > MAX_STRING:
            raise CellError(offset, "too_long", f"at most {MAX_STRING} characters")
        return text
