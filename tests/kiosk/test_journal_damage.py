"""Journals that must not go on (damaged, cut, lost, an old copy): what is readable is saved, a new chain begun."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from evidence.chain import Head, follow, read_event, verify_chain
from evidence.envelope import EVENT_TYPE, Envelope, sign
from evidence.errors import ReceiptMismatch
from evidence.events import DeviceEnrolledBody, EnclosureOpenedBody, Kind, parse_body, parse_event
from evidence.keys import Ed25519Key
from evidence.receipt import Receipt, sign_receipt
from kiosk import journal_salvage
from kiosk.clock import SystemClock
from kiosk.errors import JournalDamaged
from kiosk.journal import Journal

KEY, COLLECTOR = Ed25519Key.generate(), Ed25519Key.generate()
DEVICE = "gate-1"
FLIPS = 1500 if os.environ.get("ZAIGANG_LONG") == "1" else 60
CUTS = 300 if os.environ.get("ZAIGANG_LONG") == "1" else 25


def open_journal(folder: Path) -> Journal:
    return Journal(folder / "journal.db", KEY, DEVICE, "riverside", "UTC", SystemClock())


def receipt(of: Head, /, **changes: object) -> bytes:
    fields: dict[str, object] = {
        "device": DEVICE,
        "chain": of.chain,
        "upto": of.seq,
        "head": of.hash,
        "tree_size": 1,
        "time": "2026-05-04T08:00:00.000Z",
    }
    return sign_receipt(Receipt.model_validate({**fields, **changes}), COLLECTOR)


def written(folder: Path, events: int = 12, released: int = 4) -> dict[int, bytes]:
    """A closed journal of `events` events with a receipt; its envelopes by seq."""
    journal = open_journal(folder)
    heads = [journal.head]
    for number in range(events - 1):
        journal.append("test.noted", {"number": number, "filler": "x" * (300 * number)})
        heads.append(journal.head)
    journal.release(receipt(heads[released]), COLLECTOR.public)
    kept = dict(journal.range(0, events, events))
    journal.close()
    return kept


def first_body(journal: Journal) -> DeviceEnrolledBody:
    body = parse_body(parse_event(Envelope.decode(journal.range(0, 0, 1)[0][1]).payload))
    assert isinstance(body, DeviceEnrolledBody)
    return body


def require_whole(journal: Journal) -> None:
    envelopes = [data for _, data in journal.range(0, 1 << 40, 1000)]
    report = verify_chain(envelopes, {DEVICE: KEY.public})
    assert report.ok, report.problems


DAMAGE = [
    "UPDATE events SET envelope = CAST(replace(envelope, 'A', 'B') AS BLOB) WHERE seq = 7",
    "UPDATE events SET envelope = CAST(replace(envelope, 'A', 'B') AS BLOB) WHERE seq = 2",
    "UPDATE events SET hash = '0' WHERE seq = 7",
    "DELETE FROM events WHERE seq = 7",
    "DELETE FROM events WHERE seq > 1",  # now behind the receipt for seq 4
    "DELETE FROM events WHERE seq > 9",  # now behind what this terminal had written
    "DELETE FROM events",
    "DELETE FROM events WHERE seq = 2",
    "UPDATE events SET envelope = (SELECT envelope FROM events WHERE seq = 6) WHERE seq = 7",
    "DROP TABLE receipts",
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_changed_journal_begins_a_new_chain_that_names_the_one_before(tmp_path: Path, damage: str) -> None:
    before = written(tmp_path)
    old_chain = parse_event(Envelope.decode(before[0]).payload).chain
    with sqlite3.connect(tmp_path / "journal.db") as database:
        database.execute(damage)
    left = {row[0] for row in database.execute("SELECT envelope FROM events")}
    database.close()

    journal = open_journal(tmp_path)

    assert journal.head.chain != old_chain
    predecessor = first_body(journal).predecessor
    assert predecessor is not None and predecessor["chain"] == old_chain
    assert predecessor["seq"] == 11  # of the mark, where the rows are gone
    unsent = [(seq, data) for seq, data in before.items() if seq > 4 and data in left]
    known = journal.leftovers(old_chain, -1, 100)
    assert [one for one in known if one[0] > 4] == unsent
    assert journal.state.reason.startswith("new_chain: ")
    assert list(tmp_path.glob("journal.set-aside-*.db"))
    lost = any(seq > 4 and data not in left for seq, data in before.items())
    assert (journal.opening is not None) >= lost  # one of them may have been an opened enclosure
    last = journal.append("test.noted", {}).seq
    require_whole(journal)
    journal.close()
    again = open_journal(tmp_path)  # and it is no new chain every morning
    assert (again.head.chain, again.head.seq) == (journal.head.chain, last)
    again.close()


def test_an_opening_that_the_collector_has_and_somebody_deleted_here_still_counts(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    journal.append("test.noted", {})
    journal.append(Kind.ENCLOSURE_OPENED, EnclosureOpenedBody(found="running", seen_at="2026-01-01T00:00:00.000Z"))
    for _ in range(3):
        journal.append("test.noted", {})
    journal.release(receipt(journal.head), COLLECTOR.public)
    journal.close()
    with sqlite3.connect(tmp_path / "journal.db") as database:
        database.execute("DELETE FROM events WHERE kind = 'enclosure.opened'")
        database.commit()
        database.execute("PRAGMA secure_delete = ON")
        database.execute("VACUUM")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # else the row is read from where it lay before
    database.close()
    journal = open_journal(tmp_path)
    assert journal.opening == 1
    assert (
        parse_event(Envelope.decode(journal.newest((Kind.ENCLOSURE_OPENED,), 1)[0]).payload).body["found"] == "unknown"
    )
    journal.close()


def test_a_row_of_our_own_that_the_next_one_does_not_follow_is_found(tmp_path: Path) -> None:
    """Such as from two copies of one folder, put together from backups."""
    before = written(tmp_path)
    event = parse_event(Envelope.decode(before[6]).payload)
    other = sign(EVENT_TYPE, event.model_copy(update={"nonce": "f" * 32}).payload(), KEY)
    with sqlite3.connect(tmp_path / "journal.db") as database:
        database.execute("UPDATE events SET envelope = ?, hash = ? WHERE seq = 6", (other.encode(), other.hash))
    database.close()
    journal = open_journal(tmp_path)
    assert journal.head.chain != event.chain
    assert "row 7 does not follow row 6" in journal.state.reason
    journal.close()


def test_leftovers_are_let_go_by_their_own_receipts_alone(tmp_path: Path) -> None:
    before = written(tmp_path)
    with sqlite3.connect(tmp_path / "journal.db") as database:
        database.execute("UPDATE events SET hash = '0' WHERE seq = 11")
    database.close()
    journal = open_journal(tmp_path)
    event, envelope = read_event(before[9], {DEVICE: KEY.public})
    chain = event.chain
    waiting = len(journal.leftovers(chain, -1, 100))
    assert journal.depth == waiting + 1
    with pytest.raises(ReceiptMismatch):
        journal.release(receipt(journal.head, chain=chain, upto=9, head="0" * 64), COLLECTOR.public)
    with pytest.raises(ReceiptMismatch):
        journal.release(receipt(journal.head, chain="0" * 32), COLLECTOR.public)
    assert journal.depth == waiting + 1
    journal.release(receipt(journal.head, chain=chain, upto=9, head=envelope.hash), COLLECTOR.public)
    assert [seq for seq, _ in journal.leftovers(chain, -1, 100)] == [10, 11]
    # A receipt whose own event is not here proves nothing of ours: only after a second sending is it believed.
    journal.release(receipt(journal.head, chain=chain, upto=20, head="0" * 64), COLLECTOR.public)
    assert [seq for seq, _ in journal.leftovers(chain, -1, 100)] == [10, 11]
    journal.release_beyond(chain, 10)
    assert [seq for seq, _ in journal.leftovers(chain, -1, 100)] == [11]
    journal.close()


def test_a_receipt_that_came_before_the_leftovers_were_sent_lets_none_of_them_go(tmp_path: Path) -> None:
    before = written(tmp_path)
    with sqlite3.connect(tmp_path / "journal.db") as database:
        database.execute("UPDATE events SET hash = '0' WHERE seq = 11")
    database.close()
    journal = open_journal(tmp_path)
    chain = read_event(before[9], {DEVICE: KEY.public})[0].chain
    held = journal.leftovers(chain, -1, 100)
    journal.release(receipt(journal.head, chain=chain, upto=20, head="0" * 64), COLLECTOR.public)
    journal.forget_beyond(chain)  # as the uplink does before it sends the first of them
    journal.release_beyond(chain, 11)
    assert journal.leftovers(chain, -1, 100) == held
    journal.close()


def test_damage_that_a_doubtful_commit_finds_asks_for_a_new_start(tmp_path: Path) -> None:
    written(tmp_path)
    journal = open_journal(tmp_path)
    with sqlite3.connect(tmp_path / "journal.db") as database:
        database.execute("UPDATE events SET hash = '0' WHERE seq = 11")
    database.close()
    journal._store.in_doubt = True  # a commit failed, and nobody knows how far it came
    for _ in range(2):
        with pytest.raises(JournalDamaged):
            journal.append("test.noted", {})
    assert journal.corrupt  # the keeper ends the process for it
    journal.close()
    again = open_journal(tmp_path)
    again.append("test.noted", {})
    again.close()


def test_an_answered_command_whose_token_was_lost_is_not_taken_up_again(tmp_path: Path) -> None:
    written(tmp_path)
    with sqlite3.connect(tmp_path / "journal.db") as database:
        database.execute("INSERT INTO commands VALUES (7, 'one', x'')")
        database.execute("UPDATE events SET hash = '0' WHERE seq = 11")
    database.close()
    journal = open_journal(tmp_path)
    assert journal.last_command == 7 and journal.open_commands() == []
    journal.close()


def test_a_lost_journal_is_known_by_the_mark_beside_it(tmp_path: Path) -> None:
    before = written(tmp_path)
    for one in tmp_path.glob("journal.db*"):
        if not one.name.endswith((".mark", ".lock")):
            one.unlink()
    journal = open_journal(tmp_path)
    last = Envelope.decode(before[11])
    assert first_body(journal).predecessor == {
        "chain": parse_event(last.payload).chain,
        "seq": 11,
        "head": last.hash,
    }
    journal.close()


def test_a_journal_without_its_events_is_known_by_the_mark_and_may_have_held_an_opening(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    last = journal.append("test.noted", {})
    old = journal.head.chain
    journal.close()
    with sqlite3.connect(tmp_path / "journal.db") as database:
        database.execute("PRAGMA secure_delete = ON")
        database.execute("DELETE FROM events")
    database.close()
    journal = open_journal(tmp_path)
    assert first_body(journal).predecessor == {"chain": old, "seq": last.seq, "head": last.hash}
    assert journal.opening == 1
    journal.close()


def test_a_journal_restored_from_a_copy_does_not_go_on(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    journal.append("test.noted", {})
    journal.close()
    copy = (tmp_path / "journal.db").read_bytes()
    journal = open_journal(tmp_path)
    journal.append("test.noted", {})
    head = journal.head
    journal.close()
    (tmp_path / "journal.db").write_bytes(copy)
    restored = open_journal(tmp_path)
    assert restored.head.chain != head.chain
    assert first_body(restored).predecessor == {"chain": head.chain, "seq": 2, "head": head.hash}
    restored.close()


@pytest.mark.parametrize("appended", [0, 1, 5])
def test_a_copy_of_the_whole_folder_is_found_by_the_collectors_receipt(tmp_path: Path, appended: int) -> None:
    journal = open_journal(tmp_path / "a")
    journal.append("test.noted", {})
    journal.close()
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    journal = open_journal(tmp_path / "a")
    for number in range(3):
        journal.append("test.noted", {"number": number})
    held = journal.head  # by the collector, too
    journal.close()

    copy = open_journal(tmp_path / "b")
    ours = [copy.append("test.noted", {"shown": number}) for number in range(appended)]
    with pytest.raises(ReceiptMismatch):
        copy.release(receipt(held), COLLECTOR.public)

    assert copy.head.chain != held.chain
    assert first_body(copy).predecessor is not None
    predecessor = first_body(copy).predecessor
    assert predecessor is not None
    assert predecessor["seq"] == max(held.seq, 1 + appended)
    saved = copy.leftovers(held.chain, -1, 100)
    assert {one.envelope for one in ours} <= {data for _, data in saved}  # what workers saw recorded goes out
    copy.append("test.noted", {})
    require_whole(copy)
    copy.close()


def test_an_opened_enclosure_spent_tokens_and_commands_outlive_the_journal(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    opened = journal.append(Kind.ENCLOSURE_OPENED, {"found": "running", "seen_at": "2026-05-04T08:00:00.000Z"})
    journal.spend("a" * 32)
    journal.take_command(7, "b" * 32, b"a command")
    journal.append("test.noted", {})
    journal.close()
    with sqlite3.connect(journal.path) as database:
        database.execute("UPDATE events SET hash = '0' WHERE seq = 2")
    database.close()
    again = open_journal(tmp_path)
    assert again.opening == 1
    kind = parse_event(Envelope.decode(again.range(1, 1, 1)[0][1]).payload)
    assert (kind.kind, kind.body["seen_at"]) == (Kind.ENCLOSURE_OPENED, opened.event.time)
    assert not again.spend("a" * 32)
    assert (again.last_command, again.knows_command("b" * 32)) == (7, True)
    again.close()


@pytest.mark.long
def test_flipped_bits_and_cuts_never_stop_a_terminal_and_lose_nothing_that_was_spared(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    seed = int(os.environ.get("ZAIGANG_SEED", "20261124"))
    dice = random.Random(seed)
    (tmp_path / "whole").mkdir()
    before = written(tmp_path / "whole", events=20, released=4)
    image = (tmp_path / "whole" / "journal.db").read_bytes()
    mark = (tmp_path / "whole" / "journal.db.mark").read_bytes()
    outcomes = {"went on": 0, "new chain": 0}
    for number in range(FLIPS + CUTS):
        folder = tmp_path / "damaged"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        data = bytearray(image)
        where = dice.randrange(len(data))
        if number < FLIPS:
            data[where] ^= 1 << dice.randrange(8)
            if data[60:64] != image[60:64]:
                continue  # the format's own number: "update zaigang" is tested elsewhere
        else:
            del data[where:]
        (folder / "journal.db").write_bytes(data)
        (folder / "journal.db.mark").write_bytes(mark)
        note = f"ZAIGANG_SEED={seed}, case {number}, byte {where}"
        journal = open_journal(folder)
        chain = parse_event(Envelope.decode(before[0]).payload).chain
        journal.append("test.noted", {})
        require_whole(journal)
        if journal.head.chain == chain:
            outcomes["went on"] += 1
            assert journal.range(0, 19, 100) == list(before.items()), note
        else:
            outcomes["new chain"] += 1
            predecessor = first_body(journal).predecessor
            assert predecessor is not None and (predecessor["chain"], predecessor["seq"]) == (chain, 19), note
            saved = journal.leftovers(chain, 4, 100)
            assert set(saved) <= set(before.items()), note
            if number < FLIPS:  # one page is damaged at most: what lies in other pages is saved
                assert len(saved) >= 8, note
        journal.close()
    for name, figure in {"flips": FLIPS, "cuts": CUTS, "seed": seed, **outcomes}.items():
        record_property(name, figure)
    assert outcomes["new chain"] > FLIPS // 3
    assert outcomes["went on"] > 0  # a bit of an unused byte is no damage


def test_a_crash_before_the_mark_of_a_new_chain_begins_no_second_one(tmp_path: Path) -> None:
    journal, mark = tmp_path / "journal.db", tmp_path / "journal.db.mark"
    open_journal(tmp_path).close()
    copy = journal.read_bytes()
    journal.unlink()
    open_journal(tmp_path).close()  # another chain, which the mark names
    journal.write_bytes(copy)
    before = mark.read_text()
    begun = open_journal(tmp_path)
    begun.close()
    mark.write_text(before)  # as if the power had gone between the first event and the mark
    journal_again = open_journal(tmp_path)
    assert journal_again.head.chain == begun.head.chain
    journal_again.close()


@pytest.mark.parametrize("dies_in", ["_write_fresh", "_save_lines", "rename database", "rename fresh"])
def test_a_crash_while_setting_aside_is_finished_or_undone(
    tmp_path: Path, dies_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = written(tmp_path)
    with sqlite3.connect(tmp_path / "journal.db") as database:
        database.execute("UPDATE events SET hash = '0' WHERE seq = 11")
    database.close()

    class PowerCut(BaseException):
        pass

    if dies_in.startswith("rename"):
        wanted = {"rename database": 1, "rename fresh": 2}[dies_in]
        calls = []
        rename = Path.rename

        def cut(self: Path, target: Path) -> Path:
            calls.append(self)
            if len(calls) == wanted:
                raise PowerCut
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", cut)
    else:

        def dies(*_: object) -> None:
            raise PowerCut

        monkeypatch.setattr(journal_salvage, dies_in, dies)
    with pytest.raises(PowerCut):
        open_journal(tmp_path)
    monkeypatch.undo()

    journal = open_journal(tmp_path)
    chain = parse_event(Envelope.decode(before[0]).payload).chain
    assert journal.head.chain != chain
    assert journal.leftovers(chain, 4, 100) == [(seq, data) for seq, data in before.items() if seq > 4]
    require_whole(journal)
    journal.close()


def test_noise_and_an_empty_file_begin_a_new_chain(tmp_path: Path) -> None:
    for number, content in enumerate([random.Random(7).randbytes(50_000), b"", b"SQLite format 3\0" + b"\xff" * 5000]):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "journal.db").write_bytes(content)
        journal = open_journal(folder)
        assert journal.opening == (1 if content else None)  # of noise nobody can say what it held
        assert first_body(journal).predecessor is None
        journal.close()


def test_a_long_journal_is_checked_for_a_bounded_time(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    for _ in range(300):
        journal.append("test.noted", {})
    journal.close()
    again = Journal(journal.path, KEY, DEVICE, "riverside", "UTC", SystemClock(), check_within_s=0.0)
    assert again.head.seq == 300
    again.close()


def test_what_was_set_aside_goes_when_its_time_is_over(tmp_path: Path) -> None:
    written(tmp_path, released=11)
    with sqlite3.connect(tmp_path / "journal.db") as database:
        database.execute("UPDATE events SET hash = '0' WHERE seq = 11")
    database.close()
    journal = open_journal(tmp_path)
    assert list(tmp_path.glob("journal.salvaged-*.jsonl"))
    journal.prune("2026-05-05T08:00:00.000Z")
    assert list(tmp_path.glob("journal.salvaged-*.jsonl"))
    journal.prune("2099-01-01T00:00:00.000Z")
    assert not list(tmp_path.glob("journal.salvaged-*")) and not list(tmp_path.glob("journal.set-aside-*"))
    journal.close()


def test_follow_is_the_rule_that_the_salvaged_lines_keep(tmp_path: Path) -> None:
    before = written(tmp_path)
    with sqlite3.connect(tmp_path / "journal.db") as database:
        database.execute("UPDATE events SET hash = '0' WHERE seq = 11")
    database.close()
    open_journal(tmp_path).close()
    (lines,) = tmp_path.glob("journal.salvaged-*.jsonl")
    head = None
    for line in lines.read_bytes().splitlines():
        event, envelope = read_event(line, {DEVICE: KEY.public})
        head = follow(head, event, envelope.hash)
    assert head is not None and head.seq == len(before) - 1
