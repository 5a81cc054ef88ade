"""A day of a small desk: its people, forty orders, and what each step says of an order. Data, no I/O.

`now` and the day's date are passed in, so that the day is today and stays so if midnight passes; everything
else is fixed, so that every demo tells the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from controls.model.values import Json, utc_text

PEOPLE: Final = """\
person,name,account,roles,department,reports_to
p-01,Ana Ruiz,ana.front,order_taker,trading,p-17
p-02,Bruno Keller,bruno.front,trader,trading,p-17
p-02,Bruno Keller,bruno.bot,trader,trading,p-17
p-03,Carla Méndez,carla.front,senior_trader,trading,p-17
p-04,David Osei,david.front,trader,trading,p-17
p-05,Elena Duarte,elena.risk,risk_officer,risk,p-18
p-06,Farid Haddad,farid.risk,risk_officer,risk,p-18
p-07,Gloria Santos,gloria.middle,middle_officer,operations,p-14
p-08,Hugo Marín,hugo.middle,middle_officer,operations,p-14
p-09,Inés Costa,ines.back,settlement_clerk,operations,p-14
p-10,Jon Etxebarria,jon.back,settlement_clerk,operations,p-14
p-11,Kira Novak,kira.back,reconciler,operations,p-14
p-12,Luis Vega,luis.back,reconciler,operations,p-14
p-13,Marta Gil,marta.supervisor,supervisor,supervision,p-13
p-14,Nils Berg,nils.supervisor,supervisor,supervision,p-14
p-15,Olga Petrova,olga.admin,administrator,technology,p-16
p-16,Pau Serra,pau.admin,administrator,technology,p-16
p-17,Quique Roldán,quique.front,,trading,p-17
p-18,Rosa Lind,rosa.risk,,risk,p-18
"""
ADMINISTRATORS: Final = ("olga.admin", "pau.admin")
SUPERVISORS: Final = ("marta.supervisor", "nils.supervisor")

STEPS: Final = ("capture", "approve", "execute", "allocate", "confirm", "instruct", "settle", "reconcile")
# The people who take each step by turns; the order's number decides whose turn it is.
TURNS: Final[Mapping[str, tuple[str, ...]]] = {
    "capture": ("ana.front", "bruno.front", "carla.front"),
    "approve": ("elena.risk", "farid.risk"),
    "execute": ("david.front", "carla.front", "bruno.front"),
    "allocate": ("gloria.middle", "hugo.middle"),
    "confirm": ("gloria.middle", "hugo.middle"),
    "instruct": ("ines.back", "jon.back"),
    "settle": ("ines.back", "jon.back"),
    "reconcile": ("kira.back", "luis.back"),
}
INSTRUMENTS: Final = (
    ("ES0113900J37", "4.20"),
    ("ES0144580Y14", "11.80"),
    ("ES0178430E18", "3.95"),
    ("FR0000131104", "61.40"),
    ("DE0007164600", "182.60"),
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One thing that somebody tries before the ordinary step is taken, and what is said differently."""

    step: str
    who: str
    properties: Mapping[str, Json] = field(default_factory=dict)
    context: Mapping[str, Json] = field(default_factory=dict)
    before: str = ""  # the step before which it is tried; its own when empty
    approved: bool = False  # a supervisor approves the review, and the same is asked again


OVERDUE: Final[Mapping[str, Json]] = {"account": {"kyc_reviewed_at": "4 years ago"}}
UNEXPLAINED: Final[Mapping[str, Json]] = {"reconciliation": {"cash_difference": "12.50 EUR"}}
# What would make an order special is stated of every order, at the step whose rules ask for it.
NOTHING_SPECIAL: Final[Mapping[str, Mapping[str, Mapping[str, Json]]]] = {
    "capture": {
        "account": {"advised": False},
        "client": {"pdmr": False},
        "personal": {"access_person": False},
    },
    "approve": {"account": {"advised": False, "margin": False}, "instrument": {"new_issue": False}},
    "allocate": {"instrument": {"new_issue": False}},
    "settle": {"account": {"advised": False}},
}
# Order number -> what is tried on it. All of it is refused or referred, but for a price far from the best
# one (34), which is permitted with a flag.
ATTEMPTS: Final[Mapping[int, tuple[Attempt, ...]]] = {
    2: (Attempt("approve", "bruno.front"),),
    4: (Attempt("execute", "elena.risk"), Attempt("settle", "ines.back", before="execute")),
    5: (Attempt("approve", "carla.front"),),
    8: (Attempt("execute", "david.front", {"quantity": "90000", "notional": "378000.00 EUR"}),),
    10: (Attempt("capture", "zoe.unknown"),),
    12: (Attempt("approve", "elena.risk", {}, {"account": {"open_exposure": "74999000.00 EUR"}}),),
    14: (Attempt("approve", "farid.risk", {}, {"market": {"average_daily_volume": "500"}}),),
    16: (Attempt("capture", "ana.front", {}, {"instrument": {"restriction": "restricted"}}),),
    18: (Attempt("capture", "bruno.front", {"side": "sell_short"}),),
    20: (Attempt("allocate", "gloria.middle", {"allocations": "short"}),),
    21: (Attempt("capture", "ana.front", {}, {"account": {"sanctions_hit": True}}),),
    22: (Attempt("confirm", "hugo.middle", {}, {"confirmation": {"price": "9.99"}}),),
    24: (Attempt("instruct", "jon.back", {}, {"instruction": {"ssi_changed_at": "an hour ago"}}),),
    26: (Attempt("settle", "ines.back", {}, {"settlement": {"amount": "1.00 EUR"}}),),
    28: (Attempt("reconcile", "jon.back"),),
    30: (Attempt("capture", "ana.front", {}, OVERDUE, approved=True),),
    32: (Attempt("capture", "ana.front", {}, {"at": "an hour ago"}),),
    34: (Attempt("allocate", "gloria.middle", {}, {"market": {"best_price": "170.00"}}),),
    36: (Attempt("execute", "bruno.bot", approved=True),),
    38: (Attempt("settle", "jon.back"),),
    40: (
        Attempt(
            "reconcile", "kira.back", {}, {"reconciliation": {"cash_difference": "12.50 EUR"}}, approved=True
        ),
    ),
}
# The big order that one person may not both capture and execute without a supervisor's word.
LARGE: Final = 36
ORDERS: Final = 40
# What the rules allow today and from 11 October 2027 on.
SETTLES_AFTER: Final = timedelta(days=1)


def account_of(step: str, number: int) -> str:
    """Whose turn the step of an order is."""
    if number == LARGE and step == "capture":
        return "bruno.front"
    turns = TURNS[step]
    # Whoever instructs also settles; the others go round.
    turn = number if step in ("instruct", "settle") else number + STEPS.index(step)
    return turns[turn % len(turns)]


def request(
    step: str, number: int, who: str, *, now: datetime, day: date, attempt: Attempt | None = None
) -> dict[str, Json]:
    """The body of POST /v1/decisions for a step of an order of `day`."""
    properties = _order(step, number, now=now, day=day)
    context = _context(step, number, now=now, day=day)
    if attempt is not None:
        _change(properties, context, attempt, now=now)
    return {
        "subject": {"type": "account", "id": who},
        "action": {"name": step},
        "resource": {"type": "order", "id": f"O-{day:%m%d}-{number:03}", "properties": properties},
        "context": context,
    }


def _size(number: int) -> tuple[str, Decimal, Decimal]:
    """Instrument, quantity and price of an order."""
    instrument, price = INSTRUMENTS[number % len(INSTRUMENTS)]
    quantity = Decimal(200 + 100 * (number * 7 % 13)) * (400 if number == LARGE else 1)
    return instrument, quantity, Decimal(price)


def _order(step: str, number: int, *, now: datetime, day: date) -> dict[str, Json]:
    instrument, quantity, price = _size(number)
    stated: dict[str, Json] = {
        "account": f"C-{100 + number % 9}",
        "instrument": instrument,
        "side": "buy" if number % 3 else "sell",
        "quantity": str(quantity),
        "notional": f"{quantity * price:.2f} EUR",
        "order_type": "limit",
        "limit_price": str(price),
        "time_in_force": "day",
        "capacity": "agency",
        "service": "execution_only",
        "received_at": utc_text(now - timedelta(seconds=20)),
        "entered_at": utc_text(now - timedelta(seconds=5)),
        "is_block": _is_block(number),
        "trade_date": day.isoformat(),
        "settlement_date": (day + SETTLES_AFTER).isoformat(),
    }
    if _is_block(number):
        half = quantity // 2
        stated |= {
            "statement_id": f"S-{number}",
            "statement_created_at": (day - timedelta(days=1)).isoformat() + "T16:00:00Z",
            "statement_lines": [
                {"account": f"C-{200 + number}", "quantity": str(half)},
                {"account": f"C-{300 + number}", "quantity": str(quantity - half)},
            ],
        }
    if step == "execute":
        stated |= {"trading_method": "electronic", "clock_divergence": "PT0.0002S"}
    if STEPS.index(step) >= STEPS.index("allocate"):
        stated |= {
            "filled_quantity": str(quantity),
            "average_price": str(price),
            "first_fill_at": utc_text(now),
        }
    if step == "allocate":
        half = quantity // 2
        lines = {str(stated["account"]): quantity}
        if _is_block(number):
            lines = {f"C-{200 + number}": half, f"C-{300 + number}": quantity - half}
        stated["allocations"] = [_line(account, part, price) for account, part in lines.items()]
        if _is_block(number):
            stated["first_day_statistics"] = []
    return stated


def _is_block(number: int) -> bool:
    """Every fifth order is an aggregated one for two accounts, with its allocation statement."""
    return number % 5 == 0


def _line(account: str, quantity: Decimal, price: Decimal) -> dict[str, Json]:
    return {
        "account": account,
        "quantity": str(quantity),
        "price": str(price),
        "costs": "2.50 EUR",
        "own_account": False,
    }


def _context(step: str, number: int, *, now: datetime, day: date) -> dict[str, Json]:
    _, quantity, price = _size(number)
    stated: dict[str, dict[str, Json]] = {
        "account": {
            "status": "open",
            "sanctions_hit": False,
            "risk_class": "low",
            "kyc_reviewed_at": utc_text(now - timedelta(days=120)),
            "open_exposure": "1250000.00 EUR",
        },
        "client": {
            "kind": "legal_entity",
            "category": "professional",
            "lei": "959800R2X69K6Y6MX775",
            "lei_status": "issued",
        },
        "instrument": {
            "asset_class": "equity",
            "currency": "EUR",
            "mifir_reportable": True,
            "restriction": "none",
        },
        "market": {
            "region": "EU",
            "reference_price": str(price),
            "best_price": str(price),
            "average_daily_volume": "9500000",
        },
    }
    if step == "confirm":
        stated["confirmation"] = {
            "capacity": "agency",
            "venue": "XMAD",
            "quantity": str(quantity),
            "price": str(price),
            "executed_at": utc_text(now),
            "costs": "5.00 EUR",
            "consideration": f"{quantity * price:.2f} EUR",
            "settlement_date": (day + SETTLES_AFTER).isoformat(),
        }
    if step == "instruct":
        stated["instruction"] = {
            "ssi_created_by": "p-21",
            "ssi_approved_by": "p-22",
            "ssi_changed_at": utc_text(now - timedelta(days=40)),
            "approvers": ["p-23", "p-24"],
        }
    if step == "settle":
        amount = f"{quantity * price:.2f} EUR"
        stated["settlement"] = {
            "settled_on": (day + SETTLES_AFTER).isoformat(),
            "amount": amount,
            "expected_amount": amount,
            "delivered_from": "firm",
        }
    if step == "reconcile":
        stated["reconciliation"] = {
            "quantity_difference": "0",
            "cash_difference": "0.00 EUR",
            "break_opened_on": day.isoformat(),
        }
    for group, facts in NOTHING_SPECIAL.get(step, {}).items():
        stated[group] = {**stated.get(group, {}), **facts}
    return {**stated}


def _change(
    properties: dict[str, Json], context: dict[str, Json], attempt: Attempt, *, now: datetime
) -> None:
    """Put what the attempt says into the request."""
    ago = {"an hour ago": timedelta(hours=1), "4 years ago": timedelta(days=1461)}
    for name, value in attempt.properties.items():
        lines = properties.get("allocations")
        if name == "allocations" and isinstance(lines, list):
            properties["allocations"] = lines[:1]
        else:
            properties[name] = value
    for name, value in attempt.context.items():
        group = context.get(name)
        if isinstance(value, dict) and isinstance(group, dict):
            group |= {
                inner: utc_text(now - ago[item]) if isinstance(item, str) and item in ago else item
                for inner, item in value.items()
            }
        else:
            context[name] = utc_text(now - ago[value]) if isinstance(value, str) and value in ago else value
