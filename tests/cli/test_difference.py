"""`controls rules diff`: words, JSON and exit codes; folders and stored releases."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from controls.cli.output import Exit
from tests.desk import DESK_RULES, start_desk

from .commands import controls, well
from .conftest import acting

LIMITS = "regulatory/pre_trade/limits.yaml"
THRESHOLD = ('value: "10000000.00 EUR", type: money', 'value: "10200000.00 EUR", type: money')
LAW = ("basis: policy}\n  when: order.notional + ", "basis: law}\n  when: order.notional + ")


def edited(folder: Path, *edits: tuple[str, str], name: str = LIMITS) -> Path:
    """A copy of the desk's rules with texts of one file replaced."""
    rules = shutil.copytree(DESK_RULES, folder)
    text = (rules / name).read_text(encoding="utf-8")
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (rules / name).write_text(text, encoding="utf-8")
    return rules


def test_a_loosened_threshold_is_told_with_its_place_and_a_request(tmp_path: Path) -> None:
    """A table on stdout, the proof below it, the counts on stderr; exit code 0 without `--fail-on`."""
    said = well("rules", "diff", DESK_RULES, edited(tmp_path / "b", THRESHOLD))
    assert re.search(
        r"^loosening +parameter +pre\.credit_capital_threshold\.threshold", said.out, re.MULTILINE
    )
    assert f"{LIMITS}:10" in said.out
    assert "no request gets a stricter answer, and some a milder one" in said.out
    assert re.search(r"order\.approve with .*order\.notional = .*: A deny, B permit", said.out)
    assert said.err.strip() == "1 changes: 1 loosening."


def test_as_json_it_is_one_document(tmp_path: Path) -> None:
    """The digests are those of `rules check`; nothing on stderr."""
    other = edited(tmp_path / "b", THRESHOLD)
    said = well("rules", "diff", DESK_RULES, other, "--json")
    assert said.err == ""
    told = said.json()
    digests = [well("rules", "check", folder, "--json").json()["release"] for folder in (DESK_RULES, other)]
    assert [told["a"], told["b"]] == digests
    (change,) = told["changes"]
    assert change["a"] == change["b"] == {"file": LIMITS, "line": 10}
    assert (change["class"], change["before"], change["after"]) == (
        "loosening",
        "10000000 EUR",
        "10200000 EUR",
    )
    (request,) = change["requests"]
    assert (request["a"], request["b"]) == ("deny", "permit")
    assert told["permissions"] == []


def test_the_same_rules_differ_in_nothing() -> None:
    """That is said, and stdout stays empty."""
    said = well("rules", "diff", DESK_RULES, DESK_RULES)
    assert (said.out, said.err.strip()) == ("", "Nothing differs: every request gets the same answer.")


def test_fail_on_ends_with_6_only_where_b_is_looser(tmp_path: Path) -> None:
    """For a pipeline: loosening fails, its opposite does not; what is not proved fails when asked to."""
    other = edited(tmp_path / "b", THRESHOLD)
    kind = ("kind: bind, steps: [instruct, settle]", "kind: separate, steps: [instruct, settle]")
    unlike = edited(tmp_path / "c", kind, name="duties/desk.yaml")
    for a, b, on, code in (
        (DESK_RULES, other, "loosening", Exit.TESTS_FAILED),
        (other, DESK_RULES, "loosening", Exit.OK),
        (other, DESK_RULES, "not-proved", Exit.OK),
        (DESK_RULES, unlike, "loosening", Exit.OK),
        (DESK_RULES, unlike, "not-proved", Exit.TESTS_FAILED),
    ):
        assert controls("rules", "diff", a, b, "--fail-on", on).code == code
    assert controls("rules", "diff", DESK_RULES, other, "--fail-on", "nonsense").code == Exit.USAGE


def test_rules_that_do_not_load_and_folders_that_are_none(tmp_path: Path) -> None:
    """Exit code 5 with the diagnostics, and 2 with the folder's name."""
    broken = edited(tmp_path / "b", ("when: order.notional > size", "when: order.nothing > size"))
    said = controls("rules", "diff", DESK_RULES, broken, "--json")
    assert (said.code, said.json()["code"]) == (Exit.RULES_INVALID, "rule_files_invalid")
    assert "order.nothing" in said.json()["detail"]
    said = controls("rules", "diff", tmp_path / "nowhere", DESK_RULES)
    assert said.code == Exit.USAGE
    assert "nowhere" in said.err


def test_the_release_in_force_is_a_side_and_law_is_kept(migrated_sqlite_url: str, tmp_path: Path) -> None:
    """`active` and its digest are the same; what a law asks for is loosened by no release."""
    law = edited(tmp_path / "law", LAW)
    loose = edited(tmp_path / "loose", LAW, THRESHOLD)
    tight = edited(tmp_path / "tight", LAW, ('value: "10000000.00', 'value: "9000000.00'))
    desk = start_desk(tmp_path, database_url=migrated_sqlite_url, rules=law)
    env = acting(desk)
    told = well("rules", "diff", "active", law, "--json", env=env).json()
    assert told["changes"] == []
    told = well("rules", "diff", told["a"], loose, "--json", env=env).json()
    (change,) = told["changes"]
    assert (change["class"], change["a"]) == ("loosening", {"file": LIMITS, "line": None})
    unknown = controls("rules", "diff", "sha256:" + "0" * 64, law, "--json", env=env)
    assert (unknown.code, unknown.json()["code"]) == (Exit.FAILURE, "release_unknown")
    refused = controls("release", "activate", loose, "--json", env=env)
    assert (refused.code, refused.json()["code"]) == (Exit.FAILURE, "law_loosened")
    assert (
        "pre.credit_capital_threshold.threshold (basis law): 10000000 EUR -> 10200000 EUR"
        in (refused.json()["detail"])
    )
    assert refused.json()["errors"][0]["code"] == "pre.credit_capital_threshold.threshold"
    assert well("release", "activate", tight, "--json", env=env).json()["state"] == "proposed"
