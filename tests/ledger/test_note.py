"""Signed notes, keys and checkpoints against the vectors of golang/mod, transparency-dev and C2SP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.ledger.merkle import EMPTY_ROOT, leaf_hash
from controls.ledger.note import (
    Checkpoint,
    KeyTexts,
    Signer,
    Verifier,
    generate_key,
    open_note,
    sign_note,
)
from controls.model.errors import InvalidInput, VerificationFailed

KEYS: KeyTexts = generate_key("example.com/ledger", seed=bytes(range(32)))
OTHER: KeyTexts = generate_key("example.com/witness", seed=bytes(32))
SIGNER = Signer.parse(KEYS.signing)
VERIFIER = Verifier.parse(KEYS.verifying)
BODY = Checkpoint(origin="example.com/ledger", size=7, root=leaf_hash(b"root")).text()


@pytest.fixture(scope="module")
def vectors(shared_data: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((shared_data / "tlog" / "vectors.json").read_text("utf-8"))
    return found


def test_signed_notes_are_opened_or_refused_as_the_vectors_say(vectors: dict[str, Any]) -> None:
    """Seven notes open with the stated number of verified signatures; eleven are refused."""
    refused = 0
    for case in vectors["note_open"]:
        verifiers = [Verifier.parse(key) for key in case["vkeys"]]
        if case["ok"]:
            opened = open_note(case["note"], verifiers=verifiers)
            assert len(opened.verified) == case["verified"], case["desc"]
            assert case["note"].startswith(opened.text + "\n"), case["desc"]
        else:
            refused += 1
            with pytest.raises(VerificationFailed):
                open_note(case["note"], verifiers=verifiers)
    assert (len(vectors["note_open"]), refused) == (18, 11)


def test_keys_are_read_or_refused_as_the_vectors_say(vectors: dict[str, Any]) -> None:
    """A key whose id, length or algorithm is wrong is refused."""
    for case in vectors["vkeys"]:
        if case["ok"]:
            assert Verifier.parse(case["vkey"]).name == case["vkey"].split("+")[0]
        else:
            with pytest.raises(InvalidInput):
                Verifier.parse(case["vkey"])


def test_signing_is_the_published_bytes(vectors: dict[str, Any]) -> None:
    """Ed25519 is deterministic: the note of golang/mod is reproduced to the byte, key texts included."""
    case = vectors["deterministic_sign"]
    signer = Signer.parse(case["skey"])
    assert sign_note(case["text"], signers=[signer]) == case["signed"]
    opened = open_note(case["signed"], verifiers=[Verifier.parse(signer.verifying_text())])
    assert opened.text == case["text"]


def test_checkpoints_are_read_or_refused_as_the_vectors_say(vectors: dict[str, Any]) -> None:
    """Extension lines are kept; a malformed origin, size or root is refused."""
    for case in vectors["checkpoint_body"]:
        if case["ok"]:
            parsed = Checkpoint.parse(case["body"])
            assert parsed.text() == case["body"], case["desc"]
            assert "".join(f"{line}\n" for line in parsed.extensions) == (case["rest"] or "")
        else:
            with pytest.raises(VerificationFailed):
                Checkpoint.parse(case["body"])


def test_a_tree_head_is_written_as_golang_writes_it(vectors: dict[str, Any]) -> None:
    """The body of a checkpoint is that of `tlog.FormatTree`."""
    case = vectors["format_tree"]
    root = leaf_hash(case["record"].encode())
    written = Checkpoint(origin="go.sum database tree", size=case["n"], root=root)
    assert written.text() == case["golden"]
    assert Checkpoint.parse(case["golden"]) == written


def test_a_note_signed_by_two_keys_opens_with_either() -> None:
    """Signatures of keys that the reader does not know are handed on unverified."""
    note = sign_note(BODY, signers=[SIGNER, Signer.parse(OTHER.signing)])
    opened = open_note(note, verifiers=[VERIFIER])
    assert [item.name for item in opened.verified] == ["example.com/ledger"]
    assert [item.name for item in opened.unverified] == ["example.com/witness"]
    assert len(open_note(note, verifiers=[VERIFIER, Verifier.parse(OTHER.verifying)]).verified) == 2


def test_a_key_pair_belongs_together() -> None:
    """The public key derived from the secret one is the one that was printed with it."""
    assert SIGNER.verifying_text() == KEYS.verifying
    assert SIGNER.verifier().key_id == VERIFIER.key_id
    assert KEYS.signing.startswith("PRIVATE+KEY+example.com/ledger+")
    assert "PRIVATE" not in repr(SIGNER)


@given(st.integers(min_value=0, max_value=8 * len(sign_note(BODY, signers=[SIGNER]).encode()) - 1))
def test_every_flipped_bit_of_a_note_is_found(bit: int) -> None:
    """No single bit of a signed note can change without its being refused."""
    data = bytearray(sign_note(BODY, signers=[SIGNER]).encode())
    data[bit // 8] ^= 1 << bit % 8
    try:
        changed = data.decode()
    except UnicodeDecodeError:
        return  # not even text
    with pytest.raises(VerificationFailed):
        open_note(changed, verifiers=[VERIFIER])


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\nb"])
def test_names_that_cannot_be_read_back_are_refused(name: str) -> None:
    """A key's name has no space and no plus sign."""
    with pytest.raises(InvalidInput):
        generate_key(name, seed=bytes(32))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PRIVATE+KEY+x",
        KEYS.verifying,
        KEYS.signing[:-4],
        KEYS.signing.replace("example.com/ledger", "example.com/other"),
        KEYS.signing + "=",
    ],
)
def test_texts_that_are_no_signing_key_are_refused(text: str) -> None:
    """A truncated, renamed or public key cannot sign."""
    with pytest.raises(InvalidInput):
        Signer.parse(text)


@pytest.mark.parametrize("text", ["no newline", "tab\t\n", "\r\n", ""])
def test_texts_that_no_reader_would_accept_are_not_signed(text: str) -> None:
    """A note is whole lines without control characters."""
    with pytest.raises(ValueError, match="whole lines"):
        sign_note(text, signers=[SIGNER])


def test_our_own_checkpoints_are_read_strictly() -> None:
    """Another origin, a root of another length or extension lines are not of this ledger."""
    assert Checkpoint.parse_own(BODY, origin="example.com/ledger").size == 7
    for wrong in (
        BODY + "more\n",
        "other\n7\n" + BODY.split("\n")[2] + "\n",
        "example.com/ledger\n7\nYmFu\n",
    ):
        with pytest.raises(VerificationFailed):
            Checkpoint.parse_own(wrong, origin="example.com/ledger")


@pytest.mark.parametrize("size", ["01", "+1", "-1", "1 ", "٣", "18446744073709551616", ""])
def test_a_size_has_one_form(size: str) -> None:
    """Leading zeros, signs, other digits and sizes beyond 64 bits are refused."""
    root = Checkpoint(origin="x", size=0, root=EMPTY_ROOT).text().split("\n")[2]
    with pytest.raises(VerificationFailed):
        Checkpoint.parse(f"x\n{size}\n{root}\n")
