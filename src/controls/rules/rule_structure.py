"""What a regulatory rule and an aggregate may say, as `structure` does for the other kinds of file."""

from __future__ import annotations

from typing import Final

from controls.rules.common_shapes import (
    ACTION,
    CONDITION,
    DURATION,
    FACT,
    FIELD,
    ID,
    MESSAGE,
    NAME,
    OUTCOMES,
    PERIOD,
    SCALAR,
    SCALAR_TYPES,
    SENTENCE,
    SHORT,
    SOURCES,
    TITLE,
    WORD,
)
from controls.rules.shapes import (
    BooleanShape,
    ChoiceShape,
    EitherShape,
    IntegerShape,
    Key,
    ListShape,
    MappingShape,
    OrNameShape,
    TableShape,
    TextShape,
    ValueShape,
)
from controls.rules.table_structure import table_shape

_ACTION_ON: Final = TextShape(
    what="an action on a resource such as order.approve",
    pattern=rf"{WORD}\.{ACTION.pattern}",
    max_length=200,
)
_ACTIONS_ON: Final = ListShape(_ACTION_ON, maximum=20, unique=True, one_too=True)
AGGREGATE: Final = MappingShape(
    "an aggregate",
    (
        Key("aggregate", NAME, "its name; conditions of rules read it as aggregate.NAME", required=True),
        Key("title", TITLE, "what people call it"),
        Key("count", _ACTIONS_ON, "the actions whose requests are counted, as resource.action"),
        Key("sum", FACT, "the fact that is summed, instead of `count`: an int, a decimal or money"),
        Key("of", _ACTIONS_ON, "the actions over whose requests `sum` goes, as resource.action"),
        Key(
            "by",
            ListShape(FACT, minimum=0, maximum=8, unique=True),
            "facts: only requests that agree in all of them with the one at hand are looked at; [] for all",
            required=True,
        ),
        Key("within", DURATION, "how far back it looks: from PT1S to P366D", required=True),
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
        Key("of", SCALAR, "what a list holds"),
        Key(
            "basis",
            ChoiceShape(("law", "guidance", "policy")),
            "whether the number comes from law, guidance or policy",
            required=True,
        ),
        Key("min", ValueShape(), "the least that the value may be changed to"),
        Key("max", ValueShape(), "the most that the value may be changed to"),
    ),
)
MAX_DAYS: Final = 3_660
MAX_BUSINESS_DAYS: Final = 1_000
_SPAN: Final = TextShape(what="a duration such as PT2H, or a parameter's name", max_length=63)
_CLOCK: Final = TextShape(
    what='a time such as "18:00", "24:00" for the end of the day, or a parameter\'s name',
    pattern=rf"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?|24:00|{NAME.pattern}",
    max_length=63,
)
_DUE: Final = MappingShape(
    "a due time",
    (
        Key(
            "within",
            _SPAN,
            "how long after the permit: PT2H, or a parameter that is a duration; alone, or with `from`",
        ),
        Key(
            "days",
            OrNameShape(IntegerShape(0, MAX_DAYS), NAME),
            "how many days later, 0 being the same day, or a parameter that says it",
        ),
        Key(
            "business_days",
            OrNameShape(IntegerShape(0, MAX_BUSINESS_DAYS), NAME),
            "how many business days later, or a parameter that says it; 0 is the same day, or the next "
            "business day where it is none",
        ),
        Key("calendar", NAME, "the calendar of the business days: the name of its file"),
        Key("at", _CLOCK, "the time of that day from which on it is too late; a parameter is a duration"),
        Key("zone", SHORT, "the time zone of days and times, such as Europe/Madrid"),
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
        Key("name", SHORT, "what the example shows", required=True),
        Key(
            "given",
            TableShape("the facts", key=FACT, value=ValueShape(), maximum=200),
            "facts with their values, as a caller would send them",
        ),
        Key("expect", OUTCOMES, "what this rule alone leads to", required=True),
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
                            key=ACTION,
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
TABLE: Final = table_shape(condition=CONDITION, name=FIELD, type_=SCALAR, outcome=OUTCOMES)
RULE: Final = MappingShape(
    "a rule",
    (
        Key("id", ID, "the rule's name in findings; it stays when the rule changes", required=True),
        Key("title", TITLE, "the rule in a few words", required=True),
        Key("source", SOURCES, "where the rule comes from", required=True),
        Key(
            "effective",
            ListShape(PERIOD, maximum=50, one_too=True),
            "when it applies: a period, or several that do not overlap (default always)",
        ),
        Key(
            "severity",
            ChoiceShape(("low", "medium", "high", "critical")),
            "how grave it is (default medium)",
        ),
        Key("owner", SHORT, "who answers for it"),
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
            TableShape("the parameters", key=FIELD, value=_PARAMETER, maximum=50),
            "named values that the condition and the message use",
        ),
        Key("when", CONDITION, "the condition under which it fires"),
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
                key=FIELD,
                value=ValueShape(),
                maximum=50,
                known=(Key("due", _DUE, "when it is due, and so computed with each permit"),),
            ),
            "the duty that comes with the permit, for `then: oblige`",
        ),
        Key("message", MESSAGE, "what the person is told, with {fact} and {parameter}", required=True),
        Key(
            "missing",
            ChoiceShape(("review", "deny", "skip")),
            "what an absent fact leads to: review (default), deny, or skip with a `because`",
        ),
        Key("because", SENTENCE, "why an absent fact may be skipped"),
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
