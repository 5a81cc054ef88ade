"""Giving out and revoking API keys."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, ClassVar

from controls.model.errors import Conflict, FieldError, InvalidInput, NotFound
from controls.model.values import Json
from controls.services.commands import Context
from controls.services.keys import PROVISIONING, check_live, provided_roles
from controls.services.privileged_roles import privileged_roles
from controls.store.directory import add_key, revoke_key
from controls.store.registers import key_digest
from controls.store.rows import ApiKey


def provides(keys: Iterable[ApiKey]) -> dict[str, Json]:
    """What an entry says of identity providers' keys among these: which roles each may give."""
    named = {key.id: list[Json](sorted(provided_roles(key))) for key in keys if PROVISIONING in key.scopes}
    return {"provides": dict[str, Json](named)} if named else {}


@dataclass(slots=True)
class KeyCreation:
    """Put a minted key on record; its secret was shown to whoever minted it and is not here."""

    key: ApiKey
    kind: ClassVar[str] = "key_creation"
    scope: ClassVar[str] = "directory"

    def check(self, context: Context) -> str:
        check_live(context.keys.values(), self.key.name)
        if self.key.account and context.directory.account(self.key.account, at=context.work.at) is None:
            raise NotFound(
                "account_unknown",
                f"There is no account {self.key.account!r} now",
                help="Import the account first, then make the key.",
            )
        whose = f"bound to {self.key.account}" if self.key.account else "for a system"
        if PROVISIONING in self.key.scopes:
            release = context.active.release
            roles = sorted(provided_roles(self.key))
            wrong = [role for role in roles if role not in release.roles or role in privileged_roles(release)]
            if wrong:
                raise InvalidInput(
                    "role_not_providable",
                    "An identity provider cannot give these roles",
                    detail=f"{', '.join(wrong)}: not a role of the release, or one that administers or "
                    "supervises.",
                    help="Name other roles; those above are given by two administrators.",
                    errors=tuple(FieldError("/roles", "role_not_providable", role) for role in wrong),
                )
            whose = f"for an identity provider that keeps {self.key.speaks_for} and gives " + (
                ", ".join(roles) or "no roles"
            )
        return f"key {self.key.name} ({self.key.id}), {whose}, scopes {', '.join(sorted(self.key.scopes))}"

    def apply(self, context: Context, *, index: int) -> tuple[dict[str, Json], dict[str, str]]:
        work = context.work
        born = replace(self.key, created_at=work.at)
        work.later(partial(add_key, tenant=work.head.tenant, key=born))
        work.set_head(keys_index=index)
        return {
            "key_created": born.id,
            "scopes": list[Json](sorted(born.scopes)),
            "key_digests": {born.id: key_digest(born)},
            **provides([born]),
        }, {}

    def payload(self) -> dict[str, Json]:
        return asdict(self.key) | {"scopes": sorted(self.key.scopes), "actions": list(self.key.actions)}

    @classmethod
    def from_payload(cls, payload: dict[str, Any]) -> KeyCreation:
        scopes, actions = frozenset(payload.pop("scopes")), tuple(payload.pop("actions"))
        return cls(ApiKey(**payload, scopes=scopes, actions=actions))


@dataclass(slots=True)
class KeyRevocation:
    """End a key's life."""

    key: str
    kind: ClassVar[str] = "key_revocation"
    scope: ClassVar[str] = "directory"

    def check(self, context: Context) -> str:
        known = context.keys.get(self.key)
        if known is None:
            raise NotFound("key_unknown", "There is no such key", help="List them: controls keys list.")
        if known.revoked_at is not None:
            raise Conflict("key_revoked", "This key is revoked already", help="Nothing is left to do.")
        return f"revoke key {known.name} ({known.id})"

    def apply(self, context: Context, *, index: int) -> tuple[dict[str, Json], dict[str, str]]:
        work = context.work
        work.later(partial(revoke_key, tenant=work.head.tenant, key=self.key, at=work.at))
        work.set_head(keys_index=index)
        return {"key_revoked": self.key}, {}

    def payload(self) -> dict[str, Json]:
        return {"key": self.key}

    @classmethod
    def from_payload(cls, payload: dict[str, str]) -> KeyRevocation:
        return cls(payload["key"])
