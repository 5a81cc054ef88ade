"""Scenarios played through the writer: what passes, what fails and with which words, on every engine."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from controls.bootstrap import read_rule_files, shipped
from controls.model.condition import Facts
from controls.model.decision import Decision, Obligation
from controls.model.errors import ControlsError
from controls.model.finding import Deadline, Effect, Finding, Origin, Outcome, Text
from controls.rules import engine as engines
from controls.rules.branch_coverage import Coverage
from controls.rules.expectations import unmet
from controls.rules.release import compile_release
from controls.rules.scenario import Expectation, ExpectedObligation, ScenarioStep
from controls.services import scenarios as played
from controls.services.releases import activatable, check_release
from controls.services.scenarios import ScenarioResult, play_scenarios
from tests.rules.rule_sets import desk_files

HEAD = """\
- id: {id}
  title: {{en: A, es: B}}
  start: 2026-03-02T09:30:00Z
  people:
    both: [trader, risk_officer]
    all: [trader, settlement_clerk]
  facts: &order
    order.account: A-1
    order.instrument: ES0000012345
    order.side: buy
    order.quantity: "10"
    order.notional: 1000.00 EUR
    order.average_price: "100.00"
    account.open_exposure: 0.00 EUR
    order.lines: [{{account: A-1, quantity: "10", price: "100.00", costs: 1.00 EUR}}]
  steps:
"""


def play(*steps: str) -> ScenarioResult:
    (result,) = play_all(HEAD.format(id="test.one") + "".join(f"    - {step}\n" for step in steps))
    return result


def play_all(text: str) -> tuple[ScenarioResult, ...]:
    release = compile_release({**desk_files(), "scenarios/test.yaml": text})
    return play_scenarios(release, coverage=Coverage(release))


CAPTURE = "{who: trader, asks: capture, expect: permit}"
APPROVE = "{who: risk_officer, asks: approve, at: PT5M, expect: permit}"
EXECUTE = "{who: trader, asks: execute, at: PT10M, expect: permit}"


def test_a_chain_goes_on_because_what_is_permitted_is_reported() -> None:
    """Performed by default; each step stands at its own time."""
    result = play(CAPTURE, APPROVE, EXECUTE)
    assert result.passed, result.failure
    assert result.failure == ""
    assert [item.at[11:16] for item in result.played] == ["09:30", "09:35", "09:40"]
    assert [item.got for item in result.played] == ["permit"] * 3


def test_what_is_reported_can_be_said() -> None:
    """Nothing reported: the next step waits. Abandoned: the step is free for another."""
    waits = "{who: risk_officer, asks: approve, expect: {outcome: deny, findings: [not_yet]}}"
    assert play("{who: trader, asks: capture, report: nothing, expect: permit}", waits).passed
    again = "{who: trader.2, asks: execute, at: PT11M, expect: permit}"
    left = "{who: trader, asks: execute, at: PT10M, expect: permit, report: abandoned}"
    assert play(CAPTURE, APPROVE, left, again).passed


def test_a_claim_runs_out_by_the_scenarios_clock() -> None:
    """A day and a moment later it is past its time."""
    claimed = "{who: trader, asks: capture, report: nothing, expect: permit}"
    shared = "{who: trader, asks: capture, at: PT23H, report: nothing, expect: permit}"
    late = "{who: trader, asks: capture, at: PT24H0M1S, expect: {outcome: deny, findings: [claim_expired]}}"
    result = play(claimed, shared, late)
    assert result.passed, result.failure


def test_an_opinion_claims_nothing() -> None:
    """The same may be asked by another afterwards."""
    asked = "{who: trader, asks: capture, claim: false, expect: would_permit}"
    assert play(asked, "{who: trader.2, asks: capture, expect: permit}").passed


def test_a_review_is_approved_by_whom_the_scenario_names() -> None:
    """And not by somebody who must not; then the same is permitted."""
    big = "facts: {order.notional: 6000000.00 EUR}"
    held = f"{{who: trader, asks: capture, {big}, expect: {{outcome: review, findings: [pre.large_order]}}"
    asked = f"{{who: trader, asks: capture, at: PT1M, {big}, expect: {{outcome: permit, findings: []}}}}"
    assert play(f"{held}, not_approved_by: trader.2, approved_by: supervisor}}", asked).passed
    wrong = play(f"{held}, not_approved_by: supervisor}}")
    assert wrong.failure.endswith("supervisor approved the review, and should be refused")
    refused = play(f"{held}, approved_by: trader.2}}")
    assert "resolution_refused: " in refused.failure


LENT = "  delegations: {{from: {}, to: {}, steps: {}, until: PT1H}}\n  steps:\n"


def play_lent(delegation: str, *steps: str) -> ScenarioResult:
    (result,) = play_all(
        HEAD.format(id="test.one").replace("  steps:\n", delegation)
        + "".join(f"    - {step}\n" for step in steps)
    )
    return result


def test_somebody_acts_for_who_delegated_it() -> None:
    """From the start to the end of the delegation, and as in the service only where it breaks nothing."""
    lent = LENT.format("trader", "supervisor", "capture")
    captured = "{who: supervisor, asks: capture, on_behalf_of: trader, at: PT59M, expect: permit}"
    late = "{who: supervisor, asks: capture, on_behalf_of: trader, at: PT1H, resource_id: O-2, expect: deny}"
    own = "{who: supervisor, asks: capture, resource_id: O-2, expect: {outcome: deny, findings: [no_grant]}}"
    result = play_lent(lent, own, captured, late)
    assert result.passed, result.failure
    refused = play_lent(LENT.format("trader", "risk_officer", "capture"), captured)
    assert not refused.passed
    assert "trader cannot delegate capture to risk_officer (line" in refused.failure
    assert "which maker_checker does not allow" in refused.failure


def test_what_denies_is_lifted_by_whom_the_scenario_names() -> None:
    """For half an hour, for who asks for it, and not by who has a hand in the chain."""
    captured = "{who: both, asks: capture, expect: permit}"
    denied = "who: both, asks: approve, expect: {outcome: deny, findings: [maker_checker]}"
    lifted = f"{{{denied}, at: PT5M, break_glass: fire, not_approved_by: both, approved_by: supervisor}}"
    used = "{who: both, asks: approve, at: %s, break_glass: fire, expect: %s}"
    result = play(captured, lifted, f"{{{denied}, at: PT6M}}", used % ("PT34M", "permit"))
    assert result.passed, result.failure
    assert play(captured, lifted, used % ("PT35M", "deny")).passed
    nobody = play(captured, f"{{{denied}, break_glass: fire, approved_by: trader}}")
    assert "resolution_refused: " in nobody.failure


def test_people_may_hold_what_constraints_exclude() -> None:
    """As in a directory that is older than the constraint: the decision says so."""
    denied = "{who: all, asks: capture, expect: {outcome: deny, findings: [front_back]}}"
    assert play(denied).passed


def test_scenarios_know_nothing_of_one_another() -> None:
    """The same order is new in each of them."""
    step = "    - {who: trader, asks: capture, resource_id: O-1, expect: permit}\n"
    results = play_all(HEAD.format(id="one") + step + HEAD.format(id="two") + step)
    assert [item.passed for item in results] == [True, True]


@pytest.mark.parametrize(
    ("expect", "words"),
    [
        ("deny", "expected deny, got review (pre.large_order: "),
        ("permit", "expected permit, got review"),
        ("{outcome: review, findings: []}", "expected the findings none, got pre.large_order"),
        ("{outcome: review, findings: [a.b]}", "expected the findings a.b, got pre.large_order"),
        ("{outcome: review, contains: [a.b]}", "a.b should be among the findings, which are pre.large_order"),
    ],
)
def test_what_is_not_as_expected_is_told_with_its_place(expect: str, words: str) -> None:
    """File, line, scenario, step; nothing is played after it."""
    step = f"{{who: trader, asks: capture, facts: {{order.notional: 6000000.00 EUR}}, expect: {expect}}}"
    result = play(CAPTURE.replace("}", ", resource_id: O-0}"), step, APPROVE)
    assert not result.passed
    assert result.failure.startswith(
        "scenarios/test.yaml:18: scenario test.one: step 2, capture by trader at 2026-03-02T09:30:00"
    )
    assert words in result.failure
    assert (len(result.played), result.steps) == (2, 3)


def a_decision(*obligations: Obligation, found: tuple[Finding, ...] = ()) -> Decision:
    return Decision("r", Outcome.PERMIT, found, obligations=obligations)


def a_step(**expected: Any) -> ScenarioStep:
    at = datetime(2026, 3, 2, tzinfo=UTC)
    return ScenarioStep("w", "a", at, "o", {}, Expectation("permit", **expected))


def a_finding(effect: Effect, *, observed: bool = False) -> Finding:
    text = Text("a", "b")
    return Finding("r.one", "1", Origin.RULE, effect, text, text, observed=observed)


def test_obligations_are_compared_with_their_due_times() -> None:
    """All of them and no others; a due time only where one is expected."""
    due = datetime(2026, 3, 2, 17, tzinfo=UTC)
    owed = a_decision(Obligation("o.one", "o.one", {}, Deadline(due)))
    one = ExpectedObligation("o.one")
    assert unmet(a_step(obligations=(one,)), owed) == []
    assert unmet(a_step(obligations=(replace(one, due=due),)), owed) == []
    assert unmet(a_step(), owed) == []
    assert unmet(a_step(obligations=()), owed) == ["expected the obligations none, got o.one"]
    assert unmet(a_step(obligations=(one,)), a_decision()) == ["expected the obligations o.one, got none"]
    (late,) = unmet(a_step(obligations=(replace(one, due=due.replace(hour=18)),)), owed)
    assert late.startswith("o.one should be due 2026-03-02T18:00:00")
    undated = a_decision(Obligation("o.one", "o.one", {}))
    (never,) = unmet(a_step(obligations=(replace(one, due=due),)), undated)
    assert never.endswith("is due at no moment")


def test_obligations_and_observed_rules_are_not_among_the_findings() -> None:
    """Obligations have a list of their own, and what is observed changes nothing."""
    none = a_step(findings=frozenset())
    assert unmet(none, a_decision(found=(a_finding(Effect.OBLIGE),))) == []
    assert unmet(none, a_decision(found=(a_finding(Effect.DENY, observed=True),))) == []
    assert unmet(none, a_decision(found=(a_finding(Effect.FLAG),))) != []


@pytest.mark.parametrize("lying", ["durable", "reference"])
def test_engines_that_differ_fail_every_step(lying: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that expects the denial which a disagreement becomes."""
    build = engines.build_engine

    class Silent:
        name = lying

        def evaluate(self, action: str, facts: Facts) -> tuple[Finding, ...]:
            return ()

        def close(self) -> None: ...

    def lied(name: str, rules: Any) -> Any:
        return Silent() if name == lying else build(name, rules)

    monkeypatch.setattr(played, "build_engine", lied)
    for expect in ("review", "deny", "{outcome: deny, contains: [engine_failure]}"):
        step = f"{{who: trader, asks: capture, facts: {{order.notional: 6000000.00 EUR}}, expect: {expect}}}"
        result = play(step)
        assert not result.passed, expect
        assert "finds otherwise on" in result.failure
        assert "pre.large_order" in result.failure


def test_a_release_whose_scenarios_fail_is_not_activated() -> None:
    """`controls init`, `demo`, `release activate` and `replay` all ask this."""
    wrong = HEAD.format(id="test.one") + "    - {who: trader, asks: capture, expect: deny}\n"
    files = {**desk_files(), "scenarios/test.yaml": wrong}
    checked = check_release(files)
    assert (checked.failed, len(checked.failed_scenarios)) == ((), 1)
    with pytest.raises(ControlsError) as refused:
        activatable(files)
    assert refused.value.code == "examples_failed"
    assert "scenarios/test.yaml:17: scenario test.one" in refused.value.detail
    right = {**files, "scenarios/test.yaml": wrong.replace("deny", "permit")}
    assert activatable(right).digest == compile_release(desk_files()).digest


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store is gone when the answer is there."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert play(CAPTURE).passed
    assert list(tmp_path.iterdir()) == []


def test_without_scenarios_no_store_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """A set of rules alone is checked without any database."""
    monkeypatch.setattr(played, "migrate", None)
    release = compile_release(desk_files())
    assert play_scenarios(release, coverage=Coverage(release)) == ()


def test_the_shipped_scenarios_pass_and_cover_the_shipped_rules() -> None:
    """Whole chains, and both sides of the dates on which the settlement cycles change."""
    checked = check_release(read_rule_files(shipped("rules")))
    assert checked.failures == ()
    assert {"chain.done_properly", "chain.one_trader_tries_everything"} <= {
        item.scenario for item in checked.scenarios
    }
    assert sum(item.scenario.startswith("cycle.") for item in checked.scenarios) >= 4
    assert checked.coverage.percent >= 90
