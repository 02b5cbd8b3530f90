"""A paho client for tests that publishes as a terminal would and waits for receipts."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from evidence.keys import PublicKey
from evidence.receipt import Receipt, verify_receipt
from evidence.topics import Leaf
from tests.collector.terminal import Terminal


class Wire:
    """One terminal's connection."""

    def __init__(self, terminal: Terminal, client: paho.Client) -> None:
        self.terminal = terminal
        self.client = client
        self.receipts: queue.Queue[bytes] = queue.Queue()

    def send(self, *envelopes: bytes, topic: str | None = None) -> None:
        for envelope in envelopes:
            self.client.publish(topic or self.terminal.event_topic, envelope, qos=1).wait_for_publish(20)

    def receipt_upto(self, seq: int, key: PublicKey, timeout_s: float = 20) -> Receipt:
        """Wait for the receipt that covers `seq`."""
        deadline = time.monotonic() + timeout_s
        while True:
            payload = self.receipts.get(timeout=max(0.01, deadline - time.monotonic()))
            receipt = verify_receipt(payload, key, self.terminal.device, self.terminal.chain)
            if receipt.upto >= seq:
                return receipt


@contextmanager
def connected(terminal: Terminal, port: int) -> Iterator[Wire]:
    """Connect as a terminal and hear its receipts."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=terminal.device, protocol=MQTTProtocolVersion.MQTTv5)
    wire = Wire(terminal, client)
    subscribed = threading.Event()
    client.on_message = lambda _c, _d, message: wire.receipts.put(message.payload)
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_connect = lambda c, *_: c.subscribe(terminal.topic(Leaf.RECEIPT), qos=1)
    client.connect("127.0.0.1", port)
    client.loop_start()
    assert subscribed.wait(20)
    yield wire
    client.disconnect()
    client.loop_stop()
