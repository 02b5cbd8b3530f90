"""A person is erased: nothing of the payload stays anywhere, every other proof stands, and no backup brings it back."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import SQLModel, select

from collector.erasure.finding import may_be_about
from collector.erasure.keepsake import Keepsake
from collector.erasure.marks import mark
from collector.erasure.models import ErasedEvent, Tombstone
from collector.erasure.tombs import bury
from collector.errors import Conflict, Invalid, NotFound
from collector.evidence_bundles.models import MadeBundle
from collector.ingest.intake import Intake
from collector.ingest.models import DeadLetter, Equivocation
from collector.ledger.fsck import check_ledger
from collector.ledger.models import LedgerEntry
from collector.people.service import NewWorker, WorkerBody
from collector.punches.service import Filters, Order
from collector.services import build_services, open_database
from collector.statements.actor import acting_as
from collector.statements.scribe import Scribe
from collector.transfers.models import HeldTransfer
from evidence.command import ERASE_WORKER
from evidence.events import Event
from tests.collector.conftest import Api, Bench
from tests.collector.terminal import ENROLLED, Terminal
from tests.collector.test_fsck import changed, edit, stored

pytestmark = pytest.mark.both_databases

AT = "2026-11-22T00:00:00.000Z"


@pytest.fixture
def sworn(bench: Bench, terminal: Terminal) -> Bench:
    """Two workers with punches, an enrolment, a presence interval, an unknown kind; E001 confirmed one of E002's."""
    scribe = Scribe(bench.keys)
    bench.services = build_services(bench.settings, bench.database, bench.keys, scribe)
    bench.intake = Intake(bench.database, bench.keys.receipt, bench.keys.seal, scribe=scribe)
    with acting_as("cli:li"):
        bench.services.people.add(NewWorker(code="E002", name="李四"))
        bench.services.people.change("E001", WorkerBody(name="王小明"))
        bench.services.people.change("E001", WorkerBody(name="王大明"))
    supervised = terminal.punch_body("E002") | {"method": "supervisor", "verdict": "review", "confirmed_by": "E001"}
    terminal.time_s = 100
    bench.offer(
        terminal,
        terminal.enrol(),
        terminal.append("worker.enrolled", ENROLLED),
        terminal.punch("E001"),
        terminal.punch("E002"),
        terminal.presence("E001"),
        terminal.append("vehicle.seen", {"trip": [{"worker": "E001"}]}),
        terminal.append("punch.recorded", supervised),
    )
    return bench


def entries(bench: Bench) -> list[LedgerEntry]:
    with bench.database.read() as session:
        return list(session.exec(select(LedgerEntry).order_by(LedgerEntry.leaf_index)))  # type: ignore[arg-type]


def whole(bench: Bench) -> bool:
    report = check_ledger(bench.database, bench.keys.seal, bench.services.checkpoints.signer.public)
    assert report.difference is None, report.difference
    return True


def erase(bench: Bench, **how: Any) -> Any:
    with acting_as("cli:li"):
        return bench.services.erasures.erase("E001", "all", "asked for", ignore_retention=True, **how)


def test_payload_and_salt_go_and_every_other_leaf_and_chain_stands(sworn: Bench, terminal: Terminal) -> None:
    before = {one.leaf_index: one for one in entries(sworn)}
    done = erase(sworn)
    after = {one.leaf_index: one for one in entries(sworn)}
    gone = {place for place, one in after.items() if not one.envelope}
    about = {"worker.enrolled", "punch.recorded", "presence.interval", "vehicle.seen", "audit.entry"}
    assert done.erased == len(gone) == 5 and {after[place].kind for place in gone} <= about
    assert all(after[place].salt == b"" for place in gone)
    for place, one in before.items():  # the tree over all leaves is the same
        assert after[place].leaf_hash == one.leaf_hash and after[place].hash == one.hash
        assert place in gone or after[place].envelope == one.envelope
    punches = sworn.services.punches.page(Filters(), Order.ARRIVAL, None, 10).items
    assert [one.punch.worker for one in punches] == ["E002", "E002"] and done.confirmed_others == 1
    assert whole(sworn)
    (receipt,) = sworn.offer(terminal, terminal.punch("E002"))
    assert receipt.upto == 7 and whole(sworn)


@pytest.mark.sqlite_files  # PostgreSQL's are the server's own: there a VACUUM is asked for, and nobody has looked
def test_nothing_of_it_is_left_in_the_files(sworn: Bench) -> None:
    """The nonce of an erased event is in no file of the database."""
    victim = next(one for one in entries(sworn) if one.kind == "presence.interval")
    needle = json.loads(victim.envelope)["payload"][40:90].encode()
    assert any(needle in path.read_bytes() for path in sworn.settings.data.glob("collector.sqlite*"))
    erase(sworn)
    assert not any(needle in path.read_bytes() for path in sworn.settings.data.rglob("*") if path.is_file())


def test_the_statement_names_nobody_and_covers_exactly_what_went(sworn: Bench) -> None:
    done = erase(sworn)
    envelope = sworn.services.ledger.entry(done.leaf_index).envelope
    event = Event.model_validate(json.loads(base64.b64decode(json.loads(envelope)["payload"])))
    assert event.kind == "worker.erasure" and event.body["entries"] == 5 and event.body["by"] == "cli:li"
    assert "E001" not in json.dumps(event.body)
    for page in sworn.services.statements.page(None, None, 100):
        assert b"E001" not in base64.b64decode(json.loads(page.envelope)["payload"]) if page.envelope else True
    with pytest.raises(NotFound):
        sworn.services.people.get("E001")


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE ledger_entries SET envelope = '', salt = '' WHERE kind = 'device.enrolled'",
        "DELETE FROM tombstones WHERE leaf_index = (SELECT min(leaf_index) FROM tombstones)",
        "UPDATE tombstones SET erasure = 'x' WHERE leaf_index = (SELECT min(leaf_index) FROM tombstones)",
        "UPDATE ledger_entries SET hash = prev WHERE leaf_index = (SELECT min(leaf_index) FROM tombstones)",
        "UPDATE ledger_entries SET received_at = 'x' WHERE leaf_index = (SELECT min(leaf_index) FROM tombstones)",
    ],
)
def test_a_hole_that_nobody_authorised_is_found(sworn: Bench, sql: str) -> None:
    erase(sworn)
    assert whole(sworn)
    with sworn.database.write() as session:
        nothing = "CAST('' AS BLOB)" if sworn.settings.database is None else "''::bytea"
        assert session.connection().exec_driver_sql(sql.replace("''", nothing)).rowcount
    assert (
        check_ledger(sworn.database, sworn.keys.seal, sworn.services.checkpoints.signer.public).difference is not None
    )


@pytest.mark.parametrize("column", list(LedgerEntry.model_fields))
def test_one_changed_byte_of_a_tombstone_is_found(sworn: Bench, column: str) -> None:
    erase(sworn)
    places = [one.leaf_index for one in entries(sworn) if not one.envelope and one.device == "gate-1"]
    place = places[1]
    value = stored(sworn, f"SELECT {column} FROM ledger_entries WHERE leaf_index = {place}")
    other = b"x" if value == b"" else 900 if column in ("leaf_index", "seq") else changed(value)
    edit(sworn, f"UPDATE ledger_entries SET {column} = ? WHERE leaf_index = ?", other, place)
    found = check_ledger(sworn.database, sworn.keys.seal, sworn.services.checkpoints.signer.public).difference
    assert found is not None and found.table == "ledger_entries"
    assert found.row == str(place + (column == "leaf_index"))


@pytest.mark.parametrize("column", ["time", "site", "received_at", "event_id", "hash"])
def test_an_erasure_covers_up_no_column_that_was_changed_before(sworn: Bench, column: str) -> None:
    (place,) = [one.leaf_index for one in entries(sworn) if one.kind == "presence.interval"]
    value = stored(sworn, f"SELECT {column} FROM ledger_entries WHERE leaf_index = {place}")
    edit(sworn, f"UPDATE ledger_entries SET {column} = ? WHERE leaf_index = ?", changed(value), place)
    erase(sworn)
    found = check_ledger(sworn.database, sworn.keys.seal, sworn.services.checkpoints.signer.public).difference
    assert found is not None and (found.row, found.column) == (str(place), "seal")
    assert "before or after the erasure" in found.message


def test_one_entry_more_under_the_name_of_a_real_erasure_is_found(sworn: Bench) -> None:
    done = erase(sworn)
    with sworn.database.write() as session:
        (place,) = session.exec(select(LedgerEntry.leaf_index).where(LedgerEntry.kind == "device.enrolled"))
        entry = session.get(LedgerEntry, place)
        assert entry is not None
        bury(session, [(place, entry.hash)], done.id, sworn.keys.seal)  # also by who has the seal key
    found = check_ledger(sworn.database, sworn.keys.seal, sworn.services.checkpoints.signer.public).difference
    assert found is not None and found.table == "tombstones" and "other entries" in found.message


def test_an_entry_emptied_by_hand_is_told_from_an_erased_one(sworn: Bench) -> None:
    done = erase(sworn)
    with sworn.database.write() as session:
        (place,) = session.exec(select(LedgerEntry.leaf_index).where(LedgerEntry.kind == "device.enrolled"))
        entry = session.get(LedgerEntry, place)
        assert entry is not None
        entry.envelope = entry.salt = b""
        session.add(Tombstone(leaf_index=place, erasure=done.id))
    found = check_ledger(sworn.database, sworn.keys.seal, sworn.services.checkpoints.signer.public).difference
    assert found is not None and (found.row, found.column) == (str(place), "seal") and "by hand" in found.message


def test_a_legal_hold_blocks_until_it_is_lifted(sworn: Bench) -> None:
    sworn.services.erasures.hold("E001", "case 2026-17")
    with pytest.raises(Conflict, match="case 2026-17"):
        erase(sworn)
    with pytest.raises(Conflict):
        sworn.services.erasures.hold("E001", "again")
    sworn.services.erasures.lift("E001")
    assert erase(sworn).erased == 5


def test_what_retention_demands_stays_and_it_says_until_when(sworn: Bench) -> None:
    done = sworn.services.erasures.erase("E001", "all", "asked for")
    assert (done.erased, done.kept) == (0, 5) and done.kept_until is not None and done.kept_until > "2027"
    assert sworn.services.people.get("E001").name == "王大明" and whole(sworn)


def test_biometric_data_go_at_once_on_the_terminals_and_the_punches_stay(sworn: Bench, terminal: Terminal) -> None:
    done = sworn.services.erasures.erase("E001", "biometric", "consent withdrawn")
    assert (done.erased, done.terminals) == (0, (terminal.device,))
    (command,) = sworn.services.commands.page(ERASE_WORKER, None, None, 10)
    assert command.command.body == {"worker": "E001", "scope": "face"} and whole(sworn)


def test_an_order_that_was_answered_names_nobody_any_more(sworn: Bench, terminal: Terminal) -> None:
    sworn.services.erasures.erase("E001", "biometric", "consent withdrawn")
    (view,) = sworn.services.commands.page(ERASE_WORKER, None, None, 10)
    sworn.services.erasures.settle()
    assert len(sworn.services.commands.open()) == 1  # it waits for the terminal
    same = {"command": view.command.id, "counter": view.command.counter, "action": ERASE_WORKER}
    done = same | {"outcome": "done", "reason": "erased: gone", "result": {}}
    sworn.offer(terminal, terminal.append("command.done", done))
    sworn.services.erasures.settle()
    (view,) = sworn.services.commands.page(ERASE_WORKER, None, None, 10)
    assert view.command.body == {} and view.command.envelope == b"" and sworn.services.commands.open() == []


def test_who_is_not_here_and_a_reason_that_names_somebody_are_refused(sworn: Bench) -> None:
    with pytest.raises(NotFound):
        sworn.services.erasures.erase("E999", "all", "asked for")
    with pytest.raises(Invalid, match="must not name"):
        sworn.services.erasures.erase("E001", "all", "E001 asked for it")


def test_what_waits_in_staging_goes_too_and_enters_as_a_tombstone(sworn: Bench, terminal: Terminal) -> None:
    late, early = terminal.punch("E002"), terminal.punch("E001")
    sworn.offer(terminal, early)
    assert erase(sworn).erased == 5
    assert sworn.offer(terminal, late)[0].upto == 7
    (receipt,) = sworn.offer(terminal, early)  # the terminal has no receipt for it and sends it again
    assert receipt.upto == 8 and whole(sworn)
    assert early not in [one.envelope for one in entries(sworn)]


@pytest.mark.sqlite_files  # copying a file is SQLite's backup
def test_a_restored_backup_is_emptied_at_its_start(sworn: Bench, terminal: Terminal, tmp_path: Path) -> None:
    with sworn.database.writer.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
    sworn.database.scrub()
    shutil.copy(sworn.settings.database_path, tmp_path / "backup.sqlite")
    erase(sworn)
    hashes = {one for one in Keepsake(sworn.settings.erasures_path).read() if not one.startswith("worker:")}
    assert len(hashes) == 5
    sworn.database.close()
    for path in sworn.settings.data.glob("collector.sqlite*"):
        path.unlink()
    shutil.copy(tmp_path / "backup.sqlite", sworn.settings.database_path)
    sworn.database = open_database(sworn.settings)
    sworn.services = build_services(sworn.settings, sworn.database, sworn.keys, Scribe(sworn.keys))
    assert all(one.envelope for one in entries(sworn))
    assert sworn.services.erasures.settle() == 5
    assert {one.hash for one in entries(sworn) if not one.envelope} == hashes and whole(sworn)
    assert sworn.services.erasures.settle() == 0


def test_a_new_process_completes_the_file_from_the_database(sworn: Bench) -> None:
    erase(sworn)
    sworn.settings.erasures_path.unlink()
    sworn.services.erasures.settle()
    with sworn.database.read() as session:
        held = {one.hash: one.erasure for one in session.exec(select(ErasedEvent))}
        assert Keepsake(sworn.settings.erasures_path).read() == held
        assert len(held) == len(session.exec(select(Tombstone)).all()) + 1  # and the mark of the worker


def test_a_file_cut_in_the_middle_of_a_line_is_read_up_to_there_and_written_on(tmp_path: Path) -> None:
    keepsake = Keepsake(tmp_path / "erasures.jsonl")
    keepsake.add("one", ["a", "b"])
    (tmp_path / "erasures.jsonl").write_bytes((tmp_path / "erasures.jsonl").read_bytes() + b'{"erasure": "tw')
    keepsake.add("three", ["c"])
    assert keepsake.read() == {"a": "one", "b": "one", "c": "three"}


def test_erasing_over_http(sworn: Bench, api: Api) -> None:
    body = {"scope": "all", "reason": "asked for", "ignore_retention": True}
    path = "/api/v1/workers/E001"
    assert api.client.post(f"{path}/erasure", json=body, headers=api.read).status_code == 403
    assert api.client.post(f"{path}/legal-hold", json={"reason": "case"}, headers=api.write).status_code == 200
    assert api.client.post(f"{path}/erasure", json=body, headers=api.write).status_code == 409
    assert api.client.delete(f"{path}/legal-hold", headers=api.write).status_code == 200
    answer = api.client.post(f"{path}/erasure", json=body, headers=api.write)
    assert answer.status_code == 200 and answer.json()["erased"] == 5 and whole(sworn)


def test_an_enrolment_is_marked_once_its_own_terminal_has_signed_that_it_is_gone(
    sworn: Bench, terminal: Terminal, api: Api
) -> None:
    other = Terminal("gate-2")
    sworn.register(other)
    gone = {"scope": "face", "enrolment": "ab" * 16, "template": "cd" * 32, "reason": "erased"}

    def marked() -> Any:
        return api.client.get("/api/v1/workers/E001", headers=api.read).json()["enrolments"][0]["erased_at"]

    sworn.offer(other, other.enrol(), other.append("worker.erased", gone))
    assert marked() is None
    sworn.offer(terminal, terminal.append("worker.erased", gone))
    assert marked() is not None and whole(sworn)


def letter(bench: Bench, content: bytes, size: int | None = None, message: str = "it cannot be read") -> int:
    """Keep a dead letter as the intake would; return its id."""
    held = DeadLetter(
        source="",
        topic="t",
        code="invalid_envelope",
        message=message,
        size=len(content) if size is None else size,
        sha256=hashlib.sha256(content).hexdigest(),
        content=content,
        received_at="2026-11-22T00:00:00.000Z",
        last_at="2026-11-22T00:00:00.000Z",
    )
    with bench.database.write() as session:
        session.add(held)
    assert held.id is not None
    return held.id


def in_base64(text: str, before: str = "") -> bytes:
    return b'{"payload":"' + before.encode() + base64.b64encode(text.encode()) + b'","payloadType":"'


@pytest.mark.parametrize(
    ("content", "cut", "goes"),
    [
        (b'{"worker":"E001", and no more', False, True),
        (b'{"worker":"\\u0045001"} {', False, True),
        (in_base64('{"body":{"worker":"E001"}'), False, True),
        (in_base64('{"body":{"worker":"E001"}', "x"), False, True),
        (in_base64('{"body":{"worker":"E001'), True, True),
        (in_base64('{"body":{"worker":"\\u0045001"}'), False, True),
        (in_base64('{"body":{"checks":["name'), True, True),  # it ended before it said who
        (b"\x00\xff" * 40, True, True),
        (in_base64('{"body":{"worker":"E002","checks":['), True, False),
        (in_base64('{"body":{"worker":"E002"}'), False, False),
        (b"\x00\xff" * 40, False, False),
    ],
)
def test_a_dead_letter_that_cannot_be_read_goes_unless_it_is_surely_not_about_the_worker(
    sworn: Bench, content: bytes, cut: bool, goes: bool
) -> None:
    held = letter(sworn, content, len(content) + 5000 if cut else None)
    erase(sworn)
    left = sworn.services.dead_letters.get(held)
    assert left.content == (b"" if goes else content) and left.sha256 and left.message == "it cannot be read"


def test_a_code_of_any_characters_is_found_in_what_cannot_be_read() -> None:
    for code in ("王-7", "𠀀8"):
        escaped = json.dumps(code)[1:-1]
        assert may_be_about(in_base64(f'{{"worker":"{code}"'), code, cut=False)
        assert may_be_about(in_base64(f'{{"worker":"{escaped}"'), code, cut=False)
        assert not may_be_about(in_base64('{"worker":"E002"'), code, cut=False)


def test_an_event_too_big_for_a_dead_letter_leaves_nothing_of_the_worker(sworn: Bench, terminal: Terminal) -> None:
    big = terminal.append("punch.recorded", terminal.punch_body("E001") | {"zz": "x" * 6000})
    sworn.offer(Terminal("gate-9"), big)
    (held,) = [one for one in sworn.services.dead_letters.page(None, 10) if one.size > 6000]
    assert len(held.content) == 4096
    erase(sworn)
    assert sworn.services.dead_letters.get(held.id or 0).content == b""


def test_why_a_dead_letter_could_not_enter_names_nobody_either(sworn: Bench) -> None:
    held = letter(sworn, b"E001?", message="there is no E001 here")
    erase(sworn)
    assert sworn.services.dead_letters.get(held).message == ""


def bundles(bench: Bench) -> list[tuple[str | None, str | None, str]]:
    return [(one.site, one.worker, one.sha256) for one in bench.services.evidence_bundles.made()]


def made_about(bench: Bench, *workers: str) -> None:
    with bench.database.write() as session:
        for worker in workers:
            row: dict[str, Any] = {
                "made_at": AT,
                "made_by": "li (k1)",
                "site": None,
                "since": AT,
                "until": AT,
                "tree_size": 5,
            }
            session.add(MadeBundle(**row, worker=worker, sha256=worker[::-1], size=7))


def test_the_record_of_bundles_says_no_more_whom_one_was_about(sworn: Bench, api: Api) -> None:
    made_about(sworn, "E001", "E002")
    sworn.services.erasures.erase("E001", "all", "asked for")  # within the retention period the record stays
    assert {one[1] for one in bundles(sworn)} == {"E001", "E002"}
    erase(sworn)
    assert set(bundles(sworn)) == {(None, None, "100E"), (None, "E002", "200E")}
    answer = api.client.get("/api/v1/evidence-bundles", headers=api.read)
    assert {one["worker"] for one in answer.json()} == {None, "E002"}


def a_full_life(bench: Bench, terminal: Terminal) -> None:
    """Everything that may lie of a worker outside of the ledger, of E001 and the same of E002."""
    with acting_as("cli:li"):
        for worker in ("E001", "E002"):
            bench.services.people.authorise(worker, "gate-1", "boss", 1.0)
            bench.services.commands.issue("gate-1", "spot_check", {"worker": worker}, "cli:li", timedelta(hours=1))
            bench.services.erasures.hold(worker, "case 1")
            bench.services.erasures.lift(worker)
    made_about(bench, "E001", "E002")
    for worker in ("E001", "E002"):
        letter(bench, f'{{"worker":"{worker}'.encode())
        other = terminal.again()
        bench.offer(other, other.enrol(), other.punch(worker))  # a second chain waits
        other = terminal.again()
        other.chain, other.head = terminal.chain, terminal.head
        said: dict[str, Any] = {
            "device": "gate-1",
            "chain": terminal.chain,
            "seq": 6,
            "code": "fork",
            "message": "two",
            "held_hash": None,
        }
        with bench.database.write() as session:
            session.add(Equivocation(**said, offered_hash=worker[::-1], received_at=AT, envelope=other.punch(worker)))


def naming(bench: Bench, worker: str) -> Counter[str]:
    """How many rows of which table name a worker, also within Base64."""
    told: Counter[str] = Counter()
    with bench.database.read() as session:
        for table in SQLModel.metadata.sorted_tables:
            rows = session.connection().execute(table.select()).all()
            told[table.name] += sum(any(worker in _said(value) for value in row) for row in rows)
    return +told


def _said(value: Any) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    found = re.findall(r"[A-Za-z0-9+/]{40,}", text)
    return "\n".join([text, *(base64.b64decode(one + "==").decode(errors="replace") for one in found)])


Backup = dict[str, list[dict[str, Any]]]


def backup_of(bench: Bench) -> Backup:
    with bench.database.read() as session:
        rows = {table.name: session.connection().execute(table.select()) for table in SQLModel.metadata.sorted_tables}
        return {name: [dict(row) for row in found.mappings()] for name, found in rows.items()}


def restore(bench: Bench, backup: Backup) -> None:
    with bench.database.write() as session:
        for table in reversed(SQLModel.metadata.sorted_tables):
            session.connection().execute(table.delete())
        for table in SQLModel.metadata.sorted_tables:
            if backup[table.name]:
                session.connection().execute(table.insert(), backup[table.name])


ANOTHERS = Counter({"ledger_entries": 1})  # a punch of E002 that E001 confirmed


def test_nothing_of_the_worker_comes_back_with_a_backup(sworn: Bench, terminal: Terminal) -> None:
    a_full_life(sworn, terminal)
    before, backup = naming(sworn, "E001"), backup_of(sworn)
    homes = {"workers", "authorisations", "legal_holds", "commands", "dead_letters", "equivocations", "staged_events"}
    assert homes | {"evidence_bundles", "punches", "enrolments"} <= before.keys()
    erase(sworn)
    assert naming(sworn, "E001") == ANOTHERS + Counter({"commands": 1})  # the terminal's order, until it is answered
    mark = [one for one in Keepsake(sworn.settings.erasures_path).read() if one.startswith("worker:")]
    assert len(mark) == 1 and "E001" not in sworn.settings.erasures_path.read_text()
    others = naming(sworn, "E002")
    restore(sworn, backup)
    assert naming(sworn, "E001") == before
    assert sworn.services.erasures.settle() > 5
    assert naming(sworn, "E001") == ANOTHERS and naming(sworn, "E002") == others and whole(sworn)
    assert sworn.services.erasures.settle() == 0


def test_a_worker_without_any_entry_is_forgotten_again_and_a_new_one_under_the_same_code_is_not(
    sworn: Bench,
) -> None:
    sworn.services.people.add(NewWorker(code="E003", name="赵五"))  # nobody acts: no audit entry
    backup = backup_of(sworn)
    with acting_as("cli:li"):
        sworn.services.erasures.erase("E003", "all", "asked for")
    restore(sworn, backup)
    sworn.services.erasures.settle()
    assert not naming(sworn, "E003") and whole(sworn)
    sworn.services.people.add(NewWorker(code="E003", name="孙六"))
    sworn.services.erasures.settle()
    assert sworn.services.people.get("E003").name == "孙六"


def test_a_worker_whom_only_an_unknown_kind_names_is_forgotten_again(sworn: Bench, terminal: Terminal) -> None:
    sworn.offer(terminal, terminal.append("vehicle.seen", {"trip": [{"worker": "E005"}]}))
    with sworn.database.write() as session:  # there was no room for the dead letter that says so
        session.connection().exec_driver_sql("DELETE FROM dead_letters")
    letter(sworn, b'{"worker":"E005')
    backup = backup_of(sworn)
    with acting_as("cli:li"):
        sworn.services.erasures.erase("E005", "all", "asked for", ignore_retention=True)
    restore(sworn, backup)
    sworn.services.erasures.settle()
    assert not naming(sworn, "E005") and whole(sworn)


def test_a_backup_brings_back_what_retention_kept_and_no_more(sworn: Bench) -> None:
    letter(sworn, b'{"worker":"E001')
    backup = backup_of(sworn)
    with acting_as("cli:li"):
        assert sworn.services.erasures.erase("E001", "all", "asked for").kept == 5
    restore(sworn, backup)
    sworn.services.erasures.settle()
    left = naming(sworn, "E001")
    assert "dead_letters" not in left and {"workers", "punches"} <= left.keys()
    assert sworn.services.people.get("E001").name == "王大明" and whole(sworn)


def test_a_face_on_its_way_does_not_come_back_with_a_backup(sworn: Bench, terminal: Terminal) -> None:
    held: dict[str, Any] = {
        "site": "east",
        "sender": "gate-1",
        "recipient": "gate-2",
        "copy_id": "c",
        "counter": 1,
        "answer": b"",
    }
    with sworn.database.write() as session:
        for number in ("ab", "cd"):
            named: dict[str, Any] = {"message": number, "enrolment": number * 16, "envelope": b"sealed"}
            session.add(HeldTransfer(**held, **named, state="waiting", received_at=AT, expires=AT))
    backup = backup_of(sworn)
    with acting_as("cli:li"):
        sworn.services.erasures.erase("E001", "biometric", "consent withdrawn")
    restore(sworn, backup)
    sworn.services.erasures.settle()
    with sworn.database.read() as session:
        assert [one.message for one in session.exec(select(HeldTransfer))] == ["cd"]
    assert sworn.services.people.get("E001").name == "王大明"


def test_a_mark_confirms_a_guess_only_to_whoever_has_the_key() -> None:
    one = mark(b"k" * 32, "ab" * 16, "all", "E001")
    others = [mark(b"l" * 32, "ab" * 16, "all", "E001"), mark(b"k" * 32, "cd" * 16, "all", "E001")]
    assert one.startswith("worker:all:") and one not in others and one == mark(b"k" * 32, "ab" * 16, "all", "E001")
