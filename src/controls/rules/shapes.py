"""The building blocks of file structure: each checks a node and describes itself as JSON Schema.

Guarantees: loader and editor schema cannot drift apart, since both come from the same value. A shape that
accepts a node makes the accessors of `nodes` safe to use on it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from controls.model.values import Json
from controls.rules.diagnostics import Diagnostics, closest, listed, quoted
from controls.rules.nodes import MappingNode, Node, Scalar, Sequence


class Shape(Protocol):
    """What a node must look like."""

    def check(self, node: Node, diagnostics: Diagnostics) -> None:
        """Note everything in `node` that does not fit."""
        ...

    def schema(self) -> dict[str, Json]:
        """The same as JSON Schema 2020-12."""
        ...


def is_sound(shape: Shape, node: Node) -> bool:
    """Whether a node fits, without a word about it."""
    scratch = Diagnostics()
    shape.check(node, scratch)
    return scratch.count == 0


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a mapping, with the words that an editor shows on hover."""

    name: str
    shape: Shape
    description: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class TextShape:
    """Text; with a pattern, all of it must match. `number_too`: a plain integer is as good."""

    what: str = "text"
    pattern: str = ""
    max_length: int = 2_000
    number_too: bool = False
    empty_too: bool = False

    def check(self, node: Node, diagnostics: Diagnostics) -> None:
        value = node.value if isinstance(node, Scalar) else node
        if self.number_too and isinstance(value, int) and not isinstance(value, bool):
            return
        if not isinstance(value, str):
            diagnostics.add(
                node.place, "wrong_type", f"write {self.what} here, not {_kind(node)}{_quote(node)}"
            )
        elif not value.strip() and not self.empty_too:
            diagnostics.add(node.place, "empty_text", f"write {self.what} here")
        elif len(value) > self.max_length:
            diagnostics.add(node.place, "too_long", f"at most {self.max_length} characters")
        elif self.pattern and not re.fullmatch(self.pattern, value):
            diagnostics.add(node.place, "bad_text", f"{quoted(value)} is not {self.what}")

    def schema(self) -> dict[str, Json]:
        schema: dict[str, Json] = {"type": ["string", "integer"] if self.number_too else "string"}
        schema["maxLength"] = self.max_length
        if not self.empty_too:
            schema["minLength"] = 1
        if self.pattern:
            schema["pattern"] = f"^(?:{self.pattern})$"
        elif not self.empty_too:
            schema["pattern"] = r"\S"  # not only blanks
        return schema


@dataclass(frozen=True, slots=True)
class IntegerShape:
    minimum: int
    maximum: int

    def check(self, node: Node, diagnostics: Diagnostics) -> None:
        value = node.value if isinstance(node, Scalar) else None
        if not isinstance(value, int) or isinstance(value, bool):
            diagnostics.add(node.place, "wrong_type", f"write a whole number here, not {_kind(node)}")
        elif not self.minimum <= value <= self.maximum:
            diagnostics.add(
                node.place, "out_of_range", f"{value} is not between {self.minimum} and {self.maximum}"
            )

    def schema(self) -> dict[str, Json]:
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}


@dataclass(frozen=True, slots=True)
class BooleanShape:
    def check(self, node: Node, diagnostics: Diagnostics) -> None:
        if not (isinstance(node, Scalar) and isinstance(node.value, bool)):
            diagnostics.add(node.place, "wrong_type", f"write true or false here, not {_kind(node)}")

    def schema(self) -> dict[str, Json]:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class ChoiceShape:
    """One of a few words. `code` names the diagnostic of another word."""

    words: tuple[str, ...]
    code: str = "unknown_value"

    def check(self, node: Node, diagnostics: Diagnostics) -> None:
        value = node.value if isinstance(node, Scalar) else None
        if not isinstance(value, str):
            diagnostics.add(node.place, "wrong_type", f"write one of {listed(self.words)}, not {_kind(node)}")
        elif value not in self.words:
            diagnostics.add(
                node.place,
                self.code,
                f"{quoted(value)} is not one of {listed(self.words)}{closest(value, self.words)}",
            )

    def schema(self) -> dict[str, Json]:
        return {"type": "string", "enum": list(self.words)}


@dataclass(frozen=True, slots=True)
class ListShape:
    """A list; `one_too` also takes one item without the list around it."""

    item: Shape
    minimum: int = 1
    maximum: int = 1_000
    unique: bool = False
    one_too: bool = False

    def check(self, node: Node, diagnostics: Diagnostics) -> None:
        if not isinstance(node, Sequence):
            if self.one_too and not (isinstance(node, Scalar) and node.value is None):
                self.item.check(node, diagnostics)
            else:
                diagnostics.add(node.place, "wrong_type", f"write a list here, not {_kind(node)}")
            return
        if not self.minimum <= len(node.items) <= self.maximum:
            diagnostics.add(
                node.place,
                "wrong_length",
                f"the list has {len(node.items)} items: {self.minimum} to {self.maximum} are allowed",
            )
        seen: set[object] = set()
        for item in node.items:
            before = diagnostics.count
            self.item.check(item, diagnostics)
            if not self.unique or diagnostics.count > before or not isinstance(item, Scalar):
                continue
            if item.value in seen:
                diagnostics.add(item.place, "duplicate_item", f"{quoted(str(item.value))} is listed twice")
            seen.add(item.value)

    def schema(self) -> dict[str, Json]:
        items = self.item.schema()
        schema: dict[str, Json] = {"type": "array", "items": items, "minItems": self.minimum}
        schema["maxItems"] = self.maximum
        if self.unique:
            schema["uniqueItems"] = True
        return {"anyOf": [items, schema]} if self.one_too else schema


@dataclass(frozen=True, slots=True)
class MappingShape:
    """A mapping with known keys."""

    what: str
    keys: tuple[Key, ...]
    empty_code: str = ""  # the diagnostic of a required key that is missing or empty, when it has its own
    alternatives: tuple[tuple[str, ...], ...] = ()  # groups of keys: all of one group, and none of another

    def check(self, node: Node, diagnostics: Diagnostics) -> None:
        if not isinstance(node, MappingNode):
            names = listed(key.name for key in self.keys)
            diagnostics.add(
                node.place, "wrong_type", f"write {self.what} here (keys: {names}), not {_kind(node)}"
            )
            return
        known = {key.name: key for key in self.keys}
        for name, entry in node.entries.items():
            key = known.get(name)
            if key is None:
                missing = [other for other in known if other not in node.entries]
                message = f"{quoted(name)} is not a key of {self.what}{closest(name, missing)}"
                if "did you mean" not in message:
                    message += f": it has {listed(known)}"
                diagnostics.add(entry.key.place, "unknown_key", message)
            elif isinstance(entry.value, Scalar) and entry.value.value is None:
                code = self.empty_code or "empty_value"
                diagnostics.add(
                    entry.key.place, code, f"{quoted(name)} has no value: write it or remove the key"
                )
            else:
                before = diagnostics.count
                if self.empty_code and isinstance(entry.value, Scalar) and entry.value.value == "":
                    diagnostics.add(entry.value.place, self.empty_code, f"{quoted(name)} is empty: write it")
                if diagnostics.count == before:
                    key.shape.check(entry.value, diagnostics)
        for key in self.keys:
            if key.required and key.name not in node.entries:
                diagnostics.add(
                    node.place,
                    self.empty_code or "missing_key",
                    f"{self.what} needs {quoted(key.name)}: {key.description}",
                )
        self._check_alternatives(node, diagnostics)

    def _check_alternatives(self, node: MappingNode, diagnostics: Diagnostics) -> None:
        begun = [group for group in self.alternatives if not node.entries.keys().isdisjoint(group)]
        choice = ", or ".join(" with ".join(map(quoted, group)) for group in self.alternatives)
        if len(begun) > 1:
            place = next(entry.key.place for name, entry in node.entries.items() if name in begun[-1])
            diagnostics.add(place, "misplaced_key", f"{self.what} has {choice}: not both")
        elif self.alternatives and not begun:
            diagnostics.add(node.place, "missing_key", f"{self.what} needs {choice}")
        for name in begun[0] if len(begun) == 1 else ():
            if name not in node.entries:
                diagnostics.add(node.place, "missing_key", f"{self.what} needs {quoted(name)} as well")

    def schema(self) -> dict[str, Json]:
        properties: dict[str, Json] = {
            key.name: {**key.shape.schema(), "description": key.description} for key in self.keys
        }
        schema: dict[str, Json] = {"type": "object", "properties": properties, "additionalProperties": False}
        required: list[Json] = [key.name for key in self.keys if key.required]
        if required:
            schema["required"] = required
        if self.alternatives:
            schema["oneOf"] = [self._only(group) for group in self.alternatives]
        return schema

    def _only(self, group: tuple[str, ...]) -> dict[str, Json]:
        others = [name for other in self.alternatives if other is not group for name in other]
        return {"required": list(group), "not": {"anyOf": [{"required": [name]} for name in others]}}


@dataclass(frozen=True, slots=True)
class TableShape:
    """A mapping whose keys the author chooses; `known` ones have a shape of their own."""

    what: str
    key: TextShape
    value: Shape
    maximum: int = 2_000
    known: tuple[Key, ...] = ()

    def check(self, node: Node, diagnostics: Diagnostics) -> None:
        if not isinstance(node, MappingNode):
            diagnostics.add(node.place, "wrong_type", f"write {self.what} here, not {_kind(node)}")
            return
        if len(node.entries) > self.maximum:
            diagnostics.add(node.place, "wrong_length", f"at most {self.maximum} keys are allowed here")
        known = {key.name: key.shape for key in self.known}
        for name, entry in node.entries.items():
            self.key.check(entry.key, diagnostics)
            if isinstance(entry.value, Scalar) and entry.value.value is None:
                diagnostics.add(entry.key.place, "empty_value", "write a value after the colon")
            else:
                known.get(name, self.value).check(entry.value, diagnostics)

    def schema(self) -> dict[str, Json]:
        schema: dict[str, Json] = {
            "type": "object",
            "propertyNames": self.key.schema(),
            "additionalProperties": self.value.schema(),
            "maxProperties": self.maximum,
        }
        if self.known:
            schema["properties"] = {
                key.name: {**key.shape.schema(), "description": key.description} for key in self.known
            }
        return schema


@dataclass(frozen=True, slots=True)
class OrNameShape:
    """A number of its own, or the name of something that has one."""

    own: IntegerShape
    name: TextShape

    def check(self, node: Node, diagnostics: Diagnostics) -> None:
        named = isinstance(node, Scalar) and isinstance(node.value, str)
        (self.name if named else self.own).check(node, diagnostics)

    def schema(self) -> dict[str, Json]:
        return {"anyOf": [self.own.schema(), self.name.schema()]}


@dataclass(frozen=True, slots=True)
class EitherShape:
    """One shape for the short form, another one for the long form, which is a mapping or a list."""

    short: Shape
    long: MappingShape | TableShape | ListShape

    def check(self, node: Node, diagnostics: Diagnostics) -> None:
        long = (
            isinstance(node, Sequence) if isinstance(self.long, ListShape) else isinstance(node, MappingNode)
        )
        (self.long if long else self.short).check(node, diagnostics)

    def schema(self) -> dict[str, Json]:
        return {"anyOf": [self.short.schema(), self.long.schema()]}


@dataclass(frozen=True, slots=True)
class CellShape:
    """One cell of a table: text, a whole number, true or false."""

    max_length: int

    def check(self, node: Node, diagnostics: Diagnostics) -> None:
        if not isinstance(node, Scalar) or node.value is None:
            diagnostics.add(node.place, "wrong_type", f"write a cell's text here, not {_kind(node)}")
        elif isinstance(node.value, str) and len(node.value) > self.max_length:
            diagnostics.add(node.place, "too_long", f"at most {self.max_length} characters")

    def schema(self) -> dict[str, Json]:
        return {"type": ["string", "integer", "boolean"], "maxLength": self.max_length}


@dataclass(frozen=True, slots=True)
class ValueShape:
    """Any value: its type is checked elsewhere, against a declaration."""

    def check(self, node: Node, diagnostics: Diagnostics) -> None:
        if isinstance(node, Scalar) and node.value is None:
            diagnostics.add(node.place, "empty_value", "write a value here")

    def schema(self) -> dict[str, Json]:
        return {"type": ["string", "integer", "boolean", "array", "object"]}


@dataclass(frozen=True, slots=True)
class KindShape:
    """A mapping whose other keys depend on what `kind` says."""

    what: str
    kinds: Mapping[str, MappingShape] = field(hash=False)

    def check(self, node: Node, diagnostics: Diagnostics) -> None:
        if not isinstance(node, MappingNode):
            diagnostics.add(node.place, "wrong_type", f"write {self.what} here, not {_kind(node)}")
            return
        kind = node.scalar("kind")
        if kind is None or kind.value is None:
            diagnostics.add(
                node.place, "missing_key", f"{self.what} needs 'kind': one of {listed(self.kinds)}"
            )
        elif not isinstance(kind.value, str) or kind.value not in self.kinds:
            word = str(kind.value)
            diagnostics.add(
                kind.place,
                "unknown_kind",
                f"{quoted(word)} is not one of {listed(self.kinds)}{closest(word, self.kinds)}",
            )
        else:
            self.kinds[kind.value].check(node, diagnostics)

    def schema(self) -> dict[str, Json]:
        branches: list[Json] = []
        for name, shape in self.kinds.items():
            condition: dict[str, Json] = {"properties": {"kind": {"const": name}}, "required": ["kind"]}
            branches.append({"if": condition, "then": shape.schema()})
        kinds: list[Json] = list(self.kinds)
        return {
            "type": "object",
            "properties": {"kind": {"type": "string", "enum": kinds}},
            "required": ["kind"],
            "allOf": branches,
        }


def _kind(node: Node) -> str:
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, Sequence):
        return "a list"
    if node.value is None:
        return "nothing"
    if isinstance(node.value, bool):
        return "true or false"
    return "a number" if isinstance(node.value, int) else "text"


def _quote(node: Node) -> str:
    return ": quote it" if isinstance(node, Scalar) and node.value is not None else ""
