"""The outlook of a chain: against the look-ahead asked with every set of persons away."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import combinations
from random import Random

import pytest

from controls.duties import outlook as outlooks
from controls.duties.lookahead import LookAhead
from controls.duties.outlook import Outlook
from controls.duties.remaining import TRANSLATIONS
from controls.duties.satisfiability import Verdict
from controls.model.condition import Truth
from controls.model.duty import ConstraintKind
from tests.conftest import LONG_RUN
from tests.duties.builders import Fixed
from tests.duties.rests import CLOSURE, Case, a_case

BUILT_IN = {ConstraintKind.WHOLE_CHAIN, ConstraintKind.SOLE_ACTOR, ConstraintKind.CHINESE_WALL}
WRITTEN = [kind for kind in TRANSLATIONS if kind not in BUILT_IN]
CASES = 5_000 if LONG_RUN else 150


def outlook(case: Case) -> Outlook:
    ahead = LookAhead(case.grants, CLOSURE, case.constraints, [case.kind])
    return ahead.outlook(case.taken, crowd=case.crowd)


def found_without(case: Case, away: tuple[str, ...]) -> str:
    """What the look-ahead finds once these persons are away too."""
    left = {person: roles for person, roles in case.crowd.roles.items() if person not in away}
    found = replace(case, crowd=replace(case.crowd, roles=left)).looked_ahead()
    return "" if found is None else found.rule


def strands(case: Case, away: tuple[str, ...]) -> bool:
    """Whether the rest cannot be done once these persons are away too."""
    return found_without(case, away) != ""


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


SAID = {"": Verdict.SATISFIABLE, "would_strand": Verdict.UNSATISFIABLE, "strand_unknown": Verdict.GAVE_UP}


def unsure(random: Random, case: Case) -> Case:
    """The same case where it is not known whether some of the constraints apply."""
    when = Fixed(Truth.UNKNOWN, missing=("order.side",))
    return replace(
        case,
        constraints=tuple(
            replace(item, when=when) if random.random() < 0.5 else item for item in case.constraints
        ),
    )


@pytest.mark.differential
@pytest.mark.parametrize("loose", [False, True], ids=["unsure", "in any order"])
def test_what_cannot_be_told_is_not_said_to_be_impossible(*, loose: bool) -> None:
    """That nothing can be done any more, or not without somebody, is said where the look-ahead proves it."""
    seen: Counter[str] = Counter()
    kinds = [kind for kind in WRITTEN if kind is not ConstraintKind.VOTES]
    for seed in range(CASES):
        case = a_case(Random(seed), kinds=kinds, loose=loose)
        case = case if loose else unsure(Random(seed), case)
        found, ahead = outlook(case), found_without(case, ())
        if found.verdict is not Verdict.GAVE_UP or not loose:  # there may be more orders than it looks at
            assert found.verdict is SAID[ahead], seed
        seen[found.verdict.name] += 1
        if found.steps and found.verdict is Verdict.SATISFIABLE:
            for person in found.critical:
                assert found_without(case, (person,)) == "would_strand", seed
                seen["critical"] += 1
            for person in set(case.crowd.roles) - set(found.critical) - set(found.untold):
                assert found_without(case, (person,)) == "", seed
            seen["untold"] += len(found.untold)
    assert min(seen["SATISFIABLE"], seen["UNSATISFIABLE"], seen["critical"]) > CASES // 20, seen
    assert loose or min(seen["GAVE_UP"], seen["untold"]) > 0, seen


def test_what_an_exception_may_help_with_is_not_said_to_be_impossible() -> None:
    """Whether a delegation or an accepted conflict lets somebody do the rest is not worked out."""
    tried = 0
    for seed in range(60):
        case = a_case(Random(seed), kinds=WRITTEN)
        found = outlook(case)
        lent = frozenset((case.kind.id, one.step) for one in found.steps)
        for crowd in (replace(case.crowd, lent=lent), replace(case.crowd, eased=True)):
            eased = outlook(replace(case, crowd=crowd))
            assert eased.steps == found.steps
            if found.verdict is Verdict.UNSATISFIABLE:
                assert (eased.verdict, eased.stranded) == (Verdict.GAVE_UP, ())
                tried += 1
            elif found.steps:
                assert (eased.critical, eased.untold) == ((), tuple(sorted(found.critical + found.untold)))
                tried += bool(found.critical)
    assert tried > 20
