"""What keeps a command from starting, in words that say what to do: settings, database, addresses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from controls.bootstrap import read_rule_files
from controls.model.errors import ControlsError, FieldError, InvalidInput, VerificationFailed
from controls.store.database import StoreUnavailable
from controls.store.migrate import DatabaseUnreachable, current_revision, newest_revision


def settings_invalid(error: ValidationError) -> InvalidInput:
    """Settings that cannot be used, each under the name of its variable."""
    errors = tuple(
        FieldError(f"CONTROLS_{str(item['loc'][0]).upper()}", str(item["type"]), str(item["msg"]))
        for item in error.errors()
    )
    return InvalidInput(
        "settings_invalid",
        "The settings cannot be used",
        detail="\n".join(f"{item.pointer}: {item.message}" for item in errors),
        help="Correct these variables of the environment.",
        errors=errors,
    )


@contextmanager
def database_explained(url: str) -> Iterator[None]:
    """Say why a database did not answer a command: who waits for no decision cannot retry one.

    Raises:
        InvalidInput, DatabaseUnreachable: there are no tables, or those of another version; or no database.
    """
    try:
        yield
    except (StoreUnavailable, VerificationFailed) as error:
        if isinstance(error, StoreUnavailable) or error.code == "guards_missing":
            _check_revision(url, error)
        if isinstance(error, VerificationFailed):
            raise
        raise ControlsError(
            "store_unavailable",
            "The database did not do what it was asked",
            detail=f"{error.detail} Nothing was changed.",
            help="Look whether its disk is full or somebody holds a lock, and run the command again.",
        ) from error


def _check_revision(url: str, cause: ControlsError) -> None:
    """Blame the version of the tables, if that is what is wrong; guards of none are missing, too."""
    try:
        revision = current_revision(url)
    except DatabaseUnreachable:
        raise
    except ControlsError:
        return  # this role may not look; the first error stands
    if revision != newest_revision():
        raise InvalidInput(
            "not_migrated",
            "The database does not have this version's tables",
            detail=f"It is at revision {revision or 'none'}; this program needs {newest_revision()}.",
            help="Run `controls migrate`, and see that CONTROLS_DATABASE_URL names the right database.",
        ) from cause


def read_text(path: Path) -> str:
    """A CSV file that somebody named.

    Raises:
        InvalidInput: it is not there or is no UTF-8 text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            "file_unreadable", f"{path} cannot be read", detail=str(error), help="Name a UTF-8 CSV file."
        ) from None


def read_rules(folder: Path) -> Mapping[str, str]:
    """The rule files of a folder that somebody named.

    Raises:
        InvalidInput: there is no such folder, or no rule file in it.
        RuleFilesInvalid: a file is not UTF-8 text.
    """
    files = read_rule_files(folder)
    if not files:  # the wrong folder, most likely: it must not be said that all is well
        raise InvalidInput(
            "rules_missing", f"There are no rule files in {folder}", help="Name a folder with rule files."
        )
    return files


def unwritable(path: Path, error: Exception) -> InvalidInput:
    """A file or folder that somebody named and that cannot be written."""
    return InvalidInput(
        "file_unwritable", f"{path} cannot be written", detail=str(error), help="Name another file."
    )
