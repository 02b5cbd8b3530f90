"""Console sessions: sealed, ending, and over when their API key is."""

from __future__ import annotations

import pytest

from collector.auth.service import Scope
from collector.auth.sessions import LIFETIME_S, Sessions
from collector.errors import Unauthorised
from tests.collector.conftest import Bench


def test_a_session_is_its_keys_and_ends_with_it(bench: Bench) -> None:
    keys = bench.services.api_keys
    row, key = keys.create("office", Scope.READ)
    sessions = Sessions(bench.keys.session, keys)
    cookie = sessions.open(key)
    assert sessions.holder(cookie).name == "office"
    keys.revoke(row.id)
    with pytest.raises(Unauthorised):
        sessions.holder(cookie)


def test_a_session_ends_by_itself(bench: Bench) -> None:
    keys = bench.services.api_keys
    sessions = Sessions(bench.keys.session, keys)
    cookie = sessions.open(keys.create("office", Scope.READ)[1], now_s=1000)
    assert sessions.holder(cookie, now_s=1000 + LIFETIME_S - 1).name == "office"
    with pytest.raises(Unauthorised):
        sessions.holder(cookie, now_s=1000 + LIFETIME_S)


def test_a_changed_or_foreign_cookie_opens_nothing(bench: Bench) -> None:
    keys = bench.services.api_keys
    sessions = Sessions(bench.keys.session, keys)
    key = keys.create("office", Scope.READ)[1]
    cookie = sessions.open(key, now_s=1000)
    key_id, until, seal = cookie.split(".")
    foreign = Sessions(b"another secret", keys).open(key, now_s=1000)
    for wrong in (None, "", "x", f"{key_id}.{int(until) + 1}.{seal}", f"{key_id}.{until}.{'0' * 64}", foreign):
        with pytest.raises(Unauthorised):
            sessions.holder(wrong, now_s=1000)
