"""Replays of a log by few people: no case that could be finished at its start is ever stranded.

Who could still finish a case is judged here by trying every sharing of its remaining steps among the people
of the log, from what the store has on record after the replay; nothing of the look-ahead is used for it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations, product
from pathlib import Path
from typing import Final

import pytest
import yaml
from sqlalchemy import select

from controls.duties.lookahead import LookAhead
from controls.services.event_log import read_log
from controls.services.replay import ReplayClock, Report, chain_named, replay_events
from controls.store.tables import acts
from tests.conftest import LONG_RUN
from tests.desk import start_desk

ORDERED, APPROVED = "Create Purchase Order", "Approve Purchase Order for payment"
SENT, SETTLED = "Send Request for Quotation to Supplier", "Settle Conditions With Supplier"
RELEASED, AUTHORISED = "Release Supplier's Invoice", "Authorize Supplier's Invoice payment"
PAID = "Pay Invoice"

# Who takes which of these steps in the log: five of its 27 people take them all.
BUYING = frozenset({ORDERED, APPROVED, SENT, SETTLED})
BUYERS = ("Karel de Groot", "Francois de Perrier", "Magdalena Predutta")
PAYERS = ("Pedro Alvares", "Karalda Nimwada")
STEPS = (ORDERED, APPROVED, SENT, SETTLED, RELEASED, AUTHORISED, PAID)
CASES = None if LONG_RUN else 150  # None: all 608


@dataclass(frozen=True)
class Duties:
    """Constraints over the seven steps, written as rule files and judged by plain set logic."""

    separate: Sequence[tuple[str, str]] = ()
    bind: Sequence[tuple[str, str]] = ()
    at_most: Sequence[tuple[frozenset[str], int]] = ()
    _judged: dict[tuple[object, ...], bool] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        constraints: list[dict[str, object]] = [
            {"kind": kind, "steps": sorted(pair), "then": "deny"}
            for kind, pairs in (("separate", self.separate), ("bind", self.bind))
            for pair in pairs
        ]
        constraints += [
            {"kind": "at_most", "steps": sorted(steps), "max": most, "then": "deny"}
            for steps, most in self.at_most
        ]
        chain = {
            "chain": "purchase",
            "title": {"en": "Purchase", "es": "Compra"},
            "resource": "purchase",
            "order": "free",
            "progress": "claimed",
            "claim_valid_for": "P3660D",
            "steps": [{"id": step} for step in STEPS],
        }
        roles = {
            "roles": {name: {"title": {"en": name, "es": name}} for name in ("buyer", "payer")},
            "grants": [
                {"role": "buyer", "resource": "purchase", "actions": sorted(BUYING)},
                {"role": "payer", "resource": "purchase", "actions": sorted({*STEPS} - BUYING)},
            ],
        }
        named = [{"id": f"duty_{number}", **item} for number, item in enumerate(constraints)]
        for name, content in (
            ("vocabulary.yaml", {"subject_types": ["account"], "facts": {}}),
            ("roles.yaml", roles),
            ("chains/purchase.yaml", [chain]),
            ("duties/purchase.yaml", named),
        ):
            path = folder / "rules" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(yaml.safe_dump(content), "utf-8")
        return folder / "rules"

    def allow(self, done: Mapping[str, str]) -> bool:
        """Whether these persons (by step) may have done these steps together."""
        hands: dict[str, set[str]] = defaultdict(set)
        for step, person in done.items():
            hands[person].add(step)
        return (
            all(done.get(a) is None or done.get(a) != done.get(b) for a, b in self.separate)
            and all(a not in done or b not in done or done[a] == done[b] for a, b in self.bind)
            and all(len(own & steps) <= most for own in hands.values() for steps, most in self.at_most)
            and all(own != {*STEPS} for own in hands.values())
        )

    def can_be_finished(self, done: Mapping[str, str], people: tuple[str, ...]) -> bool:
        """Whether any sharing of what remains of a case among `people` is allowed."""
        key = (people, *sorted(done.items()))
        if key not in self._judged:
            rest = [step for step in STEPS if step not in done]
            own = [[name for name in people if (name in BUYERS) == (step in BUYING)] for step in rest]
            self._judged[key] = any(
                self.allow({**done, **dict(zip(rest, shared, strict=True))}) for shared in product(*own)
            )
        return self._judged[key]


DUTIES: Final = {
    "apart": Duties(
        separate=[(ORDERED, APPROVED), (APPROVED, SETTLED), (SETTLED, ORDERED), (SENT, APPROVED),
                  (RELEASED, AUTHORISED), (AUTHORISED, PAID)],
    ),
    "few": Duties(
        separate=[(SENT, APPROVED), (SENT, SETTLED), (RELEASED, PAID)],
        at_most=[(BUYING - {SENT}, 1), (frozenset({RELEASED, AUTHORISED, PAID}), 2)],
    ),
    "same": Duties(
        separate=[(ORDERED, APPROVED), (SENT, APPROVED), (AUTHORISED, PAID)],
        bind=[(SENT, SETTLED), (RELEASED, PAID)],
        at_most=[(BUYING, 2)],
    ),
}  # fmt: skip


def pools() -> Iterator[tuple[str, ...]]:
    """The people of the desk: all five; in the long form, every choice of two or more of them."""
    everybody = (*BUYERS, *PAYERS)
    yield everybody
    for number in (4, 3, 2) if LONG_RUN else ():
        yield from combinations(everybody, number)


@dataclass
class Played:
    """A replay, and who was permitted which steps of each case, one after the other."""

    report: Report
    done: Mapping[str, Sequence[tuple[str, str]]]
    duties: Duties
    people: tuple[str, ...]

    @cached_property
    def stranded(self) -> dict[str, int]:
        """Cases that could be finished at the start and after so many steps could not."""
        found: dict[str, int] = {}
        for case, permitted in self.done.items():
            for number in range(len(permitted) + 1):
                if not self.duties.can_be_finished(dict(permitted[:number]), self.people):
                    if number:
                        found[case] = number
                    break
        return found


def play(log: Path, folder: Path, database_url: str, duties: Duties, people: tuple[str, ...]) -> Played:
    """Replay the log's rows by these people."""
    events = read_log(log)
    begun = list(dict.fromkeys(event.case for event in events))[:CASES]
    events = [event for event in events if event.resource in people and event.case in begun]
    clock = ReplayClock(events[0].at)
    numbered = {name: f"p-{number}" for number, name in enumerate(people)}
    lines = [f"{numbered[name]},{name},{name},{'buyer' if name in BUYERS else 'payer'}" for name in people]
    administrators = ["a-1,Alma Arce,alma.admin,administrator", "a-2,Blas Bueno,blas.admin,administrator"]
    desk = start_desk(
        folder,
        database_url=database_url,
        rules=duties.write(folder),
        directory="\n".join(["person,name,account,roles", *administrators, *lines, ""]),
        engine="reference",
        clock=lambda: clock.now,
    )

    async def run() -> Played:
        service = desk.build(clock=clock)
        await service.start()
        try:
            active = service.state.active
            assert active is not None
            report = await replay_events(
                service,
                events,
                kind=chain_named(active.release.chains.values(), "purchase"),
                key=desk.key_ids["caller"],
                clock=clock,
                progress=lambda _: None,
            )
            async with service.database.read() as connection:
                rows = list(await connection.execute(select(acts).order_by(acts.c.index)))
        finally:
            await service.close()
        names = {number: name for name, number in numbered.items()}
        done: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for row in rows:
            done[row.chain].append((row.step, names[row.person]))
        assert report.checked == len([event for event in events if event.activity in STEPS])
        assert sum(map(len, done.values())) == report.outcomes["permit"]
        return Played(report, done, duties, people)

    return asyncio.run(run())


@pytest.mark.fuzz
@pytest.mark.parametrize("duties", DUTIES)
@pytest.mark.parametrize(
    "people", [*pools()], ids=lambda people: "+".join(name.split()[0] for name in people)
)
def test_no_case_that_could_be_finished_at_its_start_is_stranded(
    shared_data: Path, tmp_path: Path, migrated_sqlite_url: str, people: tuple[str, ...], duties: str
) -> None:
    """After every step that is permitted, somebody can still do the rest, as long as anybody ever could."""
    log = shared_data / "eventlogs" / "purchasing_example_p2p.csv.gz"
    played = play(log, tmp_path, migrated_sqlite_url, DUTIES[duties], people)
    assert played.stranded == {}
    if played.duties.can_be_finished({}, people):
        assert played.report.outcomes["permit"] > 0
    else:
        # Nobody begins what cannot be finished; a supervisor is asked first.
        assert played.report.outcomes["permit"] == 0
    if len(people) == len(BUYERS + PAYERS):
        assert played.report.findings["would_strand"] > 0


@pytest.mark.parametrize("duties", DUTIES)
def test_without_looking_ahead_cases_are_stranded(
    shared_data: Path,
    tmp_path: Path,
    migrated_sqlite_url: str,
    monkeypatch: pytest.MonkeyPatch,
    duties: str,
) -> None:
    """The same log, people and duties: what the test above rules out does happen where nobody looks ahead."""
    monkeypatch.setattr(LookAhead, "finding", lambda *_, **__: None)
    log = shared_data / "eventlogs" / "purchasing_example_p2p.csv.gz"
    played = play(log, tmp_path, migrated_sqlite_url, DUTIES[duties], (*BUYERS, *PAYERS))
    assert len(played.stranded) > 10
    assert "would_strand" not in played.report.findings
