"""From a body to the `Request` that is decided: how JSON's four entities become facts with dotted names.

Guarantees: each fact has exactly one origin (a name that two parts of a request would state is refused as
`ambiguous_fact`, so a context cannot pose as the resource); a field of the request that stands elsewhere is
refused, never ignored; and what is refused is refused with a pointer to every place.

`resource.properties.k` of an order is the fact `order.k`; `subject.properties.k` is `subject.k`;
`action.properties.k` is `action.k`; `resource.properties.lineage` is no fact but says which older resources
the resource comes from; a context member `k` that is an object states `k.<inner>` for each of
its members, and any other is `context.k`.

On native routes the context members `at` (the caller's time) and `claim` (false: do not claim) have a
meaning and a type. AuthZEN leaves the context free: there they have their meaning when they are of the
right type and are facts of the context when not, for which a step of a chain is denied (`unread_context`).
A member that would state facts of the subject, the action, the resource or the service stays below
`context`, where no rule reads it as anything else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from operator import is_not
from typing import Final, TypeAlias, TypeVar

from pydantic import BaseModel, ValidationError

from controls.api.json_body import MAX_ITEMS, escape
from controls.api.problems import invalid, invalid_fields
from controls.api.schemas import (
    LINEAGE,
    MAX_FACTS,
    MAX_NAME,
    MAX_PROPERTIES,
    PRINTABLE,
    DecisionRequest,
    EvaluationRequest,
)
from controls.model.errors import FieldError, InvalidInput
from controls.model.lineage import Relation, StatedLink
from controls.model.request import BreakGlass, Request
from controls.model.values import Json
from controls.rules.literals import parse_timestamp
from controls.rules.readers import FIRST_MOMENT, LAST_MOMENT
from controls.services.decisions import Semantic

# First words of fact names that belong to the service: no resource type and no context may use them.
RESERVED: Final = frozenset(
    {
        "action",
        "aggregate",
        "chain",
        "change",
        "context",
        "list",
        "now",
        "param",
        "person",
        "resource",
        "review",
        "subject",
        "table",
    }
)
# Fields of the request itself, which mean something at its top and would be overlooked elsewhere.
OF_REQUEST: Final = ("break_glass", "on_behalf_of")

# Members of the context that are no facts of the chain, and the member of a resource that is none.
OF_CONTEXT: Final = ("at", "claim")
LINEAGE_NAME: Final = "lineage"
# The names of all members of a request, those of an object after its own.
Shape: TypeAlias = tuple[object, ...]
# How many shapes of requests are kept, and how long their names may be together.
SHAPES: Final = 512
MAX_SHAPE: Final = 8_192

_NAME: Final = re.compile(PRINTABLE.replace("$", r"\Z"))
_Model = TypeVar("_Model", bound=BaseModel)

_ENTITIES: Final = ("subject", "action", "resource", "context")


def read_decision(body: Json, *, id: str, prefix: str = "") -> Request:
    """The request of a native route.

    Args:
        prefix: the pointer of `body` when it is an item of a list.

    Raises:
        InvalidInput: it is not one, with everything that is wrong with it.
    """
    asked = _validated(DecisionRequest, body, prefix=prefix)
    return _Facts(asked, prefix=prefix, free_context=False).request(id)


def read_decisions(body: list[Json], *, ids: Iterable[str]) -> tuple[Request, ...]:
    """The requests of a native list, in order.

    Raises:
        InvalidInput: the list is empty, or any of them is not a request; nothing is decided then.
    """
    if not body:
        raise invalid_fields([FieldError("", "empty_list", f"must hold 1 to {MAX_ITEMS} requests")])
    found: list[Request] = []
    errors: list[FieldError] = []
    failure: InvalidInput | None = None
    for index, (item, fresh) in enumerate(zip(body, ids, strict=True)):
        try:
            found.append(read_decision(item, id=fresh, prefix=f"/{index}"))
        except InvalidInput as error:
            failure = failure or error
            errors += error.errors
    if failure is not None:
        raise failure if len(errors) == len(failure.errors) else invalid_fields(errors)
    return tuple(found)


def read_evaluation(body: Mapping[str, Json], *, id: str) -> Request:
    """The request of one AuthZEN evaluation.

    Raises:
        InvalidInput: a required attribute is missing, or of the wrong type.
    """
    asked = _validated(EvaluationRequest, body, prefix="")
    return _Facts(asked, prefix="", free_context=True).request(id)


def merged_items(body: Mapping[str, Json]) -> list[dict[str, Json] | None] | None:
    """AuthZEN's items, each with the top level's entities where it has none of its own.

    An item that is not an object is None; the whole is None when there are no items, which means that the
    body is a single evaluation.

    Raises:
        InvalidInput: `evaluations` is no list.
    """
    items = body.get("evaluations")
    if items is None or items == []:
        return None
    if not isinstance(items, list):
        raise invalid_fields([FieldError("/evaluations", "wrong_type", "must be a list")])
    defaults = {name: body[name] for name in (*_ENTITIES, *OF_REQUEST) if name in body}
    return [{**defaults, **item} if isinstance(item, dict) else None for item in items]


def semantic_of(body: Mapping[str, Json]) -> Semantic:
    """When AuthZEN's list stops being answered.

    Raises:
        InvalidInput: the options name no semantic of the standard.
    """
    options = body.get("options", {})
    if not isinstance(options, dict):
        raise invalid_fields([FieldError("/options", "wrong_type", "must be an object")])
    named = options.get("evaluations_semantic", Semantic.EXECUTE_ALL.value)
    if not isinstance(named, str) or named not in set(Semantic):
        told = f"must be one of {', '.join(Semantic)}"
        raise invalid_fields([FieldError("/options/evaluations_semantic", "unknown_value", told)])
    return Semantic(named)


def _validated(model: type[_Model], body: object, *, prefix: str) -> _Model:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    raise invalid(details, prefix=prefix)


def _ordinary(properties: Mapping[str, Json]) -> bool:
    """Whether number and names of properties show at a glance that they are within bounds.

    An empty name is seen by what stands around it: two blanks, or in a fact the dot at its end.
    """
    names = f" {' '.join(properties)} "
    return (
        len(properties) <= MAX_PROPERTIES
        and max(map(len, properties), default=0) <= MAX_NAME
        and names.isprintable()
        and "  " not in names
        and ". " not in names
    )


class _Shapes:
    """Which facts requests state, by the names of their members. Most have those of others before them, so
    that names of facts are made, and looked at, once. SHAPES are kept, then all are forgotten."""

    __slots__ = ("_facts",)

    def __init__(self) -> None:
        self._facts: dict[Shape, tuple[str, ...]] = {}

    def __len__(self) -> int:
        return len(self._facts)

    def facts(self, shape: Shape) -> tuple[str, ...] | None:
        """The names of the facts that the values of a request of this shape state, in their order."""
        return self._facts.get(shape)

    def keep(
        self, shape: Shape, facts: Mapping[str, Json], values: list[Json], context: Iterable[str]
    ) -> None:
        """Keep what a request of this shape stated, if each of the values is one of its facts."""
        if len(facts) != len(values) or any(map(is_not, facts.values(), values)):
            return
        if sum(map(len, facts)) + sum(map(len, context)) <= MAX_SHAPE:
            if len(self._facts) >= SHAPES:
                self._facts.clear()
            self._facts[shape] = tuple(facts)


_SHAPES: Final = _Shapes()


class _Facts:
    """Collects the facts of one request and everything that is wrong with them."""

    def __init__(
        self,
        asked: DecisionRequest | EvaluationRequest,
        *,
        prefix: str,
        free_context: bool,
    ) -> None:
        self.asked = asked
        self.prefix = prefix
        self.free = free_context
        self.facts: dict[str, Json] = {}
        self._stated: list[tuple[Mapping[str, Json], str]] = []  # what states facts, and where it stands
        self.errors: list[FieldError] = []
        self.at: datetime | None = None
        self.claim = True
        self.lineage: tuple[StatedLink, ...] = ()

    def request(self, id: str) -> Request:
        asked = self.asked
        shape, values = self._shape()
        if not self._as_before(shape, values):
            self._collect()
            if self.errors:
                raise self._refused()
            _SHAPES.keep(shape, self.facts, values, asked.context)
        return Request(
            id=id,
            subject_type=asked.subject.type,
            subject_id=asked.subject.id,
            action=asked.action.name,
            resource_type=asked.resource.type,
            resource_id=asked.resource.id,
            properties=self.facts,
            asserted_at=self.at,
            claim=self.claim,
            lineage=self.lineage,
            on_behalf_of=asked.on_behalf_of,
            break_glass=None
            if asked.break_glass is None
            else BreakGlass(asked.break_glass.reason, asked.break_glass.minutes),
        )

    def _shape(self) -> tuple[Shape, list[Json]]:
        """The names of all members, and the values that state facts."""
        asked = self.asked
        resource, subject, action = asked.resource, asked.subject.properties, asked.action.properties
        shape = [self.free, resource.type, tuple(resource.properties), tuple(subject), tuple(action)]
        values = [*resource.properties.values(), *subject.values(), *action.values()]
        for name, value in asked.context.items():
            shape.append(name)
            if value.__class__ is dict:
                shape.append(tuple(value))
                values += value.values()
            elif name not in OF_CONTEXT:
                values.append(value)
        return tuple(shape), values

    def _as_before(self, shape: Shape, values: list[Json]) -> bool:
        """Whether the facts are those of a request before this one, with other values."""
        names = _SHAPES.facts(shape)
        # A lineage is no fact, so its shape is never kept; that is seen to twice, as history hangs on it.
        if names is None or LINEAGE_NAME in self.asked.resource.properties:
            return False
        self.facts = dict(zip(names, values, strict=True))
        self._meant(self.asked.context)
        if self.errors or len(self.facts) != len(names):  # `at` or `claim` cannot be read
            self.facts, self.errors, self.at, self.claim = {}, [], None, True
            return False
        return True

    def _collect(self) -> None:
        asked, kind = self.asked, self.asked.resource.type
        head = kind.partition(".")[0]
        if head in RESERVED:
            self._wrong("/resource/type", "reserved_type", f"{head!r} belongs to the service itself")
        if asked.resource.properties:
            self._reserved("/resource/properties", asked.resource.properties)
            properties = asked.resource.properties
            if LINEAGE_NAME in properties:
                properties = dict(properties)
                self._lineage(properties.pop(LINEAGE_NAME))
            self._entity(f"{kind}.", properties, "/resource/properties")
        if asked.subject.properties:
            self._reserved("/subject/properties", asked.subject.properties)
            self._entity("subject.", asked.subject.properties, "/subject/properties")
        if asked.action.properties:
            self._entity("action.", asked.action.properties, "/action/properties")
        if asked.context:
            self._context(asked.context, head)
        if not _ordinary(self.facts):
            for members, pointer in self._stated:
                self._bounded(members, pointer)
            if len(self.facts) > MAX_FACTS:
                told = f"states {len(self.facts)} facts in all its parts; {MAX_FACTS} are allowed"
                self._wrong("", "too_many_properties", told)

    def _lineage(self, stated: Json) -> None:
        """What the resource comes from: a list of links, not a fact."""
        try:
            links = LINEAGE.validate_python(stated)
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
            self.errors += invalid(details, prefix=f"{self.prefix}/resource/properties/lineage").errors
            return
        kind = self.asked.resource.type
        self.lineage = tuple(
            dict.fromkeys(StatedLink(Relation(link.relation), link.type or kind, link.id) for link in links)
        )

    def _entity(self, stem: str, properties: Mapping[str, Json], pointer: str) -> None:
        self._stated.append((properties, pointer))
        self.facts.update({stem + name: value for name, value in properties.items()})

    def _bounded(self, properties: Mapping[str, Json], pointer: str) -> None:
        """Says which names are out of bounds, and whether there are too many."""
        if len(properties) > MAX_PROPERTIES:
            told = f"has {len(properties)} properties; {MAX_PROPERTIES} are allowed"
            self._wrong(pointer, "too_many_properties", told)
        for name in properties:
            if not 0 < len(name) <= MAX_NAME or not (name.isprintable() or _NAME.match(name)):
                told = f"needs a name of 1 to {MAX_NAME} characters without controls"
                self._wrong(f"{pointer}/{escape(name)}", "bad_name", told)

    def _context(self, context: Mapping[str, Json], head: str) -> None:
        self._reserved("/context", context)
        if not _ordinary(context):
            self._bounded(context, "/context")
        for name, value in context.items():
            if name in OF_CONTEXT:
                continue
            if isinstance(value, dict):
                self._named(name, value, head)
            else:
                self.facts[f"context.{name}"] = value
        self._meant(context)

    def _meant(self, context: Mapping[str, Json]) -> None:
        """The members of the context that are no facts but mean something."""
        if "claim" in context:
            self._claims(context["claim"])
        if "at" in context:
            self._says_when(context["at"])

    def _claims(self, value: Json) -> None:
        if isinstance(value, bool):
            self.claim = value
        else:
            self._unread("claim", value, FieldError("/context/claim", "wrong_type", "must be true or false"))

    def _says_when(self, value: Json) -> None:
        told = "must be a time with its zone, such as 2026-03-02T09:30:00Z"
        if isinstance(value, str):
            try:
                moment = parse_timestamp(value)
            except ValueError:
                pass
            else:
                if FIRST_MOMENT <= moment < LAST_MOMENT:
                    self.at = moment
                    return
                told = "must lie between 1990 and 2100"
        self._unread("at", value, FieldError("/context/at", "bad_time", told))

    def _unread(self, name: str, value: Json, problem: FieldError) -> None:
        """A member that has a meaning on chains and not this value. Where the context is free it may mean
        something else to the rules of another resource; a chain is denied for it (`unread_context`)."""
        if self.free:
            self.facts[f"context.{name}"] = value
        else:
            self._wrong(problem.pointer, problem.code, problem.message)

    def _named(self, name: str, members: Mapping[str, Json], head: str) -> None:
        """Facts that the context states under a name of their own."""
        first = name.partition(".")[0]
        stated = {f"{name}.{inner}": value for inner, value in members.items()}
        if first in RESERVED or first == head or not self.facts.keys().isdisjoint(stated):
            if self.free:
                self.facts[f"context.{name}"] = dict(members)
            else:
                told = "would state facts that another part of the request or the service states"
                self._wrong(f"/context/{escape(name)}", "ambiguous_fact", told)
            return
        self._stated.append((members, f"/context/{escape(name)}"))
        self.facts.update(stated)

    def _reserved(self, pointer: str, members: Mapping[str, Json]) -> None:
        """Fields that have a meaning at the top of the request only."""
        if members.keys().isdisjoint(OF_REQUEST):
            return
        for name in OF_REQUEST:
            if name in members:
                told = "is a field of the request itself, beside subject and action"
                self._wrong(f"{pointer}/{name}", "misplaced_field", told)

    def _wrong(self, pointer: str, code: str, message: str) -> None:
        self.errors.append(FieldError(self.prefix + pointer, code, message))

    def _refused(self) -> InvalidInput:
        """The most telling code stands for the whole, the rest is in `errors`."""
        for code, title in _TITLES.items():
            if any(item.code == code for item in self.errors):
                first = next(item for item in self.errors if item.code == code)
                return InvalidInput(
                    code,
                    title,
                    detail=f"{first.pointer} {first.message}.",
                    help=_HELP[code],
                    errors=tuple(self.errors[:50]),
                )
        return invalid_fields(self.errors)


_TITLES: Final = {
    "misplaced_field": "This field belongs at the top of the request",
    "reserved_type": "This resource type belongs to the service",
    "ambiguous_fact": "One fact would have two origins",
}
_HELP: Final = {
    "misplaced_field": 'Send {"subject": ..., "action": ..., "resource": ..., "on_behalf_of": "login"}.',
    "reserved_type": "Use /v1/reviews and the administration commands, or another name for your resource.",
    "ambiguous_fact": "State facts of the resource in resource.properties, and others under another name.",
}
