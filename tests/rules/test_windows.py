"""Windows over numbered observations: against lists of everything that happened, to the microsecond."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from controls.model.values import Money
from controls.model.window import NOT_STATED, Observation, Window

LENGTH = 10
Amount = Decimal | Money | None
AMOUNTS: st.SearchStrategy[Amount] = st.one_of(
    st.decimals(min_value=-(10**28), max_value=10**28, places=6, allow_nan=False).map(Decimal),
    st.sampled_from([Decimal("1E-28"), Decimal("1E+28"), Decimal("9999999999999999999999999999.999999")]),
    st.builds(Money, st.decimals(min_value=-9, max_value=9, places=2), st.sampled_from(["EUR", "USD"])),
    st.none(),
)


@dataclass
class Series:
    """A series as the store keeps it: its rows, of which old ones are purged now and then."""

    rows: list[Observation]

    def window(self, now: int) -> Window:
        """What the store reads: the newest row, and the oldest one inside."""
        inside = [row for row in self.rows if row.at > now - LENGTH]
        return Window(inside[0] if inside else None, self.rows[-1] if self.rows else None)


def units_of(amounts: list[Amount]) -> set[str]:
    return {
        NOT_STATED if item is None else item.currency if isinstance(item, Money) else "" for item in amounts
    }


def total_of(amounts: list[Amount]) -> Decimal:
    """Exact, without Decimal's context."""
    scale = 10**60
    numbers = [item.amount if isinstance(item, Money) else item or Decimal(0) for item in amounts]
    parts = [number.as_tuple() for number in numbers]
    whole = sum(
        (-1 if part.sign else 1)
        * int("".join(map(str, part.digits)))
        * (scale * 10**part.exponent if part.exponent >= 0 else scale // 10**-part.exponent)  # type: ignore[operator]
        for part in parts
    )
    return Decimal(f"{whole}E-60")


@given(st.lists(st.tuples(st.integers(0, LENGTH + 1), AMOUNTS, st.booleans()), max_size=40))
def test_a_window_says_what_the_whole_list_says(steps: list[tuple[int, Amount, bool]]) -> None:
    """Count, unit and sum are those of what lies less than the length back, also after a purge."""
    now, series = 1_000, Series([])
    happened: list[tuple[int, Amount]] = []
    for pause, amount, purge in steps:
        now += pause
        if purge:
            series.rows = [row for row in series.rows if row.at > now - LENGTH]
        inside = [item for at, item in happened if now - at < LENGTH]
        window = series.window(now)
        assert window.count == len(inside)
        units = units_of(inside)
        assert window.unit == (units.pop() if len(units) == 1 else None)
        if window.unit is not None:
            assert window.total == total_of(inside)
        series.rows.append(window.following(at=now, amount=amount))
        happened.append((now, amount))
        assert window.followed_by(series.rows[-1]) == series.window(now)


def test_what_lies_exactly_its_length_back_is_out() -> None:
    """The window is half-open: one microsecond decides."""
    series = Series([Window().following(at=1_000, amount=Decimal(1))])
    assert [series.window(now).count for now in (1_000, 1_009, 1_010)] == [1, 1, 0]


def test_an_empty_window_goes_on_counting() -> None:
    """The next observation follows the last one, whether or not that is still inside."""
    first = Window().following(at=0, amount=Decimal(2))
    later = Window(None, first).following(at=99, amount=Decimal(3))
    assert (later.number, later.total, later.run) == (2, Decimal(5), 2)
    assert Window(None, first).followed_by(later).count == 1
    assert Window(None, first).followed_by(later).total == Decimal(3)
