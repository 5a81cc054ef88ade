"""Rules in plain words: every shipped rule and every generated condition, and a few to the letter."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings

from controls.rules.condition import compile_condition
from controls.rules.explain import explain_rule
from controls.rules.release import Release, compile_release
from controls.rules.wording import LANGUAGES, Wording
from tests.rules.rule_sets import desk_files
from tests.rules.shipped_desk import shipped_release
from tests.rules.strategies import NAMES, conditions
from tests.rules.test_analysis import HIGH, a_rule

# What belongs to the language of conditions and to no sentence.
SYNTAX = re.compile(
    r"&&|\|\||[=!<>]=|[<>!]|\b(has|size|sum|exists|all|map|filter)\(|\bchain\.|[{}$]|\.[a-z]\w*\("
)
QUOTED = re.compile(r"“[^”]*”|«[^»]*»")


@pytest.fixture(scope="module")
def release() -> Release:
    return shipped_release()


def _explained(release: Release, id_: str, language: str) -> str:
    (rule,) = [rule for rule in release.rules if rule.id == id_]
    return explain_rule(release, rule, language=language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_shipped_rule_reads_as_sentences(release: Release, language: str) -> None:
    """No syntax is left over outside of quoted names, and all that decides is there."""
    for rule in release.rules:
        text = explain_rule(release, rule, language=language)
        plain = QUOTED.sub("", text)
        assert not SYNTAX.search(plain), (rule.id, SYNTAX.search(plain))
        for fact in rule.condition.names & release.vocabulary.facts.keys():
            assert getattr(release.vocabulary.facts[fact].label, language) in text
        for name in rule.parameters:
            assert name in text
        for source in rule.sources:
            assert f"- {source.law}" in text


@settings(max_examples=200, deadline=None)
@given(source=conditions(NAMES, depth=3))
def test_every_condition_has_words(source: str) -> None:
    """The whole language, in both languages, said the right way round and denied."""
    tree = compile_condition(source, names=NAMES).tree
    for language in LANGUAGES:
        words = Wording(language, label=lambda name: name.replace(".", " "), step=str)
        for opposite in (False, True):
            lines = words.lines(tree, opposite=opposite)
            assert lines
            assert all(line.strip() for line in lines)
            assert not re.search(r"&&|\|\|", QUOTED.sub("", "\n".join(lines)))


ENGLISH = """\
pre.credit_capital_threshold: Order would exceed the credit threshold

The rule applies when somebody asks for: Approval (“order.approve”).
It is in force from 14 July 2011, 00:00 (America/New_York).

If the sum of “Order value” (converted into “EUR” at the rate of today in “Europe/Madrid” in the table of \
rates “house”) and the size of “Open exposure” (converted into “EUR” at the rate of today in \
“Europe/Madrid” in the table of rates “house”) without its sign is more than \
75,000,000 EUR (the parameter “threshold”),
then the request is denied.
If a fact that the rule needs is missing, the request is held for review.
If the rule cannot be computed, the request is held for review.
The person is told: “[Order value] on top of [Open exposure] passes the threshold [threshold]”
"""


def test_a_limit_to_the_letter(release: Release) -> None:
    """As a compliance officer reads it, in English."""
    text = _explained(release, "pre.credit_capital_threshold", "en")
    assert text.startswith(ENGLISH)
    assert "- “threshold”: 75,000,000 EUR (the firm's policy)\n" in text
    assert text.endswith("Severity: high. Owner: market-risk.\n")


def test_alternatives_and_elements_to_the_letter(release: Release) -> None:
    """Alternatives stand as a list, elements of lists are spoken of as such, in Spanish."""
    text = _explained(release, "all.own_account_priority", "es")
    assert (
        "Si se cumple todo esto:\n"
        "  - «Orden global de varias cuentas» es sí\n"
        "  - «Cantidad ejecutada» es menor que «Cantidad»\n"
        "  - para al menos un elemento de «Líneas de asignación (desglose)», su «own account» es sí y su"
        " «quantity» es mayor que 0\n"
    ) in text
    assert "entonces se deniega la solicitud.\n" in text


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ('!(order.side == "buy" && order.short)', "“order.side” is not “buy” or “order.short” is no"),
        ("!(order.fills > 3)", "“order.fills” is at most 3"),
        ("order.received_at < now", "“order.received_at” is before the moment of the decision"),
        (
            '!has(order.side) || chain.performed("execute")',
            "“order.side” is not given or the step “execute” has been performed",
        ),
        (
            'order.settlement_date - order.trade_date > duration("P2D")',
            "the time from “order.trade_date” to “order.settlement_date” is more than 2 days",
        ),
        (
            "(order.fills > 1) != order.short",
            "exactly one of these two holds: “order.fills” is more than 1; or “order.short” is yes",
        ),
        ("order.quantity < 1234567.000001", "“order.quantity” is less than 1,234,567.000001"),
        ("order.short == false", "“order.short” is no"),
    ],
)
def test_what_is_denied_keeps_its_meaning(source: str, words: str) -> None:
    """Negations go to where they are spoken."""
    said = Wording("en", label=str, step=str).condition(compile_condition(source, names=NAMES).tree)
    assert said == words


def test_an_observing_rule_says_so() -> None:
    """And absent facts that are skipped are explained with the reason."""
    more = "  mode: observe\n  missing: skip\n  because: The desk may not know it.\n"
    release = compile_release({**desk_files(), "regulatory/a/b.yaml": a_rule(1, HIGH, more=more)})
    text = _explained(release, "r.n1", "en")
    assert "It only observes" in text
    assert "the rule says nothing, because: The desk may not know it." in text
