"""Silent flags: recorded and shown to compliance, and never told to whoever asks."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from controls.services.answers import authzen_one
from controls.services.decisions import Decide
from tests.desk import DESK_RULES, a_request, ask, start_desk, submit
from tests.rules.rule_sets import desk_files, diagnostics_of

WATCHED = "ES0000012345"
RULE = """\
id: test.{name}
title: {{en: Watched, es: Vigilado}}
source: {{law: Desk policy, basis: policy}}
jurisdiction: EU
on: [order.capture]
when: order.{fact} == "{value}"
then: {then}
{silent}
message: {{en: "{{order.{fact}}} is watched", es: "{{order.{fact}}} está vigilado"}}
missing: {missing}
because: Nothing is watched that nobody names.
examples:
  - {{name: another, given: {{order.{fact}: {other}}}, expect: permit}}
  - {{name: watched, given: {{order.{fact}: {value}}}, expect: {then}}}
"""


def rule(
    name: str = "watch",
    *,
    fact: str = "instrument",
    value: str = WATCHED,
    other: str = "ES0000099999",
    then: str = "flag",
    silent: bool = True,
    missing: str = "skip",
) -> str:
    text = RULE.format(
        name=name,
        fact=fact,
        value=value,
        other=other,
        then=then,
        silent="silent: true" if silent else "mode: enforce",
        missing=missing,
    )
    return text if missing == "skip" else text.replace("because: Nothing is watched that nobody names.\n", "")


async def answers(
    folder: Path, url: str, *rules: str
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], list[Any]]:
    """The native answer and AuthZEN's on an ordinary capture, the entry of the first, and the open cases."""
    shutil.copytree(DESK_RULES, folder / "rules")
    (folder / "rules" / "regulatory" / "pre_trade" / "watch.yaml").write_text(
        "\n".join("- " + text.replace("\n", "\n  ").rstrip() for text in rules), encoding="utf-8"
    )
    desk = start_desk(folder, database_url=url, rules=folder / "rules")
    service = desk.build()
    await service.start()
    try:
        native = await submit(service, desk.decide(ask("capture", "tina.trader", "O-1")))
        body = ask("capture", "tina.trader", "O-2")
        authzen = await submit(service, Decide((a_request(body),), desk.key_ids["caller"], authzen_one))
        entry = (await service.queries.decision(native["id"]))["entry"]
        cases = (await service.queries.reviews(state="open", limit=50, cursor=None))["reviews"]
    finally:
        await service.close()
    assert isinstance(entry, dict)
    assert isinstance(cases, list)
    return native, authzen, entry, cases


async def test_the_answer_is_that_of_an_order_nobody_watches(
    tmp_path: Path, migrated_database_url: str
) -> None:
    """No finding, no case and no word of either; the ledger and compliance have both."""
    native, authzen, entry, cases = await answers(tmp_path, migrated_database_url, rule())
    assert (native["outcome"], native["findings"]) == ("permit", [])
    assert authzen["decision"] is True
    for answer in (native, authzen["context"]):
        assert set(answer) == {
            *("id", "outcome", "findings", "obligations", "claim", "chain", "release", "receipt"),
            *(("decision",) if answer is native else ()),
        }
        assert "watch" not in str(answer)
    assert [(item["rule"], item["effect"]) for item in entry["findings"]] == [("test.watch", "flag")]
    assert [(case["kind"], case["reasons"][0]["rule"]) for case in cases] == [("flag", "test.watch")] * 2


async def test_an_open_flag_beside_it_is_told_alone(tmp_path: Path, migrated_database_url: str) -> None:
    """What is no secret is told as ever, with its case."""
    loud = rule("side", fact="side", value="buy", other="sell", silent=False)
    native, _, entry, cases = await answers(tmp_path, migrated_database_url, rule(), loud)
    assert [item["rule"] for item in native["findings"]] == ["test.side"]
    assert native["review"]["id"] == cases[0]["id"]
    assert {item["rule"] for item in entry["findings"]} == {"test.side", "test.watch"}


@pytest.mark.parametrize(("then", "missing"), [("deny", "skip"), ("review", "skip"), ("flag", "review")])
def test_only_a_flag_may_be_silent(then: str, missing: str) -> None:
    """Whoever is refused or held is told why; so nothing that refuses or holds can be silent."""
    files = desk_files()
    files["regulatory/a/watch.yaml"] = rule(then=then, missing=missing)
    found = diagnostics_of(files)
    assert [item.code for item in found] == ["misplaced_key"]
    assert "`then: flag` and `missing: skip`" in found[0].message
    files["regulatory/a/watch.yaml"] = rule()
    assert diagnostics_of(files) == ()
