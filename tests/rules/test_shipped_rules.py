"""The files in `rules/`: complete, in two languages, true to their examples, and usable by a real desk."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import jsonschema_rs
import pytest

from controls.duties.constraints import FORMULAS, Asked, concerns, exclusive_roles
from controls.model.chain import Act, ActState, Capacity, ChainHistory
from controls.model.duty import ConstraintKind
from controls.model.finding import Effect, Text
from controls.model.people import Profile
from controls.rules.changed_rules import changed_law_parameters
from controls.rules.changes import ChangeClass
from controls.rules.diagnostics import Diagnostics
from controls.rules.engine import ENGINES, build_engine
from controls.rules.examples import facts_of_example, run_examples
from controls.rules.files import read_yaml
from controls.rules.nodes import as_json
from controls.rules.release import compile_release
from controls.rules.rule import MissingPolicy, Rule
from controls.rules.rule_sets import bare_rule_set
from controls.rules.schema import json_schema
from controls.rules.structure import FileKind
from tests.rules.rule_sets import diagnostics_of
from tests.rules.shipped_desk import (
    FIXTURES,
    KIND,
    RULES,
    STEPS,
    Desk,
    a_request,
    findings_of,
    shipped_files,
    shipped_release,
)

STAGES = {
    "capture", "pre_trade", "execution", "allocation", "confirmation", "instruction", "settlement",
    "reconciliation", "reporting", "valuation",
}  # fmt: skip
ATTEMPTS: list[dict[str, Any]] = json.loads((FIXTURES / "attempts.json").read_text(encoding="utf-8"))


def kind_of(path: str) -> FileKind:
    folders = {
        "chains": FileKind.CHAIN,
        "duties": FileKind.DUTY,
        "aggregates": FileKind.AGGREGATE,
        "regulatory": FileKind.RULE,
        "decisions": FileKind.DECISION,
        "calendars": FileKind.CALENDAR,
        "scenarios": FileKind.SCENARIO,
    }
    return folders.get(path.partition("/")[0]) or FileKind(path.removesuffix(".yaml"))


# --- The files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(FileKind))
def test_schemas_are_those_of_the_loader(kind: FileKind) -> None:
    """The committed JSON Schemas are what `controls rules schema` prints today."""
    committed = (RULES / ".schemas" / f"{kind}.json").read_text(encoding="utf-8")
    current = json.dumps(json_schema(kind), indent=2, ensure_ascii=False) + "\n"
    assert committed == current, "write them again: controls rules schema --output rules/.schemas"


@pytest.mark.parametrize("path", sorted(path for path in shipped_files() if path.endswith(".yaml")))
def test_every_file_names_its_schema_and_fits_it(path: str) -> None:
    """The first line leads an editor to the schema of just this kind of file, which accepts the file."""
    text = (RULES / path).read_text(encoding="utf-8")
    named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", text.splitlines()[0])
    assert named is not None
    schema = (RULES / path).parent / named[1]
    assert schema.resolve() == RULES / ".schemas" / f"{kind_of(path)}.json"
    diagnostics = Diagnostics()
    node = read_yaml(path, text, diagnostics)
    assert node is not None
    jsonschema_rs.Draft202012Validator(json.loads(schema.read_text(encoding="utf-8"))).validate(as_json(node))


def test_the_files_make_a_release() -> None:
    """There is nothing wrong with any of them."""
    assert [str(item) for item in diagnostics_of(dict(shipped_files()))] == []


def test_every_stage_has_rules() -> None:
    """There is a rule for each stage of the reference and for each step of the chain."""
    rules = shipped_release().rules
    assert {rule.file.split("/")[1] for rule in rules} == STAGES
    assert {f"order.{step}" for step in STEPS} <= {action for rule in rules for action in rule.on}
    assert len(rules) >= 14


def test_the_chain_is_the_one_of_the_design() -> None:
    """Eight steps in one line, with the material facts of an order and lines at the allocation."""
    chain = shipped_release().chains["order"]
    assert (chain.id, tuple(step.id for step in chain.steps)) == (KIND, STEPS)
    assert [step.after for step in chain.steps] == [(), *((step,) for step in STEPS[:-1])]
    traded = tuple(f"order.{name}" for name in ("account", "instrument", "side", "quantity", "notional"))
    assert chain.material == (
        *traded,
        "order.order_type",
        "order.capacity",
        "order.service",
        "account.advised",
        "instrument.asset_class",
        "market.region",
    )
    assert all(set(traded) <= set(chain.material_of(step)) for step in chain.steps)
    assert [step.id for step in chain.steps if step.reapprove] == ["approve", "instruct"]
    assert {step.id: step.lines for step in chain.steps if step.lines} == {"allocate": "order.allocations"}
    assert not chain.sole_actor_allowed
    assert not chain.free_order


# --- Words ----------------------------------------------------------------------------------------------


def texts() -> Iterator[tuple[str, Text]]:
    release = shipped_release()
    for rule in release.rules:
        yield f"{rule.id} title", rule.title
        yield f"{rule.id} message", rule.message
    for constraint in release.constraints:
        yield f"{constraint.id} title", constraint.title
    for name, fact in release.vocabulary.facts.items():
        yield f"{name} label", fact.label
    for role, title in release.role_titles.items():
        yield f"{role} title", title
    for chain in release.chains.values():
        yield f"{chain.id} title", chain.title
        yield from ((f"{step.id} title", step.title) for step in chain.steps)


def test_everything_a_person_reads_is_in_two_languages() -> None:
    """Nothing was left untranslated; only words that are the same in both languages are the same."""
    same = {name for name, text in texts() if text.en == text.es or not text.en or not text.es}
    assert same == {"auditor title", "supervisor title"}


def test_messages_show_the_same_values_in_both_languages() -> None:
    """Every rule's message quotes a fact, and the translation quotes the same ones."""
    for rule in shipped_release().rules:
        english, spanish = (
            set(re.findall(r"\{([^{}]+)\}", text)) for text in (rule.message.en, rule.message.es)
        )
        assert english == spanish, rule.id
        assert english & (rule.condition.names | {"person.id"}), rule.id


def test_every_rule_and_duty_names_its_sources() -> None:
    """Each has a source with its basis, each rule an owner and a first day."""
    release = shipped_release()
    for rule in release.rules:
        assert rule.sources, rule.id
        assert rule.owner, rule.id
        assert all(period.start is not None for period in rule.periods), rule.id
    own = [item for item in release.constraints if item.chain in ("", KIND)]
    built_in = {ConstraintKind.WHOLE_CHAIN, ConstraintKind.SOLE_ACTOR}
    assert all(item.sources for item in own if item.kind not in built_in)


def test_every_rule_names_its_jurisdictions() -> None:
    """A firm can tell whose law each of them comes from."""
    rules = shipped_release().rules
    assert {code for item in rules for code in item.jurisdiction} == {"EU", "ES", "US"}
    assert [item.id for item in rules if not item.jurisdiction] == []


def test_what_identifies_somebody_is_private() -> None:
    """Clients, accounts, persons, references and reasons stand in the ledger as commitments only."""
    facts = shipped_release().vocabulary.facts
    private = {name for name, fact in facts.items() if not fact.public}
    words = (
        "client.",
        "account.",
        "personal.",
        "reconciliation.",
        "suspicion.",
        "instruction.ssi_created",
        "instruction.ssi_approved",
        "instruction.ssi_called_back",
        "override.risk_verifier",
        "override.authoriser",
        "fund.exposures",
        "margin.equity",
        "order.deviation_approver",
        "order.reallocation_approvers",
        "portfolio.loss",
        "valuation.portfolio_managers",
    )
    assert {name for name in facts if name.startswith(words)} <= private
    assert {"order.account", "order.allocations", "order.statement_lines", "instruction.approvers"} <= private
    assert {"order.instrument", "order.side", "order.quantity", "market.region"}.isdisjoint(private)


# --- Rules ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["durable", "reference"])
def test_every_example_holds(name: str) -> None:
    """All examples of all rules, on each engine."""
    with closing(build_engine(name, shipped_release().rules)) as engine:
        results = run_examples(shipped_release(), [engine])
    assert [result for result in results if not result.passed] == []
    assert len(results) >= 2 * len(shipped_release().rules)


@pytest.mark.parametrize("name", ENGINES)
def test_a_rule_finds_alone_what_it_finds_among_the_others(name: str) -> None:
    """In one example of each rule, decision tables included, and two of its actions."""
    release = shipped_release()
    with closing(build_engine(name, release.rules)) as engine:
        for rule in release.rules:
            facts = facts_of_example(release, rule, rule.examples[-1])
            for action in rule.on[:2]:
                everything = engine.evaluate(action, facts)
                alone = engine.evaluate_rule(rule, action, facts)
                assert alone == tuple(item for item in everything if item.rule == rule.id)


def unknown(rule: Rule) -> str:
    """What the rule answers when it cannot tell."""
    return "permit" if rule.missing is MissingPolicy.SKIP else rule.missing.value


# The law says close of business and no hour: that is the firm's.
CLOSE_OF_BUSINESS = {"cnf.eu_csdr_alloc_confirm"}

# What these rules read is always known: presence alone, or what the chain itself knows.
ALWAYS_KNOWN = {
    "all.reallocation",
    "exe.sequence_priority",
    "org.retention_hold",
    "pre.override_review",
}


def test_every_rule_is_shown_firing_and_silent_and_in_the_dark() -> None:
    """The examples hold a case for each answer, the one for missing facts included."""
    for rule in shipped_release().rules:
        expected = {example.expect for example in rule.examples}
        assert {rule.then.value, "permit"} <= expected, rule.id
        assert rule.id in ALWAYS_KNOWN or unknown(rule) in expected, rule.id


def test_every_rule_is_shown_twice_each_way() -> None:
    """Two examples that fire and two that do not, at least, and no two alike: a limit has two sides."""
    for rule in shipped_release().rules:
        asked = {
            (
                example.expect,
                json.dumps(example.given, sort_keys=True),
                example.action,
                example.at,
                example.performed,
            )
            for example in rule.examples
        }
        assert len(asked) == len(rule.examples), rule.id
        expected = [example.expect for example in rule.examples]
        assert expected.count(rule.then.value) >= 2, rule.id
        assert expected.count("permit") >= 2, rule.id


def test_deadlines_of_law_are_parameters_of_law() -> None:
    """So that no later release gives more time unseen; the end of the day itself needs no figure."""
    rules = [rule for rule in shipped_release().rules if rule.due is not None]
    assert len(rules) > 25
    for rule in rules:
        assert rule.due is not None
        ends_today = rule.due.within is None and rule.due.days == 0 and rule.due.at == timedelta(hours=24)
        bases = {rule.parameters[name].basis for name in rule.due.parameters.values()}
        if all(source.basis == "law" for source in rule.sources) and not ends_today:
            assert "law" in bases or rule.id in CLOSE_OF_BUSINESS, rule.id


def test_a_release_that_gives_more_time_than_the_law_is_known_to() -> None:
    """From one settlement day to two: a loosening of a parameter of law, which activation refuses."""
    files = dict(shipped_files())
    text = files["regulatory/settlement/closeout.yaml"]
    short, rest = text.split("days_allowed: {value: 1,", 1)
    files["regulatory/settlement/closeout.yaml"] = f"{short}days_allowed: {{value: 2,{rest}"
    before, after = bare_rule_set(shipped_release()), bare_rule_set(compile_release(files))
    (found,) = changed_law_parameters(before, after)
    assert (found.id, found.kind) == ("set.regsho_closeout.short.days_allowed", ChangeClass.LOOSENING)
    assert "09:30 America/New_York instead of" in found.reason


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("S01 org.front_back", {"front_back", "execute_instruct", "execute_settle"}),
        ("S02 org.risk_independent", {"risk_independent", "approval_independent"}),
        ("S03 org.no_self_supervision", {"no_self_supervision", "capture_approve", "not_my_superior"}),
        ("S04 org.multi_function", {"multi_function", "control_functions", "few_hands"}),
        ("S05 org.spain", {"front_back", "risk_independent", "control_functions"}),
        ("S06 org.sox", {"finance_apart", "execute_reconcile", "instruct_reconcile", "settle_reconcile"}),
        ("S07 org.rulepack_change", {"rulepack_change", "administrators_apart"}),
        (
            "S08 org.whole_chain",
            {"few_hands", "half_a_chain", "two_of_four_duties", "ring_of_two", "three_people"},
        ),
        ("S09 org.retention_hold", {"org.retention_hold", "org.legal_hold"}),
    ],
)
def test_the_organisational_duties_are_found_by_their_names(name: str, ids: set[str]) -> None:
    """Each of S01 to S09 stands in the sources of what enforces it."""
    release = shipped_release()
    named = {
        item.id
        for item in (*release.constraints, *release.rules)
        if any(name in source.article for source in item.sources)
    }
    assert ids <= named


# --- A normal order -------------------------------------------------------------------------------------


# What was filled of the block, as the later steps say.
FILLED_OF_BLOCK: dict[str, dict[str, Any]] = {
    "confirm": {
        "order.filled_quantity": "6000",
        "confirmation.quantity": "6000",
        "confirmation.consideration": "27286.92 EUR",
        "confirmation.costs": "10.92 EUR",
    },
    "settle": {
        "order.filled_quantity": "6000",
        "settlement.amount": "27286.92 EUR",
        "settlement.expected_amount": "27286.92 EUR",
    },
}


def normal(desk: Desk, *, block: bool = False, until: str = "") -> None:
    """Plays the order with its usual people, up to but without the step `until`."""
    for step in STEPS:
        if step == until:
            return
        name = f"block_{step}" if block and step in ("execute", "allocate") else step
        decision = desk.ask(name, changes=FILLED_OF_BLOCK.get(step, {}) if block else {})
        assert (decision.outcome, findings_of(decision)) == ("permit", []), (step, decision.findings)


@pytest.mark.parametrize("block", [False, True], ids=["one client", "block"])
def test_a_complete_order_passes_every_step(block: bool) -> None:
    """With the usual people and complete requests, all eight steps get a plain permit."""
    desk = Desk()
    normal(desk, block=block)
    assert [act.step for act in desk.history.acts] == list(STEPS)
    assert len(desk.history.actors()) == 6


def test_the_permit_to_execute_carries_the_duties_that_follow() -> None:
    """Obligations come with what a machine needs to follow them up: the duty and the moment it is due."""
    desk = Desk()
    normal(desk, until="execute")
    told = [item.as_json() for item in desk.ask("execute").obligations]
    assert {item["rule"]: (item["properties"]["duty"], item["due_at"], item["zone"]) for item in told} == {
        "cnf.eu_csdr_alloc_confirm": ("allocate_and_confirm", "2026-03-02T17:00:00.000000Z", "Europe/Madrid"),
        "cnf.client_notice_deadline": ("notify_client", "2026-03-03T23:00:00.000000Z", "Europe/Madrid"),
        "rep.deadlines": ("report_transaction", "2026-03-03T23:00:00.000000Z", "Europe/Madrid"),
    }
    assert {item["rule"]: item["warn_at"] for item in told if "warn_at" in item} == {
        "rep.deadlines": "2026-03-03T17:00:00.000000Z"
    }


# What makes an order special -> the duty that comes with the permit, and when it is due.
MARGIN_CALL = {
    "account.margin": True,
    "margin.initial_available": "10000.00 EUR",
    "margin.equity": "22000.00 USD",
    "margin.long_value": "100000.00 USD",
    "margin.short_value": "0.00 USD",
    "margin.pattern_day_trader": False,
}
SPECIAL_DUTIES: dict[str, tuple[str, str, dict[str, Any], dict[str, tuple[str, str]]]] = {
    "not appropriate": (
        "capture",
        "",
        {"order.service": "appropriateness", "client.appropriateness": "not_passed"},
        {"cap.appropriateness_warning": ("warn_client", "2026-03-02T10:30:00.000000Z")},
    ),
    "an override by three persons": (
        "execute",
        "",
        {
            "override.blocked_by": "venue price collar",
            "override.order": "O-1001",
            "override.risk_verifier": "p-example-risk",
            "override.authoriser": "p-example-head",
            "override.authorised_at": "2026-03-02T09:38:00Z",
            "override.expires_at": "2026-03-02T10:00:00Z",
        },
        {"pre.override_review": ("review_override", "2026-03-03T23:00:00.000000Z")},
    ),
    "a passive breach of the fund": (
        "approve",
        "",
        {
            "fund.regime": "ucits",
            "fund.net_assets": "1000000.00 EUR",
            "fund.exposures": [
                {
                    "body": name,
                    "securities": f"{part}.00 EUR",
                    "deposits": "0.00 EUR",
                    "otc": "0.00 EUR",
                    "credit_institution": False,
                    "increased": name == "I-1",
                }
                for name, part in (("I-1", 20_000), ("I-2", 110_000))
            ],
        },
        {"pre.ucits_passive_breach": ("remedy_passive_breach", "2026-03-09T17:00:00.000000Z")},
    ),
    "margin before the firm had a choice": (
        "approve",
        "",
        MARGIN_CALL,
        {
            "pre.margin.initial": ("call_initial_margin", "2026-03-06T05:00:00.000000Z"),
            "pre.margin.maintenance_call": ("call_maintenance_margin", "2026-03-24T04:00:00.000000Z"),
        },
    ),
    "margin under the new standards, not in real time": (
        "approve",
        "2026-07-01T15:00:00Z",
        MARGIN_CALL | {"margin.regime": "intraday", "margin.real_time": False},
        {
            "pre.margin.initial": ("call_initial_margin", "2026-07-08T04:00:00.000000Z"),
            "pre.margin.intraday_call": ("call_intraday_margin", "2026-07-10T04:00:00.000000Z"),
        },
    ),
}


@pytest.mark.parametrize("case", SPECIAL_DUTIES)
def test_the_permit_of_a_special_order_carries_its_duty(case: str) -> None:
    """Services and orders with rules of their own are permitted with the duty that the law ties to them."""
    step, at, facts, expected = SPECIAL_DUTIES[case]
    desk = Desk()
    normal(desk, until=step)
    decision = desk.ask(step, changes=facts, at=at)
    assert (decision.outcome, findings_of(decision)) == ("permit", [])
    told = [item.as_json() for item in decision.obligations]
    found = {item["rule"]: (item["properties"]["duty"], item["due_at"]) for item in told}
    assert {rule: found.get(rule) for rule in expected} == expected
    assert {rule for rule in found if rule.startswith(("cap.", "pre."))} == set(expected)


@pytest.mark.parametrize(
    ("step", "gate", "rules"),
    [
        (
            "capture",
            {"order.service": "advice", "account.advised": True, "order.agency_cross": False},
            {"cap.suitability", "cap.suitability_profile_age"},
        ),
        (
            "capture",
            {"personal.access_person": True},
            {"cap.personal_dealing", "cap.personal_dealing_blackout"},
        ),
        ("capture", {"client.pdmr": True}, {"cap.pdmr_closed_period"}),
        ("approve", {"instrument.new_issue": True}, {"pre.new_issue_restricted", "pre.new_issue_spinning"}),
        (
            "allocate",
            {"instrument.new_issue": True},
            {"all.new_issue_restricted", "all.new_issue_spinning", "material_changed"},
        ),
        (
            "capture",
            {"order.capacity": "principal", "account.advised": None},
            {"pre.principal_consent", "material_missing"},
        ),
        ("approve", {"order.cross_trade": True}, {"pre.cross_trade_17a7"}),
        (
            "approve",
            {"fund.regime": "ucits"},
            {"pre.ucits_5_10_40", "pre.ucits_counterparty", "pre.ucits_passive_breach"},
        ),
        (
            "approve",
            {"account.margin": True},
            {"pre.margin.initial", "pre.margin.maintenance_call", "pre.margin.pattern_day_trader"},
        ),
        ("execute", {"override.blocked_by": "a control"}, {"pre.override_four_eyes"}),
    ],
)
def test_a_special_order_that_says_no_more_is_not_permitted(
    step: str, gate: dict[str, Any], rules: set[str]
) -> None:
    """Once the order says that it is special, its rules ask for their facts: unknown never passes."""
    desk = Desk()
    normal(desk, until=step)
    decision = desk.ask(step, changes=gate)
    assert decision.outcome in ("deny", "review")
    assert set(findings_of(decision)) == rules


def test_allocation_lines_become_entries() -> None:
    """A permitted allocation hands its lines on to the ledger."""
    desk = Desk()
    normal(desk, block=True, until="allocate")
    assert [line["account"] for line in desk.ask("block_allocate").lines] == ["F-1", "F-2"]


@pytest.mark.parametrize("missing", ["client.category", "instrument.restriction", "order.clock_divergence"])
def test_an_incomplete_request_is_referred(missing: str) -> None:
    """A fact that a rule needs and nobody states makes the answer a review that names it."""
    desk = Desk()
    normal(desk, until="execute")
    decision = desk.ask("execute", changes={missing: None})
    assert decision.outcome == "review"
    assert any(missing in finding.missing for finding in decision.findings)


# Facts of a normal request that may be left out, because the others already settle every rule.
NOT_NEEDED = {
    "capture": {"client.kind", "instrument.mifir_reportable"},
}


@pytest.mark.parametrize("step", STEPS)
def test_what_a_request_leaves_out_never_helps(step: str) -> None:
    """Without any one of its facts the same request is referred or refused, but for a few."""
    before = Desk()
    normal(before, until=step)
    body = a_request(step)
    stated = {f"order.{name}" for name in body["resource"]["properties"]}
    for word, part in body["context"].items():
        stated |= {f"{word}.{name}" for name in part} if isinstance(part, dict) else set()
    permitted = set()
    for fact in stated:
        desk = Desk()
        desk.history = before.history
        if desk.ask(step, changes={fact: None}).outcome == "permit":
            permitted.add(fact)
    assert permitted == NOT_NEEDED.get(step, set())


def test_an_order_may_be_amended_until_it_may_be_executed() -> None:
    """Before the execution the front office may amend, which asks for the approval again; then no more."""
    desk = Desk()
    normal(desk, until="execute")
    assert desk.ask("amend", changes={}).claim is not None
    late = Desk()
    normal(late, until="allocate")
    decision = late.ask("amend")
    assert decision.outcome == "deny"
    assert {"no_grant", "amend_too_late"} <= set(findings_of(decision))


def test_nobody_approves_what_he_or_she_has_amended() -> None:
    """A senior trader may amend orders and may approve small ones, but not approve the own amendment."""
    desk = Desk()
    normal(desk, until="approve")
    larger = {"order.quantity": "40000", "order.notional": "182000.00 EUR"}
    assert desk.ask("amend", account="carla.front", changes=larger).claim is not None
    decision = desk.ask("approve", account="carla.front", changes=larger)
    assert (decision.outcome, findings_of(decision)) == ("deny", ["capture_approve"])
    assert "Amendment" in decision.findings[0].message.en
    assert desk.ask("approve", changes=larger).outcome == "permit"


# --- Who is refused what --------------------------------------------------------------------------------


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt["id"])
def test_attempts_get_the_answer_that_is_written_down(attempt: dict[str, Any]) -> None:
    """Each attempt of the desk's day is answered as its file says, and found by just those rules."""
    block, order = attempt.get("block", False), attempt.get("order", {})
    desk = Desk()
    for step, account in attempt["performed"].items():
        name = f"block_{step}" if block and step == "execute" else step
        desk.ask(name, account=account, changes=order)
        assert desk.history.performed(step), (step, account)
    name = f"block_{attempt['step']}" if block else attempt["step"]
    decision = desk.ask(
        name,
        account=attempt["account"],
        at=attempt.get("at", ""),
        changes=order | attempt.get("change", {}),
        counted=attempt.get("counted"),
    )
    assert (decision.outcome, findings_of(decision)) == (attempt["outcome"], sorted(attempt["findings"]))


def test_every_rule_that_refuses_is_among_the_attempts() -> None:
    """Each regulatory rule that is no obligation refuses, refers or flags in the desk's day."""
    shown = {rule for attempt in ATTEMPTS for rule in attempt["findings"]}
    assert {rule.id for rule in shipped_release().rules if rule.then is not Effect.OBLIGE} <= shown


def asked_by(person: str, *, step: str, performed: dict[str, str]) -> Asked:
    """The person asks for the step after others (and perhaps the person too) performed theirs."""
    now = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
    acts = tuple(
        Act(
            claim=f"claim-{index}",
            decision=f"dec-{index}",
            chain="O-1",
            step=done,
            person=who,
            account=who,
            capacity=Capacity.ACTOR,
            state=ActState.PERFORMED,
            at=now,
            done_at=now,
            valid_until=now,
            index=index,
        )
        for index, (done, who) in enumerate(performed.items())
    )
    kind = shipped_release().chains["order"]
    unrelated = {who: Profile(who, reports_to=who) for who in {person, *performed.values()}}
    return Asked(
        person=person,
        step=step,
        kind=kind,
        history=ChainHistory(KIND, "O-1", acts),
        now=now,
        profiles=unrelated,
    )


def duties_against(asked: Asked) -> set[str]:
    """The constraints over steps that speak, whatever their condition says."""
    return {
        item.id
        for item in shipped_release().constraints
        if item.kind is not ConstraintKind.EXCLUSIVE_ROLES
        and concerns(item, kind=asked.kind, step=asked.step)
        and FORMULAS[item.kind](item, asked=asked) is not None
    }


# Two steps of one order by one person, all other steps by others. Every pair that is not here is allowed.
PAIRS = {
    frozenset({"capture", "approve"}): "capture_approve",
    frozenset({"capture", "execute"}): "capture_execute_large",
    frozenset({"approve", "execute"}): "approve_execute",
    frozenset({"execute", "allocate"}): "execute_allocate",
    frozenset({"execute", "instruct"}): "execute_instruct",
    frozenset({"execute", "settle"}): "execute_settle",
    frozenset({"execute", "reconcile"}): "execute_reconcile",
    frozenset({"allocate", "instruct"}): "allocate_instruct",
    frozenset({"instruct", "reconcile"}): "instruct_reconcile",
    frozenset({"settle", "reconcile"}): "settle_reconcile",
}


# Whoever took the first has no vote on the second, where the order is so large that it takes two.
VOTERS = {frozenset({"execute", "instruct"}), frozenset({"allocate", "instruct"})}


@pytest.mark.parametrize(("first", "second"), list(permutations(STEPS, 2)))
def test_which_two_steps_one_person_may_take(first: str, second: str) -> None:
    """The matrix of the reference: whoever took the first step is kept from the second, in either order."""
    others = {step: f"p-{step}" for step in STEPS if step not in (first, second, "instruct", "settle")}
    found = duties_against(asked_by("p-1", step=second, performed=others | {first: "p-1"}))
    pair = frozenset({first, second})
    apart = {PAIRS[pair]} if pair in PAIRS else set()
    assert found == (apart | {"large_instruction"} if pair in VOTERS else apart)


def test_what_the_pairs_lead_to() -> None:
    """Three pairs go to a supervisor, the others are refused."""
    effects = {item.id: item.then for item in shipped_release().constraints}
    referred = {name for name in PAIRS.values() if effects[name] is Effect.REVIEW}
    assert referred == {"capture_execute_large", "execute_allocate"}
    assert {effects[name] for name in set(PAIRS.values()) - referred} == {Effect.DENY}
    assert effects["same_clerk"] is effects["few_hands"] is Effect.REVIEW
    assert effects["three_people"] is effects["half_a_chain"] is effects["whole_chain"] is Effect.DENY


def test_instruction_and_settlement_go_together() -> None:
    """The clerk who instructed may settle; another one is referred."""
    before = {"confirm": "p-1", "instruct": "p-2"}
    assert duties_against(asked_by("p-2", step="settle", performed=before)) == set()
    assert duties_against(asked_by("p-3", step="settle", performed=before)) == {"same_clerk"}


def test_a_third_step_is_referred_and_a_fifth_refused() -> None:
    """Two steps are allowed, from the third on a supervisor decides, and nobody decides on the fifth."""
    mine = ("capture", "allocate", "confirm", "settle")
    others = {"approve": "p-2", "execute": "p-3"}
    two = asked_by("p-1", step="allocate", performed=others | {"capture": "p-1"})
    three = asked_by("p-1", step="confirm", performed=others | dict.fromkeys(mine[:2], "p-1"))
    five = asked_by("p-1", step="reconcile", performed=others | dict.fromkeys(mine, "p-1"))
    assert duties_against(two) == set()
    assert duties_against(three) == {"few_hands"}
    assert duties_against(five) == {"few_hands", "half_a_chain", "settle_reconcile", "two_of_four_duties"}


def test_two_persons_are_too_few() -> None:
    """The last step is refused when it would leave an order with two persons only."""
    performed = {step: ("p-1", "p-2")[index % 2] for index, step in enumerate(STEPS[:-1])}
    assert "three_people" in duties_against(asked_by("p-2", step="reconcile", performed=performed))
    assert "three_people" not in duties_against(asked_by("p-3", step="reconcile", performed=performed))


def test_nobody_takes_the_whole_chain() -> None:
    """The built-in constraint holds over the shipped files too."""
    performed = dict.fromkeys(STEPS[:-1], "p-1")
    assert {"whole_chain", "sole_actor"} <= duties_against(
        asked_by("p-1", step="reconcile", performed=performed)
    )


@pytest.mark.parametrize(
    ("roles", "refused"),
    [
        ({"trader"}, set()),
        ({"order_taker", "senior_trader", "derivatives_trader"}, set()),
        ({"middle_officer", "settlement_clerk"}, set()),
        ({"middle_officer", "risk_officer"}, set()),
        ({"compliance_officer", "supervisor"}, set()),
        ({"administrator", "auditor"}, set()),
        ({"order_taker", "settlement_clerk"}, {"front_back"}),
        ({"derivatives_trader", "reconciler"}, {"front_back"}),
        ({"settlement_clerk", "reconciler"}, {"front_back"}),
        ({"trader", "risk_officer"}, {"risk_independent"}),
        ({"administrator", "middle_officer"}, {"administrators_apart"}),
        ({"administrator", "trader", "reconciler"}, {"administrators_apart", "front_back"}),
        ({"valuer", "middle_officer"}, set()),
        ({"finance_officer", "valuer"}, set()),
        ({"supervisor", "risk_officer"}, {"no_self_supervision"}),
        ({"middle_officer", "risk_officer", "settlement_clerk"}, {"multi_function"}),
        ({"trader", "compliance_officer"}, {"control_functions"}),
        ({"compliance_officer", "auditor"}, {"control_functions"}),
        ({"trader", "valuer"}, {"valuation_independent"}),
        ({"finance_officer", "settlement_clerk"}, {"finance_apart"}),
    ],
)
def test_which_roles_exclude_each_other(roles: set[str], refused: set[str]) -> None:
    """Inherited roles count: every kind of trader is of the front office."""
    release = shipped_release()
    held = frozenset().union(*(release.roles[role] for role in roles))
    found = {
        item.id
        for item in release.constraints
        if item.kind is ConstraintKind.EXCLUSIVE_ROLES and exclusive_roles(item, roles=held) is not None
    }
    assert found == refused
