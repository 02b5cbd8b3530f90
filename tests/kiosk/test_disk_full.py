"""A full disk under the journal: a real small tmpfs, and SQLite's own bound."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from evidence.chain import verify_chain
from evidence.envelope import Envelope
from evidence.keys import Ed25519Key
from evidence.receipt import Receipt, sign_receipt
from kiosk.clock import SystemClock
from kiosk.errors import JournalFull
from kiosk.journal import Journal
from kiosk.journal_author import Recorded

DEVICE = "gate-1"
KEY, COLLECTOR = Ed25519Key.generate(), Ed25519Key.generate()
BODY = {"filler": "x" * 3000}  # about a punch with ten checks


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m,mode=0700", "tmpfs", str(folder)], check=True)
    yield folder
    # Lazily: a test that fails may still hold the journal open.
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def open_journal(folder: Path, **changes: int) -> Journal:
    return Journal(
        folder / "journal.db", KEY, DEVICE, "riverside", "Asia/Shanghai", SystemClock(), low_space_bytes=0, **changes
    )


def fill(journal: Journal, at_most: int = 5000) -> list[Recorded]:
    """Append until the disk is full."""
    done = []
    for _ in range(at_most):
        try:
            done.append(journal.append("test.noted", BODY))
        except JournalFull:
            return done
    raise AssertionError("the disk never filled")


def verify(journal: Journal) -> int:
    report = verify_chain([data for _, data in journal.unsent(-1, 10_000)], {DEVICE: KEY.public})
    assert report.ok, report.problems
    return report.events


@pytest.mark.root
def test_a_full_disk_stops_the_journal_whole_and_space_brings_it_back(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(1_000_000))
    journal = open_journal(small_disk)
    done = fill(journal)
    head = journal.head

    assert done
    assert (head.seq, head.hash) == (done[-1].seq, done[-1].hash)
    assert journal.state.state == "failed"
    assert journal.state.reason.startswith("disk_full: ")
    assert not journal.probe()
    with pytest.raises(JournalFull):
        journal.append("test.noted", BODY)
    assert journal.head == head
    assert verify(journal) == len(done) + 1

    (small_disk / "ballast").unlink()
    assert journal.probe()
    assert journal.state.state == "working"
    assert journal.append("test.noted", BODY).seq == head.seq + 1
    assert verify(journal) == len(done) + 2
    journal.close()


@pytest.mark.root
def test_a_journal_opened_on_a_full_disk_keeps_all_it_had(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(1_000_000))
    journal = open_journal(small_disk)
    done = fill(journal)
    journal.close()
    with (small_disk / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space"):
        while True:
            filler.write(bytes(4096))
    again = open_journal(small_disk)
    assert verify(again) == len(done) + 1
    with pytest.raises(JournalFull):
        again.append("test.noted", BODY)
    (small_disk / "ballast").unlink()
    assert again.append("test.noted", BODY).seq == done[-1].seq + 1
    assert verify(again) == len(done) + 2
    again.close()


@pytest.mark.root
def test_a_first_start_on_a_full_disk_says_so(small_disk: Path) -> None:
    with (small_disk / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space"):
        while True:
            filler.write(bytes(4096))
    with pytest.raises(JournalFull, match="disk_full: "):
        open_journal(small_disk)
    (small_disk / "filler").unlink()
    journal = open_journal(small_disk)
    assert verify(journal) == 1
    journal.close()


def test_a_bounded_journal_is_full_at_its_bound_and_pruning_makes_room(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, max_pages=64)
    done = fill(journal)
    head = journal.head
    assert head.hash == done[-1].hash
    assert journal.state.reason.startswith("disk_full: ")
    assert verify(journal) == len(done) + 1
    journal.close()

    journal = open_journal(tmp_path, max_pages=80)  # the operator gives it more
    assert journal.append("test.noted", BODY).seq == head.seq + 1
    receipt = Receipt(
        device=DEVICE,
        chain=head.chain,
        upto=head.seq,
        head=Envelope.decode(done[-1].envelope).hash,
        tree_size=1,
        time="2020-01-01T00:00:00.000Z",
    )
    journal.release(sign_receipt(receipt, COLLECTOR), COLLECTOR.public)
    fill(journal)
    assert journal.prune("2026-01-01T00:00:00.000Z") == head.seq + 1
    assert journal.append("test.noted", BODY).seq == journal.head.seq
    assert journal.state.state == "working"
    journal.close()
