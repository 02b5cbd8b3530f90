"""Out on a stick while the terminal runs, back with receipts: only what is signed and fits lets rows go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evidence.chain import verify_chain
from evidence.keys import Ed25519Key
from evidence.receipt import Receipt, sign_receipt
from kiosk.clock import SystemClock
from kiosk.errors import StickError
from kiosk.journal import Journal
from kiosk.stick import export, take_receipts

KEY, COLLECTOR = Ed25519Key.generate(), Ed25519Key.generate()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    one = Journal(tmp_path / "journal.db", KEY, "gate-1", "east", "UTC", SystemClock())
    for number in range(9):
        one.append("test.noted", {"number": number})
    yield one
    one.close()


def receipt(journal: Journal, key: Ed25519Key = COLLECTOR) -> bytes:
    head = journal.head
    return sign_receipt(
        Receipt(
            device="gate-1",
            chain=head.chain,
            upto=head.seq,
            head=head.hash,
            tree_size=1,
            time="2026-05-04T08:00:00.000Z",
        ),
        key,
    )


def test_export_reads_beside_the_running_journal_and_writes_a_chain_file(journal: Journal, tmp_path: Path) -> None:
    done = export(journal.path, tmp_path, "out.jsonl")
    assert (done.file, done.events) == (tmp_path / "out.jsonl", 10)
    assert verify_chain(done.file.read_bytes().splitlines(), {"gate-1": KEY.public}).ok
    assert journal.append("test.noted", {}).seq == 10
    assert not list(tmp_path.glob("*.part"))


def test_a_receipt_from_the_stick_lets_rows_go_and_a_bad_one_is_named(journal: Journal, tmp_path: Path) -> None:
    lines = [receipt(journal, Ed25519Key.generate()), b"\xff\x00garbage", b"x" * 100_000, receipt(journal)]
    taken = take_receipts(journal, [COLLECTOR.public], lines)
    assert taken.receipts == 1
    assert [why.partition(":")[0] for why in taken.refused] == ["line 1", "line 2", "line 3"]
    assert journal.depth == 0
    assert export(journal.path, tmp_path, "nothing.jsonl").events == 0
    assert export(journal.path, tmp_path, "all.jsonl", everything=True).events == 10


def test_what_cannot_be_written_or_read_is_said(journal: Journal, tmp_path: Path) -> None:
    with pytest.raises(StickError, match="there is no journal"):
        export(tmp_path / "none.db", tmp_path, "x")
    with pytest.raises(StickError, match="cannot be written"):
        export(journal.path, tmp_path / "no" / "such" / "folder", "x")
    if Path("/dev/full").exists():
        (tmp_path / "full.part").symlink_to("/dev/full")
        with pytest.raises(StickError, match="No space"):
            export(journal.path, tmp_path / "full", "x")
        assert not (tmp_path / "full").exists()
