"""Scenarios as they are read: defaults, times, facts, and every mistake at its place."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from controls.model.errors import RuleFilesInvalid
from controls.rules.nodes import canonical_json
from controls.rules.release import compile_release, release_from_document
from controls.rules.scenario import Expectation, ExpectedObligation, Report, Scenario
from tests.rules.rule_sets import desk_files, diagnostics_of

FILE = "scenarios/desk.yaml"
GOOD = """\
id: desk.one
title: {en: A, es: B}
start: 2026-03-02T09:30:00Z
people:
  tina: trader
  bruno: {roles: [trader, risk_officer], accounts: [bruno.front, bruno.bot]}
facts:
  - {order.account: A-1, order.quantity: "10"}
  - {order.quantity: "12", order.side: buy}
steps:
  - {who: tina, asks: capture, expect: permit}
  - who: bruno.bot
    asks: approve
    at: PT5M
    resource_id: O-2
    without: order.side
    facts: {order.account: A-2}
    claim: false
    expect: {outcome: review, findings: [few_hands], contains: pre.large_order}
    approved_by: supervisor.2
  - who: trader
    asks: execute
    at: 2026-03-02T11:30:00+01:00
    report: abandoned
    expect:
      outcome: permit
      obligations: [a.b, {id: c.d, due: 2026-03-02T18:00:00+01:00}]
"""

LENT = "delegations: [{{from: bruno, to: {}, steps: capture, until: {}}}]\nfacts:\n"


def read(text: str = GOOD) -> Scenario:
    (scenario,) = compile_release({**desk_files(), FILE: text}).scenarios
    return scenario


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1, old
    return GOOD.replace(old, new)


def test_everything_a_scenario_may_say_is_read() -> None:
    """Times are absolute, facts whole, and what is left out has its default."""
    first, second, third = read().steps
    start = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
    assert (first.who, first.action, first.at, first.resource_id) == ("tina", "capture", start, "desk.one")
    assert first.facts == {"order.account": "A-1", "order.quantity": "12", "order.side": "buy"}
    assert (first.expect, first.claim, first.report) == (Expectation("permit"), True, Report.PERFORMED)
    assert second.at == datetime(2026, 3, 2, 9, 35, tzinfo=UTC)
    assert (second.resource_id, second.claim, second.approved_by) == ("O-2", False, "supervisor.2")
    assert second.facts == {"order.account": "A-2", "order.quantity": "12"}
    assert second.expect == Expectation(
        "review", findings=frozenset({"few_hands"}), contains=frozenset({"pre.large_order"})
    )
    assert (third.at, third.report) == (datetime(2026, 3, 2, 10, 30, tzinfo=UTC), Report.ABANDONED)
    assert third.expect.obligations == (
        ExpectedObligation("a.b"),
        ExpectedObligation("c.d", datetime(2026, 3, 2, 17, tzinfo=UTC)),
    )


def test_who_acts_for_whom_and_what_is_to_be_lifted_is_read() -> None:
    """A delegation ends at a moment; for whom it is asked, and why a denial is to be lifted, is kept."""
    lent = "delegations: {from: tina, to: bruno, steps: [capture, execute], until: P1D}\nsteps:"
    scenario = read(
        changed("steps:", lent)
        .replace("{who: tina, asks: capture,", "{who: bruno.bot, asks: capture, on_behalf_of: tina,")
        .replace("asks: execute\n", "asks: execute\n    break_glass: nobody else is there\n")
    )
    (delegation,) = scenario.delegations
    assert (delegation.person, delegation.delegate, delegation.steps) == (
        "tina",
        "bruno",
        ("capture", "execute"),
    )
    assert delegation.until == datetime(2026, 3, 3, 9, 30, tzinfo=UTC)
    assert [step.on_behalf_of for step in scenario.steps] == ["tina", "", ""]
    assert [step.break_glass for step in scenario.steps] == ["", "", "nobody else is there"]


def test_there_are_two_people_for_every_role_beside_those_declared() -> None:
    """Called like the role; a declared person of that name takes the place."""
    scenario = read(changed("  tina: trader", "  trader: []\n  tina: trader"))
    people = {person.id: person for person in scenario.people}
    assert people["tina"].accounts == ("tina",)
    assert people["bruno"].accounts == ("bruno.front", "bruno.bot")
    assert people["bruno"].roles == ("trader", "risk_officer")
    assert people["trader"].roles == ()
    assert people["trader.2"].roles == ("trader",)
    assert people["supervisor"].roles == ("supervisor",)
    assert {"administrator.2", "reconciler", "head_of_desk.2"} <= people.keys()
    assert "anyone" not in people


def test_scenarios_are_tests_and_no_part_of_the_release() -> None:
    """Same document, same digest; a release made again from its document has none."""
    plain = compile_release(desk_files())
    tested = compile_release({**desk_files(), FILE: GOOD})
    assert (tested.digest, tested.document) == (plain.digest, plain.document)
    assert [item.id for item in tested.scenarios] == ["desk.one"]
    assert release_from_document(tested.document).scenarios == ()


def test_a_stored_document_cannot_hold_scenarios() -> None:
    """Nobody can put a test into what is in force, and change its name so."""
    document = compile_release(desk_files()).document
    head, tail = document.split(b'"system/', 1)
    smuggled = head + canonical_json({FILE: []})[1:-1] + b',"system/' + tail
    with pytest.raises(RuleFilesInvalid, match="unknown file"):
        release_from_document(smuggled)


@pytest.mark.parametrize(
    ("old", "new", "code", "message"),
    [
        ("who: tina", "who: tinna", "unknown_account", "did you mean 'tina'?"),
        ("by: supervisor.2", "by: supervisr", "unknown_account", "did you mean 'supervisor'?"),
        ("asks: capture", "asks: captur", "unknown_action", "did you mean 'capture'?"),
        ("tina: trader", "tina: tradr", "unknown_role", "did you mean 'trader'?"),
        ("order.account: A-2", "order.acount: A-2", "unknown_fact", "did you mean 'order.account'?"),
        ('{order.quantity: "12", ', "{order.quantity: many, ", "bad_value", "write a number"),
        ("without: order.side", "without: order.legs", "unknown_fact", "does not state"),
        ("at: PT5M", "at: P1M", "bad_value", "write a duration"),
        ("at: PT5M", "at: P9999999D", "bad_value", "write a duration"),
        ("at: PT5M", "at: P999999D", "bad_value", "write a duration"),
        ("at: PT5M", "at: tomorrow", "bad_value", "write a moment"),
        ("at: PT5M", "at: PT2H", "out_of_range", "time never goes back"),
        ("02T09:30:00Z", "02T09:30:00", "bad_value", "write a moment with its zone"),
        ("accounts: [bruno.front,", "accounts: [tina,", "account_of_two", "belongs to 'tina' already"),
        ("capture,", "capture, approved_by: supervisor,", "misplaced_key", "only a review"),
        ("resource_id: O-2", "resource_id: O-2\n    report: performed", "misplaced_key", "only a permitted"),
        ("contains: pre.large_order", "obligations: [a.b]", "misplaced_key", "with a permit only"),
        ("facts:\n", "resource: change\nfacts:\n", "reserved_name", "belongs to the service itself"),
        ("facts:\n", "resource: ordr\nfacts:\n", "unknown_action", "no grant and no chain step"),
        ("expect: permit}", "expect: permitted}", "unknown_value", "did you mean 'permit'?"),
        ("claim:", "clame:", "unknown_key", "did you mean 'claim'?"),
        ("start: 2026-03-02T09:30:00Z\n", "", "missing_key", "where the clock stands"),
        ("claim: false", "on_behalf_of: tinna", "unknown_account", "did you mean 'tina'?"),
        ("claim: false", "break_glass: []", "wrong_type", "a reason"),
        ("facts:\n", LENT.format("tinna", "P1D"), "unknown_person", "did you mean 'tina'?"),
        ("facts:\n", LENT.format("tina", "P1M"), "bad_value", "write a duration"),
        ("facts:\n", LENT.format("tina", "2026-03-01T09:30:00Z"), "out_of_range", "before `start`"),
    ],
)  # fmt: skip
def test_each_mistake_is_named_with_what_to_do(old: str, new: str, code: str, message: str) -> None:
    """The code, words that help, and a place in the file where the mistake is."""
    assert diagnostics_of({**desk_files(), FILE: GOOD}) == ()
    assert GOOD.count(old) == 1, old
    found = diagnostics_of({**desk_files(), FILE: GOOD.replace(old, new)})
    assert [item.code for item in found if message in item.message] == [code] * len(found), found
    assert found
    assert all(item.file == FILE and item.line > 0 for item in found)


def test_a_scenario_has_one_name() -> None:
    """Also across files."""
    (found,) = diagnostics_of({**desk_files(), FILE: GOOD, "scenarios/other.yaml": GOOD})
    assert (found.file, found.line, found.code) == ("scenarios/other.yaml", 1, "duplicate_id")


def test_what_is_broken_elsewhere_is_not_blamed_on_scenarios() -> None:
    """Where roles or facts could not be read, nobody knows which there are."""
    for name in ("roles.yaml", "vocabulary.yaml", "chains/order_to_settlement.yaml"):
        found = diagnostics_of({**desk_files(), FILE: GOOD, name: "a: [unclosed"})
        assert found
        assert FILE not in {item.file for item in found}, found


def test_steps_must_be_within_bounds() -> None:
    """A scenario of more steps than anybody reads is refused before anything is played."""
    step = "  - {who: trader, asks: execute, expect: permit}\n"
    text = GOOD + step * 200
    (found,) = diagnostics_of({**desk_files(), FILE: text})
    assert (found.code, "200 are allowed" in found.message) == ("wrong_length", True)
