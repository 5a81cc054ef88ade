"""Laws of lineages: links only ever add to what is held against anybody, whatever they are called."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.duties.constraints import FORMULAS
from controls.duties.enforcement import Enforcement
from controls.model.chain import ChainHistory
from controls.model.duty import ConstraintKind
from controls.model.lineage import Lineage, Link, Relation
from controls.model.trail import TrailAct

from .builders import KIND, a_constraint, a_grant, a_history, a_question, an_act, asking

STEPS = tuple(step.id for step in KIND.steps)
PEOPLE = ("ana", "ben", "cai")
COUNTED = [
    a_constraint(ConstraintKind.SEPARATE, STEPS[0], STEPS[1], name="separate"),
    a_constraint(ConstraintKind.SEPARATE, STEPS[0], "elsewhere", name="spanning", chain=""),
    a_constraint(ConstraintKind.AT_MOST, *STEPS[:3], limit=2, name="at_most"),
    a_constraint(ConstraintKind.AT_LEAST, *STEPS[:3], limit=2, name="at_least"),
    a_constraint(ConstraintKind.BIND, STEPS[0], STEPS[2], name="bind"),
    a_constraint(ConstraintKind.COALITION, *STEPS[:3], limit=2, name="coalition"),
    a_constraint(ConstraintKind.VOTES, STEPS[1], limit=2, distinct_from=(STEPS[0],), name="votes"),
]

acts = st.lists(
    st.builds(lambda step, person: (step, person), st.sampled_from(STEPS), st.sampled_from(PEOPLE)),
    max_size=5,
)
links = st.lists(st.tuples(st.integers(1, 7), st.integers(0, 6)), max_size=10)


def key(number: int) -> tuple[str, str]:
    return KIND.id, f"O-{number}"


def a_lineage(pairs: list[tuple[int, int]]) -> Lineage:
    """Links from younger (higher) to older numbers."""
    lineage = Lineage()
    for younger, older in pairs:
        if younger > older:
            lineage.add(key(younger), Link(Relation.REPLACES, *key(older)))
    return lineage


def elsewhere(pairs: list[tuple[str, str]], *, kind: str = KIND.id) -> tuple[TrailAct, ...]:
    return tuple(TrailAct(kind, step, an_act(step, person)) for step, person in pairs)


@given(acts, acts, acts, st.sampled_from(STEPS), st.sampled_from(PEOPLE))
def test_more_history_never_turns_a_denial_into_a_permit(
    own: Any, line: Any, more: Any, step: str, person: str
) -> None:
    """Whatever is violated stays so when acts on other chains of the line are added."""
    history = a_history(*(an_act(name, who) for name, who in own))
    enforcement = Enforcement([a_grant("hand", *STEPS)], {"hand": frozenset({"hand"})}, COUNTED, [KIND])

    def rules(*lines: tuple[TrailAct, ...]) -> set[str]:
        question = a_question(step, person, "hand", history=history)
        asked = type(question)(
            **{name: getattr(question, name) for name in question.__slots__ if name != "lines"}, lines=lines
        )
        return {finding.rule for finding in enforcement.decide(asked).findings}

    assert rules() <= rules(elsewhere(line)) <= rules(elsewhere(line), elsewhere(more))
    assert rules(elsewhere(line)) <= rules(elsewhere([*line, *more]))


@given(links, links)
def test_more_links_never_shorten_a_line(some: list[tuple[int, int]], more: list[tuple[int, int]]) -> None:
    """Each line of a chain is within a line that it has with more links; what hangs together only grows."""
    fewer, all_of_them = a_lineage(some), a_lineage([*some, *more])
    for number in range(8):
        for line in fewer.lines(key(number)):
            assert any(line <= other for other in all_of_them.lines(key(number)))
        assert fewer.related([key(number)]) <= all_of_them.related([key(number)])


@given(links)
def test_lines_are_mutual(pairs: list[tuple[int, int]]) -> None:
    """Two chains are on one line for each other, or for neither; nothing is on a line with itself."""
    lineage = a_lineage(pairs)

    def together(one: int) -> set[tuple[str, str]]:
        return {chain for line in lineage.lines(key(one)) for chain in line}

    for one in range(8):
        assert key(one) not in together(one)
        for other in range(8):
            assert (key(other) in together(one)) == (key(one) in together(other))
        assert {key(one)} | together(one) <= lineage.related([key(one)])


def test_halves_of_one_block() -> None:
    """A half is on a line with the block and not with the other half, until something joins them."""
    lineage = a_lineage([(1, 0), (2, 0)])
    assert lineage.lines(key(0)) == (frozenset({key(1)}), frozenset({key(2)}))
    assert lineage.lines(key(1)) == (frozenset({key(0)}),)
    lineage.add(key(3), Link(Relation.MERGED_FROM, *key(1)))
    lineage.add(key(3), Link(Relation.MERGED_FROM, *key(2)))
    assert lineage.lines(key(1)) == (frozenset({key(0), key(2), key(3)}),)


@pytest.mark.parametrize(
    ("about", "kind", "violated"), [("order_chain", "other", False), ("", "other", True)]
)
def test_acts_on_other_kinds(about: str, kind: str, violated: bool) -> None:
    """They count for constraints over the steps of several kinds, and for no others."""
    constraint = a_constraint(ConstraintKind.SEPARATE, STEPS[0], STEPS[1], chain=about)
    question = asking(STEPS[0], "ana", ChainHistory(KIND.id, "O-1"))
    asked = type(question)(
        person="ana",
        step=STEPS[0],
        kind=KIND,
        history=question.history,
        now=question.now,
        lineage=elsewhere([(STEPS[1], "ana")], kind=kind),
    )
    found = FORMULAS[constraint.kind](constraint, asked=asked)
    assert (found is not None) is violated
