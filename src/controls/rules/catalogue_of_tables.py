"""Codes about decision tables."""

from __future__ import annotations

from typing import Final

from controls.rules.explanations import ROWS, SIDES, Change, Explanation

OF_TABLES: Final = (
    Explanation(
        "bad_cell",
        "A cell of a decision table cannot be read.",
        "Write it as the message shows: a value, a range, a list, not(...), or - for any.",
        Change(
            (
                "    hit: unique\n"
                "    inputs: [order.side]\n"
                "    rows:\n"
                '      - {order.side: "buy,sell", then: permit}\n'
            ),
            ROWS,
            SIDES,
        ),
    ),
    Explanation(
        "conflicting_rows",
        "Two rows take the same input and say different things, and the table says that they agree.",
        "Make them agree, or choose another `hit`.",
        Change(
            (
                "    hit: any\n"
                "    inputs: [order.side]\n"
                "    rows:\n"
                "      - {order.side: buy, then: permit}\n"
                '      - {order.side: "-", then: deny}\n'
            ),
            ROWS,
            SIDES,
        ),
    ),
    Explanation(
        "empty_range",
        "A range has no value in it.",
        "Put the lower bound first.",
        Change(
            (
                "    hit: unique\n"
                "    inputs: [order.quantity]\n"
                "    rows:\n"
                '      - {order.quantity: "(5..5)", then: deny}\n'
                '      - {order.quantity: "-", then: permit}\n'
            ),
            ROWS,
            SIDES,
        ),
    ),
    Explanation(
        "impossible_cell",
        "No value that the fact may have passes the cell's test.",
        "Correct the cell, or remove the row.",
        Change(
            (
                "    hit: unique\n"
                "    inputs: [order.side]\n"
                "    rows:\n"
                '      - {order.side: "not(buy, sell)", then: deny}\n'
                '      - {order.side: "-", then: permit}\n'
            ),
            ROWS,
            SIDES,
        ),
    ),
    Explanation(
        "mixed_currencies",
        "A column compares amounts of two currencies, which no rate joins.",
        "Take convert(...) into one of them as the input, or currency(...) and amount(...) as two.",
        Change(
            (
                "    hit: unique\n"
                "    inputs: [order.value]\n"
                "    rows:\n"
                '      - {order.value: "< 5 EUR", then: permit}\n'
                '      - {order.value: ">= 5 USD", then: deny}\n'
            ),
            ROWS,
            SIDES,
        ),
    ),
    Explanation(
        "not_decided",
        "A table is too intricate to find out whether its rows overlap or leave gaps.",
        "State a `default`, split the table, or give it fewer inputs.",
        "a table of many rows over many inputs",
    ),
    Explanation(
        "overlapping_rows",
        "Two rows take the same input, and the table says that only one does.",
        "Narrow one of them, or choose another `hit`.",
        Change(
            (
                "    hit: unique\n"
                "    inputs: [order.side]\n"
                "    rows:\n"
                "      - {order.side: buy, then: permit}\n"
                '      - {order.side: "-", then: deny}\n'
            ),
            ROWS,
            SIDES,
        ),
    ),
    Explanation(
        "uncovered_input",
        "No row takes some input, so that the table would say nothing about it.",
        "Add a row, or a `default`.",
        Change(
            ("    hit: unique\n    inputs: [order.side]\n    rows:\n      - {order.side: buy, then: deny}\n"),
            ROWS,
            SIDES,
        ),
    ),
    Explanation(
        "unreachable_row",
        "The rows before take all that this row takes.",
        "Remove it, or move it up.",
        Change(
            (
                "    hit: first\n"
                "    inputs: [order.side]\n"
                "    rows:\n"
                "      - {order.side: buy, then: permit}\n"
                '      - {order.side: "-", then: deny}\n'
                "      - {order.side: sell, then: review}\n"
            ),
            ROWS,
            SIDES,
        ),
    ),
    Explanation(
        "unused_file",
        "A file of rows is named by no rule.",
        "Name it in a rule's `table`, or remove it.",
        Change("order.side,then\nbuy,permit\n", file="decisions/old.csv"),
    ),
    Explanation(
        "unused_input",
        "No row tests an input.",
        "Remove the input, or write a test for it.",
        Change(
            (
                "    hit: unique\n"
                "    inputs: [order.side, order.quantity]\n"
                "    rows:\n"
                '      - {order.side: buy, order.quantity: "-", then: permit}\n'
                '      - {order.side: sell, order.quantity: "-", then: deny}\n'
            ),
            ROWS,
            SIDES,
        ),
    ),
)
