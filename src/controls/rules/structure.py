"""What each kind of rule file may say: the one table that both the loader's check and editors use."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from controls.rules.scenario_structure import SCENARIO_FILE
from controls.rules.shapes import (
    BooleanShape,
    ChoiceShape,
    EitherShape,
    IntegerShape,
    Key,
    KindShape,
    ListShape,
    MappingShape,
    Shape,
    TableShape,
    TextShape,
    ValueShape,
)
from controls.rules.syntax import MAX_SOURCE
from controls.rules.table_structure import DECISION_FILE, table_shape


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


SCALAR_TYPES: Final = ("bool", "int", "decimal", "money", "string", "date", "timestamp", "duration")
MAX_STRING: Final = 1_024
DEFAULT_LIST: Final = 100
MAX_LIST: Final = 1_000
WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MAX_YEARS: Final = 100  # of one calendar

_WORD: Final = "[A-Za-z][A-Za-z0-9_]{0,62}"
_ID: Final = TextShape(
    what="an id such as pre.credit_threshold (small letters, digits, _ and dots)",
    pattern=r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*",
    max_length=100,
)
_NAME: Final = TextShape(
    what="a name such as order_to_settlement (small letters, digits and _)",
    pattern=r"[a-z][a-z0-9_]{0,62}",
    max_length=63,
)
# Step ids may be words as other systems log them; what Casbin or a separator could trip over is left out.
_ACTION: Final = TextShape(
    what="an action such as approve (letters, digits, _, -, ' and inner blanks)",
    pattern=r"[A-Za-z0-9_]([A-Za-z0-9_' -]*[A-Za-z0-9_])?",
    max_length=100,
)
_RESOURCE: Final = TextShape(what="a resource type such as order", pattern=_WORD, max_length=63)
FACT: Final = TextShape(
    what="a fact's name such as order.notional", pattern=rf"{_WORD}(\.{_WORD}){{1,4}}", max_length=200
)
_FIELD: Final = TextShape(what="a field's name such as quantity", pattern=_WORD, max_length=63)
_DATE: Final = TextShape(what="a date such as 2026-03-02", pattern=r"\d{4}-\d{2}-\d{2}", max_length=10)
_DURATION: Final = TextShape(what="a duration such as PT24H", max_length=40)
_CONDITION: Final = TextShape(what="a condition such as order.notional > limit", max_length=MAX_SOURCE)
_SENTENCE: Final = TextShape(what="a sentence", max_length=2_000)
_SHORT: Final = TextShape(what="a few words", max_length=200)
_CODE: Final = TextShape(what="a code", max_length=100, number_too=True)
_SCALAR: Final = ChoiceShape(SCALAR_TYPES)


def _bilingual(what: str) -> MappingShape:
    return MappingShape(
        what,
        (
            Key("en", _SENTENCE, "the text in English", required=True),
            Key("es", _SENTENCE, "the text in Spanish", required=True),
        ),
        empty_code="empty_translation",
    )


_TITLE: Final = _bilingual("a title in two languages")
_MESSAGE: Final = _bilingual("a message in two languages")

_SOURCE: Final = MappingShape(
    "a source",
    (
        Key("law", _SHORT, "the law, guidance or policy it comes from", required=True),
        Key("article", _CODE, "the article, section or paragraph"),
        Key(
            "basis",
            ChoiceShape(("law", "guidance", "policy")),
            "how binding it is: law, guidance or policy",
            required=True,
        ),
        Key("reviewed", BooleanShape(), "false while nobody has read the source itself (default true)"),
    ),
)
_SOURCES: Final = ListShape(_SOURCE, maximum=50, one_too=True)

_PERIOD: Final = MappingShape(
    "a period",
    (
        Key("from", _DATE, "the first day on which it applies"),
        Key("to", _DATE, "the first day on which it applies no more"),
        Key("zone", _SHORT, "the time zone in which those days begin, such as Europe/Madrid (default UTC)"),
    ),
)

_OUTCOMES: Final = ChoiceShape(("permit", "review", "deny", "flag", "oblige"))

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
                _SCALAR, TableShape("the fields of each element", key=_FIELD, value=_SCALAR, maximum=50)
            ),
            "what a list holds: one type, or fields with their types",
        ),
        Key(
            "values",
            ListShape(TextShape(what="a value", max_length=MAX_STRING), maximum=1_000, unique=True),
            "the only values that a string may have",
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
        Key("label", _TITLE, "what people call it", required=True),
        Key("unit", _SHORT, "the unit of a number, such as shares"),
        Key("public", BooleanShape(), "true when its value may stand in the open part of the ledger"),
        Key(
            "from",
            ChoiceShape(("caller",)),
            "who states it: the caller (the default; write it on facts about the subject that grants use)",
        ),
        Key("fix", _CODE, "its FIX tag"),
        Key("iso", _CODE, "its ISO 20022 element"),
    ),
)

VOCABULARY_FILE: Final = MappingShape(
    "the vocabulary",
    (
        Key(
            "subject_types",
            ListShape(_RESOURCE, maximum=50, unique=True),
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
            ListShape(_NAME, minimum=0, maximum=50, unique=True),
            "roles whose grants this one has too",
        ),
        Key("title", _TITLE, "what people call it"),
    ),
)
GRANT: Final = MappingShape(
    "a grant",
    (
        Key("id", TextShape(what="an id", max_length=300), "its name in findings (default: made up)"),
        Key("role", _NAME, "who is granted: a role, or anyone", required=True),
        Key("actions", ListShape(_ACTION, maximum=200, unique=True), "the actions granted", required=True),
        Key("resource", _RESOURCE, "the type of resource", required=True),
        Key("when", _CONDITION, "a condition over the request's facts"),
    ),
)
ROLES_FILE: Final = MappingShape(
    "the roles file",
    (
        Key(
            "roles",
            TableShape("the roles", key=_NAME, value=ROLE, maximum=500),
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
        Key("id", _ACTION, "the step's name, which is also the action", required=True),
        Key("title", _TITLE, "what people call it"),
        Key("office", _SHORT, "the office that takes it: front, middle or back"),
        Key("after", ListShape(_ACTION, minimum=0, maximum=100, unique=True), "what comes before it"),
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
    ),
)
CHAIN: Final = MappingShape(
    "a chain kind",
    (
        Key("chain", _NAME, "the chain kind's name", required=True),
        Key("title", _TITLE, "what people call it", required=True),
        Key("resource", _RESOURCE, "the type of resource that goes through it", required=True),
        Key(
            "material",
            ListShape(FACT, minimum=0, maximum=100, unique=True),
            "facts that may not change along the way",
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
        Key("claim_valid_for", _DURATION, "how long a permit holds its step (default PT24H)"),
    ),
)
CHAIN_FILE: Final = ListShape(CHAIN, maximum=200, one_too=True)

_STEPS_OF_DUTY: Final = ListShape(_ACTION, minimum=2, maximum=64, unique=True)


def _duty(what: str, *own: Key) -> MappingShape:
    return MappingShape(
        what,
        (
            Key("id", _ID, "the constraint's name in findings", required=True),
            Key("kind", _SHORT, "the kind of constraint", required=True),
            *own,
            Key(
                "then",
                ChoiceShape(("deny", "review", "flag")),
                "what breaking it leads to: deny, review or flag",
                required=True,
            ),
            Key("chain", _NAME, "the chain kind (default: each one that has all the steps)"),
            Key("when", _CONDITION, "a condition: the constraint applies only when it holds"),
            Key("title", _TITLE, "what people call it"),
            Key("message", _MESSAGE, "what the person is told"),
            Key("source", _SOURCES, "where it comes from"),
            Key("effective", _PERIOD, "when it applies"),
            Key("absolute", BooleanShape(), "true when no exception may ever relax it"),
        ),
    )


DUTY_KINDS: Final = {
    "separate": _duty(
        "a separate constraint",
        Key("steps", _STEPS_OF_DUTY, "nobody takes two of these steps on one chain", required=True),
    ),
    "at_most": _duty(
        "an at_most constraint",
        Key(
            "steps",
            ListShape(_ACTION, minimum=1, maximum=64, unique=True),
            "the steps that are counted",
            required=True,
        ),
        Key("max", IntegerShape(1, 100_000), "how many of them one person may take", required=True),
        Key(
            "scope",
            ChoiceShape(("chain", "account")),
            "chain (default), or account: a person's steps over all chains of one account",
        ),
    ),
    "at_least": _duty(
        "an at_least constraint",
        Key("steps", _STEPS_OF_DUTY, "the steps that are looked at", required=True),
        Key("min", IntegerShape(2, 64), "how many different persons must take them", required=True),
    ),
    "bind": _duty(
        "a bind constraint",
        Key("steps", _STEPS_OF_DUTY, "one and the same person takes all of these steps", required=True),
    ),
    "exclusive_roles": _duty(
        "an exclusive_roles constraint",
        Key(
            "roles",
            ListShape(_NAME, minimum=2, maximum=100, unique=True),
            "roles of which a person may have only some",
            required=True,
        ),
        Key("max", IntegerShape(1, 100), "how many of them one person may have (default 1)"),
    ),
}
DUTY: Final = KindShape("a duty constraint", DUTY_KINDS)
DUTY_FILE: Final = ListShape(DUTY, maximum=2_000, one_too=True)

_ACTION_ON: Final = TextShape(
    what="an action on a resource such as order.approve",
    pattern=rf"{_WORD}\.{_ACTION.pattern}",
    max_length=200,
)
_ACTIONS_ON: Final = ListShape(_ACTION_ON, maximum=20, unique=True, one_too=True)
AGGREGATE: Final = MappingShape(
    "an aggregate",
    (
        Key("aggregate", _NAME, "its name; conditions of rules read it as aggregate.NAME", required=True),
        Key("title", _TITLE, "what people call it"),
        Key("count", _ACTIONS_ON, "the actions whose requests are counted, as resource.action"),
        Key("sum", FACT, "the fact that is summed, instead of `count`: an int, a decimal or money"),
        Key("of", _ACTIONS_ON, "the actions over whose requests `sum` goes, as resource.action"),
        Key(
            "by",
            ListShape(FACT, minimum=0, maximum=8, unique=True),
            "facts: only requests that agree in all of them with the one at hand are looked at; [] for all",
            required=True,
        ),
        Key("within", _DURATION, "how far back it looks: from PT1S to P366D", required=True),
        Key(
            "counting",
            ChoiceShape(("asked", "granted")),
            "asked (default): every recorded request, whatever the answer; granted: permits that gave "
            "something new. Opinions (`claim: false`) never count",
        ),
        Key("others_only", BooleanShape(), "true: leaves out requests about the very resource asked about"),
    ),
)
AGGREGATE_FILE: Final = ListShape(AGGREGATE, maximum=200, one_too=True)

_PARAMETER: Final = MappingShape(
    "a parameter",
    (
        Key("value", ValueShape(), "its value; fractions and money in quotes", required=True),
        Key("type", ChoiceShape((*SCALAR_TYPES, "list")), "its type", required=True),
        Key("of", _SCALAR, "what a list holds"),
        Key(
            "basis",
            ChoiceShape(("law", "guidance", "policy")),
            "whether the number comes from law, guidance or policy",
            required=True,
        ),
    ),
)
_SPAN: Final = TextShape(what="a duration such as PT2H", max_length=40)
_CLOCK: Final = TextShape(
    what='a time such as "18:00", or "24:00" for the end of the day',
    pattern=r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?|24:00",
    max_length=8,
)
_DUE: Final = MappingShape(
    "a due time",
    (
        Key("within", _SPAN, "how long after the permit: PT2H; alone, or with `from`"),
        Key("days", IntegerShape(0, 3_660), "how many days later, 0 being the same day"),
        Key(
            "business_days",
            IntegerShape(0, 1_000),
            "how many business days later; 0 is the same day, or the next business day where it is none",
        ),
        Key("calendar", _NAME, "the calendar of the business days: the name of its file"),
        Key("at", _CLOCK, "the time of that day from which on it is too late"),
        Key("zone", _SHORT, "the time zone of days and times, such as Europe/Madrid"),
        Key("warn_at", _CLOCK, "an earlier time of that day, at which to warn"),
        Key(
            "from",
            FACT,
            "a date or moment that the caller states, to count from instead of the permit's own moment",
        ),
    ),
)
_PERSON: Final = TextShape(what="a person such as p-1", max_length=100)
_EXAMPLE: Final = MappingShape(
    "an example",
    (
        Key("name", _SHORT, "what the example shows", required=True),
        Key(
            "given",
            TableShape("the facts", key=FACT, value=ValueShape(), maximum=200),
            "facts with their values, as a caller would send them",
        ),
        Key("expect", _OUTCOMES, "what this rule alone leads to", required=True),
        Key("action", TextShape(what="an action", max_length=200), "one of the rule's `on` (default: first)"),
        Key("at", TextShape(what="a moment", max_length=40), "when it is asked (default: while it applies)"),
        Key("due", TextShape(what="a moment", max_length=40), "when the obligation is due, with `oblige`"),
        Key(
            "chain",
            MappingShape(
                "the chain so far",
                (
                    Key(
                        "performed",
                        TableShape(
                            "who did which step",
                            key=_ACTION,
                            value=EitherShape(
                                _PERSON,
                                MappingShape(
                                    "an act",
                                    (
                                        Key("person", _PERSON, "who did it", required=True),
                                        Key("at", TextShape(what="a moment", max_length=40), "when"),
                                    ),
                                ),
                            ),
                            maximum=64,
                        ),
                        "steps that have been performed: step: person, or step: {person, at}",
                        required=True,
                    ),
                ),
            ),
            "what has happened on the chain before",
        ),
    ),
)
TABLE: Final = table_shape(condition=_CONDITION, name=_FIELD, type_=_SCALAR, outcome=_OUTCOMES)
RULE: Final = MappingShape(
    "a rule",
    (
        Key("id", _ID, "the rule's name in findings; it stays when the rule changes", required=True),
        Key("title", _TITLE, "the rule in a few words", required=True),
        Key("source", _SOURCES, "where the rule comes from", required=True),
        Key(
            "effective",
            ListShape(_PERIOD, maximum=50, one_too=True),
            "when it applies: a period, or several that do not overlap (default always)",
        ),
        Key(
            "severity",
            ChoiceShape(("low", "medium", "high", "critical")),
            "how grave it is (default medium)",
        ),
        Key("owner", _SHORT, "who answers for it"),
        Key(
            "jurisdiction",
            ListShape(
                TextShape(what="a code such as EU, US or ES", pattern="[A-Z]{2}", max_length=2),
                maximum=50,
                unique=True,
                one_too=True,
            ),
            "whose law it comes from: EU, or countries by ISO 3166 code; it says nothing about when it fires",
        ),
        Key(
            "on",
            ListShape(
                _ACTION_ON,
                maximum=100,
                unique=True,
                one_too=True,
            ),
            "the actions it watches, as resource.action",
            required=True,
        ),
        Key(
            "parameters",
            TableShape("the parameters", key=_FIELD, value=_PARAMETER, maximum=50),
            "named values that the condition and the message use",
        ),
        Key("when", _CONDITION, "the condition under which it fires"),
        Key(
            "then",
            ChoiceShape(("deny", "review", "flag", "oblige")),
            "what firing leads to: deny, review, flag or oblige",
        ),
        Key("table", TABLE, "a decision table, instead of `when` and `then`"),
        Key(
            "obligation",
            TableShape(
                "the obligation",
                key=_FIELD,
                value=ValueShape(),
                maximum=50,
                known=(Key("due", _DUE, "when it is due, and so computed with each permit"),),
            ),
            "the duty that comes with the permit, for `then: oblige`",
        ),
        Key("message", _MESSAGE, "what the person is told, with {fact} and {parameter}", required=True),
        Key(
            "missing",
            ChoiceShape(("review", "deny", "skip")),
            "what an absent fact leads to: review (default), deny, or skip with a `because`",
        ),
        Key("because", _SENTENCE, "why an absent fact may be skipped"),
        Key(
            "silent",
            BooleanShape(),
            "true: its flags are recorded and raise a case, and the answer says nothing of them",
        ),
        Key("mode", ChoiceShape(("enforce", "observe")), "observe: recorded, and changes no outcome"),
        Key(
            "examples",
            ListShape(_EXAMPLE, maximum=200),
            "cases with the expected answer: at least one that fires and one that does not",
            required=True,
        ),
    ),
    alternatives=(("when", "then"), ("table",)),
)
RULE_FILE: Final = ListShape(RULE, maximum=2_000, one_too=True)

CALENDAR_FILE: Final = MappingShape(
    "a calendar",
    (
        Key("title", _TITLE, "what people call it", required=True),
        Key("source", _SOURCES, "where its holidays come from"),
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
            TableShape("the holidays", key=_DATE, value=_SHORT, maximum=5_000),
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
