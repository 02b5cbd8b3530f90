"""One terminal's hash chain: the rule for appending, the rule for verifying, gaps and forks by name.

Rules, each with the error that names its breach:
- a chain starts at seq 0 with `device.enrolled`, which names the key that signs it, and no event before (BadStart);
- one key signs it, until a `device.key_rotated` that is signed by both names the next (UnknownKey, SignatureCount);
- every event names the same device and chain (WrongChain);
- seq rises by one (Gap; Replay or Fork for a seq that is already taken; OutOfOrder for one that was left out before);
- `prev` is the hash of the event before (BrokenLink);
- within one boot `mono_us` never falls (MonotonicRegression);
- no punch is verified between an opening of the enclosure and the clear that names it (VerifiedWhileOpened).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from evidence.clearance import opening_shown
from evidence.envelope import Envelope
from evidence.errors import (
    BadStart,
    BrokenLink,
    EvidenceError,
    Fork,
    Gap,
    InvalidBody,
    MonotonicRegression,
    OutOfOrder,
    Replay,
    UnknownKey,
    VerifiedWhileOpened,
    WrongChain,
)
from evidence.events import DeviceEnrolledBody, Event, Kind, PunchBody, Verdict, parse_body, parse_event
from evidence.keys import PublicKey
from evidence.rotation import verify_event

MAX_PROBLEMS = 1000  # kept in a report, so that a file of garbage does not fill the memory; the rest is counted


@dataclass(frozen=True, slots=True)
class Head:
    """The last event of a chain: all that is needed to append to it."""

    device: str
    chain: str
    seq: int
    hash: str
    boot: str
    mono_us: int


def follow(head: Head | None, event: Event, event_hash: str) -> Head:
    """Return the new head if `event` continues the chain at `head` (None: an empty chain).

    `event_hash` is the hash of the event's envelope. For a seq at or below the head the caller decides between
    Replay and Fork with `same_place`, since only it has the older events; here the head itself is compared.
    """
    if head is None:
        if event.seq != 0:
            raise Gap(f"the chain starts at seq 0, this event is seq {event.seq}: {_range(0, event.seq - 1)} missing")
        if event.prev is not None or event.kind != Kind.DEVICE_ENROLLED:
            raise BadStart(f"a chain starts with {Kind.DEVICE_ENROLLED} and names no event before it")
        return _head(event, event_hash)
    if (event.device, event.chain) != (head.device, head.chain):
        raise WrongChain(f"the event belongs to {event.device}/{event.chain}, the chain is {head.device}/{head.chain}")
    if event.seq == head.seq:
        same_place(event.seq, head.hash, event_hash)
    if event.seq < head.seq:
        raise Replay(f"seq {event.seq} lies behind the head at {head.seq}; compare it with the event held there")
    if event.seq > head.seq + 1:
        raise Gap(f"{_range(head.seq + 1, event.seq - 1)} missing before seq {event.seq}")
    if event.prev != head.hash:
        raise BrokenLink(f"seq {event.seq} names {str(event.prev)[:16]}… as its predecessor, held is {head.hash[:16]}…")
    if event.boot == head.boot and event.mono_us < head.mono_us:
        raise MonotonicRegression(f"seq {event.seq} was signed {head.mono_us - event.mono_us} µs before seq {head.seq}")
    return _head(event, event_hash)


def same_place(seq: int, held_hash: str, event_hash: str) -> None:
    """Name what a second event at a taken seq is: raises Replay if it is the same one, Fork if it is another."""
    if held_hash == event_hash:
        raise Replay(f"seq {seq} is already held, byte for byte")
    raise Fork(f"two different events claim seq {seq}: held {held_hash[:16]}…, offered {event_hash[:16]}…")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong at one position of a sequence of envelopes."""

    position: int  # 0-based place in the input
    seq: int | None  # the event's own number, where it can be read
    code: str
    message: str


@dataclass(slots=True)
class ChainReport:
    """What verifying a sequence of envelopes found. Only events that belong to the chain count."""

    device: str | None = None
    chain: str | None = None
    events: int = 0
    head: Head | None = None
    first_time: str | None = None
    last_time: str | None = None
    kinds: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)  # the first MAX_PROBLEMS
    more_problems: int = 0  # how many came after those
    unread_bodies: int = 0  # events that stand, but whose body does not fit what this version knows of their kind

    @property
    def ok(self) -> bool:
        """True if there was at least one event and nothing is wrong."""
        return self.events > 0 and not self.problems


class ChainCheck:
    """Verifies one whole chain, an envelope at a time; what it keeps grows by one hash an event.

    `keys` maps a device to its trusted keys. The key of the first event that stands is the chain's key from then on,
    until it hands over to another: a retired key of the same device cannot continue a later chain.
    """

    def __init__(self, keys: Mapping[str, Sequence[PublicKey]]) -> None:
        self.report = ChainReport()
        self._keys = keys
        self._keys_from: list[tuple[int, PublicKey]] = []  # this chain's keys and the seq from which each counts
        self._held: dict[int, str] = {}
        self._position = 0
        self._opening: int | None = None

    def feed(self, data: bytes) -> Problem | None:
        """Check the next encoded envelope; a problem is returned and kept in the report, and the check goes on.

        After a gap or a broken link it goes on from the event that was found, so one missing event is one problem.
        """
        position, seq = self._position, None
        self._position += 1
        try:
            envelope = Envelope.decode(data)
            event = parse_event(envelope.payload)
            seq = event.seq
            key = self._signer(event, envelope)
            self._admit(event, envelope.hash, key, verify_event(envelope, event, key))
        except EvidenceError as error:
            problem = Problem(position, seq, error.code, str(error))
            if len(self.report.problems) < MAX_PROBLEMS:
                self.report.problems.append(problem)
            else:
                self.report.more_problems += 1
            return problem
        return None

    def hash_at(self, seq: int) -> str | None:
        """The hash of the event that the chain shows at `seq`, or None."""
        return self._held.get(seq)

    @property
    def keys(self) -> tuple[PublicKey, ...]:
        """The keys that signed this chain, one after the other."""
        return tuple(key for _, key in self._keys_from)

    def _signer(self, event: Event, envelope: Envelope) -> PublicKey:
        keys = self._keys.get(event.device, ())
        if not keys:
            raise UnknownKey(f"no key is registered for device {event.device!r}")
        if self._keys_from and (event.device, event.chain) == (self.report.device, self.report.chain):
            counting = [key for first, key in self._keys_from if first <= event.seq]
            return counting[-1] if counting else self._keys_from[0][1]
        named = envelope.signatures[0].keyid
        return next((key for key in keys if key.id == named), keys[0])

    def _admit(self, event: Event, event_hash: str, key: PublicKey, key_after: PublicKey) -> None:
        report = self.report
        if not self._keys_from:
            self._keys_from.append((event.seq, key))
            report.device, report.chain, report.first_time = event.device, event.chain, event.time
        if (event.device, event.chain) != (report.device, report.chain):
            raise WrongChain(
                f"the event belongs to {event.device}/{event.chain}, the chain is {report.device}/{report.chain}"
            )
        if event.seq in self._held:
            same_place(event.seq, self._held[event.seq], event_hash)
        self._held[event.seq] = event_hash
        report.events += 1
        report.kinds[event.kind] = report.kinds.get(event.kind, 0) + 1
        if report.head is not None and event.seq < report.head.seq:
            raise OutOfOrder(f"seq {event.seq} comes after seq {report.head.seq}; a chain is shown in order")
        head, report.head, report.last_time = report.head, _head(event, event_hash), event.time
        if key_after != key:
            self._keys_from.append((event.seq + 1, key_after))
        follow(head, event, event_hash)
        self._look_inside(event, key)

    def _look_inside(self, event: Event, key: PublicKey) -> None:
        opening, self._opening = self._opening, opening_shown(self._opening, event)
        try:
            body = parse_body(event)
        except InvalidBody:  # signature and chain alone decide whether an event stands
            self.report.unread_bodies += 1
            return
        if isinstance(body, PunchBody) and body.verdict is Verdict.VERIFIED and opening is not None:
            raise VerifiedWhileOpened(f"the punch is verified although nothing cleared the opening at seq {opening}")
        if isinstance(body, DeviceEnrolledBody) and body.key != key.text():
            raise BadStart("the chain's first event names another key than the one that signed it")


def verify_chain(envelopes: Iterable[bytes], keys: Mapping[str, PublicKey]) -> ChainReport:
    """Verify the encoded envelopes of one whole chain in order; report every problem and go on after each.

    `keys` maps a device name to its registered key.
    """
    check = ChainCheck({device: (key,) for device, key in keys.items()})
    for data in envelopes:
        check.feed(data)
    return check.report


def read_event(data: bytes, keys: Mapping[str, PublicKey]) -> tuple[Event, Envelope]:
    """Decode, look the signer up by the device that the event names, verify, and return event and envelope.

    Raises an EvidenceError. The payload is parsed before it is verified only to learn which registered key must
    have signed it; nothing of it is believed until then.
    """
    envelope = Envelope.decode(data)
    event = parse_event(envelope.payload)
    key = keys.get(event.device)
    if key is None:
        raise UnknownKey(f"no key is registered for device {event.device!r}")
    verify_event(envelope, event, key)
    return event, envelope


def _head(event: Event, event_hash: str) -> Head:
    return Head(event.device, event.chain, event.seq, event_hash, event.boot, event.mono_us)


def _range(first: int, last: int) -> str:
    return f"seq {first} is" if first == last else f"seq {first} to {last} are"
