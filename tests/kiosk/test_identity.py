"""Key files: made once, for the terminal alone, never replaced."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from evidence.keys import Ed25519Key
from kiosk.errors import IdentityError, KeyFileExposed, KeyFileUnreadable
from kiosk.identity import FileKey, load_or_create, load_or_create_gallery_key


def test_a_key_is_made_at_first_start_and_found_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "terminal.pem"
    first = load_or_create(path)
    assert load_or_create(path).public == first.public
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]  # no draft is left


def test_a_key_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        load_or_create(tmp_path / "terminal.pem")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "terminal.pem").stat().st_mode) == 0o600


def test_two_terminals_have_two_keys(tmp_path: Path) -> None:
    assert load_or_create(tmp_path / "a").public != load_or_create(tmp_path / "b").public


def test_the_gallery_key_is_32_bytes_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "gallery.key"
    key = load_or_create_gallery_key(path)
    assert len(key) == 32
    assert load_or_create_gallery_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("load", [load_or_create, load_or_create_gallery_key])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602, 0o644])
def test_a_key_that_others_may_touch_is_refused_with_the_remedy(
    tmp_path: Path, load: Callable[[Path], object], mode: int
) -> None:
    path = tmp_path / "key"
    load(path)
    path.chmod(mode)
    with pytest.raises(KeyFileExposed, match=r"chmod 600 .*enrol this terminal again"):
        load(path)
    path.chmod(0o600)
    load(path)


@pytest.mark.root
def test_a_key_that_belongs_to_another_user_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    load_or_create(path)
    os.chown(path, 12345, 12345)
    with pytest.raises(KeyFileExposed, match="another user"):
        load_or_create(path)


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PRIVATE KEY-----\n", b"\x00" * 31])
@pytest.mark.parametrize("load", [load_or_create, load_or_create_gallery_key])
def test_a_file_without_a_key_is_refused_and_kept_as_it_is(
    tmp_path: Path, load: Callable[[Path], object], content: bytes
) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyFileUnreadable):
        load(path)
    assert path.read_bytes() == content


def test_what_is_not_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IdentityError):
        load_or_create(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(KeyFileUnreadable):
        load_or_create(tmp_path / "file" / "key")


def test_processes_that_start_together_use_one_key(tmp_path: Path) -> None:
    path, found, barrier = tmp_path / "key", [], threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        found.append(load_or_create(path).public.id)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert isinstance(load_or_create(path), Ed25519Key)


def test_a_dropped_key_signs_from_its_file_and_stays_out_of_memory(tmp_path: Path) -> None:
    path = tmp_path / "key"
    key = FileKey(path)
    assert key.held
    key.drop()
    key.public.verify(key.sign(b"statement"), b"statement")
    assert not key.held
    key.hold()
    assert key.held


def test_a_dropped_key_is_neither_made_anew_nor_exchanged(tmp_path: Path) -> None:
    path = tmp_path / "key"
    key = FileKey(path)
    key.drop()
    path.rename(tmp_path / "aside")
    with pytest.raises(KeyFileUnreadable):
        key.sign(b"statement")
    assert not path.exists()
    load_or_create(path)
    with pytest.raises(KeyFileUnreadable, match="another key"):
        key.sign(b"statement")
    path.chmod(0o644)
    with pytest.raises(KeyFileExposed):
        key.sign(b"statement")
