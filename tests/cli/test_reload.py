"""`controls serve` while it runs: SIGHUP, and a watched folder."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from controls.cli.output import Exit
from tests.desk import DESK_RULES, Desk, ask

from .commands import Running, controls, forked, serving, starting, verify, well
from .conftest import acting

SERVE = ("-m", "controls.cli.main", "serve", "--port", "0")


def until(check: Callable[[], Any], *, says: Callable[[], str]) -> Any:
    """What `check` gives, once that is something."""
    deadline = time.monotonic() + 60
    while not (found := check()):
        assert time.monotonic() < deadline, says()
        time.sleep(0.05)
    return found


def events(service: Running, name: str) -> list[dict[str, Any]]:
    """Its log lines of one kind."""
    lines = [json.loads(line) for line in service.err.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == name]


def capture(url: str, desk: Desk) -> Any:
    told = httpx2.post(
        f"{url}/v1/decisions", json=ask("capture", "tina.trader"), headers=desk.headers(), timeout=30
    )
    assert told.status_code == 200, told.text
    return told.json()


def rules_without_captures(folder: Path) -> None:
    """Change the rules so that traders may not capture."""
    roles = (folder / "roles.yaml").read_text(encoding="utf-8")
    (folder / "roles.yaml").write_text(roles.replace("actions: [capture, execute]", "actions: [execute]"))


def test_sighup_loads_what_is_in_force(desk: Desk, tmp_path: Path) -> None:
    """A release confirmed beside the service is in force for it; the log says what was loaded."""
    rules = shutil.copytree(DESK_RULES, tmp_path / "rules")
    rules_without_captures(rules)
    with serving(desk.environment(), desk.folder) as service:
        first = capture(service.url, desk)["release"]
        service.process.send_signal(signal.SIGHUP)
        (told,) = until(lambda: events(service, "reloaded"), says=lambda: service.err)
        assert (told["release"], told["changed"], told["directory"]) == (first, False, 0)
        change = well("release", "activate", rules, "--json", env=acting(desk)).json()["change"]
        release = well("changes", "confirm", change, "--json", env=acting(desk, "admin2")).json()["release"]
        service.process.send_signal(signal.SIGHUP)
        told = until(lambda: events(service, "reloaded")[1:], says=lambda: service.err)[0]
        assert told["release"] == release != first
        assert (capture(service.url, desk)["outcome"], service.end()) == ("deny", 0)


def test_sighup_that_fails_ends_nothing(desk: Desk) -> None:
    """The database does not answer, or there is a defect: it is logged, and the service goes on."""
    failing = (
        "from controls.services.service import Service\n"
        "from controls.store.database import StoreUnavailable\n"
        "errors = [StoreUnavailable(OSError()), ValueError('a defect')]\n"
        "async def reload(self): raise errors.pop(0)\n"
        "Service.reload = reload\n"
        "from controls.cli import main; main.main()"
    )
    with starting("-c", failing, *SERVE[2:], env=desk.environment(), folder=desk.folder) as service:
        url = service.until(r"Serving on (http://\S+) ")[1]
        service.process.send_signal(signal.SIGHUP)
        (told,) = until(lambda: events(service, "reload_failed"), says=lambda: service.err)
        assert told["code"] == "store_unavailable"
        service.process.send_signal(signal.SIGHUP)
        (told,) = until(lambda: events(service, "beside_failed"), says=lambda: service.err)
        assert told["error"] == "ValueError"
        assert (capture(url, desk)["outcome"], service.end()) == ("permit", 0)


def test_a_watched_folder_is_published_when_it_is_right(desk: Desk, tmp_path: Path) -> None:
    """Broken: told with its place, and the last good release stays. Mended: in force, as nobody's act."""
    rules = shutil.copytree(DESK_RULES, tmp_path / "rules")
    with starting(*SERVE, "--watch", rules, env=desk.environment(), folder=desk.folder) as service:
        url = service.until(r"Serving on (http://\S+) ")[1]
        first = service.until(r"is the release in force, (sha256:\w+)")[1]
        good = (rules / "roles.yaml").read_text(encoding="utf-8")
        (rules / "roles.yaml").write_text(good + "surprise: [\n")
        service.until("Not published; the last good release stays in force")
        service.until(r"roles.yaml:\d+:\d+: ")
        assert capture(url, desk)["release"] == first
        (rules / "roles.yaml").write_bytes(b"\xff")
        service.until("roles.yaml:1:1: not_utf8")
        (rules / "roles.yaml").write_text(good)
        rules_without_captures(rules)
        published = service.until(r"Published (sha256:\w+): \d+ rules")[1]
        answer = capture(url, desk)
        assert (answer["outcome"], answer["release"]) == ("deny", published)
        assert service.end() == 0
    listed = well("release", "list", "--json", env=acting(desk)).json()
    assert [(item["release"], item["state"], item.get("confirmed_by")) for item in listed] == [
        (published, "active", "watcher"),
        (first, "past", None),
    ]
    export = tmp_path / "ledger.jsonl"
    well("ledger", "export", "--output", export, env=desk.environment())
    report = verify(export, desk.vkey, "--json").json()
    assert (report["verified"], report["watched"]) == (True, 1)
    assert "published by a watched folder, by no administrator" in verify(export, desk.vkey).out


@pytest.mark.parametrize(("mode", "says"), [("production", "demo"), ("demo", "There is no rules folder")])
def test_a_folder_is_not_watched_where_it_must_not_be(
    desk: Desk, tmp_path: Path, mode: str, says: str
) -> None:
    """Production refuses (here its key already); a folder that is not there is told."""
    said = forked(
        *("serve", "--port", "0", "--watch", str(tmp_path / "nowhere")),
        env=desk.environment() | {"CONTROLS_MODE": mode},
    )
    assert (said.code, says in said.err) == (Exit.USAGE, True)
    assert "Serving" not in said.err


def test_watching_is_refused_in_production_and_on_a_real_ledger(
    people: Path, empty: dict[str, str], tmp_path: Path
) -> None:
    """Nobody would answer for the release: not in production mode, and in no mode on a ledger in earnest."""
    both = ("--administrator", "alma.admin", "--administrator", "blas.admin", "--origin", "bank.example/o")
    well("init", "--directory", people, "--rules", DESK_RULES, *both, env=empty)
    for mode, why in (("production", "in production mode"), ("demo", "on the ledger bank.example/o")):
        said = controls("serve", "--watch", DESK_RULES, env={**empty, "CONTROLS_MODE": mode})
        assert said.code == Exit.USAGE
        assert f"A folder is not watched {why}." in said.err
        assert "controls release activate" in said.err
