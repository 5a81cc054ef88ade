"""`controls demo` as a program: what a newcomer sees is fixed here, row by row."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from controls.cli.demo_day import ATTEMPTS, ORDERS, STEPS, account_of
from controls.cli.output import Exit

from .commands import Running, controls, starting

DEMO = ("-m", "controls.cli.main", "demo")
# One of the demos tests the shipped rules first, as it does for a newcomer; the others go without that.
UNTESTED = (
    "from controls.cli import main, operate; from controls.rules.release import compile_release; "
    "operate.activatable = compile_release; main.main()"
)

# Order number -> who tries what on it, and the finding that stops it.
EXPECTED: dict[int, tuple[tuple[str, str, str, str], ...]] = {
    2: (("approve", "bruno.front", "deny", "no_grant"),),
    4: (("execute", "elena.risk", "deny", "no_grant"), ("settle", "ines.back", "deny", "not_yet")),
    5: (("approve", "carla.front", "deny", "capture_approve"),),
    8: (("execute", "david.front", "deny", "material_changed"),),
    10: (("capture", "zoe.unknown", "deny", "unknown_subject"),),
    12: (("approve", "elena.risk", "deny", "pre.credit_capital_threshold"),),
    14: (("approve", "farid.risk", "deny", "pre.erroneous_order"),),
    16: (("capture", "ana.front", "deny", "cap.restricted_list"),),
    18: (("capture", "bruno.front", "deny", "pre.regsho_locate_mark"),),
    20: (("allocate", "gloria.middle", "deny", "all.fair_average_price"),),
    21: (("capture", "ana.front", "deny", "cap.account_eligible"),),
    22: (("confirm", "hugo.middle", "deny", "cnf.client_notice"),),
    24: (("instruct", "jon.back", "deny", "set.ssi_change_four_eyes"),),
    26: (("settle", "ines.back", "deny", "set.amount_tolerance"),),
    28: (("reconcile", "jon.back", "deny", "no_grant"),),
    30: (("capture", "ana.front", "review", "cap.kyc_review_overdue"),),
    32: (("capture", "ana.front", "deny", "asserted_time_off"),),
    34: (),  # permitted with a flag
    36: (("execute", "bruno.bot", "review", "capture_execute_large"),),
    38: (("settle", "jon.back", "review", "same_clerk"),),
    40: (("reconcile", "kira.back", "review", "rec.unexplained_difference"),),
}

# Both languages at once, as two programs: each plays a day of ten seconds on a slow core.


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Running]]:
    """`demo --once`, and `demo --language es` that stays up."""
    with ExitStack() as stack:
        found = []
        for name, arguments in (
            ("once", (*DEMO, "--once")),
            ("stays", ("-c", UNTESTED, "demo", "--language", "es")),
        ):
            folder = tmp_path_factory.mktemp(name)
            env = {"TMPDIR": str(folder), "CONTROLS_DATABASE_URL": "sqlite+aiosqlite:///never.db"}
            found.append(stack.enter_context(starting(*arguments, env=env, folder=folder, name=name)))
        once, stays = found
        stays.until("Ctrl-C ends it")
        assert once.process.wait(60) == 0
        yield once, stays


def rows_of(text: str) -> list[tuple[str, ...]]:
    """The rows of the table, each cell without its line breaks."""
    rows: list[list[str]] = []
    for line in text.splitlines():
        if not line.startswith("│"):
            continue
        cells = [cell.strip() for cell in line.strip("│").split("│")]
        if cells[0]:
            rows.append(cells)
        else:
            rows[-1] = [f"{held} {more}".strip() for held, more in zip(rows[-1], cells, strict=True)]
    return [tuple(row) for row in rows]


def test_the_attempts_of_the_day_are_those_expected_here() -> None:
    """Who adds an attempt to the day says here what comes of it."""
    assert set(ATTEMPTS) == set(EXPECTED)
    tried = {
        number: [(attempt.step, attempt.who) for attempt in attempts] for number, attempts in ATTEMPTS.items()
    }
    for number, expected in EXPECTED.items():
        assert [row[:2] for row in expected] == (tried[number] if expected else [])


def test_every_attempt_is_refused_or_referred_for_its_reason(demos: tuple[Running, Running]) -> None:
    """The table holds exactly these rows: order, step, who, outcome, finding; and a reason for each."""
    once, _ = demos
    shown = [(row[0][-3:], *row[1:4], row[4].split(": ")[0]) for row in rows_of(once.out)]
    assert shown == [(f"{number:03}", *row) for number, rows in sorted(EXPECTED.items()) for row in rows]
    assert all(len(row[4].split(": ", 1)[1]) > 20 for row in rows_of(once.out))


def test_the_summary_counts_the_day_and_the_ledger_is_verified(demos: tuple[Running, Running]) -> None:
    """What was refused adds up with the table, and the stand-alone verifier has the last word."""
    once, _ = demos
    denied = sum(row[2] == "deny" for rows in EXPECTED.values() for row in rows)
    referred = sum(row[2] == "review" for rows in EXPECTED.values() for row in rows)
    summary = (
        f"{ORDERS} orders, {ORDERS} of them settled and reconciled. 341 questions: 320 permitted, "
        f"{referred} referred to a supervisor (3 approved), {denied} denied; 1 permits raised a flag."
    )
    assert (denied, referred) == (17, 4)
    assert summary in once.out
    last = once.out.strip().splitlines()[-1]
    assert last == "VERIFIED: signatures, tree, columns, disclosures, blobs and duties agree."
    assert re.search(r"entries +713, 40 chains; \d+ private values disclosed, 0 erased", once.out)


def test_a_demo_that_ended_leaves_nothing_behind(demos: tuple[Running, Running]) -> None:
    """No folder, no process, and no touch of a database that somebody has configured."""
    once, _ = demos
    assert {path.name for path in once.folder.iterdir()} == {"once.out", "once.err"}
    assert not Path("never.db").exists()
    assert "Traceback" not in once.err


def test_in_spanish_every_reason_is_in_spanish(demos: tuple[Running, Running]) -> None:
    """The same rows; of the reasons not one is the English one."""
    once, stays = demos
    english, spanish = rows_of(once.out), rows_of(stays.out)
    assert [row[1:4] for row in spanish] == [row[1:4] for row in english]
    for one, other in zip(english, spanish, strict=True):
        rule, reason = other[4].split(": ", 1)
        assert one[4].startswith(f"{rule}: ")
        assert reason not in one[4]
    assert spanish[0][4].startswith("no_grant: Ningún rol de p-02 permite approve sobre order.")


def test_it_stays_up_answers_with_the_printed_key_and_ends_on_ctrl_c(
    demos: tuple[Running, Running],
) -> None:
    """Address and key are copied from the terminal; Ctrl-C ends demo and service and removes the folder."""
    _, stays = demos
    url = stays.until(r"The service is running at (http://127\.0\.0\.1:\d+)\n")[1]
    key = stays.until(r"Its API key: (ck_\S+)\n")[1]
    order = rows_of(stays.out)[0][0]
    headers = {"Authorization": f"Bearer {key}"}
    with httpx2.Client(base_url=url, headers=headers, timeout=30) as http:
        chain = http.get(f"/v1/chains/{order}", params={"kind": "order_to_settlement"})
        assert chain.status_code == 200
        assert http.get("/v1/ledger/checkpoint").text.startswith("demo/desk\n713\n")
        body = {
            "subject": {"type": "account", "id": "zoe.unknown"},
            "action": {"name": "capture"},
            "resource": {"type": "order", "id": "O-1", "properties": {}},
        }
        answer = http.post("/v1/decisions", json=body, headers={"Idempotency-Key": "1"})
        assert (answer.status_code, answer.json()["outcome"]) == (200, "deny")
    folders = [path for path in stays.folder.iterdir() if path.is_dir()]
    assert len(folders) == 1
    assert stays.end(signal.SIGINT) == 0
    assert not folders[0].exists()
    assert "Traceback" not in stays.err
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{url}/healthz")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_interrupted_in_the_middle_of_the_day_it_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals
) -> None:
    """No folder, no service that runs on, no traceback; and not the exit code of a day that was played."""
    arguments = ("-c", UNTESTED, "demo", "--once")
    with starting(*arguments, env={"TMPDIR": str(tmp_path)}, folder=tmp_path, name="demo") as demo:
        demo.until("Migrating")
        until = time.monotonic() + 30
        while not (children := children_of(demo.process.pid)) or not list(tmp_path.glob("*/service.log")):
            assert time.monotonic() < until
            time.sleep(0.05)
        folder = next(tmp_path.glob("*/service.log")).parent
        assert demo.end(number) != 0
        assert not folder.exists()
        assert "Traceback" not in demo.err
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


def children_of(parent: int) -> list[int]:
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [line.split() for line in listed.splitlines()]
    return [int(pid) for pid, above in pairs if int(above) == parent]


def test_a_language_that_it_does_not_speak_is_a_usage_error() -> None:
    """Before anything is made."""
    said = controls("demo", "--once", "--language", "fr", env={"COLUMNS": "200"})
    assert said.code == Exit.USAGE
    assert "en or es" in said.err


def test_everybody_has_a_turn_and_nobody_two_sides() -> None:
    """The ordinary steps of the day are taken by different people where the rules ask for it."""
    for number in range(1, ORDERS + 1):
        who = {step: account_of(step, number) for step in STEPS}
        assert who["capture"] != who["approve"]
        assert who["instruct"] == who["settle"]
        assert len(set(who.values())) >= 4
