"""What keeps a command from starting is told in words that fit the command."""

from __future__ import annotations

from pathlib import Path

import pytest

from controls.cli.output import Exit
from controls.cli.troubles import database_explained, read_rules, read_text
from controls.model.errors import ControlsError, InvalidInput, VerificationFailed
from controls.store.database import StoreUnavailable
from tests.desk import Desk

from .commands import controls
from .conftest import acting


def test_a_postgresql_without_tables_is_told_apart(desk: Desk, postgres_url: str, tmp_path: Path) -> None:
    """Every command that needs the ledger says `controls migrate`, not that guards are missing."""
    env = acting(desk) | {"CONTROLS_DATABASE_URL": postgres_url}
    for arguments in (
        ("ledger", "checkpoint"),
        ("ledger", "export", "--output", str(tmp_path / "never.jsonl")),
        ("keys", "list"),
    ):
        said = controls(*arguments, "--json", env=env)
        assert (said.code, said.json()["code"]) == (Exit.USAGE, "not_migrated"), arguments
    assert not (tmp_path / "never.jsonl").exists()


def test_a_database_that_is_down_is_told_with_its_address(desk: Desk, tmp_path: Path) -> None:
    """Exit code 1; the password is not shown, and nobody is told to retry a decision."""
    env = acting(desk) | {"CONTROLS_DATABASE_URL": "postgresql+asyncpg://me:secret-word@127.0.0.1:1/controls"}
    for arguments in (("ledger", "checkpoint"), ("changes", "list"), ("keys", "revoke", "x")):
        said = controls(*arguments, env=env)
        assert (said.code, said.out) == (Exit.FAILURE, ""), arguments
        assert "127.0.0.1:1" in said.err
        assert "secret-word" not in said.err
        assert "Idempotency-Key" not in said.err


def test_a_file_that_is_no_database_is_told(desk: Desk, tmp_path: Path) -> None:
    """Somebody's text file is not migrated, not asked and not changed."""
    path = tmp_path / "notes.txt"
    path.write_text("this is no database, " * 100)
    env = acting(desk) | {"CONTROLS_DATABASE_URL": f"sqlite+aiosqlite:///{path}"}
    for arguments in (("migrate",), ("ledger", "checkpoint"), ("changes", "list")):
        said = controls(*arguments, env=env)
        assert (said.code, said.out) == (Exit.FAILURE, ""), arguments
        assert str(path) in said.err
    assert path.read_text() == "this is no database, " * 100


def test_a_good_database_that_did_not_answer_is_not_blamed_on_its_version(desk: Desk) -> None:
    """A lock or a full disk: what to look at, and that nothing was changed."""
    with pytest.raises(ControlsError) as told, database_explained(desk.settings.database_url):
        raise StoreUnavailable(TimeoutError())
    assert told.value.code == "store_unavailable"
    assert "Nothing was changed" in told.value.detail
    assert "Idempotency-Key" not in told.value.help


def test_other_errors_are_left_alone(desk: Desk) -> None:
    """Missing guards on tables of the right version stay what they are."""
    for error in (VerificationFailed("guards_missing", "A"), InvalidInput("x", "X")):
        with pytest.raises(ControlsError) as told, database_explained(desk.settings.database_url):
            raise error
        assert told.value is error


def test_text_is_read_without_its_byte_order_mark(tmp_path: Path) -> None:
    """As spreadsheets write it; anything but UTF-8 is refused by name."""
    path = tmp_path / "people.csv"
    path.write_bytes(b"\xef\xbb\xbfperson")
    assert read_text(path) == "person"
    path.write_bytes("Núñez".encode("latin-1"))
    with pytest.raises(InvalidInput, match="utf-8"):
        read_text(path)
    with pytest.raises(InvalidInput, match="people"):
        read_rules(tmp_path / "people.csv")
