"""durable-rules is used only as measured safe, and every failure of it is seen."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controls.rules import durable
from controls.rules.durable import DurableEvaluator, name_hash, refuse_collisions
from controls.rules.engine_errors import EngineClosed, EngineFailure
from controls.rules.formula import And, Not, Or
from controls.rules.lowering import leaves_of
from tests.rules.synthetic import formula_from, leaves

A, B = leaves(2)
NAMES = leaves(8)


def an_evaluator() -> DurableEvaluator:
    """Two rules: `a && !b`, and `b`."""
    formulas = (And((A, Not(B))), B)
    return DurableEvaluator(formulas, leaves=leaves_of(formulas))


def test_hash_is_fnv_1a() -> None:
    """The published test vector of 32-bit FNV-1a."""
    assert name_hash("foobar") == 0xBF9CF968


def test_names_of_one_hash_are_refused() -> None:
    """`bzxiacvk` and `amount` are one name to the C engine."""
    with pytest.raises(EngineFailure, match="'amount' and 'bzxiacvk'"):
        refuse_collisions(["side", "amount", "bzxiacvk"])


def test_own_names_do_not_collide() -> None:
    """All names that this module ever gives to the C engine are different to it."""
    refuse_collisions(
        [*durable._OWN_NAMES, durable._GUARD, durable._CANARY, *durable._ATTRIBUTES, *durable._NAMES]
    )


def test_a_shard_with_colliding_attributes_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check is made when a shard is built."""
    monkeypatch.setattr(durable, "_ATTRIBUTES", ("side", "amount", "bzxiacvk"))
    with pytest.raises(EngineFailure, match="cannot tell"):
        an_evaluator()


@pytest.mark.parametrize(
    ("truths", "wanted"),
    [
        (b"\2\0", b"\2\0"),
        (b"\2\1", b"\1\1"),
        (b"\2\2", b"\0\2"),
        (b"\1\0", b"\1\0"),
        (b"\0\0", b"\0\0"),
        (b"\1\1", b"\1\1"),
    ],
)
def test_truths_of_two_rules(truths: bytes, wanted: bytes) -> None:
    """`a && !b` and `b`, for false, unknown and true."""
    evaluator = an_evaluator()
    assert evaluator.truths(truths) == wanted
    evaluator.close()


def test_a_broken_handle_raises_and_is_rebuilt() -> None:
    """The request at hand is refused; the next one is answered by a new rule set."""
    evaluator = an_evaluator()
    evaluator._true[0]._handle = 4_000_000
    with pytest.raises(EngineFailure, match="durable-rules failed"):
        evaluator.truths(b"\2\0")
    assert evaluator._true[0]._handle not in (None, 4_000_000)
    assert evaluator.truths(b"\2\0") == b"\2\0"
    evaluator.close()


class FailingOnce:
    """The C module, but the named function raises the first time."""

    def __init__(self, name: str, error: BaseException) -> None:
        self._name = name
        self._error: BaseException | None = error
        self._native = durable._native

    def __getattr__(self, name: str) -> object:
        if name == self._name and self._error is not None:
            error, self._error = self._error, None

            def fail(*_: object) -> None:
                raise error

            return fail
        return getattr(self._native, name)


@pytest.mark.parametrize(
    "name",
    ["assert_fact", "start_action_for_state", "complete_and_start_action", "retract_fact"],
)
def test_an_error_of_the_module_leaves_no_fact_behind(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a call fails, the next request sees only its own facts."""
    evaluator = an_evaluator()
    monkeypatch.setattr(durable, "_native", FailingOnce(name, MemoryError("no memory")))
    with pytest.raises(EngineFailure, match="no memory"):
        evaluator.truths(b"\2\0")
    assert evaluator.truths(b"\0\2") == b"\0\2"
    assert evaluator.truths(b"\0\0") == b"\0\0"
    evaluator.close()


def test_an_interrupt_leaves_no_fact_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C between assertion and retraction is passed on, and the rule set is built anew."""
    evaluator = an_evaluator()
    monkeypatch.setattr(durable, "_native", FailingOnce("retract_fact", KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        evaluator.truths(b"\2\0")
    assert evaluator.truths(b"\2\0") == b"\2\0"
    evaluator.close()


def test_a_rule_set_that_cannot_be_rebuilt_keeps_failing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a rule set no request is answered, until one can be built again."""
    evaluator = an_evaluator()
    with monkeypatch.context() as patch:
        patch.setattr(evaluator._true[0], "_definition", "{")
        evaluator._true[0]._handle = 4_000_000
        for _ in range(2):
            with pytest.raises(EngineFailure):
                evaluator.truths(b"\2\0")
    with pytest.raises(EngineFailure, match="could not be rebuilt"):
        evaluator.truths(b"\2\0")
    assert evaluator.truths(b"\2\0") == b"\2\0"
    evaluator.close()


def test_a_silent_canary_refuses_the_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule set that does not fire its canary is never used."""
    monkeypatch.setattr(durable, "_CANARY_FACT", '{"nothing":1,"id":"c","sid":"1"}')
    with pytest.raises(EngineFailure):
        an_evaluator()


def test_sixty_five_rules_true_at_once() -> None:
    """More rules than the C engine's stack can match in one rule set: shards keep below it."""
    names = leaves(65)
    evaluator = DurableEvaluator(names, leaves=names)
    assert evaluator.truths(bytes([2] * 65)) == bytes([2] * 65)
    assert evaluator.truths(bytes([1] * 65)) == bytes([1] * 65)
    evaluator.close()


def test_more_than_two_hundred_leaves_in_one_rule() -> None:
    """A rule over 260 leaves is answered: its parts become composites or lie in several shards."""
    names = leaves(260)
    formulas = (
        Or(tuple(And(names[start : start + 13]) for start in range(0, 260, 13))),
        And(names),
        Or(names),
    )
    evaluator = DurableEvaluator(formulas, leaves=names)
    assert evaluator.truths(bytes([0] * 247 + [2] * 13)) == b"\2\0\2"
    assert evaluator.truths(bytes([2] * 259 + [1])) == b"\2\1\2"
    assert evaluator.truths(bytes(260)) == b"\0\0\0"
    evaluator.close()


def test_an_evaluator_without_rules_that_can_fire() -> None:
    """A disjunction of nothing is false, and a conjunction of nothing is true."""
    formulas = (Or(()), And(()))
    evaluator = DurableEvaluator(formulas, leaves=())
    assert evaluator.truths(b"") == b"\0\2"
    evaluator.close()


def test_closed_evaluators_refuse() -> None:
    """After closing, which may be done twice, no answer is given and nothing is loaded again."""
    evaluator = an_evaluator()
    evaluator.close()
    evaluator.close()
    with pytest.raises(EngineClosed):
        evaluator.truths(b"\2\0")
    evaluator.rebuild()
    assert evaluator._true[0]._handle is None


def test_rebuilding_keeps_the_answers() -> None:
    """Rule sets that are loaded afresh answer as before."""
    evaluator = an_evaluator()
    evaluator.rebuild()
    assert evaluator.truths(b"\2\1") == b"\1\1"
    evaluator.close()


@given(
    programs=st.lists(st.binary(min_size=1, max_size=24), min_size=1, max_size=200),
    truths=st.lists(st.integers(0, 2), min_size=len(NAMES), max_size=len(NAMES)),
    data=st.data(),
)
@settings(max_examples=40)
def test_a_few_rules_need_be_told_of_their_own_leaves_only(
    programs: list[bytes], truths: list[int], data: st.DataObject
) -> None:
    """What the rules beside them are told, in shards of their own or shared ones, changes nothing."""
    formulas = [formula_from(program, names=NAMES) for program in programs]
    first = data.draw(st.integers(0, len(formulas) - 1))
    rules = range(first, data.draw(st.integers(first + 1, len(formulas))))
    read = {leaf.key for leaf in leaves_of(formulas[rules.start : rules.stop])}
    told = bytes(truth if leaf.key in read else 0 for leaf, truth in zip(NAMES, truths, strict=True))
    evaluator = DurableEvaluator(formulas, leaves=NAMES)
    try:
        assert evaluator.truths_of(rules, told) == evaluator.truths(bytes(truths))[rules.start : rules.stop]
    finally:
        evaluator.close()
