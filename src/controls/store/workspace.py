"""One unit of work on one tenant's ledger, under its head row lock.

Guarantees: everything a batch of commands reads was loaded after the lock was taken; later commands see
what earlier ones did; entries get contiguous indexes in the order they were appended; nothing is written
before `flush`, and `flush` writes entries, state and the new head in the caller's one transaction.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from heapq import nlargest
from typing import Any, Final, TypeAlias

from controls.ledger.commitment import SALT_SIZE, disclosure_text, sealed
from controls.ledger.envelope import EntryKind, entry_bytes
from controls.ledger.merkle import BatchTree, leaf_hash
from controls.model.chain import Act, ActState, ChainHistory
from controls.model.decision import Approval
from controls.model.lineage import ChainKey, Lineage, Link
from controls.model.record import record
from controls.model.trail import Trail, TrailAct, TrailHand
from controls.model.values import Json, Money, microseconds, utc_text
from controls.model.window import Observation, Window
from controls.store.connection import StoreConnection
from controls.store.observations import CountedAggregate, Series
from controls.store.rows import EXCEPTION, Change, Head, ReviewCase, StoredAct
from controls.store.trails import LATEST, Mark, PlaceKey, TrailKey, TrailQuery, added_marks

# How many chains of the accounts, instruments, desks and conflict classes of two persons are looked at when
# these are found to be one: the others are in the analysis of duties.
NEAR_AT_MOST: Final = 1_000

# A write that is made with the rest of the unit of work.
Operation: TypeAlias = Callable[[StoreConnection], Awaitable[None]]


@dataclass(slots=True)
class Needs:
    """What a batch of commands will read; each command adds its own before anything is loaded."""

    chains: set[tuple[str, str]] = field(default_factory=set)
    joined: set[ChainKey] = field(default_factory=set)  # chains that a request says it comes from
    tokens: set[tuple[str, str, str]] = field(default_factory=set)
    decisions: set[str] = field(default_factory=set)
    reviews: set[str] = field(default_factory=set)
    resources: set[tuple[str, str]] = field(default_factory=set)
    trails: set[TrailQuery] = field(default_factory=set)
    places: dict[PlaceKey, int] = field(default_factory=dict)  # of trails, to know who acted there since when
    changes: set[str] = field(default_factory=set)
    merging: set[tuple[str, str]] = field(default_factory=set)  # person found to be another
    series: dict[Series, timedelta] = field(default_factory=dict)  # each with the length of its window
    expired_before_now: bool = False
    # What can name its needs only by what was loaded is called when that is there.
    with_cases: list[Callable[[], None]] = field(default_factory=list)
    with_chains: list[Callable[[], None]] = field(default_factory=list)


@record
class StoredAnswer:
    """What a finished command said, kept under its Idempotency-Key."""

    body: bytes
    answer: bytes
    claims: tuple[str, ...]
    at: int


@record
class NewEntry:
    """An appended entry before it is written."""

    index: int
    id: str
    kind: EntryKind
    at: int
    chain: str | None
    person: str | None
    data: bytes
    leaf: bytes
    disclosure: str | None


@record
class Sealed:
    """The batch's place in the tree: proofs for its entries and the signed checkpoint over them."""

    tree: BatchTree
    checkpoint: str


def _in_order(act: Act) -> tuple[int, str]:
    return act.index, act.claim


def _in_time(mark: Mark) -> tuple[int, str, str]:
    return mark.at, mark.claim, mark.part


def _in_ledger(item: TrailAct) -> tuple[int, str, str]:
    return item.act.index, item.act.claim, item.part


class Workspace:
    """State as of the lock, plus what the commands of this batch have done to it.

    `marked` are the chain kinds whose acts leave marks on trails.
    """

    def __init__(
        self,
        head: Head,
        *,
        now: datetime,
        entropy: Callable[[int], bytes],
        marked: Container[str] = frozenset(),
    ) -> None:
        self.head = head
        self.now = now
        self.at = microseconds(now)
        self._at_text = utc_text(now)
        self._entropy = entropy
        self._marked_kinds = marked
        # Counts changes: a command that was refused must have left it as it was.
        self.revision = 0
        self._acts: dict[tuple[str, str], list[StoredAct]] = {}
        self._histories: dict[tuple[str, str], ChainHistory] = {}
        self.lineage = Lineage()
        self._marks: dict[TrailKey, dict[tuple[str, str], Mark]] = {}  # by claim and part
        self.looked_up: set[TrailQuery] = set()  # places of which all marks are here
        self._at_places: dict[PlaceKey, list[TrailHand]] = {}
        self._marked: dict[str, StoredAct] = {}  # by claim; of chains that are not loaded themselves
        self.claims: dict[str, StoredAct] = {}
        self.answers: dict[tuple[str, str, str], StoredAnswer] = {}
        self.decisions: dict[str, Mapping[str, Any]] = {}
        self.reviews: dict[str, ReviewCase] = {}
        self.questions: dict[str, Any] = {}  # by case: the entry that opened it, with its disclosure
        self.approvals: dict[str, Approval] = {}
        self.changes: dict[str, Change] = {}
        self.expired: list[StoredAct] = []
        self.shared: set[tuple[str, str]] = set()  # where both of two persons have acted
        self.near: list[ChainKey] = []  # of the accounts and such of both, the newest first, and one too many
        self.counted: Mapping[str, CountedAggregate] = {}
        self.windows: dict[Series, Window] = {}
        # What this batch writes.
        self.entries: list[NewEntry] = []
        self.new_acts: dict[str, StoredAct] = {}
        self.changed_acts: dict[str, StoredAct] = {}
        self.new_marks: list[Mark] = []
        self.begun_marks: list[str] = []  # claims that ended, so that the marks of the acts begin to age
        self.new_links: list[tuple[ChainKey, Link, int]] = []  # with the entry that declares it
        self.new_reviews: dict[str, ReviewCase] = {}
        self.changed_reviews: dict[str, ReviewCase] = {}
        self.new_approvals: list[Approval] = []
        self.approval_uses: list[tuple[str, str]] = []
        self.promised: dict[tuple[str, str, str], bytes] = {}  # answers that this batch is still making
        self.new_answers: dict[tuple[str, str, str], StoredAnswer] = {}
        self.new_observations: list[tuple[Series, Observation]] = []
        self.new_blobs: dict[str, bytes] = {}
        self.new_changes: dict[str, Change] = {}
        self.changed_changes: dict[str, Change] = {}
        self.operations: list[Operation] = []  # writes of tables that only administration touches

    # -- entries -------------------------------------------------------------------------------------

    @property
    def next_index(self) -> int:
        return self.head.frontier.size + len(self.entries)

    def append(
        self,
        kind: EntryKind,
        id: str,
        fields: Mapping[str, Json],
        *,
        chain: str | None = None,
        person: str | None = None,
        disclosure: Mapping[str, str] | None = None,
    ) -> int:
        """Append one entry and return its index. `fields` must hold commitments, never private values."""
        data = entry_bytes(
            {
                "v": 1,
                "ledger": self.head.origin,
                "kind": kind.value,
                "id": id,
                "at": self._at_text,
                "release": self.head.release,
                "directory": self.head.directory_index,
                **fields,
            }
        )
        index = self.next_index
        self.revision += 1
        self.entries.append(
            NewEntry(
                index=index,
                id=id,
                kind=kind,
                at=self.at,
                chain=chain,
                person=person,
                data=data,
                leaf=leaf_hash(data),
                disclosure=disclosure_text(disclosure) if disclosure else None,
            )
        )
        return index

    def conceal(self, values: Mapping[str, Json]) -> tuple[dict[str, Json], dict[str, str]]:
        """Commitments for private values, and the disclosure that opens them; both keyed by path, and each
        value of both written already (`commitment.sealed`)."""
        if not values:
            return {}, {}
        return sealed(values, randomness=self._entropy(SALT_SIZE * len(values)))

    # -- acts ----------------------------------------------------------------------------------------

    def load_acts(self, stored: Iterable[StoredAct]) -> None:
        for item in stored:
            if item.act.claim not in self.claims:
                self.claims[item.act.claim] = item
                self._acts.setdefault((item.kind, item.act.chain), []).append(item)

    def load_marks(self, found: Iterable[tuple[Mark, StoredAct]]) -> None:
        for mark, stored in found:
            self._marks.setdefault(mark.key, {})[mark.claim, mark.part] = mark
            self._marked[mark.claim] = stored

    def load_hands(self, found: Mapping[PlaceKey, list[TrailHand]]) -> None:
        self._at_places.update(found)

    def history(self, kind: str, chain: str) -> ChainHistory:
        """The chain's history as of now, this batch included."""
        found = self._histories.get((kind, chain))
        if found is None:
            acts = [item.act for item in self._acts.get((kind, chain), ())]
            if len(acts) > 1:
                acts.sort(key=_in_order)
            found = ChainHistory(kind, chain, tuple(acts))
            self._histories[(kind, chain)] = found
        return found

    def trail(self, query: TrailQuery) -> tuple[TrailAct, ...]:
        """The acts at one place of a trail, this batch included, as far back as was asked for."""
        known = self._marks.get(query.key, {}).values()
        if not known:
            return ()
        marks = nlargest(LATEST, known, key=_in_time)[::-1] if query.latest else known
        found = [
            TrailAct(
                mark.kind, mark.step, (self.claims.get(mark.claim) or self._marked[mark.claim]).act, mark.part
            )
            for mark in marks
        ]
        return tuple(found if query.latest else sorted(found, key=_in_ledger))

    def hands_at(self, place: PlaceKey) -> Sequence[TrailHand] | None:
        """Who has acted at a place, this batch included; None where that was not loaded."""
        found = self._at_places.get(place)
        return None if found is None else tuple(found)

    def add_act(self, stored: StoredAct, trails: Iterable[Trail] = ()) -> None:
        """Add an act to a chain that was loaded; `trails` are those of its chain kind."""
        claim, chain = stored.act.claim, (stored.kind, stored.act.chain)
        self.revision += 1
        for trail in trails:
            for mark in added_marks(trail, earlier=self._acts.get(chain, ()), new=stored):
                known = self._marks.setdefault(mark.key, {})
                if (mark.claim, mark.part) not in known:
                    known[mark.claim, mark.part] = mark
                    self.new_marks.append(mark)
                    if mark.key.place in self._at_places:
                        hand = TrailHand(mark.key.person, mark.kind, mark.step, mark.part, mark.at)
                        self._at_places[mark.key.place].append(hand)
        self.new_acts[claim] = stored
        self.claims[claim] = stored
        self._acts.setdefault(chain, []).append(stored)
        self._histories.pop(chain, None)

    def add_links(self, chain: ChainKey, links: Iterable[Link], *, index: int) -> None:
        """Record what a chain that has just begun comes from; `index` is the entry that says so."""
        for link in links:
            self.revision += 1
            self.lineage.add(chain, link)
            self.new_links.append((chain, link, index))

    def change_act(self, claim: str, *, state: ActState | None = None, case: str | None = None) -> None:
        """Change what became of an act on a chain that was loaded. When its claim ends it is done with, and
        so is the act of whom it was done for."""
        old = self.claims[claim]
        act = old.act if state is None else replace(old.act, state=state)
        self._replace(old, replace(old, act=act, case=old.case if case is None else case))
        if state is None or act.done_at is not None:
            return
        for item in self._acts[old.kind, act.chain]:
            if item.act.decision == act.decision:
                self._replace(item, replace(item, act=replace(item.act, done_at=self.now)))

    def _replace(self, old: StoredAct, new: StoredAct) -> None:
        self.revision += 1
        claim, chain = old.act.claim, (old.kind, old.act.chain)
        self.claims[claim] = new
        (self.new_acts if claim in self.new_acts else self.changed_acts)[claim] = new
        if new.act.done_at != old.act.done_at and new.kind in self._marked_kinds:
            self.begun_marks.append(claim)
        self._acts[chain] = [new if item.act.claim == claim else item for item in self._acts[chain]]
        self._histories.pop(chain, None)

    # -- aggregates ------------------------------------------------------------------------------------

    def observe(self, series: Series, amount: Decimal | Money | None) -> None:
        """Add a request of now to a series whose window was loaded; later requests of this batch see it."""
        window = self.windows[series]
        self.revision += 1
        observation = window.following(at=self.at, amount=amount)
        self.windows[series] = window.followed_by(observation)
        self.new_observations.append((series, observation))

    def new_salt(self, size: int) -> bytes:
        return self._entropy(size)

    # -- reviews, approvals, changes -------------------------------------------------------------------

    def add_review(self, case: ReviewCase) -> None:
        self.revision += 1
        self.new_reviews[case.id] = case
        self.reviews[case.id] = case

    def change_review(self, case: ReviewCase) -> None:
        self.revision += 1
        self.reviews[case.id] = case
        (self.new_reviews if case.id in self.new_reviews else self.changed_reviews)[case.id] = case

    def add_approval(self, approval: Approval) -> None:
        self.revision += 1
        self.new_approvals.append(approval)
        self.approvals[approval.id] = approval

    def use_approval(self, approval: str, decision: str) -> None:
        self.revision += 1
        self.approvals[approval] = replace(self.approvals[approval], used=True)
        self.approval_uses.append((approval, decision))

    def approvals_for(self, resource_type: str, resource_id: str) -> tuple[Approval, ...]:
        return tuple(
            approval
            for approval in self.approvals.values()
            if approval.resource_type == resource_type and approval.resource_id == resource_id
        )

    def reviews_for(self, resource_type: str, resource_id: str) -> tuple[ReviewCase, ...]:
        """The cases about a resource that are open, and all about exceptions."""
        return tuple(
            case
            for case in self.reviews.values()
            if case.resource_type == resource_type
            and case.resource_id == resource_id
            and (case.state == "open" or case.kind == EXCEPTION)
        )

    def add_change(self, change: Change) -> None:
        self.revision += 1
        self.changes[change.id] = change
        self.new_changes[change.id] = change

    def change_change(self, change: Change) -> None:
        self.revision += 1
        self.changes[change.id] = change
        self.changed_changes[change.id] = change

    def remember(self, token: tuple[str, str, str], answer: StoredAnswer) -> None:
        self.answers[token] = answer
        self.new_answers[token] = answer

    def later(self, operation: Operation) -> None:
        """Queue a write that `flush` makes in the same transaction (directory, keys)."""
        self.revision += 1
        self.operations.append(operation)

    def set_head(self, **fields: Any) -> None:
        """Change what the head row says is in force (directory_index, keys_index, release)."""
        self.revision += 1
        self.head = replace(self.head, **fields)

    # -- the tree --------------------------------------------------------------------------------------

    def seal(self, sign: Callable[[int, bytes], str]) -> Sealed:
        """Extend the tree by this batch and sign the new head."""
        tree = BatchTree(self.head.frontier, [entry.leaf for entry in self.entries])
        return Sealed(tree=tree, checkpoint=sign(tree.frontier.size, tree.root))
