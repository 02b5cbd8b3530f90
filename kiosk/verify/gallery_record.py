"""What the gallery keeps of one worker, the face too, and what is still to be signed, as the bytes that are sealed.

A record without a field was written by an earlier version; the field then has its default.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from evidence.events import Ask, Role
from kiosk.verify.attempts import Moment
from kiosk.verify.pin import PinRecord

if TYPE_CHECKING:
    from numpy.typing import NDArray

Scope = Literal["face", "transfer", "clip"]


@dataclass(frozen=True, slots=True)
class Agreement:
    """One consent as it was given."""

    scope: Scope
    text_version: str
    language: Literal["zh", "en"]
    time: str  # RFC 3339 UTC, when it was signed


@dataclass(frozen=True, slots=True)
class Received:
    """Where a template came from that was not enrolled here (kiosk/transfer)."""

    copy_id: str  # `copy_id` of transfer.received
    sender: str  # the terminal on which the worker was enrolled
    until: str  # RFC 3339 UTC: then it goes, unless it was renewed
    commitment: str | None = None  # `template` of the sender's worker.enrolled


@dataclass(frozen=True, slots=True)
class Person:
    """One worker's record."""

    name: str
    pin: PinRecord | None = None
    role: Role = "worker"
    excused: tuple[Ask, ...] = ()  # prompts that are never asked
    enrolment: str | None = None  # `authorisation` of worker.enrolled; None: enrolled by a version that did not keep it
    commitment: str | None = None  # `template` of worker.enrolled; None: no face, or as above
    consents: tuple[Agreement, ...] = ()
    received: Received | None = None  # the face came from another terminal; None: it was enrolled here

    def pack(self) -> bytes:
        """The bytes to seal."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def unpack(cls, plain: bytes) -> Person:
        """Read what `pack` gave, in this version or an earlier one."""
        held = json.loads(plain)
        return cls(
            name=held["name"],
            pin=PinRecord(**held["pin"]) if held["pin"] else None,
            role=held.get("role", "worker"),
            excused=tuple(Ask(one) for one in held.get("excused", ())),
            enrolment=held.get("enrolment"),
            commitment=held.get("commitment"),
            consents=tuple(Agreement(**one) for one in held.get("consents", ())),
            received=Received(**held["received"]) if held.get("received") else None,
        )


@dataclass(frozen=True, slots=True)
class Statement:
    """One event that has to be signed because the gallery has changed."""

    kind: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pending:
    """Statements that one change of the gallery owes, in order. `cleaned`: no erased byte is left in the file."""

    id: str
    statements: tuple[Statement, ...]
    cleaned: bool


def pack_statements(statements: Sequence[Statement]) -> bytes:
    """The bytes to seal."""
    return json.dumps([asdict(one) for one in statements]).encode()


def unpack_statements(plain: bytes) -> tuple[Statement, ...]:
    """Read what `pack_statements` gave."""
    return tuple(Statement(**one) for one in json.loads(plain))


def pack_moments(moments: Sequence[Moment]) -> bytes:
    """The bytes to seal."""
    return json.dumps([[one.boot, one.mono_us] for one in moments]).encode()


def unpack_moments(plain: bytes) -> tuple[Moment, ...]:
    """Read what `pack_moments` gave."""
    return tuple(Moment(*one) for one in json.loads(plain))


def pack_vectors(vectors: Sequence[NDArray[np.float32]]) -> bytes:
    """The bytes to seal of one face: frames of equal length. Raises ValueError."""
    stacked = np.stack(vectors).astype("<f4")
    if stacked.ndim != 2 or not np.isfinite(stacked).all():
        raise ValueError("templates are vectors of finite numbers")
    return bytes(stacked.shape[1].to_bytes(4, "little") + stacked.tobytes())


def unpack_vectors(packed: bytes) -> NDArray[np.float32]:
    """Read what `pack_vectors` gave: (frames, dimensions)."""
    return np.frombuffer(packed[4:], "<f4").reshape(-1, int.from_bytes(packed[:4], "little"))
