"""Changes that an older version of the service stored: whoever holds one is told what to do, and can."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from controls.bootstrap import read_rule_files
from controls.model.errors import Conflict
from controls.rules.release import compile_release
from controls.services.administration import read_change
from controls.services.service import Service
from tests.desk import DESK_RULES, Desk, activation_of, ask, start_desk, submit
from tests.services.test_administration import confirm, last_entry, people, propose

# What the changes of each kind have had stored since a migration; without it they are as before that.
SINCE = {"directory": ("attributes", "absences", "renamed"), "release": ("trails", "against", "about_law")}


@pytest.fixture
def desk(tmp_path: Path, migrated_database_url: str) -> Desk:
    return start_desk(tmp_path, database_url=migrated_database_url)


@pytest.fixture
async def service(desk: Desk) -> AsyncIterator[Service]:
    running = desk.build()
    await running.start()
    yield running
    await running.close()


async def as_before(service: Service, change: str, names: tuple[str, ...]) -> None:
    """Store a proposed change as a version did that did not know these names."""

    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: without(item) for name, item in value.items() if name not in names}
        return [without(item) for item in value] if isinstance(value, list) else value

    place = {"change": change}
    async with service.database.write() as connection:
        found = await connection.execute(text("SELECT payload FROM changes WHERE id = :change"), place)
        payload = json.dumps(without(json.loads(found.scalar_one())))
        stored = text("UPDATE changes SET payload = :payload WHERE id = :change")
        await connection.execute(stored, place | {"payload": payload})


async def test_an_old_change_of_the_directory_is_proposed_anew(service: Service, desk: Desk) -> None:
    """Confirming it is refused with what to do, on record; it is still listed and shown; the same change
    proposed anew is confirmed."""
    wanted = people("p-90,Nina Nuez,nina.trader,trader\n")
    change = await propose(service, desk, wanted)
    await as_before(service, change, SINCE["directory"])
    with pytest.raises(Conflict) as refused:
        await confirm(service, desk, change)
    assert refused.value.code == "change_outdated"
    assert "Propose it anew" in refused.value.help
    assert refused.value.detail == "What is stored of it lacks absences, which this version needs."
    entry = await last_entry(service)
    assert (entry["kind"], entry["code"], entry["change"]) == ("refusal", "change_outdated", change)
    _, directory = await service.snapshot()
    told = await service.changes.change(change, directory=directory, at=service.now())
    assert "Propose it anew" in str(told["outdated"])
    assert "effect" not in told
    assert (await confirm(service, desk, await propose(service, desk, wanted)))["state"] == "confirmed"
    answer = await submit(service, desk.decide(ask("capture", "nina.trader")))
    assert answer["outcome"] == "permit"


async def test_an_old_change_of_release_is_proposed_anew(service: Service, desk: Desk) -> None:
    """The same for releases, which are built ahead in the background: that goes on, too."""
    files = read_rule_files(DESK_RULES)
    files["roles.yaml"] += "\n# another release\n"
    release = compile_release({**files, "duties/more.yaml": MORE})
    change = await propose(service, desk, await activation_of(service, release))
    await as_before(service, change, SINCE["release"])
    with pytest.raises(Conflict) as refused:
        await confirm(service, desk, change)
    assert refused.value.code == "change_outdated"
    await service.releases.build_proposed()
    told: Any = await service.changes.release(release.digest)
    assert "duties/more.yaml" in told["files"]
    anew = await propose(service, desk, await activation_of(service, release))
    assert (await confirm(service, desk, anew))["state"] == "confirmed"


MORE = "- {id: more, kind: separate, steps: [approve, settle], then: review}\n"


@pytest.mark.parametrize("payload", ["{}", "[]", "null", '{"people": 7}', '{"people": [{"id": 1}]}', "{"])
def test_whatever_is_stored_is_no_defect(payload: str) -> None:
    """Nothing in the place of a change raises anything else."""
    with pytest.raises(Conflict):
        read_change("directory", payload)
