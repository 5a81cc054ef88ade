"""Hostile rule files are answered with clear diagnostics, within bounded time and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.databases import PROJECT
from tests.rules.hostile_files import DEEP, FILES, PATTERNS

MOST_SECONDS = 60  # of processor time for one case; on an idle machine the longest takes two
# Patterns that RE2 takes, and matches in linear time; every other one is refused.
SOUND = {
    "nested stars",
    "nested pluses",
    "alternatives that overlap",
    "optional letters",
    "many dots",
    "groups",
}


@pytest.fixture(scope="module")
def read() -> dict[str, tuple[list[str], float]]:
    """What a process with half a gibibyte of memory to spare says to every case."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.rules.hostile_files"],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert run.returncode == 0, run.stderr[-2_000:]
    found: dict[str, tuple[list[str], float]] = json.loads(run.stdout)
    return found


@pytest.mark.fuzz
@pytest.mark.parametrize("case", FILES)
def test_a_hostile_file_is_refused_in_time(read: dict[str, tuple[list[str], float]], case: str) -> None:
    """Random bytes, deep nesting, anchors and aliases, a million entries: in YAML and in CSV."""
    codes, seconds = read[case]
    assert codes
    assert "too_much_said" not in codes
    assert FILES[case][1] in (*codes, "")
    assert seconds < MOST_SECONDS


@pytest.mark.fuzz
@pytest.mark.parametrize("case", DEEP)
def test_a_hostile_condition_is_refused_in_time(read: dict[str, tuple[list[str], float]], case: str) -> None:
    """Deep or long, it is never read to its end."""
    codes, seconds = read[f"condition: {case}"]
    assert codes
    assert set(codes) <= {"too_deep", "too_large", "unknown_name"}
    assert seconds < MOST_SECONDS


@pytest.mark.fuzz
@pytest.mark.parametrize("case", PATTERNS)
def test_a_hostile_pattern_is_refused_or_matches_in_time(
    read: dict[str, tuple[list[str], float]], case: str
) -> None:
    """A pattern that a backtracking engine would try for ever is held against a thousand long texts."""
    codes, seconds = read[f"pattern: {case}"]
    assert (codes == []) is (case in SOUND)
    assert set(codes) <= {"bad_pattern", "too_large"}
    assert seconds < MOST_SECONDS
