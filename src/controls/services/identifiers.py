"""Ids that sort by time and say what they name: `dec_` and a UUIDv7 (RFC 9562) in hex."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeAlias

NewId: TypeAlias = Callable[[str], str]


def new_id(prefix: str) -> str:
    """A fresh id such as `dec_019a…`: 48 bits of milliseconds and 74 random bits."""
    moment = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    high, low = random >> 68, random & ((1 << 62) - 1)
    return f"{prefix}_{(moment << 80) | (7 << 76) | (high << 64) | (2 << 62) | low:032x}"
