from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from evidence.events import Outcome
from kiosk.verify.errors import GalleryLocked, GalleryTampered, GalleryUnreadable, WrongGalleryKey
from kiosk.verify.gallery import Gallery

KEY = bytes(range(32))
MODEL, OTHER_MODEL = "dlib-resnet-v1/0123456789ab/mp5.1", "sface/ba9876543210/mp5.1"
BOOT = "a" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gallery.db"


@pytest.fixture
def gallery(path: Path) -> Iterator[Gallery]:
    one = Gallery(path, KEY)
    yield one
    one.close()


def face(seed: int, frames: int = 3) -> list[NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    return [random.normal(size=128).astype(np.float32) for _ in range(frames)]


def on_disk(path: Path) -> bytes:
    return b"".join(one.read_bytes() for one in sorted(path.parent.iterdir()))


def test_what_is_enrolled_comes_back_after_a_restart(path: Path) -> None:
    vectors = face(1)
    first = Gallery(path, KEY)
    first.enrol("E-17", "王芳", MODEL, vectors, pin="4711")
    first.close()
    again = Gallery(path, KEY)
    worker, template = again.get("E-17"), again.template("E-17", MODEL)
    assert worker is not None
    assert (worker.name, worker.models, worker.has_pin) == ("王芳", (MODEL,), True)
    assert template is not None
    assert np.array_equal(template.vectors, np.stack(vectors))
    assert [one.worker for one in again.templates(MODEL)] == ["E-17"]
    again.close()


def test_neither_name_nor_template_nor_pin_lies_open_in_the_file(gallery: Gallery, path: Path) -> None:
    vectors = face(1)
    gallery.enrol("E-17", "Wang Fang", MODEL, vectors, pin="4711")
    data = on_disk(path)
    assert b"E-17" in data
    for secret in (b"Wang Fang", b"4711", b"argon2", vectors[0].tobytes()[:16], vectors[2].tobytes()[:16]):
        assert secret not in data


def test_the_file_is_its_owners_alone(gallery: Gallery, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_erasing_leaves_no_byte_of_the_worker_in_any_file(gallery: Gallery, path: Path) -> None:
    for number in range(40):
        gallery.enrol(f"E-{number:02}", f"Name {number}", MODEL, face(number), pin=None)
    raw = sqlite3.connect(path)
    sealed = [row[0] for row in raw.execute("select sealed from template where worker = 'E-17'")]
    sealed += [row[0] for row in raw.execute("select sealed from person where worker = 'E-17'")]
    raw.close()
    pieces = [blob[start : start + 16] for blob in sealed for start in range(0, len(blob) - 16, 16)]
    assert all(piece in on_disk(path) for piece in pieces[:1])

    assert gallery.erase("E-17")

    left = on_disk(path)
    assert not any(piece in left for piece in pieces)
    assert b"E-17" not in left
    assert gallery.get("E-17") is None
    assert len(gallery.templates(MODEL)) == 39
    assert not gallery.erase("E-17")


def test_enrolling_again_leaves_no_byte_of_the_old_face(gallery: Gallery, path: Path) -> None:
    gallery.enrol("E-17", "Wang Fang", MODEL, face(1, frames=20))  # 10 KB: pages that the new one leaves free
    raw = sqlite3.connect(path)
    (old,) = raw.execute("select sealed from template").fetchone()
    raw.close()
    gallery.enrol("E-17", "Wang Fang", MODEL, face(2, frames=1))
    left = on_disk(path)
    assert not any(old[start : start + 16] in left for start in range(0, len(old) - 16, 16))
    assert len(gallery.templates(MODEL)) == 1


@pytest.mark.parametrize("table", ["person", "template"])
def test_a_changed_byte_is_found(gallery: Gallery, path: Path, table: str) -> None:
    gallery.enrol("E-17", "Wang Fang", MODEL, face(1))
    raw = sqlite3.connect(path)
    (sealed,) = raw.execute(f"select sealed from {table}").fetchone()
    changed = bytes([*sealed[:20], sealed[20] ^ 1, *sealed[21:]])
    raw.execute(f"update {table} set sealed = ?", (changed,))
    raw.commit()
    raw.close()
    with pytest.raises(GalleryTampered):
        gallery.templates(MODEL)


@pytest.mark.parametrize("table", ["person", "template"])
def test_rows_swapped_between_two_workers_are_found(gallery: Gallery, path: Path, table: str) -> None:
    gallery.enrol("E-17", "Wang Fang", MODEL, face(1))
    gallery.enrol("E-18", "Li Lei", MODEL, face(2))
    raw = sqlite3.connect(path)
    rows = dict(raw.execute(f"select worker, sealed from {table}").fetchall())
    raw.execute(f"update {table} set sealed = ? where worker = 'E-17'", (rows["E-18"],))
    raw.commit()
    raw.close()
    with pytest.raises(GalleryTampered):
        gallery.template("E-17", MODEL)


def test_a_template_moved_to_another_model_is_found(gallery: Gallery, path: Path) -> None:
    gallery.enrol("E-17", "Wang Fang", MODEL, face(1))
    raw = sqlite3.connect(path)
    raw.execute("update template set model = ?", (OTHER_MODEL,))
    raw.commit()
    raw.close()
    with pytest.raises(GalleryTampered):
        gallery.templates(OTHER_MODEL)


def test_another_key_does_not_open_the_gallery(gallery: Gallery, path: Path) -> None:
    with pytest.raises(WrongGalleryKey):
        Gallery(path, KEY[::-1])
    with pytest.raises(ValueError, match="32 bytes"):
        Gallery(path, b"short")


def test_a_file_of_something_else_is_refused(path: Path) -> None:
    path.write_bytes(b"not a database " * 100)
    with pytest.raises(GalleryUnreadable):
        Gallery(path, KEY)


def test_a_change_of_model_asks_for_enrolling_again(gallery: Gallery) -> None:
    gallery.enrol("E-17", "Wang Fang", MODEL, face(1), pin="4711")
    assert gallery.templates(OTHER_MODEL) == ()
    assert gallery.outdated(OTHER_MODEL) == ("E-17",)
    gallery.enrol("E-17", "Wang Fang", OTHER_MODEL, face(2))
    worker = gallery.get("E-17")
    assert worker is not None
    assert (worker.models, worker.has_pin) == ((OTHER_MODEL,), True)
    assert gallery.outdated(OTHER_MODEL) == ()


def test_vectors_that_are_no_numbers_are_refused(gallery: Gallery) -> None:
    with pytest.raises(ValueError, match="finite"):
        gallery.enrol("E-17", "Wang Fang", MODEL, [np.full(128, np.nan, np.float32)])
    assert gallery.get("E-17") is None


def test_a_worker_without_a_face_has_badge_and_pin(gallery: Gallery) -> None:
    gallery.enrol("E-17", "Wang Fang", MODEL, [], pin="4711")
    assert gallery.templates(MODEL) == ()
    assert gallery.check_pin("E-17", "4711", boot=BOOT, mono_us=0).outcome == "passed"


def test_the_lock_of_a_pin_survives_a_restart(path: Path) -> None:
    first = Gallery(path, KEY)
    first.enrol("E-17", "Wang Fang", MODEL, [], pin="4711")
    for _ in range(5):
        first.check_pin("E-17", "0000", boot=BOOT, mono_us=1)
    first.close()
    again = Gallery(path, KEY)
    check = again.check_pin("E-17", "4711", boot=BOOT, mono_us=2)
    again.close()
    assert (check.outcome, check.reason.split(":")[0]) == ("failed", "locked")


def test_one_pin_tried_under_every_badge_is_stopped_and_ten_minutes_later_the_terminal_takes_pins_again(
    path: Path,
) -> None:
    with closing(Gallery(path, KEY)) as gallery:
        for number in range(30):
            gallery.enrol(f"E-{number}", "Wang Fang", MODEL, [], pin="4711")
        guessed = [gallery.check_pin(f"E-{number}", "1234", boot=BOOT, mono_us=number).reason for number in range(25)]
        assert [one.partition(":")[0] for one in guessed] == ["wrong_pin"] * 20 + ["locked"] * 5
        assert gallery.get("E-24") is not None
    with closing(Gallery(path, KEY)) as gallery:  # pulling the plug buys no guess
        right = gallery.check_pin("E-29", "4711", boot=BOOT, mono_us=30)
        assert (right.outcome, right.reason.partition(":")[0]) == (Outcome.FAILED, "locked")
        gallery.enrol("B-1", "Zhao Qiang", MODEL, [], pin="4711", role="supervisor")
        assert gallery.check_pin("B-1", "4711", boot=BOOT, mono_us=30).outcome is Outcome.PASSED  # a way out for all
        later = gallery.check_pin("E-29", "4711", boot=BOOT, mono_us=600_000_020)
        assert later.outcome is Outcome.PASSED


def test_trying_a_locked_pin_again_and_again_locks_nobody_else_out(gallery: Gallery) -> None:
    gallery.enrol("E-17", "Wang Fang", MODEL, [], pin="4711")
    gallery.enrol("E-18", "Li Na", MODEL, [], pin="4711")
    for moment in range(60):
        gallery.check_pin("E-17", "0000", boot=BOOT, mono_us=moment)
        gallery.check_pin("E-99", "0000", boot=BOOT, mono_us=moment)
    assert gallery.check_pin("E-18", "4711", boot=BOOT, mono_us=61).outcome is Outcome.PASSED


def test_a_pin_for_nobody_fails_and_a_broken_row_is_not_run(gallery: Gallery, path: Path) -> None:
    assert gallery.check_pin("E-99", "4711", boot=BOOT, mono_us=0).reason.startswith("no_pin: ")
    gallery.enrol("E-17", "Wang Fang", MODEL, [], pin="4711")
    raw = sqlite3.connect(path)
    raw.execute("update person set sealed = zeroblob(60)")
    raw.commit()
    raw.close()
    check = gallery.check_pin("E-17", "4711", boot=BOOT, mono_us=0)
    assert (check.outcome, check.reason.split(":")[0]) == ("not_run", "error")


def test_a_locked_gallery_gives_nothing_takes_nothing_and_is_itself_again_with_its_key(
    gallery: Gallery, path: Path
) -> None:
    gallery.enrol("E-17", "王芳", MODEL, face(1), pin="4711")
    gallery.lock()
    before = on_disk(path)
    assert gallery.locked
    for asked in (
        lambda: gallery.get("E-17"),
        lambda: gallery.template("E-17", MODEL),
        lambda: gallery.templates(MODEL),
        lambda: gallery.enrol("E-18", "x", MODEL, face(2)),
    ):
        with pytest.raises(GalleryLocked):
            asked()
    check = gallery.check_pin("E-17", "4711", boot=BOOT, mono_us=1)
    assert (check.outcome, check.reason.partition(":")[0]) == (Outcome.NOT_RUN, "enclosure_opened")
    assert on_disk(path) == before
    with pytest.raises(WrongGalleryKey):
        gallery.unlock(bytes(32))
    assert gallery.locked
    gallery.unlock(KEY)
    assert gallery.check_pin("E-17", "4711", boot=BOOT, mono_us=1).outcome is Outcome.PASSED


def test_locking_forgets_the_faces_that_are_kept_for_the_search(gallery: Gallery) -> None:
    gallery.enrol("E-17", "王芳", MODEL, face(1))
    kept = gallery.lineup(MODEL).templates[0].vectors
    gallery.lock()
    assert np.isnan(kept).all()


def test_a_gallery_opened_without_its_key_is_locked(gallery: Gallery, path: Path) -> None:
    gallery.enrol("E-17", "王芳", MODEL, face(1), pin="4711")
    locked = Gallery(path, None)
    with pytest.raises(GalleryLocked):
        locked.get("E-17")
    assert locked.workers() == ("E-17",)  # codes lie open
    locked.unlock(KEY)
    assert locked.get("E-17") is not None
    locked.close()


def searched(gallery: Gallery) -> list[str]:
    return [one.worker for one in gallery.lineup(MODEL).templates]


def test_the_lineup_is_kept_until_a_face_changes(gallery: Gallery) -> None:
    gallery.enrol("E-17", "Wang Fang", MODEL, face(1), pin="4711")
    first = gallery.lineup(MODEL)
    assert gallery.lineup(MODEL) is first
    gallery.check_pin("E-17", "0000", boot=BOOT, mono_us=0)  # a guessed PIN must not cost reading everybody again
    assert gallery.lineup(MODEL) is first
    gallery.enrol("E-18", "Li Lei", MODEL, face(2))
    assert searched(gallery) == ["E-17", "E-18"]
    gallery.enrol("E-17", "Wang F.", MODEL, face(3))
    (apart, nearest), _ = gallery.lineup(MODEL).two_nearest(np.mean(face(3), axis=0, dtype=np.float32))
    assert (nearest.name, apart) == ("Wang F.", pytest.approx(0, abs=1e-5))
    gallery.erase("E-17")
    assert searched(gallery) == ["E-18"]


def test_the_lineup_of_another_model_is_another(gallery: Gallery) -> None:
    gallery.enrol("E-17", "Wang Fang", MODEL, face(1))
    assert len(gallery.lineup(OTHER_MODEL)) == 0
    assert searched(gallery) == ["E-17"]
    ((apart, _),) = gallery.lineup(MODEL, unit_length=True).two_nearest(np.zeros(128, np.float32))
    assert apart == pytest.approx(1, abs=1e-5)


def test_a_change_by_another_process_is_seen(gallery: Gallery, path: Path) -> None:
    gallery.enrol("E-17", "Wang Fang", MODEL, face(1))
    assert searched(gallery) == ["E-17"]
    other = Gallery(path, KEY)
    other.enrol("E-18", "Li Lei", MODEL, face(2))
    assert searched(gallery) == ["E-17", "E-18"]
    other.erase("E-17")
    other.close()
    assert searched(gallery) == ["E-18"]


def test_a_row_that_was_changed_is_found_by_the_search_too(gallery: Gallery, path: Path) -> None:
    gallery.enrol("E-17", "Wang Fang", MODEL, face(1))
    assert searched(gallery) == ["E-17"]
    raw = sqlite3.connect(path)
    raw.execute("update template set sealed = zeroblob(600)")
    raw.commit()
    raw.close()
    with pytest.raises(GalleryTampered):
        gallery.lineup(MODEL)


def test_forgetting_overwrites_the_faces_in_memory_and_they_match_nobody(gallery: Gallery) -> None:
    gallery.enrol("E-17", "Wang Fang", MODEL, face(1))
    held = gallery.lineup(MODEL)
    kept = held.templates[0].vectors
    gallery.forget()
    assert np.isnan(kept).all()
    with pytest.raises(ValueError, match="not finite"):
        held.two_nearest(np.zeros(128, np.float32))
    assert searched(gallery) == ["E-17"]
