"""`controls replay`: what a person and a program are told; the figures themselves are in tests/services."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from controls.cli.output import Exit
from tests.databases import PROJECT

from .commands import controls, well

RULES = PROJECT / "tests" / "fixtures" / "rules" / "event_logs"
CHAIN = ("--rules", str(RULES), "--chain", "claim_handling_1")
LOG = """\
case,activity,resource,timestamp
c1,register request,Ana,2026-01-01T09:00:00Z
c1,check ticket,Ana,2026-01-01T10:00:00Z
c1,check ticket,Leo,2026-01-01T11:00:00Z
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.csv.gz"
    path.write_bytes(gzip.compress(LOG.encode()))
    return path


def test_in_words_it_tells_the_outcomes_the_reasons_and_examples(log: Path) -> None:
    """Tables on stdout, what was read on stderr, and no progress bar where there is no terminal."""
    said = well("replay", log, *CHAIN, "--everyone")
    assert said.err == "3 rows, 3 of them steps of the chain, 1 cases.\n"
    lines = [line.strip() for line in said.out.splitlines()]
    assert [line.split() for line in lines[1:4]] == [["permit", "2"], ["review", "0"], ["deny", "1"]]
    assert lines[4] == "1 cases with a denial."
    assert ["whole_chain", "1"] in [line.split() for line in lines]
    assert re.fullmatch(r"line 3: deny: .*Ana.*|line 3: deny: .*p-\d+.*", lines[-1])


@pytest.mark.parametrize(
    ("change", "exit", "code"),
    [
        (("--chain", "nonsense"), Exit.FAILURE, "chain_unknown"),
        (("--rules", "nowhere"), Exit.USAGE, "rules_missing"),
        (("--directory", "nowhere.csv"), Exit.USAGE, "who_is_known"),
    ],
)
def test_what_cannot_be_played_is_told(log: Path, change: tuple[str, ...], exit: int, code: str) -> None:
    """With an exit code and, on request, as JSON."""
    said = controls("replay", log, *CHAIN, "--everyone", *change, "--json")
    assert (said.code, said.json()["code"]) == (exit, code)


def test_it_must_be_said_who_the_people_are(log: Path) -> None:
    """Neither --everyone nor a directory: a usage error; a directory that is not there: another."""
    assert controls("replay", log, *CHAIN, "--json").json()["code"] == "who_is_known"
    said = controls("replay", log, *CHAIN, "--directory", "nowhere.csv", "--json")
    assert (said.code, said.json()["code"]) == (Exit.USAGE, "file_unreadable")


def test_a_log_that_is_not_there_is_told(tmp_path: Path) -> None:
    """In words, without a traceback."""
    said = controls("replay", tmp_path / "nowhere.csv", *CHAIN, "--everyone")
    assert (said.code, said.out) == (Exit.USAGE, "")
    assert "nowhere.csv" in said.err


def test_rules_with_mistakes_are_not_played(log: Path, tmp_path: Path) -> None:
    """Exit code 5, as for `rules check`."""
    (tmp_path / "rules" / "duties").mkdir(parents=True)
    (tmp_path / "rules" / "duties" / "x.yaml").write_text("- id: [\n")
    said = controls("replay", log, "--rules", tmp_path / "rules", "--chain", "x", "--everyone")
    assert said.code == Exit.RULES_INVALID
    assert "duties/x.yaml:" in said.err
