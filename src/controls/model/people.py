"""Natural persons, the accounts that belong to them, and the roles they hold."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Person:
    """A natural person under a stable pseudonym, with the roles assigned now (without inheritance)."""

    id: str
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class Account:
    """A login, known in records by its pseudonym `ref`, and the one person it belongs to now."""

    login: str
    ref: str
    person: Person
