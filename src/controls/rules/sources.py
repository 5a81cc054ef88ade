"""A set of rule files as nodes, each with its kind; and the one canonical text of such a set.

Guarantees: comments, layout and the order of keys and files change neither the document nor its digest;
scenarios, which are tests, are in neither.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Final, NoReturn

from controls.model.errors import Diagnostic, RuleFilesInvalid
from controls.model.values import Json
from controls.rules.csv_files import Grid, read_csv
from controls.rules.datasets import Data, DataFile, DataKind, data_file, data_of, grid_of_json
from controls.rules.decision_files import read_rows
from controls.rules.diagnostics import Diagnostics, Place, closest, quoted
from controls.rules.files import check_size, read_yaml
from controls.rules.nodes import Node, as_json, canonical_json, from_json
from controls.rules.structure import FILE_SHAPES, FileKind
from controls.rules.system import SYSTEM_FILES, SYSTEM_PREFIX

FORMAT: Final = 1
DOCUMENT: Final = "release"  # the file name in diagnostics about a stored document

_PART: Final = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}"
_PATHS: Final = (
    (re.compile(r"vocabulary\.yaml\Z"), FileKind.VOCABULARY),
    (re.compile(r"roles\.yaml\Z"), FileKind.ROLES),
    (re.compile(rf"chains/{_PART}\.yaml\Z"), FileKind.CHAIN),
    (re.compile(rf"duties/{_PART}\.yaml\Z"), FileKind.DUTY),
    (re.compile(rf"aggregates/{_PART}\.yaml\Z"), FileKind.AGGREGATE),
    (re.compile(rf"regulatory/{_PART}/{_PART}\.yaml\Z"), FileKind.RULE),
    (re.compile(r"calendars/[a-z][a-z0-9_]{0,62}\.yaml\Z"), FileKind.CALENDAR),
    (re.compile(rf"decisions/{_PART}\.csv\Z"), FileKind.DECISION),
    (re.compile(rf"scenarios/{_PART}\.yaml\Z"), FileKind.SCENARIO),
)
# The file's name is the name that conditions use: `list.restricted`.
_DATA_PATH: Final = re.compile(r"(list|table|rate)s/([a-z][a-z0-9_]{0,62})\.csv\Z")
_KNOWN: Final = (
    "vocabulary.yaml, roles.yaml, chains/*.yaml, duties/*.yaml, aggregates/*.yaml, "
    "regulatory/<stage>/*.yaml, decisions/*.csv, calendars/*.yaml, lists/*.csv, tables/*.csv, rates/*.csv, "
    "scenarios/*.yaml"
)
_FOLDERS: Final = (
    "vocabulary.yaml",
    "roles.yaml",
    "chains",
    "duties",
    "aggregates",
    "regulatory",
    "decisions",
    "calendars",
    "lists",
    "tables",
    "rates",
    "scenarios",
)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file that could be read. `clean`: its structure is right throughout."""

    path: str
    kind: FileKind
    node: Node
    clean: bool

    @property
    def system(self) -> bool:
        return self.path.startswith(SYSTEM_PREFIX)


@dataclass(frozen=True, slots=True)
class Sources:
    """All files by path, and the kinds of those that could not be read at all.

    `data_files`: lists, tables and rates; `broken_data`: `list.NAME` and the like of those that are wrong.
    """

    files: tuple[SourceFile, ...]
    unreadable: Mapping[str, FileKind] = field(default_factory=dict)
    data_files: tuple[DataFile, ...] = ()
    broken_data: frozenset[str] = frozenset()

    @property
    def data(self) -> Data:
        return data_of(self.data_files, self.broken_data)

    def of(self, kind: FileKind) -> tuple[SourceFile, ...]:
        return tuple(file for file in self.files if file.kind is kind)

    def clean(self, *kinds: FileKind) -> bool:
        """Whether every file of the kinds was read and is right in structure."""
        return set(kinds).isdisjoint(self.unreadable.values()) and all(
            file.clean for file in self.files if file.kind in kinds
        )

    def decisions(self) -> Mapping[str, Node | None]:
        """The grids of decision tables by path; None for what could not be read."""
        grids: dict[str, Node | None] = {
            path: None for path, kind in self.unreadable.items() if kind is FileKind.DECISION
        }
        grids.update((file.path, file.node if file.clean else None) for file in self.of(FileKind.DECISION))
        return grids


def read_sources(texts: Mapping[str, str], diagnostics: Diagnostics) -> Sources:
    """The given files and the built-in ones."""
    check_size(texts, diagnostics)
    diagnostics.raise_if_any()
    found = list(_system_sources())
    unreadable: dict[str, FileKind] = {}
    data: list[DataFile] = []
    broken: set[str] = set()
    for path in sorted(texts):
        named = _DATA_PATH.match(path)
        if named is not None:
            before = diagnostics.count
            file = _data_file(named, read_csv(path, texts[path], diagnostics), diagnostics)
            if file is None or diagnostics.count > before:
                broken.add(f"{named[1]}.{named[2]}")
            else:
                data.append(file)
            continue
        kind = _kind_of(path)
        if kind is None:
            diagnostics.add(_first(path), "unknown_file", _about_unknown(path))
            continue
        read = read_rows if kind is FileKind.DECISION else read_yaml
        node = read(path, texts[path], diagnostics)
        if node is None:
            unreadable[path] = kind
        else:
            found.append(_checked(path, kind, node, diagnostics))
    return Sources(tuple(found), unreadable, tuple(data), frozenset(broken))


def document_of(sources: Sources) -> bytes:
    """The canonical JSON of a set of files: what a release is, for ever."""
    files: dict[str, Json] = {
        file.path: as_json(file.node) for file in sources.files if file.kind is not FileKind.SCENARIO
    }
    files.update((file.path, file.as_json()) for file in sources.data_files)
    return canonical_json({"format": FORMAT, "files": files})


def digest_of(document: bytes) -> str:
    """The name of a release: `sha256:<hex>`."""
    return "sha256:" + hashlib.sha256(document).hexdigest()


def sources_of_document(document: bytes, diagnostics: Diagnostics) -> Sources:
    """The files of a stored document. Places are those of the files' first characters.

    Raises:
        RuleFilesInvalid: not a canonical document of this format.
    """
    files = _files_of(document)
    found: list[SourceFile] = []
    data: list[DataFile] = []
    for path, value in sorted(files.items()):
        named = _DATA_PATH.match(path)
        if named is not None:
            data.append(_stored_data_file(path, named, value, diagnostics))
            continue
        kind = _kind_of(path.removeprefix(SYSTEM_PREFIX))
        if kind is None or kind is FileKind.SCENARIO:
            _refuse(f"there is an unknown file {quoted(path)} in the stored release")
        try:
            node = from_json(value, file=path)
        except ValueError as error:
            _refuse(f"{quoted(path)} in the stored release: {error}")
        found.append(_checked(path, kind, node, diagnostics))
    found.sort(key=lambda file: not file.system)
    return Sources(tuple(found), data_files=tuple(data))


def _data_file(named: re.Match[str], grid: Grid | None, diagnostics: Diagnostics) -> DataFile | None:
    if grid is None:
        return None
    return data_file(grid, kind=DataKind(named[1]), name=named[2], diagnostics=diagnostics)


def _stored_data_file(path: str, named: re.Match[str], value: Json, diagnostics: Diagnostics) -> DataFile:
    try:
        file = _data_file(named, grid_of_json(value, file=path), diagnostics)
    except ValueError as error:
        _refuse(f"{quoted(path)} in the stored release: {error}")
    if file is None or file.as_json() != value:
        _refuse(f"{quoted(path)} in the stored release is not as a release keeps it")
    return file


def _files_of(document: bytes) -> Mapping[str, Json]:
    try:
        value = json.loads(document, parse_float=_refuse_number, parse_constant=_refuse_number)
        canonical = canonical_json(value)
    except (ValueError, RecursionError) as error:  # also text that is not UTF-8, and half characters
        _refuse(f"the stored release is not canonical JSON: {type(error).__name__}")
    if canonical != document:
        _refuse("the stored release is not canonical JSON: its bytes have been changed")
    if not document.endswith(f',"format":{FORMAT}}}'.encode()) or set(value) != {"files", "format"}:
        _refuse(f"the stored release is not of format {FORMAT}")
    files = value["files"]
    if not isinstance(files, dict) or not set(SYSTEM_FILES) <= set(files):
        _refuse("the stored release lacks the built-in system files")
    return files


def _refuse_number(text: str) -> NoReturn:
    raise ValueError(text)


def _refuse(message: str) -> NoReturn:
    raise RuleFilesInvalid((Diagnostic(DOCUMENT, 1, 1, "bad_document", message),))


def _checked(path: str, kind: FileKind, node: Node, diagnostics: Diagnostics) -> SourceFile:
    before = diagnostics.count
    FILE_SHAPES[kind].check(node, diagnostics)
    return SourceFile(path, kind, node, clean=diagnostics.count == before)


@cache
def _system_sources() -> Iterable[SourceFile]:
    diagnostics = Diagnostics()
    found: list[SourceFile] = []
    for path, text in sorted(SYSTEM_FILES.items()):
        kind = _kind_of(path.removeprefix(SYSTEM_PREFIX))
        node = read_yaml(path, text, diagnostics)
        assert kind is not None
        assert node is not None
        found.append(_checked(path, kind, node, diagnostics))
    diagnostics.raise_if_any()
    return tuple(found)


def _kind_of(path: str) -> FileKind | None:
    return next((kind for pattern, kind in _PATHS if pattern.match(path)), None)


def _first(path: str) -> Place:
    return Place(path if path.isprintable() and len(path) <= 300 else quoted(path), 1, 1)


def _about_unknown(path: str) -> str:
    if path.startswith(SYSTEM_PREFIX):
        return "the files under system/ are built in: remove it"
    if path.endswith(".yml"):
        return "name it .yaml"
    if path.startswith(("lists/", "tables/", "rates/")):
        return "lists, tables and rates are CSV files named as conditions name them: lists/restricted.csv"
    if path.startswith("calendars/"):
        return "name it in small letters, digits and _: calendars/target.yaml"
    if path.startswith("regulatory/"):
        return "put it into a folder of its stage: regulatory/<stage>/*.yaml"
    return f"no rule file belongs there: there are {_KNOWN}{closest(path.partition('/')[0], _FOLDERS)}"
