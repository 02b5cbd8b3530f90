"""What is relied on of paho's insides: reading ahead, one write for many acknowledgements, one thread that writes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from collector.ingest.buffered_client import READ_BYTES, BufferedClient
from tests.support.mosquitto import Mosquitto
from tests.support.waiting import eventually

ROOM = 8  # messages that the broker may send unacknowledged


class Hearing:
    """A connected client with its loop on a thread, as the subscriber runs it, and what it heard."""

    def __init__(self, port: int) -> None:
        self.client = BufferedClient(
            CallbackAPIVersion.VERSION2, client_id="hearing", protocol=MQTTProtocolVersion.MQTTv5, manual_ack=True
        )
        self.heard: list[tuple[int, bytes]] = []
        self.ready = threading.Event()
        self.client.on_connect = lambda *_: self.client.subscribe("t", 1)
        self.client.on_subscribe = lambda *_: self.ready.set()
        self.client.on_message = lambda _client, _data, message: self.heard.append((message.mid, message.payload))
        self.client._ahead = memoryview(b"\x00what an earlier connection had not read to its end")
        room = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        room.ReceiveMaximum = ROOM
        self.client.connect_async("127.0.0.1", port, properties=room)
        self.thread = threading.Thread(target=self.client.loop_forever, name="loop")
        self.thread.start()
        assert self.ready.wait(10)

    def close(self) -> None:
        self.client.disconnect()
        self.thread.join(10)
        assert not self.thread.is_alive()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    running = Mosquitto(tmp_path).start()
    yield running
    running.stop()


@pytest.fixture
def hearing(broker: Mosquitto) -> Iterator[Hearing]:
    one = Hearing(broker.port)
    yield one
    one.close()


def send(port: int, *payloads: bytes) -> None:
    """Publish to the topic and wait until the broker has taken all."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for sent in [client.publish("t", payload, 1) for payload in payloads]:
        sent.wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def test_whole_packets_come_out_however_they_came_in(broker: Mosquitto, hearing: Hearing) -> None:
    payloads = [b"", b"small", b"x" * (READ_BYTES - 9), b"y" * (3 * READ_BYTES + 1), b"small again"]
    send(broker.port, *payloads)
    eventually(lambda: len(hearing.heard) == len(payloads))
    assert [payload for _, payload in hearing.heard] == payloads


def test_one_call_reads_many_packets(broker: Mosquitto, hearing: Hearing, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    plain = paho.Client._sock_recv
    monkeypatch.setattr(paho.Client, "_sock_recv", lambda client, size: calls.append(size) or plain(client, size))
    send(broker.port, *(b"%d" % number for number in range(ROOM)))
    eventually(lambda: len(hearing.heard) == ROOM)
    mine = [size for size in calls if size == READ_BYTES]
    assert 0 < len(mine) <= 3 * ROOM  # one for each arrival and one that finds nothing more; paho makes four a packet
    calls.clear()
    send(broker.port, *(b"%d" % number for number in range(ROOM)))  # they wait until there is room, and come at once
    hearing.client.acknowledge([mid for mid, _ in hearing.heard])
    eventually(lambda: len(hearing.heard) == 2 * ROOM)
    mine = [size for size in calls if size == READ_BYTES]
    assert 0 < len(mine) <= ROOM


def test_acknowledgements_of_many_go_out_in_one_write_and_make_room(
    broker: Mosquitto, hearing: Hearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(broker.port, *(b"%d" % number for number in range(2 * ROOM)))
    eventually(lambda: len(hearing.heard) == ROOM)
    writes: list[tuple[str, bytes]] = []
    plain = paho.Client._sock_send

    def noted(client: paho.Client, data: Any) -> int:
        writes.append((threading.current_thread().name, bytes(data)))
        return plain(client, data)

    monkeypatch.setattr(paho.Client, "_sock_send", noted)
    hearing.client.acknowledge([mid for mid, _ in hearing.heard])
    eventually(lambda: len(hearing.heard) == 2 * ROOM)
    assert [payload for _, payload in hearing.heard] == [b"%d" % number for number in range(2 * ROOM)]
    assert [(thread, len(data)) for thread, data in writes] == [("loop", 4 * ROOM)]
    hearing.client.acknowledge([])
    hearing.client.publish("elsewhere", b"an answer", 1)
    eventually(lambda: len(writes) == 2)
    assert writes[1][0] == "loop"


def test_a_flood_is_read_in_pieces_so_that_others_can_write(monkeypatch: pytest.MonkeyPatch) -> None:
    client = BufferedClient(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv311)
    heard, calls = [], []
    client.on_message = lambda _client, _data, message: heard.append(message.payload)
    packet = b"\x30\x08\x00\x01tflood"  # MQTT 3.1.1, section 3.3: PUBLISH at QoS 0
    stream = packet * (2 * READ_BYTES // len(packet))

    def endless(_client: paho.Client, size: int) -> bytes:
        start = len(calls) * size % len(packet)  # pieces end in the middle of a packet
        calls.append(size)
        return stream[start : start + size]

    monkeypatch.setattr(paho.Client, "_sock_recv", endless)
    monkeypatch.setattr(client, "_sock", object())
    for rounds in (1, 2, 3):
        client.loop_read()
        assert len(calls) == rounds
    assert set(heard) == {b"flood"} and len(heard) == 3 * READ_BYTES // len(packet)
