"""What SCIM clients may ask about the service itself (RFC 7643, 5 to 7), and bodies as OpenAPI has them."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from controls.model.values import Json
from controls.services.queries import PAGE_LIMIT
from controls.services.scim_messages import ENTERPRISE, GROUP, USER
from controls.services.scim_resources import page_json

CONFIGURATION: Final = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
RESOURCE_TYPE: Final = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"
SCHEMA: Final = "urn:ietf:params:scim:schemas:core:2.0:Schema"


class ScimBody(BaseModel):
    """Any SCIM message: attributes beyond those that are kept are ignored."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel)

    schemas: list[str] = Field(default_factory=list)


class ScimUserRequest(ScimBody):
    """A user (RFC 7643, 4.1) with the enterprise extension's department and manager (4.3)."""

    user_name: str
    external_id: str | None = None
    display_name: str | None = None
    active: bool | Literal["true", "false", "True", "False"] = True


class ScimGroupRequest(ScimBody):
    """A group: a role that the key may give (RFC 7643, 4.2)."""

    display_name: str
    external_id: str | None = None
    members: list[dict[str, Any]] = Field(default_factory=list)


class ScimPatchRequest(ScimBody):
    """A PatchOp (RFC 7644, 3.5.2)."""

    operations: list[dict[str, Any]] = Field(min_length=1, alias="Operations")


class ScimResource(ScimBody):
    """A user or a group."""

    id: str
    meta: dict[str, Any]


class ScimList(ScimBody):
    """A ListResponse (RFC 7644, 3.4.2)."""

    total_results: int
    start_index: int
    items_per_page: int
    resources: list[dict[str, Any]] = Field(alias="Resources")


class ScimError(BaseModel):
    """An error (RFC 7644, 3.12)."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)

    schemas: list[str]
    status: str
    detail: str
    scim_type: str | None = None


def configuration(base: str) -> dict[str, Json]:
    """What of SCIM is served."""
    return {
        "schemas": [CONFIGURATION],
        "patch": {"supported": True},
        "bulk": {"supported": False, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": True, "maxResults": PAGE_LIMIT},
        "changePassword": {"supported": False},
        "sort": {"supported": False},
        "etag": {"supported": False},
        "authenticationSchemes": [
            {
                "type": "oauthbearertoken",
                "name": "API key",
                "description": "A key with the scope scim, given out by two administrators.",
                "specUri": "https://www.rfc-editor.org/info/rfc6750",
                "primary": True,
            }
        ],
        "meta": {"resourceType": "ServiceProviderConfig", "location": f"{base}/ServiceProviderConfig"},
    }


def resource_types(base: str) -> dict[str, dict[str, Json]]:
    """Users and groups, by name."""
    return {
        "User": {
            "schemas": [RESOURCE_TYPE],
            "id": "User",
            "name": "User",
            "endpoint": "/Users",
            "description": "An account of a person.",
            "schema": USER,
            "schemaExtensions": [{"schema": ENTERPRISE, "required": False}],
            "meta": {"resourceType": "ResourceType", "location": f"{base}/ResourceTypes/User"},
        },
        "Group": {
            "schemas": [RESOURCE_TYPE],
            "id": "Group",
            "name": "Group",
            "endpoint": "/Groups",
            "description": "A role that the key may give.",
            "schema": GROUP,
            "schemaExtensions": [],
            "meta": {"resourceType": "ResourceType", "location": f"{base}/ResourceTypes/Group"},
        },
    }


def schemas(base: str) -> dict[str, dict[str, Json]]:
    """The attributes that are kept, by schema."""
    member = [_attribute("value", "A user's id.", mutability="immutable")]
    found = {
        USER: (
            "User",
            [
                _attribute("userName", "The login.", required=True, uniqueness="server"),
                _attribute("externalId", "What the provider calls the user.", exact=True),
                _attribute("displayName", "The person's name."),
                _attribute("name", "The person's name.", kind="complex", parts=[_attribute("formatted", "")]),
                _attribute("active", "Whether the account is in force.", kind="boolean"),
                _attribute(
                    "groups",
                    "The roles of the person that are groups here.",
                    kind="complex",
                    many=True,
                    mutability="readOnly",
                    parts=[_attribute("value", "The group's id.", mutability="readOnly")],
                ),
            ],
        ),
        ENTERPRISE: (
            "EnterpriseUser",
            [
                _attribute("department", "The person's department.", exact=True),
                _attribute(
                    "manager",
                    "The user that the person reports to.",
                    kind="complex",
                    parts=[_attribute("value", "The manager's id.", exact=True)],
                ),
            ],
        ),
        GROUP: (
            "Group",
            [
                _attribute("displayName", "The role.", required=True, exact=True, mutability="immutable"),
                _attribute("externalId", "What the provider calls the group.", exact=True),
                _attribute("members", "Who holds it.", kind="complex", many=True, parts=member),
            ],
        ),
    }
    return {
        schema: {
            "schemas": [SCHEMA],
            "id": schema,
            "name": name,
            "attributes": list[Json](attributes),
            "meta": {"resourceType": "Schema", "location": f"{base}/Schemas/{schema}"},
        }
        for schema, (name, attributes) in found.items()
    }


def all_of(documents: dict[str, dict[str, Json]]) -> dict[str, Json]:
    """All documents of one sort as a list."""
    return page_json(list[Json](documents.values()), total=len(documents), start=1)


def _attribute(
    name: str,
    description: str,
    *,
    kind: str = "string",
    many: bool = False,
    required: bool = False,
    exact: bool = False,
    mutability: str = "readWrite",
    uniqueness: str = "none",
    parts: list[dict[str, Json]] | None = None,
) -> dict[str, Json]:
    told: dict[str, Json] = {
        "name": name,
        "type": kind,
        "multiValued": many,
        "description": description or name,
        "required": required,
        "caseExact": exact,
        "mutability": mutability,
        "returned": "default",
        "uniqueness": uniqueness,
    }
    if parts is not None:
        told["subAttributes"] = list[Json](parts)
    return told
