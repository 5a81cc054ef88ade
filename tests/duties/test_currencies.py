"""Amounts in conditions of duties and grants are held against limits as in rules, in any currency."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.bootstrap import read_rule_files, shipped
from controls.decide import ActiveRelease, Situation, decide
from controls.model.chain import Act, ActState, Capacity, ChainHistory
from controls.model.decision import Decision
from controls.model.finding import Cause, Effect, Finding
from controls.model.people import Account, Person
from controls.model.request import Request
from controls.rules.release import compile_release
from controls.rules.vocabulary import read_facts
from controls.services.activate import activate
from tests.rules.rule_sets import desk_files
from tests.rules.test_rates import HOUSE

LIMIT = 'convert(order.notional, "EUR", date_of(now, "UTC"), "house") > "1000.00 EUR"'
RULE = f"""\
- id: a.limit
  title: {{en: Above the limit, es: Por encima del límite}}
  source: {{law: Policy, basis: policy}}
  on: order.approve
  when: {LIMIT}
  then: flag
  message: {{en: "{{order.notional}}", es: "{{order.notional}}"}}
  examples:
    - {{name: above, given: {{order.notional: 1000.01 EUR}}, expect: flag}}
    - {{name: below, given: {{order.notional: 1000.00 EUR}}, expect: permit}}
"""
DUTY = f"""\
- {{id: limit_apart, kind: separate, steps: [capture, approve], when: '{LIMIT}', then: review}}
"""
GRANT = f"  - {{role: risk_officer, actions: [approve], resource: order, when: '{LIMIT}'}}\n"
PLAIN = "  - {role: risk_officer, actions: [approve], resource: order}\n"
MOMENTS = [datetime(2026, 3, 2, 9, tzinfo=UTC), datetime(2026, 4, 2, 9, tzinfo=UTC)]


@pytest.fixture(scope="module")
def active() -> Iterator[ActiveRelease]:
    """The desk with one limit as a rule, as the condition of a duty, and as that of the only grant."""
    files = desk_files()
    assert PLAIN in files["roles.yaml"]
    files = {
        **files,
        "roles.yaml": files["roles.yaml"].replace(PLAIN, GRANT),
        "rates/house.csv": HOUSE,
        "regulatory/a/limit.yaml": RULE,
        "duties/limit.yaml": DUTY,
    }
    release = activate(compile_release(files), engine="both")
    yield release
    release.engine.close()


def decided(
    active: ActiveRelease,
    notional: str,
    now: datetime,
    *,
    action: str = "approve",
    role: str = "risk_officer",
) -> Decision:
    """Whoever captured an order asks to take the next step on it."""
    facts = {
        "order.account": "A-1",
        "order.instrument": "I-1",
        "order.side": "buy",
        "order.quantity": "1",
        "order.notional": notional,
        "account.open_exposure": notional.replace(notional.split(maxsplit=1)[0], "0.00"),
    }
    reading = read_facts(active.release.vocabulary, facts)
    act = Act(
        claim="c", decision="d", chain="O-1", step="capture", person="p-1", account="acc",
        capacity=Capacity.ACTOR, state=ActState.PERFORMED, at=now, done_at=now, valid_until=now,
        index=1,
    )  # fmt: skip
    kind = active.release.chains["order"]
    situation = Situation(
        reading=reading,
        account=Account("ana", "acc", Person("p-1", frozenset({role}))),
        history=ChainHistory(kind.id, "O-1", (act,)),
        now=now,
    )
    request = Request("dec", "account", "ana", action, "order", "O-1", facts)
    return decide(request, situation, active=active)


def found(decision: Decision, rule: str) -> Finding | None:
    return next((item for item in decision.findings if item.rule == rule), None)


@given(
    cents=st.integers(1, 300_000),
    currency=st.sampled_from(["EUR", "USD", "CHF", "GBP", "JPY"]),
    now=st.sampled_from(MOMENTS),
)
def test_a_limit_is_one_limit(active: ActiveRelease, cents: int, currency: str, now: datetime) -> None:
    """Rule, duty and grant say the same of any amount on any day; without a rate the rule asks for a review,
    the duty applies, and the grant is not given."""
    decision = decided(active, f"{cents // 100}.{cents % 100:02} {currency}", now)
    rule, duty = found(decision, "a.limit"), found(decision, "limit_apart")
    granted = found(decision, "no_grant") is None and found(decision, "grant_unknown") is None
    if rule is None:
        assert (duty, granted) == (None, False)
        assert found(decision, "no_grant") is not None
        return
    assert duty is not None
    assert rule.cause is duty.cause
    if rule.cause is Cause.FIRED:
        assert (rule.effect, granted) == (Effect.FLAG, True)
    else:
        unknown = found(decision, "grant_unknown")
        assert unknown is not None
        assert rule.cause is unknown.cause is Cause.ERROR
        assert (rule.effect, duty.effect, granted) == (Effect.REVIEW, Effect.REVIEW, False)


@pytest.mark.parametrize(
    ("notional", "now", "above"),
    [
        ("1250.00 USD", MOMENTS[0], False),  # 1,000 EUR at 1.25
        ("1250.01 USD", MOMENTS[0], True),
        ("1600.00 USD", MOMENTS[1], False),  # 1,000 EUR at 1.6
        ("1600.01 USD", MOMENTS[1], True),
        ("952.39 CHF", MOMENTS[0], True),  # 1,000.0095 EUR at 1.05
        ("952.38 CHF", MOMENTS[0], False),
        ("1000.00 EUR", MOMENTS[0], False),
    ],
)
def test_to_the_cent_at_the_rate_of_the_day(
    active: ActiveRelease, notional: str, now: datetime, *, above: bool
) -> None:
    """In either direction of the table."""
    decision = decided(active, notional, now)
    assert (found(decision, "limit_apart") is not None) is above
    assert (found(decision, "no_grant") is None) is above


@pytest.fixture(scope="module")
def pack() -> Iterator[ActiveRelease]:
    """The shipped rules, whose table has one rate: that of the currency for tests."""
    release = activate(compile_release(read_rule_files(shipped("rules"))), engine="reference")
    yield release
    release.engine.close()


@pytest.mark.parametrize(
    ("notional", "small", "large"),
    [
        ("250000.00 EUR", True, False),
        ("250000.01 EUR", False, False),
        ("500000.00 XTS", True, False),  # 0.5 EUR each
        ("500000.02 XTS", False, False),
        ("1000000.01 EUR", False, True),
        ("2000000.02 XTS", False, True),
        ("2000000.00 XTS", False, False),
        ("1.00 USD", False, True),  # no rate: not known to be small, and not known not to be large
    ],
)
def test_the_limits_of_the_shipped_duties_and_grants(
    pack: ActiveRelease, notional: str, *, small: bool, large: bool
) -> None:
    """Small orders may be approved on the desk, and large ones are not captured and executed by one person,
    whatever their currency."""
    now = datetime(2026, 3, 2, 9, tzinfo=UTC)
    approval = decided(pack, notional, now, role="senior_trader")
    assert ({item.rule for item in approval.findings}.isdisjoint({"no_grant", "grant_unknown"})) is small
    execution = decided(pack, notional, now, action="execute", role="trader")
    assert (found(execution, "capture_execute_large") is not None) is large
