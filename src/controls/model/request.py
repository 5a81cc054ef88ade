"""One question to the service, as it came from the caller and before any rule has read it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from controls.model.lineage import StatedLink
from controls.model.record import record
from controls.model.values import Json


@record
class BreakGlass:
    """That the person asks for an exception: why, and for how many minutes from now on."""

    reason: str
    minutes: int


@record
class Request:
    """Who (subject) wants to do what (action) to what (resource).

    `properties` are the caller's statements under dotted names: `resource.properties.notional` of an
    `order` is `order.notional`, `subject.properties.x` is `subject.x`, `action.properties.x` is
    `action.x`, `context.account.x` is `account.x` and a plain `context.x` stays `context.x`.
    `asserted_at` is what the caller said about time: recorded, and it drives nothing.
    `claim=False` asks for an opinion without claiming the step. `lineage` are the older resources that this
    one is said to come from. `on_behalf_of` is the login of the account that the subject is said to act for
    (empty: for nobody else). With `break_glass`, denials that a second person may lift are to be lifted.
    """

    id: str
    subject_type: str
    subject_id: str
    action: str
    resource_type: str
    resource_id: str
    properties: Mapping[str, Json]
    asserted_at: datetime | None = None
    claim: bool = True
    lineage: tuple[StatedLink, ...] = ()
    on_behalf_of: str = ""
    break_glass: BreakGlass | None = None
