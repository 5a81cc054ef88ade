"""Condition text -> syntax tree with character offsets.

Guarantees: for any text, either a tree of bounded depth and size or a `ConditionInvalid`; the time is linear
in the length, and nothing recurses over the text (the parser is a table-driven LALR one).

The grammar is that of the Common Expression Language without what conditions do not need: no null, no maps,
no messages, no conversion functions; comparisons do not chain (`a < b < c` is refused).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from typing import Final, NoReturn, TypeAlias

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from controls.model.values import parse_decimal

MAX_SOURCE: Final = 4_000
MAX_DEPTH: Final = 32
MAX_NODES: Final = 400
MAX_LIST: Final = 256


@dataclass(frozen=True, slots=True, order=True)
class ConditionError:
    """One thing wrong with a condition: where (0-based offset into the source), a stable code, what to do."""

    offset: int
    length: int
    code: str
    message: str


class ConditionInvalid(Exception):
    """The text is no condition; `errors` holds everything that is wrong with it, in the text's order."""

    def __init__(self, errors: Iterable[ConditionError]) -> None:
        self.errors = tuple(sorted(set(errors)))
        super().__init__("; ".join(f"{error.offset}: {error.code}: {error.message}" for error in self.errors))


@dataclass(frozen=True, slots=True)
class Node:
    """A piece of the tree: its place in the source, its depth and how many nodes it holds."""

    start: int
    end: int
    depth: int
    count: int


@dataclass(frozen=True, slots=True)
class Literal(Node):
    value: bool | int | Decimal | str


@dataclass(frozen=True, slots=True)
class Path(Node):
    """A dotted name: a fact, a parameter, a variable, or a field of one."""

    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Select(Node):
    """A field of something that is no plain name."""

    base: Node
    field: str


@dataclass(frozen=True, slots=True)
class Index(Node):
    """`base[keys]`: the row of a table."""

    base: Node
    keys: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Call(Node):
    """`name(arguments)`, or `receiver.name(arguments)`."""

    receiver: Node | None
    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Unary(Node):
    operator: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary(Node):
    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Connective(Node):
    """`&&` or `||` over all the parts that stand side by side."""

    operator: str
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Conditional(Node):
    test: Node
    yes: Node
    no: Node


@dataclass(frozen=True, slots=True)
class ListLiteral(Node):
    items: tuple[Node, ...]


Part: TypeAlias = "Token | Node | tuple[Node, ...]"

_GRAMMAR: Final = r"""
?start: ternary
?ternary: either
        | either "?" ternary ":" ternary      -> conditional
?either: both
       | both ("||" both)+                    -> connective
?both: comparison
     | comparison ("&&" comparison)+          -> connective
?comparison: sum
           | sum COMPARE sum                  -> binary
           | sum "in" sum                     -> binary
?sum: product
    | sum ADD product                         -> binary
    | sum "-" product                         -> binary
?product: unary
        | product MULTIPLY unary              -> binary
?unary: postfix
      | "!" unary                             -> unary
      | "-" unary                             -> unary
?postfix: primary
        | postfix "." NAME                    -> select
        | postfix "." NAME "(" arguments ")"  -> method
        | postfix "[" arguments "]"           -> index
?primary: NAME                                -> name
        | NAME "(" arguments ")"              -> function
        | "(" ternary ")"                     -> group
        | "[" arguments "]"                   -> list_literal
        | TRUE                                -> truth
        | FALSE                               -> truth
        | NUMBER                              -> number
        | STRING                              -> string
        | RAW_STRING                          -> raw_string
arguments: (ternary ("," ternary)*)?

TRUE: "true"
FALSE: "false"
COMPARE: "==" | "!=" | "<=" | ">=" | "<" | ">"
ADD: "+"
MULTIPLY: "*" | "/" | "%"
NAME: /[A-Za-z_][A-Za-z0-9_]*/
NUMBER: /[0-9]+(\.[0-9]+)?/
STRING: /"(?:[^"\\\n]|\\[^\n])*"/ | /'(?:[^'\\\n]|\\[^\n])*'/
RAW_STRING.2: /r"[^"\n]*"/ | /r'[^'\n]*'/
COMMENT: /\/\/[^\n]*/
SPACE: /[ \t\r\n]+/
%ignore SPACE
%ignore COMMENT
"""


def parse(source: str) -> Node:
    """The tree of `source`.

    Raises:
        ConditionInvalid: with one error, the first that keeps the text from being read.
    """
    if len(source) > MAX_SOURCE:
        refuse(
            0, len(source), "too_large", f"a condition has at most {MAX_SOURCE} characters: split the rule"
        )
    if not source.strip():
        refuse(0, len(source), "syntax_error", "the condition is empty: write what makes the rule fire")
    try:
        tree = _parser().parse(source)
    except UnexpectedInput as problem:
        raise ConditionInvalid([_explained(problem, source)]) from None
    assert isinstance(tree, Node)
    return tree


def refuse(start: int, end: int, code: str, message: str) -> NoReturn:
    """Give the text up with one error."""
    raise ConditionInvalid([ConditionError(start, max(end - start, 0), code, message)])


class _Builder(Transformer[Token, Node]):
    """Makes nodes while the parser reduces, so that limits hold before a deep tree can exist."""

    def conditional(self, parts: list[Part]) -> Node:
        test, yes, no = _nodes(parts)
        return Conditional(*_frame(parts, 1), test, yes, no)

    def connective(self, parts: list[Part]) -> Node:
        return Connective(*_frame(parts, 1), str(parts[1]), _nodes(parts))

    def binary(self, parts: list[Part]) -> Node:
        left, right = _nodes(parts)
        return Binary(*_frame(parts, 1), str(parts[1]), left, right)

    def unary(self, parts: list[Part]) -> Node:
        (operand,) = _nodes(parts)
        return Unary(*_frame(parts, 1), str(parts[0]), operand)

    def select(self, parts: list[Part]) -> Node:
        (base,) = _nodes(parts)
        if isinstance(base, Path):
            return Path(base.start, _end(parts[-1]), 1, 1, (*base.parts, str(parts[-1])))
        return Select(*_frame(parts, 1), base, str(parts[-1]))

    def method(self, parts: list[Part]) -> Node:
        receiver, arguments = parts[0], parts[4]
        assert isinstance(receiver, Node)
        assert isinstance(arguments, tuple)
        return Call(*_frame(parts, 1), receiver, str(parts[2]), arguments)

    def index(self, parts: list[Part]) -> Node:
        base, keys = parts[0], parts[2]
        assert isinstance(base, Node)
        assert isinstance(keys, tuple)
        return Index(*_frame(parts, 1), base, keys)

    def name(self, parts: list[Part]) -> Node:
        return Path(*_frame(parts, 1), (str(parts[0]),))

    def function(self, parts: list[Part]) -> Node:
        arguments = parts[2]
        assert isinstance(arguments, tuple)
        return Call(*_frame(parts, 1), None, str(parts[0]), arguments)

    def group(self, parts: list[Part]) -> Node:
        (inner,) = _nodes(parts)
        # Brackets leave no node, yet a thousand of them are no condition that somebody can read.
        depth = _frame(parts, 1)[2]
        return replace(inner, depth=depth)

    def list_literal(self, parts: list[Part]) -> Node:
        items = _nodes(parts)
        start, end = _start(parts[0]), _end(parts[-1])
        if not items:
            refuse(start, end, "bad_literal", "a list has at least one element")
        if len(items) > MAX_LIST:
            refuse(start, end, "too_large", f"a list has at most {MAX_LIST} elements")
        return ListLiteral(*_frame(parts, 1), items)

    def arguments(self, parts: list[Part]) -> tuple[Node, ...]:
        return _nodes(parts)

    def truth(self, parts: list[Part]) -> Node:
        return Literal(*_frame(parts, 1), str(parts[0]) == "true")

    def number(self, parts: list[Part]) -> Node:
        text = str(parts[0])
        try:
            number = parse_decimal(text)
        except ValueError as problem:
            refuse(_start(parts[0]), _end(parts[0]), "bad_literal", str(problem))
        return Literal(*_frame(parts, 1), number if "." in text else int(number))

    def string(self, parts: list[Part]) -> Node:
        token = parts[0]
        return Literal(*_frame(parts, 1), _text(token, _unescaped(token)))

    def raw_string(self, parts: list[Part]) -> Node:
        token = parts[0]
        return Literal(*_frame(parts, 1), _text(token, str(token)[2:-1]))


@cache
def _parser() -> Lark:
    return Lark(
        _GRAMMAR,
        parser="lalr",
        lexer="contextual",
        transformer=_Builder(),
        keep_all_tokens=True,
        maybe_placeholders=False,
    )


def _nodes(parts: Iterable[Part]) -> tuple[Node, ...]:
    found: list[Node] = []
    for part in parts:
        if isinstance(part, Node):
            found.append(part)
        elif isinstance(part, tuple):
            found.extend(part)
    return tuple(found)


def _start(part: Part) -> int:
    if isinstance(part, Token):
        assert part.start_pos is not None
        return part.start_pos
    assert isinstance(part, Node)
    return part.start


def _end(part: Part) -> int:
    if isinstance(part, Token):
        assert part.end_pos is not None
        return part.end_pos
    assert isinstance(part, Node)
    return part.end


def _frame(parts: Sequence[Part], levels: int) -> tuple[int, int, int, int]:
    """Start, end, depth and count of a node over `parts`; refuses what passes the limits."""
    start, end = _start(parts[0]), _end(parts[-1])
    inner = _nodes(parts)
    depth = levels + max((node.depth for node in inner), default=0)
    count = 1 + sum(node.count for node in inner)
    if depth > MAX_DEPTH:
        refuse(start, end, "too_deep", f"more than {MAX_DEPTH} levels of nesting: split the rule")
    if count > MAX_NODES:
        refuse(start, end, "too_large", f"more than {MAX_NODES} parts: split the rule")
    return start, end, depth, count


_ESCAPE: Final = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'"}


def _unescaped(token: Part) -> str:
    def replaced(found: re.Match[str]) -> str:
        letter = found[1]
        if len(letter) == 5:
            return chr(int(letter[1:], 16))
        if letter not in _ESCAPES:
            place = _start(token) + 1 + found.start()
            message = f'no such escape: \\{letter}; write \\\\ for a backslash, or a raw string: r"..."'
            refuse(place, place + 2, "bad_literal", message)
        return _ESCAPES[letter]

    return _ESCAPE.sub(replaced, str(token)[1:-1])


def _text(token: Part, text: str) -> str:
    """`text` as facts are: in Unicode's composed form, without halves of characters."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        refuse(_start(token), _end(token), "bad_literal", "the text holds half of a character")
    return unicodedata.normalize("NFC", text)


_WORDS: Final = {"and": "&&", "or": "||", "not": "!", "AND": "&&", "OR": "||", "NOT": "!", "is": "=="}
_SIGNS: Final = {
    "=": "==", "&": "&&", "|": "||", "<>": "!=", "=>": ">=", "=<": "<=", "≥": ">=", "≤": "<=", "≠": "!=",
    "“": '"', "”": '"', "„": '"', "‘": "'", "’": "'",
}  # fmt: skip
_PAIRS: Final = ("<>", "=>", "=<")  # the grammar stops within them
_THOUSANDS: Final = re.compile(r"[0-9],[0-9]{3}(?![0-9])")
_WORD_BEFORE: Final = re.compile(r"\b(and|or|not|AND|OR|NOT|is)\s*\Z")


def _explained(problem: UnexpectedInput, source: str) -> ConditionError:
    offset = problem.pos_in_stream
    found = ""
    expected: Iterable[str] = ()
    if isinstance(problem, UnexpectedToken):
        found = str(problem.token)
        expected = problem.accepts or problem.expected
        if problem.token.type == "$END":
            offset, found = len(source), ""
    elif isinstance(problem, UnexpectedCharacters):
        expected = problem.allowed or ()
    offset = len(source) if offset is None or offset < 0 else offset
    if not found:
        found = source[offset : offset + 1]
    for begin in (offset, offset - 1):
        if begin >= 0 and source[begin : begin + 2] in _PAIRS:
            offset, found = begin, source[begin : begin + 2]
            break
    before = _WORD_BEFORE.search(source[:offset])
    if before and found not in _WORDS:
        word = before[1]
        return ConditionError(
            before.start(1), len(word), "syntax_error", f"write {_WORDS[word]} for `{word}`"
        )
    if found in _WORDS or found in _SIGNS:
        message = f"write {_WORDS.get(found) or _SIGNS.get(found)} for `{found}`"
    elif not found:
        message = "the condition ends too early"
    elif found == "," and offset and _THOUSANDS.match(source, offset - 1):
        message = "write numbers without thousands marks, and with a point: 1000.50"
    elif not found.isprintable() or found.isspace():
        message = f"the character U+{ord(found[0]):04X} cannot stand here: write a plain blank"
    elif found in "\"'":
        message = "the text in quotes has no end on its line"
    elif "NAME" in expected:
        message = f"`{found}` cannot stand here: a name or a value is expected"
    else:
        message = f"`{found}` cannot stand here: an operator or the end is expected"
    return ConditionError(offset, max(len(found), 0), "syntax_error", message)
