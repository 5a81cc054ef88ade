"""YAML 1.2 text -> nodes with places, without any hidden typing.

Guarantees: for any text, either a node or diagnostics, never another exception. Only the types that every
YAML reader agrees on are known (null, true, false, plain integers); what looks like another number must be
quoted; dates stay text. Size, depth and the growth by aliases are bounded.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Final, Protocol

import yaml
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from controls.model.values import SMALL_INTEGER
from controls.rules.diagnostics import Diagnostics, Place, quoted
from controls.rules.nodes import MAX_DEPTH, Entry, FileText, MappingNode, Node, Scalar, Sequence, height_of
from controls.rules.yaml_errors import DIRECTIVE, IN_QUOTES, KEY_MISSING, Mark, explained

MAX_FILES: Final = 2_000
MAX_FILE_BYTES: Final = 1024 * 1024
MAX_TOTAL_BYTES: Final = 8 * 1024 * 1024  # some 10,000 rules, which take seconds to compile
MAX_CSV_BYTES: Final = 8 * 1024 * 1024  # of one CSV file and of all together: some 400,000 short rows
MAX_NODES: Final = 100_000  # of one file
MAX_ALIASED_NODES: Final = 10_000  # what aliases may add: enough for shared text, not for a bomb

_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]*)\Z")
# What some YAML reader takes for a number: fractions, exponents, other bases, leading zeros, infinities.
_OTHER_NUMBER: Final = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z|[-+]?0[xob][0-9a-fA-F]+\Z|[-+]?\.(inf|nan)\Z",
    re.IGNORECASE,
)
_CONSTANTS: Final[Mapping[str, bool | None]] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
# Control characters, line ends that editors do not show as such, characters that nobody sees (they make
# another word of a word), and characters that reorder what is shown.
REFUSED: Final = re.compile(
    "[^\t\n\x20-\x7e\xa0-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
    "|[\xad\u061c\u180e\u200b-\u200f\u2060-\u206f\U000e0000-\U000e0fff]"
)
_TEXT_TAG: Final = "tag:yaml.org,2002:str"
_AFTER_ANCHOR: Final = ("", *" \t\n,[]{}")


class _Refused(Exception):
    """Stops the reading of one file, with the diagnostic."""

    def __init__(self, place: Place, code: str, message: str) -> None:
        super().__init__(message)
        self.place, self.code, self.message = place, code, message


def is_rule_file(path: str) -> bool:
    """Whether a file under the rules folder is meant to be loaded, and so must be understood."""
    return path.endswith((".yaml", ".yml", ".csv"))


def decode_files(files: Mapping[str, bytes]) -> dict[str, str]:
    """The texts of files read as bytes.

    Raises:
        RuleFilesInvalid: files that are not UTF-8, each with the place of its first bad byte.
    """
    diagnostics = Diagnostics()
    texts: dict[str, str] = {}
    for path, data in files.items():
        try:
            texts[path] = data.decode("utf-8")
        except UnicodeDecodeError as error:
            before = data[: error.start].decode("utf-8")
            place = _place_of(path, before, len(before))
            diagnostics.add(place, "not_utf8", "this byte is not UTF-8: save the file in UTF-8")
    diagnostics.raise_if_any()
    return texts


def sound_text(file: str, text: str, diagnostics: Diagnostics, *, most: int) -> str | None:
    """The text in NFC with plain line ends and no byte order mark, of at most `most` bytes in UTF-8.

    None when it is larger or holds characters that cannot be seen, which is then in `diagnostics`.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
    if len(text) > most or len(text.encode("utf-8", "surrogatepass")) > most:
        diagnostics.add(
            Place(file, 1, 1), "file_too_large", f"the file has more than {most >> 20} MiB: split it"
        )
        return None
    refused = REFUSED.search(text)
    if refused:
        diagnostics.add(
            _place_of(file, text, refused.start()),
            "bad_character",
            f"the character U+{ord(refused.group()):04X} cannot be seen or reorders text: remove it",
        )
        return None
    return text


def read_yaml(file: str, text: str, diagnostics: Diagnostics) -> Node | None:
    """The node of a file's one document; None when it cannot be read, which is then in `diagnostics`."""
    start = Place(file, 1, 1)
    sound = sound_text(file, text, diagnostics, most=MAX_FILE_BYTES)
    if sound is None:
        return None
    try:
        node = _Reader(FileText(file, sound), diagnostics).document()
    except _Refused as refusal:
        diagnostics.add(refusal.place, refusal.code, refusal.message)
        return None
    except yaml.MarkedYAMLError as error:
        diagnostics.add(*explained(file, sound, error))
        return None
    except Exception as error:  # noqa: BLE001 - what the library trips over in hostile text is the text's fault
        diagnostics.add(start, "bad_yaml", f"this is not YAML: {type(error).__name__}")
        return None
    if node is None:
        diagnostics.add(start, "empty_file", "the file says nothing: fill it or remove it")
    return node


class _Event(Protocol):
    """What libyaml tells of a node. Which kind it is says its class; aliases have neither tag nor value."""

    start_mark: Mark
    anchor: str | None
    tag: str | None
    value: str
    style: str  # "" plain, ' or " quoted, | literal, > folded


class _Reader:
    """Builds nodes from the parser's events; its own stack, so that depth is bounded before recursion."""

    def __init__(self, source: FileText, diagnostics: Diagnostics) -> None:
        self._source = source
        self._diagnostics = diagnostics
        self._events: Iterator[_Event] = yaml.parse(source.text, Loader=yaml.CSafeLoader)
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._aliased = 0
        self._nodes = 0

    def document(self) -> Node | None:
        root: Node | None = None
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                place = Place(self._source.file, event.end_mark.line + 1, 1)  # of the `---`
                if root is not None:
                    raise _Refused(place, "several_documents", "a file holds one document: remove the `---`")
                if event.version or event.tags:
                    raise _Refused(place, *DIRECTIVE)
            elif not isinstance(event, StreamStartEvent | DocumentEndEvent | StreamEndEvent):
                root = self._node(event, MAX_DEPTH)
        if isinstance(root, Scalar) and root.value is None:
            return None
        return root

    def _node(self, event: _Event, depth: int) -> Node:
        kind = event.__class__
        if kind is AliasEvent:
            return self._alias(event, depth)
        if depth == 0:
            raise self._refused(event, "too_deep", f"nested deeper than {MAX_DEPTH} levels")
        first = self._nodes
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self._refused(event, "file_too_large", f"a file has at most {MAX_NODES} values: split it")
        self._check_tag(event)
        node: Node
        if kind is ScalarEvent:
            node = self._scalar(event)
        elif kind is SequenceStartEvent:
            node = self._sequence(event.start_mark, depth)
        else:
            assert kind is MappingStartEvent
            node = self._mapping(event.start_mark, depth)
        if event.anchor is not None:
            self._check_anchor(event, event.anchor)
            self._anchors[event.anchor] = (node, self._nodes - first)
        return node

    def _sequence(self, mark: Mark, depth: int) -> Sequence:
        items: list[Node] = []
        while (event := next(self._events)).__class__ is not SequenceEndEvent:
            items.append(self._node(event, depth - 1))
        return Sequence(self._source, mark.line + 1, mark.column + 1, tuple(items))

    def _mapping(self, mark: Mark, depth: int) -> MappingNode:
        source = self._source
        entries: dict[str, Entry] = {}
        while (event := next(self._events)).__class__ is not MappingEndEvent:
            key = event.start_mark
            line, column = key.line + 1, key.column + 1
            name = self._key(event)
            value = self._node(next(self._events), depth - 1)
            if value.__class__ is Scalar and value.value is None:
                value = Scalar(source, line, column, None)  # an absent value has no place of its own
            if name in entries:
                message = f"{quoted(name)} is already on line {entries[name].line}: keep one"
                self._diagnostics.add(Place(source.file, line, column), "duplicate_key", message)
                continue
            entries[name] = Entry(source, line, column, name, value)
        return MappingNode(source, mark.line + 1, mark.column + 1, entries)

    def _key(self, event: _Event) -> str:
        if event.__class__ is not ScalarEvent or event.anchor is not None:
            message = "a key is one plain word, without anchor, alias or brackets"
            raise self._refused(event, "bad_key", message)
        self._check_tag(event)
        if not event.value:
            raise self._refused(event, *KEY_MISSING)
        if max(event.value) > "\uffff":  # canonical JSON sorts keys by UTF-16, and this keeps that simple
            raise self._refused(event, "bad_key", "a key is made of ordinary letters")
        return self._checked(event)

    def _scalar(self, event: _Event) -> Scalar:
        text = self._checked(event)
        mark = event.start_mark
        value: bool | int | str | None = text
        if not event.style and event.tag is None:
            if text in _CONSTANTS:
                value = _CONSTANTS[text]
            elif text[0] in "-+.0123456789":
                if _INTEGER.match(text) and len(text) <= 17 and abs(int(text)) <= SMALL_INTEGER:
                    value = int(text)
                elif _INTEGER.match(text) or _OTHER_NUMBER.match(text):
                    self._diagnostics.add(
                        self._place(mark),
                        "unquoted_number",
                        "only plain integers up to 2^53 go without quotes: where text is meant, quote it "
                        f'("{text[:40]}")',
                    )
        return Scalar(self._source, mark.line + 1, mark.column + 1, value)

    def _checked(self, event: _Event) -> str:
        """Escapes in quoted text can bring back what the file's own text may not hold."""
        text = event.value
        refused = REFUSED.search(text)
        if refused:
            message = f"U+{ord(refused.group()):04X} may not be in a rule file"
            raise self._refused(event, "bad_character", message)
        return text if text.isascii() else unicodedata.normalize("NFC", text)

    def _alias(self, event: _Event, depth: int) -> Node:
        anchor = str(event.anchor)
        if anchor not in self._anchors:
            message = f"no anchor &{anchor} is complete before this alias"
            raise self._refused(event, "unknown_alias", message)
        node, size = self._anchors[anchor]
        self._aliased += size
        self._nodes += size
        if self._aliased > MAX_ALIASED_NODES:
            message = f"aliases add more than {MAX_ALIASED_NODES} nodes"
            raise self._refused(event, "too_many_aliases", message)
        if height_of(node) > depth:
            raise self._refused(event, "too_deep", f"nested deeper than {MAX_DEPTH} levels")
        return node

    def _check_anchor(self, event: _Event, anchor: str) -> None:
        """To libyaml `&a:b` is `:b` with the anchor `a`, to YAML 1.2 nothing with the anchor `a:b`."""
        text = self._source.text
        end = text.index(f"&{anchor}", event.start_mark.index) + 1 + len(anchor)
        if text[end : end + 1] not in _AFTER_ANCHOR:
            raise self._refused(event, "bad_yaml", f"write a blank after &{anchor}")

    def _check_tag(self, event: _Event) -> None:
        """Only scalars may have a tag, and only the one that says that they are text.

        A lone `!` says so too, and would be lost from a condition that begins with "not".
        """
        tag = event.tag
        if tag is None or (event.__class__ is ScalarEvent and tag == _TEXT_TAG):
            return
        if tag.startswith("!"):
            raise self._refused(event, "bad_tag", f"text that begins with ! {IN_QUOTES}")
        raise self._refused(event, "bad_tag", f"rule files have no tags: remove {quoted(tag)}")

    def _refused(self, event: _Event, code: str, message: str) -> _Refused:
        return _Refused(self._place(event.start_mark), code, message)

    def _place(self, mark: Mark) -> Place:
        return Place(self._source.file, mark.line + 1, mark.column + 1)


def _place_of(file: str, text: str, index: int) -> Place:
    before = text[:index]
    return Place(file, before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1)


def check_size(files: Mapping[str, str], diagnostics: Diagnostics) -> None:
    """Refuse a set that is too large to be loaded in reasonable time."""
    if len(files) > MAX_FILES:
        diagnostics.add(Place("rules", 1, 1), "too_many_files", f"a release has at most {MAX_FILES} files")
    csv = sum(len(text) for path, text in files.items() if path.endswith(".csv"))
    if csv > MAX_CSV_BYTES or sum(map(len, files.values())) - csv > MAX_TOTAL_BYTES:
        diagnostics.add(
            Place("rules", 1, 1), "release_too_large", "a release has at most 8 MiB of YAML and 8 MiB of CSV"
        )
