"""The terminal as a witness: it follows one history, keeps and signs the proof of a second, and forgets nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evidence.add_checkpoint import write_add_checkpoint
from evidence.chain import read_event
from evidence.checkpoint import Checkpoint, sign_checkpoint
from evidence.events import CheckpointRefusedBody, CoverageBody, Kind, parse_body
from evidence.handover import sign_handover
from evidence.keys import Ed25519Key
from evidence.merkle import consistency_proof, leaf_hash, root_of
from evidence.note import NoteSigner, SignatureType
from kiosk.clock import SystemClock
from kiosk.coverage import Coverage
from kiosk.errors import JournalFull
from kiosk.journal import Journal
from kiosk.ledger_watch import MAX_REFUSED, UNPROVED, LedgerWatch
from kiosk.pinned_keys import ledger_keys, take_handovers

ORIGIN = "ledger.example/east"
LOG, NEXT, STRANGER, TERMINAL = (Ed25519Key.generate() for _ in range(4))
SIGNER = NoteSigner(ORIGIN, SignatureType.ED25519, LOG)
VKEY = SIGNER.public.text()
HONEST = [leaf_hash(f"honest {n}".encode()) for n in range(60)]
FORKED = [leaf_hash(f"forked {n}".encode()) for n in range(60)]


def message(old: int, new: int, leaves: list[bytes] = HONEST, signer: NoteSigner = SIGNER) -> bytes:
    note = sign_checkpoint(Checkpoint(ORIGIN, new, root_of(leaves[:new])), signer)
    return write_add_checkpoint(old, consistency_proof(old, new, leaves[:new]), note.encode())


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    one = Journal(tmp_path / "journal.db", TERMINAL, "gate-1", "east", "Asia/Shanghai", SystemClock())
    yield one
    one.close()


def watching(journal: Journal, folder: Path) -> LedgerWatch:
    return LedgerWatch(journal, folder, ledger_keys(VKEY, folder / "handovers.dsse"))


def refusals(journal: Journal) -> list[CheckpointRefusedBody]:
    found = [read_event(data, {"gate-1": TERMINAL.public})[0] for _, data in journal.unsent(-1, 1000)]
    bodies = [parse_body(one) for one in found if one.kind == Kind.CHECKPOINT_REFUSED]
    return [one for one in bodies if isinstance(one, CheckpointRefusedBody)]


def test_what_was_seen_is_there_after_a_restart(journal: Journal, tmp_path: Path) -> None:
    watch = watching(journal, tmp_path)
    assert (watch.size, watch.text, watch.part.state) == (0, None, "unknown")
    assert watch.offer(message(0, 10)) and watch.offer(message(10, 25))
    again = watching(journal, tmp_path)
    assert (again.size, again.text, again.part.state) == (25, watch.text, "working")
    assert again.offer(message(25, 30)) and again.size == 30


def test_a_second_history_is_refused_kept_signed_and_shown(journal: Journal, tmp_path: Path) -> None:
    watch = watching(journal, tmp_path)
    watch.offer(message(0, 10))
    held = watch.text
    watch.offer(message(0, 10, FORKED))
    watch.offer(message(0, 10, FORKED))
    assert (watch.size, watch.text) == (10, held)
    assert watch.part.state == "failed" and watch.part.reason.startswith("split_view: ")
    (body,) = refusals(journal)
    assert body.held == held and body.shown.startswith(f"{ORIGIN}\n10\n") and body.reason.startswith("split_view: ")
    (kept,) = (tmp_path / "checkpoints-refused").iterdir()
    assert CheckpointRefusedBody.model_validate_json(kept.read_bytes()) == body
    again = watching(journal, tmp_path)
    again.sign()
    assert again.part.state == "failed" and again.size == 10 and len(refusals(journal)) == 1
    again.offer(message(10, 30))  # the history that was seen goes on; what was found out stays
    assert again.size == 30 and again.part.state == "failed"


def test_an_operator_who_goes_on_fills_no_disk(journal: Journal, tmp_path: Path) -> None:
    watch = watching(journal, tmp_path)
    watch.offer(message(0, 10))
    for other in range(39):
        watch.offer(message(0, 10, [leaf_hash(f"{other} {n}".encode()) for n in range(10)]))
    assert watch.counts["refused"] == 39
    assert len(refusals(journal)) == len(list((tmp_path / "checkpoints-refused").iterdir())) == MAX_REFUSED


def test_a_full_journal_signs_it_later(journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = watching(journal, tmp_path)
    watch.offer(message(0, 10))

    def full(*_: object) -> None:
        raise JournalFull("disk_full: make room")

    with monkeypatch.context() as patched:
        patched.setattr(journal, "append_once", full)
        watch.offer(message(0, 10, FORKED))
    assert watch.part.state == "failed" and refusals(journal) == []
    watching(journal, tmp_path).sign()
    assert len(refusals(journal)) == 1


def test_strangers_cannot_accuse_the_collector(journal: Journal, tmp_path: Path) -> None:
    watch = watching(journal, tmp_path)
    watch.offer(message(0, 10))
    assert watch.offer(message(10, 25, FORKED, NoteSigner(ORIGIN, SignatureType.ED25519, STRANGER)))
    assert watch.offer(b"old 10\n\nnonsense")
    assert not watch.offer(b'{"payload":"a receipt"}')
    assert watch.counts["not_believed"] == 2 and watch.part.state == "working" and refusals(journal) == []


def test_a_collector_that_proves_nothing_is_seen(journal: Journal, tmp_path: Path) -> None:
    watch = watching(journal, tmp_path)
    watch.offer(message(0, 10))
    for size in range(20, 20 + UNPROVED):
        assert watch.part.state == "working"
        watch.offer(message(5, size, FORKED))  # the proof begins elsewhere: it says nothing about what was seen
    assert watch.part.state == "degraded" and watch.part.reason.startswith("unproved: ") and watch.size == 10
    watch.offer(message(10, 30))
    assert watch.part.state == "working"


def test_who_spoils_proofs_takes_no_place_of_a_real_accusation(journal: Journal, tmp_path: Path) -> None:
    watch = watching(journal, tmp_path)
    watch.offer(message(0, 10))
    for size in range(11, 11 + 2 * MAX_REFUSED):  # true checkpoints, and no proof
        head, _, note = message(10, size).partition(b"\n\n")
        watch.offer(head.split(b"\n")[0] + b"\n\n" + note)
    assert watch.counts["unproved"] == 2 * MAX_REFUSED
    assert watch.part.state == "degraded" and refusals(journal) == []
    watch.offer(message(0, 10, FORKED))
    assert watch.part.state == "failed" and len(refusals(journal)) == 1


@pytest.mark.parametrize("how", ["damaged", "removed"])
def test_a_memory_that_is_gone_comes_back_from_the_last_coverage(journal: Journal, tmp_path: Path, how: str) -> None:
    watch = watching(journal, tmp_path)
    watch.offer(message(0, 10))
    now = SystemClock().stamp()
    journal.append(Kind.COVERAGE, Coverage(now, screen=False).report(now, 0, checkpoint=watch.text))
    if how == "removed":
        (tmp_path / "checkpoint.seen").unlink()
    else:
        (tmp_path / "checkpoint.seen").write_bytes(b"\xff")
    again = watching(journal, tmp_path)
    again.offer(message(0, 20, FORKED))
    assert (again.size, again.text) == (10, watch.text)


def test_a_memory_that_is_lost_is_not_begun_again_unseen(journal: Journal, tmp_path: Path) -> None:
    watching(journal, tmp_path).offer(message(0, 10))
    (tmp_path / "checkpoint.seen").write_bytes(b"")
    watch = watching(journal, tmp_path)
    watch.offer(message(0, 20, FORKED))
    assert watch.text is None and watch.part.state == "failed" and watch.part.reason.startswith("memory_lost: ")


def test_without_a_pinned_key_nothing_is_looked_for(journal: Journal, tmp_path: Path) -> None:
    watch = LedgerWatch(journal, tmp_path, ())
    assert watch.offer(message(0, 10))
    assert (watch.size, watch.text, watch.part.state) == (None, None, "absent")


def test_the_ledgers_next_key_counts_where_both_have_signed(journal: Journal, tmp_path: Path) -> None:
    watch, path = watching(journal, tmp_path), tmp_path / "handovers.dsse"
    watch.offer(message(0, 10))
    later = NoteSigner(ORIGIN, SignatureType.ED25519, NEXT)
    watch.offer(message(10, 25, signer=later))
    assert watch.size == 10
    document = sign_handover("checkpoint", LOG, NEXT, "2026-11-24T00:00:00.000Z", 20)
    pinned = (STRANGER.public,)  # the key that receipts are signed with
    assert take_handovers(pinned, path, document, [LOG.public]) == pinned
    watch.trust(ledger_keys(VKEY, path))
    watch.offer(message(10, 25, signer=later))
    assert watch.size == 25
    assert watching(journal, tmp_path).size == 25


def test_lost_handovers_that_come_again_bring_the_memory_back(journal: Journal, tmp_path: Path) -> None:
    path = tmp_path / "handovers.dsse"
    document = sign_handover("checkpoint", LOG, NEXT, "2026-11-24T00:00:00.000Z", 20)
    take_handovers((STRANGER.public,), path, document, [LOG.public])
    later = NoteSigner(ORIGIN, SignatureType.ED25519, NEXT)
    watching(journal, tmp_path).offer(message(0, 25, signer=later))
    path.unlink()
    watch = watching(journal, tmp_path)
    assert watch.text is None and watch.part.reason.startswith("memory_lost: ")
    take_handovers((STRANGER.public,), path, document, [LOG.public])
    watch.trust(ledger_keys(VKEY, path))
    assert (watch.size, watch.part.state) == (25, "working")
    watch.offer(message(25, 30, signer=later))
    assert watch.size == 30


def test_coverage_carries_nothing_where_nothing_was_seen() -> None:
    now = SystemClock().stamp()
    report = Coverage(now, screen=False).report(now, 0)
    assert isinstance(report, CoverageBody) and report.checkpoint is None
