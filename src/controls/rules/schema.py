"""JSON Schemas of the rule files, for editors: made from the very table that the loader checks with."""

from __future__ import annotations

from typing import Final

from controls.model.values import Json
from controls.rules.structure import FILE_SHAPES, FileKind

KINDS: Final = tuple(kind.value for kind in FileKind)

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_TITLES: Final = {
    FileKind.VOCABULARY: ("Vocabulary", "The facts that rules may use (vocabulary.yaml)."),
    FileKind.ROLES: ("Roles and grants", "Who may take which action (roles.yaml)."),
    FileKind.CHAIN: ("Chain kind", "What a resource goes through, step by step (chains/*.yaml)."),
    FileKind.DUTY: ("Duty constraints", "Rules over who did which steps (duties/*.yaml)."),
    FileKind.AGGREGATE: ("Aggregates", "Counts and sums over earlier requests (aggregates/*.yaml)."),
    FileKind.RULE: ("Regulatory rules", "Rules over the facts of one request (regulatory/<stage>/*.yaml)."),
    FileKind.CALENDAR: ("Calendar", "The days without business of some years (calendars/*.yaml)."),
    FileKind.DECISION: ("Decision table", "Rows of a decision table (decisions/*.csv), header first."),
    FileKind.SCENARIO: (
        "Scenarios",
        "Whole chains played step by step, with expected answers (scenarios/*.yaml).",
    ),
}


def json_schema(kind: str) -> dict[str, Json]:
    """The JSON Schema (2020-12) of a kind of file, such as `rule`; `KINDS` has them all.

    Raises:
        ValueError: no such kind; the message lists them.
    """
    try:
        file_kind = FileKind(kind)
    except ValueError:
        raise ValueError(f"no file kind {kind!r}: there are {', '.join(KINDS)}") from None
    title, description = _TITLES[file_kind]
    return {
        "$schema": _DIALECT,
        "title": title,
        "description": description,
        **FILE_SHAPES[file_kind].schema(),
    }
