"""`controls duties analyse`: words, JSON, CSV and exit codes, on each kind of source."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from controls.cli.coverage_report import harmless
from controls.cli.duty_csv import COLUMNS
from controls.cli.output import Exit
from tests.desk import DESK_PEOPLE, DESK_RULES, Desk

from .commands import Said, controls, well
from .conftest import acting

USERS = "user,role\nMax M,pay\nMax M,post\nLisa S,post\n=1+2,pay\n=1+2,post\n"
PAIRS = "risk_id,role_a,role_b,risk_level\nF001,pay,post,HIGH\nF002,pay,ghost,LOW\n"


@pytest.fixture
def exports(tmp_path: Path) -> tuple[str, ...]:
    """A user and a matrix file of another system, as arguments."""
    users, pairs = tmp_path / "users.csv", tmp_path / "pairs.csv"
    users.write_text(USERS, encoding="utf-8")
    pairs.write_text(PAIRS, encoding="utf-8")
    return ("--export", str(users), "--constraints", str(pairs))


def analyse(*arguments: str | Path, env: dict[str, str] | None = None) -> Said:
    return controls("duties", "analyse", *arguments, env=env)


def a_directory(folder: Path, text: str) -> tuple[str | Path, ...]:
    path = folder / "people.csv"
    path.write_text(text, encoding="utf-8")
    return ("--directory", path, "--rules", DESK_RULES)


def test_exports_are_told_in_tables_by_pseudonym(exports: tuple[str, ...]) -> None:
    """Constraints, persons, roles and the matrix on stdout; the sum and what is not known on stderr."""
    said = well("duties", "analyse", *exports)
    lines = [line.split() for line in said.out.splitlines()]
    assert ["F001", "HIGH", "at", "most", "1", "of", "2", "2", "-"] in lines
    assert any(line[:2] == ["F002", "LOW"] and "ghost)" in line for line in lines)
    assert ["u-000001", "1", "-", "F001"] in lines
    assert ["pay", "2", "2x", "0x"] in lines
    assert "Max M" not in said.out + said.err
    assert "3 persons, 5 assignments: 2 persons could break 1 constraints." in said.err
    assert "what users did was not looked at" in said.err


def test_names_are_shown_when_asked_for(exports: tuple[str, ...]) -> None:
    """Whoever has the file may see what is in it; they are no markup and no escape sequences."""
    assert "u-000001 (Max M)" in well("duties", "analyse", *exports, "--names").out
    told = well("duties", "analyse", *exports, "--json").json()
    assert "Max M" not in json.dumps(told)
    told = well("duties", "analyse", *exports, "--json", "--names").json()
    assert [person["name"] for person in told["people"]] == ["Max M", "=1+2"]


def test_as_json_it_is_one_document(exports: tuple[str, ...]) -> None:
    """Everything that was found and what was not looked at; the same bytes for the same files."""
    said = well("duties", "analyse", *exports, "--json")
    assert said.err == ""
    told = said.json()
    assert set(told) == {
        "source",
        "acts_read",
        "constraints",
        "people",
        "roles",
        "conflicts",
        "violations",
        "matrices",
        "notes",
    }
    assert [(one["id"], one["could"], one["did"]) for one in told["constraints"]] == [
        ("F001", 2, None),
        ("F002", 0, None),
    ]
    assert told["constraints"][1]["unknown"] == ["ghost"]
    assert told["conflicts"][0] == {
        "constraint": "F001",
        "chain": "",
        "person": "u-000001",
        "holds": [{"item": "pay", "through": []}, {"item": "post", "through": []}],
        "conditional": False,
    }
    (matrix,) = told["matrices"]
    assert (matrix["items"], matrix["people"][0]) == (["pay", "post", "ghost"], [2, 2, 0])
    assert matrix["apart"] == [["pay", "post"], ["pay", "ghost"]]
    assert well("duties", "analyse", *exports, "--json").out == said.out


def test_the_csv_has_a_row_for_each_finding_and_no_formula(exports: tuple[str, ...], tmp_path: Path) -> None:
    """As a spreadsheet opens it."""
    path = tmp_path / "findings.csv"
    said = well("duties", "analyse", *exports, "--names", "--csv", path)
    assert "Written: " in said.err
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    assert tuple(rows[0]) == COLUMNS
    assert [
        (row["finding"], row["constraint"], row["severity"], row["name"], row["items"]) for row in rows
    ] == [
        ("conflict", "F001", "HIGH", "Max M", "pay; post"),
        ("conflict", "F001", "HIGH", "'=1+2", "pay; post"),
    ]


@pytest.mark.parametrize("cell", ["=1+2", "+1", "-1", "@sum", " =1+2", "\t=1+2", "＝1+2", "＠x"])
def test_no_cell_is_a_formula_to_a_spreadsheet(cell: str) -> None:
    """Some leave out white space, or take letters of another width for the same."""
    assert harmless(cell) == f"'{cell}"
    assert harmless(f"x{cell}") == f"x{cell}"


def test_a_group_is_a_row_a_member(tmp_path: Path) -> None:
    """In the CSV, and on the terminal with its proof."""
    users, sets = tmp_path / "users.csv", tmp_path / "sets.csv"
    users.write_text("user,permission\nAna,p\nAna,q\nBea,r\n", encoding="utf-8")
    sets.write_text("id,permissions,people\nall,p;q;r,3\n", encoding="utf-8")
    path = tmp_path / "findings.csv"
    said = analyse("--export", users, "--constraints", sets, "--csv", path, "--fail-on", "conflicts")
    assert said.code == Exit.TESTS_FAILED
    assert "2 together" in said.out
    assert "u-000001: p, q; u-000002: r" in " ".join(said.out.split())
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    assert [(row["finding"], row["person"], row["items"]) for row in rows] == [
        ("group", "u-000001", "p; q"),
        ("group", "u-000002", "r"),
    ]


def test_a_directory_file_under_rules(tmp_path: Path) -> None:
    """Roles with inheritance, steps through grants, collusion numbers and what the directory cannot tell."""
    source = a_directory(tmp_path, DESK_PEOPLE + "p-20,Ulla Uno,ulla,trader;settlement_clerk\n")
    said = well("duties", "analyse", *source)
    lines = [line.split() for line in said.out.splitlines()]
    assert ["front_back", "deny", "at", "most", "1", "of", "3", "1", "-"] in lines
    assert any(line[:4] == ["whole_chain", "order_to_settlement", "3", "proved"] for line in lines)
    assert any(line[0] == "p-20" and line[2] == "-" for line in lines if line)
    assert "same_clerk: not told by the directory" in said.err
    assert "No ledger was read" in said.err
    assert "Ulla" not in said.out
    assert "Ulla Uno" in well("duties", "analyse", *source, "--names").out
    source = a_directory(tmp_path, DESK_PEOPLE + "p-20,[red]U\x1b[2J,ulla,trader;settlement_clerk\n")
    assert "p-20 ([red]U\ufffd[2J)" in well("duties", "analyse", *source, "--names").out
    assert analyse(*source, "--fail-on", "conflicts").code == Exit.TESTS_FAILED
    assert analyse(*source, "--fail-on", "violations").code == Exit.OK


def test_the_shipped_rules_are_the_default(tmp_path: Path) -> None:
    """As for `controls init`."""
    directory, path, *_ = a_directory(tmp_path, "person,account,roles\np-1,ana,trader\n")
    told = well("duties", "analyse", directory, path, "--json").json()
    assert "finance_apart" in [one["id"] for one in told["constraints"]]


@pytest.mark.parametrize(
    ("grant", "code"),
    [
        ("p-05=settlement_clerk", Exit.DENY),  # front_back
        ("p-07=trader", Exit.OK),  # kept apart on each chain
        ("p-05=head_of_desk", Exit.OK),
    ],
)
def test_a_grant_asked_about_ends_as_a_decision_would(tmp_path: Path, grant: str, code: Exit) -> None:
    """3 where the directory must refuse it; today's directory is measured beside."""
    source = a_directory(tmp_path, DESK_PEOPLE)
    said = analyse(*source, "--grant", grant, "--json")
    assert said.code == code
    told = said.json()
    (effect,) = told["grants"]
    assert (f"{effect['person']}={effect['role']}", told["grants_outcome"]) == (grant, effect["outcome"])
    assert not [one for one in told["conflicts"] if one["constraint"] == "front_back"]
    words = analyse(*source, "--grant", grant)
    assert f"{grant.replace('=', ' = ')}: {effect['outcome']}" in words.out


def test_a_grant_for_review_ends_with_4(tmp_path: Path) -> None:
    """The rules say what they make of it."""
    text = "person,account,roles\np-1,ana,trader\n"
    directory, path, *_ = a_directory(tmp_path, text)
    said = analyse(directory, path, "--grant", "p-1=supervisor")  # no_self_supervision of the shipped rules
    assert said.code == Exit.REVIEW
    assert "no_self_supervision (review, the directory must keep it)" in said.out


@pytest.mark.parametrize(
    "wrong",
    [
        ("--grant", "p-05"),
        ("--grant", "=trader"),
        ("--grant", "nobody=trader"),
        ("--grant", "p-05=wizard"),
        ("--language", "fr"),
        ("--fail-on", "nothing"),
        ("--csv", "/nowhere/at/all.csv"),
        ("--export", "users.csv"),
        ("--constraints", "none.csv"),
    ],
)
def test_what_cannot_be_done_is_a_usage_error(tmp_path: Path, wrong: tuple[str, str]) -> None:
    """Said in words that name the option's mistake; nothing is written."""
    said = analyse(*a_directory(tmp_path, DESK_PEOPLE), *wrong)
    assert said.code == Exit.USAGE
    assert said.out == ""


def test_exports_go_with_constraints_and_nothing_else(exports: tuple[str, ...], tmp_path: Path) -> None:
    """A matrix of another system says nothing of our chains."""
    for arguments in (exports[:2], (*exports, "--rules", str(DESK_RULES))):
        said = analyse(*arguments, "--json")
        assert (said.code, said.json()["code"]) == (Exit.USAGE, "sources_unclear")


def test_invalid_rules_end_with_5(tmp_path: Path) -> None:
    """As everywhere."""
    (tmp_path / "duties").mkdir()
    (tmp_path / "duties" / "x.yaml").write_text("- {id: x, kind: nonsense}\n", encoding="utf-8")
    people = a_directory(tmp_path, DESK_PEOPLE)[:2]
    assert analyse(*people, "--rules", tmp_path).code == Exit.RULES_INVALID


# -- a ledger ----------------------------------------------------------------------------------------------


def test_a_ledger_is_the_default_and_names_take_a_key(desk: Desk) -> None:
    """Pseudonyms for whoever has the database; names for a key with the scope directory."""
    env = desk.environment()
    told = well("duties", "analyse", "--json", env=env).json()
    assert (told["source"]["kind"], told["source"]["in_force"], told["acts_read"]) == ("ledger", True, True)
    assert {one["id"]: one["did"] for one in told["constraints"]}["front_back"] == 0
    said = analyse("--names", env=env)
    assert (said.code, "Names are for administrators" in said.err) == (Exit.FAILURE, True)
    said = analyse("--names", env=acting(desk, "reader"))
    assert (said.code, "lacks the scope directory" in said.err) == (Exit.FAILURE, True)
    said = analyse("--names", env={**env, "CONTROLS_KEY": "ck_wrong"})
    assert said.code == Exit.FAILURE
    assert "Tina Toro" in well("duties", "analyse", "--names", env=acting(desk)).out
    assert "Tina Toro" not in well("duties", "analyse", env=acting(desk)).out
    # Whoever may not see names cannot ask for them one by one either.
    assert analyse("--grant", "Tina Toro=reconciler", env=env).code == Exit.USAGE
    assert analyse("--grant", "Tina Toro=reconciler", "--names", env=acting(desk)).code == Exit.DENY


def test_other_rules_can_be_laid_on_a_ledger(desk: Desk) -> None:
    """Before they are proposed; the release in force is another one, and that is told."""
    told = well("duties", "analyse", "--rules", "rules", "--json", env=desk.environment()).json()
    assert told["source"]["in_force"] is False


def test_a_database_without_a_ledger_is_told(empty: dict[str, str]) -> None:
    """And what to do."""
    said = analyse(env=dict(empty))
    assert said.code == Exit.FAILURE
    assert "controls init" in said.err
