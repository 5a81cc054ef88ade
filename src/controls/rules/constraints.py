"""Duty constraints from files (`duties/*.yaml`), and the two that are built in for every chain kind.

Guarantees: the whole chain and the sole actor are derived from the chain kinds themselves and cannot be
defined, weakened or conditioned by a file; a constraint names steps that one chain kind has together, or
steps of several kinds where its scope is beyond the chain. What it looks at there is a material fact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from controls.model.chain import ChainKind
from controls.model.duty import Constraint, ConstraintKind, Period, Scope
from controls.model.finding import Effect, Source, Text
from controls.model.values import Json, canonical
from controls.rules.chains import Chains
from controls.rules.condition import WholeCondition
from controls.rules.condition_files import ConditionScope
from controls.rules.diagnostics import Diagnostics, closest, quoted
from controls.rules.duty_examples import DutyExample, duty_examples_of
from controls.rules.duty_structure import DUTY
from controls.rules.duty_targets import DutyTargets, groups_of, limits_of, steps_of
from controls.rules.duty_titles import title_of
from controls.rules.messages import placeholders
from controls.rules.nodes import MappingNode, mappings_of
from controls.rules.periods import period_of
from controls.rules.roles import Roles
from controls.rules.shapes import is_sound
from controls.rules.sources import SourceFile
from controls.rules.system import ANYONE
from controls.rules.versions import condition_text, data_json, period_json, version_of

BUILT_IN: Final = frozenset({ConstraintKind.WHOLE_CHAIN, ConstraintKind.SOLE_ACTOR})
# What duties find besides constraints: one of such an id would be lifted, or accepted, in their place.
FINDINGS: Final = frozenset(
    {"amended_history", "joined_history", "moved_history", "resembles", "strand_unknown", "would_strand"}
)


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


@dataclass(frozen=True, slots=True)
class Duties:
    """The constraints of all files, one for each chain kind that a constraint is about, and the examples."""

    constraints: tuple[Constraint, ...]
    examples: tuple[DutyExample, ...]


def duties_of(files: Iterable[SourceFile], *, roles: Roles, chains: Chains, scope: ConditionScope) -> Duties:
    """What the duty files say."""
    reader = _Reader(roles, chains, scope)
    for file in files:
        for node in mappings_of(file.node):
            reader.note_reserved(node)
            if file.clean or is_sound(DUTY, node):
                reader.read(node, file.path)
    return Duties(tuple(reader.constraints), tuple(reader.examples))


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
        **_more_meaning(constraint),
        **data_json(data),
    }
    if calendars:
        meaning["calendars"] = dict(calendars)
    return replace(constraint, version=version_of(meaning))


def _more_meaning(constraint: Constraint) -> dict[str, Json]:
    """What only some kinds have, where it says something."""
    told: dict[str, Json] = {
        "within": None if constraint.within is None else canonical(constraint.within),
        "ordered": constraint.ordered,
        "groups": [[group.name, list(group.steps)] for group in constraint.groups],
        "dynamic": constraint.dynamic,
        "forbid": list(constraint.forbid),
        "differ": list(constraint.differ),
        "class": constraint.conflict_class,
        "dataset": constraint.dataset,
        "distinct_from": list(constraint.distinct_from),
    }
    return {name: value for name, value in told.items() if value}


@dataclass(slots=True)
class _Reader:
    """Reads one constraint after another, remembering which ids are taken."""

    roles: Roles
    chains: Chains
    scope: ConditionScope
    constraints: list[Constraint] = field(default_factory=list)
    examples: list[DutyExample] = field(default_factory=list)
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
        if node.text("id") in FINDINGS:
            self.diagnostics.add(
                node.place_of("id"),
                "reserved_id",
                f"{quoted(node.text('id'))} is what the service itself finds: name the constraint otherwise",
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
        targets = DutyTargets(self.chains, self.roles, self.diagnostics)
        kind = ConstraintKind(node.text("kind"))
        limits = limits_of(node, kind, self.diagnostics)
        kinds = targets.kinds_of(node, kind)
        self._check_roles(node)
        condition = self._condition(node, targets.about(node, kinds))
        self._check_message(node)
        effective = node.mapping("effective")
        period = Period() if effective is None else period_of(effective, self.diagnostics)
        if self.diagnostics.count > before:
            return
        calendars = self.scope.calendar_digests(() if condition is None else condition.calendars)
        made: list[Constraint] = []
        for target in kinds:
            chain = self.chains.by_id.get(target)
            constraint = Constraint(
                id=id_,
                version="",
                kind=kind,
                chain=target,
                then=Effect(node.text("then", Effect.DENY)),
                title=Text("", ""),
                steps=steps_of(node),
                roles=node.texts("roles"),
                limit=limits.limit,
                scope=Scope(node.text("scope", Scope.CHAIN)),
                within=limits.within,
                ordered=node.flag("ordered", default=False),
                groups=groups_of(node) if chain is None else targets.groups_on(node, chain),
                dynamic=node.flag("dynamic", default=False),
                forbid=node.texts("forbid"),
                differ=node.texts("differ"),
                conflict_class=node.text("class"),
                dataset=node.text("dataset"),
                distinct_from=node.texts("distinct_from"),
                when=condition,
                absolute=node.flag("absolute", default=False),
                message=node.bilingual("message"),
                sources=sources_of(node),
                effective=period or Period(),
            )
            title = node.bilingual("title") or title_of(constraint)
            source = node.text("when")
            data = {} if condition is None else condition.data
            made.append(
                _versioned(replace(constraint, title=title), source=source, data=data, calendars=calendars)
            )
        self.constraints += made
        self.examples += duty_examples_of(node, path, constraints=made, chains=self.chains, scope=self.scope)

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

    def _condition(self, node: MappingNode, about: Iterable[ChainKind]) -> WholeCondition | None:
        scalar = node.scalar("when")
        if scalar is None:
            return None
        return self.scope.compile(scalar, steps=self.chains.steps_of(kind.resource for kind in about))

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
