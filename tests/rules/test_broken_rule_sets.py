"""Golden diagnostics: each text under `fixtures/rules/broken` with what is wrong in it, to the column."""

from __future__ import annotations

from pathlib import Path

import pytest

from controls.model.errors import RuleFilesInvalid
from controls.rules.release import compile_release
from tests.rules.rule_sets import FIXTURES, desk_files, diagnostics_of, read_case

CASES = sorted((FIXTURES / "broken").glob("*.txt"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_everything_wrong_is_reported_at_its_place(path: Path) -> None:
    """All diagnostics come at once, each with its file, line, column and code, and nothing else."""
    files = read_case(path)
    expected = files.pop("expected").splitlines()
    with pytest.raises(RuleFilesInvalid) as caught:
        compile_release({**desk_files(), **files})
    found = [f"{item.file}:{item.line}:{item.column}: {item.code}" for item in caught.value.diagnostics]
    assert found == expected


def test_there_are_golden_cases() -> None:
    """The folder was found."""
    assert len(CASES) >= 9


RULE = """\
id: r.one
title: {en: A, es: B}
source: {law: Policy, basis: policy}
on: order.capture
when: order.quantity < 3
then: deny
message: {en: A, es: B}
examples:
  - {name: permit, given: {order.quantity: "5"}, expect: permit}
  - {name: deny, given: {order.quantity: "1"}, expect: deny}
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("then: deny", "then: dny", "did you mean 'deny'?"),
        ("when:", "wen:", "did you mean 'when'?"),
        ("order.quantity < 3", "order.quantiti < 3", "did you mean `order.quantity`?"),
        ("order.capture", "order.captur", "did you mean 'order.capture'?"),
        ('{order.quantity: "5"}', '{order.qantity: "5"}', "did you mean 'order.quantity'?"),
        ("then: deny", "then: deny\nmissing: skip", "say in `because`"),
        ("then: deny", "then: oblige", "needs an `obligation`"),
        ("expect: permit", "expect: deny", "add an example that does not fire"),
        ("expect: deny", "expect: review", "add an example that fires"),
        ('"5"', "5.0", 'quote it ("5.0")'),
    ],
)
def test_messages_say_what_to_do(old: str, new: str, message: str) -> None:
    """A diagnostic names the likely meaning or the next thing to do."""
    text = RULE.replace(old, new)
    found = diagnostics_of({**desk_files(), "regulatory/a/b.yaml": text})
    assert any(message in item.message for item in found), found


def test_the_rule_of_these_tests_is_sound() -> None:
    """Without a change the rule loads, so that each change is what is reported."""
    assert diagnostics_of({**desk_files(), "regulatory/a/b.yaml": RULE}) == ()


def test_names_broken_elsewhere_are_reported_once() -> None:
    """A fact with a wrong type is reported in the vocabulary and not by the rules that use it."""
    files = desk_files()
    files["vocabulary.yaml"] = files["vocabulary.yaml"].replace(
        "order.notional:   {type: money", "order.notional:   {type: mony"
    )
    assert [item.code for item in diagnostics_of(files)] == ["unknown_value"]


def test_too_many_files_are_refused_before_they_are_read() -> None:
    """A release has at most 2,000 files."""
    files = {f"duties/d{number}.yaml": "" for number in range(2_001)}
    assert [item.code for item in diagnostics_of(files)] == ["too_many_files"]


@pytest.mark.parametrize(
    ("duty", "lacking"),
    [
        ("kind: separate, steps: [execute, approve], scope: account", ["order.account"]),
        ("kind: chinese_wall, class: order.account, dataset: order.side", ["order.account", "order.side"]),
    ],
)
def test_no_chain_begins_without_saying_where_it_counts(duty: str, lacking: list[str]) -> None:
    """Else whoever begins it is asked about one place, and counts at another that somebody else says."""
    files = desk_files()
    chain = "chains/order_to_settlement.yaml"
    files[chain] = files[chain].replace("id: capture,", "id: capture, material: [order.quantity],")
    files["duties/desk.yaml"] = f"- {{id: one, {duty}, within: P1D, then: deny}}\n"
    with pytest.raises(RuleFilesInvalid) as caught:
        compile_release(files)
    assert [item.code for item in caught.value.diagnostics] == ["not_material"] * len(lacking)
    for item, fact in zip(caught.value.diagnostics, lacking, strict=True):
        assert "'capture' can begin a chain of kind 'order_to_settlement'" in item.message
        assert f"lacks '{fact}'" in item.message
