"""The report of exceptions as a table."""

from __future__ import annotations

from typing import Any, Final

from rich.table import Table

from controls.cli.output import ERR, OUT
from controls.model.values import Json

_KINDS: Final = {
    "delegation": "acted for",
    "break_glass": "break-glass",
    "mitigation": "accepted conflict",
    "break_glass_request": "break-glass asked for",
}


def show_exceptions(told: dict[str, Json]) -> None:
    """Print one page; what is overdue comes with its deadline in capitals."""
    rows: Any = told["exceptions"]
    if not rows:
        ERR.print("Nobody has used an exception.")
        return
    table = Table("when", "what", "who", "chain", "step", "review", box=None, pad_edge=False)
    for row in rows:
        table.add_row(
            row["at"][:19],
            _KINDS[row["kind"]],
            _who(row),
            f"{row['chain']['kind']} {row['chain']['id']}",
            row["step"],
            _review(row.get("review")),
        )
    OUT.print(table)
    if told["overdue"]:
        ERR.print(f"{told['overdue']} should have been looked at by now.")
    if "next" in told:
        ERR.print(f"More: --cursor {told['next']}", markup=False)


def _who(row: dict[str, Any]) -> str:
    who = str(row["person"])
    if row.get("on_behalf_of"):
        who += f" for {row['on_behalf_of']}"
    if row.get("authorised_by"):
        who += f", authorised by {row['authorised_by']}"
    return who


def _review(review: dict[str, Any] | None) -> str:
    if review is None:
        return ""
    if review["state"] == "overdue":
        return f"OVERDUE since {review['due_at'][:19]} ({review['id']})"
    due = f", due {review['due_at'][:19]}" if review["state"] == "open" else ""
    return f"{review['state']}{due} ({review['id']})"
