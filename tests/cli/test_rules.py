"""`controls rules`: what is wrong with rule files, by place, with an exit code for each kind of end."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from controls.bootstrap import shipped
from controls.cli.output import Exit
from controls.rules.schema import KINDS
from tests.desk import DESK_RULES

from .commands import controls, forked, well

LIMITS = "regulatory/pre_trade/limits.yaml"
PLACE = re.compile(
    r"(?P<file>.+):(?P<line>[1-9]\d*):(?P<column>[1-9]\d*): (?P<code>[a-z_]+): (?P<message>\S.*)"
)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A copy of the desk's rule files."""
    return shutil.copytree(DESK_RULES, tmp_path / "rules")


def replaced(rules: Path, name: str, old: str, new: str) -> None:
    path = rules / name
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_good_rules_are_summed_up() -> None:
    """Exit code 0, no data on stdout, the counts and the release's digest on stderr."""
    rules = shipped("rules")
    said = well("rules", "check", rules)
    assert said.out == ""
    counts = (
        r"\d+ rules, \d+ duty constraints, \d chain kinds; (?:\d+ of \d+ scenarios and )?"
        r"(\d+) of (\d+) examples passed. sha256:\w{64}"
    )
    found = re.search(counts, said.err)
    assert found
    assert found[1] == found[2] != "0"
    told = well("rules", "check", rules, "--json").json()
    assert (told["valid"], told["failed"], told["examples"]) == (True, [], int(found[1]))
    assert told["release"] in said.err


def test_the_shipped_rules_are_checked_when_no_folder_is_named() -> None:
    """They are good, and the same wherever they are checked from."""
    told = well("rules", "check", "--json").json()
    assert told == well("rules", "check", shipped("rules"), "--json").json()
    assert told["valid"]
    assert not told["failed"]
    assert told["rules"] >= 12


def test_every_example_is_shown_on_both_engines(rules: Path) -> None:
    """`test` is a table with a row for each example and engine."""
    said = well("rules", "test", rules)
    rows = [line.split() for line in said.out.splitlines()[1:]]
    assert {row[-1] for row in rows} == {"ok"}
    count = well("rules", "check", rules, "--json").json()["examples"]
    assert len(rows) == count
    assert sum("durable" in row for row in rows) == sum("reference" in row for row in rows) == count // 2


def test_all_mistakes_are_told_at_once_with_file_line_and_column(rules: Path) -> None:
    """Exit code 5; each line on stdout is `file:line:column: code: message`, and the file is there."""
    replaced(rules, LIMITS, "order.notional + account.open_exposure", "order.nothing + account.open_exposure")
    replaced(rules, "roles.yaml", "{role: anyone, actions: [read]", "{role: nobody_knows, actions: [read]")
    (rules / "duties" / "broken.yaml").write_text("- id: x\n  kind: [unclosed\n")
    said = controls("rules", "check", rules)
    assert said.code == Exit.RULES_INVALID
    places = [PLACE.fullmatch(line) for line in said.out.splitlines()]
    assert len(places) >= 3
    for place in places:
        assert place, said.out
        lines = Path(place["file"]).read_text(encoding="utf-8").splitlines()
        assert int(place["line"]) <= len(lines) + 1
    named = {str(Path(place["file"]).relative_to(rules)) for place in places if place}
    assert {LIMITS, "roles.yaml", "duties/broken.yaml"} <= named
    assert f"{len(places)} mistakes; nothing was loaded." in said.err
    at = next(place for place in places if place and place["file"].endswith(LIMITS))
    source = (rules / LIMITS).read_text().splitlines()[int(at["line"]) - 1]
    assert source[int(at["column"]) - 1 :].startswith("order.nothing")
    assert controls("rules", "test", rules).out == said.out


def test_warnings_beside_a_mistake_are_not_counted_as_mistakes(rules: Path) -> None:
    """They are shown, and are not what keeps the files from being loaded."""
    replaced(rules, LIMITS, "order.notional + account.open_exposure > threshold", "threshold < threshold")
    said = controls("rules", "check", rules)
    assert said.code == Exit.RULES_INVALID
    told = [PLACE.fullmatch(line) for line in said.out.splitlines()]
    assert len(told) >= 1
    wrong = sum(" warning: " not in line for line in said.out.splitlines())
    assert f"{wrong} mistake" in said.err


def test_mistakes_as_json_are_one_document(rules: Path) -> None:
    """The same diagnostics, for programs; exit code 5 as well."""
    replaced(rules, LIMITS, "order.notional + account.open_exposure", "order.nothing + account.open_exposure")
    words = controls("rules", "check", rules)
    said = controls("rules", "check", rules, "--json")
    assert (said.code, said.err) == (Exit.RULES_INVALID, "")
    told = said.json()
    assert told["valid"] is False
    lines = [
        f"{rules / item['file']}:{item['line']}:{item['column']}: {item['code']}: {item['message']}"
        for item in told["diagnostics"]
    ]
    assert lines == words.out.splitlines() != []


@pytest.mark.parametrize("command", ["check", "test"])
def test_an_example_that_fails_is_told_with_its_place(rules: Path, command: str) -> None:
    """Exit code 6: the files load, but a rule does not do what its example promises."""
    replaced(rules, LIMITS, 'value: "10000000.00 EUR"', 'value: "99000000000.00 EUR"')
    said = controls("rules", command, rules)
    assert said.code == Exit.TESTS_FAILED
    failures = [line for line in said.out.splitlines() if line.startswith(f"{rules}/{LIMITS}:")]
    failures = [line for line in failures if ": warning: idle_example: " not in line]
    assert failures
    for line in failures:
        assert re.search(
            r":\d+: pre\.credit_capital_threshold: example '.+' on \w+: expected deny, got", line
        )
    told = controls("rules", command, rules, "--json")
    assert told.code == Exit.TESTS_FAILED
    assert len(told.json()["failed"]) == len(failures)


def test_a_folder_that_is_none_is_a_usage_error(tmp_path: Path) -> None:
    """Exit code 2 with the folder's name, in words and as JSON; a file is no folder either."""
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "nowhere", tmp_path / "file"):
        said = controls("rules", "check", place)
        assert (said.code, said.out) == (Exit.USAGE, "")
        assert str(place) in said.err
        told = controls("rules", "test", place, "--json")
        assert (told.code, told.json()["code"]) == (Exit.USAGE, "rules_missing")


def test_a_folder_without_rule_files_is_a_usage_error(tmp_path: Path) -> None:
    """Nothing is not good rules: whoever names the wrong folder must not be told that all is well."""
    (tmp_path / "rule.txt").write_text("id: x")
    said = controls("rules", "check", tmp_path)
    assert (said.code, said.out) == (Exit.USAGE, "")
    assert str(tmp_path) in said.err


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"a: \x00b\n", "a: \ud800".encode("utf-8", "surrogatepass")]
)
def test_bytes_that_are_no_text_are_a_mistake_of_their_file(rules: Path, content: bytes) -> None:
    """Exit code 5 with the file's name, never a traceback."""
    (rules / "duties" / "strange.yaml").write_bytes(content)
    said = controls("rules", "check", rules)
    assert said.code == Exit.RULES_INVALID
    assert "duties/strange.yaml:" in said.out


def test_nothing_of_the_rules_needs_a_database_or_a_key(rules: Path) -> None:
    """With settings that would be refused anywhere else."""
    env = {"CONTROLS_DATABASE_URL": "mysql://nowhere", "CONTROLS_MODE": "sandbox"}
    assert forked("rules", "check", str(rules), env=env).code == 0


# -- schemas -----------------------------------------------------------------------------------------------


def test_the_committed_schemas_are_those_of_this_version(tmp_path: Path) -> None:
    """`schema --output` writes exactly what is in rules/.schemas."""
    well("rules", "schema", "--output", tmp_path / "new" / "schemas")
    written = {path.name: path.read_bytes() for path in (tmp_path / "new" / "schemas").iterdir()}
    committed = {path.name: path.read_bytes() for path in (shipped("rules") / ".schemas").iterdir()}
    assert written == committed
    assert set(written) == {f"{kind}.json" for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_one_schema_is_printed(kind: str) -> None:
    """The same document on stdout, and nothing else there."""
    said = well("rules", "schema", kind)
    assert said.json() == json.loads((shipped("rules") / ".schemas" / f"{kind}.json").read_text())
    assert said.err == ""


def test_an_unknown_schema_is_a_usage_error_that_names_the_known_ones() -> None:
    """So is none at all."""
    for arguments in (("nonsense",), ()):
        said = controls("rules", "schema", *arguments, env={"COLUMNS": "200"})
        assert said.code == Exit.USAGE
        assert all(kind in said.err for kind in KINDS)


def test_schemas_that_cannot_be_written_are_told(tmp_path: Path) -> None:
    """A path through a file is a usage error."""
    (tmp_path / "file").write_text("")
    said = controls("rules", "schema", "--output", tmp_path / "file" / "schemas")
    assert said.code == Exit.USAGE
    assert "cannot be written" in said.err


def test_a_warning_is_shown_and_refuses_only_when_asked(rules: Path) -> None:
    """Exit code 0 with the warning on stdout and in the JSON; 5 with --strict."""
    replaced(rules, "vocabulary.yaml", "facts:\n", FACT_FOR_NOBODY)
    said = well("rules", "check", rules)
    lines = said.out.splitlines()
    assert any(
        re.fullmatch(r".+vocabulary\.yaml:4:3: warning: unused_fact: .+'order\.nobody': .+", line)
        for line in lines
    )
    told = well("rules", "check", rules, "--json").json()
    assert len(told["diagnostics"]) == len(lines)
    assert {(item["code"], item["level"]) for item in told["diagnostics"]} == {("unused_fact", "warning")}
    assert controls("rules", "check", rules, "--strict").code == Exit.RULES_INVALID


FACT_FOR_NOBODY = "facts:\n  order.nobody: {type: int, label: {en: Nobody, es: Nadie}}\n"


def test_a_contradiction_refuses_the_files(rules: Path) -> None:
    """What can never be true is a mistake like any other: exit code 5, at its place."""
    old = "when: order.notional + account.open_exposure > threshold"
    replaced(
        rules, LIMITS, old, f"{old} && order.notional != order.notional + threshold - threshold - threshold"
    )
    replaced(
        rules, LIMITS, f"{old} && ", f'{old} && order.notional < "1 EUR" && order.notional > "2 EUR" && '
    )
    said = controls("rules", "check", rules)
    assert said.code == Exit.RULES_INVALID
    assert ": never_true: " in said.out


def test_a_code_is_explained() -> None:
    """What it means, how it comes about and what to do; the same as JSON."""
    said = well("rules", "explain", "unknown_name")
    assert said.out.startswith("unknown_name (error)\n")
    assert "order.quantiti > limit" in said.out
    assert "What to do: " in said.out
    told = well("rules", "explain", "unused_fact", "--json").json()
    assert (told["code"], told["level"]) == ("unused_fact", "warning")
    assert told["example"]["file"] == "vocabulary.yaml"


def test_a_rule_is_explained(rules: Path) -> None:
    """In the language asked for, from the folder named."""
    said = well("rules", "explain", "pre.credit_capital_threshold", "--rules", rules, "--language", "es")
    assert "entonces se deniega la solicitud." in said.out
    told = well("rules", "explain", "pre.credit_capital_threshold", "--rules", rules, "--json").json()
    assert (told["rule"], told["language"]) == ("pre.credit_capital_threshold", "en")
    assert "then the request is denied." in told["explanations"][0]["text"]


@pytest.mark.parametrize(
    ("sort", "name", "says"),
    [
        ("duty", "maker_checker", "Nobody takes more than one of these steps on one chain"),
        ("duty", "whole_chain", "no file weakens it"),
        ("chain", "order_to_settlement", "goes through these steps"),
        ("grant", "risk_officer:order:approve", "Whoever holds the role Risk officer"),
    ],
)
def test_duties_chains_and_grants_are_explained(rules: Path, sort: str, name: str, says: str) -> None:
    """By their ids, as words or as JSON."""
    assert says in well("rules", "explain", name, "--rules", rules).out
    told = well("rules", "explain", name, "--rules", rules, "--json").json()
    assert (told[sort], told["language"]) == (name, "en")
    assert any(says in item["text"] for item in told["explanations"])
    assert "maker_checker" in controls("rules", "explain", "maker_cheker", "--rules", rules).err


def test_what_is_no_code_and_no_rule_gets_a_suggestion() -> None:
    """Exit code 2 with the nearest code or rule; another language is refused as well."""
    said = controls("rules", "explain", "unknwon_name")
    assert (said.code, said.out) == (Exit.USAGE, "")
    assert "did you mean 'unknown_name'?" in said.err
    assert "pre.trading_ahead" in controls("rules", "explain", "pre.trading_ahed").err
    assert controls("rules", "explain", "unknown_name", "--language", "fr").code == Exit.USAGE
