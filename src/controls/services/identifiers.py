"""Ids that sort by time and say what they name: `dec_` and a UUIDv7 (RFC 9562) in hex."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import TypeAlias

NewId: TypeAlias = Callable[[str], str]


class _Randomness(threading.local):
    """Random bytes of this thread, drawn many at a time: a system call for each id is dearer than the id."""

    drawn = b""
    at = 0

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.drawn):
            self.drawn, self.at = os.urandom(4096), 0
        taken = self.drawn[self.at : self.at + count]
        self.at += count
        return taken


_randomness = _Randomness()
# A forked process must not repeat its parent's ids.
os.register_at_fork(after_in_child=lambda: setattr(_randomness, "drawn", b""))


def new_id(prefix: str) -> str:
    """A fresh id such as `dec_019a…`: 48 bits of milliseconds and 74 random bits."""
    random = _randomness.take(10)
    digits = random.hex()
    return (
        f"{prefix}_{time.time_ns() // 1_000_000:012x}7{digits[2:5]}{0x80 | random[0] & 0x3F:02x}{digits[6:]}"
    )
