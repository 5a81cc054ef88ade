"""A release together with the places where its parts stand, for reports that quote `file:line`.

Guarantees: what was loaded from files has its line; what comes from a stored release has its file only, since
a release keeps what was said and not how it was laid out; what is built in has no place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from controls.rules.nodes import MappingNode, mappings_of
from controls.rules.release import Release, compile_document, compile_files
from controls.rules.rule import Rule
from controls.rules.sources import SourceFile, Sources
from controls.rules.structure import FileKind

# A kind of thing with its ids: ("rule", "pre.size"), ("step", "orders", "approve").
Key: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Where:
    """A file, and a line that counts from 1; None when only the file is known."""

    file: str
    line: int | None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class RuleSet:
    """A release, and its parts as they stand in the files. `lines`: they were read from text."""

    release: Release
    lines: bool
    nodes: Mapping[Key, tuple[MappingNode, ...]] = field(repr=False)

    def where(self, *key: str, part: tuple[str, ...] = (), number: int = 0) -> Where | None:
        """Where a thing stands, or the `part` of it, as far down as there is one.

        Args:
            key: the thing, such as "rule", "pre.size".
            part: the way to a part of it, such as ("parameters", "limit").
            number: which of several of that name, in the order of the release.
        """
        found = self.nodes.get(key)
        if found is None:
            return None
        node = found[number]
        place = node.place
        for name in part:
            entry = node.entries.get(name)
            if entry is None:
                break
            place = entry.key.place
            if not isinstance(entry.value, MappingNode):
                break
            node = entry.value
        return Where(place.file, place.line if self.lines else None)

    def rules(self) -> dict[str, list[tuple[int, Rule]]]:
        """The rules by id, each with its number among those of the id."""
        found: dict[str, list[tuple[int, Rule]]] = {}
        for rule in self.release.rules:
            same = found.setdefault(rule.id, [])
            same.append((len(same), rule))
        return found


def rule_set(files: Mapping[str, str]) -> RuleSet:
    """The rule set that files make.

    Args:
        files: path under the rules folder -> text.

    Raises:
        RuleFilesInvalid: with everything that is wrong.
    """
    compiled = compile_files(files)
    return RuleSet(compiled.release, True, _nodes(compiled.sources))


def stored_rule_set(document: bytes) -> RuleSet:
    """The rule set of a stored release.

    Raises:
        RuleFilesInvalid: no canonical document, or this program does not take its rules.
    """
    compiled = compile_document(document)
    return RuleSet(compiled.release, False, _nodes(compiled.sources))


def bare_rule_set(release: Release) -> RuleSet:
    """A release without the places of its parts."""
    return RuleSet(release, False, {})


def _nodes(sources: Sources) -> dict[Key, tuple[MappingNode, ...]]:
    found: dict[Key, tuple[MappingNode, ...]] = {}
    for file in sources.files:
        if not file.system:
            for key, node in _parts(file):
                found[key] = (*found.get(key, ()), node)
    return found


def _parts(file: SourceFile) -> Iterator[tuple[Key, MappingNode]]:
    for node in mappings_of(file.node):
        match file.kind:
            case FileKind.RULE:
                yield ("rule", node.text("id")), node
            case FileKind.DUTY:
                yield ("duty", node.text("id")), node
            case FileKind.CHAIN:
                yield ("chain", node.text("resource")), node
                for step in node.items("steps"):
                    if isinstance(step, MappingNode):
                        yield ("step", node.text("resource"), step.text("id")), step
            case FileKind.VOCABULARY:
                yield ("vocabulary",), node
                yield from _entries("fact", node.mapping("facts"))
            case FileKind.ROLES:
                yield ("roles",), node
                yield from _entries("role", node.mapping("roles"))
                for grant in node.items("grants"):
                    if isinstance(grant, MappingNode):
                        yield ("grant", grant.text("role"), grant.text("resource")), grant


def _entries(kind: str, mapping: MappingNode | None) -> Iterator[tuple[Key, MappingNode]]:
    for name, entry in mapping.entries.items() if mapping is not None else ():
        if isinstance(entry.value, MappingNode):
            yield (kind, name), entry.value
