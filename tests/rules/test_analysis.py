"""Static checks: each finding at its place, and nothing said about rules that are as they should be."""

from __future__ import annotations

from time import process_time

import pytest

from controls.bootstrap import read_rule_files, shipped
from controls.model.errors import Level
from controls.rules.analysis import Analysis, analyse
from controls.rules.explanations import BASE, CHAIN, DUTY, ROLES, SIDES
from controls.rules.release import compile_files
from tests.rules.rule_sets import desk_files


def a_rule(number: int, when: str, **changes: str) -> str:
    say = {
        "on": "order.capture",
        "then": "deny",
        "fires": '{order.quantity: "500", order.price: "5", order.side: buy}',
        "rests": '{order.quantity: "5", order.price: "5", order.side: sell}',
        "more": "",
        **changes,
    }
    return f"""\
- id: r.n{number}
  title: {{en: A, es: B}}
  source: {{law: Policy, basis: policy}}
  on: {say["on"]}
  when: '{when}'
  then: {say["then"]}
{say["more"]}  message: {{en: A, es: B}}
  examples:
    - {{name: permit, given: {say["rests"]}, expect: permit}}
    - {{name: fires, given: {say["fires"]}, expect: {say["then"]}}}
"""


def _analysis(*rules: str) -> Analysis:
    return analyse(compile_files({**desk_files(), "regulatory/a/b.yaml": "".join(rules)}))


LEAVE = ("unused_fact", "unread_fact", "idle_example")


def _about(*rules: str, leave: tuple[str, ...] = LEAVE) -> list[str]:
    return [f"{item.line}: {item.code}" for item in _analysis(*rules).diagnostics if item.code not in leave]


HIGH = "order.quantity > 100"


def test_the_shipped_rules_raise_no_warning() -> None:
    """What this project ships is what it asks of others."""
    assert analyse(compile_files(read_rule_files(shipped("rules")))) == Analysis(())


def test_a_contradiction_is_an_error_at_its_condition() -> None:
    """Two limits that exclude each other: such a rule protects from nothing."""
    found = [
        item
        for item in _analysis(a_rule(1, f"{HIGH} && order.quantity < 50")).diagnostics
        if item.code == "never_true"
    ]
    assert [(item.line, item.column, item.level) for item in found] == [(5, 9, Level.ERROR)]


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("order.quantity > 100 || order.quantity < 200", ["5: always_true"]),
        ('order.side == "buy" && order.side == "sell"', ["5: never_true"]),
        (f'{HIGH} && (order.side == "buy" || order.quantity < 50)', ["5: dead_branch"]),
        ('action.name == "execute" && order.quantity > 1', ["5: never_true"]),
        (HIGH, []),
        (f"{HIGH} || order.price > 3", []),
    ],
)
def test_conditions_that_cannot_be_meant(when: str, expected: list[str]) -> None:
    """Each is found, and a sound one is left alone."""
    assert _about(a_rule(1, when)) == expected


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ('order.side == "BUY"', "`order.side` is never 'BUY': it is one of buy, sell; did you mean 'buy'?"),
        ('order.side != "buyy"', "`order.side` is never 'buyy': it is one of buy, sell; did you mean 'buy'?"),
        ('!(order.side in ["sale", "sell"])', "`order.side` is never 'sale': it is one of buy, sell"),
        (
            'order.side != (order.price > 3 ? "buy" : "x")',
            "`order.side` is never 'x': it is one of buy, sell",
        ),
        ("!(order.side in sides)", "`order.side` is never 'sel' (parameter sides): it is one of buy, sell"),
        ('"tradr" in person.roles || order.price > 3', "did you mean 'trader'?"),
    ],
)
def test_a_text_that_a_fact_never_is(part: str, said: str) -> None:
    """A misspelt word is no silent hole, whatever the sign: nothing else would notice it beside `!=`."""
    parameter = "  parameters: {sides: {value: [sel, buy], type: list, of: string, basis: policy}}\n"
    rule = a_rule(1, f"{HIGH} && ({part})", more=parameter if "sides" in part else "")
    found = [item for item in _analysis(rule).diagnostics if item.code not in LEAVE]
    assert [(item.line, item.code, item.level) for item in found] == [(5, "unknown_value", Level.ERROR)]
    assert said in found[0].message


def test_an_identifier_of_another_form_than_the_fact_has() -> None:
    """What is no ISIN is never the instrument of an order."""
    files = desk_files()
    files["vocabulary.yaml"] = files["vocabulary.yaml"].replace(
        "order.instrument: {type: string,", "order.instrument: {type: string, format: isin,"
    )
    rule = a_rule(1, f'{HIGH} && order.instrument != "ES0113900J3"')
    found = analyse(compile_files({**files, "regulatory/a/b.yaml": rule})).errors
    assert [item.message for item in found] == ["`order.instrument` is never 'ES0113900J3': that is no isin"]


def test_an_action_on_which_a_rule_is_never_true() -> None:
    """The condition asks for one action and the rule watches two."""
    rule = a_rule(1, f'{HIGH} && action.name == "capture"', on="[order.capture, order.approve]")
    assert _about(rule) == ["4: unreachable_action"]


WIDE, NARROW = a_rule(1, HIGH), a_rule(2, f'{HIGH} && order.side == "buy"')


def test_a_narrower_rule_is_shadowed() -> None:
    """Wherever it is true, the wider one denies already; the message names that one and its place."""
    assert _about(WIDE, NARROW) == ["11: shadowed_rule"]
    assert _about(NARROW, WIDE) == ["1: shadowed_rule"]
    found = [item for item in _analysis(WIDE, NARROW).diagnostics if item.code == "shadowed_rule"]
    assert "'r.n1' (regulatory/a/b.yaml:1)" in found[0].message


def test_of_two_equal_rules_the_later_is_reported() -> None:
    """One warning, not two."""
    assert _about(WIDE, a_rule(2, "!(order.quantity <= 100)")) == ["11: shadowed_rule"]


@pytest.mark.parametrize(
    "other",
    [
        a_rule(2, f'{HIGH} && order.side == "buy"', on="order.approve"),
        a_rule(2, f'{HIGH} && order.side == "buy"', on="[order.capture, order.approve]"),
        a_rule(2, f'{HIGH} && order.side == "buy"', more="  missing: deny\n"),
        a_rule(2, "order.quantity > 99"),
        a_rule(2, f"{HIGH} || order.price > 3"),
        a_rule(2, f'{HIGH} && order.side == "buy"', more="  mode: observe\n"),
    ],
    ids=["other action", "one action more", "denies absent facts", "wider", "another case", "observes"],
)
def test_what_still_matters_is_no_shadow(other: str) -> None:
    """Another action, another answer to absent facts, one case more: the rule stays silent about it."""
    assert not [
        item for item in _analysis(WIDE, other).diagnostics if item.code == "shadowed_rule" and item.line > 10
    ]


def test_periods_must_cover_each_other() -> None:
    """A rule of last year shadows nothing of this year."""
    old = a_rule(1, HIGH, more="  effective: {to: 2026-01-01}\n")
    new = a_rule(2, f'{HIGH} && order.side == "buy"', more="  effective: {from: 2026-01-01}\n")
    assert _about(old, new) == []
    assert _about(a_rule(1, HIGH, more="  effective: {from: 2025-01-01}\n"), new) == ["12: shadowed_rule"]


def test_a_review_does_not_shadow_a_denial_but_a_denial_does_a_review() -> None:
    """Only what is as strict or stricter makes a rule pointless."""
    review = a_rule(1, HIGH, then="review")
    assert _about(review, NARROW) == []
    assert _about(WIDE, a_rule(2, HIGH, then="review")) == ["11: shadowed_rule"]


def test_the_solver_sees_a_shadow_across_facts() -> None:
    """Sums of two facts, by linear arithmetic."""
    wide = a_rule(1, "order.quantity + order.price > 100")
    narrow = a_rule(2, "order.quantity + order.price > 300 && order.price > 1")
    assert _about(wide, narrow) == ["11: shadowed_rule"]


def test_examples_must_reach_their_rule() -> None:
    """One without facts tests nothing, and a fact that is not read changes nothing."""
    rule = a_rule(1, HIGH, then="review", fires="{order.side: buy}", rests='{order.quantity: "5"}')
    assert _about(rule, leave=("unused_fact",)) == ["8: idle_example", "10: unread_fact"]


def test_facts_that_nothing_reads() -> None:
    """At their place in the vocabulary, as a warning."""
    found = [item for item in _analysis(WIDE).diagnostics if item.code == "unused_fact"]
    assert found
    assert {item.file for item in found} == {"vocabulary.yaml"}
    assert {item.level for item in found} == {Level.WARNING}
    assert "'order.quantity'" not in {item.message.split()[8].rstrip(":") for item in found}


def test_many_rules_of_one_action_take_bounded_time() -> None:
    """A thousand rules side by side on one action: what is compared grows with their number."""
    rules = [
        a_rule(
            number,
            f"order.quantity > {3 * number}.0 && order.quantity < {3 * number + 2}.0",
            fires=f'{{order.quantity: "{3 * number + 1}"}}',
            rests='{order.quantity: "-1"}',
        )
        for number in range(1_000)
    ]
    files = compile_files({**desk_files(), "regulatory/a/b.yaml": "".join(rules)})
    started = process_time()
    analysis = analyse(files)
    assert process_time() - started < 10
    assert not [item for item in analysis.diagnostics if item.code == "shadowed_rule"]
    assert analysis.uncompared > 0


CALENDAR = """\
title: {en: Days, es: Días}
source: {law: Policy, basis: policy}
first_year: 2026
last_year: 2026
weekend: [saturday, sunday]
holidays: {2026-01-01: New Year's Day}
"""
AGGREGATE = """\
- aggregate: recent
  title: {en: Recent, es: Recientes}
  count: order.capture
  by: [order.account]
  within: PT30S
"""
DECLARED = {
    "lists/closed.csv": "name:string\nAcme\n",
    "tables/limits.csv": "name:string key,most:decimal\nAcme,5\n",
    "rates/house.csv": (
        "base:string key,quote:string key,from:date key,until:date,rate:decimal\n"
        "USD,EUR,2026-01-01,2026-12-31,0.9\n"
    ),
    "calendars/madrid.yaml": CALENDAR,
    "aggregates/counts.yaml": AGGREGATE,
}


def _unread(*rules: str) -> list[str]:
    files = {**desk_files(), **DECLARED, "regulatory/a/b.yaml": "".join(rules)}
    found = analyse(compile_files(files)).diagnostics
    return [item.file for item in found if item.code == "unread_declaration"]


def test_data_that_nothing_reads() -> None:
    """A list without a rule looks as if it were enforced."""
    assert _unread(a_rule(1, HIGH)) == sorted(DECLARED)


@pytest.mark.parametrize(
    ("part", "path"),
    [
        ("order.state in list.closed", "lists/closed.csv"),
        ("order.quantity > table.limits[order.state].most", "tables/limits.csv"),
        (
            'convert(order.notional, "EUR", order.traded_on, "house") > convert(order.notional, "USD", '
            'order.traded_on, "house")',
            "rates/house.csv",
        ),
        ('business_days(order.traded_on, order.traded_on, "madrid") > 3', "calendars/madrid.yaml"),
        ("aggregate.recent > 3", "aggregates/counts.yaml"),
    ],
)
def test_data_that_a_condition_reads(part: str, path: str) -> None:
    """Each kind is found where it is named."""
    assert _unread(a_rule(1, f"{HIGH} || {part}")) == sorted({*DECLARED} - {path})


def test_a_calendar_that_only_a_due_time_counts_by() -> None:
    """It is read all the same."""
    due = "{business_days: 1, calendar: madrid, at: '18:00', zone: Europe/Madrid}"
    fires = '{order.quantity: "500", order.price: "5", order.side: buy}'
    rule = a_rule(1, HIGH, then="oblige", more=f"  obligation: {{duty: tell, due: {due}}}\n").replace(
        f"given: {fires}, expect: oblige",
        f"given: {fires}, at: '2026-03-02T09:00:00Z', due: '2026-03-03T17:00:00Z', expect: oblige",
    )
    assert _unread(rule) == sorted({*DECLARED} - {"calendars/madrid.yaml"})


@pytest.mark.parametrize(
    ("file", "old", "new", "steps"),
    [
        (CHAIN, "resource: order\n", "resource: ordr\n", 2),
        (ROLES, "actions: [capture, approve]", "actions: [capture, aprove]", 1),
    ],
)
def test_a_step_that_nobody_may_take(file: str, old: str, new: str, steps: int) -> None:
    """A slip that leaves the orders without their chain, or a step without anybody, does not stay silent."""
    files = {**BASE, file: BASE[file].replace(old, new)}
    files.pop(SIDES)
    found = [item for item in analyse(compile_files(files)).diagnostics if item.code == "ungranted_step"]
    assert [item.file for item in found] == [CHAIN] * steps
    assert all("lets anybody take" in item.message and "did you mean" in item.message for item in found)


@pytest.mark.parametrize(
    ("constraint", "who"),
    [
        ("roles: [trader, head], max: 1", ["both", "head"]),
        ("roles: [trader, auditor], max: 1", ["both"]),
        ("roles: [trader, head, auditor], max: 2", ["both"]),
        ("roles: [trader, head], max: 1, dynamic: true", []),
        ('roles: [trader, head], max: 1, when: subject.desk == "cash"', []),
    ],
)
def test_a_role_that_nobody_may_hold(constraint: str, who: list[str]) -> None:
    """It is seen in the files, and not only when somebody is to be given the role."""
    more = "  auditor: {}\n  both: {inherits: [head, auditor]}\ngrants:\n"
    files = {
        **BASE,
        ROLES: BASE[ROLES].replace("grants:\n", more),
        DUTY: f"- {{id: sod.hats, kind: exclusive_roles, {constraint}, then: deny}}\n",
    }
    found = [item for item in analyse(compile_files(files)).diagnostics if item.code == "unholdable_role"]
    assert [item.message.split("'")[1] for item in found] == who
    assert all(item.file == DUTY and "at most" in item.message for item in found)
