"""The OpenAPI document: what routes that read their own bodies declare about them.

Guarantees: every operation names its key's scopes, its body, its answer and its problems; every reference
in the document resolves.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from controls.api import (
    change_schemas,
    directory_schemas,
    review_schemas,
    schemas,
    scim_documents,
    search_schemas,
)
from controls.api.json_body import MAX_DEPTH, MAX_ITEMS, MAX_MEMBERS, MAX_STRING
from controls.api.problems import SCIM, Form, declared, declared_plain, declared_scim, form_of
from controls.model.values import MAX_DIGITS

_REF: Final = "#/components/schemas/{model}"
_IDEMPOTENCY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "Names this request: repeated with the same key and body it is not decided again, and the "
    "stored answer comes back while its claim is live. Kept for 24 hours.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\x21-\\x7e]+$"},
}
_REQUEST_ID: Final = {
    "name": "X-Request-ID",
    "in": "header",
    "required": False,
    "description": "Comes back in the answer and stands in the log.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[\\x21-\\x7e]+$"},
}

DESCRIPTION: Final = f"""\
Ask before acting: may this person take the next step on this order? The answer is permit, review or deny
with reasons, and it is on record before you have it. **Anything but an explicit permit means: do not
proceed**; a 4xx or 5xx means that no decision exists.

`/access/v1` follows the OpenID AuthZEN Authorization API 1.0; `/v1` says the same with more detail.

A body is JSON in UTF-8 of at most 1 MiB (the setting `max_body_bytes`): {MAX_DEPTH} levels of nesting,
{MAX_ITEMS:,} items in a list, {MAX_MEMBERS:,} members in an object, {schemas.MAX_PROPERTIES} properties in
a part of a request and {schemas.MAX_FACTS:,} in all of it, {MAX_STRING:,} characters in a string (that is no
file), {MAX_DIGITS} digits in a number. No name stands twice in an object, and no string holds NUL or half a
surrogate pair.
"""


_MODULES: Final = (
    vars(schemas)
    | vars(search_schemas)
    | vars(review_schemas)
    | vars(directory_schemas)
    | vars(change_schemas)
    | vars(scim_documents)
)


def reference(model: type[BaseModel]) -> dict[str, Any]:
    """A reference to a model's schema."""
    return {"$ref": _REF.format(model=model.__name__)}


def body(schema: dict[str, Any], *, recorded: bool = True) -> dict[str, Any]:
    """`openapi_extra` of a route that reads its own body; `recorded` ones need an Idempotency-Key."""
    return {
        "security": [{"key": []}],
        "parameters": [_IDEMPOTENCY, _REQUEST_ID] if recorded else [_REQUEST_ID],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
    }


def keyed() -> dict[str, Any]:
    """`openapi_extra` of a route that only needs a key."""
    return {"security": [{"key": []}]}


def answers(
    schema: dict[str, Any] | type[BaseModel], *, says: str, problems: Iterable[int]
) -> dict[int | str, dict[str, Any]]:
    """`responses` of a native route."""
    return {200: _ok(schema, says)} | declared(*problems)


def text_answers(*, says: str, problems: Iterable[int]) -> dict[int | str, dict[str, Any]]:
    """`responses` of a native route that answers with plain text."""
    ok = {"description": says, "content": {"text/plain": {"schema": {"type": "string"}}}}
    return {200: ok} | declared(*problems)


def plain_answers(
    schema: dict[str, Any] | type[BaseModel], *, says: str, problems: Iterable[int]
) -> dict[int | str, dict[str, Any]]:
    """`responses` of an AuthZEN route."""
    return {200: _ok(schema, says)} | declared_plain(*problems)


def scim_answers(
    model: type[BaseModel], *, says: str, problems: Iterable[int], status: int = 200
) -> dict[int | str, dict[str, Any]]:
    """`responses` of a SCIM route."""
    ok = {"description": says, "content": {SCIM: {"schema": reference(model)}}}
    return {status: ok} | declared_scim(*problems)


def scim_nothing(*, says: str, problems: Iterable[int]) -> dict[int | str, dict[str, Any]]:
    """`responses` of a SCIM route that answers without a body."""
    return {204: {"description": says}} | declared_scim(*problems)


def scim_body(model: type[BaseModel]) -> dict[str, Any]:
    """`openapi_extra` of a SCIM route that reads its own body."""
    told = body(reference(model), recorded=False)
    content = {media: {"schema": reference(model)} for media in (SCIM, "application/json")}
    return told | {"requestBody": {"required": True, "content": content}}


def _ok(schema: dict[str, Any] | type[BaseModel], says: str) -> dict[str, Any]:
    found = schema if isinstance(schema, dict) else reference(schema)
    return {"description": says, "content": {"application/json": {"schema": found}}}


def _models() -> list[type[BaseModel]]:
    found = [item for item in _MODULES.values() if isinstance(item, type)]
    return [item for item in found if issubclass(item, BaseModel) and item is not BaseModel]


def use_own_document(app: FastAPI) -> None:
    """Give the application a document that holds the models of `schemas`; made once, when first asked for."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
            )
            for path, operations in made["paths"].items():
                if form_of(path) is Form.SCIM:  # says 400 where the framework supposes its own 422
                    for operation in operations.values():
                        operation["responses"].pop("422", None)
            # Both are of one shape here: answers are documented as they are, with what is always there.
            _, definitions = models_json_schema(
                [(model, "validation") for model in _models()], ref_template=_REF
            )
            parts = made.setdefault("components", {})
            parts.setdefault("schemas", {}).update(definitions["$defs"])
            parts["securitySchemes"] = {
                "key": {"type": "http", "scheme": "bearer", "description": "An API key: `ck_…`"}
            }
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way to do it
