"""An export of the ledger as JSON lines: everything a stranger needs to check it, the same bytes each time.

Guarantees:

- the same ledger gives the same bytes: canonical JSON lines in one order (header, blobs by digest,
  entries by index, checkpoints by size, end), whoever writes them;
- entries and blobs travel as their exact bytes, as text;
- the last line counts the entries and holds the SHA-256 of all bytes before it, so that a damaged or
  truncated file is not taken for a whole one. (That is no proof: the proof is in the checkpoints.)

Nothing is read or written here: the writer turns values into lines, `read_export` lines into values.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, TypeAlias, TypeVar

from controls.ledger.canonical import exact_bytes, parse_exact
from controls.ledger.envelope import blob_digest
from controls.model.errors import VerificationFailed
from controls.model.values import Json

EXPORT_FORMAT: Final = "controls-export/1"
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_Field = TypeVar("_Field")


@dataclass(frozen=True, slots=True)
class Header:
    """Whose ledger this is and which entries, `[start, end)`, the export holds."""

    origin: str
    tenant: str
    vkey: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Blob:
    """A document that entries name by its digest: a release, a directory."""

    digest: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Columns:
    """What the database says of an entry beside its bytes; `at` in microseconds since 1970."""

    id: str
    kind: str
    at: int
    chain: str | None
    person: str | None


@dataclass(frozen=True, slots=True)
class ExportedEntry:
    """An entry with its columns and what is left of its disclosure."""

    index: int
    columns: Columns
    data: bytes
    disclosure: Mapping[str, Json] | None


@dataclass(frozen=True, slots=True)
class SignedHead:
    """A signed checkpoint, the note as it was signed."""

    size: int
    note: str


@dataclass(frozen=True, slots=True)
class End:
    """The last line: `digest` is that of all bytes before it, as 64 hex digits."""

    entries: int
    digest: str


Line: TypeAlias = Header | Blob | ExportedEntry | SignedHead | End
_ORDER: Final[dict[type[Line], int]] = {Header: 0, Blob: 1, ExportedEntry: 2, SignedHead: 3, End: 4}


class ExportWriter:
    """Makes the lines of one export, in order; each call returns the bytes to write next."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._digest = sha256()
        self._order = _Order()

    def header(self) -> bytes:
        head = self._header
        return self._line(
            head,
            {
                "type": "header",
                "format": EXPORT_FORMAT,
                "origin": head.origin,
                "tenant": head.tenant,
                "vkey": head.vkey,
                "from": head.start,
                "to": head.end,
            },
        )

    def blob(self, digest: str, data: bytes) -> bytes:
        """Raises ValueError when out of order, or when the data are not UTF-8 or not those of the digest."""
        if blob_digest(data) != digest:
            raise ValueError(f"the blob {digest} has other bytes")
        return self._line(
            Blob(digest=digest, data=data), {"type": "blob", "digest": digest, "data": data.decode("utf-8")}
        )

    def entry(self, entry: ExportedEntry) -> bytes:
        """Raises ValueError when it is not the entry after the last one."""
        columns = entry.columns
        return self._line(
            entry,
            {
                "type": "entry",
                "index": entry.index,
                "columns": {
                    "id": columns.id,
                    "kind": columns.kind,
                    "at": columns.at,
                    "chain": columns.chain,
                    "person": columns.person,
                },
                "bytes": entry.data.decode("utf-8"),
                "disclosure": dict(entry.disclosure) if entry.disclosure else None,
            },
        )

    def checkpoint(self, size: int, note: str) -> bytes:
        """Raises ValueError when it is not of a larger size than the last one."""
        head = SignedHead(size=size, note=note)
        return self._line(head, {"type": "checkpoint", "size": size, "note": note})

    def end(self) -> bytes:
        """The last line.

        Raises:
            ValueError: entries that the header announced are missing.
        """
        end = End(entries=self._header.end - self._header.start, digest=self._digest.hexdigest())
        return self._line(end, {"type": "end", "entries": end.entries, "sha256": end.digest})

    def _line(self, line: Line, value: dict[str, Json]) -> bytes:
        self._order.check(line)
        data = exact_bytes(value) + b"\n"
        self._digest.update(data)
        return data


def export_lines(
    header: Header,
    *,
    blobs: Iterable[Blob],
    entries: Iterable[ExportedEntry],
    checkpoints: Iterable[SignedHead],
) -> Iterator[bytes]:
    """All lines of an export; blobs are sorted here, entries and checkpoints must come in order."""
    writer = ExportWriter(header)
    yield writer.header()
    for blob in sorted(blobs, key=lambda item: item.digest):
        yield writer.blob(blob.digest, blob.data)
    for entry in entries:
        yield writer.entry(entry)
    for head in checkpoints:
        yield writer.checkpoint(head.size, head.note)
    yield writer.end()


def read_export(lines: Iterable[bytes]) -> Iterator[Line]:
    """The values of an export's lines, each checked for its form and its place.

    What they prove is not checked here: that is what `controls.ledger.verifier` is for.

    Raises:
        VerificationFailed: a line is malformed or out of order, or the export is damaged or cut short.
    """
    digest = sha256()
    order = _Order()
    last: Line | None = None
    for number, data in enumerate(lines, start=1):
        try:
            last = _parse(data)
            order.check(last)
            if isinstance(last, End) and last.digest != digest.hexdigest():
                raise ValueError("the digest is not that of the lines before: the file was damaged")
        except ValueError as error:
            raise _failed(f"line {number}: {error}") from None
        digest.update(data)
        yield last
    if not isinstance(last, End):
        raise _failed("the last line is missing: the file was cut short")


class _Order:
    """What may follow what."""

    def __init__(self) -> None:
        self._stage = -1
        self._header: Header | None = None
        self._next = 0
        self._last: str | int = ""

    def check(self, line: Line) -> None:
        stage = _ORDER[type(line)]
        repeated = stage == self._stage and stage in (_ORDER[Header], _ORDER[End])
        if stage < self._stage or repeated or (stage > 0 > self._stage):
            raise ValueError(f"a line of type {type(line).__name__} is out of order")
        if stage != self._stage:
            self._stage, self._last = stage, "" if isinstance(line, Blob) else -1
        match line:
            case Header():
                self._header, self._next = line, line.start
            case ExportedEntry():
                if line.index != self._next:
                    raise ValueError(f"entry {self._next} is missing: entry {line.index} stands in its place")
                self._next += 1
            case Blob(digest=place) | SignedHead(size=place):
                if not _above(place, self._last):
                    raise ValueError(f"{place} does not come after {self._last}")
                self._last = place
            case End(entries=count):
                assert self._header is not None  # no line comes before the header
                if self._next != self._header.end or count != self._header.end - self._header.start:
                    raise ValueError(f"the header announces entries up to {self._header.end}")


def _above(place: str | int, last: str | int) -> bool:
    if isinstance(place, str) and isinstance(last, str):
        return place > last
    return isinstance(place, int) and isinstance(last, int) and place > last


def _parse(data: bytes) -> Line:
    if not data.endswith(b"\n"):
        raise ValueError("the line does not end: the file was cut short")
    value = parse_exact(data[:-1])
    if not isinstance(value, dict):
        raise ValueError("it is not an object")  # noqa: TRY004 (a wrong value from outside)
    fields = dict(value)
    kind = fields.pop("type", None)
    match kind:
        case "header":
            if fields.pop("format", None) != EXPORT_FORMAT:
                raise ValueError(f"the format is not {EXPORT_FORMAT}")
            line: Line = Header(
                origin=_take(fields, "origin", str),
                tenant=_take(fields, "tenant", str),
                vkey=_take(fields, "vkey", str),
                start=_take(fields, "from", int),
                end=_take(fields, "to", int),
            )
        case "blob":
            line = Blob(digest=_take(fields, "digest", str), data=_take(fields, "data", str).encode("utf-8"))
            if not _DIGEST.fullmatch(line.digest) or blob_digest(line.data) != line.digest:
                raise ValueError(f"the blob {line.digest} has other bytes")
        case "entry":
            columns = _take(fields, "columns", dict)
            disclosure = fields.pop("disclosure", "")
            if disclosure is not None and not isinstance(disclosure, dict):
                raise ValueError("`disclosure` must be an object or null")
            line = ExportedEntry(
                index=_take(fields, "index", int),
                columns=Columns(
                    id=_take(columns, "id", str),
                    kind=_take(columns, "kind", str),
                    at=_take(columns, "at", int),
                    chain=_take_optional(columns, "chain"),
                    person=_take_optional(columns, "person"),
                ),
                data=_take(fields, "bytes", str).encode("utf-8"),
                disclosure=disclosure,
            )
            _nothing_left(columns)
        case "checkpoint":
            line = SignedHead(size=_take(fields, "size", int), note=_take(fields, "note", str))
        case "end":
            line = End(entries=_take(fields, "entries", int), digest=_take(fields, "sha256", str))
        case _:
            raise ValueError(f"{kind!r} is no type of line")
    _nothing_left(fields)
    return line


def _take(fields: dict[str, Json], name: str, kind: type[_Field]) -> _Field:
    value = fields.pop(name, None)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"`{name}` must be there and be of type {kind.__name__}")  # noqa: TRY004 (as above)
    return value


def _take_optional(fields: dict[str, Json], name: str) -> str | None:
    if fields.get(name, "") is None:
        del fields[name]
        return None
    return _take(fields, name, str)


def _nothing_left(fields: Mapping[str, Json]) -> None:
    if fields:
        raise ValueError(f"{', '.join(fields)} has no place here")


def _failed(detail: str) -> VerificationFailed:
    return VerificationFailed(
        "export_malformed",
        "The file is not a whole export",
        detail=detail,
        help="Make the export again, or copy it again from where it was made.",
    )
