"""JSON Schemas for editors say what the loader says."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.model.errors import RuleFilesInvalid
from controls.rules.diagnostics import Diagnostics
from controls.rules.files import read_yaml
from controls.rules.nodes import as_json, from_json
from controls.rules.schema import json_schema
from controls.rules.shapes import is_sound
from controls.rules.structure import FILE_SHAPES, FileKind
from tests.rules.rule_sets import FIXTURES, desk_files, read_case

VALIDATORS = {kind: jsonschema_rs.Draft202012Validator(json_schema(kind)) for kind in FileKind}


def kind_of(path: str) -> FileKind:
    folders = {
        "calendars": FileKind.CALENDAR,
        "chains": FileKind.CHAIN,
        "duties": FileKind.DUTY,
        "regulatory": FileKind.RULE,
        "decisions": FileKind.DECISION,
    }
    return folders.get(path.partition("/")[0]) or FileKind(path.removesuffix(".yaml"))


def value_of(text: str) -> Any:
    diagnostics = Diagnostics()
    node = read_yaml("a.yaml", text, diagnostics)
    diagnostics.raise_if_any()
    assert node is not None
    return as_json(node)


@pytest.mark.parametrize("path", sorted(desk_files()))
def test_good_files_fit_their_schema(path: str) -> None:
    """Every file of the small desk is valid in an editor."""
    VALIDATORS[kind_of(path)].validate(value_of(desk_files()[path]))


def test_the_schema_refuses_what_the_structure_check_refuses() -> None:
    """Each broken fixture file is valid in an editor exactly when its structure is right for the loader."""
    checked = 0
    for case in sorted((FIXTURES / "broken").glob("*.txt")):
        for path, text in read_case(case).items():
            try:
                kind, value = kind_of(path), value_of(text)
            except (RuleFilesInvalid, ValueError):
                continue
            assert VALIDATORS[kind].is_valid(value) == is_sound(
                FILE_SHAPES[kind], from_json(value, file=path)
            ), path
            checked += 1
    assert checked >= 6


MORE = {
    "calendars/test.yaml": """\
title: {en: Test, es: Prueba}
source: {law: Policy, basis: policy}
first_year: 2026
last_year: 2027
weekend: [saturday, sunday]
holidays: {2026-12-25: Christmas Day}
""",
    "regulatory/test/due.yaml": """\
id: test.report
title: {en: Report it, es: Comunicarlo}
source: {law: Policy, basis: policy}
on: [order.capture]
when: order.side == "buy"
then: oblige
obligation:
  duty: report
  due: {business_days: 1, calendar: test, at: "18:00", zone: UTC, warn_at: "12:00", from: order.traded_on}
message: {en: "{due_at}", es: "{due_at}"}
examples:
  - {name: buy, at: 2026-03-02T09:30:00Z, given: {order.side: buy}, expect: oblige, due: 2026-03-03T18:00:00Z}
""",
}
GOOD = {path: value_of(text) for path, text in {**desk_files(), **MORE}.items()}
_OTHER_VALUES = st.sampled_from(
    [None, True, 0, 7, "", " ", "x", "order.side", "2026-01-01", [], ["x"], {}, {"en": "x"}, {"x": 1}]
)


def places_of(value: Any, way: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [way]
    if isinstance(value, dict):
        for key, item in value.items():
            found += places_of(item, (*way, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += places_of(item, (*way, index))
    return found


def replaced(value: Any, way: tuple[str | int, ...], new: Any) -> Any:
    if not way:
        return new
    if isinstance(value, dict):
        return {key: replaced(item, way[1:], new) if key == way[0] else item for key, item in value.items()}
    return [replaced(item, way[1:], new) if index == way[0] else item for index, item in enumerate(value)]


@given(data=st.data(), path=st.sampled_from(sorted(GOOD)), new=_OTHER_VALUES)
def test_loader_and_schema_agree_about_any_change(data: st.DataObject, path: str, new: Any) -> None:
    """Whatever is put anywhere in a good file, both take it or both refuse it."""
    way = data.draw(st.sampled_from(places_of(GOOD[path])))
    changed = replaced(GOOD[path], way, new)
    kind = kind_of(path)
    assert VALIDATORS[kind].is_valid(changed) == is_sound(FILE_SHAPES[kind], from_json(changed, file=path))


def test_every_key_is_explained() -> None:
    """An editor has words for every key on hover."""

    def walk(schema: Any) -> None:
        if isinstance(schema, list):
            for item in schema:
                walk(item)
        elif isinstance(schema, dict):
            for name, sub in schema.get("properties", {}).items():
                if "const" not in sub and set(sub) != {"type", "enum"}:
                    assert sub.get("description"), name
            for sub in schema.values():
                walk(sub)

    for kind in FileKind:
        walk(json_schema(kind))


def test_unknown_kinds_are_refused() -> None:
    """The message lists the kinds there are."""
    with pytest.raises(ValueError, match="vocabulary, roles, chain, duty, aggregate, rule, calendar"):
        json_schema("table")
