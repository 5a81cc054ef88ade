"""Breaches beyond one chain: relations, walls, times between steps, accounts and lineages, told from acts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from controls.duties.breaches import Breach, Breaches, looked_at
from controls.duties.breaches_across import Across
from controls.duties.constraints import FORMULAS, concerns
from controls.duties.trails import trail_name
from controls.model.chain import AMEND, Act, Capacity, ChainHistory
from controls.model.duty import Constraint, ConstraintKind, Group, Period, Scope
from controls.model.lineage import Lineage, Link, Relation
from controls.model.people import Profile
from controls.model.trail import TrailAct, TrailReading

from .builders import KIND, NOW, a_constraint, a_history, an_act, asking

HOUR = timedelta(hours=1)
WALL = a_constraint(
    ConstraintKind.CHINESE_WALL, chain="", name="wall", conflict_class="issuer.sector", dataset="issuer.id"
)
APART = a_constraint(ConstraintKind.SEPARATE, "capture", "approve", name="apart")


def breaches_of(
    constraints: Iterable[Constraint],
    *histories: ChainHistory,
    profiles: Mapping[str, Profile] | None = None,
    lineage: Lineage | None = None,
) -> list[tuple[str, str, str, list[tuple[str, str]]]]:
    """Rule, person and chain of each breach, with the chain and step of its acts."""
    found = Breaches(
        constraints,
        kinds={KIND.id: KIND},
        grants=(),
        closure={},
        roles_at=lambda *_: frozenset(),
        profiles_at=lambda _: profiles or {},
        lineage=lineage,
    )
    for history in histories:
        found.add(history)
    assert found.found() == found.found()

    def told(breach: Breach) -> tuple[str, str, str, list[tuple[str, str]]]:
        return breach.constraint.id, breach.person, breach.chain, [(a.chain, a.step) for a in breach.acts]

    return list(map(told, found.found()))


def chain(name: str, *done: tuple[str, str, int], **material: str) -> ChainHistory:
    """A chain of steps: what, by whom, and in which hour, which is also the place in the ledger."""
    facts = {key.replace("_", ".", 1): value for key, value in material.items()}
    acts = [
        an_act(step, person, chain=name, at=NOW + hour * HOUR, index=hour, material=facts)
        for step, person, hour in done
    ]
    return a_history(*acts, chain=name)


# -- on one chain -----------------------------------------------------------------------------------------


def test_who_acted_beside_a_related_person_is_told() -> None:
    """As the directory knew it then; what it did not know broke nothing that anybody could say."""
    rule = a_constraint(
        ConstraintKind.RELATION, "capture", "approve", name="related", forbid=("reports_to", "household")
    )
    done = chain("O-1", ("capture", "ana", 1), ("approve", "ben", 2))
    boss = {"ana": Profile("ana", reports_to="ben"), "ben": Profile("ben", reports_to="ben")}
    expected = [("related", "ben", "O-1", [("O-1", "capture"), ("O-1", "approve")])]
    assert breaches_of([rule], done, profiles=boss) == expected
    strangers = {name: Profile(name, reports_to=name, household=f"h-{name}") for name in ("ana", "ben")}
    assert breaches_of([rule], done, profiles=strangers) == []
    assert breaches_of([rule], done) == []
    assert looked_at(rule)


def test_relations_are_those_of_the_moment() -> None:
    """Whoever became a superior later was none then."""
    rule = a_constraint(ConstraintKind.RELATION, "capture", "approve", name="related", differ=("desk",))

    def at(moment: datetime) -> Mapping[str, Profile]:
        moved = "fx" if moment > NOW + HOUR else "bonds"
        return {"ana": Profile("ana", desk="fx"), "ben": Profile("ben", desk=moved)}

    found = Breaches(
        [rule], kinds={KIND.id: KIND}, grants=(), closure={}, roles_at=lambda *_: frozenset(), profiles_at=at
    )
    found.add(chain("O-1", ("capture", "ana", 0), ("approve", "ben", 1)))
    found.add(chain("O-2", ("capture", "ana", 1), ("approve", "ben", 2)))
    assert [breach.chain for breach in found.found()] == ["O-2"]


def test_steps_that_followed_too_soon_are_told() -> None:
    """By anybody; the moment that is far enough is none, and the chain is named."""
    rule = a_constraint(ConstraintKind.COOLING_OFF, "approve", "settle", name="cool", within=3 * HOUR)
    soon = chain("O-1", ("approve", "ana", 1), ("settle", "ben", 3))
    assert breaches_of([rule], soon, chain("O-2", ("approve", "ana", 1), ("settle", "ben", 4))) == [
        ("cool", "ben", "O-1", [("O-1", "approve"), ("O-1", "settle")])
    ]
    ordered = replace(rule, ordered=True)
    back = chain("O-1", ("settle", "ana", 1), ("approve", "ben", 2))
    assert breaches_of([ordered], back) == []
    assert len(breaches_of([rule], back)) == 1


def test_a_time_between_steps_begins_when_the_first_is_done() -> None:
    """Claimed five hours before the other step was asked for, and done at once, later, after it, or never."""
    rule = a_constraint(ConstraintKind.COOLING_OFF, "approve", "settle", name="cool", within=3 * HOUR)
    approved, settled = chain("O-1", ("approve", "ana", 1), ("settle", "ben", 6)).acts

    def broken(done_at: datetime | None) -> bool:
        return breaches_of([rule], a_history(replace(approved, done_at=done_at), settled)) != []

    assert not broken(NOW + HOUR)
    assert not broken(NOW + 3 * HOUR)
    assert all(broken(NOW + hours * HOUR) for hours in (4, 5, 6, 7))
    assert broken(None)


# -- over chains ------------------------------------------------------------------------------------------


def test_who_went_behind_two_walls_is_told() -> None:
    """Two datasets of one class by one person; not another class, another person, or a wall of the past."""

    def on(name: str, sector: str, issuer: str, person: str, hour: int) -> ChainHistory:
        return chain(name, ("capture", person, hour), issuer_sector=sector, issuer_id=issuer)

    first = on("O-1", "oil", "X", "ana", 1)
    assert breaches_of([WALL], first, on("O-2", "oil", "Y", "ana", 2)) == [
        ("wall", "ana", "", [("O-1", "capture"), ("O-2", "capture")])
    ]
    for other in (("oil", "X", "ana"), ("tea", "Y", "ana"), ("oil", "Y", "ben")):
        assert breaches_of([WALL], first, on("O-2", *other, 2)) == []
    late = on("O-2", "oil", "Y", "ana", 9)
    assert breaches_of([replace(WALL, within=8 * HOUR)], first, late) == []
    assert len(breaches_of([replace(WALL, within=9 * HOUR)], first, late)) == 1
    unstated = chain("O-2", ("capture", "ana", 2))
    assert breaches_of([WALL], first, unstated) == []


def test_behind_a_wall_an_act_counts_for_what_the_chain_was_then() -> None:
    """Somebody else moved the chain to another issuer later; who acts on it then is behind that one."""
    facts = {"issuer.sector": "oil", "issuer.id": "X"}
    moved = a_history(
        an_act("capture", "ana", index=1, material=facts),
        an_act(AMEND, "ben", index=3, material=facts | {"issuer.id": "Y"}),
        an_act("settle", "cai", index=4),
    )
    other = [
        chain(f"O-{person}", ("capture", person, 2), issuer_sector="oil", issuer_id="X")
        for person in ("ana", "cai")
    ]
    assert breaches_of([WALL], moved, *other) == [
        ("wall", "cai", "", [("O-cai", "capture"), ("O-1", "settle")])
    ]


def test_steps_apart_on_an_account_are_told_over_its_chains() -> None:
    """In any order of the chains, by whoever did both there."""
    rule = a_constraint(ConstraintKind.SEPARATE, "capture", "settle", name="far", scope=Scope.ACCOUNT)
    one = chain("O-1", ("settle", "ana", 2), order_account="A")
    two = chain("O-2", ("capture", "ana", 1), ("capture", "ben", 3), order_account="A")
    expected = [("far", "ana", "", [("O-2", "capture"), ("O-1", "settle")])]
    assert breaches_of([rule], one, two) == breaches_of([rule], two, one) == expected
    assert breaches_of([rule], one, chain("O-2", ("capture", "ana", 1), order_account="B")) == []
    ended = replace(rule, effective=Period(end=NOW + 2 * HOUR))
    assert breaches_of([ended], one, two) == []


# -- lineages ---------------------------------------------------------------------------------------------


def lineage_of(*links: tuple[str, str]) -> Lineage:
    found = Lineage()
    for younger, older in links:
        found.add((KIND.id, younger), Link(Relation.SPLIT_FROM, KIND.id, older))
    return found


def test_what_was_approved_before_a_chain_began_is_where_it_was_to_be() -> None:
    """With the chain if it began there, and else where the question said: on an account, behind a wall."""
    rule = replace(APART, scope=Scope.ACCOUNT, chain="")
    earlier = chain("O-1", ("approve", "sara", 1), order_account="A", issuer_sector="oil", issuer_id="X")

    def begun(account: str, issuer: str) -> ChainHistory:
        facts = {"order_account": "A", "issuer_sector": "oil", "issuer_id": "Y"}
        (approved,) = chain("O-2", ("capture", "sara", 2), **facts).acts
        approved = replace(approved, capacity=Capacity.APPROVER, claim="apr")
        facts |= {"order_account": account, "issuer_id": issuer}
        return a_history(approved, *chain("O-2", ("capture", "ana", 3), **facts).acts, chain="O-2")

    for account, issuer in (("A", "Y"), ("B", "X")):
        assert breaches_of([rule, WALL], earlier, begun(account, issuer)) == [
            ("apart", "sara", "", [("O-1", "approve"), ("O-2", "capture")]),
            ("wall", "sara", "", [("O-1", "approve"), ("O-2", "capture")]),
        ]
    elsewhere = chain("O-3", ("approve", "sara", 4), order_account="B", issuer_sector="oil", issuer_id="Y")
    assert breaches_of([rule, WALL], elsewhere, begun("B", "X")) == []
    assert len(breaches_of([rule], elsewhere, begun("B", "X"), earlier)) == 1
    alone = a_history(begun("B", "X").acts[0], chain="O-2")
    assert len(breaches_of([rule, WALL], earlier, alone)) == 2


def test_a_line_is_measured_as_one_chain() -> None:
    """What was done on the block counts on both halves, and what on one half not on the other."""
    block = chain("B", ("capture", "ana", 1))
    half, other = chain("H", ("approve", "ana", 3)), chain("K", ("capture", "ben", 2), ("approve", "cai", 4))
    links = lineage_of(("H", "B"), ("K", "B"))
    assert breaches_of([APART], block, half, other) == []
    expected = [("apart", "ana", "H", [("B", "capture"), ("H", "approve")])]
    assert breaches_of([APART], half, other, block, lineage=links) == expected
    crossed = chain("K", ("capture", "ben", 2), ("approve", "ben", 5))
    assert [item[2] for item in breaches_of([APART], block, half, crossed, lineage=links)] == ["H", "K"]
    siblings = chain("K", ("approve", "ben", 5)), chain("H", ("capture", "ben", 3))
    assert breaches_of([APART], block, *siblings, lineage=links) == []
    # Once the halves are joined, they are of one line.
    joined = lineage_of(("H", "B"), ("K", "B"), ("J", "H"), ("J", "K"))
    found = breaches_of([APART], block, *siblings, chain("J", ("execute", "dee", 7)), lineage=joined)
    assert found == [("apart", "ben", "K", [("H", "capture"), ("K", "approve")])]


def test_lines_do_not_help() -> None:
    """Whoever else acted on the block is no second person on the half."""
    rule = a_constraint(ConstraintKind.AT_LEAST, "capture", "approve", name="two", limit=2)
    half = chain("H", ("capture", "ana", 2), ("approve", "ana", 3))
    block = chain("B", ("capture", "ben", 1))
    expected = [("two", "ana", "H", [("H", "capture"), ("H", "approve")])]
    assert breaches_of([rule], block, half, lineage=lineage_of(("H", "B"))) == expected


# -- against the formulas ---------------------------------------------------------------------------------

ACTS = st.lists(
    st.tuples(
        st.sampled_from(["capture", "approve", "settle", AMEND]),
        st.sampled_from(["ana", "ben"]),
        st.sampled_from(["O-1", "O-2", "O-3"]),
        st.integers(0, 3),
        st.sampled_from([0, 0, 1, 2, 4, None]),
    ),
    max_size=12,
)
STEPS_OF = st.lists(st.sampled_from(["capture", "approve", "settle"]), min_size=2, unique=True).map(tuple)
STATED = {
    "O-1": {"order.account": "A", "issuer.sector": "oil", "issuer.id": "X"},
    "O-2": {"order.account": "A", "issuer.sector": "oil", "issuer.id": "Y"},
    "O-3": {"order.account": "B", "issuer.sector": "oil", "issuer.id": "X"},
}


@st.composite
def rules(draw: st.DrawFn) -> Constraint:
    kinds = [
        *(ConstraintKind.SEPARATE, ConstraintKind.AT_MOST),
        *(ConstraintKind.COOLING_OFF, ConstraintKind.CHINESE_WALL),
    ]
    kind = draw(st.sampled_from(kinds))
    within = draw(st.sampled_from([None, HOUR, 3 * HOUR]))
    if kind is ConstraintKind.CHINESE_WALL:
        return replace(WALL, within=within, steps=draw(st.sampled_from([(), ("capture", "settle")])))
    steps = draw(STEPS_OF)
    groups = (Group("begin", ("capture", "approve")), Group("end", ("settle",)))
    return a_constraint(
        kind,
        *steps,
        chain=draw(st.sampled_from(["", KIND.id])),
        limit=draw(st.integers(1, 3)),
        scope=Scope.ACCOUNT,
        within=within or (HOUR if kind is ConstraintKind.COOLING_OFF else None),
        ordered=kind is not ConstraintKind.AT_MOST and draw(st.booleans()),
        groups=groups if kind is ConstraintKind.AT_MOST and draw(st.booleans()) else (),
    )


def by_the_formula(rule: Constraint, acts: Sequence[Act]) -> set[tuple[str, str]]:
    """Place and person of every act that the formula, asked with the acts before it, speaks against."""
    wall = rule.kind is ConstraintKind.CHINESE_WALL
    fact = "issuer.sector" if wall else "order.account"
    found: set[tuple[str, str]] = set()
    for number, act in enumerate(acts):
        step = KIND.steps[0].id if act.step == AMEND else act.step
        if not concerns(rule, kind=KIND, step=step):
            continue
        earlier = [item for item in acts[:number] if item.material[fact] == act.material[fact]]
        trail = tuple(
            TrailAct(
                KIND.id,
                KIND.steps[0].id if item.step == AMEND else item.step,
                item,
                item.material["issuer.id"] if wall else "",
            )
            for item in earlier
        )
        own = a_history(*(item for item in earlier if item.chain == act.chain), chain=act.chain)
        reading = TrailReading(trail, act.material["issuer.id"] if wall else "")
        asked = asking(step, act.person, own, now=act.at, trails={trail_name(rule): reading})
        if FORMULAS[rule.kind](rule, asked=asked) is not None:
            found.add((act.material[fact], act.person))
    return found


@given(rule=rules(), drawn=ACTS)
def test_one_pass_finds_what_the_formulas_do(
    rule: Constraint, drawn: list[tuple[str, str, str, int, int | None]]
) -> None:
    """Over chains that stay where they are, in whatever order chains are read; some acts were done some hours
    after their claim, maybe after the next ones were asked for, and some not yet."""
    acts: list[Act] = []
    now = NOW
    for index, (step, person, name, hours, later) in enumerate(drawn):
        now += hours * HOUR
        made = an_act(step, person, chain=name, at=now, index=index, material=STATED[name])
        done_at = None if later is None else now + later * HOUR
        acts.append(replace(made, claim=f"c{index}", done_at=done_at))
    across = Across([rule])
    for name in ("O-2", "O-3", "O-1"):
        across.add(a_history(*(act for act in acts if act.chain == name), chain=name), kind=KIND)
    fact = "issuer.sector" if rule.kind is ConstraintKind.CHINESE_WALL else "order.account"
    found = {(item.acts[-1].material[fact], item.person) for item in across.found()}
    assert found == by_the_formula(rule, acts)


def test_many_acts_at_one_place_are_gone_through_once() -> None:
    """Twenty thousand orders of one person on one account, with a window and without one."""
    many = 20_000
    rules_of = [
        a_constraint(ConstraintKind.SEPARATE, "capture", "settle", name="far", scope=Scope.ACCOUNT),
        a_constraint(ConstraintKind.AT_MOST, "capture", limit=many, scope=Scope.ACCOUNT, within=HOUR),
    ]
    across = Across(rules_of)
    for number in range(many):
        across.add(chain(f"O-{number}", ("capture", "ana", number % 50), order_account="A"), kind=KIND)
    assert list(across.found()) == []
