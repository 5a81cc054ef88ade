"""Diagnostics of conditions: what is refused at load, where, and with which advice."""

from __future__ import annotations

import time

import pytest

from controls.rules.condition import ConditionError, ConditionInvalid, Names, compile_condition
from controls.rules.types import BOOL, INT, STRING, list_of
from tests.rules.strategies import NAMES


def errors(source: str, names: Names = NAMES) -> tuple[ConditionError, ...]:
    with pytest.raises(ConditionInvalid) as caught:
        compile_condition(source, names=names)
    return caught.value.errors


REFUSED = [
    # source, code, the part of the source it points at, a word of the advice
    ("order.notionl > threshold", "unknown_name", "order.notionl", "`order.notional`"),
    ("order.fills > lott", "unknown_name", "lott", "`lot`"),
    ("order > 5", "unknown_name", "order", "properties"),
    ("order.broker.lie == 'x'", "unknown_name", "order.broker.lie", "`lei`"),
    ("null == order.side", "unknown_name", "null", "has("),
    ("order.side in list.symbol", "unknown_name", "list.symbol", "did you mean `symbols`?"),
    ("order.side in list.issuers", "unknown_name", "list.issuers", "lists/issuers.csv"),
    ("order.side in list", "unknown_name", "list", "say which list"),
    ("order.side in list.symbols.name", "wrong_type", "list.symbols.name", "has no field"),
    ("order.quantity in list.symbols", "incomparable_types", None, "never in list<string>"),
    ("table.limit[person.id].lots > 5", "unknown_name", "table.limit", "did you mean `limits`?"),
    ("table.limits > 5", "wrong_type", "table.limits", "table.limits[key].column"),
    ("table.limits.lots > 5", "wrong_type", "table.limits.lots", "table.limits[key].column"),
    ("table.limits[person.id] > 5", "wrong_type", "table.limits[person.id]", "say which column"),
    ("table.limits[person.id].lot > 5", "unknown_name", None, "did you mean `lots`?"),
    ("table.limits[person.id].name == 'a'", "unknown_name", None, "it has active, amount"),
    (
        "table.limits[order.quantity].lots > 5",
        "incomparable_types",
        "order.quantity",
        "the key who is string",
    ),
    ("table.limits[].lots > 5", "wrong_type", "table.limits[]", "the key of this table is [who]"),
    ("table.slots[order.fills].size > 5", "wrong_type", "table.slots[order.fills]", "[number, late]"),
    ("table.limits[person.idd].lots > 5", "unknown_name", "person.idd", "did you mean `person.id`?"),
    ("list.symbols['a'].size > 5", "wrong_type", "list.symbols['a']", "table.NAME[key].column"),
    ("has(table.limits[person.id])", "wrong_type", "table.limits[person.id]", "say which column"),
    ("has(list.symbols)", "wrong_type", "list.symbols", "a cell of a table"),
    ("aggregate.recent > 5", "unknown_name", "aggregate.recent", "aggregates/*.yaml"),
    (
        "business_days(order.trade_date) > 2",
        "wrong_type",
        "business_days(order.trade_date)",
        'business_days(date, date, "calendar") and not date',
    ),
    (
        'is_business_day(order.trade_date, "desc")',
        "unknown_calendar",
        '"desc"',
        "there is no calendars/desc.yaml; did you mean `desk`?",
    ),
    ("is_business_day(order.trade_date, order.side)", "wrong_type", "order.side", "known at load"),
    (
        'add_business_days(order.trade_date, 1.5, "desk") > order.trade_date',
        "wrong_type",
        'add_business_days(order.trade_date, 1.5, "desk")',
        "not date, decimal",
    ),
    (
        'date_of(now, "Europe/Madird") == order.trade_date',
        "unknown_zone",
        '"Europe/Madird"',
        "`Europe/Madrid`",
    ),
    ('date_of(now, "CET+1") == order.trade_date', "unknown_zone", '"CET+1"', "no time zone"),
    ('time_of_day(now, "UTC") > "16:00"', "incomparable_types", None, 'duration("PT30M")'),
    ('time_of_day(now, "UTC") > time("24:01")', "bad_literal", '"24:01"', 'a time of day as "16:00"'),
    ('date_of(order.trade_date, "UTC") > order.trade_date', "wrong_type", None, "and not date"),
    (
        'add_business_days(date("2023-12-31"), 1, "desk") == order.trade_date',
        "constant_error",
        'add_business_days(date("2023-12-31"), 1, "desk")',
        "2023-12-31 is outside the years 2024 to 2027 of the calendar desk",
    ),
    ("siz(order.side) > 2", "unknown_function", "siz(order.side)", "`size`"),
    ("order.side.size() > 2", "unknown_function", "order.side.size()", "size(value)"),
    ("contains(order.side, 'x')", "unknown_function", "contains(order.side, 'x')", "value.contains"),
    ("chain.done('capture')", "unknown_function", "chain.done('capture')", "chain.done"),
    ("chain.performed('exeucte')", "unknown_step", "'exeucte'", "`execute`"),
    ("'exeucte' in chain.steps", "unknown_step", "'exeucte'", "`execute`"),
    ("chain.performed(order.side)", "wrong_type", "order.side", "known at load"),
    ("order.side > 5", "incomparable_types", "order.side > 5", "string > int"),
    ("order.notional > 5", "incomparable_types", "order.notional > 5", "EUR"),
    ("order.fills == '5'", "incomparable_types", "order.fills == '5'", "without quotes"),
    ("order.trade_date > '2026-01-01'", "incomparable_types", "order.trade_date > '2026-01-01'", "date("),
    ("now > '2026-01-01'", "incomparable_types", "now > '2026-01-01'", "timestamp("),
    ("now > order.trade_date", "incomparable_types", "now > order.trade_date", "timestamp > date"),
    ("order.is_block > order.short", "incomparable_types", "order.is_block > order.short", "no order"),
    ("order.tags == order.tags", "incomparable_types", "order.tags == order.tags", "use size"),
    ("5 in order.tags", "incomparable_types", "5 in order.tags", "never in"),
    ("order.side in order.instrument", "wrong_type", "order.instrument", "contains()"),
    ("order.side + 1 > 2", "wrong_type", "order.side + 1", "string and int"),
    ("order.notional + 1 > threshold", "wrong_type", "order.notional + 1", "currency"),
    ("order.notional * order.notional > threshold", "wrong_type", "order.notional * order.notional", "money"),
    ("order.side && order.is_block", "wrong_type", "order.side", "compare it"),
    ("!order.side", "wrong_type", "order.side", "compare it"),
    ("-order.side == 'x'", "wrong_type", "-order.side", "number"),
    ("order.side ? order.short : order.is_block", "wrong_type", "order.side", "compare"),
    ("(order.short ? 1 : 'x') == 1", "wrong_type", "order.short ? 1 : 'x'", "differ"),
    ("order.fills in [1, 'x']", "wrong_type", "'x'", "one type"),
    ("has(lot)", "wrong_type", "lot", "fact"),
    ("has(order.fills + 1)", "wrong_type", "order.fills + 1", "fact"),
    ("order.side.lei == 'x'", "wrong_type", "order.side.lei", "no field"),
    ("order.side.exists(x, x == 'a')", "wrong_type", "order.side", "list"),
    ("order.tags.exists(x)", "wrong_type", "order.tags.exists(x)", "takes a name"),
    ("order.tags.exists(1, true)", "wrong_type", "1", "plain name"),
    ("order.tags.exists(order, order == 'x')", "name_taken", "order", "another name"),
    ("order.tags.exists(lot, lot == 'x')", "name_taken", "lot", "another name"),
    ("order.tags.exists(now, now == 'x')", "name_taken", "now", "another name"),
    ("order.tags.exists(x, x)", "wrong_type", "x", "compare it"),
    ("size(5) > 1", "wrong_type", "size(5)", "size(list)"),
    ("sum(order.tags) > 1", "wrong_type", "sum(order.tags)", "quantities"),
    ("round(order.quantity, lot + order.fills) > 1", "bad_literal", "lot + order.fills", "known at load"),
    ("round(order.quantity, 29) > 1", "bad_literal", "29", "0 to 28"),
    ("order.notional > '5 euros'", "bad_literal", "'5 euros'", "10000000.00 EUR"),
    ("order.notional in ['5']", "bad_literal", "'5'", "currency"),
    ("order.trade_date > date('2026-02-30')", "bad_literal", "'2026-02-30'", "no day"),
    ("now > timestamp('2026-01-01T00:00:00')", "bad_literal", "'2026-01-01T00:00:00'", "zone"),
    ("order.patience > duration('P1M')", "bad_literal", "'P1M'", "months"),
    ("order.trade_date > date(order.side)", "wrong_type", "order.side", "known at load"),
    ("order.side.matches('(')", "bad_pattern", "'('", "RE2"),
    (r"order.side.matches(r'(a)\1')", "bad_pattern", r"r'(a)\1'", "RE2"),
    ("order.side.matches('" + "x" * 501 + "')", "bad_pattern", "'" + "x" * 501 + "'", "500"),
    ("order.side.matches('((a{30}){30}){2}')", "bad_pattern", "'((a{30}){30}){2}'", "RE2"),
    (r"order.side.matches(r'[\pL\pN]{200}')", "bad_pattern", r"r'[\pL\pN]{200}'", "too large"),
    ("order.side.matches(order.instrument)", "wrong_type", "order.instrument", "known at load"),
    ("order.notional", "not_a_condition", "order.notional", "compare it"),
    ("lot", "not_a_condition", "lot", "int"),
    ("true", "constant_condition", "true", "always true"),
    ("1 > 2 || order.short", "constant_condition", "1 > 2", "always false"),
    ("order.short || true", "constant_condition", "true", "always true"),
    ("armed", "constant_condition", "armed", "parameters"),
    ("armed || order.short", "constant_condition", "armed || order.short", "always true"),
    ("order.side == order.side", "constant_condition", "order.side == order.side", "same"),
    ("order.fills > lot && order.fills + lot != order.fills + 4", "constant_condition", None, "same"),
    ("order.tags.exists(x, 1 < 2)", "constant_condition", "1 < 2", "always true"),
    ("order.fills > 1 / 0", "constant_error", "1 / 0", "division by zero"),
    ("order.notional > threshold + '1 USD'", "constant_error", "threshold + '1 USD'", "mixed"),
    (
        "order.tags.exists(x, order.tags.exists(y, order.tags.exists(z, z == x)))",
        "too_deep",
        None,
        "at most 2",
    ),
]


@pytest.mark.parametrize(("source", "code", "part", "advice"), REFUSED)
def test_mistakes_are_named_at_their_place(source: str, code: str, part: str | None, advice: str) -> None:
    """Each mistake has a stable code, points at the part that is wrong and says what to do."""
    (error,) = errors(source)
    assert error.code == code
    assert advice in error.message
    if part is not None:
        assert source[error.offset : error.offset + error.length] == part


def test_all_mistakes_come_at_once() -> None:
    """One mistake does not hide the others, and they come in the text's order."""
    source = "order.notionl > threshold && order.side > 5 && foo(order.x) || order.side.matches('(')"
    assert [error.code for error in errors(source)] == [
        "unknown_name",
        "incomparable_types",
        "unknown_function",
        "unknown_name",
        "bad_pattern",
    ]


def test_reserved_parameters_are_refused() -> None:
    """A parameter called `now` would hide the time."""
    names = Names(NAMES.facts, {"now": (INT, 5)})
    assert [error.code for error in errors("order.short", names)] == ["name_taken"]


def test_steps_are_free_where_none_are_named() -> None:
    """Without a list of steps any step may be asked for."""
    assert compile_condition('chain.performed("ship")', names=Names({})).key == 'chain.performed("ship")'


def test_the_longest_fact_name_wins() -> None:
    """A plain name and a dotted one may live side by side."""
    names = Names({"a": BOOL, "a.b": BOOL, "a.b.c": list_of(STRING)})
    assert compile_condition("a && a.b && size(a.b.c) > 0", names=names).names == {"a", "a.b", "a.b.c"}


HOSTILE = [
    ("(" * 4000, "syntax_error"),
    ("!" * 3999 + "x", "too_deep"),
    ("-" * 3999 + "1", "too_deep"),
    ("(" * 1999 + "x" + ")" * 1999, "too_deep"),
    ("[" * 1999 + "1" + "]" * 1999, "too_deep"),
    ("size(" * 600 + "x" + ")" * 600, "too_deep"),
    ("a" + ".b" * 1900, "unknown_name"),
    ("x.filter(y,1)" + ".filter(y,1)" * 300, "too_deep"),
    ("+".join("1" * 1900), "too_deep"),
    ("&&".join("x" * 1300), "too_large"),
    ("x?y:" * 900 + "z", "too_deep"),
    ("[" + ",".join("1" * 257) + "] == 1", "too_large"),
    ("x" * 4001, "too_large"),
    ("1" * 4000, "bad_literal"),
    ("'" + "\\" * 3000, "syntax_error"),
    ("", "syntax_error"),
    (" \n\t", "syntax_error"),
    ("// only a remark", "syntax_error"),
    ("\x00", "syntax_error"),
    ("'\ud800' == order.side", "bad_literal"),
    ("'\\ud83d' == order.side", "bad_literal"),
    ("order\u200b.side == 'x'", "syntax_error"),
    ("оrder.side == 'x'", "syntax_error"),  # a Cyrillic letter
]


@pytest.mark.parametrize(("source", "code"), HOSTILE)
def test_hostile_text_is_refused_in_bounded_time(source: str, code: str) -> None:
    """Depth, size and strange characters are refused, without recursion over the text."""
    start = time.perf_counter()
    found = errors(source)
    assert time.perf_counter() - start < 2
    assert found[0].code == code


SYNTAX = [
    ("order.fills = 5", 12, "=="),
    ("order.short and order.is_block", 12, "&&"),
    ("not order.short", 0, "!"),
    ("order.short &", 12, "&&"),
    ("order.fills >", 13, "ends too early"),
    ("order.fills > 5)", 15, "an operator or the end"),
    ("order.fills > * 5", 14, "a name or a value"),
    ("order.side == 'x", 14, "no end"),
    ("1 < order.fills < 5", 16, "cannot stand here"),
    (r"order.side == '\d'", 15, "raw string"),
    ("order.fills in []", 15, "at least one"),
    ("order.fills => 5", 12, "write >= for `=>`"),
    ("order.fills =< 5", 12, "write <= for `=<`"),
    ("order.fills <> 5", 12, "write != for `<>`"),
    ("order.fills ≥ 5", 12, "write >= for `≥`"),
    ("order.fills ≠ 5", 12, "write != for `≠`"),
    ("order.side == “x”", 14, 'write " for `“`'),
    ("order.fills > 1,000", 15, "without thousands marks"),
    ("order.fills\u00a0> 5", 11, "U+00A0"),
    ("not(order.short)", 0, "write ! for `not`"),
]


@pytest.mark.parametrize(("source", "offset", "advice"), SYNTAX)
def test_syntax_errors_say_what_to_write(source: str, offset: int, advice: str) -> None:
    """What cannot be read is pointed at, with what to write for it."""
    (error,) = errors(source)
    assert error.offset == offset
    assert advice in error.message
