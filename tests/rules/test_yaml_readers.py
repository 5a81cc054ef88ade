"""Two programs read rule files alike: ours on libyaml, and ruamel's in Python, which is for YAML 1.2."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    MappingEndEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from controls.model.errors import Diagnostic
from controls.rules.diagnostics import Diagnostics
from controls.rules.files import read_yaml
from controls.rules.nodes import Node, Scalar, Sequence, as_json
from tests.rules.rule_sets import FIXTURES

LONG = os.environ.get("CONTROLS_FUZZ") == "1"
SHIPPED = sorted((Path(__file__).parents[2] / "rules").rglob("*.yaml"))

# Line, column, and a value, a list of such, or a mapping of keys to their line, column and such.
Placed: TypeAlias = "tuple[int, int, Any]"

CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class Ruamel:
    """What the other program makes of the one document of a text."""

    def __init__(self, text: str) -> None:
        self._events = iter(YAML(typ="safe", pure=True).parse(text))
        self._anchors: dict[str, Placed] = {}

    def document(self) -> Placed:
        (root,) = [self._node(event) for event in self._events if isinstance(event, NodeEvent)]
        return root

    def _node(self, event: Any) -> Placed:
        if isinstance(event, AliasEvent):
            return self._anchors[event.anchor]
        value: Any
        if isinstance(event, ScalarEvent):
            value = self._value(event)
        elif isinstance(event, SequenceStartEvent):
            value = []
            while not isinstance(following := next(self._events), SequenceEndEvent):
                value.append(self._node(following))
        else:
            value = {}
            while not isinstance(key := next(self._events), MappingEndEvent):
                line, column = _place(key)
                inner = self._node(next(self._events))
                value[key.value] = (line, column, (line, column, None) if inner[2] is None else inner)
        found = (*_place(event), value)
        if event.anchor is not None:
            self._anchors[event.anchor] = found
        return found

    def _value(self, event: ScalarEvent) -> str | int | bool | None:
        if event.style is None and event.tag is None:
            if event.value in CONSTANTS:
                return CONSTANTS[event.value]
            if re.fullmatch("-?(0|[1-9][0-9]*)", event.value):
                return int(event.value)
        return str(event.value)


def _place(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


def placed(node: Node) -> Placed:
    """Our nodes in the same form."""
    if isinstance(node, Scalar):
        return node.line, node.column, node.value
    if isinstance(node, Sequence):
        return node.line, node.column, [placed(item) for item in node.items]
    entries = {name: (entry.line, entry.column, placed(entry.value)) for name, entry in node.entries.items()}
    return node.line, node.column, entries


def read(text: str) -> tuple[Node | None, tuple[Diagnostic, ...]]:
    diagnostics = Diagnostics()
    return read_yaml("a.yaml", text, diagnostics), diagnostics.all()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_both_read_the_shipped_files_alike(path: Path) -> None:
    """Every value, and the line and column of every value and key."""
    text = path.read_text(encoding="utf-8")
    node, found = read(text)
    assert node is not None
    assert not found
    assert placed(node) == Ruamel(text).document()


# --- Documents that are YAML ------------------------------------------------------------------------------

_LETTERS = "abcyz éñ,:#-?&*!|>%@`'\"{}[]=<>.()+/\\019_~"
_TEXTS = st.text(_LETTERS, max_size=12)
_PLAIN = re.compile(r"[a-zé(][a-zéñ0-9 _=.()+/<>-]*(?<! )")
_KEYS = st.text("abcxyzéñ_. 019", min_size=1, max_size=8)
_TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=16,
)


class Writer:
    """Writes a tree as YAML, each part in one of the ways there are."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def document(self, tree: Any) -> str:
        start = self._choice("", "---\n", "# a comment\n", "\n", "\r\n")
        return start + self._block(tree, 0) + self._choice("", "\n", "\n# a comment", "\n...\n")

    def _choice(self, *ways: str) -> str:
        return self._draw(st.sampled_from(ways))

    def _block(self, tree: Any, indent: int) -> str:
        """Whole lines without the last one's end, each indented."""
        margin = " " * indent
        if not isinstance(tree, list | dict) or not tree or self._choice("block", "block", "flow") == "flow":
            return margin + self._flow(tree, indent)
        lines = []
        for key in tree:
            head = "-" if isinstance(tree, list) else self._key(key) + ":"
            value = key if isinstance(tree, list) else tree[key]
            lines.append(margin + head + self._value(value, indent))
            lines += [self._choice("", "# a comment")] * self._draw(st.integers(0, 1))
        return "\n".join(lines)

    def _value(self, value: Any, indent: int) -> str:
        """What stands behind `-` or `key:`."""
        if isinstance(value, list | dict) and value and self._choice("block", "flow") == "block":
            return self._choice("", " # a comment") + "\n" + self._block(value, indent + self._step())
        if value is None and self._choice("absent", "written") == "absent":
            return ""
        if (
            isinstance(value, str)
            and re.fullmatch(r"[a-z(][^ ]*( [^ ]+)*", value)
            and "|" in self._choice("|", "")
        ):
            return (
                f" {self._choice('|', '>')}-{self._choice('', ' # a comment')}\n{' ' * (indent + 2)}{value}"
            )
        return " " + self._flow(value, indent) + self._choice("", " ", " # a comment")

    def _step(self) -> int:
        return self._draw(st.integers(1, 4))

    def _flow(self, tree: Any, indent: int) -> str:
        blank = self._choice("", " ", "\n" + " " * (indent + 1))
        if isinstance(tree, list):
            return "[" + blank + f",{blank}".join(self._flow(item, indent) for item in tree) + blank + "]"
        if isinstance(tree, dict):
            items = (f"{self._key(key)}: {self._flow(item, indent)}" for key, item in tree.items())
            return "{" + blank + f",{blank}".join(items) + blank + "}"
        if isinstance(tree, str):
            return self._text(tree)
        return str(tree).lower() if tree is not None else self._choice("null", "~", "NULL")

    def _key(self, key: str) -> str:
        return self._text(key)

    def _text(self, text: str) -> str:
        single = "'" + text.replace("'", "''") + "'"
        double = '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("é", "\\u00e9") + '"'
        plain = [text] if _PLAIN.fullmatch(text) and text not in CONSTANTS else []
        return self._choice(*plain, single, double)


@st.composite
def documents(draw: st.DrawFn) -> tuple[Any, str]:
    """A tree and a text that says it."""
    tree = draw(
        st.lists(_TREES, min_size=1, max_size=4) | st.dictionaries(_KEYS, _TREES, min_size=1, max_size=4)
    )
    return tree, Writer(draw).document(tree)


@pytest.mark.differential
@settings(max_examples=2_000 if LONG else 60)
@given(written=documents())
def test_both_read_what_was_written(written: tuple[Any, str]) -> None:
    """A tree in any mixture of styles comes back, and both programs agree where everything stands."""
    tree, text = written
    node, found = read(text)
    assert not found
    assert node is not None
    assert as_json(node) == tree
    assert placed(node) == Ruamel(text.replace("\r\n", "\n")).document()


# --- Text of any kind -------------------------------------------------------------------------------------

_PIECES = (
    "\n", "\n  ", "\n    ", " ", "- ", "-", "? ", ": ", ":", "{", "}", "[", "]", ",", ", ", "'", '"', "|",
    "|-", ">", ">-", ">+1", "&a ", "&b ", "*a", "*a ", "*b", "!!str ", "! ", "#", " # c", "%", "---\n", "\\",
    "@", "...\n", "a", "b", "a: ", "b: ", "a: b", "- a", "x y", "1", "true", "~", "é", "''", "\\n",
    "\n\n", "\n- ", "\na: ", "\n  b: ", "=", "/", "a:1", ":a", "<<: *a", "\"a\":", "&& ", "!(",
    "\\u00e9", "1.5", "0x1",
)  # fmt: skip


@pytest.mark.differential
@settings(max_examples=20_000 if LONG else 300)
@given(pieces=st.lists(st.sampled_from(_PIECES), min_size=1, max_size=20))
@example(pieces=["a: ", ">-", "\n  ", "x y", "\n\n", "  ", "b"])
@example(pieces=["- ", "&a ", "{", "a: b", "}", "\n- ", "*a"])
def test_both_read_what_both_take(pieces: list[str]) -> None:
    """What ours takes and the other takes is one thing to both; one value by itself is no rule file."""
    text = "".join(pieces)
    node, found = read(text)
    if node is None or found or isinstance(node, Scalar):
        return
    try:
        other = Ruamel(text).document()
    except (YAMLError, ValueError):
        return
    assert _shape(placed(node)) == _shape(other)


def _shape(found: Placed) -> Any:
    """Without the places of values, which ruamel takes after a tag that stands before an anchor."""
    value = found[2]
    if isinstance(value, list):
        return [_shape(item) for item in value]
    if isinstance(value, dict):
        return {key: (line, column, _shape(inner)) for key, (line, column, inner) in value.items()}
    return value


# --- Where they differ, and what is refused for it --------------------------------------------------------


QUOTE = "stands in quotes, or after `>` on a line of its own"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("- {id: a, when:}", "1:15: bad_yaml: write a blank after this colon, or quotes around the text"),
        ("- [:a]", "1:4: bad_yaml: write a blank after this colon, or quotes around the text"),
        ('"a":b', "1:4: bad_yaml: write a blank after this colon, or quotes around the text"),
        ("- &a:b c", "1:3: bad_yaml: write a blank after &a"),
        ("a: && b", f"1:4: bad_yaml: text that begins with & {QUOTE}"),
        ("a: !<b", f"1:4: bad_yaml: text that begins with ! {QUOTE}"),
        ("a: *", f"1:4: bad_yaml: text that begins with * {QUOTE}"),
        ("a: !has(b)", f"1:4: bad_tag: text that begins with ! {QUOTE}"),
        ("a: ! has(b)", f"1:4: bad_tag: text that begins with ! {QUOTE}"),
        ("a: @b", f"1:4: bad_yaml: text that begins with @ {QUOTE}"),
        ("a: {b: c: d}", "1:9: bad_yaml: a comma or } is missing before this, or quotes around the text"),
        ("a: [b, c\nd: e", "2:2: bad_yaml: a comma or ] is missing before this, or quotes around the text"),
        ("a: {b: c,\n", "2:1: bad_yaml: a value is missing here, or the } or ] that closes what was begun"),
        ('a: "b\nc: d\n', "1:4: bad_yaml: what begins here has no end: close the quotes"),
        ('a: "\\q"', "1:5: bad_yaml: write \\\\ for a backslash, or single quotes around this text"),
        ("%FOO b\n---\na: b", "1:1: directive: remove the `%` line: files are YAML 1.2 without tags"),
        ('a: "\\U00110000"', "1:7: bad_character: this escape names no character: remove it"),
        ("{a: b}\n]", "2:1: bad_yaml: what stands before is complete: indent this, or quote it"),
        ("a: b\nc\nd: e", "2:1: bad_yaml: a colon is missing behind this key, or quotes around this text"),
        ("- a\nb: c", "2:1: bad_yaml: a list goes on with `-` here: indent this like the items above"),
        ("a: 'b' c", "1:8: bad_yaml: a key is expected here: indent it like those above, or quote this text"),
        ("a: b: c", "1:5: bad_yaml: no key may stand before this: indent or quote it"),
        ("a:\n\tb: c", "2:1: bad_yaml: indent with spaces: YAML knows no tabs here"),
        ("- a: |\n\tb", "2:1: bad_yaml: indent with spaces: YAML knows no tabs here"),
    ],
)
def test_what_readers_take_differently_is_refused(text: str, found: str) -> None:
    """Where programs read one text in several ways none of them will do; the words say what will."""
    assert [str(item) for item in read(text)[1]] == [f"a.yaml:{found}"]


def test_text_with_an_anchor_and_a_tag_stands_where_these_begin() -> None:
    """In whichever order they are written."""
    for start in ("!!str &b ", "&b !!str "):
        node, _ = read(f"a: {start}x\nc: *b")
        assert node is not None
        assert as_json(node) == {"a": "x", "c": "x"}
        assert placed(node)[2]["a"][2] == (1, 4, "x")


def test_fixtures_are_read_alike() -> None:
    """The small desk of the tests, too."""
    for path in sorted((FIXTURES / "desk").rglob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        node, _ = read(text)
        assert node is not None
        assert placed(node) == Ruamel(text).document()
