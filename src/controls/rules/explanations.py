"""Codes of diagnostics explained: the form of an entry, and the sound rule files that its example changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from controls.model.errors import Level

VOCABULARY: Final = "vocabulary.yaml"
ROLES: Final = "roles.yaml"
CHAIN: Final = "chains/order.yaml"
DUTY: Final = "duties/order.yaml"
LIST: Final = "lists/restricted.csv"
TABLE: Final = "tables/limits.csv"
RATES: Final = "rates/house.csv"
SIDES: Final = "regulatory/pre_trade/sides.yaml"
RULE: Final = "regulatory/pre_trade/size.yaml"

BASE: Final[Mapping[str, str]] = {
    VOCABULARY: """\
facts:
  order.quantity: {type: decimal, label: {en: Quantity, es: Cantidad}}
  order.side: {type: string, values: [buy, sell], label: {en: Side, es: Sentido}}
  order.placed_at: {type: timestamp, label: {en: Placed at, es: Recibida a las}}
  order.status: {type: string, label: {en: Status, es: Estado}}
  order.value: {type: money, label: {en: Value, es: Importe}}
  subject.desk: {type: string, from: caller, label: {en: Desk, es: Mesa}}
""",
    ROLES: """\
roles:
  trader: {title: {en: Trader, es: Operador}}
  head: {inherits: [trader], title: {en: Head, es: Responsable}}
grants:
  - {role: trader, actions: [capture, approve], resource: order, when: subject.desk == "cash"}
""",
    CHAIN: """\
chain: order_life
title: {en: Order, es: Orden}
resource: order
material: [order.status, order.placed_at, order.value]
steps:
  - {id: capture}
  - {id: approve, after: [capture]}
""",
    DUTY: """\
- {id: sod.four_eyes, kind: separate, steps: [capture, approve], then: deny}
""",
    SIDES: """\
- id: pre.sides
  title: {en: Sides, es: Sentidos}
  source: {law: Firm policy, basis: policy}
  on: order.approve
  table:
    hit: unique
    inputs: [order.side]
    rows:
      - {order.side: buy, then: permit}
      - {order.side: sell, then: deny}
  message: {en: Not this side, es: Este sentido no}
  examples:
    - {name: buys, given: {order.side: buy}, expect: permit}
    - {name: sells, given: {order.side: sell}, expect: deny}
""",
    RULE: """\
- id: pre.size
  title: {en: Order too large, es: Orden demasiado grande}
  source: {law: Firm policy, basis: policy}
  on: order.capture
  parameters: {limit: {value: 100, type: int, basis: policy}}
  when: order.quantity > limit && order.side == "buy"
  then: deny
  message: {en: "{order.quantity} is too much", es: "{order.quantity} es demasiado"}
  examples:
    - {name: small, given: {order.quantity: "5", order.side: buy}, expect: permit}
    - {name: large, given: {order.quantity: "500", order.side: buy}, expect: deny}
""",
}


@dataclass(frozen=True, slots=True)
class Change:
    """What brings the code about: `new` in the place of `old`, or of the whole file when that is empty."""

    new: str
    old: str = ""
    file: str = RULE


@dataclass(frozen=True, slots=True)
class Explanation:
    """One code. `example`: a change of BASE, or words where a text would be too long or is no text."""

    code: str
    meaning: str
    remedy: str
    example: Change | str
    level: Level = Level.ERROR


WHEN: Final = 'order.quantity > limit && order.side == "buy"'
SMALL: Final = '{order.quantity: "5", order.side: buy}'
ROWS: Final = """\
    hit: unique
    inputs: [order.side]
    rows:
      - {order.side: buy, then: permit}
      - {order.side: sell, then: deny}
"""
LARGE: Final = '{order.quantity: "500", order.side: buy}'


def changed(change: Change) -> dict[str, str]:
    """The rule files of BASE with the change in them.

    Raises:
        ValueError: the text that the change replaces is not there.
    """
    text = BASE.get(change.file, "")
    if change.old and change.old not in text:
        raise ValueError(f"{change.file} does not say {change.old!r}")
    return {**BASE, change.file: text.replace(change.old, change.new) if change.old else change.new}
