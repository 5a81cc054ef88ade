"""Changes to directory, keys and release take two administrators, and take effect on record."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controls.bootstrap import read_rule_files
from controls.model.errors import Conflict, InvalidInput, NotFound
from controls.model.values import Json
from controls.rules.release import compile_release
from controls.services.administration import ChangeKind, Confirm, Propose
from controls.services.directory_changes import DirectoryChange
from controls.services.directory_file import read_directory
from controls.services.key_changes import KeyCreation, KeyRevocation
from controls.services.keys import mint
from controls.services.service import Service
from tests.desk import DESK_PEOPLE, DESK_RULES, Desk, activation_of, ask, start_desk, submit

HEADER = "person,name,account,roles\n"
DATED = "person,name,account,roles,valid_from,valid_to\n"


@pytest.fixture
def desk(tmp_path: Path, migrated_database_url: str) -> Desk:
    return start_desk(tmp_path, database_url=migrated_database_url)


@pytest.fixture
async def service(desk: Desk) -> AsyncIterator[Service]:
    running = desk.build()
    await running.start()
    yield running
    await running.close()


async def propose(service: Service, desk: Desk, change: ChangeKind, *, key: str = "admin1") -> str:
    command = Propose(
        id=service.new_id("chg"),
        change_id=service.new_id("change"),
        key=desk.key_ids[key],
        change=change,
    )
    answer = await submit(service, command)
    assert answer["state"] == "proposed"
    return str(answer["change"])


async def confirm(service: Service, desk: Desk, change: str, *, key: str = "admin2") -> dict[str, object]:
    command = Confirm(id=service.new_id("chg"), key=desk.key_ids[key], change_id=change)
    command.prepared = await service.releases.prepared(change)
    answer: dict[str, object] = await submit(service, command)
    return answer


async def entries(service: Service) -> list[dict[str, object]]:
    found = []
    index = 0
    while True:
        try:
            found.append(dict(await service.queries.entry(index)))
        except NotFound:
            return found
        index += 1


async def last_entry(service: Service) -> dict[str, object]:
    found = (await entries(service))[-1]["entry"]
    assert isinstance(found, dict)
    return found


def people(rows: str, header: str = HEADER) -> DirectoryChange:
    return DirectoryChange(read_directory(header + rows))


async def test_a_proposed_directory_changes_nothing_until_another_administrator_confirms(
    service: Service, desk: Desk
) -> None:
    """A new trader may act only after the second administrator's confirmation."""
    change = await propose(service, desk, people("p-90,Nina Nuez,nina.trader,trader\n"))
    before = await submit(service, desk.decide(ask("capture", "nina.trader")))
    assert before["outcome"] == "deny"
    assert [finding["rule"] for finding in before["findings"]] == ["unknown_subject"]
    assert (await confirm(service, desk, change))["state"] == "confirmed"
    after = await submit(service, desk.decide(ask("capture", "nina.trader")))
    assert after["outcome"] == "permit"


async def test_nobody_confirms_an_own_change_not_even_with_another_account(
    service: Service, desk: Desk
) -> None:
    """The built-in whole chain of the administration keeps proposer and confirmer apart, on record."""
    change = await propose(service, desk, people("p-90,Nina Nuez,nina.trader,trader\n"))
    with pytest.raises(Conflict) as refused:
        await confirm(service, desk, change, key="admin1")
    assert refused.value.code == "change_refused"
    assert "whole_chain" in {error.code for error in refused.value.errors}
    entry = await last_entry(service)
    assert (entry["kind"], entry["code"], entry["change"]) == ("refusal", "change_refused", change)


async def test_a_change_is_confirmed_once(service: Service, desk: Desk) -> None:
    """A second confirmation is refused."""
    change = await propose(service, desk, people("p-90,Nina Nuez,nina.trader,trader\n"))
    await confirm(service, desk, change)
    with pytest.raises(Conflict) as refused:
        await confirm(service, desk, change)
    assert refused.value.code == "change_done"


async def test_only_administrators_change_anything(service: Service, desk: Desk) -> None:
    """A supervisor's key cannot propose, a system's key neither."""
    for key in ("supervisor1", "caller"):
        with pytest.raises(Exception) as refused:  # noqa: PT011  # two classes, told apart by code
            await propose(service, desk, people("p-90,Nina,nina.trader,trader\n"), key=key)
        assert getattr(refused.value, "code", "") in ("change_refused", "key_not_personal")


async def test_names_and_logins_stay_out_of_the_ledger(service: Service, desk: Desk) -> None:
    """Neither entries nor blobs name a person or a login; the disclosures and tables do."""
    change = await propose(service, desk, people("p-90,Nina Nuez,nina.trader,trader\n"))
    await confirm(service, desk, change)
    private_fact = {"account": {"open_exposure": "98765.43 EUR"}}
    await submit(
        service,
        desk.decide(ask("capture", "nina.trader", context=private_fact), ask("capture", "nobody.here")),
    )
    recorded = json.dumps([entry["bytes"] for entry in await entries(service)], ensure_ascii=False)
    for private in ("Nina", "nina.trader", "nobody.here", "tina.trader", "Toro", "98765.43"):
        assert private not in recorded


async def test_an_account_does_not_move_to_another_person(service: Service, desk: Desk) -> None:
    """A login that is valid for somebody cannot be given to somebody else."""
    with pytest.raises(InvalidInput) as refused:
        await propose(service, desk, people("p-90,Nina Nuez,tina.trader,trader\n"))
    assert [error.code for error in refused.value.errors] == ["account_taken"]


@pytest.mark.parametrize("begin", ["", "2020-01-01T00:00:00Z"])
async def test_an_account_ends_whatever_begin_the_file_names(
    service: Service, desk: Desk, begin: str
) -> None:
    """A file cannot know when the import was that began an account; it ends the one that is in force."""
    end = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    ended = f"p-06,Tomas Tena,tomas.trader,trader,{begin},{end}\n"
    await confirm(service, desk, await propose(service, desk, people(ended, DATED)))
    answer = await submit(service, desk.decide(ask("capture", "tomas.trader")))
    assert [finding["rule"] for finding in answer["findings"]] == ["unknown_subject"]
    again = people(f"p-06,Tomas Tena,tomas.trader,trader,{begin},\n", DATED)
    await confirm(service, desk, await propose(service, desk, again))
    answer = await submit(service, desk.decide(ask("capture", "tomas.trader")))
    assert answer["outcome"] == "permit"


async def test_an_account_that_is_to_begin_later_does_not_hold_now(service: Service, desk: Desk) -> None:
    """A begin in the future ends what is in force now; the other accounts of the person stay."""
    begin = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    rows = f"p-05,Tina Toro,tina.trader,trader,{begin},\n"
    await confirm(service, desk, await propose(service, desk, people(rows, DATED)))
    answer = await submit(service, desk.decide(ask("capture", "tina.trader")))
    assert [finding["rule"] for finding in answer["findings"]] == ["unknown_subject"]
    assert (await submit(service, desk.decide(ask("capture", "tina.bot"))))["outcome"] == "permit"


async def test_importing_the_same_file_again_changes_no_account(service: Service, desk: Desk) -> None:
    """The accounts in force go on under the references that records know them by."""
    assert service.state.directory is not None
    before = service.state.directory.accounts
    text = DESK_PEOPLE + "p-90,Zoe,zoe\u0301,trader\n"  # the last in another Unicode form than callers send
    await confirm(service, desk, await propose(service, desk, DirectoryChange(read_directory(text))))
    answer = await submit(service, desk.decide(ask("capture", "zo\u00e9")))
    assert answer["outcome"] == "permit"
    after = service.state.directory.accounts
    assert {login: after[login] for login in before} == before


async def test_unknown_and_exclusive_roles_are_refused_by_line(service: Service, desk: Desk) -> None:
    """A file that would break the release's static constraints is refused when proposed."""
    rows = "p-90,Nina,nina,astronaut\np-91,Omar,omar,trader;settlement_clerk\n"
    with pytest.raises(InvalidInput) as refused:
        await propose(service, desk, people(rows))
    found = [(error.pointer, error.code) for error in refused.value.errors]
    assert ("line 2", "unknown_role") in found


async def test_a_role_that_a_file_no_longer_lists_has_ended(service: Service, desk: Desk) -> None:
    """Taking a role away stops the person at once."""
    change = await propose(service, desk, people("p-05,Tina Toro,tina.trader,middle_office\n"))
    await confirm(service, desk, change)
    answer = await submit(service, desk.decide(ask("capture", "tina.trader")))
    assert answer["outcome"] == "deny"
    assert "no_grant" in {finding["rule"] for finding in answer["findings"]}


async def test_a_new_key_works_after_confirmation_and_dies_when_revoked(service: Service, desk: Desk) -> None:
    """Keys are given out and taken away by two administrators."""
    _, key = mint(name="new", scopes=("decide",), speaks_for="*", at=0, entropy=lambda count: b"\x07" * count)
    await confirm(service, desk, await propose(service, desk, KeyCreation(key)))
    command = desk.decide(ask("capture", "tina.trader"))
    command.key = key.id
    assert (await submit(service, command))["outcome"] == "permit"
    await confirm(service, desk, await propose(service, desk, KeyRevocation(key.id)))
    command = desk.decide(ask("capture", "tina.trader"))
    command.key = key.id
    with pytest.raises(Exception, match="revoked"):
        await service.writer.submit(command)


@pytest.mark.parametrize("role", ["administrator", "supervisor", "head_of_desk", "astronaut"])
async def test_a_provider_s_key_names_no_role_above_it(service: Service, desk: Desk, role: str) -> None:
    """Neither built in nor by inheritance can a provider's key make an administrator or a supervisor."""
    _, key = mint(name="idp", scopes=("scim",), speaks_for="*", roles=("trader", role), at=0, entropy=bytes)
    with pytest.raises(InvalidInput) as refused:
        await propose(service, desk, KeyCreation(key))
    assert [error.message for error in refused.value.errors] == [role]
    _, key = mint(
        name="idp", scopes=("scim",), speaks_for="*@b.example", roles=["trader"], at=0, entropy=bytes
    )
    await confirm(service, desk, await propose(service, desk, KeyCreation(key)))
    entry = await last_entry(service)
    assert (entry["scopes"], entry["provides"]) == (["scim"], {key.id: ["trader"]})


async def test_another_release_decides_from_its_entry_on(service: Service, desk: Desk) -> None:
    """A release that grants traders nothing takes effect with its confirmation, and entries name it."""
    files = dict(read_rule_files(DESK_RULES))
    files["roles.yaml"] = files["roles.yaml"].replace("actions: [capture", "actions: [seize")
    release = compile_release(files)
    before = await submit(service, desk.decide(ask("capture", "tina.trader")))
    change = await propose(service, desk, await activation_of(service, release))
    await confirm(service, desk, change)
    after = await submit(service, desk.decide(ask("capture", "tina.trader")))
    assert (before["outcome"], after["outcome"]) == ("permit", "deny")
    assert after["release"] == release.digest != before["release"]
    with pytest.raises(Conflict) as refused:
        await propose(service, desk, await activation_of(service, release))
    assert refused.value.code == "release_active"


async def test_a_new_limit_counts_what_was_done_before_it(service: Service, desk: Desk) -> None:
    """A release that limits captures by account finds the account's earlier ones."""
    files = dict(read_rule_files(DESK_RULES))
    name = next(file for file in files if file.startswith("duties/"))
    files[name] += "- {id: few, kind: at_most, scope: account, steps: [capture], max: 2, then: deny}\n"
    for _ in range(2):
        captured = await submit(service, desk.decide(ask("capture", "tina.trader", account="A-7")))
        assert captured["outcome"] == "permit"
    change = await propose(service, desk, await activation_of(service, compile_release(files)))
    await confirm(service, desk, change)
    third = await submit(service, desk.decide(ask("capture", "tina.bot", account="A-7")))
    assert [finding["rule"] for finding in third["findings"]] == ["few"]
    other = await submit(service, desk.decide(ask("capture", "tina.bot", account="A-8")))
    assert other["outcome"] == "permit"


def law_files(**edits: str) -> dict[str, str]:
    """The desk's rules with the threshold marked as law; `old=new` texts of that file."""
    files = dict(read_rule_files(DESK_RULES))
    name = "regulatory/pre_trade/limits.yaml"
    files[name] = files[name].replace("basis: policy", "basis: law", 1)
    for old, new in edits.items():
        assert files[name].count(old) >= 1, old
        files[name] = files[name].replace(old, new, 1)
    return files


async def put_into_force(service: Service, desk: Desk, files: dict[str, str]) -> None:
    """Propose and confirm the release that the files make."""
    change = await activation_of(service, compile_release(files))
    await confirm(service, desk, await propose(service, desk, change))


async def test_a_release_that_loosens_a_law_is_refused_and_one_compared_before_is_stale(
    service: Service, desk: Desk
) -> None:
    """Rule, parameter, old and new value are named, on record; the same change was fine before it was law."""
    loose = compile_release(law_files(**{"10000000.00": "10200000.00"}))
    early = await propose(service, desk, await activation_of(service, loose))
    await put_into_force(service, desk, law_files())
    with pytest.raises(Conflict) as stale:
        await confirm(service, desk, early)
    assert stale.value.code == "release_replaced"
    act: dict[str, Json] = {"act": "propose", "change_kind": "release"}
    for attempt in (
        activation_of(service, loose),
        service.on_record(activation_of(service, loose), key=desk.key_ids["admin1"], act=act),
    ):
        with pytest.raises(Conflict) as refused:
            await attempt
        assert refused.value.code == "law_loosened"
        told = "pre.credit_capital_threshold.threshold (basis law): 10000000 EUR -> 10200000 EUR"
        assert told in refused.value.detail
        assert [(error.code, error.message) for error in refused.value.errors] == [
            ("pre.credit_capital_threshold.threshold", told)
        ]
    entry = await last_entry(service)
    assert (entry["kind"], entry["code"]) == ("refusal", "law_loosened")


async def test_a_law_may_be_tightened_and_an_observed_rule_changed(service: Service, desk: Desk) -> None:
    """A lower threshold asks for more; a rule that is only observed changes no answer."""
    await put_into_force(service, desk, law_files())
    await put_into_force(service, desk, law_files(**{"10000000.00": "9500000.00"}))
    observed = {"severity: high": "severity: high\n  mode: observe", "10000000.00": "9000000.00"}
    await put_into_force(service, desk, law_files(**observed))
    observed["10000000.00"] = "9900000.00"
    await put_into_force(service, desk, law_files(**observed))


async def test_what_cannot_be_told_about_a_law_is_left_to_whoever_confirms(
    service: Service, desk: Desk
) -> None:
    """Nobody can tell whether another pattern asks for less: the change's summary says so."""
    pattern = {
        "threshold: {value: \"10000000.00 EUR\", type: money": "threshold: {value: \"^A\", type: string",
        "when: order.notional + account.open_exposure > threshold": "when: order.account.matches(threshold)",
        "{order.notional} on top of {account.open_exposure} passes": "{order.account} matches",
        "{order.notional} sobre {account.open_exposure} supera": "{order.account} cumple",
        "order.notional: 1000000.00 EUR, account.open_exposure: 8000000.00 EUR": "order.account: C-1",
        "order.notional: 1000000.00 EUR, account.open_exposure: 9500000.00 EUR": "order.account: A-1",
    }  # fmt: skip
    await put_into_force(service, desk, law_files(**pattern))
    other = {**pattern, next(iter(pattern)): 'threshold: {value: "^A-", type: string'}
    command = Propose(
        id=service.new_id("chg"),
        change_id=service.new_id("change"),
        key=desk.key_ids["admin1"],
        change=await activation_of(service, compile_release(law_files(**other))),
    )
    answer = await submit(service, command)
    told = "pre.credit_capital_threshold.threshold (basis law): ^A -> ^A-"
    assert answer["summary"].endswith(f"; not proved that these keep what a law asks for: {told}")
    await confirm(service, desk, command.change_id)  # the stored proposal says the same again
