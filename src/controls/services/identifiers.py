"""Ids that sort by time and say what they name: `dec_` and a UUIDv7 (RFC 9562) in hex."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final, TypeAlias

NewId: TypeAlias = Callable[[str], str]

_DRAWN: Final = 4_096  # random bytes at a time: a system call for each id is dearer than the id
_SIZE: Final = 10  # random bytes of one id
# The random parts of ids to come. Taking one from a list is a single step, whichever thread takes it.
_random_parts: list[str] = []
# A forked process must not repeat its parent's ids.
os.register_at_fork(after_in_child=_random_parts.clear)


def new_id(prefix: str) -> str:
    """A fresh id such as `dec_019a…`: 48 bits of milliseconds and 74 random bits."""
    try:
        part = _random_parts.pop()
    except IndexError:
        part = _draw()
    return f"{prefix}_{time.time_ns() // 1_000_000:012x}7{part}"


def _draw() -> str:
    """Draw the random parts of many ids, and return one more."""
    drawn = os.urandom(_DRAWN)
    pieces = [drawn[at : at + _SIZE] for at in range(0, _DRAWN - _SIZE + 1, _SIZE)]
    parts = [f"{piece.hex()[2:5]}{0x80 | piece[0] & 0x3F:02x}{piece.hex()[6:]}" for piece in pieces]
    last = parts.pop()
    _random_parts.extend(parts)
    return last
