"""Bodies of the routes over changes and releases."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from controls.api.directory_schemas import PersonDifference
from controls.api.schemas import Asked, Receipt, Told
from controls.rules.files import MAX_CSV_BYTES

MAX_FILES: Final = 1_000
DIGEST: Final = "^sha256:[0-9a-f]{64}$"


def _check_digest(text: str) -> str:
    if not re.fullmatch(DIGEST, text, re.ASCII):
        raise PydanticCustomError("bad_digest", "must be sha256: and 64 hexadecimal digits")
    return text


Digest = Annotated[str, AfterValidator(_check_digest), WithJsonSchema({"type": "string", "pattern": DIGEST})]
Path = Annotated[str, StringConstraints(min_length=1, max_length=300)]
Text = Annotated[str, StringConstraints(max_length=MAX_CSV_BYTES)]


Kind = Literal[
    "directory",
    "merge",
    "delegation",
    "delegation_end",
    "mitigation",
    "mitigation_end",
    "key_creation",
    "key_revocation",
    "release",
]


class ReleaseFiles(Asked):
    """Rule files: the path under the rules folder, with forward slashes, and the text of each."""

    files: Annotated[dict[Path, Text], Field(min_length=1, max_length=MAX_FILES)]


class ReleaseAgain(Asked):
    """A release that was in force before."""

    digest: Digest


class Confirmation(Asked):
    """Nothing is to be said: who confirms is whose key it is, and what, is in the path."""


class ConfirmationVotes(Told):
    """How many persons have confirmed, and how many it takes."""

    given: int
    needed: int


class ChangeAnswer(Told):
    """A change is proposed, or confirmed and in force; `release` is the one that it is about, if it is.

    `votes` is there where several persons must confirm: until the last of them, it stays proposed.
    """

    change: str
    kind: Kind
    state: Literal["proposed", "confirmed"]
    summary: str
    release: str | None = None
    votes: ConfirmationVotes | None = None
    receipt: Receipt


class ChangeTold(Told):
    """A change to directory, keys or release."""

    change: str
    kind: Kind
    state: Literal["proposed", "confirmed"]
    summary: str
    proposed_by: str
    proposed_at: str
    confirmed_by: str | None = None
    confirmed_at: str | None = None


class OneChange(ChangeTold):
    """A change; a proposed one of the directory with what it would do now, for who administers that.
    `outdated` says why one that an older version of the service stored must be proposed anew."""

    outdated: str | None = None
    effect: str | None = None
    differences: list[PersonDifference] | None = None


class ChangePage(Told):
    """Changes, newest first; `next` is the cursor of the following page."""

    changes: list[ChangeTold]
    next: str | None = None


class ReleaseTold(Told):
    """A release, when it was proposed and when put into force, and by whom. The one that the ledger was
    started with has no `change`; one that a watched folder published has `watcher` for a person."""

    release: str
    state: Literal["proposed", "active", "past"]
    change: str | None = None
    proposed_by: str | None = None
    proposed_at: str | None = None
    confirmed_by: str | None = None
    confirmed_at: str | None = None


class ReleasePage(Told):
    """Releases, newest first; `next` is the cursor of the following page."""

    releases: list[ReleaseTold]
    next: str | None = None


class ReleaseContents(Told):
    """A release with all that is in it, by path, as the loader read it."""

    release: str
    state: Literal["proposed", "active", "past"]
    files: dict[str, Any]
