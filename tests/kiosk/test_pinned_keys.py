"""A terminal believes the collector's next key, across restarts, and never goes back."""

from __future__ import annotations

from pathlib import Path

from evidence.handover import sign_handover
from evidence.keys import Ed25519Key
from kiosk.pinned_keys import believed_keys, take_handovers

TIME = "2026-11-24T00:00:00.000Z"
A, B, C, OTHER = (Ed25519Key.generate() for _ in range(4))
PINNED = (A.public, OTHER.public)
FIRST = sign_handover("receipt", A, B, TIME)
BOTH = FIRST + b"\n" + sign_handover("receipt", B, C, TIME)


def test_the_next_key_counts_at_once_and_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "handovers.dsse"
    assert believed_keys(PINNED, path) == PINNED
    assert take_handovers(PINNED, path, FIRST) == (B.public, OTHER.public)
    assert believed_keys(PINNED, path) == (B.public, OTHER.public)
    assert take_handovers(PINNED, path, BOTH) == (C.public, OTHER.public)
    assert believed_keys(PINNED, path) == (C.public, OTHER.public)


def test_an_older_message_takes_nothing_back(tmp_path: Path) -> None:
    path = tmp_path / "handovers.dsse"
    take_handovers(PINNED, path, BOTH)
    assert take_handovers(PINNED, path, FIRST) == (C.public, OTHER.public)
    assert believed_keys(PINNED, path) == (C.public, OTHER.public)


def test_a_strangers_message_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "handovers.dsse"
    assert take_handovers(PINNED, path, sign_handover("receipt", C, B, TIME)) == PINNED
    assert not path.exists() and take_handovers(PINNED, path, b"{}") is None


def test_a_damaged_file_leaves_the_pinned_keys(tmp_path: Path) -> None:
    path = tmp_path / "handovers.dsse"
    take_handovers(PINNED, path, FIRST)
    data = bytearray(path.read_bytes())
    for place in range(0, len(data), 37):
        path.write_bytes(bytes(data[:place]) + bytes([data[place] ^ 1]) + bytes(data[place + 1 :]))
        assert believed_keys(PINNED, path) == PINNED
