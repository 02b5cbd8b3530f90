"""The file of identity keys: closed to others, and no key in any message."""

from __future__ import annotations

from pathlib import Path

import pytest

from kiosk.eid_keys import load_eid_keys
from kiosk.errors import KeyFileExposed, KeyFileUnreadable
from kiosk.sensors.eddystone_eid import EidBeacon

KEY = "0102030405060708090A111213141516"
GOOD = f'[badge-17]\nkey = "{KEY}"\nexponent = 10\ncounter_zero = 2026-11-01T00:00:00Z\n'


def written(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "eid-keys.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_keys_are_read(tmp_path: Path) -> None:
    (one,) = load_eid_keys(written(tmp_path, GOOD))
    assert one == EidBeacon("badge-17", bytes.fromhex(KEY), 10, 1_793_491_200)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(KeyFileExposed, match="chmod 600"):
        load_eid_keys(written(tmp_path, GOOD, mode))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (KEY, KEY[:-1], "badge-17.key"),
        (KEY, KEY + "00", "badge-17.key"),
        ("exponent = 10", "exponent = 16", "badge-17.exponent"),
        ("exponent = 10", "", "badge-17.exponent"),
        ("00:00:00Z", "00:00:00", "badge-17.counter_zero"),
        ("badge-17", "Badge", "Badge"),
        ("exponent = 10", "exponent = 10\nnote = 1", "badge-17.note"),
        ("[badge-17]", "[badge-17", "is not TOML"),
    ],
)
def test_what_is_wrong_is_named_and_no_key_is_shown(tmp_path: Path, before: str, after: str, message: str) -> None:
    with pytest.raises(KeyFileUnreadable) as caught:
        load_eid_keys(written(tmp_path, GOOD.replace(before, after)))
    assert message in str(caught.value)
    assert KEY[:-1] not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_a_file_that_is_missing_or_a_folder_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(KeyFileUnreadable, match=path.name):
            load_eid_keys(path)
