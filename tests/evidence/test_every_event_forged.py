"""Every event of a bundle dropped, doubled, moved, signed again or back-dated, and a byte of every file flipped: named.

Twice: in a bundle that the operator seals again, and in a ledger that he writes anew, checkpoints and all. What such a
ledger does not show by itself, a receipt, a kept checkpoint or a terminal that saw the old one does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from evidence.bundle import verify_bundle
from evidence.bundle_make import ChainPart, Parts
from evidence.bundle_receipt import check_punch_receipt
from evidence.bundle_zip import unpack
from evidence.envelope import Envelope
from evidence.events import Event, parse_event
from tests.evidence.bundles import OTHER, Leaf, Site, a_day, a_watched_day, bundle, changed_chain

EVENTS = [("gate-1", seq) for seq in range(6)] + [("gate-2", seq) for seq in range(3)]
LAST = {"gate-1": 5, "gate-2": 2}
_every_event = pytest.mark.parametrize(("device", "seq"), EVENTS)


def found(data: bytes, site: Site, **trust: Any) -> set[str]:
    return {one.code for one in verify_bundle(data, site.trust(**trust)).problems}


def part_of(parts: Parts, device: str) -> ChainPart:
    return next(one for one in parts.chains if one.entry.device == device)


def event_of(leaf: Leaf | bytes) -> Event:
    return parse_event(Envelope.decode(leaf if isinstance(leaf, bytes) else leaf.envelope).payload)


def earlier(event: Event) -> Event:
    return event.model_copy(update={"time": event.time.replace("2026-03-01T", "2026-02-28T")})


# --- in a bundle that is sealed again


@_every_event
def test_an_event_dropped_from_a_bundle(device: str, seq: int) -> None:
    site = a_day()
    part = part_of(site.parts(), device)
    lines = [*part.lines[:seq], *part.lines[seq + 1 :]]
    envelopes = [*part.envelopes[:seq], *part.envelopes[seq + 1 :]]
    codes = found(bundle(changed_chain(site.parts(), device, lines=lines, envelopes=envelopes)), site)
    assert ("head_mismatch" if seq == LAST[device] else "hidden_gap") in codes


@_every_event
def test_an_event_doubled_in_a_bundle(device: str, seq: int) -> None:
    site = a_day()
    part = part_of(site.parts(), device)
    lines = [*part.lines[: seq + 1], *part.lines[seq:]]
    envelopes = [*part.envelopes[: seq + 1], *part.envelopes[seq:]]
    assert "invalid_index" in found(bundle(changed_chain(site.parts(), device, lines=lines, envelopes=envelopes)), site)


@_every_event
def test_an_event_moved_in_a_bundle(device: str, seq: int) -> None:
    site = a_day()
    part = part_of(site.parts(), device)
    lines, envelopes = list(part.lines), list(part.envelopes)
    to = (seq + 1) % len(lines)
    for moved in (lines, envelopes):
        moved[seq], moved[to] = moved[to], moved[seq]  # type: ignore[index]
    codes = found(bundle(changed_chain(site.parts(), device, lines=lines, envelopes=envelopes)), site)
    assert "hidden_gap" in codes


@_every_event
@pytest.mark.parametrize(
    ("how", "code"), [("another key", "unknown_key"), ("its own key, earlier", "inclusion_failed")]
)
def test_an_event_signed_again_in_a_bundle(device: str, seq: int, how: str, code: str) -> None:
    site = a_day()
    part = part_of(site.parts(), device)
    event = event_of(part.envelopes[seq])
    again = site.entry(event, OTHER) if how == "another key" else site.entry(earlier(event), site.keys[device])
    envelopes = [*part.envelopes[:seq], again.envelope, *part.envelopes[seq + 1 :]]
    report = verify_bundle(bundle(changed_chain(site.parts(), device, envelopes=envelopes)), site.trust())
    assert (code, device, seq) in {(one.code, one.device, one.seq) for one in report.problems}


# --- in a ledger that is written anew, with fresh proofs and checkpoints over it


def rewritten(change: Callable[[list[Leaf]], None]) -> tuple[Site, bytes]:
    site = a_day()
    change(site.entries)
    site.heads = {}
    for one in site.entries:
        if one.seq > site.heads.get(one.device, (-1, ""))[0]:
            site.heads[one.device] = (one.seq, one.hash)
    return site, bundle(site.parts())


def place(entries: list[Leaf], device: str, seq: int) -> int:
    return next(at for at, one in enumerate(entries) if (one.device, one.seq) == (device, seq))


def kept() -> dict[str, Any]:
    """What a reader of the honest ledger kept: its checkpoint over the first entries."""
    return {"checkpoints": [a_day().checkpoint(9).encode().decode()]}


@_every_event
def test_an_event_left_out_of_a_new_ledger(device: str, seq: int) -> None:
    honest = a_day()
    receipt = honest.receipt(honest.entries[place(honest.entries, device, seq)])
    site, data = rewritten(lambda entries: entries.pop(place(entries, device, seq)) and None)
    if seq < LAST[device]:
        assert "hidden_gap" in found(data, site)
        return
    assert found(data, site) == set()  # the end of a chain nobody misses but who holds a receipt or a checkpoint
    report = verify_bundle(data, site.trust())
    error = check_punch_receipt(receipt, site.trust(), report).error
    assert error is not None and error.code == "omitted"
    assert found(data, site, **kept()) <= {"rewritten_history", "checkpoint_unproved"}
    assert found(data, site, **kept())


@_every_event
def test_an_event_twice_in_a_new_ledger(device: str, seq: int) -> None:
    site, data = rewritten(
        lambda entries: entries.insert(place(entries, device, seq) + 1, entries[place(entries, device, seq)])
    )
    assert "invalid_index" in found(data, site)


@pytest.mark.parametrize(("device", "seq"), [one for one in EVENTS if one[1] < LAST[one[0]]])
def test_an_event_moved_in_a_new_ledger(device: str, seq: int) -> None:
    def swap(entries: list[Leaf]) -> None:
        a, b = place(entries, device, seq), place(entries, device, seq + 1)
        entries[a], entries[b] = entries[b], entries[a]

    site = a_day()
    swap(site.entries)
    parts = site.parts()
    part = part_of(parts, device)
    order = sorted(range(len(part.lines)), key=lambda at: part.lines[at].seq)
    parts = changed_chain(
        parts, device, lines=[part.lines[at] for at in order], envelopes=[part.envelopes[at] for at in order]
    )
    assert "ledger_order" in found(bundle(parts), site)


@_every_event
@pytest.mark.parametrize("how", ["another key", "its own key, earlier"])
def test_an_event_signed_again_in_a_new_ledger(device: str, seq: int, how: str) -> None:
    honest = a_day()
    receipt = honest.receipt(honest.entries[place(honest.entries, device, seq)])

    def sign(entries: list[Leaf]) -> None:
        at = place(entries, device, seq)
        event = event_of(entries[at])
        made = honest.entry(event, OTHER) if how == "another key" else honest.entry(earlier(event), honest.keys[device])
        entries[at] = made

    site, data = rewritten(sign)
    codes = found(data, site)
    if how == "another key":
        assert "unknown_key" in codes
    elif seq < LAST[device]:
        assert codes == {"broken_link"}
    else:  # the newest event of a terminal that the operator owns: receipts and kept checkpoints show it
        assert codes == set()
        error = check_punch_receipt(receipt, site.trust(), verify_bundle(data, site.trust())).error
        assert error is not None and error.code == "fork"
        assert "rewritten_history" in found(bundle(site.parts(first=9)), site, **kept())


def test_a_ledger_written_anew_meets_the_terminals_that_saw_the_old_one() -> None:
    """The operator owns collector, keys and ledger, but not what the terminals signed: no receipt is needed."""
    site, parts = a_watched_day()
    seen = parts.seen
    assert found(bundle(parts), site) == set()
    site.entries[2], site.entries[3] = site.entries[3], site.entries[2]  # of two chains: each keeps its order
    anew = replace(site.parts(), seen=seen)
    assert "split_view" in found(bundle(anew), site)
    proved = {size: site.parts(first=size).consistency for size in seen}
    assert found(bundle(replace(site.parts(), seen=proved)), site) == {"split_view"}


# --- every file


@pytest.mark.parametrize("name", list(unpack(bundle(a_watched_day()[1]))))
def test_a_flipped_byte_names_the_file_that_it_lies_in(name: str) -> None:
    site, parts = a_watched_day()
    data = bundle(parts)
    content = unpack(data)[name]
    begin = data.index(content)
    for at in sorted({0, len(content) // 3, len(content) // 2, len(content) - 1}):
        changed = bytearray(data)
        changed[begin + at] ^= 1
        report = verify_bundle(bytes(changed), site.trust())
        named = {(one.file, one.code) for one in report.problems}
        assert any(code == "not_canonical_zip" for _, code in named)  # the ZIP's own sum
        if name == "manifest.json":
            assert ("seal.json", "invalid_seal") in named
        elif name == "seal.json":
            assert any(file == name for file, _ in named)
        else:
            assert (name, "file_changed") in named
