"""The catalogue of diagnostics: complete in both directions, and every example really gives its code."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import controls.rules
from controls.model.errors import Diagnostic, RuleFilesInvalid
from controls.rules import coverage
from controls.rules.analysis import analyse
from controls.rules.catalogue import CATALOGUE
from controls.rules.explanations import BASE, RULE, Change, Explanation, changed
from controls.rules.files import decode_files
from controls.rules.release import compile_files, release_from_document

# Where each of these functions and classes takes a code.
EMITTERS = {
    "add": 1,
    "_wrong": 1,
    "CellError": 1,
    "_Refused": 1,
    "refuse": 2,
    "ConditionError": 2,
    "Diagnostic": 3,
}
PLACES = {"code", "empty_code"}
ENGINE_CODES = {"engine_failure", "engine_closed", "engine_disagreement"}  # of requests, not of files


def _constants(node: ast.expr) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value:
            yield part.value


def _codes_of(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            place = EMITTERS.get(name)
            if place is not None and len(node.args) > place + 1:
                code = node.args[place]
                # `"a" if test else "b"`: the test is no code.
                for option in (code.body, code.orelse) if isinstance(code, ast.IfExp) else (code,):
                    if isinstance(option, ast.Constant | ast.BoolOp):
                        yield from _constants(option)
            for keyword in node.keywords:
                if keyword.arg in PLACES:
                    yield from _constants(keyword.value)
        elif isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") in PLACES and node.value:
            yield from _constants(node.value)


def _sources() -> Iterator[ast.AST]:
    for path in sorted(Path(controls.rules.__file__).parent.glob("*.py")):
        if not path.name.startswith("catalogue"):
            yield ast.parse(path.read_text(encoding="utf-8"))


def test_every_code_that_can_be_given_is_explained() -> None:
    """Whoever adds a diagnostic adds its explanation."""
    given = {code for tree in _sources() for code in _codes_of(tree)} - ENGINE_CODES
    assert len(given) > 70
    assert sorted(given - CATALOGUE.keys()) == []


def test_no_code_is_explained_that_nobody_gives() -> None:
    """What is explained is written somewhere in the loader or the checks."""
    written = {
        text
        for tree in _sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.expr)
        for text in _constants(node)
    }
    assert sorted(CATALOGUE.keys() - written) == []


def _found(files: dict[str, str]) -> tuple[Diagnostic, ...]:
    try:
        return analyse(compile_files(files)).diagnostics
    except RuleFilesInvalid as invalid:
        return invalid.diagnostics


def test_the_files_that_examples_change_are_sound() -> None:
    """So that the change alone brings the code about."""
    assert _found(dict(BASE)) == ()


CHANGES = [item for item in CATALOGUE.values() if isinstance(item.example, Change)]


@pytest.mark.parametrize("item", CHANGES, ids=lambda item: item.code)
def test_an_example_gives_its_code(item: Explanation) -> None:
    """With the level that the catalogue says."""
    assert isinstance(item.example, Change)
    found = [each for each in _found(changed(item.example)) if each.code == item.code]
    assert found
    assert {each.level for each in found} == {item.level}


def _refused(action: Callable[[], object]) -> set[str]:
    with pytest.raises(RuleFilesInvalid) as caught:
        action()
    return {item.code for item in caught.value.diagnostics}


def _when(condition: str) -> dict[str, str]:
    return changed(Change(condition, 'order.quantity > limit && order.side == "buy"', RULE))


def _aliases() -> str:
    rows = "".join(f"  - &a{n + 1} [{', '.join([f'*a{n}'] * 10)}]\n" for n in range(6))
    return f"x:\n  - &a0 [x]\n{rows}"


TOO_MUCH: dict[str, Callable[[], object]] = {
    "bad_document": lambda: release_from_document(b"{}"),
    "file_too_large": lambda: compile_files({**BASE, RULE: "#" * 2_000_000}),
    "not_utf8": lambda: decode_files({RULE: "ó".encode("latin-1")}),
    "release_too_large": lambda: compile_files({f"duties/d{n}.yaml": "#" * 1_000_000 for n in range(9)}),
    "too_deep": lambda: compile_files(_when("(" * 40 + "order.quantity" + ")" * 40 + " > limit")),
    "too_large": lambda: compile_files(_when(" || ".join(["order.quantity > limit"] * 150))),
    "too_many": lambda: compile_files({**BASE, RULE: "".join(f"k{n}: 1\n" for n in range(1_200))}),
    "too_many_aliases": lambda: compile_files({**BASE, RULE: _aliases()}),
    "too_many_files": lambda: compile_files({f"duties/d{n}.yaml": "" for n in range(2_001)}),
}  # fmt: skip


def test_the_codes_told_in_words_are_those_made_here() -> None:
    """Every code has an example that is run, here or in the catalogue."""
    assert {item.code for item in CATALOGUE.values() if isinstance(item.example, str)} == {
        *TOO_MUCH,
        "not_decided",
    }


@pytest.mark.parametrize("code", sorted(TOO_MUCH))
def test_what_is_too_much_gives_its_code(code: str) -> None:
    """Sizes and bytes that nobody would write into a catalogue."""
    assert code in _refused(TOO_MUCH[code])


def test_a_table_that_takes_too_long_gives_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a budget of a few steps, so that a small table is an intricate one."""
    monkeypatch.setattr(coverage, "TABLE_STEPS", 1)
    assert "not_decided" in _refused(lambda: compile_files(BASE))
