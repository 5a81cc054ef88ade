"""YAML with places: what is read, what is refused, and where a character stands."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.model.errors import RuleFilesInvalid
from controls.rules.diagnostics import MAX_DIAGNOSTICS, Diagnostics, Place
from controls.rules.files import MAX_FILE_BYTES, decode_files, is_rule_file, read_yaml
from controls.rules.nodes import MappingNode, Node, Scalar, as_json, canonical_json, from_json


def read(text: str) -> Node:
    diagnostics = Diagnostics()
    node = read_yaml("a.yaml", text, diagnostics)
    diagnostics.raise_if_any()
    assert node is not None
    return node


def codes_of(text: str) -> list[str]:
    diagnostics = Diagnostics()
    read_yaml("a.yaml", text, diagnostics)
    return [item.code for item in diagnostics.all()]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("on", "on"),
        ("null", None),
        ("~", None),
        ("0", 0),
        ("-17", -17),
        ("9007199254740991", 9007199254740991),
        ("2026-03-02", "2026-03-02"),
        ("12:30:00", "12:30:00"),
        ("1_000", "1_000"),
        ("(c)(1)(i)", "(c)(1)(i)"),
        ('"1.50"', "1.50"),
        ("'1.50'", "1.50"),
        ("!!str 15", "15"),
        ("1000000.00 EUR", "1000000.00 EUR"),
        ('"caf\\u00e9"', "café"),
        ("cafe\u0301", "café"),
    ],
)
def test_scalars_have_only_the_types_that_every_reader_agrees_on(written: str, value: object) -> None:
    """Dates, times and yes are text; only null, booleans and plain integers are something else."""
    assert as_json(read(f"key: {written}")) == {"key": value}


@pytest.mark.parametrize(
    "written",
    [
        "1.5",
        "-.5",
        "5.",
        "1e3",
        "+5",
        "007",
        "0x1F",
        "0o17",
        ".inf",
        "-.INF",
        ".nan",
        "9007199254740992",
        "1" * 60,
    ],
)
def test_other_numbers_must_be_quoted(written: str) -> None:
    """What readers take for different numbers is refused unless it is quoted."""
    assert codes_of(f"key: {written}") == ["unquoted_number"]
    assert codes_of(f"key: '{written}'") == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: 1\na: 2", "duplicate_key"),
        ("a: !local 1", "bad_tag"),
        ("a: ! 15", "bad_tag"),
        ("when: ! has(order.state)", "bad_tag"),
        ("when: !has(order.state)", "bad_tag"),
        ("a: !!float 1", "bad_tag"),
        ("a: &x [*x]", "unknown_alias"),
        ("a: b\u200e\u202ec", "bad_character"),
        ("a: b\x07", "bad_character"),
        ("a: b\x85c", "bad_character"),
        ('a: "\\ud800"', "bad_character"),
        ("a: \ud800", "bad_character"),
        ("", "empty_file"),
        ("# words\n", "empty_file"),
        ("null", "empty_file"),
        ("[" * 40 + "]" * 40, "too_deep"),
        ("a: b\n---\nc: d", "several_documents"),
        ("%YAML 1.2\n---\na: b", "directive"),
        ("&a b: c", "bad_key"),
        ("? [a]\n: b", "bad_key"),
        ("😀: b", "bad_key"),
        ("[" + "a," * 100_000 + "]", "file_too_large"),
        (": b", "bad_key"),
        ("a: @b", "bad_yaml"),
        ("a: b: c", "bad_yaml"),
        ("\ta: b", "bad_yaml"),
    ],
)
def test_hostile_yaml_is_refused(text: str, code: str) -> None:
    """Each trick of YAML that a reader could stumble over has its own diagnostic."""
    assert codes_of(text) == [code]


def test_a_file_has_at_most_a_mebibyte() -> None:
    """Size is looked at before anything else is done with the text."""
    assert codes_of("# " + "é" * (MAX_FILE_BYTES // 2)) == ["file_too_large"]


def test_aliases_are_allowed_but_cannot_grow_without_bound() -> None:
    """Ten levels of ten aliases each are refused after 10,000 nodes."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 10)]
    assert codes_of("\n".join(lines)) == ["too_many_aliases"]
    assert as_json(read("a: &a [x]\nb: *a")) == {"a": ["x"], "b": ["x"]}


def test_aliases_cannot_nest_deeper_than_text_may() -> None:
    """A chain of anchors counts with its whole height."""
    lines = ["a0: &a0 [x]"] + [f"a{level}: &a{level} [*a{level - 1}]" for level in range(1, 40)]
    assert codes_of("\n".join(lines)) == ["too_deep"]


def test_line_ends_and_byte_order_mark_do_not_matter() -> None:
    """Files saved on Windows read like others."""
    assert as_json(read("\ufeffa: 1\r\nb: 2\r\n")) == as_json(read("a: 1\nb: 2\n"))


def test_an_absent_value_stands_at_its_key() -> None:
    """`key:` without a value is reported where the key is, not on the next line."""
    node = read("a:\nb: 1")
    assert isinstance(node, MappingNode)
    assert node.place_of("a") == Place("a.yaml", 1, 1)


@pytest.mark.parametrize(
    ("text", "offset", "place"),
    [
        ("when: a && b", 5, (1, 12)),
        ("when: 'it''s b'", 5, (1, 14)),
        ('when: "a \\"q\\" b"', 6, (1, 16)),
        ('when: "\\u0061 b"', 2, (1, 15)),
        ("when: |\n  a &&\n  b\n", 5, (3, 3)),
        ("when: |-\n  a &&\n    b\n", 7, (3, 5)),
        ("when: >\n  a &&\n  b\n", 5, (3, 3)),
        ("when: > # a comment\n  a &&\n\n  b\n", 5, (4, 3)),
        ("when: a &&\n  b", 5, (2, 3)),
        ('when: "a &&\n  b"', 5, (2, 3)),
        ("when: &x a && b", 5, (1, 15)),
        ("when: a && b", 6, (1, 13)),
        ("when: a && b", 1, (1, 8)),
    ],
)
def test_offsets_map_to_places(text: str, offset: int, place: tuple[int, int]) -> None:
    """The place of a character inside a scalar is exact in every style."""
    node = read(text)
    assert isinstance(node, MappingNode)
    scalar = node.scalar("when")
    assert scalar is not None
    assert scalar.locate(offset)[1:] == place


_WORDS = st.lists(st.text("abcxyz<>.=()0é", min_size=1, max_size=6), min_size=1, max_size=12)


@given(words=_WORDS, style=st.sampled_from(["'", '"', "|", ">"]), breaks=st.data())
def test_every_character_is_found_where_it_stands(
    words: list[str], style: str, breaks: st.DataObject
) -> None:
    """For any text in any style, the place of each visible character shows that character."""
    gaps = [breaks.draw(st.sampled_from([" ", "\n    "])) for _ in words]
    body = "".join(word + gap for word, gap in zip(words, gaps, strict=True)).rstrip()
    text = f"key: {style}\n    {body}\n" if style in "|>" else f"key: {style}{body}{style}\n"
    node = read(text)
    assert isinstance(node, MappingNode)
    scalar = node.scalar("key")
    assert isinstance(scalar, Scalar)
    assert isinstance(scalar.value, str)
    lines = text.split("\n")
    for offset, letter in enumerate(scalar.value):
        if not letter.isspace():
            place = scalar.locate(offset)
            assert lines[place.line - 1][place.column - 1] == letter


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text("abcé 1.", max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abc.", max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(value=_JSON)
def test_nodes_and_json_are_the_same(value: object) -> None:
    """A value survives being made a node and back, and its canonical bytes are its own."""
    assert as_json(from_json(value, file="a")) == value  # type: ignore[arg-type]
    assert json.loads(canonical_json(value)) == value  # type: ignore[arg-type]


def test_bytes_that_are_not_utf8_have_a_place() -> None:
    """The first bad byte of each file is named by line and column."""
    with pytest.raises(RuleFilesInvalid) as caught:
        decode_files({"a.yaml": b"a: 1\nb: \xff", "b.yaml": b"a: 1", "c.yaml": b"\xc3"})
    assert [str(item).split(": ")[0] for item in caught.value.diagnostics] == ["a.yaml:2:4", "c.yaml:1:1"]
    assert decode_files({"a.yaml": "é".encode()}) == {"a.yaml": "é"}


def test_diagnostics_are_bounded() -> None:
    """A file with thousands of errors gives the first thousand and says how many more there are."""
    diagnostics = Diagnostics()
    for line in range(MAX_DIAGNOSTICS + 7):
        diagnostics.add(Place("a.yaml", line + 1, 1), "code", "message")
    found = diagnostics.all()
    assert len(found) == MAX_DIAGNOSTICS + 1
    assert found[-1].code == "too_many"
    assert "7 more" in found[-1].message


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("roles.yaml", True),
        ("duties/a.yml", True),
        ("lists/a.csv", True),
        ("README.md", False),
        ("a.json", False),
    ],
)
def test_rule_files_are_known_by_their_endings(path: str, meant: bool) -> None:
    """Notes beside the rules are nobody's business; everything that looks like a rule file must be known."""
    assert is_rule_file(path) is meant


@pytest.mark.parametrize("hidden", ["\u200b", "\u00ad", "\u200f", "\u2060", "\U000e0041"])
def test_a_character_that_nobody_sees_is_refused(hidden: str) -> None:
    """With it a word is another one, which no request will ever say."""
    diagnostics = Diagnostics()
    assert read_yaml("a.yaml", f'when: order.state == "blo{hidden}cked"\n', diagnostics) is None
    (found,) = diagnostics.all()
    assert (found.code, found.line, found.column) == ("bad_character", 1, 26)
    assert f"U+{ord(hidden):04X}" in found.message
