"""The CSV files of decision tables as spreadsheets write them."""

from __future__ import annotations

import csv
import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.rules.decision_files import MAX_ROWS, read_rows
from controls.rules.diagnostics import Diagnostics
from controls.rules.nodes import Scalar, Sequence, as_json

FILE = "decisions/a.csv"


def rows_of(text: str) -> object:
    diagnostics = Diagnostics()
    node = read_rows(FILE, text, diagnostics)
    assert diagnostics.all() == ()
    assert node is not None
    return as_json(node)


def wrong(text: str) -> list[tuple[int, int, str]]:
    diagnostics = Diagnostics()
    assert read_rows(FILE, text, diagnostics) is None
    return [(item.line, item.column, item.code) for item in diagnostics.all()]


@pytest.mark.parametrize(
    "text",
    [
        'a,b\n-,"x, y"\n',
        "a;b\n-;x, y\n",
        '\ufeffa;b\r\n-;"x, y"\r\n',
        'a , b\r\r - ,"x, y" \r,\r',
        '\n\na;b\n;\n-;"x, y"',
    ],
)
def test_one_table_for_all_layouts(text: str) -> None:
    """Separator, quotes, blanks, empty lines, ends of lines and the byte order mark do not matter."""
    assert rows_of(text) == [["a", "b"], ["-", "x, y"]]


@pytest.mark.parametrize("sign", [",", ";"])
def test_cells_know_their_places(sign: str) -> None:
    """Each cell has its line and column in the file."""
    node = read_rows(FILE, f'aa{sign}b\n\n"x"{sign} "say ""no"""\n', Diagnostics())
    assert isinstance(node, Sequence)
    cells = [cell for row in node.items if isinstance(row, Sequence) for cell in row.items]
    assert [(cell.place.line, cell.place.column) for cell in cells] == [(1, 1), (1, 4), (3, 1), (3, 6)]
    assert isinstance(cells[3], Scalar)
    assert cells[3].value == 'say "no"'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [(1, 1, "empty_file")]),
        ("a,b\n", [(1, 1, "empty_file")]),
        ("a;b\n1\n1;2;3\n1;2\n", [(2, 2, "wrong_length"), (3, 5, "wrong_length")]),
        ('a,b\n"1,2\n', [(2, 1, "bad_csv")]),
        ("a;b\n=1+1;2\n", [(2, 1, "formula_cell")]),
        ("a,b\n1,\x002\n", [(2, 3, "bad_character")]),
        ("a\n" + "1\n" * (MAX_ROWS + 1), [(MAX_ROWS + 2, 1, "wrong_length")]),
    ],
)
def test_what_is_wrong(text: str, expected: list[tuple[int, int, str]]) -> None:
    """What is no table is refused at its place."""
    assert wrong(text) == expected


_LETTERS = st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp", "Zs"))
_TEXT = st.text(_LETTERS | st.just(" "), max_size=8)


@given(
    st.lists(st.lists(_TEXT, min_size=2, max_size=2), min_size=2, max_size=5),
    st.sampled_from(";,"),
)
def test_what_pythons_writer_writes_is_read_back(rows: list[list[str]], separator: str) -> None:
    """Every grid survives, but for outer blanks and the form of letters."""
    rows = [[f"x{cell}" for cell in row] for row in rows]  # empty lines are left out, formulas are refused
    rows[0] = ["a", "b"]  # names: they hold no separator
    written = io.StringIO()
    csv.writer(written, delimiter=separator, quoting=csv.QUOTE_ALL).writerows(rows)
    said = [[unicodedata.normalize("NFC", cell).strip() for cell in row] for row in rows]
    assert rows_of(written.getvalue()) == said


@given(st.text(st.sampled_from('a1,;"\n\r \ufeff\t-\x00='), max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """There are rows of one length or there are diagnostics, and never another exception."""
    diagnostics = Diagnostics()
    node = read_rows(FILE, text, diagnostics)
    assert (node is None) == bool(diagnostics.all())
    if node is not None:
        found = as_json(node)
        assert isinstance(found, list)
        assert len({len(row) for row in found if isinstance(row, list)}) == 1
