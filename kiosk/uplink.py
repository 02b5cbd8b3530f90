"""Journal to broker, receipts back: one thread that delivers every event in order until a receipt covers it.

A PUBACK is no delivery, so nothing is let go for one: events are published in a bounded window from the first one
without a receipt, and again when no receipt comes or the connection was lost. The journal judges the receipts. What
earlier chains of this terminal left behind goes the same way, and what the collector asks for again goes once more.
Between two tries of a broker that is long gone the same thread posts batches to the collector itself.
"""

from __future__ import annotations

import contextlib
import functools
import select
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from evidence.envelope import GAP_REQUEST_TYPE, Envelope
from evidence.errors import EvidenceError, UnknownKey
from evidence.gap import GapRequest, read_gap_request
from evidence.keys import PublicKey
from evidence.status import Health, Part, Status
from evidence.topics import Leaf, Topic
from kiosk.broker import BrokerConnection, BrokerOptions
from kiosk.clock import Clock
from kiosk.errors import JournalError, UplinkError
from kiosk.flow import Backoff, OtherWay, Window
from kiosk.https_delivery import HttpsDelivery
from kiosk.https_fallback import HttpsFallback
from kiosk.journal import Journal
from kiosk.pinned_keys import take_handovers
from kiosk.settings import KioskSettings

TURN_S = 1.0  # keep-alive and resending are looked at this often when nothing else happens
STEADY_AFTER_S = 5.0  # two terminals of one name throw each other out at once: that is no success
BATCH = 16  # rows read from the journal at a time: under 1 MiB even at the largest envelope
GAP_QUESTIONS = 16  # kept at a time; a collector that lacks more asks again
LOOK_AGAIN_S = 60.0  # where no broker is set there is none to try
UNANSWERED_RESENDS = 2  # so often in vain, and the state says that the collector does not answer

log = structlog.get_logger(__name__)


class Exchange(Protocol):
    """What goes to and comes from other terminals by way of the collector (kiosk/transfer)."""

    def receive(self, data: bytes) -> None:
        """Take what came; returns at once."""
        ...

    def outbox(self, limit: int) -> Sequence[bytes]:
        """At most so many envelopes to send now."""
        ...

    def greeted(self) -> None:
        """A new connection stands."""
        ...

    def refused(self, why: str) -> None:
        """The broker takes none of it."""
        ...


class Uplink:
    """The way from one journal to the collector. Every method is safe from any thread and returns at once."""

    def __init__(
        self,
        journal: Journal,
        settings: KioskSettings,
        clock: Clock,
        *,
        backoff: Backoff | None = None,
        window: Window | None = None,
        keepalive_s: int = 15,
        on_command: Callable[[bytes], None] | None = None,
        on_keys: Callable[[Sequence[PublicKey]], None] | None = None,
        exchange: Exchange | None = None,
        on_checkpoint: Callable[[bytes], bool] = lambda message: False,
        https: HttpsDelivery | None = None,
        other_way: OtherWay | None = None,
    ) -> None:
        """`on_command` takes what comes on the command topic, on the uplink's thread: it returns soon.

        `on_checkpoint` is shown what comes on the receipt topic, and says whether that was a checkpoint. `https`: the
        way where there is no broker, and `other_way`, when it is taken.
        """
        self.counts: Counter[str] = Counter()  # connected, published, receipts, receipts_refused, errors, …
        self._journal, self._settings, self._clock = journal, settings, clock
        self._keys = {key.id: key for key in settings.pinned_keys}
        self._backoff = backoff or Backoff()
        self._window = window or Window(settings.window)
        self._chain = ""  # that the window speaks of
        self._old: dict[str, Window] = {}  # by earlier chain
        self._asked: deque[GapRequest] = deque(maxlen=GAP_QUESTIONS)
        self._options = BrokerOptions(
            settings.device,
            settings.mqtt_version,
            keepalive_s,
            settings.broker_ca,
            settings.broker_cert,
            settings.broker_key,
            lambda: clock.stamp().clock.source != "none",
        )
        self._on_command = on_command
        self._on_keys = on_keys
        self._exchange = exchange
        self._on_checkpoint = on_checkpoint
        way = other_way or OtherWay(settings.https_after_s if settings.broker else 0)
        self._https = (
            None if https is None else HttpsFallback(https, journal, way, self._asked, self._take_receipt, on_command)
        )
        self._handing_over = threading.Lock()
        self._stopping = threading.Event()
        self._online = False
        self._offline_because = "offline: not connected yet" if settings.broker else "offline: no broker is set"
        self._health: Health | None = None
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_writer.settimeout(0)
        self._thread = threading.Thread(target=self._run, name="uplink", daemon=True)

    def start(self) -> None:
        """Start delivering."""
        self._thread.start()

    def stop(self, timeout_s: float = 6.0) -> None:
        """Say goodbye to the broker and end; what is not delivered stays in the journal."""
        self._stopping.set()
        self.wake()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        if not self._thread.is_alive():
            self._wake_writer.close()
            self._wake_reader.close()

    def wake(self) -> None:
        """Say that the journal has a new event."""
        with contextlib.suppress(OSError):  # full: it is awake; closed: it is over
            self._wake_writer.send(b"\0")

    def publish_health(self, health: Health) -> None:
        """Send a health message when next possible; only the newest is kept, and none while offline."""
        if self._online or self._https is not None:
            self._health = health
        if self._online:
            self.wake()

    @property
    def online(self) -> bool:
        """True while connected and subscribed."""
        return self._online

    @property
    def over_https(self) -> bool:
        """True while no broker is there and the collector takes events over HTTPS."""
        return not self._online and self._https is not None and self._https.delivers

    @property
    def state(self) -> Part:
        """Whether events leave this terminal and are answered."""
        if not self._keys:
            return Part(state="failed", reason="no_collector_key: no key of the collector is pinned in the settings")
        if not self._online and self._https is not None:
            return self._https.state(self._offline_because, brokers=bool(self._settings.broker))
        if not self._online:
            return Part(state="failed", reason=self._offline_because[:400])
        if self._window.resent >= UNANSWERED_RESENDS:
            return Part(
                state="degraded",
                reason=f"no_receipts: the broker takes events, but no receipt came for {self._window.resent} sendings",
            )
        return Part(state="working")

    def _run(self) -> None:
        attempt, brokers = 0, self._settings.broker
        if self._https is not None:
            self._https.broker_left()
        while not self._stopping.is_set():
            if brokers:
                self._try(brokers[attempt % len(brokers)])
                attempt += 1
            self._pause(self._backoff.next_s() if brokers else LOOK_AGAIN_S)

    def _try(self, url: str) -> None:
        """Connect to one broker and deliver as long as that goes well."""
        started_s, receipts = time.monotonic(), self.counts["receipts"]
        try:
            self._session(url)
        except (UplinkError, JournalError) as error:
            self._offline_because = str(error)
            log.info("uplink_offline", why=str(error), code=error.code)
        except Exception as error:  # whatever it was, the next connection starts from the journal
            self.counts["errors"] += 1
            self._offline_because = f"error: {type(error).__name__} in the uplink; see the terminal's log"
            log.exception("uplink_error", count=self.counts["errors"])
        was_online, self._online = self._online, False
        steady = was_online and time.monotonic() - started_s >= STEADY_AFTER_S
        if steady:
            self._backoff.reset()
        if self._https is not None and (steady or self.counts["receipts"] > receipts):
            self._https.broker_left()

    def _pause(self, for_s: float) -> None:
        """Wait until a broker is to be tried again; post what is due meanwhile."""
        until_s = time.monotonic() + for_s
        while not self._stopping.is_set() and (left_s := until_s - time.monotonic()) > 0:
            if self._https is None:
                self._stopping.wait(left_s)
                continue
            due_s = self._https.due_s() - time.monotonic()
            if due_s > 0:
                self._sleep(min(left_s, due_s))
                continue
            self._https.post(self._health)

    def _sleep(self, for_s: float) -> None:
        """Wait for `wake` or for the time."""
        readable, _, _ = select.select([self._wake_reader], [], [], for_s)
        if readable:
            self._wake_reader.recv(4096)

    def _session(self, url: str) -> None:
        """Connect, deliver until told to stop. Raises an UplinkError when the connection is over."""
        connection = BrokerConnection(
            url,
            self._options,
            (self._topic(Leaf.STATUS), self._status("offline")),
            (self._topic(Leaf.RECEIPT), self._topic(Leaf.COMMAND)),
            self._on_message,
            {} if self._exchange is None else {self._topic(Leaf.PEER): self._exchange.refused},
        )
        try:
            connection.open()
            while not self._stopping.is_set():
                self._deliver(connection)
                connection.turn(self._wake_reader, TURN_S)
                if connection.subscribed and not self._online:
                    self._greet(connection)
            if self._online:
                connection.publish(self._topic(Leaf.STATUS), self._status("offline"), retain=True)
            connection.close()
        finally:
            self._online = False
            connection.abort()

    def _greet(self, connection: BrokerConnection) -> None:
        self._restart()
        connection.publish(self._topic(Leaf.STATUS), self._status("online"), retain=True)
        self.counts["connected"] += 1
        self._online = True
        if self._https is not None:
            self._https.leave()
        if self._exchange is not None:
            self._exchange.greeted()
        log.info("uplink_online", unsent=self._journal.depth)

    def _restart(self) -> None:
        """Begin with the first event without a receipt, on a new connection or in a new chain."""
        self._chain = self._journal.head.chain
        self._window.restart(self._journal.released)
        self._old.clear()

    def _deliver(self, connection: BrokerConnection) -> None:
        """Publish what the window has room for, and the newest health."""
        if not self._online:
            return
        if self._chain != self._journal.head.chain:
            self._restart()
        if self._window.rewind_if_due(time.monotonic()):
            self.counts["resent"] += 1
            log.info("no_receipt", resent=self._window.resent, unsent=self._journal.depth)
        self._send_asked(connection)
        self._send(connection, self._window, self._journal.unsent)
        for chain in self._journal.leftover_chains():
            self._send_leftovers(connection, chain)
        if self._exchange is not None:  # last of all: punches go first
            for data in self._exchange.outbox(min(BATCH, connection.room)):
                connection.publish(self._topic(Leaf.TRANSFER), data, on_refused=self._exchange.refused)
        health, self._health = self._health, None
        if health is not None:
            connection.publish(self._topic(Leaf.HEALTH), health.model_dump_json().encode(), qos=0)

    def _send(
        self, connection: BrokerConnection, window: Window, rows_after: Callable[[int, int], list[tuple[int, bytes]]]
    ) -> None:
        while (limit := min(BATCH, window.room, connection.room)) > 0:
            rows = rows_after(window.sent, limit)
            for seq, envelope in rows:
                connection.publish(self._topic(Leaf.EVENT), envelope)
                window.published(seq, time.monotonic())
                self.counts["published"] += 1
            if len(rows) < limit:
                break

    def _send_leftovers(self, connection: BrokerConnection, chain: str) -> None:
        window = self._old.get(chain)
        if window is None:
            window = self._old[chain] = Window(self._window.size, self._window.resend_after_s)
            (first, _), *_ = self._journal.leftovers(chain, -1, 1) or [(0, b"")]
            window.restart(first - 1)
            self._journal.forget_beyond(chain)
        sent = window.sent
        if window.rewind_if_due(time.monotonic()):
            self._journal.release_beyond(chain, sent)
        self._send(connection, window, functools.partial(self._journal.leftovers, chain))

    def _send_asked(self, connection: BrokerConnection) -> None:
        """Send once more what the collector lacks, receipted or not; what is too much now, it asks for again."""
        while self._asked and connection.room > 0:
            one = self._asked.popleft()
            rows = self._journal.range(one.first, one.last, connection.room) if one.chain == self._chain else []
            for _, envelope in rows:
                connection.publish(self._topic(Leaf.EVENT), envelope)
            self.counts["sent_again"] += len(rows)
            log.info("gap_answered", first=one.first, last=one.last, sent=len(rows))

    def _on_message(self, topic: str, payload: bytes) -> None:
        if topic == self._topic(Leaf.COMMAND) and self._on_command is not None:
            self._on_command(payload)
        elif topic == self._topic(Leaf.PEER) and self._exchange is not None:
            self._exchange.receive(payload)
        elif topic == self._topic(Leaf.RECEIPT) and self._take_receipt(payload):
            self._backoff.reset()

    def _take_receipt(self, payload: bytes) -> bool:
        """Judge what came for this terminal, whichever way; say whether it was a receipt that stands."""
        try:
            if self.take_handovers(payload) or self._on_checkpoint(payload):
                return False
            if self._is_question(payload):
                self._asked.append(read_gap_request(payload, self._key_for(payload), self._settings.device))
                self.counts["asked"] += 1
                return False
            receipt = self._journal.release(payload, self._key_for(payload))
        except EvidenceError:  # counted, logged and shown by the journal; nothing was let go
            self.counts["receipts_refused"] += 1
        except JournalError:  # the receipt could not be kept; the row goes again and another receipt will come
            self.counts["receipts_not_kept"] += 1
        except Exception:  # one message must not end the flow of the others
            self.counts["errors"] += 1
            log.exception("receipt_not_handled", bytes=len(payload), count=self.counts["errors"])
        else:
            self.counts["receipts"] += 1
            if receipt.chain == self._chain:
                self._window.receipted(receipt.upto, time.monotonic())
            elif (old := self._old.get(receipt.chain)) is not None:
                waiting = self._journal.leftovers(receipt.chain, -1, 1)
                if not waiting or waiting[0][0] > receipt.upto:  # else it proved nothing of ours (release_beyond)
                    old.receipted(receipt.upto, time.monotonic())
            return True
        return False

    def take_handovers(self, payload: bytes) -> bool:
        """Believe the collector's next keys, where the message is about them, whichever way it came; say whether.

        Raises an EvidenceError or OSError.
        """
        settings = self._settings
        with self._handing_over:  # an operator may bring the same on a stick
            ledger = [one.vkey.key for one in settings.ledger_keys[:1]]
            counting = take_handovers(settings.provisioned_keys, settings.handovers_file, payload, ledger)
            if counting is None:
                return False
            self._keys = {key.id: key for key in counting}
            if self._on_keys is not None:
                self._on_keys(counting)
            self.counts["handovers"] += 1
        return True

    @staticmethod
    def _is_question(payload: bytes) -> bool:
        try:
            return Envelope.decode(payload).payload_type == GAP_REQUEST_TYPE
        except EvidenceError:
            return False

    def _key_for(self, payload: bytes) -> PublicKey:
        """Return the pinned key that the envelope names; any of them where it names none, so that it is refused."""
        if not self._keys:
            raise UnknownKey("no key of the collector is pinned here, so no receipt can be believed")
        first = next(iter(self._keys.values()))
        try:
            named = Envelope.decode(payload).signatures[0].keyid
        except EvidenceError:
            return first
        return self._keys.get(named, first)

    def _topic(self, leaf: Leaf) -> str:
        return str(Topic(self._settings.site, self._settings.device, leaf))

    def _status(self, state: str) -> bytes:
        status = Status.model_validate(
            {
                "device": self._settings.device,
                "site": self._settings.site,
                "state": state,
                "time": self._clock.stamp().time,
            }
        )
        return status.model_dump_json().encode()
