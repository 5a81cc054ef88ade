"""The version of a rule or constraint: a digest of what it means, not of how it is written or explained."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from controls.model.duty import Period
from controls.model.values import Json, utc_text
from controls.rules.nodes import canonical_json

_DIGITS = 16


def version_of(meaning: dict[str, Json]) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of the canonical meaning."""
    return hashlib.sha256(canonical_json(meaning)).hexdigest()[:_DIGITS]


def condition_text(source: str) -> str:
    """A condition without the accidents of layout; text in quotes stays as it is."""
    if '"' in source or "'" in source:
        return source.strip()
    return " ".join(source.split())


def period_json(period: Period) -> list[Json]:
    return [None if moment is None else utc_text(moment) for moment in (period.start, period.end)]


def data_json(data: Mapping[str, str]) -> dict[str, Json]:
    """What a condition's lists and columns of tables add to the meaning; nothing where it reads none."""
    return {"data": dict(data)} if data else {}
