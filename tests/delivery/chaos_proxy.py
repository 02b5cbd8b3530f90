"""A proxy between a terminal and its broker that misbehaves: resets, delays, half-open connections, and whole MQTT
packets dropped, doubled or in another order. A thread a connection; what it does follows from its seed.

Every kind comes up once soon and then by chance; it is counted when it was really done.
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
CHANCES = {"pass": 800, "drop": 40, "double": 40, "delay": 60, "reorder": 50, "reset": 10, "half-open": 2}
MISDEEDS = tuple(kind for kind in CHANCES if kind != "pass")
OWED_EVERY = 8  # packets


class ChaosProxy:
    """Listens on a port of its own and passes on to `target`; `calm` stops all misbehaviour."""

    def __init__(self, target: int, seed: int) -> None:
        self.done: Counter[str] = Counter()
        self.calm = False
        self._target, self._dice = target, random.Random(seed)
        self._owed = self._dice.sample(MISDEEDS, len(MISDEEDS))
        self._drawn = 0
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
        ways = {client: _Way(broker), broker: _Way(client)}
        while True:
            readable, _, _ = select.select([client, broker], [], [], 0.2)
            for source in readable or ways:
                way = ways[source]
                data = source.recv(65536) if readable else b""
                if readable and not data:
                    return
                way.buffer += data
                packets = list(_packets(way.buffer))
                for packet in packets:
                    what = "pass" if self.calm or packet[0] >> 4 != PUBLISH else self._draw()
                    if what == "half-open":
                        self.done[what] += 1
                        _swallow(client)
                        return
                    if not self._do(what, packet, way):
                        return
                if not packets:  # nothing came that could overtake
                    way.let_go()

    def _do(self, what: str, packet: bytes, way: _Way) -> bool:
        """Send one packet on, more or less; False: the connection was reset."""
        if what == "reset":
            way.target.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            way.target.close()
        elif what == "reorder":
            way.held.append(packet)
            return True
        elif what == "delay":
            time.sleep(self._dice.uniform(0, 0.05))
        for _ in range({"drop": 0, "reset": 0, "double": 2}.get(what, 1)):
            way.target.sendall(packet)
        self.done[what] += 1
        if way.held and what not in ("drop", "reset"):
            self._dice.shuffle(way.held)
            self.done["reorder"] += len(way.held)  # this one overtook them
            way.let_go()
        return what != "reset"

    def _draw(self) -> str:
        self._drawn += 1
        if self._owed and self._drawn % OWED_EVERY == 0:
            return self._owed.pop()
        return self._dice.choices(list(CHANCES), list(CHANCES.values()))[0]


class _Way:
    """One direction of a connection."""

    def __init__(self, target: socket.socket) -> None:
        self.target = target
        self.buffer = bytearray()
        self.held: list[bytes] = []  # until another packet has overtaken them

    def let_go(self) -> None:
        for packet in self.held:
            self.target.sendall(packet)
        self.held.clear()


def _swallow(client: socket.socket) -> None:
    """Half-open: the kernel acknowledges what the client sends, and nobody ever answers; it has to notice."""
    while client.recv(65536):
        pass


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
