"""What several kinds of rule file have in common: limits, names, texts, sources, periods."""

from __future__ import annotations

from typing import Final

from controls.rules.shapes import BooleanShape, ChoiceShape, Key, ListShape, MappingShape, TextShape
from controls.rules.syntax import MAX_SOURCE

SCALAR_TYPES: Final = ("bool", "int", "decimal", "money", "string", "date", "timestamp", "duration")
MAX_STRING: Final = 1_024
DEFAULT_LIST: Final = 100
MAX_LIST: Final = 1_000

WORD: Final = "[A-Za-z][A-Za-z0-9_]{0,62}"
ID: Final = TextShape(
    what="an id such as pre.credit_threshold (small letters, digits, _ and dots)",
    pattern=r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*",
    max_length=100,
)
NAME: Final = TextShape(
    what="a name such as order_to_settlement (small letters, digits and _)",
    pattern=r"[a-z][a-z0-9_]{0,62}",
    max_length=63,
)
# Step ids may be words as other systems log them; what Casbin or a separator could trip over is left out.
ACTION: Final = TextShape(
    what="an action such as approve (letters, digits, _, -, ' and inner blanks)",
    pattern=r"[A-Za-z0-9_]([A-Za-z0-9_' -]*[A-Za-z0-9_])?",
    max_length=100,
)
RESOURCE: Final = TextShape(what="a resource type such as order", pattern=WORD, max_length=63)
FACT: Final = TextShape(
    what="a fact's name such as order.notional", pattern=rf"{WORD}(\.{WORD}){{1,4}}", max_length=200
)
FIELD: Final = TextShape(what="a field's name such as quantity", pattern=WORD, max_length=63)
DATE: Final = TextShape(what="a date such as 2026-03-02", pattern=r"\d{4}-\d{2}-\d{2}", max_length=10)
DURATION: Final = TextShape(what="a duration such as PT24H", max_length=40)
CONDITION: Final = TextShape(what="a condition such as order.notional > limit", max_length=MAX_SOURCE)
SENTENCE: Final = TextShape(what="a sentence", max_length=2_000)
SHORT: Final = TextShape(what="a few words", max_length=200)
CODE: Final = TextShape(what="a code", max_length=100, number_too=True)
SCALAR: Final = ChoiceShape(SCALAR_TYPES)


def bilingual(what: str) -> MappingShape:
    return MappingShape(
        what,
        (
            Key("en", SENTENCE, "the text in English", required=True),
            Key("es", SENTENCE, "the text in Spanish", required=True),
        ),
        empty_code="empty_translation",
    )


TITLE: Final = bilingual("a title in two languages")
MESSAGE: Final = bilingual("a message in two languages")

SOURCE: Final = MappingShape(
    "a source",
    (
        Key("law", SHORT, "the law, guidance or policy it comes from", required=True),
        Key("article", CODE, "the article, section or paragraph"),
        Key(
            "basis",
            ChoiceShape(("law", "guidance", "policy")),
            "how binding it is: law, guidance or policy",
            required=True,
        ),
        Key("reviewed", BooleanShape(), "false while nobody has read the source itself (default true)"),
    ),
)
SOURCES: Final = ListShape(SOURCE, maximum=50, one_too=True)

PERIOD: Final = MappingShape(
    "a period",
    (
        Key("from", DATE, "the first day on which it applies"),
        Key("to", DATE, "the first day on which it applies no more"),
        Key("zone", SHORT, "the time zone in which those days begin, such as Europe/Madrid (default UTC)"),
    ),
)

OUTCOMES: Final = ChoiceShape(("permit", "review", "deny", "flag", "oblige"))
