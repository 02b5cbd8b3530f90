"""Files that are there whole or not at all, at both ends: kiosk.durable_file and collector.durable_file."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import collector.durable_file
import kiosk.durable_file

ENDS = (kiosk.durable_file, collector.durable_file)
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(params=ENDS, ids=lambda one: one.__name__.partition(".")[0])
def end(request: pytest.FixtureRequest) -> ModuleType:
    module: ModuleType = request.param
    return module


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_replaced_and_nobody_else_may_read_it(end: ModuleType, tmp_path: Path, open_umask: None) -> None:
    path = tmp_path / "held"
    path.write_bytes(b"old")  # open to all
    end.replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert mode_of(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("write", ["replace_file", "create_file"])
def test_a_write_that_fails_leaves_what_was_there_and_nothing_beside_it(
    end: ModuleType, tmp_path: Path, write: str
) -> None:
    path = tmp_path / "held"
    path.write_bytes(b"old")
    with pytest.raises(TypeError):
        getattr(end, write)(path, "not bytes")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_that_cannot_be_replaced_leaves_nothing_beside_it(end: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "held"
    (path / "folder").mkdir(parents=True)
    with pytest.raises(OSError, match="held"):
        end.replace_file(path, b"new")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("write", ["replace_file", "create_file"])
def test_the_bytes_are_on_disk_before_the_name_and_the_name_before_it_returns(
    end: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    done: list[str] = []
    fsync, replace, link = os.fsync, Path.replace, os.link

    def noted_fsync(handle: int) -> None:
        done.append("folder synced" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file synced")
        fsync(handle)

    def noted_replace(self: Path, target: Path) -> Path:
        done.append("named")
        return replace(self, target)

    def noted_link(draft: Path, path: Path) -> None:
        done.append("named")
        link(draft, path)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    monkeypatch.setattr(os, "link", noted_link)
    getattr(end, write)(tmp_path / "held", b"new")
    assert done == ["file synced", "named", "folder synced"]


def test_a_new_file_never_takes_the_place_of_one_that_is_there(end: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "held"
    end.create_file(path, b"first")
    end.create_file(path, b"second")
    assert path.read_bytes() == b"first"
    assert mode_of(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_of_many_who_make_a_file_at_once_one_wins_whole(end: ModuleType, tmp_path: Path) -> None:
    path, start = tmp_path / "held", threading.Barrier(8)

    def make(number: int) -> None:
        start.wait()
        end.create_file(path, bytes([number]) * 4096)

    makers = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for one in makers:
        one.start()
    for one in makers:
        one.join()
    held = path.read_bytes()
    assert held == held[:1] * 4096
    assert list(tmp_path.iterdir()) == [path]


def test_a_draft_that_a_crash_left_is_written_over_whoever_may_read_it(tmp_path: Path) -> None:
    draft = tmp_path / ".held.new"
    draft.write_bytes(b"half of someth")
    draft.chmod(0o666)
    kiosk.durable_file.replace_file(tmp_path / "held", b"whole")
    assert (tmp_path / "held").read_bytes() == b"whole"
    assert mode_of(tmp_path / "held") == 0o600
    assert not draft.exists()


def test_a_file_that_others_may_read_has_the_mode_that_was_asked_for(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        kiosk.durable_file.replace_file(tmp_path / "model", b"weights", mode=0o644)
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "model") == 0o644


_WRITER = """
import sys
from pathlib import Path
from {module} import replace_file
while True:
    for letter in b"ab":
        replace_file(Path(sys.argv[1]), bytes([letter]) * 100_000)
        print(flush=True)
"""


def test_a_writer_that_is_killed_leaves_the_old_file_or_the_new_one(end: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "held"
    for _ in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER.format(module=end.__name__), str(path)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
        )
        with writer:
            assert writer.stdout is not None
            assert writer.stdout.readline()
            writer.kill()
        held = path.read_bytes()
        assert held in (b"a" * 100_000, b"b" * 100_000)
