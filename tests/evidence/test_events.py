"""Events: what a reader takes, what it refuses, what it keeps without understanding it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from evidence.canonical import canonical, parse_canonical
from evidence.errors import EncodingError, InvalidBody, InvalidEvent
from evidence.events import (
    Kind,
    PresenceIntervalBody,
    PunchBody,
    UtcTime,
    WorkerCode,
    WorkerEnrolledBody,
    WorkerErasedBody,
    parse_body,
    parse_event,
)
from tests.evidence.chains import an_event, ed25519_key

KEY = ed25519_key()
PUNCH: dict[str, Any] = {
    "worker": "E1001",
    "log_type": "IN",
    "method": "face",
    "verdict": "verified",
    "checks": [{"name": "gps", "outcome": "passed", "reason": "ok: inside the fence"}],
    "policy": "aa" * 32,
    "receipt": "7K3M9QXA",
    "tapped_at": "2026-03-01T08:00:00.000Z",
}


def _payload(**changes: Any) -> bytes:
    value = parse_canonical(an_event(1, "ab" * 32, KEY).payload())
    value.update(changes)
    return canonical({name: item for name, item in value.items() if item is not ...})


def test_an_event_is_read_as_it_was_written() -> None:
    event = an_event(1, "ab" * 32, KEY)
    assert parse_event(event.payload()) == event


def test_a_field_that_the_reader_does_not_know_does_no_harm() -> None:
    assert parse_event(_payload(weather={"rain": True})) == an_event(1, "ab" * 32, KEY)


@pytest.mark.parametrize("field", ["v", "id", "device", "chain", "seq", "prev", "kind", "time", "tz", "clock", "body"])
def test_no_field_may_be_missing(field: str) -> None:
    with pytest.raises(InvalidEvent):
        parse_event(_payload(**{field: ...}))


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"v": True},
        {"v": "1"},
        {"id": "018f0000-0000-4000-8000-000000000001"},
        {"device": "Gate-1"},
        {"device": "gate-1\n"},
        {"device": "gate/1"},
        {"device": "g" * 49},
        {"device": ""},
        {"chain": "C0" * 16},
        {"seq": -1},
        {"seq": True},
        {"seq": "1"},
        {"seq": 0},
        {"prev": None},
        {"prev": "ab" * 31},
        {"kind": "Punch"},
        {"kind": "punch."},
        {"kind": "a" * 49},
        {"time": "2026-03-01T08:00:00Z"},
        {"time": "2026-03-01 08:00:00.000Z"},
        {"time": "2026-02-29T08:00:00.000Z"},
        {"time": "2026-13-01T08:00:00.000Z"},
        {"time": "2026-03-01T24:00:00.000Z"},
        {"time": "2026-03-01T08:00:60.000Z"},
        {"time": "٢٠٢٦-03-01T08:00:00.000Z"},
        {"time": "0000-03-01T08:00:00.000Z"},
        {"tz": ""},
        {"tz": "\x1b[2J"},
        {"clock": {"source": "sundial", "synced": True}},
        {"clock": {"source": "gps", "synced": 1}},
        {"clock": {"source": "gps", "synced": "yes"}},
        {"clock": None},
        {"mono_us": -1},
        {"boot": 7},
        {"nonce": "00"},
        {"site": "a b"},
        {"body": []},
        {"body": None},
    ],
    ids=repr,
)
def test_a_field_with_another_value_than_its_form_allows_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidEvent):
        parse_event(_payload(**change))


@pytest.mark.parametrize("payload", [b"[]", b"null", b"1", b'"x"', b"{}"])
def test_json_that_is_no_event_is_named_so(payload: bytes) -> None:
    with pytest.raises(InvalidEvent):
        parse_event(payload)


@pytest.mark.parametrize(
    ("seq", "prev", "body"), [(0, "ab" * 32, {}), (1, None, {}), (0, None, {"x": 1.5}), (0, None, {"x": object()})]
)
def test_what_no_reader_would_take_is_not_signed(seq: int, prev: str | None, body: dict[str, Any]) -> None:
    with pytest.raises(EncodingError):
        an_event(seq, prev, KEY, body=body).payload()


def _body(kind: str = "punch.recorded", **changes: Any) -> Any:
    return parse_body(an_event(1, "ab" * 32, KEY, kind=kind, body={**PUNCH, **changes}))


def test_a_punch_is_read() -> None:
    body = _body()
    assert isinstance(body, PunchBody) and body.checks[0].name == "gps"
    assert parse_body(an_event(1, "ab" * 32, KEY, kind="door.opened", body=PUNCH)) is None


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("punch.recorded", {"verdict": "refused"}),
        ("punch.refused", {"verdict": "verified"}),
        ("punch.refused", {"verdict": "review"}),
        ("punch.recorded", {"checks": [{"name": "gps", "outcome": "failed", "reason": "outside: 900 m away"}]}),
        ("punch.recorded", {"checks": [{"name": "gps", "outcome": "skipped", "reason": ""}]}),
        ("punch.recorded", {"worker": ""}),
        ("punch.recorded", {"worker": 7}),
        ("punch.recorded", {"receipt": "ILOU0000"}),
        ("punch.recorded", {"log_type": "in"}),
        ("punch.recorded", {"method": "phone"}),
        ("punch.recorded", {"frames": ["zz"]}),
        ("punch.recorded", {"method": "supervisor", "verdict": "review"}),  # who confirmed is not said
        ("punch.recorded", {"method": "supervisor", "verdict": "verified"}),
        ("punch.recorded", {"method": "supervisor", "verdict": "review", "confirmed_by": PUNCH["worker"]}),
        ("punch.refused", {"method": "supervisor", "verdict": "refused", "confirmed_by": PUNCH["worker"]}),
        ("punch.recorded", {"method": "face", "confirmed_by": "B-1"}),
    ],
)
def test_a_body_that_contradicts_its_kind_or_its_checks_is_refused(kind: str, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidBody):
        _body(kind, **changes)


def test_a_failed_optional_check_goes_to_review_and_a_refusal_may_have_any() -> None:
    failed = [{"name": "gps", "outcome": "failed", "reason": "outside: 900 m away"}]
    assert _body(verdict="review", checks=failed).verdict == "review"
    assert _body("punch.refused", verdict="refused", checks=failed).verdict == "refused"


INTERVAL: dict[str, Any] = {
    "worker": "E1001",
    "state": "heard",
    "from": "2026-03-01T08:00:00.000Z",
    "to": "2026-03-01T08:30:00.000Z",
    "boot": "ab" * 16,
    "from_mono_us": 5,
    "to_mono_us": 1_800_000_005,
    "samples": 900,
    "median_rssi": -71,
    "ended_by": "cut",
    "badge": "rotating",
}


def _interval(**changes: Any) -> Any:
    return parse_body(an_event(1, "ab" * 32, KEY, kind="presence.interval", body={**INTERVAL, **changes}))


def test_a_presence_interval_is_read_and_written_alike() -> None:
    body = _interval()
    assert isinstance(body, PresenceIntervalBody)
    assert body.model_dump(mode="json", by_alias=True) == INTERVAL
    for state in ("silent", "deaf"):
        assert _interval(state=state, samples=0, median_rssi=None).state == state
    assert _interval(ended_by="of_a_later_version").ended_by == "of_a_later_version"


@pytest.mark.parametrize(
    "changes",
    [
        {"to": "2026-03-01T07:59:59.999Z"},
        {"to_mono_us": 4},
        {"samples": 0},
        {"median_rssi": None},
        {"state": "silent"},
        {"state": "silent", "samples": 0},
        {"state": "deaf", "median_rssi": None},
        {"state": "away", "samples": 0, "median_rssi": None},
        {"median_rssi": -71.5},
        {"median_rssi": 90},
        {"badge": "phone"},
        {"boot": "x"},
        {"worker": None},
        {"ended_by": "Out!"},
    ],
)
def test_an_interval_that_tells_two_stories_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidBody):
        _interval(**changes)


def test_a_confirmation_names_both_and_a_refused_one_needs_nobody() -> None:
    confirmed = _body(method="supervisor", verdict="review", confirmed_by="B-1")
    assert (confirmed.worker, confirmed.confirmed_by) == (PUNCH["worker"], "B-1")
    assert _body("punch.refused", method="supervisor", verdict="refused").confirmed_by is None


def test_an_erasure_has_no_place_for_an_employee_code() -> None:
    assert set(WorkerErasedBody.model_fields) == {"scope", "enrolment", "template", "reason"}
    with pytest.raises(ValidationError):
        WorkerErasedBody(scope="all", enrolment="E1001", template=None, reason="erased")


def test_an_enrolment_that_an_earlier_version_signed_is_a_worker_s_without_excuses() -> None:
    early = {
        "worker": "E1001",
        "model": None,
        "frames": 0,
        "authorised_by": "HR",
        "authorisation": "ab" * 16,
        "template": None,
    }
    body = parse_body(an_event(1, "ab" * 32, KEY, kind="worker.enrolled", body=early))
    assert isinstance(body, WorkerEnrolledBody)
    assert (body.role, body.excused) == ("worker", ())


@pytest.mark.parametrize("kind", Kind)
def test_a_body_of_nonsense_never_gets_further_than_its_error(kind: Kind) -> None:
    for body in ({}, {"worker": None}, {"key": []}, {"policy": 1}):
        try:
            parse_body(an_event(1, "ab" * 32, KEY, kind=kind, body=body))
        except InvalidBody as error:
            assert kind in str(error)


@pytest.mark.parametrize("code", ["E1001", "7", "张三-1", "a b", "x" * 64])
def test_employee_codes_of_all_kinds_are_taken(code: str) -> None:
    assert TypeAdapter(WorkerCode).validate_python(code) == code


@pytest.mark.parametrize(
    "code",
    ["", " a", "a ", "a/b", "a+b", "#", "a\nb", "a\x00b", "a\x7fb", "a\x9b31mb", "a\u202eb", "a\u2028b", "x" * 65],
)
def test_an_employee_code_cannot_steer_a_topic_or_a_screen(code: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(WorkerCode).validate_python(code)


def test_a_time_can_always_be_converted() -> None:
    adapter: TypeAdapter[str] = TypeAdapter(UtcTime)
    for good in ("0001-01-01T00:00:00.000Z", "2028-02-29T23:59:59.999Z", "9999-12-31T23:59:59.999Z"):
        assert adapter.validate_python(good) == good
    for bad in ("2026-04-31T00:00:00.000Z", "2026-00-01T00:00:00.000Z", "2026-03-01T08:00:00.000Z\n", ""):
        with pytest.raises(ValidationError):
            adapter.validate_python(bad)
