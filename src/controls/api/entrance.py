"""Who comes in: API keys, what they cover, and the headers that a recording request needs.

Guarantees: a key that is unknown, wrong or revoked is told apart from no other (401); what a key does not
cover is 403, and where it was an attempt to act it is in the ledger before the caller hears of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NoReturn

import orjson
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest

from controls.api.exchange import Exchange
from controls.api.json_body import MAX_STRING, read_json
from controls.api.problems import BadHeader, UnsupportedMedia
from controls.model.errors import ControlsError, FieldError, Forbidden, Unauthenticated
from controls.model.request import Request
from controls.model.values import Json
from controls.services.answers import Unread
from controls.services.decisions import refused_request
from controls.services.idempotency import Claiming, Once
from controls.services.keys import authenticate, may_ask, may_speak_for
from controls.services.refusals import Refuse
from controls.services.service import Service
from controls.store.rows import ApiKey

_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,255}\Z")
_JSON_TYPE: Final = re.compile(r"application/json\s*(;|\Z)", re.IGNORECASE)
SCIM_TYPE: Final = re.compile(r"application/(scim\+)?json\s*(;|\Z)", re.IGNORECASE)
_DENIED: Final = "Ask an administrator for a key that covers it, or use another key."


@dataclass(frozen=True, slots=True)
class Entrance:
    """The checks that stand before the service."""

    service: Service

    async def authenticated(self, request: HttpRequest, *, fresh: bool = False) -> ApiKey:
        """The key that the request shows.

        Args:
            fresh: look first whether another process changed the keys. What goes through the writer needs
                no such look: the writer checks the key again.

        Raises:
            Unauthenticated: it shows none that is live.
        """
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not text:
            raise Unauthenticated(
                "key_missing",
                "The request shows no API key",
                help="Send `Authorization: Bearer ck_…` with a live key of this service.",
            )
        if fresh:
            await self.service.refresh_keys()
        try:
            key = authenticate(text.strip(), self.service.state.key)
        except Unauthenticated:
            if fresh:
                raise
            await self.service.refresh_keys()  # another process may have given it out since
            key = authenticate(text.strip(), self.service.state.key)
        if key.revoked_at is not None:
            raise Unauthenticated(
                "key_revoked", "This API key has been revoked", help="Ask an administrator for a new one."
            )
        Exchange.of(request).key = key.id
        return key

    async def reader(self, request: HttpRequest, *scopes: str) -> ApiKey:
        """The key of a request that reads, which needs one of `scopes`; a refusal is logged only.

        Raises:
            Unauthenticated, Forbidden: see above.
        """
        key = await self.authenticated(request, fresh=True)
        if key.scopes.isdisjoint(scopes):
            raise _scope_missing(scopes)
        return key

    async def actor(self, request: HttpRequest, *scopes: str, act: str) -> ApiKey:
        """The key of a request that acts, which needs one of `scopes`; a refusal is recorded.

        Raises:
            Unauthenticated, Forbidden, Unavailable: see above; or the refusal could not be recorded.
        """
        key = await self.authenticated(request)
        if key.scopes.isdisjoint(scopes):
            await self._refuse(key, _scope_missing(scopes), {"act": act})
        return key

    async def check_coverage(
        self, key: ApiKey, requests: Sequence[Request | Unread], *, items: str | None = None
    ) -> None:
        """Refuse, on record, requests about actions or for subjects that the key does not cover.

        Args:
            items: the pointer of the list that they are the items of (None: the body is the only one).

        Raises:
            Forbidden: there is one such request among them; none is decided then.
        """
        errors: list[FieldError] = []
        first: Request | None = None
        for index, asked in enumerate(requests):
            if isinstance(asked, Unread):
                continue
            prefix = "" if items is None else f"{items}/{index}"
            if not may_ask(key, asked.resource_type, asked.action):
                errors.append(FieldError(f"{prefix}/action/name", "action_not_covered", _ASKS))
            elif not may_speak_for(key, asked.subject_id):
                errors.append(FieldError(f"{prefix}/subject/id", "subject_not_covered", _SPEAKS))
            else:
                continue
            first = first or asked
        if first is None:
            return
        code = errors[0].code
        error = Forbidden(
            code,
            "The API key does not cover this request",
            detail=f"{errors[0].pointer} {errors[0].message}. The attempt has been recorded.",
            help=_DENIED,
            errors=tuple(errors[:50]),
        )
        act = refused_request(first, key=key.id, code=code)
        if len(errors) > 1:
            act["refused"] = len(errors)
        await self._refuse(key, error, act, {"subject.id": first.subject_id})

    async def _refuse(
        self,
        key: ApiKey,
        error: ControlsError,
        act: Mapping[str, Json],
        private: Mapping[str, Json] | None = None,
    ) -> NoReturn:
        service = self.service
        await service.writer.submit(Refuse(service.new_id("ref"), key.id, error, act, private or {}))
        raise error


_ASKS: Final = "is an action that this key may not ask about"
_SPEAKS: Final = "is an account that this key may not speak for"


def _scope_missing(scopes: Sequence[str]) -> Forbidden:
    return Forbidden(
        "scope_missing",
        "The API key does not cover this route",
        detail=f"It needs the scope {' or '.join(scopes)}.",
        help=_DENIED,
    )


async def json_of(
    request: HttpRequest, *, max_string: int = MAX_STRING, media: re.Pattern[str] = _JSON_TYPE
) -> dict[str, Json] | list[Json]:
    """The request's body.

    Args:
        max_string: for routes that take whole files; characters.
        media: what the body may be said to be.

    Raises:
        UnsupportedMedia: it is not said to be JSON.
        InvalidInput: it is not the JSON that this service takes.
    """
    if not media.match(request.headers.get("content-type", "")):
        raise UnsupportedMedia(
            "not_json",
            "The body must be JSON",
            help="Send `Content-Type: application/json`.",
        )
    return read_json(await _body(request), max_string=max_string)


async def _body(request: HttpRequest) -> bytes:
    """As `request.body()`, which goes through a generator for what mostly is one message.

    Raises:
        ClientDisconnect: the caller left before it had sent everything.
    """
    parts: list[bytes] = []
    more = True
    while more:
        message = await request.receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def token_of(request: HttpRequest) -> str:
    """The request's Idempotency-Key.

    Raises:
        BadHeader: there is none, or more than one, or it is malformed.
    """
    tokens = request.headers.getlist("idempotency-key")
    if not tokens:
        raise BadHeader(
            "idempotency_key_missing",
            "The request needs an Idempotency-Key",
            help="Send `Idempotency-Key:` with a fresh value, and the same one when you repeat the request.",
        )
    if len(tokens) > 1 or not _TOKEN.match(tokens[0]):
        raise BadHeader(
            "idempotency_key_malformed",
            "The Idempotency-Key cannot be used",
            detail="One key of 1 to 255 visible ASCII characters is needed.",
            help="A UUID does well.",
        )
    return tokens[0]


def once(command: Claiming, *, route: str, token: str, said: Json | Mapping[str, Json]) -> Once:
    """The command, to be run once for this key, route and token; `said` is what must be the same again."""
    return Once(command, route=route, token=token, body=digest(said))


def digest(said: Json | Mapping[str, Json]) -> bytes:
    """SHA-256 over the meaning of a body: blanks and the order of members do not count."""
    try:
        written = orjson.dumps(
            said, option=orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_SUBCLASS, default=_exact
        )
    except TypeError:  # an integer beyond 64 bits
        written = _WRITE(said).encode()
    return sha256(written).digest()


def _exact(value: object) -> object:
    return {"decimal": str(value)}


_WRITE: Final[Callable[[object], str]] = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), default=_exact
).encode
