"""Obligations: when they are due, and that none is lost where that cannot be said."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.decide import ActiveRelease, Situation, cleared_finding, decide, material_digest
from controls.duties.enforcement import Enforcement
from controls.model.chain import ChainHistory
from controls.model.condition import Facts
from controls.model.decision import Approval, Decision
from controls.model.finding import Cause, Deadline, Effect
from controls.model.people import Account, Person
from controls.model.request import Request
from controls.rules.calendars import Calendar
from controls.rules.due import Due
from controls.rules.engine import build_engine
from controls.rules.examples import run_examples
from controls.rules.explain import explain_rule
from controls.rules.release import Release, compile_release, release_from_document
from controls.rules.vocabulary import read_facts
from controls.rules.zones import date_in, time_in, zone
from tests.rules.rule_sets import diagnostics_of

NOW = datetime(2026, 3, 6, 21, 0, tzinfo=UTC)  # a Friday
CALENDAR = """\
title: {en: Test, es: Prueba}
first_year: 2026
last_year: 2027
weekend: [saturday, sunday]
holidays: {2026-03-09: A holiday}
"""
VOCABULARY = """\
facts:
  record.made_on: {type: date, public: true, label: {en: Made on, es: Fecha}}
  record.made_at: {type: timestamp, public: true, label: {en: Made at, es: Hora}}
  record.told_on: {type: date, label: {en: Told on, es: Avisado el}}
  record.large: {type: bool, public: true, label: {en: Large, es: Grande}}
"""
ROLES = "grants: [{role: anyone, actions: [read], resource: record}]\n"
RULE = """\
id: test.report
title: {{en: Report it, es: Comunicarlo}}
source: {{law: Policy, basis: policy}}
on: [record.read]
when: record.large
then: oblige
obligation: {{duty: report, due: {due}}}
message: {{en: "Report by {{due_at}}", es: "Comunicar antes del {{due_at}}"}}
{more}
examples:
  - {{name: small, given: {{record.large: false}}, expect: permit}}
  - {{name: large, at: "2026-03-06T21:00:00Z", given: {{{given}}}, expect: oblige, due: "{expect}"}}
"""
NEXT_DAY = '{business_days: 1, calendar: test, at: "18:00", zone: America/New_York, warn_at: "12:00"}'
FROM_FACT = '{business_days: 1, calendar: test, at: "18:00", zone: America/New_York, from: record.made_on}'


def files(
    due: str = NEXT_DAY,
    *,
    given: str = "record.large: true",
    expect: str = "2026-03-10T22:00:00Z",
    more: str = "",
    calendar: str = CALENDAR,
) -> dict[str, str]:
    return {
        "vocabulary.yaml": VOCABULARY,
        "roles.yaml": ROLES,
        "calendars/test.yaml": calendar,
        "regulatory/test/rule.yaml": RULE.format(due=due, given=given, expect=expect, more=more),
    }


def ask(
    release: Release, *, now: datetime = NOW, approvals: tuple[Approval, ...] = (), **record: Any
) -> Decision:
    """The decision on reading a large record that says so much of itself."""
    enforcement = Enforcement(release.grants, release.roles, release.constraints, release.chains.values())
    stated = {"large": True, **record}
    properties = {f"record.{name}": value for name, value in stated.items() if value is not None}
    request = Request("dec-1", "account", "ana", "read", "record", "R-1", properties)
    situation = Situation(
        reading=read_facts(release.vocabulary, properties),
        account=Account("ana", "ref-ana", Person("p-1", frozenset())),
        history=ChainHistory("", ""),
        now=now,
        approvals=approvals,
    )
    with closing(build_engine("both", release.rules)) as engine:
        return decide(request, situation, active=ActiveRelease(release, enforcement, engine))


def deadline(release: Release, **asked: Any) -> tuple[str, str | None, str]:
    (obligation,) = ask(release, **asked).obligations
    assert obligation.deadline is not None
    found = obligation.deadline
    warn_at = None if found.warn_at is None else found.warn_at.isoformat()
    return found.due_at.isoformat(), warn_at, found.zone


# --- When they are due ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("due", "due_at", "warn_at"),
    [
        # A Friday, 16:00 in New York; the clock changes on Sunday the 8th, and Monday the 9th is a holiday.
        (NEXT_DAY, "2026-03-10T22:00:00+00:00", "2026-03-10T16:00:00+00:00"),
        (
            '{business_days: 0, calendar: test, at: "18:00", zone: America/New_York}',
            "2026-03-06T23:00:00+00:00",
            None,
        ),
        ('{days: 0, at: "24:00", zone: Asia/Tokyo}', "2026-03-07T15:00:00+00:00", None),
        ('{days: 2, at: "02:30", zone: America/New_York}', "2026-03-08T07:00:00+00:00", None),
        ("{within: PT2H}", "2026-03-06T23:00:00+00:00", None),
        ("{within: PT2H, from: record.made_at}", "2026-03-06T02:30:00+00:00", None),
        (
            '{days: 1, at: "12:00", zone: Europe/Madrid, from: record.made_at}',
            "2026-03-07T11:00:00+00:00",
            None,
        ),
        (
            '{days: 1, at: "12:00", zone: America/New_York, from: record.made_at}',
            "2026-03-06T17:00:00+00:00",
            None,
        ),
        (
            '{business_days: 1, calendar: test, at: "12:00", zone: UTC, from: record.made_on}',
            "2026-03-03T12:00:00+00:00",
            None,
        ),
    ],
)
def test_a_permit_says_when_its_obligation_is_due(due: str, due_at: str, warn_at: str | None) -> None:
    """Counted from now, or from a fact where the rule says so, in the rule's own zone and calendar."""
    stated = {"made_on": "2026-03-02", "made_at": "2026-03-06T00:30:00Z"}
    release = compile_release(
        files(due, given='record.large: true, record.made_on: "2026-03-02"', expect=due_at)
    )
    found = deadline(release, **stated)
    assert found[:2] == (due_at, warn_at)
    assert found[2] == ("" if "within" in due else due.partition("zone: ")[2].rstrip("}").split(",")[0])


def test_a_due_time_stands_in_the_answer_and_in_the_message() -> None:
    """For machines in UTC with the zone, in place of `due`; for people in the zone's own time."""
    decision = ask(compile_release(files()))
    assert [item.as_json() for item in decision.obligations] == [
        {
            "id": "test.report",
            "rule": "test.report",
            "properties": {"duty": "report"},
            "due_at": "2026-03-10T22:00:00.000000Z",
            "warn_at": "2026-03-10T16:00:00.000000Z",
            "zone": "America/New_York",
        }
    ]
    (finding,) = decision.findings
    assert finding.message.en == "Report by March 10, 2026, 18:00 (America/New_York)"
    assert finding.message.es == "Comunicar antes del 10 de marzo de 2026, 18:00 (America/New_York)"


WEEKDAYS = Calendar("weekdays", 2025, 2027, frozenset((5, 6)), frozenset())
DUE = Due(
    days=1,
    calendar=WEEKDAYS,
    at=timedelta(hours=18),
    warn_at=timedelta(hours=12),
    place=zone("America/New_York"),
)


@given(moment=st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 20), timezones=st.just(UTC)))  # noqa: DTZ001
def test_the_due_time_is_that_time_of_a_later_business_day(moment: datetime) -> None:
    """Whenever it is asked: after now, at six in New York, on the next business day."""
    found = DUE.deadline(Facts(values={}, chain=ChainHistory("", ""), now=moment))
    place = zone("America/New_York")
    assert isinstance(found, Deadline)
    assert time_in(found.due_at, place) == timedelta(hours=18)
    first, last = date_in(moment, place), date_in(found.due_at, place)
    assert first < last
    assert WEEKDAYS.is_business_day(last)
    assert WEEKDAYS.business_days(first, last) == 1
    assert found.warn_at == found.due_at - timedelta(hours=6)


def parameter(name: str, value: str, type_: str) -> str:
    return f"{name}: {{value: {value}, type: {type_}, basis: law}}"


@pytest.mark.parametrize(
    ("due", "parameters", "due_at", "warn_at"),
    [
        (
            "{business_days: many, calendar: test, at: last, zone: America/New_York, warn_at: soon}",
            (parameter("many", "1", "int"), parameter("last", "PT18H", "duration"),
             parameter("soon", "PT12H", "duration")),
            "2026-03-10T22:00:00+00:00",
            "2026-03-10T16:00:00+00:00",
        ),
        ('{days: many, at: "24:00", zone: Asia/Tokyo}', (parameter("many", "0", "int"),),
         "2026-03-07T15:00:00+00:00", None),
        ("{within: span}", (parameter("span", "PT2H", "duration"),), "2026-03-06T23:00:00+00:00", None),
    ],
)  # fmt: skip
def test_a_due_time_may_be_of_parameters(
    due: str, parameters: tuple[str, ...], due_at: str, warn_at: str | None
) -> None:
    """So that a deadline of law is marked as one; the message may name it, and the explanation does."""
    more = f"parameters: {{{', '.join(parameters)}}}"
    first = parameters[0].partition(":")[0]
    text = files(due, expect=due_at, more=more)["regulatory/test/rule.yaml"]
    text = text.replace('{due_at}"', f'{{due_at}} ({{{first}}})"')
    release = compile_release({**files(), "regulatory/test/rule.yaml": text})
    assert deadline(release)[:2] == (due_at, warn_at)
    (rule,) = [rule for rule in release.rules if rule.id == "test.report"]
    for language, word in (("en", f"(the parameter “{first}”)"), ("es", f"(el parámetro «{first}»)")):
        assert explain_rule(release, rule, language=language).count(word) == 1
    again = release_from_document(release.document)
    assert deadline(again)[:2] == (due_at, warn_at)


# --- When that cannot be said ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("due", "asked", "cause", "word"),
    [
        (NEXT_DAY, {"now": datetime(2027, 12, 31, 12, tzinfo=UTC)}, Cause.ERROR, "leave the years"),
        (NEXT_DAY, {"now": datetime(2028, 1, 2, tzinfo=UTC)}, Cause.ERROR, "outside the years 2026 to 2027"),
        (FROM_FACT, {}, Cause.MISSING, "record.made_on"),
        (FROM_FACT, {"made_on": "2030-01-01"}, Cause.ERROR, "outside the years 2026 to 2027"),
    ],
)
@pytest.mark.parametrize("policy", ["review", "deny", "skip"])
def test_an_obligation_without_due_time_is_no_permit(
    due: str, asked: dict[str, Any], cause: Cause, word: str, policy: str
) -> None:
    """It asks for a review, or refuses where the rule says so for missing facts; skipping is no way out."""
    more = f"missing: {policy}" + ("\nbecause: nobody needs it" if policy == "skip" else "")
    expect = "2026-03-03T23:00:00Z" if due == FROM_FACT else "2026-03-10T22:00:00Z"
    release = compile_release(
        files(due, given='record.large: true, record.made_on: "2026-03-02"', expect=expect, more=more)
    )
    decision = ask(release, **asked)
    (finding,) = decision.findings
    wanted = Effect.DENY if policy == "deny" else Effect.REVIEW
    assert (finding.effect, finding.cause, decision.outcome) == (wanted, cause, wanted.value)
    assert word in finding.message.en
    assert word in finding.message.es
    assert finding.missing == (("record.made_on",) if cause is Cause.MISSING else ())
    assert decision.obligations == ()


@pytest.mark.parametrize("large", [True, None], ids=["no due time", "not known whether"])
def test_an_approval_does_not_clear_the_duty_away(large: bool | None) -> None:
    """Who lets the action pass gets the obligation with the permit, without a deadline."""
    release = compile_release(
        files(
            FROM_FACT, given='record.large: true, record.made_on: "2026-03-02"', expect="2026-03-03T23:00:00Z"
        )
    )
    held = ask(release, large=large)
    assert held.outcome == "review"
    approval = Approval(
        id="apr-1",
        review="rev-1",
        approver="p-2",
        person="p-1",
        action="read",
        resource_type="record",
        resource_id="R-1",
        material=material_digest(held.material),
        findings=tuple(cleared_finding(item) for item in held.findings),
        expires_at=NOW + timedelta(hours=1),
    )
    decision = ask(release, approvals=(approval,), large=large)
    assert decision.outcome == "permit"
    (obligation,) = decision.obligations
    assert (obligation.rule, obligation.properties, obligation.deadline) == (
        "test.report",
        {"duty": "report"},
        None,
    )


def test_an_observed_obligation_is_none() -> None:
    """It is recorded as a finding, with or without a due time, and changes nothing."""
    release = compile_release(files(more="mode: observe"))
    for now in (NOW, datetime(2028, 1, 2, tzinfo=UTC)):
        decision = ask(release, now=now)
        assert (decision.outcome, decision.obligations) == ("permit", ())
        assert [item.observed for item in decision.findings] == [True]


def test_the_start_that_a_caller_states_is_among_the_values() -> None:
    """What the due time rests on is recorded, and an approval would be bound to it."""
    release = compile_release(
        files(
            FROM_FACT, given='record.large: true, record.made_on: "2026-03-02"', expect="2026-03-03T23:00:00Z"
        )
    )
    (finding,) = ask(release, made_on="2026-03-02").findings
    assert set(finding.values) == {"record.large", "record.made_on"}


def test_two_periods_of_one_rule_have_each_their_own_obligation() -> None:
    """The obligation is that of the rule in force, not of another one with its id."""
    today = files(more="effective: {to: 2026-06-01}")
    later = RULE.format(
        due="{within: PT1H}",
        given="record.large: true",
        expect="2026-06-02T01:00:00Z",
        more="effective: {from: 2026-06-01}",
    )
    later = later.replace("duty: report", "duty: publish").replace("2026-03-06T21:00", "2026-06-02T00:00")
    release = compile_release({**today, "regulatory/test/later.yaml": later})
    found = {}
    for now in (NOW, datetime(2026, 6, 2, tzinfo=UTC)):
        (obligation,) = ask(release, now=now).obligations
        assert obligation.deadline is not None
        found[str(obligation.properties["duty"])] = obligation.deadline.due_at
    assert found == {
        "report": datetime(2026, 3, 10, 22, tzinfo=UTC),
        "publish": datetime(2026, 6, 2, 1, tzinfo=UTC),
    }


# --- Files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("due", "code", "word"),
    [
        ("{within: PT0S}", "out_of_range", "more than nothing"),
        ("{within: P20Y}", "bad_value", "PT30M"),
        ("{within: PT2H, days: 1}", "misplaced_key", "'days' does not go with `within`"),
        ("{within: PT2H, from: record.made_on}", "wrong_type", "is date and not a timestamp"),
        ("{within: PT2H, from: record.large}", "wrong_type", "is bool and not a timestamp"),
        ("{days: 1, at: '18:00', zone: UTC, from: record.made_no}", "unknown_fact", "'record.made_on'"),
        ("{days: 1, at: '18:00', zone: UTC, from: record.told_on}", "private_fact", "record.made_at"),
        ("{days: 1, at: '18:00'}", "missing_key", "needs 'zone'"),
        ("{days: 1, zone: UTC}", "missing_key", "needs 'at'"),
        ("{at: '18:00', zone: UTC}", "missing_key", "one of `days`"),
        ("{days: 1, business_days: 1, calendar: test, at: '18:00', zone: UTC}", "missing_key", "one of"),
        ("{business_days: 1, at: '18:00', zone: UTC}", "missing_key", "go together"),
        ("{days: 1, calendar: test, at: '18:00', zone: UTC}", "missing_key", "go together"),
        ("{business_days: 1, calendar: tst, at: '18:00', zone: UTC}", "unknown_calendar", "`test`"),
        ("{days: 1, at: '18:00', zone: Europe/Madird}", "unknown_zone", "`Europe/Madrid`"),
        ("{days: 1, at: '18:00', zone: UTC, warn_at: '18:00'}", "out_of_range", "earlier than `at`"),
        ("{days: 1, at: '25:00', zone: UTC}", "bad_text", "24:00"),
        ("{days: -1, at: '18:00', zone: UTC}", "out_of_range", "between 0 and"),
        ("{days: 1, at: '18:00', zone: UTC, day: 1}", "unknown_key", "'day'"),
        ("tomorrow", "wrong_type", "a due time"),
    ],
)
def test_mistakes_in_a_due_time_say_what_to_do(due: str, code: str, word: str) -> None:
    """Each is found on its line, once."""
    (mistake,) = diagnostics_of(files(due))
    assert (mistake.file, mistake.line, mistake.code) == ("regulatory/test/rule.yaml", 7, code)
    assert word in mistake.message


@pytest.mark.parametrize(
    ("due", "declared", "code", "word"),
    [
        ("{within: spam}", parameter("span", "PT2H", "duration"), "bad_value", "did you mean 'span'"),
        ("{within: soon}", "", "bad_value", "or name a parameter of the rule"),
        ("{within: span}", parameter("span", "2", "int"), "wrong_type", "takes duration"),
        ("{within: span}", parameter("span", "PT0S", "duration"), "out_of_range", "more than nothing"),
        ("{days: nam, at: '18:00', zone: UTC}", parameter("name", "2", "int"), "bad_value", "'name'"),
        ("{days: many, at: '18:00', zone: UTC}", parameter("many", "-1", "int"), "out_of_range", "3660"),
        ("{days: many, at: '18:00', zone: UTC}", parameter("many", "'1'", "string"), "wrong_type", "takes"),
        ("{days: 1, at: last, zone: UTC}", parameter("last", "PT25H", "duration"), "out_of_range", "PT24H"),
        ("{days: 1, at: '18:00', zone: UTC, warn_at: soon}", parameter("soon", "PT19H", "duration"),
         "out_of_range", "earlier than `at`"),
        ("{days: many, at: '18:00', zone: UTC}", parameter("many", "x", "int"), "bad_value", "whole"),
    ],
)  # fmt: skip
def test_a_parameter_that_does_not_fit_a_due_time_is_told(
    due: str, declared: str, code: str, word: str
) -> None:
    """Once, with what it takes; a parameter that is wrong by itself is told where it is declared."""
    found = diagnostics_of(files(due, more=f"parameters: {{{declared}}}" if declared else ""))
    mistakes = [item for item in found if item.code != "unused_parameter"]
    assert [item.code for item in mistakes] == [code]
    assert word in mistakes[0].message or mistakes[0].line == 9


def test_a_parameter_of_a_due_time_is_used() -> None:
    """And one that neither the condition nor the due time mentions is not."""
    more = f"parameters: {{{parameter('span', 'PT2H', 'duration')}}}"
    used = files("{within: span}", expect="2026-03-06T23:00:00Z", more=more)
    assert diagnostics_of(used) == ()
    (mistake,) = diagnostics_of(files("{within: PT2H}", expect="2026-03-06T23:00:00Z", more=more))
    assert (mistake.code, "nor `due` uses 'span'" in mistake.message) == ("unused_parameter", True)


def test_a_parameter_cannot_be_called_like_the_due_time() -> None:
    """In a message `{due_at}` means one thing."""
    more = "parameters: {due_at: {value: 5, type: int, basis: policy}}"
    found = diagnostics_of(files(more=more))
    assert ("reserved_name", 9) in {(mistake.code, mistake.line) for mistake in found}


def test_a_due_time_must_be_shown_by_an_example() -> None:
    """A deadline that no example states has not been looked at."""
    silent = {path: text.replace(', due: "2026-03-10T22:00:00Z"', "") for path, text in files().items()}
    (mistake,) = diagnostics_of(silent)
    assert (mistake.code, "`due`" in mistake.message) == ("missing_example", True)


def test_only_an_example_that_obliges_has_a_due_time() -> None:
    """A permit without obligation is due never."""
    wrong = {
        path: text.replace("expect: permit", 'expect: permit, due: "2026-03-10T22:00:00Z"')
        for path, text in files().items()
    }
    (mistake,) = diagnostics_of(wrong)
    assert mistake.code == "misplaced_key"


def test_an_example_with_another_due_time_fails() -> None:
    """What it should have been and what it was stand beside each other."""
    release = compile_release(files(expect="2026-03-10T23:00:00Z"))
    with closing(build_engine("reference", release.rules)) as engine:
        failed = [item for item in run_examples(release, [engine]) if not item.passed]
    assert [(item.example, item.expected, item.got) for item in failed] == [
        ("large", "oblige, due 2026-03-10T23:00:00.000000Z", "oblige, due 2026-03-10T22:00:00.000000Z")
    ]


def test_another_due_time_or_calendar_is_another_version() -> None:
    """What a rule obliges to is part of its meaning, the days it counts by included."""
    versions = {
        next(rule.version for rule in compile_release(text).rules if rule.id == "test.report")
        for text in (
            files(),
            files(NEXT_DAY.replace("12:00", "13:00")),
            files(calendar=CALENDAR.replace("2026-03-09", "2026-03-11")),
        )
    }
    assert len(versions) == 3
