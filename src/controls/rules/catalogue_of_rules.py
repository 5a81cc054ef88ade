"""Codes about names, conditions, rules, and what the static checks find."""

from __future__ import annotations

from typing import Final

from controls.model.errors import Level
from controls.rules.explanations import (
    CHAIN,
    DUTY,
    LARGE,
    LIST,
    ROLES,
    SMALL,
    VOCABULARY,
    WHEN,
    Change,
    Explanation,
)

OF_RULES: Final = (
    Explanation(
        "conflicting_name",
        ("A name is taken: a parameter called like the beginning of facts, or a fact inside another one."),
        "Rename one.",
        Change("{order: {value", "{limit: {value"),
    ),
    Explanation(
        "cycle",
        "Steps or roles follow one another in a circle.",
        "Remove one of the links.",
        Change("{id: capture, after: [approve]}", "{id: capture}", CHAIN),
    ),
    Explanation(
        "duplicate_resource",
        "Two chain kinds are about the same type of resource.",
        "Put them into one, or rename a resource.",
        Change(
            (
                "chain: second\n"
                "title: {en: Order, es: Orden}\n"
                "resource: order\n"
                "steps: [{id: capture}, {id: approve}]\n"
            ),
            file="chains/second.yaml",
        ),
    ),
    Explanation(
        "name_taken",
        "A variable of a macro has the name of something else.",
        "Choose another name.",
        Change(
            (
                "parameters: {limit: {value: 100, type: int, basis: policy}, many: {value: [a], "
                "type: list, of: string, basis: policy}}\n"
                "  when: many.exists(limit, limit == order.side) && order.quantity > limit"
            ),
            (
                "parameters: {limit: {value: 100, type: int, basis: policy}}\n"
                '  when: order.quantity > limit && order.side == "buy"'
            ),
        ),
    ),
    Explanation(
        "needs_from_caller",
        ("A grant relies on what the caller says about the subject, and the vocabulary does not say so."),
        "Write `from: caller` on the fact, or use person.roles.",
        Change("{type: string, label", "{type: string, from: caller, label", VOCABULARY),
    ),
    Explanation(
        "progress_from_caller",
        ("A grant relies on what the caller says about progress, which the service knows itself."),
        'Use chain.performed("step").',
        Change('when: order.status == "approved"', 'when: subject.desk == "cash"', ROLES),
    ),
    Explanation(
        "reserved_id",
        "An id belongs to something built in.",
        "Choose another one.",
        Change("id: whole_chain", "id: sod.four_eyes", DUTY),
    ),
    Explanation(
        "reserved_name",
        "A name has a meaning of its own in conditions.",
        "Choose another one.",
        Change("chain.side: {type: string", "order.side: {type: string", VOCABULARY),
    ),
    Explanation(
        "reserved_resource",
        "A resource type belongs to the service's own administration.",
        "Use another one, or give the built-in role.",
        Change("resource: review", "resource: order", ROLES),
    ),
    Explanation(
        "unknown_action",
        "An example asks for an action that its rule does not watch.",
        "Use one of the rule's `on`.",
        Change("{name: small, action: order.approve,", "{name: small,"),
    ),
    Explanation(
        "unknown_chain",
        "There is no chain kind of that name.",
        "Correct it, or add the chain.",
        Change("then: deny, chain: ordr_life", "then: deny", DUTY),
    ),
    Explanation(
        "unknown_fact",
        "A fact is not in the vocabulary.",
        "Correct the name, or declare it in vocabulary.yaml.",
        Change('{order.quantiti: "5", order.side: buy}', SMALL),
    ),
    Explanation(
        "unknown_function",
        "There is no such function.",
        "Correct the name, or write it another way.",
        Change('lower(order.side) == "buy" && order.quantity > limit', WHEN),
    ),
    Explanation(
        "unknown_name",
        "A condition names something that is no fact, parameter or variable.",
        "Correct the name, or declare it.",
        Change("order.quantiti > limit", WHEN),
    ),
    Explanation(
        "unknown_role",
        "There is no role of that name.",
        "Correct it, or add the role to roles.yaml.",
        Change("role: tradr", "role: trader", ROLES),
    ),
    Explanation(
        "unknown_step",
        "The chain has no step of that name.",
        "Correct it, or add the step to the chain.",
        Change("after: [captur]", "after: [capture]", CHAIN),
    ),
    Explanation(
        "unknown_zone",
        "There is no such time zone.",
        "Use a name such as Europe/Madrid.",
        Change(("then: deny\n  effective: {from: 2026-03-02, zone: Europe/Madrit}"), "then: deny"),
    ),
    Explanation(
        "bad_literal",
        "A constant cannot be read: money, a date, a duration, an escape.",
        "Write it as the message shows.",
        Change('order.quantity > limit && now > timestamp("yesterday")', WHEN),
    ),
    Explanation(
        "bad_pattern",
        "A regular expression is not one of RE2.",
        "Correct it; there are no look-arounds and no back-references.",
        Change('order.quantity > limit && order.side.matches("(")', WHEN),
    ),
    Explanation(
        "not_material",
        "A constraint looks beyond the chain by a fact that requests could choose as they like.",
        "Add the fact to `material` of the chain kind, and to that of each step which can begin a chain.",
        Change(
            "steps: [capture, approve], scope: account, then: deny",
            "steps: [capture, approve], then: deny",
            DUTY,
        ),
    ),
    Explanation(
        "not_votable",
        "A step cannot take the votes of several persons as its chain kind stands.",
        "Let it not repeat, say `reapprove: true` there, and leave it out of `bind`.",
        Change("{id: approve, votes: 2, after: [capture]}", "{id: approve, after: [capture]}", CHAIN),
    ),
    Explanation(
        "never_expected",
        "An example of a constraint expects what that constraint never leads to.",
        "Expect what its `then` says, or permit.",
        Change("then: deny, examples: [{name: alone, asks: approve, expect: review}]", "then: deny", DUTY),
    ),
    Explanation(
        "constant_condition",
        "A condition or a part of it is always the same, by what is written there.",
        "Leave it out, or compare what was meant.",
        Change("order.quantity > limit && 1 < 2", WHEN),
    ),
    Explanation(
        "constant_error",
        "A part without facts can never be computed.",
        "Correct it.",
        Change("order.quantity > limit / 0", WHEN),
    ),
    Explanation(
        "incomparable_types",
        "Two values of different types are compared.",
        "Write the constant as the fact's type.",
        Change('order.quantity > "5" && order.quantity < limit', WHEN),
    ),
    Explanation(
        "not_a_condition",
        "`when` computes a value instead of saying yes or no.",
        "Compare it with something.",
        Change("order.quantity + limit", WHEN),
    ),
    Explanation(
        "syntax_error",
        "A condition cannot be read.",
        "Look at the place named.",
        Change("order.quantity > limit &&", WHEN),
    ),
    Explanation(
        "bad_placeholder",
        "A message quotes something that its rule does not read, or has a lone brace.",
        "Quote a fact that `when` reads or a parameter; write {{ for a brace.",
        Change('en: "{order.price} is too much"', 'en: "{order.quantity} is too much"'),
    ),
    Explanation(
        "untranslated_value",
        "A message tells a value in one language and not in the other.",
        "Quote the same facts and parameters in both.",
        Change('en: "The order is too large"', 'en: "{order.quantity} is too much"'),
    ),
    Explanation(
        "empty_period",
        "A period never holds.",
        "Let `to` be after `from`.",
        Change(("then: deny\n  effective: {from: 2026-03-02, to: 2026-03-02}"), "then: deny"),
    ),
    Explanation(
        "missing_because",
        "A rule skips absent facts and does not say why it may.",
        "Add `because`.",
        Change(("then: deny\n  missing: skip"), "then: deny"),
    ),
    Explanation(
        "missing_example",
        "A rule lacks an example that fires, or one that does not.",
        "Add it.",
        Change("expect: review", "expect: deny"),
    ),
    Explanation(
        "not_a_list",
        "The lines of a step are a fact that is no list.",
        "Name a list.",
        Change("{id: capture, lines: order.quantity}", "{id: capture}", CHAIN),
    ),
    Explanation(
        "overlapping_periods",
        "Two rules of one id are in force at the same time.",
        "Let one end where the other begins.",
        Change(("then: deny\n  effective: [{from: 2026-01-01}, {from: 2027-01-01}]"), "then: deny"),
    ),
    Explanation(
        "gap_of_hours",
        "One period ends some hours before the next begins, as two time zones leave it.",
        "Let both name the same zone.",
        Change(
            (
                "then: deny\n"
                "  effective:\n"
                "    - {to: 2026-07-01, zone: Europe/Madrid}\n"
                "    - {from: 2026-07-01, zone: America/New_York}"
            ),
            "then: deny",
        ),
    ),
    Explanation(
        "too_few_steps",
        ("A chain has fewer than two steps that must be taken, so nothing can be separated."),
        "Add a step, or let fewer be optional.",
        Change("{id: approve, optional: true, after: [capture]}", "{id: approve, after: [capture]}", CHAIN),
    ),
    Explanation(
        "unreachable_rule",
        "No grant and no chain step knows the action, so the rule could never be asked.",
        "Correct the action, or add it to a chain or a grant.",
        Change("on: order.captur", "on: order.capture"),
    ),
    Explanation(
        "unused_parameter",
        "A parameter is declared and `when` does not use it.",
        "Use it or remove it.",
        Change('order.quantity > 100 && order.side == "buy"', WHEN),
    ),
    Explanation(
        "always_true",
        "A condition is never false: it says nothing about the request.",
        "Look for an `||` that should be `&&`, or a comparison the wrong way round.",
        Change("order.quantity > limit || order.quantity < 200", WHEN),
    ),
    Explanation(
        "never_true",
        "A condition can never be true, so the rule protects from nothing.",
        "Look for an `&&` that should be `||`, or limits that exclude each other.",
        Change("order.quantity > limit && order.quantity < 50", WHEN),
    ),
    Explanation(
        "dead_branch",
        "One alternative of a condition can never make it true.",
        "Mend the alternative or remove it.",
        Change('order.side == "buy" && (order.quantity > limit || order.side == "sell")', WHEN),
        Level.WARNING,
    ),
    Explanation(
        "idle_example",
        (
            "The examples only show what happens without facts, or do not reach the "
            "condition: the rule itself is not tested."
        ),
        "Add an example that gives every fact.",
        Change("{order.side: buy}", LARGE),
        Level.WARNING,
    ),
    Explanation(
        "shadowed_rule",
        ("Whenever the rule speaks, another one speaks as strictly or more so: it changes no answer."),
        "Remove it, or make one of the two narrower.",
        Change(
            (
                '    - {name: large, given: {order.quantity: "500", order.side: buy}, expect: '
                "deny}\n"
                "- id: pre.size_again\n"
                "  title: {en: Very large, es: Muy grande}\n"
                "  source: {law: Firm policy, basis: policy}\n"
                "  on: order.capture\n"
                '  when: order.quantity > 1000 && order.side == "buy"\n'
                "  then: deny\n"
                "  message: {en: Very large, es: Muy grande}\n"
                "  examples:\n"
                '    - {name: small, given: {order.quantity: "5", order.side: buy}, expect: '
                "permit}\n"
                '    - {name: large, given: {order.quantity: "5000", order.side: buy}, expect: '
                "deny}\n"
            ),
            ('    - {name: large, given: {order.quantity: "500", order.side: buy}, expect: deny}\n'),
        ),
        Level.WARNING,
    ),
    Explanation(
        "unreachable_action",
        "A rule watches an action on which its condition is never true.",
        "Remove the action from `on`, or mend `when`.",
        Change(
            (
                "on: [order.capture, order.approve]\n"
                "  parameters: {limit: {value: 100, type: int, basis: policy}}\n"
                '  when: action.name == "capture" && order.quantity > limit && order.side == '
                '"buy"'
            ),
            (
                "on: order.capture\n"
                "  parameters: {limit: {value: 100, type: int, basis: policy}}\n"
                '  when: order.quantity > limit && order.side == "buy"'
            ),
        ),
        Level.WARNING,
    ),
    Explanation(
        "unread_fact",
        "An example gives a fact that its rule does not read.",
        "Correct its name, or leave it out.",
        Change("order.quantity > limit", WHEN),
        Level.WARNING,
    ),
    Explanation(
        "ungranted_step",
        "No role may take a step, so that nobody gets past it; or the chain kind names another resource.",
        "Grant it in roles.yaml, or name the resource that the grants name.",
        Change("resource: ordr\n", "resource: order\n", CHAIN),
        Level.WARNING,
    ),
    Explanation(
        "unholdable_role",
        "A role inherits roles that exclude one another, so that whoever holds it breaks the constraint.",
        "Let it inherit fewer roles, or leave one of them out of the constraint.",
        Change(
            "- {id: sod.hats, kind: exclusive_roles, roles: [trader, head], max: 1, then: deny}\n", file=DUTY
        ),
        Level.WARNING,
    ),
    Explanation(
        "unread_declaration",
        "Nothing reads a list, a table, rates, a calendar or an aggregate, so that it enforces nothing.",
        "Name it in a condition, or remove its file.",
        Change("issuer:string\nAcme\n", file=LIST),
        Level.WARNING,
    ),
    Explanation(
        "unused_fact",
        "Nothing reads a declared fact.",
        "Use it or remove it.",
        Change(
            ("facts:\n  order.price: {type: decimal, label: {en: Price, es: Precio}}\n"),
            "facts:\n",
            VOCABULARY,
        ),
        Level.WARNING,
    ),
    Explanation(
        "private_fact",
        "An obligation's due time rests on a private fact, and due times are shown in the ledger.",
        "Take a public fact, or mark this one `public: true` if it identifies nobody.",
        Change(
            "then: oblige\n  obligation: {duty: report, due: {from: order.placed_at, within: PT1H}}",
            "then: deny",
        ),
    ),
    Explanation(
        "unknown_calendar",
        "There is no calendar of that name.",
        "Correct the name, or add its file to calendars/.",
        Change('is_business_day(date("2026-03-02"), "madrid") && order.quantity > limit', WHEN),
    ),
    Explanation(
        "unknown_rates",
        "There is no table of rates of that name.",
        "Correct the name, or add its file to rates/.",
        Change('convert(order.value, "EUR", date("2026-03-02"), "house") > "5 EUR"', WHEN),
    ),
)
