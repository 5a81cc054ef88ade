"""`controls migrate` and `controls init`: a ledger starts once, whole or not at all."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from controls.cli import operate
from controls.cli.output import Exit
from controls.store.database import CommitUnknown
from controls.store.migrate import current_revision, newest_revision
from tests.desk import DESK_RULES

from .commands import controls, program, verify, well
from .conftest import BOTH, init_arguments, settings


def secrets_of(env: Mapping[str, str]) -> Path:
    return Path(env["CONTROLS_SIGNING_KEY_FILE"])


def nothing_was_made(env: Mapping[str, str]) -> bool:
    """No key, no kept checkpoint, no ledger."""
    made = [env["CONTROLS_SIGNING_KEY_FILE"], env["CONTROLS_CHECKPOINT_FILE"]]
    return not any(Path(path).exists() for path in made) and not has_ledger(env)


def has_ledger(env: Mapping[str, str]) -> bool:
    said = controls("ledger", "checkpoint", "--json", env=env)
    assert said.code == 0 or said.json()["code"] == "no_checkpoint", said
    return said.code == 0


# -- migrate -----------------------------------------------------------------------------------------------


def test_migrate_makes_folder_file_and_tables_and_does_nothing_twice(tmp_path: Path) -> None:
    """From nothing to the newest revision, in words and as JSON; again is no error."""
    url = f"sqlite+aiosqlite:///{tmp_path}/new/folder/controls.db"
    said = well("migrate", "--json", env={"CONTROLS_DATABASE_URL": url})
    assert said.json() == {"revision": newest_revision()}
    assert current_revision(url) == newest_revision()
    again = well("migrate", env={"CONTROLS_DATABASE_URL": url})
    assert again.out == f"The database is at revision {newest_revision()}.\n"


def test_migrate_brings_an_empty_postgresql_up(postgres_url: str) -> None:
    """The same command on the other database."""
    well("migrate", env={"CONTROLS_DATABASE_URL": postgres_url})
    assert current_revision(postgres_url) == newest_revision()


@pytest.mark.parametrize("place", ["file.txt/controls.db", "folder"])
def test_migrate_says_which_database_cannot_be_reached(tmp_path: Path, place: str) -> None:
    """A path through a file and a folder instead of a file are told in words."""
    (tmp_path / "file.txt").write_text("no folder")
    (tmp_path / "folder").mkdir()
    said = controls("migrate", env={"CONTROLS_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path}/{place}"})
    assert said.code in (Exit.FAILURE, Exit.USAGE)
    assert str(tmp_path) in said.err
    assert "Traceback" not in said.err


def test_migrate_says_that_no_postgresql_answers() -> None:
    """A port on which nobody listens is a failure with the address, without its password."""
    url = "postgresql+asyncpg://somebody:secret-word@127.0.0.1:1/controls"
    said = controls("migrate", "--json", env={"CONTROLS_DATABASE_URL": url})
    assert said.code == Exit.FAILURE
    assert said.json()["code"] == "database_unreachable"
    assert "127.0.0.1:1" in said.json()["detail"]
    assert "secret-word" not in said.out + said.err


# -- init --------------------------------------------------------------------------------------------------


def test_init_starts_a_ledger_that_can_be_verified(
    people: Path, tmp_path: Path, migrated_database_url: str
) -> None:
    """Keys by name, a signing key that only its owner can read, a kept checkpoint, and entry 0 verifies."""
    env = settings(tmp_path, migrated_database_url)
    told = well(*init_arguments(people, *BOTH, "--caller", "oms", "--json"), env=env).json()
    assert set(told) == {"origin", "vkey", "release", "keys"}
    assert told["origin"] == "bank.example/orders"
    assert set(told["keys"]) == {"oms", "alma.admin", "blas.admin"}
    assert len(set(told["keys"].values())) == 3
    key = secrets_of(env)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert key.read_text().startswith("PRIVATE+KEY+bank.example/orders+")
    export = tmp_path / "ledger.jsonl"
    well("ledger", "export", "--output", export, env=env)
    checked = verify(export, told["vkey"], "--checkpoint", env["CONTROLS_CHECKPOINT_FILE"], "--json")
    assert checked.code == 0
    assert (checked.json()["entries"], checked.json()["verified"]) == (1, True)
    written = export.read_text()
    assert not any(text in written for text in (*told["keys"].values(), "Alma", "alma.admin"))


def test_init_in_words_shows_each_key_once_and_the_key_to_verify_with(
    people: Path, empty: Mapping[str, str]
) -> None:
    """What a person must keep is on stdout."""
    said = well(*init_arguments(people, *BOTH), env=empty)
    lines = said.out.splitlines()
    assert lines[0].startswith("Ledger bank.example/orders started.")
    assert lines[1].strip().startswith("bank.example/orders+")
    assert [line.split(":")[0].strip() for line in lines if ": ck_" in line] == [
        "order-system",
        "alma.admin",
        "blas.admin",
    ]


def test_the_shipped_rules_start_a_ledger(empty: Mapping[str, str], tmp_path: Path) -> None:
    """Without --rules the ledger starts with the rule files that come with the product."""
    people = tmp_path / "people.csv"
    people.write_text(
        "person,name,account,roles\np-1,Ana,a.admin,administrator\np-2,Leo,l.admin,administrator\n"
    )
    arguments = ("--administrator", "a.admin", "--administrator", "l.admin", "--origin", "bank.example/x")
    told = well("init", "--directory", people, *arguments, "--json", env=empty).json()
    assert told["release"] == controls("rules", "check", "--json").json()["release"]


ORIGIN = ("--origin", "bank.example/orders")


@pytest.mark.parametrize(
    ("administrators", "said"),
    [
        (("alma.admin",), "two different persons"),
        (("alma.admin", "nobody.here"), "nobody.here: is not an account of the directory file"),
        (("alma.admin", "tina.trader"), "tina.trader: its person lacks the role administrator"),
        (("alma.admin", "alma.two"), "two different persons"),
        (("alma.admin", "alma.admin"), "same name"),
    ],
)
def test_a_ledger_starts_with_two_different_administrators(
    people: Path, empty: Mapping[str, str], administrators: tuple[str, ...], said: str
) -> None:
    """One alone, an unknown one, somebody else, or one person twice: refused, and nothing is left behind."""
    with people.open("a") as file:
        file.write("p-01,Alma Arce,alma.two,administrator\n")
    named = [part for login in administrators for part in ("--administrator", login)]
    refused = controls(*init_arguments(people, *named, *ORIGIN), env=empty)
    assert (refused.code, refused.out) == (Exit.USAGE, "")
    assert said in refused.err
    assert nothing_was_made(empty)
    well(*init_arguments(people, *BOTH), env=empty)


@pytest.mark.parametrize(
    ("change", "code", "exit"),
    [
        ({"--origin": "demo/desk"}, "demo_origin", Exit.USAGE),
        ({"--origin": "bank example"}, "", Exit.USAGE),
        ({"--origin": ""}, "", Exit.USAGE),
        ({"--directory": "nowhere.csv"}, "file_unreadable", Exit.USAGE),
        ({"--rules": "nowhere"}, "rules_missing", Exit.USAGE),
        ({"--caller": "alma.admin"}, "key_names", Exit.USAGE),
    ],
)
def test_an_init_that_is_refused_leaves_nothing(
    people: Path, empty: Mapping[str, str], change: dict[str, str], code: str, exit: int
) -> None:
    """Whatever is wrong, no key file stays that would block the next try."""
    said = {
        "--directory": str(people),
        "--rules": str(DESK_RULES),
        "--origin": "bank.example/orders",
        "--caller": "oms",
    } | change
    named = [part for pair in said.items() for part in pair]
    refused = controls("init", *named, *BOTH[:4], "--json", env=empty)
    assert refused.code == exit
    assert refused.json()["code"] == code or not code
    assert nothing_was_made(empty)


def test_a_directory_with_mistakes_is_refused_with_its_lines(people: Path, empty: Mapping[str, str]) -> None:
    """All mistakes at once, by line."""
    with people.open("a") as file:
        file.write("p-77,Una Uno,una.uno\np-78,Dos Dos,dos dos;,trader\n,,,\np-79,Tres,alma.admin,trader\n")
    refused = controls(*init_arguments(people, *BOTH), env=empty)
    assert refused.code == Exit.USAGE
    lines = [line.split(":")[0] for line in refused.err.splitlines() if line.startswith("line ")]
    assert lines == ["line 17", "line 18", "line 20"]
    assert nothing_was_made(empty)


def test_a_demo_may_be_called_a_demo(people: Path, empty: Mapping[str, str]) -> None:
    """Only production refuses an origin demo/…"""
    env = {**empty, "CONTROLS_MODE": "demo"}
    arguments = init_arguments(people, *BOTH[:4], "--origin", "demo/desk")
    assert well(*arguments, "--json", env=env).json()["origin"] == "demo/desk"


def test_a_database_without_tables_is_not_started(people: Path, tmp_path: Path) -> None:
    """Who forgot `controls migrate` is told so, and the next try works."""
    env = settings(tmp_path, f"sqlite+aiosqlite:///{tmp_path}/controls.db")
    refused = controls(*init_arguments(people, *BOTH, "--json"), env=env)
    assert (refused.code, refused.json()["code"]) == (Exit.USAGE, "not_migrated")
    assert not secrets_of(env).exists()
    well("migrate", env=env)
    well(*init_arguments(people, *BOTH), env=env)


def test_a_second_init_changes_nothing(people: Path, empty: Mapping[str, str], tmp_path: Path) -> None:
    """The key of a ledger is not overwritten; with another key file the ledger itself refuses."""
    well(*init_arguments(people, *BOTH), env=empty)
    before = {path: Path(path).read_bytes() for path in files_of(empty)}
    note = well("ledger", "checkpoint", env=empty).out
    for other in (
        empty,
        {**empty, "CONTROLS_CHECKPOINT_FILE": str(tmp_path / "another.txt")},
        {
            **empty,
            "CONTROLS_CHECKPOINT_FILE": str(tmp_path / "another.txt"),
            "CONTROLS_SIGNING_KEY_FILE": str(tmp_path / "another.key"),
        },
    ):
        refused = controls(*init_arguments(people, *BOTH), env=other)
        assert refused.code in (Exit.FAILURE, Exit.USAGE)
        assert refused.err
    assert not (tmp_path / "another.key").exists()
    assert not (tmp_path / "another.txt").exists()
    assert {path: Path(path).read_bytes() for path in files_of(empty)} == before
    assert well("ledger", "checkpoint", env=empty).out == note


def files_of(env: Mapping[str, str]) -> tuple[str, str]:
    return env["CONTROLS_SIGNING_KEY_FILE"], env["CONTROLS_CHECKPOINT_FILE"]


def test_a_checkpoint_that_was_kept_of_another_ledger_is_not_written_over(
    people: Path, empty: Mapping[str, str]
) -> None:
    """An empty database with a kept checkpoint is a lost ledger: starting anew must not hide that."""
    kept = Path(empty["CONTROLS_CHECKPOINT_FILE"])
    kept.parent.mkdir()
    kept.write_text("the last that is known of a ledger that was lost")
    refused = controls(*init_arguments(people, *BOTH, "--json"), env=empty)
    assert (refused.code, refused.json()["code"]) == (Exit.USAGE, "checkpoint_exists")
    assert kept.read_text().startswith("the last")
    assert not secrets_of(empty).exists()


def test_a_place_for_checkpoints_that_cannot_be_written_is_found_before_anything_is_made(
    people: Path, empty: Mapping[str, str], tmp_path: Path
) -> None:
    """Else the ledger would have started, and its keys would be lost with the error."""
    (tmp_path / "file.txt").write_text("no folder")
    env = {**empty, "CONTROLS_CHECKPOINT_FILE": f"{tmp_path}/file.txt/checkpoint.txt"}
    refused = controls(*init_arguments(people, *BOTH, "--json"), env=env)
    assert (refused.code, refused.json()["code"]) == (Exit.USAGE, "file_unwritable")
    assert nothing_was_made(empty)


def test_keys_of_a_ledger_that_was_started_are_shown_even_if_its_checkpoint_is_not_kept(
    people: Path, empty: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the ledger is committed nothing may take its keys away."""
    from controls.services.signing import CheckpointSigner

    def full(_signer: CheckpointSigner, _note: str, *, now: bool = False) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(CheckpointSigner, "keep", full)
    said = well(*init_arguments(people, *BOTH), env=empty)
    assert "alma.admin: ck_" in said.out
    assert "No space left on device" in said.err
    assert secrets_of(empty).exists()
    assert has_ledger(empty)


def test_an_init_whose_commit_went_unanswered_keeps_the_key(
    people: Path, empty: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger may have been started: its key must not be thrown away, and the way out is told."""

    async def unanswered(*_: Any) -> int:
        await asyncio.sleep(0)
        raise CommitUnknown(ConnectionResetError())

    monkeypatch.setattr(operate, "start_ledger", unanswered)
    refused = controls(*init_arguments(people, *BOTH, "--json"), env=empty)
    assert (refused.code, refused.json()["code"]) == (Exit.FAILURE, "commit_unknown")
    assert str(secrets_of(empty)) in refused.json()["help"]
    assert secrets_of(empty).exists()


def test_a_broken_init_takes_its_key_along(
    people: Path, empty: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect or Ctrl-C while the engines are built leaves no key file either."""

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(operate, "activate", interrupted)
    assert controls(*init_arguments(people, *BOTH), env=empty).code != 0
    assert nothing_was_made(empty)


def test_init_as_a_program_keeps_data_and_words_apart(people: Path, empty: Mapping[str, str]) -> None:
    """The JSON document is all of stdout, the key file is 0600 whatever the umask, stderr is quiet."""
    said = program(*init_arguments(people, *BOTH, "--json"), env=empty)
    assert (said.code, said.err) == (0, "")
    assert said.json()["keys"]
    assert stat.S_IMODE(secrets_of(empty).stat().st_mode) == 0o600
