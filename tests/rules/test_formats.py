"""Forms of identifiers: what has one, what is refused, and where a rule set declares them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.rules.changed_vocabulary import changed_vocabulary
from controls.rules.changes import ChangeClass
from controls.rules.domains import Domain, samples_of
from controls.rules.formats import FORMATS
from controls.rules.readers import MalformedValue, reader_of
from controls.rules.release import compile_release
from controls.rules.rule_sets import bare_rule_set
from controls.rules.types import STRING
from tests.rules.rule_sets import diagnostics_of

RIGHT = {
    "isin": ["ES0113900J37", "FR0000131104", "DE0007164600", "US0378331005", "XS0000000009"],
    "lei": ["959800R2X69K6Y6MX775", "5493006MHB84DD0ZWV18"],
    "currency": ["EUR", "USD"],
    "mic": ["XMAD", "XNYS", "360T"],
}
PAIRS = [(name, text) for name, texts in RIGHT.items() for text in texts]


def refused(name: str, text: object) -> bool:
    """Whether the form's reader has something to say about the text."""
    try:
        reader_of(STRING, format=name, max_length=100, max_items=1)(text)  # type: ignore[arg-type]
    except MalformedValue:
        return True
    return False


@pytest.mark.parametrize(("name", "text"), PAIRS)
def test_real_identifiers_have_their_form(name: str, text: str) -> None:
    """And come out as they went in."""
    assert reader_of(STRING, format=name, max_length=100, max_items=1)(text) == text


@pytest.mark.parametrize(("name", "text"), PAIRS)
def test_another_spelling_of_an_identifier_is_refused(name: str, text: str) -> None:
    """Small letters, blanks, full width, letters of another script that look alike, marks and other types."""
    full_width = "".join(chr(ord(letter) + 0xFEE0) for letter in text)
    cyrillic = text.translate(str.maketrans("AEOPCXBMHKTS", "АЕОРСХВМНКТЅ"))
    others = [f" {text}", f"{text} ", f"{text}\n", f"{text}\u00a0", f"{text}\u200b", f"{text[:2]} {text[2:]}"]
    others += [
        full_width,
        text[:-1] + full_width[-1],
        text + "\u0301",
        f"{text}0",
        text[:-1],
        "",
        "?" * len(text),
    ]
    others += [item for item in (text.lower(), text.title(), cyrillic) if item != text]
    assert [item for item in others if not refused(name, item)] == []
    assert refused(name, 7)
    assert refused(name, [text])


@given(st.sampled_from(["isin", "lei"]), st.integers(0, 10**9 - 1), st.data())
def test_every_mistyped_character_is_found(name: str, number: int, data: st.DataObject) -> None:
    """No single wrong character passes the check digits, but in an ISIN some letters for others."""
    text = FORMATS[name].sample(number)
    at = data.draw(st.integers(0, len(text) - 1))
    alphabet = "0123456789" if text[at].isdigit() else "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    letter = data.draw(st.sampled_from([item for item in alphabet if item != text[at]]))
    wrong = text[:at] + letter + text[at + 1 :]
    assert not refused(name, text)
    if name == "lei" or text[at].isdigit():
        assert refused(name, wrong)


@pytest.mark.parametrize("name", FORMATS)
def test_samples_are_many_and_all_of_the_form(name: str) -> None:
    """They stand for whatever a request may say, also beside constants that a rule mentions."""
    form = FORMATS[name]
    samples = [form.sample(number) for number in range(500)]
    assert len(set(samples)) == 500
    assert all(map(form.has, samples))
    found = samples_of(Domain(STRING, format=name, optional=False), [samples[0], samples[1], "other"])
    assert len(found) == 3
    assert {samples[0], samples[1]} < set(found)
    assert all(form.has(str(item)) for item in found)


VOCABULARY = """
facts:
  order.code: {FACT, label: {en: Code, es: Código}}
"""


def with_fact(declared: str) -> dict[str, str]:
    return {"vocabulary.yaml": VOCABULARY.replace("FACT", declared)}


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ("type: string, format: isn", "isin"),
        ("type: decimal, format: isin", "for strings"),
        ("type: string, format: isin, max_length: 12", "remove max_length"),
        ("type: string, format: isin, values: [ES0113900J37]", "remove values"),
    ],
)
def test_a_form_stands_on_a_text_and_alone(declared: str, told: str) -> None:
    """Anything else is a diagnostic that says what to do."""
    found = diagnostics_of(with_fact(declared))
    assert any(told in str(item) for item in found), found


def test_rows_that_no_request_could_meet_are_refused() -> None:
    """A list with another spelling of an identifier would never stop anything."""
    files = {
        **with_fact("type: string, format: isin"),
        "lists/restricted.csv": "isin:isin,remark:note\nES0113900J37,right\nes0113900j37,written small\n",
        "tables/persons.csv": "person:string key,isin:isin key,restricted:bool\np-9,ES0113900J38,true\n",
    }
    found = [str(item) for item in diagnostics_of(files)]
    assert [item.split(": ")[0] for item in found] == ["lists/restricted.csv:3:1", "tables/persons.csv:2:5"]
    assert all("bad_value" in item and "write an ISIN" in item for item in found)


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("type: string", "type: string, format: isin", ChangeClass.TIGHTENING),
        ("type: string, format: isin", "type: string", ChangeClass.LOOSENING),
        ("type: string, format: isin", "type: string, format: lei", ChangeClass.NOT_PROVED),
    ],
)
def test_a_change_of_form_is_told(before: str, after: str, kind: ChangeClass) -> None:
    """Without it more is accepted; another one accepts other texts."""
    one, other = (bare_rule_set(compile_release(with_fact(item))) for item in (before, after))
    (change,) = changed_vocabulary(one, other)
    assert (change.what, change.id, change.kind) == ("format", "order.code", kind)
