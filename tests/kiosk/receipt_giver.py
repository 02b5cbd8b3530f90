"""A miniature collector: takes events from a broker and answers with signed receipts, or with what a test tells it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from evidence.chain import Head, follow, read_event
from evidence.errors import ChainError
from evidence.events import Event
from evidence.keys import Ed25519Key, PublicKey
from evidence.receipt import Receipt, sign_receipt
from evidence.topics import Leaf, Topic, subscription

TIME = "2026-05-04T08:00:00.000Z"


class ReceiptGiver:
    """Admits the contiguous prefix of one terminal's chain and signs a receipt for it, also for what it has twice."""

    def __init__(self, port: int, terminal_key: PublicKey, *, mqtt5: bool = True, answers: bool = True) -> None:
        self.key = Ed25519Key.generate()
        self.answers = answers
        self.arrivals: list[tuple[int, bytes]] = []  # in order of arrival, repetitions too
        self.messages: list[tuple[str, bytes, bool]] = []  # health and status: leaf, payload, retained
        self.head: Head | None = None
        self._terminal_key = terminal_key
        self._changed = threading.Condition()
        version = paho.MQTTv5 if mqtt5 else paho.MQTTv311
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id="receipt-giver", protocol=version)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = self._subscribe
        self.client.on_subscribe = self._subscribed
        self.client.on_message = self._on_message
        self._ready = threading.Event()
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self._ready.wait(10)

    def stop(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def wait_until(self, condition: Callable[[], bool], timeout_s: float = 30) -> None:
        """Return when `condition` holds after some arrival. Fails after the timeout."""
        with self._changed:
            assert self._changed.wait_for(condition, timeout_s), f"not in {timeout_s} s; {len(self.arrivals)} arrived"

    @property
    def first_arrivals(self) -> list[int]:
        return list(dict.fromkeys(seq for seq, _ in self.arrivals))

    @property
    def envelopes(self) -> list[bytes]:
        """The first copy of every event in order of arrival."""
        first = dict(reversed(self.arrivals))
        return [first[seq] for seq in self.first_arrivals]

    def receipt(self, event_head: Head, **changes: object) -> bytes:
        """Sign a receipt for `event_head`, with some fields changed."""
        fields: dict[str, object] = {
            "device": event_head.device,
            "chain": event_head.chain,
            "upto": event_head.seq,
            "head": event_head.hash,
            "tree_size": event_head.seq + 1,
            "time": TIME,
        }
        return sign_receipt(Receipt.model_validate({**fields, **changes}), self.key)

    def send(self, device: str, site: str, payload: bytes) -> None:
        self.client.publish(str(Topic(site, device, Leaf.RECEIPT)), payload, qos=1).wait_for_publish(10)

    def _subscribe(self, client: paho.Client, *_: object) -> None:
        client.subscribe([(subscription(leaf), 1) for leaf in (Leaf.EVENT, Leaf.HEALTH, Leaf.STATUS)])

    def _subscribed(self, *_: object) -> None:
        self._ready.set()

    def _on_message(self, client: paho.Client, _: object, message: paho.MQTTMessage) -> None:
        topic = Topic.parse(message.topic)
        with self._changed:
            if topic.leaf is Leaf.EVENT:
                event, envelope = read_event(message.payload, {topic.device: self._terminal_key})
                self.arrivals.append((event.seq, message.payload))
                self._admit(event, envelope.hash)
                if self.answers and self.head is not None:
                    client.publish(str(Topic(topic.site, topic.device, Leaf.RECEIPT)), self.receipt(self.head), qos=1)
            else:
                self.messages.append((topic.leaf, message.payload, message.retain))
            self._changed.notify_all()

    def _admit(self, event: Event, digest: str) -> None:
        try:
            self.head = follow(self.head, event, digest)
        except ChainError:
            return  # early or known: the receipt for what is held answers both
