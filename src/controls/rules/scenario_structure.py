"""What a scenario file may say. Which facts, actions, roles and rules there are is checked afterwards."""

from __future__ import annotations

from typing import Final

from controls.rules.shapes import (
    BooleanShape,
    ChoiceShape,
    EitherShape,
    Key,
    ListShape,
    MappingShape,
    TableShape,
    TextShape,
    ValueShape,
)

MAX_SCENARIOS: Final = 500  # of one file
MAX_STEPS: Final = 200
MAX_DELEGATIONS: Final = 50

_SENTENCE: Final = TextShape(what="a sentence", max_length=2_000)
_TITLE: Final = MappingShape(
    "a title in two languages",
    (
        Key("en", _SENTENCE, "the text in English", required=True),
        Key("es", _SENTENCE, "the text in Spanish", required=True),
    ),
    empty_code="empty_translation",
)
_ID: Final = TextShape(
    what="an id such as chain.done_properly (small letters, digits, _ and dots)",
    pattern=r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*",
    max_length=100,
)
# Ids appear in records and messages: no separators, quotes, blanks at the ends or controls.
_LOGIN: Final = TextShape(
    what="a person or account such as ana.front (letters, digits, _ . @ and -)",
    pattern=r"[A-Za-z0-9_]([A-Za-z0-9_.@-]{0,98}[A-Za-z0-9_])?",
    max_length=100,
)
_ROLES: Final = ListShape(
    TextShape(what="a role such as trader", max_length=63), minimum=0, maximum=50, unique=True, one_too=True
)
# A list is read from its first mapping to its last: what several scenarios share is written once with an
# anchor, and what differs comes after it.
_FACTS: Final = ListShape(
    TableShape(
        "the facts",
        key=TextShape(what="a fact's name such as order.notional", max_length=200),
        value=ValueShape(),
        maximum=500,
    ),
    maximum=20,
    one_too=True,
)
_RULES: Final = ListShape(
    TextShape(what="the id of a finding such as set.cycle.eu", max_length=300),
    minimum=0,
    maximum=100,
    unique=True,
    one_too=True,
)
_MOMENT: Final = TextShape(what="a moment such as 2026-03-02T09:30:00Z", max_length=40)
_OUTCOMES: Final = ChoiceShape(("permit", "review", "deny", "would_permit"))
_OBLIGATION: Final = MappingShape(
    "an obligation",
    (
        Key("id", _ID, "the id of the rule that obliges", required=True),
        Key("due", _MOMENT, "the moment at which it is due", required=True),
    ),
)
_EXPECTATION: Final = MappingShape(
    "an expectation",
    (
        Key("outcome", _OUTCOMES, "what the caller is told", required=True),
        Key("findings", _RULES, "all that denies, asks for a review or flags: these ids and no others"),
        Key("contains", _RULES, "ids that are among the findings, whatever else there is"),
        Key(
            "obligations",
            ListShape(EitherShape(_ID, _OBLIGATION), minimum=0, maximum=100),
            "all duties that come with the permit: each an id, or {id, due}",
        ),
    ),
)
_PERSON: Final = MappingShape(
    "a person",
    (
        Key("roles", _ROLES, "the roles that the person holds", required=True),
        Key(
            "accounts",
            ListShape(_LOGIN, maximum=20, unique=True, one_too=True),
            "the logins of the person (default: one, called like the person)",
        ),
        *(
            Key(name, TextShape(what="a name", max_length=100), f"{what} (default: not known)")
            for name, what in (
                ("department", "the department"),
                ("desk", "the desk"),
                ("household", "the household"),
            )
        ),
        Key("reports_to", _LOGIN, "the superior, one of the people; oneself at the top (default: not known)"),
    ),
)
_STEP: Final = MappingShape(
    "a step",
    (
        Key("who", _LOGIN, "the account that asks, one of the people", required=True),
        Key("asks", TextShape(what="an action such as capture", max_length=100), "the action", required=True),
        Key(
            "at",
            _MOMENT,
            "when: a moment, or a duration such as PT2H after `start` (default: when the step before is)",
        ),
        Key(
            "resource_id",
            TextShape(what="a resource's id", max_length=100),
            "which resource is asked about (default: one that is called like the scenario)",
        ),
        Key(
            "facts",
            _FACTS,
            "facts of this step only, beside or instead of the scenario's; of a list, the later ones count",
        ),
        Key(
            "without",
            ListShape(
                TextShape(what="a fact's name", max_length=200), maximum=100, unique=True, one_too=True
            ),
            "facts of the scenario that are not stated at this step",
        ),
        Key("claim", BooleanShape(), "false: an opinion is asked for and nothing is claimed"),
        Key("on_behalf_of", _LOGIN, "the account of the person for whom it is asked, one of the people"),
        Key(
            "break_glass",
            TextShape(what="a reason", max_length=500),
            "the reason for which what denies is to be lifted; a supervisor has half an hour to approve that "
            "(`approved_by`), and in that time it is asked again",
        ),
        Key("expect", EitherShape(_OUTCOMES, _EXPECTATION), "the outcome, or more of it", required=True),
        Key(
            "approved_by",
            _LOGIN,
            "the account that approves the review that this opens, or lifts what denies it where "
            "`break_glass` is asked for; ask again in the next step",
        ),
        Key(
            "not_approved_by",
            _LOGIN,
            "an account that tries to approve that first, and must be refused",
        ),
        Key(
            "report",
            ChoiceShape(("performed", "abandoned", "nothing")),
            "what is reported of the step once permitted (default performed)",
        ),
    ),
)
_DELEGATION: Final = MappingShape(
    "a delegation",
    (
        Key("from", _LOGIN, "the person whose steps they are, one of the people", required=True),
        Key("to", _LOGIN, "the person who may take them, another one of the people", required=True),
        Key(
            "steps",
            ListShape(
                TextShape(what="a step such as settle", max_length=100), maximum=64, unique=True, one_too=True
            ),
            "the steps, of the chains of `resource`",
            required=True,
        ),
        Key(
            "until",
            _MOMENT,
            "when it ends: a moment, or a duration such as P1D after `start`",
            required=True,
        ),
    ),
)
SCENARIO: Final = MappingShape(
    "a scenario",
    (
        Key("id", _ID, "the scenario's name in results", required=True),
        Key("title", _TITLE, "what it shows", required=True),
        Key("start", _MOMENT, "where the clock stands at first, with its zone", required=True),
        Key(
            "people",
            TableShape("the people", key=_LOGIN, value=EitherShape(_ROLES, _PERSON), maximum=200),
            "persons with their roles, or {roles, accounts, department, ...}; beside them there are two for "
            "every role, called like it: trader and trader.2, of a department called like the role, a desk "
            "and a household of their own, and nobody's superior or subordinate",
        ),
        Key(
            "resource",
            TextShape(what="a resource type such as order", max_length=63),
            "the type of what is asked about (default: that of the only chain kind)",
        ),
        Key(
            "facts",
            _FACTS,
            "what every step states, as a caller would send it; of a list, the later ones count",
        ),
        Key(
            "delegations",
            ListShape(_DELEGATION, maximum=MAX_DELEGATIONS, one_too=True),
            "steps that people let each other take, from `start` on; as in the service, what could break a "
            "constraint is refused",
        ),
        Key("steps", ListShape(_STEP, maximum=MAX_STEPS), "what is asked, in order", required=True),
    ),
)
SCENARIO_FILE: Final = ListShape(SCENARIO, maximum=MAX_SCENARIOS, one_too=True)
