"""API keys: a 256-bit secret whose HMAC is stored, with what it may do and for whom it may speak.

Guarantees: the secret is shown once and stored nowhere; comparing takes the same time for any wrong key; a
key's pattern is matched against whole logins.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Final

from controls.model.errors import Conflict, FieldError, InvalidInput, Unauthenticated
from controls.store.rows import ApiKey

SCOPES: Final = frozenset({"decide", "outcome", "review", "directory", "release", "read", "verify", "scim"})
PROVISIONING: Final = "scim"  # the scope of an identity provider, which has no other
LIVE_AT_ONCE: Final = 2  # so that a key can be replaced without a gap

_ROLE: Final = "role."
_CONTEXT: Final = b"controls api key v1"
_NOBODY: Final = "0" * 64  # compared with where no key is known
_SHAPE: Final = re.compile(r"ck_([0-9a-f]{16})_([A-Za-z0-9_-]{43})\Z")


def mint(
    *,
    name: str,
    scopes: Iterable[str],
    actions: Iterable[str] = ("*",),
    speaks_for: str = "",
    account: str = "",
    roles: Iterable[str] = (),
    at: int,
    entropy: Callable[[int], bytes],
) -> tuple[str, ApiKey]:
    """A new key: the text to hand out once, and what is stored of it.

    Args:
        actions: patterns over `resource.action`; `*` stands for any text.
        speaks_for: a pattern over logins whose requests the key may bring; empty for none.
        account: the login that the key's own acts are attributed to; empty for systems.
        roles: which an identity provider may give; its key's pattern is over the logins that it keeps.
        at: now, in microseconds.

    Raises:
        InvalidInput: an unknown scope, a personal scope without an account, or a provider's key that does
            something else besides, or says not which users it keeps.
    """
    wanted = frozenset(scopes)
    if not wanted or not wanted <= SCOPES:
        raise InvalidInput(
            "scope_unknown",
            "A key needs scopes that exist",
            help=f"Choose among: {', '.join(sorted(SCOPES))}.",
            errors=(
                FieldError("/scopes", "scope_unknown", ", ".join(sorted(wanted - SCOPES)) or "none given"),
            ),
        )
    if wanted & {"review", "directory", "release"} and not account:
        raise InvalidInput(
            "account_required",
            "A key for review or administration belongs to one person's account",
            help="Name the account that the key is bound to.",
            errors=(FieldError("/account", "account_required", "is needed for these scopes"),),
        )
    provided = tuple(f"{_ROLE}{role}" for role in sorted(set(roles)))
    if PROVISIONING in wanted:
        if wanted != {PROVISIONING} or account or not speaks_for:
            raise InvalidInput(
                "provider_key",
                "An identity provider's key does nothing else, and names the users that it keeps",
                help="Give it the scope scim alone, no account, and a pattern of logins: '*@bank.example'.",
                errors=(FieldError("/scopes", "provider_key", "scim stands alone, with speaks_for"),),
            )
        actions = provided
    elif provided:
        raise InvalidInput(
            "provider_key",
            "Roles are given by an identity provider's key only",
            help="Leave the roles out, or give the key the scope scim.",
            errors=(FieldError("/roles", "provider_key", "needs the scope scim"),),
        )
    key_id = entropy(8).hex()
    secret = urlsafe_b64encode(entropy(32)).decode().rstrip("=")
    key = ApiKey(
        id=key_id,
        name=name,
        mac=_mac(secret),
        scopes=wanted,
        actions=tuple(actions),
        speaks_for=speaks_for,
        account=account,
        created_at=at,
    )
    return f"ck_{key_id}_{secret}", key


def _mac(secret: str) -> str:
    return hmac.digest(secret.encode(), _CONTEXT, "sha256").hex()


def authenticate(text: str, find: Callable[[str], ApiKey | None]) -> ApiKey:
    """The key that `text` is.

    Raises:
        Unauthenticated: it is none; nothing says whether the id or the secret was wrong.
    """
    shape = _SHAPE.match(text)
    known = find(shape[1]) if shape else None
    # The same work whatever is wrong, so that time does not tell which ids exist.
    right = hmac.compare_digest(_mac(shape[2] if shape else ""), known.mac if known else _NOBODY)
    if known is None or not right:
        raise Unauthenticated(
            "key_invalid",
            "The API key is not valid",
            help="Send `Authorization: Bearer ck_…` with a live key of this service.",
        )
    return known


def may_speak_for(key: ApiKey, login: str) -> bool:
    """Whether the key may bring requests of this login."""
    return login == key.account if not key.speaks_for else fnmatchcase(login, key.speaks_for)


def may_ask(key: ApiKey, resource_type: str, action: str) -> bool:
    """Whether the key may ask about this action at all."""
    name = f"{resource_type}.{action}"
    return any(pattern == "*" or fnmatchcase(name, pattern) for pattern in key.actions)


def provided_roles(key: ApiKey) -> frozenset[str]:
    """The roles that an identity provider's key names; nothing for other keys."""
    if PROVISIONING not in key.scopes:
        return frozenset()
    return frozenset(action.removeprefix(_ROLE) for action in key.actions)


def check_live(keys: Iterable[ApiKey], name: str) -> None:
    """Refuse a third live key of one name."""
    live = [key for key in keys if key.name == name and key.revoked_at is None]
    if len(live) >= LIVE_AT_ONCE:
        raise Conflict(
            "too_many_keys",
            f"{name} has {LIVE_AT_ONCE} live keys already",
            help="Revoke the older one first.",
        )
