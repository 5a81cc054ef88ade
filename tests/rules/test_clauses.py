"""Clauses: what is cited, by which rules, how it is tested and when it last fired."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

from controls.model.finding import Source
from controls.rules.branch_coverage import Watched
from controls.rules.clauses import clauses_of

A1 = Source("Law A", "1", "law", reviewed=True)
A2 = Source("Law A", "2", "law", reviewed=True)
A2_UNREAD = Source("Law A", "2", "law", reviewed=False)
B = Source("Law B", "", "policy", reviewed=True)


def rule(id_: str, *sources: Source, fired: int = 1, silent: int = 1) -> Watched:
    found = Watched("rule", id_, sources)
    found.fired_examples |= {f"f{number}" for number in range(fired)}
    found.silent_examples |= {f"s{number}" for number in range(silent)}
    return found


def test_each_clause_is_one_line_with_all_that_rests_on_it() -> None:
    """Law, article, basis and whether it was read tell clauses apart; rules of one are counted together."""
    watched = [
        rule("r.two", B, A1, fired=2),
        rule("r.one", A1, A1, silent=3),
        rule("r.three", A2),
        rule("r.four", A2_UNREAD),
    ]
    told = clauses_of(watched)
    assert [item.source for item in told] == [A1, A2_UNREAD, A2, B]
    first = told[0]
    assert (first.rules, first.examples_firing, first.examples_silent) == (("r.one", "r.two"), 3, 4)
    assert (first.untested, first.never_fired, first.last_fired) == ((), (), None)


def test_the_order_is_that_of_the_clauses() -> None:
    """However the rules come."""
    watched = [rule("r.two", B, A1), rule("r.one", A1), rule("r.three", A2), rule("r.four", A2_UNREAD, B)]
    told = clauses_of(watched)
    for seed in range(20):
        shuffled = list(watched)
        Random(seed).shuffle(shuffled)
        assert clauses_of(shuffled) == told


def test_what_no_case_shows_both_ways_stands_out() -> None:
    """A scenario is as good as an example; a case that counts for two rules of a clause is one scenario."""
    never, always, both = rule("n", A1, fired=0), rule("a", A1, silent=0), rule("b", A1)
    by_scenario = rule("c", A1, fired=0)
    by_scenario.fired_scenarios.add("s")
    both.fired_scenarios.add("s")
    (told,) = clauses_of([never, always, both, by_scenario])
    assert told.untested == ("a", "n")
    assert told.scenarios_firing == 1


def test_what_never_fired_on_record_stands_out_where_a_ledger_was_asked() -> None:
    """The latest of its rules' times is the clause's."""
    watched = [rule("r.one", A1), rule("r.two", A1), rule("r.three", B)]
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    first, second = clauses_of(watched, last_fired={"r.one": early, "r.two": late})
    assert (first.last_fired, first.never_fired) == (late, ())
    assert (second.last_fired, second.never_fired) == (None, ("r.three",))
    assert all(item.never_fired == () for item in clauses_of(watched))
