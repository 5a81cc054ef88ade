"""What requests and answers look like: the source of the OpenAPI document, and the check of every request.

Native requests refuse unknown fields; AuthZEN's ignore them, as the standard demands. Answers are built as
bytes in the transaction that records them, so their models here are documentation that tests hold to.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    WithJsonSchema,
)
from pydantic_core import PydanticKnownError

from controls.duties.breaking import LONGEST_MINUTES, MINUTES
from controls.model.lineage import MAX_LINKS, Relation

MAX_ID = 256
MAX_NAME = 128
MAX_PROPERTIES = 256
MAX_FACTS = 1_000  # of one request, in all its parts

# No control characters (Cc): ids and names appear in records, messages and logs.
PRINTABLE = r"^[^\u0000-\u001f\u007f-\u009f]+$"
# Nor has an id a blank at its ends, be it one of no width: "O-1 " would be another chain than "O-1".
_CONTROL, _BLANK = r"\u0000-\u001f\u007f-\u009f", r"\s\u00ad\u200b-\u200d\u2060\ufeff"
UNPADDED = rf"^[^{_CONTROL}{_BLANK}]([^{_CONTROL}]*[^{_CONTROL}{_BLANK}])?$"
_ID = re.compile(UNPADDED.replace("$", r"\Z"))


def _id(text: str) -> str:
    """The id as it is; most show at a glance that they are one."""
    if (text.isascii() and text.isprintable() and text[0] != " " != text[-1]) or _ID.match(text):
        return text
    raise PydanticKnownError("string_pattern_mismatch", {"pattern": UNPADDED})


Id = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_ID),
    AfterValidator(_id),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_ID, "pattern": UNPADDED}),
]
Name = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME, pattern=PRINTABLE)]
# Of any JSON: the vocabulary of the rule files gives them their types. `asked` holds the bounds.
Properties = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": MAX_PROPERTIES,
            "propertyNames": {"minLength": 1, "maxLength": MAX_NAME, "pattern": PRINTABLE},
        }
    ),
]
ResourceProperties = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": MAX_PROPERTIES,
            "propertyNames": {"minLength": 1, "maxLength": MAX_NAME, "pattern": PRINTABLE},
            "properties": {
                "lineage": {
                    "type": "array",
                    "maxItems": MAX_LINKS,
                    "items": {
                        "type": "object",
                        "required": ["relation", "id"],
                        "additionalProperties": False,
                        "properties": {
                            "relation": {"enum": [relation.value for relation in Relation]},
                            "id": {
                                "type": "string",
                                "minLength": 1,
                                "maxLength": MAX_ID,
                                "pattern": UNPADDED,
                            },
                            "type": {
                                "type": "string",
                                "minLength": 1,
                                "maxLength": MAX_NAME,
                                "pattern": PRINTABLE,
                            },
                        },
                    },
                }
            },
        }
    ),
]
Translated = dict[Literal["en", "es"], str]


class Asked(BaseModel):
    """A part of a native request: exact types, no unknown fields."""

    model_config = ConfigDict(strict=True, extra="forbid")


class Subject(Asked):
    """Who asks to act."""

    type: Name
    id: Id
    properties: Properties = Field(default_factory=dict)


class Action(Asked):
    """What is to be done: a step of the chain, or any action that the rule files grant."""

    name: Name
    properties: Properties = Field(default_factory=dict)


class LinkStated(Asked):
    """An older resource that this one comes from; `type` is left out where it is the same one."""

    relation: Literal[
        "allocation_of", "instruction_of", "split_from", "merged_from", "replaces", "netted_from"
    ]
    id: Id
    type: Name | None = None


LINEAGE = TypeAdapter(Annotated[list[LinkStated], Field(max_length=MAX_LINKS)])


class Resource(Asked):
    """What it is done to. `properties` are facts under the resource type: `notional` of an `order` is
    `order.notional` to the rules.

    `properties.lineage` is no fact: a list of the older resources that this one comes from, stated when its
    chain begins. What was done on them counts on this one.
    """

    type: Name
    id: Id
    properties: ResourceProperties = Field(default_factory=dict)


class BreakGlassAsked(Asked):
    """An emergency: why, and for how many minutes from now on a second person may lift what denies."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"\S")]
    minutes: Annotated[int, Field(ge=1, le=LONGEST_MINUTES)] = MINUTES


class DecisionRequest(Asked):
    """May this subject take this action on this resource?

    In `context`, `at` is the caller's time (RFC 3339 with a zone), `claim: false` asks without claiming the
    step, an object under any other key states facts of that name (`context.account.open_exposure` is
    `account.open_exposure`), and any other value is the fact `context.<key>`.

    `on_behalf_of` is a login of the person for whom the subject acts, by a delegation in force: that person's
    grants authorise, and the act counts for both. A bot may name the person it belongs to.

    With `break_glass` a denial by duty constraints that are not absolute opens a case (`review`) for a second
    person. Once that one has approved, the same request is permitted once while the minutes last, and a third
    person must look at it afterwards.
    """

    subject: Subject
    action: Action
    resource: Resource
    context: Properties = Field(default_factory=dict)
    on_behalf_of: Id = ""
    break_glass: BreakGlassAsked | None = None


class OutcomeRequest(Asked):
    """What became of the step that a decision claimed."""

    outcome: Literal["performed", "abandoned"]


class OpenSubject(Subject):
    model_config = ConfigDict(strict=True, extra="ignore")


class OpenAction(Action):
    model_config = ConfigDict(strict=True, extra="ignore")


class OpenResource(Resource):
    model_config = ConfigDict(strict=True, extra="ignore")


class EvaluationRequest(BaseModel):
    """AuthZEN 1.0: one evaluation; `on_behalf_of`, and `at` and `claim` in `context`, as in `DecisionRequest`
    (any other value of these two denies on a chain, and is a fact elsewhere). Unknown fields are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore")

    subject: OpenSubject
    action: OpenAction
    resource: OpenResource
    context: Properties = Field(default_factory=dict)
    on_behalf_of: Id = ""
    break_glass: BreakGlassAsked | None = None


class EvaluationItem(BaseModel):
    """One item of several; what it leaves out is taken whole from the top level."""

    model_config = ConfigDict(strict=True, extra="ignore")

    subject: OpenSubject | None = None
    action: OpenAction | None = None
    resource: OpenResource | None = None
    context: Properties | None = None
    on_behalf_of: Id | None = None
    break_glass: BreakGlassAsked | None = None


class EvaluationOptions(BaseModel):
    """How several evaluations are answered."""

    model_config = ConfigDict(strict=True, extra="ignore")

    evaluations_semantic: Literal["execute_all", "deny_on_first_deny", "permit_on_first_permit"] = (
        "execute_all"
    )


class EvaluationsRequest(EvaluationItem):
    """AuthZEN 1.0: several evaluations; without `evaluations` it is a single one."""

    evaluations: list[EvaluationItem] = Field(default_factory=list, max_length=1000)
    options: EvaluationOptions = Field(default_factory=EvaluationOptions)


# -- answers -----------------------------------------------------------------------------------------------


class Told(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(extra="forbid")


class SourceTold(Told):
    """The law, guidance or policy that a rule rests on."""

    law: str
    article: str
    basis: Literal["law", "guidance", "policy"]
    reviewed: bool = True


class FindingTold(Told):
    """One rule or duty that spoke, with the values that made it speak."""

    rule: str
    version: str
    effect: Literal["oblige", "flag", "review", "deny"]
    cause: Literal["fired", "missing", "error"]
    title: Translated
    message: Translated
    values: dict[str, Any]
    missing: list[str] = Field(default_factory=list)
    source: list[SourceTold] = Field(default_factory=list)
    observed: bool = False
    origin: Literal["request", "grant", "duty", "rule", "system"] = "rule"


class ObligationTold(Told):
    """A duty that comes with a permit. At `due_at` it is too late; `zone` is the one it was reckoned in."""

    id: str
    rule: str
    properties: dict[str, Any]
    due_at: str | None = None
    warn_at: str | None = None
    zone: str | None = None


class ApprovalUsed(Told):
    """The approval that turned a review into this permit, with the findings it cleared."""

    id: str
    cleared: list[FindingTold]


class ClaimTold(Told):
    """The step that this permit claims; report its outcome before it runs out."""

    id: str
    step: str
    valid_until: str


class ReviewLink(Told):
    """The case that a supervisor decides."""

    id: str
    href: str


class ChainStanding(Told):
    """Where the chain stands: each step that is claimed or performed."""

    kind: str
    id: str
    steps: dict[str, Literal["claimed", "performed"]]


class TreeProof(Told):
    """A proof (RFC 9162) with hashes in base64, against a signed checkpoint (C2SP)."""

    size: int
    root: str
    hashes: list[str]
    checkpoint: str


class InclusionProof(Told):
    """An inclusion proof (RFC 9162); the hashes are in base64."""

    size: int
    root: str
    hashes: list[str]


class Receipt(Told):
    """Proof that the answer was on record before it was given."""

    index: int
    leaf: str
    proof: InclusionProof
    checkpoint: str


class ActedFor(Told):
    """For whom it was asked, by which delegation (none: by whoever the account belongs to), and who is
    accountable."""

    person: str
    account: str
    delegation: str | None = None
    until: str | None = None
    reason: Translated | None = None


class DecisionAnswer(Told):
    """The decision. Anything but `outcome: permit` means: do not proceed."""

    id: str
    outcome: Literal["permit", "review", "deny", "would_permit"]
    decision: bool
    findings: list[FindingTold]
    obligations: list[ObligationTold]
    on_behalf_of: ActedFor | None = None
    approval: ApprovalUsed | None = None
    claim: ClaimTold | None = None
    review: ReviewLink | None = None
    chain: ChainStanding | None = None
    release: str
    receipt: Receipt


class EvaluationError(Told):
    """Why one item could not be read."""

    status: int
    message: str


class EvaluationContext(BaseModel):
    """The reasons of a decision (as in `DecisionAnswer`), or the error of an item."""

    model_config = ConfigDict(extra="allow")

    id: str | None = None
    outcome: str | None = None
    error: EvaluationError | None = None


class EvaluationAnswer(Told):
    """AuthZEN 1.0 decision."""

    decision: bool
    context: EvaluationContext | None = None


class EvaluationsAnswer(Told):
    """AuthZEN 1.0 decisions, in the order of the items."""

    evaluations: list[EvaluationAnswer]


class OutcomeAnswer(Told):
    """The report is on record."""

    id: str
    decision: str
    claim: str
    outcome: Literal["performed", "abandoned"]
    at: str
    chain: ChainStanding
    receipt: Receipt


class LedgerEntry(Told):
    """An entry as it is on record. `bytes` is what was hashed; `entry` the same, parsed."""

    index: int
    leaf: str
    entry: dict[str, Any]
    bytes: str
    disclosure: dict[str, Any] | None = None


class ProvenEntry(LedgerEntry):
    """An entry with its inclusion proof."""

    proof: TreeProof


class ConsistencyProof(TreeProof):
    """Proof that an older tree is a prefix of this one."""

    from_: int = Field(alias="from")


class ActTold(Told):
    """One person's act on one step. Where somebody acted for somebody else there is an act of each, and
    `beside` is the other one. `done_at` is when it was performed, or its claim ended in another way (null: it
    is only claimed)."""

    step: str
    person: str
    account: str
    capacity: Literal["actor", "approver", "principal"]
    beside: str | None = None
    state: Literal["claimed", "performed", "abandoned", "void", "reopened"]
    at: str
    done_at: str | None
    valid_until: str
    claim: str
    decision: str
    index: int


class ChainAnswer(Told):
    """Everything that was done on one chain, in the order of the ledger."""

    kind: str
    id: str
    acts: list[ActTold]


class ChainName(Told):
    kind: str
    id: str


class Health(Told):
    status: Literal["ok", "ready"]


class ProblemError(Told):
    """One thing wrong, and where (RFC 6901 pointer into the body, the name of a parameter, or
    `file:line:column` of a rule file)."""

    pointer: str
    code: str
    message: str


class Problem(Told):
    """RFC 9457. No decision exists: do not proceed."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[ProblemError]
    retryable: bool
    help: str
