"""What the static analysis of a directory costs, and how that grows with the number of people."""

from __future__ import annotations

from dataclasses import dataclass
from time import process_time
from typing import Final
from zlib import crc32

from controls.duties.access import Access, Item, Sort
from controls.duties.analysis import Analysis, Separation
from controls.model.finding import Effect, Text

SIZES: Final = (1_000, 10_000, 100_000)
ROLES: Final = 1_000
PERMISSIONS: Final = 10_000
_GIVEN: Final = 20  # permissions of a role, besides those of the role that it inherits
_HELD: Final = 5  # roles of a person
_PAIRS: Final = 1_000
_SETS: Final = 100  # of 5 permissions, of which one person may hold 2
_CHAIN: Final = 12  # steps that a group must cover


@dataclass(frozen=True, slots=True)
class AnalysisCost:
    """Seconds of processor time of one analysis: reading the directory, and all that is asked of it."""

    people: int
    assignments: int
    conflicts: int
    read: float
    analysed: float


def measure_duties_analysis() -> tuple[AnalysisCost, ...]:
    """Every person by 1,100 constraints over 10,000 permissions, and the smallest group for 12 of them."""
    return tuple(_measure(size) for size in SIZES)


def _measure(people: int) -> AnalysisCost:
    roles = [Item(Sort.ROLE, f"r-{number:04}") for number in range(ROLES)]
    permissions = [Item(Sort.PERMISSION, f"t-{number:05}") for number in range(PERMISSIONS)]
    gives = {
        # Every permission is given by two roles; neighbours are not given by the same ones.
        role: {permissions[(number * _GIVEN + place) * 7 % PERMISSIONS] for place in range(_GIVEN)}
        | ({roles[number - 100]} if number % 10 == 0 and number >= 100 else set())
        for number, role in enumerate(roles)
    }
    assigned = {
        f"p-{number:06}": [roles[_spread(number, place, ROLES)] for place in range(_HELD)]
        for number in range(people)
    }
    separations = _separations(permissions)
    started = process_time()
    access = Access(assigned, gives=gives)
    read = process_time() - started
    started = process_time()
    analysis = Analysis(access, separations)
    conflicts = sum(1 for _ in analysis.conflicts())
    group = analysis.collusion[0].group
    by_person, by_role = analysis.conflicts_by_person, analysis.roles()
    analysed = process_time() - started
    assert len(by_person) == analysis.in_conflict.bit_count()
    assert by_role
    assert group.members
    return AnalysisCost(people, access.assignments, conflicts, read, analysed)


def _separations(permissions: list[Item]) -> list[Separation]:
    sets = [permissions[number * 2 : number * 2 + 2] for number in range(_PAIRS)]
    sets += [permissions[number * 5 : number * 5 + 5] for number in range(_SETS)]
    found = [
        Separation(
            id=f"c-{number:04}",
            items=tuple(items),
            then=Effect.DENY,
            title=Text("", ""),
            most=1 if len(items) == 2 else 2,
        )
        for number, items in enumerate(sets)
    ]
    chain = tuple(permissions[number * 31] for number in range(_CHAIN))
    return [*found, Separation("chain", chain, Effect.DENY, Text("", ""), people=2)]


def _spread(number: int, place: int, among: int) -> int:
    """Always the same choice for the same numbers, spread evenly."""
    return crc32(f"{number}/{place}".encode()) % among
