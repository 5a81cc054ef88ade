"""`controls decisions whatif`: the words and the document, and who may ask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controls.services import counterfactuals
from tests.cli.commands import controls, well
from tests.desk import Desk, an_order, ask, run_apart, start_desk, submit


@pytest.fixture(autouse=True)
def _time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, what is found is complete."""
    monkeypatch.setattr(counterfactuals, "SECONDS_AT_MOST", 120.0)


@pytest.fixture
def desk(tmp_path: Path, migrated_sqlite_url: str) -> Desk:
    return start_desk(tmp_path, database_url=migrated_sqlite_url)


def denied(desk: Desk) -> Any:
    """A decision on record that denies."""

    async def decide() -> Any:
        service = desk.build()
        await service.start()
        try:
            return await submit(service, desk.decide(ask("capture", "rita.risk", an_order())))
        finally:
            await service.close()

    return run_apart(decide)


def test_what_would_flip_a_decision(desk: Desk) -> None:
    """Sentences in either language, or the same document as over HTTP; the ledger stays as it is."""
    env = desk.environment() | {"CONTROLS_KEY": desk.keys["caller"]}
    answer = denied(desk)
    assert answer["outcome"] == "deny"
    said = well("decisions", "whatif", answer["id"], env=env)
    assert "It would be permitted if p-05 asked for it" in said.out
    assert (
        "Se permitiría si lo pidiera p-05"
        in well("decisions", "whatif", answer["id"], "--language", "es", env=env).out
    )
    told = well("decisions", "whatif", answer["id"], "--json", env=env).json()
    assert (told["decision"], told["recorded"], told["now"]) == (answer["id"], "deny", "deny")
    assert told["found"] == len(said.out.splitlines()) == len(told["counterfactuals"])


def test_who_may_not_ask(desk: Desk) -> None:
    """Nobody, a key without the scopes, and no such decision: a message and exit code 1, usage 2."""
    answer = denied(desk)
    env = desk.environment()
    for key, code in ((None, "key_missing"), ("reader", "scope_missing"), ("traders", "scope_missing")):
        shown = env if key is None else env | {"CONTROLS_KEY": desk.keys[key]}
        said = controls("decisions", "whatif", answer["id"], "--json", env=shown)
        assert (said.code, said.json()["code"]) == (1, code)
    env |= {"CONTROLS_KEY": desk.keys["caller"]}
    assert controls("decisions", "whatif", "dec_none", "--json", env=env).json()["code"] == "decision_unknown"
    assert controls("decisions", "whatif", answer["id"], "--language", "fr", env=env).code == 2
