"""controls-verify: check an export of the ledger with nothing but the file and the public key.

    controls-verify EXPORT --key VKEY [--checkpoint FILE] [--json]
    python verifier.py EXPORT --key VKEY        (this file, copied anywhere; needs only `cryptography`)

This file imports nothing of the package that wrote the ledger: it is a second, independent reading of the
format, short enough to be read before it is trusted. EXPORT may be gzipped; it is read once, from the
start, and what is kept of an entry is its hash, its id and its part in the duties of its chain.

When the answer is "verified", then
- the holder of the key signed a tree head over exactly these entries, in this order, without a gap, and
  every other signed tree head in the export (and the one that you kept) is a prefix of that tree. Roots
  are recomputed from the leaves, so a consistency proof between two of them could not add anything;
- what the database says of an entry (columns) is what the entry says; times never go back; ids are unique;
- disclosed private values are those that were committed to (erased ones are counted, and stay unknown),
  in the entry or in the directory that it puts in force;
- every release that an entry names is there, unchanged, and so is every directory;
- release, directory, key and account of every entry are those that the entries before it put in force, so
  that nobody slipped others into the database; each change of them was proposed before it was confirmed,
  and of a release this very one (on a ledger named demo/... a folder may publish releases: `watched`; an
  identity provider may change the directory under a key that two administrators gave out: `provisioned`,
  only roles that the key names, none that administers or supervises, and no person who holds such a role);
  no account ever moved to another person; who was merged with whom, the entry of the merge says; whoever
  acted for another person had a delegation of that very step in force (`delegated`);
  each approval was given in a case opened for the same person, action and resource, and was used once,
  before it expired;
- recomputed from the entries alone: whoever was permitted a step of a chain claimed that step of that chain;
  nobody acted on all mandatory steps of a chain (approving a step, amending for its first step, and proposing
  or confirming a change of directory, keys or rules, are such acts; what one did for another is the act of
  both; persons found to be one are one from the entry on that says so: `merged`), a step that does not repeat
  was never held by two claims at once (one that takes votes: by more than these, or twice by one person), and
  no constraint of the kinds `separate`, `at_most` and `votes` was broken that denies, looks at one chain, and
  holds under no condition and for no period, unless it is not absolute and a second person lifted it for that
  one act (`exceptions`). Changes took effect with the last vote that such a constraint asks for.
  On a chain counts what was done on all that it comes from, as its first act and none later declares, and
  together that keeps the duties, too, when a chain joins several.
It does not show that decisions were right (`controls verify --replay` does), nor that nothing was cut off
after the last checkpoint that you know: keep one outside, and pass it with --checkpoint.

Exit code: 0 verified; 2 the command was wrong; else that of the first failure met, reading from the top:
10 malformed, damaged or cut short     11 signature or origin       12 root, or entries under no checkpoint
13 not what your checkpoint saw        14 gap in the indexes        15 columns differ from the entry
16 time goes back                      17 id used twice             18 disclosure differs from commitment
19 blob differs from digest            20 named blob is missing     21 duties broken
22 rests on what no entry put in force
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import hmac
import json
import re
import sys
import unicodedata
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, NoReturn, TextIO

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORMAT: Final = "controls-export/1"
MAX_LINE: Final = 256 * 1024 * 1024  # nothing that is honest comes near it
MAX_ENTRY: Final = 65_535
MAX_LISTED: Final = 100  # failures that the report lists; all are counted
SMALL_INTEGER: Final = 2**53 - 1
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
HEX_256: Final = re.compile(r"[0-9a-f]{64}")
DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
AT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
SIGNATURE_LINE: Final = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/=]+)")
KINDS: Final = frozenset(
    {"genesis", "decision", "allocation", "outcome", "review", "resolution"}
) | frozenset({"directory", "key", "release", "expiry", "refusal", "change"})
ADMINISTRATION: Final = frozenset({"change", "directory", "key", "release"})
# What a proposed change becomes when it is confirmed.
CHANGES: Final = {
    "directory": "directory",
    "merge": "directory",
    "delegation": "directory",
    "delegation_end": "directory",
    "mitigation": "directory",
    "mitigation_end": "directory",
    "key_creation": "key",
    "key_revocation": "key",
    "release": "release",
}
# The fields whose values name blobs, wherever in an entry they stand. (An index names no blob.)
BLOB_FIELDS: Final = frozenset({"release", "directory", "blob"})
# What the names of ledgers begin with that are for trying things out: a folder may publish releases there.
DEMO: Final = "demo/"
# Kinds of constraints that are recomputed here, or say how many persons a step takes.
LIMITS: Final = frozenset({"separate", "at_most", "votes"})
# Those of them that may be over the steps of several kinds of chains.
SPANNING: Final = frozenset({"separate", "at_most"})
AMEND: Final = "amend"  # the one action that is claimed and is no step: it changes what steps rest on


class Failure(IntEnum):
    """What kind of failure; the value is the exit code."""

    MALFORMED = 10
    SIGNATURE = 11
    ROOT = 12
    KEPT_CHECKPOINT = 13
    GAP = 14
    COLUMNS = 15
    TIME = 16
    REPEATED_ID = 17
    DISCLOSURE = 18
    BLOB = 19
    MISSING_BLOB = 20
    DUTY = 21
    FORCE = 22


class Bad(Exception):
    """A failure, of one entry or not; `fatal` when nothing after it can be read with sense."""

    def __init__(
        self, failure: Failure, message: str, *, entry: int | None = None, fatal: bool = False
    ) -> None:
        super().__init__(message)
        self.failure = failure
        self.entry = entry
        self.fatal = fatal


@dataclass
class Problem:
    """One failure of the report; `entry` is the index of the entry concerned, if there is one."""

    failure: str
    code: int
    line: int
    entry: int | None
    message: str


@dataclass
class Report:
    """What was found."""

    verified: bool = False
    code: int = 0
    origin: str = ""
    tenant: str = ""
    entries: int = 0
    root: str = ""
    blobs: int = 0
    checkpoints: int = 0
    disclosed: int = 0
    erased: int = 0
    chains: int = 0
    watched: int = 0
    provisioned: int = 0
    merged: int = 0
    delegated: int = 0
    exceptions: int = 0
    failures: int = 0
    problems: list[Problem] = field(default_factory=list)

    def add(self, bad: Bad, *, line: int, entry: int | None) -> None:
        self.failures += 1
        self.code = self.code or int(bad.failure)
        if len(self.problems) < MAX_LISTED:
            problem = Problem(bad.failure.name.lower(), int(bad.failure), line, entry, str(bad))
            self.problems.append(problem)


# -- canonical JSON (RFC 8785 for objects with ASCII keys and small integers) ------------------------------


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text[:40]} is no small integer")


def _small(text: str) -> int:
    return int(text) if len(text) < 18 and abs(int(text)) <= SMALL_INTEGER else _refuse(text)


ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
DECODER: Final = json.JSONDecoder(parse_float=_refuse, parse_constant=_refuse, parse_int=_small)


def canonical(value: object) -> str:
    return ENCODER.encode(value)


def parse(text: str) -> Any:
    """The value of which `text` is the one canonical form; ValueError when it is not."""
    try:
        value = DECODER.decode(text)
        same = canonical(value) == text
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not same:
        raise ValueError("it is not canonical JSON")
    return value


def normal(value: Any) -> Any:
    """The value with all strings in Unicode normal form C, as commitments are made over."""
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, dict):
        return {key: normal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [normal(item) for item in value]
    return value


# -- the tree (RFC 6962) -----------------------------------------------------------------------------------


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


class Tree:
    """The leaf hashes of all entries, and the roots of prefixes, asked for in growing order."""

    def __init__(self) -> None:
        self._leaves = bytearray()
        self.restart()

    def restart(self) -> None:
        """Begin again with the smallest prefix."""
        self._size = 0
        self._peaks: list[bytes] = []  # roots of the complete subtrees, largest first

    @property
    def size(self) -> int:
        return len(self._leaves) // 32

    def append(self, data: bytes) -> None:
        self._leaves += leaf_hash(data)

    def root(self, size: int) -> bytes:
        """The root of the first `size` leaves."""
        while self._size < size:
            current = bytes(self._leaves[32 * self._size : 32 * self._size + 32])
            bits = self._size
            while bits & 1:
                current = hashlib.sha256(b"\x01" + self._peaks.pop() + current).digest()
                bits >>= 1
            self._peaks.append(current)
            self._size += 1
        if not self._peaks:
            return hashlib.sha256(b"").digest()
        current = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            current = hashlib.sha256(b"\x01" + peak + current).digest()
        return current


# -- signed checkpoints (C2SP signed-note and tlog-checkpoint) ---------------------------------------------


@dataclass(frozen=True)
class Key:
    """A public key: `name+id+base64(0x01 || Ed25519 key)`."""

    text: str
    name: str
    id: bytes
    public: bytes

    @classmethod
    def of(cls, text: str) -> Key:
        """ValueError when `text` is no such key."""
        name, key_id, data = (*text.split("+", 2), "", "")[:3]
        key = decode(data)
        if not name or any(character.isspace() for character in name) or len(key) != 33 or key[0] != 1:
            raise ValueError("a key reads name+id+base64 and is an Ed25519 key: pass the whole line")
        expected = hashlib.sha256(name.encode() + b"\n" + key).digest()[:4]
        if expected.hex() != key_id:
            raise ValueError(f"the id of this key is {expected.hex()}, not {key_id}: the text was changed")
        return cls(text, name, expected, key[1:])


def decode(text: str) -> bytes:
    """Canonical base64; empty when it is not."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        return b""
    return data if base64.b64encode(data).decode() == text else b""


def open_checkpoint(note: str, keys: Sequence[Key], origin: str) -> tuple[int, bytes]:
    """Size and root of a checkpoint that one of the keys signed; raises Bad."""
    text, separator, signatures = note.rpartition("\n\n")
    lines = signatures.split("\n")
    if not separator or lines.pop() or any(character < " " and character != "\n" for character in note):
        raise Bad(Failure.SIGNATURE, "the checkpoint is not a signed note")
    body = text + "\n"
    signed = False
    for line in lines:
        found = SIGNATURE_LINE.fullmatch(line)
        data = decode(found[2]) if found else b""
        if found is None or len(data) < 5:
            raise Bad(Failure.SIGNATURE, "the checkpoint has a malformed signature line")
        for key in keys:
            if (key.name, key.id) == (found[1], data[:4]):
                try:
                    Ed25519PublicKey.from_public_bytes(key.public).verify(data[4:], body.encode())
                except InvalidSignature:
                    raise Bad(Failure.SIGNATURE, f"the signature of {key.name} is wrong") from None
                signed = True
    if not signed:
        raise Bad(Failure.SIGNATURE, "the checkpoint is not signed by the key you gave")
    fields = text.split("\n")
    if len(fields) != 3 or not re.fullmatch(r"0|[1-9][0-9]{0,18}", fields[1], re.ASCII):
        raise Bad(Failure.SIGNATURE, "a checkpoint has three lines: origin, size, root")
    root = decode(fields[2])
    if len(root) != 32:
        raise Bad(Failure.SIGNATURE, "the checkpoint's root is not a SHA-256 hash")
    if fields[0] != origin:
        raise Bad(Failure.SIGNATURE, f"the checkpoint is of {fields[0]!r}, the export of {origin!r}")
    return int(fields[1]), root


# -- duties recomputed from the entries --------------------------------------------------------------------


@dataclass(frozen=True)
class Limit:
    """A person may act on at most `most` of `groups` of steps.

    `ordered`: when a step is taken, only acts on groups listed before its own count against it.
    `everywhere`: acts on chains of all kinds count, where one comes from the other.
    """

    name: str
    groups: tuple[frozenset[str], ...]
    most: int
    ordered: bool
    everywhere: bool = False
    absolute: bool = False  # no exception ever relaxes it

    def exceeded(self, steps: Set[str]) -> bool:
        """Whether acts on `steps` by one person are too many, in whatever order they came."""
        return not self.ordered and sum(not group.isdisjoint(steps) for group in self.groups) > self.most

    def broken(self, before: Collection[str], step: str) -> list[str]:
        """The steps that are too many, when a person who acted on those `before` acts on `step`."""
        own = next((number for number, group in enumerate(self.groups) if step in group), None)
        if own is None:
            return []
        counted = self.groups[:own] if self.ordered else (*self.groups[:own], *self.groups[own + 1 :])
        touched = [group for group in counted if not group.isdisjoint(before)]
        if len(touched) < self.most:
            return []
        return sorted({step}.union(*(group.intersection(before) for group in touched)))


@dataclass(frozen=True)
class ChainRules:
    """What a release says of one chain kind, as far as it is recomputed here."""

    resource: str  # the type of resource whose chains are of this kind
    first: str  # the step whose facts an amendment changes
    repeats: Mapping[str, str]  # step -> never | same_person | anyone
    reapprove: frozenset[str]  # steps that an amendment opens again
    mandatory: frozenset[str]
    votes: Mapping[str, int]  # step -> how many persons it takes at most, where that may be several
    least: Mapping[str, int]  # step -> how many it takes under all conditions
    limits: tuple[Limit, ...]


def read_release(data: Any) -> dict[str, ChainRules]:
    """Chain kinds of a release by id; KeyError, TypeError, ValueError, AttributeError if it is none."""
    if data["format"] != 1:
        raise ValueError("unknown format")
    kinds: list[dict[str, Any]] = []
    duties: list[dict[str, Any]] = []
    for name, content in sorted(data["files"].items()):
        items = content if isinstance(content, list) else [content]
        folders = name.split("/")[:-1]  # `chains/order.yaml`; built-in files are in `system/chains/...`
        if "chains" in folders:
            kinds += items
        elif "duties" in folders:
            duties += items
    rules: dict[str, ChainRules] = {}
    names = [{step["id"] for step in kind["steps"]} for kind in kinds]
    spanning = [
        item | {"everywhere": True}
        for item in duties
        if item["kind"] in SPANNING
        and "chain" not in item
        and not any(steps >= _named_steps(item) for steps in names)
    ]
    for kind in kinds:
        steps = {step["id"]: step for step in kind["steps"]}
        about = [
            item
            for item in duties
            if item["kind"] in LIMITS
            and (item["chain"] == kind["chain"] if "chain" in item else steps.keys() >= _named_steps(item))
        ]
        rules[kind["chain"]] = ChainRules(
            resource=str(kind["resource"]),
            first=str(kind["steps"][0]["id"]),
            repeats={name: str(step.get("repeats", "never")) for name, step in steps.items()},
            reapprove=frozenset(name for name, step in steps.items() if step.get("reapprove") is True),
            mandatory=frozenset(name for name, step in steps.items() if step.get("optional") is not True),
            votes=_votes(steps, about),
            least=_votes(steps, (item for item in about if not {"when", "effective"} & item.keys())),
            limits=tuple(
                limit for item in (*about, *spanning) if _is_recomputed(item) for limit in _limits(item)
            ),
        )
    return rules


def _is_recomputed(constraint: dict[str, Any]) -> bool:
    """Whether the constraint holds always: conditions, periods and other scopes need a replay."""
    return (
        constraint.get("then", "deny") == "deny"
        and "when" not in constraint
        and "effective" not in constraint
        and constraint.get("scope", "chain") == "chain"
    )


def _named_steps(constraint: dict[str, Any]) -> set[str]:
    """All steps that a constraint names."""
    named = {*constraint.get("steps", ()), *_list(constraint.get("distinct_from", ()))}
    for steps in constraint.get("groups", {}).values():
        named.update(_list(steps))
    return named | ({constraint["step"]} if "step" in constraint else set())


def _list(value: Any) -> list[Any]:
    """What may be written as one value in the place of a list of one."""
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _votes(steps: Mapping[str, Any], constraints: Iterable[dict[str, Any]]) -> dict[str, int]:
    """The votes that steps take: by themselves, or by a constraint."""
    votes = {name: int(step.get("votes", 1)) for name, step in steps.items()}
    for item in constraints:
        if item["kind"] == "votes":
            votes[item["step"]] = max(votes[item["step"]], int(item["votes"]))
    return {name: number for name, number in votes.items() if number > 1}


def _limits(item: dict[str, Any]) -> Iterator[Limit]:
    name, kind, absolute = str(item["id"]), item["kind"], item.get("absolute") is True
    if kind == "votes":
        for step in _list(item.get("distinct_from", ())):
            pair = frozenset({item["step"]}), frozenset({step})
            yield Limit(name, pair, most=1, ordered=False, absolute=absolute)
        return
    named = item["groups"].values() if "groups" in item else item["steps"]
    groups = tuple(frozenset(_list(steps)) for steps in named)
    most = 1 if kind == "separate" else int(item["max"])
    everywhere = item.get("everywhere") is True
    ordered = item.get("ordered") is True
    yield Limit(name, groups, most=most, ordered=ordered, everywhere=everywhere, absolute=absolute)


class Chain:
    """Who acted on which steps of one chain, which claims hold its steps now, and how it hangs together."""

    __slots__ = ("acts", "begun", "holders", "kind", "older", "younger")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.begun = False
        self.older: tuple[Chain, ...] = ()  # what it comes from
        self.younger: tuple[Chain, ...] = ()  # what has come of it
        self.acts: dict[str, tuple[str, ...]] = {}  # person -> steps, whatever became of the acts
        self.holders: dict[str, tuple[bytes, ...]] = {}  # step -> live claims


def reached(chains: Iterable[Chain], following: Callable[[Chain], Iterable[Chain]]) -> list[Chain]:
    """The chains with all that follows from them."""
    seen: dict[Chain, None] = {}
    pending = list(chains)
    while pending:
        chain = pending.pop()
        if chain not in seen:
            seen[chain] = None
            pending.extend(following(chain))
    return list(seen)


def ancestry(*chains: Chain) -> list[Chain]:
    """The chains and all that they come from."""
    return reached(chains, lambda chain: chain.older)


def lines(chain: Chain) -> Iterator[list[Chain]]:
    """The lines that a chain is part of: each end that has come of it, with all that it comes from."""
    if not chain.older and not chain.younger:
        yield [chain]
        return
    for end in reached((chain,), lambda chain: chain.younger):
        if not end.younger:
            yield ancestry(end)


def steps_taken(line: Iterable[Chain], person: str, kind: str) -> set[str]:
    """The steps that a person acted on, on chains of a kind (empty: of all)."""
    return {step for chain in line if kind in ("", chain.kind) for step in chain.acts.get(person, ())}


@dataclass
class Claim:
    """One claim; `state` is claimed, performed, abandoned, void or reopened; `beside` is for whom the person
    made it, or the person."""

    __slots__ = ("beside", "chain", "person", "state", "step")
    chain: Chain
    step: str
    person: str
    state: str
    beside: str


class Duties:
    """Replays claims and their ends in ledger order, and raises Bad(DUTY) where a duty is broken."""

    def __init__(self) -> None:
        self._releases: dict[str, Any] = {}  # digest -> the parsed blob
        self._rules: dict[str, dict[str, ChainRules]] = {}
        self.chains: dict[tuple[str, str], Chain] = {}
        self._claims: dict[bytes, Claim] = {}
        self.broken = 0  # acts for which a second person lifted a constraint (break-glass)

    def offer(self, digest: str, text: str) -> None:
        """A blob that may be a release: a JSON object that holds `files`."""
        if text.startswith("{"):
            try:
                content = json.loads(text)
            except (ValueError, RecursionError):
                return  # some other text
            if "files" in content:
                self._releases[digest] = content

    def entry(self, entry: dict[str, Any]) -> Iterator[Bad]:
        """What is wrong with this entry's acts."""
        kind = entry["kind"]
        if kind == "decision":
            yield from self._decision(entry)
        elif kind == "outcome":
            yield from self._end(_text(entry, "claim"), _text(entry, "outcome"))
        elif kind == "expiry" and short(_text(entry, "claim")) not in self._claims:
            yield duty(f"claim {entry['claim']} expired but was never made")
        if kind == "resolution" and entry.get("approver_act") is True:
            yield from self._plain_act(entry, _text(entry, "step"))  # whoever approves a step acts on it
        if kind == "resolution" and entry.get("void") is not None:
            yield from self._end(_text(entry, "void"), "void")
        if kind in ADMINISTRATION and entry.get("act") is not None:
            yield from self._plain_act(entry, _text(entry, "act"))  # proposing and confirming a change
            if kind != "change":
                yield from self._last_vote(entry, _text(entry, "act"))
        if kind == "directory" and "merges" in entry:
            for claim in _as_list(entry.get("voids", [])):
                yield from self._end(_as_text(claim), "void")
            self._unite(_text(entry["merges"], "person"), _text(entry["merges"], "into"))

    def _unite(self, goes: str, stays: str) -> None:
        """What one person did is another's from now on; it is not held against that one before."""
        for chain in self.chains.values():
            if goes in chain.acts:
                steps = (*chain.acts.get(stays, ()), *chain.acts.pop(goes))
                chain.acts[stays] = tuple(dict.fromkeys(steps))
        for claim in self._claims.values():
            if claim.person == goes:
                claim.person = sys.intern(stays)
            if claim.beside == goes:
                claim.beside = sys.intern(stays)

    def _decision(self, entry: dict[str, Any]) -> Iterator[Bad]:
        reopens, taken, approval = entry.get("reopens") or [], entry.get("claim"), entry.get("approval")
        if entry.get("outcome") == "permit":
            yield from self._claimed(entry)
        if taken is None and not reopens:
            return
        if entry.get("outcome") != "permit":
            yield duty("an act follows from a decision that is no permit")
        if not isinstance(reopens, list) or not all(isinstance(step, str) for step in reopens):
            raise duty("`reopens` is no list of steps")
        chain, rules = self._chain(entry)
        for step in reopens:
            if step not in rules.reapprove:
                yield duty(f"step {step} was opened again, though its chain kind does not say `reapprove`")
            for holder in chain.holders.pop(step, ()):
                self._claims[holder].state = "reopened"
        if taken is None:
            return
        person, step = sys.intern(_text(entry, "person")), sys.intern(_text(taken, "step"))
        beside = person if entry.get("on_behalf_of") is None else _text(entry["on_behalf_of"], "person")
        hands = person, sys.intern(beside)
        if step not in rules.repeats and step != AMEND:
            raise duty(f"step {step} is not in the release's chain kind")
        if taken.get("shared") is True:
            yield from self._share(taken, chain=chain, step=step, hands=hands)
        else:
            repeats = rules.repeats.get(step, "anyone")
            votes = rules.votes.get(step, 1)
            yield from self._link(entry, chain)
            yield from self._take(taken, chain=chain, step=step, hands=hands, repeats=repeats, votes=votes)
        actors = list(hands)
        if approval is not None:
            actors.append(sys.intern(_text(approval, "approver")))
        lifted = self._lifted(entry) if entry.get("break_glass") is True else frozenset()
        for actor in dict.fromkeys(actors):
            yield from self._act(chain, actor, step, rules, lifted=lifted)

    def _claimed(self, entry: dict[str, Any]) -> Iterator[Bad]:
        """Who may take a step claims it: what was permitted beside all claims would count for nothing."""
        request, step = _as_object(entry.get("request")), _as_object(entry.get("claim") or {}).get("step")
        action, resource = _text(request, "action"), request.get("resource")
        type_, name = _text(resource, "type"), _text(resource, "id")
        for kind, rules in self._kinds(_text(entry, "release")).items():
            where = {"kind": kind, "id": name}
            if rules.resource != type_ or not (action in rules.repeats or action == AMEND):
                continue
            if step != action or entry.get("chain") != where:
                yield duty(f"{action} of {type_} {name} is permitted, and not what the entry claims")

    def _lifted(self, entry: dict[str, Any]) -> frozenset[str]:
        """The constraints that a second person lifted for this act."""
        self.broken += 1
        if entry.get("approval") is None:
            raise duty("a constraint was lifted without an approval")
        lifted = (item for item in _as_list(entry.get("cleared", [])) if item.get("effect") == "deny")
        return frozenset(_text(item, "rule") for item in lifted)

    def _plain_act(self, entry: dict[str, Any], step: str) -> Iterator[Bad]:
        chain, rules = self._chain(entry)
        yield from self._act(chain, sys.intern(_text(entry, "person")), sys.intern(step), rules)

    def _last_vote(self, entry: dict[str, Any], step: str) -> Iterator[Bad]:
        """What takes effect has all its votes."""
        chain, rules = self._chain(entry)
        given = sum(step in steps for steps in chain.acts.values())
        if given < rules.least.get(step, 1):
            yield duty(f"it takes effect with {given} of the {rules.least[step]} votes that {step} takes")

    def _chain(self, entry: dict[str, Any]) -> tuple[Chain, ChainRules]:
        where = entry.get("chain")
        kind, name = _text(where, "kind"), _text(where, "id")
        rules = self._chain_rules(_text(entry, "release"), kind)
        kind = sys.intern(kind)
        return self.chains.setdefault((kind, name), Chain(kind)), rules

    def _link(self, entry: dict[str, Any], chain: Chain) -> Iterator[Bad]:
        """What the chain comes from, as its first act says."""
        links = entry.get("lineage", [])
        if not isinstance(links, list):
            raise duty("`lineage` is no list")
        first, chain.begun = not chain.begun, True
        if not links:
            return
        if not first:
            raise duty("links are declared by an act that is not the first of its chain")
        older: dict[Chain, None] = {}
        for link in links:
            found = self.chains.get((_text(link, "kind"), _text(link, "id")))
            if found is None or found is chain or not found.begun:
                yield duty(f"the chain comes from {link['kind']} {link['id']}, which nobody has begun")
            else:
                older[found] = None
        chain.older = tuple(older)
        for parent in older:
            parent.younger = (*parent.younger, chain)
        if len(older) > 1:
            yield from self._joined(ancestry(*older), [ancestry(parent) for parent in older], entry)

    def _joined(self, line: list[Chain], parents: list[list[Chain]], entry: dict[str, Any]) -> Iterator[Bad]:
        """What one person has done on chains that are joined, and on none of their lines alone."""

        def newly(broken: Callable[[set[str]], bool], person: str, kind: str) -> bool:
            alone = (broken(steps_taken(parent, person, kind)) for parent in parents)
            return broken(steps_taken(line, person, kind)) and not any(alone)

        for kind in sorted({chain.kind for chain in line}):
            rules = self._chain_rules(_text(entry, "release"), kind)
            for person in sorted({person for chain in line for person in chain.acts}):
                if rules.mandatory and newly(rules.mandatory.issubset, person, kind):
                    yield duty(f"{person} has acted on every mandatory step of chains that are joined")
                for limit in rules.limits:
                    if newly(limit.exceeded, person, "" if limit.everywhere else kind):
                        yield duty(f"chains are joined on which {person} together breaks `{limit.name}`")

    def _share(
        self, taken: dict[str, Any], *, chain: Chain, step: str, hands: tuple[str, str]
    ) -> Iterator[Bad]:
        name = short(_text(taken, "id"))
        claim = self._claims.get(name)
        made = None if claim is None else (claim.chain, claim.step, claim.person, claim.beside)
        if claim is None or made != (chain, step, *hands):
            yield duty(f"claim {taken['id']} is shared, but {hands[0]} never made it so on step {step}")
        elif name not in chain.holders.get(step, ()):
            yield duty(f"claim {taken['id']} is shared after it ended ({claim.state})")

    def _take(
        self,
        taken: dict[str, Any],
        *,
        chain: Chain,
        step: str,
        hands: tuple[str, str],
        repeats: str,
        votes: int,
    ) -> Iterator[Bad]:
        person = hands[0]
        name = short(_text(taken, "id"))
        if name in self._claims:
            raise duty(f"claim {taken['id']} is made twice")
        holders = chain.holders.get(step, ())
        others = [self._claims[holder].person for holder in holders if self._claims[holder].person != person]
        if repeats == "never" and votes > 1:
            held = (self._claims[holder] for holder in holders)
            if any(claim.person in hands or claim.beside in hands for claim in held):
                told = " for ".join(dict.fromkeys(hands))
                yield duty(f"step {step} is claimed by {told}, whose vote on it is given or claimed")
            if len(holders) >= votes:
                yield duty(f"step {step} is claimed by {person}, and has its {votes} votes")
        elif holders and repeats == "never":
            yield duty(f"step {step} is claimed by {person} while {self._claims[holders[0]].person} holds it")
        elif others and repeats == "same_person":
            yield duty(f"step {step} is claimed by {person}, but only {others[0]} may repeat it")
        self._claims[name] = Claim(chain, step, person, "claimed", hands[1])
        chain.holders[step] = (*holders, name)

    def _act(
        self,
        chain: Chain,
        person: str,
        step: str,
        rules: ChainRules,
        *,
        lifted: frozenset[str] = frozenset(),
    ) -> Iterator[Bad]:
        before = chain.acts.get(person, ())
        again = step in before
        if again and not any(limit.ordered for limit in rules.limits):
            return  # without an order, a step that is taken again counts as it did
        found: dict[str, Bad] = {}  # once, on however many lines
        for line in lines(chain):
            steps, every = steps_taken(line, person, chain.kind), steps_taken(line, person, "")
            if not again and step in rules.mandatory and rules.mandatory <= steps | {step}:
                found[""] = duty(f"{person} has acted on every mandatory step of the chain")
            for limit in rules.limits:
                if limit.name in lifted and not limit.absolute:
                    continue
                counted = every if limit.everywhere else steps
                too_many = limit.broken(counted, step) if limit.ordered or not again else []
                if too_many:
                    listed = ", ".join(too_many)
                    told = f"{person} has acted on {listed}, of which `{limit.name}` allows {limit.most}"
                    found[limit.name] = duty(told)
        yield from found.values()
        if not again:
            chain.acts[person] = (*before, step)
            if step == AMEND:  # whoever amends has a hand in what is amended
                yield from self._act(chain, person, rules.first, rules, lifted=lifted)

    def _end(self, name: str, state: str) -> Iterator[Bad]:
        claim = self._claims.get(short(name))
        if claim is None:
            yield duty(f"claim {name} is ended ({state}) but was never made")
            return
        if state not in ("performed", "abandoned", "void"):
            yield duty(f"claim {name} has the unknown outcome {state!r}")
        elif claim.state in ("abandoned", "void") or (state, claim.state) == ("abandoned", "performed"):
            yield duty(f"claim {name} is {state} after it was {claim.state}")
        elif claim.state != "reopened":  # a reopened claim holds nothing any more
            claim.state = sys.intern(state)
            if state != "performed":
                left = tuple(item for item in claim.chain.holders[claim.step] if item != short(name))
                claim.chain.holders[claim.step] = left

    def _chain_rules(self, digest: str, kind: str) -> ChainRules:
        kinds = self._kinds(digest)
        if kind not in kinds:
            raise duty(f"the release {digest} has no chain kind {kind}")
        return kinds[kind]

    def _kinds(self, digest: str) -> dict[str, ChainRules]:
        if digest not in self._rules:
            if digest not in self._releases:
                raise Bad(Failure.MISSING_BLOB, f"the release {digest} is not in the export")
            try:
                self._rules[digest] = read_release(self._releases[digest])
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise duty(f"the release {digest} cannot be read: {error!r}") from None
        return self._rules[digest]


def duty(message: str) -> Bad:
    return Bad(Failure.DUTY, message)


def short(name: str) -> bytes:
    """A name in 16 bytes: a million of them are kept."""
    return hashlib.sha256(name.encode()).digest()[:16]


def _text(fields: Any, name: str) -> str:
    value = fields.get(name) if isinstance(fields, dict) else None
    if not isinstance(value, str):
        raise Bad(Failure.MALFORMED, f"`{name}` is missing in the entry, or is no text")
    return value


# -- what earlier entries put in force ---------------------------------------------------------------------


@dataclass(frozen=True)
class Account:
    """Whose an account is, and from when until when; times are texts of one form, so that they compare."""

    person: str
    start: str
    end: str


@dataclass(frozen=True)
class Approved:
    """An approval that was given and not used yet."""

    about: bytes
    approver: str
    review: str
    until: str


# A role with its begin and end, texts that compare.
Role = tuple[str, str, str]


@dataclass(frozen=True)
class Delegated:
    """Who may take which steps for somebody, and from when until when."""

    name: str
    delegate: str
    chain: str
    steps: tuple[str, ...]
    start: str
    end: str


@dataclass(frozen=True)
class Directory:
    """What a directory blob says: accounts by reference, roles by person, commitments by path, who was found
    to be whom, and what each person delegated."""

    accounts: dict[bytes, Account]
    roles: dict[str, frozenset[Role]]
    private: dict[str, str]
    merged: dict[str, str]
    delegated: dict[str, tuple[Delegated, ...]]


class InForce:
    """Release, directory, keys, cases and approvals as of each entry; Bad(FORCE) where one is another."""

    def __init__(self) -> None:
        self._release = ""
        self._directory = 0  # index of the entry
        self._accounts: dict[bytes, Account] = {}
        self._keys: dict[bytes, bool] = {}  # key -> whether it is live
        self._proposed: dict[bytes, tuple[str, str]] = {}  # change -> entry that confirms it, its release
        self.watched = 0  # releases that no administrator, but a watched folder published
        self.provisioned = 0  # directories that an identity provider's key put in force
        self._provides: dict[bytes, frozenset[str]] = {}  # such a key -> the roles that it may give
        self._above: dict[str, frozenset[str]] = {}  # release -> roles that administer or supervise
        self._roles: dict[str, frozenset[Role]] = {}  # person -> all that he or she was given
        self._merged: dict[str, str] = {}  # person -> who he or she was found to be
        self._cases: dict[bytes, bytes] = {}  # review -> what it is about; nothing once it is resolved
        self._approvals: dict[bytes, Approved] = {}
        self._directories: dict[str, Directory] = {}
        self._delegated: dict[str, tuple[Delegated, ...]] = {}  # by who delegated
        self.delegated = 0  # acts that one person did for another

    def offer(self, digest: str, text: str) -> None:
        """A blob that may be a directory, which holds `persons`, or a release, which holds `files`."""
        if text.startswith("{"):
            try:
                content = json.loads(text)
                if "persons" in content and content["v"] == 1:
                    self._directories[digest] = read_directory(content["persons"])
                elif "files" in content:
                    self._above[digest] = roles_above(content["files"])
            except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
                return  # some other text; an entry that names it as a directory is told so

    def commitments(self, entry: dict[str, Any]) -> dict[str, str]:
        """Those of the directory that an entry puts in force, by their path."""
        made = self._directories.get(_as_text(entry.get("blob", "")))
        return made.private if made is not None and entry["kind"] in ("genesis", "directory") else {}

    def entry(self, entry: dict[str, Any], index: int) -> Iterator[Bad]:
        """What this entry rests on and no entry before it put in force."""
        kind = entry["kind"]
        if kind == "genesis":
            self._release = _text(entry, "release")
            self._keys = {short(_as_text(key)): True for key in _as_list(entry.get("keys", []))}
        if kind in ("genesis", "key") and "provides" in entry:
            for key, roles in _as_object(entry["provides"]).items():
                self._provides[short(key)] = frozenset(map(_as_text, _as_list(roles)))
        yield from collect(self._actor(entry))
        if kind in CHANGES.values():
            yield from collect(self._change(entry, kind, index))
        if kind in ("genesis", "directory") and "blob" in entry:
            yield from collect(self._load(_text(entry, "blob"), entry))
        if entry.get("release") != self._release:
            yield force(f"the release {entry.get('release')} is not the one in force, {self._release}")
        if entry.get("directory") != self._directory:
            yield force(f"the directory of entry {entry.get('directory')} is not that of {self._directory}")
        if kind == "change":
            change, named = _text(entry, "change"), CHANGES.get(_text(entry, "change_kind"))
            proposed = named or "", _as_text(entry.get("proposes", ""))
            if self._proposed.setdefault(short(change), proposed) != proposed or not named:
                yield force(f"change {change} is of an unknown kind, or proposed as two kinds")
        elif kind == "decision":
            yield from collect(self._decision(entry))
        elif kind == "expiry":
            self._cases.setdefault(short(_text(entry, "review")), short(_text(entry, "claim")))
        elif kind == "review":  # of a chain whose duties two persons broke who were found to be one
            about = short(_text(entry.get("chain"), "id") + _text(entry, "opened_by"))
            self._cases.setdefault(short(_text(entry, "review")), about)
        elif kind == "resolution":
            yield from collect(self._resolution(entry))

    def _actor(self, entry: dict[str, Any]) -> Iterator[Bad]:
        """The key and the account that acted."""
        key, account, at = entry.get("key"), entry.get("account"), entry["at"]
        if key is not None and key != "":
            live = self._keys.get(short(_as_text(key)))
            # A refusal may be that of a key which was revoked.
            if live is None or not (live or entry["kind"] == "refusal"):
                yield force(f"the key {key} is {'unknown' if live is None else 'revoked'}")
        if account is not None:
            held = self._accounts.get(short(_as_text(account)))
            if held is None or held.person != entry.get("person") or not held.start <= at < held.end:
                yield force(f"the account {account} is not {entry.get('person')}'s at this time")

    def _change(self, entry: dict[str, Any], kind: str, index: int) -> Iterator[Bad]:
        if kind == "release" and "published_by" in entry:
            self.watched += 1
            if not _text(entry, "ledger").startswith(DEMO):
                yield force("a release was put into force by no administrator, on a ledger that is no demo")
        elif kind == "directory" and "provision" in entry:
            self.provisioned += 1
            if short(_text(entry, "key")) not in self._provides:
                yield force(f"the key {entry['key']} may not change the directory by itself")
        else:
            change, release = _text(entry, "change"), _text(entry, "release") if kind == "release" else ""
            if self._proposed.pop(short(change), None) != (kind, release):
                yield force(f"change {change} was never proposed, or is done already, or is another one")
        if kind == "directory":
            self._directory = index
        elif kind == "release":
            if entry.get("replaces") != self._release:
                yield force(f"it replaces the release {entry.get('replaces')}, in force was {self._release}")
            self._release = _text(entry, "release")
        elif "key_created" in entry:
            self._keys[short(_text(entry, "key_created"))] = True
        else:
            self._keys[short(_text(entry, "key_revoked"))] = False

    def _load(self, digest: str, entry: dict[str, Any]) -> Iterator[Bad]:
        if digest not in self._directories:
            yield force(f"the blob {digest} is no directory that can be read")
            return
        made = self._directories[digest]
        for name, held in made.accounts.items():
            before = self._accounts.get(name)
            if before is not None and before.person != held.person:
                yield force(f"an account of {before.person} was given to {held.person}")
        merges = (
            {}
            if "merges" not in entry
            else {_text(entry["merges"], "person"): _text(entry["merges"], "into")}
        )
        if made.merged != merges:
            yield force("persons are merged in the directory who are not merged by the entry, or otherwise")
        self._merged.update(merges)
        if "provision" in entry:
            yield from self._within_reach(made, entry)
        self._accounts.update(made.accounts)
        self._roles.update(made.roles)
        self._delegated.update(made.delegated)

    def _within_reach(self, made: Directory, entry: dict[str, Any]) -> Iterator[Bad]:
        """What an identity provider's key changed and may not."""
        above = self._above.get(self._release)
        if above is None:
            raise force(f"the release {self._release} does not say which roles are above such a key")
        named = self._provides.get(short(_text(entry, "key")), frozenset()) - above
        for person, roles in made.roles.items():
            before = self._roles.get(person, frozenset())
            if any(role in above and end > entry["at"] for role, _, end in before):
                yield force(f"{person}, who administers or supervises, was changed by an identity provider")
            beyond = sorted({role for role, _, _ in roles ^ before} - named)
            if beyond:
                yield force(f"{', '.join(beyond)} of {person} was changed by a key that may not give it")

    def _behalf(self, entry: dict[str, Any]) -> Iterator[Bad]:
        """By what right a step was taken for somebody else."""
        named, person, at = _as_object(entry["on_behalf_of"]), _text(entry, "person"), entry["at"]
        principal = _text(named, "person")
        held = self._accounts.get(short(_text(named, "account")))
        if held is None or held.person != principal or not held.start <= at < held.end:
            yield force(f"the account {named['account']} is not {principal}'s at this time")
        if principal == person:
            return
        self.delegated += 1
        name, step, kind = (
            _text(named, "delegation"),
            _text(entry["claim"], "step"),
            _text(entry["chain"], "kind"),
        )
        given = next((item for item in self._delegated.get(principal, ()) if item.name == name), None)
        if (
            given is None
            or self._one(given.delegate) != self._one(person)
            or given.chain != kind
            or step not in given.steps
            or not given.start <= at < given.end
        ):
            yield force(f"{principal} has not delegated {step} of {kind} to {person} at this time ({name})")

    def _decision(self, entry: dict[str, Any]) -> Iterator[Bad]:
        review, approval = entry.get("review"), entry.get("approval")
        if entry.get("on_behalf_of") is not None and entry.get("claim") is not None:
            yield from self._behalf(entry)
        if review is None and approval is None:
            return
        about = _about(entry)
        if review is not None and self._cases.setdefault(short(_as_text(review)), about) != about:
            yield force(f"the case {review} is about something else, or was resolved before")
        if approval is None:
            return
        name = _text(approval, "id")
        given = self._approvals.pop(short(name), None)
        if given is None:
            yield force(f"approval {name} was never given, or is used up")
        elif (given.about, given.approver, given.review) != (
            about,
            approval.get("approver"),
            approval.get("review"),
        ):
            yield force(f"approval {name} is for something else, or of another approver")
        elif self._one(given.approver) in {self._one(person) for person in _hands(entry)}:
            yield force(f"approval {name} is of the person who used it, as was found meanwhile")
        elif not entry["at"] < given.until:
            yield force(f"approval {name} expired at {given.until}")

    def _one(self, person: str) -> str:
        """Who a person was found to be, in the end."""
        for _ in range(len(self._merged)):
            person = self._merged.get(person, person)
        return person

    @property
    def merged(self) -> int:
        return len(self._merged)

    def _resolution(self, entry: dict[str, Any]) -> Iterator[Bad]:
        review, approval, void = _text(entry, "review"), entry.get("approval"), entry.get("void")
        about = self._cases.get(short(review))
        self._cases[short(review)] = b""
        if not about:
            yield force(f"the case {review} was never opened, or is resolved already")
            return
        if entry.get("follow_up") is not None:
            self._cases.setdefault(short(_text(entry, "follow_up")), about)
        if void is not None and short(_as_text(void)) != about:
            yield force(f"the case {review} is not about the claim {void}")
        if approval is not None:
            self._approvals[short(_text(approval, "id"))] = Approved(
                about, _text(entry, "person"), review, _text(approval, "expires_at")
            )


def _hands(entry: dict[str, Any]) -> list[str]:
    """Who asked, and for whom."""
    named = entry.get("on_behalf_of")
    return [_text(entry, "person"), *([] if named is None else [_text(named, "person")])]


def force(message: str) -> Bad:
    return Bad(Failure.FORCE, message)


def roles_above(files: Any) -> frozenset[str]:
    """The roles of a release that may act on changes or review cases, themselves or by what they inherit;
    raises as `read_directory` if it is none."""
    inherits: dict[str, list[str]] = {}
    above: set[str] = set()
    for name, content in files.items():
        if name.split("/")[-1] == "roles.yaml":
            inherits |= {
                role: _as_list((said or {}).get("inherits", [])) for role, said in content["roles"].items()
            }
            grants = _as_list(content.get("grants", []))
            above |= {grant["role"] for grant in grants if grant["resource"] in ("change", "review")}
    more = set(above)
    while more:
        more = {role for role, implied in inherits.items() if not above.isdisjoint(implied)} - above
        above |= more
    return frozenset(above)


def read_directory(persons: list[Any]) -> Directory:
    """What a directory blob says; raises Bad, KeyError, TypeError, ValueError if none."""
    found = Directory({}, {}, {}, {}, {})
    for position, person in enumerate(persons):
        name = _as_text(person["id"])
        for item in person["accounts"]:
            if item.get("kind", "bot") != "bot":
                raise ValueError("unknown kind of account")
            held = Account(name, _as_text(item["from"]), _as_text(item["to"] or "~"))
            found.accounts[short(_as_text(item["ref"]))] = held
        found.roles[name] = frozenset(
            (_as_text(item["role"]), _as_text(item["from"]), _as_text(item["to"] or "~"))
            for item in person["roles"]
        )
        for item in person.get("reports_to", []):
            _as_text(item["value"]), _as_text(item["from"]), _as_text(item["to"] or "~")
        found.delegated[name] = tuple(
            Delegated(
                _as_text(item["id"]),
                _as_text(item["delegate"]),
                _as_text(item["chain"]),
                tuple(map(_as_text, _as_list(item["steps"]))),
                _as_text(item["from"]),
                _as_text(item["to"]),
            )
            for item in person.get("delegations", [])
        )
        if "merged_into" in person:
            found.merged[name] = _as_text(person["merged_into"])
        if person.get("concealed", True) is not True:  # what was private of the person had been erased
            raise ValueError("concealed is said by true alone")
        if "private" in person:  # department, desk, household and absences
            if person["private"].keys() != {"hmac"} or not _is_hex(person["private"]["hmac"]):
                raise ValueError("what is private must be a commitment")
            found.private[f"persons/{position}"] = person["private"]["hmac"]
    return found


def _about(entry: dict[str, Any]) -> bytes:
    """Who asked to do what to what, in 16 bytes."""
    request = entry.get("request")
    resource = request.get("resource") if isinstance(request, dict) else None
    parts = [_text(entry, "person"), _text(request, "action"), _text(resource, "type"), _text(resource, "id")]
    return short(canonical(parts))


def _as_text(value: Any) -> str:
    if not isinstance(value, str):
        raise Bad(Failure.MALFORMED, f"{str(value)[:40]} stands where a text must")
    return value


def _as_object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Bad(Failure.MALFORMED, f"{str(value)[:40]} stands where an object must")
    return value


def _as_list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Bad(Failure.MALFORMED, f"{str(value)[:40]} stands where a list must")
    return value


# -- one entry ---------------------------------------------------------------------------------------------


def read_entry(data: bytes) -> dict[str, Any]:
    """The fields of an entry; raises Bad."""
    try:
        entry = parse(data.decode())
    except ValueError as error:
        raise Bad(Failure.MALFORMED, f"the entry cannot be read: {error}") from None
    if len(data) > MAX_ENTRY or not isinstance(entry, dict) or entry.get("v") != 1:
        raise Bad(Failure.MALFORMED, "the entry is too long, or no object of version 1")
    if _text(entry, "kind") not in KINDS or not _text(entry, "id") or not AT.fullmatch(_text(entry, "at")):
        raise Bad(Failure.MALFORMED, "the entry's kind, id or time is malformed")
    return entry


def microseconds(at: str) -> int:
    """Microseconds since 1970 of an entry's time; raises Bad."""
    try:
        since = datetime.fromisoformat(at) - EPOCH
    except ValueError:
        raise Bad(Failure.MALFORMED, f"{at} is no time") from None
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def check_columns(entry: dict[str, Any], at: int, columns: Any) -> Iterator[Bad]:
    """The columns repeat the entry's id, kind, time, chain and (if it is not private) person."""
    chain, person = entry.get("chain"), entry.get("person")
    expected = {
        "id": entry["id"],
        "kind": entry["kind"],
        "at": at,
        "chain": f"{chain.get('kind')}:{chain.get('id')}" if isinstance(chain, dict) else chain,
        "person": person if isinstance(person, str) else None,
    }
    if columns != expected:
        given = columns if isinstance(columns, dict) else {}
        names = [name for name in expected if name not in given or given[name] != expected[name]]
        yield Bad(Failure.COLUMNS, f"column and entry differ: {', '.join(names) or 'unknown column'}")


def commitments(entry: Any) -> dict[str, str]:
    """The commitments in an entry by their path; raises Bad for one without, or for two of one path."""
    found: dict[str, str] = {}

    def walk(value: Any, path: str | None) -> None:
        if isinstance(value, list):
            for item in value:
                walk(item, None)
        elif isinstance(value, dict):
            if value.keys() == {"hmac"} and _is_hex(value["hmac"]):
                if path is None or found.setdefault(path, value["hmac"]) != value["hmac"]:
                    raise Bad(Failure.DISCLOSURE, f"the entry has two commitments for {path or 'no path'}")
            else:
                for key, item in value.items():
                    walk(item, key)

    walk(entry, None)
    return found


def commitment(path: str, value: Any, salt: str) -> str:
    message = canonical(normal([path, value])).encode()
    return hmac.digest(bytes.fromhex(salt), message, "sha256").hex()


def _is_hex(value: object) -> bool:
    return isinstance(value, str) and HEX_256.fullmatch(value) is not None


def named_blobs(value: Any) -> Iterator[str]:
    """The digests of the blobs that an entry names."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in BLOB_FIELDS and isinstance(item, str) and DIGEST.fullmatch(item):
                yield item
            else:
                yield from named_blobs(item)
    elif isinstance(value, list):
        for item in value:
            yield from named_blobs(item)


# -- the whole export --------------------------------------------------------------------------------------

FIELDS: Final = {
    "header": {"type", "format", "origin", "tenant", "vkey", "from", "to"},
    "blob": {"type", "digest", "data"},
    "entry": {"type", "index", "columns", "bytes", "disclosure"},
    "checkpoint": {"type", "size", "note"},
    "end": {"type", "entries", "sha256"},
}
STAGES: Final = {name: stage for stage, name in enumerate(FIELDS)}


class Verification:
    """Reads the lines of one export once, and reports.

    There is one method for each type of line. It yields a Bad for a failure after which it can go on with
    the line, and raises one after which it cannot.
    """

    def __init__(self, keys: Sequence[Key], kept: str | None = None) -> None:
        self.report = Report()
        self._keys = keys
        self._kept = kept
        self._tree = Tree()
        self._duties = Duties()
        self._force = InForce()
        self._blobs: set[str] = set()
        self._missing: set[str] = set()
        self._ids: set[bytes] = set()
        self._last_at = 0
        self._next = 0  # index of the next entry
        self._announced = 0  # how many entries the header announces
        self._signed = -1  # size of the last checkpoint
        self._trusted = True  # whether all checkpoints so far had the right root
        self._last_blob = ""
        self._digest = hashlib.sha256()

    def run(self, lines: Iterable[bytes]) -> Report:
        report = self.report
        stage, number = -1, 0
        try:
            for number, data in enumerate(lines, start=1):
                stage = self._line(data, stage=stage, number=number)
                self._digest.update(data)
            if stage != STAGES["end"]:
                raise malformed("the last line is missing: the file was cut short")
        except Bad as bad:
            report.add(bad, line=number, entry=None)
        except (OSError, EOFError, zlib.error) as error:  # what gzip says of a damaged file, too
            report.add(malformed(f"the file cannot be read on: {error}"), line=number + 1, entry=None)
        report.entries = self._tree.size
        report.chains = len(self._duties.chains)
        report.watched = self._force.watched
        report.provisioned = self._force.provisioned
        report.merged = self._force.merged
        report.delegated = self._force.delegated
        report.exceptions = self._duties.broken
        report.verified = not report.failures
        return report

    def _line(self, data: bytes, *, stage: int, number: int) -> int:
        try:
            if not data.endswith(b"\n"):
                raise ValueError("it does not end: the file was cut short")
            line = parse(data[:-1].decode())
            kind = line.get("type") if isinstance(line, dict) else None
            if not isinstance(kind, str) or line.keys() != FIELDS.get(kind):
                raise ValueError("it is of no known type, or has other fields")
            reached = STAGES[kind]
            if reached < stage or (reached == stage and reached in (0, 4)) or (stage < 0 < reached):
                raise ValueError(f"a line of type {kind} does not belong here")
        except ValueError as error:
            raise malformed(str(error)) from None
        methods = (self._header, self._blob, self._entry, self._checkpoint, self._finish)
        index = line.get("index")
        for bad in collect(methods[reached](line)):
            self.report.add(bad, line=number, entry=bad.entry if index is None else index)
        return reached

    def _header(self, line: dict[str, Any]) -> Iterator[Bad]:
        if line["format"] != FORMAT:
            raise malformed(f"the format is not {FORMAT}")
        if not all(isinstance(line[name], str) for name in ("origin", "tenant", "vkey")):
            raise malformed("origin, tenant and key must be texts")
        if not _is_count(line["from"]) or line["from"] != 0 or not _is_count(line["to"]):
            raise malformed("only an export from entry 0 on can be verified")
        self.report.origin, self.report.tenant, self._announced = line["origin"], line["tenant"], line["to"]
        if line["vkey"] not in [key.text for key in self._keys]:
            yield Bad(Failure.SIGNATURE, f"the export names the key {line['vkey']}: not the one you gave")
        if line["origin"] not in [key.name for key in self._keys]:
            yield Bad(
                Failure.SIGNATURE, f"the export is of {line['origin']!r}: your key is of another ledger"
            )

    def _blob(self, line: dict[str, Any]) -> Iterator[Bad]:
        digest, text = line["digest"], line["data"]
        if not isinstance(digest, str) or not DIGEST.fullmatch(digest) or not isinstance(text, str):
            raise malformed("a blob has a digest and a text")
        if digest <= self._last_blob:
            raise malformed(f"the blob {digest} is not in order")
        self._last_blob = digest
        self.report.blobs += 1
        self._blobs.add(digest)
        if hashlib.sha256(text.encode()).hexdigest() != digest[7:]:
            yield Bad(Failure.BLOB, f"the blob {digest} has other bytes")
        self._duties.offer(digest, text)
        self._force.offer(digest, text)

    def _entry(self, line: dict[str, Any]) -> Iterator[Bad]:
        index, text, disclosure = line["index"], line["bytes"], line["disclosure"]
        if not _is_count(index) or not isinstance(text, str) or not isinstance(disclosure, dict | None):
            raise malformed("an entry has an index, bytes, and a disclosure or null")
        if index != self._next:
            yield Bad(Failure.GAP, f"entry {self._next} should stand here")
        self._next = index + 1
        data = text.encode()
        self._tree.append(data)
        entry = read_entry(data)
        at = microseconds(entry["at"])
        yield from self._place(entry, at)
        yield from collect(check_columns(entry, at, line["columns"]))
        yield from collect(self._disclosure(entry, disclosure))
        yield from collect(self._force.entry(entry, index))
        yield from collect(self._duties.entry(entry))

    def _place(self, entry: dict[str, Any], at: int) -> Iterator[Bad]:
        if entry.get("ledger") != self.report.origin:
            yield Bad(Failure.SIGNATURE, f"the entry is of the ledger {entry.get('ledger')!r}")
        if entry["kind"] == "genesis" and entry.get("tenant") != self.report.tenant:
            yield Bad(Failure.SIGNATURE, f"this is the ledger of the tenant {entry.get('tenant')!r}")
        if (entry["kind"] == "genesis") != (self._next == 1):
            yield Bad(Failure.MALFORMED, "a ledger has one genesis entry, its first")
        if at < self._last_at:
            yield Bad(Failure.TIME, f"its time {entry['at']} is before that of an earlier entry")
        self._last_at = max(at, self._last_at)
        name = short(entry["id"])
        if name in self._ids:
            yield Bad(Failure.REPEATED_ID, f"the id {entry['id']} was used before")
        self._ids.add(name)
        for digest in named_blobs(entry):
            if digest not in self._blobs and digest not in self._missing:
                self._missing.add(digest)
                yield Bad(Failure.MISSING_BLOB, f"the blob {digest} that it names is not in the export")

    def _disclosure(self, entry: dict[str, Any], disclosure: dict[str, Any] | None) -> Iterator[Bad]:
        committed = commitments(entry) | self._force.commitments(entry)
        opened = disclosure or {}
        self.report.erased += len(committed.keys() - opened.keys())
        self.report.disclosed += len(opened)
        for path, item in opened.items():
            if path not in committed:
                yield Bad(Failure.DISCLOSURE, f"{path} is disclosed, but the entry commits to no such value")
            elif not isinstance(item, dict) or item.keys() != {"salt", "value"} or not _is_hex(item["salt"]):
                yield Bad(Failure.DISCLOSURE, f"the disclosure of {path} is malformed")
            elif commitment(path, item["value"], item["salt"]) != committed[path]:
                yield Bad(Failure.DISCLOSURE, f"the value disclosed for {path} is not the one committed to")

    def _checkpoint(self, line: dict[str, Any]) -> Iterator[Bad]:
        size, text = line["size"], line["note"]
        if not _is_count(size) or not isinstance(text, str) or size <= self._signed:
            raise malformed("checkpoints have a size and a note, and come by size")
        before, self._signed = max(self._signed, 0), size
        self.report.checkpoints += 1
        signed_size, root = open_checkpoint(text, self._keys, self.report.origin)
        if signed_size != size:
            raise Bad(Failure.SIGNATURE, f"the checkpoint of size {size} was signed for size {signed_size}")
        if size > self._tree.size:
            raise Bad(
                Failure.ROOT, f"a checkpoint over {size} entries was signed; {self._tree.size} are here"
            )
        if self._tree.root(size) != root and self._trusted:
            self._trusted = False  # every later root is wrong as well
            where = f"an entry from {before} to {size - 1}" if size else "the empty tree"
            yield Bad(Failure.ROOT, f"{where} is not what was signed, or one is missing", entry=before)

    def _finish(self, line: dict[str, Any]) -> Iterator[Bad]:
        size = self._tree.size
        if line["sha256"] != self._digest.hexdigest():
            yield malformed("the file is not as it was written: its digest differs")
        if line["entries"] != self._announced or self._next != self._announced:
            yield Bad(
                Failure.GAP, f"{self._announced} entries are announced; the last here is {self._next - 1}"
            )
        if self._signed < size or self._signed < 0:
            first = max(self._signed, 0)
            yield Bad(Failure.ROOT, f"no checkpoint covers the entries from {first} on", entry=first)
        self._tree.restart()
        self.report.root = self._tree.root(size).hex()
        if self._kept is not None:
            yield from self._check_kept(self._kept)

    def _check_kept(self, note: str) -> Iterator[Bad]:
        size, here = 0, self._tree.size
        try:
            size, root = open_checkpoint(note, self._keys, self.report.origin)
        except Bad as bad:
            raise Bad(Failure.KEPT_CHECKPOINT, f"your checkpoint: {bad}") from None
        if size > here:
            raise Bad(
                Failure.KEPT_CHECKPOINT, f"you saw {size} entries, {here} are here: the rest was cut off"
            )
        self._tree.restart()
        if self._tree.root(size) != root:
            yield Bad(Failure.KEPT_CHECKPOINT, f"the first {size} entries are not those that you saw")


def collect(problems: Iterator[Bad]) -> Iterator[Bad]:
    """What is yielded, and what is raised unless nothing after it can be read."""
    try:
        yield from problems
    except Bad as bad:
        if bad.fatal:
            raise
        yield bad


def malformed(message: str) -> Bad:
    return Bad(Failure.MALFORMED, message, fatal=True)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


# -- the command -------------------------------------------------------------------------------------------


def verify(path: Path, keys: Sequence[str], kept: str | None = None) -> Report:
    """Verify the export in a file (gzipped or not).

    Raises:
        OSError: the file cannot be opened.
        ValueError: a key is malformed.
    """
    parsed = [Key.of(key) for key in keys]
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        stream: Any = gzip.GzipFile(fileobj=file) if packed else file
        return Verification(parsed, kept).run(iter(lambda: stream.readline(MAX_LINE), b""))


def show(report: Report, out: TextIO) -> None:
    """The report in words."""
    private = f"{report.disclosed} private values disclosed, {report.erased} erased"
    print(f"ledger       {report.origin} (tenant {report.tenant})", file=out)
    print(f"entries      {report.entries}, {report.chains} chains; {private}", file=out)
    print(f"checkpoints  {report.checkpoints}, {report.blobs} blobs", file=out)
    if report.watched:
        print(f"releases     {report.watched} published by a watched folder, by no administrator", file=out)
    if report.provisioned:
        told = f"{report.provisioned} changes by identity providers, each within the reach of its key"
        print(f"directory    {told if report.verified else told.partition(',')[0]}", file=out)
    if report.delegated:
        print(
            f"delegated    {report.delegated} acts of one person for another, which count for both", file=out
        )
    if report.exceptions:
        told = "acts for which a second person lifted a constraint that is not absolute"
        print(f"exceptions   {report.exceptions} {told}", file=out)
    if report.merged:
        print(
            f"persons      {report.merged} found to be another one, and one with that one since then",
            file=out,
        )
    print(f"root         {report.root}", file=out)
    if report.verified:
        print("VERIFIED: signatures, tree, columns, disclosures, blobs and duties agree.", file=out)
        return
    print(f"NOT VERIFIED: {report.failures} failures (exit code {report.code}). The first:", file=out)
    for problem in report.problems[:10]:
        where = f"line {problem.line}" if problem.entry is None else f"entry {problem.entry}"
        print(f"  {where}: {problem.failure}: {problem.message}", file=out)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    parser = argparse.ArgumentParser(
        prog="controls-verify", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("export", metavar="EXPORT", type=Path, help="JSON lines, or gzipped")
    parser.add_argument(
        "--key", metavar="VKEY", action="append", required=True, help="public key; again for each later key"
    )
    parser.add_argument("--checkpoint", metavar="FILE", type=Path, help="a checkpoint that you kept")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
    options = parser.parse_args(arguments)
    try:
        kept = options.checkpoint.read_text("utf-8") if options.checkpoint else None
        report = verify(options.export, options.key, kept)
    except (OSError, ValueError) as error:
        print(f"controls-verify: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(asdict(report), indent=2))
    else:
        show(report, sys.stdout)
    return report.code


if __name__ == "__main__":
    sys.exit(main())
