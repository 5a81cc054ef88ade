"""`controls directory | keys | changes | release`: two administrators, beside a service that is running."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from controls.cli.output import Exit
from controls.store.people import PersonRecord
from tests.desk import DESK_RULES, Desk, an_order, ask, run_apart, start_desk, submit

from .commands import Running, controls, serving, verify, well
from .conftest import acting

HEADER = "person,name,account,roles\n"
NINA = HEADER + "p-90,Nina Núñez,nina.trader,trader\n"


def written(folder: Path, text: str, name: str = "people.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def proposed(desk: Desk, *arguments: str | Path, key: str = "admin1") -> dict[str, Any]:
    """What the first administrator is told."""
    told: dict[str, Any] = well(*arguments, "--json", env=acting(desk, key)).json()
    assert told["state"] == "proposed"
    return told


def confirmed(desk: Desk, change: str, *, key: str = "admin2") -> dict[str, Any]:
    """What the second administrator is told."""
    told: dict[str, Any] = well("changes", "confirm", change, "--json", env=acting(desk, key)).json()
    assert told["state"] == "confirmed"
    return told


# -- beside a running service ------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def beside(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beside]:
    """A desk with a service on it; the tests of this module share it and name people of their own."""
    folder = tmp_path_factory.mktemp("beside")
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")
        for part in template.parent.iterdir():
            shutil.copy(part, folder / part.name)
        desk = start_desk(folder, database_url=f"sqlite+aiosqlite:///{folder / template.name}")
        with serving(desk.environment(), folder) as service, httpx2.Client(timeout=30) as http:
            yield Beside(desk, service, http)
        return
    server = request.getfixturevalue("postgres_server")
    name = server.create_database(template=request.getfixturevalue("postgres_template"))
    try:
        desk = start_desk(folder, database_url=server.url(name))
        with serving(desk.environment(), folder) as service, httpx2.Client(timeout=30) as http:
            yield Beside(desk, service, http)
    finally:
        server.drop_database(name)


class Beside:
    """A desk and the service that runs on it."""

    def __init__(self, desk: Desk, service: Running, http: httpx2.Client) -> None:
        self.desk, self.url, self.http = desk, service.url, http

    def answer(self, said: dict[str, Any], token: str = "") -> httpx2.Response:
        """The running service's answer, to the desk's caller or to whoever shows `token`."""
        headers = self.desk.headers()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return self.http.post(f"{self.url}/v1/decisions", json=said, headers=headers)

    def read(self, token: str) -> int:
        """The status of a read, which goes through no transaction."""
        return self.http.get(
            f"{self.url}/v1/reviews", headers={"Authorization": f"Bearer {token}"}
        ).status_code

    def outcome(self, login: str, action: str = "capture") -> str:
        return str(self.answer(ask(action, login)).json()["outcome"])


def test_a_new_key_is_the_first_thing_that_an_idle_service_hears_of(beside: Beside) -> None:
    """Confirmed is confirmed, whether or not somebody else happened to ask in between."""
    told = proposed(beside.desk, "keys", "create", "idle", "--scope", "decide", "--speaks-for", "*")
    confirmed(beside.desk, told["change"])
    assert beside.answer(ask("capture", "tina.trader"), told["key"]).status_code == 200


def test_a_revoked_key_reads_nothing_from_an_idle_service(beside: Beside) -> None:
    """Revoked is revoked, for reads as for decisions."""
    reader = beside.desk.keys["reader"]
    assert beside.read(reader) == 200
    confirmed(beside.desk, proposed(beside.desk, "keys", "revoke", beside.desk.key_ids["reader"])["change"])
    assert beside.read(reader) == 401


def test_an_imported_person_acts_as_soon_as_the_second_administrator_confirmed(
    beside: Beside, tmp_path: Path
) -> None:
    """Proposed: the running service still denies. Confirmed: the next request is permitted."""
    desk = beside.desk
    told = proposed(desk, "directory", "import", written(tmp_path, NINA))
    assert told["summary"] == "1 persons with 1 accounts"
    assert beside.outcome("nina.trader") == "deny"
    listed = well("changes", "list", "--json", env=acting(desk)).json()
    assert [(item["change"], item["proposed_by"]) for item in listed] == [(told["change"], "p-01")]
    words = well("changes", "list", env=acting(desk, "admin2"))
    assert words.out == f"{told['change']}  p-01  1 persons with 1 accounts\n"
    done = confirmed(desk, told["change"])
    answer = beside.answer(ask("capture", "nina.trader")).json()
    assert answer["outcome"] == "permit"
    assert answer["receipt"]["index"] == done["receipt"]["index"] + 1
    assert well("changes", "list", "--json", env=acting(desk)).json() == []
    assert "Nothing waits." in well("changes", "list", env=acting(desk)).err


def test_a_person_whose_role_was_taken_away_is_denied_at_once(beside: Beside, tmp_path: Path) -> None:
    """The running service does not go by what it knew."""
    desk = beside.desk
    assert beside.outcome("tomas.trader") == "permit"
    people = HEADER + "p-06,Tomas Tena,tomas.trader,middle_office\n"
    confirmed(desk, proposed(desk, "directory", "import", written(tmp_path, people))["change"])
    assert beside.outcome("tomas.trader") == "deny"


def test_a_new_key_works_and_a_revoked_one_no_more(beside: Beside) -> None:
    """The key's text is shown once; the running service takes it from the confirmation to the revocation."""
    desk = beside.desk
    made = ("keys", "create", "second", "--scope", "decide", "--scope", "read", "--speaks-for", "tina.*")
    told = proposed(desk, *made, "--action", "order.capture")
    text, key = told["key"], told["id"]
    assert text.startswith(f"ck_{key}_")
    assert beside.answer(ask("capture", "tina.trader"), text).status_code == 401
    confirmed(desk, told["change"])
    assert beside.read(text) == 200
    assert beside.answer(ask("capture", "tina.trader"), text).status_code == 200
    assert beside.answer(ask("capture", "rita.risk"), text).status_code == 403
    assert beside.answer(ask("execute", "tina.trader"), text).status_code == 403
    rows = {row["id"]: row for row in well("keys", "list", "--json", env=acting(desk)).json()}
    assert (rows[key]["name"], rows[key]["scopes"]) == ("second", ["decide", "read"])
    assert (rows[key]["actions"], rows[key]["speaks_for"]) == (["order.capture"], "tina.*")
    assert rows[key]["revoked_at"] is None
    confirmed(desk, proposed(desk, "keys", "revoke", key)["change"])
    refused = beside.answer(ask("capture", "tina.trader"), text)
    assert (refused.status_code, refused.json()["code"]) == (401, "key_revoked")
    assert beside.read(text) == 401
    rows = {row["id"]: row for row in well("keys", "list", "--json", env=acting(desk)).json()}
    assert rows[key]["revoked_at"]


def test_an_activated_release_decides_at_once(beside: Beside, tmp_path: Path) -> None:
    """Proposed, it changes nothing; confirmed, the running service names it in its next answer."""
    desk = beside.desk
    assert beside.outcome("tina.trader") == "permit"
    rules = shutil.copytree(DESK_RULES, tmp_path / "rules")
    roles = (rules / "roles.yaml").read_text(encoding="utf-8")
    (rules / "roles.yaml").write_text(
        roles.replace("actions: [capture, execute]", "actions: [execute]"), encoding="utf-8"
    )
    told = proposed(desk, "release", "activate", rules)
    assert beside.outcome("tina.trader") == "permit"
    confirmed(desk, told["change"])
    digest = well("rules", "check", rules, "--json").json()["release"]
    answer = beside.answer(ask("capture", "tina.trader")).json()
    assert (answer["outcome"], answer["release"]) == ("deny", digest)
    again = controls("release", "activate", rules, "--json", env=acting(desk))
    assert (again.code, again.json()["code"]) == (Exit.FAILURE, "release_active")
    first = well("rules", "check", DESK_RULES, "--json").json()["release"]
    confirmed(desk, proposed(desk, "release", "rollback", first)["change"])
    assert beside.outcome("tina.trader") == "permit"
    listed = well("release", "list", "--json", env=acting(desk)).json()
    assert [(item["release"], item["state"]) for item in listed] == [
        (first, "active"),
        (digest, "past"),
        (first, "active"),
    ]
    assert (listed[0]["proposed_by"], listed[0]["confirmed_by"]) == ("p-01", "p-02")
    words = well("release", "list", "--limit", "1", env=acting(desk))
    assert first in words.out
    assert digest not in words.out
    unknown = controls("release", "rollback", "sha256:" + "0" * 64, "--json", env=acting(desk))
    assert (unknown.code, unknown.json()["code"]) == (Exit.FAILURE, "release_unknown")


def test_commands_and_callers_do_not_disturb_each_other(beside: Beside, tmp_path: Path) -> None:
    """Callers ask without pause while changes are made: every answer is 200, and the ledger is whole."""
    desk = beside.desk
    stop = False

    def caller() -> Counter[int]:
        found: Counter[int] = Counter()
        while not stop:
            found[beside.answer(ask("capture", "tina.bot", an_order())).status_code] += 1
        return found

    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(caller) for _ in range(4)]
        try:
            for number in range(2):
                people = HEADER + f"p-8{number},Person {number},person.{number},trader\n"
                confirmed(desk, proposed(desk, "directory", "import", written(tmp_path, people))["change"])
        finally:
            stop = True
    counted = sum((item.result() for item in asked), Counter[int]())
    assert set(counted) == {200}
    export = tmp_path / "ledger.jsonl"
    well("ledger", "export", "--output", export, env=desk.environment())
    checked = verify(export, desk.vkey, "--checkpoint", desk.settings.checkpoint_file)
    assert checked.code == 0, checked
    lines = [json.loads(line) for line in export.read_text().splitlines()]
    decided = [line for line in lines if line.get("columns", {}).get("kind") == "decision"]
    assert len(decided) >= counted[200]
    # Names and logins are in disclosures, which can be erased; what cannot be erased does not hold them.
    for_ever = [line["bytes"] for line in lines if line["type"] == "entry"]
    for_ever += [line["data"] for line in lines if line["type"] == "blob"]
    for private in ("Nina", "nina.trader", "Tomas", "Person 1", "person.1", *desk.keys.values()):
        assert not any(private in text for text in for_ever), private


# -- who may, and what is refused --------------------------------------------------------------------------


def test_nobody_confirms_an_own_change(desk: Desk, tmp_path: Path) -> None:
    """In words: exit code 1, and why; the change still waits for somebody else."""
    told = well("directory", "import", written(tmp_path, NINA), env=acting(desk))
    change = re.match(r"(change_\w+): proposed: 1 persons with 1 accounts\n", told.out)
    assert change
    assert f"controls changes confirm {change[1]}" in told.err
    own = controls("changes", "confirm", change[1], env=acting(desk))
    assert (own.code, own.out) == (Exit.FAILURE, "")
    assert "This person may not confirm this change" in own.err
    assert "confirmed by another one" in own.err
    done = well("changes", "confirm", change[1], env=acting(desk, "admin2"))
    assert done.out == f"{change[1]}: confirmed: 1 persons with 1 accounts\n"
    again = controls("changes", "confirm", change[1], "--json", env=acting(desk, "admin2"))
    assert (again.code, again.json()["code"]) == (Exit.FAILURE, "change_done")


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("", "key_missing"),
        ("nonsense", "key_invalid"),
        ("ck_0000000000000000_" + "A" * 43, "key_invalid"),
        ("supervisor1", "scope_missing"),
        ("caller", "scope_missing"),
    ],
)
def test_it_takes_an_administrators_key(desk: Desk, tmp_path: Path, key: str, code: str) -> None:
    """No key, no such key, a key of somebody else: exit code 1 for every command, and nothing is proposed."""
    env = desk.environment() | {"CONTROLS_KEY": desk.keys.get(key, key)}
    people = written(tmp_path, NINA)
    for arguments in (
        ("directory", "import", str(people)),
        ("keys", "create", "new", "--scope", "read"),
        ("keys", "revoke", desk.key_ids["reader"]),
        ("keys", "list"),
        ("changes", "list"),
        ("changes", "confirm", "change_1"),
        ("release", "activate", str(DESK_RULES)),
    ):
        said = controls(*arguments, "--json", env=env)
        assert (said.code, said.json()["code"]) == (Exit.FAILURE, code), arguments
        assert "ck_" not in said.json().get("key", "")
    assert well("ledger", "checkpoint", "--json", env=desk.environment()).json()["entries"] == 1


def test_a_secret_given_with_key_is_the_same_as_the_variable(desk: Desk) -> None:
    """`--key` goes before CONTROLS_KEY."""
    env = acting(desk, "caller")
    assert controls("keys", "list", env=env).code == Exit.FAILURE
    assert well("keys", "list", "--key", desk.keys["admin1"], env=env)


def test_keys_are_listed_without_a_secret(desk: Desk) -> None:
    """Every key of the ledger with its name and state, in a table; nothing of what it is made of."""
    said = well("keys", "list", env=acting(desk))
    rows = {line.split()[1]: line for line in said.out.splitlines()[1:]}
    assert set(rows) == set(desk.keys)
    for name, text in desk.keys.items():
        assert desk.key_ids[name] in rows[name]
        assert rows[name].split()[-1] == "live"
        assert text.split("_", 2)[2] not in said.out
    told = well("keys", "list", "--json", env=acting(desk))
    assert {item["id"] for item in told.json()} == set(desk.key_ids.values())
    assert "mac" not in told.out


def test_a_key_in_words_is_shown_on_stdout_once(desk: Desk) -> None:
    """The change on the first line, the key on the second; the next list does not know its text."""
    said = well("keys", "create", "oms", "--scope", "decide", "--speaks-for", "*", env=acting(desk))
    change, key = said.out.splitlines()
    assert "proposed: key oms (" in change
    text = key.removeprefix("The key, shown only now: ")
    assert re.fullmatch(r"ck_[0-9a-f]{16}_\S{43}", text)
    assert text not in well("changes", "list", env=acting(desk)).out


@pytest.mark.parametrize(
    ("arguments", "exit", "code"),
    [
        (("keys", "create", "x", "--scope", "everything"), Exit.USAGE, "scope_unknown"),
        (("keys", "create", "x", "--scope", "review"), Exit.USAGE, "account_required"),
        (
            ("keys", "create", "x", "--scope", "review", "--account", "no.body"),
            Exit.FAILURE,
            "account_unknown",
        ),
        (("keys", "revoke", "0123456789abcdef"), Exit.FAILURE, "key_unknown"),
        (("changes", "confirm", "change_unknown"), Exit.FAILURE, "change_unknown"),
        (("release", "activate", "nowhere"), Exit.USAGE, "rules_missing"),
        (("directory", "import", "nowhere.csv"), Exit.USAGE, "file_unreadable"),
    ],
)
def test_what_cannot_be_is_told(desk: Desk, arguments: tuple[str, ...], exit: int, code: str) -> None:
    """Each mistake has its code, says what to do, and shows no key."""
    said = controls(*arguments, "--json", env=acting(desk))
    assert (said.code, said.json()["code"]) == (exit, code)
    assert said.json()["help"]
    words = controls(*arguments, env=acting(desk))
    assert (words.code, words.out) == (exit, "")


def test_a_file_with_mistakes_is_refused_line_by_line(desk: Desk, tmp_path: Path) -> None:
    """Mistakes of the file and against the present directory, each with its line; nothing is proposed."""
    wrong = HEADER + "p-90,Nina,nina.trader,trader,extra\np-91,Omar Ortiz,,trader\n"
    said = controls("directory", "import", written(tmp_path, wrong), "--json", env=acting(desk))
    assert (said.code, said.json()["code"]) == (Exit.USAGE, "directory_invalid")
    assert [item["pointer"] for item in said.json()["errors"]] == ["line 2", "line 3"]
    against = HEADER + "p-90,Nina,tina.trader,trader\np-91,Omar,omar,astronaut\n"
    said = controls("directory", "import", written(tmp_path, against), env=acting(desk))
    assert said.code == Exit.USAGE
    assert "line 2: account_taken: " in said.err
    assert "line 3: unknown_role: " in said.err
    assert well("changes", "list", "--json", env=acting(desk)).json() == []


@pytest.mark.parametrize("content", [b"\xff\xfe\x00p", b"person,name\x00,account,roles\n", b""])
def test_a_file_that_is_no_csv_is_refused(desk: Desk, tmp_path: Path, content: bytes) -> None:
    """Never a traceback."""
    path = tmp_path / "people.csv"
    path.write_bytes(content)
    said = controls("directory", "import", path, env=acting(desk))
    assert (said.code, said.out) == (Exit.USAGE, "")
    assert said.err


def test_a_file_from_a_spreadsheet_is_read(desk: Desk, tmp_path: Path) -> None:
    """A byte order mark and Windows line ends are no mistakes."""
    path = tmp_path / "people.csv"
    path.write_bytes(b"\xef\xbb\xbf" + NINA.replace("\n", "\r\n").encode())
    assert proposed(desk, "directory", "import", path)["summary"] == "1 persons with 1 accounts"


def test_a_release_that_does_not_load_or_fails_its_examples_is_not_proposed(
    desk: Desk, tmp_path: Path
) -> None:
    """Exit codes 5 and 6, as for `rules check`."""
    rules = shutil.copytree(DESK_RULES, tmp_path / "rules")
    limits = rules / "regulatory" / "pre_trade" / "limits.yaml"
    good = limits.read_text(encoding="utf-8")
    limits.write_text(good.replace('"10000000.00 EUR"', '"99000000000.00 EUR"'), encoding="utf-8")
    said = controls("release", "activate", rules, env=acting(desk))
    assert said.code == Exit.TESTS_FAILED
    assert "pre.credit_capital_threshold" in said.err
    limits.write_text(good.replace("order.notional", "order.nothing"), encoding="utf-8")
    said = controls("release", "activate", rules, env=acting(desk))
    assert said.code == Exit.RULES_INVALID
    assert "regulatory/pre_trade/limits.yaml:" in said.err
    assert well("changes", "list", "--json", env=acting(desk)).json() == []


def test_a_provider_s_key_is_proposed_with_its_reach(desk: Desk) -> None:
    """What the second administrator reads says which users the provider keeps and which roles it gives."""
    made = ("keys", "create", "idp", "--scope", "scim", "--speaks-for", "*@bank.example")
    told = proposed(desk, *made, "--role", "trader", "--role", "reconciler")
    assert told["summary"].startswith(
        f"key idp ({told['id']}), for an identity provider that keeps *@bank.example"
    )
    assert "gives reconciler, trader, scopes scim" in told["summary"]
    said = controls(*made, "--role", "supervisor", "--json", env=acting(desk))
    assert (said.code, said.json()["code"]) == (Exit.USAGE, "role_not_providable")
    said = controls(
        "keys", "create", "idp", "--scope", "scim", "--role", "trader", "--json", env=acting(desk)
    )
    assert (said.code, said.json()["code"]) == (Exit.USAGE, "provider_key")


def test_two_persons_are_merged_by_two_administrators(desk: Desk) -> None:
    """Proposed and confirmed from the command line; who is unknown is refused."""
    told = proposed(desk, "directory", "merge", "p-06", "p-05")
    assert told["summary"] == "p-06 is the same person as p-05, who stays"
    confirmed(desk, told["change"])
    said = controls("directory", "merge", "p-06", "p-05", "--json", env=acting(desk))
    assert (said.code, said.json()["errors"][0]["code"]) == (Exit.USAGE, "person_merged")


def test_the_report_of_exceptions(desk: Desk) -> None:
    """Nothing at first; then who acted for whom, as a table and as JSON."""
    said = well("duties", "exceptions", env=desk.environment())
    assert (said.out, "Nobody has used an exception" in said.err) == ("", True)
    until = (datetime.now(UTC) + timedelta(days=2)).isoformat(timespec="seconds")
    about = ("--chain", "order_to_settlement", "--reason", "on holiday", "--until", until)
    told = proposed(desk, "directory", "delegate", "p-05", "p-06", "--steps", "capture", *about)
    confirmed(desk, told["change"])
    order = an_order()

    async def act() -> None:
        service = desk.build()
        await service.start()
        try:
            command = desk.decide(ask("capture", "tomas.trader", order, on_behalf_of="tina.trader"))
            assert (await submit(service, command))["outcome"] == "permit"
        finally:
            await service.close()

    run_apart(act)
    (row,) = well("duties", "exceptions", "--json", env=desk.environment()).json()["exceptions"]
    assert (row["kind"], row["person"], row["on_behalf_of"], row["step"]) == (
        "delegation",
        "p-06",
        "p-05",
        "capture",
    )
    shown = well("duties", "exceptions", env=desk.environment()).out
    assert "acted for" in shown
    assert "p-06 for p-05" in shown


async def _of(desk: Desk, person: str) -> PersonRecord:
    """A person as the directory has him or her."""
    service = desk.build()
    await service.start()
    try:
        _, directory = await service.snapshot()
        return directory.people[person]
    finally:
        await service.close()


def test_a_delegation_is_made_and_revoked_by_two_administrators(desk: Desk) -> None:
    """From the command line; what is wrong with it is named, and a time needs its zone."""
    until = (datetime.now(UTC) + timedelta(days=2)).isoformat(timespec="seconds")
    about = ("--chain", "order_to_settlement", "--reason", "on holiday", "--until", until)
    told = proposed(desk, "directory", "delegate", "p-05", "p-06", "--steps", "capture, execute", *about)
    assert told["summary"].startswith("p-06 takes capture, execute (order_to_settlement) for p-05 until 20")
    confirmed(desk, told["change"])
    said = controls(
        "directory", "delegate", "p-05", "p-07", "--steps", "capture", *about, "--json", env=acting(desk)
    )
    assert (said.code, said.json()["errors"][0]["code"]) == (Exit.USAGE, "separate")
    wrong = (*about[:-1], "tomorrow")
    said = controls("directory", "delegate", "p-05", "p-06", "--steps", "capture", *wrong, env=acting(desk))
    assert said.code == Exit.USAGE
    assert "--until" in said.err

    delegation = run_apart(lambda: _of(desk, "p-05")).delegations[0].id
    told = proposed(desk, "directory", "undelegate", delegation)
    assert told["summary"] == "p-06 takes capture, execute (order_to_settlement) for p-05 no longer"
    confirmed(desk, told["change"])
    said = controls("directory", "undelegate", delegation, "--json", env=acting(desk))
    assert (said.code, said.json()["code"]) == (Exit.FAILURE, "delegation_over")


def test_a_conflict_is_accepted_and_no_longer_by_two_administrators(desk: Desk) -> None:
    """From the command line; what is wrong with it is named, and what is done instead stays unsaid."""
    until = (datetime.now(UTC) + timedelta(days=30)).isoformat(timespec="seconds")
    about = ("--owner", "p-14", "--control", "every one is read", "--evidence", "the log", "--until", until)
    told = proposed(desk, "directory", "mitigate", "p-05", "front_back", *about)
    assert told["summary"].startswith("p-14 accepts that p-05 is in conflict with front_back until 20")
    assert "every one is read" not in str(told)
    confirmed(desk, told["change"])
    (given,) = run_apart(lambda: _of(desk, "p-05")).mitigations
    assert (given.constraint, given.owner, given.control, given.evidence) == (
        "front_back",
        "p-14",
        "every one is read",
        "the log",
    )
    said = controls("directory", "mitigate", "p-05", "maker_checker", *about, "--json", env=acting(desk))
    assert (said.code, said.json()["errors"][0]["code"]) == (Exit.USAGE, "not_mitigable")
    wrong = (*about[:-1], "next week")
    said = controls("directory", "mitigate", "p-05", "front_back", *wrong, env=acting(desk))
    assert said.code == Exit.USAGE
    assert "--until" in said.err

    told = proposed(desk, "directory", "unmitigate", given.id)
    assert told["summary"] == "p-05's conflict with front_back is accepted no longer"
    confirmed(desk, told["change"])
    said = controls("directory", "unmitigate", given.id, "--json", env=acting(desk))
    assert (said.code, said.json()["code"]) == (Exit.FAILURE, "mitigation_over")


# -- what a file would change, and who is away -------------------------------------------------------------

FULL = "person,name,account,kind,roles,desk\n"


def test_a_dry_run_shows_what_would_change_and_proposes_nothing(desk: Desk, tmp_path: Path) -> None:
    """Person by person: what begins, ends and changes; the same in JSON."""
    people = written(
        tmp_path,
        FULL
        + "p-90,Nina Núñez,nina.trader,,trader,rates\n"
        + "p-05,Tina Toro,tina.trader,,middle_office,credit\n"
        + "p-05,Tina Toro,tina.bot,bot,middle_office,\n"
        + "p-06,Tomas Tena,tomas.trader,,trader,\n",
    )
    said = well("directory", "import", people, "--dry-run", env=acting(desk))
    assert said.out == (
        "p-90 (Nina Núñez): new\n"
        "  + account nina.trader\n"
        "  + role trader\n"
        "  + desk rates\n"
        "p-05 (Tina Toro): changed\n"
        "  + account tina.bot (bot)\n"
        "  + role middle_office\n"
        "  + desk credit\n"
        f"  - account tina.bot until {ending(said.out, 'account tina.bot until')}\n"
        f"  - role trader until {ending(said.out, 'role trader until')}\n"
    )
    assert said.err == "1 new persons, 1 changed, 6 records added, 2 records ended.\n"
    told = well("directory", "import", people, "--dry-run", "--json", env=acting(desk)).json()
    assert [(one["person"], one["change"]) for one in told["differences"]] == [
        ("p-90", "added"),
        ("p-05", "changed"),
    ]
    assert well("changes", "list", "--json", env=acting(desk)).json() == []


def ending(text: str, after: str) -> str:
    """The moment that a line names, which is the one of the command."""
    return text.split(after)[1].split(maxsplit=1)[0]


def test_a_dry_run_names_conflicts_as_a_proposal_would(desk: Desk, tmp_path: Path) -> None:
    """Exit code 2 and every conflict by line, and no difference."""
    people = written(tmp_path, HEADER + "p-05,Tina Toro,tina.trader,trader;reconciler\n")
    said = controls("directory", "import", people, "--dry-run", env=acting(desk))
    assert (said.code, said.out) == (Exit.USAGE, "")
    assert "line 2: exclusive_roles: p-05 would hold reconciler and trader" in said.err


def test_absences_are_proposed_compared_and_shown_to_whoever_confirms(desk: Desk, tmp_path: Path) -> None:
    """`changes show` tells the second administrator what it is that is to be confirmed."""
    rows = "p-05,2199-08-01T00:00:00Z,2199-08-21T00:00:00Z\n"
    away = written(tmp_path, "person,absent_from,absent_to\n" + rows, "away.csv")
    words = (
        "p-05 (Tina Toro): changed\n"
        "  + away from 2199-08-01T00:00:00.000000Z until 2199-08-21T00:00:00.000000Z\n"
    )
    assert well("directory", "absences", away, "--dry-run", env=acting(desk)).out == words
    told = proposed(desk, "directory", "absences", away)
    assert told["summary"] == "1 persons with 0 accounts and 1 absences"
    shown = well("changes", "show", told["change"], env=acting(desk, "admin2"))
    assert shown.out.startswith(f"{told['change']}: proposed: 1 persons")
    assert shown.out.endswith(words)
    confirmed(desk, told["change"])
    shown = well("changes", "show", told["change"], env=acting(desk, "admin2"))
    assert "confirmed" in shown.out
    assert words not in shown.out
    again = well("directory", "absences", away, "--dry-run", env=acting(desk))
    assert (again.out, again.err) == ("", "nothing changes.\n")
