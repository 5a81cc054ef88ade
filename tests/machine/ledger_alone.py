"""Every verdict anew from the export of a ledger: whom, what and when the entries tell, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from controls.ledger.export import Blob, ExportedEntry, read_export
from tests.machine.plain_model import World
from tests.machine.plain_words import UNKNOWN, Accepted, Ask, Lent
from tests.machine.plans import FACTS, fact_name
from tests.machine.playing import AMOUNTS, by_rule

WORDS = {text: word for word, text in AMOUNTS.items()}


class Retold:
    """A world that is made of entries; persons are numbered as they come."""

    def __init__(self, rules: World, blobs: Mapping[str, bytes]) -> None:
        self.world = World(
            kinds=rules.kinds,
            duties=rules.duties,
            grants=rules.grants,
            inherits=rules.inherits,
            roles={},
            profiles={},
            now=rules.now,
        )
        self.blobs = blobs
        self.numbers: dict[str, int] = {}
        self.survivors: dict[str, str] = {}
        self.asked: dict[str, Ask] = {}  # by the case that it opened

    def number(self, person: str) -> int:
        """The number of a person, or of whom he or she was found to be."""
        person = self.survivors.get(person, person)
        return self.numbers.setdefault(person, len(self.numbers))

    def take(
        self, entry: dict[str, Any], private: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, str], dict[str, str]] | None:
        """The entry, what it says was found, and what the plain model finds; None if it is no decision."""
        self.world.now = datetime.fromisoformat(entry["at"])
        match entry["kind"]:
            case "genesis" | "directory":
                if "merges" in entry:
                    merges = entry["merges"]
                    person, into = merges["person"], merges["into"]
                    self.world.merge(self.number(person), self.number(into))
                    found = {**self.survivors, person: into}
                    self.survivors = {old: found.get(new, new) for old, new in found.items()}
                self.directory(json.loads(self.blobs[entry["blob"]])["persons"], private)
            case "outcome":
                self.world.report(entry["decision"], entry["outcome"])
            case "resolution" if entry.get("approver_act"):
                self.world.approve(self.asked[entry["review"]], self.number(entry["person"]))
            case "decision":
                return self.decision(entry)
        return None

    def directory(self, persons: list[dict[str, Any]], private: Mapping[str, Any]) -> None:
        def now(records: list[dict[str, Any]], key: str) -> list[str]:
            return [item[key] for item in records if item["to"] is None]

        for position, person in enumerate(persons):
            if person["id"] in self.survivors:
                continue
            number = self.number(person["id"])
            self.exceptions(number, person)
            self.world.roles[number] = frozenset(now(person.get("roles", []), "role"))
            told = private.get(f"persons/{position}", {})
            profile = {
                name: "".join(now(told.get(name, []), "value")) for name in ("department", "household")
            }
            superior = "".join(now(person.get("reports_to", []), "value"))
            profile["reports_to"] = str(self.number(superior)) if superior else ""
            self.world.profiles[number] = profile

    def exceptions(self, number: int, person: dict[str, Any]) -> None:
        """What a person has lent, and the own conflicts that are accepted, as they are now."""
        self.world.lent = [item for item in self.world.lent if item.person != number]
        self.world.lent += [
            Lent(
                number,
                self.number(item["delegate"]),
                item["chain"],
                frozenset(item["steps"]),
                datetime.fromisoformat(item["to"]),
            )
            for item in person.get("delegations", ())
        ]
        self.world.accepted = [item for item in self.world.accepted if item.person != number]
        self.world.accepted += [
            Accepted(
                number, item["constraint"], self.number(item["owner"]), datetime.fromisoformat(item["to"])
            )
            for item in person.get("mitigations", ())
        ]

    def decision(self, entry: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str], dict[str, str]]:
        request = entry["request"]
        kind = request["resource"]["type"]
        said = request["properties"]
        facts = {name: said[key] for name in FACTS if (key := fact_name(kind, name)) in said}
        ask = Ask(
            self.number(entry["person"]) if entry.get("person") else None,
            (kind, request["resource"]["id"]),
            request["action"],
            {name: WORDS.get(value, value) for name, value in facts.items()},
            tuple((link["type"], link["id"]) for link in request.get("lineage", ())),
            self.behalf(entry),
            "break_glass" in request,
        )
        if "review" in entry:
            self.asked.setdefault(entry["review"], ask)
        found = by_rule([*entry.get("findings", ()), *entry.get("cleared", ())])
        expected = self.world.verdict(ask)
        if "claim" in entry:
            self.world.take(ask, entry["id"])
        return entry, found, expected

    def behalf(self, entry: dict[str, Any]) -> int | None:
        """For whom it was asked; of somebody unknown the ledger has the name under a seal only."""
        if "on_behalf_of" in entry:
            return self.number(entry["on_behalf_of"]["person"])
        return UNKNOWN if "on_behalf_of" in entry["request"]["properties"] else None


def verdicts(export: bytes, rules: World) -> Iterator[tuple[dict[str, Any], dict[str, str], dict[str, str]]]:
    """For every decision of a ledger: its entry, what was found then, and what is found again now."""
    lines = list(read_export(export.splitlines(keepends=True)))
    retold = Retold(rules, {line.digest: line.data for line in lines if isinstance(line, Blob)})
    for line in lines:
        if isinstance(line, ExportedEntry):
            private = {path: item["value"] for path, item in (line.disclosure or {}).items()}  # type: ignore[index,call-overload]
            told = retold.take(json.loads(line.data), private)
            if told is not None:
                yield told
