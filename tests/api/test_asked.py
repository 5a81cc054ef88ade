"""Requests of a shape that was met before are read as if they were the first."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.api import asked
from controls.api.asked import read_decision, read_evaluation
from controls.model.errors import FieldError, InvalidInput
from controls.model.request import Request
from controls.model.values import Json

Read: TypeAlias = "Request | tuple[str, tuple[FieldError, ...]]"

NAMES = st.sampled_from(
    ["a", "b", "order", "order.a", "at", "claim", "lineage", "x.a", "", " ", "on_behalf_of"]
)
VALUES: st.SearchStrategy[Json] = st.sampled_from(
    [1, True, None, "2026-03-02T09:30:00Z", "soon", ["a"], [{"relation": "replaces", "id": "O-2"}]]
)
PROPERTIES = st.dictionaries(NAMES, VALUES, max_size=3)
CONTEXTS = st.dictionaries(
    NAMES | st.sampled_from(["subject", "market", "x", "context"]), VALUES | PROPERTIES, max_size=4
)
BODIES = st.fixed_dictionaries(
    {
        "subject": st.fixed_dictionaries(
            {"type": st.just("account"), "id": st.just("ana"), "properties": PROPERTIES}
        ),
        "action": st.fixed_dictionaries({"name": st.just("capture"), "properties": PROPERTIES}),
        "resource": st.fixed_dictionaries(
            {"type": st.sampled_from(["order", "x", "chain"]), "id": st.just("O-1"), "properties": PROPERTIES}
        ),
        "context": CONTEXTS,
    }
)


def told(body: dict[str, Any], *, native: bool) -> Read:
    try:
        return read_decision(body, id="dec_1") if native else read_evaluation(body, id="dec_1")
    except InvalidInput as error:
        return error.code, error.errors


@given(st.lists(st.tuples(BODIES, st.booleans()), min_size=2, max_size=6))
def test_what_was_read_before_changes_nothing(bodies: list[tuple[dict[str, Any], bool]]) -> None:
    """Facts, claim, time, lineage and errors are the same, whatever others stated, in whichever form."""
    with pytest.MonkeyPatch.context() as patch:
        shared = asked._Shapes()
        for body, native in [*bodies, *bodies]:
            patch.setattr(asked, "_SHAPES", asked._Shapes())
            alone = told(body, native=native)
            patch.setattr(asked, "_SHAPES", shared)
            assert told(body, native=native) == alone


def test_a_shape_is_kept_and_its_values_are_not() -> None:
    """The second request takes the short way and has its own facts, claim and time."""
    body: dict[str, Any] = {
        "subject": {"type": "account", "id": "ana"},
        "action": {"name": "capture"},
        "resource": {"type": "order", "id": "O-1", "properties": {"side": "buy"}},
        "context": {"market": {"region": "EU"}, "desk": "x", "claim": False, "at": "2026-03-02T09:30:00Z"},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asked, "_SHAPES", asked._Shapes())
        read_decision(body, id="dec_1")
        assert len(asked._SHAPES) == 1
        patch.setattr(asked._Facts, "_collect", None)
        body["resource"]["properties"]["side"] = "sell"
        body["context"] |= {"claim": True, "market": {"region": "US"}}
        second = read_decision(body, id="dec_2")
    assert second.properties == {"order.side": "sell", "market.region": "US", "context.desk": "x"}
    assert second.claim
    assert second.asserted_at is not None


def test_what_is_kept_is_bounded() -> None:
    """Whoever sends ever new names, or very long ones, fills no memory with them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asked, "_SHAPES", asked._Shapes())
        for number in range(2 * asked.SHAPES):
            for context in ({"market": {f"n{number}": True}}, {f"n{number}" + "x" * asked.MAX_SHAPE: {}}):
                body: dict[str, Json] = {
                    "subject": {"type": "account", "id": "ana"},
                    "action": {"name": "capture"},
                    "resource": {"type": "order", "id": "O-1"},
                    "context": context,  # type: ignore[dict-item]  # names of text
                }
                with suppress(InvalidInput):
                    read_decision(body, id="dec_1")
        shapes = asked._SHAPES._facts
        assert 0 < len(shapes) <= asked.SHAPES
        assert all(len(repr(shape)) < 2 * asked.MAX_SHAPE for shape in shapes)
