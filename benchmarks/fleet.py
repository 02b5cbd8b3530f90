"""Terminals that cost the machine next to nothing: what they send was signed and put into packets beforehand.

Each has a connection of its own to the broker (MQTT 3.1.1, publishing at QoS 1), keeps as many events under way as a
real terminal does, and goes on when a receipt comes. Receipts are verified by `verify_receipts`, with the clock off.
"""

from __future__ import annotations

import base64
import json
import selectors
import socket
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from evidence.envelope import RECEIPT_TYPE, Envelope
from evidence.keys import PublicKey
from evidence.receipt import verify_receipt
from evidence.topics import Leaf
from tests.collector.terminal import Terminal

WINDOW = 64  # events under way without a receipt: kiosk.settings.KioskSettings.window
STALLED_S = 120.0  # without any receipt: something is broken
_CONNACK, _PUBLISH, _PUBACK, _SUBACK = 0x20, 0x30, 0x40, 0x90


@dataclass(slots=True)
class Sender:
    """One terminal, what it has signed, and how much of it is covered by a receipt."""

    terminal: Terminal
    envelopes: list[bytes]
    packets: list[bytes] = field(default_factory=list)
    receipts: list[bytes] = field(default_factory=list)
    sent: int = 0
    covered: int = 0  # events of the front that a receipt covers
    end: int = 0  # up to which it may send
    line: socket.socket | None = None
    read: bytearray = field(default_factory=bytearray)
    unwritten: bytearray = field(default_factory=bytearray)

    def connect(self, port: int) -> None:
        """Connect and subscribe to the receipts; put the events into packets."""
        self.packets = [
            _publish(self.terminal.event_topic, data, number % 65_535 + 1) for number, data in enumerate(self.envelopes)
        ]
        self.line = socket.create_connection(("127.0.0.1", port), 20)
        self.line.sendall(_packet(0x10, _text("MQTT") + b"\x04\x02\x00\x00" + _text(self.terminal.device)))
        self.line.sendall(_packet(0x82, b"\x00\x01" + _text(self.terminal.topic(Leaf.RECEIPT)) + b"\x00"))
        while not self._take(self.line.recv(4096), _SUBACK):
            pass
        self.line.settimeout(0)

    def close(self) -> None:
        """Hang up."""
        if self.line is not None:
            self.line.close()

    def send(self) -> None:
        """Write what the window has room for, as far as the broker takes it."""
        until = min(self.end, self.covered + WINDOW)
        if self.sent < until:
            self.unwritten += b"".join(self.packets[self.sent : until])
            self.sent = until
        if self.unwritten:
            assert self.line is not None
            try:
                del self.unwritten[: self.line.send(self.unwritten)]
            except BlockingIOError:
                return

    def hear(self) -> None:
        """Read what has come."""
        assert self.line is not None
        data = self.line.recv(65_536)
        if not data:
            raise RuntimeError(f"the broker has hung up on {self.terminal.device}")
        self._take(data, None)

    def _take(self, data: bytes, awaited: int | None) -> bool:
        self.read += data
        found = False
        while (packet := _cut(self.read)) is not None:
            kind, content = packet
            found |= kind & 0xF0 == awaited
            if kind & 0xF0 == _PUBLISH:
                (size,) = struct.unpack_from(">H", content)
                self._hear_word(content[2 + size :])
        return found

    def _hear_word(self, word: bytes) -> None:
        """Note a receipt, unverified for now; what else comes on its topic does not matter here."""
        outer = json.loads(word)
        if outer["payloadType"] != RECEIPT_TYPE:
            return
        said = json.loads(base64.b64decode(outer["payload"]))
        if said["chain"] == self.terminal.chain:
            self.receipts.append(word)
            self.covered = max(self.covered, said["upto"] + 1)


def deliver(senders: Sequence[Sender], upto: int, told: Callable[[int], None] = lambda _covered: None) -> float:
    """Have every terminal send its events up to `upto`; return the seconds until receipts cover all of them.

    `told` hears how many are covered, whenever that changes.
    """
    with selectors.DefaultSelector() as selector:
        for one in senders:
            assert one.line is not None
            one.end = min(upto, len(one.envelopes))
            selector.register(one.line, selectors.EVENT_READ, one)
        began = heard = time.perf_counter()
        covered = sum(one.covered for one in senders)
        waiting = [one for one in senders if one.covered < one.end]
        for one in waiting:
            one.send()
        while waiting:
            for key, _ in selector.select(0.005 if any(one.unwritten for one in waiting) else 1.0):
                key.data.hear()
            for one in waiting:
                one.send()
            now = sum(one.covered for one in senders)
            if now != covered:
                covered, heard = now, time.perf_counter()
                told(covered)
                waiting = [one for one in waiting if one.covered < one.end]
            elif time.perf_counter() - heard > STALLED_S:
                raise RuntimeError(f"no receipt for {STALLED_S:.0f} s; {covered} events are covered")
        return time.perf_counter() - began


def verify_receipts(senders: Sequence[Sender], key: PublicKey) -> int:
    """Verify every receipt that came, and that each names the event that was signed. Return how many there were."""
    for one in senders:
        for word in one.receipts:
            receipt = verify_receipt(word, key, one.terminal.device, one.terminal.chain)
            if receipt.head != Envelope.decode(one.envelopes[receipt.upto]).hash:
                raise RuntimeError(f"a receipt for {one.terminal.device} names another event than was signed")
    return sum(len(one.receipts) for one in senders)


# --- packets: MQTT 3.1.1, section 2 and 3


def _publish(topic: str, payload: bytes, mid: int) -> bytes:
    return _packet(_PUBLISH | 0x02, _text(topic) + mid.to_bytes(2, "big") + payload)


def _packet(kind: int, content: bytes) -> bytes:
    size, length = bytearray(), len(content)
    while True:
        length, digit = length >> 7, length & 0x7F
        size.append(digit | (0x80 if length else 0))
        if not length:
            return bytes([kind]) + bytes(size) + content


def _text(text: str) -> bytes:
    return len(text).to_bytes(2, "big") + text.encode()


def _cut(read: bytearray) -> tuple[int, bytes] | None:
    """Take the first whole packet off what was read."""
    length = shift = 0
    for at in range(1, min(len(read), 5)):
        length |= (read[at] & 0x7F) << shift
        shift += 7
        if not read[at] & 0x80:
            end = at + 1 + length
            if len(read) < end:
                return None
            packet = read[0], bytes(read[at + 1 : end])
            del read[:end]
            return packet
    return None
