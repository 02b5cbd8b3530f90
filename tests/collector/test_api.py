"""What the API promises: nothing without a key, one error shape, filters, pages that stay in step, evidence."""

from __future__ import annotations

import base64
import json
import os
from typing import Any

import pytest
import schemathesis
from fastapi.routing import APIRoute
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from collector.ledger.leaves import leaf_hash
from evidence.chain import verify_chain
from evidence.keys import PublicKey
from tests.collector.conftest import Api, Bench
from tests.collector.terminal import Terminal

CASES = 60 if os.environ.get("ZAIGANG_LONG") == "1" else 8
pytestmark = pytest.mark.both_databases
# A terminal that joins has no API key: its one-time code, or its signature, is its permission.
OPEN = (
    {"/api/v1/healthz", "/docs", "/openapi.json", "/checkpoint", "/tile/{level}/{rest:path}"}
    | {f"/api/v1/provisioning/{one}" for one in ("authority", "handovers", "join", "inquire", "renew")}
    | {"/api/v1/terminals/events"}
)


def routes(api: Api) -> list[tuple[str, str]]:
    """Every route of the application, from the application itself."""
    from fastapi.routing import iter_route_contexts

    found = set()
    for context in iter_route_contexts(api.client.app.routes):  # type: ignore[attr-defined]
        route = context.route
        if isinstance(route, APIRoute):
            found |= {(method, context.path or route.path) for method in route.methods or ()}
    return sorted(found)


def error_of(answer: Any) -> str:
    body = answer.json()
    assert set(body) == {"error"} and set(body["error"]) == {"code", "message"} and body["error"]["message"]
    return str(body["error"]["code"])


def test_every_route_but_the_open_ones_refuses_without_a_key(api: Api) -> None:
    asked = 0
    for method, path in routes(api):
        if path in OPEN:
            continue
        url = path.replace("{rest:path}", "nothing")
        for name in ("name", "code", "chain", "id", "device"):
            url = url.replace("{" + name + "}", "1")
        answer = api.client.request(method, url)
        assert answer.status_code == 401, (method, path)
        assert answer.headers["www-authenticate"] == "Bearer"
        if method != "HEAD":
            assert error_of(answer) == "unauthorised"
        asked += 1
    assert asked >= 20


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer x", "Basic eDp5", "Bearer zk_" + "0" * 12 + "_" + "A" * 43])
def test_a_wrong_key_is_refused(api: Api, header: str) -> None:
    answer = api.client.get("/api/v1/sites", headers={"Authorization": header})
    assert answer.status_code == 401 and error_of(answer) == "unauthorised"


def test_a_key_with_one_changed_character_or_revoked_is_refused(api: Api, bench: Bench) -> None:
    good = api.read["Authorization"]
    wrong = good[:-1] + ("A" if good[-1] != "A" else "B")
    assert api.client.get("/api/v1/sites", headers={"Authorization": good}).status_code == 200
    assert api.client.get("/api/v1/sites", headers={"Authorization": wrong}).status_code == 401
    bench.services.api_keys.revoke(good.split("_")[1])
    assert api.client.get("/api/v1/sites", headers={"Authorization": good}).status_code == 401


def test_a_key_is_nowhere_in_the_database(api: Api, bench: Bench) -> None:
    secret = api.read["Authorization"].split("_", 2)[2].encode()
    bench.database.close()
    for path in bench.settings.data.glob("collector.sqlite*"):
        assert secret not in path.read_bytes()


def test_a_read_key_writes_nothing(api: Api) -> None:
    site = {"name": "west", "title": "West", "tz": "Asia/Shanghai"}
    for method, path in routes(api):
        if method in ("POST", "PUT") and "{rest" not in path and path not in OPEN:
            url = path.replace("{name}", "west").replace("{code}", "E1")
            answer = api.client.request(method, url, headers=api.read, json=site)
            assert answer.status_code == 403 and error_of(answer) == "forbidden", path


def test_every_error_has_one_shape(api: Api, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {
        ("GET", "/api/v1/nothing"): (404, "not_found"),
        ("GET", "/api/v2"): (404, "not_found"),
        ("GET", "/api/v1/punches/99"): (404, "not_found"),
        ("GET", "/api/v1/devices/none"): (404, "not_found"),
        ("DELETE", "/api/v1/sites"): (405, "method_not_allowed"),
        ("GET", "/api/v1/punches?limit=0"): (422, "invalid"),
        ("GET", "/api/v1/punches?from=yesterday"): (422, "invalid"),
        ("GET", "/api/v1/punches?cursor=nonsense"): (422, "invalid"),
        ("POST", "/api/v1/sites"): (422, "invalid"),
    }
    for (method, url), (status, code) in expected.items():
        answer = api.client.request(method, url, headers=api.write)
        assert (answer.status_code, error_of(answer)) == (status, code), url

    def breaks(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(type(bench.services.sites), "all", breaks)
    answer = api.client.get("/api/v1/sites", headers=api.read)
    assert (answer.status_code, error_of(answer)) == (500, "internal") and "a bug" not in answer.text


def test_sites_workers_and_devices_are_added_changed_and_listed(api: Api) -> None:
    post, put, get = api.client.post, api.client.put, api.client.get
    site = {
        "name": "west",
        "title": "West",
        "tz": "Asia/Shanghai",
        "latitude": 31.25,
        "longitude": 121.5,
        "radius_m": 80,
    }
    added = post("/api/v1/sites", json=site, headers=api.write)
    assert added.status_code == 201 and added.json()["latitude"] == 31.25
    assert error_of(post("/api/v1/sites", json=site, headers=api.write)) == "conflict"
    changed = put("/api/v1/sites/west", json={"title": "西", "tz": "UTC"}, headers=api.write).json()
    assert (changed["title"], changed["latitude"]) == ("西", None)
    assert error_of(put("/api/v1/sites/north", json={"title": "N", "tz": "UTC"}, headers=api.write)) == "not_found"
    assert error_of(post("/api/v1/sites", json=site | {"name": "x", "tz": "Mars/Base"}, headers=api.write)) == "invalid"
    post("/api/v1/workers", json={"code": "E7", "name": "李"}, headers=api.write)
    assert (
        put("/api/v1/workers/E7", json={"name": "李四", "active": False}, headers=api.write).json()["active"] is False
    )
    assert get("/api/v1/workers/E7", headers=api.read).json()["name"] == "李四"
    key = Terminal().key.public.text()
    device = {"name": "gate-9", "site": "west", "key": key}
    assert post("/api/v1/devices", json=device, headers=api.write).json()["state"] == "inactive"
    assert error_of(post("/api/v1/devices", json=device | {"name": "gate-8"}, headers=api.write)) == "conflict"
    assert error_of(post("/api/v1/devices", json=device | {"key": "rsa:AAAA"}, headers=api.write)) == "invalid"
    assert get("/api/v1/devices/gate-9/keys", headers=api.read).json()["items"][0]["key"] == key


def test_punches_are_found_by_worker_site_device_time_and_verdict(api: Api, bench: Bench, terminal: Terminal) -> None:
    other = Terminal("shop-1", "shop")
    bench.register(other)
    bench.offer(terminal, terminal.enrol(), terminal.punch(), terminal.punch("E002"), terminal.punch(None, "refused"))
    bench.offer(other, other.enrol(), other.punch("E002", "review", "OUT"))

    def ids(**query: str) -> list[int]:
        answer = api.client.get("/api/v1/punches", params={"order": "arrival", **query}, headers=api.read)
        return [item["id"] for item in answer.json()["items"]]

    assert ids() == [1, 2, 3, 5]
    assert ids(worker="E002") == [2, 5]
    assert ids(site="shop") == [5] and ids(device="gate-1") == [1, 2, 3]
    assert ids(verdict="refused") == [3] and ids(verdict="review", worker="E002") == [5]
    assert ids(**{"from": "2026-11-22T08:00:02+08:00"}) == [2, 3]
    assert ids(**{"from": "2026-11-22T00:00:01Z", "to": "2026-11-22T00:00:02Z"}) == [1, 5]


def test_pages_stay_in_step_while_punches_arrive(api: Api, bench: Bench, terminal: Terminal) -> None:
    bench.offer(terminal, terminal.enrol(), *(terminal.punch() for _ in range(25)))
    seen: list[int] = []
    cursor = None
    while True:
        query = {"limit": 4} | ({"cursor": cursor} if cursor else {})
        page = api.client.get("/api/v1/punches", params=query, headers=api.read).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
        bench.offer(terminal, terminal.punch())
        if cursor is None:
            break
    assert seen == list(range(25, 0, -1))


def test_a_program_that_follows_in_order_of_arrival_misses_nothing(api: Api, bench: Bench, terminal: Terminal) -> None:
    late = Terminal("gate-2")
    bench.register(late)
    held = [late.enrol(), late.punch("E009")]
    terminal.time_s = 5000

    def follow(cursor: str | None) -> tuple[list[int], str]:
        query = {"order": "arrival"} | ({"cursor": cursor} if cursor else {})
        page = api.client.get("/api/v1/punches", params=query, headers=api.read).json()
        return [item["id"] for item in page["items"]], page["next"]

    found, cursor = follow(None)
    assert found == []
    bench.offer(terminal, terminal.enrol(), terminal.punch())
    found, cursor = follow(cursor)
    assert found == [1]
    assert follow(cursor) == ([], cursor)
    bench.offer(late, *held)  # its times lie hours before what was seen already
    assert follow(cursor)[0] == [3]


def test_a_cursor_of_one_order_is_refused_in_another(api: Api, bench: Bench, terminal: Terminal) -> None:
    bench.offer(terminal, terminal.enrol(), terminal.punch(), terminal.punch())
    cursor = api.client.get("/api/v1/punches?limit=1", headers=api.read).json()["next"]
    for order in ("oldest", "arrival"):
        query = {"order": order, "cursor": cursor}
        assert api.client.get("/api/v1/punches", params=query, headers=api.read).status_code == 422


def test_one_punch_comes_with_its_checks_and_an_envelope_that_verifies(
    api: Api, bench: Bench, terminal: Terminal
) -> None:
    sent = [terminal.enrol(), terminal.punch()]
    bench.offer(terminal, *sent)
    punch = api.client.get("/api/v1/punches/1", headers=api.read).json()
    envelope = base64.b64decode(punch["envelope"]["base64"])
    assert envelope == sent[1]
    assert punch["envelope"]["event"] == json.loads(base64.b64decode(json.loads(envelope)["payload"]))
    assert [check["name"] for check in punch["checks"]] == ["face_match", "gps", "beacon"]
    assert punch["leaf_hash"] == leaf_hash(bytes.fromhex(punch["salt"]), envelope).hex()
    assert (punch["employee"], punch["employee_name"], punch["device_id"]) == ("E001", "王小明", "gate-1")
    assert (punch["latitude"], punch["longitude"]) == (31.2345678, 121.456789)


def test_a_streamed_chain_verifies_with_the_keys_that_the_api_names(api: Api, bench: Bench, terminal: Terminal) -> None:
    bench.offer(terminal, terminal.enrol(), *(terminal.punch() for _ in range(9)))
    chain = api.client.get("/api/v1/devices/gate-1", headers=api.read).json()["chains"][0]["chain"]
    lines = api.client.get(f"/api/v1/devices/gate-1/chains/{chain}/envelopes", headers=api.read).content.splitlines()
    key = api.client.get("/api/v1/devices/gate-1/keys", headers=api.read).json()["items"][0]["key"]
    report = verify_chain(lines, {"gate-1": PublicKey.parse(key)})
    assert report.ok and report.events == 10


def test_dead_letters_are_listed_with_reason_and_bytes_and_counted(api: Api, bench: Bench, terminal: Terminal) -> None:
    bench.offer(terminal, b"garbage", b"garbage", b"more")
    page = api.client.get("/api/v1/dead-letters?limit=1", headers=api.read).json()
    assert page["items"][0]["code"] == "not_json" and base64.b64decode(page["items"][0]["content"]) == b"more"
    assert page["counts"][0]["times"] == 3
    rest = api.client.get("/api/v1/dead-letters", params={"cursor": page["next"]}, headers=api.read).json()
    assert rest["items"][0]["times"] == 2 and rest["next"] is None


def test_the_documentation_describes_every_route(api: Api) -> None:
    document = api.client.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation.get("summary") and operation.get("description"), (method, path)
    assert "http" not in api.client.get("/docs").text.replace("http-equiv", "")
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css"):
        assert api.client.get(f"/docs/assets/{asset}").status_code == 200


@pytest.mark.long
def test_the_api_keeps_to_its_own_description(api: Api, bench: Bench, terminal: Terminal) -> None:
    terminal.time_s = 60
    bench.offer(terminal, terminal.enrol(), terminal.punch(), terminal.presence(), b"garbage")
    schema = schemathesis.openapi.from_asgi("/openapi.json", api.client.app)
    checks = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
    failed = []
    for result in schema.get_all_operations():
        operation = result.ok()

        @settings(
            max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
        )
        @given(case=operation.as_strategy())
        def attempt(case: Any) -> None:
            case.call_and_validate(headers=api.write, checks=checks)

        try:
            attempt()
        except Exception as error:
            failed.append(f"{operation.label}: {error}")
    assert not failed, "\n".join(failed)
