"""What AuthZEN searches ask and answer. Unknown fields are ignored, as the standard demands."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from controls.api.schemas import Name, OpenAction, OpenResource, OpenSubject, Properties, Told

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
    """AuthZEN 1.0: subjects or resources, in the order of their ids."""

    page: PageTold
    results: list[EntityFound]


class ActionsFound(Told):
    """AuthZEN 1.0: actions, in the order of their names."""

    page: PageTold
    results: list[ActionFound]
