"""Ids are UUIDs of version 7 (RFC 9562, section 5.7) that sort by time."""

from __future__ import annotations

import time
from uuid import RFC_4122, UUID

from controls.services.identifiers import new_id


def test_an_id_is_a_version_7_uuid_of_now() -> None:
    before = time.time_ns() // 1_000_000
    prefix, _, digits = new_id("dec").partition("_")
    after = time.time_ns() // 1_000_000
    parsed = UUID(hex=digits)
    assert (prefix, parsed.hex, parsed.version, parsed.variant) == ("dec", digits, 7, RFC_4122)
    assert before <= parsed.int >> 80 <= after


def test_all_74_bits_are_random() -> None:
    """Every bit that is not time, version or variant takes both values."""
    numbers = [int(new_id("id").removeprefix("id_"), base=16) for _ in range(500)]
    fixed = {62, 63, 76, 77, 78, 79}
    for bit in range(80):
        seen = {number >> bit & 1 for number in numbers}
        assert len(seen) == (1 if bit in fixed else 2), bit
    assert len(set(numbers)) == len(numbers)
