"""A proxy between a terminal and its broker that misbehaves: resets, delays, half-open connections, and whole MQTT
packets dropped, doubled or in another order. A thread a connection; what it does follows from its seed.
"""

from __future__ import annotations

import contextlib
import random
import select
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator

PUBLISH = 3


class ChaosProxy:
    """Listens on a port of its own and passes on to `target`; `calm` stops all misbehaviour."""

    def __init__(self, target: int, seed: int) -> None:
        self.done: Counter[str] = Counter()
        self.calm = False
        self._target, self._dice = target, random.Random(seed)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._open: set[socket.socket] = set()
        self._stopping = False
        threading.Thread(target=self._accept, name="chaos", daemon=True).start()

    def stop(self) -> None:
        self._stopping = True
        self._listening.close()
        for one in list(self._open):
            one.close()

    def _accept(self) -> None:
        while not self._stopping:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with (
            contextlib.suppress(OSError, ValueError),
            client,
            socket.create_connection(("127.0.0.1", self._target), 5) as broker,
        ):
            self._open |= {client, broker}
            self._pass_on(client, broker)
        self._open -= {client}

    def _pass_on(self, client: socket.socket, broker: socket.socket) -> None:
        buffers = {client: bytearray(), broker: bytearray()}
        others = {client: broker, broker: client}
        deaf_until = 0.0
        while True:
            readable, _, _ = select.select([client, broker], [], [], 0.2)
            if time.monotonic() < deaf_until:  # half-open: the kernel keeps it, nothing goes through
                time.sleep(0.02)
                continue
            for source in readable:
                data = source.recv(65536)
                if not data:
                    return
                buffers[source] += data
                packets = list(_packets(buffers[source]))
                if not self._misbehave(packets, others[source]):
                    return
            if not self.calm and self._dice.random() < 0.002:
                self.done["half-open"] += 1
                deaf_until = time.monotonic() + self._dice.uniform(0.2, 2)

    def _misbehave(self, packets: list[bytes], target: socket.socket) -> bool:
        """Send the packets on, more or less; False: the connection was reset."""
        held: list[bytes] = []
        for packet in packets:
            what = "pass" if self.calm or packet[0] >> 4 != PUBLISH else self._draw()
            self.done[what] += 1
            if what == "reset":
                target.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                target.close()
                return False
            if what == "delay":
                time.sleep(self._dice.uniform(0, 0.05))
            if what == "reorder":
                held.append(packet)
                continue
            if what != "drop":
                target.sendall(packet)
            if what == "double":
                target.sendall(packet)
        self._dice.shuffle(held)
        for packet in held:
            target.sendall(packet)
        return True

    def _draw(self) -> str:
        kinds = ["pass", "drop", "double", "delay", "reorder", "reset"]
        return self._dice.choices(kinds, [80, 4, 4, 6, 5, 1])[0]


def _packets(buffer: bytearray) -> Iterator[bytes]:
    """Cut whole MQTT packets off the front of `buffer`."""
    while len(buffer) >= 2:
        length, at = 0, 1
        while True:
            if at >= len(buffer):
                return
            length |= (buffer[at] & 0x7F) << 7 * (at - 1)
            at += 1
            if buffer[at - 1] < 0x80:
                break
            if at > 4:
                raise ValueError("no MQTT")
        if len(buffer) < at + length:
            return
        yield bytes(buffer[: at + length])
        del buffer[: at + length]
