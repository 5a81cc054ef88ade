"""Codes about the text of rule files and their structure."""

from __future__ import annotations

from typing import Final

from controls.rules.explanations import (
    CHAIN,
    DUTY,
    LIST,
    RATES,
    SMALL,
    TABLE,
    VOCABULARY,
    WHEN,
    Change,
    Explanation,
)
from controls.rules.rates import RATE_HEADER

OF_FILES: Final = (
    Explanation(
        "bad_character",
        "A character cannot be seen, or changes the order in which text is shown.",
        "Remove it; type the word anew.",
        Change("Order\u202e too large", "Order too large"),
    ),
    Explanation(
        "bad_document",
        "A stored release is not the canonical JSON that the service wrote.",
        "Restore the database; the release cannot be trusted.",
        "bytes of a stored release that somebody changed",
    ),
    Explanation(
        "bad_key",
        "A key of a mapping is not plain text.",
        "Write a word before the colon.",
        Change("[a]: 1"),
    ),
    Explanation(
        "bad_tag",
        "YAML tags such as !!float give values a hidden meaning; text that begins with ! is taken for one.",
        "Remove the tag; put quotes around a condition that begins with !.",
        Change("!!binary deny", "deny"),
    ),
    Explanation(
        "bad_yaml",
        "The file is not YAML: a bracket, a quote or an indentation is wrong.",
        "Look at the place named and just before it.",
        Change("[order.capture", "order.capture"),
    ),
    Explanation(
        "directive",
        "The file begins with a `%` line.",
        "Remove that line.",
        Change("%YAML 1.2\n---\nid: x\n"),
    ),
    Explanation(
        "duplicate_key",
        "A mapping has the same key twice, so one of them would be lost.",
        "Remove or rename one.",
        Change(("then: deny\n  then: review"), "then: deny"),
    ),
    Explanation(
        "empty_file",
        "The file holds nothing but comments.",
        "Fill it or remove it.",
        Change("# later\n"),
    ),
    Explanation(
        "file_too_large",
        "A file is larger than 1 MiB or holds more than 100,000 values.",
        "Split it into several files.",
        "a file of two megabytes",
    ),
    Explanation(
        "not_utf8",
        "The file is not saved in UTF-8.",
        "Save it in UTF-8.",
        "a file saved in Latin-1 with an accented letter",
    ),
    Explanation(
        "release_too_large",
        "All rule files together are larger than the service takes.",
        "Remove what is no longer needed, or split the tenants.",
        "files of more than eight megabytes together",
    ),
    Explanation(
        "several_documents",
        "A file holds several YAML documents.",
        "Remove the `---`, or make several files.",
        Change("id: a\n---\nid: b\n"),
    ),
    Explanation(
        "too_deep",
        "Brackets or levels stand too deep inside one another to be read.",
        "Split the rule, or name parts of it.",
        "a condition of forty brackets inside one another",
    ),
    Explanation(
        "too_large",
        "A condition has more parts than anybody can check.",
        "Split the rule into several.",
        "a condition of 150 comparisons",
    ),
    Explanation(
        "too_many",
        "There are more than a thousand mistakes; the rest is not listed.",
        "Mend the first ones and check again.",
        "a file with a mistake on each of 1,200 lines",
    ),
    Explanation(
        "too_many_aliases",
        "YAML aliases (`*name`) repeat too much.",
        "Write the text out where it is needed.",
        "aliases of aliases that grow tenfold at each step",
    ),
    Explanation(
        "too_many_files",
        "There are more than 2,000 rule files.",
        "Put several rules into one file.",
        "2,001 files",
    ),
    Explanation(
        "unknown_alias",
        "`*name` repeats something that no `&name` has named before.",
        "Name it first, or write it out.",
        Change("*law", "{law: Firm policy, basis: policy}"),
    ),
    Explanation(
        "unknown_file",
        "A file is at a place where no rule file belongs, so it would be ignored.",
        "Move, rename or remove it.",
        Change("a: b\n", file="rules.yaml"),
    ),
    Explanation(
        "unquoted_number",
        (
            "A fraction or an unusual number is not in quotes, and YAML readers would take "
            "it for different numbers."
        ),
        'Quote it: "0.05".',
        Change("value: 0.5", "value: 100"),
    ),
    Explanation(
        "bad_date",
        "A date is not a day of the calendar.",
        "Write year-month-day: 2026-03-02.",
        Change(("then: deny\n  effective: {from: 2026-02-30}"), "then: deny"),
    ),
    Explanation(
        "bad_duration",
        "`claim_valid_for` or `resembles` is no span of time.",
        "Write it as PT24H or P2D.",
        Change(("resource: order\nclaim_valid_for: a day"), "resource: order", CHAIN),
    ),
    Explanation(
        "not_comparable",
        "`resembles` compares chains by facts that are not material to this kind.",
        "List the account, instrument, side and quantity of the resource under `material`, or remove it.",
        Change("resource: order\nresembles: P5D", "resource: order", CHAIN),
    ),
    Explanation(
        "bad_text",
        "A name has characters that such a name cannot have.",
        "Use what the message names.",
        Change("id: Pre Size", "id: pre.size"),
    ),
    Explanation(
        "bad_value",
        "A value is not of its declared type.",
        "Write it as the message says.",
        Change('{order.quantity: "five", order.side: buy}', SMALL),
    ),
    Explanation(
        "parameter_bounds",
        "A parameter's value lies outside of the bounds that stand beside it.",
        "Take a value between `min` and `max`, or agree with the rule's owner on other bounds.",
        Change("limit: {max: 10, value", "limit: {value"),
    ),
    Explanation(
        "duplicate_id",
        "Two things have the same name.",
        "Rename one.",
        Change("name: small", "name: large"),
    ),
    Explanation(
        "duplicate_item",
        "A list names the same thing twice.",
        "Remove one.",
        Change("[order.capture, order.capture]", "order.capture"),
    ),
    Explanation(
        "empty_text",
        "A text is blank.",
        "Write it.",
        Change('law: " "', "law: Firm policy"),
    ),
    Explanation(
        "empty_translation",
        "A text is missing in English or in Spanish: people read both.",
        "Write it in both languages.",
        Change("{en: Order too large}", "{en: Order too large, es: Orden demasiado grande}"),
    ),
    Explanation(
        "empty_value",
        "A key has no value.",
        "Write the value, or remove the key.",
        Change("then:", "then: deny"),
    ),
    Explanation(
        "misplaced_key",
        "A key stands where it has no meaning.",
        "Remove it, or write what it belongs to.",
        Change(("then: deny\n  because: it may"), "then: deny"),
    ),
    Explanation(
        "missing_key",
        "Something that must be said is not there.",
        "Add the key.",
        Change("", "  then: deny\n"),
    ),
    Explanation(
        "out_of_range",
        "A number or moment is outside of what is possible there.",
        "Use one within the limits named.",
        Change("- {id: sod.most, kind: at_most, steps: [capture, approve], max: 0, then: deny}\n", file=DUTY),
    ),
    Explanation(
        "too_long",
        "A text is longer than it may be.",
        "Shorten it.",
        Change("max_length: 2, values: [buy, sell]", "values: [buy, sell]", VOCABULARY),
    ),
    Explanation(
        "unknown_key",
        "A key is not known there, so it would be ignored.",
        "Correct its spelling, or remove it.",
        Change("wen:", "when:"),
    ),
    Explanation(
        "unknown_kind",
        "There is no such kind of duty constraint.",
        "Use one of those named.",
        Change("kind: seperate", "kind: separate", DUTY),
    ),
    Explanation(
        "unknown_value",
        "A word is not one of the few that may stand there.",
        "Use one of those named.",
        Change("then: refuse", "then: deny"),
    ),
    Explanation(
        "wrong_length",
        "A list or mapping has too few or too many entries.",
        "Keep within the limits named.",
        Change("steps: [capture]", "steps: [capture, approve]", DUTY),
    ),
    Explanation(
        "wrong_type",
        "A value is of another type than what stands there needs.",
        "Write what the message names.",
        Change("order.quantity && order.side == desk", WHEN),
    ),
    # Lists and tables
    Explanation(
        "bad_column",
        "The header of a list or table has a column that cannot be understood.",
        "Write name:type, with ` key` or `?` behind it where that is meant.",
        Change("trader string key,limit:money\n", file=TABLE),
    ),
    Explanation(
        "bad_csv",
        "A line is not CSV: another separator, or quotes that do not fit.",
        "Save it as CSV with commas, and put quotes around all of a cell.",
        Change("isin:string;remark:note\n", file=LIST),
    ),
    Explanation(
        "bad_header",
        "The columns do not make a list (one column), a table (keys and what is looked up) or rates.",
        "Move it from lists/ to tables/ or the other way round, mark a key, or give rates the columns named.",
        Change("isin:string,price:decimal\n", file=LIST),
    ),
    Explanation(
        "duplicate_column",
        "Two columns have the same name.",
        "Rename one.",
        Change("trader:string key,limit:money,limit:int\n", file=TABLE),
    ),
    Explanation(
        "empty_cell",
        "A cell is empty where something must stand.",
        "Fill it, or mark the column with `?` behind its type.",
        Change("trader:string key,limit:money\nana,\n", file=TABLE),
    ),
    Explanation(
        "formula_cell",
        "A spreadsheet would take the cell for a formula and could run it.",
        "Write the value itself.",
        Change("isin:string\n=1+1\n", file=LIST),
    ),
    Explanation(
        "overlapping_rates",
        "A table of rates says twice what two currencies are worth on a day.",
        "Let one row end before the other begins, and state each pair in one direction.",
        Change(
            (f"{RATE_HEADER}\nEUR,USD,2026-03-01,2026-03-31,1.08\nUSD,EUR,2026-03-15,2026-04-15,0.92\n"),
            file=RATES,
        ),
    ),
)
