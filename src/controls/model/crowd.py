"""Everybody who can act at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controls.model.people import Profile


@dataclass(frozen=True, slots=True, eq=False)
class Crowd:
    """The persons who can act, with the roles assigned to each (without inheritance): who has an account in
    force and is not away. `profiles` is what is known of persons besides, those who cannot act included.
    `lent` are the steps (chain kind and step) that somebody may take for somebody else; `eased`:
    some person's conflict with a constraint is accepted.

    One snapshot is one object: what is worked out of it is kept for as long as the same object is given.
    """

    roles: Mapping[str, frozenset[str]]
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    lent: frozenset[tuple[str, str]] = frozenset()
    eased: bool = False
