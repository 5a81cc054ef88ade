"""Coverage: what examples and scenarios have shown of conditions, by Kleene's tables."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from controls.model.chain import ChainHistory
from controls.model.condition import Facts, Truth
from controls.rules.branch_coverage import Coverage, Watched
from controls.rules.release import Release, compile_release
from tests.rules.rule_sets import desk_files

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
RULE = """
id: test.rule
title: {{en: A, es: B}}
source: {{law: Policy, basis: policy}}
on: [order.capture]
when: order.side == "buy" && (order.legs > 3 || order.solicited)
then: deny
message: {{en: A, es: B}}
{more}
examples:
  - {{name: fires, given: {{order.side: buy, order.legs: 4, order.solicited: false}}, expect: deny}}
  - {{name: sells, given: {{order.side: sell}}, expect: permit}}
"""


def release(more: str = "") -> Release:
    return compile_release({**desk_files(), "regulatory/test/rule.yaml": RULE.format(more=more)})


def watched(coverage: Coverage, id_: str = "test.rule") -> Watched:
    (found,) = (item for item in coverage.watched if item.id == id_)
    return found


def facts(now: datetime = NOW, **stated: object) -> Facts:
    values = {f"order.{name}": value for name, value in stated.items()}
    return Facts(values=values, chain=ChainHistory("order_to_settlement", "o"), now=now)  # type: ignore[arg-type]


def test_examples_count_for_their_own_rule() -> None:
    """Fired once, silent once; each leaf as it was seen, an unknown one not at all."""
    coverage = Coverage(release())
    assert watched(coverage).counted() == (0, 8)
    coverage.examples()
    rule = watched(coverage)
    assert (rule.fired_examples, rule.silent_examples) == ({"fires"}, {"sells"})
    assert {(branch.text, branch.seen_true, branch.seen_false) for branch in rule.branches} == {
        ('(order.side == "buy")', True, True),
        ("(order.legs > 3)", True, False),
        ("order.solicited", False, True),
    }
    assert rule.counted() == (6, 8)
    assert set(rule.unseen()) == {"false: (order.legs > 3)", "true: order.solicited"}


def test_scenarios_count_for_every_rule_that_watches_and_is_in_force() -> None:
    """Another action, or another time, shows nothing."""
    coverage = Coverage(release("effective: {from: 2026-01-01, to: 2027-01-01}"))
    silent = facts(side="sell", legs=1, solicited=True)
    coverage.asked("s.one", "order.execute", silent)
    coverage.asked("s.one", "order.capture", facts(datetime(2027, 1, 1, tzinfo=UTC), side="sell"))
    assert watched(coverage).counted() == (0, 8)
    coverage.asked("s.one", "order.capture", silent)
    coverage.asked("s.two", "order.capture", facts(side="buy", solicited=True))
    rule = watched(coverage)
    assert (rule.fired_scenarios, rule.silent_scenarios) == ({"s.two"}, {"s.one"})
    assert rule.unseen() == ("true: (order.legs > 3)", "false: order.solicited")


def test_a_condition_of_one_leaf_is_not_counted_twice() -> None:
    """That it fired and kept silent says it all; a duty's condition is another thing than the duty."""
    coverage = Coverage(compile_release(desk_files()))
    assert watched(coverage, "pre.large_order").counted() == (0, 2)
    assert watched(coverage, "large_orders_apart").counted() == (0, 4)


def test_duties_speak_through_their_findings_and_grants_through_their_conditions() -> None:
    """A duty that was concerned and said nothing was silent; one of other steps was not asked."""
    coverage = Coverage(compile_release(desk_files()))
    coverage.answered("s", "order.approve", ())
    assert watched(coverage, "maker_checker").silent_scenarios == {"s"}
    assert not watched(coverage, "trade_and_allocate").silent
    assert watched(coverage, "front_back").silent_scenarios == {"s"}, "roles concern every step"
    (write,) = (item for item in coverage.watched if item.kind == "grant" and "write" in item.id)
    coverage.asked("s", "record.write", Facts({"subject.desk": "records"}, ChainHistory("", "r"), NOW))
    assert (write.fired, write.silent) == (True, False)


def test_the_services_own_chain_is_not_asked_for() -> None:
    """No scenario can propose or confirm a change."""
    names = [item.id for item in Coverage(compile_release(desk_files())).watched]
    assert names.count("whole_chain") == names.count("sole_actor") == 1


def test_nothing_to_cover_is_covered() -> None:
    """An empty set reaches every threshold."""
    assert Coverage(compile_release({})).percent == 100


stated = st.fixed_dictionaries(
    {},
    optional={
        "side": st.sampled_from(["buy", "sell"]),
        "legs": st.integers(0, 6),
        "solicited": st.booleans(),
    },
)


@given(st.lists(stated, max_size=6), stated)
def test_what_was_seen_stays_seen(before: list[dict[str, object]], more: dict[str, object]) -> None:
    """Another case never takes coverage away, and the condition itself agrees with what is noted."""
    coverage = Coverage(RELEASE)
    rule = watched(coverage)
    for number, case in enumerate(before):
        coverage.asked(f"s{number}", "order.capture", facts(**case))
    seen, unseen = rule.counted()[0], set(rule.unseen())
    coverage.asked("more", "order.capture", facts(**more))
    assert rule.counted()[0] >= seen
    assert set(rule.unseen()) <= unseen
    (condition,) = rule.conditions
    truth = condition.evaluate(facts(**more)).truth
    assert ("more" in rule.fired_scenarios) is (truth is Truth.TRUE)
    assert ("more" in rule.silent_scenarios) is (truth is Truth.FALSE)
    assert 0 <= coverage.percent <= 100


RELEASE = release()
