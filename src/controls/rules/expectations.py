"""What a scenario's step expects, held against what was decided."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from controls.model.decision import Decision
from controls.model.finding import Effect
from controls.model.values import utc_text
from controls.rules.scenario import ScenarioStep

_BROKEN: Final = "engine_failure"  # never what anybody may expect


def unmet(step: ScenarioStep, decision: Decision) -> list[str]:
    """What of a step's expectation the decision does not meet, in words."""
    expect = step.expect
    spoke = [item for item in decision.findings if not item.observed and item.effect is not Effect.OBLIGE]
    names = {item.rule for item in spoke}
    problems = [item.message.en for item in spoke if item.rule == _BROKEN]
    if decision.outcome.value != expect.outcome:
        why = "; ".join(f"{item.rule}: {item.message.en}" for item in spoke) or "nothing was found"
        problems.append(f"expected {expect.outcome}, got {decision.outcome.value} ({why})")
    if expect.findings is not None and names != expect.findings:
        problems.append(_differs("findings", expect.findings, names))
    if not expect.contains <= names:
        lacking = _listed(expect.contains - names)
        problems.append(f"{lacking} should be among the findings, which are {_listed(names)}")
    if expect.obligations is not None:
        owed = {item.id: item.deadline for item in decision.obligations}
        wanted = {item.id for item in expect.obligations}
        if wanted != owed.keys():
            problems.append(_differs("obligations", wanted, owed.keys()))
        for item in expect.obligations:
            deadline = owed.get(item.id)
            if item.due is not None and item.id in owed and (deadline is None or deadline.due_at != item.due):
                told = "at no moment" if deadline is None else utc_text(deadline.due_at)
                problems.append(f"{item.id} should be due {utc_text(item.due)}, and is due {told}")
    return problems


def _differs(what: str, wanted: Iterable[str], got: Iterable[str]) -> str:
    return f"expected the {what} {_listed(wanted)}, got {_listed(got)}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
