"""A release: what it holds, its digest, and its way back from the stored document."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controls.model.chain import ChainKind, Repeats
from controls.model.duty import Constraint, ConstraintKind, Period, Scope
from controls.model.errors import RuleFilesInvalid
from controls.model.finding import Effect
from controls.model.values import Money, parse_decimal
from controls.rules.release import Release, compile_release, release_from_document
from controls.rules.rule import MissingPolicy, Rule
from tests.rules.rule_sets import desk_files

DESK = compile_release(desk_files())


def with_file(path: str, text: str) -> Release:
    return compile_release({**desk_files(), path: text})


def duties(text: str) -> tuple[Constraint, ...]:
    """The constraints of one duty file, without the built-in ones."""
    release = compile_release({**desk_files(), "duties/desk.yaml": text})
    built_in = (ConstraintKind.WHOLE_CHAIN, ConstraintKind.SOLE_ACTOR)
    return tuple(item for item in release.constraints if item.kind not in built_in)


def rule(text: str) -> Rule:
    """A rule made of the usual one with some lines in front of it that take precedence."""
    release = with_file("regulatory/test/rule.yaml", text)
    return next(item for item in release.rules if item.id == "test.rule")


def rule_text(**changes: str) -> str:
    keys = {
        "id": "test.rule",
        "title": "{en: A, es: B}",
        "source": "{law: Policy, basis: policy}",
        "on": "order.capture",
        "when": "order.quantity < 3",
        "then": "deny",
        "message": "{en: A, es: B}",
        "examples": "[{name: a, expect: permit}, {name: b, expect: deny}]",
        **changes,
    }
    return "".join(f"{key}: {value}\n" for key, value in keys.items())


def test_the_desk_is_a_release() -> None:
    """The pieces of all files come together."""
    assert DESK.digest.startswith("sha256:")
    assert len(DESK.digest) == 71
    assert [item.id for item in DESK.rules] == [
        "all.fair_average_price",
        "pre.credit_capital_threshold",
        "pre.large_order",
    ]
    assert set(DESK.chains) == {"order", "change"}
    assert {"order.capture", "order.amend", "record.read", "change.confirm", "review.resolve"} <= DESK.actions


def test_a_release_can_be_made_again_from_its_document() -> None:
    """The stored document alone gives the same release with the same digest."""
    again = release_from_document(DESK.document)
    assert again == DESK
    assert again.digest == DESK.digest


def test_comments_layout_and_order_do_not_change_the_digest() -> None:
    """The same rules in other words of YAML, with files and keys in another order, are the same release."""
    files = desk_files()
    files["vocabulary.yaml"] = json.dumps(_reversed(json.loads(DESK.document)["files"]["vocabulary.yaml"]))
    files["roles.yaml"] = "# who may do what\n\n" + files["roles.yaml"].replace(": ", ":   ") + "\n# end\n"
    files["chains/order_to_settlement.yaml"] = files["chains/order_to_settlement.yaml"].replace("\n", "\r\n")
    assert compile_release(dict(reversed(files.items()))).digest == DESK.digest


def _reversed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _reversed(item) for key, item in reversed(value.items())}
    return value


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("regulatory/pre_trade/limits.yaml", "10000000.00 EUR", "10000000.01 EUR"),
        ("duties/desk.yaml", "max: 3", "max: 4"),
        ("roles.yaml", "[instruct, settle]", "[settle, instruct]"),
        ("vocabulary.yaml", "es: Cuenta", "es: La cuenta"),
        ("chains/order_to_settlement.yaml", "after: [settle]", "after: [settle], optional: true"),
    ],
)
def test_any_other_change_gives_another_digest(path: str, old: str, new: str) -> None:
    """A release is what its files say, to the letter."""
    files = desk_files()
    assert old in files[path]
    files[path] = files[path].replace(old, new)
    assert compile_release(files).digest != DESK.digest


def test_the_document_is_canonical_json_without_fractions() -> None:
    """Sorted keys, no blanks, the built-in files included."""
    document = json.loads(DESK.document, parse_float=pytest.fail)
    again = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert again == DESK.document
    assert document["format"] == 1
    assert {path for path in document["files"] if path.startswith("system/")} == {
        "system/chains/administration.yaml",
        "system/roles.yaml",
    }


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: b"",
        lambda document: b"[]",
        lambda document: b"\xff",
        lambda document: document + b" ",
        lambda document: document.replace(b'"format":1', b'"format":2'),
        lambda document: document.replace(b'"format":1', b'"format":1.0'),
        lambda document: document.replace(b'"format":1', b'"format":true'),
        lambda document: document.replace(b'"files"', b'"filez"'),
        lambda document: document.replace(b"system/roles.yaml", b"system/rules.yaml"),
        lambda document: document.replace(b'"duties/desk.yaml"', b'"duties/desk.csv"'),
        lambda document: document.replace(b'"max":3', b'"max":3.5'),
        lambda document: b"[" * 100_000,
    ],
)
def test_a_spoilt_document_is_refused(spoil: Any) -> None:
    """What is not the canonical text of a release is named as such, never loaded in part."""
    with pytest.raises(RuleFilesInvalid) as caught:
        release_from_document(spoil(DESK.document))
    assert caught.value.diagnostics[0].code == "bad_document"


def test_no_files_make_the_smallest_release() -> None:
    """Administration and reviews are there without any file."""
    release = compile_release({})
    assert release.actions == {"change.propose", "change.confirm", "review.resolve"}
    assert set(release.roles) == {"administrator", "supervisor", "anyone"}
    assert [(item.kind, item.chain) for item in release.constraints] == [
        (ConstraintKind.WHOLE_CHAIN, "administration"),
        (ConstraintKind.SOLE_ACTOR, "administration"),
    ]


def test_a_change_takes_two_administrators() -> None:
    """The administration chain has two mandatory steps, the second after the first, and the whole chain."""
    kind = DESK.chains["change"]
    assert (kind.id, kind.mandatory, kind.progress_claimed) == (
        "administration",
        ("propose", "confirm"),
        True,
    )
    assert kind.steps[1].after == ("propose",)
    whole = [item for item in DESK.constraints if item.id == "whole_chain" and item.chain == kind.id]
    assert [(item.then, item.absolute, item.when) for item in whole] == [(Effect.DENY, True, None)]


def test_every_chain_kind_has_the_built_in_constraints() -> None:
    """Whole chain and sole actor are derived, and only the second can be opted out of, visibly."""
    text = (
        "{chain: pair, title: {en: Pair, es: Par}, resource: pair, sole_actor: allowed, "
        "steps: [{id: a}, {id: b}]}"
    )
    release = with_file("chains/pair.yaml", text)
    built_in = [(item.id, item.chain, item.steps) for item in release.constraints if item.absolute]
    assert ("whole_chain", "pair", ("a", "b")) in built_in
    assert ("sole_actor", "order_to_settlement", ("reconcile",)) in built_in
    assert not any(item[:2] == ("sole_actor", "pair") for item in built_in)


def test_roles_imply_what_they_inherit() -> None:
    """Inheritance is closed over, also through the built-in roles."""
    assert DESK.roles["trader"] == {"trader", "front_office"}
    assert DESK.roles["head_of_desk"] == {"head_of_desk", "supervisor"}
    assert DESK.roles["anyone"] == {"anyone"}
    assert DESK.role_titles["trader"].es == "Operador"


def test_files_may_add_to_the_built_in_roles() -> None:
    """An administrator may inherit more; the built-in grants stay."""
    text = "roles:\n  administrator: {inherits: [auditor]}\n  auditor: {}\n"
    release = compile_release({"roles.yaml": text})
    assert release.roles["administrator"] == {"administrator", "auditor"}
    assert [grant.id for grant in release.grants] == [
        "administrator:change:propose+confirm",
        "supervisor:review:resolve",
    ]


def test_chain_kinds_carry_what_files_say() -> None:
    """Steps with their order, offices, titles and lines; defaults where nothing is said."""
    text = """
chain: careful
title: {en: Careful, es: Cuidadosa}
resource: careful
material: [order.account]
if_stated: [order.side]
order: free
claim_valid_for: PT2H
steps:
  - {id: make it, repeats: same_person, material: []}
  - {id: check, after: [make it], repeats: anyone, reapprove: true, optional: true}
  - {id: send, after: [check], lines: order.lines}
"""
    kind = with_file("chains/careful.yaml", text).chains["careful"]
    assert isinstance(kind, ChainKind)
    assert (kind.free_order, kind.progress_claimed, kind.claim_valid_for) == (True, False, timedelta(hours=2))
    assert (kind.material, kind.if_stated) == (("order.account",), ("order.side",))
    make, check, send = kind.steps
    assert (make.title.en, make.repeats, kind.material_of(make)) == ("Make it", Repeats.SAME_PERSON, ())
    assert (check.repeats, check.reapprove, check.optional) == (Repeats.ANYONE, True, True)
    assert (send.lines, kind.material_of(send), kind.mandatory) == (
        "order.lines",
        ("order.account",),
        ("make it", "send"),
    )


@pytest.mark.parametrize(
    ("says", "span"),
    [
        ("", timedelta(days=5)),
        ("resembles: P2D", timedelta(days=2)),
        ("resembles: P366D", timedelta(days=366)),
        ("resembles: never", None),
        ("material: [order.account]", None),
        ("material: [order.account]\nresembles: never", None),
    ],
)
def test_how_long_a_chain_is_remembered(says: str, span: timedelta | None) -> None:
    """A working week where all that is compared is material, unless the chain kind says otherwise."""
    assert chain_of(says).resembles == span


@pytest.mark.parametrize(
    ("says", "code"),
    [
        ("resembles: always", "bad_duration"),
        ("resembles: PT1S", "out_of_range"),
        ("resembles: P367D", "out_of_range"),
        ("material: [order.account]\nresembles: P5D", "not_comparable"),
        ("if_stated: [order.acount]", "unknown_fact"),
    ],
)
def test_what_a_chain_cannot_say_is_refused(says: str, code: str) -> None:
    """With the file's words underlined."""
    with pytest.raises(RuleFilesInvalid) as refused:
        chain_of(says)
    assert [item.code for item in refused.value.diagnostics] == [code]


def chain_of(says: str) -> ChainKind:
    """The desk's chain of orders with other words on how long chains are remembered."""
    path = "chains/order_to_settlement.yaml"
    lines = [line for line in desk_files()[path].splitlines() if not line.startswith("resembles:")]
    if says.startswith("material:"):
        lines = [line for line in lines if not line.startswith("material:")]
    return with_file(path, "\n".join([*lines, says])).chains["order"]


def test_a_constraint_without_a_chain_holds_for_every_kind_with_its_steps() -> None:
    """One constraint is made for each chain kind that has all the steps, under one id."""
    other = (
        "{chain: other, title: {en: O, es: O}, resource: other, "
        "steps: [{id: capture}, {id: approve}, {id: x}]}"
    )
    release = with_file("chains/other.yaml", other)
    assert [item.chain for item in release.constraints if item.id == "maker_checker"] == [
        "order_to_settlement",
        "other",
    ]
    assert [item.chain for item in release.constraints if item.id == "trade_and_allocate"] == [
        "order_to_settlement"
    ]


def test_exclusive_roles_are_about_persons_not_chains() -> None:
    """Without a chain kind they hold everywhere, once."""
    (found,) = [item for item in DESK.constraints if item.kind is ConstraintKind.EXCLUSIVE_ROLES]
    assert (found.chain, found.limit, found.roles) == ("", 1, ("trader", "settlement_clerk", "reconciler"))


def test_constraints_carry_what_files_say() -> None:
    """Kind, limit, scope, condition, period, message, source."""
    (found,) = duties("""
id: three_a_day
kind: at_most
steps: [capture]
max: 3
scope: account
then: review
when: order.notional > "1.00 EUR"
effective: {from: 2026-03-29, to: 2026-10-25, zone: Europe/Madrid}
message: {en: Too many., es: Demasiadas.}
source: {law: Manual, article: 7, basis: policy, reviewed: false}
absolute: true
""")
    assert (found.kind, found.limit, found.scope, found.then) == (
        ConstraintKind.AT_MOST,
        3,
        Scope.ACCOUNT,
        Effect.REVIEW,
    )
    assert found.when is not None
    assert found.effective == Period(
        datetime(2026, 3, 28, 23, tzinfo=UTC), datetime(2026, 10, 24, 22, tzinfo=UTC)
    )
    assert found.message is not None
    assert (found.message.es, found.sources[0].article, found.absolute) == ("Demasiadas.", "7", True)
    assert found.title.en == "At most 3 per person and account: capture"
    assert found.title.es == "Como máximo 3 por persona y cuenta: capture"


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("then: deny", "then: review", False),
        ("steps: [capture, approve]", "steps: [capture, execute]", False),
        ("then: deny", "then: deny, absolute: true", False),
        ("then: deny", "then: deny, when: order.quantity > 1", False),
        ("then: deny", "then: deny, effective: {from: 2026-01-01}", False),
        ("then: deny", "then: deny, message: {en: A, es: B}", True),
        ("then: deny", "then: deny, title: {en: A, es: B}", True),
        ("then: deny", "then: deny, source: {law: A, basis: law}", True),
    ],
)
def test_a_constraints_version_changes_with_its_meaning_only(before: str, after: str, same: bool) -> None:
    """Words for people do not make another version; everything that decides does."""
    text = "{id: a, kind: separate, steps: [capture, approve], then: deny}"
    (old,), (new,) = duties(text), duties(text.replace(before, after))
    assert len(old.version) == 16
    assert (old.version == new.version) is same


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"when": "order.quantity < 4"}, False),
        ({"then": "review", "examples": "[{name: a, expect: permit}, {name: b, expect: review}]"}, False),
        ({"missing": "deny"}, False),
        ({"on": "order.approve"}, False),
        ({"mode": "observe"}, False),
        ({"effective": "{from: 2026-01-01}"}, False),
        ({"when": ">\n  order.quantity\n    <   3"}, True),
        ({"title": "{en: Other, es: Otro}"}, True),
        ({"message": "{en: Other, es: Otro}"}, True),
        ({"owner": "someone", "severity": "low"}, True),
        ({"missing": "review", "mode": "enforce"}, True),
    ],
)
def test_a_rules_version_changes_with_its_meaning_only(changes: dict[str, str], same: bool) -> None:
    """Layout, words for people and defaults written out do not make another version."""
    assert (rule(rule_text()).version == rule(rule_text(**changes)).version) is same


def test_parameters_are_part_of_a_rules_meaning() -> None:
    """A threshold that moves is another version; its digits written otherwise are not."""

    def version(value: str) -> str:
        return rule(
            rule_text(
                parameters=f'{{limit: {{value: "{value}", type: decimal, basis: policy}}}}',
                when="order.quantity < limit",
            )
        ).version

    assert version("1.5") == version("1.50") != version("1.51")


def test_rules_carry_what_files_say() -> None:
    """Policy, mode, period, parameters, obligation, examples, and the place for messages about the rule."""
    found = rule(
        rule_text(
            on="[order.capture, order.amend]",
            parameters="""
  limit: {value: 1.00 EUR, type: money, basis: law}
  sides: {value: [buy], type: list, of: string, basis: policy}""",
            when='order.notional > limit && order.side in sides && !chain.performed("execute")',
            then="oblige",
            obligation="{report: RTS 22, within: P1D, copies: 2}",
            missing="skip",
            because="Not every order has one.",
            mode="observe",
            owner="compliance",
            severity="critical",
            effective="[{to: 2020-01-01}, {from: 2021-01-01, zone: America/New_York}]",
            examples="""
  - {name: small, given: {order.notional: 0.50 EUR}, expect: permit}
  - name: large
    given: {order.notional: 2.00 EUR, order.side: buy, person.roles: [trader]}
    action: order.amend
    at: "2022-01-01T00:00:00Z"
    chain: {performed: {capture: p-1, approve: {person: p-2, at: "2021-12-31T00:00:00Z"}}}
    expect: oblige""",
        )
    )
    assert (found.then, found.missing, found.observe) == (Effect.OBLIGE, MissingPolicy.SKIP, True)
    assert found.because == "Not every order has one."
    assert found.parameters["limit"].value == Money(parse_decimal("1.00"), "EUR")
    assert (found.parameters["limit"].basis, found.parameters["limit"].type) == ("law", "money")
    assert found.parameters["sides"].value == ("buy",)
    assert found.obligation == {"report": "RTS 22", "within": "P1D", "copies": 2}
    assert found.periods == (
        Period(None, datetime(2020, 1, 1, tzinfo=UTC)),
        Period(datetime(2021, 1, 1, 5, tzinfo=UTC), None),
    )
    assert (found.file, found.line) == ("regulatory/test/rule.yaml", 1)
    assert [(act.step, act.person, act.at is None) for act in found.examples[1].performed] == [
        ("approve", "p-2", False),
        ("capture", "p-1", True),
    ]


def test_one_id_may_have_several_texts_one_after_the_other() -> None:
    """A rule that changes with the year keeps its id; its periods touch and do not overlap."""
    texts = [
        rule_text(effective="{to: 2026-01-01}"),
        rule_text(effective="{from: 2026-01-01}", when="order.quantity < 4"),
    ]
    release = compile_release(
        {**desk_files(), "regulatory/a/old.yaml": texts[0], "regulatory/b/new.yaml": texts[1]}
    )
    assert [item.condition.source for item in release.rules if item.id == "test.rule"] == [
        "order.quantity < 3",
        "order.quantity < 4",
    ]


def test_an_amendment_is_no_step() -> None:
    """As a step it would change material facts without opening again what had been approved."""
    files = desk_files()
    files["chains/order_to_settlement.yaml"] += "  - {id: amend, optional: true}\n"
    with pytest.raises(RuleFilesInvalid) as caught:
        compile_release(files)
    assert [(item.file, item.code) for item in caught.value.diagnostics] == [
        ("chains/order_to_settlement.yaml", "reserved_id")
    ]


@pytest.mark.parametrize("name", ["whole_chain", "joined_history", "would_strand"])
def test_a_constraint_is_not_called_as_what_the_service_finds(name: str) -> None:
    """By its id, what is found in its place could be lifted or accepted."""
    text = f"- {{id: {name}, kind: separate, steps: [capture, approve], then: deny}}"
    with pytest.raises(RuleFilesInvalid) as caught:
        compile_release({**desk_files(), "duties/desk.yaml": text})
    assert [(item.file, item.code) for item in caught.value.diagnostics if item.code == "reserved_id"] == [
        ("duties/desk.yaml", "reserved_id")
    ]


def test_grants_have_readable_ids() -> None:
    """A grant's id says what it grants, unless the file gives one."""
    text = """
roles: {clerk: {}}
grants:
  - {role: clerk, actions: [read, print], resource: letter}
  - {id: night_shift, role: clerk, actions: [read, print], resource: letter, when: 'subject.id == "n"'}
"""
    grants = compile_release({"roles.yaml": text}).grants
    assert [grant.id for grant in grants[2:]] == ["clerk:letter:read+print", "night_shift"]
    assert grants[3].when is not None


@settings(max_examples=10)
@given(order=st.permutations(sorted(desk_files())))
def test_the_order_of_files_never_matters(order: list[str]) -> None:
    """Any order of the same files is the same release."""
    files = desk_files()
    assert compile_release({path: files[path] for path in order}).digest == DESK.digest
