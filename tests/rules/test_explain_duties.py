"""Duties, chain kinds and grants in plain words: all that is shipped or in fixtures, a few to the letter."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from controls.bootstrap import read_rule_files
from controls.model.duty import ConstraintKind
from controls.rules.explain_chains import explain_chain, explain_grant
from controls.rules.explain_duties import explain_constraint
from controls.rules.release import Release, compile_release
from controls.rules.wording import LANGUAGES
from tests.desk import DESK_RULES
from tests.rules.rule_sets import FIXTURES
from tests.rules.shipped_desk import shipped_release
from tests.rules.test_explain import QUOTED, SYNTAX


def _of(folder: Path) -> Release:
    return compile_release(read_rule_files(folder))


@pytest.fixture(scope="module")
def releases() -> list[Release]:
    return [shipped_release(), _of(DESK_RULES), _of(FIXTURES / "kinds")]


@pytest.fixture(scope="module")
def desk(releases: list[Release]) -> Release:
    return releases[1]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_duty_reads_as_sentences(releases: list[Release], language: str) -> None:
    """Of every kind, without syntax outside of quoted names, with all steps, roles, limits and sources."""
    seen: set[ConstraintKind] = set()
    for release in releases:
        for item in release.constraints:
            text = explain_constraint(release, item, language=language)
            assert not SYNTAX.search(QUOTED.sub("", text)), (item.id, text)
            assert text.startswith(f"{item.id}: {getattr(item.title, language)}\n")
            for name in (*item.steps, *item.roles, *item.distinct_from):
                assert name in text, (item.id, name)
            if item.limit and item.kind is not ConstraintKind.SEPARATE:
                assert str(item.limit) in text
            assert all(f"- {source.law}" in text for source in item.sources)
            unknown = {"en": "Where it is not known whether that is so", "es": "Si no se sabe si es así"}
            assert (item.when is not None) is (unknown[language] in text)
            seen.add(item.kind)
    assert seen == set(ConstraintKind)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_chain_kind_and_grant_reads_as_sentences(releases: list[Release], language: str) -> None:
    """All steps in order with what they come after, the duties over them; who holds a grant, and when."""
    for release in releases:
        for kind in release.chains.values():
            text = explain_chain(release, kind, language=language)
            places = [text.index(f"{number}. ") for number, _ in enumerate(kind.steps, 1)]
            assert places == sorted(places)
            duties = [
                item for item in release.constraints if item.chain == kind.id and not item.excludes_roles
            ]
            assert all(f"- {item.id}: " in text for item in duties)
        for grant in release.grants:
            text = explain_grant(release, grant, language=language)
            assert not SYNTAX.search(QUOTED.sub("", text.partition("\n")[2])), text
            assert all(f"{grant.resource}.{action}" in text for action in grant.actions)


def test_a_duty_to_the_letter(desk: Release) -> None:
    """With its condition, in English."""
    (item,) = [item for item in desk.constraints if item.id == "large_orders_apart"]
    assert explain_constraint(desk, item, language="en") == (
        "large_orders_apart: Large orders are instructed by others\n"
        "\n"
        "The duty holds on chains of: Order to settlement (“order_to_settlement”).\n"
        "It is always in force.\n"
        "It applies where “Order value” is more than 10,000,000 EUR.\n"
        "Where it is not known whether that is so, it applies.\n"
        "\n"
        "Nobody takes more than one of these steps on one chain: Confirm (“confirm”) and Instruct "
        "(“instruct”).\n"
        "Otherwise the request is denied.\n"
        "Persons are counted, not accounts. Acts that were abandoned or voided count as well, and those on "
        "chains that this one comes from.\n"
        "\n"
        "Sources:\n"
        "- Operations manual, 4.2.1 (the firm's policy)\n"
    )


@pytest.mark.parametrize(
    ("language", "says"),
    [
        ("en", "A step may leave these out, and what was stated of them first holds: “Limit price”, "),
        (
            "es",
            "Un paso puede omitir estos datos, y vale lo primero que se indicó de ellos: «Precio límite», ",
        ),
    ],
)
def test_what_holds_once_it_is_stated_is_told(language: str, says: str) -> None:
    """Of the shipped chain."""
    release = shipped_release()
    assert says in explain_chain(release, release.chains["order"], language=language)


def test_a_grant_to_the_letter(desk: Release) -> None:
    """With its condition, in Spanish."""
    (grant,) = [item for item in desk.grants if item.actions == ("amend",)]
    assert explain_grant(desk, grant, language="es").splitlines()[2:] == [
        "Quien tiene el rol Operador («trader») puede: amend («order.amend»).",
        "Se concede sólo cuando el paso «Ejecución» no se ha realizado.",
        "Si no se sabe si es así, no se concede.",
        "Lo que concede puede impedirlo aún otra regla.",
    ]


@pytest.mark.parametrize(
    ("duty", "says"),
    [
        ("cool_off", "These steps are at least 1 day apart on all chains of one account"),
        ("instrument_limit", "Nobody takes more than 3 of these steps on all chains of one instrument"),
        ("instrument_limit", "Only acts of the last 1 day count."),
        ("instrument_limit", "The time of a step begins when it is performed; while it is only claimed"),
        ("cool_off", "The time of a step begins when it is performed; while it is only claimed"),
        ("two_duties", "- “record”: Capture (“capture”) and Valuation (“value”)"),
        ("roles_in_use", "Nobody uses more than 1 of these roles on one chain"),
        (
            "not_my_boss",
            "Two persons are related where one reports to the other or they live in one household.",
        ),
        ("other_team", "They differ in: department."),
        (
            "other_team",
            "Only steps count that are listed before the one asked for, or are claimed and",
        ),
        ("large_payment", "The step Payment (“pay”) takes 2 persons, each of whom takes it once."),
        ("ring", "Fewer than 3 persons do not take all of these steps between them"),
        ("whole_chain", "It is built in; no file weakens it."),
    ],
)
def test_what_each_kind_says(releases: list[Release], duty: str, says: str) -> None:
    """The sentence that tells one kind from the others."""
    texts = [
        explain_constraint(releases[2], item, language="en")
        for item in releases[2].constraints
        if item.id == duty
    ]
    assert any(says in text for text in texts), texts


def test_what_stands_and_what_counts_against(releases: list[Release]) -> None:
    """Acts that were abandoned count where they count against a person, not where a step must be held."""
    for release in releases:
        for item in release.constraints:
            text = explain_constraint(release, item, language="en")
            standing = item.kind in (ConstraintKind.AT_LEAST, ConstraintKind.BIND, ConstraintKind.SOLE_ACTOR)
            assert ("Only acts that are claimed or performed count." in text) is standing
            assert bool(re.search("abandoned or voided count", text)) is (
                not standing and not item.excludes_roles
            )
