"""What `difference` says about single edits of the small trading desk: what, where and which way."""

from __future__ import annotations

from functools import cache

import pytest

from controls.model.finding import Effect
from controls.rules.changes import Change, ChangeClass
from controls.rules.difference import Difference, difference
from controls.rules.rule_sets import RuleSet, rule_set, stored_rule_set

from .rule_sets import desk_files

LIMITS = "regulatory/pre_trade/limits.yaml"
AVERAGE = "regulatory/allocation/average_price.yaml"
CHAIN = "chains/order_to_settlement.yaml"
DUTIES = "duties/desk.yaml"
ROLES = "roles.yaml"
VOCABULARY = "vocabulary.yaml"
STAYS = "  - {id: reconcile, office: back,   after: [settle], title: {en: Reconcile, es: Conciliación}}\n"


def edited(*edits: tuple[str, str, str]) -> dict[str, str]:
    """The desk's files with each `old` text, which must be there once, replaced."""
    files = desk_files()
    for name, old, new in edits:
        assert files[name].count(old) == 1, old
        files[name] = files[name].replace(old, new)
    return files


@cache
def desk() -> RuleSet:
    return rule_set(desk_files())


def after(*edits: tuple[str, str, str]) -> Difference:
    return difference(desk(), rule_set(edited(*edits)))


def only(*edits: tuple[str, str, str]) -> Change:
    """The one change that an edit makes."""
    (change,) = after(*edits).changes
    return change


TIGHTENING, LOOSENING, BOTH, NEUTRAL, NOT_PROVED = ChangeClass

# file, old text, new text -> what, which, class
EDITS = [
    (LIMITS, '"10000000.00 EUR", type', '"15000000.00 EUR", type', "parameter",
     "pre.credit_capital_threshold.threshold", LOOSENING),
    (LIMITS, '"5000000.00 EUR", type', '"4000000.00 EUR", type', "parameter", "pre.large_order.size",
     TIGHTENING),
    (LIMITS, '"5000000.00 EUR", type', '"5000000.00 USD", type', "parameter", "pre.large_order.size", BOTH),
    (LIMITS, "when: order.notional > size", "when: order.notional >= size", "condition", "pre.large_order",
     TIGHTENING),
    (LIMITS, "when: order.notional > size", "when: size < order.notional", "condition", "pre.large_order",
     NEUTRAL),
    # An absent fact is denied and a large order is reviewed: who leaves a fact out may fare worse.
    (LIMITS, "when: order.notional > size", "when: order.notional > size && order.solicited", "condition",
     "pre.large_order", BOTH),
    (LIMITS, "missing: deny", "missing: review", "missing", "pre.large_order", LOOSENING),
    (LIMITS, "on: [order.capture, order.approve]", "on: [order.approve]", "on", "pre.large_order", LOOSENING),
    (LIMITS, "on: [order.capture, order.approve]", "on: [order.approve, order.execute]", "on",
     "pre.large_order", BOTH),
    (LIMITS, "from: 2011-07-14, zone", "from: 2012-07-14, zone", "effective", "pre.credit_capital_threshold",
     LOOSENING),
    (LIMITS, "from: 2011-07-14, zone", "to: 2011-07-14, zone", "effective", "pre.credit_capital_threshold",
     BOTH),
    (LIMITS, 'type: money, basis: policy}\n  when: order.notional > size',
     'type: money, basis: guidance}\n  when: order.notional > size', "basis", "pre.large_order.size",
     NEUTRAL),
    (LIMITS, "en: Large order,", "en: A large order,", "wording", "pre.large_order", NEUTRAL),
    (LIMITS, "  severity: medium\n", "  severity: medium\n  mode: observe\n", "mode", "pre.large_order",
     LOOSENING),
    (DUTIES, "steps: [capture, approve], then: deny", "steps: [capture, approve], then: review", "then",
     "maker_checker (order_to_settlement)", LOOSENING),
    (DUTIES, "steps: [capture, approve], then", "steps: [capture, approve, settle], then", "steps",
     "maker_checker (order_to_settlement)", TIGHTENING),
    (DUTIES, "max: 3", "max: 2", "limit", "few_hands (order_to_settlement)", TIGHTENING),
    (DUTIES, "min: 3", "min: 2", "limit", "three_people (order_to_settlement)", LOOSENING),
    (DUTIES, "steps: [approve, execute, allocate, settle]", "steps: [approve, execute, allocate, confirm]",
     "steps", "three_people (order_to_settlement)", NOT_PROVED),
    (DUTIES, "kind: bind, steps: [instruct, settle]", "kind: separate, steps: [instruct, settle]", "kind",
     "same_clerk (order_to_settlement)", NOT_PROVED),
    (DUTIES, '"10000000.00 EUR"', '"9000000.00 EUR"', "when", "large_orders_apart (order_to_settlement)",
     TIGHTENING),
    (DUTIES, '  when: order.notional > "10000000.00 EUR"\n', "", "when",
     "large_orders_apart (order_to_settlement)", TIGHTENING),
    (DUTIES, "roles: [trader, settlement_clerk, reconciler]", "roles: [trader, settlement_clerk]", "roles",
     "front_back", LOOSENING),
    (DUTIES, "- {id: maker_checker, kind: separate, steps: [capture, approve], then: deny}\n", "", "duty",
     "maker_checker (order_to_settlement)", LOOSENING),
    (ROLES, "role: risk_officer, actions: [approve]", "role: risk_officer, actions: [approve, execute]",
     "grant", "risk_officer: order.execute", LOOSENING),
    (ROLES, "  - {role: reconciler, actions: [reconcile], resource: order}\n", "", "grant",
     "reconciler: order.reconcile", TIGHTENING),
    (ROLES, """, when: '!chain.performed("execute")'""", "", "grant", "trader: order.amend", LOOSENING),
    (ROLES, '!chain.performed("execute")', '!chain.claimed("execute")', "grant", "trader: order.amend",
     TIGHTENING),
    (ROLES, "risk_officer:     {inherits: [middle_office],", "risk_officer:     {", "role", "risk_officer",
     TIGHTENING),
    (ROLES, "inherits: [supervisor]", "inherits: [supervisor, reconciler]", "role", "head_of_desk", BOTH),
    (CHAIN, "after: [capture], reapprove: true", "after: [capture]", "reapprove", "order.approve", LOOSENING),
    (CHAIN, "after: [instruct]", "after: [instruct, allocate]", "after", "order.settle", TIGHTENING),
    (CHAIN, "after: [settle],", "after: [settle], repeats: anyone,", "repeats", "order.reconcile", LOOSENING),
    (CHAIN, "after: [settle],", "after: [settle], optional: true,", "optional", "order.reconcile", BOTH),
    (CHAIN, "order.quantity, order.notional]", "order.quantity]", "material", "order", LOOSENING),
    (CHAIN, "resource: order\n", "resource: order\nif_stated: [order.legs]\n", "if_stated", "order",
     TIGHTENING),
    (CHAIN, "resource: order\n", "resource: order\norder: free\n", "order", "order", LOOSENING),
    (CHAIN, "resource: order\n", "resource: order\nsole_actor: allowed\n", "sole_actor", "order", LOOSENING),
    (CHAIN, "resource: order\n", "resource: order\nclaim_valid_for: PT1H\n", "claim_valid_for", "order",
     NOT_PROVED),
    (CHAIN, "resembles: never", "resembles: P2D", "resembles", "order", TIGHTENING),
    (CHAIN, "resembles: never", "", "resembles", "order", TIGHTENING),
    (VOCABULARY, "values: [buy, sell]", "values: [buy, sell, short]", "values", "order.side", LOOSENING),
    (VOCABULARY, "max_items: 20", "max_items: 10", "max_items", "account.flags", TIGHTENING),
    (VOCABULARY, "order.legs:       {type: int", "order.legs:       {type: decimal", "type", "order.legs",
     NOT_PROVED),
    (VOCABULARY, "order.legs:       {type: int,", "order.legs:       {type: int, public: true,", "public",
     "order.legs", NEUTRAL),
    (VOCABULARY, "subject_types: [account, user]", "subject_types: [account]", "subject_types", "vocabulary",
     TIGHTENING),
]  # fmt: skip


def test_a_chain_kind_of_another_name_forgets_what_was_done() -> None:
    """Histories are kept by the kind's name: whoever confirms the release is told that they begin anew."""
    found = {
        (item.what, item.id): item
        for item in after((CHAIN, "chain: order_to_settlement", "chain: orders")).changes
    }
    change = found["chain", "order"]
    assert (change.kind, change.loosens) == (BOTH, True)
    assert "what was done on them counts for nobody on a chain of the new kind" in change.reason


@pytest.mark.parametrize(("name", "old", "new", "what", "which", "kind"), EDITS)
def test_an_edit_is_one_change_with_its_class_and_both_places(
    name: str, old: str, new: str, what: str, which: str, kind: ChangeClass
) -> None:
    """Exactly one change, with places in the edited file; the other way round it is the opposite."""
    change = only((name, old, new))
    assert (change.what, change.id, change.kind) == (what, which, kind)
    assert change.reason
    places = [where for where in change.where if where is not None]
    assert places
    assert {where.file for where in places} == {name}
    lines = desk_files()[name].splitlines()
    assert all(where.line is not None and 1 <= where.line <= len(lines) + 2 for where in places)
    (back,) = difference(rule_set(edited((name, old, new))), desk()).changes
    turned = {TIGHTENING: LOOSENING, LOOSENING: TIGHTENING}
    assert (back.what, back.id, back.kind) == (what, which, turned.get(kind, kind))


def test_the_same_rules_do_not_differ() -> None:
    """Neither from files, nor against what a release stores of them, nor with comments and other layout."""
    files = desk_files()
    one = desk()
    stored = stored_rule_set(one.release.document)
    commented = rule_set({path: f"# again\n{text}" for path, text in files.items()})
    for other in (one, stored, commented):
        found = difference(one, other)
        assert (found.changes, found.permissions, found.loosens) == ((), (), False)


def test_a_stored_release_has_files_without_lines() -> None:
    """A release keeps what was said and not how it was laid out."""
    edit = (LIMITS, "missing: deny", "missing: review")
    stored = stored_rule_set(desk().release.document)
    (change,) = difference(stored, rule_set(edited(edit))).changes
    one, other = change.where
    assert one is not None
    assert other is not None
    assert (one.file, one.line, str(one)) == (LIMITS, None, LIMITS)
    assert other.line == 1 + edited(edit)[LIMITS].splitlines().index("  missing: review", 20)


def test_a_raised_threshold_is_shown_with_a_request_that_passes_now() -> None:
    """The request lies between the two thresholds; the reason carries no guess."""
    change = only((LIMITS, '"10000000.00 EUR", type', '"15000000.00 EUR", type'))
    assert (change.before, change.after) == ("10000000 EUR", "15000000 EUR")
    (shown,) = change.shown
    assert (shown.before, shown.after) == (Effect.DENY, None)
    told = shown.as_json()
    facts = told["facts"]
    assert isinstance(facts, dict)
    total = sum(int(str(value).partition(" ")[0]) for value in facts.values())
    assert 10_000_000 < total <= 15_000_000
    assert (told["a"], told["b"], told["action"]) == ("deny", "permit", "order.approve")


def test_a_rule_added_or_removed_is_shown_with_its_own_example() -> None:
    """The example that fires says what is asked for now, or no longer."""
    files = desk_files()
    text = files.pop(AVERAGE)
    (change,) = difference(desk(), rule_set(files)).changes
    assert (change.what, change.act, change.kind) == ("rule", "removed", LOOSENING)
    assert [(item.before, item.after) for item in change.shown] == [(Effect.DENY, None)]
    (change,) = difference(rule_set(files), rule_set({**files, AVERAGE: text})).changes
    assert (change.what, change.act, change.kind) == ("rule", "added", TIGHTENING)
    assert [(item.before, item.after) for item in change.shown] == [(None, Effect.DENY)]


def test_what_no_proof_covers_is_not_proved() -> None:
    """Another list macro is outside the fragment; a request that was found is told all the same."""
    change = only((AVERAGE, "order.lines.exists(line,", "order.lines.exists_one(line,"))
    assert (change.what, change.kind) == ("condition", NOT_PROVED)


def test_the_same_macro_on_both_sides_is_one_unknown() -> None:
    """`A` against `A and something more` is proved whatever A is."""
    when = "when: order.lines.exists(line, line.price != order.average_price)"
    change = only((AVERAGE, when, f"{when} && order.side == 'buy'"))
    assert change.kind is LOOSENING


def test_two_changes_of_one_rule_are_told_apart_and_together() -> None:
    """A raised threshold beside something else: each by itself, then what they make of the rule."""
    found = after(
        (LIMITS, '"5000000.00 EUR", type', '"6000000.00 EUR", type'),
        (LIMITS, "missing: deny", "missing: review"),
    ).changes
    assert [(item.what, item.kind) for item in found] == [
        ("parameter", LOOSENING), ("missing", LOOSENING), ("rule", LOOSENING),
    ]  # fmt: skip
    assert "size, missing taken together" in found[2].reason
    found = after(
        (LIMITS, '"5000000.00 EUR", type', '"6000000.00 EUR", type'),
        (LIMITS, "when: order.notional > size", "when: order.notional * 2 > size"),
    ).changes
    assert [(item.what, item.kind) for item in found] == [
        ("parameter", LOOSENING), ("condition", TIGHTENING), ("rule", TIGHTENING),
    ]  # fmt: skip


def test_a_dated_version_beside_the_old_one_is_an_addition() -> None:
    """How a change of the law is written: the old version ends, the new one begins."""
    old = desk_files()[LIMITS]
    first, second = old.split("- id: pre.large_order\n")
    version = "- id: pre.large_order\n  effective: {from: 2027-01-01}\n" + second.replace(
        '"5000000', '"9000000'
    )
    ended = "- id: pre.large_order\n  effective: {to: 2027-01-01}\n" + second
    found = difference(desk(), rule_set({**desk_files(), LIMITS: first + ended + version})).changes
    assert [(item.what, item.act, item.kind) for item in found] == [
        ("effective", "changed", LOOSENING), ("rule", "added", TIGHTENING),
    ]  # fmt: skip


def test_who_may_do_what_is_told_with_what_roles_inherit() -> None:
    """A grant to a role reaches those that inherit it; a built-in role is among them."""
    found = after(
        (
            ROLES,
            "role: middle_office, actions: [allocate, confirm]",
            "role: middle_office, actions: [allocate]",
        )
    )
    assert [(item.role, item.action, item.before, item.after) for item in found.permissions] == [
        ("middle_office", "order.confirm", "always", "never"),
        ("risk_officer", "order.confirm", "always", "never"),
    ]
    assert not found.loosens


def test_a_grant_written_another_way_changes_nothing() -> None:
    """Two grants instead of one, and a condition beside an unconditional grant, permit the same."""
    line = "  - {role: risk_officer, actions: [approve], resource: order}\n"
    more = (
        line + "  - {id: x, role: risk_officer, actions: [approve], resource: order, when: order.solicited}\n"
    )
    found = after((ROLES, line, more))
    assert (found.changes, found.permissions) == ((), ())


def test_a_step_more_or_less_is_told() -> None:
    """What a longer chain means for the whole of it is not claimed."""
    found = after((CHAIN, STAYS, ""), (ROLES, "actions: [reconcile]", "actions: [read]"))
    assert ("step", "order.reconcile", "removed", NOT_PROVED) in [
        (item.what, item.id, item.act, item.kind) for item in found.changes
    ]


def test_a_fact_of_another_type_makes_conditions_incomparable() -> None:
    """Nobody can send one request to both; that is said, and nothing is claimed."""
    other = difference(
        rule_set(
            edited((LIMITS, "when: order.notional > size", "when: order.notional > size && order.solicited"))
        ),
        rule_set(
            edited(
                (VOCABULARY, "order.solicited:  {type: bool", "order.solicited:  {type: string"),
                (
                    LIMITS,
                    "when: order.notional > size",
                    'when: order.notional > size && order.solicited == "yes"',
                ),
            )
        ),
    )
    (condition,) = [item for item in other.changes if item.what == "condition"]
    assert (condition.kind, condition.shown) == (NOT_PROVED, ())
    assert "bool in A and string in B" in condition.reason


def test_a_pattern_in_a_parameter_is_not_compared_by_itself() -> None:
    """Its value became a program at load: the whole condition is outside the fragment as well."""
    files = desk_files()
    files[LIMITS] = (
        files[LIMITS]
        .replace(
            'size: {value: "5000000.00 EUR", type: money, basis: policy}',
            'size: {value: "^A", type: string, basis: policy}',
        )
        .replace("when: order.notional > size", "when: order.account.matches(size)")
        .replace("{order.notional} is more than {size}", "{order.account}")
        .replace("{order.notional} es más de {size}", "{order.account}")
    )
    other = {**files, LIMITS: files[LIMITS].replace('"^A"', '"^B"')}
    (change,) = [
        item for item in difference(rule_set(files), rule_set(other)).changes if item.what == "parameter"
    ]
    assert (change.kind, change.before, change.after) == (NOT_PROVED, "^A", "^B")
    assert "pattern" in change.reason


def test_as_json_has_one_shape() -> None:
    """Digests, counts of every class, changes with places and requests, permissions."""
    told = after((LIMITS, "missing: deny", "missing: review")).as_json()
    assert list(told) == ["a", "b", "counts", "changes", "permissions"]
    assert told["counts"] == {"tightening": 0, "loosening": 1, "both": 0, "neutral": 0, "not proved": 0}
    changes = told["changes"]
    assert isinstance(changes, list)
    (change,) = changes
    assert isinstance(change, dict)
    assert list(change) == [
        "what",
        "id",
        "change",
        "class",
        "before",
        "after",
        "reason",
        "basis",
        "a",
        "b",
        "requests",
    ]
    (request,) = change["requests"]
    assert list(request) == ["action", "at", "facts", "absent", "performed", "claimed", "a", "b"]
    assert (request["action"], request["a"], request["b"]) == ("order.capture", "deny", "review")
    assert request["at"] == "2026-03-02T09:30:00.000000Z"


# What rules look up, count and oblige to

LOOKS_UP = """\
- id: listed
  title: {en: Listed, es: En la lista}
  source: {law: Policy, basis: policy}
  on: [order.capture]
  when: order.account in list.closed
  then: deny
  message: {en: closed, es: cerrada}
  missing: review
  examples:
    - {name: listed, given: {order.account: A-1}, expect: deny}
    - {name: other, given: {order.account: C-1}, expect: permit}
- id: holiday
  title: {en: Holiday, es: Festivo}
  source: {law: Policy, basis: policy}
  on: [order.capture]
  when: '!is_business_day(date_of(now, "Europe/Madrid"), "target")'
  then: review
  message: {en: closed, es: cerrado}
  missing: review
  examples:
    - {name: monday, expect: permit}
    - {name: sunday, at: "2026-03-01T09:30:00Z", expect: review}
- id: often
  title: {en: Often, es: A menudo}
  source: {law: Policy, basis: policy}
  on: [order.capture]
  parameters:
    most: {value: 3, type: int, basis: policy}
  when: aggregate.captures >= most
  then: flag
  message: {en: many, es: muchas}
  missing: review
  examples:
    - {name: few, given: {aggregate.captures: 1}, expect: permit}
    - {name: many, given: {aggregate.captures: 9}, expect: flag}
- id: told
  title: {en: Told, es: Comunicada}
  source: {law: Policy, basis: policy}
  on: [order.capture]
  when: order.account == "C-9"
  then: oblige
  obligation:
    what: report
    due: {within: PT4H}
  message: {en: report, es: comunicar}
  missing: review
  examples:
    - name: it
      given: {order.account: C-9}
      at: "2026-03-02T09:30:00Z"
      expect: oblige
      due: "2026-03-02T13:30:00Z"
    - {name: other, given: {order.account: C-1}, expect: permit}
- id: watched
  title: {en: Watched, es: Vigilada}
  source: {law: Policy, basis: policy}
  on: [order.capture]
  when: order.account == "C-8"
  then: flag
  message: {en: watched, es: vigilada}
  missing: skip
  because: an order without an account is refused elsewhere
  examples:
    - {name: it, given: {order.account: C-8}, expect: flag}
    - {name: other, given: {order.account: C-1}, expect: permit}
- id: tiers
  title: {en: Tiers, es: Tramos}
  source: {law: Policy, basis: policy}
  on: [order.capture]
  table:
    hit: first
    inputs: [order.account, order.side]
    rows:
      - {order.account: D-1, order.side: buy, then: review}
      - {order.account: D-1, order.side: '-', then: permit}
      - {order.account: D-2, order.side: '-', then: deny}
    default: permit
  message: {en: tier, es: tramo}
  missing: review
  examples:
    - {name: one, given: {order.account: D-1, order.side: buy}, expect: review}
    - {name: two, given: {order.account: D-2, order.side: buy}, expect: deny}
    - {name: other, given: {order.account: C-1, order.side: buy}, expect: permit}
"""
RULES, LIST, CALENDAR = "regulatory/pre_trade/looks_up.yaml", "lists/closed.csv", "calendars/target.yaml"
AGGREGATES = "aggregates/captures.yaml"
LOOKED_UP = {
    RULES: LOOKS_UP,
    LIST: "account:string\nA-1\nA-2\nA-3\nA-4\n",
    CALENDAR: """\
title: {en: TARGET, es: TARGET}
source: {law: Policy, basis: policy}
first_year: 2026
last_year: 2027
weekend: [saturday, sunday]
holidays:
  2026-12-25: Christmas Day
  2026-05-01: Labour Day
""",
    AGGREGATES: """\
- aggregate: captures
  title: {en: Captures, es: Capturas}
  count: [order.capture]
  by: [order.account]
  within: PT1H
""",
}


def looked_up(*edits: tuple[str, str, str]) -> RuleSet:
    files = {**desk_files(), **LOOKED_UP}
    for name, old, new in edits:
        assert files[name].count(old) == 1, old
        files[name] = files[name].replace(old, new)
    return rule_set(files)


def changed_rule(*edits: tuple[str, str, str]) -> Change:
    """The one change of what rules answer; what a file alone changes is neutral."""
    changes = difference(looked_up(), looked_up(*edits)).changes
    assert {item.kind for item in changes if item.what in ("file", "wording")} <= {NEUTRAL}
    (found,) = [item for item in changes if item.what not in ("file", "wording")]
    return found


TABLE = LOOKS_UP[LOOKS_UP.index("  table:") : LOOKS_UP.index("  message: {en: tier")]
ROW = "{order.account: D-1, order.side: buy, then: review}"
PERMITS = "{order.account: D-1, order.side: '-', then: permit}"
LAST = "{order.account: D-2, order.side: '-', then: deny}"
ONE = "{name: one, given: {order.account: D-1, order.side: buy}, expect: review}"
DENIED, FLAGGED = ONE.replace("review", "deny"), ONE.replace("review", "flag")
DATA_EDITS = [
    # An item more on a list of what is refused; the proof looks at the items that only one side has.
    ([(LIST, "A-4\n", "A-4\nA-5\n")], "data", "listed", TIGHTENING),
    ([(LIST, "A-4\n", "")], "data", "listed", LOOSENING),
    ([(LIST, "A-4\n", "A-5\n")], "data", "listed", BOTH),
    # Another calendar, another count: nobody takes the two for the same.
    ([(CALENDAR, "  2026-05-01: Labour Day\n", "")], "data", "holiday", NOT_PROVED),
    ([(AGGREGATES, "within: PT1H", "within: PT2H")], "data", "often", NOT_PROVED),
    ([(RULES, "most: {value: 3", "most: {value: 4")], "parameter", "often.most", LOOSENING),
    ([(RULES, "missing: skip", "missing: skip\n  silent: true")], "silent", "watched", NEUTRAL),
    ([(RULES, ROW, ROW.replace("review", "deny")), (RULES, ONE, DENIED)], "table", "tiers", TIGHTENING),
    # Where the side is absent, `missing: review` speaks on both sides.
    ([(RULES, PERMITS, PERMITS.replace("permit", "review"))], "table", "tiers", TIGHTENING),
    ([(RULES, PERMITS, PERMITS.replace("permit", "flag")), (RULES, ONE, f"{ONE}\n    - {FLAGGED}"),
      (RULES, "name: one, given: {order.account: D-1, order.side: buy}, expect: flag",
       "name: flagged, given: {order.account: D-1, order.side: sell}, expect: flag")],
     "table", "tiers", TIGHTENING),
    # Other cells, another column, another order, another hit policy: rows are compared with all rows.
    ([(RULES, "{order.account: D-2, order.side: '-'", "{order.account: D-2, order.side: buy")], "table",
     "tiers", LOOSENING),
    ([(RULES, "{order.account: D-2, order.side: '-'", "{order.account: 'D-2, D-3', order.side: buy")],
     "table", "tiers", BOTH),
    ([(RULES, f"{PERMITS}\n      - {LAST}", f"{LAST}\n      - {PERMITS}")], "table", "tiers", NEUTRAL),
    ([(RULES, "hit: first", "hit: priority")], "table", "tiers", NEUTRAL),
    ([(RULES, "inputs: [order.account, order.side]", "inputs: [order.account, order.side, order.quantity]"),
      (RULES, ROW, ROW.replace(", then", ", order.quantity: '> 10', then")),
      (RULES, PERMITS, PERMITS.replace(", then", ", order.quantity: '-', then")),
      (RULES, "{order.account: D-2, order.side: '-', then", "{order.account: D-2, order.side: '-', "
       "order.quantity: '-', then"),
      (RULES, ONE, ONE.replace("side: buy", "side: buy, order.quantity: '11'"))],
     "table", "tiers", LOOSENING),
    # What the table becomes as a condition, and the other way round.
    ([(RULES, TABLE, '  when: order.account == "D-2"\n  then: deny\n'),
      (RULES, ONE, "{name: one, given: {order.account: D-1}, expect: permit}")], "table", "tiers", LOOSENING),
    ([(RULES, "default: permit", "default: deny"),
      (RULES, "C-1, order.side: buy}, expect: permit", "D-1, order.side: sell}, expect: permit")], "table",
     "tiers", TIGHTENING),
]  # fmt: skip


@pytest.mark.parametrize(("edits", "what", "which", "kind"), DATA_EDITS)
def test_what_rules_look_up_and_the_cells_of_tables(
    edits: list[tuple[str, str, str]], what: str, which: str, kind: ChangeClass
) -> None:
    """Each edit is one change of the rule that uses it, with its class."""
    found = changed_rule(*edits)
    assert (found.what, found.id, found.kind) == (what, which, kind)


def test_a_changed_calendar_is_named() -> None:
    """The reason says what is not the same, and so do the values."""
    found = changed_rule((CALENDAR, "  2026-05-01: Labour Day\n", ""))
    assert "the calendar target is not the same in A and B" in found.reason
    assert (found.before, found.after) == ("the calendar target", "the calendar target, changed")


def test_a_changed_aggregate_is_not_one_fact_on_both_sides() -> None:
    """Beside a parameter, too: the parameter is compared with the first count, both together are not."""
    edits = ((AGGREGATES, "within: PT1H", "within: PT2H"), (RULES, "most: {value: 3", "most: {value: 4"))
    changes = difference(looked_up(), looked_up(*edits)).changes
    assert [(item.what, item.kind) for item in changes if item.what != "file"] == [
        ("parameter", LOOSENING),
        ("data", NOT_PROVED),
        ("rule", NOT_PROVED),
    ]


def test_an_obligation_that_is_due_later() -> None:
    """The answer is the same, and whoever is obliged has more time: a loosening."""
    told = 'due: "2026-03-02T13:30:00Z"'
    found = changed_rule(
        (RULES, "due: {within: PT4H}", "due: {within: PT5H}"), (RULES, told, told.replace("T13", "T14"))
    )
    assert (found.what, found.kind) == ("due", LOOSENING)
    assert (found.before, found.after) == ("within 4:00:00", "within 5:00:00")
    day = 'due: {business_days: 1, calendar: target, at: "18:00", zone: UTC}'
    found = changed_rule((RULES, "due: {within: PT4H}", day), (RULES, told, 'due: "2026-03-03T18:00:00Z"'))
    assert (found.what, found.kind) == ("due", NOT_PROVED)
    assert found.after == "1 business days of target at 18:00 UTC"


DAY = 'due: {business_days: many, calendar: target, at: "18:00", zone: UTC, warn_at: soon}'
DUE = """\
  then: oblige
  parameters:
    many: {value: 1, type: int, basis: law}
    soon: {value: PT12H, type: duration, basis: policy}
"""


def of_due(*edits: tuple[str, str]) -> list[Change]:
    """The changes of a rule whose due time is of parameters; no example of it says when that is."""
    base = LOOKS_UP.replace("due: {within: PT4H}", DAY).replace("  then: oblige\n", DUE)
    base = base.replace('      due: "2026-03-02T13:30:00Z"\n', '      due: "2026-03-03T18:00:00Z"\n')
    changed = base
    for old, new in edits:
        assert changed.count(old) == 1, old
        changed = changed.replace(old, new)
    sides = [rule_set({**desk_files(), **LOOKED_UP, RULES: text}) for text in (base, changed)]
    return [item for item in difference(*sides).changes if item.what not in ("file", "wording")]


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ([("many: {value: 1", "many: {value: 2")], [("parameter", "told.many", LOOSENING)]),
        ([("soon: {value: PT12H", "soon: {value: PT13H")], [("parameter", "told.soon", NEUTRAL)]),
        ([('at: "18:00"', 'at: "17:00"')], [("due", "told", TIGHTENING)]),
        ([("many: {value: 1", "many: {value: 2"), ('at: "18:00"', 'at: "17:00"')],
         [("parameter", "told.many", LOOSENING), ("due", "told", TIGHTENING), ("rule", "told", LOOSENING)]),
        # A literal in the place of a parameter says the same, ...
        ([("business_days: many", "business_days: 1"), ("    many: {value: 1, type: int, basis: law}\n", "")],
         []),
        # ... and what no longer obliges is due never: that is one change, of `then`.
        ([("  then: oblige\n", "  then: review\n"), ("expect: oblige", "expect: review"),
          (f"  obligation:\n    what: report\n    {DAY}\n", ""),
          ('      due: "2026-03-03T18:00:00Z"\n', ""),
          ("  parameters:\n    many: {value: 1, type: int, basis: law}\n", ""),
          ("    soon: {value: PT12H, type: duration, basis: policy}\n", "")],
         [("then", "told", TIGHTENING)]),
        # Who asks fewer and gives them more time loosens; who asks more and gives more time does neither.
        ([("many: {value: 1", "many: {value: 2"), ('account == "C-9"', 'account in ["C-9", "C-10"]')],
         [("parameter", "told.many", LOOSENING), ("condition", "told", TIGHTENING),
          ("rule", "told", NOT_PROVED)]),
    ],
)  # fmt: skip
def test_a_due_time_of_parameters_moves_with_them(
    edits: list[tuple[str, str]], expected: list[tuple[str, str, ChangeClass]]
) -> None:
    """Each parameter by itself, what else changed in the due time by itself, and all of it together."""
    assert [(item.what, item.id, item.kind) for item in of_due(*edits)] == expected


def test_another_calendar_moves_what_is_due() -> None:
    """One holiday less, and nothing is due later: looked up day by day, and shown with one of them."""
    base = LOOKS_UP.replace(
        "due: {within: PT4H}", 'due: {business_days: 1, calendar: target, at: "18:00", zone: UTC}'
    )
    base = base.replace('      due: "2026-03-02T13:30:00Z"\n', '      due: "2026-03-03T18:00:00Z"\n')
    calendar = LOOKED_UP[CALENDAR].replace("  2026-12-25: Christmas Day\n", "")
    one, other = (
        {**desk_files(), **LOOKED_UP, RULES: base, CALENDAR: text} for text in (LOOKED_UP[CALENDAR], calendar)
    )
    (found,) = [item for item in difference(rule_set(one), rule_set(other)).changes if item.what == "due"]
    assert (found.id, found.kind) == ("told", TIGHTENING)
    assert "counted from 2026-12-24, 2026-12-25 18:00 UTC instead of 2026-12-28 18:00 UTC" in found.reason


def test_what_a_table_s_examples_show_is_shown() -> None:
    """Requests of both sides' examples that the tables answer differently."""
    found = changed_rule((RULES, ROW, ROW.replace("review", "deny")), (RULES, ONE, DENIED))
    (shown,) = found.shown
    assert (shown.before, shown.after) == (Effect.REVIEW, Effect.DENY)
    assert found.before.startswith('row 1: order.account == "D-1"')
    assert found.before.endswith("-> review")


def of_tiers(*edits: tuple[str, str, str]) -> Change:
    """The change of the table as a whole, with a parameter in one of its inputs."""
    asked = "inputs: [order.account, {name: large, value: order.quantity > size}]"
    rows = TABLE.replace("order.side: buy", "large: 'true'").replace("order.side", "large")
    base = LOOKS_UP.replace(TABLE, rows.replace("inputs: [order.account, large]", asked))
    base = base.replace("  on: [order.capture]\n  table:", f"  on: [order.capture]\n{SIZE}  table:")
    base = (
        base[: base.index("    - {name: one")]
        + """\
    - {name: one, given: {order.account: D-1, order.quantity: "11"}, expect: review}
    - {name: two, given: {order.account: D-2, order.quantity: "1"}, expect: deny}
    - {name: other, given: {order.account: C-1, order.quantity: "1"}, expect: permit}
"""
    )
    changed = base
    for _, old, new in edits:
        assert changed.count(old) == 1, old
        changed = changed.replace(old, new)
    sides = [rule_set({**desk_files(), **LOOKED_UP, RULES: text}) for text in (base, changed)]
    (found,) = [item for item in difference(*sides).changes if item.what not in ("file", "wording")]
    return found


SIZE = "  parameters: {size: {value: 10, type: int, basis: law}}\n"


def test_a_parameter_of_law_inside_a_table_is_proved_to_be_loosened() -> None:
    """With a request; so a release that does it is refused (see services.release_changes)."""
    found = of_tiers((RULES, "size: {value: 10", "size: {value: 20"), (RULES, '"11"', '"21"'))
    assert (found.what, found.id, found.kind, found.basis) == ("parameter", "tiers.size", LOOSENING, "law")
    (shown,) = found.shown
    assert (shown.before, shown.after) == (Effect.REVIEW, None)
    assert shown.facts.values["order.account"] == "D-1"


def test_rows_too_many_to_compare_with_one_another_are_still_compared_one_by_one() -> None:
    """The same rows with another outcome are proved however many there are; other rows are not."""

    def many(*, cell: str = "C-1", then: str = "review") -> RuleSet:
        rows = "".join(f"      - {{order.account: B-{n}, order.side: '-', then: deny}}\n" for n in range(120))
        last = f"      - {{order.account: {cell}, order.side: buy, then: {then}}}\n    default: permit\n"
        text = LOOKS_UP.replace("    default: permit\n", rows + last)
        text = text.replace("account: C-1, order.side: buy}, expect: permit", "account: D-9}, expect: permit")
        return rule_set({**desk_files(), **LOOKED_UP, RULES: text})

    (outcome,) = [item for item in difference(many(), many(then="deny")).changes if item.what == "table"]
    assert outcome.kind is TIGHTENING
    (cell,) = [item for item in difference(many(), many(cell="C-2")).changes if item.what == "table"]
    assert cell.kind is NOT_PROVED
    assert "too many" in cell.reason
