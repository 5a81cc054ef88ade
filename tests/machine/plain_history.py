"""What is known of a desk and what has happened on it, for the plain model: history is a list.

Nothing of the engine is used here, nor in whatever is made of this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Self

from tests.machine.plain_words import Accepted, Act, Ask, Chain, Duty, Kind, Lent


@dataclass
class History:
    """Everything that verdicts are about."""

    kinds: Mapping[str, Kind]
    duties: tuple[Duty, ...]
    grants: Mapping[str, frozenset[tuple[str, str]]]  # role -> kind and action
    inherits: Mapping[str, frozenset[str]]
    roles: dict[int, frozenset[str]]
    profiles: dict[int, dict[str, str]]
    now: datetime
    acts: list[Act] = field(default_factory=list)
    links: dict[Chain, tuple[Chain, ...]] = field(default_factory=dict)
    shared: dict[str, str] = field(default_factory=dict)  # decisions that shared the claim of an earlier one
    lent: list[Lent] = field(default_factory=list)
    accepted: list[Accepted] = field(default_factory=list)

    def copy(self) -> Self:
        """A world that goes its own way from here on."""
        return replace(
            self,
            acts=[*self.acts],
            links={**self.links},
            shared={**self.shared},
            lent=[*self.lent],
            accepted=[*self.accepted],
        )

    # --- What has happened --------------------------------------------------------------------------------

    def on(self, chain: Chain) -> list[Act]:
        return [act for act in self.acts if act.chain == chain]

    def begun(self, chain: Chain) -> bool:
        return any(act.acted for act in self.on(chain))

    def standing(self, chain: Chain, step: str) -> list[Act]:
        return [act for act in self.on(chain) if act.step == step and act.stands]

    def in_force(self, chain: Chain) -> Mapping[str, str]:
        """The material facts of a chain: what it began with, or the last amendment."""
        told: Mapping[str, str] = {}
        for act in self.on(chain):
            if act.acted and (not told or act.step == "amend"):
                told = act.facts
        return told

    def votes(self, ask: Ask, step: str) -> int:
        asked = [
            duty.limit
            for duty in self.duties
            if duty.kind == "votes" and duty.steps == (step,) and self.applies(duty, ask)
        ]
        return max([self.kinds[ask.chain[0]].step(step).votes, *asked])

    def performed(self, ask: Ask, step: str) -> bool:
        wanted = ("performed", "claimed") if self.kinds[ask.chain[0]].claimed else ("performed",)
        done = {act.person for act in self.standing(ask.chain, step) if act.state in wanted}
        return len(done) >= self.votes(ask, step)

    # --- Lineage ------------------------------------------------------------------------------------------

    def ancestry(self, chain: Chain, links: Mapping[Chain, tuple[Chain, ...]]) -> set[Chain]:
        return {chain}.union(*(self.ancestry(older, links) for older in links.get(chain, ())))

    def lines(self, chain: Chain, older: tuple[Chain, ...] = ()) -> list[set[Chain]]:
        """The chains of each line that the chain is on: an end of the lineage with all that it comes from."""
        if not self.links and not older:
            return [{chain}]
        links = dict(self.links) if self.begun(chain) else {**self.links, chain: older}
        lines = [self.ancestry(end, links) for end in {chain, *links} if not self._younger(end, links)]
        return [line for line in lines if chain in line]

    def _younger(self, chain: Chain, links: Mapping[Chain, tuple[Chain, ...]]) -> bool:
        return any(chain in older for older in links.values())

    # --- Who may what -------------------------------------------------------------------------------------

    def held(self, person: int) -> frozenset[str]:
        own = self.roles[person]
        return own.union(*(self.inherits.get(role, frozenset()) for role in own))

    def granted(self, person: int, kind: str, action: str) -> bool:
        return any((kind, action) in self.grants.get(role, ()) for role in self.held(person))

    def applies(self, duty: Duty, ask: Ask) -> bool:
        """Whether the constraint's condition holds, or might: an amount that is not told may be large."""
        return not duty.large or ask.facts.get("amount") != "small"
