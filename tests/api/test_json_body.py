"""What `read_json` takes and refuses."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.api import json_body
from controls.api.json_body import (
    MAX_DEPTH,
    MAX_ITEMS,
    MAX_MEMBERS,
    MAX_STRING,
    MalformedJson,
    read_json,
)
from controls.model.errors import InvalidInput


def refused(data: bytes | str) -> InvalidInput:
    """The error that reading `data` ends in."""
    with pytest.raises(InvalidInput) as caught:
        read_json(data.encode() if isinstance(data, str) else data)
    return caught.value


def places(error: InvalidInput) -> list[tuple[str, str]]:
    return [(item.pointer, item.code) for item in error.errors]


def test_numbers_are_exact() -> None:
    """Integers stay integers and fractions become decimals, digit for digit."""
    read = read_json(b'{"a": 12345678901234567.89, "b": 9007199254740993, "c": 1e3, "d": -0.10, "e": -7}')
    assert read == {
        "a": Decimal("12345678901234567.89"),
        "b": 9007199254740993,
        "c": Decimal(1000),
        "d": Decimal("-0.10"),
        "e": -7,
    }
    assert not any(isinstance(value, float) for value in read.values())


@pytest.mark.parametrize("data", [b"", b"{", b"{'a': 1}", b'{"a": 1} x', b'{"a": 01}', b"nul", b'{"a":}'])
def test_what_is_not_json_is_malformed(data: bytes) -> None:
    """Text that JSON does not know is a malformed body."""
    assert isinstance(refused(data), MalformedJson)


@pytest.mark.parametrize("data", [b"1", b'"x"', b"null", b"true", b"1.5"])
def test_the_top_is_an_object_or_a_list(data: bytes) -> None:
    """A lone scalar is no request."""
    error = refused(data)
    assert (error.code, type(error)) == ("not_an_object", MalformedJson)


@pytest.mark.parametrize("data", [b'{"a": "\xff"}', b"\xef\xbb\xbf{}", b'{"\xed\xa0\x80": 1}'])
def test_only_utf_8_is_read(data: bytes) -> None:
    """Other bytes, a byte order mark and encoded surrogates are malformed."""
    assert isinstance(refused(data), MalformedJson)


def test_duplicate_keys_are_found_where_they_are() -> None:
    """A member named twice is refused at its pointer, however deep."""
    error = refused('{"a": [{"x/y": 1, "x/y": 2}]}')
    assert isinstance(error, MalformedJson)
    assert places(error) == [("/a/0/x~1y", "duplicate_key")]


def test_keys_that_differ_only_in_their_writing_are_duplicates() -> None:
    """Two spellings of one name in Unicode are one name, escaped or not."""
    for text in ('{"caf\u00e9": 1, "cafe\u0301": 2}', '{"caf\u00e9": 1, "cafe\\u0301": 2}'):
        assert places(refused(text)) == [("/caf\u00e9", "duplicate_key")]


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
def test_constants_that_are_no_json_are_refused(literal: str) -> None:
    """NaN and the infinities are not numbers here."""
    error = refused('{"a": [1, ' + literal + "]}")
    assert isinstance(error, MalformedJson)
    assert places(error) == [("/a/1", "not_a_number")]


@pytest.mark.parametrize(
    ("literal", "code"),
    [
        ("1" * 36, "number_too_long"),
        ("-" + "9" * 5000, "number_too_long"),
        ("1.5e401", "number_out_of_range"),
        ("1e-99999999999", "number_out_of_range"),
        ("0." + "1" * 35, "number_out_of_range"),
        ("0." + "0" * 100, "number_out_of_range"),
        ("1e-500", "number_out_of_range"),
        ("1.0000000000000000000000000000000005", "number_out_of_range"),
    ],
)
def test_numbers_are_bounded(literal: str, code: str) -> None:
    """Numbers with more than 34 digits or far out of range are refused at their place."""
    assert places(refused('{"a": {"b": ' + literal + "}}")) == [("/a/b", code)]


def test_whatever_a_double_holds_is_read() -> None:
    """The numbers of I-JSON are read exactly; their types say later what a fact may be."""
    for literal in ("1.7976931348623157e308", "5e-324", "-2.2250738585072014E-308", "0.1"):
        assert read_json(f"[{literal}]".encode()) == [Decimal(literal)]


def test_nesting_is_bounded() -> None:
    """Sixteen levels are read, seventeen are refused, and a hundred thousand crash nothing."""
    assert read_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    too_deep = "/0" * MAX_DEPTH
    assert places(refused(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))) == [(too_deep, "too_deep")]
    assert refused(b"[" * 100_000 + b"]" * 100_000).code in ("out_of_bounds", "malformed_json")
    assert refused(b'{"a":' * 100_000 + b"1" + b"}" * 100_000).code in ("out_of_bounds", "malformed_json")


def test_strings_are_bounded() -> None:
    """4,096 characters are read, one more is refused, also in a name."""
    text = "x" * MAX_STRING
    assert read_json(json.dumps({"a": text}).encode()) == {"a": text}
    assert places(refused(json.dumps({"a": ["", text + "x"]}))) == [("/a/1", "string_too_long")]
    assert [code for _, code in places(refused(json.dumps({text + "x": 1})))] == ["string_too_long"]


def test_lists_and_objects_are_bounded() -> None:
    """A thousand items or members are read, one more is refused."""
    assert read_json(json.dumps([0] * MAX_ITEMS).encode())
    assert places(refused(json.dumps({"a": [0] * (MAX_ITEMS + 1)}))) == [("/a", "list_too_long")]
    members = {str(index): 0 for index in range(MAX_MEMBERS + 1)}
    assert places(refused(json.dumps({"a": members}))) == [("/a", "object_too_large")]


@pytest.mark.parametrize("text", [r"\ud800", r"x\udfffy", r"\u0000", r"\udc00\ud800"])
def test_half_a_surrogate_pair_and_nul_are_refused(text: str) -> None:
    """No string holds NUL or half a pair, neither a value nor a name."""
    assert places(refused('{"a": "' + text + '"}')) == [("/a", "bad_character")]
    assert [code for _, code in places(refused('{"' + text + '": 1}'))] == ["bad_character"]


def test_whole_surrogate_pairs_are_characters() -> None:
    """An escaped pair is one character."""
    assert read_json(rb'{"a": "\ud83d\ude00"}') == {"a": "\U0001f600"}


def test_strings_come_in_normal_form() -> None:
    """What can be written in two ways is read in one, also when an escape composes it."""
    assert read_json('{"e\u0301": ["e\u0301"]}'.encode()) == {"\u00e9": ["\u00e9"]}
    assert read_json(rb'{"e\u0301": ["e\u0301"]}') == {"\u00e9": ["\u00e9"]}


def test_all_errors_are_told_at_once() -> None:
    """Several places out of bounds are one error with several pointers."""
    error = refused('{"a": ' + "1" * 40 + ', "b": [2e999], "c": "\\ud800"}')
    assert places(error) == [
        ("/a", "number_too_long"),
        ("/b/0", "number_out_of_range"),
        ("/c", "bad_character"),
    ]


_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**33), 10**33),
    st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(alphabet="abcdefgé/~\n", max_size=4), inner, max_size=4),
    ),
    max_leaves=12,
)


@given(value=st.one_of(st.lists(_VALUES), st.dictionaries(st.text("abc"), _VALUES)), ascii_only=st.booleans())
def test_what_is_written_is_read(value: Any, ascii_only: bool) -> None:
    """Any value within the bounds is read as the standard reader reads it, up to normal form."""
    data = json.dumps(value, ensure_ascii=ascii_only).encode()
    read = read_json(data)
    assert read == read_json(json.dumps(read, ensure_ascii=not ascii_only).encode())
    if data.isascii() and b"\\u" not in data:
        assert read == json.loads(data)


@given(pairs=st.lists(st.tuples(st.sampled_from("abc"), _VALUES), max_size=4), depth=st.integers(0, 3))
def test_a_name_given_twice_is_refused_whatever_it_holds(pairs: list[tuple[str, Any]], depth: int) -> None:
    """The value that a duplicate would hide may be of any kind, and stand at any depth."""
    members = ",".join(f'"{name}":{json.dumps(value, ensure_ascii=False)}' for name, value in pairs)
    text = f"{'[' * depth}{{{members}}}{']' * depth}"
    if len({name for name, _ in pairs}) < len(pairs):
        assert {code for _, code in places(refused(text))} == {"duplicate_key"}
    else:
        read_json(text.encode())


_NUMBERS = st.sampled_from(
    [
        *("0", "-0", "1.0", "1e3", "1E400", "-1", "01", "1.", "NaN", "-Infinity", "1e-400", "0.1"),
        *(
            "9" * 17,
            "9" * 18,
            "9" * 19,
            "-" + "9" * 18,
            "9" * 34,
            "9" * 35,
            "-" + "9" * 34,
            "1" + "0" * 4_400,
        ),
    ]
)
_WRITTEN = st.recursive(
    _NUMBERS
    | st.sampled_from(['"a"', '""', "true", "null", '"\\u0061"', '"\u00e9"', '"e\u0301"', '"\t"', ":"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: f"[{','.join(items)}]"),
        st.lists(
            st.tuples(st.sampled_from(['"a"', '"b" ', '"\\u0061"', '"\u00e9"', "a"]), inner), max_size=4
        ).map(lambda members: f"{{{','.join(f'{name}:{value}' for name, value in members)}}}"),
    ),
    max_leaves=12,
)


@pytest.mark.differential
@given(text=_WRITTEN)
def test_the_fast_way_reads_what_the_careful_one_reads(text: str) -> None:
    """Whatever the fast reader takes, the one with hooks takes, as the same values of the same types."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_body, "_ordinary", lambda _: None)
        careful = outcome(text)
    assert outcome(text) == careful


def outcome(text: str) -> str | list[tuple[str, str]]:
    try:
        return repr(read_json(text.encode()))
    except InvalidInput as error:
        return places(error)


def test_limits_hold_in_long_bodies_too() -> None:
    """A long body that has no escape in it keeps the same bounds as a short one."""
    rest = ",".join('{"a":"b"}' for _ in range(900))
    for inner, code in (
        (f'{{"a":"{"x" * (MAX_STRING + 1)}"}}', "string_too_long"),
        (f'{{"{"x" * (MAX_STRING + 1)}":1}}', "string_too_long"),
        ('{"a":' * MAX_DEPTH + "1" + "}" * MAX_DEPTH, "too_deep"),
        (json.dumps([1] * (MAX_ITEMS + 1)), "list_too_long"),
        (json.dumps({f"n{at}": 1 for at in range(MAX_MEMBERS + 1)}), "object_too_large"),
    ):
        assert [told for _, told in places(refused(f"[{rest},{inner}]"))] == [code]
    fit = f'[{rest},{{"a":"{"x" * MAX_STRING}"}}]'
    assert read_json(fit.encode()) == json.loads(fit)


@pytest.mark.parametrize("blank", [" ", "\n", "\t", "\r"])
def test_a_blank_before_a_colon_hides_no_duplicate(blank: str) -> None:
    """A name that is not counted, as a blank follows it, does not make up for one that is there twice."""
    error = refused(f'{{"a":1,"a":2,"b"{blank}:3}}')
    assert places(error) == [("/a", "duplicate_key")]


def test_an_escape_hides_no_duplicate() -> None:
    """A name written in two ways is one name, whatever else is in the text."""
    error = refused('{"a":1,"\\u0061":2,"b":"\\":"}')
    assert error.code == "malformed_json"


# A name with the same XXH3 (64 bits) as that of a fact: orjson knows names that it has met by that alone.
_COLLIDES = "_p3m3i0mrmuew_r6xmby_an549cz2bkwf3pq8imke4klglqe6xcym4muudboecjj"


def test_no_name_is_read_as_another() -> None:
    """A name made to collide with that of a fact hides it in nobody's body, and passes for it in none."""
    for name in ("legal_hold", _COLLIDES, "legal_hold"):
        assert read_json(f'{{"{name}":"H-1"}}'.encode()) == {name: "H-1"}
    both = f'{{"order":{{"legal_hold":1}},"other":{{"{_COLLIDES}":2}}}}'
    assert read_json(both.encode()) == {"order": {"legal_hold": 1}, "other": {_COLLIDES: 2}}


@given(data=st.one_of(st.binary(max_size=60), st.text('{}[]",:\\u01deN-+. e', max_size=40).map(str.encode)))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """No bytes lead to another error than a refusal with a code."""
    try:
        read = read_json(data)
    except InvalidInput as error:
        told = error
    else:
        assert isinstance(read, dict | list)
        return
    assert re.fullmatch(r"[a-z_0-9]+", told.code)
    assert told.errors
