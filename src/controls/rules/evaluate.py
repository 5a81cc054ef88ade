"""Typed tree -> a closure that computes it, three-valued.

Guarantees: a closure is pure and total. It returns a value of its node's type, or an `Unknown` that says
which facts were missing and what could not be computed; which of the two depends on the facts only, never on
the order of evaluation. Connectives, `in` and the macros follow Kleene's tables: what cannot change the
answer is not needed. A fact of another type than the vocabulary says is an error, never a wrong answer.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias, cast

from controls.model.condition import Facts
from controls.model.values import Money, Value
from controls.rules.arithmetic import describe
from controls.rules.reading import Run, Unknown, Variables, exchange, look_up, presence
from controls.rules.tree import (
    CellRead,
    ChainRead,
    Choice,
    Comparison,
    Constant,
    Conversion,
    FactRead,
    FieldRead,
    ListOf,
    ListRead,
    Logic,
    Macro,
    Membership,
    Negation,
    Now,
    Operation,
    Presence,
    Typed,
    VariableRead,
    children,
)
from controls.rules.types import Kind, ValueType, class_of

MAX_VISITS: Final = 100_000  # elements that nested macros may look at, lest a long list holds up everybody


_NOT_YET: Final = Unknown(("now",))  # the moment of a later request


def compiled(node: Typed) -> Run:
    """The closure that computes `node`."""
    match node:
        case Constant(value=value):
            return lambda facts, variables: value
        case FactRead():
            return _fact(node)
        case FieldRead():
            return _field(node)
        case VariableRead(level=level):
            index = 2 * level + 1
            return lambda facts, variables: variables[index]
        case ListRead(data=data):
            items = data.items
            return lambda facts, variables: items
        case CellRead():
            return look_up(node, _together(node.keys))
        case Conversion(money=money):
            return exchange(node, compiled(money), _together(children(node)))
        case ChainRead():
            return _chain(node)
        case Now():
            return lambda facts, variables: _NOT_YET if facts.later else facts.now
        case Presence(part=part):
            return _presence(part)
        case Comparison():
            return _comparison(node)
        case Membership():
            return _membership(node)
        case Operation():
            return _operation(node)
        case Logic(every=every, parts=parts):
            return connected([compiled(part) for part in parts], every=every)
        case Negation(part=part):
            return negated(compiled(part))
        case Choice():
            return _choice(node)
        case ListOf(items=items):
            runs = tuple(compiled(item) for item in items)
            return lambda facts, variables: tuple(run(facts, variables) for run in runs)
        case Macro():
            return _macro(node)
        case _:
            raise TypeError(f"{node.__class__.__name__} cannot be compiled")


def connected(runs: list[Run], *, every: bool) -> Run:
    """Kleene's `and` (every) or `or` over `runs`."""
    decisive = not every
    if len(runs) == 2:
        first, second = runs

        def connect_two(facts: Facts, variables: Variables) -> object:
            left = first(facts, variables)
            if left is decisive:
                return decisive
            right = second(facts, variables)
            if right is decisive or left is every:
                return right
            return left if right is every else cast(Unknown, left).joined(cast(Unknown, right))

        return connect_two

    parts = tuple(runs)

    def connect(facts: Facts, variables: Variables) -> object:
        unknown: Unknown | None = None
        for run in parts:
            found = run(facts, variables)
            if found is decisive:
                return decisive
            if found is not every:
                assert isinstance(found, Unknown)
                unknown = found if unknown is None else unknown.joined(found)
        return every if unknown is None else unknown

    return connect


def negated(run: Run) -> Run:
    def negate(facts: Facts, variables: Variables) -> object:
        found = run(facts, variables)
        return found if isinstance(found, Unknown) else not found

    return negate


def _joined(*found: object) -> Unknown | None:
    """What the unknown ones among `found` say together; None when all are known."""
    unknown: Unknown | None = None
    for value in found:
        if isinstance(value, Unknown):
            unknown = value if unknown is None else unknown.joined(value)
    return unknown


def _expected(type_: ValueType) -> type:
    # Records come as any mapping; the vocabulary reader makes dicts.
    return class_of(type_) or dict


def _mistyped(value: object, type_: ValueType, name: str) -> object:
    if type_.kind is Kind.RECORD and isinstance(value, Mapping):
        return value
    return Unknown((), f"{name} is {value.__class__.__name__} and not {type_}")


def _fact(node: FactRead) -> Run:
    name, type_ = node.name, node.type
    absent, expected = Unknown((name,)), _expected(type_)

    def read(facts: Facts, _variables: Variables) -> object:
        value = facts.values.get(name, absent)
        if value.__class__ is expected:
            return value
        return _absent(facts, absent, name) if value is absent else _mistyped(value, type_, name)

    return read


def _absent(facts: Facts, absent: Unknown, name: str) -> Unknown:
    """What an absent fact is: missing by itself, or what its gap says."""
    gap = None if facts.gaps is None else facts.gaps.get(name)
    return absent if gap is None else Unknown(gap.missing, gap.error)


def _field(node: FieldRead) -> Run:
    base, field, type_, name = compiled(node.base), node.field, node.type, node.name
    absent, expected = Unknown((name,)), _expected(node.type)

    def read(facts: Facts, variables: Variables) -> object:
        record = base(facts, variables)
        if isinstance(record, Unknown):
            return record
        value = cast("Mapping[str, object]", record).get(field, absent)
        if value.__class__ is expected or value is absent:
            return value
        return _mistyped(value, type_, name)

    return read


def _together(nodes: tuple[Typed, ...]) -> Run:
    """All the values as one tuple, or what keeps one of them from being known."""
    runs = tuple(compiled(node) for node in nodes)

    def read(facts: Facts, variables: Variables) -> object:
        values = tuple([run(facts, variables) for run in runs])
        return _joined(*values) or values

    return read


def _presence(part: Typed) -> Run:
    if isinstance(part, FactRead):
        fact = part.name

        def stated(facts: Facts, _variables: Variables) -> object:
            if fact in facts.values:
                return True
            if facts.later:
                return Unknown((fact,))
            # What could not be computed is not absent: else `has` would hide the error.
            gap = None if facts.gaps is None else facts.gaps.get(fact)
            return Unknown((), gap.error) if gap is not None and gap.error else False

        return stated
    if isinstance(part, CellRead):
        return presence(part, _together(part.keys))
    assert isinstance(part, FieldRead)
    base, field = compiled(part.base), part.field

    def present(facts: Facts, variables: Variables) -> object:
        record = base(facts, variables)
        return isinstance(record, Mapping) and field in record

    return present


def _chain(node: ChainRead) -> Run:
    step, absent = node.step, Unknown((node.name,))

    def person(facts: Facts, _variables: Variables) -> object:
        act = facts.chain.last(step)
        return absent if act is None else act.person

    def at(facts: Facts, _variables: Variables) -> object:
        act = facts.chain.last(step)
        return absent if act is None else act.at

    def steps(facts: Facts, _variables: Variables) -> object:
        if facts.later:
            return absent
        return tuple(dict.fromkeys(act.step for act in facts.chain.acts if act.stands()))

    def performed(facts: Facts, _variables: Variables) -> object:
        return facts.chain.performed(step) or (absent if facts.later else False)

    def claimed(facts: Facts, _variables: Variables) -> object:
        return bool(facts.chain.standing(step)) or (absent if facts.later else False)

    runs: Mapping[str, Run] = {
        "performed": performed,
        "claimed": claimed,
        "person": person,
        "at": at,
        "steps": steps,
    }
    return runs[node.function]


_Test: TypeAlias = Callable[[object, object], bool]
_TESTS: Final[Mapping[str, _Test]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": cast(_Test, operator.lt),
    "<=": cast(_Test, operator.le),
    ">": cast(_Test, operator.gt),
    ">=": cast(_Test, operator.ge),
}


def _comparison(node: Comparison) -> Run:
    test = _TESTS[node.operator]
    if node.left.type.kind is Kind.MONEY:
        return _money_comparison(node, test)
    if isinstance(node.left, FactRead) and isinstance(node.right, Constant):
        return _fact_against_constant(node.left, node.right.value, test)
    left, right = compiled(node.left), compiled(node.right)

    def compare(facts: Facts, variables: Variables) -> object:
        one, other = left(facts, variables), right(facts, variables)
        if isinstance(one, Unknown) or isinstance(other, Unknown):
            return _joined(one, other)
        return test(one, other)

    return compare


def _fact_against_constant(fact: FactRead, constant: Value, test: _Test) -> Run:
    """The commonest comparison, in one call instead of three."""
    name, type_ = fact.name, fact.type
    absent, expected = Unknown((name,)), _expected(type_)

    def compare(facts: Facts, _variables: Variables) -> object:
        value = facts.values.get(name, absent)
        if value.__class__ is expected:
            return test(value, constant)
        return _absent(facts, absent, name) if value is absent else _mistyped(value, type_, name)

    return compare


def _money_comparison(node: Comparison, test: _Test) -> Run:
    left, right = compiled(node.left), compiled(node.right)

    def compare(facts: Facts, variables: Variables) -> object:
        one, other = left(facts, variables), right(facts, variables)
        if isinstance(one, Unknown) or isinstance(other, Unknown):
            return _joined(one, other)
        return _compare_money(cast(Money, one), cast(Money, other), test)

    return compare


def _compare_money(one: Money, other: Money, test: _Test) -> bool | Unknown:
    # Not even inequality can be told: what 10 EUR are in USD is not known here.
    if one.currency != other.currency:
        return Unknown((), f"{one.currency} and {other.currency} cannot be mixed")
    return test(one.amount, other.amount)


def _membership(node: Membership) -> Run:
    """`x in list` is `list.exists(y, x == y)`: an empty list holds nothing, whatever `x` is."""
    item, source = compiled(node.item), compiled(node.source)
    money = node.item.type.kind is Kind.MONEY
    if isinstance(node.source, ListRead) and node.source.data.members:
        return _constant_membership(item, node.source.data.members)
    if isinstance(node.source, Constant) and not money:
        members = frozenset(cast("tuple[object, ...]", node.source.value))
        if members:
            return _constant_membership(item, members)
    if isinstance(node.source, FactRead) and not money:
        return _fact_membership(item, source)

    def test(facts: Facts, variables: Variables) -> object:
        wanted, elements = item(facts, variables), source(facts, variables)
        if isinstance(elements, Unknown):
            return _joined(wanted, elements)
        unknown: Unknown | None = None
        for element in cast("tuple[object, ...]", elements):
            found: object = _joined(wanted, element)
            if found is None and money:
                found = _compare_money(cast(Money, wanted), cast(Money, element), operator.eq)
            elif found is None:
                found = wanted == element
            if found is True:
                return True
            if isinstance(found, Unknown):
                unknown = found if unknown is None else unknown.joined(found)
        return False if unknown is None else unknown

    return test


def _constant_membership(item: Run, members: frozenset[object]) -> Run:
    def test(facts: Facts, variables: Variables) -> object:
        wanted = item(facts, variables)
        return wanted if isinstance(wanted, Unknown) else wanted in members

    return test


def _fact_membership(item: Run, source: Run) -> Run:
    """The elements of a fact are all known, so that Python may look through them."""

    def test(facts: Facts, variables: Variables) -> object:
        wanted, elements = item(facts, variables), source(facts, variables)
        if isinstance(elements, Unknown):
            return _joined(wanted, elements)
        if isinstance(wanted, Unknown):
            return wanted if elements else False
        return wanted in cast("tuple[object, ...]", elements)

    return test


def _operation(node: Operation) -> Run:
    implementation = node.implementation
    arguments = tuple(compiled(argument) for argument in node.arguments)
    lists = node.elements and any(argument.type.kind is Kind.LIST for argument in node.arguments)
    if len(arguments) == 2 and not lists:
        left, right = arguments

        def operate_on_two(facts: Facts, variables: Variables) -> object:
            one, other = left(facts, variables), right(facts, variables)
            if isinstance(one, Unknown) or isinstance(other, Unknown):
                return _joined(one, other)
            try:
                return implementation(one, other)
            except ArithmeticError as problem:
                return Unknown((), describe(problem))

        return operate_on_two

    def operate(facts: Facts, variables: Variables) -> object:
        found = [argument(facts, variables) for argument in arguments]
        unknown = _joined(*found)
        if unknown is None and lists:
            unknown = _joined(*cast("tuple[object, ...]", found[0]))
        if unknown is not None:
            return unknown
        try:
            return implementation(*found)
        except ArithmeticError as problem:
            return Unknown((), describe(problem))

    return operate


def _choice(node: Choice) -> Run:
    test, yes, no = compiled(node.test), compiled(node.yes), compiled(node.no)

    def choose(facts: Facts, variables: Variables) -> object:
        decided = test(facts, variables)
        if decided is True:
            return yes(facts, variables)
        if decided is False:
            return no(facts, variables)
        one, other = yes(facts, variables), no(facts, variables)
        return one if _whole(one) and _whole(other) and one == other else _joined(decided, one, other)

    return choose


def _whole(value: object) -> bool:
    """Whether a value is known in all its elements."""
    if isinstance(value, tuple):
        return not any(isinstance(element, Unknown) for element in value)
    return not isinstance(value, Unknown)


def _macro(node: Macro) -> Run:
    source, body, finish = compiled(node.source), compiled(node.body), _FINISHES[node.name]
    before = 2 * node.level - 2

    def visit(facts: Facts, variables: Variables) -> object:
        elements = source(facts, variables)
        if isinstance(elements, Unknown):
            return elements
        items = cast("tuple[object, ...]", elements)
        visits = len(items) if before < 0 else cast(int, variables[before]) * len(items)
        if visits > MAX_VISITS:
            return Unknown((), f"lists of more than {MAX_VISITS} elements in all are not searched")
        return finish(items, [body(facts, (*variables, visits, item)) for item in items])

    return visit


def _exists(_items: tuple[object, ...], found: list[object]) -> object:
    return True if any(truth is True for truth in found) else _joined(*found) or False


def _all(_items: tuple[object, ...], found: list[object]) -> object:
    return False if any(truth is False for truth in found) else _joined(*found) or True


def _exists_one(_items: tuple[object, ...], found: list[object]) -> object:
    count = sum(truth is True for truth in found)
    return False if count > 1 else _joined(*found) or count == 1


def _filter(items: tuple[object, ...], found: list[object]) -> object:
    return _joined(*found) or tuple(item for item, truth in zip(items, found, strict=True) if truth)


def _map(_items: tuple[object, ...], found: list[object]) -> object:
    return tuple(found)


_FINISHES: Final[Mapping[str, Callable[[tuple[object, ...], list[object]], object]]] = {
    "exists": _exists,
    "all": _all,
    "exists_one": _exists_one,
    "filter": _filter,
    "map": _map,
}
