"""Decision tables from files to findings, on both engines."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controls.api.asked import read_decision
from controls.decide import ActiveRelease, Situation, decide
from controls.duties.enforcement import Enforcement
from controls.model.chain import ChainHistory
from controls.model.condition import Facts
from controls.model.errors import RuleFilesInvalid
from controls.model.finding import Cause, Effect, Finding, Outcome
from controls.model.people import Account, Person
from controls.model.values import Money
from controls.rules.engine import EngineDisagreement, build_engine
from controls.rules.hits import ROW, findings_of_table
from controls.rules.release import Release, compile_release, release_from_document
from controls.rules.rule import Rule
from controls.rules.vocabulary import read_facts
from tests.conftest import LONG_RUN
from tests.rules.rule_sets import diagnostics_of
from tests.rules.shipped_desk import shipped_release
from tests.rules.strategies import NOW
from tests.rules.tables import COLUMNS, OUTCOMES, ROLES, VOCABULARY, TableCase, known, tables

EXAMPLES = 1_000 if LONG_RUN else 40
ACTION = "order.capture"

RULE = """\
id: test.limits
title: {en: Limits, es: Límites}
source: {law: Policy, basis: policy}
on: order.capture
table:
  hit: unique
  inputs: [order.side, {name: amount, value: order.notional}]
  outputs: {limit: money}
  rows: decisions/limits.csv
message: {en: "{order.notional} passes {limit}", es: "{order.notional} supera {limit}"}
examples:
  - {name: small, given: {order.side: buy, order.notional: "1.00 EUR"}, expect: permit}
  - {name: medium, given: {order.side: buy, order.notional: "1000.00 EUR"}, expect: review}
  - {name: large, given: {order.side: buy, order.notional: "5000.00 EUR"}, expect: deny}
"""
CSV = """\
order.side,amount,then,limit
buy,< 1000.00 EUR,permit,-
buy,[1000.00 EUR..5000.00 EUR),review,1000.00 EUR
buy,>= 5000.00 EUR,deny,5000.00 EUR
sell,-,permit,-
"""


BASE = {"vocabulary.yaml": VOCABULARY, "roles.yaml": ROLES}


def files(csv: str = CSV, **changes: str) -> dict[str, str]:
    """The rule above with its rows; each change replaces a line that begins with its name."""
    rule = RULE
    for name, text in changes.items():
        lines = [text if line.strip().startswith(f"{name}:") else line for line in rule.splitlines()]
        rule = "\n".join(lines) + "\n"
    return {**BASE, "regulatory/test/limits.yaml": rule, "decisions/limits.csv": csv}


def table_rule(release: Release) -> Rule:
    return next(rule for rule in release.rules if rule.table is not None)


def found(release: Release, values: Mapping[str, Any]) -> tuple[Finding, ...]:
    """The findings of the table; both engines by themselves and together find the same."""
    facts = Facts(values, ChainHistory("order_to_settlement", "o-1"), NOW)
    rule = table_rule(release)
    answers = []
    for name in ("both", "durable", "reference"):
        with closing(build_engine(name, [rule])) as engine:
            answers.append(engine.evaluate(ACTION, facts))
    assert answers[0] == answers[1] == answers[2]
    return answers[0]


def euros(amount: str) -> Money:
    return Money(Decimal(amount), "EUR")


def buying(amount: str) -> dict[str, Any]:
    return {"order.side": "buy", "order.notional": euros(amount)}


# --- Against an interpreter of its own ------------------------------------------------------------------


def sound(table: TableCase) -> bool:
    """Whether the rows keep what `unique` and `any` promise."""
    for values in table.inputs():
        rows = table.matching(values)
        if table.hit == "unique" and len(rows) > 1:
            return False
        if table.hit == "any" and len({table.rows[row][1] for row in rows}) > 1:
            return False
    return True


@pytest.mark.differential
@given(tables(), st.randoms(use_true_random=False))
@settings(max_examples=EXAMPLES)
def test_tables_against_a_naive_interpreter(table: TableCase, random: Any) -> None:
    """Every hit policy, with all inputs known and with some absent, on both engines.

    - all known: exactly the rows, with their outcomes, that a row-by-row reading finds;
    - some absent: not milder than the mildest completion, or a review; and what is said without doubt,
      silence included, is the outcome of every completion.
    """
    if not sound(table):
        return
    files = table.files()
    codes = {item.code for item in diagnostics_of(files)}
    if codes:
        assert codes == {"unreachable_row"}
        return
    release = compile_release(files)
    rule = table_rule(release)
    engines = [build_engine(name, [rule]) for name in ("both", "durable", "reference")]
    inputs = list(table.inputs())
    try:
        for values in random.sample(inputs, min(len(inputs), 12)):
            for absent in (frozenset[int](), frozenset(random.sample(range(len(values)), 1))):
                facts = Facts(known(table, values, absent), ChainHistory("", ""), NOW)
                answers = [engine.evaluate(ACTION, facts) for engine in engines]
                assert answers[0] == answers[1] == answers[2]
                check(table, values, absent, answers[0])
    finally:
        for engine in engines:
            engine.close()


def check(
    table: TableCase, values: tuple[Any, ...], absent: frozenset[int], findings: tuple[Finding, ...]
) -> None:
    outcome = max((item.effect.value for item in findings), default="permit", key=OUTCOMES.index)
    if not absent:
        spoken = {(int(str(item.values.get(ROW, 0))), item.effect.value) for item in findings}
        if table.hit == "any":  # which of rows that agree is named does not matter
            assert {effect for _, effect in spoken} == {effect for _, effect in table.spoken(values)}
        else:
            assert spoken == table.spoken(values)
        return
    choices = [
        COLUMNS[column].domain if place in absent else (value,)
        for place, (column, value) in enumerate(zip(table.columns, values, strict=True))
    ]
    possible = {table.outcome(completion) for completion in product(*choices)}
    if table.missing == "skip":
        return
    assert OUTCOMES.index(outcome) >= min(OUTCOMES.index(word) for word in (*possible, "review"))
    if all(item.cause is Cause.FIRED for item in findings):
        assert possible == {outcome}


@given(tables(defaults=("", "permit", "review")))
@settings(max_examples=EXAMPLES)
def test_diagnostics_are_those_of_brute_force(table: TableCase) -> None:
    """Overlaps, contradictions, gaps and unreachable rows are reported exactly when there are any."""
    matches = [table.matching(values) for values in table.inputs()]
    expected = set()
    if table.hit == "unique" and any(len(rows) > 1 for rows in matches):
        expected.add("overlapping_rows")
    if table.hit == "any" and not sound(table):
        expected.add("conflicting_rows")
    if not table.default and not all(matches):
        expected.add("uncovered_input")
    if table.hit == "first" and {rows[0] for rows in matches if rows} != set(range(len(table.rows))):
        expected.add("unreachable_row")
    assert {item.code for item in diagnostics_of(table.files())} == expected


# --- What people read -----------------------------------------------------------------------------------


def test_a_finding_names_the_table_and_the_row() -> None:
    """Rule and version are the table's; message and values say which row, with the row's own values."""
    release = compile_release(files())
    (finding,) = found(release, buying("6000"))
    assert (finding.rule, finding.version) == ("test.limits", table_rule(release).version)
    assert (finding.effect, finding.cause) == (Effect.DENY, Cause.FIRED)
    cells = "order.side buy, amount >= 5000.00 EUR"
    assert finding.message.en == f"6,000.00 EUR passes 5,000.00 EUR (row 3: {cells})"
    assert finding.message.es == f"6.000,00 EUR supera 5.000,00 EUR (fila 3: {cells})"
    assert finding.values == {**buying("6000"), ROW: 3}
    assert found(release, buying("10")) == ()


def test_rows_may_have_messages_of_their_own() -> None:
    """`message.en` and `message.es` speak instead of the rule's, where they are written."""
    csv = CSV.replace("then,limit", "then,limit,message.en,message.es").replace("permit,-", "permit,-,-,-")
    csv = csv.replace(
        "review,1000.00 EUR", 'review,1000.00 EUR,"Above {limit}, ask","Más de {limit}: pregunte"'
    )
    csv = csv.replace("deny,5000.00 EUR", "deny,5000.00 EUR,-,-")
    release = compile_release(files(csv))
    (finding,) = found(release, buying("1000"))
    assert finding.message.en.startswith("Above 1,000.00 EUR, ask (row 2: ")
    assert finding.message.es.startswith("Más de 1.000,00 EUR: pregunte (fila 2: ")
    assert found(release, buying("6000"))[0].message.en.startswith("6,000.00 EUR passes 5,000.00 EUR")


def test_braces_in_cells_are_not_placeholders() -> None:
    """A cell's text stands in the message as it is."""
    rule = RULE.replace("order.side,", "order.instrument,").replace(
        "hit: unique", "hit: unique\n  default: permit"
    )
    rule = rule.replace("order.side", "order.instrument")
    csv = 'order.instrument,amount,then,limit\n"a {order.side}",< 5.00 EUR,deny,5.00 EUR\n'
    rule = rule[: rule.index("examples:")] + (
        "examples:\n"
        "  - {name: a, given: {order.instrument: 'a {order.side}', order.notional: 1.00 EUR}, expect: deny}\n"
        "  - {name: b, given: {order.instrument: X, order.notional: 1.00 EUR}, expect: permit}\n"
    )
    release = compile_release({**BASE, "regulatory/test/limits.yaml": rule, "decisions/limits.csv": csv})
    (finding,) = found(release, {"order.instrument": "a {order.side}", "order.notional": euros("1")})
    assert "(row 1: order.instrument a {order.side}, amount < 5.00 EUR)" in finding.message.en


def test_collect_names_every_row() -> None:
    """All rows that match speak, each by itself."""
    csv = "order.side,amount,then,limit\nbuy,-,flag,1.00 EUR\n-,>= 5.00 EUR,deny,5.00 EUR\n"
    changed = files(csv, hit="  hit: collect\n  default: permit")
    changed["regulatory/test/limits.yaml"] = changed["regulatory/test/limits.yaml"].replace("review", "flag")
    findings = found(compile_release(changed), buying("6"))
    assert [(item.effect.value, item.values[ROW]) for item in findings] == [("flag", 1), ("deny", 2)]


def test_several_rows_that_oblige_bring_one_obligation() -> None:
    """The obligation is the rule's: it is owed once, however many rows say so."""
    csv = "order.side,amount,then,limit\nbuy,-,oblige,1.00 EUR\n-,>= 5.00 EUR,oblige,5.00 EUR\n"
    changed = files(csv, hit="  hit: collect\n  default: permit")
    rule = changed["regulatory/test/limits.yaml"].replace("review}", "oblige}").replace("deny}", "oblige}")
    changed["regulatory/test/limits.yaml"] = rule + "obligation: {what: report}\n"
    release = compile_release(changed)
    enforcement = Enforcement(release.grants, release.roles, release.constraints, release.chains.values())
    body = {
        "subject": {"type": "account", "id": "ana"},
        "action": {"name": "capture"},
        "resource": {"type": "order", "id": "O-1", "properties": {"side": "buy", "notional": "6.00 EUR"}},
    }
    request = read_decision(body, id="dec-1")
    situation = Situation(
        reading=read_facts(release.vocabulary, request.properties),
        account=Account("ana", "ref-ana", Person("p-1", frozenset({"clerk"}))),
        history=ChainHistory("", ""),
        now=NOW,
    )
    with closing(build_engine("both", release.rules)) as engine:
        decision = decide(request, situation, active=ActiveRelease(release, enforcement, engine))
    assert decision.outcome is Outcome.PERMIT
    assert [item.values[ROW] for item in decision.findings] == [1, 2]
    assert [(item.rule, item.properties) for item in decision.obligations] == [
        ("test.limits", {"what": "report"})
    ]


def test_findings_of_tables_and_rules_come_in_one_order() -> None:
    """By rule id, whatever kind of rule they are of."""
    facts = Facts({}, ChainHistory("order_to_settlement", "o-1"), NOW)
    with closing(build_engine("both", shipped_release().rules)) as engine:
        rules = [finding.rule for finding in engine.evaluate("order.instruct", facts)]
    assert "set.instruction_release" in rules
    assert rules == sorted(rules)
    assert len(rules) > 2


def test_tables_apply_in_their_period_and_may_be_observed() -> None:
    """`effective` and `mode` are the rule's, so that they hold for every row."""
    changed = files()
    changed["regulatory/test/limits.yaml"] += "mode: observe\n"
    assert found(compile_release(changed), buying("6000"))[0].observed
    changed["regulatory/test/limits.yaml"] += "effective: {from: 2099-01-01}\n"
    assert found(compile_release(changed), buying("6000")) == ()


# --- What is not known ----------------------------------------------------------------------------------


def test_an_absent_input_follows_the_missing_policy() -> None:
    """Where no row is certain, one finding names what is missing."""
    release = compile_release(files())
    (finding,) = found(release, {"order.side": "buy"})
    assert (finding.effect, finding.cause, finding.missing) == (
        Effect.REVIEW,
        Cause.MISSING,
        ("order.notional",),
    )
    assert found(release, {"order.side": "sell"}) == ()
    assert found(release, {})[0].missing == ("order.side", "order.notional")


@pytest.mark.parametrize("missing", ["review", "skip\nbecause: Never mind"])
def test_another_currency_is_reviewed_even_where_absence_is_skipped(missing: str) -> None:
    """An amount that cannot be compared is an error, not an absence."""
    changed = files()
    changed["regulatory/test/limits.yaml"] += f"missing: {missing}\n"
    release = compile_release(changed)
    (finding,) = found(release, {"order.side": "buy", "order.notional": Money(Decimal(1), "USD")})
    assert (finding.effect, finding.cause) == (Effect.REVIEW, Cause.ERROR)


FIRST = """\
order.side,amount,then,limit
sell,-,{first},1.00 EUR
-,>= 5.00 EUR,deny,5.00 EUR
-,-,permit,-
"""


def test_an_unknown_row_before_the_one_that_matches() -> None:
    """With `first`, an earlier row that may match and is milder leaves the outcome in doubt."""
    changed = files(FIRST.replace("{first}", "review"), hit="  hit: first")
    release = compile_release(changed)
    (finding,) = found(release, {"order.notional": euros("6")})
    assert (finding.effect, finding.cause, finding.missing) == (Effect.REVIEW, Cause.MISSING, ("order.side",))
    (finding,) = found(release, {"order.side": "sell"})
    assert (finding.effect, finding.values[ROW]) == (Effect.REVIEW, 1)


def test_skipping_does_not_skip_what_is_certain() -> None:
    """Deny or review, depending on what is absent, is a review at least, also with `missing: skip`."""
    changed = files(FIRST.replace("{first}", "review"), hit="  hit: first")
    changed["regulatory/test/limits.yaml"] += "missing: skip\nbecause: Never mind\n"
    release = compile_release(changed)
    (finding,) = found(release, {"order.notional": euros("6")})
    assert (finding.effect, finding.cause) == (Effect.REVIEW, Cause.MISSING)
    assert found(release, {"order.notional": euros("1")}) == ()


def test_what_no_row_takes_says_so() -> None:
    """With a `default` that is no permit, the finding shows the input that no row took."""
    csv = CSV.replace("sell,-,permit,-\n", "")
    release = compile_release(files(csv, hit="  hit: unique\n  default: deny"))
    (finding,) = found(release, {"order.side": "sell", "order.notional": euros("7")})
    assert (finding.effect, finding.cause) == (Effect.DENY, Cause.FIRED)
    assert finding.message.en == "No row of the table matches: order.notional 7.00 EUR, order.side sell"
    assert ROW not in finding.values


def test_an_engine_that_loses_a_row_is_found_out() -> None:
    """The verdict of the row that speaks is held against what the engine said."""
    rule = table_rule(compile_release(files()))
    facts = Facts(buying("6000"), ChainHistory("", ""), NOW)
    for truths in (b"\2\0\0\0", b"\0\2\0\0", b"\0\1\0\0"):
        if truths == b"\2\0\0\0":  # a permit says nothing, so that there is nothing to hold against it
            assert list(findings_of_table(rule, truths, facts=facts)) == []
        else:
            with pytest.raises(EngineDisagreement, match=r"test\.limits, row 2"):
                list(findings_of_table(rule, truths, facts=facts))


# --- Versions and documents -----------------------------------------------------------------------------


def version(csv: str = CSV, **changes: str) -> str:
    return table_rule(compile_release(files(csv, **changes))).version


def test_versions_follow_the_meaning() -> None:
    """A cell, an outcome or an output changes the version; layout and, but for `first`, order do not."""
    header, *rows = CSV.splitlines(keepends=True)
    moved = header + "".join(reversed(rows))
    assert version(moved) == version()
    assert version(CSV.replace(",", ";")) == version()
    assert version(CSV.replace("1000.00 EUR", "1000.0 EUR")) == version()
    assert version(CSV.replace("[1000.00 EUR..5", "[ 1000.00 EUR .. 5")) == version()
    assert version(CSV.replace("1000.00", "1000.01")) != version()
    assert version(CSV.replace("review,1000.00 EUR", "review,999.00 EUR")) != version()
    assert version(CSV.replace("sell,-,permit,-", "sell,-,review,1.00 EUR")) != version()
    first = {"hit": "  hit: first"}
    assert version(moved, **first) != version(**first) != version()


def test_columns_may_stand_in_any_order() -> None:
    """The header says what a column is."""
    rows = [line.split(",") for line in CSV.splitlines()]
    turned = "\n".join(",".join(reversed(row)) for row in rows) + "\n"
    assert version(turned) == version()


def test_inline_rows_are_the_same_table() -> None:
    """Rows in the rule file mean what the same rows in a CSV file mean."""
    inline = (
        "  rows:\n"
        "    - {order.side: buy, amount: < 1000.00 EUR, then: permit, limit: '-'}\n"
        "    - {order.side: buy, amount: '[1000.00 EUR..5000.00 EUR)', then: review, limit: 1000.00 EUR}\n"
        "    - {order.side: buy, amount: '>= 5000.00 EUR', then: deny, limit: 5000.00 EUR}\n"
        "    - {order.side: sell, amount: '-', then: permit, limit: '-'}"
    )
    changed = files(rows=inline)
    del changed["decisions/limits.csv"]
    assert table_rule(compile_release(changed)).version == version()


def test_a_stored_release_has_its_tables() -> None:
    """The CSV file is part of the document and of the digest, whatever its separator."""
    release = compile_release(files())
    again = release_from_document(release.document)
    assert again.digest == release.digest
    assert found(again, buying("6000")) == found(release, buying("6000"))
    assert compile_release(files(CSV.replace(",", ";"))).digest == release.digest
    assert compile_release(files(CSV.replace("5000.00", "5001.00"))).digest != release.digest
    assert compile_release(files("\ufeff" + CSV.replace("\n", "\r\n"))).digest == release.digest


def test_a_stored_release_with_a_broken_table_is_refused() -> None:
    """Rows that are shorter than the header cannot come from a file, and are no release either."""
    document = compile_release(files()).document
    broken = document.replace(b'["sell","-","permit","-"]', b'["sell","-","permit"]')
    assert broken != document
    with pytest.raises(RuleFilesInvalid, match="wrong_length"):
        release_from_document(broken)


def test_inputs_may_look_into_lists() -> None:
    """The list is a part of the version, and its items decide."""
    listed = {"inputs": "  inputs: [order.side in list.sides, {name: amount, value: order.notional}]"}
    csv = (
        CSV.replace("order.side", "order.side in list.sides").replace("buy", "true").replace("sell", "false")
    )
    changed = files(csv, **listed) | {"lists/sides.csv": "side:string\nbuy\n"}
    release = compile_release(changed)
    assert [item.values[ROW] for item in found(release, buying("6000"))] == [3]
    other = compile_release(changed | {"lists/sides.csv": "side:string\nsell\n"})
    assert found(other, buying("6000")) == ()
    assert table_rule(other).version != table_rule(release).version


# --- What is wrong --------------------------------------------------------------------------------------


def messages(csv: str, **changes: str) -> list[str]:
    return [str(item) for item in diagnostics_of(files(csv, **changes))]


def test_an_overlap_shows_both_rows_and_an_input() -> None:
    """The cells of both rows, their places, and a value that proves it."""
    (message,) = messages(CSV.replace("[1000.00", "[999.00"))
    assert message.startswith(
        "decisions/limits.csv:3:1: overlapping_rows: row 1 (decisions/limits.csv:2: buy | < 1000.00 EUR"
    )
    assert (
        "and row 2 (buy | [999.00 EUR..5000.00 EUR)) both take order.side = buy, amount = 999 EUR" in message
    )


def test_a_gap_shows_an_input() -> None:
    """A concrete input that no row takes."""
    (message,) = messages(CSV.replace("[1000.00", "(1000.00"))
    assert "uncovered_input: no row takes order.side = buy, amount = 1000 EUR: add one" in message


@pytest.mark.parametrize(
    ("csv", "changes", "expected"),
    [
        (CSV.replace("buy,<", "byu,<"), {}, ":2:1: unknown_value: 'byu' is not one of buy, sell"),
        (CSV, {"rows": "  rows: decisions/limit.csv"}, "did you mean 'decisions/limits.csv'?"),
        (
            CSV.replace("amount", "ammount"),
            {},
            ":1:12: unknown_key: 'ammount' is no input and no output",
        ),
        (CSV.replace(",deny", ",dney"), {}, "did you mean 'deny'?"),
        (CSV.replace("5000.00 EUR)", "5000.00 USD)"), {}, "limits.csv:3:5: mixed_currencies"),
        (CSV.replace(">= 5000.00 EUR", ">= 5000.00 USD"), {}, "take currency(...) and amount(...) as"),
        (CSV.replace("< 1000.00 EUR", ""), {}, "limits.csv:2:5: empty_cell: write - for any value"),
        (CSV.replace("buy,<", '"not(buy, sell)",<'), {}, "impossible_cell: no value passes"),
        (CSV.replace("buy", "-"), {"hit": "  hit: first"}, "unreachable_row: the rows before row 4"),
        (
            CSV.replace("buy", "-").replace("sell,-,permit,-", ""),
            {},
            "unused_input: no row tests",
        ),
        (CSV.replace("review", "permit").replace("deny", "permit"), {}, "silent_table: every row permits"),
        (f"{CSV}sell,< 5.00 EUR,deny,1.00 EUR\n", {"hit": "  hit: any"}, "conflicting_rows"),
        (CSV.replace("review,1000.00 EUR", "review,-"), {}, "'-': write money"),
        (CSV, {"inputs": "  inputs: [order.side, order.notionl]"}, "did you mean `order.notional`?"),
        (
            CSV,
            {"inputs": "  inputs: [order.side, order.lines]"},
            "an input is one value; this is list",
        ),
        (CSV, {"outputs": "  outputs: {limit: money, then: money}"}, "'then' is taken"),
    ],
)
def test_messages_say_what_to_do(csv: str, changes: dict[str, str], expected: str) -> None:
    """Each stands at its cell or key, and names the likely meaning or the next thing to do."""
    said = messages(csv, **changes)
    assert any(expected in message for message in said), said
