"""One transaction of the intake: admits, stages or refuses messages, then writes all at once.

Admission asks two things only: does the registered key's signature stand, and does the event continue its chain.
A body that cannot be read enters all the same; only its projection becomes a dead letter.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session

from collector.devices.keys import rotate
from collector.devices.models import DeviceKey
from collector.devices.reports import StatusUpdates
from collector.erasure.tombs import bury_what_came_back
from collector.errors import CollectorError, InDeclaredGap, KeyMismatch, RevokedDevice
from collector.ingest.contradictions import Contradictions
from collector.ingest.dead_letters import Bounds, DeadLetterBox
from collector.ingest.message import Answer, Message
from collector.ingest.opening import Opened
from collector.ingest.reading import Addressed, Decoded, Offered, Reader, Registered
from collector.ingest.staging import Staging, Waiting
from collector.ingest.tips import Tip, Tips
from collector.ledger.appending import Appender
from collector.ledger.models import ChainState
from collector.statements.scribe import Scribe
from collector.transfers.taking import Passing, without_content
from evidence.chain import Head, follow, same_place
from evidence.envelope import Envelope
from evidence.errors import BrokenLink, EvidenceError, Fork, MonotonicRegression, Replay, UnknownKey
from evidence.events import DeviceEnrolledBody, Kind, parse_body, parse_event
from evidence.topics import Leaf, Topic

log = structlog.get_logger()


class _Carries(Protocol):
    @property
    def message(self) -> Message: ...


_In = TypeVar("_In", bound=_Carries)
_Out = TypeVar("_Out")


class Batch:
    """Messages on their way into the ledger within one write transaction."""

    def __init__(
        self, session: Session, seal_key: bytes, staged_per_device: int, bounds: Bounds, scribe: Scribe | None = None
    ) -> None:
        self._session = session
        self._scribe, self._seal_key = scribe, seal_key
        self._reader = Reader(session)
        self._tips = Tips(session)
        self._ledger = Appender(session, seal_key)
        self._first = self._ledger.tree_size
        self._staging = Staging(session, staged_per_device)
        self._contradictions = Contradictions(session, scribe)
        self._statuses = StatusUpdates()
        self._passing = Passing(session)
        self._dead = DeadLetterBox(bounds)
        self.outcomes: Counter[str] = Counter()  # of events: admitted, known, waiting, contradicting, refused
        self.refusals: Counter[str] = Counter()  # codes of the dead letters
        self.answer_to: dict[tuple[str, str], str] = {}  # chains that a receipt is due for: (device, chain) to site

    @property
    def tree_size(self) -> int:
        """Entries in the ledger once this transaction has committed."""
        return self._ledger.tree_size

    @property
    def keys(self) -> Iterable[DeviceKey]:
        """The registered keys of the devices that had to do with it."""
        return self._reader.keys()

    def head(self, device: str, chain: str) -> Head | None:
        """Return the last admitted event of a chain."""
        tip = self._tips.get(device, chain)
        return None if tip is None else tip.head

    def take(self, opened: Iterable[Opened]) -> None:
        """Admit, stage or refuse messages, step by step. Raises only what is the database's fault."""
        addressed = self._address(opened)
        events = [one for one in addressed if one.topic.leaf is Leaf.EVENT]
        passing = [one for one in addressed if one.topic.leaf is Leaf.TRANSFER]
        reports = [one for one in addressed if one.topic.leaf not in (Leaf.EVENT, Leaf.TRANSFER)]
        self._each(self._take_report, reports)
        decoded: Sequence[Decoded] = self._each(self._reader.decode, events)
        rotates = any(one.event.kind == Kind.DEVICE_KEY_ROTATED for one in decoded)
        late: list[Decoded] | None = [] if rotates else None
        self._take_events(decoded, late)
        if late:  # signed perhaps by a key that counts only since a rotation of this batch, in another chain
            self._take_events(late, None)
        for one in passing:  # after the events: a rotation among them says whose signature counts
            self._take_transfer(one)

    def _take_events(self, decoded: Sequence[Decoded], late: list[Decoded] | None) -> None:
        offered: Sequence[Offered] = self._each(self._reader.verify, decoded, late)
        self._look_up(offered)
        self._each(self._place, offered)

    def anything_ready(self) -> bool:
        """Say whether `take_ready` would find something."""
        return bool(self._staging.ready())

    @property
    def passed_on(self) -> list[Answer]:
        """What is for other terminals, to be published after the commit."""
        return self._passing.answers

    def take_ready(self) -> None:
        """Admit what waits in staging although its chain is open and its turn has come: an approval made it so."""
        ready = self._staging.ready()
        self._reader.look_up({device for device, _, _ in ready})
        self._staging.look_up({(device, chain) for device, chain, _ in ready})
        self._staging.fetch([one for place in ready for one in self._staging.next_of(*place, ())])
        for device, chain, _seq in ready:
            registered, tip = self._reader.registered(device), self._tips.get(device, chain)
            assert registered is not None and tip is not None
            self._drain(registered, tip)

    def write(self) -> None:
        """Write everything that the messages came to."""
        self._session.flush()
        self._contradictions.write(self._ledger)
        for failed in self._ledger.write():
            topic = str(Topic(failed.event.site, failed.event.device, Leaf.EVENT))
            self._dead.add(
                failed.event.device,
                topic,
                failed.envelope,
                failed.code,
                failed.message,
                failed.received_at,
                failed.leaf_index,
            )
        self._tips.write()
        if self._scribe is not None:
            bury_what_came_back(self._session, self._scribe, self._first - 1, self._seal_key)
        self._staging.write()
        self._statuses.write(self._session)
        self._dead.write(self._session)

    # --- steps

    def _address(self, opened: Iterable[Opened]) -> list[Addressed]:
        routed, found = [], []
        for one in opened:
            try:
                routed.append((one, Topic.parse(one.message.topic)))
            except EvidenceError as error:
                self._bury("", one.message, error)
        self._reader.look_up({topic.device for _, topic in routed})
        for one, topic in routed:
            try:
                found.append(self._reader.address(one, topic))
            except CollectorError as error:
                self._bury("", one.message, error)
        return found

    def _look_up(self, offered: Iterable[Offered]) -> None:
        """Read the chains of these events, and what of them waits and will be next."""
        chains: dict[tuple[str, str], set[int]] = {}
        for one in offered:
            chains.setdefault((one.event.device, one.event.chain), set()).add(one.event.seq)
        self._tips.look_up(chains)
        self._staging.look_up(chains)
        ready = []
        for (device, chain), seqs in chains.items():
            tip = self._tips.get(device, chain)
            if tip is None or tip.row.state == ChainState.OPEN:
                ready += self._staging.next_of(device, chain, 0 if tip is None else tip.next_seq, seqs)
        self._staging.fetch(ready)

    def _each(self, step: Callable[[_In], _Out], items: Sequence[_In], late: list[_In] | None = None) -> list[_Out]:
        """Take one step for every item; what fails becomes a dead letter with the reason.

        `late`: where to put what is signed by an unknown key instead; None: nowhere.
        """
        done = []
        for item in items:
            try:
                done.append(step(item))
            except SQLAlchemyError:
                raise
            except Exception as error:
                if late is not None and isinstance(error, UnknownKey):
                    late.append(item)
                    continue
                self._bury(Topic.parse(item.message.topic).device, item.message, error)
        return done

    def _bury(self, source: str, message: Message, error: Exception) -> None:
        if isinstance(error, EvidenceError | CollectorError):
            code, text = error.code, str(error)
        else:
            log.error("a message could not be handled", topic=message.topic, exc_info=error)
            code, text = "internal", f"{type(error).__name__}: {error}"
        self.outcomes["refused"] += 1
        self.refusals[code] += 1
        self._dead.add(source, message.topic, message.payload, code, text, message.received_at)

    def _take_report(self, addressed: Addressed) -> None:
        self._statuses.take(addressed.message, addressed.topic)

    def _take_transfer(self, one: Addressed) -> None:
        """What terminals send each other enters no ledger; a dead letter of it keeps the hash alone."""
        message, registered = one.message, one.registered
        try:
            self._passing.take(message, one.topic, registered.device, registered.keys)
        except SQLAlchemyError:
            raise
        except Exception as error:
            digest = hashlib.sha256(message.payload).hexdigest()
            self._bury(one.topic.device, without_content(message, digest), error)

    # --- one event

    def _place(self, offered: Offered) -> None:
        event = offered.event
        self._statuses.heard(event.device, offered.received_at)
        tip = self._tips.get(event.device, event.chain)
        if tip is None and event.seq == 0:
            tip = self._begin(offered)
        if tip is None:
            self._stage(offered, None)
        elif event.seq < tip.next_seq:
            self._compare(offered, tip)
        elif tip.row.state != ChainState.OPEN or event.seq > tip.next_seq:
            self._stage(offered, tip)
        elif not self._contradicts_waiting(offered, tip) and self._admit(offered, tip):
            self._staging.drop(event.device, event.chain, event.seq)  # the same event, come again before its turn
            self._drain(offered.registered, tip)

    def _admit(self, offered: Offered, tip: Tip) -> bool:
        """Append the event to its chain and the ledger; False if it contradicts the chain."""
        event = offered.event
        try:
            self._reader.require_counting(offered)
        except UnknownKey as error:
            self._bury(event.device, offered.message, error)
            return False
        try:
            head = follow(tip.head, event, offered.hash)
        except (BrokenLink, MonotonicRegression) as error:
            self._contradict(offered, tip, error, None if tip.head is None else tip.head.hash)
            return False
        # Not when it came: what lay in staging meanwhile is an entry behind the one from which the revocation counts.
        after = offered.registered.device.revoked_at is not None
        self._ledger.append(
            event,
            offered.hash,
            offered.data,
            offered.key_id,
            offered.received_at,
            after_revocation=after,
            row_ahead=offered.row_ahead,
        )
        tip.move_to(head)
        if offered.rotated_to is not None:
            rotate(
                self._session,
                offered.registered.keys,
                event.chain,
                event.seq,
                offered.rotated_to,
                offered.received_at,
            )
            log.warning("key rotated", device=event.device, seq=event.seq, key=offered.rotated_to.fingerprint)
        self.outcomes["admitted"] += 1
        self.answer_to[event.device, event.chain] = event.site
        return True

    def _begin(self, offered: Offered) -> Tip:
        """Begin a chain with its first event. Raises BadStart, KeyMismatch, RevokedDevice."""
        event, device = offered.event, offered.registered.device
        follow(None, event, offered.hash)
        body = parse_body(event)
        registered = {key.key for key in offered.registered.keys if key.key_id == offered.key_id}
        if not isinstance(body, DeviceEnrolledBody) or body.key.strip() not in registered:
            raise KeyMismatch(f"the first event of {event.device}/{event.chain[:8]}… names another key than registered")
        if device.revoked_at is not None:
            raise RevokedDevice(f"{device.name} was revoked at {device.revoked_at} and cannot open a chain")
        after_another = body.predecessor is not None
        tip = self._tips.begin(event.device, event.chain, offered.received_at, waits=after_another)
        if self._contradictions.count(event.device, event.chain):
            tip.freeze()  # two events claimed one place of it before it had begun
        if tip.row.state == ChainState.PENDING:
            log.warning("a new chain waits for approval", device=event.device, chain=event.chain)
        return tip

    def _compare(self, offered: Offered, tip: Tip) -> None:
        """A second event at a taken place: a replay is answered with a receipt again, a fork freezes the chain."""
        event = offered.event
        try:
            held_hash = self._tips.admitted_hash(tip, event.seq)
        except InDeclaredGap:
            self.answer_to[event.device, event.chain] = event.site  # the terminal may let it go
            raise
        try:
            same_place(event.seq, held_hash, offered.hash)
        except Replay:
            self.outcomes["known"] += 1
            self.answer_to[event.device, event.chain] = event.site
        except Fork as error:
            self._contradict(offered, tip, error, held_hash)
            # A restored folder looks right from inside: what the ledger holds here tells it to begin a new chain.
            self.answer_to[event.device, event.chain] = event.site

    # --- what waits

    def _stage(self, offered: Offered, tip: Tip | None) -> None:
        event = offered.event
        if self._contradicts_waiting(offered, tip):
            return
        if self._staging.waits(event.device, event.chain, event.seq):
            self.outcomes["waiting"] += 1
            return
        self._staging.add(
            Waiting(event.device, event.chain, event.seq, offered.hash, offered.received_at, offered.data)
        )
        self.outcomes["waiting"] += 1

    def _contradicts_waiting(self, offered: Offered, tip: Tip | None) -> bool:
        """Say whether another event waits for the same place; that is a fork before the chain has reached it."""
        event = offered.event
        if not self._staging.waits(event.device, event.chain, event.seq):
            return False
        waiting = self._staging.held(event.device, event.chain, event.seq)
        if waiting is None or waiting.hash == offered.hash:
            return False
        error = Fork(f"two different events claim seq {event.seq} before the chain has reached it")
        self._contradict(offered, tip, error, waiting.hash)
        return True

    def _drain(self, registered: Registered, tip: Tip) -> None:
        """Admit the staged events that continue the chain, as far as they follow without a gap."""
        while tip.row.state == ChainState.OPEN:
            staged = self._staging.take(tip.row.device, tip.row.chain, tip.next_seq)
            offered = None if staged is None else self._unstage(staged, registered)
            if offered is None or not self._admit(offered, tip):
                return

    def _unstage(self, staged: Waiting, registered: Registered) -> Offered | None:
        """Verify a staged event again, since it lay on a disk meanwhile; None if it no longer stands."""
        message = Message(f"staged: {staged.device}", staged.envelope, staged.received_at)
        try:
            envelope = Envelope.decode(staged.envelope)
            event = parse_event(envelope.payload)
            return self._reader.verify(Decoded(Opened(message, event, envelope.hash), event, registered))
        except SQLAlchemyError:
            raise
        except Exception as error:
            # Whatever it is, it is this event's: the one before it has its place, and the other chains go on.
            self._bury(staged.device, message, error)
            return None

    def _contradict(self, offered: Offered, tip: Tip | None, error: EvidenceError, held_hash: str | None) -> None:
        """Keep the event as evidence against its device and freeze the chain."""
        if tip is not None:
            tip.freeze()
        if self._contradictions.keep(offered, error, held_hash):
            self.outcomes["contradicting"] += 1
        else:
            self._bury(offered.event.device, offered.message, error)
