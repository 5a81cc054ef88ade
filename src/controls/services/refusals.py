"""Recording what was refused before it could be decided, such as a key that spoke for a stranger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controls.model.errors import ControlsError
from controls.model.values import Json
from controls.services.commands import Context, Render
from controls.store.workspace import Needs


@dataclass(slots=True)
class Refuse:
    """Refuse with `error`, on record. `act` says what was asked, `private` what only a commitment may say."""

    id: str
    key: str
    error: ControlsError
    act: Mapping[str, Json]
    private: Mapping[str, Json] = field(default_factory=dict)
    alone: bool = False
    weight: int = field(default=1, init=False)
    claims: tuple[str, ...] = field(default=(), init=False)

    def prepare(self, context: Context, needs: Needs) -> None:
        """Nothing is read."""

    def execute(self, context: Context) -> Render:
        raise self.error

    def refused_act(self) -> dict[str, Json]:
        return dict(self.act)
