"""Signed notes and checkpoints: C2SP signed-note and tlog-checkpoint, with Ed25519 keys.

Guarantees:

- `open_note` answers only when at least one of the given keys signed exactly this text, and refuses the
  whole note when a known key's signature is wrong; signatures of unknown keys are handed on unverified;
- a note, a key and a checkpoint each have one form: what is written in another way is refused;
- a checkpoint made here has no extension lines; parsing tolerates them, as C2SP says.

Keys have the text form of Go's `note` package: `PRIVATE+KEY+name+id+base64` to sign,
`name+id+base64(0x01 || public key)` to verify. ECDSA keys (0x02) of other logs can verify, not sign.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from controls.ledger.merkle import HASH_SIZE
from controls.model.errors import InvalidInput, VerificationFailed

MAX_SIGNATURES: Final = 100  # C2SP asks for at least 16
MAX_NOTE_SIZE: Final = 1_000_000
SEED_SIZE: Final = 32
_ED25519: Final = b"\x01"
_ECDSA: Final = b"\x02"
_KEY_ID: Final = re.compile(r"[0-9a-f]{8}")
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,19}", re.ASCII)
_SIGNATURE_LINE: Final = re.compile(r"— (?P<name>[^\s+]+) (?P<data>[A-Za-z0-9+/=]+)")
_KEY_HELP: Final = "Pass the whole key on one line, as it was printed when the key was made."
_NOTE_HELP: Final = "Get the note again from the ledger; do not rely on this one."


class KeyTexts(NamedTuple):
    """A key pair as texts: `signing` is secret, `verifying` is for everybody."""

    signing: str
    verifying: str


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line of a note."""

    name: str
    key_id: bytes
    signature: bytes

    def line(self) -> str:
        return f"— {self.name} {_encode(self.key_id + self.signature)}\n"


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key with its name and id; made by `Verifier.parse`."""

    name: str
    key_id: bytes
    public: Ed25519PublicKey | EllipticCurvePublicKey = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Verifier:
        """The key of which `text` is the text form.

        Raises:
            InvalidInput: it is none, or its id is not that of its name and bytes.
        """
        parts = text.split("+", 2)  # base64 may hold a plus, a name may not
        if len(parts) != 3:
            raise _bad_key("a public key reads name+id+base64")
        name, key_id, data = parts
        key = _decode(data)
        if not _is_name(name) or not _KEY_ID.fullmatch(key_id) or not key:
            raise _bad_key("a public key reads name+id+base64, the id being 8 hex digits")
        algorithm, public = key[:1], key[1:]
        if algorithm == _ED25519 and len(public) == 32:
            expected = _key_id(name, key)
            loaded: Ed25519PublicKey | EllipticCurvePublicKey = Ed25519PublicKey.from_public_bytes(public)
        elif algorithm == _ECDSA:
            expected = sha256(public).digest()[:4]
            loaded = _load_ecdsa(public)
        else:
            raise _bad_key("only Ed25519 keys (and ECDSA keys of other logs) are known here")
        if expected.hex() != key_id:
            raise _bad_key(f"the id of this key is {expected.hex()}, not {key_id}: the text was changed")
        return cls(name=name, key_id=expected, public=loaded)

    def verifies(self, text: bytes, *, signature: bytes) -> bool:
        """Whether this key made `signature` over `text`."""
        try:
            if isinstance(self.public, Ed25519PublicKey):
                self.public.verify(signature, text)
            else:
                self.public.verify(signature, text, ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Signer:
    """A secret Ed25519 key with its name and id; made by `Signer.parse`."""

    name: str
    key_id: bytes
    _private: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Signer:
        """The key of which `text` is the text form.

        Raises:
            InvalidInput: it is none, or its id is not that of its name and bytes.
        """
        parts = text.split("+", 4)
        if len(parts) != 5 or parts[:2] != ["PRIVATE", "KEY"]:
            raise _bad_key("a signing key reads PRIVATE+KEY+name+id+base64")
        name, key_id, data = parts[2:]
        key = _decode(data)
        if not _is_name(name) or len(key) != 1 + SEED_SIZE or key[:1] != _ED25519:
            raise _bad_key("a signing key reads PRIVATE+KEY+name+id+base64 and is an Ed25519 key")
        private = Ed25519PrivateKey.from_private_bytes(key[1:])
        expected = _key_id(name, _ED25519 + private.public_key().public_bytes_raw())
        if expected.hex() != key_id:
            raise _bad_key(f"the id of this key is {expected.hex()}, not {key_id}: the text was changed")
        return cls(name=name, key_id=expected, _private=private)

    def sign(self, text: bytes) -> Signature:
        return Signature(name=self.name, key_id=self.key_id, signature=self._private.sign(text))

    def verifier(self) -> Verifier:
        """The public half."""
        return Verifier(name=self.name, key_id=self.key_id, public=self._private.public_key())

    def verifying_text(self) -> str:
        """The text form of the public half."""
        public = self._private.public_key().public_bytes_raw()
        return f"{self.name}+{self.key_id.hex()}+{_encode(_ED25519 + public)}"


@dataclass(frozen=True, slots=True)
class OpenedNote:
    """A note that at least one known key signed."""

    text: str
    verified: tuple[Signature, ...]
    unverified: tuple[Signature, ...]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head: the ledger's origin, its number of leaves and its root."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def text(self) -> str:
        """The body that is signed."""
        lines = (self.origin, str(self.size), _encode(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """The checkpoint of which `text` is the body, with any origin, root length and extension lines.

        Raises:
            VerificationFailed: `text` is no checkpoint.
        """
        lines = text.split("\n")
        if len(lines) < 4 or lines.pop() or not all(lines):
            raise _bad_note("a checkpoint has three lines that are not empty: origin, size, root hash")
        origin, size, root, *extensions = lines
        if not _SIZE.fullmatch(size) or int(size) >= 2**64:
            raise _bad_note(f"{size!r} is not a tree size")
        decoded = _decode(root)
        if not decoded:
            raise _bad_note(f"{root!r} is not a root hash in base64")
        return cls(origin=origin, size=int(size), root=decoded, extensions=tuple(extensions))

    @classmethod
    def parse_own(cls, text: str, *, origin: str) -> Checkpoint:
        """As `parse`, for our own ledger: this origin, a SHA-256 root, no extension lines.

        Raises:
            VerificationFailed: `text` is no checkpoint of this ledger.
        """
        found = cls.parse(text)
        if found.origin != origin:
            raise _bad_note(f"the checkpoint is of {found.origin!r}, not of {origin!r}")
        if len(found.root) != HASH_SIZE or found.extensions:
            raise _bad_note("a checkpoint of this ledger has a SHA-256 root and no extension lines")
        return found


def generate_key(name: str, *, seed: bytes) -> KeyTexts:
    """The Ed25519 key pair of 32 random bytes, under a name (the ledger's origin) without spaces or plus.

    Raises:
        InvalidInput: the name cannot be a key's name.
        ValueError: the seed has not 32 bytes.
    """
    if not _is_name(name):
        raise InvalidInput(
            "key_name_invalid",
            "This cannot be the name of a key",
            detail=f"{name!r} is empty, or has a space or a plus sign in it.",
            help="Use a name such as example.com/controls.",
        )
    if len(seed) != SEED_SIZE:
        raise ValueError(f"a seed has {SEED_SIZE} bytes, not {len(seed)}")
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    key_id = _key_id(name, _ED25519 + public).hex()
    return KeyTexts(
        signing=f"PRIVATE+KEY+{name}+{key_id}+{_encode(_ED25519 + seed)}",
        verifying=f"{name}+{key_id}+{_encode(_ED25519 + public)}",
    )


def sign_note(text: str, *, signers: Sequence[Signer]) -> str:
    """The note: `text`, an empty line, and one signature line for each signer.

    Raises:
        ValueError: no signer, or a text that cannot be signed (no newline at its end, control characters).
    """
    if not signers or not text.endswith("\n") or _has_control_characters(text):
        raise ValueError("a note needs a signer and a text of whole lines without control characters")
    data = text.encode("utf-8")
    return text + "\n" + "".join(signer.sign(data).line() for signer in signers)


def open_note(note: str, *, verifiers: Sequence[Verifier]) -> OpenedNote:
    """The text of a note that at least one of `verifiers` signed.

    A key's second signature is passed over. Signatures of keys not among `verifiers` prove nothing.

    Raises:
        VerificationFailed: the note is malformed, a known key's signature is wrong, or no known key signed.
    """
    text, lines = _split_note(note)
    data = text.encode("utf-8")
    keys = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
    verified: dict[tuple[str, bytes], Signature] = {}
    unverified: dict[Signature, None] = {}
    for line in lines:
        signature = _parse_signature(line)
        identity = (signature.name, signature.key_id)
        verifier = keys.get(identity)
        if verifier is None:
            unverified[signature] = None
        elif identity not in verified:
            if not verifier.verifies(data, signature=signature.signature):
                raise _bad_note(f"the signature of {signature.name} is not over this text")
            verified[identity] = signature
    if not verified:
        raise _bad_note("none of the known keys signed it")
    return OpenedNote(text=text, verified=tuple(verified.values()), unverified=tuple(unverified))


def _split_note(note: str) -> tuple[str, list[str]]:
    try:
        size = len(note.encode("utf-8"))
    except UnicodeEncodeError:
        raise _bad_note("it is not valid Unicode") from None
    if size > MAX_NOTE_SIZE or _has_control_characters(note):
        raise _bad_note("it is too long or has control characters in it")
    text, separator, signatures = note.rpartition("\n\n")
    lines = signatures.split("\n")
    if not separator or lines.pop():
        raise _bad_note("it has no signature lines after an empty line")
    if not 0 < len(lines) <= MAX_SIGNATURES:
        raise _bad_note(f"it has {len(lines)} signatures; 1 to {MAX_SIGNATURES} are read")
    return text + "\n", lines


def _parse_signature(line: str) -> Signature:
    found = _SIGNATURE_LINE.fullmatch(line)
    data = _decode(found["data"]) if found else b""
    if found is None or len(data) < 5:
        raise _bad_note(f"{line[:80]!r} is not a signature line")
    return Signature(name=found["name"], key_id=data[:4], signature=data[4:])


def _key_id(name: str, key: bytes) -> bytes:
    return sha256(name.encode("utf-8") + b"\n" + key).digest()[:4]


def _load_ecdsa(data: bytes) -> EllipticCurvePublicKey:
    try:
        key = load_der_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise _bad_key("the bytes are not a public key") from None
    if not isinstance(key, EllipticCurvePublicKey) or key.curve.name not in (
        "secp256r1",
        "secp384r1",
        "secp521r1",
    ):
        raise _bad_key("the key is not an ECDSA key on a NIST curve")
    return key


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(character.isspace() for character in name)


def _has_control_characters(text: str) -> bool:
    return any(character < " " and character != "\n" for character in text)


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decode(text: str) -> bytes:
    """The bytes of canonical base64; empty when it is not."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return data if _encode(data) == text else b""


def _bad_key(detail: str) -> InvalidInput:
    return InvalidInput("key_invalid", "This is not a key", detail=detail, help=_KEY_HELP)


def _bad_note(detail: str) -> VerificationFailed:
    return VerificationFailed("note_invalid", "The signed note does not hold", detail=detail, help=_NOTE_HELP)
