"""paho's client, with many packets to a call of the system.

paho asks the socket for every packet's first byte, for each byte of its length and for the rest, and goes back to
`select` between two packets; each acknowledgement is a write of its own. Every call lets go of the interpreter and
fights for it again with the intake's threads. Used of paho's insides are `_sock_recv`, `_packet_queue` and the pair of
sockets that wakes the loop; tests/collector/test_buffered_client.py says when they change.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MessageType, MQTTErrorCode

READ_BYTES = 1 << 16
_PUBACK = struct.Struct("!BBH")  # MQTT 5.0, section 3.4: of a success nothing but the packet's id


class BufferedClient(paho.Client):
    """A client whose loop reads ahead. Nothing is kept from one connection to the next."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what `paho.mqtt.client.Client` takes."""
        super().__init__(*args, **kwargs)
        self._ahead = memoryview(b"")
        self._may_read = True
        # Without this, whoever publishes writes to the socket beside the loop, and may do so in the middle of a packet.
        self.on_socket_register_write = lambda *_: None
        self._sockpairR, self._sockpairW = socket.socketpair()  # wakes the loop; paho makes it in `loop_start` alone
        for one in (self._sockpairR, self._sockpairW):
            one.settimeout(0)

    def reconnect(self) -> MQTTErrorCode:
        """Connect anew; what an earlier connection still had is dropped with it, and the broker sends it again."""
        self._ahead = memoryview(b"")
        return super().reconnect()

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Read what one call of the system brings, and leave the rest to the next round: others have to write, too."""
        self._may_read = True
        while True:
            done = super().loop_read(max_packets)
            if done != MQTTErrorCode.MQTT_ERR_SUCCESS or not self._ahead:
                return done

    def acknowledge(self, mids: Sequence[int]) -> None:
        """Acknowledge messages of QoS 1 by their packet ids, in one write."""
        if mids:
            packets = b"".join(_PUBACK.pack(MessageType.PUBACK, 2, mid) for mid in mids)
            self._packet_queue(MessageType.PUBACK, packets, mids[-1], 1)

    def _sock_recv(self, bufsize: int) -> bytes:
        if not self._ahead:
            if not self._may_read:
                raise BlockingIOError
            self._ahead, self._may_read = memoryview(super()._sock_recv(max(bufsize, READ_BYTES))), False
        taken, self._ahead = self._ahead[:bufsize], self._ahead[bufsize:]
        return bytes(taken)
