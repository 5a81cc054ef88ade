"""Roles and grants from files: `roles.yaml`.

Guarantees: every role exists, inheritance has no cycle, and a grant's condition rests on nothing that the
caller says about the subject unless the vocabulary shows it, nor on what the caller says about progress.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from controls.model.duty import Grant
from controls.model.finding import Text
from controls.rules.chains import RESERVED_RESOURCES, Chains
from controls.rules.condition_files import ConditionScope
from controls.rules.diagnostics import Diagnostics, closest, listed, quoted
from controls.rules.nodes import MappingNode, Scalar
from controls.rules.rule import CompiledCondition
from controls.rules.shapes import is_sound
from controls.rules.sources import SourceFile
from controls.rules.structure import GRANT, ROLE
from controls.rules.system import ANYONE

_PROGRESS: Final = frozenset({"state", "status", "stage", "progress"})


@dataclass(frozen=True, slots=True)
class Roles:
    """Each role with all roles it implies (itself included), their titles, and the grants.

    `complete` is false when the file could not be read: then nobody knows which roles there are.
    """

    implied: Mapping[str, frozenset[str]] = field(default_factory=dict)
    titles: Mapping[str, Text] = field(default_factory=dict)
    grants: tuple[Grant, ...] = ()
    complete: bool = True


def roles_of(files: Iterable[SourceFile], *, complete: bool, chains: Chains, scope: ConditionScope) -> Roles:
    """The roles and grants of all files, the built-in ones first.

    Args:
        files: the files, with their structure checked.
        complete: all of them could be read.
        chains: the chain kinds, whose steps and resources grants name.
        scope: what the grants' conditions may name.
    """
    diagnostics = scope.diagnostics
    files = tuple(file for file in files if isinstance(file.node, MappingNode))
    inherits: dict[str, dict[str, Scalar]] = {ANYONE: {}}
    titles = {ANYONE: Text("Anyone", "Cualquiera")}
    for file in files:
        _collect_roles(file, inherits, titles, diagnostics)
    implied = {role: _reached(role, inherits) for role in sorted(inherits)}
    _check_inherits(inherits, implied=implied, diagnostics=diagnostics)
    grants: dict[str, Grant] = {}
    for file in files:
        for node in _mapping(file).items("grants"):
            if isinstance(node, MappingNode) and (file.clean or is_sound(GRANT, node)):
                grant = _grant(node, file, inherits=inherits, chains=chains, scope=scope)
                if grant.id in grants:
                    place = node.place_of("id") if "id" in node else node.place
                    diagnostics.add(
                        place, "duplicate_id", f"another grant is called {quoted(grant.id)}: give one an `id`"
                    )
                grants.setdefault(grant.id, grant)
    return Roles(implied, dict(sorted(titles.items())), tuple(grants.values()), complete)


def _mapping(file: SourceFile) -> MappingNode:
    assert isinstance(file.node, MappingNode)
    return file.node


def _collect_roles(
    file: SourceFile,
    inherits: dict[str, dict[str, Scalar]],
    titles: dict[str, Text],
    diagnostics: Diagnostics,
) -> None:
    declared = _mapping(file).mapping("roles")
    for name, entry in declared.entries.items() if declared is not None else ():
        parents = inherits.setdefault(name, {})
        plain = name.replace("_", " ").capitalize()
        titles.setdefault(name, Text(plain, plain))
        node = entry.value
        if name == ANYONE:
            diagnostics.add(
                entry.key.place, "reserved_id", "every person is `anyone`: grant to it, but do not declare it"
            )
        elif isinstance(node, MappingNode) and (file.clean or is_sound(ROLE, node)):
            for parent in node.scalars("inherits"):
                parents.setdefault(str(parent.value), parent)
            titles[name] = node.bilingual("title") or titles[name]


def _check_inherits(
    inherits: Mapping[str, Mapping[str, Scalar]],
    *,
    implied: Mapping[str, frozenset[str]],
    diagnostics: Diagnostics,
) -> None:
    for name, parents in inherits.items():
        for parent, scalar in parents.items():
            if parent == ANYONE:
                diagnostics.add(scalar.place, "reserved_id", "every person is `anyone` already: remove it")
            elif parent not in inherits:
                diagnostics.add(
                    scalar.place,
                    "unknown_role",
                    f"{quoted(parent)} is not among the roles{closest(parent, inherits)}",
                )
            elif name in implied[parent]:
                diagnostics.add(
                    scalar.place, "cycle", f"{quoted(parent)} inherits {quoted(name)} in turn: remove one"
                )


def _reached(role: str, inherits: Mapping[str, Mapping[str, Scalar]]) -> frozenset[str]:
    """The role and everything above it."""
    reached: set[str] = set()
    waiting = [role]
    while waiting:
        current = waiting.pop()
        if current not in reached and current in inherits:
            reached.add(current)
            waiting.extend(inherits[current])
    return frozenset(reached)


def _grant(
    node: MappingNode,
    file: SourceFile,
    *,
    inherits: Mapping[str, object],
    chains: Chains,
    scope: ConditionScope,
) -> Grant:
    diagnostics = scope.diagnostics
    role, resource, actions = node.text("role"), node.text("resource"), node.texts("actions")
    if role not in inherits:
        diagnostics.add(
            node.place_of("role"),
            "unknown_role",
            f"{quoted(role)} is not among the roles{closest(role, inherits)}",
        )
    if not file.system and resource in RESERVED_RESOURCES:
        diagnostics.add(
            node.place_of("resource"),
            "reserved_resource",
            f"who may act on {quoted(resource)} is built in: give persons the role "
            "administrator or supervisor, or let a role inherit it",
        )
    condition = None
    scalar = node.scalar("when")
    if scalar is not None:
        condition = scope.compile(scalar, steps=chains.steps_of((resource,)))
        if condition is not None:
            _check_facts(condition, scalar, chains=chains, scope=scope)
    return Grant(
        id=node.text("id", f"{role}:{resource}:{'+'.join(actions)}"),
        role=role,
        actions=actions,
        resource=resource,
        when=condition,
    )


def _check_facts(
    condition: CompiledCondition, scalar: Scalar, *, chains: Chains, scope: ConditionScope
) -> None:
    facts = scope.vocabulary.vocabulary.facts
    source = str(scalar.value)
    for name in sorted(condition.names):
        place = scalar.locate(max(source.find(name), 0))
        first, *_, last = name.split(".")
        if first == "subject" and name in facts and not facts[name].stated:
            scope.diagnostics.add(
                place,
                "needs_from_caller",
                f"{quoted(name)} is what the caller says about the subject: write `from: caller` on it in "
                "vocabulary.yaml, so that a reader sees it, or use person.roles",
            )
        elif first in chains.by_resource and last in _PROGRESS:
            steps = listed(step.id for step in chains.by_resource[first].steps)
            scope.diagnostics.add(
                place,
                "progress_from_caller",
                f"{quoted(name)} is what the caller says about progress: use chain.performed(...) with one "
                f"of {steps}",
            )
