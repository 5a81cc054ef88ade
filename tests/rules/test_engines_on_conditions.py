"""Both engines over real condition text: what a condition says by itself is what they find."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controls.model.chain import ChainHistory
from controls.model.condition import Facts
from controls.model.finding import Cause, Text
from controls.model.values import Money
from controls.rules.condition import Names, compile_condition
from controls.rules.engine import build_engine
from controls.rules.findings import finding_of
from controls.rules.rule import MissingPolicy, Parameter, Rule
from controls.rules.types import MONEY
from tests.conftest import LONG_RUN
from tests.rules.strategies import NAMES, NOW, conditions, random_facts, random_history
from tests.rules.synthetic import ACTION, a_rule, leaf

REQUESTS = 20  # to each generated rule set


def rule_of(source: str, *, id: str = "rule", names: Names = NAMES) -> Rule:
    return replace(a_rule(leaf("none"), id=id), condition=compile_condition(source, names=names))


def facts_of(**values: object) -> Facts:
    named: dict[str, Any] = {name.replace("__", "."): value for name, value in values.items()}
    return Facts(named, ChainHistory("order_to_settlement", "o-1"), NOW)


def euros(amount: str) -> Money:
    return Money(Decimal(amount), "EUR")


@pytest.mark.fuzz
@pytest.mark.differential
@given(
    sources=st.lists(conditions(), min_size=1, max_size=5),
    seeds=st.lists(st.integers(0, 2**32), min_size=REQUESTS, max_size=REQUESTS),
)
@settings(max_examples=10_000 if LONG_RUN else 100, suppress_health_check=list(HealthCheck))
def test_engines_find_what_conditions_say(sources: list[str], seeds: list[int]) -> None:
    """On generated texts, facts and chains, errors and missing facts included.

    2,000 requests to 100 rule sets; 200,000 to 10,000 in `make fuzz`.
    """
    rules = [
        replace(rule_of(source, id=f"rule{number}"), missing=list(MissingPolicy)[number % 3])
        for number, source in enumerate(sources)
    ]
    durable, reference = build_engine("durable", rules), build_engine("reference", rules)
    with closing(durable), closing(reference):
        for seed in seeds:
            random = Random(seed)
            facts = Facts(random_facts(random, NAMES), random_history(random, NAMES), NOW)
            found = (finding_of(rule, verdict=rule.condition.evaluate(facts), facts=facts) for rule in rules)
            wanted = tuple(finding for finding in found if finding is not None)
            assert durable.evaluate(ACTION, facts) == wanted
            assert reference.evaluate(ACTION, facts) == wanted


def test_parameters_of_one_name_are_told_apart() -> None:
    """Two rules whose texts are equal and whose thresholds differ do not share a leaf."""
    rules = [
        replace(
            rule_of(
                "order.notional > threshold",
                id=name,
                names=replace(NAMES, parameters={"threshold": (MONEY, euros(amount))}),
            ),
            message=Text(en="{order.notional} passes {threshold}", es="{order.notional} supera {threshold}"),
            parameters={"threshold": Parameter(euros(amount), "money", "policy")},
        )
        for name, amount in (("high", "500"), ("low", "100"))
    ]
    with closing(build_engine("both", rules)) as engine:
        (found,) = engine.evaluate(ACTION, facts_of(order__notional=euros("200")))
    assert (found.rule, found.cause) == ("low", Cause.FIRED)
    assert found.message == Text(en="200.00 EUR passes 100.00 EUR", es="200,00 EUR supera 100,00 EUR")
    assert found.values == {"order.notional": euros("200")}


def test_mixed_currencies_are_an_error_and_missing_facts_are_named() -> None:
    """What cannot be computed is an error; what is absent is missing; both engines tell them apart."""
    rules = [rule_of("order.notional > account.open_exposure")]
    dollars = Money(Decimal(1), "USD")
    with closing(build_engine("both", rules)) as engine:
        (error,) = engine.evaluate(
            ACTION, facts_of(order__notional=euros("1"), account__open_exposure=dollars)
        )
        (missing,) = engine.evaluate(ACTION, facts_of(order__notional=euros("1")))
    assert error.cause is Cause.ERROR
    assert (missing.cause, missing.missing) == (Cause.MISSING, ("account.open_exposure",))
