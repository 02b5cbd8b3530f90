"""Keys in a TPM, against a real software TPM: nothing on disk signs or decrypts; without it nothing goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evidence.chain import verify_chain
from evidence.errors import BadSignature
from evidence.events import Kind, LogType
from evidence.keys import Algorithm
from kiosk.clock import SystemClock
from kiosk.errors import JournalFailed, KeyFileExposed, KeyFileUnreadable, TpmFailed
from kiosk.gallery_key import Sealed, gallery_key, keys_part
from kiosk.identity import load_or_create, load_or_create_gallery_key
from kiosk.journal import Journal
from kiosk.terminal_key import TerminalKey
from kiosk.tpm import Tpm, choose_tpm
from kiosk.transfer.transfer_key import TransferKey
from tests.kiosk.small_terminal import small_terminal, until
from tests.support.swtpm import MISSING, Swtpm


@pytest.fixture(autouse=True, scope="module")
def _everything_is_there() -> None:
    assert MISSING is None, MISSING


NOTE = {"sensor": "camera", "state": "working", "before": None, "reason": "ok: a test"}


@pytest.fixture
def swtpm(tmp_path: Path) -> Iterator[Swtpm]:
    one = Swtpm(tmp_path / "swtpm").start()
    yield one
    one.stop()


@pytest.fixture
def tpm(swtpm: Swtpm) -> Iterator[Tpm]:
    one = Tpm(swtpm.tcti)
    yield one
    one.close()


def journal_in(folder: Path, key: TerminalKey) -> Journal:
    return Journal(folder / "journal.db", key, "gate-1", "east", "Asia/Shanghai", SystemClock())


def test_a_new_terminals_key_is_made_in_the_tpm_and_found_again(tmp_path: Path, tpm: Tpm) -> None:
    path = tmp_path / "keys" / "terminal.pem"
    key = TerminalKey(path, tpm)
    assert (key.public.algorithm, key.protected, key.held) == (Algorithm.ES256, True, True)
    for n in range(50):  # low-S each time, although a TPM does not care
        key.public.verify(key.sign(b"%d" % n), b"%d" % n)
    with pytest.raises(BadSignature):
        key.public.verify(key.sign(b"one"), b"other")
    assert not path.exists()
    assert [file.name for file in path.parent.iterdir()] == ["terminal.tpm"]
    assert b"PRIVATE KEY" in (path.parent / "terminal.tpm").read_bytes()
    assert TerminalKey(path, tpm).public == key.public


def test_a_dropped_key_still_signs_and_is_not_kept_loaded(tmp_path: Path, tpm: Tpm) -> None:
    key = TerminalKey(tmp_path / "terminal.pem", tpm)
    key.drop()
    assert not key.held
    for _ in range(5):  # more than the TPM has places: each is freed
        key.public.verify(key.sign(b"x"), b"x")
    key.hold()
    assert key.held


def test_a_copy_of_the_disk_is_worth_nothing_on_another_machine(tmp_path: Path, tpm: Tpm) -> None:
    key = TerminalKey(tmp_path / "terminal.pem", tpm)
    sealed = Sealed(tmp_path / "gallery.tpm", tmp_path / "gallery.key", tpm)
    secret = sealed.load()
    assert secret not in (tmp_path / "gallery.tpm").read_bytes()
    stranger = Swtpm(tmp_path / "another").start()
    try:
        other = Tpm(stranger.tcti)
        with pytest.raises(TpmFailed):
            TerminalKey(tmp_path / "terminal.pem", other)
        with pytest.raises(TpmFailed):
            Sealed(tmp_path / "gallery.tpm", tmp_path / "gallery.key", other).load()
        other.close()
    finally:
        stranger.stop()
    assert key.public == TerminalKey(tmp_path / "terminal.pem", tpm).public


def test_without_its_tpm_a_terminal_makes_no_other_key(tmp_path: Path, tpm: Tpm) -> None:
    TerminalKey(tmp_path / "terminal.pem", tpm)
    gallery_key(tmp_path / "gallery.key", tpm).load()
    with pytest.raises(TpmFailed, match="check tpm in the settings"):
        TerminalKey(tmp_path / "terminal.pem", None)
    with pytest.raises(TpmFailed, match="check tpm in the settings"):
        gallery_key(tmp_path / "gallery.key", None).load()
    assert not (tmp_path / "terminal.pem").exists()
    assert not (tmp_path / "gallery.key").exists()


def test_a_wrapped_key_that_is_damaged_or_open_to_others_is_refused(tmp_path: Path, tpm: Tpm) -> None:
    TerminalKey(tmp_path / "terminal.pem", tpm)
    wrapped = tmp_path / "terminal.tpm"
    whole = wrapped.read_bytes()
    for damaged in (b"", b"garbage", whole[:100], whole.replace(b"MI", b"AA", 1)):
        wrapped.write_bytes(damaged)
        with pytest.raises(KeyFileUnreadable):
            TerminalKey(tmp_path / "terminal.pem", tpm)
    wrapped.write_bytes(whole)
    wrapped.chmod(0o644)
    with pytest.raises(KeyFileExposed):
        TerminalKey(tmp_path / "terminal.pem", tpm)
    (tmp_path / "gallery.tpm").write_bytes(b"{}")
    (tmp_path / "gallery.tpm").chmod(0o600)
    with pytest.raises(KeyFileUnreadable):
        gallery_key(tmp_path / "gallery.key", tpm).load()


def test_an_existing_gallery_key_is_taken_over_and_its_file_goes(tmp_path: Path, tpm: Tpm) -> None:
    old = load_or_create_gallery_key(tmp_path / "gallery.key")
    keeper = gallery_key(tmp_path / "gallery.key", tpm)
    assert keeper.protected
    assert keeper.load() == old
    assert not (tmp_path / "gallery.key").exists()
    for _ in range(40):  # neither sessions nor objects are left behind in the TPM
        assert keeper.load() == old


def test_a_rotation_moves_a_file_key_to_the_tpm_in_one_chain(tmp_path: Path, tpm: Tpm) -> None:
    first = load_or_create(tmp_path / "terminal.pem").public
    key = TerminalKey(tmp_path / "terminal.pem", tpm)
    assert (key.public, key.protected) == (first, False)
    keeper = gallery_key(tmp_path / "gallery.key", tpm)
    assert keys_part(keeper, key).reason.startswith("keys_unprotected: the signing key is still a file")
    journal = journal_in(tmp_path, key)
    journal.rotate_key("planned: to the TPM")
    journal.append(Kind.SENSOR_CHANGED, NOTE)
    assert key.protected
    assert keys_part(keeper, key).state == "working"
    assert not (tmp_path / "terminal.pem").exists()
    journal.rotate_key("planned: and on")
    report = verify_chain([data for _, data in journal.unsent(-1, 10)], {"gate-1": first})
    assert report.ok, report.problems
    journal.close()
    again = journal_in(tmp_path, TerminalKey(tmp_path / "terminal.pem", tpm))
    again.append(Kind.SENSOR_CHANGED, NOTE)
    again.close()


def test_a_tpm_that_goes_away_fails_closed_and_is_found_again(tmp_path: Path, swtpm: Swtpm, tpm: Tpm) -> None:
    key = TerminalKey(tmp_path / "terminal.pem", tpm)
    journal = journal_in(tmp_path, key)
    swtpm.stop()
    with pytest.raises(JournalFailed, match="tpm_failed: the TPM"):
        journal.append(Kind.SENSOR_CHANGED, NOTE)
    assert (journal.state.state, journal.head.seq) == ("failed", 0)
    assert not journal.probe()
    assert keys_part(gallery_key(tmp_path / "gallery.key", tpm), key).reason.startswith("tpm_failed")
    swtpm.start()
    assert journal.probe()
    assert journal.append(Kind.SENSOR_CHANGED, NOTE).seq == 1
    assert journal.state.state == "working"
    assert key.trouble is None
    journal.close()


def test_a_whole_terminal_punches_with_a_tpm_and_says_when_it_is_gone(tmp_path: Path, swtpm: Swtpm) -> None:
    with small_terminal(tmp_path, tpm=swtpm.tcti) as kiosk:
        assert kiosk.parts()["keys"].state == "working"
        kiosk.attendant.badge_pin(LogType.IN, "W-9", "000000")
        until(lambda: kiosk.attendant.view().result, "a result")
        kiosk.attendant.dismiss()
        before = kiosk.journal.head.seq
        swtpm.stop()
        kiosk.attendant.badge_pin(LogType.IN, "W-9", "000000")
        until(lambda: kiosk.parts()["journal"].state == "failed", "the status to say so")
        assert kiosk.journal.head.seq == before
        assert kiosk.parts()["keys"].reason.startswith("tpm_failed")
        until(lambda: kiosk.attendant.view().troubles, "the screen to say so")


def test_the_setting_chooses_none_or_a_named_one(swtpm: Swtpm) -> None:
    assert choose_tpm("none") is None
    named = choose_tpm(swtpm.tcti)
    assert named is not None
    assert named.create_key()
    named.close()


def test_the_key_for_other_terminals_faces_is_sealed_to_the_tpm_and_made_anew(tmp_path: Path, tpm: Tpm) -> None:
    key = TransferKey(tmp_path / "transfer.key", tpm)
    first = key.public
    assert [file.name for file in tmp_path.glob("transfer*")] == ["transfer.tpm"]
    assert TransferKey(tmp_path / "transfer.key", tpm).public == first
    assert key.load().private_bytes_raw() not in (tmp_path / "transfer.tpm").read_bytes()
    with pytest.raises(TpmFailed):
        TransferKey(tmp_path / "transfer.key", None).load()
    key.renew()
    assert key.public != first
