"""Both engines give the same findings as a plain oracle, and neither fails silently."""

from __future__ import annotations

import gc
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controls.model.condition import Facts, Truth, Verdict
from controls.model.duty import Period
from controls.model.finding import Effect, Finding, strictest
from controls.rules import engine as engine_module
from controls.rules import lowering
from controls.rules.engine import (
    ENGINES,
    Engine,
    EngineClosed,
    EngineDisagreement,
    EngineFailure,
    build_engine,
)
from controls.rules.findings import finding_of
from controls.rules.formula import And, Leaf, Not, Or
from controls.rules.rule import MissingPolicy, Rule
from tests.conftest import LONG_RUN
from tests.rules.synthetic import (
    ACTION,
    ERROR,
    NOW,
    SyntheticCondition,
    SyntheticLeaf,
    a_rule,
    facts_of,
    formula_from,
    leaf,
    leaves,
    oracle,
)

A, B, C = leaf("a"), leaf("b"), leaf("c")
NAMES = leaves(8)


@contextmanager
def engine_over(*rules: Rule, name: str = "both") -> Iterator[Engine]:
    with closing(build_engine(name, rules)) as engine:
        yield engine


def findings(*rules: Rule, name: str = "both", **truths: int) -> tuple[Finding, ...]:
    with engine_over(*rules, name=name) as engine:
        return engine.evaluate(ACTION, facts_of(truths))


# --- What an engine answers -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize(
    ("truths", "wanted"),
    [
        ({"a": 2, "b": 0, "c": 2}, {"limit": "fired", "list": "fired"}),
        ({"a": 2, "b": 2, "c": 2}, {"list": "fired"}),
        ({"a": 0, "b": 0, "c": 0}, {}),
        ({"a": 2, "c": 0}, {"limit": "missing", "list": "missing"}),
        ({"a": 2, "b": ERROR, "c": 0}, {"limit": "error", "list": "error"}),
        ({"a": 0, "b": ERROR, "c": 2}, {"list": "fired"}),
        ({}, {"limit": "missing", "list": "missing"}),
    ],
)
def test_golden(name: str, truths: dict[str, int], wanted: dict[str, str]) -> None:
    """`a && !b` and `b && (a || c) || c`, over what may be said about three leaves."""
    rules = (a_rule(And((A, Not(B))), id="limit"), a_rule(Or((And((B, Or((A, C)))), C)), id="list"))
    found = findings(*rules, name=name, **truths)
    assert {item.rule: item.cause.value for item in found} == wanted


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_knows_its_name(name: str) -> None:
    """The name is what a decision records."""
    with engine_over(name=name) as engine:
        assert engine.name == name


def test_other_names_are_refused() -> None:
    """The three names are all there is."""
    with pytest.raises(ValueError, match="both, durable, reference"):
        build_engine("drools", [])


@pytest.mark.parametrize("name", ENGINES)
def test_only_rules_of_the_action_are_asked(name: str) -> None:
    """A rule speaks on each action that it watches and on no other."""
    rules = (
        a_rule(A, id="one", on=("order.approve", "order.execute")),
        a_rule(A, id="two", on=("order.book",)),
    )
    with engine_over(*rules, name=name) as engine:
        answers = {
            action: [item.rule for item in engine.evaluate(action, facts_of({"a": 2}))]
            for action in ("order.approve", "order.execute", "order.book", "order.cancel")
        }
    assert answers == {
        "order.approve": ["one"],
        "order.execute": ["one"],
        "order.book": ["two"],
        "order.cancel": [],
    }


def test_a_rule_that_names_an_action_twice_speaks_once() -> None:
    """`on` is a set."""
    assert len(findings(a_rule(A, on=(ACTION, ACTION)), a=2)) == 1


@pytest.mark.parametrize("name", ENGINES)
def test_rules_speak_only_while_in_force(name: str) -> None:
    """Periods are half-open, there may be several, and only one has to hold."""
    hour = timedelta(hours=1)
    periods = (Period(NOW, NOW + hour), Period(NOW + 2 * hour, None))
    with engine_over(replace(a_rule(A), periods=periods), name=name) as engine:
        spoke = [
            bool(engine.evaluate(ACTION, facts_of({"a": 2}, now=NOW + delay)))
            for delay in (-hour / 2, 0 * hour, hour / 2, hour, 2 * hour, 100 * hour)
        ]
    assert spoke == [False, True, True, False, True, True]


def test_two_versions_of_one_rule_may_follow_each_other() -> None:
    """Rules of one id in different periods are two rules."""
    first = replace(a_rule(A), version="1", periods=(Period(None, NOW),))
    second = replace(a_rule(A), version="2", periods=(Period(NOW, None),))
    assert [item.version for item in findings(first, second, a=2)] == ["2"]


def test_a_leaf_is_computed_once_a_request() -> None:
    """Leaves of one key are one leaf, in whatever rules and however often they stand."""
    calls: list[Facts] = []

    @dataclass(frozen=True)
    class Counting:
        source: str = "counting"

        def test(self, facts: Facts) -> int:
            calls.append(facts)
            return 0

        def evaluate(self, facts: Facts) -> Verdict:
            return Verdict(Truth(self.test(facts)))

    one, other = Leaf("same", Counting()), Leaf("same", Counting("other"))
    findings(a_rule(And((one, other)), id="x"), a_rule(And((other, A)), id="y"))
    assert len(calls) == 1


# --- Failing closed ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BrokenLeaf:
    """A leaf that breaks its promises."""

    answer: int | Exception
    source: str = "broken"

    def test(self, _: Facts) -> int:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def evaluate(self, _: Facts) -> Verdict:
        return Verdict(Truth.FALSE)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("answer", [3, 300, -1, KeyError("x"), RecursionError()])
def test_a_leaf_that_breaks_its_promise_fails_the_request(name: str, answer: int | Exception) -> None:
    """A leaf that raises, or answers something else than 0, 1 or 2, is never taken for false."""
    rule = a_rule(Leaf("broken", BrokenLeaf(answer)))
    with engine_over(rule, name=name) as engine, pytest.raises(EngineFailure):
        engine.evaluate(ACTION, facts_of({}))


@pytest.mark.parametrize("name", ENGINES)
def test_a_condition_that_contradicts_its_leaves_fails_the_request(name: str) -> None:
    """The verdict that a finding is made of must be the one that the engine found."""
    lying = replace(a_rule(A, id="liar"), condition=Lying(A))
    with engine_over(lying, name=name) as engine, pytest.raises(EngineDisagreement) as caught:
        engine.evaluate(ACTION, facts_of({"a": 2}))
    assert caught.value.rules == ("liar",)


class Lying(SyntheticCondition):
    """A condition whose verdict is not that of its formula."""

    def evaluate(self, _: Facts) -> Verdict:
        return Verdict(Truth.FALSE)


def test_engines_that_disagree_fail_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `both`, the rules on which the engines differ are named, and the next request is answered."""
    with engine_over(a_rule(A, id="x"), a_rule(B, id="y"), a_rule(C, id="z")) as engine:
        reference = engine._programs[ACTION].truths.__self__._reference  # type: ignore[attr-defined]
        with monkeypatch.context() as patch:
            patch.setattr(reference, "evaluate", lambda facts: (b"\2\0\0", b"\0\0\2"))
            with pytest.raises(EngineDisagreement) as caught:
                engine.evaluate(ACTION, facts_of({"a": 0, "b": 0, "c": 2}))
        assert caught.value.rules == ("x", "z")
        assert [item.rule for item in engine.evaluate(ACTION, facts_of({"a": 0, "b": 0, "c": 2}))] == ["z"]


def test_an_engine_that_does_not_look_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the reference did not ask for is unknown to durable-rules, not false: silence must be proved."""
    with engine_over(a_rule(A, id="x")) as engine:
        reference = engine._programs[ACTION].truths.__self__._reference  # type: ignore[attr-defined]
        with monkeypatch.context() as patch:
            patch.setattr(reference, "evaluate", lambda facts: (b"\0", b"\1"))
            with pytest.raises(EngineDisagreement):
                engine.evaluate(ACTION, facts_of({"a": 2}))


def test_durable_rules_is_asked_once_for_each_combination_of_truths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answer is remembered only where both agreed, and the reference is held against it each time."""
    with engine_over(a_rule(A, id="x"), a_rule(B, id="y")) as engine:
        both = engine._programs[ACTION].truths.__self__  # type: ignore[attr-defined]
        asked: list[bytes] = []
        fired = {"a": 2, "b": 0}
        ask = both._durable.truths
        monkeypatch.setattr(both._durable, "truths", lambda leaves: asked.append(leaves) or ask(leaves))
        for truths in (fired, fired | {"c": 2}, {"a": 0, "b": 2}, fired):
            engine.evaluate(ACTION, facts_of(truths))
        assert asked == [b"\2\0", b"\0\2"]
        with monkeypatch.context() as patch:
            patch.setattr(both._reference, "evaluate", lambda facts: (b"\0\0", b"\2\0"))
            with pytest.raises(EngineDisagreement):
                engine.evaluate(ACTION, facts_of(fired))
        assert len(engine.evaluate(ACTION, facts_of(fired))) == 1
        assert asked == [b"\2\0", b"\0\2", b"\2\0"]


def test_no_more_combinations_are_remembered_than_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller cannot fill the memory with ever new combinations."""
    monkeypatch.setattr(engine_module, "_MAX_AGREED", 2)
    with engine_over(a_rule(A, id="x"), a_rule(B, id="y")) as engine:
        agreed = engine._programs[ACTION].truths.__self__._agreed  # type: ignore[attr-defined]
        for truths in ({"a": 2}, {"a": 1}, {"b": 2}, {"b": 1}, {"a": 1, "b": 1}):
            engine.evaluate(ACTION, facts_of(truths))
            assert 1 <= len(agreed) <= 2


def test_a_lost_rule_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """If durable-rules stops firing, `both` says so and loads it afresh."""
    with engine_over(a_rule(A, id="x")) as engine:
        durable = engine._programs[ACTION].truths.__self__._durable  # type: ignore[attr-defined]
        with monkeypatch.context() as patch:
            patch.setattr(durable._true[0], "_run", lambda *_: None)
            with pytest.raises(EngineDisagreement):
                engine.evaluate(ACTION, facts_of({"a": 2}))
        assert len(engine.evaluate(ACTION, facts_of({"a": 2}))) == 1


@pytest.mark.parametrize("name", ENGINES)
def test_a_closed_engine_refuses(name: str) -> None:
    """Whoever still holds the engine of an earlier release is told so."""
    engine = build_engine(name, [a_rule(A)])
    engine.close()
    engine.close()
    with pytest.raises(EngineClosed):
        engine.evaluate(ACTION, facts_of({"a": 2}))


# --- Both engines and the oracle --------------------------------------------------------------------------

truths_of_leaves = st.binary(min_size=len(NAMES), max_size=len(NAMES))
rule_programs = st.lists(
    st.tuples(st.binary(min_size=1, max_size=24), st.integers(0, 63)), min_size=1, max_size=8
)


def generated_rules(programs: Sequence[tuple[bytes, int]]) -> tuple[Rule, ...]:
    return tuple(
        replace(
            a_rule(formula_from(program, names=NAMES), id=f"rule{number}"),
            missing=list(MissingPolicy)[kind % 3],
            then=list(Effect)[kind // 3 % 4],
            observe=kind % 7 == 0,
            periods=(Period(NOW + timedelta(seconds=1)) if kind % 11 == 0 else Period(),),
        )
        for number, (program, kind) in enumerate(programs)
    )


def generated_facts(truths: bytes) -> Facts:
    return facts_of({name.key: byte % 4 for name, byte in zip(NAMES, truths, strict=True)})


def wanted_findings(rules: Sequence[Rule], facts: Facts) -> tuple[Finding, ...]:
    found = (
        finding_of(rule, verdict=oracle(rule.condition.formula, facts), facts=facts)
        for rule in sorted(rules, key=lambda rule: rule.id)
        if rule.periods[0].holds(facts.now)
    )
    return tuple(finding for finding in found if finding is not None)


@pytest.mark.fuzz
@pytest.mark.differential
@pytest.mark.parametrize("limits", ["real", "low"])
@given(programs=rule_programs, requests=st.lists(truths_of_leaves, min_size=1, max_size=4))
@settings(max_examples=10_000 if LONG_RUN else 300)
def test_durable_reference_and_oracle_agree(
    limits: str, programs: list[tuple[bytes, int]], requests: list[bytes]
) -> None:
    """On generated rules and requests; with low limits most sub-formulas become composites."""
    rules = generated_rules(programs)
    with pytest.MonkeyPatch.context() as patch:
        if limits == "low":
            patch.setattr(lowering, "MAX_CONJUNCTS", 3)
            patch.setattr(lowering, "MAX_LITERALS", 3)
            patch.setattr(lowering, "SHARD_CONJUNCTS", 4)
            patch.setattr(lowering, "SHARD_ATTRIBUTES", 5)
        durable = build_engine("durable", rules)
    with closing(durable), engine_over(*rules, name="reference") as reference:
        for truths in requests:
            facts = generated_facts(truths)
            wanted = wanted_findings(rules, facts)
            assert reference.evaluate(ACTION, facts) == wanted
            assert durable.evaluate(ACTION, facts) == wanted
            for rule in (rules[0], rules[-1]):  # each by itself, as an example asks
                alone = durable.evaluate_rule(rule, ACTION, facts)
                assert alone == tuple(item for item in wanted if item.rule == rule.id)


@pytest.mark.parametrize("seed", range(3))
def test_many_rules_over_many_leaves(seed: int) -> None:
    """Two hundred rules over three hundred leaves, so several shards of both kinds of limit."""
    chance = random.Random(seed)
    names = leaves(300)
    rules = tuple(
        a_rule(
            formula_from(chance.randbytes(chance.randint(1, 60)), names=chance.sample(names, 40)),
            id=f"r{n:03}",
        )
        for n in range(200)
    )
    with engine_over(*rules, name="durable") as durable, engine_over(*rules, name="reference") as reference:
        for weights in ([8, 1, 1, 0], [1, 1, 8, 1], [3, 3, 3, 1], [1, 0, 1, 0]):
            truths = chance.choices((0, 1, 2, ERROR), weights, k=len(names))
            facts = facts_of({name.key: truth for name, truth in zip(names, truths, strict=True)})
            wanted = wanted_findings(rules, facts)
            assert durable.evaluate(ACTION, facts) == wanted
            assert reference.evaluate(ACTION, facts) == wanted


def test_more_rules_true_at_once_than_the_c_engine_can_hold() -> None:
    """300 rules that all fire."""
    names = leaves(300)
    rules = [a_rule(name, id=f"r{number:03}") for number, name in enumerate(names)]
    with engine_over(*rules) as engine:
        found = engine.evaluate(ACTION, facts_of(dict.fromkeys((name.key for name in names), 2)))
    assert [item.rule for item in found] == [rule.id for rule in rules]


# --- Laws -------------------------------------------------------------------------------------------------


@given(programs=rule_programs, extra=st.binary(min_size=1, max_size=24), truths=truths_of_leaves)
def test_adding_a_deny_rule_never_loosens(
    programs: list[tuple[bytes, int]], extra: bytes, truths: bytes
) -> None:
    """The outcome with one more denying rule is as strict or stricter, and no finding goes away."""
    rules = generated_rules(programs)
    more = (*rules, a_rule(formula_from(extra, names=NAMES), id="extra"))
    facts = generated_facts(truths)
    strictness = ["permit", "review", "deny"]
    with engine_over(*rules) as before, engine_over(*more) as after:
        old, new = before.evaluate(ACTION, facts), after.evaluate(ACTION, facts)
    assert set(map(identity, old)) <= set(map(identity, new))
    outcomes = [strictest(item.effect for item in found) for found in (old, new)]
    assert strictness.index(outcomes[0]) <= strictness.index(outcomes[1])


def identity(finding: Finding) -> tuple[str, str, str]:
    return finding.rule, finding.effect, finding.cause


@given(programs=rule_programs, truths=truths_of_leaves, chance=st.randoms(use_true_random=False))
def test_the_order_of_rules_does_not_matter(
    programs: list[tuple[bytes, int]], truths: bytes, chance: random.Random
) -> None:
    """Findings come by rule id, whatever the order of the rules in the files."""
    rules = generated_rules(programs)
    shuffled = list(rules)
    chance.shuffle(shuffled)
    facts = generated_facts(truths)
    with engine_over(*rules) as one, engine_over(*shuffled) as other:
        assert one.evaluate(ACTION, facts) == other.evaluate(ACTION, facts)


# --- Threads and memory -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ENGINES)
def test_threads_get_their_own_answers(name: str) -> None:
    """Eight threads with different facts on one engine each get what the oracle says."""
    rules = generated_rules([(random.Random(n).randbytes(12), n) for n in range(30)])
    requests = [generated_facts(random.Random(n).randbytes(len(NAMES))) for n in range(64)]
    wanted = [wanted_findings(rules, facts) for facts in requests]

    def work(start: int) -> list[int]:
        order = [(start + step) % len(requests) for step in range(150)]
        return [n for n in order if engine.evaluate(ACTION, requests[n]) != wanted[n]]

    with engine_over(*rules, name=name) as engine, ThreadPoolExecutor(8) as threads:
        wrong = [n for answers in threads.map(work, range(0, 64, 8)) for n in answers]
    assert wrong == []


def test_reloading_under_load_gives_right_answers_or_says_closed() -> None:
    """Engines are exchanged while four threads ask: a caller meets right answers or `EngineClosed`."""
    rules = generated_rules([(random.Random(n).randbytes(12), n) for n in range(10)])
    requests = [generated_facts(random.Random(n).randbytes(len(NAMES))) for n in range(16)]
    wanted = [wanted_findings(rules, facts) for facts in requests]
    current = [build_engine("both", rules)]

    def work(start: int) -> int:
        answered = 0
        for step in range(300):
            n = (start + step) % len(requests)
            try:
                assert current[0].evaluate(ACTION, requests[n]) == wanted[n]
                answered += 1
            except EngineClosed:
                continue
        return answered

    with ThreadPoolExecutor(4) as threads:
        working = [threads.submit(work, start) for start in range(4)]
        for _ in range(20):
            old, current[0] = current[0], build_engine("both", rules)
            old.close()
        answered = sum(item.result() for item in working)
    current[0].close()
    assert answered > 600


def resident_pages() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1])


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the size of the process from /proc")
def test_closed_engines_free_their_memory() -> None:
    """Three hundred engines, built, asked and closed, leave the process within 10 % of its size."""
    rules = generated_rules([(random.Random(n).randbytes(12), n) for n in range(30)])
    facts = generated_facts(bytes([2] * len(NAMES)))

    def build_and_close() -> None:
        with engine_over(*rules) as engine:
            engine.evaluate(ACTION, facts)

    for _ in range(30):
        build_and_close()
    gc.collect()
    before = resident_pages()
    for _ in range(300):
        build_and_close()
    gc.collect()
    assert resident_pages() < before * 1.1


@pytest.mark.parametrize(
    ("name", "wanted"), [("both", ["gate"]), ("reference", ["gate"]), ("durable", ["gate", "behind"])]
)
def test_a_leaf_that_no_truth_depends_on_is_not_computed(name: str, wanted: list[str]) -> None:
    """Behind a false gate nobody asks; durable-rules alone is told everything, and finds the same."""
    asked: list[str] = []

    class Watched(SyntheticLeaf):
        def test(self, facts: Facts) -> int:
            asked.append(self.source)
            return super().test(facts)

    gate, behind = (Leaf(key, Watched(key)) for key in ("gate", "behind"))
    with engine_over(a_rule(And((gate, behind))), name=name) as engine:
        assert engine.evaluate(ACTION, facts_of({"gate": 0, "behind": 2})) == ()
        assert asked == wanted
        (finding,) = engine.evaluate(ACTION, facts_of({"gate": 2, "behind": 2}))
        assert finding.effect is Effect.DENY
