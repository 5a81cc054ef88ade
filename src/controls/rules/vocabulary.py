"""The facts that rules may use, and the reading of a request's properties as such facts.

Guarantees: what is not declared is never a fact, and a name that is almost declared is noticed; what is
malformed is named and never a value; a property that is null is absent. Reading costs one table look-up and
one precompiled function per property.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from controls.model.finding import Text
from controls.model.record import record
from controls.model.values import Json, Value, canonical
from controls.rules.common_shapes import DEFAULT_LIST, FACT, MAX_LIST, MAX_STRING
from controls.rules.diagnostics import Diagnostics, quoted
from controls.rules.nodes import MappingNode, Scalar
from controls.rules.readers import MalformedValue, Reader, reader_of
from controls.rules.shapes import is_sound
from controls.rules.spelling import Spellings
from controls.rules.structure import FACT_DECLARATION
from controls.rules.types import STRING, Kind, ValueType, list_of, type_from_text

DEFAULT_SUBJECT_TYPES: Final = frozenset({"account", "user"})

# What the service itself knows of every request; nobody can declare or state these.
SERVICE_FACTS: Final[Mapping[str, ValueType]] = {
    "subject.type": STRING,
    "subject.id": STRING,
    "action.name": STRING,
    "resource.type": STRING,
    "resource.id": STRING,
    "person.id": STRING,
    "person.roles": list_of(STRING),
}

SERVICE_READERS: Final[Mapping[str, Reader]] = {
    name: reader_of(type_, max_length=MAX_STRING, max_items=MAX_LIST) for name, type_ in SERVICE_FACTS.items()
}

# How much is kept of what requests stated: how many lists of names, how many texts of each fact, and how long
# ones.
KEPT_NAMES: Final = 512
KEPT_TEXTS: Final = 256
MAX_KEPT: Final = 64

# First words with a meaning of their own in conditions or in the service.
RESERVED_WORDS: Final = frozenset(
    {"aggregate", "chain", "change", "list", "now", "param", "person", "resource", "review", "table"}
)
_KEYWORDS: Final = frozenset({"true", "false", "null", "in", "has"})


@dataclass(frozen=True, slots=True)
class FactDeclaration:
    """One fact: its type, its bounds and what people call it. `stated` says that `from` is written out."""

    name: str
    type: ValueType
    label: Text
    unit: str = ""
    source: str = "caller"
    stated: bool = False
    public: bool = False
    values: tuple[str, ...] = ()
    format: str = ""
    max_length: int = MAX_STRING
    max_items: int = DEFAULT_LIST
    fix: str = ""
    iso: str = ""


# A fact's name and reader; short texts and truth values with what was read of them and its canonical form.
Column: TypeAlias = "tuple[str, Reader, dict[str | bool, tuple[Value, Json]]]"


class Columns:
    """What requests state, by the names they give: most state the facts, and many of the values, that others
    stated before them. Of each fact KEPT_TEXTS are kept, then all of its are forgotten."""

    __slots__ = ("_by_names", "_columns")

    def __init__(self, readers: Mapping[str, Reader]) -> None:
        self._columns: dict[str, Column] = {name: (name, reader, {}) for name, reader in readers.items()}
        self._by_names: dict[tuple[str, ...], tuple[Column, ...]] = {}

    def of(self, properties: Mapping[str, Json]) -> tuple[Column, ...] | None:
        """The column of each of the properties, in their order; None where one is not declared."""
        names = tuple(properties)
        found = self._by_names.get(names)
        if found is None:
            if not self._columns.keys() >= set(names):
                return None
            found = tuple([self._columns[name] for name in names])
            if len(self._by_names) >= KEPT_NAMES:
                self._by_names.clear()
            self._by_names[names] = found
        return found


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """All declared facts by name, with the reader of each."""

    facts: Mapping[str, FactDeclaration]
    subject_types: frozenset[str] = DEFAULT_SUBJECT_TYPES
    readers: Mapping[str, Reader] = field(init=False, repr=False, compare=False)
    columns: Columns = field(init=False, repr=False, compare=False)
    spellings: Spellings = field(init=False, repr=False, compare=False)
    public: frozenset[str] = field(init=False, repr=False, compare=False)  # facts that records may show

    def __post_init__(self) -> None:
        readers = {
            name: reader_of(
                fact.type,
                values=fact.values,
                format=fact.format,
                max_length=fact.max_length,
                max_items=fact.max_items,
            )
            for name, fact in self.facts.items()
        }
        object.__setattr__(self, "readers", readers)
        object.__setattr__(self, "columns", Columns(readers))
        object.__setattr__(self, "spellings", Spellings(self.facts))
        # Lists may be large: records show them as commitments only.
        public = frozenset(
            name for name, fact in self.facts.items() if fact.public and fact.type.kind is not Kind.LIST
        )
        object.__setattr__(self, "public", public)

    @property
    def types(self) -> Mapping[str, ValueType]:
        """The types of all facts, the service's own included: what conditions are checked against."""
        return {**SERVICE_FACTS, **{name: fact.type for name, fact in self.facts.items()}}


@record
class FactProblem:
    """A property that is not of its declared type, and what to send instead."""

    name: str
    message: Text


@record
class FactReading:
    """What a request's properties say: typed values, their canonical forms, problems, and names that nobody
    declared.

    `misspelt` are declared facts that the request does not state, but for one under almost that name.
    """

    values: Mapping[str, Value]
    forms: Mapping[str, Json] = field(compare=False, repr=False)
    malformed: tuple[FactProblem, ...] = ()
    undeclared: tuple[str, ...] = ()
    misspelt: tuple[str, ...] = ()


def read_facts(vocabulary: Vocabulary, properties: Mapping[str, Json]) -> FactReading:
    """The typed values of `properties`, whose names are the vocabulary's; never raises."""
    columns = vocabulary.columns.of(properties)
    if columns is not None:
        return _read_columns(properties, columns)
    declared = {name: raw for name, raw in properties.items() if name in vocabulary.readers}
    undeclared = tuple(name for name in properties if name not in declared)
    reading = read_facts(vocabulary, declared)
    spellings = vocabulary.spellings
    almost = frozenset().union(*map(spellings.almost, undeclared))
    almost |= {
        fact
        for name in undeclared
        if properties[name] is not None and not isinstance(properties[name], dict)
        for fact in spellings.grouped(name)
    }
    misspelt = tuple(sorted(almost - reading.values.keys()))
    return FactReading(reading.values, reading.forms, reading.malformed, undeclared, misspelt)


def _read_columns(properties: Mapping[str, Json], columns: tuple[Column, ...]) -> FactReading:
    values: dict[str, Value] = {}
    forms: dict[str, Json] = {}
    malformed: list[FactProblem] = []
    for (name, reader, known), raw in zip(columns, properties.values(), strict=True):
        try:
            if raw.__class__ is str or raw is True or raw is False:
                read = known.get(raw)
                if read is None:
                    value = reader(raw)
                    read = value, canonical(value)
                    if raw is True or raw is False or len(raw) <= MAX_KEPT:
                        if len(known) >= KEPT_TEXTS:
                            known.clear()
                        known[raw] = read
                values[name], forms[name] = read
            elif raw is not None:
                value = values[name] = reader(raw)
                forms[name] = canonical(value)
        except MalformedValue as problem:
            malformed.append(FactProblem(name, problem.message))
    return FactReading(values, forms, tuple(malformed))


@dataclass(frozen=True, slots=True)
class VocabularySource:
    """A vocabulary as loaded, with the names whose declarations are broken (not to be reported again).

    `complete` is false when the file could not be read: then nobody knows which names there are.
    """

    vocabulary: Vocabulary
    broken: frozenset[str] = frozenset()
    complete: bool = True


def vocabulary_of(file: MappingNode, *, clean: bool, diagnostics: Diagnostics) -> VocabularySource:
    """The vocabulary of a file whose structure has been checked.

    Args:
        file: the file's node.
        clean: nothing was found wrong with its structure.
        diagnostics: takes what else is wrong.
    """
    declared = file.mapping("facts")
    facts: dict[str, FactDeclaration] = {}
    broken: set[str] = set()
    for name, entry in sorted(declared.entries.items()) if declared is not None else ():
        before = diagnostics.count
        sound = clean or (is_sound(FACT, entry.key) and is_sound(FACT_DECLARATION, entry.value))
        if sound and isinstance(entry.value, MappingNode):
            _check_name(name, entry.key, diagnostics)
            fact = _fact(name, entry.value, diagnostics)
            if fact is not None and diagnostics.count == before:
                facts[name] = fact
                continue
        broken.add(name)
    for name in sorted(facts):
        parts = name.split(".")
        for length in range(2, len(parts)):
            shorter = ".".join(parts[:length])
            if shorter in facts and declared is not None:
                diagnostics.add(
                    declared.entries[name].key.place,
                    "conflicting_name",
                    f"{quoted(shorter)} is a fact, so nothing can be inside it: rename one",
                )
    types = frozenset(file.texts("subject_types")) or DEFAULT_SUBJECT_TYPES
    return VocabularySource(Vocabulary(facts, types), frozenset(broken))


def _check_name(name: str, key: Scalar, diagnostics: Diagnostics) -> None:
    first, *_ = parts = name.split(".")
    if name in SERVICE_FACTS:
        diagnostics.add(key.place, "reserved_name", f"the service itself states {quoted(name)}: remove it")
    elif first in RESERVED_WORDS:
        diagnostics.add(
            key.place,
            "reserved_name",
            f"{quoted(first)} has a meaning of its own: begin with a resource type, subject, action or "
            "context",
        )
    elif not _KEYWORDS.isdisjoint(parts):
        diagnostics.add(key.place, "reserved_name", "true, false, null, in and has are words of conditions")


def _fact(name: str, node: MappingNode, diagnostics: Diagnostics) -> FactDeclaration | None:
    type_ = type_of(node, diagnostics)
    label = node.bilingual("label")
    if type_ is None or label is None:
        return None
    innermost = type_.element if type_.element is not None else type_
    for key, fits, needed in (
        ("values", innermost.kind is Kind.STRING, "strings"),
        ("format", innermost.kind is Kind.STRING, "strings"),
        ("max_length", innermost.kind in (Kind.STRING, Kind.RECORD), "strings"),
        ("max_items", type_.kind is Kind.LIST, "lists"),
    ):
        if key in node and not fits:
            diagnostics.add(
                node.entries[key].key.place,
                "misplaced_key",
                f"{quoted(key)} is for {needed}, not for {type_}",
            )
    for key in ("values", "max_length"):
        if "format" in node and key in node:
            diagnostics.add(
                node.entries[key].key.place,
                "misplaced_key",
                f"`format` says all about the text: remove {key}",
            )
    values = node.texts("values")
    max_length = node.integer("max_length", MAX_STRING)
    for value in node.scalars("values"):
        if len(str(value.value)) > max_length:
            diagnostics.add(value.place, "too_long", f"`max_length` allows {max_length} characters")
    return FactDeclaration(
        name=name,
        type=type_,
        label=label,
        unit=node.text("unit"),
        stated="from" in node,
        public=node.flag("public", default=False),
        values=values,
        format=node.text("format"),
        max_length=max_length,
        max_items=node.integer("max_items", DEFAULT_LIST),
        fix=node.text("fix"),
        iso=node.text("iso"),
    )


def type_of(node: MappingNode, diagnostics: Diagnostics) -> ValueType | None:
    """The type that `type` and `of` name together; None when they do not fit, which is then noted."""
    name = node.text("type")
    of = node.get("of")
    if name != Kind.LIST:
        if of is not None:
            diagnostics.add(
                node.entries["of"].key.place, "misplaced_key", "`of` is for `type: list`: remove it"
            )
            return None
        return type_from_text(name)
    if isinstance(of, MappingNode):
        if not of.entries:
            diagnostics.add(of.place, "wrong_length", "name at least one field with its type")
            return None
        fields = {field: type_from_text(of.text(field)) for field in sorted(of.entries)}
        return type_from_text("list<record>", fields)
    if isinstance(of, Scalar):
        return list_of(type_from_text(str(of.value)))
    diagnostics.add(
        node.place, "missing_key", "a list needs 'of': the type of its items, or fields with their types"
    )
    return None
