"""The ledger's signing key and the checkpoint kept outside the database.

Guarantees: a private key is only read from, and written to, a file that nobody else can read; the kept
checkpoint is replaced whole or not at all; production refuses keys whose origin is a demo's.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from controls.ledger.note import Checkpoint, Signer, generate_key, open_note, sign_note
from controls.model.errors import InvalidInput, VerificationFailed

DEMO_PREFIX: Final = "demo/"
# How often the outside checkpoint is rewritten under load.
KEEP_SECONDS: Final = 1.0


def create_key_file(path: Path, *, origin: str, entropy: bytes) -> str:
    """Make a new signing key in a new file of mode 0600; its verifier key (vkey) is returned.

    Raises:
        InvalidInput: the file exists already; a ledger's key is never overwritten.
    """
    texts = generate_key(origin, seed=entropy)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InvalidInput(
            "key_exists",
            f"{path} exists already",
            help="A ledger keeps its key. Name another file, or remove this one if no ledger uses it.",
        ) from None
    with os.fdopen(descriptor, "w") as file:
        file.write(texts.signing + "\n")
    return texts.verifying


def read_key_file(path: Path, *, production: bool) -> Signer:
    """The signer kept in `path`.

    Raises:
        InvalidInput: there is none, others can read it, or it is a demo's key in production.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_text()
    except OSError as error:
        raise InvalidInput(
            "key_unreadable",
            f"The signing key {path} cannot be read",
            detail=str(error),
            help="Run `controls init`, or set CONTROLS_SIGNING_KEY_FILE.",
        ) from None
    if mode & 0o077:
        raise InvalidInput(
            "key_exposed",
            f"Others can read the signing key {path}",
            help=f"Run: chmod 600 {path} (and make a new key if anybody may have copied it).",
        )
    signer = Signer.parse(text.strip())
    if production and signer.name.startswith(DEMO_PREFIX):
        raise InvalidInput(
            "demo_key",
            "This is a demo's signing key",
            help="Start a ledger of your own with `controls init`; a demo's records prove nothing.",
        )
    return signer


@dataclass(slots=True)
class CheckpointSigner:
    """Signs tree heads, checks notes, and keeps the newest one in a file outside the database."""

    signer: Signer
    keep_in: Path | None
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _kept_at: float = field(default=0.0, init=False)
    _unkept: str | None = field(default=None, init=False)

    @property
    def origin(self) -> str:
        return self.signer.name

    @property
    def vkey(self) -> str:
        return self.signer.verifying_text()

    def sign(self, size: int, root: bytes) -> str:
        """The signed checkpoint over a tree."""
        checkpoint = Checkpoint(origin=self.origin, size=size, root=root)
        return sign_note(checkpoint.text(), signers=[self.signer])

    def verify(self, note: str) -> tuple[int, bytes]:
        """Size and root of a checkpoint that this ledger's key signed.

        Raises:
            VerificationFailed: it did not.
        """
        opened = open_note(note, verifiers=[self.signer.verifier()])
        checkpoint = Checkpoint.parse_own(opened.text, origin=self.origin)
        return checkpoint.size, checkpoint.root

    def keep(self, note: str, *, now: bool = False) -> None:
        """Put the note into the outside file, at most once a second unless `now`."""
        if self.keep_in is None:
            return
        with self._lock:
            self._unkept = note
            moment = time.monotonic()
            if not now and moment - self._kept_at < KEEP_SECONDS:
                return
            self._kept_at = moment
            self._write()

    def flush(self) -> None:
        """Write what a busy second held back."""
        with self._lock:
            if self._unkept is not None:
                self._write()

    def _write(self) -> None:
        if self.keep_in is None or self._unkept is None:
            return
        self.keep_in.parent.mkdir(parents=True, exist_ok=True)
        aside = self.keep_in.with_name(f"{self.keep_in.name}.{os.getpid()}.new")
        aside.write_text(self._unkept)
        aside.replace(self.keep_in)
        self._unkept = None

    def kept(self) -> str | None:
        """The checkpoint in the outside file, if there is one."""
        if self.keep_in is None:
            return None
        try:
            return self.keep_in.read_text()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise VerificationFailed(
                "checkpoint_unreadable",
                f"The kept checkpoint {self.keep_in} cannot be read",
                detail=str(error),
                help="Make the file readable; the service does not start without looking at it.",
            ) from None
