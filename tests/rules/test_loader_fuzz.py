"""Whatever is in the files, the loader answers with a release or with diagnostics."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controls.model.errors import RuleFilesInvalid
from controls.rules.files import decode_files
from controls.rules.release import compile_release, release_from_document
from tests.rules.rule_sets import FIXTURES, desk_files, diagnostics_of, read_case

LONG = os.environ.get("CONTROLS_FUZZ") == "1"
DATA = {
    "lists/restricted.csv": 'isin:string,remark:note\nES0113900J37,"until, say, May"\nXS0000000009,\n',
    "tables/limits.csv": "who:string key,day:date key,limit:money,lots:int?\nana,2026-03-02,5.00 EUR,3\n",
}
RULE = """\
id: a.data
title: {en: A, es: B}
source: {law: Policy, basis: policy}
on: order.capture
when: order.instrument in list.restricted || order.notional > table.limits[person.id, order.traded_on].limit
then: deny
message: {en: "{order.instrument}", es: "{table.limits[person.id, order.traded_on].limit}"}
examples:
  - {name: neither, expect: permit}
  - {name: restricted, expect: deny}
"""
FILES = {**desk_files(), **DATA, "regulatory/a/data.yaml": RULE}
# What the rule of the data needs, and no more: most of the time goes into reading YAML.
FEW = {path: FILES[path] for path in ("vocabulary.yaml", "roles.yaml", "chains/order_to_settlement.yaml")}
CORPUS = [text for case in sorted((FIXTURES / "broken").glob("*.txt")) for text in read_case(case).values()]
CORPUS += list(FILES.values())
PATHS = [*FILES, "duties/more.yaml", "regulatory/x/y.yaml", "chains/z.yaml", "lists/more.csv", "tables/x.csv"]

FRAGMENTS = st.sampled_from(
    [
        "\n", "  ", "- ", ": ", "{", "}", "[", "]", ",", "'", '"', "|", ">", "&a ", "*a", "!!str ", "#", "%",
        "---\n", "\t", "\\u", "\\", "?", "@", "0x1", "1e9", ".nan", "null", "~", "true", "é", "\u0301",
        "\ufeff", "\x85", "😀", "when: ", "steps: ", "order.side", "chain.performed(", "{order.side}", "{{",
        "effective: {from: 2026-01-01}", "zone: Europe", "zone: ../x", "id: a", "kind: at_most", "max: 99",
        "then: deny", "matches(", "<<: *a", "2026-13-01", "P1M", "9" * 40, "a" * 300, "facts:\n", "roles:\n",
        "of: {}", "inherits: [trader]", ",", '""', ":string key", ":money?", ":note", "\r", "=1+1", "\u200b",
        "list.restricted", "table.limits[", "].limit", ",,,\n", "1.5", "1.50", ";", "TRUE",
    ]
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A text of the corpus with a few pieces cut out, doubled or put in."""
    text = draw(st.sampled_from(CORPUS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 40)))
        new = draw(FRAGMENTS | st.text(max_size=5) | st.just(text[start:end] * 2))
        text = text[:start] + new + text[end:]
    return text


def check(files: dict[str, str]) -> None:
    """A release that can be made again, or diagnostics that point into the files."""
    found = diagnostics_of(files)
    for item in found:
        lines = files.get(item.file, "").replace("\r\n", "\n").replace("\r", "\n").split("\n")
        assert 1 <= item.line <= len(lines) + 1
        assert item.column >= 1
        assert item.code
        assert "\n" not in str(item)
    if not found:
        release = compile_release(files)
        assert release_from_document(release.document) == release


@pytest.mark.fuzz
@settings(max_examples=20_000 if LONG else 100)
@given(text=mutated(), path=st.sampled_from(PATHS))
def test_mutated_files_give_a_release_or_diagnostics(text: str, path: str) -> None:
    """Text that was once right is the hardest."""
    check({**FILES, path: text})


@st.composite
def mutated_data(draw: st.DrawFn) -> dict[str, str]:
    """The list and the table with a few pieces cut out, doubled or put in, anywhere in them."""
    texts = dict(DATA)
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(sorted(texts)))
        text = texts[path]
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        new = draw(FRAGMENTS | st.text(max_size=5) | st.just(text[start:end] * 2))
        texts[path] = text[:start] + new + text[end:]
    return texts


@pytest.mark.fuzz
@settings(max_examples=20_000 if LONG else 60)
@given(texts=mutated_data())
def test_mutated_data_gives_a_release_or_diagnostics(texts: dict[str, str]) -> None:
    """Rules that use the data are loaded with it, and do not speak of what is wrong there."""
    check({**texts, **FEW, "regulatory/a/data.yaml": RULE})


@pytest.mark.fuzz
@settings(max_examples=5_000 if LONG else 100)
@given(files=st.dictionaries(st.sampled_from(PATHS) | st.text(max_size=20), st.text(max_size=60), max_size=3))
def test_random_files_give_a_release_or_diagnostics(files: dict[str, str]) -> None:
    """Any names, any text."""
    check(files)


@pytest.mark.fuzz
@settings(max_examples=5_000 if LONG else 60)
@given(data=st.data(), path=st.sampled_from(sorted(FILES)))
def test_flipped_bytes_give_a_release_or_diagnostics(data: st.DataObject, path: str) -> None:
    """Any byte of a good file changed to any other."""
    raw = bytearray(FILES[path].encode())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        bytes(raw).decode()
    except UnicodeDecodeError:
        with pytest.raises(RuleFilesInvalid):
            decode_files({path: bytes(raw)})
    else:
        check({**FILES, **decode_files({path: bytes(raw)})})
