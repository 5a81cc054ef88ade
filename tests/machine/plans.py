"""Random desks for the state machine: chain kinds, duties, roles and people, and the rule files they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import yaml
from hypothesis import strategies as st

from tests.machine.plain_words import Duty, Kind, Step

FACTS: Final = ("account", "instrument", "desk", "amount", "sector", "issuer")
ROLES: Final = ("r1", "r2", "r3")
LETTERS: Final = {"deal": "abcde", "note": "pqr"}  # the steps of each kind of chain
REPEATS: Final = ("same_person", "anyone")
SPANS: Final = {timedelta(hours=1): "PT1H", timedelta(days=2): "P2D"}
ONE_CHAIN: Final = (
    *("separate", "separate", "at_most", "at_most", "at_least", "bind", "votes", "exclusive_roles"),
    *("relation", "cooling_off", "coalition", "of_roles"),
)
BEYOND: Final = ("separate", "at_most", "cooling_off", "chinese_wall")


@dataclass(frozen=True)
class Plan:
    """A desk. Persons are numbers; the last two are supervisors, who may hold other roles too."""

    kinds: tuple[Kind, ...]
    duties: tuple[Duty, ...]
    grants: Mapping[str, frozenset[tuple[str, str]]]
    inherits: Mapping[str, frozenset[str]]
    roles: tuple[frozenset[str], ...]
    profiles: tuple[Mapping[str, str], ...]
    accounts: tuple[int, ...]  # whose each account is; the first ones are of one person each

    @property
    def supervisors(self) -> tuple[int, int]:
        return len(self.roles) - 2, len(self.roles) - 1


def fact_name(kind: str, name: str) -> str:
    return {"sector": "issuer.sector", "issuer": "issuer.id"}.get(name, f"{kind}.{name}")


# --- Strategies -------------------------------------------------------------------------------------------


@st.composite
def kinds_of_chains(draw: st.DrawFn, name: str) -> Kind:
    letters = LETTERS[name][: draw(st.integers(2, len(LETTERS[name])))]
    steps: list[Step] = []
    for number, letter in enumerate(letters):
        votes = draw(st.sampled_from([1, 1, 1, 1, 2]))
        before = st.sets(st.sampled_from(letters[:number]), max_size=2) if number else st.just(set())
        steps.append(
            Step(
                letter,
                after=tuple(sorted(draw(before))),
                optional=number > 1 and draw(st.integers(0, 4)) == 0,
                repeats=draw(st.sampled_from(["never", "never", *REPEATS])) if votes == 1 else "never",
                votes=votes,
                reapprove=votes > 1 or draw(st.booleans()),
            )
        )  # fmt: skip
    return Kind(
        name,
        tuple(steps),
        free=draw(st.booleans()),
        claimed=draw(st.integers(0, 3)) == 0,
        sole_allowed=draw(st.booleans()),
        material=FACTS if draw(st.booleans()) else (),
    )


@st.composite
def duties_on_a_chain(draw: st.DrawFn, kinds: tuple[Kind, ...], roles: Mapping[str, frozenset[str]]) -> Duty:
    """`roles` are the steps that each role may take, inherited ones included."""
    what = draw(st.sampled_from(ONE_CHAIN))
    kind = draw(st.sampled_from(kinds))
    own = [step.id for step in kind.steps]
    across = what in ("separate", "at_most", "cooling_off") and len(kinds) > 1 and draw(st.booleans())
    pool = [step.id for one in kinds for step in one.steps] if across else own
    if what == "bind":
        pool = [step.id for step in kind.steps if step.votes == 1]
    some = st.lists(st.sampled_from(pool), min_size=2, max_size=4, unique=True)
    chosen = tuple(draw(some)) if len(pool) > 1 else ()
    names = {next(one.id for one in kinds if letter in LETTERS[one.id]) for letter in chosen}
    across = len(names) == 2
    then = draw(st.sampled_from(["deny", "deny", "deny", "review"]))
    duty = Duty(
        "",
        what,
        then,
        chosen,
        chain=min(names, default=kind.id),
        large=not across and draw(st.integers(0, 3)) == 0,
        absolute=draw(st.integers(0, 3)) == 0,
    )
    ordered = draw(st.booleans())
    match what:
        case "separate":
            return duty.but(ordered=ordered)
        case "at_most":
            return duty.but(limit=draw(st.integers(1, max(1, len(chosen) - 1))))
        case "at_least":
            return duty.but(limit=draw(st.integers(2, max(2, len(chosen)))))
        case "bind":
            return duty.but(ordered=ordered)
        case "votes":
            votable = [
                s.id for s in kind.steps if s.repeats == "never" and (s.reapprove or not kind.material)
            ]
            if not votable:
                return duty.but(steps=())
            step = draw(st.sampled_from(votable))
            rest = [name for name in own if name != step]
            apart = draw(st.lists(st.sampled_from(rest), max_size=2, unique=True))
            large = duty.large and bool(kind.material)
            return duty.but(steps=(step,), limit=2, distinct_from=tuple(apart), large=large)
        case "of_roles":
            # With a condition: what always holds is refused already where somebody would hold both.
            excluded = tuple(draw(st.lists(st.sampled_from(ROLES), min_size=2, max_size=3, unique=True)))
            duty = duty.but(kind="exclusive_roles", roles=excluded, limit=1, chain=kind.id)
            return duty.but(steps=tuple(own), large=True)
        case "exclusive_roles":
            groups = [tuple(name for name in own if name in roles[role]) for role in ROLES]
            taken = tuple(group for group in groups if group)
            if len(taken) < 2:
                return duty.but(steps=())
            steps = tuple(name for name in own if any(name in group for group in taken))
            return duty.but(
                steps=steps, groups=taken, roles=ROLES, dynamic=True, limit=draw(st.integers(1, 2))
            )
        case "relation":
            forbid = draw(st.sampled_from([(), ("household",), ("reports_to",), ("reports_to", "household")]))
            differ = draw(st.sampled_from([("department",)] if not forbid else [(), ("department",)]))
            return duty.but(forbid=forbid, differ=differ, ordered=ordered)
        case "cooling_off":
            return duty.but(within=draw(st.sampled_from([*SPANS])), ordered=ordered)
    assert what == "coalition"
    limit = draw(st.integers(2, max(2, len(chosen))))
    # With a condition: what always holds is refused already where somebody could do all of it.
    return duty.but(limit=limit, large=True, then=draw(st.sampled_from(["deny", "review", "flag"])))


@st.composite
def duties_beyond(draw: st.DrawFn, kinds: tuple[Kind, ...]) -> Duty:
    """Constraints over chains of one account, instrument or desk, and walls."""
    what = draw(st.sampled_from(BEYOND))
    then = draw(st.sampled_from(["deny", "deny", "review"]))
    within = draw(st.sampled_from([*SPANS]))
    pool = [step.id for kind in kinds for step in kind.steps]
    if what == "chinese_wall":
        own = [step.id for step in draw(st.sampled_from(kinds)).steps]
        steps = tuple(draw(st.lists(st.sampled_from(own), max_size=3, unique=True)))
        return _maybe_large(draw, Duty("", what, then, steps, within=within))
    scope = draw(st.sampled_from(["account", "instrument", "desk"]))
    least = 1 if what == "at_most" else 2
    steps = tuple(draw(st.lists(st.sampled_from(pool), min_size=least, max_size=4, unique=True)))
    absolute = draw(st.integers(0, 3)) == 0
    duty = Duty("", what, then, steps, scope=scope, within=within, absolute=absolute)
    duty = _maybe_large(draw, duty)
    if what == "at_most":
        return duty.but(limit=draw(st.integers(1, 3)))
    return duty.but(ordered=draw(st.booleans()))


def _maybe_large(draw: st.DrawFn, duty: Duty) -> Duty:
    """On a condition, where its steps are those of one kind, of which the amount then is."""
    kinds = {next(kind for kind, letters in LETTERS.items() if step in letters) for step in duty.steps}
    return duty.but(large=True, chain=kinds.pop()) if len(kinds) == 1 and draw(st.booleans()) else duty


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    deal = draw(kinds_of_chains("deal"))
    kinds = (deal, draw(kinds_of_chains("note"))) if draw(st.booleans()) else (deal,)
    actions = [(kind.id, step.id) for kind in kinds for step in kind.steps]
    grants: dict[str, set[tuple[str, str]]] = {role: set() for role in ROLES}
    for action in (*actions, *((kind.id, "amend") for kind in kinds)):
        for role in draw(st.sets(st.sampled_from(ROLES), min_size=1, max_size=3)):
            grants[role].add(action)
    inherits = {"r3": frozenset({"r1"})} if draw(st.booleans()) else {}
    able = {
        role: frozenset(
            step for held in {role, *inherits.get(role, ())} for _, step in grants[held] if step != "amend"
        )
        for role in ROLES
    }
    duties = [draw(duties_on_a_chain(kinds, able)) for _ in range(draw(st.integers(1, 4)))]
    with_facts = tuple(kind for kind in kinds if kind.material)
    if with_facts:
        duties += [draw(duties_beyond(with_facts)) for _ in range(draw(st.integers(0, 3)))]
    numbered = [
        duty.but(id=f"duty_{number}")
        for number, duty in enumerate(duty for duty in duties if duty.steps or duty.kind == "chinese_wall")
    ]
    count = draw(st.integers(2, 5))
    own = st.one_of(st.just(frozenset(ROLES)), st.frozensets(st.sampled_from(ROLES), min_size=1))
    roles = [draw(own) for _ in range(count)]
    besides = st.sampled_from([frozenset(), frozenset({"r1"}), frozenset(ROLES)])
    roles += [draw(besides) | {"supervisor"} for _ in range(2)]
    profiles = [
        {
            "department": draw(st.sampled_from(["", "x", "y", "z"])),
            "household": draw(st.sampled_from(["", "h1", "h2", "h3"])),
            "reports_to": draw(st.sampled_from(["", *map(str, range(number + 1))])),
        }
        for number in range(len(roles))
    ]
    more = draw(st.lists(st.integers(0, count - 1), max_size=3))
    return Plan(
        kinds=kinds,
        duties=tuple(numbered),
        grants={role: frozenset(own) for role, own in grants.items()},
        inherits=inherits,
        roles=tuple(roles),
        profiles=tuple(profiles),
        accounts=(*range(len(roles)), *more),
    )


# --- Rule files -------------------------------------------------------------------------------------------


def write_rules(plan: Plan, folder: Path) -> Path:
    """The rule files of a desk."""
    text: dict[str, Any] = {"type": "string", "public": True}
    facts = {
        fact_name(kind.id, name): {"type": "decimal", "public": True} if name == "amount" else text
        for kind in plan.kinds
        for name in FACTS
    }
    titled = {name: {**said, "label": {"en": name, "es": name}} for name, said in facts.items()}
    roles: dict[str, Any] = {role: {"title": {"en": role, "es": role}} for role in ROLES}
    for role, held in plan.inherits.items():
        roles[role]["inherits"] = sorted(held)
    grants = [
        {"role": role, "resource": kind.id, "actions": sorted(step for name, step in own if name == kind.id)}
        for role, own in plan.grants.items()
        for kind in plan.kinds
        if any(name == kind.id for name, _ in own)
    ]
    files: dict[str, Any] = {
        "vocabulary.yaml": {"subject_types": ["account"], "facts": titled},
        "roles.yaml": {"roles": roles, "grants": grants},
        "duties/all.yaml": [_duty_node(duty) for duty in plan.duties],
    }
    for kind in plan.kinds:
        files[f"chains/{kind.id}.yaml"] = _kind_node(kind)
    for name, content in files.items():
        path = folder / "rules" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content:
            path.write_text(yaml.safe_dump(content), "utf-8")
    return folder / "rules"


def _kind_node(kind: Kind) -> dict[str, Any]:
    node: dict[str, Any] = {
        "chain": kind.id,
        "title": {"en": kind.id, "es": kind.id},
        "resource": kind.id,
        "claim_valid_for": "P3660D",
        "material": [fact_name(kind.id, name) for name in kind.material],
        "steps": [
            {
                "id": step.id,
                "after": list(step.after),
                "optional": step.optional,
                "repeats": step.repeats,
                "reapprove": step.reapprove,
                **({"votes": step.votes} if step.votes > 1 else {}),
            }
            for step in kind.steps
        ],
    }
    node |= {"order": "free"} if kind.free else {}
    node |= {"progress": "claimed"} if kind.claimed else {}
    return node | ({"sole_actor": "allowed"} if kind.sole_allowed else {})


def _duty_node(duty: Duty) -> dict[str, Any]:
    node: dict[str, Any] = {"id": duty.id, "kind": duty.kind, "then": duty.then}
    if duty.large:
        node["when"] = f"{duty.chain}.amount > 100"
    if duty.ordered:
        node["ordered"] = True
    if duty.absolute:
        node["absolute"] = True
    if duty.scope != "chain":
        node["scope"] = duty.scope
    limits = {"at_least": "min", "votes": "votes", "coalition": "people"}
    if duty.limit:
        node[limits.get(duty.kind, "max")] = duty.limit
    match duty.kind:
        case "votes":
            node |= {"step": duty.steps[0]}
            node |= {"distinct_from": list(duty.distinct_from)} if duty.distinct_from else {}
        case "exclusive_roles":
            node |= {"roles": list(duty.roles), "dynamic": duty.dynamic, "chain": duty.chain}
        case _ if duty.steps:
            node["steps"] = list(duty.steps)
    if duty.kind == "chinese_wall":
        node |= {"class": "issuer.sector", "dataset": "issuer.id"}
    if duty.kind == "relation":
        node |= {"forbid": list(duty.forbid), "differ": list(duty.differ)}
        node = {key: said for key, said in node.items() if said != []}
    if duty.kind == "cooling_off":
        node["apart"] = SPANS[duty.within]
    elif duty.within in SPANS:
        node["within"] = SPANS[duty.within]
    return node


def directory_of(plan: Plan, names: tuple[str, ...]) -> str:
    """The directory as CSV; `names[n]` is what person n is called."""
    lines = ["person,name,account,kind,roles,department,household,reports_to"]
    lines += [f"adm-{n},Admin {n},admin{n},person,administrator,,," for n in (1, 2)]
    for number, person in enumerate(plan.accounts):
        profile = plan.profiles[person]
        superior = profile["reports_to"]
        lines.append(
            ",".join(
                [
                    names[person],
                    f"Name {names[person]}",
                    f"{names[person]}.{number}",
                    "bot" if number >= len(plan.roles) and number % 2 else "person",
                    ";".join(sorted(plan.roles[person])),
                    profile["department"],
                    profile["household"],
                    names[int(superior)] if superior else "",
                ]
            )
        )
    return "\n".join(lines) + "\n"
