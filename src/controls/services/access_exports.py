"""Who holds what in another system, from the files that it exports.

Guarantees: users are known by pseudonyms in the order in which the files name them; columns that are not read
are told. The columns decide what a file is, by these names in any spelling of case, blanks and dashes:

    user,permission        user,role        role,permission        role,inherits
    kind,a,b               UA (user, role), PA (role, permission) or RH (role, inherited role) on each row
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from controls.duties.access import Access, Item, Sort
from controls.model.errors import InvalidInput
from controls.services.foreign_csv import ForeignFile, foreign_file

_USER: Final = (
    "user",
    "user_id",
    "userid",
    "user_name",
    "username",
    "person",
    "account",
    "login",
    "principal",
)
_ROLE: Final = ("role", "role_id", "role_name", "role_technical_name", "group", "profile")
_PERMISSION: Final = ("permission", "permission_id", "entitlement", "privilege", "transaction", "tcode")
_INHERITS: Final = ("inherits", "inherited_role", "junior_role", "child_role")
_KINDS: Final = ("UA", "PA", "RH")


@dataclass(frozen=True, slots=True)
class Exported:
    """What the files say. `names` gives each pseudonym's user; `unread` the columns left alone, by file."""

    access: Access
    names: Mapping[str, str]
    unread: Mapping[str, tuple[str, ...]]


def read_exports(paths: Iterable[Path]) -> Exported:
    """The access that several files describe together.

    Raises:
        InvalidInput: a file cannot be read, or nobody holds anything; the message names file and line.
    """
    reader = _Reader()
    for path in paths:
        with foreign_file(path) as file:
            reader.read(file)
    if not reader.assigned:
        raise InvalidInput(
            "nobody",
            "The exports name no user",
            help="Give a file with the columns user,role or user,permission (or kind,a,b with UA rows).",
        )
    return Exported(
        access=Access(reader.assigned, gives=reader.gives),
        names={pseudonym: user for user, pseudonym in reader.pseudonyms.items()},
        unread=reader.unread,
    )


@dataclass(slots=True)
class _Reader:
    pseudonyms: dict[str, str] = field(default_factory=dict)
    assigned: dict[str, list[Item]] = field(default_factory=dict)
    gives: dict[Item, set[Item]] = field(default_factory=dict)
    unread: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _items: dict[tuple[Sort, str], Item] = field(default_factory=dict)

    def read(self, file: ForeignFile) -> None:
        kind, a, b = (file.column(name) for name in ("kind", "a", "b"))
        user, role = file.column(*_USER), file.column(*_ROLE)
        permission, inherits = file.column(*_PERMISSION), file.column(*_INHERITS)
        if kind and a and b:
            used = {kind, a, b}
            self._tagged(file, kind, a, b)
        elif role and inherits:
            used = {role, inherits}
            self._pairs(file, {"RH": (role, inherits)})
        elif role and (user or permission):
            pairs = {"UA": (user, role), "PA": (role, permission)}
            pairs = {name: columns for name, columns in pairs.items() if all(columns)}
            used = {column for columns in pairs.values() for column in columns}
            self._pairs(file, pairs)
        elif user and permission:
            used = {user, permission}
            self._pairs(file, {"UP": (user, permission)})
        else:
            said = f"the columns {', '.join(file.header)} are none of user,permission; user,role; "
            raise file.wrong(1, "wrong_header", said + "role,permission; role,inherits; kind,a,b")
        left = tuple(column for column in file.header if column and column not in used)
        if left:
            self.unread[file.path.name] = left

    def _tagged(self, file: ForeignFile, kind: str, a: str, b: str) -> None:
        for row in file.rows():
            if row.cells[kind] not in _KINDS:
                said = f"kind {row.cells[kind][:40]!r} is none of {', '.join(_KINDS)}"
                raise file.wrong(row.line, "bad_kind", said)
            self._add(row.cells[kind], file.name(row, a), file.name(row, b))

    def _pairs(self, file: ForeignFile, pairs: Mapping[str, tuple[str, str]]) -> None:
        for row in file.rows():
            for kind, (one, other) in pairs.items():
                self._add(kind, file.name(row, one), file.name(row, other))

    def _add(self, kind: str, one: str, other: str) -> None:
        match kind:
            case "UA":
                self._assign(one, self._item(Sort.ROLE, other))
            case "UP":
                self._assign(one, self._item(Sort.PERMISSION, other))
            case "PA":
                self._give(one, self._item(Sort.PERMISSION, other))
            case _:
                self._give(one, self._item(Sort.ROLE, other))

    def _item(self, sort: Sort, name: str) -> Item:
        return self._items.setdefault((sort, name), Item(sort, name))

    def _assign(self, user: str, item: Item) -> None:
        pseudonym = self.pseudonyms.setdefault(user, f"u-{len(self.pseudonyms) + 1:06}")
        self.assigned.setdefault(pseudonym, []).append(item)

    def _give(self, role: str, item: Item) -> None:
        self.gives.setdefault(self._item(Sort.ROLE, role), set()).add(item)
