"""Every kind of bad input gets a clear problem with a pointer, and nothing is recorded of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controls.api import schemas
from controls.api.asked import RESERVED
from tests.api.conftest import Api
from tests.desk import an_order, ask

DECISIONS = "/v1/decisions"


def changed(path: str, value: Any) -> dict[str, Any]:
    """An ordinary request in which one place is set, or (with `...`) removed."""
    body: Any = ask("capture", "tina.trader", "O-1", context={"desk": "x"})
    where = body
    *way, last = path.split("/")[1:]
    for step in way:
        where = where.setdefault(step, {})
    if value is ...:
        del where[last]
    else:
        where[last] = value
    return dict(body)


@pytest.mark.parametrize(
    ("path", "value", "pointer", "code"),
    [
        ("/subject", ..., "/subject", "missing"),
        ("/subject/id", ..., "/subject/id", "missing"),
        ("/action/name", ..., "/action/name", "missing"),
        ("/resource/type", ..., "/resource/type", "missing"),
        ("/subject", "tina", "/subject", "wrong_type"),
        ("/subject", None, "/subject", "wrong_type"),
        ("/subject/id", 7, "/subject/id", "wrong_type"),
        ("/subject/id", "", "/subject/id", "too_short"),
        ("/subject/id", "x" * 257, "/subject/id", "too_long"),
        ("/subject/id", "a\nb", "/subject/id", "bad_character"),
        ("/subject/id", "a\x7fb", "/subject/id", "bad_character"),
        ("/resource/id", "a\u0085b", "/resource/id", "bad_character"),
        ("/resource/id", "O-1 ", "/resource/id", "bad_character"),
        ("/resource/id", " O-1", "/resource/id", "bad_character"),
        ("/resource/id", " ", "/resource/id", "bad_character"),
        ("/resource/id", "O-1\u00a0", "/resource/id", "bad_character"),
        ("/resource/id", "\u3000O-1", "/resource/id", "bad_character"),
        ("/resource/id", "O-1\u200b", "/resource/id", "bad_character"),
        ("/resource/id", "O-1\ufeff", "/resource/id", "bad_character"),
        ("/subject/id", "tina.trader ", "/subject/id", "bad_character"),
        ("/on_behalf_of", " tomas.trader", "/on_behalf_of", "bad_character"),
        (
            "/resource/properties/lineage",
            [{"relation": "replaces", "id": "O-1 "}],
            "/resource/properties/lineage/0/id",
            "bad_character",
        ),
        ("/resource/type", "x" * 129, "/resource/type", "too_long"),
        ("/action/name", "cap\tture", "/action/name", "bad_character"),
        ("/resource/properties", [], "/resource/properties", "wrong_type"),
        ("/context", [], "/context", "wrong_type"),
        ("/colour", "red", "/colour", "unknown_field"),
        ("/subject/colour", "red", "/subject/colour", "unknown_field"),
        ("/resource/properties/", 1, "/resource/properties/", "bad_name"),
        ("/resource/properties/a\nb", 1, "/resource/properties/a\nb", "bad_name"),
        ("/resource/properties", {"x" * 129: 1}, "/resource/properties/" + "x" * 61 + "...", "bad_name"),
        ("/context", {f"p{n}": 1 for n in range(257)}, "/context", "too_many_properties"),
        ("/context/claim", "no", "/context/claim", "wrong_type"),
        ("/context/claim", None, "/context/claim", "wrong_type"),
        ("/context/at", "2026-03-02T09:30:00", "/context/at", "bad_time"),
        ("/context/at", "yesterday", "/context/at", "bad_time"),
        ("/context/at", 1772443800, "/context/at", "bad_time"),
        ("/context/at", "1889-03-02T09:30:00Z", "/context/at", "bad_time"),
        ("/context/at", "2100-01-01T00:00:00Z", "/context/at", "bad_time"),
        ("/context/at", "2026-02-30T09:30:00Z", "/context/at", "bad_time"),
        ("/context/at", "0001-01-01T00:00:00+23:59", "/context/at", "bad_time"),
        ("/resource/properties/lineage", "O-1", "/resource/properties/lineage", "wrong_type"),
        ("/resource/properties/lineage", ["O-1"], "/resource/properties/lineage/0", "wrong_type"),
        (
            "/resource/properties/lineage",
            [{"id": "O-1"}],
            "/resource/properties/lineage/0/relation",
            "missing",
        ),
        (
            "/resource/properties/lineage",
            [{"relation": "like", "id": "O-1"}],
            "/resource/properties/lineage/0/relation",
            "unknown_value",
        ),
        (
            "/resource/properties/lineage",
            [{"relation": "replaces", "id": "O-1"}] * 65,
            "/resource/properties/lineage",
            "too_long",
        ),
    ],
)  # fmt: skip
def test_fields_that_are_wrong(api: Api, path: str, value: Any, pointer: str, code: str) -> None:
    """A field that is missing, unknown, of the wrong type or out of bounds is named."""
    told = api.post(DECISIONS, changed(path, value))
    assert told.status_code == 422, told.text
    problem = told.json()
    schemas.Problem.model_validate(problem)
    assert problem["code"] == "invalid_request"
    assert [(item["pointer"], item["code"]) for item in problem["errors"]] == [(pointer, code)]


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("/break_glass", {"reason": "fire", "minutes": 0}, "/break_glass/minutes must be 1 or more."),
        ("/break_glass", {"reason": "fire", "minutes": 121}, "/break_glass/minutes must be 120 or less."),
        (
            "/resource/properties/lineage",
            [{"relation": "replaces", "id": "O-1"}] * 65,
            "/resource/properties/lineage has 65 items; 64 are allowed.",
        ),
    ],
)
def test_bounds_are_told_in_words(api: Api, path: str, value: Any, told: str) -> None:
    """What is out of bounds is told as a sentence with the bound, not in the words of a library."""
    assert api.post(DECISIONS, changed(path, value)).json()["detail"] == told


@pytest.mark.parametrize(
    ("path", "value", "pointer", "code"),
    [
        ("/context/on_behalf_of", "x", "/context/on_behalf_of", "misplaced_field"),
        ("/context/break_glass", True, "/context/break_glass", "misplaced_field"),
        ("/subject/properties/on_behalf_of", "x", "/subject/properties/on_behalf_of", "misplaced_field"),
        ("/resource/properties/on_behalf_of", "x", "/resource/properties/on_behalf_of", "misplaced_field"),
        ("/resource/properties/break_glass", 1, "/resource/properties/break_glass", "misplaced_field"),
        ("/context/order", {"notional": "1.00 EUR"}, "/context/order", "ambiguous_fact"),
        ("/context/order.x", {"notional": "1.00 EUR"}, "/context/order.x", "ambiguous_fact"),
        ("/context/subject", {"desk": "x"}, "/context/subject", "ambiguous_fact"),
        ("/context/action", {"x": 1}, "/context/action", "ambiguous_fact"),
        ("/context/context", {"desk": "x"}, "/context/context", "ambiguous_fact"),
        ("/context/person", {"roles": ["supervisor"]}, "/context/person", "ambiguous_fact"),
        ("/context", {"a": {"b.c": 1}, "a.b": {"c": 2}}, "/context/a.b", "ambiguous_fact"),
        *(("/resource/type", name, "/resource/type", "reserved_type") for name in sorted(RESERVED)),
        ("/resource/type", "subject.x", "/resource/type", "reserved_type"),
    ],
)
def test_requests_that_mean_what_they_must_not(
    api: Api, path: str, value: Any, pointer: str, code: str
) -> None:
    """What is reserved, ambiguous or not supported yet is refused by its own code, never ignored."""
    told = api.post(DECISIONS, changed(path, value))
    assert (told.status_code, told.json()["code"]) == (422, code)
    assert [(item["pointer"], item["code"]) for item in told.json()["errors"]] == [(pointer, code)]


@pytest.mark.parametrize(
    ("raw", "status", "code", "pointer"),
    [
        (b"", 400, "body_missing", ""),
        (b"{", 400, "malformed_json", ""),
        (b"\xff{}", 400, "not_utf8", ""),
        (b'"text"', 400, "not_an_object", ""),
        (b'{"subject": 1, "subject": 2}', 400, "malformed_json", "/subject"),
        (b'{"a": {"b": NaN}}', 400, "malformed_json", "/a/b"),
        (b'{"a": [-Infinity]}', 400, "malformed_json", "/a/0"),
        (b'{"a": ' + b"9" * 5000 + b"}", 422, "out_of_bounds", "/a"),
        (b'{"a": 1e9999}', 422, "out_of_bounds", "/a"),
        (b'{"a": "\\ud800"}', 422, "out_of_bounds", "/a"),
        (b'{"a": "\\u0000"}', 422, "out_of_bounds", "/a"),
        (b'{"a": "' + b"x" * 4097 + b'"}', 422, "out_of_bounds", "/a"),
        (b'{"a": [' + b"1," * 1000 + b"1]}", 422, "out_of_bounds", "/a"),
        (b'{"a":' * 17 + b"1" + b"}" * 17, 422, "out_of_bounds", "/a" * 16),
        (b"[]", 422, "invalid_request", ""),
        (b"[[]]", 422, "invalid_request", "/0"),
    ],
)
def test_bodies_that_are_wrong(api: Api, raw: bytes, status: int, code: str, pointer: str) -> None:
    """A body that cannot be read is 400, one that passes a limit is 422, each with its place."""
    told = api.post(DECISIONS, raw=raw)
    problem = told.json()
    assert (told.status_code, problem["code"]) == (status, code)
    assert problem["errors"][0]["pointer"] == pointer


def test_facts_are_counted_in_all_parts_of_a_request(api: Api) -> None:
    """Many parts with few facts each are no way to keep everybody waiting for one decision."""
    context = {f"part{part}": {f"fact{number}": 1 for number in range(250)} for part in range(4)}
    told = api.post(DECISIONS, [ask("capture", "tina.trader", context=context)])
    assert (told.status_code, told.json()["code"]) == (422, "invalid_request")
    assert told.json()["detail"] == "/0 states 1006 facts in all its parts; 1000 are allowed."
    context.popitem()
    assert api.ask("capture", "tina.trader", context=context)["outcome"] == "permit"


@pytest.mark.parametrize("path", [DECISIONS, "/access/v1/evaluation", "/v1/decisions/dec_1/outcome"])
def test_nesting_that_would_break_a_parser(api: Api, path: str) -> None:
    """Hundreds of thousands of brackets are refused."""
    told = api.post(path, raw=b"[" * 300_000 + b"]" * 300_000)
    assert told.status_code in (400, 422)


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonx", "text/json"]
)
def test_bodies_of_another_type(api: Api, kind: str | None) -> None:
    """Only `application/json` is read."""
    told = api.post(DECISIONS, ask("capture", "tina.trader"), headers={"Content-Type": kind})
    assert (told.status_code, told.json()["code"]) == (415, "not_json")


def test_a_content_type_may_have_parameters(api: Api) -> None:
    """`application/json; charset=utf-8` is JSON."""
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert api.post(DECISIONS, ask("capture", "tina.trader"), headers=headers).status_code == 200


def test_bodies_that_are_too_large(api: Api) -> None:
    """More than the allowed bytes are refused, whether or not their number was announced."""
    limit = api.desk.settings.max_body_bytes
    told = api.post(DECISIONS, raw=b" " * (limit + 1))
    assert (told.status_code, told.json()["code"]) == (413, "body_too_large")

    def pieces() -> Any:
        for _ in range(limit // 65_536 + 2):
            yield b" " * 65_536

    headers = {**api.desk.headers(), "Content-Type": "application/json"}
    told = api.client.post(DECISIONS, content=pieces(), headers=headers)
    assert (told.status_code, told.json()["code"]) == (413, "body_too_large")


def test_nothing_is_recorded_of_what_was_not_read(api: Api) -> None:
    """Requests that cannot be read leave the ledger as it is."""
    before = api.size()
    for raw in (b"", b"{}", b'{"subject": 1, "subject": 2}', b"[1]"):
        assert api.post(DECISIONS, raw=raw).status_code in (400, 422)
    assert api.size() == before


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ("/v1/reviews?limit=0", "/limit"),
        ("/v1/reviews?limit=201", "/limit"),
        ("/v1/reviews?limit=x", "/limit"),
        ("/v1/reviews?state=closed", "/state"),
        ("/v1/reviews?cursor=%00", "/cursor"),
        ("/v1/reviews?cursor=AAAA", "/cursor"),
        ("/v1/reviews?cursor=OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTpyZXZfMQ", "/cursor"),
        ("/v1/reviews/a%00b", "/id"),
        ("/v1/decisions/a%00b", "/id"),
        ("/v1/chains/a%00b", "/id"),
        ("/v1/chains/" + "x" * 257, "/id"),
        ("/v1/chains/x?kind=%00", "/kind"),
        ("/v1/ledger/entries/-1", "/index"),
        ("/v1/ledger/entries/99999999999999999999", "/index"),
        ("/v1/ledger/entries/x", "/index"),
        ("/v1/ledger/entries/0?size=0", "/size"),
        ("/v1/ledger/consistency", "/from"),
        ("/v1/ledger/consistency?from=-1", "/from"),
        ("/v1/ledger/consistency?from=1&to=99999999999999999999", "/to"),
        ("/v1/ledger/consistency?from=999999999", "/from"),
    ],
)
def test_parameters_that_are_wrong(either_api: Api, path: str, pointer: str) -> None:
    """Parameters of the wrong type or out of bounds are named, on either database."""
    told = either_api.get(path)
    assert told.status_code == 422, told.text
    assert [item["pointer"] for item in told.json()["errors"]] == [pointer]


def test_ids_with_any_letters_are_ids(either_api: Api) -> None:
    """Ids may hold what people write; one that can be written in two ways is one id."""
    stem = an_order()["id"]
    composed, decomposed = f"caf\u00e9 \U0001f600 {stem}", f"cafe\u0301 \U0001f600 {stem}"
    either_api.perform("capture", "tina.trader", an_order(composed))
    assert either_api.ask("capture", "tomas.trader", an_order(decomposed))["outcome"] == "deny"


@pytest.mark.parametrize("text", ["\u202e", "\U0010ffff", "'; DROP TABLE acts; --", "{{7*7}}", "%s%n", "<b>"])
def test_texts_that_programs_stumble_over(either_api: Api, text: str) -> None:
    """What breaks other programs is text here: in ids, in properties and in their names. A fact is something
    that can be seen (`test_vocabulary`)."""
    seen = {"account": text} if text.isprintable() else {}
    order = an_order(f"{text}{an_order()['id']}", **seen)
    answer = either_api.ask("capture", "tina.trader", order, context={"note": {"inner": text}})
    assert answer["outcome"] == "permit"
    assert (
        either_api.get(f"/v1/decisions/{answer['id']}")
        .json()["entry"]["request"]["resource"]["id"]
        .startswith(text)
    )


def test_a_problem_can_be_printed(api: Api) -> None:
    """A problem is plain ASCII JSON whatever the caller sent."""
    told = api.post(DECISIONS, raw=json.dumps({"\U0001f600\u202e": 1}).encode())
    assert told.status_code == 422
    assert told.content.isascii()
