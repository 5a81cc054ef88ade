"""Builders of rule sets for tests."""

from __future__ import annotations

from pathlib import Path

from controls.model.errors import Diagnostic, RuleFilesInvalid
from controls.rules.datasets import Data
from controls.rules.diagnostics import Diagnostics
from controls.rules.release import compile_release
from controls.rules.sources import read_sources

FIXTURES = Path(__file__).parent.parent / "fixtures" / "rules"


def desk_files() -> dict[str, str]:
    """The texts of the small trading desk."""
    return read_folder(FIXTURES / "desk")


def read_folder(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*.yaml"))
    }


def read_case(path: Path) -> dict[str, str]:
    """The files of one text that holds several, each below a line `=== path`."""
    files: dict[str, str] = {}
    name = ""
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.startswith("=== "):
            name = line[4:].strip()
            files[name] = ""
        elif name:
            files[name] += line
    return files


def diagnostics_of(files: dict[str, str]) -> tuple[Diagnostic, ...]:
    """What is wrong with the files; nothing when they make a release."""
    try:
        compile_release(files)
    except RuleFilesInvalid as invalid:
        return invalid.diagnostics
    return ()


def data_of_files(files: dict[str, str]) -> Data:
    """The lists and tables of sound files."""
    diagnostics = Diagnostics()
    sources = read_sources(files, diagnostics)
    diagnostics.raise_if_any()
    return sources.data
