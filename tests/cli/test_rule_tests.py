"""`controls rules test` and `controls rules coverage`, as people, build servers and programs see them."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from controls.cli.coverage_report import written
from controls.cli.output import Exit
from tests.databases import PROJECT
from tests.desk import DESK_RULES, Desk, ask, submit

from .commands import controls, environment, well

SCENARIO = """\
id: desk.capture
title: {en: A capture, es: Una captura}
start: 2026-03-02T09:30:00Z
facts:
  {order.account: A, order.instrument: I, order.notional: 1000.00 EUR, order.quantity: "1", order.side: buy}
steps:
  - {who: trader, asks: capture, expect: permit}
  - {who: reconciler, asks: capture, expect: {outcome: deny, contains: [no_grant]}}
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A copy of the desk's rule files, with a scenario."""
    folder = shutil.copytree(DESK_RULES, tmp_path / "rules")
    (folder / "scenarios").mkdir()
    (folder / "scenarios" / "desk.yaml").write_text(SCENARIO)
    return folder


def broken(rules: Path) -> Path:
    """The same with a scenario that expects what does not happen."""
    (rules / "scenarios" / "desk.yaml").write_text(SCENARIO.replace("expect: permit", "expect: review"))
    return rules


# -- test ---------------------------------------------------------------------------------------------------


def test_examples_and_scenarios_are_shown(rules: Path) -> None:
    """A row for each scenario below the examples, and the sum of both."""
    said = well("rules", "test", rules)
    rows = [line.split() for line in said.out.splitlines()]
    assert ["desk.capture", "scenarios/desk.yaml", "2", "2", "ok"] in rows
    assert "1 of 1 scenarios and " in said.err
    assert "% of the ways of rules are covered." in said.err


@pytest.mark.parametrize("command", ["check", "test"])
def test_a_scenario_that_fails_is_told_with_its_place(rules: Path, command: str) -> None:
    """Exit code 6, in words and for programs."""
    said = controls("rules", command, broken(rules))
    assert said.code == Exit.TESTS_FAILED
    place = f"{rules}/scenarios/desk.yaml:7: scenario desk.capture: step 1, capture by trader"
    assert [line for line in said.out.splitlines() if line.startswith(place)]
    told = controls("rules", command, rules, "--json")
    assert told.code == Exit.TESTS_FAILED
    (failed,) = told.json()["failed_scenarios"]
    assert (failed["scenario"], failed["passed"], failed["steps"]) == ("desk.capture", False, 2)
    assert failed["played"][0]["problems"]


def test_a_release_whose_scenarios_fail_is_not_proposed(rules: Path, desk: Desk) -> None:
    """Nor activated: the command ends with 6 before anything is asked of the ledger."""
    env = {**desk.environment(), "CONTROLS_KEY": desk.keys["admin1"]}
    said = controls("release", "activate", broken(rules), env=env)
    assert said.code == Exit.TESTS_FAILED
    assert "desk.capture" in said.err


def test_programs_get_every_result_and_the_coverage(rules: Path) -> None:
    """One document: results, scenarios step by step, and what is not covered."""
    told = well("rules", "test", rules, "--json").json()
    assert len(told["results"]) == told["examples"]
    assert all(item["passed"] for item in told["results"])
    (scenario,) = told["scenario_results"]
    assert [step["got"] for step in scenario["played"]] == ["permit", "deny"]
    items = {item["id"]: item for item in told["coverage"]["items"]}
    assert items["pre.large_order"]["unseen"] == []
    assert "fired" in items["maker_checker"]["unseen"]
    seen, ways = (sum(item[key] for item in items.values()) for key in ("covered", "ways"))
    assert told["coverage"]["percent"] == 100 * seen // ways


def test_what_is_not_covered_is_shown_when_asked(rules: Path) -> None:
    """A table of rules, duties and grants with the ways that no case has shown."""
    plain = well("rules", "test", rules).out
    shown = well("rules", "test", rules, "--coverage").out
    more = shown.removeprefix(plain)
    assert more != shown
    assert "maker_checker" in more
    assert "pre.large_order" not in more


def test_a_threshold_fails_when_it_is_not_reached(rules: Path) -> None:
    """Exit code 6 one percent above what is covered, 0 at it."""
    percent = well("rules", "test", rules, "--json").json()["coverage"]["percent"]
    assert 0 < percent < 100
    well("rules", "test", rules, "--threshold", str(percent))
    said = controls("rules", "test", rules, "--threshold", str(percent + 1))
    assert said.code == Exit.TESTS_FAILED
    assert f"{percent + 1} asked for" in said.err
    told = controls("rules", "test", rules, "--threshold", str(percent + 1), "--json")
    assert (told.code, told.json()["coverage"]["threshold"]) == (Exit.TESTS_FAILED, percent + 1)
    assert controls("rules", "test", rules, "--threshold", "101").code == Exit.USAGE


def test_junit_holds_a_case_for_every_result(rules: Path, tmp_path: Path) -> None:
    """Suites with counts that are right, names that tell engine and example apart, and places."""
    file = tmp_path / "results.xml"
    count = well("rules", "test", rules, "--junit", file, "--threshold", "1", "--json").json()["examples"]
    root = ET.parse(file).getroot()
    assert (root.tag, root.get("tests"), root.get("failures")) == ("testsuites", str(count + 2), "0")
    suites = {suite.get("name"): suite for suite in root}
    assert {name: len(suite) for name, suite in suites.items()} == {
        "examples": count, "scenarios": 1, "coverage": 1
    }  # fmt: skip
    cases = [(case.get("classname"), case.get("name")) for case in suites["examples"]]
    assert len(set(cases)) == count
    (scenario,) = suites["scenarios"]
    assert (scenario.get("file"), scenario.get("line")) == ("scenarios/desk.yaml", "1")


def test_junit_tells_failures_and_mistakes(rules: Path, tmp_path: Path) -> None:
    """A failed scenario and threshold are failures; files that do not load are errors."""
    file = tmp_path / "results.xml"
    said = controls("rules", "test", broken(rules), "--junit", file, "--threshold", "100")
    assert said.code == Exit.TESTS_FAILED
    root = ET.parse(file).getroot()
    failures = [(suite.get("name"), suite.get("failures")) for suite in root]
    assert failures == [("examples", "0"), ("scenarios", "1"), ("coverage", "1")]
    message = root.find(".//failure").get("message")  # type: ignore[union-attr]
    assert message is not None
    assert "expected review, got permit" in message
    (rules / "roles.yaml").write_text("roles: [")
    assert controls("rules", "test", rules, "--junit", file).code == Exit.RULES_INVALID
    root = ET.parse(file).getroot()
    assert int(root.get("errors", "")) == len(root.findall(".//error")) > 0


def test_junit_that_cannot_be_written_is_told(rules: Path, tmp_path: Path) -> None:
    """A usage error with the file's name."""
    said = controls("rules", "test", rules, "--junit", tmp_path / "nowhere" / "x.xml")
    assert said.code == Exit.USAGE
    assert "x.xml cannot be written" in said.err


# -- watch --------------------------------------------------------------------------------------------------


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_watching_tests_again_after_a_change_and_ends_with_ctrl_c(rules: Path, tmp_path: Path) -> None:
    """A mistake ends nothing; the next change is tested as well; Ctrl-C ends with 0 and no traceback."""
    out, err = tmp_path / "out", tmp_path / "err"
    with out.open("w") as told, err.open("w") as words:
        process = subprocess.Popen(
            [sys.executable, "-m", "controls.cli.main", "rules", "test", str(rules), "--watch"],
            env=environment({"PYTHONUNBUFFERED": "1"}),
            stdout=told,
            stderr=words,
            cwd=PROJECT,
        )
    try:
        until(lambda: err.read_text().count("Waiting for changes") == 1)
        assert "1 of 1 scenarios and " in err.read_text()
        (rules / "scenarios" / "desk.yaml").write_text("id: [")
        until(lambda: err.read_text().count("Waiting for changes") == 2)
        assert "nothing was loaded" in err.read_text()
        broken(rules)
        until(lambda: err.read_text().count("Waiting for changes") == 3)
        assert "0 of 1 scenarios and " in err.read_text()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert "Traceback" not in err.read_text() + out.read_text()


def test_watching_a_folder_that_is_none_ends_at_once(tmp_path: Path) -> None:
    """A usage error; so is a program that asks for JSON."""
    assert controls("rules", "test", tmp_path / "nowhere", "--watch").code == Exit.USAGE
    assert controls("rules", "test", tmp_path, "--watch", "--json").code == Exit.USAGE


# -- coverage -----------------------------------------------------------------------------------------------


def test_clauses_are_the_same_in_every_format(rules: Path) -> None:
    """Markdown, CSV and JSON hold the same lines; what no case shows stands out."""
    told = well("rules", "coverage", rules, "--clauses", "--format", "json").json()
    assert told == well("rules", "coverage", rules, "--clauses", "--json").json()
    assert [(item["law"], item["article"]) for item in told] == sorted(
        (item["law"], item["article"]) for item in told
    )
    manual = next(item for item in told if item["law"] == "Operations manual")
    assert (manual["article"], manual["basis"], manual["rules"]) == (
        "4.2.1",
        "policy",
        ["large_orders_apart"],
    )
    assert manual["attention"] == ["untested: large_orders_apart"]
    sec = next(item for item in told if item["law"] == "SEC Rule 15c3-5")
    assert (sec["reviewed"], sec["examples_firing"], sec["examples_silent"]) == (False, 1, 1)
    assert (sec["last_fired"], sec["attention"]) == (None, [])
    rows = list(
        csv.DictReader(io.StringIO(well("rules", "coverage", rules, "--clauses", "--format", "csv").out))
    )
    assert [row["law"] for row in rows] == [item["law"] for item in told]
    assert {row["law"]: row["attention"] for row in rows}["Operations manual"] == manual["attention"][0]
    lines = well("rules", "coverage", rules, "--clauses").out.splitlines()
    assert len(lines) == len(told) + 2
    assert any("**untested: large_orders_apart**" in line for line in lines)


def test_rules_are_listed_without_clauses(rules: Path) -> None:
    """One line for each rule, duty and condition of a grant."""
    told = well("rules", "coverage", rules, "--format", "json").json()
    kinds = {item["kind"] for item in told}
    assert kinds == {"rule", "duty", "grant"}
    large = next(item for item in told if item["id"] == "pre.large_order")
    assert (large["covered"], large["ways"], large["scenarios_silent"]) == (2, 2, 1)


async def test_the_ledger_says_when_a_rule_last_fired(rules: Path, desk: Desk) -> None:
    """The last time it fired, not one for want of a fact; what never did stands out."""
    service = desk.build()
    await service.start()
    try:
        body = ask("capture", "tina.trader", notional="6000000.00 EUR")
        await submit(service, desk.decide(body))
        last = await submit(service, desk.decide(ask("capture", "tina.trader", notional="7000000.00 EUR")))
        await submit(service, desk.decide(ask("capture", "tina.trader", notional=None)))
        entry = (await service.queries.decision(last["id"]))["entry"]
        fired = await service.queries.last_fired({"pre.large_order", "maker_checker"})
    finally:
        await service.close()
    assert list(fired) == ["pre.large_order"]
    assert isinstance(entry, dict)
    arguments = ("rules", "coverage", rules, "--clauses", "--ledger", "--format", "json")
    said = await asyncio.to_thread(well, *arguments, env=desk.environment())
    told = {item["rules"][0]: item for item in said.json()}
    assert told["pre.large_order"]["last_fired"] == entry["at"]
    assert told["pre.large_order"]["attention"] == []
    assert told["large_orders_apart"]["attention"] == [
        "untested: large_orders_apart",
        "never fired: large_orders_apart",
    ]


def test_the_ledger_must_be_there(rules: Path, tmp_path: Path) -> None:
    """A usage error that says what to do, and no coverage without the answer."""
    env = {"CONTROLS_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path}/none.db"}
    said = controls("rules", "coverage", rules, "--clauses", "--ledger", env=env)
    assert (said.code, said.out) == (Exit.USAGE, "")
    assert "controls migrate" in said.err
    assert controls("rules", "coverage", rules, "--ledger").code == Exit.USAGE
    assert controls("rules", "coverage", rules, "--format", "xml").code == Exit.USAGE


def test_rules_that_fail_are_listed_and_told(rules: Path) -> None:
    """Data on stdout stays data; the failure is on stderr and in the exit code."""
    said = controls("rules", "coverage", broken(rules), "--format", "json")
    assert said.code == Exit.TESTS_FAILED
    assert said.json()
    assert "desk.capture" in said.err
    (rules / "roles.yaml").write_text("roles: [")
    said = controls("rules", "coverage", rules, "--format", "json")
    assert (said.code, said.json()["valid"]) == (Exit.RULES_INVALID, False)


def test_cells_cannot_break_a_table_nor_be_formulas() -> None:
    """Bars are escaped in Markdown, and a cell that a spreadsheet would compute is text in CSV."""
    rows = [{"law": "=1+1|x", "article": None, "reviewed": True, "rules": ["a", "b"]}]
    assert written(rows, form="md").splitlines()[2] == "| =1+1\\|x |  | yes | a<br>b |"
    assert written(rows, form="csv").splitlines()[1] == "'=1+1|x,,yes,a; b"
    assert json.loads(written(rows, form="json")) == rows
    assert (written([], form="json"), written([], form="md")) == ("[]\n", "Nothing.\n")
