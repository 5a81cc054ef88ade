"""Directory files: read whole or refused whole, with every mistake by its line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.model.errors import InvalidInput
from controls.services.directory_file import read_directory
from controls.services.directory_plans import PersonPlan, open_roles

HEADER = "person,name,account,roles,valid_from,valid_to\n"


def codes(text: str) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInput) as refused:
        read_directory(text)
    return [(item.pointer, item.code) for item in refused.value.errors]


def read_or_not(text: str) -> tuple[tuple[PersonPlan, ...], list[str]]:
    try:
        return read_directory(text), []
    except InvalidInput as refused:
        return (), [item.pointer for item in refused.errors]


def test_rows_of_one_person_are_one_person_with_all_accounts_and_roles() -> None:
    """Two rows with the same person give two accounts and the union of roles."""
    (person,) = read_directory(HEADER + "p-1,Ana,ana,trader,,\np-1,Ana,ana.bot,trader;clerk,,\n")
    assert person.id == "p-1"
    assert [account.login for account in person.accounts] == ["ana", "ana.bot"]
    assert person.roles == open_roles(["trader", "clerk"])


def test_optional_columns_may_be_left_out_and_their_order_is_free() -> None:
    """Only person, account and roles are needed, in any order."""
    (person,) = read_directory("roles,account,person\ntrader,ana,p-1\n")
    assert (person.id, person.name, person.roles) == ("p-1", "", open_roles(["trader"]))


def test_a_byte_order_mark_and_blank_lines_do_not_matter() -> None:
    """Files as spreadsheets write them are read."""
    assert len(read_directory("\ufeff" + HEADER + "\np-1,Ana,ana,trader,,\n\n")) == 1


def test_every_mistake_is_reported_with_its_line() -> None:
    """All mistakes of a file come at once."""
    text = HEADER + (
        'p-1,Ana,"ana, admin",trader,,\n'
        "p-2,Leo,leo,trader,yesterday,\n"
        "p-3,Eva,eva,trader,2026-01-02T00:00:00Z,2026-01-01T00:00:00Z\n"
        "p-4,Max,leo2\n"
        "p-5,Zoe,zoe,bad(role),,\n"
        "p-6,Zoe,zoe,trader,,\n"
    )
    assert codes(text) == [
        ("line 2", "bad_id"),
        ("line 3", "bad_time"),
        ("line 4", "period_reversed"),
        ("line 5", "wrong_column_count"),
        ("line 6", "bad_role"),
        ("line 7", "account_of_two"),
    ]


def test_a_wrong_header_says_what_is_unknown_and_missing() -> None:
    """The header is checked before any row."""
    assert codes("person,login\np-1,ana\n") == [("line 1", "wrong_header")]


def test_an_empty_file_is_refused() -> None:
    """A file without a person is a mistake, not an empty directory."""
    assert codes(HEADER) == [("line 1", "empty_file")]


def test_broken_quotes_are_refused_with_their_line() -> None:
    """Text that is not CSV is refused."""
    assert codes(HEADER + 'p-1,"Ana" x,ana,trader,,\n') == [("line 2", "not_csv")]


def test_times_need_a_zone() -> None:
    """A local time could mean anything."""
    assert codes(HEADER + "p-1,Ana,ana,trader,2026-01-01T00:00:00,\n") == [("line 2", "bad_time")]


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Whatever the file holds, the answer is a directory or a list of mistakes."""
    people, mistakes = read_or_not(HEADER + text)
    assert bool(people) is not bool(mistakes)
    assert all(pointer.startswith("line ") for pointer in mistakes)
    logins = [account.login for person in people for account in person.accounts]
    assert all(login and not set(login) & set(",;:()[]#'\\\n") for login in logins)
