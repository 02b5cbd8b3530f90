"""A gallery that version 0.1 wrote opens in this one, with everything in it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kiosk.verify.attempts import Limit, Moment
from kiosk.verify.errors import GalleryUnreadable
from kiosk.verify.gallery import Gallery
from kiosk.verify.pin import new_pin

KEY, MODEL = bytes(range(32)), "dlib-resnet-v1/0123456789ab/mp5.1"
FACE = np.arange(256, dtype="<f4").reshape(2, 128)
TABLES = """
create table mark (id integer primary key check (id = 1), sealed blob not null);
create table person (worker text primary key, sealed blob not null);
create table template (
  worker text not null references person (worker) on delete cascade, model text not null, sealed blob not null,
  primary key (worker, model)
);
"""


def seal(plain: bytes, *bound_to: str) -> bytes:
    nonce = bytes(12)
    return nonce + AESGCM(KEY).encrypt(nonce, plain, json.dumps(["zaigang-gallery-1", *bound_to]).encode())


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "gallery.db"
    pin = {"hash": new_pin("4711").hash, "failures": 2, "locked_boot": None, "locked_us": 0}
    database = sqlite3.connect(path)
    database.executescript(TABLES)
    database.execute("insert into mark values (1, ?)", (seal(b"zaigang", "mark"),))
    person = json.dumps({"name": "王芳", "pin": pin}).encode()
    database.execute("insert into person values ('E-17', ?)", (seal(person, "person", "E-17"),))
    face = (128).to_bytes(4, "little") + FACE.tobytes()
    database.execute("insert into template values ('E-17', ?, ?)", (MODEL, seal(face, "template", "E-17", MODEL)))
    database.commit()
    database.close()
    return path


def test_an_earlier_gallery_opens_with_face_name_and_pin_and_takes_what_is_new(old: Path) -> None:
    for _ in range(2):  # opened by this version, and once more
        gallery = Gallery(old, KEY)
        held = gallery.get("E-17")
        assert held is not None
        assert (held.name, held.models, held.has_pin, held.role, held.enrolment) == (
            "王芳",
            (MODEL,),
            True,
            "worker",
            None,
        )
        (template,) = gallery.templates(MODEL)
        assert np.array_equal(template.vectors, FACE)
        assert gallery.pending() == ()
        gallery.count_attempt(Limit("face", 3, 1000), "E-17", Moment("a" * 32, 5))
        gallery.close()
    gallery = Gallery(old, KEY)
    assert gallery.check_pin("E-17", "4711", boot="a" * 32, mono_us=0).outcome == "passed"
    assert gallery.erase("E-17")
    gallery.close()


def test_a_gallery_of_a_later_version_is_left_alone(old: Path) -> None:
    database = sqlite3.connect(old)
    database.execute("pragma user_version = 99")
    database.close()
    before = old.read_bytes()
    with pytest.raises(GalleryUnreadable, match="update zaigang"):
        Gallery(old, KEY)
    assert old.read_bytes() == before
