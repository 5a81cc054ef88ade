"""Hit policies in three-valued logic, held against every way the unknown rows could turn out."""

from __future__ import annotations

from itertools import product

import pytest

from controls.rules.hits import hits
from controls.rules.rule import HitPolicy

RANKS = (0, 2, 3, 4)  # permit, flag, review, deny


def said(policy: HitPolicy, truths: tuple[int, ...], ranks: tuple[int, ...]) -> set[int]:
    """The rows that speak when every truth is known; `len(truths)` when none matches."""
    true = [row for row, truth in enumerate(truths) if truth == 2] or [len(truths)]
    if policy is HitPolicy.FIRST:
        true = true[:1]
    elif policy is HitPolicy.PRIORITY:
        true = [min(true, key=lambda row: (-ranks[row], row))]
    return {row for row in true if ranks[row]}


def strictness(rows: set[int], ranks: tuple[int, ...]) -> int:
    return max((ranks[row] for row in rows), default=0)


@pytest.mark.parametrize("policy", [HitPolicy.FIRST, HitPolicy.PRIORITY, HitPolicy.COLLECT])
def test_every_table_of_three_rows(policy: HitPolicy) -> None:
    """All truths and outcomes: what is certain holds in every completion, what is not is in doubt.

    - known truths: exactly the rows that the policy names;
    - the outcome is certain in every completion, or else something is in doubt;
    - what is said for certain, with the floor, is never milder than what every completion says.
    """
    for truths in product((0, 1, 2), repeat=3):
        completions = list(product(*((truth,) if truth != 1 else (0, 2) for truth in truths)))
        for ranks in product(RANKS, repeat=4):
            found = hits(policy, truths, ranks)
            possible = [said(policy, completion, ranks) for completion in completions]
            outcomes = {strictness(rows, ranks) for rows in possible}
            if 1 not in truths:
                assert set(found.certain) == possible[0]
                assert found.doubtful == ()
            assert all(truths[row] == 1 for row in found.doubtful)
            least = max(strictness(set(found.certain), ranks), found.floor)
            assert least == min(outcomes), (truths, ranks, found)
            if policy is HitPolicy.COLLECT and 2 in truths:
                assert set(found.certain) == set.intersection(*possible)
                assert bool(found.doubtful) == (len({frozenset(rows) for rows in possible}) > 1)
            elif len(outcomes) > 1:
                assert found.doubtful
            elif 2 in truths:
                assert not found.doubtful


def test_rows_that_match_beside_unknown_ones_decide_where_overlaps_were_excluded() -> None:
    """`unique` and `any` were proven: where one row matches, the unknown ones cannot say anything else."""
    for policy in (HitPolicy.UNIQUE, HitPolicy.ANY):
        assert hits(policy, (1, 2, 1), (4, 3, 4, 3)).certain == (1,)
        assert hits(policy, (1, 2, 1), (4, 3, 4, 3)).doubtful == ()
        assert hits(policy, (1, 0, 1), (4, 3, 0, 3)).doubtful == (0, 2)
        assert hits(policy, (1, 0, 1), (0, 3, 0, 0)) == hits(policy, (0, 0, 0), (0, 0, 0, 0))
