"""What an identity provider changes: under the lock, one at a time, and as if all had been read anew."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controls.model.errors import ControlsError
from controls.services.administration import Confirm, Propose
from controls.services.directory_changes import DirectoryChange
from controls.services.directory_plans import PersonPlan, open_roles
from controls.services.provisioned_groups import ChangeGroup, CreateGroup, DeleteGroup
from controls.services.provisioned_users import ChangeUser, CreateUser, DeleteUser
from controls.services.provisioning import Act, Provision
from controls.services.scim_messages import GroupWanted, UserWanted
from controls.services.service import Service
from controls.store.directory import Directory, load_directory
from controls.store.listings import in_force
from tests.desk import Desk, ask, start_desk, submit
from tests.services.test_person_merge import merged

LOGINS = [f"user.{number}@bank.example" for number in range(4)]
ROLES = ("trader", "risk_officer", "reconciler")


@pytest.fixture
def desk(tmp_path: Path, migrated_database_url: str) -> Desk:
    return start_desk(tmp_path, database_url=migrated_database_url)


@pytest.fixture
async def service(desk: Desk) -> AsyncIterator[Service]:
    running = desk.build()
    await running.start()
    yield running
    await running.close()


async def provide(service: Service, desk: Desk, act: Act) -> Any:
    """What a provider is answered; None where the answer has no body."""
    command = Provision(service.new_id("prv"), desk.key_ids["provider"], act, "https://c.example/scim/v2")
    told = await service.writer.submit(command)
    return json.loads(told) if told else None


async def read_anew(service: Service) -> Directory:
    """The directory as a service that starts now would read it, compared with all of the ledger."""
    async with service.database.read() as connection:
        _, index, _ = await in_force(connection, service.tenant)
        return await load_directory(connection, service.tenant, index=index)


def contents(directory: Directory) -> Any:
    """All that a directory says, in a form that compares."""
    return (
        directory.index,
        {person: set(record.records()) for person, record in directory.people.items()},
        {person: record.name for person, record in directory.people.items()},
        directory.provisioned,
        {login: set(records) for login, records in directory.accounts.items()},
    )


def an_act(draw: random.Random, users: list[str]) -> Act:
    """Something that a provider might ask for."""
    user = draw.choice([*users, "acc_404"])
    login, role = draw.choice(LOGINS), draw.choice(ROLES)
    new = UserWanted(login, draw.choice(("", "x-1", "x-2")), "N", draw.random() < 0.8, "Sales", "")
    manager = draw.choice([None, "", user])
    return draw.choice(
        (
            CreateUser(new),
            ChangeUser(user, UserWanted(active=draw.random() < 0.5)),
            ChangeUser(user, UserWanted(login=login, department=draw.choice(("", "Risk")), manager=manager)),
            DeleteUser(user),
            CreateGroup(GroupWanted(role, "g", frozenset({user}))),
            ChangeGroup(role, GroupWanted(added=frozenset({user})), patches=True),
            ChangeGroup(role, GroupWanted(removed=frozenset({user})), patches=True),
            ChangeGroup(role, GroupWanted(role, None, frozenset({user})), patches=False),
            DeleteGroup(role),
        )
    )  # fmt: skip


async def test_a_provider_s_changes_add_up_to_what_is_on_record(service: Service, desk: Desk) -> None:
    """After any acts, done or refused, what the service goes by is what the tables and the ledger hold."""
    draw, users, done = random.Random(7), list[str](), 0
    for _ in range(80):
        act = an_act(draw, users)
        (told,) = await asyncio.gather(provide(service, desk, act), return_exceptions=True)
        if isinstance(told, BaseException):
            assert isinstance(told, ControlsError)
            assert told.code != "internal_error", told.detail
            continue
        done += 1
        if isinstance(act, CreateUser):
            users.append(told["id"])
        if done % 8 == 0:
            _, known = await service.snapshot()
            assert contents(known) == contents(await read_anew(service))
    assert done >= 20


async def test_two_services_see_the_same(service: Service, desk: Desk) -> None:
    """What one replica provides, another one decides by at once, and adds to what it knew."""
    other = desk.build()
    await other.start()
    try:
        nina = (await provide(service, desk, CreateUser(UserWanted("nina", "", "Nina"))))["id"]
        await provide(other, desk, CreateGroup(GroupWanted("trader", "", frozenset({nina}))))
        for asked in (service, other):
            assert (await submit(asked, desk.decide(ask("capture", "nina"))))["outcome"] == "permit"
        await provide(service, desk, ChangeUser(nina, UserWanted(active=False)))
        assert (await submit(other, desk.decide(ask("capture", "nina"))))["outcome"] == "deny"
        known, there = (await service.snapshot())[1], (await other.snapshot())[1]
        assert contents(known) == contents(there) == contents(await read_anew(other))
    finally:
        await other.close()


async def test_the_same_login_is_created_once(service: Service, desk: Desk) -> None:
    """Of many at the same time one is done; the others are told that the login is in use, on record."""
    wanted = [CreateUser(UserWanted("nina", f"x-{number}", "Nina")) for number in range(6)]
    told = await asyncio.gather(*(provide(service, desk, act) for act in wanted), return_exceptions=True)
    refused = [item for item in told if isinstance(item, ControlsError)]
    assert [item.code for item in refused] == ["scim_uniqueness"] * 5
    _, known = await service.snapshot()
    assert len(known.accounts["nina"]) == 1


async def test_a_provider_does_not_touch_roles_of_administrators_giving(service: Service, desk: Desk) -> None:
    """A role that the key does not name stays, whatever becomes of the groups and the user."""
    nina = (await provide(service, desk, CreateUser(UserWanted("nina", "", "Nina"))))["id"]
    person = (await service.snapshot())[1].references[nina].person
    change = DirectoryChange((PersonPlan(person, roles=open_roles(["middle_office"])),))
    proposed = Propose(service.new_id("chg"), service.new_id("change"), desk.key_ids["admin1"], change)
    await submit(service, proposed)
    await submit(service, Confirm(service.new_id("chg"), desk.key_ids["admin2"], proposed.change_id))
    await provide(service, desk, CreateGroup(GroupWanted("risk_officer", "", frozenset({nina}))))
    await provide(service, desk, DeleteUser(nina))
    record = (await service.snapshot())[1].people[person]
    ended = {item.role: item.valid_to is not None for item in record.roles}
    assert ended == {"middle_office": False, "risk_officer": True}
    assert all(item.valid_to is not None for item in record.accounts)


@pytest.mark.parametrize("login", ["nina.n", "nina.m"])
async def test_a_user_who_is_found_to_be_another_person_stays_the_same_user(
    login: str, service: Service, desk: Desk
) -> None:
    """So that a provider which ends the account ends it, whosever it is now, renamed or not."""
    made = await provide(service, desk, CreateUser(UserWanted("nina.n", "x-7", "Nina", active=True)))
    _, directory = await service.snapshot()
    person = directory.references[made["id"]].person
    await merged(service, desk, person, "p-06")
    for wanted in (UserWanted(login=login), UserWanted(department="Sales"), UserWanted(active=False)):
        told = await provide(service, desk, ChangeUser(made["id"], wanted))
        assert (told["id"], told["userName"], told["externalId"]) == (made["id"], login, "x-7")
    assert told["active"] is False
    answer = await submit(service, desk.decide(ask("capture", login)))
    assert [finding["rule"] for finding in answer["findings"]] == ["unknown_subject"]
    answer = await submit(service, desk.decide(ask("capture", "tomas.trader")))
    assert answer["outcome"] == "permit"
    told = await provide(service, desk, ChangeUser(made["id"], UserWanted(active=True)))
    assert (told["id"], told["active"]) == (made["id"], True)
    await provide(service, desk, DeleteUser(made["id"]))
    again = await provide(service, desk, CreateUser(UserWanted(login, "x-7", "Nina", active=True)))
    assert again["id"] == made["id"]
    _, known = await service.snapshot()
    assert contents(known) == contents(await read_anew(service))
    account = known.account(login, at=service.now())
    assert account is not None
    assert account.person.id == "p-06"


async def test_a_user_is_known_through_all_that_a_person_was_found_to_be(
    service: Service, desk: Desk
) -> None:
    """Nina is Tomas, and Tomas is Tina."""
    made = await provide(service, desk, CreateUser(UserWanted("nina.n", "x-7", "Nina", active=True)))
    _, directory = await service.snapshot()
    for person, into in ((directory.references[made["id"]].person, "p-06"), ("p-06", "p-05")):
        await merged(service, desk, person, into)
    await provide(service, desk, DeleteUser(made["id"]))
    _, known = await service.snapshot()
    assert known.account("nina.n", at=service.now()) is None
    assert known.account("tina.trader", at=service.now()) is not None
