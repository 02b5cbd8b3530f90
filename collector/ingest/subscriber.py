"""The MQTT end: subscribes, hands every message to the intake, acknowledges only when told to.

paho's own rule is that an exception in `on_message` ends its network thread while `is_connected()` stays true; here
the callback catches everything and the network loop runs on a thread of ours that starts it again.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as paho
import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from collector.errors import SettingsError
from collector.ingest.buffered_client import BufferedClient
from collector.ingest.message import Answer, Message
from collector.settings import Settings
from collector.timestamps import utc_now
from evidence.topics import Leaf, subscription

log = structlog.get_logger()

SESSION_EXPIRY_S = 30  # longer, and a broker may keep for a dead replica what the others should get
RECEIVE_MAXIMUM = 2048  # unacknowledged messages the broker may send ahead: four batches
KEEPALIVE_S = 30
RECONNECT_MAX_S = 20
REFUSED_AGAIN_S = 10.0  # a refused subscription
_REFUSED = "subscription refused"
_QOS = {Leaf.EVENT: 1, Leaf.HEALTH: 0, Leaf.STATUS: 1, Leaf.TRANSFER: 1}


@dataclass(frozen=True, slots=True)
class BrokerState:
    """How the connection is doing."""

    alive: bool  # the network thread
    connected: bool
    reason: str
    received: int  # messages since the start


class Subscriber:
    """One connection to the broker."""

    def __init__(self, settings: Settings, deliver: Callable[[Message], None], *, takes_events: bool = True) -> None:
        """`takes_events`: from the start; else `take_events` says when.

        Then the broker keeps no session, or it would deal events to one that left off or died.
        """
        self._settings = settings
        self._deliver = deliver
        self._client = _client(settings)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)
        self._connection = 0
        self._connected = False
        self._reason = "not connected yet"
        self._received = 0
        self._takes_events = takes_events
        self._keeps_session = takes_events
        self._subscribing = threading.Lock()  # what is sent is in the order of what was decided

    @property
    def state(self) -> BrokerState:
        """How it is doing now."""
        return BrokerState(self._thread.is_alive(), self._connected, self._reason, self._received)

    def start(self) -> None:
        """Connect in the background, again and again until the broker answers."""
        self._thread.start()

    def stop(self) -> None:
        """Disconnect."""
        self._stopping.set()
        self._client.disconnect()
        self._thread.join(10)

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Send the PUBACKs. A packet id of an earlier connection may mean another message by now: that one is left."""
        due = [one.mid for one in messages if one.qos and one.connection == self._connection]
        self._client.acknowledge(due)

    def publish(self, answer: Answer) -> None:
        """Send a receipt; paho keeps it while the connection is away."""
        self._client.publish(answer.topic, answer.payload, qos=1, retain=answer.retain)

    def take_events(self, *, wanted: bool) -> None:
        """Subscribe to events, or leave off; what has come is still handed on and acknowledged."""
        with self._subscribing:
            if wanted == self._takes_events:
                return
            self._takes_events = wanted
            if wanted:
                self._subscribe([Leaf.EVENT])
            else:
                self._client.unsubscribe(self._filter(Leaf.EVENT))

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._connect()
                self._client.loop_forever(retry_first_connection=True)
                self._stopping.wait(REFUSED_AGAIN_S)  # it comes back where it was told to hang up: a refusal
            except Exception as error:
                self._connected, self._reason = False, f"{type(error).__name__}: {error}"
                log.exception("the network loop ended; it is started again")
                self._stopping.wait(1)

    def _connect(self) -> None:
        url = urlsplit(self._settings.broker)
        assert url.hostname is not None
        port = url.port or (8883 if url.scheme == "mqtts" else 1883)
        if self._settings.mqtt_version == "5":
            self._client.connect_async(
                url.hostname,
                port,
                KEEPALIVE_S,
                clean_start=False,
                properties=_connect_properties(SESSION_EXPIRY_S if self._keeps_session else 0),
            )
        else:
            self._client.connect_async(url.hostname, port, KEEPALIVE_S)

    def _on_connect(self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._connection += 1
        if reason.is_failure:
            self._connected, self._reason = False, str(reason)
            log.error("the broker refuses the connection", reason=str(reason))
            return
        if self._stopping.is_set():  # told to stop while it was connecting, when there was nothing to hang up yet
            client.disconnect()
            return
        with self._subscribing:
            self._subscribe([leaf for leaf in _QOS if leaf is not Leaf.EVENT or self._takes_events])

    def _subscribe(self, leaves: Sequence[Leaf]) -> None:
        wanted = [(self._filter(leaf), _QOS[leaf]) for leaf in leaves]
        if self._settings.mqtt_version == "5":
            self._client.subscribe([(name, SubscribeOptions(qos=qos)) for name, qos in wanted])
        else:
            self._client.subscribe(wanted)

    def _filter(self, leaf: Leaf) -> str:
        """Share what one collector needs to hear; no shared subscription gets what is retained, so a status is not."""
        share = self._settings.mqtt_share
        return subscription(leaf) if share is None or leaf is Leaf.STATUS else f"$share/{share}/{subscription(leaf)}"

    def _on_connect_fail(self, _client: paho.Client, _data: Any) -> None:
        self._connected, self._reason = False, f"no answer from {self._settings.broker}"

    def _on_subscribe(self, _client: paho.Client, _data: Any, _mid: int, reasons: Any, _properties: Any) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        self._connected = not refused
        self._reason = f"{_REFUSED}: {', '.join(refused)}" if refused else ""
        log.info("subscribed" if not refused else "subscription refused", broker=self._settings.broker)
        if refused:  # nobody asks again on this connection
            self._client.disconnect()

    def _on_disconnect(self, _client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._connection += 1  # an acknowledgement that comes due before the next one must not be its first packet
        if not self._reason.startswith(_REFUSED):
            self._reason = str(reason)
        self._connected = False
        log.warning("the broker is away", reason=str(reason))

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        try:
            self._received += 1
            self._deliver(
                Message(
                    topic=_topic(message),
                    payload=bytes(message.payload),
                    received_at=utc_now(),
                    retained=bool(message.retain),
                    mid=message.mid,
                    connection=self._connection,
                    qos=message.qos,
                )
            )
        except Exception:
            log.exception("a message could not be taken over; it stays unacknowledged")


def _topic(message: paho.MQTTMessage) -> str:
    try:
        return message.topic
    except UnicodeDecodeError:
        return "(a topic that is not UTF-8)"


def _client(settings: Settings) -> BufferedClient:
    newest = settings.mqtt_version == "5"
    client = BufferedClient(
        CallbackAPIVersion.VERSION2,
        client_id=settings.mqtt_client,
        protocol=MQTTProtocolVersion.MQTTv5 if newest else MQTTProtocolVersion.MQTTv311,
        # An MQTT 3.1.1 session has no expiry, so there a broker must not keep one at all.
        clean_session=None if newest else True,
        manual_ack=True,
    )
    client.reconnect_delay_set(1, RECONNECT_MAX_S)
    client.max_queued_messages_set(10_000)  # receipts wait while the broker is away; each newer one covers the older
    if settings.mqtt_username is not None:
        password = settings.mqtt_password
        client.username_pw_set(settings.mqtt_username, None if password is None else password.get_secret_value())
    if urlsplit(settings.broker).scheme == "mqtts":
        _use_tls(client, settings)
    return client


def _use_tls(client: paho.Client, settings: Settings) -> None:
    try:
        context = ssl.create_default_context(cafile=settings.mqtt_ca)
        if settings.mqtt_certificate is not None:
            context.load_cert_chain(settings.mqtt_certificate, settings.mqtt_key)
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError(f"the TLS files for the broker cannot be used: {error}") from error
    client.tls_set_context(context)


def _connect_properties(session_expiry_s: int) -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = session_expiry_s
    properties.ReceiveMaximum = RECEIVE_MAXIMUM
    return properties
