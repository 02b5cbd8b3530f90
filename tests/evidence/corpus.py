"""The corpus of good and bad bundles on which every verifier must agree: `python -m tests.evidence.corpus FOLDER`.

The files under tests/evidence/corpus come from fixed seeds; a test makes them again and compares. `corpus.json` says of
each bundle whether it holds, and one code that names what is wrong.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evidence.bundle_index import Outside
from evidence.bundle_make import Parts
from evidence.bundle_zip import pack, unpack
from evidence.canonical import canonical, parse_canonical
from evidence.checkpoint import Checkpoint, sign_checkpoint
from evidence.envelope import EVENT_TYPE, Envelope, sign
from evidence.events import parse_event
from evidence.note import Note
from evidence.trust import BundleTrust
from tests.evidence.bundles import (
    HANDOVERS,
    LAST_STATEMENT,
    LATER_RECEIPT,
    LATER_SIGNER,
    LATER_STATEMENT,
    LOG_SIGNER,
    OTHER,
    RECEIPT,
    STATEMENT,
    Rotation,
    Site,
    a_day,
    a_day_after_the_handovers,
    a_day_of_a_rotated_terminal,
    a_day_of_two_keys,
    a_day_with_holes,
    a_gap_at_the_end,
    a_revoked_day,
    a_watched_day,
    another_tree,
    bundle,
    changed_chain,
    punch_body,
    restated,
    revocation,
    revoked_from,
    statement_key_entry,
    withholding,
)
from tests.evidence.forgeries import FORGERIES, first_chain, hidden_as_withheld

FOLDER = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class Case:
    """One bundle: `code` names what is wrong, None: it holds. `receipt`: a worker's text to look up in it.

    `trust`: the file that it is held against.
    """

    name: str
    data: bytes
    code: str | None
    receipt: str | None = None
    trust: str = "trust.json"


def trusts() -> dict[str, BundleTrust]:
    """The trust files of the corpus by name."""
    site = a_day()
    return {
        "trust.json": site.trust(),
        "trust-later.json": site.later_trust(),
        "trust-followed.json": site.later_trust(named="before"),
        "trust-twice.json": site.trust(handovers=[*HANDOVERS, *HANDOVERS]),
        "trust-statement-before.json": site.statement_trust(STATEMENT),
        "trust-statement-later.json": site.statement_trust(LATER_STATEMENT),
        "trust-statement-alone.json": site.statement_trust(LATER_STATEMENT, followed=False),
    }


def cases() -> Iterator[Case]:
    """Every bundle of the corpus."""
    site = a_day()
    whole = bundle(site.parts())
    yield Case("good-site", whole, None)
    yield Case("good-worker", bundle(site.parts(worker="W-1")), None)
    yield Case("good-receipt", whole, None, site.receipt(site.entries[2]))
    yield Case("good-first-is-empty", bundle(site.parts(first=0)), None)
    yield Case("good-first-is-last", bundle(site.parts(first=9)), None)
    yield from _other_good_ones()
    for change, code, _ in FORGERIES:
        yield Case(f"bad{change.__name__.replace('_', '-')}", bundle(change(site, site.parts())), code)
    yield from _bad_files(whole)
    yield from _bad_receipts(site)
    yield from _bad_chains()
    yield from _bad_histories()
    yield from _handed_over()
    yield from _watched()
    yield Case("bad-hole-of-another-range", bundle(a_day_with_holes(first=7)[1]), "unauthorised")
    yield Case("bad-gap-at-the-end", bundle(a_gap_at_the_end(head_hash="00" * 32)[1]), "head_mismatch")
    two = (2, 3)
    yield Case("good-tombstones", bundle(a_day_with_holes(entries=2, tombstones=two)[1]), None)
    yield Case("good-tombstone-of-many", bundle(a_day_with_holes(entries=700)[1]), None)
    for name, entries in (("none", 0), ("true", True), ("a-text", "2"), ("nothing-said", None), ("a-list", [1, 2])):
        yield Case(f"bad-tombstone-of-{name}", bundle(a_day_with_holes(entries=entries)[1]), "unauthorised")
    yield Case("bad-tombstones-too-many", bundle(a_day_with_holes(tombstones=two)[1]), "unauthorised")
    yield Case("bad-tombstone-after-the-erasure", bundle(a_day_with_holes(tombstones=(8,))[1]), "unauthorised")
    withheld = withholding(a_day_with_holes()[1], "collector", 2)
    yield Case("bad-hole-whose-statement-is-withheld", bundle(withheld), "unauthorised")
    yield Case("bad-seal", bundle(site.parts(), OTHER), "unknown_key")
    yield Case("bad-no-witness", bundle(replace(site.parts(), last=site.checkpoint().encode())), "missing_cosignatures")
    yield from _statement_key()
    yield from _rotated_terminals()
    yield from _other_manifests()
    yield from _other_lines()


def _other_good_ones() -> Iterator[Case]:
    site = a_day()
    parts = site.parts()
    part = first_chain(parts)
    # The period ends before the last two events of gate-1, and what came after a revocation is marked.
    shorter = [*part.lines[:-2], Outside(4, 5, site.entries[8].hash)]
    yield Case(
        "good-outside",
        bundle(changed_chain(parts, "gate-1", lines=shorter, envelopes=part.envelopes[:-2])),
        None,
    )
    yield Case("good-revoked", bundle(a_revoked_day(approved=site.keys["gate-1"].public.text())[1]), None)
    yield Case("good-holes", bundle(a_day_with_holes()[1]), None)
    yield Case("good-holes-audited", bundle(a_day_with_holes(audited=True)[1]), None)
    yield Case("good-gap-at-the-end", bundle(a_gap_at_the_end()[1]), None)
    alone = Site()
    alone.open("gate-2", 5)
    yield Case("good-two-entries", bundle(alone.parts(first=1)), None)


def _bad_files(whole: bytes) -> Iterator[Case]:
    files = unpack(whole)
    names = list(files)
    yield Case("bad-tail", whole + b"\0", "not_canonical_zip")
    yield Case("bad-head", b"\0" + whole, "not_a_bundle")
    yield Case("bad-cut", whole[:-1], "not_canonical_zip")
    yield Case("bad-order", pack([*list(files.items())[:2], *list(files.items())[:1:-1]]), "not_canonical_zip")
    yield Case("bad-extra", pack([*files.items(), ("zzz.txt", b"hello")]), "file_extra")
    for name in names:
        without = [(one, data) for one, data in files.items() if one != name]
        yield Case(f"bad-missing-{_word(name)}", pack(without), "file_missing")
        at = files[name].index(b'"keyid":"') + 9 if name == "seal.json" else 0
        letter = b"a" if files[name][at : at + 1] != b"a" else b"b"
        changed = files[name][:at] + letter + files[name][at + 1 :]
        code = {"manifest.json": "invalid_seal", "seal.json": "unknown_key"}.get(name, "file_changed")
        yield Case(f"bad-changed-{_word(name)}", pack({**files, name: changed}.items()), code)


def _bad_receipts(site: Site) -> Iterator[Case]:
    whole = bundle(site.parts())
    receipt = site.receipt(site.entries[2])
    yield Case("bad-receipt-withheld", bundle(site.parts(worker="W-2")), "omitted", receipt)
    yield Case("bad-receipt-forged", whole, "bad_signature", receipt.replace("00:20:00", "00:21:00"))
    yield Case("bad-receipt-no-receipt", whole, "receipt", "zaigang-receipt-v1/gate-1")
    shorter = a_day()
    last = shorter.receipt(shorter.entries[8])
    del shorter.entries[8]
    shorter.heads["gate-1"] = (shorter.entries[6].seq, shorter.entries[6].hash)
    yield Case("bad-receipt-dropped", bundle(shorter.parts()), "omitted", last)
    late = site.event("gate-1", 6, site.entries[8].hash, "punch.recorded", punch_body("W-1", "IN", 58), minute=58)
    entry = site.entry(late.model_copy(update={"time": "2026-03-05T08:00:00.000Z"}), site.keys["gate-1"])
    yield Case("bad-receipt-other-time", whole, "receipt_mismatch", site.receipt(entry))
    other = site.entry(late.model_copy(update={"seq": 2, "prev": site.entries[1].hash}), site.keys["gate-1"])
    yield Case("bad-receipt-fork", whole, "fork", site.receipt(other))


def _bad_chains() -> Iterator[Case]:
    """Ledgers that took what no honest collector takes: an operator who owns the terminals, too."""
    site = a_day()
    seq, prev = site.next_of("gate-1")
    for name, code, event in (
        ("link", "broken_link", site.event("gate-1", seq, "00" * 32, "noted", {}, minute=58)),
        ("clock", "monotonic_regression", site.event("gate-1", seq, prev, "noted", {}, minute=58, mono_us=7)),
    ):
        one = a_day()
        one.take(one.entry(event, one.keys["gate-1"]))
        yield Case(f"bad-chain-{name}", bundle(one.parts()), code)
    opened = a_day()
    opened.append("gate-1", "enclosure.opened", {"found": "running", "seen_at": "2026-03-01T00:56:00.000Z"}, minute=56)
    opened.punch("gate-1", "W-1", "IN", minute=57)
    yield Case("bad-chain-opened", bundle(opened.parts()), "verified_while_opened")
    yield Case("bad-chain-opened-and-more", bundle(_an_opening_with_more().parts()), "verified_while_opened")
    yield from _openings()
    twice = a_day()
    event = twice.event("gate-1", seq, prev, "noted", {}, minute=58)
    envelope = sign(EVENT_TYPE, event.payload(), twice.keys["gate-1"], OTHER)
    twice.take(replace(twice.entry(event, twice.keys["gate-1"]), envelope=envelope.encode()))
    yield Case("bad-chain-two-signatures", bundle(twice.parts()), "signature_count")


def _openings() -> Iterator[Case]:
    """Openings, clears and punches that this version cannot read: an opening counts all the same, a clear does not."""
    code = "verified_while_opened"
    clear = {"opening": 6, "authorised_by": "赵" * 400, "authorisation": "ab" * 16, "clearance": "e30="}
    yield Case("good-chain-cleared", bundle(_opened(clear)), None)
    yield Case("bad-chain-opened-in-another-way", bundle(_opened(found="tilted")), code)
    for name, changes in (
        ("without-its-clearance", {"clearance": None}),
        ("on-nobodys-word", {"authorised_by": None}),
        ("on-too-many-words", {"authorised_by": "赵" * 401}),
        ("with-another-authorisation", {"authorisation": "AB" * 16}),
        ("with-a-number", {"clearance": 7}),
        ("with-too-much", {"clearance": "e" * 4097}),
        ("for-another-opening", {"opening": 5}),
        ("for-a-text", {"opening": "6"}),
    ):
        yield Case(f"bad-chain-cleared-{name}", bundle(_opened(clear | changes)), code)
    yield Case("bad-chain-opened-and-a-later-punch", bundle(_opened(tapped_at=None)), code)
    failed = a_day()
    checks = [{"name": "face_match", "outcome": "failed", "reason": "other: somebody else"}]
    failed.punch("gate-1", "W-1", "IN", minute=57, checks=checks)
    yield Case("good-punch-with-a-failed-check", bundle(failed.parts()), None)
    later = a_day()
    later.punch("gate-1", "W-1", "IN", minute=57, tapped_at=None, policy="ab" * 32)
    yield Case("bad-policy-of-a-later-punch", bundle(later.parts()), "policy_missing")


def _opened(clear: dict[str, Any] | None = None, found: str = "running", **punch: Any) -> Parts:
    site = a_day()
    site.append("gate-1", "enclosure.opened", {"found": found, "seen_at": "2026-03-01T00:56:00.000Z"}, minute=56)
    if clear is not None:
        site.append("gate-1", "enclosure.cleared", clear, minute=56)
    site.punch("gate-1", "W-1", "IN", minute=57, **punch)
    return site.parts()


def _an_opening_with_more() -> Site:
    """The enclosure was opened, a punch is verified, and a field that no version knows calls it another kind."""
    site = a_day()
    seq, prev = site.next_of("gate-1")
    body = {"found": "running", "seen_at": "2026-03-01T00:56:00.000Z"}
    event = site.event("gate-1", seq, prev, "enclosure.opened", body, minute=56)
    said = parse_canonical(event.payload())
    again = {**said, "kind": "noted", "a": {}}
    leaf = site.entry(event, site.keys["gate-1"])
    envelope = sign(EVENT_TYPE, canonical({**said, "zz": again}), site.keys["gate-1"])
    site.take(replace(leaf, envelope=envelope.encode(), hash=envelope.hash))
    site.punch("gate-1", "W-1", "IN", minute=57)
    return site


def _bad_histories() -> Iterator[Case]:
    """The manifest tells revocations and keys otherwise than the collector's statements, shown or left out."""
    _, parts = a_revoked_day()
    start = parts.revocations[0].from_index
    code = "revocation_mismatch"
    yield Case("bad-revocation-later", bundle(revoked_from(parts, start + 2)), code)
    yield Case("bad-revocation-earlier", bundle(revoked_from(parts, start - 2)), code)
    yield Case("bad-revocation-left-out", bundle(replace(revoked_from(parts, 999), revocations=[])), code)
    yield Case("bad-revocation-withheld", bundle(withholding(parts, "collector", 1)), code)
    terminals = [one for one in parts.chains if one.entry.device != "collector"]
    yield Case("bad-revocation-on-nobodys-word", bundle(replace(parts, chains=terminals)), code)
    for name, wrong in (("list", [start]), ("text", str(start)), ("object", {"from": start}), ("true", True)):
        yield Case(f"bad-revocation-from-a-{name}", bundle(a_revoked_day(wrong)[1]), code)
    yield Case("bad-revocation-of-no-chain-here", bundle(_a_revocation_of_no_chain_here()), code)
    yield Case("bad-approved-key", bundle(a_revoked_day(approved=OTHER.public.text())[1]), "key_history_mismatch")


def _a_revocation_of_no_chain_here() -> Parts:
    """The manifest and a statement revoke a terminal of which the bundle has no chain, about which it says nothing."""
    site = a_day()
    site.append(
        "collector", "collector.begun", {"keys": {"statement": site.keys["collector"].public.text()}}, minute=56
    )
    site.append("collector", "device.revoked", {"device": "gate-7", "from_index": 10, "by": "Zhao"}, minute=57)
    return replace(site.parts(), revocations=[revocation("gate-7", 10)])


def _handed_over() -> Iterator[Case]:
    """The keys of receipts and checkpoints were replaced: what they signed before holds, nothing later."""
    day = a_day()
    site, parts = a_day_after_the_handovers()
    later = bundle(parts, LATER_RECEIPT)
    for trust in ("later", "followed"):
        file = f"trust-{trust}.json"
        before = bundle(day.parts())
        yield Case(f"good-before-the-handover-{trust}", before, None, day.receipt(day.entries[2]), trust=file)
        yield Case(f"good-after-the-handover-{trust}", later, None, trust=file)
        yield Case(f"bad-retired-seal-{trust}", bundle(parts, RECEIPT), "retired_key", trust=file)
        retired = replace(parts, last=site.cosigned().encode())
        yield Case(f"bad-retired-log-{trust}", bundle(retired, LATER_RECEIPT), "retired_key", trust=file)
    yield Case("good-handover-named-twice", later, None, trust="trust-twice.json")
    yield Case("bad-successor-unknown", later, "unknown_key")


def _statement_key() -> Iterator[Case]:
    """The key that signs the collector's chain was replaced within it: as it must be, and as nobody may."""
    parts = a_day_of_two_keys(Rotation())[1]
    whole, revoked = bundle(parts), bundle(a_revoked_day()[1])
    twice = a_day_of_two_keys(Rotation(), Rotation(LATER_STATEMENT, LAST_STATEMENT), signed=LAST_STATEMENT)[1]
    yield Case("good-statement-key", whole, None)
    yield Case("good-statement-key-replaced-twice", bundle(twice), None)
    for trust in ("before", "later"):
        file = f"trust-statement-{trust}.json"
        yield Case(f"good-statement-key-{trust}", whole, None, trust=file)
        yield Case(f"good-statement-key-before-the-handover-{trust}", revoked, None, trust=file)
    yield Case("bad-statement-key-later-alone", whole, "unknown_key", trust="trust-statement-alone.json")
    for name, code, rotation in _forged_rotations():
        yield Case(f"bad-statement-key-{name}", bundle(a_day_of_two_keys(rotation)[1]), code)
    again = Rotation(STATEMENT, LAST_STATEMENT)
    twice = a_day_of_two_keys(Rotation(), again, signed=LAST_STATEMENT)[1]
    yield Case("bad-statement-key-handed-over-to-two", bundle(twice), "invalid_body")
    said = [statement_key_entry(STATEMENT, 0), statement_key_entry(LAST_STATEMENT, 4)]
    twice = a_day_of_two_keys(Rotation(), again, signed=LAST_STATEMENT, keys=said)[1]
    yield Case("bad-statement-key-handed-over-to-two-in-the-manifest", bundle(twice), "unknown_key")
    own = next(one for one in parts.chains if one.entry.device == "collector")
    lines, envelopes = [*own.lines[:3], *own.lines[2:]], [*own.envelopes[:3], *own.envelopes[2:]]
    shown_twice = changed_chain(parts, "collector", lines=lines, envelopes=envelopes)
    yield Case("bad-statement-key-rotation-doubled", bundle(shown_twice), "invalid_index")
    yield Case("bad-statement-key-rotation-withheld", bundle(withholding(parts, "collector", 2)), "unknown_key")
    yield Case(
        "bad-statement-key-rotation-of-an-earlier-time", bundle(_a_rotation_of_an_earlier_time()), "inclusion_failed"
    )
    early, late = a_day_of_two_keys(Rotation(), before=0)[1], a_day_of_two_keys(Rotation(), before=2)[1]
    yield Case("good-statement-key-early", bundle(early), None)
    before = "trust-statement-before.json"
    yield Case("bad-statement-key-rotation-back-dated", bundle(early), "key_history_mismatch", trust=before)
    yield Case("bad-statement-key-rotation-put-off", bundle(late), "retired_key", trust=before)
    elsewhere = a_day_of_two_keys(again, signed=LAST_STATEMENT)[1]
    yield Case("bad-statement-key-elsewhere", bundle(elsewhere), "unknown_key", trust=before)
    retired = a_day_of_two_keys(Rotation(), signed=STATEMENT)[1]
    yield Case("bad-statement-key-retired", bundle(retired), "unknown_key")
    said = [
        statement_key_entry(STATEMENT, 0),
        statement_key_entry(LATER_STATEMENT, 3),
        statement_key_entry(STATEMENT, 3),
    ]
    retired = a_day_of_two_keys(Rotation(), signed=STATEMENT, keys=said)[1]
    yield Case("bad-statement-key-retired-in-the-manifest", bundle(retired), "unknown_key")
    never = a_day_of_two_keys(before=2, signed=STATEMENT)[1]
    yield Case("bad-statement-key-retired-unsaid", bundle(never), "retired_key", trust=before)
    hidden = withholding(a_day_of_two_keys(Rotation(), signed=STATEMENT, keys=said[:1])[1], "collector", 2)
    yield Case("bad-statement-key-retired-and-withheld", bundle(hidden), "retired_key", trust=before)


def _other_manifests() -> Iterator[Case]:
    """Manifests with something that none has: passed over by one reader, it could hide something from the other."""
    code = "invalid_manifest"
    site = a_day()
    hidden = bundle(hidden_as_withheld(site, site.parts()))
    yield Case("bad-manifest-more-in-the-scope", restated(hidden, lambda one: one["scope"].update(zz=1)), code)
    whole, revoked = bundle(site.parts()), bundle(a_revoked_day()[1])
    changes: dict[str, Callable[[dict[str, Any]], object]] = {
        "more": lambda one: one.update(zz=1),
        "more-in-a-chain": lambda one: one["chains"][0].update(zz=1),
        "more-in-a-key": lambda one: one["keys"][0].update(zz=1),
        "more-in-a-file": lambda one: one["files"][0].update(zz=1),
        "made-yesterday": lambda one: one.update(made_at="yesterday"),
        "made-on-no-day": lambda one: one.update(made_at="2026-02-29T00:00:00.000Z"),
        "of-no-time": lambda one: one["scope"].update(until=one["scope"]["since"]),
        "of-no-site": lambda one: one["scope"].update(site="Harbour 1"),
        "of-site-and-worker": lambda one: one["scope"].update(worker="W-1"),
        "of-no-worker": lambda one: one["scope"].update(site=None, worker="W/1"),
        "chains-in-another-order": lambda one: one["chains"].reverse(),
        "files-in-another-order": lambda one: one["files"].reverse(),
        "of-itself": lambda one: one["files"].insert(4, {**one["files"][0], "name": "manifest.json"}),
        "beyond-numbers": lambda one: one["keys"][0].update(last_seq="9007199254740992"),
        "of-a-false-key": lambda one: one["keys"][0].update(key="ed25519:none"),
        "of-a-negative-seq": lambda one: one["chains"][0].update(head_seq=-1),
    }
    for name, change in changes.items():
        yield Case(f"bad-manifest-{name}", restated(whole, change), code)
    more = restated(revoked, lambda one: one["revocations"][0].update(zz=1))
    yield Case("bad-manifest-more-in-a-revocation", more, code)
    leap: Callable[[dict[str, Any]], object] = lambda one: one.update(made_at="2028-02-29T23:59:59.999Z")  # noqa: E731
    yield Case("good-manifest-of-a-leap-day", restated(whole, leap), None)
    worker: Callable[[dict[str, Any]], object] = lambda one: one["scope"].update(  # noqa: E731
        site=None, worker='李 "7" \\ 号'
    )
    yield Case("good-manifest-of-a-worker-with-odd-letters", restated(whole, worker), None)
    deep, long = "not-authoritative/a/b/c/d", f"not-authoritative/{'a' * 183}"
    yield Case("bad-name-too-deep", restated(whole, more={deep: b""}), "not_canonical_zip")
    yield Case("bad-name-too-long", restated(whole, more={long: b""}), "not_canonical_zip")
    edge = {deep[:-2]: b"", long[:-1]: b""}
    yield Case("good-names-just-so", restated(whole, more=edge), None)


def _other_lines() -> Iterator[Case]:
    """Lines of indexes, chains and proofs that end otherwise, or with a byte that a shell passes over."""
    whole = bundle(a_day().parts())
    folder = f"chains/gate-1/{'c1' * 16}"
    index, events, proof = f"{folder}.index", f"{folder}.jsonl", "checkpoints/consistency"

    def nul(data: bytes) -> bytes:
        return data[:-9] + b"\0" + data[-9:]

    def cut(data: bytes) -> bytes:
        return data[:-1]

    for name, file, change, code in (
        ("index-cut", index, cut, "invalid_index"),
        ("index-with-an-open-line", index, lambda data: data + b"withheld 6 " + b"ab" * 32, "invalid_index"),
        ("index-with-a-zero", index, nul, "invalid_index"),
        ("events-cut", events, cut, "invalid_index"),
        ("event-with-a-zero", events, nul, "invalid_envelope"),
        ("event-behind-a-space", events, lambda data: b" " + data, "invalid_envelope"),
        ("proof-cut", proof, cut, "invalid_proof"),
        ("proof-with-a-zero", proof, nul, "invalid_checkpoint"),
    ):
        yield Case(f"bad-{name}", restated(whole, files={file: change}), code)
    for name, flags in (
        ("twice", b"late:offline,late:offline"),
        ("first", b"late:offline,after_revocation"),
        ("too-long", b"late:" + b"a" * 41),
        ("without-why", b"late:"),
    ):
        changed = restated(whole, files={index: lambda data, to=flags: data.replace(b"Z - ", b"Z %b " % to, 1)})
        yield Case(f"bad-index-late-{name}", changed, "invalid_index")
    for name, old, new in (
        ("time", b":01.000Z - ", b":01.0000 - "),
        ("number-beyond", b"event 5 ", b"event 9007199254740992 "),
        ("number-with-a-zero", b"event 5 ", b"event 05 "),
    ):
        changed = restated(whole, files={index: lambda data, old=old, new=new: data.replace(old, new, 1)})
        yield Case(f"bad-index-{name}", changed, "invalid_index")
    late = restated(whole, files={index: lambda data: data.replace(b"Z - ", b"Z late:" + b"a" * 40 + b" ", 1)})
    yield Case("good-index-late", late, None)


def _rotated_terminals() -> Iterator[Case]:
    """A terminal's key is handed over by both keys, to the one that the event names, and its receipts count."""
    for device in ("gate-1", "gate-2"):
        site, parts = a_day_of_a_rotated_terminal(device)
        whole, receipt = bundle(parts), site.receipt(site.entries[-1])
        yield Case(f"good-terminal-rotated-{device}", whole, None)
        yield Case(f"good-receipt-after-rotation-{device}", whole, None, receipt)
        yield Case(f"bad-receipt-omitted-after-rotation-{device}", _ended_by_the_rotation(device), "omitted", receipt)
        yield Case(f"bad-terminal-rotated-by-a-stranger-{device}", _taken_over(device), "invalid_body")
    before = a_day()
    site, parts = a_day_of_a_rotated_terminal()
    yield Case("good-receipt-before-rotation", bundle(parts), None, before.receipt(before.entries[2]))
    stranger = a_day()
    stranger.keys["gate-1"] = OTHER
    yield Case("bad-receipt-by-a-stranger", bundle(parts), "bad_signature", stranger.receipt(stranger.entries[2]))
    mine, other = site.keys["gate-1"].public.text(), OTHER.public.text()
    for name, code, changes in (
        ("by-strangers-signature", "unknown_key", {"second": OTHER}),
        ("by-the-old-key-twice", "unknown_key", {"second": before.keys["gate-1"]}),
        ("named-otherwise", "invalid_body", {"named": OTHER}),
        ("from-another", "invalid_body", {"says": {"previous": other}}),
        ("from-the-next", "invalid_body", {"says": {"previous": mine}}),
        ("to-no-key", "invalid_body", {"says": {"key": "ed25519:none"}}),
        ("to-a-list", "invalid_body", {"says": {"key": [mine]}}),
        ("to-a-key-behind-a-space", "invalid_body", {"says": {"key": f" {mine}"}}),
        ("without-a-reason", "invalid_body", {"says": {"reason": None}}),
        ("to-itself", "invalid_body", _to_itself()),
    ):
        changed: dict[str, Any] = dict(changes)
        yield Case(f"bad-terminal-rotated-{name}", bundle(a_day_of_a_rotated_terminal(**changed)[1]), code)


def _to_itself() -> dict[str, Any]:
    own = a_day().keys["gate-1"]
    return {"second": own, "says": {"key": own.public.text()}, "goes_on": own}


def _taken_over(device: str) -> bytes:
    """The operator puts his own signature in the place of the second and goes on with his own key."""
    return bundle(a_day_of_a_rotated_terminal(device, second=OTHER, goes_on=OTHER)[1])


def _ended_by_the_rotation(device: str) -> bytes:
    """What came after the rotation is left out of the ledger."""
    site, parts = a_day_of_a_rotated_terminal(device)
    gone = site.entries.pop()
    site.heads[device] = gone.seq - 1, site.entries[-1].hash
    return bundle(replace(site.parts(), keys=parts.keys))


def _forged_rotations() -> Iterator[tuple[str, str, Rotation]]:
    old, new, other = (one.public.text() for one in (STATEMENT, LATER_STATEMENT, OTHER))
    yield "signed-by-the-old-alone", "signature_count", Rotation(signers=(STATEMENT,))
    yield "signed-by-the-new-alone", "signature_count", Rotation(signers=(LATER_STATEMENT,))
    yield "signed-in-the-other-order", "unknown_key", Rotation(signers=(LATER_STATEMENT, STATEMENT))
    yield "signed-by-a-stranger", "unknown_key", Rotation(signers=(STATEMENT, OTHER))
    yield "signed-by-strangers", "unknown_key", Rotation(signers=(OTHER, LATER_STATEMENT))
    yield "to-a-strangers", "unknown_key", Rotation(signers=(STATEMENT, OTHER), named=(old, other))
    yield "of-a-stranger", "invalid_body", Rotation(signers=(OTHER, LATER_STATEMENT), named=(other, new))
    yield "to-itself", "signature_count", Rotation(new=STATEMENT, signers=(STATEMENT, LATER_STATEMENT))
    yield "to-no-key", "invalid_body", Rotation(named=(old, "ed25519:none"))
    yield "to-a-list-of-one", "invalid_body", Rotation(named=(old, [new]))
    yield "of-a-key-behind-a-space", "invalid_body", Rotation(named=(" " + old, new))
    yield "to-a-key-behind-a-space", "invalid_body", Rotation(named=(old, " " + new))


def _a_rotation_of_an_earlier_time() -> Parts:
    """Both keys signed the rotation again, with another time: an operator who has both and no older ledger."""
    site, parts = a_day_of_two_keys(Rotation())
    own = next(one for one in parts.chains if one.entry.device == "collector")
    event = parse_event(Envelope.decode(own.envelopes[2]).payload)
    earlier = event.model_copy(update={"time": "2026-03-01T00:10:00.000Z"})
    envelopes = list(own.envelopes)
    envelopes[2] = site.entry(earlier, STATEMENT, LATER_STATEMENT).envelope
    return changed_chain(parts, "collector", envelopes=envelopes)


def _watched() -> Iterator[Case]:
    """Terminals that saw checkpoints: of this ledger, and of another that the operator showed them."""
    site, parts = a_watched_day()
    yield Case("good-watched", bundle(parts), None)
    yield Case("good-watched-worker", bundle(replace(site.parts(worker="W-1"), seen=parts.seen)), None)
    repaired = a_watched_day(refused=site.checkpoint(9))[1]
    yield Case("good-watched-and-wrongly-refused", bundle(repaired), None)
    yield Case("bad-split-view", bundle(a_watched_day(lambda _, size: another_tree(size))[1]), "split_view")
    once = a_watched_day(lambda site, size: another_tree(size) if size == 9 else site.checkpoint(size))[1]
    yield Case("bad-split-view-once", bundle(once), "split_view")
    yield Case("bad-split-view-refused", bundle(a_watched_day(refused=another_tree(11))[1]), "split_view")
    yield Case("bad-split-view-refused-larger", bundle(a_watched_day(refused=another_tree(40))[1]), "split_view")
    yield Case("bad-seen-unproved", bundle(replace(parts, seen={})), "checkpoint_unproved")
    yield Case("bad-seen-unproved-once", bundle(replace(parts, seen={5: parts.seen[5]})), "checkpoint_unproved")
    yield Case("bad-seen-other-proof", bundle(replace(parts, seen={**parts.seen, 9: parts.seen[5]})), "split_view")
    early = a_watched_day(lambda site, size: another_tree(30) if size == 9 else site.checkpoint(size))[1]
    yield Case("bad-seen-before-it-was", bundle(early), "ledger_order")
    forged = a_watched_day(lambda _, size: another_tree(size, LATER_SIGNER))[1]
    yield Case("good-seen-forged", bundle(forged), None)
    invented = a_watched_day(
        refused=another_tree(11),
        more=lambda _: {"held": "no note", "shown": another_tree(11, LATER_SIGNER).encode().decode()},
    )
    yield Case("good-refused-forged", bundle(invented[1]), None)
    false = another_tree(9, LATER_SIGNER)
    renamed = Note(false.text, (replace(false.signatures[0], key_id=LOG_SIGNER.public.id),))
    yield Case("good-seen-falsely-signed", bundle(a_watched_day(lambda *_: renamed)[1]), None)
    elsewhere = sign_checkpoint(Checkpoint("another.example/ledger", 9, bytes(32)), LOG_SIGNER)
    yield Case("bad-seen-of-another-origin", bundle(a_watched_day(lambda *_: elsewhere)[1]), "wrong_origin")
    yield from _watched_and_more()


def _watched_and_more() -> Iterator[Case]:
    """A field is the one of the body itself: what stands under its name deeper neither hides nor accuses."""

    def beside(note: Note) -> dict[str, Any]:
        text = note.encode().decode()
        return {"zz": {"checkpoint": text, "held": text, "shown": text}}

    hidden = a_watched_day(
        lambda site, size: another_tree(size) if size == 9 else site.checkpoint(size),
        more=lambda site: beside(site.checkpoint(9)),
    )
    yield Case("bad-split-view-hidden", bundle(hidden[1]), "split_view")
    refused = a_watched_day(refused=another_tree(11), more=lambda site: beside(site.checkpoint(9)))
    yield Case("bad-split-view-refused-hidden", bundle(refused[1]), "split_view")
    # A later version's coverage, which this one cannot read: what it carries counts all the same.
    later: dict[str, Any] = {"seconds": {"looked": 900}}
    yield Case("good-watched-by-a-later-version", bundle(a_watched_day(more=lambda _: later)[1]), None)
    split = a_watched_day(
        lambda site, size: another_tree(size) if size == 9 else site.checkpoint(size), more=lambda _: later
    )
    yield Case("bad-split-view-of-a-later-version", bundle(split[1]), "split_view")
    beneath = a_watched_day(more=lambda _: beside(another_tree(9)))
    yield Case("good-watched-and-more", bundle(beneath[1]), None)


def _word(name: str) -> str:
    folder, _, last = name.rpartition("/")
    stem, *ends = last.split(".")
    return "-".join([stem[:8], *(ends if folder != "policies" else ())]) if "." in last else last


def write(folder: Path) -> None:
    """Write every bundle, the trust file and corpus.json."""
    folder.mkdir(parents=True, exist_ok=True)
    told: list[dict[str, str | None]] = []
    stored: dict[bytes, str] = {}
    for case in cases():
        file = stored.setdefault(case.data, f"{case.name}.zip")
        (folder / file).write_bytes(case.data)
        told.append({"name": case.name, "file": file, "code": case.code, "receipt": case.receipt, "trust": case.trust})
    (folder / "corpus.json").write_text(json.dumps(told, indent=1) + "\n")
    for name, trust in trusts().items():
        (folder / name).write_text(trust.model_dump_json(indent=1, exclude_none=True) + "\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
