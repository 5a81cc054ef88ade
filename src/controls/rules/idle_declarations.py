"""What is declared in vain: data that no rule reads, steps that nobody may take, roles that nobody may hold.

Guarantees: pure; only what can be seen in the files is told. A list that nothing reads looks as if it were
enforced, and a chain kind under a misspelt resource as if it were one of the orders.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from controls.rules.condition import WholeCondition
from controls.rules.diagnostics import Place, closest, listed, quoted
from controls.rules.nodes import MappingNode, mappings_of
from controls.rules.release import Compiled
from controls.rules.structure import FileKind

_FOLDER_OF: Final = {"lists": "list", "tables": "table", "rates": "rate"}


def unread_declarations(files: Compiled) -> Iterator[tuple[Place, str]]:
    """Lists, tables, rates, calendars and aggregates that nothing reads, with what to say about each."""
    read = _read(files)
    for data in files.sources.data_files:
        folder, _, rest = data.path.partition("/")
        if f"{_FOLDER_OF[folder]}.{rest.removesuffix('.csv')}" not in read:
            yield Place(data.path, 1, 1), f"no rule, grant or duty reads {data.path}: use it or remove it"
    for file in files.sources.of(FileKind.CALENDAR):
        if file.path not in read and not file.system:
            yield (
                Place(file.path, 1, 1),
                "nothing counts by this calendar: name it in a condition or a due time, or remove it",
            )
    for file in files.sources.of(FileKind.AGGREGATE):
        for node in mappings_of(file.node):
            name = f"aggregate.{node.text('aggregate')}"
            if name not in read and not file.system:
                yield node.place_of("aggregate"), f"no rule reads {quoted(name)}: use it or remove it"


def _read(files: Compiled) -> set[str]:
    """`list.NAME` and the like, the paths of calendars, and the facts that conditions and due times read."""
    found: set[str] = set()
    conditions = [condition for _, condition in files.conditions]
    for rule in files.release.rules:
        conditions.extend(item for item in (rule.condition,) if isinstance(item, WholeCondition))
        if rule.due is not None and rule.due.calendar is not None:
            found.add(f"calendars/{rule.due.calendar.name}.yaml")
    for condition in conditions:
        found |= condition.names
        found.update(".".join(name.split(".")[:2]) for name in condition.data)
        found.update(f"calendars/{name}.yaml" for name in condition.calendars)
    return found


def ungranted_steps(files: Compiled) -> Iterator[tuple[Place, str]]:
    """Steps that no role may take, with what to say about each."""
    granted = {f"{grant.resource}.{action}" for grant in files.release.grants for action in grant.actions}
    for file in files.sources.of(FileKind.CHAIN):
        if file.system or not isinstance(file.node, MappingNode):
            continue
        resource = file.node.text("resource")
        for node in file.node.items("steps"):
            if isinstance(node, MappingNode) and (name := f"{resource}.{node.text('id')}") not in granted:
                message = f"no grant in roles.yaml lets anybody take {quoted(name)}{closest(name, granted)}"
                yield node.place_of("id"), message


def unholdable_roles(files: Compiled) -> Iterator[tuple[Place, str]]:
    """Constraints under which a role breaks the limit by what it inherits, with what to say about each."""
    limits = {
        constraint.id: constraint
        for constraint in files.release.constraints
        if constraint.excludes_roles and constraint.when is None
    }
    for file in files.sources.of(FileKind.DUTY):
        for node in mappings_of(file.node):
            constraint = limits.get(node.text("id"))
            if constraint is None or file.system:
                continue
            for role, implied in sorted(files.release.roles.items()):
                held = sorted({role, *implied}.intersection(constraint.roles))
                if len(held) > constraint.limit:
                    message = (
                        f"nobody may hold {quoted(role)}: it brings {listed(held)}, and at most "
                        f"{constraint.limit} of these roles may be held"
                    )
                    yield node.place_of("roles"), message
