"""What conditions read besides a request's facts, and what is not the same on both sides.

Lists, tables, rates and calendars are told apart by the digests in a tree's keys, so that a proof never takes
two versions of one for the same. An aggregate is a fact whose value another definition changes: that no proof
can see, and who compares conditions asks `recounted` first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from controls.model.values import Json, Value, canonical
from controls.rules.aggregates import Aggregate
from controls.rules.datasets import DataColumn, DataList
from controls.rules.rates import Rates
from controls.rules.tree import (
    CellRead,
    Constant,
    Conversion,
    ListRead,
    Logic,
    Membership,
    Operation,
    Typed,
    facts_of,
    walk,
    with_children,
)
from controls.rules.types import BOOL
from controls.rules.versions import version_of

MAX_TOLD: Final = 5  # items or cells of one list or column
MAX_LOOKED_AT: Final = (
    50  # items by which two versions of a list may differ for what `with_shared_lists` does
)


@dataclass(frozen=True, slots=True)
class ChangedData:
    """Something that both sides read under one name; what each side has that the other has not, in words."""

    name: str
    before: str = ""
    after: str = ""


def changed_data(before: Typed, after: Typed) -> tuple[ChangedData, ...]:
    """The lists, columns of tables, rates and calendars that both trees read and that differ, by name."""
    ours, theirs = _data_of(before), _data_of(after)
    found = []
    for name in sorted(ours.keys() & theirs.keys()):
        (digest, old), (other, new) = ours[name], theirs[name]
        if digest != other:
            found.append(ChangedData(name, _told(old, new), _told(new, old)))
    return tuple(found)


def recounted(
    before: Typed, after: Typed, *, ours: Mapping[str, Aggregate], theirs: Mapping[str, Aggregate]
) -> tuple[str, ...]:
    """The aggregates that both trees read and that do not count the same on both sides."""
    names = facts_of(before) & facts_of(after) & ours.keys() & theirs.keys()
    return tuple(sorted(name for name in names if ours[name].version != theirs[name].version))


def differs(names: Iterable[str]) -> str:
    """That things are not what they were, as a reason."""
    found = list(names)
    return f"{', '.join(found)} {'is' if len(found) == 1 else 'are'} not the same in A and B"


def in_words(items: Iterable[ChangedData]) -> tuple[str, str]:
    """What each side has that the other has not."""
    old, new = [], []
    for item in items:
        if not item.before and not item.after:
            old.append(item.name)
            new.append(f"{item.name}, changed")
        old += [f"{item.name}: {item.before}"] if item.before else []
        new += [f"{item.name}: {item.after}"] if item.after else []
    return "; ".join(old), "; ".join(new)


def with_shared_lists(
    before: Sequence[Typed], after: Sequence[Typed]
) -> tuple[tuple[Typed, ...], tuple[Typed, ...]]:
    """The trees of both sides with `x in list.NAME` as `x in what both have || x in what only this side has`.

    So two versions of a list share what they have in common, and a proof can look at the few other items.
    """
    ours, theirs = _lists_of(before), _lists_of(after)
    split = {
        name: (ours[name], theirs[name])
        for name in ours.keys() & theirs.keys()
        if ours[name].type == theirs[name].type
        and 0 < len(ours[name].members ^ theirs[name].members) <= MAX_LOOKED_AT
    }
    if not split:
        return tuple(before), tuple(after)
    common = {name: _common(one, other) for name, (one, other) in split.items()}
    one, other = (tuple(_split(tree, common) for tree in trees) for trees in (before, after))
    return one, other


def _split(node: Typed, common: Mapping[str, DataList]) -> Typed:
    if not isinstance(node, Membership) or not isinstance(node.source, ListRead):
        return with_children(node, lambda part: _split(part, common))
    source = node.source
    shared = common.get(source.data.name)
    if shared is None:
        return node
    item = _split(node.item, common)
    both = Membership(
        type=BOOL, start=node.start, end=node.end, item=item, source=replace(source, data=shared)
    )
    own = tuple(value for value in source.data.items if value not in shared.members)
    if not own:
        return both
    constant = Constant(type=source.type, start=source.start, end=source.end, value=own)
    alone = Membership(type=BOOL, start=node.start, end=node.end, item=item, source=constant)
    return Logic(type=BOOL, start=node.start, end=node.end, every=False, parts=(alone, both))


def _common(one: DataList, other: DataList) -> DataList:
    items = tuple(value for value in one.items if value in other.members)
    digest = version_of({"both": list[Json](sorted((one.digest, other.digest)))})
    return DataList(one.name, one.type, items, frozenset(items), digest)


def _lists_of(trees: Sequence[Typed]) -> dict[str, DataList]:
    return {part.data.name: part.data for tree in trees for part in walk(tree) if isinstance(part, ListRead)}


_Content: TypeAlias = "DataList | DataColumn | Rates | None"


def _data_of(tree: Typed) -> dict[str, tuple[str, _Content]]:
    """Name -> digest, and what it holds where that can be told."""
    found: dict[str, tuple[str, _Content]] = {}
    for part in walk(tree):
        if isinstance(part, ListRead):
            found[f"list.{part.data.name}"] = part.data.digest, part.data
        elif isinstance(part, CellRead):
            found[f"table.{part.table}.{part.column}"] = part.data.digest, part.data
        elif isinstance(part, Conversion):
            found[f"rate.{part.rates.name}"] = part.rates.digest, part.rates
        elif isinstance(part, Operation) and part.calendar:
            name = part.arguments[-1]
            assert isinstance(name, Constant)
            found[f"the calendar {name.value}"] = part.calendar, None
    return found


def _told(mine: _Content, other: _Content) -> str:
    """What is in `mine` and not in `other`."""
    if isinstance(mine, DataList) and isinstance(other, DataList):
        return listed([_text(value) for value in mine.items if value not in other.members])
    if isinstance(mine, DataColumn) and isinstance(other, DataColumn):
        return listed(
            [
                f"{', '.join(map(_text, keys))}: {_text(value)}"
                for keys, value in mine.cells.items()
                if other.cells.get(keys) != value
            ]
        )
    if isinstance(mine, Rates) and isinstance(other, Rates):
        known = {rate for rates in other.pairs.values() for rate in rates}
        return listed([str(rate) for rates in mine.pairs.values() for rate in rates if rate not in known])
    return ""


def listed(texts: list[str]) -> str:
    """The first few of them."""
    more = len(texts) - MAX_TOLD
    return "; ".join([*texts[:MAX_TOLD], *([f"and {more} more"] if more > 0 else [])])


def _text(value: Value) -> str:
    return str(canonical(value))
