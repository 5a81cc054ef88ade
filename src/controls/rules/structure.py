"""What each kind of rule file may say: the one table that both the loader's check and editors use."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from controls.rules.common_shapes import (
    ACTION,
    CODE,
    CONDITION,
    DATE,
    DEFAULT_LIST,
    DURATION,
    FACT,
    FIELD,
    MAX_LIST,
    MAX_STRING,
    NAME,
    RESOURCE,
    SCALAR,
    SCALAR_TYPES,
    SHORT,
    SOURCES,
    TITLE,
)
from controls.rules.duty_structure import DUTY_FILE
from controls.rules.formats import FORMATS
from controls.rules.rule_structure import AGGREGATE_FILE, RULE_FILE
from controls.rules.scenario_structure import SCENARIO_FILE
from controls.rules.shapes import (
    BooleanShape,
    ChoiceShape,
    EitherShape,
    IntegerShape,
    Key,
    ListShape,
    MappingShape,
    Shape,
    TableShape,
    TextShape,
)
from controls.rules.table_structure import DECISION_FILE


class FileKind(StrEnum):
    """The kinds of rule files."""

    VOCABULARY = "vocabulary"
    ROLES = "roles"
    CHAIN = "chain"
    DUTY = "duty"
    AGGREGATE = "aggregate"
    RULE = "rule"
    CALENDAR = "calendar"
    DECISION = "decision"
    SCENARIO = "scenario"


WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MAX_YEARS: Final = 100  # of one calendar

FACT_DECLARATION: Final = MappingShape(
    "a fact",
    (
        Key(
            "type",
            ChoiceShape((*SCALAR_TYPES, "list")),
            "bool, int, decimal, money, string, date, timestamp, duration or list",
            required=True,
        ),
        Key(
            "of",
            EitherShape(
                SCALAR, TableShape("the fields of each element", key=FIELD, value=SCALAR, maximum=50)
            ),
            "what a list holds: one type, or fields with their types",
        ),
        Key(
            "values",
            ListShape(TextShape(what="a value", max_length=MAX_STRING), maximum=1_000, unique=True),
            "the only values that a string may have",
        ),
        Key(
            "format",
            ChoiceShape(tuple(FORMATS)),
            "the form of an identifier; a text of any other form is refused: " + ", ".join(FORMATS),
        ),
        Key(
            "max_length",
            IntegerShape(1, MAX_STRING),
            f"the longest string that is taken (default {MAX_STRING})",
        ),
        Key(
            "max_items",
            IntegerShape(1, MAX_LIST),
            f"the longest list that is taken (default {DEFAULT_LIST})",
        ),
        Key("label", TITLE, "what people call it", required=True),
        Key("unit", SHORT, "the unit of a number, such as shares"),
        Key("public", BooleanShape(), "true when its value may stand in the open part of the ledger"),
        Key(
            "from",
            ChoiceShape(("caller",)),
            "who states it: the caller (the default; write it on facts about the subject that grants use)",
        ),
        Key("fix", CODE, "its FIX tag"),
        Key("iso", CODE, "its ISO 20022 element"),
    ),
)

VOCABULARY_FILE: Final = MappingShape(
    "the vocabulary",
    (
        Key(
            "subject_types",
            ListShape(RESOURCE, maximum=50, unique=True),
            "the types of subject that requests may name (default account and user)",
        ),
        Key(
            "facts",
            TableShape("the facts", key=FACT, value=FACT_DECLARATION),
            "the facts that rules may use",
        ),
    ),
)

ROLE: Final = MappingShape(
    "a role",
    (
        Key(
            "inherits",
            ListShape(NAME, minimum=0, maximum=50, unique=True),
            "roles whose grants this one has too",
        ),
        Key("title", TITLE, "what people call it"),
    ),
)
GRANT: Final = MappingShape(
    "a grant",
    (
        Key("id", TextShape(what="an id", max_length=300), "its name in findings (default: made up)"),
        Key("role", NAME, "who is granted: a role, or anyone", required=True),
        Key("actions", ListShape(ACTION, maximum=200, unique=True), "the actions granted", required=True),
        Key("resource", RESOURCE, "the type of resource", required=True),
        Key("when", CONDITION, "a condition over the request's facts"),
    ),
)
ROLES_FILE: Final = MappingShape(
    "the roles file",
    (
        Key(
            "roles",
            TableShape("the roles", key=NAME, value=ROLE, maximum=500),
            "the roles that persons may have",
        ),
        Key(
            "grants",
            ListShape(GRANT, minimum=0, maximum=5_000),
            "which role may take which actions on which resource",
        ),
    ),
)

_STEP: Final = MappingShape(
    "a step",
    (
        Key("id", ACTION, "the step's name, which is also the action", required=True),
        Key("title", TITLE, "what people call it"),
        Key("office", SHORT, "the office that takes it: front, middle or back"),
        Key("after", ListShape(ACTION, minimum=0, maximum=100, unique=True), "what comes before it"),
        Key("optional", BooleanShape(), "true when a chain may end without it"),
        Key(
            "repeats",
            ChoiceShape(("never", "same_person", "anyone")),
            "who may take it again: never (default), same_person or anyone",
        ),
        Key("reapprove", BooleanShape(), "true when a permitted amend opens it again"),
        Key(
            "material",
            ListShape(FACT, minimum=0, maximum=100, unique=True),
            "facts that may not change at this step, instead of the chain's list",
        ),
        Key("lines", FACT, "the list whose elements become ledger entries of their own"),
        Key("votes", IntegerShape(1, 20), "how many different persons must take it (default 1)"),
    ),
)
CHAIN: Final = MappingShape(
    "a chain kind",
    (
        Key("chain", NAME, "the chain kind's name", required=True),
        Key("title", TITLE, "what people call it", required=True),
        Key("resource", RESOURCE, "the type of resource that goes through it", required=True),
        Key(
            "material",
            ListShape(FACT, minimum=0, maximum=100, unique=True),
            "facts that may not change along the way",
        ),
        Key(
            "if_stated",
            ListShape(FACT, minimum=0, maximum=100, unique=True),
            "facts that a step may leave out, and of which what is stated first holds for every later step",
        ),
        Key("steps", ListShape(_STEP, minimum=2, maximum=64), "the steps, two or more", required=True),
        Key(
            "order",
            ChoiceShape(("free", "required")),
            "required (default): a step waits for what it comes after; free: it does not",
        ),
        Key(
            "progress",
            ChoiceShape(("reported", "claimed")),
            "when a step counts as done for the next: reported as performed (default), or claimed",
        ),
        Key(
            "sole_actor",
            ChoiceShape(("allowed",)),
            "allowed: the last step may be taken by the only person who acted so far",
        ),
        Key("claim_valid_for", DURATION, "how long a permit holds its step (default PT24H)"),
        Key(
            "resembles",
            TextShape(what="a duration such as P5D, or never", max_length=40),
            "for how long a new chain is flagged that has the account, instrument, side and quantity of "
            "another one and no link to it; never: not at all (default P5D where these are material)",
        ),
    ),
)
CHAIN_FILE: Final = ListShape(CHAIN, maximum=200, one_too=True)

CALENDAR_FILE: Final = MappingShape(
    "a calendar",
    (
        Key("title", TITLE, "what people call it", required=True),
        Key("source", SOURCES, "where its holidays come from"),
        Key("first_year", IntegerShape(1, 9999), "the first year that the holidays cover", required=True),
        Key(
            "last_year",
            IntegerShape(1, 9999),
            "the last year that they cover: outside, nothing can be counted",
            required=True,
        ),
        Key(
            "weekend",
            ListShape(ChoiceShape(WEEKDAYS), minimum=0, maximum=6, unique=True),
            "the weekdays without business",
            required=True,
        ),
        Key(
            "holidays",
            TableShape("the holidays", key=DATE, value=SHORT, maximum=5_000),
            "further days without business, each with its name: 2026-12-25: Christmas Day",
            required=True,
        ),
    ),
)

FILE_SHAPES: Final[dict[FileKind, Shape]] = {
    FileKind.VOCABULARY: VOCABULARY_FILE,
    FileKind.ROLES: ROLES_FILE,
    FileKind.CHAIN: CHAIN_FILE,
    FileKind.DUTY: DUTY_FILE,
    FileKind.AGGREGATE: AGGREGATE_FILE,
    FileKind.RULE: RULE_FILE,
    FileKind.CALENDAR: CALENDAR_FILE,
    FileKind.DECISION: DECISION_FILE,
    FileKind.SCENARIO: SCENARIO_FILE,
}
