"""The function library of conditions: what each function takes and gives.

Guarantees: every function is pure and total up to an `ArithmeticError`; its time is linear in its input,
regular expressions included (RE2 knows no backtracking).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final, TypeAlias

import re2

from controls.model.values import Money
from controls.rules.arithmetic import Implementation, absolute, largest, rounded, total
from controls.rules.types import (
    BOOL,
    DECIMAL,
    DURATION,
    INT,
    MONEY,
    STRING,
    Kind,
    ValueType,
    comparable,
    is_number,
    is_scalar,
    unified,
)

MAX_PATTERN: Final = 500  # characters
MAX_PROGRAM: Final = 2_000  # instructions
_PATTERN_MEMORY: Final = 1 << 20
KEPT_TEXTS: Final = 1_024  # for how many texts the answer of a pattern is kept
_QUANTITIES: Final = (INT, DECIMAL, MONEY, DURATION)

Signature: TypeAlias = tuple[ValueType, Implementation]
Resolver: TypeAlias = Callable[[Sequence[ValueType]], Signature | None]


@dataclass(frozen=True, slots=True)
class Function:
    """A function by the types of its arguments.

    Attributes:
        usage: how a diagnostic shows it.
        resolve: the type and the implementation for arguments of these types; None when it takes no such.
        resolve_rounding: the same where rounded numbers go in; None when that makes no difference.
        exact: the result is exact, whatever goes in.
        elements: it needs the elements of its lists, not only their number.
    """

    usage: str
    resolve: Resolver
    resolve_rounding: Resolver | None = None
    exact: bool = False
    elements: bool = True


def _size(types: Sequence[ValueType]) -> Signature | None:
    if len(types) == 1 and types[0].kind in (Kind.LIST, Kind.STRING):
        return INT, len
    return None


def _abs(types: Sequence[ValueType]) -> Signature | None:
    if len(types) == 1 and types[0] in _QUANTITIES:
        return types[0], absolute
    return None


def _round(types: Sequence[ValueType]) -> Signature | None:
    if len(types) == 2 and (is_number(types[0]) or types[0] == MONEY) and types[1] == INT:
        return types[0], rounded
    return None


def _sum(types: Sequence[ValueType], *, rounding: bool) -> Signature | None:
    element = types[0].element if len(types) == 1 else None
    if element is None or element not in _QUANTITIES:
        return None
    return element, partial(total, kind=element.kind, rounding=rounding)


def _extreme(types: Sequence[ValueType], *, smallest: bool) -> Signature | None:
    if len(types) == 1:
        element = types[0].element
        if element is None or not comparable(element, element, ordered=True):
            return None
        return element, partial(largest, smallest=smallest)
    common: ValueType | None = types[0] if types else None
    for type_ in types[1:]:
        common = unified(common, type_) if common is not None else None
    if common is None or not comparable(common, common, ordered=True):
        return None
    return common, lambda *values: largest(values, smallest=smallest)


def _distinct(types: Sequence[ValueType]) -> Signature | None:
    element = types[0].element if len(types) == 1 else None
    if element is None or not is_scalar(element):
        return None
    return types[0], lambda values: tuple(dict.fromkeys(values))


def _of_money(result: ValueType, implementation: Callable[[Money], object]) -> Resolver:
    def resolve(types: Sequence[ValueType]) -> Signature | None:
        return (result, implementation) if list(types) == [MONEY] else None

    return resolve


def _of_texts(implementation: Callable[[str, str], bool]) -> Resolver:
    def resolve(types: Sequence[ValueType]) -> Signature | None:
        return (BOOL, implementation) if list(types) == [STRING, STRING] else None

    return resolve


FUNCTIONS: Final[Mapping[str, Function]] = {
    "size": Function("size(list) or size(text)", _size, exact=True, elements=False),
    "abs": Function("abs(quantity)", _abs),
    "round": Function("round(number or money, digits)", _round, exact=True),
    "sum": Function(
        "sum(list of quantities)",
        partial(_sum, rounding=False),
        resolve_rounding=partial(_sum, rounding=True),
    ),
    "min": Function("min(list) or min(a, b)", partial(_extreme, smallest=True)),
    "max": Function("max(list) or max(a, b)", partial(_extreme, smallest=False)),
    "distinct": Function("distinct(list)", _distinct),
    "currency": Function("currency(money)", _of_money(STRING, lambda money: money.currency), exact=True),
    "amount": Function("amount(money)", _of_money(DECIMAL, lambda money: money.amount)),
}
METHODS: Final[Mapping[str, Function]] = {
    "startsWith": Function('text.startsWith("...")', _of_texts(str.startswith)),
    "endsWith": Function('text.endsWith("...")', _of_texts(str.endswith)),
    "contains": Function('text.contains("...")', _of_texts(lambda text, part: part in text)),
}


def pattern_test(pattern: str) -> Callable[[str, str], bool]:
    """A test whether RE2's `pattern` is found in a text; the second argument is the pattern again.

    Raises:
        ValueError: not a pattern of RE2, or one that is too large; the message says which.
    """
    if len(pattern) > MAX_PATTERN:
        raise ValueError(f"a pattern has at most {MAX_PATTERN} characters")
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = _PATTERN_MEMORY
    # As bytes: for text the library would translate offsets back, which a test has no use for.
    try:
        compiled = re2.compile(pattern.encode(), options)
    except re2.error as problem:
        reason = problem.args[0] if problem.args else b""
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"not a pattern of RE2: {text}") from None
    if compiled.programsize > MAX_PROGRAM:
        raise ValueError("the pattern is too large once its repetitions are written out")
    search = compiled.search

    # Identifiers come again and again, and a search costs as much as ten comparisons.
    @lru_cache(KEPT_TEXTS)
    def found(text: str, _pattern: str) -> bool:
        return search(text.encode()) is not None

    return found
