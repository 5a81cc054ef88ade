"""Lists and tables: what rules find in them, what a release keeps of them, and what they may not hold."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controls.model.chain import ChainHistory
from controls.model.condition import Facts, Truth, Verdict
from controls.model.errors import RuleFilesInvalid
from controls.model.finding import Cause, Finding
from controls.model.values import Money
from controls.rules.condition import ConditionInvalid, Names, WholeCondition, compile_condition
from controls.rules.csv_files import MAX_COLUMNS, MAX_LINE, MAX_ROWS
from controls.rules.datasets import Data
from controls.rules.engine import build_engine
from controls.rules.files import MAX_CSV_BYTES, decode_files
from controls.rules.lookups import MAX_WALKED
from controls.rules.release import Release, compile_release, release_from_document
from controls.rules.rule import Rule
from controls.services.records import is_private
from tests.rules.rule_sets import data_of_files, desk_files, diagnostics_of
from tests.rules.strategies import NAMES, NOW

LIST = "lists/restricted.csv"
TABLE = "tables/trader_limits.csv"
RESTRICTED = "isin:string,remark:note\nES0113900J37,until the results\nXS0000000009,\n"
LIMITS = """\
trader:string key,limit:money,desk:string?,remark:note
p-ana,2000000.00 EUR,equities,head of desk
p-luis,500.00 EUR,,
"""
RULES = """\
- id: a.restricted
  title: {en: Restricted, es: Restringido}
  source: {law: Policy, basis: policy}
  on: order.capture
  when: order.instrument in list.restricted
  then: deny
  message: {en: "{order.instrument} is restricted", es: "{order.instrument} está restringido"}
  examples:
    - {name: free, given: {order.instrument: FR0000120271}, expect: permit}
    - {name: restricted, given: {order.instrument: XS0000000009}, expect: deny}
    - {name: not said, expect: review}
- id: b.limit
  title: {en: Above the trader's limit, es: Por encima del límite}
  source: {law: Policy, basis: policy}
  on: order.capture
  when: order.notional > table.trader_limits[person.id].limit
  then: deny
  message:
    en: "{order.notional} passes {table.trader_limits[person.id].limit}"
    es: "{order.notional} supera {table.trader_limits[person.id].limit}"
  missing: deny
  examples:
    - {name: inside, given: {person.id: p-luis, order.notional: 500.00 EUR}, expect: permit}
    - {name: above, given: {person.id: p-luis, order.notional: 500.01 EUR}, expect: deny}
    - {name: nobody knows the trader, given: {person.id: p-eva, order.notional: 1.00 EUR}, expect: deny}
"""


def files(**changed: str) -> dict[str, str]:
    """The small desk with a list, a table and the two rules that use them."""
    return {**desk_files(), LIST: RESTRICTED, TABLE: LIMITS, "regulatory/a/rules.yaml": RULES} | {
        {"restricted": LIST, "limits": TABLE, "rules": "regulatory/a/rules.yaml"}[name]: text
        for name, text in changed.items()
    }


RELEASE = compile_release(files())


def versions(release: Release) -> dict[str, str]:
    return {rule.id: rule.version for rule in release.rules if rule.id in ("a.restricted", "b.limit")}


def rules(release: Release = RELEASE) -> list[Rule]:
    return [rule for rule in release.rules if rule.id in ("a.restricted", "b.limit")]


def findings(release: Release = RELEASE, **values: Any) -> tuple[Finding, ...]:
    with closing(build_engine("both", rules(release))) as engine:
        return engine.evaluate("order.capture", facts(**values))


def facts(**values: Any) -> Facts:
    named = {name.replace("__", "."): value for name, value in values.items()}
    return Facts(named, ChainHistory("order_to_settlement", "o-1"), NOW)


def euros(amount: str) -> Money:
    return Money(Decimal(amount), "EUR")


def condition(source: str, data: Data = NAMES.data) -> WholeCondition:
    return compile_condition(source, names=Names(facts=NAMES.facts, data=data))


def verdict(source: str, **values: Any) -> Verdict:
    found = condition(source)
    said = found.evaluate(facts(**values))
    assert found.test(facts(**values)) == said.truth
    return said


# What rules find


def test_a_rule_looks_into_a_list_and_a_table() -> None:
    """Both engines find the restricted issuer and the limit that is passed, and quote the limit."""
    found = findings(order__instrument="ES0113900J37", order__notional=euros("501"), person__id="p-luis")
    assert [item.rule for item in found] == ["a.restricted", "b.limit"]
    assert found[1].message.en == "501.00 EUR passes 500.00 EUR"
    assert findings(order__instrument="FR1", order__notional=euros("500"), person__id="p-luis") == ()


def test_a_finding_holds_what_was_looked_up_and_never_the_list() -> None:
    """The fact and the one cell are recorded; the list stands in the rule's version."""
    restricted, limit = findings(
        order__instrument="ES0113900J37", order__notional=euros("501"), person__id="p-luis"
    )
    assert restricted.values == {"order.instrument": "ES0113900J37"}
    assert limit.values == {
        "order.notional": euros("501"),
        "person.id": "p-luis",
        "table.trader_limits[person.id].limit": euros("500"),
    }


def test_a_cell_is_private_in_the_ledger() -> None:
    """A limit belongs to a person, and would tell which key was looked up."""
    assert is_private(RELEASE, "table.trader_limits[person.id].limit")


def test_a_key_that_is_not_there_is_missing() -> None:
    """Never false, never an error: the rule's policy says what follows, and people read which cell it was."""
    (found,) = findings(order__instrument="FR1", order__notional=euros("1"), person__id="p-eva")
    assert (found.rule, found.cause, found.effect.value) == ("b.limit", Cause.MISSING, "deny")
    assert found.missing == ("table.trader_limits[person.id].limit",)
    assert "table.trader_limits[person.id].limit" in found.message.en


def test_a_key_that_nobody_knows_names_the_fact() -> None:
    """Without the person it is the person that is missing, not the row."""
    (found,) = findings(order__instrument="FR1", order__notional=euros("1"))
    assert found.missing == ("person.id",)


T, F, U = Truth.TRUE, Truth.FALSE, Truth.UNKNOWN
SLOT, TAG = "table.slots[order.fills, true]", "table.limits[order.tags]"


@pytest.mark.parametrize(
    ("source", "values", "truth", "missing"),
    [
        ("order.side in list.symbols", {"order__side": "buy"}, T, ()),
        ("order.side in list.symbols", {"order__side": "Buy"}, F, ()),
        ("order.side in list.symbols", {}, U, ("order.side",)),
        ("order.side in list.nobody", {}, F, ()),
        ("!(order.side in list.nobody)", {}, T, ()),
        ("order.fills in list.sizes", {"order__fills": 100}, T, ()),
        ("order.quantity in list.counts", {"order__quantity": Decimal("3.00")}, T, ()),
        ("order.quantity in list.sizes", {"order__quantity": Decimal("0.50")}, T, ()),
        ("size(list.symbols) > order.fills", {"order__fills": 5}, T, ()),
        ("size(list.nobody) == order.fills", {"order__fills": 0}, T, ()),
        ("order.tags.exists(t, t in list.symbols)", {"order__tags": ("a", "ana")}, T, ()),
        ("list.symbols.exists(s, s.startsWith(order.side))", {"order__side": "b"}, T, ()),
        ("list.days.all(d, d > order.trade_date)", {}, U, ("order.trade_date",)),
        ("sum(list.sizes) == order.quantity", {"order__quantity": Decimal("99.25")}, T, ()),
        ("table.limits[order.side].lots > 3", {"order__side": "buy"}, T, ()),
        ("table.limits['ana'].lots == order.fills", {"order__fills": 0}, T, ()),
        ("table.limits['x'].lots == order.fills", {"order__fills": 0}, U, ('table.limits["x"].lots',)),
        ("table.limits[order.side].active", {"order__side": "sell"}, F, ()),
        ("table.limits[order.side].active", {"order__side": "ana"}, U, ("table.limits[order.side].active",)),
        ("table.limits[table.limits[order.side].desk].lots > 3", {"order__side": "sell"}, T, ()),
        ("table.slots[order.fills, order.short].size > 0", {"order__fills": 7, "order__short": False}, T, ()),
        ("table.slots[order.fills, true].size > 0", {"order__fills": 7}, U, (f"{SLOT}.size",)),
        ("table.slots[order.fills, order.short].size > 0", {}, U, ("order.fills", "order.short")),
        ("has(table.limits[order.side].lots)", {"order__side": "buy"}, T, ()),
        ("has(table.limits[order.side].lots)", {"order__side": "sell"}, F, ()),
        ("has(table.limits[order.side].lots)", {"order__side": "nobody"}, F, ()),
        ("has(table.limits[order.side].lots)", {}, U, ("order.side",)),
        ("order.tags.all(t, table.limits[t].lots > 3)", {"order__tags": ("x",)}, U, (f"{TAG}.lots",)),
        ("order.is_block && table.limits['x'].active", {"order__is_block": False}, F, ()),
        ("order.is_block || table.limits['x'].active", {"order__is_block": True}, T, ()),
    ],
)  # fmt: skip
def test_look_ups(source: str, values: dict[str, Any], truth: Truth, missing: tuple[str, ...]) -> None:
    """Kleene's tables over what is there, what is not, and what nobody said."""
    said = verdict(source, **values)
    assert (said.truth, said.missing, said.error) == (truth, missing, "")


def test_mixed_currencies_stay_an_error() -> None:
    """A limit in another currency cannot be compared with: an error, which asks for a review at least."""
    said = verdict("order.notional > table.limits['ana'].amount", order__notional=euros("1"))
    assert said.truth is Truth.UNKNOWN
    assert "cannot be mixed" in said.error


def test_cells_inside_a_macro_are_not_quoted() -> None:
    """Which of many cells a message would show is not known, so none is recorded and none may be named."""
    source = "order.tags.exists(t, table.limits[t].lots > 3)"
    assert verdict(source, order__tags=("buy", "ana")).read == {"order.tags": ("buy", "ana")}
    assert condition(source).cells == frozenset()


@pytest.mark.parametrize(
    "name", ["table.trader_limits[person.id].desk", "table.trader_limits", "list.restricted"]
)
def test_a_message_may_name_only_cells_that_are_read(name: str) -> None:
    """Another column or a whole list is no placeholder; the diagnostic says what is."""
    changed = RULES.replace('es: "{order.notional} supera', f'es: "{{{name}}} supera')
    (found,) = diagnostics_of(files(rules=changed))
    assert found.code == "bad_placeholder"
    assert "the rule reads order.notional, person.id, table.trader_limits[person.id].limit" in found.message


def test_duties_look_up_too() -> None:
    """A constraint's condition may read a list, and its version changes with it."""
    constraint = """\
- id: desk.restricted
  kind: separate
  steps: [capture, approve]
  then: deny
  when: order.instrument in list.restricted
"""
    found = [
        next(item for item in release.constraints if item.id == "desk.restricted")
        for text in (RESTRICTED, RESTRICTED + "XS1,\n", "isin:string\nXS0000000009\nES0113900J37\n")
        for release in [compile_release(files(restricted=text) | {"duties/more.yaml": constraint})]
    ]
    assert found[0].version != found[1].version
    assert found[0].version == found[2].version


# What a release keeps


def test_a_release_with_data_can_be_made_again_from_its_document() -> None:
    """The stored document alone gives the same rules, versions and answers."""
    again = release_from_document(RELEASE.document)
    assert again == RELEASE
    assert findings(again, order__instrument="XS0000000009", person__id="p-ana", order__notional=euros("2"))


def test_notes_and_layout_are_no_part_of_a_release() -> None:
    """Sorted rows, keys first, the other columns by name, and no note."""
    stored = json.loads(RELEASE.document)["files"]
    assert stored[LIST] == {"columns": ["isin:string"], "rows": [["ES0113900J37"], ["XS0000000009"]]}
    assert stored[TABLE] == {
        "columns": ["trader:string key", "desk:string?", "limit:money"],
        "rows": [["p-ana", "equities", "2000000.00 EUR"], ["p-luis", "", "500.00 EUR"]],
    }


WORDS = (
    st.text("abñ日 ,\"'-;", min_size=1, max_size=5)
    .map(str.strip)
    .filter(lambda word: word and word[0] != "-")
)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.dictionaries(
        st.tuples(WORDS, st.integers(-5, 5)),
        st.tuples(st.decimals("-99", "99", places=2), st.none() | WORDS),
        max_size=6,
    ),
    random=st.randoms(use_true_random=False),
)
def test_order_layout_quotes_and_notes_change_nothing(rows: dict[Any, Any], random: Any) -> None:
    """The same content, written in any way that CSV allows, is the same release to the byte."""

    def cell(text: str) -> str:
        if random.random() < 0.5 or not {",", '"'}.isdisjoint(text):
            text = '"' + text.replace('"', '""') + '"'
        return random.choice(("", " ", "\t")) + text + random.choice(("", "  "))

    def written() -> str:
        columns = [
            ("who : string key", lambda key, value: key[0]),
            ("rank:int key", lambda key, value: str(key[1])),
            ("ratio:decimal", lambda key, value: str(value[0])),
            ("desk:string ?", lambda key, value: value[1] or ""),
            ("remark:note", lambda key, value: random.choice(("", "why", "so"))),
        ]
        rest = columns[2:]
        random.shuffle(rest)
        columns = columns[:2] + rest
        random.shuffle(lines := list(rows.items()))
        end = random.choice(("\n", "\r\n", "\r"))
        texts = [",".join(name for name, _ in columns)]
        for key, value in lines:
            texts += ["," * 4] * (random.random() < 0.2)
            texts.append(",".join(cell(read(key, value)) for _, read in columns))
        return random.choice(("", "\ufeff")) + end.join(texts) + random.choice(("", end, 2 * end))

    documents = {compile_release({"tables/t.csv": written()}).document for _ in range(3)}
    assert len(documents) == 1
    document = documents.pop()
    assert release_from_document(document).document == document


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ({"restricted": RESTRICTED + "FR0000120271,\n"}, {"a.restricted"}),
        ({"restricted": RESTRICTED.replace("ES0113900J37,until the results\n", "")}, {"a.restricted"}),
        ({"limits": LIMITS.replace("500.00", "500.01")}, {"b.limit"}),
        ({"limits": LIMITS + "p-eva,1.00 EUR,,\n"}, {"b.limit"}),
        ({"limits": LIMITS.replace("equities", "bonds")}, set()),
        ({"limits": LIMITS.replace("500.00", "500.0")}, set()),
    ],
)
def test_a_rule_changes_with_what_it_reads(change: dict[str, str], changed: set[str]) -> None:
    """The digest of the release changes with any cell, a rule's version with the cells that it could read."""
    before, after = RELEASE, compile_release(files(**change))
    assert after.digest != before.digest
    assert {id_ for id_, version in versions(after).items() if version != versions(before)[id_]} == changed


def test_rules_without_data_keep_their_versions() -> None:
    """A release that gains a list changes no rule that does not read it."""
    plain = {rule.id: rule.version for rule in compile_release(desk_files()).rules}
    assert {rule.id: rule.version for rule in RELEASE.rules if rule.id in plain} == plain


def test_leaves_of_different_lists_are_told_apart() -> None:
    """Two releases whose lists share a name do not share a leaf."""
    one, other = (
        condition("order.side in list.a", data_of_files({"lists/a.csv": f"item:string\n{item}\n"}))
        for item in ("buy", "sell")
    )
    assert one.key != other.key


@pytest.mark.parametrize(
    "spoil",
    [
        lambda stored: stored[LIST]["rows"].reverse(),
        lambda stored: stored[LIST]["rows"].append(["ES0113900J37"]),
        lambda stored: stored[LIST]["rows"].append([1]),
        lambda stored: stored[LIST]["rows"].append("XS1"),
        lambda stored: stored[LIST]["rows"].append(["XT1", "more"]),
        lambda stored: stored[LIST].update(rows={}),
        lambda stored: stored[LIST].update(more=[]),
        lambda stored: stored[LIST].update(columns=["isin: string"]),
        lambda stored: stored[TABLE].update(columns=["trader:string key", "limit:money", "desk:string?"]),
        lambda stored: stored.update({LIST: []}),
        lambda stored: stored.update({"lists/Other.csv": stored[LIST]}),
        lambda stored: stored.update({LIST: {"columns": ["n:int"], "rows": [["1"]] * (MAX_ROWS + 1)}}),
    ],
)  # fmt: skip
def test_spoilt_data_in_a_document_is_refused(spoil: Callable[[Any], None]) -> None:
    """What no loader could have stored is named as such."""
    document = json.loads(RELEASE.document)
    spoil(document["files"])
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    with pytest.raises(RuleFilesInvalid) as caught:
        release_from_document(text.encode())
    assert caught.value.diagnostics[0].code == "bad_document"


# Size


MANY = "n:string\n" + "".join(f"XS{number:010}\n" for number in range(MAX_ROWS))


def test_a_long_list_is_looked_up_and_never_copied() -> None:
    """100,000 rows load in seconds; a look-up costs what it costs in a short list; findings stay small."""
    started = time.perf_counter()
    data = data_of_files({"lists/many.csv": MANY, "lists/few.csv": "n:string\nXS1\n"})
    assert time.perf_counter() - started < 10
    assert len(data.lists["many"].members) == MAX_ROWS
    many, few = (condition(f"order.side in list.{name}", data) for name in ("many", "few"))
    inside, outside = facts(order__side="XS0000099999"), facts(order__side="no")
    assert (many.test(inside), many.test(outside)) == (2, 0)
    assert many.evaluate(inside).read == {"order.side": "XS0000099999"}

    def cost(of: WholeCondition) -> float:
        started = time.perf_counter()
        for _ in range(2_000):
            of.test(outside)
        return time.perf_counter() - started

    # Row by row it would be some 10,000 times as much.
    assert min(cost(many) for _ in range(5)) < 20 * min(cost(few) for _ in range(5))
    assert len(many.key) < 100


@pytest.mark.parametrize(
    ("source", "refused"),
    [
        ("order.side in list.many", False),
        ("size(list.many) > order.fills", False),
        ("order.tags.exists(t, t in list.many)", False),
        ("list.many.exists(x, x == order.side)", True),
        ("size(list.many.filter(x, x != order.side)) > 0", True),
        ("size(distinct(list.many)) > order.fills", True),
        ("order.side in (order.is_block ? list.many : order.tags)", True),
    ],
)
def test_nothing_goes_through_a_long_list(source: str, refused: bool) -> None:
    """What would cost every request a walk through the list is refused at load; look-ups are not."""
    data = data_of_files({"lists/many.csv": "n:string\n" + "".join(f"{n}\n" for n in range(MAX_WALKED + 1))})
    if not refused:
        assert condition(source, data).data.keys() == {"list.many"}
        return
    with pytest.raises(ConditionInvalid) as caught:
        condition(source, data)
    (error,) = caught.value.errors
    assert error.code == "too_large"
    assert "1,001 items" in error.message
    assert source[error.offset : error.offset + error.length] == "list.many"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (MANY + "one\n", "wrong_length"),
        ("n:string," + ",".join(f"c{n}:note" for n in range(MAX_COLUMNS)), "wrong_length"),
        ("n:string\n" + "x" * 1_025, "bad_value"),
        ("n:string\n" + "x" * (MAX_LINE + 1), "too_long"),
        ("n:string,r:note\n" + ",".join(['"' + '""' * 29_000]), "bad_csv"),
        ("n:string\n" + " " * (MAX_LINE - 2) + '"x', "bad_csv"),
        ("n:string\n" + "x\n" * (MAX_CSV_BYTES // 2), "release_too_large"),
        ("n:string\n" + "é\n" * (MAX_CSV_BYTES // 3), "file_too_large"),
        ("n:string\na\u202eb", "bad_character"),
        ("n:string\na\xa0b", "bad_character"),
        ("n:string\na\x00b", "bad_character"),
        ("n:string\n\ud800", "bad_character"),
    ],
)
def test_large_and_hostile_files_are_refused(text: str, code: str) -> None:
    """Each bound and each trap has a clear diagnostic, within a moment."""
    started = time.perf_counter()
    assert [item.code for item in diagnostics_of({"lists/n.csv": text})] == [code]
    assert time.perf_counter() - started < 10


def test_a_hundred_thousand_mistakes_are_a_thousand_diagnostics() -> None:
    """The number of diagnostics is bounded, and so is the time to find their places."""
    started = time.perf_counter()
    found = diagnostics_of({"lists/n.csv": MANY.replace("n:string", "n:int")})
    assert len(found) == 1_001
    assert found[-1].code == "too_many"
    assert time.perf_counter() - started < 20


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1", "cp1252"])
def test_a_file_in_another_encoding_is_refused(encoding: str) -> None:
    """What a spreadsheet saves in the machine's own encoding is named, not guessed at."""
    with pytest.raises(RuleFilesInvalid) as caught:
        decode_files({"lists/n.csv": "n:string\nÑandú\n".encode(encoding)})
    assert caught.value.diagnostics[0].code == "not_utf8"
    assert decode_files({"lists/n.csv": "n:string\nÑandú\n".encode("utf-8-sig")})
