"""A batch is what its first line says, signed by a key that counts or that rotations lead to; nothing else is one."""

from __future__ import annotations

import hashlib
import itertools

import pytest

from evidence.delivery import (
    MAX_BATCH_BYTES,
    MAX_BATCH_EVENTS,
    MAX_ROTATIONS,
    Batch,
    Delivery,
    read_batch,
    write_batch,
)
from evidence.envelope import DELIVERY_TYPE, EVENT_TYPE, MAX_ENVELOPE_BYTES, sign
from evidence.errors import DeliveryError, EncodingError, SignatureError, TooLarge, UnknownKey
from evidence.events import Kind
from evidence.keys import Ed25519Key, Es256Key, SigningKey
from evidence.signed_fact import sign_fact
from tests.collector.terminal import Terminal

NONCE = "a" * 32


def rotation(terminal: Terminal, new: SigningKey, old: SigningKey | None = None, device: str = "gate-1") -> bytes:
    """A `device.key_rotated` from `old`, by default the terminal's key, to `new`, signed by both."""
    old = old or terminal.key
    body = {"previous": old.public.text(), "key": new.public.text(), "reason": "planned: a test"}
    event = terminal.event(Kind.DEVICE_KEY_ROTATED, body, device=device)
    return sign(EVENT_TYPE, event.payload(), old, new).encode()


def batch(terminal: Terminal, key: SigningKey, *lines: bytes, rotations: tuple[bytes, ...] = ()) -> Batch:
    return read_batch(write_batch(terminal.device, terminal.site, NONCE, lines, key, rotations=rotations))


@pytest.mark.parametrize("kind", [Ed25519Key, Es256Key])
@pytest.mark.parametrize("events", [0, 1, 5])
def test_what_was_written_is_read(kind: type[Ed25519Key], events: int) -> None:
    terminal, key = Terminal(), kind.generate()
    lines = [terminal.enrol(), *(terminal.punch() for _ in range(4))][:events]
    found = batch(terminal, key, *lines)
    assert (list(found.lines), found.delivery.events, found.delivery.device) == (lines, events, "gate-1")
    found.verify([key.public])
    with pytest.raises(UnknownKey):
        found.verify([Ed25519Key.generate().public])
    with pytest.raises(UnknownKey):
        found.verify([])


def test_every_change_of_a_byte_is_found() -> None:
    terminal = Terminal()
    data = write_batch("gate-1", "east", NONCE, [terminal.enrol(), b"\n"], terminal.key)[:-2]
    good = write_batch("gate-1", "east", NONCE, [terminal.enrol()], terminal.key)
    with pytest.raises((DeliveryError, EncodingError)):
        read_batch(data)
    for place in range(0, len(good), 7):
        changed = bytearray(good)
        changed[place] ^= 1
        with pytest.raises((DeliveryError, EncodingError, SignatureError)):
            read_batch(bytes(changed)).verify([terminal.key.public])


def test_no_line_is_added_left_out_or_split() -> None:
    terminal = Terminal()
    good = write_batch("gate-1", "east", NONCE, [terminal.enrol(), terminal.punch()], terminal.key)
    for bad in (good + b"\n", good + b"\n{}", good.rpartition(b"\n")[0], good.replace(b"\n", b"\n\n", 1)):
        with pytest.raises(DeliveryError):
            read_batch(bad)


def test_a_batch_has_its_bounds() -> None:
    terminal = Terminal()
    with pytest.raises(TooLarge):
        write_batch("gate-1", "east", NONCE, [b"x" * 60_000] * 18, terminal.key)
    with pytest.raises(TooLarge):
        read_batch(b"x" * (MAX_BATCH_BYTES + 1))
    with pytest.raises(TooLarge):
        read_batch(write_batch("gate-1", "east", NONCE, [b"x" * (MAX_ENVELOPE_BYTES + 1)], terminal.key))


@pytest.mark.parametrize("where", ["in the first line", "among the events"])
def test_a_key_is_followed_through_rotations_that_each_pair_has_signed(where: str) -> None:
    terminal = Terminal()
    keys = [terminal.key, *(Ed25519Key.generate() for _ in range(MAX_ROTATIONS))]
    steps = tuple(rotation(terminal, new, old) for old, new in itertools.pairwise(keys))
    told = {"rotations": steps} if where == "in the first line" else {}
    found = batch(terminal, keys[-1], *(steps if not told else ()), **told)
    found.verify([keys[0].public])
    found.verify([keys[3].public])  # what came before the key that is known says nothing
    with pytest.raises(UnknownKey):
        found.verify([Ed25519Key.generate().public])


def test_a_rotation_that_is_none_leads_nowhere() -> None:
    terminal, thief = Terminal(), Ed25519Key.generate()
    body = {"previous": terminal.key.public.text(), "key": thief.public.text(), "reason": "stolen"}
    event = terminal.event(Kind.DEVICE_KEY_ROTATED, body)
    for bad in (
        sign(EVENT_TYPE, event.payload(), thief).encode(),  # the old key has not signed
        sign(EVENT_TYPE, event.payload(), thief, thief).encode(),
        sign(EVENT_TYPE, event.payload(), terminal.key).encode(),  # nor has the new one
        rotation(terminal, thief, device="gate-2"),  # another terminal's
        terminal.enrol(),
        b"garbage",
    ):
        for found in (batch(terminal, thief, bad), batch(terminal, thief, rotations=(bad,))):
            with pytest.raises(UnknownKey):
                found.verify([terminal.key.public])


def test_a_batch_that_another_key_has_signed_under_a_known_keys_id_is_refused() -> None:
    terminal, thief = Terminal(), Ed25519Key.generate()
    data = write_batch("gate-1", "east", NONCE, [], thief).replace(
        thief.public.id.encode(), terminal.key.public.id.encode()
    )
    with pytest.raises(SignatureError):
        read_batch(data).verify([terminal.key.public])


def test_lines_without_number_are_refused_before_anybody_reads_them() -> None:
    """A mebibyte of line feeds under a name that anybody can write would cost whoever reads it many seconds."""
    terminal = Terminal()
    with pytest.raises(TooLarge):
        write_batch("gate-1", "east", NONCE, [b""] * (MAX_BATCH_EVENTS + 1), terminal.key)
    rest = b"\n" * 1_000_000
    said = Delivery(
        device="gate-1", site="east", nonce=NONCE, events=1_000_001, digest=hashlib.sha256(rest).hexdigest()
    )
    with pytest.raises(TooLarge):
        read_batch(sign_fact(DELIVERY_TYPE, said, terminal.key) + b"\n" + rest)


def test_only_a_few_lines_are_tried_as_rotations(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[bytes] = []
    monkeypatch.setattr(Batch, "_follow", lambda self, data, keys: tried.append(data))
    terminal, stranger = Terminal(), Ed25519Key.generate()
    lines = [terminal.enrol(), *(b'{"keyid" "keyid"}' for _ in range(500)), *(b"" for _ in range(400))]
    with pytest.raises(UnknownKey):
        batch(terminal, stranger, *lines).verify([terminal.key.public])
    assert len(tried) == MAX_ROTATIONS
