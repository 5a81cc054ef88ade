"""Names that are almost those of declared facts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.rules.spelling import Spellings
from tests.rules.shipped_desk import shipped_release

DECLARED = (
    "account.margin",
    "order.blocked_by",
    "order.legal_hold",
    "order.quantity",
    "order.side",
    "order.recommended",
)
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize(
    ("name", "declared"),
    [
        ("order.quantiy", "order.quantity"),
        ("order.quantitty", "order.quantity"),
        ("order.quanlity", "order.quantity"),
        ("order.qauntity", "order.quantity"),
        ("ordr.quantity", "order.quantity"),
        ("order.Quantity", "order.quantity"),
        ("order.legalHold", "order.legal_hold"),
        ("order.legal-hold", "order.legal_hold"),
        ("order.legalhold", "order.legal_hold"),
        ("accounts.margin", "account.margin"),
        ("context.account.margin", "account.margin"),
        ("order.order.legalHold", "order.legal_hold"),
        ("order.\uff4c\uff45\uff47\uff41\uff4c\uff3f\uff48\uff4f\uff4c\uff44", "order.legal_hold"),
        # Letters of other alphabets, and accents.
        ("\u043erder.legal_h\u043eld", "order.legal_hold"),
        ("\u041e\u0420DER.L\u0415G\u0410L_HOLD", "order.legal_hold"),
        ("\u03bfrd\u0435r.q\u03c5\u0430ntit\u0443", "order.quantity"),
        ("order.\u0455id\u0435", "order.side"),
        ("order.le\u0301gal_ho\u0301ld", "order.legal_hold"),
        ("order.l\u00e9gal_h\u00f3ld", "order.legal_hold"),
        # Two slips.
        ("order.leagl_hodl", "order.legal_hold"),
        ("order.legl_hld", "order.legal_hold"),
        ("order.quanitiy", "order.quantity"),
        ("ordr.quantty", "order.quantity"),
        ("acount.margn", "account.margin"),
        ("order.recomendedd", "order.recommended"),
        # In another part of the request.
        ("context.legal_hold", "order.legal_hold"),
        ("context.legalHold", "order.legal_hold"),
        ("account.legal_hold", "order.legal_hold"),
        ("subject.legal_hold", "order.legal_hold"),
        ("context.blocked_by", "order.blocked_by"),
        ("account.recommended", "order.recommended"),
    ],
)
def test_a_slip_is_found(name: str, declared: str) -> None:
    """A letter too few or too many, another or exchanged one, and other ways to write words and letters."""
    assert Spellings(DECLARED).almost(name) == {declared}


@pytest.mark.parametrize(
    "name",
    [
        "order.colour",
        "order.quant",
        "person.id",
        "order.a",
        "quantity",
        "",
        "order.\u043f\u0440\u0438\u043c\u0435\u0447\u0430\u043d\u0438\u0435",  # a remark, in Russian
        "order.importe_l\u00edmite",
        # Words that keep too little of their own.
        "order.legal_bond",
        "order.total_hold_on",
        "order.blocked_on",
        # What is anybody's, or in a group of the caller's own.
        "context.side",
        "context.quantity",
        "account.side",
        "account.blocked_by",
        "custody.legal_hold",
        "custody.recommended",
    ],
)
def test_other_names_are_other_names(name: str) -> None:
    """What differs in more, or has too few letters to tell, is nobody's slip."""
    assert Spellings([*DECLARED, "order.b"]).almost(name) == frozenset()


@given(st.data())
def test_every_single_slip_in_a_shipped_fact_is_found(data: st.DataObject) -> None:
    """Whichever fact it is, and wherever in its last word."""
    spellings = shipped_release().vocabulary.spellings
    name = data.draw(st.sampled_from(sorted(shipped_release().vocabulary.facts)))
    at = data.draw(st.integers(name.index(".") + 1, len(name) - 1))
    letter = data.draw(st.sampled_from(LETTERS))
    slips = {
        "another": name[:at] + letter + name[at + 1 :],
        "too many": name[:at] + letter + name[at:],
        "exchanged": name[: at - 1] + name[at] + name[at - 1] + name[at + 1 :]
        if name[at - 1] != "."
        else name,
        "too few": name[:at] + name[at + 1 :],
    }
    slip = slips[data.draw(st.sampled_from(sorted(slips)))]
    if len(slip.rpartition(".")[2]) >= 4:
        assert name in spellings.almost(slip)


@given(st.data())
def test_two_slips_in_a_shipped_fact_are_found(data: st.DataObject) -> None:
    """One in each of two words, or both in a long one, and never more than the words bear."""
    spellings = shipped_release().vocabulary.spellings
    name = data.draw(st.sampled_from(sorted(shipped_release().vocabulary.facts)))
    group, _, last = name.partition(".")
    words = [group, *last.split("_")]
    bears = [(len(word) >= 4) + (len(word) >= 6) for word in words]
    places = [at for at, slips in enumerate(bears) for _ in range(slips)]
    for at in data.draw(st.permutations(places))[:2]:
        place = data.draw(st.integers(0, len(words[at]) - 1))
        words[at] = words[at][:place] + "\u00df" + words[at][place + 1 :]
    assert name in spellings.almost(f"{words[0]}.{'_'.join(words[1:])}")


def test_a_short_word_keeps_no_slip_in_its_group_from_being_found() -> None:
    """`lei` bears no slip itself, and `client` does."""
    spellings = shipped_release().vocabulary.spellings
    assert spellings.almost("clent.lei") == {"client.lei"}
    assert not spellings.almost("client.lie")


def test_answers_are_kept_within_bounds() -> None:
    """A name that is asked again has the same answer, however many others were asked in between."""
    spellings = Spellings(DECLARED)
    for number in range(5_000):
        assert spellings.almost(f"order.mine_{number}") == frozenset()
    assert spellings.almost("order.quantiy") == spellings.almost("order.quantiy") == {"order.quantity"}
