"""`controls ledger`: an export that a stranger can check, and everything that tampering does to it."""

from __future__ import annotations

import asyncio
import gzip
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from controls.cli import ledger
from controls.cli.output import Exit
from controls.ledger import verifier
from controls.ledger.note import generate_key
from controls.services.identifiers import new_id
from controls.services.outcomes import Reported, ReportOutcome
from tests.desk import WALK, Desk, an_order, ask, start_desk, submit

from .commands import controls, environment, verify, well

PRIVATE = "98765.43 EUR"


async def a_day(desk: Desk) -> None:
    """One order through the whole chain, one that is denied, and private facts."""
    service = desk.build()
    await service.start()
    try:
        order = an_order()
        for action, login in WALK:
            context = {"account": {"open_exposure": PRIVATE}}
            answer = await submit(service, desk.decide(ask(action, login, order, context=context)))
            report = ReportOutcome(new_id("out"), desk.key_ids["caller"], answer["id"], Reported.PERFORMED)
            await submit(service, report)
        await submit(service, desk.decide(ask("capture", "nobody.here")))
    finally:
        await service.close()


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Desk:
    """A desk with a day behind it; copied, never written to."""
    folder = tmp_path_factory.mktemp("day")
    for part in sqlite_template.parent.iterdir():
        shutil.copy(part, folder / part.name)
    desk = start_desk(folder, database_url=f"sqlite+aiosqlite:///{folder / sqlite_template.name}")
    asyncio.run(a_day(desk))
    return desk


@dataclass(frozen=True)
class Copy:
    """A copy of the day in a SQLite file of its own."""

    desk: Desk
    database: Path
    folder: Path

    @property
    def env(self) -> dict[str, str]:
        return self.desk.environment() | {"CONTROLS_DATABASE_URL": f"sqlite+aiosqlite:///{self.database}"}

    def tamper(self, *statements: str) -> None:
        """Drop every guard, change what is stored, and put every guard back as it was."""
        with sqlite3.connect(self.database) as connection:
            guards = connection.execute(
                "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
            ).fetchall()
            for name, _ in guards:
                connection.execute(f"DROP TRIGGER {name}")
            for statement in statements:
                assert connection.execute(statement).rowcount > 0, statement
            for _, text in guards:
                connection.execute(text)
        connection.close()

    def exported(self, *more: str) -> Path:
        path = self.folder / "export.jsonl"
        well("ledger", "export", "--output", path, *more, env=self.env)
        return path

    def checked(self, *more: str | Path) -> dict[str, Any]:
        """The report of the verifier, which is run here: the same function as its command."""
        path = self.exported()
        kept = self.desk.settings.checkpoint_file.read_text() if "kept" in more else None
        report = verifier.verify(path, [self.desk.vkey], kept)
        return {"code": report.code, "failures": {item.failure for item in report.problems}, "report": report}


@pytest.fixture
def copy(day: Desk, tmp_path: Path) -> Copy:
    source = Path(day.settings.database_url.removeprefix("sqlite+aiosqlite:///"))
    target = tmp_path / "copy.db"
    with sqlite3.connect(source) as old, sqlite3.connect(target) as new:
        old.backup(new)
    old.close()
    new.close()
    return Copy(day, target, tmp_path)


# -- export and checkpoint ---------------------------------------------------------------------------------


def test_a_stranger_verifies_the_export_with_the_public_key_alone(
    any_desk: Desk, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """On both databases: export, copy the verifier away, run it without the package."""
    asyncio.run(a_day(any_desk))
    apart = tmp_path_factory.mktemp("stranger")
    export, program = apart / "ledger.jsonl", apart / "verifier.py"
    said = well("ledger", "export", "--output", export, env=any_desk.environment())
    assert said.out == ""
    assert said.err.startswith("20 entries written to ")
    shutil.copy(verifier.__file__, program)
    done = subprocess.run(
        [sys.executable, "-I", str(program), str(export), "--key", any_desk.vkey],
        capture_output=True,
        text=True,
        cwd=apart,
        env=environment({}),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "entries      20, 1 chains;" in done.stdout
    assert "VERIFIED" in done.stdout


def test_the_same_ledger_gives_the_same_bytes(copy: Copy) -> None:
    """Twice, plain and compressed; the compressed one holds the plain one; JSON says what was written."""
    files = []
    for name in ("one.jsonl", "two.jsonl", "one.jsonl.gz", "two.jsonl.gz"):
        path = copy.folder / name
        said = well("ledger", "export", "--output", path, "--json", env=copy.env)
        assert said.json() == {"file": str(path), "entries": 20}
        files.append(path.read_bytes())
    plain, again, packed, packed_again = files
    assert plain == again == gzip.decompress(packed)
    assert packed == packed_again
    assert len(packed) < len(plain) / 2
    assert verify(copy.folder / "one.jsonl.gz", copy.desk.vkey).code == 0


def test_an_export_up_to_an_older_checkpoint_is_a_prefix(copy: Copy) -> None:
    """`--to` takes the size of a signed checkpoint; what follows it is not in the file."""
    whole = copy.exported().read_text().splitlines()
    entries = [line for line in whole if '"type":"entry"' in line]
    part = copy.exported("--to", "3").read_text().splitlines()
    assert [line for line in part if '"type":"entry"' in line] == entries[:3]
    report = verifier.verify(copy.folder / "export.jsonl", [copy.desk.vkey])
    assert (report.verified, report.entries) == (True, 3)


@pytest.mark.parametrize("size", ["0", "-1", "21", "1000000"])
def test_a_size_that_nobody_signed_is_refused(copy: Copy, size: str) -> None:
    """Exit code 1, and no file."""
    path = copy.folder / "never.jsonl"
    said = controls("ledger", "export", "--output", path, "--to", size, "--json", env=copy.env)
    assert (said.code, said.json()["code"]) == (Exit.FAILURE, "no_checkpoint")
    assert not list(copy.folder.glob("never*"))


def test_an_entry_in_the_middle_of_a_transaction_was_never_signed(copy: Copy) -> None:
    """A permit to allocate and its two lines are one tree head; a cut between them has none."""
    sizes = {line["size"] for line in lines_of(copy.exported()) if line["type"] == "checkpoint"}
    between = set(range(1, 21)) - sizes
    assert between
    said = controls(
        "ledger", "export", "--output", copy.folder / "x", "--to", str(min(between)), "--json", env=copy.env
    )
    assert said.json()["code"] == "no_checkpoint"


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("output", ["folder", "nowhere/ledger.jsonl", "file/ledger.jsonl", "."])
def test_a_place_that_cannot_be_written_is_told(copy: Copy, output: str) -> None:
    """A folder, a missing folder, a path through a file: exit code 2, and nothing is left behind."""
    (copy.folder / "folder").mkdir()
    (copy.folder / "file").write_text("mine")
    before = {path.name for path in copy.folder.iterdir()}
    said = controls("ledger", "export", "--output", copy.folder / output, env=copy.env)
    assert (said.code, said.out) == (Exit.USAGE, "")
    assert "cannot be written" in said.err
    assert {path.name for path in copy.folder.iterdir()} - {"copy.db-wal", "copy.db-shm"} == before


@pytest.mark.parametrize("name", ["ledger.jsonl", "ledger.jsonl.gz"])
def test_half_a_file_is_never_left_behind(copy: Copy, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full in the middle: the old file stays as it was, and no part of a new one."""
    path = copy.folder / name
    path.write_text("the export of yesterday")
    exported = ledger.export_ledger

    async def full(*arguments: Any, **more: Any) -> Any:
        count = 0
        async with aclosing(exported(*arguments, **more)) as lines:
            async for line in lines:
                yield line
                count += 1
                if count == 5:
                    raise OSError(28, "No space left on device")

    monkeypatch.setattr(ledger, "export_ledger", full)
    said = controls("ledger", "export", "--output", path, env=copy.env)
    assert said.code == Exit.USAGE
    assert "No space left on device" in said.err
    assert path.read_text() == "the export of yesterday"
    assert [item.name for item in copy.folder.glob("ledger*")] == [name]


def test_the_checkpoint_is_printed_as_it_was_signed(copy: Copy) -> None:
    """Byte for byte what a `controls-verify --checkpoint` takes; with --json its parts as well."""
    note = well("ledger", "checkpoint", env=copy.env)
    assert (note.out, note.err) == (copy.desk.settings.checkpoint_file.read_text(), "")
    told = well("ledger", "checkpoint", "--json", env=copy.env).json()
    assert (told["origin"], told["entries"], told["checkpoint"]) == ("demo/desk", 20, note.out)
    assert told["root"] == note.out.splitlines()[2]


def test_a_database_without_a_ledger_has_nothing_to_export(
    copy: Copy, empty: Mapping[str, str], tmp_path: Path
) -> None:
    """Exit code 1 in words, and no file."""
    env = copy.env | {"CONTROLS_DATABASE_URL": empty["CONTROLS_DATABASE_URL"]}
    for arguments in (("ledger", "checkpoint"), ("ledger", "export", "--output", str(tmp_path / "x.jsonl"))):
        said = controls(*arguments, env=env)
        assert (said.code, said.out) == (Exit.FAILURE, "")
        assert "checkpoint" in said.err
    assert not (tmp_path / "x.jsonl").exists()


# -- what tampering does -----------------------------------------------------------------------------------


def test_untouched_it_verifies_with_the_kept_checkpoint(copy: Copy) -> None:
    """The measure for everything below: the same steps without a change."""
    copy.tamper("UPDATE ledger_heads SET last_at = last_at")
    found = copy.checked("kept")
    assert (found["code"], found["failures"]) == (0, set())
    assert found["report"].erased == 0
    assert found["report"].disclosed > 0


CHANGED: dict[str, tuple[str, str]] = {
    "an entry says something else": (
        "UPDATE ledger_entries SET bytes = CAST(replace(CAST(bytes AS TEXT), 'permit', 'denied') AS BLOB)"
        ' WHERE "index" = 1',
        "root",
    ),
    "an entry names another person": (
        "UPDATE ledger_entries SET person = 'p-99',"
        " bytes = CAST(replace(CAST(bytes AS TEXT), 'p-05', 'p-99') AS BLOB) WHERE \"index\" = 1",
        "root",
    ),
    "a leaf was brought in line with changed bytes": (
        "UPDATE ledger_entries SET bytes = CAST(replace(CAST(bytes AS TEXT), 'p-05', 'p-99') AS BLOB),"
        " leaf = zeroblob(32) WHERE \"index\" = 1",
        "root",
    ),
    "the column of the person": ("UPDATE ledger_entries SET person = 'p-99' WHERE \"index\" = 1", "columns"),
    "the column of the time": ('UPDATE ledger_entries SET at = at + 1 WHERE "index" = 1', "columns"),
    "the column of the kind": ("UPDATE ledger_entries SET kind = 'outcome' WHERE \"index\" = 1", "columns"),
    "the column of the chain": ("UPDATE ledger_entries SET chain = NULL WHERE \"index\" = 1", "columns"),
    "the column of the id": ("UPDATE ledger_entries SET id = 'dec_x' WHERE \"index\" = 1", "columns"),
    "a disclosed value": (
        f"UPDATE ledger_disclosures SET data = replace(data, '{PRIVATE}', '1.00 EUR')"
        f" WHERE data LIKE '%{PRIVATE}%'",
        "disclosure",
    ),
    "a checkpoint's root": (
        "UPDATE ledger_checkpoints SET note = replace(note, '20' || char(10), '20' || char(10) || 'A')"
        " WHERE size = 20",
        "signature",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGED)
def test_what_was_changed_behind_the_guards_is_found(copy: Copy, what: str) -> None:
    """Bytes, columns, disclosures and checkpoints: the verifier names the failure."""
    statement, failure = CHANGED[what]
    copy.tamper(statement)
    found = copy.checked()
    assert found["code"] != 0
    assert failure in found["failures"]


def test_the_program_says_what_was_changed(copy: Copy) -> None:
    """`controls-verify`: its exit code is the failure's, and the entry is named."""
    copy.tamper(CHANGED["the column of the person"][0])
    said = verify(copy.exported(), copy.desk.vkey)
    assert said.code == verifier.Failure.COLUMNS
    assert "NOT VERIFIED" in said.out
    assert "entry 1: columns: " in said.out


def test_a_deleted_entry_stops_the_export(copy: Copy) -> None:
    """Exit code 7 with the number of the entry, and no file that looks like a ledger."""
    copy.tamper('DELETE FROM ledger_entries WHERE "index" = 4')
    path = copy.folder / "export.jsonl"
    said = controls("ledger", "export", "--output", path, env=copy.env)
    assert said.code == Exit.VERIFICATION_FAILED
    assert "entry 4 is missing" in said.err
    assert not path.exists()


def test_a_deleted_entry_whose_gap_was_closed_is_found(copy: Copy) -> None:
    """Whoever deletes an entry and numbers the others anew has another tree."""
    copy.tamper(
        'DELETE FROM ledger_entries WHERE "index" = 4',
        'UPDATE ledger_entries SET "index" = "index" - 1 WHERE "index" = 5',
        *(
            f'UPDATE ledger_entries SET "index" = {number - 1} WHERE "index" = {number}'
            for number in range(6, 20)
        ),
        "DELETE FROM ledger_checkpoints WHERE size = 20",
    )
    found = copy.checked()
    assert found["code"] != 0
    assert found["failures"] & {"root", "columns", "malformed"}


def test_entries_cut_off_at_the_end_are_found_with_a_kept_checkpoint_only(copy: Copy) -> None:
    """A shorter ledger is a good one to whoever has seen no longer one: keep checkpoints outside."""
    copy.tamper(
        'DELETE FROM ledger_entries WHERE "index" >= 3', "DELETE FROM ledger_checkpoints WHERE size > 3"
    )
    assert copy.checked()["code"] == 0
    found = copy.checked("kept")
    assert found["code"] == verifier.Failure.KEPT_CHECKPOINT
    said = verify(copy.exported(), copy.desk.vkey, "--checkpoint", copy.desk.settings.checkpoint_file)
    assert said.code == verifier.Failure.KEPT_CHECKPOINT


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_blobs SET data = CAST(replace(CAST(data AS TEXT), 'trader', 'tradex') AS BLOB)",
        "UPDATE ledger_blobs SET data = x'ff'",
        "UPDATE ledger_entries SET bytes = x'ff' WHERE \"index\" = 2",
        "UPDATE ledger_disclosures SET data = '{'",
    ],
)
def test_what_is_no_longer_what_it_was_stops_the_export(copy: Copy, statement: str) -> None:
    """Blobs that are not theirs and bytes that are no text: exit code 7, no file, no traceback."""
    copy.tamper(statement)
    path = copy.folder / "export.jsonl"
    said = controls("ledger", "export", "--output", path, env=copy.env)
    assert said.code == Exit.VERIFICATION_FAILED
    assert "keep the database as evidence" in said.err
    assert not path.exists()


def test_a_release_that_is_gone_is_found(copy: Copy) -> None:
    """Without the rules that it names an entry proves nothing."""
    copy.tamper("DELETE FROM ledger_blobs WHERE CAST(data AS TEXT) LIKE '%\"files\"%'")
    found = copy.checked()
    assert found["code"] == verifier.Failure.MISSING_BLOB


# -- what is allowed ---------------------------------------------------------------------------------------


def test_erased_values_leave_everything_else_provable(copy: Copy) -> None:
    """Deleting disclosures needs no trick, leaves no private value in the export, and is counted."""
    before = copy.checked("kept")["report"]
    assert PRIVATE in (copy.folder / "export.jsonl").read_text()
    with sqlite3.connect(copy.database) as connection:
        assert connection.execute("DELETE FROM ledger_disclosures").rowcount > 0
    connection.close()
    found = copy.checked("kept")
    after = found["report"]
    assert found["code"] == 0
    assert (after.disclosed, after.erased) == (0, before.disclosed)
    assert after.root == before.root
    written = (copy.folder / "export.jsonl").read_text()
    assert not any(private in written for private in (PRIVATE, "tina.trader", "nobody.here"))
    said = verify(copy.folder / "export.jsonl", copy.desk.vkey)
    assert f"0 private values disclosed, {before.disclosed} erased" in said.out


def test_one_erased_disclosure_is_counted_and_the_others_stay(copy: Copy) -> None:
    """Erasure is by entry."""
    before = copy.checked()["report"]
    with sqlite3.connect(copy.database) as connection:
        connection.execute('DELETE FROM ledger_disclosures WHERE "index" = 1')
    connection.close()
    after = copy.checked()["report"]
    assert after.verified
    assert after.erased > 0
    assert after.disclosed + after.erased == before.disclosed


# -- the verifier's own ends -------------------------------------------------------------------------------


def test_an_export_of_somebody_else_is_not_verified(copy: Copy) -> None:
    """Another key, a damaged key, a file that is none: told apart by exit code."""
    path = copy.exported()
    foreign = generate_key("demo/desk", seed=bytes(32)).verifying

    assert verify(path, foreign).code == verifier.Failure.SIGNATURE
    assert verify(path, copy.desk.vkey[:-4]).code == Exit.USAGE
    assert verify(copy.folder / "nowhere", copy.desk.vkey).code == Exit.USAGE
    half = copy.folder / "half.jsonl"
    half.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert verify(half, copy.desk.vkey).code == verifier.Failure.MALFORMED
