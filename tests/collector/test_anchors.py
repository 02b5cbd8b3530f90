"""Time-stamps: a real `openssl ts` authority stamps checkpoints, `fsck` and openssl itself check them."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from collector.errors import AnchorRefused, SettingsError
from collector.ledger.anchors import Anchors, load_roots, verified
from collector.ledger.fsck import LedgerReport, check_ledger
from collector.ledger.models import Anchor
from collector.settings import load_settings
from tests.collector.conftest import Bench
from tests.collector.terminal import Terminal
from tests.support.timestamp_authority import TimestampAuthority


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[TimestampAuthority]:
    one = TimestampAuthority(tmp_path / "tsa")
    yield one
    one.stop()


def anchors(bench: Bench, authority: TimestampAuthority) -> Anchors:
    return Anchors(bench.database, authority.url, load_roots(authority.ca))


def signed(bench: Bench, terminal: Terminal) -> None:
    bench.offer(terminal, *([terminal.enrol()] if terminal.head is None else []), terminal.punch())
    assert bench.services.checkpoints.sign() is not None


def kept(bench: Bench) -> list[Anchor]:
    with bench.database.read() as session:
        return list(session.exec(select(Anchor)))


def fsck(bench: Bench, authority: TimestampAuthority | None) -> LedgerReport:
    roots = [] if authority is None else load_roots(authority.ca)
    return check_ledger(bench.database, bench.keys.seal, bench.services.checkpoints.signer.public, roots)


def edit(bench: Bench, sql: str, *values: Any) -> None:
    with sqlite3.connect(bench.settings.data / "collector.sqlite") as connection:
        assert connection.execute(sql, values).rowcount >= 1
    connection.close()


def test_a_checkpoint_is_stamped_once_and_openssl_agrees(
    bench: Bench, terminal: Terminal, authority: TimestampAuthority, tmp_path: Path
) -> None:
    stamping = anchors(bench, authority)
    assert stamping.anchor() is None  # nothing to stamp yet
    signed(bench, terminal)
    assert stamping.anchor() is not None
    assert stamping.anchor() is None and authority.asked == 1
    signed(bench, terminal)
    assert stamping.anchor() is not None
    assert [one.size for one in kept(bench)] == [2, 3]
    report = fsck(bench, authority)
    assert report.difference is None and (report.anchors, report.anchors_not_run) == (2, 0)
    row, note = kept(bench)[0], bench.services.proofs.checkpoint(2)
    (tmp_path / "note").write_bytes(note)
    (tmp_path / "token.tsr").write_bytes(row.token)
    checked = subprocess.run(
        ["openssl", "ts", "-verify", "-data", "note", "-in", "token.tsr", "-CAfile", str(authority.ca)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert checked.returncode == 0 and "Verification: OK" in checked.stdout + checked.stderr


def test_without_the_root_certificates_a_time_stamp_is_not_run_and_not_passed(
    bench: Bench, terminal: Terminal, authority: TimestampAuthority
) -> None:
    signed(bench, terminal)
    anchors(bench, authority).anchor()
    report = fsck(bench, None)
    assert (report.anchors, report.anchors_not_run) == (0, 1)


@pytest.mark.parametrize(
    ("sql", "column"),
    [
        ("UPDATE anchors SET stamped_at = '2020-01-01T00:00:00.000Z' WHERE size = 2", "stamped_at"),
        ("UPDATE anchors SET token = zeroblob(100) WHERE size = 2", "token"),
        ("UPDATE anchors SET token = 'text' WHERE size = 2", "token"),
        ("UPDATE anchors SET token = (SELECT token FROM anchors WHERE size = 3) WHERE size = 2", "token"),
        ("UPDATE anchors SET size = 7 WHERE size = 2", "size"),
    ],
)
def test_fsck_names_a_changed_time_stamp(
    bench: Bench, terminal: Terminal, authority: TimestampAuthority, sql: str, column: str
) -> None:
    for _ in range(2):
        signed(bench, terminal)
        anchors(bench, authority).anchor()
    edit(bench, sql)
    found = fsck(bench, authority).difference
    assert found is not None and (found.table, found.column) == ("anchors", column)


def test_any_changed_byte_of_a_token_that_matters_is_found(
    bench: Bench, terminal: Terminal, authority: TimestampAuthority
) -> None:
    signed(bench, terminal)
    anchors(bench, authority).anchor()
    (row,), note, roots = kept(bench), bench.services.proofs.checkpoint(), load_roots(authority.ca)
    good = verified(row.token, note, roots).tst_info.gen_time
    passed = 0
    for at in range(0, len(row.token), 7):
        changed = row.token[:at] + bytes([row.token[at] ^ 1]) + row.token[at + 1 :]
        try:
            assert verified(changed, note, roots).tst_info.gen_time == good
            passed += 1
        except AnchorRefused:
            continue
    # A bit outside of what is signed (a free text beside the status, say) may change; the time and the hash may not.
    assert passed < 10


def test_answers_that_are_no_time_stamp_are_refused(
    bench: Bench, terminal: Terminal, authority: TimestampAuthority, tmp_path: Path
) -> None:
    signed(bench, terminal)
    stamping = anchors(bench, authority)
    for garbage in (b"", b"no token", b"\x30\x03\x02\x01\x02", b"x" * 200_000):
        authority.garbage = garbage
        with pytest.raises(AnchorRefused):
            stamping.anchor()
    authority.garbage = None
    other = TimestampAuthority(tmp_path / "other")
    try:
        with pytest.raises(AnchorRefused):  # stamped by somebody whose root is not ours
            Anchors(bench.database, other.url, load_roots(authority.ca)).anchor()
        first = Anchors(bench.database, other.url, load_roots(other.ca)).anchor()
        assert first is not None
        signed(bench, terminal)
        other.garbage = first.token  # an old answer again: the nonce is another
        with pytest.raises(AnchorRefused):
            Anchors(bench.database, other.url, load_roots(other.ca)).anchor()
    finally:
        other.stop()
    authority.stop()
    with pytest.raises(AnchorRefused, match="does not answer"):
        stamping.anchor()
    assert [one.authority for one in kept(bench)] == [other.url]


def test_the_settings_say_what_belongs_together(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="go together"):
        load_settings(data=tmp_path, tsa_url="http://tsa.example/")
    with pytest.raises(SettingsError):
        load_roots(tmp_path / "nothing.pem")
