"""Presence as HR asks for it: by worker and time, with the limits said, and nothing made up."""

from __future__ import annotations

from typing import Any

import pytest

from tests.collector.conftest import Api, Bench
from tests.collector.terminal import Terminal

URL = "/api/v1/presence"


@pytest.fixture
def filled(bench: Bench, terminal: Terminal) -> Bench:
    """Three intervals: 00:00:50 to 00:01:00 of E001, 00:01:50 to 00:02:00 of E002, 00:02:51 to 00:03:01 of E001."""
    envelopes = [terminal.enrol()]
    terminal.time_s = 60
    envelopes.append(terminal.presence())
    terminal.time_s = 120
    envelopes.append(terminal.presence("E002", badge="constant"))
    terminal.time_s = 181
    silent = {"state": "silent", "samples": 0, "median_rssi": None, "ended_by": "scanner_stale"}
    envelopes.append(terminal.presence(**silent))
    bench.offer(terminal, *envelopes)
    return bench


def ids(api: Api, **query: Any) -> list[int]:
    answer = api.client.get(URL, params=query, headers=api.read)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


def test_an_interval_is_answered_as_the_terminal_signed_it(api: Api, filled: Bench) -> None:
    one = api.client.get(URL, headers=api.read).json()["items"][0]
    assert (one["employee"], one["employee_name"], one["device_id"]) == ("E001", "王小明", "gate-1")
    assert (one["from"], one["to"]) == ("2026-11-22T00:00:50.000Z", "2026-11-22T00:01:00.000Z")
    assert one["local_from"] == "2026-11-22T08:00:50.000+08:00"
    assert (one["state"], one["samples"], one["median_rssi"], one["badge"]) == ("heard", 9, -64, "rotating")
    assert (one["ended_by"], one["clock_synced"], one["after_revocation"], one["seq"]) == ("out", True, False, 1)


def test_presence_is_found_by_worker_state_device_and_the_time_that_it_touches(api: Api, filled: Bench) -> None:
    assert ids(api) == [1, 2, 3]
    assert ids(api, worker="E001") == [1, 3]
    assert ids(api, worker="E001", state="silent") == [3]
    assert ids(api, site="east", device="gate-1") == [1, 2, 3]
    assert ids(api, site="west") == ids(api, device="gate-9") == ids(api, worker="E009") == []
    span = {"from": "2026-11-22T00:00:55Z", "to": "2026-11-22T00:01:50Z"}
    assert ids(api, **span) == [1], "it reaches into the span; the next begins where the span ends"
    assert ids(api, **{"from": "2026-11-22T08:01:00.001+08:00"}) == [2, 3]


def test_pages_go_on_where_the_last_one_ended(api: Api, filled: Bench) -> None:
    seen, cursor = [], None
    while True:
        page = api.client.get(URL, params={"limit": 1, "cursor": cursor} if cursor else {"limit": 1}, headers=api.read)
        seen += [item["id"] for item in page.json()["items"]]
        cursor = page.json()["next"]
        if cursor is None:
            break
    assert seen == [1, 2, 3]
    assert api.client.get(URL, params={"cursor": "nonsense"}, headers=api.read).status_code == 422


def test_a_body_that_cannot_be_read_is_kept_and_gives_no_row(api: Api, bench: Bench, terminal: Terminal) -> None:
    terminal.time_s = 60
    bench.offer(terminal, terminal.enrol(), terminal.presence(samples=0), terminal.presence())
    assert ids(api) == [2]
    assert bench.seqs(terminal) == 3
    assert bench.dead() == ["invalid_body"]


def test_the_description_says_what_a_badge_does_not_prove(api: Api) -> None:
    said = api.client.get("/openapi.json").json()["paths"][URL]["get"]["description"]
    for limit in ("not the person", "any phone", "live relay", "heard nobody"):
        assert limit in said
