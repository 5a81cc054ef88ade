"""Reading the directory: everybody a page at a time, one person, and what a proposed change would do.

Guarantees: persons come in the order of their ids, and a page goes on exactly after the one before; names,
logins, households and absences are shown only to those who administer the directory.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_right
from typing import Final

from controls.model.errors import FieldError, InvalidInput, NotFound
from controls.model.people import Attribute
from controls.model.values import Json
from controls.services.directory_changes import DirectoryChange
from controls.services.directory_difference import difference, summary_of
from controls.services.directory_merge import merge_people
from controls.store.directory import Directory
from controls.store.people import AccountRecord, PersonRecord, Record, time_text

# How many persons one answer about a change tells about.
TOLD_AT_MOST: Final = 1_000
_PRIVATE: Final = frozenset({Attribute.HOUSEHOLD})


def persons_page(directory: Directory, *, limit: int, cursor: str | None, private: bool) -> dict[str, Json]:
    """The first persons after the cursor.

    Args:
        private: whether names, logins, households and absences are shown.
    """
    ids = directory.ids
    start = bisect_right(ids, _read_cursor(cursor)) if cursor else 0
    page = ids[start : start + limit]
    answer: dict[str, Json] = {
        "persons": [person_json(directory.people[person], private=private) for person in page]
    }
    if start + limit < len(ids):
        answer["next"] = urlsafe_b64encode(page[-1].encode()).decode().rstrip("=")
    return answer


def one_person(directory: Directory, person: str, *, private: bool) -> dict[str, Json]:
    """One person with all records, past and future ones too.

    Raises:
        NotFound: there is no such person.
    """
    if person not in directory.people:
        raise NotFound(
            "person_unknown", "There is no such person", help="List them: GET /v1/directory/persons."
        )
    return person_json(directory.people[person], private=private)


def person_json(record: PersonRecord, *, private: bool) -> dict[str, Json]:
    """A person as the API shows him or her."""
    ordered = record.in_order()
    told: dict[str, Json] = {
        "person": record.id,
        "accounts": [_account(item, private=private) for item in ordered.accounts],
        "roles": [{"role": item.role, **_times(item)} for item in ordered.roles],
        "attributes": [
            {"attribute": item.attribute.value, "value": item.value, **_times(item)}
            for item in ordered.attributes
            if private or item.attribute not in _PRIVATE
        ],
    }
    if ordered.delegations:
        told["delegations"] = [
            {
                "delegation": item.id,
                "delegate": item.delegate,
                "chain": item.kind,
                "steps": list[Json](item.steps),
                **_times(item),
            }
            for item in ordered.delegations
        ]
    if ordered.mitigations:
        told["mitigations"] = [
            {
                "mitigation": item.id,
                "constraint": item.constraint,
                "owner": item.owner,
                **({"control": item.control, "evidence": item.evidence} if private else {}),
                **_times(item),
            }
            for item in ordered.mitigations
        ]
    if record.merged_into:
        told["merged_into"] = record.merged_into
    if record.concealed:
        told["concealed"] = True
    if private:
        told["name"] = record.name
        told["absences"] = [_times(item) for item in ordered.absences]
    return told


def told_difference(change: DirectoryChange, directory: Directory, *, at: int) -> dict[str, Json]:
    """What a proposed change would do to the directory as it is now."""
    records = merge_people(change.people, people=directory.people, at=at, new_id=lambda prefix: prefix)
    found = difference(directory.people, records, at=at)
    return {
        "effect": summary_of(found),
        "differences": [one.as_json() for one in found[:TOLD_AT_MOST]],
    }


def _account(record: AccountRecord, *, private: bool) -> dict[str, Json]:
    told: dict[str, Json] = {"account": record.ref, "kind": record.kind.value, **_times(record)}
    if private:
        told["login"] = record.login
    return told


def _times(record: Record) -> dict[str, Json]:
    return {"from": time_text(record.valid_from), "to": time_text(record.valid_to)}


def _read_cursor(cursor: str) -> str:
    try:
        return urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except ValueError:
        raise InvalidInput(
            "cursor_invalid",
            "This cursor was not given by this service",
            help="Use the `next` of the page before, or leave the cursor out.",
            errors=(FieldError("/cursor", "cursor_invalid", "not a cursor of this listing"),),
        ) from None
