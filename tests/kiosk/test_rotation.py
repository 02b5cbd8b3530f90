"""A key's rotation on the terminal: signed by both, whole across a crash, the old key never signs after it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from evidence.chain import verify_chain
from evidence.envelope import Envelope
from evidence.events import Kind, LogType
from evidence.keys import PublicKey
from kiosk.clock import SystemClock
from kiosk.control import ControlServer, ask
from kiosk.errors import JournalFailed, KeyFileUnreadable
from kiosk.journal import Journal
from kiosk.terminal_key import TerminalKey
from tests.kiosk.small_terminal import small_terminal, until

NOTE = {"sensor": "camera", "state": "working", "before": None, "reason": "ok: a test"}


def open_journal(folder: Path, key: TerminalKey | None = None) -> Journal:
    signer = key or TerminalKey(folder / "terminal.pem")
    return Journal(folder / "journal.db", signer, "gate-1", "east", "Asia/Shanghai", SystemClock())


def whole(journal: Journal, first: PublicKey) -> bool:
    report = verify_chain([data for _, data in journal.unsent(-1, 1000)], {"gate-1": first})
    assert report.ok, report.problems
    return True


def test_the_chain_goes_on_under_the_new_key_and_the_old_one_is_gone(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    first = TerminalKey(tmp_path / "terminal.pem").public
    rotated = journal.rotate_key("planned: a test")
    journal.append(Kind.SENSOR_CHANGED, NOTE)
    second = TerminalKey(tmp_path / "terminal.pem").public
    assert second != first
    assert [one.keyid for one in Envelope.decode(rotated.envelope).signatures] == [first.id, second.id]
    assert whole(journal, first)
    journal.close()
    assert not list(tmp_path.glob("*next*"))
    again = open_journal(tmp_path)
    again.rotate_key("planned: once more")
    again.append(Kind.SENSOR_CHANGED, NOTE)
    assert whole(again, first)
    again.close()


class Interrupted(TerminalKey):
    """Loses power between the commit and the change of the key."""

    def succeed(self, public: PublicKey) -> None:
        raise KeyFileUnreadable("the power went")


def test_a_crash_after_the_commit_is_finished_by_the_next_start(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, Interrupted(tmp_path / "terminal.pem"))
    first = TerminalKey(tmp_path / "terminal.pem").public
    with pytest.raises(JournalFailed, match="the power went"):
        journal.rotate_key("planned: a test")
    with pytest.raises(JournalFailed):  # handed over: the old key signs nothing more
        journal.append(Kind.SENSOR_CHANGED, NOTE)
    assert journal.state.state == "failed"
    assert not journal.probe()
    journal.close()
    again = open_journal(tmp_path)
    again.append(Kind.SENSOR_CHANGED, NOTE)
    assert [seq for seq, _ in again.unsent(-1, 10)] == [0, 1, 2]
    assert whole(again, first)
    again.close()


def test_a_crash_before_the_commit_leaves_the_old_key(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    key = TerminalKey(tmp_path / "terminal.pem")
    waiting = key.successor().public  # made, and then the power went
    journal.close()
    again = open_journal(tmp_path)
    again.append(Kind.SENSOR_CHANGED, NOTE)
    assert whole(again, key.public)
    again.rotate_key("planned: at last")
    assert TerminalKey(tmp_path / "terminal.pem").public == waiting
    again.close()


def test_a_key_restored_from_before_the_rotation_opens_no_journal(tmp_path: Path) -> None:
    open_journal(tmp_path).close()
    old = (tmp_path / "terminal.pem").read_bytes()
    journal = open_journal(tmp_path)
    journal.rotate_key("planned: a test")
    journal.close()
    (tmp_path / "terminal.pem").write_bytes(old)
    with pytest.raises(JournalFailed, match=r"is not in .*terminal\.next\.pem; restore it"):
        open_journal(tmp_path)


def test_a_rotation_taken_out_of_the_file_is_damage_and_a_new_chain_begins(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    journal.rotate_key("planned: a test")
    chain = journal.head.chain
    journal.close()
    with sqlite3.connect(tmp_path / "journal.db") as database:
        database.execute("DELETE FROM events WHERE seq = 1")
    journal = open_journal(tmp_path)
    assert (journal.head.seq, journal.head.chain != chain) == (0, True)
    assert "another chain" not in journal.state.reason and journal.state.reason.startswith("new_chain: ")
    journal.close()


def test_what_the_old_key_signed_still_waits_after_the_journal_was_set_aside_twice(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    noted = journal.append(Kind.SENSOR_CHANGED, NOTE)
    rotated = journal.rotate_key("planned: a test")
    waiting = [journal.head.chain]
    for _ in range(2):
        journal.close()
        with sqlite3.connect(tmp_path / "journal.db") as database:
            database.execute("UPDATE events SET hash = '0' WHERE seq = 0")
        database.close()
        journal = open_journal(tmp_path)
        waiting.append(journal.head.chain)
    assert set(journal.leftover_chains()) == set(waiting[:2])
    assert [seq for seq, _ in journal.leftovers(waiting[0], -1, 10)] == [0, noted.seq, rotated.seq]
    journal.close()


def test_an_operator_rotates_the_key_of_a_running_terminal_that_goes_on_punching(tmp_path: Path) -> None:
    with small_terminal(tmp_path) as kiosk:
        first, folder = kiosk.key.public, kiosk.settings.data_dir
        server = ControlServer(folder, kiosk.operations)
        server.start()
        done = ask(folder, {"do": "rotate_key", "reason": "planned: asked"}, lambda _: None)
        server.stop()
        kiosk.attendant.badge_pin(LogType.IN, "W-9", "000000")
        until(lambda: kiosk.attendant.view().result, "a result")
        assert done["key"] == kiosk.key.public.text() != first.text()
        (_, last) = kiosk.journal.unsent(-1, 1000)[-1]
        assert Envelope.decode(last).signatures[0].keyid == kiosk.key.public.id
        assert whole(kiosk.journal, first)


def test_an_operator_leaves_the_chain_of_a_running_terminal_behind_and_it_goes_on_punching(tmp_path: Path) -> None:
    with small_terminal(tmp_path) as kiosk:
        old, folder = kiosk.journal.head, kiosk.settings.data_dir
        server = ControlServer(folder, kiosk.operations)
        server.start()
        done = ask(folder, {"do": "new_chain", "reason": "the collector has frozen it"}, lambda _: None)
        server.stop()
        assert done == {"before": old.chain, "chain": kiosk.journal.head.chain} and done["chain"] != old.chain
        kiosk.attendant.badge_pin(LogType.IN, "W-9", "000000")
        until(lambda: kiosk.attendant.view().result, "a result")
        assert whole(kiosk.journal, kiosk.key.public)
        assert kiosk.journal.leftover_chains() == [old.chain]
        (aside,) = folder.glob("journal.set-aside-*.db")
        assert "by_operator: the collector has frozen it" in kiosk.journal.state.reason, aside
