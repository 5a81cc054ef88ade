"""Ledgers to run commands on; nothing of the caller's own settings reaches them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import pytest

from controls.cli import rule_tests, rules
from controls.services import releases
from controls.services.releases import CheckedRelease, check_release
from tests.desk import DESK_PEOPLE, DESK_RULES, Desk, start_desk


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands in this process read the environment."""
    for name in os.environ:
        if name.startswith("CONTROLS_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _checked_once(monkeypatch: pytest.MonkeyPatch, trials_here: None) -> None:
    """Commands in this process check the same files once: to check the shipped rules takes seconds."""

    def checked(files: Mapping[str, str]) -> CheckedRelease:
        return _checked(tuple(files.items()))

    for module in (releases, rules, rule_tests):
        monkeypatch.setattr(module, "check_release", checked)


@lru_cache(maxsize=32)
def _checked(files: tuple[tuple[str, str], ...]) -> CheckedRelease:
    return check_release(dict(files))


def settings(folder: Path, url: str) -> dict[str, str]:
    """The settings of a ledger of its own, as variables."""
    return {
        "CONTROLS_DATABASE_URL": url,
        "CONTROLS_SIGNING_KEY_FILE": str(folder / "secrets" / "ledger.key"),
        "CONTROLS_CHECKPOINT_FILE": str(folder / "outside" / "checkpoint.txt"),
        "CONTROLS_LOG_LEVEL": "warning",
    }


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """The desk's directory as a file."""
    path = tmp_path / "people.csv"
    path.write_text(DESK_PEOPLE, encoding="utf-8")
    return path


@pytest.fixture
def empty(tmp_path: Path, migrated_sqlite_url: str) -> Mapping[str, str]:
    """Settings with a migrated SQLite database that holds no ledger."""
    return settings(tmp_path, migrated_sqlite_url)


def init_arguments(people: Path, *more: str) -> tuple[str, ...]:
    """`controls init` for the desk; what is said again replaces nothing but adds an administrator."""
    return ("init", "--directory", str(people), "--rules", str(DESK_RULES), *more)


BOTH = ("--administrator", "alma.admin", "--administrator", "blas.admin", "--origin", "bank.example/orders")


@pytest.fixture
def desk(tmp_path: Path, migrated_sqlite_url: str) -> Desk:
    """The desk's ledger in a SQLite file."""
    return start_desk(tmp_path, database_url=migrated_sqlite_url)


@pytest.fixture
def any_desk(tmp_path: Path, migrated_database_url: str) -> Desk:
    """The desk's ledger, on each kind of database."""
    return start_desk(tmp_path, database_url=migrated_database_url)


def acting(desk: Desk, key: str = "admin1") -> dict[str, str]:
    """The desk's settings, for an administrator."""
    return {**desk.environment(), "CONTROLS_KEY": desk.keys[key]}
