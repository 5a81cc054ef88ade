"""Rates of exchange: what `convert` gives, what a table of rates may hold, and what rests on one."""

from __future__ import annotations

from contextlib import closing
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controls.model.chain import ChainHistory
from controls.model.condition import Facts, Truth
from controls.model.finding import Cause, Effect, Finding
from controls.model.values import Money
from controls.rules.changes import Change, ChangeClass
from controls.rules.condition import ConditionInvalid, Names, Unknown, compile_condition, compile_expression
from controls.rules.difference import difference
from controls.rules.engine import build_engine
from controls.rules.explain import explain_rule
from controls.rules.release import Release, compile_release, release_from_document
from controls.rules.rule_sets import rule_set
from controls.services.records import is_private
from tests.rules.oracle import Oracle, Unk
from tests.rules.rule_sets import data_of_files, desk_files, diagnostics_of
from tests.rules.strategies import NAMES, NOW, NUMBERS
from tests.rules.trees import RATES, Tree, render

FILE = "rates/house.csv"
RULES = "regulatory/a/rules.yaml"
HEADER = "base:string key,quote:string key,from:date key,until:date,rate:decimal,remark:note\n"
HOUSE = HEADER + (
    "EUR,USD,2026-03-01,2026-03-31,1.25,March\n"
    "EUR,USD,2026-04-01,2026-04-30,1.6,\n"
    "CHF,EUR,2026-03-02,2026-03-02,1.05,a day\n"
)
LIMIT = """\
- id: a.limit
  title: {en: Above the limit, es: Por encima del límite}
  source: {law: Policy, basis: policy}
  on: order.capture
  parameters: {limit: {value: 1000.00 EUR, type: money, basis: policy}}
  when: convert(order.notional, currency(limit), date_of(now, "UTC"), "house") > limit
  then: deny
  message: {en: "{order.notional} passes {limit}", es: "{order.notional} supera {limit}"}
  missing: skip
  because: Only to show that what cannot be computed is not passed over
  examples:
    - {name: euros, given: {order.notional: 1000.00 EUR}, at: "2026-03-02T09:30:00Z", expect: permit}
    - {name: dollars, given: {order.notional: 1250.01 USD}, at: "2026-03-02T09:30:00Z", expect: deny}
    - {name: no rate, given: {order.notional: 1.00 USD}, at: "2026-05-01T09:30:00Z", expect: review}
    - {name: absent, expect: permit}
"""


def files(**changed: str) -> dict[str, str]:
    """The small desk with a table of rates and a rule that converts."""
    return {**desk_files(), FILE: changed.get("house", HOUSE), RULES: changed.get("rules", LIMIT)}


RELEASE = compile_release(files())


def facts(now: Any = NOW, **values: Any) -> Facts:
    named = {name.replace("__", "."): value for name, value in values.items()}
    return Facts(named, ChainHistory("order_to_settlement", "o-1"), now)


def dollars(amount: str) -> Money:
    return Money(Decimal(amount), "USD")


def findings(release: Release = RELEASE, **values: Any) -> tuple[Finding, ...]:
    rules = [rule for rule in release.rules if rule.id == "a.limit"]
    with closing(build_engine("both", rules)) as engine:
        return engine.evaluate("order.capture", facts(**values))


def computed(source: str, *, house: str = HOUSE, **values: Any) -> Any:
    names = Names(facts=NAMES.facts, data=data_of_files({FILE: house}))
    return compile_expression(source, names=names).evaluate(facts(**values))


# What is computed

AMOUNTS = st.sampled_from(NUMBERS) | st.decimals(
    allow_nan=False, allow_infinity=False, places=2, max_value=9e9
)
DAYS = st.dates(date(2024, 2, 27), date(2024, 3, 2)) | st.dates(date(2026, 2, 27), date(2026, 3, 8))
CODES = st.sampled_from(("EUR", "USD", "GBP"))


@pytest.mark.differential
@settings(max_examples=400, deadline=None)
@given(
    amount=AMOUNTS,
    held=CODES,
    wanted=st.sampled_from(("EUR", "USD")),
    day=DAYS,
    table=st.sampled_from([*RATES]),
)
def test_a_conversion_is_what_the_oracle_says(
    amount: Decimal, held: str, wanted: str, day: date, table: str
) -> None:
    """Product or quotient in exact fractions, rounded once to 34 digits; without a rate nothing is known."""
    parts = [
        Tree("fact", ("order.notional",)),
        Tree("literal", (wanted,)),
        Tree("fact", ("order.trade_date",)),
    ]
    tree = Tree("call", ("convert", *parts, Tree("literal", (table,))))
    case = facts(order__notional=Money(amount, held), order__trade_date=day)
    found = compile_expression(render(tree), names=NAMES).evaluate(case)
    wanted_value = Oracle(case, {}).value(tree)
    if isinstance(wanted_value, Unk):
        assert isinstance(found, Unknown)
        assert found.error
    else:
        assert isinstance(found, Money)
        assert (Oracle(case, {}).value(Tree("literal", (found,)))) == wanted_value


@pytest.mark.parametrize(
    ("source", "amount"),
    [
        ('convert(order.notional, "EUR", date("2026-03-01"), "house")', "80"),
        ('convert(order.notional, "EUR", date("2026-03-31"), "house")', "80"),
        ('convert(order.notional, "EUR", date("2026-04-01"), "house")', "62.5"),
        ('convert(convert(order.notional, "EUR", order.trade_date, "house"), "USD", date("2026-04-01"), '
         '"house")', "128"),
        ('convert(order.notional, "USD", date("1999-01-01"), "house")', "100"),
        ('round(convert(order.notional / 3, "EUR", date("2026-03-02"), "house"), 2)', "26.67"),
    ],
)  # fmt: skip
def test_the_rate_of_the_day_is_taken(source: str, amount: str) -> None:
    """From the first day to the last one; money of that currency needs no rate."""
    found = computed(source, order__notional=dollars("100"), order__trade_date=date(2026, 3, 2))
    assert found.amount == Decimal(amount)


def test_a_quotient_is_rounded_as_the_docs_say() -> None:
    """34 digits, half even, and what is computed with it rounds as well instead of failing."""
    house = HEADER + "EUR,USD,2026-03-01,2026-03-31,3,\n"
    source = 'convert(order.notional, "EUR", date("2026-03-02"), "house")'
    third = computed(source, house=house, order__notional=dollars("2"))
    assert str(third.amount) == "0." + "6" * 33 + "7"
    more = computed(f"{source} + {source}", house=house, order__notional=dollars("2"))
    assert str(more.amount) == "1." + "3" * 33


@pytest.mark.parametrize(
    ("day", "held", "wanted"),
    [
        ("2026-02-28", "USD", "EUR"),  # before the first
        ("2026-05-01", "USD", "EUR"),  # after the last
        ("2026-03-03", "CHF", "EUR"),  # the day after the only one
        ("2026-03-02", "CHF", "USD"),  # only by way of a third currency
        ("2026-03-02", "GBP", "EUR"),  # not in the table
    ],
)
def test_without_a_rate_nothing_is_known(day: str, held: str, wanted: str) -> None:
    """It is an error that names what is missing, never another day's rate."""
    found = computed(
        f'convert(order.notional, "{wanted}", date("{day}"), "house")',
        order__notional=Money(Decimal(1), held),
    )
    assert found == Unknown((), f"rates/house.csv has no rate between {held} and {wanted} on {day}")


def test_a_currency_that_facts_name_is_converted_into() -> None:
    """It need not be known at load; one that is nowhere in the table has no rate."""
    source = 'convert(order.notional, order.side, date("2026-03-02"), "house")'
    assert computed(source, order__notional=dollars("10"), order__side="EUR") == Money(Decimal(8), "EUR")
    assert computed(source, order__notional=dollars("10"), order__side="euro").error
    assert computed(source, order__notional=dollars("10")) == Unknown(("order.side",))


# What rules say


def test_a_rule_holds_dollars_against_euros() -> None:
    """On both engines; the rate that was used is among the finding's values, and private in the ledger."""
    assert findings(order__notional=dollars("1250")) == ()
    (found,) = findings(order__notional=dollars("1250.01"))
    assert found.effect is Effect.DENY
    name = "rate.house[EUR/USD, 2026-03-02]"
    assert found.values == {"order.notional": dollars("1250.01"), name: Decimal("1.25")}
    assert is_private(RELEASE, name)


def test_no_missing_policy_passes_over_a_rate_that_is_not_there() -> None:
    """`missing: skip` is for absent facts: without a rate somebody must look."""
    (found,) = findings(order__notional=Money(Decimal(1), "JPY"))
    assert (found.effect, found.cause) == (Effect.REVIEW, Cause.ERROR)
    assert "rates/house.csv has no rate between JPY and EUR on 2026-03-02" in found.message.en
    assert findings() == ()


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "“Order value” (converted into the currency of 1,000 EUR"),
        ("en", "at the rate of today in “UTC”"),
        ("es", "convertido a la divisa de 1000 EUR"),
        ("es", "al cambio de hoy en «UTC» según la tabla de cambios «house»"),
    ],
)
def test_a_conversion_has_words(language: str, words: str) -> None:
    """Explained as people say it, with the table's name."""
    (rule,) = [rule for rule in RELEASE.rules if rule.id == "a.limit"]
    text = explain_rule(RELEASE, rule, language=language)
    assert words in text
    assert "house" in text


def test_a_decision_table_has_a_converted_input() -> None:
    """Its ranges are in one currency, so that overlaps and gaps are found as for any money."""
    table = """\
- id: a.tiers
  title: {en: Tiers, es: Tramos}
  source: {law: Policy, basis: policy}
  on: order.capture
  table:
    hit: unique
    inputs: [{name: euros, value: 'convert(order.notional, "EUR", date_of(now, "UTC"), "house")'}]
    rows:
      - {euros: <= 1000.00 EUR, then: permit}
      - {euros: "> 1000.00 EUR", then: review}
  message: {en: "{order.notional} is much", es: "{order.notional} es mucho"}
  examples:
    - {name: few dollars, given: {order.notional: 1250.00 USD}, at: "2026-03-02T09:30:00Z", expect: permit}
    - {name: many dollars, given: {order.notional: 1251.00 USD}, at: "2026-03-02T09:30:00Z", expect: review}
    - {name: no rate, given: {order.notional: 1.00 JPY}, at: "2026-03-02T09:30:00Z", expect: review}
"""
    assert diagnostics_of(files(rules=table)) == ()
    (found,) = diagnostics_of(files(rules=table.replace("> 1000.00 EUR", ">= 1000.00 EUR")))
    assert found.code == "overlapping_rows"


# What is refused


@pytest.mark.parametrize(
    ("source", "code", "told"),
    [
        ('convert(order.notional, "EUR", order.trade_date, "hause") > "1 EUR"', "unknown_rates", "`house`"),
        ('convert(order.notional, "EUR", order.trade_date, "fx") > "1 EUR"', "unknown_rates", "add its file"),
        ('convert(order.notional, "EUX", order.trade_date, "house") > "1 EUR"', "bad_literal", "`EUR`"),
        (
            'convert(order.notional, "JPY", order.trade_date, "house") > "1 JPY"',
            "bad_literal",
            "CHF, EUR, USD",
        ),
        ('convert(order.notional, "EUR", now, "house") > "1 EUR"', "wrong_type", "timestamp"),
        ('convert(order.quantity, "EUR", order.trade_date, "house") > "1 EUR"', "wrong_type", "decimal"),
        ('convert(order.notional, "EUR", order.trade_date, order.side) > "1 EUR"', "wrong_type", "at load"),
        ('convert(order.notional, "EUR") > "1 EUR"', "wrong_type", "convert(money"),
        ('convert("5 EUR", "EUR", order.trade_date, "house") > "1 EUR"', "wrong_type", "string, string"),
        (
            'order.notional > convert(limit, "EUR", date("2020-01-01"), "house")',
            "constant_error",
            "2020-01-01",
        ),
    ],
)
def test_a_conversion_that_cannot_be_is_refused_at_load(source: str, code: str, told: str) -> None:
    """With its place and what to do."""
    names = Names(
        facts=NAMES.facts,
        parameters={"limit": (NAMES.facts["order.notional"], dollars("5"))},
        data=data_of_files({FILE: HOUSE}),
    )
    with pytest.raises(ConditionInvalid) as caught:
        compile_condition(source, names=names)
    (error,) = caught.value.errors
    assert error.code == code
    assert told in error.message


def test_two_currencies_still_cannot_be_compared() -> None:
    """A table of rates changes nothing where nobody converts."""
    names = Names(facts=NAMES.facts, data=data_of_files({FILE: HOUSE}))
    verdict = compile_condition('order.notional > "1 EUR"', names=names).evaluate(
        facts(order__notional=dollars("5"))
    )
    assert (verdict.truth, verdict.error) == (Truth.UNKNOWN, "USD and EUR cannot be mixed")


@pytest.mark.parametrize(
    ("text", "code", "line", "column", "told"),
    [
        ("base:string key,quote:string key,from:date key,rate:decimal\n", "bad_header", 1, 1, "until:date"),
        (HOUSE.replace("rate:decimal", "rate:int"), "bad_header", 1, 1, "rate:decimal"),
        (HEADER + "EUR,USD,2026-03-01,2026-03-31,0,\n", "bad_value", 2, 31, "more than 0"),
        (HEADER + "EUR,USD,2026-03-01,2026-03-31,-1.2,\n", "bad_value", 2, 31, "more than 0"),
        (HEADER + "EUR,USD,2026-03-01,,1.2,\n", "empty_cell", 2, 20, "until"),
        (HEADER + "EUR,USD,2026-03-31,2026-03-01,1.2,\n", "bad_value", 2, 20, "before it begins"),
        (HEADER + "EUR,EUR,2026-03-01,2026-03-31,1,\n", "bad_value", 2, 5, "to itself"),
        (HEADER + "EUR,usd,2026-03-01,2026-03-31,1.2,\n", "bad_value", 2, 5, "three letters"),
        (HOUSE + "EUR,USD,2026-03-31,2026-04-01,1.3,\n", "overlapping_rates", 3, 9, "line 5"),
        (HOUSE + "USD,EUR,2026-03-15,2026-03-20,0.9,\n", "overlapping_rates", 5, 9, "one direction"),
        (HOUSE + "EUR,USD,2026-03-01,2026-03-02,1.3,\n", "duplicate_key", 5, 1, "line 2"),
    ],
)
def test_a_table_that_says_two_things_or_nonsense_is_refused(
    text: str, code: str, line: int, column: int, told: str
) -> None:
    """At the cell, and told once although the rule that uses it cannot be compiled either."""
    found = diagnostics_of(files(house=text))
    assert code in {item.code for item in found}
    assert {item.file for item in found} == {FILE}
    first = next(item for item in found if item.code == code)
    assert (first.line, first.column) == (line, column)
    assert told in first.message


# What rests on it


def test_a_release_keeps_rates_and_knows_them_again() -> None:
    """The order of rows and notes change nothing that a condition could read."""
    header, *rows = HOUSE.splitlines(keepends=True)
    again = compile_release(files(house="".join([header, *reversed(rows)]).replace("March", "Marzo")))
    assert again.digest == RELEASE.digest
    assert release_from_document(RELEASE.document).document == RELEASE.document


@pytest.mark.parametrize(
    ("old", "new", "changes"), [("1.6", "1.61", True), ("1.6", "1.60", False), ("04-30", "04-29", True)]
)
def test_a_rule_changes_with_its_rates(old: str, new: str, changes: bool) -> None:
    """With their values, not with how they are written."""

    def version(release: Release) -> str:
        return next(rule.version for rule in release.rules if rule.id == "a.limit")

    assert HOUSE.count(old) == 1
    assert (version(compile_release(files(house=HOUSE.replace(old, new)))) != version(RELEASE)) is changes


def changes(**changed: str) -> list[Change]:
    found = difference(rule_set(files()), rule_set(files(**changed)))
    return [change for change in found.changes if change.kind is not ChangeClass.NEUTRAL]


def test_other_rates_are_told_and_nothing_is_claimed_about_them() -> None:
    """One rate higher and one lower: no proof sees which requests that moves."""
    (change,) = changes(house=HOUSE.replace("1.6", "1.5"))
    assert (change.what, change.kind) == ("data", ChangeClass.NOT_PROVED)
    assert "rate.house" in change.reason
    assert change.before == "rate.house: EUR/USD from 2026-04-01 to 2026-04-30: 1.6"
    assert change.after == "rate.house: EUR/USD from 2026-04-01 to 2026-04-30: 1.5"


def test_another_limit_on_a_converted_amount_is_proved() -> None:
    """Whatever the rates are: the amount is one unknown number for both."""
    pytest.importorskip("z3")
    (change,) = changes(rules=LIMIT.replace("value: 1000.00 EUR", "value: 1100.00 EUR"))
    assert (change.what, change.kind) == ("parameter", ChangeClass.LOOSENING)
    (shown,) = change.shown
    assert (shown.before, shown.after) == (Effect.DENY, None)
