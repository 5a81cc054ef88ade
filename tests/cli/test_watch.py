"""What the watcher of a folder tells about parameters of law; the rest of it is in test_reload."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from controls.cli.watch import watch
from controls.rules.release import compile_release
from controls.services.release_changes import Publish, ReleaseActivation
from controls.services.service import Service
from tests.rules.rule_sets import desk_files

LIMITS = "regulatory/pre_trade/limits.yaml"
# The same threshold of law as text: a pattern of whose loosening nobody can tell.
PATTERN = {
    'threshold: {value: "10000000.00 EUR", type: money, basis: policy}': (
        'threshold: {value: "^A", type: string, basis: law}'
    ),
    "when: order.notional + account.open_exposure > threshold": "when: order.account.matches(threshold)",
    "{order.notional} on top of {account.open_exposure} passes": "{order.account} matches",
    "{order.notional} sobre {account.open_exposure} supera": "{order.account} cumple",
    "order.notional: 1000000.00 EUR, account.open_exposure: 8000000.00 EUR": "order.account: C-1",
    "order.notional: 1000000.00 EUR, account.open_exposure: 9500000.00 EUR": "order.account: A-1",
}
LAW = {'10000000.00 EUR", type: money, basis: policy': '10000000.00 EUR", type: money, basis: law'}


def rules(edits: Mapping[str, str]) -> dict[str, str]:
    """The small desk with parts of its limits replaced."""
    files = desk_files()
    for old, new in edits.items():
        assert old in files[LIMITS], old
        files[LIMITS] = files[LIMITS].replace(old, new)
    return files


class FakeService:
    """Compares candidates with what is in force, and notes what it is given to publish. It never waits."""

    def __init__(self, in_force: Mapping[str, str]) -> None:
        release = compile_release(dict(in_force))
        self.looked = asyncio.Event()
        self.published: list[ReleaseActivation] = []
        self.state = SimpleNamespace(active=SimpleNamespace(release=release))
        self.releases = self.writer = self

    async def of_files(self, files: Mapping[str, str]) -> ReleaseActivation:
        self.looked.set()
        return ReleaseActivation.of(compile_release(dict(files)), against=self.state.active.release)

    async def submit(self, command: Publish) -> None:
        self.published.append(cast(ReleaseActivation, command.change))

    def new_id(self, prefix: str) -> str:
        return f"{prefix}_1"


async def watched(service: FakeService, folder: Path, *, files: Mapping[str, str]) -> None:
    """Watch a folder with the files until they have been tried: the watcher then sleeps again."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    task = asyncio.create_task(watch(cast(Service, service), folder))
    await asyncio.wait_for(service.looked.wait(), timeout=60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controls.cli.watch.LOOK_SECONDS", 0.01)


async def test_what_nobody_can_tell_about_a_law_is_told_with_what_is_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is published, as nobody confirms a watched folder, and names the parameter with both values."""
    service = FakeService(rules(PATTERN))
    other = {old: new.replace('"^A"', '"^A-"') for old, new in PATTERN.items()}
    await watched(service, tmp_path, files=rules(other))
    (published,) = service.published
    told = capsys.readouterr().err
    assert f"Published {published.digest}" in told
    assert "look at it yourself: not proved that these keep what a law asks for: " in told
    assert "pre.credit_capital_threshold.threshold (basis law): ^A -> ^A-." in told


async def test_a_looser_law_is_not_published_and_the_reason_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the parameter, both values and what to do instead."""
    service = FakeService(rules(LAW))
    looser = {old: new.replace("10000000", "10200000") for old, new in LAW.items()}
    await watched(service, tmp_path, files=rules(looser))
    assert service.published == []
    told = capsys.readouterr().err
    assert "Not published; the last good release stays in force." in told
    assert "This release loosens what a law asks for." in told
    assert "pre.credit_capital_threshold.threshold (basis law): 10000000 EUR -> 10200000 EUR" in told
    assert "effective: {to: ...}" in told


async def test_a_stricter_law_is_published_without_a_word_about_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is proved to ask for more needs nobody's eyes."""
    service = FakeService(rules(LAW))
    stricter = {old: new.replace("10000000", "9800000") for old, new in LAW.items()}
    await watched(service, tmp_path, files=rules(stricter))
    assert len(service.published) == 1
    told = capsys.readouterr().err
    assert "Published" in told
    assert "law" not in told
