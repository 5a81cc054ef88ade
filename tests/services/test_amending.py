"""An amendment that changes a fact which a rule goes by: what was done before is held against the rule."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from controls.model.errors import Conflict
from controls.services.identifiers import new_id
from controls.services.outcomes import Reported, ReportOutcome
from tests.desk import start_desk, submit
from tests.services.test_approving import approved
from tests.services.test_counting import Counted, started
from tests.services.test_duty_kinds import HOUR, PEOPLE, START, claim, rules_of, take
from tests.services.test_person_merge import merged

FILES = {
    "vocabulary.yaml": "facts:\n"
    "  job.amount: {type: decimal, public: true, label: {en: Amount, es: Importe}}\n"
    "  job.account: {type: string, public: true, label: {en: Account, es: Cuenta}}\n"
    "  job.sector: {type: string, public: true, label: {en: Sector, es: Sector}}\n"
    "  job.issuer: {type: string, public: true, label: {en: Issuer, es: Emisor}}\n"
    "  job.place: {type: string, public: true, label: {en: Place, es: Lugar}}\n",
    "roles.yaml": "roles:\n  dealer: {title: {en: Dealer, es: Operador}}\n"
    "  payer: {title: {en: Payer, es: Pagador}}\n"
    "grants:\n"
    "  - {role: dealer, actions: [begin, enrich, check, look, note, close, amend], resource: job}\n",
    "chains/job.yaml": "chain: job\ntitle: {en: Job, es: Tarea}\nresource: job\n"
    "material: [job.amount, job.account, job.sector, job.issuer]\nsteps:\n"
    "  - {id: begin, title: {en: Begin, es: Inicio}}\n"
    "  - {id: enrich, after: [begin], title: {en: Enrichment, es: Enriquecimiento}}\n"
    "  - {id: check, after: [begin], reapprove: true, title: {en: Check, es: Control}}\n"
    "  - {id: note, after: [begin], reapprove: true, optional: true, title: {en: Note, es: Nota}}\n"
    "  - {id: look, after: [begin], optional: true, repeats: anyone, title: {en: Look, es: Vista}}\n"
    "  - {id: close, after: [enrich], title: {en: Close, es: Cierre}}\n",
}
PLACE = {"account": "A", "sector": "oil", "issuer": "X"}
BIG = "1000000"
LARGE = f"when: job.amount > {BIG}, then: deny"


@asynccontextmanager
async def playing(folder: Path, url: str, duty: str, people: str = PEOPLE) -> AsyncIterator[Counted]:
    rules = folder / "rules"
    for name, text in {**FILES, "duties/rule.yaml": f"- {{id: rule, {duty}}}\n"}.items():
        (rules / name).parent.mkdir(parents=True, exist_ok=True)
        (rules / name).write_text(text, "utf-8")
    desk = start_desk(folder, database_url=url, rules=rules, directory=people, clock=lambda: START)
    async with started(desk) as counted:
        yield counted


def job(action: str, login: str, amount: str = "100", **more: Any) -> dict[str, Any]:
    return {
        "subject": {"type": "account", "id": login},
        "action": {"name": action},
        "resource": {"type": "job", "id": "J-1", "properties": {"amount": amount} | PLACE},
    } | more


async def begun(running: Counted, *steps: tuple[str, str]) -> None:
    for action, login in steps:
        await take(running, job(action, login))


async def refused(running: Counted, login: str, amount: str = "2000000", then: str = "deny") -> Any:
    answer = await running.ask(job("amend", login, amount))
    assert answer["outcome"] == then, answer["findings"]
    # Whoever amends is asked besides, as if beginning it.
    assert rules_of(answer) - {"rule"} == {"amended_history"}
    finding = next(item for item in answer["findings"] if item["rule"] == "amended_history")
    assert finding["effect"] == then
    return answer if then == "review" else finding


# A constraint, who takes the enrichment after Ana began, and by whom it is kept at two millions, too.
BROKEN = {
    "separate": (f"kind: separate, steps: [begin, enrich], {LARGE}", "ana", "ben"),
    "ordered": (f"kind: separate, steps: [begin, enrich], ordered: true, {LARGE}", "ana", "ben"),
    "at_most": (f"kind: at_most, steps: [begin, enrich, close], max: 1, {LARGE}", "ana", "ben"),
    "relation": (f"kind: relation, steps: [begin, enrich], forbid: [reports_to], {LARGE}", "ben", "eva"),
    "at_least": (f"kind: at_least, steps: [begin, enrich], min: 2, {LARGE}", "ana", "ben"),
    "coalition": (f"kind: coalition, steps: [begin, enrich], people: 2, {LARGE}", "ana", "ben"),
}
TWICE = f"kind: bind, steps: [enrich, close], {LARGE}"
SOON = f"kind: cooling_off, steps: [begin, enrich], apart: PT1H, {LARGE}"
VOTES = f"kind: votes, step: check, votes: 2, distinct_from: [begin, enrich], {LARGE}"
# Ben reports to Ana, who is at the top with Eva and Dee.
TOP = {"p-06": "p-05", "p-07": "p-05"}
BOSSES = "".join(
    f"{line},{'reports_to' if line.startswith('person') else TOP.get(line[:4], line[:4])}\n"
    for line in PEOPLE.splitlines()
)


@pytest.mark.parametrize("name", BROKEN)
async def test_what_was_done_is_held_against_what_comes_to_apply(
    name: str, tmp_path: Path, migrated_database_url: str
) -> None:
    """Whoever amends; in words that name who did what, and with nothing changed."""
    duty, broken_by, _ = BROKEN[name]
    async with playing(tmp_path, migrated_database_url, duty, BOSSES) as running:
        await begun(running, ("begin", "ana"), ("enrich", broken_by))
        running.now += HOUR  # how long ago it is does not matter
        finding = await refused(running, "dee")
        for text in ("J-1", "rule", "Begin, by p-05, 2026-03-02 09:30:00 UTC", "Enrichment, by p-0"):
            assert text in finding["message"]["en"]
        assert "Inicio, por p-05" in finding["message"]["es"]
        assert finding["values"]["rule"] == "rule"
        # The facts are as they were, and less than what the rule goes by is no matter.
        assert await running.outcome(job("amend", "dee", "500")) == "permit"
        assert await running.outcome(job("close", "eva", "500")) == "permit"


@pytest.mark.parametrize("name", BROKEN)
async def test_what_the_rule_would_have_let_pass_may_be_amended(
    name: str, tmp_path: Path, migrated_database_url: str
) -> None:
    duty, _, kept_by = BROKEN[name]
    async with playing(tmp_path, migrated_database_url, duty, BOSSES) as running:
        await begun(running, ("begin", "ana"), ("enrich", kept_by))
        assert await running.outcome(job("amend", "dee", "2000000")) == "permit"
        assert await running.outcome(job("amend", "dee", "3000000")) == "permit"


async def test_what_must_be_one_persons_is(tmp_path: Path, migrated_database_url: str) -> None:
    async with playing(tmp_path, migrated_database_url, TWICE) as running:
        await begun(running, ("begin", "dee"), ("enrich", "ana"))
        assert await running.outcome(job("amend", "dee", "2000000")) == "permit"
        assert await running.outcome(job("amend", "dee")) == "permit"
        await begun(running, ("close", "ben"))
        finding = await refused(running, "dee")
        assert "Enrichment, by p-05" in finding["message"]["en"]


async def test_a_pause_is_between_the_times_of_the_acts(tmp_path: Path, migrated_database_url: str) -> None:
    """Not between them and the amendment."""
    async with playing(tmp_path, migrated_database_url, SOON) as running:
        await begun(running, ("begin", "ana"))
        early = await claim(running, job("enrich", "ben"))
        await submit(
            running.service,
            ReportOutcome(new_id("out"), running.desk.key_ids["caller"], early, Reported.ABANDONED),
        )
        running.now += 2 * HOUR
        await begun(running, ("enrich", "cai"))
        running.now += 2 * HOUR
        finding = await refused(running, "dee")
        assert "p-06" in finding["message"]["en"]
        assert "p-07" not in finding["message"]["en"]


async def test_who_votes_again_is_asked_again(tmp_path: Path, migrated_database_url: str) -> None:
    """Ana began and checked. The check is opened again, and is for two others then."""
    async with playing(tmp_path, migrated_database_url, VOTES) as running:
        await begun(running, ("begin", "ana"), ("check", "ana"))
        assert await running.outcome(job("amend", "dee", "2000000")) == "permit"
        assert rules_of(await running.ask(job("check", "ana", "2000000"))) == {"rule"}
        assert await running.outcome(job("check", "ben", "2000000")) == "permit"
        assert await running.outcome(job("check", "cai", "2000000")) == "permit"


async def test_what_is_opened_again_is_done_by_somebody_else(
    tmp_path: Path, migrated_database_url: str
) -> None:
    """It was done about a hundred; what was given up, or is not opened again, counts."""
    duty = f"kind: separate, steps: [begin, check, enrich], {LARGE}"
    async with playing(tmp_path, migrated_database_url, duty) as running:
        await begun(running, ("begin", "ana"), ("check", "ana"))
        assert await running.outcome(job("amend", "dee", "2000000")) == "permit"
        assert rules_of(await running.ask(job("check", "ana", "2000000"))) == {"rule"}
        await take(running, job("check", "ben", "2000000"))
        assert await running.outcome(job("amend", "dee", "100")) == "permit"
        given_up = await claim(running, job("enrich", "ana"))
        key = running.desk.key_ids["caller"]
        await submit(running.service, ReportOutcome(new_id("out"), key, given_up, Reported.ABANDONED))
        await take(running, job("enrich", "cai"))
        finding = await refused(running, "dee")
        assert "abandoned, it still counts" in finding["message"]["en"]


async def test_a_rule_that_asks_for_a_review_has_the_amendment_reviewed(
    tmp_path: Path, migrated_database_url: str
) -> None:
    duty = f"kind: separate, steps: [begin, enrich], when: job.amount > {BIG}, then: review"
    async with playing(tmp_path, migrated_database_url, duty) as running:
        await begun(running, ("begin", "ana"), ("enrich", "ana"))
        waits = await refused(running, "dee", then="review")
        assert await approved(running, waits, "supervisor1") == []
        done = await running.ask(job("amend", "dee", "2000000"))
        assert (done["outcome"], done["findings"]) == ("permit", [])
        # It applied when this one was asked for, so that it is on record who let it pass.
        assert await running.outcome(job("amend", "dee", "3000000")) == "permit"


async def test_what_is_not_known_is_broken(tmp_path: Path, migrated_database_url: str) -> None:
    """Where the amount makes a rule depend on what only a request says, it applies; else it is no news."""
    when = f'when: job.amount > {BIG} && job.place == "here"'
    duty = f"kind: separate, steps: [begin, enrich], {when}, then: deny"
    async with playing(tmp_path, migrated_database_url, duty) as running:
        await begun(running, ("begin", "ana"), ("enrich", "ana"))
        finding = await refused(running, "dee")
        assert (finding["cause"], finding["missing"]) == ("missing", ["job.place"])
        assert await running.outcome(job("amend", "dee", "500")) == "permit"


async def test_nobody_lifts_it_in_an_emergency(tmp_path: Path, migrated_database_url: str) -> None:
    async with playing(tmp_path, migrated_database_url, BROKEN["separate"][0]) as running:
        await begun(running, ("begin", "ana"), ("enrich", "ana"))
        glass = {"break_glass": {"reason": "it burns", "minutes": 5}}
        answer = await running.ask(job("amend", "dee", "2000000", **glass))
        assert (answer["outcome"], rules_of(answer)) == ("deny", {"amended_history", "break_glass_refused"})


async def test_what_was_done_in_the_same_list_of_requests_counts(
    tmp_path: Path, migrated_database_url: str
) -> None:
    async with playing(tmp_path, migrated_database_url, BROKEN["separate"][0]) as running:
        await begun(running, ("begin", "ana"))
        asked = (job("enrich", "ana"), job("amend", "dee", "2000000"), job("amend", "dee", "200"))
        assert await running.outcome(*asked) == ["permit", "deny", "permit"]


async def test_somebody_acts_for_another(tmp_path: Path, migrated_database_url: str) -> None:
    """What was done by a bot is its person's."""
    async with playing(tmp_path, migrated_database_url, BROKEN["separate"][0]) as running:
        await begun(running, ("begin", "ana"), ("enrich", "ana.bot"))
        await refused(running, "dee")


# --- Beyond the chain -------------------------------------------------------------------------------------

LIMITS = {
    "separate": "kind: separate, steps: [begin, enrich], scope: account",
    "at_most": "kind: at_most, steps: [begin, enrich], scope: account, max: 1",
    "wall": "kind: chinese_wall, class: job.sector, dataset: job.issuer, within: P90D",
    "cooling_off": "kind: cooling_off, steps: [begin, enrich], scope: account, apart: PT1H",
}


def placed(action: str, login: str, number: str, amount: str = "100", **place: str) -> dict[str, Any]:
    where = {"account": "A", "sector": "oil", "issuer": f"X-{number}"} | place
    body = job(action, login, amount)
    body["resource"] = {"type": "job", "id": number, "properties": {"amount": amount, **where}}
    return body


@pytest.mark.parametrize("name", LIMITS)
async def test_what_was_done_elsewhere_before_is_held_against_it_too(
    name: str, tmp_path: Path, migrated_database_url: str
) -> None:
    """Of two small jobs at one place one becomes large, which Ana did not do before the other one."""
    async with playing(tmp_path, migrated_database_url, f"{LIMITS[name]}, {LARGE}") as running:
        await take(running, placed("begin", "ben", "J-1", account="B"))
        await take(running, placed("begin", "ana", "J-0"))
        await take(running, placed("enrich", "ana", "J-1", account="B"))
        running.now += HOUR
        assert await running.outcome(placed("amend", "dee", "J-1")) == "permit"
        answer = await running.ask(placed("amend", "eva", "J-1", "2000000"))
        assert answer["outcome"] == "deny"
        finding = next(item for item in answer["findings"] if item["rule"] == "amended_history")
        for text in (
            "J-1 comes under rule",
            "Begin on chain J-0, by p-05",
            "Enrichment on chain J-1, by p-05",
        ):
            assert text in finding["message"]["en"]
        # What was done on the other one was asked for before this.
        assert await running.outcome(placed("amend", "eva", "J-0", "2000000")) == "permit"


# --- Persons who are missing ------------------------------------------------------------------------------

TWO = "kind: at_least, steps: [begin, enrich, note], min: 2, then: deny"


@pytest.mark.parametrize("then", ["deny", "review"])
async def test_what_a_number_of_persons_was_made_up_by_is_not_opened_again(
    then: str, tmp_path: Path, migrated_database_url: str
) -> None:
    """Cai's note makes two, and need not be taken again."""
    async with playing(tmp_path, migrated_database_url, TWO.replace("deny", then)) as running:
        await begun(running, ("begin", "ana"), ("note", "cai"))
        assert await running.outcome(job("amend", "dee", "200")) == "permit"  # the enrichment is open
        await take(running, job("note", "cai", "200"))
        await take(running, job("enrich", "ana", "200"))
        answer = await running.ask(job("amend", "dee"))
        assert (answer["outcome"], rules_of(answer)) == (then, {"amended_history"})
        (finding,) = answer["findings"]
        assert "too few persons would be left on Begin, Enrichment, Note" in finding["message"]["en"]
        assert "1 where 2 must be" in finding["message"]["en"]
        assert "Quedan: Inicio, por p-05" in finding["message"]["es"]
        assert finding["values"]["count"] == 1


async def test_what_somebody_must_take_again_makes_up_for_it(
    tmp_path: Path, migrated_database_url: str
) -> None:
    duty = "kind: at_least, steps: [begin, enrich, check], min: 3, then: deny"
    async with playing(tmp_path, migrated_database_url, duty) as running:
        await begun(running, ("begin", "ana"), ("enrich", "ben"), ("check", "cai"))
        assert await running.outcome(job("amend", "dee", "200")) == "permit"
        assert await running.outcome(job("check", "ben", "200")) == "deny"
        assert await running.outcome(job("check", "eva", "200")) == "permit"


OTHER = "kind: separate, steps: [note, check], then: flag"  # which nobody minds here


async def test_who_took_the_last_step_is_not_left_alone_by_an_amendment(
    tmp_path: Path, migrated_database_url: str
) -> None:
    """Ana did all but the check, which need not come before the end: without Ben's she was alone."""
    async with playing(tmp_path, migrated_database_url, OTHER) as running:
        await begun(running, ("begin", "ana"), ("enrich", "ana"))
        assert rules_of(await running.ask(job("close", "ana"))) == {"sole_actor"}
        await begun(running, ("check", "ben"), ("close", "ana"))
        finding = await refused(running, "ana", "200")
        assert "Close" in finding["message"]["en"]
        assert finding["values"]["rule"] == "sole_actor"
        assert await running.outcome(job("amend", "dee", "200")) == "permit"  # who is somebody else


async def test_nor_by_who_gives_up_a_step(tmp_path: Path, migrated_database_url: str) -> None:
    """Ben claimed the check, and would give it up once Ana has closed: nobody would come for it."""
    async with playing(tmp_path, migrated_database_url, OTHER) as running:
        key = running.desk.key_ids["caller"]
        await begun(running, ("begin", "ana"), ("enrich", "ana"))
        check = await claim(running, job("check", "ben"))

        async def give_up() -> Any:
            command = ReportOutcome(new_id("out"), key, check, Reported.ABANDONED)
            return await submit(running.service, command)

        await begun(running, ("close", "ana"))
        with pytest.raises(Conflict) as caught:
            await give_up()
        assert caught.value.code == "too_few_persons_left"
        assert "gone through its last step, close" in str(caught.value.detail)
        assert "without p-06 on check nobody has" in str(caught.value.detail)
        assert "Have another person act on J-1 first" in str(caught.value.help)
        await begun(running, ("note", "cai"))
        assert (await give_up())["outcome"] == "abandoned"


async def test_a_step_is_given_up_before_the_last_one(tmp_path: Path, migrated_database_url: str) -> None:
    async with playing(tmp_path, migrated_database_url, OTHER) as running:
        await begun(running, ("begin", "ana"), ("enrich", "ana"))
        answer = await running.ask(job("check", "ben"))
        key = running.desk.key_ids["caller"]
        await submit(running.service, ReportOutcome(new_id("out"), key, answer["id"], Reported.ABANDONED))
        assert rules_of(await running.ask(job("close", "ana"))) == {"sole_actor"}


async def test_two_who_amended_are_found_to_be_one(tmp_path: Path, migrated_database_url: str) -> None:
    """What was amended last holds: no amendment is undone by that, nor a step that anybody may repeat."""
    duty = f"{OTHER.replace('flag', 'review')}, when: job.amount > {BIG}"
    async with playing(tmp_path, migrated_database_url, duty) as running:
        await begun(running, ("begin", "ana"))
        for login, amount in (("ben", "200"), ("cai", "300")):
            assert await running.outcome(job("amend", login, amount)) == "permit"
            await take(running, job("look", login, amount))
        await merged(running.service, running.desk, "p-07", "p-06")
        assert rules_of(await running.ask(job("enrich", "dee", "200"))) == {"material_changed"}
        assert await running.outcome(job("enrich", "dee", "300")) == "permit"
        told: Any = await running.service.queries.chain("J-1", kind=None)
        assert {act["state"] for act in told["acts"] if act["step"] == "look"} == {"performed"}
