"""What the analysis looks at: real access matrices, a directory file, and a ledger with what was done."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from controls.bootstrap import read_rule_files
from controls.duties.access import Item, Sort
from controls.duties.analysis import Separation
from controls.model.errors import InvalidInput, NotFound
from controls.model.finding import Effect, Outcome, Text
from controls.rules.release import Release, compile_release
from controls.services.access_exports import read_exports
from controls.services.directory_file import read_directory
from controls.services.duty_analysis import (
    MATRIX_ITEMS,
    Examined,
    examine_directory,
    examine_exports,
)
from controls.services.duty_ledger import examine_ledger
from controls.services.duty_report import Report
from controls.services.foreign_separations import read_separations
from controls.store import listings
from controls.store.database import Database
from tests.desk import DESK_PEOPLE, DESK_RULES, WALK, Desk, an_order, ask, start_desk, submit

NOW = datetime(2026, 11, 25, tzinfo=UTC)
SETS = ("americas_small", "domino", "fire1", "hc")


def desk_release(**more: str) -> Release:
    """The desk's rules with further files: name -> text, under duties."""
    added = {f"duties/{name}.yaml": text for name, text in more.items()}
    return compile_release({**read_rule_files(DESK_RULES), **added})


def row(examined: Examined, constraint: str, chain: str = "") -> Any:
    (found,) = (one for one in Report(examined).constraints if (one.id, one.chain) == (constraint, chain))
    return found


# -- real matrices -----------------------------------------------------------------------------------------


def separation_file(path: Path, head: str, rows: Iterable[str]) -> Path:
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("name", SETS)
def test_the_counts_of_real_matrices_are_those_of_plain_sets(
    name: str, shared_data: Path, tmp_path: Path
) -> None:
    """Permission pairs and sets from both forms of the matrix, and role pairs: every count, in time."""
    folder = shared_data / "rbac"
    expected = json.loads((folder / "expected.json").read_text())["sets"][name]
    pairs = expected["permission_pairs"]
    sets = expected["at_most_k_sets"]
    roles = expected["role_pairs"]
    files = [
        separation_file(
            tmp_path / "pairs.csv",
            "id,permission_a,permission_b",
            (f"pair-{number},{a},{b}" for number, (a, b, _) in enumerate(pairs)),
        ),
        separation_file(
            tmp_path / "sets.csv",
            "id,permissions,max",
            (
                f"set-{number},{';'.join(map(str, items))},{most}"
                for number, (items, most, _) in enumerate(sets)
            ),
        ),
        separation_file(
            tmp_path / "roles.csv",
            "id,role_a,role_b",
            (f"roles-{number},{a},{b}" for number, (a, b, _) in enumerate(roles)),
        ),
    ]
    started = time.process_time()
    by_permission = read_exports([folder / f"{name}.upa.csv.gz"])
    by_role = read_exports([folder / f"{name}.roles.csv.gz"])
    for exported, given in ((by_permission, files[:2]), (by_role, files)):
        report = Report(examine_exports(exported, read_separations(given)))
        counts = {one.id: one.could for one in report.constraints}
        for prefix, rows in (("pair", pairs), ("set", sets), ("roles", roles))[: len(given)]:
            found = [counts[f"{prefix}-{number}"] for number in range(len(rows))]
            assert found == [wanted for *_, wanted in rows]
        conflicts = list(report.conflicts())
        of_pairs = {one.person for one in conflicts if one.separation.id.startswith("pair")}
        assert len(of_pairs) == expected["users_in_any_pair_violation"]
        for prefix, total in (
            ("pair", "total_pair_violations"),
            ("set", "total_atmost_violations"),
            ("roles", "total_role_pair_violations"),
        )[: len(given)]:
            assert sum(one.separation.id.startswith(prefix) for one in conflicts) == expected[total]
    assert time.process_time() - started < 10


def test_public_matrices_with_users(shared_data: Path) -> None:
    """The small SAP matrix finds two of five users; a matrix of other roles is refused."""
    folder = shared_data / "sod_rules"
    users = read_exports([folder / "sap_grc_mini_users.csv"])
    report = Report(
        examine_exports(users, read_separations([folder / "sap_grc_mini_matrix.csv"])), with_names=True
    )
    found = [(one.separation.id, report.name(one.person)) for one in report.conflicts()]
    assert found == [("F001", "Max Mueller"), ("M001", "Tom Meyer")]
    assert Report(report.examined).name("u-000001") == ""
    with pytest.raises(InvalidInput, match="None of their roles"):
        examine_exports(users, read_separations([folder / "entra_sod_matrix.csv"]))


# -- exports -----------------------------------------------------------------------------------------------


def exports(folder: Path, text: str, rules: str) -> Examined:
    (folder / "users.csv").write_text(text, encoding="utf-8")
    (folder / "rules.csv").write_text(rules, encoding="utf-8")
    return examine_exports(read_exports([folder / "users.csv"]), read_separations([folder / "rules.csv"]))


def test_what_nobody_has_is_told_and_not_passed_over(tmp_path: Path) -> None:
    """A misspelt role would else look like a rule that is kept."""
    examined = exports(tmp_path, "user,role,until\nAna,a,2026\n", "id,role_a,role_b\n1,a,bb\n")
    told = Report(examined).as_json()
    (constraint,) = told["constraints"]  # type: ignore[misc]
    assert constraint["unknown"] == ["bb"]  # type: ignore[index,call-overload]
    assert any("until" in note for note in told["notes"])  # type: ignore[union-attr]
    assert told["acts_read"] is False


def test_a_matrix_that_nobody_could_read_is_cut_and_says_so(tmp_path: Path) -> None:
    """The items that most persons hold, in their order."""
    names = [f"r{number:03}" for number in range(MATRIX_ITEMS + 5)]
    held = "".join(f"u{number},{name}\n" for name in names[5:] for number in range(2))
    pairs = "".join(f"{names[0]},{name}\n" for name in names[1:])
    examined = exports(tmp_path, f"user,role\n{held}u1,r000\n", f"role_a,role_b\n{pairs}")
    (matrix,) = Report(examined).matrices
    assert [item.name for item in matrix.items] == names[5:]
    assert any(f"{MATRIX_ITEMS} of {len(names)}" in note.en for note in examined.notes)


def test_a_group_that_is_too_small_is_a_conflict(tmp_path: Path) -> None:
    """No fewer than three may have it all; two do."""
    text = "user,permission\nAna,p\nAna,q\nBea,r\nCai,r\n"
    report = Report(exports(tmp_path, text, "permissions,people\np;q;r,3\n"))
    (found,) = report.constraints
    assert found.collusion is not None
    assert (found.could, found.collusion.conflict, report.standing_conflicts) == (None, True, True)
    assert [member.person for member in found.collusion.group.members] == ["u-000001", "u-000002"]
    assert not Report(exports(tmp_path, text, "permissions,people\np;q;r,2\n")).standing_conflicts


# -- a directory -------------------------------------------------------------------------------------------


def directory(text: str = DESK_PEOPLE, release: Release | None = None, **more: Any) -> Examined:
    return examine_directory(read_directory(text), release or desk_release(), now=NOW, **more)


def test_a_directory_under_its_rules() -> None:
    """Roles with what they inherit, steps through grants; nothing is said of what was done."""
    examined = directory(DESK_PEOPLE + "p-20,Ulla Uno,ulla,trader;settlement_clerk\n")
    assert row(examined, "front_back").could == 1
    assert row(examined, "front_back").did is None
    assert row(examined, "few_hands", "order_to_settlement").could == 1
    assert row(examined, "whole_chain", "order_to_settlement").could == 0
    whole = row(examined, "whole_chain", "order_to_settlement").collusion
    assert (len(whole.group.members), whole.group.proved) == (
        3,
        True,
    )  # one trades and settles, one approves, allocates, confirms
    assert row(examined, "same_clerk", "order_to_settlement").unchecked is not None
    assert any("No ledger was read" in note.en for note in examined.notes)
    orders = next(one for one in Report(examined).matrices if len(one.items) == 8)
    assert orders.counts[0][5] == 1  # capture and instruct


def test_roles_that_the_rules_do_not_know_are_told() -> None:
    """They give nothing, and somebody should know."""
    examined = directory("person,account,roles\np-1,ana,trader;wizard\n")
    assert any("wizard" in note.en and "wizard" in note.es for note in examined.notes)


def test_further_separations_can_stand_beside_those_of_the_rules() -> None:
    """Under ids of their own, about roles that exist."""

    def further(name: str, *roles: str) -> Separation:
        items = tuple(Item(Sort.ROLE, role) for role in roles)
        return Separation(name, items, Effect.DENY, Text("", ""), most=1)

    examined = directory(more=[further("auditor", "supervisor", "trader")])
    assert row(examined, "auditor").could == 1  # the head of desk inherits supervisor
    with pytest.raises(InvalidInput, match="front_back"):
        directory(more=[further("front_back", "trader", "supervisor")])
    with pytest.raises(InvalidInput, match="SAP_ALL"):
        directory(more=[further("other", "SAP_ALL", "SAP_NEW")])


def test_grants_asked_about_add_up() -> None:
    """The second sees the first; the analysis itself stays that of today."""
    examined = directory().granting([("p-05", "middle_office"), ("p-05", "settlement_clerk")])
    first, second = examined.grants
    assert {conflict.separation.id for conflict in first.conflicts} == {"trade_and_allocate", "few_hands"}
    assert {conflict.separation.id for conflict in second.conflicts} == {
        "few_hands",
        "large_orders_apart",
        "front_back",
    }
    assert Report(examined).grants_outcome is Outcome.DENY
    assert {after.separation.id for _, after in second.collusion} == {"whole_chain", "three_people"}
    assert row(examined, "front_back").could == 0


def test_a_coalition_of_the_rules_is_kept_by_the_directory() -> None:
    """Four persons could do the whole chain; a grant that makes it three is denied, and says who they are."""
    steps = "[capture, approve, execute, allocate, confirm, instruct, settle, reconcile]"

    def under(people: int) -> Examined:
        ring = f"- {{id: ring, kind: coalition, steps: {steps}, people: {people}, then: deny}}\n"
        return directory(release=desk_release(ring=ring))

    assert Report(under(5)).standing_conflicts
    assert row(under(5), "ring", "order_to_settlement").collusion.conflict
    assert not Report(under(4)).standing_conflicts
    examined = under(4).granting([("p-13", "settlement_clerk")])  # the reconciler
    (effect,) = examined.grants
    changed = {after.separation.id: (before, after) for before, after in effect.collusion}
    before, after = changed["ring"]
    assert (len(before.group.members), len(after.group.members)) == (4, 3)
    assert "p-13" in {member.person for member in after.group.members}
    assert Report(examined).grants_outcome is Outcome.DENY


def test_grants_name_persons_and_roles_that_exist() -> None:
    """By pseudonym or by name; what is misspelt is refused with a suggestion."""
    assert directory().granting([("Rita Rey", "trader")]).grants[0].person == "p-07"
    with pytest.raises(InvalidInput, match="is nobody here"):
        directory().granting([("Nobody", "trader")])
    with pytest.raises(InvalidInput, match="several persons"):
        directory(DESK_PEOPLE + "p-21,Rita Rey,rita2,trader\n").granting([("Rita Rey", "trader")])
    with pytest.raises(InvalidInput, match="trader"):
        directory().granting([("p-07", "tradr")])


# -- a ledger ----------------------------------------------------------------------------------------------

STRICTER = """\
- {id: confirm_apart, kind: separate, steps: [allocate, confirm], then: deny}
- {id: lines_apart, kind: separate, steps: [instruct, settle], when: order.notional > "1.00 EUR", then: deny}
- {id: per_account, kind: at_most, steps: [capture], max: 1, scope: account, then: deny}
- {id: clerks, kind: exclusive_roles, roles: [middle_office, settlement_clerk], then: deny}
"""


def walked(desk: Desk) -> None:
    """Two orders through the whole chain."""

    async def walk() -> None:
        service = desk.build()
        await service.start()
        try:
            for order in (an_order("O-1"), an_order("O-2")):
                for action, login in WALK:
                    answer = await submit(service, desk.decide(ask(action, login, order)))
                    assert answer["outcome"] == "permit", answer
        finally:
            await service.close()

    asyncio.run(walk())


def ledger_of(desk: Desk, release: Release | None = None, *, with_names: bool = False) -> Examined:
    async def read() -> Examined:
        database = Database(desk.settings.database_url)
        try:
            return await examine_ledger(
                database,
                desk.settings.tenant,
                now=datetime.now(UTC),
                release=release,
                with_names=with_names,
            )
        finally:
            await database.close()

    return asyncio.run(read())


@pytest.fixture
def desk(migrated_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(listings, "PAGE", 3)  # so that chains lie across pages
    # Claims are progress enough here, so that no outcome has to be reported.
    files = dict(read_rule_files(DESK_RULES))
    (chain,) = (name for name in files if name.startswith("chains/"))
    rules = tmp_path / "rules"
    for name, text in files.items():
        (rules / name).parent.mkdir(parents=True, exist_ok=True)
        said = (
            text.replace("resource: order\n", "resource: order\nprogress: claimed\n", 1)
            if name == chain
            else text
        )
        (rules / name).write_text(said, encoding="utf-8")
    return start_desk(tmp_path, database_url=migrated_database_url, rules=rules)


def test_what_was_done_is_measured_by_the_release_asked_about(desk: Desk) -> None:
    """Nothing breaks the rules in force; by stricter ones every chain does, and the acts are named."""
    walked(desk)
    examined = ledger_of(desk)
    assert (examined.source["chains"], examined.source["acts"]) == (2, 16)
    assert examined.source["in_force"] is True
    assert examined.breaches == ()
    assert row(examined, "same_clerk", "order_to_settlement").did == 0
    assert examined.names == {}
    stricter = ledger_of(desk, desk_release(stricter=STRICTER), with_names=True)
    report = Report(stricter, with_names=True)
    assert stricter.source["in_force"] is False
    assert [(one.constraint.id, one.person, one.chain, one.conditional) for one in report.breaches] == [
        ("confirm_apart", "p-09", "O-1", False),
        ("confirm_apart", "p-09", "O-2", False),
        ("lines_apart", "p-11", "O-1", True),
        ("lines_apart", "p-11", "O-2", True),
        ("per_account", "p-05", "", False),
    ]
    assert [act.chain for act in report.breaches[-1].acts] == ["O-1", "O-2"]
    assert row(stricter, "per_account", "order_to_settlement").unchecked is not None
    assert row(stricter, "confirm_apart", "order_to_settlement").did == 1
    assert row(stricter, "clerks").did == 0
    told = report.as_json()["violations"]
    assert isinstance(told, list)
    first: Mapping[str, Any] = told[0]  # type: ignore[assignment]
    assert (first["person"], first["name"]) == ("p-09", "Mara Mesa")
    assert [act["step"] for act in first["acts"]] == ["allocate", "confirm"]
    assert [act["index"] for act in first["acts"]] == sorted(act["index"] for act in first["acts"])
    assert "material" not in first["acts"][0]


def test_a_database_without_a_ledger_says_what_to_do(migrated_sqlite_url: str) -> None:
    """As every command."""

    async def read() -> None:
        database = Database(migrated_sqlite_url)
        try:
            await examine_ledger(database, "default", now=NOW)
        finally:
            await database.close()

    with pytest.raises(NotFound, match="not been started"):
        asyncio.run(read())
