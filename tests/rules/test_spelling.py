"""Names that are almost those of declared facts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.rules.spelling import Spellings
from tests.rules.shipped_desk import shipped_release

DECLARED = ("account.margin", "order.legal_hold", "order.quantity", "order.side")
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
    ],
)
def test_a_slip_is_found(name: str, declared: str) -> None:
    """A letter too few or too many, another or exchanged one, and other ways to write words and letters."""
    assert Spellings(DECLARED).almost(name) == {declared}


@pytest.mark.parametrize("name", ["order.colour", "order.quant", "person.id", "order.a", "quantity", ""])
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
