"""What is asked and answered of what could be done: AuthZEN searches, where unknown fields are ignored as the
standard demands, and the outlook of a chain."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field

from controls.api.schemas import Name, OpenAction, OpenResource, OpenSubject, Properties, Told, Translated

MAX_TOKEN = 4096
MAX_LIMIT = 1_000_000


class OpenSearched(BaseModel):
    """An entity that is searched for: its type, and properties that hold for every candidate. An `id` is
    ignored."""

    model_config = ConfigDict(strict=True, extra="ignore")

    type: Name
    properties: Properties = Field(default_factory=dict)


class PageRequest(BaseModel):
    """Which page: `limit` results at most; `token` is `next_token` of the page before, whose request must be
    the same in everything but the page. A page may hold fewer results while more follow."""

    model_config = ConfigDict(strict=True, extra="ignore")

    token: Annotated[str, Field(max_length=MAX_TOKEN)] = ""
    limit: Annotated[int, Field(ge=0, le=MAX_LIMIT)] = MAX_LIMIT


class Searching(BaseModel):
    """What all searches have."""

    model_config = ConfigDict(strict=True, extra="ignore")

    context: Properties = Field(default_factory=dict)
    page: PageRequest = Field(default_factory=PageRequest)


class SubjectSearchRequest(Searching):
    """AuthZEN 1.0: whose request would be permitted?"""

    subject: OpenSearched
    action: OpenAction
    resource: OpenResource


class ResourceSearchRequest(Searching):
    """AuthZEN 1.0: on which resources would it be permitted?"""

    subject: OpenSubject
    action: OpenAction
    resource: OpenSearched


class ActionSearchRequest(Searching):
    """AuthZEN 1.0: which actions would be permitted?"""

    subject: OpenSubject
    resource: OpenResource


class PageTold(Told):
    """`next_token` is empty on the last page."""

    next_token: str


class EntityFound(Told):
    """A subject or a resource."""

    type: str
    id: str


class ActionFound(Told):
    """An action."""

    name: str


class EntitiesFound(Told):
    """AuthZEN 1.0: resources in the order of their ids; subjects in that of the steps that their persons hold
    unfinished, the fewest first, and then of their ids."""

    page: PageTold
    results: list[EntityFound]


class ActionsFound(Told):
    """AuthZEN 1.0: actions, in the order of their names."""

    page: PageTold
    results: list[ActionFound]


class StepOutlookTold(Told):
    """A step that remains, how many persons it still takes, and who could take it next to what was done:
    `count` persons, of whom the first 200 are named."""

    step: str
    takes: int
    count: int
    persons: list[str]


class Resilience(Told):
    """Any `absences` persons may be away and the rest can be done; it is the greatest such number where
    `exact`, else at least so many."""

    absences: int
    exact: bool


class OutlookAnswer(Told):
    """How the rest of a chain stands. `stranded` are steps that cannot be done together; without any one of
    `single_points_of_failure` the rest could not be done; of `untold` this cannot be told. `unknown`: that
    depends on what is not known yet, or on an exception, or was too much work."""

    kind: str
    id: str
    at: str
    on: str | None = None
    state: Literal["can_be_done", "stranded", "unknown", "done"]
    message: Translated
    steps: list[StepOutlookTold]
    stranded: list[str]
    single_points_of_failure: list[str]
    untold: list[str]
    resilience: Resilience | None = None


class OtherPerson(Told):
    """Somebody asks by this account and for nobody else; `open` are the steps that he or she holds
    unfinished."""

    kind: Literal["person"]
    person: str
    account: str
    open: int


class OtherRole(Told):
    """The person has one more role or, where not `given`, one fewer."""

    kind: Literal["role"]
    person: str
    role: str
    given: bool


class OtherFact(Told):
    """The request states another value of a fact, in its canonical form; null: it leaves the fact out."""

    kind: Literal["fact"]
    fact: str
    value: bool | int | str | list[bool | int | str] | None


class OtherTime(Told):
    """It is asked at this later moment."""

    kind: Literal["time"]
    at: str


class EarlierStep(Told):
    """Somebody performs another step first, who has `claimed` it already or may claim it."""

    kind: Literal["step"]
    step: str
    person: str
    claimed: bool


class Counterfactual(Told):
    """The changes that together lead to the outcome, and none of them alone."""

    outcome: Literal["permit", "review"]
    message: Translated
    changes: list[
        Annotated[OtherPerson | OtherRole | OtherFact | OtherTime | EarlierStep, Discriminator("kind")]
    ]


class CounterfactualsAnswer(Told):
    """`recorded` is the outcome on record and `now` that of asking again at `at`; of `found` smallest sets of
    changes 40 at most are told, among them ten persons at most who could ask instead. `complete`: whether all
    that could be proposed was tried; `tried` counts the decisions that this took."""

    decision: str
    recorded: Literal["review", "deny"]
    now: Literal["permit", "review", "deny"]
    at: str
    message: Translated
    complete: bool
    tried: int
    found: int
    counterfactuals: list[Counterfactual]


class Alternative(Told):
    """Somebody else who would be permitted it, by this account; `open`: how many steps the person holds whose
    outcome is awaited."""

    person: str
    account: str
    open: int


class AlternativesAnswer(Told):
    """Who else would be permitted at `at` what was asked; five persons at most, those with the least open
    work first. `complete`: whether these are all there are."""

    decision: str
    recorded: Literal["review", "deny"]
    at: str
    alternatives: list[Alternative]
    complete: bool


class AuthzenConfiguration(Told):
    """AuthZEN 1.0 metadata: what this decision point offers."""

    policy_decision_point: str
    access_evaluation_endpoint: str
    access_evaluations_endpoint: str
    search_subject_endpoint: str
    search_resource_endpoint: str
    search_action_endpoint: str
