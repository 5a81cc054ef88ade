"""What a rule's verdict becomes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controls.model.condition import Truth, Verdict
from controls.model.finding import Cause, Effect, Finding, Origin, Source, Text
from controls.rules.findings import finding_of
from controls.rules.rule import MissingPolicy, Parameter, Rule
from tests.rules.synthetic import a_rule, facts_of, leaf

UNKNOWN = Verdict(Truth.UNKNOWN, read={"order.side": "buy"}, missing=("order.notional",))
ERROR = replace(UNKNOWN, error="division by zero")


def finding(rule: Rule, verdict: Verdict) -> Finding | None:
    return finding_of(rule, verdict=verdict, facts=facts_of({"order.quantity": 100}))


@pytest.mark.parametrize("effect", list(Effect))
def test_a_true_rule_speaks_with_its_own_effect(effect: Effect) -> None:
    """`then` is the effect, and the finding carries what the rule and its verdict say."""
    source = Source("MiFID II", "16(3)", "law")
    rule = replace(a_rule(leaf("a"), id="pre.limit"), then=effect, version="7", sources=(source,))
    assert finding(rule, Verdict(Truth.TRUE, read={"order.notional": 5})) == Finding(
        rule="pre.limit",
        version="7",
        origin=Origin.RULE,
        effect=effect,
        title=rule.title,
        message=Text(en="It fired", es="Se disparó"),
        cause=Cause.FIRED,
        values={"order.notional": 5},
        sources=(source,),
    )


def test_a_false_rule_is_silent() -> None:
    """Nothing is found, even if facts were missing that did not matter."""
    assert finding(a_rule(leaf("a")), replace(ERROR, truth=Truth.FALSE)) is None


@pytest.mark.parametrize(
    ("missing", "effect"),
    [(MissingPolicy.REVIEW, Effect.REVIEW), (MissingPolicy.DENY, Effect.DENY)],
)
def test_an_unknown_rule_follows_its_missing_policy(missing: MissingPolicy, effect: Effect) -> None:
    """The finding says which facts are missing, in both languages; `then` plays no part."""
    found = finding(replace(a_rule(leaf("a")), missing=missing, then=Effect.FLAG), UNKNOWN)
    assert found is not None
    assert (found.effect, found.cause, found.missing) == (effect, Cause.MISSING, ("order.notional",))
    assert found.values == {"order.side": "buy"}
    assert "order.notional" in found.message.en
    assert "order.notional" in found.message.es


def test_an_unknown_rule_may_be_skipped() -> None:
    """With `missing: skip` the rule is silent."""
    assert finding(replace(a_rule(leaf("a")), missing=MissingPolicy.SKIP), UNKNOWN) is None


def test_an_unknown_rule_without_a_missing_fact_still_speaks() -> None:
    """Unknown for no named reason is as good as missing."""
    found = finding(a_rule(leaf("a")), Verdict(Truth.UNKNOWN))
    assert found is not None
    assert (found.effect, found.cause) == (Effect.REVIEW, Cause.MISSING)


@pytest.mark.parametrize(
    ("missing", "effect"),
    [
        (MissingPolicy.REVIEW, Effect.REVIEW),
        (MissingPolicy.SKIP, Effect.REVIEW),
        (MissingPolicy.DENY, Effect.DENY),
    ],
)
@pytest.mark.parametrize("then", list(Effect))
def test_an_error_asks_for_a_review_at_least(missing: MissingPolicy, effect: Effect, then: Effect) -> None:
    """Neither `skip` nor a mild `then` silences an error; `missing: deny` makes it a denial."""
    found = finding(replace(a_rule(leaf("a")), missing=missing, then=then), ERROR)
    assert found is not None
    assert (found.effect, found.cause) == (effect, Cause.ERROR)
    assert "division by zero" in found.message.en
    assert "division by zero" in found.message.es


@pytest.mark.parametrize("verdict", [Verdict(Truth.TRUE), UNKNOWN, ERROR])
def test_an_observed_rule_is_marked(verdict: Verdict) -> None:
    """`mode: observe` is on the finding, whatever its cause."""
    found = finding(replace(a_rule(leaf("a")), observe=True), verdict)
    assert found is not None
    assert found.observed


def test_messages_quote_facts_and_parameters() -> None:
    """A message may name what the condition read, other facts of the request, and parameters."""
    rule = replace(
        a_rule(leaf("a")),
        message=Text(
            en="{order.notional} of {order.quantity} passes {threshold}",
            es="{order.notional} de {order.quantity} supera {threshold}",
        ),
        parameters={"threshold": Parameter(10, "integer", "policy")},
    )
    found = finding(rule, Verdict(Truth.TRUE, read={"order.notional": 12}))
    assert found is not None
    assert found.message.en == "12 of 100 passes 10"
    assert found.message.es == "12 de 100 supera 10"
