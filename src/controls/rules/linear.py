"""Linear arithmetic over several facts, by z3 (the extra `solver`; without it nothing is decided).

Guarantees: `solve` says "impossible" only when no request exists: a leaf that it does not understand may have
any truth. What it proposes as a solution must still be evaluated by the caller. The effort is bounded by
z3's count of its own steps and not by time, so that the answer is always the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import cache
from importlib import import_module
from typing import Any, Final

from controls.model.chain import ActState
from controls.model.values import MISSING, Money, Value
from controls.rules.domains import COMMON_CURRENCIES, Sample, bounds_of, is_ordered, number_of, value_at
from controls.rules.leaves import Classified, Variable
from controls.rules.tree import (
    ChainRead,
    Choice,
    Comparison,
    Constant,
    Conversion,
    FactRead,
    Membership,
    Now,
    Operation,
    Presence,
    Typed,
    key_of,
)
from controls.rules.truths import (
    Among,
    Chosen,
    Combined,
    Goal,
    Joined,
    LeafAt,
    Leaves,
    Opposite,
    Same,
    Skeleton,
)
from controls.rules.types import BOOL, Kind

MAX_EFFORT: Final = 400_000  # z3's `rlimit`: some tenths of a second

_DAY: Final = 24 * 3600 * 1_000_000  # microseconds, the unit of all times
_WHOLE: Final = (Kind.INT, Kind.DATE, Kind.TIMESTAMP, Kind.DURATION)


@dataclass(frozen=True, slots=True)
class Solution:
    """Values that might do; None: nothing does."""

    assignment: Mapping[Variable, Sample] | None


def available() -> bool:
    """Whether z3 is installed."""
    return _z3() is not None


def solve(
    goal: Goal, conditions: Sequence[Skeleton], leaves: Sequence[Classified], *, exact: bool
) -> Solution | None:
    """A solution of the goal, or None when none is found and nothing is proved.

    Args:
        goal: the truths that conditions shall have.
        conditions: what the goal's indexes mean, over `leaves`.
        leaves: what the skeletons' indexes mean.
        exact: only requests on which every sum and product can be computed within 34 digits.
    """
    z3 = _z3()
    if z3 is None or not any(_is_linear(leaf) for leaf in leaves):
        return None
    try:
        return _Problem(z3, leaves, exact).solution(goal, conditions)
    except z3.Z3Exception:  # it gave up: nothing is known
        return None


@cache
def _z3() -> Any:
    try:
        return import_module("z3")
    except ImportError:
        return None


def _is_linear(leaf: Classified) -> bool:
    node = leaf.node
    return not leaf.exact and isinstance(node, Comparison) and is_ordered(node.left.type.kind)


class _NotLinear(Exception):
    """A leaf that has no place in linear arithmetic: it may have any truth."""


@dataclass(frozen=True, slots=True)
class _Term:
    """A number and what must hold for it to be known. `unit`: the currency of money."""

    number: Any
    needs: tuple[Any, ...] = ()
    unit: Any = None


@dataclass(slots=True)
class _Symbols:
    """What a fact is in z3: whether it is there, its number, text or truth, and the currency of money."""

    variable: Variable
    present: Any
    value: Any
    currency: Any = None


@dataclass(slots=True)
class _Problem:
    z3: Any
    leaves: Sequence[Classified]
    exact: bool
    solver: Any = field(init=False)
    symbols: dict[Variable, _Symbols] = field(default_factory=dict)
    texts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.solver = self.z3.Solver()
        self.solver.set("rlimit", MAX_EFFORT)
        self.solver.set("ctrl_c", False)

    def solution(self, goal: Goal, conditions: Sequence[Skeleton]) -> Solution | None:
        leaves = [self._leaf(leaf.node, _by_fact(leaf)) for leaf in self.leaves]
        truths = [self._truths(condition, leaves) for condition in conditions]
        self.solver.add(self._reached(goal, truths))
        answer = self.solver.check()
        if answer == self.z3.unsat:
            return Solution(None)
        return self._assignment(self.solver.model()) if answer == self.z3.sat else None

    def _reached(self, goal: Goal, truths: Sequence[tuple[Any, Any]]) -> Any:
        z3 = self.z3
        match goal:
            case Among(index=index, mask=mask):
                true, false = truths[index]
                unknown = z3.And(z3.Not(true), z3.Not(false))
                return z3.Or([option for bit, option in ((1, false), (2, unknown), (4, true)) if mask & bit])
            case Combined(every=every, parts=parts):
                found = [self._reached(part, truths) for part in parts]
                return z3.And(found) if every else z3.Or(found)

    # Connectives: each condition as (it is true, it is false)

    def _truths(self, skeleton: Skeleton, leaves: Sequence[tuple[Any, Any]]) -> tuple[Any, Any]:
        z3 = self.z3
        match skeleton:
            case LeafAt(index=index):
                return leaves[index]
            case Joined(every=every, parts=parts):
                found = [self._truths(part, leaves) for part in parts]
                true, false = [one for one, _ in found], [other for _, other in found]
                return (z3.And(true), z3.Or(false)) if every else (z3.Or(true), z3.And(false))
            case Opposite(part=part):
                true, false = self._truths(part, leaves)
                return false, true
            case Chosen(test=test, yes=yes, no=no):
                (a, not_a), (b, not_b), (c, not_c) = (self._truths(part, leaves) for part in (test, yes, no))
                return (
                    z3.Or(z3.And(a, b), z3.And(not_a, c), z3.And(b, c)),
                    z3.Or(z3.And(a, not_b), z3.And(not_a, not_c), z3.And(not_b, not_c)),
                )
            case Same(left=left, right=right, opposite=opposite):
                (a, not_a), (b, not_b) = self._truths(left, leaves), self._truths(right, leaves)
                same = z3.Or(z3.And(a, b), z3.And(not_a, not_b))
                differs = z3.Or(z3.And(a, not_b), z3.And(not_a, b))
                return (differs, same) if opposite else (same, differs)

    # Leaves

    def _leaf(self, node: Typed, of: Mapping[str, Variable]) -> tuple[Any, Any]:
        """When the leaf is true and when it is false. Leaves of one key are one."""
        z3, key = self.z3, key_of(node)
        try:
            test, needs = self._meaning(node, of)
        except _NotLinear:
            true, false = z3.Bool(f"true {key}"), z3.Bool(f"false {key}")
            self.solver.add(z3.Not(z3.And(true, false)))
            return true, false
        return z3.And([*needs, test]), z3.And([*needs, z3.Not(test)])

    def _condition(self, node: Typed, of: Mapping[str, Variable]) -> tuple[Any, Any]:
        """The same for a condition inside a leaf."""
        leaves = Leaves()
        skeleton = leaves.skeleton(node)
        return self._truths(skeleton, [self._leaf(leaf, of) for leaf in leaves.nodes])

    def _meaning(self, node: Typed, of: Mapping[str, Variable]) -> tuple[Any, tuple[Any, ...]]:
        """The test of a leaf, and what must hold for it to be known."""
        match node:
            case Constant(value=value):
                return self.z3.BoolVal(bool(value)), ()
            case Presence(part=FactRead(name=name)):
                return self._symbols_of(of[name]).present, ()
            case FactRead(name=name) if node.type == BOOL:
                symbols = self._symbols_of(of[name])
                return symbols.value, (symbols.present,)
            case ChainRead(function="performed" | "claimed" as function, step=step):
                state = self._symbols_of(Variable(step=step)).value
                return (state == 2 if function == "performed" else state >= 1), ()
            case Comparison(operator=operator, left=left, right=right) if left.type.kind is Kind.STRING:
                if operator not in ("==", "!="):
                    raise _NotLinear
                (one, needs), (other, too) = self._text(left, of), self._text(right, of)
                return (one == other if operator == "==" else one != other), (*needs, *too)
            case Comparison(operator=operator, left=left, right=right) if is_ordered(left.type.kind):
                return self._compared(operator, self._term(left, of), self._term(right, of))
            case Membership(item=item, source=Constant(value=tuple() as members)) if members:
                return self._member(item, members, node.source, of)
            case _:
                raise _NotLinear

    def _compared(self, operator: str, one: _Term, other: _Term) -> tuple[Any, tuple[Any, ...]]:
        tests = {
            "==": lambda: one.number == other.number,
            "!=": lambda: one.number != other.number,
            "<": lambda: one.number < other.number,
            "<=": lambda: one.number <= other.number,
            ">": lambda: one.number > other.number,
            ">=": lambda: one.number >= other.number,
        }
        needs = (*one.needs, *other.needs)
        if one.unit is not None:
            needs = (*needs, one.unit == other.unit)
        return tests[operator](), needs

    def _member(
        self, item: Typed, members: tuple[Value, ...], source: Typed, of: Mapping[str, Variable]
    ) -> tuple[Any, tuple[Any, ...]]:
        if item.type.kind is Kind.STRING:
            text, needs = self._text(item, of)
            return self.z3.Or([text == self._text_number(str(member)) for member in members]), needs
        if item.type.kind is Kind.MONEY or not is_ordered(item.type.kind):
            raise _NotLinear
        element = source.type.element
        assert element is not None
        term = self._term(item, of)
        test = self.z3.Or([term.number == self._number(member, element.kind) for member in members])
        return test, term.needs

    # Values

    def _symbols_of(self, variable: Variable) -> _Symbols:
        if variable not in self.symbols:
            self.symbols[variable] = self._declared(variable)
        return self.symbols[variable]

    def _declared(self, variable: Variable) -> _Symbols:
        z3, kind, name = self.z3, variable.domain.type.kind, f"{variable.fact} {variable.step}"
        if variable.step:
            state = z3.Int(f"state {name}")
            self.solver.add(state >= 0, state <= 2)
            return _Symbols(variable, z3.BoolVal(True), state)
        present = z3.Bool(f"present {name}") if variable.domain.optional else z3.BoolVal(True)
        if kind is Kind.BOOL:
            return _Symbols(variable, present, z3.Bool(f"value {name}"))
        if kind is Kind.STRING:
            text = z3.Int(f"text {name}")
            self.solver.add(text >= 0)
            if variable.domain.values:
                known = [text == self._text_number(value) for value in variable.domain.values]
                self.solver.add(z3.Or(known))
            return _Symbols(variable, present, text)
        if not is_ordered(kind):
            return _Symbols(variable, present, None)
        number = z3.Int(f"number {name}") if kind in _WHOLE else z3.Real(f"number {name}")
        least, greatest = bounds_of(Kind.DECIMAL if kind is Kind.MONEY else kind)
        self.solver.add(number >= self._exact(least), number <= self._exact(greatest))
        currency = None
        if kind is Kind.MONEY:
            currency = z3.Int(f"currency {name}")
            self.solver.add(currency >= 0)
        return _Symbols(variable, present, number, currency)

    def _text(self, node: Typed, of: Mapping[str, Variable]) -> tuple[Any, tuple[Any, ...]]:
        match node:
            case Constant(value=value):
                return self.z3.IntVal(self._text_number(str(value))), ()
            case FactRead(name=name):
                symbols = self._symbols_of(of[name])
                return symbols.value, (symbols.present,)
            case Operation(name="currency", arguments=(FactRead(name=name),)):
                symbols = self._symbols_of(of[name])
                return symbols.currency, (symbols.present,)
            case _:
                text = self.z3.Int(f"text of {key_of(node)}")
                self.solver.add(text >= 0)
                return text, (self._known(node),)

    def _text_number(self, text: str) -> int:
        return self.texts.setdefault(text, len(self.texts))

    def _term(self, node: Typed, of: Mapping[str, Variable]) -> _Term:
        match node:
            case Constant(value=value) if is_ordered(node.type.kind):
                unit = self._text_number(value.currency) if isinstance(value, Money) else None
                return _Term(self._number(value, node.type.kind), unit=unit)
            case FactRead(name=name):
                return self._read(of[name], node.type.kind)
            case Now():
                return self._read(of[""], Kind.TIMESTAMP)
            case Conversion(currency=currency):  # of the amount, only the currency is known
                unit, _ = self._text(currency, of)
                return _Term(self._opaque(node, ()).number, (self._known(node),), unit)
            case Choice(test=test, yes=yes, no=no):
                return self._chosen(self._condition(test, of), self._term(yes, of), self._term(no, of))
            case Operation(arguments=arguments) if all(is_ordered(part.type.kind) for part in arguments):
                return self._operation(node, [self._term(part, of) for part in arguments])
            case _:
                return self._opaque(node, (self._known(node),))

    def _known(self, node: Typed) -> Any:
        """Whether something is known that nothing else is said about; the same for the same text."""
        return self.z3.Bool(f"known {key_of(node)}")

    def _opaque(self, node: Typed, needs: tuple[Any, ...]) -> _Term:
        """A number that nothing is said about."""
        key, kind = key_of(node), node.type.kind
        unit = None
        if kind is Kind.MONEY:
            unit = self.z3.Int(f"unit of {key}")
            self.solver.add(unit >= 0)
        number = self.z3.Int(f"number of {key}") if kind in _WHOLE else self.z3.Real(f"number of {key}")
        return _Term(number, needs, unit)

    def _chosen(self, test: tuple[Any, Any], yes: _Term, no: _Term) -> _Term:
        z3, (true, false) = self.z3, test
        same = [yes.number == no.number, *([] if yes.unit is None else [yes.unit == no.unit])]
        known = z3.Or(
            z3.And([true, *yes.needs]),
            z3.And([false, *no.needs]),
            z3.And([*yes.needs, *no.needs, *same]),
        )
        unit = None if yes.unit is None else z3.If(false, no.unit, yes.unit)
        return _Term(z3.If(false, no.number, yes.number), (known,), unit)

    def _read(self, variable: Variable, kind: Kind) -> _Term:
        symbols = self._symbols_of(variable)
        number = symbols.value * _DAY if kind is Kind.DATE else symbols.value
        return _Term(number, (symbols.present,), symbols.currency)

    def _operation(self, node: Operation, terms: Sequence[_Term]) -> _Term:
        z3, name = self.z3, node.name
        one, other = terms[0], terms[-1]
        needs = tuple(need for term in terms for need in term.needs)
        if name == "amount":
            return _Term(one.number, needs)
        if name == "-" and len(terms) == 1:
            return _Term(-one.number, needs, one.unit)
        if name == "abs":
            return _Term(z3.If(one.number < 0, -one.number, one.number), needs, one.unit)
        if name in ("+", "-", "min", "max"):
            needs += tuple(term.unit == one.unit for term in terms[1:] if term.unit is not None)
        if name in ("min", "max"):
            number = one.number
            for term in terms[1:]:
                first = term.number < number if name == "min" else term.number > number
                number = z3.If(first, term.number, number)
            return _Term(number, needs, one.unit)
        # It may have too many digits; nobody can say when, but the same operation has them together.
        fits = z3.Bool(f"fits {key_of(node)}")
        if self.exact:
            self.solver.add(fits)
        needs = (*needs, fits)
        if name in ("+", "-") and not node.rounding:
            number = one.number + other.number if name == "+" else one.number - other.number
            return _Term(number, needs, one.unit)
        if name == "*" and not node.rounding and any(isinstance(part, Constant) for part in node.arguments):
            return _Term(one.number * other.number, needs, one.unit if one.unit is not None else other.unit)
        return self._opaque(node, needs)

    def _number(self, value: Value, kind: Kind) -> Any:
        if isinstance(value, Money):
            return self._exact(Fraction(value.amount))
        if kind in (Kind.INT, Kind.DECIMAL):
            assert isinstance(value, int | Decimal)
            return self._exact(Fraction(value))
        number = number_of(value, kind)
        return self._exact(number * _DAY if kind is Kind.DATE else number)

    def _exact(self, number: Fraction) -> Any:
        if number.denominator == 1:
            return self.z3.IntVal(number.numerator)
        return self.z3.RealVal(f"{number.numerator}/{number.denominator}")

    # Solutions

    def _assignment(self, model: Any) -> Solution | None:
        found: dict[Variable, Sample] = {}
        for variable, symbols in self.symbols.items():
            sample = self._sample(model, symbols)
            if sample is None:
                return None
            found[variable] = sample
        return Solution(found)

    def _sample(self, model: Any, symbols: _Symbols) -> Sample | None:
        """The value that the model gives; None when no value of the language is that number."""
        variable, kind = symbols.variable, symbols.variable.domain.type.kind
        value: Any = None if symbols.value is None else model.eval(symbols.value, model_completion=True)
        if variable.step:
            return (MISSING, ActState.CLAIMED.value, ActState.PERFORMED.value)[value.as_long()]
        if not self.z3.is_true(model.eval(symbols.present, model_completion=True)):
            return MISSING
        match kind:
            case Kind.BOOL:
                return bool(self.z3.is_true(value))
            case Kind.STRING:
                return self._text_of(value.as_long(), "other")
            case Kind.LIST:
                return ()
            case Kind.RECORD:
                return {}
            case Kind.MONEY:
                amount = value_at(_fraction(value), Kind.DECIMAL)
                code = model.eval(symbols.currency, model_completion=True).as_long()
                fresh = next((known for known in COMMON_CURRENCIES if known not in self.texts), "XTS")
                return Money(amount, self._text_of(code, fresh)) if isinstance(amount, Decimal) else None
            case _:
                return value_at(_fraction(value), kind)

    def _text_of(self, number: int, fresh: str) -> str:
        return next((text for text, known in self.texts.items() if known == number), fresh)


def _by_fact(leaf: Classified) -> Mapping[str, Variable]:
    return {variable.fact: variable for variable in leaf.variables if not variable.step}


def _fraction(value: Any) -> Fraction:
    if value.is_int():
        return Fraction(value.as_long())
    return Fraction(value.numerator_as_long(), value.denominator_as_long())
