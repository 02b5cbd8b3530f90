"""An honest bundle holds; whatever is changed in it is named."""

from __future__ import annotations

import base64
import os
import random
from dataclasses import replace
from typing import Any

import pytest

from evidence.bundle import verify_bundle
from evidence.bundle_index import Shown, Withheld, read_line
from evidence.bundle_receipt import check_punch_receipt
from evidence.bundle_zip import pack, unpack
from evidence.errors import InvalidIndex
from evidence.merkle import consistency_proof, root_of
from tests.evidence.bundles import (
    OTHER,
    Site,
    a_day,
    a_revoked_day,
    a_watched_day,
    bundle,
    changed_chain,
    punch_body,
    revoked_from,
    withholding,
)
from tests.evidence.forgeries import FORGERIES, Change, first_chain, sealed
from tests.evidence.test_every_event_forged import part_of

LONG = os.environ.get("ZAIGANG_LONG") == "1"
FLIPS = 400  # of a small bundle's 10,000 bytes in `make test`, each once in `make test-long`


@pytest.fixture
def site() -> Site:
    return a_day()


def codes(site: Site, data: bytes, **trust: Any) -> list[str]:
    return [one.code for one in verify_bundle(data, site.trust(**trust)).problems]


def test_an_honest_bundle_holds_and_says_what_is_in_it(site: Site) -> None:
    report = verify_bundle(bundle(site.parts()), site.trust())
    assert report.problems == [] and report.ok
    assert (report.events, report.tree_size, report.cosignatures) == (9, 9, 1)
    punches = [(one.device, one.worker, one.log_type, one.verdict) for one in report.punches]
    assert punches == [
        ("gate-1", "W-1", "IN", "verified"),
        ("gate-1", "W-2", "IN", "verified"),
        ("gate-1", "W-1", "OUT", "verified"),
        ("gate-2", "W-2", "OUT", "verified"),
    ]


def test_a_bundle_about_one_worker_holds_without_the_others_events(site: Site) -> None:
    data = bundle(site.parts(worker="W-1"))
    report = verify_bundle(data, site.trust())
    assert report.ok
    assert {one.worker for one in report.punches} == {"W-1"}
    assert b"W-2" not in b"".join(base64.b64decode(line[12:].split(b'"')[0]) for line in _envelopes(data))


def test_the_same_parts_give_the_same_bytes(site: Site) -> None:
    assert bundle(site.parts()) == bundle(a_day().parts())


def test_what_a_terminal_saw_is_a_bound_for_what_follows_and_what_it_refused_is_none() -> None:
    site, parts = a_watched_day(refused=a_watched_day()[0].checkpoint(11))
    report = verify_bundle(bundle(parts), site.trust())
    assert report.ok
    (chain,) = (found for (device, _), found in report.chains.items() if device == "gate-1")
    assert [size for _, size in chain.seen] == [5, 9, 9]  # two coverages, and the one that it held on to
    at_gate_1 = [one for one in report.punches if one.device == "gate-1"]
    assert at_gate_1[-1].not_before == 5


def test_a_bundle_without_pinned_devices_holds_and_says_so(site: Site) -> None:
    report = verify_bundle(bundle(site.parts()), site.trust(devices={}))
    assert report.ok
    assert [note.partition(":")[0] for note in report.notes] == ["not_pinned", "not_pinned"]


@pytest.mark.long
def test_every_flipped_byte_is_found(site: Site) -> None:
    data = bundle(site.parts())
    trust = site.trust()
    places = range(len(data)) if LONG else random.Random(4).sample(range(len(data)), FLIPS)
    for at in places:
        changed = bytearray(data)
        changed[at] ^= 1 << (at % 8)
        report = verify_bundle(bytes(changed), trust)
        assert not report.ok and report.problems, f"byte {at} of {len(data)} was changed unseen"
        assert all(one.message for one in report.problems)


def test_a_flipped_byte_of_an_event_names_the_file_and_the_event(site: Site) -> None:
    data = bundle(site.parts())
    name = f"chains/gate-1/{'c1' * 16}.jsonl"
    content = unpack(data)[name]
    at = data.index(content) + content.index(b"\n") + 40  # in the payload of seq 1
    changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    found = {(one.file, one.code, one.seq) for one in verify_bundle(changed, site.trust()).problems}
    assert (name, "file_changed", None) in found
    assert any(code == "not_canonical_zip" for _, code, _ in found)
    assert any(seq == 1 for _, _, seq in found)


@pytest.mark.parametrize("tail", [b"\0", b"PK", b"\n"])
def test_nothing_may_stand_behind_the_end(site: Site, tail: bytes) -> None:
    assert codes(site, bundle(site.parts()) + tail) == ["not_canonical_zip"]


def test_nothing_may_stand_before_the_beginning(site: Site) -> None:
    assert codes(site, b"#!" + bundle(site.parts())) == ["not_a_bundle"]


@pytest.mark.parametrize("cut", [1, 22, 100, 5000])
def test_a_bundle_cut_short_is_found(site: Site, cut: int) -> None:
    assert "not_canonical_zip" in codes(site, bundle(site.parts())[:-cut])


def test_a_file_taken_out_or_put_in_is_named(site: Site) -> None:
    files = unpack(bundle(site.parts()))
    less = pack([(name, data) for name, data in files.items() if not name.startswith("policies/")])
    assert codes(site, less) == ["file_missing", *["policy_missing"] * 4]
    more = pack([*files.items(), ("zzz.txt", b"hello")])
    assert codes(site, more) == ["file_extra"]


def test_files_in_another_order_are_found(site: Site) -> None:
    files = list(unpack(bundle(site.parts())).items())
    assert codes(site, pack([*files[:2], *files[:1:-1]])) == ["not_canonical_zip"]


# --- an operator who owns every key of the collector: what he seals again is still found


@pytest.mark.parametrize(("change", "expected", "seq"), FORGERIES, ids=lambda one: getattr(one, "__name__", None))
def test_what_an_operator_seals_again_is_named(site: Site, change: Change, expected: str, seq: int | None) -> None:
    problems = verify_bundle(sealed(site, change), site.trust()).problems
    assert (expected, seq) in {(one.code, one.seq) for one in problems}, [str(one) for one in problems]


def test_a_back_dated_event_admitted_anew_breaks_the_chain() -> None:
    site = a_day()
    seq = site.next_of("gate-1")[0]
    forged = site.event("gate-1", seq, "00" * 32, "punch.recorded", punch_body("W-2", "OUT", 58), minute=58)
    site.take(site.entry(forged, site.keys["gate-1"]))
    found = [(one.code, one.seq) for one in verify_bundle(bundle(site.parts()), site.trust()).problems]
    assert found == [("broken_link", 6)]


def test_a_rewritten_history_with_fresh_checkpoints_meets_the_one_that_was_kept() -> None:
    kept = a_day().checkpoint(6).encode().decode()
    site = Site()
    site.open("gate-1", 0)
    site.open("gate-2", 25)
    site.punch("gate-1", "W-2", "IN", minute=30)  # W-1's punch never was
    site.coverage("gate-1", 45)
    site.punch("gate-2", "W-2", "OUT", minute=50)
    site.punch("gate-1", "W-1", "OUT", minute=55)
    parts = site.parts(first=6)
    assert codes(site, bundle(parts)) == []
    assert codes(site, bundle(parts), checkpoints=[kept]) == ["rewritten_history"]
    assert codes(site, bundle(site.parts(first=5)), checkpoints=[kept]) == ["checkpoint_unproved"]


def test_a_ledger_that_forked_after_the_first_checkpoint_is_found() -> None:
    site, other = a_day(), a_day()
    other.punch("gate-1", "W-1", "IN", minute=59)
    forked = replace(site.parts(), last=other.cosigned().encode())
    assert "consistency_failed" in codes(site, bundle(forked))


def test_a_checkpoint_without_its_witnesses_is_not_enough(site: Site) -> None:
    alone = replace(site.parts(), last=site.checkpoint().encode())
    assert codes(site, bundle(alone)) == ["missing_cosignatures"]
    assert codes(site, bundle(alone), witnesses=None) == []


def test_a_time_stamp_that_was_asked_for_is_missed(site: Site) -> None:
    assert codes(site, bundle(site.parts()), tsa=["a certificate"]) == ["file_missing"]


def test_another_collectors_seal_is_refused(site: Site) -> None:
    assert codes(site, bundle(site.parts(), OTHER)) == ["unknown_key"]


def test_another_ledgers_bundle_is_refused(site: Site) -> None:
    found = codes(site, bundle(site.parts()), origin="zaigang.example/elsewhere")
    assert found == ["invalid_seal", "wrong_origin", "wrong_origin"]


def test_a_cloned_terminal_key_that_the_reader_does_not_know_is_refused(site: Site) -> None:
    found = codes(site, bundle(site.parts()), devices={"gate-1": [OTHER.public.text()]})
    assert found[0] == "unknown_key"


def test_what_came_after_a_revocation_holds_and_is_not_verified() -> None:
    site, parts = a_revoked_day()
    report = verify_bundle(bundle(parts), site.trust())
    assert report.ok, [str(one) for one in report.problems]
    assert report.after_revocation == 2
    assert [(one.signed_verdict, one.verdict) for one in report.punches if one.seq == 6] == [("verified", "review")]


@pytest.mark.parametrize("marked", [True, False])
def test_a_stolen_key_that_back_dates_is_held_by_its_place_in_the_ledger(*, marked: bool) -> None:
    """What the thief writes as time says nothing: the ledger took it after the revocation."""
    site, parts = a_revoked_day()
    start = parts.revocations[0].from_index
    body = punch_body("W-2", "IN", 30)
    site.append("gate-1", "punch.recorded", body, minute=59, time="2026-03-01T00:30:00.000Z")
    parts = revoked_from(site.parts(), start)
    if not marked:
        lines = [replace(one, flags=()) if isinstance(one, Shown) else one for one in part_of(parts, "gate-1").lines]
        assert set(codes(site, bundle(changed_chain(parts, "gate-1", lines=lines)))) == {"revocation_hidden"}
        return
    report = verify_bundle(bundle(parts), site.trust())
    assert report.ok and report.after_revocation == 3
    assert [one.verdict for one in report.punches if one.device == "gate-1"][-1] == "review"


@pytest.mark.parametrize("moved", [-2, 1, 2])
def test_a_revocation_moved_in_the_manifest_is_named_with_the_entry_that_states_it(moved: int) -> None:
    """A stolen key's punches would count as long as the operator likes: the index of the statement is what counts."""
    site, parts = a_revoked_day()
    start = parts.revocations[0].from_index
    (problem, other) = verify_bundle(bundle(revoked_from(parts, start + moved)), site.trust()).problems
    assert {problem.code, other.code} == {"revocation_mismatch"}
    assert f"entry {start} says from {start}" in problem.message


def test_a_revocation_without_a_statement_does_not_stand() -> None:
    site, parts = a_revoked_day()
    assert codes(site, bundle(withholding(parts, "collector", 1))) == ["revocation_mismatch"]


def test_a_revocation_that_is_stated_cannot_be_left_out_of_the_manifest() -> None:
    site, parts = a_revoked_day()
    assert codes(site, bundle(replace(revoked_from(parts, 999), revocations=[]))) == ["revocation_mismatch"]


def test_an_approved_key_that_the_manifest_does_not_name_is_found() -> None:
    site, parts = a_revoked_day(approved=a_day().keys["gate-1"].public.text())
    assert codes(site, bundle(parts)) == []
    site, parts = a_revoked_day(approved=OTHER.public.text())
    assert codes(site, bundle(parts)) == ["key_history_mismatch"]


# --- the worker's QR code


def test_a_receipt_leads_to_its_inclusion_proof(site: Site) -> None:
    report = verify_bundle(bundle(site.parts(worker="W-1")), site.trust())
    found = check_punch_receipt(site.receipt(site.entries[2]), site.trust(), report)
    assert found.ok and found.shown is not None
    assert found.shown.leaf_index == 2 and found.shown.proof


def test_a_worker_proves_with_his_receipt_that_his_punch_was_dropped() -> None:
    site = a_day()
    receipt = site.receipt(site.entries[8])  # W-1 goes at the end of the day
    del site.entries[8]  # the operator keeps it out of the ledger, with fresh checkpoints over the rest
    site.heads["gate-1"] = (site.entries[6].seq, site.entries[6].hash)
    report = verify_bundle(bundle(site.parts()), site.trust())
    assert report.ok, "everything that is left is consistent: only the receipt can show it"
    found = check_punch_receipt(receipt, site.trust(), report)
    assert not found.ok and found.error is not None and found.error.code == "omitted"


def test_a_receipt_finds_an_event_replaced_or_withheld(site: Site) -> None:
    receipt = site.receipt(site.entries[2])
    withheld = verify_bundle(bundle(site.parts(worker="W-2")), site.trust())
    found = check_punch_receipt(receipt, site.trust(), withheld)
    assert found.error is not None and found.error.code == "omitted"

    other = a_day_without_the_punch()
    report = verify_bundle(bundle(other.parts()), other.trust())
    assert report.ok
    found = check_punch_receipt(receipt, other.trust(), report)
    assert found.error is not None and found.error.code == "fork"


def test_a_receipt_of_another_time_proves_nothing_against_a_bundle(site: Site) -> None:
    report = verify_bundle(bundle(site.parts()), site.trust())
    late = site.append(
        "gate-1", "punch.recorded", punch_body("W-1", "IN", 58), minute=58, time="2026-03-05T08:00:00.000Z"
    )
    found = check_punch_receipt(site.receipt(late), site.trust(), report)
    assert found.error is not None and found.error.code == "receipt_mismatch"


def test_a_forged_receipt_is_refused(site: Site) -> None:
    report = verify_bundle(bundle(site.parts()), site.trust())
    text = site.receipt(site.entries[2]).replace("00:20:00", "00:21:00")
    found = check_punch_receipt(text, site.trust(), report)
    assert found.error is not None and found.error.code == "bad_signature"


def a_day_without_the_punch() -> Site:
    site = Site()
    site.open("gate-1", 0)
    site.punch("gate-1", "W-2", "IN", minute=20)
    site.open("gate-2", 25)
    site.coverage("gate-1", 45)
    return site


def _envelopes(data: bytes) -> list[bytes]:
    return [line for name, content in unpack(data).items() if name.endswith(".jsonl") for line in content.splitlines()]


def test_the_memory_of_proved_nodes_says_what_the_rule_says() -> None:
    from evidence.bundle_tree import Tree
    from evidence.errors import InclusionFailed
    from evidence.merkle import inclusion_proof, leaf_hash

    for size in range(1, 34):
        leaves = [leaf_hash(bytes([n])) for n in range(size)]
        tree = Tree(size, root_of(leaves))
        proofs = [inclusion_proof(n, size, leaves) for n in range(size)]
        for n in range(size):
            tree.check(n, leaves[n], proofs[n])
        for n in range(size):
            for wrong in (_flipped(proofs[n]), (*proofs[n], bytes(32)), proofs[n][:-1]):
                if wrong != proofs[n]:
                    with pytest.raises(InclusionFailed):
                        tree.check(n, leaves[n], wrong)
            with pytest.raises(InclusionFailed):
                tree.check(n, leaf_hash(b"another"), proofs[n])
            if size > 1:
                with pytest.raises(InclusionFailed):
                    tree.check((n + 1) % size, leaves[n], proofs[n])


def _flipped(proof: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return (*proof[:-1], bytes([proof[-1][0] ^ 1]) + proof[-1][1:]) if proof else ()


def test_the_consistency_proof_of_the_builder_is_the_standards(site: Site) -> None:
    assert site.parts().consistency == consistency_proof(4, 9, site.leaves)


def test_a_manifest_changed_after_the_seal_is_found(site: Site) -> None:
    files = unpack(bundle(site.parts()))
    files["manifest.json"] = files["manifest.json"].replace(b"2026-03-02T09:00:00.000Z", b"2026-03-02T09:00:01.000Z")
    assert codes(site, pack(files.items())) == ["invalid_seal"]


def test_a_withheld_event_with_another_hash_breaks_the_link(site: Site) -> None:
    parts = site.parts(worker="W-1")
    part = first_chain(parts)
    at = next(at for at, line in enumerate(part.lines) if isinstance(line, Withheld))
    lines = [*part.lines[:at], Withheld(part.lines[at].seq, "00" * 32), *part.lines[at + 1 :]]
    assert codes(site, bundle(changed_chain(parts, "gate-1", lines=lines))) == ["broken_link"]


def test_a_hash_in_an_index_is_written_in_one_way_only() -> None:
    proof = base64.b64encode(bytes(32)).decode()
    line = f"event 0 0 {'ab' * 16} 2026-03-01T00:00:00.000Z - "
    assert read_line(line + proof).line() == line + proof
    for other in (proof[:-2] + "B=", proof[:-1], proof[:5] + "_" + proof[5:], proof + "\n", proof[:-4], proof + proof):
        with pytest.raises(InvalidIndex):
            read_line(line + other)
