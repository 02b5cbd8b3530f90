"""The journal on a real SQLite file: what it returned is there, what it refuses changes nothing."""

from __future__ import annotations

import os
import random
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from evidence.chain import verify_chain
from evidence.envelope import EVENT_TYPE, Envelope, sign
from evidence.errors import EvidenceError, InvalidBody, TooLarge
from evidence.events import DeviceEnrolledBody, Event, Kind, UuidV7, parse_body, parse_event
from evidence.keys import Ed25519Key, Es256Key
from evidence.receipt import PunchReceipt, Receipt, sign_receipt
from kiosk.clock import Stamp, SystemClock
from kiosk.errors import JournalBusy, JournalFailed, JournalForeign, JournalTooNew
from kiosk.journal import Journal

DEVICE, SITE, TZ = "gate-1", "riverside", "Asia/Shanghai"
KEY, COLLECTOR = Ed25519Key.generate(), Ed25519Key.generate()
KILLS = 20 if os.environ.get("ZAIGANG_LONG") == "1" else 5


class SetClock:
    """The system's clock, moved by hand."""

    def __init__(self) -> None:
        self.stamp_now: Callable[[Stamp], Stamp] = lambda real: real
        self._real = SystemClock()

    def stamp(self) -> Stamp:
        return self.stamp_now(self._real.stamp())


def open_journal(folder: Path, **changes: object) -> Journal:
    clock = changes.pop("clock", None) or SystemClock()
    return Journal(folder / "journal.db", KEY, DEVICE, SITE, TZ, clock, **changes)  # type: ignore[arg-type]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    one = open_journal(tmp_path)
    yield one
    one.close()


def receipt_for(journal: Journal, upto: int, key: Ed25519Key = COLLECTOR, **changes: object) -> bytes:
    envelopes = dict(stored(journal.path))
    fields: dict[str, object] = {
        "device": DEVICE,
        "chain": journal.head.chain,
        "upto": upto,
        "head": Envelope.decode(envelopes[upto]).hash if upto in envelopes else "0" * 64,
        "tree_size": 1,
        "time": "2026-05-04T08:00:00.000Z",
    }
    return sign_receipt(Receipt.model_validate({**fields, **changes}), key)


def stored(path: Path) -> list[tuple[int, bytes]]:
    """What another reader of the file sees."""
    with sqlite3.connect(path) as database:
        return database.execute("SELECT seq, envelope FROM events ORDER BY seq").fetchall()


def verify_file(path: Path) -> int:
    report = verify_chain([envelope for _, envelope in stored(path)], {DEVICE: KEY.public})
    assert report.ok, report.problems
    return report.events


def test_recent_events_of_a_kind_are_read_back_in_order(tmp_path: Path) -> None:
    clock = SetClock()
    journal = open_journal(tmp_path, clock=clock)
    kinds = ("test.noted", "test.seen")
    for day, kind in enumerate(["test.noted", "test.other", "test.seen", "test.noted"], 1):
        time_then = f"2026-05-0{day}T08:00:00.000Z"
        clock.stamp_now = lambda real, then=time_then: replace(real, time=then)  # type: ignore[misc]
        journal.append(kind, {"day": day})
    assert [event.body["day"] for event in journal.recent(kinds, "2026-05-01T08:00:00.000Z")] == [1, 3, 4]
    assert [event.body["day"] for event in journal.recent(kinds, "2026-05-01T08:00:00.001Z")] == [3, 4]
    journal.close()


def test_a_new_journal_starts_with_the_signed_enrolment_of_this_terminal(journal: Journal) -> None:
    ((seq, data),) = journal.unsent(-1, 10)
    event = parse_event(Envelope.decode(data).verify(KEY.public, EVENT_TYPE))
    body = parse_body(event)
    assert (seq, event.seq, event.prev, event.kind) == (0, 0, None, Kind.DEVICE_ENROLLED)
    assert isinstance(body, DeviceEnrolledBody)
    assert body.key == KEY.public.text()
    assert (journal.depth, journal.released, journal.head.seq) == (1, -1, 0)


def test_two_journals_have_two_chains(tmp_path: Path, journal: Journal) -> None:
    other = open_journal(tmp_path / "other")
    assert other.head.chain != journal.head.chain
    other.close()


def test_an_event_is_in_the_file_before_append_returns(journal: Journal) -> None:
    recorded = journal.append("test.noted", {"part": "gps"})
    assert stored(journal.path)[-1] == (recorded.seq, recorded.envelope)
    assert recorded.hash == Envelope.decode(recorded.envelope).hash == journal.head.hash
    assert recorded.event.body == {"part": "gps"}


def test_every_commit_waits_for_the_disk(journal: Journal) -> None:
    pragma = journal._store.database.execute
    assert pragma("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert pragma("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_reopened_journal_goes_on_with_its_chain(tmp_path: Path) -> None:
    first = open_journal(tmp_path)
    first.append("test.noted", {})
    chain = first.head.chain
    first.close()
    again = open_journal(tmp_path)
    assert again.append("test.noted", {}).seq == 2
    assert again.head.chain == chain
    again.close()
    assert verify_file(tmp_path / "journal.db") == 3


def test_threads_append_to_one_chain_without_a_gap(journal: Journal) -> None:
    def work() -> None:
        for _ in range(25):
            journal.append("test.noted", {})
            journal.unsent(-1, 5)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert verify_file(journal.path) == 101


def test_event_ids_are_version_7_and_all_different(journal: Journal) -> None:
    ids = {journal.append("test.noted", {}).event.id for _ in range(50)}
    assert len(ids) == 50
    milliseconds = [int(one.replace("-", "")[:12], 16) for one in ids]
    assert all(abs(one - time.time() * 1000) < 60_000 for one in milliseconds)
    assert UuidV7  # the pattern itself is checked by the event's model


def test_an_event_signed_by_a_p256_key_verifies(tmp_path: Path) -> None:
    key = Es256Key.generate()
    one = Journal(tmp_path / "journal.db", key, DEVICE, SITE, TZ, SystemClock())
    one.append("test.noted", {})
    one.close()
    assert verify_chain([data for _, data in stored(one.path)], {DEVICE: key.public}).ok


@pytest.mark.parametrize(
    ("kind", "body", "error"),
    [
        ("punch.recorded", {"worker": "1001"}, InvalidBody),
        ("test.noted", {"score": 0.5}, EvidenceError),
        ("test.noted", {"text": "x" * 70_000}, TooLarge),
    ],
)
def test_a_body_that_the_collector_would_refuse_is_refused_here_and_changes_nothing(
    journal: Journal, kind: str, body: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        journal.append(kind, body)
    assert journal.append("test.noted", {}).seq == 1
    assert verify_file(journal.path) == 2


def test_a_monotonic_clock_that_falls_within_a_boot_is_not_signed(tmp_path: Path) -> None:
    clock = SetClock()
    journal = open_journal(tmp_path, clock=clock)
    clock.stamp_now = lambda real: replace(real, mono_us=5)
    with pytest.raises(JournalFailed, match="restart the machine"):
        journal.append("test.noted", {})
    clock.stamp_now = lambda real: replace(real, mono_us=5, boot="0" * 32)
    assert journal.append("test.noted", {}).seq == 1
    journal.close()


# Receipts


def test_a_row_is_kept_after_its_receipt_and_no_longer_unsent(journal: Journal) -> None:
    for _ in range(4):
        journal.append("test.noted", {})
    receipt = journal.release(receipt_for(journal, 2), COLLECTOR.public)
    assert receipt.upto == journal.released == 2
    assert [seq for seq, _ in journal.unsent(-1, 10)] == [3, 4]
    assert journal.depth == 2
    assert verify_file(journal.path) == 5


def test_a_receipt_is_remembered_across_a_restart(tmp_path: Path) -> None:
    first = open_journal(tmp_path)
    first.append("test.noted", {})
    first.release(receipt_for(first, 0), COLLECTOR.public)
    first.close()
    again = open_journal(tmp_path)
    assert (again.released, again.depth) == (0, 1)
    again.close()


def test_late_and_replayed_receipts_change_nothing(journal: Journal) -> None:
    for _ in range(4):
        journal.append("test.noted", {})
    early, late = receipt_for(journal, 1), receipt_for(journal, 4)
    journal.release(late, COLLECTOR.public)
    journal.release(early, COLLECTOR.public)
    journal.release(late, COLLECTOR.public)
    assert (journal.released, journal.bad_receipts) == (4, 0)


@pytest.mark.parametrize(
    "changes", [{"chain": "0" * 32}, {"device": "gate-2"}], ids=["another_chain", "another_device"]
)
def test_a_receipt_that_does_not_cover_lets_nothing_go(journal: Journal, changes: dict[str, object]) -> None:
    journal.append("test.noted", {})
    journal.append("test.noted", {})
    chain = journal.head.chain
    with pytest.raises(EvidenceError):
        journal.release(receipt_for(journal, 2, **changes), COLLECTOR.public)
    assert (journal.released, journal.depth, journal.bad_receipts) == (-1, 3, 1)
    assert journal.state.state == "degraded"
    journal.release(receipt_for(journal, 2), COLLECTOR.public)
    assert journal.state.state == "working"
    assert journal.head.chain == chain


def test_a_receipt_of_another_key_or_of_no_sense_lets_nothing_go(journal: Journal) -> None:
    forged = receipt_for(journal, 0, Ed25519Key.generate())
    wrong_type = sign(EVENT_TYPE, b"{}", COLLECTOR).encode()
    good = receipt_for(journal, 0)
    for bad in (forged, wrong_type, b"", b"\x00" * 100, good[:-1], good + b" ", good.replace(b"A", b"B", 1)):
        with pytest.raises(EvidenceError):
            journal.release(bad, COLLECTOR.public)
    assert (journal.released, journal.bad_receipts) == (-1, 7)


def test_a_clock_that_was_set_ahead_removes_nothing(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, retention=timedelta(days=90))
    for _ in range(5):
        journal.append("test.noted", {})
    assert journal.prune_by_receipts("2099-01-01T00:00:00.000Z") == 0
    journal.release(receipt_for(journal, 3, time="2026-05-04T08:00:00.000Z"), COLLECTOR.public)
    assert journal.prune_by_receipts("2099-01-01T00:00:00.000Z") == 0
    journal.release(receipt_for(journal, 4, time="2026-08-02T08:00:01.000Z"), COLLECTOR.public)
    assert journal.prune_by_receipts("2026-05-05T00:00:00.000Z") == 0  # nor does one that was set back
    assert journal.prune_by_receipts("2099-01-01T00:00:00.000Z") == 4
    journal.close()


def test_prune_removes_only_old_receipted_rows_and_never_the_head(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, retention=timedelta(days=90))
    for _ in range(5):
        journal.append("test.noted", {})
    assert journal.prune("2030-01-01T00:00:00.000Z") == 0  # nothing has a receipt
    late = receipt_for(journal, 1)
    journal.release(receipt_for(journal, 3, time="2026-05-04T08:00:00.000Z"), COLLECTOR.public)
    assert journal.prune("2026-08-02T08:00:00.000Z") == 0  # 90 days to the second
    assert journal.prune("2026-08-02T08:00:01.000Z") == 4
    assert [seq for seq, _ in stored(journal.path)] == [4, 5]
    journal.release(late, COLLECTOR.public)  # for a row that is gone: harmless
    assert journal.bad_receipts == 0
    journal.release(receipt_for(journal, 5, time="2026-05-04T08:00:00.000Z"), COLLECTOR.public)
    assert journal.prune("2030-01-01T00:00:00.000Z") == 1
    assert [seq for seq, _ in stored(journal.path)] == [5]
    journal.close()
    again = open_journal(tmp_path)
    assert again.append("test.noted", {}).seq == 6
    again.close()


# What is not continued


def test_a_second_process_is_kept_out(journal: Journal) -> None:
    with pytest.raises(JournalBusy):
        open_journal(journal.path.parent)
    assert journal.append("test.noted", {}).seq == 1


def test_a_journal_of_another_key_or_name_is_not_continued(tmp_path: Path) -> None:
    open_journal(tmp_path).close()
    before = (tmp_path / "journal.db").read_bytes()
    with pytest.raises(JournalForeign):
        Journal(tmp_path / "journal.db", Ed25519Key.generate(), DEVICE, SITE, TZ, SystemClock())
    with pytest.raises(JournalForeign):
        Journal(tmp_path / "journal.db", KEY, "gate-2", SITE, TZ, SystemClock())
    assert (tmp_path / "journal.db").read_bytes() == before  # a wrong setting must not cost the chain


def test_a_journal_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    open_journal(tmp_path).close()
    with sqlite3.connect(tmp_path / "journal.db") as database:
        database.execute("PRAGMA user_version = 7")
    database.close()
    with pytest.raises(JournalTooNew):
        open_journal(tmp_path)


def test_a_refusing_database_is_named_and_the_chain_goes_on_when_it_relents(journal: Journal) -> None:
    intruder = sqlite3.connect(journal.path, isolation_level=None)
    intruder.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalFailed, match="journal_failed: "):
        journal.append("test.noted", {})
    assert journal.state.state == "failed"
    intruder.execute("ROLLBACK")
    intruder.close()
    assert journal.append("test.noted", {}).seq == 1
    assert journal.state.state == "working"
    assert verify_file(journal.path) == 2


def test_the_files_are_for_the_terminal_alone(journal: Journal) -> None:
    journal.append("test.noted", {})
    for path in journal.path.parent.glob("journal.db*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_little_space_is_said_before_it_is_none(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, low_space_bytes=2**62)
    assert journal.state.state == "degraded"
    assert journal.state.reason.startswith("low_space: ")
    assert journal.append("test.noted", {}).seq == 1
    journal.close()


def test_an_authorisation_is_spent_once_even_across_a_restart(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    assert journal.spend("a" * 32)
    assert not journal.spend("a" * 32)
    journal.close()
    again = open_journal(tmp_path)
    assert not again.spend("a" * 32)
    assert again.spend("b" * 32)
    again.close()


def test_the_workers_own_receipt_names_the_event_and_verifies(journal: Journal) -> None:
    recorded = journal.append("test.noted", {})
    receipt = PunchReceipt.verify(journal.punch_receipt(recorded), KEY.public)
    assert (receipt.device, receipt.seq, receipt.hash) == (DEVICE, 1, recorded.hash)


def test_the_oldest_unsent_event_is_known(journal: Journal) -> None:
    first = parse_event(Envelope.decode(journal.unsent(-1, 1)[0][1]).payload)
    assert isinstance(first, Event)
    assert journal.oldest_unsent == first.time
    journal.release(receipt_for(journal, 0), COLLECTOR.public)
    assert journal.oldest_unsent is None


WRITER = """
import sys
from pathlib import Path
from evidence.keys import Ed25519Key
from kiosk.clock import SystemClock
from kiosk.journal import Journal
folder = Path(sys.argv[1])
key = Ed25519Key.from_pem((folder / "key.pem").read_bytes())
journal = Journal(folder / "journal.db", key, "gate-1", "riverside", "Asia/Shanghai", SystemClock())
print("open", flush=True)
number = 0
while True:
    number += 1
    done = journal.append("test.noted", {"number": number, "filler": "x" * 3000})
    print(done.seq, done.hash, flush=True)
"""


@pytest.mark.long
def test_a_killed_terminal_loses_nothing_that_append_returned(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    (tmp_path / "key.pem").write_bytes(KEY.pem())
    promised: dict[int, str] = {}
    seed = int(os.environ.get("ZAIGANG_SEED", random.randrange(2**32)))
    dice = random.Random(seed)
    for _ in range(KILLS):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "open\n"
        timer = threading.Timer(dice.uniform(0.01, 0.5), writer.kill)
        timer.start()
        for line in writer.stdout:
            seq, _, digest = line.rstrip("\n").partition(" ")
            if len(digest) == 64:  # a line cut by the kill was not promised
                promised[int(seq)] = digest
        assert writer.wait() == -9
        held = {seq: Envelope.decode(data).hash for seq, data in stored(tmp_path / "journal.db")}
        assert {seq: held.get(seq) for seq in promised} == promised, f"ZAIGANG_SEED={seed}"
        assert verify_file(tmp_path / "journal.db") >= len(promised) + 1
    record_property("kills", KILLS)
    record_property("seed", seed)
    record_property("events", len(promised))
    assert len(promised) > KILLS
    journal = open_journal(tmp_path)
    assert journal.append("test.noted", {}).seq == max(held) + 1
    journal.close()
