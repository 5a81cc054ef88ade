"""`controls.duties.resembling`: when a chain is said to be like another one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from controls.duties.resembling import resembling
from controls.duties.trails import RESEMBLES, trails_of
from controls.duties.wording import MOST
from controls.model.chain import ActState, Capacity, ChainHistory
from controls.model.finding import Effect, Finding
from controls.model.lineage import LineageReading
from controls.model.trail import TrailAct, TrailReading

from .builders import KIND, NOW, a_kind, a_step, an_act

NEW = ChainHistory(KIND.id, "O-9")


def begun(chain: str, *, kind: str = KIND.id, hours: int = 1, state: ActState = ActState.CLAIMED) -> TrailAct:
    act = an_act("capture", f"p-{chain}", chain=chain, at=NOW - timedelta(hours=hours), state=state)
    return TrailAct(kind, "capture", act)


def found(*acts: TrailAct, lineage: LineageReading | None = None) -> Finding | None:
    return resembling(KIND, history=NEW, reading=TrailReading(acts), lineage=lineage)


def test_a_chain_alike_is_flagged_and_named() -> None:
    """With who began it and when, in both languages; it is a flag, whatever became of the other chain."""
    for state in ActState:
        finding = found(begun("O-1", state=state))
        assert finding is not None
        assert (finding.rule, finding.effect) == ("resembles", Effect.FLAG)
        assert finding.values == {"chain": "O-9", "chains": ("O-1",), "count": 1}
        for text in (finding.message.en, finding.message.es):
            assert "O-9" in text
            assert "O-1 (p-O-1, 2026-03-02 08:30:00 UTC)" in text


def test_nothing_alike_is_no_finding() -> None:
    """Neither where there is nothing, nor the chain itself."""
    assert found() is None
    assert found(begun("O-9")) is None


def test_what_was_only_approved_was_not_begun() -> None:
    """An order that was entered under another id after a supervisor had approved it is the first one."""
    approved = begun("O-1")
    approved = replace(approved, act=replace(approved.act, capacity=Capacity.APPROVER))
    assert found(approved) is None
    finding = found(approved, begun("O-1"))
    assert finding is not None
    assert finding.values["chains"] == ("O-1",)


def test_what_hangs_together_is_not_alike() -> None:
    """Ancestors, and what else came of them; a chain of another kind with the same id is another one."""
    family = LineageReading(family=frozenset({(KIND.id, "O-1"), (KIND.id, "O-2")}))
    assert found(begun("O-1"), begun("O-2"), lineage=family) is None
    for other in (begun("O-3"), begun("O-1", kind="other")):
        finding = found(begun("O-1"), other, begun("O-2"), lineage=family)
        assert finding is not None
        assert finding.values["chains"] == (other.act.chain,)


def test_of_many_the_latest_are_named() -> None:
    """Each once, the last one first."""
    acts = [begun(f"O-{n}", hours=50 - n) for n in range(20, 40) for _ in range(2)]
    finding = found(*acts)
    assert finding is not None
    assert finding.values["chains"] == tuple(f"O-{n}" for n in range(39, 39 - MOST, -1))
    assert finding.values["count"] == 20


def test_only_kinds_that_remember_leave_marks() -> None:
    """On the steps that may begin a chain, whoever takes them."""
    steps = (a_step("capture"), a_step("replace"), a_step("approve", after=("capture",)))
    kind = a_kind(*steps)
    assert trails_of((), chains=[kind]) == {}
    kind = a_kind(*steps, resembles=timedelta(days=2))
    (trail,) = trails_of((), chains=[kind])[kind.id]
    assert (trail.name, trail.anybody, trail.within) == (RESEMBLES, True, timedelta(days=2))
    assert trail.steps == {"capture", "replace"}
    assert trail.facts == ("order.account", "order.instrument", "order.side", "order.quantity")
    free = a_kind(*steps, free=True, resembles=timedelta(days=2))
    assert trails_of((), chains=[free])[free.id][0].steps == {"capture", "replace", "approve"}
