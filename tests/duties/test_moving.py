"""What an amendment breaks by where it brings a chain, and where a chain counts that was moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.duties.breaches_across import Across
from controls.duties.constraints import FORMULAS
from controls.duties.moving import Arrival, moved_findings
from controls.duties.trails import trail_name
from controls.model.chain import AMEND, Act, Capacity, ChainHistory
from controls.model.condition import Facts, Truth
from controls.model.duty import Constraint, ConstraintKind, Scope
from controls.model.finding import Cause, Effect, Finding
from controls.model.trail import TrailAct, TrailReading

from .builders import KIND, NOW, Fixed, a_constraint, a_history, an_act, asking

HOUR = timedelta(hours=1)
APART = a_constraint(
    ConstraintKind.SEPARATE, "capture", "approve", chain="", scope=Scope.ACCOUNT, name="apart"
)
WALL = a_constraint(
    ConstraintKind.CHINESE_WALL, chain="", name="wall", conflict_class="issuer.sector", dataset="issuer.id"
)
ACCOUNT, SIDE = {"order.account": "B"}, {"issuer.sector": "oil", "issuer.id": "Y"}


def on(chain: str, step: str, person: str, hour: int, *, account: str = "B", side: str = "") -> Act:
    """An act in the hour that is its place in the ledger, on a chain of this account (or side of a wall)."""
    facts = {"issuer.sector": "oil", "issuer.id": side} if side else {"order.account": account}
    made = an_act(step, person, chain=chain, at=NOW + hour * HOUR, index=hour, material=facts)
    return replace(made, claim=f"c{hour}")


def placed(acts: Sequence[Act], *, part: str = "") -> tuple[TrailAct, ...]:
    first = KIND.steps[0].id
    return tuple(
        TrailAct(
            KIND.id,
            first if act.step == AMEND else act.step,
            act,
            part or act.material.get("issuer.id", ""),
        )
        for act in acts
    )


def found(
    rule: Constraint,
    moved: Sequence[Act],
    there: Sequence[Act] | None,
    *,
    facts: dict[str, str] | None = None,
) -> list[Finding]:
    facts = facts or (SIDE if rule.kind is ConstraintKind.CHINESE_WALL else ACCOUNT)
    arrival = Arrival(
        facts,
        placed(moved, part=facts.get("issuer.id", "")),
        None if there is None else placed(there),
    )
    history = a_history(*moved, chain="O-2")
    told = Facts({}, history, NOW + 9 * HOUR)
    return list(moved_findings([rule], {trail_name(rule): arrival}, kind=KIND, facts=told))


def told_of(rule: Constraint, moved: Sequence[Act], there: Sequence[Act]) -> list[str]:
    return [str(item.values["person"]) for item in found(rule, moved, there)]


def test_who_did_one_there_and_the_other_on_the_chain_is_told_in_whatever_order() -> None:
    """Whoever amends; with the person, both acts and the place."""
    for early, late in (("capture", "approve"), ("approve", "capture")):
        first, second = on("O-2", early, "ana", 1, account="A"), on("O-1", late, "ana", 2)
        (finding,) = found(APART, [first], [second])
        assert (finding.rule, finding.effect, finding.cause) == ("moved_history", Effect.DENY, Cause.FIRED)
        assert finding.values["rule"] == "apart"
        assert finding.values["order.account"] == "B"
        for text in ("order.account B", "ana", "on chain O-1", "on chain O-2", "2026-03-02 10:30:00 UTC"):
            assert text in finding.message.en
        assert "en la cadena O-1" in finding.message.es
    assert told_of(APART, [on("O-2", "capture", "ana", 1)], [on("O-1", "approve", "ben", 2)]) == []
    assert told_of(APART, [on("O-2", "capture", "ana", 1)], [on("O-1", "capture", "ana", 2)]) == []


def test_what_was_broken_there_already_is_no_news() -> None:
    """Two acts of others there, whatever comes besides."""
    there = [on("O-1", "capture", "ben", 1), on("O-3", "approve", "ben", 2)]
    assert told_of(APART, [on("O-2", "capture", "ana", 3)], there) == []
    # One more of Ben's is one more, though a later capture there hides it from who looks at the latest.
    there = [on("O-1", "capture", "ben", 2), on("O-3", "approve", "ben", 3)]
    assert told_of(APART, [on("O-2", "capture", "ben", 1)], there) == ["ben"]


@pytest.mark.parametrize(("hours", "breaks"), [(2, True), (3, False)])
def test_what_counts_is_the_time_between_the_acts(hours: int, breaks: bool) -> None:
    """And not how long ago they are."""
    cool = a_constraint(
        ConstraintKind.COOLING_OFF, "capture", "approve", chain="", scope=Scope.ACCOUNT, within=3 * HOUR
    )
    moved, there = [on("O-2", "capture", "ana", 1)], [on("O-1", "approve", "ben", 1 + hours)]
    assert bool(found(cool, moved, there)) is breaks
    near = replace(APART, within=3 * HOUR)
    there = [on("O-1", "approve", "ana", 1 + hours)]
    assert bool(found(near, moved, there)) is breaks


def test_a_side_of_a_wall_is_held_against_other_chains() -> None:
    """Not against the chain itself, which may only have been said to be on the wrong one."""
    first = on("O-2", "capture", "ana", 1, side="X")
    assert found(WALL, [first], [first]) == []
    assert told_of(WALL, [first], [on("O-1", "settle", "ana", 2, side="X")]) == ["ana"]
    assert told_of(WALL, [first], [on("O-1", "settle", "ana", 2, side="Y")]) == []


def test_what_is_not_known_is_broken() -> None:
    """What is there, or whether the constraint applies; a constraint that does not apply says nothing."""
    first, second = on("O-2", "capture", "ana", 1), on("O-1", "approve", "ana", 2)
    (finding,) = found(APART, [first], None)
    assert (finding.effect, finding.cause, finding.missing) == (
        Effect.DENY,
        Cause.MISSING,
        ("order.account",),
    )
    assert found(APART, [on("O-2", "settle", "ana", 1)], None) == []
    unknown = replace(APART, when=Fixed(Truth.UNKNOWN, missing=("order.side",)))
    (finding,) = found(unknown, [first], [second])
    assert finding.missing == ("order.side",)
    failed = replace(APART, when=Fixed(Truth.UNKNOWN, error="no rate"), then=Effect.FLAG)
    assert [item.effect for item in found(failed, [first], [second])] == [Effect.REVIEW]
    assert found(replace(APART, when=Fixed(Truth.FALSE)), [first], [second]) == []


def test_an_approver_comes_with_the_chain() -> None:
    approved = replace(on("O-2", "capture", "sara", 1), capacity=Capacity.APPROVER)
    assert told_of(APART, [approved], [on("O-1", "approve", "sara", 2)]) == ["sara"]


# -- what is found, beside the analysis --------------------------------------------------------------------

ACTS = st.lists(
    st.tuples(
        st.sampled_from(["O-1", "O-2", "O-3"]),
        st.sampled_from(["capture", "approve", "settle"]),
        st.sampled_from(["ana", "ben"]),
        st.integers(0, 2),
        st.booleans(),
    ),
    min_size=1,
    max_size=7,
)


@st.composite
def rules(draw: st.DrawFn) -> Constraint:
    kind = draw(
        st.sampled_from([ConstraintKind.SEPARATE, ConstraintKind.AT_MOST, ConstraintKind.COOLING_OFF])
    )
    steps = draw(st.lists(st.sampled_from(["capture", "approve", "settle"]), min_size=2, unique=True))
    return a_constraint(
        kind,
        *steps,
        chain="",
        limit=draw(st.integers(1, 3)),
        scope=Scope.ACCOUNT,
        within=draw(st.sampled_from([HOUR, 2 * HOUR])) if draw(st.booleans()) else 3 * HOUR,
        ordered=kind is not ConstraintKind.AT_MOST and draw(st.booleans()),
    )


@given(rule=rules(), drawn=ACTS)
def test_an_amendment_without_a_finding_leaves_nothing_for_the_analysis(
    rule: Constraint, drawn: list[tuple[str, str, str, int, bool]]
) -> None:
    """Where nothing was broken before: something is found just where the analysis would find it after."""
    acts: list[Act] = []
    now = NOW
    for index, (chain, step, person, hours, claimed) in enumerate(drawn):
        now += hours * HOUR
        made = on(chain, step, person, index, account="A" if chain == "O-2" else "B")
        acts.append(replace(made, at=now, done_at=None if claimed else now))
    there, moved = [act for act in acts if act.chain != "O-2"], [act for act in acts if act.chain == "O-2"]

    def analysed(material: dict[str, str]) -> set[tuple[str, str]]:
        across = Across([rule])
        for chain in ("O-1", "O-2", "O-3"):
            own = [act for act in acts if act.chain == chain]
            own = [replace(act, material=material) if chain == "O-2" else act for act in own]
            across.add(a_history(*own, chain=chain), kind=KIND)
        return {(item.person, item.acts[-1].claim) for item in across.every()}

    if not analysed({"order.account": "A"}):
        assert {item.values["person"] for item in found(rule, moved, there)} == {
            person for person, _ in analysed(ACCOUNT)
        }


@pytest.mark.parametrize(
    "kind", [ConstraintKind.SEPARATE, ConstraintKind.COOLING_OFF, ConstraintKind.AT_MOST]
)
def test_a_step_is_asked_at_every_place_of_its_chain(kind: ConstraintKind) -> None:
    """And of a limit each place has its own."""
    rule = a_constraint(
        kind, "capture", "approve", chain="", limit=1, scope=Scope.ACCOUNT, within=9 * HOUR, name="rule"
    )
    was = placed([on("O-1", "capture", "ana", 1, account="A")])
    for reading in (TrailReading(was), TrailReading(elsewhere=(TrailReading(was),))):
        asked = asking(
            "approve", "ana", ChainHistory(KIND.id, "O-2"), now=NOW + 2 * HOUR,
            trails={trail_name(rule): reading},
        )  # fmt: skip
        speaks = FORMULAS[kind](rule, asked=asked)
        assert speaks is not None
        assert [act.chain for act in speaks.acts] == ["O-1"]
    two = replace(rule, limit=2)
    both = TrailReading(was, elsewhere=(TrailReading(placed([on("O-3", "capture", "ana", 1)])),))
    asked = replace(asked, trails={trail_name(rule): both})
    assert (FORMULAS[kind](two, asked=asked) is None) is (kind is ConstraintKind.AT_MOST)


def test_a_wall_is_asked_at_every_place_of_its_chain() -> None:
    """Each side beside those of its own class."""
    behind = TrailReading(placed([on("O-1", "capture", "ana", 1, side="X")]), "Z")
    asked = asking("approve", "ana", ChainHistory(KIND.id, "O-2"), trails={
        trail_name(WALL): TrailReading((), "Q", elsewhere=(behind,))
    })  # fmt: skip
    speaks = FORMULAS[WALL.kind](WALL, asked=asked)
    assert speaks is not None
    assert [act.chain for act in speaks.acts] == ["O-1"]
    same = TrailReading(placed([on("O-1", "capture", "ana", 1, side="Z")]), "Z")
    asked = replace(asked, trails={trail_name(WALL): TrailReading((), "Q", elsewhere=(same,))})
    assert FORMULAS[WALL.kind](WALL, asked=asked) is None
