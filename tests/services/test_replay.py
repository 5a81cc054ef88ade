"""Event logs played through the real service: the figures of logs that nobody here wrote."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from controls.cli.main import app
from controls.model.errors import InvalidInput
from controls.services.event_log import read_log

RULES = Path(__file__).parents[1] / "fixtures" / "rules" / "event_logs"
CHAINS = [
    *(("receipt_wabo", f"permit_receipt_{number}", number - 1) for number in range(1, 5)),
    *(("purchasing_example_p2p", f"purchase_to_pay_{number}", number - 1) for number in range(1, 11)),
    *(("running_example", f"claim_handling_{number}", number - 1) for number in range(1, 4)),
]


def replay(log: Path, chain: str, *more: str) -> dict[str, object]:
    result = CliRunner().invoke(
        app, ["replay", str(log), "--rules", str(RULES), "--chain", chain, "--everyone", "--json", *more]
    )
    assert result.exit_code == 0, result.output
    told: dict[str, object] = json.loads(result.stdout)
    return told


@pytest.mark.parametrize(("log", "chain", "number"), CHAINS)
def test_every_chain_of_the_public_logs_is_denied_as_often_as_plain_set_logic_says(
    shared_data: Path, log: str, chain: str, number: int
) -> None:
    """The service path (store, Casbin, engines, ledger) denies exactly the expected events and cases."""
    expected = json.loads((shared_data / "eventlogs" / "expected.json").read_text())["logs"][log][number]
    told = replay(shared_data / "eventlogs" / f"{log}.csv.gz", chain)
    assert told["checked_events"] == expected["checked_events"]
    assert told["denied_events"] == expected["preventive_denied_events"]
    assert told["cases_with_denial"] == expected["preventive_cases_with_denial"]
    assert set(told["findings"]) <= {"whole_chain"}  # type: ignore[call-overload]


LOG = """\
case,activity,resource,timestamp,lifecycle
c1,register request,Ana,2026-01-01T09:00:00Z,
c1,check ticket,Ana,2026-01-01T10:00:00Z,
c1,check ticket,Leo,2026-01-01T11:00:00Z,
c2,register request,,2026-01-01T12:00:00Z,
c2,something else,Leo,2026-01-01T13:00:00Z,
"""


def test_rows_without_resource_or_outside_the_chain_are_not_asked(tmp_path: Path) -> None:
    """Only rows that are a step and name a resource are requests."""
    log = tmp_path / "log.csv"
    log.write_text(LOG)
    told = replay(log, "claim_handling_1")
    assert (told["rows"], told["checked_events"]) == (5, 3)
    assert told["outcomes"] == {"permit": 2, "review": 0, "deny": 1}


def replay_known(folder: Path, people: str) -> dict[str, object]:
    """The same log, where only these persons are known."""
    log, directory = folder / "log.csv", folder / "people.csv"
    log.write_text(LOG)
    directory.write_text(people)
    result = CliRunner().invoke(
        app,
        [
            *("replay", str(log), "--rules", str(RULES), "--chain", "claim_handling_1"),
            *("--directory", str(directory), "--json"),
        ],
    )
    told: dict[str, object] = json.loads(result.stdout)
    return told


def test_resources_that_the_directory_does_not_know_are_denied(tmp_path: Path) -> None:
    """Without --everyone, unknown never passes."""
    told = replay_known(tmp_path, "person,name,account,roles\np-1,Ana,Ana,clerk\np-2,Eva,Eva,clerk\n")
    assert told["findings"] == {"unknown_subject": 1, "whole_chain": 1}


def test_a_log_of_a_desk_with_too_few_people_says_so(tmp_path: Path) -> None:
    """Ana alone can finish no case, so that none is begun without a supervisor."""
    told = replay_known(tmp_path, "person,name,account,roles\np-1,Ana,Ana,clerk\n")
    assert told["outcomes"] == {"permit": 0, "review": 2, "deny": 1}
    assert told["findings"] == {"unknown_subject": 1, "would_strand": 2}


def test_a_configured_store_is_never_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a database configured, a replay refuses to run."""
    log = tmp_path / "log.csv"
    log.write_text(LOG)
    monkeypatch.setenv("CONTROLS_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path}/real.db")
    result = CliRunner().invoke(
        app, ["replay", str(log), "--rules", str(RULES), "--chain", "claim_handling_1", "--everyone"]
    )
    assert result.exit_code == 2
    assert not (tmp_path / "real.db").exists()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("case,activity,resource\n", "wrong_header"),
        ("case,activity,resource,timestamp\nc1,a,r\n", "wrong_column_count"),
        ("case,activity,resource,timestamp\nc1,a,r,soon\n", "bad_time"),
        ("case,activity,resource,timestamp\n,a,r,2026-01-01T00:00:00Z\n", "bad_text"),
    ],
)
def test_a_log_with_a_mistake_is_refused_with_its_line(tmp_path: Path, text: str, code: str) -> None:
    """Nothing is replayed of a log that cannot be read whole."""
    log = tmp_path / "log.csv"
    log.write_text(text)
    with pytest.raises(InvalidInput) as refused:
        read_log(log)
    assert [error.code for error in refused.value.errors] == [code]


def test_a_log_may_be_separated_by_semicolons(tmp_path: Path) -> None:
    """As spreadsheets write it where the comma is for decimals."""
    plain, other = tmp_path / "plain.csv", tmp_path / "other.csv"
    plain.write_text(LOG)
    other.write_text(LOG.replace(",", ";"))
    assert read_log(other) == read_log(plain)


def test_a_log_cut_short_or_not_compressed_is_refused(tmp_path: Path) -> None:
    """A truncated or mislabelled file is an error, not a shorter log."""
    cut, plain = tmp_path / "cut.csv.gz", tmp_path / "plain.csv.gz"
    cut.write_bytes(gzip.compress(LOG.encode())[:-12])
    plain.write_text(LOG)
    for path in (cut, plain):
        with pytest.raises(InvalidInput) as refused:
            read_log(path)
        assert refused.value.code == "log_unreadable"
