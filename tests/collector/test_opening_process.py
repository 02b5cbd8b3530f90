"""Messages are opened alike here and in the process for it, and whatever happens to that process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlmodel import select

from collector.devices.models import DeviceKey
from collector.ingest.intake import Intake
from collector.ingest.message import Message
from collector.ingest.opening import Opened, Opener
from collector.ingest.opening_process import ProcessOpener
from collector.ledger.models import LedgerEntry
from collector.ledger.projection import project
from collector.punches.models import Punch
from collector.timestamps import utc_now
from evidence.envelope import EVENT_TYPE, RECEIPT_TYPE, Envelope, sign
from evidence.events import Kind
from evidence.keys import Ed25519Key, Es256Key, PublicKey
from tests.collector.conftest import Bench
from tests.collector.terminal import Terminal
from tests.support.waiting import eventually

TERMINAL = Terminal()
FROM_TPM = Terminal("gate-2", key=Es256Key.generate())  # type: ignore[arg-type]


def messages() -> list[Message]:
    """Return messages of every kind, good and bad."""
    one = TERMINAL.again()
    first, punch = one.enrol(), one.punch()
    payload = Envelope.decode(punch).payload
    changed = Envelope.decode(punch).signatures[0].sig
    changed = bytes([changed[0] ^ 1]) + changed[1:]
    events = [
        first,
        punch,
        one.punch(verdict="refused"),
        one.presence(),
        one.append(Kind.PUNCH_RECORDED, one.punch_body() | {"verdict": "no verdict"}),
        one.append(Kind.PUNCH_RECORDED, one.punch_body() | {"receipt": "NUL \0 in it"}),
        one.append("moon.phase", {"full": True}),
        Terminal("stranger").enrol(),
        FROM_TPM.again().enrol(),
        sign(EVENT_TYPE, payload, Ed25519Key.generate()).encode(),
        sign(RECEIPT_TYPE, payload, TERMINAL.key).encode(),
        sign(EVENT_TYPE, payload, TERMINAL.key, Ed25519Key.generate()).encode(),
        punch.replace(Envelope.decode(punch).encode()[-40:-30], b"AAAAAAAAAA"),
        sign(EVENT_TYPE, b'{"v":1}', TERMINAL.key).encode(),
        punch[: len(punch) // 2],
        b"",
        b"\xff" * 1000,
    ]
    report = Message(f"zaigang/v1/{one.site}/{one.device}/health", b"{}", utc_now())
    return [report, *(Message(one.event_topic, data, utc_now(), mid=at) for at, data in enumerate(events)), report]


def keys(*more: PublicKey) -> list[DeviceKey]:
    known = [TERMINAL.key.public, FROM_TPM.key.public, *more]
    return [DeviceKey(device="x", key=key.text(), key_id=key.id, added_at="") for key in known]


def said(opened: list[Opened]) -> list[tuple[object, ...]]:
    """Return what two openers have to agree on."""
    return [(one.message, one.event, one.hash, repr(one.error), one.stands_under) for one in opened]


def runs(process: int) -> bool:
    """Say whether a process lives; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def apart() -> Iterator[ProcessOpener]:
    opener = ProcessOpener(worth_it=1, patience_s=2.0)
    opener.meet(keys())
    yield opener
    opener.close()


def running(opener: ProcessOpener) -> int:
    """Have the process started; return its id."""
    asked = messages()
    assert len(opener.open(asked)) == len(asked)  # while it starts, too
    eventually(lambda: opener.process_id is not None)
    process = opener.process_id
    assert process is not None and process != os.getpid()
    return process


def test_both_open_alike(apart: ProcessOpener) -> None:
    here, asked = Opener(), messages()
    here.meet(keys())
    running(apart)
    opened = apart.open(asked)
    assert said(opened) == said(here.open(asked))
    assert [one.message.mid for one in opened if one.stands_under is not None] == [0, 1, 2, 3, 4, 5, 6, 8]
    row_ahead = {one.message.mid: one.row_ahead for one in opened if one.row_ahead is not None}
    assert list(row_ahead) == [1, 2, 9, 10, 11, 12]  # the last four are the same punch, signed otherwise
    for one in opened:
        if one.row_ahead is not None:
            assert one.event is not None
            projected = project(one.event, 0, after_revocation=False)
            assert projected is not None and one.row_ahead == projected.row


def test_a_key_that_is_met_later_counts_there_too(apart: ProcessOpener) -> None:
    running(apart)
    later = Terminal("gate-3")
    asked = [Message(later.event_topic, later.enrol(), utc_now())]
    assert apart.open(asked)[0].stands_under is None
    apart.meet(keys(later.key.public))
    assert apart.open(asked)[0].stands_under == later.key.public


def test_rows_are_the_same_whoever_opened(bench: Bench, terminal: Terminal, apart: ProcessOpener) -> None:
    running(apart)
    bench.intake = Intake(bench.database, bench.keys.receipt, bench.keys.seal, opener=apart)
    bench.offer(terminal, terminal.enrol())
    bench.offer(terminal, terminal.punch(), terminal.punch(verdict="refused"), terminal.punch(), terminal.presence())
    bench.services.devices.revoke(terminal.device)
    bench.offer(terminal, terminal.punch(), terminal.punch())
    with bench.database.read() as session:
        rows = {row.leaf_index: row.model_dump() for row in session.exec(select(Punch))}
        entries = {one.leaf_index: one for one in session.exec(select(LedgerEntry))}
    assert [rows[at]["verdict"] for at in sorted(rows)] == ["verified", "refused", "verified", "review", "review"]
    for at, row in rows.items():
        (opened,) = Opener().open([Message(terminal.event_topic, entries[at].envelope, "")])
        assert opened.event is not None
        projected = project(opened.event, at, after_revocation=entries[at].after_revocation)
        assert projected is not None and projected.row == {name: row[name] for name in projected.row}


def test_few_events_start_no_process(apart: ProcessOpener) -> None:
    asked = messages()
    few = ProcessOpener(worth_it=len(asked))
    few.meet(keys())
    here = Opener()
    here.meet(keys())
    assert said(few.open(asked)) == said(here.open(asked))
    assert few._other is None


@pytest.mark.parametrize("what", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_that_dies_or_hangs_changes_nothing_and_is_left_alone_for_a_while(
    apart: ProcessOpener, what: signal.Signals
) -> None:
    asked, here = messages(), Opener()
    here.meet(keys())
    process = running(apart)
    os.kill(process, what)
    assert said(apart.open(asked)) == said(here.open(asked))
    assert apart.process_id is None
    eventually(lambda: not runs(process))
    assert said(apart.open(asked)) == said(here.open(asked))
    assert apart._other is None
    apart._rests_until = 0.0  # a minute later
    assert running(apart) != process
    assert said(apart.open(asked)) == said(here.open(asked))


def test_closing_ends_it_and_ctrl_c_does_not(apart: ProcessOpener) -> None:
    process = running(apart)
    os.kill(process, signal.SIGINT)
    apart.open(messages())
    assert apart.process_id == process
    apart.close()
    eventually(lambda: not runs(process))


def test_it_ends_with_a_collector_that_is_killed() -> None:
    program = """
import time
from tests.collector.test_opening_process import running
from collector.ingest.opening_process import ProcessOpener
opener = ProcessOpener(worth_it=1)
print(running(opener), flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=Path.cwd()) as collector:
        assert collector.stdout is not None
        process = int(collector.stdout.readline())
        assert runs(process)
        collector.kill()
    eventually(lambda: not runs(process))
