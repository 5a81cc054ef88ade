"""No shipped rule falls silent because a request leaves something out.

Every example of every rule that ends in a finding is asked again without each of the facts that the rule's
condition reads, and without each field of the rows in its lists. All rules that watch the action answer, so
that the one that asks for what is absent may be another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache

from controls.model.condition import Facts
from controls.model.finding import Effect, Finding
from controls.model.values import Value
from controls.rules.engine import Engine, build_engine
from controls.rules.examples import facts_of_example
from controls.rules.rule import Example, Rule
from controls.rules.vocabulary import read_facts
from tests.rules.shipped_desk import shipped_release

# A fact of a rule that may be left out unnoticed, and why.
CLAIMED_ONLY = "an event: whoever claims it states it, and who leaves it out claims nothing"
SERVICE_TELLS = "order.service, stated of every order, says whether it is advised; this only says so again"
ONLY_SIGN = "the only part that the example states of what it does not say to be there"
HELD_AGAINST = (
    "held against the rest where it is stated; the rule that goes by it asks for it where it must be"
)
OPTIONAL: Mapping[tuple[str, str], str] = {
    ("all.plausible", "market.last_price"): HELD_AGAINST,
    ("all.plausible", "order.deviation_approved_at"): HELD_AGAINST,
    ("cap.permissions_plausible", "order.principal_consent_at"): HELD_AGAINST,
    ("cap.permissions_plausible", "personal.precleared_until"): HELD_AGAINST,
    ("cap.suitability", "order.recommended"): SERVICE_TELLS,
    ("cap.suitability_profile_age", "order.recommended"): SERVICE_TELLS,
    ("cnf.us_client_notice_deadline", "client.category"): "a dealer has no other sign that a client is there",
    ("exe.sequence_priority", "order.earlier_comparable_order"): CLAIMED_ONLY,
    ("org.legal_hold", "order.legal_hold"): CLAIMED_ONLY + ", and the years of retention run without it",
    ("pre.circumstances_stated", "cross.price_basis"): ONLY_SIGN,
    ("pre.circumstances_stated", "fund.exposures"): ONLY_SIGN,
    **{
        ("pre.override_stated", f"override.{part}"): ONLY_SIGN
        for part in ("order", "risk_verifier", "authoriser", "authorised_at", "expires_at")
    },
    ("pre.margin.plausible", "margin.deficit_before"): HELD_AGAINST,
    ("set.settlement_plausible", "order.principal_consent_at"): HELD_AGAINST,
    ("pre.override_review", "override.blocked_by"): CLAIMED_ONLY + ": what blocked it goes on blocking",
}

# What makes an order special, stated of one where nothing does but that the firm manages the account: an
# example's own facts come on top.
CIRCUMSTANCES = {
    "order.service": "execution_only",
    "personal.access_person": False,
    "client.pdmr": False,
    "order.agency_cross": False,
    "account.advised": True,
    "account.margin": False,
    "fund.regime": "none",
    "order.cross_trade": False,
    "instrument.new_issue": False,
}


@cache
def engine() -> Engine:
    return build_engine("reference", shipped_release().rules)


@cache
def readers(fact: str) -> frozenset[str]:
    """The rules whose condition reads the fact."""
    return frozenset(rule.id for rule in shipped_release().rules if fact in rule.condition.names)


def said(rule: Rule, example: Example, facts: Facts) -> tuple[Finding, ...]:
    """What all rules that watch the example's action say."""
    return engine().evaluate(example.action or rule.on[0], facts)


def holds(finding: Finding) -> bool:
    return finding.effect in (Effect.REVIEW, Effect.DENY)


def without(facts: Facts, fact: str) -> Iterator[tuple[str, Facts]]:
    """The facts without this one, and without each field of its rows."""
    values = facts.values
    yield fact, replace(facts, values={name: item for name, item in values.items() if name != fact})
    value = values[fact]
    rows = [row for row in value if isinstance(row, Mapping)] if isinstance(value, tuple) else []
    for field in sorted({field for row in rows for field in row}):
        left: Value = tuple({name: item for name, item in row.items() if name != field} for row in rows)
        yield f"{fact}[].{field}", replace(facts, values={**values, fact: left})


def told(rule: Rule, fact: str, before: tuple[Finding, ...], after: tuple[Finding, ...]) -> bool:
    """Whether something speaks up for the fact: the rule itself, or one that reads it and said otherwise.

    Where the rule held the action up, something must go on holding it.
    """
    held = any(item.rule == rule.id and holds(item) for item in before)
    return any(
        holds(item) or not held
        for item in after
        if item.rule == rule.id or (item.rule in readers(fact) and item not in before)
    )


def left_out() -> Iterator[tuple[str, str, bool]]:
    """Rule, fact and whether anything was said without it: of each example that ends in a finding."""
    release = shipped_release()
    ordinary = read_facts(release.vocabulary, CIRCUMSTANCES).values
    for rule in release.rules:
        for example in rule.examples:
            given = facts_of_example(release, rule, example)
            facts = replace(given, values={**ordinary, **given.values})
            before = said(rule, example, facts)
            if not any(item.rule == rule.id for item in before):
                facts, before = given, said(rule, example, given)  # an example of what is not stated
            if not any(item.rule == rule.id for item in before):
                continue
            for fact in sorted(rule.condition.names & facts.values.keys() & release.vocabulary.facts.keys()):
                for name, left in without(facts, fact):
                    yield rule.id, name, told(rule, fact, before, said(rule, example, left))


def test_what_is_left_out_of_an_example_never_silences_its_rule() -> None:
    """But for the few facts that describe an event, each of which is still needed on the list."""
    asked = list(left_out())
    assert len({rule for rule, _, _ in asked}) > 100
    assert len(asked) > 1_500
    assert {(rule, fact) for rule, fact, heard in asked if not heard} == OPTIONAL.keys()
