"""What SCIM 2.0 clients send, read into what they want (RFC 7643: attributes; RFC 7644: messages).

Guarantees: attribute names are read in any case, with or without their schema before them; what real identity
providers send is understood: truth values as text ("False"), PATCH without a path, with dotted names in its
value, and with a manager as text. Attributes that the directory does not keep are ignored; roles and
entitlements are refused, for a client that believes it gave them must not be left in that belief.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from controls.model.errors import InvalidInput
from controls.model.values import Json
from controls.services.directory_file import is_id, is_text

USER: Final = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE: Final = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
GROUP: Final = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH: Final = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

MAX_TEXT: Final = 256
MAX_FILTER: Final = 1_000
# Which `scimType` says the same as our code (RFC 7644, table 9).
SCIM_TYPES: Final[Mapping[str, str]] = {
    "scim_filter": "invalidFilter",
    "scim_syntax": "invalidSyntax",
    "scim_path": "invalidPath",
    "scim_target": "noTarget",
    "scim_value": "invalidValue",
    "scim_mutability": "mutability",
    "scim_uniqueness": "uniqueness",
    "directory_invalid": "invalidValue",
}

_PRINTABLE: Final = re.compile(r"[^\x00-\x1f\x7f]*\Z")
_FILTER: Final = re.compile(
    r'\s*(?P<name>[A-Za-z][\w.:$-]*)\s+eq\s+(?P<value>"(?:[^"\\]|\\.)*"|true|false)\s*\Z', re.IGNORECASE
)
_ONE_MEMBER: Final = re.compile(r'members\[\s*value\s+eq\s+"(?P<id>[^"\\]*)"\s*\]\Z', re.IGNORECASE)
_REFUSED: Final = frozenset({"roles", "entitlements"})

# An attribute by its name in small letters, extension attributes behind `enterprise.`, and its value.
Assignment: TypeAlias = tuple[str, Json]


@dataclass(frozen=True, slots=True)
class UserWanted:
    """What of a user is to be so; None is as it is, and an empty text ends it."""

    login: str | None = None
    external_id: str | None = None
    name: str | None = None
    active: bool | None = None
    department: str | None = None
    manager: str | None = None  # a user's id


@dataclass(frozen=True, slots=True)
class GroupWanted:
    """What of a group is to be so; members are users' ids."""

    name: str | None = None
    external_id: str | None = None
    members: frozenset[str] | None = None
    added: frozenset[str] = field(default=frozenset())
    removed: frozenset[str] = field(default=frozenset())


@dataclass(frozen=True, slots=True)
class Filter:
    """`attribute eq value`; the attribute in small letters without its schema."""

    attribute: str
    value: str | bool


def refused(code: str, detail: str) -> InvalidInput:
    """A request that is not SCIM as it is understood here."""
    return InvalidInput(
        code, "The SCIM request cannot be carried out", detail=detail, help="See /scim/v2/Schemas."
    )


def read_filter(text: str) -> Filter:
    """One comparison with `eq`, which is what provisioning asks for.

    Raises:
        InvalidInput: `scim_filter`, it is anything else.
    """
    found = _FILTER.match(text) if len(text) <= MAX_FILTER else None
    if found is None:
        raise refused("scim_filter", 'Only filters such as userName eq "ana@bank.example" are known here.')
    try:
        value = json.loads(found["value"] if found["value"].startswith('"') else found["value"].lower())
    except ValueError:
        raise refused("scim_filter", "The value of the filter is not a JSON string.") from None
    return Filter(_plain_name(found["name"]), value)


# -- users -------------------------------------------------------------------------------------------------


def read_user(said: Mapping[str, Json]) -> UserWanted:
    """A whole user, as POST and PUT send it: what is not in it is to end, but for `active` and the name.

    Raises:
        InvalidInput: a value is not what its attribute takes.
    """
    wanted = _user(list(_assignments(said)))
    if not wanted.login:
        raise refused("scim_value", "userName is required.")
    return replace(
        wanted,
        external_id=wanted.external_id or "",
        department=wanted.department or "",
        manager=wanted.manager or "",
    )


def patched_user(said: Mapping[str, Json]) -> UserWanted:
    """What a PATCH of a user asks for.

    Raises:
        InvalidInput: it is no PatchOp, or a value is not what its attribute takes.
    """
    found: list[Assignment] = []
    for operation, path, value in _operations(said):
        if operation == "remove":
            if not path:
                raise refused("scim_target", "A `remove` needs a path.")
            if _attribute(_plain_name(path)) in _REFUSED:
                raise refused(
                    "scim_path", f"{path[:64]} of a user cannot be taken: roles are taken by groups."
                )
            found += _assignments({path: None})
        elif path:
            found += _assignments({path: value})
        elif isinstance(value, dict):
            found += _assignments(value)
        else:
            raise refused("scim_syntax", "An operation without a path needs an object as its value.")
    if any(value and _attribute(name) == "groups" for name, value in found):
        raise refused("scim_mutability", "The groups of a user change by a PATCH of each group's members.")
    return _user(found)


def _attribute(name: str) -> str:
    """What a path begins with."""
    return name.partition(".")[0].partition("[")[0]


def _user(assignments: list[Assignment]) -> UserWanted:
    """The attributes that are kept, later assignments before earlier ones."""
    said = dict(assignments)
    for name, value in said.items():
        if value and _attribute(name) in _REFUSED:
            raise refused("scim_value", f"{name[:64]} of a user cannot be given: roles are given by groups.")
    login = _login(said["username"]) if "username" in said else None
    active = _truth(said["active"]) if "active" in said else None
    external_id = _text("externalId", said["externalid"]) if "externalid" in said else None
    department = (
        _text("department", said["enterprise.department"]) if "enterprise.department" in said else None
    )
    if department and not is_text(department):
        raise refused("scim_value", "department has more than 128 characters.")
    manager = next(
        (_manager(said[name]) for name in ("enterprise.manager.value", "enterprise.manager") if name in said),
        None,
    )
    return UserWanted(login, external_id, _name(said), active, department, manager)


def _name(said: Mapping[str, Json]) -> str | None:
    """What a user is called: one text, for the parts of names are not kept."""
    for name in ("displayname", "name.formatted"):
        if said.get(name):
            return _text(name, said[name])
    parts = [_text(name, said[name]) for name in ("name.givenname", "name.familyname") if said.get(name)]
    return " ".join(parts) if len(parts) == 2 else None


def _login(value: Json) -> str:
    if not isinstance(value, str) or not is_id(value.strip()):
        raise refused(
            "scim_value", "userName must be a text of 1 to 128 characters without , ; : ( ) [ ] # \" ' \\"
        )
    return value.strip()


def _truth(value: Json) -> bool:
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise refused("scim_value", "active must be true or false.")
    return value


def _text(name: str, value: Json) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > MAX_TEXT or not _PRINTABLE.match(value):
        raise refused("scim_value", f"{name} must be a text of at most {MAX_TEXT} printable characters.")
    return value.strip()


def _manager(value: Json) -> str:
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, dict):
        value = next((item for name, item in value.items() if name.lower() == "value"), None)
    return _text("manager", value)


# -- groups ------------------------------------------------------------------------------------------------


def read_group(said: Mapping[str, Json]) -> GroupWanted:
    """A whole group, as POST and PUT send it.

    Raises:
        InvalidInput: a value is not what its attribute takes.
    """
    found = dict(_assignments(said))
    name = _text("displayName", found.get("displayname"))
    if not name:
        raise refused("scim_value", "displayName is required.")
    return GroupWanted(name, _text("externalId", found.get("externalid")), _members(found.get("members")))


def patched_group(said: Mapping[str, Json]) -> GroupWanted:
    """What a PATCH of a group asks for, its operations one after the other.

    Raises:
        InvalidInput: it is no PatchOp, or a value is not what its attribute takes.
    """
    wanted = GroupWanted()
    for operation, path, value in _operations(said):
        one = _ONE_MEMBER.match(_plain_path(path)) if path else None
        if one is not None:
            if operation != "remove":
                raise refused("scim_path", "One member can be removed by its path, not changed.")
            wanted = _without(wanted, frozenset({one["id"]}))
            continue
        if not path and not isinstance(value, dict):
            raise refused("scim_target", "An operation without a path needs an object as its value.")
        for name, item in _assignments({path: value} if path else value if isinstance(value, dict) else {}):
            wanted = _patched(wanted, operation, name, item)
    return wanted


def _patched(wanted: GroupWanted, operation: str, name: str, value: Json) -> GroupWanted:
    if name == "members":
        if operation == "add":
            return _with(wanted, _members(value))
        if operation == "remove" and value is not None:
            return _without(wanted, _members(value))
        every = frozenset[str]() if operation == "remove" else _members(value)
        return replace(wanted, members=every, added=frozenset(), removed=frozenset())
    if name == "displayname":
        return replace(wanted, name=_text("displayName", value))
    if name == "externalid":
        return replace(wanted, external_id=_text("externalId", value))
    if _attribute(name) == "members":
        raise refused("scim_path", 'Members are named as members[value eq "the id of a user"].')
    return wanted


def _with(wanted: GroupWanted, members: frozenset[str]) -> GroupWanted:
    if wanted.members is not None:
        return replace(wanted, members=wanted.members | members)
    return replace(wanted, added=wanted.added | members, removed=wanted.removed - members)


def _without(wanted: GroupWanted, members: frozenset[str]) -> GroupWanted:
    if wanted.members is not None:
        return replace(wanted, members=wanted.members - members)
    return replace(wanted, added=wanted.added - members, removed=wanted.removed | members)


def _members(value: Json) -> frozenset[str]:
    items = value if isinstance(value, list) else [] if value is None else [value]
    found: set[str] = set()
    for item in items:
        said = item if isinstance(item, dict) else {}
        member = next((value for name, value in said.items() if name.lower() == "value"), None)
        if not isinstance(member, str) or not member:
            raise refused("scim_value", 'Members are objects such as {"value": "the id of a user"}.')
        found.add(member)
    return frozenset(found)


# -- both --------------------------------------------------------------------------------------------------


def _operations(said: Mapping[str, Json]) -> Iterator[tuple[str, str, Json]]:
    """Operation in small letters, path and value of each operation of a PatchOp (RFC 7644, 3.5.2)."""
    body = {name.lower(): value for name, value in said.items()}
    schemas, operations = body.get("schemas"), body.get("operations")
    if not isinstance(schemas, list) or PATCH not in schemas:
        raise refused("scim_syntax", f"A PATCH says `schemas`: [{PATCH!r}].")
    if not isinstance(operations, list) or not operations:
        raise refused("scim_syntax", "A PATCH has `Operations`, at least one.")
    for item in operations:
        if not isinstance(item, dict):
            raise refused("scim_syntax", "An operation is an object.")
        operation = {name.lower(): value for name, value in item.items()}
        what, path = operation.get("op"), operation.get("path") or ""
        if not isinstance(what, str) or what.lower() not in ("add", "replace", "remove"):
            raise refused("scim_syntax", "The `op` of an operation is add, replace or remove.")
        if not isinstance(path, str) or len(path) > MAX_FILTER:
            raise refused("scim_path", "The path of an operation is a text.")
        yield what.lower(), path.strip(), operation.get("value")


def _assignments(said: Mapping[str, Json]) -> Iterator[Assignment]:
    """The attributes in an object, those of `name` and of the enterprise extension by names of their own."""
    for key, value in said.items():
        name = _plain_name(key)
        if name in ("enterprise", "name") and isinstance(value, dict):
            for part, item in value.items():
                yield f"{name}.{part.lower()}", item
        elif not name:  # a schema alone, which stands for its attributes
            if not isinstance(value, dict):
                raise refused("scim_path", f"{key[:64]} names no attribute.")
            yield from _assignments(value)
        else:
            yield name, value


def _plain_name(text: str) -> str:
    return _plain_path(text).lower()


def _plain_path(text: str) -> str:
    """A path without the schema before it; what is of the enterprise extension begins with `enterprise`."""
    lower = text.lower()
    for schema in (USER, GROUP):
        if lower == schema.lower():
            return ""
        if lower.startswith(schema.lower() + ":"):
            return text[len(schema) + 1 :]
    if lower == ENTERPRISE.lower():
        return "enterprise"
    if lower.startswith(ENTERPRISE.lower() + ":"):
        return f"enterprise.{text[len(ENTERPRISE) + 1 :]}"
    return text
