"""The page with an analysis of duties: alone, escaped, and readable without colour, mouse or English."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.bootstrap import read_rule_files
from controls.cli.duty_page import LANGUAGES, ROWS, page
from controls.cli.duty_style import HEAT, STYLE
from controls.cli.duty_words import WORDS
from controls.cli.markup import element, joined
from controls.duties.access import Access, Item, Sort
from controls.duties.analysis import Analysis, Separation
from controls.duties.breaches import Breach
from controls.model.chain import ActState
from controls.model.duty import ConstraintKind
from controls.model.finding import Effect, Text
from controls.rules.release import compile_release
from controls.services.directory_file import read_directory
from controls.services.duty_analysis import Examined, MatrixOf, examine_directory
from controls.services.duty_report import Report
from tests.desk import DESK_PEOPLE, DESK_RULES
from tests.duties.builders import NOW, a_constraint, an_act

HOSTILE = "</td><script src=//x>alert(1)</script><img src=x onerror='a()'>\"&"
VOID = {"meta"}


@dataclass
class Read(HTMLParser):
    """A page as its elements, attributes and texts; every element must be closed in turn."""

    elements: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def all(self, name: str) -> list[Mapping[str, str]]:
        return [attributes for tag, attributes in self.elements if tag == name]

    def words(self) -> str:
        return " ".join(text for tag, text in self.texts if tag != "style")


def read(text: str) -> Read:
    found = Read()
    found.feed(text)
    found.close()
    assert found.open == []
    return found


def desk(language: str = "en", *, with_names: bool = False) -> str:
    people = read_directory(DESK_PEOPLE + "p-20,Ulla Uno,ulla,trader;settlement_clerk;middle_office\n")
    release = compile_release(read_rule_files(DESK_RULES))
    examined = examine_directory(people, release, now=datetime(2026, 11, 25, tzinfo=UTC))
    return page(Report(examined.granting([("p-05", "reconciler")]), with_names=with_names), language=language)


def hostile() -> Report:
    """Every name that another system can choose is an attack."""
    role, other = Item(Sort.ROLE, HOSTILE), Item(Sort.ROLE, f"{HOSTILE}2")
    rule = Separation(
        id=HOSTILE,
        items=(role, other),
        then=Effect.DENY,
        title=Text(HOSTILE, HOSTILE),
        most=1,
        people=2,
        severity=HOSTILE,
        when=HOSTILE,
    )
    return Report(
        Examined(
            source={"kind": "exports", "people": 1, "assignments": 2},
            analysis=Analysis(Access({HOSTILE: [role, other]}), [rule]),
            unchecked=(),
            matrices=(MatrixOf(Text(HOSTILE, HOSTILE), (role, other)),),
            breaches=None,
            names={HOSTILE: HOSTILE},
            titles={},
            notes=(Text(HOSTILE, HOSTILE),),
        ),
        with_names=True,
    )


@pytest.mark.parametrize(
    "text", [desk(), desk("es"), page(hostile(), language="en")], ids=["en", "es", "hostile"]
)
def test_it_stands_alone(text: str) -> None:
    """No script, no address of another place, no style but the one that its policy names."""
    found = read(text)
    names = {tag for tag, _ in found.elements}
    assert names.isdisjoint({"script", "link", "img", "iframe", "object", "embed", "form", "base", "svg"})
    assert [attributes["href"] for attributes in found.all("a")] == ["#findings"]
    for _, attributes in found.elements:
        assert attributes.keys().isdisjoint({"src", "style", "action", "data", "srcset"})
        assert not [name for name in attributes if name.startswith("on")]
    assert not re.search(r"url\(|@import|https?:", STYLE)
    policy = found.all("meta")[1]["content"]
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def test_names_of_other_systems_are_text() -> None:
    """They come back as they were, and make no element and no attribute."""
    found = read(page(hostile(), language="en"))
    assert found.words().count(HOSTILE) >= 8
    assert not found.all("script")


@given(st.text(), st.text())
def test_text_and_attributes_come_back_as_they_were(text: str, value: str) -> None:
    """For any text; what is made here is not escaped twice."""
    made = str(joined(element("p", text, element("b", text), title=value)))
    found = read(made)
    assert "".join(piece for _, piece in found.texts) == text + text
    assert found.all("p") == ([{"title": value}] if value else [{}])
    assert [tag for tag, _ in found.elements] == ["p", "b"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_reads_without_colour_and_with_a_keyboard(language: str) -> None:
    """Numbers in every cell, headers for rows and columns, captions, a way to scroll, a way to skip."""
    text = desk(language)
    found = read(text)
    assert found.all("html") == [{"lang": language}]
    assert len(found.all("caption")) == len(found.all("table"))
    assert {attributes["scope"] for attributes in found.all("th")} == {"row", "col"}
    regions = [one for one in found.all("div") if one.get("class") == "wide"]
    ids = {one["id"] for _, one in found.elements if "id" in one}
    assert len(regions) == len(found.all("table"))
    for region in regions:
        assert (region["role"], region["tabindex"]) == ("region", "0")
        assert region["aria-labelledby"] in ids
    cells = re.findall(r'<td class="(?:h\d|h\d apart|alone)">(.*?)</td>', text)
    assert len(cells) > 64
    for cell in cells:
        assert re.search(r"\d", re.sub(r"<[^>]*>", "", cell))
    marked = re.findall(r'<td class="h\d apart">(.*?)</td>', text)
    assert marked
    assert all(WORDS[language].apart in cell and "✕" in cell for cell in marked)


def test_text_on_every_level_can_be_read() -> None:
    """WCAG 2.2, 1.4.3: a contrast of 4.5 to 1; and levels grow darker, so that grey paper shows them too."""

    def luminance(colour: str) -> float:
        parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
        red, green, blue = (
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for back, front in HEAT:
        lighter, darker = sorted((luminance(back), luminance(front)), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5
    lights = [luminance(back) for back, _ in HEAT]
    assert lights == sorted(lights, reverse=True)


def test_both_languages_say_the_same() -> None:
    """The same numbers in the same places; every word of the page is in both."""
    english, spanish = desk("en"), desk("es")
    assert re.findall(r">(\d+)<", english) == re.findall(r">(\d+)<", spanish)
    assert "Capture" in english
    assert "Captura" in spanish
    assert "Segregación de funciones" in spanish
    for word in fields(WORDS["en"]):
        one, other = getattr(WORDS["en"], word.name), getattr(WORDS["es"], word.name)
        assert type(one) is type(other)
        if isinstance(one, str):
            assert re.findall(r"\{\w+\}", one) == re.findall(r"\{\w+\}", other)
            assert one != other or word.name == "nothing"
        else:
            assert len(one) == len(other)


@pytest.mark.parametrize(("language", "done"), [("en", "done"), ("es", "realizado el")])
def test_a_violation_says_when_its_acts_were_done(language: str, done: str) -> None:
    """Beside when they were claimed, where that is another time; nothing of what is only claimed."""
    late = an_act("capture", "ana", index=7, done_at=NOW + timedelta(hours=23))
    claimed = an_act("settle", "ana", index=8, state=ActState.CLAIMED)
    rule = a_constraint(ConstraintKind.COOLING_OFF, "capture", "settle", within=timedelta(days=1))
    report = hostile()
    breach = Breach(rule, "ana", "order_chain", "O-1", (late, claimed))
    text = page(Report(replace(report.examined, breaches=(breach,)), with_names=True), language=language)
    words = read(text).words()
    assert f"capture, 2026-03-02T09:30:00Z, {done} 2026-03-03T08:30:00Z, " in words
    assert f"settle, 2026-03-02T09:30:00Z, {WORDS[language].entry} 8" in words


def test_persons_are_pseudonyms_unless_names_are_asked_for() -> None:
    """And the page is the same each time: no time of day in it."""
    assert "Ulla" not in desk()
    assert "p-20 (Ulla Uno)" in desk(with_names=True)
    assert desk() == desk()


def test_long_tables_are_cut_and_say_so() -> None:
    """The CSV has all rows; the page stays a page."""
    roles = (Item(Sort.ROLE, "a"), Item(Sort.ROLE, "b"))
    rule = Separation("rule", roles, Effect.DENY, Text("A", "B"), most=1)
    people = {f"p-{number:04}": roles for number in range(ROWS + 7)}
    report = Report(
        Examined(
            source={"kind": "exports", "people": len(people), "assignments": 2 * len(people)},
            analysis=Analysis(Access(people), [rule]),
            unchecked=(),
            matrices=(),
            breaches=None,
            names={},
            titles={},
            notes=(),
        )
    )
    text = page(report, language="en")
    assert f"The first {ROWS} of {ROWS + 7} rows" in text
    assert f"p-{ROWS - 1:04}" in text
    assert f"p-{ROWS:04}" not in text
