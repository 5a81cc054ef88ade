from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from controls.duties.wording import MOST, acts, moment, names
from controls.model.chain import ActState, Capacity
from tests.duties.builders import KIND, an_act

MOMENT = "2026-03-02 09:30:00 UTC"


@pytest.mark.parametrize(
    ("state", "capacity", "words"),
    [
        (ActState.PERFORMED, Capacity.ACTOR, f"Capture, by p-1, {MOMENT}"),
        (ActState.CLAIMED, Capacity.ACTOR, f"Capture, by p-1, {MOMENT} (claimed)"),
        (ActState.ABANDONED, Capacity.ACTOR, f"Capture, by p-1, {MOMENT} (abandoned, it still counts)"),
        (ActState.PERFORMED, Capacity.APPROVER, f"Capture, approved by p-1, {MOMENT}"),
    ],
)
def test_an_act_in_words(state: ActState, capacity: Capacity, words: str) -> None:
    """An act is told with its step, person, moment, and what became of it."""
    assert acts([an_act("capture", "p-1", state=state, capacity=capacity)], kind=KIND).en == words


def test_moments_are_utc_to_the_second() -> None:
    """A moment of another zone is told in UTC, without fractions."""
    there = timezone(timedelta(hours=2))
    assert moment(datetime(2026, 3, 2, 11, 30, 0, 999_999, tzinfo=there)) == MOMENT


def test_lists_are_cut() -> None:
    """A long history makes a short sentence that says how many it left out."""
    many = [an_act("capture", f"p-{at}") for at in range(MOST + 4)]
    told = acts(many, kind=KIND)
    assert told.en.endswith("; and 4 more")
    assert told.es.endswith("; y 4 más")
    assert names([f"r{at}" for at in range(MOST + 1)]).en.endswith(", and 1 more")
