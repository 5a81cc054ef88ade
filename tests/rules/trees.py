"""Expressions of the rule language as test data: trees, and the text that says the same."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from controls.model.values import Money, Value, decimal_text

COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")


@dataclass(frozen=True)
class Days:
    """A business calendar as plain data; Monday is 0."""

    first_year: int
    last_year: int
    weekend: frozenset[int]
    holidays: frozenset[date]


CALENDARS = {
    "desk": Days(2024, 2027, frozenset((5, 6)), frozenset((date(2024, 3, 1), date(2026, 3, 3)))),
    "souk": Days(2026, 2026, frozenset((4,)), frozenset((date(2026, 1, 1), date(2026, 12, 31)))),
}
# The days on which one of the first currency was so much of the second, first and last included.
RATES = {
    "house": (
        ("EUR", "USD", date(2024, 2, 29), date(2026, 3, 1), Decimal("1.1")),
        ("EUR", "USD", date(2026, 3, 2), date(2026, 3, 2), Decimal("1.085")),
        ("USD", "EUR", date(2026, 3, 3), date(2026, 3, 6), Decimal("0.9217")),
        ("GBP", "USD", date(2026, 3, 2), date(2026, 3, 2), Decimal("0.0000000001")),
    ),
    "thirds": (("USD", "EUR", date(2026, 3, 1), date(2026, 3, 6), Decimal(3)),),
}
ZONES = ("Europe/Madrid", "America/New_York", "Asia/Tokyo", "UTC")


@dataclass(frozen=True)
class Tree:
    """An expression. `operator` says what it is; `parts` holds trees, names and values."""

    operator: str
    parts: tuple[Any, ...]

    def __str__(self) -> str:
        return render(self)


# From loosest to tightest, as in the grammar.
_PRECEDENCE = {"?:": 0, "||": 1, "&&": 2, **dict.fromkeys((*COMPARISONS, "in"), 3), "+": 4, "-": 4}
_PRECEDENCE |= {"*": 5, "/": 5, "%": 5, "not": 6, "negative": 6}
_TIGHTEST = 7


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def render(tree: Tree, *, brackets: bool = False, blank: str = " ") -> str:
    """The text of `tree`; with as few brackets as the grammar allows, or with many."""

    def inside(part: Tree, floor: int) -> str:
        loose = _PRECEDENCE.get(part.operator, _TIGHTEST) < floor
        return f"({text(part)})" if loose or (brackets and part.operator in _PRECEDENCE) else text(part)

    def text(part: Tree) -> str:
        operator, parts = part.operator, part.parts
        level = _PRECEDENCE.get(operator, _TIGHTEST)
        match operator:
            case "literal":
                return _literal(parts[0])
            case "fact" | "parameter" | "variable":
                return str(parts[0])
            case "now":
                return "now"
            case "steps":
                return "chain.steps"
            case "chain":
                return f'chain.{parts[0]}("{parts[1]}")'
            case "data":
                return f"list.{parts[0]}"
            case "cell":
                table, column, *keys = parts
                return f"table.{table}[{', '.join(inside(key, 0) for key in keys)}].{column}"
            case "field":
                return f"{inside(parts[0], _TIGHTEST)}.{parts[1]}"
            case "not":
                return f"!{inside(parts[0], level)}"
            case "negative":
                return f"-{inside(parts[0], level)}"
            case "&&" | "||":
                return f"{blank}{operator}{blank}".join(inside(item, level + 1) for item in parts)
            case "?:":
                test, yes, no = inside(parts[0], 1), inside(parts[1], 0), inside(parts[2], 0)
                return f"{test}{blank}?{blank}{yes}{blank}:{blank}{no}"
            case "list":
                return f"[{', '.join(inside(item, 0) for item in parts)}]"
            case "call":
                return f"{parts[0]}({', '.join(inside(item, 0) for item in parts[1:])})"
            case "sum":
                return f"sum({inside(parts[1], 0)})"
            case "method":
                arguments = ", ".join(inside(item, 0) for item in parts[2:])
                return f"{inside(parts[1], _TIGHTEST)}.{parts[0]}({arguments})"
            case "macro":
                name, source, variable, body = parts
                return f"{inside(source, _TIGHTEST)}.{name}({variable}, {inside(body, 0)})"
            case "in":
                return f"{inside(parts[0], 4)} in {inside(parts[1], 4)}"
            case _:
                # Comparisons do not chain; arithmetic leans to the left.
                left = 4 if level == 3 else level
                return f"{inside(parts[0], left)}{blank}{operator}{blank}{inside(parts[1], level + 1)}"

    return text(tree)


def _literal(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        plain = decimal_text(value)
        return plain if "." in plain else f"{plain}.0"
    if isinstance(value, Money):
        return quoted(str(value))
    if isinstance(value, datetime):
        return f'timestamp("{value.isoformat().replace("+00:00", "Z")}")'
    if isinstance(value, date):
        return f'date("{value.isoformat()}")'
    if isinstance(value, timedelta):
        days, rest = divmod(value, timedelta(days=1))
        return f'duration("P{days}DT{rest // timedelta(seconds=1)}S")'
    assert isinstance(value, str)
    return quoted(value)
