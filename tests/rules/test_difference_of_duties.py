"""What `difference` says about single edits of the constraints that have more than steps and a limit."""

from __future__ import annotations

from functools import cache

import pytest

from controls.bootstrap import read_rule_files
from controls.rules.changes import ChangeClass
from controls.rules.difference import difference
from controls.rules.rule_sets import RuleSet, rule_set

from .rule_sets import FIXTURES

DUTIES, CHAIN, ROLES = "duties/kinds.yaml", "chains/trade.yaml", "roles.yaml"
TIGHTENING, LOOSENING, BOTH, NEUTRAL, NOT_PROVED = ChangeClass
OPPOSITE = {TIGHTENING: LOOSENING, LOOSENING: TIGHTENING}


@cache
def files() -> dict[str, str]:
    return read_rule_files(FIXTURES / "kinds")


@cache
def kinds() -> RuleSet:
    return rule_set(files())


# file, old text, new text -> what, which, class
EDITS = [
    (DUTIES, "forbid: [reports_to, household]", "forbid: reports_to", "forbid",
     "not_my_boss (trade)", LOOSENING),
    (DUTIES, "differ: [department]", "differ: [department, desk]", "differ",
     "other_team (trade)", TIGHTENING),
    (DUTIES, "steps: [execute, settle]\n  differ", "steps: [execute, pay, settle]\n  differ", "steps",
     "other_team (trade)", TIGHTENING),
    (DUTIES, "steps: [execute, settle]\n  differ", "steps: [settle, execute]\n  differ", "steps",
     "other_team (trade)", NOT_PROVED),
    (DUTIES, "  ordered: true\n  then: review", "  then: review", "ordered",
     "other_team (trade)", TIGHTENING),
    (DUTIES, "within: P90D", "within: P30D", "within", "wall (trade)", LOOSENING),
    (DUTIES, "dataset: issuer.id\n", "dataset: trade.instrument\n", "dataset", "wall (trade)", NOT_PROVED),
    (DUTIES, "within: P90D\n", "within: P90D\n  steps: [capture, execute]\n", "steps",
     "wall (trade)", LOOSENING),
    (DUTIES, "apart: PT24H", "apart: PT48H", "within", "cool_off", TIGHTENING),
    (DUTIES, "scope: instrument\n  within: P1D", "scope: instrument\n  within: P7D", "within",
     "instrument_limit (trade)", TIGHTENING),
    (DUTIES, "scope: instrument\n  within: P1D", "scope: account\n  within: P1D", "scope",
     "instrument_limit (trade)", NOT_PROVED),
    (DUTIES, "max: 3", "max: 4", "limit", "instrument_limit (trade)", LOOSENING),
    (DUTIES, "people: 3", "people: 2", "limit", "ring (trade)", LOOSENING),
    (DUTIES, "execute, settle]\n  people", "execute, pay]\n  people", "steps",
     "ring (trade)", NOT_PROVED),
    (DUTIES, "votes: 2", "votes: 3", "limit", "large_payment (trade)", BOTH),
    (DUTIES, "distinct_from: [capture, execute]", "distinct_from: capture", "distinct_from",
     "large_payment (trade)", LOOSENING),
    (DUTIES, '"1000000.00 EUR"', '"500000.00 EUR"', "when", "large_payment (trade)", BOTH),
    (DUTIES, "  max: 1\n  dynamic: true\n", "  max: 1\n", "dynamic", "roles_in_use", NOT_PROVED),
    (DUTIES, "pay: [pay, settle]}", "pay: settle}", "groups", "two_duties (trade)", NOT_PROVED),
    (CHAIN, "reapprove: true, votes: 2,", "reapprove: true, votes: 3,", "votes", "trade.approve", BOTH),
]  # fmt: skip


@pytest.mark.parametrize(("name", "old", "new", "what", "which", "kind"), EDITS)
def test_an_edit_is_one_change_with_its_class(
    name: str, old: str, new: str, what: str, which: str, kind: ChangeClass
) -> None:
    """Exactly one change, with its place; the other way round it is the opposite."""
    assert files()[name].count(old) == 1
    other = rule_set(files() | {name: files()[name].replace(old, new)})
    changes = [item for item in difference(kinds(), other).changes if item.what != "wording"]
    if what == "dynamic":  # a static constraint is about all chains, so it is another one
        assert {(item.act, item.what) for item in changes} == {("removed", "duty"), ("added", "duty")}
        return
    (change,) = changes
    assert (change.what, change.id, change.kind) == (what, which, kind)
    assert change.reason
    assert all(where is not None and where.file == name and where.line for where in change.where)
    (back,) = [item for item in difference(other, kinds()).changes if item.what != "wording"]
    assert back.kind is OPPOSITE.get(kind, kind)


@pytest.mark.parametrize(
    ("constraint", "kind"), [("large_payment", BOTH), ("wall", LOOSENING), ("cool_off", LOOSENING)]
)
def test_what_it_means_that_a_constraint_goes(constraint: str, kind: ChangeClass) -> None:
    """Most constraints only forbid; one that asks for votes also lets more persons take a step."""
    whole = files()[DUTIES]
    start = whole.index(f"- id: {constraint}\n")
    end = whole.index("\n- id:", start + 1) + 1
    other = rule_set(files() | {DUTIES: whole[:start] + whole[end:]})
    (change,) = difference(kinds(), other).changes
    assert (change.act, change.kind) == ("removed", kind)


def test_a_grant_changes_which_steps_use_a_role() -> None:
    """Where roles in use exclude each other, another step of one of them is more than a permission."""
    text = files()[ROLES].replace("actions: [pay], resource", "actions: [pay, execute], resource")
    changes = difference(kinds(), rule_set(files() | {ROLES: text})).changes
    assert {(item.what, item.id, item.kind) for item in changes} == {
        ("grant", "payer: trade.execute", LOOSENING),
        ("roles", "roles_in_use (trade)", NOT_PROVED),
    }
