"""The export's lines: deterministic, exact, and read back only when whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.ledger.envelope import blob_digest
from controls.ledger.export import (
    Blob,
    End,
    ExportedEntry,
    ExportWriter,
    Header,
    SignedHead,
    export_lines,
    read_export,
)
from controls.model.errors import VerificationFailed

from .ledger_builder import KEYS, ORIGIN, LedgerBuilder, an_order

HEADER = Header(origin=ORIGIN, tenant="main", vkey=KEYS.verifying, start=0, end=0)


def split(export: bytes) -> Iterator[bytes]:
    return iter(export.splitlines(keepends=True))


def test_an_export_is_the_same_bytes_each_time() -> None:
    """Blobs may come in any order; the file does not change."""
    ledger = an_order()
    ledger.blobs += [Blob(digest=blob_digest(data), data=data) for data in (b"one", b"two", b"three")]
    first = ledger.export()
    ledger.blobs.reverse()
    assert ledger.export() == first


def test_an_export_is_read_back_as_what_was_written() -> None:
    """Header, blobs, entries with columns and disclosures, checkpoints and end."""
    ledger = an_order()
    lines = list(read_export(split(ledger.export())))
    assert isinstance(lines[0], Header)
    assert [line for line in lines if isinstance(line, Blob)] == ledger.blobs
    assert [line for line in lines if isinstance(line, ExportedEntry)] == ledger.entries
    assert [line for line in lines if isinstance(line, SignedHead)] == ledger.checkpoints
    assert isinstance(lines[-1], End)


def test_other_documents_travel_untouched() -> None:
    """Text that is not in normal form C, in a blob or in an entry, keeps its bytes and so its hash."""
    ledger = LedgerBuilder()
    data = "decomposed: man\u0303ana\n".encode()
    ledger.blobs.append(Blob(digest=blob_digest(data), data=data))
    ledger.add("change", reason="line\n\u0301")
    lines = list(read_export(split(ledger.export())))
    assert ledger.blobs[1] in lines
    assert ledger.entries[1] in lines


def test_each_line_is_json_with_the_documented_fields() -> None:
    """The format is what the documentation says, for readers that are not ours."""
    lines = [json.loads(line) for line in split(an_order().export())]
    assert lines[0] == {
        "type": "header",
        "format": "controls-export/1",
        "origin": ORIGIN,
        "tenant": "main",
        "vkey": KEYS.verifying,
        "from": 0,
        "to": 11,
    }
    assert [set(line) for line in lines[1:3]] == [{"type", "digest", "data"}] * 2
    assert set(lines[3]) == {"type", "index", "columns", "bytes", "disclosure"}
    assert set(lines[3]["columns"]) == {"id", "kind", "at", "chain", "person"}
    assert set(lines[-2]) == {"type", "size", "note"}
    assert set(lines[-1]) == {"type", "entries", "sha256"}


def test_a_writer_refuses_what_no_reader_would_accept() -> None:
    """Gaps, checkpoints out of order, blobs under a wrong name and a missing tail are errors at once."""
    ledger = an_order()
    ledger.sign()
    header = replace(HEADER, end=len(ledger.entries))
    with pytest.raises(ValueError, match="is missing"):
        list(export_lines(header, blobs=[], entries=ledger.entries[1:], checkpoints=[]))
    with pytest.raises(ValueError, match="announces"):
        list(export_lines(header, blobs=[], entries=ledger.entries[:-1], checkpoints=[]))
    with pytest.raises(ValueError, match="does not come after"):
        list(export_lines(HEADER, blobs=[], entries=[], checkpoints=ledger.checkpoints[::-1]))
    with pytest.raises(ValueError, match="other bytes"):
        list(export_lines(HEADER, blobs=[Blob(blob_digest(b"a"), b"b")], entries=[], checkpoints=[]))
    with pytest.raises(ValueError, match="out of order"):
        ExportWriter(HEADER).end()


@given(st.data())
def test_every_flipped_bit_is_found_on_reading(data: st.DataObject) -> None:
    """Whatever bit changes, the lines are not read to the end."""
    export = bytearray(an_order().export())
    bit = data.draw(st.integers(min_value=0, max_value=8 * len(export) - 1))
    export[bit // 8] ^= 1 << bit % 8
    with pytest.raises(VerificationFailed):
        list(read_export(split(bytes(export))))


@given(st.integers(min_value=0, max_value=len(an_order().export()) - 1))
def test_a_truncated_export_is_found_on_reading(size: int) -> None:
    """A file cut at any byte is not a whole export."""
    with pytest.raises(VerificationFailed):
        list(read_export(split(an_order().export()[:size])))


def test_lines_after_the_end_are_refused() -> None:
    """Nothing can be appended."""
    export = an_order().export()
    for more in (export.splitlines(keepends=True)[-1], b"{}\n", b"\n"):
        with pytest.raises(VerificationFailed):
            list(read_export(split(export + more)))
