"""Words shared by all findings of duties: moments in UTC to the second, acts, lists, in English and Spanish.

Guarantees: every list is cut after `MOST` items and says how many it left out, so that a long history
never makes a long finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from controls.model.chain import AMEND, Act, ActState, Capacity, ChainKind
from controls.model.finding import Text

MOST: Final = 8  # acts or names in one sentence; the history itself has them all

AMENDMENT: Final = Text("Amendment", "Modificación")

_STATE: Final = {
    ActState.CLAIMED: Text(" (claimed)", " (reservado)"),
    ActState.PERFORMED: Text("", ""),
    ActState.ABANDONED: Text(" (abandoned, it still counts)", " (abandonado, sigue contando)"),
    ActState.VOID: Text(" (void, it still counts)", " (anulado, sigue contando)"),
    ActState.REOPENED: Text(" (reopened, it still counts)", " (reabierto, sigue contando)"),
}
_DONE: Final = {
    ActState.PERFORMED: Text(", performed", ", realizado el"),
    ActState.ABANDONED: Text(", claimed until", ", reservado hasta el"),
    ActState.VOID: Text(", claimed until", ", reservado hasta el"),
    ActState.REOPENED: Text(", done or claimed until", ", realizado o reservado hasta el"),
}

_BY: Final = {
    Capacity.ACTOR: Text("by", "por"),
    Capacity.APPROVER: Text("approved by", "aprobado por"),
    Capacity.PRINCIPAL: Text("on behalf of", "en nombre de"),
}


def moment(at: datetime) -> str:
    """`2026-03-02 09:30:00 UTC`, the same in both languages."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def step_title(step: str, *, kind: ChainKind) -> Text:
    """The step's title, or its id where the kind (no longer) has it."""
    found = kind.step(step)
    if found is not None:
        return found.title
    return AMENDMENT if step == AMEND else Text(step, step)


def step_titles(steps: Iterable[str], *, kind: ChainKind) -> Text:
    """The titles of several steps as one list."""
    return joined([step_title(step, kind=kind) for step in steps])


def names(items: Iterable[str]) -> Text:
    """Ids as one list; they read the same in both languages."""
    return joined([Text(item, item) for item in items])


def act(done: Act, *, kind: ChainKind, with_chain: bool = False) -> Text:
    """One act: its step, by whom, when, and what became of it; when that was, if not in the same second."""
    title = step_title(done.step, kind=kind)
    where = Text(f" on chain {done.chain}", f" en la cadena {done.chain}") if with_chain else Text("", "")
    state = _STATE[done.state]
    by = _BY[done.capacity]
    at = _moments(done)
    other = Text("", "")
    if done.beside:
        told = _BY[Capacity.ACTOR if done.capacity is Capacity.PRINCIPAL else Capacity.PRINCIPAL]
        other = Text(f" {told.en} {done.beside}", f" {told.es} {done.beside}")
    return Text(
        f"{title.en}{where.en}, {by.en} {done.person}{other.en}, {at.en}{state.en}",
        f"{title.es}{where.es}, {by.es} {done.person}{other.es}, {at.es}{state.es}",
    )


def _moments(done: Act) -> Text:
    at = moment(done.at)
    end = at if done.done_at is None else moment(done.done_at)
    if end == at:
        return Text(at, at)
    # What became of an act done for somebody is said of the actor's.
    until = _DONE[ActState.REOPENED if done.capacity is Capacity.PRINCIPAL else done.state]
    return Text(f"{at}{until.en} {end}", f"{at}{until.es} {end}")


def acts(done: Sequence[Act], *, kind: ChainKind, with_chain: bool = False) -> Text:
    """Several acts in ledger order, separated by semicolons; says so when there is none."""
    if not done:
        return Text("nothing", "nada")
    shown = [act(item, kind=kind, with_chain=with_chain) for item in done[:MOST]]
    left = len(done) - len(shown)
    if left:
        shown.append(Text(f"and {left} more", f"y {left} más"))
    return Text("; ".join(item.en for item in shown), "; ".join(item.es for item in shown))


def joined(items: Sequence[Text]) -> Text:
    """A list with commas, cut after `MOST`."""
    shown = list(items[:MOST])
    left = len(items) - len(shown)
    if left:
        shown.append(Text(f"and {left} more", f"y {left} más"))
    return Text(", ".join(item.en for item in shown), ", ".join(item.es for item in shown))
