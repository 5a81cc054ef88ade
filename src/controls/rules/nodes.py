"""What a rule file says, with the place of every word; no meaning yet.

Guarantees: a node is immutable and holds only null, booleans, integers within 2^53, text (NFC, no control
characters), lists and mappings with text keys. The same nodes come from YAML and from a stored release.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Final, TypeAlias

from controls.model.finding import Text
from controls.model.record import record
from controls.model.values import Json
from controls.rules.diagnostics import Place

MAX_DEPTH: Final = 32


@record
class FileText:
    """What nodes were read from: a file's name, and its text where places inside a scalar can be told."""

    file: str
    text: str = field(default="", repr=False)


@record
class _Placed:
    """What stands somewhere. A file has tens of thousands of these: the place itself is made when asked."""

    source: FileText
    line: int
    column: int

    @property
    def place(self) -> Place:
        return Place(self.source.file, self.line, self.column)


@record
class Scalar(_Placed):
    value: bool | int | str | None

    def locate(self, offset: int) -> Place:
        """The place of the character at `offset` of a text value; the scalar's own when it is not known."""
        text = self.source.text
        if not text or not isinstance(self.value, str):
            return self.place
        index = _index_in_source(text, _index_of(text, self.line, self.column), self.value, offset)
        if index is None:
            return self.place
        before = text[:index]
        line_start = before.rfind("\n") + 1
        return Place(self.source.file, before.count("\n") + 1, index - line_start + 1)


@record
class Sequence(_Placed):
    items: tuple[Node, ...]


@record
class Entry(_Placed):
    """A key at its place, with its value."""

    name: str
    value: Node

    @property
    def key(self) -> Scalar:
        return Scalar(self.source, self.line, self.column, self.name)


@record
class MappingNode(_Placed):
    """A mapping whose accessors expect what the structure check has already made sure of."""

    entries: Mapping[str, Entry]

    def __contains__(self, key: str) -> bool:
        return key in self.entries

    def get(self, key: str) -> Node | None:
        entry = self.entries.get(key)
        return None if entry is None else entry.value

    def place_of(self, key: str) -> Place:
        """Where the value of `key` stands; the mapping's own place without it."""
        entry = self.entries.get(key)
        return self.place if entry is None else entry.value.place

    def scalar(self, key: str) -> Scalar | None:
        node = self.get(key)
        return node if isinstance(node, Scalar) else None

    def text(self, key: str, default: str = "") -> str:
        node = self.get(key)
        value = node.value if isinstance(node, Scalar) else None
        return default if value is None or isinstance(value, bool) else str(value)

    def flag(self, key: str, *, default: bool) -> bool:
        node = self.get(key)
        return node.value if isinstance(node, Scalar) and isinstance(node.value, bool) else default

    def integer(self, key: str, default: int) -> int:
        node = self.get(key)
        if isinstance(node, Scalar) and isinstance(node.value, int) and not isinstance(node.value, bool):
            return node.value
        return default

    def mapping(self, key: str) -> MappingNode | None:
        node = self.get(key)
        return node if isinstance(node, MappingNode) else None

    def items(self, key: str) -> tuple[Node, ...]:
        """The items of a list; one lone value counts as a list of one."""
        node = self.get(key)
        if node is None:
            return ()
        return node.items if isinstance(node, Sequence) else (node,)

    def scalars(self, key: str) -> tuple[Scalar, ...]:
        return tuple(item for item in self.items(key) if isinstance(item, Scalar))

    def texts(self, key: str) -> tuple[str, ...]:
        return tuple(str(item.value) for item in self.scalars(key))

    def bilingual(self, key: str) -> Text | None:
        node = self.mapping(key)
        return None if node is None else Text(en=node.text("en"), es=node.text("es"))


Node: TypeAlias = Scalar | Sequence | MappingNode


def mappings_of(node: Node) -> tuple[MappingNode, ...]:
    """A file that holds one mapping, or a list of them, as a list."""
    items = node.items if isinstance(node, Sequence) else (node,)
    return tuple(item for item in items if isinstance(item, MappingNode))


def height_of(node: Node) -> int:
    """How many levels a node has: 1 for a scalar."""
    if isinstance(node, Scalar):
        return 1
    if isinstance(node, Sequence):
        return 1 + max((height_of(item) for item in node.items), default=0)
    return 1 + max((height_of(entry.value) for entry in node.entries.values()), default=0)


def as_json(node: Node) -> Json:
    """The bare value of a node."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Sequence):
        return [as_json(item) for item in node.items]
    return {key: as_json(entry.value) for key, entry in node.entries.items()}


def from_json(value: Json, *, file: str) -> Node:
    """The node of a bare value, at the file's first character.

    Raises:
        ValueError: a value that no rule file can hold.
    """
    return _from_json(value, FileText(file), MAX_DEPTH)


def canonical_json(value: Json) -> bytes:
    """One text for one value (RFC 8785 for what rule files can hold)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _from_json(value: Json, source: FileText, depth: int) -> Node:
    if depth == 0:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    if value is None or isinstance(value, bool | int | str):
        return Scalar(source, 1, 1, value)
    if isinstance(value, list):
        return Sequence(source, 1, 1, tuple(_from_json(item, source, depth - 1) for item in value))
    if isinstance(value, dict):
        entries = {
            key: Entry(source, 1, 1, key, _from_json(item, source, depth - 1)) for key, item in value.items()
        }
        return MappingNode(source, 1, 1, entries)
    raise ValueError(f"a rule file cannot hold {type(value).__name__}")


def _index_of(text: str, line: int, column: int) -> int:
    start = 0
    for _ in range(line - 1):
        start = text.index("\n", start) + 1
    return start + column - 1


def _index_in_source(text: str, begin: int, value: str, offset: int) -> int | None:
    """The index in `text` of one character of the scalar that begins at `begin`.

    Folding and indentation only touch white space, so the other characters of the value and of the file's
    text run in step; quotes and escapes are stepped over.
    """
    start, style = _content(text, begin)
    if start is None:
        return None
    wanted = sum(1 for letter in value[:offset] if not letter.isspace())
    last: int | None = None
    seen = 0
    for index, letter in _letters(text, start, style):
        if letter.isspace():
            continue
        if seen == wanted and not (offset < len(value) and value[offset].isspace()):
            return index
        last = index
        seen += 1
        if seen > wanted:
            break
        if seen == wanted and (offset >= len(value) or value[offset].isspace()):
            break
    return start if last is None else last + 1


def _content(text: str, index: int) -> tuple[int | None, str]:
    """Where a scalar's own characters begin, after its quote or block header; and that sign, or nothing."""
    while index < len(text) and text[index] in "&!":  # an anchor or a tag stands first
        while index < len(text) and not text[index].isspace():
            index += 1
        while index < len(text) and text[index].isspace():
            index += 1
    style = text[index : index + 1]
    if style in ("|", ">"):
        end_of_header = text.find("\n", index)
        return (None if end_of_header < 0 else end_of_header + 1), style
    return (index + 1, style) if style in ("'", '"') else (index, "")


def _letters(text: str, start: int, style: str) -> Iterable[tuple[int, str]]:
    """The scalar's characters with their indexes in the file."""
    index = start
    while index < len(text):
        letter = text[index]
        if style == "'" and letter == "'":
            if text[index + 1 : index + 2] != "'":
                return
            yield index, letter
            index += 2
        elif style == '"' and letter == '"':
            return
        elif style == '"' and letter == "\\":
            escaped = text[index + 1 : index + 2]
            # The character behind the escape does not matter, only whether it counts: \n and \t do not.
            yield index, " " if escaped in ("n", "t", "r", " ", "\n", "\t") else escaped
            index += 2 + {"x": 2, "u": 4, "U": 8}.get(escaped, 0)
        else:
            yield index, letter
            index += 1
