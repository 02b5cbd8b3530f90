"""Chains: whatever event is dropped, doubled, swapped or replaced, the check names it and goes on."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence.chain import MAX_PROBLEMS, ChainCheck, ChainReport, Head, follow, read_event, same_place, verify_chain
from evidence.envelope import EVENT_TYPE, Envelope, sign
from evidence.errors import (
    BadStart,
    BrokenLink,
    EvidenceError,
    Fork,
    Gap,
    MonotonicRegression,
    Replay,
    SignatureCount,
    UnknownKey,
    WrongChain,
)
from evidence.events import Event, parse_event
from evidence.keys import SigningKey
from tests.evidence.chains import a_chain, an_event, ed25519_key, es256_key

KEY, OTHER = ed25519_key(1), ed25519_key(2)
KEYS = {"gate-1": KEY.public}
CHAIN = a_chain(6)
DATA = [envelope.encode() for envelope in CHAIN]
LENGTHS = range(1, 7)


def _check(data: list[bytes]) -> ChainReport:
    return verify_chain(data, KEYS)


def _found(report: ChainReport) -> list[tuple[int, int | None, str]]:
    return [(problem.position, problem.seq, problem.code) for problem in report.problems]


@pytest.mark.parametrize("key", [KEY, es256_key()], ids=["ed25519", "es256"])
def test_a_whole_chain_holds(key: SigningKey) -> None:
    chain = a_chain(5, key)
    report = verify_chain([envelope.encode() for envelope in chain], {"gate-1": key.public})
    assert report.ok
    assert (report.device, report.events, report.kinds) == ("gate-1", 5, {"device.enrolled": 1, "noted": 4})
    assert report.head is not None
    assert (report.head.seq, report.head.hash) == (4, chain[-1].hash)
    assert (report.first_time, report.last_time) == ("2026-03-01T08:00:00.000Z", "2026-03-01T08:00:04.000Z")


def test_nothing_is_no_chain_that_holds() -> None:
    assert not _check([]).ok


@pytest.mark.parametrize("dropped", LENGTHS[:-1])
def test_an_event_that_was_dropped_is_one_gap(dropped: int) -> None:
    left = DATA[: dropped - 1] + DATA[dropped:]
    report = _check(left)
    assert _found(report) == [(dropped - 1, dropped, "gap")]
    assert f"seq {dropped - 1} is missing" in report.problems[0].message


def test_every_run_of_dropped_events_is_one_gap_that_names_it() -> None:
    for first in range(len(DATA) - 1):
        for last in range(first + 1, len(DATA) - 1):
            report = _check(DATA[:first] + DATA[last + 1 :])
            assert _found(report) == [(first, last + 1, "gap")]
            assert f"seq {first} to {last} are missing" in report.problems[0].message


@pytest.mark.parametrize("doubled", range(6))
def test_an_event_that_was_doubled_is_a_replay(doubled: int) -> None:
    for place in range(doubled + 1, len(DATA) + 1):
        report = _check([*DATA[:place], DATA[doubled], *DATA[place:]])
        assert _found(report) == [(place, doubled, "replay")]
        assert report.events == len(DATA)


def test_two_events_that_were_swapped_are_out_of_order() -> None:
    for one in range(len(DATA)):
        for two in range(one + 1, len(DATA)):
            swapped = DATA.copy()
            swapped[one], swapped[two] = swapped[two], swapped[one]
            found = _found(_check(swapped))
            assert (one, two, "gap") in found
            assert (two, one, "out_of_order") in found


@pytest.mark.parametrize("replaced", range(6))
def test_an_event_that_its_own_terminal_signed_anew_breaks_the_link_after_it(replaced: int) -> None:
    old = parse_event(CHAIN[replaced].payload)
    forged = old.model_copy(update={"nonce": "ee" * 16})
    data = DATA.copy()
    data[replaced] = sign(EVENT_TYPE, forged.payload(), KEY).encode()
    wanted = [(replaced + 1, replaced + 1, "broken_link")] if replaced + 1 < len(DATA) else []
    assert _found(_check(data)) == wanted  # the last one only a receipt can tell from its predecessor
    with_both = _check([*DATA[: replaced + 1], data[replaced], *DATA[replaced + 1 :]])
    assert _found(with_both) == [(replaced + 1, replaced, "fork")]


@pytest.mark.parametrize("replaced", range(6))
def test_an_event_that_somebody_else_signed_is_no_event_of_the_chain(replaced: int) -> None:
    data = DATA.copy()
    data[replaced] = sign(EVENT_TYPE, CHAIN[replaced].payload, OTHER).encode()
    found = _found(_check(data))
    assert found[0] == (replaced, replaced, "unknown_key")
    assert found[1:] == ([(replaced + 1, replaced + 1, "gap")] if replaced + 1 < len(DATA) else [])


@pytest.mark.parametrize("cut", range(6))
def test_an_event_that_was_cut_short_is_named_and_the_rest_goes_on(cut: int) -> None:
    for end in (0, 1, len(DATA[cut]) // 2, len(DATA[cut]) - 1):
        data = DATA.copy()
        data[cut] = data[cut][:end]
        found = _found(_check(data))
        assert found[0] == (cut, None, "not_json")
        assert found[1:] == ([(cut + 1, cut + 1, "gap")] if cut + 1 < len(DATA) else [])


@given(st.permutations(range(6)), st.integers(1, 6), st.lists(st.integers(0, 5), max_size=3))
@settings(max_examples=200, deadline=None)
def test_only_the_chain_itself_and_its_beginnings_hold(order: list[int], keep: int, more: list[int]) -> None:
    shown = order[:keep] + more
    assert _check([DATA[place] for place in shown]).ok == (shown == list(range(len(shown))))


@given(st.integers(0, 5), st.integers(0, 10_000), st.integers(1, 255))
@settings(max_examples=200, deadline=None)
def test_any_byte_changed_anywhere_in_a_chain_is_found_at_its_place(event: int, place: int, flip: int) -> None:
    data = DATA.copy()
    place %= len(data[event])
    data[event] = data[event][:place] + bytes([data[event][place] ^ flip]) + data[event][place + 1 :]
    assert _check(data).problems[0].position == event


def test_events_of_another_chain_are_named_and_take_nobodys_place() -> None:
    theirs = [envelope.encode() for envelope in a_chain(6, OTHER, device="gate-2", chain="d0" * 16)]
    check = ChainCheck({"gate-1": (KEY.public,), "gate-2": (OTHER.public,)})
    mixed = [data for pair in zip(DATA, theirs, strict=True) for data in pair]
    problems = [check.feed(data) for data in mixed]
    assert [problem.code for problem in problems if problem] == ["wrong_chain"] * 6
    assert (check.report.events, check.report.kinds) == (6, {"device.enrolled": 1, "noted": 5})
    assert check.report.last_time == parse_event(CHAIN[-1].payload).time
    assert [check.hash_at(seq) for seq in range(6)] == [envelope.hash for envelope in CHAIN]


def test_another_chain_of_the_same_terminal_is_another_chain() -> None:
    later = [envelope.encode() for envelope in a_chain(2, OTHER, chain="d0" * 16)]
    check = ChainCheck({"gate-1": (KEY.public, OTHER.public)})
    assert [problem and problem.code for problem in map(check.feed, DATA + later)] == [None] * 6 + ["wrong_chain"] * 2


def test_a_retired_key_cannot_continue_a_later_chain() -> None:
    check = ChainCheck({"gate-1": (OTHER.public, KEY.public)})
    for data in DATA:
        assert check.feed(data) is None
    forged = sign(EVENT_TYPE, an_event(6, CHAIN[-1].hash, OTHER).payload(), OTHER)
    problem = check.feed(forged.encode())
    assert problem is not None and problem.code == "unknown_key"


def test_a_chain_whose_first_event_names_another_key_does_not_start() -> None:
    body = {"key": OTHER.public.text(), "software": "zaigang 0.1.0"}
    report = _check([sign(EVENT_TYPE, an_event(0, None, KEY, body=body).payload(), KEY).encode()])
    assert _found(report) == [(0, 0, "bad_start")]


def test_an_event_whose_body_cannot_be_read_stands_and_is_counted() -> None:
    punch = an_event(1, CHAIN[0].hash, KEY, kind="punch.recorded", body={"worker": 7})
    report = _check([DATA[0], sign(EVENT_TYPE, punch.payload(), KEY).encode()])
    assert report.ok and report.unread_bodies == 1


def test_a_kind_that_this_version_does_not_know_stands() -> None:
    later = an_event(1, CHAIN[0].hash, KEY, kind="door.opened", body={"anything": [1, None]})
    report = _check([DATA[0], sign(EVENT_TYPE, later.payload(), KEY).encode()])
    assert report.ok and report.unread_bodies == 0


def test_a_report_of_garbage_stays_small() -> None:
    report = _check([b"x"] * (MAX_PROBLEMS + 7))
    assert not report.ok
    assert (len(report.problems), report.more_problems) == (MAX_PROBLEMS, 7)


def _follow(head: Head | None, **changes: Any) -> Head:
    fields = {"seq": 1, "prev": CHAIN[0].hash, **changes}
    return follow(head, an_event(fields.pop("seq"), fields.pop("prev"), KEY, **fields), "aa" * 32)


HEAD = follow(None, parse_event(CHAIN[0].payload), CHAIN[0].hash)


@pytest.mark.parametrize(
    ("head", "changes", "error"),
    [
        (None, {}, Gap),
        (None, {"seq": 0, "prev": None, "kind": "coverage"}, BadStart),
        (None, {"seq": 0}, BadStart),
        (HEAD, {"device": "gate-2"}, WrongChain),
        (HEAD, {"chain": "d0" * 16}, WrongChain),
        (HEAD, {"seq": 0, "prev": None}, Fork),
        (HEAD, {"seq": 2}, Gap),
        (HEAD, {"prev": "ff" * 32}, BrokenLink),
        (HEAD, {"prev": None}, BrokenLink),
        (HEAD, {"mono_us": 999_999}, MonotonicRegression),
    ],
)
def test_each_breach_of_the_rule_has_its_name(
    head: Head | None, changes: dict[str, Any], error: type[EvidenceError]
) -> None:
    with pytest.raises(error) as caught:
        _follow(head, **changes)
    assert type(caught.value) is error


def test_the_monotonic_clock_may_stand_still_and_starts_again_with_a_boot() -> None:
    assert _follow(HEAD, mono_us=HEAD.mono_us).seq == 1
    assert _follow(HEAD, mono_us=0, boot="b1" * 16).mono_us == 0


def test_the_same_event_again_is_a_replay_and_an_older_one_is_for_the_caller_to_compare() -> None:
    with pytest.raises(Replay):
        follow(HEAD, parse_event(CHAIN[0].payload), CHAIN[0].hash)
    head = follow(HEAD, parse_event(CHAIN[1].payload), CHAIN[1].hash)
    with pytest.raises(Replay, match="behind the head"):
        follow(head, parse_event(CHAIN[0].payload), CHAIN[0].hash)


def test_the_same_place_is_a_replay_or_a_fork() -> None:
    with pytest.raises(Replay):
        same_place(3, "aa" * 32, "aa" * 32)
    with pytest.raises(Fork):
        same_place(3, "aa" * 32, "bb" * 32)


def test_an_event_is_believed_only_under_its_own_terminals_key() -> None:
    event, envelope = read_event(DATA[0], KEYS)
    assert isinstance(event, Event) and isinstance(envelope, Envelope)
    with pytest.raises(UnknownKey):
        read_event(DATA[0], {})
    with pytest.raises(UnknownKey):
        read_event(DATA[0], {"gate-1": OTHER.public})
    with pytest.raises(SignatureCount):
        read_event(sign(EVENT_TYPE, CHAIN[0].payload, KEY, OTHER).encode(), KEYS)


def _story(*told: tuple[str, dict[str, Any]]) -> list[bytes]:
    """A chain of these kinds and bodies after its enrolment."""
    key = ed25519_key()
    chain = a_chain(1, key)
    for kind, body in told:
        event = an_event(len(chain), chain[-1].hash, key, kind=kind, body=body)
        chain.append(sign(EVENT_TYPE, event.payload(), key))
    return [envelope.encode() for envelope in chain]


def _punch(verdict: str) -> tuple[str, dict[str, Any]]:
    body = {"worker": "E1", "log_type": "IN", "method": "badge_pin", "verdict": verdict, "checks": []}
    return "punch.recorded", body | {"policy": "0" * 64, "receipt": "01234567", "tapped_at": "2026-03-01T08:00:00.000Z"}


OPENED = ("enclosure.opened", {"found": "running", "seen_at": "2026-03-01T08:00:00.000Z"})


def _cleared(opening: int) -> tuple[str, dict[str, Any]]:
    body = {"opening": opening, "authorised_by": "boss", "authorisation": "ab" * 16, "clearance": "AAAA"}
    return "enclosure.cleared", body


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        ((_punch("verified"), OPENED, _punch("review"), _cleared(2), _punch("verified")), []),
        ((OPENED, _punch("verified")), [2]),
        ((("enclosure.opened", {"found": "tilted"}), _punch("verified")), [2]),  # a later version's counts, too
        (
            (OPENED, ("enclosure.cleared", {"opening": 1}), _punch("verified")),
            [3],
        ),  # and a clear that says too little not
        ((OPENED, OPENED, _cleared(1), _punch("verified")), [4]),  # cleared was the older one
        ((OPENED, _cleared(1), OPENED, _punch("verified"), _punch("verified")), [4, 5]),
    ],
)
def test_no_punch_is_verified_between_an_opening_and_its_clear(told: list[Any], wrong: list[int]) -> None:
    report = verify_chain(_story(*told), {"gate-1": ed25519_key().public})
    assert [(one.seq, one.code) for one in report.problems] == [(seq, "verified_while_opened") for seq in wrong]
