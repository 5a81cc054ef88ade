from __future__ import annotations

import csv
import gzip
import json
from collections import defaultdict
from pathlib import Path

import pytest

from controls.duties.enforcement import Enforcement
from controls.model.chain import Act, ChainHistory, Repeats
from tests.duties.builders import a_grant, a_kind, a_question, a_step, an_act

LOGS = ("receipt_wabo", "purchasing_example_p2p", "running_example")


@pytest.mark.parametrize("log", LOGS)
def test_whole_chain_over_real_logs(shared_data: Path, log: str) -> None:
    """Played through the enforcement, real logs are denied exactly where plain set logic denied them."""
    folder = shared_data / "eventlogs"
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))["logs"][log]
    with gzip.open(folder / f"{log}.csv.gz", "rt", encoding="utf-8", newline="") as lines:
        rows = [(row["case"], row["activity"], row["resource"]) for row in csv.DictReader(lines)]
    assert expected
    for wanted in expected:
        steps = [a_step(name, repeats=Repeats.ANYONE) for name in wanted["chain"]]
        kind = a_kind(*steps, name=log, free=True, sole_actor_allowed=True)
        enforcement = Enforcement((a_grant("anyone", *wanted["chain"]),), {}, (), (kind,))
        acts: dict[str, list[Act]] = defaultdict(list)
        checked, denied = 0, []
        for case, activity, resource in rows:
            if activity not in wanted["chain"] or not resource:
                continue
            checked += 1
            history = ChainHistory(kind=log, chain=case, acts=tuple(acts[case]))
            if enforcement.decide(a_question(activity, resource, history=history, kind=kind)).allowed:
                acts[case].append(an_act(activity, resource, chain=case))
            else:
                denied.append(case)
        assert checked == wanted["checked_events"]
        assert len(denied) == wanted["preventive_denied_events"]
        assert len(set(denied)) == wanted["preventive_cases_with_denial"]
