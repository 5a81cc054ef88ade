"""Errors as HTTP: the one table of statuses, and the bodies that tell a caller what to do.

Native routes answer with RFC 9457 problems, AuthZEN's with the plain message and SCIM's with the object that
their standards ask for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any, Final

from pydantic_core import ErrorDetails
from starlette.responses import Response

from controls.api.json_body import MalformedJson, escape
from controls.model.errors import (
    Conflict,
    ControlsError,
    FieldError,
    Forbidden,
    InvalidInput,
    NotFound,
    RuleFilesInvalid,
    Unauthenticated,
    Unavailable,
)
from controls.services.scim_messages import SCIM_TYPES

PROBLEM: Final = "application/problem+json"
SCIM: Final = "application/scim+json"
SCIM_ERROR: Final = "urn:ietf:params:scim:api:messages:2.0:Error"
RETRY_SECONDS: Final = 1
AUTHZEN_PREFIX: Final = "/access/"
SCIM_PREFIX: Final = "/scim/"


class Form(Enum):
    """How the routes below a path tell errors."""

    PROBLEM = "problem"
    MESSAGE = "message"
    SCIM = "scim"


def form_of(path: str) -> Form:
    """The form of errors under a path, whether or not anything answers there."""
    if path.startswith(AUTHZEN_PREFIX):
        return Form.MESSAGE
    return Form.SCIM if path.startswith(SCIM_PREFIX) else Form.PROBLEM


class BadHeader(InvalidInput):
    """A header that the request needs is missing or malformed."""


class TooLarge(InvalidInput):
    """The body is larger than this service takes."""


class UnsupportedMedia(InvalidInput):
    """The body is not said to be JSON."""


class NoRoute(NotFound):
    """Nothing answers under this path."""


class MethodNotAllowed(InvalidInput):
    """The path exists, with other methods."""


# The first class that fits gives the status; what is not listed is an error of the service itself.
_STATUSES: Final[tuple[tuple[type[ControlsError], int], ...]] = (
    (TooLarge, 413),
    (UnsupportedMedia, 415),
    (MethodNotAllowed, 405),
    (MalformedJson, 400),
    (BadHeader, 400),
    (InvalidInput, 422),
    (RuleFilesInvalid, 422),
    (Unauthenticated, 401),
    (Forbidden, 403),
    (NotFound, 404),
    (Conflict, 409),
    (Unavailable, 503),
)

DESCRIPTIONS: Final = {
    400: "The request cannot be read, or a header that it needs is missing.",
    401: "No valid API key was shown.",
    403: "The API key does not cover this; the attempt is on record.",
    404: "There is no such thing.",
    405: "The path exists with other methods.",
    409: "What is asked for is refused in the present state.",
    413: "The body is too large.",
    415: "The body is not `application/json`.",
    422: "The request is not valid; `errors` says where.",
    500: "The service failed. Nothing was permitted.",
    503: "No answer could be recorded, so none is given. Retry with the same Idempotency-Key.",
}


def status_of(error: ControlsError, *, form: Form = Form.PROBLEM) -> int:
    """The HTTP status of an error; AuthZEN and SCIM know 400 where native routes say 422."""
    for kind, status in _STATUSES:
        if isinstance(error, kind):
            return 400 if form is not Form.PROBLEM and status == 422 else status
    return 500


def problem(error: ControlsError, *, request_id: str, form: Form = Form.PROBLEM) -> Response:
    """The answer to a request that failed."""
    status = status_of(error, form=form)
    headers: dict[str, str] = {}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="controls"'
    if status == 503:
        headers["Retry-After"] = str(RETRY_SECONDS)
    if form is not Form.PROBLEM:
        told = f"{error.title}: {error.detail}" if error.detail != error.title else error.title
        if len(error.errors) > 1:  # no list stands beside a message, so it names every place itself
            told += f" All: {'; '.join(f'{item.pointer} {item.message}' for item in error.errors)}."
        said = f"{told} {error.help}".strip()
        if form is Form.SCIM:
            return _scim_error(error, said, status=status, headers=headers)
        # A lone surrogate cannot come this far, but a message must never be what fails.
        return Response(said.encode(errors="replace"), status, headers=headers, media_type="text/plain")
    body = {
        "type": f"urn:controls:problem:{error.code}",
        "title": error.title,
        "status": status,
        "detail": error.detail,
        "code": error.code,
        "request_id": request_id,
        "errors": [
            {"pointer": item.pointer, "code": item.code, "message": item.message} for item in error.errors
        ],
        "retryable": status == 503,
        "help": error.help,
    }
    return Response(json.dumps(body).encode(), status, headers=headers, media_type=PROBLEM)


def _scim_error(error: ControlsError, told: str, *, status: int, headers: dict[str, str]) -> Response:
    """RFC 7644, 3.12."""
    body: dict[str, str | list[str]] = {"schemas": [SCIM_ERROR], "status": str(status), "detail": told}
    scim_type = SCIM_TYPES.get(error.code, "invalidSyntax" if isinstance(error, MalformedJson) else "")
    if scim_type:
        body["scimType"] = scim_type
    return Response(json.dumps(body).encode(), status, headers=headers, media_type=SCIM)


def unexpected(error: Exception) -> ControlsError:
    """What a caller is told of a defect."""
    return ControlsError(
        "internal_error",
        "The service failed",
        detail=f"An error of the service itself ({type(error).__name__}); no answer was given.",
        help="Do not proceed. Report it with the request id; the log holds the traceback.",
    )


def declared(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Problems of a native route, for its OpenAPI entry."""
    return {
        status: {
            "description": DESCRIPTIONS[status],
            "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


def declared_plain(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Errors of an AuthZEN route, for its OpenAPI entry."""
    return {
        status: {
            "description": DESCRIPTIONS[status],
            "content": {"text/plain": {"schema": {"type": "string"}}},
        }
        for status in statuses
    }


def declared_scim(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Errors of a SCIM route, for its OpenAPI entry."""
    return {
        status: {
            "description": DESCRIPTIONS[status],
            "content": {SCIM: {"schema": {"$ref": "#/components/schemas/ScimError"}}},
        }
        for status in statuses
    }


# -- what pydantic finds wrong -----------------------------------------------------------------------------

_TOLD: Final = {
    "missing": ("missing", "is required"),
    "extra_forbidden": ("unknown_field", "is not a field of this request"),
    "string_type": ("wrong_type", "must be a string"),
    "dict_type": ("wrong_type", "must be an object"),
    "model_type": ("wrong_type", "must be an object"),
    "model_attributes_type": ("wrong_type", "must be an object"),
    "list_type": ("wrong_type", "must be a list"),
    "int_type": ("wrong_type", "must be an integer"),
    "int_parsing": ("wrong_type", "must be an integer"),
    "int_from_float": ("wrong_type", "must be an integer"),
    "string_too_short": ("too_short", "must not be empty"),
}


def invalid(details: Iterable[ErrorDetails], *, prefix: str = "") -> InvalidInput:
    """Everything that pydantic found wrong, as one error."""
    return invalid_fields([_field_error(item, prefix) for item in details])


def invalid_fields(errors: Sequence[FieldError]) -> InvalidInput:
    """A request whose fields are wrong."""
    first = errors[0]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return InvalidInput(
        "invalid_request",
        "The request is not valid",
        detail=f"{first.pointer or 'The body'} {first.message}{more}.",
        help="Mend every place that is named; the OpenAPI document says what each field takes.",
        errors=tuple(errors[:50]),
    )


def _field_error(item: ErrorDetails, prefix: str) -> FieldError:
    code, message = _TOLD.get(item["type"], (item["type"], item["msg"]))
    context = item.get("ctx", {})
    if item["type"] == "string_too_long":
        code, message = "too_long", f"has more than {context['max_length']} characters"
    elif item["type"] == "too_long":
        message = f"has {context['actual_length']} items; {context['max_length']} are allowed"
    elif item["type"] == "greater_than_equal":
        code, message = "out_of_range", f"must be {context['ge']} or more"
    elif item["type"] == "less_than_equal":
        code, message = "out_of_range", f"must be {context['le']} or less"
    elif item["type"] == "string_pattern_mismatch":
        code = "bad_character"
        message = "is blank, begins or ends with blanks, or holds control characters: leave them out"
    elif item["type"] == "literal_error":
        code, message = "unknown_value", f"must be {context['expected']}"
    loc = item["loc"][:-1] if item["loc"][-1:] == ("[key]",) else item["loc"]  # the name of a member is wrong
    pointer = "".join(f"/{escape(str(part))}" for part in loc)
    return FieldError(prefix + pointer, code, message)
