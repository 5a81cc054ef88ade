"""What a duty constraint may say, kind by kind, as `structure` does for the other kinds of file."""

from __future__ import annotations

from typing import Final

from controls.rules.common_shapes import (
    ACTION,
    CONDITION,
    DURATION,
    FACT,
    ID,
    MESSAGE,
    NAME,
    PERIOD,
    SHORT,
    SOURCES,
    TITLE,
)
from controls.rules.shapes import (
    BooleanShape,
    ChoiceShape,
    IntegerShape,
    Key,
    KindShape,
    ListShape,
    MappingShape,
    TableShape,
    TextShape,
    ValueShape,
)

MAX_COALITION: Final = 14  # steps, of which every group of persons is looked at
MAX_DYNAMIC: Final = 14  # roles, of which every group is looked at

_EFFECTS: Final = ChoiceShape(("deny", "review", "flag"))
_SCOPES: Final = ("chain", "account", "instrument", "desk")
_STEPS: Final = ListShape(ACTION, minimum=2, maximum=64, unique=True)
_PERSON: Final = TextShape(
    what="a person such as ana (letters, digits, _ . @ and -)",
    pattern=r"[A-Za-z0-9_]([A-Za-z0-9_.@-]{0,98}[A-Za-z0-9_])?",
    max_length=100,
)
_MOMENT: Final = TextShape(what="a moment such as 2026-03-02T09:30:00Z", max_length=40)

_PROFILE: Final = MappingShape(
    "a person",
    (
        Key("roles", ListShape(NAME, minimum=0, maximum=50, unique=True, one_too=True), "the roles held"),
        Key("department", SHORT, "the department; one that is left out is not known"),
        Key("desk", SHORT, "the desk"),
        Key("household", SHORT, "the household"),
        Key("reports_to", _PERSON, "the superior; whoever is at the top reports to himself or herself"),
    ),
)
_DONE: Final = MappingShape(
    "an act",
    (
        Key("step", ACTION, "the step that was taken", required=True),
        Key("person", _PERSON, "who took it", required=True),
        Key("at", _MOMENT, "when (default: when the example's question is asked)"),
        Key("state", ChoiceShape(("claimed", "performed", "abandoned")), "what became of it (performed)"),
        Key("chain", SHORT, "another chain of the same account, instrument, desk or conflict class"),
        Key("dataset", SHORT, "the dataset of that chain, for a Chinese wall"),
    ),
)
EXAMPLE: Final = MappingShape(
    "an example",
    (
        Key("name", SHORT, "what it shows", required=True),
        Key("who", _PERSON, "the person who asks (default somebody)"),
        Key("asks", ACTION, "the step asked for (default: the first one that the constraint names)"),
        Key("at", _MOMENT, "when it is asked (default: while the constraint applies)"),
        Key(
            "given",
            TableShape("the facts", key=FACT, value=ValueShape(), maximum=500),
            "facts with their values, as a caller would send them",
        ),
        Key("done", ListShape(_DONE, maximum=200, one_too=True), "what has happened before, in order"),
        Key(
            "people",
            TableShape("the people", key=_PERSON, value=_PROFILE, maximum=200),
            "what the directory knows of persons",
        ),
        Key(
            "expect",
            ChoiceShape(("permit", "deny", "review", "flag")),
            "what this constraint alone leads to",
            required=True,
        ),
    ),
)


def _duty(
    what: str, *own: Key, then: str = "", alternatives: tuple[tuple[str, ...], ...] = ()
) -> MappingShape:
    default = f" (default {then})" if then else ""
    return MappingShape(
        what,
        (
            Key("id", ID, "the constraint's name in findings", required=True),
            Key("kind", SHORT, "the kind of constraint", required=True),
            *own,
            Key(
                "then",
                _EFFECTS,
                f"what breaking it leads to: deny, review or flag{default}",
                required=not then,
            ),
            Key("chain", NAME, "the chain kind (default: each one that has all the steps)"),
            Key("when", CONDITION, "a condition: the constraint applies only when it holds"),
            Key("title", TITLE, "what people call it"),
            Key("message", MESSAGE, "what the person is told"),
            Key("source", SOURCES, "where it comes from"),
            Key("effective", PERIOD, "when it applies"),
            Key("absolute", BooleanShape(), "true when no exception may ever relax it"),
            Key("examples", ListShape(EXAMPLE, maximum=200), "cases with the expected answer"),
        ),
        alternatives=alternatives,
    )


_ORDERED: Final = Key(
    "ordered",
    BooleanShape(),
    "true: a step is held only against those listed before it (default false: against all others)",
)
_WITHIN: Final = Key(
    "within",
    DURATION,
    "how long steps count beyond a chain once performed: from PT1S to P3660D (default for ever)",
)


def _scope(whose: str) -> Key:
    return Key(
        "scope",
        ChoiceShape(_SCOPES),
        f"chain (default), or account, instrument or desk: {whose} over all chains of one",
    )


DUTY_KINDS: Final = {
    "separate": _duty(
        "a separate constraint",
        Key("steps", _STEPS, "nobody takes two of these steps", required=True),
        _scope("a person's steps"),
        _WITHIN,
        _ORDERED,
    ),
    "at_most": _duty(
        "an at_most constraint",
        Key("steps", ListShape(ACTION, minimum=1, maximum=64, unique=True), "the steps that are counted"),
        Key(
            "groups",
            TableShape(
                "the groups of steps",
                key=NAME,
                value=ListShape(ACTION, minimum=1, maximum=64, unique=True, one_too=True),
                maximum=32,
            ),
            "instead of `steps`: duties of several steps each, of which one person may have some",
        ),
        Key("max", IntegerShape(1, 100_000), "how many of them one person may take", required=True),
        _scope("a person's steps"),
        _WITHIN,
        alternatives=(("steps",), ("groups",)),
    ),
    "at_least": _duty(
        "an at_least constraint",
        Key("steps", _STEPS, "the steps that are looked at", required=True),
        Key("min", IntegerShape(2, 64), "how many different persons must take them", required=True),
    ),
    "bind": _duty(
        "a bind constraint",
        Key("steps", _STEPS, "one and the same person takes all of these steps", required=True),
        _ORDERED,
    ),
    "votes": _duty(
        "a votes constraint",
        Key("step", ACTION, "the step that several persons must take", required=True),
        Key("votes", IntegerShape(2, 20), "how many different persons", required=True),
        Key(
            "distinct_from",
            ListShape(ACTION, maximum=64, unique=True, one_too=True),
            "steps that nobody takes beside a vote; `then` says what that leads to",
        ),
        then="deny",
    ),
    "exclusive_roles": _duty(
        "an exclusive_roles constraint",
        Key(
            "roles",
            ListShape(NAME, minimum=2, maximum=100, unique=True),
            "roles of which a person may have only some",
            required=True,
        ),
        Key("max", IntegerShape(1, 100), "how many of them one person may have (default 1)"),
        Key(
            "dynamic",
            BooleanShape(),
            "true: a person may hold them all and use only so many on one chain (default false)",
        ),
    ),
    "relation": _duty(
        "a relation constraint",
        Key("steps", _STEPS, "steps that related persons do not take beside each other", required=True),
        Key(
            "forbid",
            ListShape(ChoiceShape(("reports_to", "household")), maximum=2, unique=True, one_too=True),
            "reports_to: one is above the other, directly or not; household: they live together",
        ),
        Key(
            "differ",
            ListShape(ChoiceShape(("department", "desk")), maximum=2, unique=True, one_too=True),
            "what must not be the same for both persons: department, desk",
        ),
        _ORDERED,
    ),
    "chinese_wall": _duty(
        "a chinese_wall constraint",
        Key("class", FACT, "the fact that names the conflict class, such as issuer.sector", required=True),
        Key("dataset", FACT, "the fact that names the dataset in it, such as issuer.id", required=True),
        Key("within", DURATION, "how long a person is bound by an act: from PT1S to P3660D", required=True),
        Key(
            "steps",
            ListShape(ACTION, minimum=1, maximum=64, unique=True),
            "the steps that count (default: all of every chain kind whose material facts these are)",
        ),
    ),
    "cooling_off": _duty(
        "a cooling_off constraint",
        Key("steps", _STEPS, "steps that keep a distance in time, whoever takes them", required=True),
        Key(
            "apart",
            DURATION,
            "how far they are apart at least, from when the earlier one is performed: from PT1S to P3660D",
            required=True,
        ),
        _scope("all steps"),
        _ORDERED,
    ),
    "coalition": _duty(
        "a coalition constraint",
        Key(
            "steps",
            ListShape(ACTION, minimum=2, maximum=MAX_COALITION, unique=True),
            "steps that no small group of persons does together",
            required=True,
        ),
        Key("people", IntegerShape(2, MAX_COALITION), "how many persons it takes at least", required=True),
    ),
}
DUTY: Final = KindShape("a duty constraint", DUTY_KINDS)
DUTY_FILE: Final = ListShape(DUTY, maximum=2_000, one_too=True)
