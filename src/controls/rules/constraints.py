"""Duty constraints from files (`duties/*.yaml`), and the two that are built in for every chain kind.

Guarantees: the whole chain and the sole actor are derived from the chain kinds themselves and cannot be
defined, weakened or conditioned by a file; a constraint names steps that one chain kind has together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from controls.model.chain import ChainKind
from controls.model.duty import Constraint, ConstraintKind, Period, Scope
from controls.model.finding import Effect, Source, Text
from controls.model.values import Json
from controls.rules.chains import Chains
from controls.rules.condition import WholeCondition
from controls.rules.condition_files import ConditionScope
from controls.rules.diagnostics import Diagnostics, closest, listed, quoted
from controls.rules.messages import placeholders
from controls.rules.nodes import MappingNode, mappings_of
from controls.rules.periods import period_of
from controls.rules.roles import Roles
from controls.rules.shapes import is_sound
from controls.rules.sources import SourceFile
from controls.rules.structure import DUTY
from controls.rules.system import ANYONE
from controls.rules.versions import condition_text, data_json, period_json, version_of

BUILT_IN: Final = frozenset({ConstraintKind.WHOLE_CHAIN, ConstraintKind.SOLE_ACTOR})


def built_in_constraints(chains: Iterable[ChainKind]) -> tuple[Constraint, ...]:
    """The constraints that every chain kind has, whatever the files say."""
    found: list[Constraint] = []
    for chain in chains:
        found.append(
            _built_in(
                ConstraintKind.WHOLE_CHAIN,
                chain,
                Text("Nobody handles a whole chain", "Nadie lleva una cadena entera"),
            )
        )
        if not chain.sole_actor_allowed:
            found.append(
                _built_in(
                    ConstraintKind.SOLE_ACTOR,
                    chain,
                    Text(
                        "The last step is not for the chain's only actor",
                        "El último paso no es para quien ha actuado solo en la cadena",
                    ),
                )
            )
    return tuple(found)


def constraints_of(
    files: Iterable[SourceFile], *, roles: Roles, chains: Chains, scope: ConditionScope
) -> tuple[Constraint, ...]:
    """The constraints of all files, one for each chain kind that a constraint is about."""
    reader = _Reader(roles, chains, scope)
    for file in files:
        for node in mappings_of(file.node):
            reader.note_reserved(node)
            if file.clean or is_sound(DUTY, node):
                reader.read(node, file.path)
    return tuple(reader.constraints)


def _built_in(kind: ConstraintKind, chain: ChainKind, title: Text) -> Constraint:
    steps = chain.mandatory if kind is ConstraintKind.WHOLE_CHAIN else chain.mandatory[-1:]
    constraint = Constraint(
        id=kind.value, version="", kind=kind, chain=chain.id, then=Effect.DENY, title=title, steps=steps,
        absolute=True,
    )  # fmt: skip
    return _versioned(constraint, source="", data={})


def _versioned(
    constraint: Constraint,
    *,
    source: str,
    data: Mapping[str, str],
    calendars: Mapping[str, Json] | None = None,
) -> Constraint:
    meaning: dict[str, Json] = {
        "id": constraint.id,
        "kind": constraint.kind.value,
        "chain": constraint.chain,
        "then": constraint.then.value,
        "steps": list(constraint.steps),
        "roles": list(constraint.roles),
        "limit": constraint.limit,
        "scope": constraint.scope.value,
        "when": condition_text(source),
        "absolute": constraint.absolute,
        "effective": period_json(constraint.effective),
        **data_json(data),
    }
    if calendars:
        meaning["calendars"] = dict(calendars)
    return replace(constraint, version=version_of(meaning))


@dataclass(slots=True)
class _Reader:
    """Reads one constraint after another, remembering which ids are taken."""

    roles: Roles
    chains: Chains
    scope: ConditionScope
    constraints: list[Constraint] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)

    @property
    def diagnostics(self) -> Diagnostics:
        return self.scope.diagnostics

    def note_reserved(self, node: MappingNode) -> None:
        for key in ("id", "kind"):
            if node.text(key) in BUILT_IN:
                self.diagnostics.add(
                    node.place_of(key),
                    "reserved_id",
                    f"{quoted(node.text(key))} is built in for every chain kind: no file can define it",
                )

    def read(self, node: MappingNode, path: str) -> None:
        before = self.diagnostics.count
        id_ = node.text("id")
        place = node.place_of("id")
        if id_ in self.places:
            self.diagnostics.add(
                place, "duplicate_id", f"{quoted(id_)} is already in {self.places[id_]}: rename one"
            )
        self.places.setdefault(id_, f"{path}:{place.line}")
        kind = ConstraintKind(node.text("kind"))
        targets = self._targets(node, kind)
        self._check_roles(node)
        limit = self._limit(node, kind)
        condition = self._condition(node, targets)
        self._check_message(node)
        effective = node.mapping("effective")
        period = Period() if effective is None else period_of(effective, self.diagnostics)
        if self.diagnostics.count > before:
            return
        calendars = self.scope.calendar_digests(() if condition is None else condition.calendars)
        for target in targets:
            constraint = Constraint(
                id=id_,
                version="",
                kind=kind,
                chain=target,
                then=Effect(node.text("then")),
                title=node.bilingual("title") or self._title(kind, node, limit),
                steps=node.texts("steps"),
                roles=node.texts("roles"),
                limit=limit,
                scope=Scope(node.text("scope", Scope.CHAIN)),
                when=condition,
                absolute=node.flag("absolute", default=False),
                message=node.bilingual("message"),
                sources=sources_of(node),
                effective=period or Period(),
            )
            source = node.text("when")
            data = {} if condition is None else condition.data
            self.constraints.append(_versioned(constraint, source=source, data=data, calendars=calendars))

    def _targets(self, node: MappingNode, kind: ConstraintKind) -> tuple[str, ...]:
        """The chain kinds that the constraint is about; exclusive roles without one are about all, ""."""
        named = node.text("chain")
        if named and named not in self.chains.by_id:
            if self.chains.complete:
                self.diagnostics.add(
                    node.place_of("chain"),
                    "unknown_chain",
                    f"there is no chain kind {quoted(named)}{closest(named, self.chains.by_id)}",
                )
            return ()
        if kind is ConstraintKind.EXCLUSIVE_ROLES:
            return (named,)
        steps = node.scalars("steps")
        candidates = [self.chains.by_id[named]] if named else list(self.chains.by_id.values())
        known = frozenset(step.id for chain in candidates for step in chain.steps)
        unknown = [step for step in steps if str(step.value) not in known]
        if self.chains.complete:
            for step in unknown:
                where = f"the chain kind {quoted(named)}" if named else "any chain kind"
                self.diagnostics.add(
                    step.place,
                    "unknown_step",
                    f"{quoted(str(step.value))} is no step of {where}{closest(str(step.value), known)}",
                )
        wanted = frozenset(node.texts("steps"))
        targets = tuple(chain.id for chain in candidates if wanted <= {step.id for step in chain.steps})
        if not targets and not unknown and self.chains.complete:
            self.diagnostics.add(
                node.place_of("steps"), "unknown_step", "no chain kind has all of these steps together"
            )
        return targets

    def _check_roles(self, node: MappingNode) -> None:
        for role in node.scalars("roles"):
            name = str(role.value)
            if name == ANYONE:
                self.diagnostics.add(role.place, "reserved_id", "every person is `anyone`: remove it")
            elif name not in self.roles.implied and self.roles.complete:
                self.diagnostics.add(
                    role.place,
                    "unknown_role",
                    f"{quoted(name)} is not among the roles{closest(name, self.roles.implied)}",
                )

    def _limit(self, node: MappingNode, kind: ConstraintKind) -> int:
        if kind is ConstraintKind.AT_LEAST:
            limit = node.integer("min", 0)
            if limit > len(node.texts("steps")):
                self.diagnostics.add(
                    node.place_of("min"), "out_of_range", "more persons than steps: nobody could ever act"
                )
            return limit
        if kind is ConstraintKind.EXCLUSIVE_ROLES:
            limit = node.integer("max", 1)
            if limit >= len(node.texts("roles")):
                self.diagnostics.add(
                    node.place_of("max"), "out_of_range", "as many as there are roles: it would never speak"
                )
            return limit
        limit = node.integer("max", 0)
        on_chain = node.text("scope", Scope.CHAIN) == Scope.CHAIN
        if kind is ConstraintKind.AT_MOST and on_chain and limit >= len(node.texts("steps")):
            self.diagnostics.add(
                node.place_of("max"), "out_of_range", "as many as there are steps: it would never speak"
            )
        return limit

    def _condition(self, node: MappingNode, targets: tuple[str, ...]) -> WholeCondition | None:
        scalar = node.scalar("when")
        if scalar is None:
            return None
        resources = [self.chains.by_id[target].resource for target in targets if target]
        return self.scope.compile(scalar, steps=self.chains.steps_of(resources))

    def _check_message(self, node: MappingNode) -> None:
        message = node.mapping("message")
        for language in ("en", "es"):
            scalar = message.scalar(language) if message is not None else None
            for offset, name in placeholders("" if scalar is None else str(scalar.value)):
                assert scalar is not None
                self.diagnostics.add(
                    scalar.locate(offset),
                    "bad_placeholder",
                    f"{quoted(name)}: a constraint's message is shown as it is, so write no braces",
                )

    def _title(self, kind: ConstraintKind, node: MappingNode, limit: int) -> Text:
        steps, roles = listed(node.texts("steps")), listed(node.texts("roles"))
        account = node.text("scope") == Scope.ACCOUNT
        titles: Mapping[ConstraintKind, Text] = {
            ConstraintKind.SEPARATE: Text(f"Different persons: {steps}", f"Personas distintas: {steps}"),
            ConstraintKind.AT_MOST: Text(
                f"At most {limit} per person{' and account' if account else ''}: {steps}",
                f"Como máximo {limit} por persona{' y cuenta' if account else ''}: {steps}",
            ),
            ConstraintKind.AT_LEAST: Text(
                f"At least {limit} persons: {steps}", f"Al menos {limit} personas: {steps}"
            ),
            ConstraintKind.BIND: Text(f"The same person: {steps}", f"La misma persona: {steps}"),
            ConstraintKind.EXCLUSIVE_ROLES: Text(
                f"At most {limit} of these roles: {roles}", f"Como máximo {limit} de estas funciones: {roles}"
            ),
        }
        return titles[kind]


def sources_of(node: MappingNode) -> tuple[Source, ...]:
    """The sources that a rule or a constraint names."""
    return tuple(
        Source(
            law=item.text("law"),
            article=item.text("article"),
            basis=item.text("basis"),
            reviewed=item.flag("reviewed", default=True),
        )
        for item in node.items("source")
        if isinstance(item, MappingNode)
    )
