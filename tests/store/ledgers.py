"""A small ledger made through the store itself, for the tests of the store."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from controls.ledger.envelope import EntryKind
from controls.ledger.merkle import Frontier
from controls.ledger.note import Checkpoint, Signer, generate_key, open_note, sign_note
from controls.model.chain import Act, ActState, Capacity
from controls.store.database import Database
from controls.store.rows import Head, StoredAct
from controls.store.unit import create_head, flush, load, lock_head
from controls.store.workspace import Needs, Sealed, Workspace

ORIGIN = "test.example/controls"
RELEASE = "sha256:" + "0" * 64
SIGNER = Signer.parse(generate_key(ORIGIN, seed=bytes(range(32))).signing)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)

Work = Callable[[Workspace], object]


def sign(size: int, root: bytes) -> str:
    """The signed checkpoint of a tree."""
    return sign_note(Checkpoint(ORIGIN, size, root).text(), signers=[SIGNER])


def verify_note(note: str) -> tuple[int, bytes]:
    """Size and root of a checkpoint that was signed here."""
    opened = open_note(note, verifiers=[SIGNER.verifier()])
    checkpoint = Checkpoint.parse_own(opened.text, origin=ORIGIN)
    return checkpoint.size, checkpoint.root


@dataclass
class Ledger:
    """A tenant's ledger in a database, with the entries that this object wrote."""

    database: Database
    tenant: str = "t"
    seed: int = 7
    data: list[bytes] = field(default_factory=list)
    checkpoint: str | None = None

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    async def start(self) -> Ledger:
        """Make the head row of an empty ledger."""
        async with self.database.write() as connection:
            await create_head(connection, Head(self.tenant, ORIGIN, Frontier(), 0, -1, -1, RELEASE))
        return self

    async def work(
        self, do: Work, *, needs: Needs | None = None, clock: Callable[[], datetime] | None = None
    ) -> tuple[Workspace, Sealed]:
        """One unit of work, as the writer does it."""
        async with self.database.write() as connection:
            head, now = await lock_head(connection, self.tenant, clock=clock)
            workspace = Workspace(
                head, now=now, entropy=self._random.randbytes, marked={"order_to_settlement"}
            )
            await load(connection, workspace, needs or Needs())
            do(workspace)
            sealed = workspace.seal(sign)
            await flush(connection, workspace, sealed)
        self.data += [entry.data for entry in workspace.entries]
        self.checkpoint = sealed.checkpoint
        return workspace, sealed

    async def append(self, count: int) -> Sealed:
        """One batch of entries, every third with something to disclose."""

        def do(workspace: Workspace) -> None:
            for _ in range(count):
                index = workspace.next_index
                private = {"subject.name": f"person {index}"} if index % 3 == 0 else {}
                hidden, opened = workspace.conceal(private)
                workspace.append(
                    EntryKind.DECISION,
                    f"dec_{self.seed}_{index}",
                    {"number": str(self._random.random()), "commitments": hidden},
                    chain=f"O-{index % 10}",
                    disclosure=opened,
                )

        return (await self.work(do))[1]


def stored_act(claim: str, **changed: object) -> StoredAct:
    """An act on chain O-1 that can be told from others by its claim."""
    own: Mapping[str, object] = {
        "decision": f"dec_{claim}",
        "chain": "O-1",
        "step": "capture",
        "person": "p1",
        "account": "a1",
        "capacity": Capacity.ACTOR,
        "state": ActState.CLAIMED,
        "at": NOON,
        "done_at": None if changed.get("state", ActState.CLAIMED) is ActState.CLAIMED else NOON,
        "valid_until": NOON + timedelta(hours=24),
        "index": 0,
        "key": "k1",
        "material": {"order.notional": "5.00"},
    }
    outer = {"kind": "order_to_settlement", "exclusive": True, "voting": False, "case": ""}
    act = Act(claim=claim, **{name: changed.get(name, value) for name, value in own.items()})  # type: ignore[arg-type]
    return StoredAct(act, **{name: changed.get(name, value) for name, value in outer.items()})  # type: ignore[arg-type]
