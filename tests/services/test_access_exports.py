"""Exports of other systems and the separations kept beside them: by their columns, within bounds, by line."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controls.duties.access import Item, Sort, members
from controls.model.errors import InvalidInput
from controls.services import foreign_csv
from controls.services.access_exports import Exported, read_exports
from controls.services.foreign_separations import read_separations


def written(folder: Path, text: str | bytes, name: str = "export.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def exported(folder: Path, *texts: str) -> Exported:
    return read_exports([written(folder, text, f"{number}.csv") for number, text in enumerate(texts)])


def who(found: Exported, sort: Sort, name: str) -> list[str]:
    """The users behind the pseudonyms of those who hold something."""
    people = members(found.access.holders(Item(sort, name)))
    return sorted(found.names[found.access.people[index]] for index in people)


def refused(path: Path, *, separations: bool = False) -> tuple[str, str]:
    """The code and place of what is wrong with a file."""
    with pytest.raises(InvalidInput) as error:
        (read_separations if separations else read_exports)([path])
    (item,) = error.value.errors
    assert item.pointer in error.value.detail
    return item.code, item.pointer.rpartition(":")[2]


def read_or_not(path: Path) -> tuple[Exported | None, str]:
    try:
        return read_exports([path]), ""
    except InvalidInput as refused:
        return None, refused.detail


# -- access ------------------------------------------------------------------------------------------------


def test_users_are_pseudonyms_in_the_order_of_the_file(tmp_path: Path) -> None:
    """And the names are kept beside them."""
    found = exported(tmp_path, "user,role\nZoe,clerk\nAna,clerk\nZoe,boss\n")
    assert found.names == {"u-000001": "Zoe", "u-000002": "Ana"}
    assert found.access.people == ("u-000001", "u-000002")
    assert who(found, Sort.ROLE, "clerk") == ["Ana", "Zoe"]


@pytest.mark.parametrize(
    "text",
    [
        "User,Role_Technical_Name\nAna,clerk\n",
        "user id;role name\nAna;clerk\n",
        "\ufeffLOGIN\tRole-ID\nAna\tclerk\n",
        'other,user,"role"\n1,Ana,"clerk"\n\n , ,\n',
        "kind,a,b\r\nUA,Ana,clerk\r\n",
    ],
)
def test_columns_are_known_by_name(tmp_path: Path, text: str) -> None:
    """In any order, spelling, separator and line end."""
    assert who(exported(tmp_path, text), Sort.ROLE, "clerk") == ["Ana"]


def test_files_together_make_one_access(tmp_path: Path) -> None:
    """Users have roles, roles inherit and have permissions; some permissions are assigned themselves."""
    found = exported(
        tmp_path,
        "user,role\nAna,boss\nBea,clerk\n",
        "role,inherits\nboss,clerk\n",
        "role,permission\nclerk,F110\n",
        "user,tcode\nCai,F110\n",
    )
    assert who(found, Sort.PERMISSION, "F110") == ["Ana", "Bea", "Cai"]
    assert who(found, Sort.ROLE, "clerk") == ["Ana", "Bea"]
    tagged = exported(tmp_path, "kind,a,b\nUA,Ana,boss\nRH,boss,clerk\nPA,clerk,F110\n")
    assert who(tagged, Sort.PERMISSION, "F110") == ["Ana"]
    both = exported(tmp_path, "user,role,permission\nAna,clerk,F110\n")
    assert who(both, Sort.PERMISSION, "F110") == who(both, Sort.ROLE, "clerk") == ["Ana"]


def test_columns_that_are_not_read_are_told(tmp_path: Path) -> None:
    """An end of validity, for one, would change what is true."""
    found = exported(tmp_path, "user,role,valid_to\nAna,clerk,2020-01-01\n")
    assert found.unread == {"0.csv": ("valid_to",)}


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("", "wrong_header", "1"),
        ("user\nAna\n", "wrong_header", "1"),
        ("user,user\nAna,Ana\n", "wrong_header", "1"),
        ("name,thing\nAna,clerk\n", "wrong_header", "1"),
        ("user,role\nAna,clerk\nBea\n", "wrong_column_count", "3"),
        ("user,role\nAna,clerk\n,clerk\n", "bad_name", "3"),
        ("user,role\nAna,cl\u200berk\n", "bad_name", "2"),
        ("user,role\nAna," + "x" * 257 + "\n", "bad_name", "2"),
        ("kind,a,b\nUA,Ana,clerk\nXX,Ana,clerk\n", "bad_kind", "3"),
        ('user,role\nAna,"clerk\n', "not_csv", "2"),
        ('user,role\nAna,"cl"erk\n', "not_csv", "2"),
        ("user,role\nAna,clerk\n" + "x" * 70_000, "long_line", "3"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(tmp_path: Path, text: str, code: str, line: str) -> None:
    """And nothing is read in part."""
    assert refused(written(tmp_path, text)) == (code, line)


def test_bytes_that_are_no_text_are_told_with_their_line(tmp_path: Path) -> None:
    """As spreadsheets save them in an old encoding."""
    assert refused(written(tmp_path, "user,role\nAna,clerk\nJosé,clerk\n".encode("latin-1"))) == (
        "not_utf8",
        "3",
    )


def test_a_file_without_users_is_refused(tmp_path: Path) -> None:
    """Roles alone say of nobody what he or she could do."""
    with pytest.raises(InvalidInput, match="The exports name no user"):
        exported(tmp_path, "role,permission\nclerk,F110\n")


def test_compressed_files_are_known_by_their_bytes(tmp_path: Path) -> None:
    """Whatever their name; broken ones are told."""
    packed = gzip.compress(b"user,role\nAna,clerk\n")
    assert who(read_exports([written(tmp_path, packed)]), Sort.ROLE, "clerk") == ["Ana"]
    for broken in (packed[:-9], packed[:12] + b"\xff\xff\xff" + packed[15:]):
        with pytest.raises(InvalidInput) as error:
            read_exports([written(tmp_path, broken)])
        assert error.value.code in ("file_unreadable", "file_invalid")
    with pytest.raises(InvalidInput, match="No such file"):
        read_exports([tmp_path / "none.csv"])


def test_a_bomb_is_stopped_at_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What expands without end is not expanded, with line ends or without; and rows are counted."""
    monkeypatch.setattr(foreign_csv, "MAX_BYTES", 100_000)
    lines = gzip.compress(b"user,role\n" + b"Ana,clerk\n" * 50_000)
    assert len(lines) < 3_000
    assert refused(written(tmp_path, lines)) == ("too_large", "10001")
    one_line = zlib.compressobj(wbits=31)
    packed = one_line.compress(b"user,role\n" + b"x" * 5_000_000) + one_line.flush()
    assert refused(written(tmp_path, packed)) == ("long_line", "2")
    monkeypatch.setattr(foreign_csv, "MAX_ROWS", 2)
    assert refused(written(tmp_path, "user,role\na,b\na,c\na,d\n")) == ("too_many_rows", "4")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: ("user,role\n" + text).encode()))
def test_any_bytes_are_an_access_or_an_error(tmp_path: Path, data: bytes) -> None:
    """Never another exception."""
    path = written(tmp_path, data)
    found, told = read_or_not(path)
    assert (found is None) == bool(told)
    if found is not None:
        assert len(found.names) == len(found.access.people) > 0


# -- separations -------------------------------------------------------------------------------------------


def test_pairs_and_sets_are_separations(tmp_path: Path) -> None:
    """In the order of the rows, with what stands beside them."""
    pairs = written(tmp_path, "Risk_ID,Role_A,Role_B,Risk_Level,Description\nF1,a,b,HIGH,Bezahlen\n", "a.csv")
    sets = written(tmp_path, "permissions,max,people\np;q;r,2,\np;q;r,,3\np; q,,\np;q;r,1,2\n", "b.csv")
    first, *others = read_separations([pairs, sets])
    assert (first.id, first.most, first.severity, first.title.es) == ("F1", 1, "HIGH", "Bezahlen")
    assert first.items == (Item(Sort.ROLE, "a"), Item(Sort.ROLE, "b"))
    assert [(one.id, one.most, one.people) for one in others] == [
        ("b.csv:2", 2, None),
        ("b.csv:3", None, 3),
        ("b.csv:4", 1, None),
        ("b.csv:5", 1, 2),
    ]
    assert others[2].items == (Item(Sort.PERMISSION, "p"), Item(Sort.PERMISSION, "q"))


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("role,other\na,b\n", "wrong_header", "1"),
        ("role_a,role_b,permissions\na,b,c;d\n", "wrong_header", "1"),
        ("role_a,role_b\n", "empty_file", "1"),
        ("role_a,role_b\na,a\n", "bad_set", "2"),
        ("role_a,role_b\na,\n", "bad_name", "2"),
        ("roles\na\n", "bad_set", "2"),
        ("roles\n" + ";".join(f"r{number}" for number in range(501)) + "\n", "bad_set", "2"),
        ("roles,max\na;b,2\n", "out_of_range", "2"),
        ("roles,max\na;b,0\n", "out_of_range", "2"),
        ("roles,max\na;b,²\n", "out_of_range", "2"),
        ("roles,people\na;b,3\n", "out_of_range", "2"),
        ("roles,people\na;b,-1\n", "out_of_range", "2"),
        ("id,role_a,role_b\nx,a,b\nx,a,c\n", "duplicate_id", "3"),
    ],
)
def test_a_row_that_separates_nothing_is_told(tmp_path: Path, text: str, code: str, line: str) -> None:
    """With its line; a separation that could never speak, too."""
    assert refused(written(tmp_path, text), separations=True) == (code, line)
