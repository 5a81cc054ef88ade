"""The engine's side of the state machine: the real service on a store of its own, without HTTP."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from controls.model.errors import Conflict, InvalidInput, NotFound
from controls.model.values import microseconds
from controls.services.administration import Confirm, Propose
from controls.services.delegations import DelegationEnd, DelegationGrant
from controls.services.directory_changes import DirectoryChange
from controls.services.directory_file import read_absences, read_directory
from controls.services.exceptions import Exceptions
from controls.services.identifiers import new_id
from controls.services.ledger_export import export_ledger
from controls.services.mitigations import Mitigation, MitigationEnd
from controls.services.outcomes import Reported, ReportOutcome
from controls.services.person_merge import PersonMerge
from controls.services.reviews import Resolution, Resolve
from tests.desk import KeySpec, start_desk, submit
from tests.machine.plain_words import UNKNOWN, Chain
from tests.machine.plans import Plan, directory_of, fact_name, write_rules

START: Final = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
AMOUNTS: Final = {"large": "1000", "small": "10"}


@dataclass(frozen=True)
class Answer:
    id: str
    outcome: str
    findings: Mapping[str, str]  # rule -> effect
    cleared: Mapping[str, str]
    review: str
    case: str = ""  # what the case is about, by its kind


def by_rule(findings: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The effect of each rule; of several findings of one name the strictest."""
    ordered = sorted(findings, key=lambda item: ("flag", "review", "deny").index(item["effect"]))
    return {item["rule"]: item["effect"] for item in ordered}


class Playing:
    """A service on a desk, asked with the numbers of persons and accounts."""

    def __init__(self, plan: Plan, names: tuple[str, ...], template: Path) -> None:
        self.plan, self.names = plan, names
        self.folder = Path(tempfile.mkdtemp(prefix="controls-machine-"))
        for part in template.parent.iterdir():
            shutil.copy(part, self.folder / part.name)
        self.now = START
        self.answers: list[Answer] = []
        self.exceptions: list[str] = []  # delegations and mitigations that were made
        logins = [f"{names[person]}.{number}" for number, person in enumerate(plan.accounts)]
        self.logins = logins
        self.desk = start_desk(
            self.folder,
            database_url=f"sqlite+aiosqlite:///{self.folder / template.name}",
            rules=write_rules(plan, self.folder),
            directory=directory_of(plan, names),
            administrators=("admin1", "admin2"),
            keys={
                "caller": KeySpec(("decide", "outcome", "read", "verify"), speaks_for="*"),
                "admin1": KeySpec(("directory", "release", "read"), account="admin1"),
                "admin2": KeySpec(("directory", "release", "read"), account="admin2"),
                **{f"supervisor{n}": KeySpec(("review",), account=logins[n]) for n in plan.supervisors},
            },
            engine="reference",
            clock=lambda: self.now,
        )
        self.loop = asyncio.new_event_loop()
        self.service = self.desk.build(clock=lambda: self.now)
        self._run(self.service.start())

    def close(self) -> None:
        self._run(self.service.close())
        self.loop.close()
        while self.folder.exists():
            with suppress(FileNotFoundError):  # SQLite may still be taking away a file of its own
                shutil.rmtree(self.folder)

    def _run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def wait(self, span: timedelta) -> None:
        """Let time pass."""
        self.now += span

    def ask(
        self,
        account: int,
        chain: Chain,
        step: str,
        facts: Mapping[str, str],
        older: tuple[Chain, ...],
        behalf: int | None,
        minutes: int,
        claim: bool,
    ) -> Answer:
        """The answer to an account, maybe for the account `behalf`, maybe with minutes of break-glass."""
        kind, number = chain
        stated: dict[str, dict[str, Any]] = {kind: {}, "issuer": {}}
        for name, value in facts.items():
            space, _, field = fact_name(kind, name).partition(".")
            stated[space][field] = AMOUNTS.get(value, value)
        if older:
            stated[kind]["lineage"] = [
                {"relation": "merged_from", "type": type_, "id": id_} for type_, id_ in older
            ]
        body = {
            "subject": {"type": "account", "id": self.logins[account]},
            "action": {"name": step},
            "resource": {"type": kind, "id": number, "properties": stated[kind]},
            "context": {"issuer": stated["issuer"], **({} if claim else {"claim": False})},
        }
        if behalf is not None:
            body["on_behalf_of"] = "nobody" if behalf == UNKNOWN else self.logins[behalf]
        if minutes:
            body["break_glass"] = {"reason": "it burns", "minutes": minutes}
        told = self._run(submit(self.service, self.desk.decide(body)))
        review = told.get("review", {}).get("id", "")
        case = self._run(self.service.queries.review(review))["kind"] if review else ""
        answer = Answer(
            told["id"],
            told["outcome"],
            by_rule(told["findings"]),
            by_rule(told.get("approval", {}).get("cleared", ())),
            review,
            case,
        )
        self.answers.append(answer)
        return answer

    def report(self, answer: int, state: str) -> bool:
        """Whether the report on what the answer of this number permitted is taken."""
        id_, key = self.answers[answer].id, self.desk.key_ids["caller"]
        return self._taken(ReportOutcome(new_id("out"), key, id_, Reported(state)))

    def resolve(self, answer: int, supervisor: int) -> bool:
        """Whether the supervisor's approval of what the answer of this number held is taken."""
        review, key = self.answers[answer].review, self.desk.key_ids[f"supervisor{supervisor}"]
        return self._taken(Resolve(new_id("res"), key, review, Resolution.APPROVE, "seen"))

    def report_of_exceptions(self) -> tuple[int, list[tuple[str, str, str]]]:
        """How many are overdue, and of each what it is, by which decision, and what became of its case."""
        report = Exceptions(self.service.database, self.service.tenant)
        told = self._run(report.page(at=microseconds(self.now), limit=10_000))
        rows = [(row["kind"], row["decision"], row["review"]["state"]) for row in told["exceptions"]]
        return told["overdue"], rows

    def _taken(self, command: Any) -> bool:
        try:
            self._run(submit(self.service, command))
        except Conflict:
            return False
        return True

    def lend(self, person: int, delegate: int, kind: str, steps: tuple[str, ...], until: datetime) -> bool:
        """Whether a delegation is made; it is the next of the exceptions."""
        names = self.names[person], self.names[delegate]
        return self._made(
            person, DelegationGrant(*names, kind, steps, microseconds(until), "a day off"), "delegations"
        )

    def accept(self, person: int, rule: str, owner: int, until: datetime) -> bool:
        """Whether a conflict is accepted; that is the next of the exceptions."""
        change = Mitigation(
            self.names[person], rule, self.names[owner], "read", "in the log", microseconds(until)
        )
        return self._made(person, change, "mitigations")

    def end(self, exception: int) -> bool:
        """Whether the exception of this number is ended."""
        id_ = self.exceptions[exception]
        return self._allowed(DelegationEnd(id_) if id_.startswith("dlg_") else MitigationEnd(id_))

    def _made(self, person: int, change: Any, records: str) -> bool:
        if not self._allowed(change):
            return False
        _, directory = self._run(self.service.snapshot())
        self.exceptions.append(getattr(directory.people[self.names[person]], records)[-1].id)
        return True

    def _allowed(self, change: Any) -> bool:
        try:
            self._change(change)
        except (Conflict, InvalidInput, NotFound):
            return False
        return True

    def merge(self, person: int, into: int) -> None:
        """Find two persons to be one."""
        self._change(PersonMerge(self.names[person], self.names[into]))

    def away(self, person: int, until: datetime) -> None:
        """Send a person on leave."""
        start, end = (moment.isoformat().replace("+00:00", "Z") for moment in (self.now, until))
        rows = f"person,absent_from,absent_to\n{self.names[person]},{start},{end}\n"
        self._change(DirectoryChange(read_absences(rows)))

    def account(self, person: int, roles: frozenset[str]) -> None:
        """Give a person one account more, under a new name, and these roles."""
        self.logins.append(f"{self.names[person]}.{len(self.logins)}")
        rows = f"person,account,roles\n{self.names[person]},{self.logins[-1]},{';'.join(sorted(roles))}\n"
        self._change(DirectoryChange(read_directory(rows)))

    def _change(self, change: Any) -> None:
        async def run() -> None:
            name = new_id("change")
            await submit(self.service, Propose(new_id("chg"), name, self.desk.key_ids["admin1"], change))
            confirm = Confirm(new_id("chg"), self.desk.key_ids["admin2"], name)
            confirm.prepared = await self.service.releases.prepared(name)
            confirm.merging = await self.service.changes.merging(name)
            await submit(self.service, confirm)

        self._run(run())

    def export(self) -> bytes:
        async def read() -> bytes:
            lines = export_ledger(
                self.service.database, self.desk.settings.tenant, origin="demo/desk", vkey=self.desk.vkey
            )
            return b"".join([line async for line in lines])

        told: bytes = self._run(read())
        return told
