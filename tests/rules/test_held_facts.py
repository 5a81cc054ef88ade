"""What the rules of several steps go by is the same at all of them.

No step is held to other rules than the one before by saying something else: every fact that the shipped
rules and grants of two steps of an order read is material at each of them, or holds once it is stated, or may
change for a reason that is written down here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from controls.rules.vocabulary import FactDeclaration
from tests.rules.shipped_desk import STEPS, Desk, findings_of, shipped_release

CHAIN = shipped_release().chains["order"]

# Facts that may be other ones at a later step, and why.
MAY_CHANGE: Mapping[str, str] = {
    "account.net_position": "moves with every other order of the account",
    "client.appropriateness": "a client is warned, or assessed, between the capture and the approval",
    "instrument.restriction": "an issuer may be restricted at any time, and the later step must say so",
    "order.easy_to_borrow": "the list of the day",
    "order.locate_id": "a locate is renewed when the securities are called back",
    "order.locate_quantity": "a locate is renewed when the securities are called back",
    "order.principal_consent_at": "consent is given between the capture and the completion",
    "order.principal_disclosed_at": "the capacity is disclosed between the capture and the completion",
}


def readers() -> dict[str, set[str]]:
    """Each fact with the steps at which rules and grants read it."""
    release = shipped_release()
    found: dict[str, set[str]] = {}
    read = [(action, rule.condition.names) for rule in release.rules for action in rule.on]
    read += [
        (f"{grant.resource}.{action}", grant.when.names)
        for grant in release.grants
        if grant.when is not None
        for action in grant.actions
    ]
    for action, names in read:
        resource, _, step = action.partition(".")
        if resource == CHAIN.resource and step in STEPS:
            for name in names & release.vocabulary.facts.keys():
                found.setdefault(name, set()).add(step)
    return found


SHARED = {name: steps for name, steps in readers().items() if len(steps) > 1}


def held(name: str, step: str) -> bool:
    found = CHAIN.step(step)
    assert found is not None
    return name in CHAIN.material_of(found) or name in CHAIN.if_stated


def test_what_several_steps_go_by_is_held() -> None:
    """No fact is read at two steps and held at neither; what may change is still read at several."""
    assert len(SHARED) > 20
    loose = {name for name, steps in SHARED.items() if not all(held(name, step) for step in steps)}
    assert loose == MAY_CHANGE.keys()


def test_an_amendment_puts_right_what_is_held() -> None:
    """A limit order becomes one at the market; from then on that holds, and no more what was said first."""
    desk = Desk()
    market = {"order.order_type": "market", "order.limit_price": None}
    assert desk.ask("capture").claim is not None
    assert "material_changed" in findings_of(desk.ask("approve", changes=market))
    size = {"order.quantity": "10000", "order.notional": "45500.00 EUR"}
    assert desk.ask("amend", changes=market | size).claim is not None
    assert findings_of(desk.ask("approve")) == ["material_changed"]
    assert desk.ask("approve", changes=market).outcome == "permit"


def other(fact: FactDeclaration, recorded: str) -> Any:
    """A well-formed value of the fact that is not the one on record."""
    if fact.values:
        return next(item for item in fact.values if item != recorded)
    return {
        "bool": recorded != "true",
        "decimal": "4.56",
        "money": "45500.01 EUR",
        "date": "2026-03-06",
        "timestamp": "2026-03-02T09:37:00Z",
        "string": "DE0007164600" if fact.format else "A-777",
        "list<record>": [{"account": "F-1", "quantity": "10000"}],
    }[str(fact.type)]


# What the desk's ordinary order does not state, though rules of several steps would read it.
VALUES: Mapping[str, Any] = {
    "instrument.otc_derivative": False,
    "order.agency_cross": False,
    "order.market_maker_exempt": False,
    "order.statement_created_at": "2026-03-02T09:38:00Z",
    "order.statement_lines": [{"account": "F-1", "quantity": "7000"}, {"account": "F-2", "quantity": "3000"}],
}


@pytest.mark.parametrize("name", sorted(SHARED.keys() - MAY_CHANGE.keys()))
def test_another_value_at_a_later_step_is_refused(name: str) -> None:
    """Each such fact, at each later step whose rules read it."""
    fact = shipped_release().vocabulary.facts[name]
    desk = Desk()
    first = next(step for step in STEPS if step in SHARED[name])
    for step in STEPS:
        if step in SHARED[name] and step != first:
            again = Desk()
            again.history = desk.history
            recorded = next(act.material[name] for act in desk.history.acts if name in act.material)
            found = again.ask(step, changes={name: other(fact, recorded)})
            assert found.outcome == "deny"
            assert "material_changed" in findings_of(found), (step, findings_of(found))
        said = {name: VALUES[name]} if name in VALUES else {}
        assert desk.ask(step, changes=said).claim is not None, step
