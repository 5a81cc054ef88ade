"""Directory, keys and release change under load: from the entry of the change on, everybody goes by it."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import time
from pathlib import Path
from typing import Any

import pytest

from controls.bootstrap import read_rule_files
from controls.model.errors import Unauthenticated
from controls.rules.release import compile_release
from controls.services import keys as api_keys
from controls.services import service as service_module
from controls.services.administration import ChangeKind, Confirm, Propose
from controls.services.directory_changes import DirectoryChange
from controls.services.directory_file import read_directory
from controls.services.identifiers import new_id
from controls.services.key_changes import KeyCreation, KeyRevocation
from controls.services.service import Service
from controls.store.directory import Directory
from tests.desk import Desk, activation_of

from .running import PEOPLE, RULES, Audit, audit, body, eventually, pressure_desk, running

CALLERS = 16
ENOUGH = 4 * CALLERS


async def confirmed(service: Service, desk: Desk, change: ChangeKind) -> dict[str, Any]:
    """The answer to the second administrator."""
    propose = Propose(new_id("chg"), new_id("chg"), desk.key_ids["admin1"], change)
    proposed = json.loads(await service.writer.submit(propose))
    confirm = Confirm(new_id("chg"), desk.key_ids["admin2"], proposed["change"])
    confirm.prepared = await service.releases.prepared(proposed["change"])
    answer: dict[str, Any] = json.loads(await service.writer.submit(confirm))
    return answer


class Load:
    """Callers that ask two services for tickets of their own, as fast as they are answered."""

    def __init__(
        self, desk: Desk, services: list[Service], *, login: str, key: str = "caller", **more: str
    ) -> None:
        """`more` is what every request says besides."""
        self.desk, self.services, self.login, self.key, self.more = desk, services, login, key, more
        self.answers: list[dict[str, Any]] = []
        self.refused = 0
        self.stopped = False

    async def _caller(self, number: int) -> None:
        while not self.stopped:
            said = body("capture", self.login, f"T-{secrets.token_hex(8)}", resource="ticket", amount="10")
            service = self.services[number % len(self.services)]
            try:
                told = await service.writer.submit(self.desk.decide(said | self.more, key=self.key))
            except Unauthenticated:
                self.refused += 1
                await asyncio.sleep(0.01)
            else:
                self.answers.append(json.loads(told))

    async def _told(self, count: int) -> None:
        """Wait until so many more were answered or refused."""
        until = len(self.answers) + self.refused + count
        async with asyncio.timeout(60):
            while len(self.answers) + self.refused < until:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def around(self, change: ChangeKind) -> dict[str, Any]:
        """Load, make the change in the middle of it, and go on for a while."""
        callers = [asyncio.create_task(self._caller(number)) for number in range(CALLERS)]
        try:
            await self._told(ENOUGH)
            answer = await confirmed(self.services[0], self.desk, change)
            await self._told(ENOUGH)
        finally:
            self.stopped = True
            await asyncio.gather(*callers)
        return answer

    def check(self, checked: Audit, change: dict[str, Any], *, after: str) -> None:
        """Permits before the entry of the change, only `after` from there on; plenty of both."""
        checked.check_answers(self.answers)
        index = change["receipt"]["index"]
        decided = [
            (number, entry) for number, entry in enumerate(checked.entries) if entry["kind"] == "decision"
        ]
        before = {entry["outcome"] for number, entry in decided if number < index}
        later = [entry["outcome"] for number, entry in decided if number > index]
        assert before == {"permit"}
        assert set(later) == {after}
        # The callers' last answers before the change may be counted as later ones.
        assert len(later) >= ENOUGH - CALLERS


async def test_a_role_is_taken_away_under_load(migrated_database_url: str, tmp_path: Path) -> None:
    """A person loses the role: no decision after that entry permits, on either of two services."""
    desk = pressure_desk(tmp_path, migrated_database_url)
    people = PEOPLE.replace("tomas.trader,hand", "tomas.trader,")
    change = DirectoryChange(
        read_directory("\n".join(people.splitlines()[:1] + _lines(people, "p-06")) + "\n")
    )
    async with running(desk) as first, running(desk) as second:
        load = Load(desk, [first, second], login="tomas.trader")
        answer = await load.around(change)
    checked = audit(desk)
    load.check(checked, answer, after="deny")
    index = answer["receipt"]["index"]
    assert {entry["directory"] for entry in checked.entries[index + 1 :]} == {index}


def _lines(people: str, person: str) -> list[str]:
    return [line for line in people.splitlines() if line.startswith(person)]


async def test_a_release_is_activated_under_load(migrated_database_url: str, tmp_path: Path) -> None:
    """Another release refers these captures to a supervisor: so does every decision after its entry."""
    desk = pressure_desk(tmp_path, migrated_database_url)
    files = dict(read_rule_files(RULES))
    files["regulatory/pre_trade/large_ones.yaml"] = LARGE_ONES_REVIEWED
    release = compile_release(files)
    async with running(desk) as first, running(desk) as second:
        load = Load(desk, [first, second], login="tomas.trader")
        answer = await load.around(await activation_of(first, release))
    checked = audit(desk)
    load.check(checked, answer, after="review")
    index = answer["receipt"]["index"]
    assert {entry["release"] for entry in checked.entries[index:]} == {release.digest}
    assert {entry["release"] for entry in checked.entries[:index]} == {checked.entries[0]["release"]}


LARGE_ONES_REVIEWED = """\
id: all.large_ones
title: {en: Large tickets are looked at, es: Se miran los grandes}
source: {law: A test, basis: policy}
severity: low
owner: compliance
on: [ticket.capture]
when: ticket.amount > 5
then: review
message: {en: A supervisor decides, es: Decide un supervisor}
examples:
  - {name: large, given: {ticket.amount: "10"}, expect: review}
  - {name: small, given: {ticket.amount: "5"}, expect: permit}
"""


async def test_a_key_is_revoked_under_load(migrated_database_url: str, tmp_path: Path) -> None:
    """After the entry that revokes it a key gets nothing decided any more; each attempt is recorded."""
    desk = pressure_desk(tmp_path, migrated_database_url)
    async with running(desk) as first, running(desk) as second:
        load = Load(desk, [first, second], login="tomas.trader", key="other")
        answer = await load.around(KeyRevocation(desk.key_ids["other"]))
    checked = audit(desk)
    checked.check_answers(load.answers)
    index = answer["receipt"]["index"]
    assert load.answers
    assert load.refused
    assert max(told["receipt"]["index"] for told in load.answers) < index
    later = [(entry["kind"], entry["code"], entry["key"]) for entry in checked.entries[index + 1 :]]
    assert set(later) == {("refusal", "key_revoked", desk.key_ids["other"])}
    assert len(later) == load.refused


async def test_an_idle_replica_hears_of_changes(
    migrated_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that nobody asks for decisions learns within moments which keys live and which do not."""
    monkeypatch.setattr(service_module, "WATCH_SECONDS", 0.1)
    desk = pressure_desk(tmp_path, migrated_database_url)
    now = time.time_ns() // 1000
    _, key = api_keys.mint(name="new", scopes=("read",), at=now, entropy=os.urandom)
    empty = Directory(index=0, people=())
    async with running(desk) as busy, running(desk) as idle:

        def revoked() -> bool:
            known = idle.state.key(desk.key_ids["other"])
            return known is not None and known.revoked_at is not None

        await confirmed(busy, desk, KeyCreation(key))
        await eventually(lambda: idle.state.key(key.id) is not None, seconds=5)
        assert not revoked()
        await confirmed(busy, desk, KeyRevocation(desk.key_ids["other"]))
        await eventually(revoked, seconds=5)
        await confirmed(busy, desk, DirectoryChange(read_directory(PEOPLE + "p-90,New One,new.one,hand\n")))
        await eventually(lambda: "new.one" in (idle.state.directory or empty).accounts, seconds=5)
