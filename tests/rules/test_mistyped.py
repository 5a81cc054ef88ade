"""What is mistyped in a request to the shipped rules never passes, and is named."""

from __future__ import annotations

from typing import Any

import pytest

from controls.api.asked import read_decision
from controls.rules.vocabulary import read_facts
from tests.rules.shipped_desk import STEPS, Desk, a_request, findings_of, shipped_release

LINE = {"account": "A-100", "quantity": "10000", "price": "4.546", "costs": "18.20 EUR"}

# Step -> what is stated otherwise, each for itself; the last fact named is the one that is told.
MISTYPED: list[tuple[str, dict[str, Any]]] = [
    # A value that its enumeration does not hold.
    ("capture", {"order.service": "exection_only"}),
    ("capture", {"order.side": "Buy"}),
    ("capture", {"order.capacity": "agent"}),
    ("capture", {"account.status": "OPEN"}),
    ("capture", {"personal.security_class": "IPO"}),
    ("approve", {"fund.regime": "UCITS"}),
    ("approve", {"margin.regime": "day_trader"}),
    ("execute", {"market.region": "us"}),
    # Another type.
    ("capture", {"personal.access_person": "false"}),
    ("capture", {"client.pdmr": 0}),
    ("capture", {"account.advised": "no"}),
    ("capture", {"order.quantity": "1,000"}),
    ("capture", {"order.quantity": "1 000"}),
    ("capture", {"order.quantity": "\u0661\u0660"}),
    ("capture", {"order.quantity": True}),
    ("capture", {"order.notional": "45500.00"}),
    ("capture", {"order.notional": "45500.00 eur"}),
    ("capture", {"order.received_at": "2026-03-02T09:29:31"}),
    ("capture", {"instrument.risk_level": "4.5"}),
    ("capture", {"instrument.results_on": "2026-03-14T00:00:00Z"}),
    ("approve", {"account.margin": "no"}),
    ("execute", {"order.clock_divergence": "0.4 ms"}),
    ("allocate", {"order.allocations": LINE}),
    ("allocate", {"order.allocations": [{**LINE, "own_acount": True}]}),
    ("allocate", {"order.allocations": [{**LINE, "own_account": "yes"}]}),
    # Another spelling of an identifier: of what is on a list, too.
    ("capture", {"order.instrument": "es0113900j37"}),
    ("capture", {"order.instrument": "zz00example1"}),
    ("capture", {"order.instrument": "ZZ00EXAMPLE1 "}),
    ("capture", {"order.instrument": "ZZ00EXAMPLE\uff11"}),
    ("capture", {"order.instrument": "ZZ00\u0415XAMPLE1"}),
    ("execute", {"order.instrument": "ZZ00EXAMPLE2"}),
    ("capture", {"client.lei": "959800example0001053"}),
    ("capture", {"client.lei": "959800EXAMPLE0001054"}),
    ("approve", {"instrument.currency": "eur"}),
    ("confirm", {"confirmation.venue": "xmad"}),
    # Another name: of what a request must state, and of what it need not.
    ("capture", {"order.quantiy": "10000", "order.quantity": None}),
    ("capture", {"personal.accessPerson": True, "personal.access_person": None}),
    ("capture", {"order.recomended": True}),
    ("approve", {"order.tradingAheadException": "large-order"}),
    ("execute", {"override.blockedBy": "venue price collar"}),
    ("execute", {"order.earlier_comparable_orders": "O-17"}),
    ("reconcile", {"order.legalhold": "H-1"}),
    ("execute", {"order.earlierComparableOrder": "O-17"}),
    # A name in full where only its last word belongs.
    ("reconcile", {"order.order.legal_hold": "H-1"}),
    # Two slips, and letters of another alphabet.
    ("reconcile", {"order.leagl_hodl": "H-1"}),
    ("reconcile", {"order.legal_h\u043eld": "H-1"}),
]


def before(step: str, said: dict[str, Any] | None = None) -> Desk:
    """The desk with everything done that comes before the step, where the same was `said`."""
    desk = Desk()
    for done in STEPS[: STEPS.index(step)]:
        assert desk.ask(done, changes=said).claim is not None
    return desk


# What is well formed but cannot be, each with the rule that says so.
IMPOSSIBLE: list[tuple[str, dict[str, Any], str]] = [
    (
        "capture",
        {"order.received_at": "2062-03-02T09:29:31Z", "order.entered_at": "2062-03-02T09:29:58Z"},
        "cap.order_memo_complete",
    ),
    ("capture", {"account.kyc_reviewed_at": "2062-11-03T10:00:00Z"}, "cap.kyc_review_overdue"),
    ("approve", {"account.open_exposure": "-74990000.00 EUR"}, "pre.credit_capital_threshold"),
    ("approve", {"order.limit_price": "455", "order.order_type": "market"}, "pre.erroneous_order"),
]


@pytest.mark.parametrize(("step", "said", "rule"), IMPOSSIBLE, ids=str)
def test_what_cannot_be_never_passes(step: str, said: dict[str, Any], rule: str) -> None:
    """A date still to come of what is past, a wrong sign, a limit under the wrong type of order."""
    assert findings_of(before(step, said).ask(step, changes=said)) == [rule]


@pytest.mark.parametrize(("step", "said"), MISTYPED, ids=str)
def test_what_is_mistyped_never_passes(step: str, said: dict[str, Any]) -> None:
    """The answer is no permit, and names the fact."""
    decision = before(step).ask(step, changes=said, mistyped=True)
    assert decision.outcome in ("deny", "review")
    told = {item.rule: item.missing for item in decision.findings}
    (named,) = told.get("malformed_fact", ()) or told["misspelt_fact"]
    group = {name.partition(".")[0] for name in said}
    assert named.partition(".")[0] in group
    if "malformed_fact" in told:
        assert {named} == said.keys()


@pytest.mark.parametrize(
    "said",
    [
        {"legal_hold": "H-1"},
        {"account": {"legal_hold": "H-1"}},
        {"client": {"legalHold": "H-1"}},
        {"\u043erder": {"l\u0435gal_h\u043eld": "H-1"}},
    ],
)
def test_a_fact_in_another_part_of_the_request_is_noticed(said: dict[str, Any]) -> None:
    """Straight in the context, in another group, and in a group in letters of another alphabet."""
    body = a_request("reconcile")
    body["context"] |= said
    found = read_facts(shipped_release().vocabulary, read_decision(body, id="dec_1").properties)
    assert found.misspelt == ("order.legal_hold",)


@pytest.mark.parametrize("given", ["venue price collar", [{"blocked_by": "venue price collar"}], 7, True])
def test_a_group_that_is_no_object_is_noticed(given: Any) -> None:
    """Facts of a group of which no object was made are named, all that are not stated otherwise."""
    body = {
        "subject": {"type": "account", "id": "bruno.exec"},
        "action": {"name": "execute"},
        "resource": {"type": "order", "id": "O-1"},
        "context": {"override": given},
    }
    reading = read_facts(shipped_release().vocabulary, read_decision(body, id="dec_1").properties)
    assert "override.blocked_by" in reading.misspelt
    assert all(name.startswith("override.") for name in reading.misspelt)


@pytest.mark.parametrize("given", [None, {}])
def test_a_group_of_which_nothing_is_said_is_none(given: Any) -> None:
    """A group that is null or empty states nothing."""
    reading = read_facts(shipped_release().vocabulary, {"context.override": given})
    assert reading.misspelt == ()


def test_a_name_of_the_callers_own_is_no_slip() -> None:
    """What is like no fact, or like one that is stated as well, is left alone."""
    own = {
        "order.desk_reference": "7",
        "order.sides": "both",
        "order.entered_by": "ana.front",
        "order.expires_at": "2026-03-02T16:30:00Z",
        "note.colour": "red",
        "custody.legal_hold": "none",
    }
    assert before("capture").ask("capture", changes=own, mistyped=True).outcome == "permit"
