"""The outlook of a chain: against the look-ahead asked with every set of persons away."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from random import Random

import pytest

from controls.duties import outlook as outlooks
from controls.duties.lookahead import LookAhead
from controls.duties.outlook import Outlook
from controls.duties.remaining import TRANSLATIONS
from controls.duties.satisfiability import Verdict
from controls.model.crowd import Crowd
from controls.model.duty import ConstraintKind
from tests.conftest import LONG_RUN
from tests.duties.rests import CLOSURE, Case, a_case

BUILT_IN = {ConstraintKind.WHOLE_CHAIN, ConstraintKind.SOLE_ACTOR, ConstraintKind.CHINESE_WALL}
WRITTEN = [kind for kind in TRANSLATIONS if kind not in BUILT_IN]
CASES = 5_000 if LONG_RUN else 150


def outlook(case: Case) -> Outlook:
    ahead = LookAhead(case.grants, CLOSURE, case.constraints, [case.kind])
    return ahead.outlook(case.taken, crowd=case.crowd)


def strands(case: Case, away: tuple[str, ...]) -> bool:
    """Whether the rest cannot be done once these persons are away too."""
    left = {person: roles for person, roles in case.crowd.roles.items() if person not in away}
    return replace(case, crowd=Crowd(left, case.crowd.profiles)).looked_ahead() is not None


@pytest.mark.differential
def test_absences_are_survived_exactly_as_said() -> None:
    """Any so many persons may be away, and where it is exact some one more may not; who is critical is."""
    seen = {0: 0, 1: 0, 2: 0}
    for seed in range(CASES):
        case = a_case(Random(seed), kinds=WRITTEN)
        found, people = outlook(case), sorted(case.crowd.roles)
        assert {one.step: one.takes for one in found.steps} == case.remaining, seed
        if not found.steps:
            assert (found.verdict, found.exact) == (Verdict.SATISFIABLE, True)
            continue
        if strands(case, ()):
            assert (found.verdict, found.absences, found.critical) == (Verdict.UNSATISFIABLE, 0, ()), seed
            assert set(found.stranded) <= set(case.remaining)
            assert found.stranded
            continue
        assert (found.verdict, found.untold) == (Verdict.SATISFIABLE, ()), seed
        assert list(found.critical) == [person for person in people if strands(case, (person,))], seed
        for count in range(1, found.absences + 1):
            assert not any(strands(case, away) for away in combinations(people, count)), seed
        if found.exact:
            assert any(strands(case, away) for away in combinations(people, found.absences + 1)), seed
        seen[min(found.absences, 2)] += 1
    assert min(seen.values()) > CASES // 50, f"one-sided: {seen}"


def test_those_who_could_take_a_step_are_enough() -> None:
    """Whoever is named has a grant; and with nobody but those named what could be done still can."""
    checked = 0
    for seed in range(CASES):
        case = a_case(Random(seed), kinds=WRITTEN)
        found = outlook(case)
        named = {person for one in found.steps for person in one.people}
        assert all(case.may(person, one.step) for one in found.steps for person in one.people), seed
        if found.steps and found.verdict is Verdict.SATISFIABLE:
            assert not strands(case, tuple(set(case.crowd.roles) - named)), seed
            checked += 1
    assert checked > CASES // 5


def test_what_is_not_tried_is_not_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where trying ends early the number is no greater, and said not to be exact unless it was shown."""
    fewer = 0
    for seed in range(60):
        case = a_case(Random(seed), kinds=WRITTEN)
        whole = outlook(case)
        with monkeypatch.context() as patch:
            patch.setattr(outlooks, "MOST_TRIED", 1)
            short = outlook(case)
        assert short.absences <= whole.absences
        assert not short.exact or (short.absences, whole.exact) == (whole.absences, True)
        fewer += short.absences < whole.absences
    assert fewer
