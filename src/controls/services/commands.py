"""What a unit of work is made of: commands that say what they will read, then decide and record.

A command is executed under the tenant's lock and may change the workspace only after everything that can
refuse it has been checked: a `ControlsError` that it raises is recorded as a refusal and given to its caller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from controls.decide import ActiveRelease
from controls.model.values import Json
from controls.services.identifiers import NewId
from controls.store.directory import Directory
from controls.store.rows import ApiKey
from controls.store.workspace import Needs, Sealed, Workspace

# Builds the answer once the batch's place in the tree is known.
Render: TypeAlias = Callable[[Sealed], bytes]


@dataclass(frozen=True, slots=True)
class Context:
    """What is in force under the lock."""

    work: Workspace
    active: ActiveRelease
    directory: Directory
    keys: Mapping[str, ApiKey]
    new_id: NewId


class Command(Protocol):
    """One request to change or ask something on the record."""

    id: str  # the id of the entry that proves the command was recorded
    key: str  # the credential's id; empty for the service itself
    alone: bool  # changes what is in force, so it shares its unit of work with nobody
    weight: int  # how many decisions it takes, about

    def prepare(self, context: Context, needs: Needs) -> None:
        """Name everything `execute` will read. Called under the lock, before anything is loaded."""
        ...

    def execute(self, context: Context) -> Render:
        """Decide and record; may raise a `ControlsError` before its first change to the workspace."""
        ...

    def refused_act(self) -> dict[str, Json]:
        """What to record of this command when it is refused (no private values)."""
        ...
