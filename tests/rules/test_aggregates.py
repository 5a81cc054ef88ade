"""Aggregates in rule files: what they mean, how conditions read them, and when they say nothing."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from controls.model.chain import ChainHistory
from controls.model.condition import Facts, Truth
from controls.model.finding import Cause, Effect, Finding
from controls.model.values import Money
from controls.model.window import Gap, Window
from controls.rules.aggregates import Counting, read_aggregates
from controls.rules.engine import build_engine
from controls.rules.release import Release, compile_release, release_from_document
from tests.rules.rule_sets import FIXTURES, desk_files, diagnostics_of, read_folder

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
EUR = Money(Decimal(5), "EUR")


def counting_files() -> dict[str, str]:
    return read_folder(FIXTURES / "counting")


def counting() -> Release:
    return compile_release(counting_files())


def window_of(*amounts: Decimal | Money | None) -> Window:
    """A window with these amounts in it."""
    window = Window()
    for amount in amounts:
        window = window.followed_by(window.following(at=0, amount=amount))
    return window


def test_a_file_says_what_is_counted() -> None:
    """Actions, group, window and which answers count come from the file; the defaults are the strict ones."""
    found = counting().aggregates
    assert set(found) == {f"aggregate.{name}" for name in (
        "orders_of_account", "recent_same_orders", "value_of_account", "quotes", "quoted", "legs", "priced",
    )}  # fmt: skip
    same = found["aggregate.recent_same_orders"]
    assert same.actions == {"order.capture"}
    assert same.by == ("order.account", "order.instrument", "order.quantity")
    assert (same.within, same.counting, same.others_only) == (timedelta(seconds=30), Counting.ASKED, True)
    value = found["aggregate.value_of_account"]
    assert (value.amount, str(value.type), value.counting) == ("order.notional", "money", Counting.GRANTED)
    assert not found["aggregate.quotes"].others_only


def test_what_private_facts_are_counted_by_stays_private() -> None:
    """An aggregate may be shown when all that it is made of may be."""
    public = {name.partition(".")[2] for name, item in counting().aggregates.items() if item.public}
    assert public == {"orders_of_account", "quotes", "quoted", "legs"}


def test_the_stored_release_has_the_same_aggregates() -> None:
    """Nothing is lost between the files and the document in the ledger."""
    release = counting()
    assert release_from_document(release.document).aggregates == release.aggregates


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("within: PT30S", "within: PT31S"),
        ("count: [order.capture]", "count: [order.approve]"),
        ("order.instrument, order.quantity]", "order.instrument]"),
        ("within: PT30S", "within: PT30S\n  counting: granted"),
        ("  within: PT30S\n  others_only: true", "  within: PT30S"),
        ("recent_same_orders", "recent_like_orders"),
    ],
)
def test_the_version_changes_with_what_is_counted(old: str, new: str) -> None:
    """What changes what is observed makes another aggregate, and another rule of each that reads it."""
    files = counting_files()
    changed = {path: text.replace(old, new) for path, text in files.items()}
    assert changed != files
    before, after = counting(), compile_release(changed)
    name = "aggregate.recent_like_orders" if "like" in new else "aggregate.recent_same_orders"
    assert after.aggregates[name].version != before.aggregates["aggregate.recent_same_orders"].version
    versions = [{rule.id: rule.version for rule in release.rules} for release in (before, after)]
    assert {rule for rule in versions[0] if versions[0][rule] != versions[1][rule]} == {"seen.same"}


def test_the_version_changes_with_the_type_of_a_fact() -> None:
    """Values of another type have other texts, so what was grouped by the old ones does not count on."""
    files = counting_files()
    files["vocabulary.yaml"] = files["vocabulary.yaml"].replace(
        "order.quantity:   {type: decimal", "order.quantity:   {type: int"
    )
    name = "aggregate.recent_same_orders"
    assert compile_release(files).aggregates[name].version != counting().aggregates[name].version


def test_the_version_does_not_change_with_words_and_order() -> None:
    """A title is not what is counted."""
    files = counting_files()
    files["aggregates/orders.yaml"] = files["aggregates/orders.yaml"].replace("Orders alike", "Same orders")
    assert {item.version for item in compile_release(files).aggregates.values()} == {
        item.version for item in counting().aggregates.values()
    }


# --- Conditions -----------------------------------------------------------------------------------------


def findings(action: str, values: dict[str, Any], gaps: dict[str, Gap] | None = None) -> dict[str, Finding]:
    """What both engines find, by rule."""
    with closing(build_engine("both", counting().rules)) as engine:
        found = engine.evaluate(action, Facts(values, ChainHistory("", "x"), NOW, gaps))
    return {item.rule: item for item in found}


def test_a_rule_quotes_the_aggregate_that_made_it_fire() -> None:
    """The value is in the finding and in the message."""
    name = "aggregate.orders_of_account"
    found = findings("order.capture", {name: 3})["limit.orders"]
    assert (found.effect, found.values, found.message.en) == (Effect.DENY, {name: 3}, "3 orders already")
    assert "limit.orders" not in findings("order.capture", {name: 2})


def test_an_aggregate_without_its_group_names_the_fact() -> None:
    """Who reads the answer learns which fact to send, and `missing` says what follows."""
    gaps = {
        "aggregate.orders_of_account": Gap(missing=("order.account",)),
        "aggregate.recent_same_orders": Gap(missing=("order.instrument",)),
    }
    found = findings("order.capture", {}, gaps)
    assert (found["limit.orders"].cause, found["limit.orders"].missing) == (Cause.MISSING, ("order.account",))
    assert "seen.same" not in found  # it says `missing: skip`


def test_an_aggregate_that_cannot_be_computed_is_an_error() -> None:
    """It leads to a review at the least, also where the rule would skip what is missing."""
    found = findings("quote.look", {}, {"aggregate.priced": Gap(error="EUR and USD")})["limit.priced"]
    assert (found.effect, found.cause) == (Effect.REVIEW, Cause.ERROR)
    assert "EUR and USD" in found.message.en
    assert findings("quote.look", {}, {"aggregate.priced": Gap(missing=("quote.account",))}) == {}


def test_has_does_not_hide_an_error() -> None:
    """`has(aggregate.x)` is false when nothing was asked for, and unknown when it could not be computed."""
    files = counting_files()
    files["regulatory/limits/quotes.yaml"] = files["regulatory/limits/quotes.yaml"].replace(
        'when: aggregate.priced > "100.00 EUR"',
        'when: has(aggregate.priced) && aggregate.priced > "100.00 EUR"',
    )
    (rule,) = [rule for rule in compile_release(files).rules if rule.id == "limit.priced"]

    def truth(gap: Gap | None) -> Truth:
        gaps = None if gap is None else {"aggregate.priced": gap}
        return rule.condition.evaluate(Facts({}, ChainHistory("", "x"), NOW, gaps)).truth

    assert truth(None) is truth(Gap(missing=("quote.account",))) is Truth.FALSE
    assert truth(Gap(error="mixed")) is Truth.UNKNOWN


# --- Values ---------------------------------------------------------------------------------------------


def value(name: str, window: Window, *, own: Window | None = None, **facts: Any) -> Any:
    """What an aggregate says: its value, or the gap."""
    aggregate = counting().aggregates[f"aggregate.{name}"]
    stated = {fact.replace("_", ".", 1): item for fact, item in facts.items()}
    reading = read_aggregates([aggregate], stated, lambda _aggregate: (window, own or Window()))
    return reading.values.get(aggregate.name, reading.gaps.get(aggregate.name))


def test_counts_and_sums_have_the_type_of_the_condition() -> None:
    """A count is an int; a sum has the type of its fact."""
    assert value("quotes", window_of(None, None)) == 2
    assert value("quoted", window_of(Decimal("0.1"), Decimal("0.2")), quote_account="A") == Decimal("0.3")
    legs = value("legs", window_of(Decimal(2), Decimal(3)), quote_account="A", person_id="p-1")
    assert (legs, legs.__class__) == (5, int)
    assert value("priced", window_of(EUR, EUR), quote_account="A") == Money(Decimal(10), "EUR")


def test_what_is_about_the_same_resource_is_taken_off() -> None:
    """`others_only` leaves it out of count and sum."""
    both, own = window_of(EUR, EUR, EUR), window_of(EUR)
    assert value("orders_of_account", both, own=own, order_account="A") == 2
    assert value("value_of_account", both, own=own, order_account="A") == Money(Decimal(10), "EUR")


def test_the_sum_of_no_money_has_the_currency_of_the_request() -> None:
    """Nothing is nothing in any currency; without one, the fact is missing."""
    assert value("priced", Window(), quote_account="A", quote_price=EUR) == Money(Decimal(0), "EUR")
    assert value("priced", Window(), quote_account="A") == Gap(("quote.price",))
    assert value("quoted", Window(), quote_account="A") == Decimal(0)


@pytest.mark.parametrize("amounts", [(EUR, Money(Decimal(1), "USD")), (EUR, None), (None,)])
def test_a_sum_in_two_currencies_or_with_one_unstated_is_an_error(amounts: tuple[Money | None, ...]) -> None:
    """There is no number to compare, so there is none to permit by."""
    found = value("priced", window_of(*amounts), quote_account="A", quote_price=EUR)
    assert isinstance(found, Gap)
    assert "cannot be summed" in found.error


def test_a_sum_that_is_not_exact_is_an_error() -> None:
    """34 digits is what conditions compute with."""
    exact = window_of(Decimal(9999999999999999999999999999), Decimal("0.000001"))
    assert value("quoted", exact, quote_account="A") == Decimal("9999999999999999999999999999.000001")
    found = value("quoted", window_of(Decimal("1E+28"), Decimal("1E-28")), quote_account="A")
    assert isinstance(found, Gap)
    assert "34 digits" in found.error
    large = window_of(Decimal(10**28 - 1), Decimal(1))
    assert isinstance(value("legs", large, quote_account="A", person_id="p-1"), Gap)


def test_a_request_without_its_group_is_told_what_it_lacks() -> None:
    """All of the facts that are missing, not only the first."""
    assert value("recent_same_orders", Window(), order_account="A") == Gap(
        ("order.instrument", "order.quantity")
    )


# --- What a file may not say ----------------------------------------------------------------------------

SOUND = """\
aggregate: recent
count: order.capture
by: [order.account]
within: PT30S
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("aggregate:", "agregate:", "did you mean 'aggregate'?"),
        ("order.capture", "order.captur", "did you mean 'order.capture'?"),
        ("[order.account]", "[order.acount]", "did you mean 'order.account'?"),
        ("[order.account]", "[order.lines]", "nothing can be grouped by a list"),
        ("[order.account]", "[subject.id]", "write person.id"),
        ("PT30S", "30s", "write a duration"),
        ("PT30S", "P367D", "from PT1S to P366D"),
        ("PT30S", "PT0.5S", "from PT1S to P366D"),
        ("count: order.capture", "sum: order.notional", "say `of` which actions"),
        ("count: order.capture", "sum: order.side\nof: order.capture", "a string cannot be summed"),
        ("count: order.capture\n", "", "write `count` with actions"),
        ("within:", "of: order.capture\nwithin:", "`of` belongs to `sum`"),
        ("within:", "sum: order.notional\nof: order.capture\nwithin:", "either counts or sums"),
        ("order.capture", "review.resolve", "acts of the service itself are not counted"),
        ("within:", "counting: always\nwithin:", "'always' is not one of"),
    ],
)
def test_messages_say_what_to_do(old: str, new: str, message: str) -> None:
    """Each mistake is reported once, with what to write instead."""
    files = desk_files() | {"aggregates/recent.yaml": SOUND}
    assert diagnostics_of(files) == ()
    found = diagnostics_of(files | {"aggregates/recent.yaml": SOUND.replace(old, new)})
    assert any(message in item.message for item in found), found


def condition(text: str, *, on: str = "order.capture") -> dict[str, str]:
    """The desk with an aggregate and a rule that says `text`."""
    rule = f"""\
id: r.one
title: {{en: A, es: B}}
source: {{law: Policy, basis: policy}}
on: {on}
when: {text}
then: deny
message: {{en: A, es: B}}
examples:
  - {{name: permit, given: {{aggregate.recent: 1}}, expect: permit}}
  - {{name: deny, given: {{aggregate.recent: 9}}, expect: deny}}
"""
    return desk_files() | {"aggregates/recent.yaml": SOUND, "regulatory/a/b.yaml": rule}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("aggregate.recnt > 3", "did you mean `aggregate.recent`?"),
        ("aggregate.recent > '3'", "without quotes"),
        ("aggregate.recent", "a condition is true or false; this is int"),
    ],
)
def test_conditions_are_checked_against_the_aggregates(text: str, message: str) -> None:
    """Names and types, with suggestions."""
    assert diagnostics_of(condition("aggregate.recent > 3")) == ()
    found = diagnostics_of(condition(text))
    assert any(message in item.message for item in found), found


def test_only_rules_read_aggregates() -> None:
    """A grant or a duty cannot, and the diagnostic says so."""
    files = condition("aggregate.recent > 3")
    files["roles.yaml"] = files["roles.yaml"].replace(
        "subject.desk ==", "aggregate.recent > 3 && subject.desk =="
    )
    (found,) = diagnostics_of(files)
    assert (found.file, found.code) == ("roles.yaml", "unknown_name")
    assert "only conditions of rules" in found.message


def test_rules_on_acts_of_the_service_read_none() -> None:
    """Nobody could resolve a review under such a rule."""
    (found,) = diagnostics_of(condition("aggregate.recent > 3", on="review.resolve"))
    assert found.code == "reserved_resource"


def test_what_is_broken_is_reported_once() -> None:
    """A wrong aggregate is reported in its file, and not again by the rules that read it."""
    files = condition("aggregate.recent > 3")
    files["aggregates/recent.yaml"] = SOUND.replace("PT30S", "P400D")
    assert [item.file for item in diagnostics_of(files)] == ["aggregates/recent.yaml"]
    files["aggregates/recent.yaml"] = SOUND + "  broken"
    assert {item.file for item in diagnostics_of(files)} == {"aggregates/recent.yaml"}
