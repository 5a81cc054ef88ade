"""Builds small ledgers and their exports: honest ones, and ones that were tampered with and sealed again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias, cast

from controls.ledger.canonical import exact_bytes
from controls.ledger.commitment import Disclosure
from controls.ledger.envelope import blob_digest, entry_bytes, parse_entry
from controls.ledger.export import Blob, Columns, ExportedEntry, Header, SignedHead, export_lines
from controls.ledger.merkle import Frontier, leaf_hash
from controls.ledger.note import Checkpoint, Signer, generate_key, sign_note
from controls.model.values import Json, microseconds, utc_text

ORIGIN = "example.com/ledger"
TENANT = "main"
KEYS = generate_key(ORIGIN, seed=bytes(range(32)))
SIGNER = Signer.parse(KEYS.signing)
START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
Line: TypeAlias = dict[str, Any]

RELEASE: dict[str, Json] = {
    "format": 1,
    "files": {
        "chains/order.yaml": {
            "chain": "order",
            "resource": "order",
            "steps": [
                {"id": "capture"},
                {"id": "approve", "after": ["capture"], "reapprove": True},
                {"id": "note", "optional": True, "repeats": "anyone"},
                {"id": "execute", "after": ["approve"], "repeats": "same_person"},
                {"id": "settle", "after": ["execute"]},
            ],
        },
        "chains/others.yaml": [{"chain": "claim", "resource": "claim", "steps": [{"id": "a"}, {"id": "b"}]}],
        "duties/separate.yaml": [
            {"id": "maker_checker", "kind": "separate", "steps": ["capture", "approve"], "then": "deny"},
            {"id": "far", "kind": "separate", "steps": ["capture", "settle"], "then": "review"},
            {"id": "some", "kind": "separate", "steps": ["note", "settle"], "then": "deny", "when": "true"},
            {"id": "few", "kind": "at_most", "steps": ["capture", "settle"], "max": 1, "then": "flag"},
        ],
        "roles.yaml": {"roles": {"trader": {}, "clerk": {}, "chief": {"inherits": ["supervisor"]}}},
        "system/roles.yaml": {
            "roles": {"administrator": {}, "supervisor": {}},
            "grants": [
                {"role": "administrator", "actions": ["propose", "confirm"], "resource": "change"},
                {"role": "supervisor", "actions": ["resolve"], "resource": "review"},
            ],
        },
        "system/chains/administration.yaml": {
            "chain": "administration",
            "resource": "change",
            "steps": [{"id": "propose"}, {"id": "confirm", "after": ["propose"]}],
        },
    },
}
RELEASE_BYTES = exact_bytes(RELEASE)
RELEASE_DIGEST = blob_digest(RELEASE_BYTES)


def a_commitment(
    values: Mapping[str, Json], *, seed: str
) -> tuple[dict[str, dict[str, Json]], dict[str, Json]]:
    """Commitments and disclosure of some values, with salts that follow from a seed."""
    randomness = b"".join(sha256(f"{seed}{at}".encode()).digest() for at in range(len(values)))
    made = Disclosure.of(values, randomness=randomness)
    return made.commitments(), made.to_json()


class LedgerBuilder:
    """A ledger that grows entry by entry, with a checkpoint wherever one is asked for."""

    def __init__(
        self,
        release: bytes = RELEASE_BYTES,
        *,
        persons: Mapping[str, str] | None = None,
        origin: str = ORIGIN,
    ) -> None:
        """Begin with one release, one key and the accounts (reference to person) of `persons`."""
        self.keys = generate_key(origin, seed=bytes(range(32)))
        self.origin = origin
        self.release = blob_digest(release)
        self.directory = 0
        self.entries: list[ExportedEntry] = []
        self.checkpoints: list[SignedHead] = []
        self.blobs: list[Blob] = [Blob(digest=self.release, data=release)]
        self.now = START
        self._frontier = Frontier()
        self.add(
            "genesis",
            administrators=["person-1", "person-2"],
            tenant=TENANT,
            keys=["key-1"],
            blob=self.directory_blob(persons or {}),
        )

    def directory_blob(self, persons: Mapping[str, str], *, end: datetime | None = None) -> str:
        """Put a directory among the blobs, its accounts valid from the start on; its digest."""
        valid: dict[str, Json] = {"from": utc_text(START), "to": None if end is None else utc_text(end)}
        people: list[Json] = [
            {"id": person, "accounts": [{"ref": ref, **valid}], "roles": []}
            for ref, person in persons.items()
        ]
        data = exact_bytes({"v": 1, "persons": people})
        blob = Blob(digest=blob_digest(data), data=data)
        if blob not in self.blobs:
            self.blobs.append(blob)
        return blob.digest

    def people(self, **roles: list[str]) -> str:
        """Put a directory of persons with roles since the start among the blobs; its digest."""
        since: dict[str, Json] = {"from": utc_text(START), "to": None}
        persons: list[Json] = [
            {
                "id": person,
                "accounts": [{"ref": f"acc-{person}", **since}],
                "roles": [{"role": role, **since} for role in held],
            }
            for person, held in roles.items()
        ]
        data = exact_bytes({"v": 1, "persons": persons})
        self.blobs.append(Blob(digest=blob_digest(data), data=data))
        return self.blobs[-1].digest

    def provision(self, blob: str, key: str = "key-2") -> None:
        """Append a change that an identity provider made of the directory."""
        self.directory = len(self.entries)
        self.add("directory", provision="change_user", key=key, blob=blob)

    def add(self, kind: str, *, private: Mapping[str, Json] | None = None, **fields: Json) -> str:
        """Append an entry; its id."""
        index = len(self.entries)
        name, request = f"0195{index:028x}", fields.get("request")
        committed, disclosure = a_commitment(private or {}, seed=f"{index}/")
        data = entry_bytes(
            {
                "v": 1,
                "ledger": self.origin,
                "kind": kind,
                "id": name,
                "at": utc_text(self.now),
                "release": self.release,
                "directory": self.directory,
                **({"request": cast(Json, committed)} if committed else {}),
                **fields,
                **({"request": {**request, **committed}} if isinstance(request, dict) else {}),
            }
        )
        chain, person = fields.get("chain"), fields.get("person")
        columns = Columns(
            id=name,
            kind=kind,
            at=microseconds(self.now),
            chain=f"{chain['kind']}:{chain['id']}" if isinstance(chain, dict) else None,
            person=person if isinstance(person, str) else None,
        )
        self.entries.append(
            ExportedEntry(index=index, columns=columns, data=data, disclosure=disclosure or None)
        )
        self.now += timedelta(milliseconds=250)
        return name

    def claim(
        self, person: str, step: str, *, chain: str = "O-1", kind: str = "order", **fields: Json
    ) -> str:
        """Append a permitted decision that claims a step; the claim's id."""
        claim = f"claim-{len(self.entries)}"
        taken: dict[str, Json] = {
            "id": claim,
            "step": step,
            "shared": False,
            "valid_until": utc_text(self.now + timedelta(days=1)),
        }
        self.add(
            "decision",
            person=person,
            outcome="permit",
            chain={"kind": kind, "id": chain},
            claim=taken,
            private={"order.notional": "1000.50", "subject.id": person},
            **{"request": asked(step, chain=chain, kind=kind), **fields},
        )
        return claim

    def open_case(
        self, person: str, step: str, *, chain: str = "O-1", kind: str = "order", **fields: Json
    ) -> str:
        """Append a decision that refers a request to a supervisor; the case's id."""
        case = f"review-{len(self.entries)}"
        self.add(
            "decision",
            person=person,
            outcome="review",
            review=case,
            request=asked(step, chain=chain, kind=kind),
            **({"chain": {"kind": kind, "id": chain}} if kind == "order" else {}),
            **fields,
        )
        return case

    def approve(
        self, case: str, approver: str, step: str, *, chain: str = "O-1", hours: int = 24
    ) -> dict[str, Json]:
        """Append the approval of a case; the approval as a decision that uses it names it."""
        approval = f"approval-{len(self.entries)}"
        self.add(
            "resolution",
            person=approver,
            review=case,
            resolution="approve",
            approval={"id": approval, "expires_at": utc_text(self.now + timedelta(hours=hours))},
            chain={"kind": "order", "id": chain},
            step=step,
            approver_act=True,
        )
        return {"id": approval, "review": case, "approver": approver}

    def propose(self, change: str, change_kind: str, person: str = "ana", *, release: str = "") -> None:
        """Append the proposal of a change; one of release proposes the one in force when none is named."""
        fields: dict[str, Json] = {"change": change, "change_kind": change_kind, **where(change)}
        if change_kind == "release":
            fields["proposes"] = release or self.release
        self.add("change", act="propose", person=person, **fields)

    def publish(self, release: str) -> None:
        """Append a release that a watched folder put into force."""
        before, self.release = self.release, release
        self.add("release", published_by="watcher", replaces=before)

    def confirm(self, change: str, kind: str, person: str = "bea", **fields: Json) -> None:
        """Append the confirmation of a change, with which it comes into force."""
        if kind == "directory":
            self.directory = len(self.entries)
        elif kind == "release":
            fields = {"replaces": self.release, **fields}
            self.release = str(fields.get("release", self.release))
        self.add(kind, act="confirm", person=person, change=change, **where(change), **fields)

    def share(self, person: str, step: str, claim: str, *, chain: str = "O-1") -> None:
        """Append a decision that shares a live claim."""
        taken: dict[str, Json] = {
            "id": claim,
            "step": step,
            "shared": True,
            "valid_until": utc_text(self.now),
        }
        self.add(
            "decision",
            person=person,
            outcome="permit",
            chain={"kind": "order", "id": chain},
            claim=taken,
            request=asked(step, chain=chain),
        )

    def amend(self, person: str, *steps: str, chain: str = "O-1") -> None:
        """Append a permitted amendment that opens steps again."""
        self.claim(person, "amend", chain=chain, reopens=list(steps))

    def end(self, claim: str, outcome: str = "performed") -> None:
        """Append the outcome of a claim."""
        self.add("outcome", claim=claim, outcome=outcome)

    def sign(self) -> str:
        """Sign the ledger as it is; the note."""
        leaves = [leaf_hash(entry.data) for entry in self.entries[self._frontier.size :]]
        self._frontier = self._frontier.append(leaves)
        note = a_note(self._frontier, signer=Signer.parse(self.keys.signing), origin=self.origin)
        self.checkpoints.append(SignedHead(size=self._frontier.size, note=note))
        return note

    def export(self) -> bytes:
        """The export, signed over everything."""
        if not self.checkpoints or self.checkpoints[-1].size < len(self.entries):
            self.sign()
        header = Header(
            origin=self.origin, tenant=TENANT, vkey=self.keys.verifying, start=0, end=len(self.entries)
        )
        return b"".join(
            export_lines(header, blobs=self.blobs, entries=self.entries, checkpoints=self.checkpoints)
        )


def asked(action: str, *, chain: str = "O-1", kind: str = "order") -> dict[str, Json]:
    """What an entry holds of a request in clear."""
    return {"action": action, "resource": {"type": kind, "id": chain}}


def where(change: str) -> dict[str, Json]:
    """The chain that a change goes through."""
    return {"chain": {"kind": "administration", "id": change}}


def a_note(frontier: Frontier, *, signer: Signer = SIGNER, origin: str = ORIGIN) -> str:
    """A signed checkpoint over a frontier."""
    body = Checkpoint(origin=origin, size=frontier.size, root=frontier.root()).text()
    return sign_note(body, signers=[signer])


def an_order(*, sign_each: bool = False) -> LedgerBuilder:
    """A short honest day: one order by three people, a referral, a refusal, private values."""
    ledger = LedgerBuilder()
    ledger.sign()
    for person, step in (("ana", "capture"), ("bea", "approve"), ("ana", "execute"), ("eva", "settle")):
        ledger.end(ledger.claim(person, step))
        if sign_each:
            ledger.sign()
    ledger.add("refusal", private={"reason": "tarde, «mañana» será otro día"})
    ledger.add("decision", person="ana", outcome="deny", chain={"kind": "order", "id": "O-1"})
    return ledger


def lines_of(export: bytes) -> list[Line]:
    """The lines of an export as values."""
    return [json.loads(line) for line in export.splitlines()]


def sealed(lines: Sequence[Line], *, sign: bool = False) -> bytes:
    """The export of these lines with a right digest, so that only what it is a digest of can be wrong.

    With `sign`, every checkpoint is made anew over the entries that are there: what a holder of the key
    could do.
    """
    lines = [dict(line) for line in lines]
    if sign:
        hashes = [leaf_hash(line["bytes"].encode()) for line in lines if line["type"] == "entry"]
        for line in lines:
            if line["type"] == "checkpoint":
                line["note"] = a_note(Frontier().append(hashes[: line["size"]]))
    before = b"".join(exact_bytes(line) + b"\n" for line in lines[:-1])
    return before + exact_bytes({**lines[-1], "sha256": sha256(before).hexdigest()}) + b"\n"


def changed_entry(line: Line, **fields: Json) -> Line:
    """An entry line with other fields in its bytes, canonical as before."""
    entry = {**parse_entry(line["bytes"].encode()), **fields}
    return {
        **line,
        "bytes": exact_bytes({name: item for name, item in entry.items() if item != "-"}).decode(),
    }


def written(folder: Path, export: bytes) -> Path:
    """The export in a file."""
    path = folder / "export.jsonl"
    path.write_bytes(export)
    return path
