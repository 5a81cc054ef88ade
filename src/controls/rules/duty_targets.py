"""Which chain kinds a constraint is about, and what it counts there: checked against steps, roles and facts.

Guarantees: every step is one of a chain kind that the constraint is about; what a scope or a wall looks at
beyond the chain is a material fact there, so that no request can choose it; what could never speak, or nobody
could ever keep, is a diagnostic.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from controls.model.chain import ChainKind
from controls.model.duty import ConstraintKind, Group, Scope
from controls.rules.chains import Chains, check_votable
from controls.rules.diagnostics import Diagnostics, closest, quoted
from controls.rules.duty_structure import MAX_DYNAMIC
from controls.rules.literals import parse_duration
from controls.rules.nodes import MappingNode, Scalar
from controls.rules.roles import Roles

_LONGEST: Final = timedelta(days=3_660)
# What counts acts on chains of other kinds, where a lineage leads from one kind to another.
_OVER_LINEAGES: Final = frozenset(
    {ConstraintKind.SEPARATE, ConstraintKind.AT_MOST, ConstraintKind.COOLING_OFF}
)
_BOUNDED: Final = frozenset({Scope.INSTRUMENT, Scope.DESK})


@dataclass(frozen=True, slots=True)
class Limits:
    """The numbers of a constraint."""

    limit: int
    within: timedelta | None


def steps_of(node: MappingNode) -> tuple[str, ...]:
    """The steps that a constraint counts, those of its groups together."""
    return tuple(dict.fromkeys(str(scalar.value) for scalar in _scalars(node, "steps", "step", "groups")))


def groups_of(node: MappingNode) -> tuple[Group, ...]:
    """The groups of steps that the file names."""
    groups = node.mapping("groups")
    return () if groups is None else tuple(Group(name, groups.texts(name)) for name in groups.entries)


def limits_of(node: MappingNode, kind: ConstraintKind, diagnostics: Diagnostics) -> Limits:
    """The numbers of a constraint; what is wrong with them is noted."""
    return Limits(_limit(node, kind, diagnostics), _within(node, diagnostics))


def _limit(node: MappingNode, kind: ConstraintKind, diagnostics: Diagnostics) -> int:
    counted = len(groups_of(node)) or len(steps_of(node))
    on_chain = node.text("scope", Scope.CHAIN) == Scope.CHAIN
    if kind is ConstraintKind.AT_LEAST or kind is ConstraintKind.COALITION:
        key = "min" if kind is ConstraintKind.AT_LEAST else "people"
        limit = node.integer(key, 0)
        if limit > counted:
            diagnostics.add(
                node.place_of(key), "out_of_range", "more persons than steps: nobody could ever act"
            )
        return limit
    if kind is ConstraintKind.VOTES:
        return node.integer("votes", 0)
    if kind is ConstraintKind.EXCLUSIVE_ROLES:
        limit = node.integer("max", 1)
        if limit >= len(node.texts("roles")):
            diagnostics.add(
                node.place_of("max"), "out_of_range", "as many as there are roles: it would never speak"
            )
        return limit
    limit = node.integer("max", 0)
    if kind is ConstraintKind.AT_MOST and on_chain and limit >= counted:
        what = "groups" if "groups" in node else "steps"
        diagnostics.add(
            node.place_of("max"), "out_of_range", f"as many as there are {what}: it would never speak"
        )
    return limit


def _within(node: MappingNode, diagnostics: Diagnostics) -> timedelta | None:
    scope = Scope(node.text("scope", Scope.CHAIN))
    key = "apart" if "apart" in node else "within"
    if key not in node:
        if scope in _BOUNDED and node.text("kind") != ConstraintKind.COOLING_OFF:
            diagnostics.add(
                node.place_of("scope"),
                "missing_key",
                f"say with `within` how far back steps count: one {scope.value} has steps without end",
            )
        return None
    if key == "within" and "class" not in node and scope is Scope.CHAIN:
        diagnostics.add(
            node.entries[key].key.place,
            "misplaced_key",
            "on one chain steps count for ever: `within` goes with another `scope`",
        )
    try:
        span = parse_duration(node.text(key))
    except ValueError as error:
        diagnostics.add(node.place_of(key), "bad_duration", str(error))
        return None
    if not timedelta(seconds=1) <= span <= _LONGEST:
        diagnostics.add(node.place_of(key), "out_of_range", "write a duration between PT1S and P3660D")
    return span


def _scalars(node: MappingNode, *keys: str) -> Iterator[Scalar]:
    for key in keys:
        groups = node.mapping(key)
        if groups is None:
            yield from node.scalars(key)
        else:
            for name in groups.entries:
                yield from groups.scalars(name)


@dataclass(frozen=True, slots=True)
class DutyTargets:
    """Finds the chain kinds of one constraint after another."""

    chains: Chains
    roles: Roles
    diagnostics: Diagnostics

    def kinds_of(self, node: MappingNode, kind: ConstraintKind) -> tuple[str, ...]:
        """The ids of the chain kinds that the constraint is about; "" for all kinds at once."""
        named = node.text("chain")
        if named and named not in self.chains.by_id:
            if self.chains.complete:
                self._add(
                    node,
                    "chain",
                    "unknown_chain",
                    f"there is no chain kind {quoted(named)}{closest(named, self.chains.by_id)}",
                )
            return ()
        candidates = [self.chains.by_id[named]] if named else list(self.chains.by_id.values())
        if kind is ConstraintKind.EXCLUSIVE_ROLES:
            if not node.flag("dynamic", default=False):
                return (named,)
            return self._with_roles(node, candidates)
        if kind is ConstraintKind.CHINESE_WALL and "steps" not in node:
            return self._behind_wall(node, candidates)
        targets = self._with_steps(node, candidates)
        self._check_material(node, self.about(node, targets))
        self._check_votes(node, kind, targets)
        self._check_relation(node, kind)
        self._check_groups(node)
        return targets

    def about(self, node: MappingNode, targets: Iterable[str]) -> list[ChainKind]:
        """The chain kinds that targets stand for: for all kinds at once, those that have one of its steps."""
        found = [self.chains.by_id[target] for target in targets if target]
        if "" in targets and steps_of(node):
            wanted = frozenset(steps_of(node))
            found = [
                chain
                for chain in self.chains.by_id.values()
                if not wanted.isdisjoint(step.id for step in chain.steps)
            ]
        return found

    def groups_on(self, node: MappingNode, chain: ChainKind) -> tuple[Group, ...]:
        """What is counted as one on a chain kind: the groups of the file, or the steps of each role."""
        if not node.flag("dynamic", default=False):
            return groups_of(node)
        groups = []
        for role in dict.fromkeys(node.texts("roles")):
            held = self.roles.implied.get(role, frozenset())
            granted = {
                action
                for grant in self.roles.grants
                if grant.role in held and grant.resource == chain.resource
                for action in grant.actions
            }
            steps = tuple(step.id for step in chain.steps if step.id in granted)
            if steps:
                groups.append(Group(role, steps))
        return tuple(groups)

    def _with_roles(self, node: MappingNode, candidates: list[ChainKind]) -> tuple[str, ...]:
        if len(node.texts("roles")) > MAX_DYNAMIC:
            self._add(node, "roles", "wrong_length", f"at most {MAX_DYNAMIC} roles with `dynamic`")
        targets = tuple(chain.id for chain in candidates if len(self.groups_on(node, chain)) > 1)
        if not targets and self.chains.complete and self.roles.complete:
            self._add(
                node,
                "roles",
                "out_of_range",
                "no two of these roles take steps of one chain: it never speaks",
            )
        return targets

    def _behind_wall(self, node: MappingNode, candidates: list[ChainKind]) -> tuple[str, ...]:
        facts = {node.text("class"), node.text("dataset")}
        targets = tuple(chain.id for chain in candidates if facts <= set(chain.material))
        if not targets and self.chains.complete:
            self._add(
                node,
                "class",
                "not_material",
                f"no chain kind has {' and '.join(map(quoted, sorted(facts)))} among its material facts: add "
                "both, so that no request can choose its side of the wall",
            )
        self._check_material(node, self.about(node, targets))
        return targets

    def _with_steps(self, node: MappingNode, candidates: list[ChainKind]) -> tuple[str, ...]:
        """The kinds that have all the steps; where none has, all kinds at once: over trails or lineages."""
        named = node.text("chain")
        scalars = list(_scalars(node, "steps", "step", "groups", "distinct_from"))
        known = frozenset(step.id for chain in candidates for step in chain.steps)
        unknown = [step for step in scalars if str(step.value) not in known]
        if self.chains.complete:
            for step in unknown:
                where = f"the chain kind {quoted(named)}" if named else "any chain kind"
                self.diagnostics.add(
                    step.place,
                    "unknown_step",
                    f"{quoted(str(step.value))} is no step of {where}{closest(str(step.value), known)}",
                )
        wanted = frozenset(str(step.value) for step in scalars)
        targets = tuple(chain.id for chain in candidates if wanted <= {step.id for step in chain.steps})
        if targets or unknown:
            return targets
        beyond = node.text("scope", Scope.CHAIN) != Scope.CHAIN or node.text("kind") in _OVER_LINEAGES
        if not named and beyond:
            return ("",)
        if self.chains.complete:
            key = next(key for key in ("steps", "step", "groups") if key in node)
            self._add(node, key, "unknown_step", "no chain kind has all of these steps together")
        return ()

    def _check_material(self, node: MappingNode, about: Iterable[ChainKind]) -> None:
        scope = Scope(node.text("scope", Scope.CHAIN))
        for chain in about:
            facts = {"scope": f"{chain.resource}.{scope.value}"} if scope is not Scope.CHAIN else {}
            facts |= {key: node.text(key) for key in ("class", "dataset") if key in node}
            for key, fact in facts.items():
                if fact not in chain.material:
                    self._add(
                        node,
                        key,
                        "not_material",
                        f"{quoted(fact)} is no material fact of the chain kind {quoted(chain.id)}: add it to "
                        "`material` there, so that it is stated and cannot change along the way",
                    )
                    continue
                for step in chain.steps:
                    if step.id in chain.beginnings and fact not in chain.material_of(step):
                        self._add(
                            node,
                            key,
                            "not_material",
                            f"{quoted(step.id)} can begin a chain of kind {quoted(chain.id)}, and its own "
                            f"`material` lacks {quoted(fact)}: add it there, so that no chain begins without "
                            "saying where it counts",
                        )

    def _check_votes(self, node: MappingNode, kind: ConstraintKind, targets: Iterable[str]) -> None:
        for target in targets:
            chain = self.chains.by_id.get(target)
            for scalar in _scalars(node, "steps", "step") if chain is not None else ():
                assert chain is not None
                name = str(scalar.value)
                step = chain.step(name)
                if step is None:
                    continue
                if kind is ConstraintKind.BIND and step.votes > 1:
                    self.diagnostics.add(
                        scalar.place,
                        "not_votable",
                        f"{quoted(name)} takes {step.votes} different persons: it is bound to nobody",
                    )
                if kind is ConstraintKind.VOTES:
                    check_votable(chain, name, scalar.place, self.diagnostics)
        if node.text("step") in node.texts("distinct_from"):
            self._add(
                node, "distinct_from", "duplicate_item", "the step that is voted on is apart from itself"
            )

    def _check_relation(self, node: MappingNode, kind: ConstraintKind) -> None:
        if kind is ConstraintKind.RELATION and "forbid" not in node and "differ" not in node:
            self.diagnostics.add(
                node.place, "missing_key", "say with `forbid` or `differ` how persons may not be related"
            )

    def _check_groups(self, node: MappingNode) -> None:
        seen: set[str] = set()
        for scalar in _scalars(node, "groups"):
            if str(scalar.value) in seen:
                self.diagnostics.add(
                    scalar.place,
                    "duplicate_item",
                    f"{quoted(str(scalar.value))} is in two groups: a step counts once",
                )
            seen.add(str(scalar.value))

    def _add(self, node: MappingNode, key: str, code: str, message: str) -> None:
        self.diagnostics.add(node.place_of(key), code, message)
