"""API keys: minted once, compared without leaking, limited to what they were given."""

from __future__ import annotations

import os

import pytest

from controls.model.errors import Conflict, InvalidInput, Unauthenticated
from controls.services.keys import authenticate, check_live, may_ask, may_speak_for, mint, provided_roles
from controls.store.rows import ApiKey


def a_key(**changes: object) -> tuple[str, ApiKey]:
    given: dict[str, object] = {"name": "k", "scopes": ("decide",), "at": 0, "entropy": os.urandom}
    return mint(**(given | changes))  # type: ignore[arg-type]


def test_the_text_of_a_key_authenticates_and_is_not_stored() -> None:
    """What is stored does not contain the secret."""
    text, key = a_key()
    assert authenticate(text, {key.id: key}.get) is key
    secret = text.split("_", 2)[2]
    assert secret not in repr(key)


@pytest.mark.parametrize("change", ["id", "secret", "shape", "empty"])
def test_a_wrong_key_is_refused_and_nothing_says_why(change: str) -> None:
    """A wrong id, a wrong secret and nonsense give the same answer."""
    text, key = a_key()
    wrong = {
        "id": f"ck_{'0' * 16}_{text.split('_', 2)[2]}",
        "secret": text[:-1] + ("A" if text[-1] != "A" else "B"),
        "shape": text + "x",
        "empty": "",
    }[change]
    with pytest.raises(Unauthenticated) as refused:
        authenticate(wrong, {key.id: key}.get)
    assert refused.value.code == "key_invalid"


@pytest.mark.parametrize(
    "wrong",
    [
        {"scopes": ("scim", "read"), "speaks_for": "*"},
        {"scopes": ("scim",), "speaks_for": "*", "account": "alma.admin"},
        {"scopes": ("scim",)},
        {"scopes": ("decide",), "roles": ("trader",)},
    ],
)
def test_a_provider_s_key_stands_alone(wrong: dict[str, object]) -> None:
    """It has no other scope and no account, names its users, and no other key names roles."""
    with pytest.raises(InvalidInput) as refused:
        a_key(**wrong)
    assert refused.value.code == "provider_key"


def test_a_provider_s_key_gives_the_roles_that_it_names() -> None:
    """And no request of anybody is covered by it; a pattern of actions gives no role."""
    _, key = a_key(scopes=("scim",), speaks_for="*", roles=("trader", "clerk", "trader"), actions=("*",))
    assert provided_roles(key) == {"trader", "clerk"}
    assert not may_ask(key, "order", "capture")
    assert provided_roles(a_key(actions=("role.trader",))[1]) == frozenset()


def test_a_key_speaks_only_for_logins_that_match_its_whole_pattern() -> None:
    """Patterns are not searched for inside a login."""
    _, key = a_key(speaks_for="desk.*")
    assert may_speak_for(key, "desk.ana")
    assert not may_speak_for(key, "front-desk.ana")
    assert not may_speak_for(key, "DESK.ana")


def test_a_personal_key_speaks_for_its_own_account_only() -> None:
    """Without a pattern a key speaks for the account it is bound to, and a system's key for nobody."""
    _, personal = a_key(scopes=("review",), account="sara")
    _, system = a_key()
    assert may_speak_for(personal, "sara")
    assert not may_speak_for(personal, "ana")
    assert not may_speak_for(system, "ana")


def test_a_key_asks_only_about_its_actions() -> None:
    """Actions are patterns over resource.action."""
    _, key = a_key(actions=("order.cap*", "payment.release"))
    assert may_ask(key, "order", "capture")
    assert may_ask(key, "payment", "release")
    assert not may_ask(key, "order", "settle")


@pytest.mark.parametrize("scopes", [(), ("decide", "everything")])
def test_scopes_must_exist(scopes: tuple[str, ...]) -> None:
    """A key without scopes, or with unknown ones, is not made."""
    with pytest.raises(InvalidInput) as refused:
        a_key(scopes=scopes)
    assert refused.value.code == "scope_unknown"


@pytest.mark.parametrize("scope", ["review", "directory", "release"])
def test_personal_scopes_need_an_account(scope: str) -> None:
    """Reviews and administration are acts of a person."""
    with pytest.raises(InvalidInput) as refused:
        a_key(scopes=(scope,))
    assert refused.value.code == "account_required"


def test_a_third_live_key_of_one_name_is_refused() -> None:
    """Two keys live at once, so that one can replace the other."""
    first, second = a_key()[1], a_key()[1]
    check_live([first], "k")
    with pytest.raises(Conflict) as refused:
        check_live([first, second], "k")
    assert refused.value.code == "too_many_keys"
