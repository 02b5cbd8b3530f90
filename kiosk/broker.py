"""One connection to one MQTT broker: paho's client, stepped by the caller's own thread.

No thread of paho's runs, so nothing dies unseen: `turn` does what there is to do and raises when the connection is
over. A connection is used once; state that must outlive it is in the journal.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import paho.mqtt.client as paho
import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from kiosk.errors import BrokerLost, BrokerRefused, BrokerUnreachable
from kiosk.pinned_https import ignore_dates

CONNECT_TIMEOUT_S = 5.0  # TCP and TLS together; longer is a network that is not there
SUBSCRIBED_WITHIN_S = 15.0  # from the first byte to the broker's word on the subscription
UNACKNOWLEDGED_AT_MOST = 20  # Mosquitto's default receive maximum; one more is a protocol error in MQTT 5
PUBACK_WITHIN_S = 30.0  # a broker that answers pings and acknowledges nothing is as good as gone
PORTS = {"mqtt": 1883, "mqtts": 8883}

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """How to speak to a broker."""

    client_id: str
    mqtt_version: Literal[5, 3] = 5
    keepalive_s: int = 15  # a half-open connection is noticed within two of these
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    # Whether this machine knows what day it is; asked at each connection.
    check_dates: Callable[[], bool] = lambda: True


class BrokerConnection:
    """Connect, subscribe, publish; `on_message(topic, payload)` is called from within `turn`.

    The will is (topic, payload), QoS 1, retained. Not thread-safe: one thread owns it.
    """

    def __init__(
        self,
        url: str,
        options: BrokerOptions,
        will: tuple[str, bytes],
        subscribe: tuple[str, ...],
        on_message: Callable[[str, bytes], None],
        optional: Mapping[str, Callable[[str], None]] = {},
    ) -> None:
        """`optional`: topics that the broker may deny without the connection being over, and who is told so."""
        self.subscribed = False
        self._url, self._options, self._deliver = urlsplit(url), options, on_message
        self._topics, self._optional = (*subscribe, *optional), optional
        self._over: BrokerLost | BrokerRefused | None = None
        self._pending: dict[int, float] = {}  # message id of each publication without PUBACK, and when it went
        self._on_refused: dict[int, Callable[[str], None]] = {}  # of publications that may be refused
        self._most_pending = UNACKNOWLEDGED_AT_MOST
        self._opened_s = 0.0
        self._client = self._make_client(will)

    def open(self) -> None:
        """Connect and greet. Raises BrokerUnreachable."""
        host, port = self._url.hostname or "", self._url.port or PORTS[self._url.scheme]
        self._opened_s = time.monotonic()
        try:
            if self._url.scheme == "mqtts":
                self._client.tls_set_context(self._tls())
            # MQTT 3.1.1 has its clean session from the client itself; paho refuses the word there.
            clean = True if self._options.mqtt_version == 5 else paho.MQTT_CLEAN_START_FIRST_ONLY
            self._client.connect(host, port, self._options.keepalive_s, clean_start=clean)
        except (OSError, ValueError) as error:
            raise BrokerUnreachable(f"offline: {host}:{port} does not answer ({error})") from error

    def turn(self, wake: socket.socket, timeout_s: float) -> None:
        """Wait for the broker, for `wake` or for the time, and do what there is to do.

        Raises BrokerLost or BrokerRefused when the connection is over.
        """
        sock = self._client.socket()
        if sock is not None:
            buffered = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
            writers = [sock] if self._client.want_write() else []
            readable, writable, _ = select.select([sock, wake], writers, [], 0 if buffered else timeout_s)
            if wake in readable:
                wake.recv(4096)
            if sock in readable or buffered:
                self._check(self._client.loop_read())
            if sock in writable:
                self._check(self._client.loop_write())
            self._check(self._client.loop_misc())
        if self._over is not None:
            raise self._over
        if self._client.socket() is None:
            raise BrokerLost("offline: the connection to the broker ended")
        self._check_patience(time.monotonic())

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        on_refused: Callable[[str], None] | None = None,
    ) -> None:
        """Hand one message to the broker. Raises BrokerLost.

        A broker that refuses it ends the connection; with `on_refused` it is told there, and the connection goes on.
        """
        info = self._client.publish(topic, payload, qos=qos, retain=retain)
        if info.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise BrokerLost(f"offline: the broker took nothing more ({info.rc.name})")
        if qos > 0:
            self._pending[info.mid] = time.monotonic()
            if on_refused is not None:
                self._on_refused[info.mid] = on_refused

    @property
    def room(self) -> int:
        """How many more messages the broker will take before it acknowledges one."""
        return max(0, self._most_pending - len(self._pending))

    def close(self, *, within_s: float = 1.0) -> None:
        """Say goodbye, so that the will is not published; whatever was published before goes out first."""
        deadline = time.monotonic() + within_s
        try:
            while self._client.socket() is not None and self._pending and time.monotonic() < deadline:
                self._step(deadline)
            self._client.disconnect()
            while self._client.socket() is not None and time.monotonic() < deadline:
                self._step(deadline)
        except OSError as error:
            log.info("goodbye_failed", why=str(error))
        finally:
            self.abort()

    def abort(self) -> None:
        """Drop the connection without a word: the broker publishes the will."""
        sock = self._client.socket()
        if sock is not None:
            sock.close()

    def _step(self, deadline: float) -> None:
        sock = self._client.socket()
        if sock is None:
            return
        writers = [sock] if self._client.want_write() else []
        readable, writable, _ = select.select([sock], writers, [], max(0.0, deadline - time.monotonic()))
        if readable:
            self._client.loop_read()
        if writable:
            self._client.loop_write()

    def _make_client(self, will: tuple[str, bytes]) -> paho.Client:
        version = paho.MQTTv5 if self._options.mqtt_version == 5 else paho.MQTTv311
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._options.client_id,
            clean_session=None if version == paho.MQTTv5 else True,
            protocol=version,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.suppress_exceptions = True  # raised through loop_read they would leave half a packet behind
        client.max_inflight_messages_set(UNACKNOWLEDGED_AT_MOST)
        client.will_set(will[0], will[1], qos=1, retain=True)
        if self._url.username:
            client.username_pw_set(self._url.username, self._url.password)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        return client

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=None if self._options.ca is None else str(self._options.ca))
        if self._options.cert is not None:
            context.load_cert_chain(self._options.cert, self._options.key)
        if not self._options.check_dates():
            ignore_dates(context)
        return context

    def _check(self, code: MQTTErrorCode) -> None:
        if code not in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_AGAIN):
            self._end(BrokerLost(f"offline: the connection to the broker ended ({code.name})"))

    def _check_patience(self, now_s: float) -> None:
        if not self.subscribed and now_s - self._opened_s > SUBSCRIBED_WITHIN_S:
            raise BrokerLost("offline: the broker accepted the connection but no subscription")
        if self._pending and now_s - min(self._pending.values()) > PUBACK_WITHIN_S:
            raise BrokerLost("offline: the broker acknowledges nothing")

    def _end(self, error: BrokerLost | BrokerRefused) -> None:
        self._over = self._over or error  # the first cause is the telling one

    # paho's callbacks. They note what happened and never raise.

    def _on_connect(
        self,
        client: paho.Client,
        _: object,
        flags: paho.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._end(BrokerRefused(f"refused: the broker says {reason}; check this terminal's name and certificate"))
            return
        maximum = getattr(properties, "ReceiveMaximum", UNACKNOWLEDGED_AT_MOST)
        self._most_pending = min(UNACKNOWLEDGED_AT_MOST, maximum)
        client.subscribe([(topic, 1) for topic in self._topics])

    def _on_subscribe(
        self, client: paho.Client, _: object, mid: int, reasons: list[ReasonCode], properties: Properties | None
    ) -> None:
        denied = [topic for topic, reason in zip(self._topics, reasons, strict=False) if reason.is_failure]
        for topic in denied:
            if topic in self._optional:
                self._optional[topic]("it denies this terminal what others send it")
        if any(topic not in self._optional for topic in denied):
            self._end(BrokerRefused("refused: the broker denies this terminal its own topics; check its access list"))
            return
        self.subscribed = True

    def _on_publish(
        self, client: paho.Client, _: object, mid: int, reason: ReasonCode, properties: Properties | None
    ) -> None:
        self._pending.pop(mid, None)
        on_refused = self._on_refused.pop(mid, None)
        if reason.is_failure and on_refused is not None:
            on_refused(str(reason))
        elif reason.is_failure:
            self._end(BrokerRefused(f"refused: the broker takes no message of this terminal ({reason})"))

    def _on_message(self, client: paho.Client, _: object, message: paho.MQTTMessage) -> None:
        try:
            self._deliver(message.topic, bytes(message.payload))
        except Exception:  # the caller's own guard failed; the connection goes on
            log.exception("message_not_handled", bytes=len(message.payload))

    def _on_disconnect(
        self,
        client: paho.Client,
        _: object,
        flags: paho.DisconnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._end(BrokerLost(f"offline: the connection to the broker ended ({reason})"))
