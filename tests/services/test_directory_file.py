"""Directory files: read whole or refused whole, with every mistake by its line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.model.errors import InvalidInput
from controls.model.people import AccountKind, Attribute
from controls.services.directory_file import read_absences, read_directory
from controls.services.directory_plans import AbsenceLine, PersonPlan, RoleLine, open_roles

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


@pytest.mark.parametrize("separator", [";", "\t"])
def test_spreadsheets_may_separate_columns_otherwise(separator: str) -> None:
    """As they do where the comma is for decimals; roles are in quotes then."""
    rows = [HEADER.strip().split(","), ["p-1", "Ruiz, Ana", "ana", '"trader;clerk"', "", ""]]
    (person,) = read_directory("\r\n".join(map(separator.join, rows)))
    assert (person.name, person.roles) == ("Ruiz, Ana", open_roles(["trader", "clerk"]))
    (away,) = read_absences(
        separator.join(["person", "absent_from", "absent_to"]) + f"\np-1{separator * 2}\n"
    )
    assert (away.id, away.absences) == ("p-1", [])


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


FULL = "person,name,account,kind,roles,valid_from,valid_to,department,desk,household,reports_to\n"


def test_attributes_and_kinds_of_accounts_are_read() -> None:
    """Every column of the file has its place in the plan; a value in one row of a person is enough."""
    (person,) = read_directory(
        FULL + "p-1,Ana,ana,,trader,,,Sales,rates,h-7,p-2\np-1,,ana.bot,bot,trader,,,Sales,,,\n"
    )
    assert person.attributes == {
        Attribute.DEPARTMENT: "Sales",
        Attribute.DESK: "rates",
        Attribute.HOUSEHOLD: "h-7",
        Attribute.REPORTS_TO: "p-2",
    }
    assert [(line.login, line.kind) for line in person.accounts] == [
        ("ana", None),
        ("ana.bot", AccountKind.BOT),
    ]


def test_a_column_that_is_not_there_changes_nothing_and_an_empty_cell_ends() -> None:
    """A file may say of an attribute that there is none, or nothing at all."""
    (person,) = read_directory("person,account,roles,desk\np-1,ana,trader,\n")
    assert person.attributes == {Attribute.DESK: ""}


def test_roles_may_have_times() -> None:
    """Either end may be left open, in the notation of ISO 8601."""
    cell = (
        "trader[2026-04-01T00:00:00Z/2026-07-01T00:00:00Z]; clerk[/2026-07-01T00:00:00Z];"
        "head[2026-04-01T00:00:00+02:00/]"
    )
    (person,) = read_directory(f"person,account,roles\np-1,ana,{cell}\n")
    april, july = 1_775_001_600_000_000, 1_782_864_000_000_000
    assert person.roles == {
        RoleLine("trader", april, july),
        RoleLine("clerk", None, july),
        RoleLine("head", april - 2 * 3_600_000_000, None),
    }


def test_mistakes_in_the_new_columns_have_their_lines() -> None:
    """Kinds, times of roles, values that contradict each other, control characters."""
    text = FULL + (
        "p-1,Ana,ana,robot,trader,,,,,,\n"
        "p-2,Leo,leo,,trader[tomorrow/],,,,,,\n"
        "p-3,Eva,eva,,trader[2026-04-01T00:00:00Z/2026-03-01T00:00:00Z],,,,,,\n"
        "p-4,Max,max,,trader[2026-04-01T00:00:00Z,,,,,,\n"
        "p-5,Zoe,zoe,,trader,,,Sales,,,\n"
        "p-5,Zoe,zoe.2,,trader,,,Risk,,,\n"
        "p-6,Noa,noa,,trader,,,a\tb,,,\n"
        f"p-7,Ute,ute,,trader{'x' * 300},,,,,,\n"
    )
    assert codes(text) == [
        ("line 2", "bad_kind"),
        ("line 3", "bad_time"),
        ("line 4", "period_reversed"),
        ("line 5", "bad_role"),
        ("line 7", "two_values"),
        ("line 8", "bad_text"),
        ("line 9", "bad_role"),
    ]


def test_absences_are_read_by_person() -> None:
    """All rows of a person are all absences to come; a row without times says that there are none."""
    rows = "p-1,2026-04-01T00:00:00Z,2026-05-01T00:00:00Z\np-1,2026-07-01T00:00:00Z,\np-2,,\n"
    ana, leo = read_absences("person,absent_from,absent_to\n" + rows)
    assert ana.absences == [
        AbsenceLine(1_775_001_600_000_000, 1_777_593_600_000_000),
        AbsenceLine(1_782_864_000_000_000, None),
    ]
    assert (leo.id, leo.absences) == ("p-2", [])
    assert (ana.roles, ana.accounts, ana.attributes) == (None, [], {})


def test_mistakes_in_absences_have_their_lines() -> None:
    """As with persons: everything at once."""
    rows = "p 1;x,,\np-2,yesterday,\np-3,2026-04-01T00:00:00Z,2026-03-01T00:00:00Z\np-4,\n"
    with pytest.raises(InvalidInput) as refused:
        read_absences("person,absent_from,absent_to\n" + rows)
    assert [(item.pointer, item.code) for item in refused.value.errors] == [
        ("line 2", "bad_id"),
        ("line 3", "bad_time"),
        ("line 4", "period_reversed"),
        ("line 5", "wrong_column_count"),
    ]
