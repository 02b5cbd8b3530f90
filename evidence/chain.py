"""One terminal's hash chain: the rule for appending, the rule for verifying, gaps and forks by name.

Rules, each with the error that names its breach:
- a chain starts at seq 0 with `device.enrolled` and no predecessor event (BadStart);
- every event names the same device and chain (WrongChain);
- seq rises by one (Gap, or Replay/Fork for a seq that is already taken);
- `prev` is the hash of the event before (BrokenLink);
- within one boot `mono_us` never falls (MonotonicRegression).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from evidence.envelope import EVENT_TYPE, Envelope
from evidence.errors import (
    BadStart,
    BrokenLink,
    EvidenceError,
    Fork,
    Gap,
    MonotonicRegression,
    Replay,
    UnknownKey,
    WrongChain,
)
from evidence.events import Event, Kind, parse_event
from evidence.keys import PublicKey


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
            raise Gap(f"the chain starts at seq 0, this event is seq {event.seq}: 0 to {event.seq - 1} are missing")
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
        raise Gap(f"seq {head.seq + 1} to {event.seq - 1} are missing before seq {event.seq}")
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
    """What verifying a sequence of envelopes found."""

    device: str | None = None
    chain: str | None = None
    events: int = 0
    head: Head | None = None
    first_time: str | None = None
    last_time: str | None = None
    kinds: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """True if there was at least one event and nothing is wrong."""
        return self.events > 0 and not self.problems


def verify_chain(envelopes: Iterable[bytes], keys: Mapping[str, PublicKey]) -> ChainReport:
    """Verify the encoded envelopes of one whole chain in order; report every problem and go on after each.

    `keys` maps a device name to its registered key. After a gap or a broken link the check goes on from the
    event that was found, so one missing event is one problem.
    """
    report = ChainReport()
    held: dict[int, str] = {}
    for position, data in enumerate(envelopes):
        seq: int | None = None
        try:
            event, envelope = read_event(data, keys)
            seq = event.seq
            report.events += 1
            report.kinds[event.kind] = report.kinds.get(event.kind, 0) + 1
            if report.device is None:
                report.device, report.chain = event.device, event.chain
            if event.seq in held and (event.device, event.chain) == (report.device, report.chain):
                same_place(event.seq, held[event.seq], envelope.hash)
            held[event.seq] = envelope.hash
            report.first_time = report.first_time or event.time
            report.last_time = event.time
            try:
                report.head = follow(report.head, event, envelope.hash)
            except (Gap, BrokenLink, MonotonicRegression, BadStart):
                report.head = _head(event, envelope.hash)
                raise
        except EvidenceError as error:
            report.problems.append(Problem(position, seq, error.code, str(error)))
    return report


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
    envelope.verify(key, EVENT_TYPE)
    return event, envelope


def _head(event: Event, event_hash: str) -> Head:
    return Head(event.device, event.chain, event.seq, event_hash, event.boot, event.mono_us)
