"""Three-valued conditions as every layer sees them; `controls.rules` compiles them from text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from enum import IntEnum
from typing import Protocol

from controls.model.chain import ChainHistory
from controls.model.record import record
from controls.model.values import Value
from controls.model.window import Gap


class Truth(IntEnum):
    """Kleene's three values; the numbers are the ones handed to durable-rules."""

    FALSE = 0
    UNKNOWN = 1
    TRUE = 2


@record
class Facts:
    """What conditions may read about one request. A name that is not in `values` is unknown.

    `values` holds caller's facts under their vocabulary names, and always the service's own:
    `subject.type, subject.id, action.name, resource.type, resource.id, person.id, person.roles`
    (`person.*` only when the subject is known). `gaps` says of names without a value why they have none;
    None when there is nothing to say. `later` facts are about a request that is still to come: what is not
    stated may be stated by then, the chain will be further on, and `now` is not known.
    """

    values: Mapping[str, Value]
    chain: ChainHistory
    now: datetime
    gaps: Mapping[str, Gap] | None = None
    later: bool = False


@record
class Verdict:
    """The truth of a condition, with the facts it read, the ones it missed and what went wrong."""

    truth: Truth
    read: Mapping[str, Value] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    error: str = ""


class Condition(Protocol):
    """A total, side-effect-free condition over facts; `names` are the facts that it may read."""

    source: str
    names: frozenset[str]

    def evaluate(self, facts: Facts) -> Verdict:
        """The verdict for `facts`. Never raises: what cannot be computed is UNKNOWN with `error` set."""
        ...

    def test(self, facts: Facts) -> int:
        """`evaluate(facts).truth` as a plain 0, 1 or 2 without its reasons: the fast path of engines."""
        ...
