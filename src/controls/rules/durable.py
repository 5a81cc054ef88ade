"""The rules of one action in durable-rules, used only as measured safe (docs: the two engines, part A).

Guarantees:
- nothing reaches the C module but AND-only conjuncts over attributes named here, whose values are 1 or 2;
- every shard has answered a canary before it is used, and is rebuilt after any error;
- assert, drain and retract are one step under a lock, so that no request sees another one's facts;
- whatever goes wrong is an `EngineFailure`, never a rule that silently did not fire.

An attribute whose value is 0 is left out: the C engine walks the message's own properties and looks up the
tests on each, so a test on an absent one is never reached, exactly as a test that 0 would fail.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from threading import Lock
from typing import Final, Protocol, cast

import durable_rules_engine

from controls.rules.engine_errors import EngineClosed, EngineFailure
from controls.rules.formula import Formula, Leaf
from controls.rules.lowering import SHARD_ATTRIBUTES, SHARD_CONJUNCTS, Clause, Literal, Shard, lower

_GUARD: Final = "guard"  # on every message and first in every conjunct: the engine's own facts never match
_CANARY: Final = "canary"
_ATTRIBUTES: Final = tuple(f"a{number}" for number in range(SHARD_ATTRIBUTES))
_NAMES: Final = tuple(f"k{number}" for number in range(SHARD_CONJUNCTS))
_OWN_NAMES: Final = ("id", "sid", "$s", "$forward", "$time", "$timerName", "$baseTime", "$m", "$i")

_ASSERTED: Final = 0  # results of assert_fact: something matched,
_NOTHING_MATCHED: Final = 1  # or nothing did, and then nothing was stored either
_CANARY_FACT: Final = f'{{"{_CANARY}":1,"id":"c","sid":"1"}}'
_CANARY_ID: Final = '{"id":"c","sid":"1"}'
_FACT_TAIL: Final = f'"{_GUARD}":1,"id":"q","sid":"1"}}'
_FACT_ID: Final = '{"id":"q","sid":"1"}'


class _Native(Protocol):
    """The part of the C module that is used."""

    def create_ruleset(self, name: str, definition: str, /) -> int: ...
    def delete_ruleset(self, handle: int, /) -> None: ...
    def delete_state(self, handle: int, sid: str, /) -> None: ...
    def assert_fact(self, handle: int, fact: str, /) -> tuple[int, int]: ...
    def retract_fact(self, handle: int, fact: str, /) -> tuple[int, int]: ...
    def start_action_for_state(self, handle: int, state: int, /) -> tuple[str, str, int] | None: ...
    def complete_and_start_action(self, handle: int, state: int, /) -> str | None: ...


_native: Final = cast(_Native, durable_rules_engine)


def name_hash(name: str) -> int:
    """The 32-bit FNV-1a hash by which the C engine tells names apart, and by nothing else."""
    result = 0x811C9DC5
    for byte in name.encode():
        result = ((result ^ byte) * 16777619) & 0xFFFFFFFF
    return result


def refuse_collisions(names: Iterable[str]) -> None:
    """Raise `EngineFailure` when the C engine would take two of the names for one."""
    seen: dict[int, str] = {}
    for name in names:
        other = seen.setdefault(name_hash(name), name)
        if other != name:
            raise EngineFailure(f"durable-rules cannot tell the attributes {other!r} and {name!r} apart")


class _NativeShard:
    """One C rule set with one permanent state."""

    def __init__(self, shard: Shard, *, possible: bool) -> None:
        names = {literal: _ATTRIBUTES[position] for position, literal in enumerate(shard.literals)}
        refuse_collisions((*_OWN_NAMES, _GUARD, _CANARY, *names.values()))
        self.rules = {_NAMES[position]: clause.rule for position, clause in enumerate(shard.clauses)}
        self.first, self.last = shard.clauses[0].rule, shard.clauses[-1].rule
        self._definition = _definition(shard.clauses, names=names, possible=possible)
        # For each attribute: where its truth stands, and its text for the truths 0, 1 and 2.
        self._texts = tuple((literal // 2, _texts(literal, name=name)) for literal, name in names.items())
        self._handle: int | None = None
        self.build()

    def build(self) -> None:
        """Load the rule set and see its canary fire; whatever was loaded before is freed."""
        self.free()
        handle = _native.create_ruleset("shard", self._definition)
        # Freeing the state before any rule has fired would free an uninitialised pointer: so the handle
        # is kept only once the canary has fired, and a rule set whose canary stays silent is left to leak.
        _, state = _native.assert_fact(handle, _CANARY_FACT)
        started = _native.start_action_for_state(handle, state)
        if started is None or _fired(started[1]) != _CANARY:
            raise EngineFailure("durable-rules did not fire the canary of a rule set")
        if _native.complete_and_start_action(handle, state) is not None:
            raise EngineFailure("durable-rules fired more than the canary of a rule set")
        _native.retract_fact(handle, _CANARY_ID)
        self._handle = handle

    def run(self, truths: bytes, *, into: set[int]) -> None:
        """Add the rules that fire for the given truths of leaves and composites."""
        try:
            if self._handle is None:
                raise EngineFailure("a rule set of durable-rules could not be rebuilt")
            self._run(self._handle, truths, into)
        except BaseException as error:
            with suppress(Exception):  # the error at hand is raised; without a handle the next run fails too
                self.build()
            if isinstance(error, Exception):
                raise EngineFailure(f"durable-rules failed: {error}") from error
            raise

    def _run(self, handle: int, truths: bytes, into: set[int]) -> None:
        message = "".join([texts[truths[place]] for place, texts in self._texts])
        result, state = _native.assert_fact(handle, f"{{{message}{_FACT_TAIL}")
        if result == _NOTHING_MATCHED:
            return
        if result != _ASSERTED:
            raise EngineFailure(f"unexpected result {result} of an assertion")
        started = _native.start_action_for_state(handle, state)
        fired = started[1] if started else None
        while fired is not None:
            into.add(self.rules[_fired(fired)])
            fired = _native.complete_and_start_action(handle, state)
        _native.retract_fact(handle, _FACT_ID)

    def free(self) -> None:
        """Free the C memory. A state that is already broken is given up, not touched again."""
        if self._handle is None:
            return
        handle, self._handle = self._handle, None
        with suppress(durable_rules_engine.error):
            _native.delete_state(handle, "1")
            _native.delete_ruleset(handle)


def _definition(clauses: Sequence[Clause], *, names: dict[Literal, str], possible: bool) -> str:
    def test(literal: Literal) -> dict[str, object]:
        return {"$gte": {names[literal]: 1}} if possible else {names[literal]: 2}

    rules: dict[str, object] = {
        _NAMES[position]: {"all": [{"m": {"$and": [{_GUARD: 1}, *map(test, clause.literals)]}}]}
        for position, clause in enumerate(clauses)
    }
    rules[_CANARY] = {"all": [{"m": {_CANARY: 1}}]}
    return json.dumps(rules)


def _holding(shards: Iterable[_NativeShard], first: int, last: int) -> list[_NativeShard]:
    """The shards that hold a rule from `first` to `last`; clauses stand in the order of their rules."""
    return [shard for shard in shards if shard.first <= last and shard.last >= first]


def _texts(literal: Literal, *, name: str) -> tuple[str, str, str]:
    one, two = f'"{name}":1,', f'"{name}":2,'
    return (two, one, "") if literal % 2 else ("", one, two)


def _fired(message: str) -> str:
    """The rule of `{"k7":{"m":{...}}}`."""
    return message[2 : message.index('"', 2)]


class DurableEvaluator:
    """The rules of one action as shards of durable-rules."""

    def __init__(self, formulas: Sequence[Formula], *, leaves: Sequence[Leaf]) -> None:
        lowered = lower(formulas, leaves=leaves)
        self._count = len(formulas)
        self._composites = lowered.composites
        self._always_possible = lowered.always_possible
        self._lock = Lock()
        self._closed = False
        self._true: list[_NativeShard] = []
        self._possible: list[_NativeShard] = []
        try:
            self._true.extend(_NativeShard(shard, possible=False) for shard in lowered.true)
            self._possible.extend(_NativeShard(shard, possible=True) for shard in lowered.possible)
        except Exception as error:
            self.close()
            if isinstance(error, EngineFailure):
                raise
            raise EngineFailure(f"durable-rules did not take the rules: {error}") from error

    def truths(self, leaves: bytes) -> bytes:
        """The truth of every rule, by the truths of all leaves."""
        return self._truths(leaves, self._true, self._possible)

    def truths_of(self, rules: range, leaves: bytes) -> bytes:
        """The truths of a few rules that stand side by side; only the shards that hold them are asked."""
        true = _holding(self._true, rules.start, rules.stop - 1)
        first = min((rules.start, *(shard.first for shard in true)))
        last = max((rules.stop - 1, *(shard.last for shard in true)))
        possible = _holding(self._possible, first, last)  # whatever is true must be possible
        return self._truths(leaves, true, possible)[rules.start : rules.stop]

    def _truths(
        self, leaves: bytes, true_shards: Iterable[_NativeShard], possible_shards: Iterable[_NativeShard]
    ) -> bytes:
        if self._composites:
            leaves += bytes([composite(leaves) for composite in self._composites])
        true: set[int] = set()
        possible: set[int] = set()
        unknowns = self._always_possible or 1 in leaves
        with self._lock:
            if self._closed:
                raise EngineClosed
            for shard in true_shards:
                shard.run(leaves, into=true)
            if unknowns:
                for shard in possible_shards:
                    shard.run(leaves, into=possible)
        result = bytearray(self._count)
        if unknowns and not true <= possible:
            raise EngineFailure("durable-rules found a rule true that it did not find possible")
        for rule in possible:
            result[rule] = 1
        for rule in true:
            result[rule] = 2
        return bytes(result)

    def rebuild(self) -> None:
        """Load every shard afresh, so that whatever went wrong is not carried into the next request."""
        with self._lock:
            if self._closed:
                return
            try:
                for shard in (*self._true, *self._possible):
                    shard.build()
            except Exception as error:
                raise EngineFailure(f"durable-rules could not be rebuilt: {error}") from error

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for shard in (*self._true, *self._possible):
                shard.free()
