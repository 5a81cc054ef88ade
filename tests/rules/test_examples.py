"""Examples beside rules, run on the engines."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from controls.model.condition import Facts
from controls.model.finding import Finding
from controls.rules.engine import Engine, EngineFailure, build_engine
from controls.rules.examples import facts_of_example, run_examples
from controls.rules.release import Release, compile_release
from controls.rules.rule import Rule
from tests.rules.rule_sets import desk_files

DESK = compile_release(desk_files())


@pytest.fixture
def engines() -> Iterator[list[Engine]]:
    """Both engines over the desk's rules."""
    built = [build_engine(name, DESK.rules) for name in ("durable", "reference")]
    yield built
    for engine in built:
        engine.close()


def one_rule(when: str, examples: str, more: str = "") -> Release:
    text = f"""
id: test.rule
title: {{en: A, es: B}}
source: {{law: Policy, basis: policy}}
on: [order.capture, order.execute]
when: {when}
then: deny
message: {{en: "{{resource.id}}", es: "{{resource.id}}"}}
{more}
examples:
{examples}
"""
    return compile_release({**desk_files(), "regulatory/test/rule.yaml": text})


def outcomes(release: Release) -> dict[str, str]:
    engine = build_engine("reference", release.rules)
    try:
        return {
            item.example: item.got for item in run_examples(release, [engine]) if item.rule == "test.rule"
        }
    finally:
        engine.close()


def test_all_examples_of_the_desk_pass_on_both_engines(engines: list[Engine]) -> None:
    """Each example runs once on each engine."""
    results = run_examples(DESK, engines)
    assert len(results) == 2 * sum(len(rule.examples) for rule in DESK.rules)
    assert all(result.passed for result in results), [item for item in results if not item.passed]


def test_a_wrong_expectation_is_a_failed_example() -> None:
    """What came out is said, with the message that a person would have read."""
    release = one_rule(
        "order.quantity < 3",
        """
  - {name: wrong, given: {order.quantity: 2}, expect: permit}
  - {name: right, given: {order.quantity: 2}, expect: deny}""",
    )
    engine = build_engine("reference", release.rules)
    wrong, right = (item for item in run_examples(release, [engine]) if item.rule == "test.rule")
    engine.close()
    assert (wrong.passed, wrong.got, wrong.detail) == (False, "deny", "fired: example")
    assert (wrong.file, wrong.line, right.passed) == ("regulatory/test/rule.yaml", 12, True)


def test_other_rules_are_left_aside() -> None:
    """An example is about its one rule, whatever the others say about the same facts."""
    found = outcomes(
        one_rule(
            'order.side == "sell"',
            """
  - {name: huge, given: {order.notional: 9000000.00 EUR, order.side: buy}, expect: permit}
  - {name: sell, given: {order.side: sell}, expect: deny}""",
        )
    )
    assert found == {"huge": "permit", "sell": "deny"}


def test_examples_may_tell_the_chain_and_the_person() -> None:
    """Steps performed before, by whom and when, and the service's own facts are at hand."""
    found = outcomes(
        one_rule(
            'chain.performed("capture") && chain.person("capture") == person.id && "trader" in person.roles',
            """
  - {name: nobody, given: {person.roles: [trader]}, expect: permit}
  - {name: other, given: {person.roles: [trader]}, chain: {performed: {capture: p-2}}, expect: permit}
  - name: same
    given: {person.id: p-2, person.roles: [trader]}
    chain: {performed: {capture: p-2}}
    expect: deny""",
        )
    )
    assert found == {"nobody": "permit", "other": "permit", "same": "deny"}


def test_examples_are_asked_while_the_rule_applies() -> None:
    """Without `at`, the moment lies in the rule's latest period; with it, it is that one."""
    release = one_rule(
        "order.quantity < 3",
        """
  - {name: default, expect: review}
  - {name: given, at: "1999-06-01T00:00:00Z", given: {order.quantity: 9}, expect: permit}
  - {name: fires, given: {order.quantity: 1}, expect: deny}""",
        more="effective: [{from: 1999-01-01, to: 2000-01-01}, {to: 1995-01-01}]",
    )
    rule = next(item for item in release.rules if item.id == "test.rule")
    default, given, _ = rule.examples
    assert facts_of_example(release, rule, default).now == datetime(1999, 1, 1, tzinfo=UTC)
    assert facts_of_example(release, rule, given).now == datetime(1999, 6, 1, tzinfo=UTC)
    assert outcomes(release) == {"default": "review", "given": "permit", "fires": "deny"}


def test_an_engine_that_fails_is_a_failed_example() -> None:
    """An error is never taken for an answer."""

    class Broken:
        name = "broken"

        def evaluate_rule(self, rule: Rule, action: str, facts: Facts) -> tuple[Finding, ...]:
            raise EngineFailure(f"no answer about {rule.id} for {action} at {facts.now:%Y}")

    results = run_examples(DESK, [Broken()])
    assert results[0].detail == f"no answer about {DESK.rules[0].id} for order.allocate at 2026"
    assert {(item.got, item.passed) for item in results} == {("error", False)}
