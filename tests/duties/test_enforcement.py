from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import casbin
import pytest
from casbin.model import Model
from hypothesis import given
from hypothesis import strategies as st

from controls.duties import enforcement as module
from controls.duties.enforcement import Enforcement, EnforcementAnswer
from controls.duties.hearing import ANYONE, Hearing, Question
from controls.model.chain import ActState, Capacity, ChainHistory, ChainKind
from controls.model.condition import Truth
from controls.model.duty import Constraint, ConstraintKind, Grant, Scope
from controls.model.finding import Cause, Effect, Origin
from controls.model.people import Person
from tests.duties.builders import (
    KIND,
    STEPS,
    Counting,
    Fixed,
    a_constraint,
    a_grant,
    a_history,
    a_kind,
    a_question,
    a_step,
    an_act,
    done,
    rules_of,
)

CLOSURE = {
    "trader": frozenset({"front"}),
    "front": frozenset[str](),
    "clerk": frozenset[str](),
    "head": frozenset({"trader", "front"}),
}
HOSTILE = [
    "a, admin",
    "a)b",
    "a(b",
    ") or (True",
    "' or '1'=='1",
    '"trader"',
    "r_hearing",
    "p.role",
    "trader\n",
    " trader",
    "trader # comment",
    "[matchers]",
    "\x00",
    "True",
    "&& ||",
    "ana::trader",
    "*",
    "ñandú",
]


def enforcing(
    *constraints: Constraint, grants: tuple[Grant, ...] | None = None, kinds: tuple[ChainKind, ...] = (KIND,)
) -> Enforcement:
    """An enforcement in which `front` may take every step, unless `grants` are given."""
    given_ones = (a_grant("front", *STEPS),) if grants is None else grants
    return Enforcement(given_ones, CLOSURE, constraints, kinds)


def enforcer_of(made: Enforcement, action: str) -> module._Enforcer:
    """The Casbin enforcer of one step of `KIND`."""
    enforcer = made._points["order", action, KIND.id].enforcer
    assert enforcer is not None
    return enforcer


class TestGrants:
    @pytest.mark.parametrize(
        ("roles", "allowed"),
        [(("front",), True), (("trader",), True), (("head",), True), (("clerk",), False), ((), False)],
    )
    def test_role_or_one_that_inherits_it(self, roles: tuple[str, ...], allowed: bool) -> None:
        """A grant is for its role and for every role that inherits it, and for no other."""
        assert enforcing().decide(a_question("capture", "ana", *roles)).allowed is allowed

    def test_no_grant_names_action_resource_and_roles(self) -> None:
        """Who is not granted an action is told the action, the resource type and the roles that could."""
        answer = enforcing().decide(a_question("capture", "ana", "clerk"))
        (found,) = answer.findings
        assert (found.rule, found.effect, found.origin) == ("no_grant", Effect.DENY, Origin.GRANT)
        for text in (found.message.en, found.message.es):
            assert all(word in text for word in ("capture", "order", "front, head, trader"))
        assert found.values["roles"] == ("front", "head", "trader")

    @pytest.mark.parametrize(("truth", "allowed"), [(Truth.TRUE, True), (Truth.FALSE, False)])
    def test_condition(self, truth: Truth, allowed: bool) -> None:
        """A grant with a condition permits only when that is true, and the refusal names the condition."""
        answer = enforcing(grants=(a_grant("front", "capture", when=Fixed(truth)),)).decide(
            a_question("capture", "ana", "front")
        )
        assert answer.allowed is allowed
        if not allowed:
            assert rules_of(answer.findings) == ["no_grant"]
            assert 'order.side == "buy"' in answer.findings[0].message.en

    def test_unknown_condition_names_the_missing_facts(self) -> None:
        """A grant whose condition is unknown permits nothing and says what is missing."""
        grants = (
            a_grant("front", "capture", when=Fixed(Truth.UNKNOWN, missing=("order.side",))),
            a_grant("trader", "capture", when=Fixed(Truth.UNKNOWN, missing=("order.venue", "order.side"))),
            a_grant("clerk", "capture", when=Fixed(Truth.UNKNOWN, missing=("not.asked",))),
        )
        answer = enforcing(grants=grants).decide(a_question("capture", "ana", "trader"))
        (found,) = answer.findings
        assert not answer.allowed
        assert (found.rule, found.missing) == ("grant_unknown", ("order.side", "order.venue"))
        assert found.cause is Cause.MISSING
        assert "order.side, order.venue" in found.message.es

    def test_broken_condition_is_an_error(self) -> None:
        """A grant whose condition cannot be computed permits nothing and says why."""
        grants = (a_grant("front", "capture", when=Fixed(Truth.UNKNOWN, error="two currencies")),)
        answer = enforcing(grants=grants).decide(a_question("capture", "ana", "front"))
        assert (answer.allowed, answer.findings[0].cause) == (False, Cause.ERROR)
        assert "two currencies" in answer.findings[0].message.en

    def test_one_true_grant_is_enough(self) -> None:
        """An unknown grant does not spoil one that is in force."""
        grants = (a_grant("front", "capture", when=Fixed(Truth.UNKNOWN)), a_grant("trader", "capture"))
        answer = enforcing(grants=grants).decide(a_question("capture", "ana", "trader"))
        assert answer == EnforcementAnswer(allowed=True, findings=())

    def test_condition_is_asked_once(self) -> None:
        """A condition is evaluated once for a question, and not at all for roles that the person lacks."""
        asked, unasked = Counting(), Counting()
        grants = (a_grant("front", "capture", when=asked), a_grant("clerk", "capture", when=unasked))
        assert enforcing(grants=grants).decide(a_question("capture", "ana", "front")).allowed
        assert (len(asked.asked), len(unasked.asked)) == (1, 0)

    def test_anyone_is_every_person_of_record(self) -> None:
        """`anyone` is held without being assigned, by persons of record only."""
        grants = (a_grant(ANYONE, "read", resource="record"),)
        made = enforcing(grants=grants)
        assert made.decide(a_question("read", "ana", kind=None, resource="record")).allowed
        answer = made.decide(a_question("read", None, kind=None, resource="record"))
        assert not answer.allowed
        assert rules_of(answer.findings) == ["no_grant"]
        assert "no person of record" in answer.findings[0].message.en

    def test_resource_without_a_chain(self) -> None:
        """Resource types without a chain kind are decided by grants alone."""
        made = enforcing(grants=(a_grant("clerk", "archive", resource="record"),))
        assert made.decide(a_question("archive", "ana", "clerk", kind=None, resource="record")).allowed
        assert not made.decide(a_question("archive", "ana", "front", kind=None, resource="record")).allowed

    def test_action_on_a_chain_resource_that_is_no_step(self) -> None:
        """An action that is no step of the resource's chain is decided by grants, chain kind given or not."""
        made = enforcing(grants=(a_grant("clerk", "read"),))
        question = a_question("read", "ana", "clerk")
        assert question.kind is KIND
        assert question.step is None
        assert made.decide(question).allowed
        assert made.decide(replace(question, kind=None)).allowed

    @pytest.mark.parametrize(("action", "resource"), [("fly", "order"), ("capture", "moon"), ("fly", "moon")])
    def test_unknown_action_or_resource(self, action: str, resource: str) -> None:
        """What the rules do not know is granted to nobody."""
        answer = enforcing().decide(a_question(action, "ana", "head", kind=None, resource=resource))
        assert not answer.allowed
        assert rules_of(answer.findings) == ["no_grant"]


class TestConstraints:
    SEPARATE = a_constraint(ConstraintKind.SEPARATE, "capture", "approve", name="maker_checker")

    def test_denied_whatever_is_granted(self) -> None:
        """A violated constraint denies a person who holds every role."""
        answer = enforcing(self.SEPARATE).decide(
            a_question("approve", "ana", *CLOSURE, history=done(("capture", "ana")))
        )
        assert not answer.allowed
        assert rules_of(answer.findings) == ["maker_checker"]

    def test_all_findings_at_once(self) -> None:
        """Casbin stops at the first denial; the answer has them all, and the missing grant too."""
        constraints = (
            self.SEPARATE,
            a_constraint(ConstraintKind.AT_MOST, *STEPS, name="few", limit=1),
            a_constraint(ConstraintKind.BIND, "approve", "settle", name="same", then=Effect.REVIEW),
        )
        history = done(("capture", "ana"), ("settle", "ben"))
        answer = enforcing(*constraints).decide(a_question("approve", "ana", "clerk", history=history))
        assert rules_of(answer.findings) == ["maker_checker", "few", "same", "no_grant"]

    @pytest.mark.parametrize("effect", [Effect.REVIEW, Effect.FLAG])
    def test_lesser_effects_do_not_deny(self, effect: Effect) -> None:
        """A constraint that asks for a review or a flag is a finding beside the permit."""
        answer = enforcing(replace(self.SEPARATE, then=effect)).decide(
            a_question("approve", "ana", "front", history=done(("capture", "ana")))
        )
        assert answer.allowed
        assert [finding.effect for finding in answer.findings] == [effect]

    def test_whole_chain_is_built_in(self) -> None:
        """Nobody handles a whole chain even where the release says nothing about it."""
        history = done(*((step, "ana") for step in STEPS[1:]))
        answer = enforcing().decide(a_question("capture", "ana", "front", history=history))
        assert not answer.allowed
        assert rules_of(answer.findings) == ["whole_chain"]

    def test_sole_actor_is_built_in_unless_allowed(self) -> None:
        """Skipping steps does not help, except in a chain kind that says so."""
        question = a_question("settle", "ana", "front", history=done(("capture", "ana")))
        assert rules_of(enforcing().decide(question).findings) == ["sole_actor"]
        lenient = replace(KIND, sole_actor_allowed=True)
        assert enforcing(kinds=(lenient,)).decide(replace(question, kind=lenient)).allowed

    def test_exclusive_roles_count_inherited_ones(self) -> None:
        """A role held through another one is held."""
        rule = a_constraint(
            ConstraintKind.EXCLUSIVE_ROLES, name="apart", chain="", roles=("front", "clerk"), limit=1
        )
        made = enforcing(rule)
        assert rules_of(made.decide(a_question("capture", "ana", "head", "clerk")).findings) == ["apart"]
        assert made.decide(a_question("capture", "ana", "head")).allowed

    def test_account_scope(self) -> None:
        """A limit per account counts the other chains, and denies when they cannot be told."""
        rule = a_constraint(ConstraintKind.AT_MOST, "capture", name="three", limit=3, scope=Scope.ACCOUNT)
        others = tuple(done(("capture", "ana"), chain=f"O-{at}") for at in range(2, 5))
        made = enforcing(rule)
        for known, allowed in ((others[:2], True), (others, False), (None, False)):
            question = a_question("capture", "ana", "front", elsewhere=known)
            assert made.decide(question).allowed is allowed

    def test_unknown_condition_denies(self) -> None:
        """A deny constraint whose condition is unknown denies."""
        rule = replace(self.SEPARATE, when=Fixed(Truth.UNKNOWN, missing=("order.notional",)))
        answer = enforcing(rule).decide(
            a_question("approve", "ana", "front", history=done(("capture", "ana")))
        )
        assert not answer.allowed
        assert answer.findings[0].missing == ("order.notional",)

    def test_unknown_person_on_a_chain(self) -> None:
        """A subject that is no person of record takes no step."""
        answer = enforcing(grants=(a_grant(ANYONE, *STEPS),)).decide(a_question("capture", None))
        assert not answer.allowed
        assert rules_of(answer.findings) == ["no_grant"]

    def test_step_that_nothing_is_said_about(self) -> None:
        """An optional step without grants or constraints is granted to nobody."""
        kind = a_kind(a_step("one"), a_step("two"), a_step("extra", optional=True))
        answer = enforcing(kinds=(kind,)).decide(a_question("extra", "ana", "head", kind=kind))
        assert not answer.allowed
        assert rules_of(answer.findings) == ["no_grant"]

    def test_chain_kinds_of_one_resource_are_apart(self) -> None:
        """Two chain kinds with steps of one name have each their own constraints."""
        other = a_kind(*KIND.steps, name="other_chain")
        made = enforcing(self.SEPARATE, kinds=(KIND, other))
        history = done(("capture", "ana"))
        assert not made.decide(a_question("approve", "ana", "front", history=history)).allowed
        question = a_question(
            "approve", "ana", "front", history=replace(history, kind="other_chain"), kind=other
        )
        assert made.decide(question).allowed


class TestFailClosed:
    QUESTION = a_question("capture", "ana", "front")

    def answer(self, monkeypatch: pytest.MonkeyPatch, verdict: object) -> EnforcementAnswer:
        def enforce(*_: object) -> object:
            if isinstance(verdict, Exception):
                raise verdict
            return verdict

        assert enforcing().decide(self.QUESTION).allowed
        made = enforcing()
        monkeypatch.setattr(module._Enforcer, "enforce", enforce)
        return made.decide(self.QUESTION)

    @pytest.mark.parametrize(
        "error", [RuntimeError("x"), SystemError("ast"), KeyError("g"), RecursionError()]
    )
    def test_error_inside_casbin_denies(self, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
        """Whatever Casbin raises becomes a denial that names the error's type, not its text."""
        answer = self.answer(monkeypatch, error)
        assert not answer.allowed
        (found,) = answer.findings
        assert (found.rule, found.effect, found.origin) == ("enforcement_error", Effect.DENY, Origin.SYSTEM)
        assert type(error).__name__ in found.message.en
        assert found.values["error"] == type(error).__name__

    @pytest.mark.parametrize("verdict", [False, 1, "yes", [True, []], None])
    def test_denial_without_a_reason_is_a_mismatch(
        self, monkeypatch: pytest.MonkeyPatch, verdict: object
    ) -> None:
        """Where Casbin does not say a plain yes and the direct evaluation does, the answer is no."""
        answer = self.answer(monkeypatch, verdict)
        assert not answer.allowed
        assert rules_of(answer.findings) == ["enforcement_mismatch"]

    def test_permit_against_a_denial_is_a_mismatch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """When Casbin allows what a constraint denies, or what nothing grants, the answer is no."""
        made = enforcing(TestConstraints.SEPARATE)
        monkeypatch.setattr(module._Enforcer, "enforce", lambda *_: True)
        violating = a_question("approve", "ana", "front", history=done(("capture", "ana")))
        assert rules_of(made.decide(violating).findings) == ["maker_checker", "enforcement_mismatch"]
        assert not made.decide(violating).allowed
        ungranted = made.decide(a_question("approve", "ana", "clerk"))
        assert not ungranted.allowed
        assert rules_of(ungranted.findings) == ["no_grant", "enforcement_mismatch"]

    def test_only_what_both_agreed_on_is_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """After a mismatch Casbin is asked again, about everything: nothing that it said is trusted."""
        made, asked = enforcing(), list[object]()
        casbins = module._Enforcer.enforce

        def enforce(self: module._Enforcer, hearing: Hearing) -> object:
            asked.append(hearing)
            return casbins(self, hearing)

        monkeypatch.setattr(module._Enforcer, "enforce", enforce)
        trader = a_question("capture", "ana", "trader")
        for question in (self.QUESTION, trader, self.QUESTION, trader):
            assert made.decide(question).allowed
        assert len(asked) == 2
        monkeypatch.setattr(module._Enforcer, "enforce", lambda *_: True)
        assert not made.decide(a_question("capture", "ana", "clerk")).allowed
        monkeypatch.setattr(module._Enforcer, "enforce", enforce)
        assert made.decide(self.QUESTION).allowed
        assert len(asked) == 3

    def test_casbin_switched_off_does_not_permit(self) -> None:
        """Casbin answers yes to everything when it is disabled; that permits nothing that is not granted."""
        made = enforcing()
        enforcer_of(made, "capture").enable_enforce(False)
        answer = made.decide(a_question("capture", "ana", "clerk"))
        assert not answer.allowed

    def test_broken_formula_denies(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An error in a constraint denies."""
        made = enforcing()
        monkeypatch.setattr(Hearing, "violated", lambda *_: 1 / 0)
        answer = made.decide(self.QUESTION)
        assert (answer.allowed, rules_of(answer.findings)) == (False, ["enforcement_error"])

    @pytest.mark.parametrize(
        ("question", "reason"),
        [
            (a_question("", "ana", "front", kind=None), "empty name"),
            (a_question("capture", "", "front"), "empty name"),
            (a_question("capture", "ana", "front", resource=""), "empty name"),
            (replace(QUESTION, kind=None, step=None), "without its chain"),
            (replace(QUESTION, step=None), "without its chain"),
            (replace(QUESTION, kind=None), "not the action"),
            (replace(QUESTION, action="approve"), "not the action"),
            (replace(QUESTION, resource_type="record"), "not of this release"),
            (replace(QUESTION, kind=replace(KIND, id="else")), "not of this release"),
            (replace(QUESTION, kind=replace(KIND, steps=KIND.steps[:1])), "not of this release"),
            (replace(QUESTION, history=ChainHistory(kind="else", chain="O-1")), "another chain kind"),
        ],
    )
    def test_malformed_question_denies(self, question: Question, reason: str) -> None:
        """A question that does not fit the release is never put to Casbin."""
        answer = enforcing().decide(question)
        assert not answer.allowed
        assert rules_of(answer.findings) == ["enforcement_error"]
        assert reason in answer.findings[0].message.en


class TestBuilding:
    @pytest.mark.parametrize(
        ("grant", "reason"),
        [
            (a_grant("nobody", "capture"), "not defined"),
            (a_grant("front"), "none of them empty"),
            (a_grant("front", ""), "none of them empty"),
            (a_grant("front", "capture", resource=""), "none of them empty"),
        ],
    )
    def test_bad_grant_is_refused(self, grant: Grant, reason: str) -> None:
        """A grant with an empty name or an unknown role is not published."""
        with pytest.raises(ValueError, match=reason):
            enforcing(grants=(grant,))

    @pytest.mark.parametrize(
        "closure",
        [
            {"": frozenset[str]()},
            {"a": frozenset({""})},
            {"a": frozenset({ANYONE})},
            {ANYONE: frozenset("a")},
        ],
    )
    def test_bad_hierarchy_is_refused(self, closure: dict[str, frozenset[str]]) -> None:
        """Roles have names, and `anyone` stands outside their hierarchy."""
        with pytest.raises(ValueError, match="role"):
            Enforcement((), closure, (), (KIND,))

    def test_anyone_may_be_listed(self) -> None:
        """A closure that lists every role with itself, `anyone` included, is as good."""
        closure = {"front": frozenset({"front"}), ANYONE: frozenset({ANYONE})}
        made = Enforcement((a_grant("front", "capture"),), closure, (), (KIND,))
        assert made.decide(a_question("capture", "ana", "front")).allowed

    def test_ambiguous_chain_kinds_are_refused(self) -> None:
        """Two chain kinds of one id are not published."""
        with pytest.raises(ValueError, match="id of its own"):
            enforcing(kinds=(KIND, KIND))

    def test_unnamed_constraint_is_refused(self) -> None:
        """A constraint without an id could not be named in a finding."""
        with pytest.raises(ValueError, match="needs an id"):
            enforcing(replace(TestConstraints.SEPARATE, id=""))

    def test_weakened_whole_chain_is_refused(self) -> None:
        """No release weakens the whole chain."""
        with pytest.raises(ValueError, match="built in"):
            enforcing(a_constraint(ConstraintKind.WHOLE_CHAIN, then=Effect.FLAG))

    @pytest.mark.parametrize("text", ["r_sub.wipe()", "1 == 1", "g(r_a, p_b) and True", "f(x)", "f(x, y=z)"])
    def test_matcher_holds_calls_only(self, text: str) -> None:
        """Anything but plain calls joined by and/or is refused when the matcher is compiled."""
        with pytest.raises(ValueError, match="matcher"):
            module._Matcher(text, functions={})

    def test_matcher_joins(self) -> None:
        """`&&` needs every part and `||` one."""
        functions = {"f": lambda first, second: first == second}
        names = {"a": 1, "b": 1, "c": 2}
        for text, expected in (
            ("f(a, b) && f(a, c)", False),
            ("f(a, c) || f(a, b)", True),
            ("f(a, b) && f(b, a) && f(a, a)", True),
            ("f(a, c) || f(b, c)", False),
            ("f(a, b) && (f(a, c) || f(b, b))", True),
        ):
            assert module._Matcher(text, functions=functions).eval(names) is expected


class TestHostileNames:
    @pytest.mark.parametrize("name", HOSTILE)
    def test_hostile_person_role_or_action_gets_nothing(self, name: str) -> None:
        """Names with the syntax of policies are names: nothing is parsed, nothing is granted."""
        made = enforcing()
        for question in (
            a_question("capture", name, "clerk"),
            a_question("capture", "ana", name),
            a_question(name, "ana", "front", kind=None),
            a_question("capture", "ana", "front", kind=None, resource=name),
        ):
            answer = made.decide(question)
            assert not answer.allowed
            assert rules_of(answer.findings) == ["no_grant"]

    @pytest.mark.parametrize("name", HOSTILE)
    def test_hostile_names_work_where_they_are_granted(self, name: str) -> None:
        """The same names as role, action, resource type, step and person are granted exactly."""
        kind = a_kind(a_step(name), a_step("two"), name=name, resource=name)
        rule = a_constraint(ConstraintKind.SEPARATE, name, "two", name=name, chain=name)
        grant = a_grant(name, name, "two", resource=name, name=name)
        made = Enforcement((grant,), {name: frozenset(), "front": frozenset()}, (rule,), (kind,))
        begin = a_question(name, name, name, history=a_history(kind=name), kind=kind, resource=name)
        assert made.decide(begin) == EnforcementAnswer(allowed=True, findings=())
        history = a_history(an_act(name, name), an_act("two", "ben"), kind=name)
        again = replace(begin, action="two", step=kind.step("two"), history=history)
        assert rules_of(made.decide(again).findings) == ["whole_chain", name]
        assert not made.decide(replace(begin, person=Person(name, frozenset({"front"})))).allowed

    def test_nothing_grows_with_questions(self) -> None:
        """A thousand unknown persons, roles and actions leave no trace in the enforcement."""
        made = enforcing()
        sizes = _sizes(made)
        for at in range(1_000):
            made.decide(a_question("capture", f"p-{at}", f"role-{at}"))
            made.decide(a_question(f"act-{at}", "ana", "front", kind=None))
        assert _sizes(made) == sizes

    def test_casbin_logs_no_request(self, caplog: pytest.LogCaptureFixture) -> None:
        """Even with Casbin's logging switched on, its lines show nothing of a request."""
        made = enforcing()
        logger = logging.getLogger("casbin.enforcer")
        disabled, propagate = logger.disabled, logger.propagate
        logger.disabled, logger.propagate = False, True
        try:
            with caplog.at_level(logging.DEBUG):
                made.decide(a_question("capture", "secret-person", "secret-role"))
        finally:
            logger.disabled, logger.propagate = disabled, propagate
        assert "secret" not in caplog.text


def _sizes(made: Enforcement) -> list[tuple[int, int, int]]:
    enforcers = [point.enforcer for point in made._points.values() if point.enforcer is not None]
    return [
        (
            len(enforcer.fm.get_functions()),
            len(enforcer.model["p"]["p"].policy),
            len(enforcer.model["g"]["g"].rm._closure),
        )
        for enforcer in enforcers
    ]


# --- Laws -------------------------------------------------------------------------------------------------

PERSONS = ("ana", "ben", "cai")
ROLES = tuple(CLOSURE)

acts = st.builds(
    an_act,
    st.sampled_from(STEPS),
    st.sampled_from(PERSONS),
    state=st.sampled_from(list(ActState)),
    capacity=st.sampled_from([Capacity.ACTOR, Capacity.ACTOR, Capacity.APPROVER]),
)
histories = st.lists(acts, max_size=8).map(lambda items: a_history(*items))
truths = st.none() | st.sampled_from(list(Truth)).map(Fixed)
effects = st.sampled_from([Effect.DENY, Effect.DENY, Effect.REVIEW, Effect.FLAG])
some_steps = st.lists(st.sampled_from(STEPS), min_size=2, max_size=4, unique=True)


@st.composite
def constraints(draw: st.DrawFn) -> Constraint:
    kind = draw(
        st.sampled_from(
            [
                ConstraintKind.SEPARATE,
                ConstraintKind.AT_MOST,
                ConstraintKind.AT_LEAST,
                ConstraintKind.BIND,
                ConstraintKind.EXCLUSIVE_ROLES,
            ]
        )
    )
    return a_constraint(
        kind,
        *draw(some_steps),
        name=kind.value,
        then=draw(effects),
        limit=draw(st.integers(1, 4)),
        roles=("front", "clerk", "head"),
        when=draw(truths),
    )


grant_lists = st.lists(
    st.builds(
        lambda role, steps, when: a_grant(role, *steps, when=when),
        st.sampled_from([*ROLES, ANYONE]),
        some_steps,
        truths,
    ),
    max_size=4,
)


def violated_as_defined(rule: Constraint, question: Question) -> bool:
    """The definitions of the constraints once more, in plain set logic over the acts."""
    assert question.person is not None
    assert question.step is not None
    me, step, acted = question.person.id, question.step.id, question.history.acts
    if isinstance(rule.when, Fixed) and rule.when.truth is Truth.FALSE:
        return False
    mine = {act.step for act in acted if act.person == me}
    holding = [
        act
        for act in acted
        if act.capacity is Capacity.ACTOR and act.state in (ActState.CLAIMED, ActState.PERFORMED)
    ]
    listed = set(rule.steps)
    if rule.kind is ConstraintKind.EXCLUSIVE_ROLES:
        held = set(question.person.roles)
        for role in question.person.roles:
            held |= CLOSURE[role]
        return len(held & set(rule.roles)) > rule.limit
    if step not in listed:
        return False
    if rule.kind is ConstraintKind.SEPARATE:
        return bool(mine & (listed - {step}))
    if rule.kind is ConstraintKind.AT_MOST:
        return len((mine & listed) | {step}) > rule.limit
    if rule.kind is ConstraintKind.BIND:
        return any(act.person != me for act in holding if act.step in listed - {step})
    persons = {act.person for act in holding if act.step in listed} | {me}
    still_open = listed - {step} - {act.step for act in holding}
    return len(persons) + len(still_open) < rule.limit


def built_in_violated(question: Question) -> bool:
    assert question.person is not None
    assert question.step is not None
    me, acted = question.person.id, question.history.acts
    mine = {act.step for act in acted if act.person == me} | {question.step.id}
    others_hold = any(
        act.person != me
        and act.capacity is Capacity.ACTOR
        and act.state in (ActState.CLAIMED, ActState.PERFORMED)
        for act in acted
    )
    return set(STEPS) <= mine or (question.step.id == STEPS[-1] and not others_hold)


@given(
    grants=grant_lists,
    rules=st.lists(constraints(), max_size=4),
    history=histories,
    step=st.sampled_from(STEPS),
    person=st.sampled_from(PERSONS),
    roles=st.sets(st.sampled_from(ROLES), max_size=2),
)
def test_enforcement_is_what_the_definitions_say(
    grants: list[Grant],
    rules: list[Constraint],
    history: ChainHistory,
    step: str,
    person: str,
    roles: set[str],
) -> None:
    """Casbin's answer and all findings are those of an independent evaluation of the definitions."""
    question = a_question(step, person, *roles, history=history)
    answer = enforcing(*rules, grants=tuple(grants)).decide(question)
    held = roles | {ANYONE} | {inherited for role in roles for inherited in CLOSURE[role]}
    granted = any(
        grant.role in held
        and step in grant.actions
        and (not isinstance(grant.when, Fixed) or grant.when.truth is Truth.TRUE)
        for grant in grants
    )
    violated = [rule for rule in rules if violated_as_defined(rule, question)]
    denied = built_in_violated(question) or any(rule.then is Effect.DENY for rule in violated)
    assert answer.allowed is (granted and not denied)
    told = [rule for rule in rules_of(answer.findings) if rule not in ("whole_chain", "sole_actor")]
    assert sorted(item for item in told if "grant" not in item) == sorted(rule.id for rule in violated)
    assert ("no_grant" in told or "grant_unknown" in told) is not granted
    assert answer.allowed is all(finding.effect is not Effect.DENY for finding in answer.findings)


@given(
    history=histories,
    ended=st.sets(st.integers(0, 7)),
    state=st.sampled_from([ActState.ABANDONED, ActState.VOID, ActState.REOPENED]),
    step=st.sampled_from(STEPS),
)
def test_abandoning_own_acts_never_permits(
    history: ChainHistory, ended: set[int], state: ActState, step: str
) -> None:
    """What a person was denied stays denied after he or she has ended any of the own acts."""
    made = enforcing(
        TestConstraints.SEPARATE, a_constraint(ConstraintKind.AT_MOST, *STEPS, name="few", limit=2)
    )
    washed = replace(
        history,
        acts=tuple(
            replace(act, state=state) if at in ended and act.person == "ana" else act
            for at, act in enumerate(history.acts)
        ),
    )
    if not made.decide(a_question(step, "ana", "front", history=history)).allowed:
        assert not made.decide(a_question(step, "ana", "front", history=washed)).allowed


@given(history=histories, step=st.sampled_from(STEPS), roles=st.sets(st.sampled_from(ROLES)), truth=truths)
def test_compiled_matcher_is_casbins_own(
    history: ChainHistory, step: str, roles: set[str], truth: Fixed | None
) -> None:
    """The compiled matcher allows what Casbin allows when it evaluates the same model and rows by itself."""
    grants = (a_grant("front", *STEPS, when=truth), a_grant("clerk", "capture"))
    made = enforcing(TestConstraints.SEPARATE, grants=grants)
    point = made._points["order", step, "order_chain"]
    compiled = enforcer_of(made, step)
    question = a_question(step, "ana", *roles, history=history)
    hearing = Hearing(question, rules=point.rules)
    assert stock_enforcer(compiled).enforce(hearing) is compiled.enforce(hearing)


def what_is_kept(made: Enforcement) -> int:
    return sum(len(point.answers) for point in made._points.values())


@given(
    grants=grant_lists,
    asked=st.lists(
        st.tuples(
            histories,
            st.sampled_from(STEPS),
            st.sampled_from(PERSONS),
            st.sets(st.sampled_from(ROLES), max_size=2),
        ),
        max_size=8,
    ),
    kept=st.sampled_from([1, 10_000]),
)
def test_what_was_asked_before_changes_no_answer(
    grants: list[Grant], asked: list[tuple[ChainHistory, str, str, set[str]]], kept: int
) -> None:
    """One enforcement that remembers Casbin's answers gives those of one made afresh for each question."""
    made = enforcing(TestConstraints.SEPARATE, grants=tuple(grants))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "KEPT_ANSWERS", kept)
        for history, step, person, roles in asked * 2:
            question = a_question(step, person, *roles, history=history)
            fresh = enforcing(TestConstraints.SEPARATE, grants=tuple(grants)).decide(question)
            assert made.decide(question) == fresh
    assert what_is_kept(made) <= min(kept * len(STEPS), len(asked))


def stock_enforcer(compiled: module._Enforcer) -> casbin.Enforcer:
    """Casbin's own enforcer, which parses and evaluates the matcher itself, with the same rows."""
    model = Model()
    model.load_model_from_text(module.MODEL)
    stock = casbin.Enforcer(model)
    model["p"]["p"].policy = compiled.model["p"]["p"].policy
    model["g"]["g"].rm = compiled.model["g"]["g"].rm
    stock.rm_map["g"] = model["g"]["g"].rm
    stock.add_function("speaks", compiled.fm.get_functions()["speaks"])
    return stock


@pytest.fixture
def nervous_threads() -> Iterator[None]:
    """Threads that take turns every few microseconds."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("nervous_threads")
def test_eight_threads_share_one_enforcement() -> None:
    """Any number of threads get the answers that one thread gets."""
    made = enforcing(
        TestConstraints.SEPARATE,
        a_constraint(ConstraintKind.AT_MOST, *STEPS, name="few", limit=2),
        a_constraint(ConstraintKind.AT_LEAST, *STEPS, name="three", limit=3, then=Effect.REVIEW),
    )
    questions = [
        a_question(step, person, role, history=history)
        for step in STEPS
        for person in PERSONS
        for role in ("head", "clerk")
        for history in (
            a_history(),
            done(("capture", "ana"), ("approve", "ben")),
            done(("capture", "ben"), ("execute", "ben"), ("allocate", "cai")),
        )
    ]
    expected = [made.decide(question) for question in questions]
    assert {answer.allowed for answer in expected} == {True, False}

    def work(start: int) -> list[EnforcementAnswer]:
        order = questions[start:] + questions[:start]
        answers = [made.decide(question) for question in order * 3]
        return answers[len(order) - start : 2 * len(order) - start]

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(work, range(0, 80, 10)))
    assert all(result == expected for result in results)
